"""Searches messages in the journal. Changes nothing."""

import json
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from itertools import islice

import attrs
import sqlalchemy as sa

from hub.domain.model import Delivery, DeliveryState, Message, MessageState
from hub.journal.queue import deliveries
from hub.report.counting.evidence import EvidenceLine, EvidenceLines
from hub.store.tables import UNDELIVERED, delivery
from hub.store.tables import message as table
from hub.store.transactions import Transaction


@attrs.frozen(kw_only=True)
class MessageFilter:
    """Conditions for messages. All given conditions must hold. *since* is inclusive, *until* is exclusive."""

    state: str | None = None  #: of the message
    delivery_state: str | None = None  #: of at least one delivery
    partner: str | None = None  #: the sender, or the partner of a delivery
    message_id: str | None = None  #: the sender's id
    unit: str | None = None  #: the From unit or a recipient
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[str, ...] | None = None  #: hub ids or message ids


def _where(wanted: MessageFilter) -> sa.ColumnElement[bool]:
    other = delivery.alias()  # an alias, because the outer query may use `delivery` too
    made = sa.exists().where(other.c.message == table.c.id)
    conditions = [
        wanted.state and table.c.state == wanted.state,
        wanted.delivery_state and _has_one(DeliveryState(wanted.delivery_state)),
        wanted.partner and sa.or_(table.c.partner == wanted.partner, made.where(other.c.partner == wanted.partner)),
        wanted.message_id and table.c.message_id == wanted.message_id,
        wanted.unit and sa.or_(table.c.sender == wanted.unit, made.where(other.c.recipient == wanted.unit)),
        wanted.since and table.c.received_at >= wanted.since,
        wanted.until and table.c.received_at < wanted.until,
        wanted.ids is not None and sa.or_(table.c.id.in_(wanted.ids), table.c.message_id.in_(wanted.ids)),
    ]
    return sa.and_(True, *(c for c in conditions if isinstance(c, sa.ColumnElement)))


def _has_one(state: DeliveryState) -> sa.ColumnElement[bool]:
    """Return the condition that a message has a delivery in *state*."""
    if state is DeliveryState.DELIVERED:  # nearly every message has one
        other = delivery.alias()
        return sa.exists().where(other.c.message == table.c.id, other.c.state == state)
    few = sa.select(delivery.c.message).where(UNDELIVERED, delivery.c.state == state)
    return table.c.id.in_(few.correlate(None))


def find_messages(tx: Transaction, wanted: MessageFilter, limit: int | None = None) -> Iterator[Message]:
    """Yield the messages that match *wanted*, oldest first."""
    query = sa.select(table).where(_where(wanted)).order_by(table.c.received_at, table.c.id).limit(limit)
    with tx.execute(query.execution_options(yield_per=500)) as rows:
        for row in rows.mappings():
            yield read_message_row(row)


def count_messages(tx: Transaction, wanted: MessageFilter) -> int:
    """Return the number of messages that match *wanted*."""
    return tx.execute(sa.select(sa.func.count()).select_from(table).where(_where(wanted))).scalar_one()


def read_message_row(row: sa.RowMapping) -> Message:
    """Return the `Message` of a row."""
    fields = {field.name: row[field.name] for field in attrs.fields(Message)}
    return Message(**fields | {"state": MessageState(row["state"])})


def find_messages_by_name(tx: Transaction, name: str) -> list[Message]:
    """Return the message with hub id *name*, else the messages with message id *name*, newest last."""
    exact = list(find_messages(tx, MessageFilter(ids=(name,))))
    return [found for found in exact if found.id == name] or exact


def read_message(tx: Transaction, message_id: str) -> Message:
    """Return the message with this hub id. Raises KeyError if there is none."""
    row = tx.execute(sa.select(table).where(table.c.id == message_id)).mappings().first()
    if row is None:
        raise KeyError(message_id)
    return read_message_row(row)


def find_accepted_message(tx: Transaction, partner: str, message_id: str) -> Message | None:
    """Return *partner*'s accepted message with this message id, or None. There is at most one."""
    same = sa.and_(table.c.partner == partner, table.c.message_id == message_id, table.c.state == MessageState.ACCEPTED)
    row = tx.execute(sa.select(table).where(same)).mappings().first()
    return None if row is None else read_message_row(row)


