"""What a calendar says that a unit did: called, moved, cancelled, answered, attended (docs/reference/meetings.md)."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.errors import Rejected
from hub.services import list_services
from hub.services.meetings import CalendarLimits, read_meetings
from lienthong_demo.plan.invitation import Invitation, Person, write_invitation
from tests.conftest import ROOT

NOW = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)
OFFICE = Person(address="vanphong@thainguyen.gov.vn", unit="H55.01", name='Văn phòng "UBND", tỉnh')
HEALTH = Person(address="syt@thainguyen.gov.vn", unit="H55.07")
SCHOOLS = Person(address="SGDDT@thainguyen.gov.vn")
MEETING = Invitation(
    uid="giao-ban-47@thainguyen.gov.vn",
    start=datetime(2026, 11, 24, 1, 0, tzinfo=UTC),
    length=timedelta(hours=2),
    subject="Giao ban trực tuyến tuần 47; phòng họp số 1, tầng 2",
    organizer=OFFICE,
    attendees=(HEALTH, SCHOOLS),
    place="Phòng họp số 1",
)


def say(method="REQUEST", *, at=NOW, **changed):
    return write_invitation(attrs.evolve(MEETING, **changed), method, at)


def told(content):
    return [(fact.milestone, fact.unit, fact.day) for fact in read_meetings(content, NOW, "m").facts]


def days_of(facts, milestone):
    return [fact.day.day for fact in facts if fact.milestone == milestone]


def calendar(method, *events):
    lines = [line for event in events for line in ("BEGIN:VEVENT", *event, "END:VEVENT")]
    return "\r\n".join(["BEGIN:VCALENDAR", f"METHOD:{method}", *lines, "END:VCALENDAR", ""]).encode()


def event(*lines, uid="1", organizer="H55.01"):
    return (f"UID:{uid}", f"ORGANIZER;X-LIENTHONG-UNIT={organizer}:mailto:a@b", "DTSTAMP:20261101T000000Z", *lines)


def test_an_invitation_calls_a_meeting_of_the_organizers_unit_on_its_day():
    record = read_meetings(say(), NOW, "m")
    called, scheduled = record.facts
    assert (record.kind, record.sender, record.subject) == ("request", "H55.01", MEETING.subject)
    assert (called.unit, called.service, called.milestone) == ("H55.01", "meetings", "called")
    assert called.day == called.due == date(2026, 11, 24)
    assert (called.at, called.message, called.key) == (NOW, "m", '["giao-ban-47@thainguyen.gov.vn",""]')
    assert scheduled.milestone == "scheduled"
    assert dict(scheduled.attributes) == {
        "meeting": MEETING.uid,
        "occurrence": "",
        "revision": "000000000 20261120T010000Z",
    }


def test_what_the_sample_invitation_says_the_package_icalendar_reads_too():
    event_: Any
    (event_,) = icalendar.Calendar.from_ical(say(rule="FREQ=WEEKLY;COUNT=4")).walk("VEVENT")
    assert str(event_["SUMMARY"]) == MEETING.subject
    assert event_["DTSTART"].dt == MEETING.start
    assert event_["DTEND"].dt == MEETING.start + MEETING.length
    assert event_["ORGANIZER"].params["CN"].replace("^'", '"') == OFFICE.name
    assert event_["ORGANIZER"].params["X-LIENTHONG-UNIT"] == OFFICE.unit
    assert [str(each) for each in event_["ATTENDEE"]] == [f"mailto:{each.address}" for each in MEETING.attendees]
    assert len(read_meetings(say(rule="FREQ=WEEKLY;COUNT=4"), NOW, "m").keys) == 1


def test_an_address_without_a_code_is_the_unit_itself_which_the_registry_may_know_as_an_alias():
    assert read_meetings(say(organizer=SCHOOLS), NOW, "m").sender == "sgddt@thainguyen.gov.vn"


def test_moving_a_meeting_calls_it_once_and_schedules_it_anew():
    first, second = (
        read_meetings(say(sequence=number, start=MEETING.start + timedelta(days=number)), NOW, "m").facts
        for number in (0, 2)
    )
    assert first[0].key == second[0].key, "called, once"
    assert first[1].key != second[1].key
    assert dict(first[1].attributes)["revision"] < dict(second[1].attributes)["revision"]


def test_ten_revisions_sort_behind_nine():
    nine, ten = (dict(read_meetings(say(sequence=n), NOW, "m").facts[1].attributes)["revision"] for n in (9, 10))
    assert nine < ten


@pytest.mark.parametrize("content", [say("CANCEL", sequence=1), calendar("REQUEST", event("STATUS:CANCELLED"))])
def test_a_cancellation_is_a_fact_of_the_organizers_unit(content):
    (fact,) = read_meetings(content, NOW, "m").facts
    assert (fact.unit, fact.milestone) == ("H55.01", "cancelled")


@pytest.mark.parametrize(
    ("answer", "milestone"),
    [
        ("ACCEPTED", "accepted"),
        ("declined", "declined"),
        ("X-ATTENDED", "attended"),
        ("COMPLETED", "attended"),
        ("TENTATIVE", None),
        ("NEEDS-ACTION", None),
        ("", None),
    ],
)
def test_an_answer_is_a_fact_of_the_unit_that_answers(answer, milestone):
    record = read_meetings(say("REPLY", attendees=(attrs.evolve(HEALTH, answer=answer),)), NOW, "m")
    assert record.sender == "H55.07"
    assert [(fact.unit, fact.milestone, fact.counterpart, fact.day) for fact in record.facts] == (
        [("H55.07", milestone, "H55.01", date(2026, 11, 24))] if milestone else []
    )


def test_who_was_there_may_also_be_told_by_a_list_of_the_organizer():
    there = (attrs.evolve(HEALTH, answer="X-ATTENDED"), attrs.evolve(SCHOOLS, answer="ACCEPTED"))
    assert told(say("PUBLISH", attendees=there)) == [("attended", "H55.07", date(2026, 11, 24))]


def test_a_room_attends_nothing():
    room = "ATTENDEE;CUTYPE=ROOM;PARTSTAT=X-ATTENDED;X-LIENTHONG-UNIT=H55.09:mailto:r@b"
    assert told(calendar("PUBLISH", event("DTSTART:20261124T010000Z", room))) == []


def test_each_occurrence_of_a_series_is_a_meeting():
    facts = read_meetings(say(rule="FREQ=WEEKLY;COUNT=3"), NOW, "m").facts
    assert days_of(facts, "called") == [24, 1, 8]
    assert [fact.milestone for fact in facts].count("scheduled") == 3
    assert [fact.key for fact in facts if fact.milestone == "series"] == [
        '["giao-ban-47@thainguyen.gov.vn","","000000000 20261120T010000Z"]'
    ]
    assert dict(facts[1].attributes)["occurrence"] == "20261124T010000Z"


def test_a_series_without_end_is_followed_for_a_year():
    days = [day for milestone, _, day in told(say(rule="FREQ=WEEKLY")) if milestone == "called"]
    assert (len(days), days[-1]) == (53, date(2027, 11, 23))
    assert len(told(say(rule="FREQ=DAILY"))) == 1 + 2 * 367


@pytest.mark.parametrize(
    ("lines", "days"),
    [
        (["DTSTART:20261124T010000Z", "RRULE:FREQ=DAILY;UNTIL=20261126T010000Z"], [24, 25, 26]),
        (["DTSTART:20261124T010000Z", "RRULE:FREQ=DAILY;UNTIL=20261126T005959Z"], [24, 25]),
        (["DTSTART;VALUE=DATE:20261124", "RRULE:FREQ=DAILY;UNTIL=20261125"], [24, 25]),
        (["DTSTART:20261124T010000Z", "RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20261125T010000Z"], [24, 26]),
        (["DTSTART:20261124T010000Z", "RDATE:20261127T010000Z,20261128T010000Z"], [24, 27, 28]),
        (["DTSTART:20261124T010000Z", "RDATE;VALUE=PERIOD:20261127T010000Z/PT1H"], [24, 27]),
        (["DTSTART;TZID=Asia/Ho_Chi_Minh:20261124T080000", "RRULE:FREQ=WEEKLY;BYDAY=TU,TH;COUNT=2"], [24, 26]),
        (["DTSTART:20261123T180000Z", "RRULE:FREQ=DAILY;COUNT=2"], [24, 25]),  # one in the morning in Hà Nội
    ],
)
def test_a_series_is_what_rrule_rdate_and_exdate_say_together(lines, days):
    facts = read_meetings(calendar("REQUEST", event(*lines)), NOW, "m").facts
    assert days_of(facts, "called") == days


def test_an_occurrence_that_is_moved_beside_its_series_is_scheduled_once():
    series = event("DTSTART:20261124T010000Z", "RRULE:FREQ=DAILY;COUNT=3", "SEQUENCE:4")
    moved = event("RECURRENCE-ID:20261125T010000Z", "DTSTART:20261130T010000Z", "SEQUENCE:1")
    gone = event("RECURRENCE-ID:20261126T010000Z", "STATUS:CANCELLED")
    facts = read_meetings(calendar("REQUEST", series, moved, gone), NOW, "m").facts
    assert [fact.milestone for fact in facts if fact.milestone != "called"] == [
        "series",
        "scheduled",
        "scheduled",
        "cancelled",
    ]
    assert days_of(facts, "scheduled") == [24, 30]
    assert {dict(fact.attributes)["revision"][:9] for fact in facts[:-1]} == {"000000004"}


@pytest.mark.parametrize(
    "content",
    [
        say("COUNTER"),
        say("REQUEST").replace(b"METHOD:REQUEST\r\n", b""),
        calendar("REQUEST"),
        calendar("REQUEST", *[event("DTSTART:20261124T010000Z", uid=str(n)) for n in range(401)]),
        calendar("REQUEST", event()),
        calendar("REQUEST", ("DTSTART:20261124T010000Z", "ORGANIZER:mailto:a@b")),
        calendar("REQUEST", ("DTSTART:20261124T010000Z", "UID:1")),
        calendar("REQUEST", event("DTSTART:20261124T010000Z", uid="1" * 256)),
        calendar("REQUEST", event("DTSTART:20261124T010000Z", "SEQUENCE:-1")),
        calendar("REQUEST", event("DTSTART:20261124T010000Z", "SEQUENCE:٣")),
        calendar("REQUEST", event("DTSTART:20261124T010000Z", "UID:2")),
        calendar("REQUEST", event("DTSTART:20261124T010000Z", "RRULE:FREQ=SECONDLY")),
        calendar("REQUEST", event("DTSTART:20261124T010000Z", "RRULE:FREQ=DAILY;UNTIL=20200101")),
        calendar("REQUEST", event("DTSTART:20261124T010000Z", "RECURRENCE-ID;RANGE=THISANDFUTURE:20261124T010000Z")),
        calendar("REPLY", event("DTSTART:20261124T010000Z")),
    ],
)
def test_what_cannot_be_counted_is_told_so(content):
    with pytest.raises(Rejected) as refused:
        read_meetings(content, NOW, "m")
    assert {problem.code for problem in refused.value.problems} == {"calendar-unreadable"}


@pytest.mark.parametrize(
    ("rule", "many", "enough"),
    [("FREQ=DAILY;COUNT=100", 11, 10), ("FREQ=MONTHLY", 21, 20)],
    ids=["occurrences", "series"],
)
def test_a_calendar_of_many_series_is_not_read(rule, many, enough):
    def series(count):
        events = [event("DTSTART:20261124T010000Z", f"RRULE:{rule}", uid=f"{number}") for number in range(count)]
        return calendar("REQUEST", *events)

    with pytest.raises(Rejected, match="calendar-too-large"):
        read_meetings(series(many), NOW, "m")
    assert len(read_meetings(series(enough), NOW, "m").keys) == enough


LINES = st.sampled_from(
    """UID:1
