"""Gives up an archive file that is lost or damaged while its part was going, so that the month goes on without it.

If nothing of the part has gone, all of it is still in the journal: it is announced as before and goes into another file,
and the journal forgets the lost one. If some of it has gone, the part ends there: what is left is announced anew, and the
journal goes on naming the file, which alone has what went. Deletes no message, and gives up no file that is whole.
"""

from datetime import datetime
from pathlib import Path

import attrs
import sqlalchemy as sa

from hub.keeping.archive import catalogue
from hub.keeping.archive.catalogue import ArchiveAbsent, ArchiveEntry
from hub.keeping.retention import parts
from hub.keeping.retention.parts import PartEvent, PartState, RetentionPart
from hub.language.phrases import Phrase, phrase
from hub.store.tables import message
from hub.store.transactions import Transaction


class FileNeeded(Exception):
    """The file cannot be given up. *why* says why."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(str(why))
        self.why = why


@attrs.frozen(kw_only=True)
class LostFile:
    """The file of a part that is going, and what has gone with it."""

    entry: ArchiveEntry
    part: RetentionPart
    gone: int  #: messages whose rows only the file has

    @property
    def is_unused(self) -> bool:
        """Tell whether nothing has gone with it: neither a message nor an event of a refused call."""
        return not self.gone and not self.part.events


def find_fault(entry: ArchiveEntry, folder: Path) -> str:
    """Return what is wrong with the file of *entry*; "" if it has the very octets that were written. Reads all of it."""
    try:
        with catalogue.open_entry(entry, folder) as archive:
            catalogue.require_written_file(entry, archive)
    except (ArchiveAbsent, OSError) as fault:
        return str(fault)
    return ""


def read_lost_file(tx: Transaction, entry: ArchiveEntry) -> LostFile:
    """Return the part for which the file of *entry* was written. Raises FileNeeded if that is not going."""
    part = _read_going_part(tx, entry)
    # by the ids, which have an index
    within = message.c.id.between(entry.first_message or "", entry.last_message or "")
    gone = tx.scalar(sa.select(sa.func.count()).where(within, message.c.archive == part.number)) or 0
    return LostFile(entry=entry, part=part, gone=gone)


def give_up_file(tx: Transaction, entry: ArchiveEntry, *, by: str, reason: str, now: datetime) -> RetentionPart:
    """Give up the file of *entry*, which is lost or damaged. Return its part: announced as before, or ended.

    Raises FileNeeded if the part is not going, PartMoved if another process has moved it.
    """
    parts.hold_part(tx, _read_going_part(tx, entry).number, entry.id)
    lost = read_lost_file(tx, entry)  # nothing more goes from here on
    part = lost.part
    said = {
        "archive": entry.id,
        "file": entry.name,
        "sha256": entry.sha256,
        "gone": lost.gone,
        "by": by,
        "reason": reason,
    }
    if lost.is_unused:
        catalogue.forget_archive(tx, entry.id)
        return parts.move_part(tx, part.number, PartEvent.REPEAT, now, said=said, archive=None)
    return parts.move_part(tx, part.number, PartEvent.CUT, now, said=said, messages=lost.gone)


def _read_going_part(tx: Transaction, entry: ArchiveEntry) -> RetentionPart:
    part = parts.find_part_of(tx, entry.id)
    if part is None or part.state is not PartState.ARCHIVED:
        raise FileNeeded(phrase("its messages have gone, and nothing else has them: put a copy of it into the folder"))
    return part
