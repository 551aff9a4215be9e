"""Loads the certificates, CRLs and keys a configuration names.  Knows files and PEM; not whom a certificate belongs to.

A file that cannot be used becomes a mistake at the place that names it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Wrong = Callable[[str, str], None]  #: takes what is wrong and what is expected
Loaded = TypeVar("Loaded")

_CURVES = (ec.SECP256R1, ec.SECP384R1)


def certificates(path: Path, wrong: Wrong) -> tuple[x509.Certificate, ...]:
    """Return the certificates of the PEM file *path*, in order; none after a mistake."""
    expected = "a file with PEM certificates (BEGIN CERTIFICATE)"
    return tuple(_load(path, wrong, expected, x509.load_pem_x509_certificates) or ())


def revocations(path: Path, wrong: Wrong) -> tuple[x509.CertificateRevocationList, ...]:
    """Return the CRLs of the PEM file *path*, which may hold several; none after a mistake."""
    return tuple(_load(path, wrong, "a file with a PEM CRL (BEGIN X509 CRL)", load_revocations) or ())


def load_revocations(content: bytes) -> list[x509.CertificateRevocationList]:
    """Return every CRL of a PEM text.  ValueError if there is none or one cannot be read."""
    begin = b"-----BEGIN X509 CRL-----"
    pieces = content.split(begin)[1:]
    if not pieces:
        raise ValueError("no CRL")
    return [x509.load_pem_x509_crl(begin + piece) for piece in pieces]


def key(path: Path, wrong: Wrong) -> Key | None:
    """Return the private key of the PEM file *path*; none after a mistake."""
    expected = "an unencrypted PEM private key: RSA of at least 2048 bits, or ECDSA on P-256 or P-384"
    found = _load(path, wrong, expected, lambda content: load_pem_private_key(content, None))
    if isinstance(found, rsa.RSAPrivateKey) and found.key_size >= 2048:
        return found
    if isinstance(found, ec.EllipticCurvePrivateKey) and isinstance(found.curve, _CURVES):
        return found
    if found is not None:
        wrong(f"{path} holds another kind of key", expected)
    return None


def _load(path: Path, wrong: Wrong, expected: str, load: Callable[[bytes], Loaded]) -> Loaded | None:
    try:
        return load(path.read_bytes())
    except OSError as error:
        wrong(f"{path} cannot be read: {error.strerror}", expected)
    except (ValueError, TypeError) as error:  # TypeError: the key is encrypted
        wrong(f"{path} cannot be used: {error}", expected)
    return None
