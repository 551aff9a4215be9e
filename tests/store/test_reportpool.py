"""Who may have how many reports read, in which order, and when one is given up: the pool over processes that a test plays."""

import errno
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hub.domain.errors import Unready
from hub.store.report_pool import BACKGROUND_NICE, LONGEST, MOST, NICE, OWN, PROCESSES, ReportPool, ReportReader
from hub.store.report_worker import ANSWERS, HEAD, PickledError, WorkerAnswer, WorkerSettings


class Process:
    """A process as the pool sees it: what it was asked, and what a test lets it answer."""

    def __init__(self, protocol: Any, program: str) -> None:
        self.protocol, self.program, self.asked, self.ended = protocol, program, list[str](), False
        protocol.makeConnection(self)

    def write(self, said: bytes) -> None:
        question = pickle.loads(said[HEAD.size :])
        if not isinstance(question, WorkerSettings):
            self.asked.append(question[1][0])

    def answer(self, said: WorkerAnswer | None = None) -> None:
        content = pickle.dumps(said or WorkerAnswer(self.asked[-1]))
        for octet in (HEAD.pack(len(content)) + content)[:9], (HEAD.pack(len(content)) + content)[9:]:
            self.protocol.childDataReceived(ANSWERS, octet)

    def closeStdin(self) -> None:
        self.end(ProcessDone(0))

    def signalProcess(self, name: str) -> None:
        assert name == "KILL"
        self.end(ProcessTerminated(signal=9))

    def end(self, why: Exception) -> None:
        self.ended = True
        self.protocol.processEnded(Failure(why))


class Reactor(Clock):
    """A clock that begins processes."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Process] = []
        self.is_short = False  #: the machine has no room for another process

    def spawnProcess(self, protocol: Any, _program: str, words: list[str], **_: Any) -> None:
        if self.is_short:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        self.processes.append(Process(protocol, words[-1]))


class Town:
    """A pool, and who asks it."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.pool = ReportPool(self.reactor, WorkerSettings("sqlite://", None))
        self.pool.startService()
        self.told: dict[str, Any] = {}

    def ask(self, owner: str, name: str, wanted: Callable[[], bool] = lambda: True) -> Deferred[Any]:
        asked = self.pool.read(ReportReader(owner, wanted), print, name)
        return asked.addBoth(lambda found: self.told.__setitem__(name, found))

    @property
    def running(self) -> list[str]:
        """What is being read now."""
        return [each.asked[-1] for each in self.reactor.processes if not each.ended and each.protocol.job]

    def answer(self, name: str, said: WorkerAnswer | None = None) -> None:
        (one,) = [each for each in self.reactor.processes if each.protocol.job and each.asked[-1] == name]
        one.answer(said)


@pytest.fixture
def town() -> Town:
    return Town()


def test_two_reports_are_read_at_once_and_of_one_reader_one(town):
    for name in ("a1", "a2", "a3", "b1", "c1"):
        town.ask(name[0], name)
    assert PROCESSES == 2
    assert town.running == ["a1", "b1"], "a2 waits for a1 though it came before b1"
    town.answer("a1")
    assert sorted(town.running) == ["b1", "c1"], "who has had no turn comes before who has"
    town.answer("b1")
    town.answer("c1")
    assert town.running == ["a2"], "one of its own at a time, whatever is free"
    town.answer("a2")
    town.answer("a3")
    assert town.told == {name: name for name in ("a1", "a2", "a3", "b1", "c1")}
    assert len(town.reactor.processes) == 2, "a process reads one report after the other"


def test_who_asks_for_more_than_its_own_is_told_to_come_again_and_others_are_not(town):
    for number in range(OWN + 2):
        town.ask("a", f"a{number}")
    assert isinstance(town.told[f"a{OWN + 1}"].value, Unready), "one is read, and so many may wait"
    assert town.told[f"a{OWN + 1}"].value.problem.code == "hub-busy"
    town.ask("b", "b0")
    assert "b0" in town.running
    for number in range(MOST):
        town.ask(f"c{number}", f"c{number}")
    refused = [name for name, found in town.told.items() if isinstance(found, Failure)]
    assert len(refused) == 1 + OWN, "so many wait in all"


