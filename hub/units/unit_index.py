"""The units of the registry, packed for look-up: sorted texts in one byte string each, found by bisection.

Knows codes, aliases and their storage. Does not know what a unit may send or receive. 111,000 agencies take about 8 MB
in this form; a dict of `Unit` takes four times as much. A look-up takes microseconds instead of a fraction of one
(docs/explanation/why.md), so the units looked up last are kept unpacked.
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Self, TypeVar

import attrs

from hub.domain.model import Unit, UnitKind, find_code_holder
from hub.units.deeds import Deed, complete_deeds

T = TypeVar("T")


@attrs.frozen(eq=False)
class PackedTexts:
    """Texts packed into one byte string. `find` needs them in ascending order."""

    _octets: bytes
    _ends: "array[int]"  #: the start offset of each text, and the end of the last one

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Pack *texts* in the order given."""
        ends, pieces, end = array("I", [0]), bytearray(), 0
        for text in texts:
            octets = _octets(text)
            pieces += octets
            end += len(octets)
            ends.append(end)
        return cls(bytes(pieces), ends)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        return self._piece(index).decode("utf-8", "surrogatepass")

    def find(self, text: str) -> int | None:
        """Return the index of *text*; None if it is absent."""
        wanted = _octets(text)
        found = bisect_left(range(len(self)), wanted, key=self._piece)
        return found if found < len(self) and self._piece(found) == wanted else None

    def _piece(self, index: int) -> bytes:
        return self._octets[self._ends[index] : self._ends[index + 1]]


#: Codes whose unit, and whose canonical code, an index keeps: more than the units of a province.
KEPT = 2048


