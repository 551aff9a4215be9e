"""A journal that was put back is told from the one that went on, and the receipts that it lacks are known and asked for."""

import csv
import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hub.domain.errors import Unready
from hub.domain.fair_queue import Owner
from hub.journal import events, messages
from hub.journal.effects import RecordedMessage
from hub.keeping import backup_runs, eras
from hub.keeping.backups import claims, following, lineage, witness
from hub.keeping.backups.following import WitnessFollower
from hub.keeping.backups.receipts_first import ReceiptsFirst
from hub.keeping.backups.witness import Witness, WitnessLine
from hub.keeping.eras import EraBeginning, KnownReceipt
from hub.node import check
from hub.store import transactions
from hub.store.batch_commit import commit_steps
from hub.store.group_commit import Database
from hub.store.inline_database import InlineDatabase
from hub.store.tables import event, event_index, message
from tests import databases, homes
from tests.backup.test_backup_files import Backed, backed  # noqa: F401 - the fixture
from tests.province import NOW, ROUTES, document, entry

LATER = NOW + timedelta(hours=1)


def record(engine: sa.Engine, *numbers: int) -> None:
    with transactions.write_transaction(engine) as tx:
        for number in numbers:
            messages.record_message(tx, entry(document(document_id=f"D{number}"), number), ROUTES)
        events.chain_events(tx)


def follow(
    engine: sa.Engine,
    seen: Witness,
    rounds: int = 1,
    *,
    folder: Path | None = None,
    name: str = "n",
    ended: list[str] | None = None,
    journal: InlineDatabase | None = None,
    first: ReceiptsFirst | None = None,
    now: datetime = NOW,
) -> WitnessFollower:
    """Let a node run for some seconds."""
    backup = None if folder is None else SimpleNamespace(folder=folder, keep=1)
    clock = Clock()
    live: Any = SimpleNamespace(config=SimpleNamespace(backup=backup, province="H55"))
    told: list[str] = [] if ended is None else ended
    follower = WitnessFollower(
        journal or InlineDatabase(engine),
        live,
        clock,
        lambda: now,
        seen,
        name,
        lambda: told.append(name),
        first,
    )
    follower.startService()
    for _ in range(rounds):
        clock.advance(1)
    _ = follower.stopService()
    return follower


def test_a_node_that_stops_leaves_out_nothing_that_has_a_number(engine: sa.Engine, tmp_path: Path) -> None:
    seen = Witness(tmp_path / "w")
    live: Any = SimpleNamespace(config=SimpleNamespace(backup=None, province="H55"))
    follower = WitnessFollower(InlineDatabase(engine), live, Clock(), lambda: NOW, seen, "n", lambda: None)
    follower.startService()
    record(engine, 1)
    _ = follower.stopService()
    last = Witness(tmp_path / "w").read_last()
    assert last is not None
    assert last.number == head(engine)


def test_nothing_is_ok_before_it_was_counted(engine: sa.Engine, seen: Witness) -> None:
    live: Any = SimpleNamespace(config=SimpleNamespace(backup=None, province="H55"))
    follower = WitnessFollower(InlineDatabase(engine), live, Clock(), lambda: NOW, seen, "n", lambda: None)
    assert "not compared" in str(follower.describe_put_back())
    assert "not counted" in str(follower.describe_awaited())
    assert follower.unknown == {"era", "receipts"}
    follower.startService()
    assert (follower.describe_put_back(), follower.describe_awaited(), follower.unknown) == ("", "", frozenset())


class DiskFull(InlineDatabase):
    """A journal whose commits fail, each with an event of another step in it."""

    def write(self, step: Any, *args: Any, **kwargs: Any) -> Any:
        def full(tx: transactions.Transaction) -> None:
            messages.record_message(tx, entry(document(document_id="D9"), 9), ROUTES)
            events.chain_events(tx)
            step(tx, *args, **kwargs)
            raise Unready("journal-unavailable")

        return super().write(full)


def put_back(engine: sa.Engine, number: int) -> None:
    """Take away what came after the event *number*, as a restore of an older copy does."""
    with transactions.write_transaction(engine) as tx:
        gone = sa.select(event.c.message).where(event.c.number > number)
        tx.execute(sa.update(message).where(message.c.id.in_(gone)).values(message_id="gone " + message.c.message_id))
        listed = sa.select(event.c.serial).where(event.c.number > number)
        tx.execute(sa.delete(event_index).where(event_index.c.serial.in_(listed)))
        tx.execute(sa.delete(event).where(event.c.number > number))


