"""The evidence of a report: each fact behind it, once.  Knows which columns take a fact and how the list is hashed; no output.

The hash is over text that `lienthong report … --facts --json` gives, so that anyone can make it again; see docs/reference/reports.md.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256

import attrs

from hub.model import Fact
from hub.report.counting import in_order, placements
from hub.report.form import Form
from hub.report.period import Period

_Key = tuple[str, str, str]  # unit, business key, milestone: the service is the form's


@attrs.frozen
class Line:
    """One fact behind a report."""

    fact: Fact
    columns: tuple[str, ...]  #: those that take it, formulas aside, in the form's order
    message_id: str | None = None  #: the sender's; None when the message came without one, or is no longer kept


def gather(
    form: Form, facts: Iterable[Fact], period: Period, now: datetime, units: Collection[str] | None = None
) -> tuple[Line, ...]:
    """Return every fact that some column of the report counts, oldest first, the senders' message ids not yet named."""
    found: dict[_Key, Fact] = {}
    takers: dict[_Key, set[str]] = {}
    for column, fact in placements(form, facts, period, now, units):
        key = (fact.unit, fact.key, fact.milestone)
        found[key] = fact
        takers.setdefault(key, set()).add(column.key)
    order = [column.key for column in form.columns]
    lines = [Line(fact, tuple(each for each in order if each in takers[key])) for key, fact in found.items()]
    return tuple(sorted(lines, key=lambda line: in_order(line.fact)))


def named(lines: Iterable[Line], ids: Mapping[str, str | None]) -> tuple[Line, ...]:
    """Return *lines* with the senders' message ids, given by the hub's."""
    return tuple(attrs.evolve(line, message_id=ids.get(line.fact.message)) for line in lines)


def digest(lines: Sequence[Line]) -> str:
    """Return the SHA-256 of the list in lower-case hexadecimal: one compact JSON array a line, in UTF-8, each ended by a line feed.

    Its members: unit, service, key, milestone, at (ISO 8601, UTC), the hub's id of the message, the sender's or null.
    """
    written = sha256()
    for line in lines:
        fact = line.fact
        at = fact.at.astimezone(UTC).isoformat()
        said = [fact.unit, fact.service, fact.key, fact.milestone, at, fact.message, line.message_id]
        written.update(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return written.hexdigest()
