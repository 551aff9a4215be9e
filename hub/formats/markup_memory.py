"""Splits a small XML document at its tags, and remembers what was found out about tags that come again.

Knows octets only: no tree, and no meaning of a tag. `hub.formats.known_markup` says what may be concluded from tags.
"""

import threading
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import attrs

#: Maximum octets of a document that is known by its markup: a call with a packet of 64 KB, and twice that. Only its
#: texts are long.
SMALL = 256 * 1024
#: Maximum octets of a document that is split at all brackets at once. In a longer one a long text is skipped.
_SHORT = 16 * 1024
#: Maximum octets of the tags and the fixed texts of one such document, and maximum tags. One is kept in at most 100 kB.
MOST_MARKUP, MOST_TAGS = 16 * 1024, 1000
#: Maximum markups that one memory keeps.
MOST = 256
#: Maximum keys of which it is remembered that they came once.
_MOST_SEEN = 4096

_NO_BRACKETS = bytes(octet for octet in range(256) if octet not in b"<>")

Tags = tuple[bytes, ...]
Texts = tuple[bytes, ...]


class SplitDocument(NamedTuple):
    """A document as its tags, without their brackets, and the text after each of them."""

    tags: Tags
    texts: Texts

    def put(self, texts: Mapping[int, bytes]) -> "SplitDocument":
        """Return the document with other *texts*, by place."""
        return SplitDocument(self.tags, tuple(texts.get(at, text) for at, text in enumerate(self.texts)))

    def join(self) -> bytes:
        """Return the octets of the document."""
        return b"".join(b"<%b>%b" % part for part in zip(self.tags, self.texts, strict=True))


class _LastSplit(threading.local):
    """The document that one thread has split last: its cost is estimated just before it is read."""

    content = b""
    found: SplitDocument | None = None


_SPLIT_LAST = _LastSplit()


def split_document(content: bytes) -> SplitDocument | None:
    """Return the tags and texts of *content*. Return None if it is too long, or if the end of a tag is in doubt.

    The end of a tag is not in doubt if there is exactly one `>` between every two `<`. *content* need not be
    well-formed, and a comment looks like a tag.
    """
    if content is not _SPLIT_LAST.content:
        _SPLIT_LAST.found = _split_document(content) if len(content) <= SMALL else None
        _SPLIT_LAST.content = content
    return _SPLIT_LAST.found


def _split_document(content: bytes) -> SplitDocument | None:
    if len(content) > _SHORT:
        return _split_long(content)
    brackets = content.translate(None, _NO_BRACKETS)
    count = len(brackets) // 2
    if count > MOST_TAGS or brackets != b"<>" * count or content[:1] != b"<":
        return None
    parts = content.replace(b">", b"<").split(b"<")
    return SplitDocument(tuple(parts[1::2]), tuple(parts[2::2]))


def _split_long(content: bytes) -> SplitDocument | None:
    tags: list[bytes] = []
    texts: list[bytes] = []
    start = 0 if content[:1] == b"<" else -1
    while start >= 0:
        end = content.find(b">", start)
        after = content.find(b"<", end)
        tag, text = content[start + 1 : end], content[end + 1 : after if after >= 0 else len(content)]
        if end < 0 or b"<" in tag or b">" in text or len(tags) == MOST_TAGS:
            return None
        tags.append(tag)
        texts.append(text)
        start = after
    return SplitDocument(tuple(tags), tuple(texts)) if tags else None


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
