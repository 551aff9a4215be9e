"""Judges what a new certificate of the hub would break: by itself, and for each partner by what was seen of it lately.

Pure: reads no journal and no file. Nothing that was seen proves what a partner trusts or which algorithms its toolkit
knows; so a finding is *sure* only where the handshakes themselves show it, and else says what is not known.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import attrs
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.config import Config, Partner
from hub.domain.errors import Rejected
from hub.domain.local_time import write_local_time
from hub.domain.model import Receive, RevocationRule
from hub.domain.sightings import Sighting, SightingKind
from hub.language.phrases import Phrase, phrase
from hub.partner.policy import PartnerTransport
from hub.security import algorithms, tls


class KeyUse(StrEnum):
    """What a certificate of the hub is used for."""

    TLS = "tls"
    SIGN = "sign"


class RehearsalVerdict(StrEnum):
    """What a new certificate means for one partner."""

    FINE = "fine"  #: nothing speaks against it
    UNSURE = "unsure"  #: something that was not seen decides
    BREAKS = "breaks"  #: calls would fail


@attrs.frozen
class RehearsalFinding:
    """One reason."""

    code: str
    text: Phrase
    sure: bool = attrs.field(default=False, kw_only=True)  #: calls would fail; False: they may


@attrs.frozen(kw_only=True)
class PartnerRehearsal:
    """What a new certificate means for one partner."""

    partner: str
    findings: tuple[RehearsalFinding, ...]
    seen_at: datetime | None  #: when anything of it was seen last; None: not in the time that was looked at

    @property
    def verdict(self) -> RehearsalVerdict:
        """The worst of the findings."""
        if any(each.sure for each in self.findings):
            return RehearsalVerdict.BREAKS
        return RehearsalVerdict.UNSURE if self.findings else RehearsalVerdict.FINE


def judge_next_certificate(
    new: x509.Certificate, chain: Sequence[x509.Certificate], uses: Sequence[KeyUse], config: Config, now: datetime
) -> list[RehearsalFinding]:
    """Return what is wrong with the certificate *new* itself, whatever partner is asked. *chain*: the CAs above it."""
    found = []
    if not new.not_valid_before_utc <= now <= new.not_valid_after_utc:
        begins, ends = map(write_local_time, (new.not_valid_before_utc, new.not_valid_after_utc))
        found.append(
            RehearsalFinding(
                "dates", phrase("it is valid from {begins} to {ends}", begins=begins, ends=ends), sure=True
            )
        )
    if weakness := algorithms.describe_key_weakness(new):
        found.append(RehearsalFinding("weak", phrase("its key is weak: {weakness}", weakness=weakness), sure=True))
    if KeyUse.TLS in uses and not _allows_usage(new, ExtendedKeyUsageOID.SERVER_AUTH):
        found.append(RehearsalFinding("server-auth", phrase("it may not be used by a server (serverAuth)"), sure=True))
    if KeyUse.SIGN in uses and not _may_sign(new):
        found.append(RehearsalFinding("digital-signature", phrase("its key usage lacks digitalSignature"), sure=True))
    try:
        config.anchors.check(new, now, chain, unknown=RevocationRule.ALLOW)
    except Rejected as rejected:
        problem = rejected.problems[0]
        if problem.code not in {"certificate-expired", "certificate-weak"}:
            said = phrase("{code}: {detail}", code=problem.code, detail=problem.detail)
            found.append(RehearsalFinding("trust", said, sure=problem.code == "certificate-revoked"))
    return found


def rehearse_partner(
    partner: Partner,
    current: Mapping[KeyUse, x509.Certificate],
    new: x509.Certificate,
    chain: Sequence[x509.Certificate],
    seen: Sequence[Sighting],
) -> PartnerRehearsal:
    """Return what *new* means for *partner*. *current*: what it takes the place of, by use; *seen*: of this partner."""
    mutual = partner.called and partner.policy.transport == PartnerTransport.MUTUAL_TLS
    findings = [
        *(_judge_names(new, seen) if KeyUse.TLS in current else ()),
        *(_judge_server(current[KeyUse.TLS], new, chain, seen) if KeyUse.TLS in current and mutual else ()),
        *_judge_issuer(partner, current, new, chain, seen, mutual=mutual),
        *_judge_key(partner, current, new),
    ]
    if not seen:
        findings.append(
            RehearsalFinding("not-seen", phrase("nothing was seen of it in this time, so nothing is known"))
        )
    return PartnerRehearsal(
        partner=partner.code, findings=tuple(findings), seen_at=max((each.last_at for each in seen), default=None)
    )


def _judge_names(new: x509.Certificate, seen: Sequence[Sighting]) -> Iterator[RehearsalFinding]:
    """Yield the names under which the partner called and that *new* does not have: its TLS library would refuse them."""
    for each in seen:
        if each.kind is SightingKind.CALLER_NAME and not _has_name(new, each.value):
            said = phrase(
                "it called the hub as {name} until {last}, a name that the new certificate lacks",
                name=each.value,
                last=write_local_time(each.last_at),
            )
            yield RehearsalFinding("name", said, sure=True)


def _judge_server(
    current: x509.Certificate, new: x509.Certificate, chain: Sequence[x509.Certificate], seen: Sequence[Sighting]
) -> Iterator[RehearsalFinding]:
    """Yield what the partner's server says of the clients that it accepts (CertificateRequest, RFC 8446, 4.2.4)."""
    if not _allows_usage(new, ExtendedKeyUsageOID.CLIENT_AUTH):
        yield RehearsalFinding(
            "client-auth", phrase("it may not be shown to the partner's server (clientAuth)"), sure=True
        )
    named = {each.value for each in seen if each.kind is SightingKind.SERVER_AUTHORITY}
    if named and _hash_name(current.issuer) in named and not named & set(map(_hash_name, _list_issuers(new, chain))):
        said = phrase("its server accepts clients of some CAs, and {issuer} is none of them", issuer=_say_issuer(new))
        yield RehearsalFinding("server-authority", said, sure=True)


