"""Keeps a demo within one day. Reads no clock.

What the partners' books and the hub's reports say of a day, such as what is overdue, is compared at the end: both must
mean the same day in Hà Nội, and the same period.
"""

from datetime import datetime, timedelta

from hub.domain.local_time import find_local_day, find_local_midnight

#: The time that a demo needs, and one with the whole province: several times what they take on two idle cores.
SMALL, WHOLE = timedelta(minutes=2), timedelta(minutes=10)


def find_wait(now: datetime, needed: timedelta) -> timedelta:
    """Return how long to wait before a demo that takes up to *needed*: until midnight in Hà Nội if that is nearer."""
    left = find_local_midnight(find_local_day(now) + timedelta(days=1)) - now
    return left if left < needed else timedelta(0)
