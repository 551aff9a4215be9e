"""The evidence of a report: each fact behind it, once.  Knows which columns take a fact and how the list is hashed; no output.

Each unit's row has a hash over its facts, and the report one over those of its rows: so a unit's part can be proved without the rest.
Both are over text that `lienthong report … --facts --json` gives, so that anyone can make them again; see docs/reference/reports.md.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import sha256

import attrs

from hub.domain.model import Fact
from hub.report.counting.counting import place_facts
from hub.report.counting.dates import in_order
from hub.report.counting.posting import OPEN, ClosedMonths
from hub.report.form.form import Column, Form
from hub.report.form.period import Period

_Key = tuple[str, str, str]  # unit, business key, milestone: the service is the form's


@attrs.frozen
class EvidenceLine:
    """One fact behind a report."""

    fact: Fact
    columns: tuple[str, ...]  #: those that take it, formulas aside, in the form's order
    message_id: str | None = None  #: the sender's; None when the message came without one, or is no longer kept


def gather_evidence(
    form: Form,
    facts: Iterable[Fact],
    period: Period,
    now: datetime,
    units: Collection[str] | None = None,
    books: ClosedMonths = OPEN,
) -> tuple[EvidenceLine, ...]:
    """Return every fact that some column of the report counts, oldest first, the senders' message ids not yet named."""
    return write_evidence_lines(form, place_facts(form, facts, period, now, units, books))


def write_evidence_lines(form: Form, placed: Iterable[tuple[Column, Fact]]) -> tuple[EvidenceLine, ...]:
    """Return a line for each of the *placed* facts, oldest first."""
    found: dict[_Key, Fact] = {}
    takers: dict[_Key, set[str]] = {}
    for column, fact in placed:
        key = (fact.unit, fact.key, fact.milestone)
        found[key] = fact
        takers.setdefault(key, set()).add(column.key)
    order = [column.key for column in form.columns]
    made = [EvidenceLine(fact, tuple(each for each in order if each in takers[key])) for key, fact in found.items()]
    return tuple(sorted(made, key=lambda line: in_order(line.fact)))


class Hashed(ABC):
    """The lines of a report's evidence whose number and SHA-256 are known; not all of them need be at hand."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """The SHA-256 of the evidence, as `hash_evidence` returns it."""

    @abstractmethod
    def __len__(self) -> int:
        """How many lines there are."""


class EvidenceLines(Hashed, Iterable[EvidenceLine]):
    """Such lines that can be read one after the other, oldest first, and more than once."""


@attrs.frozen
class Summary(Hashed):
    """Of the lines of a report's evidence how many they are, and their SHA-256: all that a sealed report says of them."""

    facts: int
    sha256: str

    def __len__(self) -> int:
        """How many they are."""
        return self.facts


def hash_evidence(lines: Sequence[EvidenceLine] | Hashed) -> str:
    """Return the SHA-256 of a report's evidence in lower-case hexadecimal: that of its rows' digests (`of_rows`)."""
    if isinstance(lines, Hashed):
        return lines.sha256
    facts: dict[str, list[Fact]] = {}
    for line in lines:
        facts.setdefault(line.fact.unit, []).append(line.fact)
    return of_rows({unit: of_row(found) for unit, found in facts.items()})


def of_rows(rows: Mapping[str, str]) -> str:
    """Return the SHA-256 of a report's evidence from the digests of its *rows*, by unit; rows without evidence are left out.

    It is over one compact JSON array a unit, of its code and its digest, by code, in UTF-8, each ended by a line feed.
    """
    written = sha256()
    for unit in sorted(rows):
        if rows[unit] != NOTHING:
            written.update(_encode([unit, rows[unit]]).encode() + b"\n")
    return written.hexdigest()


def of_row(facts: Iterable[Fact]) -> str:
    """Return the SHA-256 of one unit's evidence: one compact JSON array a fact, oldest first, in UTF-8, each ended by a line feed.

    Its members are `MEMBERS`, all that the hub knows of the fact: whoever changes any of it changes the hash.
    """
    written = sha256()
    for fact in sorted(facts, key=in_order):
        written.update(line_of(fact).encode())
    return written.hexdigest()


#: What is hashed of a fact, in this order; `at` is in ISO 8601, UTC.
MEMBERS = (
    "unit", "service", "key", "milestone", "at", "message", "counterpart", "outside", "document_type", "paper", "signature",
    "due", "day", "amount", "attributes",
)  # fmt: skip


def line_of(fact: Fact) -> str:
    """Return what is hashed of *fact*: compact JSON as `json.dumps` writes it, and the line feed."""
    at = fact.at if fact.at.tzinfo is UTC else fact.at.astimezone(UTC)
    attributes = ",".join(f"[{_text(name)},{_text(value)}]" for name, value in fact.attributes)
    return (
        f"[{_often(fact.unit)},{_often(fact.service)},{_text(fact.key)},{_often(fact.milestone)},"
        f'"{at.isoformat()}",{_text(fact.message)},{_often(fact.counterpart)},{_TRUTH[fact.outside]},'
        f"{_often(fact.document_type)},{_TRUTH[fact.paper]},{_often(fact.signature)},{_day(fact.due)},{_day(fact.day)},"
        f"{fact.amount},[{attributes}]]\n"
    )


_text = json.encoder.encode_basestring
_often = lru_cache(4096)(_text)
_TRUTH = {False: "false", True: "true"}


def _day(day: date | None) -> str:
    return "null" if day is None else f'"{day.isoformat()}"'


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


#: The digest of a row that has no facts behind it.
NOTHING = sha256().hexdigest()
