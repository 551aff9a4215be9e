"""Counts meetings and incidents from the partners' own files, and what the forms must show of them.

Pure. Trusts neither side.

The rules are those of the documents (docs/reference/meetings.md, incidents.md), implemented again. The hub's parser is
not used.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

import attrs
from lxml import etree

from lienthong_demo.protocol.reading import list_sample_attachments, read_sample_packet
from lienthong_demo.tally.tally import TalliedResult

Line = Mapping[str, Any]
_ANSWERS = {"ACCEPTED": "accepted", "DECLINED": "declined", "X-ATTENDED": "attended"}
GRAVE = frozenset({"emergency", "alert", "critical"})


def tally_calendars(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Yield the results in the file of a document system: the calendars that it sent with a receipt."""
    for said in _calendars(lines):
        uid, revision, unit = said["uid"], f"{said['sequence']}", said["organizer"]
        match said["method"]:
            case "REQUEST":
                yield TalliedResult(unit, "meetings", (uid,), "called")
                yield TalliedResult(unit, "meetings", (uid, revision), "scheduled")
            case "CANCEL":
                yield TalliedResult(unit, "meetings", (uid, revision), "cancelled")
            case "REPLY":
                for who, answer in said["answers"]:
                    yield TalliedResult(who, "meetings", (uid,), _ANSWERS[answer])


def tally_meetings(lines: Iterable[Line], first: date, today: date) -> Iterator[TalliedResult]:
    """Yield what the form must show of past meetings: `held`, by the newest message about each; `there`, who attended.

    Only meetings from *first* until the day before *today* count.
    """
    newest: dict[str, Line] = {}
    for said in _calendars(lines):
        over = first <= date.fromisoformat(said["day"]) < today
        if said["method"] != "REPLY":
            known = newest.get(said["uid"], said)
            newest[said["uid"]] = said if said["sequence"] >= known["sequence"] else known
        elif over:
            for who, answer in said["answers"]:
                if answer == "X-ATTENDED":
                    yield TalliedResult(who, "meetings", (said["uid"],), "there")
    for uid, said in newest.items():
        if said["method"] == "REQUEST" and first <= date.fromisoformat(said["day"]) < today:
            yield TalliedResult(said["organizer"], "meetings", (uid,), "held")


def tally_watchman(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Yield the results in the file of a monitoring system (`partners.watchman`): openings, closings, seconds between."""
    for incident in _incidents(lines):
        yield TalliedResult(incident.unit, "incidents", (incident.id,), "opened")
        if incident.closed is not None:
            seconds = int((incident.closed - incident.opened).total_seconds())
            yield TalliedResult(incident.unit, "incidents", (incident.id,), "closed")
            yield TalliedResult(incident.unit, "incidents", (incident.id,), "closing-seconds", seconds)


def tally_incidents(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Yield what the form must also show: `grave` or `other` for each opened incident, and `open` for one not closed."""
    for incident in _incidents(lines):
        grave = "grave" if incident.severity in GRAVE else "other"
        for milestone in (grave, *(["open"] if incident.closed is None else [])):
            yield TalliedResult(incident.unit, "incidents", (incident.id,), milestone)


def tally_incident_reports(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Yield the incident reports in the axis's file. No system of a unit sent them: the hub writes them itself."""
    for about, _ in _reports(lines):
        yield TalliedResult(about[0], "documents", about, "sent")


def compare_incident_reports(watchman: Iterable[Line], axis: Iterable[Line]) -> Iterator[str]:
    """Yield the grave incidents with no report or several reports at the axis, and reports without a grave incident."""
    due = {(each.unit, each.id) for each in _incidents(watchman) if each.severity in GRAVE}
    came = [incident for _, incident in _reports(axis)]
    for unit, name in sorted(due - set(came)):
        yield f"incident {name} of {unit}: no report at the axis"
    for unit, name in sorted(set(came) - due):
        yield f"incident {name} of {unit}: reported, and no grave incident of the monitoring system's file"
    for unit, name in sorted({each for each in came if came.count(each) > 1}):
        yield f"incident {name} of {unit}: reported more than once"


@attrs.frozen
class _Incident:
    id: str
    unit: str
    severity: str
    opened: datetime
    closed: datetime | None


def _calendars(lines: Iterable[Line]) -> Iterator[Line]:
    for line in lines:
        if line["what"] == "sent" and line.get("calendar"):
            yield line["calendar"]


def _incidents(lines: Iterable[Line]) -> Iterator[_Incident]:
    ends: dict[tuple[str, str], dict[str, Line]] = {}
    for line in lines:
        if line["what"] == "logging":
            said = line["incident"]
            ends.setdefault((said["unit"], said["id"]), {}).setdefault(said["state"], said)
    for (unit, name), states in ends.items():
        closed = datetime.fromisoformat(states["closed"]["at"]) if "closed" in states else None
        begun = states["open"]
        yield _Incident(name, unit, begun["severity"], datetime.fromisoformat(begun["at"]), closed)


def _reports(lines: Iterable[Line]) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Yield for each parcel with an incident report: its sender and DocumentId, and the incident's unit and id."""
    for line in lines:
        if line["what"] != "parcel" or line["kind"] != "edoc":
            continue
        packet = base64.b64decode(line["packet"])
        for name, content in list_sample_attachments(packet):
            if name.endswith(".xml"):
                about = read_sample_packet(packet)
                root = etree.fromstring(content)
                texts = {etree.QName(child).localname: child.text or "" for child in root}
                yield (about.sender, about.document_id), (texts["Unit"], texts["Id"])
