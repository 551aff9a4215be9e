"""Signed envelopes, honest and hostile, and what three judges say of each: ours, signxml and xmlsec.

The other two are asked only whether some signature in the document is valid.  What it covers, whose key it is and when it was made
is for the caller of theirs; ours answers all of it.  Where the judges differ, the vector says why.
"""

import base64
import copy
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from lxml import etree

from hub.security import wss_tokens, wss_verify
from hub.security.certificates import Identity
from tests import pki
from tests.pki import NOW
from tests.signatures import (
    BASE64,
    CONTENT,
    DS,
    ENVELOPED,
    EXCLUSIVE,
    INCLUSIVE,
    MAX_AGE,
    RSA_SHA256,
    SHA256,
    SKI,
    SOAP11,
    SOAP12,
    THUMBPRINT,
    WSSE,
    WSU,
    X509V3,
    Layout,
    c14n,
    fill,
    forge,
    plain,
    raw_value,
    stamp,
)

PARTNER = pki.partner()
OTHER = pki.partner("vpub")
STRANGER = pki.authority("Other CA").issue("stranger")
SMALL = pki.partner("small", "rsa1024")
EC = pki.partner("ec", "p256")
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
PSS = "http://www.w3.org/2007/05/xmldsig-more#"
PKI_PATH, PKCS7 = X509V3.replace("X509v3", "X509PKIPathv1"), X509V3.replace("X509v3", "PKCS7")
STR_TRANSFORM = f"{BASE64.removesuffix('Base64Binary')}STR-Transform"
ENVELOPE = f'<s:Envelope xmlns:s="{SOAP11}"><s:Body>{CONTENT}</s:Body></s:Envelope>'.encode()
ENVELOPED_STEP = f'<ds:Transform Algorithm="{ENVELOPED}"/>'
BOTH = (("#TS", c14n()), ("#B", c14n()))
HONEST = Layout().signed(PARTNER)

ACCEPTED, VALID, INVALID = "accepted", "valid", "invalid"
SIGNATURE, ALGORITHM, TOO_LITTLE = "signature-invalid", "algorithm-refused", "signature-covers-too-little"
UNKNOWN, UNSIGNED, EXPIRED, NO_TIME = "certificate-unknown", "unsigned", "timestamp-expired", "timestamp-missing"

# Why the judges may differ, said once.
_POSITION = "they look the element up by its id, wherever it stands"
_PICKS_FIRST = "they are shown the first signature and look at no other"
_PURPOSE = "they verify a signature; what it should cover is not theirs to know"
_TOKENS = "they are given the key and do not read the token"
_TIMES = "they do not read the Timestamp"
_SCHEMA = "signxml validates the Signature against a schema that knows no InclusiveNamespaces there"
_CDATA = "a canonical form has its text alone, so anyone on the way may cut a text in three by it; no toolkit writes it there"
_COMMENTS = "comments are no part of a canonical form; ours lets none stand where a value is read"
_NO_STR = "they know no STR-Transform"
_CLOSED = "the form is standard, and outside our closed list"


@attrs.frozen
class Vector:
    """One message and what each judge says of it."""

    name: str
    content: bytes
    ours: str
    signxml: str = VALID
    xmlsec: str = VALID
    why: str = ""  #: required where the judges differ
    signer: Identity = PARTNER
    sha1: bool = False


def changed(change: Callable[[etree._Element], object], content: bytes = HONEST) -> bytes:
    """Return *content* after *change* of its tree."""
    root = plain(content)
    change(root)
    return etree.tostring(root, encoding="UTF-8")


def replaced(old: str, new: str, content: bytes = HONEST) -> bytes:
    """Return *content* with one text for another, which must be there."""
    assert old.encode() in content, old
    return content.replace(old.encode(), new.encode(), 1)


def resigned(layout: Layout, old: str, new: str) -> bytes:
    """Sign *layout* with a change of its template, made before the value and after nothing."""
    template = layout.template(PARTNER.token)
    assert old in template, old
    return fill(template.replace(old, new, 1), PARTNER)


def reforged(old: str, new: str, content: bytes = HONEST) -> bytes:
    """Change a text in SignedInfo and make the value anew: what the partner itself could sign."""
    return forge(replaced(old, new, content), PARTNER)


def header(root: etree._Element) -> etree._Element:
    return root[0]


def security(root: etree._Element) -> etree._Element:
    return root[0][0]


def body(root: etree._Element) -> etree._Element:
    return root[-1]


def find(root: etree._Element, name: str) -> etree._Element:
    found = root.find(f".//{{*}}{name}")
    assert found is not None
    return found


def evil(name: str | None = "evil") -> etree._Element:
    """Return a Body that nobody signed."""
    made = etree.Element(f"{{{SOAP11}}}Body")
    if name is not None:
        made.set(f"{{{WSU}}}Id", name)
    made.append(etree.fromstring(CONTENT.replace("số 1", "số 2")))
    return made


def wrap(place: Callable[[etree._Element], etree._Element], name: str | None = "evil") -> bytes:
    """Move the signed Body to *place* and put another in its stead."""

    def change(root: etree._Element) -> None:
        signed = body(root)
        root.append(evil(name))
        place(root).append(signed)

    return changed(change)


def wrapper(root: etree._Element) -> etree._Element:
    return etree.SubElement(header(root), "{urn:evil}Wrapper")


def object_in_signature(root: etree._Element) -> etree._Element:
    return etree.SubElement(find(root, "Signature"), f"{{{DS}}}Object")


def unreferenced(root: etree._Element) -> None:
    for reference in list(root.iter(f"{{{DS}}}Reference")):
        find(root, "SignedInfo").remove(reference)


def another_timestamp(root: etree._Element) -> None:
    times = f"<Created>{stamp(NOW)}</Created><Expires>{stamp(NOW + timedelta(minutes=1))}</Expires>"
    wrapper(root).append(find(root, "Timestamp"))
    security(root).append(etree.fromstring(f'<Timestamp xmlns="{WSU}">{times}</Timestamp>'))


def envelope_in_header() -> bytes:
    root = plain(HONEST)
    outer = etree.fromstring(f'<s:Envelope xmlns:s="{SOAP11}"><s:Header/></s:Envelope>')
    moved = security(root)
    header(outer).append(moved)
    header(outer).append(root)
    outer.append(evil())
    return etree.tostring(outer)


