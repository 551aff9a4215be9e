"""How facts are written: many in few statements, the first of a key wins, whoever writes at the same time."""

import threading
from datetime import UTC, date, datetime

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.model import Fact
from hub.journal import duties, events
from hub.journal import facts as journal_facts
from hub.journal.fact_reading import fact_rows
from hub.report.counting.evidence import MEMBERS
from hub.store import transactions
from hub.store.tables import fact as table
from hub.store.tables import message
from tests.waiting import PATIENCE

AT = datetime(2026, 11, 27, 1, tzinfo=UTC)
FIGURE = Fact(unit="H55.01", service="mail", key="2026-11-26", milestone="sent-internal", at=AT, message="m1")
OPENED = Fact(
    unit="H55.01",
    service="incidents",
    key='["1"]',
    milestone="opened",
    at=AT,
    message="m1",
    attributes=(("time", "2026-11-26T00:00:00Z"),),
)


def figures(count, message="m1"):
    return [
        attrs.evolve(FIGURE, unit=f"H55.{number:04}", message=message, day=date(2026, 11, 26), amount=number)
        for number in range(count)
    ]


@pytest.fixture(autouse=True)
def messages(engine):
    with transactions.write_transaction(engine) as tx:
        for name in ("m1", "m2"):
            row = {"id": name, "partner": "p", "message_id": name, "service": "mail", "kind": "usage"}
            kept = {"state": "accepted", "received_at": AT, "sha256": "0", "size": 1}
            transactions.insert_missing_rows(tx, message, [row | kept])


def told(tx):
    return [
        (each["event"], each["unit"], each.get("amount", 1), each.get("held"))
        for name in ("m1", "m2")
        for each in events.read_message_events(tx, name)
    ]


def test_many_facts_take_a_few_statements(engine):
    sent: list[str] = []
    with transactions.write_transaction(engine) as tx:
        sa.event.listen(tx, "before_cursor_execute", lambda _c, _u, statement, *_: sent.append(statement))
        assert journal_facts.record_facts(tx, figures(2000)) == 2000
        assert len(list(fact_rows.read_facts(tx))) == 2000
    assert len(sent) < 40  # 64 events each


def test_of_facts_under_one_key_the_first_counts_and_another_number_is_told_of(tx):
    held, twin, other = FIGURE, attrs.evolve(FIGURE, amount=7), attrs.evolve(FIGURE, unit="H55.02", amount=3)
    assert journal_facts.record_facts(tx, [held]) == 1
    again = attrs.evolve(other, amount=4)
    assert journal_facts.record_facts(tx, [twin, other, attrs.evolve(FIGURE), again, other]) == 1
    assert {fact.unit: fact.amount for fact in fact_rows.read_facts(tx)} == {"H55.01": 1, "H55.02": 3}
    assert told(tx) == [
        ("fact-recorded", "H55.01", 1, None),
        ("fact-recorded", "H55.02", 3, None),
        ("fact-differs", "H55.01", 7, 1),
        ("fact-differs", "H55.02", 4, 3),
    ]


def test_events_of_facts_stand_in_the_order_in_which_the_message_tells_of_them(tx):
    backwards = figures(300)[::-1]
    journal_facts.record_facts(tx, backwards)
    assert [unit for _, unit, _, _ in told(tx)] == [fact.unit for fact in backwards]


def test_documents_may_say_the_same_twice_and_nobody_is_told(tx):
    journal_facts.record_facts(
        tx, [attrs.evolve(FIGURE, service="documents"), attrs.evolve(FIGURE, service="documents", amount=2)]
    )
    assert [name for name, *_ in told(tx)] == ["fact-recorded"]


@pytest.mark.parametrize("apart", [True, False], ids=["one after the other", "in one message"])
def test_how_long_an_incident_was_open_is_known_however_its_ends_come(tx, apart):
    closed = attrs.evolve(OPENED, milestone="closed", message="m2", attributes=(("time", "2026-11-26T00:01:00Z"),))
    for facts in ([closed], [OPENED]) if apart else ([closed, OPENED],):
        duties.write_paired_facts(tx, facts)
    assert {fact.milestone: fact.amount for fact in fact_rows.read_facts(tx)} == {
        "opened": 1,
        "closed": 1,
        "closing-seconds": 60,
    }


def test_two_transactions_with_the_same_facts_in_other_orders_wait_for_each_other_and_never_in_a_circle(engine):
    """On PostgreSQL a deadlock would end one of the two; on SQLite there is one writer."""
    both_begin = threading.Barrier(2)
    done: list[int] = []
    failed: list[Exception] = []

    def write(facts):
        try:
            both_begin.wait(PATIENCE)
            with transactions.write_transaction(engine) as tx:
                done.append(journal_facts.record_facts(tx, facts))
        except sa.exc.DBAPIError as error:
            failed.append(error)

    facts = figures(2000)
    both = [threading.Thread(target=write, args=(each,)) for each in (facts, figures(2000, "m2")[::-1])]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert not failed
    assert sum(done) == 2000


def test_a_row_of_the_journal_has_the_members_of_a_line_of_evidence():
    """One function makes facts of both (`read_fact_members`)."""
    assert tuple(table.columns.keys()) == MEMBERS
