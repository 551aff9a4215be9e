"""Schemas as official ones are written: global elements and references, anonymous types, bases in imported files."""

import shutil
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from lxml import etree

from hub.domain.errors import CallRefused, ConfigurationFault, Rejected
from hub.edxml import packet
from hub.edxml.schema import load_packet_schema
from hub.edxml.schema_upload import read_schema_upload
from hub.formats import streamed_xml, xsd_schemas
from hub.formats.spool import Drawer, Octets
from hub.intake.what_if import TriedRules
from hub.soap import wsdl
from lienthong_demo.plan.packets import Variation
from tests.edxml.test_packet import document, holding, without

COMMON = """<schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:vn:chung" xmlns:chung="urn:vn:chung"
    elementFormDefault="qualified">
  <simpleType name="MaCoQuan"><restriction base="token"><minLength value="1"/><maxLength value="100"/></restriction></simpleType>
  <simpleType name="Chu"><restriction base="token"><maxLength value="10000"/></restriction></simpleType>
  <complexType name="TepMaHoa"><simpleContent><extension base="base64Binary"><attribute name="bang" type="string"/>
  </extension></simpleContent></complexType>
  <complexType name="YeuCau"><sequence><element name="MaGiaoDich" type="chung:MaCoQuan"/></sequence></complexType>
</schema>"""

PACKET = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="http://www.mic.gov.vn/TBT/QCVN_102_2016"
    xmlns:chung="urn:vn:chung" targetNamespace="http://www.mic.gov.vn/TBT/QCVN_102_2016" elementFormDefault="qualified">
  <xs:import namespace="urn:vn:chung" schemaLocation="chung.xsd"/>
  <xs:element name="edXML"><xs:complexType><xs:sequence>
    <xs:element ref="edXMLEnvelope"/><xs:element ref="AttachmentEncoded" minOccurs="0"/>
  </xs:sequence></xs:complexType></xs:element>
  <xs:element name="edXMLEnvelope"><xs:complexType><xs:sequence>
    <xs:element ref="edXMLHeader"/><xs:element ref="edXMLBody" minOccurs="0"/>
  </xs:sequence></xs:complexType></xs:element>
  <xs:element name="edXMLHeader"><xs:complexType><xs:sequence>
    <xs:element ref="MessageHeader"/><xs:element name="TraceHeaderList" minOccurs="0"/>
  </xs:sequence></xs:complexType></xs:element>
  <xs:group name="Than"><xs:sequence>
    <xs:element ref="From"/><xs:element ref="To" maxOccurs="unbounded"/><xs:element ref="DocumentId"/>
    <xs:element name="Code"><xs:complexType><xs:sequence>
      <xs:element name="CodeNumber" type="chung:Chu"/><xs:element name="CodeNotation" type="chung:Chu"/>
    </xs:sequence></xs:complexType></xs:element>
    <xs:element name="PromulgationInfo"><xs:complexType><xs:sequence>
      <xs:element name="Place" type="chung:Chu" minOccurs="0"/><xs:element name="PromulgationDate" type="chung:Chu"/>
    </xs:sequence></xs:complexType></xs:element>
  </xs:sequence></xs:group>
  <xs:element name="MessageHeader"><xs:complexType><xs:sequence>
    <xs:group ref="Than"/><xs:element ref="Subject"/>
  </xs:sequence></xs:complexType></xs:element>
  <xs:complexType name="CoQuan" abstract="true"><xs:sequence><xs:element ref="OrganId"/></xs:sequence></xs:complexType>
  <xs:complexType name="CoQuanDayDu"><xs:complexContent><xs:extension base="CoQuan"><xs:sequence>
    <xs:element name="OrganName" type="chung:Chu" minOccurs="0"/>
  </xs:sequence></xs:extension></xs:complexContent></xs:complexType>
  <xs:element name="From" type="CoQuanDayDu"/><xs:element name="To" type="CoQuanDayDu"/>
  <xs:element name="OrganId" type="chung:MaCoQuan"/>
  <xs:element name="DocumentId" type="chung:MaCoQuan"/>
  <xs:element name="Subject"><xs:simpleType><xs:restriction base="chung:Chu"><xs:minLength value="1"/>
    </xs:restriction></xs:simpleType></xs:element>
  <xs:element name="edXMLBody"><xs:complexType><xs:sequence><xs:element ref="edXMLManifest" minOccurs="0"/>
    </xs:sequence></xs:complexType></xs:element>
  <xs:element name="edXMLManifest"><xs:complexType><xs:sequence><xs:element name="Reference" maxOccurs="unbounded">
    <xs:complexType><xs:sequence><xs:element ref="ContentId"/><xs:element name="ContentType" type="chung:Chu"/>
      <xs:element name="Description" type="chung:Chu" minOccurs="0"/><xs:element name="AttachmentName" type="chung:Chu"/>
    </xs:sequence></xs:complexType></xs:element></xs:sequence><xs:attribute name="version"/></xs:complexType></xs:element>
  <xs:element name="ContentId" type="chung:Chu"/>
  <xs:element name="AttachmentEncoded"><xs:complexType><xs:sequence><xs:element name="Attachment" maxOccurs="unbounded">
    <xs:complexType><xs:sequence><xs:element ref="ContentId"/><xs:element name="AttachmentName" type="chung:Chu"/>
      <xs:element name="Description" type="chung:Chu" minOccurs="0"/><xs:element name="ContentType" type="chung:Chu"/>
      <xs:element name="ContentTransferEncoded" type="chung:TepMaHoa"/>
    </xs:sequence></xs:complexType></xs:element></xs:sequence></xs:complexType></xs:element>
