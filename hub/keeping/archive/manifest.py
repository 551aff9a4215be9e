"""Defines the manifest of an archive file: the names of the members, and the element that lists each with its hash.

Knows `xsd/lienthong/1/archive.xsd`. Holds no key and verifies no seal.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import attrs
from lxml import etree

from hub.report.signed.manifest import (
    add_element,
    add_members,
    add_time_and_counts,
    read_counts,
    read_head,
    read_members,
    require_schema,
)

NAMESPACE = "urn:lienthong:archive:1"
MIMETYPE = b"application/vnd.lienthong.archive+zip"

#: The first and the last member.
TYPE, MANIFEST = "mimetype", "manifest.xml"
#: Folders of members with lines of JSON. Each member is named by the key of its first line, so that a reader finds the
#: member that has a key: the hub's id of a message; that id and the serial of an event; of an event of none of the
#: messages its serial; a SHA-256.
MESSAGES, EVENTS, OTHERS, EXCHANGES, SIGNERS, FORMS = (
    "messages", "events", "others", "exchanges", "signers", "envelope-forms",
)  # fmt: skip
#: The folder of the octets of messages. A member is named by its SHA-256, and the manifest does not list it.
OCTETS = "octets"
#: The folders of a file, in this order.
FOLDERS = (MESSAGES, EVENTS, OTHERS, EXCHANGES, SIGNERS, FORMS)

#: The maximum content of one file, and the maximum octets of one member with lines. Who reads it holds a little of each
#: in memory. The last message may exceed the events, so a reader accepts some more.
MOST_MESSAGES, MOST_EVENTS, MOST_LINE = 20_000, 1_000_000, 64 << 20
#: The maximum octets of a member with several lines, and the maximum values in a line: a reader holds 70 octets or more for
#: each, however few octets they take in the file.
MOST_LINES, MOST_VALUES = 1 << 20, 4_000_000


@attrs.frozen
class ArchiveCounts:
    """The numbers of items in a file."""

    messages: int = 0
    deliveries: int = 0
    attempts: int = 0
    events: int = 0  #: of the messages, and others
    others: int = 0  #: of these, events of none of the messages
    octets: int = 0  #: members with the octets of messages


@attrs.frozen(kw_only=True)
class ArchiveManifest:
    """The content of a manifest."""

    id: str
    period: str  #: such as `2026-08`
    made_at: datetime
    version: str  #: schema version of the journal that it was read from
    counts: ArchiveCounts
    messages: tuple[str, str]  #: the first and the last hub id; empty: no message
    numbers: tuple[int, int]  #: the lowest and the highest number of an event in the chain; 0: none has one
    head: tuple[int, str]  #: the number and hash of the last event of the chain when the file was made
    members: Mapping[str, tuple[int, str]]  #: name -> size, SHA-256; without `OCTETS`


def name_member(folder: str, key: str | int) -> str:
    """Return the name of the member of *folder* whose first line has *key*. Names sort in the order of the keys."""
    return f"{folder}/{key:015}.jsonl" if isinstance(key, int) else f"{folder}/{key}.jsonl"


def is_bounded_line(line: bytes) -> bool:
    """Tell whether a reader can hold *line*. Its values are not counted, but what begins or follows one, in texts too."""
    return len(line) <= MOST_LINE and (
        len(line) < MOST_VALUES or sum(map(line.count, (b",", b"{", b"["))) <= MOST_VALUES
    )


def name_octets(sha256: str) -> str:
    """Return the name of the member with the octets of this SHA-256."""
    return f"{OCTETS}/{sha256}"


def build_archive_element(said: ArchiveManifest) -> etree._Element:
    """Return the element `Archive`, without its seal."""
    root = etree.Element(_qualify_tag("Archive"), nsmap=cast("Any", {None: NAMESPACE}))
    root.set("id", said.id)
    root.set("period", said.period)
    root.set("schema", said.version)
    add_time_and_counts(root, said.made_at, said.counts)
    add_element(root, "Messages", first=said.messages[0], last=said.messages[1])
    add_element(root, "Events", first=str(said.numbers[0]), last=str(said.numbers[1]))
    add_members(root, said.head, said.members)
    etree.indent(root)
    return root


def read_archive_element(root: etree._Element) -> ArchiveManifest:
    """Return the content of a sealed manifest, parsed as *root*. Raises ValueError if it violates its schema."""
    require_schema(root, "archive")
    _, counts, messages, events, head, members = list(root)[:6]
    return ArchiveManifest(
        id=root.get("id", ""),
        period=root.get("period", ""),
        version=root.get("schema", ""),
        made_at=read_made_at(root),
        counts=read_counts(counts, ArchiveCounts),
        messages=(messages.get("first", ""), messages.get("last", "")),
        numbers=(int(events.get("first", "")), int(events.get("last", ""))),
        head=read_head(head),
        members=read_members(members),
    )


def read_made_at(root: etree._Element) -> datetime:
    """Return the time at which the archive says that it was made. Raises ValueError."""
    made_at = datetime.fromisoformat(root.findtext(_qualify_tag("MadeAt")) or "")
    if made_at.tzinfo is None:
        raise ValueError("MadeAt has no time zone")
    return made_at


def _qualify_tag(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"
