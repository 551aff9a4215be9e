"""The arithmetic of reports.  Knows how a form places facts in its columns; knows neither where facts come from nor how a report looks.

A number is the sum of the amounts of the very facts that explain it, and most facts are one result: `count_report` and `find_counted_facts` read the same
placements.

What each kind of column takes (standards 4.5):

* a flow: facts whose own `at` lies in the period, whatever period the unit's `received` fact of the same key lies in;
* a stock: keys as they stand at the period's end or, while it runs, at `now`;
* a peak: of each unit, what was told of that day of the period for which the most was told;
* a happening: facts whose day, as their unit names it, lies in the period and is over, whenever the hub heard of them (`happenings`);
* an end: keys whose first end and whose beginning are both told, in the period of the later of the two;
* a formula: what its summands take; a ratio or a score: what it is worked out from (`deriving`);
* a time: the latest fact of the period.

Facts at or after the period's end are not looked at, so a later fact never changes an ended period; unless the form goes by
the units' own days: then a fact belongs to its day's period whenever the hub learns of it, until the period is closed.  From then
on it is posted to a later one (`posting`): every function here takes the *books*, and without them nothing is closed.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from operator import attrgetter

import attrs

from hub.domain import local_time
from hub.domain.model import Fact
from hub.report.counting import checks, dates, deriving
from hub.report.counting.checks import CheckFinding
from hub.report.counting.dates import fact_time, in_order
from hub.report.counting.deriving import Number
from hub.report.counting.happenings import list_happened_facts
from hub.report.counting.posting import OPEN, ClosedMonths, make_poster
from hub.report.form.form import ATTRIBUTES, RECEIVED, Column, ColumnKind, Condition, Form, Timing, Wording
from hub.report.form.period import Period
from hub.report.form.workdays import Due

_Key = tuple[str, str]  # unit, business key
_Test = Callable[[Fact], bool]
COUNTING = (
    ColumnKind.FLOW,
    ColumnKind.STOCK,
    ColumnKind.PEAK,
    ColumnKind.HAPPENING,
    ColumnKind.END,
)  #: the kinds that add up amounts


@attrs.frozen
class Row:
    """The cells of one unit, or of a unit and all below it, by column key in the form's order."""

    unit: str
    numbers: Mapping[str, Number]
    times: Mapping[str, datetime | None]


@attrs.frozen(kw_only=True)
class Section:
    """Some of the units of a report, put together under a heading."""

    heading: Wording
    total: Row  #: over these units; its `unit` is empty, for it is none
    units: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Report:
    """A counted report: the total of the unit `total.unit`, and one row for each unit that is summed up in it."""

    form: Form
    period: Period
    made_at: datetime
    total: Row
    rows: tuple[Row, ...]
    sections: tuple[Section, ...] = ()  #: a unit is in one of them at most
    findings: tuple[CheckFinding, ...] = ()  #: where a check of the form does not hold
    due: Due | None = None  #: when it must be handed in, where its form says

    @property
    def ended(self) -> bool:
        """Whether the period was over when the report was made."""
        return self.made_at >= self.period.end


@attrs.define
class Cells:
    """What is counted for one unit, by the keys of the columns that count: formulas are worked out from it."""

    sums: dict[str, int]
    times: dict[str, datetime] = attrs.field(factory=dict)  #: only of those that there are

    @classmethod
    def none(cls, form: Form) -> "Cells":
        """Return the cells of a unit of which nothing was counted."""
        return cls({column.key: 0 for column in form.columns if column.kind in COUNTING})

    def take(self, column: Column, fact: Fact) -> None:
        """Count *fact* in *column*."""
        if column.kind is ColumnKind.TIME:
            self.times[column.key] = fact.at
        else:
            self.sums[column.key] += fact.amount

    def __bool__(self) -> bool:
        """Whether there is anything in them."""
        return bool(self.times) or any(self.sums.values())


def count_report(
    form: Form, facts: Iterable[Fact], period: Period, now: datetime, units: Sequence[str], books: ClosedMonths = OPEN
) -> Report:
    """Count *facts* by *form* for *units*: the reporting unit first, then those below it (`hub.report.counting.family`).

    *facts* may come in any order and may hold more than is needed; needed are those of the units before the period's end.
    """
    cells = {unit: Cells.none(form) for unit in units}
    for column, fact in place_facts(form, facts, period, now, units, books):
        cells[fact.unit].take(column, fact)
    return assemble_report(form, period, now, units, cells)


