"""What the day's tally reads of meetings and incidents in the partners' own files, and that it finds what is missing."""

import base64
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import icalendar
import pytest

from hub.formats.syslog import read_syslog_message as read_line
from hub.services.incidents import Incident, notice
from lienthong_demo.partners.watchman import ToldIncident
from lienthong_demo.plan import agenda, meetings
from lienthong_demo.plan.day import SMALL, WHOLE, Town
from lienthong_demo.plan.invitation import Invitation, Person, write_invitation
from lienthong_demo.plan.packets import Variation, write_document_packet
from lienthong_demo.protocol.reading import list_sample_attachments, read_sample_packet
from lienthong_demo.tally import eventtally
from lienthong_demo.tally.tally import TalliedResult

TODAY, NOW = date(2026, 11, 25), datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
TOWN = Town(("H55.13", "H55.13.1"), tuple(f"H55.{n}" for n in range(20, 40)), ("G22",), TODAY)
MEETING = Invitation(
    uid="hop-1",
    start=datetime(2026, 11, 24, 1, 30, tzinfo=UTC),
    length=timedelta(hours=1),
    subject="Họp giao ban: số liệu; báo cáo, kế hoạch tháng mười hai của các đơn vị trong tỉnh",
    organizer=Person(address="lich@h55.example", name="Văn thư: lịch"),
    attendees=(Person(address="a@h55.example", unit="H55.20"), Person(address="b@h55.example", unit="H55.21")),
)


def packet(meeting, method="REQUEST", sender="H55.13", variation=Variation()):
    said: Any = {"number": "1", "notation": "GM", "subject": "Họp", "promulgated": TODAY, "variation": variation}
    return write_document_packet(
        sender, ["H55.20"], attachments=[("a.txt", b"x"), ("h.ics", write_invitation(meeting, method, NOW))], **said
    )


def sent(content):
    return {"what": "sent", "accepted": True, "calendar": agenda.note_meeting(content)}


def names(results):
    return {(each.unit, each.milestone, each.key) for each in results}


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_calendar_in_a_packet_is_read_as_the_package_icalendar_reads_it(wrapped):
    content = packet(MEETING, variation=Variation(wrapped=wrapped))
    theirs: Any
    entry = agenda.find_meeting(content)
    (octets,) = [octets for name, octets in list_sample_attachments(content) if name == "h.ics"]
    (theirs,) = icalendar.Calendar.from_ical(octets).walk("VEVENT")
    assert entry is not None
    assert (entry.method, entry.meeting.uid, entry.meeting.start) == ("REQUEST", theirs["UID"], theirs["DTSTART"].dt)
    units = [person.params["X-LIENTHONG-UNIT"] for person in theirs["ATTENDEE"]]
    assert [person.unit for person in entry.meeting.attendees] == units
    assert (
        agenda.find_meeting(
            write_document_packet("H55.13", ["H55.20"], number="1", notation="A", subject="B", promulgated=TODAY)
        )
        is None
    )


def test_an_invited_unit_answers_for_itself_and_only_to_an_invitation():
    (reply,) = agenda.write_meeting_replies(packet(MEETING), ["H55.20"], NOW)
    entry = agenda.find_meeting(reply)
    assert entry is not None
    assert (entry.method, read_sample_packet(reply).sender, read_sample_packet(reply).recipients) == (
        "REPLY",
        "H55.20",
        ("H55.13",),
    )
    (person,) = entry.meeting.attendees
    assert person.unit == "H55.20"
    assert person.answer in {"X-ATTENDED", "DECLINED"}, "it is over"
    assert agenda.is_reply(reply)
    assert list(agenda.write_meeting_replies(reply, ["H55.13", "H55.20"], NOW)) == []
    assert list(agenda.write_meeting_replies(packet(MEETING, "CANCEL"), ["H55.20"], NOW)) == []


def test_the_calendars_that_a_system_sent_are_results_of_whoever_they_name():
    yes = attrs.evolve(MEETING.attendees[0], answer="X-ATTENDED")
    moved = attrs.evolve(MEETING, sequence=1, organizer=attrs.evolve(MEETING.organizer, unit="H55.13.1"))
    lines = [
        sent(packet(MEETING)),
        sent(packet(moved)),
        sent(packet(attrs.evolve(MEETING, sequence=2), "CANCEL")),
        sent(packet(attrs.evolve(MEETING, attendees=(yes,)), "REPLY", sender="H55.20")),
        {"what": "sent", "accepted": True, "calendar": None},
        {"what": "opened"},
    ]
    assert names(eventtally.tally_calendars(lines)) == {
        ("H55.13", "called", ("hop-1",)),
        ("H55.13", "scheduled", ("hop-1", "0")),
        ("H55.13.1", "called", ("hop-1",)),
        ("H55.13.1", "scheduled", ("hop-1", "1")),
        ("H55.13", "cancelled", ("hop-1", "2")),
        ("H55.20", "attended", ("hop-1",)),
    }