</xs:schema>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "chung.xsd").write_text(COMMON, "utf-8")
    for kind in ("document", "status"):
        (tmp_path / f"{kind}.xsd").write_text(PACKET, "utf-8")
    return tmp_path


def test_a_packet_is_read_by_schemas_as_official_ones_are_written(folder: Path) -> None:
    octets = bytes(range(256)) * 400
    content = document(attachments=[("a.txt", octets)], variation=Variation(width=40, wrapped=False))
    found = packet.read_packet(content, schemas=folder)
    assert (found.sender, found.recipients, found.code) == ("H55.13", ("H55.01", "000.00.00.G22"), "7816/VPUB-TTĐT")
    assert found.attachments[0].size == len(octets), "although its lines are more white space than a text may have"
    assert {each.code for each in found.deviations} <= {
        "element-unknown",
        "M.AttachmentEncoded.Attachment[1].ContentType",
    }


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (without(document(), "Subject"), "N.MessageHeader.Subject"),
        (holding(document(), "Subject", ""), "N.MessageHeader.Subject"),
        (without(document(), "OrganId"), "N.MessageHeader.From.OrganId"),
        (holding(document(), "OrganId", "x" * 101), "R.MessageHeader.From.OrganId"),
    ],
    ids=range(4),
)
def test_such_schemas_refuse_at_the_same_places(folder: Path, broken: bytes, code: str) -> None:
    for schemas in (folder, None):
        with pytest.raises(Rejected) as refused:
            packet.read_packet(broken, schemas=schemas)
        assert [each.code for each in refused.value.problems] == [code]


def test_the_hubs_own_schemas_decode_a_packet_whatever_their_prefix(tmp_path: Path) -> None:
    """What a prefix is called means nothing in XML."""
    own = xsd_schemas.find_schema_root() / "xsd/qcvn102"
    shutil.copytree(own, tmp_path / "x")
    for path in (tmp_path / "x").rglob("*.xsd"):
        text = path.read_text("utf-8").replace("xs:", "q:").replace("xmlns:xs", "xmlns:q")
        path.write_text(text, "utf-8")
    content = document(attachments=[("a.txt", bytes(9000))], variation=Variation(width=4, wrapped=False))
    assert packet.read_packet(content, schemas=tmp_path / "x") == packet.read_packet(content, schemas=own)
    assert load_packet_schema("document", tmp_path / "x").values == load_packet_schema("document").values


def test_a_file_of_such_schemas_that_is_missing_is_named(folder: Path) -> None:
    (folder / "chung.xsd").unlink()
    with pytest.raises(ConfigurationFault, match="names 'chung"):
        load_packet_schema("document", folder)


@pytest.mark.slow
def test_such_schemas_can_be_tried_as_a_zip(folder: Path, tmp_path: Path) -> None:
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        for path in folder.glob("*.xsd"):
            archive.write(path, f"qcvn/{path.name}")
    files = read_schema_upload(packed.getvalue(), "")
    assert files.keys() == {"chung.xsd", "document.xsd", "status.xsd"}
    place = tmp_path / "tried"
    place.mkdir()
    for name, content in files.items():
        (place / name).write_bytes(content)
    TriedRules(schemas=place).require_schemas()
    assert packet.read_packet(document(), schemas=place).sender == "H55.13"
    (place / "chung.xsd").write_text(COMMON.replace("TepMaHoa", "Khac"), "utf-8")
    with pytest.raises(ConfigurationFault, match="TepMaHoa"):
        load_packet_schema.__wrapped__("document", place)


# --- a contract -------------------------------------------------------------------------------------------------------

