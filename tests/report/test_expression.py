"""The formula of a column: its small grammar, exact arithmetic, and how it is written for readers and programs."""

from fractions import Fraction
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.report.form.expression import (
    DEEPEST,
    LONGEST,
    MOST_PARTS,
    READERS,
    SPREADSHEET,
    XPATH,
    FormulaMistake,
    list_divisors,
    list_names,
    parse_formula,
    work_out,
    write_formula,
)

VALUES = {"a": Fraction(7), "b": Fraction(2), "c": Fraction(0), "d": Fraction(5, 4)}


def worked(text: str) -> Fraction | None:
    return work_out(parse_formula(text), VALUES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b * 3", Fraction(13)),
        ("(a + b) × 3", Fraction(27)),
        ("a - b - 1", Fraction(4)),
        ("a − (b − 1)", Fraction(6)),
        ("a / b / 2", Fraction(7, 4)),
        ("a ÷ (b / 2)", Fraction(7)),
        ("100 * a / 3", Fraction(700, 3)),
        ("0.1 + 0.2", Fraction(3, 10)),
        ("min(a, b; 3)", Fraction(2)),
        ("max(a, min(b, 9) * 4)", Fraction(8)),
        ("max(b, c, a, d)", Fraction(7)),
        ("(a + b + d) / 3 * 70 / 100", Fraction(287, 120)),
        ("a / c", None),
        ("a / (c * 5)", None),
        ("min(1, a / c)", None),
        ("a + nowhere", None),
    ],
)
def test_a_formula_is_worked_out_exactly_and_has_no_value_where_it_divides_by_nothing(text, value):
    assert worked(text) == value


@pytest.mark.parametrize(
    ("text", "at", "found"),
    [
        ("a +", 4, "ends"),
        ("a b", 3, "has 'b'"),
        ("a + + b", 5, "has '+'"),
        ("a / 0", 5, "has '0'"),
        ("min(a)", 6, "has ')'"),
        ("(a + b", 7, "ends"),
        ("a $ b", 3, "has '$'"),
        ("1,5 * a", 2, "has ','"),
        ("a ** b", 4, "has '*'"),
        ("__import__", 1, "has '_'"),
        ("a.b", 2, "has '.'"),
        ("", 1, "ends"),
        ("a" * (LONGEST + 1), LONGEST + 1, f"has {LONGEST + 1} characters"),
        ("(" * (DEEPEST + 1) + "a" + ")" * (DEEPEST + 1), DEEPEST + 2, "has 'a'"),
        ("min(a, b, c, d, a)", 17, "has 'a'"),
        ("min(a, max(b, min(c, d)))", 15, "has 'min'"),
        ("+".join(["1"] * (MOST_PARTS + 1)), 2 * MOST_PARTS + 1, "has '1'"),
    ],
    ids=range(17),
)
def test_a_mistake_is_told_with_its_place_in_the_text(text, at, found):
    with pytest.raises(FormulaMistake) as caught:
        parse_formula(text)
    assert (caught.value.at, str(caught.value.found)) == (at, found)


def test_names_and_divisors_are_found_each_once():
    formula = parse_formula("a / b + max(b, c) / (a - d) + b / 4")
    assert [name.name for name in list_names(formula)] == ["a", "b", "c", "d"]
    assert [write_formula(each, str, READERS) for each in list_divisors(formula)] == ["b", "a − d"]


FORMULAS = st.recursive(
    st.sampled_from("abcd") | st.integers(1, 99).map(str) | st.sampled_from(["0.25", "1.5"]),
    lambda part: st.one_of(
        st.builds("({} {} {})".format, part, st.sampled_from("+-*/"), part),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), part, part),
    ),
    max_leaves=6,
).filter(lambda text: len(text) < LONGEST)


def _parsed(text):
    try:
        return parse_formula(text)
    except FormulaMistake:
        return None


@given(FORMULAS)
def test_what_is_written_with_fewer_brackets_means_the_same_to_readers_and_to_programs(text):
    formula = _parsed(text)
    if formula is None:
        return  # nested too deep
    value = work_out(formula, VALUES)
    for notation in (READERS, SPREADSHEET):
        again = write_formula(formula, str, notation).replace("MIN", "min").replace("MAX", "max")
        assert work_out(parse_formula(again), VALUES) == value
    if value is not None:
        names = {name: str(float(number)) for name, number in VALUES.items()}
        said = cast("float", etree.XML("<a/>").xpath(write_formula(formula, names.__getitem__, XPATH)))
        assert said == pytest.approx(float(value), rel=1e-9, abs=1e-9)


def test_the_longest_formula_of_min_and_max_stays_small_in_xpath():
    inner = "max(a, b, c, d)"
    formula = parse_formula(f"min({inner}, {inner}, {inner}, {inner})")
    assert len(write_formula(formula, lambda name: f"number(r:Number[@column = '{name}'])", XPATH)) < 50_000
    value = cast("float", etree.XML("<a/>").xpath(write_formula(formula, lambda name: str(float(VALUES[name])), XPATH)))
    assert value == 7
