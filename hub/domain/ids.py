"""Makes ids.  Knows UUIDv7 (RFC 9562, 5.7; sub-millisecond time in `rand_a`, 6.2 method 3); not what is named."""

import os
import uuid
from datetime import UTC, datetime, timedelta


def new_id(now: datetime) -> str:
    """Return a UUIDv7: ids of later microseconds sort after earlier ones."""
    milliseconds, microseconds = divmod(int(now.timestamp()) * 1_000_000 + now.microsecond, 1000)
    tail = int.from_bytes(os.urandom(8), "big")
    number = milliseconds << 80 | 0x7 << 76 | (microseconds * 4096 // 1000) << 64 | 0b10 << 62 | tail & (1 << 62) - 1
    return str(uuid.UUID(int=number))


def later_than_id(name: str, now: datetime) -> datetime:
    """Return *now*, or where the id *name* was made after it, by another clock or before a step of this one, a moment after *name*."""
    milliseconds = uuid.UUID(name).int >> 80
    return max(now, datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(milliseconds=milliseconds % 1000 + 1))
