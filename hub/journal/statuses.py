"""Statuses: the document that a status answers, the delivery it moves, and the statuses that a unit may read.

Reads and writes rows of messages and deliveries. Does not know how a status arrived or what its codes mean
(hub.domain.lifecycle, hub.edxml.changes).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.domain.lifecycle import advance_status
from hub.domain.model import Delivery, Event, Fact, MessageState, Packet, PacketKind, SignatureStanding
from hub.edxml import changes
from hub.journal import events, facts
from hub.journal.queue import deliveries
from hub.store.tables import change, delivery
from hub.store.tables import message as table
from hub.store.transactions import Transaction
from hub.units.routing import Route, Routes


def find_answered_document(tx: Transaction, packet: Packet, routes: Routes) -> sa.RowMapping | None:
    """Return the newest document that a status answers: by DocumentId, else by Code and PromulgationDate.

    The document must be from ResponseFor's unit, with the status's unit among its recipients. A status of the original
    sender itself (13) needs no such recipient. An agreement or a refusal (15, 16) answers the newest open change of
    that document.
    """
    answer = packet.responses[0]
    organ, reporter = routes.canonical(answer.organ), routes.canonical(packet.sender)
    theirs = sa.and_(table.c.state == MessageState.ACCEPTED, table.c.kind != PacketKind.STATUS, table.c.sender == organ)
    if organ != reporter:
        to_reporter = sa.exists().where(delivery.c.message == table.c.id, delivery.c.recipient == reporter)
        theirs = sa.and_(theirs, to_reporter)
    by_id = table.c.document_id == answer.document_id
    by_code = sa.and_(table.c.code == answer.code, table.c.promulgation_date == answer.promulgation_date)
    newest = sa.select(table).where(theirs).order_by(table.c.received_at.desc(), table.c.id.desc()).limit(1)
    found = None
    if answer.document_id:
        found = tx.execute(newest.where(by_id)).mappings().first()
    elif answer.code:
        found = tx.execute(newest.where(by_code)).mappings().first()
    if packet.status not in changes.ANSWERS:
        return found
    document = answer.document_id or (found["document_id"] if found else "")
    about = sa.select(change.c.message).where(change.c.sender == organ, change.c.document_id == document)
    asked = (
        sa.select(table)
        .join(delivery, sa.and_(delivery.c.message == table.c.id, delivery.c.recipient == reporter))
        .where(table.c.sender == organ, table.c.state == MessageState.ACCEPTED, table.c.kind.in_(changes.CHANGES))
        .where(sa.or_(table.c.id.in_(about), table.c.document_id == document))
        .order_by(delivery.c.answer.is_not(None), table.c.received_at.desc(), table.c.id.desc())
    )
    return tx.execute(asked.limit(1)).mappings().first() or found


def route_status(
    tx: Transaction, packet: Packet, document: sa.RowMapping | None, routed: Sequence[Route], routes: Routes
) -> tuple[Route, ...]:
    """Return the routes of a status. *routed* are the routes of its packet.

    A status of the original sender itself goes to the recipients of its *document* instead.
    """
    if routes.canonical(packet.responses[0].organ) != routes.canonical(packet.sender):
        return tuple(routed)
    if document is None:
        return ()
    return tuple(
        Route(made.recipient, made.partner, made.via, routes.waits_for(made.partner))
        for made in deliveries.of_message(tx, document["id"])
    )


def record_status(
    tx: Transaction,
    status_id: str,
    packet: Packet,
    document: sa.RowMapping | None,
    routes: Routes,
    now: datetime,
    *,
    signature: SignatureStanding = SignatureStanding.UNSIGNED,
) -> None:
    """Record a status: its fact, and the new status of the delivery of *document*, which never moves back."""
    answer, code, reporter = packet.responses[0], packet.status or "", routes.canonical(packet.sender)
    organ = routes.canonical(answer.organ)
    document_id = answer.document_id or (
        document["document_id"] if document else f"{answer.code},{answer.promulgation_date}"
    )
    fact = Fact(
        unit=reporter,
        service="documents",
        key=facts.business_key(organ, document_id),
        milestone=f"status-{code}",
        at=now,
        message=status_id,
        counterpart=organ,
        outside=routes.outside(organ),
        document_type=document["document_type"] if document else "",
        signature=signature,
        due=document["due"] if document else None,
    )
    facts.record_facts(tx, [fact])
    said = {"unit": reporter, "status": code, "document": answer.document_id}
    if document is None:
        events.append_events(tx, Event("document-unknown", now, status_id, None, said))
        return
    for made in deliveries.of_message(tx, document["id"], to_move=True):
        if made.recipient != reporter:
            continue
        if code in changes.ANSWERS and document["kind"] in changes.CHANGES and made.answer is None:
            _close(tx, document, made, code, said | {"by": status_id}, now)
            continue
        status = advance_status(made.status, code)
        name = "status-moved" if status != made.status else "status-kept"
        if status != made.status:
            tx.execute(sa.update(delivery).where(delivery.c.id == made.id).values(status=status, changed_at=now))
        events.append_events(tx, Event(name, now, document["id"], made.id, said | {"by": status_id}))


def _close(
    tx: Transaction, changed: sa.RowMapping, made: Delivery, code: str, said: Mapping[str, object], now: datetime
) -> None:
    """Record a recipient's answer to a change. For a recall, the deliveries of the recalled document get an event."""
    tx.execute(sa.update(delivery).where(delivery.c.id == made.id).values(answer=code, changed_at=now))
    events.append_events(tx, Event("change-answered", now, changed["id"], made.id, said))
    if changed["kind"] != PacketKind.RECALL:
        return
    about = sa.select(change.c.document_id).where(change.c.message == changed["id"]).distinct()
    asked = (
        sa.select(delivery.c.id, delivery.c.message)
        .join(table, table.c.id == delivery.c.message)
        .where(
            table.c.sender == changed["sender"],
            table.c.kind.in_(changes.DOCUMENTS),
            delivery.c.recipient == made.recipient,
        )
        .where(table.c.document_id.in_(about), table.c.state == MessageState.ACCEPTED)
        .order_by(delivery.c.id)
    )
    name = "recall-agreed" if code == changes.AGREED else "recall-refused"
    for row in tx.execute(asked).all():
        events.append_events(tx, Event(name, now, row.message, row.id, said))


