"""Keeps the list of open work up to date, in short steps beside the exchange. `hub.journal.sequels.open_work.following` contains the SQL.

A step reads in a reader's turn and writes only what changed. After an upgrade the same steps make the list of the whole
journal.
"""

import attrs
from twisted.internet.interfaces import IReactorTime

from hub.journal.sequels.open_work import following
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal

#: Steps of one round. A hub that makes the list of a large journal spends about a quarter of a core on it.
_STEPS = 8
#: Seconds after which it is written how far the events were read, though nothing changed the list: what is not read never
#: goes into an archive.
_NOTE = 86_400.0


@attrs.define(eq=False)
class OpenWorkFollower(PeriodicService):
    """The follower of one node. Of two nodes that read the same step, one writes it."""

    every = 2.0
    at_once = False
    failure = "open-work-not-listed"

    _journal: Journal  #: whose facts are followed
    _clock: IReactorTime  #: the reactor's clock, which times the rounds
    #: the number of an event up to which nothing changes the list: seldom written, so that a quiet hub writes little
    _seen: int = attrs.field(default=0, init=False)
    _note_at: float = attrs.field(default=0.0, init=False)  #: when it is written next, by the clock

    async def work(self) -> None:
        """Do the next steps, until no event is left."""
        for _ in range(_STEPS):
            step = await self._journal.read(following.read_step, self._seen)
            if step is None:
                return
            if not step.changes and self._clock.seconds() < self._note_at:
                self._seen = step.upto
            elif not await self._journal.write(following.write_step, step):
                return
            else:
                self._note_at = self._clock.seconds() + _NOTE
