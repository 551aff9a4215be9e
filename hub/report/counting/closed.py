"""Defines what is stored of a closed month, and composes longer periods from months.

Knows the rows of a closing, the hash of a snapshot, and the differences when a row is counted again. Contains no SQL
and no clock.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import attrs

from hub.domain.model import Fact
from hub.report.counting import evidence
from hub.report.counting.counting import COUNTING, Cells, Placing, Report, assemble_report
from hub.report.counting.dates import make_fact_sort_key
from hub.report.counting.division import (
    UNDIVIDED,
    Division,
    add_sums,
    merge_names,
    merge_sums,
    read_division,
    write_division,
)
from hub.report.counting.listing import FactListing
from hub.report.counting.marks import NO_MESSAGES, LateMessages
from hub.report.counting.posting import ClosedMonths
from hub.report.form.column import Column, ColumnKind, Wording
from hub.report.form.form import Form
from hub.report.form.period import Period

_NO_WORDS = Wording("", "")


@attrs.frozen(kw_only=True)
class ClosedRow:
    """The counted row of one unit in a closed month: its own cells, without those of units below it and without
    formulas.
    """

    unit: str
    cells: Cells
    facts: int  #: the number of facts behind it
    evidence: str  #: the SHA-256 of these facts (`evidence.hash_row`)
    revision: int = 1
    made_at: datetime | None = None
    reason: str = ""  #: why this revision was made; "" for the first
    diff: Mapping[str, Sequence[object]] = attrs.field(factory=dict)  #: column → [value before, value after]
    by: str = ""  #: who made this revision: a person, or `hub`; "" for the first
    late: LateMessages = NO_MESSAGES  #: the messages that came after the revision before, and belong in the month

    def says(self, other: "ClosedRow") -> bool:
        """Return whether both rows have the same numbers and the same facts behind them."""
        return (self.cells, self.facts, self.evidence) == (other.cells, other.facts, other.evidence)


def count_closed_row(
    form: Form, histories: Iterable[Iterable[Fact]], period: Period, now: datetime, unit: str, books: ClosedMonths
) -> tuple[ClosedRow | None, set[str]]:
    """Return the row of *unit* in the ended *period* (None: nothing is counted), and the business keys that are carried
    on.

    *histories*: the unit's facts, grouped by business key. *books*: the closed months, including *period*.
    """
    cells, carried = Cells.none(form), set[tuple[str, str]]()
    with closing(FactListing([])) as listing:
        for column, fact, origin in Placing.of(form, period, now, books, carried).divide_histories(histories):
            cells.count(column, fact, origin)
            listing.take(column.key, fact)
        keys = {key for _, key in carried}
        if not len(listing):
            return None, keys
        return ClosedRow(unit=unit, cells=cells, facts=len(listing), evidence=listing.rows[unit]), keys


def make_empty_row(form: Form, unit: str) -> ClosedRow:
    """Return the row of a unit for which nothing is counted."""
    return ClosedRow(unit=unit, cells=Cells.none(form), facts=0, evidence=evidence.NOTHING)


def hash_closing(form: Form, period: Period, rows: Iterable[ClosedRow]) -> str:
    """Return the SHA-256 of a closing.

    The hash covers one compact JSON array per line, each ended by a line feed. The first line is the form's id, the
    period, and the SHA-256 of the form's text. Then comes one line per row, ordered by unit: unit, numbers, times,
    facts, evidence and, where the form divides rows, the divided numbers. The members of numbers and times are in the
    order of the form's columns.
    """
    written = sha256()
    head = [form.id, period.text, sha256(form.written.encode()).hexdigest()]
    said = (
        [row.unit, row.cells.sums, write_times(row.cells), row.facts, row.evidence, *_write_divided(row.cells)]
        for row in sorted(rows, key=lambda row: row.unit)
    )
    for each in (head, *said):
        written.update(json.dumps(each, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return written.hexdigest()


def write_times(cells: Cells) -> dict[str, str]:
    """Return the times of *cells* as ISO 8601 text in UTC, in the order of their columns' keys."""
    return {key: cells.times[key].astimezone(UTC).isoformat() for key in sorted(cells.times)}


def _write_divided(cells: Cells) -> list[object]:
    return [] if cells.division is None else [write_division(cells.division)]


def read_cells(
    form: Form, numbers: Mapping[str, int], times: Mapping[str, str], division: Mapping[str, Any] | None = None
) -> Cells:
    """Return the cells from their stored *numbers*, *times* and divided numbers (None: they were not divided)."""
    cells = Cells.none(form)
    cells.division = None if division is None else read_division(division)
    cells.sums.update({key: number for key, number in numbers.items() if key in cells.sums})
    cells.times.update({key: datetime.fromisoformat(at) for key, at in times.items()})
    return cells


def find_changed_cells(before: ClosedRow, after: ClosedRow) -> dict[str, list[object]]:
    """Return each column whose cell differs, with [value before, value after]. Empty when only the facts behind the
    rows differ.
    """
    was, is_ = (row.cells.sums | write_times(row.cells) for row in (before, after))
    return {key: [was.get(key), is_.get(key)] for key in (was | is_) if was.get(key) != is_.get(key)}


