"""Keeps a port's open connections few, and closes the ones that nobody misses.  Knows HTTP channels and their age; no request, no caller.

However many connections a stranger opens, and however slowly he speaks, those who have business are served: when there are too
many, the oldest that never began a request goes first, as long as those are more than a quarter, then the one that has been at rest
the longest, then the oldest whose request is still coming.  A connection whose call is being answered is never closed.

Of one owner (a partner, by its certificate; an address, where no certificate is shown) no more are open than its share: then the one of
its own that has been at rest the longest goes first, and where none rests, the new one is told to come again (503).

Who asks for page after page on a connection waits for its turn: all connections of a port together get `PAGES` a second, and each of them
its share.  The first request of a connection never waits.

A request that comes too slowly is ended (408).  What two readers of HTTP could read in two ways, though Twisted reads it in one, is no
request (400): framing, folded lines, hosts.
"""

import re
import resource
from collections.abc import Callable
from typing import Any, cast

import attrs
import structlog
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from hub.domain.fair_queue import PortShare
from hub.web.chunked_body import Chunks, Misframed

log = structlog.get_logger()

#: Open connections of one port at most; fewer where the process may not open as many files.
MOST = 4000
#: What the process opens beside connections: database, logs, pushes, spooled bodies.
_RESERVE = 256
#: A stranger must finish the handshake and begin a request within so long, in seconds.
GREETING = 20
#: A request must have come whole within so long, and an answer gone, in seconds: 40 MB at 1 Mbit/s.
READING = 330
#: The header fields of a request must have come whole within so long of its first line, in seconds.
HEADERS = 20
#: When a body has been coming for `GRACE` seconds, at least so many octets must have come for each further second: 32 kbit/s.
SLOWEST = 4096
GRACE = 20
#: So often is looked at what has come of a body, in seconds.
_STEP = 10
#: When an owner whose connections are all being used may open another, in seconds.
AGAIN = 5
#: So many requests other than POST a second follow another one on its connection, on all connections of a port together.  Asking whether
#: the hub is ready takes 0.3 ms: without this forty connections that ask without end keep the reactor busy.
PAGES = 500
#: A connection waits at most so long for its turn, in seconds: nobody has it hang, however many ask.
LONGEST = 5.0
#: What ends a request is to be read; the connection is closed after so long, in seconds.
LINGER = 5
#: No length has more digits: 999 TB.  (Python by itself fails on one of over 4,300.)
_DIGITS = 15
#: A Host's value, as far as it matters here: one word that holds no path, no user and no second host (RFC 9110, 7.2).
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+;=%:\[\]-]*")


class _Bad(Exception):
    """What came is no request."""


