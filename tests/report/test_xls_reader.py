"""Old `.xls` workbooks: read as the same workbook in `.xlsx`, and what a stranger's file cannot do."""

import struct
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.report.workbooks import sheets, xls_reader
from hub.report.workbooks.compound_file import CompoundFile, CompoundFileDamaged
from hub.report.workbooks.sheets import CellKind, MergedRange, SheetCell, WorkbookUnreadable
from hub.report.workbooks.workbook_reader import read_workbook_sheets
from tests import biff
from tests.examples import at_most
from tests.report.workbooks import HERE, KINDS, convert, make_kinds

KINDS_XLS = (HERE / "kinds.xls").read_bytes()
PLAIN = biff.xls([biff.number(0, 0, 5), biff.number(2, 3, 1.25)])


def cells(content):
    return next(iter(read_workbook_sheets(content))).cells


def refused(content):
    with pytest.raises(WorkbookUnreadable) as caught:
        list(read_workbook_sheets(content))
    return str(caught.value.said)


def in_values(sheet):
    """Return the cells of a sheet with numbers as numbers: programs write the same number in several ways."""
    return {
        place: (cell.kind, Decimal(cell.text) if cell.kind is CellKind.NUMBER else cell.text, cell.formula)
        for place, cell in sheet.cells.items()
    }


def test_the_old_kind_of_file_says_the_same_as_the_new_one():
    old = list(read_workbook_sheets(KINDS_XLS))
    new = list(read_workbook_sheets((HERE / "kinds.xlsx").read_bytes()))
    assert [sheet.title for sheet in old] == ["Các loại ô", "Trang 2"]
    assert [in_values(sheet) for sheet in old] == [in_values(sheet) for sheet in new]
    assert [list(sheet.merged) for sheet in old] == [list(sheet.merged) for sheet in new]
    assert old[0].merged == [MergedRange(42, 2, 43, 4)]


def test_each_kind_of_cell_is_read_as_it_was_typed():
    found = cells(KINDS_XLS)
    for row, value in enumerate(KINDS, 1):
        cell = found[row, 2]
        match value:
            case bool():
                assert (cell.kind, cell.text) == (CellKind.TRUTH, str(int(value)))
            case int() | float():
                assert (cell.kind, float(cell.text), cell.formula) == (CellKind.NUMBER, value, False)
            case str() if not value.startswith("="):
                assert cell == SheetCell(CellKind.TEXT, value)
            case _:
                assert cell.formula
    shown = [found[KINDS.index(said) + 1, 2] for said in ("=2+3", '=UPPER("ố")', "=1=1", "=1/0", '=""')]
    assert [cell.text for cell in shown] == ["5", "Ố", "1", "#DIV/0!", ""]
    assert shown[-1].kind is CellKind.NOTHING


@pytest.mark.slow
def test_libreoffice_of_today_saves_what_the_kept_file_says():
    today = [in_values(sheet) for sheet in read_workbook_sheets(convert(make_kinds(), "xls"))]
    assert today == [in_values(sheet) for sheet in read_workbook_sheets(KINDS_XLS)]


@pytest.mark.parametrize(
    ("packed", "value"),
    [(0x3FF00000, "1"), (5 << 2 | 2, "5"), ((1 << 30) - 3 << 2 | 2, "-3"), (1234 << 2 | 3, "12.34"), (0x40F86A01, "1000")],
)  # fmt: skip
def test_a_packed_number_is_the_number_it_stands_for(packed, value):
    one = (0x027E, struct.pack("<HHHI", 0, 0, 0, packed))
    three = (0x00BD, struct.pack("<HH", 1, 4) + struct.pack("<HI", 0, packed) * 3 + struct.pack("<H", 6))
    found = cells(biff.xls([one, three]))
    assert {place: cell.text for place, cell in found.items()} == dict.fromkeys([(1, 1), (2, 5), (2, 6), (2, 7)], value)


def test_a_text_in_its_cell_a_rich_one_and_one_that_a_formula_gave_are_read():
    own = (0x0204, struct.pack("<HHHHB", 0, 0, 0, 2, 1) + "Số".encode("utf-16-le"))
    rich = (0x00D6, struct.pack("<HHHHB", 0, 1, 0, 4, 0) + b"long" + b"\1\0\0\0\0\0")
    given_ = biff.formula(0, 2, b"\0\0\0\0\0\0\xff\xff")
    text = (0x0207, struct.pack("<HB", 6, 0) + b"ab")
    more = (0x003C, b"\1" + "cd".encode("utf-16-le")), (0x003C, b"\0ef")
    found = cells(biff.xls([own, rich, given_, text, *more]))
    assert [found[1, column].text for column in (1, 2, 3)] == ["Số", "long", "abcdef"]


def test_shared_texts_are_read_across_the_records_that_continue_them():
    first = struct.pack("<II", 2, 2) + struct.pack("<HBHI", 4, 1 | 4 | 8, 1, 3) + "Sở".encode("utf-16-le")
    rest = b"\0XY", b"\0\0\0", b"\0abc" + struct.pack("<HB", 2, 0) + b"hi"
    found = cells(
        biff.xls(
            [biff.shared_text(0, 0, 0), biff.shared_text(0, 1, 1)],
            [(0x00FC, first), *((0x003C, each) for each in rest)],
        )
    )
    assert [cell.text for cell in found.values()] == ["SởXY", "hi"]


