"""The values of the glossary.  Knows what a message, a delivery, an outcome, a fact and a unit are; knows no rule about them.

Every value is frozen.  Times are aware UTC datetimes, codes of agencies are opaque strings, bytes are the exact octets.
"""

import hashlib
from collections.abc import Generator, Iterable, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import attrs

from hub.domain.sanitize import replace_unstorable

#: The service whose messages are packets; every other one is a file of `hub.services`.
DOCUMENTS = "documents"
#: The partner that the hub itself is, for messages of its own.
HUB = "hub"


class PacketKind(StrEnum):
    """What a packet is about (QCVN 102 `BussinessDocType`; a status packet is told apart by its `StatusCode`)."""

    DOCUMENT = "document"
    RECALL = "recall"
    UPDATE = "update"
    REPLACEMENT = "replacement"
    STATUS = "status"


class MessageState(StrEnum):
    """The receive life cycle: judged once, never changed."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


class DeliveryState(StrEnum):
    """The deliver life cycle, per recipient (table in docs/explanation/architecture.md)."""

    WAITING = "waiting"
    SENDING = "sending"
    HELD = "held"
    FETCHED = "fetched"
    DELIVERED = "delivered"
    DEAD = "dead"


class SignatureStanding(StrEnum):
    """What a packet's own signature is worth (docs/reference/soap.md)."""

    VALID = "valid"
    INVALID = "invalid"
    UNSIGNED = "unsigned"
    UNVERIFIABLE = "unverifiable"


class ReportState(StrEnum):
    """Where one revision of a unit's report stands."""

    OPEN = "open"
    CLOSED = "closed"
    SIGNED = "signed"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    RETURNED = "returned"


class Receive(StrEnum):
    """How a partner gets what is for its units."""

    NONE = "none"
    FETCH = "fetch"
    PUSH = "push"


@attrs.frozen
class Problem:
    """One reason of a refusal: a code of docs/reference/errors.md (or `N.` `R.` `T.` `M.` + path) and what was found."""

    code: str
    detail: str = ""


@attrs.frozen
class Unit:
    """An agency of the registry; `since` and `until` bound its life, half-open."""

    code: str
    name: str
    parent: str | None = None
    since: date | None = None
    until: date | None = None
    aliases: tuple[str, ...] = ()
    mark: str = ""  #: one of `MARKS`
    successors: tuple[str, ...] = ()  #: the units that go on with its work once it has ended

    def active(self, on: date) -> bool:
        """Tell whether it is active on the day *on*."""
        return not ((self.since and on < self.since) or (self.until and on >= self.until))

    def meets(self, other: "Unit") -> bool:
        """Tell whether there is a day on which both are active."""
        return (self.since or date.min) < (other.until or date.max) and (other.since or date.min) < (
            self.until or date.max
        )


def find_code_holder(units: Iterable[Unit], on: date) -> Unit:
    """Return which of *units* a code that all of them have had means on the day *on*.

    The one that is active then; else the last one that was, before those that have yet to begin.
    """
    return min(units, key=lambda unit: (not unit.active(on), bool(unit.since and unit.since > on), _newest_first(unit)))


def _newest_first(unit: Unit) -> tuple[int, str]:
    return -(unit.since or date.min).toordinal(), unit.code


#: A unit of the national list: known by name, but outside the province, so that what is for it goes to the upstream partner.
NATIONAL = "national"

#: A usual unit, one made up for samples, one made by `partners add`, an agency outside the province.
MARKS = ("", "synthetic", "added", NATIONAL)


def of_province(code: str, province: str) -> bool:
    """Tell whether *code* has the shape of a code of *province*, new (`H55.13`) or old (`000.00.13.H55`)."""
    return code == province or code.startswith(f"{province}.") or code.endswith(f".{province}")


@attrs.frozen
class ResponseFor:
    """The document a packet answers (QCVN 102, 1.12), every text as written."""

    organ: str
    code: str
    promulgation_date: str
    document_id: str


@attrs.frozen
class Replaced:
    """A document that a replacement supersedes (QCVN 102, 2.2.8); no organs: at every unit."""

    document_id: str
    organs: tuple[str, ...] = ()


