"""Where the time of a delivery went, from its events and attempts; and the messages that a message is linked to."""

from datetime import timedelta
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Delivery, DeliveryState, PacketKind, Problem
from hub.journal import events, lineage, messages
from hub.journal.lineage import Relation
from hub.journal.queue import exchanges
from hub.journal.queue.exchanges import AttemptRecord
from hub.journal.queue.timeline import list_delivery_stages
from hub.journal.searching import message_reading
from hub.store import transactions
from tests import databases
from tests.province import NOW, ROUTES, document, entry, status


def at(seconds: float):
    return NOW + timedelta(seconds=seconds)


MADE = Delivery(
    id="d", message="m", recipient="H55.01", partner="vpub", state=DeliveryState.DEAD, attempts=2, due=NOW, since=NOW
)


def told(name, seconds, delivery="d", **body):
    return {"at": at(seconds).isoformat(), "event": name, "delivery": delivery, **body}


def tried(number, begin, end, outcome, *, recipients=("H55.01",), partner="vpub"):
    return AttemptRecord(
        message="m",
        id=f"a{number}",
        partner=partner,
        number=number,
        recipients=recipients,
        started_at=at(begin),
        ended_at=None if end is None else at(end),
        outcome=outcome,
        detail=outcome and f"said {number}",
        request_sha256=None,
        reply_sha256=None,
        reply_status=None,
        exchange=None,
        head=None,
        varying={},
        call_ms=None,
    )


def stages(happened, attempts=()):
    found = list_delivery_stages(MADE, happened, list(attempts))
    return [
        (each.state.value, None if each.duration is None else each.duration.total_seconds(), each.why) for each in found
    ]


def test_attempts_and_waits_follow_one_another_until_it_dies():
    happened = [
        told("delivery-waiting", 0),
        told("delivery-dead", 30, reason="given up: said 2"),
        told("delivery-waiting", 1, "other"),
    ]
    attempts = [
        tried(1, 5, 7, "unavailable"),
        tried(2, 20, 30, "unavailable"),
        tried(9, 1, 2, "accepted", recipients=("H55.02",)),
        tried(9, 1, 2, "accepted", partner="other"),
    ]
    assert stages(happened, attempts) == [
        ("waiting", 5, None),
        ("sending", 2, "said 1"),
        ("waiting", 13, "said 1"),
        ("sending", 10, "said 2"),
        ("dead", None, "given up: said 2"),
    ]


def test_what_is_under_way_still_is():
    assert stages([told("delivery-waiting", 0)], [tried(1, 5, None, None)])[-1] == ("sending", None, None)


def test_a_replay_begins_anew_and_says_who_and_why():
    happened = [
        told("delivery-waiting", 0),
        told("delivery-dead", 10, reason="refused: no"),
        told("delivery-replayed", 70, by="an", reason="mended"),
    ]
    assert stages(happened)[1:] == [("dead", 60, "refused: no"), ("waiting", None, "an: mended")]


def test_what_is_fetched_is_held_fetched_and_confirmed():
    happened = [told("delivery-held", 0), told("delivery-fetched", 4), told("delivery-delivered", 9)]
    assert stages(happened) == [("held", 4, None), ("fetched", 5, None), ("delivered", None, None)]


# --- links ----------------------------------------------------------------------------------------------------------------


def links(engine, made):
    with transactions.read_transaction(engine) as tx:
        found = message_reading.read_message(tx, made.id)
        return {
            (each.relation, each.id)
            for each in lineage.read_message_links(tx, found, events.read_message_events(tx, made.id))
        }


def test_links_lead_both_ways(engine):
    letter = entry(document(), 1)
    answer = entry(status("03"), 2, partner="vpub")
    recall = entry(attrs.evolve(document(document_id="R1"), kind=PacketKind.RECALL, about="D1"), 3)
    again = entry(document(), 4)
    wrong = entry(document(document_id="D9"), 5, message_id="m1", problems=(Problem("unit-unknown", "x"),))
    other = entry(attrs.evolve(document(document_id="D7"), code="9/X"), 6)
    with transactions.write_transaction(engine) as tx:
        for each in (letter, answer, recall, again, wrong, other):
            messages.record_message(tx, each, ROUTES)
    assert links(engine, letter) == {
        (Relation.ANSWERED_BY, answer.id),
        (Relation.CHANGED_BY, recall.id),
        (Relation.SAME_DOCUMENT, again.id),
        (Relation.SAME_ID, wrong.id),
    }
    assert links(engine, answer) == {(Relation.ANSWERS, letter.id)}
    assert links(engine, recall) == {(Relation.CHANGES, letter.id), (Relation.CHANGES, again.id)}
    assert (Relation.SAME_ID, letter.id) in links(engine, wrong)
    assert links(engine, other) == set()


def test_links_are_found_by_indexes_on_sqlite(tmp_path):
    """Whatever the size of the journal, no table is read from its beginning to its end."""
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    transactions.upgrade_schema(engine)
    letter, answer = entry(document(), 1), entry(status("03"), 2, partner="vpub")
    recall = entry(attrs.evolve(document(document_id="R1"), kind=PacketKind.RECALL, about="D1"), 3)
    with transactions.write_transaction(engine) as tx:
        for each in (letter, answer, recall):
            messages.record_message(tx, each, ROUTES)
    asked: list[tuple[str, Any]] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *said: asked.append((said[2], said[3])))
    for each in (letter, answer, recall):
        assert links(engine, each)
    with transactions.read_transaction(engine) as tx:
        exchanges.read_attempts(tx, letter.id)
    queries = [(sql, values) for sql, values in asked if sql.startswith("SELECT")]
    assert len(queries) > 10
    with engine.connect() as connection:
        for sql, values in queries:
            ways = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
            assert not [way for way in ways if way.startswith("SCAN")], (sql, ways)
