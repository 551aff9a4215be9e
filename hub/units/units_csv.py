"""Reads and writes a list of units as a CSV file. Reports all mistakes of a file at once. Knows no database.

Columns, in any order: `code`, `name`; optional `parent`, `since`, `until`, `aliases`, `successors`, `mark`. `since` and
`until` are days such as 2025-07-01; the unit is active from `since` until the day before `until`. `aliases` are other
codes of the same unit, and `successors` the units that continue its work from `until` on; both are separated by spaces
or semicolons. `mark` is a `UnitMark`.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

from hub.domain.errors import Mistake
from hub.domain.model import Unit, UnitMark, is_province_code
from hub.language.phrases import Phrase, phrase

COLUMNS = ("code", "name", "parent", "since", "until", "aliases", "successors", "mark")

_STEP = 2000  #: lines between two progress reports


def write_units_csv(units: Iterable[Unit]) -> bytes:
    """Return *units* as CSV that `read_units_csv` reads back unchanged.

    UTF-8 with a BOM, because spreadsheets recognise UTF-8 by it.
    """
    lines = io.StringIO()
    rows = csv.writer(lines)
    rows.writerow(COLUMNS)
    for unit in units:
        days = unit.since or "", unit.until or ""
        listed = " ".join(unit.aliases), " ".join(unit.successors)
        rows.writerow((unit.code, unit.name, unit.parent or "", *days, *listed, unit.mark))
    return lines.getvalue().encode("utf-8-sig")


def read_units_csv(
    content: bytes,
    name: str,
    known: Sequence[Unit],
    progress: Callable[[int], None] = lambda _lines: None,
    *,
    province: str = "",
) -> tuple[list[Unit], list[Mistake]]:
    """Return the units of the file *name* and its mistakes.

    *known* are the units of the registry, which the file may name or replace. *progress* is called now and then with
    the number of lines read since its last call. An agency outside must not have a code of *province*.
    """
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = rows.fieldnames or []
        problem = _header(header)
        if problem:
            return [], [
                Mistake(
                    f"{name}:1",
                    problem,
                    phrase("the columns {columns}; code and name at least", columns=", ".join(COLUMNS)),
                )
            ]
        mistakes: list[Mistake] = []
        units: dict[str, tuple[str, Unit]] = {}
        told = 0
        for row in rows:
            place = f"{name}:{rows.line_num}"
            if rows.line_num >= told + _STEP:
                progress(rows.line_num - told)
                told = rows.line_num
            unit = _unit(row, place, mistakes)
            if unit.mark == UnitMark.NATIONAL and province:
                ours = [code for code in (unit.code, *unit.aliases) if is_province_code(code, province)]
                expected = phrase("an agency of another province or of none")
                mistakes += (
                    Mistake(f"{place}: mark", phrase("{code} is a code of the province", code=code), expected)
                    for code in ours
                )
            if unit.code in units:
                mistakes.append(
                    Mistake(
                        f"{place}: code",
                        phrase("{code} is also at {units}", code=unit.code, units=units[unit.code][0]),
                        phrase("each unit once"),
                    )
                )
            units.setdefault(unit.code, (place, unit))
    except UnicodeDecodeError as error:
        return [], [
            Mistake(
                name,
                phrase("is not UTF-8: {reason} at octet {start}", reason=error.reason, start=error.start),
                phrase("a CSV file in UTF-8"),
            )
        ]
    except csv.Error as error:
        return [], [Mistake(name, phrase("is not CSV: {error}", error=error), phrase("a CSV file in UTF-8"))]
    mistakes += find_unit_disagreements(units, known)
    return [unit for _, unit in units.values()], mistakes


def _header(names: Sequence[str]) -> Phrase | None:
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in COLUMNS[:2] if name not in names]
    if unknown or missing or len(set(names)) < len(names):
        return phrase("the first line is {names}", names=repr(",".join(names)))
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
            mistakes.append(
                Mistake(
                    f"{place}: {column}",
                    phrase("{text} is not a day", text=repr(text(column))),
                    phrase("a day such as 2025-07-01"),
                )
            )
            return None

    if None in row:
        mistakes.append(
            Mistake(place, phrase("there are more values than columns"), phrase("one value a column; quote a comma"))
        )
    unit = Unit(
        code=text("code"),
        name=text("name"),
        parent=text("parent") or None,
        since=day("since"),
        until=day("until"),
        aliases=_codes(text("aliases")),
        mark=text("mark"),
        successors=_codes(text("successors")),
    )
    mistakes += _unfit(unit, place)
    return unit


def _unfit(unit: Unit, place: str) -> Iterable[Mistake]:
    for column, value in (("code", unit.code), ("name", unit.name)):
        if not value:
            yield Mistake(f"{place}: {column}", phrase("is empty"), phrase("a {column}", column=column))
    for column, codes in (("code", (unit.code,)), ("aliases", unit.aliases)):
        for code in codes:
            if not fits_unit_code(code):
                expected = phrase("a code without spaces, such as H55.13")
                yield Mistake(f"{place}: {column}", phrase("{code} does not fit", code=repr(code)), expected)
    if not is_storable_name(unit.name):
        yield Mistake(f"{place}: name", phrase("{name} does not fit", name=repr(unit.name)), phrase("a name"))
    if unit.mark not in {*UnitMark}:
        expected = phrase("one of {unitmark}", unitmark=", ".join(mark or repr("") for mark in UnitMark))
        yield Mistake(f"{place}: mark", phrase("{mark} is not known", mark=repr(unit.mark)), expected)
    if unit.since and unit.until and unit.until <= unit.since:
        yield Mistake(
            f"{place}: until",
            phrase("{until} is not after {since}", until=unit.until, since=unit.since),
            phrase("a day after `since`"),
        )
    if unit.successors and not unit.until:
        expected = phrase("the day from which the successors go on with its work")
        yield Mistake(f"{place}: until", phrase("is empty"), expected)


def fits_unit_code(code: str) -> bool:
    """Tell whether *code* is valid: opaque text of up to 64 printable characters, without a separator of code lists.

    A code contains no star: `*` among a partner's units means every unit, so an alias named so would open all units to
    the partner.
    """
    return not (set(code) & {" ", ";", "*"} or len(code) > 64 or not code.isprintable())


def is_storable_name(name: str) -> bool:
    """Tell whether every database can store *name*: no NUL, no half of a surrogate pair."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in name)


