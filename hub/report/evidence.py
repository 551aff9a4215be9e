"""The evidence of a report: each fact behind it, once.  Knows which columns take a fact and how the list is hashed; no output.

Each unit's row has a hash over its facts, and the report one over those of its rows: so a unit's part can be proved without the rest.
Both are over text that `lienthong report … --facts --json` gives, so that anyone can make them again; see docs/reference/reports.md.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime
from hashlib import sha256

import attrs

from hub.model import Fact
from hub.report.counting import placements
from hub.report.dates import in_order
from hub.report.form import Column, Form
from hub.report.period import Period
from hub.report.posting import OPEN, Books

_Key = tuple[str, str, str]  # unit, business key, milestone: the service is the form's


@attrs.frozen
class Line:
    """One fact behind a report."""

    fact: Fact
    columns: tuple[str, ...]  #: those that take it, formulas aside, in the form's order
    message_id: str | None = None  #: the sender's; None when the message came without one, or is no longer kept


def gather(
    form: Form,
    facts: Iterable[Fact],
    period: Period,
    now: datetime,
    units: Collection[str] | None = None,
    books: Books = OPEN,
) -> tuple[Line, ...]:
    """Return every fact that some column of the report counts, oldest first, the senders' message ids not yet named."""
    return lines(form, placements(form, facts, period, now, units, books))


def lines(form: Form, placed: Iterable[tuple[Column, Fact]]) -> tuple[Line, ...]:
    """Return a line for each of the *placed* facts, oldest first."""
    found: dict[_Key, Fact] = {}
    takers: dict[_Key, set[str]] = {}
    for column, fact in placed:
        key = (fact.unit, fact.key, fact.milestone)
        found[key] = fact
        takers.setdefault(key, set()).add(column.key)
    order = [column.key for column in form.columns]
    made = [Line(fact, tuple(each for each in order if each in takers[key])) for key, fact in found.items()]
    return tuple(sorted(made, key=lambda line: in_order(line.fact)))


def named(lines: Iterable[Line], ids: Mapping[str, str | None]) -> tuple[Line, ...]:
    """Return *lines* with the senders' message ids, given by the hub's."""
    return tuple(attrs.evolve(line, message_id=ids.get(line.fact.message)) for line in lines)


def digest(lines: Iterable[Line]) -> str:
    """Return the SHA-256 of a report's evidence in lower-case hexadecimal: that of its rows' digests (`of_rows`)."""
    facts: dict[str, list[Fact]] = {}
    for line in lines:
        facts.setdefault(line.fact.unit, []).append(line.fact)
    return of_rows({unit: of_row(found) for unit, found in facts.items()})


def of_rows(rows: Mapping[str, str]) -> str:
    """Return the SHA-256 of a report's evidence from the digests of its *rows*, by unit; rows without evidence are left out.

    It is over one compact JSON array a unit, of its code and its digest, by code, in UTF-8, each ended by a line feed.
    """
    said = ([unit, rows[unit]] for unit in sorted(rows) if rows[unit] != NOTHING)
    return _hashed(said)


def of_row(facts: Iterable[Fact]) -> str:
    """Return the SHA-256 of one unit's evidence: one compact JSON array a fact, oldest first, in UTF-8, each ended by a line feed.

    Its members are `MEMBERS`, all that the hub knows of the fact: whoever changes any of it changes the hash.
    """
    return _hashed(map(_said, sorted(facts, key=in_order)))


#: What is hashed of a fact, in this order; `at` is in ISO 8601, UTC.
MEMBERS = (
    "unit", "service", "key", "milestone", "at", "message", "counterpart", "outside", "document_type", "paper", "signature",
    "due", "day", "amount", "attributes",
)  # fmt: skip


def _said(fact: Fact) -> list[object]:
    at = fact.at if fact.at.tzinfo is UTC else fact.at.astimezone(UTC)
    return [
        fact.unit,
        fact.service,
        fact.key,
        fact.milestone,
        at.isoformat(),
        fact.message,
        fact.counterpart,
        fact.outside,
        fact.document_type,
        fact.paper,
        fact.signature,
        _day(fact.due),
        _day(fact.day),
        fact.amount,
        fact.attributes,
    ]


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _hashed(said: Iterable[object]) -> str:
    written = sha256()
    for each in said:
        written.update(_encode(each).encode() + b"\n")
    return written.hexdigest()


#: The digest of a row that has no facts behind it.
NOTHING = sha256().hexdigest()
