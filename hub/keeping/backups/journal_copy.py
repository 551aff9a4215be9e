"""Copies the journal of a hub as of one moment, from either database, and tries a copy. Knows nothing of encryption."""

import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import attrs
import sqlalchemy as sa

from hub.config import Config
from hub.config.database import find_sqlite_file
from hub.config.upkeep.backup import BackupSettings
from hub.journal import events
from hub.keeping import integrity
from hub.keeping.backups import postgresql, sqlite_copy
from hub.keeping.backups.manifest import POSTGRESQL, SQLITE, BackupManifest
from hub.keeping.backups.package import BackupUnfit
from hub.keeping.backups.postgresql import PostgresqlPlace
from hub.language.phrases import Phrase, phrase, verbatim
from hub.store import schema_version, transactions
from hub.store.tables import message
from hub.store.transactions import Transaction

T = TypeVar("T")
#: Is told a step, and octets: those done so far when copying or verifying, else those since it was told last.
Tell = Callable[[str, int], None]
#: No database to try a dump in.
NOWHERE = PostgresqlPlace("")


@attrs.frozen
class JournalState:
    """What a journal contains, in short."""

    number: int  #: of the last numbered event
    hash: str
    last: str | None  #: time of the last event
    messages: int
    schema: str


@attrs.frozen
class CopiedJournal:
    """A copy of a journal: its name in a backup, the file, and what it contains."""

    name: str
    file: Path
    state: JournalState


def read_journal_state(tx: Transaction) -> JournalState:
    """Return the state of a journal."""
    number, head = events.read_chain_head(tx)
    messages = tx.scalar(sa.select(sa.func.count()).select_from(message)) or 0
    schema = transactions.select_schema_version(tx) or ""
    return JournalState(number, head, events.read_last_event_time(tx), messages, schema)


def place_postgresql(config: Config, settings: BackupSettings | None) -> PostgresqlPlace:
    """Return the journal's database on PostgreSQL."""
    return PostgresqlPlace(config.database_url, config.password_file, settings.programs if settings else None)


def place_trial(config: Config, settings: BackupSettings | None) -> PostgresqlPlace:
    """Return the database into which a backup of PostgreSQL is restored to try it; with an empty URL if there is none."""
    if settings is None:
        return NOWHERE
    return PostgresqlPlace(settings.trial_url or "", config.password_file, settings.programs)


def measure_journal_copy(config: Config, settings: BackupSettings) -> int:
    """Return the number of octets that a copy of the journal takes, about. Raises OSError."""
    if file := find_sqlite_file(config.database_url):
        return file.stat().st_size
    return place_postgresql(config, settings).measure_size()


def copy_for_backup(config: Config, settings: BackupSettings, work: Path, tell: Tell) -> CopiedJournal:
    """Copy the journal into the folder *work*. Raises OSError, sqlite3.Error, BackupUnfit."""
    if file := find_sqlite_file(config.database_url):
        with sqlite_copy.copy_journal(file, work / SQLITE, lambda done, _all: tell("copying", done)) as new:
            copied = new.rename(work / SQLITE)
        with _read_copy(copied) as tx:
            return CopiedJournal(SQLITE, copied, read_journal_state(tx))
    place, copied = place_postgresql(config, settings), work / POSTGRESQL
    with place.open_snapshot() as (tx, snapshot):
        state = read_journal_state(tx)
        place.dump(snapshot, copied, lambda done: tell("copying", done))
    return CopiedJournal(POSTGRESQL, copied, state)


def write_checked_copy(
    journal: Path, to: Path, read: Callable[[Transaction], T], tell: Callable[[int, int], None]
) -> T:
    """Copy the SQLite *journal* to the new file *to* and check the copy whole; return what *read* finds in it.

    *tell* is called with what was done and all: pages copied, then octets of messages checked. Raises BackupUnfit if the
    journal is damaged, FileExistsError, OSError, sqlite3.Error and SQLAlchemy's errors: then there is no file *to*.
    """
    with sqlite_copy.copy_journal(journal, to, tell) as new:
        with _read_copy(new) as tx:
            for problem in integrity.find_journal_damage(tx, tell):
                raise BackupUnfit(problem)
            found = read(tx)
        sqlite_copy.name_backup(new, to)
        return found


