"""Large XML made slim: its long base64 texts stay where they lie, and a tree is built of the rest.  Knows bytes; no element's meaning.

One pass of the same streaming scan that every document passes (hub.formats.safe_xml) tells where elements begin and end, in octets.  The
text of an element that is asked for, if it is long and nothing but base64, is left out of what lxml parses; in its place stands
a token, random for each document and made after the document came, so that no sender can have written one.  Whoever needs
the text (a digest, a measure) streams it through the place of its token.

Left in the tree, and so in memory, is what is written in any other way: in UTF-16, in CDATA, with a comment inside, with
character references other than that of a carriage return (`&#13;`, which Java and .NET write at the ends of lines).
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

#: A text that is longer is taken out, in octets.
LONG = 1 << 16
#: A document that is not longer is parsed as it is.
WHOLE = 1 << 17

_LETTERS = bytes(sorted(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\n"))
_TAG = re.compile(rb"<[^\"'>]*(?:\"[^\"]*\"[^\"'>]*|'[^']*'[^\"'>]*)*>")
_LONGEST_TAG = 1 << 13  #: octets of a start tag that is looked through
_CARRIAGE_RETURN = re.compile(rb"&#(?:13|x[dD]);")
_TOKEN = re.compile(rb"~[0-9a-f]{32}~")
#: So many letters to a line at least; the lines of a text with less are not all counted.
_SHORTEST_LINE = 16


@attrs.frozen(eq=False)
class Load:
    """One long text: as it is written, or as the octets that its base64 stands for."""

    octets: Octets
    carried: bool = False  #: *octets* are what the text stands for, and it is their canonical base64

    def canonical(self) -> Iterator[bytes]:
        """Yield the text as a canonical form has it."""
        if self.carried:
            return (b2a_base64(piece, newline=False) for piece in self.octets.pieces(SLICE))
        return _canonical(self.octets.pieces())

    def letters(self) -> Iterator[str]:
        """Yield the text, carriage returns left out."""
        for piece in self.canonical():
            yield piece.replace(b"&#xD;", b"").decode("ascii")

    def __len__(self) -> int:
        """Return how many octets `canonical` yields, of one that is carried."""
        assert self.carried
        return -(-len(self.octets) // 3) * 4


@attrs.frozen(eq=False)
class Loads:
    """The texts that were taken out of one tree, by their tokens.  A token is unique: it names its element in copies of the tree too."""

    _drawer: Drawer | None = None
    _by_token: dict[str, Load] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._by_token)

    @property
    def size(self) -> int:
        """Return how many octets lie outside of the tree."""
        return sum(len(load.octets) for load in self._by_token.values())

    def put(self, element: etree._Element, load: Load) -> None:
        """Let *load* be the text of *element*."""
        element.text = self.token(load)

    def token(self, load: Load) -> str:
        """Return a new token that stands for *load*."""
        token = f"~{secrets.token_hex(16)}~"
        self._by_token[token] = load
        return token

    def get(self, element: etree._Element) -> Load | None:
        """Return the text of *element*, if it was taken out."""
        return self._by_token.get(element.text or "") if self._by_token and not len(element) else None

    def decoded(self, load: Load) -> Octets:
        """Return what *load* stands for.  Raises ValueError when it is no base64 as `measure_base64` has it."""
        if load.carried:
            return load.octets
        assert self._drawer is not None
        return self._drawer.keep(base64_content.decode_base64_slices(load.letters()))

    def split(self, written: bytes) -> Iterator[bytes | Load]:
        """Yield *written*, a part of the tree in whatever form, cut where its loads are."""
        at = 0
        for found in _TOKEN.finditer(written) if self._by_token else ():
            load = self._by_token.get(found[0].decode())
            if load is not None:
                yield written[at : found.start()]
                yield load
                at = found.end()
        yield written[at:] if at else written

    def spread(self, canonical: bytes) -> Iterator[bytes]:
        """Yield *canonical*, a canonical form of a part of the tree, with each load in its place."""
        for piece in self.split(canonical):
            if isinstance(piece, Load):
                yield from piece.canonical()
            else:
                yield piece


#: Of a tree from which nothing was taken.
NONE = Loads()


def parse_streamed_xml(
    octets: Octets, names: frozenset[str], drawer: Drawer, limits: safe_xml.Limits = safe_xml.LIMITS
) -> tuple[etree._Element, Loads]:
    """Return the root of the document *octets* and what was taken out of its tree: long texts of elements of these local *names*.

    Refused is what `parse_safe_xml` refuses, with the same words; lines are counted as there.
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
    ordinal: int  #: of the element, in document order
    start: int
    end: int
    lines: int  #: line ends in between


def _watch(parser: Any, names: frozenset[str], found: Callable[[int, int, int], None]) -> None:
    """Tell *found* the ordinal, the octet of the start tag and that of the end tag of each long element that holds nothing but text."""
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
    """Yield what may be cut out: nothing of a document in UTF-16, whose octets may look like letters."""
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
    """Return how many line ends are in *text*; -1 when there is anything in it but letters of base64 and white space."""
    count = 0
    for piece in _canonical(text.pieces()):
        if piece.replace(b"&#xD;", b"").translate(None, _LETTERS):
            return -1
        count += piece.count(b"\n")
    return count


def _canonical(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield text in UTF-8 as a canonical form has it: each line end a line feed, each reference to a carriage return `&#xD;`.

    No reference and no line end is cut in two.
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
    """Yield the document without its cuts; their line ends stay, so that lines are counted as they were."""
    at = 0
    for cut in cuts:
        yield octets.cut(at, cut.start).read()
        yield b"\n" * min(cut.lines, (cut.end - cut.start) // _SHORTEST_LINE)
        at = cut.end
    yield octets.cut(at, len(octets)).read()


def _place(root: etree._Element, octets: Octets, cuts: Iterable[_Cut], loads: Loads) -> None:
    """Put each cut's token into the element it was cut from, found by its number."""
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
