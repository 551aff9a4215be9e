"""Meetings through a real hub: called, answered and cancelled by packets of two document systems, and what the report says then."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from hub.domain.local_time import find_local_day
from hub.report.form.period import find_month_containing
from lienthong_demo.plan import packets
from lienthong_demo.plan.invitation import Invitation, Person, write_invitation

pytestmark = pytest.mark.slow

ORGANIZER, INVITED = "H55.13", "H55.1"


def packet(sender, to, method, meeting, now, *, number):
    """Return a packet whose calendar says *method* of *meeting*."""
    attachments = [("giay-moi.txt", b"x"), ("lich-hop.ics", write_invitation(meeting, method, now))]
    fields: Any = {
        "notation": "GM",
        "subject": "Họp giao ban",
        "promulgated": find_local_day(now),
        "attachments": attachments,
    }
    return packets.write_document_packet(sender, [to], number=number, **fields)


def answered(meeting, answer):
    (person,) = meeting.attendees
    return attrs.evolve(meeting, attendees=(attrs.evolve(person, answer=answer),))


def test_a_meeting_is_called_answered_cancelled_and_stands_in_the_report(hub):
    now = datetime.now(UTC)
    over = Invitation(
        uid="hop-1",
        start=now - timedelta(days=1),
        length=timedelta(hours=1),
        subject="Giao ban",
        organizer=Person(address="lich@so.example"),
        attendees=(Person(address="vanphong@tinh.example", unit=INVITED),),
    )
    ahead = attrs.evolve(over, uid="hop-2", start=now + timedelta(days=3))
    off = attrs.evolve(ahead, sequence=1)
    hub.start()
    with hub.client("sotttt") as department, hub.client("vpub") as office:
        for number, (method, meeting) in enumerate([("REQUEST", over), ("REQUEST", ahead), ("CANCEL", off)], start=1):
            department.send(packet(ORGANIZER, INVITED, method, meeting, now, number=f"{number}"))
        for number, told in enumerate([answered(over, "X-ATTENDED"), answered(ahead, "ACCEPTED")], start=1):
            office.send(packet(INVITED, ORGANIZER, "REPLY", told, now, number=f"{number}"))
        again = packet(ORGANIZER, INVITED, "REQUEST", over, now, number="1")
        assert department.send(again) == department.send(again), "the same packet is the same message"
    period = find_month_containing(now)
    said = json.loads(hub.cli("report", "H55", period.text, "--form", "meetings", "--format", "json", text=True))
    rows = {row["unit"]: row for row in said["rows"]}
    names = ("called", "cancelled", "held", "accepted", "declined", "attended")
    was = int(period.first <= find_local_day(over.start))  # yesterday may be of the period before
    assert [rows[ORGANIZER][name] for name in names] == [2, 1, was, 0, 0, 0]
    assert [rows[INVITED][name] for name in names] == [0, 0, 0, 1, 0, was]
    facts = [fact for fact in hub.cli("report", "--facts", "--json") if fact["service"] == "meetings"]
    assert sorted((fact["unit"], fact["milestone"]) for fact in facts) == [
        (INVITED, "accepted"),
        (INVITED, "attended"),
        (ORGANIZER, "called"),
        (ORGANIZER, "called"),
        (ORGANIZER, "cancelled"),
        (ORGANIZER, "scheduled"),
        (ORGANIZER, "scheduled"),
    ]
