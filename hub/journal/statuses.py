"""Statuses: the document that a status answers, the delivery it moves, and the statuses that a unit may read.

Reads and writes rows of messages and deliveries. Does not know how a status arrived or what its codes mean
(hub.domain.lifecycle, hub.edxml.changes).
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import islice, product
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain import local_time
from hub.domain.errors import Rejected
from hub.domain.model import DOCUMENTS, Delivery, MessageState, Packet, PacketKind
from hub.edxml import changes
from hub.edxml.packet import read_packet_date
from hub.journal import facts
from hub.journal.effects import AnsweredDelivery, AnsweredDocument
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import deliveries, outstanding_effects
from hub.journal.sequels import document_holders
from hub.journal.sequels.document_holders import BEGINS, Holding
from hub.report.form.column import HANDED_OVER, RECEIVED
from hub.store.hot_statements import HotStatement
from hub.store.tables import ACCEPTED, TO_UNIT, change, delivery, plain_number, replay_plan, write_plain_number
from hub.store.tables import message as table
from hub.store.transactions import Transaction
from hub.units.routing import Route, Routes

_ANSWERED = [table.c[field.name] for field in attrs.fields(AnsweredDocument) if field.name in table.c]
_organ: sa.BindParameter[str] = sa.bindparam("organ")
_owner: sa.BindParameter[str] = sa.bindparam("owner")
_reporter: sa.BindParameter[str] = sa.bindparam("reporter")
_document: sa.BindParameter[str] = sa.bindparam("document")
_BY_ID = table.c.document_id == _document
_NUMBERED = plain_number == sa.bindparam("number")
_BY_CODE = sa.and_(_NUMBERED, table.c.code == sa.bindparam("code"), table.c.promulgation_date == sa.bindparam("date"))
#: Documents of one unit with the same number that are compared. A unit with more is matched by DocumentId or date only.
SAME_NUMBER = 100
#: Pairs of a unit that sent and one that received, of all whose work others continue, that are tried for one status.
LOOK_UPS = 256


def _make_newest_query(named: sa.ColumnElement[bool], *, delivered: bool) -> sa.Select[Any]:
    """Return the query of the newest document of a unit; *delivered*: of those with a delivery to the reporter."""
    to_reporter = sa.exists().where(delivery.c.message == table.c.id, delivery.c.recipient == _reporter)
    theirs = sa.and_(ACCEPTED, table.c.kind != PacketKind.STATUS, table.c.sender == _organ, named)
    query = sa.select(*_ANSWERED).where(theirs, to_reporter) if delivered else sa.select(*_ANSWERED).where(theirs)
    return query.order_by(table.c.received_at.desc(), table.c.id.desc()).limit(1)


#: By whether the document is named by its id, and whether the status is of another unit than the document.
_NEWEST = {
    (by_id, delivered): HotStatement(_make_newest_query(_BY_ID if by_id else _BY_CODE, delivered=delivered))
    for by_id in (True, False)
    for delivered in (True, False)
}
_OPEN_CHANGE = HotStatement(
    sa.select(*_ANSWERED)
    .join(delivery, sa.and_(delivery.c.message == table.c.id, delivery.c.recipient == _reporter))
    .where(table.c.sender == _organ, ACCEPTED, table.c.kind.in_(changes.CHANGES))
    .where(
        sa.or_(
            _BY_ID,
            table.c.id.in_(
                sa.select(change.c.message).where(change.c.sender == _owner, change.c.document_id == _document)
            ),
        )
    )
    .order_by(delivery.c.answer.is_not(None), table.c.received_at.desc(), table.c.id.desc())
    .limit(1)
)
_PLAIN = HotStatement(
    sa.select(table.c.id)
    .where(_BY_ID, table.c.sender == _organ, ACCEPTED, table.c.kind == PacketKind.DOCUMENT)
    .where(sa.exists().where(delivery.c.message == table.c.id, delivery.c.recipient == _reporter))
    .limit(1)
)
_SAME_NUMBER = HotStatement(
    sa.select(
        *_ANSWERED,
        table.c.promulgation_date,
        table.c.received_at,
        sa.exists().where(delivery.c.message == table.c.id, delivery.c.recipient == _reporter).label("theirs"),
    )
    .where(_NUMBERED, table.c.code.is_not(None), table.c.sender == _organ, ACCEPTED)
    .where(table.c.kind.in_(changes.DOCUMENTS))
    .limit(SAME_NUMBER + 1)
)
_DELIVERY = HotStatement(
    sa.select(delivery.c.id, delivery.c.status, delivery.c.answer, delivery.c.returns)
    .where(delivery.c.message == sa.bindparam("of"), delivery.c.recipient == _reporter)
    .with_for_update()
)


def find_answered_document(
    tx: Transaction, packet: Packet, partner: str, routes: Routes, on: date
) -> AnsweredDocument | None:
    """Return the newest document that a status of *partner* answers: by DocumentId, else by Code and PromulgationDate,
    else by number and notation alone (`_find_by_number`).

    The document must be from ResponseFor's unit, with the status's unit among its recipients. A status of the original
    sender itself (13) needs no such recipient. An agreement or a refusal (15, 16) answers the newest open change of
    that document.

    Where units have ended by the day *on*, a document of a unit whose work ResponseFor's unit continues is meant, too, and
    one that went to a unit whose work the status's unit continues; documents of the units themselves come first.
    """
    organs = list_meant_organs(packet, routes, on)
    reporters: Sequence[str | None] = list_reporters(packet, partner, routes, on)
    if is_own_status(packet, routes, on):
        reporters = (None,)
    senders = organs if len(reporters) == 1 else [each for each in organs if _find_newest(tx, packet, each, None)]
    pairs = islice(product(senders, reporters), LOOK_UPS)
    found = next(filter(None, (_find_newest(tx, packet, *pair) for pair in pairs)), None)
    if found is None and reporters != (None,):
        found = _find_by_number(tx, packet, organs, [each for each in reporters if each is not None])
    if packet.status not in changes.ANSWERS:
        return found
    document = packet.responses[0].document_id or (found.document_id if found else "")
    asked = (
        {"organ": organ, "owner": found.sender if found else organ, "reporter": reporter or organ, "document": document}
        for organ, reporter in islice(product(organs, reporters), LOOK_UPS)
    )
    opened = next(filter(None, (_read_answered(tx, _OPEN_CHANGE, each) for each in asked)), None)
    return attrs.evolve(opened, by_number=found is not None and found.by_number) if opened else found


def is_own_status(packet: Packet, routes: Routes, on: date) -> bool:
    """Tell whether a status is of the unit that sent the document, or of the one that continues its work on the day *on*.

    What units sent one another that are one now is no document of its own recipient, except for a status 13, which only
    a sender writes.
    """
    organ, sender = packet.responses[0].organ, packet.sender
    if routes.canonical(organ) == routes.canonical(sender):
        return True
    return packet.status == changes.OF_SENDER and routes.find_actor(organ, on) == routes.find_actor(sender, on)


def list_meant_organs(packet: Packet, routes: Routes, on: date) -> tuple[str, ...]:
    """Return the units of which a document may be that a status answers on the day *on*, ResponseFor's unit first."""
    return routes.list_meant(packet.responses[0].organ, on)


