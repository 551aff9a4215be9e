"""Group commit: what gathers shares one commit, and one step that fails never fails its neighbours."""

import pickle
from collections.abc import Callable
from itertools import pairwise

import pytest
import sqlalchemy as sa
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hub.domain.errors import Unready
from hub.domain.fair_queue import CONSOLE, DUTIES, PUBLIC, Owner
from hub.domain.measures import COMMIT_SECONDS, COMMIT_STEPS, COMMITS_FAILED, WRITER_SECONDS
from hub.domain.writer_budget import CREDIT, SHARE, TURN
from hub.journal import messages
from hub.journal.effects import RecordedMessage
from hub.journal.fact_reading import fact_rows
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.runtime import server_monitor
from hub.store import batch_commit, group_commit, transactions
from hub.store.batch_commit import ChargedStep, SetStep, commit_steps
from hub.store.group_commit import Database
from tests.conftest import not_applicable
from tests.province import ROUTES, document, entry

ONE, OTHER = Owner("sotttt"), Owner("vpub")


def take(number, **fields):
    return lambda tx: messages.record_message(tx, entry(document(document_id=f"D{number}"), number, **fields), ROUTES)


def broken(tx):
    """Write something, then fail: what it wrote must not stay."""
    messages.record_message(tx, entry(document(), 99), ROUTES)
    raise ValueError("mine alone")


def kept(engine):
    with transactions.read_transaction(engine) as tx:
        return [message.message_id for message in search.find_messages(tx, MessageFilter())]


def test_a_step_that_fails_fails_alone_and_leaves_nothing(engine):
    first, failed, last = commit_steps(engine, [take(1), broken, take(2)])
    assert isinstance(first, RecordedMessage)
    assert isinstance(last, RecordedMessage)
    assert isinstance(failed, Failure)
    assert failed.check(ValueError)
    assert kept(engine) == ["m1", "m2"]


def test_a_twin_in_the_same_commit_gets_the_firsts_receipt(engine):
    twin = entry(document(document_id="D1"), 2, message_id="m1", content=b"packet 1")
    first, second = commit_steps(engine, [take(1), lambda tx: messages.record_message(tx, twin, ROUTES)])
    assert first == second
    with transactions.read_transaction(engine) as tx:
        assert len(list(fact_rows.read_facts(tx))) == 1


def test_when_the_database_breaks_under_one_step_the_others_are_committed_and_that_one_may_be_sent_again(engine):
    def breaks(tx):
        raise sa.exc.OperationalError("insert", {}, RuntimeError("disk I/O error"))

    first, unready, last = commit_steps(engine, [take(1), breaks, take(2)])
    assert isinstance(unready, Failure)
    assert unready.check(Unready)
    assert "disk I/O error" in unready.getErrorMessage()
    assert kept(engine) == ["m1", "m2"]
    assert isinstance(first, RecordedMessage)
    assert isinstance(last, RecordedMessage)


def test_a_commit_that_fails_acknowledges_nothing(engine, monkeypatch):
    real = engine.dialect.do_commit

    def no_space(connection):
        raise sa.exc.OperationalError("COMMIT", {}, RuntimeError("database or disk is full"))

    monkeypatch.setattr(engine.dialect, "do_commit", no_space)
    results = commit_steps(engine, [take(1), take(2)])
    assert all(isinstance(result, Failure) and result.check(Unready) for result in results)
    monkeypatch.setattr(engine.dialect, "do_commit", real)
    assert kept(engine) == []
    (taken,) = commit_steps(engine, [take(1)])
    assert isinstance(taken, RecordedMessage), "the same may be sent again"


@pytest.fixture
def running(engine, monkeypatch):
    """A Database whose threads run when the test says so."""
    queued = []

    def defer_to(_reactor, _pool, work, *args):
        waiting: defer.Deferred[object] = defer.Deferred()
        queued.append(lambda: waiting.callback(work(*args)))
        return waiting

    monkeypatch.setattr("hub.store.group_commit.threads.deferToThreadPool", defer_to)
    clock = Clock()
    made = Database(engine, clock)  # type: ignore[arg-type]
    made._steady = lambda: 0.0
    yield made, clock, queued
    if made._file is not None:
        made._file.close()


def test_what_arrives_in_one_turn_or_while_a_commit_runs_shares_the_next_commit(running, engine):
    made, clock, queued = running
    told: list[RecordedMessage] = []
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
    for number in range(group_commit._BATCH + 1):
        made.write(lambda _tx, number=number: number)
    clock.advance(0)
    queued.pop(0)()
    assert len(queued) == 1, "the one that did not fit is next"
    queued.pop(0)()


