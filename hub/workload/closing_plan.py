"""Which months of a form are closed, which may be closed next, and when; not how they are counted."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

import attrs
import sqlalchemy as sa

from hub.journal import duties
from hub.journal.fact_reading import fact_rows
from hub.report.counting import posting
from hub.report.counting.dates import find_day_begin
from hub.report.counting.marks import Silence, refuse_unreadable
from hub.report.counting.posting import ClosedMonths
from hub.report.form.book import Book
from hub.report.form.form import Form, FormMissing, LatePolicy, choose_form
from hub.report.form.period import Cuts, Period, Span, find_following_month, find_month_containing
from hub.services import is_internal_service
from hub.store.tables import closing as table
from hub.store.tables import link_day
from hub.store.transactions import Transaction
from hub.workload import attestations, month_world, silences

T = TypeVar("T")

#: A fact is committed a moment after its time `at`. A month therefore stays open for this long after its end.
GRACE = timedelta(minutes=2)


class TooEarly(Exception):
    """The month is not over, or ended less than `GRACE` ago. The argument is the time from which it may be closed."""


class OutOfTurn(Exception):
    """Another month must be closed first. The argument is that Period, or None where no month is to be closed yet."""


class FactsOutstanding(Exception):
    """Facts that were received before the closing are not written yet (hub.journal.duties). The argument is the
    outstanding duties.
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
    return attrs.evolve(book, cuts=read_kept_workdays(tx, book.cuts))


def read_kept_workdays(tx: Transaction, cuts: Cuts) -> Cuts:
    days = sa.select(table.c.period, table.c.first_day, table.c.last_day).distinct()
    with refuse_unreadable("closing"):
        return cuts.keeping(_make_month(*row) for row in tx.execute(days))


def find_next_month_to_close(tx: Transaction, book: Book, form: str) -> tuple[Form, Period] | None:
    """Return the month of *form* that must be closed next, and the version of the form in force then. None: no fact was
    recorded yet, or the form is no longer in force.

    The chain of closings begins with the month of the earliest fact of all services, or with the first month in which
    the form is in force.
    """
    made, cuts, forms = read_closings(tx, form), read_kept_workdays(tx, book.cuts), book.forms
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
