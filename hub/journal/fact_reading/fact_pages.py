"""Reads facts in the order of time, from a given place on, a few thousand rows of the table at a time.

Knows the indexes of the table. Knows neither forms nor periods: `hub.workload.facts_behind` decides which facts count.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Fact
from hub.journal.fact_reading.fact_rows import RAW_FACT, read_raw_fact
from hub.journal.fact_reading.fact_search import build_carried_condition
from hub.report.counting.listing import Place
from hub.store.tables import carried
from hub.store.tables import fact as table
from hub.store.transactions import Transaction

#: The number of rows of the table that one statement goes through: first, and at most. It grows while few of them match.
_FIRST, _MOST = 1_000, 32_000
#: The maximum number of facts that are handed over at a time.
_TOGETHER = 500
#: Business keys per statement.
_ASKED = 200


@attrs.frozen
class CarriedSince:
    """Leaves out facts before a time whose key is neither carried into the period nor has a fact from that time on."""

    form: str
    period: str  #: the closed month before, such as `2026-11`
    recent: datetime  #: facts from this time on are not left out


@attrs.frozen
class FactScan:
    """Facts of a service in the order of `dates.make_fact_sort_key`, with bounds on what is read."""

    service: str
    units: Sequence[str]
    milestones: frozenset[str]
    since: datetime | None = None
    until: datetime | None = None  #: exclusive; None: no bound
    carried: CarriedSince | None = None  #: None: no fact is left out

    def list_stretches(
        self, tx: Transaction, after: Place | None = None
    ) -> Iterator[tuple[list[tuple[Fact, bool]], datetime | None]]:
        """Yield facts behind the place *after*, at most `_TOGETHER` at a time, each time with the time that was reached:
        None while further facts may have the time of the last one, else the time before which nothing is left. With each
        fact, yield whether its business key has no other.

        A stretch may be empty: the caller decides how long it goes on. Ends when there are no more facts.
        """
        since, size = self.since, _FIRST
        if after is not None:
            reached = datetime.fromisoformat(after[0])
            since = reached if since is None else max(since, reached)
        while True:
            until = self._find_end(tx, since, size)
            ended = until is None or (self.until is not None and until >= self.until)
            found = 0
            with tx.execute(self._select(since, self.until if ended else until, after)) as rows:
                for some in rows.partitions():
                    found += len(some)
                    yield [(read_raw_fact(row), not more) for *row, more in some], None
            if ended or until is None:
                return
            yield [], until
            since, after = until, None
            size = min(size * 2, _MOST) if found < _TOGETHER else _FIRST

    @property
    def _mine(self) -> Sequence[sa.ColumnElement[bool]]:
        """The conditions that the index in use answers: of one unit by (service, unit, at), of several by (at)."""
        if len(self.units) == 1:
            return (table.c.service == self.service, table.c.unit == self.units[0])
        return ()

    def _find_end(self, tx: Transaction, since: datetime | None, size: int) -> datetime | None:
        """Return a time after *since* such that about *size* rows lie between; None: fewer are left."""
        times = sa.select(table.c.at).where(*self._mine).order_by(table.c.at).limit(1)
        found: datetime | None = tx.scalar(
            self._indexed(times if since is None else times.where(table.c.at >= since)).offset(size)
        )
        if found is None or since is None or found > since:
            return found
        # very many facts have the same time
        later: datetime | None = tx.scalar(self._indexed(times.where(table.c.at > since)))
        return later

    def _indexed(self, query: sa.Select[Any]) -> sa.Select[Any]:
        if len(self.units) == 1:
            return query
        # SQLite would choose (service, unit, at), go through all units, and sort what it finds
        return query.with_hint(table, "INDEXED BY ix_fact_at", "sqlite")

    def _select(self, since: datetime | None, until: datetime | None, after: Place | None) -> sa.Select[Any]:
        wanted = [table.c.service == self.service, table.c.unit.in_(self.units)]
        if self.milestones:
            wanted.append(table.c.milestone.in_(sorted(self.milestones)))
        if since is not None:
            wanted.append(table.c.at >= since)
        if until is not None:
            wanted.append(table.c.at < until)
        if after is not None:
            names = [table.c.message, table.c.unit, table.c.milestone, *([] if after[4] is None else [table.c.key])]
            rest = sa.tuple_(*names) > sa.tuple_(*(part for part in after[1:] if part is not None))
            wanted.append(sa.or_(table.c.at > datetime.fromisoformat(after[0]), rest))
        if self.carried is not None:
            wanted.append(_is_current(self.carried))
        order = (table.c.at, table.c.message, table.c.unit, table.c.milestone, table.c.key)
        query = RAW_FACT.add_columns(_HAS_MORE).where(*wanted).order_by(*order).execution_options(yield_per=_TOGETHER)
        return self._indexed(query)


def _build_has_more() -> sa.ColumnElement[bool]:
    """Return the condition that a fact's business key has another fact."""
    other = table.alias("other")
    same = sa.and_(other.c.unit == table.c.unit, other.c.service == table.c.service, other.c.key == table.c.key)
    return sa.exists().where(same, other.c.milestone != table.c.milestone)


