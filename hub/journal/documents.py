"""Documents in the journal: the document a change means, the messages that carry it, what a change stops, and the lane.

Reads and writes rows of messages, deliveries and changes. Does not know what a recall, an update or a replacement means
(hub.edxml.changes).
"""

from collections.abc import Mapping
from datetime import date
from functools import partial

import sqlalchemy as sa

from hub.domain.model import DeliveryState, MessageState, Packet, PacketKind
from hub.edxml import changes
from hub.journal import facts
from hub.journal.decisions import AnsweredDocument, EarlyChange
from hub.journal.queue import deliveries
from hub.journal.queue.deliveries import QueuedDelivery
from hub.store.hot_statements import HotStatement
from hub.store.tables import ACCEPTED, change, delivery, plain_number, write_plain_number
from hub.store.tables import message as table
from hub.store.transactions import Transaction
from hub.units.routing import Routes

#: What every document needs: the lane of a unit's document, and the earlier changes that stop it.
_LANE = HotStatement(
    sa.select(table.c.lane)
    .where(table.c.sender == sa.bindparam("by"), table.c.document_id == sa.bindparam("about"))
    .where(ACCEPTED, table.c.kind != PacketKind.STATUS, table.c.lane.is_not(None))
    .order_by(table.c.id)
    .limit(1)
)
_EARLY = HotStatement(
    sa.select(change.c.unit, change.c.effect, table.c.partner, sa.func.min(change.c.message).label("message"))
    .join(table, table.c.id == change.c.message)
    .where(change.c.sender == sa.bindparam("by"), change.c.document_id == sa.bindparam("about"))
    .where(change.c.effect != changes.Effect.UPDATED, change.c.message > sa.bindparam("after"))
    .group_by(change.c.unit, change.c.effect, table.c.partner)
)


def list_document_locks(packet: Packet | None) -> set[str]:
    """Return the names to lock for the documents that *packet* is or changes.

    With these locks, a change and its document that arrive at the same time see each other.
    """
    if packet is None or packet.kind is PacketKind.STATUS:
        return set()
    own = (packet.document_id, packet.code, packet.promulgation_date)
    changed = changes.list_changed_documents(packet) if packet.kind in changes.CHANGES else ()
    others = [(each.document_id, each.code, each.promulgation_date) for each in changed]
    return {name for document, code, date in (own, *others) for name in (document, f"{code},{date}") if name}


def find_named_documents(
    tx: Transaction, packet: Packet | None, partner: str, routes: Routes, on: date
) -> dict[str, str | None]:
    """Return the DocumentIds that the change *packet* of *partner* is about.

    The value is the unit that sent the document: the change's From unit, or one whose work it continues on the day *on*.
    It is empty for a document that no unit sent, and None for a document that only another unit sent, or that only other
    partners sent where *partner* does not stand for the unit. Where a recall's `ResponseFor` names several documents, the
    recall means those of its own unit.
    """
    if packet is None or packet.kind not in changes.CHANGES:
        return {}
    found: dict[str, str | None] = {}
    for each in changes.list_changed_documents(packet):
        which = table.c.document_id == each.document_id
        if not each.document_id:
            numbered = sa.and_(plain_number == write_plain_number(each.code), table.c.code == each.code)
            which = sa.and_(numbered, table.c.promulgation_date == each.promulgation_date)
        known = sa.and_(which, table.c.state == MessageState.ACCEPTED, table.c.kind.in_(changes.DOCUMENTS))
        for sender in list_owners(packet, routes, on):
            ours = _within(partner, packet, sender, routes, on)
            own = sa.select(table.c.document_id).where(known, table.c.sender == sender, ours)
            document = tx.scalars(own.order_by(table.c.id.desc()).limit(1)).first()
            if document is not None:
                found[document] = sender
                break
        else:
            if each.document_id:
                others = tx.execute(sa.select(table.c.id).where(known).limit(1)).first()
                found.setdefault(each.document_id, None if others else "")
    if packet.kind is PacketKind.RECALL and any(found.values()):
        return {document: sender for document, sender in found.items() if sender}
    return found


def list_owners(packet: Packet, routes: Routes, on: date) -> tuple[str, ...]:
    """Return the units whose documents the change *packet* may be about on the day *on*, the From unit first."""
    return tuple(dict.fromkeys((*routes.list_estate(packet.sender, on), routes.find_actor(packet.sender, on))))


def _within(partner: str, packet: Packet, sender: str, routes: Routes, on: date) -> sa.ColumnElement[bool]:
    """Return the condition for messages of the unit *sender* that *partner* may change by *packet*.

    These are all of them where *partner* stands for the packet's unit and that acts for *sender*, else those that it sent.
    """
    acts = sender in routes.list_estate(packet.sender, on) and routes.stands_for(partner, packet.sender)
    return sa.true() if acts or routes.stands_for(partner, sender) else table.c.partner == partner


