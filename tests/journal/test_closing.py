"""Months are closed one after the other, each from what it needs only; what was closed stays as it is, but for a revision that says why."""

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from itertools import pairwise
from typing import Any
from unittest import mock

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain import legal_texts
from hub.domain.ids import make_id
from hub.domain.local_time import HANOI
from hub.domain.model import Fact
from hub.report.counting import closed, counting, evidence
from hub.report.counting.counting import Cells
from hub.report.counting.evidence import EvidenceLine
from hub.report.counting.posting import ClosedMonths
from hub.report.form.book import Book, read_shipped_book
from hub.report.form.column import MILESTONES, ColumnKind
from hub.report.form.form import Form, state_basis
from hub.report.form.period import CutOff, Cuts, Period, parse_period
from hub.store import transactions
from hub.store.tables import carried, event, message
from hub.store.tables import fact as facts_table
from hub.workload import attestations, closing, closing_plan, quick_count, row_revisions, unit_report
from hub.workload import facts_behind as facts_behind_of
from hub.workload.closing import CarriedKeys, ClosingElsewhere, MonthDraft
from hub.workload.closing_plan import OutOfTurn, TooEarly
from hub.workload.facts_behind import ReadEvidence, can_page, list_facts_behind, open_evidence_to_list, read_facts_page
from hub.workload.quick_count import can_count_quickly
from hub.workload.report_sources import ReportSources
from tests import databases
from tests.conftest import DATABASES
from tests.opened import evidence_of, facts_behind, lines_of

BOOK = read_shipped_book()
FORMS = BOOK.forms
NAMES = closing_plan.list_counting_forms(FORMS)
MONTHS = [parse_period(text) for text in ("2026-10", "2026-11", "2026-12", "2027-01")]
BEGIN = parse_period("2026-10").start
UNITS = ("A", "B", "C")
AFTER = datetime(2027, 6, 1, tzinfo=UTC)


@cache
def form_of(name: str) -> Form:
    return next(form for form in FORMS if form.id == name)


@cache
def turned(name: str) -> Form:
    """Return the form with the other rule for late facts."""
    form = form_of(name)
    text = form.written.replace('late = "revision"', "").replace(
        "\n\n[title]", '\nlate = "revision"\n\n[title]' * (form.late == "next") or "\n\n[title]"
    )
    return attestations.read_closed_form(text)


def on(text: str) -> datetime:
    return datetime.fromisoformat(text if " " in text else f"{text} 12:00").replace(tzinfo=HANOI).astimezone(UTC)


def put(tx: transactions.Transaction, *facts: Fact) -> None:
    """Write *facts*, and a message for each that has none yet."""
    for fact in facts:
        row = {"id": fact.message, "partner": "p", "message_id": fact.message, "service": fact.service, "kind": "k"}
        more = {"state": "accepted", "received_at": fact.at, "sha256": "0" * 64, "size": 1}
        transactions.insert_missing_rows(tx, message, [row | more])
    tx.execute(sa.insert(facts_table), [attrs.asdict(fact) for fact in facts])


def told(tx: transactions.Transaction, name: str) -> list[dict[str, object]]:
    texts = tx.scalars(sa.select(event.c.text).order_by(event.c.serial))
    return [said for said in map(json.loads, texts) if said["event"] == name]


def dossier(key: str, milestone: str, day: str, told_at: str, **rest: Any) -> Fact:
    more: dict[str, Any] = {"unit": "A", "message": f"{key} {milestone}", **rest}
    return Fact(service="dossiers", key=key, milestone=milestone, day=date.fromisoformat(day), at=on(told_at), **more)


def in_steps(tx: transactions.Transaction, book: Book, form: str, period: Period, at: datetime, most: int = 0) -> None:
    """Close a month in the smallest steps; with *most*, take only that many and leave the rest."""
    token = make_id(AFTER)
    plan = closing.begin_closing(tx, book, form, period, at, token, takes_over=True)
    assert plan is not None
    steps, found, taken = closing.close_in_steps(plan, lambda: at, "an"), None, 0
    while not most or taken < most:
        try:
            step = steps.send(found)
        except StopIteration:
            return
        if most and step.run is closing.settle_closing:
            return
        smallest = {"seconds": 0.0} if step.run is closing.count_some_units else {}
        found = step.run(tx, *step.arguments, **smallest)
        taken += 1


# --- What a closing is ---------------------------------------------------------------------------------------------------


