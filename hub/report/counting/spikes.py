"""Finds figures of a month that are far from the mean of the months before it.

Knows the rule of a form (`SpikeRule`) and whole numbers. Does not know whether a figure is wrong: it is to be looked at.
"""

from collections.abc import Mapping
from fractions import Fraction

import attrs

from hub.report.form.column import ColumnKind
from hub.report.form.form import Form, SpikeRule

#: The kinds whose numbers begin at nought each month. A stock is carried on, and a peak is no sum of a month.
FLOWING = frozenset({ColumnKind.FLOW, ColumnKind.HAPPENING, ColumnKind.END})


@attrs.frozen
class Spike:
    """A figure of a unit that is far from those of the months before."""

    unit: str
    column: str
    figure: int
    total: int  #: the sum of the same cell in the months before
    months: int  #: the number of these months, at least 1

    @property
    def mean(self) -> Fraction:
        """The mean of the months before."""
        return Fraction(self.total, self.months)

    @property
    def rises(self) -> bool:
        """Whether the figure is above the mean."""
        return self.figure > self.mean

    @property
    def distance(self) -> Fraction:
        """How far the figure is from the mean; the greatest distance is listed first."""
        return abs(self.figure - self.mean)


def list_compared_columns(form: Form) -> tuple[str, ...]:
    """Return the columns whose figures are compared."""
    return tuple(column.key for column in form.columns if column.kind in FLOWING)


def find_unit_spikes(
    form: Form, unit: str, figures: Mapping[str, int], totals: Mapping[str, int], months: int
) -> list[Spike]:
    """Return the figures of *unit* that the rule of *form* names, in the order of its columns.

    *figures*: the unit's own cells in the month. *totals*: their sums over the *months* before it. A column that is
    absent is nought. Empty if there are too few months.
    """
    if months < form.spikes.least_months:
        return []
    found = (Spike(unit, key, figures.get(key, 0), totals.get(key, 0), months) for key in list_compared_columns(form))
    return [each for each in found if is_spike(form.spikes, each)]


def is_spike(rule: SpikeRule, said: Spike) -> bool:
    """Return whether the figure is above `factor` times the mean and above `least`, or below the mean divided by
    `fraction` where the mean is at least `least_mean`. In whole numbers, so that nothing is rounded.
    """
    times = said.figure * said.months
    above = times > rule.factor * said.total and said.figure > rule.least
    below = times * rule.fraction < said.total and said.total >= rule.least_mean * said.months
    return above or below
