"""The rows by field of a unit's own II.06a: they add up, a dossier stands in one of them, and every output has them."""

import csv
import json
from datetime import UTC, date, datetime, timedelta
from io import BytesIO, StringIO
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from pypdf import PdfReader

from hub.domain.errors import ConfigurationFault
from hub.domain.model import Fact, Unit
from hub.report.counting import closed, division, table
from hub.report.counting.closed import Piece
from hub.report.counting.counting import Cells, Report, count_report
from hub.report.counting.division import BEYOND, UNDIVIDED, UNSTATED, read_address
from hub.report.counting.posting import OPEN, ClosedMonth, ClosedMonths
from hub.report.form.book import read_shipped_book
from hub.report.form.folder import read_form_folder
from hub.report.form.form import UNIT
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml
from hub.report.output import outputs
from hub.report.output.body import arrange_body, write_check_findings
from hub.report.output.paper_workbook import write_paper_workbook
from hub.report.output.pdf import write_pdf_report
from hub.report.output.workbook import write_xlsx_report
from hub.report.signed.sealed import read_sealed_report, seal_report
from hub.report.workbooks.declared_workbook import DeclaredReport, read_declared_workbook
from hub.units.unit_names import UnitNames
from tests.examples import at_most
from tests.officials import HUB

FORM = next(form for form in read_form_folder() if form.id == "ii06a")
PLAIN = attrs.evolve(FORM, rows=None)
MONTHS = OCTOBER, NOVEMBER, DECEMBER = tuple(parse_period(text) for text in ("2026-10", "2026-11", "2026-12"))
BOOKS = ClosedMonths(tuple(ClosedMonth(month, month.end) for month in (OCTOBER, NOVEMBER)))
AFTER = datetime(2027, 3, 1, tzinfo=UTC)
NAMES = {"U": "Sở Tư pháp", "V": "UBND xã Vân Sơn"}
FIELDS = ("HT", "ht ", "Ho\u0302\u0323 tich", "H\u1ed8 TICH", "")  # three fields, and none
days = st.dates(date(2026, 9, 20), date(2026, 12, 20))


@st.composite
def histories(draw: Any) -> list[Fact]:
    """Draw facts of some dossiers in any order, each fact with a field of its own: a later telling corrects the first."""
    found: dict[tuple[str, str, str], Fact] = {}
    for number in range(draw(st.integers(0, 14))):
        unit, key = draw(st.sampled_from("UV")), draw(st.sampled_from("abcde"))
        milestone = draw(st.sampled_from(["received", "received", "finished", "refused", "supplemented"]))
        said = {
            "field": draw(st.sampled_from(FIELDS)),
            "channel": draw(st.sampled_from(["online", "post", ""])),
            "outcome": draw(st.sampled_from(["done", "withdrawn"])) if milestone == "finished" else "",
        }
        found[unit, key, milestone] = Fact(
            unit=unit,
            service="dossiers",
            key=key,
            milestone=milestone,
            message=f"m{number}",
            at=datetime.combine(draw(days), datetime.min.time(), UTC),
            day=draw(st.none() | days),
            due=draw(st.none() | days),
            attributes=tuple(sorted((name, text) for name, text in said.items() if text)),
        )
    return list(found.values())


@settings(max_examples=at_most(12), deadline=None)
@given(histories(), st.sampled_from([("U", "V"), ("U",)]))
def test_the_paper_form_of_divided_rows_declares_what_it_shows(facts, units):
    by = ("unit", "field") if len(units) > 1 else ("field",)
    report = table.divide_table(count_report(FORM, facts, DECEMBER, AFTER, units, BOOKS), by, {})
    (layout,) = [each for each in read_shipped_book().layouts if each.form == "ii06a"]
    content = write_paper_workbook(report, NAMES, layout)
    known = [Unit(code, name, parent="U" if code == "V" else None) for code, name in NAMES.items()]
    names = UnitNames.of(known, (), units, DECEMBER.first, DECEMBER.last)
    asked = DeclaredReport(FORM, DECEMBER, units, (layout,), divided=True)
    said = read_declared_workbook(content, asked, names)
    rows = {"": report.total, **{row.unit: row for row in report.rows}}
    found = {(cell.unit, cell.column): cell.figure for cell in said.cells}
    assert found == {(unit, column): rows[unit].numbers[column] for unit, column in found}
    declaring = {"", *(units if len(units) > 1 or not report.divided else ())}
    assert found.keys() == {(unit, each.column) for unit in declaring for each in layout.columns}


