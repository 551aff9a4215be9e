"""What is kept of the attempts about a message: equal exchanges once, within bounds whatever happens."""

import json
from collections import Counter
from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.domain.conversations import Reply, Request
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.journal import messages
from hub.journal.queue import claims, exchanges
from hub.journal.queue.claims import AttemptExchange
from hub.journal.queue.exchanges import FIRST, MOST, choose_keeping
from hub.journal.queue.settlement_sets import settle_delivered_claims
from hub.partner.kept_exchange import BODY, KeptExchange, keep_exchange
from hub.store import transactions
from hub.store.batch_commit import SetStep, StepCall, commit_steps
from hub.store.tables import attempt, exchange
from tests.examples import at_most
from tests.province import NOW, ROUTES, document, entry

LEASE = timedelta(seconds=60)
ASKED = Request(
    "https://vpub.example/edoc", b"<packet/>", (("SOAPAction", "Send"), ("Authorization", "Basic abcdefgh"))
)
DELIVERED = AttemptVerdict(DeliveryState.DELIVERED, word="taken")


def heard(body: bytes, status=200, **headers) -> AttemptExchange:
    kept = keep_exchange(ASKED, Reply(status, body, headers), ())
    return AttemptExchange(request_sha256="a" * 64, reply_sha256="b" * 64, reply_status=status, call_ms=12, kept=kept)


SETTLE = SetStep(claims.settle_claim, settle_delivered_claims)


def claim(tx, now):
    return claims.claim_deliveries(tx, "vpub", now, limit=64, holder="node", lease=LEASE)


def sent(engine, *numbers):
    with transactions.write_transaction(engine) as tx:
        for number in numbers:
            packet = attrs.evolve(document(document_id=f"D{number}"), code=f"{number}/VPUB")
            assert not messages.record_message(tx, entry(packet, number), ROUTES).problems
        return claim(tx, NOW)


def postponed(engine, claimed, number, exchanged):
    """Settle *claimed* as failed, and claim the delivery again."""
    now = NOW + timedelta(minutes=number)
    with transactions.write_transaction(engine) as tx:
        later = AttemptVerdict(DeliveryState.WAITING, "away", now)
        assert claims.settle_claim(tx, claims.EndedAttempt(claimed, DeliveryEvent.UNAVAILABLE, later, exchanged, now))
        return claim(tx, now)[0]


def settle(engine, claimed, exchanged, at=NOW):
    calls = [
        StepCall(SETTLE, (claims.EndedAttempt(each, DeliveryEvent.ACCEPTED, DELIVERED, exchanged, at, None),))
        for each in claimed
    ]
    return commit_steps(engine, list(calls))


def kept(engine, message):
    with transactions.read_transaction(engine) as tx:
        tried = exchanges.read_attempts(tx, message)
        return tried, [each.exchange and exchanges.read_reply_body(tx, each.exchange) for each in tried]


def rows(engine):
    with transactions.read_transaction(engine) as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(exchange))


@pytest.mark.parametrize("count", [1, 3])
def test_the_usual_answer_of_all_is_kept_once(engine, count):
    claimed = sent(engine, *range(1, count + 1))
    assert settle(engine, claimed, heard(b"<taken/>", date="Tue")) == [True] * count
    again = sent(engine, 11, 12)
    assert settle(engine, again, heard(b"<taken/>", date="Wed")) == [True, True]
    assert rows(engine) == 1
    ((first,), (body,)), ((other,), _) = kept(engine, claimed[0].message), kept(engine, again[1].message)
    assert (body, first.exchange == other.exchange) == (b"<taken/>", True)
    assert (first.varying, other.varying) == ({"date": "Tue"}, {"date": "Wed"})
    assert first.head is not None
    assert (first.head.operation, first.head.status, first.call_ms) == ("Send", 200, 12)
    assert dict(first.head.sent)["Authorization"] == "***"
    assert first.duration == timedelta(0)


def test_an_attempt_without_an_exchange_keeps_nothing(engine):
    (claimed,) = sent(engine, 1)
    claimed = postponed(engine, claimed, 1, AttemptExchange())
    assert settle(engine, [claimed], AttemptExchange()) == [True]
    tried, bodies = kept(engine, claimed.message)
    assert ([each.head for each in tried], bodies, rows(engine)) == ([None, None], [None, None], 0)


