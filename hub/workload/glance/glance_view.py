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
from hub.journal.fact_reading import fact_rows
from hub.report.counting import table
from hub.report.counting.spikes import Spike
from hub.report.form.book import Book
from hub.report.form.form import Form, FormMissing, choose_form
from hub.report.form.period import Period, parse_period
from hub.report.form.toml import read_form_toml
from hub.report.glance.ranking import Ranking, compute_indicator, find_total, list_middles, rank_units
from hub.report.glance.settings import Glance, RankIndicator
from hub.report.glance.sheet import GlanceSheet, list_province_family
from hub.report.glance.view import FieldFigure, GlanceView, UnitGlance
from hub.store.transactions import Transaction
from hub.workload import closing_plan, glance_rows, month_world, spikes, unit_report
from hub.workload.glance import glance_counting
from hub.workload.spikes import FoundSpikes

#: Fields that are named of a unit.
FIELDS = 20


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
    counted: GlanceSheet | None = None  #: the numbers of the period, where they were counted and not kept


def read_glance_view(
    tx: Transaction,
    book: Book,
    glance: Glance,
    asked: GlanceAsked,
    now: datetime,
    seen: Collection[str] | None = None,
) -> GlanceView:
    """Return what is asked for. *seen*: the units that the reader may see; None: all. Raises PeriodUnreadable;
    FormMissing, also of a period that has not begun or of which there is no fact; SheetMissing; GlanceUnknown.
    """
    ground = _read_ground(tx, book, glance, asked, now)
    if asked.under:
        ground.require_unit(asked.under, seen)
        return ground.make_view(tx, "", asked.under, seen)
    chosen = asked.of_class or next((each.key for each in glance.classes if ground.classes.get(each.key)), "")
    if chosen and chosen not in {each.key for each in glance.classes}:
        raise GlanceUnknown(chosen)
    return ground.make_view(tx, chosen, "", seen)


def read_unit_glance(
    tx: Transaction,
    book: Book,
    glance: Glance,
    asked: GlanceAsked,
    unit: str,
    now: datetime,
    seen: Collection[str] | None = None,
) -> UnitGlance:
    """Return how *unit* stands among those of its class, or, if it is in none, among those of the same unit above. Raises
    as `read_glance_view`.
    """
    ground = _read_ground(tx, book, glance, asked, now)
    ground.require_unit(unit, seen)
    chosen = next((key for key, mine in ground.classes.items() if unit in {each.code for each in mine}), "")
    above = "" if chosen else ground.parents.get(unit) or ""
    whole = ground.rank(ground.list_compared(chosen, above) or [ground.units[unit]])
    view = ground.make_view(tx, chosen, above if above in ground.units else "", seen, whole=whole)
    row = next(each for each in whole.rows if each.unit.code == unit)
    before = ground.trend[-2].text
    cells = {
        text: sheet.read_numbers(ground.indicator.columns)
        for text in (ground.period.text, before)
        if (sheet := ground.sheets.get(text)) is not None
    }
    numbers = [
        dict(zip(ground.indicator.columns, found.get(unit, found[""]), strict=True))
        if (found := cells.get(text)) is not None
        else {}
        for text in (ground.period.text, before)
    ]
    below = [each for each in ground.units.values() if ground.parents.get(each.code) == unit]
    return UnitGlance(
        view=view,
        row=attrs.evolve(row, far=row.far and seen is None),
        compared=sum(each.place is not None for each in whole.rows),
        middles=None if seen is not None else list_middles(whole),
        columns=[(key, numbers[0].get(key), numbers[1].get(key)) for key in ground.indicator.columns],
        below=ground.rank(below) if below else None,
    )


def read_unit_fields(
    tx: Transaction,
    book: Book,
    glance: Glance,
    asked: GlanceAsked,
    unit: str,
    now: datetime,
    seen: Collection[str] | None = None,
) -> list[FieldFigure]:
    """Return what each value of the attribute by which the form divides rows, such as a field of procedures, has of the
    number of *unit*; those that weigh most come first, at most `FIELDS`. Empty if the form divides no rows.

    A closed period is read as stored; of any other the facts of the unit are counted, as for its report. Raises as
    `read_glance_view`.
    """
    ground = _read_ground(tx, book, glance, asked, now)
    ground.require_unit(unit, seen)
    if not ground.form.divides_by:
        return []
    sources = unit_report.resolve_report_sources(tx, unit, ground.period.text, asked.form, book, now=now, marked=False)
    report, indicator = sources.count(now), ground.indicator
    values = {each[:1] for division in report.divisions.values() for each in division.sums}
    found = []
    for value in values:
        row = table.find_row(report, None, value)
        if row is not None and row.numbers.keys() >= set(indicator.columns):
            part, whole, number = compute_indicator(indicator, row.numbers)
            name = table.name_values(report, value, sources.names_of_values)
            found.append(FieldFigure(address=value[0], name=name, part=part, whole=whole, value=number))
    return sorted((each for each in found if each.part or each.whole), key=lambda each: each.weigh(indicator))[:FIELDS]


