"""Cheap work is done where it is asked for, dear work in a thread, and all of it there when it may wait for a device.  No owner waits for
all that another has brought, and what nobody wants any more is not begun.
"""

from threading import Event, get_ident
from typing import Any, cast

import pytest
from twisted.internet.defer import CancelledError

from hub.domain.fair_queue import HUB, Owner
from hub.domain.turns import leave_turn
from hub.runtime.thread_pool import LEAST, THRESHOLD, WorkScheduler, _Piece
from tests.waiting import PATIENCE

ONE, OTHER = Owner("sotttt"), Owner("vpub")
DEAR = THRESHOLD


class Reactor:
    """Calls at once whatever a thread hands over; what is to be called in another turn waits for it."""

    def __init__(self):
        self.later: list[Any] = []

    def callFromThread(self, call: Any, *args: Any) -> None:
        call(*args)

    def callLater(self, _seconds: float, call: Any) -> object:
        self.later.append(call)
        return call

    def turn(self):
        due, self.later = self.later, []
        for call in due:
            call()


@pytest.fixture
def reactor():
    return Reactor()


@pytest.fixture
def room(reactor):
    """A workroom whose turns take no time."""
    return WorkScheduler(cast("Any", reactor), used=lambda: 0.0)


def gather(deferred, into):
    """Keep what comes, or the class of the error."""
    _ = deferred.addCallbacks(into.append, lambda failure: into.append(failure.type))


@pytest.mark.parametrize(("threshold", "cost", "here"), [(None, 1, True), (None, THRESHOLD, False), (0, 0, False)])
def test_where_work_is_done(room, threshold, cost, here):
    if threshold is not None:
        room.threshold = threshold
    room.startService()
    done: list[int] = []
    _ = room.work(HUB, cost, get_ident).addCallback(done.append)
    room.stopService()
    assert (done == [get_ident()]) is here
    assert len(done) == 1


@pytest.mark.parametrize("queued", [False, True])
def test_cheap_work_that_turns_out_to_be_dear_is_done_again_in_a_thread(room, reactor, queued):
    """Also where it waited for a turn; what follows it in the queue is done in the turn."""
    where: list[int] = []
    done: list[Any] = []

    def step():
        where.append(get_ident())
        leave_turn()
        return "explained"

    room.startService()
    if queued:
        room._inline.put(ONE.name, _Piece(ONE, lambda: None))
    _ = room.work(ONE, 1 if not queued else LEAST + 1, step).addCallback(done.append)
    if queued:
        _ = room.work(ONE, LEAST + 1, done.append, "after it")
        room._begin_turn()
    room.stopService()
    assert where[0] == get_ident()
    assert len(where) == 2
    assert where[1] != get_ident()
    assert sorted(done) == (["after it", "explained"] if queued else ["explained"])


class Held:
    """A workroom with one thread, so that there is one order in which things are done; it is busy until the test lets it go on."""

    def __init__(self, room):
        self.room, self._go = room, Event()
        room._threads.adjustPoolsize(0, 1)
        room.startService()
        begun = Event()
        _ = room.work(HUB, DEAR, self._hold, begun)
        assert begun.wait(PATIENCE)

    def _hold(self, begun):
        begun.set()
        assert self._go.wait(PATIENCE)

    def let_go(self):
        self._go.set()
        self.room.stopService()


def test_one_dear_piece_waits_for_one_of_another_s_thousand(room):
    held = Held(room)
    done: list[Any] = []
    for _ in range(1000):
        _ = room.work(ONE, DEAR, done.append, "its thousand")
    _ = room.work(OTHER, DEAR, done.append, "the other's one")
    held.let_go()
    assert done.index("the other's one") == 1
    assert len(done) == 1001


def test_dear_work_of_who_has_hung_up_is_not_begun(room):
    held, here = Held(room), [True]
    done: list[Any] = []
    told: list[Any] = []
    caller = Owner("sotttt", lambda: here[0])
    for number in range(50):
        gather(room.work(caller, DEAR, done.append, number), told)
    gather(room.work(ONE, DEAR, done.append, "another call of the same partner"), told)
    here[0] = False
    held.let_go()
    assert done == ["another call of the same partner"]
    assert told == [CancelledError] * 50 + [None]


