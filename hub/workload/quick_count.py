"""Counts a large open report with the SHA-256 of its evidence, from the stored rows of its facts.

`ReportSources.open_evidence` makes a `Fact` of each row, places it, and sorts the evidence on disk: 25 µs for each fact.
Here the decision about a key with one fact is made once for all facts of a unit that look alike to the rules, and a
unit's evidence is sorted in memory. What is done for each fact is done by functions written in C, on the driver's own
rows (`FactSearch.list_rows`). The rules stay where they are (`hub.report.counting`): this module only calls them less
often. It counts forms whose facts count at the time of their recording, whose columns are decided by one key, or are
a time, and whose rows are units.
"""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import compress, groupby, islice, pairwise
from operator import attrgetter, eq, itemgetter
from typing import Any

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.model import Fact
from hub.journal.fact_reading.fact_rows import read_raw_fact
from hub.journal.fact_reading.fact_search import ALIKE, ROW
from hub.report.counting.counting import Cells, Placing, Report
from hub.report.counting.evidence import MEMBERS, EvidenceSummary, HashedMembers, hash_rows, write_hashed_rows
from hub.report.form.column import ATTRIBUTES, Column, ColumnKind
from hub.report.form.form import Form
from hub.store.tables import write_instant
from hub.workload.report_sources import ReportPart, ReportSources

#: A unit with more facts is not counted here: their evidence would take more than about 60 MB.
_LARGEST = 100_000
_KINDS = frozenset({ColumnKind.FLOW, ColumnKind.STOCK, ColumnKind.END, ColumnKind.TIME})

_Row = tuple[Any, ...]
_KEY, _AT, _MESSAGE, _DUE, _DAY, _AMOUNT, _ALIKE = range(len(ROW) + 1)
_key_of, _at_of, _due_of, _amount_of, _alike_of = map(itemgetter, (_KEY, _AT, _DUE, _AMOUNT, _ALIKE))
#: The maximum number of different `ALIKE` texts that are kept from one unit to the next; each takes about 1 KB.
_KEPT = 10_000
#: Lines of evidence that are hashed at a time.
_HASHED = 500


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
    """Return whether `count_quickly` counts the report, if its units are not too large."""
    if (
        asked.bases
        or asked.form.by_day
        or asked.form.divides_by
        or len(asked.parts) != 1
        or asked.parts[0].rows is not None
    ):
        return False
    return all(rule.kind in _KINDS and not rule.having for rule in asked.form.rules)


def count_with_summary(asked: ReportSources, now: datetime) -> tuple[Report, EvidenceSummary]:
    """Return the report with the number and the SHA-256 of the facts behind it."""
    counted = count_quickly(asked, now)
    if counted is not None:
        return counted.report, counted.summary
    with asked.open_evidence(now) as found:
        return found.report, found.listing.summary


def count_quickly(asked: ReportSources, now: datetime) -> QuickCount | None:
    """Return the report as counted at *now*, with the evidence of its units. None: it is not counted here."""
    if not can_count_quickly(asked):
        return None
    part, counter = asked.parts[0], _RowCounter.of(asked.parts[0], now)
    search, cells, units = part.make_search(), dict[str, Cells](), dict[str, UnitEvidence]()
    for unit in part.members:
        rows = counter.gather_rows(search.list_rows(part.tx, unit))
        if rows is None:
            return None
        found = counter.count_unit(unit, rows)
        if found is not None:
            cells[unit], units[unit] = found
    return QuickCount(asked.compose(cells, now), units)


@attrs.frozen
class _Alike:
    """What the rows with the same `ALIKE` text have in common."""

    members: Sequence[Any]
    milestone: str
    joined: bool  #: its milestone is one of those of which each fact is decided for itself


