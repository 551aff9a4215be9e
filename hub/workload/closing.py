"""Closes the months of a form in order, and makes revisions of closed rows.

Knows which months are closed, and what a closing reads and writes. Does not know how facts are assigned to columns and
months (`hub.report`).

Reading and writing are separate. Counting is slow and runs in a reading transaction (`count_row`), which blocks nobody.
Its result is written in one short transaction (`settle_closing`), unless another closing was written first.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Event
from hub.journal import duties, events, facts
from hub.language.catalogues import say_both
from hub.language.phrases import phrase
from hub.report.counting import closed, posting
from hub.report.counting.closed import ClosedRow, have_same_rules
from hub.report.counting.dates import find_day_begin
from hub.report.counting.posting import ClosedMonths
from hub.report.form.book import Book
from hub.report.form.form import Form, FormMissing, LatePolicy, choose_form
from hub.report.form.period import Cuts, Period, Span, find_following_month, find_month_containing, parse_period
from hub.report.form.toml import read_form_toml
from hub.store import transactions
from hub.store.tables import carried, closed_row, fact
from hub.store.tables import closing as table
from hub.store.transactions import Transaction

#: A fact is committed a moment after its time `at`. A month therefore stays open for this long after its end.
GRACE = timedelta(minutes=2)
#: The reason of a revision where no person gives one.
_RECOUNTED = phrase("counted again")


class TooEarly(Exception):
    """The month is not over, or ended less than `GRACE` ago. The argument is the time from which it may be closed."""


class OutOfTurn(Exception):
    """Another month must be closed first. The argument is that Period, or None where no month is to be closed yet."""


class FactsOutstanding(Exception):
    """Facts that were received before the closing are not written yet (hub.journal.duties). The argument is the
    outstanding duties.
    """


@attrs.frozen(kw_only=True)
class Closing:
    """A closed month of a form."""

    period: Period
    closed_at: datetime
    by: str
    definition: str  #: the TOML text of the form in force, unchanged
    sha256: str  #: the SHA-256 of the snapshot: of its rows in revision 1 (`closed.hash_closing`)

    @property
    def form(self) -> Form:
        """The form that was in force, read from its kept text."""
        return _form(self.definition)


@attrs.frozen(kw_only=True)
class MonthDraft:
    """The result of counting a month to be closed, not written yet."""

    form: Form
    period: Period
    closed_at: datetime
    cuts: Cuts  #: the first and last days of months
    after: str | None  #: the month that was closed last, such as `2026-11`; None: none is closed
    rows: tuple[ClosedRow, ...]
    begun: tuple[tuple[str, str], ...]  #: (unit, key) of each key that is carried from this month on
    ended: tuple[tuple[str, str], ...]  #: (unit, key) of each key that is carried no longer


@lru_cache(64)
def _form(definition: str) -> Form:
    return read_form_toml(definition.encode(), "closing")


def read_closings(tx: Transaction, form: str) -> tuple[Closing, ...]:
    """Return the closed months of the form *form*, in order."""
    rows = tx.execute(sa.select(table).where(table.c.form == form).order_by(table.c.period))
    return tuple(
        Closing(
            period=_month(row.period, row.first_day, row.last_day),
            closed_at=row.closed_at,
            by=row.closed_by,
            definition=row.definition,
            sha256=row.sha256,
        )
        for row in rows
    )


def _month(text: str, first: date, last: date) -> Period:
    return Period(text, Span.MONTH, int(text[:4]), int(text[5:]), first, last)


def list_closed_months(made: Iterable[Closing]) -> ClosedMonths:
    """Return the closed months of these closings, for `hub.report.counting.posting`."""
    return ClosedMonths(tuple(posting.ClosedMonth(each.period, each.closed_at) for each in made))


def keep_closed_workdays(tx: Transaction, book: Book) -> Book:
    """Return *book* with the first and last days of the months that are closed, in any form. These days stay when the
    configured cut-off changes.
    """
    return attrs.evolve(book, cuts=_keeping(tx, book.cuts))


def _keeping(tx: Transaction, cuts: Cuts) -> Cuts:
    days = sa.select(table.c.period, table.c.first_day, table.c.last_day).distinct()
    return cuts.keeping(_month(*row) for row in tx.execute(days))


def find_next_month_to_close(tx: Transaction, book: Book, form: str) -> tuple[Form, Period] | None:
    """Return the month of *form* that must be closed next, and the version of the form in force then. None: no fact was
    recorded yet, or the form is no longer in force.

    The chain of closings begins with the month of the earliest fact of all services, or with the first month in which
    the form is in force.
    """
    made, cuts, forms = read_closings(tx, form), _keeping(tx, book.cuts), book.forms
    if made:
        period = find_following_month(made[-1].period, cuts)
    else:
        begun = facts.read_earliest_fact_time(tx)
        if begun is None:
            return None
        period = find_month_containing(begun, cuts)
        since = [each.since for each in forms if each.id == form and each.since is not None]
        if since and all(each.since for each in forms if each.id == form) and min(since) > period.last:
            period = find_month_containing(_noon(min(since)), cuts)
    try:
        return choose_form(forms, form, period), period
    except FormMissing:
        return None  # the form is no longer in force


def _noon(day: date) -> datetime:
    return find_day_begin(day) + timedelta(hours=12)


def find_earliest_closing_time(period: Period) -> datetime:
    """Return the time from which *period* may be closed."""
    return period.end + GRACE


def list_counting_forms(forms: Iterable[Form]) -> list[str]:
    """Return the ids of the forms that count facts and are therefore closed: those that have a service."""
    return sorted({form.id for form in forms if form.service})


def count_month_draft(
    tx: Transaction,
    book: Book,
    form: str,
    period: Period,
    now: datetime,
) -> MonthDraft:
    """Count the month *period* of *form* and return the draft of its closing. Writes nothing.

    If facts that were received after the month could be closed are not written yet, `closed_at` is the time when the
    first of them was received. These facts are then late, so a sender that never stops sending cannot keep a month
    open. Memory: the facts of some hundred keys, and the keys that are carried on.

    Raises TooEarly, OutOfTurn (also when the month is closed already), FactsOutstanding.
    """
    made = read_closings(tx, form)
    found = find_next_month_to_close(tx, book, form)
    if found is None or found[1] != period:
        raise OutOfTurn(None if found is None else found[1])
    if now < find_earliest_closing_time(period):
        raise TooEarly(find_earliest_closing_time(period))
    chosen = found[0]
    closed_at = max(now, made[-1].closed_at) if made else now
    if (left := duties.read_outstanding_duties(tx, services=[chosen.service], before=closed_at)).since is not None:
        if left.since < find_earliest_closing_time(period) or (made and left.since < made[-1].closed_at):
            raise FactsOutstanding(left)
        closed_at = left.since
    facts.use_indexes(tx)
    rows, begun, ended = list[ClosedRow](), list[tuple[str, str]](), list[tuple[str, str]]()
    reader = _Reader.of(tx, chosen, period, made, list_closed_months(made).closed(period, closed_at))
    for unit in sorted({*facts.list_fact_units(tx, chosen.service), *reader.carrying()}):
        row, keys, held = reader.count_row(unit, closed_at)
        if row is not None:
            rows.append(row)
        begun += ((unit, key) for key in sorted(keys - held))
        ended += ((unit, key) for key in sorted(held - keys))
    return MonthDraft(
        form=chosen,
        period=period,
        closed_at=closed_at,
        cuts=book.cuts,
        after=made[-1].period.text if made else None,
        rows=tuple(rows),
        begun=tuple(begun),
        ended=tuple(ended),
    )


@attrs.frozen
class _Reader:
    """Reads the facts from which the row of a unit in one month is counted."""

    tx: Transaction
    form: Form
    period: Period
    before: str | None  #: the closed month before it
    books: ClosedMonths
    search: facts.FactSearch
    #: the query for the keys that a unit carried into the month; None: no month before is closed
    held: sa.Select[Any] | None

    @classmethod
    def of(cls, tx: Transaction, form: Form, period: Period, made: Sequence[Closing], books: ClosedMonths) -> "_Reader":
        """Return the reader for *period*.

        *made*: the closings of the months before *period*. *books*: the closed months including *period*.
        """
        chained = bool(made) and have_same_rules(made[-1].form, form)
        # The carried keys of a form that counts differently cannot be used. Then all of the past is read, once.
        known = books if chained else ClosedMonths(books.months[-1:])
        found = posting.list_posting_windows(form, period, known)
        before = made[-1].period.text if made else None
        search = facts.FactSearch.for_period(form.service, found, form.id, before if chained else None)
        return cls(tx, form, period, before, books, search, None if before is None else _carried(form.id, before))

    def carrying(self) -> list[str]:
        """Return the units that carry a key into the month."""
        if self.before is None:
            return []
        mine = sa.and_(carried.c.form == self.form.id, facts.build_carried_condition(self.before))
        return list(self.tx.scalars(sa.select(carried.c.unit).where(mine).distinct()))

    def count_row(self, unit: str, now: datetime) -> tuple[ClosedRow | None, set[str], set[str]]:
        """Return the row of *unit* (None: nothing counted), the keys it carries on, and the keys it carried into the
        month.
        """
        held: set[str] = set() if self.held is None else set(self.tx.scalars(self.held, {"of": unit}))
        histories = self.search.histories(self.tx, unit)
        row, keys = closed.count_closed_row(
            self.form, histories, self.period, max(now, self.period.end), unit, self.books
        )
        return row, keys, held

    def carried(self, unit: str, period: str) -> set[str]:
        """Return the keys that *unit* carries at the end of the closed month *period*."""
        return set(self.tx.scalars(_carried(self.form.id, period), {"of": unit}))


def _carried(form: str, period: str) -> sa.Select[Any]:
    """Return the query for the keys that the unit `of` carries at the end of the closed month *period*."""
    mine = sa.and_(carried.c.form == form, carried.c.unit == sa.bindparam("of"), facts.build_carried_condition(period))
    return sa.select(carried.c.key).where(mine)


def settle_closing(tx: Transaction, draft: MonthDraft, by: str) -> Closing:
    """Write the closing of a month. It is final and written once: if the month was closed meanwhile, return that
    closing.

    Raises OutOfTurn when other closings were written meanwhile, FactsOutstanding when facts received before `closed_at`
    are not written yet.
    """
    # the lock "closing": a month has the same days in all forms
    transactions.lock_names(tx, ["closing", f"closing {draft.form.id}"])
    made = read_closings(tx, draft.form.id)
    for each in made:
        if each.period.text == draft.period.text:
            return each
    form, period, at = draft.form, draft.period, draft.closed_at
    if left := duties.read_outstanding_duties(tx, services=[form.service], before=at):
        raise FactsOutstanding(left)
    cuts = _keeping(tx, draft.cuts)
    if (made[-1].period.text if made else None) != draft.after:
        raise OutOfTurn(find_following_month(made[-1].period, cuts) if made else None)
    if parse_period(period.text, cuts) != period:
        raise OutOfTurn(
            parse_period(period.text, cuts)
        )  # another form's month was closed meanwhile, with another cut-off
    sha256 = closed.hash_closing(form, period, draft.rows)
    named = {"form": form.id, "period": period.text}
    days = {"first_day": period.first, "last_day": period.last}
    kept = {"closed_at": at, "closed_by": by, "definition": form.written, "sha256": sha256}
    tx.execute(sa.insert(table), [named | days | kept])
    _keep(tx, form, period, [attrs.evolve(row, made_at=at) for row in draft.rows])
    _carry(tx, form.id, period.text, draft.begun, draft.ended)
    body = {
        **named,
        "by": by,
        "units": len(draft.rows),
        "facts": sum(row.facts for row in draft.rows),
        "sha256": sha256,
    }
    events.append_events(tx, Event("period-closed", at, body=body))
    return Closing(period=period, closed_at=at, by=by, definition=form.written, sha256=sha256)


def close_month(tx: Transaction, book: Book, form: str, period: Period, now: datetime, by: str) -> Closing:
    """Count and close a month in one transaction. For small journals and tests."""
    return settle_closing(tx, count_month_draft(tx, book, form, period, now), by)


def _keep(tx: Transaction, form: Form, period: Period, rows: Iterable[ClosedRow]) -> None:
    kept = [
        {
            "form": form.id,
            "period": period.text,
            "unit": row.unit,
            "revision": row.revision,
            "numbers": _json(row.cells.sums),
            "times": _json(closed.write_times(row.cells)),
            "facts": row.facts,
            "evidence": row.evidence,
            "made_at": row.made_at,
            "reason": row.reason,
            "diff": _json(row.diff),
        }
        for row in rows
    ]
    if kept:
        tx.execute(sa.insert(closed_row), kept)


def _carry(
    tx: Transaction, form: str, period: str, begun: Iterable[tuple[str, str]], ended: Iterable[tuple[str, str]]
) -> None:
    """Store which keys are carried from the end of *period* on, and which are carried no longer."""
    new = [{"form": form, "unit": unit, "key": key, "since": period, "until": None} for unit, key in begun]
    old = [{"of": unit, "named": key} for unit, key in ended]
    if old:
        these = sa.and_(
            carried.c.form == form,
            carried.c.unit == sa.bindparam("of"),
            carried.c.key == sa.bindparam("named"),
        )
        tx.execute(sa.delete(carried).where(these, carried.c.since == period), old)
        over = sa.or_(carried.c.until.is_(None), carried.c.until > period)
        tx.execute(sa.update(carried).where(these, carried.c.since < period, over).values(until=period), old)
    if new:
        tx.execute(sa.insert(carried), new)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_newest_rows(
    tx: Transaction, form: Form, periods: Collection[str], units: Collection[str] | None = None
) -> dict[str, dict[str, ClosedRow]]:
    """Return the rows of closed months in their newest revision, by period and unit; only those of *units* (None:
    all).
    """
    query = sa.select(closed_row).where(closed_row.c.form == form.id, closed_row.c.period.in_(list(periods)))
    if units is not None and len(units) <= 500:
        query = query.where(closed_row.c.unit.in_(list(units)))
    wanted = None if units is None else frozenset(units)
    found: dict[str, dict[str, ClosedRow]] = {period: {} for period in periods}
    for row in tx.execute(query.order_by(closed_row.c.revision)):
        if wanted is None or row.unit in wanted:
            found[row.period][row.unit] = _row(form, row)
    return found


def list_row_revisions(tx: Transaction, form: Form, period: str, unit: str) -> list[ClosedRow]:
    """Return every revision of a unit's row in a closed month, in order."""
    mine = sa.and_(closed_row.c.form == form.id, closed_row.c.period == period, closed_row.c.unit == unit)
    rows = tx.execute(sa.select(closed_row).where(mine).order_by(closed_row.c.revision))
    return [_row(form, row) for row in rows]


