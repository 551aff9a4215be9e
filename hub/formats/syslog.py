"""Reads syslog: messages cut out of a stream (RFC 5425, RFC 6587), and one message (RFC 5424).  Knows octets; no incident.

Both ways of framing are taken, by how a message begins: octet counting, as RFC 5425 demands it over TLS, and the line feed that
ends a message of older senders.

Worst cost: of a message, as long as ten signatures by RSA-2048 (3 ms), of which it may have 64 KiB and 1000 parameters; of a stream, 1 µs
for each octet that comes by itself and 2 for each message.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import attrs

from hub.domain.sanitize import replace_unstorable

LONGEST = 1 << 16  #: octets of one message; RFC 5425 asks for 2048 at least, and for 8192
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp"),
    *("audit", "alert", "clock", *(f"local{number}" for number in range(8))),
)
SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")

_COUNTED = re.compile(rb"([1-9][0-9]{0,7}) ")
_BEGUN = re.compile(rb"[1-9][0-9]{0,7}")
_PRINTED = rb"[\x21-\x7e]"
_HEADER = re.compile(
    rb"<(0|[1-9][0-9]{0,2})>1 (-|%b{10,35}) (%b{1,255}) (%b{1,48}) (%b{1,128}) (%b{1,32}) " % ((_PRINTED,) * 5)
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_NAME = rb"[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}"  # printed, but no " = ]
_ELEMENT = re.compile(rb'\[(%b)((?: %b="(?:[^"\\\]]|\\.)*")*)\]' % (_NAME, _NAME), re.DOTALL)
_PARAMETER = re.compile(rb' (%b)="((?:[^"\\\]]|\\.)*)"' % _NAME, re.DOTALL)
_BOM = b"\xef\xbb\xbf"
_ELEMENTS, _PARAMETERS = 100, 1000  #: of one message


class Unframed(Exception):
    """Nobody can tell where the next message of a stream begins: it is of no further use."""


@attrs.frozen(kw_only=True)
class SyslogLine:
    """One message; what it leaves out (`-`) is empty."""

    facility: str
    severity: int  #: 0 emergency … 7 debug: `SEVERITIES`
    at: datetime | None  #: in UTC, by the sender's clock
    host: str
    app: str
    process: str
    kind: str  #: MSGID
    data: Mapping[str, Mapping[str, str]]  #: SD-ID → name → value; of a repeated name the first
    text: str


def read_syslog_message(octets: bytes) -> SyslogLine:
    """Return the message that *octets* are.  Raises ValueError, saying what is wrong, for what RFC 5424 has no room for."""
    found = _HEADER.match(octets)
    if found is None or len(octets) > LONGEST:
        raise ValueError("no header of RFC 5424" if found is None else f"{len(octets)} octets; at most {LONGEST}")
    priority = int(found[1])
    if priority > 191:
        raise ValueError(f"PRI is {priority}")
    facility, severity = divmod(priority, 8)
    data, at = _data(octets, found.end())
    said = octets[at + 1 :]
    if octets[at : at + 1] not in {b"", b" "}:
        raise ValueError(f"octet {at}: neither the end nor a space")
    host, app, process, kind = ("" if word == b"-" else word.decode("ascii") for word in found.groups()[2:])
    return SyslogLine(
        facility=FACILITIES[facility],
        severity=severity,
        at=_time(found[2].decode("ascii")),
        host=host,
        app=app,
        process=process,
        kind=kind,
        data=data,
        text=replace_unstorable(
            said.removeprefix(_BOM).decode("utf-8", "replace")
        ),  # without BOM: any encoding (RFC 5424, 6.4)
    )


def _time(written: str) -> datetime | None:
    if written == "-":
        return None
    if not _TIME.fullmatch(written):
        raise ValueError(f"TIMESTAMP is {written}")
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"TIMESTAMP is {written}") from None


def _data(octets: bytes, at: int) -> tuple[dict[str, Mapping[str, str]], int]:
    """Return the structured data that begins *at*, and where it ends.  Raises ValueError."""
    if octets[at : at + 1] == b"-":
        return {}, at + 1
    found: dict[str, Mapping[str, str]] = {}
    number = 0
    while element := _ELEMENT.match(octets, at):
        name, at = element[1].decode("ascii"), element.end()
        if name in found or len(found) == _ELEMENTS:
            raise ValueError(f"SD-ID {name} stands there twice" if name in found else "too many SD-ELEMENTs")
        values: dict[str, str] = {}
        for parameter in _PARAMETER.finditer(element[2]):
            number += 1
            if number > _PARAMETERS:
                raise ValueError("too many SD-PARAMs")
            values.setdefault(parameter[1].decode("ascii"), replace_unstorable(_meant(parameter[2].decode())))
        found[name] = values
    if not found:
        raise ValueError(f"octet {at}: no structured data")
    return found, at


def _meant(value: str) -> str:
    """Return what a PARAM-VALUE stands for: of a backslash before a quotation mark, a bracket or another backslash only these (6.3.3)."""
    return "\\".join(part.replace('\\"', '"').replace("\\]", "]") for part in value.split("\\\\"))


@attrs.define
class Stream:
    """Cuts what comes over one connection into messages."""

    _left: bytearray = attrs.field(factory=bytearray, init=False)

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """Yield each message that *octets* complete.  Raises Unframed."""
        self._left += octets
        at = 0
        try:
            while (found := self._next(at)) is not None:
                message, at = found
                if message:
                    yield message
        finally:
            del self._left[:at]

    def _next(self, at: int) -> tuple[bytes, int] | None:
        """Return the message at *at* and where the next begins; None while it is not all there."""
        first = bytes(self._left[at : at + 1])
        if first == b"<":
            end = self._left.find(b"\n", at, at + LONGEST + 1)
            if end < 0 and len(self._left) - at > LONGEST:
                raise Unframed(f"more than {LONGEST} octets without a line feed")
            return None if end < 0 else (bytes(self._left[at:end].removesuffix(b"\r")), end + 1)
        if first in {b"\n", b"\r", b"\0"}:  # between two messages
            return b"", at + 1
        counted = _COUNTED.match(self._left, at, at + 9)
        if counted is None:
            if first and not _BEGUN.fullmatch(self._left, at, at + 9):
                raise Unframed(f"neither a length nor a message: {bytes(self._left[at : at + 20])!r}")
            return None
        length = int(counted[1])
        if length > LONGEST:
            raise Unframed(f"a message of {length} octets; at most {LONGEST}")
        end = counted.end() + length
        return None if end > len(self._left) else (bytes(self._left[counted.end() : end]), end)
