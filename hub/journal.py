"""The messages of the journal: taken once, with their bytes, events, deliveries and facts, or refused with their reasons.

Knows what makes a message the same, and what a status answers; not how it was carried, verified or judged.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

import attrs
import sqlalchemy as sa

from hub import changes, deliveries, events, ledger, store
from hub.lifecycle import advance
from hub.model import (
    Delivery,
    Event,
    Fact,
    Kind,
    Message,
    MessageState,
    Packet,
    PacketSignature,
    Problem,
    Standing,
    State,
)
from hub.routes import Route, Routes
from hub.schema import change, content, delivery
from hub.schema import message as table
from hub.store import Transaction

#: Kinds that are documents of their own; a recall or an update is only about one.
_DOCUMENTS = (Kind.DOCUMENT, Kind.REPLACEMENT)


@attrs.frozen(kw_only=True)
class Entry:
    """A message as intake judged it.  With problems it is refused; else it has its packet, its routes and its receipt."""

    id: str
    partner: str
    message_id: str | None
    service: str
    received_at: datetime
    content: bytes
    sha256: str
    packet: Packet | None = None
    signature: PacketSignature | None = None  #: None where no packet could be looked at
    routes: tuple[Route, ...] = ()
    receipt: bytes | None = None
    problems: tuple[Problem, ...] = ()


@attrs.frozen
class Mark:
    """A delivery to *unit* is stopped by the change *message*."""

    unit: str
    effect: str
    message: str


@attrs.frozen
class Taken:
    """What the journal says of an entry: its own, or those of the message it repeats."""

    id: str
    receipt: bytes | None
    problems: tuple[Problem, ...] = ()


def take(tx: Transaction, entry: Entry, routes: Routes) -> Taken:
    """Write *entry* once, with everything that follows from it.

    The same id with the same bytes gives what the first one got; with other bytes it is refused (`id-reused`).  Only an
    accepted message takes its id, so a refused one is judged afresh when it comes again.
    """
    twin = _accepted(tx, entry.partner, entry.message_id)
    if twin is None and not entry.problems:
        store.one_at_a_time(tx, _places(entry))
        named = _named(tx, entry, routes)
        if foreign := [document for document, known in named.items() if known is None]:
            entry = attrs.evolve(entry, problems=tuple(Problem("not-the-sender", each) for each in foreign))
        elif _insert(tx, entry, routes, named):
            return Taken(entry.id, entry.receipt)
        twin = _accepted(tx, entry.partner, entry.message_id)  # another node was first
    if twin is not None and twin["id"] == entry.id:
        return Taken(twin["id"], twin["receipt"])  # this very step was committed, and nobody was told
    if twin is not None and twin["sha256"] == entry.sha256:
        events.append(tx, Event("message-repeated", entry.received_at, twin["id"], None, {"partner": entry.partner}))
        return Taken(twin["id"], twin["receipt"])
    problems = entry.problems or (Problem("id-reused", f"{entry.message_id} = {twin['id'] if twin else '?'}"),)
    _refuse(tx, attrs.evolve(entry, problems=problems, receipt=None, routes=()), routes)
    return Taken(entry.id, None, problems)


def _accepted(tx: Transaction, partner: str, message_id: str | None) -> sa.RowMapping | None:
    if message_id is None:
        return None
    same = sa.and_(table.c.partner == partner, table.c.message_id == message_id, table.c.state == MessageState.ACCEPTED)
    return tx.execute(sa.select(table.c.id, table.c.sha256, table.c.receipt).where(same)).mappings().first()


def _places(entry: Entry) -> set[str]:
    """Return what names the documents that *entry* is or changes: a change and its document, at the same time, must see each other."""
    packet = entry.packet
    if packet is None or packet.kind is Kind.STATUS:
        return set()
    own = (packet.document_id, packet.code, packet.promulgation_date)
    changed = changes.named(packet) if packet.kind in changes.CHANGES else ()
    others = [(each.document_id, each.code, each.promulgation_date) for each in changed]
    return {name for document, code, date in (own, *others) for name in (document, f"{code},{date}") if name}


def _named(tx: Transaction, entry: Entry, routes: Routes) -> dict[str, bool | None]:
    """Return the DocumentIds that the change *entry* is about: True when its From unit sent one, False when nobody did.

    None is one that only another unit sent.  Where a recall's `ResponseFor` names several, those of its own unit are meant.
    """
    packet = entry.packet
    if packet is None or packet.kind not in changes.CHANGES:
        return {}
    sender = routes.canonical(packet.sender)
    found: dict[str, bool | None] = {}
    for each in changes.named(packet):
        which = table.c.document_id == each.document_id
        if not each.document_id:
            which = sa.and_(table.c.code == each.code, table.c.promulgation_date == each.promulgation_date)
        known = sa.and_(which, table.c.state == MessageState.ACCEPTED, table.c.kind.in_(_DOCUMENTS))
        own = sa.select(table.c.document_id).where(known, table.c.sender == sender).order_by(table.c.id.desc()).limit(1)
        document = tx.scalars(own).first()
        if document is not None:
            found[document] = True
        elif each.document_id:
            others = tx.execute(sa.select(table.c.id).where(known).limit(1)).first()
            found.setdefault(each.document_id, None if others else False)
    if packet.kind is Kind.RECALL and any(found.values()):
        return {document: known for document, known in found.items() if known}
    return found


def _insert(tx: Transaction, entry: Entry, routes: Routes, named: Mapping[str, bool | None]) -> bool:
    packet = entry.packet
    assert packet is not None
    assert entry.message_id is not None
    answered = _answered(tx, packet, routes) if packet.kind is Kind.STATUS else None
    lane = _lane(tx, packet, answered, named, routes)
    row = _row(entry, routes) | {
        "state": MessageState.ACCEPTED,
        "answers": answered["id"] if answered else None,
        "lane": lane,
    }
    if not store.put_once(tx, table, [row]):
        return False
    _keep(tx, entry)
    now = entry.received_at
    body = {"partner": entry.partner, "message_id": entry.message_id, "kind": packet.kind, "sha256": entry.sha256}
    events.append(tx, Event("message-accepted", now, entry.id, None, body))
    _note_signature(tx, entry)
    for deviation in packet.deviations:
        said = {"code": deviation.code, "detail": deviation.detail}
        events.append(tx, Event("deviation-tolerated", now, entry.id, None, said))
    goes = _routes(tx, entry, answered, routes)
    late = _late(tx, entry, routes) if packet.kind is Kind.DOCUMENT else []
    deliveries.make(tx, entry.id, goes, now, lane=lane, urgency=packet.priority, hour=packet.hour)
    if packet.kind is Kind.STATUS:
        _answer(tx, entry, packet, answered, routes)
        return True
    ledger.write(tx, [_sent(tx, entry, routes)])
    if packet.kind is Kind.DOCUMENT:
        for mark in late:
            deliveries.stop(tx, [entry.id], mark.unit, changes.Effect(mark.effect), mark.message, now)
    else:
        _change(tx, entry, packet, named, routes)
    return True


def _lane(
    tx: Transaction,
    packet: Packet,
    answered: sa.RowMapping | None,
    named: Mapping[str, bool | None],
    routes: Routes,
) -> str:
    """Return the lane of what *packet* says: that of the document it is, changes or answers.

    A replacement goes in the lane of the first document it replaces, and what is said of the replacement follows it there.
    """
    if answered is not None and answered["lane"]:
        return str(answered["lane"])
    sender, document = routes.canonical(packet.sender), next(iter(named), packet.document_id)
    if packet.kind is Kind.STATUS:
        answer = packet.responses[0]
        sender = routes.canonical(answer.organ)
        document = answer.document_id or f"{answer.code},{answer.promulgation_date}"
    same = sa.and_(table.c.sender == sender, table.c.document_id == document, table.c.state == MessageState.ACCEPTED)
    taken = sa.select(table.c.lane).where(same, table.c.kind != Kind.STATUS, table.c.lane.is_not(None))
    return tx.scalars(taken.order_by(table.c.id).limit(1)).first() or ledger.business_key(sender, document)


def _change(tx: Transaction, entry: Entry, packet: Packet, named: Mapping[str, bool | None], routes: Routes) -> None:
    """Keep what a recall, an update or a replacement means, and stop what it stops.

    Where the hub does not know the document it is marked so, kept and routed all the same.
    """
    sender, now = routes.canonical(packet.sender), entry.received_at
    if not any(named.values()):
        body = {"unit": sender, "documents": list(named)}
        events.append(tx, Event("document-unknown", now, entry.id, None, body))
    marks = list(changes.marks(packet, named, routes.canonical))
    store.put_once(tx, change, [attrs.asdict(mark) | {"message": entry.id, "sender": sender} for mark in marks])
    for mark in marks:
        if mark.effect is not changes.Effect.UPDATED:
            carriers = [each for each in _carriers(tx, sender, mark.document_id) if each != entry.id]
            deliveries.stop(tx, carriers, mark.unit, mark.effect, entry.id, now)


def _carriers(tx: Transaction, sender: str, document_id: str) -> list[str]:
    """Return the messages that carry a document to its recipients: itself, its replacements under its id, its updates."""
    updates = sa.select(change.c.message).where(change.c.sender == sender, change.c.document_id == document_id)
    same = sa.and_(table.c.sender == sender, table.c.state == MessageState.ACCEPTED)
    carries = sa.or_(
        sa.and_(same, table.c.document_id == document_id, table.c.kind.in_((*_DOCUMENTS, Kind.UPDATE))),
        sa.and_(same, table.c.id.in_(updates), table.c.kind == Kind.UPDATE),
    )
    return list(tx.scalars(sa.select(table.c.id).where(carries)))


def _late(tx: Transaction, entry: Entry, routes: Routes) -> list[Mark]:
    """Return the changes that came before the document *entry*, and before anything of it went to the unit they stop.

    A document sent again after its recall is a new sending, and goes.
    """
    packet = entry.packet
    assert packet is not None
    sender = routes.canonical(packet.sender)
    early = sa.select(change).where(
        change.c.sender == sender,
        change.c.document_id == packet.document_id,
        change.c.effect != changes.Effect.UPDATED,
    )
    found = tx.execute(early.order_by(change.c.message)).all()
    if not found:
        return []
    carriers = [each for each in _carriers(tx, sender, packet.document_id) if each != entry.id]
    been = set(tx.scalars(sa.select(delivery.c.recipient).where(delivery.c.message.in_(carriers))))
    return [
        Mark(route.recipient, row.effect, row.message)
        for row in found
        for route in entry.routes
        if row.unit in (changes.EVERY, route.recipient) and route.recipient not in been
    ]


def _refuse(tx: Transaction, entry: Entry, routes: Routes) -> None:
    refusal = "; ".join(f"{p.code}: {p.detail}" if p.detail else p.code for p in entry.problems)
    row = _row(entry, routes) | {"state": MessageState.REFUSED, "refusal": refusal}
    if not store.put_once(tx, table, [row]):
        return  # this very step was committed, and nobody was told
    if all(problem.code != "secret-refused" for problem in entry.problems):  # whose bytes the hub does not keep
        _keep(tx, entry)
    body = {
        "partner": entry.partner,
        "message_id": entry.message_id,
        "sha256": entry.sha256,
        "problems": [attrs.asdict(problem) for problem in entry.problems],
    }
    events.append(tx, Event("message-refused", entry.received_at, entry.id, None, body))
    _note_signature(tx, entry)


def _note_signature(tx: Transaction, entry: Entry) -> None:
    """Tell what the packet's own signature is worth, and what of the policy's tolerance it needed."""
    found = entry.signature
    if found is None or (found.standing is Standing.UNSIGNED and not found.code):
        return
    said = {"signature": found.standing, "code": found.code, "detail": found.detail, "certificate": found.certificate}
    body = {key: value for key, value in said.items() if value}
    events.append(tx, Event("packet-signature", entry.received_at, entry.id, None, body))
    if found.standing is not Standing.VALID:
        return
    used = {"partner": entry.partner, "certificate": found.certificate}
    if found.vxp:
        events.append(tx, Event("vxp-signature-used", entry.received_at, entry.id, None, used))
    if found.sha1:
        events.append(tx, Event("sha1-used", entry.received_at, entry.id, None, used))


def _keep(tx: Transaction, entry: Entry) -> None:
    store.put_once(tx, content, [{"sha256": entry.sha256, "octets": entry.content}])


def _row(entry: Entry, routes: Routes) -> dict[str, object]:
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
    packet = entry.packet
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
    if packet.kind is Kind.STATUS and packet.responses:
        answer = packet.responses[0]
        row |= {
            "document_id": answer.document_id,
            "code": answer.code,
            "promulgation_date": answer.promulgation_date,
            "status": packet.status,
            "answers_unit": routes.canonical(answer.organ),
        }
    return row


def _answered(tx: Transaction, packet: Packet, routes: Routes) -> sa.RowMapping | None:
    """Return the newest document a status answers: by DocumentId, else by Code and PromulgationDate.

    The document is from ResponseFor's unit and the status's unit is among its recipients; a status of the original sender
    itself (13) needs no such recipient.  What agrees or refuses (15, 16) answers the newest open change of that document.
    """
    answer = packet.responses[0]
    organ, reporter = routes.canonical(answer.organ), routes.canonical(packet.sender)
    theirs = sa.and_(table.c.state == MessageState.ACCEPTED, table.c.kind != Kind.STATUS, table.c.sender == organ)
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


def _routes(tx: Transaction, entry: Entry, answered: sa.RowMapping | None, routes: Routes) -> tuple[Route, ...]:
    """Return where *entry* goes; what the original sender says of its own document goes to that document's recipients."""
    packet = entry.packet
    assert packet is not None
    if packet.kind is not Kind.STATUS or routes.canonical(packet.responses[0].organ) != routes.canonical(packet.sender):
        return entry.routes
    if answered is None:
        return ()
    return tuple(
        Route(made.recipient, made.partner, made.recipient, routes.waits_for(made.partner))
        for made in deliveries.of_message(tx, answered["id"])
    )


