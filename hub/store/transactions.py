"""Opens the journal's database and its transactions.  Knows SQLite's and PostgreSQL's settings; no table, no thread.

The daemon, the command line and the tests share it: what `write_transaction` wrote is on disk when the block ends.
"""

import os
import socket
import sqlite3
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from hub.domain.errors import Unready

Transaction = sa.Connection
T = TypeVar("T")

#: A journal that was found damaged is not used any more: it may look whole elsewhere, and a write would make it worse.
DAMAGED = "journal-damaged"

#: How long a writer waits for another process (the command line, a backup) to finish, in milliseconds.
_BUSY_MS = 15_000

#: PostgreSQL: how long to wait for a connection, and how soon to notice that the other side is gone (libpq's words).
_CONNECT = {
    "connect_timeout": 2,
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
    "application_name": "lienthong",
}
#: PostgreSQL: how soon the server notices that we are gone.  It ends who is idle within a transaction, but not who stopped in the middle of
#: several statements sent at once: a node whose cable is pulled there would keep its locks for as long as the system believes in it, two hours.
_SERVER = "SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 5000"
#: PostgreSQL: a writer that waits longer for a lock or a statement, or does nothing for so long, is ended and its work undone.
_WRITER = "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '60s'; SET LOCAL idle_in_transaction_session_timeout = '10s'"
#: PostgreSQL: the channel on which a node tells the others that something is due.
CHANNEL = "lienthong_due"
#: PostgreSQL: "cannot execute … in a read-only transaction".
_READ_ONLY = "25006"
#: Advisory lock of an upgrade on PostgreSQL ("schema" in ASCII).
_UPGRADE_LOCK = 0x736368656D61


class Unconfirmed(Exception):
    """The commit was done on this server, but it is not known whether on its standby; the argument is what the server said."""


def open_journal(url: str, *, password_file: Path | None = None, pooled: bool = True, node: str = "") -> sa.Engine:
    """Return an engine for `sqlite:///PATH` or `postgresql+psycopg://…`.  Nothing is opened yet.

    SQLite runs in WAL with `synchronous=FULL`: a commit survives a power cut.  PostgreSQL writes in READ COMMITTED, where each
    step locks the rows it moves; every new connection reads *password_file* anew.  `pooled=False` leaves no connection open.
    *node* is who rings (`notify_nodes`).  The execution option `statement_limit` bounds a reading statement, in seconds.
    """
    if url.startswith("sqlite"):
        engine = sa.create_engine(url) if pooled else sa.create_engine(url, poolclass=NullPool)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if pooled:
        engine = sa.create_engine(url, connect_args=dict(_CONNECT), pool_pre_ping=True, pool_timeout=10)
    else:
        engine = sa.create_engine(url, connect_args=dict(_CONNECT), poolclass=NullPool)
    if password_file is not None:
        event.listen(engine, "do_connect", partial(_read_password, password_file))
    event.listen(engine, "connect", _shorten_belief)
    event.listen(engine, "connect", _hear_warnings)
    event.listen(engine, "begin", _begin_postgresql)
    event.listen(engine, "handle_error", _give_up_standby)
    return engine.execution_options(node=node)


def _read_password(
    file: Path, _dialect: object, _entry: object, _arguments: object, options: MutableMapping[str, object]
) -> None:
    from psycopg import OperationalError

    try:
        options["password"] = file.read_text("utf-8").strip("\r\n")
    except (OSError, ValueError) as error:
        raise OperationalError(f"{file}: {error}") from error


