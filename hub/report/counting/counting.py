"""Counts reports: assigns facts to the columns of a form and adds them up. Does not know where facts come from, nor the
layout of a report.

A number is the sum of the amounts of exactly the facts that explain it; most facts have the amount 1. `count_report`
and `find_counted_facts` read the same placements.

What each kind of column counts (standards 4.5):

* a flow: facts whose own `at` lies in the period, whatever period the unit's `received` fact of the same key lies in;
* a stock: the keys in the column's state at the period's end or, while the period runs, at `now`;
* a peak: for each unit, the facts of the one day of the period with the greatest total, or of the one report of several
  days with a greater one; none if by the period's end the unit has handed over what is counted (`until`);
* a happening: facts whose day, as the unit states it, lies in the period and is over, whenever the hub received them
  (`happenings`);
* an end: keys with both a first beginning and a first end, in the period of the later of the two;
* a formula: what its summands count; a ratio or a score: what it is computed from (`deriving`);
* a time: the latest fact of the period.

Facts at or after the period's end are ignored, so a later fact never changes an ended period. The exception is a form
that goes by the units' own days (`by_day`): a fact belongs to the period of its day, whenever the hub receives it,
until that period is closed. After the closing the fact is posted to a later period (`posting`). Every function here
therefore takes *books*, the closed months; without them, nothing is closed.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from operator import attrgetter

import attrs

from hub.domain import local_time
from hub.domain.model import Fact
from hub.report.counting import checks, dates, deriving
from hub.report.counting.checks import CheckFinding
from hub.report.counting.column_rules import (
    FactTest,
    KeptFacts,
    find_due_date,
    find_flow_columns,
    group_end_columns,
    has_asked_milestones,
    is_date_passed,
    is_in_time,
    is_key_late,
    is_waiting,
    list_candidates,
    make_condition_test,
    make_known_test,
    stays_counted,
    sum_amounts,
)
from hub.report.counting.corrections import Corrected, list_corrections, make_corrector
from hub.report.counting.dates import make_fact_sort_key
from hub.report.counting.declared import NO_REMARKS, DeclaredFigure, Remarks
from hub.report.counting.deriving import Number
from hub.report.counting.division import Division, Values
from hub.report.counting.happenings import list_happened_facts
from hub.report.counting.marks import NO_MARKS, ClosingMarks
from hub.report.counting.posting import OPEN, ClosedMonths, make_poster
from hub.report.form.column import RECEIVED, TAKEN_OVER, Column, ColumnKind, Wording
from hub.report.form.form import UNIT, Form
from hub.report.form.period import Period
from hub.report.form.workdays import Due

_Key = tuple[str, str]  # unit, business key
#: the kinds of columns that add up amounts
COUNTING = (
    ColumnKind.FLOW,
    ColumnKind.STOCK,
    ColumnKind.PEAK,
    ColumnKind.HAPPENING,
    ColumnKind.END,
)


@attrs.frozen
class Row:
    """The cells of one unit, or of a unit and all units below it, by column key in the order of the form."""

    unit: str
    numbers: Mapping[str, Number]
    times: Mapping[str, datetime | None]


@attrs.frozen(kw_only=True)
class Section:
    """Units of a report that are grouped under a heading."""

    heading: Wording
    total: Row  #: the sum over these units; its `unit` is ""
    units: tuple[str, ...]


@attrs.frozen(kw_only=True)
class DividedRow:
    """A row of a table whose rows do not stand for units alone: of a value, of a unit's value, or of all of them."""

    path: Values  #: a unit or a value for each dimension, as far as the row is divided; with fewer it is a heading
    unit: str  #: the unit in `path`; "" if it sums up all units
    values: Values  #: the values in `path`
    name: Wording | None  #: of the last value in `path`; None for a unit, and for a value without a name
    row: Row