def list_reporters(packet: Packet, partner: str, routes: Routes, on: date) -> tuple[str, ...]:
    """Return the units for which *partner* reports by a status on the day *on*, the status's unit first.

    Under the code of a unit that has ended, a partner reports for its successor only if it may send for that.
    """
    estate = routes.list_estate(packet.sender, on)
    actor = routes.find_actor(packet.sender, on)
    return estate if actor in estate or not routes.may_send(partner, actor) else (*estate, actor)


def _find_newest(tx: Transaction, packet: Packet, organ: str, reporter: str | None) -> AnsweredDocument | None:
    answer = packet.responses[0]
    units = {"organ": organ} if reporter is None else {"organ": organ, "reporter": reporter}
    if answer.document_id:
        return _read_answered(tx, _NEWEST[True, reporter is not None], units | {"document": answer.document_id})
    if answer.code:
        named = {"code": answer.code, "number": write_plain_number(answer.code), "date": answer.promulgation_date}
        return _read_answered(tx, _NEWEST[False, reporter is not None], units | named)
    return None


def tell_change_from_document(
    tx: Transaction, answered: AnsweredDocument, reporters: Iterable[str]
) -> AnsweredDocument:
    """Return the change *answered* with the SHA-256 of its packet, unless a document to *reporters* has its DocumentId.

    What is counted of the change has this SHA-256 in its key, so that a result of the change is joined with its receipt.
    """
    named = {"organ": answered.sender, "document": answered.document_id}
    if any(_PLAIN.first(tx, named | {"reporter": reporter}) is not None for reporter in reporters):
        return answered
    return attrs.evolve(answered, packet=tx.scalars(sa.select(table.c.sha256).where(table.c.id == answered.id)).one())