def of_field(facts: list[Fact], field: str) -> list[Fact]:
    """Return the facts of the dossiers whose receipt states *field*."""
    received = {(fact.unit, fact.key): dict(fact.attributes) for fact in facts if fact.milestone == "received"}
    return [fact for fact in facts if spelt(received.get((fact.unit, fact.key), {}).get("field", "")) == field]


def spelt(text: str) -> str:
    return {"HT": "HT", "ht ": "HT", "": UNSTATED}.get(text, "H\u1ed8 TICH")


@given(facts=histories(), close=st.booleans())
@pytest.mark.slow
def test_each_row_counts_the_dossiers_of_its_field_and_the_rows_add_up(facts: list[Fact], close: bool) -> None:
    books, before = BOOKS if close else OPEN, dict[tuple[str, ...], Any]()
    for month in MONTHS:
        counted = table.divide_table(count_report(FORM, facts, month, AFTER, ("U", "V"), books), ("unit", "field"), {})
        assert not counted.findings
        rows: dict[tuple[str, ...], Any] = {each.path: each.row.numbers for each in counted.divided}
        for unit in counted.rows:
            mine = [numbers for path, numbers in rows.items() if len(path) == 2 and path[0] == unit.unit]
            assert rows[unit.unit,] == unit.numbers
            for key, number in unit.numbers.items():
                assert number == sum(numbers[key] for numbers in mine), "its rows add up to the row of the unit"
        for field in ("HT", "H\u1ed8 TICH", UNSTATED):
            alone = count_report(PLAIN, of_field(facts, field), month, AFTER, ("U", "V"), books)
            for row in alone.rows:
                here = rows.get((row.unit, field), dict.fromkeys(row.numbers, 0))
                assert here == row.numbers, "what these dossiers alone would be"
                assert here["received"] == here["settled"] + here["pending"]
                if month is not OCTOBER:
                    assert here["carried_over"] == before.get((row.unit, field), {"pending": 0})["pending"]
        before = rows


@given(facts=histories())
@pytest.mark.slow
def test_a_quarter_of_closed_months_has_the_rows_of_its_months(facts: list[Fact]) -> None:
    units, kept = ("U", "V"), []
    for place, month in enumerate(MONTHS):
        books = ClosedMonths(tuple(ClosedMonth(each, each.end) for each in MONTHS[: place + 1]))
        found = count_report(FORM, facts, month, AFTER, units, books)
        stored = [json.loads(json.dumps(division.write_division(found.divisions[unit]))) for unit in units]
        sums = [{key: row.numbers[key] for key in row.numbers} for row in found.rows]
        cells = [closed.read_cells(FORM, numbers, {}, said) for numbers, said in zip(sums, stored, strict=True)]  # type: ignore[arg-type]
        kept.append(Piece(month, dict(zip(units, cells, strict=True))))
    quarter = closed.compose_report(FORM, parse_period("2026-Q4"), AFTER, units, kept)
    assert not list(table.check_divisions(quarter))
    plain = [Piece(each.period, {code: Cells(cells.sums) for code, cells in each.cells.items()}) for each in kept]
    assert quarter.rows == closed.compose_report(PLAIN, parse_period("2026-Q4"), AFTER, units, plain).rows
    early = closed.compose_report(FORM, parse_period("2026-Q4"), AFTER, units, [plain[0], *kept[1:]])
    assert early.rows == quarter.rows
    assert not list(table.check_divisions(early)), "what was closed before is a row of its own"
    assert {values for each in early.divisions.values() for values in each.sums} <= {
        (UNDIVIDED,), *(values for each in quarter.divisions.values() for values in each.sums),
    }  # fmt: skip


def received(field: str, number: int, name: str = "", unit: str = "U", *, at: int = 1) -> Fact:
    said = (("field", field), ("field_name", name)) if name else (("field", field),)
    return Fact(
        unit=unit, service="dossiers", key=f"{number}", milestone="received", message=f"m{number}",
        at=datetime(2026, 11, at, tzinfo=UTC), day=date(2026, 11, 1), attributes=said,
    )  # fmt: skip