@attrs.frozen(kw_only=True)
class Report:
    """A counted report: the total of the unit `total.unit`, and one row for each unit that is summed up in it."""

    form: Form
    period: Period
    made_at: datetime
    total: Row
    rows: tuple[Row, ...]
    sections: tuple[Section, ...] = ()  #: a unit is in at most one of them
    findings: tuple[CheckFinding, ...] = ()  #: the checks of the form that do not hold
    due: Due | None = None  #: the date by which it must be submitted, if its form has one
    by: tuple[str, ...] = (UNIT,)  #: the dimensions of the rows of its table, outermost first
    divided: tuple[DividedRow, ...] = ()  #: the rows of its table, in their order, unless they are `rows`
    #: by unit: its row, divided by attributes of the facts
    divisions: Mapping[str, Division] = attrs.field(factory=dict, eq=False, repr=False)
    marks: ClosingMarks = NO_MARKS  #: what it says of the closings behind it
    declared: tuple[DeclaredFigure, ...] = ()  #: the declared figures in it, row by row
    remarks: Remarks = NO_REMARKS  #: what units say of their figures

    @property
    def ended(self) -> bool:
        """Whether the period was over when the report was made."""
        return self.made_at >= self.period.end


@attrs.define
class Cells:
    """The counted values of one unit, by the keys of the columns that count. Formulas are computed from them."""

    sums: dict[str, int]
    times: dict[str, datetime] = attrs.field(factory=dict)  #: only for columns that have a time
    division: Division | None = None  #: the same sums, divided; None: the form does not divide rows

    @classmethod
    def none(cls, form: Form) -> "Cells":
        """Return the cells of a unit for which nothing was counted."""
        by = form.divides_by
        return cls(
            {column.key: 0 for column in form.columns if column.kind in COUNTING},
            division=Division(by) if by else None,
        )

    def count(self, column: Column, fact: Fact, origin: Fact | None = None) -> None:
        """Count *fact* in *column*. *origin*: the fact that states the values of its row, where rows are divided."""
        if column.kind is ColumnKind.TIME:
            self.times[column.key] = fact.at
            return
        self.sums[column.key] += fact.amount
        if self.division is not None:
            self.division.count(column.key, fact.amount, origin)

    def __bool__(self) -> bool:
        """Whether any cell is not 0 or any time is set."""
        return bool(self.times) or any(self.sums.values())


def count_report(
    form: Form, facts: Iterable[Fact], period: Period, now: datetime, units: Sequence[str], books: ClosedMonths = OPEN
) -> Report:
    """Count *facts* by *form* for *units*: the reporting unit first, then those below it
    (`hub.report.counting.family`).

    *facts*: in any order; must contain the facts of the units before the period's end, and may contain others.
    """
    cells = {unit: Cells.none(form) for unit in units}
    histories = group_histories(form, facts, units)
    for column, fact, origin in Placing.of(form, period, now, books).divide_histories(histories):
        cells[fact.unit].count(column, fact, origin)
    return assemble_report(form, period, now, units, cells)


def assemble_report(
    form: Form,
    period: Period,
    now: datetime,
    units: Sequence[str],
    cells: Mapping[str, Cells],
    declared: Sequence[DeclaredFigure] = (),
) -> Report:
    """Return the report of *units*, the reporting unit first, from the *cells* counted for each and the *declared*
    figures, which are not added up. Computes totals, formulas and checks.
    """
    told: dict[str, dict[str, int]] = {}
    for figure in declared:
        told.setdefault(figure.unit, {})[figure.column] = figure.value
    sums, times = ({unit: getattr(cells[unit], name) for unit in units} for name in ("sums", "times"))
    total = {key: sum(cells[key] for cells in sums.values()) for key in next(iter(sums.values()), {})}
    latest: dict[str, datetime] = {}
    for found in times.values():
        for key, at in found.items():
            latest[key] = max(at, latest.get(key, at))
    whole = _make_row(form, units[0], total | told.get("", {}), latest)
    rows = tuple(_make_row(form, unit, sums[unit] | told.get(unit, {}), times[unit]) for unit in sums)
    findings = checks.check_within_rows(form, whole.numbers, [(row.unit, row.numbers) for row in rows])
    divisions = {unit: division for unit in units if (division := cells[unit].division) is not None}
    return Report(
        form=form,
        period=period,
        made_at=now,
        total=whole,
        rows=rows,
        findings=findings,
        divisions=divisions,
        declared=tuple(declared),
    )


