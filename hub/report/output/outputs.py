"""Writes a report as CSV, HTML and JSON with the same numbers. Knows languages and layouts. Does not count.

Every output takes the names of units by code. A unit without a name is shown by its code.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import attrs
import jinja2
from markupsafe import Markup

from hub.domain.local_time import HANOI
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.report.counting.checks import CheckFinding
from hub.report.counting.counting import Report, Row
from hub.report.counting.declared import DeclaredFigure
from hub.report.form.column import Column, ColumnKind
from hub.report.form.form import Form
from hub.report.form.period import Period
from hub.report.output import closing_lines, minutes_lines, paper, remark_lines, svg, workings
from hub.report.output.body import LineMark, arrange_body, write_check_findings, write_dimensions
from hub.report.output.charts import Plot
from hub.report.output.paper import PrintedRevision
from hub.report.words import (
    group_columns,
    make_json_number,
    name_column,
    name_row_unit,
    quote_formula,
    write_column_sums,
    write_day,
    write_due_sentence,
    write_moment,
    write_notes,
    write_number,
    write_value,
)

#: the headings before the columns of the form, in CSV
_LEAD = (
    phrase("No."), phrase("Period"), phrase("First day"), phrase("Last day"), phrase("Unit code"), phrase("Unit"),
)  # fmt: skip


def _describe_period(period: Period) -> dict[str, object]:
    return {
        "text": period.text,
        "from": period.first.isoformat(),
        "to": period.last.isoformat(),
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
    }


def _describe_column(column: Column) -> dict[str, object]:
    return {
        "key": column.key,
        "vi": column.heading.vi,
        "en": column.heading.en,
        "group": None if column.group is None else attrs.asdict(column.group),
        "kind": column.kind.value,
        "sum": list(column.sum),
        **describe_computed(column),
    }


def _describe_figure(figure: DeclaredFigure) -> dict[str, object]:
    return {
        "unit": figure.unit or None,
        "column": figure.column,
        "sender": figure.sender,
        "by": figure.by,
        "at": figure.at.isoformat(),
        "message": figure.message,
    }


def _describe_finding(finding: CheckFinding) -> dict[str, object]:
    return {
        "unit": finding.unit,
        **attrs.asdict(finding.said),
        "columns": list(finding.columns),
        "numbers": [finding.left, finding.right],
    }


def write_json_report(report: Report, names: Mapping[str, str]) -> str:
    """Return one JSON object on one line. Its keys are listed in docs/reference/reports.md. Times are ISO 8601 in
    UTC.
    """
    form, period = report.form, report.period
    content = {
        "unit": report.total.unit,
        "name": name_row_unit(report.total, names),
        "form": form.id,
        "number": form.number or None,
        "title": attrs.asdict(form.title),
        "basis": attrs.asdict(form.basis),
        "counted": attrs.asdict(form.counted),
        "parameters": dict(form.parameters),
        "period": {**_describe_period(period), "ended": report.ended},
        "due": None if report.due is None else {"day": report.due.day.isoformat(), "sure": report.due.sure},
        "made_at": report.made_at.isoformat(),
        "columns": [_describe_column(column) for column in form.columns],
        "total": _make_plain_row(report.total, form),
        "sections": [
            {
                **attrs.asdict(section.heading),
                "units": list(section.units),
                "total": _make_plain_row(section.total, form),
            }
            for section in report.sections
        ],
        "findings": [_describe_finding(finding) for finding in report.findings],
        "rows": [
            {"unit": row.unit, "name": name_row_unit(row, names), **_make_plain_row(row, form)} for row in report.rows
        ],
    }
    content["closing"] = closing_lines.describe_marks(report.marks)
    if report.remarks.told:
        content["remarks"] = remark_lines.describe_remarks(report)
    if any(column.kind is ColumnKind.DECLARED for column in form.columns):
        content["declared"] = [_describe_figure(figure) for figure in report.declared]
    if report.divided:
        content["divided"] = {
            "by": list(report.by),
            "rows": [
                {
                    "path": list(each.path),
                    "name": None if each.name is None else attrs.asdict(each.name),
                    **_make_plain_row(each.row, form),
                }
                for each in report.divided
            ],
        }
    return json.dumps(content, ensure_ascii=False)


def describe_computed(column: Column) -> dict[str, Any]:
    """Return what the JSON says of a column with decimals, a formula or grades; nothing of another."""
    said: dict[str, Any] = {}
    if column.places:
        said["decimals"] = column.places
    if column.expression:
        said["expression"] = column.expression
    if column.grades:
        said["of"] = column.of
        said["grades"] = [{"at": grade.at, **attrs.asdict(grade.heading)} for grade in column.grades]
    return said


def write_csv_report(report: Report, names: Mapping[str, str], language: Language = Language.VI) -> bytes:
    """Return CSV (RFC 4180) in UTF-8: headings, the total, and one row for each section and each unit.

    It begins with a BOM, by which spreadsheets recognise UTF-8. Numbers are plain digits; times are in Hà Nội time. A
    text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    lead = [translate(heading, language) for heading in _LEAD]
    if report.divided:
        lead[-2:] = [translate(phrase("Code"), language), write_dimensions(report.by, language)]
    period = [report.period.name(language), report.period.first.isoformat(), report.period.last.isoformat()]
    written = StringIO()
    table = csv.writer(written)
    table.writerow(
        [quote_formula(heading) for heading in lead + [name_column(column, language) for column in report.form.columns]]
    )
    for line in arrange_body(report, names, language):
        total, row = line.mark is LineMark.TOTAL, line.row
        named = (row.unit, name_row_unit(row, names)) if total else (line.code, line.name)
        texts = [quote_formula(text) for text in (*period, *named)]
        table.writerow(
            [
                line.name if total else line.number,
                *texts,
                *(_write_row_cell(row, column, language) for column in report.form.columns),
            ]
        )
    return b"\xef\xbb\xbf" + written.getvalue().encode()


