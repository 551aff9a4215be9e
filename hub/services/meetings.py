"""Reads facts about electronic meetings from an iCalendar object (RFC 5545; iTIP, RFC 5546).

Knows methods, revisions and occurrences. Each occurrence of a series counts as a meeting.

The rules are the project's own choice, because standards 7 says only “iCalendar in an attachment”. They are listed in
docs/reference/meetings.md. This module does not compare messages: every fact names its meeting, occurrence and
revision, and the reports decide which message is newer.

The organizer and the attendees are authorised from the unexpanded lines, before any recurrence rule is expanded. All
rules of one message are expanded, and all its facts made, within the limits of one `CalendarLimits`. The worst cost is
that limit, whatever the message contains: as much CPU time as 700 RSA-2048 signatures (210 ms).
"""

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Literal

import attrs

from hub.domain.model import Fact, Record
from hub.formats import icalendar as calendar
from hub.formats import rrule
from hub.formats.icalendar import CalendarPart, ContentLine, make_too_large_error, make_unreadable_error
from hub.language.phrases import phrase
from hub.services import Service

MOST = 400  #: occurrences of one series, and components of one object
MOST_SERIES = 20  #: series in one object
TOGETHER = 1000  #: meetings of one object; each occurrence counts as one
#: Limits for all calendars of one message together: twice the limit of one calendar, or ten typical ones of forty
#: meetings.
LINES = 10_000  #: lines as written, folded lines included
PARAMETERS = 30_000  #: semicolons: one stands before each parameter and each part of a rule
RULES = 50  #: series
DAYS = 4_000  #: days on which rules fall, plus the days of RDATE and EXDATE
FACTS = 4_000
_DAY = timedelta(days=1)
SPAN = timedelta(days=366)  #: a series is expanded for this long from its start
UNIT = "X-LIENTHONG-UNIT"  #: the parameter of ORGANIZER and ATTENDEE that names the unit
CALLED, SCHEDULED, SERIES, CANCELLED = "called", "scheduled", "series", "cancelled"
#: The answer for each PARTSTAT; other values are no answer yet. RFC 5545 has no value for “attended” and allows these
#: two.
ANSWERS = {"ACCEPTED": "accepted", "DECLINED": "declined", "X-ATTENDED": "attended", "COMPLETED": "attended"}
ATTENDED = "attended"
_LONGEST = 255  #: characters of a UID

#: Returns the unit of an ORGANIZER or ATTENDEE line; "" if it is not a known unit. The flag is true for the line of the
#: sender.
WhoIs = Callable[[ContentLine, bool], str]
#: Tells whether the sender may report about a unit.
MayTell = Callable[[str], bool]


class SchedulingMethod(StrEnum):
    """The METHOD of a calendar (RFC 5546)."""

    REQUEST = "REQUEST"
    PUBLISH = "PUBLISH"
    CANCEL = "CANCEL"
    REPLY = "REPLY"


_COUNTED = {
    "lines": phrase("lines"),
    "parameters": phrase("parameters"),
    "rules": phrase("rules"),
    "days": phrase("days"),
    "facts": phrase("facts"),
}


@attrs.define
class CalendarLimits:
    """The remaining limits for the calendars of one message."""

    lines: int = LINES
    parameters: int = PARAMETERS
    rules: int = RULES
    days: int = DAYS
    facts: int = FACTS

    def spend(self, what: Literal["lines", "parameters", "rules", "days", "facts"], count: int = 1) -> None:
        """Take *count* units of the limit *what*. Raises Rejected `calendar-too-large` if less than that remains."""
        left = getattr(self, what) - count
        if left < 0:
            raise make_too_large_error(
                phrase(
                    "more than {most} {what} in the calendars of one message",
                    most=globals()[what.upper()],
                    what=_COUNTED[what],
                )
            )
        setattr(self, what, left)


def name_calendar_unit(person: ContentLine, _sends: bool) -> str:
    """Return the unit that a line itself names: its code, else its address, which the registry may know as an alias."""
    return person.parameters.get(UNIT, "") or person.value.strip().lower().removeprefix("mailto:")


def allow_all_units(_unit: str) -> bool:
    """Allow every unit. For callers that authorise the facts after reading."""
    return True


