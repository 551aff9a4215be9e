"""Every output of a report, read back by programs that are not ours, says the same in every cell."""

import hashlib
import json
import random
import shutil
import subprocess
import zipfile
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import attrs
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from hub.domain.local_time import HANOI
from hub.domain.model import Fact, Unit
from hub.language.languages import Language
from hub.report.counting.counting import COUNTING, Cells, Report, Row, Section, assemble_report, count_report
from hub.report.counting.evidence import MEMBERS, EvidenceLine, gather_evidence, hash_evidence
from hub.report.counting.family import list_unit_family
from hub.report.counting.sections import sum_subtotal
from hub.report.form.column import WORKED_OUT, ColumnKind, Wording
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form
from hub.report.form.period import parse_period
from hub.report.output.outputs import write_csv_report, write_html_report, write_json_report
from hub.report.output.pdf import write_pdf_report
from hub.report.output.workbook import write_xlsx_report
from hub.report.signed.element import SchemaBroken, build_report_element, check_report_element
from hub.report.signed.sealed import read_sealed_report as read_sealed
from hub.security import signing, wss_verify
from tests import pki
from tests.conftest import cannot_be_had
from tests.examples import at_most
from tests.pki import NOW, pem
from tests.readback import (
    FIRST,
    KEYS,
    NUMBERS,
    SCHEMA,
    R,
    Table,
    declare,
    from_csv,
    from_html,
    from_json,
    from_pdf,
    from_xlsx,
    from_xml,
    to_the_minute,
    wall,
    whole,
)
from tests.signatures import by_signxml, by_xmlsec
from tests.waiting import PROGRAM

