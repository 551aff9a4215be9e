"""Defines the values of the glossary: message, delivery, outcome, fact, unit and others. Contains no rules about them.

Every value is frozen. Times are aware UTC datetimes, agency codes are opaque strings, and bytes are the exact octets.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import StrEnum

import attrs

from hub.domain.trace_context import find_trace_id
from hub.language.phrases import Phrase, SaidText

#: The service whose messages are packets. Every other service is a module of `hub.services`.
DOCUMENTS = "documents"
#: The code of the hub itself as a partner, for messages that the hub creates.
HUB = "hub"


class PacketKind(StrEnum):
    """The kind of a packet (QCVN 102 `BussinessDocType`). A status packet is recognised by its `StatusCode`."""

    DOCUMENT = "document"
    RECALL = "recall"
    UPDATE = "update"
    REPLACEMENT = "replacement"
    STATUS = "status"


class MessageState(StrEnum):
    """The receive life cycle: a message is judged once and the result never changes."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


class DeliveryState(StrEnum):
    """The deliver life cycle, one state per recipient (table in docs/explanation/architecture.md)."""

    WAITING = "waiting"
    SENDING = "sending"
    HELD = "held"
    FETCHED = "fetched"
    DELIVERED = "delivered"
    SUSPENDED = "suspended"  #: its retries are exhausted, and it waits for a person, as the partner's policy says
    DEAD = "dead"


class AfterGiveUp(StrEnum):
    """What becomes of a delivery that has waited for an unavailable partner as long as the policy allows."""

    DEAD = "dead"  #: it fails
    WAIT = "wait"  #: it is suspended
    PAUSE = "pause"  #: it is suspended, and sending to the partner is paused


class SignatureStanding(StrEnum):
    """The result of verifying a packet's own signature (docs/reference/soap.md)."""

    VALID = "valid"
    INVALID = "invalid"
    UNSIGNED = "unsigned"
    UNVERIFIABLE = "unverifiable"


class PacketProfile(StrEnum):
    """How strictly packets of a partner are read."""

    OBSERVED = "observed"  #: deviations from the schema are tolerated, and each becomes an event
    STRICT = "strict"  #: they are refused


class RevocationRule(StrEnum):
    """The effect of an unknown revocation status of a certificate."""

    REQUIRE = "require"  #: it is always refused
    CONFIGURED = "configured"  #: it is refused if its issuer has a configured source
    ALLOW = "allow"  #: it is tolerated


class ReportState(StrEnum):
    """The state of one revision of a unit's report."""

    OPEN = "open"
    CLOSED = "closed"
    DRAFTED = "drafted"  #: signed by the person who drew it up; waits for the head of the unit
    SIGNED = "signed"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    RETURNED = "returned"


class Receive(StrEnum):
    """How a partner receives the messages for its units."""

    NONE = "none"
    FETCH = "fetch"
    PUSH = "push"


#: What was found. A `Phrase` where it has words; a text where it has only values, such as codes, numbers and names, or
#: what a library or a partner said. A `SaidText` where the journal has kept it.
Detail = str | Phrase | SaidText


@attrs.frozen
class ElementPlace:
    """Where an element stands in the XML that was sent, or where a missing one belongs."""

    path: str  #: such as `/SyncDossiers/HoSo[101]/NgayTiepNhan`
    line: int
    column: int | None = None  #: from 1; None: it is not known
    label: str = ""  #: what the schema calls the element


@attrs.frozen
class Problem:
    """One reason of a refusal: a code of docs/reference/errors.md and what was found.

    The code may also be `N.`, `R.`, `T.` or `M.` + path.
    """

    code: str
    detail: Detail = ""
    #: the place that the detail names before its first `: `; None: it names none, or not in this form
    place: ElementPlace | None = attrs.field(default=None, eq=False)


class UnitMark(StrEnum):
    """The origin of a unit in the registry."""

    NONE = ""  #: a usual unit
    SYNTHETIC = "synthetic"  #: invented, for samples
    ADDED = "added"  #: created by `partners add`
    #: an agency of the national list: known by name, but outside the province, so that messages for it go to the
    #: upstream partner
    NATIONAL = "national"


