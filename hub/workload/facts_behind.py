"""Reads the facts behind a number of a report in pages, without counting the report.

A report of a province may count millions of facts. Behind a number they are read in the order of time, from a given
place on. Whether a column counts a fact is decided by the facts of its business key alone, so only the keys of a page
are read. Knows which columns can be decided so: those of happenings, peaks and times need all facts of a unit. For these,
and where a report is small, `ReportSources.open_facts_behind` lists the facts at once.
"""

import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from heapq import merge

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.model import Fact
from hub.journal.fact_reading import fact_pages
from hub.journal.fact_reading.fact_pages import CarriedSince, FactScan
from hub.report.counting.corrections import corrects_days, list_corrections
from hub.report.counting.counting import Placing, Report
from hub.report.counting.dates import make_fact_sort_key
from hub.report.counting.evidence import EvidenceLine, EvidenceLines, hash_rows
from hub.report.counting.listing import Place, find_fact_position, write_sortable_time
from hub.report.counting.posting import make_poster
from hub.report.form.column import Column, ColumnKind
from hub.report.form.form import Form, LatePolicy
from hub.workload.quick_count import UnitEvidence, count_quickly
from hub.workload.report_sources import Difference, ReportPart, ReportSources

#: The facts behind a number of a report that counts more facts than this are read in pages. Up to here, all facts are
#: counted in less than a second.
LARGE = 20_000
#: The kinds of columns of which the facts of one key decide.
_BY_KEY = frozenset({ColumnKind.FLOW, ColumnKind.STOCK, ColumnKind.END})
#: The kinds that count a fact in the period of its own time.
_BY_TIME = frozenset({ColumnKind.FLOW, ColumnKind.TIME})


@attrs.frozen
class PageOfFacts:
    """Some of the facts behind a number, oldest first."""

    facts: Sequence[Fact]
    more: Place | None  #: where the next page begins; None: there are no more facts


def counts_many_facts(asked: ReportSources, most: int) -> bool:
    """Return whether the report counts, or has to read, more than *most* facts. Takes milliseconds."""
    if asked.bases:
        return any(counts_many_facts(base, most) for base in asked.bases.values())
    found = sum(row.facts for part in asked.parts if part.rows is not None for row in part.rows.values())
    for part in asked.parts:
        if found <= most and part.rows is None:
            found += fact_pages.count_facts(
                part.tx, asked.form.service, part.members, _find_begin(part), part.period.end, most - found
            )
    return found > most


def can_page(asked: ReportSources, column: str) -> bool:
    """Return whether the facts behind the number of *column* can be read in pages. Raises KeyError: no such column."""
    return all(
        rule.kind in _BY_KEY
        for source, keys in _list_sources(asked, column)
        for each in source.form.columns
        if each.key in keys
        for rule in each.rules
    )


def read_facts_page(
    asked: ReportSources, column: str, now: datetime, after: Place | None, most: int, seconds: float
) -> PageOfFacts:
    """Return the facts behind the number of *column*, from behind the place *after* on: about *most* of them, or fewer
    where *seconds* were not enough to find them. Each fact appears once for each rule that counts it, as in
    `StoredFacts.facts`.
    """
    until, found, last = time.monotonic() + seconds, list[Fact](), after
    for place, some in _list_behind(asked, column, now, after):
        if some and len(found) >= most:
            return PageOfFacts(found, last)
        found += some
        if some or len(found) < most:
            last = place
        if time.monotonic() >= until:
            return PageOfFacts(found, last)
    return PageOfFacts(found, None)


def list_facts_behind(asked: ReportSources, column: str, now: datetime) -> Iterator[Fact]:
    """Yield the facts behind the number of *column*, oldest first, as they are found."""
    for _, some in _list_behind(asked, column, now, None):
        yield from some


def _list_behind(
    asked: ReportSources, column: str, now: datetime, after: Place | None
) -> Iterator[tuple[Place, list[Fact]]]:
    """Yield a place, and the fact there if it counts, once for each rule that counts it. All facts up to that place were
    yielded.
    """
    each = not asked.bases

    def told(source: ReportSources, keys: Collection[str]) -> Iterator[tuple[Place, list[Fact]]]:
        for place, fact, takers in _ColumnFacts.of(source, keys, now).list_counted(after):
            many = len(takers) if each else min(1, len(takers))
            yield place, [] if fact is None else [fact] * many

    lists = [told(source, keys) for source, keys in _list_sources(asked, column)]
    return merge(*lists, key=lambda found: (*found[0][:4], found[0][4] or ""))


