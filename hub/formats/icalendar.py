"""Reads an iCalendar object (RFC 5545) as a tree of components.

Knows content lines, parameters, texts and times. Does not know meetings.

The input is untrusted, so octets, lines, depth and zone names are all bounded. Nothing is kept from one object to the
next. The rules of a VTIMEZONE are never evaluated. For an unknown zone the offset of its VTIMEZONE is used if there is
only one, as in Việt Nam. Worst cost: 20 µs per content line or parameter. Reading an object of `SIZE` octets takes as
long as 400 RSA-2048 signatures (120 ms).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from hub.domain import local_time
from hub.domain.errors import Rejected, shorten_detail
from hub.domain.local_time import HANOI
from hub.domain.model import Detail, Problem
from hub.language.phrases import phrase

SIZE = 1 << 18  #: maximum octets of an object
LINES = 5000  #: maximum content lines of an object, unfolded
LENGTH = 1 << 14  #: maximum characters of a content line
DEPTH = 4  #: maximum depth of nested components
ZONES = 20  #: maximum zone names in one object: each unknown name costs file accesses

#: The name of Việt Nam's time zone on Windows.
_WINDOWS = {"SE Asia Standard Time": HANOI}

_FOLD = re.compile(rb"\r?\n[ \t]")
_BREAK = re.compile(rb"\r?\n")
_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_PARAMETER = re.compile(r';([A-Za-z0-9-]{1,64})=((?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)')
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DAY = re.compile(r"(\d{4})(\d\d)(\d\d)", re.ASCII)
_TIME = re.compile(r"(\d{8})T(\d\d)(\d\d)(\d\d)(Z?)", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)(?:\d\d)?", re.ASCII)
_YEARS = range(1970, 2200)


@attrs.frozen
class ContentLine:
    """One content line: names in upper case, the value as written, parameters without quotes."""

    name: str
    value: str
    parameters: Mapping[str, str] = attrs.field(factory=dict)

    def text(self) -> str:
        """Return the value of a property of type TEXT."""
        return _unescape_text(self.value, "\\", {"n": "\n", "N": "\n", ";": ";", ",": ","})


@attrs.frozen
class CalendarPart:
    """One component: the content between BEGIN and END."""

    name: str
    lines: tuple[ContentLine, ...] = ()
    components: tuple["CalendarPart", ...] = ()
    #: zones already resolved for its times, by name
    zones: dict[str, tzinfo] = attrs.field(factory=dict, eq=False, repr=False)

    def all(self, name: str) -> tuple[ContentLine, ...]:
        """Return all lines called *name*, in order."""
        return tuple(line for line in self.lines if line.name == name)

    def one(self, name: str) -> ContentLine | None:
        """Return the line called *name*, or None.

        Raises Rejected for two such lines: another reader may choose the other one.
        """
        found = self.all(name)
        if len(found) > 1:
            raise make_unreadable_error(
                phrase("{part} has {name} {count} times", part=self.name, name=name, count=len(found))
            )
        return found[0] if found else None

    def parts(self, name: str) -> tuple["CalendarPart", ...]:
        """Return the direct child components called *name*, in order."""
        return tuple(part for part in self.components if part.name == name)


def make_unreadable_error(why: Detail) -> Rejected:
    """Return the error `calendar-unreadable` with the reason *why*."""
    return Rejected(Problem("calendar-unreadable", shorten_detail(why, 200)))


def make_too_large_error(why: Detail) -> Rejected:
    """Return the error `calendar-too-large` with the reason *why*."""
    return Rejected(Problem("calendar-too-large", shorten_detail(why, 200)))


def read_calendar(content: bytes) -> CalendarPart:
    """Return the single VCALENDAR of *content*.

    Raises Rejected, `calendar-unreadable`, for any other content and beyond each bound.
    """
    if len(content) > SIZE:
        raise make_unreadable_error(phrase("{count} octets; at most {most}", count=len(content), most=SIZE))
    open_: list[tuple[str, list[ContentLine], list[CalendarPart]]] = [("", [], [])]
    for number, line in enumerate(_read_content_lines(content), 1):
        if line.name == "BEGIN":
            if len(open_) > DEPTH:
                raise make_unreadable_error(
                    phrase(
                        "line {number}: components {depth} deep; at most {most}",
                        number=number,
                        depth=DEPTH + 1,
                        most=DEPTH,
                    )
                )
            open_.append((line.value.strip().upper(), [], []))
        elif line.name == "END":
            name, lines, components = open_.pop()
            if not open_ or line.value.strip().upper() != name:
                raise make_unreadable_error(
                    phrase("line {number}: END:{name} ends no open component", number=number, name=line.value[:50])
                )
            open_[-1][2].append(CalendarPart(name, tuple(lines), tuple(components)))
        elif len(open_) == 1:
            raise make_unreadable_error(
                phrase("line {number}: {name} is outside of a component", number=number, name=line.name)
            )
        else:
            open_[-1][1].append(line)
    if len(open_) > 1:
        raise make_unreadable_error(phrase("{open} has no END", open=open_[-1][0][:50]))
    found = open_[0][2]
    if [each.name for each in found] != ["VCALENDAR"]:
        raise make_unreadable_error(
            phrase(
                "not one VCALENDAR, but {names}",
                names=", ".join(each.name[:20] for each in found[:5]) or phrase("nothing"),
            )
        )
    return found[0]


def _read_content_lines(content: bytes) -> Iterator[ContentLine]:
    try:  # a fold may split a character, so octets are joined before decoding (RFC 5545, 3.1)
        written = [
            each.decode() for each in _BREAK.split(_FOLD.sub(b"", content.removeprefix(b"\xef\xbb\xbf"))) if each
        ]
    except UnicodeDecodeError as error:
        raise make_unreadable_error(phrase("is not UTF-8: {reason}", reason=error.reason)) from None
    if len(written) > LINES:
        raise make_unreadable_error(phrase("{count} lines; at most {most}", count=len(written), most=LINES))
    for number, each in enumerate(written, 1):
        if len(each) > LENGTH:
            raise make_unreadable_error(
                phrase("line {number}: {count} characters; at most {most}", number=number, count=len(each), most=LENGTH)
            )
        yield _read_content_line(each, number)


def _read_content_line(written: str, number: int) -> ContentLine:
    name = _NAME.match(written)
    if name is None or _CONTROL.search(written):
        raise make_unreadable_error(
            phrase("line {number} is not a content line: {written}", number=number, written=repr(written[:50]))
        )
    at, parameters = name.end(), {}
    while found := _PARAMETER.match(written, at):
        key, value, at = found[1].upper(), found[2].replace('"', ""), found.end()
        if key in parameters:
            raise make_unreadable_error(phrase("line {number}: {key} is repeated", number=number, key=key))
        parameters[key] = _unescape_text(value, "^", {"n": "\n", "'": '"'})  # RFC 6868
    if not written.startswith(":", at):
        raise make_unreadable_error(
            phrase("line {number} is not a content line: {written}", number=number, written=repr(written[:50]))
        )
    return ContentLine(name[0].upper(), written[at + 1 :], parameters)


def _unescape_text(text: str, mark: str, meant: Mapping[str, str]) -> str:
    """Return *text* with each escape sequence of *mark* replaced as *meant* says. A doubled mark stands for the mark.

    NUL, which no line contains, holds the place of the doubled mark meanwhile.
    """
    if mark in text:
        text = text.replace(mark * 2, "\0")
        for letter, character in meant.items():
            text = text.replace(mark + letter, character)
        text = text.replace("\0", mark)
    return text


def read_calendar_times(line: ContentLine, calendar: CalendarPart) -> tuple[date | datetime, ...]:
    """Return the days or times of *line* (DTSTART, RECURRENCE-ID, EXDATE, RDATE …). For a period it is the start.

    A time is in its own zone. A time without a zone, or in an unknown zone, is in Hà Nội's. Raises Rejected for
    anything that is not a day or a time.
    """
    return tuple(_read_moment(each.partition("/")[0], line, calendar) for each in line.value.split(","))


def read_calendar_time(line: ContentLine, calendar: CalendarPart) -> date | datetime:
    """Return the single day or time of *line*. Raises Rejected."""
    return _read_moment(line.value, line, calendar)


def _read_moment(written: str, line: ContentLine, calendar: CalendarPart) -> date | datetime:
    try:
        if found := _DAY.fullmatch(written):
            day = date(*map(int, found.groups()))
            if day.year in _YEARS:
                return day
        elif found := _TIME.fullmatch(written):
            day = date(int(written[:4]), int(written[4:6]), int(written[6:8]))
            hour, minute, second = int(found[2]), int(found[3]), min(int(found[4]), 59)  # RFC 5545 allows leap seconds
            zone = UTC if found[5] else _find_zone(line.parameters.get("TZID", ""), calendar)
            if day.year in _YEARS:
                return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=zone)
    except ValueError:
        pass
    raise make_unreadable_error(
        phrase(
            "{name}: {written} is not a day or time between {first} and {last}",
            name=line.name,
            written=repr(written[:50]),
            first=_YEARS[0],
            last=_YEARS[-1],
        )
    )


def _find_zone(name: str, calendar: CalendarPart) -> tzinfo:
    if not name:
        return HANOI
    if name not in calendar.zones:
        if len(calendar.zones) == ZONES:
            raise make_too_large_error(phrase("more than {most} time zones", most=ZONES))
        calendar.zones[name] = _found_zone(name, calendar)
    return calendar.zones[name]


def _found_zone(name: str, calendar: CalendarPart) -> tzinfo:
    if name in _WINDOWS:
        return _WINDOWS[name]
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    described = calendar.parts("VTIMEZONE")
    if len(described) > ZONES:
        raise make_too_large_error(phrase("more than {most} VTIMEZONEs", most=ZONES))
    for zone in described:
        named, kept = zone.one("TZID"), (*zone.parts("STANDARD"), *zone.parts("DAYLIGHT"))
        offsets = {offset.value for each in kept for offset in each.all("TZOFFSETTO")}
        if named and named.value == name and len(offsets) == 1 and (found := _OFFSET.fullmatch(offsets.pop())):
            offset = timedelta(hours=min(int(found[2]), 23), minutes=min(int(found[3]), 59))
            return timezone(-offset if found[1] == "-" else offset)
    return HANOI


def find_calendar_day(when: date | datetime) -> date:
    """Return the calendar day in Hà Nội at *when*."""
    return local_time.find_local_day(when) if isinstance(when, datetime) else when


def write_calendar_mark(when: date | datetime) -> str:
    """Return the one text form of a day or a time, in UTC: `20261124`, `20261124T013000Z`."""
    return f"{when.astimezone(UTC):%Y%m%dT%H%M%SZ}" if isinstance(when, datetime) else f"{when:%Y%m%d}"
