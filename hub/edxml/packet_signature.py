"""Classifies the signature inside a packet. Knows enveloped XMLDSig in an edXML packet. Does not know SOAP or policies.

A signature counts only if it covers the whole packet except itself, and was made with one of the certificates
configured for the partner that sends it. KeyInfo only selects one of them. A signature over a part of the packet does
not count, because it states nothing about the packet.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from lxml import etree

from hub.domain.model import Detail, PacketSignature, RevocationRule, SignatureStanding
from hub.edxml.schema import QCVN
from hub.formats import safe_xml, streamed_xml
from hub.formats.spool import Octets
from hub.formats.streamed_xml import Loads
from hub.language.phrases import phrase
from hub.security import wss_tokens, xmldsig
from hub.security.algorithms import DS, Unverified
from hub.security.anchors import Anchors, Purpose, Untrusted
from hub.security.certificates import hash_certificate
from hub.security.xmldsig import EXCLUSIVE, Dialect

#: By default .NET writes [enveloped-signature] alone.
PLAIN = Dialect(bare=True)
#: The observed VXP form: without prefix, so in the packet's namespace, and exclusive C14N under a URI of no standard.
VXP = Dialect(QCVN, {"http://www.w3.org/TR/xml-exc-c14n#": EXCLUSIVE}, bare=True)

_OVER = {"certificate-expired", "certificate-revoked"}


def judge_packet_signature(
    root: etree._Element,
    octets: Octets,
    certificates: Sequence[x509.Certificate],
    anchors: Anchors,
    now: datetime,
    *,
    sha1: bool = False,
    vxp: bool = False,
    unknown: RevocationRule = RevocationRule.CONFIGURED,
    loads: Loads = streamed_xml.NONE,
) -> PacketSignature:
    """Return the standing of the packet's own signature at *now*.

    *root* is the tree of `parse_safe_xml` for *octets*. It stays unchanged except for prefixes. *loads* are the texts
    that were left out of it.

    *valid*: it verifies with one of *certificates*, which leads to *anchors*. *invalid*: it can be checked and fails,
    or its certificate has expired or is revoked. *unsigned*: there is no signature that counts. *unverifiable*:
    everything else, such as a form that is not supported, a dummy, an unknown certificate, a comment or CDATA section,
    SHA-1 without *sha1*, the VXP form without *vxp*, or a revocation status that is unknown and refused according to
    *unknown* (`Anchors.check`). Raises nothing.
    """
    found = xmldsig.find_claimed_signatures(root)
    if not found:
        return PacketSignature(standing=SignatureStanding.UNSIGNED)
    if len(found) > 1:
        return _make_unverifiable("signature-invalid", phrase("the packet holds {count} signatures", count=len(found)))
    (element,) = found
    if element.tag == f"{{{DS}}}Signature":
        return _judge_signature_element(
            root, octets, element, PLAIN, certificates, anchors, now, sha1=sha1, unknown=unknown, loads=loads
        )
    if element.tag == f"{{{QCVN}}}Signature" and vxp:
        return _judge_signature_element(
            root, octets, element, VXP, certificates, anchors, now, sha1=sha1, unknown=unknown, loads=loads
        )
    if element.tag == f"{{{QCVN}}}Signature":
        return _make_unverifiable(
            "algorithm-refused", phrase("the observed VXP form, which is checked only with vxp-signature=yes")
        )
    return _make_unverifiable("signature-invalid", phrase("not an XML signature: {tag}", tag=element.tag[:270]))


def _classify_flaw(error: Unverified | Untrusted) -> SignatureStanding:
    """Return the standing of a signature that *error* refuses: is it invalid, or can nobody say?"""
    invalid = {"signature-invalid"} if isinstance(error, Unverified) else _OVER
    return SignatureStanding.INVALID if error.problems[0].code in invalid else SignatureStanding.UNVERIFIABLE


def _judge_signature_element(
    root: etree._Element,
    octets: Octets,
    element: etree._Element,
    dialect: Dialect,
    certificates: Sequence[x509.Certificate],
    anchors: Anchors,
    now: datetime,
    *,
    sha1: bool,
    unknown: RevocationRule,
    loads: Loads,
) -> PacketSignature:
    try:
        _require_room(element)
        signature = xmldsig.read_signature(element, sha1=sha1, dialect=dialect)
        if uris := _list_other_references(root, signature):
            return PacketSignature(
                standing=SignatureStanding.UNSIGNED,
                code="signature-covers-too-little",
                detail=phrase("it signs {names}, not the whole packet", names=", ".join(uris)[:200]),
            )
        (reference,) = signature.references
        certificate = _find_signer(wss_tokens.list_shown_certificates(signature.key_info, dialect.space), certificates)
    except Unverified as error:
        return _make_unverifiable(error.problems[0].code, error.problems[0].detail)
    standing, code = SignatureStanding.VALID, ""
    detail: Detail = ""
    try:
        signature.check(certificate)
        reference.check_document(root, element, loads)
        anchors.check(certificate, now, purpose=Purpose.SIGN, unknown=unknown)
        if safe_xml.may_hold_comment_or_cdata(
            octets.pieces()
        ):  # anyone may have inserted it, and other readers may stop at it
            return _make_unverifiable(
                "signature-invalid",
                phrase("the packet holds a comment or a CDATA section, which no canonical form here covers"),
            )
    except (Unverified, Untrusted) as error:
        code, detail = error.problems[0].code, error.problems[0].detail
        standing = _classify_flaw(error)
    return PacketSignature(
        standing=standing,
        code=code,
        detail=detail,
        certificate=hash_certificate(certificate),
        sha1=signature.sha1,
        vxp=dialect is VXP,
    )


def _require_room(element: etree._Element) -> None:
    """Refuse a signature in the middle of a text.

    Without the signature the signed text would be intact, but readers see only half of it.
    """
    parent = element.getparent()
    around = [] if parent is None else [parent.text, *(child.tail for child in parent)]
    if parent is None or any((text or "").strip(" \t\r\n") for text in around):
        raise Unverified("signature-invalid", phrase("the Signature is inside a text"))


def _list_other_references(root: etree._Element, signature: xmldsig.Signature) -> list[str]:
    """Return the URIs that are signed instead of the packet.

    Return none for one enveloped Reference to the whole packet. Raises Unverified.
    """
    uris = [reference.uri for reference in signature.references]
    if uris == [""] and signature.references[0].enveloped:
        return []
    if "" in uris or f"#{root.get('Id', '')}" in uris:
        raise Unverified(
            "signature-invalid", phrase('the packet must be signed by one enveloped Reference with URI=""')
        )
    return uris


def _find_signer(shown: Sequence[bytes], certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    for octets in shown:
        for certificate in wss_tokens.filter_by_octets(octets, certificates):
            return certificate
    raise Unverified("certificate-unknown", phrase("the certificate is not registered for this partner"))


def _make_unverifiable(code: str, detail: Detail) -> PacketSignature:
    return PacketSignature(standing=SignatureStanding.UNVERIFIABLE, code=code, detail=detail)
