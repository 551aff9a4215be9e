"""Calls by a WSDL from values by path: what the schema has is written as it wants, and what it has not is named."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from lxml import etree

from hub.formats.streamed_xml import Loads
from hub.partner.call_nodes import CallNode, Misplaced
from hub.partner.mapping_values import Unfit, read_path
from hub.partner.partner_calls import load_service
from tests import effort

XS = "http://www.w3.org/2001/XMLSchema"
AT = datetime(2026, 11, 24, 18, 30, tzinfo=UTC)  # the next day in Viet Nam


def service(inside, more="", qualified="qualified"):
    """Return the port of a WSDL whose operation `Gui` has *inside* in a complex type."""
    wsdl = f"""<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
 xmlns:xs="{XS}" xmlns:t="urn:t" targetNamespace="urn:t"><types>
 <xs:schema targetNamespace="urn:t" elementFormDefault="{qualified}">
 <xs:element name="Gui"><xs:complexType>{inside}</xs:complexType></xs:element>{more}</xs:schema></types>
 <message name="I"><part name="p" element="t:Gui"/></message><portType name="P"><operation name="Gui">
 <input message="t:I"/></operation></portType><binding name="B" type="t:P">
 <soap:binding transport="http://schemas.xmlsoap.org/soap/http"/><operation name="Gui"><soap:operation soapAction="a"/>
 <input><soap:body use="literal"/></input></operation></binding>
 <service name="S"><port name="P1" binding="t:B"><soap:address location="http://x/"/></port></service></definitions>"""
    return load_service({"a.wsdl": wsdl.encode()}, "a.wsdl")


def sequence(*elements):
    return f"<xs:sequence>{''.join(elements)}</xs:sequence>"


def build(found, values, loads=None):
    """Return the Body's child without prefixes and namespaces, as text."""
    root = CallNode()
    for path, value in values.items():
        root.put(read_path(path, wildcard=True), value)
    made = found.operation("Gui").build(root, {}, {}, loads or Loads())
    child = etree.fromstring(etree.tostring(made[-1][0], method="c14n", exclusive=True))
    for each in child.iter("*"):
        each.tag = etree.QName(each).localname
    etree.cleanup_namespaces(child)
    return etree.tostring(child, encoding="unicode")


def element(name, kind="string", more=""):
    return f'<xs:element name="{name}" type="xs:{kind}" {more}/>'


class TestWhatTheSchemaHas:
    def test_stands_in_its_order_whatever_that_of_the_values_is(self):
        found = service(sequence(element("a"), element("b"), element("c", more='minOccurs="0"')))
        assert build(found, {"b": "2", "a": "1"}) == "<Gui><a>1</a><b>2</b></Gui>"

    def test_is_qualified_as_the_schema_says(self):
        found = service(sequence(element("a")), qualified="unqualified")
        made = found.operation("Gui").build(node({"a": "1"}), {}, {}, Loads())
        assert made[-1][0][0].tag == "a"

    def test_a_choice_has_the_part_that_is_given(self):
        found = service(sequence("<xs:choice>", element("a"), element("b"), "</xs:choice>"))
        assert build(found, {"b": "2"}) == "<Gui><b>2</b></Gui>"

    def test_a_repeated_choice_and_a_repeated_sequence_have_several(self):
        choice = '<xs:choice maxOccurs="unbounded">' + element("a") + element("b") + "</xs:choice>"
        assert build(service(choice), {"a": "1", "b": "2", "a[2]": "3"}) == "<Gui><a>1</a><a>3</a><b>2</b></Gui>"
        pair = '<xs:sequence maxOccurs="9">' + element("a") + element("b") + "</xs:sequence>"
        given = {"a": "1", "b": "2", "a[2]": "3", "b[2]": "4"}
        assert build(service(pair), given) == "<Gui><a>1</a><b>2</b><a>3</a><b>4</b></Gui>"

    def test_a_group_and_an_extension_are_written_out(self):
        more = (
            '<xs:group name="G"><xs:sequence>' + element("g") + "</xs:sequence></xs:group>"
            '<xs:complexType name="A"><xs:sequence>' + element("a") + "</xs:sequence></xs:complexType>"
            '<xs:complexType name="B"><xs:complexContent><xs:extension base="t:A">'
            + sequence(element("b"))
            + "</xs:extension></xs:complexContent></xs:complexType>"
        )
        found = service(sequence('<xs:group ref="t:G"/>', '<xs:element name="x" type="t:B"/>'), more)
        made = build(found, {"x/b": "2", "x/a": "1", "g": "0"})
        assert made == "<Gui><g>0</g><x><a>1</a><b>2</b></x></Gui>"

    def test_a_text_with_attributes_has_both(self):
        kind = (
            '<xs:element name="a"><xs:complexType><xs:simpleContent><xs:extension base="xs:string">'
            '<xs:attribute name="l" type="xs:string"/></xs:extension></xs:simpleContent></xs:complexType></xs:element>'
        )
        assert build(service(sequence(kind)), {"a/.": "x", "a/@l": "y"}) == '<Gui><a l="y">x</a></Gui>'

    def test_a_wildcard_takes_an_element(self):
        found = service(sequence(element("a"), '<xs:any processContents="lax" namespace="##other"/>'))
        assert build(found, {"a": "1", "*": etree.fromstring("<q/>")}) == "<Gui><a>1</a><q/></Gui>"

    @pytest.mark.parametrize(
        ("kind", "value", "text"),
        [
            ("dateTime", AT, "2026-11-25T01:30:00+07:00"),
            ("date", AT, "2026-11-25"),
            ("string", AT, "2026-11-25T01:30:00+07:00"),
            ("base64Binary", b"\xff", "/w=="),
            ("base64Binary", "ă", "xIM="),
            ("hexBinary", b"\xff", "FF"),
            ("boolean", "true", "true"),
            ("int", " 7 ", "7"),
            ("decimal", "1.50", "1.50"),
            ("double", "1e5", "1e5"),
            ("dateTime", "2026-11-24T08:00:00.5Z", "2026-11-24T08:00:00.5Z"),
            ("gYear", "2026", "2026"),
            ("gYearMonth", "2026-11", "2026-11"),
            ("gMonth", "--02", "--02"),
            ("unsignedByte", "7", "7"),
            ("duration", "P1D", "P1D"),
            ("anyURI", "urn:a", "urn:a"),
            ("anySimpleType", "a", "a"),
            ("string", "a\x00b", "a\N{REPLACEMENT CHARACTER}b"),
        ],
    )
    def test_values_are_written_as_their_types_want_them(self, kind, value, text):
        assert build(service(sequence(element("a", kind))), {"a": value}) == f"<Gui><a>{text}</a></Gui>"

    def test_without_a_value_it_is_left_out_or_nil_or_empty(self):
        found = service(
            sequence(element("a", more='minOccurs="0"'), element("b", more='nillable="true"'), element("c"))
        )
        made = build(found, {"a": None, "b": None, "c": None})
        assert 'nil="true"' in made
        assert "<a" not in made
        assert made.endswith("<c/></Gui>")

    def test_a_type_of_the_partner_is_what_it_restricts_whatever_its_name_is(self):
        more = '<xs:simpleType name="Time"><xs:restriction base="xs:string"/></xs:simpleType>'
        more += '<xs:simpleType name="Ma"><xs:restriction base="xs:int"/></xs:simpleType>'
        found = service(sequence('<xs:element name="a" type="t:Time"/><xs:element name="b" type="t:Ma"/>'), more)
        assert build(found, {"a": "sáng", "b": "1"}) == "<Gui><a>sáng</a><b>1</b></Gui>"
        with pytest.raises(Unfit):
            build(found, {"a": "sáng", "b": "một"})

    def test_an_empty_text_is_no_number(self):
        found = service(
            sequence(element("a"), element("b", "int", 'minOccurs="0"'), element("c", more='minOccurs="0"'))
        )
        assert build(found, {"a": "", "b": "", "c": ""}) == "<Gui><a/><c/></Gui>"


