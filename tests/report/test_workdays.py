"""Which days public offices work, and deadlines in working days (docs/reference/reports.md, “Working days”)."""

import tomllib
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.errors import ConfigurationFault
from hub.report.form.workdays import FILE, load_workdays, read_workdays

SHIPPED = load_workdays()
DAYS = st.dates(date(2023, 1, 1), date(2028, 12, 31))
SMALL = """
known = { since = 2026-01-01, until = 2027-01-01 }
[[week]]
since = 2000-01-01
off = ["sunday"]
"""


def on(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        ("2026-11-25", True),  # a Wednesday
        ("2026-11-28", False),  # a Saturday
        ("2026-02-17", False),  # the first day of Tết
        ("2026-02-23", True),
        ("2026-04-27", False),  # Hùng Kings' day was a Sunday
        ("2025-05-02", False),  # a Friday, made up for
        ("2025-04-26", True),  # on a Saturday
        ("2024-05-04", True),
    ],
)
def test_offices_work_as_the_week_has_it_but_for_holidays_and_swapped_days(day, worked):
    assert SHIPPED.is_working(on(day)) is worked


@pytest.mark.parametrize(
    ("day", "number", "then"),
    [
        ("2026-12-14", 2, "2026-12-16"),  # the report of December: Monday to Wednesday
        ("2026-11-14", 2, "2026-11-17"),  # a Saturday: Monday is the first
        ("2026-02-14", 2, "2026-02-24"),  # Tết lies between
        ("2025-04-25", 1, "2025-04-26"),  # a Saturday that is worked
        ("2026-11-28", 0, "2026-11-28"),
    ],
)
def test_a_report_is_due_so_many_working_days_after_its_period(day, number, then):
    assert SHIPPED.add(on(day), number) == on(then)


@pytest.mark.parametrize(
    ("day", "number", "then"),
    [
        ("2026-11-30", 1, "2026-11-27"),  # over a weekend
        ("2026-11-29", 1, "2026-11-27"),  # from a Sunday
        ("2026-11-27", 3, "2026-11-24"),
        ("2026-02-24", 2, "2026-02-13"),  # Tết lies between
        ("2026-11-28", 0, "2026-11-28"),
    ],
)
def test_a_day_of_warning_lies_so_many_working_days_before_the_due_day(day, number, then):
    assert SHIPPED.subtract(on(day), number) == on(then)


@pytest.mark.parametrize("count", [SHIPPED.add, SHIPPED.subtract], ids=["add", "subtract"])
def test_a_number_of_working_days_is_not_negative(count):
    with pytest.raises(ValueError, match="-1 working days"):
        count(on("2026-11-25"), -1)


@given(DAYS, st.integers(0, 40))
def test_as_many_working_days_as_were_added_lie_between(day, number):
    then = SHIPPED.add(day, number)
    assert SHIPPED.between(day, then) == number
    assert SHIPPED.between(then, day) == -number
    assert not number or SHIPPED.is_working(then)


@given(DAYS, DAYS)
def test_what_lies_between_is_a_plain_count(one, other):
    first, last = sorted((one, other))
    days = [first + timedelta(number) for number in range(1, (last - first).days + 1)]
    assert SHIPPED.between(first, last) == len([day for day in days if SHIPPED.is_working(day)])


def test_a_date_that_rests_on_a_day_nobody_announced_yet_may_move():
    assert SHIPPED.is_sure(on("2026-02-14"), SHIPPED.add(on("2026-02-14"), 2))
    assert not SHIPPED.is_sure(on("2027-02-04"), SHIPPED.add(on("2027-02-04"), 2))
    assert not SHIPPED.is_sure(on("2027-12-30"), on("2028-01-03")), "no year after those of the file is known"
    assert SHIPPED.is_sure(on("2023-12-31"), on("2024-01-02"))
    assert not SHIPPED.is_sure(on("2023-12-29"), on("2024-01-02"))


