"""Finds long stretches without markup in the octets of XML. Knows `<` and `>`. Parses nothing.

Looking for one octet takes a hundredth of the time that any look at each octet takes.
"""

from collections.abc import Iterator

from hub.formats.spool import SLICE, Octets


def find_long_texts(octets: Octets, least: int) -> Iterator[tuple[int, int]]:
    """Yield where there are more than *least* octets between a `>` and the next `<`, as start and end.

    Only the octets around the ends of pieces are examined. No piece is longer than *least*, so each long text contains
    the end of one.
    """
    at, start = 0, -1
    for piece in octets.pieces(min(SLICE, least)):
        opening = piece.find(b"<")
        if opening >= 0:
            if 0 <= start < at + opening - least:
                yield start, at + opening
            start = -1
        closing = piece.rfind(b">")
        if closing >= 0:
            start = at + closing + 1 if piece.find(b"<", closing) < 0 else -1
        at += len(piece)
