"""The mapping of a partner by its WSDL as a text: the pages show what can be read, and nothing else than mistakes comes of others."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.errors import ConfigurationFault, Mistake
from hub.partner.mapping_reading import MOST_OCTETS, MOST_STEPS, read_mapping
from hub.partner.soap_mapping import Then
from tests.examples import at_most

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("reference/soap-partners.md", "vi/reference/soap-partners.md")
HEAD = f'[wsdl]\nfile = "a.wsdl"\nsha256 = {{ "a.wsdl" = "{"0" * 64}" }}\n'
CODES = '[tables.ket-qua]\n"*" = "x"\n'
EXAMPLES = [
    (page, example)
    for page in PAGES
    for example in re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
]


def complete(example):
    """Return the mapping of which *example* is a part."""
    if "[wsdl]" in example:
        return example
    beginning = "" if "[[" in example else '[[deliver]]\noperation = "x"\n'
    return HEAD + ("" if "[tables" in example else CODES) + beginning + example


@pytest.mark.parametrize(("page", "example"), EXAMPLES, ids=[f"{page}-{n}" for n, (page, _) in enumerate(EXAMPLES)])
def test_every_example_of_the_reference_can_be_read(page, example):
    assert read_mapping(complete(example).encode()).files


@pytest.mark.parametrize("page", PAGES)
def test_the_reference_names_every_outcome(page):
    text = (DOCS / page).read_text("utf-8")
    assert all(f"\n| `{then}` |" in text for then in Then)


ODD = st.sampled_from(
    ["1", "true", '"x"', "[]", "{}", "[1]", "{ a = 1 }", "1.5", "1979-05-27", '"{content}"', '""', '"}"']
)


@given(
    st.sampled_from([complete(example) for page, example in EXAMPLES if page == PAGES[0]]),
    st.lists(st.tuples(st.integers(0, 60), ODD), min_size=1, max_size=3),
)
@settings(max_examples=at_most(150), deadline=None)
def test_whatever_is_written_in_it_is_read_or_named_as_a_mistake(text, changes):
    lines = text.split("\n")
    for number, value in changes:
        at = number % len(lines)
        lines[at] = f"{lines[at].partition('=')[0]}= {value}" if "=" in lines[at] else lines[at].replace("[[", "[")
    found: Sequence[Mistake] = ()
    try:
        read_mapping("\n".join(lines).encode())
    except ConfigurationFault as fault:
        found = fault.mistakes
    assert all(str(each.wrong) and str(each.expected) for each in found)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"[",
        b"a = " + b"[" * 10_000,
        b"#" * (MOST_OCTETS + 1),
        (HEAD + '[[deliver]]\noperation = "x"\n' * (MOST_STEPS + 1)).encode(),
    ],
    ids=["octets", "broken", "deep", "long", "many steps"],
)
def test_a_mapping_is_bounded(content):
    with pytest.raises(ConfigurationFault):
        read_mapping(content)


def test_a_hash_in_capital_letters_is_one_as_windows_writes_it():
    assert read_mapping(f'[wsdl]\nfile = "a.wsdl"\nsha256 = {{ "a.wsdl" = "{"AB" * 32}" }}\n'.encode()).files == (
        "a.wsdl",
    )
