"""What the charts of a report show, and that people who do not see them, or see no colour, are told the same."""

import re
from datetime import timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

import attrs
import openpyxl
import pytest
from lxml import etree

from hub.domain.errors import ConfigurationFault
from hub.report.counting.counting import Cells, Report, Row, assemble_report, count_report
from hub.report.form.column import ColumnKind
from hub.report.form.folder import FOLDER, read_form_folder
from hub.report.form.form import ChartKind
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml
from hub.report.output.charts import (
    MOST_BARS,
    Plot,
    Series,
    find_year_before,
    list_chart_periods,
    list_twelve_months,
    make_plots,
)
from hub.report.output.outputs import write_html_report
from hub.report.output.svg import draw_plot
from hub.report.output.workbook import write_xlsx_report

EDOC = next(form for form in read_form_folder() if form.id == "edoc")
NAMES = {"H55": "Ủy ban nhân dân tỉnh", "H55.1": "Sở Tư pháp"}
SVG = "{http://www.w3.org/2000/svg}"


def report(period: str, *rows: dict[str, int]) -> Report:
    """Return a report of units H55, H55.1 and so on, with these cells; all others are 0."""
    span = parse_period(period)
    units = ["H55", *(f"H55.{place}" for place in range(1, len(rows)))]
    made = count_report(EDOC, [], span, span.end + timedelta(days=1), units)

    def filled(row: Row, cells: dict[str, int]) -> Row:
        return attrs.evolve(row, numbers={**row.numbers, **cells})

    found = tuple(filled(row, cells) for row, cells in zip(made.rows, rows, strict=True))
    total = {key: sum(int(row.numbers[key] or 0) for row in found) for key in made.total.numbers}
    return attrs.evolve(made, rows=found, total=attrs.evolve(made.total, numbers=total))


def of_kind(kind: str, *args: Any) -> Plot:
    (found,) = (plot for plot in make_plots(*args) if plot.kind == kind)
    return found


# Which numbers


def test_a_trend_has_the_totals_of_its_columns_month_by_month():
    others = [report("2026-11", {"sent": 5, "received": 1}), report("2026-10", {"sent": 3})]
    trend = of_kind("trend", report("2026-12", {"sent": 8, "received": 2}), NAMES, others)
    assert trend.title == "Văn bản gửi và nhận theo tháng"
    assert trend.labels == ("10/2026", "11/2026", "12/2026")
    assert trend.series == (Series("Văn bản gửi: Tổng gửi", (3, 5, 8)), Series("Văn bản nhận: Tổng nhận", (0, 1, 2)))
    assert "Văn bản gửi: Tổng gửi: 10/2026 3; 11/2026 5; 12/2026 8." in trend.said


def test_a_trend_begins_where_anything_was_counted_and_needs_two_months():
    empty = [report("2026-09", {}), report("2026-10", {})]
    now = report("2026-12", {"sent": 8})
    assert of_kind("trend", now, NAMES, [*empty, report("2026-11", {"sent": 1})]).labels == ("11/2026", "12/2026")
    assert not [plot for plot in make_plots(now, NAMES, empty) if plot.kind is ChartKind.TREND]


def test_a_share_is_what_a_part_is_of_the_whole_in_each_unit_that_has_one_the_largest_first():
    rows = ({"completed": 3, "completed_on_time": 1}, {"completed": 4, "completed_on_time": 4}, {"completed": 0})
    share = of_kind("share", report("2026-12", *rows), NAMES)
    assert share.labels == ("Sở Tư pháp", "Ủy ban nhân dân tỉnh")
    assert share.series == (Series("%", (Decimal("100.00"), Decimal("33.33"))),)


def test_of_many_units_the_smallest_shares_are_shown_and_the_title_says_so():
    rows = [{"completed": 100, "completed_on_time": place} for place in range(MOST_BARS + 5)]
    share = of_kind("share", report("2026-12", *rows), NAMES)
    assert len(share.labels) == MOST_BARS
    assert max(share.series[0].values, key=lambda each: each or 0) == Decimal("19.00")
    assert share.title.endswith("(20 đơn vị thấp nhất trong 25)")


