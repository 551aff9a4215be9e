"""Decodes and measures base64 content of attachments, and checks a ZIP by its central directory.

Does not know the packet.

Measuring unpacks nothing and keeps no octets: an attachment of 20 MB is read in slices. Worst cost: 10 ns per base64
character, and 4 µs per ZIP entry, of which there are at most `ENTRIES`. Extracting an entry costs 10 µs per entry of
the ZIP plus the unpacking up to the bound that the caller gives.
"""

import hashlib
import re
import struct
from collections import deque
from collections.abc import Iterable, Iterator

import attrs

from hub.formats import zip_reader
from hub.formats.base64_text import decode_strict_base64, remove_white_space
from hub.language.phrases import Phrase, phrase

SLICE = 1 << 18  #: characters decoded at once
ENTRIES = 10_000  #: maximum number of entries in a ZIP
UNPACKED = 100 * 1024 * 1024  #: octets that any ZIP may unpack to
RATIO = 100  #: a ZIP may unpack to more than `UNPACKED` up to this multiple of its own size

#: The text of an `xs:base64Binary`, whole or in pieces, as characters or as octets of ASCII.
Letters = str | Iterable[str] | Iterable[bytes]

_UUID = re.compile(rb"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}(?:\.[^./]*)?", re.IGNORECASE)
_DIRECTORY = 1 << 20  #: octets read from the end of a ZIP: more than the directory of `ENTRIES` entries needs
_ZIP = b"PK\x03\x04"
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = 20  #: octets between the 64-bit end record and the end record
_ENTRY = struct.Struct("<4s6H3L5H2L")


@attrs.frozen
class Carried:
    """The measured octets of an attachment as the packet carries them. The octets themselves are not kept."""

    size: int
    sha256: str
    head: bytes  #: the first eight octets
    wrapped: bool  #: a ZIP with one entry named by a UUID: the VXP SDK made it, not the sender


