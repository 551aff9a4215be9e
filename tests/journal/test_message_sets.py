"""Messages that are recorded as a set leave the same journal as messages recorded one by one."""

from collections import Counter
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.model import DeliveryState, Fact, MessageState, PacketKind, Problem
from hub.intake.endpoint import record_message_once
from hub.journal import events, message_sets, messages, replay_guard
from hub.journal import facts as journal_facts
from hub.journal.fact_reading import fact_rows
from hub.journal.message_sets import ReceivedMessage, record_message_sets
from hub.journal.queue import deliveries
from hub.journal.replay_guard import ReplayMark
from hub.store import transactions
from hub.store.batch_commit import StepCall, commit_steps
from hub.store.tables import content, delivery, message
from tests.databases import sqlite
from tests.examples import at_most
from tests.province import NOW, ROUTES, document, entry, status

LATER = NOW.replace(year=2027)


def letter(number, *recipients, document_id=None, **fields):
    """A document whose names no other has."""
    about = document_id or f"D{number}"
    return entry(
        attrs.evolve(document("H55.13", *recipients, document_id=about), code=f"{about}/VPUB"), number, **fields
    )


def once(*entries):
    return [StepCall(record_message_once, (ReceivedMessage(each, ROUTES, None),)) for each in entries]


def commit(engine, steps) -> list[Any]:
    """Do the steps in one commit."""
    return commit_steps(engine, steps)


def told(tx, name):
    """The events of a message, its deliveries by their recipient: their ids are drawn."""
    named = {made.id: made.recipient for made in deliveries.read_message_deliveries(tx, name)}
    said = events.read_message_events(tx, name)
    return [{**each, "delivery": named.get(str(each.get("delivery")))} for each in said]


def journal(engine):
    """All that a reader can see of a journal: by message, where order does not count."""
    with transactions.read_transaction(engine) as tx:
        rows = tx.execute(sa.select(message).order_by(message.c.id)).mappings().all()
        drawn = {"id", "message"}
        return {
            "messages": [dict(row) for row in rows],
            "events": [told(tx, row["id"]) for row in rows],
            "deliveries": [
                [
                    {key: value for key, value in row.items() if key not in drawn}
                    for row in tx.execute(
                        sa.select(delivery).where(delivery.c.message == one["id"]).order_by(delivery.c.recipient)
                    ).mappings()
                ]
                for one in rows
            ],
            "facts": sorted(fact_rows.read_facts(tx), key=fact_rows.make_fact_key),
            "contents": sorted(tuple(row) for row in tx.execute(sa.select(content))),
        }


def seen(tx, name):
    return [each["event"] for each in events.read_message_events(tx, name)]


def test_a_set_has_what_each_of_its_documents_brings(engine):
    brought = [letter(1, "H55.01", "G22.1"), letter(2, "H55.01"), letter(3, "H55.01")]
    results = commit(engine, once(*brought))
    assert [(result.id, result.receipt, result.problems) for result in results] == [
        (each.id, each.receipt, ()) for each in brought
    ]
    with transactions.read_transaction(engine) as tx:
        assert [each.recipient for each in deliveries.read_message_deliveries(tx, brought[0].id)] == ["H55.01", "G22.1"]
        assert tx.execute(sa.select(delivery.c.free, delivery.c.state)).all() == [(True, DeliveryState.WAITING)] * 4
        assert seen(tx, brought[0].id) == ["message-accepted", "delivery-waiting", "delivery-waiting", "fact-recorded"]
        assert len(list(fact_rows.read_facts(tx))) == 3


def test_what_is_not_new_is_left_to_be_recorded_alone(engine):
    """A repetition, a document already sent, one that a status or a recall was before, one refused, a call refused before."""
    spent = ReplayMark("c" * 64, LATER)
    refused = attrs.evolve(letter(20), problems=(Problem("packet-unsigned"),))
    with transactions.write_transaction(engine) as tx:
        for each in (letter(1), letter(2)):
            messages.record_message(tx, each, ROUTES)
        messages.record_message(tx, entry(status("03", document_id="D3"), 30, partner="vpub"), ROUTES)
        recall = attrs.evolve(document(document_id="R"), kind=PacketKind.RECALL, about="D4")
        messages.record_message(tx, entry(recall, 31), ROUTES)
        replay_guard.spend_call_mark(tx, spent, NOW)
    brought = [
        letter(1),
        letter(12, document_id="D2"),
        letter(13, document_id="D3"),
        letter(14, document_id="D4"),
        refused,
        letter(15),
        letter(16),
        letter(17),
        attrs.evolve(letter(18), message_id="m17"),
        letter(19, document_id="D16"),
    ]
    marks = {15: spent}
    with transactions.write_transaction(engine) as tx:
        results = record_message_sets(
            tx, [ReceivedMessage(each, ROUTES, marks.get(int(each.id[-3:]))) for each in brought]
        )
    assert [each.id for each, result in zip(brought, results, strict=True) if result] == [brought[6].id, brought[7].id]


