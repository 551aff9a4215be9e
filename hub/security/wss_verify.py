"""Verifies signed SOAP envelopes and sealed documents. Knows WS-Security 1.0/1.1 and what a signature must cover.

`verify_envelope` accepts a closed list of forms (design.md «Signatures»). It finds the elements that must be signed by
their position, uses ids only for comparison, and returns the very elements that it verified. Callers must read nothing
else. hub.security.certificates decides whether a certificate is trusted.

The cost of verifying is bounded by the limits of `safe_xml` and by `xmldsig.MOST_LOOKED_FOR`;
`hub.formats.xml_cost.WORST` states it. No element is canonicalised twice, and none before certificate, value and
Timestamp have been checked.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

import attrs
from cryptography import x509
from lxml import etree

from hub.formats import mime, safe_xml, streamed_xml
from hub.formats.mime import MimePart
from hub.formats.streamed_xml import Loads
from hub.language.phrases import phrase
from hub.security import wss_tokens, xmldsig
from hub.security.algorithms import Unverified
from hub.security.anchors import Anchors
from hub.security.certificates import load_der
from hub.security.signing import seal_element, sign_envelope, write_timestamp
from hub.security.wss_tokens import TOKEN, WSSE, WSU
from hub.security.xmldsig import SIGNATURE, Dialect, Reference

__all__ = [
    "Frame",
    "Untimely",
    "Unverified",
    "Verified",
    "seal_element",
    "sign_envelope",
    "unseal_document",
    "verify_envelope",
]

_SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
_SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
_SECURITY = f"{{{WSSE}}}Security"
_TIMESTAMP, _CREATED, _EXPIRES = (f"{{{WSU}}}{name}" for name in ("Timestamp", "Created", "Expires"))
_OURS = {
    "",
    "http://schemas.xmlsoap.org/soap/actor/next",
    f"{_SOAP_12}/role/next",
    f"{_SOAP_12}/role/ultimateReceiver",
}
#: Maximum elements of one Security header. It normally holds one or two tokens, a Timestamp and a Signature.
_MOST_TOKENS = 64
ENVELOPE_DIALECT, _ATTACHED_DIALECT = Dialect(pointers=True), Dialect(pointers=True, attached=True)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})")


class Untimely(Unverified):
    """A valid signature of a call that is too old, too new, or has too long a lifetime. Its Body was not checked."""

    def __init__(self, code: str, detail: str, signed: bytes, expires: datetime) -> None:
        super().__init__(code, detail)
        self.signed = signed  #: as in `Verified.signed`
        self.expires = expires


@attrs.frozen(eq=False)
class Frame:
    """The parts of an envelope that verification needs.

    They are found once, even if several partners are tried as signer.
    """

    header: etree._Element
    body: etree._Element
    security: etree._Element
    signature: etree._Element
    timestamp: etree._Element

    @classmethod
    def of(cls, envelope: etree._Element) -> "Frame":
        """Find the parts by position. Raises Unverified: `unsigned`, `timestamp-missing`, `signature-invalid`."""
        header, body = _find_parts(envelope)
        security = _find_security(header)
        return cls(header, body, security, _only_signature(security), _only_timestamp(security))

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """Return how often each id occurs in the whole document."""
        return wss_tokens.count_ids(self.header)


@attrs.frozen(eq=False, kw_only=True)
class Verified:
    """What a signature covered, as elements of the given tree, and its signer and time."""

    body: etree._Element
    timestamp: etree._Element
    headers: tuple[etree._Element, ...]  #: other signed children of the Header
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]  #: certificates that came with it; they prove nothing by themselves
    signature_value: bytes
    signed: bytes  #: SignedInfo in canonical form: it identifies this call among all that the certificate signed
    created: datetime
    expires: datetime
    sha1: bool  #: SHA-1 was used and tolerated
    attached: frozenset[str] = frozenset()  #: content ids of the signed parts
    referred: tuple[tuple[Reference, etree._Element], ...] = ()  #: each other Reference with what it covers


def verify_envelope(
    envelope: etree._Element | Frame,
    certificates: Sequence[x509.Certificate],
    now: datetime,
    *,
    max_age: timedelta,
    skew: timedelta = timedelta(seconds=60),
    sha1: bool = False,
    loads: Loads = streamed_xml.NONE,
    attached: Mapping[str, MimePart] | None = None,
) -> Verified:
    """Verify the signature of a SOAP 1.1 or 1.2 *envelope* made with one of *certificates*.

    *envelope* is a tree of `parse_safe_xml` or its frame. *loads* are the texts that were left out of the tree.
    *attached* are the parts beside the envelope, by content id, whose octets a Reference may name (None: such a
    Reference is refused). The Body and the Timestamp must be signed. The certificate itself is not checked here.

    Raises Unverified: `unsigned`, `timestamp-missing`, `signature-invalid`, `algorithm-refused`, `certificate-unknown`,
    `signature-covers-too-little`, `timestamp-expired` (expired, older than *max_age*, or with a longer lifetime than
    that), `timestamp-future`. The last two are raised as `Untimely`.

    An id that a reference names must be unique in the document among wsu:Id, Id and xml:id. Other ids may repeat: a
    business document may number its own lines with `Id`.
    """
    frame = envelope if isinstance(envelope, Frame) else Frame.of(envelope)
    header, body, security, timestamp = frame.header, frame.body, frame.security, frame.timestamp
    signature = xmldsig.read_signature(
        frame.signature, sha1=sha1, dialect=ENVELOPE_DIALECT if attached is None else _ATTACHED_DIALECT
    )
    ids = frame.ids
    certificate, chain = wss_tokens.find_token_signer(signature.key_info, security, certificates, ids)
    signature.check(certificate)
    # Nothing large is canonicalised or digested before all cheap checks have passed.
    referred = list_referred(signature, (body, timestamp, *security.iterchildren(TOKEN)), header, security, ids)
    covered = [element for _, element in referred]
    missing = [safe_xml.read_local_name(part) for part in (body, timestamp) if part not in covered]
    if missing:
        raise Unverified("signature-covers-too-little", phrase("not signed: {names}", names=", ".join(missing)))
    _check_digest(*referred[covered.index(timestamp)], loads)
    created, expires = _read_lifetime(timestamp)
    _judge_lifetime(created, expires, now, max_age, skew, signature.signed)
    xmldsig.require_short_prefix_lists(referred)
    parts = _covered_parts(signature, attached or {})
    for reference, element in referred:
        if element is not timestamp:
            _check_digest(reference, element, loads)
    return Verified(
        body=body,
        timestamp=timestamp,
        headers=tuple(part for part in covered if part.getparent() is header),
        certificate=certificate,
        chain=chain,
        signature_value=signature.value,
        signed=signature.signed,
        created=created,
        expires=expires,
        sha1=signature.sha1,
        attached=parts,
        referred=tuple(referred),
    )


def unseal_document(
    content: bytes | etree._Element, trusted: Anchors | Sequence[x509.Certificate], now: datetime
) -> tuple[etree._Element, x509.Certificate]:
    """Return the root of a sealed document and the certificate that sealed it.

    Everything but the signature itself was signed. There must be one ds:Signature, a direct child of the root, over the
    whole document. *trusted*: the certificates that may have sealed it, or the anchors to which its certificate must
    lead at *now*. Raises Unverified, Untrusted, or Rejected like `parse_safe_xml`.
    """
    root = safe_xml.parse_safe_xml(content) if isinstance(content, bytes) else content
    found = list(root.iter(SIGNATURE))
    if not found:
        raise Unverified("unsigned", phrase("no Signature in the document"))
    if len(found) > 1 or found[0].getparent() is not root or root.getparent() is not None:
        raise Unverified("signature-invalid", phrase("a sealed document has one Signature, a child of its root"))
    if next(root.iter(etree.Comment, etree.ProcessingInstruction), None) is not None or (
        isinstance(content, bytes) and safe_xml.may_hold_comment_or_cdata([content])
    ):
        raise Unverified(
            "signature-invalid", phrase("a comment, processing instruction or CDATA section in a sealed document")
        )
    signature = xmldsig.read_signature(found[0])
    certificate = _find_sealer(wss_tokens.read_enclosed_certificate(signature.key_info), trusted, now)
    signature.check(certificate)
    if len(signature.references) != 1 or signature.references[0].uri or not signature.references[0].enveloped:
        raise Unverified(
            "signature-covers-too-little", phrase("the whole document must be signed, by one enveloped Reference")
        )
    xmldsig.require_short_prefix_lists([(signature.references[0], root)])
    signature.references[0].check(root, found[0])
    return root, certificate


# The form of an envelope


def _find_parts(envelope: etree._Element) -> tuple[etree._Element, etree._Element]:
    """Return Header and Body by position."""
    for soap in (_SOAP_11, _SOAP_12):
        if envelope.tag == f"{{{soap}}}Envelope":
            parts = list(envelope.iterchildren("*"))
            if [part.tag for part in parts] == [f"{{{soap}}}Header", f"{{{soap}}}Body"]:
                return parts[0], parts[1]
            if [part.tag for part in parts] == [f"{{{soap}}}Body"]:
                raise Unverified("unsigned", phrase("no Header"))
    raise Unverified("signature-invalid", phrase("not a SOAP Envelope of one Header and one Body"))


def _find_security(header: etree._Element) -> etree._Element:
    """Return the one Security header for the hub. Headers for other actors are ignored."""
    ours = [
        block
        for block in header.iterchildren(_SECURITY)
        if block.get(f"{{{_SOAP_11}}}actor", "").strip() in _OURS
        and block.get(f"{{{_SOAP_12}}}role", "").strip() in _OURS
    ]
    if not ours:
        raise Unverified("unsigned", phrase("no Security header"))
    if len(ours) > 1:
        raise Unverified("signature-invalid", phrase("two Security headers"))
    if len(ours[0]) > _MOST_TOKENS:
        raise Unverified(
            "signature-invalid",
            phrase("{count} elements in the Security header; at most {most}", count=len(ours[0]), most=_MOST_TOKENS),
        )
    return ours[0]


def _only_signature(security: etree._Element) -> etree._Element:
    found = list(security.iter(SIGNATURE))
    if not found:
        raise Unverified("unsigned", phrase("no Signature in the Security header"))
    if len(found) > 1 or found[0].getparent() is not security:
        raise Unverified("signature-invalid", phrase("the Security header must hold one Signature"))
    return found[0]


def _only_timestamp(security: etree._Element) -> etree._Element:
    found = list(security.iterchildren(_TIMESTAMP))
    if not found:
        raise Unverified("timestamp-missing", phrase("no Timestamp in the Security header"))
    if len(found) > 1:
        raise Unverified("signature-invalid", phrase("two Timestamps"))
    return found[0]


def list_referred(
    signature: xmldsig.Signature,
    places: Sequence[etree._Element],
    header: etree._Element,
    security: etree._Element,
    ids: Mapping[str, int],
) -> list[tuple[Reference, etree._Element]]:
    """Return the element that each reference names: one of *places* or a child of the Header, each named once."""
    known = wss_tokens.index_ids([*places, *(block for block in header.iterchildren("*") if block is not security)])
    found: list[tuple[Reference, etree._Element]] = []
    seen: set[etree._Element] = set()
    for reference in signature.references:
        if reference.attached:
            continue
        if reference.pointer:
            pointer = wss_tokens.find_id_bearer(reference.uri, wss_tokens.index_ids(signature.key_info), ids)
            element = wss_tokens.find_pointed_token(pointer, security, ids)
        else:
            element = wss_tokens.find_id_bearer(reference.uri, known, ids)
        if element in seen:
            raise Unverified("signature-invalid", phrase("{uri} is signed twice", uri=reference.uri))
        seen.add(element)
        found.append((reference, element))
    return found


def _check_digest(reference: Reference, element: etree._Element, loads: Loads) -> None:
    """Check a reference against its element."""
    if reference.pointer:
        reference.check_token(element)
        return
    if next(element.iter(etree.Comment, etree.ProcessingInstruction), None) is not None:
        raise Unverified("signature-invalid", phrase("a comment or processing instruction in {uri}", uri=reference.uri))
    reference.check(element, loads=loads)


def _covered_parts(signature: xmldsig.Signature, attached: Mapping[str, MimePart]) -> frozenset[str]:
    """Check every reference to a part against the part's octets. Return the content ids."""
    covered: set[str] = set()
    for reference in signature.references:
        if not reference.attached:
            continue
        name = mime.read_content_id(reference.uri)
        if name in covered:
            raise Unverified("signature-invalid", phrase("{uri} is signed twice", uri=reference.uri[:200]))
        if name not in attached:
            raise Unverified(
                "attachment-unknown", phrase("signed, but not among the attachments: <{name}>", name=name[:200])
            )
        if _is_text(attached[name].media):  # the profile (5.4.2) requires canonicalisation of such parts
            raise Unverified(
                "algorithm-refused",
                phrase(
                    "<{name}> is {media}; send application/octet-stream",
                    name=name[:200],
                    media=attached[name].media[:50],
                ),
            )
        reference.check_part(attached[name].octets)
        covered.add(name)
    return frozenset(covered)


