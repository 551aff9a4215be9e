"""What all endpoints share: the call as an endpoint receives it, and the steps by which it writes the journal.

Writes large octets before the transaction that refers to them. Does not know how a call arrived or what its operation
means.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

import attrs
import structlog
from lxml import etree

from hub.config import Partner
from hub.domain.errors import Rejected, Unready
from hub.domain.fair_queue import Owner
from hub.domain.measures import MESSAGES, Measures, name_code
from hub.domain.model import HUB, Event
from hub.domain.sightings import Sightings
from hub.domain.spans import NO_TRACER, SpanWork, Tracer
from hub.domain.trace_context import find_trace_id
from hub.edxml import changes
from hub.formats.canonical_xml import CanonicalElement
from hub.formats.spool import Drawer, Octets
from hub.formats.streamed_xml import Loads
from hub.intake.verification import Read, VerifiedCall
from hub.journal import blobs, duties, events, replay_guard
from hub.journal import messages as journal
from hub.journal.decisions import keeps_bytes
from hub.journal.effects import MessageEntry, RecordedMessage
from hub.journal.message_sets import ReceivedMessage, record_message_sets
from hub.journal.queue.outstanding_effects import MADE_AT_ONCE
from hub.journal.replay_guard import ReplayMark
from hub.language.phrases import phrase
from hub.runtime.thread_pool import Work
from hub.soap.attachments import Carriage
from hub.soap.wsdl import Contract
from hub.store.batch_commit import Journal, SetStep
from hub.store.transactions import Transaction
from hub.units.province import Province
from hub.units.routing import Routes

log = structlog.get_logger()
T = TypeVar("T")


@attrs.frozen(eq=False, kw_only=True)
class Case:
    """One verified call, with everything needed to answer it."""

    province: Province  #: the province at the arrival of the call, used until the answer
    partner: Partner  #: the partner that made the call
    owner: Owner  #: the owner in whose queues its work and its steps wait
    opened: VerifiedCall  #: the verified call
    now: datetime  #: time of arrival
    tracking: str  #: the hub's id of the call, and of the message in it
    how: Carriage  #: how binary content travels: inline, MTOM or SwA
    drawer: Drawer  #: storage for large content
    loads: Loads  #: large parts of the answer, kept outside its tree
    sha1: Mapping[str, str] | None  #: event body about a tolerated SHA-1 signature of the call
    trace: str | None  #: the header `traceparent` of the call, if it is valid


#: The element of an answer: a tree, or its canonical form if its writer knows it.
Answer = etree._Element | CanonicalElement  # noqa: SLF001 - lxml has no other name


class Endpoint(Protocol):
    """The endpoint of one service."""

    @property
    def contract(self) -> Contract:
        """The contract of the service."""
        ...

    @property
    def read(self) -> Read:
        """The function that reads a validated element."""
        ...

    @property
    def is_private(self) -> bool:
        """Tell whether its calls contain personal data.

        Of a call refused unread, only the hash and the codes are then journalled.
        """
        ...

    def carries_message(self, call: object) -> bool:
        """Tell whether *call* contains a message. Evidence about the call is then journalled with the message."""
        ...

    async def perform(self, case: Case) -> Answer:
        """Perform the operation and return the element of the answer.

        Raises `Rejected` when the only answer is a fault.
        """
        ...


#: Returns the services whose facts will be counted; None: all. May take long.
Counted = Callable[[], frozenset[str] | None]


async def _nothing_left(_services: Counted) -> None:
    """Do not wait: every fact is written with its message."""


@attrs.frozen(eq=False)
class JournalAccess:
    """Journal access for endpoints."""

    journal: Journal  #: the journal to read and write
    work: Work  #: runs XML work where its cost says
    require_space: Callable[[], None]  #: raises `Unready` when the disk has no room for another message
    on_accepted: Callable[[], None]  #: called after each commit that may have created deliveries
    #: waits until all earlier facts of these services are written, or raises `Unready`
    wait_for_facts: Callable[[Counted], Awaitable[None]] = _nothing_left
    measures: Measures = attrs.field(factory=Measures)  #: what this process counts
    sightings: Sightings = attrs.field(factory=Sightings)  #: what this process sees of partners' keys
    tracer: Tracer = NO_TRACER  #: tells spans

    async def record(
        self, owner: Owner, entry: MessageEntry, routes: Routes, mark: ReplayMark | None = None
    ) -> RecordedMessage:
        """Write a judged message, large octets first. *mark* identifies the signed call that contained it, if any.

        Raises `Unready` when the journal cannot commit, or too many facts of the partner are outstanding. Raises
        `Rejected` (`replayed`) when the same call was refused before.
        """
        if entry.partner != HUB and may_promise(entry):
            left = await self.journal.read(duties.count_owed_facts, entry.partner)
            if left > duties.MOST_OWED:
                raise Unready(
                    "hub-busy",
                    phrase("{left} effects of {partner} are still to be written", left=left, partner=entry.partner),
                )
        await store_large_octets(self.journal, owner, entry)
        with self.tracer.span(SpanWork.COMMIT, entry.id, entry.trace):
            received = ReceivedMessage(entry, routes, mark)
            taken: RecordedMessage = await self.journal.admit(owner, record_message_once, received)
        repeated, trace = taken.id != entry.id, find_trace_id(taken.id, entry.trace)
        if taken.problems:
            result = name_code(taken.problems[0].code)
            code = taken.problems[0].code
            log.info("message-refused", message=taken.id, partner=entry.partner, code=code, trace=trace)
        else:
            result = "repeated" if repeated else "accepted"
            log.info("message-accepted", message=taken.id, partner=entry.partner, repeated=repeated, trace=trace)
            self.on_accepted()
        self.measures.count(MESSAGES, entry.partner, entry.service, result)
        return taken

    async def run_once(
        self, owner: Owner, mark: ReplayMark | None, now: datetime, step: Callable[..., T], *args: object
    ) -> T:
        """Run a writing *step* of a call without a message id, at most once per call.

        Raises `Rejected`, also `replayed`.
        """
        found: T | Rejected = await self.journal.admit(owner, perform_once, mark, now, step, args)
        if isinstance(found, Rejected):
            raise found
        return found


def may_promise(entry: MessageEntry) -> bool:
    """Tell whether *entry* may have effects that are written after its receipt."""
    changing = entry.packet is not None and entry.packet.kind in changes.CHANGES
    return bool(entry.rest or entry.record) or changing or len(entry.routes) > MADE_AT_ONCE


async def store_large_octets(journal: Journal, owner: Owner, entry: MessageEntry) -> None:
    """Write the octets of a large *entry* before the transaction that refers to them, in short batches."""
    size = len(entry.content)
    if size <= blobs.LARGE or not keeps_bytes(entry):
        return
    if await journal.read(blobs.read_blob_size, entry.sha256) == size:
        return  # it was written before
    whole = Octets.of(entry.content) if isinstance(entry.content, bytes) else entry.content
    for numbers in blobs.batch_part_numbers(size):
        piece = whole.cut(numbers[0] * blobs.PART, min((numbers[-1] + 1) * blobs.PART, size))
        await journal.admit(owner, blobs.keep_parts, entry.sha256, piece, numbers, numbers[0])


def perform_once(
    tx: Transaction, mark: ReplayMark | None, now: datetime, step: Callable[..., T], args: Sequence[object]
) -> T | Rejected:
    """Run the writing *step* of a call with *args* and `fresh`. See `replay_guard.run_call_once`."""
    return replay_guard.run_call_once(tx, mark, now, lambda fresh: step(tx, *args, fresh=fresh))


def _record_once(tx: Transaction, received: ReceivedMessage) -> RecordedMessage:
    """Write a judged message like `record_message`. A refusal spends its mark, and a spent call brings no new message.

    Raises `Rejected` (`replayed`), and the savepoint then undoes what was written.
    """
    entry, mark = received.entry, received.mark
    taken = journal.record_message(tx, entry, received.routes)
    if taken.problems:
        replay_guard.spend_call_mark(tx, mark, entry.received_at)
    elif taken.id == entry.id and replay_guard.is_spent(tx, mark):
        raise replay_guard.refuse_replayed_call(entry.service)
    return taken


#: Writes a judged message once, alone or with others.
record_message_once = SetStep(_record_once, record_message_sets)


def record_refusal(tx: Transaction, said: Event, mark: ReplayMark | None) -> None:
    """Journal the event *said* about a refused call and spend the call's *mark*."""
    events.append_events(tx, said)
    replay_guard.spend_call_mark(tx, mark, said.at)
