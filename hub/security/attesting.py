"""Signs short statements of the hub about its own records, verifies them, and the seals of its own documents.

A statement is text that the hub's own key signs. Whoever may write the database, but not use that key, can neither make nor
change one. Does not know what a statement says.
"""

import base64
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import attrs
from cryptography import x509

from hub.domain.errors import Rejected
from hub.security import algorithms, wss_verify
from hub.security.certificates import Anchors, Signer


@attrs.frozen
class AttestationTrust:
    """Whose statements are believed: those of the hub's present certificate, and of its former ones.

    A former certificate has the same owner, and its chain was valid when the statement was made.
    """

    certificate: bytes  #: the hub's present one, DER
    authorities: tuple[bytes, ...] = ()  #: the CAs, DER
    head: Path | None = None  #: the file outside the database that has the last statement's number and hash


@attrs.frozen
class SignedStatement:
    """A statement with its signature."""

    text: str
    signature: str  #: base64 of the signature value
    certificate: str  #: base64 of the DER of the signer's certificate


def sign_statement(signer: Signer, text: str) -> SignedStatement:
    """Return *text* signed. Raises Unready if the key cannot be used now."""
    return SignedStatement(text, base64.b64encode(signer.sign(text.encode())).decode(), signer.token)


@lru_cache(4096)  # what is verified are the octets, so a result holds for ever
def is_believed(trust: AttestationTrust, said: SignedStatement, at: datetime) -> bool:
    """Return whether *said*, which was made at *at*, is a statement of this hub."""
    try:
        octets = base64.b64decode(said.certificate, validate=True)
        certificate = x509.load_der_x509_certificate(octets)
        method = algorithms.METHODS[algorithms.choose_signature_method(certificate)]
        value = base64.b64decode(said.signature, validate=True)
        algorithms.check_signature_value(method, certificate, value, said.text.encode())
        if octets != trust.certificate:
            _check_former(trust, certificate, at)
    except (ValueError, TypeError, Rejected):
        return False
    return True


def is_own_document(trust: AttestationTrust, content: bytes, at: datetime) -> bool:
    """Return whether the document *content*, which was sealed at *at*, is sealed by this hub and whole."""
    present = x509.load_der_x509_certificate(trust.certificate)
    try:
        try:
            wss_verify.unseal_document(content, [present], at)
        except wss_verify.Unverified as unverified:
            if unverified.problems[0].code != "certificate-unknown":
                raise
            _, former = wss_verify.unseal_document(content, _anchors(trust.authorities), at)
            return former.subject == present.subject
    except (ValueError, Rejected):
        return False
    return True


def _check_former(trust: AttestationTrust, certificate: x509.Certificate, at: datetime) -> None:
    """Raise Rejected or ValueError unless *certificate* was one of this hub at *at*."""
    present = x509.load_der_x509_certificate(trust.certificate)
    if certificate.subject != present.subject:
        raise ValueError("another owner")
    _anchors(trust.authorities).check_past(certificate, at, at)


@lru_cache(4)
def _anchors(authorities: tuple[bytes, ...]) -> Anchors:
    return Anchors([x509.load_der_x509_certificate(each) for each in authorities], ())
