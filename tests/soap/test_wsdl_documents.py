"""How a WSDL and its files are read: found by their names, bounded, and whole or not at all."""

import socket

import pytest
from lxml import etree

from hub.domain.errors import ConfigurationFault
from hub.soap import schema_expansion, wsdl_documents
from hub.soap.wsdl_documents import name_wsdl_file, read_wsdl

XSD = "http://www.w3.org/2001/XMLSchema"
ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
TEXT = '<x:element name="Hoi" type="x:string"/>'


def schema(body, namespace="urn:t", **prefixes):
    more = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in prefixes.items())
    target = f' targetNamespace="{namespace}" xmlns:t="{namespace}"' if namespace else ""
    return f'<x:schema xmlns:x="{XSD}"{target} elementFormDefault="qualified"{more}>{body}</x:schema>'


def description(types, before=""):
    """Return a WSDL of one operation, `Hoi`, whose line 3 holds its types, 4 its message, 5 its port type."""
    return f"""<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/"
 xmlns:t="urn:t" targetNamespace="urn:t">{before}
<w:types>{types}</w:types>
<w:message name="Hoi"><w:part name="noiDung" element="t:Hoi"/></w:message>
<w:portType name="P"><w:operation name="Hoi"><w:input message="t:Hoi"/></w:operation></w:portType>
<w:binding name="B" type="t:P"><s:binding transport="http://schemas.xmlsoap.org/soap/http"/>
<w:operation name="Hoi"><s:operation soapAction="hoi"/><w:input><s:body use="literal"/></w:input></w:operation></w:binding>
<w:service name="S"><w:port name="p" binding="t:B"><s:address location="https://may.example.vn/hoi"/></w:port></w:service>
</w:definitions>"""


def read(main, files=None, name="may.wsdl"):
    return read_wsdl({name: main.encode(), **{each: text.encode() for each, text in (files or {}).items()}}, name)


def refusal(main, files=None):
    with pytest.raises(ConfigurationFault) as refused:
        read(main, files)
    return [(mistake.path, str(mistake.wrong)) for mistake in refused.value.mistakes]


def members(document, element="{urn:t}Hoi"):
    return [name for name, _ in document.types.get_element(element).type.elements]


