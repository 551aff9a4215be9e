"""The simulated world itself: its clock, its threads, its lines, and its chance."""

import os
import subprocess
import sys
from typing import Any

import pytest
from twisted.internet import error
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThreadPool

from tests.conftest import ROOT
from tests.simulation import keys
from tests.simulation.world import Died, Lost, Reactor, World, drawn_from


@pytest.fixture
def world() -> World:
    return World("a seed")


def test_calls_are_made_in_the_order_of_their_times_and_those_of_one_time_as_they_came(world):
    reactor, heard = Reactor(world, "one"), list[tuple[str, float]]()

    def hear(name: str) -> None:
        heard.append((name, world.now - 1_000_000))

    for name, delay in (("late", 9.0), ("first", 1.0), ("second", 1.0)):
        reactor.callLater(delay, hear, name)
    moved = reactor.callLater(2.0, hear, "moved")
    moved.reset(5.0)
    reactor.callLater(3.0, hear, "cancelled").cancel()
    world.pass_time(10.0)
    assert heard == [("first", 1.0), ("second", 1.0), ("moved", 5.0), ("late", 9.0)]
    assert world.now == 1_000_010


def test_after_a_jump_of_the_clock_what_was_due_comes_at_once_and_in_order(world):
    reactor, heard = Reactor(world, "one"), list[float]()
    for delay in (30.0, 10.0, 5000.0):
        reactor.callLater(delay, heard.append, delay)
    world.jump(3600)
    world.pass_time(1.0)
    assert heard == [10.0, 30.0]


def test_a_world_that_goes_round_without_time_going_on_says_so(world):
    reactor = Reactor(world, "one")

    def go_round() -> None:
        reactor.callLater(0, go_round)

    go_round()
    with pytest.raises(Lost):
        world.pass_time(1.0, most=1000)


def test_of_a_process_that_died_nothing_is_heard_any_more(world):
    reactor, heard = Reactor(world, "one"), list[str]()

    def die() -> None:
        raise Died

    reactor.callLater(1.0, die)
    reactor.callLater(2.0, heard.append, "after death")
    world.pass_time(5.0)
    assert not heard
    assert not reactor.lives


def test_work_in_a_thread_is_done_later_and_its_result_is_told_later_still(world):
    reactor, heard = Reactor(world, "one"), list[object]()
    pool = reactor.make_pool(1, 1, "work")
    pool.start()
    _ = deferToThreadPool(reactor, pool, lambda: "done").addBoth(heard.append)
    assert not heard
    world.pass_time(1.0)
    assert heard == ["done"]


class Talk(Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard, self.ended = b"", None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = reason.value


@pytest.fixture
def line(world) -> tuple[Talk, Talk]:
    """Both ends of a line between two processes."""
    called: list[Talk] = []

    def answer() -> Talk:
        called.append(Talk())
        return called[0]

    here, there = Reactor(world, "here"), Reactor(world, "there")
    there.listen(99, Factory.forProtocol(answer))
    found: list[Any] = []
    _ = HostnameEndpoint(here, "partner.example", 99).connect(Factory.forProtocol(Talk)).addCallback(found.append)
    world.pass_time(1.0)
    return found[0], called[0]


def test_octets_arrive_in_order_and_whole_and_then_the_end(world, line):
    ours, theirs = line
    for number in range(200):
        ours.transport.write(f"{number} ".encode())
    ours.transport.loseConnection()
    assert theirs.heard == b""
    world.pass_time(1.0)
    assert theirs.heard.split() == [str(number).encode() for number in range(200)]
    assert isinstance(theirs.ended, error.ConnectionDone)
    assert isinstance(ours.ended, error.ConnectionDone)
    assert not world.lines


def test_what_is_under_way_on_a_line_that_breaks_is_lost_and_both_hear_of_it(world, line):
    ours, theirs = line
    ours.transport.write(b"under way")
    world.lines[0].lose(None)
    world.pass_time(1.0)
    assert theirs.heard == b""
    assert isinstance(theirs.ended, error.ConnectionLost)
    assert isinstance(ours.ended, error.ConnectionLost)


def test_a_half_open_line_is_silent_until_somebody_writes_on_it(world, line):
    ours, theirs = line
    world.lines[0].silent = True
    world.pass_time(1000.0)
    assert ours.ended is None
    ours.transport.write(b"is anybody there?")
    world.pass_time(1000.0)
    assert theirs.heard == b""
    assert isinstance(ours.ended, error.ConnectionLost)
    assert theirs.ended is None


def test_a_process_that_dies_loses_its_lines(world, line):
    ours, theirs = line
    world.lines[0].processes[1].die()
    world.pass_time(1.0)
    assert isinstance(ours.ended, error.ConnectionLost)
    assert theirs.ended is None, "nothing runs in a dead process"


def test_nobody_listens(world):
    failed: list[Any] = []
    _ = HostnameEndpoint(Reactor(world, "here"), "nobody.example", 98).connect(Factory()).addErrback(failed.append)
    world.pass_time(1.0)
    assert failed[0].check(error.ConnectionRefusedError)


def test_a_key_follows_from_its_label():
    first = keys.make_key("a label").private_numbers()
    assert first == keys._derive("a label").private_numbers()
    assert first.p != keys.make_key("another label").private_numbers().p


_DRAW = "import random; random.seed(7); from hub.domain.ids import make_id; import datetime; print(make_id(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)))"


def test_ids_follow_from_a_seed_in_a_simulated_world_only_and_no_setting_can_fix_them():
    """A process of its own, for which all is fixed that a setting can fix: seed, hashes, clock."""
    from datetime import UTC, datetime

    from hub.domain.ids import make_id

    def draw() -> str:
        ran = subprocess.run(
            [sys.executable, "-c", _DRAW],
            env=os.environ | {"PYTHONHASHSEED": "0"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout

    assert draw() != draw()
    drawn = []
    for _ in range(2):
        with drawn_from("a seed"):
            drawn.append(make_id(datetime(2026, 1, 1, tzinfo=UTC)))
    assert drawn[0] == drawn[1]
