"""The bytes of the messages, kept once and named by their SHA-256.  Knows how they are kept; not what they say, or whose they are.

They are rows of parts.  All parts but the last are `PART` octets long, whatever the size of the whole, so that the same bytes make
the same rows whoever writes them; another length would need a migration.
"""

from collections.abc import Iterable, Iterator, Sequence

import sqlalchemy as sa

from hub.formats.spool import Octets
from hub.store import transactions
from hub.store.tables import content as table
from hub.store.transactions import Transaction

#: Octets of a part.  Larger ones block the writer longer, smaller ones make more rows; in between it makes no difference.
PART = 256 * 1024
#: What is larger is written before the transaction that names it, `BATCH` parts in each.
LARGE = 1024 * 1024
BATCH = 4


def keep_blob(tx: Transaction, sha256: str, octets: bytes | Octets) -> None:
    """Keep *octets* under their name; of large ones, what is not there yet."""
    if len(octets) <= LARGE or read_blob_size(tx, sha256) != len(octets):
        keep_parts(tx, sha256, octets, range(_count(len(octets))))
    if len(octets) > LARGE and read_blob_size(tx, sha256) != len(octets):
        raise RuntimeError(f"the parts of {sha256} are not those of these octets")


def batch_part_numbers(length: int) -> Iterator[Sequence[int]]:
    """Yield the numbers of the parts of so many octets, as many at a time as one transaction may write."""
    count = _count(length)
    for first in range(0, count, BATCH):
        yield range(first, min(first + BATCH, count))


def keep_parts(tx: Transaction, sha256: str, octets: bytes | Octets, numbers: Iterable[int]) -> None:
    """Keep the parts with these *numbers*.  One that is there already is the same."""
    whole = Octets.of(octets) if isinstance(octets, bytes) else octets
    for number in numbers:
        start = number * PART
        part = whole.cut(start, min(start + PART, len(whole))).read()
        transactions.put_once(tx, table, [{"sha256": sha256, "part": number, "octets": part}])


def read_blob_size(tx: Transaction, sha256: str) -> int | None:
    """Return how many octets are kept under that name; fewer than there were when a writer was interrupted.  None without any."""
    found = tx.scalar(sa.select(sa.func.sum(sa.func.length(table.c.octets))).where(table.c.sha256 == sha256))
    return None if found is None else int(found)


def read_blob(tx: Transaction, sha256: str) -> bytes:
    """Return the bytes of that name.  KeyError when there are none."""
    return b"".join(read_blob_pieces(tx, sha256))


def read_blob_pieces(tx: Transaction, sha256: str) -> Iterator[bytes]:
    """Yield the bytes of that name, a part at a time.  KeyError when there are none."""
    number = 0
    while (found := read_blob_part(tx, sha256, number)) is not None:
        yield found
        if len(found) < PART:
            return
        number += 1
    if number == 0:
        raise KeyError(sha256)


def read_blob_part(tx: Transaction, sha256: str, number: int) -> bytes | None:
    """Return one part of the bytes of that name; None when there is none of that number."""
    query = sa.select(table.c.octets).where(table.c.sha256 == sha256, table.c.part == number)
    found = tx.scalars(query).first()
    return None if found is None else bytes(found)


def _count(length: int) -> int:
    return max(1, -(-length // PART))