def _find_by_number(
    tx: Transaction, packet: Packet, organs: Iterable[str], reporters: Sequence[str]
) -> AnsweredDocument | None:
    """Return the one document of *organs* to *reporters* with the number and notation of a status; None: not just one.

    A known document system writes no DocumentId, a Code without “/”, and the moment of sending as PromulgationDate
    (standards 12). Its date therefore says nothing if it lies on or after the day of the document's receipt; an earlier
    one names the document's own, or another document.
    """
    answer = packet.responses[0]
    number, day = write_plain_number(answer.code), read_packet_date(answer.promulgation_date)
    if answer.document_id or not number:
        return None
    fitting: dict[str, Any] = {}
    without: set[str] = set()
    for organ, reporter in product(organs, reporters):
        if organ in without:
            continue
        rows = _SAME_NUMBER.read(tx, {"number": number, "organ": organ, "reporter": reporter})
        if not rows:
            without.add(organ)  # to whichever unit
        if len(rows) > SAME_NUMBER:
            return None
        fitting |= {
            row.id: row
            for row in rows
            if row.theirs
            and (
                day is None
                or day == read_packet_date(row.promulgation_date or "")
                or day >= local_time.find_local_day(row.received_at)
            )
        }
    if len({(row.sender, row.document_id) for row in fitting.values()}) != 1:
        return None
    newest = max(fitting.values(), key=lambda row: (row.received_at, row.id))
    return AnsweredDocument(**{column.name: getattr(newest, column.name) for column in _ANSWERED}, by_number=True)


def _read_answered(tx: Transaction, query: HotStatement, asked: Mapping[str, str]) -> AnsweredDocument | None:
    row = query.first(tx, asked)
    return None if row is None else AnsweredDocument(**row._asdict())


def route_status(
    tx: Transaction,
    packet: Packet,
    document: AnsweredDocument | None,
    routed: Sequence[Route],
    routes: Routes,
    on: date,
) -> tuple[Route, ...]:
    """Return the routes of a status. *routed* are the routes of its packet.

    A status of the original sender itself goes to the recipients of its *document* instead: for those that have ended by
    the day *on*, to the units that continue their work.
    """
    if not is_own_status(packet, routes, on):
        return tuple(routed)
    if document is None:
        return ()
    goes: dict[str, Route] = {}
    reached: list[Delivery | Route] = [*deliveries.read_message_deliveries(tx, document.id)]
    reached += outstanding_effects.read_unmade_routes(tx, {document.id})
    for made in reached:
        route = Route(made.recipient, made.partner, made.via, routes.find_first_state(made.partner))
        if routes.has_ended(made.recipient, on):
            with contextlib.suppress(Rejected):  # nobody continues its work alone: its old system is told
                route = routes.route(made.recipient, on, answering=True)
        goes.setdefault(route.recipient, route)
    return tuple(goes.values())


def lock_answered_delivery(
    tx: Transaction, document: AnsweredDocument, reporters: Sequence[str]
) -> tuple[AnsweredDelivery, str] | None:
    """Lock the delivery of *document* to the first of the units *reporters* that has one.

    Return it with that unit; None if there is none.
    """
    for reporter in reporters:
        row = _DELIVERY.first(tx, {"of": document.id, "reporter": reporter})
        if row is not None:
            return AnsweredDelivery(row.id, row.status, row.answer, row.returns), reporter
    return None


def is_counted(
    tx: Transaction, packet: Packet, document: AnsweredDocument, reporters: Collection[str], returns: int | None
) -> bool:
    """Tell whether the same status about *document* has been counted for one of the units *reporters* before.

    A unit and those whose work it continues are one unit where a result is counted once, however often the document came
    back (*returns*).
    """
    keys = [_make_key(packet, document, number) for number in (None, *range(2, (returns or 0) + 1))]
    asked = [(unit, DOCUMENTS, key, f"status-{packet.status}") for unit in reporters for key in keys]
    return bool(fact_rows.read_facts_by_key(tx, asked))


