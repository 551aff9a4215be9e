"""How an envelope and its packets travel: inline, by MTOM/XOP, by SOAP with Attachments.  Knows media types and parts; no operation.

What comes is made the one tree that an inline call would have been (XOP 1.0, 3.2), and what goes is made of one such tree, so that
everything in between knows only envelopes.  The answer travels as the call did.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum

import attrs
from lxml import etree

from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import mime, streamed_xml
from hub.formats.mime import XOP, MimePart, Related
from hub.formats.spool import SLICE, Drawer, Octets
from hub.formats.streamed_xml import Load, Loads
from hub.security import signing
from hub.security.certificates import Signer
from hub.soap import envelope
from hub.soap.envelope import MEDIA, SOAP11, SOAP12

INCLUDE = "{http://www.w3.org/2004/08/xop/include}Include"
#: Of a multipart body whose envelope cannot be found, so much is kept.
BEGINNING = 64 * 1024

_SCHEME = 16  #: the scheme of a URI ends within so many characters
#: What a charset may say, in small letters: the encodings that `markup` reads, and what is part of one.
_CHARSETS = frozenset({"utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii"})
_VERSIONS = {media: soap for soap, media in MEDIA.items()}


class Carriage(Enum):
    """Where the packets of a call lie."""

    INLINE = "inline"
    MTOM = "mtom"
    SWA = "swa"


@attrs.frozen
class Manner:
    """How a call was sent, and so how it is answered."""

    soap: str = SOAP11  #: the version its media type names
    action: str | None = None  #: the SOAPAction, or the media type's action
    carriage: Carriage = Carriage.INLINE
    related: Related | None = None  #: of a multipart body


@attrs.frozen(eq=False)
class Unpacked:
    """A body as one tree; the parts that its Body refers to only by a URI lie beside it."""

    root: etree._Element
    loads: Loads
    attached: Mapping[str, MimePart]  #: by content id; of SOAP with Attachments alone
    action: str | None = None  #: that the envelope's part names


@attrs.frozen(eq=False)
class Outgoing:
    """A body that goes out."""

    content_type: str
    _items: Sequence[bytes | Load | Octets]

    @property
    def size(self) -> int:
        return sum(len(item) for item in self._items)

    def pieces(self) -> Iterator[bytes]:
        """Yield its octets, a slice at a time."""
        for item in self._items:
            if isinstance(item, Load):
                yield from item.canonical()
            else:
                yield from (item if isinstance(item, Octets) else Octets.of(item)).pieces(SLICE)

    def read(self) -> bytes:
        """Return all of it."""
        if all(isinstance(item, bytes) for item in self._items):
            return b"".join(item for item in self._items if isinstance(item, bytes))
        whole = bytearray()
        for piece in self.pieces():
            whole += piece
        return bytes(whole)


def read_http_manner(content_type: str, soap_action: str | None) -> Manner:
    """Return what the HTTP header says.  Raises CallRefused: `media-type`, `multipart-broken`.

    The octets say by themselves in which encoding they are (RFC 7303, 3.3); a charset that is not read here is refused, since another
    reader may go by it.
    """
    media, parameters = mime.media_type(content_type)
    if media != "multipart/related":
        soap = _VERSIONS.get(media)
        if soap is None:
            raise CallRefused(Problem("media-type", media[:100] or "-"))
        _judge_charset(parameters)
        return Manner(soap, soap_action if soap == SOAP11 else parameters.get("action"))
    related = mime.read_related_header(content_type)
    if related.kind == XOP:  # MTOM 1.0, 4.3: start-info names the envelope's own media type
        carriage, (named, more) = Carriage.MTOM, mime.media_type(parameters.get("start-info", ""))
        action = parameters.get("action", more.get("action"))
    else:
        carriage, named, action = Carriage.SWA, related.kind, parameters.get("action")
    soap = _VERSIONS.get(named)
    if soap is None:
        raise CallRefused(Problem("media-type", f"multipart/related, type={related.kind[:50]}, of {named[:50] or '-'}"))
    return Manner(soap, soap_action if soap == SOAP11 else action, carriage, related)


def unpack_body(body: Octets, how: Manner, names: frozenset[str], drawer: Drawer) -> Unpacked:
    """Return *body* as one tree, from which long texts of elements of these local *names* were taken out.

    Raises Rejected as `parse_streamed_xml` and `multipart.take_apart` do, and CallRefused: `multipart-broken` (the envelope's part is
    not of the type announced), `media-type` (its charset), `attachment-unknown` (an Include names what is not there, or nothing names a part).
    """
    if how.related is None:
        root, loads = streamed_xml.parse_streamed_xml(body, names, drawer)
        return Unpacked(root, loads, {})
    first, parts = mime.take_apart(body, how.related, drawer)
    action = _judge_first(first, how)
    root, loads = streamed_xml.parse_streamed_xml(first.octets, names, drawer)
    if how.carriage is Carriage.SWA:
        return Unpacked(root, loads, parts, action)
    _include(root, parts, names, loads)
    return Unpacked(root, loads, {}, action)


def keep_refused_body(body: Octets, how: Manner, drawer: Drawer) -> Octets:
    """Return what is kept of a refused *body*: of a multipart one the envelope's part, or the beginning where there is none."""
    if how.related is None:
        return body
    try:
        return mime.take_apart(body, how.related, drawer)[0].octets
    except CallRefused:
        return body.cut(0, min(len(body), BEGINNING))


