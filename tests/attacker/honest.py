"""An honest message, written and signed from the specifications alone: XMLDSig 1.1, WS-Security X.509 token profile, edXML by example.

Knows identities, envelopes, packets and how each is signed, and lets every step be done wrongly on purpose.  Shares nothing with the hub.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from lxml import etree

SOAP = {"1.1": "http://schemas.xmlsoap.org/soap/envelope/", "1.2": "http://www.w3.org/2003/05/soap-envelope"}
DS = "http://www.w3.org/2000/09/xmldsig#"
OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
WSSE = f"{OASIS}-wssecurity-secext-1.0.xsd"
WSU = f"{OASIS}-wssecurity-utility-1.0.xsd"
X509V3 = f"{OASIS}-x509-token-profile-1.0#X509v3"
BASE64 = f"{OASIS}-soap-message-security-1.0#Base64Binary"
SKI = f"{OASIS}-x509-token-profile-1.0#X509SubjectKeyIdentifier"
THUMBPRINT = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1"
DOCUMENTS = "urn:lienthong:documents:1"
EDXML = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
XML = "http://www.w3.org/XML/1998/namespace"

EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
INC = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = f"{DS}enveloped-signature"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
ENC = "http://www.w3.org/2001/04/xmlenc#"
PSS = "http://www.w3.org/2007/05/xmldsig-more#"

SHA256 = f"{ENC}sha256"
RSA_SHA256 = f"{MORE}rsa-sha256"
DIGESTS = {
    f"{DS}sha1": "sha1",
    f"{MORE}md5": "md5",
    f"{MORE}sha224": "sha224",
    SHA256: "sha256",
    f"{MORE}sha384": "sha384",
    f"{ENC}sha512": "sha512",
    f"{PSS}sha3-256": "sha3_256",
}

# Identifier attributes as toolkits write them, and as attackers do.
ID_KINDS = {
    "wsu:Id": f"{{{WSU}}}Id",
    "Id": "Id",
    "xml:id": f"{{{XML}}}id",
    "ID": "ID",
    "id": "id",
    "AssertionID": "AssertionID",
    "wsse:Id": f"{{{WSSE}}}Id",
    "ds:Id": f"{{{DS}}}Id",
}


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


@dataclass(frozen=True)
class Identity:
    """A key, its certificate, the files TLS wants, and the unit its owner may speak for."""

    name: str
    key: Any
    certificate: x509.Certificate
    key_file: Path
    certificate_file: Path
    unit: str = ""

    @classmethod
    def read(cls, name: str, key_file: Path, certificate_file: Path, unit: str = "") -> "Identity":
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        return cls(
            name, key, x509.load_pem_x509_certificate(certificate_file.read_bytes()), key_file, certificate_file, unit
        )

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def elliptic(self) -> bool:
        return isinstance(self.key, ec.EllipticCurvePrivateKey)


# --- signing -------------------------------------------------------------------------------------------------------


def rsa_value(key: rsa.RSAPrivateKey, octets: bytes, hash_name: str = "SHA256", pad: Any = None) -> bytes:
    return key.sign(octets, pad or padding.PKCS1v15(), getattr(hashes, hash_name)())


def ec_value(key: ec.EllipticCurvePrivateKey, octets: bytes, hash_name: str = "SHA256") -> bytes:
    r, s = utils.decode_dss_signature(key.sign(octets, ec.ECDSA(getattr(hashes, hash_name)())))
    width = (key.curve.key_size + 7) // 8
    return r.to_bytes(width, "big") + s.to_bytes(width, "big")


def honest_value(identity: Identity) -> tuple[str, Callable[[bytes], bytes]]:
    if identity.elliptic:
        return f"{MORE}ecdsa-sha256", lambda octets: ec_value(identity.key, octets)
    return RSA_SHA256, lambda octets: rsa_value(identity.key, octets)


def canonical(element: Any, algorithm: str = EXC, prefixes: Sequence[str] = ()) -> bytes:
    """Octets of an element in exclusive or inclusive form; comments stay only where the algorithm says so."""
    return etree.tostring(
        element,
        method="c14n",
        exclusive="exc-c14n" in algorithm,
        with_comments=algorithm.endswith("WithComments"),
        inclusive_ns_prefixes=list(prefixes) or None,
        with_tail=False,
    )


def digest(octets: bytes, method: str = SHA256) -> str:
    return b64(hashlib.new(DIGESTS.get(method, "sha256"), octets, usedforsecurity=False).digest())


@dataclass
class Reference:
    uri: str | None
    value: str
    method: str = SHA256
    transforms: Sequence[str] | None = (EXC,)  # URIs, or whole elements; None leaves Transforms out
    attributes: str = ""

    def text(self) -> str:
        uri = "" if self.uri is None else f' URI="{self.uri}"'
        chain = ""
        if self.transforms is not None:
            each = (one if one.startswith("<") else f'<ds:Transform Algorithm="{one}"/>' for one in self.transforms)
            chain = f"<ds:Transforms>{''.join(each)}</ds:Transforms>"
        return (
            f'<ds:Reference{uri}{self.attributes}>{chain}<ds:DigestMethod Algorithm="{self.method}"/>'
            f"<ds:DigestValue>{self.value}</ds:DigestValue></ds:Reference>"
        )


def key_info(identity: Identity, kind: str = "direct", token: str = "X509") -> str:
    """A SecurityTokenReference of one of the kinds of the token profile."""
    certificate = identity.certificate
    if kind == "direct":
        inner = f'<wsse:Reference URI="#{token}" ValueType="{X509V3}"/>'
    elif kind == "issuer-serial":
        inner = issuer_serial(certificate)
    elif kind == "ski":
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        inner = f'<wsse:KeyIdentifier ValueType="{SKI}" EncodingType="{BASE64}">{b64(found)}</wsse:KeyIdentifier>'
    else:
        found = certificate.fingerprint(hashes.SHA1())  # the profile names it so
        inner = (
            f'<wsse:KeyIdentifier ValueType="{THUMBPRINT}" EncodingType="{BASE64}">{b64(found)}</wsse:KeyIdentifier>'
        )
    return f"<ds:KeyInfo><wsse:SecurityTokenReference>{inner}</wsse:SecurityTokenReference></ds:KeyInfo>"


def issuer_serial(certificate: x509.Certificate) -> str:
    return (
        f"<ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>{certificate.issuer.rfc4514_string()}</ds:X509IssuerName>"
        f"<ds:X509SerialNumber>{certificate.serial_number}</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data>"
    )


# --- the envelope --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """How an honest toolkit writes its envelope."""

    version: str = "1.1"
    id_kind: str = "wsu:Id"
    canonical: str = EXC
    reference: str = "direct"
    body_id: str = "Body"
    timestamp_id: str = "Time"

    def headers(self, operation: str = "SendDocument") -> dict[str, str]:
        if self.version == "1.1":
            return {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{DOCUMENTS}/{operation}"'}
        return {"Content-Type": f'application/soap+xml; charset=utf-8; action="{DOCUMENTS}/{operation}"'}


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def timestamp(created: str | None, expires: str | None) -> str:
    inner = "" if created is None else f"<wsu:Created>{created}</wsu:Created>"
    return inner + ("" if expires is None else f"<wsu:Expires>{expires}</wsu:Expires>")


def send_document(message_id: str | None, packet: bytes, operation: str = "SendDocument") -> str:
    named = "" if message_id is None else f"<d:MessageId>{message_id}</d:MessageId>"
    return f'<d:{operation} xmlns:d="{DOCUMENTS}">{named}<d:Packet>{b64(packet)}</d:Packet></d:{operation}>'


def call(operation: str, **values: str) -> str:
    inner = "".join(f"<d:{name}>{value}</d:{name}>" for name, value in values.items())
    return f'<d:{operation} xmlns:d="{DOCUMENTS}">{inner}</d:{operation}>'


def plain_call(operation: str, form: Form) -> bytes:
    """An envelope without any security, for partners whose packets are signed."""
    return f'<s:Envelope xmlns:s="{SOAP[form.version]}"><s:Body>{operation}</s:Body></s:Envelope>'.encode()


def parse(octets: bytes) -> Any:
    return etree.fromstring(
        octets,
        etree.XMLParser(
            resolve_entities=False, no_network=True, huge_tree=True, remove_comments=False, strip_cdata=False
        ),
    )


def write(root: Any) -> bytes:
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def frame(form: Form, identity: Identity, operation: str, *, clock: str | None = None, token: str | None = None) -> str:
    """An envelope without its signature, which belongs where `<!--sign-->` stands."""
    soap = SOAP[form.version]
    if clock is None:
        now = datetime.now(UTC)
        clock = timestamp(moment(now), moment(now + timedelta(minutes=5)))
    if token is None:
        kinds = f'ValueType="{X509V3}" EncodingType="{BASE64}"'
        token = f'<wsse:BinarySecurityToken wsu:Id="X509" {kinds}>{b64(identity.der)}</wsse:BinarySecurityToken>'
    kind = form.id_kind
    return (
        f'<s:Envelope xmlns:s="{soap}" xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" xmlns:ds="{DS}"><s:Header>'
        f'<wsse:Security s:mustUnderstand="1">{token}<wsu:Timestamp {kind}="{form.timestamp_id}">{clock}</wsu:Timestamp><!--sign-->'
        f'</wsse:Security></s:Header><s:Body {kind}="{form.body_id}">{operation}</s:Body></s:Envelope>'
    )


class Letter:
    """A parsed envelope, with names for its parts."""

    def __init__(self, octets: bytes) -> None:
        self.root = parse(octets)

    @property
    def soap(self) -> str:
        return etree.QName(self.root).namespace or ""

    @property
    def header(self) -> Any:
        return self.root.find(f"{{{self.soap}}}Header")

    @property
    def body(self) -> Any:
        return self.root.find(f"{{{self.soap}}}Body")

    @property
    def security(self) -> Any:
        return self.header.find(f"{{{WSSE}}}Security")

    @property
    def clock(self) -> Any:
        return self.security.find(f"{{{WSU}}}Timestamp")

    @property
    def token(self) -> Any:
        return self.security.find(f"{{{WSSE}}}BinarySecurityToken")

    @property
    def signature(self) -> Any:
        return self.security.find(f"{{{DS}}}Signature")

    def octets(self) -> bytes:
        return write(self.root)


@dataclass
class Sealing:
    """Every choice that goes into a signature; the defaults are honest."""

    method: str | None = None
    canonical: str = ""
    canonical_text: str | None = None  # instead of CanonicalizationMethod
    value: Callable[[bytes], bytes] | None = None
    key_info: str | None = None
    references: Callable[[Letter, list[Reference]], list[Reference]] | None = None
    before: Callable[[Letter], None] | None = None  # changes the unsigned tree: what follows is signed with the change
    text: Callable[[str], str] | None = None  # changes the unsigned text
    signed_info: Callable[[str], str] | None = None  # changes SignedInfo's text before it is signed
    method_inner: str = ""
    attached: str = ""  # behind KeyInfo
    empty_on_error: bool = True
    extra: dict[str, str] = field(default_factory=dict)


def seal(text: str, form: Form, identity: Identity, how: Sealing | None = None) -> bytes:
    """Signs Body and Timestamp of a framed envelope, or does what `how` says instead."""
    how = how or Sealing()
    if how.text:
        text = how.text(text)
    letter = Letter(text.encode())
    if how.before:
        how.before(letter)
        letter = Letter(write(letter.root))
    references = []
    for part, name in ((letter.clock, form.timestamp_id), (letter.body, form.body_id)):
        if part is not None:
            references.append(Reference(f"#{name}", digest(void(part, form.canonical)), transforms=(form.canonical,)))
    if how.references:
        references = how.references(letter, references)
    method, value = honest_value(identity)
    method, value = method if how.method is None else how.method, how.value or value
    c14n = how.canonical or form.canonical
    chosen = how.canonical_text
    if chosen is None:
        chosen = f'<ds:CanonicalizationMethod Algorithm="{c14n}"/>'
    info = (
        f'<ds:SignedInfo>{chosen}<ds:SignatureMethod Algorithm="{method}">{how.method_inner}</ds:SignatureMethod>'
        f"{''.join(one.text() for one in references)}</ds:SignedInfo>"
    )
    if how.signed_info:
        info = how.signed_info(info)
    keys = key_info(identity, form.reference) if how.key_info is None else how.key_info
    dressed = f"<ds:Signature>{info}<ds:SignatureValue></ds:SignatureValue>{keys}{how.attached}</ds:Signature>"
    whole = write(letter.root).replace(b"<!--sign-->", dressed.encode())
    letter = Letter(whole)
    signature = letter.root.find(f".//{{{DS}}}Signature")
    octets = void(signature.find(f"{{{DS}}}SignedInfo"), c14n)
    signature.find(f"{{{DS}}}SignatureValue").text = b64(value(octets))
    return letter.octets()


def void(element: Any, algorithm: str) -> bytes:
    """The canonical octets; none at all where libxml2 has no canonical form, as a careless verifier would take them."""
    try:
        return canonical(element, algorithm)
    except etree.C14NError:
        return b""


# --- the packet ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Paper:
    """What goes into one edXML packet."""

    sender: str
    recipient: str
    number: int
    subject: str = "thu tin cay"
    attachment: bytes = b"noi dung\n"
    attachment_name: str = "van-ban.txt"
    declaration: str = '<?xml version="1.0" encoding="UTF-8"?>\n'
    root: str = ""  # more attributes of the root
    tail: str = ""  # more children of edXMLHeader

    def but(self, **values: Any) -> "Paper":
        return replace(self, **values)

    def text(self) -> str:
        return (
            f'{self.declaration}<edXML xmlns="{EDXML}"{self.root}><edXMLEnvelope><edXMLHeader><MessageHeader>'
            f"<From><OrganId>{self.sender}</OrganId><OrganName>Ben gui</OrganName></From>"
            f"<To><OrganId>{self.recipient}</OrganId><OrganName>Ben nhan</OrganName></To>"
            f"<DocumentId>{self.sender},2026/11/20,{self.number}/ATK</DocumentId>"
            f"<Code><CodeNumber>{self.number}</CodeNumber><CodeNotation>ATK</CodeNotation></Code>"
            "<PromulgationInfo><Place>Thai Nguyen</Place><PromulgationDate>2026/11/20</PromulgationDate></PromulgationInfo>"
            "<DocumentType><Type>1</Type><TypeName>Cong van</TypeName></DocumentType>"
            f"<Subject>{self.subject}</Subject>"
            "<SignerInfo><Position>Giam doc</Position><FullName>Nguoi Ky</FullName></SignerInfo>"
            "<DueDate>2026/12/31</DueDate></MessageHeader><TraceHeaderList><TraceHeader>"
            f"<OrganId>{self.sender}</OrganId><Timestamp>2026/11/20 08:00:00</Timestamp></TraceHeader>"
            "<Bussiness><BussinessDocType>0</BussinessDocType><BussinessDocReason>Van ban moi</BussinessDocReason>"
            f"<Paper>0</Paper></Bussiness></TraceHeaderList>{self.tail}<!--sign--></edXMLHeader><edXMLBody><edXMLManifest><Reference>"
            f"<ContentId>cid:1</ContentId><ContentType>text/plain</ContentType><AttachmentName>{self.attachment_name}</AttachmentName>"
            "</Reference></edXMLManifest></edXMLBody></edXMLEnvelope><AttachmentEncoded><Attachment><ContentId>cid:1</ContentId>"
            f"<AttachmentName>{self.attachment_name}</AttachmentName><ContentType>text/plain</ContentType>"
            f"<ContentTransferEncoded>{b64(self.attachment)}</ContentTransferEncoded></Attachment></AttachmentEncoded></edXML>"
        )

    def octets(self) -> bytes:
        return self.text().replace("<!--sign-->", "").encode()


def x509_data(identity: Identity) -> str:
    return f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{b64(identity.der)}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"


def seal_packet(text: str, identity: Identity, how: Sealing | None = None) -> bytes:
    """An enveloped XMLDSig over the whole packet where `<!--sign-->` stands, or what `how` says instead."""
    how = how or Sealing()
    if how.text:
        text = how.text(text)
    root = parse(text.replace("<!--sign-->", "").encode())
    references = [Reference("", digest(void(root, EXC)), transforms=(ENVELOPED, EXC))]
    if how.references:
        references = how.references(root, references)
    method, value = honest_value(identity)
    method, value = method if how.method is None else how.method, how.value or value
    chosen = how.canonical_text
    if chosen is None:
        chosen = f'<ds:CanonicalizationMethod Algorithm="{how.canonical or EXC}"/>'
    info = (
        f'<ds:SignedInfo>{chosen}<ds:SignatureMethod Algorithm="{method}">{how.method_inner}</ds:SignatureMethod>'
        f"{''.join(one.text() for one in references)}</ds:SignedInfo>"
    )
    if how.signed_info:
        info = how.signed_info(info)
    keys = x509_data(identity) if how.key_info is None else how.key_info
    dressed = f'<ds:Signature xmlns:ds="{DS}">{info}<ds:SignatureValue>@value@</ds:SignatureValue>{keys}{how.attached}</ds:Signature>'
    whole = text.replace("<!--sign-->", dressed)
    signed = parse(whole.encode()).find(f".//{{{DS}}}SignedInfo")
    return whole.replace("@value@", b64(value(void(signed, how.canonical or EXC)))).encode()
