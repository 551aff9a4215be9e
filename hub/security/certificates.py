"""Loads certificates, computes fingerprints and verifies chains to an anchor.

Knows chains, time, revocation and key usage. Does not know partners. The caller first finds the partner of a
certificate by comparing certificates, and only then checks it here.
"""

import base64
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Protocol

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from hub.language.phrases import Phrase, phrase
from hub.security import algorithms

CERTIFICATE, PRIVATE_KEY, CRL = b"CERTIFICATE-----", b"PRIVATE KEY-----", b"X509 CRL-----"
#: The end of the first line in PEM -> what the file holds.
_HOLDS = {
    b"ENCRYPTED PRIVATE KEY-----": phrase("it holds an encrypted private key"),
    PRIVATE_KEY: phrase("it holds a private key"),
    b"CERTIFICATE REQUEST-----": phrase("it holds a certificate request"),
    CERTIFICATE: phrase("it holds a certificate"),
    CRL: phrase("it holds a CRL"),
    b"PUBLIC KEY-----": phrase("it holds a public key"),
}
RENEWAL = timedelta(days=30)  #: time before the end of a certificate from which on people are told to renew it

# X509_V_ERR_* of OpenSSL's x509_vfy.h that the sender can correct. Every other one becomes `certificate-untrusted`.
NOT_YET_VALID, EXPIRED = 9, 10


class Signer(Protocol):
    """Signs the hub's messages with a certificate and its key, which may be outside this process.

    Only a Signer uses the key that signs messages. The TLS key is always in a file (`Identity`).
    """

    @property
    def certificate(self) -> x509.Certificate: ...
    @property
    def chain(self) -> tuple[x509.Certificate, ...]: ...
    @property
    def token(self) -> str:
        """Return the certificate as base64 of its DER on one line."""
        ...

    @property
    def method(self) -> str:
        """Return the signature method, one of `algorithms.METHODS`."""
        ...

    @property
    def waits(self) -> bool:
        """Tell whether `sign` may wait for a device. If so, it must not run on the reactor thread."""
        ...

    def sign(self, content: bytes) -> bytes:
        """Return the octets of the SignatureValue over *content*. Raises Unready if the key cannot be used now."""
        ...

    def flaw(self) -> str:
        """Return why it cannot sign now. Return an empty text if it can. It may wait like `sign`."""
        ...

    def prove(self) -> Iterable[tuple[Phrase, Phrase, bool]]:
        """Use the key once for a real signature. Yield what is wrong, what is expected, and whether it is grave."""
        ...


@attrs.frozen
class Identity:
    """A key, its certificate and the chain above it.

    They are loaded once: parsing a key costs a hundred times more than using it.
    """

    key: RSAPrivateKey | EllipticCurvePrivateKey = attrs.field(repr=False)
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()
    #: the key as written; only the file shows that it is restricted to PSS
    pem: bytes = attrs.field(default=b"", repr=False)

    @classmethod
    def read(cls, key: Path, certificate: Path) -> "Identity":
        """Read two PEM files. The second may hold the chain after the certificate.

        Raises OSError, CredentialUnfit.
        """
        pem = key.read_bytes()
        with _name_file_of_error(key), explain_content(pem, PRIVATE_KEY):
            secret = load_pem_private_key(pem, password=None)
            if not isinstance(secret, RSAPrivateKey | EllipticCurvePrivateKey):
                raise CredentialUnfit(phrase("neither an RSA nor an EC key"))
        with _name_file_of_error(certificate):
            first, *chain = load_pem_certificates(certificate.read_bytes())
        if secret.public_key() != first.public_key():
            raise CredentialUnfit(phrase("{key} is not the key of {certificate}", key=key, certificate=certificate))
        return cls(secret, first, tuple(chain), pem)

    @cached_property
    def token(self) -> str:
        """Return the certificate as base64 of its DER on one line."""
        return encode_certificate(self.certificate)

    @cached_property
    def method(self) -> str:
        """Return the signature method of the key."""
        return algorithms.choose_signature_method(self.certificate)

    @property
    def waits(self) -> bool:
        """Return False: signing takes only CPU time."""
        return False

    def sign(self, content: bytes) -> bytes:
        """Return the octets of the SignatureValue over *content*."""
        return algorithms.make_signature_value(algorithms.METHODS[self.method], self.key, content)

    def flaw(self) -> str:
        """Return an empty text: a key in memory can always sign."""
        return ""

    def prove(self) -> Iterable[tuple[Phrase, Phrase, bool]]:
        """Yield nothing: the reader of a key file has already compared the key with its certificate."""
        return ()


