"""Calculates with the working days of public offices: which days are off, and deadlines in working days. Knows no
report and no current date.

The days are data in `workdays.toml`, each valid from a date on. A province may overlay a file of its own.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import attrs

from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import phrase, verbatim
from hub.report.form.column import Wording
from hub.report.form.toml_table import FormTable

FILE = Path(__file__).with_name("workdays.toml")

_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ONE = timedelta(days=1)
_LONGEST = 31  #: the maximum days of one entry, so that a wrong year is detected


@attrs.frozen
class Week:
    """The days of the week that are off, from the day *since* on; 0 is Monday."""

    since: date
    off: frozenset[int]


@attrs.frozen
class SpecialDay:
    """A day that differs from the rule of its week: *worked* or off."""

    worked: bool
    says: Wording
    sure: bool = True  #: whether the day was announced


@attrs.frozen
class Due:
    """The last day on which something is in time."""

    day: date
    sure: bool = True  #: False: it depends on a holiday that is not announced yet, and may move


@attrs.frozen(kw_only=True)
class Workdays:
    """A calendar of working days."""

    weeks: tuple[Week, ...]
    days: Mapping[date, SpecialDay]
    since: date  #: the first day of the known years, in which the days off are known
    until: date  #: the first day after the known years

    def is_working(self, day: date) -> bool:
        """Return whether offices work on *day*. Outside the known years, only the days of the week decide."""
        found = self.days.get(day)
        return found.worked if found is not None else day.weekday() not in self._off(day)

    def add(self, day: date, number: int) -> date:
        """Return the day that is *number* working days after *day*. *day* itself is never counted.

        With 0, return *day*. Raises ValueError for a negative number.
        """
        if number < 0:
            raise ValueError(f"{number} working days, expected 0 or more")
        while number:
            day += _ONE
            number -= self.is_working(day)
        return day

    def subtract(self, day: date, number: int) -> date:
        """Return the day that is *number* working days before *day*: a working day. *day* itself is never counted.

        With 0, return *day*. Raises ValueError for a negative number.
        """
        if number < 0:
            raise ValueError(f"{number} working days, expected 0 or more")
        while number:
            day -= _ONE
            number -= self.is_working(day)
        return day

    def between(self, first: date, last: date) -> int:
        """Return the number of working days after *first* up to and including *last*: `between(day, add(day, n)) == n`.

        Negative if *last* lies before *first*: `-between(last, first)`.
        """
        if last < first:
            return -self.between(last, first)
        return sum(self.is_working(first + _ONE * number) for number in range(1, (last - first).days + 1))

    def is_sure(self, first: date, last: date) -> bool:
        """Return whether the days off after *first* up to and including *last* are certain: within the known years, and
        announced.
        """
        if first + _ONE < self.since or last >= self.until:
            return False
        return all(day.sure for at, day in self.days.items() if first < at <= last)

    def due(self, day: date, number: int) -> Due:
        """Return the due date that is *number* working days after *day*."""
        last = self.add(day, number)
        return Due(last, self.is_sure(day, last))

    def over(self, other: "Workdays") -> "Workdays":
        """Return this calendar laid over *other*: its days and weeks replace those of *other*, and its known years span
        both.
        """
        return Workdays(
            weeks=(
                *(week for week in other.weeks if week.since not in {mine.since for mine in self.weeks}),
                *self.weeks,
            ),
            days={**other.days, **self.days},
            since=min(self.since, other.since),
            until=max(self.until, other.until),
        )

    def _off(self, day: date) -> frozenset[int]:
        in_force = [week for week in self.weeks if week.since <= day]
        return max(in_force, key=lambda week: week.since).off if in_force else frozenset()


def load_workdays(own: Path | None = None) -> Workdays:
    """Return the calendar shipped with the hub, overlaid with that of the file *own*.

    Raises ConfigurationFault with every mistake of the file; OSError if it is unreadable.
    """
    return (
        _read_shipped()
        if own is None
        else read_workdays(own.read_bytes(), own.name, _read_shipped()).over(_read_shipped())
    )


@cache
def _read_shipped() -> Workdays:
    return read_workdays(FILE.read_bytes(), FILE.name)


def read_workdays(content: bytes, name: str, below: Workdays | None = None) -> Workdays:
    """Return the calendar of the TOML *content*. Values that it may omit are taken from *below*, over which it will be
    laid.

    Raises ConfigurationFault with every mistake. Each path begins with the file's *name*.
    """
    try:
        words = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and thousands of brackets
        raise ConfigurationFault([Mistake(name, verbatim(error), phrase("TOML in UTF-8"))]) from error
    table = FormTable(words, name)
    table.only(("known", "week", "off", "worked"))
    since, until = _read_known_range(table, below)
    weeks = tuple(_read_weeks(table))
    if not weeks and below is None:
        table.wrong("week", phrase("is missing"), phrase("at least one [[week]]"))
    days: dict[date, SpecialDay] = {}
    for entry, at, day in (*_off(table), *_read_days_worked(table)):
        if at in days:
            entry.wrong("", phrase("has {at}, which another entry has", at=at), phrase("each day once"))
        days[at] = day
    if table.mistakes:
        raise ConfigurationFault(table.mistakes)
    return Workdays(weeks=weeks, days=days, since=since, until=until)


def _read_known_range(table: FormTable, below: Workdays | None) -> tuple[date, date]:
    known = table.table("known")
    known.only(("since", "until"))
    since = known.day("since") or (below and below.since)
    until = known.day("until") or (below and below.until)
    for word, day in (("since", since), ("until", until)):
        if day is None and word not in known:
            known.wrong(word, phrase("is missing"), phrase("a date such as 2026-01-01"))
    if since and until and since >= until:
        known.wrong("until", phrase("is {until}", until=until), phrase("a day after {since}", since=since))
    return since or date.min, until or date.max


def _read_weeks(table: FormTable) -> Iterator[Week]:
    starts: set[date] = set()
    for entry in table.tables("week"):
        entry.only(("since", "off"))
        since, off = _read_needed_day(entry, "since"), entry.texts("off", _WEEK)
        if len(set(off)) == len(_WEEK):
            entry.wrong("off", phrase("has every day"), phrase("at least one working day"))
        if since in starts:
            entry.wrong("since", phrase("is {since}", since=since), phrase("a day that no other week has"))
        if since:
            starts.add(since)
            yield Week(since, frozenset(_WEEK.index(day) for day in off if day in _WEEK))


def _off(table: FormTable) -> Iterable[tuple[FormTable, date, SpecialDay]]:
    for entry in table.tables("off"):
        entry.only(("first", "last", "vi", "en", "sure"))
        first, last = _read_needed_day(entry, "first"), entry.day("last")
        day = SpecialDay(False, _read_wording(entry), _is_sure(entry))
        if first is None:
            continue
        length = ((last or first) - first).days + 1
        if not 1 <= length <= _LONGEST:
            entry.wrong(
                "last",
                phrase("is {last}", last=last),
                phrase("{first} or one of the {longest} days after it", first=first, longest=_LONGEST - 1),
            )
            continue
        yield from ((entry, first + _ONE * number, day) for number in range(length))


def _read_days_worked(table: FormTable) -> Iterable[tuple[FormTable, date, SpecialDay]]:
    for entry in table.tables("worked"):
        entry.only(("day", "vi", "en", "sure"))
        at, day = _read_needed_day(entry, "day"), SpecialDay(True, _read_wording(entry), _is_sure(entry))
        if at is not None:
            yield entry, at, day


def _read_needed_day(entry: FormTable, word: str) -> date | None:
    if word not in entry:
        entry.wrong(word, phrase("is missing"), phrase("a date such as 2026-01-01"))
    return entry.day(word)


def _read_wording(entry: FormTable) -> Wording:
    return Wording(entry.text("vi"), entry.text("en"))


def _is_sure(entry: FormTable) -> bool:
    return entry.flag("sure") if "sure" in entry else True
