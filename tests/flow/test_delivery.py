"""Delivery as an operator sees it: retries until the partner returns, one slow partner, dead letters, stops and crashes."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hub import deliveries, journal, store
from hub.database import InlineDatabase
from hub.delivery import CONCURRENCY, DRAIN, DeliveryService, Unreachable
from hub.model import Accepted, Reply, Request, State, Unavailable
from hub.policy import Policy
from hub.province import Province
from hub.workroom import at_once
from tests.province import ROUTES, document, entry

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
POLICY = Policy(
    first_retry=timedelta(seconds=2),
    max_retry=timedelta(seconds=8),
    give_up=timedelta(minutes=2),
    timeout=timedelta(seconds=10),
)


class Asking:
    """An adapter of one question: 200 is accepted, 400 refused, anything else unavailable."""

    def deliver(self, consignment, now):
        reply = yield Request("https://partner/", consignment.content)
        if reply.status == 200:
            return Accepted()
        return Unavailable(f"HTTP {reply.status}")


class Broken:
    """An adapter with a bug."""

    def deliver(self, consignment, now):
        raise ZeroDivisionError
        yield


@attrs.define
class Story:
    """A hub's delivery under a clock, its partners' answers, and what they got."""

    engine: Any
    clock: Clock = attrs.field(factory=Clock)
    up: dict[str, Any] = attrs.field(factory=lambda: {"vpub": True, "vpcp": True})
    got: list[tuple[str, bytes]] = attrs.field(factory=list)
    waiting: list[Deferred[Reply]] = attrs.field(factory=list)
    adapters: dict[str, Any] = attrs.field(factory=lambda: {"vpub": Asking(), "vpcp": Asking()})
    service: Any = None

    def start(self, node="node"):
        partners = {code: SimpleNamespace(code=code, policy=POLICY) for code in ("vpub", "vpcp")}
        self.service = DeliveryService(
            province=cast("Province", SimpleNamespace(config=SimpleNamespace(partners=partners))),
            adapters=self.adapters,
            journal=InlineDatabase(self.engine),
            send=self.send,
            work=at_once,
            clock=self.clock,
            now=self.now,
            random=lambda: 0.5,
            node=node,
            alone=True,
        )
        self.service.startService()
        return self

    def now(self):
        return START + timedelta(seconds=self.clock.seconds())

    async def send(self, request, partner):
        up = self.up[partner.code]
        if up == "hangs":
            silent: Deferred[Reply] = Deferred()
            self.waiting.append(silent)
            return await silent
        if not up:
            raise Unreachable("connection refused")
        self.got.append((partner.code, request.body))
        return Reply(200, b"")

    def take(self, number, *recipients):
        sent = document("H55.13", *recipients, document_id=f"D{number}")
        with store.writing(self.engine) as tx:
            taken = journal.take(tx, entry(sent, number, at=self.now()), ROUTES)
        self.service.wake()
        return taken.id

    def states(self, message):
        with store.reading(self.engine) as tx:
            return {made.recipient: (made.state, made.attempts) for made in deliveries.of_message(tx, message)}

    def pass_time(self, seconds):
        self.clock.pump([0.5] * int(seconds * 2))


@pytest.fixture
def story(tmp_path):
    engine = store.open_journal(f"sqlite:///{tmp_path / 'hub.db'}", pooled=False)
    store.upgrade(engine)
    made = Story(engine)
    yield made
    if made.service.running:
        made.service.stopService()
        made.clock.advance(DRAIN)
    engine.dispose()


def test_what_is_accepted_is_delivered_at_once(story):
    story.start()
    message = story.take(1, "H55.01")
    assert story.got == [("vpub", b"packet 1")]
    assert story.states(message) == {"H55.01": (State.DELIVERED, 1)}


def test_with_a_partner_down_its_deliveries_wait_and_everyone_elses_go_on(story):
    story.start()
    story.up["vpub"] = False
    first = story.take(1, "H55.01", "G22")
    story.pass_time(10)
    assert story.states(first)["H55.01"][0] is State.WAITING
    assert story.states(first)["G22"] == (State.DELIVERED, 1)
    story.up["vpub"] = True
    story.pass_time(10)
    assert story.states(first)["H55.01"][0] is State.DELIVERED


def test_retries_space_out_to_the_cap(story):
    story.start()
    story.up["vpub"] = False
    message = story.take(1, "H55.01")
    counts = []
    for _ in range(4):
        story.pass_time(5)
        counts.append(story.states(message)["H55.01"][1])
    assert counts == [3, 3, 4, 5], "at 0, 1.5, 4.5, 10.5 and 16.5 seconds"


def test_past_its_policy_a_delivery_is_a_dead_letter_and_stays_one(story):
    story.start()
    story.up["vpub"] = False
    message = story.take(1, "H55.01")
    story.pass_time(130)
    state, attempts = story.states(message)["H55.01"]
    assert state is State.DEAD
    story.up["vpub"] = True
    story.pass_time(600)
    assert story.states(message)["H55.01"] == (State.DEAD, attempts)
    assert story.got == []


def test_a_partner_that_hangs_holds_only_its_own_few_places(story):
    story.start()
    story.up["vpub"] = "hangs"
    hanging = [story.take(number, "H55.01") for number in range(1, CONCURRENCY + 3)]
    quick = story.take(99, "G22")
    assert len(story.waiting) == CONCURRENCY
    assert story.states(quick)["G22"][0] is State.DELIVERED
    assert [story.states(message)["H55.01"][0] for message in hanging].count(State.SENDING) == CONCURRENCY


def test_a_conversation_that_outlasts_its_lease_counts_and_is_tried_again(story):
    story.start()
    story.up["vpub"] = "hangs"
    message = story.take(1, "H55.01")
    story.pass_time(POLICY.timeout.total_seconds() * 3 + 1)
    state, attempts = story.states(message)["H55.01"]
    assert (state, attempts) == (State.WAITING, 1)
    story.up["vpub"] = True
    story.pass_time(5)
    assert story.states(message)["H55.01"] == (State.DELIVERED, 2)


def test_a_stop_waits_for_what_is_under_way(story):
    story.start()
    story.up["vpub"] = "hangs"
    message = story.take(1, "H55.01")
    stopped = story.service.stopService()
    story.clock.advance(1)
    assert not stopped.called
    story.waiting.pop().callback(Reply(200, b""))
    assert stopped.called
    assert story.states(message)["H55.01"] == (State.DELIVERED, 1)


def test_a_stop_that_waited_long_enough_gives_back_what_is_under_way_uncounted(story):
    story.start()
    story.up["vpub"] = "hangs"
    message = story.take(1, "H55.01")
    stopped = story.service.stopService()
    story.clock.advance(DRAIN)
    assert stopped.called
    assert story.states(message)["H55.01"] == (State.WAITING, 0)


def test_what_a_crash_left_under_way_is_sent_again_uncounted(story):
    story.start()
    story.up["vpub"] = "hangs"
    message = story.take(1, "H55.01")
    dead = story.service
    dead.running = 0  # ...SIGKILL: nothing more happens there...
    story.up["vpub"] = True
    story.start("another process")
    assert story.states(message)["H55.01"] == (State.DELIVERED, 1)
    assert story.got == [("vpub", b"packet 1")]


def test_an_adapters_bug_keeps_nobody_elses_message_waiting(story, capsys):
    story.adapters["vpub"] = Broken()
    story.start()
    message = story.take(1, "H55.01", "G22")
    assert story.states(message)["G22"][0] is State.DELIVERED
    assert story.states(message)["H55.01"][0] is State.WAITING
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_a_lost_answer_leads_to_a_repetition_with_the_same_bytes(story):
    story.start()
    story.up["vpub"] = "hangs"
    story.take(1, "H55.01")
    story.up["vpub"] = True
    story.waiting.pop().errback(Unreachable("connection broke"))
    story.pass_time(5)
    assert story.got == [("vpub", b"packet 1")]
