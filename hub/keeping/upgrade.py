"""Upgrades a journal: rehearsed on a copy, checked before its commit, and the copy is the way back.

What an upgrade must leave as it is (messages, deliveries, facts, the chain of events) is counted before and after it in
one transaction, which is rolled back if the two differ. Both databases undo changes of tables with a transaction.
Knows tables and their rows; which migrations there are, and who may run beside them, is known by
`hub.store.schema_version`.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from time import monotonic
from uuid import uuid4

import attrs
import sqlalchemy as sa

from hub.config.database import find_sqlite_file
from hub.config.durable_files import sync_folder
from hub.domain.model import Event
from hub.journal import events
from hub.keeping.backups import sqlite_copy
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error
from hub.store import schema_version, transactions
from hub.store.tables import write_instant
from hub.store.transactions import Transaction

#: Where on a PostgreSQL server one is connected while a database is copied or renamed.
_APART = "postgres"
#: What is counted, by what. Every version of the schema has these columns.
_COUNTED = {"message": ("state", "service"), "delivery": ("state",), "fact": ("service", "milestone"), "unit": ()}

#: The events of any version, and where the name begins in the text of each.
_EVENTS, _NAME = sa.table("event", sa.column("serial"), sa.column("text")), len('{"at":"') + 27 + len('","event":"') + 1
_LAST_SERIAL = sa.select(sa.func.max(_EVENTS.c.serial))

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


class DeedsSince(Exception):
    """The journal has events that its copy lacks; the argument is their number by name."""


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


@attrs.frozen(kw_only=True)
class UndoStatement:
    """Who undoes an upgrade, and what of it is known."""

    now: datetime
    by: str
    copy: str  #: the name of the copy
    seen: tuple[int, str] | None  #: number and id of the era that this node has seen last
    gives_up: bool = False  #: whether what happened since may be lost, but for messages


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

    def put_back(self, journal: sa.Engine, said: UndoStatement) -> Mapping[str, int]:
        """Make the copy the journal again, in an era of its own, and keep the upgraded one as `aside`. No hub may run.

        Return the deeds that the copy does not have: the number by name of the event.

        Raises `Unreturnable` if a message came since the copy was made, which would be lost, or if there is an `aside`;
        `DeedsSince` if something else happened that was not *said* to be given up.
        """
        aside = Path(self.aside)
        if aside.exists() and aside.samefile(self.file):
            aside.unlink()  # left by a run that was interrupted between its two last steps
        if aside.exists():
            raise Unreturnable(phrase("{name} exists already", name=self.aside))
        copied = self.open()
        lost = _begin_earlier_era(journal, copied, said)
        for engine in (journal, copied):
            with engine.connect() as connection:  # one file each, without WAL
                connection.connection.driver_connection.execute("PRAGMA journal_mode=DELETE")  # type: ignore[union-attr]
            engine.dispose()
        aside.hardlink_to(self.file)  # there is a journal at every moment
        Path(self.name).replace(self.file)
        sync_folder(self.file.parent)
        return lost


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
            self._run(f"CREATE DATABASE {_quote_name(self.name)} TEMPLATE {_quote_name(self._database)}")
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
            self._run(f"DROP DATABASE {_quote_name(self.name)}")

    def put_back(self, journal: sa.Engine, said: UndoStatement) -> Mapping[str, int]:
        """See `FileCopy.put_back`."""
        if self._is_there(self.aside):
            raise Unreturnable(phrase("{name} exists already", name=self.aside))
        copied = self.open()
        lost = _begin_earlier_era(journal, copied, said)
        for engine in (journal, copied):
            engine.dispose()
        self._run(  # as one statement: both or neither
            f"ALTER DATABASE {_quote_name(self._database)} RENAME TO {_quote_name(self.aside)}; "
            f"ALTER DATABASE {_quote_name(self.name)} RENAME TO {_quote_name(self._database)}"
        )
        return lost

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


def _begin_earlier_era(journal: sa.Engine, copied: sa.Engine, said: UndoStatement) -> Mapping[str, int]:
    """Begin an era in *copied*, and return the deeds of *journal* that it lacks, by name of their events.

    Raises `Unreturnable` if these are messages, and `DeedsSince` if they were not *said* to be given up.
    """
    with transactions.read_transaction(journal) as tx, transactions.read_transaction(copied) as before:
        since = _count_messages(tx) - _count_messages(before)
        lost = _count_events_after(tx, before.scalar(_LAST_SERIAL) or 0)
    if since:
        raise Unreturnable(phrase("{since} messages came since the upgrade; the copy does not have them", since=since))
    if lost and not said.gives_up:
        raise DeedsSince(lost)
    with transactions.write_transaction(copied) as tx:
        _insert_era(tx, said)
    return lost


def _count_events_after(tx: Transaction, serial: int) -> dict[str, int]:
    """Return the number of events behind the place *serial*, by name, but for those of upgrades."""
    query = sa.select(sa.func.substr(_EVENTS.c.text, _NAME, 64)).where(_EVENTS.c.serial > serial)
    names = Counter(text.partition('"')[0] for text in tx.scalars(query.execution_options(yield_per=2000)))
    del names["journal-upgraded"]
    return dict(sorted(names.items()))


def _insert_era(tx: Transaction, said: UndoStatement) -> None:
    """Begin an era of a journal whose schema is earlier than this program's; nothing, if it has no eras yet.

    Also the era that the node has seen is written down, if it began after the copy was made.
    """
    if not sa.inspect(tx).has_table("era"):
        return
    columns = {each["name"] for each in sa.inspect(tx).get_columns("era")}
    table = sa.table("era", *(sa.column(name) for name in columns))
    number, head = events.read_chain_head(tx)
    last = events.read_last_event_time(tx)
    known = {row.id: row.number for row in tx.execute(sa.select(table.c.id, table.c.number))}
    seen = {} if said.seen is None or said.seen[1] in known else {said.seen[1]: said.seen[0]}
    latest = max([0, *known.values(), *seen.values()])
    for id_, era, because in [
        *((id_, era, "made") for id_, era in seen.items()),
        (str(uuid4()), latest + 1, "restored"),
    ]:
        began = because == "restored"
        row = {
            "number": era,
            "id": id_,
            "began_at": write_instant(said.now),
            "because": because,
            "reason": "db upgrade --undo" if began else "",
            "by": said.by if began else "",
            "backup": said.copy if began else "",
            "event": number,
            "hash": head,
            "since": last and write_instant(datetime.fromisoformat(last)),
            "complete": False,
        }
        tx.execute(sa.insert(table).values({name: value for name, value in row.items() if name in columns}))
    body = {"era": latest + 1, "because": "restored", "reason": "db upgrade --undo", "by": said.by, "backup": said.copy}
    events.append_events(tx, Event("era-begun", said.now, body=body | {"since": last}))
    events.chain_events(tx)


def _count_messages(tx: Transaction) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(sa.table("message"))).scalar_one())


def _quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