def test_a_receipt_of_a_later_period_does_not_move_what_was_counted_before() -> None:
    """As of a form with a column that counts what was never received."""
    ended = attrs.evolve(FORM.column("received_online"), milestones=frozenset(["finished"]), conditions=())
    form = attrs.evolve(FORM, columns=(ended,), checks=())
    late = received("HT", 1)
    end = attrs.evolve(late, milestone="finished", attributes=())
    late = attrs.evolve(late, at=NOVEMBER.end, day=NOVEMBER.last + timedelta(days=3))
    found = count_report(form, [end, late], NOVEMBER, AFTER, ("U",)).divisions["U"].sums
    assert found == {(UNSTATED,): {"received_online": 1}}


def divided(*facts: Fact, by: tuple[str, ...] = ("field",), units: tuple[str, ...] = ("U",)) -> Report:
    return table.divide_table(count_report(FORM, facts, NOVEMBER, AFTER, units), by, {"field": {"TP": "Tư pháp"}})


def test_a_row_has_the_name_of_the_code_list_or_of_the_newest_message_or_its_code() -> None:
    facts = received("LV10", 1), received("LV2", 2, "Hộ  tịch cũ"), received("LV2", 3, "Hộ tịch", at=2)
    lines = arrange_body(divided(*facts, received("tp", 4, "Khác"), received("", 5)), NAMES)
    assert [(line.number, line.name, line.code, line.row.numbers["received"]) for line in lines] == [
        ("", "Tổng cộng", "", 5),
        ("1", "Hộ tịch", "LV2", 2),
        ("2", "LV10", "", 1),
        ("3", "Tư pháp", "TP", 1),
        ("4", "Lĩnh vực khác/không nêu", "", 1),
    ]
    assert [line.address for line in lines] == [None, "LV2", "LV10", "TP", UNSTATED]
    assert [read_address(line.address) for line in lines[1:]] == [line.values for line in lines[1:]]  # type: ignore[arg-type]


def test_a_table_of_units_and_fields_has_a_heading_for_each_unit() -> None:
    found = divided(
        received("A", 1), received("B", 2, unit="V"), received("A", 3, unit="V"), by=("unit", "field"), units=("U", "V")
    )
    assert [(line.mark, line.number, line.name, line.unit) for line in arrange_body(found, NAMES)[1:]] == [
        ("section", "I", "Sở Tư pháp", "U"),
        ("unit", "1", "A", "U"),
        ("section", "II", "UBND xã Vân Sơn", "V"),
        ("unit", "1", "A", "V"),
        ("unit", "2", "B", "V"),
    ]
    by_field = table.divide_table(found, ("field", "unit"), {})
    assert [(each.path, each.unit) for each in by_field.divided] == [
        (("A",), ""), (("A", "U"), "U"), (("A", "V"), "V"), (("B",), ""), (("B", "V"), "V"),
    ]  # fmt: skip
    one = table.find_row(found, None, ("A",))
    assert one is not None
    assert one.numbers["received"] == 2
    assert table.find_row(found, "U", ("B",)) is None


def test_the_values_after_the_first_two_thousand_are_one_row_whatever_their_order() -> None:
    facts = [received(f"{number:05d}", number) for number in range(division.MOST + 50)]
    for some in (facts, facts[::-1]):
        found = divided(*some)
        assert len(found.divisions["U"].sums) == division.MOST + 1
        assert found.divisions["U"].sums[BEYOND,]["received_direct"] == 50
        assert found.by == (UNIT,)  # one row too many for a table
        assert not found.divided
        assert found.total.numbers["received"] == division.MOST + 50
    (said,) = write_check_findings(divided(*facts), NAMES)
    assert f"{division.MOST + 1} > {division.MOST}" in said


def test_rows_that_do_not_add_up_are_a_finding_for_each_cell() -> None:
    counted = count_report(FORM, [received("A", 1), received("B", 2)], NOVEMBER, AFTER, ("U",))
    counted.divisions["U"].sums["A",]["received_direct"] = 7
    found = table.divide_table(counted, ("field",), {}).findings
    assert [(each.unit, each.columns, each.left, each.right) for each in found] == [
        ("U", ("received_direct", "received_direct"), 8, 2)
    ]


