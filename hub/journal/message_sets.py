"""Records the new documents and the new statuses of one commit as sets: one query for each, one statement a table.

Most messages are documents of which the journal knows nothing yet, and statuses that a recipient of a known document
sends for the first time. What follows from one of these does not depend on the others of its set, so `decide` is asked
for each, and the rows of all are written together. All other messages are recorded one by one (hub.journal.messages),
with the same result and the same rows.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import attrs

from hub.domain.ids import choose_later_time, make_id
from hub.domain.model import DOCUMENTS, DeliveryState, PacketKind
from hub.edxml import changes
from hub.journal import blobs, documents, events, facts
from hub.journal.decisions import decide
from hub.journal.effects import AnsweredDelivery, AnsweredDocument, Effects, Known, MessageEntry, RecordedMessage
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import deliveries, lanes
from hub.journal.replay_guard import ReplayMark
from hub.store import transactions
from hub.store.hot_statements import SetInsert, SetQuery
from hub.store.tables import content, fact, message, write_instant
from hub.store.transactions import Transaction
from hub.units.routing import Routes

#: Most octets of one set, for the same reason as `deliveries.MOST_IN_SET`.
MOST_OCTETS = blobs.LARGE
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
#: Of those things asked that are new, the newest document that each answers and its delivery to the unit that answers.
_ANSWERED = SetQuery(
    """
WITH asked (number, partner, message_id, organ, reporter, document_id, service, key, milestone, mark) AS (VALUES {rows}),
found AS (
    SELECT asked.number, asked.reporter, (
        SELECT message.id FROM message
        WHERE message.sender = asked.organ AND message.document_id = asked.document_id
            AND message.state = 'accepted' AND message.kind <> 'status'
            AND EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id AND delivery.recipient = asked.reporter)
        ORDER BY message.received_at DESC, message.id DESC LIMIT 1
    ) AS answered
    FROM asked
    WHERE NOT EXISTS (
        SELECT 1 FROM message
        WHERE message.partner = asked.partner AND message.message_id = asked.message_id AND message.state = 'accepted'
    ) AND NOT EXISTS (
        SELECT 1 FROM fact WHERE fact.unit = asked.reporter AND fact.service = asked.service
            AND fact.key = asked.key AND fact.milestone = asked.milestone
    )
    AND NOT EXISTS (SELECT 1 FROM signed_call WHERE signed_call.sha256 = asked.mark)
)
SELECT found.number, message.id, message.kind, message.sender, message.document_id, message.document_type, message.due,
    message.lane, delivery.id AS delivery, delivery.status, delivery.answer
FROM found
JOIN message ON message.id = found.answered
JOIN delivery ON delivery.message = message.id AND delivery.recipient = found.reporter
WHERE message.lane IS NOT NULL AND delivery.returns IS NULL AND NOT EXISTS (
    SELECT 1 FROM duty JOIN message AS late ON late.id = duty.message
    WHERE duty.kind = 'deliveries' AND late.lane = message.lane
)
""".strip(),
    ("int", "text", "text", "text", "text", "text", "text", "text", "text", "text"),
    locks=("delivery",),
)
#: The last delivery in each lane asked, and whether another one waits or is being sent there to the recipient.
_PLACES = SetQuery(
    """
WITH asked (number, lane, recipient) AS (VALUES {rows})
SELECT asked.number, asked.recipient, (SELECT max(delivery.id) FROM delivery WHERE delivery.lane = asked.lane) AS last,
    EXISTS (
        SELECT 1 FROM delivery
        WHERE delivery.lane = asked.lane AND delivery.recipient = asked.recipient
            AND delivery.state IN ('waiting', 'sending')
    ) AS taken
FROM asked
""".strip(),
    ("int", "text", "text"),
)
_ANSWER = SetQuery(
    """
