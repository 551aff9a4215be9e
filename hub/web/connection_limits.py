"""Limits the open connections of a port, and closes the least useful ones.

Handles HTTP channels and their age, not requests or callers.

Authenticated callers must be served however many connections an attacker opens, and however slowly he sends. When the
port has too many connections, one is closed in this order: the oldest that never began a request, as long as those are
more than a quarter of all; the one that has been idle longest; the oldest whose request is still arriving. A connection
whose call is being answered is never closed.

Each owner (a partner, identified by its certificate; or an address where no certificate is shown) has a share of the
connections. Beyond the share, the owner's connection that has been idle longest is closed. If none is idle, the new
connection gets status 503.

Where several processes serve the port, an owner's share holds for all of them together, and a process closes only
connections of its own. Each process has an equal part of the port's connections, and `PAGES` of its own, which protect
its reactor.

All connections of a port together may send `PAGES` requests a second after their first, and each connection waits for
its turn. The first request of a connection never waits.

A request that arrives too slowly is ended with status 408. A request that two HTTP implementations could read
differently is refused with status 400, even where Twisted reads it in only one way: this concerns framing, folded lines
and Host fields.
"""

import resource
from collections.abc import Callable
from typing import Any, cast

import attrs
import structlog
from cryptography import x509
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, _IdentityTransferDecoder

from hub.domain.fair_queue import PortShare
from hub.domain.node_counts import Counted, LocalCounts, NodeCounts
from hub.runtime.descriptors import count_reserve
from hub.runtime.lazy_timer import LazyTimer
from hub.runtime.peer_check import read_peer_certificates
from hub.runtime.trust_sweep import PARTING
from hub.web.chunked_body import ChunkedDecoder, Misframed
from hub.web.plain_head import HOST, PlainHead, read_plain_head

log = structlog.get_logger()

#: Maximum open connections of one port; fewer where the process may not open that many files.
MOST = 4000
#: File descriptors that the hub has open anyway: of its journal, ports, logs and processes.
_OWN = 64
#: Seconds within which a new connection must finish the handshake and begin a request.
GREETING = 20
#: Seconds within which a request must arrive whole, and an answer be sent: 40 MB at 1 Mbit/s.
READING = 330
#: Seconds, from its first line, within which the header fields of a request must arrive whole.
HEADERS = 20
#: Minimum octets of a body for each second after the first `GRACE` seconds: 32 kbit/s.
SLOWEST = 4096
GRACE = 20
#: Seconds between two checks of how much of a body has arrived.
_STEP = 10
#: Seconds of Retry-After for an owner whose connections are all in use.
AGAIN = 5
#: Requests a second on all connections of a port together, other than POST and a connection's first. One readiness
#: check takes 0.3 ms: without this limit, forty connections that send requests without a pause keep the reactor busy.
PAGES = 500
#: Maximum seconds that a connection waits for its turn, however many others wait.
LONGEST = 5.0
#: Seconds after which a connection is closed once its request was refused. Until then the rest of the request is read
#: and ignored.
LINGER = 5
#: Maximum digits of Content-Length: 999 TB. (Python itself refuses more than 4,300 digits.)
_DIGITS = 15


class _BadRequest(Exception):
    """The received octets are not a valid request."""


