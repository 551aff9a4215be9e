"""Keeps the numbers of every unit of the province for a form and a period, each with all units below it, as one text.

A page about all units of twelve periods cannot count. It reads twelve of these sheets. Knows the arithmetic of a form
and the tree of units. Contains no SQL and counts no facts.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import attrs

from hub.domain.model import Unit, UnitKind, UnitMark
from hub.report.counting import deriving
from hub.report.counting.counting import COUNTING, Report
from hub.report.counting.declared import DeclaredFigure
from hub.report.counting.deriving import Number
from hub.report.counting.family import list_unit_family
from hub.report.form.column import ColumnKind
from hub.report.form.form import Form

#: The kinds of columns whose numbers of units are added up. All others follow from them.
_ADDED = frozenset({*COUNTING, ColumnKind.TAKEN})


@attrs.frozen(kw_only=True)
class GlanceSheet:
    """The numbers of every unit for a form and a period. A unit's numbers are those of its own report: with all below it."""

    form: str
    period: str
    first: date
    last: date
    made_at: datetime  #: of a closed period: when its newest row was made; else when it was counted
    complete: bool  #: all of the period is closed and nothing in it is declared: only a revision changes it
    revision: int
    definition: str = attrs.field(repr=False)  #: the text of the form by which it was counted
    columns: tuple[str, ...]  #: the keys of the columns that have numbers, in the order of the form
    figures: str = attrs.field(repr=False)  #: `write_figures`
    stamp: str = ""  #: of the closed months that it was counted from (`hub.workload.glance_rows`); "" of a kept one
    bases: tuple[str, ...] = ()  #: the forms from which it takes numbers; () of a kept one
    seal: str = attrs.field(default="", repr=False)  #: `hub.workload.glance_rows`

    def digest(self, kept_at: datetime) -> str:
        """Return the SHA-256, in hexadecimal, of all that a sheet says which is kept at *kept_at*."""
        said = [self.form, self.period, self.first, self.last, self.made_at, self.complete, self.revision, kept_at]
        texts = [self.definition, *self.columns, self.figures]
        octets = json.dumps([*map(str, said), *texts], ensure_ascii=False).encode("utf-8", "surrogatepass")
        return sha256(octets).hexdigest()

    def read_numbers(self, keys: Sequence[str]) -> Mapping[str, tuple[Number, ...]]:
        """Return the numbers of the columns *keys* by unit, in this order; None for a column that the sheet lacks.

        Units that are absent have the numbers of the unit "", of which nothing is counted.
        """
        places = [self.columns.index(key) if key in self.columns else -1 for key in keys]
        rows: Mapping[str, Sequence[Any]] = json.loads(self.figures)
        return {
            unit: tuple(None if place < 0 else _read_number(cells[place]) for place in places)
            for unit, cells in rows.items()
        }


def _read_number(cell: Any) -> Number:
    return Decimal(cell) if type(cell) is str else cell


def write_figures(columns: Sequence[str], rows: Mapping[str, Mapping[str, Number]]) -> str:
    """Return the numbers of *rows*, by unit and column, as the text of a sheet: a JSON object of lists in the order of
    *columns*, a number with decimals as a text. Units whose numbers are those of "" are left out.
    """
    said = {
        unit: [str(cell) if isinstance(cell, Decimal) else cell for cell in (numbers[key] for key in columns)]
        for unit, numbers in rows.items()
    }
    nothing = said[""]
    kept = {unit: cells for unit, cells in said.items() if not unit or cells != nothing}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def list_sheet_columns(form: Form) -> tuple[str, ...]:
    """Return the keys of the columns of *form* that have numbers."""
    return tuple(column.key for column in form.columns if column.kind is not ColumnKind.TIME)


def sum_up_families(
    report: Report, units: Iterable[Unit], after: date, declared: Iterable[DeclaredFigure] = ()
) -> dict[str, dict[str, Number]]:
    """Return the numbers of every unit of the province with all units below it, and those of "", which are of nothing.

    *report*: has the own row of each unit; rows without numbers may be missing. *units*: the registry. *after*: the
    first day after the period. *declared*: the declared figures of all units, which are not added up: a unit has those
    that were declared of it and all below it together, else those of the unit itself. The families are those of
    `list_unit_family`; the numbers that follow from others are computed again from the sums, as for the total of a
    report.
    """
    form = report.form
    keys = [column.key for column in form.columns if column.kind in _ADDED]
    members, parents = list_province_family(units, after)
    sums = {unit: dict.fromkeys(keys, 0) for unit in members}
    for row in report.rows:
        if row.unit in sums:
            sums[row.unit] = {key: deriving.read_sum(form.column(key), row.numbers[key]) for key in keys}
    for unit in reversed(members):  # those below before those above
        above = sums.get(parents.get(unit) or "")
        if above is not None:
            for key, number in sums[unit].items():
                above[key] += number
    above_others = set(parents.values())
    for figure in sorted(declared, key=lambda figure: figure.whole):  # what is declared of all together comes last
        if figure.unit in sums and (figure.unit in above_others or not figure.whole):
            sums[figure.unit][figure.column] = figure.value
    sums[""] = dict.fromkeys(keys, 0)
    return {unit: deriving.derive_row_numbers(form, numbers) for unit, numbers in sums.items()}


def list_province_family(units: Iterable[Unit], after: date) -> tuple[tuple[str, ...], Mapping[str, str | None]]:
    """Return the units of the province that a report of a period has, those above before those below, and the parent of
    each. Test units of a drill are in no ranking. *after*: the first day after the period.
    """
    own = [unit for unit in units if unit.mark != UnitMark.NATIONAL and unit.kind != UnitKind.DRILL]
    codes = {unit.code for unit in own}
    found: dict[str, None] = {}
    for top in own:
        if top.parent not in codes:
            found |= dict.fromkeys(list_unit_family(own, top.code, after))
    return tuple(found), {unit.code: unit.parent for unit in own}
