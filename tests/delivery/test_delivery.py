"""Delivery as an operator sees it: retries until the partner returns, one slow partner, dead letters, stops and crashes."""

import json
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred

import adapters
from hub.delivery import push_service
from hub.delivery.push_service import AHEAD, DRAIN, QUICK, RESCUE, STALE
from hub.domain.conversations import Accepted, Reply, Request, Unavailable
from hub.domain.model import DeliveryState
from hub.partner.adapter_settings import Terms
from hub.partner.rate_limit import Rate
from hub.runtime.http_client import Unreachable
from hub.store.inline_database import InlineDatabase
from tests import pki
from tests.outgoing import POLICY, Broken

CONCURRENCY = POLICY.concurrency


def test_what_is_accepted_is_delivered_at_once(desk):
    desk.start()
    message = desk.take(1, "H55.01")
    assert desk.got == [("vpub", b"packet 1")]
    assert desk.states(message) == {"H55.01": (DeliveryState.DELIVERED, 1)}


def test_with_a_partner_down_its_deliveries_wait_and_everyone_elses_go_on(desk):
    desk.start()
    desk.up["vpub"] = False
    first = desk.take(1, "H55.01", "G22")
    desk.pass_time(10)
    assert desk.states(first)["H55.01"][0] is DeliveryState.WAITING
    assert desk.states(first)["G22"] == (DeliveryState.DELIVERED, 1)
    desk.up["vpub"] = True
    desk.pass_time(10)
    assert desk.states(first)["H55.01"][0] is DeliveryState.DELIVERED


def test_retries_space_out_to_the_cap(desk):
    desk.start()
    desk.up["vpub"] = False
    message = desk.take(1, "H55.01")
    counts = []
    for _ in range(4):
        desk.pass_time(5)
        counts.append(desk.states(message)["H55.01"][1])
    assert counts == [3, 4, 5, 6], "at 0, 1.5, 4, 8.5, 13 seconds; then the breaker is open until 19"


@pytest.mark.slow
def test_past_its_policy_a_delivery_is_a_dead_letter_and_stays_one(desk):
    desk.start()
    desk.up["vpub"] = False
    message = desk.take(1, "H55.01")
    desk.pass_time(130)
    state, attempts = desk.states(message)["H55.01"]
    assert state is DeliveryState.DEAD
    desk.up["vpub"] = True
    desk.pass_time(600)
    assert desk.states(message)["H55.01"] == (DeliveryState.DEAD, attempts)
    assert desk.got == []