def write_html_report(
    report: Report,
    names: Mapping[str, str],
    language: Language = Language.VI,
    *,
    receiver: str = "",
    charts: Iterable[Plot] = (),
    link: Callable[[str | None, str], str | None] | None = None,
    revision: PrintedRevision | None = None,
) -> str:
    """Return one HTML page without scripts and without network requests, to be read and to be printed on A4 landscape.

    *receiver*: the receiver of the report; if empty, a blank space is printed. *link*: returns the URL of the cell of a
    unit (None: the total) and a column's key, or None for a cell without a link. *revision*: what is printed of a
    revision that was given out.
    """

    def said(id: str, /, **arguments: object) -> str:  # noqa: A002 - what gettext calls it
        return translate(Phrase(id, arguments), language)

    return _TEMPLATES.get_template("report.html.jinja").render(
        _=said,
        report=report,
        form=report.form,
        period=report.period,
        names=names,
        language=language,
        groups=group_columns(report.form.columns),
        sums=write_column_sums(report.form),
        receiver=receiver,
        due=write_due_sentence(report, language),
        charts=[Markup(svg.draw_plot(plot, language, f"chart-{place}")) for place, plot in enumerate(charts, 1)],  # noqa: S704
        link=link,
        revision=paper.write_revision_line(revision, language),
        dated=paper.write_place_and_date(revision, language),
        places=paper.list_signing_places(revision, language),
        lines=arrange_body(report, names, language),
        heading=write_dimensions(report.by, language),
        findings=write_check_findings(report, names, language),
        notes=write_notes(report.form, language),
        workings=workings.write_workings(report, names, language),
        workings_heading=translate(workings.HEADING, language),
        minutes=() if revision is None else minutes_lines.write_minutes(report.form, revision.minutes, names, language),
        minutes_heading=translate(minutes_lines.HEADING, language),
        remarks=remark_lines.write_remark_lines(report, names, language),
        remarks_heading=translate(remark_lines.HEADING, language),
        closing=closing_lines.write_closing_lines(report, names, language),
        closing_heading=translate(closing_lines.HEADING, language),
        revised=report.marks.revised_units,
    )


def _make_plain_row(row: Row, form: Form) -> dict[str, int | float | str | None]:
    plain: dict[str, int | float | str | None] = {}
    for column in form.columns:
        if column.kind is ColumnKind.TIME:
            at = row.times[column.key]
            plain[column.key] = None if at is None else at.isoformat()
        else:
            plain[column.key] = make_json_number(row.numbers[column.key])
    return plain


def _write_row_cell(row: Row, column: Column, language: Language) -> int | Decimal | str:
    if column.kind is not ColumnKind.TIME:
        value: int | Decimal | None = row.numbers[column.key]
        if column.kind is ColumnKind.GRADE:
            return "" if value is None else write_value(value, column, language)
        return "" if value is None else value
    at = row.times[column.key]
    return "" if at is None else f"{at.astimezone(HANOI):%Y-%m-%d %H:%M:%S}"


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"cell": write_value, "number": write_number, "day": write_day, "moment": write_moment}
_TEMPLATES.globals["TIME"] = ColumnKind.TIME
