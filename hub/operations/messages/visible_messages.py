"""Reads a message with its events, deliveries and facts, if the user may see it. Contains SQL, no pages.

An accepted message is visible to a user who sees one of its units: the From unit, a recipient, the unit whose document
it answers, or a unit with a fact from it. A user who is limited to some partners sees it if one of these sent it or
gets it, and of its deliveries those to these partners. The unit of a refused message was never established, so it is visible to a
user who sees every unit and has the permission `see-refused`.

The official who made a lookup, its purpose and its dossier are visible with the permission `see-private`. The answers
of lookups are not shown at all.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import attrs
import sqlalchemy as sa

from hub.domain.errors import read_problem_json
from hub.domain.model import DOCUMENTS, HUB, Delivery, DeliveryState, Event, Message, MessageState, Problem
from hub.edxml.readable import PacketFinding
from hub.journal import blobs, events, lineage
from hub.journal.lineage import MessageLink
from hub.journal.queue import deliveries, exchanges
from hub.journal.queue.exchanges import AttemptRecord
from hub.journal.queue.timeline import DeliveryStage, list_delivery_stages
from hub.journal.searching import message_reading, refused_calls
from hub.journal.searching.refused_calls import RefusedCall
from hub.keeping.archive import opening
from hub.keeping.archive.catalogue import ArchiveAbsent, ArchiveEntry
from hub.operations.accounts import users
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.services.lookups import operations
from hub.store.tables import delivery
from hub.store.tables import message as table
from hub.store.transactions import Transaction

#: Maximum events, and maximum facts, shown of one message. The others are only counted.
MOST = 500
#: Deliveries of one message whose stages are shown.
STAGED = 50
#: The event of content that a user opened.
OPENED = "content-opened"
#: Event fields shown of a private message.
_BARE = ("at", "event")
#: Services whose messages reveal what an official asked about a person.
PRIVATE = frozenset({operations.NAME})


@attrs.frozen(kw_only=True)
class ShownMessage:
    """A message as its page shows it."""

    message: Message
    private: bool  #: whether its bytes and event bodies are withheld
    may_open: bool  #: whether the user may open its content
    kept: bool  #: whether the user may open its content, and its bytes are in the journal or in an archive file
    receipt: bool  #: whether the hub gave a signed receipt
    happened: Sequence[Mapping[str, object]]  #: events in order, without facts; the first `MOST`
    more: int  #: number of further events
    facts: Sequence[Mapping[str, object]]  #: facts counted from it, as their events state them; the first `MOST`
    more_facts: int  #: number of further facts
    deliveries: Sequence[Delivery]
    attempts: Sequence[AttemptRecord]  #: the first `MOST`
    stages: Mapping[str, Sequence[DeliveryStage]]  #: by delivery: the periods in which it was in one state
    links: Sequence[MessageLink]  #: messages that it is linked to, as far as the user may see them
    code: str | None = None  #: number and notation of the document
    seen: frozenset[str] | None = None  #: the units that the user sees; None: all
    archives: Sequence[ArchiveEntry] = ()  #: the archive files that have a part of it
    absent: str | None = None  #: name of the archive file that is not there, so that this part is not shown

    @property
    def signature(self) -> Mapping[str, object] | None:
        """The event about the packet's own signature; None without one."""
        return next((event for event in self.happened if event["event"] == "packet-signature"), None)

    @property
    def corrections(self) -> Sequence[Mapping[str, object]]:
        """The events of its correction: that it was corrected, or that it is a corrected one."""
        return [event for event in self.happened if event["event"] in {"message-corrected", "message-corrects"}]

    @property
    def is_correctable(self) -> bool:
        """Whether it may be worth while to correct it: it is a packet that was refused or has dead deliveries."""
        ours = self.kept and not self.archives and self.message.service == DOCUMENTS and self.message.partner != HUB
        done = any(event["event"] == "message-corrected" for event in self.happened)
        dead = any(each.state is DeliveryState.DEAD and each.stopped is None for each in self.deliveries)
        return ours and not done and (self.message.state is MessageState.REFUSED or dead)

    @property
    def reasons(self) -> Sequence[Problem]:
        """Why it was refused. Empty if it was accepted."""
        if problems := events.read_refusal(self.happened):
            return problems
        code, _, detail = (self.message.refusal or "").partition(": ")
        return [Problem(code, detail)] if code else []

    @property
    def findings(self) -> Sequence[PacketFinding]:
        """What was found in the packet: the reasons of the refusal, and tolerated deviations."""
        told = [each for each in self.happened if each["event"] == "deviation-tolerated" and "code" in each]
        tolerated = map(read_problem_json, told)
        return [
            *(PacketFinding(code=each.code, detail=each.detail, refuses=True) for each in self.reasons),
            *(PacketFinding(code=each.code, detail=each.detail, refuses=False) for each in tolerated),
        ]