def _begin_postgresql(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if options.get("writes", False):
        connection.exec_driver_sql(_WRITER)
    elif limit := options.get("statement_limit"):
        connection.exec_driver_sql(
            f"SET LOCAL statement_timeout = '{limit}s'; SET LOCAL client_connection_check_interval = '2s'"
        )


def _shorten_belief(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Let the server notice soon when we are gone.  Set here, not as a start option: what stands between may not pass those on."""
    raw = cast("Any", connection)
    raw.autocommit = True
    raw.execute(_SERVER)
    raw.autocommit = False


def _hear_warnings(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    """Keep the last warning of the server: a commit may end in one (`write_transaction`)."""

    def hear(said: Any) -> None:
        if said.severity_nonlocalized == "WARNING":
            entry.info["warning"] = said.message_primary

    cast("Any", connection).add_notice_handler(hear)


def _give_up_standby(context: ExceptionContext) -> None:
    """A server that turned out to be a standby, after a failover, is as good as lost: the next connection finds the primary."""
    writes = context.connection is not None and context.connection.get_execution_options().get("writes", False)
    if writes and getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


def _set_up_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # pysqlite would begin by itself, and too late
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes the lock at once: two that read first and write later would deadlock."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def write_transaction(engine: sa.Engine) -> Generator[Transaction]:
    """One write transaction: committed and durable when the block ends, rolled back if it raises.

    Raises `Unconfirmed` when PostgreSQL committed but stopped to wait for its synchronous standby: that is no error to it.
    """
    with engine.connect().execution_options(writes=True) as connection:
        kept = connection.info
        with connection.begin():
            kept.pop("due", None)
            yield connection
            kept.pop("warning", None)
        if warning := kept.pop("warning", None):
            raise Unconfirmed(warning)
        if kept.pop("due", False) and connection.dialect.name == "postgresql":
            _tell(connection)


def _tell(connection: sa.Connection) -> None:
    """Ring, now that it is committed.

    In the transaction itself a NOTIFY would let one commit at a time through, of all nodes; and this one need not be safe.
    """
    node = connection.get_execution_options().get("node", "")
    told = f"SET LOCAL synchronous_commit = off; SELECT pg_notify('{CHANNEL}', '{node}')"
    with suppress(sa.exc.DBAPIError), connection.begin():  # the others will see by themselves, a little later
        connection.exec_driver_sql(told)


def cut_connections(connections: Iterable[DBAPIConnection]) -> None:
    """Break PostgreSQL's *connections* under whoever waits on them in another thread, as a broken cable would."""
    for raw in cast("Iterable[Any]", list(connections)):
        if not raw.closed:
            with socket.socket(fileno=os.dup(raw.fileno())) as twin:
                twin.shutdown(socket.SHUT_RDWR)


def notify_nodes(tx: Transaction) -> None:
    """Tell the other nodes, after *tx* is committed, that something became due."""
    tx.info["due"] = True


def wait_for_synchronous_standby(tx: Transaction) -> None:
    """Let the commit of *tx* wait until all that was committed before it is as safe as a commit can be.

    Reading back what an earlier commit left writes nothing, so its own commit would not wait for a synchronous standby.
    """
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("SELECT pg_logical_emit_message(true, 'lienthong', '')")


@contextmanager
def read_transaction(engine: sa.Engine) -> Generator[Transaction]:
    """One consistent picture of the journal."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":  # there each statement would see what was committed meanwhile
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            yield connection


def run_reading(engine: sa.Engine, step: Callable[[Transaction], T]) -> T:
    """Run a reading *step*; once more when the connection turns out to be lost.  Raises `Unready`."""
    try:
        try:
            with read_transaction(engine) as tx:
                return step(tx)
        except sa.exc.DBAPIError as error:
            if not is_lost(error):
                raise
            with read_transaction(engine) as tx:
                return step(tx)
    except sa.exc.DBAPIError as error:
        if is_own_fault(error):
            raise
        raise describe_unready(error) from error


def describe_unready(error: sa.exc.DBAPIError) -> Unready:
    """Return what a failure of the database is to whoever waits for a result."""
    if is_damage(error):
        return Unready(DAMAGED, str(error.orig), retry_after=600)
    return Unready("journal-unavailable", str(error.orig))


def commit_nothing(engine: sa.Engine) -> None:
    """Commit nothing, as safely as anything: it takes as long as a commit must wait.  SQLAlchemy's errors, or `Unconfirmed`."""
    with write_transaction(engine) as tx:
        wait_for_synchronous_standby(tx)


def is_lost(error: sa.exc.DBAPIError) -> bool:
    """Tell whether the connection broke, or there was none: what became of a commit under way is not known."""
    if error.connection_invalidated:
        return True
    state = _state(error)
    unanswered = not state and error.orig is not None and type(error.orig).__module__.startswith("psycopg")
    return isinstance(error, sa.exc.OperationalError) and (unanswered or state.startswith(("08", "57P", "53300")))


def is_damage(error: BaseException) -> bool:
    """Tell whether SQLite found that its file is none, or is not whole (SQLITE_CORRUPT, SQLITE_NOTADB)."""
    code = getattr(getattr(error, "orig", None) or error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_passing(error: sa.exc.DBAPIError) -> bool:
    """Tell whether the database chose this transaction to give way: a deadlock, a conflict, a lock that took too long."""
    return _state(error) in ("40001", "40P01", "55P03")


def is_own_fault(error: sa.exc.DBAPIError) -> bool:
    """Tell whether it is the statement's doing and would be anywhere: a value that does not fit, a key that is taken."""
    if (
        error.connection_invalidated
        or isinstance(error, sa.exc.InterfaceError | sa.exc.InternalError)
        or is_damage(error)
    ):
        return False
    return not isinstance(error, sa.exc.OperationalError) or _state(error).startswith("54")


def _state(error: sa.exc.DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def find_unsafe_settings(tx: Transaction) -> list[tuple[str, str]]:
    """Return what makes this PostgreSQL server unfit for a journal: what is wrong and what is expected.  None on SQLite."""
    if tx.dialect.name != "postgresql":
        return []
    names = ("synchronous_commit", "fsync", "full_page_writes", "server_encoding", "server_version_num")
    found = {name: str(tx.exec_driver_sql(f"SHOW {name}").scalar()) for name in names}
    problems = [
        (f"{name} is off: a commit would not survive a power cut", f"{name} on, as PostgreSQL comes")
        for name in names[:3]
        if found[name] == "off"
    ]
    if found["server_encoding"] != "UTF8":
        problems.append((f"the database is encoded in {found['server_encoding']}", "a database with ENCODING 'UTF8'"))
    if tx.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
        problems.append(
            ("the server is a standby, which takes no writes", "the primary: target_session_attrs=read-write")
        )
    if int(found["server_version_num"]) < 140_000:
        problems.append((f"PostgreSQL {int(found['server_version_num']) // 10_000}", "PostgreSQL 14 or newer"))
    return problems


def put_once(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Insert *rows*, leaving alone each whose key is taken.  Returns how many were new."""
    if not rows:
        return 0
    once = _insert_once(table, tx.dialect.name)
    return sum(tx.execute(once, dict(row)).rowcount for row in rows)


@cache
def _insert_once(table: sa.Table, dialect: str) -> Any:
    """Return the statement, made once: making one costs as much as running it."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    once = insert(table).on_conflict_do_nothing()
    return once.execution_options(preserve_rowcount=True)  # else it is -1 on PostgreSQL


def put_new(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> set[tuple[object, ...]]:
    """Insert *rows* in few statements, leaving alone each whose primary key is taken.  Returns the keys that were new.

    They are inserted in the order of their keys: two transactions that have some in common wait for each other, but not in a circle.
    No key may be there twice: which of the two were written could not be told.
    """
    if not rows:
        return set()
    names = [column.name for column in table.primary_key]
    if len(rows) == 1:  # as most messages have it: a statement that returns nothing costs less
        return {tuple(rows[0][name] for name in names)} if put_once(tx, table, rows) else set()
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    once = insert(table).on_conflict_do_nothing().returning(*table.primary_key)
    ordered = sorted(rows, key=itemgetter(*names))
    return {tuple(row) for row in tx.execute(once, ordered)}


class Occupied(Exception):
    """Another transaction works on it, and in a shared one nobody waits."""


def share_transaction(tx: Transaction) -> None:
    """Let steps that know nothing of one another share *tx*: none of them waits for another transaction.

    It would hold meanwhile what the steps before it have locked, in an order that nobody chose: two such would wait for each other.
    """
    tx.execution_options(shared=True)


def one_at_a_time(tx: Transaction, names: Collection[str]) -> None:
    """Let no other transaction work on any of *names* until this one ends.  SQLite has one writer anyway.

    Raises `Occupied` where another one does and *tx* is shared.
    """
    if tx.dialect.name == "postgresql" and tx.get_execution_options().get("shared"):
        if those_at_hand(tx, names) != set(names):
            raise Occupied
    elif tx.dialect.name == "postgresql":
        query = sa.text(
            "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(CAST(:names AS text[])) AS name"
        )
        tx.execute(query, {"names": sorted(names)}).all()


def those_at_hand(tx: Transaction, names: Collection[str]) -> set[str]:
    """Do the same with those of *names* that no other transaction works on, and return them; nobody is waited for."""
    if tx.dialect.name != "postgresql":
        return set(names)
    query = sa.text(
        "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE pg_try_advisory_xact_lock(hashtextextended(name, 0))"
    )
    return set(tx.scalars(query, {"names": sorted(names)}))


def latest_version() -> str:
    """Return the schema version this code is written for."""
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    assert head is not None
    return head


@cache
def list_migrations() -> tuple[tuple[str, str], ...]:
    """Return the version and the part of each migration of this code, the first one first (hub.store.schema_version)."""
    found = reversed(list(ScriptDirectory.from_config(_alembic()).walk_revisions()))
    return tuple((each.revision, getattr(each.module, "part", "after")) for each in found)


def read_schema_version(engine: sa.Engine) -> str | None:
    """Return the schema version of the database; None when it is empty."""
    with engine.connect() as connection:
        return version_in(connection)


def version_in(tx: Transaction) -> str | None:
    """Return the schema version that *tx* sees; None when the database is empty."""
    return MigrationContext.configure(tx).get_current_revision()


def upgrade_schema(engine: sa.Engine, target: str = "head") -> None:
    """Bring the database to the latest schema version, or to *target*; does nothing when it is there."""
    config = _alembic()
    with write_transaction(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # an index over a large table takes its time
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, target)


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
