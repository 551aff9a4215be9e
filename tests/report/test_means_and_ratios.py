"""A mean is a number of the form, and of nothing there is neither a ratio nor a mean, in every output."""

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any

import pytest
from lxml import etree
from openpyxl import load_workbook
from pypdf import PdfReader

from hub.language.languages import Language
from hub.report.counting.counting import Cells, Report, assemble_report
from hub.report.form.column import ColumnKind, EmptyRatio
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.report.output import outputs
from hub.report.output.pdf import write_pdf_report
from hub.report.output.workbook import write_xlsx_report
from hub.report.signed.element import build_report_element
from hub.report.signed.sealed import read_sealed_report, seal_report
from tests.officials import HUB

FORM = next(form for form in read_form_folder() if form.id == "qd766")
#: those of the indicators of which nothing is known if nothing happened
NUMBERS = ["sync_ratio", "on_time_ratio", "mean_days", "online_ratio", "online_score", "paid_ratio", "overdue_ratio"]


def report(**sums: int) -> Report:
    taken = {column.key: sums.get(column.key, 0) for column in FORM.columns if column.taken}
    return assemble_report(FORM, parse_period("2026-12"), datetime(2027, 1, 1, tzinfo=UTC), ["U"], {"U": Cells(taken)})


def test_the_mean_of_days_is_rounded_from_the_days_and_dossiers_of_the_row() -> None:
    assert report(days_taken=17, finished_timed=6).total.numbers["mean_days"] == Decimal("2.83")
    taken = {column.key: 0 for column in FORM.columns if column.taken}
    cells = {
        "U": Cells(taken | {"days_taken": 10, "finished_timed": 1}),
        "V": Cells(taken | {"days_taken": 2, "finished_timed": 2}),
    }
    made = assemble_report(FORM, parse_period("2026-12"), datetime(2027, 1, 1, tzinfo=UTC), ["U", "V"], cells)
    assert [row.numbers["mean_days"] for row in made.rows] == [Decimal("10.00"), Decimal("1.00")]
    assert made.total.numbers["mean_days"] == Decimal("4.00"), "of all dossiers, not of the units' means"


@pytest.mark.parametrize("language", list(Language))
def test_of_nothing_every_output_says_that_there_is_no_number(language: Language) -> None:
    made, keys = report(), [column.key for column in FORM.columns]
    assert {key: made.total.numbers[key] for key in NUMBERS} == dict.fromkeys(NUMBERS)
    page: Any = etree.HTML(outputs.write_html_report(made, {}, language))
    cells = page.xpath(".//tr[@class='total']/td[@data-column]")
    shown = {cell.get("data-column"): cell.xpath("string()") for cell in cells}
    assert {shown[key] for key in NUMBERS} == {"–"}
    rows = list(csv.reader(StringIO(outputs.write_csv_report(made, {}, language).decode("utf-8-sig"))))
    assert {rows[1][6 + keys.index(key)] for key in NUMBERS} == {""}
    sheet = load_workbook(BytesIO(write_xlsx_report(made, {}, (), language)), data_only=True).worksheets[0]
    (line,) = [row for row in sheet.iter_rows(values_only=True) if row[1] in ("Tổng cộng", "Total")]
    assert {line[3 + keys.index(key)] for key in NUMBERS} == {"–"}
    text = "".join(each.extract_text() for each in PdfReader(BytesIO(write_pdf_report(made, {}, (), language))).pages)
    assert "0,00" not in text
    assert "0.00" not in text
    said = json.loads(outputs.write_json_report(made, {}))["total"]
    assert {said[key] for key in NUMBERS} == {None}
    numbers: Any = build_report_element(made, {}, ()).xpath("*[local-name() = 'Total']/*[local-name() = 'Number']")
    told = {each.get("column"): each.text for each in numbers}
    assert {told[key] for key in NUMBERS} == {None}
    assert read_sealed_report(seal_report(made, {"U": "U"}, (), HUB)).report.total == made.total


def test_no_form_of_the_hub_writes_a_ratio_of_nothing_as_a_number() -> None:
    written = [
        f"{form.id} {column.key}"
        for form in read_form_folder()
        for column in form.columns
        if column.kind in (ColumnKind.RATIO, ColumnKind.EXPRESSION) and column.empty is EmptyRatio.ZERO
    ]
    assert written == []
