"""Reads and evaluates CRLs and OCSP responses of CAs. Knows octets, keys and times. Fetches nothing.

Content counts only if the CA's own key signed it. Where it came from proves nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property, reduce

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.domain.model import Detail
from hub.language.phrases import Phrase, phrase
from hub.security import algorithms

SKEW = timedelta(seconds=60)  #: maximum lead of a CA's clock over the hub's
UNDATED = timedelta(hours=1)  #: validity of an OCSP response that does not state one
LONGEST = timedelta(days=7)  #: maximum validity of an OCSP response, whatever it states
LARGEST_ANSWER = 64 * 1024  #: maximum octets of an OCSP response
STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

_EXPIRED_CERTIFICATES = x509.ObjectIdentifier("2.5.29.60")
#: Critical extensions of a CRL that are understood. The last one states the scope of the CRL.
_UNDERSTOOD = {x509.AuthorityKeyIdentifier.oid, x509.CRLNumber.oid, x509.IssuingDistributionPoint.oid}
_BROKEN = (
    *(ValueError, TypeError, UnsupportedAlgorithm),
    OverflowError,  # a date beyond the last representable year
    *(x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType),
)


class RevocationUnusable(ValueError):
    """The content is not an answer of that CA, or not one for this time. The text says why."""


class RevocationStatus(StrEnum):
    """The revocation status of one certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@attrs.frozen
class RevocationFinding:
    """The revocation status of one certificate at one time."""

    status: RevocationStatus
    detail: Detail = ""
    until: datetime | None = None  #: for `good`: the end of validity of this status


@attrs.frozen(eq=False)
class RevocationList:
    """One CRL, whose contents are parsed once."""

    crl: x509.CertificateRevocationList

    @property
    def issuer(self) -> x509.Name:
        return self.crl.issuer

    @property
    def begins(self) -> datetime:
        return self.crl.last_update_utc

    @property
    def ends(self) -> datetime | None:
        """The nextUpdate of the CRL. None if it states none: then it is never current (RFC 5280, 5.1.2.5)."""
        return self.crl.next_update_utc

    @cached_property
    def serials(self) -> frozenset[int]:
        return frozenset(entry.serial_number for entry in self.crl)

    def find_revocation_time(self, serial: int) -> datetime | None:
        """Return when the certificate *serial* was revoked, or became invalid if that was earlier; None: it is not listed.

        Source: RFC 5280, 5.3.2 (invalidityDate). Raises ValueError.
        """
        if serial not in self.serials:
            return None
        entry = self.crl.get_revoked_certificate_by_serial_number(serial)
        assert entry is not None
        try:
            invalid = entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
        except x509.ExtensionNotFound:
            return entry.revocation_date_utc
        return min(invalid, entry.revocation_date_utc)

    def keeps_expired(self, ended: datetime) -> bool:
        """Tell whether the CRL still lists certificates that ended at *ended* (X.509, expiredCertsOnCRL)."""
        try:
            said = self.crl.extensions.get_extension_for_oid(_EXPIRED_CERTIFICATES).value
            assert isinstance(said, x509.UnrecognizedExtension)
            since: datetime = asn1.decode_der(asn1.GeneralizedTime, said.value).as_datetime()
        except (x509.ExtensionNotFound, *_BROKEN):
            return False
        return since <= ended

    @cached_property
    def _signers(self) -> dict[x509.Certificate, bool]:
        return {}

    def is_of(self, issuer: x509.Certificate) -> bool:
        """Tell whether the key of *issuer* signed this CRL and is allowed to sign CRLs."""
        if issuer not in self._signers:
            self._signers[issuer] = self.issuer == issuer.subject and _is_signed_by(self.crl, issuer)
        return self._signers[issuer]

    @cached_property
    def is_whole(self) -> bool:
        """Tell whether the CRL lists all revoked certificates in its scope: no delta, no indirect CRL, all reasons."""
        try:
            extensions = self.crl.extensions
        except _BROKEN:
            return False
        point = self._point
        return not any(each.critical and each.oid not in _UNDERSTOOD for each in extensions) and not (
            point is not None
            and (
                point.only_some_reasons
                or point.indirect_crl
                or point.only_contains_attribute_certs
                or point.relative_name
            )
        )

    @cached_property
    def _point(self) -> x509.IssuingDistributionPoint | None:
        """The scope of the CRL. None: all certificates of its issuer."""
        try:
            return self.crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
        except x509.ExtensionNotFound:
            return None

    def covers(self, certificate: x509.Certificate, *, authority: bool) -> bool:
        """Tell whether *certificate* is in the scope of this CRL (RFC 5280, 6.3.3 (b) (2)).

        *authority* states whether it is a CA certificate. Raises ValueError.
        """
        point = self._point
        if not self.is_whole or point is None:
            return self.is_whole
        if point.only_contains_user_certs if authority else point.only_contains_ca_certs:
            return False
        return not point.full_name or bool({*point.full_name} & {*_list_distribution_points(certificate)})

    def flaw(self, now: datetime) -> Phrase | None:
        """Return why the CRL is not current at *now*. Return None if it is current."""
        if self.begins > now + SKEW:
            return phrase("the CRL is dated {time}", time=f"{self.begins:%Y-%m-%d %H:%M}")
        if self.ends is None:
            return phrase("the CRL is overdue")
        if self.ends <= now:
            return phrase("the CRL is overdue since {time}", time=f"{self.ends:%Y-%m-%d %H:%M}")
        return None


