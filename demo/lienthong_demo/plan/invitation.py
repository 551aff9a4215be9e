"""Writes an iCalendar object (RFC 5545) that calls, moves, cancels or answers a meeting, as a unit's own calendar does.

Knows no packet.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import attrs

_OCTETS = 75  #: maximum octets of a line, without its end (RFC 5545, 3.1)
_ESCAPES = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\r": None})


@attrs.frozen(kw_only=True)
class Person:
    """A unit in a calendar: its address, its code, its answer."""

    address: str  #: an e-mail address
    unit: str = ""
    name: str = ""
    answer: str = ""  #: PARTSTAT


@attrs.frozen(kw_only=True)
class Invitation:
    """One meeting."""

    uid: str
    start: datetime
    length: timedelta
    subject: str
    organizer: Person
    attendees: tuple[Person, ...] = ()
    place: str = ""
    sequence: int = 0
    rule: str = ""  #: RRULE of a series


def write_invitation(invitation: Invitation, method: str, now: datetime) -> bytes:
    """Return the calendar object of *invitation* with METHOD `REQUEST`, `CANCEL`, `REPLY` or `PUBLISH`, stamped *now*."""
    return b"".join(_folded(line) for line in _lines(invitation, method, now))


def _lines(invitation: Invitation, method: str, now: datetime) -> Iterator[str]:
    yield from ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//lienthong//NONSGML Liên Thông//VI", f"METHOD:{method}")
    yield from ("BEGIN:VEVENT", f"UID:{_text(invitation.uid)}", f"SEQUENCE:{invitation.sequence}")
    end = invitation.start + invitation.length
    yield from (f"DTSTAMP:{_time(now)}", f"DTSTART:{_time(invitation.start)}", f"DTEND:{_time(end)}")
    if invitation.rule:
        yield f"RRULE:{invitation.rule}"
    yield f"SUMMARY:{_text(invitation.subject)}"
    if invitation.place:
        yield f"LOCATION:{_text(invitation.place)}"
    if method == "CANCEL":
        yield "STATUS:CANCELLED"
    yield _person("ORGANIZER", invitation.organizer)
    for attendee in invitation.attendees:
        yield _person("ATTENDEE", attendee)
    yield from ("END:VEVENT", "END:VCALENDAR")


def _person(name: str, person: Person) -> str:
    parameters = {"CN": person.name, "X-LIENTHONG-UNIT": person.unit, "PARTSTAT": person.answer}
    said = "".join(
        f';{key}="{_quoted(value)}"' if key == "CN" else f";{key}={value}" for key, value in parameters.items() if value
    )
    return f"{name}{said}:mailto:{person.address}"


def _quoted(value: str) -> str:
    """Return *value* escaped for a quoted parameter (RFC 6868)."""
    return value.replace("^", "^^").replace('"', "^'").replace("\r", "").replace("\n", "^n")


def _text(value: str) -> str:
    return value.translate(_ESCAPES)


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _folded(line: str) -> bytes:
    """Return *line* folded into pieces of at most 75 octets. No piece ends inside a character."""
    rows, row = [], b""
    for character in line:
        octets = character.encode()
        if len(row) + len(octets) > _OCTETS:
            rows.append(row)
            row = b" "
        row += octets
    return b"\r\n".join([*rows, row]) + b"\r\n"
