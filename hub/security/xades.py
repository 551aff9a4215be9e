"""Verifies a XAdES signature of a whole document (ETSI EN 319 132-1, baseline B or T).

Does not know the signer or the content.

The signature is enveloped: a child of the document's root. It covers everything but itself, and its own
SignedProperties, which state when it was made and with which certificate. Two things in it are not signed: KeyInfo,
whose certificates only help to find the one that SigningCertificate names, and time stamps over the signature value,
which their authority has signed. Every other unsigned property (levels LT and LTA, counter-signatures) is refused:
nobody signed it, receivers may read it, and the hub would not use it. The caller decides whether to trust a
certificate.
"""

import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import attrs
from cryptography import x509
from lxml import etree

from hub.domain.errors import shorten_detail
from hub.language.phrases import phrase
from hub.security import time_stamps, wss_tokens, xmldsig
from hub.security.algorithms import DIGESTS, DS, MORE, Unverified
from hub.security.certificates import load_der
from hub.security.time_stamps import TimeStamp
from hub.security.xmldsig import INCLUSIVE, CanonicalForm, Dialect, Reference, Signature

ETSI = "http://uri.etsi.org/01903/v1.3.2#"
#: C14N 1.1 differs from 1.0 only in inherited `xml:` attributes. The hub refuses inclusive forms below such an
#: attribute.
_C14N_11 = "http://www.w3.org/2006/12/xml-c14n11"
DIALECT = Dialect(names={_C14N_11: INCLUSIVE}, bare=True, objects=True)

_PROPERTIES, _SIGNED, _OF_SIGNATURE, _TIME, _CERT, _CERT_DIGEST = (
    f"{{{ETSI}}}{name}"
    for name in (
        *("QualifyingProperties", "SignedProperties", "SignedSignatureProperties"),
        *("SigningTime", "Cert", "CertDigest"),
    )
)
_UNSIGNED, _UNSIGNED_OF_SIGNATURE, _STAMP, _TOKEN = (
    f"{{{ETSI}}}{name}"
    for name in ("UnsignedProperties", "UnsignedSignatureProperties", "SignatureTimeStamp", "EncapsulatedTimeStamp")
)
_FORM_OF_STAMP = f"{{{DS}}}CanonicalizationMethod"
#: Encodings of a token: DER, which is meant without the attribute, and BER (EN 319 132-1, 5.1.3).
_ENCODINGS = {f"http://uri.etsi.org/01903/v1.2.2#{name}" for name in ("DER", "BER")}
_NAMES_OF_CERTIFICATE = {f"{{{ETSI}}}SigningCertificate", f"{{{ETSI}}}SigningCertificateV2"}
#: Namespaces that may occur in KeyInfo, those of KeyValue included. The second is RFC 4050's, which some toolkits use
#: for EC keys.
_OF_SIGNATURES = {DS, MORE, "http://www.w3.org/2009/xmldsig11#"}
_WRITTEN = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