@attrs.frozen(eq=False)
class UnitIndex:
    """An immutable index of every unit, by code and by alias."""

    _codes: PackedTexts
    _names: PackedTexts
    _parents: Sequence[int]  #: index of the parent; negative for none
    _strays: Mapping[int, str]  #: index of a unit -> its parent's code, for the few parents that are not units
    _since: Sequence[int]  #: days as `date.toordinal` counts them; 0 for none
    _until: Sequence[int]
    _marks: bytes  #: for each unit, an index into `_words`
    _words: tuple[str, ...]
    _aliases: PackedTexts
    _owners: Sequence[int]  #: for each alias, the index of its unit
    _by_owner: Sequence[int]  #: the indices of the aliases, sorted by unit
    _successors: Mapping[int, tuple[str, ...]]
    _deeds: Mapping[str, tuple[Deed, ...]]  #: by the code of the unit that ends
    _parts: Mapping[str, tuple[Deed, ...]]  #: the deeds for a part of a unit that goes on, by its code
    _forebears: Mapping[str, tuple[str, ...]]  #: the units that name a unit as successor, by its code
    day: date  #: the day on which codes mean what they mean here
    _sorts: Mapping[int, tuple[str, str]]  #: index of a unit -> its level and kind, for those that say either
    _canonical: dict[str, str] = attrs.field(factory=dict, init=False)  #: results of `canonical`
    _found: dict[str, Unit | None] = attrs.field(factory=dict, init=False)  #: results of `get`

    @classmethod
    def of(cls, units: Iterable[Unit], on: date = date.max, deeds: Collection[Deed] = ()) -> Self:
        """Pack *units* as they are on the day *on*, in any order, each code once, and the *deeds* about them.

        An alias that passed from unit to unit means its holder on that day.
        """
        given = [unit.at(on) for unit in units]
        given.sort(key=_read_code)
        codes = PackedTexts.of(unit.code for unit in given)
        words = tuple(dict.fromkeys(unit.mark for unit in given))
        numbers = {word: number for number, word in enumerate(words)}
        indices = {unit.code: index for index, unit in enumerate(given)}
        parents = array("i", (indices.get(unit.parent, -1) if unit.parent else -1 for unit in given))
        owned_by: dict[str, list[Unit]] = {}
        for unit in given:
            for alias in unit.aliases:
                owned_by.setdefault(alias, []).append(unit)
        pairs = [
            (alias, indices[unit.code]) for alias in sorted(owned_by) for unit in _holder_first(owned_by[alias], on)
        ]
        aliases = [alias for alias, _ in pairs]
        following = {unit.code: unit.successors for unit in given if unit.successors}
        forebears: dict[str, tuple[str, ...]] = {}
        for code, successors in following.items():
            for successor in successors:
                forebears[successor] = (*forebears.get(successor, ()), code)
        parts: dict[str, tuple[Deed, ...]] = {}
        for deed in deeds:
            if deed.since is not None:
                parts[deed.unit] = (*parts.get(deed.unit, ()), deed)
        owned = array("I", (owner for _, owner in pairs))
        return cls(
            codes,
            PackedTexts.of(unit.name for unit in given),
            parents,
            {i: unit.parent for i, unit in enumerate(given) if unit.parent and parents[i] < 0},
            array("i", (unit.since.toordinal() if unit.since else 0 for unit in given)),
            array("i", (unit.until.toordinal() if unit.until else 0 for unit in given)),
            bytes(numbers[unit.mark] for unit in given),
            words,
            PackedTexts.of(aliases),
            owned,
            array("I", sorted(range(len(aliases)), key=owned.__getitem__)),
            {index: unit.successors for index, unit in enumerate(given) if unit.successors},
            complete_deeds(following, deeds),
            parts,
            forebears,
            on,
            {index: (unit.level, unit.kind) for index, unit in enumerate(given) if unit.level or unit.kind},
        )

    def list_drill_units(self) -> frozenset[str]:
        """Return the codes of the test units of inspectors' drills."""
        return frozenset(self._codes[index] for index, (_, kind) in self._sorts.items() if kind == UnitKind.DRILL)

    def __len__(self) -> int:
        return len(self._codes)

    def __iter__(self) -> Iterator[Unit]:
        """Yield every unit, sorted by code."""
        return map(self._unit, range(len(self)))

    def __contains__(self, code: object) -> bool:
        return isinstance(code, str) and self._codes.find(code) is not None

    def canonical(self, code: str) -> str:
        """Return the code of the unit that *code* is an alias of, on the day of this index; else *code*."""
        known = self._canonical.get(code)
        if known is None:
            found = self._aliases.find(code)
            known = code if found is None else self._codes[self._owners[found]]
            _keep_units(self._canonical, code, known)
        return known

    def get(self, code: str) -> Unit | None:
        """Return the unit with the code *code*; None if there is none. Aliases are not looked up."""
        try:
            return self._found[code]
        except KeyError:
            pass
        found = self._codes.find(code)
        unit = None if found is None else self._unit(found)
        _keep_units(self._found, code, unit)
        return unit

    def deeds(self, code: str) -> tuple[Deed, ...]:
        """Return the deeds by which others continue the work of the unit *code* after its end, one for each successor."""
        return self._deeds.get(code, ())

    def hands_part_over(self, code: str, on: date) -> bool:
        """Return whether a deed gives others a part of the dossiers of the unit *code*, which goes on, on the day *on*."""
        return any(deed.since is not None and deed.since <= on for deed in self._parts.get(code, ()))

    def list_deeds(self) -> tuple[Deed, ...]:
        """Return all deeds: by the unit that ends, then those for a part."""
        return tuple(deed for found in (self._deeds, self._parts) for deeds in found.values() for deed in deeds)

    def list_followed(self) -> tuple[str, ...]:
        """Return the units that name a successor, whether they have ended or not."""
        return tuple(self._deeds)

    def forebears(self, code: str) -> tuple[str, ...]:
        """Return the units that name the unit *code* as their successor, by code; whether they have ended or not."""
        return self._forebears.get(code, ())

    def _unit(self, index: int) -> Unit:
        parent, since, until = self._parents[index], self._since[index], self._until[index]
        return Unit(
            self._codes[index],
            self._names[index],
            self._codes[parent] if parent >= 0 else self._strays.get(index),
            date.fromordinal(since) if since else None,
            date.fromordinal(until) if until else None,
            tuple(self._aliases_of(index)),
            self._words[self._marks[index]],
            self._successors.get(index, ()),
            *self._sorts.get(index, ("", "")),
        )

    def _aliases_of(self, index: int) -> Iterator[str]:
        at = bisect_left(self._by_owner, index, key=self._owners.__getitem__)
        while at < len(self._by_owner) and self._owners[self._by_owner[at]] == index:
            yield self._aliases[self._by_owner[at]]
            at += 1


def _keep_units(kept: dict[str, T], code: str, found: T) -> None:
    if len(kept) >= KEPT:
        kept.clear()
    kept[code] = found


def _holder_first(owners: list[Unit], on: date) -> list[Unit]:
    """Return the *owners* of one alias with its holder first, because a search finds the first of equal entries."""
    if len(owners) == 1:
        return owners
    first = find_code_holder(owners, on)
    return [first, *(unit for unit in owners if unit is not first)]


def _read_code(unit: Unit) -> str:
    return unit.code


def _octets(text: str) -> bytes:
    """Return octets that sort in the same order as the texts."""
    return text.encode("utf-8", "surrogatepass")
