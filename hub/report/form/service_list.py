"""Reads the list of the province's public services (danh mục thủ tục hành chính), a CSV file with the days on which each
entry is in force. Knows codes, fields and levels. Does not know dossiers.

Levels are those of Decree 42/2022/NĐ-CP: from end to end online (toàn trình), in part (một phần), or neither.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import attrs

from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.sanitize import show_value
from hub.language.phrases import phrase, verbatim
from hub.report.form.column import Wording


class ServiceLevel(StrEnum):
    """How far a service is offered online."""

    FULL = "full"
    PARTIAL = "partial"
    OTHER = "other"

    @property
    def name_said(self) -> Wording:
        """The name of the level."""
        return _LEVELS[self]


_LEVELS = {
    ServiceLevel.FULL: Wording("Toàn trình", "Online from end to end"),
    ServiceLevel.PARTIAL: Wording("Một phần", "Online in part"),
    ServiceLevel.OTHER: Wording("Khác", "Other"),
}
_HEADINGS = ("code", "name", "field", "field_name", "level", "since", "until")
_NEEDED = ("code", "field", "level")
#: The maximum lines of the list.
MOST = 20_000
_SHOWN = 50  #: the maximum mistakes that are named


@attrs.frozen
class PublicService:
    """An entry of the list, in force from the day `since` until before `until`."""

    code: str  #: of the procedure
    name: str
    field: str  #: the code of its field of work
    field_name: str
    level: ServiceLevel
    since: date | None = None
    until: date | None = None

    def is_in_force(self, first: date, last: date) -> bool:
        """Return whether it is in force on some day from *first* to *last*."""
        return (self.since or date.min) <= last and first < (self.until or date.max)


def load_service_list(path: Path | None) -> tuple[PublicService, ...]:
    """Return the list in the file *path*; none without a file. Raises ConfigurationFault with every mistake; OSError."""
    return () if path is None else read_service_list(path.read_bytes(), path.name)


@lru_cache(2)  # 1,700 lines take tens of milliseconds, and the book is read for each report
def read_service_list(content: bytes, name: str) -> tuple[PublicService, ...]:
    """Return the list in the CSV *content* (RFC 4180, UTF-8) with the headings code, name, field, field_name, level,
    since and until, in any order; only code, field and level are needed. *level*: `full`, `partial` or `other`, or the
    same in Vietnamese. Raises ConfigurationFault with every mistake. Each path begins with the file's *name*.
    """
    mistakes = list[Mistake]()
    try:
        table = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        headings, lines = table.fieldnames or (), list(table)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationFault(
            [Mistake(name, phrase("is unreadable: {error}", error=error), phrase("CSV in UTF-8"))]
        ) from error
    if not set(_NEEDED) <= set(headings) <= set(_HEADINGS):
        expected = phrase("the headings {headings}", headings=" ".join(_HEADINGS))
        raise ConfigurationFault(
            [Mistake(f"{name}: 1", phrase("has {headings}", headings=show_value(" ".join(headings))), expected)]
        )
    if len(lines) > MOST:
        found = phrase("has {count} lines", count=len(lines))
        raise ConfigurationFault([Mistake(name, found, phrase("at most {most} lines", most=MOST))])
    services = [_read_line(_Line(name, number, line, mistakes)) for number, line in enumerate(lines, 2)]
    mistakes += _find_overlaps(services, name)
    if mistakes:
        raise ConfigurationFault(mistakes[:_SHOWN])
    return tuple(services)


@attrs.frozen
class _Line:
    file: str
    number: int
    cells: dict[str, str | None]
    mistakes: list[Mistake]

    def text(self, word: str) -> str:
        return str(self.cells.get(word) or "").strip()

    def wrong(self, word: str, expected: str) -> None:
        place = f"{self.file}: {self.number}.{word}"
        self.mistakes.append(
            Mistake(place, phrase("is {value}", value=show_value(self.text(word))), verbatim(expected))
        )

    def day(self, word: str) -> date | None:
        text = self.text(word)
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            self.wrong(word, "2026-07-01")
            return None


def _read_line(line: _Line) -> PublicService:
    said = line.text("level").casefold()
    level = next((each for each in ServiceLevel if said in (each, each.name_said.vi.casefold())), None)
    if level is None:
        line.wrong("level", " ".join(ServiceLevel))
    for word in ("code", "field"):
        if not line.text(word):
            line.wrong(word, "1.005129" if word == "code" else "TP-HT")
    since, until = line.day("since"), line.day("until")
    if since and until and until <= since:
        line.wrong("until", f"> {since}")
    return PublicService(
        code=line.text("code"),
        name=line.text("name"),
        field=line.text("field"),
        field_name=line.text("field_name"),
        level=level or ServiceLevel.OTHER,
        since=since,
        until=until,
    )


def _find_overlaps(services: Sequence[PublicService], name: str) -> Iterator[Mistake]:
    """Yield a mistake for each entry that is in force together with another one of its code."""
    last: dict[str, PublicService] = {}
    for service in sorted(services, key=lambda each: (each.code, each.since or date.min)):
        before = last.get(service.code)
        if before is not None and (service.since or date.min) < (before.until or date.max):
            place = f"{name}: {service.code}"
            yield Mistake(place, phrase("is in force twice on the same days"), phrase("days that do not overlap"))
        last[service.code] = service


def write_services(services: Sequence[PublicService]) -> list[list[str]]:
    """Return *services* as a value of JSON."""
    return [
        [each.code, each.name, each.field, each.field_name, each.level, *map(_write_day, (each.since, each.until))]
        for each in services
    ]


def _write_day(day: date | None) -> str:
    return day.isoformat() if day else ""


def read_services(said: Sequence[Sequence[str]]) -> tuple[PublicService, ...]:
    """Return the services that `write_services` wrote."""
    found = []
    for code, name, field, field_name, level, *days in said:
        since, until = (date.fromisoformat(day) if day else None for day in days)
        found.append(PublicService(code, name, field, field_name, ServiceLevel(level), since, until))
    return tuple(found)
