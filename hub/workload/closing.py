"""Closes the months of a form in order, and makes revisions of closed rows.

Knows which months are closed, and what a closing reads and writes. Does not know how facts are assigned to columns and
months (`hub.report`).

Reading and writing are separate, and both are done in short steps (`close_in_steps`). Counting is slow: each reading
step counts some units and ends after a bounded time, so that no snapshot of the database stays open for minutes. Each
writing step stores a bounded number of carried keys. What it stores means nothing until the last step, `settle_closing`,
writes the closing itself. A closing that is abandoned halfway therefore changes no number, and the next attempt corrects
the keys that it left.

At most one closing of a form writes: `begin_closing` stores a token, and each later step checks it. An attempt that was
superseded, or whose month was closed meanwhile, fails at its next step.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, TypeVar

import attrs
import sqlalchemy as sa

from hub.domain.model import Event, Fact
from hub.journal import code_lists, duties, events
from hub.journal.fact_reading import fact_rows, fact_search
from hub.journal.searching import search
from hub.keeping import fact_audit
from hub.report.counting import closed, posting
from hub.report.counting.closed import ClosedRow, have_same_rules
from hub.report.counting.dates import find_day_begin
from hub.report.counting.division import write_division
from hub.report.counting.marks import (
    LATE,
    RECOUNTED,
    LateMessage,
    LateMessages,
    Silence,
    name_late_messages,
    refuse_unreadable,
    write_own_reason,
)
from hub.report.counting.posting import ClosedMonths
from hub.report.form.book import Book
from hub.report.form.form import Form, FormMissing, LatePolicy, choose_form
from hub.report.form.period import Cuts, Period, Span, find_following_month, find_month_containing, parse_period
from hub.security.attesting import AttestationTrust
from hub.security.certificates import Signer
from hub.services import is_internal_service
from hub.store import transactions
from hub.store.tables import carried, closed_row, closing_draft, fact, link_day
from hub.store.tables import closing as table
from hub.store.transactions import Transaction
from hub.workload import attestations, glance_rows, month_world, silences, spikes
from hub.workload.attestations import Raw, StoredRows
from hub.workload.spikes import NO_SPIKES, FoundSpikes

T = TypeVar("T")

#: A fact is committed a moment after its time `at`. A month therefore stays open for this long after its end.
GRACE = timedelta(minutes=2)
#: A reading step begins no further unit after this time, in seconds.
BUDGET = 1.0
#: The maximum number of carried keys that one writing step stores: a few milliseconds of the only writer.
KEYS = 1_000
#: A closing that has written nothing for this long may be taken over by the automatic closing of another node.
LEASE = timedelta(minutes=10)
#: Rows are read in their newest revision.
NEWEST: Mapping[tuple[str, str, str], int] = MappingProxyType({})


class TooEarly(Exception):
    """The month is not over, or ended less than `GRACE` ago. The argument is the time from which it may be closed."""


class OutOfTurn(Exception):
    """Another month must be closed first. The argument is that Period, or None where no month is to be closed yet."""


class ClosingElsewhere(Exception):
    """Another process is closing a month of the form. The argument is the time until which it may be silent."""


class FactsOutstanding(Exception):
    """Facts that were received before the closing are not written yet (hub.journal.duties). The argument is the
    outstanding duties.
    """


class FactsForged(Exception):
    """Facts of a unit are not those that their events recorded: somebody edited the database. The arguments are form,
    month, unit and the findings (`fact_audit.FactFinding`).
    """


class LinkDaysOutstanding(Exception):
    """What nodes saw of the links on a day of the month is not written as a message yet (hub.monitoring.link_days)."""


@attrs.frozen(kw_only=True)
class Closing:
    """A closed month of a form."""

    period: Period
    closed_at: datetime
    by: str
    definition: str  #: the TOML text of the form in force, with its legal basis stated as of the last day
    sha256: str  #: the SHA-256 of the snapshot: of its rows in revision 1 (`closed.hash_closing`)

    @property
    def form(self) -> Form:
        """The form that was in force, read from its kept text."""
        with refuse_unreadable(f"{self.period.text} closing"):
            return attestations.read_closed_form(self.definition)


@attrs.frozen(kw_only=True)
class ClosingPlan:
    """A month that is to be closed, and what its closing depends on."""

    form: Form
    period: Period
    closed_at: datetime
    cuts: Cuts  #: the first and last days of months
    #: what the month keeps beside the counts (`month_world`); "" if it was kept before
    world: str = attrs.field(repr=False)
    after: str | None  #: the month that was closed last, such as `2026-11`; None: none is closed
    #: the token under which this closing writes; None: it is counted and written in one transaction
    token: str | None = None


@attrs.frozen(kw_only=True)
class CarriedKeys:
    """Changes to the keys that are carried, at most `KEYS`. Each list is a JSON array of [unit, key]."""

    begun: str = "[]"  #: the keys that are carried from the month on
    ended: str = "[]"  #: the keys that are carried no longer


@attrs.frozen(kw_only=True)
class CountedUnits:
    """Some units of a month that is being closed, as counted."""

    rows: tuple[ClosedRow, ...]
    keys: tuple[CarriedKeys, ...]
    left: tuple[str, ...]  #: the units that are not counted yet


@attrs.frozen(kw_only=True)
class MonthDraft:
    """The result of counting a month to be closed, not written yet."""

    plan: ClosingPlan
    rows: tuple[ClosedRow, ...]
    keys: tuple[CarriedKeys, ...] = ()  #: the changes that are not stored yet
    spikes: FoundSpikes = NO_SPIKES  #: the figures that are far from those of the months before


@attrs.frozen
class ClosingStep:
    """One step of a closing: a transaction that reads or writes."""

    writes: bool
    run: Callable[..., Any]  #: a function of a module, called with the transaction and the arguments
    arguments: tuple[Any, ...]


@attrs.frozen
class MonthClosed:
    """A month that `close_in_steps` has closed."""

    closing: Closing
    units: int  #: the number of its rows
    spikes: FoundSpikes  #: the figures that are far from those of the months before


def read_closings(tx: Transaction, form: str) -> tuple[Closing, ...]:
    """Return the closed months of the form *form*, in order. Raises Rejected with `closing-tampered` if one is unreadable."""
    with refuse_unreadable(f"{form} closing"):
        rows = tx.execute(sa.select(table).where(table.c.form == form).order_by(table.c.period))
        return tuple(
            Closing(
                period=_make_month(row.period, row.first_day, row.last_day),
                closed_at=row.closed_at,
                by=row.closed_by,
                definition=row.definition,
                sha256=row.sha256,
            )
            for row in rows
        )


def _make_month(text: str, first: date, last: date) -> Period:
    return Period(text, Span.MONTH, int(text[:4]), int(text[5:]), first, last)


def list_closed_months(made: Iterable[Closing]) -> ClosedMonths:
    """Return the closed months of these closings, for `hub.report.counting.posting`."""
    return ClosedMonths(tuple(posting.ClosedMonth(each.period, each.closed_at) for each in made))


def keep_closed_workdays(tx: Transaction, book: Book) -> Book:
    """Return *book* with the first and last days of the months that are closed, in any form. These days stay when the
    configured cut-off changes.
    """
    return attrs.evolve(book, cuts=_read_keeping(tx, book.cuts))


def _read_keeping(tx: Transaction, cuts: Cuts) -> Cuts:
    days = sa.select(table.c.period, table.c.first_day, table.c.last_day).distinct()
    with refuse_unreadable("closing"):
        return cuts.keeping(_make_month(*row) for row in tx.execute(days))


def find_next_month_to_close(tx: Transaction, book: Book, form: str) -> tuple[Form, Period] | None:
    """Return the month of *form* that must be closed next, and the version of the form in force then. None: no fact was
    recorded yet, or the form is no longer in force.

    The chain of closings begins with the month of the earliest fact of all services, or with the first month in which
    the form is in force.
    """
    made, cuts, forms = read_closings(tx, form), _read_keeping(tx, book.cuts), book.forms
    if made:
        period = find_following_month(made[-1].period, cuts)
    else:
        begun = fact_rows.read_earliest_fact_time(tx)
        if begun is None:
            return None
        period = find_month_containing(begun, cuts)
        since = [each.since for each in forms if each.id == form and each.since is not None]
        if since and all(each.since for each in forms if each.id == form) and min(since) > period.last:
            period = find_month_containing(_find_noon(min(since)), cuts)
    try:
        return choose_form(forms, form, period), period
    except FormMissing:
        return None  # the form is no longer in force


def _find_noon(day: date) -> datetime:
    return find_day_begin(day) + timedelta(hours=12)


def find_earliest_closing_time(period: Period) -> datetime:
    """Return the time from which *period* may be closed."""
    return period.end + GRACE


def find_automatic_closing_time(book: Book, period: Period, *, waiting: bool = False) -> datetime:
    """Return the time from which the hub closes *period* by itself: `GRACE` after the hour of the province's book.
    *waiting*: while partners were not heard.
    """
    by_itself = book.find_automatic_closing_time(period, waiting=waiting)
    return max(find_earliest_closing_time(period), by_itself + GRACE)


def find_awaited_partners(tx: Transaction, book: Book, now: datetime) -> Sequence[Silence]:
    """Return the partners for which the hub waits before it closes a month; empty: for none, or not any longer."""
    found = (find_next_month_to_close(tx, book, form) for form in list_counting_forms(book.forms))
    for month in {period.text: period for _, period in filter(None, found)}.values():
        due, at_last = (find_automatic_closing_time(book, month, waiting=waits) for waits in (False, True))
        if not due <= now < at_last or month_world.find_first_closing(tx, month.text) is not None:
            continue  # where one form of the month is closed, the others follow at once
        if silent := list_silences(tx, book, month):
            return silent
    return ()


def list_silences(tx: Transaction, book: Book, period: Period) -> Sequence[Silence]:
    """Return the partners of whose messages some may be missing in *period*: as the first closing of the month found
    them, or as they are now.
    """
    if month_world.find_first_closing(tx, period.text) is not None:
        return month_world.read_month_silences(tx, [period.last])
    return silences.find_silences(tx, book.tellers, book.workdays, period)


def list_counting_forms(forms: Iterable[Form]) -> list[str]:
    """Return the ids of the forms that count facts and are therefore closed: those that have a service."""
    return sorted({form.id for form in forms if form.service})


def begin_closing(
    tx: Transaction,
    book: Book,
    form: str,
    period: Period | None,
    now: datetime,
    token: str,
    *,
    takes_over: bool = False,
) -> ClosingPlan | None:
    """Begin to close the month *period* of *form* under *token* (None: the next one, if the hub may close it by itself by
    now). Closings of *form* that were begun under another token can write nothing any more.

    Returns None if *period* is None and no month is to be closed yet. Raises TooEarly, OutOfTurn (also when the month is
    closed already), FactsOutstanding, LinkDaysOutstanding; ClosingElsewhere if another closing of the form is under way and, without
    *takes_over*, its lease has not ended.
    """
    transactions.lock_names(tx, [f"closing {form}"])
    if period is None:
        found = find_next_month_to_close(tx, book, form)
        if found is None or now < find_automatic_closing_time(book, found[1]):
            return None
        period = found[1]
    held = tx.execute(sa.select(closing_draft).where(closing_draft.c.form == form)).one_or_none()
    if held is not None and held.token != token and held.until > now and not takes_over:
        raise ClosingElsewhere(held.until)
    plan = attrs.evolve(plan_closing(tx, book, form, period, now), token=token)
    tx.execute(sa.delete(closing_draft).where(closing_draft.c.form == form))
    tx.execute(sa.insert(closing_draft), [{"form": form, "token": token, "until": now + LEASE}])
    return plan


def abandon_closing(tx: Transaction, plan: ClosingPlan) -> None:
    """Let others close the month of *plan* at once."""
    mine = sa.and_(closing_draft.c.form == plan.form.id, closing_draft.c.token == plan.token)
    tx.execute(sa.delete(closing_draft).where(mine))


def plan_closing(tx: Transaction, book: Book, form: str, period: Period, now: datetime) -> ClosingPlan:
    """Return the plan to close *period*. Writes nothing.

    The forms of a month whose late facts are posted to the next one are closed as of the same time, that of the form that
    was closed first. So a fact recorded between two closings is late for both, and their reports agree. A form whose late
    facts make revisions counts what was recorded until its own closing. If facts that were received after the
    month could be closed are not written yet, `closed_at` is the time when the first of them was received. These facts
    are then late, so a sender that never stops sending cannot keep a month open. The hub's own messages are waited for.
    """
    made, first = read_closings(tx, form), month_world.find_first_closing(tx, period.text)
    found = find_next_month_to_close(tx, book, form)
    if found is None or found[1] != period:
        raise OutOfTurn(None if found is None else found[1])
    if now < find_earliest_closing_time(period):
        raise TooEarly(find_earliest_closing_time(period))
    if has_unwritten_link_days(tx, period):  # the first closing decides for all forms, so each waits for them
        raise LinkDaysOutstanding(period)
    chosen = found[0]
    closed_at = now if first is None or chosen.late is LatePolicy.REVISION else first.closed_at
    closed_at = max(closed_at, made[-1].closed_at) if made else closed_at
    if (left := duties.read_outstanding_duties(tx, services=[chosen.service], before=closed_at)).since is not None:
        own = is_internal_service(chosen.service)
        if own or left.since < find_earliest_closing_time(period) or (made and left.since < made[-1].closed_at):
            raise FactsOutstanding(left)
        closed_at = left.since
    after = made[-1].period.text if made else None
    world = month_world.write_month_world(tx, book, period) if first is None else ""
    return ClosingPlan(form=chosen, period=period, closed_at=closed_at, cuts=book.cuts, world=world, after=after)


def has_unwritten_link_days(tx: Transaction, period: Period) -> bool:
    """Return whether a node has stored what it saw of a link on a day of *period* or before it, and no message of that
    day is written yet.
    """
    found = tx.execute(sa.select(link_day.c.day).where(link_day.c.day <= period.last).limit(1)).first()
    return found is not None


def close_in_steps(
    plan: ClosingPlan, now: Callable[[], datetime], by: str, signer: Signer | None = None
) -> Generator[ClosingStep, Any, MonthClosed]:
    """Yield the steps that close the month of *plan*, and take the result of each. Returns what was closed. *signer*: as
    in `settle_closing`.

    The steps raise OutOfTurn when another closing was begun or written meanwhile, and FactsOutstanding as
    `settle_closing` does.
    """
    rows = list[ClosedRow]()
    left = yield ClosingStep(False, list_units_to_count, (plan,))
    while left:
        counted = yield ClosingStep(False, count_some_units, (plan, left))
        for keys in counted.keys:
            yield ClosingStep(True, carry_keys, (plan, keys, now()))
        rows += counted.rows
        left = counted.left
    found = yield ClosingStep(False, find_spikes, (plan, _list_figures(rows)))
    draft = MonthDraft(plan=plan, rows=tuple(rows), spikes=found)
    made = yield ClosingStep(True, settle_closing, (draft, by, signer))
    return MonthClosed(made, len(rows), found)


def count_month_draft(tx: Transaction, book: Book, form: str, period: Period, now: datetime) -> MonthDraft:
    """Count the month *period* of *form* at once and return the draft of its closing. Writes nothing.

    For small journals and tests. Raises TooEarly, OutOfTurn (also when the month is closed already), FactsOutstanding.
    """
    plan = plan_closing(tx, book, form, period, now)
    counted = count_some_units(tx, plan, list_units_to_count(tx, plan), float("inf"))
    found = find_spikes(tx, plan, _list_figures(counted.rows))
    return MonthDraft(plan=plan, rows=counted.rows, keys=counted.keys, spikes=found)


def _list_figures(rows: Iterable[ClosedRow]) -> dict[str, dict[str, int]]:
    return {row.unit: dict(row.cells.sums) for row in rows}


def find_spikes(tx: Transaction, plan: ClosingPlan, figures: Mapping[str, Mapping[str, int]]) -> FoundSpikes:
    """Return which of *figures*, by unit and column, are far from the mean of the closed months before that of *plan*.
    Only months that were closed by the same rules are compared. Writes nothing.
    """
    compared: list[str] = []
    for each in reversed(read_closings(tx, plan.form.id)):
        if len(compared) == plan.form.spikes.months or not have_same_rules(each.form, plan.form):
            break
        compared.insert(0, each.period.text)
    return spikes.compare_month(tx, plan.form, plan.period, figures, compared)


def list_units_to_count(tx: Transaction, plan: ClosingPlan) -> tuple[str, ...]:
    """Return the units that may have a row in the month of *plan*, by code."""
    reader = _Reader.to_close(tx, plan)
    return tuple(sorted({*fact_rows.list_fact_units(tx, plan.form.service), *reader.carrying()}))


def count_some_units(tx: Transaction, plan: ClosingPlan, units: Sequence[str], seconds: float = BUDGET) -> CountedUnits:
    """Count at least the first of *units* in the month of *plan*, and further ones for *seconds*. Writes nothing.

    Memory: the facts of some hundred keys, and the keys that are carried on. Raises OutOfTurn when a closing was
    written meanwhile.
    """
    fact_search.use_indexes(tx)
    reader = _Reader.to_close(tx, plan)
    names = code_lists.read_value_names(tx, plan.form.divides_by)
    rows, begun, ended = list[ClosedRow](), list[tuple[str, str]](), list[tuple[str, str]]()
    reached, left = split_by_time(units, seconds)
    for unit in reached:
        row, keys = reader.count_row(unit, plan.closed_at)
        held = reader.carried(unit, plan.period.text)
        if row is not None:
            if row.cells.division is not None:
                row.cells.division.name_values(names)
            rows.append(row)
        begun += ((unit, key) for key in sorted(keys - held))
        ended += ((unit, key) for key in sorted(held - keys))
    changes = [CarriedKeys(ended=pairs) for pairs in _write_pairs(ended)]
    changes += [CarriedKeys(begun=pairs) for pairs in _write_pairs(begun)]
    return CountedUnits(rows=tuple(rows), keys=tuple(changes), left=tuple(left))


def split_by_time(every: Sequence[T], seconds: float) -> tuple[Iterator[T], list[T]]:
    """Return an iterator over the first of *every* and those that are reached within *seconds*, and a list that holds
    the others when the iterator has ended.
    """
    left: list[T] = []

    def reached() -> Iterator[T]:
        until = time.monotonic() + seconds
        for number, each in enumerate(every):
            if number and time.monotonic() >= until:
                left.extend(every[number:])
                return
            yield each

    return reached(), left


def _write_pairs(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    for first in range(0, len(pairs), KEYS):
        yield _write_closing_json(pairs[first : first + KEYS])


@attrs.frozen
class _Reader:
    """Reads the facts from which the row of a unit in one month is counted."""

    tx: Transaction
    form: Form
    period: Period
    before: str | None  #: the closed month before it
    books: ClosedMonths
    search: fact_search.FactSearch

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
        search = fact_search.FactSearch.for_period(form.service, found, form.id, before if chained else None)
        return cls(tx, form, period, before, books, search)

    @classmethod
    def to_close(cls, tx: Transaction, plan: ClosingPlan) -> "_Reader":
        """Return the reader for the month of *plan*. Raises OutOfTurn when a closing was written meanwhile."""
        made = read_closings(tx, plan.form.id)
        _check_turn(made, plan, plan.cuts)
        books = list_closed_months(made).closed(plan.period, plan.closed_at)
        return cls.of(tx, plan.form, plan.period, made, books)

    def carrying(self) -> list[str]:
        """Return the units that carry a key into the month."""
        if self.before is None:
            return []
        mine = sa.and_(carried.c.form == self.form.id, fact_search.build_carried_condition(self.before))
        return list(self.tx.scalars(sa.select(carried.c.unit).where(mine).distinct()))

    def count_row(
        self,
        unit: str,
        now: datetime,
        tell: Callable[[Fact], None] = lambda _fact: None,
        until: datetime = datetime.max.replace(tzinfo=UTC),
    ) -> tuple[ClosedRow | None, set[str]]:
        """Return the row of *unit* (None: nothing counted), and the keys it carries on. *tell*: called with each fact
        that is read. *until*: only facts that were recorded before it are counted.
        """

        def heard() -> Iterator[list[Fact]]:
            for history in self.search.histories(self.tx, unit):
                known = [each for each in history if each.at < until]
                for each in known:
                    tell(each)
                yield known

        histories = heard()
        return closed.count_closed_row(self.form, histories, self.period, max(now, self.period.end), unit, self.books)

    def carried(self, unit: str, period: str) -> set[str]:
        """Return the keys that *unit* carries at the end of the month *period*, as stored. Of a month that is not closed
        yet, these are the keys carried into it, with the changes that an abandoned closing has stored.
        """
        return set(self.tx.scalars(_make_carried_query(self.form.id, period), {"of": unit}))


def _make_carried_query(form: str, period: str) -> sa.Select[Any]:
    """Return the query for the keys that the unit `of` carries at the end of the closed month *period*."""
    mine = sa.and_(
        carried.c.form == form, carried.c.unit == sa.bindparam("of"), fact_search.build_carried_condition(period)
    )
    return sa.select(carried.c.key).where(mine)


def _check_turn(made: Sequence[Closing], plan: ClosingPlan, cuts: Cuts) -> None:
    """Raise OutOfTurn unless the month of *plan* follows the closings *made*."""
    if (made[-1].period.text if made else None) != plan.after:
        raise OutOfTurn(find_following_month(made[-1].period, cuts) if made else None)


def carry_keys(tx: Transaction, plan: ClosingPlan, keys: CarriedKeys, now: datetime) -> None:
    """Store which keys are carried from the month of *plan* on, and which no longer, before the month is closed.

    No report reads these changes until the month is closed. Idempotent. Raises OutOfTurn when another closing was begun
    or written.
    """
    transactions.lock_names(tx, [f"closing {plan.form.id}"])
    _check_turn(read_closings(tx, plan.form.id), plan, plan.cuts)
    mine = sa.and_(closing_draft.c.form == plan.form.id, closing_draft.c.token == plan.token)
    if tx.execute(sa.update(closing_draft).where(mine).values(until=now + LEASE)).rowcount != 1:
        raise OutOfTurn(plan.period)
    _carry_keys(tx, plan.form.id, plan.period.text, keys)


def _require_current_plan(tx: Transaction, plan: ClosingPlan, made: Sequence[Closing]) -> None:
    """Raise FactsOutstanding, or OutOfTurn if other closings than those *made* when *plan* was made changed the turn."""
    form, period, at = plan.form, plan.period, plan.closed_at
    if left := duties.read_outstanding_duties(tx, services=[form.service], before=at):
        raise FactsOutstanding(left)
    cuts = _read_keeping(tx, plan.cuts)
    _check_turn(made, plan, cuts)
    if parse_period(period.text, cuts) != period:
        raise OutOfTurn(
            parse_period(period.text, cuts)
        )  # another form's month was closed meanwhile, with another cut-off
    if tx.scalar(sa.select(closing_draft.c.token).where(closing_draft.c.form == form.id)) != plan.token:
        raise OutOfTurn(period)
    if plan.world and month_world.find_first_closing(tx, period.text) is not None:
        # another form was closed meanwhile: begun again, this one is closed as of the same time
        raise OutOfTurn(period)


def settle_closing(tx: Transaction, draft: MonthDraft, by: str, signer: Signer | None = None) -> Closing:
    """Write the closing of a month. It is final and written once: if the month was closed meanwhile, return that
    closing.

    *signer*: the hub's own key, which attests what was written; None: only in a journal whose attestations have not
    begun. Raises Unready if it cannot be used now; OutOfTurn when other closings were begun or written meanwhile, FactsOutstanding when facts received before
    `closed_at` are not written yet.
    """
    plan = draft.plan
    form, period, at = plan.form, plan.period, plan.closed_at
    # the lock "closing": a month has the same days in all forms
    transactions.lock_names(tx, ["closing", f"closing {form.id}"])
    made = read_closings(tx, form.id)
    for each in made:
        if each.period.text == period.text:
            return each
    _require_current_plan(tx, plan, made)
    tx.execute(sa.delete(closing_draft).where(closing_draft.c.form == form.id))
    sha256 = closed.hash_closing(form, period, draft.rows)
    world = month_world.keep_month_world(tx, period, at, plan.world)
    named = {"form": form.id, "period": period.text}
    days = {"first_day": period.first, "last_day": period.last}
    kept = {"closed_at": at, "closed_by": by, "definition": form.written, "sha256": sha256}
    tx.execute(sa.insert(table), [named | days | kept])
    _keep_rows(tx, form, period, [attrs.evolve(row, made_at=at) for row in draft.rows])
    for keys in draft.keys:
        _carry_keys(tx, form.id, period.text, keys)
    attested = (
        {} if signer is None else {"attestation": attestations.attest_closing(tx, signer, form.id, period.text, at)}
    )
    body = {
        **named,
        "by": by,
        "units": len(draft.rows),
        "facts": sum(row.facts for row in draft.rows),
        "sha256": sha256,
        "world": world,
        **attested,
    }
    if silent := month_world.read_month_silences(tx, [period.last]):
        body["silences"] = [f"{each.partner} {each.kind}" for each in silent]
    events.append_events(tx, Event("period-closed", at, body=body))
    if draft.spikes.count:
        events.append_events(tx, spikes.make_spikes_event(form.id, period.text, draft.spikes, at, by))
    return Closing(period=period, closed_at=at, by=by, definition=form.written, sha256=sha256)


def close_month(
    tx: Transaction, book: Book, form: str, period: Period, now: datetime, by: str, signer: Signer | None = None
) -> Closing:
    """Count and close a month in one transaction. For small journals and tests."""
    return settle_closing(tx, count_month_draft(tx, book, form, period, now), by, signer)


def _keep_rows(tx: Transaction, form: Form, period: Period, rows: Iterable[ClosedRow]) -> None:
    kept = [
        {
            "form": form.id,
            "period": period.text,
            "unit": row.unit,
            "revision": row.revision,
            "numbers": _write_closing_json(row.cells.sums),
            "times": _write_closing_json(closed.write_times(row.cells)),
            "facts": row.facts,
            "evidence": row.evidence,
            "made_at": row.made_at,
            "reason": row.reason,
            "diff": _write_closing_json(row.diff),
            "division": None if row.cells.division is None else _write_closing_json(write_division(row.cells.division)),
            "made_by": row.by,
            "late": _write_late(row.late),
        }
        for row in rows
    ]
    if kept:
        tx.execute(sa.insert(closed_row), kept)
    glance_rows.remove_sheets(tx, period)


#: How each database reads a JSON array of [unit, key].
_PAIRS = {
    "sqlite": "SELECT json_extract(value, '$[0]') AS unit, json_extract(value, '$[1]') AS \"key\" FROM json_each(:pairs)",
    "postgresql": 'SELECT value ->> 0 AS unit, value ->> 1 AS "key" FROM json_array_elements(CAST(:pairs AS json))',
}
_THESE = 'form = :form AND (unit, "key") IN (SELECT unit, "key" FROM ({pairs}) AS pair)'
_UNCARRY = f"DELETE FROM carried WHERE since = :period AND {_THESE}"  # noqa: S608 - constants
_END = f"""UPDATE carried SET "until" = :period
    WHERE since < :period AND ("until" IS NULL OR "until" > :period) AND {_THESE}"""  # noqa: S608 - constants
_BEGIN = """INSERT INTO carried (form, unit, "key", since)
    SELECT :form, unit, "key", :period FROM ({pairs}) AS pair WHERE TRUE ON CONFLICT DO NOTHING"""


def _carry_keys(tx: Transaction, form: str, period: str, keys: CarriedKeys) -> None:
    """Store which keys are carried from the end of *period* on, and which are carried no longer.

    The database reads the keys from their JSON text. Python handles none of them, so the only writer does not hold the
    interpreter's lock for them.
    """
    for statements, pairs in (((_UNCARRY, _END), keys.ended), ((_BEGIN,), keys.begun)):
        for statement in statements if pairs != "[]" else ():
            said = {"form": form, "period": period, "pairs": pairs}
            tx.execute(sa.text(statement.format(pairs=_PAIRS[tx.dialect.name])), said)


def _write_closing_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_newest_rows(
    tx: Transaction,
    form: Form,
    periods: Collection[str],
    units: Collection[str] | None = None,
    limits: Mapping[tuple[str, str, str], int] = NEWEST,
) -> dict[str, dict[str, ClosedRow]]:
    """Return the rows of closed months in their newest revision, by period and unit; only those of *units* (None:
    all). *limits*: by form, month and unit, the newest revision of a row that is read. Raises Rejected with
    `closing-tampered` if one is unreadable.
    """
    return choose_newest_rows(form, attestations.read_stored_rows(tx, form.id, periods, units), limits)


def choose_newest_rows(
    form: Form, stored: StoredRows, limits: Mapping[tuple[str, str, str], int] = NEWEST
) -> dict[str, dict[str, ClosedRow]]:
    """Return the newest revision, within *limits*, of each of the *stored* rows, by period and unit. Raises Rejected with
    `closing-tampered` if one is unreadable.
    """
    found = dict[str, dict[str, ClosedRow]]()
    with refuse_unreadable(f"{form.id} {' '.join(stored)} row"):
        for period, rows in stored.items():
            newest = dict[str, int]()
            for unit, revision in rows:
                if newest.get(unit, 0) < revision <= limits.get((form.id, period, unit), revision):
                    newest[unit] = revision
            found[period] = {name[0]: _read_row(form, name, rows[name]) for name in newest.items()}
    return found


def count_revised_rows(tx: Transaction, form: str) -> dict[str, int]:
    """Return how many units' rows were revised in each closed month of *form*. Months without revisions are absent."""
    units = sa.func.count(closed_row.c.unit.distinct())
    revised = sa.and_(closed_row.c.form == form, closed_row.c.revision > 1)
    rows = tx.execute(sa.select(closed_row.c.period, units).where(revised).group_by(closed_row.c.period))
    return {row[0]: row[1] for row in rows}