def count_allowed_connections(processes: int = 1) -> int:
    """Return the maximum number of connections of one port in this process, one of *processes* that serve the port.

    Raises the soft limit of open files to the hard limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ports = 2  # SOAP and admin share them
    most = -(-MOST // processes)
    return most if hard == resource.RLIM_INFINITY else max(1, min(most, (hard - count_reserve(hard) - _OWN) // ports))


class BoundedChannel(HTTPChannel):
    """One connection.

    Its state is stranger (before its first request), resting, asking (a request arrives) or answering.
    """

    connections: "Connections"  #: all connections of the port
    queue: "dict[BoundedChannel, None] | None" = None  #: which of their queues it is in; None when it is closed
    share: PortShare | None = None  #: set when the first request begins
    certificate: x509.Certificate | None = None  #: the client's, once it was asked for
    refused = False  #: whether the request was answered before its body had arrived
    _ended = False  #: whether all further input is ignored
    _limit: LazyTimer  #: enforces the current time limit
    _idle: LazyTimer  #: ends an idle connection
    _came = 0  #: octets received of the current body
    _coming: int | None = None  #: seconds since the current body began; None without a body
    _turn: Any = None  #: the delayed call that lets the next request be read
    _host: Any = None  #: the address of this end, once it was asked for
    _parting: Any = None  #: the delayed call that aborts a connection whose certificate is not trusted any more
    _between = True  #: whether nothing of the next request has been read

    def connectionMade(self) -> None:
        """Register the connection as a stranger."""
        clock = cast("Any", self).site.reactor
        self._limit, self._idle = LazyTimer(clock.seconds, clock.callLater), LazyTimer(clock.seconds, clock.callLater)
        super().connectionMade()
        self.connections.make_room()
        self.connections.add(self)
        self._give(GREETING)

    def getHost(self) -> Any:
        """Return the address of this end, which the transport would ask the system for each time."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    def setTimeout(self, period: int | None) -> int | None:
        """Close the connection when it is idle for *period* seconds; None: never. Return the earlier period."""
        before, self.timeOut = self.timeOut, period
        self.resetTimeout()
        return before

    def resetTimeout(self) -> None:
        """Begin the idle time anew."""
        if self.timeOut is None:
            self._idle.clear()
        else:
            self._idle.set(self.timeOut, self.timeoutConnection)

    def dataReceived(self, data: bytes) -> None:
        """Process input, unless the connection is being closed.

        An ordinary request is read in one step, any other one line by line.
        """
        while data and not self._ended:
            may_begin = self._between and not (self._busyReceiving or self._buffer)
            head = read_plain_head(data) if may_begin else None
            if head is None:
                self._receive_lines(data)
                return
            data = self._receive_plain(head, data)

    def _receive_plain(self, head: PlainHead, data: bytes) -> bytes:
        """Process an ordinary request, whose *head* is at the beginning of *data*. Return input that is still to read.

        Does what Twisted does with the lines of such a head.
        """
        self._between, self._busyReceiving = False, True
        try:
            self._begin()
            if self._ended:
                return b""
            request = cast("Any", self).requestFactory(self, False)
            self.requests.append(request)
            request.requestHeaders = head.fields
            self._command, self._path, self._version, self.length = head.method, head.target, b"HTTP/1.1", head.length
            request.parseCookies()
            self.persistent = self.checkPersistence(request, self._version)
            request.gotLength(head.length)
            end = head.size + head.length
            body = data[head.size : end]
            if len(body) < head.length:
                self.resetTimeout()
                self._transferDecoder: Any = _IdentityTransferDecoder(
                    head.length, request.handleContentChunk, self._finishRequestBody
                )
                self._expect_body()
                self.setRawMode()
                self._came = len(body)
                if body:
                    self._transferDecoder.dataReceived(body)
            else:
                if body:
                    request.handleContentChunk(body)
                if len(data) > end:
                    self._dataBuffer.append(data[end:])
                self.allContentReceived()
        finally:
            self._busyReceiving = False
        rest, self._buffer = self._buffer, b""
        return rest

    def _receive_lines(self, data: bytes) -> None:
        self._begin_next(data)
        super().dataReceived(data)
        if not self.line_mode or self._busyReceiving or self._ended:
            return
        if b"\n" in self._buffer:  # the rest is a line whose CR LF is missing
            self._respondToBadRequestAndDisconnect()
        else:
            self._begin_next(self._buffer)

    def _begin_next(self, data: bytes) -> None:
        """Begin another request of the connection when something of it is there, and not just an empty line."""
        if self._turn is None and self.queue is self.connections.resting and data.strip(b"\r\n"):
            self._begin()

    def lineReceived(self, line: bytes) -> None:
        """Process a line of the head; the first line begins a request."""
        self._between = False
        if self._ended:
            return
        if line and (self.queue is self.connections.strangers or self.queue is self.connections.resting):
            self._begin()
            if self._ended:
                return
        if line[:1] in {b" ", b"\t"} or b"\n" in line:  # folded (RFC 9112, section 5.2), or two lines for some readers
            self._respondToBadRequestAndDisconnect()
            return
        try:
            super().lineReceived(line)
        except _BadRequest:
            self._respondToBadRequestAndDisconnect()

    def headerReceived(self, line: bytes) -> bool:
        """Process a header field. Refuse a Content-Length with too many digits."""
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and len(value.strip()) > _DIGITS:
            self._respondToBadRequestAndDisconnect()
            return False
        return bool(super().headerReceived(line))

    def allHeadersReceived(self) -> None:
        """Check framing and Host of the request, then start to receive its body. Raises `_BadRequest`."""
        headers = self.requests[-1].requestHeaders
        hosts = headers.getRawHeaders(b"host", [])
        if len(hosts) > 1 or (not hosts and self._version == b"HTTP/1.1") or not all(map(HOST.fullmatch, hosts)):
            raise _BadRequest
        codings = headers.getRawHeaders(b"transfer-encoding", [])
        if codings:
            if self._version != b"HTTP/1.1" or [each.lower() for each in codings] != [b"chunked"]:
                raise _BadRequest
            chunks = ChunkedDecoder(self.requests[-1].handleContentChunk, self._finishRequestBody)
            self._transferDecoder = chunks
        if self.length != 0:
            self._expect_body()
        super().allHeadersReceived()

    def _expect_body(self) -> None:
        self._came = self._coming = 0
        self._give(_STEP, self._judge)

    def rawDataReceived(self, data: bytes) -> None:
        """Process a part of the body."""
        self._came += len(data)
        try:
            super().rawDataReceived(data)
        except Misframed:
            self._respondToBadRequestAndDisconnect()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a header line that is too long, like any other bad request."""
        self._respondToBadRequestAndDisconnect()

    def allContentReceived(self) -> None:
        """Mark the request as being answered. An answer has no time limit here."""
        self.connections.move(self, self.connections.answering)
        self._coming = None
        self._give(None)
        super().allContentReceived()

    def must_be_read(self) -> None:
        """Close the connection unless the caller reads the answer within `READING` seconds from now."""
        self._give(READING)

    def requestDone(self, request: Any) -> None:
        """Mark the connection as resting, and let it read the next request when its turn comes."""
        self.connections.move(self, self.connections.resting)
        self._give(READING)  # for a caller that does not read the answer; an idle connection ends sooner
        now = cast("Any", self).site.reactor.seconds()
        wait = self.connections.find_read_delay(now) if request.method != b"POST" else 0.0
        if wait and self.persistent:  # input that arrives meanwhile is buffered up to Twisted's bound
            self._turn = cast("Any", self).callLater(wait, self._read_on, request)
        else:
            self._read_on(request)

    def _read_on(self, request: Any) -> None:
        self._turn, self._between = None, True
        super().requestDone(request)

    def loseConnection(self) -> None:
        """Close the connection after all output is written.

        Until the peer closes too, which it may never do, it counts as resting.
        """
        self._close(READING)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Unregister the connection and cancel its timers."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._parting is not None and self._parting.active():
            self._parting.cancel()
        self.connections.forget(self)
        super().connectionLost(reason)
        self._limit.cancel()
        self._idle.cancel()

    def abort(self) -> None:
        """Abort the connection at once."""
        self.connections.forget(self)
        self._limit.cancel()
        cast("Any", self.transport).abortConnection()

    def end_unanswered(self) -> None:
        """End the connection of a request that cannot be answered: with a status that needs no word, or at once."""
        if self.requests and self.requests[0].startedWriting:
            self.abort()
        else:
            self._end(b"503 Service Unavailable\r\nRetry-After: %d" % AGAIN)

    def read_peer(self) -> tuple[x509.Certificate, ...]:
        """Return the certificate that the client showed, and what it sent above it. Nothing before the handshake."""
        return read_peer_certificates(self.transport)

    def part(self) -> None:
        """Take no further request, and close the connection within `PARTING` seconds.

        An answer in progress may end within this time. A request that is still arriving is not served.
        """
        if self.queue is None or self._parting is not None:
            return
        self._parting = cast("Any", self).site.reactor.callLater(PARTING, self.abort)
        if self.queue is self.connections.answering:
            self.persistent = False
        else:
            self.loseConnection()

    def _begin(self) -> None:
        """Mark the connection as asking, limit the time for the header fields, and count it in its owner's share."""
        self.connections.move(self, self.connections.asking)
        self._give(HEADERS, self._cut)
        share_of = cast("Any", self).site.share_of
        if self.share is None and share_of is not None:
            self.share = cast("PortShare", share_of(self))
            if not self.connections.join(self, self.share):
                self._end(b"503 Service Unavailable\r\nRetry-After: %d" % AGAIN)

    def _judge(self) -> None:
        """End a request whose body arrives too slowly or takes too long."""
        assert self._coming is not None
        self._coming += _STEP
        if self._coming >= READING or self._came < SLOWEST * (self._coming - GRACE):
            self._cut()
        else:
            self._give(_STEP, self._judge)

    def _cut(self) -> None:
        """End an incomplete request with status 408."""
        log.info("request-too-slow", seconds=self._coming, octets=self._came)
        self._end(b"408 Request Timeout")

    def _respondToBadRequestAndDisconnect(self) -> None:  # Twisted calls this method, and gave it its name
        self._end(b"400 Bad Request")

    def _end(self, status: bytes) -> None:
        """Send *status*, unless an answer was sent already, and ignore all further input."""
        if not self._ended and not self.refused:
            cast("Any", self.transport).write(
                b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
        self._close(LINGER)

    def _close(self, within: float) -> None:
        self._ended = True
        self.connections.move(self, self.connections.resting)
        self._give(within)
        super().loseConnection()

    def _give(self, seconds: float | None, then: Callable[[], None] | None = None) -> None:
        """Call *then*, or abort the connection, after *seconds*. Replaces the earlier time limit; None removes it."""
        if seconds is None:
            self._limit.clear()
        else:
            self._limit.set(seconds, then or self.abort)


def _make_queue() -> dict[BoundedChannel, None]:
    return {}


@attrs.define(eq=False)
class Connections:
    """The connections of one port, by state; within each state, the longest in it first."""

    most: int  #: maximum connections of the port in this process
    processes: int = 1  #: processes that serve the port
    counts: NodeCounts = attrs.field(factory=LocalCounts)  #: connections by owner, of all these processes
    strangers: dict[BoundedChannel, None] = attrs.field(factory=_make_queue, init=False)  #: before their first request
    #: between two requests, or being closed
    resting: dict[BoundedChannel, None] = attrs.field(factory=_make_queue, init=False)
    asking: dict[BoundedChannel, None] = attrs.field(factory=_make_queue, init=False)  #: a request is arriving
    #: a request has arrived and is being answered
    answering: dict[BoundedChannel, None] = attrs.field(factory=_make_queue, init=False)
    _owned: dict[str, dict[BoundedChannel, None]] = attrs.field(factory=dict, init=False)  #: by the owner's key
    _closed: int = attrs.field(default=0, init=False)  #: connections closed so far to make room
    #: time of the last turn that was given to a connection
    _page: float = attrs.field(default=float("-inf"), init=False)

    def __len__(self) -> int:
        return sum(map(len, self._queues()))

    def list_open(self) -> list[BoundedChannel]:
        """Return every open connection."""
        return [channel for queue in self._queues() for channel in queue]

    def add(self, channel: BoundedChannel) -> None:
        """Register the new *channel* as a stranger."""
        self.strangers[channel] = None
        channel.queue = self.strangers

    def move(self, channel: BoundedChannel, to: dict[BoundedChannel, None]) -> None:
        """Put *channel* at the end of the queue *to*, unless it is closed."""
        if channel.queue is not None:
            del channel.queue[channel]
            to[channel] = None
            channel.queue = to

    def find_read_delay(self, now: float) -> float:
        """Return the seconds after which a connection that was just answered may send its next request."""
        self._page = max(now, min(self._page + 1 / PAGES, now + LONGEST))
        return self._page - now

    def forget(self, channel: BoundedChannel) -> None:
        """Unregister *channel*."""
        if channel.queue is not None:
            del channel.queue[channel]
            channel.queue = None
        if channel.share is not None:
            owned = self._owned.get(channel.share.key, {})
            if owned.pop(channel, self) is None:
                self.counts.add(Counted.CONNECTIONS, channel.share.key, -1)
            if not owned:
                self._owned.pop(channel.share.key, None)

    def join(self, channel: BoundedChannel, share: PortShare) -> bool:
        """Count *channel* in its owner's share. Return whether it may stay.

        If the share is used up, the owner's connection that has been idle longest is closed. Without an idle one, the
        result is False.
        """
        with self.counts.locked():
            owned, count = self._owned.get(share.key, {}), self.counts.count(Counted.CONNECTIONS, share.key)
            if count >= min(share.connections, max(1, self.most * self.processes // 2)):
                oldest = next((each for each in self.resting if each in owned), None)
                if oldest is None:
                    log.warning("connections-of-one-too-many", owner=share.key, open=count)
                    return False
                oldest.abort()
            self._owned.setdefault(share.key, {})[channel] = None
            self.counts.add(Counted.CONNECTIONS, share.key, 1)
        return True

    def make_room(self) -> None:
        """Close connections until there is room for one more.

        If all are being answered, the port exceeds its maximum. `throttle.ANSWERING` and `BoundedSite.answering` limit
        that.
        """
        while len(self) >= self.most and self.close_one():
            pass

    def close_one(self) -> bool:
        """Close the least useful connection. Return False if all are being answered."""
        oldest = next((next(iter(queue)) for queue in self._dispensable() if queue), None)
        if oldest is None:
            return False
        oldest.abort()
        if self._closed % 1000 == 0:  # do not let a flood of connections flood the log
            log.warning("connections-too-many", open=len(self) + 1, closed=self._closed + 1)
        self._closed += 1
        return True

    def _dispensable(self) -> tuple[dict[BoundedChannel, None], ...]:
        """Return the queues in the order in which their connections are closed.

        Strangers come first while they are many.

        Otherwise the incomplete requests of one caller could take all the room, and no other caller could finish a
        handshake.
        """
        known = (self.resting, self.asking)
        return (self.strangers, *known) if len(self.strangers) > self.most // 4 else (*known, self.strangers)

    def _queues(self) -> tuple[dict[BoundedChannel, None], ...]:
        return self.strangers, self.resting, self.asking, self.answering
