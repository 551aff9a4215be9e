"""Writes and reads, as JSON, the parts of a report's period: which of them were closed months, and which months of the
form were closed since when.

A program that counts again needs it. A late fact counts in a later month (`hub.report.counting.posting`), and a long
period is composed of its months (`hub.report.counting.closed`). Knows days and instants. Counts nothing.
"""

import json
from collections.abc import Sequence
from datetime import date

import attrs

from hub.report.counting import lines, posting
from hub.report.counting.posting import ClosedMonth, ClosedMonths
from hub.report.form.period import Period

MOST = 1200  #: the maximum number of months: a hundred years


@attrs.frozen
class Pieces:
    """The parts of a period in order, each with whether it is a closed month; and the closed months of the form."""

    parts: tuple[tuple[Period, bool], ...]
    books: ClosedMonths = posting.OPEN


def write_pieces(pieces: Pieces) -> bytes:
    """Return *pieces* as JSON in one line."""
    parts = [[*_write_days(period), is_closed] for period, is_closed in pieces.parts]
    months = [[*_write_days(month.period), month.closed_at.isoformat()] for month in pieces.books.months]
    return lines.write_compact_json({"parts": parts, "closed": months})


def read_pieces(content: bytes) -> Pieces:
    """Return the pieces written in *content*. Raises ValueError for any text that `write_pieces` does not write."""
    try:
        said = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(said, dict) or list(said) != ["parts", "closed"] or lines.write_compact_json(said) != content:
        raise ValueError("not in canonical form")
    parts, months = (_read_rows(said[name]) for name in ("parts", "closed"))
    if not parts or not all(type(is_closed) is bool for *_, is_closed in parts):
        raise ValueError("no parts")
    return Pieces(
        tuple((_read_period(part), bool(part[3])) for part in parts),
        ClosedMonths(
            tuple(ClosedMonth(_read_period(month), lines.read_offset_time(str(month[3]))) for month in months)
        ),
    )


def _write_days(period: Period) -> list[str]:
    return [period.text, period.first.isoformat(), period.last.isoformat()]


def _read_rows(said: object) -> Sequence[list[object]]:
    if not isinstance(said, list) or len(said) > MOST:
        raise ValueError("not a list of parts")
    for each in said:
        if not isinstance(each, list) or len(each) != 4 or not all(type(part) is str for part in each[:3]):
            raise ValueError("not a part of a period")
    return said


def _read_period(said: Sequence[object]) -> Period:
    first, last = (date.fromisoformat(str(day)) for day in said[1:3])
    if not (date(2000, 1, 1) <= first <= last < date(3000, 1, 1)):
        raise ValueError("days out of range")
    return posting.cut_period(first, last, str(said[0]))