def may_see_refused(user: User) -> bool:
    """Tell whether *user* may see what the hub refused. It has no unit, so a user who is limited to some may not."""
    return user.sees_all and user.may(Permission.SEE_REFUSED)


def find_visible_message(tx: Transaction, user: User, identity: str, folder: Path | None = None) -> ShownMessage | None:
    """Return the message with the hub's id *identity*; None if it does not exist or *user* may not see it.

    *folder*: that of the archive files, from which it is read if its rows are there. None: only what the journal has.
    """
    if folder is None:
        return _find_message(tx, tx, user, identity)
    try:
        archives = opening.find_archives_of(tx, identity, folder)
        with opening.open_kept_message(tx, identity, folder) as kept:
            found = _find_message(tx, kept, user, identity)
    except ArchiveAbsent as absent:
        found = _find_message(tx, tx, user, identity)
        return None if found is None else attrs.evolve(found, archives=[absent.entry], absent=absent.entry.name)
    if found is None or not archives:
        return found
    return attrs.evolve(found, archives=archives, kept=found.may_open)


def _find_message(tx: Transaction, kept: Transaction, user: User, identity: str) -> ShownMessage | None:
    """Return the message as its page shows it. *kept*: where its own rows are read."""
    try:
        found = message_reading.read_message(kept, identity)
    except KeyError:
        return None
    all_made = deliveries.read_message_deliveries(kept, identity)
    all_told = events.read_message_events(kept, identity)
    if not _is_open(tx, user, found, all_made, all_told):
        return None
    made = [each for each in all_made if user.sees_partner(each.partner)]
    told = all_told if len(made) == len(all_made) else _keep_seen_events(user, found, made, all_told)
    private = found.service in PRIVATE and not user.may(Permission.SEE_PRIVATE)
    apart = {"fact-recorded"} | (set() if user.may(Permission.SEE_EVENTS) else {OPENED})  # who opened it is not for all
    happened = [event for event in told if event["event"] not in apart]
    facts = [event for event in told if event["event"] == "fact-recorded"]
    may_open = not private and user.may(Permission.SEE_CONTENT)
    code = kept.scalars(sa.select(table.c.code).where(table.c.id == identity)).first()
    attempts = [each for each in exchanges.read_attempts(kept, identity) if user.sees_partner(each.partner)]
    stages = {each.id: list_delivery_stages(each, told, attempts) for each in made[:STAGED]}
    if private:
        code = None
        happened = [{key: event[key] for key in _BARE} for event in happened]
        found = attrs.evolve(found, subject=None)
    return ShownMessage(
        message=found,
        private=private,
        may_open=may_open,
        kept=may_open and blobs.read_blob_size(tx, found.sha256) is not None,
        receipt=not private and message_reading.read_stored_receipt(kept, identity) is not None,
        happened=happened[:MOST],
        more=max(0, len(happened) - MOST),
        facts=facts[:MOST],
        more_facts=max(0, len(facts) - MOST),
        deliveries=made,
        attempts=attempts[:MOST],
        stages=stages,
        links=[] if private else _read_visible_links(tx, user, found, told),
        code=code,
        seen=users.read_visible_units(tx, user),
    )


class OpenedContent(StrEnum):
    """What of a message a user opened."""

    BYTES = "bytes"
    PACKET = "packet"
    ATTACHMENT = "attachment"
    REPLY = "reply"  #: of a partner, to an attempt


@attrs.frozen
class MessageName:
    """What distinguishes a message in a list."""

    message_id: str | None  #: the sender's id
    code: str | None  #: the document's code
    subject: str | None


