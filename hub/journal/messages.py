"""The messages of the journal: taken once, with their bytes, events, deliveries and facts, or refused with their reasons.

Knows what makes a message the same and the order in which all that follows is written; not how it was carried, verified or judged.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.lifecycle import receive_message
from hub.domain.model import (
    Event,
    Fact,
    MessageState,
    Packet,
    PacketKind,
    PacketSignature,
    Problem,
    Record,
    SignatureStanding,
)
from hub.edxml import changes
from hub.formats.spool import Octets
from hub.journal import blobs, documents, duties, events, facts, statuses
from hub.journal.duties import Slice
from hub.journal.queue import deliveries
from hub.store import transactions
from hub.store.tables import message as table
from hub.store.transactions import Transaction
from hub.units.routing import Route, Routes

_TWIN = sa.select(table.c.id, table.c.sha256, table.c.receipt).where(
    table.c.partner == sa.bindparam("by"),
    table.c.message_id == sa.bindparam("named"),
    table.c.state == MessageState.ACCEPTED,
)


@attrs.frozen(kw_only=True)
class MessageEntry:
    """A message as intake judged it.  With problems it is refused; else it has its packet or its record, its routes and its receipt."""

    id: str
    partner: str
    message_id: str | None
    service: str
    received_at: datetime
    content: bytes | Octets
    sha256: str
    packet: Packet | None = None
    record: Record | None = None  #: of a service whose messages are no packets; unit codes are the registry's
    rest: tuple[
        Slice, ...
    ] = ()  #: what is done after the receipt: its further facts, or the packet's attachments that tell of more
    signature: PacketSignature | None = None  #: None where no packet could be looked at
    routes: tuple[Route, ...] = ()
    receipt: bytes | None = None
    problems: tuple[Problem, ...] = ()
    withheld: bool = False  #: its bytes are not kept, as they may tell of a person
    sha1: Mapping[str, str] | None = None  #: what to tell of the call's SHA-1 signature, where the policy tolerated one


@attrs.frozen
class RecordedMessage:
    """What the journal says of an entry: its own, or those of the message it repeats."""

    id: str
    receipt: bytes | None
    problems: tuple[Problem, ...] = ()


def record_message(tx: Transaction, entry: MessageEntry, routes: Routes) -> RecordedMessage:
    """Write *entry* once, with everything that follows from it.

    The same id with the same bytes gives what the first one got; with other bytes it is refused (`id-reused`).  Only an
    accepted message takes its id, so a refused one is judged afresh when it comes again.
    """
    twin = _accepted(tx, entry.partner, entry.message_id)
    if _becomes(twin, entry) is MessageState.ACCEPTED:
        transactions.one_at_a_time(tx, documents.document_places(entry.packet))
        named = documents.find_named_documents(tx, entry.packet, entry.partner, routes)
        if foreign := [document for document, known in named.items() if known is None]:
            entry = attrs.evolve(entry, problems=tuple(Problem("not-the-sender", each) for each in foreign))
        elif _insert(tx, entry, routes, named):
            return RecordedMessage(entry.id, entry.receipt)
        twin = _accepted(tx, entry.partner, entry.message_id)  # another node was first
    if twin is not None and twin["id"] == entry.id:
        return RecordedMessage(twin["id"], twin["receipt"])  # this very step was committed, and nobody was told
    if twin is not None and _becomes(twin, entry) is None:
        events.append_events(
            tx, Event("message-repeated", entry.received_at, twin["id"], None, {"partner": entry.partner})
        )
        _note_call(tx, entry, twin["id"])
        return RecordedMessage(twin["id"], twin["receipt"])
    problems = entry.problems or (Problem("id-reused", f"{entry.message_id} = {twin['id'] if twin else '?'}"),)
    _refuse(tx, attrs.evolve(entry, problems=problems, receipt=None, routes=()), routes)
    return RecordedMessage(entry.id, None, problems)


def _becomes(twin: sa.RowMapping | None, entry: MessageEntry) -> MessageState | None:
    held = "nothing" if twin is None else "the same bytes" if twin["sha256"] == entry.sha256 else "other bytes"
    return receive_message(held, "unsound" if entry.problems else "sound")


def _accepted(tx: Transaction, partner: str, message_id: str | None) -> sa.RowMapping | None:
    if message_id is None:
        return None
    return tx.execute(_TWIN, {"by": partner, "named": message_id}).mappings().first()


def _insert_record(tx: Transaction, entry: MessageEntry, record: Record, routes: Routes) -> bool:
    lane = facts.business_key(entry.service, record.sender)
    row = _row(entry, routes) | {"state": MessageState.ACCEPTED, "lane": lane}
    if not transactions.put_once(tx, table, [row]):
        return False
    blobs.keep_blob(tx, entry.sha256, entry.content)
    _tell_accepted(tx, entry, record.kind)
    _note_deviations(tx, entry, record.deviations)
    deliveries.make_deliveries(tx, entry.id, entry.routes, entry.received_at, lane=lane)
    duties.write_facts_or_duty(tx, entry.id, entry.received_at, entry.service, record.facts, entry.rest)
    return True


def _tell_accepted(tx: Transaction, entry: MessageEntry, kind: str) -> None:
    body = {"partner": entry.partner, "message_id": entry.message_id, "kind": kind, "sha256": entry.sha256}
    events.append_events(tx, Event("message-accepted", entry.received_at, entry.id, None, body))
    _note_call(tx, entry, entry.id)


def _note_deviations(tx: Transaction, entry: MessageEntry, deviations: Sequence[Problem]) -> None:
    for deviation in deviations:
        said = {"code": deviation.code, "detail": deviation.detail}
        events.append_events(tx, Event("deviation-tolerated", entry.received_at, entry.id, None, said))


def _insert(tx: Transaction, entry: MessageEntry, routes: Routes, named: Mapping[str, bool | None]) -> bool:
    if entry.record is not None:
        return _insert_record(tx, entry, entry.record, routes)
    packet = entry.packet
    assert packet is not None
    assert entry.message_id is not None
    answered = statuses.find_answered_document(tx, packet, routes) if packet.kind is PacketKind.STATUS else None
    lane = documents.choose_lane(tx, packet, answered, named, routes)
    row = _row(entry, routes) | {
        "state": MessageState.ACCEPTED,
        "answers": answered["id"] if answered else None,
        "lane": lane,
    }
    if not transactions.put_once(tx, table, [row]):
        return False
    blobs.keep_blob(tx, entry.sha256, entry.content)
    now = entry.received_at
    _tell_accepted(tx, entry, packet.kind)
    _note_signature(tx, entry)
    _note_deviations(tx, entry, packet.deviations)
    goes, stops = entry.routes, []
    if packet.kind is PacketKind.STATUS:
        goes = statuses.route_status(tx, packet, answered, entry.routes, routes)
    elif packet.kind is PacketKind.DOCUMENT:
        stops = documents.list_delivery_stops(tx, entry.id, packet, entry.partner, goes, routes)
    deliveries.make_deliveries(tx, entry.id, goes, now, lane=lane, urgency=packet.priority, hour=packet.hour)
    if packet.kind is PacketKind.STATUS:
        worth = entry.signature.standing if entry.signature else SignatureStanding.UNSIGNED
        statuses.record_status(tx, entry.id, packet, answered, routes, now, signature=worth)
        return True
    facts.record_facts(tx, [_sent(row, packet, routes)])
    if entry.rest:
        duties.record_duty(tx, entry.id, now, duties.ENCLOSED, entry.rest, duties.ATTACHMENTS)
    for stop in stops:
        deliveries.stop_deliveries(tx, [entry.id], stop.units, stop.effect, stop.message, now)
    if packet.kind in changes.CHANGES:
        documents.record_change(tx, entry.id, packet, named, entry.partner, routes, now)
    return True


def _refuse(tx: Transaction, entry: MessageEntry, routes: Routes) -> None:
    refusal = "; ".join(f"{p.code}: {p.detail}" if p.detail else p.code for p in entry.problems)
    row = _row(entry, routes) | {"state": MessageState.REFUSED, "refusal": refusal}
    if not transactions.put_once(tx, table, [row]):
        return  # this very step was committed, and nobody was told
    if keeps_bytes(entry):
        blobs.keep_blob(tx, entry.sha256, entry.content)
    body = {
        "partner": entry.partner,
        "message_id": entry.message_id,
        "sha256": entry.sha256,
        "problems": [attrs.asdict(problem) for problem in entry.problems],
    }
    events.append_events(tx, Event("message-refused", entry.received_at, entry.id, None, body))
    _note_call(tx, entry, entry.id)
    _note_signature(tx, entry)


def keeps_bytes(entry: MessageEntry) -> bool:
    """Tell whether the bytes of *entry* are kept: not those of a secret document, nor what is withheld."""
    return not entry.withheld and all(problem.code != "secret-refused" for problem in entry.problems)


def _note_call(tx: Transaction, entry: MessageEntry, message: str) -> None:
    """Tell what of the policy's tolerance the signature of the call needed that brought *message*."""
    if entry.sha1 is not None:
        events.append_events(tx, Event("sha1-used", entry.received_at, message, None, entry.sha1))


