"""Signs short statements of the hub about its own records, verifies them, and the seals of its own documents.

A statement is text that the hub's own key signs. Whoever may write the database, but not use that key, can neither make nor
change one. Does not know what a statement says.
"""

import base64
import os
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.domain.errors import Rejected
from hub.security import algorithms, wss_verify
from hub.security.anchors import Anchors
from hub.security.certificates import Signer


@attrs.frozen
class AttestationTrust:
    """Whose statements are believed: those of the hub's present certificate, and of its former ones.

    A former certificate has the same owner, or is one that the hub is known to have had, and its chain was valid when the
    statement was made.
    """

    certificate: bytes  #: the hub's present one, DER
    authorities: tuple[bytes, ...] = ()  #: the CAs, DER
    head: Path | None = None  #: the file outside the database that has the last statement's number and hash
    own: Path | None = None  #: the file outside the database with the certificates of the hub (`remember_certificate`)


@attrs.frozen
class SignedStatement:
    """A statement with its signature."""

    text: str
    signature: str  #: base64 of the signature value
    certificate: str  #: base64 of the DER of the signer's certificate


def sign_statement(signer: Signer, text: str) -> SignedStatement:
    """Return *text* signed. Raises Unready if the key cannot be used now."""
    return SignedStatement(text, base64.b64encode(signer.sign(text.encode())).decode(), signer.token)


def is_believed(trust: AttestationTrust, said: SignedStatement, at: datetime) -> bool:
    """Return whether *said*, which was made at *at*, is a statement of this hub."""
    try:
        certificate = _verify_statement(said)
        if certificate.public_bytes(Encoding.DER) != trust.certificate:
            if not _is_own(trust, certificate):
                return False
            _make_anchors(trust.authorities).check_past(certificate, at, at)
    except (ValueError, TypeError, Rejected):
        return False
    return True


@lru_cache(256)  # what is verified are the octets, so a result holds for ever; statements are of up to 90 KB
def _verify_statement(said: SignedStatement) -> x509.Certificate:
    """Return the certificate whose key signed *said*. Raises ValueError, TypeError, Rejected."""
    certificate = x509.load_der_x509_certificate(base64.b64decode(said.certificate, validate=True))
    method = algorithms.METHODS[algorithms.choose_signature_method(certificate)]
    value = base64.b64decode(said.signature, validate=True)
    algorithms.check_signature_value(method, certificate, value, said.text.encode())
    return certificate


def is_own_document(trust: AttestationTrust, content: bytes, at: datetime) -> bool:
    """Return whether the document *content*, which was sealed at *at*, is sealed by this hub and whole."""
    present = x509.load_der_x509_certificate(trust.certificate)
    try:
        try:
            wss_verify.unseal_document(content, [present], at)
        except wss_verify.Unverified as unverified:
            if unverified.problems[0].code != "certificate-unknown":
                raise
            _, former = wss_verify.unseal_document(content, _make_anchors(trust.authorities), at)
            return _is_own(trust, former)
    except (ValueError, Rejected):
        return False
    return True


def remember_certificate(file: Path, certificate: bytes) -> None:
    """Keep in *file* that *certificate* (DER) is one of the hub: its SHA-256, and for people its owner. Raises OSError."""
    digest = sha256(certificate).hexdigest()
    if digest in _read_own(file):
        return
    owner = x509.load_der_x509_certificate(certificate).subject.rfc4514_string()
    with file.open("a") as lines:
        # on a line of its own, also behind one that a power cut left in its middle
        lines.write(f"\n{digest} {owner}\n")
        lines.flush()
        os.fsync(lines.fileno())


def _is_own(trust: AttestationTrust, certificate: x509.Certificate) -> bool:
    """Return whether *certificate* has the owner of the hub's present one, or is one that the hub is known to have had.

    A new certificate may name its owner otherwise: after a merger of provinces, or from another CA.
    """
    if certificate.subject == x509.load_der_x509_certificate(trust.certificate).subject:
        return True
    digest = sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    return trust.own is not None and digest in _read_own(trust.own)


def _read_own(file: Path) -> frozenset[str]:
    """Return the SHA-256 of the certificates in *file*; none if there is no file. Raises OSError."""
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return frozenset()
    return frozenset(line.split()[0] for line in lines if line.strip())


@lru_cache(4)
def _make_anchors(authorities: tuple[bytes, ...]) -> Anchors:
    return Anchors([x509.load_der_x509_certificate(each) for each in authorities], ())
