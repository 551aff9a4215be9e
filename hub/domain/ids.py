"""Makes ids as UUIDv7 (RFC 9562, 5.7; sub-millisecond time in `rand_a`, 6.2 method 3).

Does not know what an id names.
"""

import os
import uuid
from datetime import UTC, datetime, timedelta

_EPOCH = datetime.fromtimestamp(0, UTC)


def make_id(now: datetime) -> str:
    """Return a UUIDv7. Ids of later microseconds sort after ids of earlier ones."""
    tail = int.from_bytes(os.urandom(8), "big")
    return _write_uuid(_place_time(now) | tail & (1 << 62) - 1)


def make_first_id(at: datetime) -> str:
    """Return the first id of the microsecond *at*: ids of earlier ones sort before it. At the earliest that of 1970."""
    return _write_uuid(_place_time(max(at, _EPOCH)))


def read_moment(name: str) -> int:
    """Return the time in the id *name*, in microseconds since 1970."""
    number = int(name.replace("-", ""), 16)
    return (number >> 80) * 1000 - (-(number >> 64 & 0xFFF) * 1000 // 4096)


def make_moment(at: datetime) -> int:
    """Return the instant *at* in microseconds since 1970; at the earliest 1970."""
    return _count_microseconds(max(at, _EPOCH))


def make_first_id_of(moment: int) -> str:
    """Return the first id of *moment*, in microseconds since 1970."""
    return _write_uuid(_place_moment(moment))


def _write_uuid(number: int) -> str:
    """Return the UUID *number* as text. `str(uuid.UUID(...))` takes three times as long."""
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _place_time(at: datetime) -> int:
    """Return the number of a UUIDv7 of *at* whose random bits are zero."""
    return _place_moment(_count_microseconds(at))


def _count_microseconds(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _place_moment(moment: int) -> int:
    milliseconds, microseconds = divmod(moment, 1000)
    return milliseconds << 80 | 0x7 << 76 | (microseconds * 4096 // 1000) << 64 | 0b10 << 62


def choose_later_time(name: str, now: datetime) -> datetime:
    """Return *now*, or, if *now* is not later than the time in the id *name*, the moment just after that time.

    The id can be newer than *now* when another node's clock made it, or when this clock was set back.
    """
    milliseconds = uuid.UUID(name).int >> 80
    return max(now, datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(milliseconds=milliseconds % 1000 + 1))
