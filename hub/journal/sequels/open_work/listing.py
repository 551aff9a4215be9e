"""Lists and counts what units still have to do, by due day. Does not know how the list is kept, nor the registry."""

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import Any

import attrs
import sqlalchemy as sa

from hub.report.counting.open_work import ListedWork, OpenWork, WorkCount, WorkState
from hub.store.tables import message
from hub.store.tables import open_work as table
from hub.store.transactions import Transaction

#: So many units are looked up one by one in the index; of more, all rows that are due are read.
_UNITS = 50
_FIELDS = tuple(field.name for field in attrs.fields(OpenWork))
_TYPES = tuple(column.type for column in (table.c.due, table.c.unit, table.c.service, table.c.key))


@attrs.frozen(kw_only=True)
class WorkFilter:
    """Which open work is asked for. All given conditions must hold. What is due after `until` is never listed."""

    today: date
    until: date  #: the last due day
    units: Collection[str] | None = None  #: None: of every unit
    service: str | None = None
    state: WorkState | None = None
    field: str | None = None
    officer: str | None = None

    @property
    def _unit(self) -> sa.ColumnElement[str]:
        """The column of the unit: of many units as an expression, so that the rows come in the order of their due days."""
        many = self.units is not None and len(self.units) > _UNITS
        return table.c.unit.concat(sa.literal_column("''")) if many else table.c.unit

    @property
    def conditions(self) -> Sequence[sa.ColumnElement[bool]]:
        """The conditions of a statement."""
        found = [table.c.due <= self.until]
        if self.units is not None:
            found.append(self._unit.in_(sorted(self.units)))
        for column, value in ((table.c.service, self.service), (table.c.field, self.field)):
            if value is not None:
                found.append(column == value)
        if self.officer is not None:
            found.append(table.c.officer == self.officer)
        match self.state:
            case WorkState.LATE:
                found += [table.c.due < self.today, table.c.waiting.is_(False)]
            case WorkState.SOON:
                found += [table.c.due >= self.today, table.c.waiting.is_(False)]
            case WorkState.WAITING:
                found.append(table.c.waiting.is_(True))
        return found


def list_open_work(
    tx: Transaction, wanted: WorkFilter, limit: int, after: Sequence[str] | None = None
) -> list[ListedWork]:
    """Return open work by due day, unit, service and key, at most *limit*; behind the place *after*."""
    order = (table.c.due, table.c.unit, table.c.service, table.c.key)
    query = sa.select(table, message.c.code, message.c.document_id).join_from(
        table, message, message.c.id == table.c.message, isouter=True
    )
    query = query.where(*wanted.conditions).order_by(*order).limit(limit)
    if after is not None:
        query = query.where(sa.tuple_(*order) > sa.tuple_(date.fromisoformat(after[0]), *after[1:], types=_TYPES))
    found = []
    for row in tx.execute(query).mappings():
        work = OpenWork(**{name: row[name] for name in _FIELDS})
        number = (row["code"] or row["document_id"]) if work.service == "documents" else None
        found.append(ListedWork(work=work, number=number or work.key))
    return found


def count_open_work(tx: Transaction, wanted: WorkFilter, *, by_field: bool = False) -> list[WorkCount]:
    """Return the numbers of open work by unit and service, and with *by_field* by field; those without any are left out.

    *wanted*: without a state.
    """
    late, waiting = table.c.due < wanted.today, table.c.waiting.is_(True)

    def count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((condition, 1), else_=0))

    by = [table.c.unit, table.c.service, *([table.c.field] if by_field else [])]
    numbers = [
        count(sa.and_(late, ~waiting)).label("late"),
        count(sa.and_(~late, ~waiting)).label("soon"),
        count(waiting).label("waiting"),
        sa.func.min(sa.case((sa.and_(late, ~waiting), table.c.due))).label("oldest"),
        *([sa.func.max(table.c.field_name).label("field_name")] if by_field else []),
    ]
    query = sa.select(*by, *numbers).where(*wanted.conditions).group_by(*by).order_by(*by)
    return [_read_count(row) for row in tx.execute(query).mappings()]


def _read_count(row: sa.RowMapping) -> WorkCount:
    said: dict[str, Any] = {str(name): value for name, value in row.items()}
    oldest = said.pop("oldest")
    day = date.fromisoformat(oldest) if isinstance(oldest, str) else oldest
    return WorkCount(**(said | {name: int(said[name]) for name in ("late", "soon", "waiting")}), oldest=day)


def make_filter(today: date, days: int, **more: Any) -> WorkFilter:
    """Return the filter of what is late on *today*, or due within *days* calendar days, with the other conditions *more*."""
    return WorkFilter(today=today, until=today + timedelta(days=days), **more)
