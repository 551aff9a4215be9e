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


def _business(kind: int, about: str, paper: bool, recipients: Sequence[str], replaced: Sequence[str]) -> str:
    business = (_leaf("DocumentId", about) if about else "") + _leaf("BussinessDocType", kind)
    business += _leaf("BussinessDocReason", _REASONS[kind]) + _leaf("Paper", int(paper))
    if kind == UPDATE:
        business += _node("BussinessDocumentInfo", _leaf("DocumentInfo", 1) + _leaf("DocumentReceiver", 0))
    if kind == REPLACEMENT:
        organs = _node("OrganIdList", "".join(_leaf("OrganId", each) for each in recipients))
        infos = (_node("ReplacementInfo", _leaf("DocumentId", each) + organs) for each in replaced)
        business += _node("ReplacementInfoList", "".join(infos))
    return business


def _list_references(files: Sequence[tuple[str, str, bytes]]) -> str:
    return "".join(
        _node(
            "Reference",
            _leaf("ContentId", f"cid:{place}")
            + _leaf("ContentType", content_type)
            + _leaf("Description", name)
            + _leaf("AttachmentName", name),
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
    business = _business(kind, about, paper, recipients, replaced)
    header = (
        _node("From", _organization(sender))
        + "".join(_node("To", _organization(each)) for each in recipients)
        + _leaf("DocumentId", document_id)
        + _node("Code", _leaf("CodeNumber", number) + _leaf("CodeNotation", "DT"))
        + _node("PromulgationInfo", _leaf("Place", "Diễn tập") + _leaf("PromulgationDate", day))
        + _node("DocumentType", _leaf("Type", 1) + _leaf("TypeDetail", 0) + _leaf("TypeName", "Công văn"))
        + _leaf("Subject", subject)
        + _leaf("Content", subject)
        + _node("SignerInfo", _leaf("Competence", "") + _leaf("Position", "") + _leaf("FullName", "Diễn tập"))
        + (_leaf("DueDate", due.strftime("%Y/%m/%d")) if due else "")
        + _node("OtherInfo", _leaf("Priority", 0) + _leaf("PageAmount", 1) + _leaf("Direction", "false"))
        + _leaf("SteeringType", 1)
        + _node("ToPlaces", _leaf("Place", "Như trên"))
    )
    trace = _node("TraceHeader", _leaf("OrganId", sender) + _leaf("Timestamp", f"{day} 00:00:00"))
    trace += _node("Bussiness", business)
    references = _list_references(files)
    manifest = f'<e:edXMLManifest version="1.0">{references}</e:edXMLManifest>'
    head = _node("edXMLHeader", _node("MessageHeader", header) + _node("TraceHeaderList", trace))
    enclosed = _enclose_files(files)
    return _packet(head + _node("edXMLBody", manifest), f"<AttachmentEncoded>{enclosed}</AttachmentEncoded>")


def write_status(sender: str, code: str, organ: str, document_id: str, number: str, promulgated: date) -> bytes:
    """Return a status packet: *sender* says what became of the document of *organ*."""
    day = promulgated.strftime("%Y/%m/%d")
    answered = _leaf("OrganId", organ) + _leaf("Code", f"{number}/DT") + _leaf("PromulgationDate", day)
    header = (
        _node("From", _leaf("OrganId", sender) + _leaf("OrganName", sender))
        + _node("ResponseFor", answered + _leaf("DocumentId", document_id))
        + _node("StaffInfo", _leaf("Department", "") + _leaf("Staff", "Diễn tập"))
        + _leaf("StatusCode", code)
        + _leaf("Description", "")
        + _leaf("Timestamp", f"{day} 09:00:00")
    )
    return _packet(_node("edXMLHeader", _node("MessageHeader", header)), "")


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
    inside = "".join(_plain(*each) for each in said.items())
    return f'<IncidentReport xmlns="urn:lienthong:incident:1">{inside}</IncidentReport>'.encode()


def write_dossier_states(unit: str, states: Iterable[Fields]) -> bytes:
    """Return the call SyncDossiers of *unit*."""
    parts = [("HoSo", {name: each[name] for name in _HOSO if each.get(name) is not None}) for each in states]
    return write_call("dossiers", "SyncDossiers", unit, parts)


def write_call(service: str, operation: str, unit: str, parts: Iterable[tuple[str, object]]) -> bytes:
    """Return the call of an *operation* about *unit*, as exclusive canonical XML.

    *parts*: each child by its name, with a text, its own children, or a list of these. A name may have attributes behind it.
    """
    inside = "".join(_plain(name, value) for name, value in (("OrganId", unit), *parts))
    written = f'<{operation} xmlns="urn:lienthong:{service}:1">{inside}</{operation}>'
    return etree.tostring(etree.fromstring(written), method="c14n", exclusive=True)


def add_message_id(call: bytes, message_id: str) -> bytes:
    """Return *call* with *message_id* as its first child."""
    head, _, rest = call.decode().partition(">")
    return f"{head}>{_plain('MessageId', message_id)}{rest}".encode()


def _plain(name: str, value: object) -> str:
    if isinstance(value, list | tuple):
        return "".join(_plain(name, each) for each in value)
    inside = "".join(_plain(*each) for each in value.items()) if isinstance(value, Mapping) else escape(str(value))
    return f"<{name}>{inside}</{name.partition(' ')[0]}>"


def _organization(code: str) -> str:
    return "".join(_leaf(name, code) for name in ("OrganId", "OrganizationInCharge", "OrganName"))


def _leaf(name: str, value: object) -> str:
    return _node(name, escape(str(value)))


def _node(name: str, inside: str) -> str:
    return f"<e:{name}>{inside}</e:{name}>"


def _packet(inside: str, attachments: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<edXML xmlns="{QCVN}"><e:edXMLEnvelope xmlns:e="{QCVN}">'
        f"{inside}</e:edXMLEnvelope>{attachments}</edXML>\n"
    ).encode()
