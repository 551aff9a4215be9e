"""What the journal promises of a delivery: taken by one at a time, given back after a crash, settled once, counted once."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from hub.domain.errors import Rejected
from hub.domain.lifecycle import AttemptVerdict
from hub.domain.model import DeliveryState, Unit
from hub.edxml.changes import Effect
from hub.journal import blobs, events, messages, unit_registry
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import claim_release, claims, deliveries, lanes, pickup
from hub.journal.queue.claims import AttemptExchange, PartnerQueue
from hub.journal.replays import replay
from hub.journal.replays.replay import ReplayChoice
from hub.journal.searching.message_filter import MessageFilter
from tests import databases
from tests.province import NOW, ROUTES, document, entry, status

LEASE = timedelta(seconds=60)
DELIVERED = AttemptVerdict(DeliveryState.DELIVERED)


def claim(tx, partner="vpub", now=NOW, holder="node", limit=5):
    return claims.claim_deliveries(tx, partner, now, limit=limit, holder=holder, lease=LEASE)


def settle(tx, claimed, verdict, outcome="accepted", now=NOW):
    return claims.settle_claim(tx, claims.EndedAttempt(claimed, outcome, verdict, AttemptExchange(), now))


def state(tx, message):
    return [(made.state, made.attempts) for made in deliveries.read_message_deliveries(tx, message)]


@pytest.fixture
def sent(tx):
    """A document on its way to the province office."""
    return messages.record_message(tx, entry(document()), ROUTES).id


def test_claimed_work_is_taken_once_and_survives_a_crash_uncounted(tx, sent):
    assert len(claim(tx)) == 1
    assert claim(tx) == []
    assert state(tx, sent) == [(DeliveryState.SENDING, 1)]
    assert claim_release.release_lost_claims(tx, NOW, alone=True) == 1  # ...the process died here...
    assert state(tx, sent) == [(DeliveryState.WAITING, 0)]
    assert len(claim(tx)) == 1


def test_a_lease_that_ended_is_given_back_and_one_that_runs_is_not(tx, sent):
    claim(tx)
    assert claim_release.release_lost_claims(tx, NOW + LEASE) == 0
    assert claim_release.release_lost_claims(tx, NOW + LEASE * 2) == 1


def test_a_claim_that_was_lost_settles_nothing(tx, sent):
    (stale,) = claim(tx, holder="slow node")
    claim_release.release_lost_claims(tx, NOW + LEASE * 2)
    (fresh,) = claim(tx, now=NOW + LEASE * 2, holder="other node")
    assert not settle(tx, stale, DELIVERED)
    assert settle(tx, fresh, DELIVERED)
    assert not settle(tx, fresh, DELIVERED, now=NOW + LEASE * 3)
    assert state(tx, sent) == [(DeliveryState.DELIVERED, 1)]


def test_a_node_that_lost_and_took_again_cannot_settle_by_the_old_claim(tx, sent):
    (old,) = claim(tx)
    claim_release.release_lost_claims(tx, NOW, alone=True)
    claim(tx)
    assert not settle(tx, old, AttemptVerdict(DeliveryState.DEAD, "late"), "refused")
    assert state(tx, sent) == [(DeliveryState.SENDING, 1)]


def test_what_was_given_back_and_taken_again_is_not_given_back_by_the_old_claim(tx, sent):
    (stale,) = claim(tx)
    claim_release.release_lost_claims(tx, NOW + LEASE * 2)
    (fresh,) = claim(tx, now=NOW + LEASE * 2)
    assert claim_release.release_claim(tx, stale, NOW + LEASE * 2) == 0
    assert settle(tx, fresh, DELIVERED)


def test_the_recipients_of_one_message_at_one_partner_travel_together(tx):
    unit_registry.write_registry_units(tx, [Unit("H55.01", "a")])
    message = messages.record_message(tx, entry(document("H55.13", "G22.1", "G22.2", "H55.01")), ROUTES).id
    (up,) = claim(tx, "vpcp")
    assert up.recipients == ("G22.1", "G22.2")
    assert settle(tx, up, DELIVERED)
    assert [s for s, _ in state(tx, message)] == [
        DeliveryState.DELIVERED,
        DeliveryState.DELIVERED,
        DeliveryState.WAITING,
    ]
    assert {(f.unit, f.milestone) for f in fact_rows.read_facts(tx)} == {
        ("H55.13", "sent"),
        ("G22.1", "received"),
        ("G22.2", "received"),
    }


def test_what_could_not_be_delivered_waits_until_it_is_due(tx, sent):
    (taken,) = claim(tx)
    settle(tx, taken, AttemptVerdict(DeliveryState.WAITING, "down", NOW + timedelta(seconds=30)), "unavailable")
    assert claim(tx, now=NOW + timedelta(seconds=29)) == []
    assert claims.read_partner_queues(tx, NOW) == [
        PartnerQueue("vpub", oldest=None, next_due=NOW + timedelta(seconds=30))
    ]
    (again,) = claim(tx, now=NOW + timedelta(seconds=30))
    assert again.number == 2


def test_a_postponed_attempt_does_not_count(tx, sent):
    (taken,) = claim(tx)
    settle(tx, taken, AttemptVerdict(DeliveryState.WAITING, "later", NOW, counts=False), "postponed")
    assert state(tx, sent) == [(DeliveryState.WAITING, 0)]


def test_a_dead_delivery_is_a_failed_fact_and_only_a_replay_moves_it(tx, sent):
    (taken,) = claim(tx)
    settle(tx, taken, AttemptVerdict(DeliveryState.DEAD, "refused: no"), "refused")
    assert {(f.unit, f.milestone) for f in fact_rows.read_facts(tx)} == {("H55.13", "sent"), ("H55.13", "failed")}
    assert claim(tx, now=NOW + timedelta(days=30)) == []
    plan = replay.choose_deliveries(tx, ReplayChoice((MessageFilter(partner="vpub"),)), ROUTES)
    assert [made.recipient for _, made in plan.moves] == ["H55.01"]
    assert state(tx, sent)[0][0] is DeliveryState.DEAD, "a plan changes nothing"
    dead = [made for _, made in plan.moves]
    later = NOW + timedelta(days=20)
    assert len(replay.replay_deliveries(tx, dead, ROUTES, reason="mended", by="an", now=later)) == 1
    assert replay.replay_deliveries(tx, dead, ROUTES, reason="twice", by="an", now=later) == []
    (again,) = claim(tx, now=later)
    assert again.since == later, "the time to give up counts from the replay"
    settle(tx, again, DELIVERED, now=later)
    assert [e["reason"] for e in events.read_message_events(tx, sent) if e["event"] == "delivery-replayed"] == [
        "mended"
    ]


def test_what_was_recalled_is_never_replayed(tx, sent):
    waiting = deliveries.lock_stoppable_deliveries(tx, [sent], ["H55.01"])
    deliveries.write_stops(tx, deliveries.plan_stops([(Effect.RECALLED, waiting)], "R", NOW))
    (made,) = deliveries.read_message_deliveries(tx, sent)
    plan = replay.choose_deliveries(tx, ReplayChoice((MessageFilter(),)), ROUTES)
    assert (plan.moves, [each.why for each in plan.excluded]) == ((), ["recalled: R"])
    assert replay.replay_deliveries(tx, [made], ROUTES, reason="anyway", by="an", now=NOW) == []
    assert state(tx, sent) == [(DeliveryState.DEAD, 0)]


def test_a_partner_that_fetches_sees_the_oldest_first_until_it_confirms(tx):
    first = messages.record_message(tx, entry(document("H55.01", "H55.13"), 1, partner="vpub"), ROUTES).id
    other, later = document("H55.01", "H55.13.1", document_id="D2"), NOW + timedelta(microseconds=1)
    second = messages.record_message(tx, entry(other, 2, partner="vpub", at=later), ROUTES).id
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13", 10, later) == [first, second]
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13.1", 10, later) == [second]
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13", 1, later) == [first]
    row = pickup.fetch_message(tx, "sotttt", first, NOW)
    assert (row["message_id"], blobs.read_blob(tx, row["sha256"])) == ("m1", b"packet 1")
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13", 10, later) == [first, second], (
        "fetched but unconfirmed stays pending"
    )
    assert pickup.fetch_message(tx, "sotttt", first, NOW) == row
    for _ in range(2):
        pickup.confirm_receipt(tx, "sotttt", first, None, NOW)
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13", 10, later) == [second]
    received = [f for f in fact_rows.read_facts(tx) if f.milestone == "received"]
    assert [(f.unit, f.message, f.counterpart) for f in received] == [("H55.13", first, "H55.01")]


def test_what_was_not_fetched_cannot_be_confirmed(tx):
    held = messages.record_message(tx, entry(document("H55.01", "H55.13"), partner="vpub"), ROUTES).id
    with pytest.raises(Rejected, match="not-fetched"):
        pickup.confirm_receipt(tx, "sotttt", held, None, NOW)


def test_nobody_fetches_or_confirms_what_is_for_another(tx, sent):
    for deed in (pickup.fetch_message, lambda *a: pickup.confirm_receipt(a[0], a[1], a[2], None, a[3])):
        with pytest.raises(Rejected, match="document-not-found"):
            deed(tx, "sotttt", sent, NOW)


def test_a_status_that_arrives_makes_no_received_fact(tx, sent):
    answer = messages.record_message(tx, entry(status("03"), 2, partner="vpub"), ROUTES).id
    pickup.fetch_message(tx, "sotttt", answer, NOW)
    pickup.confirm_receipt(tx, "sotttt", answer, "H55.13", NOW)
    assert "received" not in {f.milestone for f in fact_rows.read_facts(tx)}


def test_a_claim_takes_no_more_messages_than_asked(tx):
    for number in range(1, 8):
        messages.record_message(tx, entry(document(document_id=f"D{number}"), number), ROUTES)
    assert [c.message[-1] for c in claim(tx, limit=3)] == ["1", "2", "3"]


def test_whether_a_delivery_is_the_head_of_its_lane_is_found_by_the_index_of_lanes(tmp_path):
    """Else each new delivery would look at all that wait for its recipient."""

    def look(tx):
        tx.execute(sa.select(lanes.IS_NEW), lanes.make_lane_parameters("lane", "H55.01")).all()

    ways = [way for _, each in databases.plans(databases.sqlite(tmp_path / "hub.db"), look) for way in each]
    assert "SEARCH mate USING INDEX ix_delivery_lane (lane=? AND recipient=? AND state=?)" in ways
