"""An archive file that is lost or damaged while its part is going is given up by a person, and the month goes on."""

import json
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hub import config
from hub.cli import lienthong
from hub.cli.person import name_person
from hub.keeping import integrity
from hub.keeping.archive import catalogue, giving_up
from hub.keeping.archive.giving_up import FileNeeded
from hub.keeping.archive.retention import RetentionHeld, RetentionRun
from hub.keeping.retention import letting_go, parts
from hub.keeping.retention.parts import PartState
from hub.store import transactions
from hub.store.tables import event
from tests import homes
from tests.archive.test_retention_run import THEN, Killed, announced, check_repetition, make_run, now_, prepared, whole


def interrupted(engine, folder, writes):
    """Let the process end after *writes* of a part: the first one records its file. Return the file."""
    with pytest.raises(Killed):
        now_(make_run(engine, folder, left=writes).carry_out(announced(engine, folder).number))
    (file,) = folder.glob("archive-*.zip")
    return file


def give_up(engine, name, reason="the disk broke"):
    with transactions.write_transaction(engine) as tx:
        entry = catalogue.read_archive_entry(tx, name)
        return giving_up.give_up_file(tx, entry, by="an", reason=reason, now=THEN)


def told(engine):
    """Return the events of retention, in order."""
    with transactions.read_transaction(engine) as tx:
        texts = tx.scalars(sa.select(event.c.text).where(event.c.message.is_(None)).order_by(event.c.serial))
        found = [json.loads(each) for each in texts]
    return [each for each in found if each["event"].startswith(("retention", "archive"))]


def test_a_file_lost_before_anything_went_is_made_again_under_another_name(engine, tmp_path):
    made = prepared(engine)
    lost = interrupted(engine, tmp_path, 1)
    lost.unlink()
    part = give_up(engine, lost.name)
    assert (part.state, part.archive) == (PartState.ANNOUNCED, None)
    done = now_(make_run(engine, tmp_path).carry_out(part.number))
    assert (done.state, done.messages, whole(engine)) == (PartState.GONE, 4, set())
    with transactions.read_transaction(engine) as tx:
        (kept,) = catalogue.list_archives(tx)
        assert list(integrity.find_chain_damage(tx)) == []
    assert kept.name != lost.name
    for each, taken in made:
        check_repetition(engine, each, taken)
    events = told(engine)
    assert [each["event"] for each in events] == [
        "retention-announced",
        "retention-archived",
        "archive-given-up",
        "retention-archived",
        "retention-deleted",
    ]
    assert events[2].items() >= {"file": lost.name, "gone": 0, "by": "an", "reason": "the disk broke"}.items()
    assert [each.get("file") for each in events][1:4:2] == [lost.name, kept.name]


@pytest.mark.parametrize("journal_url", ["sqlite"], indirect=True)
def test_of_a_file_lost_after_some_went_the_rest_goes_into_another(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(letting_go, "BATCH", 2)
    prepared(engine)
    lost = interrupted(engine, tmp_path, 2)
    left = whole(engine)
    assert len(left) == 2
    lost.write_bytes(b"x")
    part = give_up(engine, lost.name)
    assert (part.state, part.messages) == (PartState.GONE, 2)
    new = announced(engine, tmp_path)
    assert (new.number, new.messages) == (part.number + 1, 2)
    assert now_(make_run(engine, tmp_path).carry_out(new.number)).state is PartState.GONE
    assert whole(engine) == set()
    with transactions.read_transaction(engine) as tx:
        assert {each.name for each in catalogue.list_archives(tx)} > {lost.name}, "what went is in no other file"
        assert list(integrity.find_chain_damage(tx)) == []
    with pytest.raises(FileNeeded):
        give_up(engine, lost.name)


@pytest.mark.parametrize("journal_url", ["sqlite"], indirect=True)
def test_a_run_that_still_reads_the_file_lets_nothing_more_go_with_it(engine, tmp_path, monkeypatch):
    prepared(engine)
    lost = interrupted(engine, tmp_path, 1)
    check = RetentionRun._check

    def meanwhile(run, tx):
        """A person gives the file up while it is open."""
        check(run, tx)
        if lost.exists():
            lost.unlink()
            give_up(engine, lost.name)

    monkeypatch.setattr(RetentionRun, "_check", meanwhile)
    with transactions.read_transaction(engine) as tx:
        (part,) = parts.list_parts(tx)
    with pytest.raises(RetentionHeld, match="another process"):
        now_(make_run(engine, tmp_path).carry_out(part.number))
    assert len(whole(engine)) == 4
    assert now_(make_run(engine, tmp_path).carry_out(part.number)).messages == 4


@pytest.mark.slow
def test_a_person_sees_which_file_is_lost_and_gives_it_up(tmp_path):
    home = homes.begin(tmp_path / "tinh")
    folder = config.read_config(home / "hub.toml").archive
    engine = transactions.open_journal(config.read_config(home / "hub.toml").database_url, pooled=False)
    prepared(engine, 1)
    lost = interrupted(engine, folder, 1)

    def typed(*words: str):
        return CliRunner(env={"LANG": "en"}).invoke(lienthong, ["-c", str(home / "hub.toml"), "archive", *words])

    order = partial(typed, "give-up", lost.name, "--reason", "hong dia")
    refused = order("--yes")
    assert (refused.exit_code, "is whole" in refused.output) == (1, True)
    _ = lost.rename(tmp_path / "aside")
    assert "the file is absent" in typed("verify").output
    planned = order("--json")
    assert (planned.exit_code, json.loads(planned.stdout)["given_up"]) == (0, False)
    with transactions.read_transaction(engine) as tx:
        assert parts.list_parts(tx)[0].state is PartState.ARCHIVED
    assert "goes into another file" in order("--yes").output
    (said,) = [each for each in told(engine) if each["event"] == "archive-given-up"]
    assert (said["by"], said["reason"]) == (name_person(), "hong dia")
    assert typed("verify").exit_code == 0
    assert order("--yes").exit_code == 4
    run = make_run(engine, folder, at=THEN + timedelta(days=1))
    assert now_(run.carry_out(1)).state is PartState.GONE
    again = typed("give-up", next(folder.glob("archive-*.zip")).name, "--reason", "x")
    assert (again.exit_code, "nothing else has them" in again.output) == (1, True)