@attrs.frozen(eq=False, kw_only=True)
class Signed:
    """The signed statements of a signature about itself."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]  #: certificates that came with it; they prove nothing by themselves
    at: datetime  #: signing time by the signer's clock, in UTC
    stamps: tuple[TimeStamp, ...] = ()  #: time stamps over the signature value; whether they are trusted is not checked

    @property
    def stamp(self) -> TimeStamp | None:
        """Return the earliest time stamp."""
        return min(self.stamps, key=lambda each: each.at, default=None)


def verify_xades(root: etree._Element, element: etree._Element) -> Signed:
    """Verify the signature *element*, a child of *root*, a tree of `parse_safe_xml`. Return its statements.

    Raises Unverified: `algorithm-refused`, `signature-invalid`, `signature-incomplete` (less than XAdES-B requires, or
    more than XAdES-T allows), and what `verify_time_stamp` raises.
    """
    if element.getparent() is not root or root.getparent() is not None:
        raise Unverified("signature-invalid", phrase("the Signature is not a child of the root"))
    signature = xmldsig.read_signature(element, dialect=DIALECT)
    _require_plain(signature.key_info)
    properties, unsigned = _find_properties(signature)
    document, others = _read_references(signature)
    ids = wss_tokens.count_ids(root)
    places = wss_tokens.index_ids((properties, signature.key_info))
    covered = [(each, wss_tokens.find_id_bearer(each.uri, places, ids)) for each in others]
    if [found for _, found in covered].count(properties) != 1 or len({found for _, found in covered}) != len(covered):
        raise Unverified(
            "signature-incomplete", phrase("SignedProperties must be signed, and nothing may be signed twice")
        )
    certificate, chain = _find_signing_certificate(properties, wss_tokens.list_shown_certificates(signature.key_info))
    signature.check(certificate)
    xmldsig.require_short_prefix_lists([(document, root), *covered])
    document.check(root, element)
    for reference, found in covered:
        reference.check(found)
    stamps = () if unsigned is None else _read_stamps(unsigned, signature.value_element)
    return Signed(certificate=certificate, chain=chain, at=_read_signing_time(properties), stamps=stamps)


def _require_plain(key_info: etree._Element) -> None:
    """Refuse foreign elements in KeyInfo, which need not be signed: some readers search the whole document."""
    for each in key_info.iter("*"):
        if etree.QName(each).namespace not in _OF_SIGNATURES:
            raise Unverified("signature-incomplete", phrase("KeyInfo holds {tag}", tag=each.tag[:250]))


def _read_references(signature: Signature) -> tuple[Reference, list[Reference]]:
    """Return the reference to the whole document, and the references by id."""
    whole = [each for each in signature.references if not each.uri]
    others = [each for each in signature.references if each.uri]
    if len(whole) != 1 or not whole[0].enveloped:
        raise Unverified(
            "signature-incomplete", phrase('the whole document must be signed, by one enveloped Reference with URI=""')
        )
    if any(each.enveloped for each in others):
        raise Unverified(
            "signature-invalid", phrase("enveloped-signature in a Reference that does not cover the whole document")
        )
    return whole[0], others


def _find_properties(signature: Signature) -> tuple[etree._Element, etree._Element | None]:
    """Return SignedProperties and UnsignedProperties: the children of QualifyingProperties, the only child of Object."""
    if signature.object is None:
        raise Unverified("signature-incomplete", phrase("no QualifyingProperties: this is XMLDSig, not XAdES"))
    qualifying = _find_only(signature.object, _PROPERTIES)
    if not signature.element.get("Id") or qualifying.get("Target") != f"#{signature.element.get('Id')}":
        raise Unverified("signature-incomplete", phrase("QualifyingProperties/@Target does not name this Signature"))
    unsigned = qualifying[1] if len(qualifying) == 2 and qualifying[1].tag == _UNSIGNED else None
    return _find_only(qualifying, _SIGNED, unsigned), unsigned


def _find_only(parent: etree._Element, tag: str, beside: etree._Element | None = None) -> etree._Element:
    """Return the only child of *parent*, *beside* apart."""
    name, children = tag.rpartition("}")[2], [child for child in parent if child is not beside]
    texts = [parent.text, *(child.tail for child in parent)]
    if [child.tag for child in children] != [tag] or any((text or "").strip(" \t\r\n") for text in texts):
        held = ", ".join(etree.QName(child).localname for child in children)
        told = phrase(
            "{where} must hold {name} and nothing else; it holds {held}",
            where=etree.QName(parent).localname,
            name=name,
            held=held or phrase("nothing"),
        )
        raise Unverified("signature-incomplete", shorten_detail(told, 300))
    return children[0]


def _read_stamps(unsigned: etree._Element, value: etree._Element) -> tuple[TimeStamp, ...]:
    """Return the time stamps in UnsignedProperties over *value*, the SignatureValue (EN 319 132-1, 5.3).

    Each SignatureTimeStamp holds one token; all tokens must be good.
    """
    properties = _find_only(unsigned, _UNSIGNED_OF_SIGNATURE)
    many, texts = len(properties), [properties.text, *(each.tail for each in properties)]
    if not 0 < many <= time_stamps.MOST or any((text or "").strip(" \t\r\n") for text in texts):
        told = phrase(
            "{many} unsigned properties; 1 to {most} time stamps are accepted", many=many, most=time_stamps.MOST
        )
        raise Unverified("signature-incomplete", told)
    named = {_UNSIGNED: {"Id"}, _UNSIGNED_OF_SIGNATURE: {"Id"}, _STAMP: {"Id"}, _TOKEN: {"Id", "Encoding"}}
    named[_FORM_OF_STAMP] = {"Algorithm"}
    found = []
    for each in properties:
        if each.tag != _STAMP:
            told = phrase(
                "{name} is not accepted; the hub takes XAdES-B and XAdES-T", name=str(each.tag).rpartition("}")[2]
            )
            raise Unverified("signature-incomplete", shorten_detail(told, 300))
        method = each[0] if len(each) == 2 and each[0].tag == _FORM_OF_STAMP else None
        token = _find_only(each, _TOKEN, method)
        if token.get("Encoding", min(_ENCODINGS)) not in _ENCODINGS:
            raise Unverified("signature-incomplete", phrase("a time stamp in another encoding than DER"))
        if any(
            {*one.attrib} - named[str(one.tag)] for one in (unsigned, properties, *each.iter("*")) if one.tag in named
        ):
            raise Unverified("signature-incomplete", phrase("a time stamp with an attribute that is not known"))
        form = CanonicalForm(exclusive=False) if method is None else xmldsig.read_canonical_form(method, DIALECT)
        if len(token.text or "") > 2 * time_stamps.LARGEST:
            raise Unverified(
                "stamp-invalid",
                phrase("{size} octets; at most {most}", size=len(token.text or ""), most=2 * time_stamps.LARGEST),
            )
        octets = xmldsig.decode_base64_leaf(token)
        found.append(time_stamps.verify_time_stamp(octets, xmldsig.canonicalize_element(value, form)))
    return tuple(found)


def _of_signature(properties: etree._Element) -> etree._Element:
    found = properties.findall(_OF_SIGNATURE)
    if len(found) != 1:
        raise Unverified("signature-incomplete", f"{len(found)} SignedSignatureProperties")
    return found[0]


def _find_signing_certificate(
    properties: etree._Element, shown: Sequence[bytes]
) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """Return the certificate that SigningCertificate or SigningCertificateV2 names among those *shown*, and the others.

    The first Cert is the signer's (EN 319 132-1, 5.2.2.2). If both properties are present, both must name it.
    """
    named = [each for each in _of_signature(properties) if each.tag in _NAMES_OF_CERTIFICATE]
    if not named or len({each.tag for each in named}) != len(named):
        raise Unverified("signature-incomplete", phrase("one SigningCertificateV2, or SigningCertificate, is needed"))
    candidates = list(dict.fromkeys(shown))
    for each in named:
        first = next(each.iterchildren("*"), None)
        digests = [] if first is None or first.tag != _CERT else first.findall(_CERT_DIGEST)
        if len(digests) != 1:
            raise Unverified(
                "signature-incomplete",
                phrase("{localname} without Cert/CertDigest", localname=etree.QName(each).localname),
            )
        candidates = [octets for octets in candidates if _is_named(octets, digests[0])]
    if not candidates:
        raise Unverified("signature-invalid", phrase("SigningCertificate names none of the certificates in KeyInfo"))
    others = [octets for octets in shown if octets != candidates[0]]
    try:
        return load_der(candidates[0]), tuple(load_der(octets) for octets in dict.fromkeys(others))
    except ValueError as error:
        raise Unverified(
            "signature-invalid", phrase("a certificate of KeyInfo cannot be read: {error}", error=str(error))
        ) from None


def _is_named(octets: bytes, digest: etree._Element) -> bool:
    children = list(digest)
    if [child.tag for child in children] != [f"{{{DS}}}DigestMethod", f"{{{DS}}}DigestValue"]:
        raise Unverified("signature-incomplete", phrase("CertDigest must hold DigestMethod and DigestValue"))
    name = children[0].get("Algorithm", "")
    if name not in DIGESTS:
        raise Unverified("algorithm-refused", f"SigningCertificate: DigestMethod {name[:200]}")
    return hmac.compare_digest(DIGESTS[name](octets).digest(), xmldsig.decode_base64_leaf(children[1]))


def _read_signing_time(properties: etree._Element) -> datetime:
    found = _of_signature(properties).findall(_TIME)
    text = (found[0].text or "").strip(" \t\r\n") if len(found) == 1 and not len(found[0]) else ""
    if _WRITTEN.fullmatch(text) is not None:
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):  # 30 February, or a time before the year 1
            pass
    raise Unverified(
        "signature-incomplete", phrase("SigningTime is not exactly one time with a zone: {text}", text=repr(text[:50]))
    )
