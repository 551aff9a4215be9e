"""Brings together what the journal and archive files have of one message, so that it is read as if nothing had gone.

What is read of a message by its id (events, attempts and what they kept, octets, receipt, signed parts of its call) is read
by the same functions, from a database in memory with these rows. Lookups of other messages go to the journal.

A message that was brought back for a replay has its earlier events still in the archive file that the event
`message-restored` names.
"""

import json
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import attrs
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from hub.domain.model import Message
from hub.journal import blobs
from hub.journal.searching import message_reading
from hub.keeping.archive import catalogue
from hub.keeping.archive.archived import ArchivedEvent, ArchivedMessage, NoArchive
from hub.keeping.archive.catalogue import ArchiveAbsent, ArchiveEntry
from hub.keeping.archive.manifest import EXCHANGES, FORMS, SIGNERS
from hub.keeping.archive.reading import Archive
from hub.security import kept_envelopes
from hub.store import tables, transactions
from hub.store.tables import attempt, content, event, exchange, message, retention_part
from hub.store.transactions import Transaction

Row = sa.RowMapping | Mapping[str, Any]

#: Name of the event of a message whose rows were brought back from an archive file; its member `archive` is the file's id.
RESTORED = "message-restored"
_RESTORED_TEXT = f'%"event":"{RESTORED}"%'
#: The tables of one message.
_TABLES = (
    tables.message,
    tables.delivery,
    tables.change,
    tables.attempt,
    tables.exchange,
    tables.event,
    tables.content,
    tables.signer,
    tables.envelope_form,
    tables.receipt_form,
    tables.kept_receipt,
)
_EVENT = tuple(column.name for column in event.columns)
#: Octets of a message that are copied into memory, at most. Larger ones are only read in pieces (`read_octets`).
LARGEST = 64 << 20
#: Archive files that a shelf keeps open.
_SHELF = 4


def find_archives_of(tx: Transaction, message_id: str, folder: Path) -> list[ArchiveEntry]:
    """Return the archive files that hold rows of a message, the newest first; none if the journal has all of it.

    Opens files only if the journal does not know the message any more, as it may be with a refused one. Raises
    ArchiveAbsent.
    """
    names = list_archives_of(tx, [message_id]).get(message_id, [])
    if not names and tx.execute(sa.select(message.c.id).where(message.c.id == message_id)).first() is None:
        found = catalogue.find_archive_of(tx, message_id, folder)
        return [] if found is None else [found]
    return [catalogue.read_archive_entry(tx, each) for each in sorted(set(names), reverse=True)]


