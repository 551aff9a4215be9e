"""Meetings held: by the day on which they were, in their newest revision; moved, cancelled and recurring ones."""

from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import attrs
import pytest

from hub.report.counting.counting import count_report, find_counted_facts
from hub.report.form import period
from hub.report.form.folder import read_form_folder
from hub.services.meetings import read_meetings
from lienthong_demo.plan.invitation import Invitation, Person, write_invitation

FORM = next(form for form in read_form_folder() if form.id == "meetings")
PERIOD = period.parse_period("2026-12")  # 15 November to 14 December
NOW = datetime(2026, 12, 10, 3, 0, tzinfo=UTC)
OFFICE = Person(address="vp@tinh.example", unit="H55.01")
MEETING = Invitation(
    uid="1", start=datetime(2026, 11, 24, 1, tzinfo=UTC), length=timedelta(hours=1), subject="Họp", organizer=OFFICE
)
LONG_AGO = datetime(2026, 10, 1, tzinfo=UTC)


def said(method="REQUEST", at=LONG_AGO, **changed):
    """Return the facts of one calendar, said and heard of *at*."""
    return read_meetings(write_invitation(attrs.evolve(MEETING, **changed), method, at), at, f"m{at}").facts


def held(*told, now=NOW):
    facts = [fact for each in told for fact in each]
    counted = count_report(FORM, facts, PERIOD, now, ["H55.01"]).total.numbers["held"]
    assert len(find_counted_facts(FORM, "held", facts, PERIOD, now)) == counted
    return counted


def test_a_meeting_called_long_before_is_held_in_the_period_of_its_day():
    assert held(said()) == 1


def test_one_whose_day_is_not_over_is_not_held_yet():
    assert held(said(start=NOW)) == 0
    assert held(said(start=NOW), now=NOW + timedelta(days=1)) == 1


@pytest.mark.parametrize(("day", "times"), [(14, 0), (15, 1), (44, 1), (45, 0)])
def test_the_day_decides_by_the_calendar_of_hanoi(day, times):
    start = datetime(2026, 11, 1, 1, tzinfo=UTC) + timedelta(days=day - 1)
    assert held(said(start=start), now=datetime(2027, 1, 1, tzinfo=UTC)) == times


def test_a_meeting_that_was_moved_counts_on_its_new_day_only():
    week = timedelta(days=7)
    moved = said(sequence=1, start=MEETING.start + week, at=LONG_AGO + week)
    back = said(sequence=2, at=LONG_AGO + 2 * week)
    away = said(sequence=3, start=MEETING.start + 9 * week, at=LONG_AGO + 3 * week)
    for order in permutations([said(), moved]):
        assert held(*order) == 1
    for order in permutations([said(), moved, back]):
        assert held(*order) == 1
    assert held(said(), moved, back, away) == 0


def test_a_meeting_that_was_cancelled_is_not_held_unless_it_is_called_again():
    cancelled = said("CANCEL", sequence=1, at=LONG_AGO + timedelta(1))
    again = said(sequence=2, at=LONG_AGO + timedelta(2))
    assert held(said(), cancelled) == 0
    assert held(cancelled, said()) == 0
    assert held(said(), cancelled, again) == 1


def test_what_is_heard_after_the_period_changes_nothing_in_it():
    late = datetime(2026, 12, 20, tzinfo=UTC)
    assert held(said(), said("CANCEL", sequence=1, at=late), now=late) == 1


def test_each_occurrence_of_a_series_is_held_on_its_day():
    series = said(rule="FREQ=WEEKLY;COUNT=10")
    assert held(series) == 3  # 24 November, 1 and 8 December
    assert held(series, said("CANCEL", sequence=1, at=LONG_AGO + timedelta(1))) == 0
    assert held(series, said(rule="FREQ=WEEKLY;COUNT=2", sequence=1, at=LONG_AGO + timedelta(1))) == 2


def test_one_occurrence_is_cancelled_by_its_place_in_the_series():
    content = write_invitation(attrs.evolve(MEETING, sequence=1), "CANCEL", LONG_AGO + timedelta(1))
    one = content.replace(b"DTSTART:", b"RECURRENCE-ID:20261201T010000Z\r\nDTSTART:")
    assert held(said(rule="FREQ=WEEKLY;COUNT=10"), read_meetings(one, LONG_AGO, "m").facts) == 2


def test_attendance_counts_on_the_day_of_the_meeting():
    there = Person(address="syt@tinh.example", unit="H55.14", answer="X-ATTENDED")
    facts = said("REPLY", attendees=(there,), at=MEETING.start + timedelta(hours=2))
    assert count_report(FORM, facts, PERIOD, NOW, ["H55.14"]).total.numbers["attended"] == 1
    assert [fact.day for fact in facts] == [date(2026, 11, 24)]
