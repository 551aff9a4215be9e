"""Shared code of every HTTP call that the hub makes.

Sets up TLS, reads an answer up to a limit, and describes an error in one line. Builds on Twisted's HTTP client. Does
not know which partner is called.
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

#: Maximum size of an answer's head (status line and headers), in octets.
HEAD = 256 * 1024


class Unreachable(ConnectionError):
    """No reply came, through a fault of the network or the partner."""


class BodyTooLong(Exception):
    """The answer has more octets than allowed."""


class _BoundedHead(HTTP11ClientProtocol):
    """Closes a connection whose answer has an endless head.

    Twisted limits the length of a header line, not their number.
    """

    _head = 0

    def request(self, request: Request) -> Deferred[IResponse]:
        """See `HTTP11ClientProtocol`."""
        self._head = 0
        return super().request(request)

    def dataReceived(self, data: bytes) -> None:
        """Count the octets until the body begins."""
        if self._parser is not None and self._parser.state in {"STATUS", "HEADER"}:
            self._head += len(data)
            if self._head > HEAD:
                over = BodyTooLong(f"the head of the answer is longer than {HEAD} octets")
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
    """Return a connection pool in which the head of every answer is bounded. It never retries; the caller decides."""
    made = HTTPConnectionPool(reactor, persistent=persistent)
    made._factory = _Connecting  # type: ignore[assignment]  # noqa: SLF001 - Twisted offers no public way
    made.retryAutomatically = False
    return made


@implementer(IOpenSSLClientConnectionCreator)
@attrs.frozen
class _Connections:
    """Makes the TLS connection to one host."""

    _context: SSL.Context
    _host: bytes  #: host name for SNI
    _staple: bool  #: whether to request an OCSP response

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
class SharedTlsContext:
    """Uses the same TLS context for every host."""

    _context: SSL.Context
    _staple: bool = False  #: ask the server for an OCSP response about its certificate (stapling)

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """See `IPolicyForHTTPS`."""
        del port
        return _Connections(self._context, hostname, self._staple)


async def read_body(response: IResponse, limit: int) -> bytes:
    """Return the whole body of *response*.

    Raises BodyTooLong beyond *limit* octets, or the error that broke the connection.
    """
    reading = _BodyReader(limit)
    response.deliverBody(reading)
    return await reading.done


def describe_connection_error(error: Exception) -> str:
    """Describe in one line why no answer came."""
    match error:
        case BodyTooLong():
            return str(error)
        case ConnectError() | DNSLookupError() | ConnectingCancelledError():
            return f"connection failed: {error}"
        case ResponseFailed():
            return "connection broke: " + "; ".join(failure.getErrorMessage() for failure in error.reasons)
        case _:
            return f"{type(error).__name__}: {error}"


class _BodyReader(Protocol):
    """Collects a body up to a limit."""

    def __init__(self, limit: int) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._abort())
        self._limit = limit
        self._body = bytearray()  # not a list of chunks: each chunk of two octets would take fifty octets of memory

    def dataReceived(self, data: bytes) -> None:
        """Keep *data*, or abort the connection when the body is too long."""
        self._body += data
        if len(self._body) > self._limit and not self.done.called:
            self._abort()
            self.done.errback(Failure(BodyTooLong(f"the answer is longer than {self._limit} octets")))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Return the whole body, or fail with the reason why there is none."""
        if self.done.called:
            return
        if reason.check(ResponseDone):
            self.done.callback(bytes(self._body))
        else:
            self.done.errback(reason)

    def _abort(self) -> None:
        if self.transport is not None and hasattr(self.transport, "abortConnection"):
            self.transport.abortConnection()
