"""Reads and writes syslog: splits a stream into messages (RFC 5425, RFC 6587), parses and writes one message (RFC 5424).

Knows octets. Does not know incidents.

Accepts both kinds of framing, recognised by the first octet of each message: octet counting, which RFC 5425 requires
over TLS, and the line feed at the end of messages of older senders.

Worst cost: a message, which may have 64 KiB and 1000 parameters, takes as long as ten RSA-2048 signatures (3 ms). A
stream takes 1 µs per octet that arrives alone, and 2 µs per message.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import attrs

from hub.domain.sanitize import replace_controls, replace_unstorable

LONGEST = 1 << 16  #: maximum octets of one message; RFC 5425 requires at least 2048 and recommends 8192
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
_NAME = rb"[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}"  # printable, except `"`, `=` and `]`
_ELEMENT = re.compile(rb'\[(%b)((?: %b="(?:[^"\\\]]|\\.)*")*)\]' % (_NAME, _NAME), re.DOTALL)
_PARAMETER = re.compile(rb' (%b)="((?:[^"\\\]]|\\.)*)"' % _NAME, re.DOTALL)
_BOM = b"\xef\xbb\xbf"
_ELEMENTS, _PARAMETERS = 100, 1000  #: maxima per message


class Unframed(Exception):
    """The start of the next message in a stream cannot be found. The stream is unusable from here on."""


@attrs.frozen(kw_only=True)
class SyslogLine:
    """One syslog message. An omitted field (`-`) is empty."""

    facility: str
    severity: int  #: 0 emergency … 7 debug: `SEVERITIES`
    at: datetime | None  #: in UTC, by the sender's clock
    host: str
    app: str
    process: str
    kind: str  #: MSGID
    data: Mapping[str, Mapping[str, str]]  #: SD-ID → name → value; of a repeated name only the first value
    text: str


def read_syslog_message(octets: bytes) -> SyslogLine:
    """Return the message in *octets*. Raises ValueError with the reason if it does not follow RFC 5424."""
    found = _HEADER.match(octets)
    if found is None or len(octets) > LONGEST:
        raise ValueError("no RFC 5424 header" if found is None else f"{len(octets)} octets; at most {LONGEST}")
    priority = int(found[1])
    if priority > 191:
        raise ValueError(f"PRI is {priority}")
    facility, severity = divmod(priority, 8)
    data, at = _read_structured_data(octets, found.end())
    said = octets[at + 1 :]
    if octets[at : at + 1] not in {b"", b" "}:
        raise ValueError(f"octet {at}: neither the end of the message nor a space")
    host, app, process, kind = ("" if word == b"-" else word.decode("ascii") for word in found.groups()[2:])
    return SyslogLine(
        facility=FACILITIES[facility],
        severity=severity,
        at=_read_syslog_time(found[2].decode("ascii")),
        host=host,
        app=app,
        process=process,
        kind=kind,
        data=data,
        text=replace_unstorable(
            said.removeprefix(_BOM).decode("utf-8", "replace")
        ),  # without a BOM the encoding is unknown (RFC 5424, 6.4)
    )


def write_syslog_message(
    text: str, *, severity: int, at: datetime, host: str, app: str, kind: str, facility: str = "daemon"
) -> bytes:
    """Return a message of RFC 5424 without structured data; *severity*: 0 to 7, *kind*: MSGID.

    What a field of the header cannot hold becomes `_`; line breaks in *text* become spaces, so that any transport takes it,
    and other controls U+FFFD: who reads a log on a terminal reads text.
    """
    priority = FACILITIES.index(facility) * 8 + severity
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = replace_controls(" ".join(text.split()))
    fields = (_header_field(host, 255), _header_field(app, 48), "-", _header_field(kind, 32), "-")
    return f"<{priority}>1 {moment} {' '.join(fields)} ".encode("ascii") + _BOM + said.encode()


def frame_syslog_message(message: bytes) -> bytes:
    """Return *message* with its length before it, as octet counting wants (RFC 6587, 3.4.1; RFC 5425, 4.3)."""
    return b"%d %b" % (len(message), message)


def _header_field(text: str, most: int) -> str:
    return re.sub(r"[^!-~]", "_", text)[:most] or "-"


def _read_syslog_time(written: str) -> datetime | None:
    if written == "-":
        return None
    if not _TIME.fullmatch(written):
        raise ValueError(f"TIMESTAMP is {written}")
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"TIMESTAMP is {written}") from None


def _read_structured_data(octets: bytes, at: int) -> tuple[dict[str, Mapping[str, str]], int]:
    """Return the structured data that begins at *at*, and the position of its end. Raises ValueError."""
    if octets[at : at + 1] == b"-":
        return {}, at + 1
    found: dict[str, Mapping[str, str]] = {}
    number = 0
    while element := _ELEMENT.match(octets, at):
        name, at = element[1].decode("ascii"), element.end()
        if name in found or len(found) == _ELEMENTS:
            raise ValueError(f"SD-ID {name} is repeated" if name in found else "too many SD-ELEMENTs")
        values: dict[str, str] = {}
        for parameter in _PARAMETER.finditer(element[2]):
            number += 1
            if number > _PARAMETERS:
                raise ValueError("too many SD-PARAMs")
            values.setdefault(parameter[1].decode("ascii"), replace_unstorable(_unescape_value(parameter[2].decode())))
        found[name] = values
    if not found:
        raise ValueError(f"octet {at}: no structured data")
    return found, at


def _unescape_value(value: str) -> str:
    """Return a PARAM-VALUE without its escapes.

    A backslash escapes only a quotation mark, a bracket or another backslash (6.3.3).
    """
    return "\\".join(part.replace('\\"', '"').replace("\\]", "]") for part in value.split("\\\\"))


@attrs.define
class Stream:
    """Splits the octets of one connection into messages."""

    _left: bytearray = attrs.field(factory=bytearray, init=False)

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """Yield each message that *octets* complete. Raises Unframed."""
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
        """Return the message at *at* and the position of the next one. Return None while it is incomplete."""
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
