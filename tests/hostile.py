"""Everything hostile that may arrive at the SOAP port: one table, each row with what it must get and what it may cost.

A row is made anew for each version of SOAP from an honest call that is accepted.  Knows the outside contract only.
"""

import base64
import copy
import hashlib
import hmac
import io
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import attrs
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from hub.security.certificates import Identity
from lienthong_demo.plan import packets
from tests import mtom
from tests.signatures import DS, SOAP11, SOAP12, WSSE, WSU, Layout, c14n, forge, plain, stamp

MEDIA = {SOAP11: "text/xml; charset=utf-8", SOAP12: "application/soap+xml; charset=utf-8"}
DOCUMENTS = "urn:lienthong:documents:1"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
MB = 1024 * 1024


@attrs.frozen(kw_only=True)
class Honest:
    """What an honest partner would send, to be spoilt."""

    soap: str
    identity: Identity
    stranger: Identity
    recipient: str = "H55.1"
    sender: str = "H55.13"
    limit: int = 40 * 1000 * 1000  #: octets of a body that the port takes

    def packet(self, **said: object) -> bytes:
        fields: dict[str, object] = {
            "number": "1",
            "notation": "DOC",
            "subject": "x",
            "promulgated": date(2026, 11, 20),
        }
        return packets.write_document_packet(self.sender, [self.recipient], **fields | said)  # type: ignore[arg-type]

    def content(self, packet: bytes | None = None, message_id: str = "") -> str:
        named = f"<d:MessageId>{message_id}</d:MessageId>" if message_id else ""
        octets = base64.b64encode(self.packet() if packet is None else packet).decode()
        return f'<d:SendDocument xmlns:d="{DOCUMENTS}">{named}<d:Packet>{octets}</d:Packet></d:SendDocument>'

    def layout(self, **said: object) -> Layout:
        now = datetime.now(UTC)
        fields: dict[str, object] = {"soap": self.soap, "content": self.content()}
        fields |= {"created": stamp(now), "expires": stamp(now + timedelta(minutes=5))}
        return Layout(**fields | said)  # type: ignore[arg-type]

    def call(self, **said: object) -> bytes:
        """Return a signed call."""
        return self.layout(**said).signed(self.identity)

    def carrying(self, packet: bytes) -> bytes:
        """Return a signed call that carries *packet*."""
        return self.call(content=self.content(packet))


@attrs.frozen(kw_only=True)
class Row:
    """One trick: the body it sends, the codes it may get, and what it may cost the hub."""

    name: str
    make: Callable[[Honest], bytes]
    codes: frozenset[str]
    headers: tuple[
        tuple[str, str], ...
    ] = ()  #: beside, or instead of, the honest ones; `action` as the version says it
    body: mtom.Body | None = None  #: how it is packed, where it goes as multipart
    status: int | None = None  #: of the answer, where no fault can be
    megabytes: int = 24  #: of memory above what the hub had before, at the most
    seconds: float = 10  #: of CPU that the hub may spend until it answers, far above what it takes: no measure of speed
    refusal: str = "message"  #: what the journal keeps of it, a `message` or `event`


def row(name: str, codes: str, make: Callable[[Honest], bytes], **said: object) -> Row:
    return Row(name=name, make=make, codes=frozenset(codes.split()), **said)  # type: ignore[arg-type]


# --- making ------------------------------------------------------------------------------------------------------------


def changed(change: Callable[[etree._Element, Honest], object], **said: object) -> Callable[[Honest], bytes]:
    """Return the maker of a signed call whose tree *change* spoils."""

    def make(honest: Honest) -> bytes:
        root = plain(honest.call(**said))
        change(root, honest)
        return etree.tostring(root, encoding="UTF-8")

    return make


def replaced(old: str, new: str, **said: object) -> Callable[[Honest], bytes]:
    def make(honest: Honest) -> bytes:
        content = honest.call(**said)
        assert old.encode() in content, old
        return content.replace(old.encode(), new.encode(), 1)

    return make


def reforged(old: str, new: str) -> Callable[[Honest], bytes]:
    """Return the maker of a call whose SignedInfo says something else, signed by the partner's own key."""

    def make(honest: Honest) -> bytes:
        return forge(replaced(old, new)(honest), honest.identity)

    return make


