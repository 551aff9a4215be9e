"""The shapes of the published sets of vectors, made anew with our own keys: XMLDSig («merlin»), C14N and exclusive C14N.

The originals are signed with DSA, MD5 or SHA-1 and fetch their parts from the network; what each of them tries is tried here with
keys of today.  Documents, not envelopes: ours is `unseal`.  Where the judges differ, the vector says why.
"""

import base64
import hashlib
import hmac
from typing import NamedTuple

import attrs
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from hub.domain.errors import Rejected
from hub.security import wss_verify
from hub.security.xmldsig import PLAIN, CanonicalForm
from tests import pki
from tests.pki import NOW
from tests.signatures import DS, ENVELOPED, EXCLUSIVE, INCLUSIVE, RSA_SHA256, SHA256, c14n, fill, forge, plain

PARTNER = pki.partner()
ACCEPTED, VALID, INVALID = "accepted", "valid", "invalid"
SIGNATURE, ALGORITHM, TOO_LITTLE = "signature-invalid", "algorithm-refused", "signature-covers-too-little"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"

_CLOSED = "the form is standard, and outside our closed list"
_PLACE = "a sealed document has one Signature, a child of its root, over all of it"
_KEY = "they are given the key and do not read KeyInfo"


@attrs.frozen
class Shape:
    """One document and what each judge says of it."""

    name: str
    content: bytes
    ours: str
    signxml: str = VALID
    xmlsec: str = VALID
    why: str = ""  #: required where the judges differ


CERTIFICATE = f"<ds:X509Data><ds:X509Certificate>{PARTNER.token}</ds:X509Certificate></ds:X509Data>"
STEP = f'<ds:Transform Algorithm="{ENVELOPED}"/>'
CRL = base64.b64encode(pki.authority().crl().public_bytes(Encoding.DER)).decode()
SKI = base64.b64encode(b"any twenty octets ..").decode()
ISSUER = PARTNER.certificate.issuer.rfc4514_string()
SERIAL = PARTNER.certificate.serial_number
BASE64_STEP = f'<ds:Transform Algorithm="{DS}base64"/>'
XPATH_STEP = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>not(ancestor-or-self::ds:Signature)'
    "</ds:XPath></ds:Transform>"
)
XSLT_STEP = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><x:stylesheet version="1.0"'
    ' xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template match="/"><a/></x:template></x:stylesheet></ds:Transform>'
)


def reference(uri: str = "", transforms: str = STEP + c14n(), more: str = "") -> str:
    steps = f"<ds:Transforms>{transforms}</ds:Transforms>" if transforms else ""
    return (
        f'<ds:Reference URI="{uri}"{more}>{steps}<ds:DigestMethod Algorithm="{SHA256}"/><ds:DigestValue></ds:DigestValue>'
        "</ds:Reference>"
    )


def template(*references: str, key_info: str = CERTIFICATE, objects: str = "", form: str = EXCLUSIVE) -> str:
    key = f"<ds:KeyInfo>{key_info}</ds:KeyInfo>" if key_info else ""
    return (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>{c14n(form, tag="CanonicalizationMethod")}<ds:SignatureMethod'
        f' Algorithm="{RSA_SHA256}"/>{"".join(references or (reference(),))}</ds:SignedInfo><ds:SignatureValue>'
        f"</ds:SignatureValue>{key}{objects}</ds:Signature>"
    )


def enveloped(signature_template: str, content: str = "<b>x</b>") -> bytes:
    return fill(f'<a xmlns="urn:a" Id="whole">{content}{signature_template}</a>', PARTNER)


def enveloping(content: str, transforms: str = c14n()) -> bytes:
    held = f'<ds:Object Id="object">{content}</ds:Object>'
    return fill(template(reference("#object", transforms), objects=held), PARTNER)


def external(uri: str) -> bytes:
    """Sign, then name something outside: its digest is right, for whoever fetches it."""
    made = enveloped(template()).replace(b'URI=""', f'URI="{uri}"'.encode())
    return forge(made, PARTNER)