def test_dear_work_that_was_cancelled_before_it_began_is_not_begun(room):
    held = Held(room)
    done: list[Any] = []
    told: list[Any] = []
    waiting = room.work(ONE, DEAR, done.append, 1)
    gather(waiting, told)
    waiting.cancel()
    held.let_go()
    assert done == []
    assert told == [CancelledError]


def test_cheap_work_of_who_has_hung_up_is_not_begun_either(room):
    done: list[int] = []
    told: list[Any] = []
    gather(room.work(Owner("sotttt", lambda: False), 1, done.append, 1), told)
    assert done == []
    assert told == [CancelledError]


def test_a_turn_of_the_reactor_begins_no_more_cheap_work_when_it_has_done_enough(reactor, room):
    at = [0.0]
    done: list[Any] = []
    room._used = lambda: at[0]

    def cheap(name):
        at[0] += 1.0  # longer than a turn
        done.append(name)

    for _ in range(100):
        _ = room.work(ONE, 1, cheap, "its hundred")
    assert done == ["its hundred"], "the first one at once: nothing else was asked for in this turn"
    reactor.turn()
    assert len(done) == 2
    _ = room.work(OTHER, 1, cheap, "the other's one")
    reactor.turn()
    reactor.turn()
    assert done == ["its hundred"] * 3 + ["the other's one"]
    for _ in range(100):
        reactor.turn()
    assert done.count("its hundred") == 100
    assert reactor.later == [], "at rest"


def test_cheap_work_that_fails_fails_for_who_asked_for_it_alone(reactor, room):
    at = [0.0]
    told: list[Any] = []
    room._used = lambda: at[0]

    def broken():
        at[0] += 1.0  # longer than a turn
        raise ValueError

    for _ in range(3):
        gather(room.work(ONE, 1, broken), told)
    gather(room.work(ONE, 1, lambda: "done"), told)
    for _ in range(4):
        reactor.turn()
    assert told == [ValueError] * 3 + ["done"]


def test_what_follows_a_queued_piece_runs_with_it_before_what_waits(reactor, room):
    """A call that is opened is judged at once; of each queued piece only the first further work goes on so."""
    at = [0.0]
    done: list[str] = []
    room._used = lambda: at[0]

    def cheap(name):
        at[0] += 1.0  # longer than a turn
        done.append(name)
        return name

    _ = room.work(ONE, THRESHOLD - 1, cheap, "first")
    for name in ("a", "b"):

        def follow(opened):
            _ = room.work(ONE, THRESHOLD - 1, cheap, f"judge {opened}")
            _ = room.work(ONE, THRESHOLD - 1, cheap, f"more of {opened}")

        _ = room.work(ONE, THRESHOLD - 1, cheap, name).addCallback(follow)
    assert room.busy
    reactor.turn()
    assert done == ["first", "a", "judge a"]
    for _ in range(5):
        reactor.turn()
    assert done == ["first", "a", "judge a", "b", "judge b", "more of a", "more of b"]
    assert not room.busy


def test_the_least_work_waits_for_no_other_while_the_turn_has_time(reactor, room):
    at = [0.0]
    done: list[str] = []
    room._used = lambda: at[0]

    def work(name, took):
        at[0] += took
        done.append(name)

    _ = room.work(ONE, THRESHOLD - 1, work, "first", 1.0)
    _ = room.work(ONE, THRESHOLD - 1, work, "queued", 0.0)
    _ = room.work(OTHER, LEAST, work, "an answer", 0.0)
    assert done == ["first"], "this turn has used its time"
    reactor.turn()
    assert done == ["first", "queued", "an answer"]
    _ = room.work(ONE, THRESHOLD - 1, work, "next", 0.0)
    room._inline.put("sotttt", room_piece())
    _ = room.work(OTHER, LEAST, work, "another answer", 0.0)
    assert done[-2:] == ["next", "another answer"]


def room_piece():
    """A piece that waits."""
    return _Piece(ONE, lambda: None)
