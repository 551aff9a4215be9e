"""Closes ended months automatically once a day, and makes the revisions required by late facts.

Knows the time of day and how often to look. `hub.workload.closing` knows how to close. Counting runs in a separate
process of the lowest priority, one form and month after the other, in steps of about a second. Its results are written
by the journal's writer in steps of milliseconds. A stop ends that process, and the next start counts that month from
the beginning.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

import attrs
import structlog
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from hub.config.reports import CLOSE_HOUR
from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.domain.model import HUB
from hub.journal import duties, facts
from hub.journal.sequels import handovers
from hub.journal.sequels.handovers import Handover
from hub.keeping import document_moves, dossier_moves, mail_moves
from hub.report.counting.marks import Silence
from hub.report.form.book import Book, read_shipped_book
from hub.runtime.periodic import PeriodicService
from hub.security.certificates import Signer
from hub.store.batch_commit import Journal
from hub.store.report_pool import ReportReader
from hub.store.transactions import Transaction
from hub.units.deeds import Estate
from hub.workload import closing, closing_plan, row_revisions
from hub.workload.closing import MonthClosed
from hub.workload.closing_plan import ClosingPlan

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()

#: While a month waits for partners, they are looked for again after this time.
_PATIENCE = timedelta(minutes=10)
#: What is moved by deeds.
_MOVED = (Estate.DOSSIERS, Estate.DOCUMENTS, Estate.MAIL)


async def _write_nothing() -> bool:
    return False


@attrs.define(eq=False)
class MonthEnd(PeriodicService):
    """Closes the months that are to be closed, in order: once a day, two minutes after the hour of `[reports] close` in
    Hà Nội, and after a start. Before that, and when the registry says that another unit has ended or a deed that a part of
    one passes, it moves the open dossiers, the open documents and the mail accounts to those that continue the work.
    """

    every, at_once = 60.0, False
    failure = "months-not-closed"

    _journal: Journal  #: reads and writes closings
    _clock: IReactorTime  #: the reactor, which times the looks
    _now: Callable[[], datetime]  #: returns the current time in UTC
    _book: Callable[[], Book] = read_shipped_book  #: returns the province's forms and calendar
    _hour: Callable[[], int] = lambda: CLOSE_HOUR  #: returns the hour of `[reports] close`
    #: writes what the hub itself has to tell of past days, before a month is closed; returns whether there was anything
    _write_past_days: Callable[[], Awaitable[bool]] = _write_nothing
    _signer: Callable[[], Signer | None] = lambda: None  #: returns the hub's own key (`closing.settle_closing`)
    _done: object = attrs.field(default=None, init=False)  #: the day whose work is done
    #: form and month that was counted again on the day after its closing
    _checked: set[tuple[str, str]] = attrs.field(factory=set, init=False)
    #: what passes of dossiers, documents and mail, whose stock was moved
    _moved: Mapping[Estate, Sequence[Handover]] = attrs.field(factory=dict, init=False)
    _begun: datetime | None = attrs.field(default=None, init=False)  #: when the day's work was first tried
    _awaited: Sequence[Silence] = attrs.field(default=(), init=False)  #: the partners that are waited for
    _patient_until: datetime | None = attrs.field(default=None, init=False)  #: when to look for them again

    async def work(self) -> None:
        """Do the day's work, unless it is done."""
        if self._patient_until is not None and self._now() < self._patient_until:
            return
        today = find_local_day(self._now() - closing_plan.GRACE - timedelta(hours=self._hour()))
        await self._move_stock(again=today != self._done)
        if today == self._done:
            return
        self._begun = self._begun or self._now()
        if await self._write_past_days():
            return  # closed at the next run, later than what was written now
        if await self._close_forms():
            self._done, self._begun = today, None

    async def _close_forms(self) -> bool:
        """Do the day's work for each form. Return False if something is left for the next run."""
        if await self._waits():
            return False
        names = await self._journal.read(lambda _tx: closing_plan.list_counting_forms(self._book().forms))
        return not [name for name in names if not await self._close_all(name)]

    async def _waits(self) -> bool:
        """Return whether the next month must not be closed yet, for partners that were not heard or not read."""
        # the step reads the book, so that the reactor does not
        awaited = await self._journal.read(lambda tx: closing_plan.find_awaited_partners(tx, self._book(), self._now()))
        if awaited and awaited != self._awaited:
            partners = " ".join(f"{each.partner}:{each.kind}" for each in awaited)
            log.warning("month-waits", period=awaited[0].period, partners=partners)
        self._awaited = awaited
        self._patient_until = self._now() + _PATIENCE if awaited else None
        return bool(awaited)

    async def _move_stock(self, *, again: bool) -> None:
        """Move the open dossiers and documents and the mail accounts of units that have ended, and the open dossiers of
        parts; without *again*, only if others pass.
        """
        passing = await self._journal.read(handovers.list_handovers, find_local_day(self._now()), *_MOVED)
        if passing == self._moved and not again:
            return
        for each in passing[Estate.DOSSIERS]:
            if many := await self._move_dossiers(each):
                log.info("dossiers-moved", unit=each.unit, successors=" ".join(each.heirs), dossiers=many)
        for each in passing[Estate.DOCUMENTS]:
            if many := await self._move_documents(each):
                log.info("documents-moved", unit=each.unit, successors=" ".join(each.heirs), documents=many)
        if accounts := await self._journal.read(mail_moves.list_account_moves, self._now()):
            await self._journal.write(facts.record_facts, accounts)
            log.info("accounts-moved", units=" ".join(each.unit for each in accounts))
        self._moved = passing

    async def _move_dossiers(self, of: Handover) -> int:
        """Move the dossiers that pass from one unit, some at a time. Return their number."""
        many, after, more = 0, "", True
        while more:
            keys, after = await self._read(dossier_moves.list_dossiers_to_move, of, after)
            more = bool(after)
            for first in range(0, len(keys), dossier_moves.SOME):
                some = keys[first : first + dossier_moves.SOME]
                many += await self._journal.write(dossier_moves.move_dossiers, of, some, self._now())
        return many

    async def _move_documents(self, of: Handover) -> int:
        """Move the open documents of one unit, some at a time. Return their number."""
        many = 0
        while keys := await self._read(document_moves.list_documents_to_move, of.unit):
            moved = await self._journal.write(document_moves.move_documents, of, keys, self._now())
            many += moved
            if not moved:
                break
        return many

    async def _close_all(self, form: str) -> bool:
        """Do the day's work for *form*. Return False if facts received before are not written yet, if the month has link
        days that cannot be written yet, or if another process is closing the form; then the next run tries again.
        """
        try:
            await self._take_up_late(form)
            while await self._close_next(form):
                pass
        except closing_plan.FactsOutstanding as early:
            log.warning("months-not-closed", error=f"{form}: facts-outstanding: {early}")
            return False
        except (closing.ClosingElsewhere, closing_plan.LinkDaysOutstanding):
            return False
        return True

    async def _close_next(self, form: str) -> bool:
        """Close the next month of *form*. Return whether there was a month to close."""
        plan = await self._journal.write(
            closing.begin_closing, self._book(), form, None, self._now(), make_id(self._now())
        )
        if plan is None:
            return False
        try:
            made = await self._close(plan)
        except closing_plan.OutOfTurn:
            return True  # a person closed it meanwhile; the next call finds another month
        except Exception:
            await self._journal.write(closing.abandon_closing, plan)
            raise
        said = made.closing
        log.info("period-closed", form=form, period=said.period.text, units=made.units, sha256=said.sha256)
        if made.spikes.count:
            log.warning("unusual-figures", form=form, period=said.period.text, unusual=made.spikes.count)
        return True

    async def _close(self, plan: ClosingPlan) -> MonthClosed:
        """Take the steps that close the month of *plan*."""
        steps, found = closing.close_in_steps(plan, self._now, HUB, self._signer()), None
        while True:
            try:
                step = steps.send(found)
            except StopIteration as end:
                made: MonthClosed = end.value
                return made
            run: Callable[..., Any] = self._journal.write if step.writes else self._read
            found = await run(step.run, *step.arguments)

    async def _take_up_late(self, form: str) -> None:
        """Make the revisions required by late facts, and count a closed month again on the day after its closing.

        The second count finds facts whose transaction was still running at the closing and whose time lies before it.
        """
        recounts = await self._read(_list_recounts, form, self._now(), self._begun, frozenset(self._checked))
        found: dict[str, str] = {}
        for period in recounts.closed:
            late = [unit for unit, first in recounts.late if first <= period and unit not in found]
            found |= await self._find_differing(form, period, late)
        found = await self._find_differing(form, recounts.last, recounts.units) | found
        for unit, period in sorted(found.items()):
            try:
                written = await self._journal.write(
                    row_revisions.revise_unit,
                    form,
                    period,
                    unit,
                    reason="",
                    by=HUB,
                    now=self._now(),
                    signer=self._signer(),
                    trust=self._book().trust,
                )
            except row_revisions.FactsForged as forged:
                log.critical("facts-forged", form=form, period=period, unit=unit, facts=len(forged.args[3]))
                continue
            for text, row in written:
                log.warning("report-row-revised", form=form, period=text, unit=unit, revision=row.revision)
        self._checked |= {(form, recounts.last)} if recounts.units else set()  # only now: else a failure would end it

    async def _find_differing(self, form: str, period: str, units: Sequence[str]) -> dict[str, str]:
        """Return those of *units* whose rows in the closed month *period* differ when they are counted again, each with
        *period*.
        """
        found: dict[str, str] = {}
        while units:
            differing, units = await self._read(_find_some_differing, form, period, units)
            found |= dict.fromkeys(differing, period)
        return found

    async def _read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the counting *step* in a separate process. A stop of the service ends it."""
        reader = ReportReader("?closing", lambda: not self.stopping, longest=None, background=True)
        found = await self._journal.read_report(reader, step, *args, **kwargs)
        if self.stopping:
            raise CancelledError
        return found


@attrs.frozen
class _Recounts:
    """What must be counted again."""

    last: str = ""  #: the month that was closed last; "": none is closed
    units: Sequence[str] = ()  #: the units of that month, if it must be counted again in full
    late: Sequence[tuple[str, str]] = ()  #: each unit with late facts, and the first month that they concern
    closed: Sequence[str] = ()  #: the closed months, in order


def _list_recounts(
    tx: Transaction, form: str, now: datetime, begun: datetime | None, checked: frozenset[tuple[str, str]]
) -> _Recounts:
    """Return what must be counted again of *form*, without the months *checked*.

    Raises FactsOutstanding if facts received before the start of the day's work (*begun*) are not written yet.
    """
    made = closing_plan.read_closings(tx, form)
    if not made:
        return _Recounts()
    if left := duties.read_outstanding_duties(
        tx, services=[made[-1].form.service], before=begun
    ):  # what arrives later is left to the next day
        raise closing_plan.FactsOutstanding(left)
    last = made[-1].period.text
    again = (form, last) not in checked and find_local_day(made[-1].closed_at) != find_local_day(now)
    units = row_revisions.list_units_to_recount(tx, form, last) if again else ()
    late = sorted(row_revisions.find_late_units(tx, form).items())
    return _Recounts(last, units, late, [each.period.text for each in made])


def _find_some_differing(
    tx: Transaction, form: str, period: str, units: Sequence[str]
) -> tuple[list[str], Sequence[str]]:
    """Return those of the first of *units* that differ in the closed month *period*, and the units that are left."""
    reached, left = closing.split_by_time(units, closing.BUDGET)
    return list(row_revisions.find_differing_units(tx, form, period, reached)), left