class UnitLevel(StrEnum):
    """The level of government to which a unit belongs. A centre of a department belongs to the level of the department.

    Since 1 July 2025 a province has two: itself and its communes. Districts exist in its history.
    """

    NONE = ""  #: the registry does not say
    CENTRAL = "central"
    PROVINCE = "province"
    DISTRICT = "district"
    COMMUNE = "commune"


class UnitKind(StrEnum):
    """What a unit is."""

    NONE = ""  #: the registry does not say
    COMMITTEE = "committee"  #: a People's Committee
    COUNCIL = "council"  #: a People's Council, or a delegation to the National Assembly
    OFFICE = "office"  #: văn phòng
    DEPARTMENT = "department"  #: a department of the province (sở)
    DIVISION = "division"  #: a part of a department or of a committee (phòng, chi cục)
    BOARD = "board"  #: ban
    INSPECTORATE = "inspectorate"  #: thanh tra
    CENTRE = "centre"  #: a public service unit (trung tâm) that is neither school nor hospital
    SCHOOL = "school"
    HEALTH = "health"  #: a hospital or a health station
    PARTY = "party"  #: a body of the Party
    MASS = "mass"  #: the Fatherland Front and the mass organisations
    ARMED = "armed"  #: the military and the police
    SECTOR = "sector"  #: an agency of a ministry in the province, such as taxes, treasury, social insurance
    OTHER = "other"
    DRILL = "drill"  #: a test unit of an inspector's drill: it is in no total of the province


@attrs.frozen
class UnitChange:
    """What a unit is from the day `since` on: a version of it. The first version has no such day."""

    since: date
    name: str
    parent: str | None = None
    level: str = UnitLevel.NONE  #: a `UnitLevel`
    kind: str = UnitKind.NONE  #: a `UnitKind`


@attrs.frozen
class Unit:
    """An agency of the registry, active from `since` until before `until`.

    `name`, `parent`, `level` and `kind` are those of its first version. `at` gives the unit as it is on a day.
    """

    code: str
    name: str
    parent: str | None = None
    since: date | None = None
    until: date | None = None
    aliases: tuple[str, ...] = ()
    mark: str = UnitMark.NONE  #: a `UnitMark`
    successors: tuple[str, ...] = ()  #: the units that continue its work after its end
    level: str = UnitLevel.NONE  #: a `UnitLevel`
    kind: str = UnitKind.NONE  #: a `UnitKind`
    changes: tuple[UnitChange, ...] = ()  #: its later versions, oldest first

    def at(self, on: date) -> "Unit":
        """Return the unit as it is on the day *on*, without the other versions."""
        if not self.changes:
            return self
        now = self.find_version(on)
        if now is None:
            return attrs.evolve(self, changes=())
        return attrs.evolve(self, name=now.name, parent=now.parent, level=now.level, kind=now.kind, changes=())

    def find_version(self, on: date) -> UnitChange | None:
        """Return the version in force on the day *on*; None if it is the first one."""
        return next((each for each in reversed(self.changes) if each.since <= on), None)

    def active(self, on: date) -> bool:
        """Tell whether the unit is active on the day *on*."""
        return not ((self.since and on < self.since) or (self.until and on >= self.until))

    def meets(self, other: "Unit") -> bool:
        """Tell whether there is a day on which both units are active."""
        return (self.since or date.min) < (other.until or date.max) and (other.since or date.min) < (
            self.until or date.max
        )


def find_code_holder(units: Iterable[Unit], on: date) -> Unit:
    """Return the unit that a code means on the day *on*. All of *units* have had this code.

    It is the unit that is active on that day. Otherwise it is the last one that was active, and only then one that has
    not begun yet.
    """
    return min(units, key=lambda unit: (not unit.active(on), bool(unit.since and unit.since > on), _newest_first(unit)))


