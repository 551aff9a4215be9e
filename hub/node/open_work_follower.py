"""Keeps the list of open work up to date, in short steps beside the exchange. `hub.journal.sequels.open_work.following` contains the SQL.

A step reads in a reader's turn and writes only what changed. After an upgrade the same steps make the list of the whole
journal.
"""

import attrs
from twisted.internet.interfaces import IReactorTime

from hub.journal.sequels.open_work import following
from hub.runtime.periodic import PeriodicService
from hub.store.group_commit import Journal

#: Steps of one round. A hub that makes the list of a large journal spends about a quarter of a core on it.
_STEPS = 8


@attrs.define(eq=False)
class OpenWorkFollower(PeriodicService):
    """The follower of one node. Of two nodes that read the same step, one writes it."""

    every = 2.0
    at_once = False
    failure = "open-work-not-listed"

    _journal: Journal  #: whose facts are followed
    _clock: IReactorTime  #: the reactor's clock, which times the rounds
    #: the number of an event up to which nothing changes the list: not written, so that an idle hub writes nothing
    _seen: int = attrs.field(default=0, init=False)

    async def work(self) -> None:
        """Do the next steps, until no event is left."""
        for _ in range(_STEPS):
            step = await self._journal.read(following.read_step, self._seen)
            if step is None:
                return
            if not step.changes:
                self._seen = step.upto
            elif not await self._journal.write(following.write_step, step):
                return