def _answer(tx: Transaction, entry: Entry, packet: Packet, answered: sa.RowMapping | None, routes: Routes) -> None:
    """Keep a status: its fact, and the delivery it answers moved forward, never back."""
    status_id, now = entry.id, entry.received_at
    answer, code, reporter = packet.responses[0], packet.status or "", routes.canonical(packet.sender)
    organ = routes.canonical(answer.organ)
    document_id = answer.document_id or (
        answered["document_id"] if answered else f"{answer.code},{answer.promulgation_date}"
    )
    fact = Fact(
        unit=reporter,
        service="documents",
        key=ledger.business_key(organ, document_id),
        milestone=f"status-{code}",
        at=now,
        message=status_id,
        counterpart=organ,
        outside=routes.outside(organ),
        document_type=answered["document_type"] if answered else "",
        signature=entry.signature.standing if entry.signature else Standing.UNSIGNED,
        due=answered["due"] if answered else None,
    )
    ledger.write(tx, [fact])
    said = {"unit": reporter, "status": code, "document": answer.document_id}
    if answered is None:
        events.append(tx, Event("document-unknown", now, status_id, None, said))
        return
    for made in deliveries.of_message(tx, answered["id"], to_move=True):
        if made.recipient != reporter:
            continue
        if code in changes.ANSWERS and answered["kind"] in changes.CHANGES and made.answer is None:
            _close(tx, answered, made, code, said | {"by": status_id}, now)
            continue
        status = advance(made.status, code)
        name = "status-moved" if status != made.status else "status-kept"
        if status != made.status:
            tx.execute(sa.update(delivery).where(delivery.c.id == made.id).values(status=status, changed_at=now))
        events.append(tx, Event(name, now, answered["id"], made.id, said | {"by": status_id}))


