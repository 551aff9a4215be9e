"""Reads what the pages and the API show of the province at a glance, and writes it as a file.

What is kept is read beside the exchange, in a turn. A sheet that is not kept yet is counted in a process of its own,
once, and kept. Each user sees the units of the account. No HTTP.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

import attrs

from hub.config.reports import ReportSettings
from hub.domain.errors import Rejected
from hub.domain.fair_queue import CONSOLE
from hub.language.languages import Language
from hub.operations.accounts import users
from hub.operations.accounts.users import User
from hub.operations.refusals import refuse_as_absent
from hub.operations.reports.reading import refuse_as_tampered
from hub.operations.turns import ReadingTurns
from hub.report.form.book import Book
from hub.report.form.form import FormMissing
from hub.report.form.period import PeriodUnreadable, find_month_containing, parse_period
from hub.report.glance import files
from hub.report.glance.settings import Glance, read_glance
from hub.report.glance.view import FieldFigure, GlanceView, UnitGlance
from hub.runtime.thread_pool import THRESHOLD
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.workload import closing_plan, glance_rows
from hub.workload.glance import glance_counting, glance_view
from hub.workload.glance.glance_view import GlanceAsked, GlanceUnknown, SheetMissing

P = ParamSpec("P")
T = TypeVar("T")

#: Files: kind → media type.
KINDS: Mapping[str, str] = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json; charset=utf-8",
}
#: Forms that are shown first, the first that the province has.
_FIRST = ("nd335", "ii06a", "edoc")


@attrs.define(eq=False)
class GlanceReader:
    """Reads for one user at a time. Raises `RequestRefused` for what does not exist or the user may not see."""

    _journal: Journal  #: the journal to read, and to keep sheets in
    _live: Live  #: the configuration in force
    _turns: ReadingTurns  #: limits what is read
    #: what is compared, and the configuration that it was read from
    _known: tuple[ReportSettings, Glance] | None = attrs.field(default=None, init=False, repr=False)

    async def read_view(self, user: User, asked: GlanceAsked, now: datetime, wanted: Callable[[], bool]) -> GlanceView:
        """Return the units of a class beside one another."""
        return await self._read(user, asked, now, wanted, _read_visible_view, user, asked, now)

    async def read_unit(
        self, user: User, asked: GlanceAsked, unit: str, now: datetime, wanted: Callable[[], bool]
    ) -> UnitGlance:
        """Return how *unit* stands among those that are like it."""
        return await self._read(user, asked, now, wanted, _read_visible_unit, user, asked, unit, now)

    async def read_fields(
        self, user: User, asked: GlanceAsked, unit: str, now: datetime, wanted: Callable[[], bool]
    ) -> list[FieldFigure]:
        """Return what each field has of the number of *unit*, which was read before. Counted in a process of its own."""
        book = await self._turns.read_book()
        glance, words = await self._read_glance(book), (user, asked, unit, now)
        try:
            return await self._turns.count(user.name, wanted, asked.form, _read_visible_fields, book, glance, *words)
        except (PeriodUnreadable, LookupError):
            raise refuse_as_absent() from None

    async def find_first(self, form: str, now: datetime) -> tuple[str, str]:
        """Return the form and the period that are shown first: *form* if it is given, and its newest closed month, else the
        running one.
        """
        book = await self._turns.read_book()
        kept = await self._turns.look(glance_rows.list_kept_sheets)
        counted = {name for name, _ in kept}
        chosen = form or next((each for each in _FIRST if each in counted), next(iter(counted), _FIRST[0]))
        running = find_month_containing(now, book.cuts).text
        months = [period for name, period in kept if name == chosen and period[5:].isdigit()]
        complete = [period for period in months if kept[chosen, period].complete]
        ended = [period for period in months if period < running]
        return chosen, max(complete or ended, default=running)

    async def write_file(self, view: GlanceView, kind: str, language: Language) -> bytes:
        """Return *view* as a file of *kind*."""
        return await self._turns.alone(files.write_glance, view, kind, language)

    async def _read(
        self,
        user: User,
        asked: GlanceAsked,
        now: datetime,
        wanted: Callable[[], bool],
        step: Callable[Concatenate[Transaction, Book, Glance, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        book = await self._turns.read_book()
        glance = await self._read_glance(book)
        try:
            try:
                return await self._turns.look(step, book, glance, *args, **kwargs)
            except SheetMissing as missing:
                form, text = missing.form, missing.period
            sheet = await self._turns.count(user.name, wanted, form, glance_counting.count_sheet, book, form, text, now)
            known = await self._journal.read(closing_plan.keep_closed_workdays, book)
            period = parse_period(text, known.cuts)
            sealed = glance_rows.seal_sheet(sheet, self._live.config.identity, now)
            await self._journal.admit(CONSOLE, glance_rows.keep_sheet, sealed, period, now)
            return await self._turns.look(step, book, glance, *args, **kwargs)
        except (PeriodUnreadable, FormMissing, GlanceUnknown, SheetMissing):
            raise refuse_as_absent() from None
        except Rejected as rejected:
            raise refuse_as_tampered(rejected) from None

    async def _read_glance(self, book: Book) -> Glance:
        reports = self._live.config.reports
        if self._known is None or self._known[0] is not reports:
            found = await self._turns.work(CONSOLE, THRESHOLD, read_glance, reports.glance, book.forms)
            self._known = reports, found
        return self._known[1]


def _read_visible_view(
    tx: Transaction, book: Book, glance: Glance, user: User, asked: GlanceAsked, now: datetime
) -> GlanceView:
    seen = users.read_visible_units(tx, user)
    return glance_view.read_glance_view(tx, book, glance, asked, now, seen)


def _read_visible_unit(
    tx: Transaction, book: Book, glance: Glance, user: User, asked: GlanceAsked, unit: str, now: datetime
) -> UnitGlance:
    seen = users.read_visible_units(tx, user)
    return glance_view.read_unit_glance(tx, book, glance, asked, unit, now, seen)


def _read_visible_fields(
    tx: Transaction, book: Book, glance: Glance, user: User, asked: GlanceAsked, unit: str, now: datetime
) -> list[FieldFigure]:
    seen = users.read_visible_units(tx, user)
    return glance_view.read_unit_fields(tx, book, glance, asked, unit, now, seen)