def read_meetings(
    content: bytes,
    at: datetime,
    message: str,
    who_is: WhoIs = name_calendar_unit,
    may_tell: MayTell = allow_all_units,
    room: CalendarLimits | None = None,
) -> Record:
    """Read the calendar *content* into a record. Facts about units that the sender may not report on are left out.

    The cost is taken from *room*, the limits of the whole message; None means a new room. Raises Rejected for the whole
    calendar: `calendar-unreadable` or `calendar-too-large`.
    """
    room = room or CalendarLimits()
    room.spend("lines", content.count(b"\n"))
    room.spend("parameters", content.count(b";"))
    found = calendar.read_calendar(content)
    method = _read_method(_read_property_text(found, "METHOD").upper())
    events = found.parts("VEVENT")
    if not 0 < len(events) <= MOST:
        raise make_unreadable_error(phrase("{count} VEVENTs; from 1 to {most}", count=len(events), most=MOST))
    if (series := sum(map(_is_series, events))) > MOST_SERIES:
        raise make_too_large_error(phrase("more than {most} series", most=MOST_SERIES))
    room.spend("rules", series)
    meetings = [_read_meeting(event, found, method) for event in events]
    people = meetings[0].attendees if method is SchedulingMethod.REPLY else (meetings[0].organizer,)
    sender = next((unit for unit in (who_is(person, True) for person in people) if unit), "")
    if not sender:
        raise make_unreadable_error(
            phrase("{name} is not a unit", name="ATTENDEE" if method == "REPLY" else "ORGANIZER")
        )
    told = partial(Fact, service="meetings", at=at, message=message)
    facts: dict[tuple[str, str, str], Fact] = {}
    for fact in _list_facts(_CalendarReading(found, method, who_is, may_tell, room), meetings, told):
        room.spend("facts")
        facts.setdefault((fact.unit, fact.key, fact.milestone), fact)
    return Record(
        kind=method.lower(),
        sender=sender,
        keys=tuple(dict.fromkeys(meeting.key() for meeting in meetings)),
        subject=_read_property_text(events[0], "SUMMARY"),
        facts=tuple(facts.values()),
    )


@attrs.define
class _CalendarReading:
    """The calendar being read, with the checks and limits that apply to it."""

    calendar: CalendarPart
    method: SchedulingMethod
    who_is: WhoIs
    may_tell: MayTell
    limits: CalendarLimits
    together: int = 0  #: meetings so far; each occurrence counts as one

    def teller(self, person: ContentLine, *, sends: bool) -> str:
        """Return the unit that *person* is, or "" if the sender may not report about it."""
        unit = self.who_is(person, sends)
        return unit if unit and self.may_tell(unit) else ""


@attrs.frozen(kw_only=True)
class _Meeting:
    """One VEVENT: a meeting, a series, or one occurrence of a series."""

    uid: str
    occurrence: str  #: RECURRENCE-ID; empty for the whole meeting or series
    revision: str  #: SEQUENCE and DTSTAMP: a later revision sorts after an earlier one (RFC 5546, 2.1.5)
    start: date | datetime | None
    repeated: bool
    cancelled: bool
    organizer: ContentLine
    attendees: tuple[ContentLine, ...]
    event: CalendarPart

    def key(self, occurrence: str | None = None, revision: str = "") -> str:
        parts = [self.uid, self.occurrence if occurrence is None else occurrence, *([revision] if revision else [])]
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))

    def attributes(self, occurrence: str | None = None) -> tuple[tuple[str, str], ...]:
        place = self.occurrence if occurrence is None else occurrence
        return (("meeting", self.uid), ("occurrence", place), ("revision", self.revision))