def _close(
    tx: Transaction, changed: sa.RowMapping, made: Delivery, code: str, said: Mapping[str, object], now: datetime
) -> None:
    """Keep a recipient's answer to a change, and tell the recalled document's deliveries of it."""
    tx.execute(sa.update(delivery).where(delivery.c.id == made.id).values(answer=code, changed_at=now))
    events.append(tx, Event("change-answered", now, changed["id"], made.id, said))
    if changed["kind"] != Kind.RECALL:
        return
    about = sa.select(change.c.document_id).where(change.c.message == changed["id"]).distinct()
    asked = (
        sa.select(delivery.c.id, delivery.c.message)
        .join(table, table.c.id == delivery.c.message)
        .where(
            table.c.sender == changed["sender"], table.c.kind.in_(_DOCUMENTS), delivery.c.recipient == made.recipient
        )
        .where(table.c.document_id.in_(about), table.c.state == MessageState.ACCEPTED)
        .order_by(delivery.c.id)
    )
    name = "recall-agreed" if code == changes.AGREED else "recall-refused"
    for row in tx.execute(asked).all():
        events.append(tx, Event(name, now, row.message, row.id, said))


def _sent(tx: Transaction, entry: Entry, routes: Routes) -> Fact:
    row = tx.execute(sa.select(table).where(table.c.id == entry.id)).mappings().one()
    assert entry.packet is not None
    recipients = [routes.canonical(code) for code in entry.packet.recipients]
    return ledger.sent(row, recipients, outside=any(routes.outside(code) for code in recipients))