def _is_text(media: str) -> bool:
    return media.startswith("text/") or media.endswith(("/xml", "+xml"))


def _find_sealer(content: bytes, trusted: Anchors | Sequence[x509.Certificate], now: datetime) -> x509.Certificate:
    """Return the certificate with the DER *content* if it is trusted."""
    if isinstance(trusted, Anchors):
        try:
            certificate = load_der(content)
        except ValueError as error:
            raise Unverified("signature-invalid", f"X509Certificate: {error}") from None
        trusted.check(certificate, now)
        return certificate
    found = wss_tokens.filter_by_octets(content, trusted)
    if not found:
        raise Unverified("certificate-unknown", phrase("the document was sealed with another certificate"))
    return found[0]


# The time of signing


def list_lifetime_leaves(timestamp: etree._Element) -> list[etree._Element]:
    """Return Created and Expires of a *timestamp*. Raises Unverified if it holds anything else."""
    parts = list(timestamp)
    if [part.tag for part in parts] != [_CREATED, _EXPIRES] or any(len(part) for part in parts):
        raise Unverified("timestamp-missing", phrase("Timestamp must hold Created and Expires"))
    return parts


def _read_lifetime(timestamp: etree._Element) -> tuple[datetime, datetime]:
    created, expires = map(_read_time, list_lifetime_leaves(timestamp))
    return created, expires


