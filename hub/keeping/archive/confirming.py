"""Tells which messages of the journal are in an archive file exactly as they are now, so that their rows may go.

Deletes nothing. A message may have changed since the file was written: a person sent it again, or looked at its content.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from hub.keeping.archive.reading import Archive
from hub.keeping.archive.writing import read_message_lines
from hub.store.tables import event
from hub.store.transactions import Transaction


def find_unchanged_messages(tx: Transaction, archive: Archive, ids: Sequence[str]) -> list[str]:
    """Return those messages among *ids*, some hundreds, that are in *archive* with the very rows that *tx* sees.

    Compared are the rows of the message, its deliveries, attempts and changes, the number of its events (they are only
    added, or go all), and whether its octets are stored. To be called in the transaction that deletes. A message with an
    event that has no number in the chain yet, or one behind the head of the chain that the file names, is left out: it
    went and was brought back since. Raises NoArchive.
    """
    kept, newer = archive.read_message_lines(ids), _list_newer(tx, ids, archive.manifest.head[0])
    return [each.id for each in read_message_lines(tx, ids) if kept.get(each.id) == each.line and each.id not in newer]


def _list_newer(tx: Transaction, ids: Sequence[str], head: int) -> frozenset[str | None]:
    """Return those messages among *ids* that have an event behind the number *head*."""
    return frozenset(tx.scalars(sa.select(event.c.message).where(event.c.message.in_(ids), event.c.number > head)))
