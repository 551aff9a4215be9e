"""Documents in the journal: the document a change means, the messages that carry it, what a change stops, and the lane.

Reads and writes rows of messages, deliveries and changes. Does not know what a recall, an update or a replacement means
(hub.edxml.changes).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache, partial

import sqlalchemy as sa

from hub.domain.model import DeliveryState, Packet, PacketKind
from hub.edxml import changes
from hub.journal import facts
from hub.journal.effects import AnsweredDocument, EarlyChange
from hub.journal.queue import outstanding_effects
from hub.journal.queue.outstanding_effects import PlannedStop
from hub.store.hot_statements import HotStatement, SetQuery
from hub.store.tables import ACCEPTED, change, delivery, write_plain_number
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
_IS_DOCUMENT = "message.state = 'accepted' AND message.kind IN ('document', 'replacement')"  # changes.DOCUMENTS
#: Of the documents asked, those that a unit sent by any partner, or by the one asked.
_OWN = SetQuery(
    f"""
WITH asked (number, document_id, sender, partner) AS (VALUES {{rows}})
SELECT asked.number, asked.document_id FROM asked WHERE EXISTS (
    SELECT 1 FROM message WHERE message.sender = asked.sender AND message.document_id = asked.document_id
        AND {_IS_DOCUMENT} AND (asked.partner IS NULL OR message.partner = asked.partner)
)
""".strip(),  # noqa: S608 - only kinds
    ("int", "text", "text", "text"),
)
#: The same of documents that are named by number and date: the DocumentId of the newest.
_OWN_NUMBERED = SetQuery(
    f"""
WITH asked (number, plain, code, promulgation_date, sender, partner) AS (VALUES {{rows}})
SELECT asked.number, (
    SELECT message.document_id FROM message
    WHERE replace(replace(message.code, '/', ''), ' ', '') = asked.plain AND message.code IS NOT NULL
        AND message.sender = asked.sender AND message.code = asked.code
        AND message.promulgation_date = asked.promulgation_date
        AND {_IS_DOCUMENT} AND (asked.partner IS NULL OR message.partner = asked.partner)
    ORDER BY message.id DESC LIMIT 1
) FROM asked
""".strip(),  # noqa: S608 - only kinds
    ("int", "text", "text", "text", "text", "text"),
)
#: Of the documents asked, those that anybody sent.
_KNOWN = SetQuery(
    f"""
WITH asked (number, document_id) AS (VALUES {{rows}})
SELECT number FROM asked WHERE EXISTS (
    SELECT 1 FROM message WHERE message.document_id = asked.document_id AND {_IS_DOCUMENT}
)
""".strip(),  # noqa: S608 - only kinds
    ("int", "text"),
)
#: The messages that carry the documents asked to their recipients: the documents, replacements under their ids, and
#: updates, which may be of the unit that continues the work of the sender.
_CARRIERS = SetQuery(
    """
WITH asked (number, document_id, sender, partner) AS (VALUES {rows})
SELECT asked.number, message.id FROM asked
JOIN message ON message.sender = asked.sender AND message.document_id = asked.document_id
WHERE message.state = 'accepted' AND message.kind IN ('document', 'replacement', 'update')
    AND (asked.partner IS NULL OR message.partner = asked.partner)
UNION
SELECT asked.number, message.id FROM asked
JOIN change ON change.sender = asked.sender AND change.document_id = asked.document_id AND change.effect = 'updated'
JOIN message ON message.id = change.message
WHERE message.state = 'accepted' AND message.kind = 'update'
    AND (asked.partner IS NULL OR message.partner = asked.partner)
