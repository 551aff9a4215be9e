"""What an HTTP reply says beside its body.  Knows RFC 9110 headers; no SOAP, no partner."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

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
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), _LONGEST)