def answer(number, about, code="03", **fields):
    """A status of the province office's document, by its recipient."""
    made = status(code, sender="H55.13", organ="H55.01", document_id=about)
    return entry(made, number, partner="sotttt", **fields)


def sent_by_office(number, **fields):
    made = document("H55.01", "H55.13", document_id=f"D{number}")
    return entry(attrs.evolve(made, code=f"D{number}/VPUB"), number, partner="vpub", **fields)


def test_statuses_move_their_deliveries_and_go_to_the_sender_in_a_set(engine):
    """In the lane of the document, behind what waits there; each is counted once."""
    documents = [sent_by_office(1), sent_by_office(2)]
    commit(engine, once(*documents))
    first = [answer(11, "D1"), answer(12, "D2", "02")]
    assert all(result.receipt for result in commit(engine, once(*first)))
    second = [answer(21, "D1", "06"), answer(22, "D2", "02")]  # the second says again what was said
    with transactions.write_transaction(engine) as tx:
        taken = record_message_sets(tx, [ReceivedMessage(each, ROUTES, None) for each in second])
        assert [result is not None for result in taken] == [True, False]
        tx.rollback()
    assert all(result.receipt for result in commit(engine, once(*second)))
    with transactions.read_transaction(engine) as tx:
        moved = [deliveries.read_message_deliveries(tx, each.id)[0].status for each in documents]
        assert moved == ["06", "02"]
        rows = tx.execute(
            sa.select(delivery.c.message, delivery.c.free, delivery.c.lane).where(delivery.c.recipient == "H55.01")
        )
        heads = {row.message[-2:]: (row.free, row.lane) for row in rows}
        lanes = {row.lane for row in tx.execute(sa.select(delivery.c.lane).where(delivery.c.recipient == "H55.13"))}
        assert {name: free for name, (free, _) in heads.items()} == {"11": True, "12": True, "21": False, "22": False}
        assert {lane for _, lane in heads.values()} == lanes
        counted = Counter(fact.milestone for fact in fact_rows.read_facts(tx))
        assert counted == {"sent": 2, "status-03": 1, "status-02": 1, "status-06": 1}
        assert seen(tx, first[0].id) == ["message-accepted", "delivery-waiting", "fact-recorded"]
        assert seen(tx, documents[0].id)[-2:] == ["status-moved", "status-moved"]


def test_what_a_status_needs_a_set_for_is_known_else_it_is_left(engine):
    """Of an unknown document, of the sender itself, the second of a document in one commit, an answer to a recall."""
    commit(engine, once(sent_by_office(1), sent_by_office(2), sent_by_office(3)))
    own = entry(status("13", sender="H55.01", organ="H55.01", document_id="D2"), 31, partner="vpub")
    brought = [answer(30, "D9"), own, answer(32, "D1"), answer(33, "D1", "06"), answer(34, "D3", "15")]
    with transactions.write_transaction(engine) as tx:
        results = record_message_sets(tx, [ReceivedMessage(each, ROUTES, None) for each in brought])
        tx.rollback()
    assert [each.id[-2:] for each, result in zip(brought, results, strict=True) if result] == ["32"]
    assert all(result.receipt for result in commit(engine, once(*brought)))


def test_a_set_is_short(engine, monkeypatch):
    """What is beyond its octets and its deliveries is recorded alone, within the budget of the commit."""
    brought = [letter(1, "H55.01", "G22.1"), letter(2), letter(3), letter(4, content=b"x" * 40)]
    for place, name, most, chosen in (
        (deliveries, "MOST_IN_SET", 3, [1, 2]),
        (message_sets, "MOST_OCTETS", 30, [1, 2, 3]),
    ):
        with monkeypatch.context() as bound, transactions.write_transaction(engine) as tx:
            bound.setattr(place, name, most)
            taken = record_message_sets(tx, [ReceivedMessage(each, ROUTES, None) for each in brought])
            assert [number for number, result in enumerate(taken, 1) if result] == chosen, name
            tx.rollback()


def test_it_takes_a_handful_of_statements(engine):
    asked: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    results = commit(engine, once(*(letter(number) for number in range(1, 65))))
    assert all(each.receipt for each in results)
    asked = [
        each for each in asked if each.startswith(("INSERT", "SELECT", "UPDATE", "WITH")) and "advisory" not in each
    ]
    assert Counter(each.split()[0] for each in asked) == {
        "WITH": 1,
        "INSERT": 7,
    }  # three events each: 192 are 64 thrice


