"""Sends the statements of the hot path to the driver directly: compiled once per database, values converted as usual.

SQLAlchemy takes about 15 µs of Python per execution, the driver 1 to 5, and a message needs ten statements. So the
statements that every message and every delivery runs are `HotStatement`s. They use SQLAlchemy's connection and
transaction, raise its errors and are seen by its `before_cursor_execute` listeners. All other statements are executed
by SQLAlchemy. Contains no table.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, cast

import attrs
import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

Values = Mapping[str, Any]
#: Forms of one statement that are kept: one for each length of its lists, and a message may have a thousand recipients.
KEPT = 64
_Converts = tuple[tuple[int, str, Callable[[Any], Any]], ...]


@attrs.frozen(eq=False)
class _DriverForm:
    """A statement in the SQL of one database."""

    sql: str
    names: tuple[str, ...]  #: of the parameters; on SQLite in the order of their places
    fixed: Values  #: values that are part of the statement
    binds: _Converts  #: place and name of each value to convert, and its conversion
    reads: _Converts  #: likewise of each column of a row
    row: Callable[[Sequence[Any]], Any]  #: makes a named tuple of a row
    positional: bool

    def pack(self, values: Values) -> Any:
        """Return *values* as the driver takes them."""
        if self.fixed:
            values = {**self.fixed, **values}
        if self.positional:
            packed = [values[name] for name in self.names]
            for place, _, convert in self.binds:
                packed[place] = convert(packed[place])
            return packed
        named = {name: values[name] for name in self.names}
        for _, name, convert in self.binds:
            named[name] = convert(named[name])
        return named

    def unpack(self, row: Sequence[Any]) -> Any:
        """Return a row of the driver as a named tuple with its values converted."""
        if self.reads:
            row = list(row)
            for place, _, convert in self.reads:
                row[place] = convert(row[place])
        return self.row(row)


@attrs.define(eq=False)
class HotStatement:
    """A statement that is executed often. Its parameters are named; a parameter in *lists* takes a list of values.

    An INSERT or UPDATE without values of its own writes the columns *keys*.
    """

    _statement: sa.sql.expression.ClauseElement
    _keys: Sequence[str] | None = attrs.field(default=None, kw_only=True)
    _lists: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    #: by name of the database and lengths of the lists
    _forms: dict[tuple[object, ...], _DriverForm] = attrs.field(factory=dict, init=False)

    def read(self, tx: sa.Connection, values: Values) -> list[Any]:
        """Execute the query. Return its rows, as named tuples."""
        form, values = self._form(tx, values)
        return [form.unpack(row) for row in _execute(tx, form.sql, form.pack(values)).fetchall()]

    def first(self, tx: sa.Connection, values: Values) -> Any:
        """Execute the query. Return its first row, a named tuple, or None."""
        form, values = self._form(tx, values)
        row = _execute(tx, form.sql, form.pack(values)).fetchone()
        return None if row is None else form.unpack(row)

    def stream(self, tx: sa.Connection, values: Values, together: int) -> Iterator[list[Any]]:
        """Execute the query. Yield its rows as the driver gives them, at most *together* at a time. PostgreSQL sends them
        when they are asked for.
        """
        form, values = self._form(tx, values)
        named = () if form.positional else ("streamed",)
        with closing(_execute(tx, form.sql, form.pack(values), named=named)) as cursor:
            while some := cursor.fetchmany(together):
                yield some

    def run(self, tx: sa.Connection, values: Values) -> int:
        """Execute the statement. Return the number of rows that it inserted, changed or deleted."""
        form, values = self._form(tx, values)
        return cast("int", _execute(tx, form.sql, form.pack(values)).rowcount)

    def run_many(self, tx: sa.Connection, rows: Iterable[Values]) -> None:
        """Execute the statement for each of *rows*."""
        assert not self._lists, "each row could have other lengths"
        form, _ = self._form(tx, {})
        packed = [form.pack(values) for values in rows]
        if len(packed) == 1:
            _execute(tx, form.sql, packed[0])
        elif packed:
            _execute(tx, form.sql, packed, many=True)

    def write_sql(self, dialect: sa.Dialect) -> str:
        """Return the SQL for the driver of *dialect*, with two values for each list."""
        return self._compile(dialect, dict.fromkeys(self._lists, 2)).sql

    def _form(self, tx: sa.Connection, values: Values) -> tuple[_DriverForm, Values]:
        """Return the compiled statement and the values by parameter, a list spread over its parameters."""
        lengths = {name: len(values[name]) for name in self._lists}
        place = (tx.dialect.name, *lengths.values())
        form = self._forms.get(place)
        if form is None:
            if len(self._forms) >= KEPT:
                self._forms.clear()
            form = self._forms[place] = self._compile(tx.dialect, lengths)
        if not lengths:
            return form, values
        spread = {f"{name}_{number}": each for name in self._lists for number, each in enumerate(values[name], 1)}
        return form, {**values, **spread}

    def _compile(self, dialect: sa.Dialect, lengths: Mapping[str, int]) -> _DriverForm:
        """Return the statement for *dialect*, with *lengths* of its lists."""
        compiled = cast(
            "SQLCompiler",
            # for_executemany: without RETURNING for the key
            self._statement.compile(dialect=dialect, column_keys=self._keys, for_executemany=True),
        )
        asked: dict[str, object] = {name: None for name, bind in compiled.binds.items() if bind.required}
        asked |= {name: [None] * length for name, length in lengths.items()}
        state = compiled.construct_expanded_state(asked)
        names = tuple(state.positiontup or state.parameters)
        parts = {part: name for name, parts in state.parameter_expansion.items() for part in parts}
        types = {name: compiled.binds[parts.get(name, name)].type.dialect_impl(dialect) for name in names}
        binds = [(place, name, types[name].bind_processor(dialect)) for place, name in enumerate(names)]
        columns = list(getattr(self._statement, "selected_columns", ()))
        reads = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        named = cast("Any", namedtuple("Row", [column.key for column in columns], rename=True))  # noqa: PYI024
        return _DriverForm(
            sql=state.statement,
            names=names,
            fixed={name: state.parameters[name] for name in names if parts.get(name, name) not in asked},
            binds=tuple((place, name, convert) for place, name, convert in binds if convert),
            reads=tuple((place, "", convert) for place, convert in enumerate(reads) if convert),
            row=named._make,
            positional=compiled.positional,
        )


#: Rows of one statement about a set. Each number is a statement of its own, prepared once.
_SIZES = (64, 32, 16, 8, 4, 3, 2, 1)


def _cut_rows(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield *rows* in pieces of the lengths in `_SIZES`."""
    start = 0
    while start < len(rows):
        size = next(size for size in _SIZES if size <= len(rows) - start)
        yield rows[start : start + size]
        start += size