def assemble_report(
    form: Form, period: Period, now: datetime, units: Sequence[str], cells: Mapping[str, Cells]
) -> Report:
    """Return the report of *units*, the reporting unit first, from what was counted of each: totals and formulas worked out."""
    sums, times = ({unit: getattr(cells[unit], name) for unit in units} for name in ("sums", "times"))
    total = {key: sum(cells[key] for cells in sums.values()) for key in next(iter(sums.values()), {})}
    latest: dict[str, datetime] = {}
    for found in times.values():
        for key, at in found.items():
            latest[key] = max(at, latest.get(key, at))
    whole = _row(form, units[0], total, latest)
    rows = tuple(_row(form, unit, sums[unit], times[unit]) for unit in sums)
    findings = checks.check_within_rows(form, whole.numbers, [(row.unit, row.numbers) for row in rows])
    return Report(form=form, period=period, made_at=now, total=whole, rows=rows, findings=findings)


def find_counted_facts(
    form: Form,
    key: str,
    facts: Iterable[Fact],
    period: Period,
    now: datetime,
    units: Collection[str] | None = None,
    books: ClosedMonths = OPEN,
) -> tuple[Fact, ...]:
    """Return the facts that the number of column *key* counts for *units* (None: all), oldest first.  KeyError: no such column.

    The amounts of a flow's or stock's facts are exactly its number; a formula has those of its summands; a time the latest one.
    """
    return found_behind(form, key, place_facts(form, facts, period, now, units, books))


def found_behind(form: Form, key: str, placed: Iterable[tuple[Column, Fact]]) -> tuple[Fact, ...]:
    """Return which of the *placed* facts the number of column *key* counts, oldest first.  KeyError: no such column."""
    columns = form.parts(key)
    found = [fact for column, fact in placed if column in columns]
    if form.column(key).kind is ColumnKind.TIME:
        return tuple(sorted(found, key=in_order)[-1:])
    return tuple(sorted(found, key=in_order))


def place_facts(
    form: Form,
    facts: Iterable[Fact],
    period: Period,
    now: datetime,
    units: Collection[str] | None = None,
    books: ClosedMonths = OPEN,
    carried: set[tuple[str, str]] | None = None,
) -> Iterator[tuple[Column, Fact]]:
    """Yield each counting column with each fact it takes, of *facts* in any order: all of them are held.  See `Placing`."""
    service, wanted = form.service, None if units is None else frozenset(units)
    histories: dict[_Key, list[Fact]] = {}
    for fact in facts:
        if fact.service == service and (wanted is None or fact.unit in wanted):
            histories.setdefault((fact.unit, fact.key), []).append(fact)
    placing = Placing.of(form, period, now, books, carried)
    yield from placing.every(histories.values())


