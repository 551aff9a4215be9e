"""What a refused element is told: every mistake with its place, in words a person can follow, at a bounded cost."""

import ast
import re
from pathlib import Path
from typing import Any, cast

import pytest
from lxml import etree
from xmlschema import XMLSchemaValidationError, validators

from hub.formats import xsd_mistakes, xsd_schemas
from hub.formats.element_places import find_element_places
from hub.formats.models import xsd_components
from hub.formats.spool import Octets
from hub.formats.xsd_mistakes import Explanation, MistakeKind, explain_schema_refusal
from hub.language.catalogues import say_both
from hub.language.languages import Language
from tests import effort, words

NAMESPACE = "urn:lienthong:dossiers:1"
SCHEMA = xsd_schemas.find_schema_root() / "xsd/lienthong/1/dossiers.xsd"
FIELDS = {
    "MaHoSo": "H{}",
    "MaTTHC": "1.000894",
    "TenTTHC": "Đăng ký kết hôn",
    "MaLinhVuc": "HT",
    "TenLinhVuc": "Hộ tịch",
    "LoaiDoiTuong": "1",
    "NgayTiepNhan": "20260105080000",
    "NgayHenTra": "20260112080000",
    "TrangThaiHoSo": "1",
    "DonViXuLy": "UBND",
}


def dossier(number: int, **other: str | None) -> str:
    """Return one `HoSo` with *other* fields; None leaves one out, and `more` stands at the end."""
    fields = {**FIELDS, **other}
    more = fields.pop("more", "") or ""
    inside = "".join(f"<{name}>{text.format(number)}</{name}>" for name, text in fields.items() if text is not None)
    return f"<HoSo>{inside}{more}</HoSo>"


def batch(*dossiers: str) -> str:
    return (
        f'<SyncDossiers xmlns="{NAMESPACE}">\n<OrganId>H55.13</OrganId>\n' + "\n".join(dossiers) + "\n</SyncDossiers>"
    )


def statistic(fields: str) -> str:
    return (
        f'<SubmitStatistic xmlns="{NAMESPACE}"><OrganId>a</OrganId><MStatistic>{fields}</MStatistic></SubmitStatistic>'
    )


def explained(text: str, path: Path = SCHEMA) -> Explanation:
    """Return why *text* is refused."""
    schema = xsd_schemas.compile_schema(path)
    element = etree.fromstring(text.encode())
    assert not schema.validate(element)
    return explain_schema_refusal(path, element, schema)


PLANTED = {
    3: (dossier(3, NgayTiepNhan="2026-01-05"), [("pattern", "/NgayTiepNhan")]),
    57: (dossier(57, MaTTHC=None), [("missing", "/MaTTHC")]),
    58: (dossier(58, MaHoSo=""), [("length", "/MaHoSo")]),
    120: (dossier(120, more="<HinhThuc>1</HinhThuc><Lạ>1</Lạ>"), [("unexpected", "/Lạ")]),
    200: (dossier(200, TrangThaiHoSo="9" * 51), [("length", "/TrangThaiHoSo")]),
    201: (dossier(201, DonViXuLy=None, NgayHenTra="x"), [("pattern", "/NgayHenTra"), ("missing", "/DonViXuLy")]),
    300: (dossier(300, more="<DanhSachTepDinhKemKhac><SoLuong>hai</SoLuong></DanhSachTepDinhKemKhac>"), [("type", "/DanhSachTepDinhKemKhac/SoLuong")]),
    444: (dossier(444, more="<DanhSachTepDinhKemKhac><SoLuong>-1</SoLuong></DanhSachTepDinhKemKhac>"), [("range", "/DanhSachTepDinhKemKhac/SoLuong")]),
    500: (dossier(500, more="<DanhSachLePhi><Gia>x</Gia></DanhSachLePhi>"), [("type", "/DanhSachLePhi/Gia")]),
}  # fmt: skip


