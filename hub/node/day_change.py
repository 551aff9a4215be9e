"""Notices that a day has begun in Hà Nội, when what a code means may have changed.  Knows the clock on the wall; not the registry."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime

import attrs
import structlog
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from hub.domain.local_time import local_day
from hub.runtime.periodic import Regular

log = structlog.get_logger()

#: How often to look, in seconds.
EVERY = 20.0


@attrs.define(eq=False)
class Daybreak(Regular):
    """Tells when the day is another than the one before, until who is told has taken it up."""

    every, at_once = EVERY, False

    _clock: IReactorTime
    _now: Callable[[], datetime]
    _begun: Callable[[date], Awaitable[None]]  #: told of the new day
    _day: date | None = attrs.field(default=None, init=False)

    def startService(self) -> None:
        """Begin with the day it is."""
        self._day = local_day(self._now())
        super().startService()

    async def look(self) -> None:
        """Tell, if another day has begun."""
        today = local_day(self._now())
        if today == self._day:
            return
        try:
            await self._begun(today)
        except CancelledError:
            raise
        except Exception:
            log.exception("daybreak-not-taken-up")  # it is told again
            return
        self._day = today
