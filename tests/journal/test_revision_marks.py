"""A revision of a closed month says so in every output: which row, what each number was and is, why, and by which message."""

import json
from datetime import date, timedelta
from io import BytesIO
from typing import Any

import attrs
import openpyxl
import pytest
from lxml import html
from pypdf import PdfReader

from hub.domain.model import Fact, Unit
from hub.journal import unit_registry
from hub.language.languages import Language
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.report.output import formats
from hub.report.signed import sealed
from hub.store.transactions import Transaction
from hub.workload import closing, row_revisions, unit_report
from hub.workload.unit_report import RevisionMissing
from tests import pdftags
from tests.journal.test_closing import AFTER, dossier, on, put, told
from tests.opened import lines_of
from tests.pki import partner

BOOK = read_shipped_book()
NOVEMBER, DECEMBER = parse_period("2026-11"), parse_period("2026-12")
UNITS = tuple(f"H55.{number}" for number in range(1, 6))
LATE = on("2026-11-18 08:30")


def mail(unit: str, day: str, at, amount: int) -> Fact:
    named: Any = {"unit": unit, "service": "mail", "key": day, "milestone": "sent-internal", "message": f"{unit} {day}"}
    return Fact(**named, at=at, day=date.fromisoformat(day), amount=amount)


@pytest.fixture
def revised(tx: Transaction) -> Transaction:
    """A province of five units whose November is closed, and to which each has sent figures of November afterwards."""
    unit_registry.write_registry_units(
        tx, [Unit("H55", "Ủy ban tỉnh"), *(Unit(unit, f"Sở {unit[-1]}", "H55") for unit in UNITS)]
    )
    put(tx, *(mail(unit, "2026-11-02", on("2026-11-03"), 2) for unit in UNITS))
    closing.close_month(tx, BOOK, "mail", NOVEMBER, on("2026-11-16"), "an")
    for minute, unit in enumerate(UNITS):
        put(tx, mail(unit, "2026-11-05", LATE + timedelta(minutes=minute), 7))
        made_at = LATE + timedelta(hours=1, minutes=minute)
        row_revisions.revise_unit(tx, "mail", "2026-11", unit, reason="", by="hub", now=made_at)
    return tx


def write(tx: Transaction, kind: str, form: str = "mail", period: str = "2026-11", language: Language = Language.EN):
    asked = unit_report.resolve_report_sources(tx, "H55", period, form, BOOK)
    lines = lines_of(asked, AFTER)
    return formats.write_report(kind, asked.count(AFTER), asked.names, lines, language, partner("hub"))


def list_texts(element) -> list[str]:
    return [" ".join(each.text_content().split()) for each in element]


def check_sentences(found: list[str]) -> None:
    """Check that the five *found* sentences name the row, the numbers before and after, the reason and the message."""
    assert len(found) == 5
    for unit, said in zip(reversed(UNITS), found, strict=True):
        minute = UNITS.index(unit)
        assert f"Sở {unit[-1]} ({unit})" in said
        assert "November 2026: revision 2 of 18/11/2026 09:3" in said
        assert "made by hub" in said
        assert "2 → 9" in said
        assert "Reason:" in said
        assert "facts came after the closing" in said
        assert f"Message {unit} 2026-11-05 from p, received at 18/11/2026 08:{30 + minute}:00: 1 fact" in said


def test_html_says_at_the_top_which_revision_it_is_and_below_what_each_changed_and_why(revised):
    page: Any = html.fromstring(write(revised, "html"))
    (banner,) = list_texts(page.xpath("//p[@class='open']"))
    assert banner.startswith("Revision 6 of a closed report")
    assert "It replaces revision 5, made at 18/11/2026 09:33" in banner
    check_sentences(list_texts(page.xpath("//div[@class='changes']//li")))
    assert [row.get("data-unit") for row in page.xpath("//tr[@class='revised']")] == list(UNITS)
    vietnamese = write(revised, "html", language=Language.VI).decode()
    assert "Bản lần 6 của báo cáo đã đóng" in vietnamese
    assert vietnamese.count("Lý do: có kết quả ghi nhận đến sau khi đóng kỳ. ") == 5