def test_a_batch_of_500_dossiers_names_exactly_its_ten_mistakes() -> None:
    """Of six kinds, two of them in one record, each by the number of its record."""
    dossiers = [PLANTED[number][0] if number in PLANTED else dossier(number) for number in range(1, 501)]
    found = explained(batch(*dossiers))
    planted = [
        (kind, f"/SyncDossiers/HoSo[{number}]{path}") for number, (_text, ten) in PLANTED.items() for kind, path in ten
    ]
    assert sorted((str(mistake.kind), mistake.path) for mistake in found.mistakes) == sorted(planted)
    assert len(planted) == 10
    assert len({kind for kind, _path in planted}) == 6
    assert found.whole


def test_mistakes_behind_an_element_that_does_not_belong_are_found_too() -> None:
    """At such an element libxml2 stops."""
    dossiers = [dossier(number, NgayTra="y" if number in (400, 800) else None, GhiChu="x") for number in range(1, 801)]
    dossiers[100:100] = ["<Khác/>"]
    dossiers[500:500] = ["<Khác/>"]
    assert [mistake.path for mistake in explained(batch(*dossiers)).mistakes] == [
        "/SyncDossiers/Khác[1]",
        "/SyncDossiers/HoSo[400]/NgayTra",
        "/SyncDossiers/Khác[2]",
        "/SyncDossiers/HoSo[800]/NgayTra",
    ]


@pytest.mark.parametrize(
    ("text", "english"),
    [
        (batch(dossier(1, NgayTiepNhan="hôm nay")), "“hôm nay” does not have the form [0-9]{14}; write it so"),
        (batch(dossier(1, MaTTHC=None)), "is missing; add it before TenTTHC"),
        (batch(dossier(1, DonViXuLy=None)), "is missing; add it at the end"),
        (batch(dossier(1, MaHoSo="")), "is empty; write its value"),
        (batch(dossier(1, TrangThaiHoSo="9" * 51)), "has 51 characters, and at most 50 are allowed; shorten it"),
        (batch(dossier(1), "<Foo/>"), "is not allowed here; remove it, or write one of: MessageId, OrganId, HoSo"),
        (batch(dossier(1, MaHoSo="a</MaHoSo><MaHoSo>b")), "occurs 2 times, and at most 1 is allowed; remove the others"),
        (batch(dossier(1, more="<ChuHoSo>x</ChuHoSo>")), "stands in the wrong place; it must come before DonViXuLy"),
        (batch(dossier(1), "chữ"), "has text between its elements, “chữ”; remove it"),
        (batch(dossier(1)).replace("<HoSo>", '<HoSo a="1">'), "is not allowed here; remove it"),
        (batch(dossier(1, MaHoSo="<x>a</x>")), "has elements inside, where a value belongs; write the value only"),
        (statistic("<Month>13</Month>"), "“13” is too much; the most is 12"),
        (statistic("<Month>0</Month>"), "“0” is too little; the least is 1"),
        (statistic("<Month>một</Month>"), "“một” has the wrong type; write a whole number such as 12"),
        (statistic("<Month/>"), "is empty; write a whole number such as 12"),
        (statistic("<Month>99999999999</Month>"), "“99999999999” is out of range: -2^31 <= x < 2^31; write a number inside it"),
    ],
    ids=lambda value: value[-40:] if not value.startswith("<") else "",
)  # fmt: skip
def test_a_mistake_says_what_was_found_and_what_to_do(text: str, english: str) -> None:
    assert english in [str(mistake.reason) for mistake in explained(text).mistakes]


def test_a_mistake_is_said_in_both_languages_with_what_the_schema_calls_the_field() -> None:
    (mistake,) = explained(batch(dossier(1, NgayHenTra="x"))).mistakes
    assert mistake.label == "Hạn trả kết quả hiện hành; yyyyMMddHHmmss, giờ Việt Nam"
    vietnamese, english = say_both(mistake.reason)
    assert vietnamese != english
    assert mistake.reason.id in {message.id for message in words.read(Language.VI)}


