"""Workbooks that other software made, read as what a unit declares: columns by their headings, rows by their names."""

from datetime import date

import pytest

from hub.domain.model import Unit
from hub.language.catalogues import say_both
from hub.report.form.book import read_shipped_book
from hub.report.form.form import choose_form
from hub.report.form.period import parse_period
from hub.report.workbooks import laid_out_workbook
from hub.report.workbooks.laid_out_workbook import TableSearch
from hub.report.workbooks.mistakes import Misfilled
from hub.report.workbooks.sheets import CellKind, Sheet, SheetCell
from hub.units.unit_names import UnitNames
from tests.report.laid_out import as_sheet, lay_out

BOOK = read_shipped_book()
PERIOD = parse_period("2026-11")
FORM = choose_form(BOOK.forms, "ii06a", PERIOD)
LAYOUT = next(each for each in BOOK.layouts if each.id == "ii06a")
UNITS = (
    Unit("H55", "Tỉnh mẫu"),
    Unit("H55.12", "Sở Nội vụ", parent="H55"),
    Unit("H55.13", "Sở Khoa học và Công nghệ", parent="H55"),
    Unit("H55.14", "Sở Y tế", parent="H55"),
    Unit("H55.16", "Sở Lao động - Thương binh và Xã hội", parent="H55", until=date(2025, 3, 1), successors=("H55.12",)),
)
MEMBERS = tuple(unit.code for unit in UNITS if unit.until is None)


def read(*sheets, members=MEMBERS, form=FORM, divided=False):
    search = TableSearch(form, PERIOD, members, BOOK.layouts, divided)
    for sheet in sheets:
        search.examine(sheet)
    return search.read(UnitNames.of(UNITS, (), members, PERIOD.first, PERIOD.last))


def declared(rows, members=MEMBERS, divided=False, **more):
    said = read(as_sheet(lay_out(LAYOUT, rows, **more)), members=members, divided=divided)
    return {(cell.unit, cell.column): cell.figure for cell in said.cells}


def wrong(rows, **more):
    return refused(as_sheet(lay_out(LAYOUT, rows, **more)))


def refused(*sheets, **more):
    with pytest.raises(Misfilled) as caught:
        read(*sheets, **more)
    both = [(each.cell, *say_both(each.wrong)) for each in caught.value.wrong]
    assert all(vi and en and vi != en for _, vi, en in both)
    return [(cell, en) for cell, _, en in both]


HEALTH = (1, "Sở Y tế", {"received": 5, "received_online": 3, "received_direct": 2})


def test_columns_are_found_by_their_merged_headings_and_rows_by_their_names():
    rows = [
        ("I", "Sở, ban, ngành", {"received": 12}),
        HEALTH,
        (2, "so KHOA HOC & cong nghe", {"received": "7", "settled_late": 0}),
        ("", "Tổng cộng", {"received": 12}),
    ]
    assert declared(rows) == {
        ("", "received"): 12,
        ("H55.14", "received"): 5,
        ("H55.14", "received_online"): 3,
        ("H55.14", "received_direct"): 2,
        ("H55.13", "received"): 7,
        ("H55.13", "settled_late"): 0,
    }


def test_headings_of_other_words_and_empty_columns_before_the_first_are_the_same_table():
    seen = {
        "received": ["SỐ LƯỢNG HỒ SƠ TIẾP NHẬN", "Tổng số"],
        "received_online": ["SỐ LƯỢNG HỒ SƠ TIẾP NHẬN", "Trong kỳ", "Tiếp nhận trực tuyến"],
        "carried_over": ["SỐ LƯỢNG HỒ SƠ TIẾP NHẬN", "Kỳ trước chuyển qua"],
        "pending_in_time": ["Hồ sơ đang giải quyết", "Chưa đến hạn"],
    }
    figures = {"received": 9, "received_online": 4, "carried_over": 5, "pending_in_time": 1, "pending_overdue": 2}
    found = declared([(1, "Sở Y tế", figures)], headings=seen, empty=1, unit="Đơn vị giải quyết TTHC")
    assert found == {("H55.14", key): figure for key, figure in figures.items()}
    assert declared([HEALTH], numbered=False) == declared([HEALTH])


def test_the_rows_of_merged_departments_are_one_unit_that_says_so():
    rows = [
        (1, "Sở Nội vụ", {"received": 5, "settled": 1}),
        (2, "Sở LĐ-TB&XH", {"received": 7}),
    ]
    said = read(as_sheet(lay_out(LAYOUT, rows)))
    assert [(cell.unit, cell.column, cell.figure, cell.note) for cell in said.cells] == [
        ("H55.12", "received", 12, "Sở Nội vụ + Sở LĐ-TB&XH"),
        ("H55.12", "settled", 1, "Sở Nội vụ + Sở LĐ-TB&XH"),
    ]


