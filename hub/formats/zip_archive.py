"""Writes and reads a bundle: a ZIP in one fixed form that any program opens.

Knows octets and positions. Does not interpret members.

No member has attributes, and nothing stands between or beside the members. Each octet is part of a member or follows
from the members. So a reader has no choice, and nothing can be hidden. Where the reader does not allow it, no member is
compressed: then the same members always give the same file, and nothing expands on unpacking. A compressed member expands
to the size that its header states and no further. Source of the format: APPNOTE 6.3.9, 4.3.7 (local header), 4.3.12
(central directory), 4.3.14 to 4.3.16 (end records), 4.4.5 (method 8: deflate, RFC 1951), 4.5.3 (ZIP64).
"""

import io
import re
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import IO, Any, BinaryIO, cast
from zlib import DEFLATED, compressobj, crc32, decompressobj, error

import attrs

PIECE = 256 * 1024  #: octets read or written at once
MOST = 250_000  #: maximum members of one bundle
LARGEST = 0xFFFFFFFE  #: maximum octets of one member

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)?", re.ASCII)
_LONGEST = 200
_LOCAL, _CENTRAL = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L")
_END64, _PLACE64, _END = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL"), struct.Struct("<4s4H2LH")
_OPENS, _LISTS = b"PK\x03\x04", b"PK\x01\x02"
_PLAIN, _PACKED, _WIDE = 10, 20, 45  # the versions needed to extract: a stored member, a deflated one, ZIP64
_DEFLATE, _RAW = 8, -15  # the method's number; a window of 32 KiB without the header of zlib
_MADE_BY, _MODE = 3 << 8 | _WIDE, 0o100644 << 16  # Unix; a file that everyone may read
_DATE = 1 << 5 | 1  # 1 January 1980, the first day that the format can express
_NO16, _NO32 = 0xFFFF, 0xFFFFFFFF


