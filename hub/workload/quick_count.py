"""Counts a large open report with the SHA-256 of its evidence, from the stored rows of its facts.

`ReportSources.open_evidence` makes a `Fact` of each row, places it, and sorts the evidence on disk: 25 µs for each fact.
Here the decision about a key with one fact is made once for all facts that look alike to the rules, and a unit's evidence
is sorted in memory. The rules stay where they are (`hub.report.counting`): this module only calls them less often. It
counts forms whose facts count at the time of their recording, and whose columns are decided by one key, or are a time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Any

import attrs

from hub.domain.local_time import find_local_day
from hub.journal import fact_pages
from hub.journal.facts import read_raw_fact
from hub.report.counting.counting import Cells, Placing, Report
from hub.report.counting.evidence import MEMBERS, EvidenceSummary, hash_rows, write_hashed_row
from hub.report.form.form import ATTRIBUTES, Column, ColumnKind, Form
from hub.store.tables import write_instant
from hub.workload.unit_report import ReportPart, ReportSources

#: A unit with more facts is not counted here: their evidence would take more than about 60 MB.
_LARGEST = 100_000
_KINDS = frozenset({ColumnKind.FLOW, ColumnKind.STOCK, ColumnKind.END, ColumnKind.TIME})

_Row = Sequence[Any]
_AT, _MILESTONE, _DUE, _AMOUNT, _ATTRIBUTES = (
    MEMBERS.index(name) for name in ("at", "milestone", "due", "amount", "attributes")
)
_key_of = itemgetter(MEMBERS.index("key"))
#: The sort key of a row within its unit (`dates.make_fact_sort_key`): times in stored form sort in the order of time.
_order = itemgetter(*(MEMBERS.index(name) for name in ("at", "message", "milestone", "key")))


@attrs.frozen
class UnitEvidence:
    """The evidence of a unit, as counted."""

    sha256: str  #: `evidence.hash_row`
    facts: int
    times: Mapping[str, datetime]  #: the times in its cells, by column


@attrs.frozen
class QuickCount:
    """A report, and the evidence of each of its units."""

    report: Report
    units: Mapping[str, UnitEvidence]

    @property
    def summary(self) -> EvidenceSummary:
        """The number of facts and the SHA-256 of all."""
        digests = {unit: found.sha256 for unit, found in self.units.items()}
        return EvidenceSummary(sum(found.facts for found in self.units.values()), hash_rows(digests))


def can_count_quickly(asked: ReportSources) -> bool:
    """Return whether `count_quickly` counts the report."""
    if asked.bases or asked.form.by_day or len(asked.parts) != 1 or asked.parts[0].rows is not None:
        return False
    kinds, part = {rule.kind for rule in asked.form.rules}, asked.parts[0]
    return kinds <= _KINDS and not any(
        fact_pages.count_facts(part.tx, asked.form.service, (unit,), None, part.period.end, _LARGEST) > _LARGEST
        for unit in asked.members
    )


def count_with_summary(asked: ReportSources, now: datetime) -> tuple[Report, EvidenceSummary]:
    """Return the report with the number and the SHA-256 of the facts behind it."""
    if can_count_quickly(asked):
        counted = count_quickly(asked, now)
        return counted.report, counted.summary
    with asked.open_evidence(now) as found:
        return found.report, found.listing.summary


def count_quickly(asked: ReportSources, now: datetime) -> QuickCount:
    """Return the report as counted at *now*, with the evidence of its units."""
    part, counter = asked.parts[0], _RowCounter.of(asked.parts[0], now)
    search, cells, units = part.make_search(), dict[str, Cells](), dict[str, UnitEvidence]()
    for unit in part.members:
        rows = (row for some in search.list_rows(part.tx, unit) for row in some)
        found = counter.count_unit(rows)
        if found is not None:
            cells[unit], units[unit] = found
    return QuickCount(asked.compose(cells, now), units)


@attrs.define
class _RowCounter:
    """Counts the rows of one unit after the other."""

    _form: Form
    _place: Placing  #: of all columns but times
    _look: Callable[[_Row], object]  #: what the rules see of a fact that is alone with its key
    _joined: frozenset[str]  #: milestones of rules that compare times: each fact is decided for itself
    _times: Sequence[Column]
    _start: str
    _end: str
    _known: dict[object, Sequence[Column]] = attrs.field(factory=dict, init=False)  #: the decisions by `_look`

    @classmethod
    def of(cls, part: ReportPart, now: datetime) -> "_RowCounter":
        """Return the counter for *part* as of *now*."""
        form, period = part.form, part.period
        others = tuple(column for column in form.columns if column.kind is not ColumnKind.TIME)
        start, end = write_instant(period.start), write_instant(period.end)
        named = {condition.attribute for rule in form.rules for condition in rule.conditions}
        seen = itemgetter(
            *sorted(MEMBERS.index(name) if name in ATTRIBUTES else _ATTRIBUTES for name in named), _MILESTONE
        )
        moment = write_instant(now)
        today, first = find_local_day(min(period.end, now)).isoformat(), period.first.isoformat()

        def look(row: _Row) -> object:
            at, due = row[_AT], row[_DUE]
            late = due is not None and (due < today, due < first)
            return seen(row), at < start, at < end, at <= moment, late

        return cls(
            form=form,
            place=Placing.of(attrs.evolve(form, columns=others), period, now, part.books),
            look=look,
            joined=frozenset[str]().union(*(rule.milestones for rule in form.rules if rule.joins)),
            times=[rule for rule in form.rules if rule.kind is ColumnKind.TIME],
            start=start,
            end=end,
        )

    def count_unit(self, rows: Iterator[_Row]) -> tuple[Cells, UnitEvidence] | None:
        """Return the cells and the evidence of the unit of *rows*, which are in the order of their keys; None if it
        counts nothing.
        """
        cells, listed = Cells.none(self._form), list[_Row]()
        sums, latest, looked = cells.sums, dict[str, _Row](), bool(self._times)
        for _, together in groupby(rows, _key_of):
            history = list(together)
            told: Iterable[tuple[_Row, Sequence[Column]]]
            if len(history) > 1 or history[0][_MILESTONE] in self._joined:
                told = self._place_together(history)
            else:
                told = ((history[0], self._place_alone(history[0])),)
            for row, takers in told:
                for column in takers:
                    sums[column.key] += row[_AMOUNT]
                if takers:
                    listed.append(row)
                if looked and self._start <= row[_AT] < self._end:
                    self._see(row, latest)
        if latest:
            for key, row in latest.items():
                cells.times[key] = datetime.fromisoformat(row[_AT])
            known = {id(row) for row in listed}
            listed += {id(row): row for row in latest.values() if id(row) not in known}.values()
        if not listed:
            return None
        listed.sort(key=_order)
        digest = sha256("".join(map(_write_line, listed)).encode()).hexdigest()
        return cells, UnitEvidence(digest, len(listed), dict(cells.times))

    def _place_alone(self, row: _Row) -> Sequence[Column]:
        """Return the columns that count the only fact of a key, a column once for each of its rules."""
        look = self._look(row)
        takers = self._known.get(look)
        if takers is None:
            takers = self._known[look] = [column for column, _ in self._place.place_history([read_raw_fact(row)])]
        return takers

    def _place_together(self, history: Sequence[_Row]) -> Iterator[tuple[_Row, Sequence[Column]]]:
        """Yield each row of a key with the columns that count it."""
        found: dict[str, list[Column]] = {}
        for column, fact in self._place.place_history([read_raw_fact(row) for row in history]):
            found.setdefault(fact.milestone, []).append(column)
        for row in history:
            yield row, found.get(row[_MILESTONE], ())

    def _see(self, row: _Row, latest: dict[str, _Row]) -> None:
        """Remember the latest row of each time column."""
        for column in self._times:
            if not column.milestones or row[_MILESTONE] in column.milestones:
                before = latest.get(column.key)
                if before is None or (row[_AT] >= before[_AT] and _order(row) > _order(before)):
                    latest[column.key] = row


def _write_line(row: _Row) -> str:
    return write_hashed_row(row, () if row[_ATTRIBUTES] == "{}" else read_raw_fact(row).attributes)
