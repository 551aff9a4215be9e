"""Packets of every kind, and signed in every form a partner may use, by hands that are not the hub's.  Judges none.

The standard forms are filled in by xmlsec.  For the observed VXP form no valid sample and no other judge exists, so `vxp` signs it
here, by lxml's canonical forms alone.
"""

import base64
import hashlib
from collections.abc import Sequence
from datetime import date, datetime

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree

from hub.security.certificates import Identity
from lienthong_demo.plan import packets
from tests.signatures import DS, ENVELOPED, INCLUSIVE, RSA_SHA256, SHA256, c14n, fill, plain

QCVN = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
VXP_C14N = "http://www.w3.org/TR/xml-exc-c14n#"
ENVELOPED_STEP = f'<ds:Transform Algorithm="{ENVELOPED}"/>'
HEADER_END = "</edXML:edXMLHeader>"
BARE = packets.Variation(wrapped=False)


def document(text: str = "Noi dung van ban", to: str = "H55.01", **said: object) -> bytes:
    """Return an unsigned document of H55.13, to H55.01."""
    fields: dict[str, object] = {"number": "7", "notation": "VB", "subject": "V/v kết nối"}
    fields |= {"promulgated": date(2026, 11, 20), "attachments": (("van-ban.txt", text.encode()),)}
    return packets.write_document_packet("H55.13", [to], **fields | said)  # type: ignore[arg-type]


def letter(
    sender: str,
    to: Sequence[str],
    *,
    document_id: str,
    number: str = "7",
    hour: datetime | None = None,
    receivers: Sequence[tuple[str, str]] = (),
    replaced: Sequence[tuple[str, Sequence[str]]] = (),
    **said: object,
) -> bytes:
    """Return an unsigned document, recall, update or replacement (`kind`), with its *hour*, if it has one.

    *receivers* are the units an update adds (`1`) or removes (`0`), with that digit; *replaced* the DocumentIds a replacement
    supersedes, each with its units.
    """
    fields: dict[str, object] = {"notation": "VB", "subject": "V/v kết nối", "promulgated": date(2026, 11, 10)}
    fields |= {"attachments": (("a.txt", b"a"),), "content_type": "text/plain", "variation": BARE}
    made = packets.write_document_packet(sender, to, document_id=document_id, number=number, **fields | said)  # type: ignore[arg-type]
    text = made.decode()
    if hour is not None:
        written = f"{hour.astimezone(packets.HANOI):%Y/%m/%d %H:%M:%S}"
        text = text.replace("</edXML:OtherInfo>", f"{_element('SendTime', written)}</edXML:OtherInfo>", 1)
    if receivers:
        listed = "".join(
            _element("Receiver", _element("OrganId", organ) + _element("ReceiverType", type_))
            for organ, type_ in receivers
        )
        changed = _element("DocumentReceiver", "1") + _element("ReceiverList", listed)
        text = text.replace(_element("DocumentReceiver", "0"), changed, 1)
    if replaced:
        listed = "".join(
            _element(
                "ReplacementInfo",
                _element("DocumentId", old)
                + _element("OrganIdList", "".join(_element("OrganId", each) for each in organs)),
            )
            for old, organs in replaced
        )
        text = text.replace(_element("ReplacementInfoList", ""), _element("ReplacementInfoList", listed), 1)
    return text.encode()


def _element(name: str, content: str) -> str:
    return f"<edXML:{name}>{content}</edXML:{name}>"


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
