"""The safe: what is kept for a while lies in it sealed, by a key that is not where it lies.  Knows AES-256-GCM; not what is kept.

Whoever has the database alone, or a copy of it, reads nothing; without the key what was sealed is as good as gone.
"""

import re
from pathlib import Path

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

#: Octets of a key, and of what makes each sealing another (NIST SP 800-38D, 8.2).
KEY, NONCE = 32, 12
KEY_EXPECTED = "a file that holds 64 hexadecimal digits and nothing else, as `lienthong init` writes one"


class Unsealable(Exception):
    """It was sealed by another key, or for another place, or it was changed."""


@attrs.frozen
class Safe:
    """Seals and names; the keys for the two are drawn from one."""

    _master: bytes = attrs.field(repr=False)

    @property
    def naming(self) -> bytes:
        """Return the key by which things are named."""
        return self._drawn(b"lienthong lookups: names")

    def seal(self, octets: bytes, place: str, nonce: bytes) -> bytes:
        """Return *octets* sealed for *place*; *nonce*, of `NONCE` octets, is never used twice."""
        return nonce + AESGCM(self._drawn(b"lienthong lookups: answers")).encrypt(nonce, octets, place.encode())

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """Return what was sealed for *place*.  Raises `Unsealable`."""
        try:
            lock = AESGCM(self._drawn(b"lienthong lookups: answers"))
            return lock.decrypt(sealed[:NONCE], sealed[NONCE:], place.encode())
        except (InvalidTag, ValueError):
            raise Unsealable(place) from None

    def _drawn(self, what: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=KEY, salt=None, info=what).derive(self._master)


def open_safe(file: Path) -> Safe:
    """Return the safe whose key is in *file*.  Raises OSError, and ValueError when there is no key in it."""
    text = file.read_text("ascii").strip()
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError("it holds no key")
    return Safe(bytes.fromhex(text))


def new_key(octets: bytes) -> str:
    """Return the text of a key file for a key of these random *octets*."""
    return f"{octets.hex()}\n"
