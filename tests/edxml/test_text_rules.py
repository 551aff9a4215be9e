"""A rule of texts allows no text that a schema refuses, whatever facets the schema has."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from hub.edxml.schema import TextRule, derive_text_rule
from hub.formats.models.xsd_components import derive_model
from tests.examples import at_most

_HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">'
_WORDS = ("string", "normalizedString", "token")
_NUMBERS = (
    "int",
    "integer",
    "nonNegativeInteger",
    "positiveInteger",
    "short",
    "byte",
    "unsignedShort",
    "unsignedByte",
    "long",
)
_OTHERS = ("boolean", "decimal", "date", "base64Binary", "Name", "NMTOKENS")
_PATTERNS = (
    r"\d{4}/(0[1-9]|1[0-2])",
    "[A-Z]{1,3}",
    "A  B",
    r"[0-9]+",
    "(A|B)?",
    r"\d(\.\d)*",
    "[A-Z]B|C",
    "A?{2}",
    ".*",
    r"\p{L}",
)
#: Texts at the edges of what the facets below say, without white space at their ends: of that a rule says nothing.
TEXTS = (
    *(
        "",
        "A",
        "AB",
        "ABC",
        "ABCD",
        "A B",
        "A  B",
        "A  BC",
        "A   B",
        "B C",
        "C",
        "é",
        "éé",
        "AA",
        "CB",
        "x" * 999,
        "x" * 1001,
    ),
    *(
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "7",
        "9",
        "10",
        "99",
        "100",
        "101",
        "127",
        "128",
        "255",
        "256",
        "007",
        "-1",
        "+1",
        "1.5",
    ),
    *("9999", "32767", "32768", "65536", "999999999", "2147483647", "2147483648", "99999999999", "1.2.3", "1.", "٣"),
    *("2026/12", "2026/13", "26/12", "2026/1", "true", "false", "True", "2026-01-31", "QQ==", "QQ"),
)
_FACETS = {
    True: (
        *(("minInclusive", each) for each in ("0", "1", "4")),
        *(("maxInclusive", each) for each in ("5", "99", "100", "127")),
        *(("enumeration", each) for each in ("1", "5", "10")),
        *(
            ("totalDigits", "2"),
            ("maxExclusive", "100"),
            ("minExclusive", "0"),
            ("pattern", "[0-9]+"),
            ("pattern", "[1-3]|5"),
        ),
    ),
    False: (
        *(("minLength", each) for each in ("0", "1", "2", "4")),
        *(("maxLength", each) for each in ("4", "5", "999", "1001")),
        *(("length", each) for each in ("1", "4")),
        *(("enumeration", each) for each in ("A", "B C", "A  B", "A  BC", "")),
        *(("pattern", each) for each in _PATTERNS),
    ),
}


@st.composite
def restrictions(draw: st.DrawFn, base: str, *, number: bool) -> str:
    """Draw the facets of one restriction of *base*."""
    facets = draw(st.lists(st.sampled_from(_FACETS[number]), max_size=2, unique_by=lambda each: each[0]))
    kinds = {name for name, _value in facets}
    if "enumeration" in kinds or "pattern" in kinds:  # several of them are alternatives
        facets += [
            each
            for each in draw(st.lists(st.sampled_from(_FACETS[number]), max_size=2))
            if each[0] in kinds & {"enumeration", "pattern"}
        ]
    inside = "".join(f'<xs:{name} value="{value}"/>' for name, value in dict.fromkeys(facets))
    return f'<xs:restriction base="{base}">{inside}</xs:restriction>'


@st.composite
def simple_types(draw: st.DrawFn) -> str:
    """Draw a schema of an element `e`, whose type restricts a built-in type in one or two steps."""
    base = draw(st.sampled_from((*_WORDS, *_WORDS, *_NUMBERS, *_OTHERS)))
    number = base in _NUMBERS or base == "decimal"
    if base in {"boolean", "date", "NMTOKENS"}:
        return f'{_HEAD}<xs:element name="e" type="xs:{base}"/></xs:schema>'
    first = draw(restrictions(f"xs:{base}", number=number))
    second = draw(restrictions("First", number=number)) if draw(st.booleans()) else '<xs:restriction base="First"/>'
    return (
        f'{_HEAD}<xs:simpleType name="First">{first}</xs:simpleType>'
        f'<xs:element name="e"><xs:simpleType>{second}</xs:simpleType></xs:element></xs:schema>'
    )


def read(schema: str) -> tuple[Any, Any]:
    """Return libxml2's schema and the type of the element; (None, None) for one that a library refuses."""
    try:
        compiled = etree.XMLSchema(etree.fromstring(schema))
        model = derive_model({"a.xsd": schema.encode()}, "a.xsd")
    except Exception:  # noqa: BLE001 - facets that contradict one another
        return None, None
    return compiled, model.type_of(model.elements["e"]).value


@settings(max_examples=at_most(100), deadline=None)
@given(simple_types(), simple_types())
@pytest.mark.slow
def test_what_fits_a_rule_of_two_types_both_allow(one: str, other: str) -> None:
    (first, kind), (second, kind2) = read(one), read(other)
    if kind is not None:
        judge(derive_text_rule(kind), [first])
    if kind is not None and kind2 is not None:
        judge(derive_text_rule(kind, kind2), [first, second])


def judge(rule: TextRule | None, compiled: list[Any]) -> None:
    for text in filter(rule.fits, TEXTS) if rule is not None else ():
        element = etree.Element("e")
        element.text = text
        assert all(each.validate(element) for each in compiled), (text, rule)


def test_rules_of_the_usual_types_fit_the_usual_texts() -> None:
    """The property above would hold for rules that fit nothing."""
    schema = f"""{_HEAD}<xs:simpleType name="N"><xs:restriction base="xs:int"><xs:minInclusive value="1"/>
      <xs:maxInclusive value="3"/></xs:restriction></xs:simpleType>
      <xs:simpleType name="D"><xs:restriction base="xs:token"><xs:pattern value="\\d{{4}}/\\d\\d"/></xs:restriction></xs:simpleType>
      <xs:simpleType name="S"><xs:restriction base="xs:string"><xs:minLength value="2"/></xs:restriction></xs:simpleType></xs:schema>"""
    types = derive_model({"a.xsd": schema.encode()}, "a.xsd").types
    rules: list[TextRule] = [
        rule for name in "NDS" if (kind := types[name].value) is not None and (rule := derive_text_rule(kind))
    ]
    assert [rule.fits(text) for rule, text in zip(rules, ("3", "2026/12", "ab c"), strict=True)] == [True] * 3
    assert [rule.fits(text) for rule, text in zip(rules, ("4", "2026/1", "a"), strict=True)] == [False] * 3
