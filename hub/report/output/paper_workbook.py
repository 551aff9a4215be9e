"""Writes a report as the workbook that a province prints and sends: the headings, numbers of columns and places for
signatures of the paper form, by the form's layout.

Knows the places on the sheet. Does not count. The texts are those of the layout and Vietnamese, in whatever language the
report is read. Every number is written as a number. The workbook can be declared as it is
(`hub.report.workbooks.laid_out_workbook`). The same report gives the same bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from io import BytesIO
from typing import Any

import attrs
from xlsxwriter import Workbook

from hub.domain.local_time import HANOI
from hub.language.languages import Language
from hub.report.counting.counting import Report, Row
from hub.report.form.column import WORKED_OUT, ColumnKind
from hub.report.form.layout import Layout
from hub.report.output.body import LineMark, Printed, arrange_body
from hub.report.words import NONE, name_column, name_row_unit, write_day, write_moment
from hub.report.workbooks.sheetwriter import SheetWriter, make_cell_styles, make_text_options

_LANGUAGE = Language.VI
_LEAD = 2  #: columns before the first of the form: the number and the unit
_TOP = 6  #: rows above the headings
_LISTED = 20  #: units that a note names
_LINE = {"border": 1}
_A3, _A4 = 8, 9  #: sizes of paper as workbooks number them
_MOST_ON_A4 = 16  #: columns that are legible on A4


def write_paper_workbook(report: Report, names: Mapping[str, str], layout: Layout, *, receiver: str = "") -> bytes:
    """Return the workbook of *report* in the *layout* of its form. *receiver*: the receiver of the report; if empty, a
    blank space is printed. Columns that the form lacks in this version stay empty.
    """
    written = BytesIO()
    with Workbook(written, {**make_text_options(), "default_format_properties": make_cell_styles()}) as workbook:
        made = report.made_at.astimezone(HANOI).replace(tzinfo=None, microsecond=0)
        workbook.set_properties({"title": layout.paper.title, "created": made})
        _Paper(workbook, _LANGUAGE, report=report, names=names, layout=layout, receiver=receiver).fill()
    return written.getvalue()


@attrs.define(kw_only=True)
class _Paper(SheetWriter):
    """The sheet that is being written. Rows and columns are counted from 0."""

    workbook: Any = attrs.field(kw_only=False)
    language: Language = attrs.field(kw_only=False)
    report: Report
    names: Mapping[str, str]
    layout: Layout
    receiver: str

    @property
    def first(self) -> int:
        """The first column of the table."""
        return self.layout.paper.empty_columns

    @property
    def last(self) -> int:
        return self.first + _LEAD + len(self.layout.columns) - 1

    @property
    def paths(self) -> list[tuple[str, ...]]:
        """The headings above each column, outermost first."""
        return [("STT",), (self.layout.paper.unit,), *(column.heading for column in self.layout.columns)]

    def fill(self) -> None:
        sheet = self.workbook.add_worksheet(self.t("Report"))
        sheet.set_landscape()
        sheet.set_paper(_A3 if len(self.layout.columns) > _MOST_ON_A4 else _A4)
        sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.5)
        sheet.fit_to_pages(1, 0)
        sheet.center_horizontally()
        sheet.set_footer("&R&P/&N")
        for place, width in enumerate((*(2.0,) * self.first, 5.0, 32.0, *(9.0,) * len(self.layout.columns))):
            sheet.set_column(place, place, width)
        self.write_top(sheet)
        depth = max(map(len, self.paths))
        self.write_headings(sheet, depth)
        numbers = _TOP + depth
        for place in range(len(self.paths)):
            said = f"({place + 1})" if place < _LEAD else self.layout.columns[place - _LEAD].number
            look = {**_LINE, "align": "center", "italic": True, "font_size": 9, "text_wrap": True}
            self.write(sheet, numbers, self.first + place, said, **look)
        sheet.set_row(numbers, 26)
        line = self.write_lines(sheet, numbers + 1)
        line = self.write_notes(sheet, line)
        self.write_signatures(sheet, line + 1)
        sheet.repeat_rows(_TOP, numbers)
        sheet.freeze_panes(numbers + 1, self.first + _LEAD)
        sheet.print_area(0, 0, line + 8, self.last)

    def write_top(self, sheet: Any) -> None:
        """Write what stands above the table: the form and the units, the title, the period."""
        report, paper, first, last = self.report, self.layout.paper, self.first, self.last
        half = first + max(_LEAD, (last - first) // 2)
        unit = name_row_unit(report.total, self.names)
        self.merge(sheet, (0, first), (0, half - 1), paper.number, bold=True)
        if paper.basis:
            basis = paper.basis.replace("{basis}", report.form.basis.vi)
            self.merge(sheet, (1, first), (2, half - 1), basis, italic=True, text_wrap=True, valign="top")
        self.merge(sheet, (0, half), (0, last), f"{self.t('Reporting unit')}: {unit}", bold=True, shrink=True)
        receiver = self.receiver or "…………………………"
        self.merge(sheet, (1, half), (1, last), f"{self.t('Receiving unit')}: {receiver}", shrink=True)
        self.merge(sheet, (3, first), (3, last), paper.title, bold=True, align="center", font_size=14)
        days = f"Từ ngày {write_day(report.period.first)} đến ngày {write_day(report.period.last)}"
        said = f"Kỳ báo cáo: {report.period.name(self.language)} ({days})"
        self.merge(sheet, (4, first), (4, last), said, align="center", italic=True)
        counted = f"{self.t('Unit of count')}: {report.form.counted.say(self.language)}"
        self.merge(sheet, (5, half), (5, last), counted, align="right", italic=True)

    def write_headings(self, sheet: Any, depth: int) -> None:
        """Write each heading over the columns that share it, and the innermost down to the row of numbers."""
        look: dict[str, object] = {"bold": True, **_LINE, "align": "center", "valign": "vcenter", "text_wrap": True}
        paths = self.paths
        for level in range(depth):
            sheet.set_row(_TOP + level, 32 if level < depth - 1 else 64)
            place = 0
            while place < len(paths):
                path, end = paths[place], place + 1
                if level < len(path) - 1:
                    while (
                        end < len(paths)
                        and len(paths[end]) > level + 1
                        and paths[end][: level + 1] == path[: level + 1]
                    ):
                        end += 1
                if level < len(path):
                    down = depth - 1 if level == len(path) - 1 else level
                    corner = _TOP + level, self.first + place
                    self.merge(sheet, corner, (_TOP + down, self.first + end - 1), path[level], **look)
                place = end

    def write_lines(self, sheet: Any, line: int) -> int:
        """Write the rows, and return the number of the row behind them."""
        total, *rest = arrange_body(self.report, self.names, self.language)
        for printed in (total, *rest) if self.layout.paper.total_first else (*rest, total):
            self.write_line(sheet, line, printed)
            line += 1
        return line

    def write_line(self, sheet: Any, line: int, printed: Printed) -> None:
        look: dict[str, object] = {**_LINE, "valign": "vcenter", "bold": printed.mark is not LineMark.UNIT}
        name = "Tổng cộng" if printed.mark is LineMark.TOTAL else printed.name
        self.write(sheet, line, self.first, printed.number, **look, align="center")
        self.write(sheet, line, self.first + 1, name, **look, text_wrap=True)
        for place, column in enumerate(self.layout.columns, self.first + _LEAD):
            if column.column not in printed.row.numbers:
                sheet.write_blank(line, place, None, self.format(**look))
                continue
            value: int | Decimal | None = printed.row.numbers[column.column]
            decimals = ".00" if isinstance(value, Decimal) else ""
            form = self.format(**look, num_format=f"#,##0{decimals}", align="right")
            if value is None:
                sheet.write_string(line, place, NONE, form)
            else:
                sheet.write_number(line, place, value, form)

    def write_notes(self, sheet: Any, line: int) -> int:
        """Write how the numbers were made, and the figures that the paper has no column for."""
        report = self.report
        texts = [*self.describe_left_out()]
        if not report.ended:
            texts.append(self.t("The period has not ended: numbers as of {at}", at=write_moment(report.made_at)))
        texts.append(self.t("Made by the interconnection hub at {at} (Hà Nội time).", at=write_moment(report.made_at)))
        for text in texts:
            self.merge(sheet, (line, self.first), (line, self.last), text, font_size=9, italic=True, text_wrap=True)
            line += 1
        return line

    def describe_left_out(self) -> Iterator[str]:
        """Yield a sentence for each counted column that the paper lacks and that is not 0 in some row."""
        held = {column.column for column in self.layout.columns}
        for column in self.report.form.columns:
            if column.key in held or column.kind in WORKED_OUT or column.kind is ColumnKind.TIME:
                continue
            rows = [row for row in self.report.rows if row.numbers.get(column.key)]
            if rows:
                listed = "; ".join(self.describe_number(row, column.key) for row in rows[:_LISTED])
                more = "; …" if len(rows) > _LISTED else ""
                yield f"{self.t('Not on the paper form')}: {name_column(column, self.language)}: {listed}{more}"

    def describe_number(self, row: Row, key: str) -> str:
        return f"{name_row_unit(row, self.names)}: {row.numbers[key]}"

    def write_signatures(self, sheet: Any, line: int) -> None:
        """Write the place and date, and the places for signatures beside one another."""
        people: Sequence[str] = self.layout.paper.signatures
        if not people:
            return
        wide = max(2, (self.last - self.first + 1) // len(people))
        for place, who in enumerate(people):
            left = self.first + place * wide
            right = self.last if place == len(people) - 1 else left + wide - 1
            if place == len(people) - 1:
                self.merge(
                    sheet, (line, left), (line, right), "…………, ngày …… tháng …… năm ………", italic=True, align="center"
                )
            self.merge(sheet, (line + 1, left), (line + 1, right), who, bold=True, align="center")
            self.merge(sheet, (line + 2, left), (line + 2, right), self.t("(Signature and full name)"), italic=True, align="center")  # fmt: skip
