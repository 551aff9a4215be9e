"""Builds the responses of the documents service for the hub, and reads them for its clients. Knows their elements.

Does not know states. Of signatures it knows only that a Receipt is sealed. A reader raises ValueError for an element
that is not the expected response, because a partner may answer with something else.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs
from lxml import etree

from hub.domain.model import Problem, Unit
from hub.formats import xsd_types
from hub.formats.canonical_xml import CanonicalElement, write_canonical_leaf
from hub.formats.spool import Octets
from hub.formats.streamed_xml import Load, Loads
from hub.security import signing
from hub.soap.documents_requests import NAMESPACE, read_child_text
from hub.soap.envelope import build_element, build_error_list, read_error_list


@attrs.frozen
class SubmissionReport:
    """Whether the message was accepted, and if not, all reasons."""

    success: bool
    problems: tuple[Problem, ...] = ()  #: after reading, `detail` holds the Description


@attrs.frozen
class Submission:
    """The response to SendDocument and UpdateTraces. On refusal there is no id and no receipt."""

    report: SubmissionReport
    document_id: str | None = None
    receipt: bytes | None = None  #: the Receipt as a separate document


@attrs.frozen
class Document:
    """One fetched message."""

    document_id: str
    message_id: str
    packet: bytes


@attrs.frozen
class Trace:
    """One status packet. `document_id` is None if the hub does not know the document it answers."""

    document_id: str | None
    packet: bytes


@attrs.frozen
class Receipt:
    """The content of a receipt."""

    document_id: str
    message_id: str
    sha256: str
    time: datetime


# --- made -------------------------------------------------------------------------------------------------------------


def write_taken_response(
    operation: str, document_id: str, receipt: bytes, namespace: str = NAMESPACE
) -> CanonicalElement:
    """Write the response to *operation* for a message that is in the journal.

    *receipt* is the stored document that `hub.security.signing.seal_canonical` made of a Receipt of *namespace*. Its
    octets stay, but for the namespace, which the response declares. Raises ValueError for another document.
    """
    beginning = f'<Receipt xmlns="{namespace}">'.encode()
    receipt = signing.canonicalize_sealed(receipt)
    if not receipt.startswith(beginning):
        raise ValueError(f"not a Receipt of {namespace}: {receipt[:100]!r}")
    answer = (
        f'<{operation}Response xmlns="{namespace}"><Report><IsSuccess>true</IsSuccess><ErrorList></ErrorList></Report>'
        f"{write_canonical_leaf('DocumentId', document_id)}<Receipt>"
    )
    return CanonicalElement(
        b"".join((answer.encode(), memoryview(receipt)[len(beginning) :], f"</{operation}Response>".encode()))
    )


def build_refused_response(operation: str, problems: Sequence[Problem], namespace: str = NAMESPACE) -> etree._Element:
    """Build the response to *operation* for a refusal with *problems*.

    The response of *operation* must have a Report.
    """
    return _report_problems(operation, problems, namespace)


def build_confirmed_response() -> etree._Element:
    """Build the successful response to ConfirmReceived."""
    return _report_problems("ConfirmReceived")


def build_pending_response(document_ids: Sequence[str]) -> etree._Element:
    """Build the response to GetPendingDocumentIds, oldest first."""
    answer = build_element(NAMESPACE, "GetPendingDocumentIdsResponse", {"DocumentIds": ""})
    for document_id in document_ids:
        etree.SubElement(answer[0], f"{{{NAMESPACE}}}DocumentId").text = document_id
    return answer


def build_document_response(found: Document) -> etree._Element:
    """Build the response to GetDocument with the message's exact bytes."""
    packet = xsd_types.encode_canonical_base64(found.packet)
    return build_element(
        NAMESPACE,
        "GetDocumentResponse",
        {"DocumentId": found.document_id, "MessageId": found.message_id, "Packet": packet},
    )


def build_traces_response(found: Sequence[Trace]) -> etree._Element:
    """Build the response to GetTraces."""
    answer = build_element(NAMESPACE, "GetTracesResponse", {"Traces": ""})
    for trace in found:
        answer[0].append(
            build_element(
                NAMESPACE,
                "Trace",
                {"DocumentId": trace.document_id, "Packet": xsd_types.encode_canonical_base64(trace.packet)},
            )
        )
    return answer


def fill_packets(answer: etree._Element, packets: Iterable[Octets], loads: Loads | None = None) -> None:
    """Put *packets*, in order, into the empty Packet elements of *answer*. With *loads* they stay outside the tree."""
    for element, octets in zip(answer.iter(f"{{{NAMESPACE}}}Packet"), packets, strict=True):
        if loads is None:
            element.text = xsd_types.encode_canonical_base64(octets.read())
        else:
            loads.put(element, Load(octets, carried=True))


def write_organizations_response(units: Sequence[Unit]) -> CanonicalElement:
    """Write the response to GetOrganizations as it is signed: building and canonicalising a tree costs ten times as much."""
    rows = "".join(f"<Organization>{_write_organization(unit)}</Organization>" for unit in units)
    return CanonicalElement(
        f'<GetOrganizationsResponse xmlns="{NAMESPACE}"><Organizations>{rows}</Organizations>'
        "</GetOrganizationsResponse>".encode()
    )


def _write_organization(unit: Unit) -> str:
    fields = {
        "OrganId": unit.code,
        "OrganName": unit.name,
        "Parent": unit.parent,
        "From": unit.since.isoformat() if unit.since else None,
        "Until": unit.until.isoformat() if unit.until else None,
    }
    return "".join(write_canonical_leaf(name, text) for name, text in fields.items() if text is not None)


