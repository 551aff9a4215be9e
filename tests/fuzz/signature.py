"""Signed envelopes: one that is accepted is accepted by signxml and xmlsec too, and what is believed of it is what was signed.

Some inputs are changed and then signed anew by xmlsec, wherever their references point: as the partner itself might sign.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import suppress

import xmlsec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml import SignatureConfiguration, XMLVerifier
from signxml.exceptions import SignXMLException

from hub.domain.errors import Rejected
from hub.formats import safe_xml
from hub.security import wss_verify
from hub.security.wss_verify import Verified
from hub.security.xmldsig import PLAIN, canonicalize_element
from tests.fuzz import resigning
from tests.fuzz.identities import PARTNER, STRANGER
from tests.fuzz.told import gist, tell
from tests.pki import NOW
from tests.signatures import (
    BASE64,
    CONTENT,
    DS,
    ENVELOPED,
    EXCLUSIVE,
    INCLUSIVE,
    MAX_AGE,
    SKI,
    SOAP12,
    THUMBPRINT,
    WSSE,
    Layout,
    c14n,
)

LONGEST = 8192
CODES = {
    *(
        "unsigned",
        "timestamp-missing",
        "timestamp-expired",
        "timestamp-future",
        "signature-invalid",
        "algorithm-refused",
    ),
    *("certificate-unknown", "signature-covers-too-little"),
}
WORDS = (
    *(
        "#B",
        "#TS",
        "#X509",
        "#H",
        "B",
        "TS",
        "X509",
        "H",
        "",
        EXCLUSIVE,
        INCLUSIVE,
        ENVELOPED,
        f"{EXCLUSIVE}WithComments",
    ),
    *("s wsse", "#default", "http://www.w3.org/2006/12/xml-c14n11", f"{DS}rsa-sha1", f"{DS}hmac-sha1", f"{DS}base64"),
    *("2026-11-24T08:00:00Z", "2026-11-24T08:05:00Z", "2026-11-24T15:00:00.5+07:00", PARTNER.token, STRANGER.token),
    *(BASE64, SKI, THUMBPRINT, "http://schemas.xmlsoap.org/soap/actor/next", "urn:other"),
)


def _pointer(inner: str) -> str:
    return f"<wsse:SecurityTokenReference>{inner}</wsse:SecurityTokenReference>"


def _layouts() -> Iterator[Layout]:
    yield Layout()
    yield Layout(soap=SOAP12, security='s:mustUnderstand="true"', order=("signature", "token", "timestamp"))
    yield Layout(
        declared='xmlns="urn:d" xmlns:q="urn:q"', body_transforms=c14n(INCLUSIVE), timestamp_transforms=c14n(INCLUSIVE)
    )
    yield Layout(timestamp_transforms=f'<ds:Transform Algorithm="{ENVELOPED}"/>' + c14n(), body_id='Id="B"')
    yield Layout(body_transforms=c14n(prefixes="#default s wsu"), token_id='xml:id="X509"')
    every = tuple((uri, c14n()) for uri in ("#TS", "#B", "#H", "#X509"))
    yield Layout(headers='<a:To xmlns:a="urn:a" wsu:Id="H">hub</a:To>', references=every)
    thumb = base64.b64encode(PARTNER.certificate.fingerprint(SHA1())).decode()
    identifier = f'<wsse:KeyIdentifier EncodingType="{BASE64}" ValueType="{THUMBPRINT}">{thumb}</wsse:KeyIdentifier>'
    yield Layout(key_info=_pointer(identifier))
    issuer = f"<ds:X509IssuerName>{PARTNER.certificate.issuer.rfc4514_string()}</ds:X509IssuerName>"
    serial = f"<ds:X509SerialNumber>{PARTNER.certificate.serial_number}</ds:X509SerialNumber>"
    data = f"<ds:X509Data><ds:X509IssuerSerial>{issuer}{serial}</ds:X509IssuerSerial></ds:X509Data>"
    yield Layout(key_info=_pointer(data))
    yield Layout(content=f'<d:A xmlns:d="urn:d"><d:B Id="1"/>{CONTENT}<d:B Id="1" i:nil="0" xmlns:i="urn:i"/></d:A>')


def seeds() -> Iterator[bytes]:
    for layout in _layouts():
        yield layout.signed(PARTNER)
    yield Layout().signed(STRANGER)


_ABSOLUTE = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")  #: how such a URI begins (RFC 3986, 3.1)
PLACE = f"./*/{{{WSSE}}}Security/{{{DS}}}Signature"
trees = resigning.trees(WORDS)
change, cross = trees.change, trees.cross


def _read(verified: Verified) -> tuple[bytes, bytes]:
    return canonicalize_element(verified.body, PLAIN), canonicalize_element(verified.timestamp, PLAIN)


def _verify(root: etree._Element) -> Verified:
    return wss_verify.verify_envelope(root, [PARTNER.certificate], NOW, max_age=MAX_AGE)


#: What was signed in the seeds, by the value of the signature: nobody without the key can put anything else under it.
SIGNED = {
    found.signature_value: _read(found)
    for found in (_verify(safe_xml.parse_safe_xml(each.signed(PARTNER))) for each in _layouts())
}


def judge(content: bytes) -> None:
    try:
        root = safe_xml.parse_safe_xml(content)
    except Rejected:
        return
    try:
        verified = _verify(root)
    except Rejected as rejected:
        (problem,) = rejected.problems
        assert problem.code in CODES, problem
        tell(problem.code, gist(str(problem.detail)))
        return
    header = root[0]
    assert verified.body is root[-1]
    assert verified.timestamp.getparent().getparent() is header  # type: ignore[union-attr]
    assert all(block.getparent() is header for block in verified.headers)
    body, timestamp = _read(verified)
    known = SIGNED.get(verified.signature_value)
    assert known in {None, (body, timestamp)}, "what is believed is not what was signed"
    assert by_xmlsec(content, PLACE) or _has_relative(root), "xmlsec does not accept it"
    signed, unlike = by_signxml(content)
    assert signed is not None or unlike, "signxml does not accept it"
    assert signed is None or {body, timestamp} <= signed or len(list(root.iter(f"{{{DS}}}Signature"))) > 1, (
        "signxml sees something else signed"
    )
    tell("accepted", known is None, len(verified.headers), unlike)


def _parser() -> etree.XMLParser:
    """Return a parser like the hub's that keeps the comments: one that collects ids wants every xml:id to be an NCName."""
    return etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, collect_ids=False)


