"""Reads one HTTP/1.1 answer from the octets of a connection (RFC 9112), whatever pieces they come in.

Bounds the head and the body, and refuses an answer whose end it cannot know. Opens no connection, and does not know
what was asked.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

import attrs
from twisted.web.http import _ChunkedTransferDecoder, _MalformedChunkedDataError

#: Maximum size of an answer's head (status line and headers), with those of interim answers, in octets.
HEAD = 256 * 1024
#: The empty line after the head. Some servers end lines with a line feed alone.
_END = re.compile(rb"\n\r?\n")
_STATUS = re.compile(rb"HTTP/[0-9]\.[0-9] ([1-9][0-9]{2})(?: .*)?", re.DOTALL)
#: The beginning of a line that continues the one before it (RFC 9112, 5.2).
_FOLD = re.compile(r"\r?\n[ \t]+")
_NUMBER = re.compile(rb"[0-9]{1,18}")
#: Headers that belong to the connection and are not given to the reader of the answer.
_OF_CONNECTION = frozenset(
    {
        *("connection", "content-length", "keep-alive", "proxy-connection", "te", "trailers"),
        *("transfer-encoding", "upgrade"),
    }
)
#: Statuses of answers without a body (RFC 9112, 6.3).
_BODILESS = frozenset({204, 304})


class AnswerBroken(Exception):
    """The octets are no HTTP answer, or end before it does."""


class BodyTooLong(Exception):
    """The answer has more octets than allowed."""


@attrs.frozen
class CompleteAnswer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]  #: names in lower case; of several with one name the last; without the connection's own
    body: bytes


@attrs.define(eq=False)
class AnswerReader:
    """Reads one answer."""

    _limit: int | None  #: maximum size of the body, in octets; None: the body is left unread
    _bodiless: bool = False  #: the request was HEAD, whose answer has no body
    answer: CompleteAnswer | None = attrs.field(default=None, init=False)  #: the answer, when it is whole
    #: whether the connection can be used again: the server does not close it, and sent nothing after the answer
    reusable: bool = attrs.field(default=False, init=False)
    _read: bytearray = attrs.field(factory=bytearray, init=False)  #: the head so far, then the body so far
    _seen: int = attrs.field(default=0, init=False)  #: octets of the heads of interim answers
    _status: int = attrs.field(default=0, init=False)  #: 0: the head is not whole yet
    _headers: Mapping[str, str] = attrs.field(default=MappingProxyType({}), init=False)
    _length: int = attrs.field(default=0, init=False)  #: octets of the body, unless it comes in chunks
    _chunks: _ChunkedTransferDecoder | None = attrs.field(default=None, init=False)

    def feed(self, data: bytes) -> CompleteAnswer | None:
        """Read *data* and return the answer when it is whole. Raises AnswerBroken or BodyTooLong."""
        if self._status:
            return self._read_body(data)
        before = len(self._read)
        self._read += data
        while True:
            ends = _END.search(self._read, max(0, before - 2))
            end = ends.end() if ends else len(self._read)
            if self._seen + end > HEAD:
                raise BodyTooLong(f"the head of the answer is longer than {HEAD} octets")
            if ends is None:
                return None
            self._seen, before = self._seen + end, 0
            self._read_head(bytes(self._read[:end]))
            if self._status:
                data, self._read = bytes(self._read[end:]), bytearray()
                return self._read_body(data)
            del self._read[:end]

    def _read_head(self, head: bytes) -> None:
        """Read a head, unless it is of an interim answer (RFC 9110, 15.2)."""
        first, _, rest = head.partition(b"\n")
        status = _STATUS.fullmatch(first.rstrip(b"\r"))
        if status is None:
            raise AnswerBroken("the answer has no valid HTTP status")
        code = int(status[1])
        if code < 200:
            return
        headers = _read_headers(rest)
        named = {name: values[-1] for name, values in headers.items() if name not in _OF_CONNECTION}
        self._status, self._headers = code, named
        listed = ",".join(headers.get("connection", ())).lower()
        self.reusable = first.startswith(b"HTTP/1.1 ") and "close" not in map(str.strip, listed.split(","))
        if code in _BODILESS or self._bodiless:
            return
        if self._limit is None:
            self.reusable = False  # the body is still to come
            return
        encodings = headers.get("transfer-encoding")
        if encodings is None:
            self._length = _read_length(headers.get("content-length"))
            self._check_length(self._length)
            return
        if [each.lower() for each in encodings] != ["chunked"]:
            raise AnswerBroken(f"Transfer-Encoding: {', '.join(encodings)[:100]}")
        self.reusable = self.reusable and "content-length" not in headers  # RFC 9112, 6.3
        self._chunks = _ChunkedTransferDecoder(self._keep, self._end)

    def _read_body(self, data: bytes) -> CompleteAnswer | None:
        if self._chunks is not None:
            try:
                self._chunks.dataReceived(data)
            except _MalformedChunkedDataError as error:
                raise AnswerBroken(f"the chunks of the answer are broken: {error}") from None
            return self.answer
        left = self._length - len(self._read)
        if len(data) < left:
            self._read += data
            return None
        whole = data[:left]
        self._finish(bytes(self._read) + whole if self._read else whole, data[left:])
        return self.answer

    def _keep(self, chunk: bytes) -> None:
        self._check_length(len(self._read) + len(chunk))
        self._read += chunk  # not a list of chunks: each chunk of two octets would take fifty octets of memory

    def _check_length(self, length: int) -> None:
        if self._limit is not None and length > self._limit:
            raise BodyTooLong(f"the answer is longer than {self._limit} octets")

    def _end(self, rest: bytes) -> None:
        self._finish(bytes(self._read), rest)

    def _finish(self, body: bytes, rest: bytes) -> None:
        self.reusable = self.reusable and not rest
        self.answer = CompleteAnswer(self._status, self._headers, body)


def _read_headers(lines: bytes) -> dict[str, list[str]]:
    """Return the values of the headers in *lines*, by name in lower case."""
    found: dict[str, list[str]] = {}
    for line in _FOLD.sub(" ", lines.decode("latin-1")).split("\n"):
        name, colon, value = line.removesuffix("\r").partition(":")
        if colon and not line.startswith((" ", "\t")):
            found.setdefault(name.rstrip().lower(), []).append(value.strip())
        elif line not in {"", "\r"}:
            raise AnswerBroken(f"a line of the head is no header: {line[:100]!r}")
    return found


def _read_length(values: list[str] | None) -> int:
    """Return the Content-Length that all *values* state (RFC 9110, 8.6). Raises AnswerBroken."""
    if values is None:
        # its end would be that of the connection, which anyone in between can bring about
        raise AnswerBroken("the answer says neither its length nor that it comes in chunks")
    said = {each.strip() for value in values for each in value.split(",")}
    if (
        any(_NUMBER.fullmatch(each.encode("latin-1")) is None for each in said)
        or len({int(each) for each in said}) != 1
    ):
        raise AnswerBroken(f"Content-Length: {', '.join(values)[:100]}")
    return int(said.pop())