def test_in_a_units_own_workbook_rows_are_fields_and_their_sum_is_declared():
    rows = [(1, "Khám chữa bệnh", {"received": 5}), (2, "Dược phẩm", {"received": 7, "settled": 2})]
    assert declared(rows, members=("H55.14",)) == {("", "received"): 12, ("", "settled"): 2}
    total = [*rows, ("Tổng số", None, {"received": 12, "settled": 2})]
    assert declared(total, members=("H55.14",)) == {("", "received"): 12, ("", "settled"): 2}


def test_in_the_workbook_of_a_unit_with_units_below_fields_stand_under_their_unit_or_under_none():
    fields = [(1, "Khám chữa bệnh", {"received": 5}), (2, "Dược phẩm", {"received": 7})]
    units = [
        ("I", "Sở Y tế", {"received": 12}),
        *fields,
        ("II", "Sở Nội vụ", {"received": 3}),
        (1, "Tôn giáo", {"received": 3}),
    ]
    total = ("", "Tổng cộng", {"received": 15})
    found = {("", "received"): 15, ("H55.14", "received"): 12, ("H55.12", "received"): 3}
    assert declared([*units, total], divided=True) == found
    assert declared([*fields, ("", "Cộng", {"received": 12})], divided=True) == {("", "received"): 12}
    lost = [*units[:3], ("II", "Sở Nội vu và", {"received": 3}), total]
    ((cell, said),) = refused(as_sheet(lay_out(LAYOUT, lost)), divided=True)
    assert cell == "Biểu!C8"
    assert (
        "the row of Sở Y tế is 12, and the rows below that are no units (“Khám chữa bệnh”, “Dược phẩm”, “Sở Nội vu"
        in said
    )
    assert len(refused(as_sheet(lay_out(LAYOUT, [*lost, (3, "Sở Nội vụ", {"settled": "ba"})])), divided=True)) == 2
    assert "add up to 15; correct a figure, or the name of a unit" in said
    assert any("no unit of the report" in said for _, said in wrong([*units, total])), "a province's rows are units"


def test_texts_with_groups_of_three_digits_are_numbers_and_a_dash_is_none():
    assert declared(
        [(1, "Sở Y tế", {"received": "1.234", "settled": "12 345", "settled_late": "-", "pending": ""})]
    ) == {
        ("H55.14", "received"): 1234,
        ("H55.14", "settled"): 12345,
    }


def test_what_stands_below_the_table_is_not_read():
    table = lay_out(LAYOUT, [HEALTH])
    below = {(30, 2): "Ghi chú: Sở Y tế", (31, 3): "77"}
    sheet = as_sheet(table)
    cells = {**sheet.cells, **{at: SheetCell(CellKind.TEXT, text) for at, text in below.items()}}
    assert read(Sheet(sheet.title, cells, sheet.merged)) == read(sheet)


def test_a_second_table_below_the_end_is_told_and_not_passed_over():
    sheet = as_sheet(lay_out(LAYOUT, [HEALTH]))
    more = {(30, 2): SheetCell(CellKind.TEXT, "Sở Nội vụ"), (30, 3): SheetCell(CellKind.NUMBER, "7")}
    ((cell, said),) = refused(Sheet(sheet.title, {**sheet.cells, **more}, sheet.merged))
    assert (cell, said[:30]) == ("Biểu!B30", "Sở Nội vụ has figures below th")


# --- each mistake is named ----------------------------------------------------------------------------------------------------


def test_every_cell_without_a_whole_number_is_named():
    figures = {"received": 1.5, "received_online": -1, "received_direct": "ba", "settled": "#REF!", "pending": True}
    found = wrong([HEALTH, (2, "Sở Nội vụ", figures)])
    assert [cell for cell, _ in found] == ["Biểu!C9", "Biểu!D9", "Biểu!E9", "Biểu!G9", "Biểu!K9"]
    assert all("is not a whole number" in said and "leave the cell empty" in said for _, said in found)


def test_a_text_in_place_of_a_figure_is_named_also_where_a_row_has_no_other():
    ((cell, said),) = wrong([HEALTH, (2, "Sở Nội vụ", {"received": "ba"})])
    assert (cell, said[:4]) == ("Biểu!C9", "“ba”")
    ((cell, said),) = refused(as_sheet(lay_out(LAYOUT, [(1, "Dược phẩm", {"settled": "ba"})])), members=("H55.14",))
    assert (cell, said[:4]) == ("Biểu!G8", "“ba”")


