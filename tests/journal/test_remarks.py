"""What a unit says of its figures stands beside them in every output, in its own words, with the person and the message."""

import json
from io import BytesIO
from unittest import mock

import attrs
import openpyxl
import pytest
from pypdf import PdfReader

from hub.journal import unit_registry
from hub.language.languages import Language
from hub.report.form.book import read_shipped_book
from hub.report.output import formats, outputs, validating
from hub.report.signed import sealed
from hub.workload import declarations, unit_report
from tests.declaring import declaration
from tests.journal.test_declarations import take
from tests.officials import HUB as SEAL
from tests.province import NOW, UNITS

BOOK = read_shipped_book()
PERIOD = "2026-11"
LATE, MOVED = "Trụ sở chuyển ngày 05/11 nên 3 văn bản gửi giấy", "Có 2 văn bản gửi trùng <&> 𝔄"


def say(tx, note="", cells=(), unit="H55.13", later=0, by="Lan"):
    """Declare a figure of one document sent, with a note, and with notes to further columns."""
    said = declaration({("", "sent"): 1, **{("", key): 0 for key, _ in cells}}, unit=unit, period=PERIOD, by=by)
    told = dict(cells)
    noted = tuple(attrs.evolve(cell, note=told.get(cell.column, "")) for cell in said.cells)
    taken = take(tx, attrs.evolve(said, cells=noted, note=note), name=f"{unit} {later}", by="any", later=later)
    assert not taken.problems
    return taken.id


def report_of(tx, unit="H55.13", **named):
    asked = unit_report.resolve_report_sources(tx, unit, PERIOD, "edoc", BOOK, now=NOW, **named)
    return asked.count(NOW), asked.names


@pytest.fixture
def told(tx):
    """A department that explains its figures in its newest declaration, and another unit that says nothing."""
    unit_registry.write_registry_units(tx, UNITS)
    say(tx, "câu cũ")
    message = say(tx, LATE, [("received", MOVED), ("paper_only", "đếm tay")], later=1)
    say(tx, unit="H55.01", later=2)
    return message


def test_the_newest_declaration_of_each_unit_of_the_report_is_told(tx, told):
    report, _ = report_of(tx)
    assert [(each.unit, each.column, each.text, each.by, each.message) for each in report.remarks.told] == [
        ("H55.13", "", LATE, "Lan", told),
        ("H55.13", "received", MOVED, "Lan", told),
        ("H55.13", "paper_only", "đếm tay", "Lan", told),
    ]
    assert report_of(tx, "H55")[0].remarks == report.remarks
    assert report_of(tx, "H55.01")[0].remarks.told == ()
    assert report_of(tx, marked=False)[0].remarks.told == ()


def lines_of(kind, content):
    if kind == "pdf":
        return " ".join("".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages).split())
    if kind == "xlsx":
        sheet = openpyxl.load_workbook(BytesIO(content))["Thuyết minh"]
        return "\n".join(str(row[1].value) for row in sheet.iter_rows(min_row=3))
    return content.decode()


@pytest.mark.parametrize("kind", ["html", "pdf", "xlsx"])
def test_a_printed_report_has_each_explanation_with_its_cell_and_its_person(tx, told, kind):
    report, names = report_of(tx)
    lines = lines_of(kind, formats.write_report(kind, report, names, "0" * 64, Language.VI, None))
    for each in (LATE, "đếm tay", "Có 2 văn bản gửi trùng"):
        assert each in lines
    assert lines.count("Lan khai") == 3
    assert "Sở TT&TT (H55.13)" in lines.replace("&amp;", "&")
    said = formats.write_report(kind, report_of(tx, "H55.01")[0], names, "0" * 64, Language.VI, None)
    if kind == "xlsx":
        assert "Thuyết minh" not in openpyxl.load_workbook(BytesIO(said)).sheetnames
    else:
        assert "Thuyết minh" not in lines_of(kind, said)


def test_json_has_them_as_values_and_keeps_to_its_published_schema(tx, told):
    report, names = report_of(tx)
    written = outputs.write_json_report(report, names)
    assert validating.validate_report(written.encode(), BOOK.forms).broken == ()
    said = json.loads(written)["remarks"]
    assert said["left_out"] == 0
    assert [(each["unit"], each["column"], each["text"], each["message"]) for each in said["told"]] == [
        ("H55.13", None, LATE, told),
        ("H55.13", "received", MOVED, told),
        ("H55.13", "paper_only", "đếm tay", told),
    ]


def test_what_is_sealed_says_them_as_they_were_when_it_was_made(tx, told):
    report, names = report_of(tx)
    content = sealed.seal_report(report, names, (), SEAL, 1)
    say(tx, "câu mới", later=3)
    assert sealed.read_sealed_report(content).report.remarks == report.remarks
    assert [each.text for each in report_of(tx)[0].remarks.told] == ["câu mới"]


def test_of_more_remarks_than_are_printed_the_number_is_told(tx, told):
    with mock.patch.object(declarations, "MOST_REMARKS", 2):
        report, names = report_of(tx)
    assert ([each.text for each in report.remarks.told], report.remarks.left_out) == ([LATE, MOVED], 1)
    page = formats.write_report("html", report, names, "0" * 64, Language.EN, None).decode()
    assert "And 1 more remark" in page
    assert sealed.read_sealed_report(sealed.seal_report(report, names, (), SEAL, 1)).report.remarks == report.remarks
