"""The code lists in force: the newest accepted message of each list. Does not know the format of a list."""

from collections.abc import Iterable

import sqlalchemy as sa

from hub.domain.model import Message
from hub.journal import blobs
from hub.journal.searching import message_reading
from hub.report.counting.division import write_value
from hub.services.categories import ATTRIBUTES, CategoryList, parse_category_list
from hub.store.tables import LISTED
from hub.store.tables import message as table
from hub.store.transactions import Transaction


def read_newest_lists(tx: Transaction) -> list[Message]:
    """Return the message of each list in force, by the list's name."""
    latest = sa.select(sa.func.max(table.c.id)).where(LISTED).group_by(table.c.kind)
    rows = tx.execute(
        sa.select(*message_reading.MESSAGE_COLUMNS).where(table.c.id.in_(latest)).order_by(table.c.kind)
    ).mappings()
    return [message_reading.read_message_row(row) for row in rows]


def read_code_list(tx: Transaction, name: str) -> CategoryList | None:
    """Return the list *name* (such as `LayDanhSachTTHC`) in force, or None if none was ever accepted."""
    latest = sa.select(sa.func.max(table.c.id)).where(LISTED, table.c.kind == name)
    row = tx.execute(sa.select(table).where(table.c.id == latest.scalar_subquery())).mappings().first()
    return None if row is None else parse_category_list(blobs.read_blob(tx, row["sha256"]))


def read_value_names(tx: Transaction, attributes: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the names that lists in force give the values of *attributes* of facts, as rows spell them, by attribute."""
    found: dict[str, dict[str, str]] = {}
    for attribute in attributes:
        listed = read_code_list(tx, ATTRIBUTES[attribute]) if attribute in ATTRIBUTES else None
        if listed is not None:
            found[attribute] = {write_value(code): name for code, name in listed.names.items() if name}
    return found