@attrs.define(eq=False)
class SetInsert:
    """Inserts rows of one table, many in one statement. *skips*: rows whose key is taken are left out.

    The driver releases the interpreter lock in each execution and waits for it afterwards, so one statement for many
    rows costs a busy hub much less than one statement a row.
    """

    _table: sa.Table
    _skips: bool = attrs.field(default=False, kw_only=True)
    _forms: dict[tuple[object, ...], tuple[str, _Converts]] = attrs.field(factory=dict, init=False)

    def run(self, tx: sa.Connection, rows: Sequence[Values]) -> int:
        """Insert *rows*, which all have the same keys in the same order. Return the number of rows inserted."""
        if not rows:
            return 0
        keys, count = tuple(rows[0]), 0
        for part in _cut_rows(rows):
            sql, converts = self._form(tx.dialect, keys, len(part))
            packed: list[Any] = []
            for row in part:
                cells = [row[key] for key in keys]
                for place, _, convert in converts:
                    cells[place] = convert(cells[place])
                packed += cells
            count += _execute(tx, sql, packed).rowcount
        return count

    def _form(self, dialect: sa.Dialect, keys: tuple[str, ...], count: int) -> tuple[str, _Converts]:
        form = self._forms.get((dialect.name, keys, count))
        if form is None:
            form = self._forms[dialect.name, keys, count] = self._compile(dialect, keys, count)
        return form

    def _compile(self, dialect: sa.Dialect, keys: tuple[str, ...], count: int) -> tuple[str, _Converts]:
        quote = dialect.identifier_preparer.quote
        columns = ", ".join(map(quote, keys))
        rows = write_places(dialect, [""] * len(keys), count)
        end = " ON CONFLICT DO NOTHING" if self._skips else ""
        converts = [self._table.c[key].type.dialect_impl(dialect).bind_processor(dialect) for key in keys]
        found = tuple((place, "", convert) for place, convert in enumerate(converts) if convert)
        sql = f"INSERT INTO {quote(self._table.name)} ({columns}) VALUES {rows}{end}"  # noqa: S608 - only names of columns
        return sql, found


