"""What an attachment carries: octets measured, a ZIP told apart.  Knows base64 and a ZIP's directory; not the packet.

Nothing is unpacked to be measured, and no octets are kept: a 20 MB attachment is read in slices.  Worst cost: 10 ns a letter, 4 µs for each
entry of a ZIP, of which it may have `ENTRIES`; to take one out, 10 µs for each and what unpacks to the bound that is asked for.
"""

import hashlib
import re
import struct
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator

import attrs

from hub.formats import zip_reader

SLICE = 1 << 18  #: letters decoded in one go
ENTRIES = 10_000  #: most entries of a ZIP
UNPACKED = 100 * 1024 * 1024  #: octets a ZIP may always unpack to
RATIO = 100  #: and beyond that, so many times its own size

_UUID = re.compile(rb"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}(?:\.[^./]*)?", re.IGNORECASE)
_DIRECTORY = 1 << 20  #: octets read of a ZIP's end: more than the directory of `ENTRIES` needs
_ZIP = b"PK\x03\x04"
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = 20  #: octets between the 64-bit end record and the other
_ENTRY = struct.Struct("<4s6H3L5H2L")


@attrs.frozen
class Carried:
    """The octets of an attachment as the packet carries them: measured, not kept."""

    size: int
    sha256: str
    head: bytes  #: the first eight
    wrapped: bool  #: a ZIP with one entry named by a UUID: the VXP SDK's wrapping, not the sender's own archive


class ContentUnfit(Exception):
    """The octets are not such as an attachment may carry."""


def measure_base64(letters: str | Iterable[str]) -> Carried:
    """Measure what *letters*, an `xs:base64Binary` whole or in pieces, stand for.

    Raises ValueError when they are no base64 (XSD 1.0 part 2, 3.2.16: foreign characters, padding amiss, stray bits
    before it), Unfit for a ZIP that would burst, climbs out of its folder or cannot be bounded.
    """
    digest, size, head, tail = hashlib.sha256(), 0, b"", bytearray()
    for octets in decode_base64_slices(letters):
        digest.update(octets)
        size += len(octets)
        head += octets[: 8 - len(head)]
        if len(head) < 8 or head.startswith(_ZIP):
            tail += octets
            if len(tail) > 2 * _DIRECTORY:
                del tail[:-_DIRECTORY]
    wrapped = False
    if head.startswith(_ZIP):
        names = list_zip_entries(bytes(tail), size)
        wrapped = len(names) == 1 and _UUID.fullmatch(names[0]) is not None
    return Carried(size, digest.hexdigest(), head, wrapped)


def decode_base64_slices(letters: str | Iterable[str]) -> Iterator[bytes]:
    """Yield the octets that *letters* stand for, slice by slice.  Raises ValueError as `measure_base64`."""
    padded = False
    for part in _quanta(letters):
        if padded:
            raise ValueError("more letters after the padding")
        try:
            octets = a2b_base64(part, strict_mode=True)
        except ValueError as error:
            raise ValueError(str(error).lower()) from None
        padded = part.endswith("=")
        if padded and b2a_base64(octets[-(len(octets) % 3) :], newline=False).decode() != part[-4:]:
            raise ValueError("stray bits before the padding")
        yield octets


def decode_base64_content(letters: str | Iterable[str], most: int) -> bytes:
    """Return the octets that *letters* stand for, taken out of the VXP SDK's wrapping if they are in it; *most* at most.

    They have passed `measure_base64`.  Raises ContentUnfit when there are more, or the ZIP cannot be unpacked.
    """
    octets = b""
    for piece in decode_base64_slices(letters):
        octets += piece
        if len(octets) > most:
            raise ContentUnfit(f"more than {most} octets")
    if not octets.startswith(_ZIP):
        return octets
    try:
        with zip_reader.open_archive(octets) as archive:
            if not archive.infolist():
                raise ContentUnfit("an empty ZIP")
            found = zip_reader.read_zip_entry(archive, archive.infolist()[0], most)
    except zip_reader.Damaged as error:
        raise ContentUnfit(f"a ZIP that cannot be unpacked: {error}") from None
    if len(found) > most:
        raise ContentUnfit(f"more than {most} octets")
    return found


def _quanta(letters: str | Iterable[str]) -> Iterator[str]:
    """Yield *letters* without white space, in parts of a multiple of four."""
    part = ""
    for piece in _slices(letters) if isinstance(letters, str) else letters:
        part += piece
        for space in " \t\r\n":
            part = part.replace(space, "")
        end = len(part) // 4 * 4
        if end:
            yield part[:end]
        part = part[end:]
    if part:
        raise ValueError("not a multiple of four letters")


def _slices(letters: str) -> Iterator[str]:
    for at in range(0, len(letters), SLICE):
        yield letters[at : at + SLICE]


def list_zip_entries(tail: bytes, size: int) -> list[bytes]:
    """Return the names in a ZIP of *size* octets from its *tail*; none where no directory ends: then it is no ZIP.

    The directory is what is declared; what an entry really unpacks to, only unpacking could tell.  Raises ContentUnfit.
    """
    at = tail.rfind(b"PK\x05\x06", -_END.size - 0xFFFF)
    if at < 0:
        return []
    if len(tail) - at < _END.size:
        raise ContentUnfit("a ZIP whose end is cut off, or stands in another")
    count, length, offset, comment = _END.unpack_from(tail, at)[4:]
    if at + _END.size + comment != len(tail):
        raise ContentUnfit("a ZIP with something behind its end: another reader may find another end")
    if count > ENTRIES or (length > at and len(tail) < size):
        raise ContentUnfit(
            f"a ZIP of {count} entries, its directory {length} octets; at most {ENTRIES} and {_DIRECTORY}"
        )
    end = _before_record(tail, at, count, length)
    names, unpacked, place = [], 0, end - length
    while 0 <= place <= end - _ENTRY.size and tail.startswith(b"PK\x01\x02", place):
        fields = _ENTRY.unpack_from(tail, place)
        unpacked += fields[9]
        here = place + _ENTRY.size
        names.append(tail[here : here + fields[10]])
        place = here + fields[10] + fields[11] + fields[12]
    if len(names) != count or place != end or offset != size - len(tail) + end - length:
        raise ContentUnfit(f"a ZIP of {count} entries, {len(names)} of which are found: another reader may find others")
    if unpacked > max(UNPACKED, RATIO * size):
        raise ContentUnfit(f"a ZIP of {size} octets that unpacks to {unpacked}")
    for name in names:
        _check(name)
    return names


def _before_record(tail: bytes, at: int, count: int, length: int) -> int:
    """Return where the directory ends whose end record is at *at*: before the 64-bit record, which some writers always put between.

    Raises ContentUnfit when that says something else.
    """
    record = at - _LOCATOR - _END64.size
    if at < _LOCATOR or not tail.startswith(b"PK\x06\x07", at - _LOCATOR):
        return at
    if (
        record < 0
        or not tail.startswith(b"PK\x06\x06", record)
        or _END64.unpack_from(tail, record)[7:9] != (count, length)
    ):
        raise ContentUnfit("a ZIP with two directories")
    return record


def _check(name: bytes) -> None:
    """Raise ContentUnfit for a name that would be written outside the folder it is unpacked in."""
    path = name.replace(b"\\", b"/")
    if path.startswith(b"/") or path[1:2] == b":" or b".." in path.split(b"/") or b"\0" in path:
        raise ContentUnfit(f"a ZIP with the path {name.decode('utf-8', 'replace')[:100]}")