def test_a_set_that_fails_is_done_one_by_one_and_only_the_culprit_fails(engine):
    culprit = attrs.evolve(letter(2), message_id=b"not a text" if engine.dialect.name == "sqlite" else "nul \x00")
    if engine.dialect.name == "sqlite":
        culprit = attrs.evolve(letter(2), received_at=NOW.replace(tzinfo=None))
    first, failed, last = commit(engine, once(letter(1), culprit, letter(3)))
    assert first.receipt
    assert last.receipt
    assert failed.check(ValueError, sa.exc.SQLAlchemyError)
    with transactions.read_transaction(engine) as tx:
        assert tx.scalars(sa.select(message.c.message_id).order_by(message.c.id)).all() == ["m1", "m3"]


def test_a_commit_that_is_repeated_records_nothing_twice(engine):
    brought = [letter(1), letter(2)]
    before, again = commit(engine, once(*brought)), commit(engine, once(*brought))
    assert before == again
    with transactions.read_transaction(engine) as tx:
        assert [seen(tx, each.id).count("message-accepted") for each in brought] == [1, 1]
        assert "message-repeated" not in seen(tx, brought[0].id)


def test_a_fact_that_is_there_already_is_not_counted_again(engine):
    """Its document came by another way: the set is given up, and each message is recorded alone."""
    old = letter(9)
    with transactions.write_transaction(engine) as tx:
        messages.record_message(tx, old, ROUTES)
        key = journal_facts.make_business_key("H55.13", "D2")
        journal_facts.record_facts(
            tx,
            [
                Fact(
                    unit="H55.13",
                    service="documents",
                    key=key,
                    milestone="sent",
                    at=NOW,
                    message=old.id,
                    counterpart="",
                )
            ],
        )
    first, second = commit(engine, once(letter(1), letter(2)))
    assert first.receipt
    assert second.receipt
    with transactions.read_transaction(engine) as tx:
        assert "fact-recorded" in seen(tx, first.id)
        assert "fact-recorded" not in seen(tx, second.id)


BROUGHT = st.lists(
    st.tuples(
        st.sampled_from(["document", "document", "document", "status", "status", "recall", "refused"]),
        st.integers(1, 6),  # the document
        st.integers(1, 8),  # the message id
        st.booleans(),
    ),
    min_size=2,
    max_size=9,
)


def make(place, kind, about, name, several):
    recipients = ("H55.01", "G22.1") if several else ("H55.01",)
    if kind == "status":
        made = entry(status("03" if several else "06", document_id=f"D{about}"), place, partner="vpub")
    elif kind == "recall":
        recall = attrs.evolve(document(document_id=f"R{place}"), kind=PacketKind.RECALL, about=f"D{about}")
        made = entry(attrs.evolve(recall, code=f"R{place}/VPUB"), place)
    else:
        made = letter(place, *recipients, document_id=f"D{about}")
    if kind == "refused":
        made = attrs.evolve(made, problems=(Problem("packet-unsigned"),), packet=None, receipt=None, routes=())
    return attrs.evolve(made, message_id=f"m{name}")


@pytest.mark.slow
@settings(max_examples=at_most(60), deadline=None)
@given(BROUGHT, st.integers(0, 4))
def test_any_messages_leave_the_journal_of_one_by_one(tmp_path_factory, brought, before):
    """Some come one by one, the others in one commit.  One by one they are recorded in the order of the commit: the set first."""
    entries = [make(place, *each) for place, each in enumerate(brought, 1)]
    place = tmp_path_factory.mktemp("sets")
    together, alone = (transactions.open_journal(sqlite(place / f"{name}.db"), pooled=False) for name in ("set", "one"))
    early, late = entries[:before], entries[before:]
    for each in early:
        for engine in (together, alone):
            commit(engine, once(each))
    with transactions.write_transaction(together) as tx:
        chosen = record_message_sets(tx, [ReceivedMessage(each, ROUTES, None) for each in late])
        tx.rollback()
    order = sorted(range(len(late)), key=lambda number: chosen[number] is None)
    results = commit(together, once(*late))
    one_by_one = {number: commit(alone, once(late[number]))[0] for number in order}
    assert results == [one_by_one[number] for number in range(len(late))]
    assert journal(together) == journal(alone)
    with transactions.read_transaction(together) as tx:
        query = sa.select(message.c.partner, message.c.message_id).where(message.c.state == MessageState.ACCEPTED)
        accepted = tx.execute(query).all()
    assert len(accepted) == len(set(accepted))
