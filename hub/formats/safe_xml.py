"""Parses untrusted XML safely.

Decides what may reach the tree parser. Knows no element names, except those that may not hold comments.

There are two passes (security.md 1.4). First, a streaming expat scan, which builds nothing and never sees text, refuses
every DOCTYPE, processing instruction and encoding other than UTF-8 and UTF-16, and bounds depth, attributes, nodes and
names. Second, lxml builds the only tree that the hub reads. It drops comments, so that none splits a text: the hub
reads exactly what a canonical form without comments contains. The size of a text is bounded only by the size of the
document, because an attachment is one text of many megabytes.

The scan costs at most 0.25 µs of CPU per octet, if the document is only empty elements or comments. The tree costs as
much again. An ordinary small message is not scanned: a few counts of its octets already prove that the scan would pass
it. Whatever is in doubt is scanned, so the scan alone decides and words every refusal.
"""

import ctypes
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import NoReturn
from xml.parsers import expat

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Detail, Problem
from hub.formats import markup_memory, xml_cost
from hub.language.phrases import Phrase, phrase

ENCODINGS = frozenset({"UTF-8", "UTF-16"})
_OPENING = "<!"  #: the beginning of a comment or a CDATA section: in a document without DOCTYPE nothing else begins so
_MARKED = {b"\xff\xfe": "UTF-16-LE", b"\xfe\xff": "UTF-16-BE"}
_UNMARKED = (b"<\0", b"\0<")  #: the beginning of UTF-16 without the byte order mark that XML 1.0, 4.3.3 requires
#: A canonical form compares the namespaces in scope with one another at each element, 4 ns per pair (measured). In
#: addition to `Limits.spaces`, this many pairs may be compared per octet read so far: 30 namespaces around elements of
#: 10 octets, more than any toolkit writes.
_SPACES_PER_OCTET = 100
_SPACE = "xmlns "  #: prefix of a namespace in the table of names; no name contains a space
KEPT = 8 * 1024 * 1024  #: maximum characters of names that one thread keeps
SLICE = 1 << 18  #: octets scanned at once, about 0.3 ms: other threads run in between
#: A document of more octets is always scanned: only in small ones are the counts of `_is_evident` low.
EVIDENT = 1 << 17
#: The XML declarations that need no scan.
_DECLARATION = re.compile(
    rb"<\?xml version=[\"']1\.0[\"'](?: encoding=[\"'][Uu][Tt][Ff]-8[\"'])?(?: standalone=[\"'](?:yes|no)[\"'])? *\?>"
)
_MARKS = frozenset({b"!", b"?"})  #: what follows the `<` of anything but a tag
_SHORTEST_ATTRIBUTE = len(" a=''")


@attrs.frozen
class Limits:
    """The upper bounds of a document."""

    #: octets of the document; a reader from the network has already bounded them by `body-limit`
    size: int = 512 * 1024 * 1024
    depth: int = 64  #: elements inside each other
    attributes: int = 64  #: attributes of one element, namespace declarations included
    #: elements, attributes, comments and CDATA sections together; lxml needs about 100 octets for each
    nodes: int = 400_000
    #: nodes of a SOAP Header: no reader uses all of it, and signatures and assertions have some hundred
    header: int = 10_000
    name: int = 256  #: characters of a name with its prefix; a namespace may have six fewer
    #: different names, and separately different namespaces; a thread's parser keeps each one it has ever seen
    names: int = 2_000
    #: sum over all elements of the square of the number of namespace declarations in scope; large documents may have
    #: more
    spaces: int = 20_000_000
    #: local names of elements that may contain neither a comment nor a CDATA section
    plain: frozenset[str] = frozenset({"Security", "Body"})


LIMITS = Limits()
_thread_state = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThreadState_GetDict", ctypes.pythonapi))


class _Read(threading.local):
    """The tree parser of one thread, and what it has read since its dictionary of names was renewed."""

    letters = 0

    def __init__(self) -> None:
        self.renew_parser()

    def renew_parser(self) -> None:
        self.parser = etree.XMLParser(
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=True,
            remove_comments=True,
            collect_ids=False,
        )


_READ = _Read()


def parse_safe_xml(content: bytes, *, limits: Limits = LIMITS) -> etree._Element:
    """Return the root of *content*, without comments.

    Raises Rejected: `too-large`, `doctype-refused`, `too-deep` (depth, attributes, nodes, names), `signature-invalid`
    (a comment or CDATA section where none is allowed), `not-well-formed`. The detail begins with the line and column,
    both counted from 1.
    """
    if len(content) > limits.size:
        raise Rejected(Problem("too-large", f"{len(content)} > {limits.size}"))
    root = build_evident_tree(content, limits)
    if root is not None:
        return root
    scan_xml(content, limits)
    return build_scanned_tree(content)


