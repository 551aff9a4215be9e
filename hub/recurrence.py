"""The days on which a recurrence rule of a calendar falls (RFC 5545, 3.3.10).  Knows days; neither hours nor zones.

It looks at each day up to a last one and no further, whatever the rule: one that never falls on any day costs no more than another.
Not known are rules by the hour, the day of the year or the number of the week: nobody invites to a meeting so.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import groupby, islice

import attrs

_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_BY_DAY = re.compile(r"([+-]?[1-9][0-9]?)?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBERS = re.compile(r"[+-]?[0-9]{1,3}(,[+-]?[0-9]{1,3}){0,99}")
_COUNT = re.compile(r"[1-9][0-9]{0,5}")


@attrs.frozen(kw_only=True)
class Rule:
    """One RRULE."""

    frequency: str  #: DAILY, WEEKLY, MONTHLY or YEARLY
    interval: int = 1
    count: int | None = None
    until: str = ""  #: a day or a time as written
    months: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    days: tuple[
        tuple[int, int], ...
    ] = ()  #: which of its kind in the month or year (0: each), and the weekday (0: Monday)
    positions: frozenset[int] = frozenset()
    week_start: int = 0


def parse(text: str) -> Rule:
    """Read a rule.  Raises ValueError for what is none, or not one that is known."""
    pairs = [part.partition("=") for part in text.upper().rstrip(";").split(";")]
    parts = {name: value for name, _, value in pairs}
    if len(parts) < len(pairs):
        raise ValueError("a part stands there twice")
    read: dict[str, Callable[[str], object]] = {
        "FREQ": lambda value: _one_of(value, ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")),
        "INTERVAL": _count,
        "COUNT": _count,
        "UNTIL": str,
        "BYMONTH": lambda value: _numbers(value, range(1, 13)),
        "BYMONTHDAY": lambda value: _numbers(value, [*range(-31, 0), *range(1, 32)]),
        "BYDAY": _by_days,
        "BYSETPOS": lambda value: _numbers(value, [*range(-366, 0), *range(1, 367)]),
        "WKST": lambda value: _DAYS.index(_one_of(value, _DAYS)),
    }
    names = dict(zip(read, (field.name for field in attrs.fields(Rule)), strict=True))
    if unknown := parts.keys() - read.keys():
        raise ValueError(f"{min(unknown)[:20]} is not known")
    if "FREQ" not in parts:
        raise ValueError("FREQ is missing")
    rule = Rule(**{names[name]: read[name](value) for name, value in parts.items()})  # type: ignore[arg-type]
    if rule.frequency in {"DAILY", "WEEKLY"} and any(number for number, _ in rule.days):
        raise ValueError(f"BYDAY with a number beside FREQ={rule.frequency}")
    if rule.frequency == "WEEKLY" and (rule.month_days or rule.positions):
        raise ValueError("BYMONTHDAY or BYSETPOS beside FREQ=WEEKLY")
    return rule


def days(rule: Rule, first: date, last: date) -> list[date]:
    """Return the days from *first*, the beginning of the series, to *last*; `until` is the caller's to look at."""
    found: Iterator[date] = filter(lambda day: day >= first, _chosen(rule, first, last))
    return list(found if rule.count is None else islice(found, rule.count))


def _chosen(rule: Rule, first: date, last: date) -> Iterator[date]:
    """Yield the days of each period that the rule names, from the beginning of the period *first* lies in."""
    begin = _period(rule, first)[1]
    end = last + timedelta(days=366 if rule.positions else 0)  # a position counts in a whole period
    every = (begin + timedelta(days=number) for number in range((end - begin).days + 1))
    for _, period in groupby(every, lambda day: _period(rule, day)):
        within = list(period)
        if (_period(rule, within[0])[0] - _period(rule, first)[0]) % rule.interval:
            continue
        fitting = [day for day in within if _fits(rule, day, first)]
        if rule.positions:
            chosen = {at - 1 if at > 0 else len(fitting) + at for at in rule.positions}
            fitting = [day for at, day in enumerate(fitting) if at in chosen]
        yield from (day for day in fitting if day <= last)


def _period(rule: Rule, day: date) -> tuple[int, date]:
    """Return the number of the period that *day* lies in and the first day of it."""
    if rule.frequency == "DAILY":
        return day.toordinal(), day
    if rule.frequency == "WEEKLY":
        start = day - timedelta(days=(day.weekday() - rule.week_start) % 7)
        return start.toordinal() // 7, start
    if rule.frequency == "MONTHLY":
        return day.year * 12 + day.month, day.replace(day=1)
    return day.year, day.replace(month=1, day=1)


def _fits(rule: Rule, day: date, first: date) -> bool:
    """Tell whether the parts of the rule name *day*; where they leave it open, it is as the *first* was."""
    length = monthrange(day.year, day.month)[1]
    if rule.months and day.month not in rule.months:
        return False
    if rule.month_days and not {day.day, day.day - length - 1} & rule.month_days:
        return False
    if rule.days:
        return any(_is_nth(rule, day, number) for number, weekday in rule.days if weekday == day.weekday())
    if rule.month_days or rule.frequency == "DAILY":
        return True
    if rule.frequency == "WEEKLY":
        return day.weekday() == first.weekday()
    return day.day == first.day and (rule.frequency == "MONTHLY" or bool(rule.months) or day.month == first.month)


def _is_nth(rule: Rule, day: date, number: int) -> bool:
    if not number:
        return True
    if rule.frequency == "YEARLY" and not rule.months:
        start, end = day.replace(month=1, day=1), day.replace(month=12, day=31)
    else:
        start, end = day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])
    return number == ((day - start).days // 7 + 1 if number > 0 else -((end - day).days // 7 + 1))


def _by_days(value: str) -> tuple[tuple[int, int], ...]:
    found = [_BY_DAY.fullmatch(each) for each in value.split(",")]
    if len(found) > 100 or not all(found):
        raise ValueError(f"BYDAY={value[:20]}")
    return tuple((int(each[1] or 0), _DAYS.index(each[2])) for each in found if each)


def _numbers(value: str, allowed: "range | list[int]") -> frozenset[int]:
    numbers = frozenset(map(int, value.split(","))) if _NUMBERS.fullmatch(value) else frozenset((0,))
    if not numbers <= frozenset(allowed):
        raise ValueError(f"{value[:20]!r} are no such numbers")
    return numbers


def _count(value: str) -> int:
    if not _COUNT.fullmatch(value):
        raise ValueError(f"{value[:20]!r} is no number above 0")
    return int(value)


def _one_of(value: str, words: tuple[str, ...]) -> str:
    if value not in words:
        raise ValueError(f"{value[:20]!r} is none of {', '.join(words)}")
    return value