def test_a_short_stream_lies_in_small_sectors_as_some_programs_write_it():
    stream = biff.workbook([biff.number(0, 0, 5), biff.number(2, 3, 1.25)])
    assert len(stream) < 4096
    assert cells(biff.compound({"Workbook": stream}, small=True)) == cells(PLAIN)


def test_a_large_file_has_the_list_of_its_tables_in_sectors_of_its_own():
    many = biff.compound({"Workbook": biff.workbook([biff.number(0, 0, 5)]), "Other": bytes(7_400_000)})
    assert set(cells(many)) == {(1, 1)}


def test_a_chart_within_a_sheet_and_a_sheet_that_is_a_chart_are_left_out():
    chart = [biff.begin(0x20), biff.number(9, 9, 9), biff.FINISH]
    assert set(cells(biff.xls([biff.number(0, 0, 1), *chart, biff.number(0, 1, 2)]))) == {(1, 1), (1, 2)}
    assert list(read_workbook_sheets(biff.xls([], kind=2))) == []


# --- what a stranger's file cannot do -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(biff.xls([], [(0x002F, bytes(6))]), "password", id="password"),
        pytest.param(biff.compound({"EncryptedPackage": b""}), "password", id="encrypted package"),
        pytest.param(biff.xls([], [(0x00D3, b"")]), "macros", id="project"),
        pytest.param(biff.xls([], kind=1), "macros", id="macro sheet"),
        pytest.param(biff.xls([], kind=6), "macros", id="module"),
        pytest.param(biff.compound({"Workbook": b""}, ["_VBA_PROJECT_CUR"]), "macros", id="project storage"),
        pytest.param(biff.xls([], [(0x01AE, struct.pack("<HHB", 1, 5, 0) + b"a.xls")]), "links", id="link"),
        pytest.param(biff.compound({"Workbook": b""}, ["MBD0041A7C2"]), "embedded", id="embedded object"),
        pytest.param(biff.compound({"Book": b""}), "older than Excel 97", id="book of excel 95"),
        pytest.param(biff.xls([], version=0x0500), "older than Excel 97", id="version 5"),
        pytest.param(biff.compound({"Contents": b""}), "not a readable .xls", id="no stream"),
        pytest.param(biff.xls([biff.shared_text(0, 0, 3)]), "not a readable .xls", id="text that is not there"),
        pytest.param(
            biff.compound({"Workbook": biff.records(biff.begin(5)) + struct.pack("<HH", 6, 9999)}),
            "not a readable .xls",
            id="cut record",
        ),
        pytest.param(PLAIN[:1000], "not a readable .xls", id="cut in the table"),
        pytest.param(KINDS_XLS[:20_000], "not a readable .xls", id="cut in the middle"),
        pytest.param(b"\xef\xbb\xbf\r\n<html><table><tr><td>1", "web page", id="web page"),
        pytest.param("<?xml version='1.0'?><Workbook/>".encode("utf-16"), "web page", id="xml in utf-16"),
        pytest.param(biff.compound({"Workbook": b""}) + bytes(sheets.LARGEST), "larger than", id="too large"),
    ],
)
def test_what_may_not_be_read_is_told_with_what_to_do(content, told):
    assert told in refused(content)


def test_links_of_the_workbook_to_itself_are_none():
    own = (0x01AE, struct.pack("<HH", 1, 0x0401))
    assert len(cells(biff.xls([biff.number(0, 0, 1)], [own]))) == 1


def test_records_cells_and_shared_texts_are_bounded_whatever_the_sheets_name():
    many = [(0x0201, b"")] * 30_000
    assert "too many cells" in refused(biff.xls(many, sheets=sheets.SHEETS))
    row = (0x00BD, struct.pack("<HH", 0, 0) + struct.pack("<HI", 0, 2) * 1000 + b"\0\0")
    assert "too many cells" in refused(biff.xls([row] * (xls_reader.CELLS // 1000 + 1)))
    texts = (0x00FC, struct.pack("<II", 0, xls_reader.TEXTS + 1))
    assert "too many cells" in refused(biff.xls([], [texts]))
    merged = (0x00E5, struct.pack("<H", 60_000))
    assert "too many cells" in refused(biff.xls([merged] * 6))


def test_a_chain_of_sectors_that_returns_to_itself_is_damage():
    content = bytearray(PLAIN)
    table = content.rindex(struct.pack("<III", 1, 2, 3))
    content[table : table + 4] = struct.pack("<I", 0)
    assert "not a readable .xls" in refused(bytes(content))
    with pytest.raises(CompoundFileDamaged):
        CompoundFile.open(b"PK" + bytes(600))


@settings(max_examples=at_most(150), deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_a_damaged_old_workbook_is_refused_or_read_and_never_breaks_anything(chance, flips):
    content = bytearray(chance.choice([PLAIN, KINDS_XLS]))
    for _ in range(flips):
        at = chance.randrange(len(content))
        content[at : at + chance.randrange(3)] = bytes(chance.randrange(256) for _ in range(chance.randrange(3)))
    with suppress(WorkbookUnreadable):
        list(read_workbook_sheets(bytes(content)))
