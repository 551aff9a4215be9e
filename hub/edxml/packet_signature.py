"""The signature a packet carries in itself, classified.  Knows XMLDSig enveloped in an edXML packet; nothing of SOAP or of policies.

A signature here is worth something only if it covers the whole packet but itself, and was made with one of the certificates that
are configured for the partner who brings it.  What KeyInfo shows only picks among those.  A signature that signs a part of the
packet does not count: what it says is not about the packet.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from lxml import etree

from hub.domain.model import PacketSignature, SignatureStanding
from hub.edxml.schema import QCVN
from hub.formats import safe_xml, streamed_xml
from hub.formats.spool import Octets
from hub.formats.streamed_xml import Loads
from hub.security import wss_tokens, xmldsig
from hub.security.algorithms import DS, Unverified
from hub.security.certificates import CONFIGURED, SIGN, Anchors, Untrusted, certificate_fingerprint
from hub.security.xmldsig import EXCLUSIVE, Dialect

#: [enveloped-signature] alone is what .NET writes by default.
PLAIN = Dialect(bare=True)
#: The observed VXP form: unprefixed, so in the packet's namespace; an exclusive C14N under a URI that no standard has.
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
    unknown: str = CONFIGURED,
    loads: Loads = streamed_xml.NONE,
) -> PacketSignature:
    """Return what the packet's own signature is worth at *now*.

    *root* is the tree that `parse_safe_xml` made of *octets*; it stays as it is, but for prefixes.

    *loads* are the texts that were taken out of it.

    *valid*: it verifies with one of *certificates*, which leads to *anchors*.  *invalid*: it can be checked, and fails; or its
    certificate was expired or revoked.  *unsigned*: there is none that counts.  *unverifiable*: all else, such as a form that is
    not checked, a dummy, an unknown certificate, a comment or CDATA section, SHA-1 without *sha1*, the VXP form without *vxp*, or
    a revocation status that cannot be learned, as *unknown* says (`Anchors.check`).  Raises nothing.
    """
    found = xmldsig.find_claimed_signatures(root)
    if not found:
        return PacketSignature(standing=SignatureStanding.UNSIGNED)
    if len(found) > 1:
        return _unverifiable("signature-invalid", f"the packet holds {len(found)} signatures")
    (element,) = found
    if element.tag == f"{{{DS}}}Signature":
        return _judge(root, octets, element, PLAIN, certificates, anchors, now, sha1=sha1, unknown=unknown, loads=loads)
    if element.tag == f"{{{QCVN}}}Signature" and vxp:
        return _judge(root, octets, element, VXP, certificates, anchors, now, sha1=sha1, unknown=unknown, loads=loads)
    if element.tag == f"{{{QCVN}}}Signature":
        return _unverifiable("algorithm-refused", "the observed VXP form; vxp-signature=yes would check it")
    return _unverifiable("signature-invalid", f"not an XML signature: {element.tag}"[:300])


def _judge(
    root: etree._Element,
    octets: Octets,
    element: etree._Element,
    dialect: Dialect,
    certificates: Sequence[x509.Certificate],
    anchors: Anchors,
    now: datetime,
    *,
    sha1: bool,
    unknown: str,
    loads: Loads,
) -> PacketSignature:
    try:
        _require_room(element)
        signature = xmldsig.read_signature(element, sha1=sha1, dialect=dialect)
        if uris := _elsewhere(root, signature):
            detail = f"it signs {', '.join(uris)[:200]}, not the packet"
            return PacketSignature(
                standing=SignatureStanding.UNSIGNED, code="signature-covers-too-little", detail=detail
            )
        (reference,) = signature.references
        certificate = _signer(wss_tokens.list_shown_certificates(signature.key_info, dialect.space), certificates)
    except Unverified as error:
        return _unverifiable(error.problems[0].code, error.problems[0].detail)
    standing, code, detail = SignatureStanding.VALID, "", ""
    try:
        signature.check(certificate)
        reference.check_document(root, element, loads)
        anchors.check(certificate, now, purpose=SIGN, unknown=unknown)
        if safe_xml.may_hold_comment_or_cdata(
            octets.pieces()
        ):  # anyone may have put it there; other readers may stop at it
            detail = "the packet holds a comment or a CDATA section, which no canonical form here covers"
            return _unverifiable("signature-invalid", detail)
    except Unverified as error:
        code, detail = error.problems[0].code, error.problems[0].detail
        standing = SignatureStanding.INVALID if code == "signature-invalid" else SignatureStanding.UNVERIFIABLE
    except Untrusted as error:
        code, detail = error.problems[0].code, error.problems[0].detail
        standing = SignatureStanding.INVALID if code in _OVER else SignatureStanding.UNVERIFIABLE
    return PacketSignature(
        standing=standing,
        code=code,
        detail=detail,
        certificate=certificate_fingerprint(certificate),
        sha1=signature.sha1,
        vxp=dialect is VXP,
    )


def _require_room(element: etree._Element) -> None:
    """Refuse a signature in the midst of a text: taken out it would leave the text that was signed, and readers see half of it."""
    parent = element.getparent()
    around = [] if parent is None else [parent.text, *(child.tail for child in parent)]
    if parent is None or any((text or "").strip(" \t\r\n") for text in around):
        raise Unverified("signature-invalid", "the Signature stands inside a text")


def _elsewhere(root: etree._Element, signature: xmldsig.Signature) -> list[str]:
    """Return what is signed instead of the packet; nothing for one enveloped Reference to all of it.  Raises Unverified."""
    uris = [reference.uri for reference in signature.references]
    if uris == [""] and signature.references[0].enveloped:
        return []
    if "" in uris or f"#{root.get('Id', '')}" in uris:
        raise Unverified("signature-invalid", 'the packet is signed by one enveloped Reference with URI=""')
    return uris


def _signer(shown: Sequence[bytes], certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    for octets in shown:
        for certificate in wss_tokens.with_octets(octets, certificates):
            return certificate
    raise Unverified("certificate-unknown", "the certificate is not one registered for this partner")


def _unverifiable(code: str, detail: str) -> PacketSignature:
    return PacketSignature(standing=SignatureStanding.UNVERIFIABLE, code=code, detail=detail)
