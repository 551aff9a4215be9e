"""Which certificates are trusted for what, by which authorities, as of when; no keys, no files."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import CertificatePoliciesOID, ExtendedKeyUsageOID, ExtensionOID
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError, X509StoreFlags
from OpenSSL.crypto import Error as OpenSSLError

from hub.domain.errors import Rejected
from hub.domain.model import Detail, Problem, RevocationRule
from hub.language.phrases import phrase
from hub.security import algorithms, crl_ocsp
from hub.security.certificates import EXPIRED, NOT_YET_VALID
from hub.security.crl_ocsp import STRONG, OcspAnswer, RevocationFinding, RevocationList, RevocationStatus, read_answer

LIFE = timedelta(seconds=60)  #: maximum validity of a check, before the chain is built again
_KEPT = 4096  #: maximum number of checks in the cache


class Untrusted(Rejected):
    """A certificate that proves nothing.

    The code is `certificate-untrusted`, `-revoked`, `-expired` or `-weak`, or `revocation-unknown`.
    """

    def __init__(self, code: str, detail: Detail) -> None:
        super().__init__(Problem(code, detail))


class Purpose(StrEnum):
    """A purpose of a certificate."""

    CLIENT = "client"
    SERVER = "server"
    SIGN = "sign"
    STAMP = "stamp"  #: sign time stamps


#: The extended key usages that allow each purpose, if the certificate has any (RFC 5280, 4.2.1.12).
_PURPOSES = {
    Purpose.CLIENT: {ExtendedKeyUsageOID.CLIENT_AUTH},
    Purpose.SERVER: {ExtendedKeyUsageOID.SERVER_AUTH},
    # No usage is registered for signed messages. Accepted are the usages of keys that sign for a system or a person,
    # not for a CA or a clock.
    Purpose.SIGN: {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36"),  # documentSigning, RFC 9336
        x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.12"),  # Microsoft's documentSigning
    },
    Purpose.STAMP: {ExtendedKeyUsageOID.TIME_STAMPING},
}


@attrs.frozen
class _Standing:
    """The cached result of checking one certificate."""

    at: datetime
    until: datetime
    #: extended key usages of each certificate in the chain that has any
    purposes: tuple[frozenset[x509.ObjectIdentifier], ...]
    unsourced: Detail  #: a certificate whose issuer has no configured source of revocations
    unknown: Detail  #: a certificate whose issuer has a source that states nothing current


class Anchors:
    """The trusted CA certificates and their revocations.

    Each one is an anchor by itself: an intermediate needs no root here. *crls* come from files. *intermediates* only
    help to build a chain and are not trusted. *sourced* are CAs whose revocations are fetched over the network;
    `set_revocations` receives them. *committing* means that the certificates belong to persons, whose keys may be for
    nonRepudiation (contentCommitment) instead of digitalSignature.

    Revocation is checked for every certificate of a chain. An issuer with a source, a CRL file or a URL that is
    fetched, must have something current: an overdue CRL refuses all certificates of its issuer, so that blocking its
    delivery does not make revoked certificates valid again. An issuer without any source is not checked: the operator
    decided to trust it without one. Otherwise all partners of the second CA would be refused on the day on which the
    first CA gets its CRL. A partner's policy may be stricter (`require`) or laxer (`allow`). No outsider can choose,
    because sources come only from the configuration: a URL in a certificate is never followed.
    """

    def __init__(
        self,
        anchors: Sequence[x509.Certificate],
        crls: Sequence[x509.CertificateRevocationList] = (),
        *,
        intermediates: Sequence[x509.Certificate] = (),
        sourced: Sequence[x509.Certificate] = (),
        committing: bool = False,
    ) -> None:
        self._committing = committing
        self._anchors = [X509.from_cryptography(anchor) for anchor in anchors]
        self._intermediates = list(dict.fromkeys(intermediates))
        self._filed = tuple(RevocationList(crl) for crl in crls)
        self._sourced = {*(crl.issuer for crl in crls), *(issuer.subject for issuer in sourced)}
        self._lists: Mapping[x509.Name, Sequence[RevocationList]] = {}
        self._answers: Mapping[x509.Certificate, OcspAnswer] = {}
        self._stapled: dict[x509.Certificate, OcspAnswer] = {}
        self._checked: dict[x509.Certificate, _Standing] = {}
        self._shown: dict[x509.Certificate, tuple[x509.Certificate, ...]] = {}
        self.set_revocations((), {})

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: everything but what was remembered of single certificates."""
        return vars(self) | {"_stapled": {}, "_checked": {}, "_shown": {}}

    def set_revocations(self, lists: Sequence[RevocationList], answers: Mapping[x509.Certificate, OcspAnswer]) -> None:
        """Replace the CRLs and OCSP answers that were fetched from the CAs."""
        by_issuer: dict[x509.Name, list[RevocationList]] = {}
        for found in (*self._filed, *lists):
            by_issuer.setdefault(found.issuer, []).append(found)
        self._lists, self._answers = by_issuer, answers
        self._checked = {}

    def list_revocations(self) -> tuple[Sequence[RevocationList], Mapping[x509.Certificate, OcspAnswer]]:
        """Return the CRLs, from files and from the CAs, and the OCSP answers that were fetched, by certificate."""
        return [found for lists in self._lists.values() for found in lists], self._answers

    def staple(self, certificate: x509.Certificate, octets: bytes, now: datetime) -> None:
        """Store the OCSP response from the TLS handshake with *certificate*. Raises RevocationUnusable, Untrusted."""
        path = self._path(certificate, now, ())
        if len(path) > 1:
            answer = read_answer(octets, certificate, path[1], now)
            if len(self._stapled) >= _KEPT:
                self._stapled.clear()
            self._stapled[certificate] = answer
            self._checked.pop(certificate, None)

    def check(
        self,
        certificate: x509.Certificate,
        now: datetime,
        chain: Sequence[x509.Certificate] = (),
        *,
        purpose: Purpose | None = None,
        unknown: RevocationRule = RevocationRule.CONFIGURED,
    ) -> Detail:
        """Check that *certificate* may sign at *now*. *chain* is what its holder sent above it; it is not trusted.

        A chain that led to an anchor is remembered, because the holder sends its chain only when it opens a connection.

        *purpose*: the purpose to check, or None. *unknown*: the effect of an unknown revocation status. Returns a
        description of the unknown status that was tolerated, normally an empty text.

        Raises Untrusted: `certificate-expired` (also not yet valid; also for a CA above), `certificate-revoked`,
        `revocation-unknown`, `certificate-weak` (its own key), `certificate-untrusted` (no chain, a weak hash in it or
        a weak key above, missing required policies, an unknown critical extension, key usage without digitalSignature,
        another purpose). A good result is cached for LIFE, and never beyond the end of a certificate, CRL or answer
        that it rests on.
        """
        found = self._checked.get(certificate)
        if found is None or not found.at <= now < found.until:
            found = self._find(certificate, now, chain)
        return _apply_standing(found, certificate, purpose, unknown)

    def check_past(
        self,
        certificate: x509.Certificate,
        at: datetime,
        now: datetime,
        chain: Sequence[x509.Certificate] = (),
        *,
        purpose: Purpose | None = None,
    ) -> Detail:
        """Check that *certificate* could sign at *at*, a time before *now* that is proved.

        As `check`, but its chain must have been valid at *at* and may have expired since, and a revocation counts only if
        it took effect by then (`judge_past_revocation`). Raises Untrusted as `check` does. Nothing is cached.
        """
        return _apply_standing(
            self._judge_readable(certificate, at, chain, now), certificate, purpose, RevocationRule.CONFIGURED
        )

    def overdue(self, now: datetime) -> set[x509.Name]:
        """Return the issuers that have CRLs, from files or fetched, of which none is current at *now*."""
        return {name for name, lists in self._lists.items() if all(found.flaw(now) for found in lists)}

    def _find(self, certificate: x509.Certificate, now: datetime, chain: Sequence[x509.Certificate]) -> _Standing:
        self._checked.pop(certificate, None)
        checked = self._checked
        found = self._judge_readable(certificate, now, chain)
        if chain:
            if len(self._shown) >= _KEPT:
                self._shown.clear()
            self._shown[certificate] = tuple(chain)
        if len(checked) >= _KEPT:
            checked.clear()
        # `checked` is the old cache if another thread has called `set_revocations` meanwhile
        checked[certificate] = found
        return found

    def _judge_readable(
        self,
        certificate: x509.Certificate,
        at: datetime,
        chain: Sequence[x509.Certificate],
        later: datetime | None = None,
    ) -> _Standing:
        """Check the whole chain as of *at*; *later*: the time now, if *at* is past. Raises Untrusted."""
        try:
            return self._judge(certificate, at, chain, later)
        except (
            ValueError,
            TypeError,
            OverflowError,  # a time so close to the last year that nothing can be added to it
            OpenSSLError,
        ) as error:  # a certificate is parsed lazily, so any of its fields may be malformed
            raise Untrusted("certificate-untrusted", phrase("it cannot be read: {error}", error=str(error))) from None

    def _judge(
        self, certificate: x509.Certificate, now: datetime, chain: Sequence[x509.Certificate], later: datetime | None
    ) -> _Standing:
        _judge_usage(certificate, committing=self._committing)
        path = self._path(certificate, now, chain)
        if weakness := algorithms.describe_key_weakness(certificate):
            raise Untrusted("certificate-weak", f"{weakness}: {_say_subject(certificate)}")
        _judge_policies(path)
        until = min(now + LIFE, *(link.not_valid_after_utc for link in path))
        unsourced: Detail = ""
        unknown: Detail = ""
        for subject, issuer in pairwise(path):
            _judge_strength(subject, issuer)
            found = self._revocation(subject, issuer, now, later, authority=subject is not path[0])
            if found.status is RevocationStatus.REVOKED:
                raise Untrusted("certificate-revoked", f"{found.detail}: {_say_subject(subject)}")
            if found.status is RevocationStatus.GOOD:
                until = min(until, found.until or until)
            elif issuer.subject in self._sourced:
                unknown = unknown or phrase("{reason}: {name}", reason=found.detail, name=_say_subject(subject))
            else:
                unsourced = unsourced or phrase(
                    "{name} has no configured source of revocations", name=_say_subject(issuer)
                )
        purposes = tuple(filter(None, map(_read_purposes, path[:-1] or path)))
        return _Standing(now, until, purposes, unsourced, unknown)

    def _path(
        self, certificate: x509.Certificate, now: datetime, chain: Sequence[x509.Certificate]
    ) -> list[x509.Certificate]:
        """Return the chain from *certificate* to an anchor."""
        store = _make_store(self._anchors, now, X509StoreFlags.PARTIAL_CHAIN)
        shown = (*chain, *self._shown.get(certificate, ()))
        above = [X509.from_cryptography(link) for link in dict.fromkeys((*shown, *self._intermediates))]
        try:
            path = X509StoreContext(store, X509.from_cryptography(certificate), above).get_verified_chain()
        except X509StoreContextError as error:
            raise _make_untrusted(error) from None
        return [link.to_cryptography() for link in path]

    def _revocation(
        self,
        subject: x509.Certificate,
        issuer: x509.Certificate,
        now: datetime,
        later: datetime | None,
        *,
        authority: bool,
    ) -> RevocationFinding:
        heard = (self._answers.get(subject), self._stapled.get(subject))
        answers = [answer for answer in heard if answer is not None]
        lists = self._lists.get(issuer.subject, ())
        if later is not None:
            return crl_ocsp.judge_past_revocation(subject, issuer, lists, answers, now, later, authority=authority)
        return crl_ocsp.judge_revocation(subject, issuer, lists, answers, now, authority=authority)