def test_a_partner_that_hangs_holds_only_its_own_few_places(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    hanging = [desk.take(number, "H55.01") for number in range(1, CONCURRENCY + 3)]
    quick = desk.take(99, "G22")
    assert len(desk.waiting) == CONCURRENCY
    assert desk.states(quick)["G22"][0] is DeliveryState.DELIVERED
    assert [desk.states(message)["H55.01"][0] for message in hanging].count(DeliveryState.SENDING) == CONCURRENCY


def test_a_conversation_that_outlasts_its_lease_counts_and_is_tried_again(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    message = desk.take(1, "H55.01")
    desk.pass_time(POLICY.timeout.total_seconds() * 3 + 1)
    state, attempts = desk.states(message)["H55.01"]
    assert (state, attempts) == (DeliveryState.WAITING, 1)
    desk.up["vpub"] = True
    desk.pass_time(5)
    assert desk.states(message)["H55.01"] == (DeliveryState.DELIVERED, 2)


def test_a_stop_waits_for_what_is_under_way(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    message = desk.take(1, "H55.01")
    stopped = desk.service.stopService()
    desk.clock.advance(1)
    assert not stopped.called
    desk.answer()
    assert stopped.called
    assert desk.states(message)["H55.01"] == (DeliveryState.DELIVERED, 1)


def test_a_stop_that_waited_long_enough_gives_back_what_is_under_way_uncounted(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    message = desk.take(1, "H55.01")
    stopped = desk.service.stopService()
    desk.clock.advance(DRAIN)
    assert stopped.called
    assert desk.states(message)["H55.01"] == (DeliveryState.WAITING, 0)


def test_what_a_crash_left_under_way_is_sent_again_uncounted(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    message = desk.take(1, "H55.01")
    dead = desk.service
    dead.running = 0  # ...SIGKILL: nothing more happens there...
    desk.up["vpub"] = True
    desk.start("another process")
    assert desk.states(message)["H55.01"] == (DeliveryState.DELIVERED, 1)
    assert desk.got == [("vpub", b"packet 1")]


def test_an_adapters_bug_keeps_nobody_elses_message_waiting(desk, capsys):
    desk.adapters["vpub"] = Broken()
    desk.start()
    message = desk.take(1, "H55.01", "G22")
    assert desk.states(message)["G22"][0] is DeliveryState.DELIVERED
    assert desk.states(message)["H55.01"][0] is DeliveryState.WAITING
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_a_lost_answer_leads_to_a_repetition_with_the_same_bytes(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    desk.take(1, "H55.01")
    desk.up["vpub"] = True
    desk.waiting.pop().reply.errback(Unreachable("connection broke"))
    desk.pass_time(5)
    assert desk.got == [("vpub", b"packet 1")]


@pytest.mark.parametrize("taken", [True, False])
def test_whatever_a_partner_says_can_be_kept_and_its_message_comes_to_an_end(desk, taken):
    said = json.dumps(
        {
            "success": taken,
            "message": f"{chr(0xD800)}\0",
            "data": {"docId": f"{chr(0xD800)}\0", "errorCode": 10 * (not taken)},
        }
    )
    settings = {each.name: each.default or "x" for each in adapters.list_adapter_settings("lgsp")} | {"username": ""}
    terms = Terms(
        partner="vpub", url="https://partner", identity=pki.partner("hub"), settings=settings, secrets={"secret": "x"}
    )
    desk.adapters["vpub"] = adapters.make_adapter("lgsp", terms)
    desk.up["vpub"] = lambda: Reply(200, said.encode())
    desk.start()
    message = desk.take(1, "H55.01")
    desk.pass_time(30)
    assert desk.states(message)["H55.01"] == (DeliveryState.DELIVERED if taken else DeliveryState.DEAD, 1)
    assert desk.asked["vpub"] == 1


def answer_one_of(desk, count):
    """Let a partner that does not answer have *count* messages, and answer the first, within `QUICK`."""
    desk.up["vpub"] = "hangs"
    messages = [desk.take(number, "H55.01") for number in range(count)]
    desk.clock.advance(QUICK)
    desk.answer()
    return messages


def test_for_a_quick_partner_claims_are_made_ahead_and_it_gets_no_more_at_a_time(desk):
    desk.start()
    messages = answer_one_of(desk, 40)
    assert len(desk.waiting) == CONCURRENCY
    assert desk.count(DeliveryState.SENDING) == CONCURRENCY + AHEAD
    for _ in range(39):
        assert len(desk.waiting) <= CONCURRENCY
        desk.answer()
    assert all(desk.states(message)["H55.01"] == (DeliveryState.DELIVERED, 1) for message in messages)
    assert [body for _, body in desk.got] == sorted(
        (body for _, body in desk.got), key=lambda body: int(body.split()[1])
    )


def test_for_a_slow_partner_no_claim_is_made_ahead(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    for number in range(10):
        desk.take(number, "H55.01")
    desk.clock.advance(QUICK * 2)
    desk.answer()
    assert desk.count(DeliveryState.SENDING) == CONCURRENCY


def test_nodes_that_share_a_journal_claim_nothing_ahead(desk):
    desk.start(alone=False)
    answer_one_of(desk, 10)
    assert desk.count(DeliveryState.SENDING) == CONCURRENCY


def test_for_a_partner_with_a_rate_no_claim_is_made_ahead(desk):
    desk.policy = attrs.evolve(POLICY, rate=Rate(1000, "s"))
    desk.start()
    answer_one_of(desk, 10)
    assert desk.count(DeliveryState.SENDING) == CONCURRENCY


class Strict:
    """An adapter that tells wrong credentials."""

    def deliver(self, consignment, now):
        reply = yield Request("https://partner/", consignment.content)
        return Accepted() if reply.status == 200 else Unavailable("no access", credentials=True)


def test_what_was_claimed_ahead_is_given_back_uncounted_when_the_partner_fails(desk):
    desk.adapters["vpub"] = Strict()
    desk.start()
    answer_one_of(desk, 40)
    before = desk.asked["vpub"]
    desk.waiting.pop(0).reply.callback(Reply(401, b""))
    assert desk.asked["vpub"] == before, "wrong credentials open the breaker, and nothing more is sent"
    assert desk.count(DeliveryState.SENDING) == len(desk.waiting) == CONCURRENCY - 1
    given_back = [made for made in desk.attempts() if made == (DeliveryState.WAITING, 0)]
    assert len(given_back) == 40 - 1 - CONCURRENCY


def test_what_was_claimed_ahead_of_a_partner_that_then_hangs_is_given_back_soon(desk):
    desk.start()
    answer_one_of(desk, 40)
    desk.pass_time(STALE + 1)
    assert len(desk.waiting) == CONCURRENCY
    assert desk.count(DeliveryState.SENDING) == CONCURRENCY
    desk.up["vpub"] = True
    while desk.waiting:
        desk.answer()
    desk.pass_time(5)
    assert desk.count(DeliveryState.DELIVERED) == 40
    assert len(set(desk.got)) == len(desk.got) == 40


def test_a_stop_gives_back_what_was_claimed_ahead(desk):
    desk.start()
    answer_one_of(desk, 40)
    stopped = desk.service.stopService()
    assert desk.count(DeliveryState.SENDING) == CONCURRENCY
    while desk.waiting:
        desk.answer()
    assert stopped.called
    assert desk.count(DeliveryState.SENDING) == 0
    assert desk.count(DeliveryState.DELIVERED) == 1 + CONCURRENCY
    assert desk.attempts().count((DeliveryState.WAITING, 0)) == 40 - 1 - CONCURRENCY


def test_a_crash_releases_what_was_claimed_ahead(desk):
    desk.start()
    answer_one_of(desk, 40)
    desk.service.running = 0
    desk.up["vpub"] = True
    desk.start("another process")
    desk.pass_time(3)
    assert desk.count(DeliveryState.DELIVERED) == 40
    assert len(set(desk.got)) == len(desk.got) == 40


class Late(InlineDatabase):
    """A journal whose answers to claims of one message come later."""

    held: list[tuple[Deferred[Any], Any]] | None = None

    def write(self, step, *args, **kwargs):
        done = super().write(step, *args, **kwargs)
        if step is push_service._CLAIM and self.held is not None and done.result:
            later: Deferred[Any] = Deferred()
            self.held.append((later, done.result))
            return later
        return done


def test_a_claim_whose_answer_is_on_its_way_is_not_taken_for_a_lost_one(desk):
    journal = Late(desk.engine)
    desk.start(journal=journal)
    desk.up["vpub"] = "hangs"
    for number in range(6):
        desk.take(number, "H55.01")
    journal.held = []
    desk.answer()
    assert journal.held
    assert desk.count(DeliveryState.SENDING) > len(desk.waiting)
    desk.pass_time(RESCUE + 2)
    assert desk.count(DeliveryState.SENDING) > len(desk.waiting), "the claims are still held"
    desk.up["vpub"] = True
    for later, result in journal.held:
        later.callback(result)
    while desk.waiting:
        desk.answer()
    desk.pass_time(5)
    assert desk.count(DeliveryState.DELIVERED) == 6
    assert len(set(desk.got)) == len(desk.got) == 6
