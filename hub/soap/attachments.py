"""Unpacks and packs SOAP bodies whose packets travel inline, by MTOM/XOP or by SOAP with Attachments.

Knows media types and parts. Does not know operations. An incoming body becomes the tree that an inline call would have
been (XOP 1.0, 3.2), and an outgoing body is made from such a tree. So all other modules know only envelopes. The answer
travels in the same way as the call.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum

import attrs
from lxml import etree

from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import mime, safe_xml, streamed_xml
from hub.formats.canonical_xml import CanonicalElement
from hub.formats.mime import XOP, MimePart, Related
from hub.formats.spool import SLICE, Drawer, Octets
from hub.formats.streamed_xml import Load, Loads
from hub.language.phrases import phrase
from hub.security import signing
from hub.security.certificates import Signer
from hub.soap import envelope
from hub.soap.envelope import MEDIA, SOAP11, SOAP12

INCLUDE = "{http://www.w3.org/2004/08/xop/include}Include"
#: Maximum characters of a part's base64 in an element that is not known to hold any.
MOST_INCLUDED = 64 * 1024
#: Maximum octets that are kept of a multipart body whose envelope cannot be found.
BEGINNING = 64 * 1024

_SCHEME = 16  #: maximum characters of the scheme of a URI
#: Accepted charsets, in lower case: the encodings that `safe_xml` reads, and a subset of one.
_CHARSETS = frozenset({"utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii"})
_VERSIONS = {media: soap for soap, media in MEDIA.items()}


class Carriage(Enum):
    """Where the packets of a call are."""

    INLINE = "inline"
    MTOM = "mtom"
    SWA = "swa"


@attrs.frozen
class Manner:
    """The way in which a call was sent, and in which it is answered."""

    soap: str = SOAP11  #: the SOAP version of its media type
    action: str | None = None  #: the SOAPAction, or the action of the media type
    carriage: Carriage = Carriage.INLINE
    related: Related | None = None  #: for a multipart body
    trace: str | None = None  #: the header `traceparent`, if it is valid (`hub.domain.trace_context`)


@attrs.frozen(eq=False)
class Unpacked:
    """A body as one tree. The parts that its Body references only by URI are separate."""

    root: etree._Element
    document: Octets  #: the envelope as it was sent
    loads: Loads
    attached: Mapping[str, MimePart]  #: by content id; only for SOAP with Attachments
    action: str | None = None  #: the action in the header of the envelope's part


@attrs.frozen(eq=False)
class Outgoing:
    """An outgoing body."""

    content_type: str
    _items: Sequence[bytes | Load | Octets]

    @property
    def size(self) -> int:
        return sum(len(item) for item in self._items)

    @property
    def whole(self) -> Octets | None:
        """Return its octets if they are in one place."""
        first = self._items[0] if len(self._items) == 1 else None
        return first if isinstance(first, Octets) else None

    def pieces(self) -> Iterator[bytes]:
        """Yield its octets, slice by slice."""
        for item in self._items:
            if isinstance(item, Load):
                yield from item.canonical()
            else:
                yield from (item if isinstance(item, Octets) else Octets.of(item)).pieces(SLICE)

    def read(self) -> bytes:
        """Return all octets."""
        if all(isinstance(item, bytes) for item in self._items):
            return b"".join(item for item in self._items if isinstance(item, bytes))
        whole = bytearray()
        for piece in self.pieces():
            whole += piece
        return bytes(whole)


def read_http_manner(content_type: str, soap_action: str | None) -> Manner:
    """Return the manner that the HTTP headers state. Raises CallRefused: `media-type`, `multipart-broken`.

    The octets themselves show their encoding (RFC 7303, 3.3). A charset that the hub does not accept is refused, since
    another reader may trust it.
    """
    media, parameters = mime.read_media_type(content_type)
    if media != "multipart/related":
        soap = _VERSIONS.get(media)
        if soap is None:
            raise CallRefused(Problem("media-type", media[:100] or "-"))
        _judge_charset(parameters)
        return Manner(soap, soap_action if soap == SOAP11 else parameters.get("action"))
    related = mime.read_related_header(content_type)
    if related.kind == XOP:  # MTOM 1.0, 4.3: start-info names the envelope's own media type
        carriage, (named, more) = Carriage.MTOM, mime.read_media_type(parameters.get("start-info", ""))
        action = parameters.get("action", more.get("action"))
    else:
        carriage, named, action = Carriage.SWA, related.kind, parameters.get("action")
    soap = _VERSIONS.get(named)
    if soap is None:
        raise CallRefused(
            Problem(
                "media-type",
                phrase("multipart/related, type={kind}, of {named}", kind=related.kind[:50], named=named[:50] or "-"),
            )
        )
    return Manner(soap, soap_action if soap == SOAP11 else action, carriage, related)


def unpack_body(
    body: Octets, how: Manner, names: frozenset[str], drawer: Drawer, limits: safe_xml.Limits = safe_xml.LIMITS
) -> Unpacked:
    """Return *body* as one tree, from which the long texts of elements with these local *names* were left out.

    Raises Rejected like `parse_streamed_xml` and `mime.split_mime_body`, and CallRefused: `multipart-broken` (the
    envelope's part does not have the announced type), `media-type` (its charset), `attachment-unknown` (an Include
    names a missing part, or no Include names a part).
    """
    if how.related is None:
        root, loads = streamed_xml.parse_streamed_xml(body, names, drawer, limits)
        return Unpacked(root, body, loads, {})
    first, parts = mime.split_mime_body(body, how.related, drawer)
    action = _judge_first(first, how)
    root, loads = streamed_xml.parse_streamed_xml(first.octets, names, drawer, limits)
    if how.carriage is Carriage.SWA:
        return Unpacked(root, first.octets, loads, parts, action)
    _include_parts(root, parts, names, loads)
    return Unpacked(root, first.octets, loads, {}, action)


def keep_refused_body(body: Octets, how: Manner, drawer: Drawer) -> Octets:
    """Return what is kept of a refused *body*: all of it, or of a multipart body the envelope's part.

    If a multipart body has no readable envelope, its beginning is kept.
    """
    if how.related is None:
        return body
    try:
        return mime.split_mime_body(body, how.related, drawer)[0].octets
    except CallRefused:
        return body.cut(0, min(len(body), BEGINNING))


def attach_parts(
    child: etree._Element,
    binary: frozenset[str],
    parts: Mapping[str, MimePart],
    signed: frozenset[str] | None,
    loads: Loads,
) -> None:
    """Replace each reference in *child* to a part by the part. It stands in an element of *binary* instead of base64.

    The reference is a URI, either as text (a swaRef of WS-I's Attachments Profile) or in the attribute `href` (SOAP
    Messages with Attachments). *signed* are the content ids that the call's signature covers. None: the call has no
    signature, and nothing in it is trusted because of one. Raises CallRefused: `attachment-unknown`,
    `attachment-not-signed`.
    """
    left = dict(parts)
    for element in child.iter(*binary) if binary else ():
        text, href = (element.text or "").strip(" \t\r\n"), element.get("href")
        if href is None and (len(element) or ":" not in text[:_SCHEME] or loads.get(element) is not None):
            continue  # not a reference: base64 has no colon
        uri = text if href is None else href
        if len(element) or (href is not None and text):
            raise CallRefused(
                Problem(
                    "attachment-unknown",
                    phrase("line {line}: an href with other content beside it", line=element.sourceline),
                )
            )
        name = mime.read_content_id(uri)
        part = left.pop(name, None)
        if part is None:
            raise CallRefused(
                Problem(
                    "attachment-unknown",
                    phrase("no part has the id <{name}>, or it is referenced twice", name=name[:200]),
                )
            )
        if signed is not None and name not in signed:
            raise CallRefused(Problem("attachment-not-signed", f"<{name[:200]}>"))
        if href is not None:
            del element.attrib["href"]
        loads.put(element, Load(part.octets, carried=True))
    _refuse_rest(left)


def _judge_first(part: MimePart, how: Manner) -> str | None:
    """Return the action in the header of the envelope's *part*.

    Raises CallRefused if its type is not the announced one.
    """
    assert how.related is not None
    named, more = mime.read_media_type(part.parameters.get("type", MEDIA[how.soap]))
    fits = part.media == how.related.kind and (how.carriage is Carriage.SWA or named == MEDIA[how.soap])
    if not fits:
        raise CallRefused(
            Problem(
                "multipart-broken",
                phrase("the envelope's part is {media} of {named}", media=part.media[:50], named=named[:50]),
            )
        )
    _judge_charset(part.parameters)
    return part.parameters.get("action", more.get("action")) if how.soap == SOAP12 else None


def _judge_charset(parameters: Mapping[str, str]) -> None:
    charset = parameters.get("charset", "utf-8")
    if charset.lower() not in _CHARSETS:
        raise CallRefused(Problem("media-type", f"charset={charset[:50]}"))


def _include_parts(root: etree._Element, parts: Mapping[str, MimePart], names: frozenset[str], loads: Loads) -> None:
    """Replace each xop:Include by the base64 of its part. It must be the only content of its parent (XOP 1.0, 2.1)."""
    left = dict(parts)
    for element in list(root.iter(INCLUDE)):
        parent = element.getparent()
        if parent is None or len(parent) != 1 or parent.text or element.tail or len(element) or element.text:
            raise CallRefused(
                Problem(
                    "multipart-broken",
                    phrase(
                        "line {line}: an Include must be empty and the only content of its element",
                        line=element.sourceline,
                    ),
                )
            )
        if element.keys() != ["href"]:
            raise CallRefused(
                Problem(
                    "multipart-broken",
                    phrase("line {line}: an Include must have an href and no other attribute", line=element.sourceline),
                )
            )
        name = mime.read_content_id(element.get("href", ""))
        part = left.pop(name, None)
        if part is None:
            raise CallRefused(
                Problem(
                    "attachment-unknown",
                    phrase("no part has the id <{name}>, or it is referenced twice", name=name[:200]),
                )
            )
        parent.remove(element)
        load = Load(part.octets, carried=True)
        if len(load) > streamed_xml.LONG and etree.QName(parent).localname in names:
            loads.put(parent, load)
        elif len(load) <= MOST_INCLUDED:
            parent.text = b"".join(load.letters()).decode("ascii")
        else:
            raise CallRefused(
                Problem(
                    "too-large",
                    phrase(
                        "line {line}: {count} octets in {tag}",
                        line=parent.sourceline,
                        count=len(part.octets),
                        tag=parent.tag,
                    ),
                )
            )
    _refuse_rest(left)


def _refuse_rest(left: Mapping[str, MimePart]) -> None:
    if left:
        raise CallRefused(
            Problem("attachment-unknown", phrase("nothing references the part <{name}>", name=next(iter(left))[:200]))
        )


# Outgoing


def pack_envelope(
    unsigned: bytes | CanonicalElement, loads: Loads, how: Manner, identity: Signer, now: datetime
) -> Outgoing:
    """Sign the envelope *unsigned*, or an envelope around that element, and pack it in the manner of the call.

    Tokens in an envelope stand for the *loads*, its packets. An element has no loads.
    """
    if isinstance(unsigned, CanonicalElement):
        signed = signing.sign_canonical_body(unsigned, how.soap, identity, now)
    elif how.carriage is Carriage.SWA and loads:
        return _with_attachments(unsigned, loads, how, identity, now)
    else:
        signed = signing.sign_envelope(unsigned, identity, now, loads=loads)
    if how.carriage is Carriage.MTOM:
        return _write_optimised(signed, loads, how)
    return Outgoing(envelope.CONTENT_TYPES[how.soap], list(loads.split(signed)))


def pack_plain_envelope(unsigned: bytes, soap: str) -> Outgoing:
    """Pack a small envelope as it is, unsigned and inline."""
    return Outgoing(envelope.CONTENT_TYPES[soap], [unsigned])


def pack_unsigned_envelope(unsigned: bytes, loads: Loads, how: Manner) -> Outgoing:
    """Pack the envelope *unsigned* as it is, inline or by MTOM. Tokens in it stand for the *loads*."""
    if how.carriage is Carriage.MTOM:
        return _write_optimised(unsigned, loads, how)
    return Outgoing(envelope.CONTENT_TYPES[how.soap], list(loads.split(unsigned)))


def _write_optimised(signed: bytes, loads: Loads, how: Manner) -> Outgoing:
    written: list[bytes] = []
    parts: list[tuple[str, Octets]] = []
    for item in loads.split(signed):
        if isinstance(item, Load):
            parts.append((_new_id(), item.octets))
            written.append(_INCLUDE % parts[-1][0].encode())
        else:
            written.append(item)
    media = MEDIA[how.soap]
    return _write_related(
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
    return _write_related(signed, parts, envelope.CONTENT_TYPES[how.soap], f'type="{MEDIA[how.soap]}"')


def _write_related(root: bytes, parts: Sequence[tuple[str, Octets]], content_type: str, parameters: str) -> Outgoing:
    boundary, start = f"lienthong-{secrets.token_hex(16)}", _new_id()
    items: list[bytes | Octets] = [_HEADER % (boundary.encode(), start.encode(), content_type.encode()), root]
    for name, octets in parts:
        items += [b"\r\n", _HEADER % (boundary.encode(), name.encode(), b"application/octet-stream"), octets]
    items.append(b"\r\n--%s--\r\n" % boundary.encode())
    return Outgoing(f'multipart/related; {parameters}; start="<{start}>"; boundary="{boundary}"', items)


#: `binary` would be the proper value, but then zeep strips line ends from the edges of a part. 8bit is equally neutral
#: about the octets.
_HEADER = b"--%s\r\nContent-ID: <%s>\r\nContent-Type: %s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
_INCLUDE = b'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:%s"/>'


def _new_id() -> str:
    return f"{secrets.token_hex(16)}@lienthong"