def find(root: etree._Element, name: str) -> etree._Element:
    found = root.find(f".//{{*}}{name}")
    assert found is not None, name
    return found


def evil(honest: Honest, name: str | None = "evil") -> etree._Element:
    made = etree.Element(f"{{{honest.soap}}}Body")
    if name is not None:
        made.set(f"{{{WSU}}}Id", name)
    made.append(etree.fromstring(honest.content(honest.packet(number="666"))))
    return made


def wrapped(place: Callable[[etree._Element], etree._Element], name: str | None = "evil") -> Callable[[Honest], bytes]:
    """Return the maker of a call whose signed Body stands at *place*, and another in its stead."""

    def change(root: etree._Element, honest: Honest) -> None:
        signed = root[-1]
        root.append(evil(honest, name))
        place(root).append(signed)

    return changed(change)


def wrapper(root: etree._Element) -> etree._Element:
    return etree.SubElement(root[0], "{urn:evil}Wrapper")


def another_timestamp(root: etree._Element, honest: Honest) -> None:
    old = find(root, "Timestamp")
    new = copy.deepcopy(old)
    del new.attrib[f"{{{WSU}}}Id"]
    wrapper(root).append(old)
    root[0][0].append(new)


def public_key_as_secret(honest: Honest) -> bytes:
    rsa = 'Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"'
    root = plain(replaced(rsa, f'Algorithm="{MORE}hmac-sha256"')(honest))
    known = honest.identity.certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    octets = etree.tostring(find(root, "SignedInfo"), method="c14n", exclusive=True)
    find(root, "SignatureValue").text = base64.b64encode(hmac.new(known, octets, hashlib.sha256).digest()).decode()
    return etree.tostring(root, encoding="UTF-8")


def with_doctype(subset: str, use: str = "") -> Callable[[Honest], bytes]:
    def make(honest: Honest) -> bytes:
        content = honest.call().replace(b"</d:SendDocument>", f"{use}</d:SendDocument>".encode())
        return f"<!DOCTYPE s:Envelope {subset}>".encode() + content

    return make


LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))


def envelope(inside: str, head: str = "") -> Callable[[Honest], bytes]:
    """Return the maker of an unsigned envelope."""
    return lambda honest: f'{head}<s:Envelope xmlns:s="{honest.soap}"><s:Body>{inside}</s:Body></s:Envelope>'.encode()


def unsigned(honest: Honest) -> bytes:
    return envelope(honest.content())(honest)


def encoded(encoding: str, declared: str | None = None) -> Callable[[Honest], bytes]:
    def make(honest: Honest) -> bytes:
        declaration = f'<?xml version="1.0" encoding="{declared or encoding}"?>'
        return (declaration + honest.call().decode()).encode(encoding)

    return make


def with_header(block: str) -> Callable[[Honest], bytes]:
    return lambda honest: honest.call(headers=block.replace("SOAP", honest.soap))


def in_packet(old: str, new: str, **said: object) -> Callable[[Honest], bytes]:
    """Return the maker of an honest call with a spoilt packet."""

    def make(honest: Honest) -> bytes:
        packet = honest.packet(**said)
        assert old.encode() in packet, old
        return honest.carrying(packet.replace(old.encode(), new.encode(), 1))

    return make


def zipped(*names: str, size: int = 10, times: int = 1) -> Callable[[Honest], bytes]:
    """Return the maker of a call whose packet attaches a ZIP with those entries, each of so many zeros."""

    def make(honest: Honest) -> bytes:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                for n in range(times):
                    archive.writestr(name.replace("#", str(n)), bytes(size))
        attachment = (("a.zip", held.getvalue()),)
        return honest.carrying(
            honest.packet(attachments=attachment, variation=attrs.evolve(packets.SEEN, wrapped=False))
        )

    return make


def call_of(operation: str, inside: str) -> Callable[[Honest], bytes]:
    return lambda honest: honest.call(content=f'<d:{operation} xmlns:d="{DOCUMENTS}">{inside}</d:{operation}>')


def foreign(honest: Honest) -> bytes:
    return attrs.evolve(honest, sender="H55.1", recipient="H55.13").call()