@attrs.frozen(kw_only=True)
class Filter:
    """Which messages: every part that is given must hold; `since` inclusive, `until` exclusive."""

    state: str | None = None
    delivery_state: str | None = None
    partner: str | None = None
    message_id: str | None = None
    unit: str | None = None  #: From, or a recipient
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[str, ...] | None = None


def _where(wanted: Filter) -> sa.ColumnElement[bool]:
    other = delivery.alias()  # the query around may hold a delivery of its own
    made = sa.exists().where(other.c.message == table.c.id)
    conditions = [
        wanted.state and table.c.state == wanted.state,
        wanted.delivery_state and made.where(other.c.state == wanted.delivery_state),
        wanted.partner and sa.or_(table.c.partner == wanted.partner, made.where(other.c.partner == wanted.partner)),
        wanted.message_id and table.c.message_id == wanted.message_id,
        wanted.unit and sa.or_(table.c.sender == wanted.unit, made.where(other.c.recipient == wanted.unit)),
        wanted.since and table.c.received_at >= wanted.since,
        wanted.until and table.c.received_at < wanted.until,
        wanted.ids is not None and sa.or_(table.c.id.in_(wanted.ids), table.c.message_id.in_(wanted.ids)),
    ]
    return sa.and_(True, *(c for c in conditions if isinstance(c, sa.ColumnElement)))


