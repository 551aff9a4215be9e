"""Knows a small XML document again by its markup: the same tags, with other texts between them.

Knows tags, and the places of texts between them. Does not know what an element means, or what a text may be.

The software of a sender writes the same tags in the same order again and again. Two well-formed documents with the same
tags are the same tree except for their texts: attributes, namespaces, depth and order are in the tags. So what was
found out about the one from its tags alone holds for the other, too. That includes every limit of `safe_xml` and the
canonical form around the texts, provided that no text contains `&`, `<`, `>` or a control character: then a text is
written in the document, in the tree and in the canonical form with the same letters. Whatever differs in a tag, even in
a blank, is another markup.

A reader that uses this must read all documents that it does not know, and those with texts that are in doubt, in the
usual way. The usual way alone decides what is refused, and why.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter

import attrs
from lxml import etree

from hub.formats import safe_xml
from hub.formats.markup_memory import SplitDocument, Texts

_END, _COMMENT, _INSTRUCTION = b"/", b"!", b"?"
#: The printable characters of ASCII that are the same in a document, in a tree and in a canonical form, without blank.
_LETTERS = bytes(letter for letter in range(0x21, 0x7F) if letter not in b"&<>")


def are_plain(texts: Sequence[bytes]) -> bool:
    """Tell whether *texts* consist of printable ASCII without `&`, `<`, `>` and blanks."""
    return not b"".join(texts).translate(None, _LETTERS)


@attrs.frozen(eq=False)
class VariedTexts:
    """The places of one markup at which documents may have different texts. All other texts are fixed."""

    places: tuple[int, ...]  #: ascending
    take_varied: Callable[[Texts], Texts]  #: returns the texts at `places`
    take_fixed: Callable[[Texts], Texts]  #: returns all other texts

    @classmethod
    def of(cls, places: Sequence[int], count: int) -> "VariedTexts":
        """Return these *places* of a document with *count* texts."""
        varied = tuple(sorted(places))
        return cls(varied, make_text_getter(varied), make_text_getter([at for at in range(count) if at not in varied]))


def make_text_getter(places: Sequence[int]) -> Callable[[Texts], Texts]:
    """Return the function that returns the texts at *places*."""
    if len(places) > 1:
        found: Callable[[Texts], Texts] = itemgetter(*places)
        return found
    return lambda texts: tuple(texts[at] for at in places)


def parse_evident(content: bytes) -> etree._Element | None:
    """Return the tree of *content* if its limits hold whatever its texts are. Return None otherwise."""
    return safe_xml.build_evident_tree(content, safe_xml.LIMITS)


def find_texts(root: etree._Element, split: SplitDocument) -> dict[etree._Element, int | None] | None:
    """Return the place of the text of each element under *root* that has no children, in document order.

    An element with children is left out. The place is None for an empty-element tag, which has no text. *root* is the
    tree of `parse_evident` of the document that *split* was made of. Returns None if the two do not agree.
    """
    elements, ordinal = list(root.iter()), -1
    found: dict[etree._Element, int | None] = {}
    for at, tag in enumerate(split.tags):
        if tag[:1] in {_END, _INSTRUCTION}:
            continue
        ordinal += 1
        if tag[:1] == _COMMENT or ordinal >= len(elements):
            return None
        if tag.endswith(_END):
            found[elements[ordinal]] = None
        elif split.tags[at + 1 : at + 2] and split.tags[at + 1][:1] == _END:
            found[elements[ordinal]] = at
    if ordinal != len(elements) - 1:
        return None
    for element, place in found.items():
        text = b"" if place is None else split.texts[place]
        if len(element) or (element.text or "").encode() != text:
            return None
    return found
