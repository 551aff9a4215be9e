"""Converts times to the day in Hà Nội, which counts for deadlines, periods and the active days of units.

Reads and writes times as people do. Reads no clock.
"""

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")


def find_local_day(now: datetime) -> date:
    """Return the calendar day in Hà Nội at *now*."""
    return now.astimezone(HANOI).date()


def find_local_midnight(day: date) -> datetime:
    """Return the first instant of *day* in Hà Nội, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=HANOI).astimezone(UTC)


#: `27/11/2026`, `27/11/2026 8:00`, `8:00 27/11/2026` with or without seconds.
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(:(?P<second>\d{2}))?"
_DAY = r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4})"
_WRITTEN = (re.compile(f"{_DAY}([ T]+{_CLOCK})?", re.ASCII), re.compile(f"{_CLOCK}[ ]+{_DAY}", re.ASCII))


def parse_local_time(text: str) -> datetime:
    """Return the instant that *text* names, in UTC: a day or a time as in Việt Nam, or in ISO 8601.

    Without an offset it is in Hà Nội; a day is its beginning. Raises ValueError.
    """
    read = _read_written_time(" ".join(text.split()))
    try:
        return (read if read.tzinfo else read.replace(tzinfo=HANOI)).astimezone(UTC)
    except OverflowError:  # at the edge of the calendar
        raise ValueError(text) from None


def _read_written_time(said: str) -> datetime:
    for form in _WRITTEN:
        if found := form.fullmatch(said):
            parts = {name: int(value) for name, value in found.groupdict().items() if value is not None}
            return datetime(**parts, tzinfo=HANOI)
    return datetime.fromisoformat(said)


#: An instant in ISO 8601, as events and JSON have it.
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def localise_instant(text: str) -> str:
    """Return *text*; an instant in ISO 8601 as dd/MM/yyyy HH:mm:ss in Hà Nội."""
    return write_local_time(datetime.fromisoformat(text)) if _INSTANT.fullmatch(text) else text


def write_local_time(value: datetime) -> str:
    """Return an instant as dd/MM/yyyy HH:mm:ss in Hà Nội."""
    return f"{value.astimezone(HANOI):%d/%m/%Y %H:%M:%S}"