EDOC = next(form for form in read_form_folder() if form.id == "edoc")
PERIOD = parse_period("2026-12")
NAMES = {"A": "Ủy ban nhân dân tỉnh", "A.1": "Sở Tư pháp & “Nội vụ”", "A.2": "=1+1", "A.1.1": "@Phòng\x0b"}
UNITS = [Unit(code, name, code.rpartition(".")[0] or None) for code, name in NAMES.items()]
FAMILY = list_unit_family(UNITS, "A")
HUB = pki.partner("hub")
ALWAYS_RECALCULATE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value></prop></item>
</oor:items>"""


@st.composite
def histories(draw: st.DrawFn) -> list[Fact]:
    milestones = ["sent", "sent-recall", "sent-update", "received", "failed", *(f"status-0{n}" for n in range(1, 7))]
    keys = st.tuples(st.sampled_from([*NAMES, "B"]), st.sampled_from("123"), st.sampled_from(milestones))
    found = []
    for number, (unit, key, milestone) in enumerate(draw(st.lists(keys, unique=True, max_size=40))):
        moment = draw(st.datetimes(PERIOD.start.replace(tzinfo=None), NOW.replace(tzinfo=None), timezones=st.just(UTC)))
        due = draw(st.none() | st.dates(PERIOD.first, PERIOD.last))
        rest = {"outside": draw(st.booleans()), "paper": draw(st.booleans()), "due": due, "counterpart": "-1"}
        found.append(fact(unit, f"=O,{key}", milestone, moment, f"m{number}", **rest))
    return found


def counted(facts: Sequence[Fact]) -> tuple[Report, tuple[EvidenceLine, ...]]:
    lines = gather_evidence(EDOC, facts, PERIOD, NOW, FAMILY)
    ids = {line.fact.message: "+id" for line in lines[::2]}
    named = tuple(attrs.evolve(line, message_id=ids.get(line.fact.message)) for line in lines)
    return count_report(EDOC, facts, PERIOD, NOW, FAMILY), named


def example() -> tuple[Report, tuple[EvidenceLine, ...]]:
    sent = fact("A.1", "O,1", "sent", NOW - timedelta(hours=2), "m1", outside=True)
    received = fact("A.2", "O,1", "received", NOW - timedelta(hours=1), "m1")
    return counted([sent, received])


def sealed(report: Report, lines: Sequence[EvidenceLine]) -> bytes:
    return signing.seal_element(build_report_element(report, NAMES, lines), HUB)


def fact(unit: str, key: str, milestone: str, at: datetime, message: str, **rest: Any) -> Fact:
    return Fact(unit=unit, service="documents", key=key, milestone=milestone, at=at, message=message, **rest)


def from_report(report: Report) -> Table:
    return cells_of([report.total, *report.rows])


def cells_of(rows: Sequence[Row]) -> Table:
    return [(row.unit, {**row.numbers, **{key: whole(at) for key, at in row.times.items()}}) for row in rows]


# Agreement


@pytest.mark.slow
@given(histories())
@settings(deadline=None, max_examples=at_most(40))
def test_every_output_of_a_report_agrees_with_every_other_in_every_cell(history):
    report, lines = counted(history)
    workbook, document = write_xlsx_report(report, NAMES, lines), sealed(report, lines)
    expected = from_report(report)
    assert from_json(write_json_report(report, NAMES)) == expected
    assert from_csv(write_csv_report(report, NAMES)) == expected
    assert from_html(write_html_report(report, NAMES)) == expected
    assert from_xml(document) == expected
    assert from_xlsx(workbook) == expected
    assert from_xlsx(workbook, recalculated=True) == expected
    check_report_element(document)


@pytest.mark.slow
@given(histories())
@settings(deadline=None, max_examples=6)
def test_the_printed_report_agrees_in_every_cell(history):
    report, lines = counted(history)
    assert from_pdf(write_pdf_report(report, NAMES, lines)) == to_the_minute(from_report(report))


@pytest.mark.slow
def test_a_long_report_with_sections_says_the_same_in_every_output():
    """Sixty units, three sections, a unit in none: every line in the same place in all that people read."""
    report, lines = long()
    expected = printed(report)
    assert len(expected) == 1 + 3 + 60
    names = {row.unit: f"Đơn vị số {place}" for place, row in enumerate(report.rows)}
    workbook = write_xlsx_report(report, names, lines)
    assert from_json(write_json_report(report, names)) == expected
    assert from_csv(write_csv_report(report, names)) == expected
    assert from_html(write_html_report(report, names)) == expected
    assert from_xlsx(workbook) == expected
    assert from_xlsx(workbook, recalculated=True) == expected
    assert from_pdf(write_pdf_report(report, names, lines)) == to_the_minute(expected)
    rows = {row.unit: row for row in report.rows}
    assert from_xml(sealed(report, lines)) == cells_of([report.total, *rows.values()]), "it has no sections"


@pytest.mark.parametrize("form", [form for form in read_form_folder() if form.bases], ids=lambda form: form.id)
@pytest.mark.slow
def test_ratios_and_points_are_the_same_in_every_output(form: Form):
    report = worked_out(form)
    names = {row.unit: f"Sở số {place}" for place, row in enumerate(report.rows)}
    expected = printed(report)
    assert from_json(write_json_report(report, names), form) == expected
    assert from_csv(write_csv_report(report, names), form) == expected
    assert from_html(write_html_report(report, names), form) == expected
    assert from_xlsx(write_xlsx_report(report, names, ()), form) == expected
    assert from_pdf(write_pdf_report(report, names, ()), form) == to_the_minute(expected)
    content = sealed(report, ())
    check_report_element(content)
    assert from_xml(content) == cells_of([report.total, *report.rows])


def worked_out(form: Form) -> Report:
    """Return a report of a form that takes its numbers from others: forty units, the first without anything, two in a section."""
    units = [f"H55.{place}" for place in range(40)]
    drawn = random.Random(766)
    counting = [column.key for column in form.columns if column.kind is ColumnKind.TAKEN]
    cells = {
        unit: Cells(
            {key: drawn.choice((0, drawn.randint(0, 40), drawn.randint(0, 4000))) for key in counting}
            if place
            else dict.fromkeys(counting, 0)
        )
        for place, unit in enumerate(units)
    }
    report = assemble_report(form, PERIOD, NOW, units, cells, declare(form, units[2:], NOW))
    total = sum_subtotal(form, report.rows[1:3])
    return attrs.evolve(
        report, sections=(Section(heading=Wording("Sở", "Departments"), total=total, units=("H55.1", "H55.2")),)
    )


def long() -> tuple[Report, tuple[EvidenceLine, ...]]:
    units = ["H55", *(f"H55.{place}" for place in range(1, 60))]
    facts = []
    for place, unit in enumerate(units):
        for number in range(place % 7):
            at = PERIOD.start + timedelta(hours=place, minutes=number)
            milestone = ("sent", "received", "status-03", "status-06")[number % 4]
            facts.append(fact(unit, f"{place}-{number}", milestone, at, f"{unit}-{number}", outside=bool(number % 2)))
    lines = gather_evidence(EDOC, facts, PERIOD, NOW, units)

    def section(vi: str, en: str, first: int, last: int) -> Section:
        members = tuple(units[first:last])
        total = attrs.evolve(count_report(EDOC, facts, PERIOD, NOW, members).total, unit="")
        return Section(heading=Wording(vi, en), total=total, units=members)

    sections = (
        section("Sở, ban, ngành", "Departments", 1, 20),
        section("Phường", "Wards", 20, 35),
        section("Xã", "Communes", 35, 60),
    )
    return attrs.evolve(count_report(EDOC, facts, PERIOD, NOW, units), sections=sections), lines


def printed(report: Report) -> Table:
    """Return the lines in the order in which people read them."""
    rows = {row.unit: row for row in report.rows}
    found = [report.total]
    for section in report.sections:
        found += [section.total, *(rows.pop(unit) for unit in section.units)]
    return cells_of([*found, *rows.values()])


@pytest.mark.slow
@given(histories())
@settings(deadline=None, max_examples=at_most(20))
def test_a_sealed_report_read_back_says_the_same_in_every_output(history):
    report, lines = counted(history)
    found = read_sealed(sealed(report, lines))
    assert found.says(report, hash_evidence(lines))
    assert (found.revision, found.facts, found.report.made_at) == (1, len(lines), report.made_at)
    assert json.loads(write_json_report(found.report, NAMES)) == json.loads(write_json_report(report, NAMES))
    assert from_html(write_html_report(found.report, found.names)) == from_report(report)
    workbook = write_xlsx_report(found.report, found.names, found.evidence)
    assert from_xlsx(workbook) == from_report(report)
    assert workbook == write_xlsx_report(found.report, found.names, found.evidence)
    opened = openpyxl.load_workbook(BytesIO(workbook))
    checked = ["Kiểm tra"] if report.findings else []
    assert opened.sheetnames == ["Báo cáo", *checked], "the facts are not in it"
    assert {each.name: each.value for each in opened.custom_doc_props.props}["Evidence-SHA256"] == hash_evidence(lines)


def test_a_sealed_report_says_which_revision_it_is():
    report, lines = example()
    second = signing.seal_element(build_report_element(report, NAMES, lines, revision=2), HUB)
    assert read_sealed(second).revision == 2
    assert not read_sealed(second).says(report, "0" * 64)
    later = attrs.evolve(report, made_at=report.made_at + timedelta(days=1))
    assert read_sealed(second).says(later, hash_evidence(lines)), "when it was made is no difference"


def test_what_is_no_sealed_report_is_not_read():
    with pytest.raises(SchemaBroken):
        read_sealed(b'<Report xmlns="urn:lienthong:report:1"/>')


@pytest.mark.slow
@given(histories())
@settings(deadline=None, max_examples=at_most(40))
def test_a_unit_s_total_is_the_sum_over_it_and_all_units_below_it(history):
    def alone(unit: str) -> Mapping[str, Any]:
        return count_report(EDOC, history, PERIOD, NOW, (unit,)).total.numbers

    for code in NAMES:
        below = [each for each in sorted(NAMES) if each == code or each.startswith(f"{code}.")]
        rolled = count_report(EDOC, history, PERIOD, NOW, list_unit_family(UNITS, code))
        assert [row.unit for row in rolled.rows] == below
        assert rolled.total.numbers == {key: sum(alone(each)[key] for each in below) for key in NUMBERS}


# The workbook


def test_the_sums_and_formulas_of_the_workbook_are_live():
    report, lines = example()
    sheet = openpyxl.load_workbook(BytesIO(write_xlsx_report(report, NAMES, lines))).worksheets[0]
    at = {key: 4 + place for place, key in enumerate(KEYS)}
    assert sheet.cell(FIRST, at["sent_inside"]).value == "=SUM(D11:D14)"
    assert sheet.cell(FIRST, at["sent"]).value == "=D10+E10"
    assert sheet.cell(12, at["sent"]).value == "=D12+E12"
    assert sheet.cell(FIRST, at["last_update"]).value == "=MAX(AA11:AA14)"


def test_the_workbook_prints_on_a4_across_one_page_wide_with_its_headings_on_each_page():
    report, lines = example()
    book = openpyxl.load_workbook(BytesIO(write_xlsx_report(report, NAMES, lines)))
    assert book.sheetnames == ["Báo cáo", "Kiểm tra", "Căn cứ"]
    sheet = book.worksheets[0]
    setup = sheet.page_setup
    assert (setup.orientation, setup.paperSize, setup.fitToWidth or 1, setup.fitToHeight) == ("landscape", 9, 1, 0)
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.print_title_rows == "$7:$9"
    assert sheet.freeze_panes == "D10"
    assert sheet.oddHeader.left.text == "Ủy ban nhân dân tỉnh"
    assert sheet.oddHeader.right.text == "Tháng 12 năm 2026"
    assert sheet.oddFooter.right.text == "Trang &P/&N"
    assert "D7:F7" in {str(merged) for merged in sheet.merged_cells.ranges}
    assert (sheet["D7"].value, sheet["F8"].value, sheet["F9"].value) == ("Văn bản gửi", "Tổng gửi", "(3)=(1)+(2)")
    assert (sheet["D10"].number_format, sheet["B10"].value) == ("[$-42A]#,##0", "Tổng cộng")
    english = openpyxl.load_workbook(BytesIO(write_xlsx_report(report, NAMES, lines, Language.EN)))
    assert english.sheetnames == ["Report", "Checks", "Evidence"]


@pytest.mark.parametrize("name", ["=1+1", "+84", "-2", "@SUM(A1)", "\t=x", "https://example.vn", "{=1}", "＝1", "007"])
def test_a_name_in_a_workbook_stays_a_text_whatever_it_begins_with(name):
    report, lines = example()
    content = write_xlsx_report(report, {"A": name}, lines)
    cell = openpyxl.load_workbook(BytesIO(content)).worksheets[0]["B11"]
    assert (cell.value, cell.data_type, cell.hyperlink) == (name, "s", None)
    assert cell.quotePrefix == (name.startswith(("=", "+", "-", "@", "\t", "＝")))
    held = zipfile.ZipFile(BytesIO(content))
    assert not [part for part in held.namelist() if "external" in part.lower() or "vba" in part.lower()]
    assert not [part for part in held.namelist() if b'TargetMode="External"' in held.read(part)]


def test_a_header_survives_long_names_and_the_sign_of_its_codes():
    report, lines = example()
    sheet = openpyxl.load_workbook(BytesIO(write_xlsx_report(report, {"A": "Sở & Sở " * 60}, lines))).worksheets[0]
    assert sheet.oddHeader.left.text.startswith("Sở && Sở")
    assert len(f"{sheet.oddHeader}") > 0


def test_the_same_report_is_the_same_workbook_to_the_byte():
    report, lines = example()
    once = write_xlsx_report(report, NAMES, lines)
    assert once == write_xlsx_report(report, NAMES, lines)
    properties = openpyxl.load_workbook(BytesIO(once)).properties
    assert properties.created == NOW.astimezone(HANOI).replace(tzinfo=None)
    assert properties.subject == "Ủy ban nhân dân tỉnh, Tháng 12 năm 2026"


def test_the_checks_of_a_form_are_counted_live_and_say_what_does_not_hold():
    report = settled()
    book = openpyxl.load_workbook(BytesIO(write_xlsx_report(report, NAMES, "0" * 64)))
    assert book.sheetnames == ["Báo cáo", "Kiểm tra"]
    first = [cell.value for cell in book["Kiểm tra"][3]]
    assert first[2:4] == ["(3)", "(7)+(11)"]
    assert first[4] == "=SUMPRODUCT(--(('Báo cáo'!D10:D13)<>('Báo cáo'!H10:H13+'Báo cáo'!L10:L13)))"
    assert first[5] == '=IF(E3=0,"Đạt","Không đạt")'
    cached = openpyxl.load_workbook(BytesIO(write_xlsx_report(report, NAMES, "0" * 64)), data_only=True)["Kiểm tra"]
    assert [cell.value for cell in cached[3]][4:] == [2, "Không đạt"], "the total, and the one unit"
    assert any("Sở Tư pháp" in str(row[0].value) for row in cached.iter_rows(min_row=5))


def settled() -> Report:
    """Return a report by II.06a in which one unit has a dossier too many in hand."""
    form = next(form for form in read_form_folder() if form.id == "ii06a")
    keys = [column.key for column in form.columns if column.kind in COUNTING]

    def counted(**some: int) -> Cells:
        return Cells({key: some.get(key, 0) for key in keys})

    cells = {
        "A": counted(received_online=3, settled_early=3),
        "A.1": counted(received_online=2, settled_late=1, pending_in_time=2),
        "A.2": counted(received_direct=1, pending_overdue=1),
    }
    return assemble_report(form, PERIOD, NOW, tuple(cells), cells)


def test_the_second_sheet_lists_each_fact_with_the_columns_that_count_it():
    report, lines = example()
    sheet = openpyxl.load_workbook(BytesIO(write_xlsx_report(report, NAMES, lines)))["Căn cứ"]
    assert hash_evidence(lines) in sheet["A2"].value
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=4)]
    assert [(row[1], row[2], wall(row[3]), row[4], row[5], row[8]) for row in rows] == [
        ("A.1", "gửi đi", NOW - timedelta(hours=2), "+id", "m1", "(2) (12) (24)"),
        ("A.2", "nhận được", NOW - timedelta(hours=1), "+id", "m1", "(4) (24)"),
    ]


def test_a_second_sheet_that_is_not_whole_says_so():
    report, lines = example()
    sheet = openpyxl.load_workbook(BytesIO(write_xlsx_report(report, NAMES, lines, most=1)))["Căn cứ"]
    assert "CHƯA ĐỦ" in sheet["A2"].value
    assert sheet.max_row == 4
    assert (
        "CHƯA ĐỦ" not in openpyxl.load_workbook(BytesIO(write_xlsx_report(report, NAMES, lines)))["Căn cứ"]["A2"].value
    )


@pytest.mark.slow
def test_libreoffice_recalculates_the_workbook_to_the_counted_numbers(tmp_path: Path):
    """Opened and saved by LibreOffice, told to work every formula out again: wrong cached values do not survive."""
    program = shutil.which("soffice")
    if program is None:
        cannot_be_had("LibreOffice", "it is not installed (apt install libreoffice-calc-nogui)")
    derived = [(worked_out(form), ()) for form in read_form_folder() if form.bases]
    for place, (report, lines) in enumerate([example(), long(), *derived]):
        found = from_xlsx(recalculated(tmp_path / str(place), program, report, lines), report.form)
        assert found == printed(report)
    checked = recalculated(tmp_path / "checks", program, settled(), "0" * 64)
    cells = openpyxl.load_workbook(BytesIO(checked), data_only=True)["Kiểm tra"][3]
    assert [cell.value for cell in cells][4:] == [2, "Không đạt"]


def recalculated(place: Path, program: str, report: Report, lines: Sequence[EvidenceLine] | str) -> bytes:
    """Return the workbook as LibreOffice saves it; what it was given had wrong totals beside its formulas."""
    worked = {column.key for column in report.form.columns if column.kind in WORKED_OUT}

    told = {column.key for column in report.form.columns if column.kind is ColumnKind.DECLARED}

    def wrong(row: Row, of: Collection[str]) -> Row:
        return attrs.evolve(
            row, numbers={key: 77 if key in of and key not in told else value for key, value in row.numbers.items()}
        )

    sections = tuple(attrs.evolve(each, total=wrong(each.total, each.total.numbers)) for each in report.sections)
    rows = tuple(wrong(row, worked) for row in report.rows)
    broken = attrs.evolve(report, total=wrong(report.total, report.total.numbers), sections=sections, rows=rows)
    place.mkdir()
    (place / "report.xlsx").write_bytes(write_xlsx_report(broken, NAMES, lines))
    (place / "home/user").mkdir(parents=True)
    (place / "home/user/registrymodifications.xcu").write_text(ALWAYS_RECALCULATE)
    home = f"-env:UserInstallation=file://{place}/home"
    command = [program, home, "--headless", "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", "out"]
    subprocess.run([*command, "report.xlsx"], cwd=place, check=True, capture_output=True, timeout=PROGRAM)
    return (place / "out/report.xlsx").read_bytes()


# The sealed document


def test_the_sealed_report_says_what_it_is():
    report, lines = example()
    root: Any = etree.fromstring(sealed(report, lines))
    assert root.find(f"{R}Form").attrib == {"id": "edoc", "service": "documents", "since": "2018-09-06"}
    assert root.find(f"{R}Period").attrib == {
        "text": "2026-12", "from": "2026-11-15", "to": "2026-12-14", "ended": "false",
    }  # fmt: skip
    assert root.findtext(f"{R}MadeAt") == "2026-11-24T08:00:00Z"
    assert root.find(f"{R}Total").get("unit") == "A"
    assert root.findtext(f"{R}Total/{R}Name") == "Ủy ban nhân dân tỉnh"
    assert [column.get("key") for column in root.find(f"{R}Columns")] == KEYS
    assert root.find(f"{R}Evidence").get("facts") == "2"


def test_the_evidence_hash_can_be_made_again_from_the_list_of_facts():
    report, lines = example()

    def hashed(said):
        text = "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in said)
        return hashlib.sha256(text.encode()).hexdigest()

    def row(unit):
        told = [attrs.asdict(x.fact) for x in lines if x.fact.unit == unit]
        isoformat = {
            "at": lambda at: at.isoformat(),
            **dict.fromkeys(["due", "day"], lambda day: day and day.isoformat()),
        }
        return hashed([[isoformat.get(name, lambda it: it)(fact[name]) for name in MEMBERS] for fact in told])

    rows = [[unit, row(unit)] for unit in sorted({line.fact.unit for line in lines})]
    root: Any = etree.fromstring(sealed(report, lines))
    assert root.findtext(f"{R}Evidence") == hashed(rows)


def test_a_sealed_report_keeps_its_schema_before_two_judges_and_its_seal_before_three():
    content = sealed(*example())
    check_report_element(content)
    SCHEMA.validate(content)
    assert by_xmlsec(content, HUB) == by_signxml(content, HUB) == "valid"
    wss_verify.unseal_document(content, [HUB.certificate], NOW)


def test_xmlsec1_believes_the_seal_by_the_ca_alone_and_no_number_can_be_changed(tmp_path: Path):
    program = shutil.which("xmlsec1")
    if program is None:
        cannot_be_had("xmlsec1", "it is not installed (apt install xmlsec1)")
    (tmp_path / "ca.crt").write_bytes(pem(pki.authority().certificate))
    options = ["--trusted-pem", "ca.crt", "--enabled-key-data", "x509"]
    options += ["--verification-gmt-time", f"{NOW:%Y-%m-%d %H:%M:%S}"]
    content = sealed(*example())
    forged = content.replace(b'<Number column="sent">1<', b'<Number column="sent">2<', 1)
    assert forged != content
    for document, believed in ((content, True), (forged, False)):
        (tmp_path / "report.xml").write_bytes(document)
        done = subprocess.run(
            [program, "--verify", *options, "report.xml"], check=False, capture_output=True, cwd=tmp_path
        )
        assert (done.returncode == 0) is believed, done.stderr


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (b'<Number column="sent">x<', b'<Number column="sent">1<'),
        (b'<Number column="never">1<', b'<Number column="sent">1<'),
        (b'<Row unit="A">', b'<Row unit="A.1">'),
        (b'<Total unit="B">', b'<Total unit="A">'),
        (b"2026-11-24T08:00:00+07:00<", b"2026-11-24T08:00:00Z<"),
    ],
)
def test_a_report_that_breaks_its_schema_does_not_leave(wrong, right):
    content = sealed(*example())
    assert right in content
    broken = content.replace(right, wrong, 1)
    with pytest.raises(SchemaBroken, match="line"):
        check_report_element(broken)
    assert not SCHEMA.is_valid(broken)
