"""Prepares the charts of a report from the reports of several periods. Knows which numbers belong together. Draws
nothing.

The table of the report is authoritative. Every number in a chart is a cell of one of the reports, or a ratio of two
cells.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from itertools import dropwhile

import attrs

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.report.counting.counting import Report
from hub.report.form.form import Chart, ChartKind
from hub.report.form.period import Period, parse_period
from hub.report.words import name_column, name_row_unit, write_number

MOST_BARS = 20  #: the maximum number of units in a chart of shares; if there are more, those with the smallest shares
MONTHS = 12  #: the number of months in a trend

_HUNDREDTH = Decimal("0.01")


@attrs.frozen
class Series:
    """The numbers of one column, in the order of the plot's labels; None where there is no number."""

    name: str
    values: tuple[int | Decimal | None, ...]


@attrs.frozen(kw_only=True)
class Plot:
    """One chart, ready to be drawn."""

    kind: ChartKind
    title: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    said: str  #: the whole content as text, for readers who cannot see the chart

    @property
    def percent(self) -> bool:
        """Whether the numbers are percentages."""
        return self.kind is ChartKind.SHARE


def make_plots(
    report: Report, names: Mapping[str, str], others: Iterable[Report] = (), language: Language = Language.VI
) -> tuple[Plot, ...]:
    """Return the charts that the form of *report* defines, if there are enough numbers for them.

    *others*: reports of the same unit and form for other periods (`list_chart_periods`), in any order. A report whose
    form version lacks a column of a chart is left out of it. A trend starts with the first period in which anything was
    counted, and needs two periods. A comparison needs a report of the year before that is not empty. A share needs a
    unit whose denominator is not 0.
    """
    by_period = {each.period.text: each for each in (*others, report)}
    monthly = [by_period[text] for text in list_twelve_months(report.period) if text in by_period]
    before = by_period.get(find_year_before(report.period))

    def plot(chart: Chart) -> Plot | None:
        match chart.kind:
            case ChartKind.TREND:
                return _plot_trend(chart, report, monthly, language)
            case ChartKind.COMPARISON:
                return _plot_comparison(chart, report, before, language)
            case ChartKind.SHARE:
                return _plot_share(chart, report, names, language)

    return tuple(found for chart in report.form.charts if (found := plot(chart)) is not None)


def list_chart_periods(report: Report) -> tuple[str, ...]:
    """Return the other periods, as text, whose reports the charts of *report* show, in order."""
    kinds = {chart.kind for chart in report.form.charts}
    texts = list(list_twelve_months(report.period)) if ChartKind.TREND in kinds else []
    texts += [find_year_before(report.period)] if ChartKind.COMPARISON in kinds else []
    # Their order does not depend on the cut-off days.
    others = {text: parse_period(text) for text in texts if text != report.period.text}
    return tuple(sorted(others, key=lambda text: (others[text].first, others[text].last)))


def list_twelve_months(period: Period) -> tuple[str, ...]:
    """Return the twelve months that end with *period*, as text, in order."""
    final = period.year * 12 + int(period.months[-1][5:]) - 1
    return tuple(f"{place // 12}-{place % 12 + 1:02d}" for place in range(final - MONTHS + 1, final + 1))


def find_year_before(period: Period) -> str:
    """Return the same period a year earlier, as text."""
    return period.text.replace(str(period.year), str(period.year - 1), 1)


def _plot_trend(chart: Chart, report: Report, reports: Sequence[Report], language: Language) -> Plot | None:
    begun = dropwhile(_is_empty, reports)  # a trend starts with the first counts
    shown = [each for each in begun if set(chart.columns) <= set(each.total.numbers)]
    if len(shown) < 2:
        return None
    series = tuple(
        Series(name_column(report.form.column(key), language), tuple(each.total.numbers[key] for each in shown))
        for key in chart.columns
    )
    labels = tuple(f"{each.period.number:02d}/{each.period.year}" for each in shown)
    return _make_plot(chart, labels, series, language)


def _plot_comparison(chart: Chart, report: Report, before: Report | None, language: Language) -> Plot | None:
    if before is None or _is_empty(before) or not set(chart.columns) <= set(before.total.numbers):
        return None
    series = tuple(
        Series(each.period.name(language), tuple(each.total.numbers[key] for key in chart.columns))
        for each in (before, report)
    )
    return _make_plot(
        chart, tuple(name_column(report.form.column(key), language) for key in chart.columns), series, language
    )


def _plot_share(chart: Chart, report: Report, names: Mapping[str, str], language: Language) -> Plot | None:
    """Plot the percentage of *columns* in *of* for each unit whose denominator is not 0, the largest first."""
    shares: list[tuple[Decimal, str]] = []
    for row in report.rows:
        whole, parts = row.numbers[chart.of or ""], [row.numbers[key] for key in chart.columns]
        if whole:
            part = sum(Decimal(part or 0) for part in parts)
            shares.append(
                ((Decimal(100) * part / whole).quantize(_HUNDREDTH, ROUND_HALF_UP), name_row_unit(row, names))
            )
    if not shares:
        return None
    shares.sort(key=lambda share: -share[0])
    title = chart.title.say(language)
    if len(shares) > MOST_BARS:
        many = write_number(len(shares), language)
        said = phrase("{title} (the {shown} smallest of {all})", title=title, shown=MOST_BARS, all=many)
        title = translate(said, language)
        shares = shares[-MOST_BARS:]
    series = Series("%", tuple(share for share, _ in shares))
    return _make_plot(chart, tuple(unit for _, unit in shares), (series,), language, title)


def _is_empty(report: Report) -> bool:
    """Whether nothing was counted."""
    return not any(report.total.numbers.values()) and not any(report.total.times.values())


def _make_plot(
    chart: Chart, labels: tuple[str, ...], series: tuple[Series, ...], language: Language, title: str = ""
) -> Plot:
    sentences = []
    for each in series:
        pairs = "; ".join(
            f"{label} {write_number(value, language)}" for label, value in zip(labels, each.values, strict=True)
        )
        sentences.append(f"{each.name}: {pairs}.")
    return Plot(
        kind=chart.kind,
        title=title or chart.title.say(language),
        labels=labels,
        series=series,
        said=" ".join(sentences),
    )
