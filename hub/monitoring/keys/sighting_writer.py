"""Writes what this node saw of its partners' handshakes and signatures into the journal, once a minute, in the background."""

from collections.abc import Callable
from datetime import datetime

import attrs
from twisted.internet.interfaces import IReactorTime

from hub.domain.sightings import Sightings
from hub.monitoring.keys import sighting_rows
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal

_EVERY = 60.0  #: seconds
#: Maximum sightings in one step of the writer: some milliseconds.
_STEP = 64


@attrs.define(eq=False)
class SightingWriter(PeriodicService):
    """The writer of one node."""

    every = _EVERY
    at_once = False
    failure = "sightings-not-written"

    _journal: Journal  #: where sightings are written
    _clock: IReactorTime  #: the reactor's clock, which times the rounds
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _sightings: Sightings  #: of this node, in all its processes

    async def work(self) -> None:
        """Write what was seen since the last time. What cannot be written is kept for the next round."""
        found = list(self._sightings.take().items())
        for at in range(0, len(found), _STEP):
            step = [each for _, each in found[at : at + _STEP]]
            try:
                await self._journal.write(sighting_rows.record_sightings, step, self._now())
            except Exception:
                self._sightings.add(dict(found[at:]))
                raise

    async def finish(self) -> None:
        """Write the rest at the stop."""
        await self.run_once()