class Malformed(Exception):
    """The file is not a bundle. *where* is the name of a member, or the octet. The text says what is wrong."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where, self.what = where, what


@attrs.frozen
class Member:
    """One member: its name, the position of its octets, their number, and their CRC-32."""

    name: str
    start: int
    size: int
    crc: int
    packed: int | None = None  #: octets that it takes in the file, deflated; None: it is stored as it is

    @property
    def method(self) -> tuple[int, int]:
        """Return the version needed to extract it, and the number of its method."""
        return (_PLAIN, 0) if self.packed is None else (_PACKED, _DEFLATE)

    @property
    def length(self) -> int:
        """Return the number of octets that it takes in the file."""
        return self.size if self.packed is None else self.packed

    @property
    def header(self) -> bytes:
        """Return the local header, which stands before the octets."""
        name = self.name.encode("ascii")
        sizes = (self.crc, self.length, self.size, len(name), 0)
        needed, method = self.method
        return _LOCAL.pack(_OPENS, needed, 0, method, 0, _DATE, *sizes) + name

    @property
    def place(self) -> int:
        """Return the position of the local header."""
        return self.start - _LOCAL.size - len(self.name)


@attrs.define
class Packing:
    """Writes a bundle into an empty, seekable file."""

    _file: IO[bytes]
    members: list[Member] = attrs.field(factory=list)
    digests: dict[str, str] = attrs.field(factory=dict)  #: SHA-256 of each member, by name

    def put(self, name: str, octets: bytes, *, deflated: bool = False) -> None:
        """Add a member whose octets are in memory."""
        with self.writing(name, deflated=deflated) as write:
            write(octets)

    @contextmanager
    def writing(self, name: str, *, deflated: bool = False) -> Generator[Callable[[bytes], None]]:
        """Add a member piece by piece, with the function that this context gives; compress it if *deflated*.

        Raises ValueError if the name is not allowed or already used. Raises OverflowError if the bundle or the member
        becomes too large.
        """
        place = self._begin(name)
        start = self._file.tell()
        digest, crc, size = sha256(), 0, 0
        packer = compressobj(method=DEFLATED, wbits=_RAW) if deflated else None

        def write(octets: bytes) -> None:
            nonlocal crc, size
            size += len(octets)
            if size > LARGEST:
                raise OverflowError(f"{name}: more than {LARGEST} octets")
            digest.update(octets)
            crc = crc32(octets, crc)
            self._file.write(octets if packer is None else packer.compress(octets))

        yield write
        if packer is not None:
            self._file.write(packer.flush())
        packed = None if packer is None else self._file.tell() - start
        if (packed or 0) > LARGEST:
            raise OverflowError(f"{name}: more than {LARGEST} octets")
        self._add(place, Member(name, start, size, crc, packed), digest.hexdigest())

    @contextmanager
    def embedding(self, name: str) -> Generator[BinaryIO]:
        """Add a member that is written as a file of its own, empty and seekable, which this context gives.

        It is written at its place and read back once, so the bundle's file must be readable. Raises as `writing`.
        """
        place = self._begin(name)
        start = self._file.tell()
        yield cast("BinaryIO", _FilePart(self._file, start, None))
        size = self._file.seek(0, 2) - start
        if size > LARGEST:
            raise OverflowError(f"{name}: more than {LARGEST} octets")
        digest, crc = sha256(), 0
        for piece in read_member_pieces(self._file, Member(name, start, size, 0), judged=False):
            digest.update(piece)
            crc = crc32(piece, crc)
        self._add(place, Member(name, start, size, crc), digest.hexdigest())

    def _begin(self, name: str) -> int:
        """Write a header that `_add` replaces. Return its place."""
        if not _fits_member_name(name) or name in self.digests:
            raise ValueError(name)
        if len(self.members) >= MOST:
            raise OverflowError(f"more than {MOST} members")
        place = self._file.tell()
        self._file.write(Member(name, 0, 0, 0).header)
        return place

    def _add(self, place: int, made: Member, digest: str) -> None:
        self._file.seek(place)
        self._file.write(made.header)
        self._file.seek(0, 2)
        self.members.append(made)
        self.digests[made.name] = digest

    def end(self) -> None:
        """Write the central directory and the end records."""
        for piece in _write_directory(self.members, self._file.tell()):
            self._file.write(piece)


class _FilePart(io.RawIOBase):
    """A part of a file, as a file of its own. Closing it does not close the file."""

    def __init__(self, file: IO[bytes], start: int, size: int | None) -> None:
        """*size*: None: to the end of the file, wherever that is, and writable."""
        super().__init__()
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return self._size is None

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        end = self._file.seek(0, 2) - self._start if self._size is None else self._size
        self._at = max(0, {0: 0, 1: self._at, 2: end}[whence] + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        left = len(buffer) if self._size is None else min(len(buffer), max(0, self._size - self._at))
        self._file.seek(self._start + self._at)
        found = self._file.read(left)
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def write(self, octets: Any, /) -> int:
        if self._size is not None:
            raise io.UnsupportedOperation
        self._file.seek(self._start + self._at)
        many = self._file.write(octets)
        self._at += many
        return many


def open_member(file: IO[bytes], member: Member) -> BinaryIO:
    """Return *member* of the bundle in *file* as a file of its own, to read. It uses *file*, which must stay open.

    The member must be stored.
    """
    assert member.packed is None
    return cast("BinaryIO", _FilePart(file, member.start, member.size))


def read_zip_members(file: IO[bytes], *, deflated: bool = False) -> tuple[Member, ...]:
    """Return the members of the bundle in *file*, in order. Does not read their octets. Raises Malformed.

    *deflated*: members may be compressed.
    """
    size, at = file.seek(0, 2), 0
    found: list[Member] = []
    names: set[str] = set()
    while True:
        file.seek(at)
        head = file.read(_LOCAL.size)
        if head[:4] != _OPENS:
            break
        member = _read_member(file, head, at, deflated=deflated)
        if member.name in names:
            raise Malformed(member.name, "the name is used twice")
        if member.start + member.length > size:
            raise Malformed(member.name, "the file ends inside this member")
        if len(found) >= MOST:
            raise Malformed(member.name, f"more than {MOST} members")
        names.add(member.name)
        found.append(member)
        at = member.start + member.length
    file.seek(at)
    for piece in _write_directory(found, at):
        if file.read(len(piece)) != piece:
            raise Malformed(f"octet {file.tell()}", "the directory at the end does not match the members before it")
    if file.tell() != size:
        raise Malformed(f"octet {file.tell()}", "there is data after the end")
    return tuple(found)


def read_member_pieces(file: IO[bytes], member: Member, *, judged: bool = True) -> Iterator[bytes]:
    """Yield the octets of *member*. If *judged*, raises Malformed at the end when their CRC-32 does not match.

    Raises Malformed where a compressed member does not expand to exactly the size that its header states.
    """
    crc = 0
    stored = _read_stored(file, member)
    for piece in stored if member.packed is None else _expand_member(stored, member):
        crc = crc32(piece, crc)
        yield piece
    if judged and crc != member.crc:
        raise Malformed(member.name, "its CRC-32 does not match")


def _read_stored(file: IO[bytes], member: Member) -> Iterator[bytes]:
    at, end = member.start, member.start + member.length
    while at < end:
        file.seek(at)
        piece = file.read(min(PIECE, end - at))
        if not piece:
            raise Malformed(member.name, "the file ends inside this member")
        yield piece
        at += len(piece)


def _expand_member(stored: Iterator[bytes], member: Member) -> Iterator[bytes]:
    """Yield the octets of a deflated member in pieces of at most `PIECE`, and never more than its size and one."""
    unpacker, left = decompressobj(wbits=_RAW), member.size
    for piece in stored:
        if unpacker.eof:
            raise Malformed(member.name, "there is data behind its compressed octets")
        rest = piece
        while not unpacker.eof:
            try:
                found = unpacker.decompress(rest, min(PIECE, left + 1))
            except error:
                raise Malformed(member.name, "its compressed octets are damaged") from None
            left -= len(found)
            if left < 0:
                raise Malformed(member.name, "it expands to more than its size")
            if found:
                yield found
            rest = unpacker.unconsumed_tail
            if not rest and not found:
                break
        if unpacker.eof and unpacker.unused_data:
            raise Malformed(member.name, "there is data behind its compressed octets")
    if not unpacker.eof or left:
        raise Malformed(member.name, "it expands to less than its size")


def _fits_member_name(name: str) -> bool:
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def _read_member(file: IO[bytes], head: bytes, at: int, *, deflated: bool) -> Member:
    """Return the member whose local header begins at *at*."""
    if len(head) < _LOCAL.size:
        raise Malformed(f"octet {at}", "the file ends inside a header")
    _, _, _, method, _, _, crc, packed, size, length, _ = _LOCAL.unpack(head)
    written = file.read(min(length, _LONGEST + 1))
    name = written.decode("ascii", "replace")
    if not _fits_member_name(name):
        raise Malformed(f"octet {at}", f"a member cannot have the name {name[:80]!r}")
    if method and not (deflated and method == _DEFLATE):
        raise Malformed(name, "it is compressed, which this form of ZIP does not allow")
    member = Member(name, at + _LOCAL.size + length, size, crc, packed if method else None)
    if member.header != head + written:
        raise Malformed(name, "its header does not have the fixed form")
    return member


def _write_directory(members: Sequence[Member], start: int) -> Iterator[bytes]:
    """Yield the central directory of *members*, which begins at *start*, and the end records."""
    size = 0
    for member in members:
        name, far = member.name.encode("ascii"), member.place >= _NO32
        extra = struct.pack("<HHQ", 1, 8, member.place) if far else b""
        needed, method = member.method
        needed = _WIDE if far else needed
        sizes = (member.crc, member.length, member.size, len(name), len(extra), 0, 0, 0)
        place = _NO32 if far else member.place
        piece = _CENTRAL.pack(_LISTS, _MADE_BY, needed, 0, method, 0, _DATE, *sizes, _MODE, place) + name + extra
        size += len(piece)
        yield piece
    many = len(members)
    if many >= _NO16 or start >= _NO32 or size >= _NO32:
        yield _END64.pack(b"PK\x06\x06", _END64.size - 12, _MADE_BY, _WIDE, 0, 0, many, many, size, start)
        yield _PLACE64.pack(b"PK\x06\x07", 0, start + size, 1)
    ends = (min(many, _NO16), min(many, _NO16), min(size, _NO32), min(start, _NO32))
    yield _END.pack(b"PK\x05\x06", 0, 0, *ends, 0)
