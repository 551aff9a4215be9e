"""The workbooks that a province prints: the layout of the paper, and the same file declares what it shows."""

from datetime import timedelta
from io import BytesIO
from typing import Any

import attrs
import openpyxl
import pytest

from hub.domain.model import Unit
from hub.report.counting.counting import Report, Row, Section
from hub.report.form.book import read_shipped_book
from hub.report.form.column import ColumnKind, Wording
from hub.report.form.form import choose_form
from hub.report.form.period import parse_period
from hub.report.output.paper_workbook import write_paper_workbook
from hub.report.workbooks.declared_workbook import DeclaredReport, read_declared_workbook
from hub.units.unit_names import UnitNames
from tests.report.workbooks import convert

BOOK = read_shipped_book()
PERIOD = parse_period("2026-11")
UNITS = tuple(Unit(f"H55.{number}", f"Sở số {number}", parent="H55") for number in range(1, 5))
ALL = (Unit("H55", "Tỉnh mẫu"), *UNITS)
NAMES = {unit.code: unit.name for unit in ALL}
LAYOUTS = [layout.id for layout in BOOK.layouts]


def layout(name):
    return next(each for each in BOOK.layouts if each.id == name)


def report(name: str, **more: int) -> Report:
    """Return a report with another number in each cell, in which every sum is right."""
    form = choose_form(BOOK.forms, layout(name).form, PERIOD)
    keys = [column.key for column in form.columns if column.kind is not ColumnKind.TIME]

    def row(unit, number):
        return Row(unit, {key: number * (place + 1) + place for place, key in enumerate(keys)} | more, {})

    rows = [row(unit.code, number) for number, unit in enumerate(ALL)]
    total = Row("H55", {key: sum(each.numbers[key] or 0 for each in rows) for key in keys}, {})
    sections = (Section(heading=form.sections[0].heading, total=rows[1], units=("H55.1", "H55.2")),)
    made_at = PERIOD.end + timedelta(days=1)
    return Report(form=form, period=PERIOD, made_at=made_at, total=total, rows=tuple(rows), sections=sections)


def written(name, **more):
    return write_paper_workbook(report(name, **more), NAMES, layout(name), receiver="Văn phòng Chính phủ")


def opened(content):
    sheet: Any = openpyxl.load_workbook(BytesIO(content)).active
    return sheet


def texts(sheet):
    return {str(cell.value) for row in sheet.iter_rows() for cell in row if cell.value is not None}


def declared(content, form):
    names = UnitNames.of(ALL, (), [unit.code for unit in ALL], PERIOD.first, PERIOD.last)
    asked = DeclaredReport(form, PERIOD, tuple(unit.code for unit in ALL), BOOK.layouts)
    return {(cell.unit, cell.column): cell.figure for cell in read_declared_workbook(content, asked, names).cells}


def shown(counted, columns):
    cells = {("", key): counted.total.numbers[key] for key in columns}
    return cells | {(row.unit, key): row.numbers[key] for row in counted.rows for key in columns}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_printed_workbook_declares_the_very_numbers_that_it_shows(name):
    counted = report(name)
    columns = [each.column for each in layout(name).columns]
    assert declared(written(name), counted.form) == shown(counted, columns)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_so_does_what_libreoffice_makes_of_it_as_an_old_workbook(name):
    counted = report(name)
    columns = [each.column for each in layout(name).columns]
    assert declared(convert(written(name), "xls"), counted.form) == shown(counted, columns)


@pytest.mark.parametrize("name", LAYOUTS)
def test_it_stands_as_the_paper_does(name):
    paper, sheet = layout(name).paper, opened(written(name))
    first = paper.empty_columns + 1
    assert all(
        sheet.cell(row, column).value is None for row in range(1, sheet.max_row + 1) for column in range(1, first)
    )
    assert sheet.cell(1, first).value == paper.number
    assert sheet.cell(4, first).value == paper.title
    found = texts(sheet)
    assert {"Đơn vị báo cáo: Tỉnh mẫu", "Đơn vị nhận báo cáo: Văn phòng Chính phủ"} <= found
    assert "Kỳ báo cáo: Tháng 11 năm 2026 (Từ ngày 15/10/2026 đến ngày 14/11/2026)" in found
    assert set(paper.signatures) <= found
    numbers = next(row for row in range(1, 20) if sheet.cell(row, first).value == "(1)")
    row = [sheet.cell(numbers, first + place).value for place in range(2, 2 + len(layout(name).columns))]
    assert row == [each.number for each in layout(name).columns]
    heads = [sheet.cell(7, first + place).value for place in range(2 + len(row))]
    assert heads[:2] == ["STT", paper.unit]
    assert sheet.cell(numbers - 1, first + 3).value in {None, *layout(name).columns[1].heading}
    names = [sheet.cell(line, first + 1).value for line in range(numbers + 1, numbers + 8)]
    assert names == ["Sở, ban, ngành", "Sở số 1", "Sở số 2", "Tỉnh mẫu", "Sở số 3", "Sở số 4", "Tổng cộng"]
    assert sheet.page_setup.orientation == "landscape"
    assert sheet.page_setup.paperSize == (9 if name == "ii06a" else 8), "of many columns on A3"
    assert written(name) == written(name), "the same to the byte"


def test_the_paper_names_the_legal_basis_of_its_form_in_the_period():
    assert opened(written("ii06a")).cell(2, 1).value == "Ban hành kèm theo Thông tư số 01/2020/TT-VPCP ngày 21/10/2020"
    kept = report("ii06a")
    other = attrs.evolve(kept, form=attrs.evolve(kept.form, basis=Wording("Thông tư khác", "Another")))
    sheet = opened(write_paper_workbook(other, NAMES, layout("ii06a")))
    assert sheet.cell(2, 1).value == "Ban hành kèm theo Thông tư khác"


def test_groups_of_headings_are_merged_over_their_columns_and_the_others_down_to_the_numbers():
    merged = {str(each) for each in opened(written("ii06a")).merged_cells.ranges}
    assert {"A7:A9", "C7:F7", "D8:E8", "C8:C9", "G7:J7", "K7:M7"} <= merged
    assert {"B7:B8", "D7:K7"} <= {str(each) for each in opened(written("btp07a")).merged_cells.ranges}


def test_a_figure_that_the_paper_has_no_column_for_is_written_below_it():
    kept = {each for each in texts(opened(written("ii06a", taken_over=0))) if "giấy" in each}
    assert kept == set()
    (said,) = {each for each in texts(opened(written("ii06a", taken_over=7))) if "giấy" in each}
    assert said.startswith("Không có trên biểu giấy: ")
    assert "Sở số 4: 7" in said


def test_a_name_stays_a_text_whatever_stands_in_it():
    names = NAMES | {"H55.1": '=HYPERLINK("http://x")'}
    sheet = opened(write_paper_workbook(report("tthc"), names, layout("tthc")))
    (cell,) = [cell for row in sheet.iter_rows() for cell in row if cell.value == names["H55.1"]]
    assert cell.data_type == "s"
