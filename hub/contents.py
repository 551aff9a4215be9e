"""The bytes of the messages, kept once and named by their SHA-256.  Knows how they are kept; not what they say, or whose they are."""

import sqlalchemy as sa

from hub import store
from hub.schema import content as table
from hub.store import Transaction


def keep(tx: Transaction, sha256: str, octets: bytes) -> None:
    """Keep *octets* under their name."""
    store.put_once(tx, table, [{"sha256": sha256, "octets": octets}])


def octets(tx: Transaction, sha256: str) -> bytes:
    """Return the bytes of that name.  KeyError when there are none."""
    found = tx.scalars(sa.select(table.c.octets).where(table.c.sha256 == sha256)).first()
    if found is None:
        raise KeyError(sha256)
    return bytes(found)
