"""Brings the tests a PostgreSQL server: the one of LIENTHONG_TEST_DSN, else one of their own; and fresh databases in it.

Knows how a database is made quickly, by copying a template; not what is tested in it.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import attrs
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from hub import store
from hub.config.database import url_of
from hub.demo import postgres


@attrs.define(eq=False)
class Postgresql:
    """A server in which databases may be made."""

    _admin: sa.URL
    server: postgres.Server | None  #: the process, when it is ours
    _template: str = attrs.field(factory=lambda: f"lienthong_{secrets.token_hex(4)}")
    _made: int = 0

    @classmethod
    @contextlib.contextmanager
    def open(cls) -> Iterator["Postgresql"]:
        """Yield the server with its template.  Raises `postgres.Absent`."""
        with contextlib.ExitStack() as stack:
            dsn, server = os.environ.get("LIENTHONG_TEST_DSN"), None
            if not dsn:
                server = stack.enter_context(postgres.Server.open())
                dsn = server.url()
            made = cls(sa.make_url(url_of(dsn, Path())), server)
            made._do(f"CREATE DATABASE {made._template} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
            engine = store.open_journal(made.url_of(made._template), pooled=False)
            store.upgrade(engine)
            yield made
            if server is None:
                made.drop(made._template)

    def url_of(self, name: str) -> str:
        """Return the URL of a database in it."""
        return self._admin.set(database=name).render_as_string(hide_password=False)

    @contextlib.contextmanager
    def database(self, *, empty: bool = False) -> Iterator[str]:
        """Yield the URL of a fresh database: with the latest tables, or *empty*."""
        self._made += 1
        name = f"{self._template}_{self._made}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else self._template}")
        try:
            yield self.url_of(name)
        finally:
            self.drop(name)

    def drop(self, name: str) -> None:
        """Drop a database, whoever is in it."""
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        engine = sa.create_engine(self._admin, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
