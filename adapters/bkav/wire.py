"""Encodes this dialect's calls and decodes its answers: SOAP 1.1 or 1.2 with MIME parts.

Knows no operation and no packet.

Attachments travel as parts of a multipart/related beside the envelope (SwA). With MTOM only the media type of the root
part differs, application/xop+xml. The manifest names the attachments. An answer may come in any of these forms,
whatever form the call had.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote

import attrs
from lxml import etree

from hub.domain.conversations import Reply, Unavailable
from hub.domain.errors import CallRefused, Rejected
from hub.formats import mime, safe_xml
from hub.formats.mime import XOP
from hub.formats.spool import Drawer, Octets
from hub.partner.reply_parsing import may_have_taken, retry_after
from hub.soap import envelope
from hub.soap.envelope import SOAP11, SOAP12

#: The namespace in which clients of these services put their token in the Header.
TOKEN_SPACE = "http://e-doc.vn/xsd"  # noqa: S105 - a namespace
VERSIONS = {"1.1": SOAP11, "1.2": SOAP12}
#: HTTP statuses under which a SOAP stack sends an envelope.
_SOAP_STATUSES = {200, 202, 400, 500}
_DENIED = {401, 403}
#: The values of xs:boolean (XML Schema 1.0, 3.2.2), in lower case because .NET writes `True`.
_YES, _NO = {"true", "1"}, {"false", "0"}
_LIMITS = safe_xml.Limits(plain=frozenset())
#: Parts of one answer: the envelope and one part for each attachment.
_MOST_PARTS = 200
_START = "envelope"
_SAFE = "!#$&'()*+,-./:;=@[]^_`{|}~"


class _Memory(Drawer):
    """Keeps parts in memory, where the answer already is: adapters open no files."""

    def keep(self, pieces: Iterable[bytes]) -> Octets:
        return Octets.of(b"".join(pieces))


@attrs.frozen
class BkavReply:
    """A decoded answer."""

    header: Sequence[etree._Element]
    body: etree._Element
    files: Mapping[str, bytes]  #: by content id
    octets: bytes  #: the body as received

    def leaves(self, name: str) -> list[str]:
        """Return the texts of all elements of the Body named *name*, in any namespace."""
        return [(each.text or "").strip() for each in self.every(name)]

    def every(self, *names: str) -> list[etree._Element]:
        """Return all elements of the Body with one of these *names*, in document order."""
        return [each for each in self.body.iter("*") if etree.QName(each).localname in names]


@attrs.frozen
class Failed:
    """A fault that blames the sender, or a Report of failure: its text and its codes."""

    told: str
    codes: tuple[str, ...]
    octets: bytes  #: the body as received


def build_bkav_call(
    action: str,
    header: Sequence[etree._Element],
    child: etree._Element,
    files: Mapping[str, tuple[str, bytes]],
    *,
    soap: str,
    packing: str,
    boundary: str,
) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """Return the HTTP headers and the octets of a call. The same call gives the same octets.

    *soap* is 1.1 or 1.2; *packing* is swa or mtom. *files* maps content ids to media type and octets. Without files the
    body is the plain envelope.
    """
    space = VERSIONS[soap]
    root = etree.Element(f"{{{space}}}Envelope", nsmap={"soap": space})
    etree.SubElement(root, f"{{{space}}}Header").extend(header)
    etree.SubElement(root, f"{{{space}}}Body").append(child)
    octets = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    media = envelope.MEDIA[space]
    asked = f'; action="{action}"' if space == SOAP12 else ""
    plain = () if space == SOAP12 else (("SOAPAction", f'"{action}"'),)
    if not files:
        return (("Content-Type", f"{envelope.CONTENT_TYPES[space]}{asked}"), *plain), octets
    while any(boundary.encode() in content for _, content in files.values()) or boundary.encode() in octets:
        boundary += "-"
    mtom = packing == "mtom"
    kind = f'type="{XOP}"; start-info="{media}"' if mtom else f'type="{media}"'
    root_type = f'{XOP}; charset=UTF-8; type="{media}"' if mtom else envelope.CONTENT_TYPES[space]
    pieces = [_write_part(boundary, root_type, "8bit", _START, octets)]
    for content_id, (file_type, content) in files.items():
        pieces.append(_write_part(boundary, file_type, "binary", quote(content_id, safe=_SAFE), content))
    pieces.append(f"--{boundary}--\r\n".encode())
    related = f'multipart/related; {kind}; boundary="{boundary}"; start="<{_START}>"{asked}'
    return (("Content-Type", related), *plain), b"".join(pieces)


def read_bkav_reply(reply: Reply, now: datetime) -> BkavReply | Failed | Unavailable:
    """Decode *reply*.

    Returns Failed for a fault that blames the sender or a Report of failure, whose IsSuccess is false. Returns
    Unavailable for any other fault, for an IsSuccess that is neither true nor false, and for anything that is not SOAP.
    """
    wait = retry_after(reply.headers, reply.at or now)
    if reply.status in _DENIED:
        return Unavailable(f"HTTP {reply.status}", wait, credentials=True)
    if reply.status not in _SOAP_STATUSES:
        return Unavailable(f"HTTP {reply.status}: no SOAP answer", wait, unknown=may_have_taken(reply.status))
    try:
        heard = _open_reply(reply)
    except (Rejected, CallRefused, ValueError) as error:
        return Unavailable(f"HTTP {reply.status}: {error}"[:500], wait, unknown=may_have_taken(reply.status))
    for child in heard.body.iterchildren("*"):
        fault = envelope.read_fault(child)
        if fault is not None:
            # a fault of the bus itself, such as a time-out behind it, says nothing of what it had done by then
            ours = Unavailable(fault.text[:500], wait, unknown=True)
            return Failed(fault.text[:2000], (), reply.body) if fault.sender else ours
    successes = heard.leaves("IsSuccess")
    said = successes[0].lower() if successes else "true"
    if said in _NO:
        errors = [(_read_leaf(each, "Code"), _read_leaf(each, "Description")) for each in heard.every("Error")]
        told = "; ".join(f"{code}: {text}" for code, text in errors)[:2000]
        return Failed(told or "IsSuccess=false, without a reason", tuple(code for code, _ in errors), reply.body)
    if said not in _YES:
        # neither yes nor no, such as an element that is empty: the service may have taken the document
        return Unavailable(f"IsSuccess is neither true nor false: {successes[0][:100]!r}", wait, unknown=True)
    if reply.status not in {200, 202}:
        return Unavailable(f"HTTP {reply.status}, but no fault", wait, unknown=may_have_taken(reply.status))
    return heard


def build_token_header(value: str) -> etree._Element:
    """Return the header block that identifies the caller."""
    made = etree.Element(f"{{{TOKEN_SPACE}}}Token", nsmap=cast("Any", {None: TOKEN_SPACE}))
    made.text = value
    return made


def _write_part(boundary: str, media: str, encoding: str, content_id: str, content: bytes) -> bytes:
    head = f"--{boundary}\r\nContent-Type: {media}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return f"{head}Content-ID: <{content_id}>\r\n\r\n".encode() + content + b"\r\n"


def _open_reply(reply: Reply) -> BkavReply:
    """Decode the envelope and its parts. Raises Rejected, CallRefused or ValueError if there is no envelope."""
    media = reply.headers.get("content-type", "")
    body, files = reply.body, {}
    if media.strip().lower().startswith("multipart/"):
        root, others = mime.split_mime_body(
            Octets.of(body), mime.read_related_header(media), _Memory(), most=_MOST_PARTS
        )
        body, files = root.octets.read(), {name: part.octets.read() for name, part in others.items()}
    element = safe_xml.parse_safe_xml(body, limits=_LIMITS)
    name = etree.QName(element)
    if name.localname != "Envelope" or name.namespace not in VERSIONS.values():
        raise ValueError(f"no SOAP envelope: {element.tag}"[:200])
    header = element.find(f"{{{name.namespace}}}Header")
    found = element.find(f"{{{name.namespace}}}Body")
    if found is None:
        raise ValueError("no Body")
    return BkavReply(() if header is None else tuple(header.iterchildren("*")), found, files, reply.body)


def _read_leaf(parent: etree._Element, name: str) -> str:
    return next(((each.text or "").strip() for each in parent.iter("*") if etree.QName(each).localname == name), "")
