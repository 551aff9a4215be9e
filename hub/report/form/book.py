"""Combines the forms of a province, its periods and its office calendar. Knows what the hub ships and what `[reports]`
adds. Counts nothing.
"""

import pickle
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import Any

import attrs

from hub.config.reports import CLOSE_HOUR, CLOSE_WORKING_DAY, WAIT_WORKING_DAYS, ReportSettings, Teller
from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.local_time import HANOI
from hub.language.phrases import Phrase, phrase
from hub.language.system_errors import name_system_error
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form
from hub.report.form.layout import Layout, read_layout_folder
from hub.report.form.period import CUTS, CutOff, Cuts, Period
from hub.report.form.service_list import PublicService, load_service_list
from hub.report.form.workdays import Due, Workdays, load_workdays
from hub.security.attesting import AttestationTrust

#: The folder of layouts within the province's folder of forms.
LAYOUTS = "layouts"


@attrs.frozen
class Book:
    """The forms, periods and calendar by which a province makes reports.

    It goes with each request to the processes that count. To pickle it takes more than 2 ms of the reactor's thread, so
    that is done once.
    """

    forms: tuple[Form, ...]  #: each with the rule set that was chosen for it
    workdays: Workdays
    cuts: Cuts = CUTS
    """Where its periods end, by hub.toml. `keep_closed_workdays` adds the days of the closed months."""
    close_working_day: int = CLOSE_WORKING_DAY  #: as in `ReportSettings`
    close_hour: int = CLOSE_HOUR
    wait_working_days: int = WAIT_WORKING_DAYS
    tellers: tuple[Teller, ...] = ()  #: the partners whose messages are counted
    layouts: tuple[Layout, ...] = ()  #: how workbooks of forms stand
    trust: AttestationTrust | None = None  #: by which attestations of closed months are believed; None: it is not known
    listed: tuple[PublicService, ...] = ()  #: the province's list of public services

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is pickled and copied."""
        return _unpack_book, (self._packed,)

    @cached_property
    def _packed(self) -> bytes:
        return pickle.dumps([getattr(self, each.name) for each in attrs.fields(Book)], pickle.HIGHEST_PROTOCOL)

    def find_automatic_closing_time(self, period: Period, *, waiting: bool = False) -> datetime:
        """Return when the hub closes *period* by itself. *waiting*: while partners were not heard."""
        day = self.workdays.add(period.last, self.close_working_day)
        if not self.close_working_day:
            day += timedelta(days=1)
        if waiting:
            day = self.workdays.add(day, self.wait_working_days)
        return datetime.combine(day, time(self.close_hour), HANOI).astimezone(UTC)

    def due(self, form: Form, period: Period) -> Due | None:
        """Return the date by which the report of *period* is due; None if the form has none."""
        if form.due_working_days is None:
            return None
        return self.workdays.due(period.last, form.due_working_days)

    def find_layout(self, form: Form, period: Period) -> Layout | None:
        """Return how the paper form of *form* stands in *period*, the province's own before the hub's; None if no layout
        says it.
        """
        fitting = [each for each in self.layouts if each.form == form.id and each.is_in_force(period.last)]
        return fitting[-1] if fitting else None

    def services(self, form: str) -> frozenset[str] | None:
        """Return the services whose facts the report *form* counts, in any of its versions; None if there is no such
        form or it counts no service.
        """
        versions = [each for each in self.forms if each.id == form]
        counted = {form, *(base for each in versions for base in each.bases)}
        found = frozenset(each.service for each in self.forms if each.id in counted and each.service)
        return found or None


@lru_cache(maxsize=2)
def _unpack_book(packed: bytes) -> Book:
    return Book(*pickle.loads(packed))  # noqa: S301 - packed by `Book`, in a process of our own


#: The book that was read last.
_latest: list[Book] = []


def _keep_latest(made: Book) -> Book:
    """Return the book that was read last if it is the same, so that it is pickled once. Its parts are then the same objects."""
    for known in _latest:
        if known == made:
            return known
    _latest[:] = [made]
    return made


@contextmanager
def _gather_mistakes(mistakes: list[Mistake], key: str, expected: Phrase) -> Generator[None]:
    """Add to *mistakes* what is wrong with the files that *key* of hub.toml names, instead of raising it."""
    try:
        yield
    except ConfigurationFault as fault:
        mistakes += fault.mistakes
    except OSError as error:
        wrong = phrase("cannot be read: {error}", error=name_system_error(error))
        mistakes.append(Mistake(f"hub.toml: {key}", wrong, expected))


def read_book(reports: ReportSettings) -> Book:
    """Return the book of a province whose hub.toml has *reports*.

    Raises ConfigurationFault with every mistake of the forms and of the calendar. An unreadable file is a mistake too.
    """
    found: tuple[Form, ...] = ()
    calendar: Workdays | None = None
    layouts: tuple[Layout, ...] = ()
    listed: tuple[PublicService, ...] = ()
    mistakes: list[Mistake] = []
    with _gather_mistakes(mistakes, "reports.forms", phrase("a folder of forms")):
        found = read_form_folder(own=reports.forms, rule_sets=reports.rule_sets, countable=reports.countable)
        layouts = read_layout_folder(found, own=reports.forms / LAYOUTS if reports.forms else None)
    with _gather_mistakes(mistakes, "reports.workdays", phrase("a calendar")):
        calendar = load_workdays(reports.workdays)
    with _gather_mistakes(mistakes, "reports.services", phrase("a list of public services")):
        listed = load_service_list(reports.services)
    if mistakes or calendar is None:
        raise ConfigurationFault(mistakes)
    cut_offs = tuple(CutOff(day, since) for day, since in reports.cut_offs)
    cuts = Cuts(cut_offs) if cut_offs else CUTS
    return _keep_latest(
        Book(
            found,
            calendar,
            cuts,
            reports.close_working_day,
            reports.close_hour,
            reports.wait_working_days,
            reports.tellers,
            layouts,
            reports.trust,
            listed,
        )
    )


def read_shipped_book() -> Book:
    """Return the book of a province without settings: the forms and the calendar shipped with the hub."""
    return read_book(ReportSettings())
