"""SQLite's file under a running hub: moved, replaced, not read for a moment, damaged."""

import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hub.domain.errors import Unready
from hub.journal import messages
from hub.language.phrases import Phrase, phrase
from hub.store import damage_watch, transactions
from hub.store.group_commit import Database
from hub.store.journal_file import JournalFile, JournalInodes
from tests import databases
from tests.province import ROUTES, document, entry


@attrs.define(eq=False)
class Held:
    """A journal on SQLite, whose threads run at once, but for those that examine its file."""

    path: Path
    clock: Clock
    journal: Database
    found: list[Phrase]  #: what an examination finds
    examinations: list[bool]  #: for each that ran, whether it looked through the indexes, too
    waiting: list[Any]  #: examinations that have not begun

    def write(self, step):
        done = self.journal.write(step)
        self.clock.advance(0)
        return result(done)

    def examine(self):
        """Let the examination run that waits."""
        self.waiting.pop(0)()


@pytest.fixture
def held(tmp_path, monkeypatch):
    waiting: list[Any] = []

    def defer_to(_reactor, _pool, work, *args):
        done: defer.Deferred[object] = defer.Deferred()

        def run() -> None:
            try:
                answer = work(*args)
            except Exception:  # noqa: BLE001 - as a thread pool does
                done.errback(Failure())
            else:
                done.callback(answer)

        if work.__name__ == "_examine":
            waiting.append(run)
        else:
            run()
        return done

    monkeypatch.setattr("hub.store.group_commit.threads.deferToThreadPool", defer_to)
    path, clock, found, examinations = tmp_path / "hub.db", Clock(), list[Phrase](), list[bool]()

    def find(_tx, whole, _enough):
        examinations.append(whole)
        return tuple(found)

    engine = transactions.open_journal(databases.sqlite(path))
    journal = Database(engine, clock, find_damage=find)  # type: ignore[arg-type]
    yield Held(path, clock, journal, found, examinations, waiting)
    engine.dispose()
    close(journal)


def close(journal):
    assert journal._file is not None
    journal._file.close()


def result(done):
    """Return the result of a Deferred, or its `Unready`."""
    told: list[Any] = []
    done.addBoth(told.append)
    (found,) = told
    return found.trap(Unready) and found.value if isinstance(found, Failure) else found


def take(tx):
    return messages.record_message(tx, entry(document(), 1), ROUTES)


def swap(path):
    """Put another journal in the place of *path*."""
    shutil.copy(path, path.with_name("other.db"))
    path.with_name("other.db").rename(path)


def test_a_commit_in_the_midst_of_which_the_file_was_replaced_gives_no_receipt(held):
    def straddle(tx):
        taken = take(tx)
        swap(held.path)
        return taken

    refused = held.write(straddle)
    assert refused.problem.code == "journal-moved"
    assert str(held.path) in str(refused.problem.detail)
    assert held.write(take) is refused, "nothing is begun any more"
    assert result(held.journal.read(lambda _tx: 1)) is refused
    assert str(held.journal.describe_file_flaw()).startswith(str(held.path))


def test_what_is_read_while_the_file_is_replaced_is_not_told(held):
    assert result(held.journal.read(lambda _tx: 1)) == 1
    assert result(held.journal.read(lambda _tx: swap(held.path))).problem.code == "journal-moved"


def test_a_new_connection_is_never_opened_to_another_file(held):
    assert result(held.journal.read(lambda _tx: 1)) == 1
    swap(held.path)
    held.journal._engine.dispose()
    asked: list[object] = []
    assert result(held.journal.read(asked.append)).problem.code == "journal-moved"
    assert asked == []


def test_it_does_not_pass_when_the_file_is_back(held):
    assert result(held.journal.read(lambda _tx: 1)) == 1
    held.path.rename(held.path.with_name("aside.db"))
    assert held.write(take).problem.code == "journal-moved"
    held.path.with_name("aside.db").rename(held.path)
    assert held.write(take).problem.code == "journal-moved"


