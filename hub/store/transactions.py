"""Opens the journal's database and its transactions, with the settings that SQLite and PostgreSQL need.

The daemon, the command line and the tests share it. When the block of `write_transaction` has ended, its changes are on
disk. Knows no table except Alembic's version, and starts no thread.
"""

import os
import socket
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

from hub.language.phrases import Phrase, phrase
from hub.store.database_errors import describe_unready, is_connection_lost, is_statement_error
from hub.store.hot_statements import HotStatement, run_raw

Transaction = sa.Connection
T = TypeVar("T")

#: How long a writer waits for another process (the command line, a backup) to finish, in milliseconds.
_BUSY_MS = 15_000

#: PostgreSQL: connection timeout, and how fast a dead server is noticed (libpq parameters).
_CONNECT = {
    "connect_timeout": 2,
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
    "application_name": "lienthong",
}
#: PostgreSQL: how fast the server notices that this client is gone. `idle_in_transaction_session_timeout` does not
#: cover a client that stopped in the middle of several statements sent at once. Without these settings a node whose
#: cable is pulled there would keep its locks until the operating system's TCP keepalive ends the connection, two hours
#: later.
_SERVER = "SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 5000"
#: PostgreSQL: a writer that waits longer for a lock, runs a longer statement, or is idle longer, is ended and rolled
#: back.
_WRITER = "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '60s'; SET LOCAL idle_in_transaction_session_timeout = '10s'"
#: PostgreSQL: the NOTIFY channel on which a node tells the others that a delivery is due.
CHANNEL = "lienthong_due"
#: PostgreSQL: SQLSTATE of "cannot execute … in a read-only transaction".
_READ_ONLY = "25006"
#: PostgreSQL: advisory lock of a schema upgrade ("schema" in ASCII).
_UPGRADE_LOCK = 0x736368656D61


class Unconfirmed(Exception):
    """The server committed, but it is not known whether its standby did. The argument is the server's warning."""


def open_journal(
    url: str, *, password_file: Path | None = None, pooled: bool = True, node: str = "", read_only: bool = False
) -> sa.Engine:
    """Return an engine for `sqlite:///PATH` or `postgresql+psycopg://…`. No connection is opened yet.

    SQLite runs in WAL mode with `synchronous=FULL`, so a commit survives a power cut. PostgreSQL writes in READ
    COMMITTED, where each step locks the rows it moves. Every new PostgreSQL connection reads *password_file* again.
    `pooled=False` keeps no connection open. *node* is the sender of notifications (`notify_nodes`). The execution
    option `statement_limit` bounds a reading statement, in seconds (PostgreSQL only). With *read_only*, SQLite refuses
    every write; PostgreSQL refuses it in a transaction that reads anyway.
    """
    if url.startswith("sqlite"):
        engine = sa.create_engine(url) if pooled else sa.create_engine(url, poolclass=NullPool)
        event.listen(engine, "do_connect", _create_private_file)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        if read_only:
            event.listen(engine, "connect", _refuse_sqlite_writes)
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


