"""Writes the feed of published reports as Atom (RFC 4287). Knows its elements. Does not know where reports are stored
or served.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import attrs
from lxml import etree

ATOM = "http://www.w3.org/2005/Atom"
CONTENT_TYPE = "application/atom+xml; charset=utf-8"
#: the update time of an empty feed, a constant so that its bytes never change
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@attrs.frozen(kw_only=True)
class AtomEntry:
    """One published report."""

    id: str  #: an IRI; the same for each revision of the report
    title: str
    at: datetime  #: when this revision was published
    summary: str
    html: str  #: the URL of the HTML page
    json: str  #: the URL of the JSON


def write_atom_feed(identity: str, title: str, author: str, here: str, entries: Iterable[AtomEntry]) -> bytes:
    """Return the feed as XML. *identity*: its IRI. *here*: the URL of the feed itself. *author*: the name of the
    publisher.
    """
    entries = tuple(entries)
    feed = etree.Element(_qualify_tag("feed"), nsmap={None: ATOM})  # type: ignore[dict-item]
    feed.set("{http://www.w3.org/XML/1998/namespace}lang", "vi")
    _add_text(feed, "id", identity)
    _add_text(feed, "title", title)
    _add_text(feed, "updated", _write_atom_time(max((entry.at for entry in entries), default=_NEVER)))
    _add_text(etree.SubElement(feed, _qualify_tag("author")), "name", author)
    etree.SubElement(feed, _qualify_tag("link"), {"rel": "self", "type": "application/atom+xml", "href": here})
    for entry in entries:
        said = etree.SubElement(feed, _qualify_tag("entry"))
        _add_text(said, "id", entry.id)
        _add_text(said, "title", entry.title)
        _add_text(said, "updated", _write_atom_time(entry.at))
        _add_text(said, "summary", entry.summary)
        for kind, where in (("text/html", entry.html), ("application/json", entry.json)):
            etree.SubElement(said, _qualify_tag("link"), {"rel": "alternate", "type": kind, "href": where})
    return etree.tostring(feed, encoding="UTF-8", xml_declaration=True)


def _add_text(parent: etree._Element, tag: str, text: str) -> None:
    etree.SubElement(parent, _qualify_tag(tag)).text = text


def _qualify_tag(local: str) -> str:
    return f"{{{ATOM}}}{local}"


def _write_atom_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
