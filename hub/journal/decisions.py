"""Decides the effects of a message: `decide` takes an entry and what the journal knows, and returns all rows to write.

Knows when two messages are the same, and the rows, events and facts of each kind of message. Uses no database, no clock
and no random numbers. `hub.journal.messages` reads what is known and writes what is decided.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import attrs

from hub.domain.errors import write_problem_json
from hub.domain.failure_causes import find_cause
from hub.domain.lifecycle import HeldContent, Judgement, advance_status, receive_message
from hub.domain.model import (
    DOCUMENTS,
    Event,
    Fact,
    MessageState,
    Packet,
    PacketKind,
    Problem,
    Record,
    SignatureStanding,
)
from hub.edxml import changes
from hub.journal import duties, facts
from hub.journal.duties import DutyKind
from hub.journal.effects import (
    AnsweredDelivery,
    AnsweredDocument,
    Effects,
    Known,
    MessageEntry,
    NewDuty,
    RecordedMessage,
    Twin,
)
from hub.journal.queue import deliveries
from hub.journal.queue.outstanding_effects import UnmadeDeliveries
from hub.journal.sequels import incident_durations
from hub.journal.sequels.document_holders import Holding
from hub.report.form.column import RECEIVED_BY
from hub.units.routing import Routes

#: Details of one code that the row of a refused message names.
_REPEATED = 3


def decide(entry: MessageEntry, known: Known) -> Effects:
    """Return the effects of *entry*.

    A repetition with the same bytes gets the receipt of the first message. The same message id with other bytes is
    refused (`id-reused`). Only an accepted message takes its id, so a refused one is judged again when it is repeated.
    A change of a document that only others sent is refused (`not-the-sender`).
    """
    twin = known.twin
    if twin is not None and twin.id == entry.id:  # this step was committed before, with an unknown result
        return Effects(recorded=RecordedMessage(twin.id, twin.receipt))
    becomes = receive_message(_compare_with_twin(entry, twin), Judgement.UNSOUND if entry.problems else Judgement.SOUND)
    if twin is not None and becomes is None:
        return _repeat_receipt(entry, twin)
    if becomes is MessageState.ACCEPTED and not known.contested:
        foreign = [document for document, sent in known.named.items() if sent is None]
        if not foreign:
            return _accept_judged(entry, known)
        entry = attrs.evolve(entry, problems=tuple(Problem("not-the-sender", each) for each in foreign))
    reused = Problem("id-reused", f"{entry.message_id} = {twin.id if twin else '?'}")
    return _refuse_message(attrs.evolve(entry, problems=entry.problems or (reused,), receipt=None), known.routing)


def keeps_bytes(entry: MessageEntry) -> bool:
    """Tell whether the bytes of *entry* are kept. Those of a secret document and withheld ones are not."""
    return not entry.withheld and all(problem.code != "secret-refused" for problem in entry.problems)


def _compare_with_twin(entry: MessageEntry, twin: Twin | None) -> HeldContent:
    if twin is None:
        return HeldContent.NOTHING
    return HeldContent.SAME_BYTES if twin.sha256 == entry.sha256 else HeldContent.OTHER_BYTES


def _repeat_receipt(entry: MessageEntry, twin: Twin) -> Effects:
    told = Event("message-repeated", entry.received_at, twin.id, None, {"partner": entry.partner})
    return Effects(recorded=RecordedMessage(twin.id, twin.receipt), before=(told, *_call_events(entry, twin.id)))


def _refuse_message(entry: MessageEntry, routing: Routes) -> Effects:
    refusal = write_refusal_row(entry.problems)
    body = {
        "partner": entry.partner,
        "message_id": entry.message_id,
        "sha256": entry.sha256,
        "problems": [write_problem_json(problem) for problem in entry.problems],
    }
    told = Event("message-refused", entry.received_at, entry.id, None, body)
    return Effects(
        recorded=RecordedMessage(entry.id, None, entry.problems),
        message=_message_row(entry, routing)
        | {"state": MessageState.REFUSED, "refusal": refusal, "cause": find_cause(entry.partner, refusal).digest},
        keeps=keeps_bytes(entry),
        before=(told, *_call_events(entry, entry.id), *_signature_events(entry)),
    )


def write_refusal_row(problems: Iterable[Problem]) -> str:
    """Return the reasons of a refusal as the row of its message has them: `code: detail; code: detail`.

    The event has all of them. Of one code the first `_REPEATED` stand here, with the number of the others, because lists
    of messages are read with these texts, and a call may have 200 mistakes. No detail has the sign between the reasons.
    """
    by_code: dict[str, list[str]] = {}
    for each in problems:
        by_code.setdefault(each.code, []).append(str(each.detail).replace("; ", ", "))
    found = []
    for code, details in by_code.items():
        found += [f"{code}: {detail}" if detail else code for detail in details[:_REPEATED]]
        if len(details) > _REPEATED:
            found[-1] += f" (+{len(details) - _REPEATED})"
    return "; ".join(found)


def _accept_judged(entry: MessageEntry, known: Known) -> Effects:
    if entry.record is not None:
        return _accept_record(entry, entry.record, known)
    packet = entry.packet
    assert packet is not None
    assert entry.message_id is not None
    if packet.kind is PacketKind.STATUS:
        return _accept_status(entry, packet, known)
    return _accept_document(entry, packet, known)


def _accept_message(
    entry: MessageEntry,
    known: Known,
    kind: str,
    deviations: Sequence[Problem],
    *,
    urgency: int = 0,
    hour: datetime | None = None,
) -> Effects:
    """Return the effects that every accepted message has: its row, its bytes, its deliveries and their events."""
    now = entry.received_at
    row = _message_row(entry, known.routing) | {
        "state": MessageState.ACCEPTED,
        "answers": known.answered.id if known.answered else None,
        "lane": known.lane,
    }
    count = len(known.ids)
    planned = deliveries.plan_deliveries(
        entry.id, known.routes[:count], known.ids, now, lane=known.lane, urgency=urgency, hour=hour
    )
    later = UnmadeDeliveries(routes=known.routes[count:], lane=known.lane, urgency=urgency, hour=hour)
    left = Event("deliveries-making", now, entry.id, None, {"recipients": len(later.routes)})
    body = {"partner": entry.partner, "message_id": entry.message_id, "kind": kind, "sha256": entry.sha256}
    said = map(write_problem_json, deviations)
    return Effects(
        recorded=RecordedMessage(entry.id, entry.receipt),
        message=row,
        keeps=True,
        deliveries=planned.rows,
        unmade=later if later.routes else None,
        wakes=planned.due and not later.routes,
        before=(
            Event("message-accepted", now, entry.id, None, body),
            *_call_events(entry, entry.id),
            *_signature_events(entry),
            *(Event("deviation-tolerated", now, entry.id, None, each) for each in said),
            *_succession_events(entry, known.routing),
            *planned.events,
            *([left] if later.routes else ()),
        ),
    )


def _accept_record(entry: MessageEntry, record: Record, known: Known) -> Effects:
    now, later = duties.split_facts(record.facts, behind=known.behind)
    slices = (*later, *entry.rest)
    return attrs.evolve(
        _accept_message(entry, known, record.kind, record.deviations),
        facts=incident_durations.pair_incident_facts(now, known.incidents),
        duty=NewDuty(services=entry.service, slices=slices) if slices else None,
    )


def _accept_document(entry: MessageEntry, packet: Packet, known: Known) -> Effects:
    """Return the effects of an accepted document, recall, update or replacement."""
    accepted = _accept_message(entry, known, packet.kind, packet.deviations, urgency=packet.priority, hour=packet.hour)
    assert accepted.message is not None
    routing = known.routing
    recipients = list(dict.fromkeys(routing.find_actor(code, entry.day) for code in packet.recipients))
    sent = facts.make_sent_fact(accepted.message, recipients, outside=any(routing.outside(code) for code in recipients))
    duty = NewDuty(services=duties.ENCLOSED, slices=entry.rest, kind=DutyKind.ATTACHMENTS) if entry.rest else None
    accepted = attrs.evolve(accepted, facts=(sent,), duty=duty)
    if packet.kind in changes.CHANGES:
        return _stop_changed(accepted, entry, packet, known)
    if stops := find_early_stops(entry.partner, routing.find_actor(packet.sender, entry.day), known):
        rows, told = deliveries.stop_new_deliveries(accepted.deliveries, stops, entry.received_at)
        later = attrs.evolve(accepted.unmade, stopped=stops) if accepted.unmade else None
        return attrs.evolve(accepted, deliveries=rows, unmade=later, after=told)
    return accepted


def find_early_stops(partner: str, sender: str, known: Known) -> dict[str, str]:
    """Return the reasons for which early changes stop the new document of the unit *sender*, by recipient.

    A change counts if *partner*, which sends the document, sent it too, or a partner that stands for the unit. It stops
    a recipient only if nothing of the document was sent there before: a document that is sent again after its recall is
    a new document and is delivered.
    """
    first: dict[str, tuple[str, changes.Effect]] = {}  # by unit: the first change that stops the document there
    for each in known.early:
        if each.partner == partner or known.routing.stands_for(each.partner, sender):
            first[each.unit] = min(first.get(each.unit, (each.message, each.effect)), (each.message, each.effect))
    stops = {}
    for recipient in (route.recipient for route in known.routes if route.recipient not in known.reached):
        if found := [first[unit] for unit in (changes.EVERY, recipient) if unit in first]:
            message, effect = min(found)
            stops[recipient] = changes.write_stop_reason(effect, message)
    return stops


def _stop_changed(accepted: Effects, entry: MessageEntry, packet: Packet, known: Known) -> Effects:
    """Return *accepted* with the effects of a recall, update or replacement on the documents that it names.

    If the hub knows none of the documents, the change gets the event `document-unknown` and is stored and routed all
    the same.
    """
    routing, now = known.routing, entry.received_at
    sender = routing.find_actor(packet.sender, entry.day)
    marks = changes.list_change_effects(packet, known.named, partial(routing.find_actor, on=entry.day))
    stops = deliveries.plan_stops(known.stoppable, entry.id, now)
    left = {"documents": sum(len(each.messages) for each in known.unstopped)}
    told = [*stops.events, *([Event("change-applying", now, entry.id, None, left)] if known.unstopped else ())]
    unknown = Event("document-unknown", now, entry.id, None, {"unit": sender, "documents": list(known.named)})
    return attrs.evolve(
        accepted,
        changes=tuple(
            {
                "message": entry.id,
                "document_id": mark.document_id,
                "unit": mark.unit,
                "sender": known.named[mark.document_id] or sender,
                "effect": mark.effect,
            }
            for mark in marks
        ),
        stops=stops,
        unstopped=known.unstopped,
        after=told if any(known.named.values()) else (unknown, *told),
    )


def _make_status_fact(entry: MessageEntry, packet: Packet, known: Known, holding: Holding) -> Fact:
    """Return the fact that the unit of *holding* reported the status of a document."""
    answered, answer = known.answered, packet.responses[0]
    organ = answered.sender if answered else known.routing.find_actor(answer.organ, entry.day)
    document = answer.document_id or (answered.document_id if answered else f"{answer.code},{answer.promulgation_date}")
    return Fact(
        unit=holding.unit,
        service=DOCUMENTS,
        key=facts.make_business_key(
            organ,
            document,
            packet=answered.packet if answered else None,
            returns=known.answers.returns if known.answers else None,
        ),
        milestone=f"status-{packet.status or ''}",
        at=entry.received_at,
        message=entry.id,
        counterpart=organ,
        outside=known.routing.outside(organ),
        document_type=answered.document_type if answered else "",
        signature=entry.signature.standing if entry.signature else SignatureStanding.UNSIGNED,
        due=answered.due if answered else None,
        attributes=((RECEIVED_BY, holding.received_by),) if holding.received_by else (),
    )


def _accept_status(entry: MessageEntry, packet: Packet, known: Known) -> Effects:
    """Return the effects of a status: also its fact, and the new status of the answered delivery.

    The status of a delivery never moves back.
    """
    accepted = _accept_message(entry, known, packet.kind, packet.deviations, urgency=packet.priority, hour=packet.hour)
    now, answered, answer, code = entry.received_at, known.answered, packet.responses[0], packet.status or ""
    reporter = known.routing.find_actor(packet.sender, entry.day)
    holding = known.holding or Holding(reporter)
    told_once = () if known.counted else (_make_status_fact(entry, packet, known, holding),)
    accepted = attrs.evolve(accepted, facts=(*holding.moves, *told_once))
    said: dict[str, object] = {"unit": reporter, "status": code, "document": answer.document_id}
    if answered is None:
        return attrs.evolve(accepted, after=(Event("document-unknown", now, entry.id, None, said),))
    if answered.by_number:
        named = {"number": answer.code, "answers": answered.id}
        told = Event("matched-by-number", now, entry.id, None, said | named | {"document": answered.document_id})
        accepted = attrs.evolve(accepted, before=(*accepted.before, told))
        said |= {"matched": "number"}
    moved = known.answers
    if moved is None:
        return accepted
    said |= {"by": entry.id}
    if closes_change(code, answered, moved):
        name = "recall-agreed" if code == changes.AGREED else "recall-refused"
        return attrs.evolve(
            accepted,
            answered={"which": moved.id, "answer": code, "changed_at": now},
            after=(
                Event("change-answered", now, answered.id, moved.id, said),
                *(Event(name, now, message, delivery, said) for message, delivery in known.recalled),
            ),
        )
    status = advance_status(moved.status, code)
    if status == moved.status:
        return attrs.evolve(accepted, after=(Event("status-kept", now, answered.id, moved.id, said),))
    return attrs.evolve(
        accepted,
        answered={"which": moved.id, "status": status, "changed_at": now},
        after=(Event("status-moved", now, answered.id, moved.id, said),),
    )


def closes_change(code: str, answered: AnsweredDocument, moved: AnsweredDelivery) -> bool:
    """Tell whether the status *code* is the recipient's first answer to a change (15 agreed, 16 refused)."""
    return code in changes.ANSWERS and answered.kind in changes.CHANGES and moved.answer is None