@attrs.frozen(kw_only=True)
class _Ground:
    """What the pages of a form and a period have in common."""

    glance: Glance
    period: Period
    trend: Sequence[Period]
    sheets: Mapping[str, GlanceSheet]
    form: Form
    units: Mapping[str, Unit]  #: those above before those below
    parents: Mapping[str, str | None]
    classes: Mapping[str, Sequence[Unit]]  #: the units of each class
    indicator: RankIndicator

    def require_unit(self, code: str, seen: Collection[str] | None) -> None:
        if code not in self.units or (seen is not None and code not in seen):
            raise GlanceUnknown(code)

    def list_compared(self, of_class: str, under: str) -> Sequence[Unit]:
        if under:
            return [unit for unit in self.units.values() if self.parents.get(unit.code) == under]
        return self.classes.get(of_class, ())

    def rank(self, units: Sequence[Unit]) -> Ranking:
        periods = [each.text for each in self.trend]
        return rank_units(self.glance, self.indicator, units, self.sheets, periods, find_total(self.form))

    def make_view(
        self,
        tx: Transaction,
        of_class: str,
        under: str,
        seen: Collection[str] | None,
        *,
        whole: Ranking | None = None,
    ) -> GlanceView:
        ranking = whole or self.rank(self.list_compared(of_class, under))
        if seen is not None:
            shown = tuple(attrs.evolve(row, far=False) for row in ranking.rows if row.unit.code in seen)
            ranking = attrs.evolve(ranking, rows=shown, spread=None)
        below = _list_below({row.unit.code for row in ranking.rows}, list(self.units), self.parents)
        unusual = _read_spikes(tx, self.form, self.period).select(below)
        sheet = self.sheets[self.period.text]
        return GlanceView(
            form=self.form,
            period=self.period,
            indicator=self.indicator,
            indicators=self.glance.list_indicators(self.form),
            classes=[
                (each.key, each.sorting.heading, len(mine))
                for each in self.glance.classes
                if (mine := self.classes.get(each.key))
            ],
            of_class=of_class,
            under=self.units.get(under),
            ranking=ranking,
            limited=seen is not None,
            trend=self.trend,
            made_at=sheet.made_at,
            complete=sheet.complete,
            revision=sheet.revision,
            units=self.units,
            parents=self.parents,
            spikes=unusual.named,
        )


def _read_ground(tx: Transaction, book: Book, glance: Glance, asked: GlanceAsked, now: datetime) -> _Ground:
    book = closing_plan.keep_closed_workdays(tx, book)
    period = parse_period(asked.period, book.cuts)
    trend = glance_counting.list_periods_before(period, book)
    sheets = glance_rows.read_sheets(tx, asked.form, [each.text for each in trend], book.trust)
    if asked.counted is not None:
        sheets[period.text] = asked.counted
    sheet = sheets.get(period.text)
    if sheet is None:
        begun = fact_rows.read_earliest_fact_time(tx)
        if period.start > now or begun is None or period.end <= begun or not glance_counting.has_units(tx):
            raise FormMissing(asked.form, period.text, " ".join(sorted({form.id for form in book.forms})))
        _ = choose_form(book.forms, asked.form, period)
        raise SheetMissing(asked.form, period.text)
    form = read_kept_form(sheet.definition)
    world = month_world.read_month_world(tx, period.last)
    day = min(period.last, find_local_day(now))
    registry = world.units if world else unit_registry.list_registry_units(tx, day)
    members, parents = list_province_family(registry, day + timedelta(days=1))
    known = {unit.code: unit for unit in registry}
    units = {code: known[code] for code in members}
    return _Ground(
        glance=glance,
        period=period,
        trend=trend,
        sheets=sheets,
        form=form,
        units=units,
        parents=parents,
        classes=_sort_units(glance, units.values(), period),
        indicator=find_indicator(glance, form, asked.indicator),
    )


def _read_spikes(tx: Transaction, form: Form, period: Period) -> FoundSpikes:
    """Return what was unusual at the closing of the month *period*; of a form that takes numbers from others, what was
    unusual in those numbers.
    """
    if not form.bases:
        return spikes.read_spikes(tx, form.id, period.text)
    count, named = 0, list[Spike]()
    for base in form.bases:
        found = spikes.read_spikes(tx, base, period.text)
        taken = {column.taken[1]: column.key for column in form.columns if column.taken and column.taken[0] == base}
        named += [attrs.evolve(each, column=taken[each.column]) for each in found.named if each.column in taken]
        count += found.count
    return FoundSpikes(count, tuple(named))


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
