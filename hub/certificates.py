"""Certificates: loaded, named by fingerprint, and traced to an anchor.  Knows chains, time, revocation and key usage; no partner.

Which partner a certificate belongs to is for the caller to decide, by comparing certificates; only then is it checked here.
"""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError, X509StoreFlags
from OpenSSL.crypto import Error as OpenSSLError

from hub.errors import Rejected
from hub.model import Problem

LIFE = timedelta(seconds=60)  #: how long a check holds at most, before the chain is built again
_KEPT = 4096  #: checks remembered at once
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

# X509_V_ERR_* of OpenSSL's x509_vfy.h that the sender can do something about; every other one is `certificate-untrusted`.
_NOT_YET_VALID, _EXPIRED, _REVOKED = 9, 10, 23


class Untrusted(Rejected):
    """A certificate that proves nothing: `certificate-untrusted`, `-revoked` or `-expired`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(Problem(code, detail))


@attrs.frozen
class Identity:
    """A key, its certificate and the chain above it, loaded once: parsing a key costs a hundred times what using it does."""

    key: RSAPrivateKey | EllipticCurvePrivateKey = attrs.field(repr=False)
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    @classmethod
    def read(cls, key: Path, certificate: Path) -> "Identity":
        """Read two PEM files; the second may hold the chain after the certificate.  Raises OSError, ValueError, TypeError."""
        secret = load_pem_private_key(key.read_bytes(), password=None)
        if not isinstance(secret, RSAPrivateKey | EllipticCurvePrivateKey):
            raise TypeError(f"{key}: neither an RSA nor an EC key")
        first, *chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        if secret.public_key() != first.public_key():
            raise ValueError(f"{key} is not the key of {certificate}")
        return cls(secret, first, tuple(chain))

    @cached_property
    def token(self) -> str:
        """Return the certificate as base64 of its DER, in one line."""
        return base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode("ascii")


def load(source: bytes | Path) -> x509.Certificate:
    """Load one certificate, PEM or DER, from its octets or its file.  Raises OSError, ValueError."""
    content = source.read_bytes() if isinstance(source, Path) else source
    if b"-----BEGIN" not in content:
        return load_der(content)
    try:
        return x509.load_pem_x509_certificate(content)
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from None


def load_der(content: bytes) -> x509.Certificate:
    """Load one certificate from DER.  Raises ValueError, and nothing else whatever *content* is."""
    try:
        return x509.load_der_x509_certificate(content)
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from None


def load_crls(source: bytes | Path) -> tuple[x509.CertificateRevocationList, ...]:
    """Load the CRLs of one file: any number in PEM, or one in DER.  Raises OSError, ValueError."""
    content = source.read_bytes() if isinstance(source, Path) else source
    end = b"-----END X509 CRL-----"
    try:
        if end in content:
            crls = tuple(x509.load_pem_x509_crl(part + end) for part in content.split(end)[:-1])
        else:
            crls = (x509.load_der_x509_crl(content),)
        for crl in crls:
            _ = crl.issuer  # it is read only when asked for, and that would be too late to say which file is wrong
    except (x509.InvalidVersion, TypeError) as error:
        raise ValueError(str(error)) from None
    return crls


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's DER, in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


class Anchors:
    """What is trusted: CA certificates, each an anchor by itself (an intermediate needs no root here), and their CRLs.

    Revocation is checked for every link of the chain whose issuer has a CRL here.  Once an issuer has one, a fresh one is
    demanded: an expired CRL refuses its whole issue, so that stopping its delivery does not bring revoked certificates back.
    An issuer of which no CRL was ever configured is not checked: trusting it without was the operator's decision, and a
    demand would turn away every partner of the second CA the day the first gets its CRL.  Nobody outside can choose between
    the two, as CRLs come from the configuration only and a file that is missing there is a mistake of it.
    """

    def __init__(
        self, anchors: Sequence[x509.Certificate], crls: Sequence[x509.CertificateRevocationList] = ()
    ) -> None:
        self._anchors = [X509.from_cryptography(anchor) for anchor in anchors]
        self._crls: dict[x509.Name, list[x509.CertificateRevocationList]] = {}
        for crl in crls:
            self._crls.setdefault(crl.issuer, []).append(crl)
        self._checked: dict[x509.Certificate, tuple[datetime, datetime]] = {}  # -> checked at, holds until

    def check(self, certificate: x509.Certificate, now: datetime, chain: Sequence[x509.Certificate] = ()) -> None:
        """Return if *certificate* may sign at *now*; *chain* is what its holder showed above it, not trusted by itself.

        Raises Untrusted: `certificate-expired` (also not yet valid; also for a CA above), `certificate-revoked`,
        `certificate-untrusted` (no chain, a CRL expired, a weak hash, key usage without digitalSignature).  A good result holds
        for LIFE, and never past the end of a certificate or CRL it rests on.
        """
        known = self._checked.get(certificate)
        if known is not None and known[0] <= now < known[1]:
            return
        self._checked.pop(certificate, None)
        try:
            until = self._judge(certificate, now, chain)
        except (
            ValueError,
            TypeError,
            OpenSSLError,
        ) as error:  # a certificate is read only as far as is asked: who knows what stands there
            raise Untrusted("certificate-untrusted", f"it cannot be read: {error}") from None
        if len(self._checked) >= _KEPT:
            self._checked.clear()
        self._checked[certificate] = (now, until)

    def _judge(self, certificate: x509.Certificate, now: datetime, chain: Sequence[x509.Certificate]) -> datetime:
        """Judge the whole chain; return until when the result holds."""
        _judge_usage(certificate)
        path = self._path(certificate, now, chain)
        until = min(now + LIFE, *(link.not_valid_after_utc for link in path))
        for subject, issuer in pairwise(path):
            until = self._judge_link(subject, issuer, now, until)
        return until

    def _path(
        self, certificate: x509.Certificate, now: datetime, chain: Sequence[x509.Certificate]
    ) -> list[x509.Certificate]:
        """Return the chain from *certificate* to an anchor."""
        store = _store(self._anchors, now, X509StoreFlags.PARTIAL_CHAIN)
        above = [X509.from_cryptography(link) for link in chain]
        try:
            path = X509StoreContext(store, X509.from_cryptography(certificate), above).get_verified_chain()
        except X509StoreContextError as error:
            raise _untrusted(error) from None
        return [link.to_cryptography() for link in path]

    def _judge_link(
        self, subject: x509.Certificate, issuer: x509.Certificate, now: datetime, until: datetime
    ) -> datetime:
        """Judge one link, by the issuer's CRLs if it has any; return until when the result holds."""
        if not _is_strong(subject):
            raise Untrusted("certificate-untrusted", f"signed with a weak hash: {_named(subject)}")
        crls = self._crls.get(issuer.subject)
        if not crls:
            return until
        flags = X509StoreFlags.CRL_CHECK | X509StoreFlags.PARTIAL_CHAIN
        store = _store([X509.from_cryptography(issuer)], now, flags)
        for crl in crls:
            store.add_crl(crl)
        try:
            X509StoreContext(store, X509.from_cryptography(subject)).verify_certificate()
        except X509StoreContextError as error:
            raise _untrusted(error) from None
        ends = [crl.next_update_utc for crl in crls if crl.next_update_utc is not None and crl.next_update_utc > now]
        return min([until, *ends])


