"""A sheet of a workbook as cells: values, formulas, looks; no report's layout."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
from xlsxwriter.utility import xl_rowcol_to_cell

from hub.domain.local_time import HANOI
from hub.domain.sanitize import replace_unwritable
from hub.language.languages import Language
from hub.report.counting.counting import Report
from hub.report.form.column import Column, ColumnKind, EmptyRatio
from hub.report.form.expression import SPREADSHEET, list_divisors, parse_formula, write_formula
from hub.report.form.form import Form
from hub.report.output.body import LineMark, Printed
from hub.report.words import NONE, name_row_unit, write_moment, write_value
from hub.report.workbooks.sheetwriter import FACE, SheetWriter
from hub.report.workbooks.streamed_sheet import StreamedSheet

_MARGIN = 250  # the characters used of the 255 that a header or footer holds
ROWS_ABOVE = 6  # the rows above the headings
TOTAL_ROW = ROWS_ABOVE + 3  # the row of the total
BAND_COLOR, _STRIP = "#F0F0EA", "#F7F7F3"
CELL_BORDER = {"border": 1, "border_color": "#555555"}
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001
#: how a number format names a language
_LOCALES = {Language.VI: "[$-42A]", Language.EN: "[$-409]"}
MOMENT_FORMAT = r"dd\/mm\/yyyy hh:mm"


@attrs.define
class ReportWorkbook(SheetWriter):
    """The workbook of one report."""

    report: Report
    names: Mapping[str, str]
    receiver: str

    @property
    def unit(self) -> str:
        return name_row_unit(self.report.total, self.names)

    def number_format_of(self, value: int | Decimal | None) -> str:
        """Return the number format in the workbook's language: groups of three digits, and the decimals of *value*."""
        places = -int(value.as_tuple().exponent) if isinstance(value, Decimal) else 0
        decimals = f".{'0' * places}" if places > 0 else ""
        return f"{_LOCALES[self.language]}#,##0{decimals}"

    def add_sheet(self, title: str, widths: Sequence[float], kind: type[StreamedSheet] | None = None) -> Any:
        """Return a new sheet for A4 landscape, one page wide, with the unit, the period and the page number in its
        header and footer.
        """
        sheet = self.workbook.add_worksheet(title, kind)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.set_margins(left=0.4, right=0.4, top=0.6, bottom=0.6)
        sheet.fit_to_pages(1, 0)
        sheet.center_horizontally()
        period, form = self.report.period, self.report.form
        made = f"{self.t('Made at {at}', at=write_moment(self.report.made_at))} · {form.id} {period.text}"
        page = f"{self.t('Page')} &P/&N"
        face = f'&9&"{FACE},Regular"'
        room = _MARGIN - len(face) * 2 - len(period.name(self.language)) - 8
        sheet.set_header(f"&L{face}{_shorten_header(self.unit, room)}&R{face}{period.name(self.language)}")
        sheet.set_footer(f"&L{face}{made}&R{face}{page}")
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        return sheet

    def describe(self, evidence_sha256: str) -> None:
        """Set the document properties. The custom ones are those that a reader needs to check the document."""
        report = self.report
        made = report.made_at.astimezone(HANOI).replace(tzinfo=None, microsecond=0)
        self.workbook.set_properties(
            {
                "title": report.form.title.say(self.language),
                "subject": f"{self.unit}, {report.period.name(self.language)}",
                "author": self.t("The interconnection hub"),
                "created": made,
            }
        )
        own = {
            "Form": report.form.id,
            "Unit": report.total.unit,
            "Period": report.period.text,
            "MadeAt": report.made_at.isoformat(),
            "Evidence-SHA256": evidence_sha256,
        }
        for key, value in own.items():
            self.workbook.set_custom_property(key, value[:255], "text")


def write_line_cell(
    book: ReportWorkbook,
    sheet: Any,
    line: int,
    spots: Mapping[str, int],
    column: Column,
    printed: Printed,
    below: Sequence[tuple[int, int]],
) -> None:
    """Write the number or time of *column*. *below*: the runs of rows that this row sums up."""
    look, row, spot = choose_line_look(printed.mark), printed.row, spots[column.key]
    spans = ",".join(
        xl_rowcol_to_cell(first, spot) + (f":{xl_rowcol_to_cell(last, spot)}" if last > first else "")
        for first, last in below
    )
    if column.kind is ColumnKind.TIME:
        form = book.format(**look, num_format=MOMENT_FORMAT, align="center", text_wrap=True, font_size=10)
        at = row.times[column.key]
        shown = None if at is None else at.astimezone(HANOI).replace(tzinfo=None, microsecond=0)
        if spans and shown is not None:
            sheet.write_formula(line, spot, f"=MAX({spans})", form, make_serial_day(shown))
        elif shown is None:
            sheet.write_blank(line, spot, None, form)
        else:
            sheet.write_number(line, spot, make_serial_day(shown), form)
        return
    value: int | Decimal | None = row.numbers[column.key]
    form = book.format(**look, num_format=book.number_format_of(value), align="right", indent=1)
    if column.kind is ColumnKind.GRADE:
        form = book.format(**look, align="center", text_wrap=True)
        name = replace_unwritable(write_value(value, column, book.language))
        sheet.write_formula(line, spot, f"={_grade_formula(column, line, spots, book.language)}", form, name)
    elif formula := _write_formula(book.report.form, column, line, spots):
        sheet.write_formula(line, spot, f"={formula}", form, NONE if value is None else value)
    elif value is None:
        sheet.write_string(line, spot, NONE, form)
    elif spans and column.kind is not ColumnKind.DECLARED:
        sheet.write_formula(line, spot, f"=SUM({spans})", form, value)
    else:
        sheet.write_number(line, spot, value, form)


