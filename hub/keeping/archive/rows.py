"""Writes rows of the journal as JSON objects, and reads them back. Knows types of columns, and no table.

A time is the text that the journal stores, a day `2026-11-24`, octets are base64. Everything else is the JSON of the same
value.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from hub.store.tables import DayType, Instant, write_instant


def write_row_values(row: sa.RowMapping | Mapping[str, Any]) -> dict[str, object]:
    """Return the values of *row* by column, as they stand in an archive. Columns that are null are left out."""
    return {name: _write_value(value) for name, value in row.items() if value is not None}


def read_row_values(table: sa.Table, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of *table* that `write_row_values` wrote as *said*: a value for each column.

    A column that *said* lacks is null, or has its default if it cannot be null (an older hub wrote the archive). Names
    that are no column are left out. Raises ValueError if a value is not of its column.
    """
    found: dict[str, Any] = {}
    for column in table.columns:
        value = said.get(column.name)
        if value is not None:
            found[column.name] = _read_value(column, value)
        elif column.nullable:
            found[column.name] = None
        elif column.server_default is None:
            raise ValueError(f"{table.name}.{column.name} is missing")
    return found


def _write_value(value: object) -> object:
    if isinstance(value, datetime):
        return write_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return b64encode(value).decode()
    return value


def _read_value(column: sa.Column[Any], value: Any) -> Any:
    kind = column.type
    try:
        if isinstance(kind, Instant):
            return datetime.fromisoformat(value)
        if isinstance(kind, DayType):
            return date.fromisoformat(value)
        if isinstance(kind, sa.LargeBinary):
            return b64decode(value, validate=True)
    except TypeError as error:
        raise ValueError(f"{column}: {error}") from None
    wanted: type | tuple[type, ...] = kind.python_type
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ValueError(f"{column}: {type(value).__name__}")
    return value
