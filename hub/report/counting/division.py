"""Divides the row of one unit by attributes of its facts, such as the field of a dossier. Knows how a value is spelt, and
how many values a row is divided into. Does not know which facts count.

A value is compared in upper case, in Unicode NFC, with single spaces: two spellings of one code are one row. No value has
a small letter of ASCII, so the words `UNSTATED`, `BEYOND` and `UNDIVIDED` are never values.
"""

import unicodedata
from bisect import insort
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import attrs

from hub.domain.model import Attributes, Fact
from hub.report.form.column import ATTRIBUTES

#: The values of the attributes that divide a row, outermost first.
Values = tuple[str, ...]

UNSTATED = "unstated"  #: nothing is stated
BEYOND = "beyond"  #: the values after the first `MOST` of a unit
UNDIVIDED = "undivided"  #: what was closed when the form did not divide rows
SEPARATOR = "|"  #: between values in the address of a row; no value has it
#: The maximum number of values into which a row is divided, and of rows in a divided table.
MOST = 2_000
_LONGEST = 100  #: the maximum letters of a value
_LONGEST_NAME = 250


@lru_cache(4096)
def write_value(text: str) -> str:
    """Return how a value is spelt in rows."""
    spelt = unicodedata.normalize("NFC", text).upper()
    return " ".join(spelt.split()).replace(SEPARATOR, "/")[:_LONGEST].strip()


def read_address(text: str) -> Values:
    """Return the values that the address *text* of a row names."""
    return tuple(part if part in (UNSTATED, BEYOND, UNDIVIDED) else write_value(part) for part in text.split(SEPARATOR))


def read_values(by: Sequence[str], origin: Fact | None) -> Values:
    """Return the values of the attributes *by* that the fact *origin* states."""
    if origin is None:
        return (UNSTATED,) * len(by)
    if ATTRIBUTES.keys().isdisjoint(by):
        return _read_stated(tuple(by), origin.attributes)
    stated = dict(origin.attributes)
    said = (str(getattr(origin, name)) if name in ATTRIBUTES else stated.get(name, "") for name in by)
    return tuple(write_value(text) or UNSTATED for text in said)


@lru_cache(4096)  # most facts state what many others state
def _read_stated(by: tuple[str, ...], attributes: Attributes) -> Values:
    stated = dict(attributes)
    return tuple(write_value(stated.get(name, "")) or UNSTATED for name in by)


def add_sums(sums: dict[str, int], more: Mapping[str, int]) -> None:
    """Add the amounts *more* to *sums*, column by column."""
    for column, amount in more.items():
        sums[column] = sums.get(column, 0) + amount


@attrs.define
class Division:
    """The numbers of a unit, divided. Of more than `MOST` different values, those that are last in their order are
    counted together, whatever the order of the facts.
    """

    by: tuple[str, ...]  #: the attributes, outermost first
    sums: dict[Values, dict[str, int]] = attrs.field(factory=dict)  #: by values and column; a missing column is 0
    #: by attribute and value: the name in the newest of the messages that state one
    names: dict[str, dict[str, str]] = attrs.field(factory=dict, eq=False)
    _told: dict[tuple[str, str], tuple[datetime, str]] = attrs.field(factory=dict, init=False, eq=False)
    _order: list[Values] = attrs.field(factory=list, init=False, eq=False)

    def count(self, column: str, amount: int, origin: Fact | None) -> None:
        """Add *amount* to *column*, in the row of the values that *origin* states."""
        values = read_values(self.by, origin)
        if values not in self.sums:
            values = self._admit(values)
        if origin is not None and values[0] != BEYOND:
            self._note_names(values, origin)
        sums = self.sums.setdefault(values, {})
        sums[column] = sums.get(column, 0) + amount

    def _admit(self, values: Values) -> Values:
        """Return the values under which the new *values* are counted."""
        beyond = (BEYOND,) * len(self.by)
        if values == (UNSTATED,) * len(self.by):
            return values
        if len(self._order) >= MOST and values > self._order[-1]:
            return beyond
        insort(self._order, values)
        if len(self._order) > MOST:
            add_sums(self.sums.setdefault(beyond, {}), self.sums.pop(self._order.pop()))
        return values

    def _note_names(self, values: Values, origin: Fact) -> None:
        told = (origin.at, origin.message)
        for name, value in zip(self.by, values, strict=True):
            if value == UNSTATED or told < self._told.get((name, value), told):
                continue
            said = dict(origin.attributes).get(f"{name}_name")
            if said:
                self._told[name, value] = told
                self.names.setdefault(name, {})[value] = said[:_LONGEST_NAME]

    def name_values(self, names: Mapping[str, Mapping[str, str]]) -> None:
        """Give its values those of *names*, by attribute and value, instead of the names in the messages."""
        for name, values in zip(self.by, zip(*self.sums, strict=True), strict=False):
            known = names.get(name, {})
            listed = {value: known[value] for value in values if value in known}
            if listed:
                self.names.setdefault(name, {}).update(listed)


def merge_sums(divisions: Sequence[Division]) -> dict[Values, list[Mapping[str, int]]]:
    """Return, for each of the values of *divisions*, its numbers in each of them."""
    every = dict.fromkeys(values for division in divisions for values in division.sums)
    return {values: [division.sums.get(values, {}) for division in divisions] for values in every}


def merge_names(divisions: Sequence[Division]) -> dict[str, dict[str, str]]:
    """Return the names of all values; of a value with several names the last."""
    names: dict[str, dict[str, str]] = {}
    for division in divisions:
        for name, known in division.names.items():
            names.setdefault(name, {}).update(known)
    return names


def write_division(division: Division) -> dict[str, Any]:
    """Return *division* as a value of JSON, the same for the same numbers."""
    rows = [[list(values), dict(sorted(sums.items()))] for values, sums in sorted(division.sums.items())]
    names = {name: dict(sorted(known.items())) for name, known in sorted(division.names.items())}
    return {"by": list(division.by), "rows": rows, "names": names}


def read_division(said: Mapping[str, Any]) -> Division:
    """Return the division that `write_division` wrote."""
    return Division(tuple(said["by"]), {tuple(values): dict(sums) for values, sums in said["rows"]}, said["names"])
