"""Searches messages in the journal. Changes nothing.

A search reads ranges of indexes, each in the order of the hub's ids or against it, and merges them. So a page costs the same in a
journal of any size, and a count reads only what it counts. The id of a message contains its time of receipt to the
microsecond (hub/domain/ids.py), so the order of ids is the order of receipt, and a period is a range of ids. Of several
conditions, one chooses the ranges. The others are tested on each message of these. Words, codes and hashes are found by
an index of terms (hub.journal.searching.search_index).
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import groupby, islice
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain import search_terms
from hub.domain.failure_causes import read_cause_name
from hub.domain.ids import make_first_id, make_moment, read_moment
from hub.domain.model import Delivery, DeliveryState, Message, MessageState
from hub.journal import events, packed_receipts
from hub.journal.queue import deliveries
from hub.journal.searching import search_index
from hub.journal.searching.search_index import TermIndex
from hub.report.counting.evidence import EvidenceLine, EvidenceLines
from hub.store.tables import ACCEPTED, REFUSED, SEARCHED, TO_PARTNER, TO_UNIT, UNDELIVERED, attempt, delivery
from hub.store.tables import message as table
from hub.store.transactions import Transaction

Condition = sa.ColumnElement[bool]

#: The columns of a `Message`. All of its row is ten times as long: the receipt, and the signed parts of its call.
MESSAGE_COLUMNS = tuple(table.c[field.name] for field in attrs.fields(Message))
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
    before: str | None = None  #: hub id: only messages ahead of it in the order of ids
    ids: tuple[str, ...] | None = None  #: hub ids or message ids
    document_id: str | None = None
    sha256: str | None = None  #: or its first digits, at least 12, in lower case
    words: tuple[str, ...] = ()  #: of number, notation and subject, folded (`hub.domain.search_terms`)
    refusal: str | None = None  #: a code of the hub's refusal
    answer: str | None = None  #: a code of a partner's answer to a delivery
    cause: str | None = None  #: name of the cause of its refusal, or of a dead delivery (`hub.domain.failure_causes`)
    recipient: str | None = None  #: the unit of a delivery
    sent_by: str | None = None  #: the sending partner
    #: the partner of a delivery; a delivery to it is in `delivery_state`, if that is given, too
    sent_to: str | None = None
    beside: str | None = None  #: a partner that neither sent it nor gets it
    #: only accepted messages that one of these units sent or gets, or whose document they answer
    visible: tuple[str, ...] | None = None
    #: only messages that one of these partners sent or gets. Conditions for deliveries look at deliveries to these only
    partners: tuple[str, ...] | None = None
    services_hidden: tuple[str, ...] = ()  #: services whose messages are left out


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


def _list_conditions(wanted: MessageFilter) -> list[Condition]:
    other = delivery.alias()  # an alias, because the outer query may use `delivery` too
    gets = sa.exists().where(other.c.message == table.c.id)
    made = gets.where(*_is_to(other.c.partner, wanted.partners))
    conditions = [
        wanted.state and table.c.state == wanted.state,
        wanted.delivery_state and not wanted.sent_to and made.where(other.c.state == wanted.delivery_state),
        wanted.partner and sa.or_(table.c.partner == wanted.partner, made.where(other.c.partner == wanted.partner)),
        wanted.message_id and table.c.message_id == wanted.message_id,
        wanted.unit and sa.or_(table.c.sender == wanted.unit, made.where(other.c.recipient == wanted.unit)),
        wanted.service and table.c.service == wanted.service,
        wanted.kind and table.c.kind == wanted.kind,
        wanted.ids is not None and sa.or_(table.c.id.in_(wanted.ids), table.c.message_id.in_(wanted.ids)),
        wanted.document_id and table.c.document_id == wanted.document_id,
        wanted.sha256 and table.c.sha256.startswith(wanted.sha256, autoescape=True),
        wanted.refusal and _has_code(table.c.refusal, wanted.refusal),
        wanted.answer and _has_answer(wanted.answer, wanted.partners),
        wanted.cause and _has_cause(wanted.cause, wanted.partners),
        wanted.recipient and made.where(other.c.recipient == wanted.recipient),
        wanted.sent_by and table.c.partner == wanted.sent_by,
        wanted.sent_to and made.where(*_is_one(other, wanted.sent_to, wanted.delivery_state)),
        wanted.beside and sa.and_(table.c.partner != wanted.beside, ~gets.where(other.c.partner == wanted.beside)),
        wanted.visible is not None and _is_visible(wanted.visible),
        wanted.partners is not None and sa.or_(table.c.partner.in_(wanted.partners), made),
        wanted.services_hidden and table.c.service.not_in(wanted.services_hidden),
    ]
    return [
        *_list_period_conditions(table.c.id, wanted),
        *(each for each in conditions if isinstance(each, sa.ColumnElement)),
    ]


def _is_one(source: Any, partner: str, state: str | None) -> list[Condition]:
    """Return the conditions that a delivery is to *partner*, and in *state* (None: any)."""
    return [source.c.partner == partner, *([source.c.state == state] if state else [])]


def _has_code(column: sa.ColumnElement[Any], code: str) -> Condition:
    """Return the condition that the stored reason in *column* has *code*, as `list_codes` reads it."""
    pieces = sa.func.replace(sa.func.lower(column), ": ", "; ")
    return ("; " + pieces + "; ").contains(search_terms.write_code_pieces(code), autoescape=True)


def _has_answer(code: str, partners: Sequence[str] | None) -> Condition:
    about = sa.and_(attempt.c.message == table.c.id, _has_code(attempt.c.detail, code))
    return sa.exists().where(about, *_is_to(attempt.c.partner, partners))


def _is_to(column: sa.ColumnElement[str], partners: Sequence[str] | None) -> list[Condition]:
    """Return the condition that the partner in *column* is one of *partners* (None: any)."""
    return [] if partners is None else [column.in_(partners)]


def _has_cause(name: str, partners: Sequence[str] | None) -> Condition:
    other = delivery.alias()
    died = sa.exists().where(other.c.message == table.c.id, _is_of_cause(other, name, partners))
    return sa.or_(_is_of_cause(table, name, partners), died)


def _is_of_cause(source: Any, name: str, partners: Sequence[str] | None) -> Condition:
    """Return the condition that a message or a delivery failed for the cause *name*, of one of *partners* (None: all)."""
    partner, digest = read_cause_name(name) or ("", "")
    if partners is not None and partner not in partners:
        return sa.false()
    return sa.and_(source.c.partner == partner, source.c.cause.is_not(None), source.c.cause == digest)


def _is_visible(units: Sequence[str]) -> Condition:
    other = delivery.alias()
    gets = sa.exists().where(other.c.message == table.c.id, other.c.recipient.in_(units))
    return sa.and_(ACCEPTED, sa.or_(table.c.sender.in_(units), table.c.answers_unit.in_(units), gets))


def _list_period_conditions(column: sa.ColumnElement[str], wanted: MessageFilter) -> list[Condition]:
    """Return the conditions that the id in *column* is of the period of *wanted*: at most one of each direction.

    Of two SQLite would use one for its index, perhaps the wider one.
    """
    first = None if wanted.since is None else make_first_id(wanted.since)
    bounds: list[Condition] = []
    if wanted.after is not None and wanted.after >= (first or ""):
        bounds.append(column > wanted.after)
    elif first is not None:
        bounds.append(column >= first)
    ends = [*([make_first_id(wanted.until)] if wanted.until else []), *([wanted.before] if wanted.before else [])]
    if ends:
        bounds.append(column < min(ends))
    return bounds


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
        refused, made = (_is_of_cause(each, wanted.cause, wanted.partners) for each in (table, delivery))
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
    ours = _is_to(delivery.c.partner, left.partners)
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
    ours = _is_to(delivery.c.partner, left.partners)
    if left.partner:
        to_partner = sa.and_(delivery.c.partner == left.partner, TO_PARTNER, *ours)
        yield _list_shared_ranges(attrs.evolve(left, partner=None), table.c.partner, left.partner, to_partner)
    if left.sent_by:
        shared = _list_shared_ranges(attrs.evolve(left, sent_by=None), table.c.partner, left.sent_by, sa.false())
        yield attrs.evolve(shared, made=None)
    if left.sent_to:
        state = left.delivery_state
        index = UNDELIVERED if state and state != DeliveryState.DELIVERED else TO_PARTNER
        to_partner = sa.and_(*_is_one(delivery, left.sent_to, state), index, *ours)
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
    return sa.select(ids).select_from(table).where(part, *_list_conditions(left))


def _select_made(ids: sa.ColumnElement[Any], part: Condition, left: MessageFilter) -> sa.Select[Any]:
    """Return the query of *ids* of the deliveries in the range *part* whose messages *left* lets through."""
    query = sa.select(ids).select_from(delivery).where(part)
    return (
        query
        if left == MessageFilter()
        else query.join(table, table.c.id == delivery.c.message).where(*_list_conditions(left))
    )


def _count_some(tx: Transaction, ranges: _Ranges, wanted: MessageFilter, index: TermIndex, most: int) -> int:
    """Return how many rows of indexes are in *ranges*, at most *most*."""
    if ranges.terms:
        moments = index.find_moments(ranges.terms, *_find_moment_bounds(wanted), newest_first=True)
        return sum(1 for _ in islice(moments, most))
    everything, found = MessageFilter(), 0
    queries = [
        _select_own(table.c.id, part, everything).where(*_list_period_conditions(table.c.id, wanted))
        for part in ranges.own
    ]
    if ranges.made is not None:
        for part in ranges.parts:
            made = _select_made(delivery.c.message, sa.and_(ranges.made, part), everything)
            queries.append(made.where(*_list_period_conditions(delivery.c.message, wanted)))
    for query in queries:
        left = most - found
        if left:
            found += _read_number(tx, sa.select(sa.func.count()).select_from(query.limit(left).subquery()))
    return found


def _find_moment_bounds(wanted: MessageFilter) -> tuple[int, int]:
    """Return the first moment of the period of *wanted*, and the moment behind the last one."""
    firsts = [
        *([make_moment(wanted.since)] if wanted.since else []),
        *([read_moment(wanted.after)] if wanted.after else []),
    ]
    ends = [
        *([make_moment(wanted.until)] if wanted.until else []),
        *([read_moment(wanted.before) + 1] if wanted.before else []),
    ]
    return max(firsts, default=0), min(ends, default=1 << 52)


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


def read_messages(tx: Transaction, ids: Sequence[str]) -> list[Message]:
    """Return the messages with these hub ids, at most `PAGE`, in this order. Raises KeyError if one does not exist."""
    rows = tx.execute(sa.select(*MESSAGE_COLUMNS).where(table.c.id.in_(ids))).mappings()
    found = {row["id"]: read_message_row(row) for row in rows}
    return [found[each] for each in ids]


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
    moments = index.find_moments(ranges.terms, *_find_moment_bounds(wanted), newest_first=newest_first)
    conditions = [*_list_conditions(ranges.left), *_list_period_conditions(table.c.id, wanted)]
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
        ordered = query.where(*_list_period_conditions(column, wanted)).order_by(
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
    number, period = sa.func.count(), _list_period_conditions(table.c.id, wanted)
    own = [_select_own(number, part, ranges.left).where(*period) for part in ranges.own]
    count = sum(_read_number(tx, query) for query in own)
    if ranges.made is None:
        return count
    messages = sa.func.count(delivery.c.message.distinct())
    made = _select_made(messages, ranges.made, ranges.left).where(*_list_period_conditions(delivery.c.message, wanted))
    count += _read_number(tx, made)
    twice = sa.exists().where(delivery.c.message == table.c.id, ranges.made)
    return count - sum(_read_number(tx, query.where(twice)) for query in own)


def _read_number(tx: Transaction, query: sa.Select[Any]) -> int:
    number: int = tx.execute(query).scalar_one()
    return number


def read_message_row(row: sa.RowMapping | Mapping[str, Any]) -> Message:
    """Return the `Message` of a row."""
    fields = {field.name: row[field.name] for field in attrs.fields(Message)}
    return Message(**fields | {"state": MessageState(row["state"])})


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
    where = (delivery.c.message.in_(list(ids)), *_is_to(delivery.c.partner, partners))
    query = sa.select(*columns).where(*where).group_by(*columns[:2]).order_by(*columns[:2])
    found: dict[str, list[DeliverySummary]] = {}
    for message, state, count, reason in tx.execute(query):
        found.setdefault(message, []).append(DeliverySummary(state=DeliveryState(state), count=count, reason=reason))
    return found


@attrs.frozen(kw_only=True)
class RefusedCall:
    """A call that brought no message: the hub refused it, and its caller got a Tracking."""

    tracking: str
    at: datetime
    code: str
    detail: str
    partner: str | None  #: None: the caller is no partner
    operation: str | None
    certificate: str | None  #: SHA-256 of the caller's, if it is no partner


def find_refused_calls(tx: Transaction, wanted: MessageFilter, limit: int | None = None) -> Iterator[RefusedCall]:
    """Yield the refused calls that the period, the partner and the refusal of *wanted* choose, newest first."""
    bounds = _find_moment_bounds(wanted)
    moments = TermIndex(tx).find_moments([search_terms.REFUSED_CALL], *bounds, newest_first=True)
    codes = {wanted.partner, wanted.sent_by} - {None}
    found = (
        call
        for moment in moments
        for call in _read_refused_calls(tx, moment)
        if codes <= {call.partner}
        and (wanted.partners is None or call.partner in wanted.partners)
        and (not wanted.refusal or call.code == wanted.refusal.lower())
        and (wanted.before is None or call.tracking < wanted.before)
    )
    return islice(found, limit)


def read_refused_call(tx: Transaction, tracking: str) -> RefusedCall | None:
    """Return the refused call with the id *tracking*, or None."""
    told = (said for said in events.read_call_events(tx, tracking) if said["event"] == "call-refused")
    return next((_make_refused_call(tracking, said) for said in told), None)


def _read_refused_calls(tx: Transaction, moment: int) -> list[RefusedCall]:
    rows = sorted(search_index.read_call_candidates(tx, [moment]), reverse=True)
    told = ((row.message, json.loads(row.text)) for row in rows)
    return [_make_refused_call(name, said) for name, said in told if said["event"] == "call-refused"]


def _make_refused_call(tracking: str, said: Mapping[str, Any]) -> RefusedCall:
    return RefusedCall(
        tracking=tracking,
        at=datetime.fromisoformat(said["at"]),
        code=said.get("code", ""),
        detail=said.get("detail", ""),
        partner=said.get("partner"),
        operation=said.get("operation"),
        certificate=said.get("certificate"),
    )


def find_messages_by_name(tx: Transaction, name: str) -> list[Message]:
    """Return the message with hub id *name*, else the messages with message id *name*, newest last."""
    exact = list(find_messages(tx, MessageFilter(ids=(name,))))
    return [found for found in exact if found.id == name] or exact


def read_message(tx: Transaction, message_id: str) -> Message:
    """Return the message with this hub id. Raises KeyError if there is none."""
    row = tx.execute(sa.select(*MESSAGE_COLUMNS).where(table.c.id == message_id)).mappings().first()
    if row is None:
        raise KeyError(message_id)
    return read_message_row(row)


def find_accepted_message(tx: Transaction, partner: str, message_id: str) -> Message | None:
    """Return *partner*'s accepted message with this message id, or None. There is at most one."""
    same = sa.and_(table.c.partner == partner, table.c.message_id == message_id, ACCEPTED)
    row = tx.execute(sa.select(*MESSAGE_COLUMNS).where(same)).mappings().first()
    return None if row is None else read_message_row(row)