@attrs.frozen
class OcspAnswer:
    """The status of one certificate in an OCSP response."""

    status: RevocationStatus
    begins: datetime
    ends: datetime
    revoked_at: datetime | None = None

    def flaw(self, now: datetime) -> Phrase | None:
        """Return why the response is not current at *now*. Return None if it is current."""
        if self.begins > now + SKEW:
            return phrase("the OCSP answer is dated {time}", time=f"{self.begins:%Y-%m-%d %H:%M}")
        if self.ends <= now:
            return phrase("the OCSP answer is overdue since {time}", time=f"{self.ends:%Y-%m-%d %H:%M}")
        return None


def read_crl(octets: bytes, issuer: x509.Certificate) -> RevocationList:
    """Return the CRL in *octets*, PEM or DER, if *issuer* signed it. It may be overdue. Raises RevocationUnusable."""
    try:
        load = x509.load_pem_x509_crl if b"-----BEGIN X509 CRL-----" in octets else x509.load_der_x509_crl
        found = RevocationList(load(octets))
        if not found.is_of(issuer):
            raise RevocationUnusable(f"it is not a CRL signed by {issuer.subject.rfc4514_string()}")
        if not found.is_whole:
            raise RevocationUnusable("it is a delta, indirect or partial CRL")
        _ = found.begins, found.ends, len(found.serials)  # parse everything now, not at a call
    except _BROKEN as error:
        raise (
            error if isinstance(error, RevocationUnusable) else RevocationUnusable(f"it is not a CRL: {error}")
        ) from None
    return found


