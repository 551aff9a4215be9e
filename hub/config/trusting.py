"""Checks the certificates and CRLs given to `trust add`.

Knows the requirements of an anchor and a CRL. Stores nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from hub.domain.errors import Mistake
from hub.language.phrases import phrase
from hub.security import algorithms


def judge_authorities(
    authorities: Sequence[x509.Certificate],
    crls: Sequence[x509.CertificateRevocationList],
    known: Sequence[x509.CertificateRevocationList],
    now: datetime,
) -> Iterable[Mistake]:
    """Yield what forbids trusting *authorities* with *crls*. *known* are the stored CRLs, which must not be newer."""
    for authority in authorities:
        yield from _check_authority(authority, now)
    for crl in crls:
        yield from _check_revocations(crl, authorities, now)
        for old in known:
            if old.issuer == crl.issuer and old.last_update_utc > crl.last_update_utc:
                wrong = phrase(
                    "issued on {time}, before the stored CRL",
                    time=f"{crl.last_update_utc:%Y-%m-%d %H:%M}",
                )
                yield Mistake(
                    _show_subject(crl.issuer),
                    wrong,
                    phrase("a CRL issued after {time}", time=f"{old.last_update_utc:%Y-%m-%d %H:%M}"),
                )


def _check_authority(authority: x509.Certificate, now: datetime) -> Iterable[Mistake]:
    place = _show_subject(authority.subject)
    if not is_authority(authority):
        yield Mistake(
            place,
            phrase("it is not the certificate of a CA"),
            phrase("a certificate with basicConstraints CA:TRUE and keyCertSign"),
        )
    if weakness := algorithms.describe_key_weakness(authority):
        expected = phrase("a CA whose key is RSA from 2048 bits, or EC on P-256, P-384 or P-521")
        yield Mistake(place, phrase("it has {weakness}", weakness=weakness), expected)
    if not authority.not_valid_before_utc <= now < authority.not_valid_after_utc:
        life = f"{authority.not_valid_before_utc:%Y-%m-%d} to {authority.not_valid_after_utc:%Y-%m-%d}"
        yield Mistake(place, phrase("it is valid from {life}", life=life), phrase("a certificate that is valid now"))


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether *certificate* may sign other certificates (RFC 5280, 4.2.1.3 and 4.2.1.9)."""
    try:
        signs = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
    try:
        return signs and certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return signs


def is_signed_by(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    """Tell whether *authority* issued and signed *crl*."""
    key = authority.public_key()
    if crl.issuer != authority.subject or not isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
        return False
    return crl.is_signature_valid(key)


def _check_revocations(
    crl: x509.CertificateRevocationList, authorities: Sequence[x509.Certificate], now: datetime
) -> Iterable[Mistake]:
    place = _show_subject(crl.issuer)
    if not any(is_signed_by(crl, authority) for authority in authorities):
        yield Mistake(place, phrase("this CRL is not signed by the CA given with it"), phrase("the CRL of that CA"))
    if crl.next_update_utc is None or crl.next_update_utc <= now:
        due = f"{crl.next_update_utc:%Y-%m-%d %H:%M}" if crl.next_update_utc else "an unstated day"
        yield Mistake(
            place, phrase("a newer CRL was due on {due}", due=due), phrase("a CRL whose nextUpdate is in the future")
        )


def _show_subject(name: x509.Name) -> str:
    return name.rfc4514_string()