def envelope_in_body() -> bytes:
    outer = etree.fromstring(f'<s:Envelope xmlns:s="{SOAP11}"><s:Header/><s:Body/></s:Envelope>')
    outer[1].append(plain(HONEST))
    return etree.tostring(outer)


def twice(name: str, content: bytes = HONEST) -> bytes:
    """Repeat the element *name* beside itself."""
    return changed(lambda root: find(root, name).addnext(copy.deepcopy(find(root, name))), content)


def key_info(inner: str) -> bytes:
    return Layout(key_info=inner).signed(PARTNER)


def pointer(inner: str) -> bytes:
    return key_info(f"<wsse:SecurityTokenReference>{inner}</wsse:SecurityTokenReference>")


def issuer_serial(issuer: str, serial: int = PARTNER.certificate.serial_number) -> bytes:
    return pointer(
        f"<ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>{issuer}</ds:X509IssuerName>"
        f"<ds:X509SerialNumber>{serial}</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data>"
    )


def identifier(kind: str, octets: bytes, encoding: str = BASE64) -> bytes:
    text = base64.b64encode(octets).decode()
    return pointer(f'<wsse:KeyIdentifier EncodingType="{encoding}" ValueType="{kind}">{text}</wsse:KeyIdentifier>')


def ski(identity: Identity) -> bytes:
    return wss_tokens._read_key_identifier(identity.certificate)


def chained(kind: str, octets: bytes, pointer_kind: str | None = None) -> bytes:
    """Let the token hold *octets* as *kind*, and the reference call it the same or another."""
    content = replaced(PARTNER.token, base64.b64encode(octets).decode())
    old, new = (f'ValueType="{each}"'.encode() for each in (X509V3, kind))
    head, _, tail = content.partition(old)
    return head + new + tail.replace(old, f'ValueType="{pointer_kind or kind}"'.encode())


def der(*identities: Identity) -> list[bytes]:
    return [each.certificate.public_bytes(Encoding.DER) for each in identities]


def sequence(*items: bytes) -> bytes:
    """Return a DER SEQUENCE, as a PKIPath is one."""
    inside = b"".join(items)
    return b"\x30\x82" + len(inside).to_bytes(2) + inside


def bag(*identities: Identity) -> bytes:
    return pkcs7.serialize_certificates([each.certificate for each in identities], Encoding.DER)


def with_str_transform(
    form: str = c14n(tag="CanonicalizationMethod"),
    parameters: str = "wsse:TransformationParameters",
    at: str = "#STR",
    empty: str = ' xmlns=""',
) -> bytes:
    """Sign the token too, through the reference to it, as WSS4J and CXF do; no other judge here can, so it is done by hand."""
    layout = Layout(
        key_info=Layout().key_info.replace(
            "<wsse:SecurityTokenReference>", '<wsse:SecurityTokenReference wsu:Id="STR">'
        )
    )
    content = layout.signed(PARTNER)
    token = (
        f'<wsse:BinarySecurityToken{empty} xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" EncodingType="{BASE64}" ValueType="{X509V3}"'
        f' wsu:Id="X509">{PARTNER.token}</wsse:BinarySecurityToken>'
    )
    digest = base64.b64encode(hashlib.sha256(token.encode()).digest()).decode()
    reference = (
        f'<ds:Reference URI="{at}"><ds:Transforms><ds:Transform Algorithm="{STR_TRANSFORM}"><{parameters}>{form}</{parameters}>'
        f'</ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="{SHA256}"/><ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>'
    )
    return forge(replaced("</ds:SignedInfo>", f"{reference}</ds:SignedInfo>", content), PARTNER)


def hmac_with_public_key() -> bytes:
    """Algorithm confusion: what everybody knows, used as the secret."""
    root = plain(replaced(RSA_SHA256, f"{MORE}hmac-sha256"))
    known = PARTNER.certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    octets = etree.tostring(find(root, "SignedInfo"), method="c14n", exclusive=True)
    find(root, "SignatureValue").text = base64.b64encode(hmac.new(known, octets, hashlib.sha256).digest()).decode()
    return etree.tostring(root, encoding="UTF-8")


def swap_ids() -> bytes:
    """Sign a header block and the Body; then let each bear the other's id."""
    layout = Layout(headers='<a:To xmlns:a="urn:a" wsu:Id="H">hub</a:To>', references=(*BOTH, ("#H", c14n())))
    return (
        layout.signed(PARTNER)
        .replace(b'wsu:Id="B"', b'wsu:Id="?"')
        .replace(b'wsu:Id="H"', b'wsu:Id="B"')
        .replace(b'wsu:Id="?"', b'wsu:Id="H"')
    )


def void_digest() -> bytes:
    """A canonical form that cannot be made must not be taken for an empty one."""
    root = plain(replaced("urn:lienthong:documents:1", "relative"))
    nothing = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    found = root.find(f".//{{{DS}}}Reference[@URI='#B']/{{{DS}}}DigestValue")
    assert found is not None
    found.text = nothing
    return forge(etree.tostring(root, encoding="UTF-8"), PARTNER)


def forge_void() -> bytes:
    """The same for SignedInfo: signed is the empty octet string."""
    root = plain(replaced("<ds:SignedInfo>", '<ds:SignedInfo xmlns:v="relative">'))
    find(root, "SignatureValue").text = base64.b64encode(raw_value(b"", PARTNER)).decode()
    return etree.tostring(root, encoding="UTF-8")


def other_value(content: bytes, value: bytes) -> bytes:
    return changed(
        lambda root: setattr(find(root, "SignatureValue"), "text", base64.b64encode(value).decode()), content
    )


def lived(created: datetime, expires: datetime) -> bytes:
    return Layout(created=stamp(created), expires=stamp(expires)).signed(PARTNER)


SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
NAME = PARTNER.certificate.issuer.rfc4514_string()
CERTIFICATE = f"<ds:X509Data><ds:X509Certificate>{PARTNER.token}</ds:X509Certificate></ds:X509Data>"
KEY_VALUE = "<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>AQAB</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>"
DIRECT = f'<wsse:Reference URI="#X509" ValueType="{X509V3}"/>'
XSLT = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><x:stylesheet version="1.0"'
    ' xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template match="/"><a/></x:template></x:stylesheet></ds:Transform>'
)
XPATH = '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>self::text()</ds:XPath></ds:Transform>'