@attrs.define(eq=False)
class Placing:
    """Places facts in columns, one business key after the other.

    It holds of what it was given only what one key does not decide: facts of peaks and happenings, and the latest of each time
    column.  `end` gives these back, after the last key of a unit or of several.

    To *carried* are added unit and business key of all that stands at the end of the ended *period* so that a stock of a later one
    may take it though no fact is added: without them nothing of before *period* is needed to count the one after it.
    """

    form: Form
    period: Period
    now: datetime
    carried: set[tuple[str, str]] | None
    _post: Callable[[Fact], datetime]
    _flows: Mapping[str, Sequence[tuple[Column, _Test]]]
    _times: Sequence[Column]
    _stocks: Sequence[tuple[Column, _Test]]
    _ends: Sequence[tuple[Column, _Test]]
    _happenings: Sequence[tuple[Column, _Test]]
    _telling: frozenset[str]  #: milestones that stocks look at
    _extending: frozenset[str]  #: those that may put a due date off
    _happening: frozenset[str]  #: those that happenings look at
    _ending: frozenset[str]  #: those with which the work on a key begins or ends
    _start: datetime
    _end: datetime
    _today: date  #: a stock is overdue that was due before it
    _after: date  #: the first day after the period
    _told: list[Fact] = attrs.field(factory=list, init=False)  #: what happenings look at
    _latest: dict[tuple[str, str], tuple[Column, Fact]] = attrs.field(factory=dict, init=False)  #: by unit and column
    _peaks: dict[tuple[str, str], tuple[Column, dict[date, list[Fact]]]] = attrs.field(
        factory=dict, init=False
    )  #: by unit and peak column, what was told of each day

    @classmethod
    def of(
        cls,
        form: Form,
        period: Period,
        now: datetime,
        books: ClosedMonths = OPEN,
        carried: set[tuple[str, str]] | None = None,
    ) -> "Placing":
        """Return what places the facts that count in *period* of *form* as of *now*."""

        def named(kind: ColumnKind, *words: str) -> frozenset[str]:
            columns = [column for column in form.rules if column.kind is kind]
            return frozenset[str]().union(*(getattr(column, word) for column in columns for word in words))

        def tested(kind: ColumnKind) -> Sequence[tuple[Column, _Test]]:
            return [(column, _test(column.conditions)) for column in form.rules if column.kind is kind]

        return cls(
            form=form,
            period=period,
            now=now,
            carried=carried,
            post=make_poster(form, books),
            flows=_flows(form),
            times=[column for column in form.columns if column.kind is ColumnKind.TIME],
            stocks=tested(ColumnKind.STOCK),
            ends=tested(ColumnKind.END),
            happenings=tested(ColumnKind.HAPPENING),
            telling=named(ColumnKind.STOCK, "milestones", "without", "extended_by").union(*form.steps),
            extending=named(ColumnKind.FLOW, "extended_by") | named(ColumnKind.END, "extended_by"),
            happening=named(ColumnKind.HAPPENING, "milestones", "without"),
            ending=form.begins | form.ends if any(rule.kind is ColumnKind.END for rule in form.rules) else frozenset(),
            start=period.start,
            end=period.end,
            today=min(period.last, local_time.local_day(now))
            if form.by_day
            else local_time.local_day(min(period.end, now)),
            after=period.last + timedelta(days=1),
        )

    def take(self, history: Iterable[Fact]) -> Iterator[tuple[Column, Fact]]:
        """Yield each column with each fact it takes of *history*: all facts of the form's service of one unit and key."""
        kept, start, end, now, post = _Kept(), self._start, self._end, self.now, self._post
        for fact in history:
            if (when := post(fact)) < end:
                if when >= start:
                    for column in self._at_once(fact, kept):
                        yield column, fact
                self._note(fact, when, kept, in_time=when <= now)
        for column, fact in kept.unjoined:
            if _in_time(self.form, column, fact, kept.received, kept.extensions):
                yield column, fact
        if kept.standing:
            yield from self._standing(kept.standing)
        if kept.life:
            yield from self._ended(kept)

    def _at_once(self, fact: Fact, kept: "_Kept") -> Sequence[Column]:
        """Return the columns that take *fact* of the period whatever else is told of its key; keep the rest."""
        milestone, taking = fact.milestone, list[Column]()
        for column, applies in self._flows.get(milestone, ()):
            if applies(fact):
                if column.joins:
                    kept.unjoined.append((column, fact))
                elif column.kind is ColumnKind.PEAK:
                    _, days = self._peaks.setdefault((fact.unit, column.key), (column, {}))
                    days.setdefault(dates.fact_day(fact), []).append(fact)
                else:
                    taking.append(column)
        for column in self._times:
            if not column.milestones or milestone in column.milestones:
                self._see(column, fact)
        return taking

    def _note(self, fact: Fact, when: datetime, kept: "_Kept", *, in_time: bool) -> None:
        """Keep *fact* where its milestone asks for it; *in_time*: it lies before the moment of the report."""
        milestone = fact.milestone
        if milestone == RECEIVED:
            kept.received = fact
        if milestone in self._extending:
            kept.extensions.append(fact)
        if milestone in self._happening:
            self._told.append(fact)
        if milestone in self._ending:
            kept.life.append((when, fact))
        if in_time and milestone in self._telling:
            kept.standing.append(fact)

    def every(self, histories: Iterable[Iterable[Fact]]) -> Iterator[tuple[Column, Fact]]:
        """Yield what `take` does of each of *histories*, and then what `end` does."""
        for history in histories:
            yield from self.take(history)
        yield from self.end()

    def end(self) -> Iterator[tuple[Column, Fact]]:
        """Yield what only all keys decide, and hold nothing any more.  A time column is yielded once a unit, with its latest fact."""
        for column, days in self._peaks.values():
            # of two days alike the first one: always the same, in whatever order the facts come
            most = max(sorted(days.items()), key=lambda told: _amount(told[1]))[1]
            if _amount(most) >= 0:  # where corrections alone are told, nothing is known of any day
                yield from ((column, fact) for fact in most)
        for column, applies in self._happenings:
            yield from (
                (column, fact)
                for fact in list_happened_facts(column, self._told, self.period, self.now)
                if applies(fact)
            )
        yield from self._latest.values()
        self._peaks, self._told, self._latest = {}, [], {}

    def _see(self, column: Column, fact: Fact) -> None:
        known = self._latest.get((fact.unit, column.key))
        if known is None or fact.at > known[1].at or (fact.at == known[1].at and in_order(fact) > in_order(known[1])):
            self._latest[fact.unit, column.key] = (column, fact)

    def _standing(self, history: Sequence[Fact]) -> Iterator[tuple[Column, Fact]]:
        """Yield each stock column with the facts it takes of one key's *history*."""
        form, period, carried = self.form, self.period, self.carried
        stays = carried is None
        for column, applies in self._stocks:
            candidates = _candidates(form, column, history, applies)
            stays = stays or any(_stays(form, column, fact, history, self._after) for fact in candidates)
            then, day = history, self._today
            if column.opening:
                then, day = [fact for fact in history if self._post(fact) < self._start], period.first
                candidates = _candidates(form, column, then, applies)
            for fact in candidates:
                if column.due_passed is None:
                    yield column, fact
                    continue
                due = _due(form, column, fact, then)
                if column.due_passed is (due is not None and due < day):
                    yield column, fact
        if stays and carried is not None:
            carried.add((history[0].unit, history[0].key))

    def _ended(self, kept: "_Kept") -> Iterator[tuple[Column, Fact]]:
        """Yield the first end of a key that has begun too, where the later of the two was posted to the period."""
        form = self.form
        begun = [when for when, fact in kept.life if fact.milestone in form.begins]
        ends = [(when, in_order(fact), fact) for when, fact in kept.life if fact.milestone in form.ends]
        if not begun or not ends:
            return
        when, _, fact = min(ends, key=lambda end: end[:2])
        if max(when, *begun) < self._start:
            return
        for column, applies in self._ends:
            mine = fact.milestone in column.milestones and applies(fact)
            if mine and _in_time(form, column, fact, kept.received, kept.extensions):
                yield column, fact


