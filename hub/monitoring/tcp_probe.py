"""Probes one link: opens a TCP connection, completes a TLS handshake where the link uses TLS, and sends no data. Does
not decide when to probe.

It sends no credentials, not even the hub's certificate. A server that requires a client certificate therefore counts as
reached once its own certificate was seen.
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
from hub.runtime.peer_check import make_peer_checks
from hub.security import tls
from hub.services.links.probes import Link, Probe

#: Probes one link within the configured time; raises nothing but CancelledError.
ProbeLink = Callable[[Link, Config], Awaitable[Probe]]


def make_network_probe(reactor: Any, now: Callable[[], datetime]) -> ProbeLink:
    """Return the probe over the network; its time limit is the `timeout` of `[links]`."""

    async def exchange(link: Link, config: Config) -> Probe:
        at, begun = now(), reactor.seconds()
        endpoint: Any = HostnameEndpoint(reactor, link.host, link.port)
        met = _ProbedConnection()
        if link.tls:
            context = tls.make_tls_context(None, _judge_certificate(link, config, now, met))
            endpoint = wrapClientTLS(
                http_client.SharedTlsContext(context).creatorForNetloc(link.host.encode(), link.port), endpoint
            )
        try:
            there = await endpoint.connect(Factory.forProtocol(lambda: _SilentProtocol(met, link.tls)))
            try:
                await met.over
            finally:
                _ = there.transport.abortConnection() if link.tls else there.transport.loseConnection()
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - any failure means that the host is not reached
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
    """The result of one connection."""

    over: Deferred[None] = attrs.field(factory=Deferred)
    shown: bool = False  #: the server's certificate passed the check
    ends: datetime | None = None  #: when the certificate expires
    refused: str = ""  #: why the certificate was refused


def _judge_certificate(link: Link, config: Config, now: Callable[[], datetime], met: _ProbedConnection) -> tls.Check:
    """Return the check of the server's certificate.

    A partner's certificate is checked as for a call. Of another host's certificate only the expiry is checked, not its
    name or its issuer.
    """
    partner = config.partners.get(link.name) if link.partner else None

    def not_over(shown: x509.Certificate, _above: object) -> None:
        if shown.not_valid_after_utc < now():
            raise Rejected(Problem("certificate-expired", shown.not_valid_after_utc.isoformat()))

    judge = make_peer_checks(partner, config.anchors, now, link.host)[0] if partner else not_over

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
class _SilentProtocol(Protocol):
    """Sends no data: an established connection is the result."""

    def __init__(self, met: _ProbedConnection, waits: bool) -> None:
        super().__init__()
        self._met, self._waits = met, waits

    def connectionMade(self) -> None:
        """Without TLS, the connection itself is the result."""
        if not self._waits:
            self._met.over.callback(None)

    def handshakeCompleted(self) -> None:
        """With TLS, the completed handshake is the result."""
        if not self._met.over.called:
            self._met.over.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection was closed before the probe had its result."""
        if not self._met.over.called:
            self._met.over.errback(reason)
