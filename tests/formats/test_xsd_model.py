"""The model of a schema: what it says of elements, types and facets, whatever its files look like and whoever wrote them."""

import pytest

from hub.domain.errors import ConfigurationFault
from hub.formats.models import xsd_files
from hub.formats.models.schema_loading import load_schema_model
from hub.formats.models.xsd_files import gather_schema_files, gather_schema_folder
from hub.formats.models.xsd_model import (
    GroupKind,
    ModelChoice,
    ModelElement,
    NamespaceSet,
    count_elements,
    find_binary_elements,
    rank_elements,
)

HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:a" targetNamespace="urn:a" elementFormDefault="qualified">'


def schema(inside, head=HEAD):
    return f"{head}{inside}</xs:schema>".encode()


def model(main, **others):
    """Return the model of *main*; `b_xsd` is the file `b.xsd`."""
    files = {"a.xsd": main, **{name.replace("_xsd", ".xsd"): content for name, content in others.items()}}
    return load_schema_model(gather_schema_files("a.xsd", files.__getitem__), "a.xsd")


def content(inside):
    found = model(schema(f'<xs:element name="e"><xs:complexType>{inside}</xs:complexType></xs:element>'))
    return found, found.type_of(found.elements["{urn:a}e"])


def counted(inside):
    group = content(inside)[1].group
    return {tag.removeprefix("{urn:a}"): (each.least, each.most) for tag, each in count_elements(group).items()}


def ranked(inside):
    ranks, wild = rank_elements(content(inside)[1].group)
    return {tag.removeprefix("{urn:a}"): rank for tag, rank in ranks.items()}, wild


def leaf(name, more=""):
    return f'<xs:element name="{name}" type="xs:string" {more}/>'


A, B, C = map(leaf, "abc")
SOME_B, NO_B = leaf("b", 'minOccurs="0"'), leaf("b", 'minOccurs="0" maxOccurs="0"')


# --- what a schema says ---------------------------------------------------------------------------------------------


def test_a_simple_type_has_the_facets_of_all_that_it_restricts():
    found = model(
        schema(
            """<xs:simpleType name="Long"><xs:restriction base="xs:token">
              <xs:minLength value="2"/><xs:maxLength value="50"/><xs:pattern value="a.*"/><xs:pattern value="b.*"/>
            </xs:restriction></xs:simpleType>
            <xs:simpleType name="Short"><xs:annotation><xs:documentation xml:lang="vi">Ngắn  gọn</xs:documentation>
              <xs:documentation xml:lang="en">Short</xs:documentation></xs:annotation>
              <xs:restriction base="Long"><xs:maxLength value="9"/><xs:pattern value=".*z"/>
            </xs:restriction></xs:simpleType>
            <xs:simpleType name="Kind"><xs:restriction base="Short">
              <xs:enumeration value="abz"><xs:annotation><xs:documentation xml:lang="vi">Loại một</xs:documentation>
                </xs:annotation></xs:enumeration>
              <xs:enumeration value="bz"/>
            </xs:restriction></xs:simpleType>
            <xs:simpleType name="Day"><xs:restriction base="xs:int"><xs:minInclusive value="1"/>
              <xs:maxExclusive value="32"/><xs:totalDigits value="2"/></xs:restriction></xs:simpleType>"""
        )
    ).types
    short, kind, day = (found[f"{{urn:a}}{name}"] for name in ("Short", "Kind", "Day"))
    assert (short.value.builtin, short.value.least, short.value.most) == ("token", 2, 9)
    assert short.value.patterns == ((".*z",), ("a.*", "b.*"))
    assert short.labels == {"vi": "Ngắn gọn", "en": "Short"}
    assert kind.value.choices == (ModelChoice("abz", {"vi": "Loại một"}), ModelChoice("bz"))
    assert kind.value.values == {"abz", "bz"}
    assert (day.value.min_inclusive, day.value.max_exclusive, day.value.total_digits) == ("1", "32", 2)