def read_message_ids(tx: Transaction, ids: Iterable[str]) -> dict[str, str | None]:
    """Return the senders' message ids by hub id."""
    found: dict[str, str | None] = {}
    wanted = iter(dict.fromkeys(ids))
    while some := list(islice(wanted, 500)):
        rows = tx.execute(sa.select(table.c.id, table.c.message_id).where(table.c.id.in_(some)))
        found |= {row.id: row.message_id for row in rows}
    return found


@attrs.frozen
class NamedLines(EvidenceLines):
    """Evidence lines with the senders' message ids, which are looked up while the lines are read."""

    _tx: Transaction
    _listed: EvidenceLines  #: the lines without message ids

    @property
    def sha256(self) -> str:
        """The SHA-256 of the evidence."""
        return self._listed.sha256

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self._listed)

    def __iter__(self) -> Iterator[EvidenceLine]:
        """Yield each line."""
        rest = iter(self._listed)
        while some := list(islice(rest, 500)):
            ids = read_message_ids(self._tx, (line.fact.message for line in some))
            yield from (attrs.evolve(line, message_id=ids.get(line.fact.message)) for line in some)


def find_messages_about(
    tx: Transaction,
    service: str,
    key: str,
    units: Collection[str] | None,
    most: int,
    *,
    brought_by: str | None = None,
) -> list[sa.RowMapping]:
    """Return the accepted messages about a business key, newest first, at most *most*.

    Each row has `id`, `sender`, `received_at`, `sha256` and `size`. Only messages of *units* (None: all) are returned
    and, if *brought_by* is given, only those that this partner sent.
    """
    written, keys = json.dumps(key, ensure_ascii=False), table.c["keys"]
    query = (
        sa.select(table.c.id, table.c.sender, table.c.received_at, table.c.sha256, table.c.size, keys)
        .where(table.c.state == MessageState.ACCEPTED, table.c.service == service, table.c.document_id.is_(None))
        .where(keys.contains(written, autoescape=True))
        .order_by(table.c.received_at.desc(), table.c.id.desc())
    )
    if units is not None:
        query = query.where(table.c.sender.in_(list(units)))  # together with `document_id` this uses an index
    if brought_by is not None:
        query = query.where(table.c.partner == brought_by)
    with tx.execute(query.execution_options(yield_per=100)) as rows:
        exact = (row for row in rows.mappings() if key in json.loads(row["keys"]))  # SQLite's LIKE ignores case
        return list(islice(exact, most))


def list_accepted_kinds(tx: Transaction, since: datetime | None = None) -> dict[str, set[tuple[str, str]]]:
    """Return by partner the (service, kind) pairs of its accepted messages, received from *since* on."""
    query = sa.select(table.c.partner, table.c.service, table.c.kind).where(table.c.state == MessageState.ACCEPTED)
    if since is not None:
        query = query.where(table.c.received_at >= since)
    found: dict[str, set[tuple[str, str]]] = {}
    for partner, service, kind in tx.execute(query.distinct()):
        found.setdefault(partner, set()).add((service, kind))
    return found


def read_stored_receipt(tx: Transaction, message_id: str) -> bytes | None:
    """Return the stored receipt of a message, or None for a refused one."""
    return tx.scalars(sa.select(table.c.receipt).where(table.c.id == message_id)).first()


def find_deliveries_in_state(
    tx: Transaction, states: Collection[DeliveryState], wanted: MessageFilter, recipient: str | None = None
) -> list[tuple[Message, Delivery]]:
    """Return the deliveries in *states* of the messages that match *wanted*, with their messages, oldest first."""
    query = (
        sa.select(table, delivery.c.id.label("delivery_id"))
        .join(delivery, delivery.c.message == table.c.id)
        .where(_where(attrs.evolve(wanted, delivery_state=None)), delivery.c.state.in_(list(states)))
        .order_by(table.c.received_at, delivery.c.id)
    )
    if DeliveryState.DELIVERED not in states:
        query = query.where(UNDELIVERED)
    if recipient is not None:
        query = query.where(delivery.c.recipient == recipient)
    found = tx.execute(query).mappings().all()
    by_id = {
        made.id: made
        for message_id in {row["id"] for row in found}
        for made in deliveries.read_message_deliveries(tx, message_id)
    }
    return [(read_message_row(row), by_id[row["delivery_id"]]) for row in found]
