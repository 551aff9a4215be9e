"""Records the new documents of one commit as a set: one query for all of them, one statement a table.

Most messages are documents of which the journal knows nothing yet. What follows from one of these depends on nothing
that is stored and on no other document of the set, so `decide` is asked for each, and the rows of all are written
together. All other messages are recorded one by one (hub.journal.messages), with the same result and the same rows.
"""

from collections.abc import Iterator, Sequence

import attrs

from hub.domain.ids import make_id
from hub.domain.model import DeliveryState, PacketKind
from hub.journal import blobs, documents, events, facts
from hub.journal.decisions import Effects, Known, MessageEntry, RecordedMessage, decide
from hub.journal.queue import deliveries, lanes
from hub.journal.replay_guard import ReplayMark
from hub.store import transactions
from hub.store.hot_statements import SetInsert, SetQuery
from hub.store.tables import content, fact, message
from hub.store.transactions import Transaction
from hub.units.routing import Routes

#: The numbers of those things asked that are new: no message has their message id or their document, no change and no
#: delivery is about them, and their call was not refused before.
_NEW = SetQuery(
    """
WITH asked (number, partner, message_id, sender, document_id, lane, mark) AS (VALUES {rows})
SELECT number FROM asked
WHERE NOT EXISTS (
    SELECT 1 FROM message
    WHERE message.partner = asked.partner AND message.message_id = asked.message_id AND message.state = 'accepted'
) AND NOT EXISTS (
    SELECT 1 FROM message WHERE message.sender = asked.sender AND message.document_id = asked.document_id
) AND NOT EXISTS (
    SELECT 1 FROM change WHERE change.sender = asked.sender AND change.document_id = asked.document_id
)
AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.lane = asked.lane)
AND NOT EXISTS (SELECT 1 FROM signed_call WHERE signed_call.sha256 = asked.mark)
""".strip(),
    ("int", "text", "text", "text", "text", "text", "text"),
)
_MESSAGES, _CONTENTS, _FACTS = (
    SetInsert(message, skips=True),
    SetInsert(content, skips=True),
    SetInsert(fact, skips=True),
)


@attrs.frozen(eq=False)
class ReceivedMessage:
    """A judged message as `record_new_documents` gets it."""

    entry: MessageEntry
    routes: Routes  #: the units and partners by which it was judged
    mark: ReplayMark | None  #: of the signed call that contained it


@attrs.frozen(eq=False)
class _Candidate:
    """A message that may be a new document."""

    number: int  #: its place among the messages of the commit
    received: ReceivedMessage
    lane: str  #: of its deliveries, if it is new
    locks: set[str]

    @property
    def places(self) -> set[tuple[str, str]]:
        """The lane with each recipient whose delivery will wait."""
        routes = self.received.entry.routes
        return {(self.lane, route.recipient) for route in routes if route.state is DeliveryState.WAITING}


class Contested(Exception):
    """Another node has written one of the messages meanwhile."""


def record_new_documents(tx: Transaction, received: Sequence[ReceivedMessage]) -> list[RecordedMessage | None]:
    """Record the new documents among *received* as a set. Return the result of each; None: it is to be recorded alone.

    Raises `Contested` where the set cannot be written. What it wrote must then be undone, and each recorded alone.
    """
    results: list[RecordedMessage | None] = [None] * len(received)
    found = _lock(tx, list(_choose_candidates(received)))
    new = {row[0] for row in _NEW.read(tx, [_ask(each) for each in found])}
    chosen = [each for each in found if each.number in new]
    effects = [_decide(each) for each in chosen]
    _write(tx, [each.received.entry for each in chosen], effects)
    for each, effect in zip(chosen, effects, strict=True):
        results[each.number] = effect.recorded
    return results


def _choose_candidates(received: Sequence[ReceivedMessage]) -> Iterator[_Candidate]:
    """Yield the documents that may be new. No two of them have a name or a message id in common."""
    taken: set[object] = set()
    for number, each in enumerate(received):
        entry, packet = each.entry, each.entry.packet
        if packet is None or packet.kind is not PacketKind.DOCUMENT or not _is_plain(entry):
            continue
        locks = documents.list_document_locks(packet)
        names = {*locks, (entry.partner, entry.message_id)}
        if taken.isdisjoint(names):
            lane = facts.make_business_key(each.routes.canonical(packet.sender), packet.document_id)
            yield _Candidate(number, each, lane, locks)
        taken |= names


def _is_plain(entry: MessageEntry) -> bool:
    """Tell whether *entry* is accepted as far as it is judged, and small, and brings no work for later."""
    return not entry.problems and not entry.rest and len(entry.content) <= blobs.PART and entry.message_id is not None


def _lock(tx: Transaction, found: list[_Candidate]) -> list[_Candidate]:
    """Lock the documents and the lanes of the candidates. Return those of which another node holds none."""
    at_hand = transactions.try_lock_names(tx, {name for each in found for name in each.locks})
    found = [each for each in found if each.locks <= at_hand]
    open_lanes = lanes.try_lock_lanes(tx, {place for each in found for place in each.places})
    return [each for each in found if each.places <= open_lanes]


def _ask(each: _Candidate) -> tuple[object, ...]:
    entry, mark = each.received.entry, each.received.mark
    packet = entry.packet
    assert packet is not None
    sender = each.received.routes.canonical(packet.sender)
    named = (entry.partner, entry.message_id, sender, packet.document_id, each.lane)
    return (each.number, *named, mark.sha256 if mark else None)


def _decide(each: _Candidate) -> Effects:
    entry = each.received.entry
    ids = sorted(make_id(entry.received_at) for _ in entry.routes)
    return decide(entry, Known(routing=each.received.routes, routes=entry.routes, lane=each.lane, ids=ids))


def _write(tx: Transaction, entries: Sequence[MessageEntry], effects: Sequence[Effects]) -> None:
    """Write *effects*, all of new documents, with their events in the order of the messages."""
    rows = [effect.message for effect in effects if effect.message is not None]
    if _MESSAGES.run(tx, rows) != len(effects):
        raise Contested
    _ = _CONTENTS.run(tx, [blobs.make_row(entry.sha256, entry.content) for entry in entries])
    deliveries.insert_first_deliveries(tx, [row for effect in effects for row in effect.deliveries])
    new = [each for effect in effects for each in effect.facts]
    if _FACTS.run(tx, [facts.make_row(each) for each in new]) != len(new):
        raise Contested
    told = []
    for effect in effects:
        told += [*effect.before, *map(facts.make_fact_event, effect.facts), *effect.after]
    events.append_event_set(tx, told)
    if any(effect.wakes for effect in effects):
        transactions.notify_nodes(tx)
