"""The W3C trace context of a message: by it the traces of a partner, of the hub and of the next partner are one.

A caller's `traceparent` is kept with its message and sent on with each attempt to deliver it. A message that came without
one begins a trace whose id is the message's own. Knows texts only: W3C Trace Context, Recommendation of 23 November 2021.
"""

import re
from hashlib import sha256

#: Section 3.2.2.3, with section 3.2.2.1: a later version may append fields behind another “-”.
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_LONGEST = 512


def read_traceparent(header: str | None) -> str | None:
    """Return the header `traceparent` of a call in the form of version 00, or None if it is missing or not valid.

    Section 4.3: who cannot read it goes on as if there were none. So nobody is refused for it.
    """
    if header is None or len(header) > _LONGEST:
        return None
    found = _FORM.fullmatch(header.strip())
    if found is None:
        return None
    version, trace, parent, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace, 16) or not int(parent, 16):
        return None
    # section 3.2.2.4: of the flags only “sampled” is known
    return f"00-{trace}-{parent}-{int(flags, 16) & 1:02x}"


def find_trace_id(message: str, traceparent: str | None) -> str:
    """Return the trace id, 32 hexadecimal digits, of the message with this hub id: that of its caller, or its own."""
    return message.replace("-", "") if traceparent is None else traceparent[3:35]


def write_attempt_traceparent(message: str, traceparent: str | None, partner: str, attempt: int) -> str:
    """Return the header of an attempt to deliver a message to *partner*. The same attempt has the same header."""
    span = sha256(f"{message} {partner} {attempt}".encode()).hexdigest()[:16]
    flags = "00" if traceparent is None else traceparent[-2:]
    return f"00-{find_trace_id(message, traceparent)}-{span}-{flags}"
