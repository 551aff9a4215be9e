"""The PDF of a report, read back by pypdf: what an archive asks of it, the right words, the right number in each cell."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from io import BytesIO
from typing import Any

import attrs
import pytest
from lxml import etree
from pypdf import PdfReader

from hub.domain.model import Fact, ReportState
from hub.language.languages import Language
from hub.report.counting.checks import CheckFinding
from hub.report.counting.counting import Report, Row, Section, count_report
from hub.report.counting.marks import ChangedCell, ClosingMarks, RowRevision
from hub.report.form.column import Wording
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Check
from hub.report.form.period import parse_period
from hub.report.output import pdf
from hub.report.output.charts import make_plots
from hub.report.output.outputs import write_html_report
from hub.report.output.paper import PrintedRevision, PrintedSignature
from hub.report.output.pdf import make_printable, write_pdf_report
from tests.pdftags import tree

EDOC = next(form for form in read_form_folder() if form.id == "edoc")
DECEMBER = parse_period("2026-12")
NOW = datetime(2026, 11, 24, 3, 15, tzinfo=UTC)
NAMES = {"H55": "Ủy ban nhân dân tỉnh", "H55.1": "Sở Tư pháp", "H55.2": "Ủy ban nhân dân xã Phú Lương"}
SHA = "ab" * 32
XMP = {"pdfaid": "http://www.aiim.org/pdfa/ns/id/", "pdfuaid": "http://www.aiim.org/pdfua/ns/id/"}


def example(*units: str) -> Report:
    sent = Fact(unit="H55.1", service="documents", key="1", milestone="sent", at=NOW - timedelta(hours=1), message="m")
    return count_report(EDOC, [sent], DECEMBER, NOW, ("H55", *(units or ("H55.1", "H55.2"))))


@cache
def usual() -> bytes:
    """Return the report that most tests read: making one takes a tenth of a second."""
    return write_pdf_report(example(), NAMES, SHA)


def opened(content: bytes) -> Any:
    return PdfReader(BytesIO(content))


def said(content: bytes) -> str:
    """Return the words of all pages on one line."""
    return " ".join(" ".join(page.extract_text() for page in opened(content).pages).split())


def lines(content: bytes) -> list[list[str]]:
    (table,) = tree(content).all("Table")
    return [[cell.text for cell in row.all("TH", "TD")] for row in table.all("TR")]


# What an archive and a screen reader ask


def test_it_declares_pdf_a_2a_and_pdf_ua_1_and_its_language():
    root = opened(usual()).trailer["/Root"]
    metadata = etree.fromstring(root["/Metadata"].get_data())
    declared = [
        metadata.findtext(f".//{name}", namespaces=XMP)
        for name in ("pdfaid:part", "pdfaid:conformance", "pdfuaid:part")
    ]
    assert declared == ["2", "A", "1"]
    assert root["/Lang"] == "vi-VN"
    assert root["/MarkInfo"]["/Marked"] is True or root["/MarkInfo"]["/Marked"].value is True
    assert root["/StructTreeRoot"]["/Type"] == "/StructTreeRoot"
    (intent,) = (each.get_object() for each in root["/OutputIntents"])
    assert (intent["/S"], bool(intent["/DestOutputProfile"].get_data())) == ("/GTS_PDFA1", True)
    assert opened(write_pdf_report(example(), NAMES, SHA, Language.EN)).trailer["/Root"]["/Lang"] == "en-GB"


def test_its_fonts_are_the_project_s_own_and_embedded():
    found = {}
    for page in opened(usual()).pages:
        for font in page["/Resources"]["/Font"].values():
            described = font["/DescendantFonts"][0].get_object()["/FontDescriptor"]
            found[described["/FontName"].split("+")[1]] = "/FontFile2" in described
    assert found == {"LiberationSerif": True, "LiberationSerif-Bold": True, "LiberationSerif-Italic": True}


def test_it_runs_nothing_and_needs_nothing_from_elsewhere():
    content = usual()
    assert not re.search(rb"/(JavaScript|JS|Launch|URI|EmbeddedFile|Encrypt|GoToR)\b", content)


def test_the_same_report_is_the_same_file_to_the_byte_and_has_the_report_s_date():
    once = usual()
    assert once == write_pdf_report(example(), NAMES, SHA)
    assert opened(once).metadata.creation_date == NOW


# What it says


def test_its_text_extracts_in_vietnamese():
    text = said(write_pdf_report(example(), NAMES, SHA, receiver="Văn phòng Chính phủ"))
    assert unicodedata.is_normalized("NFC", text)
    for words in (
        "Biểu số: edoc",
        "THỐNG KÊ VĂN BẢN ĐIỆN TỬ",
        "Kỳ báo cáo: Tháng 12 năm 2026 (từ ngày 15/11/2026 đến hết ngày 14/12/2026)",
        "Đơn vị báo cáo: Ủy ban nhân dân tỉnh",
        "Đơn vị nhận báo cáo: Văn phòng Chính phủ",
        "Kỳ chưa kết thúc: số liệu tính đến 24/11/2026 10:15",
        "Ủy ban nhân dân xã Phú Lương",
        "NGƯỜI LẬP BIỂU",
        "THỦ TRƯỞNG ĐƠN VỊ",
        "Trang 1/",
        f"SHA-256 {SHA}",
    ):
        assert words in text
    assert "CỘNG HÒA" not in text
    assert opened(usual()).metadata.title == "Thống kê văn bản điện tử, Ủy ban nhân dân tỉnh, Tháng 12 năm 2026"


def test_it_speaks_english_when_asked():
    text = said(write_pdf_report(example(), NAMES, SHA, Language.EN))
    assert "Period: December 2026" in text
    assert "Page 1/" in text


@pytest.mark.slow
def test_a_receiver_that_nobody_knows_is_left_to_be_written():
    assert "Đơn vị nhận báo cáo: ....." in said(usual())


def test_the_table_has_its_headings_their_numbers_the_total_and_the_units():
    upper, lower, places, total, *units = lines(usual())
    assert upper[:3] == ["STT", "Đơn vị", "Văn bản gửi"]
    assert lower[:3] == ["Trong tỉnh", "Ngoài tỉnh", "Tổng gửi"]
    assert places[2].replace("\u200b", "") == "(3)=(1)+(2)"
    assert total[:5] == ["", "Tổng cộng", "1", "0", "1"]
    assert [row[:3] for row in units] == [
        ["1", "Ủy ban nhân dân tỉnh H55", "0"],
        ["2", "Sở Tư pháp H55.1", "1"],
        ["3", "Ủy ban nhân dân xã Phú Lương H55.2", "0"],
    ]
    assert (total[-1], units[0][-1]) == ("24/11/2026 09:15", "–")


@pytest.mark.slow
def test_the_headings_stand_on_every_page():
    content = write_pdf_report(example(*(f"H55.{place}" for place in range(1, 90))), NAMES, SHA)
    pages = [" ".join(page.extract_text().split()) for page in opened(content).pages]
    with_rows = [page for page in pages if re.search(r"H55\.\d", page.split("Trang")[0])]
    assert len(with_rows) > 2
    assert all("Văn bản gửi" in page for page in with_rows)
    assert all(f"Trang {place}/{len(pages)}" in page for place, page in enumerate(pages, 1))


def test_sections_stand_over_their_units_and_findings_under_the_table():
    report = example()
    sections = (
        Section(
            heading=Wording("Sở, ban, ngành", "Departments"),
            total=attrs.evolve(report.rows[1], unit=""),
            units=("H55.1",),
        ),
        Section(
            heading=Wording("Xã, phường", "Communes"), total=attrs.evolve(report.rows[2], unit=""), units=("H55.2",)
        ),
    )
    finding = CheckFinding(
        unit="H55.1",
        check=Check(says=Wording("cột không bằng nhau", "columns differ"), left=("sent",), right=("received",)),
        left=1,
        right=2,
    )
    content = write_pdf_report(attrs.evolve(report, sections=sections, findings=(finding,)), NAMES, SHA)
    assert [row[:3] for row in lines(content)[4:]] == [
        ["I", "Sở, ban, ngành", "1"],
        ["1", "Sở Tư pháp H55.1", "1"],
        ["II", "Xã, phường", "0"],
        ["1", "Ủy ban nhân dân xã Phú Lương H55.2", "0"],
        ["1", "Ủy ban nhân dân tỉnh H55", "0"],
    ]
    assert "Sở Tư pháp (H55.1): cột không bằng nhau: 1 ≠ 2 (3) (6)" in said(content)


def test_a_ratio_has_two_decimals_and_none_is_a_dash():
    report = example()
    numbers: Any = {**report.total.numbers, "sent": Decimal("1234.50"), "received": None}
    total = attrs.evolve(report.total, numbers=numbers)
    row = lines(write_pdf_report(attrs.evolve(report, total=total), NAMES, SHA))[3]
    assert (row[4], row[7]) == ("1.234,50", "–")


@pytest.mark.slow
def test_charts_are_figures_with_words_for_who_does_not_see_them():
    report = example()
    months = [attrs.evolve(report, period=parse_period(text)) for text in ("2026-10", "2026-11")]
    content = write_pdf_report(report, NAMES, SHA, charts=make_plots(report, NAMES, months))
    assert len(list(tree(content).all("Figure"))) == 1
    assert "Văn bản gửi và nhận theo tháng" in said(content)


# Where people sign


GIVEN = PrintedRevision(
    revision=2,
    state=ReportState.SIGNED,
    sha256="cd" * 32,
    reason="bị trả lại",
    before="ab" * 32,
    drafter=PrintedSignature(name="Trần Thị Bình", serial="1f", at=NOW),
    head=PrintedSignature(name="Nguyễn Văn An", serial="2e", at=NOW + timedelta(hours=20)),
)


def test_paper_names_its_unit_and_leaves_place_and_day_to_be_written():
    text = said(write_pdf_report(example(), NAMES, SHA))
    assert "TẠI ỦY BAN NHÂN DÂN TỈNH" in text
    assert "…………, ngày … tháng … năm …" in text
    assert "Bản lần" not in text


def test_paper_of_a_revision_names_it_its_state_and_who_signed():
    text = said(write_pdf_report(example(), NAMES, SHA, revision=GIVEN))
    assert f"Bản lần 2 – đã ký · SHA-256 {'cd' * 32}" in text
    assert f"Thaybảnlần1(SHA-256{'ab' * 32}).Lýdo:bịtrảlại" in text.replace(" ", ""), "the hash is over two lines"
    assert "ngày 25 tháng 11 năm 2026" in text, "the head's day of signing, in Hà Nội"
    prepared, head = text.index("NGƯỜI LẬP BIỂU"), text.index("THỦ TRƯỞNG ĐƠN VỊ")
    assert prepared < text.index("Trần Thị Bình Đã ký số lúc 24/11/2026 10:15 chứng thư số 1f") < head
    assert head < text.index("Nguyễn Văn An Đã ký số lúc 25/11/2026 06:15 chứng thư số 2e")
    waiting = said(write_pdf_report(example(), NAMES, SHA, revision=attrs.evolve(GIVEN, head=None)))
    assert "ngày … tháng" in waiting
    assert "Trần Thị Bình" in waiting
    first = said(write_pdf_report(example(), NAMES, SHA, revision=attrs.evolve(GIVEN, revision=1, before="")))
    assert "Thay bản lần" not in first
    page = write_html_report(example(), NAMES, revision=GIVEN)
    for words in ("Tại Ủy ban nhân dân tỉnh", "Bản lần 2 – đã ký", "ngày 25 tháng 11 năm 2026", "Nguyễn Văn An"):
        assert words in page


@pytest.mark.parametrize("notes", [True, False])
@pytest.mark.parametrize("units", [8, 14, 20, 30])
@pytest.mark.slow
def test_who_signs_never_signs_a_page_of_its_own(units, notes):
    report = example(*(f"H55.{place}" for place in range(1, units)))
    form = EDOC if notes else attrs.evolve(EDOC, notes=())
    content = write_pdf_report(attrs.evolve(report, form=form), NAMES, SHA)
    *_, last = (" ".join(page.extract_text().split()) for page in opened(content).pages)
    before = last.partition("Trục liên thông lập lúc")[0]
    assert "THỦ TRƯỞNG ĐƠN VỊ" in last
    assert ("bản đó." if notes else f"H55.{units - 1}") in before, "the last of what it is about stands with it"
    rows = [list(row.all("TH", "TD")) for table in tree(content).all("Table") for row in table.all("TR")]
    found = [row[1].text.split()[-1] for row in rows if len(row) > 1 and "H55." in row[1].text]
    assert found == [f"H55.{place}" for place in range(1, units)], "every row once"


@pytest.mark.parametrize("units", [6, 8, 10, 12])
def test_who_signs_a_revision_sees_a_change_on_the_same_page(units):
    codes = [f"H55.{place}" for place in range(1, units)]
    cell = ChangedCell(column="sent", heading=Wording("Gửi đi", "Sent"), was=1, now=2)
    said: Any = {"form": "edoc", "period": "2026-12", "revision": 2, "made_at": NOW, "by": "an", "reason": "đến muộn"}
    rows = tuple(RowRevision(unit=code, cells=(cell,), **said) for code in codes)
    marks = ClosingMarks(closed_at=NOW, revision=units, revised=rows)
    report = attrs.evolve(example(*codes), form=attrs.evolve(EDOC, notes=()), marks=marks)
    pages = [" ".join(page.extract_text().split()) for page in opened(write_pdf_report(report, NAMES, SHA)).pages]
    assert f"Bản lần {units} của báo cáo đã đóng" in pages[0]
    assert sum(page.count("Lý do: đến muộn") for page in pages) == units - 1
    assert "Lý do: đến muộn" in pages[-1][: pages[-1].index("THỦ TRƯỞNG ĐƠN VỊ")]


# What a name may be


@pytest.mark.parametrize(
    "name",
    [
        "#strong[Sở] *đậm* _nghiêng_ `mã` $x^2$ <nhãn> @ai",
        '#include "/etc/passwd"',
        "#sys.inputs.report",
        "\\u{1F600} // không \\ /* gì */ \"'--- ~ = + - 1.",
        "]}) #let x = 1; {",
        "https://example.vn/?a=b&c=%20",
    ],
)
@pytest.mark.slow
def test_a_name_stays_text_whatever_stands_in_it(name):
    content = write_pdf_report(example(), {"H55": name, "H55.1": name}, SHA, receiver=name)
    assert lines(content)[4][1].replace("\u200b", "") == f"{name} H55"
    assert said(content).replace("\u200b", "").replace(" ", "").count(name.replace(" ", "")) >= 3


def test_letters_that_no_font_has_are_boxes_and_lines_and_other_forms_are_put_right():
    assert make_printable("Sở 中\u0000\ud800😀") == "Sở □□□□"
    assert make_printable("Ủy\nban\tnhân") == "Ủy ban nhân"
    assert make_printable(unicodedata.normalize("NFD", "Ủy ban nhân dân")) == "Ủy ban nhân dân"
    content = write_pdf_report(example(), {"H55": "Sở 中😀\x0b" + unicodedata.normalize("NFD", "Tư pháp Ặ")}, SHA)
    assert lines(content)[4][1] == "Sở □□ Tư pháp Ặ H55"


@pytest.mark.slow
def test_a_word_without_end_is_broken_and_every_letter_of_it_stays():
    content = write_pdf_report(example(), {"H55": "X" * 3000}, SHA)
    assert lines(content)[4][1].count("X") == 3000


@pytest.mark.slow
def test_every_letter_of_the_fonts_can_be_printed():
    letters = "".join(chr(code) for code in sorted(pdf._list_common_glyphs()) if chr(code).strip())
    words = " ".join(letters[place : place + 10] for place in range(0, len(letters), 10))
    shown = lines(write_pdf_report(example(), {"H55": words}, SHA))[4][1]
    assert set(unicodedata.normalize("NFC", letters)) <= set(shown)
    assert len(letters) > 2000


def test_a_form_of_many_columns_goes_on_larger_paper():
    columns = tuple(
        attrs.evolve(column, key=f"{column.key}{place}", sum=()) for place in range(3) for column in EDOC.columns
    )
    form = attrs.evolve(EDOC, columns=columns)
    row = Row(
        "H55",
        numbers={column.key: 10**7 for column in columns if column.kind != "time"},
        times={column.key: None for column in columns if column.kind == "time"},
    )
    wide = (
        opened(write_pdf_report(attrs.evolve(example(), form=form, total=row, rows=(row,)), NAMES, SHA))
        .pages[0]
        .mediabox
    )
    narrow = opened(usual()).pages[0].mediabox
    assert (round(narrow.width), round(narrow.height)) == (842, 595)
    assert wide.width > narrow.width