# fmt: off

FORMS = [
    Vector("the plain form", HONEST, ACCEPTED),
    Vector("ours", wss_verify.sign_envelope(ENVELOPE, PARTNER, NOW), ACCEPTED),
    Vector("ours, P-256", wss_verify.sign_envelope(ENVELOPE, EC, NOW), ACCEPTED, signer=EC),
    Vector("ours, P-384", wss_verify.sign_envelope(ENVELOPE, pki.partner("ec", "p384"), NOW), ACCEPTED, signer=pki.partner("ec", "p384")),
    Vector("SOAP 1.2", Layout(soap=SOAP12, security='s:mustUnderstand="true"').signed(PARTNER), ACCEPTED),
    Vector("as WSS4J: token, signature, Timestamp; PrefixList", Layout(order=("token", "signature", "timestamp"),
        security='s:mustUnderstand="1"', signed_info=c14n(prefixes="s", tag="CanonicalizationMethod"), body_transforms=c14n(prefixes=""),
        timestamp_transforms=c14n(prefixes="wsse s"), created="2026-11-24T08:00:00.123Z",
        expires="2026-11-24T08:05:00.123Z").signed(PARTNER), ACCEPTED, INVALID, why=_SCHEMA),
    Vector("as WSS4J: a PrefixList with the default namespace, in scope and unused", Layout(declared='xmlns="urn:unused" xmlns:q="urn:q"',
        body_transforms=c14n(prefixes="#default q"), timestamp_transforms=c14n(prefixes="q #default absent")).signed(PARTNER), ACCEPTED),
    Vector("as node soap: plain Id, enveloped-signature on the Timestamp", Layout(token_id='Id="X509"', timestamp_id='Id="TS"',
        body_id='Id="B"', timestamp_transforms=ENVELOPED_STEP + c14n(), expires=stamp(NOW + 10 * MINUTE)).signed(PARTNER), ACCEPTED),
    Vector("xml:id", Layout(token_id='xml:id="X509"', timestamp_id='xml:id="TS"', body_id='xml:id="B"').signed(PARTNER), ACCEPTED),
    Vector("as gSOAP: Timestamp first, the token signed too", Layout(order=("timestamp", "token", "signature"), references=(*BOTH, ("#X509",
        c14n()))).signed(PARTNER), ACCEPTED),
    Vector("as zeep: signature first", Layout(order=("signature", "token", "timestamp")).signed(PARTNER), ACCEPTED),
    Vector("white space and line breaks everywhere they may be", fill(Layout().template(PARTNER.token).replace("><ds:",
        ">\r\n  <ds:").replace("><wsse:", ">\n<wsse:"), PARTNER), ACCEPTED),
    Vector("inclusive C14N under inherited namespaces", Layout(declared='xmlns="urn:d" xmlns:q="urn:q"', signed_info=c14n(INCLUSIVE,
        tag="CanonicalizationMethod"), body_transforms=c14n(INCLUSIVE), timestamp_transforms=c14n(INCLUSIVE)).signed(PARTNER), ACCEPTED),
    Vector("a signed header block", Layout(headers='<a:To xmlns:a="urn:a" wsu:Id="H">hub</a:To>', references=(*BOTH, ("#H",
        c14n()))).signed(PARTNER), ACCEPTED),
    Vector("our own actor", Layout(security='s:actor="http://schemas.xmlsoap.org/soap/actor/next"').signed(PARTNER), ACCEPTED),
    Vector("another actor's Security header beside ours",
        Layout(headers=f'<w:Security xmlns:w="{WSSE}" s:actor="urn:other"/>').signed(PARTNER), ACCEPTED),
    Vector("issuer and serial", issuer_serial(NAME), ACCEPTED),
    Vector("issuer and serial, spaced", issuer_serial(NAME.replace(",", ", ").replace("\\, ", "\\,")), ACCEPTED),
    Vector("issuer and serial, from the other end",
        issuer_serial(",".join(part.rfc4514_string() for part in PARTNER.certificate.issuer.rdns)), ACCEPTED),
    Vector("subject key identifier", identifier(SKI, ski(PARTNER)), ACCEPTED),
    Vector("a token that holds the chain: X509PKIPathv1", chained(PKI_PATH, sequence(*der(pki.authority().identity, PARTNER))), ACCEPTED),
    Vector("a token that holds the chain: PKCS7", chained(PKCS7, bag(pki.authority().identity, PARTNER)), ACCEPTED),
    Vector("the token signed by STR-Transform", with_str_transform(), ACCEPTED, INVALID, INVALID, why=_NO_STR),
    Vector("thumbprint", identifier(THUMBPRINT, PARTNER.certificate.fingerprint(hashes.SHA1())), ACCEPTED),
    *(Vector(name, Layout(method=MORE + name).signed(PARTNER), ACCEPTED) for name in ("rsa-sha384", "rsa-sha512")),
    *(Vector(name, Layout(method=PSS + name).signed(PARTNER), ACCEPTED) for name in ("sha256-rsa-MGF1", "sha384-rsa-MGF1",
        "sha512-rsa-MGF1")),
    Vector("ecdsa-sha384", Layout(method=f"{MORE}ecdsa-sha384").signed(EC), ACCEPTED, signer=EC),
    Vector("digest SHA-384", Layout(digest=f"{MORE}sha384").signed(PARTNER), ACCEPTED),
    Vector("digest SHA-512", Layout(digest="http://www.w3.org/2001/04/xmlenc#sha512").signed(PARTNER), ACCEPTED),
    Vector("SHA-1 where it is tolerated", Layout(method=f"{DS}rsa-sha1", digest=f"{DS}sha1").signed(PARTNER), ACCEPTED, INVALID,
        why="signxml has SHA-1 off by default", sha1=True),
    Vector("ids in the business document that repeat",
        Layout(content='<d:A xmlns:d="urn:d"><d:B Id="1"/><d:B Id="1"/></d:A>').signed(PARTNER), ACCEPTED),
    Vector("rewritten in UTF-16", HONEST.decode().encode("UTF-16"), ACCEPTED),
    Vector("another prefix for what is not signed", replaced("<wsse:Security ", '<wsse:Security xmlns:more="urn:more" '), ACCEPTED),
    # Exclusive C14N does not see it, so that no value that is read may be a QName: the contract has none.
    Vector("a prefix used in a value only, bound again outside what is signed", replaced("urn:q1", "urn:q2",
        Layout(declared='xmlns:q="urn:q1"', content='<d xmlns="urn:d" type="q:t"/>').signed(PARTNER)), ACCEPTED),
]

