"""Reads the hub's keys and certificates: the key that signs, in a file or in a token, and the TLS key.

Opens no token.
"""

from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import attrs
from cryptography import x509

from hub.config import files
from hub.config.table import ConfigTable
from hub.config.values import KeyRotation
from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error
from hub.security import pkcs11_uri
from hub.security.certificates import Identity, Signer
from hub.security.pkcs11_uri import KeyPlace, Pkcs11UriUnfit
from hub.security.token_key import TokenIdentity


@attrs.frozen
class OwnIdentities:
    """The hub's two identities. They are the same unless its key is in a token or TLS has separate files."""

    signer: Signer
    tls: Identity
    secrets: tuple[tuple[str, Path], ...]  #: files that only their owner may read, each with its configuration key
    rotation: KeyRotation  #: the change of one of them that is in progress

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Return the hub's own certificates, the one that signs first."""
        return tuple(dict.fromkeys((self.signer.certificate, self.tls.certificate)))


class _UnreadIdentity:
    """Stands for a key and a certificate with mistakes, in a configuration for someone who needs neither."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self._mistakes = mistakes

    def __getattr__(self, name: str) -> NoReturn:
        raise ConfigurationFault(self._mistakes)


def make_unread_identities(mistakes: Sequence[Mistake]) -> OwnIdentities:
    """Return what stands for identities that cannot be read. Any use of one raises ConfigurationFault with *mistakes*."""
    unread: Any = _UnreadIdentity(mistakes)
    return OwnIdentities(unread, unread, (), KeyRotation())


def read_identities(table: ConfigTable, home: Path) -> OwnIdentities | None:
    """Read the keys of `[pki]` and their certificates. Return None after a mistake, which is in the table's list."""
    key, certificate = table.text("key"), table.text("certificate")
    module = table.text("module", "")
    tls_key, tls_certificate = table.text("tls-key", ""), table.text("tls-certificate", "")
    for one, other, given in (("tls-key", "tls-certificate", tls_certificate), ("tls-certificate", "tls-key", tls_key)):
        if given and not table.text(one, ""):
            table.wrong(one, phrase("is missing"), phrase("both or none: {other} is there", other=other))
    in_token = key.startswith(pkcs11_uri.SCHEME)
    if in_token and not (tls_key or tls_certificate):
        table.wrong(
            "tls-key", phrase("is missing"), phrase("a file with a key for TLS, which cannot use a key in a token")
        )
    if module and key and not in_token:
        table.wrong(
            "module",
            phrase("is set although the key is a file"),
            phrase("no module, or key = {expected}", expected=pkcs11_uri.EXPECTED),
        )
    signer: Signer | None = None
    tls: Identity | None = None
    secrets: list[tuple[str, Path]] = []
    if in_token:
        place = _read_key_place(table, key, home, module)
        chain = (
            files.read_certificate_file(home / certificate, partial(table.wrong, "certificate")) if certificate else ()
        )
        if place is not None and chain:
            signer = TokenIdentity(place, chain[0], chain[1:])
            secrets.append(("pki.key", place.pin_file))
    else:
        signer = tls = _read_key_pair(table, home, "", key, certificate)
        secrets.append(("pki.key", home / key))
    if tls_key and tls_certificate:
        tls = _read_key_pair(table, home, "tls-", tls_key, tls_certificate)
        secrets.append(("pki.tls-key", home / tls_key))
    rotation = _read_rotation(table, home)
    if next_key := table.text("next-key", ""):
        secrets.append(("pki.next-key", home / next_key))
    return OwnIdentities(signer, tls, tuple(secrets), rotation) if signer is not None and tls is not None else None


def _read_rotation(table: ConfigTable, home: Path) -> KeyRotation:
    """Read the keys that `lienthong keys rotate` writes."""
    key, certificate = table.text("next-key", ""), table.text("next-certificate", "")
    for one, other, given in (("next-key", "next-certificate", certificate), ("next-certificate", "next-key", key)):
        if given and not table.text(one, ""):
            table.wrong(one, phrase("is missing"), phrase("both or none: {other} is there", other=other))
    announced = _read_key_pair(table, home, "next-", key, certificate)
    before = table.text("previous-certificate", "")
    chain = files.read_certificate_file(home / before, partial(table.wrong, "previous-certificate")) if before else ()
    use = table.text("next-use", "", like="tls|sign", expected=phrase("tls or sign"))
    return KeyRotation(
        next=None if announced is None else announced.certificate,
        next_from=_read_day(table, "next-from"),
        previous=chain[0] if chain else None,
        previous_until=_read_day(table, "previous-until"),
        use=use,
    )


def _read_day(table: ConfigTable, key: str) -> date | None:
    expected = phrase("a day, such as {example}", example='"2026-11-29"')
    said = table.text(key, "", like=r"\d{4}-\d{2}-\d{2}", expected=expected)
    try:
        return date.fromisoformat(said) if said else None
    except ValueError:
        table.wrong(key, phrase("{value} does not fit", value=said), expected)
        return None


def _read_key_place(table: ConfigTable, uri: str, home: Path, module: str) -> KeyPlace | None:
    try:
        place = pkcs11_uri.parse_pkcs11_uri(uri, home, module)
    except Pkcs11UriUnfit as unfit:
        table.wrong("key", *unfit.args)
        return None
    try:
        place.pin_file.read_text("utf-8")
    except (OSError, ValueError) as error:
        table.wrong(
            "key",
            phrase("{pin_file} cannot be read: {error}", pin_file=place.pin_file, error=name_system_error(error)),
            pkcs11_uri.EXPECTED_APART,
        )
        return None
    return place


def _read_key_pair(table: ConfigTable, home: Path, kind: str, key_name: str, certificate_name: str) -> Identity | None:
    """Read a key and its certificate from files."""
    if not key_name or not certificate_name:
        return None
    key = files.read_key_file(home / key_name, partial(table.wrong, f"{kind}key"))
    request = (home / key_name).with_suffix(".csr")
    if request.exists() and not (home / certificate_name).exists():
        table.wrong(
            f"{kind}certificate",
            phrase("has not come from the CA yet"),
            phrase("what the CA issues for {request}: `lienthong enroll FILE` takes it in", request=request),
        )
        return None
    chain = files.read_certificate_file(home / certificate_name, partial(table.wrong, f"{kind}certificate"))
    if key is None or not chain:
        return None
    if key.public_key() != chain[0].public_key():
        wrong = phrase(
            "{name} is not the key of {certificate_name}", name=Path(key_name).name, certificate_name=certificate_name
        )
        table.wrong(f"{kind}key", wrong, phrase("the key that the certificate was made for"))
        return None
    return Identity(key, chain[0], chain[1:], (home / key_name).read_bytes())
