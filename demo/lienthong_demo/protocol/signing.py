"""Signs a partner's calls and verifies the hub's. Knows WS-Security through signxml. Does not use the hub's verifier.

The signature has the form that every toolkit can make: a binary security token with a direct reference, `wsu:Id` on
Body and Timestamp, exclusive C14N, RSA-SHA256.
"""

import base64
import binascii
import copy
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature as BadSignatureValue
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from lxml import etree
from signxml import (
    CanonicalizationMethod,
    DigestAlgorithm,
    SignatureConfiguration,
    SignatureConstructionMethod,
    SignatureMethod,
    VerifyResult,
    XMLSigner,
    XMLVerifier,
)
from signxml.exceptions import SignXMLException
from signxml.xades import XAdESSignatureConfiguration, XAdESVerifier

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
DS = "http://www.w3.org/2000/09/xmldsig#"
_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE = f"{_OASIS}wssecurity-secext-1.0.xsd"
WSU = f"{_OASIS}wssecurity-utility-1.0.xsd"
_TOKEN_TYPE = f"{_OASIS}x509-token-profile-1.0#X509v3"
_TOKEN_ENCODING = f"{_OASIS}soap-message-security-1.0#Base64Binary"
_ID = f"{{{WSU}}}Id"

_SKEW = timedelta(seconds=60)
_LIFE = timedelta(minutes=5)
#: What the hub signs with: the key of `lienthong init` is RSA or, with --key-type, EC.
METHODS = frozenset({SignatureMethod.RSA_SHA256, SignatureMethod.ECDSA_SHA256})
_STRICT = SignatureConfiguration(
    location=f"./{{{SOAP}}}Header/{{{WSSE}}}Security/",
    expect_references=2,
    signature_methods=METHODS,
    digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
)
_ENVELOPED = SignatureConfiguration(
    location="./",
    signature_methods=frozenset({SignatureMethod.RSA_SHA256}),
    digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
)

Clock = Callable[[], datetime]


def read_clock() -> datetime:
    """Return the current time. A partner is a process of its own and reads its own clock."""
    return datetime.now(UTC)


class Unbelievable(Exception):
    """An envelope does not prove that it is from the expected sender."""


@attrs.frozen
class PartnerIdentity:
    """A partner's key and certificate, loaded once."""

    key: RSAPrivateKey = attrs.field(repr=False)
    certificate: x509.Certificate

    @classmethod
    def load(cls, key: Path, certificate: Path) -> Self:
        """Read both PEM files. Raises OSError, ValueError, TypeError."""
        secret = load_pem_private_key(key.read_bytes(), password=None)
        if not isinstance(secret, RSAPrivateKey):
            raise TypeError(f"{key}: not an RSA key")
        return cls(secret, x509.load_pem_x509_certificate(certificate.read_bytes()))