def _succession_events(entry: MessageEntry, routing: Routes) -> tuple[Event, ...]:
    """Return an event for each code in the packet of a unit that has ended, in whose place another unit stands."""
    packet = entry.packet
    if packet is None:
        return ()
    written = {
        "from": (packet.sender,),
        "to": (*packet.recipients, *changes.list_told_units(packet)),
        "response-for": tuple(each.organ for each in packet.responses),
    }
    told = []
    for place, codes in written.items():
        for code in dict.fromkeys(codes):
            actor = routing.find_actor(code, entry.day)
            if actor != routing.canonical(code):
                body = {"unit": code, "successor": actor, "place": place}
                told.append(Event("unit-succeeded", entry.received_at, entry.id, None, body))
    return tuple(told)


def _call_events(entry: MessageEntry, message: str) -> tuple[Event, ...]:
    """Return the event about a tolerated SHA-1 signature of the call that carried *message*, if it had one."""
    return () if entry.sha1 is None else (Event("sha1-used", entry.received_at, message, None, entry.sha1),)


def _signature_events(entry: MessageEntry) -> tuple[Event, ...]:
    """Return the events about the packet's own signature: its standing, and the tolerances of the policy it used."""
    found = entry.signature
    if found is None or (found.standing is SignatureStanding.UNSIGNED and not found.code):
        return ()
    said = {
        "signature": found.standing,
        "code": found.code,
        "detail": str(found.detail),
        "certificate": found.certificate,
    }
    body = {key: value for key, value in said.items() if value}
    told = [Event("packet-signature", entry.received_at, entry.id, None, body)]
    used = {"partner": entry.partner, "certificate": found.certificate}
    if found.standing is SignatureStanding.VALID and found.vxp:
        told.append(Event("vxp-signature-used", entry.received_at, entry.id, None, used))
    if found.standing is SignatureStanding.VALID and found.sha1:
        told.append(Event("sha1-used", entry.received_at, entry.id, None, used))
    return tuple(told)


