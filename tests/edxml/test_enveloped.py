"""What a packet's own signature is worth: valid, invalid, unsigned or unverifiable, by three judges."""

import base64
import copy
from datetime import timedelta

import attrs
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import SignatureStanding
from hub.edxml import packet, packet_signature
from hub.formats import safe_xml
from hub.formats.spool import Octets
from hub.security import signing
from hub.security.anchors import Anchors
from hub.security.certificates import Identity
from lienthong_demo.plan.packets import Variation
from tests import pki, samples
from tests.examples import at_most
from tests.packets import ENVELOPED_STEP, QCVN, VXP_C14N, Seal, document, vxp, x509_data
from tests.pki import NOW
from tests.signatures import DS, INCLUSIVE, by_signxml, by_xmlsec, c14n, forge, plain, shuffled

CA = pki.authority()
ANCHORS = Anchors([CA.certificate])
PARTNER, OTHER, EC = pki.partner(), pki.partner("vpub"), pki.partner("ec", "p256")
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
HONEST = Seal().signed(PARTNER)
VALID, INVALID, UNSIGNED, UNVERIFIABLE = SignatureStanding
GOOD, BAD = "valid", "invalid"

_CLOSED = "the form is standard, and outside our closed list"
_PURPOSE = "they verify a signature; what it should cover is not theirs to know"
_PARTNER = "they are given the key; whose it should be is not theirs to know"


@attrs.frozen
class Vector:
    """One packet, and what each judge says of it."""

    name: str
    content: bytes
    ours: SignatureStanding
    signxml: str = GOOD
    xmlsec: str = GOOD
    code: str = ""
    why: str = ""  #: required where the judges differ
    signer: Identity = PARTNER
    sha1: bool = False
    vxp: bool = False


def judged(content, *identities, anchors=ANCHORS, now=NOW, **tolerated):
    certificates = pki.signing(identities or [PARTNER])
    return packet_signature.judge_packet_signature(
        safe_xml.parse_safe_xml(content), Octets.of(content), certificates, anchors, now, **tolerated
    )


def replaced(old, new, content=HONEST):
    assert old.encode() in content, old
    return content.replace(old.encode(), new.encode(), 1)


def changed(change, content=HONEST):
    root = plain(content)
    change(root)
    return etree.tostring(root, encoding="UTF-8")


def find(root, name):
    found = root.find(f".//{{*}}{name}")
    assert found is not None, name
    return found


def partial(uri="#part"):
    """A true signature over the attachments alone."""
    source = document().replace(b"<AttachmentEncoded>", b'<AttachmentEncoded Id="part">')
    return Seal(uri=uri, transforms=c14n()).signed(PARTNER, source)


def wrapped_whole():
    """The signed packet whole inside another one, where a careless reader looks first."""
    outer = plain(document("tep khac"))
    find(outer, "edXMLHeader").append(plain(HONEST))
    return etree.tostring(outer, encoding="UTF-8")


def transplanted():
    """The signature of one packet in another."""
    other = plain(document("tep khac"))
    find(other, "edXMLHeader").append(find(plain(HONEST), "Signature"))
    return etree.tostring(other, encoding="UTF-8")


def other_attachment(content=HONEST):
    octets = base64.b64encode(b"tep khac").decode()
    return changed(lambda root: setattr(find(root, "ContentTransferEncoded"), "text", octets), content)


def moved_attachment():
    return changed(lambda root: find(root, "edXMLBody").append(find(root, "AttachmentEncoded")))


def twice():
    return changed(lambda root: find(root, "Signature").addnext(copy.deepcopy(find(root, "Signature"))))


def halved():
    def change(root):
        subject, moved = find(root, "Subject"), find(root, "Signature")
        subject.text, moved.tail = subject.text[:3], subject.text[3:]
        subject.append(moved)

    return changed(change)


def in_object():
    return changed(lambda root: etree.SubElement(find(root, "Signature"), f"{{{DS}}}Object").append(etree.Element("x")))


def other_namespace():
    return HONEST.replace(f'xmlns:ds="{DS}"'.encode(), b'xmlns:ds="urn:not-xmldsig"')


