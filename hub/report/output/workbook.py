"""Writes a report as an XLSX workbook: the sheet that an official reads and prints, and a sheet with the facts behind
it.

Knows the layout and Excel's rules. Does not count. Sums and formulas are live formulas, each with the counted number as
its cached value. The same report gives the same bytes.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from io import BytesIO
from itertools import islice
from typing import Any

import attrs
from xlsxwriter import Workbook
from xlsxwriter.utility import quote_sheetname, xl_range, xl_rowcol_to_cell

from hub.domain.local_time import HANOI
from hub.language.languages import Language
from hub.language.phrases import phrases
from hub.language.terms import name_word
from hub.report.counting import evidence
from hub.report.counting.counting import Report
from hub.report.counting.evidence import EvidenceLine, EvidenceLines
from hub.report.counting.marks import read_own_reason
from hub.report.form.column import ColumnKind
from hub.report.form.form import MOST_SERIES, ChartKind, Check, Form
from hub.report.output.body import LineMark, Printed, arrange_body, write_check_findings, write_dimensions
from hub.report.output.charts import Plot
from hub.report.output.closing_lines import HEADING, write_changed_value, write_closing_lines
from hub.report.output.remark_lines import HEADING as REMARKS
from hub.report.output.remark_lines import write_remark_lines
from hub.report.output.svg import choose_colours
from hub.report.output.workbook_cells import (
    BAND_COLOR,
    CELL_BORDER,
    MOMENT_FORMAT,
    ROWS_ABOVE,
    TOTAL_ROW,
    ReportWorkbook,
    choose_line_look,
    make_serial_day,
    write_line_cell,
)
from hub.report.output.workings import HEADING as HOW
from hub.report.output.workings import Working, write_workings
from hub.report.words import (
    group_columns,
    write_column_sums,
    write_day,
    write_due_sentence,
    write_moment,
    write_notes,
    write_number,
)
from hub.report.workbooks.sheetwriter import FACE, make_cell_styles, make_text_options
from hub.report.workbooks.streamed_sheet import StreamedSheet

#: The maximum number of facts listed in the second sheet; a spreadsheet with more is slow to open.
MOST_LINES = 50_000

_MOST_PARTS = 200  # the maximum runs of rows in a formula: Excel takes 255 arguments and 8,192 characters
_CHART_LINES = 16  # the minimum height of a chart, in rows
_DESCRIBED = 8_000  # the maximum characters of a chart's alternative text
_MARKERS = ("circle", "square", "triangle", "diamond")
_LEAD = 3  # the columns before the first of the form: number, unit, code


def write_xlsx_report(
    report: Report,
    names: Mapping[str, str],
    lines: Sequence[EvidenceLine] | EvidenceLines | str,
    language: Language = Language.VI,
    most: int = MOST_LINES,
    *,
    receiver: str = "",
    charts: Sequence[Plot] = (),
) -> bytes:
    """Return the workbook.

    *lines*: the evidence, of which the sheet “Căn cứ” lists the first *most* facts. Of a sealed report that was read
    back, only the SHA-256 of the evidence is known; then that sheet is absent. *receiver*: the receiver of the report;
    if empty, a blank space is printed. *charts*: drawn on a sheet of their own, each beside its numbers.

    Times are in Hà Nội time, to the second. Every text is written as a text, whatever it begins with. There are no
    external links.
    """
    written = BytesIO()
    # the parts are gathered in files: the list of facts alone may have 40 MB
    options = {**make_text_options(), "in_memory": False, "tmpdir": os.environ.get("SQLITE_TMPDIR")}
    with Workbook(written, {**options, "default_format_properties": make_cell_styles()}) as workbook:
        book = ReportWorkbook(workbook, language, report, names, receiver)
        book.describe(lines if isinstance(lines, str) else evidence.hash_evidence(lines))
        _write_report(book)
        if report.form.checks or report.findings:
            _write_checks(book)
        if said := write_workings(report, names, language):
            _write_workings(book, said)
        if report.remarks.told:
            _write_remarks(book)
        if report.marks.revised or report.marks.late:
            _write_changes(book)
        if not isinstance(lines, str):
            _write_evidence(book, lines, most)
        if charts:
            _write_charts(book, charts)
    return written.getvalue()


def _write_report(book: ReportWorkbook) -> None:
    report, t = book.report, book.t
    columns = report.form.columns
    widths = [5.0, 30.0, 15.0, *(16.0 if column.kind is ColumnKind.TIME else 9.0 for column in columns)]
    sheet = book.add_sheet(t("Report"), widths)
    last = _LEAD + len(columns) - 1
    _write_top(book, sheet, last)
    _write_headings(book, sheet)
    spots = {column.key: _LEAD + place for place, column in enumerate(columns)}
    lines = arrange_body(report, book.names, book.language)
    final = TOTAL_ROW + len(lines) - 1
    for line, printed in enumerate(lines, TOTAL_ROW):
        look = choose_line_look(printed.mark)
        wrapped = {**look, "text_wrap": printed.mark is LineMark.UNIT}
        if printed.mark is LineMark.UNIT:
            sheet.write_number(line, 0, int(printed.number), book.format(**look, align="center"))
        else:
            book.write(sheet, line, 0, printed.number, **look, align="center")
        book.write(sheet, line, 1, printed.name, **wrapped)
        code = printed.row.unit if printed.mark is LineMark.TOTAL else printed.code
        book.write(sheet, line, 2, code, **wrapped)
        below = () if printed.mark is LineMark.UNIT else _find_summed_runs(lines, printed)
        if len(below) > _MOST_PARTS:
            below = ()  # the number is written instead of a formula
        for column in columns:
            write_line_cell(book, sheet, line, spots, column, printed, below)
    _write_foot(book, sheet, final + 2, last)
    sheet.repeat_rows(ROWS_ABOVE, TOTAL_ROW - 1)
    sheet.freeze_panes(TOTAL_ROW, _LEAD)


def _find_summed_runs(lines: Sequence[Printed], line: Printed) -> tuple[tuple[int, int], ...]:
    """Return the runs of rows that *line* sums up, each as (first, last). The total sums up the sections and the units
    without a section.
    """

    def is_part(other: Printed) -> bool:
        if line.mark is LineMark.SECTION:
            return other.mark is LineMark.UNIT and other.section == line.section
        return line.mark is LineMark.TOTAL and (
            other.mark is LineMark.SECTION or (other.mark is LineMark.UNIT and not other.section)
        )

    runs: list[tuple[int, int]] = []
    for row, other in enumerate(lines, TOTAL_ROW):
        if is_part(other):
            first = runs.pop()[0] if runs and runs[-1][1] == row - 1 else row
            runs.append((first, row))
    return tuple(runs)


def _write_top(book: ReportWorkbook, sheet: Any, last: int) -> None:
    """Write the part above the table, in the layout of official forms."""
    report, t = book.report, book.t
    period, half = report.period, max(_LEAD, last * 2 // 3)
    middle: dict[str, object] = {"align": "center", "valign": "vcenter"}
    basis = report.form.basis.say(book.language)
    left: dict[str, object] = {"valign": "vcenter", "font_size": 10}
    book.merge(sheet, (0, 0), (0, 2), t("Form: {number}", number=report.form.called), **left, bold=True)
    book.merge(sheet, (1, 0), (2, 2), basis, **{**left, "valign": "top"}, italic=True, text_wrap=True)
    units = (
        f"{t('Reporting unit')}: {book.unit}",
        f"{t('Agency code')}: {report.total.unit}",
        f"{t('Receiving unit')}: {book.receiver or '…………………………'}",
    )
    for line, text in enumerate(units):
        book.merge(sheet, (line, half), (line, last), text, **left, shrink=True, bold=line == 0)
    title = report.form.title.say(book.language).upper()
    book.merge(sheet, (3, 0), (3, last), title, **middle, bold=True, font_size=15)
    days = t("from {first} to {last}", first=write_day(period.first), last=write_day(period.last))
    span = f"{t('Period')}: {period.name(book.language)} ({days})"
    if last_day := write_due_sentence(report, book.language):
        span += f" · {last_day}"
    book.merge(sheet, (4, 0), (4, last), span, **middle)
    above = write_closing_lines(report, book.names, book.language).top
    if above:
        banner = "\n".join(above)
        book.merge(sheet, (5, 0), (5, half - 1), banner, bold=True, font_color="#5C3C00", text_wrap=True, valign="top")
        sheet.set_row(5, min(400, 16 + 32 * len(above)))
    elif not report.ended:
        as_of = t("The period has not ended: numbers as of {at}", at=write_moment(report.made_at))
        book.merge(sheet, (5, 0), (5, half - 1), as_of, bold=True, font_color="#5C3C00")
    counted = f"{t('Unit of count')}: {report.form.counted.say(book.language)}"
    book.merge(sheet, (5, half), (5, last), counted, align="right", italic=True)
    sheet.set_row(3, 24)


def _write_headings(book: ReportWorkbook, sheet: Any) -> None:
    """Write the headings: groups above columns, and below them the numbers of the columns."""
    columns, t = book.report.form.columns, book.t
    look: dict[str, object] = {
        "bold": True, "bg_color": BAND_COLOR, **CELL_BORDER, "align": "center", "valign": "vcenter", "text_wrap": True, "font_size": 10,
    }  # fmt: skip
    small = {**look, "bold": False, "italic": True, "font_size": 8}
    code = t("Code") if book.report.divided else t("Agency code")
    lead = (t("No."), write_dimensions(book.report.by, book.language), code)
    for spot, heading in enumerate(lead):
        book.merge(sheet, (ROWS_ABOVE, spot), (ROWS_ABOVE + 2, spot), heading, **look)
    spot = _LEAD
    for column, length in group_columns(columns):
        if column.group is None:
            book.merge(sheet, (ROWS_ABOVE, spot), (ROWS_ABOVE + 1, spot), column.heading.say(book.language), **look)
        else:
            book.merge(
                sheet, (ROWS_ABOVE, spot), (ROWS_ABOVE, spot + length - 1), column.group.say(book.language), **look
            )
        spot += length or 1
    for spot, (column, place) in enumerate(zip(columns, write_column_sums(book.report.form), strict=True), _LEAD):
        if column.group is not None:
            book.write(sheet, ROWS_ABOVE + 1, spot, column.heading.say(book.language), **look)
        book.write(sheet, ROWS_ABOVE + 2, spot, place, **small, shrink=False)
    sheet.set_row(ROWS_ABOVE, 32)
    sheet.set_row(ROWS_ABOVE + 1, 66)
    sheet.set_row(ROWS_ABOVE + 2, 24)


def _write_foot(book: ReportWorkbook, sheet: Any, line: int, last: int) -> None:
    """Write the findings, the notes, when the report was made, and the places for signatures."""
    report, t = book.report, book.t
    notes = write_notes(report.form, book.language)
    texts = [
        t("Finding {number}: {finding}", number=place, finding=said)
        for place, said in enumerate(write_check_findings(report, book.names, book.language), 1)
    ]
    texts += [t("Note {number}: {note}", number=place, note=note) for place, note in enumerate(notes, 1)]
    texts.append(t("Made by the interconnection hub at {at} (Hà Nội time).", at=write_moment(report.made_at)))
    for text in texts:
        book.merge(sheet, (line, 0), (line, last), text, text_wrap=True, valign="top", font_size=10)
        sheet.set_row(line, 14 * (1 + len(text) // 200))
        line += 1
    people = (
        (1, _LEAD + 2, t("Prepared by"), t("(Signature and full name)")),
        (
            max(_LEAD + 4, last * 2 // 3),
            last,
            t("Head of the unit"),
            t("(Signature, full name and seal)"),
        ),
    )
    for first, final, who, how in people:
        if first < final:
            book.merge(sheet, (line + 1, first), (line + 1, final), who.upper(), bold=True, align="center")
            book.merge(sheet, (line + 2, first), (line + 2, final), how, italic=True, align="center")
    sheet.print_area(0, 0, line + 7, last)


def _write_remarks(book: ReportWorkbook) -> None:
    """Write what units say of their figures, one line for each remark, on a sheet of its own."""
    sheet = book.add_sheet(book.t("Explanations"), (20.0, 160.0))
    book.write(sheet, 0, 0, book.say(REMARKS), bold=True, font_size=13)
    lines = write_remark_lines(book.report, book.names, book.language)
    units = [each.unit for each in book.report.remarks.told]
    for line, said in enumerate(lines):
        book.write(sheet, line + 2, 0, units[line] if line < len(units) else "", **CELL_BORDER, valign="top")
        book.write(sheet, line + 2, 1, said, **CELL_BORDER, text_wrap=True)


def _write_checks(book: ReportWorkbook) -> None:
    """Write the checks of the form, each with a live formula for the number of lines that violate it; then the
    findings.
    """
    report, t = book.report, book.t
    sheet = book.add_sheet(t("Checks"), (6.0, 64.0, 26.0, 26.0, 14.0, 14.0))
    look: dict[str, object] = {
        "bold": True,
        "bg_color": BAND_COLOR,
        **CELL_BORDER,
        "align": "center",
        "text_wrap": True,
    }
    plain: dict[str, object] = {**CELL_BORDER, "valign": "vcenter", "text_wrap": True}
    book.write(sheet, 0, 0, t("The checks of the form"), bold=True, font_size=13)
    headings = (
        t("No."), t("What must hold"), t("Left"), t("Right"),
        t("Lines that differ"), t("Result"),
    )  # fmt: skip
    for spot, heading in enumerate(headings):
        book.write(sheet, 1, spot, heading, **look)
    places = dict(zip((column.key for column in report.form.columns), _number_columns(report.form), strict=True))
    for place, check in enumerate(report.form.checks, 1):
        line = place + 1
        left, right = ("+".join(places[key] for key in keys) or "0" for keys in (check.left, check.right))
        right = f"≤ {right}" if check.at_most else right
        right = t("{columns} (the period before)", columns=right) if check.before else right
        sheet.write_number(line, 0, place, book.format(**plain, align="center"))
        for spot, text in enumerate((check.says.say(book.language), left, right), 1):
            book.write(sheet, line, spot, text, **plain)
        broken = _write_broken(book, sheet, line, check)
        held, differs = t("Holds"), t("Does not")
        formula = f'=IF({xl_rowcol_to_cell(line, 4)}=0,"{held}","{differs}")'
        sheet.write_formula(
            line, 5, formula, book.format(**plain, bold=True, align="center"), differs if broken else held
        )
    line = len(report.form.checks) + 3
    for text in write_check_findings(report, book.names, book.language):
        book.merge(sheet, (line, 0), (line, 5), text, text_wrap=True, font_color="#A02020")
        line += 1


def _write_workings(book: ReportWorkbook, said: Sequence[Working]) -> None:
    """Write how the numbers come about, one line for each cell."""
    sheet = book.add_sheet(book.t("Workings"), (20.0, 160.0))
    book.write(sheet, 0, 0, book.say(HOW), bold=True, font_size=13)
    for line, working in enumerate(said, 2):
        book.write(sheet, line, 0, working.unit or "", **CELL_BORDER, valign="top")
        book.write(sheet, line, 1, working.says, **CELL_BORDER, text_wrap=True)


def _write_changes(book: ReportWorkbook) -> None:
    """Write what each revision of a row changed and why, one line for each cell; then the facts that came late."""
    t, marks = book.t, book.report.marks
    sheet = book.add_sheet(t("Changes"), (12.0, 30.0, 11.0, 9.0, 17.0, 15.0, 44.0, 12.0, 12.0, 44.0, 60.0))
    look: dict[str, object] = {
        "bold": True,
        "bg_color": BAND_COLOR,
        **CELL_BORDER,
        "align": "center",
        "text_wrap": True,
    }
    plain: dict[str, object] = {**CELL_BORDER, "valign": "top", "text_wrap": True}
    said = write_closing_lines(book.report, book.names, book.language)
    book.write(sheet, 0, 0, book.say(HEADING), bold=True, font_size=13)
    book.write(sheet, 1, 0, said.banner)
    headings = (
        t("Code"), t("Unit"), t("Month"), t("Revision"), t("Made at (Hà Nội time)"), t("Made by"), t("Column"),
        t("Was"), t("Is now"), t("Reason"), t("Late messages"),
    )  # fmt: skip
    for spot, heading in enumerate(headings):
        book.write(sheet, 2, spot, heading, **look)
    line = 3
    for row in marks.revised:
        late = "; ".join(f"{each.id} ({each.partner}, {write_moment(each.at)})" for each in row.late.named)
        late += f"; +{row.late.more}" if row.late.more else ""
        named = (row.unit, book.names.get(row.unit, row.unit), row.period, str(row.revision), write_moment(row.made_at))
        for cell in row.cells or (None,):
            values = ("", "", "") if cell is None else (
                cell.heading.say(book.language),
                write_changed_value(cell.was, book.language),
                write_changed_value(cell.now, book.language),
            )  # fmt: skip
            for spot, text in enumerate((*named, row.by, *values, book.say(read_own_reason(row.reason)), late)):
                book.write(sheet, line, spot, text, **plain)
            line += 1
    for text in (*said.revised[len(marks.revised) :], *said.late):
        book.write(sheet, line + 1, 0, text)
        line += 1
    sheet.repeat_rows(2)
    sheet.freeze_panes(3, 0)


def _write_broken(book: ReportWorkbook, sheet: Any, line: int, check: Check) -> int:
    """Write and return the number of lines of the table that violate *check*. For a check against the period before it
    is a plain number, because no cell contains that period.
    """
    form = book.format(**CELL_BORDER, valign="vcenter", align="right", indent=1, num_format=book.number_format_of(0))
    found = [each for each in book.report.findings if each.check == check]
    if check.before:
        sheet.write_number(line, 4, len(found), form)
        return len(found)
    lines = arrange_body(book.report, book.names, book.language)
    keys = [column.key for column in book.report.form.columns]

    def side(columns: Sequence[str]) -> str:
        spots = [_LEAD + keys.index(key) for key in columns]
        cells = [xl_range(TOTAL_ROW, spot, TOTAL_ROW + len(lines) - 1, spot) for spot in spots]
        return "+".join(f"{quote_sheetname(book.t('Report'))}!{each}" for each in cells) or "0"

    broken = sum(not check.holds(_added_up(each, check.left), _added_up(each, check.right)) for each in lines)
    differs = ">" if check.at_most else "<>"
    formula = f"=SUMPRODUCT(--(({side(check.left)}){differs}({side(check.right)})))"
    sheet.write_formula(line, 4, formula, form, broken)
    return broken


def _added_up(line: Printed, keys: Sequence[str]) -> int:
    return sum(int(line.row.numbers[key] or 0) for key in keys)


def _number_columns(form: Form) -> list[str]:
    """Return the number of each column, as printed under the headings."""
    return [f"({place})" for place, _ in enumerate(form.columns, form.first_number)]


def _write_evidence_head(
    book: ReportWorkbook, sheet: Any, lines: Sequence[EvidenceLine] | EvidenceLines, most: int
) -> Sequence[str]:
    """Write title, hash and headings above the facts. Return the headings."""
    t = book.t
    title = t("The evidence of the report: the facts it counts")
    book.write(sheet, 0, 0, title, bold=True, font_size=13)
    behind = phrases(
        "SHA-256: {digest} · {number} fact",
        "SHA-256: {digest} · {number} facts",
        count=len(lines),
        number=write_number(len(lines), book.language),
        digest=evidence.hash_evidence(lines),
    )
    said = book.say(behind)
    if len(lines) > most:
        listed = write_number(most, book.language)
        left_out = t(
            "NOT ALL: only the first {listed} are listed; all of them: lienthong report … --facts", listed=listed
        )
        said = f"{said}. {left_out}"
    book.write(sheet, 1, 0, said, font_size=10)
    headings = (
        t("No."), t("Unit"), t("Milestone"), t("At (Hà Nội time)"),
        t("The sender's message id"), t("The hub's id"), t("Counterpart"),
        t("Business key"), t("Counted in column"),
    )  # fmt: skip
    look: dict[str, object] = {
        "bold": True,
        "bg_color": BAND_COLOR,
        **CELL_BORDER,
        "align": "center",
        "text_wrap": True,
    }
    for spot, heading in enumerate(headings):
        book.write(sheet, 2, spot, heading, **look)
    return headings


def _write_evidence(book: ReportWorkbook, lines: Sequence[EvidenceLine] | EvidenceLines, most: int) -> None:
    """Write the facts, oldest first, each with the numbers of the columns that count it."""
    t = book.t
    widths = (7.0, 15.0, 17.0, 17.0, 32.0, 37.0, 15.0, 42.0, 16.0)
    sheet = book.add_sheet(t("Evidence"), widths, StreamedSheet)
    places = {column.key: place for place, column in enumerate(book.report.form.columns, book.report.form.first_number)}
    headings = _write_evidence_head(book, sheet, lines, most)
    plain = {**CELL_BORDER, "valign": "top", "font_size": 10}
    when, numbered = book.format(**plain, num_format=MOMENT_FORMAT, align="center"), book.format(**plain)
    text, wrapped = book.text_format(**plain), book.text_format(**plain, text_wrap=True)
    milestone = cache(lambda service, word: book.say(name_word(service, word)))  # many facts, few milestones
    counted = cache(lambda columns: " ".join(f"({places[key]})" for key in columns))

    def rows() -> Iterator[Sequence[float | str]]:
        for place, line in enumerate(islice(lines, most), 1):
            fact = line.fact
            at = make_serial_day(fact.at.astimezone(HANOI).replace(tzinfo=None, microsecond=0))
            named = (line.message_id or "", fact.message, fact.counterpart, fact.key, counted(line.columns))
            yield place, fact.unit, milestone(fact.service, fact.milestone), at, *named

    often = attrs.evolve(wrapped, often=True)
    formats = (numbered, often, attrs.evolve(text, often=True), when, wrapped, wrapped, often, wrapped, often)
    sheet.stream_rows(formats, rows(), min(most, len(lines)))
    if lines:
        sheet.autofilter(2, 0, 2 + min(most, len(lines)), len(headings) - 1)
    sheet.repeat_rows(2)
    sheet.freeze_panes(3, 0)


def _write_charts(book: ReportWorkbook, charts: Sequence[Plot]) -> None:
    """Write the numbers of each chart, and beside them the chart, which the spreadsheet draws from those cells."""
    t = book.t
    sheet = book.add_sheet(t("Charts"), (36.0, *(14.0,) * MOST_SERIES))
    look: dict[str, object] = {
        "bold": True,
        "bg_color": BAND_COLOR,
        **CELL_BORDER,
        "align": "center",
        "text_wrap": True,
    }
    line = 0
    for plot in charts:
        book.write(sheet, line, 0, plot.title, bold=True, font_size=13)
        book.write(sheet, line + 1, 0, "", **look)
        for place, series in enumerate(plot.series, 1):
            book.write(sheet, line + 1, place, series.name, **look)
        for below, label in enumerate(plot.labels, line + 2):
            book.write(sheet, below, 0, label, **CELL_BORDER, text_wrap=True)
            for place, series in enumerate(plot.series, 1):
                _write_point(book, sheet, below, place, series.values[below - line - 2])
        _insert_chart(book, sheet, line, plot)
        line += max(len(plot.labels) + 2, _CHART_LINES) + 2
    sheet.print_area(0, 0, line, MOST_SERIES + 11)


def _write_point(book: ReportWorkbook, sheet: Any, line: int, spot: int, value: int | Decimal | None) -> None:
    form = book.format(**CELL_BORDER, num_format=book.number_format_of(value), align="right", indent=1)
    if value is None:
        sheet.write_blank(line, spot, None, form)
    else:
        sheet.write_number(line, spot, value, form)


def _insert_chart(book: ReportWorkbook, sheet: Any, line: int, plot: Plot) -> None:
    trend = plot.kind is ChartKind.TREND
    drawn = book.workbook.add_chart({"type": "line" if trend else "bar"})
    first, last, name_ = line + 2, line + 1 + len(plot.labels), sheet.get_name()
    for place, (_, colour) in enumerate(zip(plot.series, choose_colours(plot), strict=True), 1):
        series: dict[str, Any] = {
            "name": [name_, line + 1, place],
            "categories": [name_, first, 0, last, 0],
            "values": [name_, first, place, last, place],
        }
        if trend:
            series |= {"line": {"color": colour, "width": 2}, "marker": {"type": _MARKERS[place - 1], "fill": {"color": colour}, "border": {"color": colour}}}  # fmt: skip
        else:
            series |= {"fill": {"color": colour}, "data_labels": {"value": True}, "gap": 60}
        drawn.add_series(series)
    face = {"name": FACE, "size": 10}
    drawn.set_title({"name": plot.title, "name_font": {"name": FACE, "size": 12, "bold": True}, "overlay": False})
    numbers: dict[str, Any] = {"num_font": face, "min": 0, "num_format": book.number_format_of(0)}
    if trend:
        drawn.set_x_axis({"num_font": face})
        drawn.set_y_axis(numbers)
    else:  # the first label at the top, and every label shown
        drawn.set_x_axis({**numbers, "major_gridlines": {"visible": False}})
        drawn.set_y_axis({"num_font": face, "reverse": True, "interval_unit": 1})
    drawn.set_legend({"none": True} if len(plot.series) < 2 else {"position": "bottom", "font": face})
    drawn.set_size({"width": 640, "height": 20 * max(_CHART_LINES, len(plot.labels) + 2)})
    options = {"description": f"{plot.title}. {plot.said}"[:_DESCRIBED], "object_position": 2}
    sheet.insert_chart(line, MOST_SERIES + 1, drawn, options)
