"""Indexes messages by terms: words of number and subject, codes of refusals and answers, hashes. Contains no conditions.

Intake writes nothing for it. An indexer follows the chain of events, which has each message once and in one order, and
writes for each term the times of its messages, some hundred messages at once. A search reads the newest events, which
are not indexed yet, as they stand. So it finds a message as soon as it is committed.

A posting holds the messages of 2^32 µs, a bucket of about 72 minutes, and of one step of the indexer: rows are only ever
added, and those of a term are in the order of time. A search for several terms reads the buckets of the rarest one, and
of the others only these. Two
messages of the same microsecond share a time: what an index yields is a candidate, which the search looks at.
"""

import json
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain import search_terms
from hub.domain.ids import make_first_id_of, read_moment
from hub.store import transactions
from hub.store.hot_statements import SetInsert
from hub.store.tables import event, message
from hub.store.tables import search_posting as table
from hub.store.tables import search_progress as progress
from hub.store.transactions import Transaction

#: Events that the indexer leaves to the searches, and events of one step. A search reads the former each time: fewer
#: cost it less, more make fewer and longer rows.
LEFT, STEP = 1_000, 4_000
#: Events that a search reads at most, the newest ones, while the indexer is behind.
READ = 5_000
_SHIFT = 32
_MASK = (1 << _SHIFT) - 1
_NAME = "messages"
#: Where the name of an event stands in its text, counted from 1, and the events that bring terms.
_PLACE = len(f'{{"at":"{"_" * 27}","event":"') + 1
_TOLD = ("message-accepted", "message-refused", "attempt-ended", "call-refused")
_INSERT = SetInsert(table)
#: Postings read with the first statement about a term, and with a later one; postings by which a term is known as rare.
_FEW, _MANY, _SAMPLE = 16, 256, 200
#: To look at a message takes as long as reading so many octets of a term's moments.
_CANDIDATE = 1_000
#: Buckets are read as one range if it has at most so many times as many.
_DENSE = 3
#: A look-up in sorted moments takes as long as putting so many of them into a set.
_LOOKUP = 16

#: The moments of each term in each bucket, as their low bits.
Postings = Mapping[tuple[str, int], set[int]]


@attrs.frozen(eq=False)
class IndexStep:
    """The postings of the events between two numbers."""

    after: int
    upto: int
    postings: Postings


def read_progress(tx: Transaction) -> int:
    """Return the number of the last event that is indexed; 0: none."""
    return tx.scalars(sa.select(progress.c.number).where(progress.c.name == _NAME)).first() or 0


def is_behind(tx: Transaction) -> bool:
    """Tell whether there are more events to index than a search reads, so that it may not find an older message."""
    last = tx.scalar(sa.select(sa.func.max(event.c.number))) or 0
    return last - read_progress(tx) > READ


def read_step(tx: Transaction, left: int = LEFT) -> IndexStep | None:
    """Return the next postings to write, of at most `STEP` events; None if at most *left* events are not indexed."""
    after, last = read_progress(tx), tx.scalar(sa.select(sa.func.max(event.c.number))) or 0
    if last - after <= left:
        return None
    upto = min(after + STEP, last)
    numbered = sa.and_(event.c.number > after, event.c.number <= upto)
    return IndexStep(after, upto, _collect_postings(tx, _read_events(tx, numbered, event.c.number, STEP)))


def write_step(tx: Transaction, step: IndexStep) -> bool:
    """Write the postings of *step*, unless another node has. Return whether they were written."""
    transactions.insert_missing_rows(tx, progress, [{"name": _NAME, "number": 0}])
    mine = sa.and_(progress.c.name == _NAME, progress.c.number == step.after)
    if not tx.execute(sa.update(progress).where(mine).values(number=step.upto)).rowcount:
        return False
    write_postings(tx, step.postings, step.upto)
    return True


def write_postings(tx: Transaction, postings: Postings, batch: int) -> None:
    """Write *postings* as those of *batch*, in the order of their keys."""
    rows = [
        {"term": term, "bucket": bucket, "batch": batch, "moments": _pack_lows(lows)}
        for (term, bucket), lows in sorted(postings.items(), key=itemgetter(0))
    ]
    _ = _INSERT.run(tx, rows)


def collect_rows(rows: Iterable[Any]) -> dict[tuple[str, int], set[int]]:
    """Return the postings of rows with `id`, `code`, `subject`, `refusal` and `sha256`."""
    found: dict[tuple[str, int], set[int]] = {}
    for row in rows:
        _put_posting(found, row.id, search_terms.list_message_terms(row.code, row.subject, row.refusal, row.sha256))
    return found


def collect_answers(rows: Iterable[tuple[str, str | None]]) -> dict[tuple[str, int], set[int]]:
    """Return the postings of messages and what a partner answered to an attempt to deliver them."""
    found: dict[tuple[str, int], set[int]] = {}
    for about, reason in rows:
        _put_posting(found, about, map(search_terms.mark_answer, search_terms.list_codes(reason)))
    return found


