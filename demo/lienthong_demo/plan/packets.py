"""Writes packets as real systems do (edXML, QCVN 102). Knows the format and its variations. Knows nothing of the hub.

All values come from the caller. The same arguments give the same bytes, on any day.
"""

import base64
import io
import uuid
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import attrs

QCVN = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
HANOI = timezone(timedelta(hours=7))

#: MessageHeader in the order of the standard's clauses. Real packets use another order.
CLAUSES = (
    *("From", "To", "Code", "PromulgationInfo", "DocumentType", "Subject", "Content", "SignerInfo", "DueDate"),
    *("ToPlaces", "OtherInfo", "ResponseFor", "SteeringType", "DocumentId"),
)

Node = tuple[str, "str | Sequence[Node]"]
Nodes = list[Node]


@attrs.frozen(kw_only=True)
class Variation:
    """How a packet is written, where real systems differ. The default is the form of the VXP SDK."""

    order: Literal["seen", "clauses", "reversed"] = "seen"
    dates: str = "%Y/%m/%d"  #: strftime format
    prefix: str = "edXML"  #: of the envelope and its descendants; empty for the default namespace
    bussiness: Literal["after", "before", "absent"] = "after"  #: its position relative to TraceHeader
    trace: bool = True  #: with a TraceHeaderList
    cid: bool = True  #: `cid:` before Attachment/ContentId, as before that of Reference
    href: bool = False  #: Reference names its attachment in xlink:href
    wrapped: bool = True  #: each attachment is in a ZIP with one entry named by a UUID
    width: int = 0  #: characters of a line of base64; 0: one line
    signature: Literal["", "dummy", "xmldsig", "empty"] = ""
    extension: str = ""  #: name of an element in MessageHeader that no schema defines


SEEN = Variation()


@attrs.frozen
class Answered:
    """The document that a packet answers (ResponseFor)."""

    organ: str
    code: str = ""  #: number/notation
    promulgated: date | str = ""
    document_id: str = ""


def write_document_packet(
    sender: str,
    recipients: Iterable[str],
    *,
    number: str,
    notation: str,
    subject: str,
    promulgated: date | str,
    document_id: str | None = None,
    attachments: Iterable[tuple[str, bytes]] = (("van-ban.txt", b"Noi dung van ban\n"),),
    due: date | str | None = None,
    paper: bool = False,
    priority: int = 0,
    kind: int = 0,
    reason: str | None = None,
    about: str | None = None,
    responses: Iterable[Answered] = (),
    replaced: Iterable[str] = (),
    type_name: str = "Công văn",
    content_type: str = "application/zip",
    names: Mapping[str, str] | None = None,
    at: datetime | str | None = None,
    variation: Variation = SEEN,
) -> bytes:
    """Write a packet that carries a document.

    *kind* is BussinessDocType: 0 new, 1 recall, 2 update, 3 replacement. *about* is the DocumentId that a recall or
    update concerns, *replaced* those that a replacement replaces. Without *document_id* it is
    `sender,date,number/notation`. A date given as text is written unchanged. *names* maps unit codes to names. *at* is
    the time at which the sender forwarded the packet.
    """
    to, files = tuple(recipients), tuple(attachments)
    day = _day(promulgated, variation)
    code: Nodes = [("CodeNumber", number), ("CodeNotation", notation)]
    header: Nodes = [
        ("From", _organization(sender, names)),
        *(("To", _organization(each, names)) for each in to),
        (
            "DocumentId",
            f"{sender},{_day(promulgated, SEEN)},{number}/{notation}" if document_id is None else document_id,
        ),
        ("Code", code),
        ("PromulgationInfo", [("Place", "Thái Nguyên"), ("PromulgationDate", day)]),
        ("DocumentType", [("Type", "1"), ("TypeDetail", "0"), ("TypeName", type_name)]),
        ("Subject", subject),
        ("Content", subject),
        ("SignerInfo", [("Competence", "TL. CHỦ TỊCH"), ("Position", "Chánh Văn phòng"), ("FullName", "Người Ký Mẫu")]),
        *([("DueDate", _day(due, variation))] if due is not None else []),
        ("OtherInfo", [("Priority", str(priority)), ("PageAmount", "1"), ("Direction", "false")]),
        *(("ResponseFor", _answered(each, variation)) for each in responses),
        ("SteeringType", "1"),
        ("ToPlaces", [("Place", "Như trên"), ("Place", "Lưu: VT")]),
        *([(variation.extension, "1")] if variation.extension else []),
    ]
    if variation.order == "clauses":
        header.sort(key=lambda node: CLAUSES.index(node[0]) if node[0] in CLAUSES else len(CLAUSES))
    trace: Nodes = [("TraceHeader", [("OrganId", sender), ("Timestamp", _time(at, f"{day} 00:00:00"))])]
    if variation.bussiness != "absent":
        business = _bussiness(kind, reason, about, paper, to, tuple(replaced))
        trace.insert(len(trace) if variation.bussiness == "after" else 0, ("Bussiness", business))
    top: Nodes = [("MessageHeader", header), *([("TraceHeaderList", trace)] if variation.trace else [])]
    references = "".join(
        _reference(index, name, content_type, variation) for index, (name, _) in enumerate(files, start=1)
    )
    q = _q(variation)
    body = f'<{q}edXMLBody><{q}edXMLManifest version="1.0">{references}</{q}edXMLManifest></{q}edXMLBody>'
    return _packet(top, body, _encoded(files, content_type, variation), variation)