SIGNATURE = "signature-invalid"
UNREAD = "not-well-formed too-deep"
XSLT = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><x:stylesheet version="1.0"'
    ' xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template match="/"><a/></x:template></x:stylesheet></ds:Transform>'
)
XPATH = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">'
    "<ds:XPath>count(//. | //@* | //namespace::*)</ds:XPath></ds:Transform>"
)
BASE64_STEP = '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"/>'
FIRST = "</ds:Transforms>"


def packed(
    name: str,
    codes: str,
    write: Callable[[Honest, mtom.Body], bytes],
    body: mtom.Body = mtom.Body(),
    **said: object,
) -> Row:
    """Return the row of a multipart body, which *write* is given the form of."""
    return row(name, codes, lambda honest: write(honest, in_version(body, honest.soap)), body=body, **said)


def in_version(body: mtom.Body, soap: str) -> mtom.Body:
    media = mtom.SOAP12 if soap == SOAP12 else mtom.SOAP11
    return attrs.evolve(body, soap=media, kind=media if body.kind in mtom.SOAPS else body.kind)


def optimised(
    change: Callable[[bytes, dict[str, bytes]], tuple[bytes, dict[str, bytes]]] = lambda envelope, parts: (
        envelope,
        parts,
    ),
) -> Callable[[Honest, mtom.Body], bytes]:
    """Return the writer of an honest MTOM call whose envelope or parts *change* spoils."""

    def write(honest: Honest, body: mtom.Body) -> bytes:
        return body.written(*change(*mtom.optimised(honest.call())))

    return write


def pointing(href: str) -> Callable[[Honest, mtom.Body], bytes]:
    return optimised(lambda envelope, parts: (envelope.replace(f"cid:{mtom.PART}".encode(), href.encode()), parts))


def attached(honest: Honest, body: mtom.Body) -> bytes:
    """Write a call whose attachment nobody signed."""
    content = f'<d:SendDocument xmlns:d="{DOCUMENTS}"><d:Packet>cid:{mtom.PART}</d:Packet></d:SendDocument>'
    return body.written(honest.call(content=content), {mtom.PART: honest.packet()})


BINARY = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: "
SWA = mtom.Body(kind=mtom.SOAP11)

# fmt: off

MULTIPART = [
    packed("another packet in the part", SIGNATURE, optimised(lambda e, p: (e, dict.fromkeys(p, b"<edXML/>")))),
    packed("a packet cut short in the part", SIGNATURE, optimised(lambda e, p: (e, {name: octets[:-3] for name, octets in p.items()}))),
    packed("five thousand parts", "multipart-broken too-large", optimised(lambda e, p: (e, p | {str(n): b"x" for n in range(5000)}))),
    packed("no part", "attachment-unknown", optimised(lambda e, _: (e, {}))),
    packed("a part that nothing names", "attachment-unknown", optimised(lambda e, p: (e, p | {"another": b"x"}))),
    packed("an Include of the envelope itself", "attachment-unknown", pointing(f"cid:{mtom.ROOT}")),
    packed("an Include from the network", "attachment-unknown multipart-broken contract-broken", pointing("http://127.0.0.1:9/packet")),
    packed("an Include from a file", "attachment-unknown multipart-broken contract-broken", pointing("file:///etc/passwd")),
    packed("a second Include of one part", "attachment-unknown multipart-broken contract-broken unsigned signature-invalid",
        optimised(lambda e, p: (e.replace(b"</d:SendDocument>",
        f'<d:X><xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:{mtom.PART}"/></d:X></d:SendDocument>'.encode()), p))),
    packed("a multipart in the part", "multipart-broken", optimised(),
        mtom.Body(part_headers='Content-Type: multipart/mixed; boundary="b"\r\n')),
    packed("quoted-printable", "multipart-broken", optimised(), mtom.Body(part_headers=f"{BINARY}quoted-printable\r\n")),
    packed("base64 that is none", "multipart-broken", optimised(lambda e, p: (e, dict.fromkeys(p, b"@@@@"))),
        mtom.Body(part_headers=f"{BINARY}base64\r\n")),
    packed("a header of a megabyte in the part", "multipart-broken too-large", optimised(),
        mtom.Body(part_headers=f"{BINARY}binary\r\nX: {'y' * MB}\r\n")),
    packed("an envelope of 2 MB", "too-large", lambda h, b: b.written(h.call() + b" " * 2 * MB, {})),
    packed("a start that is no part", "attachment-unknown multipart-broken", optimised(), mtom.Body(start="<nobody>")),
    packed("a start that is the packet", "multipart-broken media-type attachment-unknown not-well-formed soap-version contract-broken",
        optimised(), mtom.Body(start=f"<{mtom.PART}>")),
    packed("something before the first boundary", "multipart-broken", optimised(), mtom.Body(preamble=b"--hello\r\n")),
    packed("a second body after the last boundary", "multipart-broken", optimised(), mtom.Body(epilogue=b"\r\n--uuid:8a7c+id=1\r\n\r\nx")),
    packed("no last boundary", "multipart-broken", lambda h, b: optimised()(h, b)[:-30]),
    packed("a boundary that is none", "multipart-broken", optimised(), mtom.Body(boundary="b" * 200), refusal="event"),
    packed("nothing in it", "multipart-broken", lambda _, __: b""),
    packed("another envelope than the type says", "soap-version multipart-broken media-type", lambda h, b: b.written(
        attrs.evolve(h, soap=SOAP12 if h.soap == SOAP11 else SOAP11).call(), {})),
    packed("an attachment that nobody signed", "attachment-not-signed", attached, SWA),
    packed("a DOCTYPE in the envelope's part", "doctype-refused", lambda h, b: b.written(with_doctype("")(h), {})),
    packed("32 MB in a part that nothing names", "attachment-unknown", optimised(lambda e, p: (e, p | {"another": bytes(32 * MB)}))),
]

