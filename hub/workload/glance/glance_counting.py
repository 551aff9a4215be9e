"""Counts the sheets of the page at a glance: which are due, and each in reading steps of about a second.

A sheet of closed months is composed of their rows. The open part of a period is counted from facts, some units in each
step, so that no snapshot of the database stays open for minutes. Writes nothing (`glance_rows` keeps).
"""

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.local_time import HANOI, find_local_day
from hub.journal.fact_reading import fact_rows
from hub.report.counting.counting import Cells
from hub.report.counting.marks import require_untampered
from hub.report.form.book import Book
from hub.report.form.column import ColumnKind
from hub.report.form.form import Form
from hub.report.form.period import Period, Span, find_month_containing, parse_period
from hub.report.glance.sheet import GlanceSheet, list_sheet_columns, sum_up_families, write_figures
from hub.store.tables import OWN, unit
from hub.store.transactions import Transaction
from hub.workload import closing, closing_plan, glance_rows, unit_report
from hub.workload.report_sources import ReportSources

#: The periods of a trend: the one that is shown, and those before it of the same length.
PERIODS = 12
#: The hour in Hà Nội from which sheets of the day before are counted again.
HOUR = 1
#: A period that ended longer ago and is not closed is not counted again every night.
_KEPT_UP = timedelta(days=60)

#: An open part of a form: the form, the part's place among the parts of the period, and its days.
_Open = tuple[str, int, str, str]


class ClosedMeanwhile(Exception):
    """What a sheet is counted from changed between two steps: it is begun again."""


@attrs.frozen
class CountedCells:
    """Some units of the open parts, as counted."""

    open: tuple[_Open, ...]
    sums: Sequence[tuple[int, str, Mapping[str, int]]]  #: the place in `open`, the unit, its numbers
    left: Sequence[tuple[int, str]]  #: the place in `open` and the unit of what is not counted yet


@attrs.frozen
class SheetStep:
    """One reading step: a function of a module, called with a transaction and the arguments."""

    run: Any
    arguments: tuple[Any, ...]


def list_due_sheets(tx: Transaction, book: Book, now: datetime) -> list[tuple[str, str]]:
    """Return form and period of each sheet that is to be counted now, the current months first.

    A sheet is due that is not kept: of each form and each of the last `PERIODS` periods of every length, from the
    earliest fact on. And one of a period that is not closed, if it was counted before the last time it was `HOUR`.
    """
    book = closing_plan.keep_closed_workdays(tx, book)
    begun = fact_rows.read_earliest_fact_time(tx)
    if begun is None:
        return []
    kept = glance_rows.list_kept_sheets(tx)
    night = datetime.combine(find_local_day(now), time(HOUR), HANOI)
    night = night if night <= now else night - timedelta(days=1)
    found = []
    for period in list_recent_periods(book, now) if has_units(tx) else ():
        if period.end <= begun:
            continue
        for form in sorted((each for each in book.forms if each.is_in_force(period.last)), key=lambda each: each.id):
            known = kept.get((form.id, period.text))
            stale = known is not None and not known.complete and known.kept_at < night
            recent = period.last >= find_local_day(now) - _KEPT_UP or has_declared_columns(form)
            if known is None or (stale and recent):
                found.append((form.id, period.text))
    return found


def has_declared_columns(form: Form) -> bool:
    """Return whether units declare figures of *form*: they may do so after the period was closed."""
    return any(column.kind is ColumnKind.DECLARED for column in form.columns)


def has_units(tx: Transaction) -> bool:
    """Return whether the registry has a unit of the province."""
    return tx.execute(sa.select(unit.c.code).where(OWN).limit(1)).first() is not None


def list_recent_periods(book: Book, now: datetime) -> list[Period]:
    """Return the last `PERIODS` periods of each length that have begun, the months first, each newest first."""
    month = find_month_containing(now, book.cuts)
    found = []
    for span in Span:
        mine = find_current_period(month, span, book)
        found += list(reversed(list_periods_before(mine, book)))
    return [each for each in found if each.start <= now]


def find_current_period(month: Period, span: Span, book: Book) -> Period:
    """Return the period of the length *span* in which *month* lies; of nine months those of its year."""
    number = month.number
    text = {
        Span.MONTH: month.text,
        Span.QUARTER: f"{month.year}-Q{(number + 2) // 3}",
        Span.HALF: f"{month.year}-H{(number + 5) // 6}",
        Span.NINE_MONTHS: f"{month.year}-9M",
        Span.YEAR: f"{month.year}",
    }[span]
    return parse_period(text, book.cuts)


def list_periods_before(period: Period, book: Book) -> tuple[Period, ...]:
    """Return *period* and the `PERIODS` - 1 periods of the same length before it, oldest first."""
    many = {Span.MONTH: 12, Span.QUARTER: 4, Span.HALF: 2}.get(period.span, 1)
    suffix = {Span.MONTH: "-{:02d}", Span.QUARTER: "-Q{}", Span.HALF: "-H{}", Span.NINE_MONTHS: "-9M"}
    last = period.year * many + max(period.number, 1) - 1 if many > 1 else period.year
    places = range(last - PERIODS + 1, last + 1)
    texts = [f"{place // many}{suffix.get(period.span, '').format(place % many + 1)}" for place in places]
    return tuple(parse_period(text, book.cuts) for text in texts)


