"""Reads a body that comes in chunks (RFC 9112, 7.1).  Knows the framing and its bounds; not what the body is, nor who sends it.

Stricter than the RFC lets a reader be: a line ends with CR LF and nothing else, so that no proxy in between can have read another body.
"""

import re
from collections.abc import Callable

import attrs

#: The largest chunk, in octets: what a signed 32-bit integer of a proxy in between still holds; a body may be a fiftieth of it.
LARGEST = (1 << 31) - 1
#: A chunk's size with its extensions, which are not read, has at most so many octets.
_LINE = 1024
#: All trailer fields, which are not read, have together at most so many octets.
_TRAILERS = 8192
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")


class Misframed(ValueError):
    """These are no chunks."""


@attrs.define(eq=False)
class Chunks:
    """A transfer decoder as `HTTPChannel` uses one.

    What comes at once is delivered at once: a body of one octet a chunk costs its reader no more calls than another.
    """

    _deliver: Callable[[bytes], None]  #: is given octets of the body
    _finish: Callable[[bytes], None]  #: is given what came behind the body
    _rest: bytes = attrs.field(default=b"", init=False)  #: the beginning of a line
    _due: int = attrs.field(
        default=0, init=False
    )  #: octets of the chunk that are still to come, with the CR LF behind it
    _trailers: int | None = attrs.field(default=None, init=False)  #: octets of trailer fields, behind the last chunk

    def dataReceived(self, data: bytes) -> None:
        """Read *data*, the next octets of the connection.  Raises Misframed."""
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
        """Take what there is of the chunk from *at*, and return where it ends."""
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
    """Return where the line from *at* ends, -1 when its end has not come.  Raises Misframed when it does not end as it must."""
    end = data.find(b"\n", at, at + _LINE + 2)
    if end < 0:
        if len(data) - at > _LINE:
            raise Misframed("a line is too long")
        return -1
    if end == at or data[end - 1] != 13:
        raise Misframed("a line ends without CR")
    return end - 1