@contextmanager
def _name_file_of_error(file: Path) -> Generator[None]:
    """Let a `CredentialUnfit` name the *file*."""
    try:
        yield
    except CredentialUnfit as unfit:
        raise CredentialUnfit(phrase("{file}: {reason}", file=file, reason=unfit.said)) from unfit


def encode_certificate(certificate: x509.Certificate) -> str:
    """Return *certificate* as base64 of its DER on one line."""
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")


class CredentialUnfit(ValueError):
    """Octets are no certificate, key or CRL. `said` says in the hub's words what they are instead."""

    def __init__(self, said: Phrase) -> None:
        super().__init__(str(said))
        self.said = said


@contextmanager
def explain_content(content: bytes, wanted: bytes = CERTIFICATE) -> Generator[None]:
    """Let the library read *content* as *wanted*, a key of `_HOLDS`. Raises CredentialUnfit in place of the library's errors."""
    try:
        yield
    except CredentialUnfit:
        raise
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise CredentialUnfit(_describe_content(content, wanted)) from error


def _describe_content(content: bytes, wanted: bytes) -> Phrase:
    if not content.strip():
        return phrase("the file is empty")
    if wanted == PRIVATE_KEY and b"Proc-Type: 4,ENCRYPTED" in content:
        return _HOLDS[b"ENCRYPTED PRIVATE KEY-----"]
    held = () if b"-----BEGIN " + wanted in content else (said for mark, said in _HOLDS.items() if mark in content)
    return next(iter(held), phrase("its content cannot be read"))


def load_pem_certificates(content: bytes) -> list[x509.Certificate]:
    """Load the certificates of a PEM file in order, at least one. Raises CredentialUnfit."""
    with explain_content(content):
        return x509.load_pem_x509_certificates(content)


def load_certificate(source: bytes | Path) -> x509.Certificate:
    """Load one certificate, PEM or DER, from its octets or its file. Raises OSError, ValueError."""
    content = source.read_bytes() if isinstance(source, Path) else source
    if b"-----BEGIN" not in content:
        return load_der(content)
    with explain_content(content):
        return x509.load_pem_x509_certificate(content)


def load_der(content: bytes) -> x509.Certificate:
    """Load one certificate from DER. Raises ValueError, and no other exception for any *content*."""
    try:
        return x509.load_der_x509_certificate(content)
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from None


def load_crls(source: bytes | Path) -> tuple[x509.CertificateRevocationList, ...]:
    """Load the CRLs of one file: any number in PEM, or one in DER. Raises OSError, ValueError."""
    content = source.read_bytes() if isinstance(source, Path) else source
    end = b"-----END X509 CRL-----"
    with explain_content(content, CRL):
        if end in content:
            crls = tuple(x509.load_pem_x509_crl(part + end) for part in content.split(end)[:-1])
        else:
            crls = (x509.load_der_x509_crl(content),)
        for crl in crls:  # cryptography parses lazily, and a later error could not name the file
            _ = crl.issuer, crl.last_update_utc, crl.next_update_utc, [entry.serial_number for entry in crl]
    return crls


def hash_certificate(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's DER, in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def describe_owner(certificate: x509.Certificate) -> str:
    """Return the subject of an untrusted *certificate*.

    Return an empty text if it is malformed: it is parsed only here.
    """
    try:
        return certificate.subject.rfc4514_string()
    except (ValueError, TypeError):
        return ""