WRAPPING = [
    row("the signed Body in a header wrapper", SIGNATURE, wrapped(wrapper)),
    row("the signed Body as a header block", "signature-covers-too-little", wrapped(lambda root: root[0])),
    row("the signed Body in the Security header", SIGNATURE, wrapped(lambda root: root[0][0])),
    row("the signed Body in a ds:Object", SIGNATURE, wrapped(lambda root: etree.SubElement(find(root, "Signature"), f"{{{DS}}}Object"))),
    row("the signed Body inside the new Body", "contract-broken", wrapped(lambda root: root[-1])),
    row("the signed Body after the new one", "contract-broken", changed(lambda root, h: root.insert(1, evil(h)))),
    row("the signed Body before a new one", "contract-broken", changed(lambda root, h: root.append(evil(h)))),
    row("a new Body with the same id", SIGNATURE, wrapped(wrapper, "B")),
    row("a new Body without id", SIGNATURE, wrapped(wrapper, None)),
    row("a decoy with the id in another attribute", SIGNATURE, changed(lambda root, _: wrapper(root).set("Id", "B"))),
    row("a decoy with the id in xml:id", SIGNATURE,
        changed(lambda root, _: wrapper(root).set("{http://www.w3.org/XML/1998/namespace}id", "B"))),
    row("the Timestamp moved, a fresh one in its place", SIGNATURE, changed(another_timestamp)),
    row("a second Security header", SIGNATURE, changed(lambda root, _: root[0].append(copy.deepcopy(root[0][0])))),
    row("a second, empty Security header", SIGNATURE, changed(lambda root, _: etree.SubElement(root[0], f"{{{WSSE}}}Security"))),
    row("a second Signature", SIGNATURE, changed(lambda root, _: root[0][0].append(copy.deepcopy(find(root, "Signature"))))),
    row("the Signature as a header block", "unsigned", changed(lambda root, _: root[0].append(find(root, "Signature")))),
    row("a second SignedInfo", SIGNATURE, changed(lambda root, _: find(root, "SignedInfo").addnext(copy.deepcopy(find(root, "SignedInfo"))))),
]

