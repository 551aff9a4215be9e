"""Packets' own signatures: one that is valid is valid for xmlsec and signxml, covers all of the packet, and leaves its tree as it was."""

import base64
import hashlib
from collections.abc import Iterator

from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import PacketSignature, SignatureStanding
from hub.edxml import packet_signature
from hub.formats import safe_xml
from hub.formats.spool import Octets
from tests.fuzz import resigning
from tests.fuzz.identities import ANCHORS, PARTNER, STRANGER
from tests.fuzz.signature import by_signxml, by_xmlsec
from tests.fuzz.told import gist, tell
from tests.packets import ENVELOPED_STEP, VXP_C14N, Seal, document, vxp
from tests.pki import NOW
from tests.signatures import DS, EXCLUSIVE, INCLUSIVE, c14n

LONGEST = 8192
WORDS = (
    *(
        "",
        "#",
        "#S",
        EXCLUSIVE,
        INCLUSIVE,
        f"{DS}enveloped-signature",
        VXP_C14N,
        f"{DS}rsa-sha1",
        f"{DS}sha1",
        f"{DS}base64",
    ),
    *(PARTNER.token, STRANGER.token, "H55.01", "edXML", "s"),
)


trees = resigning.trees(WORDS)
change, cross = trees.change, trees.cross


def seeds() -> Iterator[bytes]:
    yield Seal().signed(PARTNER)
    yield Seal(transforms=ENVELOPED_STEP).signed(PARTNER)
    yield Seal(transforms=ENVELOPED_STEP + c14n(INCLUSIVE), before="</edXML>").signed(PARTNER)
    yield Seal(
        transforms=ENVELOPED_STEP + c14n(prefixes="edXML #default"), method=f"{DS}rsa-sha1", digest=f"{DS}sha1"
    ).signed(PARTNER)
    yield Seal().signed(STRANGER)
    yield vxp(PARTNER)
    yield vxp(PARTNER, bare=True, sha1=False)
    yield document()


def _said(root: etree._Element) -> list[object]:
    """Return what a tree says, but for prefixes."""
    return [(each.tag, sorted(each.items()), each.text or "", each.tail or "", len(each)) for each in root.iter("*")]


def judge(content: bytes) -> None:
    try:
        root = safe_xml.parse_safe_xml(content)
    except Rejected:
        return
    before = _said(root)
    strict = packet_signature.judge_packet_signature(root, Octets.of(content), [PARTNER.certificate], ANCHORS, NOW)
    assert _said(root) == before, "judging changed the tree"
    # On a tree of its own: taken out and put back, a signature may have got another prefix, and then its value is another.
    lenient = packet_signature.judge_packet_signature(
        safe_xml.parse_safe_xml(content), Octets.of(content), [PARTNER.certificate], ANCHORS, NOW, sha1=True, vxp=True
    )
    if strict.standing is SignatureStanding.VALID:
        assert lenient.standing is SignatureStanding.VALID
        assert (strict.sha1, strict.vxp) == (False, False)
    for found in (strict, lenient):
        tell(found.standing, found.code, gist(str(found.detail)), found.sha1, found.vxp)
        if found.standing is SignatureStanding.VALID:
            assert_whole(content, found)


def assert_whole(content: bytes, found: PacketSignature) -> None:
    """Fail unless other judges call the signature valid, and it is over everything but itself."""
    root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, collect_ids=False, remove_comments=True))
    (element,) = [each for each in root.iter("{*}Signature") if len(each)]
    without = _without(root, element)
    value = element.findtext("{*}SignedInfo/{*}Reference/{*}DigestValue") or ""
    digests = set()
    for exclusive in (True, False):
        listed = element.find(f"{{*}}SignedInfo/{{*}}Reference//{{{EXCLUSIVE}}}InclusiveNamespaces")
        prefixes = [] if listed is None else listed.get("PrefixList", "").split()
        octets = etree.tostring(without, method="c14n", exclusive=exclusive, inclusive_ns_prefixes=prefixes or None)
        digests |= {hashlib.new(name, octets).digest() for name in ("sha1", "sha256", "sha384", "sha512")}
    assert base64.b64decode(value) in digests, "the signature does not cover the whole packet"
    if not found.vxp:
        assert by_xmlsec(content), "xmlsec does not accept it"
        signed, unlike = by_signxml(content)
        assert signed is not None or unlike or found.sha1, "signxml does not accept it"


def _without(root: etree._Element, element: etree._Element) -> etree._Element:
    """Return the document written without the text of *element*, parsed again."""
    parent = element.getparent()
    assert parent is not None
    marker = etree.Element("fuzz-marker")
    marker.tail = element.tail
    parent.replace(element, marker)
    text = etree.tostring(root, encoding="UTF-8")  # in ASCII a name would become a character reference, and so no name
    return etree.fromstring(text.replace(b"<fuzz-marker/>", b""), etree.XMLParser(collect_ids=False))
