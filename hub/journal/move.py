"""Moves a journal from SQLite into an empty PostgreSQL database, row by row, and proves it.  Knows tables, rows and digests; not what they say.

Each chunk of rows is committed together with how far the move has come, so that it goes on where it was interrupted.  A table is
verified when the number and the digest of all its rows, read from each side, are equal; the whole by the hash chain of its events.
The source is locked against writers meanwhile, and written to only once, at the end: it is marked as moved.
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

#: A chunk ends after so many rows or octets.
ROWS, OCTETS = 5000, 4 << 20
#: Rows read in one go, from a table whose rows are small, and from one that may hold large ones.
_FEW, _MANY = 32, 1000
_MODULUS = 1 << 256

Row = Sequence[object]


class Unmovable(Exception):
    """The move is refused or cannot go on: *why* (a word of `WHY` in hub/cli/db/move.py), and what was found."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}")
        self.why = why
        self.detail = detail


class _Changed(Exception):
    """The source is not what it was when this move began."""


@attrs.frozen
class Sum:
    """The number of some rows and the sum of their SHA-256, whatever their order."""

    rows: int = 0
    digest: int = 0

    def plus(self, rows: Iterable[Row]) -> "Sum":
        """Return it with *rows* added."""
        count, digest = self.rows, self.digest
        for row in rows:
            count += 1
            digest += int.from_bytes(hashlib.sha256(b"".join(map(_octets, row))).digest(), "big")
        return Sum(count, digest % _MODULUS)


@attrs.frozen
class Moved:
    """One table that was moved: its sum on both sides, and how many of its rows an earlier run had moved."""

    table: str
    sum: Sum
    before: int


Tell = Callable[[str, int, int], None]  #: told of a table, how many of its rows are done, and of how many


@attrs.frozen(kw_only=True)
class Move:
    """A move of one journal: *source* on SQLite, called *origin*, into *target* on PostgreSQL, which is *destination*."""

    source: sa.Engine
    target: sa.Engine
    origin: str
    destination: str
    tell: Tell = lambda _table, _done, _total: None

    def look(self) -> dict[str, tuple[int, int]]:
        """Return for each table how many rows there are, and how many of them are moved already.  Raises `Unmovable`.

        Nothing is changed.
        """
        with transactions.read_transaction(self.source) as there, transactions.read_transaction(self.target) as tx:
            self._judge_source(there)
            before = self._judge_target(tx)
            return {table.name: (_count(there, table), before.get(table.name, 0)) for table in metadata.sorted_tables}

    def run(self, now: datetime) -> list[Moved]:
        """Move what is not moved yet, verify it, and mark both sides.  Raises `Unmovable`; run again, it goes on."""
        with transactions.write_transaction(self.source) as there:  # nobody else writes to it until this block ends
            gone = self._judge_source(there)
            broken = next(events.find_broken_events(there), None)
            if broken is not None:
                raise Unmovable("chain-broken", f"{self.origin}: {broken}")
            self._begin()
            try:
                moved = [self._move(there, table) for table in metadata.sorted_tables]
            except _Changed:
                self._begin_anew()
                moved = [self._move(there, table) for table in metadata.sorted_tables]
            self._compare_chains(there)
            if not gone:
                move_marks.set_moved(there, self.destination, now)
        self._finish(moved, now)
        return moved

    def _judge_source(self, there: Transaction) -> bool:
        """Tell whether an earlier run has marked the source already, and was interrupted then."""
        found = transactions.version_in(there)
        if found == move_marks.MOVED:
            with transactions.read_transaction(self.target) as tx:
                unfinished = transactions.version_in(tx) == move_marks.MOVING
            if unfinished and _whither(there) == self.destination:
                return True
            raise Unmovable("source-moved", _whither(there))
        if found != transactions.latest_version():
            raise Unmovable("source-version", str(found))
        return False

    def _judge_target(self, tx: Transaction) -> dict[str, int]:
        """Return how many rows of each table an earlier run has moved; none where the database is empty."""
        found = transactions.version_in(tx)
        if found is None:
            return {}
        if found == move_marks.MOVING:
            rows = tx.execute(sa.select(move_marks.progress)).all()
            sources, versions = {row.source for row in rows}, {row.version for row in rows}
            if sources != {self.origin}:
                raise Unmovable("other-source", ", ".join(sources))
            if versions != {transactions.latest_version()}:
                raise Unmovable("target-version", ", ".join(versions))
            return {row.name: row.rows for row in rows}
        if found != transactions.latest_version():
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
            tx.exec_driver_sql("LOCK TABLE alembic_version IN EXCLUSIVE MODE")  # another move waits, and finds the mark
            self._judge_target(tx)
            if transactions.version_in(tx) != move_marks.MOVING:
                _empty(tx)  # of what the migrations put there
                move_marks.set_moving(tx, self.origin, [table.name for table in metadata.sorted_tables])

    def _begin_anew(self) -> None:
        with transactions.write_transaction(self.target) as tx:
            _empty(tx)
            move_marks.unset_moving(tx)
            move_marks.set_moving(tx, self.origin, [table.name for table in metadata.sorted_tables])

    def _move(self, there: Transaction, table: sa.Table) -> Moved:
        """Move the rows of one table that are not on the other side yet, and verify all of them.  Raises `_Changed`."""
        plain, total = _plain(table), _count(there, table)
        mine = move_marks.progress.c.name == table.name
        with transactions.read_transaction(self.target) as tx:
            done = tx.execute(sa.select(move_marks.progress).where(mine)).one()
        seen = Sum()
        for _, rows in _chunks(there, plain, sa.literal_column("rowid") <= done.after):
            seen = seen.plus(rows)
        if seen != Sum(done.rows, int(done.digest, 16)):
            raise _Changed(table.name)
        self.tell(table.name, seen.rows, total)
        for after, rows in _chunks(there, plain, sa.literal_column("rowid") > done.after):
            seen = seen.plus(rows)
            with transactions.write_transaction(self.target) as tx:
                _copy(tx, plain, rows)
                now_at = {"after": after, "rows": seen.rows, "digest": f"{seen.digest:x}", "verified": False}
                tx.execute(sa.update(move_marks.progress).where(mine).values(now_at))
            self.tell(table.name, seen.rows, total)
        if not done.verified or seen.rows > done.rows:
            with transactions.read_transaction(self.target) as tx:
                landed = _sum(tx, plain)
            if landed != seen:
                raise Unmovable("differs", f"{table.name}: {seen.rows} / {landed.rows}")
            with transactions.write_transaction(self.target) as tx:
                tx.execute(sa.update(move_marks.progress).where(mine).values(verified=True))
        return Moved(table.name, seen, done.rows)

    def _compare_chains(self, there: Transaction) -> None:
        with transactions.read_transaction(self.target) as tx:
            broken = next(events.find_broken_events(tx), None)
            if broken is not None:
                raise Unmovable("chain-broken", f"{self.destination}: {broken}")
            if events.read_chain_head(there) != events.read_chain_head(tx):
                raise Unmovable("differs", f"{events.read_chain_head(there)} / {events.read_chain_head(tx)}")

    def _finish(self, moved: Iterable[Moved], now: datetime) -> None:
        """Make the target a journal: numbers go on behind the moved ones, and it tells in its own chain where it came from."""
        with transactions.write_transaction(self.target) as tx:
            tx.exec_driver_sql("SET LOCAL statement_timeout = 0")
            for table in metadata.sorted_tables:
                _go_on_counting(tx, table)
                tx.exec_driver_sql(f'ANALYZE "{table.name}"')
            number, head = events.read_chain_head(tx)
            rows = {each.table: each.sum.rows for each in moved}
            said = {"from": self.origin, "rows": rows, "number": number, "hash": head}
            events.append_events(tx, Event("journal-moved", now, None, None, said))
            move_marks.unset_moving(tx)


