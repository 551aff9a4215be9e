"""Messages read by what names them: their id, document, origin, receipt; not searched by conditions."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Message, MessageState
from hub.journal import packed_receipts
from hub.report.counting.evidence import EvidenceLine, EvidenceLines
from hub.store.tables import ACCEPTED, SEARCHED
from hub.store.tables import message as table
from hub.store.transactions import Transaction

#: The columns of a `Message`. All of its row is ten times as long: the receipt, and the signed parts of its call.
MESSAGE_COLUMNS = tuple(table.c[field.name] for field in attrs.fields(Message))


def read_messages(tx: Transaction, ids: Sequence[str]) -> list[Message]:
    """Return the messages with these hub ids, at most `PAGE`, in this order. Raises KeyError if one does not exist."""
    rows = tx.execute(sa.select(*MESSAGE_COLUMNS).where(table.c.id.in_(ids))).mappings()
    found = {row["id"]: read_message_row(row) for row in rows}
    return [found[each] for each in ids]


def read_message_row(row: sa.RowMapping | Mapping[str, Any]) -> Message:
    """Return the `Message` of a row."""
    fields = {field.name: row[field.name] for field in attrs.fields(Message)}
    return Message(**fields | {"state": MessageState(row["state"])})


def read_message(tx: Transaction, message_id: str) -> Message:
    """Return the message with this hub id. Raises KeyError if there is none."""
    row = tx.execute(sa.select(*MESSAGE_COLUMNS).where(table.c.id == message_id)).mappings().first()
    if row is None:
        raise KeyError(message_id)
    return read_message_row(row)


def find_accepted_message(tx: Transaction, partner: str, message_id: str) -> Message | None:
    """Return *partner*'s accepted message with this message id, or None. There is at most one."""
    same = sa.and_(table.c.partner == partner, table.c.message_id == message_id, ACCEPTED)
    row = tx.execute(sa.select(*MESSAGE_COLUMNS).where(same)).mappings().first()
    return None if row is None else read_message_row(row)


def find_accepted_messages(tx: Transaction, partner: str, message_ids: Iterable[str]) -> dict[str, Message]:
    """Return those of *partner*'s accepted messages that have one of *message_ids*, by message id."""
    found: dict[str, Message] = {}
    rest = iter(dict.fromkeys(message_ids))
    while some := list(islice(rest, 500)):
        same = sa.and_(table.c.partner == partner, table.c.message_id.in_(some), ACCEPTED)
        for row in tx.execute(sa.select(*MESSAGE_COLUMNS).where(same)).mappings():
            found[row["message_id"]] = read_message_row(row)
    return found


def read_message_ids(tx: Transaction, ids: Iterable[str]) -> dict[str, str | None]:
    """Return the senders' message ids by hub id."""
    found: dict[str, str | None] = {}
    wanted = iter(dict.fromkeys(ids))
    while some := list(islice(wanted, 500)):
        rows = tx.execute(sa.select(table.c.id, table.c.message_id).where(table.c.id.in_(some)))
        found |= {row.id: row.message_id for row in rows}
    return found


def read_message_origins(tx: Transaction, ids: Iterable[str]) -> dict[str, tuple[str, datetime]]:
    """Return, by hub id, the partner that sent each message and when it was received."""
    found: dict[str, tuple[str, datetime]] = {}
    wanted = iter(dict.fromkeys(ids))
    while some := list(islice(wanted, 500)):
        rows = tx.execute(sa.select(table.c.id, table.c.partner, table.c.received_at).where(table.c.id.in_(some)))
        found |= {row.id: (row.partner, row.received_at) for row in rows}
    return found


@attrs.frozen
class NamedLines(EvidenceLines):
    """Evidence lines with the senders' message ids, which are looked up while the lines are read."""

    _tx: Transaction
    _listed: EvidenceLines  #: the lines without message ids

    @property
    def sha256(self) -> str:
        """The SHA-256 of the evidence."""
        return self._listed.sha256

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self._listed)

    def __iter__(self) -> Iterator[EvidenceLine]:
        """Yield each line."""
        rest = iter(self._listed)
        while some := list(islice(rest, 500)):
            ids = read_message_ids(self._tx, (line.fact.message for line in some))
            yield from (EvidenceLine(line.fact, line.columns, ids.get(line.fact.message)) for line in some)


def find_messages_about(
    tx: Transaction,
    service: str,
    key: str,
    units: Collection[str] | None,
    most: int,
    *,
    brought_by: str | None = None,
) -> list[sa.RowMapping]:
    """Return the accepted messages about a business key, newest first, at most *most*.

    Each row has `id`, `sender`, `received_at`, `sha256` and `size`. Only messages of *units* (None: all) are returned
    and, if *brought_by* is given, only those that this partner sent.
    """
    written, keys = json.dumps(key, ensure_ascii=False), table.c["keys"]
    query = (
        sa.select(table.c.id, table.c.sender, table.c.received_at, table.c.sha256, table.c.size, keys)
        .where(table.c.state == MessageState.ACCEPTED, table.c.service == service, table.c.document_id.is_(None))
        .where(keys.contains(written, autoescape=True))
        .order_by(table.c.received_at.desc(), table.c.id.desc())
    )
    if units is not None:
        query = query.where(table.c.sender.in_(list(units)))  # together with `document_id` this uses an index
    if brought_by is not None:
        query = query.where(table.c.partner == brought_by)
        if units is None:
            query = query.where(SEARCHED)
    with tx.execute(query.execution_options(yield_per=100)) as rows:
        exact = (row for row in rows.mappings() if key in json.loads(row["keys"]))  # SQLite's LIKE ignores case
        return list(islice(exact, most))


def read_stored_receipt(tx: Transaction, message_id: str) -> bytes | None:
    """Return the stored receipt of a message, or None for a refused one."""
    stored = tx.scalars(sa.select(table.c.receipt).where(table.c.id == message_id)).first()
    return packed_receipts.read_kept_receipt(tx, message_id) if stored is None else stored