def read_row_revisions(
    tx: Transaction, form: Form, asked: Collection[tuple[str, str, int]]
) -> dict[tuple[str, str, int], ClosedRow]:
    """Return the rows of closed months that *asked* names by month, unit and revision. Rows that do not exist are left
    out. *asked*: some hundred at most.
    """
    periods, units = {period for period, _, _ in asked}, {unit for _, unit, _ in asked}
    stored = attestations.read_stored_rows(tx, form.id, periods, units)
    with refuse_unreadable(f"{form.id} row"):
        return {
            (period, *name): _read_row(form, name, raw)
            for period, rows in stored.items()
            for name, raw in rows.items()
            if (period, *name) in asked
        }


def _read_row(form: Form, name: tuple[str, int], raw: Raw) -> ClosedRow:
    """Return the row that stands as *raw* in the database, in the order of `attestations.ROW_COLUMNS`."""
    numbers, times, facts, evidence, made_at, reason, diff, division, by, late = raw
    unit, revision = name
    return ClosedRow(
        unit=unit,
        cells=closed.read_cells(
            form, json.loads(numbers), json.loads(times), json.loads(division) if division else None
        ),
        facts=facts,
        evidence=evidence,
        revision=revision,
        made_at=datetime.fromisoformat(made_at),
        reason=reason,
        diff=json.loads(diff),
        by=by,
        late=_read_late(late),
    )


