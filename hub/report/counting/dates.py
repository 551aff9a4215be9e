"""On which day a fact counts, in which order facts stand, and when a business key is due.  Knows no column."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from functools import lru_cache

from hub.domain import local_time
from hub.domain.local_time import HANOI
from hub.domain.model import Fact
from hub.report.form.form import Form


def fact_time(form: Form, fact: Fact) -> datetime:
    """Return when *fact* counts: as the hub learned of it or, where the form goes by days, when its day began in Hà Nội."""
    return day_begin(fact_day(fact)) if form.by_day else fact.at


@lru_cache(4096)
def day_begin(day: date) -> datetime:
    """Return when *day* begins in Hà Nội, in UTC."""
    return datetime.combine(day, time(), HANOI).astimezone(UTC)


def fact_day(fact: Fact) -> date:
    """Return the day of *fact* as its unit says it, else that on which the hub learned of it."""
    return fact.day or local_time.local_day(fact.at)


def latest_due_date(form: Form, facts: Iterable[Fact]) -> date | None:
    """Return the due date that the latest of *facts* to have one tells."""
    dated = [fact for fact in facts if fact.due is not None]
    return max(dated, key=lambda fact: (fact_time(form, fact), in_order(fact))).due if dated else None


def in_order(fact: Fact) -> tuple[datetime, str, str, str, str]:
    """Sort facts by time; what came at the same instant, always in the same order."""
    return fact.at, fact.message, fact.unit, fact.milestone, fact.key
