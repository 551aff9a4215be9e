"""Slimmed documents: refused in the same words as whole ones, or the same tree once every text is back in its place.

Bounds and slices are made tiny, so that small inputs are cut as large ones are.
"""

from collections.abc import Iterator

import pytest
from lxml import etree

from hub.domain.errors import Rejected
from hub.formats import base64_content, safe_xml, streamed_xml
from hub.formats.spool import Drawer, Octets
from tests.fuzz import changing
from tests.fuzz.told import tell

LONGEST = 2048
NAMES = frozenset({"Packet", "p"})
WORDS = (
    "QUJD",
    "QUJD\nQUJD",
    "QUJDQUJD&",
    "Packet",
    "QQ==",
    "Q\rQ=\r\n=",
    "~00000000000000000000000000000000~",
    "é",
    "A" * 40,
)
SMALL = {
    (streamed_xml, "_SHORTEST_LINE"): 1,
    (streamed_xml, "LONG"): 4,
    (streamed_xml, "WHOLE"): 0,
    (streamed_xml, "SLICE"): 3,
    (safe_xml, "SLICE"): 7,
    (base64_content, "SLICE"): 8,
}

trees = changing.Trees(words=WORDS, blindly=0.2)
change, cross = trees.change, trees.cross


def seeds() -> Iterator[bytes]:
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n<a><Packet>QUJDQUJD\nQUJD</Packet><Packet x="&gt;>">QUJD&#13;\nQUJDQUJD</Packet></a>'
    yield b"<x:Packet xmlns:x='u' a=\"'>\">QUJDQUJDQUJDQUJDQUJD\r\nQUJDQUJDQUJD</x:Packet>"
    yield b"\xef\xbb\xbf<a><p>QUJDQUJDQUJD<!-- c --></p><p>QUJDQUJDQUJD<p>QUJDQUJDQUJD</p></p><p><![CDATA[QUJDQUJDQUJD]]></p></a>"
    yield "<a><p>QUJDQUJDQUJD</p></a>".encode("utf-16")
    yield b"<a><p>QUJDQUJDQUJD&lt;</p><p>QUJDQUJDQUJD&#xD;</p><p>QUJD QUJD QUJD&#xd;\r</p><b/></a>"


def judge(content: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), value in SMALL.items():
            patch.setattr(module, name, value)
        patch.setattr(Octets.pieces, "__defaults__", (5,))
        _judge(content)


def _judge(content: bytes) -> None:
    drawer = Drawer()
    try:
        whole: etree._Element | tuple[str, str] = safe_xml.parse_safe_xml(content)
    except Rejected as rejected:
        (problem,) = rejected.problems
        whole = (problem.code, str(problem.detail))
    try:
        root, loads = streamed_xml.parse_streamed_xml(Octets.of(content), NAMES, drawer)
    except Rejected as rejected:
        (problem,) = rejected.problems
        assert isinstance(whole, tuple), f"only the slimmed is refused: {problem}"
        assert whole[0] == problem.code  # in which words depends on where the octets are cut in pieces
        tell(problem.code)
        return
    finally:
        drawer.close()
    assert not isinstance(whole, tuple), f"the whole is refused: {whole}"
    for exclusive in (True, False):
        try:
            expected = etree.tostring(whole, method="c14n", exclusive=exclusive)
        except etree.C14NError:
            continue
        assert b"".join(loads.spread(etree.tostring(root, method="c14n", exclusive=exclusive))) == expected
    for one, other in zip(root.iter("*"), whole.iter("*"), strict=True):
        load = loads.get(one)
        text = one.text if load is None else b"".join(load.letters()).decode()
        assert (text or "").replace("\r", "") == (other.text or "").replace("\r", "")
        assert (
            one.sourceline == other.sourceline or b"\r" in content
        )  # alone it ends a line, which libxml2 does not count
        if load is not None:
            decode(loads, load, other.text or "")
    tell("read", len(loads), len(list(root.iter())) > 3)


def decode(loads: streamed_xml.Loads, load: streamed_xml.Load, text: str) -> None:
    """Fail unless what *load* stands for is what *text* does."""
    try:
        expected: bytes | None = b"".join(base64_content.decode_base64_slices(text))
    except ValueError:
        expected = None
    try:
        found = loads.decoded(load).read()
    except ValueError:
        found = None
    assert found == expected
