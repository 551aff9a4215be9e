"""The workbook in which a unit declares: what it locks, what is read of it, and what a stranger's file cannot do."""

import hashlib
import io
import pickle
import random
import re
import zipfile
from contextlib import suppress

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.language.catalogues import say_both
from hub.report.form.column import ColumnKind
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.report.workbooks import sheets, template_workbook, xlsx_reader
from hub.report.workbooks.declared_workbook import DeclaredReport, read_declared_workbook
from hub.report.workbooks.mistakes import Misfilled
from hub.report.workbooks.sheets import WorkbookUnreadable
from hub.units.unit_names import UnitNames
from tests.declaring import filled, places, saved
from tests.examples import at_most
from tests.report.workbooks import convert

FORMS = {form.id: form for form in read_form_folder()}
EDOC, DOSSIERS = FORMS["edoc"], FORMS["dossiers"]
PERIOD = parse_period("2026-11")
UNITS = ("H55.13", "H55.13.1")
NOBODY = UnitNames.of((), (), (), PERIOD.first, PERIOD.last)
NAMES = {"H55.13": "=Sở", "H55.13.1": "Trung tâm <CNTT>"}
EMPTY = template_workbook.write_template_workbook(EDOC, PERIOD, UNITS, NAMES)
GOOD = filled(EMPTY, {("H55.13", "sent_inside"): 3, ("H55.13.1", "received_inside"): 4})


def read(content, form=EDOC, units=UNITS, period=PERIOD):
    return read_declared_workbook(content, DeclaredReport(form, period, units), NOBODY)


def wrong(content, **more):
    with pytest.raises(Misfilled) as caught:
        read(content, **more)
    both = [(each.cell, *say_both(each.wrong)) for each in caught.value.wrong]
    assert pickle.loads(pickle.dumps(caught.value)).wrong == caught.value.wrong
    assert all(vi and en and vi != en for _, vi, en in both)
    return [(cell, en) for cell, _, en in both]


def packed(changes, of=GOOD, method=zipfile.ZIP_DEFLATED):
    """Return the workbook with parts added or replaced; None: taken out."""
    with zipfile.ZipFile(io.BytesIO(of)) as before:
        parts = {name: before.read(name) for name in before.namelist()} | changes
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as after:
        for name, content in parts.items():
            if content is not None:
                after.writestr(name, content)
    return written.getvalue()


def part(name, of=GOOD):
    with zipfile.ZipFile(io.BytesIO(of)) as archive:
        return archive.read(name)


# --- the template ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_has_a_template_in_which_only_what_a_unit_types_is_open(form):
    content = template_workbook.write_template_workbook(form, PERIOD, UNITS, NAMES)
    assert content == template_workbook.write_template_workbook(form, PERIOD, UNITS, NAMES), "the same to the byte"
    _, sheet, columns, rows = places(content)
    assert sheet.protection.sheet
    shown = [column for column in form.columns if column.kind not in (ColumnKind.TIME, ColumnKind.GRADE)]
    assert set(columns) == {"text", *(column.key for column in shown), *(line.key for line in form.manual)}
    for column in shown:
        for key in ("row:H55.13", "row:H55.13.1", "total:"):
            cell = sheet.cell(rows[key], columns[column.key])
            opened = template_workbook.is_typed_column(column)
            opened = opened and (key != "total:" or column.kind is ColumnKind.DECLARED)
            assert cell.protection.locked is not opened
            assert (cell.value is None) is opened or not column.sum, column.key
    assert sheet.column_dimensions["A"].hidden
    assert sheet["D2"].protection.locked
    assert wrong(content, form=form) == [("", "the workbook contains no figure")]


def test_a_name_that_looks_like_a_formula_stays_a_name():
    sheet = openpyxl.load_workbook(io.BytesIO(EMPTY)).worksheets[0]
    found = [cell for row in sheet.iter_rows() for cell in row if cell.value == "=Sở"]
    assert [cell.data_type for cell in found] == ["s"]


