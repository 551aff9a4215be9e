"""Closes the months that are over, by itself, once a day; and makes the revisions that late facts ask for.

Knows the clock on the wall and how often to look; what closing means is `hub.closing`.  Counting runs in a reading transaction beside
all other work, one form and month after the other; a stop breaks it off between two units, and the next start begins that month again.
"""

from collections.abc import Callable
from datetime import datetime

import attrs
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from hub import closing, duties, store
from hub.closing import Draft
from hub.database import Journal
from hub.errors import ConfigurationFault, Unready
from hub.hanoi import day
from hub.model import HUB
from hub.regular import Regular
from hub.report.book import Book, shipped
from hub.store import Transaction

log = structlog.get_logger()


class _Stopped(Exception):
    """The hub is stopping."""


@attrs.define(eq=False)
class MonthEnd(Regular):
    """Once a day, two minutes after midnight in Hà Nội, and after a start: closes what can be closed, in turn."""

    every, at_once = 60.0, False

    _journal: Journal
    _clock: IReactorTime
    _now: Callable[[], datetime]
    _book: Callable[[], Book] = shipped  #: the province's
    _done: object = attrs.field(default=None, init=False)  #: the day whose work is done
    _checked: set[tuple[str, str]] = attrs.field(
        factory=set, init=False
    )  #: form and month that was counted again the day after
    _begun: datetime | None = attrs.field(default=None, init=False)  #: when the day's work was first tried
    _stopping: bool = attrs.field(default=False, init=False)

    def startService(self) -> None:
        """Begin."""
        self._stopping = False
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Look no more; what is being counted is given up."""
        self._stopping = True
        return super().stopService()

    async def look(self) -> None:
        """Do the day's work, if it is not done."""
        today = day(self._now() - closing.GRACE)
        if today == self._done:
            return
        self._begun = self._begun or self._now()
        try:
            names = await self._journal.read(lambda _tx: closing.counting_forms(self._book().forms))
            open_still = [name for name in names if not await self._close_all(name)]
        except _Stopped:
            return
        except CancelledError:
            raise
        except (Unready, ConfigurationFault) as fault:
            log.warning(
                "months-not-closed", error=str(fault)
            )  # it is tried again; forms and calendar are read each time
            return
        except Exception:
            log.exception("months-not-closed")
            return
        if not open_still:
            self._done, self._begun = today, None

    async def _close_all(self, form: str) -> bool:
        """Do the day's work for *form*.  False where facts that were received before are still to be written: it is tried again."""
        try:
            await self._take_up_late(form)
            while await self._close_next(form):
                pass
        except closing.FactsOutstanding as early:
            log.warning("months-not-closed", error=f"{form}: facts-outstanding: {early}")
            return False
        return True

    async def _close_next(self, form: str) -> bool:
        """Close the month of *form* that comes next.  Returns whether there was one to close."""
        draft = await self._journal.read(self._work_out, form)
        if draft is None:
            return False
        try:
            made = await self._journal.write(closing.settle, draft, HUB)
        except closing.OutOfTurn:
            return True  # a person closed it meanwhile: what comes next is another
        log.info("period-closed", form=form, period=made.period.text, units=len(draft.rows), sha256=made.sha256)
        return True

    def _work_out(self, tx: Transaction, form: str) -> Draft | None:
        book, now = self._book(), self._now()
        found = closing.next_month(tx, book, form)
        if found is None or now < closing.may_close(found[1]):
            return None
        if not store.those_at_hand(tx, [f"counting {form}"]):
            return None  # another node is at it
        return closing.work_out(tx, book, form, found[1], now, self._go_on)

    async def _take_up_late(self, form: str) -> None:
        """Make the revisions that late facts ask for; and, the day after its closing, count a month again.

        So what was under way while it was closed, and has the time of before, is not left out for ever.
        """
        found = await self._journal.read(self._find_differing, form)
        for unit, period in found:
            written = await self._journal.write(
                closing.revise, form, period, unit, reason=closing.RECOUNTED, by=HUB, now=self._now()
            )
            for text, row in written:
                log.warning("report-row-revised", form=form, period=text, unit=unit, revision=row.revision)

    def _find_differing(self, tx: Transaction, form: str) -> list[tuple[str, str]]:
        made = closing.closings(tx, form)
        if not made:
            return []
        service = made[-1].form.service
        if left := duties.outstanding(
            tx, services=[service], before=self._begun
        ):  # what comes meanwhile is the next day's
            raise closing.FactsOutstanding(left)
        last, found = made[-1].period.text, dict[str, str]()
        if (form, last) not in self._checked and day(made[-1].closed_at) != day(self._now()):
            found = dict.fromkeys(closing.differing(tx, form, last, go_on=self._go_on), last)
            self._checked.add((form, last))
        for unit, period in closing.late(tx, form).items():
            for each in made:
                if each.period.text >= period and any(closing.differing(tx, form, each.period.text, [unit])):
                    found[unit] = each.period.text
                    break
        return sorted(found.items())

    def _go_on(self) -> None:
        if self._stopping:
            raise _Stopped