def test_a_list_and_a_union_are_no_single_values():
    found = model(
        schema(
            """<xs:simpleType name="L"><xs:list itemType="xs:int"/></xs:simpleType>
            <xs:simpleType name="L2"><xs:restriction base="L"><xs:maxLength value="3"/></xs:restriction></xs:simpleType>
            <xs:simpleType name="U"><xs:union memberTypes="xs:int xs:date"/></xs:simpleType>
            <xs:simpleType name="U2"><xs:restriction base="U"><xs:enumeration value="1"/></xs:restriction></xs:simpleType>
            <xs:element name="n" type="xs:NMTOKENS"/>"""
        )
    ).types
    kinds = {key.rpartition("}")[2]: (each.value.variety, each.value.most) for key, each in found.items()}
    assert kinds == {
        "L": ("list", None),
        "L2": ("list", 3),
        "U": ("union", None),
        "U2": ("union", None),
        "NMTOKENS": ("list", None),
    }


def test_groups_extensions_and_references_are_written_out():
    found = model(
        schema(
            f"""<xs:import namespace="urn:b" schemaLocation="b.xsd"/>
            <xs:group name="G"><xs:sequence>{A}{B}</xs:sequence></xs:group>
            <xs:attributeGroup name="AG"><xs:attribute name="x" use="required" type="xs:int"/></xs:attributeGroup>
            <xs:element name="r" type="xs:date" nillable="true"/>
            <xs:complexType name="Base"><xs:sequence><xs:group ref="G"/></xs:sequence><xs:attributeGroup ref="AG"/></xs:complexType>
            <xs:element name="e"><xs:complexType><xs:complexContent><xs:extension base="Base">
              <xs:sequence><xs:element ref="r" minOccurs="0"/><xs:element xmlns:b="urn:b" ref="b:o"/>
              <xs:any namespace="##other" processContents="lax"/></xs:sequence>
              <xs:anyAttribute namespace="##local urn:c"/>
            </xs:extension></xs:complexContent></xs:complexType></xs:element>"""
        ),
        b_xsd=schema('<xs:element name="o"/>', HEAD.replace("urn:a", "urn:b")),
    )
    kind = found.type_of(found.elements["{urn:a}e"])
    *children, wild = kind.group.items
    assert kind.group.kind is GroupKind.SEQUENCE
    assert [(each.tag, each.least, each.nillable) for each in children] == [
        ("{urn:a}a", 1, False),
        ("{urn:a}b", 1, False),
        ("{urn:a}r", 0, True),
        ("{urn:b}o", 1, False),
    ]
    assert found.type_of(children[2]).value.builtin == "date"
    assert found.type_of(children[3]).is_any
    assert ("urn:a" in wild.namespaces, "" in wild.namespaces, "urn:z" in wild.namespaces) == (False, False, True)
    assert [(each.name, each.needed, each.value.builtin) for each in kind.attributes] == [("x", True, "int")]
    assert kind.attribute_spaces == NamespaceSet(frozenset({"", "urn:c"}))


def test_a_member_of_a_substitution_group_may_stand_for_its_head():
    found = model(
        schema(
            """<xs:element name="head" type="xs:string" abstract="true"/>
            <xs:element name="one" type="xs:string" substitutionGroup="head"/>
            <xs:element name="two" type="xs:string" substitutionGroup="head"/>
            <xs:element name="e"><xs:complexType><xs:sequence><xs:element ref="head" maxOccurs="3"/></xs:sequence></xs:complexType></xs:element>"""
        )
    )
    kind = found.type_of(found.elements["{urn:a}e"])
    assert (kind.group.kind, kind.group.most) == (GroupKind.CHOICE, 3)
    assert [each.name for each in kind.group.items if isinstance(each, ModelElement)] == ["one", "two"]


def test_a_type_may_contain_itself():
    found = model(
        schema(
            """<xs:complexType name="T"><xs:sequence><xs:element name="t" type="T" minOccurs="0"/></xs:sequence></xs:complexType>
            <xs:element name="e" type="T"/>"""
        )
    )
    kind = found.type_of(found.elements["{urn:a}e"])
    assert found.type_of(kind.group.items[0]) is kind