WRAPPED = [
    Vector("the Body in a header wrapper", wrap(wrapper), SIGNATURE, why=_POSITION),
    Vector("the Body as a header block", wrap(header), TOO_LITTLE, why=_POSITION),
    Vector("the Body in the Security header", wrap(security), SIGNATURE, why=_POSITION),
    Vector("the Body in a ds:Object", wrap(object_in_signature), SIGNATURE, why=_POSITION),
    Vector("the Body inside the new Body", wrap(body), SIGNATURE, why=_POSITION),
    Vector("the Body beside a new one", changed(lambda root: header(root).addnext(evil())), SIGNATURE, why=_POSITION),
    Vector("the Body before a new one", changed(lambda root: root.append(evil())), SIGNATURE, why=_POSITION),
    Vector("a Body without id", wrap(wrapper, None), SIGNATURE, why=_POSITION),
    Vector("a Body with the same id", wrap(wrapper, "B"), SIGNATURE, INVALID, why="xmlsec takes the first that bears the id"),
    Vector("the envelope as a header block", envelope_in_header(), SIGNATURE, why=_POSITION),
    Vector("the envelope in a Body", envelope_in_body(), UNSIGNED, why=_POSITION),
    Vector("the Body is called otherwise", replaced("</s:Body>", "</s:Corpus>", replaced("<s:Body ", "<s:Corpus ")), SIGNATURE, INVALID,
        INVALID),
    Vector("an element after the Body", changed(lambda root: etree.SubElement(root, "{urn:x}Trailer")), SIGNATURE, why=_PURPOSE),
    Vector("the same id in another attribute", changed(lambda root: wrapper(root).set("Id", "B")), SIGNATURE, INVALID, INVALID),
    Vector("the same id in a foreign namespace", changed(lambda root: wrapper(root).set("{urn:other}Id", "B")), SIGNATURE, INVALID, INVALID),
    Vector("the same id in xml:id", changed(lambda root: wrapper(root).set("{http://www.w3.org/XML/1998/namespace}id", "B")), SIGNATURE,
        xmlsec=INVALID, why="signxml looks into one kind of id attribute after another"),
    Vector("the token's id twice", changed(lambda root: wrapper(root).set("Id", "X509")), SIGNATURE, why=_TOKENS),
    Vector("a block and the Body swap ids", swap_ids(), SIGNATURE, INVALID, INVALID),
    Vector("a second Signature", twice("Signature"), SIGNATURE, why=_PICKS_FIRST),
    Vector("a second Signature, not valid, in another element", changed(lambda root: etree.SubElement(security(root),
        "{urn:x}More").append(copy.deepcopy(find(root, "Signature")))), SIGNATURE, why=_PICKS_FIRST),
    Vector("the Signature one element deeper", changed(lambda root: etree.SubElement(security(root), "{urn:x}More").append(find(root,
        "Signature"))), SIGNATURE, why=_PURPOSE),
    Vector("the Signature outside the Security header", changed(lambda root: header(root).append(find(root, "Signature"))), UNSIGNED,
        why=_PURPOSE),
    Vector("a second SignedInfo", twice("SignedInfo"), SIGNATURE, INVALID, INVALID),
    Vector("a second SignatureValue", twice("SignatureValue"), SIGNATURE, INVALID, INVALID),
    Vector("a second Security header", changed(lambda root: header(root).append(copy.deepcopy(security(root)))), SIGNATURE, INVALID,
        why="xmlsec takes the first that bears the id"),
    Vector("a second, empty Security header", changed(lambda root: etree.SubElement(header(root), f"{{{WSSE}}}Security")), SIGNATURE,
        why=_PURPOSE),
    Vector("signed for another actor", Layout(security='s:actor="urn:other"').signed(PARTNER), UNSIGNED, why=_PURPOSE),
    Vector("no Security header", changed(lambda root: header(root).remove(security(root))), UNSIGNED, INVALID, INVALID),
    Vector("no Header", ENVELOPE, UNSIGNED, INVALID, INVALID),
    Vector("no Signature", changed(lambda root: security(root).remove(find(root, "Signature"))), UNSIGNED, INVALID, INVALID),
    Vector("a Signature of another namespace", HONEST.replace(DS.encode(), b"urn:not-dsig"), UNSIGNED, INVALID, INVALID),
    Vector("not an envelope", replaced("</s:Envelope>", "</s:Package>", replaced("<s:Envelope ", "<s:Package ")), SIGNATURE, why=_PURPOSE),
]

