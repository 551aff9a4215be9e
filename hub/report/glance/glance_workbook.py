"""Writes the province at a glance as an XLSX workbook: the ranking with the figures of twelve periods, their line, and notes.

Knows the layout and Excel's rules. Counts nothing. The same view gives the same bytes.
"""

from datetime import UTC
from decimal import Decimal
from io import BytesIO
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.utility import xl_range, xl_rowcol_to_cell

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.report.counting.deriving import Number
from hub.report.glance.glance_notes import HEADINGS, write_glance_head, write_glance_notes, write_notices
from hub.report.glance.ranking import RankedUnit
from hub.report.glance.view import GlanceView
from hub.report.workbooks.sheetwriter import SheetWriter, make_cell_styles, make_text_options

_LINE: dict[str, Any] = {"border": 1, "border_color": "#555555"}
_BAND = "#F0F0EA"
_TOP = 5  # the row of the headings


def write_xlsx_glance(view: GlanceView, language: Language) -> bytes:
    """Return the workbook: a line for each unit, its change as a live formula, its trend as a line in a cell.

    Every text stays a text. There are no links outside.
    """
    written = BytesIO()
    with Workbook(written, {**make_text_options(), "default_format_properties": make_cell_styles()}) as workbook:
        workbook.set_properties(
            {"title": write_glance_head(view, language)[1], "created": view.made_at.astimezone(UTC)}
        )
        _write_ranking(SheetWriter(workbook, language), view)
    return written.getvalue()


def _write_ranking_row(book: SheetWriter, sheet: Any, view: GlanceView, line: int, row: RankedUnit) -> None:
    first, yes, no = len(HEADINGS), book.t("yes"), book.t("no")
    _write_number_cell(book, sheet, line, 0, row.place)
    book.write(sheet, line, 1, row.unit.code, **_LINE)
    book.write(sheet, line, 2, row.unit.name, text_wrap=True, **_LINE)
    _write_number_cell(book, sheet, line, 3, row.value)
    _write_number_cell(book, sheet, line, 4, row.part if row.whole is not None else None)
    _write_number_cell(book, sheet, line, 5, row.whole)
    last = first + 1 + len(view.ranking.periods)
    if row.change is None:
        book.write(sheet, line, 6, "", **_LINE)
    else:
        now, before = (xl_rowcol_to_cell(line, column) for column in (last, last - 1))
        places = max(_count_places(row.value), _count_places(row.before))
        sheet.write_formula(
            line, 6, f"=ROUND({now}-{before},{places})", _make_format(book, row.change), float(row.change)
        )
    _write_number_cell(book, sheet, line, 7, row.place_before)
    for column, flag in ((8, row.met), (9, row.far)):
        book.write(sheet, line, column, "" if flag is None else yes if flag else no, align="center", **_LINE)
    book.write(sheet, line, first, write_notices(view, row, book.language), text_wrap=True, **_LINE)
    for column, value in enumerate(row.trend, first + 2):
        _write_number_cell(book, sheet, line, column, value)
    book.write(sheet, line, first + 1, "", **_LINE)
    place = f"'{sheet.get_name()}'!{xl_range(line, first + 2, line, last)}"
    sheet.add_sparkline(line, first + 1, {"range": place, "markers": True, "last_point": True})


def _write_ranking(book: SheetWriter, view: GlanceView) -> None:
    language, periods = book.language, view.ranking.periods
    sheet = book.workbook.add_worksheet(book.t("Ranking"))
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.set_margins(left=0.4, right=0.4, top=0.6, bottom=0.6)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(_TOP)
    for top, (text, look) in enumerate(
        zip(write_glance_head(view, language), ({}, {"bold": True, "font_size": 14}, {}, {}), strict=True)
    ):
        book.write(sheet, top, 0, text, **look)
    headings = [translate(each, language) for each in HEADINGS]
    first = len(headings)
    for column, text in enumerate([*headings, book.t("Remarks"), book.t("Trend"), *periods]):
        book.write(sheet, _TOP, column, text, bold=True, text_wrap=True, align="center", bg_color=_BAND, **_LINE)
    sheet.set_column(0, 0, 6)
    sheet.set_column(1, 1, 14)
    sheet.set_column(2, 2, 38)
    sheet.set_column(3, first - 1, 10)
    sheet.set_column(first, first, 30)
    sheet.set_column(first + 1, first + 1, 18)
    sheet.set_column(first + 2, first + 1 + len(periods), 9)
    for line, row in enumerate(view.ranking.rows, _TOP + 1):
        _write_ranking_row(book, sheet, view, line, row)
    below = _TOP + 2 + len(view.ranking.rows)
    for number, note in enumerate(write_glance_notes(view, language)):
        book.write(sheet, below + number, 0, note)


def _count_places(value: Number) -> int:
    return max(0, -int(value.as_tuple().exponent)) if isinstance(value, Decimal) else 0


def _make_format(book: SheetWriter, value: Number) -> Any:
    places = _count_places(value)
    return book.format(num_format=f"#,##0{'.' + '0' * places if places else ''}", **_LINE)


def _write_number_cell(book: SheetWriter, sheet: Any, line: int, column: int, value: Number) -> None:
    if value is None:
        book.write(sheet, line, column, "", **_LINE)
    else:
        sheet.write_number(line, column, float(value), _make_format(book, value))