def name_visible_messages(tx: Transaction, user: User, ids: Collection[str]) -> dict[str, MessageName]:
    """Return the names of the messages with these hub ids. *user* must be allowed to see a fact of each.

    A message of partners that *user* does not see is left out.
    """
    columns = (table.c.id, table.c.service, table.c.message_id, table.c.code, table.c.subject)
    partners, found = user.visible_partners, {}
    query = sa.select(*columns).where(table.c.id.in_(list(ids)))
    if partners is not None:
        gets = sa.exists().where(delivery.c.message == table.c.id, delivery.c.partner.in_(partners))
        query = query.where(sa.or_(table.c.partner.in_(partners), gets))
    for row in tx.execute(query):
        private = row.service in PRIVATE and not user.may(Permission.SEE_PRIVATE)
        found[row.id] = MessageName(row.message_id, row.code, None if private else row.subject)
    return found


def _is_open(
    tx: Transaction,
    user: User,
    found: Message,
    made: Sequence[Delivery],
    told: Sequence[Mapping[str, object]],
) -> bool:
    if not (user.sees_partner(found.partner) or any(user.sees_partner(each.partner) for each in made)):
        return False
    if found.state is not MessageState.ACCEPTED:
        return may_see_refused(user)
    seen = users.read_visible_units(tx, user)
    if seen is None:
        return True
    answered = tx.scalars(sa.select(table.c.answers_unit).where(table.c.id == found.id)).first()
    units = {found.sender, answered, *(each.recipient for each in made)}
    units |= {str(event["unit"]) for event in told if event["event"] == "fact-recorded"}
    return not seen.isdisjoint(units - {None})


def _keep_seen_events(
    user: User, found: Message, made: Sequence[Delivery], told: Sequence[Mapping[str, object]]
) -> list[Mapping[str, object]]:
    """Return the events without those of deliveries and attempts to partners that *user* does not see."""
    own = {each.id for each in made}
    return [
        event
        for event in told
        if event.get("delivery") in {None, *own}
        and (event.get("partner") in {None, found.partner} or user.sees_partner(str(event["partner"])))
    ]


def _read_visible_links(
    tx: Transaction, user: User, found: Message, told: Sequence[Mapping[str, object]]
) -> list[MessageLink]:
    links = lineage.read_message_links(tx, found, told)
    if not may_see_refused(user):
        links = [each for each in links if each.state == MessageState.ACCEPTED]
    if not user.may(Permission.SEE_PRIVATE):
        links = [each for each in links if each.service not in PRIVATE]
    seen = users.read_visible_units(tx, user)
    if seen is None and user.visible_partners is None:
        return links
    ids = [each.id for each in links]
    made = sa.select(delivery.c.message, delivery.c.recipient, delivery.c.partner).where(delivery.c.message.in_(ids))
    gets = tx.execute(made).all()
    of_partner = {each.id for each in links if user.sees_partner(each.partner)}
    of_partner |= {row.message for row in gets if user.sees_partner(row.partner)}
    if seen is None:
        return [each for each in links if each.id in of_partner]
    sent = sa.select(table.c.id, table.c.sender, table.c.answers_unit).where(table.c.id.in_(ids))
    of_unit = {row.id for row in tx.execute(sent) if not seen.isdisjoint({row.sender, row.answers_unit} - {None})}
    of_unit |= {row.message for row in gets if row.recipient in seen}
    return [each for each in links if each.id in of_partner & of_unit]


@attrs.frozen
class ShownCall:
    """A call that was refused before it brought a message."""

    call: RefusedCall
    happened: Sequence[Mapping[str, object]]  #: its events in order, the first `MOST`


def find_refused_call(tx: Transaction, user: User, tracking: str) -> ShownCall | None:
    """Return the refused call with this tracking id; None if there is none or *user* may not see it."""
    if not may_see_refused(user) or (call := refused_calls.read_refused_call(tx, tracking)) is None:
        return None
    if not user.sees_partner(call.partner):
        return None
    return ShownCall(call, events.read_call_events(tx, tracking)[:MOST])


def record_opening(
    tx: Transaction, user: User, identity: str, what: OpenedContent, now: datetime, name: str = ""
) -> None:
    """Record that *user* opened content of a message: *what* of it, and its *name* if there are several."""
    said = {"user": user.name, "content": what} | ({"name": name} if name else {})
    events.append_events(tx, Event("content-opened", now, identity, None, said))


def record_opening_by(
    tx: Transaction, by: str, identity: str, what: OpenedContent, now: datetime, name: str = ""
) -> None:
    """Record that the person *by*, who is at the command line, opened content of a message."""
    said = {"by": by, "content": what} | ({"name": name} if name else {})
    events.append_events(tx, Event("content-opened", now, identity, None, said))
