"""Assembles a requested workload report: its form, its period, the units it sums up, and the sources of its numbers.

Knows what a unit and a period given as text mean in this journal, and which parts of a period are closed. Closed parts
are read as stored; open parts are counted. Knows neither layout nor callers.
"""

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextlib import closing as closing_of
from datetime import date, datetime, timedelta

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.model import Fact, Unit, UnitMark
from hub.domain.time_window import TimeWindow
from hub.journal import code_lists, unit_registry
from hub.journal.fact_reading import fact_search
from hub.keeping import tamper_findings
from hub.report.counting import checks, closed, counting, deriving, division, posting, principals, sections, table
from hub.report.counting.closed import ClosedRow, Piece
from hub.report.counting.counting import Cells, Placing, Report, Row
from hub.report.counting.declared import NO_REMARKS, DeclaredFigure, Remarks, place_figures
from hub.report.counting.deriving import Number
from hub.report.counting.division import UNDIVIDED, Values
from hub.report.counting.family import list_unit_family
from hub.report.counting.listing import FactListing, Place, find_fact_position
from hub.report.counting.marks import NO_MARKS, ClosingMarks, TamperedPart, Tampering
from hub.report.counting.posting import ClosedMonths
from hub.report.counting.services_used import count_used_services, select_services
from hub.report.form.book import Book, read_shipped_book
from hub.report.form.form import (
    OF_UNITS,
    PRINCIPAL,
    PROCEDURE,
    UNIT,
    Column,
    ColumnKind,
    Form,
    FormMissing,
    choose_form,
)
from hub.report.form.period import Period, parse_period
from hub.report.form.service_list import PublicService
from hub.report.form.workdays import Due
from hub.report.glance.sheet import list_province_family
from hub.report.output import charts
from hub.security.attesting import AttestationTrust
from hub.store.transactions import Transaction
from hub.workload import attestations, closing, closing_marks, month_world
from hub.workload.attestations import StoredRows
from hub.workload.closing import Closing
from hub.workload.closing_marks import Limits, RevisedRow
from hub.workload.declarations import read_declared_figures, read_remarks
from hub.workload.month_world import MonthWorld


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


class RevisionMissing(LookupError):
    """The report has no such revision. The argument is the number of its newest one."""


def resolve_report_sources(
    tx: Transaction,
    unit: str,
    period: str,
    form: str,
    book: Book | None = None,
    *,
    closings: bool = True,
    now: datetime | None = None,
    revision: int | None = None,
    marked: bool = True,
) -> ReportSources:
    """Return the sources of the report *form* of *unit* (a code or an alias) for *period*, such as `2026-12`.

    *book*: the province's own book (`read_book(config.reports)`); None: the one shipped with the hub. *closings*: closed
    months are as they were closed; otherwise all is counted anew by the form of the book. A period that ends with a
    closed month has the units, the derived forms and the due day that this month kept (`month_world`), whatever was
    edited since. Any other period has the units of its last day, or of the day of *now* if that is earlier: what comes
    into force later changes no report of today. *now*: None if the period is over. *revision*: the report of a closed
    period as it was in that revision (`ReportSources.revision`); None: the newest. *marked*: also look for facts that came
    after a closing, for the marks; about 2 µs for each fact of the units that was recorded since. Raises
    PeriodUnreadable; FormMissing when there is no such form for the period; RevisionMissing.
    """
    frame = _read_frame(tx, period, book, closings=closings, now=now)
    units, day = frame.units, frame.day
    code = unit_registry.resolve_unit_code(tx, unit, frame.period.last)
    names = {held.code: held.name for held in units}
    parent = next((held.parent for held in units if held.code == code), None)
    members = list_unit_family(units, code, day + timedelta(days=1)) if code in names else (code,)
    held = {unit.code: unit for unit in units}
    known = {code: held[code] for code in members if code in held}
    parents = {held.code: held.parent for held in frame.units}
    family = _UnitFamily(members, names, known, names.get(parent or "", ""), has_above=parent in names, parents=parents)
    how = SourceChoice(frame.forms, frame.book.trust, closings, marked)
    asked = _find_asked_sources(tx, family, frame.period, form, how)
    if revision is not None and revision != asked.revision:
        if not asked.complete or not 1 <= revision < asked.revision:
            raise RevisionMissing(asked.revision)
        limits = closing_marks.limit_revisions(asked.revised, revision)
        asked = attrs.evolve(
            _find_asked_sources(tx, family, frame.period, form, attrs.evolve(how, limits=limits)),
            is_newest=False,
        )
    remarks = read_remarks(tx, asked.form.id, asked.period, members) if marked else NO_REMARKS
    return attrs.evolve(frame.add_services(frame.add_due(asked)), remarks=remarks)