def test_while_more_steps_are_about_to_come_a_commit_waits_for_them_but_not_long(running):
    made, clock, queued = running
    more = True
    made._more = lambda: more
    made.write(lambda _tx: 1)
    clock.advance(0)
    assert queued == [], "the hub has work left that leads to further steps"
    more = False
    clock.advance(group_commit.SHORT)
    assert len(queued) == 1, "nothing more comes"
    queued.pop(0)()
    more = True
    made.write(lambda _tx: 2)
    clock.advance(0)
    clock.advance(group_commit.LINGER / 2)
    assert queued == []
    clock.advance(group_commit.LINGER)
    assert len(queued) == 1, "the first has waited long enough"
    queued.pop(0)()
    for number in range(group_commit.ENOUGH):
        made.write(lambda _tx, number=number: number)
    clock.advance(0)
    assert len(queued) == 1, "they are enough"
    queued.pop(0)()


def test_the_steps_of_a_busy_worker_are_waited_for_a_moment(running):
    made, clock, queued = running
    made.expect_steps()
    made.write(lambda _tx: 1)
    clock.advance(0)
    clock.advance(group_commit.SHORT)
    assert queued == []
    clock.advance(group_commit.SOON)
    assert len(queued) == 1
    queued.pop(0)()
    made.write(lambda _tx: 2)
    clock.advance(0)
    assert len(queued) == 1, "no worker is busy"
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

    for place in ("hub.store.group_commit", "hub.runtime.server_monitor"):
        monkeypatch.setattr(f"{place}.threads.deferToThreadPool", defer_to)
    clock = Clock()
    made = Database(engine, clock, engine)  # type: ignore[arg-type]
    assert made._monitor is not None
    made._monitor.start()
    yield made, clock, queued
    made._monitor.stop()


def test_while_the_server_is_away_nobody_waits_for_it_and_what_was_not_begun_is_not_done(served, engine):
    made, clock, queued = served
    begun = made.write(take(1))
    clock.advance(0)
    told: list[Failure] = []
    for answer in (begun, made.write(take(2)), made.read(lambda _tx: 1)):
        answer.addErrback(told.append)
    (_commit, committed), (_look, looked) = queued
    clock.advance(server_monitor.PATIENCE)
    assert len(queued) == 3, "it is asked"
    assert told == []
    clock.advance(server_monitor.GRACE)
    assert len(told) == 3
    for answer in (made.write(take(3)), made.read(lambda _tx: 1)):
        answer.addErrback(told.append)
    assert [bool(failure.check(Unready)) for failure in told] == [True] * 5, "at once"
    assert len(queued) == 3, "nothing more is begun"
    committed.callback(commit_steps(engine, [take(1)]))  # it goes through at last; who waited was told to send again
    looked.callback(1)
    queued[2][1].callback(None)
    again: list[object] = []
    made.write(take(1)).addCallback(again.append)
    clock.advance(0)
    run, done = queued[3]
    done.callback(run())
    assert kept(engine) == ["m1"]
    assert isinstance(again[0], RecordedMessage)
    assert len(told) == 5, "told once"


def refusal(deferred):
    """Return the `Unready` that a step failed with; None while it waits."""
    found: list[Failure] = []
    deferred.addErrback(found.append)
    return found[0].value if found else None


def test_what_comes_from_outside_is_committed_after_what_is_under_way(running):
    made, clock, queued = running
    done: list[str] = []
    made.admit(ONE, lambda _tx: done.append("taken in"))
    made.write(lambda _tx: done.append("settled"))
    made.admit(ONE, lambda _tx: done.append("taken in"))
    made.write(lambda _tx: done.append("chained"))
    clock.advance(0)
    queued.pop(0)()
    assert done == ["settled", "chained", "taken in", "taken in"]


def test_when_too_many_wait_nothing_more_is_taken_in_but_all_else_goes_on(running, monkeypatch):
    made, clock, queued = running
    monkeypatch.setattr(group_commit, "MOST", 3)
    waiting = [made.admit(ONE, lambda _tx: None) for _ in range(3)]
    refused = refusal(made.admit(ONE, lambda _tx: None))
    assert (refused.problem.code, refused.retry_after) == ("hub-busy", 5)
    assert "3 steps wait" in str(made.trouble())
    settled = made.write(lambda _tx: "settled")
    clock.advance(0)
    queued.pop(0)()
    assert settled.result == "settled"
    assert all(each.called for each in waiting)
    assert made.trouble() == ""
    assert refusal(made.admit(ONE, lambda _tx: None)) is None