def have_same_rules(one: Form, other: Form) -> bool:
    """Return whether two forms count by the same rules; their wording may differ."""
    return _strip_rules(one) == _strip_rules(other)


def _strip_rules(form: Form) -> object:
    columns = [attrs.evolve(rule, heading=_NO_WORDS, group=None) for rule in form.rules]
    progress = form.steps, form.final, form.begins, form.ends
    waiting = form.waits, form.resumes, form.clock
    return form.service, form.by_day, form.late, dict(form.parameters), progress, waiting, columns


@attrs.frozen
class Piece:
    """A counted part of a period: a closed month, or an open part."""

    period: Period
    cells: Mapping[str, Cells]  #: by unit; a unit that is absent has no facts


def compose_report(
    form: Form, period: Period, made_at: datetime, units: Sequence[str], pieces: Sequence[Piece]
) -> Report:
    """Return the report of *units* for *period*, composed of its *pieces*, which are in order and without gaps.

    Flows and happenings are added up. A stock is that of the last piece (an opening stock: of the first). A peak is the
    greatest of each unit, and 0 if the unit has handed over what is counted (`has_handed_over`). A time is the latest.
    """
    merged = {
        unit: _merge_cells(form, [piece.cells.get(unit) or Cells.none(form) for piece in pieces]) for unit in units
    }
    return assemble_report(form, period, made_at, units, merged)


def _merge_cells(form: Form, cells: Sequence[Cells]) -> Cells:
    by = form.divides_by
    if len(cells) == 1 and (not by or (cells[0].division is not None and cells[0].division.by == by)):
        return cells[0]
    found = Cells(_merge_numbers(form, [each.sums for each in cells]))
    for column in form.columns:
        if column.kind is ColumnKind.TIME:
            times = [each.times[column.key] for each in cells if column.key in each.times]
            if times:
                found.times[column.key] = max(times)
    if by:
        divisions = [_divide_cells(by, each) for each in cells]
        merged = {values: _merge_numbers(form, parts) for values, parts in merge_sums(divisions).items()}
        sums = {values: numbers for values, numbers in merged.items() if any(numbers.values())}
        found.division = Division(by, sums, merge_names(divisions))
    return found


def _merge_numbers(form: Form, parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Return the number of each counting column, from its number in each part of a period."""
    found = {}
    for column in form.columns:
        if column.kind not in COUNTING:
            continue
        numbers = [part.get(column.key, 0) for part in parts]
        match column.kind:
            case ColumnKind.STOCK:
                found[column.key] = numbers[0] if column.opening else numbers[-1]
            case ColumnKind.PEAK:
                gone = has_handed_over([part.get(column.until, 0) for part in parts])
                found[column.key] = 0 if gone else max(numbers)
            case _:
                found[column.key] = sum(numbers)
    return found


def has_handed_over(numbers: Sequence[int]) -> bool:
    """Return whether a unit has handed over what a peak counts at the end of a period. *numbers*: how much it handed over
    in each part of the period, negative where more came back: what the last part that says something says holds.
    """
    return next((number for number in reversed(numbers) if number), 0) > 0


def is_divided(cells: Cells, by: tuple[str, ...]) -> bool:
    """Return whether *cells* are divided by the attributes *by*, or by more."""
    return cells.division is not None and cells.division.by[: len(by)] == by


def _divide_cells(by: tuple[str, ...], cells: Cells) -> Division:
    """Return *cells* divided by *by*. What was closed by a form that divided otherwise, or not, is one row."""
    division = cells.division
    if division is None or not is_divided(cells, by):
        return Division(by, {(UNDIVIDED,) * len(by): dict(cells.sums)})
    if division.by == by:
        return division
    shorter = Division(by, names=division.names)
    for values, sums in division.sums.items():
        add_sums(shorter.sums.setdefault(values[: len(by)], {}), sums)
    return shorter


Placed = Iterable[tuple[Column, Fact]]


def list_composed_facts(pieces: Sequence[Placed]) -> Iterator[tuple[Column, Fact]]:
    """Yield, from the facts that each piece counts, exactly those that the composed report counts (`compose_report`),
    with their columns.
    """
    if len(pieces) == 1:
        yield from pieces[0]
        return
    peaks: dict[tuple[str, str], list[list[tuple[Column, Fact]]]] = {}
    latest: dict[tuple[str, str], tuple[Column, Fact]] = {}
    passed: dict[tuple[str, str], list[int]] = {}
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
                    if place not in latest or make_fact_sort_key(fact) > make_fact_sort_key(latest[place][1]):
                        latest[place] = (column, fact)
                case _:
                    passed.setdefault(place, [0] * len(pieces))[number] += fact.amount
                    yield column, fact
    for (unit, _), found in peaks.items():
        most = max((each for each in found if each), key=lambda each: sum(fact.amount for _, fact in each))
        if not has_handed_over(passed.get((unit, most[0][0].until), ())):
            yield from most
    yield from latest.values()