@attrs.define
class _RowCounter:
    """Counts the rows of one unit after the other."""

    _form: Form
    _place: Placing  #: of all columns but times
    _seen: Callable[[Fact], object]  #: what the rules see of a fact beside its time and its due date
    _joined: frozenset[str]  #: milestones of rules that compare times: each fact is decided for itself
    _times: Sequence[Column]
    _start: str
    _end: str
    _after: str  #: the first time after the moment of the report
    _today: str
    _first: str
    _known: dict[object, Sequence[Column]] = attrs.field(factory=dict, init=False)  #: the decisions
    _alike: dict[str, _Alike] = attrs.field(factory=dict, init=False)
    _hashed: dict[str, HashedMembers] = attrs.field(factory=dict, init=False)
    _looks: dict[str, object] = attrs.field(factory=dict, init=False)  #: `_seen` of the facts with an `ALIKE` text

    @classmethod
    def of(cls, part: ReportPart, now: datetime) -> "_RowCounter":
        """Return the counter for *part* as of *now*."""
        form, period = part.form, part.period
        others = tuple(column for column in form.columns if column.kind is not ColumnKind.TIME)
        named = {condition.attribute for rule in form.rules for condition in rule.conditions}
        seen = attrgetter("milestone", *sorted({name if name in ATTRIBUTES else "attributes" for name in named}))
        return cls(
            form=form,
            place=Placing.of(attrs.evolve(form, columns=others), period, now, part.books),
            seen=seen,
            joined=frozenset[str]().union(*(rule.milestones | rule.furthest for rule in form.rules if rule.joins)),
            times=[rule for rule in form.rules if rule.kind is ColumnKind.TIME],
            start=write_instant(period.start),
            end=write_instant(period.end),
            after=write_instant(now + timedelta(microseconds=1)),
            today=find_local_day(min(period.end, now)).isoformat(),
            first=period.first.isoformat(),
        )

    def gather_rows(self, found: Iterable[Sequence[_Row]]) -> list[_Row] | None:
        """Return the rows *found* of a unit that lie before the period's end; None if they are too many."""
        end, rows = self._end, list[_Row]()
        for some in found:
            rows += [row for row in some if row[_AT] < end]
            if len(rows) > _LARGEST:
                return None
        return rows

    def count_unit(self, unit: str, rows: list[_Row]) -> tuple[Cells, UnitEvidence] | None:
        """Return the cells and the evidence of *unit*, of which *rows* are in the order of their keys; None if it counts
        nothing. Sorts *rows*.
        """
        self._learn(unit, rows)
        together = self._find_together(rows)
        rows.sort(key=_at_of)
        alone = rows if together is None else [row for row in rows if row[_KEY] not in together[0]]
        cells = Cells.none(self._form)
        start, after = (bisect_left(alone, time, key=_at_of) for time in (self._start, self._after))
        places, listed = sorted({0, start, after, len(alone)}), list[_Row]()
        for first, last in pairwise(places):
            listed += self._count_alone(unit, alone[first:last], (first < start, first < after), cells.sums)
        if together is not None:
            listed += self._count_together(unit, together[1], cells.sums)
        for key, row in self._find_latest(rows).items():
            cells.times[key] = datetime.fromisoformat(row[_AT])
            if row not in listed:
                listed.append(row)
        if not listed:
            return None
        return cells, UnitEvidence(self._hash(unit, listed), len(listed), dict(cells.times))

    def _learn(self, unit: str, rows: Sequence[_Row]) -> None:
        """Read the `ALIKE` texts of *rows* that are not known yet."""
        if len(self._alike) > _KEPT:
            for kept in (self._alike, self._hashed, self._looks):
                kept.clear()
        examples = dict(zip(map(_alike_of, rows), rows, strict=True))
        for text in examples.keys() - self._alike.keys():
            members = json.loads(text)
            fact = self._make_fact(unit, examples[text], members)
            self._hashed[text], self._looks[text] = HashedMembers.of(fact), self._seen(fact)
            self._alike[text] = _Alike(members, fact.milestone, fact.milestone in self._joined)

    def _find_together(self, rows: Sequence[_Row]) -> tuple[Collection[str], Sequence[_Row]] | None:
        """Return the keys of which one fact alone does not decide, and their rows in the order of *rows*."""
        keys = list(map(_key_of, rows))
        found = set(compress(keys, map(eq, keys, islice(keys, 1, None))))
        if self._joined:
            joined = {text for text in set(map(_alike_of, rows)) if self._alike[text].joined}
            found.update(row[_KEY] for row in rows if joined and row[_ALIKE] in joined)
        return (found, [row for row in rows if row[_KEY] in found]) if found else None

    def _count_alone(
        self, unit: str, rows: Sequence[_Row], when: tuple[bool, bool], sums: dict[str, int]
    ) -> Sequence[_Row]:
        """Add the amounts of *rows*, each the only fact of its key, to *sums*. Return those that some column counts.

        *when*: whether they were recorded before the period, and not after the moment of the report.
        """
        alike, dues, amounts = (map(get, rows) for get in (_alike_of, _due_of, _amount_of))
        looks = list(zip(map(self._looks.__getitem__, alike), dues, amounts, strict=True))
        some, counting = dict(zip(looks, rows, strict=True)), set[object]()
        for look, number in Counter(looks).items():
            seen, due, amount = look
            takers = self._place_alone(unit, some[look], (seen, when, self._is_late(due)))
            for column in takers:
                sums[column.key] += number * amount
            if takers:
                counting.add(look)
        return rows if len(counting) == len(some) else list(compress(rows, map(counting.__contains__, looks)))

    def _is_late(self, due: str | None) -> object:
        """Return what the rules see of a due date."""
        return due is not None and (due < self._today, due < self._first)

    def _place_alone(self, unit: str, row: _Row, look: object) -> Sequence[Column]:
        """Return the columns that count the only fact of a key, a column once for each of its rules."""
        takers = self._known.get(look)
        if takers is None:
            placed = self._place.place_history([self._read(unit, row)])
            takers = self._known[look] = [column for column, _ in placed]
        return takers

    def _count_together(self, unit: str, rows: Iterable[_Row], sums: dict[str, int]) -> Iterator[_Row]:
        """Add the amounts of *rows*, the facts of some keys, to *sums*. Yield those that some column counts."""
        for _, together in groupby(rows, _key_of):
            history, found = list(together), dict[str, list[Column]]()
            for column, fact in self._place.place_history([self._read(unit, row) for row in history]):
                found.setdefault(fact.milestone, []).append(column)
            for row in history:
                takers = found.get(self._alike[row[_ALIKE]].milestone, ())
                for column in takers:
                    sums[column.key] += row[_AMOUNT]
                if takers:
                    yield row

    def _find_latest(self, rows: Sequence[_Row]) -> dict[str, _Row]:
        """Return the latest row in the period that each time column counts, by its key. *rows* are sorted by time."""
        found = {}
        for column in self._times:
            mine = (row for row in reversed(rows) if self._is_timed(column, row))
            for _, same in islice(groupby(mine, _at_of), 1):
                row = max(same, key=self._order)
                if row[_AT] >= self._start:
                    found[column.key] = row
        return found

    def _is_timed(self, column: Column, row: _Row) -> bool:
        return not column.milestones or self._alike[row[_ALIKE]].milestone in column.milestones

    def _order(self, row: _Row) -> tuple[str, str, str, str]:
        """Return the sort key of a row within its unit (`dates.make_fact_sort_key`): times in stored form sort in the
        order of time.
        """
        return row[_AT], row[_MESSAGE], self._alike[row[_ALIKE]].milestone, row[_KEY]

    def _hash(self, unit: str, rows: list[_Row]) -> str:
        """Return the SHA-256 of the evidence of *unit* (`evidence.hash_row`). Sorts *rows*."""
        rows.sort(key=_at_of)
        times = list(map(_at_of, rows))
        if any(map(eq, times, islice(times, 1, None))):
            rows.sort(key=self._order)
        written, lines = sha256(), write_hashed_rows(unit, self._form.service, rows, self._hashed)
        while some := list(islice(lines, _HASHED)):
            written.update("".join(some).encode())
        return written.hexdigest()

    def _read(self, unit: str, row: _Row) -> Fact:
        return self._make_fact(unit, row, self._alike[row[_ALIKE]].members)

    def _make_fact(self, unit: str, row: _Row, members: Sequence[Any]) -> Fact:
        known = dict(zip(ROW, row, strict=False)) | dict(zip(ALIKE, members, strict=True))
        known |= {"unit": unit, "service": self._form.service}
        known |= {name: bool(known[name]) for name in ("outside", "paper")}  # SQLite has 0 and 1
        return read_raw_fact([known[name] for name in MEMBERS])
