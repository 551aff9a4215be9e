"""The arithmetic of reports.  Knows how a form places facts in its columns; knows neither where facts come from nor how a report looks.

A number is the length of the very list of facts that explains it: `count` and `behind` read the same placements.

What each kind of column takes (standards 4.5):

* a flow: facts whose own `at` lies in the period, whatever period the unit's `received` fact of the same key lies in;
* a stock: keys as they stand at the period's end or, while it runs, at `now`;
* a formula: what its summands take;
* a time: the latest fact of the period.

Facts at or after the period's end are not looked at, so a later fact never changes an ended period.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

import attrs

from hub.model import Fact
from hub.report.form import RECEIVED, Column, Condition, Form, Kind
from hub.report.period import HANOI, Period

_Key = tuple[str, str]  # unit, business key


@attrs.frozen
class Row:
    """The cells of one unit, or of a unit and all below it, by column key in the form's order."""

    unit: str
    numbers: Mapping[str, int]
    times: Mapping[str, datetime | None]


@attrs.frozen(kw_only=True)
class Report:
    """A counted report: the total of the unit `total.unit`, and one row for each unit that is summed up in it."""

    form: Form
    period: Period
    made_at: datetime
    total: Row
    rows: tuple[Row, ...]

    @property
    def ended(self) -> bool:
        """Whether the period was over when the report was made."""
        return self.made_at >= self.period.end


def count(form: Form, facts: Iterable[Fact], period: Period, now: datetime, units: Sequence[str]) -> Report:
    """Count *facts* by *form* for *units*: the reporting unit first, then those below it (`hub.report.family`).

    *facts* may come in any order and may hold more than is needed; needed are those of the units before the period's end.
    """
    sums = {
        unit: {column.key: 0 for column in form.columns if column.kind in (Kind.FLOW, Kind.STOCK)} for unit in units
    }
    times: dict[str, dict[str, datetime]] = {unit: {} for unit in units}
    for column, fact in placements(form, facts, period, now, units):
        if column.kind is Kind.TIME:
            times[fact.unit][column.key] = fact.at
        else:
            sums[fact.unit][column.key] += 1
    total = {key: sum(cells[key] for cells in sums.values()) for key in next(iter(sums.values()), {})}
    latest: dict[str, datetime] = {}
    for found in times.values():
        for key, at in found.items():
            latest[key] = max(at, latest.get(key, at))
    return Report(
        form=form,
        period=period,
        made_at=now,
        total=_row(form, units[0], total, latest),
        rows=tuple(_row(form, unit, sums[unit], times[unit]) for unit in sums),
    )


def behind(
    form: Form, key: str, facts: Iterable[Fact], period: Period, now: datetime, units: Collection[str] | None = None
) -> tuple[Fact, ...]:
    """Return the facts that the number of column *key* counts for *units* (None: all), oldest first.  KeyError: no such column.

    A flow or stock has exactly as many facts as its number says; a formula those of its summands; a time the latest one.
    """
    columns = form.parts(key)
    found = [fact for column, fact in placements(form, facts, period, now, units) if column in columns]
    if form.column(key).kind is Kind.TIME:
        return tuple(sorted(found, key=in_order)[-1:])
    return tuple(sorted(found, key=in_order))


def placements(
    form: Form, facts: Iterable[Fact], period: Period, now: datetime, units: Collection[str] | None = None
) -> Iterator[tuple[Column, Fact]]:
    """Yield each counting column with each fact it takes: one pass over *facts*, then over what needs its whole key.

    A time column is yielded once for each unit, with its latest fact.
    """
    kept = _Kept()
    yield from _at_once(form, _needed(form, facts, period, units), period.start, now, kept)
    for column, fact in kept.unjoined:
        if _in_time(form, column, fact, kept.received.get((fact.unit, fact.key))):
            yield column, fact
    stocks = [(column, _test(column.conditions)) for column in form.columns if column.kind is Kind.STOCK]
    day = min(period.end, now).astimezone(HANOI).date()
    for history in kept.histories.values():
        for column, applies in stocks:
            for fact in _standing(form, column, history, day):
                if applies(fact):
                    yield column, fact
    yield from kept.latest.values()


@attrs.define
class _Kept:
    """What the first pass keeps because one fact alone does not decide it."""

    received: dict[_Key, Fact] = attrs.field(factory=dict)
    unjoined: list[tuple[Column, Fact]] = attrs.field(factory=list)
    histories: dict[_Key, list[Fact]] = attrs.field(factory=dict)  #: what stocks look at, up to their moment
    latest: dict[tuple[str, str], tuple[Column, Fact]] = attrs.field(factory=dict)  #: by unit and time column

    def see(self, column: Column, fact: Fact) -> None:
        known = self.latest.get((fact.unit, column.key))
        if known is None or in_order(fact) > in_order(known[1]):
            self.latest[fact.unit, column.key] = (column, fact)


