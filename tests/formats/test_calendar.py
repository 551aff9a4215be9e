"""iCalendar objects: read as the package `icalendar` reads them, which nobody here wrote; refused, never a crash, beyond every bound."""

import re
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.errors import Rejected
from hub.formats import icalendar as formats_icalendar

HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n"
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=120)


def wrapped(*lines: str) -> bytes:
    return (
        HEAD + "BEGIN:VEVENT\r\n" + "".join(f"{line}\r\n" for line in lines) + "END:VEVENT\r\nEND:VCALENDAR\r\n"
    ).encode()


def one(component: formats_icalendar.CalendarPart, name: str) -> formats_icalendar.ContentLine:
    found = component.one(name)
    assert found is not None
    return found


def event(*lines: str) -> formats_icalendar.CalendarPart:
    return formats_icalendar.read_calendar(wrapped(*lines)).parts("VEVENT")[0]


@given(TEXTS, TEXTS, TEXTS)
def test_what_the_package_icalendar_writes_is_read_as_it_was_meant(uid, summary, name):
    """Texts with commas, quotes, carets and Vietnamese, folded in the middle of words: RFC 5545, 3.1 to 3.3.11."""
    meant = icalendar.Event()
    meant.add("uid", uid)
    meant.add("summary", summary)
    meant.add("dtstart", datetime(2026, 11, 24, 8, 0, tzinfo=UTC))
    person = icalendar.vCalAddress("mailto:a@example.vn")
    person.params["CN"] = re.sub(
        r'["\\\\]', "", name
    )  # a backslash means nothing in a parameter, but the package takes it for an escape
    meant.add("organizer", person)
    whole = icalendar.Calendar()
    whole.add_component(meant)
    read = formats_icalendar.read_calendar(whole.to_ical()).parts("VEVENT")[0]
    back: Any = icalendar.Calendar.from_ical(whole.to_ical()).walk("VEVENT")[0]
    assert one(read, "UID").text() == str(back["uid"])
    assert one(read, "SUMMARY").text() == str(back["summary"])
    assert one(read, "ORGANIZER").parameters.get("CN", "") == back["organizer"].params.get("CN", "")
    assert formats_icalendar.read_calendar_time(one(read, "DTSTART"), read) == back["dtstart"].dt


@pytest.mark.parametrize(
    ("line", "day"),
    [
        ("DTSTART:20261124T173000Z", date(2026, 11, 25)),  # half past midnight in Hà Nội
        ("DTSTART:20261124T233000", date(2026, 11, 24)),  # floating: Hà Nội's
        ("DTSTART;TZID=Asia/Ho_Chi_Minh:20261124T233000", date(2026, 11, 24)),
        ("DTSTART;TZID=SE Asia Standard Time:20261124T233000", date(2026, 11, 24)),  # as Outlook says it
        ("DTSTART;TZID=Asia/Tokyo:20261125T003000", date(2026, 11, 24)),
        ("DTSTART;VALUE=DATE:20261124", date(2026, 11, 24)),
        ("DTSTART;TZID=Nowhere:20261124T080000", date(2026, 11, 24)),
        ("DTSTART;TZID=../../etc/passwd:20261124T080000", date(2026, 11, 24)),
        ("DTSTART:20261231T235960Z", date(2027, 1, 1)),
    ],
)
def test_the_day_of_a_meeting_is_hanois(line, day):
    read = event(line)
    assert (
        formats_icalendar.find_calendar_day(
            formats_icalendar.read_calendar_time(one(read, "DTSTART"), formats_icalendar.read_calendar(wrapped(line)))
        )
        == day
    )


def test_an_unknown_zone_with_one_offset_has_that_offset():
    zone = "BEGIN:VTIMEZONE\r\nTZID:Cơ quan\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0000\r\nTZOFFSETTO:+0000\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    whole = formats_icalendar.read_calendar(
        (
            HEAD + zone + "BEGIN:VEVENT\r\nDTSTART;TZID=Cơ quan:20261124T180000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        ).encode()
    )
    assert (
        formats_icalendar.write_calendar_mark(
            formats_icalendar.read_calendar_time(one(whole.parts("VEVENT")[0], "DTSTART"), whole)
        )
        == "20261124T180000Z"
    )


HOSTILE = {
    "nothing": b"",
    "no calendar": b"BEGIN:VEVENT\r\nEND:VEVENT\r\n",
    "two calendars": (HEAD + "END:VCALENDAR\r\n").encode() * 2,
    "not ended": HEAD.encode(),
    "ended twice": (HEAD + "END:VCALENDAR\r\nEND:VCALENDAR\r\n").encode(),
    "ended otherwise": (HEAD + "END:VEVENT\r\n").encode(),
    "deep": b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\n" * 50_000,
    "large": HEAD.encode() + b"X:" + b"a" * formats_icalendar.SIZE,
    "a long line": HEAD.encode() + b"X:" + b"a" * formats_icalendar.LENGTH + b"\r\nEND:VCALENDAR\r\n",
    "a long folded line": HEAD.encode() + b"X:a" + b"\r\n a" * formats_icalendar.LENGTH + b"\r\nEND:VCALENDAR\r\n",
    "many lines": HEAD.encode() + b"X:a\r\n" * (formats_icalendar.LINES + 1) + b"END:VCALENDAR\r\n",
    "not UTF-8": wrapped("SUMMARY:x").replace(b"x", b"\xff\xfe"),
    "UTF-16": wrapped("SUMMARY:x").decode().encode("utf-16"),
    "a NUL": wrapped("SUMMARY:\0"),
    "no colon": wrapped("SUMMARY"),
    "no name": wrapped(":x"),
    "a quote not closed": wrapped('ORGANIZER;CN="x:mailto:a@b'),
    "a parameter twice": wrapped("ORGANIZER;CN=a;CN=b:mailto:a@b"),
    "XML": b"<edXML/>",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_calendar_or_beyond_a_bound_is_refused(content):
    with pytest.raises(Rejected) as refused:
        formats_icalendar.read_calendar(content)
    (problem,) = refused.value.problems
    assert problem.code == "calendar-unreadable"
    assert str(problem.detail)


@pytest.mark.parametrize("value", ["", "x", "20261345", "00000101", "99990101T000000Z", "20261124T250000", "²0261124"])
def test_what_is_no_time_is_refused(value):
    read = event(f"DTSTART:{value}")
    with pytest.raises(Rejected):
        formats_icalendar.read_calendar_time(one(read, "DTSTART"), read)


def test_a_property_that_stands_there_twice_is_refused_where_one_is_asked_for():
    with pytest.raises(Rejected):
        event("UID:1", "UID:2").one("UID")


@given(
    st.binary(max_size=300) | st.text(st.sampled_from('BEGIN:VCALENDAREVT\r\n ;=",^X'), max_size=300).map(str.encode)
)
def test_no_octets_break_the_reading(octets):
    for content in (octets, HEAD.encode() + octets + b"\r\nEND:VCALENDAR\r\n"):
        with suppress(Rejected):
            formats_icalendar.read_calendar(content)
