"""Keeps a port's open connections few, and closes the ones that nobody misses.  Knows HTTP channels and their age; no request, no caller.

However many connections a stranger opens, and however slowly he speaks, those who have business are served: when there are too
many, the oldest that never began a request goes first, as long as those are more than a quarter, then the one that has been at rest
the longest, then the oldest whose request is still coming.  A connection whose call is being answered is never closed.
"""

import resource
from typing import Any, cast

import attrs
import structlog
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

log = structlog.get_logger()

#: Open connections of one port at most; fewer where the process may not open as many files.
MOST = 4000
#: What the process opens beside connections: database, logs, pushes, spooled bodies.
_RESERVE = 256
#: A stranger must finish the handshake and begin a request within so long, in seconds.
GREETING = 20
#: A request must have come whole within so long, and an answer gone, in seconds: 40 MB at 1 Mbit/s.
READING = 330


def allowed() -> int:
    """Return how many connections there may be; the process asks for all the files that it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ports = 2  # SOAP and admin share them
    return MOST if hard == resource.RLIM_INFINITY else max(64, min(MOST, (hard - _RESERVE) // ports))


class BoundedChannel(HTTPChannel):
    """One connection: a stranger until it begins a request, then at rest, or asking, or being answered."""

    connections: "Connections"
    _limit: Any = None  #: the delayed call that gives it up

    def connectionMade(self) -> None:
        """Come in as a stranger."""
        super().connectionMade()
        self.connections.make_room()
        self.connections.strangers[self] = None
        self._give(GREETING)

    def lineReceived(self, line: bytes) -> None:
        """Begin a request, when none has begun."""
        if self in self.connections.strangers or self in self.connections.resting:
            self.connections.move(self, self.connections.asking)
            self._give(READING)
        super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a header that does not end, as any other bad request."""
        self._respondToBadRequestAndDisconnect()

    def allContentReceived(self) -> None:
        """Be answered, for as long as it takes."""
        self.connections.move(self, self.connections.answering)
        self._give(None)
        super().allContentReceived()

    def must_be_read(self) -> None:
        """Give up who has not read within `READING` what is written to him from now on."""
        self._give(READING)

    def requestDone(self, request: Any) -> None:
        """Rest, with a place at the end of the queue."""
        self.connections.move(self, self.connections.resting)
        self._give(READING)  # for who does not read the answer; silence ends sooner
        super().requestDone(request)

    def loseConnection(self) -> None:
        """Close when all is written.  Until the other side closes too, which it may never do, it only rests."""
        self.connections.move(self, self.connections.resting)
        self._give(READING)
        super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave."""
        self._give(None)
        self.connections.forget(self)
        super().connectionLost(reason)

    def turn_out(self) -> None:
        """Close it at once."""
        self.connections.forget(self)
        self._give(None)
        cast("Any", self.transport).abortConnection()

    def _give(self, seconds: int | None) -> None:
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self._limit = None if seconds is None else self.callLater(seconds, self.turn_out)


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
    _closed: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return sum(map(len, self._queues()))

    def move(self, channel: BoundedChannel, to: dict[BoundedChannel, None]) -> None:
        """Let *channel* stand at the end of another queue, unless it has left."""
        if any(queue.pop(channel, self) is None for queue in self._queues()):
            to[channel] = None

    def forget(self, channel: BoundedChannel) -> None:
        """Let *channel* go."""
        for queue in self._queues():
            queue.pop(channel, None)

    def make_room(self) -> None:
        """Close what nobody misses until there is room for one more; a port where all are being answered grows, as far as `listener.ANSWERING` and `BoundedSite.answering` let it."""
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
