"""Signed envelopes in every layout a partner may send, and two judges that are not ours.  Knows nothing of how the hub signs.

A layout is a template written by hand, whose digests and value xmlsec fills in; hostile ones are made from it by changing text or
tree, or by `forge`, which signs whatever SignedInfo it is given.
"""

import base64
import copy
from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs
import xmlsec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lxml import etree
from signxml import SignatureConfiguration, XMLVerifier
from signxml.exceptions import SignXMLException

from hub.domain.errors import Rejected
from hub.formats import safe_xml
from hub.security import wss_verify
from hub.security.certificates import Identity
from tests.pki import NOW

SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
DS = "http://www.w3.org/2000/09/xmldsig#"
_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE = f"{_OASIS}wssecurity-secext-1.0.xsd"
WSU = f"{_OASIS}wssecurity-utility-1.0.xsd"
X509V3 = f"{_OASIS}x509-token-profile-1.0#X509v3"
SKI = f"{_OASIS}x509-token-profile-1.0#X509SubjectKeyIdentifier"
THUMBPRINT = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1"
BASE64 = f"{_OASIS}soap-message-security-1.0#Base64Binary"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = f"{DS}enveloped-signature"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"

MAX_AGE = timedelta(seconds=900)
CONTENT = '<d:SendDocument xmlns:d="urn:lienthong:documents:1"><d:MessageId>số 1</d:MessageId></d:SendDocument>'


def c14n(name: str = EXCLUSIVE, prefixes: str | None = None, tag: str = "Transform") -> str:
    """Return a Transform or CanonicalizationMethod element; *prefixes* is a PrefixList."""
    listed = "" if prefixes is None else f'<ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="{prefixes}"/>'
    return f'<ds:{tag} Algorithm="{name}">{listed}</ds:{tag}>'


def stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


@attrs.frozen(kw_only=True)
class Layout:
    """What of an envelope's form may vary."""

    soap: str = SOAP11
    declared: str = ""  #: more namespaces on the Envelope
    security: str = ""  #: attributes of the Security header
    order: tuple[str, ...] = ("token", "timestamp", "signature")
    token_id: str = 'wsu:Id="X509"'
    timestamp_id: str = 'wsu:Id="TS"'
    body_id: str = 'wsu:Id="B"'
    created: str = stamp(NOW)
    expires: str = stamp(NOW + timedelta(minutes=5))
    signed_info: str = c14n(tag="CanonicalizationMethod")
    method: str = RSA_SHA256
    digest: str = SHA256
    body_transforms: str = c14n()
    timestamp_transforms: str = c14n()
    references: tuple[tuple[str, str], ...] | None = None  #: (URI, transforms); None: Timestamp and Body
    key_info: str = (
        f'<wsse:SecurityTokenReference><wsse:Reference URI="#X509" ValueType="{X509V3}"/></wsse:SecurityTokenReference>'
    )
    headers: str = ""
    content: str = CONTENT

    def template(self, certificate: str) -> str:
        """Return the envelope with empty digests and value; *certificate* is base64."""
        references = self.references
        if references is None:
            references = (("#TS", self.timestamp_transforms), ("#B", self.body_transforms))
        listed = "".join(
            f'<ds:Reference URI="{uri}"><ds:Transforms>{transforms}</ds:Transforms>'
            f'<ds:DigestMethod Algorithm="{self.digest}"/><ds:DigestValue></ds:DigestValue></ds:Reference>'
            for uri, transforms in references
        )
        parts = {
            "token": f'<wsse:BinarySecurityToken EncodingType="{BASE64}" ValueType="{X509V3}" {self.token_id}>{certificate}'
            "</wsse:BinarySecurityToken>",
            "timestamp": f"<wsu:Timestamp {self.timestamp_id}><wsu:Created>{self.created}</wsu:Created>"
            f"<wsu:Expires>{self.expires}</wsu:Expires></wsu:Timestamp>",
            "signature": f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>{self.signed_info}'
            f'<ds:SignatureMethod Algorithm="{self.method}"/>{listed}</ds:SignedInfo><ds:SignatureValue></ds:SignatureValue>'
            f"<ds:KeyInfo>{self.key_info}</ds:KeyInfo></ds:Signature>",
        }
        return (
            f'<s:Envelope xmlns:s="{self.soap}" xmlns:wsu="{WSU}" {self.declared}><s:Header><wsse:Security xmlns:wsse="{WSSE}"'
            f" {self.security}>{''.join(parts[part] for part in self.order)}</wsse:Security>{self.headers}</s:Header>"
            f"<s:Body {self.body_id}>{self.content}</s:Body></s:Envelope>"
        )

    def signed(self, identity: Identity) -> bytes:
        """Return the envelope signed by xmlsec."""
        return fill(self.template(identity.token), identity)


