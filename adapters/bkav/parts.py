"""A packet taken apart as this dialect carries it, and put together again.  Knows the packet's frame; no SOAP, no MIME, no call.

Apart, a packet is the children of its `edXMLHeader`, its manifest, and the octets of its attachments by their content ids.  Put together,
it is written in one way only, whatever prefixes, spaces, boundaries and transfer encodings it came with: the same document gives the same
octets.  Its own signature does not travel: it covers the packet in the form it had.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

import attrs
from lxml import etree

from hub.edxml.schema import QCVN
from hub.formats import base64_content, safe_xml

#: The older vocabulary of these services, where BKAV's header parts are (V BKAV).
EDOC = "http://www.e-doc.vn/Schema/"
_XLINK = "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
#: Vocabularies that are one to us; JAXB leaves the children of some elements in none.
_OURS = {None, EDOC, QCVN}
#: Of the header, what says who sends and not what is sent; and what is worth nothing once the packet was apart.
_LEFT_OUT = {"Signature", "DigitalSignature", "Token"}
_WHITE = " \t\r\n"


@attrs.frozen(kw_only=True)
class Parts:
    """A packet, apart; the elements are of the vocabulary that was asked for."""

    header: Sequence[etree._Element]
    manifest: etree._Element  #: empty, where the packet has none
    files: Mapping[str, bytes]  #: by content id, without `cid:`
    types: Mapping[str, str]  #: their media types, where the packet names one


def split_packet(content: bytes, namespace: str) -> Parts:
    """Take the packet *content* apart into elements of *namespace*.  Rejected and ValueError for what the hub would not have taken."""
    root = safe_xml.parse_safe_xml(content)
    header = _one(_one(root, "edXMLEnvelope"), "edXMLHeader")
    body = _maybe(_one(root, "edXMLEnvelope"), "edXMLBody")
    found = None if body is None else _maybe(body, "edXMLManifest")
    manifest = (
        etree.Element(f"{{{namespace}}}Manifest", nsmap=cast("Any", {None: namespace}))
        if found is None
        else translate_element(found, namespace, "Manifest")
    )
    encoded = _maybe(root, "AttachmentEncoded")
    files, types = {}, {}
    references = {_content_id(each): each for each in _all(manifest, "Reference")}
    for each in [] if encoded is None else _all(encoded, "Attachment"):
        content_id = _content_id(each)
        files[content_id] = b"".join(base64_content.decode_base64_slices(_text(each, "ContentTransferEncoded")))
        reference = references.get(content_id)
        if reference is None:
            raise ValueError(f"no Reference names the attachment {content_id[:100]}")
        _complete(reference, each, namespace)
        types[content_id] = _text(reference, "ContentType").strip()
    kept = [translate_element(each, namespace) for each in header if etree.QName(each).localname not in _LEFT_OUT]
    return Parts(header=kept, manifest=manifest, files=files, types=types)


def join_packet(header: Iterable[etree._Element], manifest: etree._Element | None, files: Mapping[str, bytes]) -> bytes:
    """Put a packet together from what of it is in *header*, its *manifest* and *files*; write it in the one way.

    A content id is looked for as written and percent-decoded (RFC 2392).  ValueError when a Reference has no file, or a file no
    Reference, or when there is no MessageHeader.
    """
    spaces = cast("Any", {None: QCVN, "xlink": _XLINK} if _linked(manifest) else {None: QCVN})
    root = etree.Element(f"{{{QCVN}}}edXML", nsmap=spaces)
    envelope = etree.SubElement(root, f"{{{QCVN}}}edXMLEnvelope")
    top = etree.SubElement(envelope, f"{{{QCVN}}}edXMLHeader")
    for each in header:
        name = etree.QName(each)
        if name.namespace in _OURS and name.localname not in _LEFT_OUT:
            _copy(each, top, QCVN)
    if not _all(top, "MessageHeader"):
        raise ValueError("no MessageHeader")
    left = dict(files)
    if manifest is not None:
        body = etree.SubElement(envelope, f"{{{QCVN}}}edXMLBody")
        references = _all(_copy(manifest, body, QCVN, "edXMLManifest"), "Reference")
        encoded = etree.SubElement(root, f"{{{QCVN}}}AttachmentEncoded") if references else None
        for reference in references:
            _attach(encoded, reference, left)
    if left:
        raise ValueError(f"no Reference names the part {min(left)[:100]}")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + etree.tostring(root, method="c14n")


def translate_element(element: etree._Element, namespace: str, name: str = "") -> etree._Element:
    """Return a copy of *element*, called *name*, whose vocabulary is *namespace*, without the spaces between its elements."""
    return _copy(element, None, namespace, name)


def _attach(encoded: etree._Element | None, reference: etree._Element, left: dict[str, bytes]) -> None:
    """Write the Attachment of *reference*, and take its file out of *left*."""
    assert encoded is not None
    content_id = _content_id(reference)
    found = next((each for each in left if content_id in {each, unquote(each)}), None)
    if not content_id or found is None:
        raise ValueError(f"no part is {content_id[:100] or 'without a name'}")
    made = etree.SubElement(encoded, f"{{{QCVN}}}Attachment")
    etree.SubElement(made, f"{{{QCVN}}}ContentId").text = content_id
    for name in ("AttachmentName", "Description", "ContentType"):
        if (leaf := _maybe(reference, name)) is not None:
            etree.SubElement(made, f"{{{QCVN}}}{name}").text = leaf.text
    etree.SubElement(made, f"{{{QCVN}}}ContentTransferEncoded").text = b64encode(left.pop(found)).decode()


def _complete(reference: etree._Element, attached: etree._Element, namespace: str) -> None:
    """Let *reference* say what only the Attachment said: that does not travel."""
    for name in ("ContentType", "Description", "AttachmentName"):
        given = _text(attached, name)
        if given.strip(_WHITE) and not _text(reference, name).strip(_WHITE):
            leaf = _maybe(reference, name)
            (etree.SubElement(reference, f"{{{namespace}}}{name}") if leaf is None else leaf).text = given


def _copy(element: etree._Element, parent: etree._Element | None, namespace: str, name: str = "") -> etree._Element:
    """Copy *element* under *parent*; of elements that hold elements, white space is left out."""
    was = etree.QName(element)
    tag = f"{{{namespace}}}{name or was.localname}" if was.namespace in _OURS else element.tag
    spaces = cast("Any", {None: namespace})
    made = etree.Element(tag, nsmap=spaces) if parent is None else etree.SubElement(parent, tag)
    for attribute, value in sorted(element.attrib.items()):
        made.set(attribute, value)
    children = list(element.iterchildren("*"))
    made.text = element.text if not children else _solid(element.text)
    for child in children:
        _copy(child, made, namespace).tail = _solid(child.tail)
    return made


def _solid(text: str | None) -> str | None:
    return text if text and text.strip(_WHITE) else None


def _linked(manifest: etree._Element | None) -> bool:
    found = () if manifest is None else manifest.iter("*")
    return any(str(name).startswith(f"{{{_XLINK}}}") for element in found for name in element.attrib)


def _content_id(element: etree._Element) -> str:
    """Return what names an attachment, in either place, without `cid:`."""
    written = _text(element, "ContentId").strip(_WHITE) or str(element.get(_HREF, "")).strip(" ")
    return written.removeprefix("cid:")


def _all(parent: etree._Element, name: str) -> list[etree._Element]:
    return [each for each in parent.iterchildren("*") if etree.QName(each).localname == name]


def _maybe(parent: etree._Element, name: str) -> etree._Element | None:
    return next(iter(_all(parent, name)), None)


def _one(parent: etree._Element, name: str) -> etree._Element:
    found = _maybe(parent, name)
    if found is None:
        raise ValueError(f"no {name}")
    return found


def _text(parent: etree._Element, name: str) -> str:
    found = _maybe(parent, name)
    return "" if found is None else found.text or ""
