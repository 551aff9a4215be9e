"""Reads a calendar in a packet (RFC 5545, RFC 5546) and writes the packet with which a unit answers an invitation.

Knows the calendars that the sample systems write, without series. Does not use the hub's parser, so that the recount is
independent.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import attrs

from lienthong_demo.plan import packets
from lienthong_demo.plan.invitation import Invitation, Person, write_invitation
from lienthong_demo.plan.packets import HANOI
from lienthong_demo.protocol.reading import list_sample_attachments, read_sample_packet

_UNIT, _ZULU = "X-LIENTHONG-UNIT", "%Y%m%dT%H%M%SZ"
_DECLINES = 3  #: a unit declines one invitation in this many


@attrs.frozen
class AgendaEntry:
    """One meeting in a calendar."""

    method: str
    meeting: Invitation


def find_meeting(packet: bytes) -> AgendaEntry | None:
    """Return the meeting in the first calendar of *packet*; None if it has none.

    Raises ValueError or KeyError as `parse_meeting`.
    """
    if b".ics" not in packet:
        return None
    return next(
        (parse_meeting(content) for name, content in list_sample_attachments(packet) if name.endswith(".ics")), None
    )


def parse_meeting(content: bytes) -> AgendaEntry:
    """Parse the first meeting of a calendar object. Raises ValueError or KeyError if it has another form than expected."""
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
    """Return the notebook entry for the calendar in *packet*.

    A person without a unit code counts as the sender of the packet.
    """
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
    """Yield the answers of the *units* that *packet* invites: declined, attended (if the meeting is over), or accepted."""
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
    """Return the text before and after the first colon outside quotes."""
    quoted = False
    for at, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif character == ":" and not quoted:
            return line[:at], line[at + 1 :]
    return line, ""