@pytest.mark.parametrize(
    ("inside", "numbers"),
    [
        (f"<xs:sequence>{A}{SOME_B}{A}</xs:sequence>", {"a": (2, 2), "b": (0, 1)}),
        (f"<xs:choice>{A}{B}</xs:choice>", {"a": (0, 1), "b": (0, 1)}),
        (
            f"<xs:choice><xs:sequence>{A}{B}</xs:sequence><xs:sequence>{B}{C}</xs:sequence></xs:choice>",
            {"a": (0, 1), "b": (1, 1), "c": (0, 1)},
        ),
        (f'<xs:sequence maxOccurs="unbounded">{A}{B}</xs:sequence>', {"a": (1, None), "b": (1, None)}),
        (
            f'<xs:sequence minOccurs="0">{A}<xs:choice maxOccurs="4">{B}{C}</xs:choice></xs:sequence>',
            {"a": (0, 1), "b": (0, 4), "c": (0, 4)},
        ),
        (f"<xs:all>{A}{SOME_B}</xs:all>", {"a": (1, 1), "b": (0, 1)}),
        (f"<xs:sequence>{A}{NO_B}</xs:sequence>", {"a": (1, 1)}),
    ],
    ids=range(7),
)
def test_the_numbers_of_an_element_are_those_of_every_content(inside, numbers):
    assert counted(inside) == numbers


@pytest.mark.parametrize(
    ("inside", "ranks", "wild"),
    [
        (f"<xs:sequence>{A}{B}{C}</xs:sequence>", {"a": 0, "b": 1, "c": 2}, 3),
        (f"<xs:all>{A}{B}</xs:all>", {"a": 0, "b": 0}, 1),
        (
            f'<xs:sequence>{A}<xs:choice maxOccurs="2">{B}{C}</xs:choice><xs:any namespace="urn:z"/></xs:sequence>',
            {"a": 0, "b": 1, "c": 1},
            2,
        ),
        (f"<xs:sequence>{A}{B}{A}{C}</xs:sequence>", {"a": 0, "b": 0, "c": 3}, 4),
        (f'<xs:sequence>{A}<xs:any namespace="urn:z"/>{B}</xs:sequence>', {"a": 0, "b": 2}, 1),
    ],
    ids=range(5),
)
def test_what_may_stand_in_any_order_has_one_place(inside, ranks, wild):
    assert ranked(inside) == (ranks, wild)


# --- binary values --------------------------------------------------------------------------------------------------


def test_every_way_to_say_base64_is_found():
    found = model(
        schema(
            """<xs:simpleType name="B"><xs:restriction base="xs:base64Binary"><xs:maxLength value="9"/></xs:restriction></xs:simpleType>
            <xs:complexType name="With"><xs:simpleContent><xs:extension base="xs:base64Binary">
              <xs:attribute name="type" type="xs:string"/></xs:extension></xs:simpleContent></xs:complexType>
            <xs:element name="one" type="xs:base64Binary"/><xs:element name="two" type="B"/><xs:element name="three" type="With"/>
            <xs:element name="four"><xs:simpleType><xs:restriction base="B"/></xs:simpleType></xs:element>
            <xs:element name="text" type="xs:string"/>"""
        )
    )
    binary = find_binary_elements(found)
    assert {tag.removeprefix("{urn:a}"): each.most for tag, each in binary.items()} == {
        "one": None,
        "two": 9,
        "three": None,
        "four": 9,
    }


@pytest.mark.parametrize(
    "inside",
    [
        '<xs:element name="e" type="xs:base64Binary"/><xs:complexType name="T"><xs:sequence><xs:element name="e" type="xs:string"/></xs:sequence></xs:complexType>',
        '<xs:element name="e"><xs:simpleType><xs:restriction base="xs:base64Binary"><xs:enumeration value="QQ=="/></xs:restriction></xs:simpleType></xs:element>',
        '<xs:element name="e"><xs:simpleType><xs:restriction base="xs:base64Binary"><xs:minLength value="999999999"/></xs:restriction></xs:simpleType></xs:element>',
    ],
    ids=["two meanings", "values", "too long at least"],
)
def test_base64_that_cannot_be_taken_out_by_its_name_is_refused(inside):
    with pytest.raises(ConfigurationFault):
        find_binary_elements(model(schema(inside)))


