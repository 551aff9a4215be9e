"""Searches messages in the journal. Changes nothing.

A search reads ranges of indexes, each in the order of the hub's ids, and merges them. So a page costs the same in a
journal of any size, and a count reads only what it counts. The id of a message contains its time of receipt to the
microsecond (hub/domain/ids.py), so the order of ids is the order of receipt, and a period is a range of ids. Of several
conditions, one chooses the ranges. The others are tested on each message of these.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from heapq import merge
from itertools import groupby, islice
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.ids import make_first_id
from hub.domain.model import Delivery, DeliveryState, Message, MessageState
from hub.journal.queue import deliveries
from hub.report.counting.evidence import EvidenceLine, EvidenceLines
from hub.store.tables import ACCEPTED, REFUSED, SEARCHED, TO_PARTNER, TO_UNIT, UNDELIVERED, delivery
from hub.store.tables import message as table
from hub.store.transactions import Transaction

Condition = sa.ColumnElement[bool]

#: Messages, or ids of one range, read with one statement.
PAGE = 500
#: The condition with the fewest messages chooses the ranges. Messages beyond this number are not counted for that.
_MANY = 2_000


@attrs.frozen(kw_only=True)
class MessageFilter:
    """Conditions for messages. All given conditions must hold. *since* is inclusive, *until* is exclusive."""

    state: str | None = None  #: of the message
    delivery_state: str | None = None  #: of at least one delivery
    partner: str | None = None  #: the sender, or the partner of a delivery
    message_id: str | None = None  #: the sender's id
    unit: str | None = None  #: the From unit or a recipient
    service: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: str | None = None  #: hub id: only messages behind it in the order of ids
    ids: tuple[str, ...] | None = None  #: hub ids or message ids


@attrs.frozen
class _Ranges:
    """Ranges of indexes that contain all messages of a search, and the conditions that they do not answer."""

    left: MessageFilter  #: without a period
    own: Sequence[Condition] = ()  #: on messages; no message is in two of them
    made: Condition | None = None  #: on deliveries, whose messages belong to the search, too
    parts: Sequence[Condition] = (sa.true(),)  #: ranges of *made*, each in the order of ids


def _where(wanted: MessageFilter) -> list[Condition]:
    other = delivery.alias()  # an alias, because the outer query may use `delivery` too
    made = sa.exists().where(other.c.message == table.c.id)
    conditions = [
        wanted.state and table.c.state == wanted.state,
        wanted.delivery_state and made.where(other.c.state == wanted.delivery_state),
        wanted.partner and sa.or_(table.c.partner == wanted.partner, made.where(other.c.partner == wanted.partner)),
        wanted.message_id and table.c.message_id == wanted.message_id,
        wanted.unit and sa.or_(table.c.sender == wanted.unit, made.where(other.c.recipient == wanted.unit)),
        wanted.service and table.c.service == wanted.service,
        wanted.kind and table.c.kind == wanted.kind,
        wanted.ids is not None and sa.or_(table.c.id.in_(wanted.ids), table.c.message_id.in_(wanted.ids)),
    ]
    return [*_within(table.c.id, wanted), *(each for each in conditions if isinstance(each, sa.ColumnElement))]


def _within(column: sa.ColumnElement[str], wanted: MessageFilter) -> list[Condition]:
    """Return the conditions that the id in *column* is of the period of *wanted*: at most one of them is a lower bound.

    Of two SQLite would use one for its index, perhaps the wider one.
    """
    first = None if wanted.since is None else make_first_id(wanted.since)
    bounds: list[Condition] = []
    if wanted.after is not None and wanted.after >= (first or ""):
        bounds.append(column > wanted.after)
    elif first is not None:
        bounds.append(column >= first)
    if wanted.until is not None:
        bounds.append(column < make_first_id(wanted.until))
    return bounds


def _choose_ranges(tx: Transaction, wanted: MessageFilter) -> _Ranges:
    """Return the ranges of that condition which the fewest messages meet."""
    found = _list_ranges(tx, wanted)
    return found[0] if len(found) == 1 else min(found, key=lambda each: _count_some(tx, each, wanted))


def _list_ranges(tx: Transaction, wanted: MessageFilter) -> list[_Ranges]:
    """Return the ranges of each condition that an index answers, else those of all messages."""
    left = attrs.evolve(wanted, since=None, until=None, after=None)
    if wanted.ids is not None:
        others = sa.and_(table.c.message_id.in_(wanted.ids), table.c.id.not_in(wanted.ids))
        own = [table.c.id.in_(wanted.ids), sa.and_(others, ACCEPTED), sa.and_(others, REFUSED)]
        return [_Ranges(attrs.evolve(left, ids=None), own)]
    if wanted.message_id is not None:
        named = table.c.message_id == wanted.message_id
        return [_Ranges(attrs.evolve(left, message_id=None), [sa.and_(named, ACCEPTED), sa.and_(named, REFUSED)])]
    found = []
    if wanted.unit:
        to_unit = sa.and_(delivery.c.recipient == wanted.unit, TO_UNIT)
        found.append(_list_shared_ranges(attrs.evolve(left, unit=None), table.c.sender, wanted.unit, to_unit))
    if wanted.partner:
        to_partner = sa.and_(delivery.c.partner == wanted.partner, TO_PARTNER)
        found.append(_list_shared_ranges(attrs.evolve(left, partner=None), table.c.partner, wanted.partner, to_partner))
    if wanted.delivery_state and wanted.delivery_state != DeliveryState.DELIVERED:
        found.append(_list_undelivered_ranges(tx, attrs.evolve(left, delivery_state=None), wanted.delivery_state))
    if wanted.service or wanted.kind or (wanted.state and not found):
        found.append(_list_kind_ranges(tx, left))
    return found or [_Ranges(left, [sa.true()])]


def _list_shared_ranges(left: MessageFilter, sent: sa.Column[str], by: str, made: Condition) -> _Ranges:
    """Return the ranges of the messages with *by* in the column *sent* and of those with a delivery *made*.

    A refused message has no delivery.
    """
    states = _list_states(left)
    own = [sa.and_(sent == by, SEARCHED, table.c.state == state) for state in states]
    return _Ranges(attrs.evolve(left, state=None), own, made if MessageState.ACCEPTED in states else None)


def _list_undelivered_ranges(tx: Transaction, left: MessageFilter, state: str) -> _Ranges:
    made = sa.and_(UNDELIVERED, delivery.c.state == state)
    parts = [delivery.c.partner == partner for partner in _list_values(tx, delivery.c.partner, made)]
    return _Ranges(left, (), made, parts)


def _list_kind_ranges(tx: Transaction, left: MessageFilter) -> _Ranges:
    """Return the ranges of the service, the kind and the state of *left*. There are few kinds, so each is looked up."""
    services = [left.service] if left.service else _list_values(tx, table.c.service, SEARCHED)
    own = [
        sa.and_(SEARCHED, table.c.service == service, table.c.kind == kind, table.c.state == state)
        for service in services
        for kind in _list_values(tx, table.c.kind, sa.and_(SEARCHED, table.c.service == service))
        if left.kind in (None, kind)
        for state in _list_states(left)
    ]
    return _Ranges(attrs.evolve(left, service=None, kind=None, state=None), own)


def _list_states(left: MessageFilter) -> list[MessageState]:
    return [MessageState(left.state)] if left.state else list(MessageState)


def _list_values(tx: Transaction, column: sa.Column[str], where: Condition) -> Iterator[str]:
    """Yield the distinct values of *column*, the next one of an index in the range *where*, by one look-up for each."""
    query, last = sa.select(sa.func.min(column)).where(where), ""
    while (value := tx.scalars(query.where(column > last)).one()) is not None:
        yield value
        last = value


def _select_own(ids: sa.ColumnElement[Any], part: Condition, left: MessageFilter) -> sa.Select[Any]:
    """Return the query of *ids* of the messages in the range *part* that *left* lets through."""
    return sa.select(ids).select_from(table).where(part, *_where(left))


def _select_made(ids: sa.ColumnElement[Any], part: Condition, left: MessageFilter) -> sa.Select[Any]:
    """Return the query of *ids* of the deliveries in the range *part* whose messages *left* lets through."""
    query = sa.select(ids).select_from(delivery).where(part)
    return (
        query if left == MessageFilter() else query.join(table, table.c.id == delivery.c.message).where(*_where(left))
    )


def _count_some(tx: Transaction, ranges: _Ranges, wanted: MessageFilter) -> int:
    """Return how many rows of indexes are in *ranges*, at most `_MANY`."""
    everything, found = MessageFilter(), 0
    queries = [_select_own(table.c.id, part, everything).where(*_within(table.c.id, wanted)) for part in ranges.own]
    if ranges.made is not None:
        made = _select_made(delivery.c.message, ranges.made, everything)
        queries.append(made.where(*_within(delivery.c.message, wanted)))
    for query in queries:
        left = _MANY - found
        if left:
            found += _read_number(tx, sa.select(sa.func.count()).select_from(query.limit(left).subquery()))
    return found


def find_messages(tx: Transaction, wanted: MessageFilter, limit: int | None = None) -> Iterator[Message]:
    """Yield the messages that match *wanted* in the order of their ids: oldest first."""
    for page in _read_pages(_find_ids(tx, wanted, limit), PAGE):
        rows = tx.execute(sa.select(table).where(table.c.id.in_(page)).order_by(table.c.id)).mappings().all()
        yield from map(read_message_row, rows)


def _read_pages(ids: Iterator[str], size: int) -> Iterator[list[str]]:
    while page := list(islice(ids, size)):
        yield page


def _find_ids(tx: Transaction, wanted: MessageFilter, limit: int | None) -> Iterator[str]:
    ranges, size = _choose_ranges(tx, wanted), PAGE if limit is None else min(limit, PAGE)
    made = [] if ranges.made is None else [sa.and_(ranges.made, part) for part in ranges.parts]
    walks = [
        *(_walk(tx, table.c.id, _select_own(table.c.id, part, ranges.left), wanted, size) for part in ranges.own),
        *(
            _walk(tx, delivery.c.message, _select_made(delivery.c.message, part, ranges.left).distinct(), wanted, size)
            for part in made
        ),
    ]
    return islice((each for each, _ in groupby(merge(*walks))), limit)


def _walk(
    tx: Transaction, column: sa.Column[str], query: sa.Select[Any], wanted: MessageFilter, size: int
) -> Iterator[str]:
    """Yield the ids that *query* finds in the period of *wanted*, in order, *size* with each statement."""
    while True:
        page = tx.scalars(query.where(*_within(column, wanted)).order_by(column).limit(size)).all()
        yield from page
        if len(page) < size:
            return
        wanted = attrs.evolve(wanted, after=page[-1])


def count_messages(tx: Transaction, wanted: MessageFilter) -> int:
    """Return the exact number of messages that match *wanted*."""
    ranges = _choose_ranges(tx, wanted)
    number, period = sa.func.count(), _within(table.c.id, wanted)
    own = [_select_own(number, part, ranges.left).where(*period) for part in ranges.own]
    count = sum(_read_number(tx, query) for query in own)
    if ranges.made is None:
        return count
    messages = sa.func.count(delivery.c.message.distinct())
    made = _select_made(messages, ranges.made, ranges.left).where(*_within(delivery.c.message, wanted))
    count += _read_number(tx, made)
    twice = sa.exists().where(delivery.c.message == table.c.id, ranges.made)
    return count - sum(_read_number(tx, query.where(twice)) for query in own)


def _read_number(tx: Transaction, query: sa.Select[Any]) -> int:
    number: int = tx.execute(query).scalar_one()
    return number


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
    same = sa.and_(table.c.partner == partner, table.c.message_id == message_id, ACCEPTED)
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
        if units is None:
            query = query.where(SEARCHED)
    with tx.execute(query.execution_options(yield_per=100)) as rows:
        exact = (row for row in rows.mappings() if key in json.loads(row["keys"]))  # SQLite's LIKE ignores case
        return list(islice(exact, most))


def list_accepted_kinds(tx: Transaction, since: datetime | None = None) -> dict[str, set[tuple[str, str]]]:
    """Return by partner the (service, kind) pairs of its accepted messages, received from *since* on."""
    query = sa.select(table.c.partner, table.c.service, table.c.kind).where(table.c.state == MessageState.ACCEPTED)
    if since is not None:
        query = query.where(*_within(table.c.id, MessageFilter(since=since)))
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
        .where(*_where(attrs.evolve(wanted, delivery_state=None)), delivery.c.state.in_(list(states)))
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