def test_pdf_says_it_in_tagged_text(revised):
    document = write(revised, "pdf")
    text = " ".join(" ".join(page.extract_text() for page in PdfReader(BytesIO(document)).pages).split())
    assert "Revision 6 of a closed report" in text
    found = [" ".join(each.text.split()) for each in pdftags.tree(document).all("LBody")]
    check_sentences([each.replace("\u200b", "") for each in found if "revision 2 of" in each])
    assert "Changes after the closing" in [each.text for each in pdftags.tree(document).all("H2")]


def test_the_workbook_has_a_sheet_of_the_changed_cells(revised):
    book = openpyxl.load_workbook(BytesIO(write(revised, "xlsx")))
    assert str(book["Report"]["A6"].value).startswith("Revision 6 of a closed report")
    rows = [[cell.value for cell in row] for row in book["Changes"].iter_rows(min_row=4)]
    for unit in UNITS:
        mine = [row for row in rows if row[0] == unit]
        assert all(row[1] == f"Sở {unit[-1]}" and row[3] == "2" and row[5] == "hub" for row in mine)
        assert ("2", "9") in [(row[7], row[8]) for row in mine]
        assert all("facts came after the closing" in row[9] for row in mine)
        assert all(f"{unit} 2026-11-05 (p, 18/11/2026" in row[10] for row in mine)


def test_json_says_it_in_fields(revised):
    said = json.loads(write(revised, "json"))["closing"]
    assert (said["revision"], said["before"], said["left_out"]) == (6, 5, 0)
    assert [each["unit"] for each in said["revised"]] == list(reversed(UNITS))
    for each in said["revised"]:
        assert (each["period"], each["revision"], each["by"]) == ("2026-11", 2, "hub")
        cells = {cell["column"]: (cell["was"], cell["now"]) for cell in each["cells"]}
        assert (2, 9) in cells.values()
        (message,) = each["messages"]
        assert (message["id"], message["partner"]) == (f"{each['unit']} 2026-11-05", "p")
        assert message["at"].startswith("2026-11-18T01:3")


def test_the_sealed_report_says_it_and_is_read_back_with_it(revised):
    found = sealed.read_sealed_report(write(revised, "xml")).report
    counted = unit_report.resolve_report_sources(revised, "H55", "2026-11", "mail", BOOK).count(AFTER)
    assert found.marks == counted.marks
    assert found.marks.revision == 6
    assert len(found.marks.revised) == 5


def test_a_report_that_takes_its_numbers_from_the_form_says_which_of_its_own_cells_changed(revised):
    said = json.loads(write(revised, "json", "tonghop"))
    keys = {column["key"] for column in said["columns"]}
    assert said["closing"]["revision"] == 6
    for each in said["closing"]["revised"]:
        assert each["form"] == "mail"
        assert {cell["column"] for cell in each["cells"]} <= keys


def test_the_revision_before_can_be_read_and_is_the_bytes_that_it_was(revised):
    def read(revision):
        asked = unit_report.resolve_report_sources(revised, "H55", "2026-11", "mail", BOOK, revision=revision)
        report = asked.count(AFTER)
        return asked, report, [row.numbers["sent_internal"] for row in report.rows]

    assert read(6)[2] == [0, 9, 9, 9, 9, 9]
    asked, before, numbers = read(3)
    assert (asked.revision, asked.is_newest, numbers) == (3, False, [0, 9, 9, 2, 2, 2])
    assert before.made_at == LATE + timedelta(hours=1, minutes=1)
    assert before.marks.revised_units == {"H55.1", "H55.2"}
    asked, before, numbers = read(1)
    assert (before.made_at, numbers) == (on("2026-11-16"), [0, 2, 2, 2, 2, 2])
    with pytest.raises(RevisionMissing) as missing:
        read(7)
    assert missing.value.args == (6,)


