"""What a report of a unit is counted from: stored rows and facts, its parts, the evidence; not which it is."""

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextlib import closing as closing_of
from datetime import datetime

import attrs

from hub.domain.model import Fact, Unit
from hub.domain.time_window import TimeWindow
from hub.journal.fact_reading import fact_search
from hub.report.counting import checks, closed, counting, deriving, division, principals, sections, table
from hub.report.counting.closed import ClosedRow, Piece
from hub.report.counting.counting import Cells, Placing, Report, Row
from hub.report.counting.declared import NO_REMARKS, DeclaredFigure, Remarks, place_figures
from hub.report.counting.deriving import Number
from hub.report.counting.division import UNDIVIDED, Values
from hub.report.counting.listing import FactListing, Place, find_fact_position
from hub.report.counting.marks import NO_MARKS, ClosingMarks
from hub.report.counting.posting import ClosedMonths
from hub.report.counting.services_used import count_used_services
from hub.report.form.column import Column, ColumnKind
from hub.report.form.form import OF_UNITS, PRINCIPAL, UNIT, Form
from hub.report.form.period import Period
from hub.report.form.service_list import PublicService
from hub.report.form.workdays import Due
from hub.store.transactions import Transaction
from hub.workload.closing_marks import RevisedRow
from hub.workload.closing_plan import Closing


@attrs.frozen
class Difference:
    """A unit whose evidence in a closed month differs from its closing. A person must investigate it."""

    period: str
    unit: str


@attrs.define(eq=False)
class ReportPart:
    """One closed month, or an open part, of a period. Its facts are read lazily, a few business keys at a time."""

    tx: Transaction
    form: Form
    period: Period
    members: tuple[str, ...]
    books: ClosedMonths
    windows: Sequence[TimeWindow]  #: where its facts are found
    before: str | None  #: the closed month before it, whose carried keys it needs
    rows: Mapping[str, ClosedRow] | None = None  #: the rows of a closed month, by unit; None: the part is counted
    within: Values | None = None  #: only facts in a row whose values begin with these are placed; None: all are

    def narrow(self, unit: str) -> "ReportPart":
        """Return the part of *unit* alone."""
        rows = None if self.rows is None else {code: row for code, row in self.rows.items() if code == unit}
        return attrs.evolve(self, members=(unit,), rows=rows)

    def narrow_family(self, members: Sequence[str]) -> "ReportPart":
        """Return the part of *members* alone."""
        rows = None if self.rows is None else {code: self.rows[code] for code in members if code in self.rows}
        return attrs.evolve(self, members=tuple(members), rows=rows)

    def histories(self) -> Iterator[Iterator[list[Fact]]]:
        """Yield for each member the facts that its numbers are counted from, grouped by business key."""
        search = self.make_search()
        for unit in self.members:
            yield search.histories(self.tx, unit)

    def make_search(self) -> fact_search.FactSearch:
        """Return the search for the facts that its numbers are counted from."""
        fact_search.use_indexes(self.tx)
        return fact_search.FactSearch.for_period(self.form.service, self.windows, self.form.id, self.before)

    def placed(self, now: datetime) -> Iterator[tuple[Column, Fact, Fact | None]]:
        """Yield each column with each fact that it takes, unit by unit, and with the fact that states the values of its
        row (`Placing.divide_histories`).
        """
        now = now if self.rows is None else max(now, self.period.end)
        placing = Placing.of(self.form, self.period, now, self.books)
        for unit, histories in zip(self.members, self.histories(), strict=True):
            if self.within is None:
                yield from placing.divide_histories(histories)
                continue
            for found in placing.divide_histories(histories):
                if self.is_within(unit, found[2]):
                    yield found

    def is_within(self, unit: str, origin: Fact | None) -> bool:
        """Return whether facts of *unit* with the values that *origin* states are in the rows that are looked for."""
        if self.within is None:
            return True
        by, row = self.form.divides_by, None if self.rows is None else self.rows.get(unit)
        if row is not None and not closed.is_divided(row.cells, by):
            return self.within == (UNDIVIDED,) * len(self.within)
        return division.read_values(by, origin)[: len(self.within)] == self.within

    def cells(self, now: datetime) -> Mapping[str, Cells]:
        """Return the stored cells of a closed month, or the cells of an open part as counted now."""
        if self.rows is not None:
            return {unit: row.cells for unit, row in self.rows.items()}
        tally = _Tally(self)
        for _ in tally.placed(now):
            pass
        return tally.cells

    def differences(self, evidence_of: Mapping[str, str]) -> list[Difference]:
        """Return the units whose facts differ from those behind their rows at the closing. *evidence_of*: the SHA-256
        of the facts now, by unit.
        """
        if self.rows is None or self.within is not None:
            return []
        then = {unit: row.evidence for unit, row in self.rows.items() if row.facts}
        wrong = sorted(unit for unit in evidence_of.keys() | then.keys() if evidence_of.get(unit) != then.get(unit))
        return [Difference(self.period.text, unit) for unit in wrong]


