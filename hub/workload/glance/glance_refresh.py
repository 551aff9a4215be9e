"""Keeps the sheets of the page at a glance up to date: what was closed or revised, and each night the running periods.

Knows when to look. `hub.workload.glance.glance_counting` knows what is due and how it is counted. Counting runs in a separate
process of the lowest priority, one sheet after the other, in steps of about a second; a stop ends it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

import attrs
import structlog
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from hub.domain.errors import ConfigurationFault, Rejected, Unready
from hub.report.form.book import Book, read_shipped_book
from hub.report.form.form import FormMissing
from hub.report.form.period import parse_period
from hub.runtime.periodic import PeriodicService
from hub.security.certificates import Signer
from hub.store.batch_commit import Journal
from hub.store.report_pool import ReportReader
from hub.store.transactions import Transaction
from hub.workload import glance_rows
from hub.workload.glance import glance_counting
from hub.workload.glance.glance_counting import ClosedMeanwhile

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()


@attrs.define(eq=False)
class GlanceRefresh(PeriodicService):
    """Counts the sheets that are due, each minute. Two nodes may count the same one; both keep the same numbers."""

    every, at_once = 60.0, False
    failure = "sheets-not-counted"

    _journal: Journal  #: reads and keeps sheets
    _clock: IReactorTime  #: the reactor, which times the looks
    _now: Callable[[], datetime]  #: returns the current time in UTC
    _signer: Callable[[], Signer]  #: returns the hub's own key
    _book: Callable[[], Book] = read_shipped_book  #: returns the province's forms and calendar
    _compared: tuple[str, str] = attrs.field(default=("", ""), init=False)  #: the sheet that was compared last

    async def work(self) -> None:
        """Count what is due. Some of the sheets that are kept are compared with their seals, and counted again if need be."""
        book = self._book()
        forged, self._compared = await self._journal.read(glance_rows.find_forged_sheets, book.trust, self._compared)
        if forged:
            log.critical("tampering-found", sheets=forged)
            await self._journal.write(glance_rows.remove_forged_sheets, forged, self._now())
        for form, period in await self._read(glance_counting.list_due_sheets, book, self._now()):
            if self.stopping:
                return
            await self._try_to_refresh(book, form, period)

    async def _try_to_refresh(self, book: Book, form: str, period: str) -> None:
        """Count one sheet. One on which the hub itself fails does not keep the others waiting."""
        try:
            await self._refresh(book, form, period)
        except (CancelledError, Unready, ConfigurationFault):
            raise
        except Exception:
            log.exception("sheets-not-counted", form=form, period=period)

    async def _refresh(self, book: Book, form: str, period: str) -> None:
        steps, found = glance_counting.count_in_steps(book, form, period, self._now()), None
        while True:
            try:
                step = steps.send(found)
            except StopIteration as end:
                now = self._now()
                sheet = glance_rows.seal_sheet(end.value, self._signer(), now)
                await self._journal.write(glance_rows.keep_sheet, sheet, parse_period(period, book.cuts), now)
                return
            try:
                found = await self._read(step.run, *step.arguments)
            except (ClosedMeanwhile, FormMissing, Rejected):
                return  # if it is still due, it is begun again at the next look; of what was edited readiness tells

    async def _read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        reader = ReportReader("?glance", lambda: not self.stopping, longest=None, background=True)
        found: T = await self._journal.read_report(reader, step, *args, **kwargs)
        return found