class TestWhatTheSchemaHasNot:
    @pytest.mark.parametrize(
        ("values", "wrong"),
        [
            ({"tem": "x"}, "Gui has no tem; one of ten, @l"),
            ({"ten/x": "x"}, "Gui/ten has no x; a value: string"),
            ({"ten": "x", "@m": "x"}, "Gui has no @m; one of ten, @l"),
            ({"ten": "x", "ten[2]": "x"}, "Gui may have one ten, and 2 are given; one"),
        ],
    )
    def test_is_named_with_what_is_there(self, values, wrong):
        found = service(sequence(element("ten")) + '<xs:attribute name="l" type="xs:string"/>')
        with pytest.raises(Misplaced) as raised:
            build(found, values)
        assert str(raised.value) == wrong

    def test_a_required_element_that_nothing_is_given_for_is_named(self):
        with pytest.raises(Misplaced) as raised:
            build(service(sequence(element("a"), element("ten"))), {"a": "1"})
        assert "ten" in str(raised.value)

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("int", "x"),
            ("int", "1_000"),
            ("int", "\N{ARABIC-INDIC DIGIT ONE}"),
            ("date", "24/11/2026"),
            ("date", "2026-11-24T08:00:00"),
            ("dateTime", "2026-11-24"),
            ("boolean", "có"),
            ("decimal", "1,5"),
            ("decimal", "NaN"),
            ("string", b"\xff"),
        ],
    )
    def test_a_value_of_another_type_does_not_fit(self, kind, value):
        with pytest.raises(Unfit):
            build(service(sequence(element("a", kind))), {"a": value})


def node(values):
    root = CallNode()
    for path, value in values.items():
        root.put(read_path(path), value)
    return root


def test_the_types_are_loaded_once_for_the_same_files():
    found = service(sequence(element("mot")))
    again = effort.run_within(0.5, lambda: [service(sequence(element("mot"))) for _ in range(100)])
    assert all(each is found for each in again)


def test_two_threads_build_with_the_same_types():
    found = service(
        sequence(
            element("a"),
            '<xs:element name="b" maxOccurs="9"><xs:complexType>'
            + sequence(element("c"))
            + "</xs:complexType></xs:element>",
        )
    )
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: build(found, {"a": str(number), "b[2]/c": "2", "b/c": "1"}), range(200)))
    assert made == [f"<Gui><a>{number}</a><b><c>1</c></b><b><c>2</c></b></Gui>" for number in range(200)]


def test_a_type_that_contains_itself_is_listed_to_a_depth():
    more = '<xs:complexType name="A">' + sequence('<xs:element name="a" type="t:A" minOccurs="0"/>', element("b"))
    found = service(sequence('<xs:element name="a" type="t:A"/>'), more + "</xs:complexType>")
    fields = found.operation("Gui").list_fields()
    assert 1 < len(fields) < 20
    assert build(found, {"a/a/b": "1", "a/b": "2"}) == "<Gui><a><a><b>1</b></a><b>2</b></a></Gui>"
