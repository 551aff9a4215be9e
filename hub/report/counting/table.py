"""Makes the rows of a table that do not stand for units alone, out of the divided rows of units, and checks that they add
up. Knows the order of rows and their names. Counts no facts.
"""

from collections.abc import Iterator, Mapping, Sequence

import attrs

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.language.sorting import make_code_sort_key
from hub.report.counting import deriving, division
from hub.report.counting.checks import CheckFinding
from hub.report.counting.counting import COUNTING, DividedRow, Report, Row
from hub.report.counting.division import BEYOND, UNDIVIDED, UNSTATED, Values
from hub.report.form.column import Wording
from hub.report.form.form import OF_UNITS, PRINCIPAL, UNIT, Check, Form

_BEYOND = phrase("Others, beyond {most} rows", most=division.MOST)
_UNDIVIDED = phrase("Not divided: closed before rows were divided")
_TOO_MANY = phrase("The table is not divided further, because it would have too many rows")
_ADDS_UP = phrase("The divided rows add up to the row of the unit")
#: Printed after all values, in this order.
_LAST = (UNSTATED, BEYOND, UNDIVIDED)


def divide_table(report: Report, by: Sequence[str], names: Mapping[str, Mapping[str, str]]) -> Report:
    """Return *report* with the rows that the dimensions *by* make, outermost first, and with a finding for each cell of
    a unit to which its divided numbers do not add up.

    *names*: names of values by attribute, which are shown instead of those in the messages. While there are more than
    `division.MOST` rows, the innermost dimension is left out, which a finding says; without any, the rows are units.
    """
    report = attrs.evolve(report, findings=(*report.findings, *check_divisions(report)))
    shown = tuple(by)
    while shown and shown != (UNIT,):
        found = _gather_sums(report, shown)
        if len(found) <= division.MOST:
            rows = tuple(_write_rows(report, shown, found, _merge_names(report, names)))
            return attrs.evolve(report, by=shown, divided=rows)
        check = Check(says=_say_both(_TOO_MANY), left=(), right=(), at_most=True)
        many = CheckFinding(unit=None, check=check, left=len(found), right=division.MOST)
        report, shown = attrs.evolve(report, findings=(*report.findings, many)), shown[:-1]
    return report


def _gather_sums(report: Report, by: Sequence[str]) -> dict[Values, dict[str, int]]:
    """Return the numbers of each row and of each heading above it, by path."""
    found: dict[Values, dict[str, int]] = {}
    for row in report.rows:
        mine = report.divisions.get(row.unit)
        sums = {} if mine is None else mine.sums
        if by[0] == UNIT:
            found[row.unit,] = {}
        for values, numbers in sums.items():
            path = _find_path(by, row.unit, values)
            for depth in range(1, len(path) + 1):
                division.add_sums(found.setdefault(path[:depth], {}), numbers)
    return found


def _find_path(by: Sequence[str], unit: str, values: Values) -> Values:
    rest = iter(values)
    return tuple(unit if name == UNIT else next(rest) for name in by)


def split_path(by: Sequence[str], path: Values) -> tuple[str, Values]:
    """Return the unit in *path* ("": of all units), and the values of attributes in it. *by*: its dimensions."""
    unit = next((value for name, value in zip(by, path, strict=False) if name in (UNIT, PRINCIPAL)), "")
    return unit, tuple(value for name, value in zip(by, path, strict=False) if name not in OF_UNITS)


def _write_rows(
    report: Report,
    by: Sequence[str],
    found: Mapping[Values, Mapping[str, int]],
    names: Mapping[str, Mapping[str, str]],
) -> Iterator[DividedRow]:
    places = {row.unit: place for place, row in enumerate(report.rows)}

    def order(path: Values) -> list[object]:
        said: list[object] = []
        for name, value in zip(by, path, strict=False):
            last = _LAST.index(value) + 1 if name != UNIT and value in _LAST else 0
            said.append((last, places.get(value, 0), ()) if name == UNIT else (last, 0, make_code_sort_key(value)))
        return said

    for path in sorted(found, key=order):
        unit, values = split_path(by, path)
        yield DividedRow(
            path=path,
            unit=unit,
            values=values,
            name=None if by[len(path) - 1] == UNIT else _name_value(report.form, by[len(path) - 1], path[-1], names),
            row=write_row(report.form, unit, found[path]),
        )


def _name_value(form: Form, attribute: str, value: str, names: Mapping[str, Mapping[str, str]]) -> Wording | None:
    """Return the name of a value; None if no list and no message has one."""
    if value == UNSTATED:
        return form.rows.unstated if form.rows is not None else None
    if value in (BEYOND, UNDIVIDED):
        return _say_both(_BEYOND if value == BEYOND else _UNDIVIDED)
    known = names.get(attribute, {}).get(value)
    return Wording(known, known) if known else None


def _say_both(said: Phrase) -> Wording:
    return Wording(translate(said, Language.VI), translate(said, Language.EN))


def write_row(form: Form, unit: str, sums: Mapping[str, int]) -> Row:
    """Return the row with the counted numbers *sums*; a missing one is 0."""
    counted = {column.key: sums.get(column.key, 0) for column in form.columns if column.kind in COUNTING}
    return Row(unit, numbers=deriving.derive_row_numbers(form, counted), times={})


def find_row(report: Report, unit: str | None, values: Values) -> Row | None:
    """Return the row of *values*, or of all values that begin with them, of *unit* or (None) of all units of *report*.
    None: there is no such row.
    """
    sums: dict[str, int] = {}
    found = False
    for code, mine in report.divisions.items():
        for each, numbers in mine.sums.items() if unit in (None, code) else ():
            if each[: len(values)] == values:
                division.add_sums(sums, numbers)
                found = True
    return write_row(report.form, unit or "", sums) if found else None


def name_values(report: Report, values: Values, names: Mapping[str, Mapping[str, str]]) -> Wording:
    """Return the names of *values*, or the values themselves. *names*: as for `divide_table`."""
    known = _merge_names(report, names)
    said = [
        _name_value(report.form, name, value, known) or Wording(value, value)
        for name, value in zip(report.form.divides_by, values, strict=False)
    ]
    return Wording(" – ".join(each.vi for each in said), " – ".join(each.en for each in said))


def _merge_names(report: Report, names: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
    known = division.merge_names(list(report.divisions.values()))
    for name, listed in names.items():
        known.setdefault(name, {}).update(listed)
    return known


def check_divisions(report: Report) -> Iterator[CheckFinding]:
    """Yield a finding for each cell of a unit's row to which the unit's divided numbers do not add up."""
    for row in report.rows:
        mine = report.divisions.get(row.unit)
        if mine is None:
            continue
        sums: dict[str, int] = {}
        for numbers in mine.sums.values():
            division.add_sums(sums, numbers)
        for column in report.form.columns:
            counted = row.numbers.get(column.key)
            if column.kind in COUNTING and isinstance(counted, int) and sums.get(column.key, 0) != counted:
                check = Check(says=_say_both(_ADDS_UP), left=(column.key,), right=(column.key,))
                yield CheckFinding(unit=row.unit, check=check, left=sums.get(column.key, 0), right=counted)