def _store(trusted: Sequence[X509], now: datetime, flags: int) -> X509Store:
    """Return a store for one check: OpenSSL keeps the time in the store, so sharing one would mix the times of two threads."""
    store = X509Store()
    store.set_time(now.astimezone(UTC))
    store.set_flags(flags)
    for certificate in trusted:
        store.add_cert(certificate)
    return store


def _judge_usage(certificate: x509.Certificate) -> None:
    """RFC 5280, 4.2.1.3: a key that signs messages has digitalSignature, if its usage is limited at all."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise Untrusted("certificate-untrusted", f"{_named(certificate)}: {error}") from None
    if not usage.digital_signature:
        raise Untrusted("certificate-untrusted", f"key usage without digitalSignature: {_named(certificate)}")


def _is_strong(certificate: x509.Certificate) -> bool:
    try:
        return isinstance(certificate.signature_hash_algorithm, _STRONG)
    except UnsupportedAlgorithm:
        return False


def _untrusted(error: X509StoreContextError) -> Untrusted:
    number, _, message = error.errors
    codes = {_NOT_YET_VALID: "certificate-expired", _EXPIRED: "certificate-expired", _REVOKED: "certificate-revoked"}
    detail = f"{message}: {_named(error.certificate.to_cryptography())}"
    return Untrusted(codes.get(number, "certificate-untrusted"), detail)


def _named(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
