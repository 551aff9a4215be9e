"""Verifies time stamps: the tokens of time-stamping authorities (RFC 3161, RFC 5816).

Knows octets, certificates and the authorities that the operator trusts. Does not know what was stamped, nor the formats
that carry a token.

A token is CMS SignedData with one signer. It states the digest of what was stamped, and when. Only its signed parts are
used; the certificates in it help to build the chain and prove nothing by themselves.

Worst cost: 20 ms to read a token of `LARGEST` octets, and one signature; `judge_time_stamp` builds one chain.
"""

import hashlib
import hmac
from datetime import datetime, timedelta

import attrs
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.asn1 import GeneralizedTime
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.domain.errors import Rejected, shorten_detail
from hub.domain.model import Detail, Problem
from hub.formats import ber
from hub.language.phrases import phrase
from hub.security import cms
from hub.security.algorithms import Unverified
from hub.security.anchors import Anchors, Purpose, Untrusted
from hub.security.certificates import describe_owner, load_der
from hub.security.cms import CmsSigner

#: Maximum octets of a token, and the maximum number of tokens on one signature.
LARGEST, MOST = 64 * 1024, 3
#: The attribute of a CMS signature that contains a token over its value (RFC 5126, 5.9.1; PAdES).
SIGNATURE_TIME_STAMP = "1.2.840.113549.1.9.16.2.14"
#: The maximum lead of an authority's clock over the hub's.
SKEW = timedelta(minutes=5)

_MOST_CERTIFICATES = 10
_CONTENT = "1.2.840.113549.1.9.16.1.4"  #: id-ct-TSTInfo
#: signingCertificate with SHA-1, and signingCertificateV2 (RFC 5035). The first only names a certificate: to exchange
#: that for another one a second preimage of SHA-1 would be needed.
_NAMES_CERTIFICATE, _NAMES_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"
# DER tags
_INTEGER, _SEQUENCE, _EXTENSIONS, _DIRECTORY_NAME = 0x02, 0x30, 0xA1, 0xA4
_TRUE = b"\x01\x01\xff"


@attrs.frozen(eq=False, kw_only=True)
class TimeStamp:
    """The content of a token whose signature is valid. Whether its authority is trusted is another matter."""

    certificate: x509.Certificate  #: that of the authority
    chain: tuple[x509.Certificate, ...]  #: certificates that came with it; they prove nothing by themselves
    at: datetime  #: when the authority stamped (genTime), in UTC
    serial: int  #: the number of the token


@attrs.frozen(kw_only=True)
class StampTrust:
    """The time-stamping authorities that the operator trusts."""

    anchors: Anchors = attrs.field(eq=False)
    authorities: tuple[x509.Certificate, ...]  #: the certificates of the anchors
    required: bool = False  #: a signature without a time stamp is refused


def verify_time_stamp(token: bytes, stamped: bytes) -> TimeStamp:
    """Return the time stamp in *token*, which must be over the octets *stamped*.

    Raises Unverified: `stamp-invalid`; `stamp-untrusted` if its certificate is not for time stamps only.
    """
    if len(token) > LARGEST:
        raise _make_invalid_stamp(phrase("{size} octets; at most {most}", size=len(token), most=LARGEST))
    try:
        return _verify_token(token, stamped)
    except Unverified as refused:
        (problem,) = refused.problems
        if problem.code.startswith("stamp-"):
            raise
        raise _make_invalid_stamp(problem.detail) from None
    except (ValueError, TypeError) as error:  # TypeError: of a name in a certificate
        raise _make_invalid_stamp(phrase("it cannot be read: {error}", error=str(error))) from None


def judge_time_stamp(stamp: TimeStamp, anchors: Anchors, now: datetime) -> None:
    """Check that the authority of *stamp* is trusted and that its time is possible.

    Its certificate must be valid and not revoked both at that time and at *now*: once it has ended, nothing proves
    that the token was not made afterwards. Raises Rejected: `stamp-untrusted`, `stamp-time`.
    """
    if stamp.at > now + SKEW:
        told = phrase("stamped at {at}, now {now}", at=_write_time(stamp.at), now=_write_time(now))
        raise Rejected(Problem("stamp-time", told))
    certificate = stamp.certificate
    try:
        anchors.check(certificate, now, stamp.chain, purpose=Purpose.STAMP)
    except Untrusted as untrusted:
        (problem,) = untrusted.problems
        raise Rejected(
            Problem("stamp-untrusted", phrase("{code}: {detail}", code=problem.code, detail=problem.detail))
        ) from None
    if not certificate.not_valid_before_utc <= stamp.at <= certificate.not_valid_after_utc:
        told = phrase(
            "its certificate was not valid at {at}: {name}", at=_write_time(stamp.at), name=describe_owner(certificate)
        )
        raise Rejected(Problem("stamp-untrusted", told))


