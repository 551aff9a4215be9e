"""The header signature by which the axis authenticates its callers.

Every logical header is sent twice: by itself, and in a JSON object that an HMAC covers. Knows the header scheme of the
SDK (README.md). Knows no operation and no answer.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

PREFIX = "XroadVnpt-"
#: The SDK writes its machine's local time without a zone: that of Hà Nội.
HANOI = timezone(timedelta(hours=7))

Headers = tuple[tuple[str, str], ...]


def sign_headers(fields: Sequence[tuple[str, str]], secret: str, version: str) -> Headers:
    """Return the HTTP headers that carry the logical headers *fields*, in order, signed with *secret*.

    The signed text is sent too, so the order of its names is free. It is ASCII, as a header must be.
    """
    text = json.dumps({f"{PREFIX}{name}": value for name, value in fields}, separators=(",", ":"))
    return (
        *((f"{PREFIX}{name}", value) for name, value in fields),
        (f"{PREFIX}sign-header-key", ";".join(name for name, _ in fields)),
        (f"{PREFIX}sign-header", text),
        (f"{PREFIX}hash-header", hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()),
        (f"{PREFIX}version", version),
    )


def write_vxp_timestamp(now: datetime) -> str:
    """Return *now* as the SDK writes it, `ddMMyyyy'T'HHmmss+SSSS`.

    The digits after the plus sign are milliseconds, not a zone.
    """
    local = now.astimezone(HANOI)
    return f"{local:%d%m%YT%H%M%S}+{local.microsecond // 1000:04}"


def hash_vxp_file(content: bytes, digits: str) -> str:
    """Return the SHA-256 of *content* for `hash-file`.

    `full`: 64 hex digits. `short`: as SDK 2.0.1 writes it, where an octet below 16 has one digit instead of two.
    """
    octets = hashlib.sha256(content).digest()
    return octets.hex() if digits == "full" else "".join(f"{octet:x}" for octet in octets)
