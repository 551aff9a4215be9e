"""Deliveries of one message to one partner that were divided after a refusal: which of them one claim takes."""

from datetime import timedelta

import sqlalchemy as sa

from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.journal import messages
from hub.journal.queue import claims, deliveries
from hub.journal.queue.claims import AttemptExchange
from hub.store import transactions
from hub.store.tables import delivery as table
from tests.province import NOW, ROUTES, document, entry

CODES = ("G22", "G14", "G09")


def test_each_part_is_claimed_by_itself_and_a_replay_joins_them_again(engine):
    sent = document("H55.13", *CODES)

    def claim():
        with transactions.write_transaction(engine) as tx:
            return claims.claim_deliveries(tx, "vpcp", NOW, limit=9, holder="node", lease=timedelta(minutes=1))

    def settle(taken, outcome, verdict):
        with transactions.write_transaction(engine) as tx:
            assert claims.settle_claim(tx, claims.EndedAttempt(taken, outcome, verdict, AttemptExchange(), NOW))

    with transactions.write_transaction(engine) as tx:
        recorded = messages.record_message(tx, entry(sent, 1), ROUTES)
    (whole,) = claim()
    assert whole.recipients == CODES
    parts = (("G22", "G09"), ("G14",))
    settle(whole, DeliveryEvent.REFUSED, AttemptVerdict(DeliveryState.WAITING, "refused together", NOW, apart=parts))
    (first,) = claim()
    (second,) = claim()
    assert {first.recipients, second.recipients} == set(parts)
    assert claim() == []
    for each in (first, second):
        settle(each, DeliveryEvent.REFUSED, AttemptVerdict(DeliveryState.DEAD, "refused: no"))
    with transactions.write_transaction(engine) as tx:
        dead = [(each, DeliveryState.WAITING) for each in deliveries.read_message_deliveries(tx, recorded.id)]
        assert len(deliveries.revive_deliveries(tx, dead, reason="known now", by="an", now=NOW)) == 3
    assert [each.recipients for each in claim()] == [CODES]


def test_the_journal_keeps_how_the_packet_writes_a_recipient(engine):
    with transactions.write_transaction(engine) as tx:
        messages.record_message(tx, entry(document("H55.01", "000.00.13.H55", "G22"), 1, partner="vpub"), ROUTES)
        assert set(tx.execute(sa.select(table.c.recipient, table.c.named)).all()) == {
            ("H55.13", "000.00.13.H55"),
            ("G22", None),
        }