def test_a_month_is_closed_when_it_is_over_and_a_grace_has_passed_and_never_before_the_one_before_it(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"))
    with pytest.raises(TooEarly) as early:
        closing.close_month(tx, BOOK, "dossiers", MONTHS[1], MONTHS[1].end + timedelta(seconds=119), "an")
    assert early.value.args == (MONTHS[1].end + timedelta(minutes=2),)
    with pytest.raises(OutOfTurn) as turn:
        closing.close_month(tx, BOOK, "dossiers", MONTHS[2], AFTER, "an")
    assert turn.value.args == (MONTHS[1],)
    done = closing.close_month(tx, BOOK, "dossiers", MONTHS[1], MONTHS[1].end + timedelta(minutes=2), "an")
    assert done.period == MONTHS[1]
    assert done.form == state_basis(form_of("dossiers"), MONTHS[1].last)
    (said,) = told(tx, "period-closed")
    assert (said["form"], said["period"], said["units"], said["facts"]) == ("dossiers", "2026-11", 1, 1)
    assert said["sha256"] == done.sha256


def test_where_nothing_was_recorded_nothing_is_closed(tx):
    with pytest.raises(OutOfTurn) as turn:
        closing.close_month(tx, BOOK, "edoc", MONTHS[0], AFTER, "an")
    assert turn.value.args == (None,)


def test_a_closing_that_another_has_made_meanwhile_is_not_made_again(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"))
    draft = closing.count_month_draft(tx, BOOK, "dossiers", MONTHS[1], on("2026-11-15"))
    first = closing.settle_closing(tx, draft, "an")
    assert (
        closing.settle_closing(
            tx, attrs.evolve(draft, plan=attrs.evolve(draft.plan, closed_at=on("2026-11-16"))), "binh"
        )
        == first
    )
    assert len(told(tx, "period-closed")) == 1
    following = closing.count_month_draft(tx, BOOK, "dossiers", MONTHS[2], on("2026-12-15"))
    closing.settle_closing(tx, following, "an")
    with pytest.raises(OutOfTurn):
        closing.settle_closing(
            tx, attrs.evolve(following, plan=attrs.evolve(following.plan, period=parse_period("2027-01"))), "an"
        )


def test_a_closing_in_steps_stores_what_a_closing_at_once_stores(tx, monkeypatch):
    monkeypatch.setattr(closing, "KEYS", 2)
    for number in range(7):
        put(tx, dossier(str(number), "received", "2026-10-20", f"2026-10-2{number}", unit=UNITS[number % 2]))
    around = tx.begin_nested()
    at_once = closing.close_month(tx, BOOK, "dossiers", MONTHS[1], on("2026-11-15"), "an")
    keys = sorted(map(tuple, tx.execute(sa.select(carried))))
    around.rollback()
    in_steps(tx, BOOK, "dossiers", MONTHS[1], on("2026-11-15"))
    assert closing_plan.read_closings(tx, "dossiers") == (at_once,)
    assert (len(keys), sorted(map(tuple, tx.execute(sa.select(carried))))) == (7, keys)


def test_keys_that_an_abandoned_closing_has_stored_change_no_number_and_the_next_one_corrects_them(tx):
    put(tx, *(dossier(key, "received", "2026-10-20", "2026-10-20") for key in "12"))
    in_steps(tx, BOOK, "dossiers", MONTHS[1], on("2026-11-15"))
    asked = unit_report.resolve_report_sources(tx, "A", "2026-11", "dossiers")
    numbers = asked.count(AFTER).total
    put(tx, dossier("1", "finished", "2026-11-20", "2026-11-20"))
    in_steps(tx, BOOK, "dossiers", MONTHS[2], on("2026-12-15"), most=3)
    assert tx.scalar(sa.select(carried.c.until).where(carried.c.key == "1")) == "2026-12", "it had begun to store"
    assert asked.count(AFTER).total == numbers
    put(tx, dossier("2", "finished", "2026-11-21", "2026-11-21"))
    in_steps(tx, BOOK, "dossiers", MONTHS[2], on("2026-12-15"))
    assert set(tx.scalars(sa.select(carried.c.until))) == {"2026-12"}
    assert list(row_revisions.find_differing_units(tx, "dossiers", "2026-12")) == []


def test_of_two_closings_of_a_form_only_the_one_that_was_begun_last_writes(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"))
    at = on("2026-11-17")
    first = closing.begin_closing(tx, BOOK, "dossiers", None, at, "first")
    assert first is not None
    with pytest.raises(ClosingElsewhere):
        closing.begin_closing(tx, BOOK, "dossiers", None, at, "second")
    with pytest.raises(OutOfTurn):
        closing.close_month(tx, BOOK, "dossiers", MONTHS[1], at, "an")
    second = closing.begin_closing(tx, BOOK, "dossiers", None, at + closing.LEASE, "second")
    assert second is not None
    with pytest.raises(OutOfTurn):
        closing.carry_keys(tx, first, CarriedKeys(begun='[["A","1"]]'), at)
    with pytest.raises(OutOfTurn):
        closing.settle_closing(tx, MonthDraft(plan=first, rows=()), "an")
    closing.carry_keys(tx, second, CarriedKeys(begun='[["A","1"]]'), at)
    closing.carry_keys(tx, second, CarriedKeys(begun='[["A","1"]]'), at)
    assert tx.scalars(sa.select(carried.c.key)).all() == ["1"], "a step may be repeated"
    closing.settle_closing(tx, MonthDraft(plan=second, rows=()), "an")
    with pytest.raises(OutOfTurn):
        closing.carry_keys(tx, second, CarriedKeys(ended='[["A","1"]]'), at)
    assert tx.scalar(sa.select(carried.c.until)) is None


def test_a_closing_that_was_abandoned_does_not_keep_the_next_one_waiting(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"))
    plan = closing.begin_closing(tx, BOOK, "dossiers", None, on("2026-11-17"), "first")
    assert plan is not None
    closing.abandon_closing(tx, plan)
    assert closing.begin_closing(tx, BOOK, "dossiers", None, on("2026-11-17"), "second") is not None


def test_a_late_fact_is_posted_to_the_first_month_open_when_it_was_recorded_and_its_own_day_still_decides(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20", due=date(2026, 11, 10)))
    closing.close_month(tx, BOOK, "dossiers", MONTHS[1], on("2026-11-15"), "an")
    put(tx, dossier("1", "finished", "2026-11-09", "2026-11-20"))
    closing.close_month(tx, BOOK, "dossiers", MONTHS[2], on("2026-12-15"), "an")
    november, december = (
        unit_report.resolve_report_sources(tx, "A", text, "dossiers").count(AFTER).total.numbers
        for text in ("2026-11", "2026-12")
    )
    assert (november["pending"], november["finished"]) == (1, 0)
    assert (december["carried_over"], december["finished_early"], december["pending"]) == (1, 1, 0)


def test_a_closed_report_says_the_same_for_ever_and_opens_into_the_same_facts(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"), dossier("2", "received", "2026-10-21", "2026-10-21"))
    closing.close_month(tx, BOOK, "dossiers", MONTHS[1], on("2026-11-15"), "an")
    asked = unit_report.resolve_report_sources(tx, "A", "2026-11", "dossiers")
    before, lines = asked.count(AFTER), lines_of(asked, AFTER)
    assert asked.closed is not None
    assert asked.complete
    put(tx, dossier("3", "received", "2026-10-22", "2026-11-20"))
    again = unit_report.resolve_report_sources(tx, "A", "2026-11", "dossiers")
    said = attrs.evolve(again.count(AFTER), marks=before.marks)  # these say that a fact came late, and where it counts
    assert (said, lines_of(again, AFTER)) == (before, lines)
    assert evidence_of(again, AFTER) == (lines, ())
    assert again.revision == 1
    assert before.made_at == on("2026-11-15")


def test_evidence_that_is_not_what_was_closed_is_told(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"), dossier("2", "received", "2026-10-21", "2026-10-21"))
    closing.close_month(tx, BOOK, "dossiers", MONTHS[1], on("2026-11-15"), "an")
    tx.execute(sa.update(facts_table).where(facts_table.c.key == "1").values(counterpart="somebody else"))
    _, wrong = evidence_of(unit_report.resolve_report_sources(tx, "A", "2026-11", "dossiers"), AFTER)
    assert [(each.period, each.unit) for each in wrong] == [("2026-11", "A")]


def test_closing_again_finds_nothing_new_and_writes_nothing(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"))
    closing.close_month(tx, BOOK, "dossiers", MONTHS[1], on("2026-11-15"), "an")
    assert list(row_revisions.find_differing_units(tx, "dossiers", "2026-11")) == []
    assert row_revisions.revise_unit(tx, "dossiers", "2026-11", "A", reason="x", by="an", now=AFTER) == []
    assert told(tx, "report-row-revised") == []


def test_a_fact_that_was_under_way_while_the_month_was_closed_makes_a_revision_of_it_and_of_those_after_it(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"))
    for number, month in enumerate(MONTHS[1:3]):
        closing.close_month(tx, BOOK, "dossiers", month, on(f"2026-{11 + number}-15"), "an")
    put(tx, dossier("2", "received", "2026-11-14", "2026-11-14"))  # has the time of before, and came after
    assert list(row_revisions.find_differing_units(tx, "dossiers", "2026-11")) == ["A"]
    written = row_revisions.revise_unit(tx, "dossiers", "2026-11", "A", reason="committed late", by="an", now=AFTER)
    assert [(text, row.revision) for text, row in written] == [("2026-11", 2), ("2026-12", 2)]
    assert dict(written[0][1].diff) == {"received_unstated": [1, 2], "pending_in_time": [1, 2], "open_in_time": [1, 2]}
    assert dict(written[1][1].diff) == {"carried_over": [1, 2], "pending_in_time": [1, 2], "open_in_time": [1, 2]}
    first, second = told(tx, "report-row-revised")
    assert (first["period"], first["revision"], first["reason"]) == ("2026-11", 2, "committed late")
    assert second["diff"] == {"carried_over": [1, 2], "pending_in_time": [1, 2], "open_in_time": [1, 2]}
    asked = unit_report.resolve_report_sources(tx, "A", "2026-11", "dossiers")
    assert (asked.revision, asked.count(AFTER).made_at) == (2, AFTER)
    assert evidence_of(asked, AFTER)[1] == ()
    kept = row_revisions.read_row_revisions(tx, asked.form, [("2026-11", "A", revision) for revision in (1, 2, 3)])
    assert [row.cells.sums["pending_in_time"] for row in kept.values()] == [1, 2], "what was closed is still there"
    for text in ("2026-11", "2026-12"):
        assert list(row_revisions.find_differing_units(tx, "dossiers", text)) == []


def test_late_mail_makes_a_revision_because_the_form_says_so(tx):
    def accounts(amount: int, day: str, at: str) -> Fact:
        named: Any = {"unit": "A", "service": "mail", "key": day, "milestone": "accounts-issued", "message": day}
        return Fact(**named, day=date.fromisoformat(day), at=on(at), amount=amount)

    put(tx, accounts(100, "2026-10-20", "2026-10-21"))
    closing.close_month(tx, BOOK, "mail", MONTHS[1], on("2026-11-15"), "an")
    assert row_revisions.find_late_units(tx, "mail") == {}
    put(tx, accounts(120, "2026-11-14", "2026-11-15 12:01"))
    assert row_revisions.find_late_units(tx, "mail") == {"A": "2026-11"}
    written = row_revisions.revise_unit(tx, "mail", "2026-11", "A", reason="late", by="an", now=AFTER)
    assert [dict(row.diff)["accounts"] for _, row in written] == [[100, 120]]


def test_a_closed_report_stays_readable_when_the_form_has_changed(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"))
    closing.close_month(tx, BOOK, "dossiers", MONTHS[1], on("2026-11-15"), "an")
    before = unit_report.resolve_report_sources(tx, "A", "2026-11", "dossiers").count(AFTER)
    other = attrs.evolve(form_of("dossiers"), columns=form_of("dossiers").columns[:3])
    changed = attrs.evolve(read_shipped_book(), forms=(other,))
    assert unit_report.resolve_report_sources(tx, "A", "2026-11", "dossiers", changed).count(AFTER) == before
    assert (
        len(unit_report.resolve_report_sources(tx, "A", "2026-12", "dossiers", changed).count(AFTER).total.numbers) == 3
    )


def test_a_closed_month_keeps_the_legal_basis_that_it_printed_and_the_next_counts_on(tx):
    """Decree 47/2020 ended on 22 October 2025, in the month `2025-11`; Decree 278/2025 replaced it."""
    put(tx, attrs.evolve(dossier("1", "answered", "2025-09-20", "2025-09-20"), service="lookups"))
    months = [parse_period(text) for text in ("2025-10", "2025-11")]
    for month in months:
        closing.close_month(tx, BOOK, "lookups", month, month.end + timedelta(days=1), "an")
    before, after = closing_plan.read_closings(tx, "lookups")
    assert (before.form.basis.en[:14], after.form.basis.en[:15]) == ("Decree 47/2020", "Decree 278/2025")
    longer = {text.id: attrs.evolve(text, until=date(2030, 1, 1)) for text in legal_texts.LEGAL_TEXTS.values()}
    with mock.patch.object(legal_texts, "LEGAL_TEXTS", longer):
        for month, decree in zip(months, ("Decree 47/2020", "Decree 278/2025"), strict=True):
            said = unit_report.resolve_report_sources(tx, "A", month.text, "lookups").count(AFTER)
            assert said.form.basis.en.startswith(decree)
    assert closed.have_same_rules(before.form, after.form), "what was carried is carried on"


def test_another_form_closes_from_the_whole_of_the_past_once(tx):
    """What the old one carried is not what the new one needs."""
    text = form_of("dossiers").written
    old = attestations.read_closed_form(
        text.replace('without = ["finished", "refused", "handed-over"]', 'without = ["received"]')
    )
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"))
    closing.close_month(tx, attrs.evolve(BOOK, forms=(old,)), "dossiers", MONTHS[1], on("2026-11-15"), "an")
    assert tx.scalar(sa.select(sa.func.count()).select_from(carried)) == 0
    closing.close_month(tx, BOOK, "dossiers", MONTHS[2], on("2026-12-15"), "an")
    closing.close_month(tx, BOOK, "dossiers", MONTHS[3], on("2027-01-15"), "an")
    for text in ("2026-12", "2027-01"):
        numbers = unit_report.resolve_report_sources(tx, "A", text, "dossiers").count(AFTER).total.numbers
        assert (numbers["carried_over"], numbers["pending"]) == (1, 1)
        assert list(row_revisions.find_differing_units(tx, "dossiers", text)) == []


def test_a_year_is_put_together_from_its_months(tx):
    put(
        tx,
        dossier("1", "received", "2026-10-20", "2026-10-20"),
        dossier("1", "finished", "2026-11-20", "2026-11-20", due=date(2026, 11, 1)),
        dossier("2", "received", "2026-12-20", "2026-12-20"),
    )
    live = {
        text: unit_report.resolve_report_sources(tx, "A", text, "dossiers").count(AFTER)
        for text in ("2026-Q4", "2026-H2", "2026")
    }
    for number, month in enumerate(MONTHS[1:4]):
        closing.close_month(tx, BOOK, "dossiers", month, on("2026-11-15") + timedelta(days=31 * number), "an")
        for text, report in live.items():
            asked = unit_report.resolve_report_sources(tx, "A", text, "dossiers")
            assert asked.count(AFTER).total == report.total, (month.text, text)
    registry_free = unit_report.resolve_report_sources(tx, "A", "2026-Q4", "dossiers")
    assert not registry_free.complete, "the chain begins in 2026-11"


# --- When the cut-off day changes -----------------------------------------------------------------------------------------

BY_25 = attrs.evolve(BOOK, cuts=Cuts((CutOff(25),)))


def days_of(month) -> tuple[str, str, str]:
    return month.text, month.first.isoformat(), month.last.isoformat()


def test_the_first_month_under_another_cut_off_goes_on_where_the_closed_one_ended_and_loses_and_doubles_nothing(tx):
    put(
        tx,
        dossier("1", "received", "2026-10-27", "2026-10-27"),
        dossier("2", "received", "2026-11-20", "2026-11-20"),
        dossier("3", "received", "2026-11-25", "2026-11-25"),
        dossier("1", "finished", "2026-12-14", "2026-12-14"),
        dossier("4", "received", "2026-12-15", "2026-12-15"),
    )
    first = closing_plan.find_next_month_to_close(tx, BY_25, "dossiers")
    assert first is not None
    assert days_of(first[1]) == ("2026-11", "2026-10-25", "2026-11-24")
    closing.close_month(tx, BY_25, "dossiers", first[1], on("2026-11-25"), "an")
    closed = unit_report.resolve_report_sources(tx, "A", "2026-11", "dossiers", BY_25).count(AFTER)

    asked = unit_report.resolve_report_sources(tx, "A", "2026-12", "dossiers", BOOK)
    assert days_of(asked.period) == ("2026-12", "2026-11-25", "2026-12-14")
    live = asked.count(AFTER).total
    second = closing_plan.find_next_month_to_close(tx, BOOK, "dossiers")
    assert second is not None
    assert second[1] == asked.period
    closing.close_month(tx, BOOK, "dossiers", second[1], on("2026-12-15 00:02"), "an")
    assert unit_report.resolve_report_sources(tx, "A", "2026-12", "dossiers", BOOK).count(AFTER).total == live
    assert unit_report.resolve_report_sources(tx, "A", "2026-11", "dossiers", BOOK).count(AFTER) == closed, (
        "it keeps its days"
    )

    received = {
        text: unit_report.resolve_report_sources(tx, "A", text, "dossiers", BOOK).count(AFTER).total.numbers["received"]
        for text in ("2026-10", "2026-11", "2026-12", "2027-01", "2026-Q4", "2026")
    }
    assert received == {"2026-10": 0, "2026-11": 2, "2026-12": 1, "2027-01": 1, "2026-Q4": 3, "2026": 3}
    assert (live.numbers["carried_over"], live.numbers["finished"], live.numbers["pending"]) == (2, 1, 2)


def test_a_later_cut_off_makes_the_next_month_longer_and_does_not_bring_the_closed_one_back(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"), dossier("2", "received", "2026-11-20", "2026-11-20"))
    closing.close_month(tx, BOOK, "dossiers", MONTHS[1], on("2026-11-15"), "an")
    second = closing_plan.find_next_month_to_close(tx, BY_25, "dossiers")
    assert second is not None
    assert days_of(second[1]) == ("2026-12", "2026-11-15", "2026-12-24")
    with pytest.raises(TooEarly):
        closing.close_month(tx, BY_25, "dossiers", second[1], on("2026-12-15"), "an")
    closing.close_month(tx, BY_25, "dossiers", second[1], on("2026-12-25"), "an")
    assert list(row_revisions.find_differing_units(tx, "dossiers", "2026-12")) == []


def test_a_month_has_the_same_days_in_all_forms(tx):
    put(tx, dossier("1", "received", "2026-10-27", "2026-10-27"))
    draft = closing.count_month_draft(tx, BOOK, "ii06a", MONTHS[1], on("2026-11-25"))
    month = parse_period("2026-11", BY_25.cuts)
    closing.close_month(tx, BY_25, "dossiers", month, on("2026-11-25"), "an")
    with pytest.raises(OutOfTurn) as turn:
        closing.settle_closing(tx, draft, "an")
    assert turn.value.args == (month,)
    following = closing_plan.find_next_month_to_close(tx, BOOK, "ii06a")
    assert following is not None
    assert following[1] == month
    closing.close_month(tx, BOOK, "ii06a", month, on("2026-11-25"), "an")
    assert days_of(unit_report.resolve_report_sources(tx, "A", "2026-11", "tonghop", BOOK).period) == days_of(month)


# --- It is the count of the whole history ---------------------------------------------------------------------------------

_HOURS = 24 * 125
_MOMENTS = st.integers(-24 * 3, _HOURS).map(lambda hours: BEGIN + timedelta(hours=hours, minutes=7))
_DUES = st.none() | st.integers(-20, 140).map(lambda days: (BEGIN + timedelta(days=days)).date())
_ATTRIBUTES = {
    "channel": ["online", "direct", "post", "?"],
    "outcome": ["withdrawn", "done"],
    "severity": ["alert", "notice"],
    "meeting": ["m1", "m2"],
    "occurrence": ["", "o1", "o2"],
    "revision": ["1", "2", "3"],
}


@st.composite
def a_fact(draw: st.DrawFn, form: Form) -> Fact:
    at = draw(_MOMENTS)
    away = draw(st.sampled_from([0, 0, 0, -1, -2, -10, -40, -100, 3, 45]))
    dated = form.by_day or any(column.kind is ColumnKind.HAPPENING for column in form.columns)
    day = draw(st.sampled_from([True, True, True, dated])) and dated
    counted = {name for rule in form.rules for name in rule.milestones | rule.without | rule.furthest}
    names = sorted(counted) or sorted(MILESTONES[form.service])
    known = {each.attribute for column in form.columns for each in column.conditions} | {
        "meeting",
        "occurrence",
        "revision",
    }
    chosen = {
        name: draw(st.sampled_from(values))
        for name, values in _ATTRIBUTES.items()
        if name in known and form.id != "edoc"
    }
    return Fact(
        unit=draw(st.sampled_from(UNITS)),
        service=form.service,
        key=draw(st.sampled_from("123456")),
        milestone=draw(st.sampled_from([*names, "received" if "received" in MILESTONES[form.service] else names[0]])),
        at=at,
        message=draw(st.uuids(version=4)).hex,
        outside=draw(st.booleans()),
        paper=draw(st.booleans()),
        signature=draw(st.sampled_from(["valid", "unsigned"])),
        due=draw(_DUES),
        day=(at + timedelta(days=away)).astimezone(HANOI).date() if day else None,
        amount=draw(st.sampled_from([1, 1, 2, 50, 0])) if form.by_day else 1,
        attributes=tuple(sorted(chosen.items())),
    )


@st.composite
def a_story(draw: st.DrawFn) -> tuple[Form, list[Fact], list[timedelta], list[Cuts], bool]:
    form = form_of(draw(st.sampled_from([*NAMES, "dossiers", "edoc", "ii06a", "dossiers", "mail"])))
    facts = draw(
        st.lists(
            a_fact(form),
            min_size=1,
            max_size=40,
            unique_by=(lambda f: (f.unit, f.key, f.milestone), lambda f: f.message),
        )
    )
    waits = draw(
        st.lists(
            st.sampled_from([2, 60, 60 * 24 * 3, 60 * 24 * 40]).map(lambda m: timedelta(minutes=m)),
            min_size=4,
            max_size=4,
        )
    )
    days = draw(st.lists(st.sampled_from([15, 15, 15, 1, 2, 25, 28]), min_size=len(waits), max_size=len(waits)))
    cuts = [Cuts((CutOff(day),)) for day in days]  # as the province has it when it closes each month
    return form, sorted(facts, key=lambda fact: fact.at), waits, cuts, draw(st.booleans())


def whole(form: Form, facts: Sequence[Fact], period, books: ClosedMonths) -> dict[str, tuple[Cells, str, int]]:
    """Count the plain way: all facts, each unit."""
    found = {}
    for unit in UNITS:
        mine = [fact for fact in facts if fact.unit == unit]
        counted = counting.count_report(form, mine, period, AFTER, (unit,), books)
        report = counted.total
        lines = evidence.gather_evidence(form, mine, period, AFTER, (unit,), books)
        sums = {
            column.key: int(report.numbers[column.key] or 0)
            for column in form.columns
            if column.kind in counting.COUNTING
        }
        times = {key: at for key, at in report.times.items() if at is not None}
        if lines:
            cells = Cells(sums, times, counted.divisions.get(unit))
            found[unit] = (cells, evidence.hash_row(line.fact for line in lines), len(lines))
    return found


@pytest.fixture(scope="module", params=DATABASES)
def lasting(request, tmp_path_factory):
    """A journal for many stories, each undone."""
    if request.param == "sqlite":
        engine = transactions.open_journal(databases.sqlite(tmp_path_factory.mktemp("closing") / "hub.db"))
        yield engine
        engine.dispose()
        return
    with request.getfixturevalue("postgresql").database() as url:
        engine = transactions.open_journal(url)
        yield engine
        engine.dispose()


@pytest.mark.slow
def test_month_by_month_comes_to_the_same_as_counting_the_whole_history(lasting):
    """Fewer stories on PostgreSQL, where each takes three times as long."""

    @settings(max_examples=12 if lasting.dialect.name == "sqlite" else 4, deadline=None)
    @given(a_story())
    def comes_to_the_same(story):
        form, facts, waits, cuts, revising = story
        form = turned(form.id) if revising else form
        with lasting.connect() as tx:
            around = tx.begin()
            try:
                _tell(tx, form, facts, waits, cuts)
            finally:
                around.rollback()

    comes_to_the_same()


def _tell(
    tx: transactions.Transaction, form: Form, facts: Sequence[Fact], waits: Sequence[timedelta], cuts: Sequence[Cuts]
) -> None:
    waiting, made_at = list(facts), None
    pending = list(waits)
    while pending:
        book = attrs.evolve(BOOK, forms=(form,), cuts=cuts[-len(pending)])
        follows = closing_plan.find_next_month_to_close(tx, book, form.id)
        at = (
            max(closing_plan.find_earliest_closing_time(follows[1]), made_at or BEGIN) + pending.pop(0)
            if follows
            else None
        )
        due = [fact for fact in waiting if at is None or fact.at < at]
        if due:
            put(tx, *due)
            waiting = [fact for fact in waiting if fact not in due]
            if follows is None:
                continue
        if follows is None or at is None:
            return
        _interrupted(tx, book, form, follows[1], at, seen=3)
        made_at = at
    if waiting:
        put(tx, *waiting)
    made = closing_plan.read_closings(tx, form.id)
    books = closing_plan.list_closed_months(made)
    if form.late == "revision":
        for unit in UNITS:
            row_revisions.revise_unit(tx, form.id, made[0].period.text, unit, reason="late", by="an", now=AFTER)
    for each in made:
        kept = row_revisions.read_newest_rows(tx, form, [each.period.text])[each.period.text]
        found = {unit: (row.cells, row.evidence, row.facts) for unit, row in kept.items() if row.facts}
        assert found == whole(form, facts, each.period, books), each.period.text
        assert list(row_revisions.find_differing_units(tx, form.id, each.period.text)) == []
    assert all(before.period.end == after.period.start for before, after in pairwise(made))
    _follow_on(tx, form, made)
    for text in ("2027-04", made[-1].period.text):
        asked = (
            unit_report.resolve_report_sources(tx, "A", text, form.id) if form.late == form_of(form.id).late else None
        )
        if asked is not None:
            mine = [fact for fact in facts if fact.unit == "A"]
            expected = counting.count_report(asked.form, mine, asked.period, AFTER, ("A",), books)
            assert asked.count(AFTER).total == expected.total, text
            lines, wrong = evidence_of(asked, AFTER)
            assert (lines, wrong) == (
                evidence.gather_evidence(asked.form, mine, asked.period, AFTER, ("A",), books),
                (),
            ), text
            for column in asked.form.columns:
                behind = counting.find_counted_facts(asked.form, column.key, mine, asked.period, AFTER, ("A",), books)
                assert facts_behind(asked, column.key, AFTER) == behind
            _see_pages(asked, facts, books, lines)


def _interrupted(tx: transactions.Transaction, book: Book, form: Form, period: Period, at: datetime, seen: int) -> None:
    """Close the month in steps, after an attempt that ended halfway and did not see the facts recorded last."""
    columns = sa.tuple_(*facts_table.primary_key)
    newest = sa.select(facts_table).order_by(facts_table.c.at.desc()).limit(seen)
    rows = [dict(row) for row in tx.execute(newest).mappings()]
    tx.execute(
        sa.delete(facts_table).where(columns.in_([(r["unit"], r["service"], r["key"], r["milestone"]) for r in rows]))
    )
    with suppress(OutOfTurn):  # without these facts the chain of months may begin later
        in_steps(tx, book, form.id, period, closing_plan.find_earliest_closing_time(period), most=6)
    tx.execute(sa.insert(facts_table), rows)
    in_steps(tx, book, form.id, period, at)


def _see_pages(asked: ReportSources, facts: Sequence[Fact], books: ClosedMonths, lines: Sequence[EvidenceLine]) -> None:
    """The facts behind each number, read in pages, are those that explain it: of one unit and of several. The evidence
    of a closed month, read so, is that of the count.
    """
    with mock.patch.object(facts_behind_of, "LARGE", -1), open_evidence_to_list(asked, AFTER) as read:
        assert (tuple(read.lines), len(read.lines)) == (lines, len(lines))
        assert evidence.hash_evidence(read.lines) == evidence.hash_evidence(lines)
        assert read.report == asked.count(AFTER)
    assert not can_count_quickly(asked) or isinstance(read.lines, ReadEvidence)
    with mock.patch.object(quick_count, "_LARGEST", 0):  # a unit that is too large to be held in memory
        report, summary = quick_count.count_with_summary(asked, AFTER)
    assert (report, summary.sha256, len(summary)) == (read.report, read.lines.sha256, len(lines))
    parts = [attrs.evolve(part, members=UNITS) for part in asked.parts]
    for source in (asked, attrs.evolve(asked, members=UNITS, parts=parts)):
        for column in filter(partial(can_page, source), (column.key for column in source.form.columns)):
            behind = counting.find_counted_facts(
                source.form, column, facts, source.period, AFTER, source.members, books
            )
            assert tuple(list_facts_behind(source, column, AFTER)) == behind, column
            found, more, pages = list[Fact](), None, 0
            while pages == 0 or more is not None:
                page = read_facts_page(source, column, AFTER, more, 2, 0.0 if pages % 2 else 60.0)
                assert len(page.facts) <= 3, "two, and one fact that two rules count"
                found, more, pages = [*found, *page.facts], page.more, pages + 1
            assert tuple(found) == behind, column
            narrow = list_facts_behind(source.narrow("A"), column, AFTER)
            assert tuple(narrow) == tuple(fact for fact in behind if fact.unit == "A"), column


def _follow_on(tx: transactions.Transaction, form: Form, made: Sequence[closing_plan.Closing]) -> None:
    """Each month begins with what the one before it ended with."""
    closing_stock = {
        "dossiers": ("pending_in_time", "pending_overdue"),
        "ii06a": ("pending_in_time", "pending_overdue"),
    }
    if form.id not in closing_stock:
        return
    rows = row_revisions.read_newest_rows(tx, form, [each.period.text for each in made])
    none = Cells.none(form)
    for before, after in pairwise(made):
        for unit in UNITS:
            ended, begun = (
                rows[month.period.text][unit].cells.sums if unit in rows[month.period.text] else none.sums
                for month in (before, after)
            )
            assert begun["carried_over"] == sum(ended[key] for key in closing_stock[form.id])
