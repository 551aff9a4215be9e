"""What is known before a message is decided, and what the decision has the journal write; values only."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Any

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.model import Event, Fact, Packet, PacketSignature, Problem, Record
from hub.edxml import changes
from hub.formats.spool import Octets
from hub.journal.duties import DutyKind, DutySlice
from hub.journal.fact_reading.fact_rows import Key
from hub.journal.queue.deliveries import DeliveryStops
from hub.journal.queue.outstanding_effects import PlannedStop, Stoppable, UnmadeDeliveries
from hub.journal.sequels.document_holders import Holding
from hub.security.kept_envelopes import KeptEnvelope
from hub.units.routing import Route, Routes


@attrs.frozen(kw_only=True)
class MessageEntry:
    """A message as intake judged it.

    With problems it is refused. Otherwise it has its packet or its record, its routes and its receipt.
    """

    id: str
    partner: str
    message_id: str | None
    service: str
    received_at: datetime
    content: bytes | Octets
    sha256: str
    packet: Packet | None = None
    record: Record | None = None  #: of a service whose messages are no packets; unit codes are the registry's
    #: processed after the receipt: further facts, or the packet's attachments that contain facts
    rest: tuple[DutySlice, ...] = ()
    signature: PacketSignature | None = None  #: None where no packet could be looked at
    routes: tuple[Route, ...] = ()
    receipt: bytes | None = None
    problems: tuple[Problem, ...] = ()
    withheld: bool = False  #: its bytes are not kept, because they may contain personal data
    envelope: KeptEnvelope | None = None  #: the signed parts of the call that brought it
    sha1: Mapping[str, str] | None = None  #: event body about the call's SHA-1 signature, if the policy tolerated one
    trace: str | None = None  #: the call's header `traceparent`, if it had a valid one

    @cached_property
    def day(self) -> date:
        """The day of its receipt in Hà Nội, by which its units are resolved."""
        return find_local_day(self.received_at)


@attrs.frozen
class RecordedMessage:
    """The result for an entry: its own id and receipt, or those of the message that it repeats."""

    id: str
    receipt: bytes | None
    problems: tuple[Problem, ...] = ()


@attrs.frozen
class Twin:
    """The accepted message with the entry's partner and message id."""

    id: str
    sha256: str
    receipt: bytes | None


@attrs.frozen(kw_only=True)
class AnsweredDocument:
    """The columns that a status needs of the document or change that it answers."""

    id: str
    kind: str
    sender: str
    document_id: str
    document_type: str
    due: date | None
    lane: str | None
    #: of a change whose DocumentId no document to the reporter has: the SHA-256 of its packet, which its facts' key has
    packet: str | None = None
    by_number: bool = False  #: the status names it by number and notation alone, and no other document can be meant


@attrs.frozen
class AnsweredDelivery:
    """The delivery of the answered document to the unit that answers. Its row is locked."""

    id: str
    status: str | None
    answer: str | None
    returns: int | None = (
        None  #: the number in the key of the document, if its unit had handed it over and has it again
    )


@attrs.frozen
class EarlyChange:
    """The effect of a recall, update or replacement that arrived before its document."""

    unit: str  #: `EVERY`: all units
    effect: changes.Effect
    partner: str  #: the partner that sent the change
    message: str


@attrs.frozen(kw_only=True)
class Known:
    """What the journal and the registry know of an entry. If it is not accepted, `routing` and `twin` are enough."""

    routing: Routes  #: the units and partners by which the entry was judged
    twin: Twin | None = None
    contested: bool = False  #: another node has written a message with this key, so the entry cannot be accepted
    lane: str = ""  #: the lane of its deliveries, which is locked
    routes: tuple[Route, ...] = ()
    #: the ids of the deliveries to make now, one per route, later than all in the lane; of the other routes later
    ids: Sequence[str] = ()
    #: of a change: see `find_named_documents`
    named: Mapping[str, str | None] = attrs.field(factory=dict)
    stoppable: Stoppable = ()  #: of a change: the deliveries that it may stop now, by effect; their rows are locked
    unstopped: Sequence[PlannedStop] = ()  #: of a change: the deliveries that it may stop later
    early: Sequence[EarlyChange] = ()  #: of a document
    reached: frozenset[str] = frozenset()  #: of a document with early changes: recipients to which it was sent before
    answered: AnsweredDocument | None = None  #: of a status
    answers: AnsweredDelivery | None = None  #: of a status
    holding: Holding | None = None  #: of a status about a document of a unit whose work its own unit continues
    counted: bool = False  #: of a status: a unit whose work its unit continues has a fact of it
    recalled: Sequence[tuple[str, str]] = ()  #: of an answer to a recall: message and id of the recalled deliveries
    behind: bool = False  #: of a record: see `has_earlier_duty`
    incidents: Mapping[Key, Fact] = attrs.field(factory=dict)  #: of a record: see `read_incident_ends`


@attrs.frozen(kw_only=True)
class NewDuty:
    """A duty to record: slices of *kind* that may contain facts of *services*."""

    services: str
    slices: tuple[DutySlice, ...]
    kind: DutyKind = DutyKind.FACTS


@attrs.frozen(kw_only=True)
class Effects:
    """Everything that one entry writes, and the result for its sender. Rows are mappings by column."""

    recorded: RecordedMessage
    message: Mapping[str, Any] | None = None  #: the row of the message; None if it is a repetition
    keeps: bool = False  #: whether the bytes are kept
    deliveries: Sequence[Mapping[str, Any]] = ()
    unmade: UnmadeDeliveries | None = None  #: the deliveries that a duty is to make
    changes: Sequence[Mapping[str, Any]] = ()
    stops: DeliveryStops = attrs.field(factory=DeliveryStops)  #: of older deliveries
    unstopped: Sequence[PlannedStop] = ()  #: older deliveries that a duty is to stop
    answered: Mapping[str, Any] | None = None  #: the update of the answered delivery, with its id as `which`
    facts: Sequence[Fact] = ()  #: a fact whose key is new gets an event
    duty: NewDuty | None = None
    before: Sequence[Event] = ()  #: events that precede those of the facts
    after: Sequence[Event] = ()  #: events that follow those of the facts
    wakes: bool = False  #: a delivery can be sent now, so all nodes are notified