class ContentUnfit(Exception):
    """The octets are not allowed in an attachment."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(why)
        self.why = why


def measure_base64(letters: Letters) -> Carried:
    """Measure the octets that *letters* encode, an `xs:base64Binary` whole or in pieces.

    Raises ValueError if *letters* is not base64 (XSD 1.0 part 2, 3.2.16: foreign characters, wrong padding, stray bits
    before the padding). Raises ContentUnfit for a ZIP that unpacks to too much, has a path outside its folder or cannot
    be bounded.
    """
    return measure_octets(decode_base64_slices(letters))


def measure_octets(pieces: Iterable[bytes]) -> Carried:
    """Measure the octets in *pieces*. Raises ContentUnfit like `measure_base64`, after all of them were taken."""
    digest, size, head, tail = hashlib.sha256(), 0, b"", _Tail()
    for octets in pieces:
        digest.update(octets)
        size += len(octets)
        head += octets[: 8 - len(head)]
        if len(head) < 8 or head.startswith(_ZIP):
            tail.add(octets)
    wrapped = False
    if head.startswith(_ZIP):
        names = list_zip_entries(tail.read(), size)
        wrapped = len(names) == 1 and _UUID.fullmatch(names[0]) is not None
    return Carried(size, digest.hexdigest(), head, wrapped)


@attrs.define
class _Tail:
    """The last pieces of content, with at least twice `_DIRECTORY` octets if there were as many."""

    _pieces: deque[bytes] = attrs.field(factory=deque, init=False)
    _size: int = attrs.field(default=0, init=False)

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        while self._size - len(self._pieces[0]) >= 2 * _DIRECTORY:
            self._size -= len(self._pieces.popleft())

    def read(self) -> bytes:
        return b"".join(self._pieces)


def decode_base64_slices(letters: Letters) -> Iterator[bytes]:
    """Yield the octets that *letters* encode, slice by slice. Raises ValueError like `measure_base64`."""
    padded = False
    for part in _cut_quanta(letters):
        if padded:
            raise ValueError("more letters after the padding")
        padded = part.endswith(b"=")
        yield decode_strict_base64(part)


def decode_base64_content(letters: Letters, most: int) -> bytes:
    """Return the octets that *letters* encode, at most *most*. A file in the VXP SDK's wrapping is extracted from it.

    *letters* must have passed `measure_base64`. Raises ContentUnfit if there are more than *most* octets or the ZIP
    cannot be unpacked.
    """
    octets = b""
    for piece in decode_base64_slices(letters):
        octets += piece
        if len(octets) > most:
            raise ContentUnfit(phrase("more than {most} octets", most=most))
    if not octets.startswith(_ZIP):
        return octets
    try:
        with zip_reader.open_archive(octets) as archive:
            if not archive.infolist():
                raise ContentUnfit(phrase("an empty ZIP"))
            found = zip_reader.read_zip_entry(archive, archive.infolist()[0], most)
    except zip_reader.Damaged as error:
        raise ContentUnfit(phrase("a ZIP that cannot be unpacked: {error}", error=str(error))) from None
    if len(found) > most:
        raise ContentUnfit(phrase("more than {most} octets", most=most))
    return found


def _cut_quanta(letters: Letters) -> Iterator[bytes]:
    """Yield *letters* without white space, in parts whose length is a multiple of four."""
    rest = b""
    for piece in _encode_slices(letters):
        part = rest + remove_white_space(piece)
        end = len(part) // 4 * 4
        if end:
            yield part[:end]
        rest = part[end:]
    if rest:
        raise ValueError("not a multiple of four letters")


def _encode_slices(letters: Letters) -> Iterator[bytes]:
    """Yield *letters* as octets. Raises ValueError for other characters than those of ASCII."""
    pieces = (letters[at : at + SLICE] for at in range(0, len(letters), SLICE)) if isinstance(letters, str) else letters
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        if not piece.isascii():
            raise ValueError("string argument should contain only ascii characters")
        yield piece.encode("ascii")


def list_zip_entries(tail: bytes, size: int) -> list[bytes]:
    """Return the entry names of a ZIP of *size* octets, read from its *tail*.

    Returns no names if there is no end record: then the content is not a ZIP. The check covers the sizes that the
    directory declares. Only unpacking shows the real sizes. Raises ContentUnfit.
    """
    at = tail.rfind(b"PK\x05\x06", -_END.size - 0xFFFF)
    if at < 0:
        return []
    if len(tail) - at < _END.size:
        raise ContentUnfit(phrase("a ZIP whose end record is cut off, or lies inside another"))
    count, length, offset, comment = _END.unpack_from(tail, at)[4:]
    if at + _END.size + comment != len(tail):
        raise ContentUnfit(phrase("a ZIP with data after its end record: another reader may find another end"))
    if count > ENTRIES or (length > at and len(tail) < size):
        raise ContentUnfit(
            phrase(
                "a ZIP of {count} entries, its directory {length} octets; at most {entries} and {directory}",
                count=count,
                length=length,
                entries=ENTRIES,
                directory=_DIRECTORY,
            )
        )
    end = _before_record(tail, at, count, length)
    names: list[bytes] = []
    unpacked, place = 0, end - length
    while len(names) <= count and 0 <= place <= end - _ENTRY.size and tail.startswith(b"PK\x01\x02", place):
        fields = _ENTRY.unpack_from(tail, place)
        unpacked += fields[9]
        here = place + _ENTRY.size
        names.append(tail[here : here + fields[10]])
        place = here + fields[10] + fields[11] + fields[12]
    if len(names) != count or place != end or offset != size - len(tail) + end - length:
        raise ContentUnfit(
            phrase(
                "a ZIP of {count} entries of which {found} are found: another reader may find others",
                count=count,
                found=len(names),
            )
        )
    if unpacked > max(UNPACKED, RATIO * size):
        raise ContentUnfit(phrase("a ZIP of {size} octets that unpacks to {unpacked}", size=size, unpacked=unpacked))
    for name in names:
        _check_file_name(name)
    return names


def _before_record(tail: bytes, at: int, count: int, length: int) -> int:
    """Return the end of the directory whose end record is at *at*.

    The directory ends before the 64-bit end record, which some writers always insert. Raises ContentUnfit if the two
    records disagree.
    """
    record = at - _LOCATOR - _END64.size
    if at < _LOCATOR or not tail.startswith(b"PK\x06\x07", at - _LOCATOR):
        return at
    if (
        record < 0
        or not tail.startswith(b"PK\x06\x06", record)
        or _END64.unpack_from(tail, record)[7:9] != (count, length)
    ):
        raise ContentUnfit(phrase("a ZIP with two directories"))
    return record


def _check_file_name(name: bytes) -> None:
    """Raise ContentUnfit for a name that would be written outside the folder it is unpacked in."""
    path = name.replace(b"\\", b"/")
    if path.startswith(b"/") or path[1:2] == b":" or b".." in path.split(b"/") or b"\0" in path:
        raise ContentUnfit(phrase("a ZIP with the path {path}", path=name.decode("utf-8", "replace")[:100]))
