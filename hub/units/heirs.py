"""Finds the unit that continues the work of another one on a day, and the units whose work a unit continues.

Knows the registry's units and deeds as values. Does not know partners or the journal.

A unit that has not ended continues its own work. When it has ended, its successors for the part of the work in question
do. Where only one can be meant, it is a single successor, or the one that the deed calls the main one; what another one
reports as its own is its own all the same. A successor that has ended gives way to its own.
"""

from collections.abc import Callable
from datetime import date

from hub.units.deeds import Deed, Estate
from hub.units.unit_index import UnitIndex


def find_heir(units: UnitIndex, code: str, on: date, what: Estate = Estate.DOCUMENTS) -> str | None:
    """Return the one unit that continues *what* of the unit *code* on the day *on*, or None.

    It is the unit itself as long as it has not ended, or is not known. None: it ended without a successor for *what*,
    or with several of which none is the main one.
    """
    found = _follow_deeds(units, code, on, what, _choose_main)
    return found[0] if len(found) == 1 else None


def find_heirs(units: UnitIndex, code: str, on: date, what: Estate = Estate.DOCUMENTS) -> tuple[str, ...]:
    """Return all units that continue *what* of the unit *code* on the day *on*, the main one first; see `find_heir`."""
    return _follow_deeds(units, code, on, what, _choose_all)


def find_forebears(units: UnitIndex, code: str, on: date, what: Estate = Estate.DOCUMENTS) -> tuple[str, ...]:
    """Return the ended units whose *what* the unit *code* continues on the day *on*, nearest first; without itself."""
    code = units.canonical(code)
    found: dict[str, None] = {}
    waiting = list(units.forebears(code))
    while waiting:
        at = waiting.pop(0)
        if at == code or at in found or code not in find_heirs(units, at, on, what):
            continue
        found[at] = None
        waiting.extend(units.forebears(at))
    return tuple(found)


def find_sharing_unit(units: UnitIndex, code: str, on: date) -> str | None:
    """Return the unit whose deed shares the dossiers of *code* out by rules on the day *on*: the unit itself, or the first
    one after it that continues its work. It has ended, or it goes on and a part of it is handed over. None if there are
    no rules.
    """
    seen: set[str] = set()
    code = units.canonical(code)
    while code not in seen:
        seen.add(code)
        unit = units.get(code)
        if unit is None or not unit.until or on < unit.until:  # as nearly always
            return code if units.hands_part_over(code, on) else None
        deeds = _choose_main(units.deeds(code), Estate.DOSSIERS)
        if any(deed.shared for deed in deeds):
            return code
        if len(deeds) != 1:
            return None
        code = deeds[0].successor
    return None


def _follow_deeds(
    units: UnitIndex,
    code: str,
    on: date,
    what: Estate,
    choose: Callable[[tuple[Deed, ...], Estate], tuple[Deed, ...]],
) -> tuple[str, ...]:
    """Return the units to which the deeds lead that *choose* takes of those of each unit that has ended."""
    code = units.canonical(code)
    unit = units.get(code)
    if unit is None or not unit.until or on < unit.until:  # as nearly always
        return (code,)
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [code]
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        unit = units.get(at)
        if unit is not None and unit.until and on >= unit.until:
            waiting.extend(deed.successor for deed in reversed(choose(units.deeds(at), what)))
        else:
            found[at] = None
    return tuple(found)


def _choose_all(deeds: tuple[Deed, ...], what: Estate) -> tuple[Deed, ...]:
    """Return the deeds that hand over *what*, the main one first."""
    return tuple(sorted((deed for deed in deeds if what in deed.estates), key=lambda deed: not deed.main))


def _choose_main(deeds: tuple[Deed, ...], what: Estate) -> tuple[Deed, ...]:
    """Return the deeds that hand over *what*: the main one if there is one, else all."""
    able = _choose_all(deeds, what)
    return able[:1] if able and able[0].main else able