def _needed(form: Form, facts: Iterable[Fact], period: Period, units: Collection[str] | None) -> Iterator[Fact]:
    end, service, wanted = period.end, form.service, None if units is None else frozenset(units)
    for fact in facts:
        if fact.at < end and fact.service == service and (wanted is None or fact.unit in wanted):
            yield fact


def _at_once(
    form: Form, facts: Iterable[Fact], start: datetime, now: datetime, kept: _Kept
) -> Iterator[tuple[Column, Fact]]:
    """Yield what one fact alone decides; put the rest in *kept*."""
    flows = _flows(form)
    times = [column for column in form.columns if column.kind is Kind.TIME]
    stocks = [column for column in form.columns if column.kind is Kind.STOCK]
    telling = frozenset[str]().union(*form.steps, *(stock.milestones | stock.without for stock in stocks))
    for fact in facts:
        milestone = fact.milestone
        if fact.at >= start:
            for column, applies in flows.get(milestone, ()):
                if applies(fact):
                    if column.joins:
                        kept.unjoined.append((column, fact))
                    else:
                        yield column, fact
            for column in times:
                if not column.milestones or milestone in column.milestones:
                    kept.see(column, fact)
        if milestone == RECEIVED:
            kept.received[fact.unit, fact.key] = fact
        if milestone in telling and fact.at <= now:
            kept.histories.setdefault((fact.unit, fact.key), []).append(fact)


def reached(form: Form, history: Iterable[Fact]) -> Fact | None:
    """Return the fact that moved a key to where it stands: the furthest step, unless a final one came before; None if none moved it."""
    rank = {milestone: number for number, step in enumerate(form.steps) for milestone in step}
    standing: Fact | None = None
    for fact in sorted(history, key=in_order):
        if fact.milestone not in rank or (standing and rank[fact.milestone] <= rank[standing.milestone]):
            continue
        standing = fact
        if fact.milestone in form.final:
            break
    return standing


def _standing(form: Form, column: Column, history: Sequence[Fact], day: date) -> Iterator[Fact]:
    """Yield the facts of one key's *history* that a stock column takes on *day*, its conditions aside."""
    if column.without and any(fact.milestone in column.without for fact in history):
        return
    if column.furthest:
        standing = reached(form, history)
        candidates = [standing] if standing and standing.milestone in column.furthest else []
    else:
        candidates = [fact for fact in history if fact.milestone in column.milestones]
    for fact in candidates:
        if not column.due_passed or (fact.due is not None and fact.due < day):
            yield fact


def _in_time(form: Form, column: Column, fact: Fact, received: Fact | None) -> bool:
    """Whether *fact* came soon enough after the unit's *received* and by its due date, as the column asks.

    Without a `received` fact nothing shows that it came soon enough.  The due date is that of the document received, else the
    fact's own; without one it is met.
    """
    if column.within_hours is not None and (
        received is None or fact.at > received.at + timedelta(hours=form.parameters[column.within_hours])
    ):
        return False
    if column.by_due:
        due = received.due if received is not None else fact.due
        return due is None or fact.at.astimezone(HANOI).date() <= due
    return True


def _flows(form: Form) -> Mapping[str, Sequence[tuple[Column, Callable[[Fact], bool]]]]:
    """Return the flow columns of each milestone, each with the test of its conditions."""
    found: dict[str, list[tuple[Column, Callable[[Fact], bool]]]] = {}
    for column in form.columns:
        if column.kind is Kind.FLOW:
            test = _test(column.conditions)
            for milestone in column.milestones:
                found.setdefault(milestone, []).append((column, test))
    return found


def _test(conditions: Sequence[Condition]) -> Callable[[Fact], bool]:
    return lambda fact: all((getattr(fact, one.attribute) in one.values) is one.holds for one in conditions)


def _row(form: Form, unit: str, sums: Mapping[str, int], times: Mapping[str, datetime]) -> Row:
    """Return the row of *unit* from its flows, stocks and times: formulas worked out, columns in the form's order."""
    return Row(
        unit,
        numbers={
            column.key: sum(sums[part.key] for part in form.parts(column.key))
            for column in form.columns
            if column.kind is not Kind.TIME
        },
        times={column.key: times.get(column.key) for column in form.columns if column.kind is Kind.TIME},
    )


def in_order(fact: Fact) -> tuple[datetime, str, str, str]:
    """Sort facts by time; what came at the same instant, always in the same order."""
    return fact.at, fact.message, fact.unit, fact.milestone
