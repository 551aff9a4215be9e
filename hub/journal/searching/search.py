"""Searches messages in the journal. Changes nothing.

A search reads ranges of indexes, each in the order of the hub's ids or against it, and merges them. So a page costs the same in a
journal of any size, and a count reads only what it counts. The id of a message contains its time of receipt to the
microsecond (hub/domain/ids.py), so the order of ids is the order of receipt, and a period is a range of ids. Of several
conditions, one chooses the ranges. The others are tested on each message of these. Words, codes and hashes are found by
an index of terms (hub.journal.searching.search_index).
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from heapq import merge
from itertools import groupby, islice
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain import search_terms
from hub.domain.model import Delivery, DeliveryState, Message, MessageState
from hub.journal.queue import deliveries
from hub.journal.searching import search_index
from hub.journal.searching.message_filter import (
    Condition,
    MessageFilter,
    find_moment_bounds,
    is_any_partner,
    is_delivery_to,
    is_of_cause,
    list_conditions,
    list_period_conditions,
)
from hub.journal.searching.message_reading import MESSAGE_COLUMNS, read_message_row, read_messages
from hub.journal.searching.search_index import TermIndex
from hub.store.tables import ACCEPTED, REFUSED, SEARCHED, TO_PARTNER, TO_UNIT, UNDELIVERED, delivery
from hub.store.tables import message as table
from hub.store.transactions import Transaction

#: Messages, or ids of one range, read with one statement.
PAGE = 500
#: The condition with the fewest messages chooses the ranges. Messages beyond this number are not counted for that; if
#: each condition has more, they are counted once more, up to the second number.
_MANY, _VERY_MANY = 2_000, 20_000
#: Terms that fewer messages have are chosen at once: each is soon looked at. More are not counted, because that takes longer.
_WORDED = 100
#: Candidates that are looked up with one statement.
_TOGETHER = 50
#: With more units, a search of what these may see looks at the messages in their order.
_UNITS = 40


@attrs.frozen
class _Ranges:
    """Ranges of indexes that contain all messages of a search, and the conditions that they do not answer."""

    left: MessageFilter  #: without a period
    own: Sequence[Condition] = ()  #: on messages; no message is in two of them, unless *shared*
    made: Condition | None = None  #: on deliveries, whose messages belong to the search, too
    parts: Sequence[Condition] = (sa.true(),)  #: ranges of *made*, each in the order of ids
    terms: Sequence[str] = ()  #: the messages with all of these; then there are no other ranges
    shared: bool = False

    @property
    def counts(self) -> bool:
        """Whether the database can count the messages."""
        return not self.terms and not self.left.words and not self.shared


def _choose_ranges(tx: Transaction, wanted: MessageFilter, index: TermIndex) -> _Ranges:
    """Return the ranges of that condition which the fewest messages meet, as far as they are counted.

    Terms are chosen if few messages have them, or if very many meet each other condition.
    """
    found = _list_ranges(tx, wanted)
    if len(found) == 1:
        return found[0]
    worded = next((each for each in found if each.terms), None)
    if worded is not None and _count_some(tx, worded, wanted, index, _WORDED) < _WORDED:
        return worded
    others = [each for each in found if not each.terms]
    counts = [_count_some(tx, each, wanted, index, _MANY) for each in others]
    if min(counts) == _MANY:
        counts = [_count_some(tx, each, wanted, index, _VERY_MANY) for each in others]
        if worded is not None and min(counts) == _VERY_MANY:
            return worded
    return others[counts.index(min(counts))]


def _list_ranges(tx: Transaction, wanted: MessageFilter) -> list[_Ranges]:
    """Return the ranges of each condition that an index answers, else those of all messages."""
    left = attrs.evolve(wanted, since=None, until=None, after=None, before=None)
    if wanted.ids is not None:
        others = sa.and_(table.c.message_id.in_(wanted.ids), table.c.id.not_in(wanted.ids))
        own = [table.c.id.in_(wanted.ids), sa.and_(others, ACCEPTED), sa.and_(others, REFUSED)]
        return [_Ranges(attrs.evolve(left, ids=None), own)]
    if wanted.message_id is not None:
        named = table.c.message_id == wanted.message_id
        return [_Ranges(attrs.evolve(left, message_id=None), [sa.and_(named, ACCEPTED), sa.and_(named, REFUSED)])]
    if wanted.document_id is not None:
        return [_Ranges(attrs.evolve(left, document_id=None), [table.c.document_id == wanted.document_id])]
    if wanted.cause is not None:
        refused, made = (is_of_cause(each, wanted.cause, wanted.partners) for each in (table, delivery))
        return [_Ranges(attrs.evolve(left, cause=None), [refused], made)]
    found = []  # the first of several with very many messages is read: few are undelivered
    if wanted.delivery_state and wanted.delivery_state != DeliveryState.DELIVERED and not wanted.sent_to:
        found.append(_list_undelivered_ranges(tx, attrs.evolve(left, delivery_state=None), wanted.delivery_state))
    found += [*_list_unit_ranges(left), *_list_partner_ranges(left)]
    if terms := _list_terms(wanted):
        found.append(_Ranges(left, terms=terms))
    if wanted.service or wanted.kind or (wanted.state and not found):
        found.append(_list_kind_ranges(tx, left))
    return found or [_Ranges(left, [sa.true()])]


def _list_terms(wanted: MessageFilter) -> list[str]:
    marks = (
        wanted.refusal and search_terms.mark_refusal(wanted.refusal),
        wanted.answer and search_terms.mark_answer(wanted.answer),
        wanted.sha256 and search_terms.mark_sha256(wanted.sha256),
    )
    return [*(mark for mark in marks if mark), *wanted.words]


def _list_unit_ranges(left: MessageFilter) -> Iterator[_Ranges]:
    ours = is_any_partner(delivery.c.partner, left.partners)
    if left.unit:
        to_unit = sa.and_(delivery.c.recipient == left.unit, TO_UNIT, *ours)
        yield _list_shared_ranges(attrs.evolve(left, unit=None), table.c.sender, left.unit, to_unit)
    if left.recipient:
        to_unit = sa.and_(delivery.c.recipient == left.recipient, TO_UNIT, *ours)
        yield _Ranges(attrs.evolve(left, recipient=None), (), to_unit)
    if left.visible is not None and len(left.visible) <= _UNITS:
        of_unit = [sa.and_(table.c.sender == unit, SEARCHED, ACCEPTED) for unit in left.visible]
        answers = [sa.and_(table.c.answers_unit == unit, ACCEPTED) for unit in left.visible]
        parts = [delivery.c.recipient == unit for unit in left.visible]
        yield _Ranges(attrs.evolve(left, visible=None), [*of_unit, *answers], TO_UNIT, parts, shared=True)


def _list_partner_ranges(left: MessageFilter) -> Iterator[_Ranges]:
    ours = is_any_partner(delivery.c.partner, left.partners)
    if left.partner:
        to_partner = sa.and_(delivery.c.partner == left.partner, TO_PARTNER, *ours)
        yield _list_shared_ranges(attrs.evolve(left, partner=None), table.c.partner, left.partner, to_partner)
    if left.sent_by:
        shared = _list_shared_ranges(attrs.evolve(left, sent_by=None), table.c.partner, left.sent_by, sa.false())
        yield attrs.evolve(shared, made=None)
    if left.sent_to:
        state = left.delivery_state
        index = UNDELIVERED if state and state != DeliveryState.DELIVERED else TO_PARTNER
        to_partner = sa.and_(*is_delivery_to(delivery, left.sent_to, state), index, *ours)
        yield _Ranges(attrs.evolve(left, sent_to=None, delivery_state=None), (), to_partner)
    if left.partners is not None and len(left.partners) <= _UNITS:
        states = _list_states(left)
        sent = [
            sa.and_(table.c.partner == each, SEARCHED, table.c.state == state)
            for each in left.partners
            for state in states
        ]
        parts = [delivery.c.partner == each for each in left.partners] if MessageState.ACCEPTED in states else []
        yield _Ranges(
            attrs.evolve(left, state=None), sent, TO_PARTNER if parts else None, parts or (sa.true(),), shared=True
        )


def _list_shared_ranges(left: MessageFilter, sent: sa.Column[str], by: str, made: Condition) -> _Ranges:
    """Return the ranges of the messages with *by* in the column *sent* and of those with a delivery *made*.

    A refused message has no delivery.
    """
    states = _list_states(left)
    own = [sa.and_(sent == by, SEARCHED, table.c.state == state) for state in states]
    return _Ranges(attrs.evolve(left, state=None), own, made if MessageState.ACCEPTED in states else None)


def _list_undelivered_ranges(tx: Transaction, left: MessageFilter, state: str) -> _Ranges:
    made = sa.and_(UNDELIVERED, delivery.c.state == state)
    waiting = _list_values(tx, delivery.c.partner, made)
    ours = [each for each in waiting if left.partners is None or each in left.partners]
    parts = [delivery.c.partner == partner for partner in ours]
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
    return sa.select(ids).select_from(table).where(part, *list_conditions(left))


def _select_made(ids: sa.ColumnElement[Any], part: Condition, left: MessageFilter) -> sa.Select[Any]:
    """Return the query of *ids* of the deliveries in the range *part* whose messages *left* lets through."""
    query = sa.select(ids).select_from(delivery).where(part)
    return (
        query
        if left == MessageFilter()
        else query.join(table, table.c.id == delivery.c.message).where(*list_conditions(left))
    )


def _count_some(tx: Transaction, ranges: _Ranges, wanted: MessageFilter, index: TermIndex, most: int) -> int:
    """Return how many rows of indexes are in *ranges*, at most *most*."""
    if ranges.terms:
        moments = index.find_moments(ranges.terms, *find_moment_bounds(wanted), newest_first=True)
        return sum(1 for _ in islice(moments, most))
    everything, found = MessageFilter(), 0
    queries = [
        _select_own(table.c.id, part, everything).where(*list_period_conditions(table.c.id, wanted))
        for part in ranges.own
    ]
    if ranges.made is not None:
        for part in ranges.parts:
            made = _select_made(delivery.c.message, sa.and_(ranges.made, part), everything)
            queries.append(made.where(*list_period_conditions(delivery.c.message, wanted)))
    for query in queries:
        left = most - found
        if left:
            found += _read_number(tx, sa.select(sa.func.count()).select_from(query.limit(left).subquery()))
    return found


def find_messages(
    tx: Transaction,
    wanted: MessageFilter | Sequence[MessageFilter],
    limit: int | None = None,
    *,
    newest_first: bool = False,
) -> Iterator[Message]:
    """Yield the messages that match *wanted*, or one of several filters, in the order of their ids: oldest first."""
    for page in _read_pages(find_message_ids(tx, wanted, limit, newest_first=newest_first), PAGE):
        yield from read_messages(tx, page)


def _read_pages(ids: Iterator[str], size: int) -> Iterator[list[str]]:
    while page := list(islice(ids, size)):
        yield page


def find_message_ids(
    tx: Transaction,
    wanted: MessageFilter | Sequence[MessageFilter],
    limit: int | None = None,
    *,
    newest_first: bool = False,
) -> Iterator[str]:
    """Yield the hub ids of the messages that `find_messages` yields."""
    index, size = TermIndex(tx), PAGE if limit is None else min(limit, PAGE)
    several = [wanted] if isinstance(wanted, MessageFilter) else wanted
    walks = [walk for each in several for walk in _walk_filter(tx, each, index, size, newest_first=newest_first)]
    return islice((each for each, _ in groupby(merge(*walks, reverse=newest_first))), limit)


def _walk_filter(
    tx: Transaction, wanted: MessageFilter, index: TermIndex, size: int, *, newest_first: bool
) -> list[Iterator[str]]:
    """Return the ids of each range of *wanted*, in order."""
    ranges = _choose_ranges(tx, wanted, index)
    if ranges.terms:
        return [_walk_terms(tx, ranges, index, wanted, newest_first=newest_first)]
    queries = [(table.c.id, _select_own(table.c.id, part, ranges.left)) for part in ranges.own]
    for part in ranges.parts if ranges.made is not None else ():
        assert ranges.made is not None
        made = _select_made(delivery.c.message, sa.and_(ranges.made, part), ranges.left).distinct()
        queries.append((delivery.c.message, made))
    words = ranges.left.words
    first = size if len(queries) < 8 and not words else max(20, size // max(1, len(queries)))
    return [
        _walk_ids(tx, column, query, wanted, (first, size), words, newest_first=newest_first)
        for column, query in queries
    ]


def _walk_terms(
    tx: Transaction, ranges: _Ranges, index: TermIndex, wanted: MessageFilter, *, newest_first: bool
) -> Iterator[str]:
    """Yield the ids of the messages with the terms of *ranges* that its conditions let through, in order."""
    moments = index.find_moments(ranges.terms, *find_moment_bounds(wanted), newest_first=newest_first)
    conditions = [*list_conditions(ranges.left), *list_period_conditions(table.c.id, wanted)]
    while some := list(islice(moments, _TOGETHER)):
        rows = search_index.read_candidates(tx, some)
        words = ranges.left.words
        ids = [row.id for row in rows if not words or search_terms.has_words(words, row.code, row.subject)]
        if conditions and ids:
            same = ids + ids[-1:] * (_TOGETHER - len(ids))  # one statement for any number of them
            ids = list(tx.scalars(sa.select(table.c.id).where(table.c.id.in_(same), *conditions)))
        yield from sorted(ids, reverse=newest_first)


def _keep_worded(tx: Transaction, ids: Sequence[str], words: Collection[str]) -> Sequence[str]:
    """Return those of *ids* whose messages have all *words*."""
    if not words or not ids:
        return ids
    rows = tx.execute(sa.select(table.c.id, table.c.code, table.c.subject).where(table.c.id.in_(ids)))
    kept = {row.id for row in rows if search_terms.has_words(words, row.code, row.subject)}
    return [each for each in ids if each in kept]


def _walk_ids(
    tx: Transaction,
    column: sa.Column[str],
    query: sa.Select[Any],
    wanted: MessageFilter,
    sizes: tuple[int, int],
    words: Collection[str],
    *,
    newest_first: bool,
) -> Iterator[str]:
    """Yield the ids that *query* finds in the period of *wanted*, in order.

    *sizes*: how many the first statement reads, and how many a later one reads at most. Only messages with all *words*
    are yielded.
    """
    size, most = sizes
    while True:
        ordered = query.where(*list_period_conditions(column, wanted)).order_by(
            column.desc() if newest_first else column
        )
        page = tx.scalars(ordered.limit(size)).all()
        yield from _keep_worded(tx, page, words)
        if len(page) < size:
            return
        wanted = attrs.evolve(wanted, **{"before" if newest_first else "after": page[-1]})
        size = min(4 * size, PAGE) if words else min(4 * size, most)


def count_messages(tx: Transaction, wanted: MessageFilter | Sequence[MessageFilter], most: int | None = None) -> int:
    """Return the exact number of messages that match *wanted*, or one of several filters; at most *most*."""
    if most is not None:
        return sum(1 for _ in find_message_ids(tx, wanted, most, newest_first=True))
    if not isinstance(wanted, MessageFilter):
        if len(wanted) != 1:
            return sum(1 for _ in find_message_ids(tx, wanted))
        (wanted,) = wanted
    ranges = _choose_ranges(tx, wanted, TermIndex(tx))
    if not ranges.counts:
        return sum(1 for _ in find_message_ids(tx, wanted))
    number, period = sa.func.count(), list_period_conditions(table.c.id, wanted)
    own = [_select_own(number, part, ranges.left).where(*period) for part in ranges.own]
    count = sum(_read_number(tx, query) for query in own)
    if ranges.made is None:
        return count
    messages = sa.func.count(delivery.c.message.distinct())
    made = _select_made(messages, ranges.made, ranges.left).where(*list_period_conditions(delivery.c.message, wanted))
    count += _read_number(tx, made)
    twice = sa.exists().where(delivery.c.message == table.c.id, ranges.made)
    return count - sum(_read_number(tx, query.where(twice)) for query in own)


def _read_number(tx: Transaction, query: sa.Select[Any]) -> int:
    number: int = tx.execute(query).scalar_one()
    return number


@attrs.frozen(kw_only=True)
class DeliverySummary:
    """The deliveries of one message in one state."""

    state: DeliveryState
    count: int
    reason: str | None  #: of one of them


def summarise_deliveries(
    tx: Transaction, ids: Collection[str], partners: Sequence[str] | None = None
) -> dict[str, list[DeliverySummary]]:
    """Return for each of these messages its deliveries to *partners* (None: all) by state.

    A message without such deliveries is left out.
    """
    columns = (delivery.c.message, delivery.c.state, sa.func.count().label("count"), sa.func.max(delivery.c.reason))
    where = (delivery.c.message.in_(list(ids)), *is_any_partner(delivery.c.partner, partners))
    query = sa.select(*columns).where(*where).group_by(*columns[:2]).order_by(*columns[:2])
    found: dict[str, list[DeliverySummary]] = {}
    for message, state, count, reason in tx.execute(query):
        found.setdefault(message, []).append(DeliverySummary(state=DeliveryState(state), count=count, reason=reason))
    return found


def find_messages_by_name(tx: Transaction, name: str) -> list[Message]:
    """Return the message with hub id *name*, else the messages with message id *name*, newest last."""
    exact = list(find_messages(tx, MessageFilter(ids=(name,))))
    return [found for found in exact if found.id == name] or exact


def list_kinds(tx: Transaction) -> list[tuple[str, str]]:
    """Return the services and kinds of the messages of the journal."""
    services = _list_values(tx, table.c.service, SEARCHED)
    return [
        (service, kind)
        for service in services
        for kind in _list_values(tx, table.c.kind, sa.and_(SEARCHED, table.c.service == service))
    ]


def list_accepted_kinds(tx: Transaction, since: datetime | None = None) -> dict[str, set[tuple[str, str]]]:
    """Return by partner the (service, kind) pairs of its accepted messages, received from *since* on."""
    query = sa.select(table.c.partner, table.c.service, table.c.kind).where(table.c.state == MessageState.ACCEPTED)
    if since is not None:
        query = query.where(*list_period_conditions(table.c.id, MessageFilter(since=since)))
    found: dict[str, set[tuple[str, str]]] = {}
    for partner, service, kind in tx.execute(query.distinct()):
        found.setdefault(partner, set()).add((service, kind))
    return found


def find_deliveries_in_state(
    tx: Transaction, states: Collection[DeliveryState], wanted: MessageFilter, recipient: str | None = None
) -> list[tuple[Message, Delivery]]:
    """Return the deliveries in *states* of the messages that match *wanted*, with their messages, oldest first."""
    query = (
        sa.select(*MESSAGE_COLUMNS, delivery.c.id.label("delivery_id"))
        .join(delivery, delivery.c.message == table.c.id)
        .where(*list_conditions(attrs.evolve(wanted, delivery_state=None)), delivery.c.state.in_(list(states)))
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
