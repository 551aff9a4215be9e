"""A periodic service: what becomes of a run that fails, and of one that a stop cancels."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from hub.domain.errors import Unready
from hub.runtime.periodic import PeriodicService


class Counting(PeriodicService):
    every = 10.0
    failure = "not-counted"

    def __init__(self, fail: Callable[[int], None]) -> None:
        self._clock, self._fail, self.runs = Clock(), fail, 0

    async def work(self) -> None:
        self.runs += 1
        self._fail(self.runs)


@pytest.mark.parametrize(
    ("error", "level"), [(Unready("journal-unavailable"), "warning"), (ZeroDivisionError(), "error")]
)
def test_a_run_that_fails_is_logged_and_the_next_one_tries_again(error, level):
    def fail_first(run: int) -> None:
        if run == 1:
            raise error

    service = Counting(fail_first)
    with capture_logs() as logged:
        service.startService()
        service._clock.advance(10)  # type: ignore[attr-defined]
    assert [(each["event"], each["log_level"]) for each in logged] == [("not-counted", level)]
    assert service.runs == 2
    _ = service.stopService()


def test_a_failure_is_logged_once_until_it_is_another_or_ended():
    outcomes = {1: Unready("away"), 2: Unready("away"), 3: Unready("full"), 5: Unready("full"), 6: KeyError("x")}

    def fail(run: int) -> None:
        if run in outcomes:
            raise outcomes[run]

    service = Counting(fail)
    with capture_logs() as logged:
        service.startService()
        for _ in range(5):
            service._clock.advance(10)  # type: ignore[attr-defined]
    assert [each.get("error", "KeyError") for each in logged] == ["away: ", "full: ", "full: ", "KeyError"]
    _ = service.stopService()


def test_a_stop_may_cancel_the_running_work():
    waiting: Deferred[None] = Deferred()

    class Waiting(Counting):
        async def work(self) -> None:
            await waiting

    service = Waiting(lambda _run: None)
    service.startService()
    stopped: list[None] = []
    with capture_logs() as logged:
        _ = service.stopService().addCallback(stopped.append)
        waiting.errback(CancelledError())
    assert (stopped, logged) == ([None], [])