def _list_sources(asked: ReportSources, column: str) -> list[tuple[ReportSources, frozenset[str]]]:
    """Return the reports whose facts are behind *column*, each with the keys of its columns that count them."""
    parts = asked.form.parts(column)
    if not asked.bases:
        return [(asked, frozenset(part.key for part in parts))]
    found: dict[str, set[str]] = {}
    for part in parts:
        if part.taken is not None:
            base, key = part.taken
            found.setdefault(base, set()).update(each.key for each in asked.bases[base].form.parts(key))
    return [(asked.bases[base], frozenset(keys)) for base, keys in found.items()]


@attrs.frozen
class EvidenceToList:
    """A report, and the facts behind it."""

    report: Report
    lines: EvidenceLines
    #: the units whose facts differ from those of the closing; None: they were not compared
    differences: Sequence[Difference] | None


@contextmanager
def open_evidence_to_list(asked: ReportSources, now: datetime) -> Generator[EvidenceToList]:
    """Give the report with its evidence, for a document that lists the first facts and states the SHA-256 of all.

    Of a large closed month the numbers and the SHA-256 are those of the closing. Of a large open period both are counted.
    Of either, only the listed facts are read for the list.
    """
    if can_read_lines(asked) and counts_many_facts(asked, LARGE):
        rows = asked.parts[0].rows
        if rows is not None:
            closed = {
                code: UnitEvidence(row.evidence, row.facts, row.cells.times) for code, row in rows.items() if row.facts
            }
            yield EvidenceToList(asked.count(now), ReadEvidence(asked, now, closed), None)
            return
        counted = count_quickly(asked, now)
        if counted is not None:
            yield EvidenceToList(counted.report, ReadEvidence(asked, now, counted.units), ())
            return
    with asked.open_evidence(now) as found:
        yield EvidenceToList(found.report, found.listing, found.differences)


def can_read_lines(asked: ReportSources) -> bool:
    """Return whether the facts behind the report, which has one part, can be found one by one."""
    kinds = {rule.kind for rule in asked.form.rules}
    return not asked.bases and len(asked.parts) == 1 and kinds <= _BY_KEY | _BY_TIME


@attrs.frozen(eq=False)
class ReadEvidence(EvidenceLines):
    """Evidence of which the SHA-256 and the number are known; the facts are read as they are needed."""

    asked: ReportSources
    now: datetime
    units: Mapping[str, UnitEvidence]

    @property
    def sha256(self) -> str:
        """The SHA-256 of all facts."""
        return hash_rows({unit: found.sha256 for unit, found in self.units.items()})

    def __len__(self) -> int:
        """The number of facts."""
        return sum(found.facts for found in self.units.values())

    def __iter__(self) -> Iterator[EvidenceLine]:
        """Yield each fact once, oldest first. `message_id` is not filled in."""
        order = [column.key for column in self.asked.form.columns]
        times = {unit: found.times for unit, found in self.units.items()}
        for _, fact, takers in _ColumnFacts.of(self.asked, order, self.now, times).list_counted(None):
            if fact is not None and takers:
                yield EvidenceLine(fact, tuple(key for key in order if key in takers))