def test_a_report_that_nobody_waits_for_any_more_is_ended_with_its_process(town):
    there = {"a1", "b1", "c1", "d1"}
    for name in sorted(there):
        town.ask(name[0], name, lambda name=name: name in there)
    there -= {"a1", "c1"}
    town.reactor.advance(1.0)
    assert town.told["a1"].check(CancelledError)
    assert town.told["c1"].check(CancelledError), "it had not begun"
    assert [each.ended for each in town.reactor.processes] == [True, False, False]
    assert town.running == ["b1", "d1"]


def test_a_report_that_takes_too_long_is_given_up(town):
    town.ask("a", "a1")
    town.reactor.pump([1.0] * int(LONGEST - 1))
    assert town.told == {}
    town.reactor.advance(1.0)
    assert town.told["a1"].value.problem.code == "hub-busy"
    assert town.reactor.processes[0].ended


def test_what_nobody_waits_for_has_a_process_of_its_own_and_is_not_refused(town):
    for number in range(MOST + PROCESSES):
        town.ask(f"a{number}", f"a{number}")
    asked = town.pool.read(ReportReader("?closing", longest=None, background=True), print, "x")
    assert not asked.called, "it waits, though no other would be let in"
    town.ask("b", "b")
    assert isinstance(town.told["b"].value, Unready)
    while town.running != ["x"]:
        town.answer(next(name for name in town.running if name != "x"))
        if "x" in town.running:
            break
    (its,) = [each for each in town.reactor.processes if each.protocol.job and each.asked[-1] == "x"]
    assert its.asked == ["x"]
    assert its.program.startswith(f"import os; os.nice({BACKGROUND_NICE}); "), "before it imports anything"
    others = [each.program for each in town.reactor.processes if each is not its]
    assert [each.startswith(f"import os; os.nice({NICE}); ") for each in others] == [True] * PROCESSES


def test_the_hubs_own_closing_takes_as_long_as_it_takes(town):
    asked = town.pool.read(ReportReader("?closing", longest=None), print, "x")
    town.reactor.pump([1.0] * int(LONGEST + 10))
    assert not asked.called


def test_what_a_report_raises_is_raised_here(town):
    town.ask("a", "a1")
    town.answer("a1", WorkerAnswer(error=PickledError.from_error(Unready("journal-unavailable", "why", 7))))
    found = town.told["a1"].value
    assert (type(found), found.problem.code, str(found.problem.detail), found.retry_after) == (
        Unready, "journal-unavailable", "why", 7,
    )  # fmt: skip


def test_a_process_that_breaks_takes_its_report_alone_with_it(town):
    town.ask("a", "a1")
    town.ask("b", "b1")
    town.reactor.processes[0].end(ProcessTerminated(signal=9))
    assert town.told["a1"].value.problem.code == "hub-busy"
    town.ask("a", "a2")
    assert town.running == ["b1", "a2"]


def test_where_no_process_can_be_started_the_caller_hears_so_and_the_next_report_has_one(town):
    town.reactor.is_short = True
    town.ask("a", "a1")
    assert town.told["a1"].check(Unready)
    assert town.told["a1"].value.problem.code == "hub-busy"
    town.reactor.is_short = False
    town.ask("a", "a2")
    town.answer("a2")
    assert town.told["a2"] == "a2"


def test_a_process_that_grew_too_large_or_has_nothing_to_do_is_ended(town):
    town.ask("a", "a1")
    town.answer("a1", WorkerAnswer("large", last=True))
    assert town.reactor.processes[0].ended
    town.ask("a", "a2")
    town.answer("a2")
    assert not town.reactor.processes[1].ended
    town.reactor.advance(60.0)
    assert town.reactor.processes[1].ended
    assert not town.reactor.getDelayedCalls(), "nothing is left to look at"


def test_a_stop_ends_what_is_under_way(town):
    for name in ("a1", "b1", "c1"):
        town.ask(name[0], name)
    stopped = town.pool.stopService()
    assert stopped.called
    assert {found.value.problem.code for found in town.told.values()} == {"journal-unavailable"}
    assert all(each.ended for each in town.reactor.processes)