TAMPERING = [
    row("another packet under the signature", SIGNATURE,
        changed(lambda root, h: setattr(find(root, "Packet"), "text", base64.b64encode(h.packet(number="666")).decode()))),
    row("another digest", SIGNATURE, changed(lambda root, _: setattr(find(root, "DigestValue"), "text", base64.b64encode(bytes(32)).decode()))),
    row("another value", SIGNATURE, changed(lambda root, _: setattr(find(root, "SignatureValue"), "text", base64.b64encode(bytes(256)).decode()))),
    row("a comment in the DigestValue", SIGNATURE, changed(lambda root, _: find(root, "DigestValue").insert(0, etree.Comment("x")))),
    row("a comment in the packet's base64", SIGNATURE, replaced("<d:Packet>PD94", "<d:Packet>PD94<!-- -->")),
    row("CDATA in the DigestValue", SIGNATURE, replaced("</ds:DigestValue>", "<![CDATA[]]></ds:DigestValue>")),
    row("CDATA in Created", SIGNATURE, replaced("<wsu:Created>", "<wsu:Created><![CDATA[]]>")),
    row("CDATA in the packet's base64", SIGNATURE, replaced("<d:Packet>PD94", "<d:Packet><![CDATA[PD94]]>")),
    row("empty CDATA in the packet's base64", SIGNATURE, replaced("<d:Packet>PD94", "<d:Packet>PD94<![CDATA[]]>")),
    row("CDATA in UTF-16", SIGNATURE, lambda h: replaced("<d:Packet>PD94", "<d:Packet><![CDATA[PD94]]>")(h).decode().encode("utf-16")),
    row("a million CDATA sections", SIGNATURE, envelope("<a>" + "<![CDATA[]]>" * 1_000_000 + "</a>"), megabytes=32),
    row("a comment in Created", SIGNATURE, changed(lambda root, _: find(root, "Created").insert(0, etree.Comment("x")))),
    row("a processing instruction in the Body", "not-well-formed", lambda h: h.call(content=f"<?a b?>{h.content()}")),
    row("only the Timestamp signed", "signature-covers-too-little", lambda h: h.call(references=(("#TS", c14n()),))),
    row("only the Body signed", "signature-covers-too-little", lambda h: h.call(references=(("#B", c14n()),))),
    row("no Timestamp", "timestamp-missing", lambda h: h.call(order=("token", "signature"), references=(("#B", c14n()),))),
    row("an old Timestamp", "timestamp-expired", lambda h: h.call(created="2020-01-01T00:00:00Z", expires="2020-01-01T00:05:00Z")),
    row("a Timestamp for ever", "timestamp-expired", lambda h: h.call(expires="9999-01-01T00:00:00Z")),
    row("not signed", "unsigned", unsigned),
]

ALGORITHMS = [
    row("SHA-1", "algorithm-refused", lambda h: h.call(method=f"{DS}rsa-sha1", digest=f"{DS}sha1")),
    row("HMAC with the public key", "algorithm-refused", public_key_as_secret),
    row("no algorithm at all", "algorithm-refused", reforged(f"{MORE}rsa-sha256", "none")),
    row("XSLT", "algorithm-refused", reforged(FIRST, f"{XSLT}{FIRST}")),
    row("XPath over every node", "algorithm-refused", reforged(FIRST, f"{XPATH}{FIRST}")),
    row("base64", "algorithm-refused", reforged(FIRST, f"{BASE64_STEP}{FIRST}")),
    row("a hundred transforms", f"{SIGNATURE} algorithm-refused", reforged(FIRST, f"{c14n() * 100}{FIRST}")),
    row("C14N with comments", "algorithm-refused", reforged('exc-c14n#"', 'exc-c14n#WithComments"')),
    row("a reference to the network", SIGNATURE, reforged('URI="#B"', 'URI="http://127.0.0.1:9/"')),
    row("a reference to a file", SIGNATURE, reforged('URI="#B"', 'URI="file:///etc/passwd"')),
    row("a thousand references", SIGNATURE, lambda h: h.call(references=(("#TS", c14n()), *[("#B", c14n())] * 1000))),
    row("RetrievalMethod", SIGNATURE, lambda h: h.call(key_info='<ds:RetrievalMethod URI="http://127.0.0.1:9/key"/>')),
    row("a bare key", SIGNATURE, lambda h: h.call(key_info="<ds:KeyName>sotttt</ds:KeyName>")),
    row("the token of a stranger", "certificate-unknown", lambda h: h.layout().signed(h.stranger)),
    row("signed by a stranger, with the partner's token", SIGNATURE,
        lambda h: h.layout().signed(h.stranger).replace(h.stranger.token.encode(), h.identity.token.encode())),
]