def test_what_is_typed_is_declared_and_what_the_workbook_adds_up_is_not():
    words = [("by:", "  Nguyễn Thị\nLan "), ("note:", "thiếu tháng 7")]
    said = read(
        filled(
            EMPTY, {("H55.13", "sent_inside"): 3, ("H55.13", "sent_outside"): 0, ("H55.13.1", "paper_only"): 2}, words
        )
    )
    assert (said.unit, said.form, said.period) == ("H55.13", "edoc", "2026-11")
    assert (said.by, said.note) == ("Nguyễn Thị Lan", "thiếu tháng 7")
    assert [(cell.unit, cell.column, cell.figure) for cell in said.cells] == [
        ("H55.13", "sent_inside", 3),
        ("H55.13", "sent_outside", 0),
        ("H55.13.1", "paper_only", 2),
    ]


def test_a_number_typed_over_a_sum_is_the_units_own_word():
    said = read(filled(EMPTY, {("H55.13", "sent"): 9, ("", "received"): 11}))
    assert {(cell.unit, cell.column): cell.figure for cell in said.cells} == {
        ("H55.13", "sent"): 9,
        ("", "received"): 11,
    }


@pytest.mark.parametrize("figure", ["12", 12, 12.0, "=6+6"], ids=repr)
def test_a_whole_number_is_read_however_it_was_saved(figure):
    content = filled(EMPTY, {("H55.13", "recalls"): figure})
    if figure == "=6+6":
        content = packed({"xl/worksheets/sheet1.xml": part("xl/worksheets/sheet1.xml", content).replace(b"<f>6+6</f><v></v>", b"<f>6+6</f><v>12</v>").replace(b"<f>6+6</f><v />", b"<f>6+6</f><v>12</v>")}, content)  # fmt: skip
    (cell,) = read(content).cells
    assert cell.figure == 12


def test_every_cell_that_holds_no_whole_number_is_named_with_what_to_do():
    bad = {
        ("H55.13", "recalls"): 1.5,
        ("H55.13", "updates"): -1,
        ("H55.13", "replacements"): "mười",
        ("H55.13", "on_paper"): "1.234",
        ("H55.13", "signed"): True,
        ("H55.13", "not_signed"): "#REF!",
        ("H55.13", "failed"): 10**13,
        ("H55.13.1", "recalls"): "=1+1",
    }
    content = filled(EMPTY, bad)
    _, sheet, columns, rows = places(EMPTY)
    cells = {f"Báo cáo!{sheet.cell(rows[f'row:{unit}'], columns[column]).coordinate}" for unit, column in bad}
    found = wrong(content)
    assert {cell for cell, _ in found} == cells
    assert sum("without a calculated value" in said for _, said in found) == 1
    assert all("leave the cell empty" in said or "type the number" in said for _, said in found)


def test_a_workbook_of_another_unit_form_or_period_is_refused():
    for more in ({"units": ("H55.01",)}, {"form": DOSSIERS}, {"period": parse_period("2026-12")}):
        assert any("use the right template" in said for _, said in wrong(GOOD, **more))


@pytest.mark.parametrize("said", [b"[" * 20_000, b'["\\u001b[2J\\ud800", "\xc2\x9b"]', b'["' + b"a" * 20_000 + b'"]'])
def test_a_mark_that_is_no_mark_is_told_of_and_moves_no_cursor(said):
    texts = part("xl/sharedStrings.xml", EMPTY).replace(b'["edoc","H55.13","2026-11"]', said)
    assert said in texts
    ((_, told),) = wrong(packed({"xl/sharedStrings.xml": texts}, EMPTY))
    assert told.startswith("this template is for ")
    assert told.isprintable()
    assert len(told) < 300


def test_rows_and_columns_that_are_not_the_templates_are_refused():
    book, sheet, columns, rows = places(GOOD)
    sheet.cell(rows["row:H55.13.1"], 1).value = "row:H55.77"
    sheet.cell(7, columns["recalls"]).value = "sent_inside"
    last = max(rows.values()) + 3
    sheet.cell(last, columns["updates"]).value = 5
    found = dict(wrong(saved(book)))
    assert any("H55.77" in said for said in found.values())
    assert any("sent_inside" in said for said in found.values())
    assert any("a row without a unit" in said for said in found.values())


def test_of_very_many_mistakes_the_first_are_named():
    """A page that named each of 190,000 would have 24 MB, and the hub do nothing else while it is written."""
    row = b'<row r="%d"><c r="E%d"><v>1</v></c></row>'
    rows = b"".join(row % (number, number) for number in range(5000, 6000))
    sheet = part("xl/worksheets/sheet1.xml").replace(b"</sheetData>", rows + b"</sheetData>")
    found = wrong(packed({"xl/worksheets/sheet1.xml": sheet}))
    assert len(found) == 200
    assert found[0][0].endswith("!E5000")