def find_problems(manifest: BackupManifest, copied: Path, trial: PostgresqlPlace, tell: Tell) -> Iterator[Phrase]:
    """Yield what is wrong with the journal *copied*, which was taken out of a backup with *manifest*.

    A dump of PostgreSQL is restored into *trial*, which is emptied before and afterwards; if that has no URL, the dump
    is only read whole. The copy of an earlier version is upgraded, because only then this program can read all of it.
    """
    if manifest.is_sqlite:
        yield from _find_sqlite_problems(manifest, copied, tell)
        return
    if not trial.url:
        postgresql.read_dump(copied, trial.programs)
        return
    trial.prepare_trial()
    try:
        trial.restore(copied)
        yield from find_postgresql_problems(manifest, trial, tell)
    finally:
        trial.prepare_trial()


def _find_sqlite_problems(manifest: BackupManifest, copied: Path, tell: Tell) -> Iterator[Phrase]:
    try:
        with _read_copy(copied) as tx:
            found = integrity.find_file_damage(tx) or list(_find_difference(manifest, tx))
        yield from found
        if found:
            return  # the later checks would read damaged pages, or another journal
        _upgrade_copy(manifest, copied)
        with _read_copy(copied) as tx:
            yield from _find_damage(tx, tell)
    except sa.exc.DBAPIError as error:
        yield verbatim(error.orig)


def _upgrade_copy(manifest: BackupManifest, copied: Path) -> None:
    if manifest.schema == transactions.read_latest_version():
        return
    own = transactions.open_journal(f"sqlite:///{copied}", pooled=False)
    transactions.upgrade_schema(own)
    own.dispose()
    with closing(sqlite3.connect(copied)) as here:
        here.execute("PRAGMA journal_mode=DELETE")  # one file again, without WAL


def find_postgresql_problems(manifest: BackupManifest, place: PostgresqlPlace, tell: Tell) -> Iterator[Phrase]:
    """Yield what is wrong with the journal that was restored into *place*, and upgrade it if it is of an earlier version."""
    engine = place.open_engine()
    with transactions.read_transaction(engine) as tx:
        found = list(_find_difference(manifest, tx))
    yield from found
    if found:
        return
    transactions.upgrade_schema(engine)
    with transactions.read_transaction(engine) as tx:
        yield from _find_damage(tx, tell)


def _find_damage(tx: Transaction, tell: Tell) -> Iterator[Phrase]:
    return integrity.find_record_damage(tx, lambda done, _all: tell("verifying", done))


def _find_difference(manifest: BackupManifest, tx: Transaction) -> Iterator[Phrase]:
    """Yield that a journal is not the one of *manifest*, or that it is of a later version than this program."""
    known = schema_version.list_migration_steps()
    if manifest.schema not in {step.version for step in known}:
        yield schema_version.find_way_to_upgrade(known, manifest.schema) or phrase(
            "it is of version {schema}, which this program does not know", schema=manifest.schema
        )
        return
    state = read_journal_state(tx)
    said = JournalState(manifest.number, manifest.hash, manifest.last, manifest.messages, manifest.schema)
    if state != said:
        yield phrase("the restored journal is another one: {state}, not {said}", state=str(state), said=str(said))


@contextmanager
def _read_copy(file: Path) -> Generator[Transaction]:
    """Yield a transaction on a SQLite file that is a copy. The store's own engine would make it two files, by WAL."""
    engine = sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool)
    try:
        with engine.connect() as tx:
            yield tx
    finally:
        engine.dispose()