def find_holding(
    tx: Transaction,
    packet: Packet,
    document: AnsweredDocument,
    receivers: Sequence[str],
    reporters: Sequence[str],
    returns: int | None,
    now: datetime,
) -> Holding:
    """Return where a status of the time *now* counts that answers a document which one of *receivers* received, and which
    came back to a unit *returns* times.

    *reporters*: the status's own unit, and those whose work it continues. What has not ended passes to that unit by its
    word, unless it has handed it over itself. Then it counts where the document is, as if another successor has ended it.
    """
    key, actor = _make_key(packet, document, returns), reporters[0]
    stays = document_holders.read_stays(tx, (*receivers, actor), [key])
    first = next((unit for unit in receivers if not stays.get((unit, key), {}).keys().isdisjoint(BEGINS)), "")
    holder, stay = document_holders.find_holder(tx, first, key) if first else (actor, {})
    own = stays.get((actor, key), {})
    passes = document_holders.is_open(stay) and holder != actor and HANDED_OVER not in own
    unit = actor if passes or holder in reporters else holder
    received_by = "" if RECEIVED in stays.get((unit, key), {}) else first
    if not passes or document.kind in changes.CHANGES:
        return Holding(unit, received_by)
    return Holding(unit, received_by, document_holders.make_move_facts(stay, actor, own, now))


def _make_key(packet: Packet, document: AnsweredDocument, returns: int | None = None) -> str:
    named = packet.responses[0].document_id or document.document_id
    return facts.make_business_key(document.sender, named, packet=document.packet, returns=returns)


def read_recalled_deliveries(tx: Transaction, recall: AnsweredDocument, recipient: str) -> list[tuple[str, str]]:
    """Return the message and the id of each delivery of the recalled documents to *recipient*, oldest first."""
    about = sa.exists().where(
        change.c.message == recall.id,
        change.c.sender == table.c.sender,
        change.c.document_id == table.c.document_id,
    )
    senders = sa.select(change.c.sender).where(change.c.message == recall.id)
    documents = sa.select(change.c.document_id).where(change.c.message == recall.id)
    asked = (
        sa.select(delivery.c.message, delivery.c.id)
        .join(table, table.c.id == delivery.c.message)
        .where(table.c.sender.in_(senders), table.c.document_id.in_(documents), about)
        .where(table.c.kind.in_(changes.DOCUMENTS), delivery.c.recipient == recipient)
        .where(table.c.state == MessageState.ACCEPTED)
        .order_by(delivery.c.id)
    )
    return [(row.message, row.id) for row in tx.execute(asked)]


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
    forebears: Sequence[str] = (),
    document: str | None = None,
    since: datetime | None = None,
    carried_by: str | None = None,
    limit: int = 2000,
) -> Sequence[StatusTrace]:
    """Return the statuses addressed to *unit*, or to one of its *forebears*, in order of arrival, optionally restricted.

    Those whose bytes have gone into an archive are left out.

    *document*: only about it, its changes, and the message that was sent in its place. *since*: only received from then on. *carried_by*: only about documents that this partner
    sent.
    """
    units = (unit, *forebears)
    # Two subqueries, each with its own index. A single condition would test both for every message in the journal.
    answering = sa.select(table.c.id).where(table.c.answers_unit.in_(units))
    brought = sa.select(delivery.c.message).where(delivery.c.recipient.in_(units), TO_UNIT)
    query = (
        sa.select(table.c.answers, table.c.sha256, table.c.size)
        .where(table.c.kind == PacketKind.STATUS, table.c.state == MessageState.ACCEPTED, table.c.archive.is_(None))
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
        corrected = sa.select(replay_plan.c.corrected).where(
            replay_plan.c.corrects == document, replay_plan.c.corrected.is_not(None)
        )
        query = query.where(
            sa.or_(table.c.answers == document, table.c.answers.in_(about), table.c.answers.in_(corrected))
        )
    if since is not None:
        query = query.where(table.c.received_at >= since)
    if carried_by is not None:
        carried = table.alias("carried")
        query = query.where(sa.exists().where(carried.c.id == table.c.answers, carried.c.partner == carried_by))
    return [StatusTrace(row.answers, row.sha256, row.size) for row in tx.execute(query)]
