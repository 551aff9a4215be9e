"""Calls HTTP/1.1 servers over kept connections, with one TLS context for each caller.

Opens connections, sends a request, and returns the whole answer, up to a limit. Follows no redirect, uses no proxy, and
never repeats a request: the caller decides. Does not know which partner is called or what the octets mean.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import attrs
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IPullProducer,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from hub.domain.own_addresses import leads_home
from hub.runtime.call_progress import CallProgress
from hub.runtime.http_answer import AnswerBroken, AnswerReader, BodyTooLong, CompleteAnswer
from hub.runtime.lazy_timer import LazyTimer
from hub.runtime.peer_check import read_peer_certificates
from hub.runtime.trust_sweep import PARTING

#: Seconds for which an idle connection is kept.
IDLE = 30.0
#: Octets of a long body that are written at a time, so that not all of it is encrypted at once.
_SLICE = 1 << 18
_METHOD = re.compile(r"[A-Z]{1,20}")
_PATH = re.compile(r"[\x21-\x7e]+")
#: The alerts of OpenSSL by which a server refuses a handshake (RFC 8446, 6.2).
_HANDSHAKE_ALERTS = (
    *("access denied", "bad certificate", "certificate", "handshake failure", "insufficient security"),
    *("protocol version", "unknown ca", "unrecognized name", "unsupported certificate"),
)
_PORTS = {"http": 80, "https": 443}


class Unreachable(ConnectionError):
    """No reply came, through a fault of the network or the partner."""

    def __init__(self, *told: object, unsent: bool = False) -> None:
        super().__init__(*told)
        self.unsent = unsent  #: nothing of the request can have arrived: there was no connection, or no TLS on it


def require_elsewhere(host: str, transport: Any) -> None:
    """Check that the name *host* did not lead to this machine itself, before anything is sent. Raises Unreachable."""
    address = getattr(transport.getPeer(), "host", "")
    if leads_home(host, address):
        transport.abortConnection()
        raise Unreachable(f"{host} leads to {address}, this machine itself: the URL must say so", unsent=True)


class OutdatedConnection(Exception):
    """The client was told to judge its connections anew while this one was being opened. Nothing was sent."""


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


@attrs.frozen
class SharedTlsContext:
    """Uses the same TLS context for every host."""

    _context: SSL.Context
    _staple: bool = False  #: ask the server for an OCSP response about its certificate (stapling)

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """Return what makes the TLS connection to *hostname*."""
        del port
        return _Connections(self._context, hostname, self._staple)


@attrs.frozen
class HttpServer:
    """A server that connections lead to."""

    secure: bool  #: over TLS
    host: str  #: name or address, in lower case, without brackets
    port: int


@attrs.define(eq=False)
class HttpClient:
    """Calls servers, and keeps the connections that are idle."""

    reactor: Any  #: for connections and timers
    _tls: SharedTlsContext
    _patience: float  #: seconds within which a connection must be open
    _kept: int = 0  #: connections to one server that are kept while they are idle
    #: whether a page may have set the address: then no name leads to this machine itself (`hub.domain.own_addresses`)
    _guarded: bool = False
    _idle: dict[HttpServer, list["HttpConnection"]] = attrs.field(factory=dict, init=False)
    _open: dict["HttpConnection", None] = attrs.field(factory=dict, init=False)  #: every open connection
    #: called with each connection when the first answer on it begins
    on_answering: Callable[["HttpConnection"], None] = attrs.field(default=lambda _: None, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _epoch: int = attrs.field(default=0, init=False)  #: number of calls of `outdate`

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        limit: int | None,
        progress: CallProgress | None = None,
    ) -> CompleteAnswer:
        """Send a request to *url*, which is http or https, and return the answer, whose body has at most *limit* octets.

        *progress* is told how far the call comes.

        Without a *limit* its body is not read, and the answer is whole with its head.
        Raises ValueError for a request that HTTP cannot express, `OutdatedConnection`, and any error of the connection.
        Cancelling it ends the connection.
        """
        if progress is not None:
            progress.sent = False
        server, path, host = split_http_url(url)
        lasts = self._kept > 0
        head = write_request_head(method, path, host, headers, len(body), lasts=lasts)
        idle = self._idle.get(server)
        epoch = self._epoch
        connection = idle.pop() if idle else await self._connect(server)
        if epoch != self._epoch:
            _ = connection.abort()
            raise OutdatedConnection
        asked = connection.exchange(head, body, AnswerReader(limit, method == "HEAD"), progress)
        return await asked

    def renew(self, tls: SharedTlsContext, patience: float, kept: int) -> None:
        """Use another TLS context for new connections, and other limits. Open connections go on."""
        self._tls, self._patience, self._kept = tls, patience, kept

    def outdate(self) -> None:
        """Use no connection that is being opened now: its server was judged by what was trusted before."""
        self._epoch += 1

    def list_open(self) -> "list[HttpConnection]":
        """Return every open connection, idle or not."""
        return list(self._open)

    def note_open(self, connection: "HttpConnection") -> None:
        """A connection has been opened."""
        self._open[connection] = None

    def note_lost(self, connection: "HttpConnection", server: HttpServer) -> None:
        """A connection has ended."""
        self._open.pop(connection, None)
        self.forget(connection, server)

    async def close(self) -> None:
        """Close every idle connection, and each of the others after its answer."""
        self._closed = True
        idle = [connection for each in self._idle.values() for connection in each]
        self._idle.clear()
        await DeferredList([connection.abort() for connection in idle])

    def keep(self, connection: "HttpConnection", server: HttpServer) -> bool:
        """Keep *connection*, which is idle now. Returns False if it is to be closed."""
        idle = self._idle.setdefault(server, [])
        if self._closed or len(idle) >= self._kept:
            return False
        idle.append(connection)
        return True

    def forget(self, connection: "HttpConnection", server: HttpServer) -> None:
        """Forget *connection*, which has ended or will."""
        idle = self._idle.get(server, [])
        if connection in idle:
            idle.remove(connection)

    async def _connect(self, server: HttpServer) -> "HttpConnection":
        endpoint: Any = HostnameEndpoint(self.reactor, server.host, server.port, timeout=self._patience)
        if server.secure:
            endpoint = wrapClientTLS(self._tls.creatorForNetloc(server.host.encode("ascii"), server.port), endpoint)
        timer = LazyTimer(self.reactor.seconds, self.reactor.callLater)
        connection: HttpConnection = await endpoint.connect(_Connecting(HttpConnection(self, server, timer)))
        if self._guarded:
            require_elsewhere(server.host, connection.transport)
        return connection


@lru_cache(maxsize=256)
def split_http_url(url: str) -> tuple[HttpServer, str, str]:
    """Return the server of *url*, the target of a request there, and the value of Host. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or not url.isascii():
        raise ValueError(f"not a URL of HTTP: {url[:200]}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _PATH.fullmatch(target) or not _PATH.fullmatch(parts.hostname):
        raise ValueError(f"not a URL of HTTP: {url[:200]}")
    port = parts.port or _PORTS[parts.scheme]
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    host = name if port == _PORTS[parts.scheme] else f"{name}:{port}"
    return HttpServer(parts.scheme == "https", parts.hostname, port), target, host


def write_request_head(
    method: str, path: str, host: str, headers: Sequence[tuple[str, str]], length: int, *, lasts: bool
) -> bytes:
    """Return the head of a request with a body of *length* octets. Unless it *lasts*, the connection ends after it.

    A line break in a header becomes a space. Raises ValueError for a name or method that HTTP does not allow.
    """
    if not _METHOD.fullmatch(method):
        raise ValueError(f"not a method of HTTP: {method[:20]}")
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if not lasts:
        lines.append("Connection: close")
    if length or method not in {"GET", "HEAD"}:
        lines.append(f"Content-Length: {length}")
    for name, value in headers:
        if not _PATH.fullmatch(name) or ":" in name:
            raise ValueError(f"not a header's name: {name[:100]}")
        lines.append(f"{name}: {' '.join(each.strip() for each in value.splitlines())}")
    return "\r\n".join([*lines, "\r\n"]).encode()


class _Connecting(Factory):
    """Gives one protocol to the connection that is being opened."""

    noisy = False

    def __init__(self, connection: "HttpConnection") -> None:
        self._connection = connection

    def buildProtocol(self, addr: object) -> "HttpConnection":
        """See `Factory`."""
        return self._connection


@implementer(IHandshakeListener)
class HttpConnection(Protocol):
    """One connection, on which one request at a time is answered."""

    def __init__(self, client: HttpClient, server: HttpServer, timer: LazyTimer) -> None:
        self._client, self._server, self._timer = client, server, timer
        self._reader: AnswerReader | None = None
        self._asked: Deferred[CompleteAnswer] | None = None
        self._sending: _Sending | None = None
        self._progress: CallProgress | None = None
        self._ready = False  #: what is written goes out: without TLS at once, else after the handshake
        self._answered = False  #: whether an answer has begun
        self._parting: IDelayedCall | None = None  #: set when no further request may be sent
        self._lost: Deferred[None] = Deferred()  #: fires when the connection has ended

    def connectionMade(self) -> None:
        """See `Protocol`."""
        transport: Any = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        self._ready = not isinstance(transport, TLSMemoryBIOProtocol)
        self._client.note_open(self)

    def handshakeCompleted(self) -> None:
        """See `IHandshakeListener`."""
        self._ready = True
        if self._progress is not None:
            self._progress.sent = True

    def read_peer(self) -> tuple[x509.Certificate, ...]:
        """Return the certificate that the server showed, and what it sent above it. Nothing without TLS."""
        return read_peer_certificates(self.transport)

    def find_tls(self) -> SSL.Connection | None:
        """Return the TLS connection; None without TLS."""
        transport: Any = self.transport
        return transport.getHandle() if isinstance(transport, TLSMemoryBIOProtocol) else None

    def part(self) -> None:
        """Send no further request, and end the connection within `PARTING` seconds, after an answer in progress."""
        if self._parting is not None:
            return
        if self._asked is None:
            self._abort()
        else:
            self._parting = self._client.reactor.callLater(PARTING, self._abort)

    def exchange(
        self, head: bytes, body: bytes, reader: AnswerReader, progress: CallProgress | None = None
    ) -> Deferred[CompleteAnswer]:
        """Send a request and return the answer that *reader* reads. There must be no other under way."""
        transport: Any = self.transport
        self._timer.clear()
        self._reader, self._progress = reader, progress
        if progress is not None and self._ready:
            progress.sent = True
        asked: Deferred[CompleteAnswer] = Deferred(self._cancel)
        self._asked = asked
        if len(body) <= _SLICE:
            transport.write(head + body)
        else:
            transport.write(head)
            self._sending = _Sending(transport, body, progress)
            transport.registerProducer(self._sending, False)
        return asked

    def dataReceived(self, data: bytes) -> None:
        """See `Protocol`."""
        if self._reader is None:
            self._abort()  # nothing was asked
            return
        if not self._answered:
            self._answered = True
            self._client.on_answering(self)
        try:
            answer = self._reader.feed(data)
        except Exception:  # noqa: BLE001 - it is the result of the exchange
            self._abort()
            self._fail(Failure())
            return
        if answer is not None:
            self._finish(answer, self._reader)
        elif self._progress is not None:
            self._progress.read(len(data))

    def _finish(self, answer: CompleteAnswer, reader: AnswerReader) -> None:
        """Return *answer* to the caller, after the connection was kept or closed."""
        asked, sent = self._asked, self._sending is None or self._sending.done
        self._asked = self._reader = self._sending = self._progress = None
        if not sent:
            self._abort()
        elif reader.reusable and self._parting is None and self._client.keep(self, self._server):
            self._timer.set(IDLE, self._close)
        else:
            self._close()
        if asked is not None:
            asked.callback(answer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See `Protocol`."""
        self._timer.cancel()
        if self._parting is not None and self._parting.active():
            self._parting.cancel()
        self._client.note_lost(self, self._server)
        if self._progress is not None and not self._answered and _refuses_handshake(reason.value):
            self._progress.sent = False
        self._fail(Failure(AnswerBroken(f"connection broke: {reason.getErrorMessage()}")))
        self._lost.callback(None)

    def abort(self) -> Deferred[None]:
        """End the connection now. Return what fires when it has ended."""
        self._abort()
        return self._lost

    def _cancel(self, _asked: Deferred[CompleteAnswer]) -> None:
        self._asked = None
        self._abort()

    def _fail(self, failure: Failure) -> None:
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.errback(failure)

    def _close(self) -> None:
        """Close the connection in order, and end it when the server does not do its part."""
        self._client.forget(self, self._server)
        transport: Any = self.transport
        self._timer.set(IDLE, self._abort)
        transport.loseConnection()

    def _abort(self) -> None:
        self._client.forget(self, self._server)
        self._reader = None
        transport: Any = self.transport
        transport.abortConnection()


@implementer(IPullProducer)
class _Sending:
    """Writes a long body slice by slice, as the connection takes it."""

    def __init__(self, transport: Any, body: bytes, progress: CallProgress | None) -> None:
        self._transport, self._left, self._progress = transport, memoryview(body), progress

    @property
    def done(self) -> bool:
        """Tell whether all was written."""
        return not self._left

    def resumeProducing(self) -> None:
        """See `IPullProducer`."""
        piece, self._left = self._left[:_SLICE], self._left[_SLICE:]
        self._transport.write(bytes(piece))
        if self._progress is not None:
            self._progress.write(len(piece))
        if not self._left:
            self._transport.unregisterProducer()

    def stopProducing(self) -> None:
        """See `IPullProducer`."""


def _refuses_handshake(error: object) -> bool:
    """Tell whether *error* is an alert of a server that did not accept the handshake, and so read nothing after it.

    Under TLS 1.3 the client's handshake is complete before the server has seen its certificate (RFC 8446, 4.4.2.4).
    """
    said = error.args[0] if isinstance(error, SSL.Error) and error.args else ()
    texts = [each[-1] for each in said if isinstance(each, tuple) and each]
    return any(" alert " in text and text.partition(" alert ")[2].startswith(_HANDSHAKE_ALERTS) for text in texts)


def is_connecting_error(error: Exception) -> bool:
    """Tell whether *error* means that no connection came about: no address, nobody listens, or no TLS."""
    return isinstance(error, ConnectError | DNSLookupError | SSL.Error)


def describe_connection_error(error: Exception) -> str:
    """Describe in one line why no answer came."""
    match error:
        case BodyTooLong() | AnswerBroken():
            return str(error)
        case ConnectError() | DNSLookupError() | ConnectingCancelledError():
            return f"connection failed: {error}"
        case _:
            return f"{type(error).__name__}: {error}"
