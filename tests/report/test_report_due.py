"""When a report is due, its official number and its points stand in what people read, and survive being sealed and read back."""

import json
from datetime import UTC, date, datetime
from io import BytesIO

import attrs
import openpyxl
import pytest
from pypdf import PdfReader

from hub.language.languages import Language
from hub.report.counting.counting import Cells, Report, assemble_report
from hub.report.form.folder import read_form_folder
from hub.report.form.form import choose_form
from hub.report.form.period import CutOff, Cuts, parse_period
from hub.report.form.workdays import Due
from hub.report.output.outputs import write_html_report, write_json_report
from hub.report.output.pdf import write_pdf_report
from hub.report.output.workbook import write_xlsx_report
from hub.report.signed.element import build_report_element, check_report_element
from hub.report.signed.sealed import read_sealed_report
from hub.security import signing
from tests import pki

PERIOD = parse_period("2026-12")
NOW = datetime(2027, 3, 1, tzinfo=UTC)
HUB = pki.partner("hub")
DUE = Due(date(2026, 12, 16))


def report(identity: str, due: Due | None = DUE, **numbers: int) -> Report:
    form = choose_form(read_form_folder(), identity, PERIOD)
    cells = {"A": Cells({column.key: numbers.get(column.key, 0) for column in form.columns})}
    return attrs.evolve(assemble_report(form, PERIOD, NOW, ["A"], cells), due=due)


def sealed(made: Report) -> bytes:
    content = signing.seal_element(build_report_element(made, {}, ()), HUB)
    check_report_element(content)
    return content


@pytest.mark.parametrize("text", ["2026-11", "2026-Q4", "2026"])
def test_a_sealed_report_has_the_days_that_it_was_made_with_whatever_the_cut_off_is_now(text):
    period = parse_period(text, Cuts((CutOff(25),)))
    found = read_sealed_report(sealed(attrs.evolve(report("edoc"), period=period))).report.period
    assert found == period
    assert found.last != parse_period(text).last


@pytest.mark.parametrize("due", [None, DUE, Due(date(2026, 12, 17), sure=False)])
def test_a_sealed_report_says_when_it_is_due(due):
    assert read_sealed_report(sealed(report("ii06a", due))).report.due == due


def test_a_sealed_report_has_the_official_number_and_the_numbers_of_its_columns():
    form = read_sealed_report(sealed(report("ii06a"))).report.form
    assert (form.number, form.called, form.first_number) == ("II.06a/VPCP/KSTT", "II.06a/VPCP/KSTT", 3)
    plain = read_sealed_report(sealed(report("edoc"))).report.form
    assert (plain.number, plain.called, plain.first_number) == ("", "edoc", 1)


def test_what_a_sealed_report_is_worked_out_from_is_what_its_form_says():
    made = report("qd766", online=1, direct=3)
    found = read_sealed_report(sealed(made)).report
    for column in made.form.columns:
        mine = found.form.column(column.key)
        assert (mine.empty, mine.full_at, mine.points) == (column.empty, column.full_at, column.points), column.key
    numbers = found.total.numbers
    assert (str(numbers["online_ratio"]), str(numbers["online_score"])) == ("25.00", "50.00")


def test_the_page_and_the_json_say_when_it_is_due():
    page = write_html_report(report("ii06a"), {})
    assert "Hạn gửi báo cáo: 16/12/2026" in page
    assert "Biểu số: II.06a/VPCP/KSTT" in page
    may_move = report("ii06a", Due(date(2026, 12, 16), sure=False))
    assert "16/12/2026 (có thể đổi: lịch nghỉ chưa được thông báo)" in write_html_report(may_move, {})
    assert "To be submitted by 16/12/2026 (may move: holidays not announced yet)" in write_html_report(
        may_move, {}, Language.EN
    )
    assert "Hạn gửi" not in write_html_report(report("ii06a", None), {})
    assert json.loads(write_json_report(may_move, {}))["due"] == {"day": "2026-12-16", "sure": False}
    assert json.loads(write_json_report(report("ii06a", None), {}))["due"] is None
    assert json.loads(write_json_report(report("ii06a"), {}))["number"] == "II.06a/VPCP/KSTT"


def test_the_workbook_and_the_printed_report_say_when_it_is_due():
    book = openpyxl.load_workbook(BytesIO(write_xlsx_report(report("ii06a"), {}, ())))
    texts = [cell.value for line in book.worksheets[0].iter_rows() for cell in line if isinstance(cell.value, str)]
    assert any("Hạn gửi báo cáo: 16/12/2026" in text for text in texts)
    assert "Biểu số: II.06a/VPCP/KSTT" in texts
    page = PdfReader(BytesIO(write_pdf_report(report("ii06a"), {}, ()))).pages[0].extract_text()
    assert "Hạn gửi báo cáo: 16/12/2026" in page
    assert "II.06a/VPCP/KSTT" in page
