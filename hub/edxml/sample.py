"""Makes packets as real systems write them, for a dry run, a simulation and as samples.

Knows the order of the elements. Does not know who reads it.
"""

from datetime import date
from xml.sax.saxutils import escape

from hub.edxml.schema import QCVN

_PACKET = """<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="{namespace}">
<edXML:edXMLEnvelope xmlns:edXML="{namespace}">
<edXML:edXMLHeader>
<edXML:MessageHeader>
<edXML:From>{sender}</edXML:From>
<edXML:To>{recipient}</edXML:To>
<edXML:DocumentId>{code},{day},{number}/{notation}</edXML:DocumentId>
<edXML:Code><edXML:CodeNumber>{number}</edXML:CodeNumber><edXML:CodeNotation>{notation}</edXML:CodeNotation></edXML:Code>
<edXML:PromulgationInfo><edXML:Place>Thái Nguyên</edXML:Place><edXML:PromulgationDate>{day}</edXML:PromulgationDate></edXML:PromulgationInfo>
<edXML:DocumentType><edXML:Type>1</edXML:Type><edXML:TypeDetail>0</edXML:TypeDetail><edXML:TypeName>Công văn</edXML:TypeName></edXML:DocumentType>
<edXML:Subject>{subject}</edXML:Subject>
<edXML:Content>{subject}</edXML:Content>
<edXML:SignerInfo><edXML:Competence>TL. CHỦ TỊCH</edXML:Competence><edXML:Position>Chánh Văn phòng</edXML:Position><edXML:FullName>Người Ký Mẫu</edXML:FullName></edXML:SignerInfo>
<edXML:OtherInfo><edXML:Priority>0</edXML:Priority><edXML:PageAmount>1</edXML:PageAmount><edXML:Direction>false</edXML:Direction></edXML:OtherInfo>
<edXML:SteeringType>1</edXML:SteeringType>
<edXML:ToPlaces><edXML:Place>Như trên</edXML:Place><edXML:Place>Lưu: VT</edXML:Place></edXML:ToPlaces>
</edXML:MessageHeader>
<edXML:TraceHeaderList>
<edXML:TraceHeader><edXML:OrganId>{code}</edXML:OrganId><edXML:Timestamp>{day} 00:00:00</edXML:Timestamp></edXML:TraceHeader>
<edXML:Bussiness><edXML:BussinessDocType>0</edXML:BussinessDocType><edXML:BussinessDocReason>Văn bản điện tử mới</edXML:BussinessDocReason><edXML:Paper>0</edXML:Paper></edXML:Bussiness>
</edXML:TraceHeaderList>
</edXML:edXMLHeader>
<edXML:edXMLBody><edXML:edXMLManifest version="1.0"><edXML:Reference>
<edXML:ContentId>cid:1</edXML:ContentId>
<edXML:ContentType>text/plain</edXML:ContentType>
<edXML:Description>van-ban.txt</edXML:Description>
<edXML:AttachmentName>van-ban.txt</edXML:AttachmentName>
</edXML:Reference></edXML:edXMLManifest></edXML:edXMLBody>
</edXML:edXMLEnvelope>
<AttachmentEncoded><Attachment>
<ContentId>cid:1</ContentId>
<AttachmentName>van-ban.txt</AttachmentName>
<Description>van-ban.txt</Description>
<ContentType>text/plain</ContentType>
<edXML:ContentTransferEncoded xmlns:edXML="{namespace}">Tm9pIGR1bmcgdmFuIGJhbgo=</edXML:ContentTransferEncoded>
</Attachment></AttachmentEncoded>
</edXML>
"""

_STATUS = """<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="{namespace}"><edXMLEnvelope><edXMLHeader><MessageHeader>
<From><OrganId>{sender}</OrganId><OrganName>{sender}</OrganName></From>
<ResponseFor><OrganId>{answered}</OrganId><Code>{number}/{notation}</Code><PromulgationDate>{day}</PromulgationDate><DocumentId>{answered},{day},{number}/{notation}</DocumentId></ResponseFor>
<StaffInfo><Department>Văn thư</Department><Staff>Cán Bộ Mẫu</Staff></StaffInfo>
<StatusCode>03</StatusCode>
<Description>Đã tiếp nhận</Description>
<Timestamp>{day} 09:00:00</Timestamp>
</MessageHeader></edXMLHeader></edXMLEnvelope></edXML>
"""


def make_sample_packet(
    sender: str, recipient: str, subject: str, promulgated: date, *, number: int = 1, notation: str = "CHECK"
) -> bytes:
    """Return a new document from the unit *sender* to the unit *recipient*.

    It has the form of the VXP SDK and one attachment. Its DocumentId contains its *number* and *notation*.
    """
    day = promulgated.strftime("%Y/%m/%d")
    packet = _PACKET.format(
        namespace=QCVN,
        sender=_write_organization(sender),
        recipient=_write_organization(recipient),
        code=escape(sender),
        day=day,
        number=number,
        notation=escape(notation),
        subject=escape(subject),
    )
    return packet.encode()


def make_sample_status(
    sender: str, answered: str, promulgated: date, *, number: int = 1, notation: str = "CHECK"
) -> bytes:
    """Return the status 03 (received) of the unit *sender* for a document that `make_sample_packet` made for *answered*."""
    status = _STATUS.format(
        namespace=QCVN,
        sender=escape(sender),
        answered=escape(answered),
        number=number,
        notation=escape(notation),
        day=promulgated.strftime("%Y/%m/%d"),
    )
    return status.encode()


def _write_organization(code: str) -> str:
    names = ("OrganId", "OrganizationInCharge", "OrganName")
    return "".join(f"<edXML:{name}>{escape(code)}</edXML:{name}>" for name in names)