def build_evident_tree(content: bytes, limits: Limits) -> etree._Element | None:
    """Return the root of *content* if `scan_xml` evidently passes it, whatever its texts are.

    Return None if it must be scanned. A document that lxml refuses must be scanned, too, because the scan's message comes first.
    """
    if not _is_evident(content, limits):
        return None
    _keep_names(len(content))
    try:
        root = build_scanned_tree(content)
    except Rejected:
        return None
    return None if _deeper_than(limits.depth)(root) else root


def _is_evident(content: bytes, limits: Limits) -> bool:
    """Tell whether the octets show that `scan_xml` passes *content*, provided it is well-formed and not too deep.

    Nothing is parsed. In a document that is well-formed, and has neither `<!` nor `<?` after its declaration, every `<`
    begins a tag. Then each bound is compared with a number that can only be too high: a tag has no more attributes than
    `=`, no name is longer than its tag, and no document has more names than tags and attributes, or more namespaces in
    scope than `xmlns`.
    """
    if len(content) > EVIDENT or content[:1] != b"<" or b"\0" in content:
        return False
    split = markup_memory.split_document(content)
    tags = xml_cost.split_tags(content) if split is None else (b"", *split.tags)
    if tags is None:
        return False
    marks = [each for each in tags if each[:1] in _MARKS]
    declaration = _DECLARATION.match(content)
    if len(marks) > 1 or (marks and (declaration is None or marks[0] is not tags[1])):
        return False
    markup = content if split is None else b"".join(tags)
    count, most_names = len(tags), min(limits.names, limits.nodes, limits.header)
    if count + len(markup) // _SHORTEST_ATTRIBUTE > most_names and count + markup.count(b"=") > most_names:
        return False
    if count * markup.count(b"xmlns") ** 2 > limits.spaces:
        return False
    most = min(limits.name - len(_SPACE), limits.attributes * _SHORTEST_ATTRIBUTE)
    if content.isascii():
        doubtful = [each for each in tags if len(each) > most]
    elif _is_utf_8(content):
        doubtful = [each for each in tags if len(each) > most or not each.isascii()]
    else:
        return False
    return all(_is_evident_tag(each, most, limits) for each in doubtful)


def _is_evident_tag(opened: bytes, most: int, limits: Limits) -> bool:
    """Tell whether a tag is within *limits* and in ASCII. *opened* is what follows its `<`, perhaps with the text behind.

    A tag of at most *most* octets is within any limits. If there is another `>`, the tag may end there.
    """
    tag, _, text = opened.partition(b">")
    if b">" in text or not tag.isascii():
        return False
    return len(tag) <= most or (
        b"'" not in tag
        and tag.count(b"=") <= limits.attributes
        and max(map(len, tag.split(b'"'))) <= limits.name - len(_SPACE)
    )


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@cache
def _deeper_than(depth: int) -> etree.XPath:
    """Return the test whether a document has elements deeper than *depth*."""
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


def build_scanned_tree(content: bytes) -> etree._Element:
    """Return the root of *content*, which must have been scanned. Raises Rejected: `not-well-formed`."""
    parser = _READ.parser
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:  # errors that expat does not detect: mostly undeclared prefixes
        line, column = error.position
        wrong = error.msg.partition(", line ")[0].strip()
        raise Rejected(
            Problem(
                "not-well-formed",
                phrase("line {line}, column {column}: {message}", line=line, column=column, message=wrong),
            )
        ) from None
    # lxml checks only the last message of libxml2, and misses a namespace error if a mere warning follows it.
    for told in parser.error_log.filter_from_errors():
        raise Rejected(
            Problem(
                "not-well-formed",
                phrase(
                    "line {line}, column {column}: {message}", line=told.line, column=told.column, message=told.message
                ),
            )
        )
    if (
        root.getroottree().docinfo.internalDTD is not None
    ):  # the scan has refused it: this is reached only if the two parsers disagree
        raise Rejected(Problem("doctype-refused"))
    return root


def scan_xml(content: bytes, limits: Limits = LIMITS) -> None:
    """Raise Rejected, as `parse_safe_xml` does, unless *content* may reach the tree parser. Ignores namespaces."""
    refuse_unmarked(content[:2])
    if len(content) > SLICE:
        view = memoryview(content)
        feed_scanner(make_scanner(limits), (view[at : at + SLICE] for at in range(0, len(view), SLICE)), limits)
    else:
        feed_scanner(make_scanner(limits), (content,), limits)


