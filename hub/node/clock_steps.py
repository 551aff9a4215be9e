"""Notices that the clock on the wall was set back, and brings back what it had written.  Knows two clocks; not the rows."""

from collections.abc import Callable
from datetime import datetime, timedelta

import attrs
import structlog
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from hub.journal.queue import clock_repair
from hub.runtime.periodic import Regular
from hub.store.group_commit import Journal

log = structlog.get_logger()

_EVERY = 1.0  #: seconds
#: A step may be under way that took the time before the clock was set, and is committed after: it is looked for again so much later.
_AGAIN = (5.0, 60.0)
_BATCH = 500


@attrs.define(eq=False)
class Timekeeper(Regular):
    """Compares the clock on the wall with one that only counts.  At the start the wall is not believed: it may have been set while nobody ran."""

    every = _EVERY

    _journal: Journal
    _clock: IReactorTime
    _now: Callable[[], datetime]
    _moved: Callable[[], None]  #: told when something may be due that was not
    _gap: float | None = attrs.field(default=None, init=False)  #: of the two clocks, in seconds, when all was well
    _later: list[float] = attrs.field(factory=list, init=False)  #: when to look again, by the steady clock

    async def look(self) -> None:
        """Compare the clocks, and mend what a step has spoilt."""
        steady = self._clock.seconds()
        gap = self._now().timestamp() - steady
        back = 0.0 if self._gap is None else self._gap - gap
        was_set = self._gap is not None and abs(back) > clock_repair.SLACK.total_seconds()
        again = bool(self._later) and self._later[0] <= steady
        if self._gap is not None and not was_set and not again:
            self._gap = gap  # a clock that is only slewed never steps
            return
        if was_set:
            log.warning("clock-stepped", seconds=round(-back, 3))
        # No partner is left alone for longer than an hour: what is farther off at the start was written by a clock ahead.
        beyond = self._now() + (timedelta(hours=1) if self._gap is None else timedelta(0))
        try:
            await self._journal.write(clock_repair.requeue_future_probes, self._now(), beyond)
            moved = count = await self._journal.write(clock_repair.bring_back, self._now(), _BATCH)
            while count == _BATCH:
                count = await self._journal.write(clock_repair.bring_back, self._now(), _BATCH)
                moved += count
        except CancelledError:
            raise
        except Exception:
            log.exception("clock-step-not-mended")  # the gap is not taken for good: the next round tries again
            return
        self._gap = gap
        if was_set:
            self._later = [steady + after for after in _AGAIN]
        elif again:
            del self._later[0]
        if moved:
            log.warning("deliveries-brought-back", count=moved)
            self._moved()
