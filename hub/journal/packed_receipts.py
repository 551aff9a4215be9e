"""Keeps receipts in a compact form, from which the same octets are made again.

All receipts of one hub's key and service differ only in a few texts, some of which their message has, and in the
signature. So each is compressed (RFC 1951) with a dictionary: a receipt like it, kept once, and the texts of its message.
About 300 octets of some 2,500 are left with an RSA key of 2,048 bits, most of them the signature. Does not know what is
in a receipt, nor when a message has gone.
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence

import attrs
import sqlalchemy as sa

from hub.store import transactions
from hub.store.hot_statements import HotStatement
from hub.store.tables import kept_receipt, message, receipt_form
from hub.store.transactions import Transaction

#: A receipt that a known form does not make smaller than this part of it becomes a form itself.
_FIT = 0.4
#: Octets of a receipt at most. Longer ones are not packed (a dictionary ends at 32 KiB), so their message stays whole.
MOST = 16 * 1024

_KEPT = HotStatement(
    sa.select(
        kept_receipt.c.packed,
        receipt_form.c.octets,
        message.c.message_id,
        message.c.document_id,
        message.c.sha256,
    )
    .join(receipt_form, receipt_form.c.sha256 == kept_receipt.c.form)
    .join(message, message.c.id == kept_receipt.c.message)
    .where(kept_receipt.c.message == sa.bindparam("of"))
)


@attrs.frozen
class ReceiptToPack:
    """The receipt of one message, and the texts of the message that stay in its head."""

    message: str  #: hub id
    octets: bytes = attrs.field(repr=False)
    message_id: str | None
    document_id: str | None
    sha256: str  #: of the message's bytes

    def write_texts(self) -> bytes:
        """Return the texts of the message as the end of a dictionary."""
        return _write_texts(self.message, self.message_id, self.document_id, self.sha256)


def pack_receipt(receipt: ReceiptToPack, form: bytes) -> bytes:
    """Return the octets of *receipt* packed with *form*. Raises ValueError if they cannot be made again from it."""
    if len(receipt.octets) > MOST:
        raise ValueError(f"a receipt of {len(receipt.octets)} octets is not packed")
    texts = receipt.write_texts()
    writer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, form + texts)
    packed = writer.compress(receipt.octets) + writer.flush()
    if _unpack_receipt(packed, form + texts) != receipt.octets:
        raise ValueError(f"the receipt of {receipt.message} cannot be made again")
    return packed


def _unpack_receipt(packed: bytes, dictionary: bytes) -> bytes:
    reader = zlib.decompressobj(-15, zdict=dictionary)
    return reader.decompress(packed, MOST + 1)


def _write_texts(message: str, message_id: str | None, document_id: str | None, sha256: str) -> bytes:
    # part of the stored form: another order or another text would make older receipts unreadable
    return "".join(text or "" for text in (document_id, message_id, message, sha256)).encode()


def keep_receipts(tx: Transaction, receipts: Sequence[ReceiptToPack]) -> None:
    """Write the compact form of *receipts*, and the forms that they need. One that is written already is left."""
    if not receipts:
        return
    forms: dict[str, bytes] = {row.sha256: bytes(row.octets) for row in tx.execute(sa.select(receipt_form))}
    new: dict[str, bytes] = {}
    rows = []
    for receipt in receipts:
        name, packed = _choose_form(receipt, forms)
        if name not in forms:
            forms[name] = new[name] = receipt.octets
        rows.append({"message": receipt.message, "form": name, "packed": packed})
    for name, octets in sorted(new.items()):
        transactions.insert_missing_rows(tx, receipt_form, [{"sha256": name, "octets": octets}])
    transactions.insert_new_rows(tx, kept_receipt, rows)


def _choose_form(receipt: ReceiptToPack, forms: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return the name of the form that fits *receipt* best, and its packed octets; its own if none fits."""
    tried = ((name, pack_receipt(receipt, form)) for name, form in forms.items())
    best = min(tried, key=lambda each: len(each[1]), default=None)
    if best is not None and len(best[1]) <= _FIT * len(receipt.octets):
        return best
    return hashlib.sha256(receipt.octets).hexdigest(), pack_receipt(receipt, receipt.octets)


def read_kept_receipt(tx: Transaction, message_id: str) -> bytes | None:
    """Return the receipt of the message with the hub id *message_id* from its compact form, or None if it has none."""
    row = _KEPT.first(tx, {"of": message_id})
    if row is None:
        return None
    texts = _write_texts(message_id, row.message_id, row.document_id, row.sha256)
    return _unpack_receipt(row.packed, bytes(row.octets) + texts)
