"""Compares the figures of a month to be closed with the closed months before it, and keeps what is far from them.

Reads the rows of closed months, never facts. What was found stands in the event `unusual-figures` of the closing, which
is found by its time. Blocks no closing. Does not know how a month is counted.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

import attrs
import sqlalchemy as sa

from hub.domain.model import Event, UnitKind
from hub.journal import event_index, unit_registry
from hub.journal.event_index import EventFilter
from hub.report.counting.spikes import Spike, find_unit_spikes
from hub.report.form.form import Form
from hub.report.form.period import Period
from hub.store.tables import closed_row
from hub.store.tables import closing as table
from hub.store.transactions import Transaction

#: The event of a closing with such figures.
_NAME = "unusual-figures"
#: The maximum number of figures that are named of a month, those farthest from their mean first; all are counted.
MOST = 200
#: More forms than are ever closed as of the same time.
_FORMS = 1_000


@attrs.frozen
class FoundSpikes:
    """The figures of a month that are far from their means."""

    count: int = 0
    named: tuple[Spike, ...] = ()  #: at most `MOST`

    @property
    def left_out(self) -> int:
        """The number of those that are not named."""
        return self.count - len(self.named)

    def select(self, units: Collection[str]) -> "FoundSpikes":
        """Return the same with the figures of *units* alone named."""
        named = tuple(each for each in self.named if each.unit in units)
        return FoundSpikes(self.left_out + len(named), named)


NO_SPIKES = FoundSpikes()


def compare_month(
    tx: Transaction,
    form: Form,
    period: Period,
    figures: Mapping[str, Mapping[str, int]],
    before: Sequence[str],
) -> FoundSpikes:
    """Return what is far from its mean in the month *period*. Writes nothing.

    *figures*: each unit's own cells in the month, by column. *before*: the closed months that are compared, in order.
    Their rows are read in the newest revision. The months of a unit begin with the first of these in which it has a row;
    a later month without a row is nought. A unit that has ended by the last day of *period* is not told to have fallen.
    Test units of a drill, which are busy for a day and then silent, are not compared.
    """
    if len(before) < form.spikes.least_months:
        return NO_SPIKES
    places = {text: place for place, text in enumerate(before)}
    units = unit_registry.list_registry_units(tx, period.last)
    ended = {unit.code for unit in units if unit.until is not None and unit.until <= period.last + timedelta(days=1)}
    drill = {unit.code for unit in units if unit.kind == UnitKind.DRILL}
    found: list[Spike] = []
    for unit, (first, totals) in _sum_months(tx, form, places).items():
        if unit in drill:
            continue
        said = find_unit_spikes(form, unit, figures.get(unit, {}), totals, len(before) - first)
        found += (each for each in said if each.rises or unit not in ended)
    found.sort(key=lambda each: (-each.distance, each.unit, each.column))
    return FoundSpikes(len(found), tuple(found[:MOST]))


def _sum_months(tx: Transaction, form: Form, places: Mapping[str, int]) -> dict[str, tuple[int, Counter[str]]]:
    """Return, for each unit with a row in one of the months *places*, the place of the first and the sums of its cells."""
    row = closed_row.c
    query = sa.select(row.period, row.unit, row.numbers).where(row.form == form.id, row.period.in_(list(places)))
    read = tx.execute(query.order_by(row.period, row.unit, row.revision))
    found: dict[str, tuple[int, Counter[str]]] = {}
    for (period, unit), revisions in groupby(read, key=attrgetter("period", "unit")):
        *_, newest = revisions
        totals = found.setdefault(unit, (places[period], Counter()))[1]
        totals.update(json.loads(newest.numbers))
    return found


def make_spikes_event(form: str, period: str, found: FoundSpikes, at: datetime, by: str) -> Event:
    """Return the event of the closing at the time *at* that *by* made, in which *found* was found."""
    figures = [[each.unit, each.column, each.figure, each.total, each.months] for each in found.named]
    body = {"form": form, "period": period, "by": by, "unusual": found.count, "figures": figures}
    return Event("unusual-figures", at, body=body)


def read_spikes(tx: Transaction, form: str, period: str) -> FoundSpikes:
    """Return what was found at the closing of the month *period* of *form*; `NO_SPIKES` if it is no closed month."""
    at = tx.scalar(sa.select(table.c.closed_at).where(table.c.form == form, table.c.period == period))
    if at is None:
        return NO_SPIKES
    wanted = EventFilter(name=_NAME, since=at, until=at + timedelta(microseconds=1))
    for each in event_index.find_events(tx, wanted, _FORMS).found:
        if (each.fields["form"], each.fields["period"]) == (form, period):
            return FoundSpikes(each.fields["unusual"], tuple(Spike(*said) for said in each.fields["figures"]))
    return NO_SPIKES