def _message_row(entry: MessageEntry, routing: Routes) -> dict[str, Any]:
    """Return the columns of *entry* that do not depend on its acceptance."""
    row: dict[str, Any] = {
        "id": entry.id,
        "partner": entry.partner,
        "message_id": entry.message_id,
        "service": entry.service,
        "kind": "unknown",
        "received_at": entry.received_at,
        "sha256": entry.sha256,
        "size": len(entry.content),
        "receipt": entry.receipt,
        "signature": entry.signature.standing if entry.signature else None,
        "envelope": entry.envelope.packed if entry.envelope else None,
        "trace": entry.trace,
    }
    packet, record = entry.packet, entry.record
    if record is not None:
        keys = json.dumps(record.keys, ensure_ascii=False, separators=(",", ":"))
        row |= {"kind": record.kind, "sender": record.sender or None, "subject": record.subject, "keys": keys}
    if packet is None:
        return row
    row |= {
        "kind": packet.kind,
        "sender": routing.find_actor(packet.sender, entry.day),
        "outside": routing.outside(packet.sender),
        "document_id": packet.document_id,
        "code": packet.code,
        "promulgation_date": packet.promulgation_date,
        "subject": packet.subject,
        "due": packet.due,
        "document_type": packet.type_name,
        "paper": packet.paper,
    }
    if packet.kind is PacketKind.STATUS and packet.responses:
        answer = packet.responses[0]
        row |= {
            "document_id": answer.document_id,
            "code": answer.code,
            "promulgation_date": answer.promulgation_date,
            "status": packet.status,
            "answers_unit": routing.find_actor(answer.organ, entry.day),
        }
    return row
