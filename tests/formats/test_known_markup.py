"""Documents with the same tags are the same tree but for their texts, and nothing else passes for one of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.formats import known_markup, markup_memory, safe_xml
from hub.formats.known_markup import VariedTexts
from hub.formats.markup_memory import MarkupMemory, SplitDocument

WITH_ALL = b"""<?xml version='1.0' encoding='UTF-8'?>
<a xmlns="urn:a" xmlns:b="urn:b" x='"'><b:c Id="1">text</b:c>
  <d/><e></e><d  y="&lt;"/><b:f><g>x</g> </b:f></a>
"""
#: All that cannot stand for itself in a text, and what looks like it.
LETTERS = st.text(st.sampled_from("aZ0+/=-.:,'\"!?/ \t\n\r&<>;[]\x00\x7f\x85\xa0éễ\u2028\ufffe😀"), max_size=6)


def split(content: bytes) -> SplitDocument:
    found = markup_memory.split_document(content)
    assert found is not None
    return found


def test_a_document_is_put_together_again():
    assert split(WITH_ALL).join() == WITH_ALL


def test_each_leaf_is_found_with_its_text():
    root = known_markup.parse_evident(WITH_ALL)
    assert root is not None
    found = known_markup.find_texts(root, split(WITH_ALL))
    texts = split(WITH_ALL).texts
    assert found is not None
    assert [(etree.QName(each).localname, None if at is None else texts[at]) for each, at in found.items()] == [
        ("c", b"text"),
        ("d", None),
        ("e", b""),
        ("d", None),
        ("g", b"x"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b" <a/>",
        b"<a x='>'/>",
        b"<a>></a>",
        b"<a",
        b"<a><b</a>>",
        b"<a<b>></a>",
        b"<a>" + b"<b></b>" * markup_memory.MOST_TAGS + b"</a>",
        b"<a>" + b" " * markup_memory.SMALL + b"</a>",
    ],
)
def test_where_the_end_of_a_tag_is_in_doubt_nothing_is_split(content):
    assert markup_memory.split_document(content) is None


@given(st.text(alphabet="<>a/ ", max_size=30))
def test_a_long_document_is_split_like_a_short_one(text):
    content = text.encode()
    with pytest.MonkeyPatch.context() as patch:
        short = markup_memory._split_document(content)
        patch.setattr(markup_memory, "_SHORT", 0)
        assert markup_memory._split_document(content) == short


@pytest.mark.parametrize(
    "content", [b"<a><!-- c --></a>", b"<a><![CDATA[c]]></a>", b"<a><?x y?></a>", b"<!DOCTYPE a><a/>"]
)
def test_only_elements_are_known(content):
    """They are split, because a comment looks like a tag, but no tree is made of them."""
    assert markup_memory.split_document(content) is not None
    assert known_markup.parse_evident(content) is None


@given(st.lists(LETTERS, min_size=9, max_size=9))
def test_plain_texts_change_nothing_else(texts):
    """The proof of the module: tree and canonical form are those of the known document, with these texts."""
    known = split(WITH_ALL)
    root = known_markup.parse_evident(WITH_ALL)
    assert root is not None
    places = known_markup.find_texts(root, known)
    assert places is not None
    varied = [place for place in places.values() if place is not None]
    octets = [text.encode("utf-8") for text, _ in zip(texts, varied, strict=False)]
    other = known.put(dict(zip(varied, octets, strict=True))).join()
    again = markup_memory.split_document(other)
    if not known_markup.are_plain(octets):
        return
    assert again is not None
    assert again.tags == known.tags
    read = safe_xml.parse_safe_xml(other)
    for element, place in places.items():
        if place is not None:
            element.text = octets[varied.index(place)].decode()
    for exclusive in (True, False):
        assert etree.tostring(read, method="c14n", exclusive=exclusive) == etree.tostring(
            root, method="c14n", exclusive=exclusive
        )


@given(LETTERS)
def test_what_is_not_plain_is_seen(text):
    plain = all(" " < letter < "\x7f" and letter not in "&<>" for letter in text)
    assert known_markup.are_plain([b"x", text.encode()]) == plain


def test_texts_are_taken_by_their_places():
    texts = (b"0", b"1", b"2", b"3")
    for places, varied, fixed in [
        ([], (), texts),
        ([2], (b"2",), (b"0", b"1", b"3")),
        ([3, 0, 1], (b"0", b"1", b"3"), (b"2",)),
    ]:
        found = VariedTexts.of(places, 4)
        assert (found.take_varied(texts), found.take_fixed(texts)) == (varied, fixed)


def test_something_is_learned_when_it_comes_again():
    memory = MarkupMemory()
    assert [memory.is_due("a", 1), memory.is_due("b", 1), memory.is_due("a", 1)] == [False, False, True]
    assert not memory.is_due("long", markup_memory.MOST_MARKUP + 1)
    assert not memory.is_due("long", markup_memory.MOST_MARKUP + 1)


def test_a_memory_is_bounded():
    memory = MarkupMemory(3)
    for number in range(10_000):
        memory.is_due(number, 1)
        memory.keep(number, number)
        assert memory.get(number) == number
        assert len(memory._known) <= 3
        assert len(memory._seen) <= 4096
