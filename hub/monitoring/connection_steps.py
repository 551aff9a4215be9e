"""The steps of a connection test and their verdicts, and what each refusal asks a person to do. Pure: opens nothing."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import attrs
from cryptography import x509

from hub.domain.model import Problem
from hub.language.phrases import Phrase, phrase, verbatim
from hub.security.certificates import describe_owner, hash_certificate

#: A certificate that ends within this time is worth a warning.
SOON = timedelta(days=30)


class CallDirection(StrEnum):
    """Who calls."""

    OUT = "out"  #: the hub calls the partner
    IN = "in"  #: the partner calls the hub


class ConnectionStepName(StrEnum):
    """What a step tests."""

    ADDRESS = "address"
    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    SERVER_CERTIFICATE = "server-certificate"
    CLIENT_CERTIFICATE = "client-certificate"
    ANSWER = "answer"
    SENDING = "sending"
    CALLER_CERTIFICATE = "caller-certificate"
    GRANTS = "grants"
    LAST_CALL = "last-call"
    REFUSALS = "refusals"
    STRANGERS = "strangers"


class StepVerdict(StrEnum):
    """The result of a step."""

    GOOD = "good"
    WARNING = "warning"  #: it works, and a person should look
    FAILED = "failed"
    SKIPPED = "skipped"  #: there is nothing to test


#: What a step is called.
STEP_NAMES = {
    ConnectionStepName.ADDRESS: phrase("address"),
    ConnectionStepName.DNS: phrase("name in the DNS"),
    ConnectionStepName.TCP: phrase("TCP connection"),
    ConnectionStepName.TLS: phrase("TLS handshake"),
    ConnectionStepName.SERVER_CERTIFICATE: phrase("certificate of the server"),
    ConnectionStepName.CLIENT_CERTIFICATE: phrase("certificate of the hub"),
    ConnectionStepName.ANSWER: phrase("answer"),
    ConnectionStepName.SENDING: phrase("sending"),
    ConnectionStepName.CALLER_CERTIFICATE: phrase("certificate of the partner"),
    ConnectionStepName.GRANTS: phrase("permitted calls"),
    ConnectionStepName.LAST_CALL: phrase("last call"),
    ConnectionStepName.REFUSALS: phrase("refused today"),
    ConnectionStepName.STRANGERS: phrase("unknown callers today"),
}
VERDICT_NAMES = {
    StepVerdict.GOOD: phrase("good"),
    StepVerdict.WARNING: phrase("warning"),
    StepVerdict.FAILED: phrase("FAILED"),
    StepVerdict.SKIPPED: phrase("nothing to test"),
}
DIRECTION_NAMES = {
    CallDirection.OUT: phrase("The hub calls the partner"),
    CallDirection.IN: phrase("The partner calls the hub"),
}


@attrs.frozen(kw_only=True)
class ConnectionStep:
    """The result of one step."""

    direction: CallDirection
    name: ConnectionStepName
    verdict: StepVerdict
    found: Phrase  #: what was found
    do: Phrase | None = None  #: what to do about it

    @property
    def failed(self) -> bool:
        """Whether the step failed."""
        return self.verdict is StepVerdict.FAILED


#: What to do about a certificate, by the code of the problem.
_REMEDIES = {
    "certificate-unknown": phrase(
        "If the partner has changed its certificate: compare the SHA-256 with the partner by telephone, then "
        "`lienthong partners certificate add`"
    ),
    "certificate-untrusted": phrase(
        "Trust its CA (`lienthong trust add`), or let the partner send the whole chain or get a certificate that fits"
    ),
    "certificate-expired": phrase("The partner must renew it; check the clock of this machine too"),
    "certificate-revoked": phrase("The partner must replace it; give it no further trust until then"),
    "certificate-weak": phrase("The partner must replace its key: RSA from 2048 bits, or EC on P-256, P-384 or P-521"),
    "revocation-unknown": phrase("`lienthong trust list` shows which revocation data is overdue; get a newer CRL"),
}


def find_remedy(problems: Iterable[Problem]) -> Phrase | None:
    """Return what to do about a certificate with these *problems*."""
    return next((_REMEDIES[each.code] for each in problems if each.code in _REMEDIES), None)


def describe_certificate(certificate: x509.Certificate, now: datetime) -> Phrase:
    """Return the owner, fingerprint and end of *certificate*."""
    return phrase(
        "{owner}, SHA-256 {sha256}…, until {day} ({days} days)",
        owner=describe_owner(certificate) or "–",
        sha256=hash_certificate(certificate)[:16],
        day=f"{certificate.not_valid_after_utc:%d/%m/%Y}",
        days=(certificate.not_valid_after_utc - now).days,
    )


def judge_certificate(
    direction: CallDirection,
    name: ConnectionStepName,
    certificate: x509.Certificate,
    problems: Iterable[Problem],
    now: datetime,
) -> ConnectionStep:
    """Return the step of a *certificate* in which *problems* were found."""
    wrong, said = tuple(problems), describe_certificate(certificate, now)
    if wrong:
        why = (
            verbatim(f"{wrong[0].code}")
            if not wrong[0].detail
            else phrase("{code}: {detail}", code=wrong[0].code, detail=wrong[0].detail)
        )
        found = phrase("{certificate}: {why}", certificate=said, why=why)
        return ConnectionStep(
            direction=direction, name=name, verdict=StepVerdict.FAILED, found=found, do=find_remedy(wrong)
        )
    if certificate.not_valid_after_utc - now < SOON:
        renew = phrase("It ends soon: let its owner renew it, and have both certificates in force for the change")
        return ConnectionStep(direction=direction, name=name, verdict=StepVerdict.WARNING, found=said, do=renew)
    return ConnectionStep(direction=direction, name=name, verdict=StepVerdict.GOOD, found=said)
