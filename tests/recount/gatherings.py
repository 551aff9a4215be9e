"""What calendars tell of meetings (docs/reference/meetings.md), read line by line.  Knows as much of RFC 5545 as the page says counts.

Times are UTC or Hà Nội's; a series repeats by day or by week, without BYDAY.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import attrs

from tests.recount import places
from tests.recount.exported import Message
from tests.recount.places import HANOI, canonical
from tests.recount.told import Told

ANSWERS = {"ACCEPTED": "accepted", "DECLINED": "declined", "X-ATTENDED": "attended", "COMPLETED": "attended"}


@attrs.frozen
class Line:
    name: str
    parameters: dict[str, str]
    value: str


@attrs.frozen
class Meeting:
    """A VEVENT."""

    lines: list[Line]

    def all(self, name: str) -> list[Line]:
        return [line for line in self.lines if line.name == name]

    def value(self, name: str, otherwise: str = "") -> str:
        return next((line.value for line in self.all(name)), otherwise)

    @property
    def repeats(self) -> bool:
        return bool(self.all("RRULE") or self.all("RDATE")) and not self.all("RECURRENCE-ID")

    @property
    def occurrence(self) -> str:
        return next((mark(moment(line)) for line in self.all("RECURRENCE-ID")), "")

    @property
    def revision(self) -> str:
        return f"{int(self.value('SEQUENCE', '0')):09d} {mark(moment(self.all('DTSTAMP')[0]))}"

    @property
    def start(self) -> datetime | None:
        return next((moment(line) for line in self.all("DTSTART")), None)

    def times(self) -> list[datetime]:
        """Return when it is: of a series, each occurrence."""
        assert self.start is not None
        rule = dict(part.split("=") for part in self.value("RRULE").split(";") if part)
        step = timedelta(days={"DAILY": 1, "WEEKLY": 7}[rule.get("FREQ", "DAILY")] * int(rule.get("INTERVAL", "1")))
        found = [self.start + step * number for number in range(int(rule.get("COUNT", "1")))]
        found += [moment(line) for line in self.all("RDATE")]
        without = [moment(line) for line in self.all("EXDATE")]
        return sorted({time for time in found if time not in without})


def read(message: Message, octets: bytes, otherwise: str, counts: Callable[[str], bool] = lambda _: True) -> list[Told]:
    """Return what a calendar tells, for units that the partner may speak for (*counts*).

    *otherwise*: the unit of whoever sends it, where the calendar names none.
    """
    lines = [_line(text) for text in re.sub(r"\r?\n[ \t]", "", octets.decode()).split("\r\n") if text]
    method = next(line.value for line in lines if line.name == "METHOD")
    meetings: list[Meeting] = []
    for line in lines:
        if (line.name, line.value) == ("BEGIN", "VEVENT"):
            meetings.append(Meeting([]))
        elif meetings:
            meetings[-1].lines.append(line)
    found = [one for meeting in meetings for one in _told(message, method, meeting, meetings, otherwise)]
    return [one for one in found if counts(one.unit)]


def _told(message: Message, method: str, meeting: Meeting, meetings: list[Meeting], otherwise: str) -> list[Told]:
    uid, part, revision = meeting.value("UID"), meeting.occurrence, meeting.revision
    organizer = _unit(meeting.all("ORGANIZER")[0], otherwise if method != "REPLY" else "")

    def one(
        unit: str, key: tuple[str, ...], what: str, day: date | None, occurrence: str = part, newness: str = revision
    ) -> Told:
        said = {"meeting": uid, "occurrence": occurrence, "revision": newness}
        return Told(
            service="meetings", unit=unit, key=key, what=what, at=message.at, message=message.id, day=day, said=said
        )

    day = None if meeting.start is None else places.day(meeting.start)
    if method == "CANCEL" or meeting.value("STATUS") == "CANCELLED":
        return [one(organizer, (uid, part, revision), "cancelled", day)] if organizer else []
    found = []
    if method == "REQUEST" and organizer:
        series = [each for each in meetings if each.value("UID") == uid and each.repeats]
        revision = max([revision, *(each.revision for each in series)])  # told of together, they are of one revision
        if meeting.repeats:
            found.append(one(organizer, (uid, "", revision), "series", None, "", revision))
        apart = [each.occurrence for each in meetings if each.value("UID") == uid]
        for time in meeting.times():
            place = mark(time) if meeting.repeats else part
            if not meeting.repeats or place not in apart:
                found.append(one(organizer, (uid, place), "called", places.day(time), place, revision))
                found.append(one(organizer, (uid, place, revision), "scheduled", places.day(time), place, revision))
    for attendee in meeting.all("ATTENDEE"):
        what = ANSWERS.get(attendee.parameters.get("PARTSTAT", ""), "")
        unit = _unit(attendee, otherwise if method == "REPLY" else "")
        room = attendee.parameters.get("CUTYPE", "") in ("ROOM", "RESOURCE")
        if what and unit and not room and (method == "REPLY" or what == "attended"):
            found.append(one(unit, (uid, part), what, day))
    return found


def _line(text: str) -> Line:
    found = re.fullmatch(r'([A-Za-z0-9-]+)((?:;[^=]+=(?:"[^"]*"|[^";:]*))*):(.*)', text, re.DOTALL)
    assert found is not None, text
    parameters = {name: said.strip('"') for name, said in re.findall(r';([^=;]+)=("[^"]*"|[^";:]*)', found[2])}
    return Line(found[1].upper(), parameters, found[3])


def _unit(person: Line, otherwise: str) -> str:
    """Return whose line it is: the unit it names by its code, else the unit of whoever sends."""
    return canonical(person.parameters.get("X-LIENTHONG-UNIT", "") or otherwise)


def moment(line: Line) -> datetime:
    text = line.value
    read = datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - its zone follows
    return read.replace(tzinfo=UTC if text.endswith("Z") else HANOI).astimezone(UTC)


def mark(time: datetime) -> str:
    return f"{time:%Y%m%dT%H%M%SZ}"


def held(told: list[Told], one: Told) -> bool:
    """Tell whether of the meeting *one* nothing newer was told: neither moved nor cancelled, itself or its whole series."""
    return not any(
        other.what in ("scheduled", "cancelled", "series")
        and (other.unit, other.said["meeting"]) == (one.unit, one.said["meeting"])
        and other.said["occurrence"] in ("", one.said["occurrence"])
        and other.said["revision"] > one.said["revision"]
        for other in told
    )
