"""What the answers of many partners have in common: when to come again, JSON that may be anything, text that may be none.

Knows RFC 9110 and JSON; no SOAP, no partner.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from hub.domain.sanitize import replace_unstorable

_LONGEST = 3_600.0  #: one hour; who asks for more is asked again then


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how many seconds the partner asks us to wait (RFC 9110, 10.2.3): a number, or a date seen from *now*.

    *headers* has names in lower case.  None without the header or when it makes no sense; at most an hour, at least 0.
    """
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked), _LONGEST)
    try:
        until = parsedate_to_datetime(asked)
    except (ValueError, OverflowError):  # of a clock or an offset with twenty digits
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), _LONGEST)


def read_json(body: bytes) -> Any:
    """Return the JSON value that *body* is; None when it is none, whatever else it may be."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def read_json_text(value: object) -> str:
    """Return a text or whole number of JSON as text that can be kept and sent; nothing for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return replace_unstorable(str(value).strip())


def cut_snippet(body: bytes) -> str:
    """Return the beginning of *body* for people to read."""
    return body[:200].decode("utf-8", "replace")


def read_json_packet(written: object) -> bytes | None:
    """Return the octets of a packet *written* in JSON, as its base64 or as the XML it is; None where there is no text.

    Text that is neither is returned as it stands: whoever reads it will say what is wrong with it.
    """
    if not isinstance(written, str) or not written.strip():
        return None
    octets = written.encode("utf-8", "surrogatepass")
    if written.lstrip("\ufeff \t\r\n").startswith("<"):
        return octets
    try:
        return base64.b64decode(b"".join(octets.split()), validate=True)
    except ValueError:
        return octets
