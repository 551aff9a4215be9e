"""A clock is set back, or a node's is behind: lanes keep their order, and nothing waits for the hour that the clock had before."""

from datetime import timedelta

import pytest

from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.journal import messages
from hub.journal.queue import claim_release, claims, clock_repair, deliveries, partner_state, pickup
from hub.journal.queue.claims import AttemptExchange
from hub.partner.circuit_breaker import Breaker, BreakerPosition
from tests.province import NOW, ROUTES, document, entry

HOUR = timedelta(hours=1)
AHEAD = NOW + HOUR  #: what the clock said, before it was set back
LEASE = timedelta(seconds=60)


@pytest.fixture
def take(tx):
    def taken(number, packet, at, partner="sotttt", **fields):
        return messages.record_message(tx, entry(packet, number, at=at, partner=partner, **fields), ROUTES).id

    return taken


def claim(tx, now):
    return claims.claim_deliveries(tx, "vpub", now, limit=5, holder="node", lease=LEASE)


def test_what_was_due_under_a_clock_that_was_ahead_is_due_now(tx, take):
    sent = take(1, document(), AHEAD)
    assert claim(tx, NOW) == []
    assert clock_repair.requeue_future_deliveries(tx, NOW) == 1
    assert [each.message for each in claim(tx, NOW)] == [sent]
    assert clock_repair.requeue_future_deliveries(tx, NOW) == 0


def test_a_retry_waits_as_long_as_it_was_to_wait(tx, take):
    take(1, document(), AHEAD)
    (claimed,) = claim(tx, AHEAD)
    later = AttemptVerdict(DeliveryState.WAITING, "down", AHEAD + timedelta(seconds=30))
    assert claims.settle_claim(
        tx, claims.EndedAttempt(claimed, DeliveryEvent.UNAVAILABLE, later, AttemptExchange(), AHEAD)
    )
    clock_repair.requeue_future_deliveries(tx, NOW)
    assert claim(tx, NOW + timedelta(seconds=29)) == []
    assert len(claim(tx, NOW + timedelta(seconds=30))) == 1


def test_a_lost_answer_lies_in_no_future(tx, take):
    sent = take(1, document(), AHEAD)
    (claimed,) = claim(tx, AHEAD)
    lost = AttemptVerdict(DeliveryState.WAITING, "no answer", AHEAD, unsure=True)
    assert claims.settle_claim(
        tx, claims.EndedAttempt(claimed, DeliveryEvent.UNAVAILABLE, lost, AttemptExchange(), AHEAD)
    )
    clock_repair.requeue_future_deliveries(tx, NOW)
    (made,) = deliveries.read_message_deliveries(tx, sent)
    assert made.unsure == NOW, "or the partner would be given until then to finish"


def test_a_lease_ends_when_it_was_to_end(tx, take):
    take(1, document(), AHEAD)
    assert len(claim(tx, AHEAD)) == 1
    clock_repair.requeue_future_deliveries(tx, NOW)
    assert claim_release.release_lost_claims(tx, NOW + LEASE, holder="other") == 0
    assert claim_release.release_lost_claims(tx, NOW + LEASE * 2, holder="other") == 1


def test_what_is_held_can_be_fetched_now(tx, take):
    held = take(1, document("H55.01", "H55.13"), AHEAD, "vpub")
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13", 10, NOW) == []
    clock_repair.requeue_future_deliveries(tx, NOW)
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13", 10, NOW) == [held]


def test_the_hour_of_a_timed_document_stays(tx, take):
    hour = AHEAD + timedelta(hours=5)
    take(1, document(priority=4, hour=hour), AHEAD)
    clock_repair.requeue_future_deliveries(tx, NOW)
    assert claim(tx, hour - timedelta(seconds=1)) == []
    assert len(claim(tx, hour)) == 1


def test_what_waits_behind_another_of_its_lane_is_brought_back_too(tx, take):
    first, second = take(1, document(), NOW), take(2, document(), AHEAD)
    assert [each.message for each in claim(tx, NOW)] == [first]
    assert clock_repair.requeue_future_deliveries(tx, NOW) == 1
    (made,) = deliveries.read_message_deliveries(tx, second)
    assert made.due == NOW


def test_clocks_that_differ_a_little_are_left_alone(tx, take):
    take(1, document(), NOW + timedelta(milliseconds=900))
    assert clock_repair.requeue_future_deliveries(tx, NOW) == 0


def test_a_lane_keeps_its_order_whatever_the_clock_says(tx, take):
    first = take(1, document(), AHEAD)
    second = take(2, document(), NOW)  # the same document again, by a clock that was set back
    assert [each.message for each in claim(tx, AHEAD)] == [first]
    clock_repair.requeue_future_deliveries(tx, NOW)
    assert claim(tx, NOW) == []
    claim_release.release_lost_claims(tx, NOW, alone=True)
    assert [each.message for each in claim(tx, NOW)] == [first]
    assert second != first


def test_a_partner_that_fetches_gets_a_lane_in_its_order_whatever_the_clock_says(tx, take):
    ids = [f"00000000-0000-7000-8000-00000000000{number}" for number in (9, 1)]
    first = take(1, document("H55.01", "H55.13"), AHEAD, "vpub", id=ids[0])
    second = take(2, document("H55.01", "H55.13"), NOW, "vpub", id=ids[1])
    clock_repair.requeue_future_deliveries(tx, NOW)
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13", 10, NOW) == [first, second]


def test_until_the_clock_is_set_right_a_partner_that_fetches_gets_nothing_before_what_it_follows(tx, take):
    first = take(1, document("H55.01", "H55.13"), AHEAD, "vpub")
    second = take(2, document("H55.01", "H55.13"), NOW, "vpub")
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13", 10, NOW) == []
    clock_repair.requeue_future_deliveries(tx, NOW)
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13", 10, NOW) == [first, second]


def breaker_until(tx):
    return partner_state.read_partner_standing(tx, "vpub").breaker.until


def test_a_partner_is_not_left_alone_until_the_hour_of_a_clock_that_was_ahead(tx):
    until = AHEAD + timedelta(minutes=5)
    partner_state.move_breaker(
        tx, "vpub", lambda _before: Breaker(position=BreakerPosition.OPEN, opened=1, until=until), AHEAD
    )
    clock_repair.requeue_future_probes(tx, NOW, NOW + timedelta(hours=2))
    assert breaker_until(tx) == until
    clock_repair.requeue_future_probes(tx, NOW, NOW)
    assert breaker_until(tx) == NOW