def _write_late(late: LateMessages) -> str:
    return _write_closing_json(
        [[[each.id, each.partner, each.at.isoformat(), each.facts] for each in late.named], late.more]
    )


def _read_late(text: str) -> LateMessages:
    named, more = json.loads(text)
    found = (
        LateMessage(id=id_, partner=partner, at=datetime.fromisoformat(at), facts=facts)
        for id_, partner, at, facts in named
    )
    return LateMessages(named=tuple(found), more=more)


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
    fact_search.use_indexes(tx)
    number = _find_number(made, period)
    reader, at = _reread_closing(tx, made, number), made[number].closed_at
    kept = read_newest_rows(tx, reader.form, [period])[period]
    for unit in list_units_to_recount(tx, form, period) if units is None else units:
        row, keys = reader.count_row(unit, at)
        held = kept.get(unit) or closed.make_empty_row(reader.form, unit)
        if not held.says(row or closed.make_empty_row(reader.form, unit)) or keys != reader.carried(unit, period):
            yield unit


def list_units_to_recount(tx: Transaction, form: str, period: str) -> list[str]:
    """Return the units that may have a row in the closed month *period*, by code. Raises KeyError when it is not
    closed.
    """
    made = read_closings(tx, form)
    reader = _reread_closing(tx, made, _find_number(made, period))
    kept = read_newest_rows(tx, reader.form, [period])[period]
    return sorted({*fact_rows.list_fact_units(tx, reader.form.service), *reader.carrying(), *kept})


