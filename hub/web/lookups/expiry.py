"""Deletes expired answers of lookups. Decides when to delete; `hub.web.lookups.cache` decides what."""

from collections.abc import Callable
from datetime import date, datetime

import attrs
import structlog
from twisted.internet.interfaces import IReactorTime

from hub.domain.local_time import find_local_day
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal
from hub.web.lookups import cache

log = structlog.get_logger()

#: How often to look, in seconds. An expired answer that is not deleted yet is never given.
EVERY = 5.0


@attrs.define(eq=False)
class AnswerExpiry(PeriodicService):
    """Periodically deletes the answers of lookups that have expired."""

    every = EVERY
    failure = "answers-not-forgotten"

    _journal: Journal  #: reads and deletes answers
    _clock: IReactorTime  #: the reactor, which times the looks
    _now: Callable[[], datetime]  #: returns the current time in UTC
    _day: date | None = attrs.field(default=None, init=False)  #: the day on which old counts were last deleted

    async def work(self) -> None:
        """Delete what has expired, in batches. Old counts are deleted once a day."""
        now = self._now()
        today = find_local_day(now)
        end = await self._journal.read(cache.read_next_expiry)
        if (end is None or end > now) and today == self._day:
            return
        gone = total = await self._journal.write(cache.forget_old_answers, now, today)
        while gone == cache.BATCH:
            gone = await self._journal.write(cache.forget_old_answers, now, today)
            total += gone
        self._day = today
        if total:
            log.info("answers-forgotten", count=total)
