"""Reads the fields of one element of a dossiers call and collects the problems found in it.

Knows texts, days and element paths. Does not know what the fields mean.

A problem's code is a letter and a path, as for packets: `N.` missing, `R.` out of range, `T.` of the wrong type, `M.`
not matching. All problems of a call are reported together. Deviations that the observed profile tolerates are collected
separately.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime

import attrs
from lxml import etree

from hub.domain.errors import shorten_detail
from hub.domain.local_time import HANOI
from hub.domain.model import Problem
from hub.formats import xsd_types
from hub.language.phrases import Phrase, phrase

NAMESPACE = "urn:lienthong:dossiers:1"
_MOMENT = re.compile(r"(\d{4})" + r"(\d{2})" * 5, re.ASCII)


MOST = 50  #: reported problems of one call, and likewise deviations


@attrs.frozen
class CallNotes:
    """The days that one call may state, and the problems found in it."""

    first: date
    last: date
    refused: list[Problem] = attrs.field(factory=list)
    tolerated: list[Problem] = attrs.field(factory=list)


@attrs.frozen
class CallItem:
    """One element with leaf children."""

    element: etree._Element
    place: str  #: the path as problems show it: `HoSo[2]`
    name: str  #: the dossier's code, shown in the text of its problems
    notes: CallNotes

    def text(self, name: str) -> str:
        """Return the leaf *name* with white space collapsed; empty if it is absent."""
        found = self.element.find(f"{{{NAMESPACE}}}{name}")
        return "" if found is None else xsd_types.read_xs_token(found)

    def must(self, name: str) -> str:
        """Return the leaf *name*. Refuses the item if the leaf is absent or empty."""
        text = self.text(name)
        if not text:
            self.refuse("N", name, phrase("it is empty"))
        return text

    def day(self, name: str) -> date | None:
        """Return the day in Hà Nội of the leaf *name*, `yyyyMMddHHmmss`; None if it is absent or not a time.

        Refuses the item if it is no time, or not on a day that a call may state.
        """
        text = self.text(name)
        if not text:
            return None
        if found := _MOMENT.fullmatch(text):
            try:
                day = datetime(*map(int, found.groups()), tzinfo=HANOI).date()  # type: ignore[arg-type,misc]  # six numbers
            except ValueError:
                pass  # no such calendar day
            else:
                return day if self.allows(name, day) else None
        self.refuse("T", name, phrase("{text} is no yyyyMMddHHmmss", text=text[:50]))
        return None

    def allows(self, name: str, day: date) -> bool:
        """Return whether *day*, of the leaf *name*, is one that a call may state. Refuses the item if it is not."""
        first, last = self.notes.first, self.notes.last
        if first <= day <= last:
            return True
        self.refuse("R", name, phrase("{day} is not from {first} to {last}", day=day, first=first, last=last))
        return False

    def each(self, name: str) -> "Iterator[CallItem]":
        """Yield the children *name*."""
        for number, element in enumerate(self.element.iterfind(f"{{{NAMESPACE}}}{name}"), 1):
            yield attrs.evolve(self, element=element, place=f"{self.place}.{name}[{number}]")

    def refuse(self, letter: str, name: str, why: Phrase) -> None:
        """Add a problem that refuses the call, because the item could not be counted."""
        self._note(self.notes.refused, letter, name, why)

    def tolerate(self, letter: str, name: str, why: Phrase) -> None:
        """Add a deviation: the value is unusual and accepted as it is."""
        self._note(self.notes.tolerated, letter, name, why)

    def _note(self, notes: list[Problem], letter: str, name: str, why: Phrase) -> None:
        if len(notes) < MOST:
            said = phrase("{place}: {detail}", place=self.name, detail=why) if self.name else why
            notes.append(Problem(f"{letter}.{self.place}.{name}", shorten_detail(said, 300)))


def read_call_items(call: etree._Element, name: str, notes: CallNotes, named_by: str) -> Iterator[CallItem]:
    """Yield the children *name* of a call as items, each named by its leaf *named_by*."""
    for number, element in enumerate(call.iterfind(f"{{{NAMESPACE}}}{name}"), 1):
        item = CallItem(element, f"{name}[{number}]", "", notes)
        yield attrs.evolve(item, name=item.text(named_by)[:100])