def _row(form: Form, row: sa.Row[tuple[object, ...]]) -> ClosedRow:
    return ClosedRow(
        unit=row.unit,
        cells=closed.read_cells(form, json.loads(row.numbers), json.loads(row.times)),
        facts=row.facts,
        evidence=row.evidence,
        revision=row.revision,
        made_at=row.made_at,
        reason=row.reason,
        diff=json.loads(row.diff),
    )


def find_differing_units(
    tx: Transaction,
    form: str,
    period: str,
    units: Iterable[str] | None = None,
) -> Iterator[str]:
    """Count the closed month *period* again and yield each unit whose row or carried keys differ from the stored ones.

    *units*: the units to count; None: all. Raises KeyError when the month is not closed.
    """
    made = read_closings(tx, form)
    facts.use_indexes(tx)
    number = _number(made, period)
    reader, at = _again(tx, made, number), made[number].closed_at
    kept = read_newest_rows(tx, reader.form, [period])[period]
    known = {*facts.list_fact_units(tx, reader.form.service), *reader.carrying(), *kept}
    for unit in sorted(known if units is None else units):
        row, keys, _ = reader.count_row(unit, at)
        held = kept.get(unit) or closed.make_empty_row(reader.form, unit)
        if not held.says(row or closed.make_empty_row(reader.form, unit)) or keys != reader.carried(unit, period):
            yield unit