def test_words_that_are_too_long_are_refused():
    ((_, said),) = wrong(filled(GOOD, {}, [("by:", "x" * 201)]))
    assert "200" in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["xlsx", "xls"])
def test_what_libreoffice_saves_declares_the_same(kind):
    assert read(convert(GOOD, kind)) == read(GOOD)


# --- what a stranger's file cannot do -----------------------------------------------------------------------------------------


def test_macros_links_to_other_files_and_embedded_objects_are_refused():
    for name, what in (
        ("xl/vbaProject.bin", "macros"),
        ("xl/externalLinks/externalLink1.xml", "links"),
        ("xl/embeddings/oleObject1.bin", "embedded"),
        ("xl/activeX/activeX1.xml", "macros"),
        ("XL/VbaProject.BIN", "macros"),
    ):
        ((_, said),) = wrong(packed({name: b"x"}))
        assert what in said
    types = part("[Content_Types].xml").replace(b"spreadsheetml.sheet.main", b"ms-excel.sheet.macroEnabled.main")
    ((_, said),) = wrong(packed({"[Content_Types].xml": types}))
    assert "macros" in said


def test_a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_read():
    sheet = part("xl/worksheets/sheet1.xml")
    bomb = sheet.replace(b"<sheetData>", b"<sheetData>" + b" " * (xlsx_reader.UNPACKED + 1))
    content = packed({"xl/worksheets/sheet1.xml": bomb})
    assert len(content) < 1 << 20
    ((_, said),) = wrong(content)
    assert "unpacks to more" in said
    ((_, said),) = wrong(b"PK" + bytes(sheets.LARGEST))
    assert "larger than" in said
    ((_, said),) = wrong(packed({f"xl/{number}.txt": b"" for number in range(xlsx_reader.PARTS)}))
    assert "parts" in said


def test_a_text_that_no_cell_can_hold_is_refused_however_many_cells_point_at_it():
    blanks = b"<sst><si><t>" + b" " * 1_000_000 + b"</t></si></sst>"
    cells = part("xl/worksheets/sheet1.xml", EMPTY).replace(b"</row>", b'<c t="s"><v>0</v></c>' * 3000 + b"</row>", 1)
    content = packed({"xl/sharedStrings.xml": blanks, "xl/worksheets/sheet1.xml": cells}, EMPTY)
    assert len(content) < 1 << 17
    ((_, said),) = wrong(content)  # of the first cell: each of them would be looked at
    assert "more than 32767 characters" in said


@pytest.mark.slow
def test_a_part_that_many_sheets_are_is_not_read_for_each_of_them():
    """Some 3 kB that named one part twenty times were 13 seconds of work."""
    many = b"<worksheet><sheetData><row>" + b"<c/>" * (xlsx_reader.NODES - 10) + b"</row></sheetData></worksheet>"
    book = re.sub(b"<sheet [^>]*/>", lambda sheet: sheet[0] * sheets.SHEETS, part("xl/workbook.xml"))
    parts = {"xl/worksheets/sheet1.xml": many, "xl/workbook.xml": book}
    assert "for its size" in wrong(packed(parts))[0][1]
    picture = hashlib.shake_128(b"picture").digest(1 << 20)  # a larger file may hold more
    ((_, said),) = wrong(packed(parts | {"xl/media/picture.png": picture}))
    assert "too many cells" in said


def test_what_a_workbook_may_unpack_to_goes_by_its_size_and_is_enough_for_a_grid_of_styled_cells():
    grid = b"".join(
        b'<row r="%d">' % row
        + b"".join(b'<c r="%c%d" s="5"/>' % (column, row) for column in range(0x4D, 0x57))
        + b"</row>"
        for row in range(1000, 11_000)
    )
    sheet = part("xl/worksheets/sheet1.xml")
    styled = packed({"xl/worksheets/sheet1.xml": sheet.replace(b"</sheetData>", grid + b"</sheetData>")})
    assert read(styled) == read(GOOD)
    empty = packed({"xl/worksheets/sheet1.xml": sheet.replace(b"</sheetData>", b"<row/>" * 250_000 + b"</sheetData>")})
    ((_, said),) = wrong(empty)
    assert "too many cells" in said or "for its size" in said


