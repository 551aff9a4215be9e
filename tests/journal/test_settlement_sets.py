"""Deliveries that are settled as a set leave the same journal as deliveries settled one by one."""

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, Fact
from hub.journal import events, facts, messages
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import claim_release, claims, deliveries
from hub.journal.queue.claims import AttemptExchange
from hub.journal.queue.settlement_sets import settle_delivered_claims
from hub.partner.circuit_breaker import Breaker, BreakerPosition, record_breaker_success
from hub.partner.policy import Policy
from hub.store import transactions
from hub.store.batch_commit import SetStep, StepCall, commit_steps
from hub.store.tables import attempt, delivery
from tests.province import NOW, ROUTES, document, entry

LATER = NOW + timedelta(seconds=5)
DELIVERED = AttemptVerdict(DeliveryState.DELIVERED, word="their id 7")
SENT = AttemptExchange(request_sha256="a" * 64, reply_sha256="b" * 64, reply_status=200)
OK = partial(record_breaker_success, policy=Policy())


SETTLE = SetStep(claims.settle_claim, settle_delivered_claims)


def send(engine, *entries) -> list[Any]:
    """Record the messages and claim all that is due for the province office."""
    with transactions.write_transaction(engine) as tx:
        for each in entries:
            assert not messages.record_message(tx, each, ROUTES).problems
        lease = timedelta(seconds=60)
        return claims.claim_deliveries(tx, "vpub", NOW, limit=64, holder="node", lease=lease)


def letters(count):
    return [
        entry(attrs.evolve(document(document_id=f"D{number}"), code=f"{number}/VPUB"), number)
        for number in range(1, count + 1)
    ]


def call(claim, outcome=DeliveryEvent.ACCEPTED, verdict=DELIVERED, heard=OK):
    return StepCall(SETTLE, (claims.EndedAttempt(claim, outcome, verdict, SENT, LATER, heard),))


def settle(engine, calls) -> list[Any]:
    return commit_steps(engine, list(calls))


def seen(engine, name):
    with transactions.read_transaction(engine) as tx:
        return [each["event"] for each in events.read_message_events(tx, name)]


def after(engine, claim):
    """What a reader sees of the message of *claim*."""
    with transactions.read_transaction(engine) as tx:
        said = events.read_message_events(tx, claim.message)
        rows = [attrs.evolve(made, id="") for made in deliveries.read_message_deliveries(tx, claim.message)]
        tried = tx.execute(sa.select(attempt).where(attempt.c.message == claim.message)).mappings().one()
        counted = [fact for fact in fact_rows.read_facts(tx) if fact.message == claim.message]
    drawn = {"delivery", "id"}
    plain = [{key: value for key, value in each.items() if key not in drawn} for each in said]
    return plain, rows, {key: value for key, value in tried.items() if key not in drawn}, counted


def test_a_set_leaves_of_each_what_one_alone_leaves(engine):
    """The first is settled alone, the others in a commit with the next: their rows, facts and events differ in names only."""
    alone, *together = send(engine, *letters(4))
    assert settle(engine, [call(alone)]) == [True]
    assert settle(engine, map(call, together)) == [True] * 3
    one, *others = (repr(after(engine, each)) for each in (alone, *together))
    number = int(alone.message[-3:])
    for each, claim in zip(others, together, strict=True):
        mine = int(claim.message[-3:])
        plain = each.replace(f"D{mine}", f"D{number}").replace(f"{mine}/VPUB", f"{number}/VPUB")
        plain = plain.replace(claim.message, alone.message).replace(f"'m{mine}'", f"'m{number}'")
        assert _without_hashes(plain) == _without_hashes(one)


def _without_hashes(text):
    return [word for word in text.split("'") if len(word) != 64]


