"""Converts BER to definite lengths. Knows tags and lengths. Does not know the structures they encode.

Mail programs write signed content as a stream, with indefinite lengths and with strings in pieces. The hub's readers of
that content accept only DER. Sets are sorted in the order of DER, too. Input that is already DER keeps its octets.

Worst cost: 1 µs per element. Each octet is copied once for each element that contains it. There are at most `_MOST`
elements, nested at most `_DEEPEST` deep.
"""

from collections.abc import Iterator
from itertools import count

_DEEPEST = 40
#: Maximum of elements in one encoding. A mail of 20 MB, streamed in pieces of a thousand octets, has 15,000.
_MOST = 100_000
_CONSTRUCTED, _PIECES, _STRING = 0x20, 0x24, 0x04
#: SET OF, and the tags that replace it in CMS: the implicit [0] and [1]. There they hold SEQUENCEs. One that holds anything
#: else is a sequence itself, as the algorithm in CMSAlgorithmProtection (RFC 6211).
_SET, _PERHAPS_SETS, _SEQUENCE = 0x31, (0xA0, 0xA1), 0x30
_END = b"\x00\x00"


def make_definite(octets: bytes) -> bytes:
    """Return the single element in *octets* with definite lengths only. Raises ValueError."""
    element, end = _read_element(octets, 0, 0, count())
    if end != len(octets):
        raise ValueError("there is data after the element")
    return element


def cut_padding(octets: bytes) -> bytes:
    """Return the element of definite length in *octets* without the zeros after it. Raises ValueError."""
    if len(octets) < 2:
        raise ValueError("cut short")
    size, content = _read_size(octets, 2, octets[1])
    if len(octets) < content + size or octets[content + size :].strip(b"\0"):
        raise ValueError("there is data after the element")
    return octets[: content + size]


def split_ber_elements(element: bytes) -> list[bytes]:
    """Return the elements inside the constructed DER *element*, each with its header. Raises ValueError."""
    at, end = _find_content_start(element), len(element)
    found = []
    while at < end:
        size, content = _read_size(element, at + 2, element[at + 1])
        found.append(element[at : content + size])
        at = content + size
    if at != end:
        raise ValueError("an element is longer than the one that contains it")
    return found


def _read_element(octets: bytes, at: int, depth: int, counted: Iterator[int]) -> tuple[bytes, int]:
    """Return the element at *at* and the position of the next one."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if next(counted) >= _MOST:
        raise ValueError(f"more than {_MOST} elements")
    if at + 2 > len(octets):
        raise ValueError("cut short")
    tag, first = octets[at], octets[at + 1]
    if tag & 0x1F == 0x1F:
        raise ValueError("a tag of several octets")
    at += 2
    if first == 0x80:
        if not tag & _CONSTRUCTED:
            raise ValueError("a primitive element without a length")
        parts = []
        while octets[at : at + 2] != _END:
            part, at = _read_element(octets, at, depth + 1, counted)
            parts.append(part)
        return _join_pieces(tag, parts), at + 2
    size, at = _read_size(octets, at, first)
    end = at + size
    if end > len(octets):
        raise ValueError("cut short")
    if not tag & _CONSTRUCTED:
        return _write_element(tag, octets[at:end]), end
    parts = []
    while at < end:
        part, at = _read_element(octets, at, depth + 1, counted)
        parts.append(part)
    if at != end:
        raise ValueError("an element is longer than the one that contains it")
    return _join_pieces(tag, parts), end


def _read_size(octets: bytes, at: int, first: int) -> tuple[int, int]:
    """Return the length and the position of the content.

    *first* is the first length octet, and *at* the position of the following ones.
    """
    if first < 0x80:
        return first, at
    count = first & 0x7F
    if count > 4:
        raise ValueError("a length of more than four octets")
    return int.from_bytes(octets[at : at + count]), at + count


def _join_pieces(tag: int, parts: list[bytes]) -> bytes:
    if tag == _PIECES:
        if any(part[0] != _STRING for part in parts):
            raise ValueError("a string with parts of another type")
        return _write_element(_STRING, b"".join(part[_find_content_start(part) :] for part in parts))
    is_set = tag == _SET or (tag in _PERHAPS_SETS and all(part[0] == _SEQUENCE for part in parts))
    return _write_element(tag, b"".join(sorted(parts) if is_set else parts))


def _write_element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content


def _find_content_start(element: bytes) -> int:
    """Return the position of the content of *element*."""
    return 2 + (element[1] & 0x7F if element[1] > 0x7F else 0)