def test_a_comparison_puts_the_same_period_a_year_before_beside_this_one():
    comparison = of_kind("comparison", report("2026-12", {"sent": 8}), NAMES, [report("2025-12", {"sent": 6})], "en")
    assert [each.name for each in comparison.series] == ["December 2025", "December 2026"]
    assert [each.values[0] for each in comparison.series] == [6, 8]
    before_the_hub = [report("2025-12", {})]
    assert not [
        each for each in make_plots(report("2026-12", {"sent": 8}), NAMES, before_the_hub) if each.kind == "comparison"
    ]


def test_a_period_whose_form_had_other_columns_is_left_out():
    other = report("2025-12", {"sent": 6})
    fewer = attrs.evolve(other.total, numbers={"sent": 6})
    assert not make_plots(report("2026-12", {"sent": 8}), NAMES, [attrs.evolve(other, total=fewer)])


@pytest.mark.parametrize(
    ("period", "first", "last", "before"),
    [
        ("2026-12", "2026-01", "2026-12", "2025-12"),
        ("2026-02", "2025-03", "2026-02", "2025-02"),
        ("2026-Q2", "2025-07", "2026-06", "2025-Q2"),
        ("2026-H1", "2025-07", "2026-06", "2025-H1"),
        ("2026-9M", "2025-10", "2026-09", "2025-9M"),
        ("2026", "2026-01", "2026-12", "2025"),
    ],
)
def test_which_periods_a_report_is_shown_beside(period, first, last, before):
    found = list_twelve_months(parse_period(period))
    assert (found[0], found[-1], len(found), find_year_before(parse_period(period))) == (first, last, 12, before)
    shown = list_chart_periods(report(period, {}))
    assert set(shown) == {*found, before} - {period}


# How they look


def drawn(plot: Plot) -> etree._Element:
    return etree.fromstring(draw_plot(plot))


def test_every_number_of_a_chart_is_in_its_words_and_on_its_marks():
    comparison = of_kind("comparison", report("2026-12", {"sent": 1234}), NAMES, [report("2025-12", {"sent": 6})])
    image = drawn(comparison)
    assert image.get("role") == "img"
    assert image.get("aria-labelledby") == "chart-title chart-desc"
    assert image.findtext(f"{SVG}title") == "So với cùng kỳ năm trước"
    assert "1.234" in (image.findtext(f"{SVG}desc") or "")
    marks = [each.text for each in image.findall(f"{SVG}rect/{SVG}title")]
    assert marks[:2] == [
        "Tháng 12 năm 2025, Văn bản gửi: Tổng gửi: 6",
        "Tháng 12 năm 2026, Văn bản gửi: Tổng gửi: 1.234",
    ]


def test_bars_are_as_long_as_their_numbers():
    rows = ({"completed": 4, "completed_on_time": 1}, {"completed": 4, "completed_on_time": 2})
    bars = drawn(of_kind("share", report("2026-12", *rows), NAMES)).findall(f"{SVG}rect")
    first, second = (float(each.get("width", "")) for each in bars)
    assert first == pytest.approx(2 * second, abs=0.2)


def test_lines_differ_by_more_than_colour_and_break_where_there_is_no_number():
    trend = Plot(
        kind=ChartKind.TREND,
        title="T",
        labels=("1", "2", "3", "4"),
        series=(Series("a", (1, None, 3, 4)), Series("b", (1, 2, 3, 4))),
        said="",
    )
    lines = [each for each in drawn(trend).findall(f"{SVG}path") if each.get("stroke-width") == "2"]
    dashes = [each.get("stroke-dasharray") for each in lines]
    assert dashes.count(None) == 1 + 1, "one of the legend, one of the two neighbours"
    assert dashes.count("7 4") == 1 + 3


