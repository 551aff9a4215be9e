"""Reads what a report says of the closings behind it: the revisions of its rows, and the facts that came after a closing
and count in a later month.

Knows the stored rows and the times of the facts. Neither counts nor writes.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import attrs
import sqlalchemy as sa

from hub.report.counting import closed, marks
from hub.report.counting.marks import ClosingMarks, LateFacts, RowRevision, Silence
from hub.report.form.form import Form, LatePolicy
from hub.report.form.period import Period
from hub.store.tables import closed_row, fact
from hub.store.transactions import Transaction
from hub.workload import row_revisions
from hub.workload.closing_plan import Closing

#: The maximum number of units that one query names.
_NAMED = 500

#: The newest revision of a row that belongs to an earlier revision of a report, by form, month and unit.
Limits = Mapping[tuple[str, str, str], int]


@attrs.frozen(order=True)
class RevisedRow:
    """A revision of a row, in the order in which revisions were made."""

    made_at: datetime
    form: str
    period: str
    unit: str
    revision: int


def list_revised_rows(
    tx: Transaction,
    form: str,
    periods: Collection[str],
    units: Collection[str] | None = None,
    limits: Limits = row_revisions.NEWEST,
) -> list[RevisedRow]:
    """Return each revision, from the second on, of the rows of *units* (None: all) in the closed months *periods*,
    oldest first. Revisions beyond *limits* are left out.
    """
    row = closed_row.c
    query = sa.select(row.made_at, row.form, row.period, row.unit, row.revision).where(
        row.form == form, row.period.in_(list(periods)), row.revision > 1
    )
    wanted = None if units is None else frozenset(units)
    found = (RevisedRow(*each) for each in tx.execute(query) if wanted is None or each.unit in wanted)
    return sorted(
        each for each in found if each.revision <= limits.get((each.form, each.period, each.unit), each.revision)
    )


def limit_revisions(revised: Sequence[RevisedRow], revision: int) -> Limits:
    """Return the revision of each row that belongs to *revision* (from 1) of a report of whose rows *revised* are the
    revisions, oldest first. Rows that are absent belong to it in their newest revision.
    """
    limits = {(each.form, each.period, each.unit): 1 for each in revised}
    limits |= {(each.form, each.period, each.unit): each.revision for each in revised[: revision - 1]}
    return limits


def read_row_revisions(tx: Transaction, form: Form, revised: Sequence[RevisedRow]) -> Iterator[RowRevision]:
    """Yield what each of the revisions *revised* of rows of *form* changed, and why."""
    asked = {(each.period, each.unit, each.revision - older) for each in revised for older in (0, 1)}
    rows = row_revisions.read_row_revisions(tx, form, asked)
    for each in revised:
        after, before = (rows.get((each.period, each.unit, each.revision - older)) for older in (0, 1))
        assert after is not None
        cells = (closed.make_empty_row(form, each.unit) if before is None else before).cells
        yield RowRevision(
            form=form.id,
            period=each.period,
            unit=each.unit,
            revision=each.revision,
            made_at=each.made_at,
            by=after.by,
            reason=after.reason,
            cells=marks.find_changed_values(form, (cells.sums, cells.times), (after.cells.sums, after.cells.times)),
            late=after.late,
        )


def make_form_marks(
    tx: Transaction,
    form: Form,
    period: Period,
    units: Collection[str],
    made: Sequence[Closing],
    months: Collection[str],
    revised: Sequence[RevisedRow],
    silences: Iterable[Silence] = (),
) -> ClosingMarks:
    """Return the marks of a report of *units* for *period*.

    *made*: all closings of *form*, in order. *months*: the closed months of which the report is composed. *revised*: the
    revisions of its rows, oldest first. *silences*: those of these months.
    """
    newest = revised[::-1][: marks.MOST_REVISIONS]
    return ClosingMarks(
        closed_at=max((each.closed_at for each in made if each.period.text in months), default=None),
        revision=1 + len(revised),
        revised=tuple(read_row_revisions(tx, form, newest)),
        late=tuple(_find_late_facts(tx, form, period, units, made)),
        silences=tuple(each for each in silences if concerns(each, form, units)),
    )


def concerns(silence: Silence, form: Form, units: Collection[str]) -> bool:
    """Return whether messages that may be missing by *silence* would be counted by *form* for one of *units*."""
    if silence.services is not None and form.service not in silence.services:
        return False
    return silence.units is None or not silence.units or not set(silence.units).isdisjoint(units)


def merge_marks(form: Form, bases: Mapping[str, ClosingMarks]) -> ClosingMarks:
    """Return the marks of a report that takes its numbers from others, from the marks of those *bases*, by form."""
    revised = [
        attrs.evolve(each, cells=tuple(marks.take_changed_cells(form, base, each.cells)))
        for base, found in bases.items()
        for each in found.revised
    ]
    newest = sorted(revised, key=lambda each: (each.made_at, each.form, each.period, each.unit), reverse=True)
    return ClosingMarks(
        closed_at=max((each.closed_at for each in bases.values() if each.closed_at), default=None),
        revision=1 + sum(each.revision - 1 for each in bases.values()),
        revised=tuple(newest[: marks.MOST_REVISIONS]),
        late=tuple(late for each in bases.values() for late in each.late),
        silences=tuple(dict.fromkeys(found for each in bases.values() for found in each.silences)),
        tampered=tuple(dict.fromkeys(found for each in bases.values() for found in each.tampered)),
    )


def _find_late_facts(
    tx: Transaction, form: Form, period: Period, units: Collection[str], made: Sequence[Closing]
) -> Iterator[LateFacts]:
    """Yield how many facts of *period* came after its closing, by the month in which they count; then how many facts of
    earlier months count in *period*, by their month.

    Only facts of milestones that *form* counts. See `hub.report.counting.posting`.
    """
    before = [each for each in made if each.period.last < period.first]
    within = made[len(before) :][: len([each for each in made if each.period.last <= period.last]) - len(before)]
    if not made or not form.by_day or form.late is not LatePolicy.NEXT:
        return
    whole = bool(within) and within[-1].period.last == period.last
    if whole:
        after = made[len(before) + len(within) :]
        choices = [(fact.c.at < each.closed_at, each.period.text) for each in after]
        counted_in = _choose_text(choices, _name_month_after(made[-1]))
        ours = (fact.c.day >= period.first, fact.c.day <= period.last, fact.c.at >= within[-1].closed_at)
        for month, facts in _count_facts(tx, form, units, counted_in, ours):
            yield LateFacts(form=form.id, period=period.text, counted_in=month, facts=facts)
    follows = before and (within or (period.first - before[-1].period.last).days == 1)
    if follows:
        of = _choose_text([(fact.c.day <= each.period.last, each.period.text) for each in before], period.text)
        # with both bounds SQLite searches by the time of recording: the days before the period are all of the past
        until = within[-1].closed_at if whole else datetime.max.replace(tzinfo=UTC)
        theirs = (fact.c.day < period.first, fact.c.at >= before[-1].closed_at, fact.c.at < until)
        for month, facts in _count_facts(tx, form, units, of, theirs):
            yield LateFacts(form=form.id, period=month, counted_in=period.text, facts=facts)


def _count_facts(
    tx: Transaction,
    form: Form,
    units: Collection[str],
    by: sa.ColumnElement[str],
    which: Sequence[sa.ColumnElement[bool]],
) -> Iterator[tuple[str, int]]:
    """Yield each value of *by* with the number of facts of it, in order."""
    counted = {name for rule in form.rules for name in (*rule.milestones, *rule.furthest)}
    found = Counter[str]()
    asked, rest = sa.select(by.label("month"), sa.func.count()).group_by("month"), list(units)
    while rest:
        some, rest = rest[:_NAMED], rest[_NAMED:]
        mine = (fact.c.service == form.service, fact.c.unit.in_(some), fact.c.milestone.in_(sorted(counted)))
        for text, facts in tx.execute(asked.where(*mine, *which)):
            found[text] += facts
    yield from sorted(found.items())


def _choose_text(choices: Sequence[tuple[sa.ColumnElement[bool], str]], otherwise: str) -> sa.ColumnElement[str]:
    """Return the text of the first of *choices* that holds."""
    return sa.case(*choices, else_=otherwise) if choices else sa.literal(otherwise)


def _name_month_after(closed: Closing) -> str:
    month = closed.period.year * 12 + closed.period.number
    return f"{month // 12}-{month % 12 + 1:02d}"