def find_counted_facts(
    form: Form,
    key: str,
    facts: Iterable[Fact],
    period: Period,
    now: datetime,
    units: Collection[str] | None = None,
    books: ClosedMonths = OPEN,
) -> tuple[Fact, ...]:
    """Return the facts that the number of column *key* counts for *units* (None: all), oldest first. Raises KeyError:
    no such column.

    The amounts of the facts of a flow or a stock add up to exactly its number. A formula has the facts of its summands;
    a time has only the latest fact.
    """
    return filter_counted_facts(form, key, place_facts(form, facts, period, now, units, books))


def filter_counted_facts(form: Form, key: str, placed: Iterable[tuple[Column, Fact]]) -> tuple[Fact, ...]:
    """Return those of the *placed* facts that the number of column *key* counts, oldest first. Raises KeyError: no such
    column.
    """
    columns = form.parts(key)
    found = [fact for column, fact in placed if column in columns]
    if form.column(key).kind is ColumnKind.TIME:
        return tuple(sorted(found, key=make_fact_sort_key)[-1:])
    return tuple(sorted(found, key=make_fact_sort_key))


def place_facts(
    form: Form,
    facts: Iterable[Fact],
    period: Period,
    now: datetime,
    units: Collection[str] | None = None,
    books: ClosedMonths = OPEN,
    carried: set[tuple[str, str]] | None = None,
) -> Iterator[tuple[Column, Fact]]:
    """Yield each counting column with each fact that it counts. *facts* may be in any order; all of them are held in
    memory. See `Placing`.
    """
    placing = Placing.of(form, period, now, books, carried)
    yield from placing.place_histories(group_histories(form, facts, units))


def group_histories(
    form: Form, facts: Iterable[Fact], units: Collection[str] | None = None
) -> Collection[Sequence[Fact]]:
    """Return those of *facts* that *form* reads, of *units* (None: all), grouped by unit and business key."""
    service, wanted = form.service, None if units is None else frozenset(units)
    histories: dict[_Key, list[Fact]] = {}
    for fact in facts:
        if fact.service == service and (wanted is None or fact.unit in wanted):
            histories.setdefault((fact.unit, fact.key), []).append(fact)
    return histories.values()


