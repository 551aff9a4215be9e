"""Calendars in a packet: series, parts of rules, days, people, zones and lines, in as many calendars, each in a ZIP or as it is."""

import io
import zipfile
from collections.abc import Mapping
from functools import cache

import attrs

from hub.edxml import packet
from hub.intake import enclosures
from lienthong_demo.plan.packets import SEEN
from tests.costs import stage
from tests.packets import document
from tests.pki import NOW

_MANY = 6000  #: of what may repeat: more lines than a calendar may have
DIMENSIONS: dict[str, int | None] = {
    "calendars": 12,
    "events": 400,
    "series": 20,
    "weekdays": 100,  # entries of BYDAY
    "month_days": 100,
    "positions": 100,
    "count": 400,  # COUNT of each rule
    "added": 1600,  # entries of one RDATE
    "left_out": 1600,
    "added_lines": _MANY,
    "attendees": _MANY,  # of each event
    "zones": _MANY,  # names of zones that nobody knows
    "described": _MANY,  # VTIMEZONEs
    "observances": _MANY,  # of one VTIMEZONE
    "parameters": 3000,  # of one line
    "quotes": 4000,  # quoted values of one parameter
    "escapes": 8000,  # in one value
    "long_lines": 20,  # those that have the parameters, quotes and escapes
    "folds": 1 << 17,
    "lines": _MANY,  # beside the events
    "bursts": 40,  # attachments that unpack to too much
}
FILLER = "bursts"
FORMS = {
    "packing": ("zip", "zip", "plain"),
    "method": ("REQUEST", "REQUEST", "PUBLISH", "REPLY", "CANCEL"),
    "frequency": ("YEARLY", "MONTHLY", "DAILY", "WEEKLY"),
    "answer": ("X-ATTENDED", "ACCEPTED", "NEEDS-ACTION"),
    "whose": ("own", "own", "foreign"),
    "crowd": ("one", "many"),  # many: twenty series in each of ten, where nothing else is said
}
_FIRST = {name: values[0] for name, values in FORMS.items()}
WORST = [
    ({"attendees": 142}, _FIRST | {"method": "REQUEST", "crowd": "many"}),
    ({"events": 396, "calendars": 12}, _FIRST | {"method": "CANCEL"}),
    ({"calendars": 10, "series": 20, "weekdays": 100, "positions": 50}, _FIRST),
    ({"long_lines": 15, "escapes": 8000, "quotes": 2000, "calendars": 10}, _FIRST),
]
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_NUMBERED = [f"{number or ''}{day}" for number in range(-6, 7) for day in _DAYS]


def _times(entry: str, count: int) -> str:
    return ",".join([entry] * count)


def _rule(have: Mapping[str, int], form: Mapping[str, str]) -> str:
    parts, frequency = [f"RRULE:FREQ={form['frequency']}"], form["frequency"]
    names = _NUMBERED if frequency in {"YEARLY", "MONTHLY"} else _DAYS
    if have["weekdays"]:
        parts.append("BYDAY=" + ",".join(names[number % len(names)] for number in range(have["weekdays"])))
    if have["month_days"] and frequency != "WEEKLY":
        parts.append("BYMONTHDAY=" + ",".join(str(number % 31 + 1) for number in range(have["month_days"])))
    if have["positions"] and frequency != "WEEKLY":
        parts.append("BYSETPOS=" + ",".join(str(number % 366 + 1) for number in range(have["positions"])))
    return ";".join([*parts, *([f"COUNT={have['count']}"] if have["count"] else [])])


def _calendar(have: Mapping[str, int], form: Mapping[str, str], number: int) -> bytes:
    unit = "H55.99" if form["whose"] == "foreign" else "H55.13"
    series, events, described = min(have["series"], 24), min(have["events"], 500), min(have["described"], _MANY)
    attendees, zones = min(have["attendees"], _MANY), min(have["zones"], _MANY)
    person = f"ATTENDEE;PARTSTAT={form['answer']};X-LIENTHONG-UNIT=H55.{{}}:a"
    people = [person.format(each % 989) for each in range(attendees)]
    dates = [f"RDATE:{_times('20261201T010000Z', min(have['added'], 1700))}"] if have["added"] else []
    dates += [f"EXDATE:{_times('20261201T010000Z', min(have['left_out'], 1700))}"] if have["left_out"] else []
    lines = ["BEGIN:VCALENDAR", f"METHOD:{form['method']}", *(["X:1"] * min(have["lines"], _MANY))]
    lines += ["BEGIN:VTIMEZONE", "TZID:Khong/Co", "END:VTIMEZONE"] * described
    if have["observances"]:
        lines += ["BEGIN:VTIMEZONE", "TZID:Z", *(["BEGIN:STANDARD", "END:STANDARD"] * min(have["observances"], _MANY))]
        lines.append("END:VTIMEZONE")
    for each in range(max(1, events, series, zones)):
        lines += ["BEGIN:VEVENT", f"UID:{number}-{each}", f"ORGANIZER;X-LIENTHONG-UNIT={unit}:a", *people]
        lines.append(f"DTSTART;TZID=X{each}/Y:20260102T010000" if each < zones else "DTSTART:20260102T010000Z")
        lines += [_rule(have, form)] * (each < series) + (
            dates * max(1, min(have["added_lines"], _MANY)) if each < 3 else []
        )
        lines.append("END:VEVENT")
    long = "X" + "".join(f";A{each}=" for each in range(min(have["parameters"], 3500)))
    quotes = '""' + ',""' * min(have["quotes"], 5000)
    long += f";B={quotes}:" + "\\n" * min(have["escapes"], 9000)
    lines += [long] * min(have["long_lines"], 40) + ["Y:" + "\r\n " * min(have["folds"], 1 << 17), "END:VCALENDAR", ""]
    return "\r\n".join(lines).encode()


def packed(name: str, content: bytes) -> bytes:
    """Return *content* in a ZIP, deflated."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED, 1)
    return made.getvalue()


@cache
def _burst() -> bytes:
    return packed("a.xml", b" " * (1 << 20))


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    crowd = {"calendars": 10, "series": 20, "events": 20} if form["crowd"] == "many" else {}
    have = dict.fromkeys(DIMENSIONS, 0) | crowd | dict(counts)
    one = _calendar(have, form, 0)
    one = packed("a.ics", one) if form["packing"] == "zip" else one
    many = [(f"{number}.ics", one) for number in range(max(1, min(have["calendars"], 100)))]
    return enclosing([*many, *((f"b{number}.xml", _burst()) for number in range(min(have["bursts"], 100)))])


def enclosing(attachments: list[tuple[str, bytes]]) -> bytes:
    """Return a packet with *attachments*."""
    return document(attachments=attachments, variation=attrs.evolve(SEEN, wrapped=False))


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    return content


def read(content: bytes) -> None:
    found, routes = packet.read_packet(content), stage.province().routes
    _ = enclosures.read_enclosures(enclosures.find_enclosures(found), found.sender, "me", routes, NOW, "id")