def test_when_a_commit_takes_too_long_nothing_more_is_taken_in_until_it_is_done(running):
    made, clock, queued = running
    made.write(lambda _tx: None)
    clock.advance(group_commit.OLDEST - 0.1)
    assert refusal(made.admit(ONE, lambda _tx: None)) is None
    clock.advance(0.1)
    refused = refusal(made.admit(ONE, lambda _tx: None))
    assert refused.problem.code == "hub-busy"
    assert "the oldest for 5.0 s" in str(refused.problem.detail)
    queued.pop(0)()
    queued.pop(0)()
    assert refusal(made.admit(ONE, lambda _tx: None)) is None


def test_a_commit_that_failed_is_told_of_for_a_moment(running):
    made, clock, queued = running

    def full(_tx):
        raise sa.exc.OperationalError("insert", {}, RuntimeError("database or disk is full"))

    failed = made.admit(ONE, full)
    clock.advance(0)
    queued.pop(0)()
    assert refusal(failed).problem.code == "journal-unavailable"
    assert "database or disk is full" in str(made.trouble())
    assert refusal(made.admit(ONE, lambda _tx: None)) is None, "the next may try"
    clock.advance(0)
    queued.pop(0)()
    clock.advance(group_commit.RECENT)
    assert made.trouble() == ""


def test_a_stop_finishes_what_waits_of_both_kinds(running):
    made, clock, queued = running
    done: list[str] = []
    made.admit(ONE, lambda _tx: done.append("taken in"))
    made.write(lambda _tx: done.append("settled"))
    stopped = made.stopService()
    clock.advance(0)
    queued.pop(0)()
    assert done == ["settled", "taken in"]
    assert stopped.called


class Stopwatch:
    """Says how long the writer has worked: as long as its steps say that they take."""

    def __init__(self):
        self.at = 0.0

    def __call__(self):
        return self.at

    def takes(self, seconds, note=lambda: None):
        def step(_tx):
            self.at += seconds
            note()

        return step


@pytest.fixture
def timed(running):
    """A Database as `running`, and what tells it how long its steps take."""
    made, clock, queued = running
    made._steady = watch = Stopwatch()
    return made, clock, queued, watch


def test_a_step_waits_for_one_step_of_each_other_owner_and_not_for_all_that_one_has_brought(timed):
    made, clock, queued, watch = timed
    done: list[str] = []
    for _ in range(100):
        made.admit(CONSOLE, watch.takes(batch_commit.BUDGET, lambda: done.append("its hundred")))
    clock.advance(0)
    single = made.admit(PUBLIC, lambda _tx: done.append("the other's one"))
    queued.pop(0)()
    queued.pop(0)()
    assert not single.called
    queued.pop(0)()
    assert single.called
    assert done == ["its hundred"] * 2 + ["the other's one", "its hundred"]
    while queued:
        queued.pop(0)()
    assert done.count("its hundred") == 100, "what one commit had no time for, the next ones did"


def test_a_commit_begins_no_further_step_when_it_has_worked_long_enough(timed):
    made, clock, queued, watch = timed
    done: list[int] = []
    for number in range(6):
        made.admit(CONSOLE, watch.takes(batch_commit.BUDGET / 2, lambda number=number: done.append(number)))
    clock.advance(0)
    commits = []
    while queued:
        before = len(done)
        queued.pop(0)()
        commits.append(done[before:])
    assert commits == [[0, 1], [2, 3], [4, 5]], "in the order in which they came"


def test_what_comes_from_within_does_not_keep_out_what_comes_from_outside(timed):
    made, clock, queued, watch = timed
    done: list[str] = []

    def settle():
        done.append("settled")
        if len(done) < 20:  # there is always more
            made.write(watch.takes(batch_commit.BUDGET, settle))

    made.write(watch.takes(batch_commit.BUDGET, settle))
    made.write(watch.takes(batch_commit.BUDGET, settle))
    made.admit(ONE, watch.takes(batch_commit.BUDGET, lambda: done.append("taken in")))
    clock.advance(0)
    while queued:
        queued.pop(0)()
    assert done[:3] == ["settled", "taken in", "settled"]


