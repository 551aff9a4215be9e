"""How a report is written: the same numbers everywhere, and nothing in it that runs."""

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

import attrs
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from hub.domain.local_time import HANOI
from hub.domain.model import Fact
from hub.language.languages import Language
from hub.report.counting.checks import CheckFinding
from hub.report.counting.counting import Report, Row, Section, count_report
from hub.report.form.column import Wording
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Check
from hub.report.form.period import parse_period
from hub.report.output.outputs import write_csv_report, write_html_report, write_json_report
from hub.report.output.workbook import write_xlsx_report
from hub.report.words import write_moment, write_number, write_roman

EDOC = next(form for form in read_form_folder() if form.id == "edoc")
DECEMBER = parse_period("2026-12")
NOW = datetime(2026, 11, 24, 3, 15, tzinfo=UTC)
NAMES = {"H55": "Ủy ban nhân dân tỉnh", "H55.1": "Sở Tư pháp"}
TIMES = st.datetimes(datetime.fromisoformat("2026-01-01"), timezones=st.just(UTC))
KEYS = [column.key for column in EDOC.columns]


def example() -> Report:
    """Return the report of `H55` with one document sent by `H55.1`."""
    sent = Fact(unit="H55.1", service="documents", key="1", milestone="sent", at=NOW - timedelta(hours=1), message="m")
    return count_report(EDOC, [sent], DECEMBER, NOW, ("H55", "H55.1"))


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Return a report with any numbers; its rows need not add up, for nothing may be worked out again while writing."""

    def row(unit: str) -> Row:
        return Row(
            unit,
            numbers={key: draw(st.integers(0, 10**8)) for key in KEYS if key != "last_update"},
            times={"last_update": draw(st.none() | TIMES)},
        )

    return attrs.evolve(example(), total=row("H55"), rows=(row("H55"), row("H55.1"), row("H55.2")))


def test_the_json_of_a_report_says_what_it_is_and_each_number():
    said = json.loads(write_json_report(example(), NAMES))
    assert (said["unit"], said["name"], said["form"]) == ("H55", "Ủy ban nhân dân tỉnh", "edoc")
    assert said["period"] == {
        "text": "2026-12",
        "from": "2026-11-15",
        "to": "2026-12-14",
        "start": "2026-11-14T17:00:00+00:00",
        "end": "2026-12-14T17:00:00+00:00",
        "ended": False,
    }
    assert said["made_at"] == "2026-11-24T03:15:00+00:00"
    assert [column["key"] for column in said["columns"]] == KEYS
    assert (said["total"]["sent"], said["total"]["last_update"]) == (1, "2026-11-24T02:15:00+00:00")
    assert [(row["unit"], row["name"], row["sent"]) for row in said["rows"]] == [
        ("H55", "Ủy ban nhân dân tỉnh", 0),
        ("H55.1", "Sở Tư pháp", 1),
    ]
    assert "\n" not in write_json_report(example(), NAMES)


def read_csv(content: bytes) -> list[list[str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(content.decode("utf-8-sig").splitlines()))


def test_the_csv_has_a_heading_the_total_and_a_row_a_unit_for_a_spreadsheet():
    heading, total, *rows = read_csv(write_csv_report(example(), NAMES))
    assert heading[:8] == [
        "STT", "Kỳ báo cáo", "Từ ngày", "Đến ngày", "Mã đơn vị", "Đơn vị", "Văn bản gửi: Trong tỉnh", "Văn bản gửi: Ngoài tỉnh",
    ]  # fmt: skip
    assert total[:7] == [
        "Tổng cộng",
        "Tháng 12 năm 2026",
        "2026-11-15",
        "2026-12-14",
        "H55",
        "Ủy ban nhân dân tỉnh",
        "1",
    ]
    assert [row[0] + row[4] + row[6] for row in rows] == ["1H550", "2H55.11"]
    assert total[-1] == "2026-11-24 09:15:00"
    assert rows[0][-1] == ""
    english = read_csv(write_csv_report(example(), NAMES, Language.EN))
    assert (english[0][0], english[0][6], english[1][0], english[1][1]) == (
        "No.", "Sent: Inside the province", "Total", "December 2026",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["=1+1", "+84", "-2", "@a", "\tx", " =1", "＝1", "a=1", "Sở Tư pháp, “A”"])
def test_a_name_that_a_spreadsheet_would_run_is_disarmed(name):
    shown = read_csv(write_csv_report(example(), {"H55": name}))[1][5]
    assert shown in (name, f"'{name}")
    assert not re.match(r"\s*[=+\-@＝]", shown)
    assert (shown == name) == (name[0] in "aS")


def page_of(content: str) -> Any:
    """Return the root of the page, untyped as its stubs leave half of it."""
    return html.fromstring(content)


def test_the_page_is_in_vietnamese_with_a_caption_headings_and_the_days_of_the_period():
    page = page_of(write_html_report(example(), NAMES))
    text = page.text_content()
    assert page.get("lang") == "vi"
    assert "Tháng 12 năm 2026 (từ ngày 15/11/2026 đến hết ngày 14/12/2026)" in text
    assert "Kỳ chưa kết thúc: số liệu tính đến 24/11/2026 10:15" in text
    assert "Trục liên thông lập lúc 24/11/2026 10:15 (giờ Hà Nội)" in text
    assert "Mã định danh: H55" in text
    assert page.findtext(".//caption") == "Thống kê văn bản điện tử, Ủy ban nhân dân tỉnh, Tháng 12 năm 2026"
    assert all(cell.get("scope") for cell in page.iter("th"))
    assert "(3)=(1)+(2)" in [cell.text for cell in page.iter("th")]


def test_the_page_speaks_english_when_asked():
    page = page_of(write_html_report(example(), NAMES, Language.EN))
    assert page.get("lang") == "en"
    assert "December 2026 (from 15/11/2026 to 14/12/2026)" in page.text_content()


def test_a_finished_period_is_not_called_open():
    assert "Kỳ chưa kết thúc" not in write_html_report(attrs.evolve(example(), made_at=DECEMBER.end), NAMES)


def test_every_column_of_the_table_has_a_heading_above_each_cell():
    page = page_of(write_html_report(example(), NAMES))
    first, second, third = page.findall(".//thead/tr")
    top = [(int(cell.get("colspan", 1)), int(cell.get("rowspan", 1))) for cell in first]
    assert sum(columns for columns, _ in top) == len(KEYS) + 2
    assert sum(columns for columns, rows in top if rows == 1) == len(second)
    assert len(third) == len(KEYS)
    assert {len(row) for row in page.findall(".//tbody/tr")} == {len(KEYS) + 2}


def test_the_page_runs_nothing_fetches_nothing_and_shows_names_as_text():
    content = write_html_report(example(), {"H55": '<script>alert("1")</script>&', "H55.1": "'\"><img src=x>"})
    page = page_of(content)
    assert not list(page.iter("script", "img", "link", "iframe", "a"))
    assert not re.search(
        r"url\(|@import|https?://|\son\w+=", re.sub(r"<style>.*?</style>", "", content, flags=re.DOTALL)
    )
    assert not re.search(r"url\(|@import", content)
    assert '<script>alert("1")</script>&' in page.text_content()
    (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_the_page_says_which_form_it_is_who_reports_and_to_whom():
    text = " ".join(
        page_of(write_html_report(example(), NAMES, receiver="Văn phòng Chính phủ"))
        .find(".//header")
        .text_content()
        .split()
    )
    assert "Biểu số: edoc" in text
    assert "Đơn vị báo cáo: Ủy ban nhân dân tỉnh" in text
    assert "Đơn vị nhận báo cáo: Văn phòng Chính phủ" in text
    assert "Đơn vị nhận báo cáo: …" in write_html_report(example(), NAMES)


def test_each_number_opens_where_it_is_said_to():
    def link(unit: str | None, column: str) -> str | None:
        return None if column == "last_update" else f"/cells?unit={unit}&column={column}"

    page = page_of(write_html_report(example(), NAMES, link=link))
    first = [row.find(".//td[@data-column='sent']/a") for row in page.findall(".//tbody/tr")]
    assert [(each.get("href"), each.text) for each in first] == [
        ("/cells?unit=None&column=sent", "1"), ("/cells?unit=H55&column=sent", "0"), ("/cells?unit=H55.1&column=sent", "1"),
    ]  # fmt: skip
    assert not page.findall(".//td[@data-column='last_update']/a")


def test_the_page_shows_sections_over_their_units_and_findings_under_the_table():
    report = example()
    section = Section(
        heading=Wording("Sở <b>", "Departments"), total=attrs.evolve(report.rows[1], unit=""), units=("H55.1",)
    )
    finding = CheckFinding(
        unit=None,
        check=Check(says=Wording("cột <i> khác nhau", "columns differ"), left=("sent",), right=("received",)),
        left=1,
        right=2,
    )
    page = page_of(write_html_report(attrs.evolve(report, sections=(section,), findings=(finding,)), NAMES))
    rows = [[" ".join(cell.text_content().split()) for cell in row][:5] for row in page.findall(".//tbody/tr")]
    assert rows == [
        ["", "Tổng cộng", "1", "0", "1"],
        ["I", "Sở <b>", "1", "0", "1"],
        ["1", "Sở Tư pháp H55.1", "1", "0", "1"],
        ["1", "Ủy ban nhân dân tỉnh H55", "0", "0", "0"],
    ]
    assert "Tổng cộng: cột <i> khác nhau: 1 ≠ 2 (3) (6)" in page.text_content()


def test_a_ratio_has_two_decimals_and_none_is_said_as_such():
    report = example()
    numbers: Any = {**report.total.numbers, "sent": Decimal("1234.50"), "received": None}
    report = attrs.evolve(report, total=attrs.evolve(report.total, numbers=numbers))
    cells = {
        cell.get("data-column"): cell.text
        for cell in page_of(write_html_report(report, NAMES)).find(".//tbody/tr").iter("td")
    }
    assert (cells["sent"], cells["received"]) == ("1.234,50", "–")
    said = json.loads(write_json_report(report, NAMES))["total"]
    assert (said["sent"], said["received"]) == (1234.5, None)
    _, total, *_ = read_csv(write_csv_report(report, NAMES))
    assert (total[6 + KEYS.index("sent")], total[6 + KEYS.index("received")]) == ("1234.50", "")
    sheet = openpyxl.load_workbook(BytesIO(write_xlsx_report(report, NAMES, "0" * 64)), data_only=True).worksheets[0]
    sent, received = (sheet.cell(10, 4 + KEYS.index(key)) for key in ("sent", "received"))
    assert (sent.value, sent.number_format, received.value) == (1234.5, "[$-42A]#,##0.00", "–")


@given(reports())
@pytest.mark.slow
def test_the_three_outputs_have_the_same_numbers(report):
    said = json.loads(write_json_report(report, NAMES))
    _, *table = read_csv(write_csv_report(report, NAMES))
    page = page_of(write_html_report(report, NAMES)).findall(".//tbody/tr")
    assert (
        [row["unit"] for row in said["rows"]]
        == [row[4] for row in table[1:]]
        == [row.get("data-unit") for row in page[1:]]
    )
    for cells, line, row in zip([said["total"], *said["rows"]], table, page, strict=True):
        shown = {cell.get("data-column"): cell for cell in row.iter("td") if cell.get("data-column")}
        assert list(shown) == KEYS
        for key, written in zip(KEYS, line[6:], strict=True):
            if key == "last_update":
                at = cells[key] and datetime.fromisoformat(cells[key])
                assert written == (at.astimezone(HANOI).strftime("%Y-%m-%d %H:%M:%S") if at else "")
                assert shown[key].text_content() == (write_moment(at) if at else "–")
            else:
                assert int(written) == int(shown[key].text.replace(".", "")) == cells[key]


def test_sections_are_numbered_as_official_forms_number_them():
    assert [write_roman(value) for value in (1, 4, 9, 14, 40, 99)] == ["I", "IV", "IX", "XIV", "XL", "XCIX"]


def test_numbers_are_written_as_their_readers_write_them():
    assert [write_number(Decimal("12.30")), write_number(Decimal("1234.5"), Language.EN), write_number(None)] == [
        "12,30",
        "1,234.5",
        "–",
    ]
    assert [write_number(1234567), write_number(0), write_number(999), write_number(1234567, Language.EN)] == [
        "1.234.567",
        "0",
        "999",
        "1,234,567",
    ]