# --- whoever wrote it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "named",
    [
        "../b.xsd",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://x.example/b.xsd",
        "b%2exsd",
        "b.xsd#x",
        "..",
        "c.xsd",
        "",
    ],
)
def test_a_schema_names_no_other_file(named):
    with pytest.raises(ConfigurationFault, match="not beside it"):
        model(schema(f'<xs:include schemaLocation="{named}"/>'), b_xsd=schema(""))


def test_a_symbolic_link_leads_nowhere(tmp_path):
    (tmp_path / "out.xsd").write_bytes(schema(""))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "b.xsd").symlink_to(tmp_path / "out.xsd")
    (folder / "a.xsd").write_bytes(schema('<xs:include schemaLocation="b.xsd"/>'))
    with pytest.raises(ConfigurationFault, match="not beside it"):
        gather_schema_folder(folder / "a.xsd")


@pytest.mark.parametrize(
    "content",
    [
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + schema('<xs:element name="e" fixed="&x;"/>'),
        b"<a/>",
        b"<",
        schema('<xs:element name="e" type="Nothing"/>'),
        schema(
            '<xs:element name="e"><xs:complexType><xs:sequence maxOccurs="'
            + "9" * 5000
            + '"/></xs:complexType></xs:element>'
        ),
        schema(
            '<xs:complexType name="T"><xs:complexContent><xs:extension base="T"/></xs:complexContent></xs:complexType>'
        ),
        schema('<xs:group name="G"><xs:sequence><xs:group ref="G"/></xs:sequence></xs:group>'),
        schema(
            '<xs:group name="G0"><xs:sequence><xs:element name="e"/></xs:sequence></xs:group>'
            + "".join(
                f'<xs:group name="G{n + 1}"><xs:sequence><xs:group ref="G{n}"/><xs:group ref="G{n}"/></xs:sequence></xs:group>'
                for n in range(30)
            )
            + '<xs:element name="e"><xs:complexType><xs:group ref="G30"/></xs:complexType></xs:element>'
        ),
        schema("".join(f'<xs:element name="e{number}"/>' for number in range(5_001))),
        schema('<xs:simpleType name="T"><xs:restriction><xs:minInclusive value="1"/></xs:restriction></xs:simpleType>'),
    ],
    ids=[
        "entity",
        "no schema",
        "no XML",
        "unknown type",
        "huge number",
        "extends itself",
        "contains itself",
        "doubles",
        "many",
        "restricts nothing",
    ],
)
def test_a_broken_or_hostile_schema_is_refused_with_a_reason(content):
    with pytest.raises(ConfigurationFault) as refused:
        model(content)
    (mistake,) = refused.value.mistakes
    assert (mistake.path, bool(str(mistake.wrong)), bool(str(mistake.expected))) == ("a.xsd", True, True)


def test_the_files_of_a_schema_are_bounded(monkeypatch):
    files = {f"{n}.xsd": schema(f'<xs:include schemaLocation="{n + 1}.xsd"/>') for n in range(200)} | {
        "200.xsd": schema("")
    }
    with pytest.raises(ConfigurationFault, match="more than 100 files"):
        gather_schema_files("0.xsd", files.__getitem__)
    monkeypatch.setattr(xsd_files, "FILES", 300)
    assert len(gather_schema_files("0.xsd", files.__getitem__)) == 201
    monkeypatch.setattr(xsd_files, "OCTETS", 9_000)
    with pytest.raises(ConfigurationFault):
        gather_schema_files("0.xsd", files.__getitem__)


def test_a_schema_may_include_itself_in_a_circle():
    found = model(
        schema('<xs:include schemaLocation="b.xsd"/><xs:element name="e" type="T"/>'),
        b_xsd=schema(
            '<xs:include schemaLocation="a.xsd"/><xs:simpleType name="T"><xs:restriction base="xs:int"/></xs:simpleType>'
        ),
    )
    assert found.type_of(found.elements["{urn:a}e"]).value.builtin == "int"
