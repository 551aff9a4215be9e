"""Judges the peers of all open TLS connections again after a change of trust, and closes those that are not trusted.

A change is a reload, or news of a CA about revocations. Connections are judged some at a time, so that calls on the
others are served meanwhile; all are judged within a second. Knows neither partners nor protocols: each connection brings
its own judgement.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import attrs
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

log = structlog.get_logger()

#: Seconds of the reactor that one step of a sweep takes, plus one judgement (less than a millisecond).
STEP = 0.005
#: Seconds for an answer in progress on a connection that is not trusted any more.
PARTING = 0.7


@attrs.frozen(eq=False)
class WatchedPeer:
    """One open connection, whose peer has shown a certificate."""

    owner: str  #: code of the partner, or another name, for the log
    certificate: str  #: SHA-256 of the certificate that the peer showed
    find_flaw: Callable[[], str]  #: returns the code of why the peer is not trusted any more, or an empty text
    part: Callable[[], None]  #: takes no further call, and closes the connection within a second


@attrs.define(eq=False)
class TrustSweep:
    """The sweeps of one process, one after another."""

    _clock: Any  #: the reactor
    #: returns the open connections of one port or client, given what was trusted before (None: as now)
    _groups: tuple[Callable[[Any], Iterable[WatchedPeer]], ...]
    _waiting: list[Any] = attrs.field(factory=list, init=False)  #: what was trusted before each change
    _running: bool = attrs.field(default=False, init=False)

    def begin(self, before: Any = None) -> None:
        """Judge every connection that is open now by what is trusted now.

        *before* is what was trusted before the change; None if only a CA gave news of revocations.
        """
        if before is not None or not self._waiting:  # a sweep that has not begun will do
            self._waiting.append(before)
        if not self._running:
            self._running = True
            _ = Deferred.fromCoroutine(self._run()).addErrback(_report_broken_sweep)

    async def _run(self) -> None:
        try:
            while self._waiting:
                before = self._waiting.pop(0)
                for group in self._groups:
                    await self._sweep(group, before)
        finally:
            self._running = False

    async def _sweep(self, group: Callable[[Any], Iterable[WatchedPeer]], before: Any) -> None:
        """Judge the connections of one group. An error concerns one connection, or this group at most."""
        try:
            peers = list(group(before))
        except Exception:
            log.exception("trust-sweep-failed")
            return
        closed: Counter[tuple[str, str, str]] = Counter()
        until = self._clock.seconds() + STEP
        for peer in peers:
            if self._clock.seconds() >= until:
                await deferLater(self._clock, 0)
                until = self._clock.seconds() + STEP
            try:
                flaw = peer.find_flaw()
                if flaw:
                    closed[peer.owner, peer.certificate, flaw] += 1
                    peer.part()
            except Exception:
                log.exception("trust-sweep-failed", certificate=peer.certificate)
        for (owner, certificate, flaw), count in closed.items():
            log.warning("connections-distrusted", partner=owner, certificate=certificate, code=flaw, count=count)


def _report_broken_sweep(failure: Failure) -> None:
    if not failure.check(CancelledError):
        log.error("trust-sweep-failed", exception=failure.getTraceback())
