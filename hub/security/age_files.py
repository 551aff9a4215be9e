"""Encrypts streams to public keys in the format of age (C2SP age-encryption.org/v1), by the library `pyrage`.

Knows keys and octets. Does not know what is encrypted. The files are read by the programs `age` and `rage`, too. Age
authenticates no sender: whoever has a public key can encrypt to it, so what matters must be signed inside.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import pyrage

from hub.language.phrases import phrase
from hub.security.certificates import CredentialUnfit

#: How a public key begins, and how a private key does.
_RECIPIENT, _IDENTITY = "age1", "AGE-SECRET-KEY-1"


class Undecryptable(Exception):
    """The stream is no age file, was changed, or is encrypted to none of the given keys."""


@attrs.frozen
class Recipient:
    """A public key (X25519) to which can be encrypted."""

    text: str  #: as `age-keygen -y` prints it: age1…


@attrs.frozen
class PrivateKey:
    """A private key (X25519), with which can be decrypted."""

    _key: Any = attrs.field(repr=False)

    @property
    def recipient(self) -> Recipient:
        """Return its public key."""
        return Recipient(str(self._key.to_public()))

    @property
    def text(self) -> str:
        """Return the private key as a file of `age-keygen` has it. To be kept secret."""
        return str(self._key)


def make_private_key() -> PrivateKey:
    """Return a new private key."""
    return PrivateKey(pyrage.x25519.Identity.generate())


def parse_recipient(text: str) -> Recipient:
    """Return the public key written as *text*. Raises ValueError."""
    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise ValueError(str(error)) from None
    return Recipient(text)


def read_private_keys(file: Path) -> tuple[PrivateKey, ...]:
    """Return the private keys in *file*, as `age-keygen` writes it: one a line, `#` begins a comment.

    Raises OSError, and CredentialUnfit if there is none, or a line that is none.
    """
    found = []
    for line in file.read_text("utf-8", "replace").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        try:
            found.append(PrivateKey(pyrage.x25519.Identity.from_str(line.strip())))
        except pyrage.IdentityError:  # its text may show a part of the key
            raise CredentialUnfit(phrase("a line is no private key {begin}…", begin=_IDENTITY)) from None
    if not found:
        raise CredentialUnfit(phrase("it holds no private key {begin}…", begin=_IDENTITY))
    return tuple(found)


def encrypt_stream(source: BinaryIO, target: BinaryIO, recipients: Iterable[Recipient]) -> None:
    """Write what *source* yields to *target*, encrypted to every one of *recipients*, in pieces of 64 KiB.

    Raises what reading *source* and writing *target* raise.
    """
    keys: list[Any] = [pyrage.x25519.Recipient.from_str(each.text) for each in recipients]
    here, there = _Stream(source), _Stream(target)
    try:
        pyrage.encrypt_io(here, there, keys)
    except (pyrage.EncryptError, OSError):
        _raise_first(here, there)
        raise


def decrypt_stream(source: BinaryIO, target: BinaryIO, keys: Sequence[PrivateKey]) -> None:
    """Write the content of the age file *source* to *target*.

    Raises Undecryptable; what was written until then is authentic, but not complete. Raises what reading *source* and
    writing *target* raise.
    """
    here, there = _Stream(source), _Stream(target)
    try:
        pyrage.decrypt_io(here, there, [each._key for each in keys])  # noqa: SLF001 - its own class
    except (pyrage.DecryptError, OSError) as error:
        _raise_first(here, there)
        raise Undecryptable(str(error)) from None


@attrs.define
class _Stream:
    """Passes octets on and keeps the error of the stream behind it, which the library only quotes."""

    _stream: BinaryIO
    error: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except Exception as error:
            self.error = error
            raise

    def write(self, octets: bytes) -> int:
        try:
            return self._stream.write(octets)
        except Exception as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._stream.flush()


def _raise_first(*streams: _Stream) -> None:
    for each in streams:
        if each.error is not None:
            raise each.error from None