def test_each_revision_has_an_event_with_its_reason_and_its_messages(revised):
    said = told(revised, "report-row-revised")
    assert [(each["unit"], each["late"], each["by"]) for each in said] == [
        (unit, [f"{unit} 2026-11-05"], "hub") for unit in UNITS
    ]
    assert all("facts came after the closing" in str(each["reason"]) for each in said)


def test_the_reason_that_a_person_gives_stands_beside_the_messages(tx):
    put(tx, mail("A", "2026-11-02", on("2026-11-03"), 2))
    closing.close_month(tx, BOOK, "mail", NOVEMBER, on("2026-11-16"), "an")
    put(tx, *(mail("A", f"2026-11-0{day}", LATE, 1) for day in range(3, 10)))
    ((_, row),) = row_revisions.revise_unit(tx, "mail", "2026-11", "A", reason="máy chủ hỏng", by="an", now=AFTER)
    assert (row.reason, row.by, len(row.late.named), row.late.more) == ("máy chủ hỏng", "an", 7, 0)
    (kept,) = unit_report.resolve_report_sources(tx, "A", "2026-11", "mail", BOOK).marks.revised
    assert (kept.reason, kept.late) == ("máy chủ hỏng", row.late)


def test_a_registry_edit_makes_no_revision_and_changes_no_mark(revised):
    before = write(revised, "json")
    unit_registry.write_registry_units(revised, [Unit("H55.1", "Tên khác", "H55.2")])
    assert list(row_revisions.find_differing_units(revised, "mail", "2026-11")) == []
    assert write(revised, "json") == before


def test_facts_that_count_in_the_next_month_are_said_in_both_months(tx):
    """The form of dossiers closes for good: what comes late counts later, and both reports say how much of it."""
    unit_registry.write_registry_units(tx, [Unit("H55", "Ủy ban tỉnh"), Unit("H55.1", "Sở Một", "H55")])
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20", unit="H55.1"))
    closing.close_month(tx, BOOK, "dossiers", NOVEMBER, on("2026-11-16"), "an")
    put(tx, dossier("2", "received", "2026-11-10", "2026-11-20", unit="H55.1"))
    put(tx, dossier("3", "received", "2026-11-12", "2026-11-20", unit="H55"))

    def read_late(period):
        said = json.loads(write(tx, "json", "dossiers", period))["closing"]["late"]
        return [(each["period"], each["counted_in"], each["facts"]) for each in said]

    assert read_late("2026-11") == [("2026-11", "2026-12", 2)]
    assert read_late("2026-12") == [("2026-11", "2026-12", 2)], "still open"
    assert read_late("2026-Q4") == [], "they count in the quarter to which they belong"
    closing.close_month(tx, BOOK, "dossiers", DECEMBER, on("2026-12-16"), "an")
    put(tx, dossier("4", "received", "2026-11-13", "2026-12-20", unit="H55.1"))
    assert read_late("2026-11") == [("2026-11", "2026-12", 2), ("2026-11", "2027-01", 1)]
    assert read_late("2026-12") == [("2026-11", "2026-12", 2)]
    assert read_late("2027-01") == [("2026-11", "2027-01", 1)]
    page = write(tx, "html", "dossiers").decode()
    assert "2 facts of November 2026 came after its closing and count in December 2026 (dossiers)" in page
    assert "2 facts of November 2026 came after its closing and are counted here (dossiers)" in write(
        tx, "html", "dossiers", "2026-12"
    ).decode()  # fmt: skip
    numbers = [
        unit_report.resolve_report_sources(tx, "H55", period, "dossiers", BOOK).count(AFTER).total.numbers["received"]
        for period in ("2026-11", "2026-12", "2027-01")
    ]
    assert numbers == [1, 2, 1], "the figures count what the marks say"
    november, december = (
        sealed.read_sealed_report(write(tx, "xml", "dossiers", period)).report.marks.late
        for period in ("2026-11", "2026-12")
    )
    assert november == (), "what is sealed does not change by what comes"
    assert [attrs.astuple(each) for each in december] == [("dossiers", "2026-11", "2026-12", 2)]
