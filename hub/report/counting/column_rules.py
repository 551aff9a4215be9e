"""When a fact counts in a column: its flow, its candidates, late or in time, pauses, due dates; no sums."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from operator import attrgetter

import attrs

from hub.domain import local_time
from hub.domain.model import Fact
from hub.report.counting import dates
from hub.report.counting.dates import find_fact_time, make_fact_sort_key
from hub.report.counting.posting import ClosedMonths
from hub.report.form.column import ATTRIBUTES, RECEIVED, RECEIVED_BY, Column, ColumnKind, Condition, Timing
from hub.report.form.form import Clock, Form
from hub.report.form.period import Period

FactTest = Callable[[Fact], bool]


@attrs.define(eq=False)
class KeptFacts:
    """The facts of one key that are remembered because one fact alone does not decide."""

    received: Fact | None = None
    taken_due: date | None = None  #: the due day with which it was taken over from another unit
    had: set[str] = attrs.field(factory=set)  #: milestones that rules ask for
    undone: set[str] = attrs.field(factory=set)  #: milestones that undo a fact, posted before the period's end
    extensions: list[Fact] = attrs.field(factory=list)  #: facts that may extend a due date
    pauses: list[Fact] = attrs.field(factory=list)  #: facts between which the clock stands
    unjoined: list[tuple[Column, Fact]] = attrs.field(factory=list)
    standing: list[Fact] = attrs.field(factory=list)  #: facts that stocks read, up to the moment of the report
    #: the beginnings and ends, with the times to which they are posted
    life: list[tuple[datetime, Fact]] = attrs.field(factory=list)


def has_asked_milestones(column: Column, kept: KeptFacts) -> bool:
    """Return whether a key has the milestones that a rule asks for beside the fact that it counts, and lacks the others."""
    return column.having <= kept.had and not column.lacking & kept.had


def group_end_columns(
    ends: Sequence[tuple[Column, FactTest]],
) -> Mapping[frozenset[str], Sequence[tuple[Column, FactTest]]]:
    """Return the end columns by the milestones of which the first counts."""
    found: dict[frozenset[str], list[tuple[Column, FactTest]]] = {}
    for column, test in ends:
        found.setdefault(column.first_of, []).append((column, test))
    return found


def make_known_test(books: ClosedMonths, period: Period, now: datetime) -> Callable[[Fact], bool]:
    """Return whether a fact was known when the numbers of *period* were made: at its closing, else *now*."""
    closing = books.find(period)
    if closing is None:
        return lambda fact: fact.at <= now
    return lambda fact: fact.at < closing.closed_at


def sum_amounts(facts: Iterable[Fact]) -> int:
    return sum(fact.amount for fact in facts)


def find_reached_fact(form: Form, history: Iterable[Fact]) -> Fact | None:
    """Return the fact that moved a key to its current step: the first final one, whatever came before it, else that of the
    furthest step. None if no fact moved it.
    """
    rank = _rank_milestones(form.steps)
    moving = [fact for fact in history if fact.milestone in rank]
    if len(moving) > 1:
        moving.sort(key=lambda fact: (find_fact_time(form, fact), make_fact_sort_key(fact)))
    standing: Fact | None = None
    for fact in moving:
        if fact.milestone in form.final:
            return fact
        if standing is None or rank[fact.milestone] > rank[standing.milestone]:
            standing = fact
    return standing


@lru_cache(64)
def _rank_milestones(steps: tuple[frozenset[str], ...]) -> Mapping[str, int]:
    return {milestone: number for number, step in enumerate(steps) for milestone in step}


def list_candidates(
    form: Form, column: Column, history: Sequence[Fact], applies: Callable[[Fact], bool]
) -> Sequence[Fact]:
    """Return the facts of one key's *history* that a stock column counts, before its condition on due dates."""
    without, milestones = column.without, column.milestones
    if without:
        for fact in history:
            if fact.milestone in without:
                return ()
    if column.matched and not any(fact.milestone == RECEIVED or _is_taken_over(fact) for fact in history):
        return ()
    if column.furthest:
        standing = find_reached_fact(form, history)
        return (standing,) if standing and standing.milestone in column.furthest and applies(standing) else ()
    return [fact for fact in history if fact.milestone in milestones and applies(fact)]


def is_date_passed(due: date | None, day: date) -> bool:
    return due is not None and due < day


def is_key_late(form: Form, history: Sequence[Fact], due: date | None, day: date) -> bool:
    """Return whether a key in hand is late on the day *day*, by the clock of the form.

    If it waits for a reason that stops the clock, its due date is compared with the day on which that wait began; and it
    is late if it waits for it too often.
    """
    clock = form.clock
    if clock is None or not is_waiting(form, history):
        return is_date_passed(due, day)
    last = max(
        (fact for fact in history if fact.milestone in form.waits),
        key=lambda fact: (find_fact_time(form, fact), make_fact_sort_key(fact)),
    )
    reason = dict(last.attributes).get("reason", "")
    if reason not in clock.stops:
        return is_date_passed(due, day)
    often = clock.too_often.get(reason)
    if often is not None and any(fact.milestone == often for fact in history):
        return True
    return is_date_passed(due, min(day, dates.find_fact_day(last)))


