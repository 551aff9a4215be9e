"""What is worked out from counted numbers: sums, ratios, points, sections, checks within a row and from period to period."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.model import Unit
from hub.report.counting import checks, sections
from hub.report.counting.counting import Cells, Report, assemble_report
from hub.report.counting.deriving import Number, derive_numbers, derive_row_numbers, round_ratio
from hub.report.form.column import ColumnKind
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form, choose_form
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml

PERIOD = parse_period("2026-12")
AFTER = datetime(2027, 3, 1, tzinfo=UTC)
HEAD = """
id = "f"
service = "documents"
title = { vi = "F", en = "F" }
basis = { vi = "F", en = "F" }
counted = { vi = "F", en = "F" }
"""
COLUMNS = """
[[column]]
key = "a"
kind = "flow"
vi = "A"
en = "A"
milestones = ["sent"]
[[column]]
key = "b"
kind = "flow"
vi = "B"
en = "B"
milestones = ["received"]
[[column]]
key = "all"
kind = "formula"
vi = "T"
en = "T"
sum = ["a", "b"]
[[column]]
key = "share"
kind = "ratio"
vi = "%"
en = "%"
part = ["a"]
whole = ["all"]
EMPTY
[[column]]
key = "points"
kind = "score"
vi = "D"
en = "P"
of = "share"
full_at = 80
points = 12
"""
REST = """
[[check]]
vi = "bằng nhau"
en = "are equal"
left = ["a"]
right = ["b"]
[[check]]
vi = "chuyển tiếp"
en = "goes on"
left = ["a"]
right = ["b"]
before = true
[[section]]
vi = "Sở"
en = "Departments"
starts = ["Sở"]
[[section]]
vi = "Xã"
en = "Communes"
starts = ["Xã", "UBND xã"]
[[section]]
vi = "Khác"
en = "Others"
"""
COUNTS = st.integers(0, 10**9)


def form(empty: str = "") -> Form:
    return read_form_toml((HEAD + COLUMNS.replace("EMPTY", empty) + REST).encode(), "f.toml")


def row(a: int, b: int, empty: str = "") -> dict[str, Number]:
    return derive_row_numbers(form(empty), {"a": a, "b": b})


def report(**cells: tuple[int, int]) -> Report:
    made = {unit: Cells({"a": a, "b": b}) for unit, (a, b) in cells.items()}
    return assemble_report(form(), PERIOD, AFTER, list(cells), made)


@pytest.mark.parametrize(
    ("a", "b", "share", "points"),
    [
        (1, 2, "33.33", "5.00"),
        (2, 1, "66.67", "10.00"),
        (1, 7, "12.50", "1.88"),  # 1.875: halves are rounded up
        (4, 1, "80.00", "12.00"),
        (9, 1, "90.00", "12.00"),
        (0, 5, "0.00", "0.00"),
    ],
)
def test_a_ratio_has_two_decimals_and_points_are_full_from_a_percentage_on(a, b, share, points):
    found = row(a, b)
    assert (str(found["share"]), str(found["points"])) == (share, points)


def test_of_nothing_a_ratio_is_none_or_zero_as_the_form_says():
    assert row(0, 0) == {"a": 0, "b": 0, "all": 0, "share": None, "points": None}
    assert row(0, 0, 'empty = "none"')["share"] is None
    zero = row(0, 0, 'empty = "zero"')
    assert (zero["share"], zero["points"]) == (Decimal("0.00"), Decimal("0.00"))


@given(COUNTS, COUNTS)
@pytest.mark.slow
def test_every_ratio_and_score_is_what_decimal_arithmetic_says(a, b):
    found = row(a, b)
    assert found["all"] == a + b
    if a + b:
        exact = Fraction(100 * a, a + b)
        assert found["share"] == half_up(exact)
        assert found["points"] == half_up(min(exact / 80, Fraction(1)) * 12)
        assert 0 <= (found["points"] or 0) <= 12


@given(st.fractions(0, 10**6, max_denominator=10**6))
def test_halves_are_rounded_up(value):
    assert round_ratio(value) == half_up(value)
    assert abs(Fraction(round_ratio(value)) - value) <= Fraction(1, 200)


def half_up(value: Fraction) -> Decimal:
    """Round by the library: *value* to forty digits first, which no fraction of these tests can be so near to a half to be misled by."""
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


@given(st.dictionaries(st.sampled_from(["A", "B", "C"]), st.tuples(COUNTS, COUNTS), min_size=1))
def test_the_total_adds_counts_up_and_works_ratios_out_again(cells):
    made = report(**cells)
    sums = {key: sum(row.numbers[key] or 0 for row in made.rows) for key in ("a", "b", "all")}
    assert {key: made.total.numbers[key] for key in sums} == sums
    assert made.total.numbers == row(int(sums["a"]), int(sums["b"]))


@given(st.dictionaries(st.sampled_from(["A", "B", "C"]), st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_a_check_finds_each_row_in_which_it_does_not_hold_and_the_total(cells):
    made = report(**cells)
    found = {finding.unit: (finding.left, finding.right) for finding in made.findings}
    expected: dict[str | None, tuple[int, int]] = {unit: pair for unit, pair in cells.items() if pair[0] != pair[1]}
    total = (sum(a for a, _ in cells.values()), sum(b for _, b in cells.values()))
    if total[0] != total[1]:
        expected[None] = total
    assert found == expected
    assert all(finding.check.says.en == "are equal" and finding.columns == ("a", "b") for finding in made.findings)


def test_a_check_between_periods_finds_what_does_not_go_on():
    now = {"A": {"a": 3, "b": 0}, "B": {"a": 1, "b": 0}}
    before = {"A": {"a": 0, "b": 3}, "C": {"a": 0, "b": 2}}
    found = [
        (each.unit, each.left, each.right, each.columns) for each in checks.check_between_periods(form(), now, before)
    ]
    assert found == [("B", 1, 0, ("a",)), ("C", 0, 2, ("a",))]


def named(names: dict[str, str]) -> dict[str, Unit]:
    return {code: Unit(code, name) for code, name in names.items()}


def test_units_stand_in_the_section_with_the_longest_beginning_of_their_name():
    made = report(A=(1, 0), B=(2, 1), C=(0, 4), D=(5, 5), E=(1, 1))
    names = {"A": "Sở Y tế", "B": "sở Tư pháp", "C": "UBND xã Một", "D": "Văn phòng", "E": "Xãbên"}
    found = sections.sort_sections(made, named(names))
    assert [(each.heading.vi, each.units) for each in found] == [
        ("Sở", ("A", "B")),
        ("Xã", ("C",)),
        ("Khác", ("D", "E")),
    ]
    assert found[0].total.numbers == row(3, 1)


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.tuples(COUNTS, COUNTS), min_size=1))
def test_the_total_is_the_sum_of_the_sections_and_no_unit_is_in_two(cells):
    names = {"A": "Sở A", "B": "Xã B", "C": "UBND xã C", "D": "D", "E": "sở", "F": "Sở F"}
    made = report(**cells)
    found = sections.sort_sections(made, named(names))
    assert sorted(unit for each in found for unit in each.units) == sorted(cells)
    for key in ("a", "b", "all"):
        assert sum(each.total.numbers[key] or 0 for each in found) == made.total.numbers[key]


# Forms that take their numbers from others

DERIVED = [each for each in read_form_folder() if not each.service and not each.counts_services]


def test_the_summary_the_indicators_and_the_health_take_their_numbers_from_other_forms():
    assert {each.id for each in DERIVED} == {"tonghop", "qd766", "suckhoe", "tthc", "nd335"}
    assert choose_form(DERIVED, "tonghop", PERIOD).bases == ("ii06a", "edoc", "mail")


@given(st.data())
@pytest.mark.slow
def test_what_a_form_takes_is_the_other_forms_number_and_nothing_where_it_has_none(data):
    for each in DERIVED:
        rows: dict[str, dict[str, dict[str, Number]]] = {}
        for column in each.columns:
            if column.taken and data.draw(st.booleans()):
                base, key = column.taken
                rows.setdefault(base, {}).setdefault("A", {})[key] = data.draw(COUNTS)
        found = derive_numbers(each, "A", rows)
        assert found.keys() == {column.key for column in each.columns if column.kind is ColumnKind.TAKEN}
        for column in each.columns:
            if column.taken:
                base, key = column.taken
                assert found[column.key] == rows.get(base, {}).get("A", {}).get(key, 0)
        assert not any(derive_numbers(each, "B", rows).values())
