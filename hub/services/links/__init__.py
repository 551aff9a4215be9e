"""The service `links`: for each day, how many minutes each link was probed and how many of these it was up.

Knows the hub's own message. The hub writes one message a day from the probes of all its nodes. The message holds the
minutes of each node unmerged, one bit a minute, so that anyone who has the message can count again. A minute that two
nodes probed counts once, and is up if either node reached the other side.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Fact, Problem, Record
from hub.formats import safe_xml
from hub.language.phrases import phrase
from hub.services import Service
from hub.services.links.probes import DAY, Minutes, merge_minutes

NAME = "links"
NAMESPACE = "urn:lienthong:links:1"
PROBED, UP = "link-probed", "link-up"
_HEX = re.compile(r"[0-9a-f]{1,360}")


@attrs.frozen(kw_only=True)
class LinkDay:
    """One day of one link: the minutes that each node probed it, by node name."""

    name: str
    place: str
    units: tuple[str, ...]
    nodes: Mapping[str, Minutes]


def write_link_message(province: str, on: date, links: Iterable[LinkDay]) -> bytes:
    """Return the message of the day *on* in canonical XML. The same figures give the same octets."""
    root = etree.Element(_qualify_tag("Links"), {"day": on.isoformat(), "province": province}, nsmap={None: NAMESPACE})  # type: ignore[dict-item]
    for link in sorted(links, key=lambda each: each.name):
        said = etree.SubElement(root, _qualify_tag("Link"), {"name": link.name, "place": link.place})
        for unit in link.units:
            etree.SubElement(said, _qualify_tag("Unit")).text = unit
        for node, minutes in sorted(link.nodes.items()):
            bits = {"name": node, "probed": f"{minutes.probed:x}", "up": f"{minutes.up:x}"}
            etree.SubElement(said, _qualify_tag("Node"), bits)
    return etree.tostring(root, method="c14n", exclusive=True)


def read_link_message(octets: bytes, at: datetime, message: str) -> Record:
    """Read the message of a day into two facts for each link and unit. Raises Rejected."""
    root = safe_xml.parse_safe_xml(octets)
    if root.tag != _qualify_tag("Links"):
        raise Rejected(
            Problem("contract-broken", phrase("{tag} is no {expected}", tag=root.tag, expected=_qualify_tag("Links")))
        )
    province = root.get("province", "")
    try:
        on = date.fromisoformat(root.get("day", ""))
    except ValueError as error:
        raise Rejected(Problem("contract-broken", f"Links/@day: {error}")) from None
    facts = [
        fact for link in root.iterfind(_qualify_tag("Link")) for fact in _list_facts(link, on, province, at, message)
    ]
    return Record(
        kind="availability", sender=province, keys=(on.isoformat(),), subject=on.isoformat(), facts=tuple(facts)
    )


def _list_facts(link: etree._Element, on: date, province: str, at: datetime, message: str) -> Iterable[Fact]:
    name = link.get("name", "")
    minutes = merge_minutes(_read_minutes(node) for node in link.iterfind(_qualify_tag("Node")))
    owners = [unit.text or "" for unit in link.iterfind(_qualify_tag("Unit"))] or [province]
    for unit in owners:
        one = Fact(
            unit=unit,
            service=NAME,
            key=json.dumps([name, on.isoformat()], ensure_ascii=False, separators=(",", ":")),
            milestone=PROBED,
            at=at,
            message=message,
            counterpart=name,
            day=on,
            amount=minutes.probed.bit_count(),
            attributes=(("link", name),),
        )
        yield one
        yield attrs.evolve(one, milestone=UP, amount=minutes.up.bit_count())


def _read_minutes(node: etree._Element) -> Minutes:
    said = [node.get(name, "") for name in ("probed", "up")]
    if not all(_HEX.fullmatch(each) for each in said):
        raise Rejected(
            Problem(
                "contract-broken",
                phrase("Node {name}: minutes are not a hexadecimal number", name=node.get("name", "")),
            )
        )
    found = Minutes(*(int(each, 16) for each in said))
    if found.probed >> DAY or found.up & ~found.probed:
        raise Rejected(
            Problem(
                "contract-broken",
                phrase("Node {name}: minutes outside the day, or up but not probed", name=node.get("name", "")),
            )
        )
    return found


def _qualify_tag(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


SERVICE = Service(
    name=NAME,
    read=read_link_message,
    milestones=frozenset({PROBED, UP}),
    attributes=frozenset({"link"}),
    may_report_any_unit=True,
    internal=True,
)