def attach_parts(
    child: etree._Element,
    binary: frozenset[str],
    parts: Mapping[str, MimePart],
    signed: frozenset[str] | None,
    loads: Loads,
) -> None:
    """Make each reference in *child*, an element of *binary* with a URI in place of base64, the part it names.

    The URI is the text (a swaRef of WS-I's Attachments Profile) or the attribute `href` (SOAP Messages with Attachments).
    *signed* are the content ids that the call's signature covers (None: it has none, and nothing in the call is believed for
    its sake).  Raises CallRefused: `attachment-unknown`, `attachment-not-signed`.
    """
    left = dict(parts)
    for element in child.iter(*binary) if binary else ():
        text, href = (element.text or "").strip(" \t\r\n"), element.get("href")
        if href is None and (len(element) or ":" not in text[:_SCHEME] or loads.get(element) is not None):
            continue  # not a reference: base64 has no colon
        uri = text if href is None else href
        if len(element) or (href is not None and text):
            raise CallRefused(
                Problem("attachment-unknown", f"line {element.sourceline}: a href, and something beside it")
            )
        name = mime.content_id(uri)
        part = left.pop(name, None)
        if part is None:
            raise CallRefused(Problem("attachment-unknown", f"no part is <{name[:200]}>, or it is named twice"))
        if signed is not None and name not in signed:
            raise CallRefused(Problem("attachment-not-signed", f"<{name[:200]}>"))
        if href is not None:
            del element.attrib["href"]
        loads.put(element, Load(part.octets, carried=True))
    _refuse_rest(left)


def _judge_first(part: MimePart, how: Manner) -> str | None:
    """Return the action that the envelope's *part* names.  Raises CallRefused when its type is not the one announced."""
    assert how.related is not None
    named, more = mime.media_type(part.parameters.get("type", MEDIA[how.soap]))
    fits = part.media == how.related.kind and (how.carriage is Carriage.SWA or named == MEDIA[how.soap])
    if not fits:
        raise CallRefused(Problem("multipart-broken", f"the envelope's part is {part.media[:50]} of {named[:50]}"))
    _judge_charset(part.parameters)
    return part.parameters.get("action", more.get("action")) if how.soap == SOAP12 else None


def _judge_charset(parameters: Mapping[str, str]) -> None:
    charset = parameters.get("charset", "utf-8")
    if charset.lower() not in _CHARSETS:
        raise CallRefused(Problem("media-type", f"charset={charset[:50]}"))