def _pack_lows(lows: Iterable[int]) -> bytes:
    packed = array("I", sorted(lows))
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpack_lows(octets: bytes) -> "array[int]":
    lows = array("I")
    lows.frombytes(octets)
    if sys.byteorder == "big":
        lows.byteswap()
    return lows


def _put_posting(postings: dict[tuple[str, int], set[int]], name: str, terms: Iterable[str]) -> None:
    try:
        moment = read_moment(name)
    except ValueError:  # no id of ours
        return
    bucket, low = moment >> _SHIFT, moment & _MASK
    for term in terms:
        postings.setdefault((term, bucket), set()).add(low)


def _read_events(
    tx: Transaction, which: sa.ColumnElement[bool], newest: sa.Column[int], most: int
) -> Sequence[sa.Row[Any]]:
    """Return message and text of the events that bring terms, among the last *most* ones in the order of *newest*."""
    some = sa.select(event.c.message, event.c.text).where(which).order_by(newest.desc()).limit(most).subquery()
    told = [sa.func.substr(some.c.text, _PLACE, len(name) + 1) == f'{name}"' for name in _TOLD]
    return tx.execute(sa.select(some).where(some.c.message.is_not(None), sa.or_(*told))).all()


def _collect_postings(tx: Transaction, told: Iterable[Any]) -> dict[tuple[str, int], set[int]]:
    """Return the postings of these events, and of the messages that they are about."""
    arrived: list[str] = []
    answers: list[tuple[str, str | None]] = []
    found: dict[tuple[str, int], set[int]] = {}
    for about, text in told:
        name = text[_PLACE - 1 : text.index('"', _PLACE)]
        if name == "attempt-ended":
            answers.append((about, json.loads(text).get("reason")))
        elif name == "call-refused":
            _put_posting(found, about, [search_terms.REFUSED_CALL])
        else:
            arrived.append(about)
    columns = (message.c.id, message.c.code, message.c.subject, message.c.refusal, message.c.sha256)
    for start in range(0, len(arrived), 500):
        rows = tx.execute(sa.select(*columns).where(message.c.id.in_(arrived[start : start + 500])))
        for key, lows in collect_rows(rows).items():
            found.setdefault(key, set()).update(lows)
    for key, lows in collect_answers(answers).items():
        found.setdefault(key, set()).update(lows)
    return found


@attrs.frozen(order=True)
class _Frequency:
    """By what the rarest of several terms is known: its rows, of the newest ones, and their octets."""

    rows: int
    all_octets: int
    octets: int  #: of a bucket


