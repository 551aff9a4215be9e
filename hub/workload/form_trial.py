"""Counts a report by a form that is not in force, to see which cells would change. Writes nothing.

Both reports are counted anew from the facts, also where a month is closed: a closed month keeps its numbers, whatever
form comes after it.
"""

from collections.abc import Iterator
from datetime import datetime

import attrs

from hub.report.counting.counting import Report, Row
from hub.report.counting.deriving import Number
from hub.report.form.book import Book
from hub.report.form.folder import overlap_forms
from hub.report.form.form import Form
from hub.store.transactions import Transaction
from hub.workload.unit_report import resolve_report_sources


@attrs.frozen(kw_only=True)
class DifferingCell:
    """A cell that the tried form counts otherwise."""

    unit: str
    total: bool  #: it is the sum over the unit and all below it
    column: str
    before: Number | datetime | None  #: None: empty, or the form in force has no such column
    after: Number | datetime | None


def put_form_into_book(book: Book, tried: Form) -> Book:
    """Return *book* with *tried* in place of the forms of the same id that are in force on the same days."""
    others = (each for each in book.forms if each.id != tried.id or not overlap_forms(each, tried))
    return attrs.evolve(book, forms=(tried, *others))


def count_form_trial(
    tx: Transaction, unit: str, period: str, tried: Form, book: Book, now: datetime
) -> tuple[Report, Report]:
    """Return the report of *unit* for *period* by the form in force and by *tried*. See `resolve_report_sources`."""
    before, after = (
        resolve_report_sources(tx, unit, period, tried.id, each, closings=False, now=now).count(now)
        for each in (book, put_form_into_book(book, tried))
    )
    return before, after


def list_differing_cells(before: Report, after: Report) -> Iterator[DifferingCell]:
    """Yield the cells that differ: those of the total, then those of the units in the order of the report."""
    yield from _compare_reports(before.total, after.total, total=True)
    if len(after.rows) < 2:
        return
    earlier = {row.unit: row for row in before.rows}
    for row in after.rows:
        yield from _compare_reports(earlier.get(row.unit), row, total=False)


def _compare_reports(before: Row | None, after: Row, *, total: bool) -> Iterator[DifferingCell]:
    was, now = _read_cells(before), _read_cells(after)
    for column in dict.fromkeys((*now, *was)):
        if was.get(column) != now.get(column):
            yield DifferingCell(
                unit=after.unit, total=total, column=column, before=was.get(column), after=now.get(column)
            )


def _read_cells(row: Row | None) -> dict[str, Number | datetime | None]:
    return {} if row is None else {**row.numbers, **row.times}