def _include(root: etree._Element, parts: Mapping[str, MimePart], names: frozenset[str], loads: Loads) -> None:
    """Put the base64 of its part in the place of each xop:Include, which stands alone in an element (XOP 1.0, 2.1)."""
    left = dict(parts)
    for element in list(root.iter(INCLUDE)):
        parent = element.getparent()
        if parent is None or len(parent) != 1 or parent.text or element.tail or len(element) or element.text:
            raise CallRefused(
                Problem("multipart-broken", f"line {element.sourceline}: an Include stands alone, and empty")
            )
        if element.keys() != ["href"]:
            raise CallRefused(
                Problem("multipart-broken", f"line {element.sourceline}: an Include has an href, and no more")
            )
        name = mime.content_id(element.get("href", ""))
        part = left.pop(name, None)
        if part is None:
            raise CallRefused(Problem("attachment-unknown", f"no part is <{name[:200]}>, or it is named twice"))
        parent.remove(element)
        load = Load(part.octets, carried=True)
        if len(load) <= streamed_xml.LONG:
            parent.text = "".join(load.letters())
        elif etree.QName(parent).localname in names:
            loads.put(parent, load)
        else:
            raise CallRefused(
                Problem("too-large", f"line {parent.sourceline}: {len(part.octets)} octets in {parent.tag}")
            )
    _refuse_rest(left)


def _refuse_rest(left: Mapping[str, MimePart]) -> None:
    if left:
        raise CallRefused(Problem("attachment-unknown", f"nothing names the part <{next(iter(left))[:200]}>"))


# Going out


def pack_envelope(unsigned: bytes, loads: Loads, how: Manner, identity: Signer, now: datetime) -> Outgoing:
    """Sign the envelope *unsigned*, in which the tokens of *loads* stand for packets, and let it go in the manner of the call."""
    match how.carriage:
        case Carriage.SWA if loads:
            return _with_attachments(unsigned, loads, how, identity, now)
        case Carriage.MTOM:
            return _optimised(signing.sign_envelope(unsigned, identity, now, loads=loads), loads, how)
    signed = signing.sign_envelope(unsigned, identity, now, loads=loads)
    return Outgoing(envelope.CONTENT_TYPES[how.soap], list(loads.split(signed)))


def pack_plain_envelope(unsigned: bytes, soap: str) -> Outgoing:
    """Let a small envelope go as it is, unsigned and inline."""
    return Outgoing(envelope.CONTENT_TYPES[soap], [unsigned])


def _optimised(signed: bytes, loads: Loads, how: Manner) -> Outgoing:
    written: list[bytes] = []
    parts: list[tuple[str, Octets]] = []
    for item in loads.split(signed):
        if isinstance(item, Load):
            parts.append((_new_id(), item.octets))
            written.append(_INCLUDE % parts[-1][0].encode())
        else:
            written.append(item)
    media = MEDIA[how.soap]
    return _related(
        b"".join(written), parts, f'{XOP}; charset=UTF-8; type="{media}"', f'type="{XOP}"; start-info="{media}"'
    )


def _with_attachments(unsigned: bytes, loads: Loads, how: Manner, identity: Signer, now: datetime) -> Outgoing:
    written: list[bytes] = []
    parts: list[tuple[str, Octets]] = []
    for item in loads.split(unsigned):
        if isinstance(item, Load):
            parts.append((_new_id(), item.octets))
            written.append(f"cid:{parts[-1][0]}".encode())
        else:
            written.append(item)
    attached = [(f"cid:{name}", octets) for name, octets in parts]
    signed = signing.sign_envelope(b"".join(written), identity, now, attached=attached)
    return _related(signed, parts, envelope.CONTENT_TYPES[how.soap], f'type="{MEDIA[how.soap]}"')


def _related(root: bytes, parts: Sequence[tuple[str, Octets]], content_type: str, parameters: str) -> Outgoing:
    boundary, start = f"lienthong-{secrets.token_hex(16)}", _new_id()
    items: list[bytes | Octets] = [_HEADER % (boundary.encode(), start.encode(), content_type.encode()), root]
    for name, octets in parts:
        items += [b"\r\n", _HEADER % (boundary.encode(), name.encode(), b"application/octet-stream"), octets]
    items.append(b"\r\n--%s--\r\n" % boundary.encode())
    return Outgoing(f'multipart/related; {parameters}; start="<{start}>"; boundary="{boundary}"', items)


#: `binary` would be the word for it, but then zeep cuts the line ends off a part's edges; 8bit says as little about the octets.
_HEADER = b"--%s\r\nContent-ID: <%s>\r\nContent-Type: %s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
_INCLUDE = b'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:%s"/>'


def _new_id() -> str:
    return f"{secrets.token_hex(16)}@lienthong"