def refuse_unmarked(head: bytes) -> None:
    """Raise Rejected if *head*, the first two octets of a document, is UTF-16 without a byte order mark."""
    if head in _UNMARKED:
        raise Rejected(
            Problem(
                "not-well-formed",
                phrase(
                    "line {line}, column {column}: {message}",
                    line=1,
                    column=1,
                    message=phrase("UTF-16 without a byte order mark"),
                ),
            )
        )


def make_scanner(limits: Limits = LIMITS) -> expat.XMLParserType:
    """Return an expat parser for `feed_scanner` that raises Rejected."""
    parser = expat.ParserCreate()
    _bound_parser(parser, limits)
    _forbid_markup(parser)
    return parser


def feed_scanner(parser: expat.XMLParserType, pieces: Iterable[bytes | memoryview], limits: Limits = LIMITS) -> None:
    """Scan a whole document with *parser*, piece by piece. Raises Rejected like `scan_xml`."""
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        detail = phrase(
            "line {line}, column {column}: {message}",
            line=error.lineno,
            column=error.offset + 1,
            message=expat.errors.messages[error.code],
        )
        raise Rejected(Problem("not-well-formed", detail)) from None
    names = parser.intern
    spaces = sum(name.startswith(_SPACE) for name in names)
    if max(spaces, len(names) - spaces) > limits.names:
        raise Rejected(Problem("too-deep", phrase("more than {names} different names", names=limits.names)))
    if odd := next((name for name in names if not name.startswith(_SPACE) and not _begins_with_name(name)), None):
        raise Rejected(
            Problem(
                "not-well-formed",
                phrase("a name whose part after the colon does not begin with a letter: {odd}", odd=odd[:40]),
            )
        )
    if longest := next((name for name in names if len(name) > limits.name), None):
        raise Rejected(
            Problem(
                "too-deep", phrase("a name of {count} characters: {longest}…", count=len(longest), longest=longest[:40])
            )
        )
    _keep_names(sum(map(len, names)))


def _keep_names(letters: int) -> None:
    """Count the characters of a document's names, and let lxml begin a new dictionary before there are too many.

    lxml has one dictionary per thread, stored in the thread's state, and never empties it. A sender that always uses
    new names would fill the memory permanently. Trees and parsers built with the old dictionary keep it, and it is
    freed with the last of them.
    """
    _READ.letters += letters
    if _READ.letters > KEPT:
        _READ.letters = letters
        ctypes.cast(_thread_state(), ctypes.py_object).value.pop("_ParserDictionaryContext", None)
        _READ.renew_parser()


def _begins_with_name(name: str) -> bool:
    """Tell whether the part of *name* after the colon begins with a valid name character.

    expat is not namespace-aware here and checks only the whole name. libxml2 accepts first characters that are no
    letters in the fourth edition of XML 1.0, and half of the world's parsers would refuse them. So expat checks that
    part separately.
    """
    first = name.partition(":")[2][:1]
    if first.isascii():
        return True
    try:
        expat.ParserCreate().Parse(f"<{first}/>", True)
    except expat.ExpatError:
        return False
    return True


def _refuse_document(parser: expat.XMLParserType, code: str, detail: Detail) -> NoReturn:
    line, column = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
    raise Rejected(
        Problem(code, phrase("line {line}, column {column}: {message}", line=line, column=column, message=detail))
    )


def _refuse_many(parser: expat.XMLParserType, nodes: int, limits: Limits) -> NoReturn:
    if nodes > limits.nodes:
        _refuse_document(parser, "too-deep", phrase("more than {most} elements and attributes", most=limits.nodes))
    _refuse_document(
        parser, "too-deep", phrase("more than {most} elements and attributes in the Header", most=limits.header)
    )


