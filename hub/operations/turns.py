"""Lets the readers of the console, pages and API together, take turns at the journal and at the worker threads.

One list of all units, or one message with all its events, is read at a time, and few heavy computations are made at a
time. The other readers of the journal are kept for the exchange. Knows the limits; does not know what is read.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from typing import Concatenate, ParamSpec, TypeVar

import attrs
from twisted.internet.defer import Deferred, DeferredSemaphore

from hub.config.reports import ReportSettings
from hub.domain.fair_queue import CONSOLE
from hub.domain.local_time import find_local_day
from hub.operations import refusals
from hub.operations.accounts.users import User
from hub.report.form import book
from hub.report.form.book import Book
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.store.batch_commit import Journal
from hub.store.report_pool import ReportReader
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.workload import closing_plan

P = ParamSpec("P")
T = TypeVar("T")

#: Heavy computations at a time, and requests that may wait for one. Further requests get status 503.
HEAVY, WAITING = 2, 20
#: Prefix of a user's name as a reader of reports. No partner code begins with it.
_USER = "?user "


@attrs.define(eq=False)
class ReadingTurns:
    """Runs the readings of one node, each when its turn comes. Raises `RequestRefused` if too many wait already."""

    _journal: Journal  #: the journal to read
    work: Work  #: runs heavy computations in worker threads
    _live: Live  #: the configuration and the province in force
    #: Waits until all earlier facts of some services are written. Raises `Unready`.
    _facts: Callable[[Callable[[], frozenset[str] | None]], Awaitable[None]]
    heavy: DeferredSemaphore = attrs.field(factory=lambda: DeferredSemaphore(HEAVY), init=False)
    looking: DeferredSemaphore = attrs.field(factory=lambda: DeferredSemaphore(1), init=False)
    #: the forms, and the configuration that they were read from
    _forms: tuple[ReportSettings, Book] | None = attrs.field(default=None, init=False, repr=False)

    async def look(self, step: Callable[Concatenate[Transaction, P], T], *words: P.args, **named: P.kwargs) -> T:
        """Read a list, or one message, from the journal."""
        return await queue_turn(self.looking, lambda: self._journal.read(step, *words, **named))

    async def alone(self, step: Callable[..., T], *words: object) -> T:
        """Run a heavy computation in a worker thread."""
        return await queue_turn(self.heavy, lambda: self.work(CONSOLE, THRESHOLD, step, *words))

    async def read_book(self) -> Book:
        """Return the province's forms. They are read again after a reload."""
        reports = self._live.config.reports
        if self._forms is None or self._forms[0] is not reports:
            self._forms = (reports, await self.work(CONSOLE, THRESHOLD, book.read_book, reports))
        return self._forms[1]

    async def read_closed_book(self) -> Book:
        """Return the province's forms, with the ends of the months that are closed."""
        return await self._journal.read(closing_plan.keep_closed_workdays, await self.read_book())

    async def count_for(
        self,
        user: User,
        wanted: Callable[[], bool],
        form: str,
        step: Callable[Concatenate[Transaction, User, Book, str, P], T],
        *words: P.args,
        **named: P.kwargs,
    ) -> T:
        """Read what *step* needs of the reports of *form* that *user* may see: of user, forms, *form* and *words*."""
        return await self.count(user.name, wanted, form, step, user, await self.read_book(), form, *words, **named)

    async def count(
        self,
        user: str,
        wanted: Callable[[], bool],
        form: str,
        step: Callable[Concatenate[Transaction, P], T],
        *words: P.args,
        **named: P.kwargs,
    ) -> T:
        """Read what a report needs from the journal, which may be a large amount.

        The reads of the *user* of this name take turns with other readers. They stop when the request is not *wanted*
        any more.
        """
        known = await self.read_book()
        await self._facts(lambda: known.services(form))
        return await self._journal.read_report(ReportReader(_USER + user, wanted), step, *words, **named)

    def list_names(self, now: datetime) -> tuple[Mapping[str, str], str, date]:
        """Return what a search needs besides the journal: names of partners by code, the upstream partner, the day."""
        config = self._live.config
        names = {code: partner.name for code, partner in config.partners.items()}
        return names, config.upstream, find_local_day(now)


async def queue_turn(turn: DeferredSemaphore, step: Callable[[], Deferred[T]]) -> T:
    """Call *step* when its turn comes. Raises `RequestRefused` if too many wait already."""
    if len(turn.waiting) >= WAITING:
        raise refusals.refuse_as_busy()
    return await turn.run(step)