def test_the_next_of_the_lane_is_free_and_each_recipient_has_its_fact(engine):
    first, second = letters(2)
    claimed = send(engine, first, second)
    with transactions.write_transaction(engine) as tx:
        again = entry(attrs.evolve(document(document_id="D1"), code="1/VPUB"), 9)
        assert not messages.record_message(tx, again, ROUTES).problems
        assert tx.scalars(sa.select(delivery.c.free).where(delivery.c.message == again.id)).all() == [False]
    assert settle(engine, map(call, claimed)) == [True, True]
    with transactions.read_transaction(engine) as tx:
        assert tx.scalars(sa.select(delivery.c.free).where(delivery.c.message == again.id)).all() == [True]
        counted = Counter((fact.unit, fact.milestone) for fact in fact_rows.read_facts(tx))
    assert counted == {("H55.13", "sent"): 2, ("H55.01", "received"): 2}
    assert seen(engine, first.id)[-3:] == ["attempt-ended", "delivery-delivered", "fact-recorded"]


def test_what_did_not_succeed_is_settled_alone(engine):
    claimed = send(engine, *letters(6))
    refused = AttemptVerdict(DeliveryState.DEAD, "refused: no")
    later = AttemptVerdict(DeliveryState.WAITING, "away", LATER)
    with transactions.write_transaction(engine) as tx:
        assert claim_release.release_claim(tx, claimed[4], LATER) == 1
    calls = [
        call(claimed[0]),
        call(claimed[1], DeliveryEvent.REFUSED, refused),
        call(claimed[2], DeliveryEvent.UNAVAILABLE, later, None),
        call(claimed[3]),
        call(claimed[4]),
        call(claimed[5], heard=lambda _: Breaker(position=BreakerPosition.OPEN, until=LATER)),
    ]
    with transactions.write_transaction(engine) as tx:
        assert settle_delivered_claims(tx, [ended for call in calls for ended in call.args]) == [
            True,
            None,
            None,
            True,
            None,
            None,
        ]
        tx.rollback()
    assert settle(engine, calls) == [True, True, True, True, False, True]
    ends = [seen(engine, each.message)[-1] for each in claimed]
    assert ends == [
        "fact-recorded",
        "fact-recorded",
        "attempt-ended",
        "fact-recorded",
        "attempt-stale",
        "fact-recorded",
    ]


def test_what_was_settled_is_not_settled_again(engine):
    claimed = send(engine, *letters(2))
    calls = [call(each) for each in claimed]
    assert settle(engine, calls) == [True, True]
    before = [seen(engine, each.message) for each in claimed]
    assert settle(engine, calls) == [True, True], "the same commit, whose result was lost"
    late = [
        StepCall(SETTLE, (claims.EndedAttempt(each, DeliveryEvent.ACCEPTED, DELIVERED, SENT, LATER + LEASE, OK),))
        for each in claimed
    ]
    assert settle(engine, late) == [False, False]
    assert [seen(engine, each.message) for each in claimed] == [[*each, "attempt-stale"] for each in before]


LEASE = timedelta(minutes=2)


def test_a_fact_that_is_there_already_is_not_counted_again(engine):
    claimed = send(engine, *letters(2))
    with transactions.write_transaction(engine) as tx:
        key = facts.make_business_key("H55.13", "D2")
        there = Fact(
            unit="H55.01",
            service="documents",
            key=key,
            milestone="received",
            at=NOW,
            message=claimed[0].message,
            counterpart="",
        )
        facts.record_facts(tx, [there])
    assert settle(engine, map(call, claimed)) == [True, True]
    with transactions.read_transaction(engine) as tx:
        assert Counter(fact.milestone for fact in fact_rows.read_facts(tx)) == {"sent": 2, "received": 2}
    assert seen(engine, claimed[1].message)[-1] == "delivery-delivered"


def test_a_set_is_short(engine, monkeypatch):
    claimed = send(engine, *letters(3))
    monkeypatch.setattr(deliveries, "MOST_IN_SET", 2)
    calls = [call(each) for each in claimed]
    with transactions.write_transaction(engine) as tx:
        assert settle_delivered_claims(tx, [ended for call in calls for ended in call.args]) == [True, True, None]
        tx.rollback()
    assert settle(engine, calls) == [True] * 3


@pytest.mark.parametrize("count", [2, 33])
def test_it_takes_a_handful_of_statements(engine, count):
    claimed = send(engine, *letters(count))
    asked: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    assert all(settle(engine, map(call, claimed)))
    asked = [
        each for each in asked if each.startswith(("INSERT", "SELECT", "UPDATE", "WITH")) and "advisory" not in each
    ]
    assert len(asked) <= 8 + 5 * (count > 32)
