"""Notices that the clock on the wall was set back, and brings back what it had written.  Knows two clocks; not the rows."""

from collections.abc import Callable
from datetime import datetime, timedelta

import attrs
import structlog
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from hub import stepped
from hub.database import Journal

log = structlog.get_logger()

_EVERY = 1.0  #: seconds
#: A step may be under way that took the time before the clock was set, and is committed after: it is looked for again so much later.
_AGAIN = (5.0, 60.0)
_BATCH = 500


@attrs.define(eq=False)
class Timekeeper(Service):
    """Compares the clock on the wall with one that only counts.  At the start the wall is not believed: it may have been set while nobody ran."""

    _journal: Journal
    _steady: IReactorTime
    _now: Callable[[], datetime]
    _moved: Callable[[], None]  #: told when something may be due that was not
    _gap: float | None = attrs.field(default=None, init=False)  #: of the two clocks, in seconds, when all was well
    _later: list[float] = attrs.field(factory=list, init=False)  #: when to look again, by the steady clock
    _loop: LoopingCall = attrs.field(init=False)
    _running: Deferred[LoopingCall] | None = attrs.field(default=None, init=False)

    def startService(self) -> None:
        """Begin."""
        Service.startService(self)
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._loop.clock = self._steady
        self._running = self._loop.start(_EVERY)

    def stopService(self) -> Deferred[None]:
        """Look no more."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._loop.stop()
        if self._running is not None:
            await self._running

    async def _look(self) -> None:
        steady = self._steady.seconds()
        gap = self._now().timestamp() - steady
        back = 0.0 if self._gap is None else self._gap - gap
        was_set = self._gap is not None and abs(back) > stepped.SLACK.total_seconds()
        again = bool(self._later) and self._later[0] <= steady
        if self._gap is not None and not was_set and not again:
            self._gap = gap  # a clock that is only slewed never steps
            return
        if was_set:
            log.warning("clock-stepped", seconds=round(-back, 3))
        # No partner is left alone for longer than an hour: what is farther off at the start was written by a clock ahead.
        beyond = self._now() + (timedelta(hours=1) if self._gap is None else timedelta(0))
        try:
            await self._journal.write(stepped.hurry, self._now(), beyond)
            moved = count = await self._journal.write(stepped.bring_back, self._now(), _BATCH)
            while count == _BATCH:
                count = await self._journal.write(stepped.bring_back, self._now(), _BATCH)
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