class TestTheFilesOfAWsdl:
    @pytest.mark.parametrize(
        ("location", "kept"),
        [
            ("kieu.xsd", "kieu.xsd"),
            ("../chung/kieu.xsd", "chung/kieu.xsd"),
            ("https://may.example.vn/dv/kieu.xsd", "kieu.xsd"),
            ("https://may.example.vn/dv?xsd=1", "1.xsd"),
            ("?xsd=xsd0", "xsd0.xsd"),
            ("ki%C3%AAu%20chung.xsd", "kiêu chung.xsd"),
        ],
    )
    def test_an_import_finds_the_file_that_was_kept_for_it(self, location, kept):
        include = schema(f'<x:include schemaLocation="{location}"/>')
        document = read(
            description(include), {kept: schema(TEXT)}, name="dv/may.wsdl" if "../" in location else "may.wsdl"
        )
        assert document.bindings["{urn:t}B"].get("Hoi").input.body.qname.text == "{urn:t}Hoi"
        assert (
            next(iter(document.services["S"].ports.values())).binding_options["address"] == "https://may.example.vn/hoi"
        )

    @pytest.mark.parametrize(
        ("address", "name"),
        [
            ("https://may.example.vn/DichVu.asmx?wsdl", "DichVu.wsdl"),
            ("https://may.example.vn/DichVu.svc?singleWsdl", "DichVu.wsdl"),
            ("https://may.example.vn/dv?wsdl=Chung.wsdl", "Chung.wsdl"),
            ("https://may.example.vn/dv?xsd=../../etc/kieu.xsd", "kieu.xsd"),
            ("https://may.example.vn/..%2F.an?wsdl", "an.wsdl"),
            ("https://may.example.vn/", "service.xsd"),
            ("C:\\kieu.xsd", "_kieu.xsd"),
        ],
    )
    def test_an_address_gives_a_name_that_leads_to_no_other_folder(self, address, name):
        assert name_wsdl_file(address) == name

    def test_files_may_include_one_another_and_lack_a_namespace_of_their_own(self):
        files = {
            "a.xsd": schema('<x:include schemaLocation="b.xsd"/><x:element name="Hoi" type="Chu"/>', ""),
            "b.xsd": schema(
                '<x:include schemaLocation="a.xsd"/><x:simpleType name="Chu"><x:restriction base="x:string"/></x:simpleType>',
                "",
            ),
        }
        document = read(description(schema('<x:include schemaLocation="a.xsd"/>')), files)
        assert document.types.get_element("{urn:t}Hoi").type.qname.text == "{urn:t}Chu"

    def test_a_wsdl_in_two_files_is_one(self):
        whole = description(schema(TEXT))
        opening, closing = whole[: whole.index("<w:types>")], "</w:definitions>"
        abstract = whole[: whole.index("<w:binding")] + closing
        bound = opening + '<w:import namespace="urn:t" location="chung.wsdl"/>' + whole[whole.index("<w:binding") :]
        assert list(read(bound, {"chung.wsdl": abstract}).bindings["{urn:t}B"].all()) == ["Hoi"]

    def test_a_redefined_type_has_what_both_files_give_it(self):
        more = """<x:redefine schemaLocation="a.xsd"><x:complexType name="T"><x:complexContent><x:extension base="t:T">
          <x:sequence><x:element name="hai" type="x:string"/></x:sequence></x:extension></x:complexContent></x:complexType>
          </x:redefine>"""
        first = (
            '<x:complexType name="T"><x:sequence><x:element name="mot" type="x:string"/></x:sequence></x:complexType>'
        )
        files = {"a.xsd": schema(first + '<x:element name="Hoi" type="t:T"/>')}
        assert members(read(description(schema(more)), files)) == ["mot", "hai"]

    def test_the_body_has_the_part_that_the_binding_names(self):
        two = description(schema(TEXT + '<x:element name="Dau" type="x:string"/>')).replace(
            '<w:part name="noiDung"', '<w:part name="dau" element="t:Dau"/><w:part name="noiDung"'
        )
        document = read(two.replace('<s:body use="literal"/>', '<s:body parts="noiDung" use="literal"/>'))
        assert document.bindings["{urn:t}B"].get("Hoi").input.body.qname.text == "{urn:t}Hoi"

    @pytest.mark.parametrize("imported", ["", f'<x:import namespace="{ENCODING}"/>'])
    def test_the_schemas_that_toolkits_never_serve_are_known(self, imported):
        array = f"""<x:complexType name="M" xmlns:e="{ENCODING}"><x:complexContent><x:restriction base="e:Array">
          <x:attribute ref="e:arrayType" w:arrayType="x:string[]"/></x:restriction></x:complexContent></x:complexType>"""
        lang = '<x:element name="L"><x:complexType><x:attribute ref="xml:lang"/></x:complexType></x:element>'
        xml = '<x:import namespace="http://www.w3.org/XML/1998/namespace"/>'
        document = read(description(schema(imported + xml + TEXT + array + lang)))
        assert document.types.get_type("{urn:t}M").name == "M"

    @pytest.mark.parametrize(
        ("declared", "written"), [("ISO-8859-1", "utf-8"), ("iso-8859-1", "latin-1"), ("windows-1258", "cp1258")]
    )
    def test_an_older_encoding_is_understood_and_one_that_is_not_true(self, declared, written):
        more = '<x:element name="né" type="x:string"/>'
        content = f'<?xml version="1.0" encoding="{declared}"?>{description(schema(TEXT + more))}'.encode(written)
        document = read_wsdl({"may.wsdl": content}, "may.wsdl")
        assert document.types.get_element("{urn:t}né").name == "né"

    def test_another_encoding_is_refused(self):
        content = f'<?xml version="1.0" encoding="UTF-7"?>{description(schema(TEXT))}'.encode()
        with pytest.raises(ConfigurationFault, match=r"only XML 1\.0 in UTF-8"):
            read_wsdl({"may.wsdl": content}, "may.wsdl")