def _judge_issuer(
    partner: Partner,
    current: Mapping[KeyUse, x509.Certificate],
    new: x509.Certificate,
    chain: Sequence[x509.Certificate],
    seen: Sequence[Sighting],
    *,
    mutual: bool,
) -> Iterator[RehearsalFinding]:
    if all(each.issuer == new.issuer for each in current.values()):
        return
    named = {each.value for each in seen if each.kind is SightingKind.SERVER_AUTHORITY}
    only_called = mutual and partner.receive is Receive.PUSH and not _calls_the_hub(seen)
    if only_called and named & set(map(_hash_name, _list_issuers(new, chain))):
        return
    said = phrase(
        "its CA is another one than before, {issuer}: the partner must know it first", issuer=_say_issuer(new)
    )
    yield RehearsalFinding("issuer", said)


def _judge_key(
    partner: Partner, current: Mapping[KeyUse, x509.Certificate], new: x509.Certificate
) -> Iterator[RehearsalFinding]:
    method = algorithms.choose_signature_method(new)
    uses = [use for use, each in current.items() if algorithms.choose_signature_method(each) != method]
    if KeyUse.SIGN in uses and method not in map(algorithms.choose_signature_method, partner.certificates):
        said = phrase(
            "the hub's signatures become {method}; it is not known whether it verifies them",
            method=_shorten_method(method),
        )
        yield RehearsalFinding("signature-method", said)
    if KeyUse.TLS in uses:
        kinds = {algorithms.choose_signature_method(each) for each in partner.certificates}
        if method not in kinds:
            said = phrase(
                "the key of TLS becomes {key}; it is not known whether its TLS library takes it", key=_say_key(new)
            )
            yield RehearsalFinding("tls-key", said)


def _calls_the_hub(seen: Sequence[Sighting]) -> bool:
    return any(each.kind is SightingKind.CALLER_TLS for each in seen)


def _has_name(new: x509.Certificate, name: str) -> bool:
    try:
        tls.check_host(new, name)
    except (Rejected, ValueError):
        return False
    return True


def _list_issuers(new: x509.Certificate, chain: Sequence[x509.Certificate]) -> list[x509.Name]:
    return [new.issuer, *(each.issuer for each in chain)]


def _hash_name(name: x509.Name) -> str:
    """Return the name as `SightingKind.SERVER_AUTHORITY` has it."""
    return hashlib.sha256(name.public_bytes()).hexdigest()


def _allows_usage(new: x509.Certificate, usage: x509.ObjectIdentifier) -> bool:
    try:
        named = set(new.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return True
    return bool({usage, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & named)


def _may_sign(new: x509.Certificate) -> bool:
    try:
        return bool(new.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature)
    except x509.ExtensionNotFound:
        return True


def _say_issuer(new: x509.Certificate) -> str:
    return new.issuer.rfc4514_string()


def _shorten_method(method: str) -> str:
    return method.rpartition("#")[2]


def _say_key(new: x509.Certificate) -> str:
    return algorithms.describe_key(new)


def list_certificate_uses(config: Config) -> dict[KeyUse, x509.Certificate]:
    """Return the hub's certificate of each use."""
    return {KeyUse.TLS: config.tls.certificate, KeyUse.SIGN: config.identity.certificate}