def test_a_holiday_that_is_off_by_its_week_anyway_and_a_worked_day_that_is_worked_anyway_are_not_in_the_file():
    for at, day in SHIPPED.days.items():
        if day.worked:
            assert at.weekday() >= 5, at
    for entry in tomllib.loads(FILE.read_text("utf-8"))["off"]:
        days = [entry["first"], entry.get("last", entry["first"])]
        assert all(day.weekday() < 5 for day in days), entry


def test_every_swapped_day_is_made_up_for_in_the_same_year():
    worked = [at for at, day in SHIPPED.days.items() if day.worked]
    assert [at.isoformat() for at in sorted(worked)] == ["2024-05-04", "2025-04-26", "2026-01-10", "2026-08-22"]
    for at in worked:
        said = SHIPPED.days[at].says.vi.removeprefix("Làm bù ngày ")
        day, month = map(int, said.split("/"))
        assert SHIPPED.days[date(at.year, month, day)].worked is False


def test_a_province_lays_its_own_days_over_those_that_come_with_the_hub(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(
        '[[off]]\nfirst = 2026-11-24\nvi = "Ngày Văn hóa"\nen = "Day of culture"\n'
        '[[worked]]\nday = 2027-02-05\nvi = "Làm"\nen = "Worked"\n'
        '[[week]]\nsince = 2028-01-01\noff = ["friday", "saturday", "sunday"]\n',
        encoding="utf-8",
    )
    found = load_workdays(own)
    assert (SHIPPED.is_working(on("2026-11-24")), found.is_working(on("2026-11-24"))) == (True, False)
    assert found.is_working(on("2027-02-05"))
    assert not found.is_working(on("2026-02-17"))
    assert (found.is_working(on("2027-12-10")), found.is_working(on("2028-01-07"))) == (True, False)
    assert (found.since, found.until) == (SHIPPED.since, SHIPPED.until)
    own.write_text("known = { until = 2029-01-01 }", encoding="utf-8")
    assert load_workdays(own).until == on("2029-01-01")


def mistakes(content: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigurationFault) as fault:
        read_workdays(content.encode(), "w.toml")
    return [(mistake.path.removeprefix("w.toml: "), str(mistake.wrong)) for mistake in fault.value.mistakes]


def test_every_mistake_of_a_calendar_is_told_at_once_with_its_place():
    content = """
colour = "red"
known = { since = 2027-01-01, until = 2026-01-01, to = 1 }
[[week]]
since = 2026-01-01
off = ["sunday", "sonntag"]
[[week]]
since = 2026-01-01
off = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
[[off]]
first = "soon"
vi = "A"
en = "A"
[[off]]
first = 2026-02-03
last = 2026-02-01
vi = "B"
[[off]]
first = 2026-03-01
last = 2026-03-02
vi = "C"
en = "C"
sure = "yes"
[[worked]]
day = 2026-03-02
vi = "D"
en = "D"
[[worked]]
vi = "E"
en = "E"
"""
    assert sorted(mistakes(content)) == sorted([
        ("colour", "is not a word of this table"),
        ("known.to", "is not a word of this table"),
        ("known.until", "is 2026-01-01"),
        ("week[0].off", "is 'sonntag'"),
        ("week[1].off", "has every day"),
        ("week[1].since", "is 2026-01-01"),
        ("off[0].first", "is 'soon'"),
        ("off[1].en", "is missing"),
        ("off[1].last", "is 2026-02-01"),
        ("off[2].sure", "is 'yes'"),
        ("worked[0]", "has 2026-03-02, which another entry has"),
        ("worked[1].day", "is missing"),
    ])  # fmt: skip


def test_a_calendar_by_itself_says_its_week_and_its_years():
    assert mistakes("") == [("known.since", "is missing"), ("known.until", "is missing"), ("week", "is missing")]
    assert mistakes("known = 3") == [("known", "is 3"), *mistakes("")]
    found = read_workdays(SMALL.encode(), "w.toml")
    assert (found.is_working(on("2026-11-28")), found.is_working(on("2026-11-29"))) == (True, False)
    assert found.is_working(on("1999-01-03")), "before every week nothing is off"


def test_a_file_that_is_no_toml_is_told_so():
    with pytest.raises(ConfigurationFault, match="TOML in UTF-8"):
        read_workdays(b"\xff", "w.toml")
