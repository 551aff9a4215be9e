"""Packets: an input is refused with codes that can be told, or read the same twice, and as a naive reader reads it.

Whether its tree is normalised first or not, it is read the same.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from xml.etree import ElementTree as ET

from lxml import etree

from hub.domain.errors import Rejected, describe_problem
from hub.domain.model import Packet, PacketKind
from hub.edxml import packet
from hub.formats import safe_xml, streamed_xml
from hub.soap import documents_responses, envelope
from lienthong_demo.plan import packets
from lienthong_demo.plan.packets import Answered, Variation
from tests.fuzz import changing
from tests.fuzz.told import tell

LONGEST = 8192
Q = "{http://www.mic.gov.vn/TBT/QCVN_102_2016}"
WORDS = (
    *("H55.13", "H55.01", "000.00.00.G22", "0", "1", "2", "3", "4", "03", "2026/11/20", "20/11/2026", "2026/11/24 08:00", "cid:1", "1", "2"),
    *("van-ban.pdf", "application/pdf", "application/zip", "UEsDBA==", "TmFt", "false", "secret", "Mat", "../x", ""),
)  # fmt: skip
OLD = Answered("H55.20", "12/UBND", date(2026, 10, 1), "H55.20,2026/10/01,12/UBND")
AT = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)

trees = changing.Trees(words=WORDS)
change, cross = trees.change, trees.cross


def seeds() -> Iterator[bytes]:
    def document(kind: int = 0, **changes: object) -> bytes:
        given: dict[str, object] = {
            "number": "7",
            "notation": "VB",
            "subject": "V/v kết nối",
            "promulgated": date(2026, 11, 20),
        }
        return packets.write_document_packet("H55.13", ["H55.01", "000.00.00.G22"], kind=kind, **given | changes)  # type: ignore[arg-type]

    yield document(
        attachments=[("van-ban.pdf", b"%PDF-1.7 mot"), ("phu-luc.xlsx", b"hai")], responses=[OLD], due=date(2026, 12, 1)
    )
    yield document(variation=Variation(order="clauses", prefix="", href=True, wrapped=False, signature="dummy"))
    yield document(
        variation=Variation(bussiness="absent", cid=False, width=20, extension="Khac", dates="%d/%m/%Y"), priority=4
    )
    yield document(1, about="H55.13,2026/11/20,7/VB", reason="nham", attachments=())
    yield document(2, about="H55.13,2026/11/20,7/VB", paper=True)
    yield document(3, replaced=["H55.13,2026/11/20,7/VB"])
    yield packets.write_status_packet("H55.01", "03", OLD, at=AT, description="Đã tiếp nhận")


def judge(content: bytes) -> None:
    try:
        root = safe_xml.parse_safe_xml(content)
    except Rejected:
        return
    found = read(root)
    assert found == read(safe_xml.parse_safe_xml(content)), "read twice, it says two things"
    assert found == read(safe_xml.parse_safe_xml(content), tidied), "it says something else when it is normalised"
    if isinstance(found, tuple):
        for code, _ in found:
            tell(code.partition("[")[0][:60])
        return
    compare(found, ET.fromstring(content))
    for problem in found.deviations:
        assert describe_problem(problem)
        tell("tolerated", problem.code.partition("[")[0][:60])
    tell(
        found.kind,
        len(found.recipients),
        len(found.responses),
        len(found.attachments),
        len(found.added),
        len(found.removed),
    )


def tidied(root: etree._Element) -> Packet:
    """Read a packet that is normalised first, whether it needs it or not."""
    return packet._read_tidied(root, streamed_xml.NONE) if root.tag == f"{Q}edXML" else packet.read_packet(root)


def read(
    root: etree._Element, reader: Callable[[etree._Element], Packet] | None = None
) -> Packet | tuple[tuple[str, str], ...]:
    """Return what the hub, or *reader*, reads, or the problems it names."""
    try:
        return (reader or packet.read_packet)(root)
    except Rejected as rejected:
        assert rejected.problems  # noqa: PT017 - to be refused is as right as to be read
        etree.fromstring(
            envelope.write_unsigned_envelope(
                documents_responses.build_refused_response("SendDocument", rejected.problems)
            )
        )  # it can be told
        return tuple((problem.code, str(problem.detail)) for problem in rejected.problems)


def compare(found: Packet, root: ET.Element) -> None:
    """Fail unless the values the hub read are those that stand there."""

    def text(parent: ET.Element | None, path: str) -> str:
        leaf = None if parent is None else parent.find("/".join(Q + name for name in path.split("/")))
        return "" if leaf is None else (leaf.text or "").strip(" \t\r\n")

    def every(parent: ET.Element | None, path: str) -> list[ET.Element]:
        return [] if parent is None else parent.findall("/".join(Q + name for name in path.split("/")))

    (message,) = every(root, "edXMLEnvelope/edXMLHeader/MessageHeader")
    assert found.sender == text(message, "From/OrganId")
    assert found.sender
    answered = [
        tuple(text(each, name) for name in ("OrganId", "Code", "PromulgationDate", "DocumentId"))
        for each in every(message, "ResponseFor")
    ]
    assert [(one.organ, one.code, one.promulgation_date, one.document_id) for one in found.responses] == [
        each for each in answered if any(each)
    ]
    if found.kind is PacketKind.STATUS:
        assert found.status == text(message, "StatusCode")
        return
    assert list(found.recipients) == [text(to, "OrganId") for to in every(message, "To")]
    assert len(set(found.recipients)) == len(found.recipients) > 0
    assert found.document_id == text(message, "DocumentId")
    assert found.code == f"{text(message, 'Code/CodeNumber')}/{text(message, 'Code/CodeNotation')}"
    assert found.promulgation_date == text(message, "PromulgationInfo/PromulgationDate")
    assert found.subject == text(message, "Subject")
    business = root.find(f"{Q}edXMLEnvelope/{Q}edXMLHeader/{Q}TraceHeaderList/{Q}Bussiness")
    assert found.about == text(business, "DocumentId")
    assert found.kind == packet.KINDS.get(text(business, "BussinessDocType"), PacketKind.DOCUMENT)
    carried = sorted(
        base64.b64decode("".join(text(each, "ContentTransferEncoded").split()), validate=True)
        for each in every(root, "AttachmentEncoded/Attachment")
    )
    measured = sorted((len(octets), hashlib.sha256(octets).hexdigest()) for octets in carried)
    assert sorted((one.size, one.sha256) for one in found.attachments) == measured
