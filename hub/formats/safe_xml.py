"""Reading XML that a stranger wrote.  Knows what may reach the tree parser; knows no element by name but those that must be plain.

Two passes (security.md 1.4).  A streaming expat scan, which builds nothing and never sees text, refuses every DOCTYPE, processing
instructions, encodings other than UTF-8 and UTF-16, and bounds depth, attributes, nodes and names.  Then lxml, whose tree is the
only one anyone reads.  Comments are dropped there, so that no text is cut in two by one: what is read is what a canonical form
without comments says.  The size of a text is bounded by the size of the whole alone: an attachment is one text of many megabytes.

The scan costs at most 0.25 µs of CPU for each octet, where all are empty elements or comments; a tree as much again.
"""

import ctypes
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn
from xml.parsers import expat

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Problem

ENCODINGS = frozenset({"UTF-8", "UTF-16"})
_OPENING = "<!"  #: of a comment or a CDATA section: where there is no DOCTYPE, nothing else begins so
_MARKED = {b"\xff\xfe": "UTF-16-LE", b"\xfe\xff": "UTF-16-BE"}
_UNMARKED = (b"<\0", b"\0<")  #: how UTF-16 begins without the mark that XML 1.0, 4.3.3 demands
#: A canonical form compares the namespaces in scope with one another at each element, 4 ns for a pair (measured).  Besides `Limits.spaces`
#: so many pairs may be compared for each octet read so far: 30 namespaces around elements of 10 octets, more than any toolkit writes.
_SPACES_PER_OCTET = 100
_SPACE = "xmlns "  #: stands before a namespace among the names; no name holds a space
KEPT = 8 * 1024 * 1024  #: letters of names that one thread keeps at most
SLICE = 1 << 18  #: octets scanned in one go, about 0.3 ms: other threads run in between


@attrs.frozen
class Limits:
    """What a document may be at most."""

    size: int = (
        512 * 1024 * 1024
    )  #: octets of the whole; who reads from the network has bounded it before, by `body-limit`
    depth: int = 64  #: elements inside each other
    attributes: int = 64  #: of one element, namespace declarations included
    nodes: int = (
        400_000  #: elements, attributes, comments and CDATA sections together; lxml needs about 100 octets for each
    )
    header: int = (
        10_000  #: nodes of a SOAP Header: nobody reads it whole, and signatures and assertions have some hundred
    )
    name: int = 256  #: characters of a name with its prefix; six less of a namespace
    names: int = 2_000  #: different names, and as many namespaces; a thread's parser keeps every one it has ever seen
    spaces: int = 20_000_000  #: squares of the namespaces declared in scope, summed over the elements; large documents may have more
    plain: frozenset[str] = frozenset(
        {"Security", "Body"}
    )  #: local names of elements that may hold no comment and no CDATA section


LIMITS = Limits()
_thread_state = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThreadState_GetDict", ctypes.pythonapi))


class _Read(threading.local):
    """What one thread has read since it forgot all names."""

    letters = 0


_READ = _Read()


def parse_safe_xml(content: bytes, *, limits: Limits = LIMITS) -> etree._Element:
    """Return the root of *content*, without comments.

    Raises Rejected: `too-large`, `doctype-refused`, `too-deep` (depth, attributes, nodes, names), `signature-invalid` (a comment
    or CDATA section where none may be), `not-well-formed`; the detail begins with the line and column, both counted from 1.
    """
    if len(content) > limits.size:
        raise Rejected(Problem("too-large", f"{len(content)} > {limits.size}"))
    scan_xml(content, limits)
    return build_scanned_tree(content)


