"""What the report of dossiers counts (standards 4.1), and that it is what an office's own books say."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.model import Fact
from hub.report.counting.counting import count_report, find_counted_facts
from hub.report.form.column import ColumnKind, Timing
from hub.report.form.folder import read_form_folder
from hub.report.form.period import Period, Span, parse_period
from hub.services.dossiers import read_dossier_call
from hub.services.dossiers.waits import RESUMED, RESUMES, WAITING, WAITS, place_wait
from lienthong_demo.plan.dossiers import COURSES, Dossier, count_office_dossiers, count_office_table
from tests.conftest import ROOT
from tests.dossiers import progress, sync
from tests.pages import quoted, rows, sections

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
FORM = next(form for form in read_form_folder() if form.id == "dossiers")
DECEMBER = parse_period("2026-12")  # from 15 November to 14 December
AFTER = datetime(2027, 3, 1, tzinfo=UTC)


TABLE = next(form for form in read_form_folder() if form.id == "btp07a")
SUMS = {column.key for column in FORM.columns if column.kind is ColumnKind.FORMULA}
#: What form qd766 takes has tests of its own (tests/journal/test_indicators.py).
FOR_766 = {column.key for column in FORM.columns if column.group and "766" in column.group.en}


def on(text: str) -> date:
    """Return the day *text* of 2026, such as `11-20`."""
    return date.fromisoformat(f"2026-{text}")


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=HANOI).astimezone(UTC)


def fact(milestone: str, day: str | None, key: str = "1", **rest: Any) -> Fact:
    """Return a fact of unit `A`; the hub learned of it on 1 December unless *rest* says otherwise."""
    rest = {"unit": "A", "service": "dossiers", "message": f"{key} {milestone}", "at": noon(on("12-01")), **rest}
    return Fact(key=key, milestone=milestone, day=on(day) if day else None, **rest)


def numbers(*facts: Fact, period: Period = DECEMBER, now: datetime = AFTER) -> dict[str, Any]:
    """Return the numbers of unit `A` that are not 0, without sums of others and the parts of indicators."""
    said = count_report(FORM, facts, period, now, ("A",)).total.numbers
    return {key: number for key, number in said.items() if number and key not in SUMS | FOR_766}


def received(day: str = "11-20", due: str | None = "11-27", channel: str = "online", **rest: Any) -> Fact:
    return fact("received", day, due=due and on(due), attributes=(("channel", channel),), **rest)


def finished(day: str, outcome: str = "done", **rest: Any) -> Fact:
    return fact("finished", day, attributes=(("outcome", outcome),), **rest)


@pytest.mark.parametrize(
    ("channel", "column"),
    [("online", "online"), ("direct", "direct"), ("post", "post"), ("", "unstated")],
)
def test_what_was_received_is_told_by_its_channel(channel, column):
    assert numbers(received(channel=channel), finished("11-21")) == {f"received_{column}": 1, "finished_early": 1}


@pytest.mark.parametrize(
    ("due", "day", "timing"),
    [
        ("11-27", "11-26", "early"),
        ("11-27", "11-27", "on_time"),
        ("11-27", "11-28", "late"),
        (None, "11-28", "on_time"),
    ],
)
def test_an_end_is_early_on_time_or_late_by_its_day_against_the_due_day(due, day, timing):
    found = numbers(received(due=due), finished(day))
    assert found == {"received_online": 1, f"finished_{timing}": 1}
    assert Timing.of(on(day), due and on(due)) == timing


def test_the_due_day_is_that_of_the_end_else_the_latest_that_was_told():
    late = received(due="11-21")
    assert numbers(late, finished("11-25", due=on("11-25")))["finished_on_time"] == 1
    extended = fact("supplemented", "11-22", due=on("11-26"))
    assert numbers(late, extended, finished("11-25"))["finished_early"] == 1
    further = fact("supplemented-again", "11-23", due=on("11-25"))
    assert numbers(late, extended, further, finished("11-25"))["finished_on_time"] == 1
    assert numbers(finished("11-25"))["finished_on_time"] == 1, "nothing says when it was due"


def test_what_put_the_due_day_off_after_the_end_changes_nothing_of_it():
    late, after = received(due="11-23"), fact("supplemented", "11-26", due=on("12-20"))
    assert numbers(late, after, finished("11-25"))["finished_late"] == 1
    received_afterwards = received("11-26", due="12-20")
    assert numbers(received_afterwards, finished("11-25"))["finished_on_time"] == 1


def test_what_was_withdrawn_has_its_own_column():
    facts = received(), finished("11-21", "withdrawn"), fact("withdrawn", "11-21")
    assert numbers(*facts) == {"received_online": 1, "withdrawn": 1}


def test_a_result_belongs_to_the_period_of_its_own_day_whenever_the_hub_was_told():
    told_late = received("11-14", at=noon(on("11-16")))
    assert numbers(told_late, period=parse_period("2026-11"))["received_online"] == 1
    assert "received_online" not in numbers(told_late)
    told_after_the_end = finished("12-14", at=noon(date(2027, 1, 20)))
    assert numbers(received(), told_after_the_end)["finished_late"] == 1
    assert find_counted_facts(FORM, "finished_late", [told_after_the_end, received()], DECEMBER, AFTER) == (
        told_after_the_end,
    )


def test_what_has_no_day_counts_on_the_day_the_hub_was_told_in_hanoi():
    for at, counts in (("2026-12-14T23:59+07:00", True), ("2026-12-15T00:00+07:00", False)):
        found = numbers(fact("paused", None, at=datetime.fromisoformat(at).astimezone(UTC)))
        assert ("paused" in found) is counts


def test_what_was_open_when_the_period_began_is_carried_over():
    old = received("11-14", due="11-30")
    assert numbers(old) == {"carried_over": 1, "pending_overdue": 1}
    assert numbers(old, finished("11-15")) == {"carried_over": 1, "finished_early": 1}
    assert numbers(old, finished("11-14")) == {}
    assert numbers(old, fact("refused", "11-14")) == {}
    assert numbers(received("11-15", due="11-30"), finished("11-15")) == {"received_online": 1, "finished_early": 1}


def test_what_is_taken_over_after_its_end_has_ended_once():
    """The months are added up in the quarter: a second beginning must not let the same end count again."""
    facts = received("10-20"), finished("11-10"), fact("taken-over", "11-20")
    ended = [
        count_report(FORM, facts, parse_period(period), AFTER, ("A",)).total.numbers["ended_in_time"]
        for period in ("2026-11", "2026-12", "2026-Q4")
    ]
    assert ended == [1, 0, 1]


def test_what_is_in_hand_is_as_it_stands_on_the_last_day_or_today():
    facts = received(due="12-13"), finished("12-14")
    assert numbers(*facts) == {"received_online": 1, "finished_late": 1}
    before = {"received_online": 1, "finished_late": 1}  # a day that has not come is told already
    assert numbers(*facts, now=noon(on("12-13"))) == {**before, "pending_in_time": 1}
    open_still = received(due="12-13")
    assert numbers(open_still) == {"received_online": 1, "pending_overdue": 1}
    assert numbers(received(due="12-14")) == {"received_online": 1, "pending_in_time": 1}
    assert numbers(open_still, now=noon(on("12-13"))) == {"received_online": 1, "pending_in_time": 1}
    assert numbers(received(due=None)) == {"received_online": 1, "pending_in_time": 1}
    extended = fact("supplemented", "12-01", due=on("12-20"))
    assert numbers(open_still, extended) == {"received_online": 1, "pending_in_time": 1, "supplemented": 1}


def test_what_a_unit_declares_is_summed_and_stands_apart():
    facts = [
        fact("declared-received", "12-01", "2026-12", amount=40),
        fact("declared-in-time", "12-01", "2026-12", amount=28),
        fact("declared-late", "12-01", "2026-12", amount=2),
    ]
    assert numbers(*facts) == {"declared_received": 40, "declared_finished": 30}
    assert numbers(*facts, period=parse_period("2026-Q4")) == {"declared_received": 40, "declared_finished": 30}
    assert numbers(*facts, period=parse_period("2027-01")) == {}


def test_the_page_has_every_column():
    section = sections(ROOT / "docs/reference/reports.md")["The form `dossiers`: dossiers of administrative procedures"]
    assert {name for row in rows(section) for name in quoted(row[0])} == {column.key for column in FORM.columns}


# --- as a plain recount has it --------------------------------------------------------------------------------------------

DAYS = st.integers(0, 70).map(lambda number: on("10-10") + timedelta(number))
HISTORIES = st.lists(
    st.builds(
        Fact,
        unit=st.sampled_from("AB"),
        service=st.just("dossiers"),
        key=st.sampled_from("123"),
        milestone=st.sampled_from(
            ["received"] * 3 + ["finished"] * 2 + ["refused", "supplemented", "supplemented-again"]
        ),
        at=DAYS.map(noon),
        message=st.uuids().map(str),
        due=st.none() | DAYS,
        day=st.none() | DAYS,
        attributes=st.sampled_from([(), (("channel", "online"),), (("outcome", "withdrawn"),)]),
    ),
    max_size=20,
    unique_by=(lambda f: (f.unit, f.key, f.milestone), lambda f: f.message),
)
PERIODS = st.sampled_from(["2026-11", "2026-12", "2026-Q4"]).map(parse_period)


def recount(facts: Sequence[Fact], period: Period, today: date) -> dict[str, int]:
    """Count the plain way, by the table of the standard: a look at every fact for each number."""
    mine = [f for f in facts if f.unit == "A"]

    def day(f: Fact) -> date:
        return f.day or f.at.astimezone(HANOI).date()

    def had(key: str, names: str, until: date) -> list[Fact]:
        return [f for f in mine if f.key == key and f.milestone in names.split() and day(f) <= until]

    def due(f: Fact, until: date) -> date | None:
        told = [f, *had(f.key, "supplemented supplemented-again", until)]
        dated = sorted((day(each), each.at, each.message, each.due) for each in told if each.due)
        return dated[-1][3] if dated else None

    def timing(f: Fact) -> str:
        known = f.due
        if known is None:
            known = next((due(r, day(f)) for r in had(f.key, "received", day(f))), due(f, day(f)))
        return "on_time" if known is None or known == day(f) else ("early" if day(f) < known else "late")

    def withdrawn(f: Fact) -> bool:
        return ("outcome", "withdrawn") in f.attributes

    def is_open(f: Fact, until: date) -> bool:
        return f.milestone == "received" and day(f) <= until and not had(f.key, "finished refused", until)

    inside = [f for f in mine if period.first <= day(f) <= period.last]
    ends = [f for f in inside if f.milestone == "finished"]
    last, before = min(period.last, today), min(period.first - timedelta(1), today)
    pending = [f for f in mine if is_open(f, last)]
    overdue = [f for f in pending if (d := due(f, last)) is not None and d < last]
    found = {
        "received": len([f for f in inside if f.milestone == "received"]),
        "received_online": len(
            [f for f in inside if f.milestone == "received" and ("channel", "online") in f.attributes]
        ),
        "carried_over": len([f for f in mine if is_open(f, before)]),
        "withdrawn": len([f for f in ends if withdrawn(f)]),
        "pending": len(pending),
        "pending_overdue": len(overdue),
    }
    for name in ("early", "on_time", "late"):
        found[f"finished_{name}"] = len([f for f in ends if not withdrawn(f) and timing(f) == name])
    return found


@given(HISTORIES, PERIODS, DAYS)
@pytest.mark.slow
def test_every_number_equals_a_plain_recount(facts, period, today):
    said = count_report(FORM, iter(facts), period, noon(today), ("A",)).total.numbers
    expected = recount(facts, period, today)
    assert {key: said[key] for key in expected} == expected


@given(HISTORIES, PERIODS)
@pytest.mark.slow
def test_what_came_in_went_out_or_is_in_hand(facts, period):
    """3 = 7 + 11 of form II.06a, where no end comes before its receipt and nobody turns down what was received."""
    days = {(f.unit, f.key): f.day or f.at.date() for f in facts if f.milestone == "received"}
    sound = [
        f
        for f in facts
        if f.milestone != "refused" and (f.unit, f.key) in days and (f.day or f.at.date()) >= days[f.unit, f.key]
    ]
    said: Mapping[str, Any] = count_report(FORM, sound, period, AFTER, ("A", "B")).total.numbers
    assert said["total"] == said["finished"] + said["pending"]


@given(HISTORIES, PERIODS, DAYS)
@pytest.mark.slow
def test_each_number_opens_into_the_facts_it_counts(facts, period, today):
    report = count_report(FORM, facts, period, noon(today), ("A", "B"))
    for column in FORM.columns:
        found = find_counted_facts(FORM, column.key, facts, period, noon(today), ("A", "B"))
        assert sum(each.amount for each in found) == report.total.numbers[column.key]


# --- as an office's books have it -----------------------------------------------------------------------------------------


def told(dossiers: Sequence[Dossier], days: Sequence[date], chance: random.Random) -> list[tuple[datetime, bytes]]:
    """Let the days go by; return all the calls that tell of them, with their times, and some twice.

    That a dossier waits has no day of its own in most calls: it goes by the day of the call.
    """
    calls = []
    for today in days:
        contents = []
        for dossier in dossiers:
            for step in dossier.steps(today):
                if step.told != "progress":
                    contents.append(sync(dossier.state(), organ="A"))
                if step.told != "sync":
                    contents.append(progress(dossier.progress(step, today), organ="A"))
        contents += chance.sample(contents, k=min(2, len(contents)))
        calls += [(noon(today) + timedelta(minutes=number), content) for number, content in enumerate(contents)]
    return calls


@pytest.mark.parametrize("seed", range(3))
def test_the_report_is_what_the_books_of_an_office_say(seed):
    chance = random.Random(seed)
    days = [on("11-13") + timedelta(number) for number in range(12)]
    dossiers = [Dossier("A", number, days[number % 7]) for number in range(4 * len(COURSES))]
    facts: dict[tuple[str, str], Fact] = {}
    for number, (at, content) in enumerate(told(dossiers, days, chance)):
        for each in read_dossier_call(content, at, f"m-{number}").facts:
            waits = [facts[each.key, name] for name in (*WAITS, *RESUMES) if (each.key, name) in facts]
            one = place_wait(waits, each) if each.milestone in (WAITING, RESUMED) else each  # as the journal records it
            if one is not None:
                facts.setdefault((one.key, one.milestone), one)
    books: Mapping[str, int] = {}
    filled: set[str] = set()
    sums = {column.key for column in TABLE.columns if column.kind is ColumnKind.FORMULA}
    for first, last in ((days[0], days[2]), (days[0], days[4]), (days[5], days[-1]), (days[0], days[-1])):
        period = Period("books", Span.MONTH, 2026, 11, first, last)
        evening = noon(last) + timedelta(hours=9)
        said = count_report(FORM, facts.values(), period, evening, ("A",)).total.numbers
        books = count_office_dossiers(dossiers, first, last)
        assert {key: said[key] for key in books} == books
        in_table = count_report(TABLE, facts.values(), period, evening, ("A",)).total.numbers
        table = count_office_table(dossiers, first, last)
        filled |= table.keys()
        assert {
            key: number for key, number in in_table.items() if number and key not in sums | {"carried_over"}
        } == table
        kinds = ("received_", "finished_", "pending_", "withdrawn", "refused", "returned", "supplement")
        unbooked = {
            key: number for key, number in said.items() if key.startswith(kinds) and key not in books.keys() | FOR_766
        }
        assert not any(unbooked.values()), unbooked
    assert {
        "finished_early",
        "finished_on_time",
        "finished_late",
        "withdrawn",
        "refused",
        "pending_overdue",
    } <= books.keys()
    never = {"received_online_other", "taken_over", "carried_over"}
    assert {column.key for column in TABLE.columns} - sums - filled <= never, "each other column is tried"
