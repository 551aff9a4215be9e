"""Parses large XML with its long base64 texts left out of the tree.

Knows octets. Does not know the meaning of elements.

The octets between a `>` and the next `<` are left out before anything is parsed, if there are many of them and they are
base64. They are decoded to find that out, so what becomes of the decoded octets is decided then. No markup contains or spans such octets, so what is left has the same structure, and
the scan that every document passes (hub.formats.safe_xml) and lxml read only that. In their place stands a token. The
token is random for each text and is made after the document arrived, so that no sender can have written it. A reader
that needs the text (a digest, a measurement) streams it through the token.

Only the whole text of an element with one of the requested names is left out. Where a token turns up anywhere else,
such as in a comment, in CDATA or in another element, the document is parsed again with that text in it. A document that
is refused without its texts is scanned as a whole, so that the scan alone words every refusal. Texts in any other form
stay in the tree, and so in memory: UTF-16, and text with character references other than that of a carriage return
(`&#13;`, which Java and .NET write at line ends).
"""

import re
import secrets
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.formats import base64_content, safe_xml
from hub.formats.long_texts import find_long_texts
from hub.formats.spool import SLICE, Drawer, Octets

#: A text of more octets is left out of the tree.
LONG = 1 << 14
#: A document of at most this many octets is parsed as it is.
WHOLE = 1 << 15

_TOKEN = re.compile(rb"~[0-9a-f]{32}~")
#: Minimum letters per line. If a text has shorter lines, not all of its line ends are kept in the skeleton.
_SHORTEST_LINE = 16


@attrs.frozen(eq=False)
class Load:
    """One long text: either as it is written, or as the octets that its base64 encodes."""

    octets: Octets
    carried: bool = False  #: *octets* are the decoded octets, and the text is their canonical base64
    taken: object = None  #: what became of the decoded octets when the text was found

    def canonical(self) -> Iterator[bytes]:
        """Yield the text in its canonical form."""
        if self.carried:
            return (b2a_base64(piece, newline=False) for piece in self.octets.pieces(SLICE))
        return _canonicalise_text(self.octets.pieces())

    def letters(self) -> Iterator[bytes]:
        """Yield the text without carriage returns."""
        return _drop_returns(self.canonical())

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
        token = _make_token()
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
        if isinstance(load.taken, Octets):
            return load.taken
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


def _make_token() -> str:
    return f"~{secrets.token_hex(16)}~"


@attrs.frozen
class _Cut:
    """A text that is left out: its octets, its line ends, what was taken from it, and the token in its place."""

    start: int
    end: int
    lines: int
    taken: object
    token: str = attrs.field(factory=_make_token)

    @property
    def placeholder(self) -> str:
        """Return what stands in place of the text: the token, and line ends, so that line numbers do not change."""
        return self.token + "\n" * min(self.lines, (self.end - self.start) // _SHORTEST_LINE)


#: Takes the octets that a long text encodes, slice by slice. What it returns becomes `Load.taken`.
Take = Callable[[Iterator[bytes]], object]


def parse_streamed_xml(
    octets: Octets,
    names: frozenset[str],
    drawer: Drawer,
    limits: safe_xml.Limits = safe_xml.LIMITS,
    take: Take | None = None,
) -> tuple[etree._Element, Loads]:
    """Return the root of the document *octets*, and the long texts that were left out of its tree.

    These are the long texts of elements with one of the local *names*, if they are base64. *take* is called for each,
    and must take all of it; by default its octets are kept in *drawer*. Refuses what `parse_safe_xml` refuses, with the
    same texts. Line numbers are the same. Raises Unready if the disk is full.
    """
    if len(octets) > limits.size:
        raise Rejected(Problem("too-large", f"{len(octets)} > {limits.size}"))
    if len(octets) <= WHOLE:
        return safe_xml.parse_safe_xml(octets.read(), limits=limits), Loads(drawer)
    safe_xml.refuse_unmarked(octets.cut(0, min(2, len(octets))).read())
    loads, cuts = Loads(drawer), list(_find_cuts(octets, take or drawer.keep))
    while cuts:
        try:
            root = safe_xml.parse_safe_xml(b"".join(_write_skeleton(octets, cuts)), limits=limits)
        except Rejected:
            break  # refused as a whole too, and that decides in which words
        placed = _place_cuts(root, names, cuts)
        if len(placed) == len(cuts):
            for element, cut in placed:
                loads.put(element, Load(octets.cut(cut.start, cut.end), taken=cut.taken))
            return root, loads
        cuts = [cut for _, cut in placed]
    safe_xml.feed_scanner(safe_xml.make_scanner(limits), octets.pieces(), limits)
    return safe_xml.build_scanned_tree(octets.read()), loads


def _find_cuts(octets: Octets, take: Take) -> Iterator[_Cut]:
    """Yield the texts that may be left out. None of a document in UTF-16, whose octets may look like base64."""
    head = octets.cut(0, min(4, len(octets))).read()
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in head:
        return
    for start, end in find_long_texts(octets, LONG):
        lines: list[int] = []
        text = _count_lines(_canonicalise_text(octets.cut(start, end).pieces()), lines)
        try:
            taken = take(base64_content.decode_base64_slices(_drop_returns(text)))
        except ValueError:
            continue
        yield _Cut(start, end, sum(lines), taken)


def _count_lines(pieces: Iterable[bytes], lines: list[int]) -> Iterator[bytes]:
    """Yield *pieces*, and append the line ends of each to *lines*."""
    for piece in pieces:
        if b"\n" in piece:
            lines.append(piece.count(b"\n"))
        yield piece


def _drop_returns(canonical: Iterable[bytes]) -> Iterator[bytes]:
    """Yield *canonical* text without carriage returns."""
    for piece in canonical:
        yield piece.replace(b"&#xD;", b"") if b"&" in piece else piece


def _canonicalise_text(pieces: Iterable[bytes]) -> Iterator[bytes]:
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
        yield _normalise_references(text)
    if rest:
        yield _normalise_references(rest)


def _normalise_references(text: bytes) -> bytes:
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text.replace(b"&#13;", b"&#xD;").replace(b"&#xd;", b"&#xD;") if b"&" in text else text


def _write_skeleton(octets: Octets, cuts: Iterable[_Cut]) -> Iterator[bytes]:
    """Yield the document with a placeholder for each of *cuts*."""
    at = 0
    for cut in cuts:
        yield octets.cut(at, cut.start).read()
        yield cut.placeholder.encode()
        at = cut.end
    yield octets.cut(at, len(octets)).read()


def _place_cuts(root: etree._Element, names: frozenset[str], cuts: Sequence[_Cut]) -> list[tuple[etree._Element, _Cut]]:
    """Return those of *cuts* that are the whole text of an element with one of *names*, with these elements."""
    by_text = {cut.placeholder: cut for cut in cuts}
    found = []
    for element in root.iter(*(f"{{*}}{name}" for name in names)):
        cut = by_text.get(element.text or "")
        if cut is not None and not len(element):
            found.append((element, cut))
    return found