@attrs.frozen
class Attachment:
    """One attachment as its manifest names it; `size` and `sha256` are of the decoded octets, as carried."""

    content_id: str
    name: str
    content_type: str
    size: int
    sha256: str
    content: bytes | None = attrs.field(default=None, repr=False)  #: the octets, of the few that the hub reads itself


@attrs.frozen(kw_only=True)
class PacketSignature:
    """What was found of a packet's own signature, by the hub's configuration at the time."""

    standing: SignatureStanding
    code: str = ""  #: why it is not valid; empty where there is nothing to say
    detail: str = ""
    certificate: str = ""  #: fingerprint of the partner's certificate it was checked with
    sha1: bool = False  #: SHA-1 was used, and tolerated
    vxp: bool = False  #: the observed VXP form was used, and tolerated


@attrs.frozen(kw_only=True)
class Packet:
    """What the hub reads from a packet.  Texts as written; `due` only when it could be read as a date."""

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
    status: str | None = None  #: two digits, status packets only
    about: str = ""  #: `Bussiness/DocumentId`
    added: tuple[str, ...] = ()  #: units an update adds to the receivers
    removed: tuple[str, ...] = ()  #: units it takes away
    replaces: tuple[Replaced, ...] = ()  #: what a replacement supersedes
    hour: datetime | None = None  #: when a timed document (`priority` 4) is to go
    attachments: tuple[Attachment, ...] = ()
    deviations: tuple[Problem, ...] = ()  #: what the observed profile tolerated; each becomes an event


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
    document_id: str | None = None  #: the edXML DocumentId (of the document answered, for a status)
    subject: str | None = None
    signature: str | None = None  #: the packet's own: a Standing; None when no packet could be read


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
    since: datetime  #: when it began to wait: its making, or its latest replay; `give-up` counts from here
    status: str | None = None  #: the recipient's latest status code, moved only forward
    reason: str | None = None
    changed_at: datetime | None = None
    urgency: int = 0  #: `OtherInfo/Priority`, 0 to 4
    lane: str = ""  #: what is in one lane goes to one recipient in order
    stopped: str | None = None  #: the change that stopped it: `recalled: ID`, `removed: ID`, `replaced: ID`
    via: str = ""  #: the unit whose system receives: the recipient, or an ancestor
    answer: str | None = None  #: of a recall, update or replacement: 15 agreed, 16 refused
    crashes: int = 0  #: attempts in a row that broke with the hub itself


@attrs.frozen(kw_only=True)
class Consignment:
    """What travels to one partner in one push: one message and its recipients there."""

    message: Message
    content: bytes
    recipients: tuple[str, ...]
    attempt: int


@attrs.frozen
class Event:
    """One fact about a message or delivery, appended once."""

    name: str
    at: datetime
    message: str | None = None
    delivery: str | None = None
    body: Mapping[str, object] = attrs.field(factory=dict)


#: What else is known of a fact, by name, the names in order: what a service's facts have is `hub.report.form.form.ATTRIBUTES`.
Attributes = tuple[tuple[str, str], ...]


@attrs.frozen(kw_only=True)
class Fact:
    """One result counted for one unit; (unit, service, key, milestone) is unique."""

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
    day: date | None = None  #: on which it happened, as the unit says; `at` is when the hub learned of it
    amount: int = 1  #: how many; more than one where a system tells of its work in numbers only
    attributes: Attributes = ()


@attrs.frozen(kw_only=True)
class Record:
    """A message that is no packet, as its service reads it (`hub.services`); unit codes as written."""

    kind: str
    sender: str  #: the unit whose work it tells of, empty for nobody's; every fact is of it, or of a unit that the sender may send for
    keys: tuple[str, ...] = ()  #: the business keys it is about
    subject: str = ""
    facts: tuple[Fact, ...] = ()
    deviations: tuple[Problem, ...] = ()  #: what the observed profile tolerates; each becomes an event
    told: tuple[str, ...] = ()  #: units whose figures the sender declares beside its own: itself, or units below it


@attrs.frozen
class Request:
    """What an adapter asks the sender to carry."""

    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "POST"
    reply_limit: int = 4 << 20  #: so many octets the reply may have; a document's answer has a few thousand


@attrs.frozen
class Reply:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)  #: names in lower case
    at: datetime | None = None  #: when it came; None: as the conversation began


@attrs.frozen
class Accepted:
    """The partner took it."""

    detail: str = attrs.field(default="", converter=replace_unstorable)