def write_status_packet(
    sender: str,
    code: str,
    answered: Answered,
    *,
    at: datetime | str,
    description: str = "",
    names: Mapping[str, str] | None = None,
    variation: Variation = SEEN,
) -> bytes:
    """Write a status packet: *sender* reports *code*, two digits, about the document *answered*.

    *at* is timezone-aware and written in Hà Nội time.
    """
    organization = _organization(sender, names)
    header: Nodes = [
        ("From", [organization[0], *organization[:0:-1]]),  # statuses have OrganName before OrganizationInCharge
        ("ResponseFor", _answered(answered, variation)),
        ("StaffInfo", [("Department", "Văn thư"), ("Staff", "Cán Bộ Mẫu"), ("Mobile", ""), ("Email", "")]),
        ("StatusCode", code),
        ("Description", description),
        ("Timestamp", _time(at, "")),
        *([(variation.extension, "1")] if variation.extension else []),
    ]
    return _packet([("MessageHeader", header)], "", [], variation)


def zip_packet(name: str, content: bytes) -> bytes:
    """Return *content* as the VXP SDK wraps it: a ZIP with one entry named by a UUID with the extension of *name*."""
    entry = f"{uuid.uuid5(uuid.NAMESPACE_OID, f'{name} {len(content)}')}.{name.rpartition('.')[2]}"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo(entry, (2020, 1, 1, 0, 0, 0)), content)
    return packed.getvalue()


def _organization(code: str, names: Mapping[str, str] | None) -> Nodes:
    name = (names or {}).get(code, code)
    return [("OrganId", code), ("OrganizationInCharge", name), ("OrganName", name)]


def _answered(answered: Answered, variation: Variation) -> Nodes:
    return [
        ("OrganId", answered.organ),
        ("Code", answered.code),
        ("PromulgationDate", _day(answered.promulgated, variation)),
        ("DocumentId", answered.document_id),
    ]


def _bussiness(
    kind: int, reason: str | None, about: str | None, paper: bool, to: Sequence[str], replaced: Sequence[str]
) -> Nodes:
    reasons = ("Văn bản điện tử mới", "Thu hồi văn bản điện tử", "Cập nhật văn bản điện tử", "Văn bản thay thế")
    nodes: Nodes = [("DocumentId", about)] if about is not None else []
    nodes.append(("BussinessDocType", str(kind)))
    nodes.append(("BussinessDocReason", reasons[kind % 4] if reason is None else reason))
    nodes.append(("Paper", "1" if paper else "0"))
    if kind == 2:
        nodes.append(("BussinessDocumentInfo", [("DocumentInfo", "1"), ("DocumentReceiver", "0")]))
    if kind == 3:
        organs: Nodes = [("OrganIdList", [("OrganId", each) for each in to])]
        nodes.append(("ReplacementInfoList", [("ReplacementInfo", [("DocumentId", old), *organs]) for old in replaced]))
    nodes.append(("StaffInfo", [("Department", "Văn thư"), ("Staff", "Cán Bộ Mẫu"), ("Email", ""), ("Mobile", "")]))
    return nodes


