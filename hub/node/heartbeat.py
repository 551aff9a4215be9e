"""Writes every few seconds that this node lives, and gives back what dead nodes held.  Knows when; hub.journal.nodes knows how.

A node that could not write it for as long as it is believed alive must take and send nothing until it has: another may be sending the
same.  What it settles then is stale (hub.journal.queue.claims.settle_claim), so it moves nothing.  Nor does a node live on whose program does not
run on the schema any more.
"""

from collections.abc import Callable
from datetime import datetime

import attrs
import structlog
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from hub.domain.errors import Unready
from hub.journal import nodes
from hub.journal.nodes import Node
from hub.journal.queue import claims
from hub.runtime.periodic import Regular
from hub.store import schema_version, transactions
from hub.store.group_commit import Journal
from hub.store.transactions import Transaction

log = structlog.get_logger()

#: Seconds between two beats.
BEAT = 3.0
#: Seconds until a beat that failed is tried again.
_AGAIN = 1.0


@attrs.define(eq=False)
class Heartbeat(Regular):
    """The beat of one node."""

    every = _AGAIN

    _journal: Journal
    _clock: IReactorTime
    _steady: Callable[[], float]  #: seconds that never go back, and go on while the process stands still
    _now: Callable[[], datetime]
    _node: Node
    _alone: bool  #: no other node shares the journal: nobody takes over what this one holds
    _rescued: Callable[[], None]  #: told when deliveries were given back, or this node may take some again
    _until: float | None = attrs.field(default=None, init=False)  #: by the steady clock
    _due: float = attrs.field(default=0.0, init=False)  #: the next beat, by the steady clock
    _lapsed: bool = attrs.field(default=False, init=False)

    async def end(self) -> None:
        """Write that the node stopped."""
        try:
            await self._journal.write(nodes.record_node_end, self._node.name, self._now())
        except Unready as unready:
            log.warning("node-end-not-written", error=str(unready))  # it will be seen as lapsed

    def check(self) -> None:
        """Raise `Unready` when others may believe this node dead: it must send nothing now."""
        if not self._alone and (self._until is None or self._steady() > self._until):
            raise Unready("journal-unavailable", "this node has not been seen alive for too long", retry_after=1)

    async def look(self) -> None:
        """Beat, if it is time."""
        begun = self._steady()
        if begun < self._due:
            return
        try:
            given_back = await self._journal.write(_beat, self._node, self._now())
        except CancelledError:
            raise
        except Exception as error:
            if not isinstance(error, Unready):
                log.exception("beat-failed")  # the next beat tries again; a loop that raises would stop for ever
            elif self._until is not None and begun > self._until and not self._lapsed and not self._alone:
                self._lapsed = True
                log.warning("node-lapsed", error=str(error))
            return
        fresh = self._until is None or begun > self._until
        if self._until is not None and begun > self._until:
            log.warning("node-revived", silent=round(begun - self._until + nodes.LIFE.total_seconds(), 1))
        self._lapsed, self._until, self._due = False, begun + nodes.LIFE.total_seconds(), begun + BEAT
        if given_back:
            log.warning("deliveries-rescued", count=given_back)
        if given_back or fresh:
            self._rescued()


def _beat(tx: Transaction, node: Node, now: datetime) -> int:
    if not schema_version.fits_schema(tx):
        raise Unready("journal-unavailable", f"this program does not run on schema {transactions.version_in(tx)}")
    nodes.record_heartbeat(tx, node, now)
    return claims.release_lost_claims(tx, now)
