"""Knocks at one link: a connection, a TLS handshake where there is one, and nothing said.  Knows sockets; not when to knock.

No credentials are sent: not even the hub's certificate is shown, so a server that asks for one counts as there once its own was seen.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import attrs
from cryptography import x509
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from hub.config import Config
from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.runtime import http_client
from hub.runtime.peer_check import make_peer_judges
from hub.security import tls
from hub.services.links.probes import Link, Probe

#: Probes one link within its time; raises nothing but CancelledError.
Ask = Callable[[Link, Config], Awaitable[Probe]]


def network_probe(reactor: Any, now: Callable[[], datetime]) -> Ask:
    """Return how a link is probed over the network, by the time it has in `[links]`."""

    async def exchange(link: Link, config: Config) -> Probe:
        at, begun = now(), reactor.seconds()
        endpoint: Any = HostnameEndpoint(reactor, link.host, link.port)
        met = _ProbedConnection()
        if link.tls:
            context = tls.make_tls_context(None, _judged(link, config, now, met))
            endpoint = wrapClientTLS(
                http_client.OneContext(context).creatorForNetloc(link.host.encode(), link.port), endpoint
            )
        try:
            there = await endpoint.connect(Factory.forProtocol(lambda: _Knock(met, link.tls)))
            try:
                await met.over
            finally:
                _ = there.transport.abortConnection() if link.tls else there.transport.loseConnection()
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever broke it is why the other side counts as not there
            if met.refused or not met.shown:
                return Probe(at=at, ends=met.ends, reason=met.refused or http_client.describe_connection_error(error))
        return Probe(at=at, latency=reactor.seconds() - begun, ends=met.ends)

    async def ask(link: Link, config: Config) -> Probe:
        assert config.links is not None
        patience, at = config.links.timeout.total_seconds(), now()
        try:
            return await Deferred.fromCoroutine(exchange(link, config)).addTimeout(patience, reactor)
        except defer.TimeoutError:
            return Probe(at=at, reason=f"no answer within {patience:g} s")

    return ask


@attrs.define(eq=False)
class _ProbedConnection:
    """What came of one connection."""

    over: Deferred[None] = attrs.field(factory=Deferred)
    shown: bool = False  #: a certificate that passes
    ends: datetime | None = None
    refused: str = ""


def _judged(link: Link, config: Config, now: Callable[[], datetime], met: _ProbedConnection) -> tls.Check:
    """Return the judge of the certificate that is shown: a partner's as when it is called, another host's by no name, its end only."""
    partner = config.partners.get(link.name) if link.partner else None

    def not_over(shown: x509.Certificate, _above: object) -> None:
        if shown.not_valid_after_utc < now():
            raise Rejected(Problem("certificate-expired", shown.not_valid_after_utc.isoformat()))

    judge = make_peer_judges(partner, config.anchors, now, link.host)[0] if partner else not_over

    def check(shown: x509.Certificate, above: Any) -> None:
        met.ends = shown.not_valid_after_utc
        try:
            judge(shown, above)
        except Rejected as rejected:
            met.refused = str(rejected)
            raise
        met.shown = True

    return check


@implementer(IHandshakeListener)
class _Knock(Protocol):
    """Says nothing: it is enough that somebody is there."""

    def __init__(self, met: _ProbedConnection, waits: bool) -> None:
        super().__init__()
        self._met, self._waits = met, waits

    def connectionMade(self) -> None:
        """Without TLS, that is all."""
        if not self._waits:
            self._met.over.callback(None)

    def handshakeCompleted(self) -> None:
        """With TLS, this is."""
        if not self._met.over.called:
            self._met.over.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It was hung up before."""
        if not self._met.over.called:
            self._met.over.errback(reason)
