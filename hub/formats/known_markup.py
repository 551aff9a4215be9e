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

from collections.abc import Callable, Hashable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import attrs
from lxml import etree

from hub.formats import safe_xml, xml_cost

#: Maximum octets of a document that is known by its markup.
SMALL = 32 * 1024
#: Maximum octets of the tags and the fixed texts of one such document, and maximum tags. One is kept in at most 100 kB.
MOST_MARKUP, MOST_TAGS = 16 * 1024, 1000
#: Maximum markups that one memory keeps.
MOST = 256
#: Maximum keys of which it is remembered that they came once.
_MOST_SEEN = 4096

_START, _COMMENT, _INSTRUCTION, _END = b"/", b"!", b"?", b">"
#: The printable characters of ASCII that are the same in a document, in a tree and in a canonical form, without blank.
_LETTERS = bytes(letter for letter in range(0x21, 0x7F) if letter not in b"&<>")

Tags = tuple[bytes, ...]
Texts = tuple[bytes, ...]


class SplitDocument(NamedTuple):
    """A document as its tags, and the text after each of them. The first tag and the first text are empty."""

    tags: Tags
    texts: Texts

    def put(self, texts: Mapping[int, bytes]) -> "SplitDocument":
        """Return the document with other *texts*, by place."""
        return SplitDocument(self.tags, tuple(texts.get(at, text) for at, text in enumerate(self.texts)))

    def join(self) -> bytes:
        """Return the octets of the document."""
        return b"".join(b"<%b>%b" % part for part in zip(self.tags[1:], self.texts[1:], strict=True))


def split_document(content: bytes) -> SplitDocument | None:
    """Return the tags and texts of *content*. Return None if it is too long, or if the end of a tag is in doubt.

    The end of a tag is not in doubt if there is exactly one `>` between every two `<`. *content* need not be
    well-formed, and a comment looks like a tag.
    """
    if len(content) > SMALL:
        return None
    parts = xml_cost.split_tags(content)
    if parts is None or parts[0] or len(parts) > MOST_TAGS:
        return None
    tags, ends, texts = zip(*[part.partition(_END) for part in parts], strict=True)
    if ends.count(_END) != len(parts) - 1 or _END in b"".join(texts):
        return None
    return SplitDocument(tags, texts)


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
        if not at or tag[:1] in {_START, _INSTRUCTION}:
            continue
        ordinal += 1
        if tag[:1] == _COMMENT or ordinal >= len(elements):
            return None
        if tag.endswith(_START):
            found[elements[ordinal]] = None
        elif split.tags[at + 1][:1] == _START:
            found[elements[ordinal]] = at
    if ordinal != len(elements) - 1:
        return None
    for element, place in found.items():
        text = b"" if place is None else split.texts[place]
        if len(element) or (element.text or "").encode() != text:
            return None
    return found


@attrs.define(eq=False)
class MarkupMemory:
    """What is known about documents by their markup, or by any other key.

    Something is learned only when its key comes for the second time, because most documents of some senders differ in
    their tags, too, for instance in an id. Any thread may use it: at worst something is learned twice.
    """

    _most: int = MOST  #: maximum keys that are kept
    _known: dict[Hashable, Any] = attrs.field(factory=dict, init=False)
    _seen: set[int] = attrs.field(factory=set, init=False)

    def get(self, key: Hashable) -> Any:
        """Return what is known of *key*, or None."""
        return self._known.get(key)

    def is_due(self, key: Hashable, octets: int) -> bool:
        """Tell whether *key*, of so many *octets*, is to be learned now. Remember that it came."""
        if octets > MOST_MARKUP:
            return False
        number = hash(key)
        if number in self._seen:
            return True
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen.add(number)
        return False

    def keep(self, key: Hashable, known: Any) -> None:
        """Remember what is *known* of *key*. When there is no room, forget all others."""
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[key] = known

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
        self._seen.clear()
