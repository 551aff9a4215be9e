"""Determines the period to which a fact is posted once months are closed, and the time windows in which the facts of a
period are found.

Knows which months of a form are closed, and since when. Knows neither cells nor storage.

A closed period does not change. A fact whose time lies in a closed month and that was recorded (`at`) after its closing
is *late*. It is posted to the first month that was still open when it was recorded. If the form says `late =
"revision"`, it stays where it is, and counting the closed month again finds it and makes a revision. The fact's own day
still decides whether it is early, on time, late or due.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import partial

import attrs

from hub.domain.model import Fact
from hub.domain.time_window import TimeWindow
from hub.report.counting.dates import find_fact_time
from hub.report.form.column import ColumnKind
from hub.report.form.form import Form, LatePolicy
from hub.report.form.period import Period, Span


@attrs.frozen
class ClosedMonth:
    """A closed month. A fact recorded at `closed_at` or later does not change it."""

    period: Period
    closed_at: datetime


@attrs.frozen
class ClosedMonths:
    """The closed months of one form, in order and without gaps. Empty: nothing is closed."""

    months: tuple[ClosedMonth, ...] = ()

    @property
    def end(self) -> datetime | None:
        """The end of the last closed month; None when nothing is closed."""
        return self.months[-1].period.end if self.months else None

    def closed(self, period: Period, at: datetime) -> "ClosedMonths":
        """Return these closed months with *period*, closed at *at*, added at the end."""
        return ClosedMonths((*self.months, ClosedMonth(period, at)))

    def before(self, day: date) -> "ClosedMonths":
        """Return the closed months that end before *day*."""
        return ClosedMonths(tuple(month for month in self.months if month.period.last < day))

    def find(self, period: Period) -> ClosedMonth | None:
        """Return the closing of the month *period*; None when it is open or not a month."""
        return next((month for month in self.months if month.period == period), None)


#: Nothing is closed.
OPEN = ClosedMonths()


def make_poster(form: Form, books: ClosedMonths = OPEN) -> Callable[[Fact], datetime]:
    """Return a function that gives the time at which a fact of *form* counts. With the closings of *books*, that time
    lies in a month that was open when the fact was recorded.
    """
    if not form.by_day:
        return _read_fact_time  # a month is closed after its end, so what is recorded after the closing lies in a later month
    if form.late is LatePolicy.REVISION or not books.months:
        return partial(find_fact_time, form)
    closings = [month.closed_at for month in books.months]
    ends = [month.period.end for month in books.months]

    def posted(fact: Fact) -> datetime:
        when, closed = find_fact_time(form, fact), bisect_right(closings, fact.at)
        return max(when, ends[closed - 1]) if closed else when

    return posted


def _read_fact_time(fact: Fact) -> datetime:
    return fact.at


def list_posting_windows(form: Form, period: Period, books: ClosedMonths) -> Sequence[TimeWindow]:
    """Return the time windows that contain the facts posted to *period*, and the facts that only their whole history
    decides.

    *books*: the closed months before *period*, and *period* itself if it is closed or being closed. `counting` needs
    the facts found, the other facts of the same keys, and the facts of the keys carried from the month before. Without
    a closed month before, all facts up to the period's end are found.
    """
    before = books.before(period.first).months
    closing = books.find(period)
    whole = not before or any(rule.kind is ColumnKind.HAPPENING for rule in form.rules)
    since, first = (None, None) if whole else (period.start, period.first)
    if not form.by_day:
        return (TimeWindow(since=since, until=period.end),)
    keeps = form.late is LatePolicy.REVISION
    known = closing.closed_at if closing is not None and not keeps else None
    found = [
        TimeWindow(dated=True, first=first, last=period.last, until=known),
        TimeWindow(dated=False, since=since, until=period.end),
    ]
    if before and not whole and not keeps:
        late = TimeWindow(dated=True, last=period.first - timedelta(days=1), since=before[-1].closed_at, until=known)
        found.append(late)
    return tuple(found)


def cut_period(first: date, last: date, text: str) -> Period:
    """Return the part from *first* to *last* of the period *text*: an open part beside its closed months."""
    return Period(text, Span.MONTH, last.year, 0, first, last)