def _newest_first(unit: Unit) -> tuple[int, str]:
    return -(unit.since or date.min).toordinal(), unit.code


def is_province_code(code: str, *provinces: str) -> bool:
    """Tell whether *code* has the shape of a code of one of *provinces*, new (`H55.13`) or old (`000.00.13.H55`).

    A province that others were merged into has several codes.
    """
    return any(
        code == province or code.startswith(f"{province}.") or code.endswith(f".{province}") for province in provinces
    )


@attrs.frozen
class ResponseFor:
    """The document that a packet answers (QCVN 102, 1.12). Every text is as written."""

    organ: str
    code: str
    promulgation_date: str
    document_id: str


@attrs.frozen
class Replaced:
    """A document that a replacement supersedes (QCVN 102, 2.2.8). Without organs it is superseded at every unit."""

    document_id: str
    organs: tuple[str, ...] = ()


@attrs.frozen
class Attachment:
    """One attachment as the manifest names it. `size` and `sha256` are those of the decoded octets, as carried."""

    content_id: str
    name: str
    content_type: str
    size: int
    sha256: str
    #: the octets, only for the few attachments that the hub reads itself
    content: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class PacketSignature:
    """The result of checking a packet's own signature under the configuration of that time."""

    standing: SignatureStanding
    code: str = ""  #: why the signature is not valid; empty if there is no reason to give
    detail: Detail = ""
    certificate: str = ""  #: fingerprint of the partner's certificate that the signature was checked with
    sha1: bool = False  #: SHA-1 was used and tolerated
    vxp: bool = False  #: the observed VXP form was used and tolerated


@attrs.frozen(kw_only=True)
class Packet:
    """The values that the hub reads from a packet.

    Texts are as written. `due` is set only if it could be read as a date.
    """

    kind: PacketKind
    sender: str
    recipients: tuple[str, ...] = ()  #: `To/OrganId` in order; empty in a status packet
    document_id: str = ""
    code: str = ""  #: `number/notation`
    promulgation_date: str = ""
    type_name: str = ""
    subject: str = ""
    priority: int = 0
    due: date | None = None
    paper: bool = False
    responses: tuple[ResponseFor, ...] = ()
    status: str | None = None  #: two digits; only in status packets
    about: str = ""  #: `Bussiness/DocumentId`
    added: tuple[str, ...] = ()  #: units that an update adds to the receivers
    removed: tuple[str, ...] = ()  #: units that an update removes from the receivers
    replaces: tuple[Replaced, ...] = ()  #: the documents that a replacement supersedes
    hour: datetime | None = None  #: the time at which a timed document (`priority` 4) is to be sent
    attachments: tuple[Attachment, ...] = ()
    deviations: tuple[Problem, ...] = ()  #: deviations that the observed profile tolerated; each becomes an event


@attrs.frozen(kw_only=True)
class Message:
    """A message of the journal, without its bytes."""

    id: str
    partner: str
    message_id: str | None
    service: str
    kind: str
    state: MessageState
    received_at: datetime
    sha256: str
    size: int
    refusal: str | None = None
    sender: str | None = None  #: the From unit, after aliases
    document_id: str | None = None  #: the edXML DocumentId; for a status, that of the document it answers
    subject: str | None = None
    signature: str | None = None  #: the packet's own signature: a `SignatureStanding`; None if no packet could be read
    code: str | None = None  #: the document's number and notation; for a status, those of the document it answers
    trace: str | None = None  #: the header `traceparent` with which it came (`hub.domain.trace_context`); None: none

    @property
    def trace_id(self) -> str:
        """The W3C trace that it belongs to: that of its caller, or its own."""
        return find_trace_id(self.id, self.trace)


