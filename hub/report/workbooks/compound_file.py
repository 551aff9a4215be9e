"""Reads streams of an untrusted compound file: the container of `.xls` and other old office files ([MS-CFB]).

Knows sectors, their chains and the directory. Does not know the content of a stream. Every chain is followed for as many
sectors as the file has at most, so a chain that returns to itself is damage, not a loop. Worst cost: 1 µs per sector of
512 octets for each stream that is read.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import Self

import attrs

#: The first octets of a compound file.
SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: The maximum number of entries of the directory.
ENTRIES = 2000

_HEADER_LISTED = 109  #: sectors of the table that the header itself lists
_LAST, _END = 0xFFFFFFFA, 0xFFFFFFFE  #: the greatest number of a sector; the end of a chain
_STREAM, _ROOT = 2, 5
_ENTRY = 128
_SHIFTS = (9, 12)  #: of the size of a sector: 512 octets, or 4096
_SMALL_SHIFT = 6


class CompoundFileDamaged(Exception):
    """The content is not a compound file, or the stream cannot be read from it."""


@attrs.frozen
class _Entry:
    """One entry of the directory."""

    name: str
    kind: int
    start: int  #: its first sector
    size: int  #: in octets


@attrs.frozen
class CompoundFile:
    """A compound file whose directory was read."""

    _content: bytes
    _shift: int
    _following: Sequence[int]  #: for each sector the next one of its chain
    _small_following: Sequence[int]  #: the same for small sectors
    _small: bytes  #: the stream that the small sectors are parts of
    _cutoff: int  #: a shorter stream consists of small sectors
    _entries: tuple[_Entry, ...]

    @classmethod
    def open(cls, content: bytes) -> Self:
        """Return the file in *content*. Raises CompoundFileDamaged."""
        try:
            return cls._open(content)
        except struct.error:
            raise CompoundFileDamaged from None

    @classmethod
    def _open(cls, content: bytes) -> Self:
        shift, small_shift = struct.unpack_from("<HH", content, 30)
        if content[:8] != SIGNATURE or shift not in _SHIFTS or small_shift != _SMALL_SHIFT:
            raise CompoundFileDamaged
        directory, cutoff, first_small = struct.unpack_from("<I4xII", content, 48)
        following: array[int] = array("I")
        for sector in _list_table_sectors(content, shift):
            following.extend(_unpack_numbers(_read_sector(content, shift, sector)))
        entries = tuple(_read_entries(_join_chain(content, shift, following, directory)))
        if not entries or entries[0].kind != _ROOT:
            raise CompoundFileDamaged
        small_following: Sequence[int] = ()
        small = b""
        if entries[0].start <= _LAST and first_small <= _LAST:
            small = _join_chain(content, shift, following, entries[0].start)
            small_following = _unpack_numbers(_join_chain(content, shift, following, first_small))
        return cls(content, shift, following, small_following, small, cutoff, entries)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all streams and storages, wherever they are."""
        return tuple(entry.name for entry in self._entries)

    def read_stream(self, name: str) -> bytes | None:
        """Return the octets of the first stream called *name*; None if there is none. Raises CompoundFileDamaged."""
        found = next((entry for entry in self._entries if entry.kind == _STREAM and entry.name == name), None)
        if found is None:
            return None
        if found.size < self._cutoff:
            joined = _follow_chain(self._small, _SMALL_SHIFT, 0, self._small_following, found.start)
        else:
            joined = _join_chain(self._content, self._shift, self._following, found.start)
        if len(joined) < found.size:
            raise CompoundFileDamaged
        return joined[: found.size]


def _list_table_sectors(content: bytes, shift: int) -> Iterator[int]:
    """Yield the sectors that hold the table of chains: those in the header, then those in the sectors of the list."""
    following, left = struct.unpack_from("<II", content, 68)
    listed = list(struct.unpack_from(f"<{_HEADER_LISTED}I", content, 76))
    sectors = len(content) >> shift
    if left > sectors:
        raise CompoundFileDamaged
    for _ in range(left):
        if following > _LAST:
            break
        numbers = _unpack_numbers(_read_sector(content, shift, following))
        listed += numbers[:-1]
        following = numbers[-1]
    found = [each for each in listed if each <= _LAST]
    if len(found) > sectors:
        raise CompoundFileDamaged
    yield from found


def _read_entries(directory: bytes) -> Iterator[_Entry]:
    count = len(directory) // _ENTRY
    if count > ENTRIES:
        raise CompoundFileDamaged
    for start in range(0, count * _ENTRY, _ENTRY):
        length, kind, first, size = struct.unpack_from("<HB49xII", directory, start + 64)
        if kind:
            name = directory[start : start + max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
            yield _Entry(name, kind, first, size)


def _join_chain(content: bytes, shift: int, following: Sequence[int], start: int) -> bytes:
    """Return the sectors of the chain that begins with *start*, joined."""
    return _follow_chain(content, shift, 1, following, start)  # the header takes the place of one sector


def _follow_chain(content: bytes, shift: int, skipped: int, following: Sequence[int], start: int) -> bytes:
    found: list[bytes] = []
    sector = start
    for _ in range((len(content) >> shift) + 1):
        if sector == _END:
            return b"".join(found)
        if sector >= len(following):
            raise CompoundFileDamaged
        at = (sector + skipped) << shift
        found.append(content[at : at + (1 << shift)])
        sector = following[sector]
    raise CompoundFileDamaged


def _read_sector(content: bytes, shift: int, sector: int) -> bytes:
    at = (sector + 1) << shift
    return content[at : at + (1 << shift)]


def _unpack_numbers(octets: bytes) -> Sequence[int]:
    return struct.unpack(f"<{len(octets) // 4}I", octets[: len(octets) // 4 * 4])