CONTRACT = """<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns="urn:thu:1" xmlns:c="urn:vn:chung"
    targetNamespace="urn:thu:1" elementFormDefault="qualified">
  <xsd:import namespace="urn:vn:chung" schemaLocation="chung.xsd"/>
  <xsd:element name="Gui"><xsd:complexType><xsd:complexContent><xsd:extension base="c:YeuCau"><xsd:sequence>
    <xsd:choice><xsd:element ref="Tep" maxOccurs="2"/><xsd:element name="Loi" type="xsd:string"/></xsd:choice>
    <xsd:element name="Dau" minOccurs="0" nillable="true"><xsd:simpleType><xsd:restriction base="xsd:base64Binary">
      <xsd:minLength value="2"/><xsd:maxLength value="30000"/></xsd:restriction></xsd:simpleType></xsd:element>
  </xsd:sequence></xsd:extension></xsd:complexContent></xsd:complexType></xsd:element>
  <xsd:element name="Tep" type="c:TepMaHoa"/>
  <xsd:element name="GuiResponse"><xsd:complexType/></xsd:element>
</xsd:schema>"""
WSDL = """<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:t="urn:thu:1"
    targetNamespace="urn:thu:1" name="Thu">
  <types><xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema">
    <xsd:import namespace="urn:thu:1" schemaLocation="../../../xsd/lienthong/1/thu.xsd"/></xsd:schema></types>
  <message name="GuiIn"><part name="p" element="t:Gui"/></message>
  <message name="GuiOut"><part name="p" element="t:GuiResponse"/></message>
  <portType name="Thu"><operation name="Gui"><input message="t:GuiIn"/><output message="t:GuiOut"/></operation></portType>
  <binding name="Thu" type="t:Thu"><s:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="Gui"><s:operation soapAction="urn:thu:1/Gui"/><input><s:body use="literal"/></input>
      <output><s:body use="literal"/></output></operation></binding>
  <service name="Thu"><port name="Thu" binding="t:Thu"><s:address location="http://localhost/"/></port></service>
</definitions>"""


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> wsdl.Contract:
    for path, text in {
        "wsdl/lienthong/1/thu.wsdl": WSDL,
        "xsd/lienthong/1/thu.xsd": CONTRACT,
        "xsd/lienthong/1/chung.xsd": COMMON,
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, "utf-8")
    monkeypatch.setattr(xsd_schemas, "find_schema_root", lambda: tmp_path)
    return wsdl.load_contract("thu")


def call(inside: str) -> etree._Element:
    names = 'xmlns:c="urn:vn:chung" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    return etree.fromstring(f'<Gui xmlns="urn:thu:1" {names}><c:MaGiaoDich>1</c:MaGiaoDich>{inside}</Gui>')


def letters(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")


LONG = b"dau" * 9000


def test_a_contract_finds_its_binary_values_wherever_they_are_declared(contract: wsdl.Contract) -> None:
    assert contract.binary_names == {"Tep", "Dau"}
    inside = f'<Tep bang="x">{letters(b"mot")}</Tep><Tep>{letters(LONG)}</Tep><Dau>{letters(LONG)}</Dau>'
    assert contract.validate(call(inside)) == [b"mot", LONG, LONG]
    assert contract.validate(call("<Loi>QQ==</Loi>")) == [], "that is a text"


@pytest.mark.parametrize("size", [0, 1, 2, 30_000, 30_001, 40_000])
@pytest.mark.parametrize("beside", [b"", bytes(20_000)], ids=["alone", "beside a long one"])
def test_the_length_of_a_binary_value_counts_whether_or_not_its_text_is_long(
    contract: wsdl.Contract, size: int, beside: bytes
) -> None:
    asked = call(f"<Tep>{letters(beside)}</Tep><Dau>{letters(bytes(size))}</Dau>")
    if 2 <= size <= 30_000:
        assert contract.validate(asked) == [beside, bytes(size)]
    else:
        with pytest.raises(CallRefused, match="/Gui/Dau"):
            contract.validate(asked)


@pytest.mark.parametrize("beside", [b"", bytes(20_000)], ids=["alone", "beside a long one"])
def test_a_binary_value_that_is_nil_is_empty(contract: wsdl.Contract, beside: bytes) -> None:
    tep = f"<Tep>{letters(beside)}</Tep>"
    assert contract.validate(call(f'{tep}<Dau xsi:nil="true"/>')) == [beside, b""]
    with pytest.raises(CallRefused):
        contract.validate(call(f'{tep}<Dau xsi:nil="true">QUJD</Dau>'))
    with pytest.raises(CallRefused):
        contract.validate(call(f'{tep}<Dau xsi:nil="false"/>'))


def test_a_long_value_that_was_cut_out_of_the_call_is_measured_too(contract: wsdl.Contract) -> None:
    for size, nil, is_valid in ((30_000, "false", True), (30_001, "false", False), (30_000, "true", False)):
        inside = f'<Tep>{letters(LONG)}</Tep><Dau xsi:nil="{nil}">{letters(bytes(size))}</Dau>'
        drawer = Drawer()
        octets = Octets.of(etree.tostring(call(inside)))
        child, loads = streamed_xml.parse_streamed_xml(octets, contract.binary_names, drawer)
        assert len(loads) == 2, "they are cut out"
        if is_valid:
            found = contract.validate(child, loads)
            assert [each if isinstance(each, bytes) else each.read() for each in found] == [LONG, bytes(size)]
        else:
            with pytest.raises(CallRefused, match="/Gui/Dau"):
                contract.validate(child, loads)
        drawer.close()
