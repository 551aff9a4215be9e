"""The evidence of a report: each fact behind it, once, with the columns that count it; and the hashes of that list.
Produces no output.

Each unit's row has a hash over its facts, and the report has one over the hashes of its rows. So one unit's part can be
proved without the rest. Both are computed from the text that `lienthong report … --facts --json` prints, so that anyone
can compute them again; see docs/reference/reports.md.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import attrs

from hub.domain.model import Attributes, Fact
from hub.report.counting.counting import place_facts
from hub.report.counting.dates import make_fact_sort_key
from hub.report.counting.posting import OPEN, ClosedMonths
from hub.report.form.column import Column
from hub.report.form.form import Form
from hub.report.form.period import Period

_Key = tuple[str, str, str]  # unit, business key, milestone; the service is the form's


@attrs.frozen
class EvidenceLine:
    """One fact behind a report."""

    fact: Fact
    columns: tuple[str, ...]  #: the columns that count it, without formulas, in the order of the form
    message_id: str | None = None  #: the sender's; None when the message came without one, or is no longer kept


def gather_evidence(
    form: Form,
    facts: Iterable[Fact],
    period: Period,
    now: datetime,
    units: Collection[str] | None = None,
    books: ClosedMonths = OPEN,
) -> tuple[EvidenceLine, ...]:
    """Return every fact that some column of the report counts, oldest first. `message_id` is not filled in."""
    return write_evidence_lines(form, place_facts(form, facts, period, now, units, books))


def write_evidence_lines(form: Form, placed: Iterable[tuple[Column, Fact]]) -> tuple[EvidenceLine, ...]:
    """Return one line for each of the *placed* facts, oldest first."""
    found: dict[_Key, Fact] = {}
    takers: dict[_Key, set[str]] = {}
    for column, fact in placed:
        key = (fact.unit, fact.key, fact.milestone)
        found[key] = fact
        takers.setdefault(key, set()).add(column.key)
    order = [column.key for column in form.columns]
    made = [EvidenceLine(fact, tuple(each for each in order if each in takers[key])) for key, fact in found.items()]
    return tuple(sorted(made, key=lambda line: make_fact_sort_key(line.fact)))


class HashedLines(ABC):
    """The lines of a report's evidence, of which the number and the SHA-256 are known. The lines themselves may be
    absent.
    """

    @property
    @abstractmethod
    def sha256(self) -> str:
        """The SHA-256 of the evidence, as `hash_evidence` returns it."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of lines."""


class EvidenceLines(HashedLines, Iterable[EvidenceLine]):
    """Evidence lines that can be iterated several times, oldest first."""


@attrs.frozen
class EvidenceSummary(HashedLines):
    """The number of a report's evidence lines, and their SHA-256: all that a sealed report contains of them."""

    facts: int
    sha256: str

    def __len__(self) -> int:
        """The number of lines."""
        return self.facts


def hash_evidence(lines: Sequence[EvidenceLine] | HashedLines) -> str:
    """Return the SHA-256 of a report's evidence, in lower-case hexadecimal: the hash over its rows' digests
    (`hash_rows`).
    """
    if isinstance(lines, HashedLines):
        return lines.sha256
    facts: dict[str, list[Fact]] = {}
    for line in lines:
        facts.setdefault(line.fact.unit, []).append(line.fact)
    return hash_rows({unit: hash_row(found) for unit, found in facts.items()})


def hash_rows(rows: Mapping[str, str]) -> str:
    """Return the SHA-256 of a report's evidence from the digests of its *rows*, by unit. Rows without evidence are left
    out.

    The hash covers one compact JSON array per unit, [code, digest], ordered by code, in UTF-8, each ended by a line
    feed.
    """
    written = sha256()
    for unit in sorted(rows):
        if rows[unit] != NOTHING:
            written.update(_encode([unit, rows[unit]]).encode() + b"\n")
    return written.hexdigest()


def hash_row(facts: Iterable[Fact]) -> str:
    """Return the SHA-256 of one unit's evidence: over one compact JSON array per fact, oldest first, in UTF-8, each
    ended by a line feed.

    The array has the members `MEMBERS`, all that the hub knows of the fact. Any change to the fact changes the hash.
    """
    written = sha256()
    for fact in sorted(facts, key=make_fact_sort_key):
        written.update(write_hashed_line(fact).encode())
    return written.hexdigest()


#: The members of a fact that are hashed, in this order; `at` is ISO 8601 in UTC.
MEMBERS = (
    "unit", "service", "key", "milestone", "at", "message", "counterpart", "outside", "document_type", "paper", "signature",
    "due", "day", "amount", "attributes",
)  # fmt: skip


def write_hashed_line(fact: Fact) -> str:
    """Return the hashed text of *fact*: compact JSON as `json.dumps` writes it, with a line feed."""
    at = fact.at if fact.at.tzinfo is UTC else fact.at.astimezone(UTC)
    return (
        f"[{_often(fact.unit)},{_often(fact.service)},{_text(fact.key)},{_often(fact.milestone)},"
        f'"{at.isoformat()}",{_text(fact.message)},{_often(fact.counterpart)},{_TRUTH[fact.outside]},'
        f"{_often(fact.document_type)},{_TRUTH[fact.paper]},{_often(fact.signature)},{_write_day(fact.due)},{_write_day(fact.day)},"
        f"{fact.amount},[{_write_pairs(fact.attributes)}]]\n"
    )


@attrs.frozen
class HashedMembers:
    """The hashed texts of the members that many facts have in common."""

    milestone: str
    middle: str  #: from the counterpart to the signature
    attributes: str

    @classmethod
    def of(cls, fact: Fact) -> "HashedMembers":
        """Return the texts of *fact*."""
        middle = (
            f"{_text(fact.counterpart)},{_TRUTH[fact.outside]},{_text(fact.document_type)},{_TRUTH[fact.paper]},"
            f"{_text(fact.signature)}"
        )
        return cls(_text(fact.milestone), middle, _write_pairs(fact.attributes))


def write_hashed_rows(
    unit: str, service: str, rows: Iterable[Sequence[Any]], members: Mapping[str, HashedMembers]
) -> Iterator[str]:
    """Yield what `write_hashed_line` returns for the fact of each of *rows*, the facts of one unit.

    A row has the business key, `at`, `message`, `due`, `day` and `amount` in stored form, and a key of *members*.
    """
    head = f"[{_text(unit)},{_text(service)},"
    for key, at, message, due, day, amount, alike in rows:
        said = members[alike]
        fraction = "" if at[19:26] == ".000000" else at[19:26]
        days = "null,null" if due is None and day is None else _write_days(due, day)
        yield (
            f'{head}{_text(key)},{said.milestone},"{at[:19]}{fraction}+00:00",{_text(message)},'
            f"{said.middle},{days},{amount},[{said.attributes}]]\n"
        )


@lru_cache(4096)
def _write_days(*days: str | None) -> str:
    return ",".join("null" if each is None else f'"{each}"' for each in days)


def _write_pairs(attributes: Attributes) -> str:
    return ",".join(f"[{_text(name)},{_text(value)}]" for name, value in attributes)


_text = json.encoder.encode_basestring
_often = lru_cache(4096)(_text)
_TRUTH = {False: "false", True: "true"}


def _write_day(day: date | None) -> str:
    return "null" if day is None else f'"{day.isoformat()}"'


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


#: The digest of a row without facts.
NOTHING = sha256().hexdigest()
