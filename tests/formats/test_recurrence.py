"""Recurrence rules against dateutil, which nobody here wrote, and against each day looked at by itself; and what no rule may cost."""

from calendar import monthrange
from datetime import date, datetime, time, timedelta
from itertools import groupby

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.formats.rrule import list_rule_days, parse_rrule
from tests import effort
from tests.examples import at_most

DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
EVERY_WAY = ",".join(f"{number or ''}{day}" for number in range(-5, 6) for day in DAYS)
HUNDRED = ",".join(map(str, range(1, 101)))
HUNDRED_DAYS = ",".join(str(day % 31 + 1) for day in range(100))
NUMBERED = st.builds("{}{}".format, st.sampled_from([1, 2, 3, 4, -1]), st.sampled_from(DAYS))


@st.composite
def rules(draw):
    """Draw a rule that falls on days again and again: dateutil would look for another kind until the year 9999."""
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={frequency}"]
    if frequency != "DAILY":
        parts.append(f"INTERVAL={draw(st.integers(1, 4))}")
    kind = draw(st.sampled_from([st.sampled_from(DAYS)] + [NUMBERED] * (frequency in {"MONTHLY", "YEARLY"})))
    match draw(st.integers(0, 3)):
        case 1:
            parts.append("BYDAY=" + ",".join(draw(st.lists(kind, min_size=1, max_size=3, unique=True))))
            if frequency in {"MONTHLY", "YEARLY"} and draw(st.booleans()):
                parts.append(f"BYSETPOS={draw(st.sampled_from([1, -1]))}")
        case 2 if frequency == "MONTHLY":
            wanted = st.lists(st.sampled_from([1, 15, 28, -1, -2]), min_size=1, max_size=3, unique=True)
            parts.append("BYMONTHDAY=" + ",".join(map(str, draw(wanted))))
        case 3 if frequency == "YEARLY":
            months = st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True)
            parts.append("BYMONTH=" + ",".join(map(str, draw(months))))
    if draw(st.booleans()):
        parts.append(f"COUNT={draw(st.integers(1, 30))}")
    if draw(st.booleans()):
        parts.append(f"WKST={draw(st.sampled_from(DAYS))}")
    return ";".join(parts)


@settings(deadline=None, max_examples=at_most(150))
@given(rules(), st.dates(date(2024, 1, 1), date(2030, 12, 27)))
def test_a_rule_falls_on_the_days_on_which_dateutil_says_it_falls(rule, first):
    if first.day > 28:
        first = first.replace(day=28)
    last, expected = first + timedelta(days=366), []
    for when in rrulestr(rule, dtstart=datetime.combine(first, time.min)):
        if when.date() > last:
            break
        expected.append(when.date())
    assert list_rule_days(parse_rrule(rule), first, last) == expected


@st.composite
def any_rules(draw):
    """Draw a rule of any parts, most of which nobody would write, and some that never fall on a day."""
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    numbered = st.builds(
        "{}{}".format, st.sampled_from(["", *range(-6, 0), *range(1, 7), -53, 53, 99]), st.sampled_from(DAYS)
    )
    kinds = {
        "INTERVAL": st.sampled_from([2, 3, 7, 12, 13, 400, 999_999]).map(str),
        "COUNT": st.integers(1, 60).map(str),
        "BYMONTH": numbers(range(1, 13)),
        "BYMONTHDAY": numbers([*range(-31, 0), *range(1, 32)]),
        "BYDAY": st.lists(
            numbered if frequency in {"MONTHLY", "YEARLY"} else st.sampled_from(DAYS), min_size=1, max_size=12
        ).map(",".join),
        "BYSETPOS": numbers([*range(-6, 0), *range(1, 7), 31, 366, -366]),
        "WKST": st.sampled_from(DAYS),
    }
    if frequency == "WEEKLY":
        del kinds["BYMONTHDAY"], kinds["BYSETPOS"]
    chosen = draw(st.lists(st.sampled_from(sorted(kinds)), unique=True))
    return ";".join([f"FREQ={frequency}", *(f"{name}={draw(kinds[name])}" for name in chosen)])


def numbers(allowed):
    return st.lists(st.sampled_from(list(allowed)).map(str), min_size=1, max_size=8).map(",".join)


@settings(deadline=None, max_examples=at_most(150))
@given(any_rules(), st.dates(date(2023, 1, 1), date(2031, 12, 31)), st.sampled_from([0, 40, 366, 366, 800]))
@pytest.mark.slow
def test_a_rule_falls_on_the_days_that_fit_it_one_by_one(text, first, span):
    rule, last = parse_rrule(text), first + timedelta(span)
    expected = [day for day in one_by_one(rule, first, last) if day >= first]
    assert list_rule_days(rule, first, last) == (expected if rule.count is None else expected[: rule.count])


