"""Sums up the counts of what waits, on PostgreSQL (hub.journal.queue.waiting_counts): each change leaves a row of its own."""

import attrs
from twisted.internet.interfaces import IReactorTime

from hub.journal.queue import waiting_counts
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal


@attrs.define(eq=False)
class CountFolder(PeriodicService):
    """The folder of one node. Several nodes may do it at the same time."""

    every = 5.0
    failure = "counts-not-folded"

    _journal: Journal  #: whose counts are summed up
    _clock: IReactorTime  #: the reactor's clock, which times the rounds

    async def work(self) -> None:
        """Sum up the rows, if they are many: an idle hub writes nothing."""
        if await self._journal.read(waiting_counts.are_many_counts):
            await self._journal.write(waiting_counts.fold_waiting_counts)
