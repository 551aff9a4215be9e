"""Packets signed in every form a partner may use, by hands that are not the hub's.  Knows how a signature is written; judges none.

The standard forms are filled in by xmlsec.  For the observed VXP form no valid sample and no other judge exists, so `vxp` signs it
here, by lxml's canonical forms alone.
"""

import base64
import hashlib
from datetime import date

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree

from hub.certificates import Identity
from hub.demo import packets
from tests.signatures import DS, ENVELOPED, INCLUSIVE, RSA_SHA256, SHA256, c14n, fill, plain

QCVN = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
VXP_C14N = "http://www.w3.org/TR/xml-exc-c14n#"
ENVELOPED_STEP = f'<ds:Transform Algorithm="{ENVELOPED}"/>'
HEADER_END = "</edXML:edXMLHeader>"


def document(text: str = "Noi dung van ban", to: str = "H55.01", **said: object) -> bytes:
    """Return an unsigned document of H55.13, to H55.01."""
    fields: dict[str, object] = {"number": "7", "notation": "VB", "subject": "V/v kết nối"}
    fields |= {"promulgated": date(2026, 11, 20), "attachments": (("van-ban.txt", text.encode()),)}
    return packets.document("H55.13", [to], **fields | said)  # type: ignore[arg-type]


def x509_data(identity: Identity, names: str = "") -> str:
    return f"<ds:X509Data>{names}<ds:X509Certificate>{identity.token}</ds:X509Certificate></ds:X509Data>"


@attrs.frozen(kw_only=True)
class Seal:
    """What of a packet's standard signature may vary."""

    signed_info: str = c14n(tag="CanonicalizationMethod")
    method: str = RSA_SHA256
    digest: str = SHA256
    uri: str = ""
    transforms: str = ENVELOPED_STEP + c14n()
    key_info: str | None = None  #: None: the signer's certificate
    more: str = ""  #: after KeyInfo
    before: str = HEADER_END  #: the Signature stands before the last of these
    references: int = 1

    def template(self, identity: Identity) -> str:
        """Return the Signature with empty digest and value."""
        shown = x509_data(identity) if self.key_info is None else self.key_info
        reference = (
            f'<ds:Reference URI="{self.uri}"><ds:Transforms>{self.transforms}</ds:Transforms>'
            f'<ds:DigestMethod Algorithm="{self.digest}"/><ds:DigestValue></ds:DigestValue></ds:Reference>'
        )
        return (
            f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>{self.signed_info}<ds:SignatureMethod Algorithm="{self.method}"/>'
            f"{reference * self.references}</ds:SignedInfo><ds:SignatureValue></ds:SignatureValue>"
            f"<ds:KeyInfo>{shown}</ds:KeyInfo>{self.more}</ds:Signature>"
        )

    def signed(self, identity: Identity, content: bytes | None = None) -> bytes:
        """Return *content* (or a document) signed by xmlsec."""
        text = (content or document()).decode()
        at = text.rindex(self.before)
        return fill(text[:at] + self.template(identity) + text[at:], identity)


def vxp(
    identity: Identity, content: bytes | None = None, *, sha1: bool = True, c14n_uri: str = VXP_C14N, bare: bool = False
) -> bytes:
    """Return *content* (or a document) with a signature of the observed VXP form, and true digest and value."""
    assert isinstance(identity.key, RSAPrivateKey)
    method, digest_uri = (f"{DS}rsa-sha1", f"{DS}sha1") if sha1 else (RSA_SHA256, SHA256)
    hash_ = hashlib.sha1 if sha1 else hashlib.sha256
    source = content or document()
    canonical = etree.tostring(plain(source), method="c14n", exclusive=not bare, with_comments=False)
    second = "" if bare else f'<Transform Algorithm="{c14n_uri}"/>'
    written = (
        f'<Signature><SignedInfo><CanonicalizationMethod Algorithm="{INCLUSIVE}"/><SignatureMethod Algorithm="{method}"/>'
        f'<Reference URI=""><Transforms><Transform Algorithm="{ENVELOPED}"/>{second}</Transforms>'
        f'<DigestMethod Algorithm="{digest_uri}"/>'
        f"<DigestValue>{base64.b64encode(hash_(canonical).digest()).decode()}</DigestValue></Reference></SignedInfo>"
        "<SignatureValue></SignatureValue><KeyInfo><X509Data><X509SubjectName>CN=x</X509SubjectName>"
        f"<X509Certificate>{identity.token}</X509Certificate></X509Data></KeyInfo></Signature>"
    )
    text = source.decode()
    at = text.rindex(HEADER_END)
    root = plain((text[:at] + written + text[at:]).encode())
    signed_info = root.find(f".//{{{QCVN}}}SignedInfo")
    value = root.find(f".//{{{QCVN}}}SignatureValue")
    assert signed_info is not None
    assert value is not None
    copy = plain(etree.tostring(signed_info, with_tail=False))  # lxml canonicalises a part without its ancestors
    octets = etree.tostring(copy, method="c14n", exclusive=False, with_comments=False)
    secret = hashes.SHA1() if sha1 else hashes.SHA256()
    value.text = base64.b64encode(identity.key.sign(octets, PKCS1v15(), secret)).decode()
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)
