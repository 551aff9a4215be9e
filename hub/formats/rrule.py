"""Computes the days on which a recurrence rule of a calendar falls (RFC 5545, 3.3.10).

Knows days. Does not know hours or zones.

A set of days is an integer with one bit per day. Each part of a rule is one such set, so only the days of the result
are visited one by one. Worst cost: a rule with 100 entries in each part, followed for a year, takes as long as two
RSA-2048 signatures (0.5 ms). A rule that falls on no day costs no more. Rules by hour, by day of the year or by week
number are not supported: no meeting invitation uses them.
"""

import re
from calendar import isleap, monthrange
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from enum import StrEnum

import attrs

_DAY = timedelta(days=1)
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_BY_DAY = re.compile(r"([+-]?[1-9][0-9]?)?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBERS = re.compile(r"[+-]?[0-9]{1,3}(,[+-]?[0-9]{1,3}){0,99}")
_MOST = 100  #: maximum entries of BYDAY, as of the numbers above
_COUNT = re.compile(r"[1-9][0-9]{0,5}")


class Frequency(StrEnum):
    """The FREQ of a rule; hourly and shorter ones are not supported."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


@attrs.frozen(kw_only=True)
class Rule:
    """One recurrence rule (RRULE)."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: str = ""  #: a day or a time as written
    months: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    days: tuple[tuple[int, int], ...] = ()  #: pairs: ordinal in the month or year (0: every one), weekday (0: Monday)
    positions: frozenset[int] = frozenset()
    week_start: int = 0


def parse_rrule(text: str) -> Rule:
    """Parse an RRULE value. Raises ValueError for invalid and for unsupported rules."""
    pairs = [part.partition("=") for part in text.upper().rstrip(";").split(";")]
    parts = {name: value for name, _, value in pairs}
    if len(parts) < len(pairs):
        raise ValueError("a part is repeated")
    read: dict[str, Callable[[str], object]] = {
        "FREQ": lambda value: Frequency(_one_of(value, tuple(Frequency))),
        "INTERVAL": _read_count,
        "COUNT": _read_count,
        "UNTIL": str,
        "BYMONTH": lambda value: _read_numbers(value, range(1, 13)),
        "BYMONTHDAY": lambda value: _read_numbers(value, [*range(-31, 0), *range(1, 32)]),
        "BYDAY": _by_days,
        "BYSETPOS": lambda value: _read_numbers(value, [*range(-366, 0), *range(1, 367)]),
        "WKST": lambda value: _DAYS.index(_one_of(value, _DAYS)),
    }
    names = dict(zip(read, (field.name for field in attrs.fields(Rule)), strict=True))
    if unknown := parts.keys() - read.keys():
        raise ValueError(f"{min(unknown)[:20]} is not known")
    if "FREQ" not in parts:
        raise ValueError("FREQ is missing")
    rule = Rule(**{names[name]: read[name](value) for name, value in parts.items()})  # type: ignore[arg-type]
    if rule.frequency in {Frequency.DAILY, Frequency.WEEKLY} and any(number for number, _ in rule.days):
        raise ValueError(f"BYDAY with a number beside FREQ={rule.frequency}")
    if rule.frequency is Frequency.WEEKLY and (rule.month_days or rule.positions):
        raise ValueError("BYMONTHDAY or BYSETPOS beside FREQ=WEEKLY")
    return rule


def list_rule_days(rule: Rule, first: date, last: date) -> list[date]:
    """Return the days of the series from *first*, its beginning, to *last*. The caller must apply `until`."""
    if last < first:
        return []
    begin = _first_of_period(rule, first)
    end = _first_of_period(rule, last, after=1) - _DAY if rule.positions else last
    window = _Window(begin, (end - begin).days + 1)
    found = _named_days(rule, first, window)
    if rule.positions:
        found &= _positioned_days(rule, found, window)
    # days before the beginning or after the last day were only needed to count positions
    before = (first - begin).days
    chosen = window.days(found & _make_ones((last - begin).days + 1) & ~_make_ones(before))
    return chosen if rule.count is None else chosen[: rule.count]


@attrs.frozen
class _Window:
    """A range of consecutive days. A set of its days is one integer, in which bit 0 stands for the first day."""

    begin: date
    length: int

    def months(self) -> list[tuple[date, int, int]]:
        """Return each month that overlaps the window as (first day, bit of that day, length).

        A negative bit lies before the window.
        """
        found, start = [], self.begin.replace(day=1)
        while (at := (start - self.begin).days) < self.length:
            found.append((start, at, monthrange(start.year, start.month)[1]))
            start = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        return found

    def years(self) -> list[tuple[date, int, int]]:
        """Return the same for years."""
        found = []
        for year in range(self.begin.year, (self.begin + timedelta(self.length - 1)).year + 1):
            start = date(year, 1, 1)
            found.append((start, (start - self.begin).days, 366 if isleap(year) else 365))
        return found

    def days(self, chosen: int) -> list[date]:
        """Return the days of the set *chosen*, in order."""
        first = self.begin.toordinal()
        return [date.fromordinal(first + at) for at in _list_bits(chosen)]


def _named_days(rule: Rule, first: date, window: _Window) -> int:
    """Return the days of the *window* that the rule's parts select.

    A part that the rule omits is taken from *first*.
    """
    months = window.months()
    found = _due_days(rule, window, months) & _make_ones(window.length)
    if rule.months:
        found &= _join_sets((at, _make_ones(size)) for start, at, size in months if start.month in rule.months)
    if rule.month_days:
        forward = sum(1 << day - 1 for day in rule.month_days if day > 0)
        backward = sum(1 << 31 + day for day in rule.month_days if day < 0)
        found &= _join_sets((at, (forward | backward >> 31 - size) & _make_ones(size)) for _, at, size in months)
    if rule.days:
        return found & _select_weekdays(rule, window, months)
    if rule.month_days or rule.frequency is Frequency.DAILY:
        return found
    if rule.frequency is Frequency.WEEKLY:
        return found & _repeat_set(1, (first.weekday() - window.begin.weekday()) % 7, 7, window.length)
    every_month = rule.frequency is Frequency.MONTHLY or rule.months
    same = (
        (at, 1 << first.day - 1 & _make_ones(size))
        for start, at, size in months
        if every_month or start.month == first.month
    )
    return found & _join_sets(same)


def _due_days(rule: Rule, window: _Window, months: list[tuple[date, int, int]]) -> int:
    """Return the days of every `interval`-th period, beginning with the period at the start of the window."""
    if rule.interval == 1:
        return _make_ones(window.length)
    if rule.frequency is Frequency.DAILY:
        return _repeat_set(1, 0, rule.interval, window.length)
    if rule.frequency is Frequency.WEEKLY:
        return _repeat_set(_make_ones(7), 0, 7 * rule.interval, window.length)
    periods = months if rule.frequency is Frequency.MONTHLY else window.years()
    return _join_sets((at, _make_ones(size)) for _, at, size in periods[:: rule.interval])


def _select_weekdays(rule: Rule, window: _Window, months: list[tuple[date, int, int]]) -> int:
    """Return the days that BYDAY selects."""
    named: dict[int, int] = {}  # ordinal in the period → the weekdays, bit 0 for Monday
    for number, weekday in rule.days:
        named[number] = named.get(number, 0) | 1 << weekday
    found = _repeat_set(_turn_weekdays(named.pop(0, 0), window.begin.weekday()), 0, 7, window.length)
    if named:
        periods = window.years() if rule.frequency is Frequency.YEARLY and not rule.months else months
        found |= _join_sets((at, _select_numbered(named, start.weekday(), size)) for start, at, size in periods)
    return found


def _select_numbered(named: Mapping[int, int], weekday: int, size: int) -> int:
    """Return the days that are the n-th of their weekday in a period, counted from its start or its end.

    The period has *size* days and begins with *weekday*.
    """
    found = 0
    for number, weekdays in named.items():
        at = 7 * (number - 1) if number > 0 else size + 7 * number  # seven days that contain each weekday once
        week = _turn_weekdays(weekdays, (weekday + at) % 7)
        found |= week << at if at >= 0 else week >> -at
    return found & _make_ones(size)


def _positioned_days(rule: Rule, found: int, window: _Window) -> int:
    """Return the days of *found* that BYSETPOS selects by position.

    Positions count from the start or the end of the period.
    """
    if rule.frequency is Frequency.DAILY:  # each day is a period
        return found if {1, -1} & rule.positions else 0
    chosen = 0
    for _, at, size in window.months() if rule.frequency is Frequency.MONTHLY else window.years():
        fitting = _list_bits(found >> at & _make_ones(size))
        for place, bit in enumerate(fitting):
            if place + 1 in rule.positions or place - len(fitting) in rule.positions:
                chosen |= 1 << at + bit
    return chosen


def _first_of_period(rule: Rule, day: date, after: int = 0) -> date:
    """Return the first day of the period of *day*, or of the period that is *after* periods later."""
    if rule.frequency is Frequency.DAILY:
        return day + timedelta(after)
    if rule.frequency is Frequency.WEEKLY:
        return day + timedelta(7 * after - (day.weekday() - rule.week_start) % 7)
    if rule.frequency is Frequency.YEARLY:
        return date(day.year + after, 1, 1)
    year, month = divmod(day.year * 12 + day.month - 1 + after, 12)
    return date(year, month + 1, 1)


def _make_ones(count: int) -> int:
    return (1 << count) - 1


def _list_bits(chosen: int) -> list[int]:
    return [at for at, bit in enumerate(reversed(f"{chosen:b}")) if bit == "1"]


def _join_sets(sets: Iterable[tuple[int, int]]) -> int:
    """Return the union of sets of days. Each comes with the bit at which it begins, which may be negative."""
    found = 0
    for at, chosen in sets:
        found |= chosen << at if at >= 0 else chosen >> -at
    return found


def _repeat_set(chosen: int, at: int, every: int, length: int) -> int:
    """Return the set *chosen*, repeated from bit *at* on at intervals of *every* bits, up to *length*."""
    found = 0
    for place in range(at, length, every):
        found |= chosen << place
    return found & _make_ones(length)


def _turn_weekdays(weekdays: int, first: int) -> int:
    """Return a set of weekdays, bit 0 for Monday, as seven days of which the first is the weekday *first*."""
    return (weekdays | weekdays << 7) >> first & _make_ones(7)


def _by_days(value: str) -> tuple[tuple[int, int], ...]:
    found = [_BY_DAY.fullmatch(each) for each in value.split(",", _MOST)]
    if len(found) > _MOST or not all(found):
        raise ValueError(f"BYDAY={value[:20]}")
    return tuple(dict.fromkeys((int(each[1] or 0), _DAYS.index(each[2])) for each in found if each))


def _read_numbers(value: str, allowed: "range | list[int]") -> frozenset[int]:
    numbers = frozenset(map(int, value.split(","))) if _NUMBERS.fullmatch(value) else frozenset((0,))
    if not numbers <= frozenset(allowed):
        raise ValueError(f"{value[:20]!r} are not allowed numbers here")
    return numbers


def _read_count(value: str) -> int:
    if not _COUNT.fullmatch(value):
        raise ValueError(f"{value[:20]!r} is not a number above 0")
    return int(value)


def _one_of(value: str, words: tuple[str, ...]) -> str:
    if value not in words:
        raise ValueError(f"{value[:20]!r} is none of {', '.join(words)}")
    return value
