"""Judges an Atom feed by RFC 4287: its grammar, and the rules that no grammar says.  Knows the RFC; nothing of the hub."""

from pathlib import Path

from lxml import etree

A = "{http://www.w3.org/2005/Atom}"


def judged(feed: bytes) -> etree._Element:
    """Return the feed; fail, with its lines, when it is none."""
    root = etree.fromstring(feed)
    grammar = etree.RelaxNG(etree.parse(Path(__file__).with_name("atom.rng")))
    assert grammar.validate(root), grammar.error_log
    ids = [each.findtext(f"{A}id") for each in root.iterfind(f"{A}entry")]
    assert len(set(ids)) == len(ids), "4.1.1: one entry an id"
    for each in [root, *root.iterfind(f"{A}entry")]:
        alternates = [
            (link.get("type"), link.get("hreflang"))
            for link in each.iterfind(f"{A}link")
            if link.get("rel", "alternate") == "alternate"
        ]
        assert len(set(alternates)) == len(alternates), "4.1.1, 4.1.2: one alternate a type and language"
    for entry in root.iterfind(f"{A}entry"):
        assert any(link.get("rel") == "alternate" for link in entry.iterfind(f"{A}link")), (
            "4.1.2: no content, so a link"
        )
    assert [link.get("rel") for link in root.iterfind(f"{A}link")].count("self") == 1, "4.1.1: SHOULD"
    return root
