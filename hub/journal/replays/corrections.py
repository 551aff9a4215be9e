"""Corrects a message: records the corrected packet as a new message, and closes the dead deliveries of the original.

Knows which message may be corrected, to whom the corrected one goes, and what links the two. All that one correction
does is one transaction, so an original is corrected once, whatever crashes and whoever else orders it. Does not know
how a packet is judged or signed (`hub.intake.correction`).
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import sqlalchemy as sa

from hub.config.values import ReplaySettings
from hub.domain.errors import Rejected
from hub.domain.model import DOCUMENTS, HUB, Delivery, DeliveryState, Event, Message, MessageState, PacketKind, Problem
from hub.edxml.changes import Effect
from hub.journal import blobs, documents, events
from hub.journal import messages as journal
from hub.journal.effects import MessageEntry
from hub.journal.queue import deliveries
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays.plan_rows import ReplayPlan
from hub.journal.replays.replay_plans import KeyReused
from hub.journal.replays.replay_rules import Exclusion, PlanEvent, PlanState, name_exclusion
from hub.journal.searching import message_reading
from hub.language.phrases import Phrase, phrase
from hub.store import transactions
from hub.store.tables import message as table
from hub.store.tables import replay_plan
from hub.store.transactions import Transaction
from hub.units.routing import Route, Routes

#: Kinds that are counted under what they say. Recalls, updates and replacements are counted under the SHA-256 of their
#: bytes, so a corrected one would be counted beside an original that was accepted.
_COUNTED_BY_CONTENT = frozenset({PacketKind.DOCUMENT, PacketKind.STATUS})


@attrs.frozen(kw_only=True)
class CorrectableMessage:
    """A message that a person may correct."""

    message: Message
    status: str | None  #: of a status: its code
    answers_unit: str | None  #: of a status: the unit whose document it answers
    deliveries: tuple[Delivery, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether the hub accepted it, so that its facts are counted."""
        return self.message.state is MessageState.ACCEPTED

    @property
    def open(self) -> tuple[Delivery, ...]:
        """The dead deliveries that a correction may close."""
        return tuple(each for each in self.deliveries if _is_open(each))


def _is_open(delivery: Delivery) -> bool:
    return delivery.state is DeliveryState.DEAD and delivery.stopped is None


@attrs.frozen
class CorrectedRecipients:
    """To whom a corrected packet goes."""

    goes: tuple[Route, ...]
    withheld: Mapping[str, str]  #: recipient → why it does not go there: a word of `Exclusion`, or a change


def read_correctable_message(tx: Transaction, message_id: str) -> CorrectableMessage:
    """Return the message with this hub id. Raises KeyError if there is none, and Rejected if it cannot be corrected."""
    found = message_reading.read_message(tx, message_id)
    made = tuple(deliveries.read_message_deliveries(tx, message_id))
    row = tx.execute(sa.select(table.c.status, table.c.answers_unit).where(table.c.id == message_id)).one()
    original = CorrectableMessage(message=found, status=row.status, answers_unit=row.answers_unit, deliveries=made)
    why = _find_obstacle(tx, original)
    if why is not None:
        raise Rejected(Problem("not-correctable", why))
    return original


def _find_obstacle(tx: Transaction, original: CorrectableMessage) -> Phrase | None:
    """Return why *original* cannot be corrected, and what to do instead; None if it can."""
    found = original.message
    corrected = find_correction(tx, found.id)
    if corrected is not None:
        return phrase(
            "{person} corrected it before: message {message}", person=corrected.made_by, message=corrected.corrected
        )
    if found.service != DOCUMENTS or found.partner == HUB:
        return phrase("only packets of partners are corrected; ask the sender for a new message")
    if found.message_id is None:
        return phrase("the call was refused before its packet was read; ask the sender to call again")
    if blobs.read_blob_size(tx, found.sha256) is None:
        return phrase("its bytes are not kept; ask the sender for a new message")
    if not original.is_accepted:
        return None
    if not original.open:
        return phrase("it was accepted and has no dead delivery")
    own_status = original.answers_unit is not None and original.answers_unit == found.sender
    if found.kind not in _COUNTED_BY_CONTENT or own_status:
        return phrase(
            "it was accepted and counted with exactly these bytes; replay it as it is, or ask the sender for another"
        )
    return None