def _create_private_file(
    _dialect: object, _entry: object, arguments: Sequence[str], _options: MutableMapping[str, object]
) -> None:
    """Create SQLite's file, if it is missing, so that only its owner may read it. Its `-wal` and `-shm` get the same mode."""
    if arguments and arguments[0] != ":memory:":
        with suppress(OSError):  # it exists; what else is wrong, SQLite says
            os.close(os.open(arguments[0], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


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
    """Make the server notice soon that this client is gone.

    The settings are statements, not start-up options, because a connection pooler in between may not pass start-up
    options on.
    """
    raw = cast("Any", connection)
    raw.autocommit = True
    raw.execute(_SERVER)
    raw.autocommit = False


def _hear_warnings(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    """Keep the server's last warning, because a commit may end with one (see `write_transaction`)."""

    def hear(said: Any) -> None:
        if said.severity_nonlocalized == "WARNING":
            entry.info["warning"] = said.message_primary

    cast("Any", connection).add_notice_handler(hear)


def _give_up_standby(context: ExceptionContext) -> None:
    """Treat a server that became a standby after a failover as lost: the next connection finds the primary."""
    writes = context.connection is not None and context.connection.get_execution_options().get("writes", False)
    if writes and getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


def _set_up_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the sqlite3 module would begin transactions by itself, and too late
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    if cursor.execute("PRAGMA page_count").fetchone()[0] == 0:
        # a new file: free pages can be given back step by step. Later it would need VACUUM, and take the write lock
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _refuse_sqlite_writes(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begin a transaction. A writer takes the write lock at once.

    Two transactions that read first and write later would deadlock.
    """
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def write_transaction(engine: sa.Engine) -> Generator[Transaction]:
    """Open a write transaction: committed and durable when the block ends, rolled back when the block raises.

    Raises `Unconfirmed` when PostgreSQL committed but stopped waiting for its synchronous standby, which PostgreSQL
    reports only as a warning.
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
            _notify_nodes(connection)


def _notify_nodes(connection: sa.Connection) -> None:
    """Notify the other nodes after the commit.

    NOTIFY inside the transaction would serialise the commits of all nodes. This separate commit need not be durable.
    """
    node = connection.get_execution_options().get("node", "")
    told = f"SET LOCAL synchronous_commit = off; SELECT pg_notify('{CHANNEL}', '{node}')"
    with suppress(sa.exc.DBAPIError), connection.begin():  # the other nodes poll, so they see it a little later anyway
        connection.exec_driver_sql(told)


@contextmanager
def savepoint(tx: Transaction) -> Generator[None]:
    """Undo what the block writes when it raises. The transaction goes on, unless its connection is lost."""
    run_raw(tx, "SAVEPOINT step")
    try:
        yield
    except BaseException:
        if not tx.invalidated:
            run_raw(tx, "ROLLBACK TO SAVEPOINT step")
            run_raw(tx, "RELEASE SAVEPOINT step")
        raise
    run_raw(tx, "RELEASE SAVEPOINT step")


def cut_connections(connections: Iterable[DBAPIConnection]) -> None:
    """Shut down the sockets of PostgreSQL *connections*.

    A thread that waits on one of them fails as after a broken cable.
    """
    for raw in cast("Iterable[Any]", list(connections)):
        if not raw.closed:
            with socket.socket(fileno=os.dup(raw.fileno())) as twin:
                twin.shutdown(socket.SHUT_RDWR)


def notify_nodes(tx: Transaction) -> None:
    """Notify the other nodes that something became due, once *tx* is committed."""
    tx.info["due"] = True


def wait_for_synchronous_standby(tx: Transaction) -> None:
    """Make the commit of *tx* wait until every earlier commit has reached the synchronous standby.

    A transaction that only reads back what an earlier commit left writes nothing, so its own commit would not wait.
    """
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("SELECT pg_logical_emit_message(true, 'lienthong', '')")


@contextmanager
def read_transaction(engine: sa.Engine) -> Generator[Transaction]:
    """Open a read transaction with one consistent snapshot of the journal."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":  # in READ COMMITTED each statement would have a new snapshot
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            yield connection


def run_reading(engine: sa.Engine, step: Callable[[Transaction], T]) -> T:
    """Run a reading *step*, and run it once more when the connection turns out to be lost. Raises `Unready`."""
    try:
        try:
            with read_transaction(engine) as tx:
                return step(tx)
        except sa.exc.DBAPIError as error:
            if not is_connection_lost(error):
                raise
            with read_transaction(engine) as tx:
                return step(tx)
    except sa.exc.DBAPIError as error:
        if is_statement_error(error):
            raise
        raise describe_unready(error) from error


def probe_commit(engine: sa.Engine) -> None:
    """Commit an empty transaction and wait for it as for a real one. Shows whether the synchronous standby answers.

    Raises SQLAlchemy's errors, or `Unconfirmed`.
    """
    with write_transaction(engine) as tx:
        wait_for_synchronous_standby(tx)


def find_unsafe_settings(tx: Transaction) -> list[tuple[Phrase, Phrase]]:
    """Return the settings that make this PostgreSQL server unfit for a journal, as (problem, expected).

    Returns an empty list on SQLite.
    """
    if tx.dialect.name != "postgresql":
        return []
    names = ("synchronous_commit", "fsync", "full_page_writes", "server_encoding", "server_version_num")
    found = {name: str(tx.exec_driver_sql(f"SHOW {name}").scalar()) for name in names}
    problems = [
        (
            phrase("{name} is off: a commit would not survive a power cut", name=name),
            phrase("{name} on, PostgreSQL's default", name=name),
        )
        for name in names[:3]
        if found[name] == "off"
    ]
    if found["server_encoding"] != "UTF8":
        problems.append(
            (
                phrase("the database is encoded in {encoding}", encoding=found["server_encoding"]),
                phrase("a database with ENCODING 'UTF8'"),
            )
        )
    if tx.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
        problems.append(
            (
                phrase("the server is a standby, which takes no writes"),
                phrase("the primary: target_session_attrs=read-write"),
            )
        )
    if int(found["server_version_num"]) < 140_000:
        problems.append(
            (
                phrase("PostgreSQL {version}", version=int(found["server_version_num"]) // 10000),
                phrase("PostgreSQL 14 or newer"),
            )
        )
    return problems


def insert_missing_rows(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Insert *rows*, skipping each row whose key exists. Return the number of rows inserted."""
    return sum(_insert_once(table, tx.dialect.name, tuple(row)).run(tx, row) for row in rows)


@cache
def _insert_once(table: sa.Table, dialect: str, keys: tuple[str, ...]) -> HotStatement:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return HotStatement(insert(table).on_conflict_do_nothing(), keys=keys)


def insert_new_rows(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> set[tuple[object, ...]]:
    """Insert *rows* in few statements, skipping each row whose primary key exists.

    Returns the primary keys that were inserted. The rows are inserted in the order of their keys, so two transactions
    with common keys wait for each other but do not deadlock. *rows* must not contain a key twice: it would not be known
    which of the two rows was inserted.
    """
    if not rows:
        return set()
    names = [column.name for column in table.primary_key]
    if len(rows) == 1:  # the common case; a statement without RETURNING costs less
        return {tuple(rows[0][name] for name in names)} if insert_missing_rows(tx, table, rows) else set()
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    once = insert(table).on_conflict_do_nothing().returning(*table.primary_key)
    ordered = sorted(rows, key=itemgetter(*names))
    return {tuple(row) for row in tx.execute(once, ordered)}


class Contested(Exception):
    """A row that must be new is there already, so a set of steps cannot be written together."""


class Occupied(Exception):
    """Another transaction holds a lock that is needed, and a step of a shared transaction does not wait."""


def share_transaction(tx: Transaction) -> None:
    """Mark *tx* as shared by independent steps, so that no step waits for a lock of another transaction.

    A step that waited would hold the locks of the steps before it, in an arbitrary order. Two such transactions would
    deadlock.
    """
    tx.execution_options(shared=True)


def lock_names(tx: Transaction, names: Collection[str]) -> None:
    """Lock *names* until the transaction ends, waiting for other transactions.

    SQLite has only one writer, so it needs no lock. Raises `Occupied` where another transaction holds one of *names*
    and *tx* is shared.
    """
    if not names:
        return
    if tx.dialect.name == "postgresql" and tx.get_execution_options().get("shared"):
        if try_lock_names(tx, names) != set(names):
            raise Occupied
    elif tx.dialect.name == "postgresql":
        query = sa.text(
            "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(CAST(:names AS text[])) AS name"
        )
        tx.execute(query, {"names": sorted(names)}).all()


def try_lock_names(tx: Transaction, names: Collection[str]) -> set[str]:
    """Try to lock *names* without waiting. Return the names that were locked."""
    if tx.dialect.name != "postgresql":
        return set(names)
    query = sa.text(
        "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE pg_try_advisory_xact_lock(hashtextextended(name, 0))"
    )
    return set(tx.scalars(query, {"names": sorted(names)}))


@cache
def read_latest_version() -> str:
    """Return the schema version that this program is written for."""
    head = ScriptDirectory.from_config(_make_alembic_config()).get_current_head()
    assert head is not None
    return head


@cache
def list_migrations() -> tuple[tuple[str, str], ...]:
    """Return the version and the part of each migration of this program, oldest first."""
    found = reversed(list(ScriptDirectory.from_config(_make_alembic_config()).walk_revisions()))
    return tuple((each.revision, getattr(each.module, "part", "after")) for each in found)


def read_schema_version(engine: sa.Engine) -> str | None:
    """Return the schema version of the database, or None when it is empty."""
    with engine.connect() as connection:
        return select_schema_version(connection)


def select_schema_version(tx: Transaction) -> str | None:
    """Return the schema version that *tx* sees, or None when the database is empty."""
    return MigrationContext.configure(tx).get_current_revision()


def measure_database_size(tx: Transaction) -> int:
    """Return the octets that the database takes: of SQLite the pages of its file, without the write-ahead log."""
    if tx.dialect.name == "postgresql":
        return int(tx.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())
    pages, size = (int(tx.exec_driver_sql(f"PRAGMA {what}").scalar_one()) for what in ("page_count", "page_size"))
    return pages * size


def upgrade_schema(engine: sa.Engine, target: str = "head") -> None:
    """Upgrade the database to the latest schema version, or to *target*. Does nothing when it is already there."""
    with write_transaction(engine) as tx:
        migrate_schema(tx, target)


def migrate_schema(tx: Transaction, target: str = "head") -> None:
    """Upgrade the database in the write transaction *tx*, as `upgrade_schema`: a rollback undoes it on both databases."""
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("SET LOCAL statement_timeout = 0")  # an index over a large table takes long
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
    config = _make_alembic_config()
    config.attributes["connection"] = tx
    command.upgrade(config, target)


def _make_alembic_config() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