def _find_number(made: Sequence[Closing], period: str) -> int:
    for number, each in enumerate(made):
        if each.period.text == period:
            return number
    raise KeyError(period)


def _reread_closing(tx: Transaction, made: Sequence[Closing], number: int) -> _Reader:
    this = made[number]
    return _Reader.of(tx, this.form, this.period, made[:number], list_closed_months(made[: number + 1]))


def _count_again(tx: Transaction, reader: _Reader, this: Closing, unit: str, tell: Callable[[Fact], None]) -> ClosedRow:
    """Return the row of *unit* as it is counted now, and write the keys that the month carries over."""
    found, keys = reader.count_row(unit, this.closed_at, tell)
    held = reader.carried(unit, this.period.text)
    new, old = ([(unit, key) for key in sorted(some)] for some in (keys - held, held - keys))
    _carry_keys(
        tx, this.form.id, this.period.text, CarriedKeys(begun=_write_closing_json(new), ended=_write_closing_json(old))
    )
    after = found or closed.make_empty_row(this.form, unit)
    if after.cells.division is not None:
        after.cells.division.name_values(code_lists.read_value_names(tx, this.form.divides_by))
    return after


def _make_revision(was: ClosedRow, after: ClosedRow) -> ClosedRow:
    """Return *after* as the revision that follows *was*."""
    return attrs.evolve(after, revision=was.revision + 1, diff=closed.find_changed_cells(was, after))


