"""Determines which units a unit's report sums up. Knows parents and days. Does not know what is counted."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date

from hub.domain.model import Unit, UnitMark


def list_unit_family(units: Iterable[Unit], code: str, on: date | None = None) -> tuple[str, ...]:
    """Return *code* and every unit below it, parents before children, siblings in the order given.

    *on*: the first day after the period. The tree is then that of the period's end. A unit that begins on that day or
    later is left out, unless a unit below it belongs to the tree. A unit that has ended stays in its place, because its
    facts do. Agencies outside the province are in no family. A unit that the registry does not know is a family of one.
    A cycle of parents is walked once.
    """
    children: dict[str, list[str]] = {}
    parents: dict[str, str] = {}
    begun: set[str] = {code}
    for unit in units:
        if unit.parent and unit.mark != UnitMark.NATIONAL:
            children.setdefault(unit.parent, []).append(unit.code)
            parents[unit.code] = unit.parent
        if on is None or unit.since is None or unit.since < on:
            begun.add(unit.code)
    found: dict[str, None] = {}
    waiting = [code]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found[current] = None
            waiting.extend(reversed(children.get(current, ())))
    needed: set[str] = set()
    for member in reversed(found):  # children before parents
        if member in begun or member in needed:
            needed |= {member, parents.get(member, member)}
    return tuple(member for member in found if member in needed)


def list_unit_lineage(units: Iterable[Unit], code: str) -> tuple[str, ...]:
    """Return *code*, its parent, that unit's parent and so on. A unit that the registry does not know is returned
    alone.
    """
    parents = {unit.code: unit.parent for unit in units}
    found: dict[str, None] = {}
    current: str | None = code
    while current and current not in found:
        found[current] = None
        current = parents.get(current)
    return tuple(found)


def find_nearest_above(units: Mapping[str, Unit], wanted: Collection[str], code: str) -> str | None:
    """Return *code* if it is one of *wanted*, else the nearest unit above it that is; None if there is none."""
    seen: set[str] = set()
    current: str | None = code
    while current is not None and current not in seen:
        if current in wanted:
            return current
        seen.add(current)
        unit = units.get(current)
        current = unit.parent if unit is not None else None
    return None
