"""Carries an adapter's requests to partners over mutual TLS.  Knows HTTP out; not what is asked, nor what an answer means.

The server must show one of the partner's configured certificates, chained and unrevoked.  No redirect is followed, no proxy
or trust store of the machine is used, and an answer is read up to a bound.
"""

from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from urllib.parse import urlsplit

import attrs
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IReactorTCP, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from hub import tls
from hub.certificates import fingerprint
from hub.config import Config, Partner
from hub.delivery import Unreachable
from hub.errors import Rejected
from hub.model import Problem, Reply, Request

#: An answer may have so many octets; a document's answer has a few thousand.
REPLY_LIMIT = 4 * 1024 * 1024


class Reactor(IReactorTCP, IReactorTime):
    """What the sender needs of a reactor."""


@implementer(IOpenSSLClientConnectionCreator)
@attrs.frozen
class _Connections:
    """Makes the TLS side of one connection."""

    _context: SSL.Context
    _host: bytes

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """See `IOpenSSLClientConnectionCreator`."""
        connection = SSL.Connection(self._context, None)
        if not self._host.replace(b".", b"").replace(b":", b"").isdigit():
            connection.set_tlsext_host_name(self._host)
        return connection


@implementer(IPolicyForHTTPS)
@attrs.frozen
class _Policy:
    """One partner's TLS."""

    _context: SSL.Context

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """See `IPolicyForHTTPS`."""
        del port
        return _Connections(self._context, hostname)


@attrs.define(eq=False)
class Sender:
    """Keeps one pool of connections a partner."""

    config: Config
    _reactor: Reactor
    _now: Callable[[], datetime]
    _agents: dict[str, tuple[Config, Partner, Agent, HTTPConnectionPool]] = attrs.field(factory=dict, init=False)

    async def send(self, request: Request, partner: Partner) -> Reply:
        """Carry *request* to *partner* and return the reply.  Raises `Unreachable` when there is none in time."""
        if urlsplit(request.url).scheme != "https":
            raise Unreachable(f"not https: {request.url}")
        headers = Headers({name: [value] for name, value in request.headers})
        asked = self._agent(partner).request(
            request.method.encode(), request.url.encode("ascii"), headers, _producer(request.body)
        )
        exchange = Deferred.fromCoroutine(_reply(asked))
        try:
            return await exchange.addTimeout(partner.policy.timeout.total_seconds(), self._reactor)
        except CancelledError:
            raise
        except Exception as error:
            raise Unreachable(_said(error)) from error

    async def close(self) -> None:
        """Close every idle connection."""
        for _, _, _, pool in self._agents.values():
            await pool.closeCachedConnections()
        self._agents.clear()

    def _agent(self, partner: Partner) -> Agent:
        held = self._agents.get(partner.code)
        if held is not None and held[0] is self.config and held[1] is partner:
            return held[2]
        if held is not None:
            _ = held[3].closeCachedConnections()
        anchors, known = self.config.anchors, {fingerprint(certificate) for certificate in partner.certificates}

        def check(shown: x509.Certificate) -> None:
            if fingerprint(shown) not in known:
                raise Rejected(Problem("certificate-unknown", fingerprint(shown)))
            anchors.check(shown, self._now())

        pool = HTTPConnectionPool(self._reactor, persistent=True)
        pool.retryAutomatically = False  # whether to try again is the delivery's to say
        pool.cachedConnectionTimeout = 30
        policy = _Policy(tls.context(self.config.identity, check))
        agent = Agent(self._reactor, policy, connectTimeout=partner.policy.timeout.total_seconds(), pool=pool)
        self._agents[partner.code] = (self.config, partner, agent, pool)
        return agent


def _producer(body: bytes) -> IBodyProducer:
    return FileBodyProducer(BytesIO(body), readSize=1 << 18)


async def _reply(asked: Deferred[IResponse]) -> Reply:
    response = await asked
    reading = _Reading()
    response.deliverBody(reading)
    body = await reading.done
    headers = {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in response.headers.getAllRawHeaders()
    }
    return Reply(response.code, body, headers)


class _Reading(Protocol):
    """Gathers a body up to `REPLY_LIMIT`."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._abort())
        self._parts: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        """Keep *data*; give up when there is too much of it."""
        self._size += len(data)
        self._parts.append(data)
        if self._size > REPLY_LIMIT and not self.done.called:
            self._abort()
            self.done.errback(Failure(Unreachable(f"the answer is longer than {REPLY_LIMIT} octets")))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand over the whole body, or say why there is none."""
        if self.done.called:
            return
        if reason.check(ResponseDone):
            self.done.callback(b"".join(self._parts))
        else:
            self.done.errback(reason)

    def _abort(self) -> None:
        if self.transport is not None and hasattr(self.transport, "abortConnection"):
            self.transport.abortConnection()


def _said(error: Exception) -> str:
    """Say in one line why no reply came."""
    match error:
        case Unreachable():
            return str(error)
        case ConnectError() | DNSLookupError() | ConnectingCancelledError():
            return f"connection failed: {error}"
        case ResponseFailed():
            return "connection broke: " + "; ".join(failure.getErrorMessage() for failure in error.reasons)
        case _:
            return f"{type(error).__name__}: {error}"