def _whither(there: Transaction) -> str:
    """Return where the mark of a moved journal says that it is."""
    return str(there.scalars(sa.select(move_marks.moved.c.url)).one())


def _plain(table: sa.Table) -> sa.TableClause:
    """Return *table* with each value as it is stored: an instant stays the text that it is."""
    return sa.table(table.name, *(sa.column(column.name, _stored(column.type)) for column in table.columns))


def _stored(kind: sa.types.TypeEngine[object]) -> sa.types.TypeEngine[object]:
    return kind.impl_instance if isinstance(kind, TypeDecorator) else kind


def _at_once(table: sa.TableClause) -> int:
    return _FEW if any(isinstance(column.type, sa.LargeBinary) for column in table.columns) else _MANY


def _chunks(
    there: Transaction, table: sa.TableClause, which: sa.ColumnElement[bool]
) -> Iterator[tuple[int, list[Row]]]:
    """Yield the rows of a SQLite table in the order of their rowids, some at a time, with the last rowid of each chunk."""
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


def _copy(tx: Transaction, table: sa.TableClause, rows: Iterable[Row]) -> None:
    """Append *rows* to a PostgreSQL table.  Raises `Unmovable` for a value that PostgreSQL does not take."""
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


def _sum(tx: Transaction, table: sa.TableClause) -> Sum:
    query = sa.select(*table.columns).execution_options(yield_per=_at_once(table))
    with tx.execute(query) as found:
        return Sum().plus(found)


def _count(tx: Transaction, table: sa.Table) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _empty(tx: Transaction) -> None:
    names = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
    tx.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")


def _go_on_counting(tx: Transaction, table: sa.Table) -> None:
    """Let the table's own numbers begin behind those that were moved."""
    for column in table.primary_key.columns:
        place = {"table": f'"{table.name}"', "column": column.name}
        if tx.scalar(sa.text("SELECT pg_get_serial_sequence(:table, :column)"), place) is None:
            continue
        last = tx.scalar(sa.select(sa.func.max(column)))
        if last is not None:
            tx.execute(
                sa.text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"), {**place, "last": last}
            )


def _octets(value: object) -> bytes:
    """Write a value so that no two rows look alike, and the same row alike from both databases."""
    match value:
        case None:
            return b"-"
        case int():  # a truth value too
            return b"i%d;" % value
        case str():
            text = value.encode()
            return b"s%d:%b" % (len(text), text)
        case bytes() | memoryview():
            return b"b%d:%b" % (len(value), bytes(value))
        case float():
            return b"f%b;" % repr(value).encode()
        case dict() | list():
            return _octets(json.dumps(value, sort_keys=True))
    raise TypeError(f"a value of {type(value)} has no place in a journal")
