"""Writes a heartbeat every three seconds, and releases deliveries that dead nodes claimed.

`hub.journal.nodes` and `hub.journal.queue.claims` contain the SQL.

A node whose last heartbeat is older than its lease (`nodes.LIFE`) must neither accept nor send anything until it has
written a new one, because another node may send the same deliveries. A result that it settles then is stale and changes
nothing (`hub.journal.queue.claims.settle_claim`). A node writes no heartbeat if its program does not fit the schema any
more.
"""

from collections.abc import Callable
from datetime import datetime

import attrs
import structlog
from twisted.internet.interfaces import IReactorTime

from hub.domain.errors import Unready
from hub.domain.measures import LEASES, Measures
from hub.journal import nodes
from hub.journal.nodes import Node, PendingRestart
from hub.journal.queue import claim_release
from hub.language.phrases import phrase
from hub.runtime.periodic import PeriodicService
from hub.store import schema_version, transactions
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction

log = structlog.get_logger()

#: Seconds between two heartbeats.
BEAT = 3.0
#: Seconds until a failed heartbeat is tried again.
_AGAIN = 1.0


@attrs.define(eq=False)
class Heartbeat(PeriodicService):
    """The heartbeat of one node."""

    every = _AGAIN
    failure = "beat-failed"

    _journal: Journal  #: where heartbeats are written
    _clock: IReactorTime  #: the reactor's clock, which times the rounds
    _steady: Callable[[], float]  #: monotonic seconds that also count while the process is suspended
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _node: Node  #: what the heartbeat says of this node
    _alone: bool  #: no other node shares the journal, so none takes over its claims
    _rescued: Callable[[], None]  #: called when claims were released, or when this node may claim again
    _measures: Measures = attrs.field(factory=Measures)  #: what this node counts
    #: what waits for the restart of this node
    pending: PendingRestart = attrs.field(factory=PendingRestart, init=False)
    _until: float | None = attrs.field(default=None, init=False)  #: end of the lease, by the steady clock
    _due: float = attrs.field(default=0.0, init=False)  #: time of the next heartbeat, by the steady clock
    _lapsed: bool = attrs.field(default=False, init=False)  #: whether the lapse was logged

    async def finish(self) -> None:
        """Write that the node has stopped."""
        try:
            await self._journal.write(nodes.record_node_end, self._node.name, self._now())
        except Unready as unready:
            log.warning("node-end-not-written", error=str(unready))  # other nodes will see it as lapsed

    def require_lease(self) -> None:
        """Raise `Unready` if other nodes may believe this node dead: it must send nothing now."""
        if not self._alone and (self._until is None or self._steady() > self._until):
            raise Unready("journal-unavailable", phrase("the heartbeat of this node has lapsed"), retry_after=1)

    def tell_pending_restart(self, pending: PendingRestart) -> None:
        """Write *pending* with the next heartbeat, within a second."""
        self.pending, self._due = pending, 0.0

    async def work(self) -> None:
        """Write a heartbeat if one is due."""
        begun = self._steady()
        if begun < self._due:
            return
        try:
            given_back = await self._journal.write(_record_beat, self._node, self._now(), self.pending)
        except Unready as unready:
            if self._until is not None and begun > self._until and not self._lapsed and not self._alone:
                self._lapsed = True
                log.warning("node-lapsed", error=str(unready))
            return
        fresh = self._until is None or begun > self._until
        if self._until is not None and begun > self._until:
            log.warning("node-revived", silent=round(begun - self._until + nodes.LIFE.total_seconds(), 1))
        self._lapsed, self._until, self._due = False, begun + nodes.LIFE.total_seconds(), begun + BEAT
        if given_back:
            log.warning("deliveries-rescued", count=given_back)
            self._measures.count(LEASES, by=given_back)
        if given_back or fresh:
            self._rescued()


def _record_beat(tx: Transaction, node: Node, now: datetime, pending: PendingRestart) -> int:
    if not schema_version.is_schema_supported(tx):
        raise Unready(
            "journal-unavailable",
            phrase("this program does not run on schema {schema}", schema=transactions.select_schema_version(tx)),
        )
    nodes.record_heartbeat(tx, node, now, pending)
    return claim_release.release_lost_claims(tx, now)