COVERAGE = [
    Vector("only the Timestamp", Layout(references=BOTH[:1]).signed(PARTNER), TOO_LITTLE, why=_PURPOSE),
    Vector("only the Body", Layout(references=BOTH[1:]).signed(PARTNER), TOO_LITTLE, why=_PURPOSE),
    Vector("only the token", Layout(references=(("#X509", c14n()),)).signed(PARTNER), TOO_LITTLE, why=_PURPOSE),
    Vector("only what stands in the Body", Layout(content='<d xmlns="urn:d" Id="C"/>', references=(BOTH[0], ("#C",
        c14n()))).signed(PARTNER), SIGNATURE, why=_PURPOSE),
    Vector("the Body twice", Layout(references=(*BOTH, BOTH[1])).signed(PARTNER), SIGNATURE, why="no honest toolkit does it"),
    Vector("the whole document", Layout(references=(*BOTH, ("", ENVELOPED_STEP + c14n()))).signed(PARTNER), SIGNATURE, why=_CLOSED),
    Vector("the Security header", Layout(security='wsu:Id="S"', references=(*BOTH, ("#S", ENVELOPED_STEP + c14n()))).signed(PARTNER),
        SIGNATURE, why=_CLOSED),
    Vector("the Envelope", Layout(declared='wsu:Id="E"', references=(*BOTH, ("#E", ENVELOPED_STEP + c14n()))).signed(PARTNER), SIGNATURE,
        why=_CLOSED),
    Vector("an xpointer", Layout(references=(BOTH[0], ("#xpointer(id('B'))", c14n()))).signed(PARTNER), SIGNATURE, INVALID, why=_CLOSED),
    Vector("no reference", changed(unreferenced), SIGNATURE,
        INVALID, INVALID),
    Vector("a reference to nothing", reforged('URI="#B"', 'URI="#nothing"'), SIGNATURE, INVALID, INVALID),
    Vector("a reference without URI", reforged(' URI="#B"', ""), SIGNATURE, INVALID, INVALID),
    Vector("a reference to a file", reforged('URI="#B"', 'URI="file:///etc/hostname"'), SIGNATURE, INVALID, INVALID),
    Vector("a reference to the network", reforged('URI="#B"', 'URI="http://127.0.0.1:9/"'), SIGNATURE, INVALID, INVALID),
    Vector("a reference to an attachment", reforged('URI="#B"', 'URI="cid:1"'), SIGNATURE, INVALID, INVALID),
    Vector("an empty fragment", reforged('URI="#B"', 'URI="#"'), SIGNATURE, INVALID, INVALID),
    Vector("a Reference of another namespace", forge(changed(lambda root: setattr(find(root, "SignedInfo")[3], "tag", "{urn:x}Reference")),
        PARTNER), SIGNATURE, INVALID, INVALID),
    Vector("33 references", Layout(references=(*BOTH, *[BOTH[1]] * 31)).signed(PARTNER), SIGNATURE, why=_CLOSED),
    Vector("a Manifest", forge(changed(lambda root: etree.SubElement(find(root, "Signature"), f"{{{DS}}}Object")), PARTNER), SIGNATURE,
        why=_CLOSED),
]

STR_TRANSFORMS = [
    Vector(f"STR-Transform {name}", content, code, INVALID, INVALID, why=_NO_STR) for name, content, code in (
        ("with another C14N", with_str_transform(c14n(INCLUSIVE, tag="CanonicalizationMethod")), ALGORITHM),
        ("with comments", with_str_transform(c14n(f"{EXCLUSIVE}WithComments", tag="CanonicalizationMethod")), ALGORITHM),
        ("with a PrefixList", with_str_transform(c14n(prefixes="wsse", tag="CanonicalizationMethod")), ALGORITHM),
        ("without parameters", with_str_transform("", "ds:Nothing"), SIGNATURE),
        ("of the Body", with_str_transform(at="#B"), SIGNATURE),
        ("of the token itself", with_str_transform(at="#X509"), SIGNATURE),
        ("that leaves the default namespace out", with_str_transform(empty=""), SIGNATURE),
    )
]

ALGORITHMS = [
    Vector("HMAC with the public key", hmac_with_public_key(), ALGORITHM, INVALID, INVALID),
    Vector("HMACOutputLength", reforged("</ds:SignatureMethod>", "<ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>",
        HONEST.replace(f'"{RSA_SHA256}"/>'.encode(), f'"{RSA_SHA256}"></ds:SignatureMethod>'.encode())), SIGNATURE,
        why="they ignore it beside RSA"),
    Vector("SHA-1", Layout(method=f"{DS}rsa-sha1", digest=f"{DS}sha1").signed(PARTNER), ALGORITHM, INVALID,
        why="xmlsec has SHA-1 on by default"),
    Vector("SHA-1 of the value only", Layout(method=f"{DS}rsa-sha1").signed(PARTNER), ALGORITHM, INVALID,
        why="xmlsec has SHA-1 on by default"),
    Vector("SHA-1 of a digest only", Layout(digest=f"{DS}sha1").signed(PARTNER), ALGORITHM, INVALID, why="xmlsec has SHA-1 on by default"),
    Vector("another method's name over the same value", replaced(RSA_SHA256, f"{MORE}rsa-sha512"), SIGNATURE, INVALID, INVALID),
    Vector("ECDSA named over an RSA value", replaced(RSA_SHA256, f"{MORE}ecdsa-sha256"), ALGORITHM, INVALID, INVALID),
    Vector("a method nobody knows", replaced(RSA_SHA256, "urn:none"), ALGORITHM, INVALID, INVALID),
    Vector("no method", changed(lambda root: find(root, "SignatureMethod").attrib.clear()), ALGORITHM, INVALID, INVALID),
    Vector("a digest nobody knows", reforged(SHA256, "urn:none"), ALGORITHM, INVALID, INVALID),
    Vector("RSA of 1024 bits", Layout().signed(SMALL), ALGORITHM, why="they take any size", signer=SMALL),
    Vector("P-521", Layout(method=f"{MORE}ecdsa-sha512").signed(pki.partner("ec", "p521")), ALGORITHM, why=_CLOSED, signer=pki.partner("ec",
        "p521")),
    Vector("ECDSA in DER", other_value(Layout(method=f"{MORE}ecdsa-sha256").signed(EC), bytes.fromhex("3006020101020101")), SIGNATURE,
        INVALID, INVALID, signer=EC),
    Vector("ECDSA of zeros", other_value(Layout(method=f"{MORE}ecdsa-sha256").signed(EC), bytes(64)), SIGNATURE, INVALID, INVALID,
        signer=EC),
    Vector("a shorter RSA value", other_value(HONEST, b"\1" * 255), SIGNATURE, INVALID, INVALID),
    Vector("an RSA value of one octet", other_value(HONEST, b"\1"), SIGNATURE, INVALID, INVALID),
    Vector("XSLT", Layout(body_transforms=XSLT + c14n()).signed(PARTNER), ALGORITHM, INVALID, why="xmlsec runs it"),
    Vector("XPath", Layout(body_transforms=XPATH + c14n()).signed(PARTNER), ALGORITHM, INVALID,
        why="xmlsec runs it: nothing of the Body is signed but its text"),
    Vector("enveloped-signature alone", Layout(body_transforms=ENVELOPED_STEP).signed(PARTNER), ALGORITHM, why=_CLOSED),
    Vector("no Transforms", resigned(Layout(), f"<ds:Transforms>{c14n()}</ds:Transforms>", ""), SIGNATURE,
        why="implied inclusive C14N, of which version they need not agree"),
    Vector("C14N twice", Layout(body_transforms=c14n() + c14n()).signed(PARTNER), ALGORITHM, INVALID,
        why="outside our list, and signxml trips over it"),
    Vector("C14N with comments", Layout(body_transforms=c14n(f"{EXCLUSIVE}WithComments")).signed(PARTNER), ALGORITHM, why=_CLOSED),
    Vector("C14N 1.1", Layout(body_transforms=c14n("http://www.w3.org/2006/12/xml-c14n11")).signed(PARTNER), ALGORITHM, why=_CLOSED),
    Vector("C14N of SignedInfo with comments", Layout(signed_info=c14n(f"{EXCLUSIVE}WithComments",
        tag="CanonicalizationMethod")).signed(PARTNER), ALGORITHM, why=_CLOSED),
    Vector("no C14N of SignedInfo", reforged(f'CanonicalizationMethod Algorithm="{EXCLUSIVE}"', "CanonicalizationMethod"), ALGORITHM,
        INVALID, INVALID),
    Vector("a PrefixList of 33", Layout(body_transforms=c14n(prefixes=" ".join(f"p{n}" for n in range(33)))).signed(PARTNER), ALGORITHM,
        why=_CLOSED),
    Vector("two PrefixLists", reforged(f'<ds:Transform Algorithm="{EXCLUSIVE}"/>', c14n(prefixes="s").replace("</ds:",
        f'<ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="wsse"/></ds:')), SIGNATURE, INVALID, INVALID),
    Vector("a PrefixList that is not what was signed", reforged(f'<ds:Transform Algorithm="{EXCLUSIVE}"/>', c14n(prefixes="wsse")),
        SIGNATURE, INVALID, INVALID),
    Vector("a PrefixList for inclusive C14N", reforged(f'<ds:Transform Algorithm="{EXCLUSIVE}"/>',
        c14n(prefixes="s").replace(f'Algorithm="{EXCLUSIVE}"', f'Algorithm="{INCLUSIVE}"')), SIGNATURE, INVALID, INVALID),
    Vector("inclusive C14N under xml:lang", Layout(declared='xml:lang="vi"', body_transforms=c14n(INCLUSIVE)).signed(PARTNER), SIGNATURE,
        INVALID, why="C14N 1.0 copies the attribute down, lxml does not; refused rather than guessed"),
]

