"""Rows of the table of facts, and the facts of them: by key, by time, by unit. Writes nothing."""

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Fact
from hub.report.counting.lines import read_fact_members
from hub.store.tables import fact as table
from hub.store.transactions import Transaction

Key = tuple[str, str, str, str]  #: unit, service, business key, milestone

_FIELDS = tuple(field.name for field in attrs.fields(Fact))
_ASKED = 200  #: keys per statement; SQLite allows about 8,000
#: Columns of a fact in stored form: converting each value by its type would take longer than the counting.
STORED_COLUMNS = [
    column if isinstance(column.type, sa.Boolean | sa.Integer) else sa.type_coerce(column, sa.String)
    for column in table.c
]
RAW_FACT = sa.select(*STORED_COLUMNS)
_pairs = lru_cache(4096)(lambda text: tuple(json.loads(text).items()))


def make_fact_key(fact: Fact) -> Key:
    """Return the key of *fact*."""
    return fact.unit, fact.service, fact.key, fact.milestone


def make_row(fact: Fact) -> dict[str, object]:
    """Return the columns of *fact*."""
    return {name: getattr(fact, name) for name in _FIELDS}


def read_facts_by_key(tx: Transaction, keys: Sequence[Key]) -> dict[Key, Fact]:
    """Return the stored facts of *keys* by key. Keys without a fact are left out."""
    found: dict[Key, Fact] = {}
    for start in range(0, len(keys), _ASKED):
        these = sa.tuple_(*table.primary_key).in_(keys[start : start + _ASKED])
        for row in tx.execute(sa.select(table).where(these)).mappings():
            fact = Fact(**row)
            found[make_fact_key(fact)] = fact
    return found


def read_raw_fact(row: Sequence[Any]) -> Fact:
    """Return the fact of a row of `RAW_FACT`."""
    pairs = row[-1]
    return read_fact_members(row, () if pairs == "{}" else _pairs(pairs))


def read_facts(
    tx: Transaction,
    *,
    units: Collection[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Fact]:
    """Yield facts ordered by time: of *units* (None: all), *since* inclusive, *until* exclusive."""
    query = sa.select(table).order_by(table.c.at, table.c.message, table.c.unit, table.c.milestone, table.c.key)
    if since is not None:
        query = query.where(table.c.at >= since)
    if until is not None:
        query = query.where(table.c.at < until)
    wanted = None if units is None else frozenset(units)
    with tx.execute(query.execution_options(yield_per=1000)) as rows:
        for row in rows.mappings():
            if wanted is None or row["unit"] in wanted:
                yield Fact(**row)


def list_fact_units(tx: Transaction, service: str | None) -> list[str]:
    """Return each unit that has facts of *service* (None: of any), by code. Takes one index step per unit."""
    ours = sa.true() if service is None else table.c.service == service
    first = sa.select(sa.func.min(table.c.unit).label("unit")).where(ours).cte("having", recursive=True)
    step = sa.select(sa.func.min(table.c.unit)).where(ours, table.c.unit > first.c.unit).scalar_subquery()
    having = first.union_all(sa.select(step).where(first.c.unit.is_not(None)))
    return list(tx.scalars(sa.select(having.c.unit).where(having.c.unit.is_not(None))))


def read_earliest_fact_time(tx: Transaction) -> datetime | None:
    """Return the time of the first recorded fact, or None."""
    found: datetime | None = tx.scalar(sa.select(sa.func.min(table.c.at)))
    return found