class TestAWsdlThatIsNotWhole:
    def test_every_missing_file_is_named_with_its_line(self):
        types = schema(
            '<x:include schemaLocation="https://may.example.vn/dv?xsd=1"/>\n<x:include schemaLocation="b.xsd"/>'
        )
        assert refusal(description(types)) == [
            ("may.wsdl:3", "https://may.example.vn/dv?xsd=1 is not among the files"),
            ("may.wsdl:4", "b.xsd is not among the files"),
        ]

    def test_a_missing_type_is_named_with_the_line_that_wants_it(self):
        types = schema('<x:include schemaLocation="a.xsd"/>')
        files = {"a.xsd": schema('\n\n<x:element name="Hoi" type="t:Khong"/>')}
        assert refusal(description(types), files) == [("a.xsd:3", "{urn:t}Khong is not in the schemas")]

    def test_what_zeep_only_warns_of_is_a_mistake(self):
        other = schema('<x:element name="Khac" type="x:string"/>')
        assert refusal(description(other)) == [
            ("may.wsdl:4", "t:Hoi is not in the schemas"),
            ("may.wsdl:5", "Hoi: what it refers to is missing or incomplete"),
            ("may.wsdl:7", "Hoi: what it refers to is missing or incomplete"),
        ]

    def test_a_port_without_its_binding_is_a_mistake(self):
        wrong = description(schema(TEXT)).replace('binding="t:B"', 'binding="t:C"')
        assert refusal(wrong) == [("may.wsdl:8", "p: what it refers to is missing or incomplete")]

    def test_soap_over_mail_is_a_mistake(self):
        wrong = description(schema(TEXT)).replace("soap/http", "soap/smtp")
        assert refusal(wrong)[0] == ("may.wsdl:6", "a SOAP binding over something else than HTTP")

    def test_wsdl_2_is_refused(self):
        assert refusal('<description xmlns="http://www.w3.org/ns/wsdl"/>') == [
            ("may.wsdl:1", "the root is {http://www.w3.org/ns/wsdl}description")
        ]

    def test_files_under_wrong_namespaces_are_not_read_forever(self):
        itself = description(schema(TEXT), '<w:import namespace="urn:khac" location="may.wsdl"/>')
        assert refusal(itself) == [("may.wsdl:2", "may.wsdl is of the namespace urn:t, not urn:khac")]