def find_correction(tx: Transaction, message_id: str) -> ReplayPlan | None:
    """Return the plan by which the message *message_id* was corrected; None if it was not."""
    return plan_rows.find_plan(tx, replay_plan.c.corrects == message_id, replay_plan.c.corrected.is_not(None))


def find_corrected_messages(tx: Transaction, messages: Collection[str]) -> frozenset[str]:
    """Return those of *messages* that a person made by correcting others."""
    found = sa.select(replay_plan.c.corrected).where(replay_plan.c.corrected.in_(list(messages)))
    return frozenset(tx.scalars(found))


def choose_recipients(
    tx: Transaction, original: CorrectableMessage, entry: MessageEntry, routing: Routes
) -> CorrectedRecipients:
    """Return to whom the judged *entry* goes in place of *original*. Raises Rejected if nobody is left.

    It does not go to a recipient that has the document or is still to get it, nor to one from which a change has taken
    it. So a correction brings nobody a document twice.
    """
    packet = entry.packet
    assert packet is not None
    withheld = {each.recipient: each.stopped or Exclusion.HAS_IT for each in original.deliveries if not _is_open(each)}
    if packet.kind is PacketKind.DOCUMENT:
        served = documents.read_served_recipients(tx, routing.find_actor(packet.sender, entry.day), packet.document_id)
        withheld |= dict.fromkeys(served - withheld.keys(), Exclusion.HAS_IT)
    named = {route.recipient for route in entry.routes}
    goes = tuple(route for route in entry.routes if route.recipient not in withheld)
    still_open = [each.recipient for each in original.open]
    if original.is_accepted and named.isdisjoint(still_open):
        raise Rejected(Problem("nobody-left", ", ".join(still_open)))
    if entry.routes and not goes:
        raise Rejected(Problem("nobody-left", ", ".join(sorted(named))))
    return CorrectedRecipients(goes, {unit: str(why) for unit, why in withheld.items() if unit in named})


@attrs.frozen(kw_only=True)
class CorrectionOrder:
    """What a person orders."""

    original: str  #: hub id of the message to correct
    given: str  #: SHA-256 of the packet that the person gave
    key: str  #: the same key is the same order, however often it is given
    reason: str
    by: str


def find_ordered_plan(tx: Transaction, order: CorrectionOrder) -> ReplayPlan | None:
    """Return the plan that was made with the key of *order*, or None. Raises `KeyReused` if it is of another order."""
    known = plan_rows.find_plan(tx, replay_plan.c.key == order.key)
    said = (order.original, order.given, order.reason, order.by)
    if known is not None and (known.corrects, known.given, known.reason, known.made_by) != said:
        raise KeyReused(order.key)
    return known


def plan_correction(
    tx: Transaction, order: CorrectionOrder, entry: MessageEntry | None, routing: Routes, now: datetime, *, goes: bool
) -> ReplayPlan:
    """Record *order*, and return its plan; for a known key the plan made with it.

    *entry*: the corrected packet as it was judged, without problems; its octets are signed by the hub. None: the plan is
    there. *goes*: the plan
    runs at once; otherwise it waits for `start_plan`. Raises Rejected if the message cannot be corrected (any more),
    KeyError if there is none, and `KeyReused`.
    """
    known = find_ordered_plan(tx, order)
    if known is not None:
        return known
    assert entry is not None
    original = read_correctable_message(tx, order.original)
    recipients = choose_recipients(tx, original, entry, routing)
    blobs.keep_blob(tx, entry.sha256, entry.content)
    packet = {"corrects": order.original, "given": order.given, "packet": entry.sha256, "octets": len(entry.content)}
    counts = _count_recipients(recipients)
    counts |= {name: json.dumps(counts[name], ensure_ascii=False) for name in ("partners", "left_out")}
    return replay_plans.insert_correction_plan(
        tx, packet | counts, key=order.key, reason=order.reason, by=order.by, now=now, goes=goes
    )


def _count_recipients(recipients: CorrectedRecipients) -> dict[str, Any]:
    """Return the numbers that a plan shows of *recipients*."""
    return {
        "chosen": len(recipients.goes),
        "partners": dict(Counter(route.partner for route in recipients.goes)),
        "left_out": dict(Counter(map(name_exclusion, recipients.withheld.values()))),
    }


