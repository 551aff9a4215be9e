"""What a partner reads of a calendar in a packet (RFC 5545, RFC 5546), and the packet by which a unit answers an invitation.

Knows what its own systems write, no series; knows nothing of the hub's reader, so that a recount is a second opinion.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import attrs

from hub.demo.plan import packets
from hub.demo.plan.invitation import Invitation, Person, write_invitation
from hub.demo.plan.packets import HANOI
from hub.demo.protocol.reading import list_sample_attachments, read_sample_packet

_UNIT, _ZULU = "X-LIENTHONG-UNIT", "%Y%m%dT%H%M%SZ"
_DECLINES = 3  #: of so many invitations a unit declines one


@attrs.frozen
class AgendaEntry:
    """One meeting as a calendar tells of it."""

    method: str
    meeting: Invitation


def find_meeting(packet: bytes) -> AgendaEntry | None:
    """Return what the first calendar in *packet* says; None where there is none.  ValueError, KeyError when it is not as expected."""
    if b".ics" not in packet:
        return None
    return next(
        (parse_meeting(content) for name, content in list_sample_attachments(packet) if name.endswith(".ics")), None
    )


def parse_meeting(content: bytes) -> AgendaEntry:
    """Read the first meeting of a calendar object.  ValueError, KeyError when it is not as expected."""
    lines = content.replace(b"\r\n ", b"").decode().split("\r\n")
    found: dict[str, str] = {}
    people: dict[str, list[Person]] = {"ORGANIZER": [], "ATTENDEE": []}
    for line in lines:
        head, value = _halves(line)
        name, *parameters = head.split(";")
        if name in people:
            said = dict(parameter.split("=", 1) for parameter in parameters)
            address = value.removeprefix("mailto:")
            people[name].append(Person(address=address, unit=said.get(_UNIT, ""), answer=said.get("PARTSTAT", "")))
        else:
            found.setdefault(name, value)
    begin, end = (datetime.strptime(found[name], _ZULU).replace(tzinfo=UTC) for name in ("DTSTART", "DTEND"))
    meeting = Invitation(
        uid=found["UID"],
        start=begin,
        length=end - begin,
        subject=found["SUMMARY"],
        organizer=people["ORGANIZER"][0],
        attendees=tuple(people["ATTENDEE"]),
        sequence=int(found["SEQUENCE"]),
    )
    return AgendaEntry(found["METHOD"], meeting)


def note_meeting(packet: bytes) -> Mapping[str, object] | None:
    """Return what a notebook says of the calendar in *packet*: who has no code is the unit that sends it."""
    entry = find_meeting(packet)
    if entry is None:
        return None
    sender, meeting = read_sample_packet(packet).sender, entry.meeting
    return {
        "method": entry.method,
        "uid": meeting.uid,
        "sequence": meeting.sequence,
        "day": f"{meeting.start.astimezone(HANOI).date()}",
        "organizer": meeting.organizer.unit or sender,
        "answers": [[each.unit or sender, each.answer] for each in meeting.attendees if each.answer],
    }


def is_reply(packet: bytes) -> bool:
    """Tell whether the calendar in *packet* answers an invitation."""
    entry = find_meeting(packet)
    return entry is not None and entry.method == "REPLY"


def write_meeting_replies(packet: bytes, units: Sequence[str], now: datetime) -> Iterator[bytes]:
    """Write the packets by which those of *units* that *packet* invites answer: that they come, or were there, or neither."""
    entry = find_meeting(packet)
    if entry is None or entry.method != "REQUEST":
        return
    invitation, today = entry.meeting, now.astimezone(HANOI).date()
    about = read_sample_packet(packet)
    is_over = invitation.start.astimezone(HANOI).date() < today
    for person in invitation.attendees:
        if person.unit not in units:
            continue
        declines = zlib.crc32(f"{invitation.uid} {person.unit}".encode()) % _DECLINES == 0
        answer = "DECLINED" if declines else "X-ATTENDED" if is_over else "ACCEPTED"
        told = attrs.evolve(invitation, attendees=(attrs.evolve(person, answer=answer),))
        yield packets.write_document_packet(
            person.unit,
            (about.sender,),
            number=about.code.partition("/")[0],
            notation="TLGM-MAU",
            subject=f"Trả lời giấy mời họp số {about.code}",
            promulgated=today,
            attachments=[("tra-loi.ics", write_invitation(told, "REPLY", now))],
        )


def _halves(line: str) -> tuple[str, str]:
    """Return what stands before and after the colon that is in no quotes."""
    quoted = False
    for at, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif character == ":" and not quoted:
            return line[:at], line[at + 1 :]
    return line, ""
