"""What the province's page at a glance says, ready to be written as a page or a file. Knows no layout."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import attrs

from hub.domain.model import Unit
from hub.language.languages import Language
from hub.report.counting.deriving import Number
from hub.report.counting.spikes import Spike
from hub.report.form.column import Wording
from hub.report.form.form import Form
from hub.report.form.period import Period
from hub.report.glance.ranking import RankedUnit, Ranking
from hub.report.glance.settings import Better, RankIndicator
from hub.report.words import name_column, write_number, write_value


@attrs.frozen(kw_only=True)
class GlanceView:
    """The units of a class beside one another."""

    form: Form
    period: Period
    indicator: RankIndicator
    indicators: Sequence[RankIndicator]
    classes: Sequence[tuple[str, Wording, int]]  #: each class that has units: key, heading, number of units
    of_class: str  #: the key of the class that is shown; "" where the units under one are
    under: Unit | None
    ranking: Ranking
    limited: bool  #: only some of the units are shown, those that the reader may see
    trend: Sequence[Period]  #: the periods of the ranking
    made_at: datetime  #: when it was counted; of a closed period: when its newest row was made
    complete: bool  #: all of the period is closed
    revision: int
    units: Mapping[str, Unit] = attrs.field(repr=False)  #: the province's units of the period, by code
    parents: Mapping[str, str | None] = attrs.field(repr=False)  #: of these units
    spikes: Sequence[Spike] = ()  #: what was unusual at the closing in these units and those below them
    _spikes_of: Mapping[str, Sequence[Spike]] = attrs.field(
        default=attrs.Factory(lambda self: self._group_spikes(), takes_self=True), init=False, repr=False, eq=False
    )

    @property
    def names(self) -> Mapping[str, str]:
        """The names of units by code."""
        return {code: unit.name for code, unit in self.units.items()}

    def list_spikes(self, code: str) -> Sequence[Spike]:
        """Return what was unusual in the unit *code* and those below it, in the columns of the indicator."""
        return self._spikes_of.get(code, ())

    def _group_spikes(self) -> Mapping[str, Sequence[Spike]]:
        """Return what was unusual in the columns of the indicator, by each unit that it is in or below."""
        parts = {part.key for key in self.indicator.columns for part in self.form.parts(key)}
        found: dict[str, list[Spike]] = {}
        for each in self.spikes:
            seen, current = set[str](), each.unit if each.column in parts else None
            while current and current not in seen:
                found.setdefault(current, []).append(each)
                seen.add(current)
                current = self.parents.get(current)
        return found

    def name_indicator(self, indicator: RankIndicator, language: Language) -> str:
        """Return what *indicator* is called: its own name, or the heading of its only column."""
        if indicator.heading is not None:
            return indicator.heading.say(language)
        return " + ".join(name_column(self.form.column(key), language) for key in indicator.part)

    def name_column(self, key: str, language: Language) -> str:
        """Return the heading of a column of the form."""
        return name_column(self.form.column(key), language)

    def write_value(self, value: Number, language: Language) -> str:
        """Return a value of the indicator as readers see it; a grade by its name."""
        if len(self.indicator.part) == 1 and not self.indicator.whole:
            return write_value(value, self.form.column(self.indicator.part[0]), language)
        return write_number(value, language)

    def write_change(self, change: Number, language: Language) -> str:
        """Return a change with its sign."""
        return ("+" if change is not None and change > 0 else "") + write_number(change, language)


@attrs.frozen(kw_only=True)
class UnitGlance:
    """How one unit stands among those that are like it, and why."""

    view: GlanceView  #: of the units it is compared with
    row: RankedUnit
    compared: int  #: the number of these units that have a number
    middles: Sequence[Number] | None  #: their median in each period of the trend; None: it is not shown
    columns: Sequence[
        tuple[str, Number, Number]
    ]  #: each column of the indicator: its number now, and in the period before
    below: Ranking | None  #: the units directly below it; None: there are none


@attrs.frozen(kw_only=True)
class FieldFigure:
    """What one value of an attribute, such as a field of procedures, has of a unit's number."""

    address: str  #: of the divided row (`hub.report.output.body.Printed.address`)
    name: Wording
    part: Number
    whole: Number  #: None: the indicator has none
    value: Number

    def weigh(self, indicator: RankIndicator) -> tuple[Decimal | int, str]:
        """Return the sort key by which what weighs most comes first: the part or, of a percentage of which more is better,
        what it lacks.
        """
        part, whole = self.part or 0, self.whole
        lacks = whole is not None and indicator.better is Better.MORE
        return -(whole - part if lacks and whole is not None else part), self.address
