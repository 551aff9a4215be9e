"""An archive file that the journal does not name: a crash left it, or it is another hub's; what only it has is told."""

from pathlib import Path

import attrs

from hub.domain.model import Event
from hub.journal import events
from hub.keeping.archive import catalogue
from hub.keeping.archive.reading import open_archive
from hub.keeping.archive.unrecorded import UnrecordedContent, judge_unrecorded_file
from hub.keeping.retention import parts
from hub.keeping.retention.parts import PartState
from hub.store import transactions
from tests import databases
from tests.archive.test_given_up_files import interrupted
from tests.archive.test_retention_run import START, check_repetition, make_run, now_, prepared, whole


def judged(engine, file: Path) -> UnrecordedContent:
    with transactions.read_transaction(engine) as tx, open_archive(file) as archive:
        return judge_unrecorded_file(tx, archive, catalogue.list_archives(tx), file.parent)


def test_a_crash_between_a_file_and_its_row_leaves_one_that_may_be_deleted_as_long_as_another_has_it_all(
    engine, tmp_path
):
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("call-refused", START, None, None, {"partner": "vpub", "code": "x"}))
    made = prepared(engine)
    left = interrupted(engine, tmp_path, 0)
    everything = UnrecordedContent(count=5, alone=0)
    assert judged(engine, left) == everything, "all of it is in the journal"
    with transactions.read_transaction(engine) as tx:
        assert catalogue.list_unrecorded_files(catalogue.list_archives(tx), tmp_path) == [left.name]
        (part,) = parts.list_parts(tx)
    assert now_(make_run(engine, tmp_path).carry_out(part.number)).state is PartState.GONE
    assert whole(engine) == set()
    for each, taken in made:
        check_repetition(engine, each, taken)
    assert judged(engine, left) == everything, "all of it went with the other file"
    (other,) = {*tmp_path.glob("archive-*.zip")} - {left}
    other.unlink()
    assert judged(engine, left) == attrs.evolve(everything, alone=5), "nothing else has it now"


def test_a_file_of_another_journal_is_kept(here, tmp_path):
    prepared(here)
    left = interrupted(here, tmp_path, 0)
    other = transactions.open_journal(databases.sqlite(tmp_path / "other.db"))
    assert judged(other, left) == UnrecordedContent(count=4, alone=4)
    other.dispose()