def _write_revision(
    tx: Transaction, this: Closing, unit: str, row: ClosedRow, signer: Signer | None, now: datetime
) -> None:
    _keep_rows(tx, this.form, this.period, [row])
    body = {"form": this.form.id, "period": this.period.text, "unit": unit, "revision": row.revision, "by": row.by}
    if signer is not None:
        name = (unit, row.revision)
        body["attestation"] = attestations.attest_rows(tx, signer, this.form.id, this.period.text, [name], now)
    body |= {"reason": row.reason, "diff": dict(row.diff), "late": [each.id for each in row.late.named]}
    events.append_events(tx, Event("report-row-revised", now, body=body))


def revise_unit(
    tx: Transaction,
    form: str,
    period: str,
    unit: str,
    *,
    reason: str,
    by: str,
    now: datetime,
    signer: Signer | None = None,
    trust: AttestationTrust | None = None,
) -> list[tuple[str, ClosedRow]]:
    """Count *unit* again in the closed month *period* and in each closed month after it. Write a new revision of every
    row that differs. *reason*: what is recorded as the reason; if it is empty, in both languages that facts came late
    or, where none came, that it was counted again. The messages with the late facts are recorded with it.

    A row that somebody edited in the database is no reason for a revision: it is first restored as it is attested
    (`attestations.restore_attested`). *signer*: the hub's own key, which attests the new rows, as in `settle_closing`.
    *trust*: by which attestations are believed.

    Returns the new rows with their months. Appends an event for each. Idempotent: a second call finds no difference.
    Raises KeyError when the month is not closed; FactsForged if the facts of the unit are not those of their events.
    """
    transactions.lock_names(tx, [f"closing {form}"])
    made = read_closings(tx, form)
    fact_search.use_indexes(tx)
    written: list[tuple[str, ClosedRow]] = []
    for number in range(_find_number(made, period), len(made)):
        this = made[number]
        attestations.restore_attested(tx, trust, form, this.period.text, by, now, [unit])
        reader, late = _reread_closing(tx, made, number), list[Fact]()
        before = read_newest_rows(tx, this.form, [this.period.text], [unit])[this.period.text].get(unit)
        since = before.made_at if before is not None and before.made_at is not None else this.closed_at
        tell = _note_late_facts(reader, since, late)
        after = _count_again(tx, reader, this, unit, tell)
        was = before or closed.make_empty_row(this.form, unit)
        if was.says(after):
            continue
        if forged := _find_forged_facts(tx, reader, unit, this, was, since, late):
            raise FactsForged(form, this.period.text, unit, forged)
        came = _name_late_messages(tx, Counter(each.message for each in late))
        said = reason or write_own_reason(LATE if came.named else RECOUNTED)
        row = attrs.evolve(_make_revision(was, after), made_at=max(now, this.closed_at), reason=said, by=by, late=came)
        _write_revision(tx, this, unit, row, signer, now)
        written.append((this.period.text, row))
    return written


