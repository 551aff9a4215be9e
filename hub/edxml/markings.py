"""Reads what a packet's header states beyond QCVN 102: that it is secret, or the hour of sending.

Knows `markings.toml`. Contains no rules.

QCVN 102 excludes secret documents and has no element for secrecy, nor one for the hour of a timed
document. So the elements that systems add are listed as data, which can be corrected without code.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
from lxml import etree

from hub.edxml.schema import QCVN, load_packet_schema, read_local_name
from hub.language.phrases import Phrase, phrase

_HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
_SPACE = " \t\r\n"
_HEADER = f"{{{QCVN}}}edXMLEnvelope/{{{QCVN}}}edXMLHeader"
_DASHED = re.compile(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)


@attrs.frozen
class Marking:
    """One element that was found: its name, its text, its line."""

    name: str
    text: str
    line: Phrase


@attrs.frozen
class Markings:
    """What a packet's header states beyond QCVN 102."""

    secret: Marking | None = None  #: the element that marks the packet as secret
    hour: datetime | None = None  #: the hour at which it is to be sent


NOTHING = Markings()
#: The elements that may contain anything although the packet conforms to the strict schema.
_OPEN = ("{http://www.w3.org/2000/09/xmldsig#}*", f"{{{QCVN}}}ErrorList")


@cache
def _read_rules() -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_name("markings.toml").read_text("utf-8"))


@lru_cache(4096)
def _choose_rule(tag: str) -> str:
    """Return the name of the rule for elements with this *tag*. Return an empty text if there is none."""
    name = tag.rpartition("}")[2].casefold()
    return next((rule for rule, said in _read_rules().items() if name in map(str.casefold, said["elements"])), "")


def is_marking(tag: str) -> bool:
    """Tell whether an element with this *tag* may mark a packet as secret or state its hour."""
    return bool(_choose_rule(tag))


@cache
def _list_open() -> frozenset[str]:
    return frozenset(map(str.casefold, _read_rules()["secret"]["open"]))


@cache
def list_places() -> tuple[str, ...]:
    """Return the tags (or `{namespace}*`) of which a packet has at least one if it is marked and conforms to the
    strict schema.
    """
    shapes = [load_packet_schema(kind).root for kind in ("document", "status")]
    known = {part.tag for shape in shapes for part in shape.every_part()}
    return (*_OPEN, *sorted(filter(_choose_rule, known)))


def find_markings(root: etree._Element) -> Markings:
    """Return the first element that marks the packet *root* as secret, and the first hour that can be read."""
    header = root.find(_HEADER)
    marked = [] if header is None else [each for each in header.iter("*") if _choose_rule(each.tag) and not len(each)]
    if not marked:
        return NOTHING
    found = [(_choose_rule(each.tag), _read_marking(each)) for each in marked]
    secret = next((each for rule, each in found if rule == "secret" and each.text.casefold() not in _list_open()), None)
    hour = next(filter(None, (read_hour(each.text) for rule, each in found if rule == "hour")), None)
    return Markings(secret, hour)


def read_hour(text: str) -> datetime | None:
    """Read an hour, `2026/11/24 08:00` or ISO 8601, in Hà Nội's zone unless it has an offset.

    Return None if it is not one.
    """
    try:
        if found := _DASHED.fullmatch(text):
            local = datetime(*(int(part or 0) for part in found.groups()), tzinfo=_HANOI)  # type: ignore[arg-type,misc]
        else:
            local = datetime.fromisoformat(text)
        return (local if local.tzinfo else local.replace(tzinfo=_HANOI)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _read_marking(element: etree._Element) -> Marking:
    return Marking(
        read_local_name(element),
        (element.text or "").strip(_SPACE),
        phrase("line {line}", line=element.sourceline),
    )