@attrs.define(eq=False)
class _Tally:
    """Counts the facts of an open part as they are read. Lists those of a closed month instead."""

    part: ReportPart
    listing: FactListing | None = None  #: of a closed month whose facts must be compared with those of its closing
    cells: dict[str, Cells] = attrs.field(factory=dict)

    def placed(self, now: datetime) -> Iterator[tuple[Column, Fact]]:
        form, cells, listing = self.part.form, self.cells, self.listing
        for column, fact, origin in self.part.placed(now):
            if self.part.rows is None:
                mine = cells.get(fact.unit)
                if mine is None:
                    mine = cells[fact.unit] = Cells.none(form)
                mine.count(column, fact, origin)
            elif listing is not None:
                listing.take(column.key, fact)
            yield column, fact


@attrs.frozen(kw_only=True)
class ReportWithEvidence:
    """A report with the facts behind it."""

    report: Report
    listing: FactListing
    differences: tuple[Difference, ...]  #: each unit whose facts in a closed month differ from its closing


@attrs.frozen(kw_only=True)
class ReportSources:
    """The sources from which a report is counted or composed.

    Counting reads the database, so the transaction must still be open. Memory: the facts of some hundred business keys
    of one unit, and the facts that happenings and peaks keep of it.
    """

    form: Form  #: of a closed month: the form in force then
    period: Period
    members: tuple[str, ...]  #: the unit, then those below it
    names: Mapping[str, str]  #: of every unit of the province, by code
    units: Mapping[str, Unit] = attrs.field(factory=dict, repr=False)  #: its members that the registry has, by code
    receiver: str = ""  #: the name of the unit to which this one reports; "" when the registry has none
    closed: Closing | None = None  #: the closing, when *period* is a closed month
    complete: bool = False  #: all of the period is closed: only a revision changes the report
    revision: int = 1  #: 1 plus the number of revisions of the rows that it sums up
    made_at: datetime | None = None  #: when its newest row was made, if the report is complete
    due: Due | None = None  #: the date by which the report must be submitted, if its form has one
    parts: Sequence[ReportPart] = attrs.field(repr=False)
    #: the sources of a derived form, by the id of the form it takes from
    bases: Mapping[str, "ReportSources"] = attrs.field(factory=dict, repr=False)
    declared: tuple[DeclaredFigure, ...] = attrs.field(default=(), repr=False)  #: the declared figures in it
    before: Mapping[str, Mapping[str, Number]] | None = attrs.field(default=None, repr=False)
    """The numbers of the closed month before the period, by unit; None if the form does not check against them."""
    by: tuple[str, ...] = (UNIT,)  #: the dimensions of the rows of its table
    names_of_values: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict, repr=False)
    """The names of values that code lists in force give, by attribute; of a closed period those of procedures alone,
    because it kept the others."""
    #: the public services in force in the period, by code, if its form counts them
    services: Mapping[str, PublicService] = attrs.field(factory=dict, repr=False)
    revised: Sequence[RevisedRow] = attrs.field(default=(), repr=False)  #: the revisions of its rows, oldest first
    marks: ClosingMarks = NO_MARKS  #: what the report says of the closings behind it
    remarks: Remarks = NO_REMARKS  #: what its units say of their figures
    is_newest: bool = True  #: whether no revision of its rows is left out

    @property
    def facts(self) -> Iterator[Fact]:
        """All facts that its numbers are counted from, in no order. Includes facts that are not counted; some occur
        more than once.
        """
        for base in self.bases.values():
            yield from base.facts
        for part in self.parts:
            for histories in part.histories():
                for history in histories:
                    yield from history

    @property
    def is_divided(self) -> bool:
        """Whether the rows of units are divided in its table, such as by field."""
        return any(name not in OF_UNITS for name in self.by)

    @property
    def unit_is_known(self) -> bool:
        """Whether the registry has the unit, or a fact was counted for it."""
        return self.members[0] in self.names or self._has_facts

    @property
    def _has_facts(self) -> bool:
        if self.bases:
            return any(base._has_facts for base in self.bases.values())  # noqa: SLF001 - its own kind
        return any(part.rows for part in self.parts) or next(self.facts, None) is not None

    @property
    def bare(self) -> "ReportSources":
        """The request without its sources, for callers whose transaction is over."""
        return attrs.evolve(self, parts=(), bases={name: base.bare for name, base in self.bases.items()})

    def narrow(self, unit: str) -> "ReportSources":
        """Return the sources of the row of *unit* alone, one of `members`."""
        return attrs.evolve(
            self,
            members=(unit,),
            parts=[part.narrow(unit) for part in self.parts],
            bases={name: base.narrow(unit) for name, base in self.bases.items()},
            before=None,
        )

    def narrow_family(self, members: Sequence[str]) -> "ReportSources":
        """Return the sources of the report of the unit *members*[0] with the units below it, all of them of `members`."""
        return attrs.evolve(
            self,
            members=tuple(members),
            parts=[part.narrow_family(members) for part in self.parts],
            bases={name: base.narrow_family(members) for name, base in self.bases.items()},
            before=None,
        )

    @property
    def principals(self) -> Mapping[str, str]:
        """The principal unit of each of `members`, in whose row it is counted in a table of principal units."""
        return principals.find_principals(self.units, self.members, self.form.sections)

    def choose_rows(self, rows: "RowChoice") -> "ReportSources":
        """Return the sources of the report with other rows. Raises KeyError if it has no row to be opened."""
        if rows.opened is None:
            return self if rows.by is None else attrs.evolve(self, by=(rows.by,))
        found = self.principals
        if found.get(rows.opened) != rows.opened:
            raise KeyError(rows.opened)
        return attrs.evolve(
            self.narrow_family([code for code in self.members if found[code] == rows.opened]), by=(UNIT,)
        )

    def narrow_row(self, unit: str | None, values: Values | None) -> "ReportSources":
        """Return the sources of the row of *unit* (None: all units) and of the *values* with which its divided rows begin
        (None: all). Raises KeyError if there is no such unit, or the form does not divide rows so.

        The numbers of the report are still those of whole units; only the facts are those of the row.
        """
        if unit is not None and unit not in self.members:
            raise KeyError(unit)
        found = self if unit is None else self.narrow(unit)
        if values is None:
            return found
        if not values or len(values) > len(self.form.divides_by):
            raise KeyError(values)
        return attrs.evolve(found, parts=[attrs.evolve(part, within=values) for part in found.parts])

    def count(self, now: datetime) -> Report:
        """Return the report: closed months as stored, the rest as counted at *now*."""
        if self.bases:
            return self._finished(self._derived({name: base.count(now) for name, base in self.bases.items()}, now))
        return self._finished(self._composed([part.cells(now) for part in self.parts], now))

    @contextmanager
    def open_evidence(self, now: datetime, only: Collection[str] | None = None) -> Generator[ReportWithEvidence]:
        """Give the report with its evidence, which is on disk until the block ends. *only*: the columns whose facts are
        listed; None: all.
        """
        with ExitStack() as around:
            listing = around.enter_context(closing_of(FactListing([column.key for column in self.form.columns])))

            def take(column: str, fact: Fact) -> None:
                if only is None or column in only:
                    listing.take(column, fact)

            report, wrong = self._gather(now, take, listing if only is None else None)
            yield ReportWithEvidence(report=report, listing=listing, differences=tuple(dict.fromkeys(wrong)))

    def _gather(
        self, now: datetime, take: Callable[[str, Fact], None], listing: FactListing | None = None
    ) -> tuple[Report, list[Difference]]:
        """Count; call *take* with each column and each fact behind it; compare closed months with their closings.

        *listing*: the listing in which *take* puts all facts; None: *take* leaves some out.
        """
        if self.bases:
            reports, wrong, takers = dict[str, Report](), list[Difference](), _list_takers(self)
            for name, base in self.bases.items():

                def passed_on(column: str, fact: Fact, name: str = name) -> None:
                    for mine in takers.get((name, column), ()):
                        take(mine, fact)

                reports[name], found = base._gather(now, passed_on)  # noqa: SLF001 - its own kind
                wrong += found
            return self._finished(self._derived(reports, now)), wrong
        with ExitStack() as around:
            alone = listing is not None and len(self.parts) == 1
            tallies = [
                _Tally(part)
                if part.rows is None or alone
                else _Tally(part, around.enter_context(closing_of(FactListing([]))))
                for part in self.parts
            ]
            for column, fact in closed.list_composed_facts([tally.placed(now) for tally in tallies]):
                take(column.key, fact)
            wrong = []
            for tally in tallies:
                listed = listing if alone else tally.listing
                wrong += tally.part.differences(listed.rows) if listed is not None else []
            cells = [tally.cells if tally.part.rows is None else tally.part.cells(now) for tally in tallies]
            return self._finished(self._composed(cells, now)), wrong

    def compose(self, cells: Mapping[str, Cells], now: datetime) -> Report:
        """Return the report of one part from the *cells* counted at *now*, by unit."""
        return self._finished(self._composed([cells], now))

    def compose_all(self, counted: Mapping[tuple[str, int], Mapping[str, Cells]], now: datetime) -> Report:
        """Return the report from the cells of its open parts, *counted* before: by the base form ("": this one) and the
        place of the part. Closed parts are as stored.
        """

        def compose(name: str, one: ReportSources) -> Report:
            cells = [
                part.cells(now) if part.rows is not None else counted[name, place]
                for place, part in enumerate(one.parts)
            ]
            return one._composed(cells, now)

        if self.bases:
            return self._derived({name: compose(name, base) for name, base in self.bases.items()}, now)
        return compose("", self)

    def _composed(self, cells: Sequence[Mapping[str, Cells]], now: datetime) -> Report:
        pieces = [Piece(part.period, found) for part, found in zip(self.parts, cells, strict=True)]
        return closed.compose_report(self.form, self.period, self.made_at or now, self.members, pieces)

    def _derived(self, reports: Mapping[str, Report], now: datetime) -> Report:
        if self.form.counts_services:
            made_at = self.made_at or now
            return count_used_services(self.form, self.period, made_at, self.members[0], reports, self.services)
        rows = {name: _list_numbers(report) for name, report in reports.items()}
        taken = {unit: Cells(deriving.derive_numbers(self.form, unit, rows)) for unit in self.members}
        return counting.assemble_report(
            self.form, self.period, self.made_at or now, self.members, taken, place_figures(self.declared, self.members)
        )

    def _finished(self, report: Report) -> Report:
        if self.before is not None:
            broken = checks.check_between_periods(self.form, _list_numbers(report), self.before)
            report = attrs.evolve(report, findings=(*report.findings, *broken))
        report = attrs.evolve(report, rows=tuple(row for row in report.rows if self._shows(row)))
        report = attrs.evolve(
            report,
            sections=sections.sort_sections(report, self.units),
            due=self.due,
            marks=self.marks,
            remarks=self.remarks,
        )
        if PRINCIPAL in self.by:
            report = principals.sum_principals(report, self.units, self.members)
        by = self.by if self.is_divided else (UNIT,)
        return table.divide_table(report, by, self.names_of_values) if self.form.divides_by else report

    def _shows(self, row: Row) -> bool:
        """Tell whether the report has *row*: a unit that ended before the period has none if nothing is counted there."""
        unit = self.units.get(row.unit)
        ended = unit is not None and unit.until is not None and unit.until <= self.period.first
        if not ended or row.unit == self.members[0]:
            return True
        return any(row.numbers.values()) or any(row.times.values())

    def open_facts_behind(
        self, column: str, now: datetime, unit: str | None = None
    ) -> AbstractContextManager["StoredFacts"]:
        """Give the facts behind the number of *column*, of *unit* alone or (None) of all units. Raises KeyError at the
        call if there is no such column.
        """
        return self._facts_behind(column, {part.key for part in self.form.parts(column)}, now, unit)

    @contextmanager
    def _facts_behind(
        self, column: str, keys: Collection[str], now: datetime, unit: str | None
    ) -> Generator["StoredFacts"]:
        with self.open_evidence(now, keys) as found:
            # A form's own number is the sum over the listed facts. A derived form lists each fact once.
            latest = self.form.column(column).kind is ColumnKind.TIME
            yield StoredFacts(found, keys, unit, each=not self.bases, latest=latest)


