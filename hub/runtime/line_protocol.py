"""A line-based protocol over one connection, as mail servers speak it. Knows Twisted, TLS and limits, not the commands.

Twisted's own SMTP and IMAP clients are not used. They send to the recipients that were accepted even when others were
refused, have no IDLE and no limit on the size of a server's answer, and keep data that arrived in clear text before TLS
began.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

import attrs
from cryptography import x509
from OpenSSL import SSL
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from hub.runtime.call_progress import CallProgress
from hub.runtime.http_client import require_elsewhere
from hub.runtime.peer_check import read_peer_certificates

_LINE = 16 * 1024  #: maximum octets of one line


class ConnectionBroken(Exception):
    """The other side closed the connection or broke the protocol."""


#: Errors of a connection that are the fault of the network or of the other side.
BROKEN = (ConnectionBroken, ConnectError, ConnectionClosed, DNSLookupError, SSL.Error, defer.TimeoutError)


@attrs.define(eq=False, slots=False)
class LineConnection(Protocol):
    """The hub's side of one connection."""

    _heard: bytearray = attrs.field(factory=bytearray, init=False)  #: received octets that no caller has read yet
    #: returns how many of them complete the read, or None
    _wanted: Callable[[], int | None] = attrs.field(default=lambda: None, init=False)
    _waiting: Deferred[bytes] | None = attrs.field(default=None, init=False)  #: the caller that waits for them
    _lost: Failure | None = attrs.field(default=None, init=False)  #: why the connection ended
    progress: CallProgress | None = attrs.field(default=None, init=False)  #: is told of what comes

    async def read_line(self) -> bytes:
        """Return the next line without its end. Raises ConnectionBroken, or the error that broke the connection."""
        return (await self._next(self._end_of_line)).removesuffix(b"\n").removesuffix(b"\r")

    async def read_octets(self, count: int) -> bytes:
        """Return the next *count* octets. Raises as `read_line` does."""
        return await self._next(lambda: count if len(self._heard) >= count else None)

    def write(self, octets: bytes) -> None:
        """Write *octets*. Raises the error that broke the connection."""
        if self._lost is not None:
            self._lost.raiseException()
        assert self.transport is not None
        self.transport.write(octets)

    def start_tls(self, creator: IOpenSSLClientConnectionCreator) -> None:
        """Begin TLS. Raises ConnectionBroken if clear text has already arrived: it would count as sent under TLS."""
        if self._heard:
            raise ConnectionBroken("it sends something before TLS begins, which would count as sent under TLS")
        assert self.transport is not None
        self.transport.startTLS(creator)  # type: ignore[attr-defined]  # ITLSTransport

    def read_peer(self) -> tuple[x509.Certificate, ...]:
        """Return the certificate that the server showed, and what it sent above it.

        Nothing without TLS, and when the connection has ended.
        """
        return read_peer_certificates(self.transport) if self._lost is None else ()

    def local_address(self) -> str:
        """Return the local address of this connection."""
        assert self.transport is not None
        return str(self.transport.getHost().host)  # type: ignore[attr-defined]  # IPv4Address or IPv6Address

    def close(self) -> None:
        """Abort the connection."""
        if self._lost is None and self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]  # ITCPTransport

    async def _next(self, wanted: Callable[[], int | None]) -> bytes:
        count = wanted()
        if count is None:
            if self._lost is not None:
                self._lost.raiseException()
            self._wanted, self._waiting = wanted, Deferred(lambda _: self.close())
            return await self._waiting
        return self._take(count)

    def _take(self, count: int) -> bytes:
        octets = bytes(self._heard[:count])
        del self._heard[:count]
        return octets

    def _end_of_line(self) -> int | None:
        found = self._heard.find(b"\n") + 1
        if max(found, 0 if found else len(self._heard)) > _LINE:
            raise ConnectionBroken(f"a line is longer than {_LINE} octets")
        return found or None

    def dataReceived(self, data: bytes) -> None:
        """Buffer *data* and return it to the waiting caller as soon as it is complete."""
        self._heard += data
        if self.progress is not None:
            self.progress.read(len(data))
        if self._waiting is None:
            if len(self._heard) > _LINE:
                self.close()
            return
        try:
            count = self._wanted()
        except ConnectionBroken:
            self.close()
            waiting, self._waiting = self._waiting, None
            waiting.errback()
            return
        if count is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(self._take(count))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail the waiting caller with *reason*."""
        self._lost = reason
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.errback(reason)


def split_host_port(url: str, usual: int) -> tuple[str, int]:
    """Return host and port of *url*. *usual* is the default port."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or usual


async def open_connection(
    reactor: object, host: str, port: int, seconds: float, creator: IOpenSSLClientConnectionCreator | None
) -> LineConnection:
    """Connect within *seconds*, with TLS from the start if *creator* is given.

    Raises the error that prevented the connection.
    """
    endpoint = HostnameEndpoint(reactor, host, port, timeout=seconds)
    factory = Factory.forProtocol(LineConnection)
    factory.noisy = False
    made = await (wrapClientTLS(creator, endpoint) if creator is not None else endpoint).connect(factory)
    assert isinstance(made, LineConnection)
    require_elsewhere(host, made.transport)
    return made
