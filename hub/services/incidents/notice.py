"""Writes the packet in which the province reports an incident to agencies.

Knows edXML (QCVN 102) and the schema of the report. Knows no addresses. Agencies read Vietnamese.

The packet holds the report twice: as XML for a system (`xsd/lienthong/1/incident.xsd`) and as text for a person. The
same incident at the same time gives the same octets.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from lxml import etree

from hub.domain.local_time import HANOI
from hub.edxml.schema import QCVN
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.services.incidents import CLOSED, NAMESPACE, Incident, write_instant

Node = tuple[str, "str | list[Node]"]

_NOTATION = "BC-SCATTT"  #: báo cáo sự cố an toàn thông tin; the project's own choice
_TYPE: list[Node] = [("Type", "2"), ("TypeName", "Báo cáo")]  #: as the standard numbers and names this type
_SEVERITIES = {
    "emergency": phrase("Severity: emergency"),
    "alert": phrase("Severity: alert"),
    "critical": phrase("Severity: critical"),
    "error": phrase("Severity: error"),
    "warning": phrase("Severity: warning"),
    "notice": phrase("Severity: notice"),
    "informational": phrase("Severity: informational"),
    "debug": phrase("Severity: debug"),
}


def write_incident_report(incident: Incident) -> bytes:
    """Return the report of *incident* as XML that conforms to the schema."""
    closed = incident.kind == CLOSED
    fields = {
        "Id": incident.id,
        "State": "closed" if closed else "open",
        "Class": incident.name,
        "Severity": incident.severity,
        "Unit": incident.unit,
        "ClosedAt" if closed else "OpenedAt": write_instant(incident.time),
        "Host": incident.host,
        "Text": incident.text,
    }
    root = etree.Element(f"{{{NAMESPACE}}}IncidentReport", nsmap=_make_default_namespace(NAMESPACE))
    for name, value in fields.items():
        if value:
            etree.SubElement(root, f"{{{NAMESPACE}}}{name}").text = _write_allowed_text(value)
    return _write_octets(root)


def write_incident_text(incident: Incident, names: Mapping[str, str]) -> str:
    """Return the report as text for a person, in Vietnamese. *names* maps unit codes to names."""
    unit, at = _name_organization(incident.unit, names), f"{incident.time.astimezone(HANOI):%d/%m/%Y %H:%M:%S}"
    told = [
        phrase("Incident: {incident}", incident=_write_allowed_text(incident.id)),
        phrase("Unit: {unit}", unit=_write_allowed_text(unit)),
        phrase("Class: {name}", name=_write_allowed_text(incident.name)),
        _SEVERITIES[incident.severity],
        phrase("Time: {at}", at=at),
    ]
    told += [phrase("Host: {host}", host=_write_allowed_text(incident.host))] if incident.host else []
    told += [phrase("Text: {text}", text=_write_allowed_text(incident.text))] if incident.text else []
    title = _say_to_agencies(phrase("INFORMATION SECURITY INCIDENT REPORT"))
    return "\r\n".join([title, "", *map(_say_to_agencies, told), ""])


def write_incident_packet(
    incident: Incident, sender: str, recipients: Iterable[str], now: datetime, names: Mapping[str, str]
) -> bytes:
    """Return the packet that the unit *sender* sends to *recipients* about *incident*."""
    number = hashlib.sha256(f"{incident.unit}\n{incident.id}".encode()).hexdigest()[:10]
    local = now.astimezone(HANOI)
    day = f"{local:%Y/%m/%d}"
    subject = phrase(
        "Report of the information security incident {incident} ({name})", incident=incident.id, name=incident.name
    )
    files = [
        (f"su-co-{number}.xml", "application/xml", write_incident_report(incident)),
        (f"su-co-{number}.txt", "text/plain", write_incident_text(incident, names).encode()),
    ]
    header: list[Node] = [
        ("From", _list_organization_nodes(sender, names)),
        *(("To", _list_organization_nodes(each, names)) for each in recipients),
        ("DocumentId", f"{sender},{day},{number}/{_NOTATION}"),
        ("Code", [("CodeNumber", number), ("CodeNotation", _NOTATION)]),
        (
            "PromulgationInfo",
            [("Place", _say_to_agencies(phrase("The interconnection hub"))), ("PromulgationDate", day)],
        ),
        ("DocumentType", _TYPE),
        ("Subject", _say_to_agencies(subject)),
        ("SignerInfo", [("FullName", _name_organization(sender, names)[:50])]),
        ("OtherInfo", [("Priority", "1")]),
        ("SteeringType", "1"),
    ]
    trace: list[Node] = [
        ("TraceHeader", [("OrganId", sender), ("Timestamp", f"{local:%Y/%m/%d %H:%M:%S}")]),
        ("Bussiness", [("BussinessDocType", "0"), ("Paper", "0")]),
    ]
    manifest: list[Node] = [
        ("Reference", [("ContentId", f"cid:{name}"), ("ContentType", kind), ("AttachmentName", name)])
        for name, kind, _ in files
    ]
    attached: list[Node] = [("Attachment", _list_attachment_nodes(*file)) for file in files]
    envelope: list[Node] = [
        ("edXMLHeader", [("MessageHeader", header), ("TraceHeaderList", trace)]),
        ("edXMLBody", [("edXMLManifest", manifest)]),
    ]
    root = etree.Element(f"{{{QCVN}}}edXML", nsmap=_make_default_namespace(QCVN))
    _grow_element(root, [("edXMLEnvelope", envelope), ("AttachmentEncoded", attached)])
    for found in root.iter(f"{{{QCVN}}}edXMLManifest"):
        found.set("version", "1.0")
    return _write_octets(root)


def _say_to_agencies(text: Phrase) -> str:
    """Return *text* in the language of the agencies."""
    return translate(text, Language.VI)


def _list_attachment_nodes(name: str, kind: str, content: bytes) -> list[Node]:
    encoded = base64.b64encode(content).decode("ascii")
    return [
        ("ContentId", f"cid:{name}"),
        ("AttachmentName", name),
        ("ContentType", kind),
        ("ContentTransferEncoded", encoded),
    ]


def _list_organization_nodes(code: str, names: Mapping[str, str]) -> list[Node]:
    return [("OrganId", code), ("OrganName", _name_organization(code, names)[:200])]


def _name_organization(code: str, names: Mapping[str, str]) -> str:
    return names.get(code) or code


def _grow_element(parent: etree._Element, nodes: Iterable[Node]) -> None:
    for name, inner in nodes:
        child = etree.SubElement(parent, f"{{{QCVN}}}{name}")
        if isinstance(inner, str):
            child.text = _write_allowed_text(inner)
        else:
            _grow_element(child, inner)


def _write_allowed_text(value: str) -> str:
    """Return *value* without the characters that XML 1.0 does not allow. A syslog message may contain any."""
    return "".join(
        each
        for each in value
        if each in "\t\n\r" or (each >= " " and not "\ud800" <= each <= "\udfff" and each not in "\ufffe\uffff")
    )


def _make_default_namespace(namespace: str) -> Any:
    """Return the declaration of a default namespace. The type stubs of lxml do not allow the key None."""
    return {None: namespace}


def _write_octets(root: etree._Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