def test_a_name_that_is_no_units_is_told_with_names_that_are_like_it():
    found = wrong([(1, "Sở Khoa học Công nghê", {"received": 1}), (2, "Chi cục Lạ", {"received": 1})])
    assert [cell for cell, _ in found] == ["Biểu!B8", "Biểu!B9"]
    assert "like it: Sở Khoa học và Công nghệ (H55.13)" in found[0][1]
    assert all("write the name or the code of the unit, or delete the row" in said for _, said in found)


def test_a_unit_twice_a_figure_without_a_unit_and_a_total_that_is_another_sum_are_told():
    found = wrong([HEALTH, (2, "Sở y tế", {"received": 1}), (3, None, {"settled": 4})])
    assert [(cell, said[:12]) for cell, said in found] == [("Biểu!B10", "a number in "), ("Biểu!B9", "Sở y tế occu")]
    ((cell, said),) = wrong([HEALTH, ("", "Tổng cộng", {"received": 6})])
    assert (cell, said[:44]) == ("Biểu!C9", "the total is 6, and the rows add up to 5; co")


def test_a_column_of_figures_that_is_none_of_the_form_is_told_and_never_dropped():
    more = {"x": ["Số hồ sơ tiếp nhận", "Phi địa giới"], "y": ["Ghi chú"]}
    ((cell, said),) = wrong([(1, "Sở Y tế", {"received": 5, "x": 2, "y": 3})], more=more)
    assert cell == "Biểu!N6"
    assert "no column of the form has the heading “Số hồ sơ tiếp nhận > Phi địa giới”" in said
    assert declared([(1, "Sở Y tế", {"received": 5, "y": 3})], more=more) == {("H55.14", "received"): 5}
    again = {"x": ["Số lượng hồ sơ đã giải quyết", "Quá hạn"]}
    ((_, said),) = wrong([(1, "Sở Y tế", {"received": 5, "x": 2})], more=again)
    assert "occurs twice" in said
    one = {"settled_early": ["Số lượng hồ sơ đã giải quyết", "Đúng và trước hạn"]}
    ((_, said),) = wrong([(1, "Sở Y tế", {"settled_early": 2})], headings=one)
    assert "no column of the form has the heading" in said, "one column for both is not the column of one of them"


def test_the_workbook_of_another_period_is_told():
    top = ("Biểu mẫu", "(Từ ngày 15/09/2026 đến hết ngày 14/10/2026)")
    ((cell, said),) = wrong([HEALTH], top=top)
    assert cell == "Biểu!A2"
    assert "the days 15/09/2026 – 14/10/2026 are not those of 2026-11, 15/10/2026 – 14/11/2026" in said


def test_a_workbook_without_the_table_is_told_so_and_one_with_two_is_not_guessed_at():
    ((_, said),) = refused(Sheet("Trang", {(1, 1): SheetCell(CellKind.TEXT, "Xin chào")}))
    assert "no table of the form ii06a was found" in said
    ((_, said),) = refused()
    assert "no table" in said
    ((_, said),) = refused(*[as_sheet(lay_out(LAYOUT, [HEALTH]))] * 3)
    assert "several sheets have the table of this form: Biểu, Biểu; leave one" in said
    edoc = choose_form(BOOK.forms, "edoc", PERIOD)
    ((_, said),) = refused(as_sheet(lay_out(LAYOUT, [HEALTH])), form=edoc)
    assert "of the form edoc no other workbook is known" in said
    marked = as_sheet(lay_out(LAYOUT, [HEALTH], top=("Biểu số II.06a/VPCP/KSTT",)))
    ((_, said),) = refused(marked, form=edoc)
    assert "this is a workbook of the form ii06a, not of edoc" in said
    ((_, said),) = wrong([(1, "Sở Y tế", {})])
    assert "contains no figure" in said


def test_rows_mistakes_and_compared_texts_are_bounded():
    rows = [(number, "x" * 10_000, {"received": 1}) for number in range(300)]
    assert len(wrong(rows)) == 200
    many = as_sheet(lay_out(LAYOUT, [HEALTH]))
    cells = dict(many.cells)
    cells |= {(row, 1): SheetCell(CellKind.TEXT, "") for row in range(100, 100 + laid_out_workbook.ROWS)}
    assert any("more than 5000 rows" in said for _, said in refused(Sheet(many.title, cells, many.merged)))