def test_who_fills_the_queue_is_told_to_come_again_and_the_others_are_not(running, monkeypatch):
    made, clock, queued = running
    monkeypatch.setattr(group_commit, "MOST", 10)
    for _ in range(10):
        made.admit(ONE, lambda _tx: None)
    assert refusal(made.admit(ONE, lambda _tx: None)).problem.code == "hub-busy"
    answers = [made.admit(OTHER, lambda _tx: None) for _ in range(6)]
    assert [refusal(each) is None for each in answers] == [True] * 5 + [False], "its half of the places, and no more"
    clock.advance(0)
    queued.pop(0)()
    assert refusal(made.admit(ONE, lambda _tx: None)) is None


def test_who_has_waited_too_long_brings_no_more_and_the_others_do(running):
    made, clock, queued = running
    clock.advance(0)
    made.admit(OTHER, lambda _tx: None)
    clock.advance(0)
    assert len(queued) == 1, "a commit runs"
    made.admit(ONE, lambda _tx: None)
    made._began += group_commit.OLDEST  # another one, which began later
    clock.advance(group_commit.OLDEST)
    assert refusal(made.admit(ONE, lambda _tx: None)).problem.code == "hub-busy"
    assert refusal(made.admit(OTHER, lambda _tx: None)) is None


def test_a_step_that_may_be_committed_already_is_run_again_whatever_time_it_takes(engine, monkeypatch):
    """Else it would come in a later commit, which does not know that it has to be as safe as this one."""
    real, tries = engine.dialect.do_commit, []

    def gives_way(connection):
        tries.append(1)
        if len(tries) == 1:
            raise transactions.Unconfirmed("standby")
        real(connection)

    monkeypatch.setattr(engine.dialect, "do_commit", gives_way)
    looks = iter([0.0, 0.0]).__next__  # when the first try begins, and before its second step
    first, second = commit_steps(engine, [take(1), take(2)], looks)
    assert isinstance(first, RecordedMessage)
    assert isinstance(second, RecordedMessage)
    assert kept(engine) == ["m1", "m2"]


def test_what_a_commit_had_no_time_for_is_not_begun(engine):
    first, second = commit_steps(engine, [take(1), take(2)], iter(range(9)).__next__)  # a second a look
    assert isinstance(first, RecordedMessage)
    assert second is batch_commit.NOT_BEGUN
    assert kept(engine) == ["m1"]


def test_each_commit_is_counted_with_its_steps_and_its_duration(running, monkeypatch):
    made, clock, queued = running
    ticks = iter(range(100))
    made._steady = lambda: next(ticks) / 1000
    for number in (1, 2, 3):
        made.write(take(number))
    clock.advance(0)
    queued.pop(0)()
    assert made._measures.read(COMMIT_STEPS) == {(): [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3.0]}
    (*classes, seconds) = made._measures.read(COMMIT_SECONDS)[()]
    assert sum(classes) == 1
    assert 0.001 <= seconds < 0.1
    assert made._measures.read(COMMITS_FAILED) == {}
    monkeypatch.setattr(group_commit, "commit_steps", not_committed)
    made.write(take(4)).addErrback(lambda failure: failure.trap(Unready))
    clock.advance(0)
    queued.pop(0)()
    assert made._measures.read(COMMITS_FAILED) == {(): [1]}


def not_committed(_engine, steps, _steady, *_):
    return [Failure(Unready("journal-unavailable", "the disk is full"))] * len(steps)


def run_all(clock, queued, seconds=0.0):
    """Let the writer do all that it may do now, and within so many seconds."""
    clock.advance(0)
    while queued:
        queued.pop(0)()
    for _ in range(round(seconds * 100)):
        clock.advance(0.01)
        while queued:
            queued.pop(0)()


def test_who_has_used_more_than_its_share_waits_and_nobody_else_does(timed):
    made, clock, queued, watch = timed
    done: list[str] = []
    for _ in range(5):
        made.admit(ONE, watch.takes(1.0, lambda: done.append("dear")))
    run_all(clock, queued)
    assert done == ["dear"], "unknown before, measured after"
    for _ in range(30):
        made.admit(OTHER, watch.takes(0.001, lambda: done.append("honest")))
        run_all(clock, queued)
    assert done == ["dear"] + ["honest"] * 30
    rest = (1.0 - TURN - CREDIT) / SHARE
    run_all(clock, queued, rest - 0.1)
    assert done.count("dear") == 1
    run_all(clock, queued, 0.2)
    assert done.count("dear") == 2, "it has waited for what it took"
    run_all(clock, queued, 30)
    assert done.count("dear") == 5, "nothing is lost"


