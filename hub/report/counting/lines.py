"""Writes and reads a fact as one line of the list that a report seals. Knows the members of such a line. Sums up
nothing.

`hub.report.counting.evidence` hashes the lines. Here they are the octets of a file, which anyone may hash again.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from hub.domain.model import Attributes, Fact
from hub.report.counting.evidence import MEMBERS, write_hashed_line

LARGEST = 4 << 20  #: the maximum octets of one line

_TEXTS = (0, 1, 2, 3, 4, 5, 6, 8, 10)  # the places of text members in MEMBERS
_NO_AMOUNT = 1 << 63
_instant, _day = datetime.fromisoformat, lru_cache(4096)(date.fromisoformat)


def write_fact_line(fact: Fact) -> bytes:
    """Return the line of *fact*: a compact JSON array of `MEMBERS`, in UTF-8, ended by a line feed."""
    return write_hashed_line(fact).encode()


def read_trusted_line(line: str) -> Fact:
    """Return the fact of a *line* that this process wrote. Does not validate."""
    members = json.loads(line)
    return read_fact_members(members, tuple((name, value) for name, value in members[-1]))


def read_fact_members(members: Sequence[Any], attributes: Attributes) -> Fact:
    """Return the fact with *members*, which are in the order of `MEMBERS`, as in a line and in a row of the journal.

    Times and days are ISO 8601 texts. *attributes* replaces the last member. Nothing is checked: the hub wrote it, and a
    report reads millions of facts.
    """
    (
        unit,
        service,
        key,
        milestone,
        at,
        message,
        counterpart,
        outside,
        kind,
        paper,
        signature,
        due,
        day,
        amount,
        _,
    ) = members
    return Fact(
        unit=unit,
        service=service,
        key=key,
        milestone=milestone,
        at=_instant(at),
        message=message,
        counterpart=counterpart,
        outside=outside,
        document_type=kind,
        paper=paper,
        signature=signature,
        due=due and _day(due),
        day=day and _day(day),
        amount=amount,
        attributes=attributes,
    )


def read_fact_line(line: bytes) -> Fact:
    """Return the fact of a *line*. Raises ValueError for any text other than the line that `write_fact_line` writes for
    the fact.
    """
    try:
        said = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(said, list) or len(said) != len(MEMBERS) or not all(type(said[place]) is str for place in _TEXTS):
        raise ValueError(f"not an array of {len(MEMBERS)} members")
    named = dict(zip(MEMBERS, said, strict=True))
    named["at"] = read_offset_time(said[4])
    named["due"], named["day"] = (None if each is None else date.fromisoformat(str(each)) for each in said[11:13])
    if type(said[7]) is not bool or type(said[9]) is not bool or type(said[13]) is not int:
        raise ValueError("a member has the wrong type")
    if abs(said[13]) >= _NO_AMOUNT:
        raise ValueError("an amount out of range")
    named["attributes"] = tuple(_read_pairs(said[14]))
    fact = Fact(**named)
    if write_fact_line(fact) != line:
        raise ValueError("not in canonical form")
    return fact


def write_compact_json(said: object) -> bytes:
    """Return *said* as compact JSON in UTF-8, ended by a line feed: the canonical form of a line. Raises ValueError."""
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def write_row_line(unit: str, digest: str) -> bytes:
    """Return the line of a unit in the list of rows, whose SHA-256 the report seals."""
    return write_compact_json([unit, digest])


def read_row_line(line: bytes) -> tuple[str, str]:
    """Return the unit and the SHA-256 of a line that `write_row_line` wrote. Raises ValueError for any other line."""
    try:
        said = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(said, list) or [type(each) for each in said] != [str, str] or write_row_line(*said) != line:
        raise ValueError("not a pair of a unit and a hash")
    return said[0], said[1]


def read_offset_time(text: str) -> datetime:
    """Return the instant of *text*, ISO 8601 with an offset, in UTC. Raises ValueError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without an offset")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None


def _read_pairs(said: object) -> Iterator[tuple[str, str]]:
    if not isinstance(said, list):
        raise ValueError("attributes are not a list")  # noqa: TRY004 - it is read, not passed
    for each in said:
        if not isinstance(each, list) or len(each) != 2 or not all(type(part) is str for part in each):
            raise ValueError("an attribute is not a pair of texts")
        yield each[0], each[1]
