"""Writes the messages of a drill: packets of QCVN 102, and calls of the other services.

Knows elements and their order. Does not know why something is sent, nor how it is counted.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from xml.sax.saxutils import escape

from lxml import etree

from hub.edxml.schema import QCVN

Fields = Mapping[str, object]
_REASONS = ("Văn bản điện tử mới", "Thu hồi văn bản điện tử", "Cập nhật văn bản điện tử", "Văn bản thay thế")
NEW, RECALL, UPDATE, REPLACEMENT = range(4)

#: The leaves of HoSo in the order of the contract.
_HOSO = (
    *(
        "MaHoSo",
        "MaTTHC",
        "TenTTHC",
        "MaLinhVuc",
        "TenLinhVuc",
        "ChuHoSo",
        "LoaiDoiTuong",
        "NgayTiepNhan",
        "NgayHenTra",
    ),
    *("TrangThaiHoSo", "DonViXuLy", "NgayTra", "NgayKetThucXuLy", "TaiLieuNop", "DanhSachLePhi", "DanhSachHoSoBoSung"),
    *("DanhSachGiayToKetQua", "KenhThucHien", "DuocThanhToanTrucTuyen", "HoSoCoThanhPhanSoHoa"),
    *("TaiKhoanDuocXacThucVoiVNeID", "MaCSDL", "TrangThaiThanhToan", "NgayThanhToan", "NgayNop", "HanTiepNhan"),
    *("MucDoTrucTuyen", "PhiDiaGioi", "NgayThuXinLoi"),
)


def _write_business(kind: int, about: str, paper: bool, recipients: Sequence[str], replaced: Sequence[str]) -> str:
    business = (_write_leaf("DocumentId", about) if about else "") + _write_leaf("BussinessDocType", kind)
    business += _write_leaf("BussinessDocReason", _REASONS[kind]) + _write_leaf("Paper", int(paper))
    if kind == UPDATE:
        business += _write_node(
            "BussinessDocumentInfo", _write_leaf("DocumentInfo", 1) + _write_leaf("DocumentReceiver", 0)
        )
    if kind == REPLACEMENT:
        organs = _write_node("OrganIdList", "".join(_write_leaf("OrganId", each) for each in recipients))
        infos = (_write_node("ReplacementInfo", _write_leaf("DocumentId", each) + organs) for each in replaced)
        business += _write_node("ReplacementInfoList", "".join(infos))
    return business


def _list_references(files: Sequence[tuple[str, str, bytes]]) -> str:
    return "".join(
        _write_node(
            "Reference",
            _write_leaf("ContentId", f"cid:{place}")
            + _write_leaf("ContentType", content_type)
            + _write_leaf("Description", name)
            + _write_leaf("AttachmentName", name),
        )
        for place, (name, content_type, _) in enumerate(files, 1)
    )


def _enclose_files(files: Sequence[tuple[str, str, bytes]]) -> str:
    return "".join(
        f"<Attachment><ContentId>cid:{place}</ContentId><AttachmentName>{name}</AttachmentName><Description>{name}"
        f'</Description><ContentType>{content_type}</ContentType><e:ContentTransferEncoded xmlns:e="{QCVN}">'
        f"{b64encode(content).decode()}</e:ContentTransferEncoded></Attachment>"
        for place, (name, content_type, content) in enumerate(files, 1)
    )


def write_document(
    sender: str,
    recipients: Sequence[str],
    *,
    document_id: str,
    number: str,
    promulgated: date,
    subject: str,
    kind: int = NEW,
    about: str = "",
    replaced: Sequence[str] = (),
    due: date | None = None,
    paper: bool = False,
    attachments: Iterable[tuple[str, str, bytes]] = (("van-ban.txt", "text/plain", b"Van ban dien tap\n"),),
) -> bytes:
    """Return the packet of a document, or with *kind* of a recall, an update or a replacement.

    *attachments*: name, content type, content of each.
    """
    day, files = promulgated.strftime("%Y/%m/%d"), tuple(attachments)
    business = _write_business(kind, about, paper, recipients, replaced)
    header = (
        _write_node("From", _write_organization(sender))
        + "".join(_write_node("To", _write_organization(each)) for each in recipients)
        + _write_leaf("DocumentId", document_id)
        + _write_node("Code", _write_leaf("CodeNumber", number) + _write_leaf("CodeNotation", "DT"))
        + _write_node("PromulgationInfo", _write_leaf("Place", "Diễn tập") + _write_leaf("PromulgationDate", day))
        + _write_node(
            "DocumentType", _write_leaf("Type", 1) + _write_leaf("TypeDetail", 0) + _write_leaf("TypeName", "Công văn")
        )
        + _write_leaf("Subject", subject)
        + _write_leaf("Content", subject)
        + _write_node(
            "SignerInfo",
            _write_leaf("Competence", "") + _write_leaf("Position", "") + _write_leaf("FullName", "Diễn tập"),
        )
        + (_write_leaf("DueDate", due.strftime("%Y/%m/%d")) if due else "")
        + _write_node(
            "OtherInfo", _write_leaf("Priority", 0) + _write_leaf("PageAmount", 1) + _write_leaf("Direction", "false")
        )
        + _write_leaf("SteeringType", 1)
        + _write_node("ToPlaces", _write_leaf("Place", "Như trên"))
    )
    trace = _write_node("TraceHeader", _write_leaf("OrganId", sender) + _write_leaf("Timestamp", f"{day} 00:00:00"))
    trace += _write_node("Bussiness", business)
    references = _list_references(files)
    manifest = f'<e:edXMLManifest version="1.0">{references}</e:edXMLManifest>'
    head = _write_node("edXMLHeader", _write_node("MessageHeader", header) + _write_node("TraceHeaderList", trace))
    enclosed = _enclose_files(files)
    return _write_packet(
        head + _write_node("edXMLBody", manifest), f"<AttachmentEncoded>{enclosed}</AttachmentEncoded>"
    )


def write_status(sender: str, code: str, organ: str, document_id: str, number: str, promulgated: date) -> bytes:
    """Return a status packet: *sender* says what became of the document of *organ*."""
    day = promulgated.strftime("%Y/%m/%d")
    answered = (
        _write_leaf("OrganId", organ) + _write_leaf("Code", f"{number}/DT") + _write_leaf("PromulgationDate", day)
    )
    header = (
        _write_node("From", _write_leaf("OrganId", sender) + _write_leaf("OrganName", sender))
        + _write_node("ResponseFor", answered + _write_leaf("DocumentId", document_id))
        + _write_node("StaffInfo", _write_leaf("Department", "") + _write_leaf("Staff", "Diễn tập"))
        + _write_leaf("StatusCode", code)
        + _write_leaf("Description", "")
        + _write_leaf("Timestamp", f"{day} 09:00:00")
    )
    return _write_packet(_write_node("edXMLHeader", _write_node("MessageHeader", header)), "")


def write_calendar(
    method: str, uid: str, sequence: int, day: date, unit: str, *, attendee: str = "", answer: str = ""
) -> bytes:
    """Return a calendar (RFC 5545) about a meeting of *unit* at 8 o'clock in Hà Nội on *day*.

    *attendee*, *answer*: who answers (method REPLY), and the PARTSTAT.
    """
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//lienthong//drill//VI", f"METHOD:{method}", "BEGIN:VEVENT"]
    lines += [f"UID:{uid}", f"SEQUENCE:{sequence}", f"DTSTAMP:{day:%Y%m%d}T00{sequence:02}00Z"]
    lines += [f"DTSTART:{day:%Y%m%d}T010000Z", f"DTEND:{day:%Y%m%d}T020000Z", "SUMMARY:Dien tap"]
    lines += ["STATUS:CANCELLED"] if method == "CANCEL" else []
    lines.append(f"ORGANIZER;X-LIENTHONG-UNIT={unit}:mailto:chutri@dientap.example")
    if attendee:
        lines.append(f"ATTENDEE;X-LIENTHONG-UNIT={attendee};PARTSTAT={answer}:mailto:thamdu@dientap.example")
    lines += ["END:VEVENT", "END:VCALENDAR"]
    return "".join(f"{line}\r\n" for line in lines).encode()


def write_incident(
    name: str, unit: str, severity: str, *, opened: datetime | None = None, closed: datetime | None = None
) -> bytes:
    """Return the report that an incident of *unit* was *opened*, or *closed*."""
    said = {
        "Id": name,
        "State": "closed" if closed else "open",
        "Class": "dien-tap",
        "Severity": severity,
        "Unit": unit,
    }
    said |= {word: at.isoformat() for word, at in (("OpenedAt", opened), ("ClosedAt", closed)) if at}
    inside = "".join(_make_plain_value(*each) for each in said.items())
    return f'<IncidentReport xmlns="urn:lienthong:incident:1">{inside}</IncidentReport>'.encode()


def write_dossier_states(unit: str, states: Iterable[Fields]) -> bytes:
    """Return the call SyncDossiers of *unit*."""
    parts = [("HoSo", {name: each[name] for name in _HOSO if each.get(name) is not None}) for each in states]
    return write_call("dossiers", "SyncDossiers", unit, parts)


def write_call(service: str, operation: str, unit: str, parts: Iterable[tuple[str, object]]) -> bytes:
    """Return the call of an *operation* about *unit*, as exclusive canonical XML.

    *parts*: each child by its name, with a text, its own children, or a list of these. A name may have attributes behind it.
    """
    inside = "".join(_make_plain_value(name, value) for name, value in (("OrganId", unit), *parts))
    written = f'<{operation} xmlns="urn:lienthong:{service}:1">{inside}</{operation}>'
    return etree.tostring(etree.fromstring(written), method="c14n", exclusive=True)


def add_message_id(call: bytes, message_id: str) -> bytes:
    """Return *call* with *message_id* as its first child."""
    head, _, rest = call.decode().partition(">")
    return f"{head}>{_make_plain_value('MessageId', message_id)}{rest}".encode()


def _make_plain_value(name: str, value: object) -> str:
    if isinstance(value, list | tuple):
        return "".join(_make_plain_value(name, each) for each in value)
    inside = (
        "".join(_make_plain_value(*each) for each in value.items())
        if isinstance(value, Mapping)
        else escape(str(value))
    )
    return f"<{name}>{inside}</{name.partition(' ')[0]}>"


def _write_organization(code: str) -> str:
    return "".join(_write_leaf(name, code) for name in ("OrganId", "OrganizationInCharge", "OrganName"))


def _write_leaf(name: str, value: object) -> str:
    return _write_node(name, escape(str(value)))


def _write_node(name: str, inside: str) -> str:
    return f"<e:{name}>{inside}</e:{name}>"


def _write_packet(inside: str, attachments: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<edXML xmlns="{QCVN}"><e:edXMLEnvelope xmlns:e="{QCVN}">'
        f"{inside}</e:edXMLEnvelope>{attachments}</edXML>\n"
    ).encode()
