"""What is kept of a closed month, and how longer periods are put together from months.

Knows the rows of a closing, what makes a snapshot, and what differs when a row is counted again; no SQL, no clock.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256

import attrs

from hub.domain.model import Fact
from hub.report.counting import evidence
from hub.report.counting.counting import Cells, Placing, Report, assemble_report
from hub.report.counting.dates import in_order
from hub.report.counting.listing import Listing
from hub.report.counting.posting import ClosedMonths
from hub.report.form.form import Column, ColumnKind, Form, Wording
from hub.report.form.period import Period

_NO_WORDS = Wording("", "")


@attrs.frozen(kw_only=True)
class ClosedRow:
    """What was counted of one unit in a closed month: its own cells, without those below it and without formulas."""

    unit: str
    cells: Cells
    facts: int  #: how many are behind it
    evidence: str  #: the SHA-256 over them (`evidence.of_row`)
    revision: int = 1
    made_at: datetime | None = None
    reason: str = ""  #: why there is another revision
    diff: Mapping[str, Sequence[object]] = attrs.field(factory=dict)  #: column → before and after

    def says(self, other: "ClosedRow") -> bool:
        """Tell whether both have the same numbers and the same facts behind them."""
        return (self.cells, self.facts, self.evidence) == (other.cells, other.facts, other.evidence)


def work_out(
    form: Form, histories: Iterable[Iterable[Fact]], period: Period, now: datetime, unit: str, books: ClosedMonths
) -> tuple[ClosedRow | None, set[str]]:
    """Return the row of *unit* in the ended *period*, None where there is nothing of it, and the keys that are carried on.

    *histories*: its facts, those of one business key together.  *books* are those in which *period* is closed.
    """
    cells, carried = Cells.none(form), set[tuple[str, str]]()
    with closing(Listing([])) as listing:
        for column, fact in Placing.of(form, period, now, books, carried).every(histories):
            cells.take(column, fact)
            listing.take(column.key, fact)
        keys = {key for _, key in carried}
        if not len(listing):
            return None, keys
        return ClosedRow(unit=unit, cells=cells, facts=len(listing), evidence=listing.rows[unit]), keys


def empty_closed_row(form: Form, unit: str) -> ClosedRow:
    """Return the row of a unit of which there is nothing."""
    return ClosedRow(unit=unit, cells=Cells.none(form), facts=0, evidence=evidence.NOTHING)


def hash_closing(form: Form, period: Period, rows: Iterable[ClosedRow]) -> str:
    """Return the SHA-256 of a closing: over the form as it is written, then one compact JSON array a row, by unit, ended by a line feed.

    Its members: unit, numbers, times, facts, evidence; the columns of both objects in the form's order.  Before the rows stands
    the array of the form's id, the period, and the SHA-256 of the form.
    """
    written = sha256()
    head = [form.id, period.text, sha256(form.written.encode()).hexdigest()]
    said = (
        [row.unit, row.cells.sums, write_times(row.cells), row.facts, row.evidence]
        for row in sorted(rows, key=lambda row: row.unit)
    )
    for each in (head, *said):
        written.update(json.dumps(each, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return written.hexdigest()


def write_times(cells: Cells) -> dict[str, str]:
    """Return the times of *cells* as text, in the order of their columns' keys."""
    return {key: cells.times[key].astimezone(UTC).isoformat() for key in sorted(cells.times)}


def read_cells(form: Form, numbers: Mapping[str, int], times: Mapping[str, str]) -> Cells:
    """Return the cells that were kept."""
    cells = Cells.none(form)
    cells.sums.update({key: number for key, number in numbers.items() if key in cells.sums})
    cells.times.update({key: datetime.fromisoformat(at) for key, at in times.items()})
    return cells


def find_changed_cells(before: ClosedRow, after: ClosedRow) -> dict[str, list[object]]:
    """Return each column whose cell is another one: before and after.  Empty when only the facts behind them differ."""
    was, is_ = (row.cells.sums | write_times(row.cells) for row in (before, after))
    return {key: [was.get(key), is_.get(key)] for key in (was | is_) if was.get(key) != is_.get(key)}


def counts_alike(one: Form, other: Form) -> bool:
    """Tell whether two forms count the same, whatever words they use."""
    return _rules(one) == _rules(other)


def _rules(form: Form) -> object:
    columns = [attrs.evolve(rule, heading=_NO_WORDS, group=None) for rule in form.rules]
    progress = form.steps, form.final, form.begins, form.ends
    return form.service, form.by_day, form.late, dict(form.parameters), progress, columns


@attrs.frozen
class Piece:
    """A part of a period, counted: a closed month, or all of it that is not closed."""

    period: Period
    cells: Mapping[str, Cells]  #: by unit; a unit that is not there has nothing


def compose_report(
    form: Form, period: Period, made_at: datetime, units: Sequence[str], pieces: Sequence[Piece]
) -> Report:
    """Return the report of *units* for *period* from its *pieces*, in order and without a gap.

    Flows and happenings add up, stocks are those of the last piece (opening ones: of the first), peaks the greatest of each
    unit, times the latest.
    """
    merged = {unit: _merged(form, [piece.cells.get(unit) or Cells.none(form) for piece in pieces]) for unit in units}
    return assemble_report(form, period, made_at, units, merged)


def _merged(form: Form, cells: Sequence[Cells]) -> Cells:
    if len(cells) == 1:
        return cells[0]
    found = Cells({})
    for column in form.columns:
        if column.kind is ColumnKind.TIME:
            times = [each.times[column.key] for each in cells if column.key in each.times]
            if times:
                found.times[column.key] = max(times)
            continue
        if column.key not in cells[0].sums:
            continue
        numbers = [each.sums[column.key] for each in cells]
        match column.kind:
            case ColumnKind.STOCK:
                found.sums[column.key] = numbers[0] if column.opening else numbers[-1]
            case ColumnKind.PEAK:
                found.sums[column.key] = max(numbers)
            case _:
                found.sums[column.key] = sum(numbers)
    return found


Placed = Iterable[tuple[Column, Fact]]


def list_composed_facts(pieces: Sequence[Placed]) -> Iterator[tuple[Column, Fact]]:
    """Yield what the composed report takes of what each of its pieces takes: exactly the facts that `compose_report` adds up."""
    if len(pieces) == 1:
        yield from pieces[0]
        return
    peaks: dict[tuple[str, str], list[list[tuple[Column, Fact]]]] = {}
    latest: dict[tuple[str, str], tuple[Column, Fact]] = {}
    for number, placed in enumerate(pieces):
        for column, fact in placed:
            place = (fact.unit, column.key)
            match column.kind:
                case ColumnKind.STOCK if number == (0 if column.opening else len(pieces) - 1):
                    yield column, fact
                case ColumnKind.STOCK:
                    pass
                case ColumnKind.PEAK:
                    peaks.setdefault(place, [[] for _ in pieces])[number].append((column, fact))
                case ColumnKind.TIME:
                    if place not in latest or in_order(fact) > in_order(latest[place][1]):
                        latest[place] = (column, fact)
                case _:
                    yield column, fact
    for found in peaks.values():
        yield from max((each for each in found if each), key=lambda each: sum(fact.amount for _, fact in each))
    yield from latest.values()
