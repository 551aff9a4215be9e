"""Groups the rows of a report in sections with subtotals, by level and kind of the units. Counts no facts."""

from collections.abc import Mapping, Sequence

from hub.domain.model import Unit
from hub.report.counting import deriving
from hub.report.counting.counting import COUNTING, Report, Row, Section
from hub.report.form.column import ColumnKind
from hub.report.form.form import Form, Sorting


def sort_sections(report: Report, units: Mapping[str, Unit]) -> tuple[Section, ...]:
    """Return the sections of *report* in the order of its form. Sections without rows are left out; a form without
    sections has none.

    A unit of which *units*, by code, says level or kind belongs to the first section that takes both. Any other unit
    belongs to the section with the longest of the prefixes that its name begins with, ignoring case; so does every unit
    if no section names a level or a kind. A unit that no section takes belongs to the one that takes the rest, or to
    none.
    """
    form = report.form
    placed: dict[int, list[Row]] = {place: [] for place in range(len(form.sections))}
    for row in report.rows:
        place = place_unit(form.sections, units.get(row.unit) or Unit(row.unit, row.unit))
        if place is not None:
            placed[place].append(row)
    return tuple(
        Section(
            heading=form.sections[place].heading,
            total=sum_subtotal(form, rows),
            units=tuple(row.unit for row in rows),
        )
        for place, rows in placed.items()
        if rows
    )


def sum_subtotal(form: Form, rows: Sequence[Row]) -> Row:
    """Return the row that sums up *rows*. Ratios are computed again; a time is the latest."""
    keys = [column.key for column in form.columns if column.kind in {*COUNTING, ColumnKind.TAKEN}]
    sums = {key: sum(deriving.read_sum(form.column(key), row.numbers[key]) for row in rows) for key in keys}
    told = {
        column.key: [at for row in rows if (at := row.times[column.key])]
        for column in form.columns
        if column.kind is ColumnKind.TIME
    }
    return Row(
        "", deriving.derive_row_numbers(form, sums), {key: max(found, default=None) for key, found in told.items()}
    )


def place_unit(sections: Sequence[Sorting], unit: Unit) -> int | None:
    """Return the place of the section that takes *unit*, by the rule of `sort_sections`; None if none does."""
    rest = next((place for place, section in enumerate(sections) if section.takes_rest), None)
    if (unit.level or unit.kind) and any(section.levels or section.kinds for section in sections):
        return next((place for place, section in enumerate(sections) if _takes_unit(section, unit)), rest)
    said, best, longest = unit.name.casefold(), rest, 0
    for place, section in enumerate(sections):
        for start in section.starts:
            begun = start.casefold()
            if len(begun) > longest and (said == begun or said.startswith(f"{begun} ")):
                best, longest = place, len(begun)
    return best


def _takes_unit(section: Sorting, unit: Unit) -> bool:
    level, kind = section.levels, section.kinds
    return bool(level or kind) and (not level or unit.level in level) and (not kind or unit.kind in kind)
