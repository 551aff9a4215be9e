"""Draws a chart as SVG: small, static, without external resources, legible in print and without colour. Knows marks and
scales. Does not know reports.

The element `desc` contains the whole content as text, and the `title` of each mark contains its number.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from math import floor, log10
from textwrap import wrap
from xml.sax.saxutils import escape, quoteattr

from hub.domain.sanitize import replace_unwritable
from hub.language.languages import Language
from hub.report.form.form import ChartKind
from hub.report.output.charts import Plot
from hub.report.words import write_number

WIDTH = 760  #: the width of every chart, in SVG units

_FACE = "'Times New Roman', 'Liberation Serif', Tinos, Times, serif"
_COLOURS = ("#1a4f8b", "#b35900", "#2f6b2f", "#7a3b8f")
_PALE = "#9db7d3"  # the year before, beside the current year
_DASHES = ("", "7 4", "2 3", "9 3 2 3")
_INK, _FAINT, _GRID = "#111111", "#555555", "#d9d9d2"
_LABELS = 250  # the width for the names beside bars
_BAR = 13


def draw_plot(plot: Plot, language: Language = Language.VI, prefix: str = "chart") -> str:
    """Return the element `svg`. *prefix*: the start of its ids, which must be unique on the page."""
    head, top = _draw_head(plot)
    body, height = _draw_lines(plot, top, language) if plot.kind is ChartKind.TREND else _draw_bars(plot, top, language)
    title, said = f"{prefix}-title", f"{prefix}-desc"
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_write_length(height)}" role="img"'
        f' aria-labelledby="{title} {said}" font-family={quoteattr(_FACE)} font-size="13" fill="{_INK}">'
    )
    words = f'<title id="{title}">{_write_safe_text(plot.title)}</title><desc id="{said}">{_write_safe_text(plot.said)}</desc>'
    return "".join([opening, words, *head, *body, "</svg>"])


def choose_colours(plot: Plot) -> tuple[str, ...]:
    """Return the colour of each series, as `#rrggbb`."""
    return tuple(_choose_shade(plot, place) for place in range(len(plot.series)))


def _draw_head(plot: Plot) -> tuple[list[str], float]:
    """Return the title and, for several series, the legend; and the y at which the chart itself may begin."""
    parts, y = [], 4.0
    for line in _fold_text(plot.title, 95, 2):
        y += 17
        parts.append(_draw_text(0, y, line, 'font-size="15" font-weight="bold"'))
    if len(plot.series) < 2:
        return parts, y + 14
    x, y = 0.0, y + 22
    for place, series in enumerate(plot.series):
        name = _fold_text(series.name, 60, 1)[0]
        width = 34 + 7.2 * len(name) + 18
        if x and x + width > WIDTH:
            x, y = 0.0, y + 18
        if plot.kind is ChartKind.TREND:
            parts.append(_draw_line(x, y - 4, x + 26, y - 4, place))
            parts.append(_draw_dot(x + 13, y - 4, place))
        else:
            parts.append(
                f'<rect x="{_write_length(x)}" y="{_write_length(y - 10)}" width="26" height="11" fill="{_choose_shade(plot, place)}"/>'
            )
        parts.append(_draw_text(x + 32, y, name))
        x += width
    return parts, y + 16


def _draw_lines(plot: Plot, top: float, language: Language) -> tuple[list[str], float]:
    """Draw one line per series over the periods. A missing number leaves a gap."""
    height, left, right = 220.0, 70.0, 60.0
    bottom, wide = top + height, WIDTH - left - right
    ticks = _choose_ticks(max((value for each in plot.series for value in each.values if value is not None), default=0))
    scale = height / float(ticks[-1])
    step = wide / max(1, len(plot.labels) - 1)
    parts = []
    for tick in ticks:
        y = bottom - float(tick) * scale
        parts.append(
            f'<path d="M{_write_length(left)} {_write_length(y)}H{_write_length(left + wide)}" stroke="{_GRID}" stroke-width="1"/>'
        )
        parts.append(
            _draw_text(
                left - 8, y + 4, write_number(tick, language), f'text-anchor="end" fill="{_FAINT}" font-size="12"'
            )
        )
    for place, label in enumerate(plot.labels):
        anchor = "start" if place == 0 and len(plot.labels) == 1 else "middle"
        parts.append(
            _draw_text(
                left + place * step, bottom + 18, label, f'text-anchor="{anchor}" fill="{_FAINT}" font-size="12"'
            )
        )
    ends: list[tuple[float, int, str]] = []
    for place, series in enumerate(plot.series):
        points = [
            None if value is None else (left + at * step, bottom - float(value) * scale, value, plot.labels[at])
            for at, value in enumerate(series.values)
        ]
        for one, other in pairwise(points):
            if one and other:
                parts.append(_draw_line(one[0], one[1], other[0], other[1], place))
        for point in points:
            if point:
                said = f"{series.name}, {point[3]}: {write_number(point[2], language)}"
                parts.append(_draw_dot(point[0], point[1], place, said))
        if points[-1]:
            ends.append((points[-1][1], place, write_number(points[-1][2], language)))
    below = top - 100
    for y, place, shown in sorted(ends):
        below = max(y, below + 14)  # labels never overlap
        look = f'fill="{_COLOURS[place]}" font-weight="bold" font-size="12"'
        parts.append(_draw_text(left + (len(plot.labels) - 1) * step + 8, below + 4, shown, look))
    return parts, bottom + 28


def _draw_bars(plot: Plot, top: float, language: Language) -> tuple[list[str], float]:
    """Draw horizontal bars, those of one label together, each with its number at its end."""
    values = [value for each in plot.series for value in each.values if value is not None]
    greatest = max([*values, 100 if plot.percent else 1])
    room = WIDTH - _LABELS - 90.0
    parts, y = [], top
    for at, label in enumerate(plot.labels):
        lines = _fold_text(label, 40, 2)
        height = max(len(plot.series) * (_BAR + 2), 14 * len(lines)) + 8
        first = y + (height - 14 * len(lines)) / 2 + 11 - 1
        parts += [
            _draw_text(_LABELS - 8, first + 14 * place, line, 'text-anchor="end"') for place, line in enumerate(lines)
        ]
        start = y + (height - len(plot.series) * (_BAR + 2)) / 2
        for place, series in enumerate(plot.series):
            value, above = series.values[at], start + place * (_BAR + 2)
            shown = write_number(value, language) + (" %" if plot.percent and value is not None else "")
            wide = 0.0 if value is None else float(value) / float(greatest) * room
            said = f"{series.name}, {label}: {shown}" if len(plot.series) > 1 else f"{label}: {shown}"
            parts.append(
                f'<rect x="{_LABELS}" y="{_write_length(above)}" width="{_write_length(wide)}" height="{_BAR}" fill="{_choose_shade(plot, place)}">'
                f"<title>{_write_safe_text(said)}</title></rect>"
            )
            parts.append(_draw_text(_LABELS + wide + 6, above + 11, shown, 'font-size="12"'))
        y += height
    parts.append(f'<path d="M{_LABELS} {_write_length(top)}V{_write_length(y)}" stroke="{_FAINT}" stroke-width="1"/>')
    return parts, y + 6


def _choose_ticks(greatest: int | Decimal) -> list[int]:
    """Return evenly spaced whole numbers from 0, the last at or above *greatest*."""
    rough = max(1.0, float(greatest) / 4)
    power = 10 ** floor(log10(rough))
    step = int(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough))
    return [place * step for place in range(int(-(-float(greatest) // step)) + 1)] if greatest else [0, 1]


def _choose_shade(plot: Plot, place: int) -> str:
    if plot.kind is ChartKind.TREND:
        return _COLOURS[place]
    return _PALE if plot.kind is ChartKind.COMPARISON and place == 0 else _COLOURS[0]


def _draw_line(x: float, y: float, to_x: float, to_y: float, place: int) -> str:
    dash = f' stroke-dasharray="{_DASHES[place]}"' if _DASHES[place] else ""
    return f'<path d="M{_write_length(x)} {_write_length(y)}L{_write_length(to_x)} {_write_length(to_y)}" stroke="{_COLOURS[place]}" stroke-width="2"{dash}/>'


def _draw_dot(x: float, y: float, place: int, said: str = "") -> str:
    title = f"<title>{_write_safe_text(said)}</title>" if said else ""
    return f'<circle cx="{_write_length(x)}" cy="{_write_length(y)}" r="3.5" fill="{_COLOURS[place]}">{title}</circle>'


def _draw_text(x: float, y: float, text: str, look: str = "") -> str:
    return f'<text x="{_write_length(x)}" y="{_write_length(y)}"{" " + look if look else ""}>{_write_safe_text(text)}</text>'


def _fold_text(text: str, letters: int, most: int) -> Sequence[str]:
    """Return *text* on at most *most* lines of at most *letters* characters each, shortened with “…” where it is
    longer.
    """
    return wrap(" ".join(text.split()), letters, max_lines=most, placeholder="…") or [""]


def _write_safe_text(text: str) -> str:
    return escape(replace_unwritable(text))


def _write_length(value: float) -> str:
    """Write a length with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")