@attrs.define(eq=False)
class SetQuery:
    """A statement about many things at once: `{rows}` in its SQL is the list of them, each a row of values.

    *types*: the SQL type of each value. *locks*: the tables whose rows found are locked; SQLite has one writer.
    """

    _sql: str
    _types: Sequence[str]
    _locks: Sequence[str] = attrs.field(default=(), kw_only=True)
    _forms: dict[tuple[str, int], str] = attrs.field(factory=dict, init=False)

    def read(self, tx: sa.Connection, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the rows found, as the driver gives them."""
        return [row for done in self._execute(tx, rows) for row in done.fetchall()]

    def run(self, tx: sa.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Execute a statement that finds no rows."""
        for _ in self._execute(tx, rows):
            pass

    def _execute(self, tx: sa.Connection, rows: Sequence[Sequence[Any]]) -> Iterator[Any]:
        for part in _cut_rows(rows):
            form = (tx.dialect.name, len(part))
            sql = self._forms.get(form)
            if sql is None:
                sql = self._forms[form] = self.write_sql(tx.dialect, len(part))
            yield _execute(tx, sql, [cell for row in part for cell in row])

    def write_sql(self, dialect: sa.Dialect, count: int) -> str:
        """Return the SQL about *count* things for the driver of *dialect*."""
        locks = f" FOR UPDATE OF {', '.join(self._locks)}" if self._locks and dialect.name != "sqlite" else ""
        return self._sql.replace("{rows}", write_places(dialect, self._types, count)) + locks


def write_places(dialect: sa.Dialect, types: Sequence[str], count: int) -> str:
    """Return the places of *count* rows of values in the words of the driver of *dialect*, such as `(?, ?), (?, ?)`.

    PostgreSQL takes a value without a type as one of the column it is inserted into, and has to be told elsewhere.
    """
    if dialect.name == "sqlite":
        row = ", ".join("?" for _ in types)
    else:
        row = ", ".join(f"%s::{each}" if each else "%s" for each in types)
    return ", ".join([f"({row})"] * count)


def _execute(tx: sa.Connection, sql: str, packed: Any, *, many: bool = False, named: Sequence[str] = ()) -> Any:
    """Return the cursor that executed *sql*. *named*: the name of a cursor of the server."""
    cursor = cast("Any", tx.connection.dbapi_connection).cursor(*named)
    for listener in tx.dispatch.before_cursor_execute:
        listener(tx, cursor, sql, packed, None, many)
    try:
        if many:
            cursor.executemany(sql, packed)
        else:
            cursor.execute(sql, packed)
    except Exception as error:  # noqa: BLE001 - it is raised again, as SQLAlchemy's own
        # It alone knows all that follows from an error: its class, and whether the pool's connections are lost.
        tx._handle_dbapi_exception(error, sql, packed, cursor, None)  # noqa: SLF001
    return cursor


def run_raw(tx: sa.Connection, sql: str) -> None:
    """Execute *sql*, a statement without parameters and rows."""
    _execute(tx, sql, ())
