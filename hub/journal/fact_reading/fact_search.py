"""Finds what the report of a period counts of a unit: facts in the period, and all others of the same business keys.

Knows how each database reads them fastest. Knows neither forms nor what is counted.
"""

from collections.abc import Collection, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, cast

import attrs
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from hub.domain.model import Fact
from hub.domain.time_window import TimeWindow
from hub.journal.fact_reading.fact_rows import RAW_FACT, STORED_COLUMNS, read_raw_fact
from hub.store.hot_statements import HotStatement
from hub.store.tables import carried
from hub.store.tables import fact as table
from hub.store.transactions import Transaction

#: Business keys whose facts are read at a time.
_KEYS = 500
#: The maximum number of rows that `FactSearch.list_rows` yields at a time.
_TOGETHER = 2_000
#: The members of a row of `FactSearch.list_rows`.
ROW = ("key", "at", "message", "due", "day", "amount")
ALIKE = ("milestone", "counterpart", "outside", "document_type", "paper", "signature", "attributes")


class _JsonArray(sa.sql.functions.FunctionElement[str]):
    """A JSON array as text."""

    type = sa.String()
    inherit_cache = True


@compiles(_JsonArray, "sqlite")
def _write_for_sqlite(element: _JsonArray, compiler: SQLCompiler, **how: Any) -> str:
    return f"json_array({compiler.process(element.clauses, **how)})"


@compiles(_JsonArray, "postgresql")
def _write_for_postgresql(element: _JsonArray, compiler: SQLCompiler, **how: Any) -> str:
    return f"CAST(json_build_array({compiler.process(element.clauses, **how)}) AS TEXT)"


_BY_NAME = {column.name: stored for column, stored in zip(table.c, STORED_COLUMNS, strict=True)}
_OWN = sa.select(*(_BY_NAME[name] for name in ROW), _JsonArray(*(_BY_NAME[name] for name in ALIKE)))
_key_of = itemgetter(2)


@attrs.frozen
class FactSearch:
    """Finds, unit by unit, the facts in the windows of a period and all other facts of the same business keys."""

    _keys: sa.Select[Any] | sa.CompoundSelect[Any]  #: query for the business keys of a unit
    _facts: sa.Select[Any]  #: query for the facts of some keys of a unit
    _rows: sa.Select[Any]  #: likewise for their rows without unit and service
    _all: HotStatement | None  #: query for the rows of all facts of a unit, if all of its past is searched

    @classmethod
    def for_period(
        cls, service: str, windows: Collection[TimeWindow], form: str = "", period: str | None = None
    ) -> "FactSearch":
        """Return the search for *windows*.

        With *period*, also for the keys that *form* carried at the end of that closed month.
        """
        unit = sa.bindparam("of", type_=sa.Text)
        mine = sa.and_(table.c.service == service, table.c.unit == unit)
        looked_for = [sa.select(table.c.key).where(mine, *_list_window_conditions(window)) for window in windows]
        if period is not None:
            keys = sa.select(carried.c.key).where(carried.c.form == form, carried.c.unit == unit)
            looked_for.append(keys.where(build_carried_condition(period)))
        keys_of = (sa.union(*looked_for) if len(looked_for) > 1 else looked_for[0].distinct()).subquery()
        some = sa.bindparam("keys", expanding=True, type_=sa.Text)
        facts, rows = (each.where(mine, table.c.key.in_(some)).order_by(table.c.key) for each in (RAW_FACT, _OWN))
        past = any(window == TimeWindow(until=window.until) for window in windows)
        every = HotStatement(_OWN.where(mine).order_by(table.c.key)) if past else None
        return cls(sa.select(keys_of.c.key).execution_options(yield_per=_KEYS), facts, rows, every)

    def histories(self, tx: Transaction, unit: str) -> Iterator[list[Fact]]:
        """Yield the facts of *unit*, grouped by business key. Holds the facts of `_KEYS` keys in memory."""
        with tx.execute(self._keys, {"of": unit}) as keys:
            for some in keys.partitions():
                rows = tx.execute(self._facts, {"of": unit, "keys": [key for (key,) in some]}).all()
                for _, history in groupby(rows, _key_of):
                    yield [read_raw_fact(row) for row in history]

    def list_rows(self, tx: Transaction, unit: str) -> Iterator[list[tuple[Any, ...]]]:
        """Yield rows of the facts that `histories` yields, in the order of their keys and at most `_TOGETHER` at a time.
        If all of the past is searched, also rows of later keys.

        A row has the members `ROW`, in stored form, as the driver gives it: SQLAlchemy takes half as long to make rows of
        its own as the database takes to find them. The last is a JSON array of the members `ALIKE`, which many facts
        have in common: one text is read in half the time of seven.
        """
        if self._all is not None:
            yield from self._all.stream(tx, {"of": unit}, _TOGETHER)
            return
        with tx.execute(self._keys, {"of": unit}) as keys:
            for some in keys.partitions():
                with tx.execute(self._rows, {"of": unit, "keys": [key for (key,) in some]}) as rows:
                    yield cast("Any", rows.cursor).fetchall()


def build_carried_condition(period: str) -> sa.ColumnElement[bool]:
    """Return the condition that a key was carried at the end of the closed month *period*."""
    return sa.and_(carried.c.since <= period, sa.or_(carried.c.until.is_(None), carried.c.until > period))


def _list_window_conditions(window: TimeWindow) -> Iterator[sa.ColumnElement[bool]]:
    if window.since is not None:
        yield table.c.at >= window.since
    if window.until is not None:
        yield table.c.at < window.until
    if window.dated is not None:
        yield table.c.day.is_not(None) if window.dated else table.c.day.is_(None)
    if window.first is not None:
        yield table.c.day >= window.first
    if window.last is not None:
        yield table.c.day <= window.last


def use_indexes(tx: Transaction) -> None:
    """Make PostgreSQL find histories by key. If it expects many facts of a unit, it reads all of them each time.

    A plan that it keeps for any keys does so, too.
    """
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql(
            "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off;"
            " SET LOCAL plan_cache_mode = force_custom_plan"
        )
