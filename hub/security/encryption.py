"""Encrypts what the journal keeps and nobody may read there, with AES-256-GCM. Does not know what it encrypts.

The key is kept outside the database. A reader of the database, or of a copy of it, learns nothing. Without the key the
encrypted content is lost.
"""

import re
from contextlib import suppress
from pathlib import Path

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hub.language.phrases import phrase

#: Octets of a key and of a nonce (NIST SP 800-38D, 8.2).
KEY, NONCE = 32, 12
#: What a key is used for. Each use has a key of its own, derived from that in the file.
ANSWERS, CODES = b"lienthong lookups: answers", b"lienthong console: one-time codes"
KEY_EXPECTED = phrase("a file that holds 64 hexadecimal digits and nothing else, as `lienthong init` writes one")


class Unsealable(Exception):
    """The content was encrypted with another key or for another place, or it was changed."""


@attrs.frozen
class Safe:
    """Encrypts for one use, and derives lookup names. The keys are derived from one master key."""

    _master: bytes = attrs.field(repr=False)
    _use: bytes = attrs.field(default=ANSWERS, repr=False)

    @property
    def naming(self) -> bytes:
        """Return the key that derives the names of stored answers."""
        return self._drawn(b"lienthong lookups: names")

    def seal(self, octets: bytes, place: str, nonce: bytes) -> bytes:
        """Return *octets* encrypted for *place*. A *nonce*, of `NONCE` octets, must never be used twice."""
        return nonce + AESGCM(self._drawn(self._use)).encrypt(nonce, octets, place.encode())

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """Return the decrypted content that was encrypted for *place*. Raises Unsealable."""
        try:
            lock = AESGCM(self._drawn(self._use))
            return lock.decrypt(sealed[:NONCE], sealed[NONCE:], place.encode())
        except (InvalidTag, ValueError):
            raise Unsealable(place) from None

    def of_use(self, use: bytes) -> "Safe":
        """Return the safe of the same key for another use."""
        return Safe(self._master, use)

    def _drawn(self, what: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=KEY, salt=None, info=what).derive(self._master)


@attrs.frozen
class Keyring:
    """The safes of one use: the first one encrypts, each decrypts. So a key can be changed."""

    safes: tuple[Safe, ...] = ()

    def unseal(self, sealed: bytes, place: str) -> tuple[bytes, bool]:
        """Return the decrypted content, and whether the first safe encrypted it. Raises Unsealable."""
        for number, safe in enumerate(self.safes):
            with suppress(Unsealable):
                return safe.unseal(sealed, place), number == 0
        raise Unsealable(place)


def open_safe(file: Path) -> Safe:
    """Return the safe with the key in *file*. Raises OSError, and ValueError if the file holds no key."""
    text = file.read_text("ascii").strip()
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError("it holds no key")
    return Safe(bytes.fromhex(text))


def write_key_text(octets: bytes) -> str:
    """Return the text of a key file for a key of these random *octets*."""
    return f"{octets.hex()}\n"
