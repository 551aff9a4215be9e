"""A workload report as it is asked for: its form, its period, the units it sums up and their facts.

Knows what a unit and a period given as text mean in this journal; not how a report looks or who asks.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from hub import ledger, registry
from hub.model import Fact
from hub.report import counting
from hub.report.counting import Report
from hub.report.family import family
from hub.report.form import Form, choose
from hub.report.period import Period, parse
from hub.report.reading import forms
from hub.store import Transaction


@attrs.frozen
class Asked:
    """What a report is counted from."""

    form: Form
    period: Period
    members: tuple[str, ...]  #: the unit, then those below it
    facts: Sequence[Fact]  #: theirs, up to the period's end
    names: Mapping[str, str]  #: of every unit of the province, by code

    @property
    def unit_is_known(self) -> bool:
        """Whether the registry holds the unit, or something was counted for it."""
        return self.members[0] in self.names or bool(self.facts)

    def count(self, now: datetime) -> Report:
        """Return the report as it is at *now*."""
        return counting.count(self.form, self.facts, self.period, now, self.members)

    def behind(self, column: str, now: datetime) -> tuple[Fact, ...]:
        """Return the facts behind the total of *column*.  KeyError: no such column."""
        return counting.behind(self.form, column, self.facts, self.period, now, self.members)


def ask(tx: Transaction, unit: str, period: str, form: str) -> Asked:
    """Return what the report *form* of *unit* (its code, or an alias) is counted from for *period*, such as `2026-12`.

    Raises PeriodUnreadable; LookupError when there is no such form for the period.
    """
    span = parse(period)
    chosen = choose(forms(), form, span)
    code, units = registry.canonical(tx, unit), registry.units(tx)
    names = {held.code: held.name for held in units}
    members = family(units, code, span.last + timedelta(days=1)) if code in names else (code,)
    return Asked(chosen, span, members, list(ledger.facts(tx, units=members, until=span.end)), names)
