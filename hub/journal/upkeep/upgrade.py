"""Upgrades a journal: rehearsed on a copy, checked before its commit, and the copy is the way back.

What an upgrade must leave as it is (messages, deliveries, facts, the chain of events) is counted before and after it in
one transaction, which is rolled back if the two differ. Both databases undo changes of tables with a transaction.
Knows tables and their rows; which migrations there are, and who may run beside them, is known by
`hub.store.schema_version`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from time import monotonic

import attrs
import sqlalchemy as sa

from hub.config.database import find_sqlite_file
from hub.config.durable_files import sync_folder
from hub.domain.model import Event
from hub.journal import events
from hub.journal.upkeep.backups import sqlite_copy
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error
from hub.store import schema_version, transactions
from hub.store.transactions import Transaction

#: Where on a PostgreSQL server one is connected while a database is copied or renamed.
_APART = "postgres"
#: What is counted, by what. Every version of the schema has these columns.
_COUNTED = {"message": ("state", "service"), "delivery": ("state",), "fact": ("service", "milestone"), "unit": ()}

#: Called with what is done of a copy, and all of it.
Tell = Callable[[int, int], None]
#: What is counted: `message accepted documents` and so on; and its number.
Figures = Mapping[str, int | str]


class Uncopied(Exception):
    """The journal could not be copied; the argument, a `Phrase`, says why and what to do."""


class Altered(Exception):
    """The upgrade would change what it must keep, and was rolled back; the argument, a `Phrase`, says what."""


class Unreturnable(Exception):
    """The journal cannot be put back as it was; the argument, a `Phrase`, says why."""


def read_figures(tx: Transaction) -> Figures:
    """Count what an upgrade must leave as it is. Reads each row of four tables, and needs no version of the schema."""
    found: dict[str, int | str] = {}
    for name, by in _COUNTED.items():
        columns: list[sa.ColumnElement[object]] = [sa.column(each) for each in by]
        query = sa.select(*columns, sa.func.count()).select_from(sa.table(name)).group_by(*columns)
        for *values, count in tx.execute(query):
            found[" ".join([name, *(str(value) for value in values)])] = count
    number, head = events.read_chain_head(tx)
    return {**found, "event": number, "chain": head}


def find_changes(before: Figures, after: Figures) -> list[str]:
    """Return each figure that differs, as `NAME: BEFORE → AFTER`."""
    names = sorted({*before, *after})
    return [
        f"{name}: {before.get(name, 0)} → {after.get(name, 0)}" for name in names if before.get(name) != after.get(name)
    ]


@attrs.frozen(kw_only=True)
class UpgradeStatement:
    """What the event of an upgrade says beside its versions."""

    now: datetime
    by: str  #: the person
    rehearsed: bool  #: whether it was tried on a copy before
    copy: str  #: the name of the copy that is kept as the way back; empty: none is


def upgrade_journal(
    engine: sa.Engine, target: str, *, commit: bool = True, said: UpgradeStatement | None = None
) -> float:
    """Upgrade the journal to *target* in one transaction, and return the seconds that it took.

    With *said* the event `journal-upgraded` is written in the same transaction, if this program runs on *target*: what it
    writes an event into may else lack a column. Raises `Altered`, and leaves everything as it was, if a figure changes.
    Without *commit* all is undone at the end.
    """
    began = monotonic()
    with engine.connect().execution_options(writes=True) as connection, connection.begin() as transaction:
        before, old = read_figures(connection), transactions.select_schema_version(connection)
        transactions.migrate_schema(connection, target)
        if changed := find_changes(before, read_figures(connection)):
            raise Altered(phrase("the upgrade would change {changed}", changed="; ".join(changed)))
        if not commit:
            transaction.rollback()
        elif said is not None and schema_version.is_schema_supported(connection):
            body: dict[str, object] = {
                "old_version": old,
                "new_version": target,
                "seconds": round(monotonic() - began, 1),
            }
            body |= {"rehearsed": said.rehearsed, "copy": said.copy, "by": said.by}
            events.append_events(connection, Event("journal-upgraded", said.now, body=body))
    return monotonic() - began


@attrs.frozen
class FileCopy:
    """The copy of a journal on SQLite, beside its file."""

    file: Path  #: of the journal
    version: str  #: of its schema, before the upgrade

    @property
    def name(self) -> str:
        """Return the path of the copy."""
        return f"{self.file}.before-upgrade-{self.version}"

    @property
    def aside(self) -> str:
        """Return where the upgraded journal lies after `put_back`."""
        return f"{self.file}.after-upgrade-{self.version}"

    def exists(self) -> bool:
        """Tell whether it was made."""
        return Path(self.name).exists()

    def make(self, tell: Tell = lambda _done, _all: None) -> None:
        """Copy the journal, in place of an earlier copy. Raises `Uncopied`."""
        self.remove()
        try:
            with sqlite_copy.copy_journal(self.file, Path(self.name), tell) as new:
                sqlite_copy.name_backup(new, Path(self.name))
        except OSError as error:
            raise Uncopied(phrase("{file}: {error}", file=self.name, error=name_system_error(error))) from error

    def open(self) -> sa.Engine:
        """Return an engine of the copy."""
        return transactions.open_journal(f"sqlite:///{self.name}", pooled=False)

    def remove(self) -> None:
        """Remove the copy, if there is one."""
        for left in ("", "-wal", "-shm"):
            Path(f"{self.name}{left}").unlink(missing_ok=True)

    def put_back(self, journal: sa.Engine) -> None:
        """Make the copy the journal again, and keep the upgraded one as `aside`. No hub may run.

        Raises `Unreturnable` if a message came since the copy was made, which would be lost, or if there is an `aside`.
        """
        aside = Path(self.aside)
        if aside.exists() and aside.samefile(self.file):
            aside.unlink()  # left by a run that was interrupted between its two last steps
        if aside.exists():
            raise Unreturnable(phrase("{name} exists already", name=self.aside))
        copied = self.open()
        _require_no_message_since(journal, copied)
        for engine in (journal, copied):
            with engine.connect() as connection:  # one file each, without WAL
                connection.connection.driver_connection.execute("PRAGMA journal_mode=DELETE")  # type: ignore[union-attr]
            engine.dispose()
        aside.hardlink_to(self.file)  # there is a journal at every moment
        Path(self.name).replace(self.file)
        sync_folder(self.file.parent)


@attrs.frozen
class DatabaseCopy:
    """The copy of a journal on PostgreSQL: another database of the same server. Its methods do what those of `FileCopy` do."""

    url: str  #: of the journal
    version: str  #: of its schema, before the upgrade
    password_file: Path | None

    @property
    def name(self) -> str:
        """Return the name of the copy."""
        return f"{self._database}_before_upgrade_{self.version}"

    @property
    def aside(self) -> str:
        """Return the name of the upgraded journal after `put_back`."""
        return f"{self._database}_after_upgrade_{self.version}"

    @property
    def _database(self) -> str:
        return str(sa.make_url(self.url).database)

    def exists(self) -> bool:
        """Tell whether it was made."""
        return self._is_there(self.name)

    def make(self, _tell: Tell = lambda _done, _all: None) -> None:
        """Let the server copy the journal, to which nobody else may be connected. Raises `Uncopied`."""
        self.remove()
        try:
            self._run(f"CREATE DATABASE {_quote(self.name)} TEMPLATE {_quote(self._database)}")
        except sa.exc.DBAPIError as error:
            raise Uncopied(
                phrase(
                    "the server does not copy the database: {error} Stop every node, and let its role make databases "
                    "(ALTER ROLE … CREATEDB).",
                    error=str(error.orig).strip().rstrip(".") + ".",
                )
            ) from error

    def open(self) -> sa.Engine:
        """Return an engine of the copy."""
        return self._open(self.name)

    def remove(self) -> None:
        """Remove the copy, if there is one."""
        if self.exists():
            self._run(f"DROP DATABASE {_quote(self.name)}")

    def put_back(self, journal: sa.Engine) -> None:
        """Make the copy the journal again, and keep the upgraded one as `aside`. Raises `Unreturnable`."""
        if self._is_there(self.aside):
            raise Unreturnable(phrase("{name} exists already", name=self.aside))
        copied = self.open()
        _require_no_message_since(journal, copied)
        for engine in (journal, copied):
            engine.dispose()
        self._run(  # as one statement: both or neither
            f"ALTER DATABASE {_quote(self._database)} RENAME TO {_quote(self.aside)}; "
            f"ALTER DATABASE {_quote(self.name)} RENAME TO {_quote(self._database)}"
        )

    def _is_there(self, name: str) -> bool:
        with self._administer() as connection:
            query = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
            return connection.execute(query, {"name": name}).first() is not None

    def _run(self, statement: str) -> None:
        with self._administer() as connection:
            connection.exec_driver_sql(statement)

    def _administer(self) -> sa.Connection:
        """Return a connection to the server's own database, as the journal's role."""
        return self._open(_APART).connect().execution_options(isolation_level="AUTOCOMMIT")

    def _open(self, database: str) -> sa.Engine:
        url = sa.make_url(self.url).set(database=database).render_as_string(hide_password=False)
        return transactions.open_journal(url, password_file=self.password_file, pooled=False)


def place_copy(url: str, version: str, password_file: Path | None = None) -> FileCopy | DatabaseCopy:
    """Return where the copy of the journal at *url* lies that is made before an upgrade from *version*."""
    file = find_sqlite_file(url)
    return DatabaseCopy(url, version, password_file) if file is None else FileCopy(file, version)


def _require_no_message_since(journal: sa.Engine, copied: sa.Engine) -> None:
    """Raise `Unreturnable` if *journal* has messages that *copied* lacks."""
    with transactions.read_transaction(journal) as tx, transactions.read_transaction(copied) as before:
        since = _count_messages(tx) - _count_messages(before)
    if since:
        raise Unreturnable(phrase("{since} messages came since the upgrade; the copy does not have them", since=since))


def _count_messages(tx: Transaction) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(sa.table("message"))).scalar_one())


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
