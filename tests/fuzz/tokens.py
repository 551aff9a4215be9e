"""KeyInfo of a Security header: it picks one of the registered certificates, by something that is the certificate's own, or is refused."""

import base64
import re
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1

from hub.domain.errors import Rejected
from hub.formats import safe_xml
from hub.security import wss_tokens
from hub.security.algorithms import Unverified
from tests.fuzz import changing
from tests.fuzz.identities import PARTNER, STRANGER
from tests.fuzz.told import gist, tell
from tests.signatures import BASE64, DS, SKI, THUMBPRINT, WSSE, WSU, X509V3

LONGEST = 3072
CERTIFICATES = (PARTNER.certificate, STRANGER.certificate)
ISSUER = PARTNER.certificate.issuer.rfc4514_string()
WORDS = (
    *("#T", "T", "#U", "", BASE64, SKI, THUMBPRINT, X509V3, PARTNER.token, STRANGER.token, ISSUER, "CN=x", "2", "3", "02", "+2", " 2 "),
    *("CN=Fuzz CA", "C=VN, O=x", r"CN=a\,b", r"CN=\00", "CN=#0c0178", "1.2.3=x", "=", ",", "+", "CN=a+CN=b", "e=x", r"CN=\C3\A9", "E=x"),
)  # fmt: skip

trees = changing.Trees(words=WORDS)
change, cross = trees.change, trees.cross


def _security(pointer: str) -> bytes:
    return (
        f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" xmlns:ds="{DS}">'
        f'<wsse:BinarySecurityToken EncodingType="{BASE64}" ValueType="{X509V3}" wsu:Id="T">{PARTNER.token}</wsse:BinarySecurityToken>'
        f"<ds:KeyInfo><wsse:SecurityTokenReference>{pointer}</wsse:SecurityTokenReference></ds:KeyInfo></wsse:Security>"
    ).encode()


def _identifiers(certificate: x509.Certificate) -> dict[str, bytes]:
    return {SKI: wss_tokens._read_key_identifier(certificate), THUMBPRINT: certificate.fingerprint(SHA1())}


def _serial(issuer: str) -> bytes:
    pair = f"<ds:X509IssuerName>{issuer}</ds:X509IssuerName><ds:X509SerialNumber>2</ds:X509SerialNumber>"
    return _security(f"<ds:X509Data><ds:X509IssuerSerial>{pair}</ds:X509IssuerSerial></ds:X509Data>")


def seeds() -> Iterator[bytes]:
    yield _security(f'<wsse:Reference URI="#T" ValueType="{X509V3}"/>')
    for kind, octets in _identifiers(STRANGER.certificate).items():
        text = base64.b64encode(octets).decode()
        yield _security(f'<wsse:KeyIdentifier EncodingType="{BASE64}" ValueType="{kind}">{text}</wsse:KeyIdentifier>')
    yield _serial(ISSUER)
    yield _serial(", ".join(reversed(re.split(r"(?<!\\),", ISSUER))))


def judge(content: bytes) -> None:
    try:
        root = safe_xml.parse_safe_xml(content)
    except Rejected:
        return
    key_info = root.find(f".//{{{DS}}}KeyInfo")
    if key_info is None:
        return
    try:
        found = wss_tokens.find_token_signer(key_info, root, CERTIFICATES, wss_tokens.count_ids(root)).certificate
    except Unverified as refused:
        (problem,) = refused.problems
        assert problem.code in {"signature-invalid", "certificate-unknown"}
        tell(problem.code, gist(str(problem.detail)))
        return
    texts = {"".join((each.text or "").split()) for each in root.iter("*")}
    owned = {
        base64.b64encode(octets).decode() for octets in (*_identifiers(found).values(), wss_tokens._encode_der(found))
    }
    by_serial = str(found.serial_number) in texts and any("FuzzCA" in text for text in texts)
    chained = any(wss_tokens._encode_der(found) in _octets(text) for text in texts)  # in a PKIPath or a PKCS #7
    assert found in CERTIFICATES
    assert texts & owned or by_serial or chained, "nothing there names this certificate"
    tell("found", found is CERTIFICATES[0], by_serial)


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""
