"""Sums up the counts of what waits, on PostgreSQL (hub.journal.waiting_counts): each change leaves a row of its own."""

import attrs
import structlog
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from hub.journal import waiting_counts
from hub.runtime.periodic import PeriodicService
from hub.store.group_commit import Journal

log = structlog.get_logger()


@attrs.define(eq=False)
class CountFolder(PeriodicService):
    """The folder of one node. Several nodes may do it at the same time."""

    every = 5.0

    _journal: Journal  #: whose counts are summed up
    _clock: IReactorTime  #: the reactor's clock, which times the rounds

    async def run_once(self) -> None:
        """Sum up the rows, if they are many: an idle hub writes nothing."""
        try:
            if await self._journal.read(waiting_counts.are_many_counts):
                await self._journal.write(waiting_counts.fold_waiting_counts)
        except CancelledError:
            raise
        except Exception:
            # the next round tries again; an error raised here would end the loop for ever
            log.exception("counts-not-folded")