def test_every_output_has_the_rows_and_the_sealed_report_is_read_back() -> None:
    report = divided(received("A", 1, "Hộ tịch"), received("b", 2))
    said = json.loads(outputs.write_json_report(report, NAMES))["divided"]
    assert said["by"] == ["field"]
    assert [(row["path"], row["name"], row["received"]) for row in said["rows"]] == [
        (["A"], {"vi": "Hộ tịch", "en": "Hộ tịch"}, 1),
        (["B"], None, 1),
    ]
    table_of = list(csv.reader(StringIO(outputs.write_csv_report(report, NAMES).decode("utf-8-sig"))))
    assert table_of[0][4:6] == ["Mã", "Lĩnh vực"]
    assert [line[4:7] for line in table_of[1:]] == [["U", "Sở Tư pháp", "2"], ["A", "Hộ tịch", "1"], ["", "B", "1"]]
    page = outputs.write_html_report(report, NAMES)
    assert page.count("<tr data-unit") == 2
    content = seal_report(report, NAMES, (), HUB)
    sealed = read_sealed_report(content)
    assert (sealed.report.by, sealed.report.divided) == (report.by, report.divided)
    assert sealed.says(report, sealed.evidence)
    assert not sealed.says(divided(received("A", 1), received("A", 2)), sealed.evidence), (
        "the same total in another field"
    )


@pytest.mark.parametrize("many", [39, 60])
def test_a_long_table_of_fields_is_numbered_and_who_signs_has_no_page_alone(many: int) -> None:
    long = "Bảo trợ xã hội và trợ giúp các đối tượng yếu thế theo quy định về chính sách trợ giúp"
    report = divided(*(received(f"LV{number}", number, long if number % 3 else "") for number in range(1, many + 1)))
    pages = PdfReader(BytesIO(write_pdf_report(report, NAMES, "0" * 64))).pages
    texts = [" ".join(page.extract_text().split()) for page in pages]
    assert "Lĩnh vực" in texts[-2], "the headings are on every page of the table"
    assert f"{many} LV{many}" in " ".join(texts) or f"{many} {long} LV{many}" in " ".join(texts)
    before, signs, _ = texts[-1].partition("THỦ TRƯỞNG ĐƠN VỊ")
    assert signs
    assert "tính vào kỳ của lần báo sau" in before, "the last note stands with it"


@pytest.mark.parametrize(("many", "total"), [(2, "=SUM(F11,F13)"), (300, 300)])
@pytest.mark.slow
def test_the_total_of_a_workbook_is_a_formula_where_it_is_not_too_long(many: int, total: object) -> None:
    units = tuple(f"U{number}" for number in range(many))
    facts = [received("A", number, unit=unit) for number, unit in enumerate(units)]
    content = write_xlsx_report(divided(*facts, by=("unit", "field"), units=units), NAMES, "0" * 64)
    sheet = load_workbook(BytesIO(content)).worksheets[0]
    assert (sheet["F10"].value, sheet["F11"].value, sheet["F12"].value) == (total, "=SUM(F12)", 1)


ROWS = '[rows]\nunstated = { vi = "Không nêu", en = "None" }\n'


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ('alone = ["colour"]', "rows.alone"),
        ('alone = ["field", "unit", "procedure"]', "rows.alone"),
        ('alone = ["field"]\nbetween = ["procedure"]', "rows.alone"),
        ('alone = ["field"]\nof = "arrived"', "rows.of"),
        ('alone = ["field"]\nsometimes = true', "rows.sometimes"),
    ],
)
def test_a_form_with_rows_that_cannot_be_is_refused(words: str, where: str) -> None:
    text = FORM.written.replace('between = ["unit", "field"]\nalone = ["field"]\nof = "received"', words)
    with pytest.raises(ConfigurationFault) as fault:
        read_form_toml(text.encode(), "form.toml")
    assert [mistake.path for mistake in fault.value.mistakes] == [f"form.toml: {where}"]


def test_a_form_with_columns_that_belong_to_no_key_cannot_divide_its_rows() -> None:
    mail = next(form for form in read_form_folder() if form.id == "mail")
    with pytest.raises(ConfigurationFault) as fault:
        read_form_toml((mail.written + ROWS + 'alone = ["counterpart"]\n').encode(), "form.toml")
    assert [mistake.path for mistake in fault.value.mistakes] == ["form.toml: rows"]


def test_the_place_of_a_unit_in_the_tree_chooses_its_rows() -> None:
    plan = FORM.rows
    assert plan is not None
    assert plan.choose(has_below=True, has_above=False) == ("principal",)
    assert plan.choose(has_below=True, has_above=True) == ("unit", "field")
    assert plan.choose(has_below=False, has_above=True) == plan.choose(has_below=False, has_above=False) == ("field",)
