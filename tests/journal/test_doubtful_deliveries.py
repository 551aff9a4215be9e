"""What the journal keeps of a delivery whose attempt got no answer, and of one that failed after it was delivered."""

from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.conversations import LaterFailure
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.journal import consignments, events, messages
from hub.journal.queue import claim_release, claims, deliveries, delivery_ends
from hub.journal.queue.claims import AttemptExchange
from hub.store import transactions
from hub.store.tables import fact
from tests.province import NOW, ROUTES, document, entry

LATER = NOW + timedelta(minutes=1)
LOST = AttemptVerdict(DeliveryState.WAITING, "no answer", NOW, unsure=True)
TAKEN = AttemptVerdict(DeliveryState.DELIVERED, ids={"G22": "id-1"})


@attrs.frozen
class Sending:
    """A journal with one message to the axis."""

    engine: sa.Engine
    message: str

    def claim(self):
        with transactions.write_transaction(self.engine) as tx:
            (taken,) = claims.claim_deliveries(tx, "vpcp", NOW, limit=9, holder="node", lease=timedelta(minutes=1))
            return taken

    def settle(self, outcome, verdict):
        with transactions.write_transaction(self.engine) as tx:
            assert claims.settle_claim(
                tx, claims.EndedAttempt(self.claim_in(tx), outcome, verdict, AttemptExchange(), NOW)
            )

    @staticmethod
    def claim_in(tx):
        (taken,) = claims.claim_deliveries(tx, "vpcp", NOW, limit=9, holder="node", lease=timedelta(minutes=1))
        return taken

    def fail(self, *failures):
        with transactions.write_transaction(self.engine) as tx:
            return delivery_ends.fail_delivered(tx, "vpcp", failures, LATER)

    def now(self):
        with transactions.read_transaction(self.engine) as tx:
            return deliveries.read_message_deliveries(tx, self.message)[0]

    def events(self):
        with transactions.read_transaction(self.engine) as tx:
            return [each["event"] for each in events.read_message_events(tx, self.message)]


@pytest.fixture
def sending(engine) -> Sending:
    with transactions.write_transaction(engine) as tx:
        recorded = messages.record_message(tx, entry(document("H55.13", "G22"), 1), ROUTES)
    return Sending(engine, recorded.id)


def test_a_lost_answer_is_kept_until_the_partner_says_what_it_has(sending):
    sending.settle(DeliveryEvent.UNAVAILABLE, LOST)
    assert (sending.now().unsure, sending.now().twice) == (NOW, False)
    with transactions.write_transaction(sending.engine) as tx:
        taken = sending.claim_in(tx)
        assert consignments.read_consignment(tx, taken).unsure == NOW
        assert claims.settle_claim(
            tx, claims.EndedAttempt(taken, DeliveryEvent.ACCEPTED, TAKEN, AttemptExchange(), NOW)
        )
    assert (sending.now().unsure, sending.now().twice) == (None, False)


def test_the_partner_may_be_working_on_it_since_the_end_of_that_attempt(sending):
    with transactions.write_transaction(sending.engine) as tx:
        taken = sending.claim_in(tx)
        assert claims.settle_claim(
            tx, claims.EndedAttempt(taken, DeliveryEvent.UNAVAILABLE, LOST, AttemptExchange(), LATER)
        )
    taken = sending.claim()
    with transactions.read_transaction(sending.engine) as tx:
        whole = consignments.read_consignment(tx, taken)
        assert [whole] == consignments.read_small_consignments(tx, [taken])
    assert (whole.unsure, whole.unsure_until) == (NOW, LATER)


def test_a_blind_repetition_is_possibly_twice_and_an_event(sending):
    sending.settle(DeliveryEvent.UNAVAILABLE, LOST)
    sending.settle(DeliveryEvent.ACCEPTED, AttemptVerdict(DeliveryState.DELIVERED, twice=True))
    assert sending.now().twice
    assert "delivery-possibly-twice" in sending.events()


def test_a_status_that_comes_before_the_answer_does_not_move_the_beginning_of_the_doubt(sending):
    """The partner is asked what it got since then."""
    _ = sending.claim()
    with transactions.write_transaction(sending.engine) as tx:
        delivery_ends.update_delivery(tx, {"which": sending.now().id, "status": "01", "changed_at": LATER})
        assert claim_release.release_lost_claims(tx, LATER, alone=True) == 1
    assert sending.now().unsure == NOW


def test_an_attempt_that_a_stop_interrupted_is_a_lost_answer_unless_it_had_not_begun(sending):
    for begun, unsure in ((False, None), (True, NOW)):
        taken = sending.claim()
        with transactions.write_transaction(sending.engine) as tx:
            assert claim_release.release_claim(tx, taken, NOW, begun=begun) == 1
        assert sending.now().unsure == unsure


def test_a_receivers_later_failure_makes_a_dead_letter_that_can_be_replayed(sending):
    sending.settle(DeliveryEvent.ACCEPTED, TAKEN)
    assert sending.fail(LaterFailure("id-2", "G22", "no"), LaterFailure("id-1", "G23", "no")) == 0
    failure = LaterFailure("id-1", "G22", "Sai định dạng")
    assert [sending.fail(failure), sending.fail(failure)] == [1, 0], "the list shows it for days"
    assert (sending.now().state, sending.now().reason) == (DeliveryState.DEAD, "failed later: Sai định dạng")
    assert sending.now().cause
    with transactions.write_transaction(sending.engine) as tx:
        assert set(tx.scalars(sa.select(fact.c.milestone))) == {"sent", "received", "failed"}
        assert deliveries.revive_deliveries(
            tx, [(sending.now(), DeliveryState.WAITING)], reason="new format", by="an", now=LATER
        )
    assert sending.fail(failure) == 0