def count_in_steps(book: Book, form: str, period: str, now: datetime) -> Generator[SheetStep, Any, GlanceSheet]:
    """Yield the reading steps that count a sheet, and take the result of each. Returns the sheet. A step raises FormMissing
    if the form is not in force in the period, and `ClosedMeanwhile` when a month was closed meanwhile.
    """
    counted = yield SheetStep(begin_sheet, (book, form, period, now))
    sums = list[tuple[int, str, Mapping[str, int]]]()
    parts = counted.open
    while counted.left:
        counted = yield SheetStep(count_some, (book, form, period, now, parts, counted.left))
        sums += counted.sums
    sheet: GlanceSheet = yield SheetStep(compose_sheet, (book, form, period, now, parts, sums))
    return sheet


def count_sheet(tx: Transaction, book: Book, form: str, period: str, now: datetime) -> GlanceSheet:
    """Return the sheet, counted in one transaction. Raises FormMissing, PeriodUnreadable."""
    begun = begin_sheet(tx, book, form, period, now)
    counted = count_some(tx, book, form, period, now, begun.open, begun.left, float("inf"))
    return compose_sheet(tx, book, form, period, now, begun.open, counted.sums)


def begin_sheet(tx: Transaction, book: Book, form: str, period: str, now: datetime) -> CountedCells:
    """Return what must be counted from facts. Raises FormMissing."""
    asked = unit_report.resolve_province_sources(tx, period, form, book, now=now)
    opened = _list_open(asked)
    left = [(place, code) for place in range(len(opened)) for code in asked.members]
    return CountedCells(tuple(each for each, _, _ in opened), (), left)


def count_some(
    tx: Transaction,
    book: Book,
    form: str,
    period: str,
    now: datetime,
    parts: tuple[_Open, ...],
    units: Sequence[tuple[int, str]],
    seconds: float = closing.BUDGET,
) -> CountedCells:
    """Count at least the first of *units*, and further ones for *seconds*. Raises ClosedMeanwhile."""
    asked = unit_report.resolve_province_sources(tx, period, form, book, now=now)
    opened = _check_glance(asked, parts)
    reached, left = closing.split_by_time(units, seconds)
    sums = []
    for place, code in reached:
        cells = opened[place][2].narrow(code).cells(now).get(code)
        if cells:
            sums.append((place, code, dict(cells.sums)))
    return CountedCells(parts, sums, left)


def compose_sheet(
    tx: Transaction,
    book: Book,
    form: str,
    period: str,
    now: datetime,
    parts: tuple[_Open, ...],
    sums: Sequence[tuple[int, str, Mapping[str, int]]],
) -> GlanceSheet:
    """Return the sheet from the numbers counted in the open *parts*. Raises ClosedMeanwhile; Rejected with
    `closing-tampered` if a closed month of it was edited in the database.
    """
    asked = unit_report.resolve_province_sources(tx, period, form, book, now=now)
    opened = _check_glance(asked, parts)
    counted: dict[tuple[str, int], dict[str, Cells]] = {(base, place): {} for (base, place, _, _), _, _ in opened}
    for number, code, numbers in sums:
        (base, place, _, _), of, _ = opened[number]
        counted[base, place][code] = Cells({**Cells.none(of).sums, **numbers})
    require_untampered(asked.marks)
    report = asked.compose_all(counted, now)
    after = min(report.period.last, find_local_day(now)) + timedelta(days=1)
    rows = sum_up_families(report, asked.units.values(), after, asked.declared)
    columns = list_sheet_columns(report.form)
    return GlanceSheet(
        form=report.form.id,
        period=report.period.text,
        first=report.period.first,
        last=report.period.last,
        made_at=report.made_at,
        complete=asked.complete and not has_declared_columns(report.form),
        revision=asked.revision,
        stamp=glance_rows.read_stamp(tx, (asked.form.id, *asked.bases), asked.period),
        bases=tuple(asked.bases),
        definition=report.form.written,
        columns=columns,
        figures=write_figures(columns, rows),
    )


def _list_open(asked: ReportSources) -> list[tuple[_Open, Form, Any]]:
    """Return the open parts of *asked* and of the forms that it takes from, each with its form and the part."""
    found = []
    for name, one in (asked.bases or {"": asked}).items():
        for place, part in enumerate(one.parts):
            if part.rows is None:
                days = part.period.first.isoformat(), part.period.last.isoformat()
                found.append(((name, place, *days), one.form, part))
    return found


def _check_glance(asked: ReportSources, parts: tuple[_Open, ...]) -> list[tuple[_Open, Form, Any]]:
    opened = _list_open(asked)
    if tuple(each for each, _, _ in opened) != parts:
        raise ClosedMeanwhile(asked.period.text)
    return opened
