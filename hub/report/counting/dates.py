"""Determines the day on which a fact counts, the order of facts, and the due date of a business key. Does not know
columns.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from functools import lru_cache

from hub.domain import local_time
from hub.domain.local_time import HANOI
from hub.domain.model import Fact
from hub.report.form.form import Form


def find_fact_time(form: Form, fact: Fact) -> datetime:
    """Return the time at which *fact* counts: when the hub received it or, if the form goes by days, the beginning of
    its day in Hà Nội.
    """
    return find_day_begin(find_fact_day(fact)) if form.by_day else fact.at


@lru_cache(4096)
def find_day_begin(day: date) -> datetime:
    """Return the beginning of *day* in Hà Nội, in UTC."""
    return datetime.combine(day, time(), HANOI).astimezone(UTC)


def find_fact_day(fact: Fact) -> date:
    """Return the day of *fact* as its unit states it, else the day on which the hub received it."""
    return fact.day or local_time.find_local_day(fact.at)


def find_latest_due_date(form: Form, facts: Iterable[Fact]) -> date | None:
    """Return the due date in the latest of *facts* that has one; None if none has."""
    dated = [fact for fact in facts if fact.due is not None]
    return max(dated, key=lambda fact: (find_fact_time(form, fact), make_fact_sort_key(fact))).due if dated else None


def make_fact_sort_key(fact: Fact) -> tuple[datetime, str, str, str, str]:
    """Return the sort key of a fact: its time, then ids, so that facts of the same instant have a fixed order."""
    return fact.at, fact.message, fact.unit, fact.milestone, fact.key
