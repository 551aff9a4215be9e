"""Verifies seals of a hub without access to it.

Checks the sealer, the validity, and the chain of the certificate to an anchor. Knows what the reader trusts. Revocation
is not checked: there is no network here, and today's CRL says nothing about the time of sealing.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

import attrs
from cryptography import x509
from lxml import etree

from hub.audit.findings import AuditFinding, confirm_finding, deny_finding, note_finding
from hub.domain.errors import Rejected, find_error_sentence
from hub.formats import safe_xml
from hub.language.phrases import Phrase, phrase
from hub.security import wss_verify
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate


@attrs.frozen
class AuditTrust:
    """What the reader trusts."""

    anchors: Anchors
    now: datetime
    #: The hub's own certificates; only their subjects are compared. Empty: any certificate of the CA.
    hub: tuple[x509.Certificate, ...] = ()
    #: The same anchors for officials, whose keys may be for commitments only. None: `anchors`.
    persons: Anchors | None = None


class SealBroken(Exception):
    """A document that proves nothing. *why* says why."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(str(why))
        self.why = why


@attrs.define
class Sealers:
    """The sealers that were met. They must all be one hub, and the hub that the reader named."""

    trust: AuditTrust
    subjects: dict[x509.Name, str] = attrs.field(factory=dict)  #: -> the place where it was met first

    def meet(self, certificate: x509.Certificate, place: str) -> None:
        """Record a seal at *place*."""
        self.subjects.setdefault(certificate.subject, place)

    def judge(self) -> Iterator[AuditFinding]:
        """Yield whether all seals belong to the one hub."""
        known = {certificate.subject for certificate in self.trust.hub}
        others = [(subject, place) for subject, place in self.subjects.items() if subject not in known]
        if known:
            for subject, place in others:
                name = subject.rfc4514_string()
                yield deny_finding("sealer", place, phrase("a seal of another owner: {name}", name=name))
            if self.subjects and not others:
                yield confirm_finding("sealer", "", phrase("every seal is by the hub that you named"))
            return
        if len(self.subjects) > 1:
            names = "; ".join(f"{place}: {subject.rfc4514_string()}" for subject, place in self.subjects.items())
            yield deny_finding("sealer", "", phrase("seals of different owners: {names}", names=names))
        elif self.subjects:
            yield note_finding(
                "sealer",
                "",
                phrase(
                    "the sealer was not compared: give the hub's certificate with --hub-certificate, or compare the "
                    "SHA-256 above"
                ),
            )


def open_sealed_document(
    content: bytes, trust: AuditTrust, made_at: Callable[[etree._Element], datetime]
) -> tuple[etree._Element, x509.Certificate, datetime]:
    """Return the root of the sealed document *content*, its sealer's certificate and its time of sealing.

    The document itself states that time. *made_at* reads that time from the root, whose seal is not verified yet, and
    may raise ValueError. The certificate must have been valid at that time. Raises SealBroken.
    """
    try:
        root = safe_xml.parse_safe_xml(content)
        at = made_at(root)
        root, certificate = wss_verify.unseal_document(content, trust.anchors, at)
    except Rejected as rejected:
        raise SealBroken(explain_rejection(rejected)) from None
    except (ValueError, OverflowError) as error:
        raise SealBroken(phrase("its time cannot be read: {error}", error=error)) from None
    return root, certificate, at


def explain_rejection(rejected: Rejected) -> Phrase:
    """Return what is wrong by *rejected*: the sentence of its first problem, then the code and the detail."""
    problem = rejected.problems[0]
    sentence = find_error_sentence(problem.code)
    return phrase("{sentence} [{code}: {detail}]", sentence=sentence, code=problem.code, detail=problem.detail)


def describe_seal(place: str, certificate: x509.Certificate, at: datetime, now: datetime) -> Iterator[AuditFinding]:
    """Yield that a seal is valid, and who made it."""
    name, printed = certificate.subject.rfc4514_string(), hash_certificate(certificate)
    when = at.isoformat(timespec="seconds")
    yield confirm_finding(
        "seal",
        place,
        phrase(
            "the seal is valid; by {name}, SHA-256 {printed}; the certificate was valid at {when}",
            name=name,
            printed=printed,
            when=when,
        ),
    )
    if now > certificate.not_valid_after_utc:
        over = certificate.not_valid_after_utc.isoformat(timespec="seconds")
        yield note_finding(
            "seal",
            place,
            phrase("the certificate expired at {over}: only the document itself states when it was sealed", over=over),
        )
