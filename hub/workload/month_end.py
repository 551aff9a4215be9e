"""Closes ended months automatically once a day, and makes the revisions required by late facts.

Knows the time of day and how often to look. `hub.workload.closing` knows how to close. Counting runs in a separate
process, one form and month after the other. A stop ends that process, and the next start counts that month from the
beginning.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

import attrs
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from hub.domain.errors import ConfigurationFault, Unready
from hub.domain.local_time import find_local_day
from hub.domain.model import HUB
from hub.journal import duties
from hub.report.form.book import Book, read_shipped_book
from hub.runtime.periodic import PeriodicService
from hub.store import transactions
from hub.store.group_commit import Journal
from hub.store.report_pool import ReportReader
from hub.store.transactions import Transaction
from hub.workload import closing
from hub.workload.closing import MonthDraft

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()


class _Stopped(Exception):
    """The hub is stopping."""


@attrs.define(eq=False)
class MonthEnd(PeriodicService):
    """Closes the months that can be closed, in order: once a day, two minutes after midnight in Hà Nội, and after a
    start.
    """

    every, at_once = 60.0, False

    _journal: Journal  #: reads and writes closings
    _clock: IReactorTime  #: the reactor, which times the looks
    _now: Callable[[], datetime]  #: returns the current time in UTC
    _book: Callable[[], Book] = read_shipped_book  #: returns the province's forms and calendar
    _done: object = attrs.field(default=None, init=False)  #: the day whose work is done
    #: form and month that was counted again on the day after its closing
    _checked: set[tuple[str, str]] = attrs.field(factory=set, init=False)
    _begun: datetime | None = attrs.field(default=None, init=False)  #: when the day's work was first tried
    _stopping: bool = attrs.field(default=False, init=False)

    def startService(self) -> None:
        """Start looking once a minute."""
        self._stopping = False
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Stop looking, and cancel the counting that is running."""
        self._stopping = True
        return super().stopService()

    async def run_once(self) -> None:
        """Do the day's work, unless it is done."""
        today = find_local_day(self._now() - closing.GRACE)
        if today == self._done:
            return
        self._begun = self._begun or self._now()
        try:
            names = await self._journal.read(lambda _tx: closing.list_counting_forms(self._book().forms))
            open_still = [name for name in names if not await self._close_all(name)]
        except _Stopped:
            return
        except CancelledError:
            raise
        except (Unready, ConfigurationFault) as fault:
            log.warning(
                "months-not-closed", error=str(fault)
            )  # tried again at the next run, which reads forms and calendar again
            return
        except Exception:
            log.exception("months-not-closed")
            return
        if not open_still:
            self._done, self._begun = today, None

    async def _close_all(self, form: str) -> bool:
        """Do the day's work for *form*. Return False if facts received before are not written yet; then the next run
        tries again.
        """
        try:
            await self._take_up_late(form)
            while await self._close_next(form):
                pass
        except closing.FactsOutstanding as early:
            log.warning("months-not-closed", error=f"{form}: facts-outstanding: {early}")
            return False
        return True

    async def _close_next(self, form: str) -> bool:
        """Close the next month of *form*. Return whether there was a month to close."""
        draft = await self._read(_work_out, self._book(), form, self._now())
        if draft is None:
            return False
        try:
            made = await self._journal.write(closing.settle_closing, draft, HUB)
        except closing.OutOfTurn:
            return True  # a person closed it meanwhile; the next call finds another month
        log.info("period-closed", form=form, period=made.period.text, units=len(draft.rows), sha256=made.sha256)
        return True

    async def _take_up_late(self, form: str) -> None:
        """Make the revisions required by late facts, and count a closed month again on the day after its closing.

        The second count finds facts whose transaction was still running at the closing and whose time lies before it.
        """
        found, recounted = await self._read(_find_differing, form, self._now(), self._begun, frozenset(self._checked))
        self._checked |= recounted
        for unit, period in found:
            written = await self._journal.write(
                closing.revise_unit, form, period, unit, reason="", by=HUB, now=self._now()
            )
            for text, row in written:
                log.warning("report-row-revised", form=form, period=text, unit=unit, revision=row.revision)

    async def _read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the counting *step* in a separate process. A stop of the service ends it."""
        reader = ReportReader("?closing", lambda: not self._stopping, longest=None)
        try:
            found = await self._journal.read_report(reader, step, *args, **kwargs)
        except CancelledError:
            if self._stopping:
                raise _Stopped from None
            raise
        if self._stopping:
            raise _Stopped
        return found


def _work_out(tx: Transaction, book: Book, form: str, now: datetime) -> MonthDraft | None:
    found = closing.find_next_month_to_close(tx, book, form)
    if found is None or now < closing.find_earliest_closing_time(found[1]):
        return None
    if not transactions.try_lock_names(tx, [f"counting {form}"]):
        return None  # another node is counting
    return closing.count_month_draft(tx, book, form, found[1], now)


def _find_differing(
    tx: Transaction, form: str, now: datetime, begun: datetime | None, checked: frozenset[tuple[str, str]]
) -> tuple[list[tuple[str, str]], set[tuple[str, str]]]:
    """Return the units whose rows differ, each with its month; and the months that were counted again in full, in
    addition to *checked*.

    Raises FactsOutstanding if facts received before the start of the day's work (*begun*) are not written yet.
    """
    made = closing.read_closings(tx, form)
    if not made:
        return [], set()
    if left := duties.read_outstanding_duties(
        tx, services=[made[-1].form.service], before=begun
    ):  # what arrives later is left to the next day
        raise closing.FactsOutstanding(left)
    last, found, recounted = made[-1].period.text, dict[str, str](), set[tuple[str, str]]()
    if (form, last) not in checked and find_local_day(made[-1].closed_at) != find_local_day(now):
        found = dict.fromkeys(closing.find_differing_units(tx, form, last), last)
        recounted = {(form, last)}
    for unit, period in closing.find_late_units(tx, form).items():
        for each in made:
            if each.period.text >= period and any(closing.find_differing_units(tx, form, each.period.text, [unit])):
                found[unit] = each.period.text
                break
    return sorted(found.items()), recounted
