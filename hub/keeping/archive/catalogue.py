"""Remembers the archive files in the journal, and finds those that have a message.

Knows the table `archive`, and where a file may lie: in the configured folder, or where it was written. Opens a file only
to look for a message. A row stays when its file is moved away.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path

import attrs
import sqlalchemy as sa

from hub.keeping.archive.archived import NoArchive
from hub.keeping.archive.reading import Archive, open_archive
from hub.keeping.archive.writing import ArchiveRecord
from hub.language.phrases import phrase
from hub.store.tables import archive as table
from hub.store.transactions import Transaction


class ArchiveAbsent(Exception):
    """The archive file that is needed is not there, or cannot be read. *why* is empty if it is not there."""

    def __init__(self, entry: "ArchiveEntry", why: str) -> None:
        super().__init__(f"{entry.name}: {why or phrase('the file is absent')}")
        self.entry, self.why = entry, why


@attrs.frozen(kw_only=True)
class ArchiveEntry:
    """One archive file, as the journal remembers it."""

    id: str
    period: str  #: the month of receipt of its messages, such as `2026-08`
    path: str  #: where it was written
    size: int
    sha256: str  #: of the whole file
    made_at: datetime
    messages: int
    events: int
    octets: int  #: contents with octets of messages
    first_message: str | None
    last_message: str | None
    first_number: int | None  #: the lowest number of an event
    last_number: int | None

    @property
    def name(self) -> str:
        """Return the name of the file, without its folder."""
        return Path(self.path).name

    def find_file(self, folder: Path) -> Path | None:
        """Return the file in *folder*, else where it was written. None: it is in neither place."""
        places = (folder / self.name, Path(self.path))
        return next((place for place in places if place.is_file()), None)


@attrs.frozen
class ArchiveTotal:
    """All archive files that the journal remembers."""

    files: int
    octets: int  #: that they have together


_COLUMNS = tuple(table.c[field.name] for field in attrs.fields(ArchiveEntry))


def record_archive(tx: Transaction, record: ArchiveRecord) -> None:
    """Remember a file that `write_archive` has written."""
    row = {
        "id": record.id,
        "period": record.period,
        "path": str(record.path.absolute()),
        "size": record.size,
        "sha256": record.sha256,
        "made_at": record.made_at,
        "messages": record.counts.messages,
        "events": record.counts.events,
        "octets": record.counts.octets,
        "first_message": record.first_message or None,
        "last_message": record.last_message or None,
        "first_number": record.first_number or None,
        "last_number": record.last_number or None,
    }
    tx.execute(sa.insert(table).values(row))


def forget_archive(tx: Transaction, archive: str) -> None:
    """Forget the file with this id, of which nothing in the journal needs to be read."""
    tx.execute(sa.delete(table).where(table.c.id == archive))


def list_archives(tx: Transaction, limit: int | None = None, before: str | None = None) -> list[ArchiveEntry]:
    """Return at most *limit* archive files, newest first, behind the one with the id *before*."""
    query = sa.select(*_COLUMNS).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    return [ArchiveEntry(**row) for row in tx.execute(query).mappings()]


def read_entries(tx: Transaction, ids: Collection[str]) -> dict[str, ArchiveEntry]:
    """Return those archive files with *ids*, a few hundred at most, that the journal remembers, by id."""
    query = sa.select(*_COLUMNS).where(table.c.id.in_(ids))
    return {row["id"]: ArchiveEntry(**row) for row in tx.execute(query).mappings()}


def measure_archives(tx: Transaction) -> ArchiveTotal:
    """Return how many archive files there are, and how large they are together."""
    row = tx.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(table.c.size), 0)).select_from(table)
    ).one()
    return ArchiveTotal(int(row[0]), int(row[1]))


def list_absent_files(known: Iterable[ArchiveEntry], folder: Path) -> list[str]:
    """Return the names of those archive files *known* that are neither in *folder* nor where they were written."""
    return [each.name for each in known if each.find_file(folder) is None]


def list_unrecorded_files(known: Iterable[ArchiveEntry], folder: Path) -> list[str]:
    """Return the names of the archive files in *folder* that are none of those *known*.

    A crash between writing and recording leaves one; its messages are still in the journal, and go into another.
    """
    names = {each.name for each in known}
    return sorted(path.name for path in folder.glob("archive-*.zip") if path.name not in names)


def read_archive_entry(tx: Transaction, name: str) -> ArchiveEntry:
    """Return the archive file with this id, or whose file has this name. Raises KeyError."""
    wanted = name.removesuffix(".zip")[-36:]
    row = tx.execute(sa.select(*_COLUMNS).where(table.c.id == wanted)).mappings().first()
    if row is None:
        raise KeyError(name)
    return ArchiveEntry(**row)


def find_candidates(tx: Transaction, message_id: str) -> list[ArchiveEntry]:
    """Return the archive files that may have the message with this hub id, newest first."""
    within = sa.and_(table.c.first_message <= message_id, table.c.last_message >= message_id)
    query = sa.select(*_COLUMNS).where(table.c.first_message.is_not(None), within).order_by(table.c.id.desc())
    return [ArchiveEntry(**row) for row in tx.execute(query).mappings()]


@contextmanager
def open_entry(entry: ArchiveEntry, folder: Path) -> Iterator[Archive]:
    """Open the file of *entry*. Raises ArchiveAbsent if it is absent, cannot be read or is another one."""
    with ExitStack() as stack:
        path = entry.find_file(folder)
        if path is None:
            raise ArchiveAbsent(entry, "")
        try:
            archive = stack.enter_context(open_archive(path))
        except (OSError, NoArchive) as error:
            raise ArchiveAbsent(entry, str(error)) from error
        if archive.manifest.id != entry.id:
            raise ArchiveAbsent(entry, f"{path}: {archive.manifest.id}")
        yield archive


def require_written_file(entry: ArchiveEntry, archive: Archive) -> None:
    """Raise ArchiveAbsent unless *archive*, the open file of *entry*, has the very octets that were written.

    Reads all of it, once in a process while nothing changes it.
    """
    if _hash_file(archive.path, _identify_file(archive.file.fileno())) != entry.sha256:
        raise ArchiveAbsent(entry, "its SHA-256 is not that of the file that was written")


def _identify_file(descriptor: int) -> tuple[int, ...]:
    """Return what is another number once the file was changed or replaced."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache(maxsize=64)
def _hash_file(path: Path, identity: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest() if _identify_file(file.fileno()) == identity else ""


def find_archive_of(tx: Transaction, message_id: str, folder: Path) -> ArchiveEntry | None:
    """Return the newest archive file that has the message with this hub id. None: none has it.

    Raises ArchiveAbsent if none of the files that are there has it, but one that is not there may.
    """
    absent: ArchiveAbsent | None = None
    for entry in find_candidates(tx, message_id):
        try:
            with open_entry(entry, folder) as archive:
                if archive.has_message(message_id):
                    return entry
        except ArchiveAbsent as error:
            absent = absent or error
        except NoArchive as error:
            absent = absent or ArchiveAbsent(entry, str(error))
    if absent is not None:
        raise absent
    return None