def _write_formula(form: Form, column: Column, line: int, spots: Mapping[str, int]) -> str:
    """Return the formula of a column that is computed from others in the same row; "" for a column that counts.

    A ratio is rounded as `deriving` rounds it. Points are computed from the ratio before it is rounded.
    """
    if not (column.sum or column.part or column.of or column.expression):
        return ""
    cells = {key: xl_rowcol_to_cell(line, at) for key, at in spots.items()}
    if column.expression:
        return _write_expression(form, column, cells)
    if column.sum:
        return _write_sum(column.sum, cells)
    if column.part:
        return f"IF({_test_nothing(column, cells)},{_write_empty(column)},ROUND({_write_percentage(column, cells)},2))"
    if column.of:
        ratio = form.column(column.of)
        points = f"ROUND(MIN(({_write_percentage(ratio, cells)})/{column.full_at},1)*{column.points},2)"
        return f"IF({_test_nothing(ratio, cells)},{_write_empty(ratio)},{points})"
    return ""


def _write_expression(form: Form, column: Column, cells: Mapping[str, str]) -> str:
    """Return the formula of an expression: rounded as `deriving` rounds it, and empty as its form says."""

    def named(name: str) -> str:
        return cells.get(name) or str(form.parameters[name])

    formula = parse_formula(column.expression)
    value = f"ROUND({write_formula(formula, named, SPREADSHEET)},{column.places})"
    tests = [f"({write_formula(divisor, named, SPREADSHEET)})=0" for divisor in list_divisors(formula)]
    if column.inputs:
        tests.insert(0, f"COUNT({','.join(cells[key] for key in column.inputs)})<{len(column.inputs)}")
    for test in reversed(tests):  # one within another: OR works all of them out, and of a missing number makes an error
        value = f"IF({test},{_write_empty(column)},{value})"
    return value


def _grade_formula(column: Column, line: int, spots: Mapping[str, int], language: Language) -> str:
    """Return the formula that gives the name of the grade for the number in another cell of the row."""
    cell = xl_rowcol_to_cell(line, spots[column.of])
    names = [replace_unwritable(grade.heading.say(language)).replace('"', '""') for grade in column.grades]
    found = f'"{names[-1]}"'
    for grade, name in reversed(list(zip(column.grades[:-1], names[:-1], strict=True))):
        found = f'IF({cell}>={grade.at},"{name}",{found})'
    return f'IF(ISNUMBER({cell}),{found},"{NONE}")'


def _write_sum(keys: Sequence[str], cells: Mapping[str, str]) -> str:
    return "+".join(cells[key] for key in keys)


def _test_nothing(ratio: Column, cells: Mapping[str, str]) -> str:
    return f"({_write_sum(ratio.whole, cells)})=0"


def _write_empty(ratio: Column) -> str:
    return f'"{NONE}"' if ratio.empty is EmptyRatio.NONE else "0"


def _write_percentage(ratio: Column, cells: Mapping[str, str]) -> str:
    return f"100*({_write_sum(ratio.part, cells)})/({_write_sum(ratio.whole, cells)})"


def choose_line_look(mark: LineMark) -> dict[str, Any]:
    bands = {
        LineMark.TOTAL: {"bold": True, "bg_color": BAND_COLOR},
        LineMark.SECTION: {"bold": True, "bg_color": _STRIP},
        LineMark.UNIT: {},
    }
    return {**CELL_BORDER, "valign": "vcenter", **bands[mark]}


def make_serial_day(wall: datetime) -> float:
    """Return the serial day number of a date and time without a time zone, as spreadsheets use it."""
    return (wall - _EPOCH) / timedelta(days=1)


def _shorten_header(text: str, room: int) -> str:
    """Return *text* shortened to *room* and escaped for a header, in which & begins a code."""
    escaped = text.replace("&", "&&")
    if len(escaped) <= room:
        return escaped
    return text[: room // 2 - 1].replace("&", "&&") + "…"
