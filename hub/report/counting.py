"""The arithmetic of reports.  Knows how a form places facts in its columns; knows neither where facts come from nor how a report looks.

A number is the sum of the amounts of the very facts that explain it, and most facts are one result: `count` and `behind` read the same
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

from hub import hanoi
from hub.model import Fact
from hub.report import checks, dates, deriving
from hub.report.checks import Finding
from hub.report.dates import in_order, moment
from hub.report.deriving import Number
from hub.report.form import ATTRIBUTES, RECEIVED, Column, Condition, Form, Kind, Timing, Wording
from hub.report.happenings import happened
from hub.report.period import Period
from hub.report.posting import OPEN, Books, poster
from hub.report.workdays import Due

_Key = tuple[str, str]  # unit, business key
COUNTING = (Kind.FLOW, Kind.STOCK, Kind.PEAK, Kind.HAPPENING, Kind.END)  #: the kinds that add up amounts


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
    findings: tuple[Finding, ...] = ()  #: where a check of the form does not hold
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
        if column.kind is Kind.TIME:
            self.times[column.key] = fact.at
        else:
            self.sums[column.key] += fact.amount

    def __bool__(self) -> bool:
        """Whether there is anything in them."""
        return bool(self.times) or any(self.sums.values())


def count(
    form: Form, facts: Iterable[Fact], period: Period, now: datetime, units: Sequence[str], books: Books = OPEN
) -> Report:
    """Count *facts* by *form* for *units*: the reporting unit first, then those below it (`hub.report.family`).

    *facts* may come in any order and may hold more than is needed; needed are those of the units before the period's end.
    """
    cells = {unit: Cells.none(form) for unit in units}
    for column, fact in placements(form, facts, period, now, units, books):
        cells[fact.unit].take(column, fact)
    return assemble(form, period, now, units, cells)


def assemble(form: Form, period: Period, now: datetime, units: Sequence[str], cells: Mapping[str, Cells]) -> Report:
    """Return the report of *units*, the reporting unit first, from what was counted of each: totals and formulas worked out."""
    sums, times = ({unit: getattr(cells[unit], name) for unit in units} for name in ("sums", "times"))
    total = {key: sum(cells[key] for cells in sums.values()) for key in next(iter(sums.values()), {})}
    latest: dict[str, datetime] = {}
    for found in times.values():
        for key, at in found.items():
            latest[key] = max(at, latest.get(key, at))
    whole = _row(form, units[0], total, latest)
    rows = tuple(_row(form, unit, sums[unit], times[unit]) for unit in sums)
    findings = checks.within(form, whole.numbers, [(row.unit, row.numbers) for row in rows])
    return Report(form=form, period=period, made_at=now, total=whole, rows=rows, findings=findings)


def behind(
    form: Form,
    key: str,
    facts: Iterable[Fact],
    period: Period,
    now: datetime,
    units: Collection[str] | None = None,
    books: Books = OPEN,
) -> tuple[Fact, ...]:
    """Return the facts that the number of column *key* counts for *units* (None: all), oldest first.  KeyError: no such column.

    The amounts of a flow's or stock's facts are exactly its number; a formula has those of its summands; a time the latest one.
    """
    return found_behind(form, key, placements(form, facts, period, now, units, books))


def found_behind(form: Form, key: str, placed: Iterable[tuple[Column, Fact]]) -> tuple[Fact, ...]:
    """Return which of the *placed* facts the number of column *key* counts, oldest first.  KeyError: no such column."""
    columns = form.parts(key)
    found = [fact for column, fact in placed if column in columns]
    if form.column(key).kind is Kind.TIME:
        return tuple(sorted(found, key=in_order)[-1:])
    return tuple(sorted(found, key=in_order))


def placements(
    form: Form,
    facts: Iterable[Fact],
    period: Period,
    now: datetime,
    units: Collection[str] | None = None,
    books: Books = OPEN,
    carried: set[tuple[str, str]] | None = None,
) -> Iterator[tuple[Column, Fact]]:
    """Yield each counting column with each fact it takes: one pass over *facts*, then over what needs its whole key.

    A time column is yielded once for each unit, with its latest fact.  To *carried* are added unit and business key of all that
    stands at the end of the ended *period* so that a stock of a later one may take it though no fact is added: without them
    nothing of before *period* is needed to count the one after it.
    """
    kept, post = _Kept.of(form), poster(form, books)
    yield from _at_once(form, _needed(form, facts, period, units, post), period.start, now, kept)
    for column, fact in kept.unjoined:
        key = (fact.unit, fact.key)
        if _in_time(form, column, fact, kept.received.get(key), kept.extensions.get(key, ())):
            yield column, fact
    yield from _standing(form, kept.histories, period, now, post, carried)
    yield from _ended(form, kept, period)
    for column, days in kept.peaks.values():
        # of two days alike the first one: always the same, in whatever order the facts come
        most = max(sorted(days.items()), key=lambda told: _amount(told[1]))[1]
        if _amount(most) >= 0:  # where corrections alone are told, nothing is known of any day
            yield from ((column, fact) for fact in most)
    for column in form.rules:
        if column.kind is Kind.HAPPENING:
            applies = _test(column.conditions)
            yield from ((column, fact) for fact in happened(column, kept.told, period, now) if applies(fact))
    yield from kept.latest.values()


def _amount(facts: Iterable[Fact]) -> int:
    return sum(fact.amount for fact in facts)


@attrs.define
class _Kept:
    """What the first pass keeps because one fact alone does not decide it."""

    telling: frozenset[str]  #: milestones that stocks look at
    extending: frozenset[str]  #: those that may put a due date off
    happening: frozenset[str]  #: those that happenings look at
    ending: frozenset[str]  #: those with which the work on a key begins or ends
    received: dict[_Key, Fact] = attrs.field(factory=dict)
    extensions: dict[_Key, list[Fact]] = attrs.field(factory=dict)  #: what may put a due date off
    unjoined: list[tuple[Column, Fact]] = attrs.field(factory=list)
    told: list[Fact] = attrs.field(factory=list)  #: what happenings look at
    histories: dict[_Key, list[Fact]] = attrs.field(factory=dict)  #: what stocks look at, up to their moment
    lives: dict[_Key, list[tuple[datetime, Fact]]] = attrs.field(factory=dict)  #: what began and ended a key, as posted
    latest: dict[tuple[str, str], tuple[Column, Fact]] = attrs.field(factory=dict)  #: by unit and time column
    peaks: dict[tuple[str, str], tuple[Column, dict[date, list[Fact]]]] = attrs.field(
        factory=dict
    )  #: by unit and peak column, what was told of each day

    @classmethod
    def of(cls, form: Form) -> "_Kept":
        """Return what keeps for *form* all that its columns ask for."""

        def named(kind: Kind, *words: str) -> frozenset[str]:
            columns = [column for column in form.rules if column.kind is kind]
            return frozenset[str]().union(*(getattr(column, word) for column in columns for word in words))

        telling = named(Kind.STOCK, "milestones", "without", "extended_by").union(*form.steps)
        ending = form.begins | form.ends if any(rule.kind is Kind.END for rule in form.rules) else frozenset[str]()
        extending = named(Kind.FLOW, "extended_by") | named(Kind.END, "extended_by")
        return cls(telling, extending, named(Kind.HAPPENING, "milestones", "without"), ending)

    def note(self, fact: Fact, when: datetime, *, in_time: bool) -> None:
        """Keep *fact* where its milestone asks for it; *in_time*: it lies before the moment of the report."""
        milestone, key = fact.milestone, (fact.unit, fact.key)
        if milestone == RECEIVED:
            self.received[key] = fact
        if milestone in self.extending:
            self.extensions.setdefault(key, []).append(fact)
        if milestone in self.happening:
            self.told.append(fact)
        if milestone in self.ending:
            self.lives.setdefault(key, []).append((when, fact))
        if milestone in self.telling and in_time:
            self.histories.setdefault(key, []).append(fact)

    def rise(self, column: Column, fact: Fact) -> None:
        _, days = self.peaks.setdefault((fact.unit, column.key), (column, {}))
        days.setdefault(dates.day(fact), []).append(fact)

    def see(self, column: Column, fact: Fact) -> None:
        known = self.latest.get((fact.unit, column.key))
        if known is None or fact.at > known[1].at or (fact.at == known[1].at and in_order(fact) > in_order(known[1])):
            self.latest[fact.unit, column.key] = (column, fact)


def _needed(
    form: Form,
    facts: Iterable[Fact],
    period: Period,
    units: Collection[str] | None,
    post: Callable[[Fact], datetime],
) -> Iterator[tuple[datetime, Fact]]:
    """Yield the facts that may count in *period*, each with the moment to which it is posted."""
    end, service, wanted = period.end, form.service, None if units is None else frozenset(units)
    for fact in facts:
        if fact.service == service and (wanted is None or fact.unit in wanted) and (when := post(fact)) < end:
            yield when, fact


def _at_once(
    form: Form, facts: Iterable[tuple[datetime, Fact]], start: datetime, now: datetime, kept: _Kept
) -> Iterator[tuple[Column, Fact]]:
    """Yield what one fact alone decides; put the rest in *kept*."""
    flows = _flows(form)
    times = [column for column in form.columns if column.kind is Kind.TIME]
    for when, fact in facts:
        milestone = fact.milestone
        if when >= start:
            for column, applies in flows.get(milestone, ()):
                if applies(fact):
                    if column.joins:
                        kept.unjoined.append((column, fact))
                    elif column.kind is Kind.PEAK:
                        kept.rise(column, fact)
                    else:
                        yield column, fact
            for column in times:
                if not column.milestones or milestone in column.milestones:
                    kept.see(column, fact)
        kept.note(fact, when, in_time=when <= now)


def _ended(form: Form, kept: _Kept, period: Period) -> Iterator[tuple[Column, Fact]]:
    """Yield the first end of each key that has begun too, where the later of the two was posted to *period*."""
    columns = [(column, _test(column.conditions)) for column in form.rules if column.kind is Kind.END]
    for key, life in kept.lives.items():
        begun = [when for when, fact in life if fact.milestone in form.begins]
        ends = [(when, in_order(fact), fact) for when, fact in life if fact.milestone in form.ends]
        if not begun or not ends:
            continue
        when, _, fact = min(ends, key=lambda end: end[:2])
        if max(when, *begun) < period.start:
            continue
        for column, applies in columns:
            received, extensions = kept.received.get(key), kept.extensions.get(key, ())
            mine = fact.milestone in column.milestones and applies(fact)
            if mine and _in_time(form, column, fact, received, extensions):
                yield column, fact


def reached(form: Form, history: Iterable[Fact]) -> Fact | None:
    """Return the fact that moved a key to where it stands: the furthest step, unless a final one came before; None if none moved it."""
    rank = _ranks(form.steps)
    moving = [fact for fact in history if fact.milestone in rank]
    if len(moving) > 1:
        moving.sort(key=lambda fact: (moment(form, fact), in_order(fact)))
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


def _standing(
    form: Form,
    histories: Mapping[_Key, Sequence[Fact]],
    period: Period,
    now: datetime,
    post: Callable[[Fact], datetime],
    carried: set[tuple[str, str]] | None,
) -> Iterator[tuple[Column, Fact]]:
    """Yield each stock column with the facts it takes of each key's history; add to *carried* as `placements` says."""
    start, first, after = period.start, period.first, period.last + timedelta(days=1)
    today = min(period.last, hanoi.day(now)) if form.by_day else hanoi.day(min(period.end, now))
    stocks = [(column, _test(column.conditions)) for column in form.rules if column.kind is Kind.STOCK]
    for key, history in histories.items():
        stays = carried is None
        for column, applies in stocks:
            candidates = _candidates(form, column, history, applies)
            stays = stays or any(_stays(form, column, fact, history, after) for fact in candidates)
            then, day = history, today
            if column.opening:
                then, day = [fact for fact in history if post(fact) < start], first
                candidates = _candidates(form, column, then, applies)
            for fact in candidates:
                if column.due_passed is None:
                    yield column, fact
                    continue
                due = _due(form, column, fact, then)
                if column.due_passed is (due is not None and due < day):
                    yield column, fact
        if stays and carried is not None:
            carried.add(key)