def test_all_who_use_more_than_their_share_get_one_share_together(timed):
    made, clock, queued, watch = timed
    done: list[str] = []
    for _ in range(60):
        for who in (ONE, OTHER):
            made.admit(who, watch.takes(1.0, lambda: done.append("dear")))
    run_all(clock, queued, 60)
    assert 10 <= len(done) <= 60 * SHARE + 4


def test_a_step_that_is_expected_to_be_long_has_a_commit_of_its_own_and_honest_steps_wait_for_one_at_most(timed):
    made, clock, queued, watch = timed
    commits: list[list[str]] = []
    made._budget.charge(ONE.name, TURN + 0.9 * CREDIT, 1.0, 0.0)  # it has done so before
    for _ in range(6):
        made.admit(ONE, watch.takes(1.4 * TURN, lambda: commits[-1].append("long")))
    while len(commits) < 20:
        made.admit(OTHER, watch.takes(0.001, lambda: commits[-1].append("honest")))
        made.write(watch.takes(0.001, lambda: commits[-1].append("own")))
        clock.advance(0)
        commits.append([])
        queued.pop(0)()
    assert {tuple(each) for each in commits if "long" in each} == {("long",)}, commits
    assert sum("long" in each for each in commits) > 2, "it has its turns all the same"
    assert not any("long" in one and "long" in two for one, two in pairwise(commits))


def test_a_slice_of_what_was_promised_shares_no_commit_with_a_step_from_outside(timed):
    made, clock, queued, watch = timed
    commits: list[list[str]] = []
    for _ in range(3):
        made.admit(DUTIES, ChargedStep(ONE.name, watch.takes(0.002, lambda: commits[-1].append("slice"))))
    for _ in range(3):
        made.admit(OTHER, watch.takes(0.001, lambda: commits[-1].append("honest")))
    while sum("slice" in each for each in commits) < 3:
        clock.advance(0)
        commits.append([])
        queued.pop(0)()
    assert commits == [["honest"] * 3, ["slice"], ["slice"], ["slice"]]


def test_a_stop_does_not_wait_for_who_owes_too_much(timed):
    made, clock, queued, watch = timed
    done: list[str] = []
    for _ in range(4):
        made.admit(ONE, watch.takes(5.0, lambda: done.append("dear")))
    run_all(clock, queued)
    stopped = made.stopService()
    run_all(clock, queued)
    assert (len(done), stopped.called, clock.getDelayedCalls()) == (4, True, [])


def test_what_the_hub_does_for_a_partner_is_charged_to_it(timed):
    made, clock, queued, watch = timed
    done: list[str] = []
    made.admit(CONSOLE, ChargedStep(ONE.name, watch.takes(1.0)))
    run_all(clock, queued)
    made.admit(ONE, watch.takes(0.001, lambda: done.append("its call")))
    made.admit(CONSOLE, watch.takes(0.001, lambda: done.append("the console")))
    run_all(clock, queued)
    assert done == ["the console"], "and its own calls wait for it"
    assert made._measures.read(WRITER_SECONDS)[ONE.name,] == [1.0]
    assert made._budget.read(clock.seconds()).held == []


def test_a_set_and_a_repeated_step_are_charged_to_those_who_brought_them(timed):
    made, clock, queued, watch = timed

    def many(_tx, calls):
        watch.at += 0.3
        return [None if each == 3 else each for each in calls]

    def one(_tx, number):
        watch.at += 0.5

    step = SetStep(one, many)
    for number, who in enumerate((ONE, OTHER, ONE), 1):
        made.admit(who, step, number)
    run_all(clock, queued)
    used = made._measures.read(WRITER_SECONDS)
    assert [round(used[who.name,][0], 3) for who in (ONE, OTHER)] == [0.7, 0.1]


def test_nobody_is_charged_with_a_database_that_did_not_answer(timed):
    made, clock, queued, watch = timed

    def fails(_tx):
        watch.at += 9.0
        raise Unready("journal-unavailable", "the server is away")

    failed = made.admit(ONE, fails)
    run_all(clock, queued)
    assert refusal(failed).problem.code == "journal-unavailable"
    done = made.admit(ONE, watch.takes(0.001))
    run_all(clock, queued)
    assert done.called


def test_a_charged_step_of_a_worker_process_arrives_as_it_was_sent():
    sent = ChargedStep(ONE.name, messages.record_message)
    assert pickle.loads(pickle.dumps(sent)) == sent
