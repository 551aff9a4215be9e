"""The sheets of a workbook as values, whichever kind of file they were read from.

Knows cells, their addresses and merged ranges. Does not know files.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import attrs

from hub.language.phrases import Phrase, phrase

#: The maximum octets of a file; sheets that are read; characters of a cell, the limit of spreadsheets.
LARGEST, SHEETS, LONGEST = 8 << 20, 20, 32_767


class WorkbookUnreadable(Exception):
    """The file is not a workbook that may be read. *said*: why, and what to do."""

    def __init__(self, said: Phrase) -> None:
        super().__init__(said)
        self.said = said


class CellKind(StrEnum):
    """The kind of a cell's value."""

    NUMBER = "number"
    TEXT = "text"
    TRUTH = "truth"
    ERROR = "error"
    NOTHING = "nothing"  #: a formula whose value was not saved


@attrs.frozen
class SheetCell:
    """One cell that is not empty: its saved value, and whether a formula computed it."""

    kind: CellKind
    text: str
    formula: bool = False


@attrs.frozen
class MergedRange:
    """Cells that are shown as one, whose value is that of the first: rows and columns from 1, the last ones included."""

    first_row: int
    first_column: int
    last_row: int
    last_column: int


@attrs.frozen
class Sheet:
    """One sheet: its cells by (row, column), both from 1."""

    title: str
    cells: Mapping[tuple[int, int], SheetCell]
    merged: Sequence[MergedRange] = ()

    def address(self, row: int, column: int) -> str:
        """Return the address of a cell as spreadsheets show it: `Báo cáo!E12`."""
        return f"{self.title}!{write_column_letters(column)}{row}"


def write_column_letters(column: int) -> str:
    """Return the letters of a column, counted from 1: A, …, Z, AA."""
    found = ""
    while column:
        column, rest = divmod(column - 1, 26)
        found = chr(ord("A") + rest) + found
    return found


def make_sheet_cell(kind: CellKind, text: str, *, formula: bool) -> SheetCell | None:
    """Return the cell that was saved with *text*; None for an empty cell. Raises WorkbookUnreadable."""
    if len(text) > LONGEST:
        raise WorkbookUnreadable(phrase("a cell has more than {longest} characters; shorten it", longest=LONGEST))
    if text.strip():
        return SheetCell(kind, text, formula)
    return SheetCell(CellKind.NOTHING, "", formula) if formula else None
