"""Recurrence rules against dateutil, which nobody here wrote; and what no rule may cost."""

from datetime import date, datetime, time, timedelta
from time import process_time

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.recurrence import days, parse

DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
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


@settings(deadline=None, max_examples=150)
@given(rules(), st.dates(date(2024, 1, 1), date(2030, 12, 27)))
def test_a_rule_falls_on_the_days_on_which_dateutil_says_it_falls(rule, first):
    if first.day > 28:
        first = first.replace(day=28)
    last, expected = first + timedelta(days=366), []
    for when in rrulestr(rule, dtstart=datetime.combine(first, time.min)):
        if when.date() > last:
            break
        expected.append(when.date())
    assert days(parse(rule), first, last) == expected


def test_the_weekly_briefing_of_the_province_is_on_every_monday():
    found = days(parse("FREQ=WEEKLY;BYDAY=MO;COUNT=3"), date(2026, 11, 2), date(2027, 11, 2))
    assert found == [date(2026, 11, 2), date(2026, 11, 9), date(2026, 11, 16)]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=DAILY;INTERVAL=999999",
        "FREQ=MONTHLY;BYDAY=5MO,-5MO;BYMONTH=2;BYSETPOS=-366",
        "FREQ=DAILY;COUNT=999999",
    ],
)
def test_a_rule_that_never_falls_or_always_does_costs_no_more_than_another(rule):
    begun = process_time()
    assert len(days(parse(rule), date(2026, 11, 24), date(2027, 11, 25))) <= 367
    assert process_time() - begun < 0.5


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
        parse(rule)


@given(st.text(st.sampled_from("FREQ=DAILYWKMOTHUSBPC;,-+0123456789"), max_size=60))
def test_no_text_breaks_the_reading_of_rules(text):
    try:
        rule = parse(text)
    except ValueError:
        return
    days(rule, date(2026, 11, 24), date(2026, 12, 24))