def _bound_parser(parser: expat.XMLParserType, limits: Limits) -> None:  # noqa: C901 - one pass looks at everything
    """Install the handlers that count elements, attributes, comments and CDATA sections and enforce *limits*.

    libxml2 compares every namespace in scope with every other at every element, for an inclusive canonical form and for
    a copy.
    """
    open_names: list[str] = []
    require_room = _make_plainness_check(parser, limits.plain, open_names)
    # (depth, number of namespaces declared at this depth); closed elements are removed at the next start tag
    declaring = [(0, 0)]
    nodes = scope = spaces = 0
    most_depth, most_attributes, most_nodes = limits.depth, 2 * limits.attributes, limits.nodes
    most_spaces, most_here = limits.spaces, most_nodes

    def start(name: str, attributes: list[str]) -> None:
        nonlocal nodes, scope, spaces, most_spaces, most_here
        while declaring[-1][0] > len(open_names):
            scope -= declaring.pop()[1]
        if len(open_names) == 1:  # a child of the root begins: a Header has its own bound
            most_here = _most_within(name, nodes, limits)
        open_names.append(name)
        nodes += 1
        if attributes:
            nodes += len(attributes) >> 1
            if len(attributes) > most_attributes:
                _refuse_document(
                    parser, "too-deep", phrase("more than {attributes} attributes", attributes=limits.attributes)
                )
            if declared := _list_declared_namespaces(attributes):
                declaring.append((len(open_names), len(declared)))
                scope += len(declared)
                parser.intern.update(dict.fromkeys(declared, ""))
        spaces += scope * scope
        if spaces > most_spaces:
            most_spaces = limits.spaces + _SPACES_PER_OCTET * parser.CurrentByteIndex
            if spaces > most_spaces:
                _refuse_document(
                    parser, "too-deep", phrase("{scope} namespaces declared around too many elements", scope=scope)
                )
        if len(open_names) > most_depth:
            _refuse_document(
                parser, "too-deep", phrase("more than {most_depth} elements inside each other", most_depth=most_depth)
            )
        if nodes > most_here:
            _refuse_many(parser, nodes, limits)

    def remark(what: Phrase) -> None:
        nonlocal nodes
        nodes += 1
        if nodes > most_here:
            _refuse_many(parser, nodes, limits)
        require_room(what)

    parser.ordered_attributes = True  # a flat list costs half as much as a mapping
    parser.StartElementHandler = start
    parser.EndElementHandler = open_names.remove  # it does not matter which of two equal names is removed
    parser.CommentHandler = lambda _text: remark(phrase("comment"))
    parser.StartCdataSectionHandler = lambda: remark(phrase("CDATA section"))


def _most_within(name: str, nodes: int, limits: Limits) -> int:
    """Return the maximum total of nodes up to the end of the root's child *name*. *nodes* come before it."""
    return min(limits.nodes, nodes + 1 + limits.header) if name.rpartition(":")[2] == "Header" else limits.nodes


def _make_plainness_check(
    parser: expat.XMLParserType, locals_: frozenset[str], open_names: Sequence[str]
) -> Callable[[Phrase], None]:
    """Return a function that refuses a comment or CDATA section inside an element with one of these local names.

    Each name is examined once, however many comments there are.
    """
    seen: set[str] = set()
    plain: set[str] = set()

    def require_room(what: Phrase) -> None:
        if fresh := set(open_names) - seen:
            seen.update(fresh)
            plain.update(name for name in fresh if name.rpartition(":")[2] in locals_)
        if not plain.isdisjoint(open_names):
            name = next(name for name in open_names if name in plain)
            _refuse_document(parser, "signature-invalid", phrase("a {what} inside {name}", what=what, name=name))

    return require_room


def _list_declared_namespaces(attributes: list[str]) -> list[str]:
    """Return the namespaces that *attributes*, a flat list of names and values, declare.

    Each is prefixed with `_SPACE`.
    """
    pairs = zip(attributes[::2], attributes[1::2], strict=True)
    return [_SPACE + value for name, value in pairs if name.startswith("xmlns")]


def _forbid_markup(parser: expat.XMLParserType) -> None:
    """Install the handlers that refuse what no message needs."""

    def declaration(version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0" or (encoding is not None and encoding.upper() not in ENCODINGS):
            _refuse_document(
                parser,
                "not-well-formed",
                phrase(
                    "XML {version}, encoding {encoding}; only XML 1.0 in UTF-8 is accepted",
                    version=version,
                    encoding=encoding,
                ),
            )

    def doctype(*_: object) -> None:
        _refuse_document(parser, "doctype-refused", "DOCTYPE")

    def instruction(target: str, text: str) -> None:
        _refuse_document(parser, "not-well-formed", phrase("processing instruction {target}", target=target))

    parser.XmlDeclHandler = declaration
    parser.StartDoctypeDeclHandler = doctype
    parser.ProcessingInstructionHandler = instruction


def may_hold_comment_or_cdata(pieces: Iterable[bytes]) -> bool:
    """Tell whether scanned XML, given in *pieces*, may contain a comment or a CDATA section.

    True also if the halves of two adjacent UTF-16 characters happen to look like one.
    """
    before, opening = b"", b""
    for piece in pieces:
        window = before + piece
        if not opening and len(window) > 1:
            opening = _OPENING.encode(_MARKED.get(window[:2], "UTF-8"))
        if opening and opening in window:
            return True
        before = window[-3:]  # at most three octets of an opening can stand before the next piece
    return False


def read_local_name(element: etree._Element) -> str:
    """Return the local name of *element*."""
    tag = element.tag
    return tag[tag.index("}") + 1 :] if tag[0] == "{" else tag
