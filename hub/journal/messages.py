"""Records messages once, with their bytes, events, deliveries and facts, or refuses them with reasons.

Takes the locks, reads what `hub.journal.decisions` must know of an entry, and writes what it decides, in that order. No
row is read that the same message has written. Does not know which messages are the same or what follows from one.
"""

import attrs
import sqlalchemy as sa

from hub.domain.model import Packet, PacketKind, Record
from hub.edxml import changes
from hub.journal import blobs, documents, duties, events, facts, packed_receipts, statuses
from hub.journal.decisions import closes_change, decide
from hub.journal.effects import Effects, Known, MessageEntry, RecordedMessage, Twin
from hub.journal.queue import deliveries, delivery_ends, outstanding_effects
from hub.journal.sequels import dossier_owners, incident_durations
from hub.store import transactions
from hub.store.hot_statements import HotStatement, SetInsert
from hub.store.tables import ACCEPTED, change
from hub.store.tables import message as table
from hub.store.transactions import Transaction
from hub.units.routing import Routes

_TWIN = HotStatement(
    sa.select(table.c.id, table.c.sha256, table.c.receipt).where(
        table.c.partner == sa.bindparam("by"),
        table.c.message_id == sa.bindparam("named"),
        ACCEPTED,
    )
)
_CHANGES = SetInsert(change, skips=True)


def record_message(tx: Transaction, entry: MessageEntry, routes: Routes) -> RecordedMessage:
    """Record *entry* once, with all its effects (`decide`), and return the result for its sender.

    *routes*: the units and partners by which it was judged.
    """
    known = _read_known(tx, entry, routes)
    effects = decide(entry, known)
    if not _write_effects(tx, entry, effects) and not effects.recorded.problems:  # another node was first
        effects = decide(entry, attrs.evolve(known, twin=_read_twin(tx, entry), contested=True))
        _write_effects(tx, entry, effects)
    return effects.recorded


def _read_known(tx: Transaction, entry: MessageEntry, routes: Routes) -> Known:
    """Return what `decide` must know of *entry*, and take the locks that keep it true until *tx* ends.

    All writers take locks in the same order: documents, lanes, rows of deliveries.
    """
    packet = entry.packet
    if not entry.problems:
        transactions.lock_names(tx, documents.list_document_locks(packet))
    known = Known(routing=routes, twin=_read_twin(tx, entry), routes=entry.routes)
    if known.twin is not None or entry.problems:
        return known
    if entry.record is not None:
        return _read_for_record(tx, entry, entry.record, known)
    assert packet is not None
    if packet.kind is PacketKind.STATUS:
        return _read_for_status(tx, entry, packet, known)
    return _read_for_document(tx, entry, packet, known)


def _read_twin(tx: Transaction, entry: MessageEntry) -> Twin | None:
    if entry.message_id is None:
        return None
    row = _TWIN.first(tx, {"by": entry.partner, "named": entry.message_id})
    if row is None:
        return None
    receipt = row.receipt if row.receipt is not None else packed_receipts.read_kept_receipt(tx, row.id)
    return Twin(row.id, row.sha256, receipt)


def _read_for_record(tx: Transaction, entry: MessageEntry, record: Record, known: Known) -> Known:
    lane = facts.make_business_key(entry.service, record.sender)
    known = _reserve_deliveries(tx, entry, lane, known)
    if not record.facts:
        return known
    behind = duties.has_earlier_duty(tx, entry.service)
    now = () if behind else record.facts[: duties.SLICE]
    return attrs.evolve(known, behind=behind, incidents=incident_durations.read_incident_ends(tx, now))


def _read_for_document(tx: Transaction, entry: MessageEntry, packet: Packet, known: Known) -> Known:
    routing, on = known.routing, entry.day
    sender = routing.find_actor(packet.sender, on)
    named = documents.find_named_documents(tx, packet, entry.partner, routing, on)
    if None in named.values():
        return attrs.evolve(known, named=named)  # it will be refused
    lane = documents.choose_lane(tx, packet, None, named, routing, on)
    if packet.kind in changes.CHANGES:
        planned = documents.plan_document_stops(tx, packet, named, entry.partner, routing, on)
        known = _reserve_deliveries(tx, entry, lane, attrs.evolve(known, named=named))
        stoppable, left = outstanding_effects.lock_first_stoppable(tx, planned)
        return attrs.evolve(known, stoppable=stoppable, unstopped=left)
    if early := documents.read_early_changes(tx, sender, packet.document_id):
        reached = documents.read_reached_recipients(tx, sender, packet.document_id)
        known = attrs.evolve(known, early=early, reached=reached)
    return _reserve_deliveries(tx, entry, lane, known)


