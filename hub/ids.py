"""Makes ids.  Knows UUIDv7 (RFC 9562, 5.7) and nothing about what is named."""

import os
import uuid
from datetime import datetime


def new_id(now: datetime) -> str:
    """Return a UUIDv7: ids of later milliseconds sort after earlier ones."""
    milliseconds = int(now.timestamp() * 1000)
    tail = int.from_bytes(os.urandom(10), "big")
    number = milliseconds << 80 | 0x7 << 76 | (tail >> 62 & 0xFFF) << 64 | 0b10 << 62 | tail & (1 << 62) - 1
    return str(uuid.UUID(int=number))
