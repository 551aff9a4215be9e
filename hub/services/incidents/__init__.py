"""The service `incidents`: reads a syslog message (RFC 5424) or an incident report into a fact of the unit.

Knows the classification rules. Knows no connection.

The operator configures which syslog messages report an incident, in `[incidents]` of hub.toml, because no common format
exists. One message does not show how long an incident was open; the journal adds that fact
(hub/journal/sequels/incident_durations.py).

A report has at most 256 KiB and is parsed within its own limits. The worst cost is that of 60 RSA-2048 signatures (18
ms).
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import attrs
from lxml import etree

from hub.domain.errors import Rejected, shorten_detail
from hub.domain.local_time import find_local_day
from hub.domain.model import Detail, Fact, Problem, Record
from hub.formats import safe_xml, syslog
from hub.formats.syslog import SEVERITIES, SyslogLine
from hub.language.phrases import phrase
from hub.services import Service

OPENED, CLOSED, CLOSING = "opened", "closed", "closing-seconds"
NAMESPACE = "urn:lienthong:incident:1"
REPORT = f"{{{NAMESPACE}}}IncidentReport"
_LONGEST = 128  #: characters of an incident's id
_SUBJECT = 500
#: Years that a correct clock can show. The first and the last year of `datetime` also have no local day in Hà Nội.
_YEARS = range(1970, 2200)
_LIMITS = safe_xml.Limits(size=1 << 18, depth=4, nodes=200, names=50)


@attrs.frozen(kw_only=True)
class IncidentClass:
    """One class of incidents: the conditions that a syslog message must meet. An empty condition is not checked."""

    name: str
    facilities: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()
    severity: int = 7  #: this severity or a graver one (a lower number)

    def fits(self, line: SyslogLine) -> bool:
        """Tell whether *line* meets the conditions."""
        return (
            line.severity <= self.severity
            and (not self.facilities or line.facility in self.facilities)
            and (not self.apps or line.app in self.apps)
        )


@attrs.frozen(kw_only=True)
class IncidentRules:
    """The rules that tell which syslog messages report incidents.

    By default each message with the SD-ELEMENT `element` does, in the class `incident`.
    """

    #: the SD-ID that holds `id`, `state`, `unit`; RFC 5612 reserves the number 32473 for examples
    element: str = "incident@32473"
    #: states that close an incident; any other state opens it
    closed: frozenset[str] = frozenset({"closed", "resolved"})
    classes: tuple[IncidentClass, ...] = (IncidentClass(name="incident"),)

    def judge(self, line: SyslogLine) -> IncidentClass | None:
        """Return the first class that fits *line*; None if the line reports no incident."""
        if not line.data.get(self.element, {}).get("id", ""):
            return None
        return next((each for each in self.classes if each.fits(line)), None)


RULES = IncidentRules()
#: Returns the unit code for the unit that a message names and the host that sent it; "" if there is none.
WhoIs = Callable[[str, str], str]


def name_incident_unit(unit: str, host: str) -> str:
    """Return the unit that the message names, else its host, which the registry may know as an alias."""
    return unit or host


@attrs.frozen(kw_only=True)
class Incident:
    """One incident as one message reports it."""

    id: str
    unit: str
    kind: str  #: `opened` or `closed`
    name: str  #: the name of its class
    severity: str
    time: datetime  #: the time of the opening or closing, by the sender's clock
    host: str = ""
    text: str = ""

    @property
    def key(self) -> str:
        """Return the business key of the incident's facts."""
        return json.dumps([self.id], ensure_ascii=False)


def parse_incident_line(
    line: SyslogLine, at: datetime, rules: IncidentRules, who_is: WhoIs = name_incident_unit
) -> Incident:
    """Return the incident that *line* reports. *at* is used if the line has no time.

    Raises Rejected if the line reports no incident, the incident has no unit, or its id is too long.
    """
    found = rules.judge(line)
    if found is None:
        raise _make_unreadable_refusal(phrase("no class of [incidents] matches it"))
    said = line.data[rules.element]
    return _check_incident(
        Incident(
            id=said["id"],
            unit=who_is(said.get("unit", ""), line.host),
            kind=CLOSED if said.get("state", "").lower() in rules.closed else OPENED,
            name=found.name,
            severity=SEVERITIES[line.severity],
            time=line.at or at,
            host=line.host,
            text=line.text,
        )
    )