def _read_time(leaf: etree._Element) -> datetime:
    text = (leaf.text or "").strip(" \t\r\n")
    found = read_timestamp(text)
    if found is None:
        raise Unverified(
            "timestamp-missing",
            phrase(
                "{name} is not a time with a zone: {text}", name=safe_xml.read_local_name(leaf), text=repr(text[:50])
            ),
        )
    return found


def read_timestamp(text: str) -> datetime | None:
    """Return the time in UTC that *text* in a Timestamp states. Return None if it is not a time with a zone."""
    if _TIME.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # 30 February, or a time before the year 1
        return None


def _judge_lifetime(
    created: datetime, expires: datetime, now: datetime, max_age: timedelta, skew: timedelta, signed: bytes
) -> None:
    if wrong := describe_untimely(created, expires, now, max_age, skew):
        raise Untimely(*wrong, signed, expires)


def describe_untimely(
    created: datetime, expires: datetime, now: datetime, max_age: timedelta, skew: timedelta
) -> tuple[str, str] | None:
    """Return the code and the detail of what is wrong with a call's time. Return None if it is valid."""
    if expires <= created:
        return "timestamp-expired", "Expires is not after Created"
    if expires - created > max_age:
        life, most = (f"{length.total_seconds():.0f} s" for length in (expires - created, max_age))
        return "timestamp-expired", f"lifetime {life}; at most {most} is accepted"
    if created - now > skew:
        return "timestamp-future", f"Created {write_timestamp(created)}, now {write_timestamp(now)}"
    if now - expires >= skew:
        return "timestamp-expired", f"Expires {write_timestamp(expires)}, now {write_timestamp(now)}"
    return None