def _codes(text: str) -> tuple[str, ...]:
    """Return the codes of a list, sorted as the registry returns them."""
    return tuple(sorted(set(text.replace(";", " ").split())))


def find_unit_disagreements(units: Mapping[str, tuple[str, Unit]], known: Sequence[Unit]) -> Iterable[Mistake]:
    """Yield the disagreements of *units* among themselves and with the *known* units that they do not replace.

    *units* maps each code to its place in the file and its unit.
    """
    held = {unit.code: unit for unit in known} | {code: unit for code, (_, unit) in units.items()}
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for unit in held.values():
        for alias in unit.aliases:
            owners[alias].append(unit.code)
    for code, (place, unit) in units.items():
        if unit.parent is not None and unit.parent not in held:
            yield Mistake(
                f"{place}: parent",
                phrase("there is no unit {parent}", parent=unit.parent),
                phrase("a unit of this file or of the registry"),
            )
        elif _circles(code, lambda at: (held[at].parent,) if at in held else ()):
            yield Mistake(
                f"{place}: parent",
                phrase("{code} is its own ancestor", code=code),
                phrase("parents that lead to a topmost unit"),
            )
        for successor in unit.successors:
            if successor not in held:
                expected = phrase("a unit of this file or of the registry")
                yield Mistake(
                    f"{place}: successors", phrase("there is no unit {successor}", successor=successor), expected
                )
        if unit.successors and _circles(code, lambda at: held[at].successors if at in held else ()):
            yield Mistake(
                f"{place}: successors",
                phrase("{code} is its own successor", code=code),
                phrase("units that are not followed by this one"),
            )
        for alias in unit.aliases:
            others = [owner for owner in owners[alias] if owner != code and held[owner].meets(unit)]
            if others or alias in held:
                owner = others[0] if others else alias
                expected = phrase("each code for one unit at a time")
                yield Mistake(
                    f"{place}: aliases", phrase("{alias} is also a code of {owner}", alias=alias, owner=owner), expected
                )
        if owners.get(code):
            yield Mistake(
                f"{place}: code",
                phrase("{code} is an alias of {owners}", code=code, owners=owners[code][0]),
                phrase("each code for one unit"),
            )


def _circles(code: str, following: Callable[[str], Iterable[str | None]]) -> bool:
    """Tell whether following the links of *following* from *code* leads back to *code*."""
    seen: set[str] = set()
    waiting = list(following(code))
    while waiting:
        at = waiting.pop()
        if at == code:
            return True
        if at and at not in seen:
            seen.add(at)
            waiting.extend(following(at))
    return False