def come_again(engine: sa.Engine, *numbers: int) -> None:
    """Let senders send again what the journal lacks."""
    with transactions.write_transaction(engine) as tx:
        for number in numbers:
            told = entry(document(document_id=f"D{number} again"), number + 20, message_id=f"m{number}")
            messages.record_message(tx, told, ROUTES)
        events.chain_events(tx)


def head(engine: sa.Engine) -> int:
    with transactions.read_transaction(engine) as tx:
        return events.read_chain_head(tx)[0]


def missing(engine: sa.Engine) -> dict[str, str | None]:
    with transactions.read_transaction(engine) as tx:
        return {each.receipt.message_id: each.again for each in eras.list_lost_receipts(tx)}


def found(engine: sa.Engine, seen: Witness) -> str:
    with transactions.read_transaction(engine) as tx:
        return str(lineage.find_put_back(tx, seen.read_last()) or "")


@pytest.fixture
def seen(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "witness")


def test_a_journal_that_ends_earlier_than_a_node_has_seen_was_put_back(engine: sa.Engine, seen: Witness) -> None:
    record(engine, 1)
    follow(engine, seen)
    before = head(engine)
    record(engine, 2, 3)
    follow(engine, seen)
    assert found(engine, Witness(seen.folder)) == "", "a restart of the same hub is no restore"
    put_back(engine, before)
    assert "it was put back" in found(engine, Witness(seen.folder))
    follower = follow(engine, Witness(seen.folder))
    assert "it was put back" in str(follower.describe_put_back()), "seen while the hub runs, too"


def test_a_new_witness_has_the_receipts_that_were_given_before_its_first_line(engine: sa.Engine, seen: Witness) -> None:
    record(engine, 1, 2)
    follow(engine, seen)
    assert {each.message_id for each in seen.find_missing(1, 0)} == {"m1", "m2"}


def test_a_new_witness_beside_an_old_journal_begins_at_its_end_and_says_so(
    engine: sa.Engine, seen: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(engine, 1, 2)
    monkeypatch.setattr(lineage, "MOST_TAKEN_UP", 1)
    follow(engine, seen, now=LATER)
    assert not list(seen.find_missing(1, 0))
    assert seen.find_window(1, 0, NOW, LATER + timedelta(minutes=1)) == (LATER, LATER)


def test_a_node_has_not_seen_what_was_never_committed(engine: sa.Engine, seen: Witness) -> None:
    follow(engine, seen, journal=DiskFull(engine))
    assert seen.read_last() is None
    follow(engine, seen)
    assert found(engine, Witness(seen.folder)) == ""


def test_a_journal_that_was_put_back_and_went_on_has_another_history(engine: sa.Engine, seen: Witness) -> None:
    record(engine, 1)
    before = head(engine)
    record(engine, 2)
    follow(engine, seen)
    put_back(engine, before)
    record(engine, 7, 8, 9)
    assert head(engine) > before
    assert "another event" in found(engine, Witness(seen.folder))


def test_events_that_were_let_go_are_no_sign_of_a_restore(engine: sa.Engine, seen: Witness) -> None:
    record(engine, 1)
    follow(engine, seen)
    last = head(engine)
    record(engine, 2)
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.delete(event).where(event.c.number <= last))
    assert found(engine, seen) == ""


def test_a_node_that_was_away_goes_on_behind_more_events_that_were_let_go_than_it_reads_at_once(
    engine: sa.Engine, seen: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(engine, 1)
    follow(engine, seen)
    record(engine, 2, 3, 4)
    gone = head(engine)
    record(engine, 5)
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.delete(event).where(event.c.number <= gone))
    monkeypatch.setattr(following, "_AT_ONCE", 2)
    follow(engine, seen)
    last = seen.read_last()
    assert last is not None
    assert last.number == head(engine)
    assert [each.message_id for each in seen.find_missing(1, gone)] == ["m5"]


