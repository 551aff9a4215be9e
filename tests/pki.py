"""A small PKI for tests: CAs, CRLs and leaf certificates with whatever is wrong with them.  Knows no clock: times are arguments.

Keys are named by a label and made once for a working copy, because making an RSA key takes longer than a test should: the next session
finds them in pytest's cache.
"""

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.security.certificates import Identity, load_der

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "p224": ec.SECP224R1,
    "p256": ec.SECP256R1,
    "p384": ec.SECP384R1,
    "p521": ec.SECP521R1,
    "k256": ec.SECP256K1,
    "brainpool": ec.BrainpoolP256R1,
}
#: Where the keys are kept from one session to the next.
_KEYS = Path(__file__).resolve().parent.parent / ".pytest_cache" / "keys"
_NAMES = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]


@cache
def key(label: str, kind: str = "rsa") -> Key:
    """Return the key of that *label*, the same in each session; *kind*: `rsa`, `rsa1024`, `rsa3072`, or one of `_CURVES`."""
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind]())
    place = _KEYS / f"{kind}-{hashlib.sha256(label.encode()).hexdigest()[:32]}"
    try:
        kept = load_der_private_key(place.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    except FileNotFoundError:
        made = rsa.generate_private_key(65537, int(kind.removeprefix("rsa") or 2048))
        _keep(place, made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        return made
    assert isinstance(kept, rsa.RSAPrivateKey)
    return kept


def _keep(place: Path, content: bytes) -> None:
    """Write a file that others see whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_suffix(f".{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(place)


def unreadable(identity: Identity) -> Identity:
    """Return *identity* with a certificate in which no name can be read: the letters of its own, overwritten, are no UTF-8."""
    der = identity.certificate.public_bytes(Encoding.DER)
    (name,) = identity.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    letters = str(name.value).encode()
    assert der.count(letters) == 1
    return attrs.evolve(identity, certificate=load_der(der.replace(letters, b"\xff" * len(letters))))


def usage(**used: bool) -> x509.KeyUsage:
    """Return a KeyUsage with only what is named."""
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
    )
    every = dict.fromkeys([*names.split(), "encipher_only", "decipher_only"], False)
    return x509.KeyUsage(**{**every, **used})


SIGNS = usage(digital_signature=True, key_encipherment=True)


@attrs.frozen
class Authority:
    """A CA; `identity.chain` holds the CAs above it."""

    identity: Identity
    now: datetime

    @property
    def certificate(self) -> x509.Certificate:
        return self.identity.certificate

    def issue(
        self,
        name: str,
        kind: str = "rsa",
        *,
        label: str | None = None,
        begins: datetime | None = None,
        ends: datetime | None = None,
        key_usage: x509.KeyUsage | None = SIGNS,
        serial: int | None = None,
        hash_algorithm: hashes.SHA256 | hashes.SHA224 | None = None,
        purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
        extension: x509.ExtensionType | None = None,
        critical: Sequence[x509.ExtensionType] = (),
        names: x509.SubjectAlternativeName | None = None,
    ) -> Identity:
        """Return a key and its certificate for clientAuth and serverAuth on loopback; *label* shares the key of another."""
        made = key(label or name, kind)
        builder = _builder(
            _name(name), self.certificate.subject, made, begins or self.now - DAY, ends or self.now + DAY
        )
        if serial is not None:
            builder = builder.serial_number(serial)
        else:
            builder = builder.serial_number(x509.random_serial_number())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if extension is not None:
            builder = builder.add_extension(extension, critical=False)
        for each in critical:
            builder = builder.add_extension(each, critical=True)
        builder = builder.add_extension(names or x509.SubjectAlternativeName(_NAMES), critical=False)
        if key_usage is not None:
            builder = builder.add_extension(key_usage, critical=True)
        signed = builder.sign(self.identity.key, hash_algorithm or hashes.SHA256())
        return Identity(made, signed, (self.certificate, *self.identity.chain))

    def subordinate(
        self,
        name: str,
        kind: str = "rsa",
        *,
        ends: datetime | None = None,
        path_length: int | None = None,
        key_usage: x509.KeyUsage | None = None,
        purposes: Sequence[x509.ObjectIdentifier] = (),
        critical: Sequence[x509.ExtensionType] = (),
        subject: x509.Name | None = None,
    ) -> "Authority":
        """Return a CA below this one; *subject* is said in place of *name*."""
        made = key(name, kind)
        builder = _authority(
            subject or _name(name), self.certificate.subject, made, self.now, ends, path_length, key_usage
        )
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        for each in critical:
            builder = builder.add_extension(each, critical=True)
        signed = builder.sign(self.identity.key, hashes.SHA256())
        return Authority(Identity(made, signed, (self.certificate, *self.identity.chain)), self.now)

    def crl(
        self,
        *revoked: Identity | x509.Certificate,
        begins: datetime | None = None,
        ends: datetime | None = None,
        signer: Key | None = None,
        extension: x509.ExtensionType | None = None,
    ) -> x509.CertificateRevocationList:
        """Return the CRL that revokes *revoked*; *signer* forges it with another key; *extension* is critical."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(begins or self.now - DAY)
            .next_update(ends or self.now + DAY)
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        if extension is not None:
            builder = builder.add_extension(extension, critical=True)
        for one in revoked:
            certificate = one.certificate if isinstance(one, Identity) else one
            gone = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(gone.revocation_date(self.now - DAY).build())
        return builder.sign(signer or self.identity.key, hashes.SHA256())

    def answer(
        self,
        of: Identity | x509.Certificate,
        status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
        *,
        begins: datetime | None = None,
        ends: datetime | None = None,
        responder: Identity | None = None,
        issuer: x509.Certificate | None = None,
    ) -> bytes:
        """Return the OCSP response about *of*, signed by this CA or by *responder*."""
        signer = responder or self.identity
        revoked = self.now - DAY if status is ocsp.OCSPCertStatus.REVOKED else None
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=of.certificate if isinstance(of, Identity) else of,
            issuer=issuer or self.certificate,
            algorithm=hashes.SHA1(),
            cert_status=status,
            this_update=begins or self.now - DAY / 24,
            next_update=ends or self.now + DAY,
            revocation_time=revoked,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        if responder is not None:
            builder = builder.certificates([responder.certificate])
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


@cache
def authority(name: str = "Test CA", now: datetime = NOW, ends: datetime | None = None) -> Authority:
    """Return the root CA of that *name*, the same for the whole session; it ends after 30 days unless another time is given."""
    made = key(name)
    builder = _authority(_name(name), _name(name), made, now, ends)
    return Authority(Identity(made, builder.sign(made, hashes.SHA256())), now)


@cache
def partner(name: str = "sotttt", kind: str = "rsa") -> Identity:
    """Return a certificate of the Test CA, the same for the whole session."""
    return authority().issue(name, kind, label=f"{name} {kind}")


def write(directory: Path, name: str, identity: Identity, *, chain: bool = False) -> tuple[Path, Path]:
    """Write `NAME.key` and `NAME.crt` (with the chain, if asked) into *directory*; return their paths."""
    secret, public = directory / f"{name}.key", directory / f"{name}.crt"
    secret.write_bytes(identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(pem(identity.certificate, *(identity.chain if chain else ())))
    return secret, public


def pem(*items: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """Return certificates and CRLs as one PEM text."""
    return b"".join(item.public_bytes(Encoding.PEM) for item in items)


def signing(identities: Sequence[Identity]) -> tuple[x509.Certificate, ...]:
    """Return the certificates of *identities*."""
    return tuple(identity.certificate for identity in identities)


def _name(common: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sở Thử nghiệm, tỉnh Mẫu")
    return x509.Name(
        [x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"), organization, x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, made: Key, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(made.public_key())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(made.public_key()), critical=False)
    )


def _authority(
    subject: x509.Name,
    issuer: x509.Name,
    made: Key,
    now: datetime,
    ends: datetime | None,
    path_length: int | None = None,
    key_usage: x509.KeyUsage | None = None,
) -> x509.CertificateBuilder:
    return (
        _builder(subject, issuer, made, now - 30 * DAY, ends or now + 30 * DAY)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(key_usage or usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
