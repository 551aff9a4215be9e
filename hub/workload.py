"""A workload report as it is asked for: its form, its period, the units it sums up, and what it is counted from.

Knows what a unit and a period given as text mean in this journal, and which parts of a period are closed: those are read as they were
kept, the rest is counted.  Not how a report looks or who asks.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import attrs

from hub import closing, ledger, registry
from hub.closing import Closing
from hub.model import Fact
from hub.report import charts, checks, closed, counting, deriving, evidence, posting, reconciling, sections
from hub.report.book import Book, shipped
from hub.report.closed import ClosedRow, Piece
from hub.report.counting import Cells, Report
from hub.report.dates import in_order
from hub.report.deriving import Number
from hub.report.evidence import Line
from hub.report.family import family
from hub.report.form import Form, choose
from hub.report.period import Period, parse
from hub.report.posting import Books, Window
from hub.report.workdays import Due
from hub.store import Transaction


@attrs.frozen
class Difference:
    """A unit whose evidence in a closed month is not what was closed: a finding that a person must look into."""

    period: str
    unit: str


@attrs.define(eq=False, slots=False)
class _Part:
    """A closed month, or what of the period is not closed.  Its facts are read when somebody wants them."""

    tx: Transaction
    form: Form
    period: Period
    members: tuple[str, ...]
    books: Books
    windows: Sequence[Window]  #: where its facts are found
    before: str | None  #: the closed month before it, whose carried keys it needs
    rows: Mapping[str, ClosedRow] | None = None  #: of a closed month: by unit; None: it is counted

    @cached_property
    def facts(self) -> list[Fact]:
        """All that the members' numbers are counted from."""
        ledger.use_indexes(self.tx)
        search = ledger.Search.of(self.form.service, self.windows, self.form.id, self.before)
        return [fact for unit in self.members for fact in search.facts(self.tx, unit)]

    def placed(self, now: datetime) -> closed.Placed:
        """Return each column with each fact that it takes."""
        now = now if self.rows is None else max(now, self.period.end)
        return list(counting.placements(self.form, self.facts, self.period, now, self.members, self.books))

    def cells(self, now: datetime) -> Mapping[str, Cells]:
        """Return what was kept or, of an open part, what is counted now."""
        if self.rows is not None:
            return {unit: row.cells for unit, row in self.rows.items()}
        found: dict[str, Cells] = {}
        for column, fact in self.placed(now):
            found.setdefault(fact.unit, Cells.none(self.form)).take(column, fact)
        return found

    def differences(self, placed: closed.Placed) -> list[Difference]:
        """Return which units' facts are not those that were behind their rows when they were closed."""
        if self.rows is None:
            return []
        found: dict[str, dict[tuple[str, str], Fact]] = {}
        for _, fact in placed:
            found.setdefault(fact.unit, {})[fact.key, fact.milestone] = fact
        now = {unit: evidence.of_row(facts.values()) for unit, facts in found.items()}
        then = {unit: row.evidence for unit, row in self.rows.items() if row.facts}
        wrong = sorted(unit for unit in now.keys() | then.keys() if now.get(unit) != then.get(unit))
        return [Difference(self.period.text, unit) for unit in wrong]