def test_a_chart_runs_nothing_fetches_nothing_and_shows_names_as_text():
    rows: tuple[dict[str, int], ...] = ({"completed": 4, "completed_on_time": 1}, {})
    text = draw_plot(of_kind("share", report("2026-12", *rows), {"H55": '<script>alert("1")</script>&\x0b\ud800'}))
    assert "<script" not in text
    assert not re.search(r"href|url\(|\son\w+=|<style", text)
    etree.fromstring(text)


def test_charts_of_one_page_have_ids_of_their_own_and_stand_after_the_table():
    others = [report("2026-11", {"sent": 5}), report("2025-12", {"sent": 6})]
    now = report("2026-12", {"sent": 8, "completed": 4, "completed_on_time": 1})
    page = write_html_report(now, NAMES, charts=make_plots(now, NAMES, others))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) == 7
    assert page.index("</table>") < page.index("<svg")
    assert page.count("<svg") == 3


def test_the_workbook_draws_its_charts_from_cells_with_the_same_numbers():
    others = [report("2026-11", {"sent": 5}), report("2025-12", {"sent": 6})]
    now = report("2026-12", {"sent": 8, "completed": 4, "completed_on_time": 1})
    shown = make_plots(now, NAMES, others)
    sheet = openpyxl.load_workbook(BytesIO(write_xlsx_report(now, NAMES, "0" * 64, charts=shown)))["Biểu đồ"]
    assert len(sheet._charts) == 3
    for chart, plot in zip(sheet._charts, shown, strict=True):
        for series, expected in zip(chart.series, plot.series, strict=True):
            cells = sheet[series.val.numRef.f.split("!")[1].replace("$", "")]
            found = [cell.value for row in (cells if isinstance(cells, tuple) else ((cells,),)) for cell in row]
            assert found == [None if value is None else float(value) for value in expected.values]


# How a form says it


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ('kind = "pie"', "kind"),
        ('columns = ["never"]', "columns"),
        ('columns = ["last_update"]', "columns"),
        ("columns = []", "columns"),
        ('columns = ["sent", "received", "total", "failed", "refused"]', "columns"),
        ('of = "sent"', "of"),
    ],
)
def test_a_chart_that_the_form_cannot_draw_is_a_mistake_with_its_place(words, place):
    key = words.split(" ")[0]
    right = {"kind": 'kind = "trend"', "vi": 'vi = "V"', "en": 'en = "E"', "columns": 'columns = ["sent"]', key: words}
    text = (FOLDER / "edoc.toml").read_text().split("[[chart]]")[0] + "[[chart]]\n" + "\n".join(right.values())
    with pytest.raises(ConfigurationFault) as caught:
        read_form_toml(text.encode(), "f.toml")
    assert [mistake.path for mistake in caught.value.mistakes] == [f"f.toml: chart[0].{place}"]


def test_a_trend_may_be_one_of_ratios_and_breaks_where_there_is_none():
    form = next(form for form in read_form_folder() if form.id == "qd766")
    keys = [column.key for column in form.columns if column.kind is ColumnKind.TAKEN]

    def month(text: str, **some: int) -> Report:
        span = parse_period(text)
        return assemble_report(form, span, span.end, ("H55",), {"H55": Cells({key: some.get(key, 0) for key in keys})})

    others = [month("2026-10", received_new=3, synced=1), month("2026-11", settled_early=1)]
    (trend,) = make_plots(month("2026-12", received_new=4, synced=3), NAMES, others)
    assert trend.series[0].values == (Decimal("33.33"), None, Decimal("75.00"))
    assert "10/2026 33,33; 11/2026 –; 12/2026 75,00" in trend.said


def test_a_share_needs_its_whole():
    text = (FOLDER / "edoc.toml").read_text().replace('of = "completed"', 'of = "last_update"')
    with pytest.raises(ConfigurationFault, match="of"):
        read_form_toml(text.encode(), "f.toml")