@attrs.frozen(kw_only=True)
class Delivery:
    """The duty to bring one message to one recipient unit."""

    id: str
    message: str
    recipient: str
    partner: str
    state: DeliveryState
    attempts: int
    due: datetime
    since: datetime  #: when it began to wait: its creation or its latest replay; `give-up` counts from here
    status: str | None = None  #: the recipient's latest status code; it only moves forward
    reason: str | None = None
    changed_at: datetime | None = None
    urgency: int = 0  #: `OtherInfo/Priority`, 0 to 4
    lane: str = ""  #: the deliveries of one lane go to one recipient in order
    stopped: str | None = None  #: the change that stopped it: `recalled: ID`, `removed: ID`, `replaced: ID`
    via: str = ""  #: the unit whose system receives: the recipient, or an ancestor
    answer: str | None = None  #: answer to a recall, update or replacement: 15 agreed, 16 refused
    crashes: int = 0  #: number of attempts in a row in which the hub itself broke
    again: bool = False  #: a person sent it again after it had been delivered
    cause: str | None = (
        None  #: digest of the cause why it is dead (`hub.domain.failure_causes`); None: stopped, or alive
    )
    #: start of the latest attempt that ended without an answer: until it is delivered, the partner may have it; None: none
    unsure: datetime | None = None
    #: it was sent again after such an attempt, and the partner cannot tell the two apart: it may have it twice
    twice: bool = False


@attrs.frozen(kw_only=True)
class Consignment:
    """The content of one push to one partner: one message and its recipients at this partner."""

    message: Message
    content: bytes
    recipients: tuple[str, ...]
    attempt: int
    #: a person sends it again to a recipient that had it: an adapter whose protocol can mark a repetition does so
    again: bool = False
    #: the recipients as the packet's `To` elements write them, in the same order; empty: as in `recipients`
    named: tuple[str, ...] = ()
    #: start of the latest attempt that ended without an answer, so that the partner may have the message; None: none did
    unsure: datetime | None = None
    #: when that attempt ended: what the partner was given by then, it may still be working on; None: as `unsure`
    unsure_until: datetime | None = None
    #: the partner's ids of what went to these recipients in the same lane before, so they are not this message's
    earlier: frozenset[str] = frozenset()
    #: the last `Request.progress` since the message began to wait, for adapters with `keeps_progress`; None: none
    progress: str | None = None

    @property
    def written(self) -> tuple[str, ...]:
        """Return the recipients' codes as the packet writes them, in the order of `recipients`."""
        return self.named or self.recipients


@attrs.frozen
class Event:
    """One fact about a message or delivery. It is appended once and never changed."""

    name: str
    at: datetime
    message: str | None = None
    delivery: str | None = None
    body: Mapping[str, object] = attrs.field(factory=dict)


#: Further attributes of a fact as (name, value), sorted by name. `hub.report.form.column.ATTRIBUTES` lists them for each
#: service.
Attributes = tuple[tuple[str, str], ...]


@attrs.frozen(kw_only=True)
class Fact:
    """One result counted for one unit. (unit, service, key, milestone) is unique."""

    unit: str
    service: str
    key: str
    milestone: str
    at: datetime
    message: str
    counterpart: str = ""
    outside: bool = False
    document_type: str = ""
    paper: bool = False
    signature: str = "unsigned"
    due: date | None = None
    #: the day of the result as the unit states it; `at` is the time at which the hub recorded it
    day: date | None = None
    amount: int = 1  #: number of results; more than one if a system reports its work only as numbers
    attributes: Attributes = ()


@attrs.frozen(kw_only=True)
class Record:
    """A message that is not a packet, as its service reads it (`hub.services`). Unit codes are as written."""

    kind: str
    #: the unit whose work the message reports, or empty; every fact is of this unit, or of a unit that the sender may
    #: send for
    sender: str
    keys: tuple[str, ...] = ()  #: the business keys that the message is about
    subject: str = ""
    facts: tuple[Fact, ...] = ()
    deviations: tuple[Problem, ...] = ()  #: deviations that the observed profile tolerates; each becomes an event
    #: the units whose figures the sender declares beside its facts: itself, or units below it
    told: tuple[str, ...] = ()
    #: the units whose systems get the message; None: every system that takes the service
    recipients: tuple[str, ...] | None = None
