"""Parses large XML with its long base64 texts left out of the tree.

Knows octets. Does not know the meaning of elements.

One pass of the scan that every document passes (hub.formats.safe_xml) gives the octet positions of elements. If an
element is one of the requested names and its text is long and pure base64, lxml does not get the text. In its place the
tree holds a token. The token is random for each document and is made after the document arrived, so that no sender can
have written it. A reader that needs the text (a digest, a measurement) streams it through the token.

Texts in any other form stay in the tree, and so in memory: UTF-16, CDATA, text with a comment inside, and text with
character references other than that of a carriage return (`&#13;`, which Java and .NET write at line ends).
"""

import re
import secrets
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.formats import base64_content, safe_xml
from hub.formats.spool import SLICE, Drawer, Octets

#: A text of more octets is left out of the tree.
LONG = 1 << 16
#: A document of at most this many octets is parsed as it is.
WHOLE = 1 << 17

_LETTERS = bytes(sorted(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\n"))
_TAG = re.compile(rb"<[^\"'>]*(?:\"[^\"]*\"[^\"'>]*|'[^']*'[^\"'>]*)*>")
_LONGEST_TAG = 1 << 13  #: octets of a start tag that are searched for its end
_CARRIAGE_RETURN = re.compile(rb"&#(?:13|x[dD]);")
_TOKEN = re.compile(rb"~[0-9a-f]{32}~")
#: Minimum letters per line. If a text has shorter lines, not all of its line ends are kept in the skeleton.
_SHORTEST_LINE = 16


@attrs.frozen(eq=False)
class Load:
    """One long text: either as it is written, or as the octets that its base64 encodes."""

    octets: Octets
    carried: bool = False  #: *octets* are the decoded octets, and the text is their canonical base64

    def canonical(self) -> Iterator[bytes]:
        """Yield the text in its canonical form."""
        if self.carried:
            return (b2a_base64(piece, newline=False) for piece in self.octets.pieces(SLICE))
        return _canonical(self.octets.pieces())

    def letters(self) -> Iterator[str]:
        """Yield the text without carriage returns."""
        for piece in self.canonical():
            yield piece.replace(b"&#xD;", b"").decode("ascii")

    def __len__(self) -> int:
        """Return the number of octets that `canonical` yields. Only for a load that is `carried`."""
        assert self.carried
        return -(-len(self.octets) // 3) * 4


@attrs.frozen(eq=False)
class Loads:
    """The texts that were left out of one tree, by token.

    A token is unique: it also identifies its element in copies of the tree.
    """

    _drawer: Drawer | None = None
    _by_token: dict[str, Load] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._by_token)

    @property
    def size(self) -> int:
        """Return the number of octets that lie outside the tree."""
        return sum(len(load.octets) for load in self._by_token.values())

    def put(self, element: etree._Element, load: Load) -> None:
        """Make *load* the text of *element*."""
        element.text = self.token(load)

    def token(self, load: Load) -> str:
        """Return a new token that stands for *load*."""
        token = f"~{secrets.token_hex(16)}~"
        self._by_token[token] = load
        return token

    def get(self, element: etree._Element) -> Load | None:
        """Return the text of *element* if it was left out of the tree."""
        return self._by_token.get(element.text or "") if self._by_token and not len(element) else None

    def decoded(self, load: Load) -> Octets:
        """Return the octets that *load* encodes.

        Raises ValueError if it is not base64 as defined by `measure_base64`.
        """
        if load.carried:
            return load.octets
        assert self._drawer is not None
        return self._drawer.keep(base64_content.decode_base64_slices(load.letters()))

    def split(self, written: bytes) -> Iterator[bytes | Load]:
        """Yield *written*, a serialised part of the tree, split at its loads."""
        at = 0
        for found in _TOKEN.finditer(written) if self._by_token else ():
            load = self._by_token.get(found[0].decode())
            if load is not None:
                yield written[at : found.start()]
                yield load
                at = found.end()
        yield written[at:] if at else written

    def spread(self, canonical: bytes) -> Iterator[bytes]:
        """Yield *canonical*, the canonical form of a part of the tree, with each load in its place."""
        for piece in self.split(canonical):
            if isinstance(piece, Load):
                yield from piece.canonical()
            else:
                yield piece


#: The loads of a tree from which nothing was left out.
NONE = Loads()


def parse_streamed_xml(
    octets: Octets, names: frozenset[str], drawer: Drawer, limits: safe_xml.Limits = safe_xml.LIMITS
) -> tuple[etree._Element, Loads]:
    """Return the root of the document *octets*, and the long texts that were left out of its tree.

    These are the long texts of elements with one of the local *names*. Refuses what `parse_safe_xml` refuses, with the
    same texts. Line numbers are the same.
    """
    loads = Loads(drawer)
    if len(octets) > limits.size:
        raise Rejected(Problem("too-large", f"{len(octets)} > {limits.size}"))
    if len(octets) <= WHOLE:
        return safe_xml.parse_safe_xml(octets.read(), limits=limits), loads
    safe_xml.refuse_unmarked(octets.cut(0, min(2, len(octets))).read())
    spans: list[tuple[int, int, int]] = []
    parser = safe_xml.make_scanner(limits)
    _watch(parser, names, lambda *span: spans.append(span))
    safe_xml.feed_scanner(parser, octets.pieces(), limits)
    cuts = list(_cuts(octets, spans))
    root = safe_xml.build_scanned_tree(b"".join(_skeleton(octets, cuts)))
    _place(root, octets, cuts, loads)
    return root, loads


@attrs.frozen
class _Cut:
    ordinal: int  #: position of the element in document order
    start: int
    end: int
    lines: int  #: line ends between start and end


def _watch(parser: Any, names: frozenset[str], found: Callable[[int, int, int], None]) -> None:
    """Call *found* for each long element that contains only text.

    The arguments are its ordinal and the positions of its start tag and its end tag in octets.
    """
    started, ended = parser.StartElementHandler, parser.EndElementHandler
    commented, sectioned = parser.CommentHandler, parser.StartCdataSectionHandler
    ordinal, opened = -1, -1

    def start(name: str, attributes: list[str]) -> None:
        nonlocal ordinal, opened
        started(name, attributes)
        ordinal += 1
        opened = parser.CurrentByteIndex if name.rpartition(":")[2] in names else -1

    def end(name: str) -> None:
        nonlocal opened
        ended(name)
        if opened >= 0 and parser.CurrentByteIndex - opened > LONG:
            found(ordinal, opened, parser.CurrentByteIndex)
        opened = -1

    def comment(text: str) -> None:
        nonlocal opened
        commented(text)
        opened = -1

    def section() -> None:
        nonlocal opened
        sectioned()
        opened = -1

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CommentHandler = comment
    parser.StartCdataSectionHandler = section


def _cuts(octets: Octets, spans: Iterable[tuple[int, int, int]]) -> Iterator[_Cut]:
    """Yield the texts to leave out. Nothing is left out of a document in UTF-16, whose octets may look like base64."""
    head = octets.cut(0, 4).read()
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in head:
        return
    for ordinal, opened, end in spans:
        tag = _TAG.match(octets.cut(opened, min(opened + _LONGEST_TAG, end)).read())
        start = opened + tag.end() if tag else end
        if end - start > LONG:
            lines = _lines(octets.cut(start, end))
            if lines >= 0:
                yield _Cut(ordinal, start, end, lines)


def _lines(text: Octets) -> int:
    """Return the number of line ends in *text*; -1 if it contains anything but base64 characters and white space."""
    count = 0
    for piece in _canonical(text.pieces()):
        if piece.replace(b"&#xD;", b"").translate(None, _LETTERS):
            return -1
        count += piece.count(b"\n")
    return count


def _canonical(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield UTF-8 text in canonical form.

    Each line end becomes a line feed, and each reference to a carriage return becomes `&#xD;`. No reference and no line
    end is split between two pieces.
    """
    rest = b""
    for piece in pieces:
        text = rest + piece
        at = text.rfind(b"&", -5)
        if at < 0 or b";" in text[at:]:
            at = len(text) - text.endswith(b"\r")
        text, rest = text[:at], text[at:]
        yield _normal(text)
    if rest:
        yield _normal(rest)


def _normal(text: bytes) -> bytes:
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return _CARRIAGE_RETURN.sub(b"&#xD;", text) if b"&" in text else text


def _skeleton(octets: Octets, cuts: Iterable[_Cut]) -> Iterator[bytes]:
    """Yield the document without its cuts. The line ends of the cuts stay, so that line numbers do not change."""
    at = 0
    for cut in cuts:
        yield octets.cut(at, cut.start).read()
        yield b"\n" * min(cut.lines, (cut.end - cut.start) // _SHORTEST_LINE)
        at = cut.end
    yield octets.cut(at, len(octets)).read()


def _place(root: etree._Element, octets: Octets, cuts: Iterable[_Cut], loads: Loads) -> None:
    """Put each cut's token into the element it was cut from, found by its ordinal."""
    waiting = iter(cuts)
    cut = next(waiting, None)
    for ordinal, element in enumerate(root.iter("*")):
        if cut is None:
            return
        if ordinal == cut.ordinal:
            assert not len(element)
            loads.put(element, Load(octets.cut(cut.start, cut.end)))
            cut = next(waiting, None)
    assert cut is None, "expat and lxml count elements alike"