def perform_correction(
    tx: Transaction, plan_id: str, entry: MessageEntry | None, routing: Routes, now: datetime, rules: ReplaySettings
) -> ReplayPlan | None:
    """Carry out a running correction with the packet of the plan as it was judged now. Return the plan after it.

    *entry*: None if the message cannot be corrected any more. *rules*: whether another person must have approved the
    plan; without that it awaits approval. If something is wrong, nothing of the correction is written and the plan is
    stopped. A plan that does not run, because another process has carried it out, stays as it is. Returns None while
    another process is at it. Raises KeyError if there is no such plan.
    """
    plan = replay_plans.try_lock_plan(tx, plan_id)
    if plan is None or plan.state is not PlanState.RUNNING or plan.corrects is None:
        return plan
    if plan.approved_by is None and rules.need_approval(plan.chosen, corrected=True):
        return replay_plans.move_correction(tx, plan, PlanEvent.AWAIT, now)
    try:
        with transactions.savepoint(tx):
            done = _record_corrected(tx, plan, entry, routing, now)
    except Rejected as rejected:
        found = dict(Counter(problem.code for problem in rejected.problems))
        return replay_plans.move_correction(tx, attrs.evolve(plan, left_out=found), PlanEvent.STOP, now)
    return replay_plans.move_correction(tx, done, PlanEvent.FINISH, now)


def _record_corrected(
    tx: Transaction, plan: ReplayPlan, entry: MessageEntry | None, routing: Routes, now: datetime
) -> ReplayPlan:
    assert plan.corrects is not None
    transactions.lock_names(tx, {f"correction {plan.corrects}"})
    original = read_correctable_message(tx, plan.corrects)
    if entry is None or entry.problems:
        raise Rejected(*(entry.problems if entry else [Problem("not-correctable")]))
    transactions.lock_names(tx, documents.list_document_locks(entry.packet))
    recipients = choose_recipients(tx, original, entry, routing)
    # of an accepted original the facts exist: those of its attachments are not read again
    narrowed = attrs.evolve(entry, routes=recipients.goes, rest=() if original.is_accepted else entry.rest)
    recorded = journal.record_message(tx, narrowed, routing)
    if recorded.id != entry.id:  # its partner has sent a message under this very id
        raise Rejected(Problem("id-reused", f"{entry.message_id} = {recorded.id}"))
    if recorded.problems:
        raise Rejected(*recorded.problems)
    _close_deliveries(tx, original, recorded.id, [route.recipient for route in recipients.goes], now)
    said: dict[str, object] = {"by": plan.made_by, "reason": plan.reason, "plan": plan.id}
    said |= {"approved_by": plan.approved_by} if plan.approved_by else {}
    events.append_events(
        tx,
        Event("message-corrected", now, original.message.id, None, {**said, "corrected": recorded.id}),
        Event("message-corrects", now, recorded.id, None, {**said, "original": original.message.id}),
    )
    return attrs.evolve(plan, corrected=recorded.id, queued=len(recipients.goes), **_count_recipients(recipients))


def _close_deliveries(
    tx: Transaction, original: CorrectableMessage, corrected: str, units: Sequence[str], now: datetime
) -> None:
    """Close the dead deliveries of *original* to *units*: the message *corrected* goes there instead.

    They are never replayed. Raises Rejected if one was replayed since *original* was read.
    """
    expected = {each.id for each in original.open if each.recipient in units}
    locked = deliveries.lock_stoppable_deliveries(tx, [original.message.id], units) if expected else ()
    closed = [each for each in locked if each.state is DeliveryState.DEAD]
    if {each.id for each in closed} != expected:
        raise Rejected(Problem("not-correctable", phrase("somebody replayed it meanwhile; look at it again")))
    stops = deliveries.plan_stops([(Effect.CORRECTED, closed)], corrected, now)
    # in a list the reason says what became of it; why it died is in its events and attempts
    marked = tuple(each | {"reason": each["stopped"]} for each in stops.marked)
    deliveries.write_stops(tx, attrs.evolve(stops, marked=marked))
    events.append_events(tx, *stops.events)