def list_archives_of(tx: Transaction, ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the ids of the archive files that have rows of each of the messages *ids* that the journal knows, if any."""
    found: dict[str, list[str]] = {}
    of_part = sa.select(message.c.id, retention_part.c.archive).where(message.c.archive == retention_part.c.number)
    for row in tx.execute(of_part.where(message.c.id.in_(ids))):
        found.setdefault(row.id, []).append(row.archive or "")
    back = sa.select(event.c.message, event.c.text).where(event.c.message.in_(ids), event.c.text.like(_RESTORED_TEXT))
    for row in tx.execute(back.order_by(event.c.serial)):
        found.setdefault(row.message, []).extend(_read_restored(row.text))
    return found


def _list_restored(tx: Transaction, message_id: str) -> Iterator[str]:
    """Yield the ids of the archive files from which a message was brought back, by its events in *tx*."""
    query = sa.select(event.c.text).where(event.c.message == message_id, event.c.text.like(_RESTORED_TEXT))
    for text in tx.scalars(query.order_by(event.c.serial)):
        yield from _read_restored(text)


@attrs.define(eq=False)
class ArchiveShelf:
    """Reads what archive files have of many messages, in the order of their ids. Keeps the files used last open."""

    _tx: Transaction
    _folder: Path
    _open: dict[str, tuple[Archive, ExitStack]] = attrs.field(factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        for _, opened in self._open.values():
            opened.close()
        self._open.clear()

    def read_events(self, message_id: str, archives: Iterable[str]) -> list[ArchivedEvent]:
        """Return the events of a message in *archives*, and in those from which it was brought back before, in order.

        Raises ArchiveAbsent.
        """
        found: dict[int, ArchivedEvent] = {}
        left, seen = list(archives), set[str]()
        while left:
            name = left.pop()
            seen.add(name)
            with self._reading(name) as archive:
                told = list(archive.read_events(message_id))
            found |= {each.serial: each for each in told}
            more = {other for each in told if RESTORED in each.text for other in _read_restored(each.text)}
            left += sorted(more - seen - set(left))
        return [found[serial] for serial in sorted(found)]

    def find_octets(self, message_id: str, archives: Iterable[str]) -> str | None:
        """Return that one of *archives* which has the octets of a message. None: none has them. Raises ArchiveAbsent."""
        for name in archives:
            with self._reading(name) as archive:
                if archive.read_message(message_id).has_octets:
                    return name
        return None

    def read_octets(self, archive: str, sha256: str) -> Iterator[bytes]:
        """Yield the octets with this SHA-256 from the file with the id *archive*, in pieces. Raises ArchiveAbsent."""
        with self._reading(archive) as found:
            yield from found.read_octets(sha256)

    @contextmanager
    def _reading(self, name: str) -> Iterator[Archive]:
        """Yield the open archive file with the id *name*."""
        if name not in self._open:
            if len(self._open) >= _SHELF:
                self._open.pop(next(iter(self._open)))[1].close()
            entry, stack = catalogue.read_archive_entry(self._tx, name), ExitStack()
            self._open[name] = (stack.enter_context(catalogue.open_entry(entry, self._folder)), stack)
        try:
            yield self._open[name][0]
        except (NoArchive, KeyError) as error:
            raise ArchiveAbsent(catalogue.read_archive_entry(self._tx, name), str(error)) from error


def _read_restored(text: str) -> Iterator[str]:
    """Yield the id of the archive file that an event names from which its message was brought back."""
    said = json.loads(text)
    if said["event"] == RESTORED:
        yield str(said["archive"])


def find_archived_message(tx: Transaction, message_id: str, folder: Path) -> Message | None:
    """Return a message that only an archive file knows, by its hub id; None if there is none. Raises ArchiveAbsent."""
    if len(message_id) != message.c.id.type.length:  # type: ignore[attr-defined]
        return None
    entry = catalogue.find_archive_of(tx, message_id, folder)
    if entry is None:
        return None
    with open_archive_of(entry, folder) as archive:
        return message_reading.read_message_row(archive.read_message(message_id).row)


@contextmanager
def open_kept_message(tx: Transaction, message_id: str, folder: Path, *, octets: bool = False) -> Iterator[Transaction]:
    """Yield where all rows of a message are read: *tx* itself, or a copy in memory with those of archive files.

    *octets*: its octets, too, unless they are more than `LARGEST`. Raises ArchiveAbsent.
    """
    entries = find_archives_of(tx, message_id, folder)
    if not entries:
        yield tx
        return
    # a private database of SQLite that uses the disk when it becomes large
    engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(""), poolclass=StaticPool)
    try:
        with engine.begin() as copy:
            tables.metadata.create_all(copy, tables=list(_TABLES))
            _copy_journal(tx, copy, message_id)
            seen: set[str] = set()
            while entries:
                entry = entries.pop(0)
                seen.add(entry.id)
                with open_archive_of(entry, folder) as archive:
                    _copy_archive(archive, copy, message_id, octets=octets)
                # an earlier restoring is told by events that came with this file
                more = set(_list_restored(copy, message_id)) - seen - {each.id for each in entries}
                entries += [catalogue.read_archive_entry(tx, each) for each in sorted(more, reverse=True)]
            if octets:
                _copy_octets(tx, copy, message_id)
            yield copy
    finally:
        engine.dispose()


@contextmanager
def open_archive_of(entry: ArchiveEntry, folder: Path) -> Iterator[Archive]:
    """Open the file of *entry*. Raises ArchiveAbsent, also if it turns out to be damaged."""
    with catalogue.open_entry(entry, folder) as archive:
        try:
            yield archive
        except NoArchive as error:
            raise ArchiveAbsent(entry, str(error)) from error
        except KeyError as error:
            raise ArchiveAbsent(entry, f"{entry.name}: {error} is not in it") from error


def _copy_journal(tx: Transaction, copy: Transaction, message_id: str) -> None:
    """Copy the rows that the journal has. They go before those of archive files."""
    for table in (message, tables.delivery, tables.change, attempt, event):
        key = table.c.id if table is message else table.c.message
        _insert_missing(copy, table, tx.execute(sa.select(table).where(key == message_id)).mappings())
    tried = sa.select(attempt.c.exchange).where(attempt.c.message == message_id)
    _insert_missing(copy, exchange, tx.execute(sa.select(exchange).where(exchange.c.sha256.in_(tried))).mappings())
    kept = (
        tx.execute(sa.select(tables.kept_receipt).where(tables.kept_receipt.c.message == message_id)).mappings().all()
    )
    _insert_missing(copy, tables.kept_receipt, kept)
    forms = sa.select(tables.receipt_form).where(tables.receipt_form.c.sha256.in_([row["form"] for row in kept]))
    _insert_missing(copy, tables.receipt_form, tx.execute(forms).mappings())


def _copy_archive(archive: Archive, copy: Transaction, message_id: str, *, octets: bool) -> None:
    found = archive.read_message(message_id)
    _complete_row(copy, found)
    _insert_missing(copy, tables.delivery, found.deliveries)
    _insert_missing(copy, tables.change, found.changes)
    _insert_missing(copy, attempt, found.attempts)
    told = archive.read_events(message_id)
    _insert_missing(copy, event, ({name: getattr(each, name) for name in _EVENT} for each in told))
    for key in {each["exchange"] for each in found.attempts if each["exchange"]}:
        _insert_missing(copy, exchange, filter(None, [archive.read_shared_row(EXCHANGES, key)]))
    _copy_envelope(archive, copy, found)
    if octets and found.has_octets and found.row["size"] <= LARGEST:
        write_octets(copy, found.row["sha256"], archive.read_octets(found.row["sha256"]))


def _complete_row(copy: Transaction, found: ArchivedMessage) -> None:
    """Write the row of the message, or fill in what is gone from it."""
    _insert_missing(copy, message, [found.row])
    row = copy.execute(sa.select(message)).mappings().one()
    gone = {name: value for name, value in found.row.items() if value is not None and row[name] is None}
    if gone:
        copy.execute(sa.update(message).values(gone))


def _copy_envelope(archive: Archive, copy: Transaction, found: ArchivedMessage) -> None:
    packed = found.row["envelope"]
    if packed is None:
        return
    form = None
    if (name := kept_envelopes.read_form_name(packed)) is not None:
        form = archive.read_shared_row(FORMS, name)
        _insert_missing(copy, tables.envelope_form, filter(None, [form]))
    try:
        signer = kept_envelopes.unpack_parts(packed, None if form is None else form["packed"]).certificate
    except ValueError:  # as in the journal before: who reads the parts is told
        return
    _insert_missing(copy, tables.signer, filter(None, [archive.read_shared_row(SIGNERS, signer)]))


def _copy_octets(tx: Transaction, copy: Transaction, message_id: str) -> None:
    """Copy the octets that the journal has, because another message has them too."""
    row = copy.execute(sa.select(message.c.sha256, message.c.size).where(message.c.id == message_id)).one()
    if row.size <= LARGEST and blobs.read_blob_size(copy, row.sha256) is None:
        rows = tx.execute(sa.select(content).where(content.c.sha256 == row.sha256)).mappings()
        _insert_missing(copy, content, rows)


def write_octets(tx: Transaction, sha256: str, pieces: Iterator[bytes]) -> None:
    """Store the octets *pieces* under *sha256*, part by part."""
    held, number = b"", 0
    for piece in pieces:
        held += piece
        while len(held) > blobs.PART:
            blobs.keep_parts(tx, sha256, held[: blobs.PART], [number], first=number)
            held, number = held[blobs.PART :], number + 1
    blobs.keep_parts(tx, sha256, held, [number], first=number)


def read_kept_octets(tx: Transaction, message_id: str, sha256: str, folder: Path) -> Iterator[bytes]:
    """Yield the octets of a message from the journal, else from its archive file, in pieces.

    Raises KeyError if neither has them; ArchiveAbsent.
    """
    if blobs.read_blob_size(tx, sha256) is not None:
        yield from blobs.read_blob_pieces(tx, sha256)
        return
    yield from read_archived_octets(find_archives_of(tx, message_id, folder), message_id, folder)


def read_archived_octets(entries: Iterable[ArchiveEntry], message_id: str, folder: Path) -> Generator[bytes]:
    """Yield the octets of a message from the first of the archive files *entries* that has them, in pieces.

    Raises KeyError if none has them; ArchiveAbsent. Needs no journal, so a slow reader holds no transaction.
    """
    for entry in entries:
        with open_archive_of(entry, folder) as archive:
            found = archive.read_message(message_id)
            if found.has_octets:
                yield from archive.read_octets(found.row["sha256"])
                return
    raise KeyError(message_id)


def _insert_missing(tx: Transaction, table: sa.Table, rows: Iterable[Row]) -> None:
    """Insert those *rows* whose key is not there."""
    for row in rows:
        transactions.insert_missing_rows(tx, table, [{str(name): value for name, value in row.items()}])