def _read_for_status(tx: Transaction, entry: MessageEntry, packet: Packet, known: Known) -> Known:
    routing, on = known.routing, entry.day
    answered = statuses.find_answered_document(tx, packet, entry.partner, routing, on)
    lane = documents.choose_lane(tx, packet, answered, {}, routing, on)
    goes = statuses.route_status(tx, packet, answered, entry.routes, routing, on)
    known = _reserve_deliveries(tx, entry, lane, attrs.evolve(known, answered=answered, routes=goes))
    if answered is None:
        return known
    reporters = statuses.list_reporters(packet, entry.partner, routing, on)
    if answered.kind in changes.CHANGES and packet.status not in changes.ANSWERS:
        answered = statuses.tell_change_from_document(tx, answered, reporters)
        known = attrs.evolve(known, answered=answered)
    locked = statuses.lock_answered_delivery(tx, answered, reporters)
    actor = routing.find_actor(packet.sender, on)
    returns = locked[0].returns if locked is not None else None
    if locked is not None and (locked[1] != actor or returns):
        receivers = (locked[1], routing.find_actor(locked[1], on))
        theirs = (actor, *routing.list_estate(actor, on)[1:])
        holding = statuses.find_holding(tx, packet, answered, receivers, theirs, returns, entry.received_at)
        reporters, known = (*reporters, holding.unit), attrs.evolve(known, holding=holding)
    if len(reporters) > 1 or returns:
        known = attrs.evolve(known, counted=statuses.is_counted(tx, packet, answered, reporters, returns))
    if locked is None:
        return known
    answers, reporter = locked
    recalled: list[tuple[str, str]] = []
    if answered.kind == PacketKind.RECALL and closes_change(packet.status or "", answered, answers):
        recalled = statuses.read_recalled_deliveries(tx, answered, reporter)
    return attrs.evolve(known, answers=answers, recalled=recalled)


def _reserve_deliveries(tx: Transaction, entry: MessageEntry, lane: str, known: Known) -> Known:
    most = outstanding_effects.MADE_AT_ONCE
    ids = deliveries.reserve_delivery_ids(tx, known.routes, entry.received_at, lane=lane, most=most)
    return attrs.evolve(known, lane=lane, ids=ids)


def _write_effects(tx: Transaction, entry: MessageEntry, effects: Effects) -> bool:
    """Write *effects*, all events in one statement. Return False, and write nothing, if the message's key is taken."""
    owners = dossier_owners.read_known_owners(tx, effects.facts)
    if effects.message is not None and not transactions.insert_missing_rows(tx, table, [effects.message]):
        return False
    if effects.message is not None and entry.envelope is not None:
        blobs.keep_shared_parts(tx, [entry.envelope])
    if effects.keeps:
        blobs.keep_blob(tx, entry.sha256, entry.content)
    deliveries.insert_deliveries(tx, effects.deliveries)
    _ = _CHANGES.run(tx, effects.changes)
    deliveries.write_stops(tx, effects.stops)
    if effects.unmade is not None:
        outstanding_effects.record_making_duty(tx, entry.id, entry.received_at, effects.unmade)
    if effects.unstopped:
        outstanding_effects.record_stop_duty(tx, entry.id, entry.received_at, effects.unstopped)
    if effects.answered is not None:
        delivery_ends.update_delivery(tx, effects.answered)
    _, told = facts.insert_facts(tx, effects.facts, owners)
    if (duty := effects.duty) is not None:
        duties.record_duty(tx, entry.id, entry.received_at, duty.services, duty.slices, duty.kind)
    events.append_events(tx, *effects.before, *told, *effects.after)
    if effects.wakes:
        transactions.notify_nodes(tx)
    return True