def test_a_doctype_and_with_it_every_entity_is_refused():
    sheet = part("xl/worksheets/sheet1.xml")
    declared = sheet.replace(b"<worksheet", b'<!DOCTYPE w [<!ENTITY a SYSTEM "file:///etc/passwd">]><worksheet', 1)
    ((_, said),) = wrong(packed({"xl/worksheets/sheet1.xml": declared}))
    assert "doctype-refused" in said


def test_a_link_in_a_cell_is_a_text_and_a_target_outside_is_never_followed():
    relations = part("xl/_rels/workbook.xml.rels").replace(
        b"</Relationships>",
        b'<Relationship Id="r9" Type="x/worksheet" Target="https://h/x.xml" TargetMode="External"/></Relationships>',
    )
    assert read(packed({"xl/_rels/workbook.xml.rels": relations})) == read(GOOD)
    outside = part("xl/_rels/workbook.xml.rels").replace(b"worksheets/sheet1.xml", b"../../../etc/passwd")
    ((_, said),) = wrong(packed({"xl/_rels/workbook.xml.rels": outside}))
    assert "lienthong report template" in said


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a readable .xlsx"),
        (b"%PDF-1.7", "not a readable .xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "not a readable .xls file"),
        (GOOD[:900], "not a readable .xlsx"),
        (packed({"xl/workbook.xml": None}), "not a readable .xlsx"),
        (packed({"xl/sharedStrings.xml": b"<sst/>"}, EMPTY), "not a readable .xlsx"),
        (packed({"xl/workbook.xml": b"<workbook"}), "damaged"),
        (packed({}, method=zipfile.ZIP_LZMA), "not a readable .xlsx"),
    ],
)
def test_a_file_that_is_no_workbook_is_told_so(content, told):
    ((_, said),) = wrong(content)
    assert told in said


def test_another_workbook_is_told_to_be_none_of_the_hubs():
    ((_, said),) = wrong(saved(openpyxl.Workbook()))
    assert "lienthong report template" in said


@settings(max_examples=at_most(150), deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_garbage_is_refused_or_read_and_never_breaks_anything(chance: random.Random, flips):
    content = bytearray(GOOD)
    for _ in range(flips):
        at = chance.randrange(len(content))
        content[at : at + chance.randrange(3)] = bytes(chance.randrange(256) for _ in range(chance.randrange(4)))
    with suppress(Misfilled):
        read(bytes(content))


MARKUP = [
    b"<c",
    b"</c>",
    b'r="',
    b't="s"',
    b"<v>",
    b"</v>",
    b"<f>",
    b"<row",
    b"<is>",
    b"&#0;",
    b"&a;",
    b"99999999999",
    b"-1",
    b'"',
]


@settings(max_examples=at_most(150), deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_garbage_inside_a_sound_container_is_refused_or_read(chance: random.Random, changes):
    name = chance.choice(["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml", "[Content_Types].xml"])
    base = (
        EMPTY if name == "xl/sharedStrings.xml" else GOOD
    )  # one program shares its texts, the other writes each in its cell
    content = part(name, base)
    for _ in range(changes):
        at = chance.randrange(len(content))
        content = content[:at] + chance.choice(MARKUP) + content[at + chance.randrange(6) :]
    with suppress(Misfilled):
        read(packed({name: content}, base))


def test_letters_name_columns_as_spreadsheets_do():
    assert [sheets.write_column_letters(number) for number in (1, 26, 27, 702, 703)] == [
        "A",
        "Z",
        "AA",
        "ZZ",
        "AAA",
    ]
    with pytest.raises(WorkbookUnreadable):
        list(xlsx_reader.read_sheets(b"PK\x03\x04"))


def test_a_sheet_of_nothing_but_zeros_for_all_units_of_a_province_is_read():
    """It compresses best of all that is honest: an element for each octet of the file."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True}) as book:
        sheet, bold = book.add_worksheet(), book.add_format({"bold": True})
        for row in range(989):
            for column in range(20):
                sheet.write_number(row, column, 0, bold)
    (found,) = xlsx_reader.read_sheets(made.getvalue())
    assert len(found.cells) == 989 * 20
