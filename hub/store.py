"""Opens the journal's database and its transactions.  Knows SQLite's and PostgreSQL's settings; no table, no thread.

The daemon, the command line and the tests share it: what is written through `writing` is on disk when the block ends.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

Transaction = sa.Connection

#: How long a writer waits for another process (the command line, a backup) to finish, in milliseconds.
_BUSY_MS = 15_000


def open_journal(url: str, *, pooled: bool = True) -> sa.Engine:
    """Return an engine for `sqlite:///PATH` or `postgresql+psycopg://…`.

    SQLite runs in WAL with `synchronous=FULL`: a commit survives a power cut.  `pooled=False` leaves no connection open.
    """
    engine = sa.create_engine(url) if pooled else sa.create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


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
def writing(engine: sa.Engine) -> Generator[Transaction]:
    """One write transaction: committed and durable when the block ends, rolled back if it raises."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: sa.Engine) -> Generator[Transaction]:
    """One consistent picture of the journal."""
    with engine.connect() as connection, connection.begin():
        yield connection


def put_once(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Insert *rows*, leaving alone each whose key is taken.  Returns how many were new."""
    if not rows:
        return 0
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    return sum(tx.execute(insert(table).on_conflict_do_nothing(), [row]).rowcount for row in rows)


def latest_version() -> str:
    """Return the schema version this code is written for."""
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    assert head is not None
    return head


def version(engine: sa.Engine) -> str | None:
    """Return the schema version of the database; None when it is empty."""
    with engine.connect() as connection:
        return version_in(connection)


def version_in(tx: Transaction) -> str | None:
    """Return the schema version that *tx* sees; None when the database is empty."""
    return MigrationContext.configure(tx).get_current_revision()


def upgrade(engine: sa.Engine) -> None:
    """Bring the database to the latest schema version; does nothing when it is there."""
    config = _alembic()
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