@pytest.mark.parametrize("together", [False, True])
def test_of_many_answers_the_first_fifteen_and_the_last_stay(engine, together):
    (claimed,) = sent(engine, 1)
    for number in range(20):
        claimed = postponed(engine, claimed, number + 1, heard(b"no %d" % number, 500))
    others = sent(engine, 2) if together else []
    assert all(settle(engine, [claimed, *others], heard(b"<taken/>")))
    tried, bodies = kept(engine, claimed.message)
    assert bodies == [*(b"no %d" % number for number in range(15)), *[None] * 5, b"<taken/>"]
    assert [each.reply_status for each in tried] == [500] * 20 + [200], "what was always kept is kept of each"
    assert rows(engine) == 16 + together


def test_after_failures_a_set_keeps_what_each_alone_would(engine):
    first, second = sent(engine, 1, 2)
    first = postponed(engine, first, 1, heard(b"no", 503))
    first = postponed(engine, first, 2, heard(b"no", 503))
    assert settle(engine, [first, second], heard(b"<taken/>")) == [True, True]
    tried, bodies = kept(engine, first.message)
    assert bodies == [b"no", b"no", b"<taken/>"]
    with transactions.read_transaction(engine) as tx:
        query = sa.select(attempt.c.exchange_octets).where(attempt.c.message == first.message)
        octets = tx.scalars(query.order_by(attempt.c.started_at)).all()
    assert octets[1] == 0, "an equal reply adds nothing"
    assert len({each.exchange for each in tried}) == 2


def test_the_last_one_stays_with_every_attempt_that_heard_it(engine):
    (claimed,) = sent(engine, 1)
    for number in range(15):
        claimed = postponed(engine, claimed, number + 1, heard(b"no %d" % number))
    for number in range(15, 18):
        claimed = postponed(engine, claimed, number + 1, heard(b"the same"))
    _, bodies = kept(engine, claimed.message)
    assert bodies[15:18] == [b"the same"] * 3
    claimed = postponed(engine, claimed, 19, heard(b"another"))
    _, bodies = kept(engine, claimed.message)
    assert bodies[15:19] == [None, None, None, b"another"]
    assert rows(engine) == 16


@settings(max_examples=at_most(150), deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([0, 100, BODY, BODY + 8000]), st.sampled_from([0, 30, 512])),
        max_size=120,
    )
)
def test_no_history_of_attempts_keeps_more_than_it_may(history):
    """The bound holds after each attempt; the first and the last are always kept, and no row is left behind."""
    held: dict[str, int] = {}
    attempts: list[str | None] = []
    written: Counter[str] = Counter()
    first = None
    for name, size, varying in history:
        made = KeptExchange(
            sha256=f"{name * 7919 + size:064x}"[::-1], head="h", body=b"x" * size, varying="v" * varying
        )
        keeping = choose_keeping(made, held, "m", "p")
        if keeping.displaced is not None:
            del held[keeping.displaced], written[keeping.displaced]
            attempts = [None if each == keeping.displaced else each for each in attempts]
        if keeping.row is not None:
            assert written[keeping.key] == 0, "no row is written twice"
            written[keeping.key] = keeping.row.size
        held[keeping.key] = held.get(keeping.key, 0) + keeping.octets
        attempts.append(keeping.key)
        first = first or keeping.key
        assert keeping.key in written
        assert sum(held.values()) <= MOST
        assert sum(written.values()) <= MOST
        assert len(held) <= FIRST + 1
        assert held.keys() == written.keys()
        assert attempts[0] == first


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from([10, BODY])), min_size=17, max_size=40))
def test_the_journal_keeps_no_more_than_it_may(engine, history):
    with transactions.write_transaction(engine) as tx:
        for name in ("attempt", "event", "fact", "delivery", "exchange", "message"):
            tx.execute(sa.text(f"DELETE FROM {name}"))
    (claimed,) = sent(engine, 1)
    for number, (name, size) in enumerate(history, 1):
        claimed = postponed(engine, claimed, number, heard(b"%02d" % name * (size // 2), 500, date=f"day {number}"))
    tried, bodies = kept(engine, claimed.message)
    tried, bodies = tried[:-1], bodies[:-1]  # the last one is under way
    assert bodies[0] == b"%02d" % history[0][0] * (history[0][1] // 2)
    assert bodies[-1] == b"%02d" % history[-1][0] * (history[-1][1] // 2)
    different = {each.exchange for each in tried} - {None}
    assert len(different) <= FIRST + 1
    assert rows(engine) == len(different)
    with transactions.read_transaction(engine) as tx:
        octets = tx.scalar(sa.select(sa.func.sum(sa.func.length(exchange.c.body) + sa.func.length(exchange.c.head))))
        varying = sum(len(json.dumps(dict(each.varying))) for each in tried if each.varying)
    assert octets + varying <= MOST
