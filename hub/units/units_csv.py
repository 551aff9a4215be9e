"""Reads and writes a list of units as a CSV file. Reports all mistakes of a file at once. Knows no database.

Columns, in any order: `code`, `name`; optional `parent`, `since`, `until`, `aliases`, `successors`, `mark`, `level`,
`kind`, `from`. `since` and `until` are days such as 2025-07-01; the unit is active from `since` until the day
before `until`. `aliases` are other codes of the same unit, and `successors` the units that continue its work from
`until` on; both are separated by spaces or semicolons. `level` is a `UnitLevel`, `kind` a `UnitKind`, `mark` a
`UnitMark`.

Name, parent, level and kind have versions; `from` says of which one a row speaks. A day: the version in force from that
day on; the row says nothing else of the unit. `start`: the first version. Empty: the version in force on the day of the
import, which is corrected from its beginning. What an existing unit has in a column that the file lacks stays, but for
its mark: a list without it makes a unit a usual one.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

import attrs

from hub.domain.errors import Mistake
from hub.domain.model import Unit, UnitChange, UnitKind, UnitLevel, UnitMark, is_province_code
from hub.language.phrases import Phrase, phrase
from hub.units.unit_changes import START

COLUMNS = ("code", "name", "parent", "since", "until", "aliases", "successors", "mark", "level", "kind", "from")
#: The columns that say something of the unit in all its versions.
_LASTING = ("since", "until", "aliases", "successors", "mark")

#: The columns whose values each version has.
_VERSIONED = ("name", "parent", "level", "kind")

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
        place = unit.level, unit.kind, START if unit.changes else ""
        rows.writerow((unit.code, unit.name, unit.parent or "", *days, *listed, unit.mark, *place))
        for each in unit.changes:
            rows.writerow((unit.code, each.name, each.parent or "", *[""] * 5, each.level, each.kind, each.since))
    return lines.getvalue().encode("utf-8-sig")


@attrs.frozen
class _Row:
    """A row as written. `unit` has the values of its columns."""

    place: str
    version: date | None  #: the day of its version; None: the first one, or that of the day of the import
    first: bool  #: it speaks of the first version
    unit: Unit


def _add_row(
    row: _Row,
    place: str,
    given: dict[str, dict[tuple[bool, date | None], _Row]],
    mistakes: list[Mistake],
    provinces: Sequence[str],
) -> None:
    """Add the row at *place* to those *given*, and what is wrong with it among the others to *mistakes*."""
    if row.unit.mark == UnitMark.NATIONAL:
        ours = [code for code in (row.unit.code, *row.unit.aliases) if is_province_code(code, *provinces)]
        expected = phrase("an agency of another province or of none")
        mistakes += (
            Mistake(f"{place}: mark", phrase("{code} is a code of the province", code=code), expected) for code in ours
        )
    of_unit = given.setdefault(row.unit.code, {})
    version = row.version is None, row.version
    if version in of_unit:
        said = of_unit[version].place
        mistakes.append(
            Mistake(
                f"{place}: code",
                phrase("{code} is also at {units}", code=row.unit.code, units=said),
                phrase("each unit once"),
            )
        )
    of_unit.setdefault(version, row)


def _describe_unreadable(name: str, error: UnicodeDecodeError | csv.Error) -> Mistake:
    expected = phrase("a CSV file in UTF-8")
    if isinstance(error, UnicodeDecodeError):
        why = phrase("is not UTF-8: {reason} at octet {start}", reason=error.reason, start=error.start)
        return Mistake(name, why, expected)
    return Mistake(name, phrase("is not CSV: {error}", error=error), expected)


def read_units_csv(
    content: bytes,
    name: str,
    known: Sequence[Unit],
    progress: Callable[[int], None] = lambda _lines: None,
    *,
    provinces: Sequence[str] = (),
    today: date = date.max,
) -> tuple[list[Unit], list[Mistake]]:
    """Return the units that the file *name* adds or replaces, with all their versions, and its mistakes.

    *known* are the units of the registry with their versions, which the file may name, change or replace. *progress* is
    called now and then with the number of lines read since its last call. An agency outside must not have a code of
    *provinces*. *today*: the day whose version a row without `from` corrects.
    """
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = rows.fieldnames or []
        problem = _check_header(header)
        if problem:
            return [], [
                Mistake(
                    f"{name}:1",
                    problem,
                    phrase("the columns {columns}; code and name at least", columns=", ".join(COLUMNS)),
                )
            ]
        mistakes: list[Mistake] = []
        given: dict[str, dict[tuple[bool, date | None], _Row]] = {}
        told = 0
        for line in rows:
            place = f"{name}:{rows.line_num}"
            if rows.line_num >= told + _STEP:
                progress(rows.line_num - told)
                told = rows.line_num
            row = _read_row(line, place, mistakes)
            _add_row(row, place, given, mistakes, provinces)
    except (UnicodeDecodeError, csv.Error) as error:
        return [], [_describe_unreadable(name, error)]
    held = {unit.code: unit for unit in known}
    units = {
        code: (
            next(iter(of_unit.values())).place,
            _merge_unit(held.get(code), list(of_unit.values()), set(header), today),
        )
        for code, of_unit in given.items()
    }
    for code, of_unit in given.items():
        mistakes += _find_version_mistakes(held.get(code), units[code][1], list(of_unit.values()))
    mistakes += find_unit_disagreements(units, known)
    return [unit for _, unit in units.values()], mistakes


def _merge_unit(held: Unit | None, rows: Sequence[_Row], columns: set[str], today: date) -> Unit:
    """Return the unit as *rows* change the one *held*. *columns*: those that the file has."""
    whole = next((row for row in rows if row.version is None), None)
    unit = held
    if whole is not None:
        unit = whole.unit if held is None else _replace_unit(held, whole, columns, today)
    elif unit is None:
        unit = rows[0].unit
    changes = {each.since: each for each in unit.changes}
    for row in sorted((row for row in rows if row.version is not None), key=lambda row: row.version or date.min):
        assert row.version is not None
        before = attrs.evolve(unit, changes=tuple(sorted(changes.values(), key=_read_since))).at(row.version)
        said = {column: getattr(row.unit if column in columns else before, column) for column in _VERSIONED}
        changes[row.version] = UnitChange(row.version, **said)
    return attrs.evolve(unit, changes=tuple(sorted(changes.values(), key=_read_since)))


def _replace_unit(held: Unit, row: _Row, columns: set[str], today: date) -> Unit:
    """Return *held* with what *row* says of it, and of its first version or of the one in force *today*."""
    lasting = {column: getattr(row.unit, column) for column in _LASTING if column in columns or column == "mark"}
    said = {column: getattr(row.unit, column) for column in _VERSIONED if column in columns}
    version = None if row.first else held.find_version(today)
    if version is None:
        return attrs.evolve(held, **lasting, **said)
    changes = (attrs.evolve(each, **said) if each is version else each for each in held.changes)
    return attrs.evolve(held, **lasting, changes=tuple(changes))


def _read_since(change: UnitChange) -> date:
    return change.since


def _find_version_mistakes(held: Unit | None, unit: Unit, rows: Sequence[_Row]) -> Iterable[Mistake]:
    """Yield the mistakes of the rows of one unit with a day in `from`."""
    dated = [row for row in rows if row.version is not None]
    if dated and held is None and len(dated) == len(rows):
        expected = phrase("a row without `from`, or a unit of the registry")
        yield Mistake(f"{dated[0].place}: from", phrase("there is no unit {code}", code=unit.code), expected)
    for row in dated:
        assert row.version is not None
        if not unit.active(row.version) or row.version in {unit.since, date.min}:
            wrong = phrase("{day} is not a day after the first one of {code}", day=row.version, code=unit.code)
            yield Mistake(f"{row.place}: from", wrong, phrase("a day between `since` and `until` of the unit"))


def _check_header(names: Sequence[str]) -> Phrase | None:
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in COLUMNS[:2] if name not in names]
    if unknown or missing or len(set(names)) < len(names):
        return phrase("the first line is {names}", names=repr(",".join(names)))
    return None


def _read_row(row: Mapping[str | None, object], place: str, mistakes: list[Mistake]) -> _Row:
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
        aliases=_read_codes(text("aliases")),
        mark=text("mark"),
        successors=_read_codes(text("successors")),
        level=text("level"),
        kind=text("kind"),
    )
    mistakes += _find_unfit(unit, place)
    first = text("from") == START
    version = None if first else day("from")
    if version is not None:
        expected = phrase("nothing; it is said in the row without a day in `from`")
        mistakes += (
            Mistake(f"{place}: {column}", phrase("{text} is not of one version", text=repr(text(column))), expected)
            for column in _LASTING
            if text(column)
        )
    return _Row(place, version, first, unit)


def _find_unfit(unit: Unit, place: str) -> Iterable[Mistake]:
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
    for column, value, words in (("level", unit.level, UnitLevel), ("kind", unit.kind, UnitKind)):
        if value not in {*words}:
            expected = phrase("one of {words}", words=", ".join(filter(None, words)))
            yield Mistake(f"{place}: {column}", phrase("{word} is not known", word=repr(value)), expected)
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


def _read_codes(text: str) -> tuple[str, ...]:
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
    days = sorted({date.min} | {change.since for unit in held.values() for change in unit.changes})
    yield from _find_drill_mistakes(units, held, {unit.code: unit for unit in known if unit.code in units})
    for code, (place, unit) in units.items():
        yield from _find_parent_mistakes(unit, place, held, days)
        for successor in unit.successors:
            if successor not in held:
                expected = phrase("a unit of this file or of the registry")
                yield Mistake(
                    f"{place}: successors", phrase("there is no unit {successor}", successor=successor), expected
                )
        if unit.successors and _leads_back(code, lambda at: held[at].successors if at in held else ()):
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


def _find_parent_mistakes(unit: Unit, place: str, held: Mapping[str, Unit], days: Sequence[date]) -> Iterable[Mistake]:
    """Yield the parents of all versions of *unit* that do not exist or lead back to it. *days*: those on which any unit of
    *held* changes.
    """
    for parent in dict.fromkeys((unit.parent, *(change.parent for change in unit.changes))):
        if parent is not None and parent not in held:
            yield Mistake(
                f"{place}: parent",
                phrase("there is no unit {parent}", parent=parent),
                phrase("a unit of this file or of the registry"),
            )
    for day in days:

        def above(code: str, on: date = day) -> Iterable[str | None]:
            return (held[code].at(on).parent,) if code in held else ()

        if _leads_back(unit.code, above):
            yield Mistake(
                f"{place}: parent",
                phrase("{code} is its own ancestor", code=unit.code),
                phrase("parents that lead to a topmost unit"),
            )
            return


def _find_drill_mistakes(
    units: Mapping[str, tuple[str, Unit]], held: Mapping[str, Unit], before: Mapping[str, Unit]
) -> Iterable[Mistake]:
    """Yield which of *units* tie test units of a drill to other units: by a parent, a successor or their own versions.

    So no total of a real unit can contain what a drill sent. *held*: all units, those of the file included; *before*: the
    units of the registry.
    """
    for code, unit in held.items():
        versions: Sequence[Unit | UnitChange] = (unit, *unit.changes)
        named = (*(version.parent or "" for version in versions), *unit.successors)
        tied = [each for each in named if each in held]
        place = next((units[each][0] for each in (code, *tied) if each in units), None)
        others = [held[each] for each in tied] + ([before[code]] if code in before else [])
        kinds = {version.kind == UnitKind.DRILL for version in versions}
        kinds |= {other.kind == UnitKind.DRILL for other in others}
        if place is not None and len(kinds) > 1:
            yield Mistake(
                f"{place}: kind",
                phrase("{code} ties test units of a drill to other units", code=code),
                phrase("a test unit, its parents and its successors all of the kind `drill`, from the first day on"),
            )


def _leads_back(code: str, following: Callable[[str], Iterable[str | None]]) -> bool:
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