def by_xmlsec(content: bytes, place: str = f".//{{{DS}}}Signature") -> bool:
    """Tell whether xmlsec calls a signature at *place* valid."""
    root = etree.fromstring(content, _parser())
    xmlsec.tree.add_ids(root, ["Id", "id"])
    certificate = PARTNER.certificate.public_bytes(Encoding.PEM)
    for element in root.findall(place):
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(certificate, xmlsec.constants.KeyDataFormatCertPem)
        with suppress(xmlsec.Error):
            context.verify(element)
            return True
    return False


def _has_relative(root: etree._Element) -> bool:
    """Tell whether there is a relative namespace URI: xmlsec accepts none, though what is signed be free of it."""
    return not all(map(_ABSOLUTE.match, {uri for element in root.iter("*") for uri in element.nsmap.values()}))


def by_signxml(content: bytes) -> tuple[set[bytes] | None, str]:
    """Return what signxml says was signed, in exclusive canonical form; or None, and why it may refuse what we accept.

    Each reason is a vector of tests/vectors.py too.
    """
    settings = SignatureConfiguration(location=".//", expect_references=True, require_x509=True, verification_time=NOW)
    root = etree.fromstring(content, _parser())
    try:
        found = XMLVerifier().verify(root, x509_cert=PARTNER.certificate, expect_config=settings, parser=_parser())
    except etree.DocumentInvalid:
        return None, "it validates the Signature against a schema: no strange attributes, no text in X509Data"
    except (SignXMLException, InvalidSignature, ValueError, TypeError, etree.LxmlError):
        if len(list(root.iter(f"{{{DS}}}Signature"))) > 1:
            return None, "it looks at the first Signature only, wherever it stands"
        if not all(str(each.tag).isascii() for each in root.iter("*")):
            return None, "it writes the document in ASCII, in which no such name can be written"
        tails = any(each.tail for each in [*root, *root[0], *root.iterfind(f"./*/{{{WSSE}}}Security/*")])
        return None, "it takes the text after an element for a part of it" * tails
    parts = found if isinstance(found, list) else [found]
    elements = (part.signed_xml for part in parts if part.signed_xml is not None)
    return {etree.tostring(each, method="c14n", exclusive=True, with_comments=False) for each in elements}, ""
