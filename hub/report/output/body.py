"""Puts the lines of a report's table in the order in which they are printed. Knows sections and the names of lines.
Does no layout.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

import attrs

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.report.counting.counting import Report, Row
from hub.report.counting.division import BEYOND, SEPARATOR, UNDIVIDED, UNSTATED, Values
from hub.report.form.form import LEVEL, PRINCIPAL, SECTION, UNIT
from hub.report.words import name_row_unit, write_roman

_TOTAL = phrase("Total")
_DIMENSIONS = {
    UNIT: phrase("Unit"),
    PRINCIPAL: phrase("Unit, with the units below it"),
    LEVEL: phrase("Level of service"),
    "field": phrase("Field of work"),
    "procedure": phrase("Procedure"),
    "officer": phrase("Officer"),
    "kind": phrase("Kind of work"),
}


class LineMark(StrEnum):
    """What a line sums up."""

    TOTAL = "total"
    SECTION = "section"
    UNIT = "unit"


@attrs.frozen(kw_only=True)
class Printed:
    """One line of the table."""

    mark: LineMark
    row: Row
    number: str  #: `1`, for a section or a divided row `I`; "" for the total
    name: str
    code: str = ""  #: the code of its unit, or of its value; "" for the total and for a section of units
    section: int = 0  #: the number of its section, or of the section that it sums up; 0: none
    unit: str | None = None  #: the unit whose facts are behind it; None: of all units
    values: Values | None = None  #: the values of the facts behind it (`division`); None: of all values
    opens: bool = True  #: whether its facts can be listed
    has_below: bool = False  #: whether it is the row of a principal unit, in which units below `unit` are counted too

    @property
    def address(self) -> str | None:
        """The text that names `values`; None if there are none."""
        return None if self.values is None else SEPARATOR.join(self.values)


def arrange_body(report: Report, names: Mapping[str, str], language: Language = Language.VI) -> tuple[Printed, ...]:
    """Return the total, then each section with its units, then the units without a section. Numbering restarts in each
    section.
    """
    total = Printed(mark=LineMark.TOTAL, row=report.total, number="", name=translate(_TOTAL, language))
    lines, rows = [total], {row.unit: row for row in report.rows}
    if report.divided:
        return (*lines, *_arrange_divided(report, names, language))

    def add(found: list[Row], section: int = 0) -> None:
        lines.extend(
            Printed(
                mark=LineMark.UNIT,
                row=row,
                number=str(place),
                name=name_row_unit(row, names),
                code=row.unit,
                section=section,
                unit=row.unit,
            )
            for place, row in enumerate(found, 1)
        )

    for place, section in enumerate(report.sections, 1):
        heading = section.heading.say(language)
        lines.append(
            Printed(
                mark=LineMark.SECTION,
                row=section.total,
                number=write_roman(place),
                name=heading,
                section=place,
                opens=False,
            )
        )
        add([rows.pop(unit) for unit in section.units], place)
    add(list(rows.values()))
    return tuple(lines)


def _arrange_divided(report: Report, names: Mapping[str, str], language: Language) -> Iterator[Printed]:
    """Yield the lines of a table whose rows are divided: of two dimensions, each heading with its rows."""
    section = place = 0
    for each in report.divided:
        heading = len(each.path) < len(report.by)
        section, place = (section + 1, 0) if heading else (section, place + 1)
        code = each.path[-1]
        dimension = report.by[len(each.path) - 1]
        if dimension in (UNIT, PRINCIPAL):
            name = names.get(code, code)
        else:
            name = code if each.name is None else each.name.say(language)
            code = (
                "" if dimension in (SECTION, LEVEL) or code in (UNSTATED, BEYOND, UNDIVIDED) or code == name else code
            )
        yield Printed(
            mark=LineMark.SECTION if heading else LineMark.UNIT,
            row=each.row,
            number=write_roman(section) if heading else str(place),
            name=name,
            code=code,
            section=section,
            unit=each.unit or None,
            values=each.values or None,
            opens=dimension != SECTION and BEYOND not in each.values and report.by[0] != LEVEL,
            has_below=dimension == PRINCIPAL,
        )


def write_dimensions(by: Sequence[str], language: Language = Language.VI) -> str:
    """Return the heading over the names of rows that the dimensions *by* make: `Lĩnh vực`."""
    named = [name for name in by if name != SECTION]
    return " / ".join(translate(_DIMENSIONS[name], language) if name in _DIMENSIONS else name for name in named)


def write_check_findings(report: Report, names: Mapping[str, str], language: Language = Language.VI) -> tuple[str, ...]:
    """Return a sentence for each finding: the row, the check that does not hold, and the printed numbers of the
    columns.
    """
    places = {column.key: place for place, column in enumerate(report.form.columns, report.form.first_number)}
    total = translate(_TOTAL, language)
    said = []
    for finding in report.findings:
        unit = total if finding.unit is None else f"{names.get(finding.unit, finding.unit)} ({finding.unit})"
        columns = " ".join(f"({places[key]})" for key in finding.columns)
        said.append(f"{unit}: {finding.said.say(language)}" + (f" {columns}" if columns else ""))
    return tuple(said)