WITH answered (id, status, changed_at) AS (VALUES {rows})
UPDATE delivery SET status = answered.status, changed_at = answered.changed_at
FROM answered WHERE delivery.id = answered.id
""".strip(),
    ("text", "text", "text"),
)
_MESSAGES, _CONTENTS, _FACTS = (
    SetInsert(message, skips=True),
    SetInsert(content, skips=True),
    SetInsert(fact, skips=True),
)


@attrs.frozen(eq=False)
class ReceivedMessage:
    """A judged message as `record_message_sets` gets it."""

    entry: MessageEntry
    routes: Routes  #: the units and partners by which it was judged
    mark: ReplayMark | None  #: of the signed call that contained it


@attrs.frozen(eq=False)
class _Candidate:
    """A message that may be a new document, or a new status of which the document is known."""

    number: int  #: its place among the messages of the commit
    received: ReceivedMessage
    lane: str  #: of its deliveries
    locks: set[str] = attrs.field(factory=set)
    answered: AnsweredDocument | None = None  #: of a status
    answers: AnsweredDelivery | None = None  #: of a status

    @property
    def places(self) -> set[tuple[str, str]]:
        """The lane with each recipient whose delivery will wait."""
        routes = self.received.entry.routes
        return {(self.lane, route.recipient) for route in routes if route.state is DeliveryState.WAITING}

    def decide(self, last: str | None = None) -> Effects:
        """Return the effects of the message. *last*: the last delivery in its lane."""
        entry = self.received.entry
        at = choose_later_time(last, entry.received_at) if last else entry.received_at
        known = Known(
            routing=self.received.routes,
            routes=entry.routes,
            lane=self.lane,
            ids=sorted(make_id(at) for _ in entry.routes),
            answered=self.answered,
            answers=self.answers,
        )
        return decide(entry, known)


#: The columns of `_ANSWERED` between the number and the delivery.
_DOCUMENT = ("id", "kind", "sender", "document_id", "document_type", "due", "lane")


def record_message_sets(tx: Transaction, received: Sequence[ReceivedMessage]) -> list[RecordedMessage | None]:
    """Record the new documents and the new statuses among *received* as two sets.

    Return the result of each; None: it is to be recorded alone. Raises `Contested` where a set cannot be written. What
    was written must then be undone, and each recorded alone.
    """
    results: list[RecordedMessage | None] = [None] * len(received)
    kinds = _sort_by_kind(received)
    for chosen in (
        _find_new_documents(tx, kinds[PacketKind.DOCUMENT]),
        _find_new_statuses(tx, kinds[PacketKind.STATUS]),
    ):
        effects = _write_chosen(tx, chosen)
        for each, effect in zip(chosen, effects, strict=True):
            results[each.number] = effect.recorded
    return results


def _sort_by_kind(received: Sequence[ReceivedMessage]) -> dict[PacketKind, dict[int, ReceivedMessage]]:
    """Return the plain documents and statuses by their numbers. No two have a message id or a document in common."""
    octets = sent = 0
    taken: set[object] = set()
    found: dict[PacketKind, dict[int, ReceivedMessage]] = {PacketKind.DOCUMENT: {}, PacketKind.STATUS: {}}
    for number, each in enumerate(received):
        entry, packet = each.entry, each.entry.packet
        if packet is None or entry.problems:
            continue
        about = {packet.responses[0].document_id} if packet.kind is PacketKind.STATUS and packet.responses else set()
        names = {*documents.list_document_locks(packet), *about, (entry.partner, entry.message_id)}
        if taken.isdisjoint(names) and packet.kind in found and _is_plain(entry):
            more, further = octets + len(entry.content), sent + len(entry.routes)
            if more <= MOST_OCTETS and further <= deliveries.MOST_IN_SET:
                octets, sent = more, further
                found[packet.kind][number] = each
        taken |= names
    return found


def _is_plain(entry: MessageEntry) -> bool:
    """Tell whether *entry* is small and brings no work for later."""
    return not entry.rest and len(entry.content) <= blobs.PART and entry.message_id is not None


def _find_new_documents(tx: Transaction, received: Mapping[int, ReceivedMessage]) -> list[_Candidate]:
    """Return the documents of which the journal knows nothing. They and their lanes are locked."""
    found = []
    for number, each in received.items():
        packet = each.entry.packet
        assert packet is not None
        lane = facts.make_business_key(each.routes.find_actor(packet.sender, each.entry.day), packet.document_id)
        found.append(_Candidate(number, each, lane, documents.list_document_locks(packet)))
    found = _lock_candidates(tx, found)
    new = {row[0] for row in _NEW.read(tx, [_write_question(each) for each in found])}
    return [each for each in found if each.number in new]


def _find_new_statuses(tx: Transaction, received: Mapping[int, ReceivedMessage]) -> list[_Candidate]:
    """Return the first statuses of their kind of recipients of known documents, at most one a lane.

    Their lanes and the answered deliveries are locked.
    """
    asked = [about for number, each in received.items() if (about := _ask_answered(number, each)) is not None]
    lanes_taken: set[str] = set()
    found = []
    for number, *columns, which, status, answer in _ANSWERED.read(tx, asked):
        document = AnsweredDocument(**dict(zip(_DOCUMENT, columns, strict=True)))
        lane = document.lane
        if lane is None or lane in lanes_taken or document.kind in changes.CHANGES:
            continue
        lanes_taken.add(lane)
        due = None if document.due is None else date.fromisoformat(str(document.due))
        document = attrs.evolve(document, due=due)
        answers = AnsweredDelivery(which, status, answer)
        found.append(_Candidate(number, received[number], lane, answered=document, answers=answers))
    return _lock_candidates(tx, found)


def _ask_answered(number: int, each: ReceivedMessage) -> tuple[object, ...] | None:
    """Return what `_ANSWERED` asks about a status, or None if it names no document or is no report of a recipient."""
    entry, packet = each.entry, each.entry.packet
    assert packet is not None
    answer, code = packet.responses[0], packet.status or ""
    organ, reporter = each.routes.canonical(answer.organ), each.routes.canonical(packet.sender)
    if not answer.document_id or organ == reporter or code in changes.ANSWERS:
        return None
    if any(len(each.routes.list_meant(code, entry.day)) > 1 for code in (organ, reporter)):
        return None  # units have ended, so the document may be of another one
    key = facts.make_business_key(organ, answer.document_id)
    named = (entry.partner, entry.message_id, organ, reporter, answer.document_id)
    return (number, *named, DOCUMENTS, key, f"status-{code}", each.mark.sha256 if each.mark else None)


def _lock_candidates(tx: Transaction, found: list[_Candidate]) -> list[_Candidate]:
    """Lock the documents and the lanes of the candidates. Return those of which another node holds none."""
    at_hand = transactions.try_lock_names(tx, {name for each in found for name in each.locks})
    found = [each for each in found if each.locks <= at_hand]
    open_lanes = lanes.try_lock_lanes(tx, {place for each in found for place in each.places})
    return [each for each in found if each.places <= open_lanes]


def _write_question(each: _Candidate) -> tuple[object, ...]:
    entry, mark = each.received.entry, each.received.mark
    packet = entry.packet
    assert packet is not None
    sender = each.received.routes.find_actor(packet.sender, entry.day)
    named = (entry.partner, entry.message_id, sender, packet.document_id, each.lane)
    return (each.number, *named, mark.sha256 if mark else None)


def _write_chosen(tx: Transaction, chosen: Sequence[_Candidate]) -> list[Effects]:
    """Write the effects of *chosen*, all of one kind, with their events in the order of the messages. Return them."""
    old = [each for each in chosen if each.answered is not None]  # of the others the lanes are new
    places = [(each.number, each.lane, route.recipient) for each in old for route in each.received.entry.routes]
    last: dict[int, str | None] = {}
    taken: set[tuple[str, str]] = set()
    lane_of = {each.number: each.lane for each in old}
    for number, recipient, newest, is_taken in _PLACES.read(tx, places):
        last[number] = newest
        if is_taken:
            taken.add((lane_of[number], recipient))
    effects = [each.decide(last.get(each.number)) for each in chosen]
    rows = [effect.message for effect in effects if effect.message is not None]
    if _MESSAGES.run(tx, rows) != len(effects):
        raise transactions.Contested
    blobs.keep_shared_parts(tx, [each.received.entry.envelope for each in chosen])
    _ = _CONTENTS.run(tx, [blobs.make_row(each.received.entry.sha256, each.received.entry.content) for each in chosen])
    deliveries.insert_delivery_set(tx, [row for effect in effects for row in effect.deliveries], taken)
    moved = [effect.answered for effect in effects if effect.answered is not None]
    _ANSWER.run(tx, [(each["which"], each["status"], write_instant(each["changed_at"])) for each in moved])
    new = [each for effect in effects for each in effect.facts]
    if _FACTS.run(tx, [fact_rows.make_row(each) for each in new]) != len(new):
        raise transactions.Contested
    told = []
    for effect in effects:
        told += [*effect.before, *map(facts.make_fact_event, effect.facts), *effect.after]
    events.append_events(tx, *told)
    if any(effect.wakes for effect in effects):
        transactions.notify_nodes(tx)
    return effects
