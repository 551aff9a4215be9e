"""Defines the manifest of an evidence file: the names of the members, and the element that lists each with its hash.

Knows `xsd/lienthong/1/evidence.xsd`. Holds no key and verifies no seal.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

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
    root = etree.Element(_tag("Evidence"), nsmap=cast("Any", {None: EVIDENCE}))
    _add(root, "Report", unit=said.unit, form=said.form, period=said.period)
    _add(root, "MadeAt").text = said.made_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    _add(root, "Counts", **{name: str(number) for name, number in attrs.asdict(said.counts).items()})
    _add(root, "Head", number=str(said.head[0]), hash=said.head[1])
    members = _add(root, "Members")
    for name, (size, digest) in said.members.items():
        _add(members, "Member", name=name, size=str(size), sha256=digest)
    etree.indent(root)
    return root


def read_manifest(root: etree._Element) -> Manifest:
    """Return the content of a sealed manifest, parsed as *root*. Raises ValueError if it violates its schema."""
    schema = xsd_schemas.compile_schema(xsd_schemas.find_schema_root() / "xsd/lienthong/1/evidence.xsd")
    if not schema.validate(root):
        raise ValueError("; ".join(f"line {each.line}: {each.message}" for each in cast("Any", schema.error_log))[:500])
    report, made_at, counts, head, members = list(root)[:5]
    return Manifest(
        unit=report.get("unit", ""),
        form=report.get("form", ""),
        period=report.get("period", ""),
        made_at=datetime.fromisoformat(made_at.text or ""),
        counts=Counts(**{field.name: int(counts.get(field.name, "")) for field in attrs.fields(Counts)}),
        head=(int(head.get("number", "")), head.get("hash", "")),
        members={each.get("name", ""): (int(each.get("size", "")), each.get("sha256", "")) for each in members},
    )


def _add(parent: etree._Element, tag: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, _tag(tag), cast("Any", attributes))


def _tag(local: str) -> str:
    return f"{{{EVIDENCE}}}{local}"