def _find_forged_facts(
    tx: Transaction,
    reader: _Reader,
    unit: str,
    this: Closing,
    was: ClosedRow,
    since: datetime,
    late: Sequence[Fact],
) -> Sequence[fact_audit.FactFinding]:
    """Return what is forged among the facts because of which the row *was* of *unit* is to be revised.

    If the facts from before *since* still give that row, only the *late* ones can be forged; else all of the unit are
    compared with their events. In a journal whose attestations have not begun none is.
    """
    if not attestations.has_begun(tx):
        return ()
    before, _ = reader.count_row(unit, this.closed_at, until=since)
    if was.says(before or closed.make_empty_row(this.form, unit)):
        return fact_audit.compare_given_facts(tx, late)
    return fact_audit.find_forged_facts_of_unit(tx, unit)


def _note_late_facts(reader: _Reader, since: datetime, late: list[Fact]) -> Callable[[Fact], None]:
    """Return a function that lists in *late* the facts that came from *since* on and belong in the month
    of *reader* or before it.
    """
    post, end = posting.make_poster(reader.form, reader.books), reader.period.end

    def tell(each: Fact) -> None:
        if each.at >= since and post(each) < end:
            late.append(each)

    return tell


def _name_late_messages(tx: Transaction, late: Mapping[str, int]) -> LateMessages:
    found = search.read_message_origins(tx, late)
    return name_late_messages(
        LateMessage(id=each, partner=found[each][0], at=found[each][1], facts=count) for each, count in late.items()
    )


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
    for unit in fact_rows.list_fact_units(tx, service):
        mine = sa.and_(fact.c.service == service, fact.c.unit == unit, fact.c.at >= since, fact.c.day <= last)
        day = tx.scalar(sa.select(sa.func.min(fact.c.day)).where(mine))
        if day is not None:
            found[unit] = next(each.period.text for each in made if day <= each.period.last)
    return found
