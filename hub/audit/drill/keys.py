"""Makes the keys of an inspector: a certificate of their own, and the CA that issued it and nothing else.

The CA's private key is thrown away, so who trusts the CA trusts this one certificate. Does not know the hub.
"""

from datetime import datetime, timedelta

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: How long the certificate is valid, and how far that is dated back for clocks that are behind.
LIFE, _SKEW = timedelta(days=60), timedelta(hours=1)


@attrs.frozen(kw_only=True)
class InspectorKeys:
    """The files of an inspector, as PEM."""

    key: bytes = attrs.field(repr=False)
    certificate: bytes
    authority: bytes
    crl: bytes


def make_inspector_keys(name: str, now: datetime, life: timedelta = LIFE) -> InspectorKeys:
    """Return the key and certificate of the inspector of the drill *name*, valid from *now* on for *life*."""
    root, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    issuer, subject = _make_subject_name(f"CA {name}"), _make_subject_name(name)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
    authority = (
        _begin_certificate(issuer, issuer, root.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_make_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(root, hashes.SHA256())
    )
    certificate = (
        _begin_certificate(subject, issuer, key.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_make_key_usage(digital_signature=True, key_encipherment=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(root, hashes.SHA256())
    )
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer)
        .last_update(now - _SKEW)
        .next_update(now + life)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(identifier, critical=False)
        .sign(root, hashes.SHA256())
    )
    return InspectorKeys(
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate=certificate.public_bytes(Encoding.PEM),
        authority=authority.public_bytes(Encoding.PEM),
        crl=crl.public_bytes(Encoding.PEM),
    )


def _begin_certificate(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _make_key_usage(**used: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    more = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: used.get(name, False) for name in (*names, *more)})


def _make_subject_name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Lien Thong drill {common}"),
        ]
    )
