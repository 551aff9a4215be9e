"""Splits a mail into its parts (RFC 2045, 2046).

Knows headers and boundaries. Does not know what a part contains or who signed it.

The library `email` reads only the headers, each block by itself. For a whole mail it would look at every line once for
each open part, in Python. Here the content between two boundaries is found by searching octets, whatever lines it has.

Everything that a mail can multiply is bounded: parts, headers, depth, lines that look like a boundary. Worst cost: as
much CPU time as 150 RSA-2048 signatures (45 ms) and one more for each 10 kB (100 ms for each MB of headers, 10 ms for
each MB of anything else).
"""

import re
from collections.abc import Iterator
from email.message import Message as Mime
from email.parser import HeaderParser
from email.policy import Compat32

import attrs

from adapters.mail.addresses import MailUnusable

PARTS = 1000  #: nested or side by side, packets included
DEPTH = 16  #: nested multiparts and mails
HEADS = 1 << 18  #: octets of all header blocks together
LOOKS = 5000  #: lines that begin like a boundary, including those that continue differently
#: Characters of a header field with parameters: each time such a field is read, `email` scans all text before each
#: semicolon.
FIELD = 4096
_WITH_PARAMETERS = {"content-type", "content-disposition"}
_BLANK = re.compile(rb"\r?\n\r?\n")
_START = re.compile(rb"\r?\n")
_BEHIND = re.compile(rb"(--)?[ \t]*(?=\r?\n|\Z)")


class _BoundedPolicy(Compat32):
    """The default policy of `email`, except that it refuses header fields that would keep the parser busy for hours."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        """See `Policy`."""
        name, value = super().header_source_parse(sourcelines)
        if name.lower() in _WITH_PARAMETERS and len(value) > FIELD:
            raise MailUnusable(f"{name} has more than {FIELD} characters")
        return name, value


_READER = HeaderParser(policy=_BoundedPolicy())


@attrs.frozen
class MailPart:
    """One part: its header block, and the position of its content in the octets of the mail."""

    head: Mime
    octets: bytes = attrs.field(repr=False)
    start: int
    end: int

    @property
    def kind(self) -> str:
        """Return its media type."""
        return self.head.get_content_type()

    @property
    def name(self) -> str:
        """Return its file name, as far as that is ASCII; empty if it has none."""
        found = self.head.get_param("filename", None, "content-disposition") or self.head.get_param("name", "")
        return str(found[2] if isinstance(found, tuple) else found).strip()

    @property
    def boundary(self) -> bytes:
        """Return the boundary between its parts; empty if it has none. Raises ValueError if it is not Latin-1 text."""
        found = self.head.get_param("boundary", "") if self.kind.startswith("multipart/") else ""
        return str(found[2] if isinstance(found, tuple) else found).rstrip().encode("latin-1")

    def content(self) -> bytes:
        """Return its content, decoded from its transfer encoding."""
        self.head.set_payload(self.octets[self.start : self.end])
        found = self.head.get_payload(decode=True)
        assert isinstance(found, bytes)
        return found


@attrs.define
class MailSplitter:
    """Splits one mail and counts against the bounds."""

    octets: bytes
    _parts: int = attrs.field(default=0, init=False)
    _heads: int = attrs.field(default=0, init=False)
    _looks: int = attrs.field(default=0, init=False)

    def part(self, start: int = 0, end: int | None = None) -> MailPart:
        """Return the part, or the whole mail, that begins at *start*. Raises MailUnusable if a bound is exceeded."""
        end = len(self.octets) if end is None else end
        self._parts += 1
        if self._parts > PARTS:
            raise MailUnusable(f"it has more than {PARTS} parts")
        left = HEADS - self._heads
        blank = _START.match(self.octets, start, end) or _BLANK.search(self.octets, start, min(end, start + left + 4))
        content = blank.end() if blank else end
        self._heads += content - start
        if self._heads > HEADS:
            raise MailUnusable(f"its headers have more than {HEADS} octets")
        head = _READER.parsestr(self.octets[start:content].decode("latin-1"))  # one character for each octet
        rest = head.get_payload()  # from the first line that is not a header field: this is content too
        return MailPart(head, self.octets, content - len(rest), end)

    def leaves(self, part: MailPart, depth: int = 0) -> Iterator[MailPart]:
        """Yield the parts inside *part*, or *part* itself, that contain no parts, in order.

        Raises MailUnusable beyond a bound.
        """
        boundary = part.boundary
        if not boundary and (not part.kind.startswith("message/") or part.kind == "message/delivery-status"):
            yield part
            return
        if depth == DEPTH:
            raise MailUnusable(f"its parts are nested more than {DEPTH} deep")
        if boundary:
            for start, end in self.between(part):
                yield from self.leaves(self.part(start, end), depth + 1)
        else:
            yield from self.leaves(self.part(part.start, part.end), depth + 1)

    def between(self, part: MailPart) -> Iterator[tuple[int, int]]:
        """Yield the start and end of each part inside *part*, up to the closing boundary or else the end."""
        begun: int | None = None
        for before, behind, closes in self.boundaries(part):
            if begun is not None:
                yield begun, max(begun, before)
            begun = None if closes else self._next_line(behind, part.end)
            if closes:
                return
        if begun is not None:
            yield begun, part.end

    def boundaries(self, part: MailPart) -> Iterator[tuple[int, int, bool]]:
        """Yield for each boundary in *part*: the end of the content before it, its own end, whether it closes.

        The line break before a boundary belongs to the boundary (RFC 2046, 5.1.1). Between two adjacent boundaries it
        belongs to both.
        """
        octets, mark = self.octets, b"--" + part.boundary
        at = (
            part.start
            if octets.startswith(mark, part.start, part.end)
            else octets.find(b"\n" + mark, part.start, part.end) + 1
        )
        while at:
            self._looks += 1
            if self._looks > LOOKS:
                raise MailUnusable(f"it has more than {LOOKS} lines that look like a boundary")
            if found := _BEHIND.match(octets, at + len(mark), part.end):
                before = max(part.start, at - (2 if octets[at - 2 : at] == b"\r\n" else 1))
                yield before, found.end(), bool(found[1])
            at = octets.find(b"\n" + mark, found.end() if found else at, part.end) + 1

    def _next_line(self, at: int, end: int) -> int:
        found = _START.match(self.octets, at, end)
        return found.end() if found else end