@attrs.frozen
class Refused:
    """The partner will never take it: a business refusal, not tried again."""

    detail: str = attrs.field(converter=replace_unstorable)


@attrs.frozen
class Unavailable:
    """The partner could not be reached or made no sense: tried again."""

    detail: str = attrs.field(converter=replace_unstorable)
    retry_after: float | None = None  #: seconds, when the partner said so
    ours: bool = False  #: it was the hub that broke, not the partner
    credentials: bool = False  #: it does not accept who we say we are: a person must look, and nobody hammers at it


@attrs.frozen
class Postponed:
    """The partner is not ready; asked again at `until`, without counting an attempt."""

    until: datetime
    detail: str = ""


Outcome = Accepted | Refused | Unavailable | Postponed
Conversation = Generator[Request, Reply, Outcome]


#: Octets of what a partner may call a message: an index of PostgreSQL holds no entry of more than 2,704.
_LONGEST_NAME = 1000


def _called(name: str) -> str:
    """Return what a partner calls a message; by its SHA-256 what the journal could not keep or look up."""
    octets = name.encode(errors="surrogatepass")
    return (
        name
        if replace_unstorable(name) == name and len(octets) <= _LONGEST_NAME
        else hashlib.sha256(octets).hexdigest()
    )


@attrs.frozen
class Arrival:
    """A message that a collection found at the partner.  What is sent back, `Judged`, is committed: only then may it be confirmed."""

    content: bytes
    message_id: str = attrs.field(converter=_called)  #: what the partner calls it: the same each time it is found
    service: str = "documents"


@attrs.frozen
class Ignored:
    """What an enclosure says that does not count."""

    attachment: str  #: its name
    problem: Problem


@attrs.frozen
class Enclosed:
    """What the enclosures of one packet bring."""

    facts: tuple[Fact, ...] = ()
    ignored: tuple[Ignored, ...] = ()


@attrs.frozen
class Judged:
    """What became of an arrival."""

    accepted: bool
    problems: tuple[Problem, ...] = ()

    @property
    def is_here(self) -> bool:
        """Whether the hub has the document: this time's, or from before under this id, when it comes in other octets now."""
        return self.accepted or any(problem.code == "id-reused" for problem in self.problems)


@attrs.frozen
class Collected:
    """A collection ended; the next one begins with *cursor*."""

    cursor: str = ""
    more: bool = False  #: there is more to collect, at once
    unusable: tuple[str, ...] = ()  #: what came and is no message: what it was, and why; for the operator


#: Yields a `Request` and is sent its `Reply`, or an `Arrival` and is sent what it was `Judged`.
Collection = Generator[Request | Arrival, Any, Collected | Unavailable]


@attrs.frozen
class Query:
    """A question to a partner that answers at once: one operation of `/soap/lookups` with its fields."""

    operation: str
    fields: Mapping[str, str]
    id: str  #: the hub's id of it, the same on every repetition


@attrs.frozen
class Answer:
    """What the partner knows: the answer's fields, one after another; a repeated name is a list."""

    fields: tuple[tuple[str, str], ...]


Inquest = Generator[Request, Reply, Answer | Refused | Unavailable]

#: Returns a list of agencies as `hub.units.national_agencies` reads it.
Listing = Generator[Request, Reply, bytes | Refused | Unavailable]


class Adapter(Protocol):
    """How one partner wants to be spoken to.  Pure: it yields requests, is sent replies, returns an outcome."""

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Hold the conversation that brings *consignment* to the partner."""
        ...


@runtime_checkable
class Collector(Protocol):
    """An adapter of a partner that does not call us: it is asked for what it has."""

    def collect(self, cursor: str, now: datetime) -> Collection:
        """Hold the conversation that gets what waits at the partner, from *cursor* on (empty: from the beginning)."""
        ...


@runtime_checkable
class Answerer(Protocol):
    """An adapter of a partner that answers questions at once."""

    def ask(self, query: Query, now: datetime) -> Inquest:
        """Hold the conversation that gets the answer."""
        ...


@runtime_checkable
class Lister(Protocol):
    """An adapter of a partner that knows the agencies of the country: `lienthong units fetch` asks it."""

    def list_units(self, now: datetime) -> Listing:
        """Hold the conversation that gets the list."""
        ...
