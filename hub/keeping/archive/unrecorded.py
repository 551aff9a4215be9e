"""Judges an archive file that the journal does not name: whether anything in it is nowhere else.

A crash between the name of a file and its row leaves one, and so does a file that was given up and is found again: all in
it is in the journal, or went with another file. Another hub's file, or one that a backup is older than, has what this
journal never had. Deletes nothing, and does not tell whether the file is whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs
import sqlalchemy as sa

from hub.keeping.archive import catalogue
from hub.keeping.archive.archived import ArchivedEvent, NoArchive
from hub.keeping.archive.catalogue import ArchiveAbsent, ArchiveEntry
from hub.keeping.archive.reading import Archive
from hub.keeping.retention.choosing import cut_values
from hub.store.tables import event, message, retention_part
from hub.store.transactions import Transaction


@attrs.frozen(kw_only=True)
class UnrecordedContent:
    """What is in a file that the journal does not name: messages, and events of refused calls and the like."""

    count: int
    alone: int  #: of these, those that neither the journal nor an archive file that it names, and that is there, has


def judge_unrecorded_file(
    tx: Transaction, archive: Archive, known: Iterable[ArchiveEntry], folder: Path
) -> UnrecordedContent:
    """Return what is in *archive*, and how much of it is not elsewhere. *known* are the files that the journal names.

    Raises NoArchive.
    """
    there = [each for each in known if each.find_file(folder) is not None]
    ids = [each.id for each in archive.messages()]
    others = {each.serial: each for each in archive.other_events()}
    alone = len(ids) - _count_kept_messages(tx, ids, {each.id for each in there})
    return UnrecordedContent(
        count=len(ids) + len(others), alone=alone + len(_leave_kept_events(tx, others, there, folder))
    )


def _count_kept_messages(tx: Transaction, ids: Sequence[str], there: set[str]) -> int:
    """Return how many of *ids* the journal has with their bytes, or a file of *there* (ids of archive files)."""
    part = sa.outerjoin(message, retention_part, message.c.archive == retention_part.c.number)
    kept = 0
    for some in cut_values(ids):
        query = sa.select(message.c.archive, retention_part.c.archive.label("file")).select_from(part)
        rows = tx.execute(query.where(message.c.id.in_(some)))
        kept += sum(row.archive is None or row.file in there for row in rows)
    return kept


def _leave_kept_events(
    tx: Transaction, events: Mapping[int, ArchivedEvent], there: Iterable[ArchiveEntry], folder: Path
) -> set[int]:
    """Return the serials of those *events*, by serial, that neither the journal nor a file of *there* has."""
    left = set(events)
    for some in cut_values(list(events)):
        rows = tx.execute(sa.select(event.c.serial, event.c.hash).where(event.c.serial.in_(some)))
        left -= {row.serial for row in rows if row.hash == events[row.serial].hash}
    for entry in there:
        numbers = [events[serial].number for serial in left]
        if not numbers or (entry.last_number or 0) < min(numbers) or (entry.first_number or 0) > max(numbers):
            continue
        left -= _list_events(entry, folder, left, events)
    return left


def _list_events(entry: ArchiveEntry, folder: Path, wanted: set[int], events: Mapping[int, ArchivedEvent]) -> set[int]:
    """Return the serials of those *wanted* that are in the file of *entry*; none if it cannot be read."""
    try:
        with catalogue.open_entry(entry, folder) as archive:
            found = {each.serial: each.hash for each in archive.other_events()}
    except (ArchiveAbsent, NoArchive):
        return set()
    return {serial for serial in wanted if found.get(serial) == events[serial].hash}
