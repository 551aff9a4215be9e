"""Publishes each event after it has its number in the chain, in that order. Does not know RabbitMQ's protocol.

The feed is a separate service: intake and deliveries never wait for the broker. The cursor moves after the broker's
confirmation, so each event is published at least once, and an interruption repeats some. One of several nodes publishes
at a time.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import attrs
import structlog
from sqlalchemy.exc import DBAPIError
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from hub.domain.errors import Unready
from hub.feed.cloudevents import EventPublication, make_event_publication
from hub.journal import events, feed_cursor
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction

log = structlog.get_logger()

#: Maximum number of unconfirmed events.
BATCH = 100
#: Poll interval when there was nothing to publish, in seconds.
POLL = 0.5
#: Delay after a failure, in seconds: the first, doubled with each further failure up to the longest.
FIRST_REST, MOST_REST = 1.0, 60.0
#: How long a stop waits for confirmations, in seconds.
DRAIN = 5.0
#: PostgreSQL: advisory lock of the feed ("feed" in ASCII).
LOCK = 0x66656564


class FeedDisconnected(Exception):
    """There is no connection, or it was lost. The argument is the reason."""


@attrs.frozen
class PublishResult:
    """The number of confirmed publications, counted from the first, and the problem of the next one ("": none)."""

    arrived: int  #: number of confirmed publications
    problem: str = ""  #: why the next one was not confirmed


class FeedLine(Protocol):
    """A connection to a broker. hub.feed.rabbitmq implements it for RabbitMQ."""

    async def publish(self, publications: Sequence[EventPublication]) -> PublishResult:
        """Publish in order. Return how many events were confirmed."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...

    @property
    def is_open(self) -> bool:
        """Tell whether the connection is still open."""
        ...


@attrs.define(eq=False)
class Feed(Service):
    """The feed of one node."""

    name: str  #: name of the subscription: the exchange
    _source: str  #: CloudEvents `source` of all events
    _journal: Journal  #: the journal to read events from and to keep the cursor in
    _connect: Callable[[], Awaitable[FeedLine]]  #: opens a connection to the broker; raises FeedDisconnected
    _take_turn: Callable[[], Awaitable[bool]]  #: asked before each batch: whether this node is the publisher
    _clock: IReactorTime  #: the reactor's clock, for intervals and timeouts
    _random: Callable[[], float]  #: returns a number in [0, 1)
    _line: FeedLine | None = attrs.field(default=None, init=False)  #: the open connection, on the publishing node only
    _fresh: bool = attrs.field(default=True, init=False)  #: no event was confirmed yet on this connection
    _failures: int = attrs.field(default=0, init=False)  #: consecutive failures
    _told: str = attrs.field(default="", init=False)  #: the reason that was logged last
    _rest: Deferred[None] | None = attrs.field(default=None, init=False)  #: the running delay
    _working: Deferred[None] | None = attrs.field(default=None, init=False)  #: the running loop

    @property
    def connected(self) -> bool:
        """Tell whether this node has an open connection to the broker."""
        return self._line is not None and self._line.is_open

    def startService(self) -> None:
        """Start publishing."""
        Service.startService(self)
        self._working = Deferred.fromCoroutine(self._work())

    def stopService(self) -> Deferred[None]:
        """Wait up to `DRAIN` for confirmations, then stop. The rest is published after the next start."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        working = self._working
        if working is not None:
            limit = self._clock.callLater(DRAIN, working.cancel)
            try:
                await working
            except CancelledError:
                pass
            finally:
                if limit.active():
                    limit.cancel()
        await self._hang_up()

    async def _work(self) -> None:
        while self.running:
            try:
                rest = 0.0 if await self._publish() else POLL
            except CancelledError:
                raise
            except FeedDisconnected as broken:
                rest = await self._fail(str(broken))
            except (Unready, DBAPIError) as error:
                rest = await self._fail(str(error))
            except Exception:
                log.exception("feed-failed")
                rest = await self._fail()
            if self.running and rest:
                await self._pause(rest)

    async def _publish(self) -> bool:
        """Publish the next events. Return whether there may be more.

        Raises FeedDisconnected when an event was not confirmed.
        """
        if not await self._take_turn():
            await self._hang_up()
            return False
        if self._line is not None and not self._line.is_open:
            raise FeedDisconnected("the connection was lost")
        if self._line is None:
            self._line, self._fresh = await self._connect(), True
        # The first event goes alone: if no queue takes it, no later event may arrive before it.
        batch = await self._journal.read(read_next_publications, self.name, self._source, 1 if self._fresh else BATCH)
        if not batch:
            return False
        result = await self._line.publish(batch)
        if result.arrived:
            await self._journal.write(feed_cursor.advance_feed_cursor, self.name, batch[result.arrived - 1].number)
        if result.problem:
            raise FeedDisconnected(result.problem)
        self._fresh = False
        if self._failures:
            log.info("feed-resumed", exchange=self.name, failures=self._failures)
            self._failures, self._told = 0, ""
        return len(batch) == BATCH or len(batch) == 1

    async def _fail(self, reason: str = "") -> float:
        """Close the connection and return the delay before the next try, in seconds."""
        await self._hang_up()
        self._failures += 1
        if reason and reason != self._told:
            self._told = reason
            log.warning("feed-interrupted", exchange=self.name, reason=reason)
        longest = min(MOST_REST, FIRST_REST * 2.0 ** min(self._failures - 1, 16))
        return longest * (0.5 + self._random() / 2)

    async def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def _pause(self, seconds: float) -> None:
        self._rest = deferLater(self._clock, seconds)
        try:
            await self._rest
        except CancelledError:
            if self.running:
                raise
        finally:
            self._rest = None


def read_next_publications(tx: Transaction, name: str, source: str, limit: int) -> list[EventPublication]:
    """Return the next events to publish, at most *limit*."""
    return [
        make_event_publication(event, source)
        for event in events.read_chained_events(tx, feed_cursor.read_feed_position(tx, name), limit)
    ]