@attrs.frozen
class StatusTrace:
    """One status about a unit's document.

    Holds the hub's id of the document (None if unknown), and the SHA-256 and size of the status packet.
    """

    document: str | None  #: hub id of the answered document
    sha256: str
    size: int = attrs.field(default=0, eq=False)


def read_status_traces(
    tx: Transaction,
    unit: str,
    *,
    document: str | None = None,
    since: datetime | None = None,
    carried_by: str | None = None,
    limit: int = 2000,
) -> Sequence[StatusTrace]:
    """Return the statuses addressed to *unit* in order of arrival, optionally restricted.

    *document*: only about it. *since*: only received from then on. *carried_by*: only about documents that this partner
    sent.
    """
    # Two subqueries, each with its own index. A single condition would test both for every message in the journal.
    answering = sa.select(table.c.id).where(table.c.answers_unit == unit)
    brought = sa.select(delivery.c.message).where(delivery.c.recipient == unit)
    query = (
        sa.select(table.c.answers, table.c.sha256, table.c.size)
        .where(table.c.kind == PacketKind.STATUS, table.c.state == MessageState.ACCEPTED)
        .where(table.c.id.in_(sa.union(answering, brought)))
        .order_by(table.c.received_at, table.c.id)
        .limit(limit)
    )
    if document is not None:
        old = table.alias("old")
        about = (
            sa.select(change.c.message)
            .join(old, sa.and_(old.c.sender == change.c.sender, old.c.document_id == change.c.document_id))
            .where(old.c.id == document, old.c.kind.in_(changes.DOCUMENTS))
        )
        query = query.where(sa.or_(table.c.answers == document, table.c.answers.in_(about)))
    if since is not None:
        query = query.where(table.c.received_at >= since)
    if carried_by is not None:
        carried = table.alias("carried")
        query = query.where(sa.exists().where(carried.c.id == table.c.answers, carried.c.partner == carried_by))
    return [StatusTrace(row.answers, row.sha256, row.size) for row in tx.execute(query)]