def find_accepted_messages(tx: Transaction, partner: str, message_ids: Iterable[str]) -> dict[str, Message]:
    """Return those of *partner*'s accepted messages that have one of *message_ids*, by message id."""
    found: dict[str, Message] = {}
    rest = iter(dict.fromkeys(message_ids))
    while some := list(islice(rest, 500)):
        same = sa.and_(table.c.partner == partner, table.c.message_id.in_(some), ACCEPTED)
        for row in tx.execute(sa.select(*MESSAGE_COLUMNS).where(same)).mappings():
            found[row["message_id"]] = read_message_row(row)
    return found


def read_message_ids(tx: Transaction, ids: Iterable[str]) -> dict[str, str | None]:
    """Return the senders' message ids by hub id."""
    found: dict[str, str | None] = {}
    wanted = iter(dict.fromkeys(ids))
    while some := list(islice(wanted, 500)):
        rows = tx.execute(sa.select(table.c.id, table.c.message_id).where(table.c.id.in_(some)))
        found |= {row.id: row.message_id for row in rows}
    return found


def read_message_origins(tx: Transaction, ids: Iterable[str]) -> dict[str, tuple[str, datetime]]:
    """Return, by hub id, the partner that sent each message and when it was received."""
    found: dict[str, tuple[str, datetime]] = {}
    wanted = iter(dict.fromkeys(ids))
    while some := list(islice(wanted, 500)):
        rows = tx.execute(sa.select(table.c.id, table.c.partner, table.c.received_at).where(table.c.id.in_(some)))
        found |= {row.id: (row.partner, row.received_at) for row in rows}
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
            yield from (EvidenceLine(line.fact, line.columns, ids.get(line.fact.message)) for line in some)


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
        query = query.where(*_list_period_conditions(table.c.id, MessageFilter(since=since)))
    found: dict[str, set[tuple[str, str]]] = {}
    for partner, service, kind in tx.execute(query.distinct()):
        found.setdefault(partner, set()).add((service, kind))
    return found


def read_stored_receipt(tx: Transaction, message_id: str) -> bytes | None:
    """Return the stored receipt of a message, or None for a refused one."""
    stored = tx.scalars(sa.select(table.c.receipt).where(table.c.id == message_id)).first()
    return packed_receipts.read_kept_receipt(tx, message_id) if stored is None else stored


def find_deliveries_in_state(
    tx: Transaction, states: Collection[DeliveryState], wanted: MessageFilter, recipient: str | None = None
) -> list[tuple[Message, Delivery]]:
    """Return the deliveries in *states* of the messages that match *wanted*, with their messages, oldest first."""
    query = (
        sa.select(*MESSAGE_COLUMNS, delivery.c.id.label("delivery_id"))
        .join(delivery, delivery.c.message == table.c.id)
        .where(*_list_conditions(attrs.evolve(wanted, delivery_state=None)), delivery.c.state.in_(list(states)))
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