def hmacked(length: int | None = None) -> bytes:
    """A signature by a secret, cut to *length* bits."""
    cut = "" if length is None else f"<ds:HMACOutputLength>{length}</ds:HMACOutputLength>"
    made = enveloped(template()).replace(
        f'<ds:SignatureMethod Algorithm="{RSA_SHA256}"/>'.encode(),
        f'<ds:SignatureMethod Algorithm="{MORE}hmac-sha256">{cut}</ds:SignatureMethod>'.encode(),
    )
    root = plain(made)
    info, value = (root.find(f".//{{{DS}}}{name}") for name in ("SignedInfo", "SignatureValue"))
    assert info is not None
    assert value is not None
    octets = etree.tostring(info, method="c14n", exclusive=True)
    value.text = base64.b64encode(hmac.new(b"secret", octets, hashlib.sha256).digest()[: (length or 256) // 8]).decode()
    return etree.tostring(root, encoding="UTF-8")


def x509(inner: str) -> bytes:
    return enveloped(template(key_info=f"<ds:X509Data>{inner}</ds:X509Data>"))


MANIFEST = f'<ds:Object><ds:Manifest Id="manifest">{reference("#object", c14n())}</ds:Manifest></ds:Object>'
PROPERTY = '<ds:Object><ds:SignatureProperties Id="said"><ds:SignatureProperty Target="#x"><x xmlns="urn:x"/></ds:SignatureProperty></ds:SignatureProperties></ds:Object>'

# fmt: off

SHAPES = [
    Shape("enveloped, exclusive C14N", enveloped(template()), ACCEPTED),
    Shape("enveloped, inclusive C14N", enveloped(template(reference("", STEP + c14n(INCLUSIVE)), form=INCLUSIVE)), ACCEPTED),
    Shape("enveloped, a PrefixList", enveloped(template(reference("", STEP + c14n(prefixes="#default")))), ACCEPTED),
    Shape("enveloped, spread over lines", enveloped(template().replace("><ds:", ">\n  <ds:"), "\n<b>x</b>\n"), ACCEPTED),
    Shape("enveloped-signature alone, as .NET writes it", enveloped(template(reference("", STEP))), ALGORITHM, why=_CLOSED),
    Shape("enveloped, C14N with comments", enveloped(template(reference("", STEP + c14n(f"{INCLUSIVE}#WithComments")))), ALGORITHM, why=_CLOSED),
    Shape("enveloped by id", enveloped(template(reference("#whole"))), TOO_LITTLE, why=_PLACE),
    Shape("enveloped by XPath", enveloped(template(reference("", XPATH_STEP + c14n()))), ALGORITHM, INVALID, why="xmlsec runs it"),
    Shape("enveloped, then XSLT", enveloped(template(reference("", STEP + XSLT_STEP))), ALGORITHM, INVALID, why="xmlsec runs it"),
    Shape("a part, detached in the document", enveloped(template(reference("#part", c14n())), '<b Id="part">x</b>'), TOO_LITTLE, why=_PLACE),
    Shape("enveloping", enveloping("x"), SIGNATURE, why=_PLACE),
    Shape("enveloping, base64", enveloping(base64.b64encode(b"x").decode(), BASE64_STEP), SIGNATURE, why=_PLACE),
    Shape("two References", enveloped(template(reference(), reference("#part", c14n())), '<b Id="part">x</b>'), TOO_LITTLE, why=_PLACE),
    Shape("a Manifest", enveloped(template(reference("#manifest", c14n(), f' Type="{DS}Manifest"'), objects=MANIFEST), '<b Id="object"/>'), SIGNATURE, why=_CLOSED),
    Shape("SignatureProperties", enveloped(template(reference(), reference("#said", c14n()), objects=PROPERTY)), SIGNATURE, why=_CLOSED),
    Shape("external, by http", external("http://127.0.0.1:9/"), TOO_LITTLE, INVALID, INVALID),
    Shape("external, a file", external("file:///etc/hostname"), TOO_LITTLE, INVALID, INVALID),
    Shape("HMAC", hmacked(), ALGORITHM, INVALID, INVALID),
    Shape("HMAC of 40 bits", hmacked(40), ALGORITHM, INVALID, INVALID),
    Shape("HMAC of no bits", hmacked(0), ALGORITHM, INVALID, INVALID),
    Shape("KeyInfo: none", enveloped(template(key_info="")), SIGNATURE, why=_KEY),
    Shape("KeyInfo: KeyName", enveloped(template(key_info="<ds:KeyName>sotttt</ds:KeyName>")), SIGNATURE, why=_KEY),
    Shape("KeyInfo: RetrievalMethod", enveloped(template(key_info=f'<ds:RetrievalMethod URI="http://127.0.0.1:9/" Type="{DS}rawX509Certificate"/>')), SIGNATURE, why=_KEY),
    Shape("KeyInfo: certificate and CRL", x509(f"<ds:X509Certificate>{PARTNER.token}</ds:X509Certificate><ds:X509CRL>{CRL}</ds:X509CRL>"), SIGNATURE, why=_KEY),
    Shape("KeyInfo: issuer and serial", x509(f"<ds:X509IssuerSerial><ds:X509IssuerName>{ISSUER}</ds:X509IssuerName><ds:X509SerialNumber>{SERIAL}</ds:X509SerialNumber></ds:X509IssuerSerial>"), SIGNATURE, why=_KEY),
    Shape("KeyInfo: SKI", x509(f"<ds:X509SKI>{SKI}</ds:X509SKI>"), SIGNATURE, why=_KEY),
    Shape("KeyInfo: subject name", x509(f"<ds:X509SubjectName>{ISSUER}</ds:X509SubjectName>"), SIGNATURE, why=_KEY),
]

# fmt: on


def unsealed(content: bytes) -> str:
    """Return `accepted`, or the code of the refusal."""
    try:
        wss_verify.unseal_document(content, [PARTNER.certificate], NOW)
    except Rejected as rejected:
        return rejected.problems[0].code
    return ACCEPTED


# --- canonical forms, as the Recommendations print them -------------------------------------------------------------------


class Canonical(NamedTuple):
    """An element of a document and its canonical form; *found*: the element's local name."""

    name: str
    document: str
    found: str
    form: CanonicalForm
    written: str


_PDU = '<n0:pdu xmlns:n0="http://a.example" xmlns:n3="ftp://example.org"%s>\n%s\n</n0:pdu>'
_ELEM = '<n1:elem2 xmlns:n1="http://example.net"%s>\n    <n3:stuff xmlns:n3="ftp://example.org"/>\n</n1:elem2>'
_BODY = "\n    <n3:stuff%s></n3:stuff>\n</n1:elem2>"
_FULL = CanonicalForm(exclusive=False)

CANONICAL = [
    Canonical(
        "exclusive C14N, 2.2: only what is used, where it is used", _PDU % ("", _ELEM % ""), "elem2", PLAIN,
        '<n1:elem2 xmlns:n1="http://example.net">' + _BODY % ' xmlns:n3="ftp://example.org"',
    ),
    Canonical(
        "exclusive C14N, 2.2: whatever stands around", "<other>" + _PDU % ("", _ELEM % ' xml:lang="en"') + "</other>", "elem2", PLAIN,
        '<n1:elem2 xmlns:n1="http://example.net" xml:lang="en">' + _BODY % ' xmlns:n3="ftp://example.org"',
    ),
    Canonical(
        "inclusive C14N of the same: all that is in scope", _PDU % ("", _ELEM % ""), "elem2", _FULL,
        '<n1:elem2 xmlns:n0="http://a.example" xmlns:n1="http://example.net" xmlns:n3="ftp://example.org">' + _BODY % "",
    ),
    Canonical(
        "exclusive C14N with a PrefixList", _PDU % ("", _ELEM % ""), "elem2", CanonicalForm(exclusive=True, prefixes=("n0", "n3")),
        '<n1:elem2 xmlns:n0="http://a.example" xmlns:n1="http://example.net" xmlns:n3="ftp://example.org">' + _BODY % "",
    ),
    Canonical(
        "exclusive C14N with #default", '<a xmlns="urn:a" xmlns:b="urn:b"><b:c/></a>', "c", CanonicalForm(exclusive=True, prefixes=("#default",)),
        '<b:c xmlns="urn:a" xmlns:b="urn:b"></b:c>',
    ),
    Canonical("a default namespace taken back", '<a xmlns="urn:a"><b xmlns=""><c/></b></a>', "b", PLAIN, "<b><c></c></b>"),
    Canonical(
        "C14N, 3.2: white space stays", "<r>\n   <clean>   </clean>\n   <mixed>\n      A\n      <clean>   </clean>\n      B\n   </mixed>\n</r>", "mixed", _FULL,
        "<mixed>\n      A\n      <clean>   </clean>\n      B\n   </mixed>",
    ),
    Canonical(
        "C14N, 3.3: tags, attributes and namespaces in order",
        """<d><e5 a:attr="out" b:attr="sorted" attr2="all" attr="I'm" xmlns:b="http://www.ietf.org" xmlns:a="http://www.w3.org" xmlns="http://example.org"/></d>""",
        "e5", _FULL,
        """<e5 xmlns="http://example.org" xmlns:a="http://www.w3.org" xmlns:b="http://www.ietf.org" attr="I'm" attr2="all" b:attr="sorted" a:attr="out"></e5>""",
    ),
    Canonical(
        "C14N, 3.3: a namespace declared anew and not used", '<e6 xmlns:a="http://www.w3.org"><e7 xmlns="http://www.ietf.org"><e8 xmlns="" xmlns:a="http://www.w3.org"><e9 xmlns=""/></e8></e7></e6>',
        "e6", _FULL,
        '<e6 xmlns:a="http://www.w3.org"><e7 xmlns="http://www.ietf.org"><e8 xmlns=""><e9></e9></e8></e7></e6>',
    ),
    Canonical(
        "C14N, 3.4: characters and references", """<d><t>First line&#x0d;&#10;Second line</t><v>&#x32;</v><w><![CDATA[value>"0" && value<"10" ?"valid":"error"]]></w></d>""", "d", _FULL,
        '<d><t>First line&#xD;\nSecond line</t><v>2</v><w>value&gt;"0" &amp;&amp; value&lt;"10" ?"valid":"error"</w></d>',
    ),
    Canonical(
        "C14N, 3.4: in attributes", """<d><c expr='value>"0" &amp;&amp; value&lt;"10" ?"valid":"error"' n=' &#x20;&#13;&#xa;&#9; A'/></d>""", "c", _FULL,
        '<c expr="value>&quot;0&quot; &amp;&amp; value&lt;&quot;10&quot; ?&quot;valid&quot;:&quot;error&quot;" n="  &#xD;&#xA;&#x9; A"></c>',
    ),
    Canonical("C14N, 3.6: UTF-8", "<d><doc>&#169; Thái Nguyên</doc></d>", "doc", _FULL, "<doc>© Thái Nguyên</doc>"),
    Canonical("an astral character", "<d><doc>&#x1F409;</doc></d>", "doc", PLAIN, "<doc>\U0001f409</doc>"),
]  # fmt: skip


def pointed_at(one: Canonical) -> bytes:
    """Return a document in which xmlsec signed that element, in that form, by its place in a wrapper with an id."""
    name = EXCLUSIVE if one.form.exclusive else INCLUSIVE
    prefixes = " ".join(one.form.prefixes) or None
    root = etree.fromstring(one.document.encode())
    found = next(root.iter(f"{{*}}{one.found}"))
    found.set("Id", "it")
    text = etree.tostring(root, encoding="unicode")
    made = template(reference("#it", c14n(name, prefixes)))
    return fill(f"<wrapper>{text}{made}</wrapper>", PARTNER)