@pytest.mark.parametrize(
    ("later", "held"),
    [
        ([], 1),
        ([("REQUEST", {"sequence": 1, "start": NOW + timedelta(days=1)})], 0),
        ([("REQUEST", {"sequence": 1, "start": NOW - timedelta(days=3)})], 1),
        ([("CANCEL", {"sequence": 1})], 0),
        ([("REQUEST", {"sequence": 1, "start": NOW})], 0),
        ([("REQUEST", {"sequence": 1, "start": NOW - timedelta(days=30)})], 0),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_held_is_what_the_newest_calendar_says_and_the_day_is_over(later, held, turned):
    lines = [sent(packet(MEETING)), *(sent(packet(attrs.evolve(MEETING, **c), method)) for method, c in later)]
    found = eventtally.tally_meetings(reversed(lines) if turned else lines, date(2026, 11, 15), TODAY)
    assert [each.milestone for each in found] == ["held"] * held


@pytest.mark.parametrize("scale", [SMALL, WHOLE])
def test_a_days_meetings_are_held_moved_and_cancelled_and_answered_in_every_way(scale):
    first, later = meetings.plan_meeting_letters(TOWN, scale)
    lines = [sent(letter.content) for letter in [*first, *later]]
    replies = [
        reply for letter in [*first, *later] for reply in agenda.write_meeting_replies(letter.content, TOWN.units, NOW)
    ]
    lines += [sent(reply) for reply in replies]
    seen = Counter(each.milestone for each in eventtally.tally_calendars(lines))
    assert {"called", "scheduled", "cancelled", "accepted", "declined", "attended"} <= set(seen)
    assert {each.milestone for each in eventtally.tally_meetings(lines, date(2026, 11, 15), TODAY)} == {"held", "there"}
    assert all(
        read_sample_packet(letter.content).sender not in read_sample_packet(letter.content).recipients
        for letter in first
    )
    assert len({read_sample_packet(each).document_id for each in replies}) == len(replies)


OPEN = ToldIncident("SC-1", "H55.20", "open", "critical", datetime(2026, 11, 25, 1, 0, tzinfo=UTC), 'a "b" ] \\ c')
CLOSED = attrs.evolve(OPEN, state="closed", at=OPEN.at + timedelta(seconds=90))
OTHER = attrs.evolve(OPEN, id="SC-2", severity="warning")


def logged(*told):
    return [{"what": "logging", "incident": attrs.asdict(each) | {"at": each.at.isoformat()}} for each in told]


def test_what_the_monitoring_system_writes_is_syslog():
    line = read_line(attrs.evolve(OPEN, id='SC "1"]').line())
    assert (line.facility, line.severity, line.app, line.at) == ("local0", 2, "edr", OPEN.at)
    assert line.data == {"incident@32473": {"id": 'SC "1"]', "unit": "H55.20", "state": "open"}}
    assert line.text == OPEN.text


@pytest.mark.parametrize("told", [(OPEN, CLOSED, OTHER), (CLOSED, OPEN, OTHER, OPEN)])
def test_incidents_are_counted_once_in_whatever_order_they_were_told(told):
    lines = logged(*told)
    assert set(eventtally.tally_watchman(lines)) == {
        TalliedResult("H55.20", "incidents", ("SC-1",), "opened"),
        TalliedResult("H55.20", "incidents", ("SC-1",), "closed"),
        TalliedResult("H55.20", "incidents", ("SC-1",), "closing-seconds", 90),
        TalliedResult("H55.20", "incidents", ("SC-2",), "opened"),
    }
    assert names(eventtally.tally_incidents(lines)) == {
        ("H55.20", "grave", ("SC-1",)),
        ("H55.20", "other", ("SC-2",)),
        ("H55.20", "open", ("SC-2",)),
    }


def parcel(name, unit="H55.20"):
    incident = Incident(id=name, unit=unit, kind="opened", name="endpoint", severity="critical", time=NOW)
    content = notice.write_incident_packet(incident, "H55.13", ["G22"], NOW, {})
    return {"what": "parcel", "kind": "edoc", "packet": base64.b64encode(content).decode()}


def test_each_grave_incident_is_reported_once_and_its_report_is_a_document_that_was_sent():
    watchman, axis = logged(OPEN, CLOSED, OTHER), [parcel("SC-1")]
    assert list(eventtally.compare_incident_reports(watchman, axis)) == []
    (result,) = eventtally.tally_incident_reports(axis)
    assert (result.unit, result.service, result.milestone) == ("H55.13", "documents", "sent")
    assert [text.partition(":")[0] for text in eventtally.compare_incident_reports(watchman, [])] == [
        "incident SC-1 of H55.20"
    ]
    said = list(eventtally.compare_incident_reports(watchman, [*axis, *axis, parcel("SC-2")]))
    assert [text.rpartition(":")[2].split(",")[0].split()[0] for text in said] == ["reported", "reported"]
