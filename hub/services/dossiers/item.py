"""One part of a call about dossiers, and what is found wrong with it.  Knows texts, days and places; not what they mean.

Problems are coded as those of packets: `N.` missing, `R.` out of range, `T.` of the wrong type, `M.` not matching, and the path.
Every problem of a call is told together; what the observed profile tolerates is noted beside.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime

import attrs
from lxml import etree

from hub.domain.local_time import HANOI
from hub.domain.model import Problem
from hub.formats import xsd_types

NAMESPACE = "urn:lienthong:dossiers:1"
_MOMENT = re.compile(r"(\d{4})" + r"(\d{2})" * 5, re.ASCII)


MOST = 50  #: problems of one call that are told, and as many deviations


@attrs.frozen
class CallNotes:
    """What is wrong with one call."""

    refused: list[Problem] = attrs.field(factory=list)
    tolerated: list[Problem] = attrs.field(factory=list)


@attrs.frozen
class CallItem:
    """One element with leaves."""

    element: etree._Element
    place: str  #: as problems name it: `HoSo[2]`
    name: str  #: of the dossier, for whoever reads the problem
    notes: CallNotes

    def text(self, name: str) -> str:
        """Return the leaf *name* with white space collapsed; empty when there is none."""
        found = self.element.find(f"{{{NAMESPACE}}}{name}")
        return "" if found is None else xsd_types.read_xs_token(found)

    def must(self, name: str) -> str:
        """Return the leaf *name*, which must say something."""
        text = self.text(name)
        if not text:
            self.refuse("N", name, "it says nothing")
        return text

    def day(self, name: str) -> date | None:
        """Return the day in Hà Nội of the leaf *name*, `yyyyMMddHHmmss`; None when there is none."""
        text = self.text(name)
        if not text:
            return None
        if found := _MOMENT.fullmatch(text):
            try:
                return datetime(*map(int, found.groups()), tzinfo=HANOI).date()  # type: ignore[arg-type,misc]  # six numbers
            except ValueError:
                pass  # a day that no calendar has
        self.refuse("T", name, f"{text[:50]} is no yyyyMMddHHmmss")
        return None

    def each(self, name: str) -> "Iterator[CallItem]":
        """Yield the children *name*."""
        for number, element in enumerate(self.element.iterfind(f"{{{NAMESPACE}}}{name}"), 1):
            yield attrs.evolve(self, element=element, place=f"{self.place}.{name}[{number}]")

    def refuse(self, letter: str, name: str, why: str) -> None:
        """Note what nobody could count."""
        self._note(self.notes.refused, letter, name, why)

    def tolerate(self, letter: str, name: str, why: str) -> None:
        """Note what is odd, and taken as it is."""
        self._note(self.notes.tolerated, letter, name, why)

    def _note(self, notes: list[Problem], letter: str, name: str, why: str) -> None:
        if len(notes) < MOST:
            said = f"{self.name}: {why}" if self.name else why
            notes.append(Problem(f"{letter}.{self.place}.{name}", said[:300]))


def read_call_items(call: etree._Element, name: str, notes: CallNotes, named_by: str) -> Iterator[CallItem]:
    """Yield the children *name* of a call, each named by its leaf *named_by*."""
    for number, element in enumerate(call.iterfind(f"{{{NAMESPACE}}}{name}"), 1):
        item = CallItem(element, f"{name}[{number}]", "", notes)
        yield attrs.evolve(item, name=item.text(named_by)[:100])