def test_a_schema_of_choices_and_values_is_explained_too(tmp_path: Path) -> None:
    """What is no plain sequence is said as the library sees it."""
    path = tmp_path / "a.xsd"
    path.write_text("""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:a" xmlns="urn:a" elementFormDefault="qualified">
      <xs:element name="a"><xs:complexType>
        <xs:choice maxOccurs="2"><xs:element name="b" type="xs:string"/><xs:element name="c"><xs:simpleType>
          <xs:restriction base="xs:token"><xs:enumeration value="một"/><xs:enumeration value="hai"/></xs:restriction>
        </xs:simpleType></xs:element></xs:choice>
        <xs:attribute name="d" use="required"/>
      </xs:complexType></xs:element></xs:schema>""")
    told = {
        (mistake.kind, mistake.path): str(mistake.reason)
        for text in ('<a xmlns="urn:a"><c>ba</c></a>', '<a xmlns="urn:a" d="1"/>', '<a xmlns="urn:a" d="1"><e/></a>')
        for mistake in explained(text, path).mistakes
    }
    assert told == {
        (MistakeKind.ENUMERATION, "/a/c"): "“ba” is none of the allowed values; write one of: một, hai",
        (MistakeKind.MISSING, "/a/@d"): "is missing; add the attribute",
        (MistakeKind.MISSING, "/a"): "is not complete; add one of: b, c",
        (MistakeKind.UNEXPECTED, "/a/e"): "is not allowed here; before it must come one of: b, c",
    }


HOSTILE = {
    "records": batch(*[dossier(1, MaHoSo="")] * 4000),
    "strangers": batch(*["<x/>"] * 9_000),
    "a long value": batch(dossier(1, MaHoSo="9" * 1_000_000)),
    "a long number": statistic(f"<Month>{'9' * 1_000_000}</Month>"),
    "depth": batch("<x>" * 200 + "</x>" * 200),
    "attributes": batch(dossier(1)).replace("<HoSo>", "<HoSo {}>".format(" ".join(f'a{n}="1"' for n in range(5_000)))),
    "an odd type": batch(dossier(1)).replace(
        "<OrganId>", '<OrganId xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="Nothing">'
    ),
}


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.slow
def test_a_megabyte_of_mistakes_costs_no_more_than_its_bound(attack: str) -> None:
    """And a half for what libxml2 and the paths take."""
    explained(batch(dossier(1, MaHoSo="")))  # the model is built once
    found = effort.run_within(xsd_mistakes.SECONDS + 0.5, lambda: explained(HOSTILE[attack]))
    assert len(found.mistakes) <= xsd_mistakes.MISTAKES
    assert max((len(str(mistake.reason)) for mistake in found.mistakes), default=0) < 700


def test_a_document_s_own_hint_where_its_schema_is_found_is_never_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = batch(dossier(1, MaHoSo="")).replace(
        "<OrganId>",
        '<OrganId xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
        'i:schemaLocation="urn:other file:///etc/hostname urn:third http://127.0.0.1:9/a.xsd">',
    )
    explained(batch(dossier(1, MaHoSo="")))
    monkeypatch.setattr("builtins.open", lambda *_words, **_named: pytest.fail("a file was opened"))
    monkeypatch.setattr("urllib.request.urlopen", lambda *_words, **_named: pytest.fail("an address was opened"))
    assert "/SyncDossiers/HoSo/MaHoSo" in {mistake.path for mistake in explained(text).mistakes}


def test_line_and_column_are_those_of_the_document_as_it_was_sent() -> None:
    document = '<a\n b="1">\n  <b/><!-- <b/> --><c>é</c><b>\n\t<d/></b>\n</a>'.encode()
    root = etree.fromstring(document)
    elements = list(root.iter("*"))
    assert list(find_element_places(Octets.of(document), elements).values()) == [
        (1, 1),
        (3, 3),
        (3, 20),
        (3, 28),
        (4, 2),
    ]
    assert find_element_places(Octets.of(document), []) == {}


PATTERNED = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{}" xmlns="{}" elementFormDefault="qualified">
  {}<xs:element name="{}"><xs:complexType><xs:sequence><xs:element name="v"><xs:simpleType><xs:restriction base="xs:string">
  <xs:pattern value="(a+)+"/></xs:restriction></xs:simpleType></xs:element>{}</xs:sequence></xs:complexType></xs:element>
