"""Group commit: what gathers shares one commit, and one step that fails never fails its neighbours."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hub import database, journal, ledger, search, store, watch
from hub.database import Database, commit
from hub.errors import Unready
from hub.journal import Taken
from hub.search import Filter
from tests.conftest import not_applicable
from tests.province import ROUTES, document, entry


def take(number, **fields):
    return lambda tx: journal.take(tx, entry(document(document_id=f"D{number}"), number, **fields), ROUTES)


def broken(tx):
    """Write something, then fail: what it wrote must not stay."""
    journal.take(tx, entry(document(), 99), ROUTES)
    raise ValueError("mine alone")


def kept(engine):
    with store.reading(engine) as tx:
        return [message.message_id for message in search.messages(tx, Filter())]


def test_a_step_that_fails_fails_alone_and_leaves_nothing(engine):
    first, failed, last = commit(engine, [take(1), broken, take(2)])
    assert isinstance(first, Taken)
    assert isinstance(last, Taken)
    assert isinstance(failed, Failure)
    assert failed.check(ValueError)
    assert kept(engine) == ["m1", "m2"]


def test_a_twin_in_the_same_commit_gets_the_firsts_receipt(engine):
    twin = entry(document(document_id="D1"), 2, message_id="m1", content=b"packet 1")
    first, second = commit(engine, [take(1), lambda tx: journal.take(tx, twin, ROUTES)])
    assert first == second
    with store.reading(engine) as tx:
        assert len(list(ledger.facts(tx))) == 1


def test_when_the_database_breaks_under_one_step_the_others_are_committed_and_that_one_may_be_sent_again(engine):
    def breaks(tx):
        raise sa.exc.OperationalError("insert", {}, RuntimeError("disk I/O error"))

    first, unready, last = commit(engine, [take(1), breaks, take(2)])
    assert isinstance(unready, Failure)
    assert unready.check(Unready)
    assert "disk I/O error" in unready.getErrorMessage()
    assert kept(engine) == ["m1", "m2"]
    assert isinstance(first, Taken)
    assert isinstance(last, Taken)


def test_a_commit_that_fails_acknowledges_nothing(engine, monkeypatch):
    real = engine.dialect.do_commit

    def no_space(connection):
        raise sa.exc.OperationalError("COMMIT", {}, RuntimeError("database or disk is full"))

    monkeypatch.setattr(engine.dialect, "do_commit", no_space)
    results = commit(engine, [take(1), take(2)])
    assert all(isinstance(result, Failure) and result.check(Unready) for result in results)
    monkeypatch.setattr(engine.dialect, "do_commit", real)
    assert kept(engine) == []
    (taken,) = commit(engine, [take(1)])
    assert isinstance(taken, Taken), "the same may be sent again"


@pytest.fixture
def running(engine, monkeypatch):
    """A Database whose threads run when the test says so."""
    queued = []

    def defer_to(_reactor, _pool, work, *args):
        waiting: defer.Deferred[object] = defer.Deferred()
        queued.append(lambda: waiting.callback(work(*args)))
        return waiting

    monkeypatch.setattr("hub.database.threads.deferToThreadPool", defer_to)
    clock = Clock()
    return Database(engine, clock), clock, queued  # type: ignore[arg-type]


def test_what_arrives_in_one_turn_or_while_a_commit_runs_shares_the_next_commit(running, engine):
    made, clock, queued = running
    told: list[Taken] = []
    for number in (1, 2):
        made.write(take(number)).addCallback(told.append)
    assert queued == [], "the turn is not over"
    clock.advance(0)
    assert len(queued) == 1
    for number in (3, 4, 5):
        made.write(take(number)).addCallback(told.append)
    clock.advance(0)
    assert len(queued) == 1, "one commit at a time"
    assert told == []
    queued.pop(0)()
    assert [taken.id[-1] for taken in told] == ["1", "2"], "told after their commit, not before"
    queued.pop(0)()
    assert [taken.id[-1] for taken in told] == ["1", "2", "3", "4", "5"]
    assert queued == []
    assert kept(engine) == ["m1", "m2", "m3", "m4", "m5"]


def test_at_most_so_many_share_a_commit(running):
    made, clock, queued = running
    for number in range(database._BATCH + 1):
        made.write(lambda _tx, number=number: number)
    clock.advance(0)
    queued.pop(0)()
    assert len(queued) == 1, "the one that did not fit is next"
    queued.pop(0)()


@pytest.fixture
def served(engine, monkeypatch):
    """A Database that asks its server, whose threads run when the test says so."""
    if engine.dialect.name == "sqlite":
        not_applicable("a file is never away")
    queued: list[tuple[Callable[[], object], defer.Deferred[object]]] = []

    def defer_to(_reactor, _pool, work, *args):
        waiting: defer.Deferred[object] = defer.Deferred()
        queued.append((lambda: work(*args), waiting))
        return waiting

    for place in ("hub.database", "hub.watch"):
        monkeypatch.setattr(f"{place}.threads.deferToThreadPool", defer_to)
    clock = Clock()
    made = Database(engine, clock, engine)  # type: ignore[arg-type]
    assert made._watch is not None
    made._watch.start()
    yield made, clock, queued
    made._watch.stop()


def test_while_the_server_is_away_nobody_waits_for_it_and_what_was_not_begun_is_not_done(served, engine):
    made, clock, queued = served
    begun = made.write(take(1))
    clock.advance(0)
    told: list[Failure] = []
    for answer in (begun, made.write(take(2)), made.read(lambda _tx: 1)):
        answer.addErrback(told.append)
    (_commit, committed), (_look, looked) = queued
    clock.advance(watch.PATIENCE)
    assert len(queued) == 3, "it is asked"
    assert told == []
    clock.advance(watch.GRACE)
    assert len(told) == 3
    for answer in (made.write(take(3)), made.read(lambda _tx: 1)):
        answer.addErrback(told.append)
    assert [bool(failure.check(Unready)) for failure in told] == [True] * 5, "at once"
    assert len(queued) == 3, "nothing more is begun"
    committed.callback(commit(engine, [take(1)]))  # it goes through at last; who waited was told to send again
    looked.callback(1)
    queued[2][1].callback(None)
    again: list[object] = []
    made.write(take(1)).addCallback(again.append)
    clock.advance(0)
    run, done = queued[3]
    done.callback(run())
    assert kept(engine) == ["m1"]
    assert isinstance(again[0], Taken)
    assert len(told) == 5, "told once"
