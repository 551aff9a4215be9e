"""Decodes the chunked transfer coding (RFC 9112, section 7.1) within fixed bounds.

Does not know what the body is or who sends it.

It is stricter than the RFC allows a recipient to be: a line must end with CR LF. So a proxy in between cannot have read
a different body.
"""

import re
from collections.abc import Callable

import attrs

#: Maximum size of a chunk in octets: the largest signed 32-bit integer, which every proxy in between can hold. A body
#: is at most a fiftieth of it.
LARGEST = (1 << 31) - 1
#: Maximum octets of a line with a chunk's size and its extensions, which are ignored.
_LINE = 1024
#: Maximum octets of all trailer fields together, which are ignored.
_TRAILERS = 8192
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")


class Misframed(ValueError):
    """The octets are not a valid chunked body."""


@attrs.define(eq=False)
class ChunkedDecoder:
    """A transfer decoder with the interface that `HTTPChannel` expects.

    All chunks in one call of `dataReceived` are delivered in one call. A body of one-octet chunks therefore costs its
    reader no more calls than another body.
    """

    _deliver: Callable[[bytes], None]  #: receives octets of the body
    _finish: Callable[[bytes], None]  #: receives the octets after the body
    _rest: bytes = attrs.field(default=b"", init=False)  #: an incomplete line
    #: octets of the current chunk that are still to come, including its CR LF
    _due: int = attrs.field(default=0, init=False)
    #: octets of trailer fields so far; None before the last chunk
    _trailers: int | None = attrs.field(default=None, init=False)

    def dataReceived(self, data: bytes) -> None:
        """Decode *data*, the next octets of the connection. Raises `Misframed`."""
        data, self._rest = self._rest + data, b""
        parts: list[bytes] = []
        at = 0
        while True:
            if self._due:
                at = self._read_chunk(data, at, parts)
                if self._due:
                    break
            end = _end_of_line(data, at)
            if end < 0:
                self._rest = data[at:]
                break
            line, at = data[at:end], end + 2
            if self._trailers is not None:
                if not line:
                    self._pass_on(parts)
                    self._finish(data[at:])
                    return
                self._trailers += len(line)
                if self._trailers > _TRAILERS:
                    raise Misframed("too many trailer fields")
            else:
                self._begin_chunk(line)
        self._pass_on(parts)

    def _begin_chunk(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        size = int(found[1], 16) if found else LARGEST + 1
        if size > LARGEST:
            raise Misframed(f"a chunk's size: {line[:40]!r}")
        self._due = size + 2 if size else 0
        self._trailers = None if size else 0

    def _read_chunk(self, data: bytes, at: int, parts: list[bytes]) -> int:
        """Append the part of the current chunk that *data* holds from *at* to *parts*. Return where it ends."""
        content = data[at : at + max(self._due - 2, 0)]
        if content:
            parts.append(content)
        at += len(content)
        self._due -= len(content)
        if self._due <= 2:
            ending = data[at : at + self._due]
            if ending != b"\r\n"[2 - self._due :][: len(ending)]:
                raise Misframed("a chunk does not end where it said")
            at += len(ending)
            self._due -= len(ending)
        return at

    def _pass_on(self, parts: list[bytes]) -> None:
        if parts:
            self._deliver(b"".join(parts))


def _end_of_line(data: bytes, at: int) -> int:
    """Return where the line that starts at *at* ends, or -1 if its end has not arrived. Raises `Misframed`."""
    end = data.find(b"\n", at, at + _LINE + 2)
    if end < 0:
        if len(data) - at > _LINE:
            raise Misframed("a line is too long")
        return -1
    if end == at or data[end - 1] != 13:
        raise Misframed("a line ends without CR")
    return end - 1
