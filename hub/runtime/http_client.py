"""What every call out over HTTP shares: the TLS side of a connection, an answer read up to a bound, an error said in one line.

Knows Twisted's client; not whom it calls.
"""

import attrs
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.client import HTTPConnectionPool, ResponseDone, ResponseFailed
from twisted.web.iweb import IPolicyForHTTPS, IResponse
from zope.interface import implementer

#: Octets of an answer's head, all it says before the body.
HEAD = 256 * 1024


class Unreachable(ConnectionError):
    """The network's fault or the partner's: no reply came."""


class TooLong(Exception):
    """The answer has more octets than it may."""


class _BoundedHead(HTTP11ClientProtocol):
    """Gives up a connection over which a head comes without end: Twisted bounds each line of it, and not how many there are."""

    _head = 0

    def request(self, request: Request) -> Deferred[IResponse]:
        """See `HTTP11ClientProtocol`."""
        self._head = 0
        return super().request(request)

    def dataReceived(self, data: bytes) -> None:
        """Count what comes while the body has not begun."""
        if self._parser is not None and self._parser.state in {"STATUS", "HEADER"}:
            self._head += len(data)
            if self._head > HEAD:
                over = TooLong(f"the head of the answer is longer than {HEAD} octets")
                self._giveUp(Failure(over))
                return
        super().dataReceived(data)


class _Connecting(Factory):
    """Makes the protocol of one connection of a pool."""

    noisy = False

    def __init__(self, quiescent: object, _metadata: str) -> None:
        self._quiescent = quiescent

    def buildProtocol(self, addr: object) -> _BoundedHead:
        """See `Factory`."""
        return _BoundedHead(self._quiescent)


def make_connection_pool(reactor: object, *, persistent: bool) -> HTTPConnectionPool:
    """Return a pool of connections over which every answer has a bounded head; whether to ask again is the caller's to say."""
    made = HTTPConnectionPool(reactor, persistent=persistent)
    made._factory = _Connecting  # type: ignore[assignment]  # noqa: SLF001 - Twisted has no other way
    made.retryAutomatically = False
    return made


@implementer(IOpenSSLClientConnectionCreator)
@attrs.frozen
class _Connections:
    """Makes the TLS side of one connection."""

    _context: SSL.Context
    _host: bytes
    _staple: bool

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """See `IOpenSSLClientConnectionCreator`."""
        connection = SSL.Connection(self._context, None)
        if not self._host.replace(b".", b"").replace(b":", b"").isdigit():
            connection.set_tlsext_host_name(self._host)
        if self._staple:
            connection.request_ocsp()
        return connection


@implementer(IPolicyForHTTPS)
@attrs.frozen
class OneContext:
    """Every host is called with the same context."""

    _context: SSL.Context
    _staple: bool = False  #: ask the server for an OCSP response about its certificate

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """See `IPolicyForHTTPS`."""
        del port
        return _Connections(self._context, hostname, self._staple)


async def read_body(response: IResponse, limit: int) -> bytes:
    """Return the whole body of *response*.  Raises TooLong beyond *limit* octets, and what breaks the connection."""
    reading = _BodyReader(limit)
    response.deliverBody(reading)
    return await reading.done


def describe_connection_error(error: Exception) -> str:
    """Say in one line why no answer came."""
    match error:
        case TooLong():
            return str(error)
        case ConnectError() | DNSLookupError() | ConnectingCancelledError():
            return f"connection failed: {error}"
        case ResponseFailed():
            return "connection broke: " + "; ".join(failure.getErrorMessage() for failure in error.reasons)
        case _:
            return f"{type(error).__name__}: {error}"


class _BodyReader(Protocol):
    """Gathers a body up to a limit."""

    def __init__(self, limit: int) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._abort())
        self._limit = limit
        self._body = bytearray()  # not a list of what came: chunks of two octets take fifty each

    def dataReceived(self, data: bytes) -> None:
        """Keep *data*; give up when there is too much of it."""
        self._body += data
        if len(self._body) > self._limit and not self.done.called:
            self._abort()
            self.done.errback(Failure(TooLong(f"the answer is longer than {self._limit} octets")))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand over the whole body, or say why there is none."""
        if self.done.called:
            return
        if reason.check(ResponseDone):
            self.done.callback(bytes(self._body))
        else:
            self.done.errback(reason)

    def _abort(self) -> None:
        if self.transport is not None and hasattr(self.transport, "abortConnection"):
            self.transport.abortConnection()