@attrs.define(eq=False)
class _Kept:
    """What is kept of one key because one fact alone does not decide it."""

    received: Fact | None = None
    extensions: list[Fact] = attrs.field(factory=list)  #: what may put a due date off
    unjoined: list[tuple[Column, Fact]] = attrs.field(factory=list)
    standing: list[Fact] = attrs.field(factory=list)  #: what stocks look at, up to their moment
    life: list[tuple[datetime, Fact]] = attrs.field(factory=list)  #: what began and ended it, as posted


def _amount(facts: Iterable[Fact]) -> int:
    return sum(fact.amount for fact in facts)


def find_reached_fact(form: Form, history: Iterable[Fact]) -> Fact | None:
    """Return the fact that moved a key to where it stands: the furthest step, unless a final one came before; None if none moved it."""
    rank = _ranks(form.steps)
    moving = [fact for fact in history if fact.milestone in rank]
    if len(moving) > 1:
        moving.sort(key=lambda fact: (fact_time(form, fact), in_order(fact)))
    standing: Fact | None = None
    for fact in moving:
        if standing and rank[fact.milestone] <= rank[standing.milestone]:
            continue
        standing = fact
        if fact.milestone in form.final:
            break
    return standing


@lru_cache(64)
def _ranks(steps: tuple[frozenset[str], ...]) -> Mapping[str, int]:
    return {milestone: number for number, step in enumerate(steps) for milestone in step}


