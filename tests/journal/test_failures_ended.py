"""A document that failed and is delivered after all: it counts as failed only while one of its deliveries is dead."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.conversations import LaterFailure
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.journal import messages
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import claims, deliveries, delivery_ends
from hub.journal.queue.claims import AttemptExchange
from hub.report.counting.counting import count_report
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.store import transactions
from tests.province import NOW, ROUTES, document, entry

EDOC = next(form for form in read_form_folder() if form.id == "edoc")
DECEMBER, AFTER = parse_period("2026-12"), datetime(2027, 1, 1, tzinfo=UTC)
DEAD = AttemptVerdict(DeliveryState.DEAD, "refused: no")
TAKEN = AttemptVerdict(DeliveryState.DELIVERED, ids={"G22": "id-1", "G14": "id-1"})


@attrs.define
class Sending:
    """A journal with documents to the axis, and what becomes of them."""

    engine: sa.Engine
    at: datetime = NOW

    def take(self, number=1, *to):
        sent = document("H55.13", *(to or ("G22", "G14")), document_id=f"D{number}")
        with transactions.write_transaction(self.engine) as tx:
            return messages.record_message(tx, entry(sent, number), ROUTES).id

    def attempt(self, verdict):
        """Let what waits be sent, and end as *verdict*."""
        self.at += timedelta(minutes=1)
        outcome = DeliveryEvent.REFUSED if verdict is DEAD else DeliveryEvent.ACCEPTED
        with transactions.write_transaction(self.engine) as tx:
            lease = timedelta(minutes=1)
            for taken in claims.claim_deliveries(tx, "vpcp", self.at, limit=99, holder="node", lease=lease):
                assert claims.settle_claim(tx, claims.EndedAttempt(taken, outcome, verdict, AttemptExchange(), self.at))

    def replay(self, message, *recipients):
        with transactions.write_transaction(self.engine) as tx:
            made = deliveries.read_message_deliveries(tx, message)
            chosen = [(each, DeliveryState.WAITING) for each in made if each.recipient in recipients]
            assert len(deliveries.revive_deliveries(tx, chosen, reason="known", by="an", now=self.at)) == len(chosen)

    def fail_later(self):
        with transactions.write_transaction(self.engine) as tx:
            return delivery_ends.fail_delivered(tx, "vpcp", (LaterFailure("id-1", "G22", "no"),), self.at)

    @property
    def failed(self):
        with transactions.read_transaction(self.engine) as tx:
            found = [fact_rows.read_raw_fact(row) for row in tx.execute(fact_rows.RAW_FACT)]
        return count_report(EDOC, found, DECEMBER, AFTER, ("H55.13",)).total.numbers["failed"]


@pytest.fixture
def sending(engine) -> Sending:
    return Sending(engine)


def test_sixty_that_failed_and_were_replayed_and_delivered_are_no_failures(sending):
    sent = [sending.take(number, "G22") for number in range(1, 61)]
    sending.attempt(DEAD)
    assert sending.failed == 60
    for message in sent:
        sending.replay(message, "G22")
    sending.attempt(TAKEN)
    assert sending.failed == 0


def test_a_document_fails_until_the_last_of_its_dead_deliveries_arrives(sending):
    sent = sending.take()
    sending.attempt(DEAD)
    counts = []
    for recipient in ("G22", "G14"):
        sending.replay(sent, recipient)
        sending.attempt(TAKEN)
        counts.append(sending.failed)
    assert counts == [1, 0]


def test_what_fails_again_after_it_was_delivered_counts_again(sending):
    sent, counts = sending.take(1, "G22"), []
    for _ in range(2):
        sending.attempt(TAKEN)
        assert sending.fail_later() == 1
        counts.append(sending.failed)
        sending.replay(sent, "G22")
    sending.attempt(TAKEN)
    assert [*counts, sending.failed] == [1, 1, 0]


def test_a_repetition_that_fails_is_no_failure_of_what_had_arrived(sending):
    sent = sending.take(1, "G22")
    sending.attempt(TAKEN)
    sending.replay(sent, "G22")
    sending.attempt(DEAD)
    assert sending.failed == 0
