"""Numbers and chains committed events, at most one second behind. `hub.journal.events` contains the SQL."""

import attrs
from twisted.internet.interfaces import IReactorTime

from hub.domain.measures import EVENTS, FACTS, Measures
from hub.journal import events
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal

#: Events of one step: about 3 ms of the writer, which is kept from everybody else as long.
_BATCH = 64
_EVERY = 0.5  #: seconds


@attrs.define(eq=False)
class EventChainer(PeriodicService):
    """The chainer of one node. A database lock lets only one node chain at a time."""

    every = _EVERY
    failure = "chaining-failed"

    _journal: Journal  #: whose events are chained
    _clock: IReactorTime  #: the reactor's clock, which times the rounds
    _measures: Measures = attrs.field(factory=Measures)  #: what this node counts

    async def finish(self) -> None:
        """Chain the remaining events before the node stops."""
        await self.run_once()

    async def work(self) -> None:
        """Chain all unchained events, `_BATCH` in a step."""
        while self._count(await self._journal.write(events.chain_and_count_events, _BATCH)) == _BATCH:
            pass

    def _count(self, chained: events.ChainedKinds) -> int:
        """Count the events *chained*, and return their number."""
        for name, count in chained.names.items():
            self._measures.count(EVENTS, name, by=count)
        for fact, count in chained.facts.items():
            self._measures.count(FACTS, *fact, by=count)
        return chained.count
