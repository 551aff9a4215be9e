"""Compares every cell of every form, unit and period of a played province with the second count of its partners' notebook."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.report.counting.counting import Report
from hub.report.form.book import Book
from hub.report.form.form import PRINCIPAL
from hub.store import transactions
from hub.workload import unit_report
from hub.workload.report_sources import RowChoice
from tests import pki
from tests.histories import office
from tests.recount import cells, derived, letter, places, results
from tests.recount.cells import TIMES, Recount
from tests.recount.documents import Message
from tests.recount.exported import Journal
from tests.recount.notebook import Notebook, last_noon
from tests.recount.places import Places

FORMS = (*results.FORMS, *cells.FORMS, *derived.FORMS)
OUTSIDE = ("G22", "G01", "A12")


@attrs.frozen
class Cell:
    """A cell that was counted otherwise: by the hub, and again."""

    form: str
    period: str
    unit: str  #: "" for the total
    column: str
    counted: object
    again: object


@attrs.define
class Seen:
    """How many cells were compared, and those that differ."""

    equal: int = 0
    filled: set[tuple[str, str]] = attrs.field(factory=set)  #: the columns that have another number than 0 somewhere
    differing: list[Cell] = attrs.field(factory=list)

    def note(self, cell: Cell) -> None:
        """Take in a cell."""
        if cell.counted == cell.again:
            self.equal += 1
            if cell.again:
                self.filled.add((cell.form, cell.column))
        else:
            self.differing.append(cell)


def periods(months: list[str], now: datetime) -> list[str]:
    """Return the months that have begun, with the quarters, halves, nine months and years about them."""
    begun = [month for month in months if results.bounds(month)[0] <= now]
    longer = []
    for month in begun:
        year, number = month[:4], int(month[5:])
        longer += [f"{year}-Q{(number + 2) // 3}", f"{year}-H{(number + 5) // 6}", year]
        longer += [f"{year}-9M"] if number <= 9 else []
    return [*begun, *sorted(set(longer))]


def recount(notebook: Notebook, province: Places, now: datetime, *, closes: bool = True) -> Recount:
    """Count a notebook again, as of *now*; *closes*: the hub has closed the months that were over."""
    with places.standing(province):
        return _recount(notebook.until(now).journal(now, closes=closes), now)


def _recount(journal: Journal, now: datetime) -> Recount:
    certificates: dict[str, bytes] = {}

    def signed(message: Message) -> bool:
        if message.partner not in certificates:
            certificates[message.partner] = pki.pem(office.identity(message.partner).certificate)
        octets = journal.messages[message.id].octets
        return b"SignatureValue" in octets and letter.is_signed(octets, certificates[message.partner])

    return attrs.evolve(cells.recount(journal, signed), taken_up=last_noon(now))


def compare(
    engine: sa.Engine,
    again: Recount,
    province: Places,
    wanted: Iterable[tuple[str, str]],
    now: datetime,
    book: Book | None = None,
) -> Seen:
    """Compare the reports that are *wanted*, each a form and a period, as they are at *now*, with what was counted again."""
    seen = Seen()
    with places.standing(province):
        for form, period in wanted:
            for unit in (province.province, *OUTSIDE) if form in results.FORMS else (province.province,):
                for cell in _cells(engine, again, form, period, unit, now, book or office.book()):
                    seen.note(cell)
    return seen


def _cells(
    engine: sa.Engine, again: Recount, form: str, period: str, top: str, now: datetime, book: Book
) -> Iterator[Cell]:
    members = places.below(top, results.bounds(period)[1])
    with transactions.read_transaction(engine) as tx:
        asked = unit_report.resolve_report_sources(tx, top, period, form, book)
        report = asked.choose_rows(RowChoice(by=PRINCIPAL)).count(now)
    rows = {row.unit: row for row in report.rows}
    begun, units = places.day(results.bounds(period)[0]), set(rows)
    units |= {unit for unit in members if places.has_ended(unit, begun)}  # they have a row if anything is counted there
    yield Cell(form, period, "", "the units", sorted(units), sorted(members))
    for column in sorted(again.columns(form)):
        for unit in members:
            value = again.value(form, column, [unit], period, now)
            counted = _read(rows[unit], column) if unit in rows else None if value else value
            yield Cell(form, period, unit, column, counted, value)
        yield Cell(
            form, period, "", column, _read(report.total, column), again.value(form, column, members, period, now)
        )
    if top == places.province():
        yield from _summed_up(report, again, period, members, now)
    if form in cells.DIVIDED:
        yield from _divided(report, again, period, members, now)


def _summed_up(report: Report, again: Recount, period: str, members: list[str], now: datetime) -> Iterator[Cell]:
    """Yield the rows of the table that has one for each unit directly below the province, with all below it."""
    form = report.form.id
    rows = {each.unit: each.row for each in report.divided if each.unit} or {row.unit: row for row in report.rows}
    inside = places.rows(members)
    for column in again.columns(form):
        for unit, units in inside.items():
            value = again.value(form, column, units, period, now)
            counted = _read(rows[unit], column) if unit in rows else None if value else value
            yield Cell(form, period, unit, f"{column} with what is below", counted, value)


def _divided(report: Report, again: Recount, period: str, members: list[str], now: datetime) -> Iterator[Cell]:
    """Yield the rows into which the row of each unit is divided."""
    form = report.form.id
    for unit in members:
        division = report.divisions.get(unit)
        for column in cells.FORMS[form][1]:
            sums = (
                {}
                if division is None
                else {field: each[column] for (field,), each in division.sums.items() if each.get(column)}
            )
            yield Cell(form, period, unit, f"{column} by row", sums, again.by_row(form, column, unit, period, now))


def _read(row: object, column: str) -> object:
    found = row.times if column in TIMES else row.numbers  # type: ignore[attr-defined]
    return found[column]