</xs:schema>"""


def test_no_pattern_keeps_the_process_busy(tmp_path: Path) -> None:
    """Python's `re` would need hours for this one, with the lock of the interpreter held. Also of an imported schema."""
    imports = '<xs:import namespace="urn:b" schemaLocation="b.xsd"/>'
    (tmp_path / "b.xsd").write_text(PATTERNED.format("urn:b", "urn:b", "", "inner", ""))
    path = tmp_path / "a.xsd"
    path.write_text(PATTERNED.format("urn:a", "urn:a", imports, "outer", '<xs:element xmlns:b="urn:b" ref="b:inner"/>'))
    value = "a" * 27 + "!"
    text = f'<outer xmlns="urn:a"><v>{value}</v><inner xmlns="urn:b"><v>{value}</v></inner></outer>'
    explained('<outer xmlns="urn:a"/>', path)  # the model is built once
    found = effort.run_within(0.1, lambda: explained(text, path))
    assert [(mistake.kind, mistake.path) for mistake in found.mistakes] == [
        (MistakeKind.PATTERN, "/outer/v"),
        (MistakeKind.PATTERN, "/outer/inner/v"),
    ]


RARE = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:a" xmlns="urn:a" elementFormDefault="qualified">
  <xs:element name="a"><xs:complexType><xs:sequence>
    <xs:element name="fixed" type="xs:string" fixed="một" minOccurs="0"/>
    <xs:element name="empty" minOccurs="0"><xs:complexType/></xs:element>
    <xs:element name="number" type="xs:positiveInteger" minOccurs="0"/>
    <xs:element name="octets" type="xs:hexBinary" minOccurs="0"/>
    <xs:element name="key" type="xs:string" minOccurs="0" maxOccurs="9"/>
  </xs:sequence></xs:complexType>
  <xs:unique name="u"><xs:selector xpath="key"/><xs:field xpath="."/></xs:unique></xs:element></xs:schema>""".replace(
    'xpath="key"', 'xpath="n:key" xmlns:n="urn:a"'
)


@pytest.mark.parametrize(
    ("inside", "english"),
    [
        ("<fixed>hai</fixed>", "“hai” is none of the allowed values; write one of: một"),
        ("<empty>x</empty>", "must be empty; remove what is inside"),
        ("<number>0</number>", "“0” is out of range: x > 0; write a number inside it"),
        ("<key>a</key><key>a</key>", "has a value that must occur once, and that another one has; write another"),
        (
            '<number xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>',
            "has the attribute xsi:nil, which it may not have so; remove the attribute",
        ),
    ],
)
def test_a_rare_mistake_is_said_in_our_words_too(inside: str, english: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xsd"
    path.write_text(RARE)
    assert english in [str(each.reason) for each in explained(f'<a xmlns="urn:a">{inside}</a>', path).mistakes]


def library_sentences() -> set[str]:
    """Return every text of the library that it would translate: what it says of documents, and of schemas."""
    found = set()
    for path in Path(validators.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                found |= {
                    each.value
                    for each in ast.walk(node)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                }
    return found


def list_words(sentence: str) -> set[tuple[str, ...]]:
    """Return each three words that follow one another in *sentence*."""
    words = re.findall(r"[\w']+", sentence)
    return set(zip(words, words[1:], words[2:], strict=False))


#: Words that are ours too: both say them of the same thing.
OURS = {("is", "not", "allowed"), ("not", "allowed", "here")}


def test_no_sentence_of_the_library_reaches_a_person() -> None:
    """Whatever it says of a document or of a schema is said in our words, in both languages."""
    said, known = library_sentences(), {message.id for message in words.read(Language.VI)}
    assert len(said) > 150
    for sentence in said:
        error = XMLSchemaValidationError(cast("Any", None), "x", sentence)
        for told in (
            xsd_mistakes._other_mistake(error, etree.Element("a")).reason,
            xsd_components._say_fault(ValueError(sentence)),
        ):
            assert told.id in known, told.id
            assert list_words(str(told)) & list_words(sentence) - OURS == set(), (sentence, str(told))
