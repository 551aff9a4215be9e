"""When the hub closes a month by itself: docs/reference/reports.md, “Closing a period” and “Working days”.

Reads the published list of days off (hub/report/form/workdays.toml) as any reader of it does.
"""

import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path

from tests.recount import results
from tests.recount.places import HANOI, day

NOON = time(12, 2)  #: two minutes after the hour of `[reports] close`
_DAYS = Path(__file__).parents[2] / "hub" / "report" / "form" / "workdays.toml"
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@cache
def _listed() -> tuple[frozenset[date], frozenset[date], tuple[str, ...]]:
    """Return the days off, the days that are worked whatever their week says, and the days of the week that are off."""
    told = tomllib.loads(_DAYS.read_text("utf-8"))
    off = [
        each["first"] + timedelta(days=number)
        for each in told["off"]
        for number in range((each.get("last", each["first"]) - each["first"]).days + 1)
    ]
    return frozenset(off), frozenset(each["day"] for each in told["worked"]), tuple(told["week"][-1]["off"])


def is_worked(on: date) -> bool:
    """Tell whether public offices work on a day."""
    off, worked, weekly = _listed()
    return on in worked or (on not in off and _WEEK[on.weekday()] not in weekly)


def closing(period: str) -> datetime:
    """Return when the hub closes a month: after noon of the first working day after its last day."""
    on = day(results.bounds(period)[1])
    while not is_worked(on):
        on += timedelta(days=1)
    return datetime.combine(on, NOON, HANOI).astimezone(UTC)


def closed(first: datetime, until: datetime) -> Iterator[tuple[str, datetime]]:
    """Yield the months that are closed *until* then, from that of the *first* result on, and when."""
    month = containing(first)
    while closing(month) <= until:
        yield month, closing(month)
        month = following(month)


def containing(at: datetime) -> str:
    """Return the month that an instant lies in."""
    month = f"{day(at):%Y-%m}"
    return month if at < results.bounds(month)[1] else following(month)


def following(month: str) -> str:
    """Return the month after one."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year + 1}-01" if number == 12 else f"{year}-{number + 1:02d}"