def resolve_all_units(tx: Transaction, period: str, form: str, book: Book, now: datetime) -> ReportSources:
    """Return the sources of the report *form* for *period* of all units of the province, as if they were one family.

    For what looks at many reports at once: `ReportSources.narrow_family` gives the report of each unit. Units that begin
    after the period, or ended before it, are left out. Raises PeriodUnreadable and FormMissing.
    """
    frame = _read_frame(tx, period, book, closings=True, now=now)
    first, last = frame.period.first, frame.day
    known = {
        unit.code: unit
        for unit in frame.units
        if unit.mark != UnitMark.NATIONAL
        and (unit.since is None or unit.since <= last)
        and (unit.until is None or unit.until > first)
    }
    names = {unit.code: unit.name for unit in frame.units}
    parents = {unit.code: unit.parent for unit in frame.units}
    family = _UnitFamily(tuple(known), names, known, "", has_above=False, parents=parents)
    asked = _find_asked_sources(tx, family, frame.period, form, SourceChoice(frame.forms, frame.book.trust))
    return frame.add_due(asked)


@attrs.frozen
class _Frame:
    """What the reports of a period have in common."""

    book: Book
    period: Period
    world: MonthWorld | None  #: what the closed month with which the period ends kept
    day: date  #: the day whose units are reported
    units: Sequence[Unit]
    forms: Sequence[Form]

    def add_due(self, asked: ReportSources) -> ReportSources:
        """Return *asked* with the day by which it must be submitted."""
        due = self.world.due.get(asked.form.id) if self.world else self.book.due(asked.form, asked.period)
        return attrs.evolve(asked, due=due, bases={name: self.add_due(base) for name, base in asked.bases.items()})

    def add_services(self, asked: ReportSources) -> ReportSources:
        """Return *asked* with the public services of its period, and their names where its rows are procedures. They are
        those that a closed month kept, of a month without any those of the book.
        """
        form, bases = asked.form, {name: self.add_services(base) for name, base in asked.bases.items()}
        if not form.counts_services and PROCEDURE not in form.divides_by:
            return attrs.evolve(asked, bases=bases)
        listed = (self.world.services if self.world else ()) or self.book.listed
        found = select_services(listed, asked.period)
        names = {code: service.name for code, service in found.items() if service.name}
        named = {PROCEDURE: {**asked.names_of_values.get(PROCEDURE, {}), **names}}
        return attrs.evolve(
            asked,
            bases=bases,
            services=found if form.counts_services else {},
            names_of_values={**asked.names_of_values, **named} if form.divides_by else asked.names_of_values,
        )


def _read_frame(tx: Transaction, period: str, book: Book | None, *, closings: bool, now: datetime | None) -> _Frame:
    book = closing.keep_closed_workdays(tx, book or read_shipped_book())
    span = parse_period(period, book.cuts)
    world = month_world.read_month_world(tx, span.last) if closings else None
    day = span.last if now is None else min(span.last, find_local_day(now))
    return _Frame(
        book=book,
        period=span,
        world=world,
        day=day,
        units=world.units if world else unit_registry.list_registry_units(tx, day),
        forms=(*(world.derived if world else ()), *book.forms),
    )


def resolve_province_sources(tx: Transaction, period: str, form: str, book: Book, *, now: datetime) -> ReportSources:
    """Return the sources of the own rows of all units that the reports of the province's units have, those above before
    those below. Its total is of no unit. Without marks and due day. Raises PeriodUnreadable; FormMissing.
    """
    frame = _read_frame(tx, period, book, closings=True, now=now)
    members, parents = list_province_family(frame.units, frame.day + timedelta(days=1))
    held = {each.code: each for each in frame.units}
    names = {code: unit.name for code, unit in held.items()}
    known = {code: held[code] for code in members}
    family = _UnitFamily(members, names, known, "", has_above=False, parents=parents)
    return _find_asked_sources(tx, family, frame.period, form, SourceChoice(frame.forms, frame.book.trust))


