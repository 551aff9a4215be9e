"""Makes the sample PKI: a CA, its CRL, and certificates for servers and clients on loopback. Does not know partners.

Every certificate of this CA carries a mark. `check` and `twistd` refuse marked certificates on addresses other than
loopback.
"""

import os
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MARK = "Lien Thong SAMPLE - not for production"
_LIFE = timedelta(days=3650)
_SKEW = timedelta(days=1)  #: how far validity is dated back, for clocks that are behind
_NAMES = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")), x509.IPAddress(ip_address("::1"))]


Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class KeyType(StrEnum):
    """The type of the key that is made for the hub."""

    RSA = "rsa"  #: 2048 bits: every toolkit knows it
    EC_P256 = "ec-p256"  #: signs ten times faster


def is_sample(certificate: x509.Certificate) -> bool:
    """Tell whether *certificate* belongs to a sample PKI: it is a sample CA's own, or was signed in its name."""
    return any(
        attribute.value == MARK
        for name in (certificate.issuer, certificate.subject)
        for attribute in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    )


@attrs.frozen
class Authority:
    """A sample CA that can issue and revoke certificates."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    def issue(self, name: str, now: datetime, key_type: KeyType = KeyType.RSA) -> tuple[Key, x509.Certificate]:
        """Return a new key and its certificate: clientAuth and serverAuth, for 127.0.0.1, ::1 and localhost."""
        key = make_key(key_type)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        builder = (
            _begin_certificate(_make_name(name), self.certificate.subject, key, now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                make_key_usage(digital_signature=True, key_encipherment=key_type is KeyType.RSA), critical=True
            )
            .add_extension(usage, critical=False)
            .add_extension(x509.SubjectAlternativeName(_NAMES), critical=False)
            .add_extension(self._identifier(), critical=False)
        )
        return key, builder.sign(self.key, hashes.SHA256())

    def revoke(self, *certificates: x509.Certificate, now: datetime, number: int = 1) -> x509.CertificateRevocationList:
        """Return a CRL that revokes *certificates*. Without any, the CRL is empty."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - _SKEW)
            .next_update(now + _LIFE)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._identifier(), critical=False)
        )
        for certificate in certificates:
            revoked = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(revoked.revocation_date(now - _SKEW).build())
        return builder.sign(self.key, hashes.SHA256())

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())


def create_sample_ca(now: datetime) -> Authority:
    """Create a new sample CA."""
    key = make_rsa_key()
    name = _make_name("Lien Thong sample CA")
    builder = (
        _begin_certificate(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(make_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
    return Authority(key, builder.sign(key, hashes.SHA256()))


def write_sample_pki(
    directory: Path, partners: tuple[str, ...], now: datetime, key_type: KeyType = KeyType.RSA
) -> None:
    """Write `ca.crt`, `ca.key`, `crl.pem`, `hub.crt`, `hub.key` and `partners/NAME.crt|.key`.

    *key_type* is that of the hub's key; the others are RSA. Creates *directory* for them.
    """
    authority = create_sample_ca(now)
    _write_pair(directory / "ca", authority.key, authority.certificate)
    _write_pair(directory / "hub", *authority.issue("hub", now, key_type))
    for partner in partners:
        _write_pair(directory / "partners" / partner, *authority.issue(partner, now))
    (directory / "crl.pem").write_bytes(authority.revoke(now=now).public_bytes(Encoding.PEM))


def add_sample_partner(directory: Path, name: str, now: datetime) -> None:
    """Write `partners/NAME.crt|.key` into *directory*, issued by its sample CA.

    Raises OSError, ValueError or TypeError if the CA cannot be read, and FileExistsError if the key exists.
    """
    key = load_pem_private_key((directory / "ca.key").read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{directory / 'ca.key'}: not an RSA key")
    authority = Authority(key, x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes()))
    _write_pair(directory / "partners" / name, *authority.issue(name, now))


def write_secret(path: Path, content: bytes) -> None:
    """Write *content* to a new file that only its owner may read, and make its folder. Raises FileExistsError."""
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _write_pair(stem: Path, key: Key, certificate: x509.Certificate) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_secret(stem.with_name(f"{stem.name}.key"), secret)
    stem.with_name(f"{stem.name}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))


def make_key(key_type: KeyType) -> Key:
    """Return a new key of that type."""
    if key_type is KeyType.EC_P256:
        return ec.generate_private_key(ec.SECP256R1())
    return make_rsa_key()


def make_rsa_key() -> rsa.RSAPrivateKey:
    """Return a new RSA key of 2048 bits, which takes a tenth of a second."""
    return rsa.generate_private_key(65537, 2048)


def _make_name(common: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, MARK)
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _begin_certificate(subject: x509.Name, issuer: x509.Name, key: Key, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def make_key_usage(**used: bool) -> x509.KeyUsage:
    """Return a KeyUsage with only the usages that are named."""
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
    )
    every = dict.fromkeys([*names.split(), "encipher_only", "decipher_only"], False)
    return x509.KeyUsage(**{**every, **used})
