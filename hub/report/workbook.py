"""A report as an XLSX workbook: the sheet an official reads and prints, and a sheet of the facts behind it.

Knows the layout and Excel's rules; does not count.  Sums and formulas are live, and each carries the counted number as its cached
value.  The same report gives the same bytes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import attrs
from xlsxwriter import Workbook
from xlsxwriter.utility import xl_rowcol_to_cell

from hub.report import evidence
from hub.report.counting import Report, Row
from hub.report.evidence import Line
from hub.report.form import Column, Kind
from hub.report.outputs import FORMULA, day, groups, moment, name, number, sums
from hub.report.period import HANOI

#: Facts that the second sheet lists at most; a spreadsheet of more is slow to open.
MOST_LINES = 50_000

_TEXT = 32_767  # characters that a cell holds
_MARGIN = 250  # of the 255 characters that a header or footer holds
_LEAD = 3  # columns before the first of the form: number, unit, code
_TOP = 6  # rows above the headings
_TOTAL = _TOP + 3  # the row of the total
_FACE = "Times New Roman"
_BAND = "#F0F0EA"
_LINE = {"border": 1, "border_color": "#555555"}
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001
_MOMENT = r"dd\/mm\/yyyy hh:mm"


def as_xlsx(
    report: Report, names: Mapping[str, str], lines: Sequence[Line], language: str = "vi", most: int = MOST_LINES
) -> bytes:
    """Return the workbook; *lines* are the evidence, of which the second sheet lists the first *most*.

    Times are written to the second, Hà Nội's.  Every text is a text, whatever it begins with; nothing links outside.
    """
    written = BytesIO()
    with Workbook(
        written,
        {
            "in_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "default_format_properties": {"font_name": _FACE, "font_size": 11},
        },
    ) as workbook:
        book = _Book(workbook, report, names, "en" if language == "en" else "vi")
        book.describe(lines)
        _write_report(book)
        _write_evidence(book, lines, most)
    return written.getvalue()


@attrs.define
class _Book:
    """The workbook in the making, the words of its language, and its formats, each made once."""

    workbook: Any
    report: Report
    names: Mapping[str, str]
    language: str
    _formats: dict[tuple[tuple[str, object], ...], Any] = attrs.field(factory=dict)

    def t(self, vi: str, en: str) -> str:
        return en if self.language == "en" else vi

    def format(self, **properties: object) -> Any:
        key = tuple(sorted(properties.items()))
        if key not in self._formats:
            self._formats[key] = self.workbook.add_format({"font_name": _FACE, "font_size": 11, **properties})
        return self._formats[key]

    @property
    def unit(self) -> str:
        return name(self.report.total, self.names)

    @property
    def number_format(self) -> str:
        """Groups of three, as people of the language write them."""
        return "[$-409]#,##0" if self.language == "en" else "[$-42A]#,##0"

    def write(self, sheet: Any, row: int, column: int, text: str, **properties: Any) -> None:
        """Write a text that stays one, also when someone edits the cell."""
        if text.lstrip(" ").startswith(FORMULA):
            properties = {**properties, "quote_prefix": True}
        sheet.write_string(row, column, text[:_TEXT], self.format(**properties))

    def merge(self, sheet: Any, first: tuple[int, int], last: tuple[int, int], text: str, **properties: Any) -> None:
        """Write a text over several cells."""
        if first != last:
            sheet.merge_range(*first, *last, "", self.format(**properties))
        self.write(sheet, *first, text, **properties)

    def add_sheet(self, title: str, widths: Sequence[float]) -> Any:
        """Return a new sheet set up for A4 across, one page wide, with the unit, period and page number in its margins."""
        sheet = self.workbook.add_worksheet(title)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.set_margins(left=0.4, right=0.4, top=0.6, bottom=0.6)
        sheet.fit_to_pages(1, 0)
        sheet.center_horizontally()
        period, form = self.report.period, self.report.form
        made = f"{self.t('Lập lúc', 'Made at')} {moment(self.report.made_at)} · {form.id} {period.text}"
        page = f"{self.t('Trang', 'Page')} &P/&N"
        face = f'&9&"{_FACE},Regular"'
        room = _MARGIN - len(face) * 2 - len(period.name(self.language)) - 8
        sheet.set_header(f"&L{face}{_shortened(self.unit, room)}&R{face}{period.name(self.language)}")
        sheet.set_footer(f"&L{face}{made}&R{face}{page}")
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        return sheet

    def describe(self, lines: Sequence[Line]) -> None:
        """Set the properties of the document; those of its own are what a reader needs to check it."""
        report = self.report
        made = report.made_at.astimezone(HANOI).replace(tzinfo=None, microsecond=0)
        self.workbook.set_properties(
            {
                "title": report.form.title.say(self.language),
                "subject": f"{self.unit}, {report.period.name(self.language)}",
                "author": self.t("Trục liên thông", "The interconnection hub"),
                "created": made,
            }
        )
        own = {
            "Form": report.form.id,
            "Unit": report.total.unit,
            "Period": report.period.text,
            "MadeAt": report.made_at.isoformat(),
            "Evidence-SHA256": evidence.digest(lines),
        }
        for key, value in own.items():
            self.workbook.set_custom_property(key, value[:255], "text")


def _write_report(book: _Book) -> None:
    report, t = book.report, book.t
    columns = report.form.columns
    widths = [5.0, 30.0, 15.0, *(16.0 if column.kind is Kind.TIME else 9.0 for column in columns)]
    sheet = book.add_sheet(t("Báo cáo", "Report"), widths)
    last = _LEAD + len(columns) - 1
    _write_top(book, sheet, last)
    _write_headings(book, sheet)
    spots = {column.key: _LEAD + place for place, column in enumerate(columns)}
    first, final = _TOTAL + 1, _TOTAL + len(report.rows)
    band = {"bold": True, "bg_color": _BAND, **_LINE, "valign": "vcenter"}
    book.write(sheet, _TOTAL, 0, "", **band)
    book.write(sheet, _TOTAL, 1, t("Tổng cộng", "Total"), **band)
    book.write(sheet, _TOTAL, 2, report.total.unit, **band)
    for column in columns:
        span = f"{xl_rowcol_to_cell(first, spots[column.key])}:{xl_rowcol_to_cell(final, spots[column.key])}"
        _write_cell(book, sheet, _TOTAL, spots, column, report.total, span=span if report.rows else "")
    plain = {**_LINE, "valign": "vcenter"}
    for place, row in enumerate(report.rows, 1):
        sheet.write_number(_TOTAL + place, 0, place, book.format(**plain, align="center"))
        book.write(sheet, _TOTAL + place, 1, name(row, book.names), text_wrap=True, **plain)
        book.write(sheet, _TOTAL + place, 2, row.unit, text_wrap=True, **plain)
        for column in columns:
            _write_cell(book, sheet, _TOTAL + place, spots, column, row)
    _write_foot(book, sheet, final + 2, last)
    sheet.repeat_rows(_TOP, _TOTAL - 1)
    sheet.freeze_panes(_TOTAL, _LEAD)


def _write_cell(
    book: _Book, sheet: Any, line: int, spots: Mapping[str, int], column: Column, row: Row, *, span: str | None = None
) -> None:
    """Write the number or time of *column*; *span*: the cells below that the total row sums up."""
    look: dict[str, object] = {**_LINE, "valign": "vcenter"}
    if span is not None:
        look |= {"bold": True, "bg_color": _BAND}
    spot = spots[column.key]
    if column.kind is Kind.TIME:
        form = book.format(**look, num_format=_MOMENT, align="center", text_wrap=True, font_size=10)
        at = row.times[column.key]
        shown = None if at is None else at.astimezone(HANOI).replace(tzinfo=None, microsecond=0)
        if span and shown is not None:
            sheet.write_formula(line, spot, f"=MAX({span})", form, _serial(shown))
        elif shown is None:
            sheet.write_blank(line, spot, None, form)
        else:
            sheet.write_number(line, spot, _serial(shown), form)
        return
    form = book.format(**look, num_format=book.number_format, align="right", indent=1)
    value = row.numbers[column.key]
    if column.sum:
        parts = "+".join(xl_rowcol_to_cell(line, spots[key]) for key in column.sum)
        sheet.write_formula(line, spot, f"={parts}", form, value)
    elif span:
        sheet.write_formula(line, spot, f"=SUM({span})", form, value)
    else:
        sheet.write_number(line, spot, value, form)


def _write_top(book: _Book, sheet: Any, last: int) -> None:
    """Write what stands above the table, as official forms have it."""
    report, t = book.report, book.t
    period, half = report.period, max(_LEAD, last * 2 // 3)
    middle: dict[str, object] = {"align": "center", "valign": "vcenter"}
    code = f"{t('Mã định danh', 'Agency code')}: {report.total.unit}"
    book.merge(sheet, (0, 0), (0, 2), t("Đơn vị báo cáo", "Reporting unit"), **middle)
    book.merge(sheet, (1, 0), (1, 2), book.unit, **middle, bold=True, shrink=True)
    book.merge(sheet, (2, 0), (2, 2), code, **middle, italic=True)
    book.merge(sheet, (0, half), (0, last), "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", **middle, bold=True)
    book.merge(sheet, (1, half), (1, last), "Độc lập - Tự do - Hạnh phúc", **middle, bold=True, underline=1)
    title = report.form.title.say(book.language).upper()
    book.merge(sheet, (3, 0), (3, last), title, **middle, bold=True, font_size=15)
    span = (
        f"{t('Kỳ báo cáo', 'Period')}: {period.name(book.language)} ({t('từ ngày', 'from')} {day(period.first)}"
        f" {t('đến hết ngày', 'to')} {day(period.last)})"
    )
    book.merge(sheet, (4, 0), (4, last), span, **middle)
    if not report.ended:
        as_of = t("Kỳ chưa kết thúc: số liệu tính đến", "The period has not ended: numbers as of")
        book.merge(sheet, (5, 0), (5, half - 1), f"{as_of} {moment(report.made_at)}", bold=True, font_color="#5C3C00")
    counted = f"{t('Đơn vị tính', 'Unit of count')}: {report.form.counted.say(book.language)}"
    book.merge(sheet, (5, half), (5, last), counted, align="right", italic=True)
    sheet.set_row(3, 24)


def _write_headings(book: _Book, sheet: Any) -> None:
    """Write the headings: those of groups over those of columns, and under them the numbers of the columns."""
    columns, t = book.report.form.columns, book.t
    look: dict[str, object] = {
        "bold": True, "bg_color": _BAND, **_LINE, "align": "center", "valign": "vcenter", "text_wrap": True, "font_size": 10,
    }  # fmt: skip
    small = {**look, "bold": False, "italic": True, "font_size": 8}
    lead = (t("STT", "No."), t("Đơn vị", "Unit"), t("Mã định danh", "Agency code"))
    for spot, heading in enumerate(lead):
        book.merge(sheet, (_TOP, spot), (_TOP + 2, spot), heading, **look)
    spot = _LEAD
    for column, length in groups(columns):
        if column.group is None:
            book.merge(sheet, (_TOP, spot), (_TOP + 1, spot), column.heading.say(book.language), **look)
        else:
            book.merge(sheet, (_TOP, spot), (_TOP, spot + length - 1), column.group.say(book.language), **look)
        spot += length or 1
    for spot, (column, place) in enumerate(zip(columns, sums(columns), strict=True), _LEAD):
        if column.group is not None:
            book.write(sheet, _TOP + 1, spot, column.heading.say(book.language), **look)
        book.write(sheet, _TOP + 2, spot, place, **small, shrink=False)
    sheet.set_row(_TOP, 32)
    sheet.set_row(_TOP + 1, 66)
    sheet.set_row(_TOP + 2, 24)


def _write_foot(book: _Book, sheet: Any, line: int, last: int) -> None:
    """Write the legal basis, the notes, when it was made, and where people sign."""
    report, t = book.report, book.t
    notes = [note.say(book.language) for note in report.form.notes]
    texts = [f"{t('Căn cứ', 'Legal basis')}: {report.form.basis.say(book.language)}."]
    texts += [f"{t('Ghi chú', 'Note')} {place}: {note}" for place, note in enumerate(notes, 1)]
    made = t("Trục liên thông lập lúc", "Made by the interconnection hub at")
    texts.append(f"{made} {moment(report.made_at)} {t('(giờ Hà Nội)', '(Hà Nội time)')}.")
    for text in texts:
        book.merge(sheet, (line, 0), (line, last), text, text_wrap=True, valign="top", font_size=10)
        sheet.set_row(line, 14 * (1 + len(text) // 200))
        line += 1
    people = (
        (1, _LEAD + 2, t("Người lập biểu", "Prepared by"), t("(Ký, ghi rõ họ tên)", "(Signature and full name)")),
        (
            max(_LEAD + 4, last * 2 // 3),
            last,
            t("Thủ trưởng đơn vị", "Head of the unit"),
            t("(Ký, ghi rõ họ tên, đóng dấu)", "(Signature, full name and seal)"),
        ),
    )
    for first, final, who, how in people:
        if first < final:
            book.merge(sheet, (line + 1, first), (line + 1, final), who.upper(), bold=True, align="center")
            book.merge(sheet, (line + 2, first), (line + 2, final), how, italic=True, align="center")
    sheet.print_area(0, 0, line + 7, last)


def _write_evidence(book: _Book, lines: Sequence[Line], most: int) -> None:
    """Write the facts, oldest first, each with the numbers of the columns that take it."""
    t = book.t
    sheet = book.add_sheet(t("Căn cứ", "Evidence"), (7.0, 15.0, 17.0, 17.0, 32.0, 37.0, 15.0, 42.0, 16.0))
    places = {column.key: place for place, column in enumerate(book.report.form.columns, 1)}
    title = t("Căn cứ của báo cáo: các kết quả ghi nhận được đếm", "The evidence of the report: the facts it counts")
    book.write(sheet, 0, 0, title, bold=True, font_size=13)
    said = f"SHA-256: {evidence.digest(lines)} · {number(len(lines), book.language)} {t('kết quả', 'facts')}"
    if len(lines) > most:
        listed = number(most, book.language)
        said += t(
            f". CHƯA ĐỦ: chỉ liệt kê {listed} kết quả đầu tiên; toàn bộ: lienthong report … --facts",
            f". NOT ALL: only the first {listed} are listed; all of them: lienthong report … --facts",
        )
    book.write(sheet, 1, 0, said, font_size=10)
    headings = (
        t("STT", "No."), t("Đơn vị", "Unit"), t("Mốc", "Milestone"), t("Lúc (giờ Hà Nội)", "At (Hà Nội time)"),
        t("Mã thông điệp của bên gửi", "The sender's message id"), t("Mã trong trục", "The hub's id"), t("Bên kia", "Counterpart"),
        t("Khóa nghiệp vụ", "Business key"), t("Đếm ở cột", "Counted in column"),
    )  # fmt: skip
    look: dict[str, object] = {"bold": True, "bg_color": _BAND, **_LINE, "align": "center", "text_wrap": True}
    for spot, heading in enumerate(headings):
        book.write(sheet, 2, spot, heading, **look)
    plain = {**_LINE, "valign": "top", "font_size": 10}
    wrapped = {**plain, "text_wrap": True}
    when = book.format(**plain, num_format=_MOMENT, align="center")
    for place, line in enumerate(lines[:most], 1):
        fact, row = line.fact, place + 2
        sheet.write_number(row, 0, place, book.format(**plain))
        book.write(sheet, row, 1, fact.unit, **wrapped)
        book.write(sheet, row, 2, fact.milestone, **plain)
        sheet.write_number(row, 3, _serial(fact.at.astimezone(HANOI).replace(tzinfo=None, microsecond=0)), when)
        counted = " ".join(f"({places[key]})" for key in line.columns)
        texts = (line.message_id or "", fact.message, fact.counterpart, fact.key, counted)
        for spot, text in enumerate(texts, 4):
            book.write(sheet, row, spot, text, **wrapped)
    if lines:
        sheet.autofilter(2, 0, 2 + min(most, len(lines)), len(headings) - 1)
    sheet.repeat_rows(2)
    sheet.freeze_panes(3, 0)


def _serial(wall: datetime) -> float:
    """Return the day number by which spreadsheets know a date and time without a zone."""
    return (wall - _EPOCH) / timedelta(days=1)


def _shortened(text: str, room: int) -> str:
    """Return *text* for a header, where & begins a code."""
    escaped = text.replace("&", "&&")
    if len(escaped) <= room:
        return escaped
    return text[: room // 2 - 1].replace("&", "&&") + "…"