UID:2
SEQUENCE:1
DTSTAMP:20261101T000000Z
DTSTART:20261124T010000Z
DTSTART;VALUE=DATE:20261124
DTSTART;TZID=X:21991231T235900
RRULE:FREQ=DAILY
RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30
STATUS:CANCELLED
RDATE:19700101T000000Z,20261124
EXDATE:20261124T010000Z
RECURRENCE-ID:20261124T010000Z
ORGANIZER:mailto:a@b
ORGANIZER;X-LIENTHONG-UNIT=H55.01:mailto:
ATTENDEE;PARTSTAT=X-ATTENDED:mailto:c@d""".splitlines()
)


@given(st.sampled_from(["REQUEST", "CANCEL", "REPLY", "PUBLISH"]), st.lists(st.lists(LINES, max_size=9), max_size=3))
def test_whatever_a_calendar_says_its_facts_are_few_and_of_this_service(method, events):
    try:
        record = read_meetings(calendar(method, *events), NOW, "m")
    except Rejected:
        return
    service = list_services()["meetings"]
    assert record.sender
    assert len(record.facts) <= 3 * (2 * 400 + 1)
    assert len({(fact.unit, fact.key, fact.milestone) for fact in record.facts}) == len(record.facts)
    for fact in record.facts:
        assert fact.milestone in service.milestones
        assert {name for name, _ in fact.attributes} == service.attributes


def test_the_example_of_the_how_to_is_read_as_icalendar_reads_it():
    content = (ROOT / "docs/examples/moi-hop.ics").read_bytes()
    (theirs,) = icalendar.Calendar.from_ical(content).walk("VEVENT")
    record = read_meetings(content, NOW, "m")
    assert (record.sender, record.subject) == ("H55.1", str(theirs["SUMMARY"]))
    assert days_of(record.facts, "called") == [24, 1, 8, 15, 22, 29]


def day_by_day(count):
    """Return an invitation to one series of *count* days."""
    return calendar("REQUEST", event("DTSTART:20261124T010000Z", f"RRULE:FREQ=DAILY;COUNT={count}"))


@pytest.mark.parametrize(
    ("content", "what", "each"),
    [
        (calendar("PUBLISH", event(*["X-A:1"] * 992)), "lines", 1000),
        (calendar("PUBLISH", event("X" + "".join(f";A{number}=" for number in range(999)) + ":1")), "parameters", 1000),
        (calendar("PUBLISH", event("DTSTART:20261124", "RRULE:FREQ=DAILY")), "rules", 1),
        (day_by_day(200), "days", 200),
        (calendar("REQUEST", event("DTSTART:20261124", "EXDATE:20261125,20261126", "RDATE:20261125")), "days", 3),
        (day_by_day(50), "facts", 101),
    ],
    ids=["lines", "parameters", "rules", "days of a rule", "days added and left out", "facts"],
)
def test_the_calendars_of_one_message_share_what_they_may_cost(content, what, each):
    """The room for one of them less is the room for none: the next is refused, and says what there is too much of."""
    room = CalendarLimits(**{what: 2 * each})
    for _ in range(2):
        assert read_meetings(content, NOW, "m", room=room).sender == "H55.01"
    assert getattr(room, what) == 0
    with pytest.raises(Rejected, match=f"calendar-too-large.*{what}"):
        read_meetings(content, NOW, "m", room=room)


def test_the_room_of_a_message_is_enough_for_ten_ordinary_calendars_and_for_two_of_the_largest():
    briefing = [
        event("DTSTART:20261124T010000Z", f"RRULE:FREQ=WEEKLY;BYDAY={day}", uid=day) for day in ("MO", "TH", "FR")
    ]
    attended = [f"ATTENDEE;PARTSTAT=X-ATTENDED;X-LIENTHONG-UNIT=H55.{number}:mailto:a@b" for number in range(989)]
    room = CalendarLimits()
    for _ in range(10):
        assert len(read_meetings(calendar("REQUEST", *briefing), NOW, "m", room=room).facts) == 317
    room = CalendarLimits()
    for _ in range(4):
        assert len(read_meetings(calendar("PUBLISH", event(*attended)), NOW, "m", room=room).facts) == 989


def test_no_rule_is_followed_of_a_unit_that_the_sender_may_not_speak_for(monkeypatch):
    monkeypatch.delattr("hub.formats.rrule.list_rule_days")
    facts = read_meetings(say(rule="FREQ=DAILY"), NOW, "m", may_tell=lambda unit: unit != OFFICE.unit).facts
    assert facts == ()


@pytest.mark.parametrize("method", ["CANCEL", "PUBLISH", "REPLY"])
def test_no_rule_is_followed_where_nobody_asks_for_its_days(monkeypatch, method):
    monkeypatch.delattr("hub.formats.rrule.list_rule_days")
    there = attrs.evolve(HEALTH, answer="X-ATTENDED")
    assert len(read_meetings(say(method, rule="FREQ=DAILY", attendees=(there,)), NOW, "m").facts) == 1


def test_more_names_of_time_zones_than_a_calendar_needs_are_not_looked_for():
    def named(count):
        return [event(f"DTSTART;TZID=Khong-co/{number}:20261124T010000", uid=str(number)) for number in range(count)]

    assert len(read_meetings(calendar("REQUEST", *named(20)), NOW, "m").facts) == 40
    with pytest.raises(Rejected, match=r"calendar-too-large.*time zones"):
        read_meetings(calendar("REQUEST", *named(21)), NOW, "m")
