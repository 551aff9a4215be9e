"""Detects that the wall clock was set back, and repairs times in the journal that then lie in the future.

Compares the wall clock with the monotonic clock. `hub.journal.queue.clock_repair` contains the SQL of the repair.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import attrs
import structlog
from twisted.internet.interfaces import IReactorTime

from hub.journal.queue import clock_repair
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal

log = structlog.get_logger()

_EVERY = 1.0  #: seconds
#: A transaction may have read the time before the clock was set and commit afterwards. So the repair runs again this
#: many seconds after a step.
_AGAIN = (5.0, 60.0)
_BATCH = 500


@attrs.define(eq=False)
class ClockStepDetector(PeriodicService):
    """Compares the wall clock with the monotonic clock every second, and repairs the queue after a step.

    The repair also runs once at the start, because the wall clock may have been set while no node ran.
    """

    every = _EVERY
    failure = "clock-step-not-mended"

    _journal: Journal  #: where the queue is repaired
    _clock: IReactorTime  #: the reactor's monotonic clock
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _moved: Callable[[], None]  #: called when deliveries may have become due
    #: wall time minus monotonic time, in seconds, at the last check without a step
    _gap: float | None = attrs.field(default=None, init=False)
    _later: list[float] = attrs.field(factory=list, init=False)  #: monotonic times of the repeated repairs

    async def work(self) -> None:
        """Compare the clocks; after a step, make deliveries and probes that lie in the future due again."""
        steady = self._clock.seconds()
        gap = self._now().timestamp() - steady
        back = 0.0 if self._gap is None else self._gap - gap
        was_set = self._gap is not None and abs(back) > clock_repair.SLACK.total_seconds()
        again = bool(self._later) and self._later[0] <= steady
        if self._gap is not None and not was_set and not again:
            self._gap = gap  # follow a clock that is slewed gradually: no step
            return
        if was_set:
            log.warning("clock-stepped", seconds=round(-back, 3))
        # At the start, a probe due in more than one hour was written while the clock was ahead: no breaker waits
        # longer.
        beyond = self._now() + (timedelta(hours=1) if self._gap is None else timedelta(0))
        await self._journal.write(clock_repair.requeue_future_probes, self._now(), beyond)
        moved = count = await self._journal.write(clock_repair.requeue_future_deliveries, self._now(), _BATCH)
        while count == _BATCH:
            count = await self._journal.write(clock_repair.requeue_future_deliveries, self._now(), _BATCH)
            moved += count
        self._gap = gap  # stays as it was if the journal could not be written, so the next round tries again
        if was_set:
            self._later = [steady + after for after in _AGAIN]
        elif again:
            del self._later[0]
        if moved:
            log.warning("deliveries-brought-back", count=moved)
            self._moved()