def _candidates(form: Form, column: Column, history: Sequence[Fact], applies: Callable[[Fact], bool]) -> Sequence[Fact]:
    """Return the facts of one key's *history* that a stock column takes, due dates aside."""
    without, milestones = column.without, column.milestones
    if without:
        for fact in history:
            if fact.milestone in without:
                return ()
    if column.furthest:
        standing = find_reached_fact(form, history)
        return (standing,) if standing and standing.milestone in column.furthest and applies(standing) else ()
    return [fact for fact in history if fact.milestone in milestones and applies(fact)]


def _due(form: Form, column: Column, fact: Fact, history: Sequence[Fact]) -> date | None:
    if not column.extended_by:
        return fact.due
    return dates.latest_due_date(form, [fact, *(each for each in history if each.milestone in column.extended_by)])


def _stays(form: Form, column: Column, fact: Fact, history: Sequence[Fact], after: date) -> bool:
    """Tell whether a stock column may take *fact*, a candidate, on the day *after* or later though nothing is added to its *history*.

    What only its due date keeps out now may be taken later; what has no due date is never overdue, and what is overdue stays so.
    """
    if column.due_passed is None:
        return True
    due = _due(form, column, fact, history)
    return due is not None if column.due_passed else due is None or due >= after


def _in_time(form: Form, column: Column, fact: Fact, received: Fact | None, extensions: Sequence[Fact]) -> bool:
    """Whether *fact* came soon enough after the unit's *received* and by its due date, or without either, as the column asks.

    Without a `received` fact nothing shows that it came soon enough.  By `by_due` the due date is that of the document received,
    else the fact's own; without one it is met.  By `timing` it is the fact's own, else the latest told up to *fact*: what is
    put off afterwards would make the same end early in a quarter and late in its month.
    """
    if column.unmatched and received is not None:
        return False
    if column.within_hours is not None and (
        received is None or fact.at > received.at + timedelta(hours=form.parameters[column.within_hours])
    ):
        return False
    if column.timing is not None:
        told = [received] if received else []
        told += [each for each in extensions if each.milestone in column.extended_by]
        due = fact.due or dates.latest_due_date(
            form, [each for each in told if fact_time(form, each) <= fact_time(form, fact)]
        )
        if Timing.of(dates.fact_day(fact), due) is not column.timing:
            return False
    if column.by_due:
        due = received.due if received is not None else fact.due
        return due is None or local_time.local_day(fact.at) <= due
    return True


def _flows(form: Form) -> Mapping[str, Sequence[tuple[Column, Callable[[Fact], bool]]]]:
    """Return the flow and peak columns of each milestone, each with the test of its conditions."""
    found: dict[str, list[tuple[Column, Callable[[Fact], bool]]]] = {}
    for column in form.rules:
        if column.kind in (ColumnKind.FLOW, ColumnKind.PEAK):
            test = _test(column.conditions)
            for milestone in column.milestones:
                found.setdefault(milestone, []).append((column, test))
    return found


def _test(conditions: Sequence[Condition]) -> Callable[[Fact], bool]:
    if not conditions:
        return _always
    if len(conditions) == 1 and conditions[0].attribute in ATTRIBUTES:
        (one,) = conditions
        value, values, holds = attrgetter(one.attribute), one.values, one.holds
        return lambda fact: (value(fact) in values) is holds
    return lambda fact: all((_attribute(fact, one.attribute) in one.values) is one.holds for one in conditions)


def _always(_fact: Fact) -> bool:
    return True


def _attribute(fact: Fact, name: str) -> object:
    return getattr(fact, name) if name in ATTRIBUTES else dict(fact.attributes).get(name)


def _row(form: Form, unit: str, sums: Mapping[str, int], times: Mapping[str, datetime]) -> Row:
    """Return the row of *unit* from what was counted: the rest worked out, columns in the form's order."""
    return Row(
        unit,
        numbers=deriving.derive_row_numbers(form, sums),
        times={column.key: times.get(column.key) for column in form.columns if column.kind is ColumnKind.TIME},
    )
