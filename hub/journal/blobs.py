"""Stores the octets of messages once, named by their SHA-256, and so what calls have in common.

That is the certificates that signed them, and the forms of their envelopes.

Does not know their content or their owner, nor what the signed parts of a call are (hub.security.kept_envelopes).

The octets are rows of parts. All parts but the last have `PART` octets, so the same octets always make the same rows.
Another part size would need a migration.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import sqlalchemy as sa

from hub.formats.spool import CARRIED, Octets
from hub.security.kept_envelopes import KeptEnvelope, read_form_name
from hub.store import transactions
from hub.store.hot_statements import SetInsert
from hub.store.tables import content as table
from hub.store.tables import envelope_form, message, signer
from hub.store.transactions import Transaction

#: Octets per part. Larger parts block the writer longer, smaller parts make more rows. Sizes in between make no
#: difference.
PART = 256 * 1024
#: Larger contents are written before the transaction that refers to them, `BATCH` parts per transaction.
LARGE = CARRIED
BATCH = CARRIED // PART


def keep_blob(tx: Transaction, sha256: str, octets: bytes | Octets) -> None:
    """Store *octets* under their SHA-256. Of large contents, only missing parts are written.

    Raises RuntimeError if stored parts differ in size.
    """
    numbers = range(_count_parts(len(octets)))
    if len(octets) <= LARGE:
        keep_parts(tx, sha256, octets, numbers)
        return
    there = read_blob_size(tx, sha256) or 0
    if there != len(octets):
        there += keep_parts(tx, sha256, octets, numbers)
    if there != len(octets) and read_blob_size(tx, sha256) != len(octets):  # else another node wrote some
        raise RuntimeError(f"the stored parts of {sha256} do not belong to these octets")


def batch_part_numbers(length: int) -> Iterator[Sequence[int]]:
    """Yield the part numbers of a content of *length* octets, in batches for one transaction each."""
    count = _count_parts(length)
    for first in range(0, count, BATCH):
        yield range(first, min(first + BATCH, count))


def keep_parts(tx: Transaction, sha256: str, octets: bytes | Octets, numbers: Iterable[int], first: int = 0) -> int:
    """Store the parts with these *numbers*. A part that exists is left: it is the same.

    *octets* begin with the part number *first*. Return the number of new octets.
    """
    new = 0
    whole = Octets.of(octets) if isinstance(octets, bytes) else octets
    for number in numbers:
        start = (number - first) * PART
        part = whole.cut(start, min(start + PART, len(whole))).read()
        new += len(part) * transactions.insert_missing_rows(
            tx, table, [{"sha256": sha256, "part": number, "octets": part}]
        )
    return new


def make_row(sha256: str, octets: bytes | Octets) -> dict[str, object]:
    """Return the row of *octets*, at most `PART` of them."""
    return {"sha256": sha256, "part": 0, "octets": octets if isinstance(octets, bytes) else octets.read()}


def read_blob_size(tx: Transaction, sha256: str) -> int | None:
    """Return the number of stored octets under *sha256*, or None. It is too small if a writer was interrupted."""
    found = tx.scalar(sa.select(sa.func.sum(sa.func.length(table.c.octets))).where(table.c.sha256 == sha256))
    return None if found is None else int(found)


def read_blob(tx: Transaction, sha256: str) -> bytes:
    """Return the octets of *sha256*. Raises KeyError if there are none, or what is stored are no octets."""
    return b"".join(read_blob_pieces(tx, sha256))


def read_blob_pieces(tx: Transaction, sha256: str) -> Iterator[bytes]:
    """Yield the octets of *sha256*, one part at a time. Raises KeyError if there are none."""
    number = 0
    while (found := read_blob_part(tx, sha256, number)) is not None:
        yield found
        if len(found) < PART:
            return
        number += 1
    if number == 0:
        raise KeyError(sha256)


def read_blob_part(tx: Transaction, sha256: str, number: int) -> bytes | None:
    """Return one part of the octets of *sha256*, or None if there is no such part."""
    query = sa.select(table.c.octets).where(table.c.sha256 == sha256, table.c.part == number)
    found = tx.scalars(query).first()
    if found is not None and not isinstance(found, bytes | memoryview):
        raise KeyError(sha256)  # SQLite stores a value of any type: somebody edited it
    return None if found is None else bytes(found)


def _count_parts(length: int) -> int:
    return max(1, -(-length // PART))


_SIGNERS = SetInsert(signer, skips=True)
_FORMS = SetInsert(envelope_form, skips=True)


def keep_shared_parts(tx: Transaction, envelopes: Iterable[KeptEnvelope | None]) -> None:
    """Store the certificates and the forms of *envelopes* that are not stored yet."""
    kept = [each for each in envelopes if each is not None]
    signers = sorted({each.certificate for each in kept})
    _SIGNERS.run(tx, [{"sha256": hashlib.sha256(der).hexdigest(), "der": der} for der in signers])
    forms = sorted({each.form for each in kept if each.form is not None})
    _FORMS.run(tx, [{"sha256": hashlib.sha256(packed).hexdigest(), "packed": packed} for packed in forms])


def read_kept_envelope(tx: Transaction, message_id: str) -> tuple[bytes, bytes | None] | None:
    """Return what is kept of the call that brought a message: its packed parts, and the form that they name.

    None: it had no signature, or none is kept.
    """
    packed = tx.scalars(sa.select(message.c.envelope).where(message.c.id == message_id)).first()
    if packed is None:
        return None
    name = read_form_name(packed)
    form = tx.scalars(sa.select(envelope_form.c.packed).where(envelope_form.c.sha256 == name)).first() if name else None
    return bytes(packed), form


def read_signer(tx: Transaction, sha256: str) -> bytes | None:
    """Return the certificate (DER) with this SHA-256, or None."""
    return tx.scalars(sa.select(signer.c.der).where(signer.c.sha256 == sha256)).first()