def _list_facts(reading: _CalendarReading, meetings: list[_Meeting], told: Callable[..., Fact]) -> Iterator[Fact]:
    method, who_is = reading.method, reading.who_is
    masters = {each.uid: each for each in meetings if each.repeated}
    apart = {(each.uid, each.occurrence) for each in meetings if each.occurrence}
    for meeting in meetings:
        if method is SchedulingMethod.CANCEL or meeting.cancelled:
            day = find_start_day(meeting.start)
            key = meeting.key(revision=meeting.revision)
            if organizer := reading.teller(meeting.organizer, sends=method is not SchedulingMethod.REPLY):
                yield told(
                    unit=organizer, key=key, milestone=CANCELLED, day=day, due=day, attributes=meeting.attributes()
                )
            continue
        if method is SchedulingMethod.REQUEST and (organizer := reading.teller(meeting.organizer, sends=True)):
            # An occurrence sent together with its series has the revision of the series, whatever its own SEQUENCE
            # says.
            master = masters.get(meeting.uid, meeting)
            revised = attrs.evolve(meeting, revision=max(meeting.revision, master.revision))
            yield from _list_called_facts(revised, organizer, apart, reading, told)
        for attendee in meeting.attendees:
            milestone = ANSWERS.get(attendee.parameters.get("PARTSTAT", "").upper(), "")
            if (
                milestone
                and (method is SchedulingMethod.REPLY or milestone == ATTENDED)
                and (unit := reading.teller(attendee, sends=method is SchedulingMethod.REPLY))
            ):
                yield told(
                    unit=unit,
                    key=meeting.key(),
                    milestone=milestone,
                    counterpart=who_is(meeting.organizer, method is not SchedulingMethod.REPLY),
                    day=find_start_day(meeting.start),
                    attributes=meeting.attributes(),
                )


def _list_called_facts(
    meeting: _Meeting, organizer: str, apart: set[tuple[str, str]], reading: _CalendarReading, told: Callable[..., Fact]
) -> Iterator[Fact]:
    days = _list_days(meeting, reading)
    reading.together += len(days)
    if reading.together > TOGETHER:
        raise make_too_large_error(phrase("more than {most} meetings and occurrences", most=TOGETHER))
    if meeting.repeated:
        whole = meeting.key(revision=meeting.revision)
        yield told(unit=organizer, key=whole, milestone=SERIES, attributes=meeting.attributes())
    for occurrence, day in days:
        if meeting.repeated and (meeting.uid, occurrence) in apart:
            continue
        also = {"day": day, "due": day, "attributes": meeting.attributes(occurrence)}
        yield told(unit=organizer, key=meeting.key(occurrence), milestone=CALLED, **also)
        yield told(unit=organizer, key=meeting.key(occurrence, meeting.revision), milestone=SCHEDULED, **also)


def find_start_day(start: date | datetime | None) -> date | None:
    """Return the day of *start* in Hà Nội; None if there is no start."""
    return None if start is None else calendar.find_calendar_day(start)


def _read_method(text: str) -> SchedulingMethod:
    try:
        return SchedulingMethod(text)
    except ValueError:
        expected = ", ".join(SchedulingMethod)
        raise make_unreadable_error(
            phrase("METHOD is {text}, not one of {expected}", text=text[:20] or phrase("missing"), expected=expected)
        ) from None


def _read_meeting(event: CalendarPart, whole: CalendarPart, method: SchedulingMethod) -> _Meeting:
    uid, organizer, stamp, start, place = map(event.one, ("UID", "ORGANIZER", "DTSTAMP", "DTSTART", "RECURRENCE-ID"))
    if uid is None or not 0 < len(uid.text()) <= _LONGEST:
        raise make_unreadable_error(phrase("UID is missing, or longer than {most} characters", most=_LONGEST))
    if organizer is None:
        raise make_unreadable_error(phrase("ORGANIZER is missing"))
    if place is not None and place.parameters.get("RANGE"):
        raise make_unreadable_error(phrase("RECURRENCE-ID with RANGE: send the whole series again"))
    sequence = _read_property_text(event, "SEQUENCE") or "0"
    if not (sequence.isascii() and sequence.isdigit() and len(sequence) < 10):
        raise make_unreadable_error(phrase("SEQUENCE is {sequence}", sequence=repr(sequence[:20])))
    occurrence = calendar.write_calendar_mark(calendar.read_calendar_time(place, whole)) if place else ""
    begins = calendar.read_calendar_time(start, whole) if start else None
    stamped = calendar.write_calendar_mark(calendar.read_calendar_time(stamp, whole)) if stamp else ""
    repeated = place is None and _is_series(event)
    cancelled = _read_property_text(event, "STATUS").upper() == "CANCELLED"
    if begins is None and method is SchedulingMethod.REQUEST and not cancelled:
        raise make_unreadable_error(phrase("DTSTART is missing"))
    if (rule := event.one("RRULE")) is not None:
        _ = _read_rule(rule)
    return _Meeting(
        uid=uid.text(),
        occurrence=occurrence,
        revision=f"{int(sequence):09d} {stamped}".strip(),
        start=begins,
        repeated=repeated,
        cancelled=cancelled,
        organizer=organizer,
        attendees=tuple(each for each in event.all("ATTENDEE") if _is_somebody(each)),
        event=event,
    )