def _candidates(form: Form, column: Column, history: Sequence[Fact], applies: Callable[[Fact], bool]) -> Sequence[Fact]:
    """Return the facts of one key's *history* that a stock column takes, due dates aside."""
    without, milestones = column.without, column.milestones
    if without:
        for fact in history:
            if fact.milestone in without:
                return ()
    if column.furthest:
        standing = reached(form, history)
        return (standing,) if standing and standing.milestone in column.furthest and applies(standing) else ()
    return [fact for fact in history if fact.milestone in milestones and applies(fact)]


def _due(form: Form, column: Column, fact: Fact, history: Sequence[Fact]) -> date | None:
    if not column.extended_by:
        return fact.due
    return dates.due(form, [fact, *(each for each in history if each.milestone in column.extended_by)])


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
        due = fact.due or dates.due(form, [each for each in told if moment(form, each) <= moment(form, fact)])
        if Timing.of(dates.day(fact), due) is not column.timing:
            return False
    if column.by_due:
        due = received.due if received is not None else fact.due
        return due is None or hanoi.day(fact.at) <= due
    return True


def _flows(form: Form) -> Mapping[str, Sequence[tuple[Column, Callable[[Fact], bool]]]]:
    """Return the flow and peak columns of each milestone, each with the test of its conditions."""
    found: dict[str, list[tuple[Column, Callable[[Fact], bool]]]] = {}
    for column in form.rules:
        if column.kind in (Kind.FLOW, Kind.PEAK):
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
        numbers=deriving.numbers(form, sums),
        times={column.key: times.get(column.key) for column in form.columns if column.kind is Kind.TIME},
    )