@attrs.frozen
class _ColumnFacts:
    """Finds the facts that some columns of a report count."""

    source: ReportSources
    form: Form  #: the form with these columns only
    rules: Sequence[Column]  #: its rules
    parts: Sequence[tuple[ReportPart, Placing, Collection[Column]]]  #: the parts that matter, each with its rules
    times: Mapping[str, Mapping[str, datetime]]  #: the times that were counted, by unit and column

    @classmethod
    def of(
        cls,
        source: ReportSources,
        keys: Collection[str],
        now: datetime,
        times: Mapping[str, Mapping[str, datetime]] | None = None,
    ) -> "_ColumnFacts":
        """Return what finds the facts of the columns *keys*. *times*: needed for columns that are a time."""
        form = attrs.evolve(source.form, columns=tuple(one for one in source.form.columns if one.key in keys))
        found = []
        for number, part in enumerate(source.parts):
            rules = [rule for rule in form.rules if _counts_in_part(rule, number, len(source.parts))]
            if rules:
                moment = now if part.rows is None else max(now, part.period.end)
                found.append((part, Placing.of(form, part.period, moment, part.books), rules))
        return cls(source, form, form.rules, found, times or {})

    def list_counted(self, after: Place | None) -> Iterator[tuple[Place, Fact | None, Sequence[str]]]:
        """Yield each fact that may count, behind *after*, with its place and the column of each rule that counts it;
        and now and then None with a place up to which there is no other.
        """
        if not self.parts:
            return
        part = self.parts[0][0]
        plain = all(_is_plain(rule) for rule in self.rules) and not corrects_days(self.form)
        scan, alone = self._make_scan(), part.within is None and plain
        moving, post = all(rule.kind in _BY_TIME for rule in self.rules), make_poster(self.form, part.books)
        for facts, reached in scan.list_stretches(part.tx, after):
            keys = set() if alone else {(fact.unit, fact.key) for fact, single in facts if not single}
            histories = fact_pages.read_histories(part.tx, self.form.service, keys)
            for fact, single in facts:
                history = (fact,) if alone or single else histories[fact.unit, fact.key]
                takers = self._find_takers(fact, history, post(fact) if moving else None)
                yield find_fact_position(fact), fact, takers
            if reached is not None:
                yield (write_sortable_time(reached), "", "", "", None), None, ()

    def _find_takers(self, fact: Fact, history: Sequence[Fact], when: datetime | None) -> list[str]:
        """Return the column of each rule that counts *fact*. *when*: only the part of this time is looked at; None: all
        are.
        """
        found = list[str]()
        for part, placing, rules in self.parts:
            if when is None or part.period.start <= when < part.period.end:
                if not part.is_within(fact.unit, placing.find_origin(fact, history)):
                    continue
                placed = [rule for rule, other in placing.place_history(history) if other.milestone == fact.milestone]
                found += [rule.key for rule in placed if rule in rules]
                found += [
                    rule.key for rule in rules if rule.kind is ColumnKind.TIME and self._is_latest(rule, part, fact)
                ]
        return found

    def _is_latest(self, rule: Column, part: ReportPart, fact: Fact) -> bool:
        """Return whether the time that was counted for the fact's unit is that of *fact*."""
        if self.times.get(fact.unit, {}).get(rule.key) != fact.at:
            return False
        post, span = make_poster(self.form, part.books), part.period
        others = fact_pages.read_facts_at(part.tx, self.form.service, fact.unit, fact.at)
        same = [
            other
            for other in others
            if (not rule.milestones or other.milestone in rule.milestones) and span.start <= post(other) < span.end
        ]
        return fact == max(same, key=make_fact_sort_key, default=None)

    def _make_scan(self) -> FactScan:
        """Return the scan that finds every fact that may count."""
        form, first, last = self.form, self.parts[0][0], self.parts[-1][0]
        flows, members = all(rule.kind in _BY_TIME for rule in self.rules), self.source.members
        everything = any(rule.kind is ColumnKind.TIME and not rule.milestones for rule in self.rules)
        begin = first.period.start if flows else _find_begin(first)
        since, until, bounded = begin or first.period.start, last.period.end, True
        if form.by_day:
            range_of = fact_pages.find_time_range
            told = range_of(first.tx, form.service, members, find_local_day(since), last.period.last)
            since, until = (since, until) if told is None else (min(since, told[0]), max(until, told[1]))
            closing = last.books.find(last.period)
            if form.late is LatePolicy.NEXT and closing is not None:
                until = max(until, closing.closed_at)
            else:  # a late fact may be recorded at any time
                bounded = flows and (form.late is LatePolicy.REVISION or not last.books.months)
        return FactScan(
            form.service,
            members,
            frozenset()
            if everything
            else list_corrections(frozenset[str]().union(*(rule.milestones | rule.furthest for rule in self.rules))),
            since=since if flows else None,
            until=until + timedelta(microseconds=1) if bounded else None,
            carried=None if flows or first.before is None else CarriedSince(form.id, first.before, since),
        )


def _find_begin(part: ReportPart) -> datetime | None:
    """Return the end of the closed month whose carried keys *part* needs: all other facts that it counts, or that make
    it count others, are posted after that time. None: all of the past is needed.
    """
    return next((month.period.end for month in part.books.months if month.period.text == part.before), None)


def _counts_in_part(rule: Column, number: int, parts: int) -> bool:
    """Return whether *rule* counts in part *number* of so many *parts*, as `closed.list_composed_facts` decides."""
    return rule.kind is not ColumnKind.STOCK or number == (0 if rule.opening else parts - 1)


def _is_plain(rule: Column) -> bool:
    """Return whether a fact alone decides whether *rule* counts it."""
    return rule.kind is ColumnKind.FLOW and not rule.joins
