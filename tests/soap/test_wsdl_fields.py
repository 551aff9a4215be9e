"""What an operation takes and returns is listed with the paths of a mapping, its types and its documentation."""

from collections.abc import Mapping

import pytest

from hub.soap.wsdl_fields import (
    MOST_FIELDS,
    DescribedOperation,
    OperationField,
    collect_schemas,
    describe_operations,
    list_ports,
)
from tests.conftest import ROOT


def describe(files: Mapping[str, bytes], main: str, operation: str) -> DescribedOperation:
    port = list_ports(files, main)[0]
    (found,) = describe_operations(files, main, port.service, port.name, [operation])
    return found


def paths(fields: "tuple[OperationField, ...]") -> list[str]:
    return [each.path for each in fields]


@pytest.fixture(scope="module")
def java() -> Mapping[str, bytes]:
    return {each.name: each.read_bytes() for each in (ROOT / "tests/interop/jaxws/wsdl").iterdir()}


def wsdl(types: str, part: str = 'element="t:Gui"') -> Mapping[str, bytes]:
    """Return a WSDL with one operation whose request is *part*."""
    return {
        "a.wsdl": f"""<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:t" targetNamespace="urn:t"
 xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:x="http://www.w3.org/2001/XMLSchema"><types>
 <x:schema targetNamespace="urn:t" elementFormDefault="qualified">{types}</x:schema></types>
 <message name="m"><part name="p" {part}/></message><portType name="pt"><operation name="Gui"><input message="t:m"/>
 </operation></portType><binding name="b" type="t:pt"><s:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
 <operation name="Gui"><s:operation soapAction=""/><input><s:body use="literal"/></input></operation></binding>
 <service name="s"><port name="port" binding="t:b"><s:address location="http://x"/></port></service></definitions>""".encode()
    }


class TestToolkits:
    def test_of_java_the_wrapper_is_left_out(self, java: Mapping[str, bytes]) -> None:
        found = describe(java, "VanBanDenService.wsdl", "guiVanBan")
        assert paths(found.input) == [
            *("maPhien", "vanBan", "vanBan/maTin", "vanBan/noiNhan", "vanBan/ghiChu", "vanBan/noiDung"),
        ]
        assert paths(found.answer) == ["ketQua", "ketQua/ma", "ketQua/thongBao", "ketQua/bienNhan"]
        assert "fault/detail/HeThongBan/ma" in paths(found.faults)
        assert [each.path for each in found.faults if each.path.count("/") == 2 and each.is_needed] == []
        needed = {each.path: each.is_needed for each in found.input}
        assert needed["vanBan/noiDung"]
        assert not needed["vanBan/ghiChu"]

    def test_of_php_each_part_is_a_field(self) -> None:
        files = {"TiepNhan.wsdl": (ROOT / "tests/interop/php/TiepNhan.wsdl").read_bytes()}
        found = describe(files, "TiepNhan.wsdl", "nhanVanBan")
        types = {each.path: each.value.builtin for each in found.input if each.value}
        assert types == {"maTin": "string", "donVi": "string", "lan": "int", "goiTin": "base64Binary"}
        assert paths(found.answer) == ["return", "return/ma", "return/moTa", "return/maTiepNhan"]
        assert found.documentation.startswith("Nhận một văn bản")

    def test_ours_say_each_field_in_vietnamese(self) -> None:
        folder = ROOT / "wsdl/lienthong/1"
        files = {each.name: each.read_bytes() for each in folder.iterdir() if each.suffix == ".wsdl"}
        files |= {
            each.name: each.read_bytes() for each in (ROOT / "xsd/lienthong/1").iterdir() if each.suffix == ".xsd"
        }
        ports = list_ports(files, "dossiers.wsdl")
        assert [(each.name, each.soap) for each in ports] == [("DossiersSoap11", "1.1"), ("DossiersSoap12", "1.2")]
        found = describe(files, "dossiers.wsdl", "SyncDossiers")
        labels = {each.path: each.labels.get("vi") for each in found.input}
        assert labels["HoSo/MaHoSo"] == "Mã hồ sơ: cùng với OrganId là khóa của hồ sơ."


class TestSchemas:
    def test_attributes_texts_choices_and_wildcards_have_paths(self) -> None:
        types = """<x:element name="Gui"><x:complexType><x:sequence><x:element name="a"><x:complexType><x:simpleContent>
        <x:extension base="x:string"><x:attribute name="loai" use="required"/></x:extension></x:simpleContent></x:complexType>
        </x:element><x:choice><x:element name="b" type="x:int"/><x:element name="c" type="x:date" maxOccurs="3"/></x:choice>
        <x:any namespace="##other" minOccurs="0"/></x:sequence></x:complexType></x:element>"""
        found = describe(wsdl(types), "a.wsdl", "Gui")
        assert paths(found.input) == ["a", "a/@loai", "a/.", "b", "c", "*"]
        assert {each.path: (each.is_needed, each.most) for each in found.input} == {
            "a": (True, 1),
            "a/@loai": (True, 1),
            "a/.": (True, 1),
            "b": (False, 1),
            "c": (False, 3),
            "*": (False, 1),
        }

    def test_an_element_with_a_simple_type_is_its_own_field_as_a_mapping_writes_it(self) -> None:
        found = describe(wsdl('<x:element name="Gui" type="x:string"/>'), "a.wsdl", "Gui")
        assert paths(found.input) == ["."]

    def test_a_type_that_contains_itself_ends(self) -> None:
        types = """<x:element name="Gui" type="t:n"/><x:complexType name="n"><x:sequence><x:element name="ten" type="x:string"/>
        <x:element name="con" type="t:n" minOccurs="0" maxOccurs="unbounded"/></x:sequence></x:complexType>"""
        found = describe(wsdl(types), "a.wsdl", "Gui")
        assert found.is_cut
        assert paths(found.input)[:4] == ["ten", "con", "con/ten", "con/con"]
        assert len(found.input) < 20

    def test_a_message_of_very_many_fields_is_cut(self) -> None:
        many = "".join(f'<x:element name="f{number}" type="x:string"/>' for number in range(MOST_FIELDS + 5))
        types = f'<x:element name="Gui"><x:complexType><x:sequence>{many}</x:sequence></x:complexType></x:element>'
        found = describe(wsdl(types), "a.wsdl", "Gui")
        assert found.is_cut
        assert len(found.input) == MOST_FIELDS

    def test_several_schemas_of_one_namespace_are_taken_together(self) -> None:
        one = '<x:element name="Gui" type="t:n"/>'
        files = dict(wsdl(one))
        other = b"""<x:schema xmlns:x="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:t"><x:complexType name="n">
        <x:sequence><x:element name="ma" type="x:string"/></x:sequence></x:complexType></x:schema></types>"""
        files["a.wsdl"] = files["a.wsdl"].replace(b"</types>", other)
        assert paths(describe(files, "a.wsdl", "Gui").input) == ["ma"]
        assert list(collect_schemas(files)) == ["all.xsd", "all.0.xsd", "a.wsdl.0.xsd", "a.wsdl.1.xsd"]
