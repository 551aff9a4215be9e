"""Keeps the facts behind a report on disk, oldest first, each with the columns that count it. Uses SQLite for sorting.
Does not know the journal.

A report may count hundreds of thousands of facts. Sorting and hashing them here needs only the memory of the page
cache. The file has no name and is gone when the listing is closed or its process ends, however that ends.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from itertools import groupby
from operator import itemgetter

from hub.domain.model import Fact
from hub.report.counting import lines
from hub.report.counting.evidence import EvidenceLine, EvidenceLines, EvidenceSummary, hash_rows, write_hashed_line

#: The page cache, in KiB; sorting needs about as much again.
_CACHE = 4 * 1024
#: The maximum number of facts that are buffered before they are written.
_HELD = 2_000

_TABLE = "CREATE TABLE line (unit TEXT, at TEXT, message TEXT, milestone TEXT, key TEXT, said TEXT, columns TEXT)"
_PUT = "INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?)"
_ORDER = "at, message, unit, milestone, key, said"  # the same order as `dates.make_fact_sort_key`
_first = itemgetter(0)

_Key = tuple[str, str, str, str]
#: A fact's place in the order. With None as the key, it is the place of all facts with that time, message, unit and
#: milestone.
Place = tuple[str, str, str, str, str | None]


class FactListing(EvidenceLines):
    """The facts that columns count. Only the thread that created it may use it."""

    def __init__(self, columns: Sequence[str]) -> None:
        """*columns*: the keys of the form's columns, in its order."""
        self._columns = columns
        self._held: dict[_Key, tuple[Fact, list[str]]] = {}
        self._file = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "temp_store=FILE", f"cache_size=-{_CACHE}"):
            self._file.execute(f"PRAGMA {pragma}")
        self._file.execute("BEGIN")  # never committed
        self._file.execute(_TABLE)

    def take(self, column: str, fact: Fact) -> None:
        """Record that the column with this key counts *fact*. A column that counts it by two of its rules is recorded
        twice.
        """
        key = (fact.unit, fact.service, fact.key, fact.milestone)
        held = self._held.get(key)
        if held is not None:
            held[1].append(column)
            return
        if len(self._held) >= _HELD:
            self._write()
        self._held[key] = (fact, [column])

    def _write(self) -> None:
        held, self._held = self._held, {}
        self._file.executemany(
            _PUT,
            (
                (
                    fact.unit,
                    write_sortable_time(fact.at),
                    fact.message,
                    fact.milestone,
                    fact.key,
                    write_hashed_line(fact),
                    f" {' '.join(columns)} ",
                )
                for fact, columns in held.values()
            ),
        )

    def _rows(self, what: str, where: str = "TRUE", said: Sequence[object] = (), order: str = _ORDER) -> sqlite3.Cursor:
        if self._held:
            self._write()
        return self._file.execute(f"SELECT {what} FROM line WHERE {where} ORDER BY {order}", said)  # noqa: S608

    def _lines(self, where: str = "TRUE", said: Sequence[object] = ()) -> Iterator[tuple[str, list[str]]]:
        """Yield each line with the columns that count its fact, a column once for each of its rules that does."""
        rows = self._rows("said, columns", where, said)
        for line, same in groupby(rows, _first):  # a fact that was written in several parts is put together
            yield line, [column for _, columns in same for column in columns.split()]

    def __len__(self) -> int:
        """The number of facts."""
        return self.summary.facts

    def __iter__(self) -> Iterator[EvidenceLine]:
        """Yield each fact once, oldest first. `message_id` is not filled in."""
        for line, columns in self._lines():
            yield EvidenceLine(lines.read_trusted_line(line), tuple(key for key in self._columns if key in columns))

    @cached_property
    def _hashed(self) -> tuple[Mapping[str, str], int]:
        found, many = {}, 0
        rows = self._rows("unit, said", order="unit, at, message, milestone, key, said")
        for unit, told in groupby(rows, _first):
            written, before = sha256(), ""
            for _, line in told:
                if line != before:
                    written.update(line.encode())
                    many += 1
                    before = line
            found[unit] = written.hexdigest()
        return found, many

    @property
    def rows(self) -> Mapping[str, str]:
        """The SHA-256 of each unit's facts (`evidence.hash_row`), by unit. Computed at the first use, which must follow
        the last `take`.
        """
        return self._hashed[0]

    @property
    def sha256(self) -> str:
        """The SHA-256 of all facts. Computed at the first use, which must follow the last `take`."""
        return hash_rows(self.rows)

    @property
    def summary(self) -> EvidenceSummary:
        """The number of facts and the SHA-256 of all. Remains usable after the listing is closed."""
        return EvidenceSummary(self._hashed[1], self.sha256)

    def behind(
        self, columns: Collection[str], unit: str | None = None, after: Place | None = None, *, each: bool = True
    ) -> Iterator[Fact]:
        """Yield the facts that one of *columns* counts, of *unit* (None: all), oldest first, starting behind the place
        *after*.

        A fact is yielded once for each rule of these columns that counts it; with *each* false, only once.
        """
        where, said = _make_condition(columns, unit)
        if after is not None:
            where, said = (
                f"{where} AND {_make_after_condition(after)}",
                [*said, *(part for part in after if part is not None)],
            )
        for line, takers in self._lines(where, said):
            fact = lines.read_trusted_line(line)
            for _ in range(sum(taker in columns for taker in takers) if each else 1):
                yield fact

    def count(self, columns: Collection[str], unit: str | None = None, *, each: bool = True) -> int:
        """Return the number of facts that `behind` yields."""
        found = self._lines(*_make_condition(columns, unit))
        return sum(sum(taker in columns for taker in takers) if each else 1 for _, takers in found)

    def list_takers(self, order: str = "message") -> Iterator[tuple[str, str, frozenset[str]]]:
        """Yield unit, message and counting columns of each fact, once. Ordered by message, or with *order* "time" by
        time.
        """
        rows = self._rows(
            "said, unit, message, columns",
            order=_ORDER if order == "time" else "message, at, unit, milestone, key, said",
        )
        for _, same in groupby(rows, _first):
            told = list(same)
            _, unit, message, _ = told[0]
            yield unit, message, frozenset(column for *_, columns in told for column in columns.split())

    def close(self) -> None:
        """Close and delete the file."""
        self._file.close()


def find_fact_position(fact: Fact) -> Place:
    """Return the place of *fact* in the order."""
    return write_sortable_time(fact.at), fact.message, fact.unit, fact.milestone, fact.key


def write_sortable_time(at: datetime) -> str:
    """Return *at* as text that sorts in the order of time."""
    return (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat(timespec="microseconds")


def _make_condition(columns: Collection[str], unit: str | None) -> tuple[str, list[object]]:
    """Return the SQL condition that one of *columns* counts a line, of *unit* (None: all), and its values."""
    any_of = " OR ".join("instr(columns, ?)" for _ in columns) or "FALSE"
    said: list[object] = [f" {column} " for column in columns]
    return (f"({any_of})", said) if unit is None else (f"unit = ? AND ({any_of})", [unit, *said])


def _make_after_condition(place: Place) -> str:
    names = ("at", "message", "unit", "milestone", "key")[: 4 if place[4] is None else 5]
    return f"({', '.join(names)}) > ({', '.join('?' for _ in names)})"