""".strip(),
    ("int", "text", "text", "text"),
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
    names = {document for document, _, _ in (own, *others)}
    numbers = {f"{code},{date}" for _, code, date in (own, *others) if code or date}
    return {name for name in (*names, *numbers) if name}


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
    named = changes.list_changed_documents(packet)
    theirs = _find_own_documents(tx, named, packet, partner, routes, on)
    foreign = [
        (number, each.document_id) for number, each in enumerate(named) if each.document_id and number not in theirs
    ]
    others = {row[0] for row in _KNOWN.read(tx, foreign)}
    found: dict[str, str | None] = {}
    for number, each in enumerate(named):
        if number in theirs:
            document, sender = theirs[number]
            found[document] = sender
        elif each.document_id:
            found.setdefault(each.document_id, None if number in others else "")
    if packet.kind is PacketKind.RECALL and any(found.values()):
        return {document: sender for document, sender in found.items() if sender}
    return found


def _find_own_documents(
    tx: Transaction,
    named: Sequence[changes.ChangedDocument],
    packet: Packet,
    partner: str,
    routes: Routes,
    on: date,
) -> dict[int, tuple[str, str]]:
    """Return the DocumentId and the unit of each of the documents *named* that the change *packet* may be about, by number."""
    found: dict[int, tuple[str, str]] = {}
    for sender in list_owners(packet, routes, on):
        by = (sender, _find_carrier(partner, packet, sender, routes, on))
        open_ = [(number, each) for number, each in enumerate(named) if number not in found]
        by_id = [(number, each.document_id, *by) for number, each in open_ if each.document_id]
        by_code = [
            (number, write_plain_number(each.code), each.code, each.promulgation_date, *by)
            for number, each in open_
            if not each.document_id
        ]
        for number, document in (*_OWN.read(tx, by_id), *_OWN_NUMBERED.read(tx, by_code)):
            if document is not None:
                found[number] = (document, sender)
    return found


def list_owners(packet: Packet, routes: Routes, on: date) -> tuple[str, ...]:
    """Return the units whose documents the change *packet* may be about on the day *on*, the From unit first."""
    return tuple(dict.fromkeys((*routes.list_estate(packet.sender, on), routes.find_actor(packet.sender, on))))


def _find_carrier(partner: str, packet: Packet, sender: str, routes: Routes, on: date) -> str | None:
    """Return the partner whose messages of the unit *sender* the *partner* may change by *packet*; None: all partners'.

    These are all of them where *partner* stands for the packet's unit and that acts for *sender*, else those that it sent.
    """
    acts = sender in routes.list_estate(packet.sender, on) and routes.stands_for(partner, packet.sender)
    return None if acts or routes.stands_for(partner, sender) else partner


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


def plan_document_stops(
    tx: Transaction, packet: Packet, about: Mapping[str, str | None], partner: str, routes: Routes, on: date
) -> list[PlannedStop]:
    """Return the deliveries that the change *packet* of *partner* stops, of the documents in *about*.

    A change at a unit also stops what goes to a unit whose work that continues on the day *on*.
    """
    actor = routes.find_actor(packet.sender, on)
    carrier = cache(lambda sender: _find_carrier(partner, packet, sender, routes, on))
    asked = [(document, owner or actor) for document, owner in about.items()]
    messages: dict[str, list[str]] = {}
    for number, message in _CARRIERS.read(tx, [(n, *each, carrier(each[1])) for n, each in enumerate(asked)]):
        messages.setdefault(asked[number][0], []).append(message)
    units: dict[tuple[str, changes.Effect], set[str]] = {}
    for mark in changes.list_change_effects(packet, messages, partial(routes.find_actor, on=on)):
        if mark.effect is not changes.Effect.UPDATED:
            stopped = () if mark.unit == changes.EVERY else routes.list_estate(mark.unit, on)
            units.setdefault((mark.document_id, mark.effect), set()).update(stopped)
    return [
        PlannedStop(effect, tuple(sorted(messages[document])), tuple(sorted(stopped)))
        for (document, effect), stopped in units.items()
    ]


def read_early_changes(tx: Transaction, sender: str, document_id: str, after: str = "") -> list[EarlyChange]:
    """Return the changes that stop a document of the unit *sender*, of all partners; of equal ones the first.

    Only messages behind the one with the hub id *after* count.
    """
    rows = _EARLY.read(tx, {"by": sender, "about": document_id, "after": after})
    return [EarlyChange(row.unit, changes.Effect(row.effect), row.partner, row.message) for row in rows]


def read_served_recipients(tx: Transaction, sender: str, document_id: str) -> frozenset[str]:
    """Return the recipients that have the document of the unit *sender*, or a carrier of it, or are still to get it."""
    carriers = [row[1] for row in _CARRIERS.read(tx, [(0, document_id, sender, None)])]
    served = sa.select(delivery.c.recipient).where(delivery.c.message.in_(carriers))
    made = tx.scalars(served.where(delivery.c.state != DeliveryState.DEAD).distinct())
    return frozenset((*made, *_list_unmade_recipients(tx, carriers)))


def read_reached_recipients(tx: Transaction, sender: str, document_id: str) -> frozenset[str]:
    """Return the recipients to which the document of the unit *sender*, or a carrier of it, was sent before."""
    carriers = [row[1] for row in _CARRIERS.read(tx, [(0, document_id, sender, None)])]
    sent = sa.select(delivery.c.recipient).where(delivery.c.message.in_(carriers))
    return frozenset((*tx.scalars(sent.distinct()), *_list_unmade_recipients(tx, carriers)))


def _list_unmade_recipients(tx: Transaction, carriers: Sequence[str]) -> list[str]:
    return [route.recipient for route in outstanding_effects.read_unmade_routes(tx, carriers)]