XSLT = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><x:stylesheet version="1.0"'
    ' xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template match="/"><a/></x:template></x:stylesheet></ds:Transform>'
)
XPATH = '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>self::text()</ds:XPath></ds:Transform>'
XSLTED = changed(
    lambda root: root.find(f".//{{{DS}}}Transforms").insert(
        1, plain(XSLT.replace("<ds:Transform ", f'<ds:Transform xmlns:ds="{DS}" ').encode())
    )
)
NAME = "<ds:X509SubjectName>CN=x</ds:X509SubjectName>"
CHAIN = f"{x509_data(PARTNER)[:-14]}<ds:X509Certificate>{CA.identity.token}</ds:X509Certificate></ds:X509Data>"
KEY_VALUE = "<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>AQAB</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>"

# fmt: off

FORMS = [
    Vector("the plain form", HONEST, VALID),
    Vector("ours", signing.sign_packet(document(), PARTNER), VALID),
    Vector("ours, P-256", signing.sign_packet(document(), EC), VALID, signer=EC),
    Vector("[enveloped-signature] alone, as .NET writes it", Seal(transforms=ENVELOPED_STEP, signed_info=c14n(INCLUSIVE,
        tag="CanonicalizationMethod")).signed(PARTNER), VALID),
    Vector("inclusive C14N", Seal(transforms=ENVELOPED_STEP + c14n(INCLUSIVE)).signed(PARTNER), VALID),
    Vector("a PrefixList", Seal(transforms=ENVELOPED_STEP + c14n(prefixes="edXML #default absent")).signed(PARTNER), VALID),
    Vector("at the end of the packet", Seal(before="</edXML>").signed(PARTNER), VALID),
    Vector("in the envelope, before the header's end", Seal(before="<edXML:TraceHeaderList>").signed(PARTNER), VALID),
    Vector("white space around", Seal(before="\n</edXML:edXMLEnvelope>").signed(PARTNER,
        document().replace(b"</edXML:edXMLEnvelope>", b"\n\n</edXML:edXMLEnvelope>")), VALID),
    Vector("the name of the certificate", Seal(key_info=x509_data(PARTNER, NAME)).signed(PARTNER), VALID),
    Vector("a chain", Seal(key_info=CHAIN).signed(PARTNER), VALID),
    Vector("a KeyValue beside it, which nobody looks at", Seal(key_info=KEY_VALUE + x509_data(PARTNER)).signed(PARTNER), VALID,
        BAD, why="signxml wants the two to agree"),
    Vector("an empty DigitalSignature beside it", Seal().signed(PARTNER, document(variation=Variation(signature="empty"))), VALID),
    Vector("RSA-SHA512 and SHA-512", Seal(method=f"{MORE}rsa-sha512",
        digest="http://www.w3.org/2001/04/xmlenc#sha512").signed(PARTNER), VALID),
    Vector("SHA-1 where it is tolerated", Seal(method=f"{DS}rsa-sha1", digest=f"{DS}sha1").signed(PARTNER), VALID, BAD,
        why="signxml has SHA-1 off by default", sha1=True),
    Vector("the observed VXP form where it is tolerated", vxp(PARTNER), VALID, BAD, BAD,
        why="they find no signature outside its own namespace", sha1=True, vxp=True),
    Vector("the VXP form without SHA-1", vxp(PARTNER, sha1=False), VALID, BAD, BAD, why="as before", vxp=True),
    Vector("the VXP form with the standard URI", vxp(PARTNER, c14n_uri="http://www.w3.org/2001/10/xml-exc-c14n#"), VALID, BAD, BAD,
        why="as before", sha1=True, vxp=True),
    Vector("the VXP form, [enveloped-signature] alone", vxp(PARTNER, bare=True), VALID, BAD, BAD, why="as before", sha1=True, vxp=True),
    Vector("another prefix declared inside the Signature", replaced("<ds:KeyInfo>", '<ds:KeyInfo xmlns:more="urn:more">'), VALID),
]