def _apply_standing(
    found: _Standing, certificate: x509.Certificate, purpose: Purpose | None, unknown: RevocationRule
) -> Detail:
    """Return the unknown status that is tolerated, as `Anchors.check` does. Raises Untrusted."""
    if purpose is not None and not all(purposes & _PURPOSES[purpose] for purposes in found.purposes):
        raise Untrusted(
            "certificate-untrusted",
            phrase(
                "extended key usage not for {purpose}: {certificate}",
                purpose=purpose,
                certificate=_say_subject(certificate),
            ),
        )
    if unknown == RevocationRule.REQUIRE and (missing := found.unknown or found.unsourced):
        raise Untrusted("revocation-unknown", missing)
    if unknown == RevocationRule.CONFIGURED and found.unknown:
        raise Untrusted("revocation-unknown", found.unknown)
    return found.unknown


def _make_store(trusted: Sequence[X509], now: datetime, flags: int) -> X509Store:
    """Return a store for one check.

    OpenSSL keeps the time in the store, so threads that share one would mix their times.
    """
    store = X509Store()
    store.set_time(now.astimezone(UTC))
    store.set_flags(flags)
    for certificate in trusted:
        store.add_cert(certificate)
    return store


def _judge_usage(certificate: x509.Certificate, *, committing: bool) -> None:
    """Require digitalSignature if the key usage is limited (RFC 5280, 4.2.1.3).

    For a person's certificate, *committing*, nonRepudiation is enough. Raises Untrusted.
    """
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise Untrusted("certificate-untrusted", f"{_say_subject(certificate)}: {error}") from None
    if not (usage.digital_signature or (committing and usage.content_commitment)):
        raise Untrusted(
            "certificate-untrusted",
            phrase("key usage without digitalSignature: {certificate}", certificate=_say_subject(certificate)),
        )


