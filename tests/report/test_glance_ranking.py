"""The units of a class beside one another: place, change, trend, target, what is far from the others; and its settings."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.errors import ConfigurationFault
from hub.domain.model import Unit
from hub.language.languages import Language
from hub.report.counting.deriving import Number, round_ratio
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.report.glance.drawing import draw_bar, draw_trend
from hub.report.glance.ranking import RankedUnit, Spread, compute_share, find_total, measure_spread, rank_units
from hub.report.glance.settings import Better, Glance, RankIndicator, Target, read_glance
from hub.report.glance.sheet import GlanceSheet, write_figures

GLANCE = read_glance()
FORMS = read_shipped_book().forms


def sheet(period: str, columns: tuple[str, ...], **rows: tuple[Number, ...]) -> GlanceSheet:
    month = parse_period(period)
    said = {unit: dict(zip(columns, numbers, strict=True)) for unit, numbers in rows.items()}
    said.setdefault("", dict.fromkeys(columns, 0))
    return GlanceSheet(
        form="f", period=period, first=month.first, last=month.last, made_at=datetime(2026, 12, 1, tzinfo=UTC), complete=True,
        revision=1, definition="", columns=columns, figures=write_figures(columns, said),
    )  # fmt: skip


def rank(
    indicator: RankIndicator, *sheets: GlanceSheet, units: str = "ABCD", glance: Glance = GLANCE
) -> list[RankedUnit]:
    members = [Unit(code, code) for code in units]
    periods = [each.period for each in sheets]
    return list(rank_units(glance, indicator, members, {each.period: each for each in sheets}, periods).rows)


LATE = RankIndicator(form="f", key="late", part=("late",), whole=("all",), better=Better.LESS)
SENT = RankIndicator(form="f", key="sent", part=("sent",))


def test_the_best_stands_first_equal_ones_share_a_place_and_who_has_no_number_has_none():
    found = rank(LATE, sheet("2026-11", ("late", "all"), A=(1, 4), B=(2, 8), C=(1, 3), D=(0, 0)))
    assert [(row.unit.code, row.place, row.value) for row in found] == [
        ("A", 1, Decimal("25.00")), ("B", 1, Decimal("25.00")), ("C", 3, Decimal("33.33")), ("D", None, None),
    ]  # fmt: skip
    assert [(row.part, row.whole) for row in found] == [(1, 4), (2, 8), (1, 3), (0, 0)]


def test_where_nobody_says_what_is_better_the_greatest_stands_first():
    found = rank(SENT, sheet("2026-11", ("sent",), A=(1,), B=(9,)))
    assert [(row.unit.code, row.place) for row in found] == [("B", 1), ("A", 2), ("C", None), ("D", None)]


def test_a_unit_that_had_nothing_to_do_has_no_place_and_one_that_has_something_and_none_of_it_late_has():
    columns = ("late", "all")
    found = rank(
        RankIndicator(form="f", key="late", part=("late",), better=Better.LESS),
        sheet("2026-11", columns, A=(0, 3), B=(2, 4)),
    )
    assert [(row.unit.code, row.place, row.value) for row in found] == [
        ("A", 1, 0), ("B", 2, 2), ("C", None, None), ("D", None, None),
    ]  # fmt: skip


def test_a_unit_that_ended_in_the_period_stands_apart_without_a_place_and_moves_nobody():
    merged = date(2026, 11, 10)
    members = [Unit("A", "A", until=merged), Unit("B", "B"), Unit("C", "C", until=date(2026, 11, 15))]
    month = sheet("2026-11", ("sent",), A=(50,), B=(3,), C=(2,))
    found = rank_units(GLANCE, SENT, members, {"2026-11": month}, ["2026-11"])
    assert [(row.unit.code, row.place, row.value, row.ended) for row in found.rows] == [
        ("B", 1, 3, False), ("C", 2, 2, False), ("A", None, 50, True),
    ]  # fmt: skip
    assert found.spread is not None
    assert (found.spread.count, found.spread.high) == (2, Decimal("2.75")), "it is compared with nobody"


def test_what_a_unit_took_over_in_the_period_is_named_and_does_not_rank_it():
    """A took over a tenth of what it had, which is little; D more, and C all that the form says of it."""
    members = [Unit(code, code) for code in "ABCD"]
    month = sheet("2026-11", ("sent", "taken_over", "all"), A=(5, 3, 30), B=(4, -3, 9), C=(9, 1, 1), D=(8, 4, 39))
    found = rank_units(GLANCE, SENT, members, {"2026-11": month}, ["2026-11"], "all")
    assert [(row.unit.code, row.place, row.inherited, row.heir) for row in found.rows] == [
        ("A", 1, 3, False), ("B", 2, None, False), ("C", None, 1, True), ("D", None, 4, True),
    ]  # fmt: skip
    assert found.spread is not None
    assert found.spread.high < 8, "an heir is compared with nobody"


def test_where_a_form_has_no_sum_of_all_whatever_a_unit_took_over_keeps_it_from_a_place():
    month = sheet("2026-11", ("sent", "taken_over"), A=(5, 1), B=(4, 0))
    found = rank_units(GLANCE, SENT, [Unit("A", "A"), Unit("B", "B")], {"2026-11": month}, ["2026-11"])
    assert [(row.unit.code, row.place) for row in found.rows] == [("B", 1), ("A", None)]


@pytest.mark.parametrize(("form", "total"), [("ii06a", "received"), ("congviec-hoso", "total"), ("edoc", "")])
def test_all_that_a_unit_had_is_the_sum_with_what_it_took_over(form, total):
    (found,) = {find_total(each) for each in FORMS if each.id == form}
    assert found == total


def test_the_change_and_the_trend_are_those_of_the_periods_before():
    months = [sheet("2026-10", ("sent",), A=(7,), B=(3,)), sheet("2026-11", ("sent",), A=(2,), B=(3,))]
    first, second, *_ = rank(SENT, *months, units="AB")
    assert (first.unit.code, first.change, first.place_before, first.trend) == ("B", 0, 2, (3, 3))
    assert (second.unit.code, second.change, second.place_before, second.trend) == ("A", -5, 1, (7, 2))


def test_a_period_without_numbers_is_a_gap_and_gives_no_change():
    found = rank_units(
        GLANCE, SENT, [Unit("A", "A")], {"2026-11": sheet("2026-11", ("sent",), A=(2,))}, ["2026-10", "2026-11"]
    )
    (row,) = found.rows
    assert (row.trend, row.change, found.counted) == ((None, 2), None, (False, True))


def test_a_column_that_a_period_lacks_gives_no_number():
    found = rank(SENT, sheet("2026-10", ("other",), A=(7,)), sheet("2026-11", ("sent",), A=(2,)), units="A")
    assert found[0].trend == (None, 2)


@pytest.mark.parametrize(("better", "met"), [(Better.MORE, [True, True, False]), (Better.LESS, [False, True, True])])
def test_the_target_in_force_on_the_last_day_is_met_or_not(better, met):
    targets = (Target(Decimal(99), until=date(2026, 11, 1)), Target(Decimal(5), since=date(2026, 11, 1)))
    indicator = attrs.evolve(SENT, better=better, targets=targets)
    found = rank(indicator, sheet("2026-11", ("sent",), A=(6,), B=(5,), C=(4,)), units="ABC")
    assert [row.met for row in sorted(found, key=lambda row: row.unit.code)] == met
    assert rank(SENT, sheet("2026-11", ("sent",), A=(6,)), units="A")[0].met is None


def test_quartiles_are_those_of_linear_interpolation():
    # of 1, 2, 3, 4 the quarter lies at place 0.75 from 0: 1.75
    assert measure_spread([4, 1, 3, 2]) == Spread(
        low=Decimal("1.75"), middle=Decimal("2.50"), high=Decimal("3.25"), count=4
    )
    assert measure_spread([]) is None


def test_a_figure_beyond_the_fences_is_far_from_the_others_where_there_are_enough():
    cells = {code: (number,) for code, number in zip("ABCDEFGH", (10, 11, 12, 13, 14, 15, 16, 40), strict=True)}
    assert [row.unit.code for row in rank(SENT, sheet("2026-11", ("sent",), **cells), units="ABCDEFGH") if row.far] == [
        "H"
    ]
    few = attrs.evolve(GLANCE, least=9)
    assert not [
        row for row in rank(SENT, sheet("2026-11", ("sent",), **cells), units="ABCDEFGH", glance=few) if row.far
    ]


def test_a_unit_is_in_the_first_class_that_takes_it_by_the_registry_else_by_its_name():
    assert GLANCE.find_class(Unit("A", "Chi cục Thuế", level="province", kind="department")) == "departments"
    assert GLANCE.find_class(Unit("A", "UBND phường Bến Sen")) == "communes"
    assert GLANCE.find_class(Unit("A", "Sở Nội vụ", level="commune", kind="school")) is None
    assert GLANCE.find_class(Unit("A", "Trường Tiểu học")) is None


def test_every_indicator_that_the_hub_ships_has_its_columns_and_all_other_columns_can_be_ranked_too():
    for form in FORMS:
        listed = GLANCE.list_indicators(form)
        keys = [each.key for each in listed]
        assert len(keys) == len(set(keys)), form.id
        assert {column for each in listed for column in each.columns} <= {column.key for column in form.columns}
    named = {form.id for form in FORMS}
    for each in GLANCE.indicators:
        assert each.form in named
        assert any(each in GLANCE.list_indicators(form) for form in FORMS if form.id == each.form), each.key


OWN = """
[[class]]
key = "small"
vi = "Xã dưới 5.000 dân"
en = "Communes below 5,000"
levels = ["commune"]
below = 5000
[[class]]
key = "large"
vi = "Xã từ 5.000 dân"
en = "Communes from 5,000"
levels = ["commune"]
least = 5000
[sizes]
"H55.41" = 4999
"H55.42" = 5000
[[indicator]]
form = "edoc"
key = "overdue"
part = ["overdue"]
better = "less"
[[indicator.target]]
value = 2.5
since = 2026-01-01
"""


def test_a_province_compares_communes_of_a_size_and_sets_targets(tmp_path: Path):
    place = tmp_path / "glance.toml"
    place.write_text(OWN)
    glance = read_glance(place, FORMS)
    assert [glance.find_class(Unit(f"H55.4{number}", "X", level="commune")) for number in (1, 2, 3)] == [
        "small",
        "large",
        None,
    ]
    mine = next(each for each in glance.indicators if (each.form, each.key) == ("edoc", "overdue"))
    assert (mine.find_target(date(2025, 12, 31)), mine.find_target(date(2026, 1, 1))) == (None, Decimal("2.5"))
    assert len(glance.indicators) == len(GLANCE.indicators)  # it replaces that of the same form and key


WRONG = """
[[class]]
key = "Aa"
vi = "x"
en = "x"
[[class]]
key = "b"
vi = "x"
levels = ["village"]
least = 5
below = 5
[[indicator]]
form = "edoc"
key = "x"
part = ["nothing"]
better = "most"
[[indicator]]
form = "edoc"
key = "x"
part = []
whole = ["sent"]
[[indicator]]
form = "no-form"
key = "y"
part = ["sent"]
[[indicator.target]]
value = "5"
[outlier]
"""


def test_every_mistake_is_found_at_once_with_its_place(tmp_path: Path):
    place = tmp_path / "glance.toml"
    place.write_text(WRONG)
    with pytest.raises(ConfigurationFault) as fault:
        read_glance(place, FORMS)
    places = [each.path.partition(": ")[2] for each in fault.value.mistakes]
    assert places == [
        "outlier", "class[0].key", "class[0]", "class[1].en", "class[1].levels", "class[1].below",
        "indicator[0].part", "indicator[0].better", "indicator[1].key", "indicator[1].part", "indicator[1].vi",
        "indicator[2].form", "indicator[2].part", "indicator[2].target[0].value",
    ]  # fmt: skip


def test_a_file_of_the_wrong_kind_or_too_large_is_a_mistake(tmp_path: Path):
    for content in (b"\xff", b"[[", b"#" * (1 << 20) + b"#"):
        (tmp_path / "glance.toml").write_bytes(content)
        with pytest.raises(ConfigurationFault):
            read_glance(tmp_path / "glance.toml")


@given(st.integers(-5, 10**9), st.integers(-5, 10**9))
def test_a_percentage_is_rounded_as_that_of_a_report(part: int, whole: int):
    expected = round_ratio(100 * Fraction(part) / whole) if whole else None
    assert str(compute_share(part, whole)) == str(expected)
    assert str(compute_share(Decimal(part), whole)) == str(expected)


def test_a_bar_is_as_long_as_its_figure_of_the_greatest_with_a_line_at_the_target():
    assert 'rect width="30"' in draw_bar(Decimal("25.00"), 100)
    assert '<path d="M60 0V8"' in draw_bar(25, 100, Decimal(50))
    assert [draw_bar(None, 100), draw_bar(5, None), draw_bar(0, 0), draw_bar(-1, -1)] == [""] * 4
    assert 'rect width="0"' in draw_bar(-5, 100)


def test_a_trend_says_each_number_in_words_and_leaves_a_gap_where_there_is_none():
    drawn = draw_trend((1, None, Decimal("2.50"), 4), ("a", "b", "c", "d<"), Language.VI)
    assert "<title>a 1; b –; c 2,50; d&lt; 4</title>" in drawn
    assert drawn.count("M") == 2, "the line begins again after the gap"
    assert "<circle" not in draw_trend((1, None), ("a", "b"), Language.VI)
    assert draw_trend((), (), Language.EN).startswith("<svg")