@attrs.frozen(kw_only=True)
class Asked:
    """What a report is counted from, or composed of.

    `count` may be called at any time.  What opens a closed month into its facts reads them, so the transaction must still be there.
    """

    form: Form  #: of a closed month: as it was then
    period: Period
    members: tuple[str, ...]  #: the unit, then those below it
    names: Mapping[str, str]  #: of every unit of the province, by code
    receiver: str = ""  #: what the unit is called that this one reports to; empty when the registry has none
    closed: Closing | None = None  #: when *period* is a closed month
    complete: bool = False  #: all of the period is closed: the report does not change any more but by a revision
    revision: int = 1  #: one more with each revision of a row that it sums up
    made_at: datetime | None = None  #: when its newest row was made, if it is complete
    due: Due | None = None  #: when the report must be handed in, where its form says
    parts: Sequence[_Part] = attrs.field(repr=False)
    bases: Mapping[str, "Asked"] = attrs.field(
        factory=dict, repr=False
    )  #: what a derived form takes its numbers from, by form
    before: Mapping[str, Mapping[str, Number]] | None = attrs.field(default=None, repr=False)
    """The numbers of the closed month before the period, by unit, where the form checks that this one goes on from them."""

    @property
    def facts(self) -> Sequence[Fact]:
        """All that its numbers are counted from, in no order: more than is counted."""
        if self.bases:
            return [fact for base in self.bases.values() for fact in base.facts]
        found = {(one.unit, one.key, one.milestone): one for part in self.parts for one in part.facts}
        return list(found.values())

    @property
    def unit_is_known(self) -> bool:
        """Whether the registry holds the unit, or something was counted for it."""
        if self.bases:
            return any(base.unit_is_known for base in self.bases.values())
        return self.members[0] in self.names or any(part.rows or part.facts for part in self.parts)

    def count(self, now: datetime) -> Report:
        """Return the report: what was closed as it was kept, the rest as it is at *now*."""
        report = self._counted(now)
        if self.before is not None:
            broken = checks.between(self.form, _numbers(report), self.before)
            report = attrs.evolve(report, findings=(*report.findings, *broken))
        return attrs.evolve(report, sections=sections.sort(report, self.names), due=self.due)

    def _counted(self, now: datetime) -> Report:
        at = self.made_at or now
        if self.bases:
            rows = {name: _numbers(base.count(now)) for name, base in self.bases.items()}
            taken = {unit: Cells(deriving.taken(self.form, unit, rows)) for unit in self.members}
            return counting.assemble(self.form, self.period, at, self.members, taken)
        pieces = [Piece(part.period, part.cells(now)) for part in self.parts]
        return closed.compose(self.form, self.period, at, self.members, pieces)

    def behind(self, column: str, now: datetime) -> tuple[Fact, ...]:
        """Return the facts behind the total of *column*, oldest first.  KeyError: no such column."""
        if self.bases:
            takings = [part.taken for part in self.form.parts(column) if part.taken]
            told = [fact for base, key in takings for fact in self.bases[base].behind(key, now)]
            once = {(fact.unit, fact.service, fact.key, fact.milestone): fact for fact in told}
            return tuple(sorted(once.values(), key=in_order))
        return counting.found_behind(self.form, column, closed.taken([part.placed(now) for part in self.parts]))

    def lines(self, now: datetime) -> tuple[Line, ...]:
        """Return every fact that some column counts, oldest first, the senders' message ids not yet named."""
        return self.evidence(now)[0]

    def evidence(self, now: datetime) -> tuple[tuple[Line, ...], tuple[Difference, ...]]:
        """Return the lines, and each unit whose facts in a closed month are not those of its closing: to be told, and looked into."""
        if self.bases:
            found = {name: base.evidence(now) for name, base in self.bases.items()}
            differences = dict.fromkeys(each for _, wrong in found.values() for each in wrong)
            return _taken_lines(self, {name: lines for name, (lines, _) in found.items()}), tuple(differences)
        placed = [part.placed(now) for part in self.parts]
        wrong = [each for part, found in zip(self.parts, placed, strict=True) for each in part.differences(found)]
        return evidence.lines(self.form, closed.taken(placed)), tuple(wrong)

    def behind_cells(
        self, wanted: Collection[tuple[str, str]], now: datetime
    ) -> Mapping[tuple[str, str], Sequence[Fact]]:
        """Return the facts behind each of the *wanted* cells, by (unit, column); the empty unit is the total."""
        return reconciling.facts_behind(self.form, self.lines(now) if wanted else (), wanted)


def ask(tx: Transaction, unit: str, period: str, form: str, book: Book | None = None) -> Asked:
    """Return what the report *form* of *unit* (its code, or an alias) is counted from for *period*, such as `2026-12`.

    *book*: the province's own (`book.read(config.reports)`); without it, what comes with the hub.  Raises PeriodUnreadable; LookupError when there is no such form for the period.
    """
    book = closing.keeping(tx, book or shipped())
    span = parse(period, book.cuts)
    code, units = registry.canonical(tx, unit, span.last), registry.units(tx)
    names = {held.code: held.name for held in units}
    parent = next((held.parent for held in units if held.code == code), None)
    members = family(units, code, span.last + timedelta(days=1)) if code in names else (code,)
    asked = _asked(tx, _Family(members, names, names.get(parent or "", "")), span, form, book.forms)
    return attrs.evolve(asked, due=book.due(asked.form, asked.period))


@attrs.frozen
class _Family:
    """The units of a report: the one that reports, and those below it."""

    members: tuple[str, ...]
    names: Mapping[str, str]
    receiver: str


def _asked(tx: Transaction, units: _Family, span: Period, form: str, known: Sequence[Form]) -> Asked:
    made = closing.closings(tx, form)
    this = next((each for each in made if each.period.text == span.text), None)
    if this is not None:
        span, chosen = this.period, this.form
    else:
        chosen = choose(known, form, span)
    if chosen.bases:
        return _derived(chosen, span, {base: _asked(tx, units, span, base, known) for base in chosen.bases})
    members = units.members
    parts = _parts(tx, chosen, span, members, made)
    for part in parts:
        if part.rows is None:
            part.facts  # noqa: B018 - read now: an open part is counted in any case, often when the transaction is over
    rows = [row for part in parts for row in (part.rows or {}).values()]
    complete = all(part.rows is not None for part in parts)
    times = [row.made_at for row in rows if row.made_at] + [
        each.closed_at for each in made if _within(each.period, span)
    ]
    return Asked(
        form=chosen,
        period=span,
        members=members,
        names=units.names,
        receiver=units.receiver,
        closed=this,
        complete=complete,
        revision=1 + sum(row.revision - 1 for row in rows),
        made_at=max(times) if complete else None,
        parts=parts,
        before=_before(tx, chosen, span, members, made),
    )