def test_what_is_missing_is_known_and_is_awaited_until_it_comes_again(engine: sa.Engine, seen: Witness) -> None:
    follow(engine, seen)
    record(engine, 1)
    follow(engine, seen)
    before = head(engine)
    record(engine, 2, 3)
    follow(engine, seen)
    put_back(engine, before)
    with transactions.write_transaction(engine) as tx:
        era, lost = lineage.begin_restored_era(
            tx, Witness(seen.folder), LATER, because=EraBeginning.ADOPTED, reason="x", by="me"
        )
        assert (era.number, lost, era.complete) == (2, 2, False), "a receipt may have left after the last line"
        assert (era.complete_from, era.complete_until) == (era.since, NOW)
        assert era.event == before
        events.chain_events(tx)
    assert missing(engine) == {"m2": None, "m3": None}
    again = Witness(seen.folder)
    assert found(engine, again) == "", "somebody said so"
    follower = follow(engine, again)
    assert "2 messages with a receipt are missing" in str(follower.describe_awaited())
    assert follower.describe_put_back() == ""
    come_again(engine, 3)
    assert missing(engine)["m2"] is None
    assert missing(engine)["m3"] is not None
    come_again(engine, 2)
    assert follow(engine, again).describe_awaited() == ""


def test_another_node_adds_what_it_alone_has_seen(engine: sa.Engine, tmp_path: Path) -> None:
    one, two = Witness(tmp_path / "one"), Witness(tmp_path / "two")
    follow(engine, one)
    follow(engine, two)
    before = head(engine)
    record(engine, 1)
    follow(engine, one)
    record(engine, 2)
    follow(engine, two)
    put_back(engine, before)
    with transactions.write_transaction(engine) as tx:
        lineage.begin_restored_era(tx, one, LATER, because=EraBeginning.RESTORED, reason="", by="me")
    assert set(missing(engine)) == {"m1"}
    follow(engine, two)
    assert set(missing(engine)) == {"m1", "m2"}
    follow(engine, two)
    assert found(engine, two) == ""


def test_a_journal_restored_twice_is_told_from_that_of_the_era_between(engine: sa.Engine, seen: Witness) -> None:
    record(engine, 1)
    follow(engine, seen)
    first = head(engine)
    with transactions.write_transaction(engine) as tx:
        lineage.begin_restored_era(tx, seen, LATER, because=EraBeginning.RESTORED, reason="", by="me")
        events.chain_events(tx)
    record(engine, 2)
    follow(engine, seen)
    put_back(engine, first)
    with transactions.write_transaction(engine) as tx:
        tx.exec_driver_sql("DELETE FROM era WHERE number = 2")
    assert "which the journal does not know" in found(engine, seen)
    with transactions.write_transaction(engine) as tx:
        era, lost = lineage.begin_restored_era(tx, seen, LATER, because=EraBeginning.RESTORED, reason="", by="me")
    assert (era.number, lost) == (3, 1), "no number is used twice"


def line(number: int, *receipts: KnownReceipt) -> WitnessLine:
    return WitnessLine(1, "e1", number, f"h{number}", NOW, receipts, NOW)


def receipt(number: int) -> KnownReceipt:
    return KnownReceipt(f"i{number}", "vpub", f"m{number}", "00", NOW)


def test_a_line_that_a_crash_has_torn_is_passed_over_and_written_over(seen: Witness) -> None:
    seen.append(line(1, receipt(1)))
    seen.append(line(2, receipt(2)))
    (file,) = seen.folder.iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    again = Witness(seen.folder)
    assert again.read_last() == line(1, receipt(1))
    again.append(line(3, receipt(3)))
    assert [each.id for each in Witness(seen.folder).find_missing(1, 0)] == ["i1", "i3"]


def goes_back_to(seen: Witness, number: int) -> bool:
    """Tell whether its window begins with the event *number*, which was an hour ago."""
    window = seen.find_window(1, number, NOW - timedelta(hours=1), NOW)
    assert window is not None
    return window[0] < NOW


def test_it_is_bounded_and_keeps_what_no_backup_has(seen: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "LARGEST", 1)
    for number in range(1, 7):
        seen.append(line(number, receipt(number)))
    assert goes_back_to(seen, 1)
    seen.forget(4)
    assert [each.id for each in seen.find_missing(1, 0)] == ["i4", "i5", "i6"]
    assert not goes_back_to(seen, 3)
    monkeypatch.setattr(witness, "MOST", 1)
    seen.forget(0)
    assert [each.id for each in seen.find_missing(1, 0)] == ["i6"], "the last stays"


# --- from when to when it has every receipt


def restore_now(engine: sa.Engine, seen: Witness) -> eras.Era:
    with transactions.write_transaction(engine) as tx:
        era, _ = lineage.begin_restored_era(
            tx, Witness(seen.folder), LATER, because=EraBeginning.RESTORED, reason="", by="me"
        )
    return era


