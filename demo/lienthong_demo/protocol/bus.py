"""Decodes and encodes SOAP with MIME parts as an Axis2 bus does: SOAP 1.1 and 1.2; plain, SwA and MTOM.

Knows no operation.

Written from the standards, with Python's own MIME parser. The vocabulary is that of BKAV's eDoc service.
"""

import base64
import email.parser
import email.policy
import secrets
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import attrs
from lxml import etree

from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall

EDOC = "http://www.e-doc.vn/Schema/"
QCVN = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
MEDIA = {
    "http://schemas.xmlsoap.org/soap/envelope/": "text/xml",
    "http://www.w3.org/2003/05/soap-envelope": "application/soap+xml",
}


class CallUnreadable(Exception):
    """The request is not a valid call."""


@attrs.frozen(kw_only=True)
class BusCall:
    """A decoded call."""

    soap: str  #: the namespace of its SOAP version
    action: str
    header: Mapping[str, etree._Element]  #: header blocks by local name; of equal names the last
    body: etree._Element
    files: Mapping[str, bytes]  #: by content id

    def field(self, name: str) -> str:
        """Return the text of the first element of the Body with that local name."""
        return read_path_text(self.body, name)


def open_bus_call(call: ServerCall) -> BusCall:
    """Decode a call. Raises CallUnreadable."""
    media = call.headers.get("content-type", "")
    octets, files = call.body, {}
    if media.lower().startswith("multipart/"):
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
            f"Content-Type: {media}\r\n\r\n".encode() + call.body
        )
        if not message.is_multipart():
            raise CallUnreadable("no multipart body")
        parts = [(str(part["Content-ID"] or "").strip("<>"), _octets(part)) for part in message.iter_parts()]
        start = str(message.get_param("start") or parts[0][0]).strip("<>")
        octets = dict(parts).get(start, b"")
        files = {unquote(name): content for name, content in parts if name != start}
    try:
        root = parse_bus_document(octets)
    except etree.XMLSyntaxError as error:
        raise CallUnreadable(str(error)) from error
    soap = etree.QName(root).namespace or ""
    body = root.find(f"{{{soap}}}Body")
    if soap not in MEDIA or etree.QName(root).localname != "Envelope" or body is None:
        raise CallUnreadable("no SOAP envelope")
    header = root.find(f"{{{soap}}}Header")
    blocks = {} if header is None else {etree.QName(each).localname: each for each in header.iterchildren("*")}
    return BusCall(soap=soap, action=_action(call, media), header=blocks, body=body, files=files)


def write_bus_answer(
    soap: str, header: Sequence[str], body: str, files: Mapping[str, bytes], *, packing: str, encoding: str
) -> ServerAnswer:
    """Encode an answer.

    *packing* is plain, swa or mtom; *encoding* is binary or base64. An answer with files is never plain.
    """
    written = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<SOAP-ENV:Envelope xmlns:SOAP-ENV="{soap}" xmlns:edXML="{EDOC}">'
        f"<SOAP-ENV:Header>{''.join(header)}</SOAP-ENV:Header><SOAP-ENV:Body>{body}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
    ).encode()
    media = MEDIA[soap]
    if packing == "plain" and not files:
        return ServerAnswer(200, written, f"{media}; charset=UTF-8")
    xop = packing == "mtom"
    boundary = f"MIMEBoundary_{secrets.token_hex(16)}"
    root = f'application/xop+xml; charset=UTF-8; type="{media}"' if xop else f"{media}; charset=UTF-8"
    pieces = [_part(boundary, root, "Start", written, "binary")]
    pieces += [_part(boundary, "application/octet-stream", name, files[name], encoding) for name in files]
    kind = f'type="application/xop+xml"; start-info="{media}"' if xop else f'type="{media}"'
    related = f'multipart/related; boundary="{boundary}"; {kind}; start="<Start>"'
    return ServerAnswer(200, b"\r\n".join([*pieces, f"--{boundary}--\r\n".encode()]), related)


def write_bus_fault(soap: str, told: str, *, ours: bool) -> ServerAnswer:
    """Encode a fault that blames the bus (*ours*) or the caller."""
    if soap.endswith("soap-envelope"):
        code = "Receiver" if ours else "Sender"
        inner = f"<s:Code><s:Value>s:{code}</s:Value></s:Code><s:Reason><s:Text>{told}</s:Text></s:Reason>"
    else:
        inner = f"<faultcode>s:{'Server' if ours else 'Client'}</faultcode><faultstring>{told}</faultstring>"
    written = f'<s:Envelope xmlns:s="{soap}"><s:Body><s:Fault>{inner}</s:Fault></s:Body></s:Envelope>'
    return ServerAnswer(500, written.encode(), f"{MEDIA[soap]}; charset=UTF-8")


def parse_bus_document(octets: bytes) -> etree._Element:
    """Return the root of a document, without white space between elements. Raises XMLSyntaxError."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, remove_blank_text=True)
    return etree.fromstring(octets, parser)


def find_elements(parent: etree._Element | None, name: str) -> list[etree._Element]:
    """Return the descendants of *parent* with that local name."""
    return [] if parent is None else [each for each in parent.iter("*") if etree.QName(each).localname == name]


def read_path_text(parent: etree._Element | None, *names: str) -> str:
    """Return the text at a path of local names below *parent*. Each step may skip levels."""
    for name in names:
        parent = next(iter(find_elements(parent, name)), None)
    return "" if parent is None else (parent.text or "").strip()


def respell_element(element: etree._Element, namespace: str, name: str = "") -> str:
    """Return the XML of *element* translated to *namespace*, renamed to *name*."""
    made = parse_bus_document(etree.tostring(element, with_tail=False))
    for each in made.iter("*"):
        if etree.QName(each).namespace in {EDOC, QCVN, None}:
            each.tag = f"{{{namespace}}}{etree.QName(each).localname}"
    if name:
        made.tag = f"{{{namespace}}}{name}"
    return etree.tostring(made, encoding="unicode")


def _action(call: ServerCall, media: str) -> str:
    given = call.headers.get("soapaction", "").strip().strip('"')
    if given:
        return given
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(f"Content-Type: {media}\r\n\r\n".encode())
    return str(message.get_param("action") or "")


def _octets(part: "email.message.Message[str, str]") -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _part(boundary: str, media: str, name: str, content: bytes, encoding: str) -> bytes:
    body = base64.encodebytes(content).replace(b"\n", b"\r\n") if encoding == "base64" else content
    head = f"--{boundary}\r\nContent-Type: {media}\r\nContent-Transfer-Encoding: {encoding}\r\nContent-ID: <{name}>\r\n\r\n"
    return head.encode() + body
