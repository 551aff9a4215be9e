"""Defines the calls of the documents service as values. Knows their elements in `urn:lienthong:documents:1`.

Does not know who may call. `read_documents_call` expects an element that the contract has validated.
`build_call_element` builds one, `write_send_document` writes the most frequent one as text.
"""

from binascii import b2a_base64
from collections.abc import Sequence
from datetime import datetime
from typing import get_args

import attrs
from lxml import etree

from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import safe_xml, xsd_types
from hub.formats.canonical_xml import CanonicalElement, write_canonical_leaf
from hub.formats.spool import Octets
from hub.language.phrases import phrase
from hub.soap.envelope import build_element

NAMESPACE = "urn:lienthong:documents:1"
PACKET = f"{{{NAMESPACE}}}Packet"


@attrs.frozen
class SendDocument:
    """Send a packet. Without a message id the hub takes the SHA-256 of its octets."""

    packet: bytes | Octets
    message_id: str | None = None


@attrs.frozen
class UpdateTraces:
    """Send a status packet."""

    packet: bytes | Octets
    message_id: str | None = None


@attrs.frozen
class GetPendingDocumentIds:
    """Ask for the messages that wait for a unit."""

    organ_id: str
    limit: int | None = None


@attrs.frozen
class GetDocument:
    """Fetch one message by the hub's id."""

    document_id: str


@attrs.frozen
class ConfirmReceived:
    """Confirm one message, for one unit or for all units of the partner."""

    document_id: str
    organ_id: str | None = None


@attrs.frozen
class GetTraces:
    """Ask for the statuses returned for a unit, of one document or since a time (inclusive)."""

    organ_id: str
    document_id: str | None = None
    since: datetime | None = None


@attrs.frozen
class GetOrganizations:
    """Ask for the units of the registry that were active at or after a time, or for all units."""

    since: datetime | None = None


@attrs.frozen
class CheckPermission:
    """Ask whether the caller may send for a unit."""

    organ_id: str


Call = (
    SendDocument
    | UpdateTraces
    | GetPendingDocumentIds
    | GetDocument
    | ConfirmReceived
    | GetTraces
    | GetOrganizations
    | CheckPermission
)


#: The names of all operations.
OPERATIONS = frozenset(each.__name__ for each in get_args(Call))


def choose_soap_action(call: Call) -> str:
    """Return the SOAPAction of *call*."""
    return f"{NAMESPACE}/{type(call).__name__}"


def build_call_element(call: Call) -> etree._Element:
    """Return the Body's child for *call*."""
    return build_element(NAMESPACE, type(call).__name__, _list_call_fields(call))


def write_send_document(packet: bytes, message_id: str) -> CanonicalElement:
    """Write the element that `build_call_element` builds for `SendDocument(packet, message_id)`.

    Raises ValueError for a *message_id* that XML cannot represent.
    """
    before = f'<SendDocument xmlns="{NAMESPACE}">{write_canonical_leaf("MessageId", message_id)}<Packet>'
    return CanonicalElement(b"".join((before.encode(), b2a_base64(packet, newline=False), b"</Packet></SendDocument>")))


def read_documents_call(child: etree._Element, packets: Sequence[bytes | Octets]) -> Call:
    """Read a validated call. *packets* is what `Contract.validate` returned for it.

    Raises CallRefused: `operation-unknown`, or `contract-broken` for a time that XSD allows and Python's calendar does
    not have.
    """
    match safe_xml.read_local_name(child):
        case "SendDocument":
            return SendDocument(packets[0], read_child_text(child, "MessageId"))
        case "UpdateTraces":
            return UpdateTraces(packets[0], read_child_text(child, "MessageId"))
        case "GetPendingDocumentIds":
            limit = child.find(f"{{{NAMESPACE}}}Limit")
            return GetPendingDocumentIds(
                _read_needed_text(child, "OrganId"), None if limit is None else xsd_types.read_xs_int(limit)
            )
        case "GetDocument":
            return GetDocument(_read_needed_text(child, "DocumentId"))
        case "ConfirmReceived":
            return ConfirmReceived(_read_needed_text(child, "DocumentId"), read_child_text(child, "OrganId"))
        case "GetTraces":
            return GetTraces(
                _read_needed_text(child, "OrganId"), read_child_text(child, "DocumentId"), _read_since(child)
            )
        case "GetOrganizations":
            return GetOrganizations(_read_since(child))
        case "CheckPermission":
            return CheckPermission(_read_needed_text(child, "OrganId"))
    raise CallRefused(Problem("operation-unknown", str(child.tag)[:200]))


def read_child_text(parent: etree._Element, name: str) -> str | None:
    """Return the text of the child *name* with white space collapsed. Return None if there is no such child."""
    found = parent.find(f"{{{NAMESPACE}}}{name}")
    return None if found is None else xsd_types.read_xs_token(found)


def _read_needed_text(child: etree._Element, name: str) -> str:
    found = read_child_text(child, name)
    assert found is not None, "only validated calls are read"
    return found


def _read_since(child: etree._Element) -> datetime | None:
    since = child.find(f"{{{NAMESPACE}}}Since")
    if since is None:
        return None
    try:
        return xsd_types.read_xs_datetime(since)
    except ValueError as error:
        raise CallRefused(
            Problem(
                "contract-broken",
                phrase(
                    "line {line}, {localname}/Since: {error}",
                    line=since.sourceline,
                    localname=etree.QName(child).localname,
                    error=str(error),
                ),
            )
        ) from None


def _list_call_fields(call: Call) -> dict[str, str | None]:
    match call:
        case SendDocument(packet, message_id) | UpdateTraces(packet, message_id):
            return {
                "MessageId": message_id,
                "Packet": xsd_types.encode_canonical_base64(packet if isinstance(packet, bytes) else packet.read()),
            }
        case GetPendingDocumentIds(organ_id, limit):
            return {"OrganId": organ_id, "Limit": None if limit is None else str(limit)}
        case GetDocument(document_id):
            return {"DocumentId": document_id}
        case ConfirmReceived(document_id, organ_id):
            return {"DocumentId": document_id, "OrganId": organ_id}
        case GetTraces(organ_id, document_id, since):
            return {
                "OrganId": organ_id,
                "DocumentId": document_id,
                "Since": None if since is None else xsd_types.write_xs_datetime(since),
            }
        case GetOrganizations(since):
            return {"Since": None if since is None else xsd_types.write_xs_datetime(since)}
        case CheckPermission(organ_id):
            return {"OrganId": organ_id}
