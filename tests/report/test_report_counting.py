"""What each number of the e-document form counts (standards 4.5), and that each opens into exactly the facts it counts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.model import Fact, Unit
from hub.report.counting.column_rules import find_reached_fact
from hub.report.counting.counting import Report, count_report, find_counted_facts
from hub.report.counting.evidence import gather_evidence
from hub.report.counting.family import list_unit_family
from hub.report.form.column import ColumnKind
from hub.report.form.folder import read_form_folder
from hub.report.form.period import Period, parse_period

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
EDOC = next(form for form in read_form_folder() if form.id == "edoc")
DECEMBER = parse_period("2026-12")
AFTER = datetime(2027, 1, 1, tzinfo=UTC)
NUMBERS = [column.key for column in EDOC.columns if column.kind is not ColumnKind.TIME]
COUNTED = [column.key for column in EDOC.columns if column.kind in (ColumnKind.FLOW, ColumnKind.STOCK)]


def on(text: str) -> datetime:
    """Return the instant that *text* says in Hà Nội: `2026-11-24` (at noon) or `2026-11-24 09:30`."""
    return datetime.fromisoformat(text if " " in text else f"{text} 12:00").replace(tzinfo=HANOI).astimezone(UTC)


def fact(milestone: str, at: str, key: str = "1", **rest: Any) -> Fact:
    """Return a fact of unit `A`."""
    rest = {"unit": "A", "service": "documents", "message": f"{key} {milestone}", **rest}
    return Fact(key=key, milestone=milestone, at=on(at), **rest)


def numbers(*facts: Fact, period: Period = DECEMBER, now: datetime = AFTER) -> dict[str, Any]:
    """Return the numbers of unit `A` that are not 0."""
    return {key: n for key, n in count_report(EDOC, facts, period, now, ("A",)).total.numbers.items() if n}


RECEIVED = fact("received", "2026-11-20 08:00")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param([], {}, id="nothing is nothing"),
        pytest.param(
            [fact("sent", "2026-11-20")],
            {"sent_inside": 1, "sent": 1, "total": 1, "not_signed": 1},
            id="a document sent inside the province",
        ),
        pytest.param(
            [fact("sent", "2026-11-20", outside=True, paper=True, signature="valid")],
            {"sent_outside": 1, "sent": 1, "total": 1, "signed": 1, "on_paper": 1},
            id="a signed document sent outside, and on paper",
        ),
        pytest.param(
            [fact("sent", "2026-11-20", signature="invalid")],
            {"sent_inside": 1, "sent": 1, "total": 1, "not_signed": 1},
            id="an invalid signature is none",
        ),
        pytest.param([RECEIVED], {"received_inside": 1, "received": 1, "total": 1}, id="a document from inside"),
        pytest.param(
            [attrs.evolve(RECEIVED, outside=True, paper=True)],
            {"received_outside": 1, "received": 1, "total": 1},
            id="a document from outside; paper counts for its sender",
        ),
        pytest.param(
            [
                fact("sent-recall", "2026-11-20"),
                fact("sent-update", "2026-11-20"),
                fact("sent-replacement", "2026-11-20"),
            ],
            {"recalls": 1, "updates": 1, "replacements": 1},
            id="corrections sent have their own columns",
        ),
        pytest.param(
            [RECEIVED, fact("received", "2026-11-21", "1 of the update")],
            {"received_inside": 2, "received": 2, "total": 2},
            id="a correction received is received",
        ),
        pytest.param([fact("failed", "2026-11-20")], {"failed": 1}, id="a document that could not be delivered"),
        pytest.param(
            [fact("failed", "2026-11-20"), fact("failed-over", "2026-12-14 23:59")],
            {},
            id="one that was delivered before the period's end",
        ),
        pytest.param(
            [fact("failed", "2026-11-20"), fact("failed-over", "2026-12-15 00:00")],
            {"failed": 1},
            id="one that was delivered in the next period",
        ),
        pytest.param(
            [fact("failed", "2026-11-14 12:00"), fact("failed-over", "2026-11-20")],
            {},
            id="one that failed in the period before",
        ),
        pytest.param(
            [fact(f"status-{code}", "2026-11-20") for code in ("01", "13", "15", "16")],
            {},
            id="statuses without a column",
        ),
        pytest.param(
            [RECEIVED, fact("status-02", "2026-11-20")],
            {"received_inside": 1, "received": 1, "total": 1, "refused": 1},
            id="a refusal",
        ),
        pytest.param([fact("sent", "2026-11-20", service="dossiers")], {}, id="another service is another form"),
        pytest.param([fact("sent", "2026-11-20", unit="B")], {}, id="another unit has its own report"),
    ],
)
def test_one_result_counts_as_the_form_says(facts, expected):
    assert numbers(*facts) == expected


@pytest.mark.parametrize(
    ("at", "in_time"),
    [
        ("2026-11-21 08:00", True),
        ("2026-11-21 08:01", False),
        ("2026-11-20 07:59", True),
    ],
)
def test_an_acknowledgement_is_in_time_within_24_hours_of_the_receipt(at, in_time):
    found = numbers(RECEIVED, fact("status-03", at))
    assert (found["acknowledged"], "acknowledged_in_time" in found) == (1, in_time)


def test_an_acknowledgement_of_what_the_unit_never_received_is_no_work_on_what_it_received():
    elsewhere, other = attrs.evolve(RECEIVED, unit="B"), attrs.evolve(RECEIVED, key="2")
    for facts, more in (([elsewhere], {}), ([elsewhere, other], {"received_inside": 1, "received": 1, "total": 1})):
        assert numbers(fact("status-03", "2026-11-20 09:00"), *facts) == {"results_unmatched": 1, **more}


@pytest.mark.parametrize(
    ("due", "at", "on_time"),
    [
        (date(2026, 11, 25), "2026-11-25 23:59", True),
        (date(2026, 11, 25), "2026-11-26 00:00", False),
        (date(2026, 11, 25), "2026-11-24", True),
        (None, "2026-12-14 23:59", True),
    ],
)
def test_a_completion_is_on_time_up_to_the_end_of_the_due_day_in_hanoi(due, at, on_time):
    found = numbers(attrs.evolve(RECEIVED, due=due), fact("status-06", at))
    assert (found["completed"], "completed_on_time" in found) == (1, on_time)


def test_a_completion_of_a_received_change_goes_by_its_own_due_date():
    late = fact("status-06", "2026-11-26", due=date(2026, 11, 25))
    for received, on_time in ((RECEIVED, False), (attrs.evolve(RECEIVED, due=date(2026, 11, 26)), True)):
        found = numbers(late, received)
        assert (found["completed"], "completed_on_time" in found) == (1, on_time)


@pytest.mark.parametrize("code", ["02", "03", "04", "05", "06"])
def test_what_a_unit_says_of_a_document_that_it_never_received_is_counted_apart_and_nothing_else(code):
    column = "completed_unmatched" if code == "06" else "results_unmatched"
    assert numbers(fact(f"status-{code}", "2026-11-26")) == {column: 1}
    later = attrs.evolve(RECEIVED, at=on("2026-12-16"))
    assert numbers(fact(f"status-{code}", "2026-11-26"), later) == {column: 1}


def test_a_completion_is_unmatched_until_the_document_is_received_and_a_finding_says_so():
    done, later = fact("status-06", "2026-11-26"), attrs.evolve(RECEIVED, at=on("2026-12-20"))
    for facts, unmatched in (([done], 1), ([done, RECEIVED], 0), ([done, later], 1)):
        report = count_report(EDOC, iter(facts), DECEMBER, on("2027-03-01"), ("A",))
        assert report.total.numbers["completed_unmatched"] == unmatched
        found = [(found.unit, found.said.vi.rpartition(": ")[2]) for found in report.findings]
        assert found == ([(None, "1 > 0"), ("A", "1 > 0")] if unmatched else [])


def test_a_result_falls_in_the_period_of_its_own_moment_not_of_the_receipt():
    received = fact("received", "2026-11-14 20:00", due=date(2026, 11, 14))
    facts = [received, fact("status-03", "2026-11-15 10:00"), fact("status-06", "2026-11-16")]
    assert numbers(*facts, period=parse_period("2026-11")) == {
        "received_inside": 1, "received": 1, "total": 1, "overdue": 1,
    }  # fmt: skip
    assert numbers(*facts) == {"acknowledged": 1, "acknowledged_in_time": 1, "completed": 1}


def test_the_first_instant_of_a_period_is_in_it_and_the_first_after_it_is_not():
    first, after = fact("sent", "2026-11-15 00:00"), fact("sent", "2026-12-15 00:00", "2")
    assert find_counted_facts(EDOC, "sent", [first, after], DECEMBER, AFTER) == (first,)


@pytest.mark.parametrize(
    ("codes", "standing"),
    [
        (["01"], "01"),
        (["01", "03"], "03"),
        (["03", "02"], "02"),
        (["02", "04", "06"], "02"),
        (["06", "05"], "06"),
        (["05", "04"], "05"),
        (["04", "02"], "02"),
        (["04", "13", "15", "16"], "04"),
        (["15"], None),
        ([], None),
    ],
)
def test_a_document_stands_where_the_furthest_status_brought_it_or_a_refusal_and_never_moves_back(codes, standing):
    history = [fact(f"status-{code}", f"2026-11-{20 + day}") for day, code in enumerate(codes)]
    found = find_reached_fact(EDOC, reversed(history))
    assert (found and found.milestone) == (standing and f"status-{standing}")
    assert numbers(RECEIVED, *history).get("processing", 0) == (standing in ("04", "05"))


@pytest.mark.parametrize(
    ("due", "statuses", "overdue"),
    [
        (date(2026, 12, 14), [], True),
        (date(2026, 12, 15), [], False),
        (None, [], False),
        (date(2026, 11, 21), ["status-05"], True),
        (date(2026, 11, 21), ["status-02"], False),
        (date(2026, 11, 21), ["status-06"], False),
    ],
)
def test_a_document_is_overdue_when_its_due_day_is_over_with_neither_completion_nor_refusal(due, statuses, overdue):
    facts = [attrs.evolve(RECEIVED, due=due), *(fact(status, "2026-11-25") for status in statuses)]
    assert numbers(*facts).get("overdue", 0) == overdue


def test_what_is_in_hand_is_counted_at_the_end_of_the_period_or_now_while_it_runs():
    facts = [
        fact("received", "2026-11-10", due=date(2026, 11, 20)),
        fact("status-04", "2026-11-16"),
        fact("status-06", "2026-12-20"),
    ]
    later = {"processing": 1, "overdue": 1}
    assert numbers(*facts, now=on("2026-12-31")) == later
    assert numbers(*facts, now=on("2026-11-21 00:00")) == later
    assert numbers(*facts, now=on("2026-11-20 23:59")) == {"processing": 1}
    assert numbers(*facts, now=on("2026-11-15 23:59")) == {}
    assert numbers(*facts, period=parse_period("2027-01"), now=on("2026-12-31")) == {"completed": 1}


def test_the_last_update_is_the_latest_fact_of_the_period_whatever_it_is():
    facts = [fact("sent", "2026-11-20"), fact("status-15", "2026-11-21"), fact("failed", "2026-12-15")]
    report = count_report(EDOC, facts, DECEMBER, AFTER, ("A",))
    assert report.total.times["last_update"] == on("2026-11-21")
    assert find_counted_facts(EDOC, "last_update", facts, DECEMBER, AFTER) == (facts[1],)
    assert count_report(EDOC, facts, parse_period("2026-11"), AFTER, ("A",)).total.times["last_update"] is None
    assert find_counted_facts(EDOC, "last_update", facts, parse_period("2026-11"), AFTER) == ()
    facts.append(fact("sent", "2026-11-22", unit="B"))
    assert find_counted_facts(EDOC, "last_update", facts, DECEMBER, AFTER) == (facts[-1],)


def test_what_stands_behind_a_stock_is_the_fact_that_brought_the_document_there():
    facts = [
        attrs.evolve(RECEIVED, due=date(2026, 11, 21)),
        fact("status-04", "2026-11-22"),
        fact("status-13", "2026-11-23"),
    ]
    assert find_counted_facts(EDOC, "processing", facts, DECEMBER, AFTER) == (facts[1],)
    assert find_counted_facts(EDOC, "overdue", facts, DECEMBER, AFTER) == (facts[0],)
    assert tuple(line.fact for line in gather_evidence(EDOC, facts, DECEMBER, AFTER)) == tuple(facts)


def test_an_unknown_column_has_nothing_to_explain():
    with pytest.raises(KeyError, match="no column sents"):
        find_counted_facts(EDOC, "sents", [], DECEMBER, AFTER)


def test_the_report_of_a_parent_sums_up_its_own_results_and_those_of_all_below_it():
    facts = [fact("sent", "2026-11-20", str(n), unit=unit) for n, unit in enumerate("AABCCCX")]
    report = count_report(EDOC, facts, DECEMBER, AFTER, ("A", "B", "C", "D"))
    assert [(row.unit, row.numbers["sent"]) for row in (report.total, *report.rows)] == [
        ("A", 6), ("A", 2), ("B", 1), ("C", 3), ("D", 0),
    ]  # fmt: skip


def test_a_family_is_the_unit_and_all_below_it_parents_first():
    parents = {"A": None, "B": "A", "C": "A", "D": "B", "E": "D", "F": None, "G": "F"}
    units = [Unit(code, code, parent=parent) for code, parent in parents.items()]
    assert list_unit_family(units, "A") == ("A", "B", "D", "E", "C")
    assert list_unit_family(units, "D") == ("D", "E")
    assert list_unit_family(units, "unknown") == ("unknown",)


def test_the_tree_of_a_period_is_that_of_its_end():
    july = date(2025, 7, 1)
    units = [
        Unit("A", "A"),
        Unit("B", "B", "A", until=july),  # ended: its facts stay with it
        Unit("C", "C", "A", since=july),
        Unit("D", "D", "A", since=july),
        Unit("E", "E", "D"),  # stands below D already: its facts must not fall out
        Unit("F", "F", "A", mark="national"),
    ]
    assert list_unit_family(units, "A", july) == ("A", "B", "D", "E")
    assert list_unit_family(units, "A", date(2025, 7, 2)) == list_unit_family(units, "A") == ("A", "B", "C", "D", "E")
    assert list_unit_family(units, "C", july) == ("C",)


def test_a_circle_of_parents_is_walked_once():
    units = [
        Unit("A", "A", parent="C"),
        Unit("B", "B", parent="A"),
        Unit("C", "C", parent="B"),
        Unit("D", "D", parent="D"),
    ]
    assert list_unit_family(units, "A") == ("A", "B", "C")
    assert list_unit_family(units, "D") == ("D",)


# Histories as they may come: any order, any mix, around the bounds of three months.

MOMENTS = st.integers(0, 24 * 110).map(lambda hours: on("2026-09-10 00:00") + timedelta(hours=hours))
HISTORIES = st.lists(
    st.builds(
        Fact,
        unit=st.sampled_from("ABCX"),
        service=st.sampled_from(["documents"] * 9 + ["dossiers"]),
        key=st.sampled_from("1234"),
        milestone=st.sampled_from(
            ["sent", "sent-recall", "sent-update", "sent-replacement", "received", "received", "failed"]
            + [f"status-{code}" for code in ("01", "02", "03", "04", "05", "06", "13", "15", "16")]
        ),
        at=MOMENTS,
        message=st.uuids().map(str),
        outside=st.booleans(),
        paper=st.booleans(),
        signature=st.sampled_from(["unsigned", "valid", "invalid"]),
        due=st.none() | MOMENTS.map(datetime.date),
    ),
    max_size=40,
    unique_by=(lambda f: (f.unit, f.service, f.key, f.milestone), lambda f: f.message),
)
PERIODS = st.sampled_from(["2026-10", "2026-11", "2026-12", "2026-Q4", "2026"]).map(parse_period)
NOWS = MOMENTS | st.just(AFTER)
UNITS = ("A", "B", "C")


def recount(facts: Sequence[Fact], unit: str, period: Period, now: datetime) -> tuple[dict[str, int], datetime | None]:
    """Count the plain way: for each column a look at every fact of *unit*."""
    mine = [f for f in facts if f.unit == unit and f.service == "documents"]
    inside = [f for f in mine if period.start <= f.at < period.end]
    known = [f for f in mine if f.at < period.end and f.at <= now]
    today = min(now, period.end).astimezone(HANOI).date()

    def flow(milestone: str, true=lambda _: True) -> int:
        return len([f for f in inside if f.milestone == milestone and true(f)])

    def receipts(of: Fact) -> list[Fact]:
        return [f for f in mine if f.milestone == "received" and f.key == of.key and f.at < period.end]

    def in_time(f: Fact) -> bool:
        return any((f.at - r.at).total_seconds() <= 24 * 3600 for r in receipts(f))

    def on_time(f: Fact) -> bool:
        dues = [r.due for r in [*receipts(f), f] if r.due]
        return bool(receipts(f)) and (
            not dues or f.at.astimezone(HANOI).strftime("%Y%m%d") <= dues[0].strftime("%Y%m%d")
        )

    def state(key: str) -> str:
        now_at = "00"
        order = {"00": 0, "01": 1, "02": 2, "03": 2, "04": 3, "05": 4, "06": 5}
        for f in sorted((f for f in known if f.key == key), key=lambda f: (f.at, f.message)):
            code = f.milestone.removeprefix("status-")
            if now_at not in ("02", "06") and order.get(code, 0) > order[now_at]:
                now_at = code
        return now_at

    def arrived(key: str) -> bool:
        return any(f.milestone == "received" for f in known if f.key == key)

    def ended(key: str) -> bool:
        return bool({"status-02", "status-06"} & {f.milestone for f in known if f.key == key})

    keys = {f.key for f in known}
    return {
        "sent_inside": flow("sent", lambda f: not f.outside),
        "sent_outside": flow("sent", lambda f: f.outside),
        "sent": flow("sent"),
        "received_inside": flow("received", lambda f: not f.outside),
        "received_outside": flow("received", lambda f: f.outside),
        "received": flow("received"),
        "total": flow("sent") + flow("received"),
        "recalls": flow("sent-recall"),
        "updates": flow("sent-update"),
        "replacements": flow("sent-replacement"),
        "signed": flow("sent", lambda f: f.signature == "valid"),
        "not_signed": flow("sent", lambda f: f.signature != "valid"),
        "on_paper": flow("sent", lambda f: f.paper),
        "acknowledged": flow("status-03", receipts),
        "acknowledged_in_time": flow("status-03", in_time),
        "refused": flow("status-02", receipts),
        "completed": flow("status-06", receipts),
        "completed_on_time": flow("status-06", on_time),
        "completed_unmatched": flow("status-06", lambda f: not receipts(f)),
        "results_unmatched": sum(
            flow(f"status-{code}", lambda f: not receipts(f)) for code in ("02", "03", "04", "05")
        ),
        "processing": len([key for key in keys if state(key) in ("04", "05") and arrived(key)]),
        "overdue": len(
            [f for f in known if f.milestone == "received" and f.due and f.due < today and not ended(f.key)]
        ),
        "failed": flow("failed"),
    }, max([f.at for f in inside], default=None)


@given(HISTORIES, PERIODS, NOWS)
def test_every_cell_equals_a_plain_recount(facts, period, now):
    report = count_report(EDOC, iter(facts), period, now, UNITS)
    assert {row.unit: (row.numbers, row.times["last_update"]) for row in report.rows} == {
        unit: recount(facts, unit, period, now) for unit in UNITS
    }


@given(HISTORIES, PERIODS, NOWS)
def test_the_total_is_the_sum_of_the_rows_and_its_time_the_latest(facts, period, now):
    report = count_report(EDOC, facts, period, now, UNITS)
    assert list(report.total.numbers) == NUMBERS
    rows: list[Mapping[str, Any]] = [row.numbers for row in report.rows]
    for key in NUMBERS:
        assert report.total.numbers[key] == sum(numbers[key] for numbers in rows)
    times = [at for row in report.rows if (at := row.times["last_update"])]
    assert report.total.times["last_update"] == max(times, default=None)


@given(HISTORIES, PERIODS, NOWS)
@pytest.mark.slow
def test_each_number_opens_into_exactly_as_many_facts(facts, period, now):
    report = count_report(EDOC, facts, period, now, UNITS)
    for units, row in [(UNITS, report.total), *(((row.unit,), row) for row in report.rows)]:
        for key in NUMBERS:
            found = find_counted_facts(EDOC, key, facts, period, now, units)
            assert len(found) == len(set(found)) == row.numbers[key]
            assert {fact.unit for fact in found} <= set(units)
    every = [line.fact for line in gather_evidence(EDOC, facts, period, now, UNITS)]
    assert set(every) >= {fact for key in COUNTED for fact in find_counted_facts(EDOC, key, facts, period, now, UNITS)}
    assert len(every) == len(set(every))


@given(HISTORIES, PERIODS, NOWS)
def test_every_formula_holds_in_every_row(facts, period, now):
    report = count_report(EDOC, facts, period, now, UNITS)
    rows: list[Mapping[str, Any]] = [row.numbers for row in (report.total, *report.rows)]
    for found in rows:
        for column in EDOC.columns:
            if column.kind is ColumnKind.FORMULA:
                assert found[column.key] == sum(found[key] for key in column.sum)
        assert found["signed"] + found["not_signed"] == found["sent"]


@given(HISTORIES)
@pytest.mark.slow
def test_a_quarter_is_the_sum_of_its_months_and_ends_with_the_stocks_of_its_last(facts):
    earliest: dict[tuple[str, str], datetime] = {}
    for fact in sorted(facts, key=lambda f: f.at):
        earliest.setdefault((fact.unit, fact.key), fact.at)
    facts = [
        f for f in facts if f.milestone != "received" or f.at == earliest[f.unit, f.key]
    ]  # received before answered

    def cells(text: str):
        return count_report(EDOC, facts, parse_period(text), AFTER, UNITS).total.numbers

    quarter, months = cells("2026-Q4"), [cells(f"2026-{month}") for month in (10, 11, 12)]
    for column in EDOC.columns:
        if column.kind is ColumnKind.STOCK:
            assert quarter[column.key] == months[-1][column.key]
        elif column.kind is not ColumnKind.TIME:
            assert quarter[column.key] == sum(month[column.key] for month in months)


def test_a_receipt_recorded_after_the_period_changes_nothing_in_it():
    facts = [fact("status-03", "2026-12-14 23:50"), fact("received", "2026-12-15 00:05")]
    assert numbers(*facts) == {"results_unmatched": 1}
    assert numbers(*facts, period=parse_period("2027-Q1")) == {"received_inside": 1, "received": 1, "total": 1}


@given(HISTORIES, PERIODS, st.randoms())
@pytest.mark.slow
def test_neither_the_order_of_the_facts_nor_what_comes_after_the_period_changes_a_report(facts, period, random):
    def made(some: Sequence[Fact]) -> Report:
        return count_report(EDOC, some, period, AFTER, UNITS)

    mixed = random.sample(facts, len(facts))
    assert made(facts) == made(mixed) == made([fact for fact in mixed if fact.at < period.end])