def _number(made: Sequence[Closing], period: str) -> int:
    for number, each in enumerate(made):
        if each.period.text == period:
            return number
    raise KeyError(period)


def _again(tx: Transaction, made: Sequence[Closing], number: int) -> _Reader:
    this = made[number]
    return _Reader.of(tx, this.form, this.period, made[:number], list_closed_months(made[: number + 1]))


def revise_unit(
    tx: Transaction, form: str, period: str, unit: str, *, reason: str, by: str, now: datetime
) -> list[tuple[str, ClosedRow]]:
    """Count *unit* again in the closed month *period* and in each closed month after it. Write a new revision of every
    row that differs. *reason*: what is recorded as the reason; if it is empty, in both languages that it was counted
    again.

    Returns the new rows with their months. Appends an event for each. Idempotent: a second call finds no difference.
    Raises KeyError when the month is not closed.
    """
    transactions.lock_names(tx, [f"closing {form}"])
    reason = reason or " / ".join(say_both(_RECOUNTED))
    made = read_closings(tx, form)
    facts.use_indexes(tx)
    written: list[tuple[str, ClosedRow]] = []
    for number in range(_number(made, period), len(made)):
        this = made[number]
        reader = _again(tx, made, number)
        found, keys, _ = reader.count_row(unit, this.closed_at)
        held = reader.carried(unit, this.period.text)
        new, old = sorted(keys - held), sorted(held - keys)
        _carry(tx, form, this.period.text, [(unit, key) for key in new], [(unit, key) for key in old])
        before = read_newest_rows(tx, this.form, [this.period.text], [unit])[this.period.text].get(unit)
        after = found or closed.make_empty_row(this.form, unit)
        was = before or closed.make_empty_row(this.form, unit)
        if was.says(after):
            continue
        row = attrs.evolve(
            after,
            revision=was.revision + 1,
            made_at=max(now, this.closed_at),
            reason=reason,
            diff=closed.find_changed_cells(was, after),
        )
        _keep(tx, this.form, this.period, [row])
        body = {"form": form, "period": this.period.text, "unit": unit, "revision": row.revision, "reason": reason}
        events.append_events(tx, Event("report-row-revised", now, body={**body, "by": by, "diff": dict(row.diff)}))
        written.append((this.period.text, row))
    return written


def find_late_units(tx: Transaction, form: str) -> dict[str, str]:
    """Return the units with recently recorded facts that lie in a closed month, each with the first such month.

    Only for a form whose late facts make revisions (`late = "revision"`). Recently: since the closing before the last
    one. `find_differing_units` tells whether these facts are counted already.
    """
    made = read_closings(tx, form)
    if not made or made[-1].form.late is not LatePolicy.REVISION:
        return {}
    since, last, service = made[-2:][0].closed_at, made[-1].period.last, made[-1].form.service
    found: dict[str, str] = {}
    for unit in facts.list_fact_units(tx, service):
        mine = sa.and_(fact.c.service == service, fact.c.unit == unit, fact.c.at >= since, fact.c.day <= last)
        day = tx.scalar(sa.select(sa.func.min(fact.c.day)).where(mine))
        if day is not None:
            found[unit] = next(each.period.text for each in made if day <= each.period.last)
    return found
