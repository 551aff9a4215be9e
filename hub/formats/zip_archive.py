"""Many members in one file: a ZIP of one form alone, which any program opens.  Knows octets and places; not what members say.

Nothing is compressed, nothing has an attribute, nothing stands between or beside the members: of the same members there is one file,
and each of its octets is a member's or follows from them.  So a reader has no choice to make, and nothing can be hidden or blown up.
Source of the format: APPNOTE 6.3.9, 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (ends), 4.5.3 (ZIP64).
"""

import re
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import IO
from zlib import crc32

import attrs

PIECE = 256 * 1024  #: octets read or written at a time
MOST = 250_000  #: members of one bundle
LARGEST = 0xFFFFFFFE  #: octets of one member

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)?", re.ASCII)
_LONGEST = 200
_LOCAL, _CENTRAL = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L")
_END64, _PLACE64, _END = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL"), struct.Struct("<4s4H2LH")
_OPENS, _LISTS = b"PK\x03\x04", b"PK\x01\x02"
_PLAIN, _WIDE = 10, 45  # the versions needed: of a stored member, of ZIP64
_MADE_BY, _MODE = 3 << 8 | _WIDE, 0o100644 << 16  # Unix; a file that all may read
_DATE = 1 << 5 | 1  # 1 January 1980, the first day there is
_NO16, _NO32 = 0xFFFF, 0xFFFFFFFF


class Malformed(Exception):
    """The file is no bundle: *where* is a member's name, or the octet; the text says what is wrong."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where, self.what = where, what


@attrs.frozen
class Member:
    """One member: its name, where its octets begin, how many they are, and their CRC-32."""

    name: str
    start: int
    size: int
    crc: int

    @property
    def header(self) -> bytes:
        """Return what stands before its octets."""
        name = self.name.encode("ascii")
        sizes = (self.crc, self.size, self.size, len(name), 0)
        return _LOCAL.pack(_OPENS, _PLAIN, 0, 0, 0, _DATE, *sizes) + name

    @property
    def place(self) -> int:
        """Return where its header begins."""
        return self.start - _LOCAL.size - len(self.name)


@attrs.define
class Packing:
    """A bundle in the making, in a file that is empty and can be sought in."""

    _file: IO[bytes]
    members: list[Member] = attrs.field(factory=list)
    digests: dict[str, str] = attrs.field(factory=dict)  #: the SHA-256 of each, by name

    def put(self, name: str, octets: bytes) -> None:
        """Add a member that is at hand."""
        with self.writing(name) as write:
            write(octets)

    @contextmanager
    def writing(self, name: str) -> Generator[Callable[[bytes], None]]:
        """Give the way to write a member, a piece at a time.  ValueError: no such name can be; OverflowError: it grows too large."""
        if not _fits(name) or name in self.digests:
            raise ValueError(name)
        if len(self.members) >= MOST:
            raise OverflowError(f"more than {MOST} members")
        place = self._file.tell()
        digest, crc, size = sha256(), 0, 0
        self._file.write(Member(name, 0, 0, 0).header)

        def write(octets: bytes) -> None:
            nonlocal crc, size
            size += len(octets)
            if size > LARGEST:
                raise OverflowError(f"{name}: more than {LARGEST} octets")
            digest.update(octets)
            crc = crc32(octets, crc)
            self._file.write(octets)

        yield write
        made = Member(name, self._file.tell() - size, size, crc)
        self._file.seek(place)
        self._file.write(made.header)
        self._file.seek(0, 2)
        self.members.append(made)
        self.digests[name] = digest.hexdigest()

    def end(self) -> None:
        """Write what follows the members."""
        for piece in _directory(self.members, self._file.tell()):
            self._file.write(piece)


def read_zip_members(file: IO[bytes]) -> tuple[Member, ...]:
    """Return the members of the bundle in *file*, in their order; none of their octets is looked at.  Raises Malformed."""
    size, at = file.seek(0, 2), 0
    found: list[Member] = []
    names: set[str] = set()
    while True:
        file.seek(at)
        head = file.read(_LOCAL.size)
        if head[:4] != _OPENS:
            break
        member = _member(file, head, at)
        if member.name in names:
            raise Malformed(member.name, "it is there twice")
        if member.start + member.size > size:
            raise Malformed(member.name, "the file ends before it does")
        if len(found) >= MOST:
            raise Malformed(member.name, f"more than {MOST} members")
        names.add(member.name)
        found.append(member)
        at = member.start + member.size
    file.seek(at)
    for piece in _directory(found, at):
        if file.read(len(piece)) != piece:
            raise Malformed(f"octet {file.tell()}", "the directory at the end is not that of the members before it")
    if file.tell() != size:
        raise Malformed(f"octet {file.tell()}", "something follows the end")
    return tuple(found)


def read_member_pieces(file: IO[bytes], member: Member, *, judged: bool = True) -> Iterator[bytes]:
    """Yield the octets of *member*.  Raises Malformed at the end, if that is *judged*, when they do not have its CRC-32."""
    at, end, crc = member.start, member.start + member.size, 0
    while at < end:
        file.seek(at)
        piece = file.read(min(PIECE, end - at))
        if not piece:
            raise Malformed(member.name, "the file ends before it does")
        crc = crc32(piece, crc)
        yield piece
        at += len(piece)
    if judged and crc != member.crc:
        raise Malformed(member.name, "its CRC-32 is another one")


def _fits(name: str) -> bool:
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def _member(file: IO[bytes], head: bytes, at: int) -> Member:
    """Return the member whose local header begins at *at*."""
    if len(head) < _LOCAL.size:
        raise Malformed(f"octet {at}", "the file ends in a header")
    _, _, _, method, _, _, crc, _, size, length, _ = _LOCAL.unpack(head)
    written = file.read(min(length, _LONGEST + 1))
    name = written.decode("ascii", "replace")
    if not _fits(name):
        raise Malformed(f"octet {at}", f"a member cannot be called {name[:80]!r}")
    if method:
        raise Malformed(name, "it is compressed; nothing is, in this form of a ZIP")
    member = Member(name, at + _LOCAL.size + length, size, crc)
    if member.header != head + written:
        raise Malformed(name, "its header is not the one it must have")
    return member


def _directory(members: Sequence[Member], start: int) -> Iterator[bytes]:
    """Yield the directory of *members*, which begins at *start*, and the end of the file."""
    size = 0
    for member in members:
        name, far = member.name.encode("ascii"), member.place >= _NO32
        extra = struct.pack("<HHQ", 1, 8, member.place) if far else b""
        needed = _WIDE if far else _PLAIN
        sizes = (member.crc, member.size, member.size, len(name), len(extra), 0, 0, 0)
        place = _NO32 if far else member.place
        piece = _CENTRAL.pack(_LISTS, _MADE_BY, needed, 0, 0, 0, _DATE, *sizes, _MODE, place) + name + extra
        size += len(piece)
        yield piece
    many = len(members)
    if many >= _NO16 or start >= _NO32 or size >= _NO32:
        yield _END64.pack(b"PK\x06\x06", _END64.size - 12, _MADE_BY, _WIDE, 0, 0, many, many, size, start)
        yield _PLACE64.pack(b"PK\x06\x07", 0, start + size, 1)
    ends = (min(many, _NO16), min(many, _NO16), min(size, _NO32), min(start, _NO32))
    yield _END.pack(b"PK\x05\x06", 0, 0, *ends, 0)
