"""Points and grades: a form's formulas, worked out from the cells as they are printed, with declared figures beside them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from io import BytesIO
from typing import Any

import attrs
import jsonschema
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.audit.documents import audit_arithmetic
from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.languages import Language
from hub.report.counting.counting import Cells, Report, assemble_report
from hub.report.counting.declared import DeclaredFigure, place_figures
from hub.report.counting.declaring import Declaration, DeclaredCell, split_declaration
from hub.report.counting.deriving import derive_row_numbers
from hub.report.counting.sections import sum_subtotal
from hub.report.form.definition import read_definition, write_definition
from hub.report.form.form import Form
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml
from hub.report.output.outputs import write_csv_report, write_html_report, write_json_report
from hub.report.output.pdf import write_pdf_report
from hub.report.output.schematron import write_json_schema
from hub.report.output.validating import validate_report
from hub.report.output.workbook import write_xlsx_report
from hub.report.output.workings import MOST_UNITS, write_workings
from hub.report.signed.declared_figures import NewestDeclaration, choose_declared_figures
from hub.report.signed.element import build_report_element
from hub.report.signed.sealed import read_sealed_report
from hub.security import signing
from tests.officials import HUB

PERIOD = parse_period("2026-12")
AFTER = datetime(2027, 3, 1, tzinfo=UTC)
NAMES = {"A": "Sở Một", "B": "Xã Hai"}
HEAD = """
id = "points"
title = { vi = "Điểm", en = "Points" }
basis = { vi = "thử", en = "a test" }
counted = { vi = "điểm", en = "points" }
parameters = { results = 70 }
"""
COLUMNS = """
[[column]]
key = "assigned"
kind = "taken"
decimals = 2
vi = "Được giao"
en = "Assigned"
form = "work"
column = "assigned_converted"
[[column]]
key = "done"
kind = "taken"
decimals = 2
vi = "Hoàn thành"
en = "Done"
form = "work"
column = "done_converted"
[[column]]
key = "quantity"
kind = "expression"
vi = "Số lượng"
en = "Quantity"
expression = "min(100 * done / assigned, 100)"
[[column]]
key = "score"
kind = "expression"
vi = "Điểm kết quả"
en = "Points for results"
expression = "quantity * results ÷ 100"
[[column]]
key = "general"
kind = "declared"
vi = "Điểm chung"
en = "General points"
most = 30
decimals = 2
by = "above"
[[column]]
key = "total"
kind = "expression"
vi = "Tổng điểm"
en = "All points"
expression = "score + general"
[[column]]
key = "grade"
kind = "grade"
vi = "Xếp loại"
en = "Grade"
of = "total"
[[column.grade]]
at = 90
vi = "Xuất sắc"
en = "Excellent"
[[column.grade]]
at = 50
vi = "Hoàn thành"
en = "Done"
[[column.grade]]
vi = "Không hoàn thành"
en = "Not done"
"""
FORM = read_form_toml((HEAD + COLUMNS).encode(), "points.toml")
FIGURES = st.integers(0, 3000)


def figure(unit: str, value: int) -> DeclaredFigure:
    return DeclaredFigure(
        unit=unit, column="general", value=value, sender="A", by="Văn thư A", at=datetime(2026, 12, 20, 3, tzinfo=UTC), message="M1"
    )  # fmt: skip


def row(assigned: int, done: int, general: int | None, form: Form = FORM) -> Mapping[str, Any]:
    told = {} if general is None else {"general": general}
    return derive_row_numbers(form, {"assigned": assigned, "done": done} | told)


def report(cells: Mapping[str, tuple[int, int]], *declared: DeclaredFigure, form: Form = FORM) -> Report:
    made = {unit: Cells({"assigned": assigned, "done": done}) for unit, (assigned, done) in cells.items()}
    return assemble_report(form, PERIOD, AFTER, list(cells), made, declared)


EXAMPLE = report({"A": (1550, 1200), "B": (300, 300)}, figure("B", 2850))


# --- computing


def test_each_cell_follows_from_the_cells_that_are_printed_and_is_rounded_once():
    found = row(1550, 1200, 2850)
    assert {key: str(value) for key, value in found.items()} == {
        "assigned": "15.50",
        "done": "12.00",
        "quantity": "77.42",  # 1200 / 15.5
        "score": "54.19",  # 77.42 × 70 / 100 = 54.194
        "general": "28.50",
        "total": "82.69",
        "grade": "2",
    }


def test_a_cell_without_its_inputs_is_absent_or_nothing_as_the_form_says():
    assert row(0, 0, 2850) == {
        "assigned": 0, "done": 0, "quantity": None, "score": None, "general": Decimal("28.50"), "total": None, "grade": None,
    }  # fmt: skip
    assert row(100, 100, None)["total"] is None, "not declared"
    zero = read_form_toml(
        (HEAD + COLUMNS.replace('"score + general"', '"score + general"\nempty = "zero"')).encode(), "f"
    )
    found = row(0, 0, None, zero)
    assert (str(found["total"]), found["grade"]) == ("0.00", 3)


def test_formulas_that_multiply_one_another_end_in_no_number_and_not_in_millions_of_digits():
    powers = "".join(
        f'[[column]]\nkey = "power{place}"\nkind = "expression"\nvi = "x"\nen = "x"\nexpression = "{" * ".join([of] * 30)}"\n'
        for place, of in enumerate(("done", "power0", "power1", "power2", "power3"))
    )
    form = read_form_toml((HEAD + COLUMNS + powers).encode(), "f.toml")
    assert row(100, 200, None, form)["power0"] == 2**30
    assert row(100, 999_99, None, form)["power4"] is None


@pytest.mark.parametrize(("general", "place"), [(2000, 1), (1999, 2), (0, 2)])
def test_a_grade_goes_by_the_printed_number(general, place):
    assert row(100, 100, general)["grade"] == place


@given(st.integers(0, 10**7), st.integers(0, 10**7), FIGURES | st.none())
def test_points_are_what_decimal_arithmetic_on_the_printed_cells_says(assigned, done, general):
    found = row(assigned, done, general)
    if not assigned:
        assert found["quantity"] is None
        return
    exact = min(Fraction(100 * done, assigned), Fraction(100))
    assert abs(Fraction(found["quantity"]) - exact) <= Fraction(1, 200)
    score = (found["quantity"] * 70 / 100).quantize(Decimal("0.01"), "ROUND_HALF_UP")
    assert found["score"] == score
    assert found["total"] == (None if general is None else score + Decimal(general).scaleb(-2))


def test_the_total_adds_up_what_is_taken_and_declares_nothing_by_itself():
    total = EXAMPLE.total.numbers
    assert (str(total["assigned"]), str(total["done"])) == ("18.50", "15.00")
    assert (total["general"], total["total"], total["grade"]) == (None, None, None)
    whole = report({"A": (1550, 1200), "B": (300, 300)}, figure("", 3000), figure("B", 2850))
    assert str(whole.total.numbers["total"]) == "86.76"
    assert sum_subtotal(FORM, whole.rows).numbers["done"] == Decimal("15.00")


# --- how a form is written


def mistakes(columns: str) -> list[str]:
    with pytest.raises(ConfigurationFault) as caught:
        read_form_toml((HEAD + columns).encode(), "f.toml")
    return [told(mistake) for mistake in caught.value.mistakes]


def told(mistake: Mistake) -> str:
    return f"{mistake.path} {mistake.wrong}; {mistake.expected}"


def test_every_mistake_of_a_formula_is_explained_with_its_place_and_the_nearest_name():
    changed = COLUMNS.replace('"min(100 * done / assigned, 100)"', '"min(100 * donne / assigned, 100)"')
    changed = changed.replace('"score + general"', '"(score + general"').replace("at = 50", "at = 95")
    said = mistakes(changed)
    assert [each.removeprefix("f.toml: ") for each in said] == [
        "column[6].grade[1].at is 95; less than 90, the grade before",
        "column[2].expression at character 11 has 'donne'; a column or a parameter; perhaps: done",
        "column[5].expression at character 17 ends; a closing bracket",
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"quantity * results ÷ 100"', '"total * results ÷ 100"', "is computed from itself: score → total → score"),
        ('of = "total"', 'of = "sum"', "column[6].of is 'sum'"),
        ("decimals = 2\nby", "decimals = 5\nby", "a whole number from 0 to 4"),
        ('by = "above"', 'by = "anyone"', "any own above"),
        ('"score + general"', '"score + grade"', "at character 9 has 'grade'"),
        ("parameters = { results = 70 }", "parameters = { results = 70, done = 1 }", "a column and a parameter"),
        ("[[column.grade]]\nvi", "[[column.grade]]\nat = 10\nvi", "the last grade is for all below"),
    ],
)  # fmt: skip
def test_what_a_form_cannot_mean_is_refused(old, new, words):
    text = HEAD + COLUMNS
    assert text.count(old) == 1
    with pytest.raises(ConfigurationFault) as caught:
        read_form_toml(text.replace(old, new).encode(), "f.toml")
    assert words in " ".join(map(told, caught.value.mistakes))


def test_a_number_with_decimals_or_a_grade_is_no_summand_and_no_side_of_a_check():
    more = '[[column]]\nkey = "sum"\nkind = "formula"\nvi = "T"\nen = "T"\nsum = ["assigned", "grade"]\n'
    more += '[[check]]\nvi = "x"\nen = "x"\nleft = ["assigned"]\nright = ["total"]\n'
    assert len(mistakes(COLUMNS + more)) == 4


def test_the_form_comes_back_from_its_definition_and_one_that_cannot_be_counted_by_is_refused():
    assert read_definition(write_definition(FORM)) == FORM
    said = json.loads(write_definition(FORM))
    for wrong in ("done +", "done + nowhere", "done / 0"):
        changed = json.loads(json.dumps(said))
        changed["columns"][2]["expression"] = wrong
        with pytest.raises(ValueError, match="quantity"):
            read_definition(json.dumps(changed).encode())


# --- outputs


def sealed(said: Report) -> bytes:
    return signing.write_sealed_document(build_report_element(said, NAMES, (), 1), HUB)


def test_a_page_says_each_formula_with_the_unit_s_numbers_and_who_declared():
    alone = report({"B": (1550, 1200)}, figure("", 2850), figure("B", 2850))
    assert [each.says for each in write_workings(alone, NAMES, Language.EN)] == [
        "(3) Quantity = min(100 × (2) / (1); 100) = min(100 × 12.00 / 15.50; 100) = 77.42",
        "(4) Points for results = (3) × 70 / 100 = 77.42 × 70 / 100 = 54.19",
        "(5) General points = 28.50, declared by Sở Một (A), Văn thư A, received 20/12/2026 10:00, message M1",
        "(6) All points = (4) + (5) = 54.19 + 28.50 = 82.69",
        "(7) Grade: (6) 82.69 ≥ 50: Done",
    ]
    vietnamese = [each.says for each in write_workings(EXAMPLE, NAMES)]
    assert "Xã Hai: (3) Số lượng = min(100 × (2) / (1); 100) = min(100 × 3,00 / 3,00; 100) = 100,00" in vietnamese
    assert "Sở Một: (5) Điểm chung: chưa khai" in vietnamese
    page = write_html_report(alone, NAMES, Language.EN)
    assert "min(100 × 12.00 / 15.50; 100) = 77.42" in page
    assert ">Done</td>" in page
    assert "(5)*: declared by a unit above it, at most 30; the hub does not count it" in page
    many = report({f"U{number}": (1, 1) for number in range(MOST_UNITS + 1)})
    assert [each.says for each in write_workings(many, {}, Language.EN)] == [
        "(3) Quantity = min(100 × (2) / (1); 100)",
        "(4) Points for results = (3) × 70 / 100",
        "(6) All points = (4) + (5)",
        "(7) Grade: (6) ≥ 90: Excellent; ≥ 50: Done; Not done",
    ]


def test_a_unit_without_work_has_one_line_of_workings_unless_something_was_declared_for_it():
    idle = report({"B": (0, 0), "C": (1550, 1200)})
    said = [each.says for each in write_workings(idle, NAMES, Language.EN) if each.unit == "B"]
    assert said == [f"{NAMES['B']}: nothing to work out: no work in the period, and nothing declared"]
    assert len([each for each in write_workings(idle, NAMES, Language.EN) if each.unit == "C"]) == 5
    declared = report({"B": (0, 0)}, figure("B", 2850))
    assert len([each for each in write_workings(declared, NAMES, Language.EN) if each.unit == "B"]) == 5
    (line,) = write_workings(report({"B": (0, 0)}), NAMES)
    assert line.says == "không có gì để tính: trong kỳ không có việc và không có số khai"


def test_csv_and_workbook_name_the_grade_and_the_workbook_computes_it_live():
    lines = write_csv_report(EXAMPLE, NAMES).decode("utf-8-sig").splitlines()
    assert lines[-1].endswith(",3.00,3.00,100.00,70.00,28.50,98.50,Xuất sắc")
    book = openpyxl.load_workbook(BytesIO(write_xlsx_report(EXAMPLE, NAMES, "")))
    sheet = book.worksheets[0]
    texts = [str(cell.value) for line in sheet.iter_rows() for cell in line if cell.value is not None]
    assert any(text.startswith("=IF(COUNT(E12,D12)<2") and "MIN(100*E12/D12,100)" in text for text in texts)
    assert any(text.startswith("=IF(ISNUMBER(I12),IF(I12>=90,") for text in texts)


def test_the_sealed_report_and_the_json_say_the_same_and_keep_every_rule():
    document = sealed(EXAMPLE)
    back = read_sealed_report(document).report
    assert (back.total, back.rows, back.declared) == (EXAMPLE.total, EXAMPLE.rows, EXAMPLE.declared)
    assert back.form.columns == tuple(attrs.evolve(column, taken=None) for column in FORM.columns), (
        "the sealed report says how each cell follows"
    )
    said = write_json_report(EXAMPLE, NAMES)
    for content in (document, said.encode()):
        assert validate_report(content, [FORM]).broken == ()
    jsonschema.Draft202012Validator(json.loads(write_json_schema(FORM))).validate(json.loads(said))
    assert all(each.holds for each in audit_arithmetic(back, "report.xml"))


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("quantity", "77.43", "row-expression-quantity"),
        ("total", "28.50", "row-expression-total"),
        ("score", "54.2", "row-places-score"),
        ("grade", "1", "row-grade-grade"),
        ("general", "30.01", "row-declared-general"),
        ("done", "12", "row-places-done"),
        ("done", "12.01", "total-sum-done"),
    ],
)
def test_one_changed_cell_is_found_by_the_published_rules_and_by_verify(column, value, rule):
    old = sealed(report({"A": (1550, 1200)}, figure("A", 2850))).decode()
    cell = f'<Number column="{column}">'
    head, rows = old.split("<Rows>")
    start = rows.index(cell) + len(cell)
    changed = f"{head}<Rows>{rows[:start]}{value}{rows[rows.index('<', start) :]}"
    broken = {each.rule for each in validate_report(changed.encode(), [FORM]).broken}
    assert rule in broken
    if (column, value) not in {("general", "30.01"), ("done", "12")}:  # how a number is written is no sum
        found = read_sealed_report(changed.encode()).report
        assert not all(each.holds for each in audit_arithmetic(found, "report.xml"))


@pytest.mark.slow
def test_the_printed_page_has_the_workings(tmp_path):
    import pypdf

    content = write_pdf_report(EXAMPLE, NAMES, "0" * 64)
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(BytesIO(content)).pages)
    text = " ".join(text.replace("\u200b", "").split())
    assert "Xuất sắc" in text
    assert "min(100 × 12,00 / 15,50; 100) = 77,42" in text


# --- whose declaration counts


def newest(sender: str, at: int, **cells: int | Decimal) -> NewestDeclaration:
    """Return a declaration of *sender* at the minute *at*; `own` is its own row, `whole` the total."""
    rows = {"own": sender, "whole": "", "A": "A", "B": "B"}
    said = tuple(DeclaredCell(unit=rows[key], column="general", figure=value) for key, value in cells.items())
    told = Declaration(unit=sender, form="points", period="2026-12", cells=said, by="Lan")
    return NewestDeclaration(message=f"{sender}{at}", at=datetime(2026, 12, 20, 3, at, tzinfo=UTC), said=told)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("above", {"": 2000, "A": 2000, "B": 2500}),
        ("own", {"": 1500, "A": 1000, "B": 2700}),
        ("any", {"": 1500, "A": 2000, "B": 2700}),
    ],
)
def test_a_declared_figure_is_that_of_the_newest_who_may_declare_it(by, expected):
    form = read_form_toml((HEAD + COLUMNS.replace('by = "above"', f'by = "{by}"')).encode(), "f.toml")
    told = {
        "H": newest("H", 5, A=20, B=24),
        "A": newest("A", 6 if by == "above" else 2, whole=15, own=10, B=25),
        "B": newest("B", 9, own=27),
    }
    above = {"A": ("H",), "B": ("A", "H")}
    found = choose_declared_figures(form, ("A", "B"), above, told)
    assert {each.unit: each.value for each in place_figures(found, ("A", "B"))} == expected
    assert {each.unit: each.value for each in place_figures(found, ("B",))} == {"": expected["B"], "B": expected["B"]}


def test_what_a_unit_above_declares_stays_with_it_when_a_file_of_many_units_is_divided():
    cells = tuple(DeclaredCell(unit=unit, column="general", figure=20) for unit in ("A", "B"))
    said = Declaration(unit="H", form="points", period="2026-12", by="Lan", cells=cells)
    for by, senders in (("above", {"H"}), ("any", {"A", "B"})):
        form = read_form_toml((HEAD + COLUMNS.replace('by = "above"', f'by = "{by}"')).encode(), "f.toml")
        parts = {part.unit: part for part in split_declaration(said, form)}
        assert parts.keys() == senders
        told = {unit: NewestDeclaration(message=unit, at=AFTER, said=part) for unit, part in parts.items()}
        found = choose_declared_figures(form, ("A", "B"), {"A": ("H",), "B": ("H",)}, told)
        assert {each.unit: each.value for each in found} == {"A": 2000, "B": 2000}


def test_a_figure_that_the_form_does_not_allow_is_not_taken():
    for wrong in (31, Decimal("28.505"), -1):
        assert choose_declared_figures(FORM, ("B",), {"B": ("A",)}, {"A": newest("A", 1, B=wrong)}) == ()
    taken = choose_declared_figures(FORM, ("B",), {"B": ("A",)}, {"A": newest("A", 1, B=Decimal("28.5"))})
    assert [(each.unit, each.value, each.message) for each in taken] == [("B", 2850, "A1")]