@attrs.frozen(kw_only=True)
class RowChoice:
    """Which rows of a report are asked for, instead of those that its form chooses."""

    by: str | None = None  #: `UNIT` or `PRINCIPAL`; None: as the form says
    #: a principal unit: the report of the units in its row, a row each, of which the total is that row
    opened: str | None = None


#: The rows that the form chooses.
ROWS_OF_FORM = RowChoice()


@attrs.frozen
class StoredFacts:
    """The facts behind a number, on disk."""

    gathered: ReportWithEvidence
    _keys: Collection[str]
    _unit: str | None
    _each: bool
    _latest: bool  #: for a column of kind `time`: only the latest fact

    def __len__(self) -> int:
        many = self.gathered.listing.count(self._keys, self._unit, each=self._each)
        return min(many, 1) if self._latest else many

    def facts(self, after: Place | None = None) -> Iterator[Fact]:
        """Yield the facts, oldest first, starting behind the place *after*."""
        found = self.gathered.listing.behind(self._keys, self._unit, None if self._latest else after, each=self._each)
        if not self._latest:
            yield from found
            return
        for last in deque(found, maxlen=1):
            if after is None or find_fact_position(last)[:4] > after[:4]:
                yield last


def _list_numbers(report: Report) -> dict[str, Mapping[str, Number]]:
    return {row.unit: row.numbers for row in report.rows}


def _list_takers(asked: ReportSources) -> Mapping[tuple[str, str], Sequence[str]]:
    """Return, by base form and its column, the columns of the derived form that take the facts behind it."""
    takers: dict[tuple[str, str], dict[str, None]] = {}
    for column in asked.form.columns:
        if column.taken is not None:
            base, key = column.taken
            for part in asked.bases[base].form.parts(key):
                takers.setdefault((base, part.key), {})[column.key] = None
    return {place: tuple(mine) for place, mine in takers.items()}
