"""Loads the certificates, CRLs and keys that a configuration names.

Knows files and PEM. Does not know who owns a certificate.

A file that cannot be used becomes a mistake at the key that names it.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hub.config.table import ConfigTable
from hub.config.trusting import is_authority
from hub.language.phrases import Phrase, phrase
from hub.language.system_errors import name_system_error
from hub.security.certificates import PRIVATE_KEY, CredentialUnfit, explain_content, load_crls

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Wrong = Callable[[Phrase, Phrase], None]  #: takes what is wrong and what is expected
Loaded = TypeVar("Loaded")

_CURVES = (ec.SECP256R1, ec.SECP384R1)


def read_certificate_file(path: Path, wrong: Wrong) -> tuple[x509.Certificate, ...]:
    """Return the certificates of the file *path* in order, PEM (any number) or DER. Return none after a mistake."""
    return tuple(_load_file(path, wrong, phrase("a file of X.509 certificates, PEM or DER"), parse_certificates) or ())


def read_crl_file(path: Path, wrong: Wrong) -> tuple[x509.CertificateRevocationList, ...]:
    """Return the CRLs of the file *path*, PEM or DER. Return none after a mistake."""
    return _load_file(path, wrong, phrase("a file of X.509 CRLs, PEM or DER"), load_crls) or ()


def read_trusted_files(
    table: ConfigTable, home: Path
) -> tuple[list[x509.Certificate], list[x509.CertificateRevocationList]]:
    """Return the CAs and the CRLs of the files that *table* names under `anchors` and `crls`.

    Paths are relative to *home*.
    """
    authorities: list[x509.Certificate] = []
    crls: list[x509.CertificateRevocationList] = []
    for name in table.texts("anchors"):
        authorities += read_certificate_file(home / name, partial(table.wrong, "anchors"))
    for name in table.texts("crls", ()):
        crls += read_crl_file(home / name, partial(table.wrong, "crls"))
    for authority in authorities:
        if not is_authority(authority):
            table.wrong(
                "anchors",
                phrase("{name} is not a CA", name=authority.subject.rfc4514_string()),
                phrase("certificates of CAs"),
            )
    return authorities, crls


def parse_certificates(content: bytes) -> list[x509.Certificate]:
    """Return the certificates in *content* in order, PEM (any number) or DER. Raises CredentialUnfit."""
    with explain_content(content):
        is_pem = b"-----BEGIN" in content
        found = x509.load_pem_x509_certificates(content) if is_pem else [x509.load_der_x509_certificate(content)]
        for each in found:  # cryptography parses lazily, and a later error could not name the file
            _ = each.subject, each.issuer, each.not_valid_before_utc, each.not_valid_after_utc
    return found


def read_key_file(path: Path, wrong: Wrong) -> Key | None:
    """Return the private key of the PEM file *path*. Return None after a mistake."""
    expected = phrase("an unencrypted PEM private key: RSA of at least 2048 bits, or ECDSA on P-256 or P-384")
    found = _load_file(path, wrong, expected, _read_key)
    if isinstance(found, rsa.RSAPrivateKey) and found.key_size >= 2048:
        return found
    if isinstance(found, ec.EllipticCurvePrivateKey) and isinstance(found.curve, _CURVES):
        return found
    if found is not None:
        wrong(phrase("{path} holds a key of another type", path=path), expected)
    return None


@lru_cache(maxsize=8)
def _read_key(content: bytes) -> PrivateKeyTypes:
    # Checking an RSA key takes about 30 ms. A process that reads its configuration often checks the same octets only
    # once.
    with explain_content(content, PRIVATE_KEY):
        return load_pem_private_key(content, None)


def _load_file(path: Path, wrong: Wrong, expected: Phrase, load: Callable[[bytes], Loaded]) -> Loaded | None:
    try:
        return load(path.read_bytes())
    except OSError as error:
        wrong(phrase("{path} cannot be read: {strerror}", path=path, strerror=name_system_error(error)), expected)
    except CredentialUnfit as error:
        wrong(phrase("{path} cannot be used: {error}", path=path, error=error), expected)
    return None