def messages(tx: Transaction, wanted: Filter, limit: int | None = None) -> Iterator[Message]:
    """Yield the messages that *wanted* names, the oldest first."""
    query = sa.select(table).where(_where(wanted)).order_by(table.c.received_at, table.c.id).limit(limit)
    with tx.execute(query.execution_options(yield_per=500)) as rows:
        for row in rows.mappings():
            yield read(row)


def count(tx: Transaction, wanted: Filter) -> int:
    """Return how many messages *wanted* names."""
    return tx.execute(sa.select(sa.func.count()).select_from(table).where(_where(wanted))).scalar_one()


def read(row: sa.RowMapping) -> Message:
    """Return the value of a message row."""
    fields = {field.name: row[field.name] for field in attrs.fields(Message)}
    return Message(**fields | {"state": MessageState(row["state"])})


def find(tx: Transaction, name: str) -> list[Message]:
    """Return the messages whose hub id is *name*, else those whose message id it is, the newest last."""
    exact = list(messages(tx, Filter(ids=(name,))))
    return [found for found in exact if found.id == name] or exact


def message(tx: Transaction, message_id: str) -> Message:
    """Return the message with this hub id.  KeyError when there is none."""
    row = tx.execute(sa.select(table).where(table.c.id == message_id)).mappings().first()
    if row is None:
        raise KeyError(message_id)
    return read(row)


