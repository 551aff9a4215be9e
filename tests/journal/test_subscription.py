"""What the feed relies on, on each database: every fact has its event, the cursor only goes forward, one node has the turn."""

import json
from datetime import timedelta
from operator import itemgetter
from typing import Any, cast

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, Fact
from hub.feed import publisher
from hub.journal import events, facts, feed_cursor, messages
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import claims
from hub.journal.queue.claims import AttemptExchange
from hub.monitoring import metrics
from hub.store import transactions
from hub.store.leader_lock import LeaderLock
from hub.store.tables import event as table
from tests.conftest import not_applicable
from tests.province import NOW, ROUTES, document, entry, status
from tests.waiting import until


def told(tx):
    """Return the facts as the events tell of them."""
    for text in tx.scalars(sa.select(table.c.text).order_by(table.c.serial)):
        said = json.loads(text)
        if said.pop("event") == "fact-recorded":
            yield {"day": None, "amount": 1, "attributes": {}} | said


def known(tx):
    """Return the facts as the ledger has them."""
    for fact in fact_rows.read_facts(tx):
        row = attrs.asdict(fact)
        row |= {name: row[name] and row[name].isoformat() for name in ("due", "day")}
        yield row | {"at": row["at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "attributes": dict(row["attributes"])}


def test_every_fact_is_told_of_once_with_all_of_it(tx):
    sent = messages.record_message(tx, entry(document("H55.13", "H55.01", "G22.1")), ROUTES)
    messages.record_message(tx, entry(document("H55.13", "H55.01", "G22.1")), ROUTES)  # the same again
    (claim,) = claims.claim_deliveries(tx, "vpub", NOW, limit=1, holder="node", lease=timedelta(minutes=1))
    claims.settle_claim(
        tx,
        claims.EndedAttempt(
            claim,
            DeliveryEvent.ACCEPTED,
            AttemptVerdict(DeliveryState.DELIVERED),
            AttemptExchange(),
            NOW + timedelta(seconds=1),
        ),
    )
    messages.record_message(tx, entry(status("03"), 2, partner="vpub"), ROUTES)
    messages.record_message(tx, entry(status("03"), 3, partner="vpub"), ROUTES)  # another message with the same result
    assert [each["milestone"] for each in known(tx)] == ["sent", "status-03", "received"]
    by_key = itemgetter("unit", "milestone", "key")
    assert sorted(told(tx), key=by_key) == sorted(known(tx), key=by_key)
    assert {each["message"] for each in told(tx)} >= {sent.id}


def test_nothing_else_is_in_a_fact():
    fields = {field.name for field in attrs.fields(Fact)}
    fact = Fact(
        unit="u",
        service="s",
        key="k",
        milestone="m",
        at=NOW,
        message="1",
        day=NOW.date(),
        amount=7,
        attributes=(("channel", "2"),),
    )
    assert set(facts.make_fact_event(fact).body) | {"at", "message"} == fields
    plain = attrs.evolve(fact, day=None, amount=1, attributes=())
    assert set(facts.make_fact_event(plain).body) == fields - {"at", "message", "day", "amount", "attributes"}


def test_another_number_under_a_key_that_is_taken_changes_nothing_and_is_told(tx):
    message = messages.record_message(tx, entry(document("H55.13", "H55.01")), ROUTES).id
    fact = Fact(unit="H55.13", service="mail", key="2026-11-24", milestone="sent", at=NOW, message=message, amount=7)
    assert facts.record_facts(tx, [fact]) == 1
    assert facts.record_facts(tx, [fact]) == 0
    assert facts.record_facts(tx, [attrs.evolve(fact, amount=9)]) == 0
    (held,) = [each for each in fact_rows.read_facts(tx) if each.service == "mail"]
    assert held.amount == 7
    texts = [json.loads(text) for text in tx.scalars(sa.select(table.c.text).order_by(table.c.serial))]
    (told,) = [each for each in texts if each["event"] == "fact-differs"]
    assert (told["amount"], told["held"], told["milestone"]) == (9, 7, "sent")


def test_a_subscription_begins_with_the_first_event_and_only_goes_forward(tx):
    assert feed_cursor.read_feed_position(tx, "a") == 0
    for number in (3, 2, 7):
        feed_cursor.advance_feed_cursor(tx, "a", number)
    assert (feed_cursor.read_feed_position(tx, "a"), feed_cursor.read_feed_position(tx, "b")) == (7, 0)


def test_the_lag_counts_what_has_its_number_and_what_waits_for_it(tx):
    assert feed_cursor.read_feed_lag(tx, "a") == feed_cursor.FeedLag(0, 0, None)
    for number in range(2):
        messages.record_message(
            tx, entry(document(document_id=f"D{number}"), number, at=NOW + timedelta(minutes=number)), ROUTES
        )
    every = feed_cursor.read_feed_lag(tx, "a").events
    assert feed_cursor.read_feed_lag(tx, "a").oldest == NOW
    assert events.chain_events(tx, every // 2) == every // 2
    assert feed_cursor.read_feed_lag(tx, "a") == feed_cursor.FeedLag(0, every, NOW)
    feed_cursor.advance_feed_cursor(tx, "a", every // 2)
    assert feed_cursor.read_feed_lag(tx, "a") == feed_cursor.FeedLag(
        every // 2, every - every // 2, NOW + timedelta(minutes=1)
    )
    events.chain_events(tx)
    feed_cursor.advance_feed_cursor(tx, "a", every)
    assert feed_cursor.read_feed_lag(tx, "a") == feed_cursor.FeedLag(every, 0, None)


def test_what_follows_is_in_the_order_of_the_numbers_and_no_more_than_asked_for(tx):
    messages.record_message(tx, entry(document("H55.13", "H55.01", "G22.1")), ROUTES)
    assert publisher.read_next_publications(tx, "a", "urn:x", 10) == []  # nothing has its number yet
    count = events.chain_events(tx)
    assert [each.number for each in publisher.read_next_publications(tx, "a", "urn:x", 3)] == [1, 2, 3]
    feed_cursor.advance_feed_cursor(tx, "a", 3)
    assert [each.number for each in publisher.read_next_publications(tx, "a", "urn:x", 100)] == list(
        range(4, count + 1)
    )


def test_the_metrics_count_what_did_not_arrive(tx):
    messages.record_message(tx, entry(document("H55.13", "H55.01", "G22.1")), ROUTES)
    found = {each.name: each.samples for each in metrics.measure_journal(tx, NOW + timedelta(seconds=5), "a")}
    states = {(s.labels["partner"], s.labels["state"]): s.value for s in found["lienthong_deliveries"]}
    assert states == {("vpub", "waiting"): 1, ("vpcp", "waiting"): 1}
    assert {s.value for s in found["lienthong_deliveries_oldest_age_seconds"]} == {5.0}
    (unpublished,) = found["lienthong_feed_unpublished_events"]
    (age,) = found["lienthong_feed_unpublished_oldest_age_seconds"]
    assert (unpublished.value, age.value) == (feed_cursor.read_feed_lag(tx, "a").events, 5.0)
    assert not [each for each in metrics.measure_journal(tx, NOW, None) if "feed" in each.name]


@pytest.fixture
def nodes(journal_url):
    """Two nodes with their own connections."""
    engines = [transactions.open_journal(journal_url) for _ in range(2)]
    yield [LeaderLock(engine, 42, cast("Any", None)) for engine in engines]
    for engine in engines:
        engine.dispose()


def comes(node):
    """Wait until the turn comes to *node*: the server ends another's session in its own time."""
    return until(node.try_lock_blocking, "the turn")


def test_one_node_has_the_turn_until_it_gives_it_up(nodes):
    here, there = nodes
    if here._engine.dialect.name == "sqlite":
        assert here.try_lock().result is True
        return
    assert [
        here.try_lock_blocking(),
        there.try_lock_blocking(),
        here.try_lock_blocking(),
        there.try_lock_blocking(),
    ] == [True, False, True, False]
    here.release()
    assert comes(there)
    assert not here.try_lock_blocking()
    there.release()


def test_a_node_that_lost_its_connection_lost_its_turn(nodes, engine):
    if engine.dialect.name == "sqlite":
        not_applicable("SQLite has one node")
    here, there = nodes
    assert here.try_lock_blocking()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42"
        ).all()
    assert comes(there)
    with pytest.raises(sa.exc.DBAPIError):
        here.try_lock_blocking()
    assert not here.try_lock_blocking()
    there.release()
    assert comes(here)
    here.release()
