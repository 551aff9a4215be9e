"""Finds the units of a report by the names that people write in their own workbooks: without diacritics, shortened, or
those of before a merger.

Knows the units of the province with their histories as values. Does not know files or the database. How names are
shortened is in `unit_names.toml`.
"""

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Self

import attrs

from hub.domain.model import Unit
from hub.domain.plain_text import write_plain_words
from hub.domain.unit_match import UnitMatch
from hub.language.phrases import phrase
from hub.units.deeds import Deed, Estate
from hub.units.heirs import find_heir, find_heirs
from hub.units.unit_index import UnitIndex

_FILE = Path(__file__).with_name("unit_names.toml")
_REMARK = re.compile(r"\s*\([^()]*\)\s*$")
#: The units that a mistake lists by code.
_LISTED = 5


@attrs.frozen
class UnitNames:
    """The units of a report, by everything that they are or were called. Implements `UnitFinder`."""

    _by_code: Mapping[str, str]  #: codes and aliases in capital letters
    #: units, each with the name meant, by whole names; without the office; without the kind too
    _by_name: tuple[Mapping[str, tuple[tuple[str, str], ...]], ...]
    _names: Mapping[str, str]  #: what each unit is called at the end of the period, or was last
    _parents: Mapping[str, str | None]
    _heirs: Mapping[str, tuple[str, ...]]  #: who has the work of each unit in the period: itself, or its successors
    _members: frozenset[str]

    @classmethod
    def of(
        cls, units: Iterable[Unit], deeds: Collection[Deed], members: Collection[str], first: date, last: date
    ) -> Self:
        """Return the names of *units*, which have all their versions. *members*: the units of the report; *first*,
        *last*: the days of its period.
        """
        given = list(units)
        index = UnitIndex.of(given, last, deeds)
        by_code: dict[str, str] = {}
        by_name: tuple[dict[str, dict[tuple[str, str], None]], ...] = ({}, {}, {})
        heirs: dict[str, tuple[str, ...]] = {}
        for unit in given:
            has_ended = unit.until is not None and unit.until <= first
            heirs[unit.code] = _find_meant(index, unit.code, last) if has_ended else (unit.code,)
            for name in dict.fromkeys((unit.name, *(change.name for change in unit.changes))):
                for held, key in zip(by_name, _write_keys(name), strict=True):
                    held.setdefault(key, {})[unit.code, name] = None
            for alias in unit.aliases:
                by_code.setdefault(alias.upper(), index.canonical(alias))
        by_code |= {unit.code.upper(): unit.code for unit in given}
        now = [unit.at(last) for unit in given]
        return cls(
            by_code,
            tuple({key: tuple(meant) for key, meant in held.items()} for held in by_name),
            {unit.code: unit.name for unit in now},
            {unit.code: unit.parent for unit in now},
            heirs,
            frozenset(members),
        )

    def find_named_unit(self, text: str, under: str = "") -> UnitMatch:
        """See `UnitFinder`."""
        code = self._by_code.get("".join(text.split()).upper())
        found = ((code, self._names[code]),) if code is not None else self._find_by_name(text)
        if not found:
            return UnitMatch("", wrong=phrase("no unit of the report is called “{name}”", name=text))
        chosen = self._narrow(found, text, under)
        if len({self._heirs[code] for code, _ in chosen}) > 1:
            units = self._list([code for code, _ in chosen])
            return UnitMatch(
                "", wrong=phrase("several units are called “{name}”: {units}; write the code", name=text, units=units)
            )
        named, called = chosen[0]
        heirs = self._heirs[named]
        shown = f"{self._names[named]} ({named})"
        wrong = None
        if not heirs:
            wrong = phrase("{unit} has ended, and no unit continues its work", unit=shown)
        elif len(heirs) > 1:
            wrong = phrase(
                "{unit} has ended, and several units continue its work: {units}; write the figures of each of them",
                unit=shown,
                units=self._list(heirs),
            )
        elif heirs[0] not in self._members:
            wrong = phrase("{unit} is not a unit of this report", unit=shown)
        return UnitMatch("" if wrong else heirs[0], named, called, wrong)

    def has_units_below(self, code: str) -> bool:
        """See `UnitFinder`."""
        return code in self._parents.values()

    def suggest_names(self, text: str) -> tuple[str, ...]:
        """See `UnitFinder`."""
        plain = {write_plain_words(self._names[code]): code for code in sorted(self._members & self._names.keys())}
        near = get_close_matches(_write_keys(text)[0], plain, n=3, cutoff=0.7)
        return tuple(f"{self._names[plain[each]]} ({plain[each]})" for each in near)

    def _find_by_name(self, text: str) -> tuple[tuple[str, str], ...]:
        for held, key in zip(self._by_name, _write_keys(text), strict=True):
            if key and key in held:
                return held[key]
        return ()

    def _narrow(self, found: Sequence[tuple[str, str]], text: str, under: str) -> Sequence[tuple[str, str]]:
        """Return those of *found* that are meant: of the report, in the part of the list, in force, called so today,
        written exactly so. What would leave none is not asked.
        """
        exact = " ".join(text.casefold().split())
        meant: tuple[Callable[[str, str], bool], ...] = (
            lambda code, _: not self._members.isdisjoint(self._heirs[code]),
            lambda code, _: bool(under) and self._parents[code] == under,
            lambda code, _: self._heirs[code] == (code,),
            lambda code, name: self._names[code] == name,
            lambda _, name: name.casefold() == exact,
        )
        for is_meant in meant:
            found = [each for each in found if is_meant(*each)] or found
        return found

    def _list(self, codes: Sequence[str]) -> str:
        shown = ", ".join(f"{self._names.get(code, code)} ({code})" for code in codes[:_LISTED])
        return f"{shown}, …" if len(codes) > _LISTED else shown


def _find_meant(index: UnitIndex, code: str, on: date) -> tuple[str, ...]:
    """Return the unit whose figures those of the unit *code*, which has ended, are now; several, if none is the main one."""
    heir = find_heir(index, code, on, Estate.DOSSIERS)
    return (heir,) if heir else find_heirs(index, code, on, Estate.DOSSIERS)


def _write_keys(name: str) -> tuple[str, str, str]:
    """Return the words by which *name* is found: all, without the office and a remark in brackets at the end, without
    the kind of unit too.
    """
    short, pattern, office, kind = _read_usage()

    def expand(text: str) -> str:
        return pattern.sub(lambda found: short[found[0]], write_plain_words(text))

    bare = _drop_leading(expand(_REMARK.sub("", name)), office)
    return expand(name), bare, _drop_leading(bare, kind)


def _drop_leading(words: str, leading: Sequence[str]) -> str:
    return next((words[len(each) + 1 :] for each in leading if words.startswith(f"{each} ")), words)


@cache
def _read_usage() -> tuple[Mapping[str, str], re.Pattern[str], Sequence[str], Sequence[str]]:
    said = tomllib.loads(_FILE.read_text("utf-8"))
    short = {write_plain_words(key): write_plain_words(text) for key, text in said["short"].items()}
    longest_first = sorted(short, key=len, reverse=True)
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b")
    office, kind = ([write_plain_words(each) for each in said["leading"][word]] for word in ("office", "kind"))
    return short, pattern, office, kind
