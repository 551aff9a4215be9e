"""Reads of an edXML packet (QCVN 102) what a partner needs to answer it and to count it.

Knows the packet's paths by local name. Does not use the hub's parser, so that the recount is independent.
"""

import base64
import io
import zipfile
from collections.abc import Iterator

import attrs
from lxml import etree

KINDS = {"0": "document", "1": "recall", "2": "update", "3": "replacement"}


@attrs.frozen
class Reading:
    """The values of a packet that are needed."""

    kind: str  #: document, recall, update, replacement, status
    sender: str  #: From/OrganId
    recipients: tuple[str, ...]  #: To/OrganId; empty in a status
    document_id: str  #: its own DocumentId; in a status, that of the document answered
    code: str  #: number/notation
    promulgation_date: str
    answered: str = ""  #: in a status: ResponseFor/OrganId
    status: str | None = None
    sender_name: str = ""  #: From/OrganName
    subject: str = ""


def read_sample_packet(content: bytes) -> Reading:
    """Read a packet. Raises ValueError if it is not one."""
    root = _root(content)
    header = _first(root, "edXMLEnvelope", "edXMLHeader", "MessageHeader")
    sender = _text(header, "From", "OrganId")
    if header is None or not sender:
        raise ValueError("no MessageHeader/From/OrganId")
    status = _text(header, "StatusCode")
    if status:
        return Reading(
            kind="status",
            sender=sender,
            recipients=(),
            document_id=_text(header, "ResponseFor", "DocumentId"),
            code=_text(header, "ResponseFor", "Code"),
            promulgation_date=_text(header, "ResponseFor", "PromulgationDate"),
            answered=_text(header, "ResponseFor", "OrganId"),
            status=status,
            sender_name=_text(header, "From", "OrganName"),
        )
    bussiness = _first(root, "edXMLEnvelope", "edXMLHeader", "TraceHeaderList", "Bussiness")
    return Reading(
        kind=KINDS[_text(bussiness, "BussinessDocType") or "0"],
        sender=sender,
        recipients=tuple(_text(to, "OrganId") for to in _all(header, "To")),
        document_id=_text(header, "DocumentId"),
        code=f"{_text(header, 'Code', 'CodeNumber')}/{_text(header, 'Code', 'CodeNotation')}",
        promulgation_date=_text(header, "PromulgationInfo", "PromulgationDate"),
        sender_name=_text(header, "From", "OrganName"),
        subject=_text(header, "Subject"),
    )


def list_sample_attachments(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the octets of each attachment of a packet, extracted from its ZIP if it has one.

    Raises ValueError.
    """
    for attachment in _all(_first(_root(content), "AttachmentEncoded"), "Attachment"):
        octets = base64.b64decode(_text(attachment, "ContentTransferEncoded"))
        if zipfile.is_zipfile(io.BytesIO(octets)):
            with zipfile.ZipFile(io.BytesIO(octets)) as wrapped:
                octets = wrapped.read(wrapped.namelist()[0])
        yield _text(attachment, "AttachmentName"), octets


def _root(content: bytes) -> etree._Element:
    try:
        return etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    except etree.XMLSyntaxError as error:
        raise ValueError(f"not XML: {error}") from error


def _all(parent: etree._Element | None, name: str) -> list[etree._Element]:
    if parent is None:
        return []
    return [child for child in parent.iterchildren(etree.Element) if etree.QName(child).localname == name]


def _first(parent: etree._Element | None, *names: str) -> etree._Element | None:
    for name in names:
        parent = next(iter(_all(parent, name)), None)
    return parent


def _text(parent: etree._Element | None, *names: str) -> str:
    found = _first(parent, *names)
    return "" if found is None else (found.text or "").strip()