def fill(template: str, identity: Identity) -> bytes:
    """Return *template*, whatever document it is of, with every digest and value computed by xmlsec."""
    root = plain(template.encode())
    xmlsec.tree.add_ids(root, ["Id", "id"])
    context = xmlsec.SignatureContext()
    secret = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context.key = xmlsec.Key.from_memory(secret, xmlsec.constants.KeyDataFormatPem)
    (found,) = root.iter(f"{{{DS}}}Signature")
    context.sign(found)
    return etree.tostring(root, encoding="UTF-8")


def forge(content: bytes, identity: Identity, *, within: str = "") -> bytes:
    """Return *content* with the SignatureValue made anew over whatever SignedInfo it has; *within*: path of the Signature's parent."""
    root = plain(content)
    signed_info = root.find(f".//{within}{{{DS}}}Signature/{{{DS}}}SignedInfo")
    assert signed_info is not None
    octets = etree.tostring(signed_info, method="c14n", exclusive=True, with_comments=False)
    value = signed_info.getnext()
    assert value is not None
    value.text = base64.b64encode(raw_value(octets, identity)).decode()
    return etree.tostring(root, encoding="UTF-8")


def raw_value(octets: bytes, identity: Identity) -> bytes:
    """Return the signature value of *octets* as XMLDSig writes it, with SHA-256."""
    if isinstance(identity.key, EllipticCurvePrivateKey):
        r, s = decode_dss_signature(identity.key.sign(octets, ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
    return identity.key.sign(octets, PKCS1v15(), hashes.SHA256())


def plain(content: bytes) -> etree._Element:
    """Parse as an unwary program does."""
    return etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))


def shuffled(content: bytes, taken: int, target: int, *, repeated: bool, inside: bool) -> bytes | None:
    """Return *content* with its element number *taken* moved, or *repeated*, to after or *inside* number *target*; None: it cannot be."""
    root = plain(content)
    elements = list(root.iter())
    moved, place = elements[taken], elements[target]
    if repeated:
        moved = copy.deepcopy(moved)
    elif place is moved or moved in place.iterancestors():
        return None
    if inside:
        place.append(moved)
    elif place is not root:
        place.addnext(moved)
    return etree.tostring(root, encoding="UTF-8")


def ours(
    content: bytes,
    identities: Sequence[Identity],
    now: datetime = NOW,
    *,
    sha1: bool = False,
    max_age: timedelta = MAX_AGE,
) -> str:
    """Return `accepted`, or the code of the refusal."""
    try:
        root = safe_xml.parse_safe_xml(content)
        verified = wss_verify.verify_envelope(
            root, [identity.certificate for identity in identities], now, max_age=max_age, sha1=sha1
        )
    except Rejected as rejected:
        return rejected.problems[0].code
    assert verified.body.getparent() is root
    return "accepted"


def by_signxml(content: bytes, identity: Identity) -> str:
    """Return `valid` or `invalid`: whether signxml finds a valid signature, of whatever."""
    settings = SignatureConfiguration(location=".//", expect_references=True, require_x509=True, verification_time=NOW)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    try:
        XMLVerifier().verify(content, x509_cert=identity.certificate, expect_config=settings, parser=parser)
    except (SignXMLException, InvalidSignature, ValueError, TypeError, etree.LxmlError):  # TypeError: see «C14N twice»
        return "invalid"
    return "valid"


def by_xmlsec(content: bytes, identity: Identity) -> str:
    """Return `valid` or `invalid`: whether xmlsec finds a valid signature, of whatever."""
    try:
        root = plain(content)
        xmlsec.tree.add_ids(root, ["Id", "id"])
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(
            identity.certificate.public_bytes(Encoding.PEM), xmlsec.constants.KeyDataFormatCertPem
        )
        found = next(root.iter(f"{{{DS}}}Signature"), None)
        if found is None:
            return "invalid"
        context.verify(found)
    except (xmlsec.Error, etree.LxmlError):
        return "invalid"
    return "valid"
