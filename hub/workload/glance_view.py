"""Assembles what the province's page at a glance shows, from kept sheets and the registry. Counts no facts.

Whether a reader may see a unit is the caller's to say (*seen*). A reader who sees some units alone sees their places among
all of the class, and no number of another unit.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.report.form.book import Book
from hub.report.form.form import Form, FormMissing
from hub.report.form.period import Period, parse_period
from hub.report.form.toml import read_form_toml
from hub.report.glance.ranking import rank_units
from hub.report.glance.settings import Glance, RankIndicator
from hub.report.glance.sheet import list_province_family
from hub.report.glance.view import GlanceView
from hub.store.transactions import Transaction
from hub.workload import closing, glance_counting, glance_rows, month_world, spikes


class SheetMissing(LookupError):
    """The numbers of the period are not kept yet."""

    def __init__(self, form: str, period: str) -> None:
        super().__init__(form, period)
        self.form, self.period = form, period


class GlanceUnknown(LookupError):
    """There is no such indicator, class or unit. The argument is what was asked for."""


@attrs.frozen(kw_only=True)
class GlanceAsked:
    """What is asked for. An empty text stands for the first of its kind."""

    form: str
    period: str
    indicator: str = ""
    of_class: str = ""
    under: str = ""  #: the unit whose direct units are compared, instead of a class


def read_glance_view(
    tx: Transaction,
    book: Book,
    glance: Glance,
    asked: GlanceAsked,
    now: datetime,
    seen: Collection[str] | None = None,
) -> GlanceView:
    """Return what is asked for. *seen*: the units that the reader may see; None: all. Raises PeriodUnreadable;
    FormMissing, also of a period that has not begun; SheetMissing; GlanceUnknown.
    """
    book = closing.keep_closed_workdays(tx, book)
    period = parse_period(asked.period, book.cuts)
    if period.start > now:
        raise FormMissing(asked.form, period.text, "")
    trend = glance_counting.list_periods_before(period, book)
    sheets = glance_rows.read_sheets(tx, asked.form, [each.text for each in trend])
    sheet = sheets.get(period.text)
    if sheet is None:
        raise SheetMissing(asked.form, period.text)
    form = read_kept_form(sheet.definition)
    world = month_world.read_month_world(tx, period.last)
    day = min(period.last, find_local_day(now))
    registry = world.units if world else unit_registry.list_registry_units(tx, day)
    members, parents = list_province_family(registry, day + timedelta(days=1))
    known = {unit.code: unit for unit in registry}
    units = {code: known[code] for code in members}
    indicator = find_indicator(glance, form, asked.indicator)
    sorted_units = _sort_units(glance, units.values(), period)
    if asked.under:
        if asked.under not in units or (seen is not None and asked.under not in seen):
            raise GlanceUnknown(asked.under)
        chosen, compared = "", [unit for unit in units.values() if parents.get(unit.code) == asked.under]
    else:
        chosen = asked.of_class or next((each.key for each in glance.classes if sorted_units.get(each.key)), "")
        if chosen and chosen not in {each.key for each in glance.classes}:
            raise GlanceUnknown(chosen)
        compared = sorted_units.get(chosen, [])
    ranking = rank_units(glance, indicator, compared, sheets, [each.text for each in trend])
    if seen is not None:
        shown = tuple(attrs.evolve(row, far=False) for row in ranking.rows if row.unit.code in seen)
        ranking = attrs.evolve(ranking, rows=shown, spread=None)
    below = _list_below({row.unit.code for row in ranking.rows}, members, parents)
    unusual = spikes.read_spikes(tx, form.id, period.text).select(below)
    return GlanceView(
        form=form,
        period=period,
        indicator=indicator,
        indicators=glance.list_indicators(form),
        classes=[
            (each.key, each.sorting.heading, len(mine))
            for each in glance.classes
            if (mine := sorted_units.get(each.key))
        ],
        of_class=chosen,
        under=units.get(asked.under),
        ranking=ranking,
        limited=seen is not None,
        trend=trend,
        made_at=sheet.made_at,
        complete=sheet.complete,
        revision=sheet.revision,
        units=units,
        parents=parents,
        spikes=unusual.named,
        spikes_left_out=unusual.left_out,
    )


def find_indicator(glance: Glance, form: Form, key: str) -> RankIndicator:
    """Return the indicator *key* of *form*, or the first one if *key* is empty. Raises GlanceUnknown."""
    listed = glance.list_indicators(form)
    found = next((each for each in listed if each.key == key), None) if key else listed[0]
    if found is None:
        raise GlanceUnknown(key)
    return found


def _sort_units(glance: Glance, units: Collection[Unit], period: Period) -> dict[str, list[Unit]]:
    """Return the units of each class. A unit that ended before the period is in none."""
    found: dict[str, list[Unit]] = {}
    for unit in units:
        if unit.until is not None and unit.until <= period.first:
            continue
        key = glance.find_class(unit)
        if key is not None:
            found.setdefault(key, []).append(unit)
    return found


def _list_below(tops: Collection[str], members: Sequence[str], parents: Mapping[str, str | None]) -> frozenset[str]:
    """Return *tops* and all *members* below them. *members*: those above before those below."""
    found = set(tops)
    for code in members:
        if parents.get(code) in found:
            found.add(code)
    return frozenset(found)


@lru_cache(64)
def read_kept_form(definition: str) -> Form:
    """Return the form of a kept sheet."""
    return read_form_toml(definition.encode(), "kept sheet", None)
