"""Puts the lines of a report's table in the order in which they are printed. Knows sections and the names of lines.
Does no layout.
"""

from collections.abc import Mapping
from enum import StrEnum

import attrs

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.report.counting.counting import Report, Row
from hub.report.output.words import name_row_unit, write_roman

_TOTAL = phrase("Total")


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
    number: str  #: `1`, for a section `I`; "" for the total
    name: str
    section: int = 0  #: the number of its section, or of the section that it sums up; 0: none


def arrange_body(report: Report, names: Mapping[str, str], language: Language = Language.VI) -> tuple[Printed, ...]:
    """Return the total, then each section with its units, then the units without a section. Numbering restarts in each
    section.
    """
    total = Printed(mark=LineMark.TOTAL, row=report.total, number="", name=translate(_TOTAL, language))
    lines, rows = [total], {row.unit: row for row in report.rows}

    def add(found: list[Row], section: int = 0) -> None:
        lines.extend(
            Printed(mark=LineMark.UNIT, row=row, number=str(place), name=name_row_unit(row, names), section=section)
            for place, row in enumerate(found, 1)
        )

    for place, section in enumerate(report.sections, 1):
        heading = section.heading.say(language)
        lines.append(
            Printed(mark=LineMark.SECTION, row=section.total, number=write_roman(place), name=heading, section=place)
        )
        add([rows.pop(unit) for unit in section.units], place)
    add(list(rows.values()))
    return tuple(lines)


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