@attrs.define(eq=False)
class Placing:
    """Assigns facts to columns, one business key after the other.

    Between keys it keeps only the facts that one key does not decide: those of peaks and happenings, and the latest
    fact of each time column. `finish` yields them, after the last key of one unit or of several.

    *carried* receives (unit, business key) of every key that a stock of a later period may count although no fact is
    added to it, or that leaves the unit no peak in later periods. With these keys, counting the next period needs no
    facts from before *period*. The period must have ended.
    """

    form: Form
    period: Period
    now: datetime
    carried: set[tuple[str, str]] | None
    _post: Callable[[Fact], datetime]
    _flows: Mapping[str, Sequence[tuple[Column, FactTest]]]
    _times: Sequence[Column]
    _stocks: Sequence[tuple[Column, FactTest]]
    _ends: Mapping[frozenset[str], Sequence[tuple[Column, FactTest]]]  #: by the milestones of which the first counts
    _happenings: Sequence[tuple[Column, FactTest]]
    _telling: frozenset[str]  #: the milestones that stocks read
    _extending: frozenset[str]  #: the milestones that may extend a due date
    _pausing: frozenset[str]  #: the milestones between which the clock stands
    _happening: frozenset[str]  #: the milestones that happenings read
    _ending: frozenset[str]  #: the milestones that begin or end the work on a key
    _undoing: frozenset[str]  #: the milestones that undo a fact of a flow or an end
    #: by peak column: the milestones by which a unit hands over what it counts
    _passing: Mapping[str, frozenset[str]]
    _having: frozenset[str]  #: the milestones that flows and ends ask for, or exclude, beside the fact that they count
    _correct: Callable[[Sequence[Fact]], Corrected] | None  #: None: the form's facts are not corrected
    _known: Callable[[Fact], bool]  #: whether a fact was known when the numbers of the period were made
    _start: datetime
    _end: datetime
    _today: date  #: a stock is overdue if its due date lies before this day
    _after: date  #: the first day after the period
    _told: list[Fact] = attrs.field(factory=list, init=False)  #: the facts that happenings read
    _latest: dict[tuple[str, str], tuple[Column, Fact]] = attrs.field(factory=dict, init=False)  #: by unit and column
    #: by unit and peak column: how much was handed over by the period's end and has not come back
    _passed: Counter[tuple[str, str]] = attrs.field(factory=Counter, init=False)
    #: by unit and peak column: the facts of each day, or of each report of several days by its last one
    _peaks: dict[tuple[str, str], tuple[Column, dict[tuple[date, str], list[Fact]]]] = attrs.field(
        factory=dict, init=False
    )

    @classmethod
    def of(
        cls,
        form: Form,
        period: Period,
        now: datetime,
        books: ClosedMonths = OPEN,
        carried: set[tuple[str, str]] | None = None,
    ) -> "Placing":
        """Return the placing of the facts that count in *period* of *form* as of *now*."""

        def named(kind: ColumnKind, *words: str) -> frozenset[str]:
            columns = [column for column in form.rules if column.kind is kind]
            return frozenset[str]().union(*(getattr(column, word) for column in columns for word in words))

        def tested(kind: ColumnKind) -> Sequence[tuple[Column, FactTest]]:
            return [(column, make_condition_test(column.conditions)) for column in form.rules if column.kind is kind]

        return cls(
            form=form,
            period=period,
            now=now,
            carried=carried,
            post=make_poster(form, books),
            flows=find_flow_columns(form),
            times=[column for column in form.columns if column.kind is ColumnKind.TIME],
            stocks=tested(ColumnKind.STOCK),
            ends=group_end_columns(tested(ColumnKind.END)),
            happenings=tested(ColumnKind.HAPPENING),
            telling=named(ColumnKind.STOCK, "milestones", "having", "without", "extended_by").union(
                *(form.waits, form.resumes, *form.steps),
                *([{RECEIVED}] if any(rule.matched for rule in form.rules) else []),
                form.clock.too_often.values() if form.clock else (),
            ),
            extending=named(ColumnKind.FLOW, "extended_by") | named(ColumnKind.END, "extended_by"),
            pausing=frozenset(name for pair in form.clock.pauses for name in pair) if form.clock else frozenset(),
            happening=named(ColumnKind.HAPPENING, "milestones", "without"),
            ending=form.begins | form.ends if any(rule.kind is ColumnKind.END for rule in form.rules) else frozenset(),
            undoing=named(ColumnKind.FLOW, "without") | named(ColumnKind.END, "without"),
            passing={column.key: form.column(column.until).milestones for column in form.rules if column.until},
            having=named(ColumnKind.FLOW, "having", "lacking") | named(ColumnKind.END, "having", "lacking"),
            correct=make_corrector(form, period, books, now),
            known=make_known_test(books, period, now),
            start=period.start,
            end=period.end,
            today=min(period.last, local_time.find_local_day(now))
            if form.by_day
            else local_time.find_local_day(min(period.end, now)),
            after=period.last + timedelta(days=1),
        )

    def place_history(self, history: Iterable[Fact]) -> Iterator[tuple[Column, Fact]]:
        """Yield each column with each fact of *history* that it counts. *history*: all facts of the form's service with
        one unit and key.
        """
        if self._correct is None:
            yield from self._place(history)
            return
        corrected = self._correct(list(history))
        if not corrected.recorded:
            yield from self._place(corrected.facts)
            return
        for column, fact in self._place(corrected.facts):
            yield column, corrected.recorded.get(id(fact), fact)

    def _place(self, history: Iterable[Fact]) -> Iterator[tuple[Column, Fact]]:
        """Do so with facts whose corrections are in their places."""
        kept, start, end, now, post = KeptFacts(), self._start, self._end, self.now, self._post
        for fact in history:
            if fact.milestone in self._having and self._known(fact):
                kept.had.add(fact.milestone)
            if (when := post(fact)) < end:
                if when >= start:
                    for column in self._at_once(fact, kept):
                        yield column, fact
                self._note(fact, when, kept, in_time=when <= now)
        for column, fact in kept.unjoined:
            if (
                has_asked_milestones(column, kept)
                and not column.without & kept.undone
                and is_in_time(self.form, column, fact, kept)
            ):
                yield column, fact
        if kept.standing:
            yield from self._standing(kept.standing)
        if kept.life:
            yield from self._ended(kept)

    def _at_once(self, fact: Fact, kept: "KeptFacts") -> Sequence[Column]:
        """Return the columns that count *fact* of the period whatever other facts its key has. Remember the fact for
        the columns that depend on others.
        """
        milestone, taking = fact.milestone, list[Column]()
        for column, applies in self._flows.get(milestone, ()):
            if applies(fact):
                if column.joins:
                    kept.unjoined.append((column, fact))
                elif column.kind is ColumnKind.PEAK:
                    _, days = self._peaks.setdefault((fact.unit, column.key), (column, {}))
                    # a report of several days is no part of that of its last day; corrections have the key and `#`
                    days.setdefault((dates.find_fact_day(fact), fact.key.partition("#")[0]), []).append(fact)
                else:
                    taking.append(column)
        for column in self._times:
            if not column.milestones or milestone in column.milestones:
                self._see(column, fact)
        return taking

    def _note(self, fact: Fact, when: datetime, kept: "KeptFacts", *, in_time: bool) -> None:
        """Remember *fact* if its milestone is read by other columns. *in_time*: the fact is not later than the report's
        `now`.
        """
        milestone = fact.milestone
        if milestone == RECEIVED or (kept.received is None and milestone in self.form.begins):
            kept.received = fact
        if milestone == TAKEN_OVER:
            kept.taken_due = fact.due
        if milestone in self._undoing:
            kept.undone.add(milestone)
        if milestone in self._extending:
            kept.extensions.append(fact)
        if milestone in self._pausing:
            kept.pauses.append(fact)
        if milestone in self._happening:
            self._told.append(fact)
        if milestone in self._ending:
            kept.life.append((when, fact))
        if in_time and milestone in self._telling:
            kept.standing.append(fact)
        for key, passing in self._passing.items():
            if milestone in passing:
                self._passed[fact.unit, key] += fact.amount
                if self.carried is not None:
                    self.carried.add((fact.unit, fact.key))

    def place_histories(self, histories: Iterable[Iterable[Fact]]) -> Iterator[tuple[Column, Fact]]:
        """Yield what `place_history` yields for each of *histories*, and then what `finish` yields."""
        for history in histories:
            yield from self.place_history(history)
        yield from self.finish()

    def divide_histories(self, histories: Iterable[Iterable[Fact]]) -> Iterator[tuple[Column, Fact, Fact | None]]:
        """Yield what `place_histories` yields, each with the fact that states the values of its row; None: nothing
        states them, or the form does not divide rows.

        Where the form names a milestone (`RowPlan.of`), the fact of that milestone states them for its whole key, if it
        counts before the period's end; if the work on the key may begin with it, a fact of another beginning does, too. So
        all facts of a dossier stand in one row, and stay there from month to month.
        """
        if not self.form.divides_by:
            for column, fact in self.place_histories(histories):
                yield column, fact, None
            return
        for history in histories:
            known = list(history)
            for column, fact in self.place_history(known):
                yield column, fact, self.find_origin(fact, known)

    def find_origin(self, fact: Fact, history: Iterable[Fact]) -> Fact | None:
        """Return the fact that states the values of the row of *fact*, which is one of *history*."""
        of, end, post = self.form.rows.of if self.form.rows else "", self._end, self._post
        if not of:
            return fact
        stating = list_corrections(self.form.begins if of in self.form.begins else frozenset({of}))
        found = [each for each in history if each.milestone in stating and post(each) < end]
        return min(found, key=attrgetter("milestone"), default=None)  # what was recorded first, before its corrections

    def finish(self) -> Iterator[tuple[Column, Fact]]:
        """Yield what is decided only after all keys, and forget it. A time column is yielded once per unit, with its
        latest fact.
        """
        for place, (column, days) in self._peaks.items():
            if self._passed[place] > 0:
                continue
            # Of two days with equal totals take the first: the result must not depend on the order of the facts.
            most = max(sorted(days.items()), key=lambda told: sum_amounts(told[1]))[1]
            if sum_amounts(most) >= 0:  # a total below 0 consists of corrections only: then no day is known
                yield from ((column, fact) for fact in most)
        for column, applies in self._happenings:
            yield from (
                (column, fact)
                for fact in list_happened_facts(column, self._told, self.period, self.now)
                if applies(fact)
            )
        yield from self._latest.values()
        self._peaks, self._told, self._latest, self._passed = {}, [], {}, Counter()

    def _see(self, column: Column, fact: Fact) -> None:
        known = self._latest.get((fact.unit, column.key))
        if (
            known is None
            or fact.at > known[1].at
            or (fact.at == known[1].at and make_fact_sort_key(fact) > make_fact_sort_key(known[1]))
        ):
            self._latest[fact.unit, column.key] = (column, fact)

    def _standing(self, history: Sequence[Fact]) -> Iterator[tuple[Column, Fact]]:
        """Yield each stock column with the facts of one key's *history* that it counts."""
        form, period, carried = self.form, self.period, self.carried
        stays = carried is None
        for column, applies in self._stocks:
            candidates = list_candidates(form, column, history, applies)
            stays = stays or any(stays_counted(form, column, fact, history, self._after) for fact in candidates)
            then, day = history, self._today
            if column.opening:
                then, day = [fact for fact in history if self._post(fact) < self._start], period.first
                candidates = list_candidates(form, column, then, applies)
            if column.waiting is not None and column.waiting is not is_waiting(form, then):
                continue
            if not column.having.issubset(fact.milestone for fact in then):
                continue
            for fact in candidates:
                if column.due_passed is None and not column.dated:
                    yield column, fact
                    continue
                due = find_due_date(form, column, fact, then)
                if column.dated and due is None:
                    continue
                if column.due_passed is None:
                    yield column, fact
                    continue
                if column.due_passed is (
                    is_key_late(form, then, due, day) if column.clock else is_date_passed(due, day)
                ):
                    yield column, fact
        if stays and carried is not None:
            carried.add((history[0].unit, history[0].key))

    def _ended(self, kept: "KeptFacts") -> Iterator[tuple[Column, Fact]]:
        """Yield the first end of a key that has also begun, if the later of the two was posted to the period.

        It begins once, with its first beginning: what was taken over after its end is not counted in that period again.
        """
        form = self.form
        begun = [when for when, fact in kept.life if fact.milestone in form.begins]
        ends = [(when, make_fact_sort_key(fact), fact) for when, fact in kept.life if fact.milestone in form.ends]
        if not begun or not ends:
            return
        for first_of, columns in self._ends.items():
            mine = [end for end in ends if end[2].milestone in first_of] if first_of else ends
            if not mine:
                continue
            when, _, fact = min(mine, key=lambda end: end[:2])
            if max(when, min(begun)) < self._start:
                continue
            for column, applies in columns:
                if (
                    fact.milestone in column.milestones
                    and applies(fact)
                    and has_asked_milestones(column, kept)
                    and not column.without & kept.undone
                    and is_in_time(form, column, fact, kept)
                ):
                    yield column, fact


def _make_row(form: Form, unit: str, sums: Mapping[str, int], times: Mapping[str, datetime]) -> Row:
    """Return the row of *unit*: the counted numbers and those derived from them, columns in the order of the form."""
    return Row(
        unit,
        numbers=deriving.derive_row_numbers(form, sums),
        times={column.key: times.get(column.key) for column in form.columns if column.kind is ColumnKind.TIME},
    )
