"""Reads what a packet's header states beyond QCVN 102: that it is secret, or the hour of sending.

Knows `markings.toml`. Contains no rules.

QCVN 102 excludes secret documents and has no element for secrecy, nor one for the hour of a timed
document. So the elements that systems add are listed as data, which can be corrected without code.
"""

import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs
from lxml import etree

from hub.edxml.schema import QCVN, read_local_name
from hub.language.phrases import Phrase, phrase

_HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
_SPACE = " \t\r\n"
_DASHED = re.compile(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)


@attrs.frozen
class Marking:
    """One element that was found: its name, its text, its line."""

    name: str
    text: str
    line: Phrase


@cache
def _names(which: str, key: str = "elements") -> frozenset[str]:
    content = Path(__file__).with_name("markings.toml").read_text("utf-8")
    return frozenset(name.casefold() for name in tomllib.loads(content)[which][key])


def find_secret_marking(root: etree._Element) -> Marking | None:
    """Return the element in the header of the packet *root* that marks it as secret. Return None if there is none."""
    opened = _names("secret", "open")
    return next((found for found in _found(root, "secret") if found.text.casefold() not in opened), None)


def find_sending_hour(root: etree._Element) -> datetime | None:
    """Return the hour at which the packet *root* is to be sent. Return None if it states none that can be read."""
    return next(filter(None, (read_hour(found.text) for found in _found(root, "hour"))), None)


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


def _found(root: etree._Element, which: str) -> Iterator[Marking]:
    header = root.find(f"{{{QCVN}}}edXMLEnvelope/{{{QCVN}}}edXMLHeader")
    names = _names(which)
    for element in () if header is None else header.iter("*"):
        if len(element) == 0 and read_local_name(element).casefold() in names:
            yield Marking(
                read_local_name(element),
                (element.text or "").strip(_SPACE),
                phrase("line {line}", line=element.sourceline),
            )