@attrs.define(eq=False)
class TermIndex:
    """Finds messages by terms in one transaction. The events that are not indexed are read once."""

    _tx: Transaction
    _rest: dict[str, dict[int, set[int]]] | None = attrs.field(default=None, init=False)
    _known: dict[tuple[str, range], _Frequency] = attrs.field(factory=dict, init=False)

    def find_moments(self, terms: Sequence[str], first: int, end: int, *, newest_first: bool) -> Iterator[int]:
        """Yield the moments from *first* until before *end* of which a message may have all *terms*, in order.

        The buckets of the rarest term are read, some at a time, and of the other terms only those buckets. A term that
        so many messages have that it takes longer to read than the few messages that are left, is not read.
        """
        span = range(first >> _SHIFT, (end - 1 >> _SHIFT) + 1)
        known = {term: self._estimate(term, span) for term in terms}
        rarest, *others = sorted(known, key=lambda each: known[each])
        for some in self._read_runs(rarest, span, newest_first=newest_first):
            left = some
            for term in others:
                if known[term].octets * len(left) <= _CANDIDATE * sum(map(len, left.values())):
                    left = self._keep_common(term, left)
            for bucket, lows in left.items():
                moments = (bucket << _SHIFT | low for low in sorted(lows, reverse=newest_first))
                yield from (moment for moment in moments if first <= moment < end)

    def _estimate(self, term: str, span: range) -> _Frequency:
        """Return what the newest rows of a term say about it."""
        if (term, span) not in self._known:
            self._known[term, span] = self._read_frequency(term, span)
        return self._known[term, span]

    def _read_frequency(self, term: str, span: range) -> _Frequency:
        here = sa.and_(table.c.term == term, table.c.bucket >= span.start, table.c.bucket < span.stop)
        columns = (table.c.bucket, sa.func.length(table.c.moments).label("octets"))
        some = sa.select(*columns).where(here).order_by(table.c.bucket.desc()).limit(_SAMPLE).subquery()
        numbers = (sa.func.count(), sa.func.sum(some.c.octets), sa.func.count(some.c.bucket.distinct()))
        rows, octets, buckets = self._tx.execute(sa.select(*numbers).select_from(some)).one()
        return _Frequency(rows, octets or 0, (octets or 0) // max(1, buckets))

    def _read_runs(self, term: str, span: range, *, newest_first: bool) -> Iterator[dict[int, set[int]]]:
        """Yield the moments of *term* by bucket, in order, some whole buckets at a time."""
        rest = self._read_rest().get(term, {})
        order = table.c.bucket.desc() if newest_first else table.c.bucket
        size, full = _FEW, True
        while full and span:
            here = sa.and_(table.c.term == term, table.c.bucket >= span.start, table.c.bucket < span.stop)
            query = sa.select(table.c.bucket, table.c.moments).where(here).order_by(order).limit(size)
            rows = self._tx.execute(query).all()
            full = len(rows) == size
            found = _unite_rows(rows)
            last = rows[-1].bucket if rows else span.start
            size *= 4
            if full:
                found.pop(last)  # it may have more rows
                if not found:
                    continue
                passed = range(last + 1, span.stop) if newest_first else range(span.start, last)
                span = range(span.start, last + 1) if newest_first else range(last, span.stop)
                size = min(size, _MANY)
            else:
                passed = span
            for bucket, lows in rest.items():
                if bucket in passed:
                    found.setdefault(bucket, set()).update(lows)
            yield {bucket: found[bucket] for bucket in sorted(found, reverse=newest_first)}

    def _keep_common(self, term: str, some: dict[int, set[int]]) -> dict[int, set[int]]:
        """Return those moments in the buckets *some* that *term* has, too. Buckets without any are left out."""
        if not some:
            return some
        low, high = min(some), max(some)
        # many buckets in a row are one range of the index
        dense = high - low < _DENSE * len(some)
        here = table.c.bucket.between(low, high) if dense else table.c.bucket.in_(some)
        query = sa.select(table.c.bucket, table.c.moments).where(table.c.term == term, here)
        found: dict[int, set[int]] = {}
        for bucket, octets in self._tx.execute(query).all():
            if bucket in some and (both := _find_common(some[bucket], _unpack_lows(octets))):
                found.setdefault(bucket, set()).update(both)
        for bucket, lows in self._read_rest().get(term, {}).items():
            if both := lows.intersection(some.get(bucket, ())):
                found.setdefault(bucket, set()).update(both)
        return {bucket: found[bucket] for bucket in some if bucket in found}

    def _read_rest(self) -> dict[str, dict[int, set[int]]]:
        """Return the postings of the events that are not indexed, by term and bucket."""
        if self._rest is None:
            after = read_progress(self._tx)
            told = [
                *_read_events(self._tx, event.c.number > after, event.c.number, READ),
                *_read_events(self._tx, event.c.number.is_(None), event.c.serial, READ),
            ]
            self._rest = {}
            for (term, bucket), lows in _collect_postings(self._tx, told).items():
                self._rest.setdefault(term, {})[bucket] = lows
        return self._rest


def _find_common(lows: AbstractSet[int], among: "array[int]") -> set[int]:
    """Return those of *lows* that are in *among*, which is sorted. Of few *lows*, each is looked up."""
    if len(lows) * _LOOKUP > len(among):
        return set(among).intersection(lows)
    found = set()
    for low in lows:
        place = bisect_left(among, low)
        if place < len(among) and among[place] == low:
            found.add(low)
    return found


def _unite_rows(rows: Iterable[Any]) -> dict[int, set[int]]:
    """Return the moments of rows of a bucket and its moments, by bucket."""
    found: dict[int, set[int]] = {}
    for bucket, octets in rows:
        lows = _unpack_lows(octets)
        if bucket in found:
            found[bucket].update(lows)
        else:
            found[bucket] = set(lows)
    return found


def read_candidates(tx: Transaction, moments: Sequence[int]) -> Sequence[sa.Row[Any]]:
    """Return `id`, `code` and `subject` of the messages of *moments*, in no order."""
    return _read_at(tx, "id, code, subject", message, message.c.id, moments)


def read_call_candidates(tx: Transaction, moments: Sequence[int]) -> Sequence[sa.Row[Any]]:
    """Return `message` and `text` of the events of the messages and calls of *moments*, in no order."""
    return _read_at(tx, "message, text", event, event.c.message, moments)


def _read_at(
    tx: Transaction, columns: str, source: sa.Table, column: sa.Column[Any], moments: Sequence[int]
) -> Sequence[sa.Row[Any]]:
    """Return the rows whose id in *column* is of one of *moments*: by one statement, each moment a range of its index.

    The driver takes it as text. SQLAlchemy would take longer to build it than the database to execute it.
    """
    place = "?" if tx.dialect.name == "sqlite" else "%s"
    ranges = " OR ".join([f"({column.name} >= {place} AND {column.name} < {place})"] * len(moments))
    bounds = [make_first_id_of(each) for moment in moments for each in (moment, moment + 1)]
    sql = f"SELECT {columns} FROM {source.name} WHERE {ranges}"  # noqa: S608 - only names and places
    return tx.exec_driver_sql(sql, tuple(bounds)).all()
