"""Indexes the messages for searches, in short steps beside the exchange. `hub.journal.searching.search_index` contains the SQL.

A step reads in a reader's turn and writes only what it found, so the writer is busy for some milliseconds. After an
upgrade the same steps index the messages of the whole journal.
"""

import attrs
from twisted.internet.interfaces import IReactorTime

from hub.journal.searching import search_index
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal

_EVERY = 2.0  #: seconds
#: Steps of one round. A hub with a large journal that is not indexed yet spends about a quarter of a core on it.
_STEPS = 8
#: Seconds after which also the newest events are indexed, which a step leaves to the searches: what is not indexed never
#: goes into an archive, and a hub with little traffic would keep it for years.
_ALL = 86_400.0


@attrs.define(eq=False)
class SearchIndexer(PeriodicService):
    """The indexer of one node. Of two nodes that read the same step, one writes it."""

    every = _EVERY
    at_once = False
    failure = "indexing-failed"

    _journal: Journal  #: whose messages are indexed
    _clock: IReactorTime  #: the reactor's clock, which times the rounds
    _all_at: float = attrs.field(default=0.0, init=False)  #: when all events are indexed next, by the clock

    async def work(self) -> None:
        """Do the next steps, until few events are left; at the start and once a day, until none is."""
        due = self._clock.seconds() >= self._all_at
        for _ in range(_STEPS):
            step = await self._journal.read(search_index.read_step, 0 if due else search_index.LEFT)
            if step is None:
                self._all_at = self._clock.seconds() + _ALL if due else self._all_at
                return
            if not await self._journal.write(search_index.write_step, step):
                return
