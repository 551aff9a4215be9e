"""Compares the revisions of a report that were given out, cell by cell: the minutes of its corrections. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import attrs

from hub.report.counting.counting import Report, Row
from hub.report.counting.deriving import Number
from hub.report.form.column import ColumnKind
from hub.report.signed.sealed import Sealed

#: The maximum number of cells that the minutes of one revision name.
MOST_CELLS = 50


@attrs.frozen(kw_only=True)
class CorrectedCell:
    """A cell that another revision has with another number."""

    unit: str  #: "": the total of a report with several rows
    column: str
    was: Number
    now: Number


@attrs.frozen(kw_only=True)
class ReturnNote:
    """That a recipient returned the revision before."""

    partner: str
    at: datetime
    reasons: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class CorrectionMinutes:
    """What one revision corrected: who made it, when and why, and what is different since the revision before."""

    revision: int  #: from 2 on
    at: datetime
    by: str
    reason: str
    returned: tuple[ReturnNote, ...] = ()
    cells: tuple[CorrectedCell, ...] = ()  #: at most `MOST_CELLS`; empty: the numbers are the same
    more: int = 0  #: how many further cells differ


def compare_revisions(before: Sealed, after: Sealed) -> tuple[tuple[CorrectedCell, ...], int]:
    """Return the cells of *after* that differ from *before*, in the order of rows and columns, at most `MOST_CELLS`, and
    the number of the others. A row that one of them does not have is one of zeros. Times are not compared.
    """
    found = list(_compare_rows(before.report, after.report))
    return tuple(found[:MOST_CELLS]), max(0, len(found) - MOST_CELLS)


def _compare_rows(before: Report, after: Report) -> Iterator[CorrectedCell]:
    was, now = _list_rows(before), _list_rows(after)
    for unit in dict.fromkeys((*now, *was)):
        mine, theirs = (rows.get(unit, {}) for rows in (was, now))
        for column in after.form.columns:
            if column.kind is ColumnKind.TIME:
                continue
            one, other = mine.get(column.key, 0), theirs.get(column.key, 0)
            if one != other:
                yield CorrectedCell(unit=unit, column=column.key, was=one, now=other)


def _list_rows(report: Report) -> Mapping[str, Mapping[str, Number]]:
    rows: list[tuple[str, Row]] = [(row.unit, row) for row in report.rows]
    if len(rows) > 1:
        rows = [("", report.total), *rows]
    return {unit: row.numbers for unit, row in rows}
