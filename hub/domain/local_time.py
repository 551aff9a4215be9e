"""The day in Hà Nội, by which deadlines, periods and the lives of units are counted.  Knows the zone; no clock."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")


def local_day(now: datetime) -> date:
    """Return the day it is in Hà Nội."""
    return now.astimezone(HANOI).date()