XML = [
    row("a DOCTYPE", "doctype-refused", with_doctype("")),
    row("an internal entity", "doctype-refused", with_doctype('[<!ENTITY e "x">]', "&e;")),
    row("an external entity", "doctype-refused", with_doctype('[<!ENTITY e SYSTEM "file:///etc/passwd">]', "&e;")),
    row("an external DTD", "doctype-refused", with_doctype('SYSTEM "http://127.0.0.1:9/evil.dtd"')),
    row("parameter entities", "doctype-refused", with_doctype('[<!ENTITY % e SYSTEM "http://127.0.0.1:9/"> %e;]')),
    row("a billion laughs", "doctype-refused", with_doctype(f'[<!ENTITY l0 "lol">{LAUGHS}]', "&l9;")),
    row("quadratic growth", "doctype-refused", with_doctype(f'[<!ENTITY e "{"x" * 50_000}">]', "&e;" * 50_000)),
    row("ten thousand deep", "too-deep", envelope("<a>" * 10_000 + "</a>" * 10_000)),
    row("a hundred thousand attributes", "too-deep", envelope("<a " + " ".join(f'a{n}=""' for n in range(100_000)) + "/>")),
    row("a hundred thousand namespaces", "too-deep", envelope("<a " + " ".join(f'xmlns:n{n}="u"' for n in range(100_000)) + "/>"), megabytes=32),
    row("a million elements", "too-deep", envelope("<a/>" * 1_000_000), megabytes=140),
    row("names without end", "too-deep", envelope("".join(f"<n{n}/>" for n in range(100_000))), megabytes=48),
    row("a name of a megabyte", "too-deep", envelope(f"<{'n' * MB}/>")),
    row("a text of 16 MB", "unsigned contract-broken", envelope(f'<d:A xmlns:d="{DOCUMENTS}">{"x" * 16 * MB}</d:A>'), megabytes=100),
    row("an attribute of 16 MB", "not-well-formed unsigned contract-broken too-deep", envelope(f'<a b="{"x" * 16 * MB}"/>'), megabytes=100),
    row("UTF-16 without its mark", "not-well-formed", encoded("utf-16-le", "UTF-16")),
    row("UTF-7", "not-well-formed", encoded("utf-7", "UTF-7")),
    row("EBCDIC", "not-well-formed", encoded("cp037", "IBM037")),
    row("Latin-1", "not-well-formed", encoded("latin-1", "ISO-8859-1")),
    row("UTF-8 that says it is UTF-16", "not-well-formed", encoded("utf-8", "UTF-16")),
    row("a NUL", "not-well-formed", lambda h: h.call().replace(b"<d:Packet>", b"<d:Packet>\0")),
    row("an overlong slash", "not-well-formed", lambda h: h.call().replace(b"<d:Packet>", b"<d:Packet>\xc0\xaf")),
    row("XML 1.1", "not-well-formed", lambda h: b'<?xml version="1.1"?>' + h.call()),
    row("nothing", "not-well-formed", lambda _: b""),
    row("no XML", "not-well-formed", lambda _: b"\x80\x02]q\x00." * 1000),
    row("cut short", "not-well-formed", lambda h: h.call()[:-10]),
]

