"""Converts times to the day in Hà Nội, which counts for deadlines, periods and the active days of units.

Reads no clock.
"""

from datetime import date, datetime
from zoneinfo import ZoneInfo

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")


def find_local_day(now: datetime) -> date:
    """Return the calendar day in Hà Nội at *now*."""
    return now.astimezone(HANOI).date()