def parse_incident_report(content: bytes) -> Incident:
    """Parse an incident report (`xsd/lienthong/1/incident.xsd`). Raises Rejected."""
    root = safe_xml.parse_safe_xml(content, limits=_LIMITS)
    if root.tag != REPORT:
        raise _make_unreadable_refusal(phrase("{tag} is no incident report", tag=str(root.tag)[:100]))
    texts = {etree.QName(child).localname: (child.text or "").strip() for child in root}
    kind = {"open": OPENED, "closed": CLOSED}.get(texts.get("State", ""))
    time = _read_time(texts.get("ClosedAt" if kind == CLOSED else "OpenedAt", ""))
    if kind is None or time is None or texts.get("Severity") not in SEVERITIES or not texts.get("Class"):
        raise _make_unreadable_refusal(phrase("State, its time, Class or Severity does not conform to the schema"))
    return _check_incident(
        Incident(
            id=texts.get("Id", ""),
            unit=texts.get("Unit", ""),
            kind=kind,
            name=texts["Class"],
            severity=texts["Severity"],
            time=time,
            host=texts.get("Host", ""),
            text=texts.get("Text", ""),
        )
    )


def read_incident(
    content: bytes, at: datetime, message: str, *, rules: IncidentRules = RULES, who_is: WhoIs = name_incident_unit
) -> Record:
    """Read *content*, a syslog message or an incident report, into its record. Raises Rejected."""
    if content[:1] == b"<" and content[1:2].isdigit():
        try:
            return make_incident_record(
                parse_incident_line(syslog.read_syslog_message(content), at, rules, who_is), at, message
            )
        except ValueError as error:
            raise _make_unreadable_refusal(str(error)) from None
    return make_incident_record(parse_incident_report(content), at, message)


def make_incident_record(incident: Incident, at: datetime, message: str) -> Record:
    """Return the record of one incident, with its fact."""
    attributes: Mapping[str, str] = {
        "class": incident.name,
        "severity": incident.severity,
        "time": write_instant(incident.time),
    }
    fact = Fact(
        unit=incident.unit,
        service="incidents",
        key=incident.key,
        milestone=incident.kind,
        at=at,
        message=message,
        day=find_local_day(incident.time),
        attributes=tuple(sorted(attributes.items())),
    )
    subject = incident.text[:_SUBJECT].strip() or f"{incident.name} {incident.id}"
    return Record(kind=incident.kind, sender=incident.unit, keys=(incident.key,), subject=subject, facts=(fact,))


def make_duration_fact(opened: Fact, closed: Fact, last: Fact) -> Fact:
    """Return the fact that says how long an incident was open: whole seconds by the senders' clocks, at least 0.

    It belongs to the message of *last*, the later arrival of the two, because the duration was not known before.
    """
    begun, ended = (datetime.fromisoformat(dict(fact.attributes)["time"]) for fact in (opened, closed))
    seconds = max(0, int((ended - begun).total_seconds()))
    return attrs.evolve(
        closed, milestone=CLOSING, at=last.at, message=last.message, amount=seconds, attributes=opened.attributes
    )


def write_instant(time: datetime) -> str:
    """Return a time as attributes and reports contain it: UTC, in whole seconds."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _check_incident(incident: Incident) -> Incident:
    if not 0 < len(incident.id) <= _LONGEST or not incident.id.isprintable():
        raise _make_unreadable_refusal(
            phrase("the id is {name}…; up to {most} printable characters", name=repr(incident.id[:20]), most=_LONGEST)
        )
    if incident.time.year not in _YEARS:
        raise _make_unreadable_refusal(phrase("the time is in the year {year}", year=str(incident.time.year)))
    if not incident.unit:
        raise Rejected(Problem("unit-unknown", incident.host))
    return incident


def _read_time(written: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(written)
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _make_unreadable_refusal(why: Detail) -> Rejected:
    return Rejected(Problem("incident-unreadable", shorten_detail(why, 200)))


SERVICE = Service(
    name="incidents",
    read=read_incident,
    milestones=frozenset([OPENED, CLOSED, CLOSING]),
    attributes=frozenset(["class", "severity", "time"]),
    may_report_any_unit=True,
)