def test_a_process_that_begins_later_looks_for_the_file_that_the_node_has_open(held):
    assert result(held.journal.read(lambda _tx: 1)) == 1
    same = Database(held.journal._engine, held.clock, inodes=held.journal.inodes)
    assert result(same.read(lambda _tx: 1)) == 1
    close(same)
    other = Database(held.journal._engine, held.clock, inodes=JournalInodes((0, 0), (0, 0)))
    assert result(other.read(lambda _tx: 1)).problem.code == "journal-moved"
    close(other)


def test_a_path_that_cannot_be_looked_at_is_no_other_file(held, monkeypatch):
    assert result(held.journal.read(lambda _tx: 1)) == 1
    with monkeypatch.context() as failing:
        failing.setattr("hub.store.journal_file.os.stat", _fail)
        assert held.write(take).problem.code == "journal-unavailable"
    assert not isinstance(held.write(take), Unready)


def _fail(*_args):
    raise OSError(5, "Input/output error")


def fail_as_damaged(*_args):
    """Fail as SQLite does when it takes what it read for damage."""
    error = RuntimeError("database disk image is malformed")
    error.sqlite_errorcode = 11  # type: ignore[attr-defined]
    raise sa.exc.DatabaseError("SELECT", {}, error)


def doubt(held):
    """Let a step fail so."""
    return held.write(lambda _tx: fail_as_damaged())


def test_while_a_doubted_file_is_examined_nothing_is_served_and_then_it_goes_on_by_itself(held):
    assert doubt(held).problem.code == "journal-unavailable", "it is not called damaged"
    refused = held.write(take)
    assert (refused.problem.code, refused.retry_after) == ("journal-unavailable", 5)
    assert "is being examined" in str(held.journal.describe_file_flaw())
    held.examine()
    assert held.examinations == [False]
    assert held.journal.describe_file_flaw() == ""
    assert not isinstance(held.write(take), Unready)


def test_a_damaged_file_is_called_so_with_what_was_found_and_examined_again(held):
    held.found.append(phrase("the octets of {name} do not match this hash", name="x"))
    doubt(held)
    held.examine()
    refused = held.write(take)
    assert (refused.problem.code, refused.retry_after) == ("journal-damaged", 600)
    assert str(refused.problem.detail) == "proved by: the octets of x do not match this hash"
    held.found.clear()
    held.clock.advance(damage_watch.PAUSE)
    held.examine()
    assert not isinstance(held.write(take), Unready)


def test_a_disk_that_does_not_read_is_no_damage(held, monkeypatch):
    assert result(held.journal.read(lambda _tx: 1)) == 1
    with monkeypatch.context() as failing:
        failing.setattr("hub.store.journal_file.os.pread", _fail)
        doubt(held)
        held.examine()
        refused = held.write(take)
        assert (refused.problem.code, held.examinations) == ("journal-unavailable", [])
        assert str(refused.problem.detail) == f"{held.path} cannot be read: Input/output error"
    held.clock.advance(damage_watch.PAUSE)
    held.examine()
    assert not isinstance(held.write(take), Unready)


def test_a_read_that_failed_when_the_node_began_is_no_damage_either(held, monkeypatch):
    """No connection had been kept open by then, nor the file for the examination."""
    with monkeypatch.context() as failing:
        failing.setattr(JournalFile, "open", fail_as_damaged)
        assert held.write(take).problem.code == "journal-unavailable"
    held.examine()
    assert held.journal.describe_file_flaw() == ""
    assert not isinstance(held.write(take), Unready)


def test_a_file_that_is_doubted_again_soon_is_looked_through_wholly(held):
    for wait in (0, damage_watch.AGAIN - 1, damage_watch.AGAIN):
        held.clock.advance(wait)
        doubt(held)
        held.examine()
    assert held.examinations == [False, True, False]


def test_a_stop_begins_no_further_examination(held):
    held.found.append(phrase("the octets of {name} do not match this hash", name="x"))
    doubt(held)
    held.examine()
    held.journal._damage.stop()
    assert held.clock.getDelayedCalls() == []
