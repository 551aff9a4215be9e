"""Reads the national list of agencies, as the axis returns it (standards 2.1, `getAgenciesList`).

A row has id, pid, code, name and mail; some rows have an older code. Knows this shape in JSON and CSV. Does not know
the database.

The operator of a hub cannot correct that list. So a row that cannot be imported is left out and reported, and the rest
is imported. Worst cost: 7 µs a row or value, which is 0.4 s for a list of 2 MB.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence

import attrs

from hub.domain.errors import Mistake
from hub.domain.model import Unit, UnitMark, is_province_code
from hub.language.phrases import phrase
from hub.units.units_csv import fits_unit_code, is_storable_name

COLUMNS = ("id", "pid", "code", "name")
#: The columns that may hold the agency's older code: of `getAgenciesList`, and of `getAgenciesListQD20`.
_OLD = ("oldCode", "code102")


@attrs.frozen
class SkippedAgency:
    """A row that was not imported, and the reason.

    `province` (a code of our own province), `held` (a code of one of our units), `twice`, `empty`, `unfit` (not a valid
    code or name), `deleted`. With `old-code` only the older code was left out: it is not a valid code, or is the
    province's or another agency's.
    """

    code: str
    why: str


class _NoAgencies(ValueError):
    """The file has another form; the argument says what it lacks."""


def _read_rows(content: bytes, name: str) -> list[dict[str, str]] | Mistake:
    """Return the rows of the file *name*, or why it is unreadable."""
    try:
        return list(_read_agency_rows(content.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        return Mistake(
            name,
            phrase("is not UTF-8: {reason} at octet {start}", reason=error.reason, start=error.start),
            phrase("a file in UTF-8"),
        )
    except (ValueError, RecursionError, csv.Error) as error:
        why = error.args[0] if isinstance(error, _NoAgencies) else error  # else what a library said
        expected = phrase("JSON or CSV with {columns}, as getAgenciesList gives", columns=", ".join(COLUMNS))
        return Mistake(name, phrase("is not a list of agencies: {error}", error=why), expected)


def read_national_agencies(
    content: bytes, name: str, known: Sequence[Unit], *provinces: str
) -> tuple[list[Unit], list[SkippedAgency], list[Mistake]]:
    """Return the agencies outside *provinces* in the file *name*, the rows left out, and why it is unreadable.

    *known* are the units of the registry. Those of the province stay unchanged, and an agency already there keeps its
    aliases. A parent that was left out, or that leads back to the agency itself, becomes None. An older code becomes an
    alias.
    """
    rows = _read_rows(content, name)
    if isinstance(rows, Mistake):
        return [], [], [rows]
    before = {unit.code: unit for unit in known}
    taken = {code for unit in known if unit.mark != UnitMark.NATIONAL for code in (unit.code, *unit.aliases)}
    taken |= {alias for unit in known for alias in unit.aliases}
    codes: dict[str, tuple[str, str]] = {}  # code -> name, pid
    by_id: dict[str, str] = {}
    older: dict[str, str] = {}
    left: list[SkippedAgency] = []
    for row in rows:
        code, called = row["code"], row["name"]
        why = row["deleted"] or _find_unfit(code, called, taken, provinces) or ("twice" if code in codes else "")
        if why:
            left.append(SkippedAgency(code, why))
        else:
            codes[code] = called, row["pid"]
            by_id[row["id"]] = code
            older[code] = row["old"]
    aliases = {code: before[code].aliases if code in before else () for code in codes}
    left += _add_older(aliases, older, taken | before.keys(), provinces)
    parents = {code: by_id.get(pid) for code, (_called, pid) in codes.items()}
    _cut_circles(parents)
    agencies = [
        Unit(code, called, parents[code], aliases=aliases[code], mark=UnitMark.NATIONAL, level=level, kind=kind)
        for code, (called, _pid) in codes.items()
        for level, kind in [(before[code].level, before[code].kind) if code in before else ("", "")]
    ]
    return agencies, left, []


def _read_agency_rows(text: str) -> Iterator[dict[str, str]]:
    """Yield of each row its four columns, `old` (its older code) and `deleted` (that word or "").

    Raises _NoAgencies, another ValueError of JSON, `csv.Error`.
    """
    given: object
    if text.lstrip()[:1] in {"[", "{"}:
        given = json.loads(text)
        if isinstance(given, Mapping):
            given = given.get("data")  # the axis's own response: status, ErrorCode, ErrorDesc, data
        if not isinstance(given, list) or not all(isinstance(row, Mapping) for row in given):
            raise _NoAgencies(phrase("there is no list of objects"))
    else:
        given = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        missing = [column for column in COLUMNS if column not in (given.fieldnames or ())]
        if missing:
            raise _NoAgencies(phrase("without the columns {columns}", columns=", ".join(missing)))
    for row in given:
        texts = {column: _write_cell_text(row.get(column)) for column in COLUMNS}
        old = next(filter(None, (_write_cell_text(row.get(column)) for column in _OLD)), "")
        yield texts | {
            "old": old,
            "deleted": "deleted" if _write_cell_text(row.get("deleted")).lower() == "true" else "",
        }


def _write_cell_text(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _find_unfit(code: str, called: str, taken: set[str], provinces: tuple[str, ...]) -> str:
    if not code or not called:
        return "empty"
    if not fits_unit_code(code) or not is_storable_name(called):
        return "unfit"
    if is_province_code(code, *provinces):
        return "province"
    return "held" if code in taken else ""


def _add_older(
    aliases: dict[str, tuple[str, ...]], older: Mapping[str, str], held: set[str], provinces: tuple[str, ...]
) -> Iterator[SkippedAgency]:
    """Add its older code to the *aliases* of each code. Yield the older codes that cannot be added."""
    for code, old in older.items():
        if not old or old == code or old in aliases[code]:
            continue
        if fits_unit_code(old) and old not in held and old not in aliases and not is_province_code(old, *provinces):
            aliases[code] = (*aliases[code], old)
            held.add(old)
        else:
            yield SkippedAgency(old, "old-code")


def _cut_circles(parents: dict[str, str | None]) -> None:
    """Remove one parent link of every cycle."""
    right: set[str] = set()
    for code in parents:
        path: dict[str, None] = {}
        at: str | None = code
        while at is not None and at not in right and at not in path:
            path[at] = None
            at = parents.get(at)
        if at is not None and at in path:
            parents[at] = None
        right.update(path)
