"""Form II.06a counts the example of its page as it was worked out there by hand; its checks hold whatever is told, and in whatever order."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.model import Fact
from hub.report.counting import checks
from hub.report.counting.closed import have_same_rules
from hub.report.counting.counting import Report, count_report, find_counted_facts
from hub.report.counting.posting import OPEN, ClosedMonth, ClosedMonths
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form
from hub.report.form.period import parse_period
from hub.services.dossiers import read_dossier_call
from hub.services.dossiers.waits import RESUMED, RESUMES, WAITING, WAITS, place_wait
from tests.dossiers import hoso, progress, sync, tiendo
from tests.pages import DOCS, rows, sections

PAGE = sections(DOCS / "reference/ii06a.md")
KEYS = {number: key.strip("`") for number, key, _ in rows(PAGE["Form II.06a/VPCP/KSTT, worked out by hand"])}
HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
OCTOBER, NOVEMBER, DECEMBER = map(parse_period, ("2026-10", "2026-11", "2026-12"))
CLOSED = datetime(2026, 11, 16, 8, tzinfo=HANOI).astimezone(UTC)
BOOKS = ClosedMonths((ClosedMonth(OCTOBER, OCTOBER.end + timedelta(hours=8)), ClosedMonth(NOVEMBER, CLOSED)))
AFTER = datetime(2027, 3, 1, tzinfo=UTC)


def form_by(rule_set: str | None = None) -> Form:
    return next(
        form for form in read_form_folder(rule_sets={"ii06a": rule_set} if rule_set else {}) if form.id == "ii06a"
    )


FORM = form_by()


def written(day: str) -> str:
    """Return a day of 2026 as the dossiers service has it."""
    return f"2026{day[3:]}{day[:2]}100000"


def told() -> Iterator[Fact]:
    """Yield the facts of the example as the dossiers service reads them: the first of each milestone, as the ledger keeps them."""
    found: dict[tuple[str, str], Fact] = {}
    lines = sorted(rows(PAGE["The example"]), key=lambda line: (line[0][3:], line[0][:2]))
    for number, (day, code, channel, received, due, supplement, ended, status) in enumerate(lines):
        at = datetime(2026, int(day[3:]), int(day[:2]), 9, tzinfo=HANOI).astimezone(UTC)
        if not received:
            call = progress(tiendo(code, status, written(ended)))
        else:
            answered, _, put_off = supplement.partition(", ")
            request = {
                "NgayBoSung": written(received),
                "NgayTiepNhanBoSung": written(answered),
                "NgayHenTraMoi": written(put_off),
            }
            fields: dict[str, object] = {
                "NgayTiepNhan": written(received),
                "NgayHenTra": written(due) if due else None,
                "KenhThucHien": channel or None,
                "NgayKetThucXuLy": written(ended) if ended else None,
                "TrangThaiHoSo": status,
                "DanhSachHoSoBoSung": request if supplement else None,
            }
            call = sync(hoso(code, **fields))
        for fact in read_dossier_call(call, at, f"m{number:02}").facts:
            if fact.milestone in (WAITING, RESUMED):
                known = [each for each in found.values() if each.key == fact.key and each.milestone in WAITS + RESUMES]
                placed = place_wait(known, fact)
            else:
                placed = fact
            if placed is not None:
                _ = found.setdefault((placed.key, placed.milestone), placed)
    yield from found.values()


FACTS = tuple(told())


def report(month: str, form: Form = FORM) -> Report:
    return count_report(form, FACTS, parse_period(month), AFTER, ("H55.13",), BOOKS)


@pytest.mark.parametrize(("heading", "month"), [("November", "2026-11"), ("December", "2026-12")])
def test_the_example_gives_the_numbers_worked_out_by_hand(heading, month):
    counted, by_hand = report(month), list(rows(PAGE[heading]))
    assert {column: str(counted.total.numbers[KEYS[column]]) for column, *_ in by_hand} == {
        column: number for column, number, _ in by_hand
    }
    assert len(by_hand) == 11
    assert not counted.findings
    for column, _, dossiers in by_hand:
        if "+" not in dossiers:
            found = find_counted_facts(FORM, KEYS[column], FACTS, parse_period(month), AFTER, ("H55.13",), BOOKS)
            assert sorted(fact.key for fact in found) == dossiers.split(), f"column {column} opens into its dossiers"


def test_what_was_withdrawn_or_given_back_stands_apart_where_the_province_wants_it_so():
    apart = report("2026-11", form_by("apart")).total.numbers
    assert (apart["settled_on_time"], apart["withdrawn"], apart["given_back"], apart["settled"]) == (3, 1, 1, 10)


@pytest.mark.parametrize(("rule_set", "withdrawn"), [("waiting-by-due-day", 0), ("apart waiting-by-due-day", 1)])
def test_what_waits_stands_by_its_due_day_where_the_province_wants_it_so(rule_set, withdrawn):
    by_due_day = report("2026-11", form_by(rule_set)).total.numbers
    assert (by_due_day["pending_in_time"], by_due_day["pending_overdue"], by_due_day["settled"]) == (5, 2, 10)
    assert by_due_day.get("withdrawn", 0) == withdrawn


def test_what_is_carried_over_is_what_was_in_hand_at_the_end_of_the_period_before():
    before, after = report("2026-11"), report("2026-12")
    told_before = {row.unit: row.numbers for row in before.rows}
    assert not checks.check_between_periods(FORM, {row.unit: row.numbers for row in after.rows}, told_before)
    (found,) = checks.check_between_periods(FORM, {}, told_before)
    assert (found.unit, found.left, found.right) == ("H55.13", 0, 7)


def test_the_form_has_the_thirteen_columns_of_the_circular_and_one_for_mergers():
    assert list(KEYS.values()) == [column.key for column in FORM.columns]
    assert list(KEYS) == [str(place) for place, _ in enumerate(FORM.columns, FORM.first_number)]
    assert FORM.first_number + len(FORM.columns) - 1 == 14
    assert FORM.columns[-1].key == "taken_over"


milestones = st.sampled_from(
    ["received", "finished", "refused", "supplemented", "returned", "withdrawn", "waiting-1", "resumed-1", "waiting-2"]
)
days = st.dates(date(2026, 9, 20), date(2026, 12, 20))


@st.composite
def histories(draw: Any) -> list[Fact]:
    """Draw facts of some dossiers in any order: ends without a receipt, receipts after the end, two ends, told whenever."""
    found: dict[tuple[str, str], Fact] = {}
    for number in range(draw(st.integers(0, 12))):
        key, milestone = draw(st.sampled_from("abcd")), draw(milestones)
        attributes = {
            "received": (("channel", draw(st.sampled_from(["online", "direct", "post", ""]))),),
            "finished": (("outcome", draw(st.sampled_from(["done", "withdrawn"]))),),
        }.get(milestone, ())
        found[key, milestone] = Fact(
            unit=draw(st.sampled_from("UV")),
            service="dossiers",
            key=key,
            milestone=milestone,
            message=f"m{number}",
            at=datetime.combine(draw(days), datetime.min.time(), UTC),
            day=draw(st.none() | days),
            due=draw(st.none() | days),
            attributes=attributes,
        )
    return list(found.values())


@given(facts=histories(), close=st.booleans(), rule_set=st.sampled_from([None, "apart", "waiting-by-due-day"]))
@pytest.mark.slow
def test_the_checks_of_the_form_hold_for_every_history(facts, close, rule_set):
    form, books = form_by(rule_set), BOOKS if close else OPEN
    counted = [count_report(form, facts, month, AFTER, ("U", "V"), books) for month in (OCTOBER, NOVEMBER, DECEMBER)]
    assert not [finding for each in counted for finding in each.findings], "3 = 7 + 11"
    numbers = [{row.unit: row.numbers for row in each.rows} for each in counted]
    for before, after in pairwise(numbers):
        assert not checks.check_between_periods(form, after, before), "6 = 11 of the period before"


def test_a_check_that_does_not_hold_is_a_finding_with_its_unit_and_both_numbers():
    (check, _) = FORM.checks
    numbers: dict[str, Any] = dict.fromkeys(("received", "settled"), 5) | {"pending": 1}
    found = checks.check_within_rows(FORM, numbers, [("U", numbers), ("V", {**numbers, "pending": 0})])
    assert [(each.unit, each.check, each.left, each.right) for each in found] == [
        (None, check, 5, 6),
        ("U", check, 5, 6),
    ]


def test_a_form_with_other_waits_counts_by_other_rules() -> None:
    """A closed month is continued by a form of the same rules only."""
    assert have_same_rules(FORM, attrs.evolve(FORM, notes=()))
    assert not have_same_rules(FORM, attrs.evolve(FORM, waits=frozenset()))
    assert not have_same_rules(FORM, attrs.evolve(FORM, resumes=frozenset()))