def build_ocsp_request(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """Return the OCSP request for *certificate* (RFC 6960).

    It identifies the certificate by SHA-1, which every responder supports. Here SHA-1 is only a name.
    """
    return _make_request(certificate, issuer, hashes.SHA1()).public_bytes(Encoding.DER)  # noqa: S303


def read_answer(octets: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> OcspAnswer:
    """Return the status of *certificate* in the OCSP response in *octets*. It may be overdue.

    Raises RevocationUnusable. The response must be signed by *issuer*, or by a responder that *issuer* authorised (RFC
    6960, 4.2.2.2).
    """
    if len(octets) > LARGEST_ANSWER:
        raise RevocationUnusable(f"an OCSP response of {len(octets)} octets")
    try:
        response = ocsp.load_der_ocsp_response(octets)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise RevocationUnusable(f"the responder says {response.response_status.name.lower()}")
        if not any(_is_made_with(response, signer) for signer in _list_responder_keys(response, issuer, now)):
            raise RevocationUnusable("the OCSP response is not signed by the CA or its responder")
        found = _find_single_response(response.responses, certificate, issuer)
        begins, ends = found.this_update_utc, found.next_update_utc
        status = RevocationStatus(found.certificate_status.name.lower())
        until = min(ends or begins + UNDATED, begins + LONGEST)
        revoked_at = found.revocation_time_utc
    except _BROKEN as error:
        raise (
            error
            if isinstance(error, RevocationUnusable)
            else RevocationUnusable(f"it is not an OCSP response: {error}")
        ) from None
    return OcspAnswer(status, begins, until, revoked_at)


def judge_revocation(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Iterable[RevocationList],
    answers: Sequence[OcspAnswer],
    now: datetime,
    *,
    authority: bool,
) -> RevocationFinding:
    """Return the status at *now* of *certificate*, issued by *issuer*, according to *lists* and *answers*.

    *authority* states whether it is a CA certificate. It is revoked if any CRL signed by the issuer lists it, even an
    overdue one, or if the newest OCSP answer says so. It is good if one source is current and none says otherwise.
    Otherwise its status is unknown.
    """
    serial, until = certificate.serial_number, None
    reasons: list[Phrase] = []
    for found in lists:
        if not found.is_of(issuer):
            reasons.append(phrase("the CRL is not signed by that CA"))
            continue
        if serial in found.serials:
            return RevocationFinding(
                RevocationStatus.REVOKED, phrase("in the CRL of {time}", time=f"{found.begins:%Y-%m-%d %H:%M}")
            )
        flaw = found.flaw(now)
        if not flaw and not found.covers(certificate, authority=authority):
            flaw = phrase("the CRL does not cover the certificate")
        if flaw:
            reasons.append(flaw)
        else:
            until = max(filter(None, (until, found.ends)))
    for answer in sorted(answers, key=lambda one: one.begins)[-1:]:
        if answer.status is RevocationStatus.REVOKED:
            return RevocationFinding(
                RevocationStatus.REVOKED, phrase("by OCSP of {time}", time=f"{answer.begins:%Y-%m-%d %H:%M}")
            )
        if flaw := answer.flaw(now):
            reasons.append(flaw)
        elif answer.status is RevocationStatus.GOOD:
            until = max(filter(None, (until, answer.ends)))
        else:
            reasons.append(phrase("the OCSP responder does not know the certificate"))
    return RevocationFinding(RevocationStatus.GOOD, until=until) if until is not None else _find_unknown(reasons)


def judge_past_revocation(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Iterable[RevocationList],
    answers: Sequence[OcspAnswer],
    at: datetime,
    now: datetime,
    *,
    authority: bool,
) -> RevocationFinding:
    """Return the status at the past time *at* of *certificate*, according to what is known at *now*.

    It is revoked if a CRL of its issuer, or the newest OCSP answer, says that it was revoked by *at*. It is good if one
    source is good for that: one that is current at *now*, as for `judge_revocation`; or one that says that it was revoked
    after *at*. Of a certificate that has ended since, a CA need not tell any more (RFC 5280, 3.3): then a source is good
    that was not overdue at *at* and was made before the certificate ended, or a CRL that keeps ended ones. Otherwise the
    status is unknown.
    """
    serial, good = certificate.serial_number, False
    reasons: list[Phrase] = []
    for found in lists:
        if not found.is_of(issuer):
            reasons.append(phrase("the CRL is not signed by that CA"))
            continue
        revoked = found.find_revocation_time(serial)
        if revoked is not None and revoked <= at:
            return RevocationFinding(RevocationStatus.REVOKED, _describe_revocation(revoked))
        flaw = None if revoked else _find_past_flaw(found, certificate, at, now, keeps=found.keeps_expired)
        if not flaw and not found.covers(certificate, authority=authority):
            flaw = phrase("the CRL does not cover the certificate")
        reasons += [flaw] if flaw else []
        good = good or not flaw
    for answer in sorted(answers, key=lambda one: one.begins)[-1:]:
        revoked = (answer.revoked_at or answer.begins) if answer.status is RevocationStatus.REVOKED else None
        if revoked is not None and revoked <= at:
            return RevocationFinding(RevocationStatus.REVOKED, _describe_revocation(revoked))
        flaw = None if revoked else _find_past_flaw(answer, certificate, at, now)
        if not flaw and answer.status is RevocationStatus.UNKNOWN:
            flaw = phrase("the OCSP responder does not know the certificate")
        reasons += [flaw] if flaw else []
        good = good or not flaw
    return RevocationFinding(RevocationStatus.GOOD, until=now) if good else _find_unknown(reasons)


def _find_past_flaw(
    found: RevocationList | OcspAnswer,
    certificate: x509.Certificate,
    at: datetime,
    now: datetime,
    *,
    keeps: Callable[[datetime], bool] = lambda _ended: False,
) -> Phrase | None:
    """Return why *found* does not tell whether *certificate* was revoked at *at*; None if it does."""
    ended = certificate.not_valid_after_utc
    if ended > now:
        return found.flaw(now)
    if flaw := found.flaw(min(max(at, found.begins), now)):
        return flaw
    if found.begins > ended and not keeps(ended):
        told = f"{found.begins:%Y-%m-%d %H:%M}"
        return phrase("what the CA said at {time} need not name a certificate that had ended", time=told)
    return None


def _describe_revocation(at: datetime) -> Phrase:
    return phrase("revoked at {time}", time=f"{at:%Y-%m-%d %H:%M}")


def _find_unknown(reasons: Sequence[Phrase]) -> RevocationFinding:
    why = dict.fromkeys(reasons or [phrase("nothing has been fetched from the CA yet")])
    return RevocationFinding(
        RevocationStatus.UNKNOWN, reduce(lambda one, other: phrase("{first}; {second}", first=one, second=other), why)
    )


def choose_next_fetch(asked: datetime, begins: datetime, ends: datetime | None) -> datetime:
    """Return when to fetch again what was fetched at *asked*.

    It is after a tenth of its validity, but at least 5 minutes and at most 6 hours later.
    """
    life = (ends - begins) / 10 if ends is not None else timedelta()
    return asked + min(max(life, timedelta(minutes=5)), timedelta(hours=6))


def _list_distribution_points(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    """Yield the names of the distribution points at which the issuer says it publishes the CRL for *certificate*."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return
    for point in points:
        if not point.reasons and not point.crl_issuer:
            yield from point.full_name or ()


def _is_signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        key = issuer.public_key()
        if not isinstance(crl.signature_hash_algorithm, STRONG) or not isinstance(
            key, RSAPublicKey | EllipticCurvePublicKey
        ):
            return False
        return _allows_use(issuer, "crl_sign") and crl.is_signature_valid(key)
    except _BROKEN:
        return False


def _allows_use(certificate: x509.Certificate, use: str) -> bool:
    """Tell whether the key usage allows *use*. A certificate without key usage allows every use."""
    try:
        return bool(getattr(certificate.extensions.get_extension_for_class(x509.KeyUsage).value, use))
    except x509.ExtensionNotFound:
        return True


def _make_request(
    certificate: x509.Certificate, issuer: x509.Certificate, hash_: hashes.HashAlgorithm
) -> ocsp.OCSPRequest:
    return ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hash_).build()


def _list_responder_keys(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime
) -> Iterable[RSAPublicKey | EllipticCurvePublicKey]:
    """Yield the keys that may sign for *issuer*: its own, and those of certificates that it issued for OCSPSigning."""
    delegates = [one for one in response.certificates[:5] if _is_delegated(one, issuer, now)]
    for certificate in (issuer, *delegates):
        key = certificate.public_key()
        if isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
            yield key


def _is_delegated(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        weakness = algorithms.describe_key_weakness(certificate)
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (InvalidSignature, x509.ExtensionNotFound, *_BROKEN):
        return False
    return (
        ExtendedKeyUsageOID.OCSP_SIGNING in purposes
        and _allows_use(certificate, "digital_signature")
        and not weakness
        and isinstance(certificate.signature_hash_algorithm, STRONG)
        and certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
    )


def _is_made_with(response: ocsp.OCSPResponse, key: RSAPublicKey | EllipticCurvePublicKey) -> bool:
    hash_ = response.signature_hash_algorithm
    if not isinstance(hash_, STRONG):
        return False
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(response.signature, response.tbs_response_bytes, PKCS1v15(), hash_)
        else:
            key.verify(response.signature, response.tbs_response_bytes, ECDSA(hash_))
    except InvalidSignature:
        return False
    return True


def _find_single_response(
    responses: Iterable[ocsp.OCSPSingleResponse], certificate: x509.Certificate, issuer: x509.Certificate
) -> ocsp.OCSPSingleResponse:
    for found in responses:
        named = _make_request(certificate, issuer, found.hash_algorithm)
        if (found.serial_number, found.issuer_name_hash, found.issuer_key_hash) == (
            named.serial_number,
            named.issuer_name_hash,
            named.issuer_key_hash,
        ):
            return found
    raise RevocationUnusable("the OCSP response is about another certificate")
