"""What the partners' own files say of meetings and incidents, as results, and what forms say of them.  Pure; believes neither side.

The rules are those of the documents (docs/reference/meetings.md, incidents.md), read once more; nothing of the hub's reader is used.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

import attrs
from lxml import etree

from hub.demo.protocol.reading import list_sample_attachments, read_sample_packet
from hub.demo.tally.tally import TalliedResult

Line = Mapping[str, Any]
_ANSWERS = {"ACCEPTED": "accepted", "DECLINED": "declined", "X-ATTENDED": "attended"}
GRAVE = frozenset({"emergency", "alert", "critical"})


def of_calendars(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Read the file of a document system: what the calendars say that it sent with a receipt."""
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
    """Give what the form says of meetings that are over: `held`, by the newest that was said of each, and `there`, who was there.

    They are those of the days from *first* to the one before *today*.
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


def of_watchman(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Read the file of a monitoring system (`hub.demo.partners.watchman`): what it told as opened and closed, and the seconds between."""
    for incident in _incidents(lines):
        yield TalliedResult(incident.unit, "incidents", (incident.id,), "opened")
        if incident.closed is not None:
            seconds = int((incident.closed - incident.opened).total_seconds())
            yield TalliedResult(incident.unit, "incidents", (incident.id,), "closed")
            yield TalliedResult(incident.unit, "incidents", (incident.id,), "closing-seconds", seconds)


def tally_incidents(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Give what the form says of incidents beside: `grave` or `other` when they opened, and `open` at the end."""
    for incident in _incidents(lines):
        grave = "grave" if incident.severity in GRAVE else "other"
        for milestone in (grave, *(["open"] if incident.closed is None else [])):
            yield TalliedResult(incident.unit, "incidents", (incident.id,), milestone)


def of_reports(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Read the axis's file: the incident reports that came up.  No system of a unit sent them: the hub writes them itself."""
    for about, _ in _reports(lines):
        yield TalliedResult(about[0], "documents", about, "sent")


def unlike_reports(watchman: Iterable[Line], axis: Iterable[Line]) -> Iterator[str]:
    """Tell which grave incident no report at the axis tells of, or more than one, and which report tells of none."""
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
    """Yield of each parcel with an incident report who sent it, its DocumentId, and the incident's unit and id."""
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