KEYS = [
    Vector("the certificate of nobody here", Layout().signed(STRANGER), UNKNOWN, why=_TOKENS, signer=PARTNER, xmlsec=INVALID,
        signxml=INVALID),
    Vector("the token of another partner", replaced(PARTNER.token, OTHER.token), UNKNOWN, why=_TOKENS),
    Vector("signed by another, with the partner's token", replaced(OTHER.token, PARTNER.token, Layout().signed(OTHER)), SIGNATURE, INVALID,
        INVALID),
    Vector("a token that is not base64", replaced(PARTNER.token, "@@@@"), SIGNATURE, why=_TOKENS),
    Vector("an empty token", replaced(PARTNER.token, ""), SIGNATURE, why=_TOKENS),
    Vector("an element in the token", replaced(PARTNER.token, f"{PARTNER.token}<x/>"), SIGNATURE, why=_TOKENS),
    Vector("a token of another type", replaced(f'ValueType="{X509V3}" wsu', f'ValueType="{X509V3}x" wsu'), SIGNATURE, why=_TOKENS),
    Vector("a path that ends with another's certificate", chained(PKI_PATH, sequence(*der(PARTNER, OTHER))), UNKNOWN, why=_TOKENS),
    Vector("a path cut short", chained(PKI_PATH, sequence(*der(PARTNER))[:-1]), SIGNATURE, why=_TOKENS),
    Vector("a path with more behind it", chained(PKI_PATH, sequence(*der(PARTNER)) + b"0"), SIGNATURE, why=_TOKENS),
    Vector("a path of eleven", chained(PKI_PATH, sequence(*der(PARTNER) * 11)), SIGNATURE, why=_TOKENS),
    Vector("an empty path", chained(PKI_PATH, sequence()), SIGNATURE, why=_TOKENS),
    Vector("a path that begins with no certificate", chained(PKI_PATH, sequence(b"\x04\x01x", *der(PARTNER))), SIGNATURE, why=_TOKENS),
    Vector("a PKCS7 of others", chained(PKCS7, bag(OTHER)), UNKNOWN, why=_TOKENS),
    Vector("a PKCS7 that is none", chained(PKCS7, b"\x30\x03\x02\x01\x01"), SIGNATURE, why=_TOKENS),
    Vector("a path that the reference calls a certificate", chained(PKI_PATH, sequence(*der(PARTNER)), X509V3), SIGNATURE, why=_TOKENS),
    Vector("a token in another encoding", replaced(f'EncodingType="{BASE64}"', 'EncodingType="urn:hex"'), SIGNATURE, why=_TOKENS),
    Vector("no token", changed(lambda root: security(root).remove(find(root, "BinarySecurityToken"))), SIGNATURE, why=_TOKENS),
    Vector("the token outside the Security header", changed(lambda root: header(root).append(find(root, "BinarySecurityToken"))), SIGNATURE,
        why=_TOKENS),
    Vector("no KeyInfo", changed(lambda root: find(root, "Signature").remove(find(root, "KeyInfo"))), SIGNATURE, why=_TOKENS),
    Vector("an empty KeyInfo", key_info(""), SIGNATURE, INVALID, why=_TOKENS),
    Vector("X509Data outside a reference", key_info(CERTIFICATE), SIGNATURE, why=_TOKENS),
    Vector("X509Data of another beside it",
        key_info(f"<wsse:SecurityTokenReference>{DIRECT}</wsse:SecurityTokenReference><ds:X509Data><ds:X509Certificate>{OTHER.token}</ds:X509Certificate></ds:X509Data>"),
        SIGNATURE, why=_TOKENS),
    Vector("X509Certificate in the reference", pointer(CERTIFICATE), SIGNATURE, why=_CLOSED),
    Vector("KeyValue", key_info(KEY_VALUE), SIGNATURE, INVALID, why="signxml compares it with the certificate"),
    Vector("KeyName", key_info("<ds:KeyName>sotttt</ds:KeyName>"), SIGNATURE, why=_TOKENS),
    Vector("a key name in the reference", pointer("<ds:KeyName>sotttt</ds:KeyName>"), SIGNATURE, why=_TOKENS),
    Vector("RetrievalMethod", key_info('<ds:RetrievalMethod URI="http://127.0.0.1:9/key"/>'), SIGNATURE, why=_TOKENS),
    Vector("an embedded token",
        pointer(f"<wsse:Embedded><wsse:BinarySecurityToken>{PARTNER.token}</wsse:BinarySecurityToken></wsse:Embedded>"), SIGNATURE,
        why=_CLOSED),
    Vector("two references", key_info(f"<wsse:SecurityTokenReference>{DIRECT}</wsse:SecurityTokenReference>" * 2), SIGNATURE, why=_TOKENS),
    Vector("a reference to two tokens", pointer(DIRECT * 2), SIGNATURE, why=_TOKENS),
    Vector("a reference to the Body", pointer(DIRECT.replace("#X509", "#B")), SIGNATURE, why=_TOKENS),
    Vector("a reference to a token elsewhere", pointer(DIRECT.replace("#X509", "http://127.0.0.1:9/")), SIGNATURE, why=_TOKENS),
    Vector("another serial", issuer_serial(NAME, 1), UNKNOWN, why=_TOKENS),
    Vector("another issuer", issuer_serial("CN=Other CA"), UNKNOWN, why=_TOKENS),
    Vector("an issuer longer than any name", issuer_serial("CN=" + "x" * 2000), UNKNOWN, why=_TOKENS),
    Vector("an issuer that is no name", issuer_serial("Test CA"), UNKNOWN, why=_TOKENS),
    Vector("a serial that is no number", replaced(f"Number>{PARTNER.certificate.serial_number}<", "Number>0x1<", issuer_serial(NAME)),
        UNKNOWN, INVALID, why=_TOKENS),
    Vector("the key identifier of another", identifier(SKI, ski(OTHER)), UNKNOWN, why=_TOKENS),
    Vector("the thumbprint of another", identifier(THUMBPRINT, OTHER.certificate.fingerprint(hashes.SHA1())), UNKNOWN, why=_TOKENS),
    Vector("a key identifier of no known kind", identifier(X509V3, b"x"), SIGNATURE, why=_TOKENS),
    Vector("a key identifier in another encoding", identifier(SKI, ski(PARTNER), "urn:hex"), SIGNATURE, why=_TOKENS),
]