class TestAHostileWsdl:
    def test_nothing_is_fetched(self, monkeypatch):
        def refuse(*_, **__):
            raise AssertionError("a connection")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        for location in ("http://169.254.169.254/a.xsd", "file:///etc/passwd", "/etc/passwd", "../../etc/passwd"):
            assert (
                "is not among the files"
                in refusal(description(schema(f'<x:include schemaLocation="{location}"/>')))[0][1]
            )

    def test_a_doctype_or_entity_is_refused_before_zeep_sees_it(self, monkeypatch):
        monkeypatch.setattr("zeep.wsdl.Document", None)
        bomb = '<!DOCTYPE w [<!ENTITY a "b">]>' + description(schema(TEXT))
        assert refusal(bomb) == [("may.wsdl", "doctype-refused: line 1, column 13: DOCTYPE")]

    @pytest.mark.parametrize(
        ("one", "last"),
        [
            (
                '<x:group name="g{n}"><x:sequence><x:group ref="t:g{m}"/><x:group ref="t:g{m}"/></x:sequence></x:group>',
                '<x:group name="g40"><x:sequence><x:element name="e"/></x:sequence></x:group>',
            ),
            (
                '<x:attributeGroup name="g{n}"><x:attributeGroup ref="t:g{m}"/><x:attributeGroup ref="t:g{m}"/></x:attributeGroup>',
                '<x:attributeGroup name="g40"><x:attribute name="a"/></x:attributeGroup>',
            ),
            (
                '<x:simpleType name="g{n}"><x:union memberTypes="t:g{m} t:g{m}"/></x:simpleType>',
                '<x:simpleType name="g40"><x:union memberTypes="x:int x:date"/></x:simpleType>',
            ),
        ],
        ids=["groups", "attribute groups", "unions"],
    )
    def test_what_doubles_forty_times_does_not_reach_zeep(self, monkeypatch, one, last):
        monkeypatch.setattr("zeep.wsdl.Document", None)
        doubled = "".join(one.format(n=n, m=n + 1) for n in range(40))
        assert "members" in refusal(description(schema(TEXT + doubled + last)))[0][1]

    def test_a_type_of_itself_is_refused_but_may_be_the_type_of_an_element_in_it(self):
        derived = (
            """<x:complexType name="T"><x:complexContent><x:extension base="t:T"/></x:complexContent></x:complexType>"""
        )
        assert refusal(description(schema(TEXT + derived)))[0][0] == "may.wsdl:3"
        tree = """<x:element name="Hoi" type="t:T"/><x:complexType name="T"><x:sequence>
          <x:element name="con" type="t:T" minOccurs="0"/></x:sequence></x:complexType>"""
        assert members(read(description(schema(tree)))) == ["con"]

    def test_a_long_chain_of_types_is_refused(self):
        chain = "".join(
            f'<x:complexType name="T{n}"><x:complexContent><x:extension base="t:T{n + 1}"/></x:complexContent></x:complexType>'
            for n in range(2000)
        )
        last = '<x:complexType name="T2000"/>'
        assert refusal(description(schema(TEXT + chain + last)))[0][1].startswith("the types are derived from")

    def test_too_many_files_or_octets_are_refused(self, monkeypatch):
        monkeypatch.setattr(wsdl_documents, "MAX_FILES", 3)
        files = {f"{n}.xsd": schema(f'<x:include schemaLocation="{n + 1}.xsd"/>') for n in range(3)} | {
            "3.xsd": schema(TEXT)
        }
        wide = description(schema('<x:include schemaLocation="0.xsd"/>'))
        assert refusal(wide, files)[0][1].startswith("more than 3 files")
        monkeypatch.setattr(wsdl_documents, "MAX_FILES", 100)
        monkeypatch.setattr(wsdl_documents, "MAX_OCTETS", 1000)
        assert "1000 octets" in refusal(wide, files)[0][1]

    def test_a_file_included_under_many_namespaces_is_read_so_often_only(self, monkeypatch):
        shared = schema('<x:simpleType name="C"><x:restriction base="x:string"/></x:simpleType>' * 10, "")
        files = {f"{n}.xsd": schema('<x:include schemaLocation="chung.xsd"/>', f"urn:{n}") for n in range(10)}
        imports = "".join(f'<x:import namespace="urn:{n}" schemaLocation="{n}.xsd"/>' for n in range(10))
        monkeypatch.setattr(wsdl_documents, "MAX_OCTETS", 6000)
        wrong = refusal(description(schema(imports + TEXT)), {**files, "chung.xsd": shared})
        assert wrong == [("may.wsdl", "a file is included too often: all together more than 6000 octets")]


def test_members_are_counted_through_files_without_a_namespace():
    """A type of a file that takes its includer's namespace is found from both."""
    base = '<x:complexType name="T"><x:sequence><x:element name="a"/><x:element name="b"/></x:sequence></x:complexType>'
    derived = '<x:complexType name="U"><x:complexContent><x:extension base="t:T"/></x:complexContent></x:complexType>'
    roots = [etree.fromstring(schema(base, "")), etree.fromstring(schema(derived))]
    counted = schema_expansion._Counting(roots)
    assert [counted.count_members(each) for each in counted.components] == [2, 2]