def count_allowed_connections() -> int:
    """Return how many connections there may be; the process asks for all the files that it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ports = 2  # SOAP and admin share them
    return MOST if hard == resource.RLIM_INFINITY else max(64, min(MOST, (hard - _RESERVE) // ports))


class BoundedChannel(HTTPChannel):
    """One connection: a stranger until it begins a request, then at rest, or asking, or being answered."""

    connections: "Connections"
    share: PortShare | None = None  #: once a request has begun
    refused = False  #: whether its request was answered before its body had come
    _ended = False  #: whether nothing that still comes is read
    _limit: Any = None  #: the delayed call that gives it up
    _came = 0  #: octets of the body that is coming
    _coming: int | None = None  #: for how many seconds it has been coming; None: none is
    _turn: Any = None  #: the delayed call that lets the next request be read

    def connectionMade(self) -> None:
        """Come in as a stranger."""
        super().connectionMade()
        self.connections.make_room()
        self.connections.strangers[self] = None
        self._give(GREETING)

    def dataReceived(self, data: bytes) -> None:
        """Read on, unless the connection is being closed."""
        if self._ended:
            return
        if self._turn is None and self in self.connections.resting and data.strip(b"\r\n"):
            self._begin()
        super().dataReceived(data)
        if self.line_mode and b"\n" in self._buffer and not (self._busyReceiving or self._ended):
            # what is left is a line whose CR LF has not come
            self._respondToBadRequestAndDisconnect()

    def lineReceived(self, line: bytes) -> None:
        """Begin a request, when none has begun."""
        if self._ended:
            return
        if line and (self in self.connections.strangers or self in self.connections.resting):
            self._begin()
            if self._ended:
                return
        if line[:1] in {b" ", b"\t"} or b"\n" in line:  # folded (RFC 9112, 5.2), or two lines for some readers
            self._respondToBadRequestAndDisconnect()
            return
        try:
            super().lineReceived(line)
        except _Bad:
            self._respondToBadRequestAndDisconnect()

    def headerReceived(self, line: bytes) -> bool:
        """Refuse a length that is no number of octets."""
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and len(value.strip()) > _DIGITS:
            self._respondToBadRequestAndDisconnect()
            return False
        return bool(super().headerReceived(line))

    def allHeadersReceived(self) -> None:
        """Judge how the request is framed and whom it is for, and let its body come."""
        headers = self.requests[-1].requestHeaders
        hosts = headers.getRawHeaders(b"host", [])
        if len(hosts) > 1 or (not hosts and self._version == b"HTTP/1.1") or not all(map(_HOST.fullmatch, hosts)):
            raise _Bad
        codings = headers.getRawHeaders(b"transfer-encoding", [])
        if codings:
            if self._version != b"HTTP/1.1" or [each.lower() for each in codings] != [b"chunked"]:
                raise _Bad
            chunks = Chunks(self.requests[-1].handleContentChunk, self._finishRequestBody)
            self._transferDecoder: Any = chunks
        if self.length != 0:
            self._came = self._coming = 0
            self._give(_STEP, self._judge)
        super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:
        """Read more of a body."""
        self._came += len(data)
        try:
            super().rawDataReceived(data)
        except Misframed:
            self._respondToBadRequestAndDisconnect()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a header that does not end, as any other bad request."""
        self._respondToBadRequestAndDisconnect()

    def allContentReceived(self) -> None:
        """Be answered, for as long as it takes."""
        self.connections.move(self, self.connections.answering)
        self._coming = None
        self._give(None)
        super().allContentReceived()

    def must_be_read(self) -> None:
        """Give up who has not read within `READING` what is written to him from now on."""
        self._give(READING)

    def requestDone(self, request: Any) -> None:
        """Rest, with a place at the end of the queue."""
        self.connections.move(self, self.connections.resting)
        self._give(READING)  # for who does not read the answer; silence ends sooner
        now = cast("Any", self).site.reactor.seconds()
        wait = self.connections.next_page(now) if request.method != b"POST" else 0.0
        if wait and self.persistent:  # what comes meanwhile is kept, and soon not read
            self._turn = cast("Any", self).callLater(wait, self._read_on, request)
        else:
            super().requestDone(request)

    def _read_on(self, request: Any) -> None:
        self._turn = None
        super().requestDone(request)

    def loseConnection(self) -> None:
        """Close when all is written.  Until the other side closes too, which it may never do, it only rests."""
        self._close(READING)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._give(None)
        self.connections.forget(self)
        super().connectionLost(reason)

    def turn_out(self) -> None:
        """Close it at once."""
        self.connections.forget(self)
        self._give(None)
        cast("Any", self.transport).abortConnection()

    def _begin(self) -> None:
        """Ask: the header fields are to come."""
        self.connections.move(self, self.connections.asking)
        self._give(HEADERS, self._cut)
        share_of = cast("Any", self).site.share_of
        if self.share is None and share_of is not None:
            self.share = cast("PortShare", share_of(self))
            if not self.connections.join(self, self.share):
                self._end(b"503 Service Unavailable\r\nRetry-After: %d" % AGAIN)

    def _judge(self) -> None:
        """End a request whose body comes too slowly, or too long."""
        assert self._coming is not None
        self._coming += _STEP
        if self._coming >= READING or self._came < SLOWEST * (self._coming - GRACE):
            self._cut()
        else:
            self._give(_STEP, self._judge)

    def _cut(self) -> None:
        """End a request that has not come."""
        log.info("request-too-slow", seconds=self._coming, octets=self._came)
        self._end(b"408 Request Timeout")

    def _respondToBadRequestAndDisconnect(self) -> None:  # the name is Twisted's, which calls it too
        self._end(b"400 Bad Request")

    def _end(self, status: bytes) -> None:
        """Answer, unless that was done, and read no more."""
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
        """Give up the connection, or do what comes *then*, in so many *seconds*."""
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self._limit = None if seconds is None else self.callLater(seconds, then or self.turn_out)


