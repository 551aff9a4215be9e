"""Brings the tests journals on SQLite, and a PostgreSQL server: the one of LIENTHONG_TEST_DSN, else one of their own; and databases in it.

Knows how a database is made quickly, by copying a template or by emptying one that is no longer used; not what is tested in it.
"""

import contextlib
import functools
import os
import secrets
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from hub.config.database import parse_database_url
from hub.store import transactions
from hub.store.tables import metadata, upgrade
from lienthong_demo.run import postgres


def sqlite(path: Path) -> str:
    """Make a journal on SQLite with the latest tables and nothing in them, at *path*; return its URL."""
    path.write_bytes(_empty_journal())
    return _url(path)


@functools.cache
def _empty_journal() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "hub.db"
        engine = transactions.open_journal(_url(path), pooled=False)
        transactions.upgrade_schema(engine)
        engine.dispose()
        return path.read_bytes()


def _url(path: Path) -> str:
    return f"sqlite:///{path}"


def few_on_postgresql(name: str, values: Collection[str], few: Collection[str]) -> Callable[[Any], Any]:
    """Show a test each of *values* as *name* on SQLite, and *few* of them on PostgreSQL; the others there are left to the soak.

    For values, such as forms, that are told and read by the same statements.
    """
    cases = [pytest.param("sqlite", value, id=f"sqlite-{value}") for value in values]
    cases += [
        pytest.param("postgresql", value, id=f"postgresql-{value}", marks=() if value in few else pytest.mark.soak)
        for value in values
    ]
    return pytest.mark.parametrize(("journal_url", name), cases, indirect=["journal_url"])


def plans(url: str, step: Callable[[transactions.Transaction], object]) -> list[tuple[str, list[str]]]:
    """Return the statements by which *step* reads the journal on SQLite, each with the ways in which SQLite finds its rows."""
    engine, found = transactions.open_journal(url, pooled=False), list[tuple[str, list[str]]]()

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        beside = connection.connection.cursor()
        found.append((statement, [row[3] for row in beside.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]))

    sa.event.listen(engine, "before_cursor_execute", explain)
    with transactions.read_transaction(engine) as tx:
        step(tx)
    engine.dispose()
    return found


@attrs.define(eq=False)
class Postgresql:
    """A server in which databases may be made."""

    _admin: sa.URL
    server: postgres.Server | None  #: the process, when it is ours
    _template: str = attrs.field(factory=lambda: f"lienthong_{secrets.token_hex(4)}")
    _made: int = 0
    _spare: list[str] = attrs.field(factory=list)  #: empty, with the latest tables
    _fresh: object = None  #: how many things of each kind there are in a database that nobody has used

    @classmethod
    @contextlib.contextmanager
    def open(cls) -> Iterator["Postgresql"]:
        """Yield the server with its template.  Raises `postgres.Absent`."""
        with contextlib.ExitStack() as stack:
            dsn, server = os.environ.get("LIENTHONG_TEST_DSN"), None
            if not dsn:
                server = stack.enter_context(postgres.Server.open())
                dsn = server.url()
            made = cls(sa.make_url(parse_database_url(dsn, Path())), server)
            made._do(f"CREATE DATABASE {made._template} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
            engine = transactions.open_journal(made.url_of(made._template), pooled=False)
            transactions.upgrade_schema(engine)
            made._fresh = made._things(made._template)
            yield made
            if server is None:
                for name in (made._template, *made._spare):
                    made.drop(name)

    def url_of(self, name: str) -> str:
        """Return the URL of a database in it."""
        return self._admin.set(database=name).render_as_string(hide_password=False)

    @contextlib.contextmanager
    def database(self, *, empty: bool = False) -> Iterator[str]:
        """Yield the URL of a fresh database: with the latest tables, or *empty*."""
        name = self._spare.pop() if self._spare and not empty else self._make(empty=empty)
        try:
            yield self.url_of(name)
        finally:
            if not empty and self._emptied(name):
                self._spare.append(name)
            else:
                self.drop(name)

    def _make(self, *, empty: bool) -> str:
        self._made += 1
        name = f"{self._template}_{self._made}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else self._template}")
        return name

    def _emptied(self, name: str) -> bool:
        """Empty a database, which takes a quarter of what making one takes.  False when it is not as it was made."""
        tables = ", ".join(table.name for table in metadata.sorted_tables if table is not upgrade)
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        try:
            self._do(others, "SET lock_timeout = '5s'", f"TRUNCATE {tables} RESTART IDENTITY", database=name)
        except sa.exc.DBAPIError:
            return False
        return self._things(name) == self._fresh

    def drop(self, name: str) -> None:
        """Drop a database, whoever is in it."""
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def _things(self, name: str) -> object:
        """Return the version, which migrations were noted, and how many relations, triggers and functions there are.

        A test may make some.
        """
        with self._connected(name) as connection:
            counts = ", ".join(f"(SELECT count(*) FROM {kind})" for kind in ("pg_class", "pg_trigger", "pg_proc"))
            noted = "(SELECT array_agg(u ORDER BY version)::text FROM upgrade u)"
            return tuple(
                connection.exec_driver_sql(f"SELECT version_num, {noted}, {counts} FROM alembic_version").one()
            )

    def _do(self, *statements: str, database: str | None = None) -> None:
        with self._connected(database) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def _connected(self, database: str | None = None) -> contextlib.AbstractContextManager[sa.Connection]:
        url = self._admin if database is None else self._admin.set(database=database)
        return sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()
