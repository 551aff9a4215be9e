"""Makes ids.  Knows UUIDv7 (RFC 9562, 5.7; sub-millisecond time in `rand_a`, 6.2 method 3); not what is named."""

import os
import uuid
from datetime import datetime


def new_id(now: datetime) -> str:
    """Return a UUIDv7: ids of later microseconds sort after earlier ones."""
    milliseconds, microseconds = divmod(int(now.timestamp()) * 1_000_000 + now.microsecond, 1000)
    tail = int.from_bytes(os.urandom(8), "big")
    number = milliseconds << 80 | 0x7 << 76 | (microseconds * 4096 // 1000) << 64 | 0b10 << 62 | tail & (1 << 62) - 1
    return str(uuid.UUID(int=number))
