"""The parser: an input is refused with a code, or its tree is the one that another parser, expat's, sees.

Whether it is scanned first or its octets show that it need not be, it gets the same.
"""

from collections.abc import Iterator
from xml.etree import ElementTree as ET
from xml.parsers import expat

from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.formats import safe_xml
from tests.fuzz import changing
from tests.fuzz.told import tell
from tests.signatures import CONTENT, Layout

LONGEST = 4096
PHRASES = (
    *expat.errors.messages.values(),
    *(
        "is not defined",
        "parse QName",
        "redefined",
        "valid URI",
        "xmlns: ",
        "xmlns prefix",
        "xml namespace",
        "instruction",
        "encoding",
    ),
    *(
        "attributes",
        "byte order mark",
        "inside each other",
        "elements and",
        "different names",
        "a name of",
        "a comment",
        "a CDATA",
    ),
)
CODES = {"too-large", "doctype-refused", "too-deep", "signature-invalid", "not-well-formed"}

MARKS = (b"\xfe\xff", b"\xff\xfe")
#: What libxml2 refuses and expat does not: namespaces that are no URI.
STRICTER = " is not a valid URI"

trees = changing.Trees(blindly=0.3)
change, cross = trees.change, trees.cross


def seeds() -> Iterator[bytes]:
    yield Layout().template("AAAA").encode()
    yield CONTENT.encode()
    yield b"<?xml version='1.0' encoding='utf-8'?>\n<!-- c --><a xmlns='urn:a' b='1'>x<b xmlns=''/>y<![CDATA[<z>]]></a>\n"
    yield '<?xml version="1.0" encoding="UTF-16"?><a xml:lang="vi">é</a>'.encode("utf-16")
    yield b'<p:a xmlns:p="urn:p" p:b="&#13;&lt;" xmlns:q="urn:p"><q:c/>&amp;&#x1F600;</p:a>'
    yield b'<!DOCTYPE a [<!ENTITY e "y">]><a>&e;</a>'


def judge(content: bytes) -> None:
    try:
        root = safe_xml.parse_safe_xml(content)
    except Rejected as rejected:
        (problem,) = rejected.problems
        assert problem == refused_by_scan(content)
        assert problem.code in CODES, problem
        reason = str(problem.detail).partition(": ")[2]
        tell(problem.code, next((phrase for phrase in PHRASES if phrase in reason), ""))
        assert problem.code != "not-well-formed" or is_explained(content, reason), (
            f"only we refuse it: {problem.detail}"
        )
        return
    assert refused_by_scan(content) is None
    theirs = ET.fromstring(content)
    compare(root, theirs)
    tell("read", min(len(list(root.iter())), 8), content[:2] in MARKS)


def refused_by_scan(content: bytes) -> Problem | None:
    """Return the problem that a scan finds in *content*, or the tree parser after it."""
    try:
        safe_xml.scan_xml(content)
        safe_xml.build_scanned_tree(content)
    except Rejected as rejected:
        return rejected.problems[0]
    return None


def compare(ours: etree._Element, theirs: ET.Element) -> None:
    """Fail unless the two trees say the same."""
    pairs = [(ours, theirs)]
    while pairs:
        one, other = pairs.pop()
        assert one.tag == other.tag
        assert (one.text or "") == (other.text or "")
        assert sorted(one.items()) == sorted(other.items())
        assert len(one) == len(other)
        for children in zip(one, other, strict=True):
            assert (children[0].tail or "") == (children[1].tail or "")
            pairs.append(children)


def is_explained(content: bytes, reason: str) -> bool:
    """Tell whether the other parser refuses *content* too, or we are stricter as we mean to be."""
    if reason.startswith(("processing instruction", "XML ", "UTF-16 without")) or reason.endswith(STRICTER):
        return True
    if content[:2] in MARKS and any(letter in content.decode("utf-16", "replace") for letter in "ªµº"):
        return True  # which expat, in UTF-16 only, takes for letters of a name
    try:
        ET.fromstring(content)
    except (ET.ParseError, ValueError, LookupError):
        return True
    return False
