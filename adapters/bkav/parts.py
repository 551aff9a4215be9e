"""Splits a packet into the parts that this dialect carries, and joins such parts into a packet.

Knows the structure of a packet. Knows no SOAP, no MIME and no operation.

The parts are the children of `edXMLHeader`, the manifest, and the octets of the attachments by content id. A joined
packet is written in one canonical way, whatever prefixes, spaces, boundaries and transfer encodings its parts came
with: the same document gives the same octets. The packet's own signature is not carried, because it covers the packet
in its original form.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

import attrs
from lxml import etree

from hub.edxml.packet import read_packet_date
from hub.edxml.schema import QCVN
from hub.formats import base64_content, safe_xml

#: The older namespace of these services, used by BKAV's header parts (V BKAV).
EDOC = "http://www.e-doc.vn/Schema/"
_XLINK = "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
#: Namespaces treated as the same. JAXB leaves the children of some elements in no namespace.
_OURS = {None, EDOC, QCVN}
#: Header elements that are not carried: they identify the caller, or are worthless after the packet has been split.
_LEFT_OUT = {"Signature", "DigitalSignature", "Token"}
#: The elements of an organization (QCVN 102, 1.1 and 1.2).
ORGANIZATION = (*("OrganId", "OrganizationInCharge", "OrganName", "OrganAdd", "Email", "Telephone", "Fax", "Website"),)
_WHITE = " \t\r\n"


@attrs.frozen(kw_only=True)
class Parts:
    """A split packet. Its elements are in the namespace that `split_packet` was given."""

    header: Sequence[etree._Element]
    manifest: etree._Element  #: empty if the packet has none
    files: Mapping[str, bytes]  #: by content id, without `cid:`
    types: Mapping[str, str]  #: media types by content id; empty if the packet names none


def split_packet(content: bytes, namespace: str) -> Parts:
    """Split the packet *content* into elements of *namespace*.

    Raises Rejected or ValueError for content that the hub would not have accepted.
    """
    root = safe_xml.parse_safe_xml(content)
    header = _find_one(_find_one(root, "edXMLEnvelope"), "edXMLHeader")
    body = _find_first(_find_one(root, "edXMLEnvelope"), "edXMLBody")
    found = None if body is None else _find_first(body, "edXMLManifest")
    manifest = (
        etree.Element(f"{{{namespace}}}Manifest", nsmap=cast("Any", {None: namespace}))
        if found is None
        else translate_element(found, namespace, "Manifest")
    )
    encoded = _find_first(root, "AttachmentEncoded")
    files, types = {}, {}
    references = {_content_id(each): each for each in _find_all(manifest, "Reference")}
    for each in [] if encoded is None else _find_all(encoded, "Attachment"):
        content_id = _content_id(each)
        files[content_id] = b"".join(base64_content.decode_base64_slices(_read_text(each, "ContentTransferEncoded")))
        reference = references.get(content_id)
        if reference is None:
            raise ValueError(f"no Reference names the attachment {content_id[:100]}")
        _complete_reference(reference, each, namespace)
        types[content_id] = _read_text(reference, "ContentType").strip()
    kept = [translate_element(each, namespace) for each in header if etree.QName(each).localname not in _LEFT_OUT]
    return Parts(header=kept, manifest=manifest, files=files, types=types)


def complete_header(header: Iterable[etree._Element], namespace: str) -> None:
    """Give the organizations of a document all their elements, and its dates the form `yyyy/MM/dd`, as the XML check of
    the bus demands.

    A missing element is added without text, OrganizationInCharge with the OrganName.
    """
    for message in header:
        if etree.QName(message).localname != "MessageHeader":
            continue
        for organization in (*_find_all(message, "From"), *_find_all(message, "To")):
            for name in ORGANIZATION:
                leaf = _find_first(organization, name)
                if leaf is None:
                    leaf = etree.SubElement(organization, f"{{{namespace}}}{name}")
                if name == "OrganizationInCharge" and not (leaf.text or "").strip(_WHITE):
                    leaf.text = _read_text(organization, "OrganName")
        dated = [(message, "DueDate")]
        dated += [(each, "PromulgationDate") for each in _find_all(message, "PromulgationInfo")]
        for parent, name in dated:
            leaf = _find_first(parent, name)
            if leaf is not None and (day := read_packet_date((leaf.text or "").strip(_WHITE))) is not None:
                leaf.text = day.strftime("%Y/%m/%d")


def join_packet(header: Iterable[etree._Element], manifest: etree._Element | None, files: Mapping[str, bytes]) -> bytes:
    """Join a packet from the elements of *header*, its *manifest* and its *files*, in canonical form.

    A file is looked up by content id as written and percent-decoded (RFC 2392). Raises ValueError if a Reference has no
    file, a file has no Reference, or there is no MessageHeader.
    """
    spaces = cast("Any", {None: QCVN, "xlink": _XLINK} if _has_links(manifest) else {None: QCVN})
    root = etree.Element(f"{{{QCVN}}}edXML", nsmap=spaces)
    envelope = etree.SubElement(root, f"{{{QCVN}}}edXMLEnvelope")
    top = etree.SubElement(envelope, f"{{{QCVN}}}edXMLHeader")
    for each in header:
        name = etree.QName(each)
        if name.namespace in _OURS and name.localname not in _LEFT_OUT:
            _copy_under(each, top, QCVN)
    if not _find_all(top, "MessageHeader"):
        raise ValueError("no MessageHeader")
    left = dict(files)
    if manifest is not None:
        body = etree.SubElement(envelope, f"{{{QCVN}}}edXMLBody")
        references = _find_all(_copy_under(manifest, body, QCVN, "edXMLManifest"), "Reference")
        encoded = etree.SubElement(root, f"{{{QCVN}}}AttachmentEncoded") if references else None
        for reference in references:
            _attach_file(encoded, reference, left)
    if left:
        raise ValueError(f"no Reference names the part {min(left)[:100]}")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + etree.tostring(root, method="c14n")


def translate_element(element: etree._Element, namespace: str, name: str = "") -> etree._Element:
    """Return a copy of *element*, renamed to *name*, in *namespace*, without the white space between its elements."""
    return _copy_under(element, None, namespace, name)


def _attach_file(encoded: etree._Element | None, reference: etree._Element, left: dict[str, bytes]) -> None:
    """Write the Attachment of *reference* and remove its file from *left*."""
    assert encoded is not None
    content_id = _content_id(reference)
    found = next((each for each in left if content_id in {each, unquote(each)}), None)
    if not content_id or found is None:
        raise ValueError(f"no part is {content_id[:100] or 'without a name'}")
    made = etree.SubElement(encoded, f"{{{QCVN}}}Attachment")
    etree.SubElement(made, f"{{{QCVN}}}ContentId").text = content_id
    for name in ("AttachmentName", "Description", "ContentType"):
        if (leaf := _find_first(reference, name)) is not None:
            etree.SubElement(made, f"{{{QCVN}}}{name}").text = leaf.text
    etree.SubElement(made, f"{{{QCVN}}}ContentTransferEncoded").text = b64encode(left.pop(found)).decode()


def _complete_reference(reference: etree._Element, attached: etree._Element, namespace: str) -> None:
    """Copy into *reference* what only the Attachment says, because the Attachment itself is not carried."""
    for name in ("ContentType", "Description", "AttachmentName"):
        given = _read_text(attached, name)
        if given.strip(_WHITE) and not _read_text(reference, name).strip(_WHITE):
            leaf = _find_first(reference, name)
            (etree.SubElement(reference, f"{{{namespace}}}{name}") if leaf is None else leaf).text = given


def _copy_under(
    element: etree._Element, parent: etree._Element | None, namespace: str, name: str = ""
) -> etree._Element:
    """Copy *element* under *parent*. White space between elements is left out."""
    was = etree.QName(element)
    tag = f"{{{namespace}}}{name or was.localname}" if was.namespace in _OURS else element.tag
    spaces = cast("Any", {None: namespace})
    made = etree.Element(tag, nsmap=spaces) if parent is None else etree.SubElement(parent, tag)
    for attribute, value in sorted(element.attrib.items()):
        made.set(attribute, value)
    children = list(element.iterchildren("*"))
    made.text = element.text if not children else _keep_solid(element.text)
    for child in children:
        _copy_under(child, made, namespace).tail = _keep_solid(child.tail)
    return made


def _keep_solid(text: str | None) -> str | None:
    return text if text and text.strip(_WHITE) else None


def _has_links(manifest: etree._Element | None) -> bool:
    found = () if manifest is None else manifest.iter("*")
    return any(str(name).startswith(f"{{{_XLINK}}}") for element in found for name in element.attrib)


def _content_id(element: etree._Element) -> str:
    """Return the content id of an attachment, from either place that may hold it, without `cid:`."""
    written = _read_text(element, "ContentId").strip(_WHITE) or str(element.get(_HREF, "")).strip(" ")
    return written.removeprefix("cid:")


def _find_all(parent: etree._Element, name: str) -> list[etree._Element]:
    return [each for each in parent.iterchildren("*") if etree.QName(each).localname == name]


def _find_first(parent: etree._Element, name: str) -> etree._Element | None:
    return next(iter(_find_all(parent, name)), None)


def _find_one(parent: etree._Element, name: str) -> etree._Element:
    found = _find_first(parent, name)
    if found is None:
        raise ValueError(f"no {name}")
    return found


def _read_text(parent: etree._Element, name: str) -> str:
    found = _find_first(parent, name)
    return "" if found is None else found.text or ""
