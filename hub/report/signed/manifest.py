"""Defines the manifest of an evidence file: the names of the members, and the element that lists each with its hash.

Knows `xsd/lienthong/1/evidence.xsd`. Holds no key and verifies no seal.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar, cast

import attrs
from lxml import etree

from hub.formats import xsd_schemas

EVIDENCE = "urn:lienthong:evidence:1"
MIMETYPE = b"application/vnd.lienthong.evidence+zip"

#: The members, in this order; then `OCTETS/SHA256` where the exact octets are in the file; `MANIFEST` is the last. The
#: evidence of a form that takes its numbers from others has no periods, messages and events: they are in `BASES/ID.zip`,
#: the whole evidence of each of those forms. Where the exact octets are in the file, the messages with its declared figures
#: are in `DECLARED/ID.xml`.
TYPE, REPORT, SIGNED, FORM, PERIODS, MESSAGES, EVENTS, ROWS = (
    "mimetype", "report.xml", "signed.xml", "form.json", "periods.json", "messages.jsonl", "events.jsonl", "rows.jsonl",
)  # fmt: skip
#: folders; their members are named by a number, a number, a column's key, a hash, a form's id, the hub's id of a message
FACTS, BESIDE, COLUMNS, OCTETS, BASES, DECLARED = (
    "facts",
    "beside",
    "columns",
    "octets",
    "bases",
    "declared",
)
MANIFEST = "manifest.xml"

#: The maximum content of one file. A program that checks it holds a little of each in memory.
MOST_FACTS, MOST_EVENTS = 1_000_000, 4_000_000


C = TypeVar("C", bound=attrs.AttrsInstance)


class OctetsPlace(StrEnum):
    """Where the octets of a message are."""

    HERE = "here"  #: in the file
    NOT_ASKED = "not-asked"
    NOT_KEPT = "not-kept"  #: no longer in the hub
    TOO_LARGE = "too-large"


@attrs.frozen
class Counts:
    """The numbers of items in the file. Of a form that takes its numbers from others, all but *facts* are the sums over
    the evidence of those forms.
    """

    facts: int = 0
    beside: int = 0
    messages: int = 0
    events: int = 0
    octets: int = 0

    @classmethod
    def add(cls, facts: int, bases: Iterable["Counts"]) -> "Counts":
        """Return the counts of a form that counts *facts* through the forms of *bases*."""
        found = list(bases)
        others = ("beside", "messages", "events", "octets")
        return cls(facts, *(sum(getattr(each, name) for each in found) for name in others))


@attrs.frozen(kw_only=True)
class Manifest:
    """The content of a manifest."""

    unit: str
    form: str
    period: str
    made_at: datetime
    counts: Counts
    head: tuple[int, str]  #: the number and hash of the last event of the chain when the file was made
    members: Mapping[str, tuple[int, str]]  #: name -> size, SHA-256


def name_rows_member(folder: str, place: int) -> str:
    """Return the name of the member of *folder* for the unit at *place* (from 1) in `ROWS`."""
    return f"{folder}/{place:06}.jsonl"


def name_base_member(form: str) -> str:
    """Return the name of the member that is the evidence of the form with the id *form*."""
    return f"{BASES}/{form}.zip"


def name_declared_member(message: str) -> str:
    """Return the name of the member that is the declaration with the hub's id *message*."""
    return f"{DECLARED}/{message}.xml"


def build_manifest_element(said: Manifest) -> etree._Element:
    """Return the element `Evidence`, without its seal."""
    root = etree.Element(_qualify_tag("Evidence"), nsmap=cast("Any", {None: EVIDENCE}))
    add_element(root, "Report", unit=said.unit, form=said.form, period=said.period)
    add_time_and_counts(root, said.made_at, said.counts)
    add_members(root, said.head, said.members)
    etree.indent(root)
    return root


def read_manifest(root: etree._Element) -> Manifest:
    """Return the content of a sealed manifest, parsed as *root*. Raises ValueError if it violates its schema."""
    require_schema(root, "evidence")
    report, made_at, counts, head, members = list(root)[:5]
    return Manifest(
        unit=report.get("unit", ""),
        form=report.get("form", ""),
        period=report.get("period", ""),
        made_at=datetime.fromisoformat(made_at.text or ""),
        counts=read_counts(counts, Counts),
        head=read_head(head),
        members=read_members(members),
    )


# --- what manifests of other bundles have, too


def add_element(parent: etree._Element, tag: str, **attributes: str) -> etree._Element:
    """Append an element of the namespace of *parent*."""
    return etree.SubElement(parent, f"{{{etree.QName(parent).namespace}}}{tag}", cast("Any", attributes))


def add_time_and_counts(root: etree._Element, made_at: datetime, counts: attrs.AttrsInstance) -> None:
    """Append `MadeAt`, and `Counts` with the fields of *counts*, which are numbers."""
    add_element(root, "MadeAt").text = made_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    add_element(root, "Counts", **{name: str(number) for name, number in attrs.asdict(counts).items()})


def add_members(root: etree._Element, head: tuple[int, str], members: Mapping[str, tuple[int, str]]) -> None:
    """Append `Head`, the last event of the chain by number and hash, and `Members`, each with its size and SHA-256."""
    add_element(root, "Head", number=str(head[0]), hash=head[1])
    listed = add_element(root, "Members")
    for name, (size, digest) in members.items():
        add_element(listed, "Member", name=name, size=str(size), sha256=digest)


def require_schema(root: etree._Element, name: str) -> None:
    """Raise ValueError, with what libxml2 says, if *root* violates `xsd/lienthong/1/NAME.xsd`."""
    schema = xsd_schemas.compile_schema(xsd_schemas.find_schema_root() / f"xsd/lienthong/1/{name}.xsd")
    if not schema.validate(root):
        raise ValueError("; ".join(f"line {each.line}: {each.message}" for each in cast("Any", schema.error_log))[:500])


def read_counts(counts: etree._Element, kind: type[C]) -> C:
    """Return the numbers of an element `Counts` that its schema has accepted, as the attrs class *kind*."""
    return kind(**{field.name: int(counts.get(field.name, "")) for field in attrs.fields(kind)})


def read_head(head: etree._Element) -> tuple[int, str]:
    """Return number and hash of an element `Head` that its schema has accepted."""
    return int(head.get("number", "")), head.get("hash", "")


def read_members(members: etree._Element) -> dict[str, tuple[int, str]]:
    """Return size and SHA-256 by name of an element `Members` that its schema has accepted."""
    return {each.get("name", ""): (int(each.get("size", "")), each.get("sha256", "")) for each in members}


def _qualify_tag(local: str) -> str:
    return f"{{{EVIDENCE}}}{local}"
