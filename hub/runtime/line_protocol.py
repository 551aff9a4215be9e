"""A conversation in lines over one connection.  Knows Twisted, TLS and bounds; not what is said.

Mail speaks so.  Twisted's own SMTP and IMAP clients are not used: they send to those recipients that were taken though others were
not, have no IDLE and no bound on what a server says, and keep what came in the clear before TLS began.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

import attrs
from OpenSSL import SSL
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

_LINE = 16 * 1024  #: octets of one line at most


class ConnectionBroken(Exception):
    """The other side hung up, or says what makes no sense."""


#: What may come of a conversation, each the network's fault or the other side's.
BROKEN = (ConnectionBroken, ConnectError, ConnectionClosed, DNSLookupError, SSL.Error, defer.TimeoutError)


@attrs.define(eq=False, slots=False)
class Talk(Protocol):
    """One side of the conversation: ours."""

    _heard: bytearray = attrs.field(factory=bytearray, init=False)
    _wanted: Callable[[], int | None] = attrs.field(default=lambda: None, init=False)
    _waiting: Deferred[bytes] | None = attrs.field(default=None, init=False)
    _lost: Failure | None = attrs.field(default=None, init=False)

    async def line(self) -> bytes:
        """Return the next line, without its end.  Raises ConnectionBroken, and what broke the connection."""
        return (await self._next(self._end_of_line)).removesuffix(b"\n").removesuffix(b"\r")

    async def octets(self, count: int) -> bytes:
        """Return the next *count* octets.  Raises as `line` does."""
        return await self._next(lambda: count if len(self._heard) >= count else None)

    def say(self, octets: bytes) -> None:
        """Write *octets*."""
        if self._lost is not None:
            self._lost.raiseException()
        assert self.transport is not None
        self.transport.write(octets)

    def secure(self, creator: IOpenSSLClientConnectionCreator) -> None:
        """Begin TLS.  Raises ConnectionBroken when the other side has said more already: it would pass for TLS."""
        if self._heard:
            raise ConnectionBroken("it says something before TLS begins that would count after")
        assert self.transport is not None
        self.transport.startTLS(creator)  # type: ignore[attr-defined]  # ITLSTransport

    def here(self) -> str:
        """Return our own address on this connection."""
        assert self.transport is not None
        return str(self.transport.getHost().host)  # type: ignore[attr-defined]  # IPv4Address or IPv6Address

    def close(self) -> None:
        """Hang up."""
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
        """Keep *data*; hand it over as soon as it is what somebody waits for."""
        self._heard += data
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
        """Tell who waits."""
        self._lost = reason
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.errback(reason)


def split_host_port(url: str, usual: int) -> tuple[str, int]:
    """Return host and port of *url*; without one, the *usual* port."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or usual


async def open_connection(
    reactor: object, host: str, port: int, seconds: float, creator: IOpenSSLClientConnectionCreator | None
) -> Talk:
    """Connect, within so many *seconds*; with *creator*, TLS begins at once.  Raises what kept us from it."""
    endpoint = HostnameEndpoint(reactor, host, port, timeout=seconds)
    factory = Factory.forProtocol(Talk)
    factory.noisy = False
    made = await (wrapClientTLS(creator, endpoint) if creator is not None else endpoint).connect(factory)
    assert isinstance(made, Talk)
    return made
