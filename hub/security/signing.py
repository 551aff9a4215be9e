"""Signs envelopes and seals documents, each in the one form that every toolkit verifies. Does not read signatures.

The signature is written as text that is already canonical, so only the Body or the document must be canonicalised, and
neither if its writer knows its canonical form.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from xml.parsers import expat

from lxml import etree

from hub.formats import safe_xml, streamed_xml, xsd_types
from hub.formats.canonical_xml import CanonicalElement
from hub.formats.spool import Octets
from hub.formats.streamed_xml import Loads
from hub.security import xmldsig
from hub.security.algorithms import DS, SHA256
from hub.security.certificates import Signer
from hub.security.wss_tokens import BASE64, WSSE, WSU, WSU_ID, X509V3
from hub.security.xmldsig import ATTACHED, ENVELOPED, EXCLUSIVE, PLAIN

#: Declares its prefix although Signature does, so that its octets in the document are those that are signed.
_INFO = f'<ds:SignedInfo xmlns:ds="{DS}">'.encode()
_SECURITY, _BODY = b"<LT-Security/>", b"<LT-Body/>"
_DECLARATION = "<?xml version='1.0' encoding='UTF-8'?>\n"  #: as lxml writes it

etree.register_namespace("wsu", WSU)


def sign_envelope(
    envelope: etree._Element | bytes,
    identity: Signer,
    now: datetime,
    life: timedelta = timedelta(minutes=5),
    *,
    loads: Loads = streamed_xml.NONE,
    attached: Sequence[tuple[str, Octets]] = (),
) -> bytes:
    """Return the octets of *envelope* with Body and Timestamp signed by *identity*.

    It must not have a Security header yet. The *loads* whose tokens are in the Body are signed too, and the tokens stay
    there. So are the octets of the parts *attached*, each with its URI (`cid:…`).

    The form is the one that all tested toolkits verify (security.md 3): token with direct reference, wsu:Id, exclusive
    C14N without PrefixList, SHA-256 digests. The envelope is first written out and parsed again, so that the signed
    tree is the one that a reader will parse (1.1). The Body is sent in the very octets that were digested, because
    gSOAP does not canonicalise content that it reads as `xsd:any`, such as a Receipt's signature. There is no
    mustUnderstand, so that a caller that does not verify answers can still read them. A prefix that is used only inside
    values of the Body is lost. Do not use one.
    """
    content = envelope if isinstance(envelope, bytes) else etree.tostring(envelope, encoding="UTF-8")
    root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    body = root[-1]
    body.set(WSU_ID, "LT-Body")
    if len(root) == 1:
        root.insert(0, root.makeelement(body.tag.replace("}Body", "}Header")))
    digested = xmldsig.canonicalize_element(body, PLAIN)
    root.replace(body, root.makeelement("LT-Body"))  # serialised as _BODY; the next one as _SECURITY
    root[0].insert(0, root.makeelement("LT-Security"))
    security = _write_security(identity, now, life, loads.spread(digested), attached)
    document = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    before, _, rest = document.partition(_SECURITY)  # the first child of the Header, so none can stand before it
    between, _, after = rest.rpartition(_BODY)  # the last child of the Envelope
    return b"".join((before, security.encode(), between, digested, after))


def sign_canonical_body(
    child: CanonicalElement, soap: str, identity: Signer, now: datetime, life: timedelta = timedelta(minutes=5)
) -> bytes:
    """Return the octets of a signed envelope of the SOAP version *soap*, its namespace, around *child*.

    They are those that `sign_envelope` returns for it, but nothing is parsed or canonicalised.
    """
    beginning = f'<soap:Body xmlns:soap="{soap}" xmlns:wsu="{WSU}" wsu:Id="LT-Body">'.encode()
    body = b"".join((beginning, child.octets, b"</soap:Body>"))
    security = _write_security(identity, now, life, (body,))
    before = f'{_DECLARATION}<soap:Envelope xmlns:soap="{soap}"><soap:Header>{security}</soap:Header>'
    return b"".join((before.encode(), body, b"</soap:Envelope>"))


def _write_security(
    identity: Signer,
    now: datetime,
    life: timedelta,
    body: Iterable[bytes],
    attached: Sequence[tuple[str, Octets]] = (),
) -> str:
    """Return the Security header that signs a Timestamp, the canonical *body* in pieces, and the *attached* parts."""
    timestamp = (
        f'<wsu:Timestamp xmlns:wsu="{WSU}" wsu:Id="LT-Timestamp"><wsu:Created>{write_timestamp(now)}</wsu:Created>'
        f"<wsu:Expires>{write_timestamp(now + life)}</wsu:Expires></wsu:Timestamp>"
    )
    references = (
        _write_reference("#LT-Timestamp", (EXCLUSIVE,), (timestamp.encode(),)),
        _write_reference("#LT-Body", (EXCLUSIVE,), body),
        *(_write_reference(uri, (ATTACHED,), octets.pieces()) for uri, octets in attached),
    )
    key_info = (
        f'<wsse:SecurityTokenReference><wsse:Reference URI="#LT-Token" ValueType="{X509V3}"></wsse:Reference>'
        "</wsse:SecurityTokenReference>"
    )
    return (
        f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}"><wsse:BinarySecurityToken EncodingType="{BASE64}"'
        f' ValueType="{X509V3}" wsu:Id="LT-Token">{identity.token}</wsse:BinarySecurityToken>{timestamp}'
        f"{_write_signature(identity, references, key_info)}</wsse:Security>"
    )


def seal_element(root: etree._Element, identity: Signer) -> bytes:
    """Return *root* as a document with an enveloped signature of *identity* as its last child.

    The document is in exclusive canonical form, except that SignedInfo declares its prefix again. xmlsec1 --verify
    accepts it. A prefix that is used only inside values is lost. Do not use one.
    """
    return seal_canonical(CanonicalElement(xmldsig.canonicalize_element(root, PLAIN)), identity)


def seal_canonical(root: CanonicalElement, identity: Signer) -> bytes:
    """Return *root* as `seal_element` returns it."""
    content = root.octets
    key_info = f"<ds:X509Data><ds:X509Certificate>{identity.token}</ds:X509Certificate></ds:X509Data>"
    signature = _write_signature(identity, (_write_reference("", (ENVELOPED, EXCLUSIVE), (content,)),), key_info)
    end = content.rindex(b"</")
    return b"".join((content[:end], signature.encode(), content[end:]))


def canonicalize_sealed(sealed: bytes) -> bytes:
    """Return the exclusive canonical form of a document that `seal_canonical` made."""
    return sealed.replace(_INFO, b"<ds:SignedInfo>", 1)


def write_sealed_document(root: etree._Element, identity: Signer) -> bytes:
    """Return the sealed *root* as a file, with an XML declaration and a line feed at the end."""
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + seal_element(root, identity) + b"\n"


def sign_packet(packet: bytes, identity: Signer) -> bytes:
    """Return *packet* with an enveloped signature of *identity* over all of it, as the last child of its edXMLHeader.

    No other octet changes (except that UTF-16 becomes UTF-8), and there is no white space around the signature. Raises
    Rejected like `parse_safe_xml`. Raises ValueError for a packet without edXMLHeader, with a comment or a CDATA
    section, with which no signature is accepted, or with a signature that is not empty: two signatures would be
    invalid, and the hub must not choose which one to remove.
    """
    root = safe_xml.parse_safe_xml(packet)
    if xmldsig.find_claimed_signatures(root):
        raise ValueError("the packet is signed already")
    if root.getroottree().docinfo.encoding not in {None, "UTF-8"}:
        packet = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    if safe_xml.may_hold_comment_or_cdata([packet]):
        raise ValueError("the packet holds a comment or a CDATA section; a signature of it would not be accepted")
    content = xmldsig.canonicalize_element(root, PLAIN)
    key_info = f"<ds:X509Data><ds:X509Certificate>{identity.token}</ds:X509Certificate></ds:X509Data>"
    signature = _write_signature(identity, (_write_reference("", (ENVELOPED, EXCLUSIVE), (content,)),), key_info)
    at = _end_of_header(packet)
    return b"".join((packet[:at], signature.encode(), memoryview(packet)[at:]))


def remove_signatures(packet: bytes) -> bytes:
    """Return *packet* without the elements that claim to be a signature of it. No other octet changes.

    UTF-16 becomes UTF-8 where there is one. Raises Rejected like `parse_safe_xml`.
    """
    root = safe_xml.parse_safe_xml(packet)
    claimed = {_find_wrapper(each) for each in xmldsig.find_claimed_signatures(root)}
    if not claimed:
        return packet
    if root.getroottree().docinfo.encoding not in {None, "UTF-8"}:
        packet = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    numbers = {number for number, each in enumerate(root.iter("*")) if each in claimed}
    kept, at = [], 0
    for begin, end in _find_places(packet, numbers):
        kept.append(packet[at:begin])
        at = packet.index(b">", end) + 1
    return b"".join((*kept, packet[at:]))


def _find_wrapper(signature: etree._Element) -> etree._Element:
    """Return the DigitalSignature around *signature*, or *signature* itself."""
    around = signature.getparent()
    if around is not None and etree.QName(around).localname == "DigitalSignature":
        return around
    return signature


def _find_places(packet: bytes, numbers: Collection[int]) -> list[tuple[int, int]]:
    """Return where the start tag and the end tag of each element begins whose number, in document order, is given.

    An element inside another one of them is left out.
    """
    parser, count, found = expat.ParserCreate(), -1, []
    path: list[int] = []
    begins: list[tuple[int, int]] = []

    def start(_name: str, _attributes: object) -> None:
        nonlocal count
        count += 1
        path.append(count)
        if count in numbers and not begins:
            begins.append((count, parser.CurrentByteIndex))

    def end(_name: str) -> None:
        if begins and path[-1] == begins[0][0]:
            found.append((begins.pop()[1], parser.CurrentByteIndex))
        path.pop()

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.Parse(packet, True)
    return found


def _end_of_header(packet: bytes) -> int:
    """Return the position of the end tag of the first edXMLHeader. Raises ValueError."""
    parser, found = expat.ParserCreate(), -1

    def end(name: str) -> None:
        nonlocal found
        if found < 0 and name.rpartition(":")[2] == "edXMLHeader":
            found = parser.CurrentByteIndex

    parser.EndElementHandler = end
    parser.Parse(packet, True)
    if found < 0 or packet[found : found + 2] != b"</":
        raise ValueError("the packet has no edXMLHeader for the signature")
    return found


def write_timestamp(at: datetime) -> str:
    """Return *at* in the format of a Timestamp: UTC, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_reference(uri: str, transforms: Sequence[str], pieces: Iterable[bytes]) -> str:
    content = sha256()
    for piece in pieces:
        content.update(piece)
    digest = xsd_types.encode_canonical_base64(content.digest())
    steps = "".join(f'<ds:Transform Algorithm="{transform}"></ds:Transform>' for transform in transforms)
    return (
        f'<ds:Reference URI="{uri}"><ds:Transforms>{steps}</ds:Transforms><ds:DigestMethod Algorithm="{SHA256}">'
        f"</ds:DigestMethod><ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>"
    )


def _write_signature(identity: Signer, references: Sequence[str], key_info: str) -> str:
    signed_info = (
        f'{_INFO.decode()}<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{identity.method}"></ds:SignatureMethod>'
        f"{''.join(references)}</ds:SignedInfo>"
    )
    value = xsd_types.encode_canonical_base64(identity.sign(signed_info.encode()))
    return (
        f'<ds:Signature xmlns:ds="{DS}">{signed_info}<ds:SignatureValue>{value}</ds:SignatureValue>'
        f"<ds:KeyInfo>{key_info}</ds:KeyInfo></ds:Signature>"
    )
