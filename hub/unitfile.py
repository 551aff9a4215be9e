"""A list of units as a CSV file: read with every mistake at once.  Knows columns and what must agree; not the database.

Columns, in any order: `code`, `name`; optional `parent`, `since`, `until` (2025-07-01; the unit is active from the first day up
to, not on, the last) and `aliases` (other codes of the same unit, separated by spaces or semicolons).
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from hub.errors import Mistake
from hub.model import Unit

COLUMNS = ("code", "name", "parent", "since", "until", "aliases")


def read(content: bytes, name: str, known: Sequence[Unit]) -> tuple[list[Unit], list[Mistake]]:
    """Return the units of the file *name* and its mistakes; *known* are those the registry has, which the file may name or replace."""
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = rows.fieldnames or []
        problem = _header(header)
        if problem:
            return [], [Mistake(f"{name}:1", problem, f"the columns {', '.join(COLUMNS)}; code and name at least")]
        mistakes: list[Mistake] = []
        units: dict[str, tuple[str, Unit]] = {}
        for row in rows:
            place = f"{name}:{rows.line_num}"
            unit = _unit(row, place, mistakes)
            if unit.code in units:
                mistakes.append(
                    Mistake(f"{place}: code", f"{unit.code} stands at {units[unit.code][0]} too", "each unit once")
                )
            units.setdefault(unit.code, (place, unit))
    except UnicodeDecodeError as error:
        return [], [Mistake(name, f"is not UTF-8: {error.reason} at octet {error.start}", "a CSV file in UTF-8")]
    except csv.Error as error:
        return [], [Mistake(name, f"is not CSV: {error}", "a CSV file in UTF-8")]
    mistakes += _disagreements(units, known)
    return [unit for _, unit in units.values()], mistakes


def _header(names: Sequence[str]) -> str | None:
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in COLUMNS[:2] if name not in names]
    if unknown or missing or len(set(names)) < len(names):
        return f"the first line is {','.join(names)!r}"
    return None


def _unit(row: Mapping[str | None, object], place: str, mistakes: list[Mistake]) -> Unit:
    def text(column: str) -> str:
        return str(row.get(column) or "").strip()

    def day(column: str) -> date | None:
        if not text(column):
            return None
        try:
            return date.fromisoformat(text(column))
        except ValueError:
            mistakes.append(Mistake(f"{place}: {column}", f"{text(column)!r} is no day", "a day such as 2025-07-01"))
            return None

    if None in row:
        mistakes.append(Mistake(place, "there are more values than columns", "one value a column; quote a comma"))
    unit = Unit(
        code=text("code"),
        name=text("name"),
        parent=text("parent") or None,
        since=day("since"),
        until=day("until"),
        aliases=tuple(dict.fromkeys(text("aliases").replace(";", " ").split())),
    )
    for column, value in (("code", unit.code), ("name", unit.name)):
        if not value:
            mistakes.append(Mistake(f"{place}: {column}", "is empty", f"a {column}"))
    if " " in unit.code or len(unit.code) > 64 or not unit.code.isprintable():
        mistakes.append(
            Mistake(f"{place}: code", f"{unit.code!r} does not fit", "a code without spaces, such as H55.13")
        )
    if unit.since and unit.until and unit.until <= unit.since:
        mistakes.append(Mistake(f"{place}: until", f"{unit.until} is not after {unit.since}", "a day after `since`"))
    return unit


def _disagreements(units: Mapping[str, tuple[str, Unit]], known: Sequence[Unit]) -> Iterable[Mistake]:
    held = {unit.code: unit for unit in known} | {code: unit for code, (_, unit) in units.items()}
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for unit in held.values():
        for alias in unit.aliases:
            owners[alias].append(unit.code)
    for code, (place, unit) in units.items():
        if unit.parent is not None and unit.parent not in held:
            yield Mistake(
                f"{place}: parent", f"there is no unit {unit.parent}", "a unit of this file or of the registry"
            )
        elif _circles(unit, held):
            yield Mistake(f"{place}: parent", f"{code} stands above itself", "parents that lead to a topmost unit")
        for alias in unit.aliases:
            others = [owner for owner in owners[alias] if owner != code]
            if others or alias in held:
                owner = others[0] if others else alias
                yield Mistake(f"{place}: aliases", f"{alias} is a code of {owner} too", "each code for one unit")
        if owners.get(code):
            yield Mistake(f"{place}: code", f"{code} is an alias of {owners[code][0]}", "each code for one unit")


def _circles(unit: Unit, held: Mapping[str, Unit]) -> bool:
    seen: set[str] = set()
    at: Unit | None = unit
    while at is not None and at.code not in seen:
        seen.add(at.code)
        at = held.get(at.parent) if at.parent else None
    return at is not None