def _is_series(event: CalendarPart) -> bool:
    return any(line.name in {"RRULE", "RDATE"} for line in event.lines)


def _is_somebody(attendee: ContentLine) -> bool:
    return attendee.parameters.get("CUTYPE", "").upper() not in {"ROOM", "RESOURCE"}


def _list_days(meeting: _Meeting, reading: _CalendarReading) -> tuple[tuple[str, date], ...]:
    """Return the occurrences of a meeting that is called, each with its day. A single meeting has one occurrence."""
    begins = meeting.start
    assert begins is not None
    if not meeting.repeated:
        return ((meeting.occurrence, calendar.find_calendar_day(begins)),)
    found = _list_occurrences(meeting.event, reading, begins)
    if not found:
        raise make_unreadable_error(phrase("a series without an occurrence"))
    return found


def _list_occurrences(
    event: CalendarPart, reading: _CalendarReading, begins: date | datetime
) -> tuple[tuple[str, date], ...]:
    """Return the occurrences of a series from *begins* on, within `SPAN`: the first `MOST` of them."""
    found = {calendar.write_calendar_mark(when): when for when in _list_repeated(event, reading, begins)}
    for name in ("RDATE", "EXDATE"):
        for line in event.all(name):
            reading.limits.spend("days", line.value.count(",") + 1)
            for when in calendar.read_calendar_times(line, reading.calendar):
                if name == "RDATE":
                    found[calendar.write_calendar_mark(when)] = when
                else:
                    found.pop(calendar.write_calendar_mark(when), None)
    return tuple((name, calendar.find_calendar_day(found[name])) for name in sorted(found)[:MOST])


def _list_repeated(
    event: CalendarPart, reading: _CalendarReading, begins: date | datetime
) -> Iterator[date | datetime]:
    line = event.one("RRULE")
    if line is None:
        yield begins
        return
    first = begins.date() if isinstance(begins, datetime) else begins
    last = first + SPAN
    rule = _read_rule(line)
    until = None
    if rule.until:
        until = calendar.read_calendar_time(attrs.evolve(line, name="RRULE UNTIL", value=rule.until), reading.calendar)
        # the same instant may fall on another day in another time zone
        last = min(last, calendar.find_calendar_day(until) + 2 * _DAY)
    days = rrule.list_rule_days(rule, first, last)
    reading.limits.spend("days", len(days))
    for day in days:
        when = datetime.combine(day, begins.timetz()) if isinstance(begins, datetime) else day
        if until is None or _is_by(when, until):
            yield when


def _read_rule(line: ContentLine) -> rrule.Rule:
    try:
        return rrule.parse_rrule(line.value)
    except ValueError as error:
        raise make_unreadable_error(f"RRULE: {error}") from None


def _is_by(when: date | datetime, until: date | datetime) -> bool:
    """Tell whether *when* is not after *until*. UNTIL may be a day even if the series has times."""
    if isinstance(when, datetime) and isinstance(until, datetime):
        return when <= until
    return calendar.find_calendar_day(when) <= calendar.find_calendar_day(until)


def _read_property_text(component: CalendarPart, name: str) -> str:
    line = component.one(name)
    return "" if line is None else line.text().strip()


SERVICE = Service(
    name="meetings",
    read=read_meetings,
    milestones=frozenset([CALLED, SCHEDULED, SERIES, CANCELLED, *ANSWERS.values()]),
    attributes=frozenset(["meeting", "occurrence", "revision"]),
    internal=True,
)