@attrs.frozen
class _UnitFamily:
    """The units of a report: the reporting unit, and those below it."""

    members: tuple[str, ...]
    names: Mapping[str, str]
    units: Mapping[str, Unit]  #: the members that the registry has, by code
    receiver: str
    has_above: bool  #: the reporting unit has one above it
    parents: Mapping[str, str | None]  #: the unit above each unit of the province

    def choose_rows(self, form: Form) -> tuple[str, ...]:
        """Return the dimensions of the rows of its report by *form*."""
        if form.rows is None:
            return (UNIT,)
        return form.rows.choose(has_below=len(self.members) > 1, has_above=self.has_above)


def _find_made_time(rows: Sequence[ClosedRow], made: Sequence[Closing], span: Period) -> datetime:
    """Return when the numbers of a closed report were last made."""
    closed_at = [each.closed_at for each in made if _lies_within(each.period, span)]
    return max([row.made_at for row in rows if row.made_at] + closed_at)


def _list_forged_parts(tx: Transaction, chosen: Form, span: Period, members: Sequence[str]) -> Iterator[Tampering]:
    """Yield the facts of open months that somebody edited in the database."""
    for each in tamper_findings.list_forged_facts(tx, chosen.service, members):
        yield Tampering(form=chosen.id, period=span.text, part=TamperedPart.FACT, unit=each.unit, key=each.key)


@attrs.frozen
class SourceChoice:
    """Which sources of a report are read."""

    known: Sequence[Form]  #: the forms in force
    trust: AttestationTrust | None  #: by which attestations are believed
    closings: bool = True  #: rows of closed months are read, not counted
    marked: bool = False  #: with the marks of each member
    limits: Limits = closing.NEWEST


def _find_asked_sources(
    tx: Transaction, units: _UnitFamily, span: Period, form: str, how: SourceChoice
) -> ReportSources:
    made = closing.read_closings(tx, form) if how.closings else ()
    this = next((each for each in made if each.period.text == span.text), None)
    last = next((each for each in made if each.period.last == span.last), None)
    if this is not None:
        span = this.period
    chosen = last.form if last is not None else choose_form(how.known, form, span)
    if chosen.bases:
        bases = {base: _find_asked_sources(tx, units, span, base, how) for base in chosen.bases}
        declared = read_declared_figures(tx, chosen, span, units.members, units.parents)
        return _derived(chosen, span, bases, declared, units.choose_rows(chosen))
    members = units.members
    months = [each.period.text for each in made if _lies_within(each.period, span)]
    stored = attestations.read_stored_rows(tx, chosen.id, months, members)
    parts = _make_parts(tx, chosen, span, members, made, stored, how.limits)
    rows = [row for part in parts for row in (part.rows or {}).values()]
    complete = all(part.rows is not None for part in parts)
    shown = {part.period.text for part in parts if part.rows is not None}
    lasts = [part.period.last for part in parts if part.rows is not None]
    silences = month_world.read_month_silences(tx, lasts) if lasts else []
    revised = closing_marks.list_revised_rows(tx, chosen.id, shown, members, how.limits)
    asked = members if how.marked else ()
    found = closing_marks.make_form_marks(tx, chosen, span, asked, made, shown, revised, silences)
    if how.closings:
        tampered = attestations.find_report_tampering(tx, how.trust, chosen.id, span.months, members, stored)
        forged = () if complete else _list_forged_parts(tx, chosen, span, members)
        found = attrs.evolve(found, tampered=(*tampered, *forged))
    return ReportSources(
        form=chosen,
        period=span,
        members=members,
        names=units.names,
        units=units.units,
        receiver=units.receiver,
        closed=this,
        complete=complete,
        revision=1 + sum(row.revision - 1 for row in rows),
        made_at=_find_made_time(rows, made, span) if complete else None,
        parts=parts,
        before=_read_month_before(tx, chosen, span, members, made),
        by=units.choose_rows(chosen),
        names_of_values={} if complete else code_lists.read_value_names(tx, chosen.divides_by),
        revised=revised,
        marks=found,
    )


def count_neighbour_reports(tx: Transaction, report: Report, now: datetime, book: Book | None = None) -> list[Report]:
    """Return the reports of other periods that the charts of *report* show. Periods without the form are left out."""
    found = []
    for period in charts.list_chart_periods(report):
        try:
            asked = resolve_report_sources(tx, report.total.unit, period, report.form.id, book, now=now, marked=False)
        except FormMissing:
            continue
        found.append(asked.count(now))
    return found