_HAS_MORE = _build_has_more()


def _is_current(since: CarriedSince) -> sa.ColumnElement[bool]:
    same, kept = table.alias("recent"), carried
    recent = sa.exists().where(
        same.c.unit == table.c.unit,
        same.c.service == table.c.service,
        same.c.key == table.c.key,
        same.c.at >= since.recent,
    )
    held = sa.exists().where(
        kept.c.form == since.form,
        kept.c.unit == table.c.unit,
        kept.c.key == table.c.key,
        build_carried_condition(since.period),
    )
    return sa.or_(table.c.at >= since.recent, held, recent)


def read_histories(
    tx: Transaction, service: str, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], list[Fact]]:
    """Return all facts of each of *keys*, (unit, business key)."""
    found: dict[tuple[str, str], list[Fact]] = {}
    named = sorted(keys)
    for first in range(0, len(named), _ASKED):
        these = sa.tuple_(table.c.unit, table.c.service, table.c.key).in_(
            [(unit, service, key) for unit, key in named[first : first + _ASKED]]
        )
        for row in tx.execute(RAW_FACT.where(these)).all():
            fact = read_raw_fact(row)
            found.setdefault((fact.unit, fact.key), []).append(fact)
    return found


def read_facts_at(tx: Transaction, service: str, unit: str, at: datetime) -> list[Fact]:
    """Return the facts of *unit* that were recorded at *at*."""
    mine = (table.c.service == service, table.c.unit == unit, table.c.at == at)
    return [read_raw_fact(row) for row in tx.execute(RAW_FACT.where(*mine))]


def find_time_range(
    tx: Transaction, service: str, units: Collection[str], first: date, last: date
) -> tuple[datetime, datetime] | None:
    """Return the earliest and the latest time at which facts with a day of their own from *first* to *last* were
    recorded; None if there are none.
    """
    unit = sa.bindparam("of", type_=sa.Text)
    mine = sa.and_(table.c.service == service, table.c.unit == unit, table.c.day >= first, table.c.day <= last)
    query = sa.select(sa.func.min(table.c.at), sa.func.max(table.c.at)).where(mine, table.c.day.is_not(None))
    found = [tx.execute(query, {"of": each}).one() for each in units]
    earliest = [low for low, _ in found if low is not None]
    latest = [high for _, high in found if high is not None]
    return (min(earliest), max(latest)) if earliest else None


def count_facts(
    tx: Transaction, service: str, units: Collection[str], since: datetime | None, until: datetime, most: int
) -> int:
    """Return the number of facts of *units* recorded from *since* until *until*; more than *most* if there are more."""
    unit, left = sa.bindparam("of", type_=sa.Text), sa.bindparam("left", type_=sa.Integer)
    mine = sa.and_(table.c.service == service, table.c.unit == unit, table.c.at < until)
    some = sa.select(sa.literal(1)).where(mine, *([] if since is None else [table.c.at >= since])).limit(left)
    query = sa.select(sa.func.count()).select_from(some.subquery())
    found = 0
    for each in units:
        found += tx.scalar(query, {"of": each, "left": most + 1 - found}) or 0
        if found > most:
            break
    return found
