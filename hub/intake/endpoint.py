"""What every desk of the hub shares: one call as it comes to it, and the books that its clerk writes in.

Knows the journal's steps and the order of bytes before names; not how a call came in, nor what any operation means.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol, TypeVar

import attrs
import structlog
from lxml import etree

from hub.config import Partner
from hub.domain.errors import Rejected, Unready
from hub.domain.fair_queue import Owner
from hub.domain.model import HUB, Event
from hub.formats.spool import Drawer
from hub.formats.streamed_xml import Loads
from hub.intake.verification import Read, VerifiedCall
from hub.journal import blobs, duties, events, replay_guard
from hub.journal import messages as journal
from hub.journal.messages import MessageEntry, RecordedMessage
from hub.journal.replay_guard import ReplayMark
from hub.runtime.thread_pool import Work
from hub.soap.attachments import Carriage
from hub.soap.wsdl import Contract
from hub.store.group_commit import Journal
from hub.store.transactions import Transaction
from hub.units.province import Province
from hub.units.routing import Routes

log = structlog.get_logger()
T = TypeVar("T")


@attrs.frozen(eq=False, kw_only=True)
class Case:
    """One call that may be believed, with all that answering it takes."""

    province: Province
    partner: Partner  #: whose call it is
    owner: Owner  #: in whose queue its work and its steps wait
    opened: VerifiedCall
    now: datetime
    tracking: str  #: the hub's id of the call, and of the message that it brings
    how: Carriage
    drawer: Drawer  #: where what is large lies
    loads: Loads  #: what of the answer stays out of its tree
    sha1: Mapping[str, str] | None  #: what to tell of the call's SHA-1 signature, where the policy tolerated one


class Desk(Protocol):
    """One service's desk."""

    @property
    def contract(self) -> Contract:
        """The contract it keeps."""
        ...

    @property
    def read(self) -> Read:
        """How it reads a validated element."""
        ...

    @property
    def private(self) -> bool:
        """Tell whether its calls tell of persons: of one that is refused unread the journal has the hash and the codes alone."""
        ...

    def brings(self, call: object) -> bool:
        """Tell whether *call* brings a message, which is journalled with the call's own evidence."""
        ...

    async def perform(self, case: Case) -> etree._Element:
        """Do what is asked; return the answer's element.  Raises `Rejected` when there is none but a fault."""
        ...


#: Says of which services facts are counted; None: of all.  It may take a while.
Counted = Callable[[], frozenset[str] | None]


async def _nothing_left(_services: Counted) -> None:
    """Go on: every fact is written with its message."""


@attrs.frozen(eq=False)
class EndpointJournal:
    """The journal as a clerk uses it."""

    journal: Journal
    work: Work
    room: Callable[[], None]  #: raises `Unready` when there is none for another message
    accepted: Callable[[], None]  #: told after each commit that may have made deliveries
    #: waits until all facts of before, of these services, are written, or raises `Unready`
    facts: Callable[[Counted], Awaitable[None]] = _nothing_left

    async def take(
        self, owner: Owner, entry: MessageEntry, routes: Routes, mark: ReplayMark | None = None
    ) -> RecordedMessage:
        """Write a judged message, bytes first; *mark* names the signed call that brought it, if one did.

        Raises `Unready` when the journal cannot commit it, or too much is still to be done of what its partner has brought before,
        and `Rejected`, `replayed`, when that very call was refused before.
        """
        if entry.partner != HUB and (entry.rest or entry.record is not None):
            left = await self.journal.read(duties.count_owed_facts, entry.partner)
            if left > duties.MOST_OWED:
                raise Unready("hub-busy", f"{left} facts of {entry.partner} are still to be written")
        await self.keep(owner, entry)
        taken: RecordedMessage = await self.journal.admit(owner, take_once, entry, routes, mark)
        if taken.problems:
            log.info("message-refused", message=taken.id, partner=entry.partner, code=taken.problems[0].code)
        else:
            log.info("message-accepted", message=taken.id, partner=entry.partner, repeated=taken.id != entry.id)
            self.accepted()
        return taken

    async def keep(self, owner: Owner, entry: MessageEntry) -> None:
        """Write the bytes of a large *entry* before the transaction that names them, some at a time: nobody waits long for the writer."""
        size = len(entry.content)
        if size <= blobs.LARGE or not journal.keeps_bytes(entry):
            return
        if await self.journal.read(blobs.read_blob_size, entry.sha256) == size:
            return  # it came before
        for numbers in blobs.batch_part_numbers(size):
            await self.journal.admit(owner, blobs.keep_parts, entry.sha256, entry.content, numbers)

    async def once(
        self, owner: Owner, mark: ReplayMark | None, now: datetime, step: Callable[..., T], *args: object
    ) -> T:
        """Do a writing *step* of a call without an id of its own.  Raises `Rejected`: also `replayed`."""

        def take(tx: Transaction) -> T | Rejected:
            return replay_guard.run_call_once(tx, mark, now, lambda fresh: step(tx, *args, fresh=fresh))

        found = await self.journal.admit(owner, take)
        if isinstance(found, Rejected):
            raise found
        return found


def take_once(tx: Transaction, entry: MessageEntry, routes: Routes, mark: ReplayMark | None) -> RecordedMessage:
    """Write a judged message as `record_message` does; a refusal spends the call *mark*, and no spent call brings a new message.

    Raises `Rejected`, `replayed`; what was written is taken back with the savepoint then.
    """
    taken = journal.record_message(tx, entry, routes)
    if taken.problems:
        replay_guard.spend_call_mark(tx, mark, entry.received_at)
    elif taken.id == entry.id and replay_guard.is_spent(tx, mark):
        raise replay_guard.refuse_replayed_call(entry.service)
    return taken


def tell_refused(tx: Transaction, said: Event, mark: ReplayMark | None) -> None:
    """Journal what is *said* of a refused call, which is spent with it."""
    events.append_events(tx, said)
    replay_guard.spend_call_mark(tx, mark, said.at)
