"""Hands over what is on its way to units that have ended, where another partner serves the unit that continues their work.

Decides when to look; `hub.journal.queue.deliveries` moves. Looks at the start and then every few minutes, so that it
follows a new day, a reload of the registry, and a replay alike. Every node does it: a delivery that one moves is not
found by another.
"""

from collections.abc import Callable
from datetime import datetime

import attrs
import structlog
from twisted.internet.interfaces import IReactorTime

from hub.domain.local_time import find_local_day
from hub.journal.queue import delivery_ends
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal
from hub.units.live import Live

log = structlog.get_logger()

#: Seconds between two looks.
EVERY = 300.0
#: Deliveries moved in one transaction.
BATCH = 200


@attrs.define(eq=False)
class HandOver(PeriodicService):
    """Periodically hands over the deliveries of units that have ended to the partners of their heirs, and back to their own
    partners if the deed was undone.
    """

    every = EVERY
    failure = "deliveries-not-handed-over"

    _live: Live  #: the units and partners in force
    _journal: Journal  #: reads and moves deliveries
    _clock: IReactorTime  #: the reactor, which times the looks
    _now: Callable[[], datetime]  #: returns the current time in UTC
    _ended: frozenset[str] = attrs.field(default=frozenset(), init=False)  #: the units whose deliveries were looked at

    async def work(self) -> None:
        """Hand over everything, in batches."""
        now, routes = self._now(), self._live.province.routes
        today = find_local_day(now)
        ways = routes.list_handed_over(today)
        late = [unit for unit in ways if routes.is_late(unit, today)]
        ended = frozenset(ways)
        ways |= routes.list_routes(self._ended - ended, today)  # their deed was undone since the last look
        total = 0
        try:
            while ways and not self.stopping:
                moved = await self._journal.write(delivery_ends.hand_over_deliveries, ways, late, now, BATCH)
                total += moved
                if moved < BATCH:
                    break
        finally:
            if total:
                log.info("deliveries-handed-over", count=total)
        self._ended = ended