def _day(value: date | str, variation: Variation) -> str:
    return value if isinstance(value, str) else value.strftime(variation.dates)


def _time(value: datetime | str | None, otherwise: str) -> str:
    if value is None or isinstance(value, str):
        return otherwise if value is None else value
    return value.astimezone(HANOI).strftime("%Y/%m/%d %H:%M:%S")


def _q(variation: Variation) -> str:
    return f"{variation.prefix}:" if variation.prefix else ""


def _reference(index: int, name: str, content_type: str, variation: Variation) -> str:
    nodes: Nodes = [("ContentType", content_type), ("Description", name), ("AttachmentName", name)]
    if not variation.href:
        return _xml(("Reference", [("ContentId", f"cid:{index}"), *nodes]), variation)
    links = f' xmlns:xlink="http://www.w3.org/1999/xlink" xlink:type="simple" xlink:href={quoteattr(f"cid:{index}")}'
    return _xml(("Reference", nodes), variation, links)


def _encoded(files: Sequence[tuple[str, bytes]], content_type: str, variation: Variation) -> list[bytes]:
    """Return AttachmentEncoded in pieces, because it may be large."""
    pieces: list[bytes] = []
    plain = attrs.evolve(variation, prefix="")
    for index, (name, content) in enumerate(files, start=1):
        nodes: Nodes = [("ContentId", f"{'cid:' if variation.cid else ''}{index}"), ("AttachmentName", name)]
        nodes += [("Description", name), ("ContentType", content_type)]
        letters = base64.b64encode(zip_packet(name, content) if variation.wrapped else content)
        if variation.width:
            letters = b"\n".join(letters[at : at + variation.width] for at in range(0, len(letters), variation.width))
        start = "".join(_xml(node, plain) for node in nodes)
        pieces += [f"<Attachment>{start}<edXML:ContentTransferEncoded xmlns:edXML={quoteattr(QCVN)}>".encode(), letters]
        pieces.append(b"</edXML:ContentTransferEncoded></Attachment>")
    return [b"\n<AttachmentEncoded>", *pieces, b"</AttachmentEncoded>"] if pieces else []


def _signature(variation: Variation) -> str:
    if not variation.signature:
        return ""
    if variation.signature == "empty":
        return f"<{_q(variation)}DigitalSignature/>"
    space = f" xmlns={quoteattr(DSIG)}" if variation.signature == "xmldsig" else ""
    return (
        f'<Signature{space}><SignedInfo><Reference URI=""><DigestValue>FwgIqsSYJshUS2+wlOM61L+q7Aw=</DigestValue>'
        "</Reference></SignedInfo><SignatureValue>AAAA</SignatureValue></Signature>"
    )


def _packet(top: Sequence[Node], body: str, encoded: Sequence[bytes], variation: Variation) -> bytes:
    q, own = _q(variation), f" xmlns:{variation.prefix}={quoteattr(QCVN)}" if variation.prefix else ""
    header = "\n".join(_xml(node, variation) for node in top)
    start = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<edXML xmlns={quoteattr(QCVN)}>\n<{q}edXMLEnvelope{own}>\n'
        f"<{q}edXMLHeader>\n{header}\n{_signature(variation)}</{q}edXMLHeader>\n{body}</{q}edXMLEnvelope>"
    )
    return b"".join([start.encode(), *encoded, b"\n</edXML>\n"])


def _xml(node: Node, variation: Variation, attributes: str = "") -> str:
    name, content = node
    q = _q(variation)
    if isinstance(content, str):
        inner = escape(content)
    else:
        children = _reversed(content) if variation.order == "reversed" else content
        inner = "".join(_xml(child, variation) for child in children)
    return f"<{q}{name}{attributes}>{inner}</{q}{name}>"


def _reversed(nodes: Sequence[Node]) -> Nodes:
    """Return *nodes* in reverse order of their names.

    Nodes with the same name keep their order, because it is significant.
    """
    names = [name for name, _ in nodes]
    return sorted(nodes, key=lambda node: -names.index(node[0]))