def sign_call(envelope: etree._Element, identity: PartnerIdentity, now: datetime) -> None:
    """Add a signed Security header to the SOAP 1.1 *envelope*. It covers Body and Timestamp."""
    header = envelope.find(f"{{{SOAP}}}Header")
    if header is None:
        header = etree.Element(f"{{{SOAP}}}Header")
        envelope.insert(0, header)
    security = etree.SubElement(header, f"{{{WSSE}}}Security", nsmap={"wsse": WSSE, "wsu": WSU})
    security.set(f"{{{SOAP}}}mustUnderstand", "1")
    token, key_info = _token(identity.certificate)
    security.append(token)
    timestamp = _timestamp(now)
    security.append(timestamp)
    body = _only(envelope, f"{{{SOAP}}}Body")
    body.set(_ID, f"id-{uuid.uuid4()}")
    signer = XMLSigner(
        SignatureConstructionMethod.detached,
        SignatureMethod.RSA_SHA256,
        DigestAlgorithm.SHA256,
        CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    references = [f"#{part.get(_ID)}" for part in (body, timestamp)]
    signature = signer.sign(envelope, key=identity.key, reference_uri=references, key_info=key_info, id_attribute="Id")
    security.append(signature)


def verify_reply(envelope: etree._Element, certificate: x509.Certificate, now: datetime) -> etree._Element:
    """Return the Body of *envelope* that *certificate* signed.

    Raises Unbelievable unless exactly its Body and its Timestamp are signed.
    """
    body = _only(envelope, f"{{{SOAP}}}Body")
    timestamp = _only(envelope, f"{{{SOAP}}}Header", f"{{{WSSE}}}Security", f"{{{WSU}}}Timestamp")
    verifier = XMLVerifier()
    try:
        results: list[VerifyResult] = verifier.verify(  # type: ignore[assignment]  # a list: two references
            envelope,
            x509_cert=certificate,
            parser=_parser(),
            expect_config=_STRICT,
            id_attribute="Id",
        )
    except (SignXMLException, BadSignatureValue, ValueError, binascii.Error, etree.LxmlError) as error:
        raise Unbelievable(f"signature: {type(error).__name__}: {error}") from error
    signed = {_exclusive(part): part for part in (result.signed_xml for result in results) if part is not None}
    if set(signed) != {_exclusive(body), _exclusive(timestamp)}:
        raise Unbelievable("signed is something else than the Body and the Timestamp of this envelope")
    _judge_times(signed[_exclusive(timestamp)], now)
    return signed[_exclusive(body)]


def seal_packet(packet: bytes, identity: PartnerIdentity) -> bytes:
    """Return *packet* with an enveloped XML signature over the whole packet, as its last element."""
    signer = XMLSigner(
        SignatureConstructionMethod.enveloped,
        SignatureMethod.RSA_SHA256,
        DigestAlgorithm.SHA256,
        CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    sealed = signer.sign(etree.fromstring(packet, _parser()), key=identity.key, cert=[identity.certificate])
    return etree.tostring(sealed, encoding="UTF-8", xml_declaration=True)


def is_sealed(packet: bytes, certificate: x509.Certificate) -> bool:
    """Tell whether *packet* has an enveloped signature by *certificate* over the whole packet."""
    root = etree.fromstring(packet, _parser())
    if root.find(f"{{{DS}}}Signature") is None:
        return False
    try:
        XMLVerifier().verify(root, x509_cert=certificate, parser=_parser(), expect_config=_ENVELOPED)
    except (SignXMLException, BadSignatureValue, ValueError, binascii.Error, etree.LxmlError):
        return False
    return True


class _Last(XAdESVerifier):
    """Verifies the last child of the root. signxml itself verifies the first signature of a document."""

    def _get_signature(self, root: etree._Element) -> etree._Element:
        return root[-1]


def find_document_signer(document: bytes) -> x509.Certificate | None:
    """Return the certificate of the XAdES-B signature that is the last child of *document*; None if it is invalid.

    The caller decides whether the certificate is trusted.
    """
    root = etree.fromstring(document, _parser())
    shown, references = root[-1].find(f".//{{{DS}}}X509Certificate"), root[-1].findall(f".//{{{DS}}}Reference")
    if shown is None:
        return None
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode(shown.text or ""))
        expected = XAdESSignatureConfiguration(require_x509=True, expect_references=len(references))
        _Last().verify(document, x509_cert=certificate, parser=_parser(), expect_config=expected)
    except (SignXMLException, BadSignatureValue, ValueError, binascii.Error, etree.LxmlError):
        return None
    return certificate


def is_signed(envelope: etree._Element) -> bool:
    """Tell whether there is a Security header."""
    return envelope.find(f"{{{SOAP}}}Header/{{{WSSE}}}Security") is not None


@attrs.define
class WireSignature:
    """The `wsse` object of zeep: signs outgoing envelopes, and replaces the Body of an incoming one by the signed Body."""

    identity: PartnerIdentity
    hub: x509.Certificate
    clock: Clock = read_clock
    lag: timedelta = timedelta(0)  #: how late the signing clock is; only for planted refusals
    #: changes an envelope after it was signed; only for planted refusals
    tamper: Callable[[etree._Element], None] | None = None
    #: the Body of the last answer, as the hub signed it
    body: etree._Element | None = attrs.field(default=None, init=False)

    def apply(self, envelope: etree._Element, headers: dict[str, str]) -> tuple[etree._Element, dict[str, str]]:
        """Sign *envelope* in place."""
        sign_call(envelope, self.identity, self.clock() - self.lag)
        if self.tamper is not None:
            self.tamper(envelope)
        return envelope, headers

    def verify(self, envelope: etree._Element) -> etree._Element:
        """Replace the Body by the signed one. A fault may be unsigned, because the hub may not know whom it answers."""
        body = _only(envelope, f"{{{SOAP}}}Body")
        if not is_signed(envelope) and body.find(f"{{{SOAP}}}Fault") is not None:
            return envelope
        self.body = verify_reply(envelope, self.hub, self.clock())
        envelope.replace(body, copy.deepcopy(self.body))
        return envelope


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)


def _token(certificate: x509.Certificate) -> tuple[etree._Element, etree._Element]:
    """Return the token and the KeyInfo that refers to it."""
    name = f"token-{uuid.uuid4()}"
    token = etree.Element(f"{{{WSSE}}}BinarySecurityToken", nsmap={"wsse": WSSE, "wsu": WSU})
    token.set("EncodingType", _TOKEN_ENCODING)
    token.set("ValueType", _TOKEN_TYPE)
    token.set(_ID, name)
    token.text = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
    key_info = etree.Element(f"{{{DS}}}KeyInfo", nsmap={"ds": DS})
    pointer = etree.SubElement(key_info, f"{{{WSSE}}}SecurityTokenReference", nsmap={"wsse": WSSE})
    etree.SubElement(pointer, f"{{{WSSE}}}Reference", URI=f"#{name}", ValueType=_TOKEN_TYPE)
    return token, key_info


def _timestamp(now: datetime) -> etree._Element:
    timestamp = etree.Element(f"{{{WSU}}}Timestamp", nsmap={"wsu": WSU})
    timestamp.set(_ID, f"time-{uuid.uuid4()}")
    for name, at in (("Created", now), ("Expires", now + _LIFE)):
        etree.SubElement(timestamp, f"{{{WSU}}}{name}").text = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return timestamp


def _judge_times(timestamp: etree._Element, now: datetime) -> None:
    try:
        created, expires = (
            datetime.fromisoformat(timestamp.findtext(f"{{{WSU}}}{n}") or "") for n in ("Created", "Expires")
        )
        fresh = created - _SKEW <= now < expires + _SKEW
    except (ValueError, TypeError) as error:
        raise Unbelievable(f"Timestamp: {error}") from error
    if not fresh:
        raise Unbelievable(f"Timestamp: {created} to {expires} is not now ({now})")


def _only(parent: etree._Element, *steps: str) -> etree._Element:
    """Return the only element at that exact path."""
    for step in steps:
        found = parent.findall(step)
        if len(found) != 1:
            raise Unbelievable(f"{len(found)} elements {step} in {parent.tag}")
        parent = found[0]
    return parent


def _exclusive(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True)
