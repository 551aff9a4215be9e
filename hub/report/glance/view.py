"""What the province's page at a glance says, ready to be written as a page or a file. Knows no layout."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from hub.domain.model import Unit
from hub.language.languages import Language
from hub.report.counting.spikes import Spike
from hub.report.form.form import Form, Wording
from hub.report.form.period import Period
from hub.report.glance.ranking import Ranking
from hub.report.glance.settings import RankIndicator
from hub.report.output.words import name_column


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
    spikes_left_out: int = 0  #: unusual figures of the month that are not named, of any unit

    @property
    def names(self) -> Mapping[str, str]:
        """The names of units by code."""
        return {code: unit.name for code, unit in self.units.items()}

    def list_spikes(self, code: str) -> list[Spike]:
        """Return what was unusual in the unit *code* and those below it, in the columns of the indicator."""
        parts = {part.key for key in self.indicator.columns for part in self.form.parts(key)}
        return [each for each in self.spikes if each.column in parts and self.is_below(each.unit, code)]

    def is_below(self, code: str, above: str) -> bool:
        """Return whether the unit *code* is *above*, or below it."""
        seen = set[str]()
        current: str | None = code
        while current and current not in seen:
            if current == above:
                return True
            seen.add(current)
            current = self.parents.get(current)
        return False

    def name_indicator(self, indicator: RankIndicator, language: Language) -> str:
        """Return what *indicator* is called: its own name, or the heading of its only column."""
        if indicator.heading is not None:
            return indicator.heading.say(language)
        return " + ".join(name_column(self.form.column(key), language) for key in indicator.part)