FAILING = [
    Vector("another attachment", other_attachment(), INVALID, BAD, BAD, "signature-invalid"),
    Vector("another attachment, ours", other_attachment(signing.sign_packet(document(), PARTNER)), INVALID, BAD, BAD, "signature-invalid"),
    Vector("another attachment, VXP form", other_attachment(vxp(PARTNER)), INVALID, BAD, BAD, "signature-invalid", sha1=True, vxp=True),
    Vector("the attachments moved", moved_attachment(), INVALID, BAD, BAD, "signature-invalid"),
    Vector("another subject", replaced("V/v kết nối", "V/v khác"), INVALID, BAD, BAD, "signature-invalid"),
    Vector("one element more", replaced("<edXML:edXMLBody>", "<edXML:x/><edXML:edXMLBody>"), INVALID, BAD, BAD, "signature-invalid"),
    Vector("one space more", replaced("<edXML:edXMLBody>", " <edXML:edXMLBody>"), INVALID, BAD, BAD, "signature-invalid"),
    Vector("a text after the Signature", replaced("</ds:Signature>", "</ds:Signature> "), INVALID, BAD, BAD, "signature-invalid"),
    Vector("another signature's value", changed(lambda root: setattr(find(root, "SignatureValue"), "text",
        find(plain(Seal().signed(PARTNER, document("x"))), "SignatureValue").text)), INVALID, BAD, BAD, "signature-invalid"),
    Vector("another packet's signature", transplanted(), INVALID, BAD, BAD, "signature-invalid"),
    Vector("the signed packet inside another", wrapped_whole(), INVALID, BAD, BAD, "signature-invalid"),
    Vector("the VXP form made standard", vxp(PARTNER, sha1=False, c14n_uri="http://www.w3.org/2001/10/xml-exc-c14n#").replace(
        b"<Signature>", f'<Signature xmlns="{DS}">'.encode()), INVALID, BAD, BAD, "signature-invalid"),
    Vector("the value of another key that KeyInfo does not name", forge(HONEST, OTHER), INVALID, BAD, BAD, "signature-invalid"),
    Vector("a digest of nothing", forge(changed(lambda root: setattr(find(root, "DigestValue"), "text",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")), PARTNER), INVALID, BAD, BAD, "signature-invalid"),
    Vector("a relative namespace URI", replaced("<edXML:edXMLBody>", '<edXML:edXMLBody xmlns:v="relative">'), INVALID, BAD, BAD,
        "signature-invalid"),
]

NOT_COUNTED = [
    Vector("no signature", document(), UNSIGNED, BAD, BAD),
    Vector("an empty DigitalSignature", document(variation=Variation(signature="empty")), UNSIGNED, BAD, BAD),
    Vector("an empty Signature", replaced("</edXML:edXMLHeader>", "<Signature> </Signature></edXML:edXMLHeader>", document()), UNSIGNED,
        BAD, BAD),
    Vector("a true signature over the attachments alone", partial(), UNSIGNED, code="signature-covers-too-little", why=_PURPOSE),
]

_COMMENTS = "no canonical form without comments covers one: whoever stands between can put it anywhere, and readers may stop at it"
_CDATA = "a canonical form has its text alone: whoever stands between can put it anywhere, and readers may take it for another text"

NOT_CHECKED = [
    Vector("a comment in the packet", replaced("<edXML:edXMLBody>", "<!--x--><edXML:edXMLBody>"), UNVERIFIABLE, code="signature-invalid",
        why=_COMMENTS),
    Vector("a comment in a value", replaced("V/v kết nối", "V/v <!--x-->kết nối"), UNVERIFIABLE, code="signature-invalid", why=_COMMENTS),
    Vector("a comment in DigestValue", changed(lambda root: find(root, "DigestValue").insert(0, etree.Comment("x"))), UNVERIFIABLE,
        code="signature-invalid", why=_COMMENTS),
    Vector("a comment behind the packet", HONEST + b"<!--x-->", UNVERIFIABLE, code="signature-invalid", why=_COMMENTS),
    Vector("a comment in a packet of UTF-16", replaced("V/v kết nối", "V/v <!--x-->kết nối").decode().replace("UTF-8", "UTF-16").encode(
        "UTF-16"), UNVERIFIABLE, code="signature-invalid", why=_COMMENTS),
    Vector("CDATA in a value", replaced("V/v kết nối", "V/v <![CDATA[kết]]> nối"), UNVERIFIABLE, code="signature-invalid", why=_CDATA),
    Vector("an empty CDATA section in a value", replaced("V/v kết nối", "V/v <![CDATA[]]>kết nối"), UNVERIFIABLE, code="signature-invalid",
        why=_CDATA),
    Vector("CDATA in a packet of UTF-16", replaced("V/v kết nối", "V/v <![CDATA[kết]]> nối").decode().replace("UTF-8", "UTF-16").encode(
        "UTF-16"), UNVERIFIABLE, code="signature-invalid", why=_CDATA),
    Vector("CDATA in DigestValue", replaced("</ds:DigestValue>", "<![CDATA[]]></ds:DigestValue>"), UNVERIFIABLE, code="signature-invalid",
        why=_CDATA),
    Vector("a text in the Signature, which nobody signed", replaced("<ds:KeyInfo>", "x<ds:KeyInfo>"), UNVERIFIABLE, BAD,
        code="signature-invalid", why="xmlsec looks at elements alone"),
    Vector("the VXP form without its switch", vxp(PARTNER), UNVERIFIABLE, BAD, BAD, "algorithm-refused", sha1=True),
    Vector("the VXP form with its switch, SHA-1 without", vxp(PARTNER), UNVERIFIABLE, BAD, BAD, "algorithm-refused", vxp=True),
    Vector("the VXP form's URI in the standard namespace", replaced("http://www.w3.org/2001/10/xml-exc-c14n#", VXP_C14N), UNVERIFIABLE,
        BAD, BAD, "algorithm-refused", vxp=True),
    Vector("a dummy in the packet's namespace", document(variation=Variation(signature="dummy")), UNVERIFIABLE, BAD, BAD,
        "signature-invalid", vxp=True, sha1=True),
    Vector("a dummy in its own", document(variation=Variation(signature="xmldsig")), UNVERIFIABLE, BAD, BAD, "signature-invalid"),
    Vector("another namespace", other_namespace(), UNVERIFIABLE, BAD, BAD, "signature-invalid"),
    Vector("a text for a signature", replaced("</edXML:edXMLHeader>", "<Signature>ky</Signature></edXML:edXMLHeader>", document()),
        UNVERIFIABLE, BAD, BAD, "signature-invalid", vxp=True),
    Vector("the signature twice", twice(), UNVERIFIABLE, BAD, BAD, "signature-invalid"),
    Vector("SHA-1 where it is not tolerated", Seal(method=f"{DS}rsa-sha1", digest=f"{DS}sha1").signed(PARTNER), UNVERIFIABLE, BAD, GOOD,
        "algorithm-refused", why=_CLOSED),
    Vector("a SHA-1 digest alone", Seal(digest=f"{DS}sha1").signed(PARTNER), UNVERIFIABLE, BAD, GOOD, "algorithm-refused", why=_CLOSED),
    Vector("XPath", Seal(transforms=ENVELOPED_STEP + XPATH + c14n()).signed(PARTNER), UNVERIFIABLE, BAD, GOOD, "algorithm-refused",
        why=_CLOSED),
    Vector("XPath in the stead of enveloped-signature", Seal(transforms=XPATH + c14n()).signed(PARTNER), UNVERIFIABLE, BAD, BAD,
        "algorithm-refused"),
    Vector("XSLT", XSLTED, UNVERIFIABLE, BAD, BAD, "algorithm-refused"),
    Vector("two References to all of it", Seal(references=2).signed(PARTNER), UNVERIFIABLE, code="signature-invalid", why=_CLOSED),
    Vector("in the midst of a text, which a reader would see half of", halved(), UNVERIFIABLE, BAD, code="signature-invalid",
        why="xmlsec takes it out and joins the text; signxml takes the text behind it for a part of it"),
    Vector("an Object", in_object(), UNVERIFIABLE, code="signature-invalid", why=_CLOSED),
    Vector("the root by its id", Seal(uri="#all").signed(PARTNER, document().replace(b"<edXML ", b'<edXML Id="all" ')), UNVERIFIABLE,
        code="signature-invalid", why=_CLOSED),
    Vector("another partner's certificate", Seal().signed(OTHER), UNVERIFIABLE, BAD, BAD, "certificate-unknown"),
    Vector("another partner's certificate, our key", Seal(key_info=x509_data(OTHER)).signed(PARTNER), UNVERIFIABLE,
        code="certificate-unknown", why=_PARTNER),
    Vector("a KeyValue alone", Seal(key_info=KEY_VALUE).signed(PARTNER), UNVERIFIABLE, BAD, code="signature-invalid", why=_PARTNER),
    Vector("a key by name", Seal(key_info="<ds:KeyName>k</ds:KeyName>").signed(PARTNER), UNVERIFIABLE, code="signature-invalid",
        why=_PARTNER),
    Vector("a certificate from elsewhere", Seal(key_info='<ds:RetrievalMethod URI="http://127.0.0.1/"/>' + x509_data(PARTNER)).signed(
        PARTNER), UNVERIFIABLE, code="signature-invalid", why=_PARTNER),
    Vector("HMAC", replaced("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", f"{MORE}hmac-sha256"), UNVERIFIABLE, BAD, BAD,
        "algorithm-refused"),
    Vector("an RSA key of 1024 bits", Seal().signed(pki.partner("small", "rsa1024")), UNVERIFIABLE, code="algorithm-refused",
        why="our least key sizes", signer=pki.partner("small", "rsa1024")),
]

# fmt: on

EVERY = [*FORMS, *FAILING, *NOT_COUNTED, *NOT_CHECKED]


@pytest.mark.parametrize("vector", EVERY, ids=lambda vector: vector.name)
def test_three_judges(vector):
    found = judged(vector.content, vector.signer, sha1=vector.sha1, vxp=vector.vxp)
    verdicts = (by_signxml(vector.content, vector.signer), by_xmlsec(vector.content, vector.signer))
    assert (found.standing, found.code, *verdicts) == (vector.ours, vector.code, vector.signxml, vector.xmlsec), found
    agreed = verdicts == ((GOOD, GOOD) if vector.ours is VALID else (BAD, BAD))
    assert agreed or vector.why, "where the judges differ the vector says why"
    assert bool(found.detail) is bool(vector.code)


@pytest.mark.parametrize("vector", FORMS, ids=lambda vector: vector.name)
def test_what_was_tolerated_is_told(vector):
    found = judged(vector.content, vector.signer, sha1=True, vxp=True)
    assert (found.sha1, found.vxp) == (vector.sha1, vector.vxp)


@pytest.mark.parametrize("vector", EVERY, ids=lambda vector: vector.name)
def test_judging_leaves_the_tree_as_it_was(vector):
    def seen(element):
        return [(each.tag, dict(each.attrib), each.text, each.tail) for each in element.iter()]

    root = safe_xml.parse_safe_xml(vector.content)
    before = seen(root)
    packet_signature.judge_packet_signature(
        root, Octets.of(vector.content), [vector.signer.certificate], ANCHORS, NOW, sha1=True, vxp=True
    )
    assert seen(root) == before


# When the certificate is no longer, or not quite, to be believed


def test_a_certificate_that_is_over_makes_the_signature_invalid():
    old = CA.issue("old", ends=NOW - timedelta(minutes=1))
    found = judged(Seal().signed(old), old)
    assert (found.standing, found.code) == (INVALID, "certificate-expired")


def test_a_revoked_certificate_makes_the_signature_invalid():
    anchors = Anchors([CA.certificate], [CA.crl(PARTNER)])
    found = judged(HONEST, anchors=anchors)
    assert (found.standing, found.code) == (INVALID, "certificate-revoked")


def test_a_certificate_that_cannot_be_traced_makes_the_signature_unverifiable():
    stranger = pki.authority("Other CA").issue("stranger")
    found = judged(Seal().signed(stranger), stranger)
    assert (found.standing, found.code) == (UNVERIFIABLE, "certificate-untrusted")
    overdue = Anchors([CA.certificate], [CA.crl(ends=NOW - timedelta(minutes=1))])
    assert judged(HONEST, anchors=overdue).standing is UNVERIFIABLE


def test_a_certificate_for_something_else_makes_the_signature_unverifiable():
    stamps = CA.issue("stamps", purposes=[ExtendedKeyUsageOID.TIME_STAMPING])
    found = judged(Seal().signed(stamps), stamps)
    assert (found.standing, found.code) == (UNVERIFIABLE, "certificate-untrusted")


def test_a_partner_may_have_several_certificates():
    for identity in (PARTNER, OTHER, EC):
        assert judged(signing.sign_packet(document(), identity), OTHER, EC, PARTNER).standing is VALID


# What no change can do


@settings(max_examples=at_most(300), deadline=None)
@given(st.data())
@pytest.mark.slow
def test_octets_changed_put_in_or_taken_out_are_noticed_or_harmless(data):
    at = data.draw(st.integers(0, len(HONEST) - 1))
    taken = data.draw(st.integers(0, 3))
    put = data.draw(st.binary(max_size=2) | st.text("<>/\"' =:#!-&;aZ0", max_size=4).map(str.encode))
    content = HONEST[:at] + put + HONEST[at + taken :]
    try:
        found = judged(content)
    except Rejected:
        return  # no sound XML
    if found.standing is VALID:
        try:
            assert attrs.evolve(packet.read_packet(content), deviations=()) == attrs.evolve(
                packet.read_packet(HONEST), deviations=()
            )
        except Rejected:
            return
        assert by_xmlsec(content, PARTNER) == GOOD


ELEMENTS = len(list(plain(HONEST).iter()))


@settings(max_examples=at_most(300), deadline=None)
@given(st.integers(1, ELEMENTS - 1), st.integers(0, ELEMENTS - 1), st.booleans(), st.booleans())
@pytest.mark.slow
def test_an_element_moved_or_repeated_is_noticed_or_harmless(taken, target, repeated, inside):
    content = shuffled(HONEST, taken, target, repeated=repeated, inside=inside)
    if content is None or judged(content).standing is not VALID:
        return
    try:
        found = packet.read_packet(content)
    except Rejected:
        return  # the Signature stands where none may be
    assert attrs.evolve(found, deviations=()) == attrs.evolve(packet.read_packet(HONEST), deviations=())


# The samples, and signing


def test_no_sample_packet_is_signed_well_whatever_is_tolerated():
    found = samples.edxml()
    del found["edoc"]
    standings = {name: judged(content, sha1=True, vxp=True).standing for name, content in found.items()}
    assert {name for name, standing in standings.items() if standing is UNVERIFIABLE} == {
        "edoc_new",
        "edoc_replacement",
        "edoc_revocation",
        "edoc_update",
    }
    assert {standing for name, standing in standings.items() if name.startswith("status")} == {UNSIGNED}


@pytest.mark.parametrize("name", ["edoc_new", "status_inbox__01"])
def test_signing_a_packet_changes_no_other_octet(name):
    content = samples.edxml()[name]
    if name == "edoc_new":
        at, end = content.index(b"<Signature>"), content.index(b"</Signature>") + len(b"</Signature>")
        content = content[:at] + content[end:]
    signed = signing.sign_packet(content, PARTNER)
    at, end = signed.index(b"<ds:Signature "), signed.index(b"</ds:Signature>") + len(b"</ds:Signature>")
    assert signed[:at] + signed[end:] == content
    assert signed[end:].startswith(b"</edXML:edXMLHeader>")
    assert judged(signed).standing is VALID
    assert (by_signxml(signed, PARTNER), by_xmlsec(signed, PARTNER)) == (GOOD, GOOD)
    before, after = packet.read_packet(content), packet.read_packet(signed)
    assert [problem.code for problem in after.deviations] == [problem.code for problem in before.deviations]
    assert attrs.evolve(after, deviations=()) == attrs.evolve(before, deviations=())


def test_a_packet_signed_again_is_the_same_packet():
    for identity in (PARTNER, EC):
        assert signing.sign_packet(document(), identity) == signing.sign_packet(document(), identity)


def test_a_packet_in_utf_16_is_signed_in_utf_8():
    content = document().decode().replace("UTF-8", "UTF-16").encode("UTF-16")
    assert judged(signing.sign_packet(content, PARTNER)).standing is VALID


@pytest.mark.parametrize(
    "content", [HONEST, document(variation=Variation(signature="dummy")), b"<a/>", b"<edXMLHeader/>"]
)
def test_what_is_signed_already_or_has_no_header_is_not_signed(content):
    with pytest.raises(ValueError, match=r"signed already|no edXMLHeader"):
        signing.sign_packet(content, PARTNER)


@pytest.mark.slow
def test_a_packet_of_twenty_megabytes_is_judged_without_copies_of_its_tree():
    content = signing.sign_packet(document("x" * 20_000_000, variation=Variation(wrapped=False)), PARTNER)
    root = safe_xml.parse_safe_xml(content)
    swapped = content.replace(b"eHh4", b"eHl4", 1)
    assert (
        packet_signature.judge_packet_signature(root, Octets.of(content), [PARTNER.certificate], ANCHORS, NOW).standing
        is VALID
    )
    assert judged(swapped).standing is INVALID
    assert root.find(f".//{{{QCVN}}}ContentTransferEncoded") is not None
