"""Counts again how many public services had a dossier: from the list as it was written, and the dossiers by procedure.

Knows docs/reference/reports.md (“Public services that had a dossier”).
"""

import csv
import io
from datetime import date, timedelta

from tests.recount import places, results
from tests.recount.cells import Recount

Line = dict[str, str]
#: by level and field: the services in force, those with a dossier, those with one received online
Table = dict[tuple[str, str], tuple[int, int, int]]


def used(again: Recount, listed: str, units: list[str], period: str, now: object) -> Table:
    """Return the table of *units* together."""
    lines = _in_force(listed, period)
    dossiers = {
        column: {
            code
            for unit in units
            for code in again.by_row("thutuc", column, unit, period, now)  # type: ignore[arg-type]
        }
        for column in ("received_online", "received_direct")
    }
    table: Table = {}
    for code, line in lines.items():
        online = any(_is_of(told, code, set(lines)) for told in dossiers["received_online"])
        direct = any(_is_of(told, code, set(lines)) for told in dossiers["received_direct"])
        services, some, by_wire = table.get((line["level"], line["field"]), (0, 0, 0))
        table[line["level"], line["field"]] = services + 1, some + (online or direct), by_wire + online
    return table


def _in_force(listed: str, period: str) -> dict[str, Line]:
    """Return the lines of the list that hold on some day of a period; the later of two of one code."""
    first, last = (places.day(at) for at in results.bounds(period))
    last -= timedelta(days=1)
    found: dict[str, Line] = {}
    for line in csv.DictReader(io.StringIO(listed)):
        since, until = (date.fromisoformat(line[word]) if line[word] else None for word in ("since", "until"))
        if (since is None or since <= last) and (until is None or until > first):
            before = found.get(line["code"])
            if before is None or before["since"] < line["since"]:
                found[line["code"]] = line
    return found


def _is_of(told: str, code: str, codes: set[str]) -> bool:
    """Tell whether a dossier of the procedure *told* is one of the service *code*: of the listed codes with which it
    begins, up to a full stop or to its end, the longest.
    """
    begun = [each for each in codes if told == each or told.startswith(f"{each}.")]
    return max(begun, key=len, default="") == code
