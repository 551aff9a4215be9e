"""Brings a message back from its archive file into the journal, so that it can be sent again.

What comes back: the octets, the receipt, the signed parts of its call, and what its head lacks. Its facts, deliveries and
receipt key never went, so nothing is counted or given out twice. Its earlier events and attempts stay in the file, which
the event `message-restored` names. Knows what to write. Who calls runs each step in a write transaction of its own.
"""

from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from hub.domain.model import Event
from hub.journal import blobs, events
from hub.keeping.archive import opening
from hub.keeping.archive.archived import ArchivedMessage
from hub.keeping.archive.catalogue import ArchiveEntry, read_archive_entry, require_written_file
from hub.keeping.archive.manifest import FORMS, SIGNERS
from hub.keeping.archive.reading import Archive
from hub.security import kept_envelopes
from hub.store import tables, transactions
from hub.store.tables import message, retention_part
from hub.store.transactions import Transaction

Step = Callable[[Transaction], None]
#: Octets that one step writes.
PIECE = blobs.BATCH * blobs.PART


def find_archive_entry(tx: Transaction, message_id: str) -> ArchiveEntry | None:
    """Return the archive file into which the message went last; None if its rows are in the journal."""
    query = (
        sa.select(retention_part.c.archive)
        .join(message, message.c.archive == retention_part.c.number)
        .where(message.c.id == message_id)
    )
    found = tx.scalars(query).first()
    return None if found is None else read_archive_entry(tx, found)


def restore_steps(
    entry: ArchiveEntry, message_id: str, folder: Path, *, by: str, plan: str | None, now: datetime
) -> Generator[Step]:
    """Yield the steps that bring a message back, in order. The last one makes it whole; before that nothing uses the rest.

    Each next step is read from the file when it is asked for. Repeating all steps after a crash is right. Where retention
    has deleted the octets between two steps, all come again. Raises ArchiveAbsent, also between the steps, and if the file
    is not the very one that was written: what comes back is sent to partners as the hub's own.
    """
    with opening.open_archive_of(entry, folder) as archive:
        require_written_file(entry, archive)
        found = archive.read_message(message_id)
        shared = _read_shared(archive, found)
        done = False

        def finish(tx: Transaction) -> None:
            nonlocal done
            for table, row in shared:
                transactions.insert_missing_rows(tx, table, [row])
            done = _complete_head(tx, found, entry.id, by=by, plan=plan, now=now)

        while not done:
            if found.has_octets:
                yield from _octet_steps(archive, str(found.row["sha256"]))
            yield finish


def _octet_steps(archive: Archive, sha256: str) -> Iterator[Step]:
    """Yield the steps that store the octets, as large contents are always stored: parts before the row that needs them."""
    held, first = b"", 0
    for piece in archive.read_octets(sha256):
        held += piece
        while len(held) > PIECE:
            yield _make_octet_step(sha256, held[:PIECE], first)
            held, first = held[PIECE:], first + blobs.BATCH
    yield _make_octet_step(sha256, held, first)


def _make_octet_step(sha256: str, octets: bytes, first: int) -> Step:
    numbers = range(first, first + max(1, -(-len(octets) // blobs.PART)))

    def write(tx: Transaction) -> None:
        blobs.keep_parts(tx, sha256, octets, numbers, first=first)

    return write


def _read_shared(archive: Archive, found: ArchivedMessage) -> list[tuple[sa.Table, dict[str, object]]]:
    """Return the rows that the signed parts of its call refer to."""
    packed = found.row["envelope"]
    if packed is None:
        return []
    form = None
    if (name := kept_envelopes.read_form_name(packed)) is not None:
        form = archive.read_shared_row(FORMS, name)
    rows = [] if form is None else [(tables.envelope_form, dict(form))]
    try:
        signer = kept_envelopes.unpack_parts(packed, None if form is None else form["packed"]).certificate
    except ValueError:  # as it was in the journal
        return rows
    certificate = archive.read_shared_row(SIGNERS, signer)
    return rows if certificate is None else [*rows, (tables.signer, dict(certificate))]


def _complete_head(
    tx: Transaction, found: ArchivedMessage, archive: str, *, by: str, plan: str | None, now: datetime
) -> bool:
    """Fill in what the head of the message lacks, unless another process has done so.

    Return False, and change nothing, if its octets are not there: retention has deleted them meanwhile. From this look on
    until *tx* ends, it cannot (`hub.keeping.retention.letting_go`).
    """
    locked = sa.select(message).where(message.c.id == found.id).with_for_update()
    row = tx.execute(locked).mappings().first()
    if row is None or row["archive"] is None:
        return True
    if found.has_octets and blobs.read_blob_size(tx, row["sha256"]) != row["size"]:
        return False
    gone = {name: value for name, value in found.row.items() if value is not None and row[name] is None}
    tx.execute(sa.update(message).where(message.c.id == found.id).values({**gone, "archive": None}))
    body = {"archive": archive, "by": by} | ({"plan": plan} if plan else {})
    events.append_events(tx, Event("message-restored", now, found.id, None, body))
    return True
