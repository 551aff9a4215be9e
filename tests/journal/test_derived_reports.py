"""A form that takes its numbers from others: the same numbers as theirs, opening into the same facts, closed when they are."""

from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.local_time import HANOI
from hub.domain.model import Fact, Unit
from hub.journal import unit_registry
from hub.report.form.book import read_shipped_book
from hub.store import transactions
from hub.store.tables import fact as facts_table
from hub.store.tables import message
from hub.workload import closing, closing_plan, unit_report
from tests.opened import evidence_of, facts_behind, lines_of

AFTER = datetime(2027, 6, 1, tzinfo=UTC)
FORMS = read_shipped_book().forms


def told(unit: str, service: str, key: str, milestone: str, day: str, **rest: Any) -> Fact:
    at = datetime.fromisoformat(f"{day} 12:00").replace(tzinfo=HANOI).astimezone(UTC)
    mine = {"day": date.fromisoformat(day)} if service != "documents" else {}
    more: dict[str, Any] = {"message": f"{unit} {key} {milestone}", **mine, **rest}
    return Fact(unit=unit, service=service, key=key, milestone=milestone, at=at, **more)


FACTS = [
    told("A.1", "dossiers", "1", "received", "2026-11-20", due=date(2026, 11, 27), attributes=(("channel", "online"),)),
    told("A.1", "dossiers", "1", "finished", "2026-11-25", due=date(2026, 11, 27), attributes=(("outcome", "done"),)),
    told("A.1", "dossiers", "2", "received", "2026-11-20", due=date(2026, 11, 27)),
    told("A.1", "dossiers", "2", "finished", "2026-11-30", due=date(2026, 11, 27), attributes=(("outcome", "done"),)),
    told("A.2", "dossiers", "3", "received", "2026-11-21", due=date(2026, 12, 1)),
    told("A.2", "dossiers", "3", "synced", "2026-11-21"),
    told("A.1", "documents", "4", "sent", "2026-11-20", signature="valid"),
    told("A.2", "documents", "5", "sent", "2026-11-20", signature="unsigned"),
    told("A.2", "documents", "6", "sent", "2026-11-21", signature="unsigned"),
    told("A.2", "mail", "2026-11-20", "accounts-issued", "2026-11-20", amount=8),
    told("A.2", "mail", "2026-11-20", "accounts-active", "2026-11-20", amount=5),
]


@pytest.fixture
def asked(tx: transactions.Transaction) -> transactions.Transaction:
    for each in FACTS:
        row = {"id": each.message, "partner": "p", "message_id": each.message, "service": each.service, "kind": "k"}
        more = {"state": "accepted", "received_at": each.at, "sha256": "0" * 64, "size": 1}
        transactions.insert_missing_rows(tx, message, [row | more])
    tx.execute(sa.insert(facts_table), [attrs.asdict(each) for each in FACTS])
    units = [Unit("A", "UBND tỉnh"), Unit("A.1", "Sở Một", "A"), Unit("A.2", "Xã Hai", "A")]
    unit_registry.write_registry_units(tx, units)
    return tx


def texts(numbers: Any, *keys: str) -> list[str]:
    return [str(numbers[key]) for key in keys]


def test_the_summary_has_one_row_a_unit_over_dossiers_documents_and_mail(asked):
    report = unit_report.resolve_report_sources(asked, "A", "2026-12", "tonghop").count(AFTER)
    keys = ("dossiers_received", "dossiers_settled", "dossiers_in_time", "documents_signed_share", "accounts_share")
    by_unit = {row.unit: texts(row.numbers, *keys) for row in report.rows}
    assert by_unit == {
        "A": ["0", "0", "None", "None", "None"],
        "A.1": ["2", "2", "50.00", "100.00", "None"],
        "A.2": ["1", "0", "None", "0.00", "62.50"],
    }
    assert texts(report.total.numbers, *keys) == ["3", "2", "50.00", "33.33", "62.50"]
    for row in report.rows:
        assert row.numbers["documents_sent"] == {"A": 0, "A.1": 1, "A.2": 2}[row.unit]


def test_the_indicators_are_ratios_of_what_the_facts_show(asked):
    total = unit_report.resolve_report_sources(asked, "A", "2026-12", "qd766").count(AFTER).total.numbers
    assert texts(total, "sync_ratio", "on_time_ratio", "online_ratio", "online_score", "overdue_ratio") == [
        "33.33",  # 3 of 1, 2 and 3
        "33.33",  # 1 was in time; 2 was late, 3 is overdue
        "33.33",
        "66.67",  # of the 50 % at which points are full
        "66.67",
    ]


def test_a_taken_number_opens_into_the_facts_of_the_other_form_and_a_ratio_into_those_of_both_sides(asked):
    summary = unit_report.resolve_report_sources(asked, "A", "2026-12", "tonghop")
    base = unit_report.resolve_report_sources(asked, "A", "2026-12", "ii06a")
    assert facts_behind(summary, "dossiers_settled", AFTER) == facts_behind(base, "settled", AFTER)
    assert {each.key for each in facts_behind(summary, "dossiers_in_time", AFTER)} == {"1", "2"}
    assert {each.key for each in facts_behind(summary, "documents_signed_share", AFTER)} == {"4", "5", "6"}
    lines = lines_of(summary, AFTER)
    assert {(each.fact.service, each.fact.key) for each in lines} >= {("documents", "4"), ("mail", "2026-11-20")}
    assert len({(each.fact.unit, each.fact.service, each.fact.key, each.fact.milestone) for each in lines}) == len(
        lines
    )


def test_it_is_closed_when_every_form_that_it_takes_from_is(asked):
    before = unit_report.resolve_report_sources(asked, "A", "2026-12", "tonghop")
    assert not before.complete
    for name in ("ii06a", "edoc", "mail"):
        while (found := closing_plan.find_next_month_to_close(asked, read_shipped_book(), name)) and found[
            1
        ].text <= "2026-12":
            closing.close_month(asked, read_shipped_book(), name, found[1], AFTER, "an")
    after = unit_report.resolve_report_sources(asked, "A", "2026-12", "tonghop")
    assert after.complete
    assert after.count(AFTER).rows == before.count(AFTER).rows
    assert evidence_of(after, AFTER)[1] == ()