def _judge_strength(subject: x509.Certificate, issuer: x509.Certificate) -> None:
    """Require SHA-256 or stronger and a strong issuer key: a chain is as strong as its weakest signature.

    Raises Untrusted.
    """
    try:
        weak_hash = not isinstance(subject.signature_hash_algorithm, STRONG)
    except UnsupportedAlgorithm:
        weak_hash = True
    if weak_hash:
        raise Untrusted(
            "certificate-untrusted", phrase("signed with a weak hash: {subject}", subject=_say_subject(subject))
        )
    if weakness := algorithms.describe_key_weakness(issuer):
        raise Untrusted(
            "certificate-untrusted",
            phrase("signed with a weak key, {weakness}: {subject}", weakness=weakness, subject=_say_subject(subject)),
        )


#: Extensions that may be critical in a certificate below an anchor: checked here, by OpenSSL, or by `crl_ocsp`. OpenSSL
#: alone would accept some that nothing checks.
_POLICY_MAPPINGS = ExtensionOID.POLICY_MAPPINGS
_UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.INHIBIT_ANY_POLICY,
    _POLICY_MAPPINGS,
}
_ANY_POLICY = CertificatePoliciesOID.ANY_POLICY


def _judge_policies(path: Sequence[x509.Certificate]) -> None:
    """Refuse a *path* in which a CA requires policies that the certificates below do not all have.

    Source: RFC 5280, 6.1, for a verifier that accepts any policy. OpenSSL checks this only for callers that name the
    policies they want, and PyOpenSSL cannot name them. Policy mappings are not applied: a certificate below a mapping
    has no policies. So where a CA requires policies, more is refused than necessary, and never less.
    """
    valid = {_ANY_POLICY}  #: the policies of all certificates so far; once empty, it stays empty
    #: number of certificates after which policies are required, and after which anyPolicy no longer counts
    explicit = inhibited = len(path)
    for link in reversed(path[:-1]):
        found, last, renewed = _read_extensions(link), link is path[0], link.issuer == link.subject
        said = _read_policies(found)
        named = {policy for policy in said - {_ANY_POLICY} if policy in valid or _ANY_POLICY in valid}
        wild = _ANY_POLICY in said and (inhibited > 0 or (renewed and not last))
        valid = named | valid if wild else named
        if not explicit and not valid:
            raise Untrusted(
                "certificate-untrusted",
                phrase("a CA requires policies that this certificate lacks: {name}", name=_say_subject(link)),
            )
        if _POLICY_MAPPINGS in found:
            valid = set()
        if last or not renewed:
            explicit, inhibited = max(explicit - 1, 0), max(inhibited - 1, 0)
        required, skipped = _read_policy_constraints(found)
        if not last or required == 0:
            explicit = min(explicit, required)
        inhibited = min(inhibited, skipped)
    if not explicit and not valid:
        raise Untrusted(
            "certificate-untrusted",
            phrase("a CA requires policies that this certificate lacks: {name}", name=_say_subject(path[0])),
        )