def _count_pauses(clock: Clock, end: date, facts: Sequence[Fact]) -> timedelta:
    """Return the days of the pauses that were over by the day *end*."""
    days = {fact.milestone: dates.find_fact_day(fact) for fact in facts}
    found = timedelta()
    for begins, ends in clock.pauses:
        since, until = days.get(begins), days.get(ends)
        if since is not None and until is not None and since <= until <= end:
            found += until - since
    return found


def is_waiting(form: Form, history: Iterable[Fact]) -> bool:
    """Return whether the key of *history* waits: it has more milestones that begin a wait than that end one."""
    told = [fact.milestone for fact in history]
    return sum(name in form.waits for name in told) > sum(name in form.resumes for name in told)


def find_due_date(form: Form, column: Column, fact: Fact, history: Sequence[Fact]) -> date | None:
    if not column.extended_by:
        return fact.due
    return dates.find_latest_due_date(form, [fact, *(each for each in history if each.milestone in column.extended_by)])


def stays_counted(form: Form, column: Column, fact: Fact, history: Sequence[Fact], after: date) -> bool:
    """Return whether a stock column may count the candidate *fact* on the day *after* or later although nothing is
    added to its *history*.

    A fact that only its due date excludes now may be counted later. A fact without a due date is never overdue. An
    overdue fact stays overdue. A key that is counted while it waits, or while it does not, may be counted later.
    """
    if column.dated and find_due_date(form, column, fact, history) is None:
        return False
    if column.due_passed is None or column.waiting is not None or column.clock:
        return True
    due = find_due_date(form, column, fact, history)
    return due is not None if column.due_passed else due is None or due >= after


def is_in_time(form: Form, column: Column, fact: Fact, kept: KeptFacts) -> bool:
    """Return whether *fact* came soon enough after the unit's *received* fact, and by its due date, or has a `received`
    fact or none, as the column requires.

    `within_hours`: without a `received` fact the condition is not met. `by_due`: the due date is that of the received
    document, else of what was taken over, else the fact's own (a received change states none); without a due date the condition is met; false: after it. `dated`:
    there is such a due date. `timing`: the due date is the fact's own,
    else the latest one stated up to *fact*. An extension stated afterwards is ignored, since it would make the same end
    early in the quarter and late in its month.
    """
    received = kept.received
    if column.matched or column.unmatched:
        has_received = received is not None or _is_taken_over(fact)
        if column.matched is not has_received:
            return False
    if column.within_hours is not None and (
        received is None or fact.at > received.at + timedelta(hours=form.parameters[column.within_hours])
    ):
        return False
    if column.timing is not None:
        told = [received] if received else []
        told += [each for each in kept.extensions if each.milestone in column.extended_by]
        due = fact.due or dates.find_latest_due_date(
            form, [each for each in told if find_fact_time(form, each) <= find_fact_time(form, fact)]
        )
        day = dates.find_fact_day(fact)
        if column.clock and form.clock is not None:
            day -= _count_pauses(form.clock, day, kept.pauses)
        if Timing.of(day, due) is not column.timing:
            return False
    if column.by_due is not None or column.dated:
        due = (received.due if received is not None else None) or kept.taken_due or fact.due
        if column.dated and due is None:
            return False
        if column.by_due is not None:
            return column.by_due is (due is None or local_time.find_local_day(fact.at) <= due)
    return True


def _is_taken_over(fact: Fact) -> bool:
    """Return whether *fact* is a result on a document that another unit received, whose work this one continues."""
    return any(name == RECEIVED_BY for name, _ in fact.attributes)


def find_flow_columns(form: Form) -> Mapping[str, Sequence[tuple[Column, Callable[[Fact], bool]]]]:
    """Return the flow and peak columns of each milestone, each with the test of its conditions."""
    found: dict[str, list[tuple[Column, Callable[[Fact], bool]]]] = {}
    for column in form.rules:
        if column.kind in (ColumnKind.FLOW, ColumnKind.PEAK):
            test = make_condition_test(column.conditions)
            for milestone in column.milestones:
                found.setdefault(milestone, []).append((column, test))
    return found


def list_flow_columns(form: Form, fact: Fact) -> list[Column]:
    """Return the columns of *form* that count *fact* among the facts of its period, each once.

    Columns that join it with another fact of its key are left out: whether they count it depends on that one.
    """
    found = [
        column for column, test in find_flow_columns(form).get(fact.milestone, ()) if not column.joins and test(fact)
    ]
    return [form.column(key) for key in dict.fromkeys(column.key for column in found)]


def make_condition_test(conditions: Sequence[Condition]) -> Callable[[Fact], bool]:
    if not conditions:
        return _is_always_counted
    if len(conditions) == 1 and conditions[0].attribute in ATTRIBUTES:
        (one,) = conditions
        value, values, holds = attrgetter(one.attribute), one.values, one.holds
        return lambda fact: (value(fact) in values) is holds
    return lambda fact: all((_read_attribute(fact, one.attribute) in one.values) is one.holds for one in conditions)


def _is_always_counted(_fact: Fact) -> bool:
    return True


def _read_attribute(fact: Fact, name: str) -> object:
    return getattr(fact, name) if name in ATTRIBUTES else dict(fact.attributes).get(name)