def _verify_token(token: bytes, stamped: bytes) -> TimeStamp:
    """Verify a token. Raises Unverified, ValueError."""
    found = cms.read_cms(token)
    if found.content_type != _CONTENT or found.content is None:
        raise _make_invalid_stamp(phrase("it holds no time: content type {kind}", kind=found.content_type))
    if len(found.signers) != 1:
        raise _make_invalid_stamp(phrase("{count} signers; it must have one", count=len(found.signers)))
    (signer,) = found.signers
    if len(found.shown) > _MOST_CERTIFICATES:
        raise _make_invalid_stamp(
            phrase("{count} certificates; at most {most}", count=len(found.shown), most=_MOST_CERTIFICATES)
        )
    shown = [load_der(octets) for octets in found.shown]
    certificate = signer.find_certificate(shown)
    if certificate is None:
        raise _make_invalid_stamp(phrase("the certificate of its authority is not in it"))
    signer.check(certificate, found.content, _CONTENT)
    _require_named(signer, certificate)
    _require_purpose(certificate)
    at, serial = _read_content(found.content, stamped)
    chain = tuple(each for each in shown if each != certificate)
    return TimeStamp(certificate=certificate, chain=chain, at=at, serial=serial)


def _read_content(content: bytes, stamped: bytes) -> tuple[datetime, int]:
    """Return the time and the number in a TSTInfo, whose digest must be that of *stamped*. Raises Unverified, ValueError.

    Not used are the policy, the accuracy, the nonce and the name of the authority: the certificate names it.
    """
    parts = ber.split_ber_elements(ber.make_definite(content))
    if len(parts) < 5 or parts[0] != bytes((_INTEGER, 1, 1)):
        raise _make_invalid_stamp(phrase("it is not of version 1"))
    for each in parts[5:]:
        if each[0] == _EXTENSIONS and any(_TRUE in ber.split_ber_elements(one) for one in ber.split_ber_elements(each)):
            raise _make_invalid_stamp(phrase("it has a critical extension"))
    imprint = ber.split_ber_elements(parts[2])
    bits = cms.find_digest_size(imprint[0]) if len(imprint) == 2 else 0
    if not bits:
        raise _make_invalid_stamp(phrase("its digest is none of SHA-256, SHA-384, SHA-512"))
    if not hmac.compare_digest(hashlib.new(f"sha{bits}", stamped).digest(), asn1.decode_der(bytes, imprint[1])):
        raise _make_invalid_stamp(phrase("it is over something else"))
    return asn1.decode_der(GeneralizedTime, parts[4]).as_datetime(), asn1.decode_der(int, parts[3])


def _require_named(signer: CmsSigner, certificate: x509.Certificate) -> None:
    """Require that the signed attributes name *certificate* (RFC 3161, 2.4.2; RFC 5816). Raises Unverified, ValueError."""
    old, new = (signer.list_signed_values(kind) for kind in (_NAMES_CERTIFICATE, _NAMES_CERTIFICATE_V2))
    if len(old) > 1 or len(new) > 1 or not old + new:
        raise _make_invalid_stamp(phrase("it does not name its certificate once"))
    for value in (*old, *new):
        first, *_ = ber.split_ber_elements(ber.split_ber_elements(value)[0])
        parts = ber.split_ber_elements(first)
        digest = "sha1" if value in old else "sha256"  # for V2 the default (RFC 5035, 4)
        if value in new and parts and parts[0][0] == _SEQUENCE:
            digest = f"sha{cms.find_digest_size(parts.pop(0)) or 0}"
        if digest == "sha0" or not parts:
            raise _make_invalid_stamp(phrase("its digest is none of SHA-256, SHA-384, SHA-512"))
        der = certificate.public_bytes(Encoding.DER)
        same = hashlib.new(digest, der).digest() == asn1.decode_der(bytes, parts[0])
        if not same or not all(_is_issuer_and_serial(each, certificate) for each in parts[1:]):
            raise _make_invalid_stamp(phrase("it names another certificate"))


def _is_issuer_and_serial(element: bytes, certificate: x509.Certificate) -> bool:
    """Tell whether an IssuerSerial names *certificate*. Raises ValueError."""
    names, serial = ber.split_ber_elements(element)
    (name,) = ber.split_ber_elements(names)
    issuer = ber.split_ber_elements(name) if name[0] == _DIRECTORY_NAME else []
    return issuer == [certificate.issuer.public_bytes()] and asn1.decode_der(int, serial) == certificate.serial_number


def _require_purpose(certificate: x509.Certificate) -> None:
    """Require the extended key usage timeStamping, critical and alone (RFC 3161, 2.3). Raises Unverified, ValueError."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        usage = None
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from None
    if usage is None or not usage.critical or [*usage.value] != [ExtendedKeyUsageOID.TIME_STAMPING]:
        told = phrase(
            "extended key usage is not timeStamping, critical and alone: {name}", name=describe_owner(certificate)
        )
        raise Unverified("stamp-untrusted", told)


def _make_invalid_stamp(detail: Detail) -> Unverified:
    return Unverified("stamp-invalid", shorten_detail(detail, 300))


def _write_time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%SZ}"