def one_by_one(rule, first, last):
    """Yield the days by looking at each by itself: slow, and plain."""
    begin = period(rule, first)[1]
    every = (begin + timedelta(number) for number in range((last - begin).days + 1 + 366 * bool(rule.positions)))
    for number, group in groupby(every, lambda day: period(rule, day)[0]):
        if (number - period(rule, first)[0]) % rule.interval:
            continue
        fitting = [day for day in group if fits(rule, day, first)]
        if rule.positions:
            at = {place - 1 if place > 0 else len(fitting) + place for place in rule.positions}
            fitting = [day for place, day in enumerate(fitting) if place in at]
        yield from (day for day in fitting if day <= last)


def period(rule, day):
    """Return the number of the period that *day* lies in and the first day of it."""
    if rule.frequency == "DAILY":
        return day.toordinal(), day
    if rule.frequency == "WEEKLY":
        start = day - timedelta((day.weekday() - rule.week_start) % 7)
        return start.toordinal() // 7, start
    return (
        (day.year * 12 + day.month, day.replace(day=1))
        if rule.frequency == "MONTHLY"
        else (day.year, date(day.year, 1, 1))
    )


def fits(rule, day, first):
    length = monthrange(day.year, day.month)[1]
    if rule.months and day.month not in rule.months:
        return False
    if rule.month_days and not {day.day, day.day - length - 1} & rule.month_days:
        return False
    if rule.days:
        return any(is_nth(rule, day, number) for number, weekday in rule.days if weekday == day.weekday())
    if rule.month_days or rule.frequency == "DAILY":
        return True
    if rule.frequency == "WEEKLY":
        return day.weekday() == first.weekday()
    return day.day == first.day and (rule.frequency == "MONTHLY" or bool(rule.months) or day.month == first.month)


def is_nth(rule, day, number):
    if rule.frequency == "YEARLY" and not rule.months:
        start, end = date(day.year, 1, 1), date(day.year, 12, 31)
    else:
        start, end = day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])
    return number in {0, (day - start).days // 7 + 1, -((end - day).days // 7 + 1)}


def test_the_weekly_briefing_of_the_province_is_on_every_monday():
    found = list_rule_days(parse_rrule("FREQ=WEEKLY;BYDAY=MO;COUNT=3"), date(2026, 11, 2), date(2027, 11, 2))
    assert found == [date(2026, 11, 2), date(2026, 11, 9), date(2026, 11, 16)]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=DAILY;INTERVAL=999999",
        "FREQ=MONTHLY;BYDAY=5MO,-5MO;BYMONTH=2;BYSETPOS=-366",
        "FREQ=DAILY;COUNT=999999",
        "FREQ=DAILY;BYDAY=" + ",".join(["MO"] * 100),
        "FREQ=YEARLY;BYMONTH=1,2,3,4,5,6,7,8,9,10,11,12;BYDAY=" + EVERY_WAY + ";BYSETPOS=" + HUNDRED,
        "FREQ=MONTHLY;BYMONTHDAY=" + HUNDRED_DAYS + ";BYSETPOS=" + HUNDRED,
    ],
)
def test_a_rule_that_never_falls_or_always_does_costs_no_more_than_another(rule):
    """A hundred entries in each part, looked for day by day, took 15 signatures.  What disturbs one look does not disturb all."""

    def list_days() -> list[date]:
        return list(list_rule_days(parse_rrule(rule), date(2026, 11, 24), date(2027, 11, 25)))

    assert min(effort.measure(list_days)[0] for _ in range(100)) < 4 * effort.SIGNATURE
    assert len(list_days()) <= 367


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "FREQ=SECONDLY",
        "INTERVAL=2",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;BYHOUR=1,2,3",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;COUNT=-1",
        "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=MONTHLY;BYMONTHDAY=" + ",".join(["1"] * 1000),
        "FREQ=YEARLY;BYMONTH=13",
        "FREQ=YEARLY;COUNT=" + "9" * 5000,
        "nonsense",
    ],
)
def test_what_is_no_rule_or_one_by_the_hour_is_refused(rule):
    with pytest.raises(ValueError, match=r".+"):
        parse_rrule(rule)


@given(st.text(st.sampled_from("FREQ=DAILYWKMOTHUSBPC;,-+0123456789"), max_size=60))
def test_no_text_breaks_the_reading_of_rules(text):
    try:
        rule = parse_rrule(text)
    except ValueError:
        return
    list_rule_days(rule, date(2026, 11, 24), date(2026, 12, 24))
