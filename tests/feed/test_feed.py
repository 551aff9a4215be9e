"""The feed under a clock: in order, from where it was, at least once, and at rest while nobody can take anything."""

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from hub.domain.errors import Unready
from hub.feed import publisher as feed
from hub.feed.publisher import FeedDisconnected, PublishResult
from hub.journal import events, feed_cursor, messages
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from tests import databases
from tests.province import ROUTES, document, entry


@attrs.define(eq=False)
class Story:
    """A feed, a line that can be told to fail, and what came out at its end."""

    engine: Any
    clock: Clock = attrs.field(factory=Clock)
    down: bool = False
    ours: bool = True
    arrived: list[int] = attrs.field(factory=list)
    batches: list[int] = attrs.field(factory=list)
    takes: int | None = None  #: how many more the line takes before it breaks
    waits: list[Deferred[None]] | None = None  #: where a batch waits to be confirmed
    connections: int = 0
    is_open: bool = False
    feed: Any = None

    def __attrs_post_init__(self):
        self.begin()

    def begin(self):
        self.feed = feed.Feed(
            "lienthong",
            "urn:x",
            InlineDatabase(self.engine),
            connect=self.connect,
            take_turn=lambda: succeed(self.ours),
            clock=self.clock,
            random=lambda: 1.0,
        )
        self.feed.startService()

    async def connect(self):
        self.connections += 1
        if self.down:
            raise FeedDisconnected("connection failed")
        self.is_open = True
        return self

    async def publish(self, publications):
        self.batches.append(len(publications))
        if self.waits is not None:
            waiting: Deferred[None] = Deferred()
            self.waits.append(waiting)
            await waiting
        count = len(publications) if self.takes is None else min(self.takes, len(publications))
        self.arrived += [each.number for each in publications[:count]]
        if self.takes is not None:
            self.takes -= count
        return PublishResult(count, "" if count == len(publications) else "it broke")

    async def close(self):
        self.is_open = False

    def pass_time(self, seconds):
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)

    def events(self, count=1):
        """Have so many messages taken in, and every event numbered; return how many events there are."""
        with transactions.write_transaction(self.engine) as tx:
            before = events.read_chain_head(tx)[0]
            for number in range(count):
                messages.record_message(tx, entry(document(), 1000 * before + number + 1), ROUTES)
            events.chain_events(tx)
            return events.read_chain_head(tx)[0]

    @property
    def position(self):
        with transactions.read_transaction(self.engine) as tx:
            return feed_cursor.read_feed_position(tx, "lienthong")

    def stop(self):
        done: list[object] = []
        _ = self.feed.stopService().addBoth(done.append)
        return done


@pytest.fixture
def story(tmp_path):
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    made = Story(engine)
    yield made
    made.waits = None
    made.stop()
    made.pass_time(10)
    engine.dispose()


def test_events_come_in_the_order_of_their_numbers_within_a_second(story):
    count = story.events(3)
    story.pass_time(1)
    assert story.arrived == list(range(1, count + 1))
    assert story.position == count
    more = story.events()
    story.pass_time(1)
    assert story.arrived == list(range(1, more + 1))
    assert story.connections == 1


def test_a_batch_is_bounded_and_the_first_event_goes_alone(story):
    count = story.events(100)
    story.pass_time(1)
    assert story.arrived == list(range(1, count + 1))
    assert story.batches[0] == 1
    assert max(story.batches) == feed.BATCH


def test_it_goes_on_after_the_last_that_arrived_and_nothing_is_missing(story):
    count = story.events(50)
    story.takes = 20
    story.pass_time(0.6)
    assert story.position == 20
    story.takes = None
    story.pass_time(5)
    assert story.arrived == list(range(1, count + 1))


def test_what_was_confirmed_and_not_noted_comes_again(story):
    story.waits = []
    count = story.events()
    story.pass_time(1)
    story.arrived.append(1)  # the broker has it, and its word is lost
    story.waits[0].errback(FeedDisconnected("lost"))
    story.waits = None
    story.pass_time(5)
    assert story.arrived == [1, *range(1, count + 1)]


def test_a_broker_that_is_down_is_asked_ever_more_rarely_and_at_last_once_a_minute(story):
    story.down = True
    story.stop()
    story.begin()
    asked = []
    for _ in range(600):
        before = story.connections
        story.pass_time(1)
        asked.append(story.connections - before)
    assert sum(asked[:60]) in (5, 6)  # after 1, 3, 7, 15 and 31 seconds
    assert sum(asked[300:360]) in (1, 2)
    story.down = False
    count = story.events()
    story.pass_time(61)
    assert story.arrived == list(range(1, count + 1))


def test_an_event_that_no_queue_takes_is_waited_with(story):
    story.takes = 0
    count = story.events(3)
    story.pass_time(30)
    assert (story.arrived, story.position) == ([], 0)
    assert set(story.batches) == {1}, "nothing behind it goes before it"
    story.takes = None
    story.pass_time(61)
    assert story.arrived == list(range(1, count + 1))


def test_a_line_that_broke_while_nothing_was_to_be_said_is_taken_up_again(story):
    story.pass_time(1)
    assert story.feed.connected
    story.is_open = False
    assert not story.feed.connected
    story.pass_time(3)
    assert story.feed.connected
    assert story.connections == 2


def test_a_node_without_the_turn_publishes_nothing_and_hangs_up(story):
    story.pass_time(1)
    story.ours = False
    story.events()
    story.pass_time(5)
    assert story.arrived == []
    assert not story.feed.connected
    story.ours = True
    story.pass_time(1)
    assert story.arrived != []


def test_a_journal_that_does_not_answer_is_asked_again(story, monkeypatch):
    story.pass_time(1)
    count = story.events()
    monkeypatch.setattr(InlineDatabase, "read", lambda *_args: fail(Unready("journal-unavailable", "gone")))
    story.pass_time(3)
    assert story.arrived == []
    monkeypatch.undo()
    story.pass_time(10)
    assert story.arrived == list(range(1, count + 1))


def test_a_mistake_of_the_hubs_own_ends_nothing(story, monkeypatch):
    story.events()
    monkeypatch.setattr(feed, "make_event_publication", lambda *_args: 1 / 0)
    story.pass_time(3)
    monkeypatch.undo()
    story.pass_time(10)
    assert story.arrived != []


def test_a_stop_lets_what_is_under_way_be_confirmed_and_notes_it(story):
    story.waits = []
    count = story.events()
    story.pass_time(0.6)
    story.waits[0].callback(None)
    story.pass_time(0.1)
    done = story.stop()
    assert not done
    story.waits[1].callback(None)
    assert done == [None]
    assert story.position == count
    assert not story.is_open


def test_a_stop_waits_no_longer_than_it_may(story):
    story.waits = []
    story.events()
    story.pass_time(1)
    done = story.stop()
    story.pass_time(feed.DRAIN - 1)
    assert not done
    story.pass_time(2)
    assert done == [None]
    assert story.position == 0


def test_a_stop_at_rest_is_at_once(story):
    story.pass_time(1)
    assert story.stop() == [None]


def test_the_next_start_goes_on_from_the_cursor(story):
    first = story.events()
    story.pass_time(1)
    story.stop()
    second = story.events()
    story.begin()
    story.pass_time(1)
    assert story.arrived == list(range(1, second + 1))
    assert first < second
