"""Moves a journal from SQLite into an empty PostgreSQL database, row by row, and verifies the result.

Each chunk of rows is committed together with the progress of the move, so an interrupted move continues where it
stopped. A table is verified when the number and the digest of all its rows, read from both sides, are equal. The whole
journal is verified by the hash chain of its events. The source is locked against writers during the move and written
only once, at the end, when it is marked as moved. Knows tables, rows and digests, not their meaning.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import attrs
import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.types import TypeDecorator

from hub.domain.model import Event
from hub.journal import events
from hub.store import move_marks, transactions
from hub.store.tables import metadata
from hub.store.transactions import Transaction

#: Tables that the new journal fills by itself: its triggers count the deliveries as they arrive.
DERIVED = frozenset({"waiting_count"})
#: Limits of a chunk: rows, and octets.
ROWS, OCTETS = 5000, 4 << 20
#: Rows fetched at a time: from a table that may hold large values, and from a table of small rows.
_FEW, _MANY = 32, 1000
_MODULUS = 1 << 256

Row = Sequence[object]


class Unmovable(Exception):
    """The move is refused or cannot continue.

    *why* is a key of `WHY` in hub/cli/db/move.py; *detail* is what was found.
    """

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}")
        self.why = why
        self.detail = detail


class _Changed(Exception):
    """The source has changed since this move began."""


@attrs.frozen
class RowSum:
    """The number of rows, and the sum of their SHA-256 modulo 2^256, independent of their order."""

    rows: int = 0  #: number of rows
    digest: int = 0  #: sum of their SHA-256

    def plus(self, rows: Iterable[Row]) -> "RowSum":
        """Return the sum with *rows* added."""
        count, digest = self.rows, self.digest
        for row in rows:
            count += 1
            digest += int.from_bytes(hashlib.sha256(b"".join(map(_encode_value, row))).digest(), "big")
        return RowSum(count, digest % _MODULUS)


@attrs.frozen
class MovedTable:
    """The result for one table: its sum on both sides, and the rows that an earlier run had moved."""

    table: str
    sum: RowSum
    before: int  #: rows that an earlier run had moved


Tell = Callable[[str, int, int], None]  #: called with a table's name, its rows done so far, and its rows in total


@attrs.frozen(kw_only=True)
class JournalMove:
    """A move of one journal: *source* (SQLite, named *origin*) into *target* (PostgreSQL, named *destination*)."""

    source: sa.Engine
    target: sa.Engine
    origin: str  #: name of the source, as the marks state it
    destination: str  #: URL of the target, as the marks state it
    tell: Tell = lambda _table, _done, _total: None  #: called to report progress

    def count_rows(self) -> dict[str, tuple[int, int]]:
        """Return for each table the number of rows in the source and the number already moved. Raises `Unmovable`.

        Changes nothing.
        """
        with transactions.read_transaction(self.source) as there, transactions.read_transaction(self.target) as tx:
            self._judge_source(there)
            before = self._judge_target(tx)
            return {table.name: (_count_rows(there, table), before.get(table.name, 0)) for table in list_moved_tables()}

    def run(self, now: datetime) -> list[MovedTable]:
        """Move and verify what is not moved yet, and mark both sides. Raises `Unmovable`.

        A new run continues an interrupted one.
        """
        # no other process writes to the source until this block ends
        with transactions.write_transaction(self.source) as there:
            gone = self._judge_source(there)
            broken = next(events.find_broken_events(there), None)
            if broken is not None:
                raise Unmovable("chain-broken", f"{self.origin}: {broken}")
            self._begin()
            try:
                moved = [self._move(there, table) for table in list_moved_tables()]
            except _Changed:
                self._begin_anew()
                moved = [self._move(there, table) for table in list_moved_tables()]
            self._compare_chains(there)
            if not gone:
                move_marks.mark_journal_moved(there, self.destination, now)
        self._finish(moved, now)
        return moved

    def _judge_source(self, there: Transaction) -> bool:
        """Tell whether an earlier run already marked the source and was interrupted after that. Raises `Unmovable`."""
        found = transactions.select_schema_version(there)
        if found == move_marks.MoveMark.MOVED:
            with transactions.read_transaction(self.target) as tx:
                unfinished = transactions.select_schema_version(tx) == move_marks.MoveMark.MOVING
            if unfinished and _read_new_address(there) == self.destination:
                return True
            raise Unmovable("source-moved", _read_new_address(there))
        if found != transactions.read_latest_version():
            raise Unmovable("source-version", str(found))
        return False

    def _judge_target(self, tx: Transaction) -> dict[str, int]:
        """Return the rows per table that an earlier run has moved, or {} for an empty database. Raises `Unmovable`."""
        found = transactions.select_schema_version(tx)
        if found is None:
            return {}
        if found == move_marks.MoveMark.MOVING:
            rows = tx.execute(sa.select(move_marks.progress)).all()
            sources, versions = {row.source for row in rows}, {row.version for row in rows}
            if sources != {self.origin}:
                raise Unmovable("other-source", ", ".join(sources))
            if versions != {transactions.read_latest_version()}:
                raise Unmovable("target-version", ", ".join(versions))
            return {row.name: row.rows for row in rows}
        if found != transactions.read_latest_version():
            raise Unmovable("target-version", found)
        for name in ("message", "event", "unit"):
            if tx.execute(sa.select(sa.literal(1)).select_from(metadata.tables[name]).limit(1)).first():
                raise Unmovable("target-not-empty", name)
        return {}

    def _begin(self) -> None:
        store_is_empty = transactions.read_schema_version(self.target) is None
        if store_is_empty:
            transactions.upgrade_schema(self.target)
        with transactions.write_transaction(self.target) as tx:
            # another move waits here and then finds the mark
            tx.exec_driver_sql("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
            self._judge_target(tx)
            if transactions.select_schema_version(tx) != move_marks.MoveMark.MOVING:
                _empty_tables(tx)  # removes the rows that the migrations inserted
                move_marks.mark_journal_moving(tx, self.origin, [table.name for table in list_moved_tables()])

    def _begin_anew(self) -> None:
        with transactions.write_transaction(self.target) as tx:
            _empty_tables(tx)
            move_marks.unmark_journal_moving(tx)
            move_marks.mark_journal_moving(tx, self.origin, [table.name for table in list_moved_tables()])

    def _move(self, there: Transaction, table: sa.Table) -> MovedTable:
        """Copy the rows of one table that are missing on the target, and verify all rows. Raises `_Changed`."""
        plain, total = _make_plain_table(table), _count_rows(there, table)
        mine = move_marks.progress.c.name == table.name
        with transactions.read_transaction(self.target) as tx:
            done = tx.execute(sa.select(move_marks.progress).where(mine)).one()
        seen = RowSum()
        for _, rows in _read_chunks(there, plain, sa.literal_column("rowid") <= done.after):
            seen = seen.plus(rows)
        if seen != RowSum(done.rows, int(done.digest, 16)):
            raise _Changed(table.name)
        self.tell(table.name, seen.rows, total)
        for after, rows in _read_chunks(there, plain, sa.literal_column("rowid") > done.after):
            seen = seen.plus(rows)
            with transactions.write_transaction(self.target) as tx:
                _copy_rows(tx, plain, rows)
                now_at = {"after": after, "rows": seen.rows, "digest": f"{seen.digest:x}", "verified": False}
                tx.execute(sa.update(move_marks.progress).where(mine).values(now_at))
            self.tell(table.name, seen.rows, total)
        if not done.verified or seen.rows > done.rows:
            with transactions.read_transaction(self.target) as tx:
                landed = _sum_rows(tx, plain)
            if landed != seen:
                raise Unmovable("differs", f"{table.name}: {seen.rows} / {landed.rows}")
            with transactions.write_transaction(self.target) as tx:
                tx.execute(sa.update(move_marks.progress).where(mine).values(verified=True))
        return MovedTable(table.name, seen, done.rows)

    def _compare_chains(self, there: Transaction) -> None:
        with transactions.read_transaction(self.target) as tx:
            broken = next(events.find_broken_events(tx), None)
            if broken is not None:
                raise Unmovable("chain-broken", f"{self.destination}: {broken}")
            if events.read_chain_head(there) != events.read_chain_head(tx):
                raise Unmovable("differs", f"{events.read_chain_head(there)} / {events.read_chain_head(tx)}")

    def _finish(self, moved: Iterable[MovedTable], now: datetime) -> None:
        """Make the target a journal: set its sequences behind the moved rows, and record its origin in its chain."""
        with transactions.write_transaction(self.target) as tx:
            tx.exec_driver_sql("SET LOCAL statement_timeout = 0")
            for table in metadata.sorted_tables:
                _go_on_counting(tx, table)
                tx.exec_driver_sql(f'ANALYZE "{table.name}"')
            number, head = events.read_chain_head(tx)
            rows = {each.table: each.sum.rows for each in moved}
            said = {"from": self.origin, "rows": rows, "number": number, "hash": head}
            events.append_events(tx, Event("journal-moved", now, None, None, said))
            move_marks.unmark_journal_moving(tx)


def list_moved_tables() -> list[sa.Table]:
    """Return the tables whose rows are moved, each behind those that its rows refer to."""
    return [table for table in metadata.sorted_tables if table.name not in DERIVED]


def _read_new_address(there: Transaction) -> str:
    """Return the new address in the mark of a moved journal."""
    return str(there.scalars(sa.select(move_marks.moved.c.url)).one())


def _make_plain_table(table: sa.Table) -> sa.TableClause:
    """Return *table* with each value in its stored form: an instant stays text."""
    return sa.table(table.name, *(sa.column(column.name, _find_stored_type(column.type)) for column in table.columns))


def _find_stored_type(kind: sa.types.TypeEngine[object]) -> sa.types.TypeEngine[object]:
    return kind.impl_instance if isinstance(kind, TypeDecorator) else kind


def _at_once(table: sa.TableClause) -> int:
    return _FEW if any(isinstance(column.type, sa.LargeBinary) for column in table.columns) else _MANY


def _read_chunks(
    there: Transaction, table: sa.TableClause, which: sa.ColumnElement[bool]
) -> Iterator[tuple[int, list[Row]]]:
    """Yield the rows of a SQLite table in rowid order, in chunks, each with its last rowid."""
    rowid = sa.literal_column("rowid", sa.Integer)
    query = sa.select(rowid, *table.columns).where(which).order_by(rowid)
    chunk: list[Row] = []
    size = last = 0
    with there.execute(query.execution_options(yield_per=_at_once(table))) as found:
        for last, *row in found:
            chunk.append(row)
            size += sum(len(value) for value in row if isinstance(value, str | bytes))
            if len(chunk) >= ROWS or size >= OCTETS:
                yield last, chunk
                chunk, size = [], 0
    if chunk:
        yield last, chunk


def _copy_rows(tx: Transaction, table: sa.TableClause, rows: Iterable[Row]) -> None:
    """Append *rows* to a PostgreSQL table. Raises `Unmovable` for a value that PostgreSQL rejects."""
    bind = [column.type.dialect_impl(tx.dialect).bind_processor(tx.dialect) for column in table.columns]
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    order = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), names)
    connection: psycopg.Connection[object] = tx.connection.driver_connection  # type: ignore[assignment]
    try:
        with connection.cursor() as cursor, cursor.copy(order) as copy:
            for row in rows:
                copy.write_row([write(value) if write else value for write, value in zip(bind, row, strict=True)])
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise Unmovable("not-taken", f"{table.name}: {error}") from error


def _sum_rows(tx: Transaction, table: sa.TableClause) -> RowSum:
    query = sa.select(*table.columns).execution_options(yield_per=_at_once(table))
    with tx.execute(query) as found:
        return RowSum().plus(found)


def _count_rows(tx: Transaction, table: sa.Table) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _empty_tables(tx: Transaction) -> None:
    names = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
    tx.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")


def _go_on_counting(tx: Transaction, table: sa.Table) -> None:
    """Set the sequence of the table behind the moved rows."""
    for column in table.primary_key.columns:
        place = {"table": f'"{table.name}"', "column": column.name}
        if tx.scalar(sa.text("SELECT pg_get_serial_sequence(:table, :column)"), place) is None:
            continue
        last = tx.scalar(sa.select(sa.func.max(column)))
        if last is not None:
            tx.execute(
                sa.text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"), {**place, "last": last}
            )


def _encode_value(value: object) -> bytes:
    """Encode a value unambiguously, with the same result for both databases."""
    match value:
        case None:
            return b"-"
        case int():  # a bool too: SQLite stores it as an integer
            return b"i%d;" % value
        case str():
            text = value.encode()
            return b"s%d:%b" % (len(text), text)
        case bytes() | memoryview():
            return b"b%d:%b" % (len(value), bytes(value))
        case float():
            return b"f%b;" % repr(value).encode()
        case dict() | list():
            return _encode_value(json.dumps(value, sort_keys=True))
    raise TypeError(f"a journal stores no value of {type(value)}")