def _read_extensions(certificate: x509.Certificate) -> Mapping[x509.ObjectIdentifier, Any]:
    """Return the value of each extension of *certificate*.

    Raises Untrusted for an unknown critical one, and ValueError.
    """
    try:
        found = {each.oid: each for each in certificate.extensions}
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from None
    for oid, each in found.items():
        if each.critical and oid not in _UNDERSTOOD:
            said = phrase(
                "the critical extension {name} is not understood: {certificate}",
                name=oid.dotted_string,
                certificate=_say_subject(certificate),
            )
            raise Untrusted("certificate-untrusted", said)
    return {oid: each.value for oid, each in found.items()}


def _read_policies(found: Mapping[x509.ObjectIdentifier, Any]) -> set[x509.ObjectIdentifier]:
    return {each.policy_identifier for each in found.get(ExtensionOID.CERTIFICATE_POLICIES, ())}


#: More certificates than any chain has.
_NEVER = 1 << 30


def _read_policy_constraints(found: Mapping[x509.ObjectIdentifier, Any]) -> tuple[int, int]:
    """Return after how many certificates policies are required (requireExplicitPolicy), and anyPolicy no longer
    counts.
    """
    constraints, inhibiting = found.get(ExtensionOID.POLICY_CONSTRAINTS), found.get(ExtensionOID.INHIBIT_ANY_POLICY)
    required = None if constraints is None else constraints.require_explicit_policy
    return (
        _NEVER if required is None else required,
        _NEVER if inhibiting is None else inhibiting.skip_certs,
    )


def _read_purposes(certificate: x509.Certificate) -> frozenset[x509.ObjectIdentifier]:
    """Return the extended key usages that limit *certificate*. Return an empty set if nothing limits it.

    Raises ValueError.
    """
    try:
        found = frozenset(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return frozenset()
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from None
    return frozenset() if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in found else found


def _make_untrusted(error: X509StoreContextError) -> Untrusted:
    number, _, message = error.errors
    codes = {NOT_YET_VALID: "certificate-expired", EXPIRED: "certificate-expired"}
    detail = f"{message}: {_say_subject(error.certificate.to_cryptography())}"
    return Untrusted(codes.get(number, "certificate-untrusted"), detail)


def _say_subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