def build_permission_response(problems: Sequence[Problem]) -> etree._Element:
    """Build the response to CheckPermission: granted if there are no *problems*."""
    return _report_problems("CheckPermission", problems)


def write_receipt(said: Receipt, namespace: str = NAMESPACE) -> CanonicalElement:
    """Write the Receipt before hub.security.signing seals it."""
    leaves = {
        "DocumentId": said.document_id,
        "MessageId": said.message_id,
        "Sha256": said.sha256,
        "Time": xsd_types.write_xs_datetime(said.time),
    }
    inside = "".join(write_canonical_leaf(name, text) for name, text in leaves.items())
    return CanonicalElement(f'<Receipt xmlns="{namespace}">{inside}</Receipt>'.encode())


def _report_problems(operation: str, problems: Sequence[Problem] = (), namespace: str = NAMESPACE) -> etree._Element:
    answer = build_element(namespace, f"{operation}Response", {})
    report = build_element(namespace, "Report", {"IsSuccess": "false" if problems else "true"})
    report.append(build_error_list(namespace, problems))
    answer.append(report)
    return answer


# --- read -------------------------------------------------------------------------------------------------------------


def read_report(child: etree._Element, operation: str) -> SubmissionReport:
    """Read the Report in the response to *operation*. Raises ValueError."""
    _expect_child(child, f"{operation}Response")
    success = child.find(f"{{{NAMESPACE}}}Report/{{{NAMESPACE}}}IsSuccess")
    if success is None:
        raise ValueError("no Report/IsSuccess")
    errors = child.find(f"{{{NAMESPACE}}}Report/{{{NAMESPACE}}}ErrorList")
    return SubmissionReport(xsd_types.read_xs_boolean(success), () if errors is None else read_error_list(errors))


def read_service_report(child: etree._Element, operation: str) -> SubmissionReport:
    """Read the Report in the response to *operation* of another service, in whichever namespace. Raises ValueError."""
    if etree.QName(child).localname != f"{operation}Response":
        raise ValueError(f"not {operation}Response: {child.tag!s:.100}")
    success = child.find("{*}Report/{*}IsSuccess")
    if success is None:
        raise ValueError("no Report/IsSuccess")
    errors = child.find("{*}Report/{*}ErrorList")
    return SubmissionReport(xsd_types.read_xs_boolean(success), () if errors is None else read_error_list(errors))


def read_submission(child: etree._Element, operation: str) -> Submission:
    """Read the response to *operation*, SendDocument or UpdateTraces. Raises ValueError."""
    report = read_report(child, operation)
    found = child.find(f"{{{NAMESPACE}}}Receipt")
    return Submission(report, read_child_text(child, "DocumentId"), None if found is None else _write_alone(found))


def read_pending(child: etree._Element) -> tuple[str, ...]:
    """Read the ids in GetPendingDocumentIdsResponse. Raises ValueError."""
    _expect_child(child, "GetPendingDocumentIdsResponse")
    return tuple(
        xsd_types.read_xs_token(each)
        for each in child.iterfind(f"{{{NAMESPACE}}}DocumentIds/{{{NAMESPACE}}}DocumentId")
    )


def read_document(child: etree._Element) -> Document:
    """Read GetDocumentResponse. Raises ValueError."""
    _expect_child(child, "GetDocumentResponse")
    document_id, message_id = read_child_text(child, "DocumentId"), read_child_text(child, "MessageId")
    if document_id is None or message_id is None:
        raise ValueError("no DocumentId or no MessageId")
    return Document(document_id, message_id, _read_packet(child))


def read_traces(child: etree._Element) -> tuple[Trace, ...]:
    """Read GetTracesResponse. Raises ValueError."""
    _expect_child(child, "GetTracesResponse")
    found = child.iterfind(f"{{{NAMESPACE}}}Traces/{{{NAMESPACE}}}Trace")
    return tuple(Trace(read_child_text(trace, "DocumentId"), _read_packet(trace)) for trace in found)


def read_receipt(root: etree._Element) -> Receipt:
    """Read a Receipt, whose seal the caller has verified. Raises ValueError."""
    _expect_child(root, "Receipt")
    document_id, message_id, sha256 = (read_child_text(root, name) for name in ("DocumentId", "MessageId", "Sha256"))
    time = root.find(f"{{{NAMESPACE}}}Time")
    if document_id is None or message_id is None or sha256 is None or time is None:
        raise ValueError("a receipt lacks one of DocumentId, MessageId, Sha256, Time")
    return Receipt(document_id, message_id, sha256, xsd_types.read_xs_datetime(time))


def _write_alone(element: etree._Element) -> bytes:
    try:
        return etree.tostring(element, method="c14n", exclusive=True, with_tail=False)
    except etree.C14NError as error:  # a relative namespace URI
        raise ValueError(f"the Receipt has no canonical form: {error}") from None


def _expect_child(child: etree._Element, name: str) -> None:
    if child.tag != f"{{{NAMESPACE}}}{name}":
        raise ValueError(f"{str(child.tag)[:200]} is not a {name}")


def _read_packet(parent: etree._Element) -> bytes:
    found = parent.find(f"{{{NAMESPACE}}}Packet")
    if found is None:
        raise ValueError("no Packet")
    return xsd_types.read_xs_base64(found)
