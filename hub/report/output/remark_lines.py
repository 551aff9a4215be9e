"""Writes what units say of their figures, one line for each remark: who, of which column, the words, by whom and when.

Knows languages and no layout. The words are the unit's own and are not translated.
"""

from collections.abc import Mapping
from typing import Any

from hub.domain.sanitize import replace_controls
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase, phrases
from hub.report.counting.counting import Report
from hub.report.counting.declared import Remark
from hub.report.words import NONE, name_column, write_moment

#: The heading over the lines.
HEADING = phrase("Explanations of the units")


def write_remark_lines(report: Report, names: Mapping[str, str], language: Language) -> tuple[str, ...]:
    """Return one line for each remark in *report*. *names*: the names of units, by code."""
    lines = [_write_remark(report, each, names, language) for each in report.remarks.told]
    if report.remarks.left_out:
        many = phrases("And {count} more remark", "And {count} more remarks", count=report.remarks.left_out)
        lines.append(translate(many, language))
    return tuple(lines)


def _write_remark(report: Report, remark: Remark, names: Mapping[str, str], language: Language) -> str:
    who = f"{names.get(remark.unit, remark.unit)} ({remark.unit})"
    if remark.column:
        who += f", {_name_cell(report, remark, names, language)}"
    told = phrase("declared by {person}, received at {time}", person=remark.by or NONE, time=write_moment(remark.at))
    return replace_controls(f"{who}: {remark.text} ({translate(told, language)})")


def _name_cell(report: Report, remark: Remark, names: Mapping[str, str], language: Language) -> str:
    """Return the heading of the cell: with its number, or that of a manual line; and the unit, if it is another."""
    form, said = report.form, remark.column
    for place, column in enumerate(form.columns, form.first_number):
        if column.key == remark.column:
            said = f"({place}) {name_column(column, language)}"
    for line in form.manual:
        if line.key == remark.column:
            said = line.heading.say(language)
    of = "" if remark.of in ("", remark.unit) else f", {names.get(remark.of, remark.of)}"
    return said + of


def describe_remarks(report: Report) -> dict[str, Any]:
    """Return the remarks as values of JSON."""
    told = [
        {
            "unit": each.unit,
            "column": each.column or None,
            "of": each.of or None,
            "text": each.text,
            "by": each.by or None,
            "at": each.at.isoformat(),
            "message": each.message,
        }
        for each in report.remarks.told
    ]
    return {"told": told, "left_out": report.remarks.left_out}