def _derived(
    form: Form,
    period: Period,
    bases: Mapping[str, ReportSources],
    declared: tuple[DeclaredFigure, ...],
    by: tuple[str, ...],
) -> ReportSources:
    """Return the sources of a report that takes its numbers from other forms of the same unit and period."""
    one, *_ = bases.values()
    complete = all(base.complete for base in bases.values())
    times = [base.made_at for base in bases.values() if base.made_at] + [figure.at for figure in declared]
    return ReportSources(
        form=form,
        period=period,
        members=one.members,
        names=one.names,
        units=one.units,
        receiver=one.receiver,
        complete=complete,
        revision=1 + sum(base.revision - 1 for base in bases.values()),
        made_at=max(times) if complete and times else None,
        parts=(),
        bases=bases,
        declared=declared,
        by=by,
        revised=sorted(row for base in bases.values() for row in base.revised),
        marks=closing_marks.merge_marks(form, {name: base.marks for name, base in bases.items()}),
    )


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


def _read_month_before(
    tx: Transaction, form: Form, span: Period, members: tuple[str, ...], made: Sequence[Closing]
) -> Mapping[str, Mapping[str, Number]] | None:
    """Return the numbers of the closed month that ends on the day before *span*; None if the form checks nothing
    against it.
    """
    ends = span.first - timedelta(days=1)
    month = next((each for each in made if each.period.last == ends), None)
    if month is None or not any(check.before for check in form.checks) or not closed.have_same_rules(month.form, form):
        return None
    rows = closing.read_newest_rows(tx, month.form, [month.period.text], members)[month.period.text]
    return {unit: deriving.derive_row_numbers(month.form, row.cells.sums) for unit, row in rows.items()}


def _lies_within(month: Period, span: Period) -> bool:
    return span.first <= month.first and month.last <= span.last


def _make_parts(
    tx: Transaction,
    form: Form,
    span: Period,
    members: tuple[str, ...],
    made: Sequence[Closing],
    stored: StoredRows,
    limits: Limits,
) -> tuple[ReportPart, ...]:
    """Return the parts of the period in order: the part before the first closed month, the closed months, the open
    rest. *stored*: the rows of the closed months.

    If its months were closed by a form that counts differently from *form*, the whole period is counted as one open
    part.
    """
    books, ours = closing.list_closed_months(made), [each for each in made if _lies_within(each.period, span)]
    if not ours or not all(closed.have_same_rules(each.form, form) for each in ours):
        return (_make_open_part(tx, form, span, members, books, made),)
    found: list[ReportPart] = []
    first, last = ours[0], ours[-1]
    if span.first < first.period.first:
        before = posting.cut_period(span.first, first.period.first - timedelta(days=1), span.text)
        found.append(_make_open_part(tx, form, before, members, books, made))
    rows = closing.choose_newest_rows(form, stored, limits)
    for each in ours:
        number = made.index(each)
        carries = number > 0 and closed.have_same_rules(made[number - 1].form, form)
        known = books if carries else ClosedMonths(books.months[number : number + 1])
        windows = posting.list_posting_windows(form, each.period, known)
        carrier = made[number - 1].period.text if carries else None
        kept = rows[each.period.text]
        found.append(ReportPart(tx, form, each.period, members, books, windows, carrier, kept))
    if last.period.last < span.last:
        rest = posting.cut_period(last.period.last + timedelta(days=1), span.last, span.text)
        found.append(_make_open_part(tx, form, rest, members, books, made))
    return tuple(found)


def _make_open_part(
    tx: Transaction, form: Form, piece: Period, members: tuple[str, ...], books: ClosedMonths, made: Sequence[Closing]
) -> ReportPart:
    """Return an open part. If the last closed month lies before it, it is counted from the keys carried on there, else
    from all of the past.
    """
    last = made[-1] if made else None
    if last is None or piece.first <= last.period.last or not closed.have_same_rules(last.form, form):
        return ReportPart(
            tx, form, piece, members, books, posting.list_posting_windows(form, piece, posting.OPEN), None
        )
    since = posting.cut_period(last.period.last + timedelta(days=1), piece.last, piece.text)
    return ReportPart(
        tx, form, piece, members, books, posting.list_posting_windows(form, since, books), last.period.text
    )
