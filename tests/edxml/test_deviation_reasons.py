"""What is said of each departure of an accepted packet from the standard: in our words, in both languages, at little cost."""

import re
from datetime import date
from pathlib import Path

import pytest
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import PacketProfile
from hub.edxml import packet, schema
from hub.edxml.rules import examine_packet
from hub.language.catalogues import translate
from hub.language.languages import Language
from tests.packets import letter

SOUND = letter("H55.13", ["H55.01"], document_id="D1").decode()


def changed(**texts: str) -> bytes:
    """Return a sound packet with other *texts* of its elements."""
    made = SOUND
    for name, text in texts.items():
        made, count = re.subn(rf"(<(?:\w+:)?{name}>)[^<]*(</)", rf"\g<1>{text}\g<2>", made, count=1)
        assert count, name
    return made.encode()


@pytest.mark.parametrize(
    ("texts", "code", "english"),
    [
        ({"Place": "x" * 60}, "R.MessageHeader.PromulgationInfo.Place", "has 60 characters, and at most 50 are allowed; shorten it"),
        ({"TypeName": ""}, "N.MessageHeader.DocumentType.TypeName", "is empty; write its value"),
        ({"PromulgationDate": "31/01/2026"}, "R.MessageHeader.PromulgationInfo.PromulgationDate", "“31/01/2026” does not have the form"),
        ({"Type": "7"}, "R.MessageHeader.DocumentType.Type", "“7” is none of the allowed values; write one of: 1, 2"),
        ({"TypeDetail": "hai"}, "T.MessageHeader.DocumentType.TypeDetail", "“hai” has the wrong type; write a whole number such as 12"),
    ],
)  # fmt: skip
def test_a_departure_is_said_in_our_words_in_both_languages(
    monkeypatch: pytest.MonkeyPatch, texts: dict[str, str], code: str, english: str
) -> None:
    """The second library, which explains refusals, is not asked: it takes a hundred times as long."""
    monkeypatch.setattr(schema, "_explain_refusals", lambda *_: pytest.fail("explained as a refusal is"))
    (found,) = packet.read_packet(changed(**texts)).deviations
    assert found.code == code
    said = {language: translate(found.detail, language) for language in Language}
    assert re.match(r"line \d+: ", said[Language.EN])
    assert english in said[Language.EN]
    assert re.match(r"dòng \d+: ", said[Language.VI])
    assert not any(word in said[Language.VI] for word in ("value", "allowed", "write"))


@pytest.mark.parametrize(
    "facet",
    [
        "minInclusive",
        "maxInclusive",
        "minExclusive",
        "maxExclusive",
        "totalDigits",
        "fractionDigits",
        "length",
        "minLength",
        "maxLength",
    ],
)
def test_each_facet_of_another_schema_has_its_words(tmp_path: Path, facet: str) -> None:
    """A ministry's schemas may bound a value in ways that ours do not."""
    base = "xs:decimal" if "clusive" in facet or "Digits" in facet else "xs:token"
    place = tmp_path / "xsd"
    place.mkdir()
    for name in ("document", "status"):
        (
            place / f"{name}.xsd"
        ).write_text(f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{schema.QCVN}" xmlns="{schema.QCVN}" elementFormDefault="qualified">
          <xs:element name="edXML"><xs:complexType><xs:sequence><xs:element name="edXMLEnvelope"><xs:simpleType>
            <xs:restriction base="{base}"><xs:{facet} value="3"/></xs:restriction>
          </xs:simpleType></xs:element></xs:sequence></xs:complexType></xs:element></xs:schema>""")
    loaded = schema.load_packet_schema("document", place)
    wrong = {
        "minInclusive": "2", "maxInclusive": "4", "minExclusive": "3", "maxExclusive": "3", "totalDigits": "1234",
        "fractionDigits": "1.2345", "length": "ab", "minLength": "ab", "maxLength": "abcd",
    }[facet]  # fmt: skip
    root = etree.fromstring(f'<edXML xmlns="{schema.QCVN}"><edXMLEnvelope>{wrong}</edXMLEnvelope></edXML>')
    first = loaded.strict(root)[0]
    said = {language: translate(first.detail, language) for language in Language}
    assert said[Language.VI] != said[Language.EN].replace("line", "dòng")
    assert "facet" not in said[Language.EN]
    assert "The value" not in said[Language.EN]


def test_under_the_strict_profile_a_refusal_has_the_same_words() -> None:
    read = packet.read_packet(changed(Type="7"))
    with pytest.raises(Rejected) as refused:
        examine_packet(read, today=date(2030, 1, 1), profile=PacketProfile.STRICT)
    assert "write one of: 1, 2" in str(refused.value.problems[0].detail)