def message_ids(tx: Transaction, ids: Iterable[str]) -> dict[str, str | None]:
    """Return the senders' message ids of the messages with these hub ids."""
    found: dict[str, str | None] = {}
    wanted = iter(dict.fromkeys(ids))
    while some := list(islice(wanted, 500)):
        rows = tx.execute(sa.select(table.c.id, table.c.message_id).where(table.c.id.in_(some)))
        found |= {row.id: row.message_id for row in rows}
    return found


def octets(tx: Transaction, sha256: str) -> bytes:
    """Return the bytes of that name.  KeyError when there are none."""
    found = tx.scalars(sa.select(content.c.octets).where(content.c.sha256 == sha256)).first()
    if found is None:
        raise KeyError(sha256)
    return bytes(found)


def receipt(tx: Transaction, message_id: str) -> bytes | None:
    """Return the stored receipt of a message; None for a refused one."""
    return tx.scalars(sa.select(table.c.receipt).where(table.c.id == message_id)).first()


@attrs.frozen
class Trace:
    """One status about a unit's document: the hub's id of the document when it is known, and the status packet."""

    document: str | None
    packet: bytes


def traces(
    tx: Transaction,
    unit: str,
    *,
    document: str | None = None,
    since: datetime | None = None,
    carried_by: str | None = None,
    limit: int = 2000,
) -> Sequence[Trace]:
    """Return the statuses addressed to *unit*, by arrival: of one *document*, `since` a time (inclusive).

    With *carried_by*, only those about documents which that partner carried.
    """
    to_unit = sa.exists().where(delivery.c.message == table.c.id, delivery.c.recipient == unit)
    query = (
        sa.select(table.c.answers, content.c.octets)
        .join(content, content.c.sha256 == table.c.sha256)
        .where(table.c.kind == Kind.STATUS, table.c.state == MessageState.ACCEPTED)
        .where(sa.or_(table.c.answers_unit == unit, to_unit))
        .order_by(table.c.received_at, table.c.id)
        .limit(limit)
    )
    if document is not None:
        old = table.alias("old")
        about = (
            sa.select(change.c.message)
            .join(old, sa.and_(old.c.sender == change.c.sender, old.c.document_id == change.c.document_id))
            .where(old.c.id == document, old.c.kind.in_(_DOCUMENTS))
        )
        query = query.where(sa.or_(table.c.answers == document, table.c.answers.in_(about)))
    if since is not None:
        query = query.where(table.c.received_at >= since)
    if carried_by is not None:
        carried = table.alias("carried")
        query = query.where(sa.exists().where(carried.c.id == table.c.answers, carried.c.partner == carried_by))
    return [Trace(row.answers, row.octets) for row in tx.execute(query)]


def dead(tx: Transaction, wanted: Filter, recipient: str | None = None) -> list[tuple[Message, Delivery]]:
    """Return the dead deliveries of the messages that *wanted* names, with their messages, the oldest first."""
    query = (
        sa.select(table, delivery.c.id.label("delivery_id"))
        .join(delivery, delivery.c.message == table.c.id)
        .where(_where(attrs.evolve(wanted, delivery_state=None)), delivery.c.state == State.DEAD)
        .order_by(table.c.received_at, delivery.c.id)
    )
    if recipient is not None:
        query = query.where(delivery.c.recipient == recipient)
    found = tx.execute(query).mappings().all()
    by_id = {
        made.id: made for message_id in {row["id"] for row in found} for made in deliveries.of_message(tx, message_id)
    }
    return [(read(row), by_id[row["delivery_id"]]) for row in found]