def choose_lane(
    tx: Transaction,
    packet: Packet,
    answered: AnsweredDocument | None,
    about: Mapping[str, str | None],
    routes: Routes,
    on: date,
) -> str:
    """Return the lane of *packet*: that of the document it is, changes (one of *about*) or answers.

    A replacement takes the lane of the first document that it replaces. Later messages about the replacement follow it
    there.
    """
    if answered is not None and answered.lane:
        return answered.lane
    document, owner = next(iter(about.items()), (packet.document_id, None))
    sender = owner or routes.find_actor(packet.sender, on)
    if packet.kind is PacketKind.STATUS:
        answer = packet.responses[0]
        sender = routes.find_actor(answer.organ, on)
        document = answer.document_id or f"{answer.code},{answer.promulgation_date}"
    taken = _LANE.first(tx, {"by": sender, "about": document})
    return (taken and taken.lane) or facts.make_business_key(sender, document)


def lock_changed_deliveries(
    tx: Transaction, packet: Packet, about: Mapping[str, str | None], partner: str, routes: Routes, on: date
) -> dict[tuple[str, changes.Effect], tuple[QueuedDelivery, ...]]:
    """Lock the deliveries that the change *packet* of *partner* may stop, of the documents in *about*.

    Return them by document and effect. A change at a unit also stops what goes to a unit whose work that continues on the
    day *on*.
    """
    actor = routes.find_actor(packet.sender, on)
    units: dict[tuple[str, changes.Effect], list[str]] = {}
    for mark in changes.list_change_effects(packet, about, partial(routes.find_actor, on=on)):
        if mark.effect is not changes.Effect.UPDATED:
            stopped = [mark.unit] if mark.unit == changes.EVERY else routes.list_estate(mark.unit, on)
            units.setdefault((mark.document_id, mark.effect), []).extend(stopped)
    found = {}
    for (document, effect), stopped in units.items():  # one search for the carriers serves all units
        sender = about[document] or actor
        within = _within(partner, packet, sender, routes, on)
        carriers = _carriers(tx, sender, document, within)
        found[document, effect] = deliveries.lock_stoppable_deliveries(tx, carriers, stopped)
    return found


def _carriers(tx: Transaction, sender: str, document_id: str, within: sa.ColumnElement[bool]) -> list[str]:
    """Return the messages that carry a document to its recipients: itself, replacements under its id, and updates.

    Only messages that match *within* are returned. Updates may be of the unit that continues the work of *sender*.
    """
    updates = sa.select(change.c.message).where(
        change.c.sender == sender,
        change.c.document_id == document_id,
        change.c.effect == changes.Effect.UPDATED,
    )
    accepted = table.c.state == MessageState.ACCEPTED
    own = sa.and_(accepted, table.c.sender == sender, table.c.document_id == document_id)
    carries = sa.or_(
        sa.and_(own, table.c.kind.in_((*changes.DOCUMENTS, PacketKind.UPDATE))),
        sa.and_(accepted, table.c.id.in_(updates), table.c.kind == PacketKind.UPDATE),
    )
    return list(tx.scalars(sa.select(table.c.id).where(carries, within)))


def read_early_changes(tx: Transaction, sender: str, document_id: str, after: str = "") -> list[EarlyChange]:
    """Return the changes that stop a document of the unit *sender*, of all partners; of equal ones the first.

    Only messages behind the one with the hub id *after* count.
    """
    rows = _EARLY.read(tx, {"by": sender, "about": document_id, "after": after})
    return [EarlyChange(row.unit, changes.Effect(row.effect), row.partner, row.message) for row in rows]


def read_served_recipients(tx: Transaction, sender: str, document_id: str) -> frozenset[str]:
    """Return the recipients that have the document of the unit *sender*, or a carrier of it, or are still to get it."""
    carriers = _carriers(tx, sender, document_id, sa.true())
    served = sa.select(delivery.c.recipient).where(delivery.c.message.in_(carriers))
    return frozenset(tx.scalars(served.where(delivery.c.state != DeliveryState.DEAD).distinct()))


def read_reached_recipients(tx: Transaction, sender: str, document_id: str) -> frozenset[str]:
    """Return the recipients to which the document of the unit *sender*, or a carrier of it, was sent before."""
    carriers = _carriers(tx, sender, document_id, sa.true())
    sent = sa.select(delivery.c.recipient).where(delivery.c.message.in_(carriers))
    return frozenset(tx.scalars(sent.distinct()))