def _note_signature(tx: Transaction, entry: MessageEntry) -> None:
    """Tell what the packet's own signature is worth, and what of the policy's tolerance it needed."""
    found = entry.signature
    if found is None or (found.standing is SignatureStanding.UNSIGNED and not found.code):
        return
    said = {"signature": found.standing, "code": found.code, "detail": found.detail, "certificate": found.certificate}
    body = {key: value for key, value in said.items() if value}
    events.append_events(tx, Event("packet-signature", entry.received_at, entry.id, None, body))
    if found.standing is not SignatureStanding.VALID:
        return
    used = {"partner": entry.partner, "certificate": found.certificate}
    if found.vxp:
        events.append_events(tx, Event("vxp-signature-used", entry.received_at, entry.id, None, used))
    if found.sha1:
        events.append_events(tx, Event("sha1-used", entry.received_at, entry.id, None, used))


def _row(entry: MessageEntry, routes: Routes) -> dict[str, object]:
    row: dict[str, object] = {
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
    }
    packet, record = entry.packet, entry.record
    if record is not None:
        keys = json.dumps(record.keys, ensure_ascii=False, separators=(",", ":"))
        row |= {"kind": record.kind, "sender": record.sender or None, "subject": record.subject, "keys": keys}
    if packet is None:
        return row
    row |= {
        "kind": packet.kind,
        "sender": routes.canonical(packet.sender),
        "outside": routes.outside(packet.sender),
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
            "answers_unit": routes.canonical(answer.organ),
        }
    return row


def _sent(row: Mapping[str, Any], packet: Packet, routes: Routes) -> Fact:
    recipients = [routes.canonical(code) for code in packet.recipients]
    return facts.make_sent_fact(row, recipients, outside=any(routes.outside(code) for code in recipients))
