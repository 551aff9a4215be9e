"""Draws the trend of a unit as a small line, and beside the median of its class, as SVG for screen and paper.

Knows marks and scales. The number of each mark stands in its title, and all of them in words for readers who see none.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from hub.domain.sanitize import replace_unwritable
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.report.counting.deriving import Number
from hub.report.form.form import ChartKind
from hub.report.glance.view import GlanceView, UnitGlance
from hub.report.output.charts import Plot, Series
from hub.report.words import write_number, write_short_period

_WIDE, _HIGH, _EDGE, _BAR = 120, 26, 3, 8


def draw_trend(values: Sequence[Number], periods: Sequence[str], language: Language) -> str:
    """Return a line over *periods* as the element `svg`: without axes, from the least to the greatest number. A missing
    number leaves a gap; the last one has a dot. It is told in words too.
    """
    known = [float(each) for each in values if each is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    step = (_WIDE - 2 * _EDGE) / max(1, len(values) - 1)

    def place(at: int, value: float) -> tuple[float, float]:
        share = 0.5 if high == low else (value - low) / (high - low)
        return round(_EDGE + at * step, 1), round(_HIGH - _EDGE - share * (_HIGH - 2 * _EDGE), 1)

    path, pen = [], False
    for at, value in enumerate(values):
        if value is not None:
            x, y = place(at, float(value))
            path.append(f"{'L' if pen else 'M'}{x:g} {y:g}")
        pen = value is not None
    last = values[-1] if values else None
    dot = ""
    if last is not None:
        x, y = place(len(values) - 1, float(last))
        dot = f'<circle cx="{x:g}" cy="{y:g}" r="2.5" fill="currentColor"/>'
    said = "; ".join(
        f"{write_short_period(period)} {write_number(value, language)}"
        for period, value in zip(periods, values, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="spark" viewBox="0 0 {_WIDE} {_HIGH}" width="{_WIDE}"'
        f' height="{_HIGH}" role="img"><title>{escape(replace_unwritable(said))}</title>'
        f'<path d="{"".join(path)}" fill="none" stroke="currentColor" stroke-width="1.5"/>{dot}</svg>'
    )


def draw_bar(value: Number, greatest: Number, target: Number = None) -> str:
    """Return a bar as long as *value* is of *greatest*, with a line at *target*, as the element `svg`; "" without a number.
    Its number stands beside it.
    """
    if value is None or not greatest or greatest < 0:
        return ""
    wide = round(_WIDE * max(0.0, min(1.0, float(value) / float(greatest))), 1)
    line = ""
    if target is not None and 0 <= target <= greatest:
        x = round(_WIDE * float(target) / float(greatest), 1)
        line = f'<path d="M{x:g} 0V{_BAR}" stroke="currentColor" stroke-width="2"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="spark" viewBox="0 0 {_WIDE} {_BAR}" width="{_WIDE}"'
        f' height="{_BAR}" aria-hidden="true"><rect width="{wide:g}" height="{_BAR}" fill="currentColor"'
        f' fill-opacity="0.55"/>{line}</svg>'
    )


def make_unit_plot(found: UnitGlance, language: Language) -> Plot:
    """Return the chart of the unit's trend beside the median of the units that it is compared with."""
    view = found.view
    labels = tuple(write_short_period(each.text) for each in view.trend)
    series = [Series(found.row.unit.name, found.row.trend)]
    if found.middles is not None:
        series.append(Series(translate(phrase("Half of the units have at most"), language), tuple(found.middles)))
    said = " ".join(
        f"{each.name}: "
        + "; ".join(
            f"{label} {write_number(value, language)}" for label, value in zip(labels, each.values, strict=True)
        )
        + "."
        for each in series
    )
    title = view.name_indicator(view.indicator, language)
    return Plot(kind=ChartKind.TREND, title=title, labels=labels, series=tuple(series), said=said)


def name_shown(view: GlanceView, language: Language) -> str:
    """Return which units are shown: the heading of their class, or the unit above them."""
    if view.under is not None:
        return translate(phrase("Units directly below {unit}", unit=view.under.name), language)
    return next((heading.say(language) for key, heading, _ in view.classes if key == view.of_class), "")