def build_scanned_tree(content: bytes) -> etree._Element:
    """Return the root of *content*, which has been scanned.  Raises Rejected: `not-well-formed`."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, remove_comments=True, collect_ids=False
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:  # what expat lets pass: undeclared prefixes, mostly
        line, column = error.position
        wrong = error.msg.partition(", line ")[0].strip()
        raise Rejected(Problem("not-well-formed", f"line {line}, column {column}: {wrong}")) from None
    # lxml asks what libxml2 said last, and lets a mistake with namespaces pass if a mere warning follows it.
    for told in parser.error_log.filter_from_errors():
        raise Rejected(Problem("not-well-formed", f"line {told.line}, column {told.column}: {told.message}"))
    if (
        root.getroottree().docinfo.internalDTD is not None
    ):  # the scan has refused it; never reached unless the two parsers disagree
        raise Rejected(Problem("doctype-refused"))
    return root


def scan_xml(content: bytes, limits: Limits = LIMITS) -> None:
    """Raise Rejected, as `parse_safe_xml` does, unless *content* may reach the tree parser.  Ignores namespaces."""
    refuse_unmarked(content[:2])
    if len(content) > SLICE:
        view = memoryview(content)
        feed_scanner(make_scanner(limits), (view[at : at + SLICE] for at in range(0, len(view), SLICE)), limits)
    else:
        feed_scanner(make_scanner(limits), (content,), limits)


def refuse_unmarked(head: bytes) -> None:
    """Raise Rejected for a document that begins with *head*, two octets of UTF-16 that no mark announces."""
    if head in _UNMARKED:
        raise Rejected(Problem("not-well-formed", "line 1, column 1: UTF-16 without its mark"))


def make_scanner(limits: Limits = LIMITS) -> expat.XMLParserType:
    """Return a parser that refuses, for `feed_scanner`."""
    parser = expat.ParserCreate()
    _bound(parser, limits)
    _forbid(parser)
    return parser


def feed_scanner(parser: expat.XMLParserType, pieces: Iterable[bytes | memoryview], limits: Limits = LIMITS) -> None:
    """Put a whole document through *parser*, piece by piece.  Raises Rejected as `scan_xml`."""
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        detail = f"line {error.lineno}, column {error.offset + 1}: {expat.errors.messages[error.code]}"
        raise Rejected(Problem("not-well-formed", detail)) from None
    names = parser.intern
    spaces = sum(name.startswith(_SPACE) for name in names)
    if max(spaces, len(names) - spaces) > limits.names:
        raise Rejected(Problem("too-deep", f"more than {limits.names} different names"))
    if odd := next((name for name in names if not name.startswith(_SPACE) and not _begins(name)), None):
        raise Rejected(
            Problem("not-well-formed", f"a name whose part after the colon begins with no letter: {odd[:40]}")
        )
    if longest := next((name for name in names if len(name) > limits.name), None):
        raise Rejected(Problem("too-deep", f"a name of {len(longest)} characters: {longest[:40]}…"))
    _keep(sum(map(len, names)))


def _keep(letters: int) -> None:
    """Count the letters of a document's names, and let lxml begin a new dictionary before there are too many.

    It has one for each thread, in the thread's own state, that no call empties: whoever always writes new names would fill the
    memory for good.  The trees that were built with the old one hold it, and it ends with the last of them.
    """
    _READ.letters += letters
    if _READ.letters > KEPT:
        _READ.letters = letters
        ctypes.cast(_thread_state(), ctypes.py_object).value.pop("_ParserDictionaryContext", None)


def _begins(name: str) -> bool:
    """Whether the part of *name* after the colon begins as a name must.

    expat, which is not told of namespaces, has looked at the whole name only, and libxml2 lets begin what by the fourth edition of
    XML 1.0 is no letter: half of the world's parsers would refuse it.  So expat is asked about that part alone.
    """
    first = name.partition(":")[2][:1]
    if first.isascii():
        return True
    try:
        expat.ParserCreate().Parse(f"<{first}/>", True)
    except expat.ExpatError:
        return False
    return True


def _refuse(parser: expat.XMLParserType, code: str, detail: str) -> NoReturn:
    line, column = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
    raise Rejected(Problem(code, f"line {line}, column {column}: {detail}"))


def _refuse_many(parser: expat.XMLParserType, nodes: int, limits: Limits) -> NoReturn:
    most, where = (limits.nodes, "") if nodes > limits.nodes else (limits.header, " in the Header")
    _refuse(parser, "too-deep", f"more than {most} elements and attributes{where}")


def _bound(parser: expat.XMLParserType, limits: Limits) -> None:  # noqa: C901 - one pass looks at everything
    """Count what opens and closes.

    An inclusive canonical form compares every namespace in scope with every other, at every element (libxml2), and so does a copy.
    """
    open_names: list[str] = []
    require_room = _plainness(parser, limits.plain, open_names)
    declaring = [(0, 0)]  # how deep, and how many namespaces are declared there; what has closed goes at the next start
    nodes = scope = spaces = 0
    most_depth, most_attributes, most_nodes = limits.depth, 2 * limits.attributes, limits.nodes
    most_spaces, most_here = limits.spaces, most_nodes

    def start(name: str, attributes: list[str]) -> None:
        nonlocal nodes, scope, spaces, most_spaces, most_here
        while declaring[-1][0] > len(open_names):
            scope -= declaring.pop()[1]
        if len(open_names) == 1:  # a child of the root begins: a Header has a bound of its own
            most_here = _most_within(name, nodes, limits)
        open_names.append(name)
        nodes += 1
        if attributes:
            nodes += len(attributes) >> 1
            if len(attributes) > most_attributes:
                _refuse(parser, "too-deep", f"more than {limits.attributes} attributes")
            if declared := _declared(attributes):
                declaring.append((len(open_names), len(declared)))
                scope += len(declared)
                parser.intern.update(dict.fromkeys(declared, ""))
        spaces += scope * scope
        if spaces > most_spaces:
            most_spaces = limits.spaces + _SPACES_PER_OCTET * parser.CurrentByteIndex
            if spaces > most_spaces:
                _refuse(parser, "too-deep", f"{scope} namespaces declared around too many elements")
        if len(open_names) > most_depth:
            _refuse(parser, "too-deep", f"more than {most_depth} elements inside each other")
        if nodes > most_here:
            _refuse_many(parser, nodes, limits)

    def remark(what: str) -> None:
        nonlocal nodes
        nodes += 1
        if nodes > most_here:
            _refuse_many(parser, nodes, limits)
        require_room(what)

    parser.ordered_attributes = True  # a flat list: half the price of a mapping
    parser.StartElementHandler = start
    parser.EndElementHandler = open_names.remove  # which of two equal names goes makes no difference
    parser.CommentHandler = lambda _text: remark("comment")
    parser.StartCdataSectionHandler = lambda: remark("CDATA section")


def _most_within(name: str, nodes: int, limits: Limits) -> int:
    """Return how many nodes there may be until a child *name* of the root ends, when there are so many *nodes* before it."""
    return min(limits.nodes, nodes + 1 + limits.header) if name.rpartition(":")[2] == "Header" else limits.nodes


def _plainness(
    parser: expat.XMLParserType, locals_: frozenset[str], open_names: Sequence[str]
) -> Callable[[str], None]:
    """Return what refuses a comment or CDATA section inside an element with one of these local names.

    Each name is looked at once, however many comments there are.
    """
    seen: set[str] = set()
    plain: set[str] = set()

    def require_room(what: str) -> None:
        if fresh := set(open_names) - seen:
            seen.update(fresh)
            plain.update(name for name in fresh if name.rpartition(":")[2] in locals_)
        if not plain.isdisjoint(open_names):
            name = next(name for name in open_names if name in plain)
            _refuse(parser, "signature-invalid", f"a {what} inside {name}")

    return require_room


def _declared(attributes: list[str]) -> list[str]:
    """Return the namespaces that *attributes*, names and values in turn, declare, each behind `_SPACE`."""
    pairs = zip(attributes[::2], attributes[1::2], strict=True)
    return [_SPACE + value for name, value in pairs if name.startswith("xmlns")]


def _forbid(parser: expat.XMLParserType) -> None:
    """Refuse what no message needs."""

    def declaration(version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0" or (encoding is not None and encoding.upper() not in ENCODINGS):
            _refuse(parser, "not-well-formed", f"XML {version}, encoding {encoding}; only XML 1.0 in UTF-8 is read")

    def doctype(*_: object) -> None:
        _refuse(parser, "doctype-refused", "DOCTYPE")

    def instruction(target: str, text: str) -> None:
        _refuse(parser, "not-well-formed", f"processing instruction {target}")

    parser.XmlDeclHandler = declaration
    parser.StartDoctypeDeclHandler = doctype
    parser.ProcessingInstructionHandler = instruction


def may_hold_comment_or_cdata(pieces: Iterable[bytes]) -> bool:
    """Tell whether what comes in *pieces*, and has been scanned, may hold a comment or a CDATA section.

    It does, or the middle of two characters of UTF-16 looks so.
    """
    before, opening = b"", b""
    for piece in pieces:
        window = before + piece
        if not opening and len(window) > 1:
            opening = _OPENING.encode(_MARKED.get(window[:2], "UTF-8"))
        if opening and opening in window:
            return True
        before = window[-3:]  # no more of an opening can stand before the next piece
    return False


def local_name(element: etree._Element) -> str:
    """Return the local name of *element*."""
    tag = element.tag
    return tag[tag.index("}") + 1 :] if tag[0] == "{" else tag