TIMES = [
    Vector("just not over", lived(NOW - 6 * MINUTE + SECOND, NOW - MINUTE + SECOND), ACCEPTED),
    Vector("over", lived(NOW - 6 * MINUTE, NOW - MINUTE), EXPIRED, why=_TIMES),
    Vector("made by a clock a minute ahead", lived(NOW + MINUTE, NOW + 2 * MINUTE), ACCEPTED),
    Vector("from the future", lived(NOW + MINUTE + SECOND, NOW + 2 * MINUTE), "timestamp-future", why=_TIMES),
    Vector("as long as may be", lived(NOW, NOW + MAX_AGE), ACCEPTED),
    Vector("an hour, as wse-php says", lived(NOW, NOW + 60 * MINUTE), EXPIRED, why=_TIMES),
    Vector("for ever", lived(NOW, datetime(9999, 12, 31, tzinfo=UTC)), EXPIRED, why=_TIMES),
    Vector("no time at all", lived(NOW, NOW), EXPIRED, why=_TIMES),
    Vector("backwards", lived(NOW, NOW - SECOND), EXPIRED, why=_TIMES),
    *(Vector(f"written {created}", Layout(created=created).signed(PARTNER), ACCEPTED) for created in ("2026-11-24T15:00:00+07:00",
        "2026-11-24T08:00:00.123456789Z", "2026-11-24T08:00:00.1Z", " 2026-11-24T08:00:00Z ")),
    *(Vector(f"written {created}", Layout(created=created).signed(PARTNER), NO_TIME, why=_TIMES) for created in ("", "2026-11-24T08:00:00",
        "2026-11-24", "24/11/2026", "2026-11-24 08:00:00Z", "2026-02-30T08:00:00Z", "2026-11-24T08:00:60Z",
        "2026-11-24T08:00:00.1234567890Z", "٢٠٢٦-11-24T08:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
        "2026-11-24T08:00:00+0700", "2026-11-24T08:00:00+99:00", "-2026-11-24T08:00:00Z")),
    Vector("no Timestamp", Layout(order=("token", "signature"), references=BOTH[1:]).signed(PARTNER), NO_TIME, why=_PURPOSE),
    Vector("the Timestamp as a header block", changed(lambda root: header(root).append(find(root, "Timestamp"))), NO_TIME, why=_POSITION),
    Vector("a second Timestamp", changed(lambda root: security(root).append(etree.Element(f"{{{WSU}}}Timestamp"))), SIGNATURE,
        why=_POSITION),
    Vector("the Timestamp moved away and another in its place", changed(another_timestamp), SIGNATURE, why=_POSITION),
    Vector("no Expires", resigned(Layout(), f"<wsu:Expires>{Layout().expires}</wsu:Expires>", ""), NO_TIME, why=_TIMES),
    Vector("no Created", resigned(Layout(), f"<wsu:Created>{Layout().created}</wsu:Created>", ""), NO_TIME, why=_TIMES),
    Vector("Created twice", resigned(Layout(), "<wsu:Created>", "<wsu:Created/><wsu:Created>"), NO_TIME, why=_TIMES),
    Vector("an element in Created", Layout(created=f"<x/>{stamp(NOW)}").signed(PARTNER), NO_TIME, why=_TIMES),
]

