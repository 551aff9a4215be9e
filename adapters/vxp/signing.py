"""How the axis knows who calls: every logical header twice, once by itself and once in a JSON object that an HMAC covers.

Knows the header scheme of the SDK (README.md); not what is asked, nor what an answer means.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

PREFIX = "XroadVnpt-"
#: The SDK writes the time of its machine, without a zone: that of Hà Nội.
HANOI = timezone(timedelta(hours=7))

Headers = tuple[tuple[str, str], ...]


def sign_headers(fields: Sequence[tuple[str, str]], secret: str, version: str) -> Headers:
    """Return the HTTP headers that carry the logical headers *fields*, in order, signed with *secret*.

    The text that is signed is sent too, so that the order of its names is nobody's business but ours; it is ASCII, as a header is.
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
    """Return *now* as the SDK writes it, `ddMMyyyy'T'HHmmss+SSSS`: what follows the plus sign are milliseconds, not a zone."""
    local = now.astimezone(HANOI)
    return f"{local:%d%m%YT%H%M%S}+{local.microsecond // 1000:04}"


def hash_vxp_file(content: bytes, digits: str) -> str:
    """Return the SHA-256 of *content* for `hash-file`.

    `full`: 64 hex digits.  `short`: as SDK 2.0.1 writes it, an octet below sixteen with one digit in place of two.
    """
    octets = hashlib.sha256(content).digest()
    return octets.hex() if digits == "full" else "".join(f"{octet:x}" for octet in octets)