def _queue() -> dict[BoundedChannel, None]:
    return {}


@attrs.define(eq=False)
class Connections:
    """Those of one port, the oldest of each kind first."""

    most: int
    strangers: dict[BoundedChannel, None] = attrs.field(factory=_queue, init=False)
    resting: dict[BoundedChannel, None] = attrs.field(factory=_queue, init=False)
    asking: dict[BoundedChannel, None] = attrs.field(factory=_queue, init=False)
    answering: dict[BoundedChannel, None] = attrs.field(factory=_queue, init=False)
    _owned: dict[str, dict[BoundedChannel, None]] = attrs.field(factory=dict, init=False)  #: by the owner's key
    _closed: int = attrs.field(default=0, init=False)
    _page: float = attrs.field(
        default=float("-inf"), init=False
    )  #: when the last connection that asks again has its turn

    def __len__(self) -> int:
        return sum(map(len, self._queues()))

    def move(self, channel: BoundedChannel, to: dict[BoundedChannel, None]) -> None:
        """Let *channel* stand at the end of another queue, unless it has left."""
        if any(queue.pop(channel, self) is None for queue in self._queues()):
            to[channel] = None

    def next_page(self, now: float) -> float:
        """Return in how many seconds a connection that was just answered may ask for another page."""
        self._page = max(now, min(self._page + 1 / PAGES, now + LONGEST))
        return self._page - now

    def forget(self, channel: BoundedChannel) -> None:
        """Let *channel* go."""
        for queue in self._queues():
            queue.pop(channel, None)
        if channel.share is not None:
            owned = self._owned.get(channel.share.key, {})
            owned.pop(channel, None)
            if not owned:
                self._owned.pop(channel.share.key, None)

    def join(self, channel: BoundedChannel, share: PortShare) -> bool:
        """Count *channel* among those of its owner, in the place of the one that has rested longest if need be; tell whether there was one."""
        owned = self._owned.setdefault(share.key, {})
        if len(owned) >= min(share.connections, max(1, self.most // 2)):
            oldest = next((each for each in self.resting if each in owned), None)
            if oldest is None:
                log.warning("connections-of-one-too-many", owner=share.key, open=len(owned))
                return False
            oldest.turn_out()
        self._owned.setdefault(share.key, {})[channel] = None
        return True

    def make_room(self) -> None:
        """Close what nobody misses until there is room for one more; a port where all are being answered grows, as far as `throttle.ANSWERING` and `BoundedSite.answering` let it."""
        while len(self) >= self.most:
            oldest = next((next(iter(queue)) for queue in self._dispensable() if queue), None)
            if oldest is None:
                return
            oldest.turn_out()
            if self._closed % 1000 == 0:  # a flood must not flood the log
                log.warning("connections-too-many", open=self.most, closed=self._closed + 1)
            self._closed += 1

    def _dispensable(self) -> tuple[dict[BoundedChannel, None], ...]:
        """Return the queues in the order in which they give way: strangers first, while they are many.

        Else one caller's half requests, which take all the room there is, would let nobody finish a handshake.
        """
        known = (self.resting, self.asking)
        return (self.strangers, *known) if len(self.strangers) > self.most // 4 else (*known, self.strangers)

    def _queues(self) -> tuple[dict[BoundedChannel, None], ...]:
        return self.strangers, self.resting, self.asking, self.answering
