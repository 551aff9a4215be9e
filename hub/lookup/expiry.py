"""Takes away what may not be kept any longer.  Knows when to look; not what it is."""

from collections.abc import Callable
from datetime import date, datetime

import attrs
import structlog
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from hub.domain.local_time import local_day
from hub.lookup import cache
from hub.runtime.periodic import Regular
from hub.store.group_commit import Journal

log = structlog.get_logger()

#: How often to look, in seconds.  An answer that is too old is not given in the meantime either.
EVERY = 5.0


@attrs.define(eq=False)
class Forgetting(Regular):
    """Forgets answers to lookups when their time is over."""

    every = EVERY

    _journal: Journal
    _clock: IReactorTime
    _now: Callable[[], datetime]
    _day: date | None = attrs.field(default=None, init=False)  #: on which it last looked at the counts

    async def look(self) -> None:
        """Forget what is over."""
        now = self._now()
        today = local_day(now)
        try:
            end = await self._journal.read(cache.next_end)
            if (end is None or end > now) and today == self._day:
                return
            gone = total = await self._journal.write(cache.forget_old_answers, now, today)
            while gone == cache.BATCH:
                gone = await self._journal.write(cache.forget_old_answers, now, today)
                total += gone
        except CancelledError:
            raise
        except Exception:
            log.exception("answers-not-forgotten")  # tried again at the next look
            return
        self._day = today
        if total:
            log.info("answers-forgotten", count=total)
