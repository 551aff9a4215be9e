"""Parses what the answers of many partners have in common: Retry-After, untrusted JSON, packets as text.

Knows RFC 9110 and JSON, no SOAP and no partner.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from hub.domain.sanitize import replace_unstorable

_LONGEST = 3_600.0  #: one hour; a longer delay is cut to this
_SEE_OTHER = 303  #: the result of the call is elsewhere (RFC 9110, 15.4.4)
#: Statuses of a server that did nothing: not implemented, not available, another HTTP, no network (RFC 6585, 6).
_NOT_DONE = frozenset({501, 503, 505, 511})


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the delay that the partner asks for, in seconds (RFC 9110, 10.2.3): a number, or a date relative to *now*.

    *headers* has names in lower case. Returns None when the header is absent or invalid. The result is between 0 and
    one hour.
    """
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked), _LONGEST)
    try:
        until = parsedate_to_datetime(asked)
    except (ValueError, OverflowError):  # a time or a UTC offset of twenty digits
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), _LONGEST)


def may_have_taken(status: int) -> bool:
    """Tell whether a partner may have executed a call that it, or a proxy, answered unreadably with this HTTP *status*.

    It may under 2xx and 303, and where something failed at it or behind the proxy: 500, 502, 504, and what is not
    defined, which counts as 500 (RFC 9110, 15 and 15.6).
    """
    return 200 <= status < 300 or status == _SEE_OTHER or (500 <= status < 600 and status not in _NOT_DONE)


def read_json(body: bytes) -> Any:
    """Return the JSON value in *body*, or None when *body* is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def read_json_text(value: object) -> str:
    """Return a JSON string or integer as text that can be stored and sent, or "" for any other value."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return replace_unstorable(str(value).strip())


def cut_snippet(body: bytes) -> str:
    """Return the first 200 octets of *body* as text for people to read."""
    return body[:200].decode("utf-8", "replace")


def read_json_packet(written: object) -> bytes | None:
    """Return the octets of a packet *written* in JSON, as base64 or as XML. None where there is no text.

    Text that is neither is returned as it is: the parser that reads it reports what is wrong.
    """
    return read_packet_text(written) if isinstance(written, str) and written.strip() else None


def read_packet_text(text: str) -> bytes:
    """Return what *text* stands for: itself if it is XML, or else the octets of base64; itself if it is neither."""
    octets = text.encode("utf-8", "surrogatepass")
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return octets
    try:
        return base64.b64decode(b"".join(octets.split()), validate=True)
    except ValueError:
        return octets
