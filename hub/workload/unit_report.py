"""Assembles a requested workload report: its form, its period, the units it sums up, and the sources of its numbers.

Knows what a unit and a period given as text mean in this journal, and which parts of a period are closed. Closed parts
are read as stored; open parts are counted. Knows neither layout nor callers.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.model import Unit, UnitMark
from hub.journal import code_lists, unit_registry
from hub.keeping import tamper_findings
from hub.report.counting import closed, deriving, posting
from hub.report.counting.closed import ClosedRow
from hub.report.counting.counting import Report
from hub.report.counting.declared import NO_REMARKS, DeclaredFigure
from hub.report.counting.deriving import Number
from hub.report.counting.family import list_unit_family
from hub.report.counting.marks import TamperedPart, Tampering
from hub.report.counting.posting import ClosedMonths
from hub.report.counting.services_used import select_services
from hub.report.form.book import Book, read_shipped_book
from hub.report.form.form import PROCEDURE, UNIT, Form, FormMissing, choose_form
from hub.report.form.period import Period, parse_period
from hub.report.glance.sheet import list_province_family
from hub.report.output import charts
from hub.security.attesting import AttestationTrust
from hub.store.transactions import Transaction
from hub.workload import attestations, closing_marks, closing_plan, month_world, row_revisions
from hub.workload.attestations import StoredRows
from hub.workload.closing_marks import Limits
from hub.workload.closing_plan import Closing
from hub.workload.declarations import read_declared_figures, read_remarks
from hub.workload.month_world import MonthWorld
from hub.workload.report_sources import ReportPart, ReportSources


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
    book = closing_plan.keep_closed_workdays(tx, book or read_shipped_book())
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
    limits: Limits = row_revisions.NEWEST


def _find_asked_sources(
    tx: Transaction, units: _UnitFamily, span: Period, form: str, how: SourceChoice
) -> ReportSources:
    made = closing_plan.read_closings(tx, form) if how.closings else ()
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
    rows = row_revisions.read_newest_rows(tx, month.form, [month.period.text], members)[month.period.text]
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
    books, ours = closing_plan.list_closed_months(made), [each for each in made if _lies_within(each.period, span)]
    if not ours or not all(closed.have_same_rules(each.form, form) for each in ours):
        return (_make_open_part(tx, form, span, members, books, made),)
    found: list[ReportPart] = []
    first, last = ours[0], ours[-1]
    if span.first < first.period.first:
        before = posting.cut_period(span.first, first.period.first - timedelta(days=1), span.text)
        found.append(_make_open_part(tx, form, before, members, books, made))
    rows = row_revisions.choose_newest_rows(form, stored, limits)
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