XML_TRICKS = [
    Vector("a DOCTYPE", b"<!DOCTYPE s:Envelope>" + HONEST, "doctype-refused", INVALID,
        why="xmlsec is given what the tree parser let through"),
    Vector("an entity", b"<!DOCTYPE x [<!ENTITY e 'x'>]>" + replaced("số 1", "số 1&e;"), "doctype-refused", INVALID, INVALID),
    Vector("a processing instruction in the Body", Layout(content="<?x y?><d/>").signed(PARTNER), "not-well-formed", why=_CLOSED),
    Vector("a comment in a DigestValue", changed(lambda root: find(root, "DigestValue").insert(0, etree.Comment("x"))), SIGNATURE,
        why=_COMMENTS),
    Vector("a comment in SignatureValue", changed(lambda root: find(root, "SignatureValue").insert(0, etree.Comment("x"))), SIGNATURE,
        why=_COMMENTS),
    Vector("a comment in the token", changed(lambda root: find(root, "BinarySecurityToken").insert(0, etree.Comment("x"))), SIGNATURE,
        why=_TOKENS),
    Vector("a comment inside a signed text", replaced("số 1", "số<!-- --> 1"), SIGNATURE, why=_COMMENTS),
    Vector("CDATA inside a signed text", replaced("số 1", "số<![CDATA[ 1]]>"), SIGNATURE, why=_CDATA),
    Vector("an empty CDATA section in a signed text", replaced("số 1", "số<![CDATA[]]> 1"), SIGNATURE, why=_CDATA),
    Vector("CDATA around a signed text", replaced("số 1", "<![CDATA[số 1]]>"), SIGNATURE, why=_CDATA),
    Vector("CDATA in Created", replaced("<wsu:Created>", "<wsu:Created><![CDATA[]]>"), SIGNATURE, why=_CDATA),
    Vector("CDATA in a DigestValue", replaced("</ds:DigestValue>", "<![CDATA[]]></ds:DigestValue>"), SIGNATURE, why=_CDATA),
    Vector("CDATA in the token", replaced("</wsse:BinarySecurityToken>", "<![CDATA[]]></wsse:BinarySecurityToken>"), SIGNATURE, why=_CDATA),
    Vector("a comment in Created", changed(lambda root: find(root, "Created").insert(0, etree.Comment("x"))), SIGNATURE, why=_COMMENTS),
    Vector("a relative namespace URI in the Body", replaced("urn:lienthong:documents:1", "relative"), SIGNATURE, INVALID, INVALID),
    Vector("a relative namespace URI, and the digest of nothing", void_digest(), SIGNATURE, INVALID, INVALID),
    Vector("a relative namespace URI in SignedInfo", forge_void(), SIGNATURE, INVALID, INVALID),
    Vector("a relative namespace URI on the Envelope", replaced("<s:Envelope ", '<s:Envelope xmlns:v="relative" '), SIGNATURE, INVALID,
        INVALID),
    Vector("a text after the Timestamp", replaced("</wsu:Timestamp>", "</wsu:Timestamp>text"), ACCEPTED, INVALID,
        why="signxml takes the text after an element for a part of it"),
    Vector("a header block whose name is not ASCII", replaced("<s:Header>", "<s:Header><ngày/>"), ACCEPTED, INVALID,
        why="signxml writes the document in ASCII, in which no such name can be written"),
    Vector("a text between the parts of a Reference", reforged("<ds:DigestValue>", "text<ds:DigestValue>"), SIGNATURE, INVALID,
        why="no schema allows it; xmlsec passes over it"),
    Vector("a text among the Transforms", reforged("<ds:Transforms>", "<ds:Transforms>text"), SIGNATURE, INVALID,
        why="no schema allows it; xmlsec passes over it"),
    Vector("an attribute in the Signature that no schema knows", reforged("<ds:DigestValue>", '<ds:DigestValue x="">'), ACCEPTED, INVALID,
        why="signxml validates the Signature against a schema; the others do not read it"),
    Vector("an xml:id that is no name", replaced("<ds:SignatureValue>", '<ds:SignatureValue xml:id="1 2">'), ACCEPTED, INVALID, INVALID,
        why="their parser collects ids, and wants every xml:id to be a name"),
    Vector("a relative namespace URI outside what is signed", replaced("<wsse:BinarySecurityToken ",
        '<wsse:BinarySecurityToken xmlns:v="relative" '), ACCEPTED, xmlsec=INVALID, why="xmlsec goes through the whole document"),
    Vector("a DigestValue with junk", reforged("<ds:DigestValue>", "<ds:DigestValue>*"), SIGNATURE, xmlsec=INVALID,
        why="signxml passes over what is not base64"),
    Vector("an empty DigestValue", forge(changed(lambda root: setattr(find(root, "DigestValue"), "text", "")), PARTNER), SIGNATURE, INVALID,
        INVALID),
    Vector("a DigestValue of zeros", forge(changed(lambda root: setattr(find(root, "DigestValue"), "text",
        base64.b64encode(bytes(32)).decode())), PARTNER), SIGNATURE, INVALID, INVALID),
    Vector("a DigestValue cut short", forge(changed(lambda root: setattr(find(root, "DigestValue"), "text", "AAAA")), PARTNER), SIGNATURE,
        INVALID, INVALID),
    Vector("an element in a DigestValue", forge(changed(lambda root: etree.SubElement(find(root, "DigestValue"), "x")), PARTNER), SIGNATURE,
        INVALID, why="xmlsec reads the text around it"),
    Vector("another text in the Body", replaced("số 1", "số 2"), SIGNATURE, INVALID, INVALID),
    Vector("another attribute in the Body", replaced("<d:MessageId>", '<d:MessageId x="">'), SIGNATURE, INVALID, INVALID),
    Vector("one space more in the Body", replaced("<d:MessageId>", " <d:MessageId>"), SIGNATURE, INVALID, INVALID),
    Vector("another namespace in the Body", replaced("urn:lienthong:documents:1", "urn:lienthong:documents:2"), SIGNATURE, INVALID,
        INVALID),
    Vector("another Created", replaced("08:00:00Z", "08:00:01Z"), SIGNATURE, INVALID, INVALID),
    Vector("another URI", replaced('URI="#B"', 'URI="#TS"'), SIGNATURE, INVALID, INVALID),
    Vector("another attribute in SignedInfo", replaced('URI="#B"', 'URI="#B" Type=""'), SIGNATURE, INVALID, INVALID),
]

# fmt: on

EVERY = [*FORMS, *WRAPPED, *COVERAGE, *STR_TRANSFORMS, *ALGORITHMS, *KEYS, *TIMES, *XML_TRICKS]