def test_a_receipt_without_a_number_ends_the_time_of_which_the_witness_has_all(
    engine: sa.Engine, seen: Witness
) -> None:
    follow(engine, seen)
    record(engine, 1)
    with transactions.write_transaction(engine) as tx:
        late = attrs.evolve(entry(document(document_id="D2"), 2), received_at=NOW - timedelta(minutes=5))
        messages.record_message(tx, late, ROUTES)
    follow(engine, seen)
    last = seen.read_last()
    assert last is not None
    assert last.until == late.received_at
    with transactions.write_transaction(engine) as tx:
        events.chain_events(tx)
    follow(engine, seen)
    last = seen.read_last()
    assert last is not None
    assert last.until == NOW


def test_a_node_that_is_behind_says_nothing_of_the_time_that_it_has_not_seen(
    engine: sa.Engine, seen: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(engine, seen)
    before = seen.read_last()
    assert before is not None
    record(engine, 1, 2)
    monkeypatch.setattr(following, "_AT_ONCE", 1)
    lines: list[WitnessLine] = []
    append = Witness.append

    def note(witness: Witness, line: WitnessLine) -> None:
        lines.append(line)
        append(witness, line)

    monkeypatch.setattr(Witness, "append", note)
    follow(engine, Witness(seen.folder), now=NOW + timedelta(minutes=2))
    assert len(lines) > 2
    assert {each.until for each in lines[:-1]} == {before.until}
    assert lines[-1].until == NOW + timedelta(minutes=2)


def test_a_witness_that_saw_nothing_after_the_restored_moment_knows_of_no_time(
    engine: sa.Engine, seen: Witness
) -> None:
    follow(engine, seen)
    with transactions.write_transaction(engine) as tx:
        later = attrs.evolve(entry(document(document_id="D1"), 1), received_at=NOW + timedelta(minutes=5))
        messages.record_message(tx, later, ROUTES)
    era = restore_now(engine, seen)
    assert (era.complete, era.complete_from, era.complete_until) == (False, None, None)


def give(engine: sa.Engine, first: ReceiptsFirst, *numbers: int) -> list[object]:
    """Commit these messages as the hub does; return what their callers hear."""

    def step(number: int) -> Any:
        return lambda tx: messages.record_message(tx, entry(document(document_id=f"D{number}"), number), ROUTES)

    return commit_steps(engine, [step(number) for number in numbers], witness=first)


def written(seen: Witness) -> set[str]:
    return {each.message_id for each in Witness(seen.folder).find_missing(1, 0)}


def begin_first(engine: sa.Engine, seen: Witness, *, alone: bool = True) -> ReceiptsFirst:
    first = ReceiptsFirst(seen, lambda: NOW, alone)
    follow(engine, seen, first=first)
    assert first.begun
    return first


def test_where_receipts_are_witnessed_first_none_is_missing_whenever_the_hub_ends(
    engine: sa.Engine, seen: Witness
) -> None:
    record(engine, 1)
    first = begin_first(engine, seen)
    before = head(engine)
    give(engine, first, 2, 3)
    assert written(seen) >= {"m2", "m3"}, "before they have a number"
    with transactions.write_transaction(engine) as tx:
        events.chain_events(tx)
    follow(engine, seen, first=first)
    give(engine, first, 4)
    put_back(engine, before)
    with transactions.write_transaction(engine) as tx:  # what had no number is not in the copy either
        tx.execute(sa.update(message).where(message.c.message_id == "m4").values(message_id="gone m4"))
    era = restore_now(engine, seen)
    assert (era.complete, era.complete_from, era.complete_until) == (True, era.since, LATER)
    assert set(missing(engine)) == {"m2", "m3", "m4"}


def test_a_receipt_does_not_leave_when_the_witness_cannot_be_written_and_leaves_once_it_can(
    engine: sa.Engine, seen: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begin_first(engine, seen)
    with monkeypatch.context() as full:
        full.setattr(Witness, "append_ahead", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        (failed,) = give(engine, first, 1)
    assert isinstance(failed, Failure)
    assert isinstance(failed.value, Unready)
    assert "the witness cannot be written" in str(failed.value.problem.detail)
    (again,) = give(engine, first, 1)
    assert isinstance(again, RecordedMessage)
    assert written(seen) == {"m1"}


def test_a_step_that_was_undone_leaves_no_receipt_in_the_witness(engine: sa.Engine, seen: Witness) -> None:
    first = begin_first(engine, seen)

    def fail(tx: transactions.Transaction) -> None:
        messages.record_message(tx, entry(document(document_id="D1"), 1), ROUTES)
        raise ValueError

    commit_steps(engine, [fail, lambda _tx: None], witness=first)
    give(engine, first, 2)
    assert written(seen) == {"m2"}


def test_what_another_node_gives_is_not_promised(engine: sa.Engine, seen: Witness) -> None:
    first = begin_first(engine, seen, alone=False)
    give(engine, first, 1)
    era = restore_now(engine, seen)
    assert not era.complete
    assert era.complete_until is None or era.complete_until <= NOW


def test_no_call_is_let_in_before_the_witness_has_caught_up(engine: sa.Engine, seen: Witness) -> None:
    first = ReceiptsFirst(seen, lambda: NOW, alone=True)
    made = Database(engine, Clock(), witness=first)  # type: ignore[arg-type]
    refused: list[Any] = []
    _ = made.admit(Owner("vpub"), lambda _tx: 1).addErrback(refused.append)
    assert [each.value.problem.code for each in refused] == ["hub-busy"]


def test_a_hub_that_starts_without_the_setting_ends_the_promise_before_any_receipt(
    engine: sa.Engine, seen: Witness
) -> None:
    first = begin_first(engine, seen)
    give(engine, first, 1)
    Witness(seen.folder).set_promise(NOW, first=False)
    era = restore_now(engine, seen)
    assert not era.complete
    assert written(seen) == {"m1"}


# --- two hubs


def test_the_hub_that_was_replaced_ends_and_the_one_that_replaced_it_goes_on(tmp_path: Path) -> None:
    one = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    folder, ended = tmp_path / "kept", list[str]()
    folder.mkdir()
    record(one, 1)
    follow(one, Witness(tmp_path / "one"), folder=folder, name="one", ended=ended)
    with closing(sqlite3.connect(tmp_path / "hub.db")) as live, closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        live.backup(copy)
    two = transactions.open_journal(f"sqlite:///{tmp_path / 'copy.db'}", pooled=False)
    with transactions.write_transaction(two) as tx:
        lineage.begin_restored_era(
            tx, Witness(tmp_path / "two"), LATER, because=EraBeginning.RESTORED, reason="", by="me"
        )
    follow(two, Witness(tmp_path / "two"), folder=folder, name="two", ended=ended)
    assert ended == []
    replaced = follow(one, Witness(tmp_path / "one"), folder=folder, name="one", ended=ended)
    assert ended == ["one"]
    assert "has replaced this one of era 1" in str(replaced.describe_put_back())
    follow(two, Witness(tmp_path / "two"), folder=folder, name="two", ended=ended)
    assert ended == ["one"], "the claim is still that of the second"


def test_a_folder_that_went_away_is_named_and_one_that_was_never_made_is_not(
    engine: sa.Engine, tmp_path: Path, seen: Witness
) -> None:
    with capture_logs() as before:
        follow(engine, seen, folder=tmp_path / "kept")
    with transactions.write_transaction(engine) as tx:
        begun = backup_runs.begin_backup_run(tx, "n", NOW)
        assert begun is not None
        backup_runs.end_backup_run(tx, begun, NOW, made_at=NOW, file="f", octets=1, number=0, restored=True)
    with capture_logs() as after:
        follow(engine, seen, folder=tmp_path / "kept")
    assert [each["event"] for each in (*before, *after)] == ["era-not-claimed"]


@pytest.mark.parametrize(
    ("node", "later", "stopped", "runs"),
    [
        ("other", timedelta(minutes=1), False, True),
        ("other", timedelta(minutes=6), False, False),  # it is silent
        ("other", timedelta(minutes=1), True, False),
        ("mine", timedelta(minutes=1), False, False),  # its data directory is locked by whoever asks
    ],
)
def test_a_hub_runs_elsewhere_as_long_as_it_says_so(
    engine: sa.Engine, tmp_path: Path, node: str, later: timedelta, stopped: bool, runs: bool
) -> None:
    with transactions.write_transaction(engine) as tx:
        era = eras.ensure_era(tx, NOW)
    claims.write_claim(tmp_path, "H55", era, node, NOW, stopped=stopped)
    claim = claims.read_claim(tmp_path, "H55")
    assert (claims.find_running(claim, "mine", NOW + later) is not None) is runs
    assert claims.read_claim(tmp_path, "H56") is None


# --- what an operator types


@pytest.fixture
def watched(backed: Backed) -> Backed:  # noqa: F811 - it is the fixture
    """A hub whose node has run."""
    node(backed)
    return backed


def node(office: Backed) -> None:
    engine = homes.engine_of(office.home)
    follow(engine, Witness(office.home / "data/witness"))
    engine.dispose()


def mistakes(office: Backed) -> list[str]:
    return [str(each.wrong) for each in check.check_config(office.home / "hub.toml", datetime.now(UTC)).mistakes]


def test_a_restored_hub_begins_an_era_and_says_what_to_ask_for(watched: Backed, tmp_path: Path) -> None:
    file = watched.back_up()
    watched.record(4, 5)
    node(watched)
    (restored,) = watched.run("restore", file, "--identity", watched.identity, "--reason", "hong dia")
    assert (restored["era"], restored["lost"], restored["complete"]) == (2, 2, False)
    assert restored["complete_from"] == restored["since"]
    assert restored["complete_until"] == NOW.isoformat(), "when the node looked last"
    assert mistakes(watched) == []
    lost = watched.run("lost")
    assert {(each["partner"], each["message_id"], each["again"]) for each in lost} == {
        ("sotttt", "m4", None),
        ("sotttt", "m5", None),
    }
    listed = watched.typed("list")
    assert "the journal was put back; known receipts whose messages have not come again: 2" in listed.stderr.lower()
    written = watched.run("letters", tmp_path / "letters")
    assert {each["partner"]: each["known"] for each in written} == {"sotttt": 2, "vpub": 0, "vpcp": 0}
    assert "same MessageId and the same bytes" in (tmp_path / "letters/vpcp.txt").read_text("utf-8"), "all are asked"
    with (tmp_path / "letters/sotttt.csv").open(encoding="utf-8") as rows:
        assert [row["MessageId"] for row in csv.DictReader(rows)] == ["m4", "m5"]
    node(watched)
    watched.record(4)
    assert {each["message_id"] for each in watched.run("lost", "--awaited")} == {"m5"}


def test_a_copy_put_in_place_by_hand_is_not_served_until_a_person_says_so(watched: Backed) -> None:
    journal, copy = watched.home / "data/hub.db", watched.home / "copy.db"
    assert homes.typing(watched.home)("db", "backup", str(copy)).exit_code == 0
    watched.record(4)
    node(watched)
    for end in ("-wal", "-shm"):
        Path(f"{journal}{end}").unlink(missing_ok=True)
    shutil.copy(copy, journal)
    (said,) = mistakes(watched)
    assert "it was put back" in said
    planned = watched.run("adopt", "--reason", "chep tay")
    assert [each["action"] for each in planned] == ["planned"]
    assert len(mistakes(watched)) == 1, "a plan changes nothing"
    (adopted,) = watched.run("adopt", "--reason", "chep tay", "--yes")
    assert (adopted["era"], adopted["lost"]) == (2, 1)
    assert mistakes(watched) == []
    engine = homes.engine_of(watched.home)
    with transactions.read_transaction(engine) as tx:
        text = tx.scalar(sa.select(event.c.text).where(event.c.text.like('%"event":"era-begun"%')))
    said_of: dict[str, Any] = json.loads(str(text))
    assert (said_of["era"], said_of["because"], said_of["reason"]) == (2, "adopted", "chep tay")


def test_a_hub_is_not_restored_beside_one_that_runs_and_what_it_replaces_does_not_start(
    watched: Backed, tmp_path: Path
) -> None:
    watched.configure(keys="true", folder=f'"{tmp_path / "kept"}"')
    file, signer = watched.back_up(), watched.home / "pki/hub.crt"
    engine = homes.engine_of(watched.home)
    with transactions.write_transaction(engine) as tx:
        era = eras.ensure_era(tx, NOW)
    claims.write_claim(tmp_path / "kept", "H55", era, "one", datetime.now(UTC))
    words = ("restore", file, "--identity", watched.identity, "--signer", signer)
    refused = watched.typed(*words, "--configuration-to", tmp_path / "first")
    assert refused.exit_code == 1
    assert "the hub of era 1 runs: node one" in refused.stderr
    claims.write_claim(tmp_path / "kept", "H55", era, "one", datetime.now(UTC) - timedelta(hours=1))
    *_, restored = watched.run(*words, "--configuration-to", tmp_path / "second")
    assert restored["era"] == 2
    (said,) = mistakes(watched)
    assert "a hub of era 2 has replaced this one of era 1" in said
    assert mistakes(attrs.evolve(watched, home=tmp_path / "second")) == []


def test_no_letters_are_written_for_a_journal_that_was_never_put_back(watched: Backed, tmp_path: Path) -> None:
    assert watched.typed("letters", tmp_path / "letters").exit_code == 1
    assert not (tmp_path / "letters").exists()