SOAP = [
    row("two children in the Body", "contract-broken", lambda h: h.call(content=h.content() * 2)),
    row("an empty Body", "contract-broken", lambda h: h.call(content="")),
    row("text in the Body", "contract-broken", lambda h: h.call(content=f"text{h.content()}")),
    row("an unknown operation", "operation-unknown", call_of("DropTables", "")),
    row("an operation of no namespace", "operation-unknown", lambda h: h.call(content="<SendDocument/>")),
    row("an element too many", "contract-broken", call_of("GetDocument", "<d:DocumentId>x</d:DocumentId><d:Evil/>")),
    row("xsi:nil", "contract-broken", call_of("GetDocument",
        '<d:DocumentId xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>')),
    row("xsi:type", "contract-broken", call_of("GetDocument",
        '<d:DocumentId xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="d:Evil">x</d:DocumentId>')),
    row("a packet that is not base64", "contract-broken", call_of("SendDocument", "<d:Packet>@@@@</d:Packet>")),
    row("a header that must be understood", "not-must-understand", with_header('<e:Evil xmlns:e="urn:evil" s:mustUnderstand="1"/>')),
    row("another version's envelope", "soap-version", lambda h: attrs.evolve(h, soap=SOAP12 if h.soap == SOAP11 else SOAP11).call()),
    row("a foreign envelope", "soap-version", lambda h: h.call().replace(h.soap.encode(), b"urn:other-soap")),
    row("no envelope", "contract-broken", lambda h: h.content().encode()),
    row("another partner's document", "document-not-found", call_of("GetDocument", "<d:DocumentId>../../etc/passwd</d:DocumentId>"),
        refusal="event"),
    row("another partner's unit", "not-yours", call_of("GetPendingDocumentIds", "<d:OrganId>H55.1</d:OrganId>"), refusal="event"),
]

#: Well-signed calls whose packet is refused: answered as such systems expect, IsSuccess=false.
PACKETS = [
    row("for a unit of another partner", "sender-not-allowed", foreign),
    row("a packet with a DOCTYPE", "doctype-refused", in_packet("<edXML ", "<!DOCTYPE edXML><edXML ")),
    row("a packet with a billion laughs", "doctype-refused",
        in_packet("<edXML ", f'<!DOCTYPE edXML [<!ENTITY l0 "lol">{LAUGHS}]><edXML ')),
    row("a packet with XInclude", "T.MessageHeader.Subject",
        in_packet("<edXML:Subject>x", '<edXML:Subject><i:include xmlns:i="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>')),
    row("a packet cut short", "not-well-formed", lambda h: h.carrying(h.packet()[:-9])),
    row("a packet of another kind", "packet-unreadable", lambda h: h.carrying(b"<a/>")),
    row("an empty packet", "not-well-formed", lambda h: h.carrying(b"")),
    row("a ZIP that bursts", "R.AttachmentEncoded.Attachment[1].ContentTransferEncoded", zipped("a", size=200 * MB), megabytes=32),
    row("a ZIP with ten thousand entries and more", "R.AttachmentEncoded.Attachment[1].ContentTransferEncoded", zipped("#", times=10_001), megabytes=32),
    row("a ZIP that climbs", "R.AttachmentEncoded.Attachment[1].ContentTransferEncoded", zipped("../../../etc/cron.d/evil")),
    row("a ZIP with an absolute path", "R.AttachmentEncoded.Attachment[1].ContentTransferEncoded", zipped("/etc/passwd")),
    row("an attachment that is not base64", "T.AttachmentEncoded.Attachment[1].ContentTransferEncoded",
        in_packet('QCVN_102_2016">UEs', 'QCVN_102_2016">@@@@')),
    row("an attachment that no reference names", "M.AttachmentEncoded.Attachment[1].ContentId", in_packet("<ContentId>cid:1", "<ContentId>cid:9")),
]

#: What HTTP alone refuses.
HTTP = [
    row("gzip", "media-type", lambda h: h.call(), headers=(("Content-Encoding", "gzip"),), status=415, refusal="event"),
    row("a media type of JSON", "media-type", lambda _: b"{}", headers=(("Content-Type", "application/json"),), status=415, refusal="event"),
    row("a form with a file of 8 MB", "media-type", lambda _: b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" + bytes(8 * MB)
        + b"\r\n--b--", headers=(("Content-Type", "multipart/form-data; boundary=b"),), status=415, refusal="event"),
    row("another SOAPAction", "action-mismatch", lambda h: h.call(), headers=(("action", f"{DOCUMENTS}/ConfirmReceived"),)),
    row("a body over the limit", "too-large", lambda h: bytes(h.limit + 1), status=413, refusal="event"),
]

# fmt: on

TABLE: Sequence[Row] = [*WRAPPING, *TAMPERING, *ALGORITHMS, *XML, *SOAP, *PACKETS, *MULTIPART, *HTTP]
