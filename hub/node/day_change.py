"""Detects that a new day has begun in Hà Nội, because unit codes may have another meaning from that day on.

Compares local dates only. Does not read the registry.
"""

from collections.abc import Awaitable, Callable
from datetime import date, datetime

import attrs
from twisted.internet.interfaces import IReactorTime

from hub.domain.local_time import find_local_day
from hub.runtime.periodic import PeriodicService

#: Seconds between two checks of the clock.
EVERY = 20.0


@attrs.define(eq=False)
class DayChangeDetector(PeriodicService):
    """Calls a function once for each new day. If the call fails, it is repeated at the next check."""

    every, at_once = EVERY, False
    failure = "daybreak-not-taken-up"

    _clock: IReactorTime  #: the reactor's clock, which times the checks
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _begun: Callable[[date], Awaitable[None]]  #: called with the new day
    _day: date | None = attrs.field(default=None, init=False)  #: the day for which the function was called last

    def startService(self) -> None:
        """Start with the current day as the known day."""
        self._day = find_local_day(self._now())
        super().startService()

    async def work(self) -> None:
        """Call the function if the day has changed."""
        today = find_local_day(self._now())
        if today != self._day:
            await self._begun(today)
            self._day = today