def beside(tx: Transaction, report: Report, now: datetime, book: Book | None = None) -> list[Report]:
    """Return the reports of other periods that the charts of *report* show; a period without such a form has none."""
    found = []
    for period in charts.wanted(report):
        try:
            asked = ask(tx, report.total.unit, period, report.form.id, book)
        except LookupError:
            continue
        found.append(asked.count(now))
    return found


def _derived(form: Form, period: Period, bases: Mapping[str, Asked]) -> Asked:
    """Return a report that takes its numbers from those of other forms of the same unit and period."""
    one, *_ = bases.values()
    complete = all(base.complete for base in bases.values())
    times = [base.made_at for base in bases.values() if base.made_at]
    return Asked(
        form=form,
        period=period,
        members=one.members,
        names=one.names,
        receiver=one.receiver,
        complete=complete,
        revision=1 + sum(base.revision - 1 for base in bases.values()),
        made_at=max(times) if complete and times else None,
        parts=(),
        bases=bases,
    )


def _numbers(report: Report) -> dict[str, Mapping[str, Number]]:
    return {row.unit: row.numbers for row in report.rows}


def _taken_lines(asked: Asked, lines: Mapping[str, Sequence[Line]]) -> tuple[Line, ...]:
    """Return the lines of the base forms that some column takes, each with the columns of the derived form."""
    takers: dict[tuple[str, str], list[str]] = {}
    for column in asked.form.columns:
        if column.taken is not None:
            base, key = column.taken
            for part in asked.bases[base].form.parts(key):
                takers.setdefault((base, part.key), []).append(column.key)
    found: dict[tuple[str, str, str, str], tuple[Fact, set[str]]] = {}
    for base, told in lines.items():
        for line in told:
            fact, mine = line.fact, {taker for key in line.columns for taker in takers.get((base, key), ())}
            if mine:
                place = (fact.unit, fact.service, fact.key, fact.milestone)
                found.setdefault(place, (fact, set()))[1].update(mine)
    order = [column.key for column in asked.form.columns]
    made = [Line(fact, tuple(key for key in order if key in mine)) for fact, mine in found.values()]
    return tuple(sorted(made, key=lambda line: in_order(line.fact)))


def _before(
    tx: Transaction, form: Form, span: Period, members: tuple[str, ...], made: Sequence[Closing]
) -> Mapping[str, Mapping[str, Number]] | None:
    """Return the numbers of the closed month that ends where *span* begins; None where nothing is checked against it."""
    ends = span.first - timedelta(days=1)
    month = next((each for each in made if each.period.last == ends), None)
    if month is None or not any(check.before for check in form.checks) or not closed.counts_alike(month.form, form):
        return None
    rows = closing.rows_of(tx, month.form, [month.period.text], members)[month.period.text]
    return {unit: deriving.numbers(month.form, row.cells.sums) for unit, row in rows.items()}


def _within(month: Period, span: Period) -> bool:
    return span.first <= month.first and month.last <= span.last


def _parts(
    tx: Transaction, form: Form, span: Period, members: tuple[str, ...], made: Sequence[Closing]
) -> tuple[_Part, ...]:
    """Return what the period consists of, in order: what lies before the first closed month, the closed months, the open rest.

    Where its months were closed by other rules than those of *form*, all of it is counted.
    """
    books, ours = closing.books_of(made), [each for each in made if _within(each.period, span)]
    if not ours or not all(closed.counts_alike(each.form, form) for each in ours):
        return (_open(tx, form, span, members, books, made),)
    found: list[_Part] = []
    first, last = ours[0], ours[-1]
    if span.first < first.period.first:
        before = posting.piece(span.first, first.period.first - timedelta(days=1), span.text)
        found.append(_open(tx, form, before, members, books, made))
    rows = closing.rows_of(tx, form, [each.period.text for each in ours], members)
    for each in ours:
        number = made.index(each)
        carries = number > 0 and closed.counts_alike(made[number - 1].form, form)
        known = books if carries else Books(books.months[number : number + 1])
        windows = posting.windows(form, each.period, known)
        carrier = made[number - 1].period.text if carries else None
        kept = rows[each.period.text]
        found.append(_Part(tx, form, each.period, members, books, windows, carrier, kept))
    if last.period.last < span.last:
        rest = posting.piece(last.period.last + timedelta(days=1), span.last, span.text)
        found.append(_open(tx, form, rest, members, books, made))
    return tuple(found)


def _open(
    tx: Transaction, form: Form, piece: Period, members: tuple[str, ...], books: Books, made: Sequence[Closing]
) -> _Part:
    """Return a part that is counted: from what the last closed month carried, where that lies before it, else from all of the past."""
    last = made[-1] if made else None
    if last is None or piece.first <= last.period.last or not closed.counts_alike(last.form, form):
        return _Part(tx, form, piece, members, books, posting.windows(form, piece, posting.OPEN), None)
    since = posting.piece(last.period.last + timedelta(days=1), piece.last, piece.text)
    return _Part(tx, form, piece, members, books, posting.windows(form, since, books), last.period.text)
