"""The table found on a sheet that people laid out: its headings, its lead, its rows; not what they mean."""

import re
from collections.abc import Mapping, Sequence

import attrs

from hub.domain.plain_text import write_plain_words
from hub.report.form.layout import LaidOutColumn, Layout, begins_with_words
from hub.report.workbooks.sheets import CellKind, Sheet, SheetCell

HEADING_ROWS_SEARCHED = 40  #: the rows in which the headings begin
_NUMBER_WITHIN = 8  #: the columns in which the numbers of rows stand
_HEADING_ROWS = 8
_COLUMNS = 256
COMPARED_LENGTH = 300  #: characters of a text that is compared
WHOLE_NUMBER = re.compile(r"[0-9]{1,12}|[0-9]{1,3}(?:[. ][0-9]{3}){1,3}", re.ASCII)

Rows = Mapping[int, Mapping[int, SheetCell]]


@attrs.frozen
class FoundTable:
    """A table of a layout that was found in a sheet."""

    sheet: Sheet
    layout: Layout
    rows: Rows
    first: int  #: the first row below the headings
    number: int  #: the columns of numbers, of names, and of codes (0: none)
    name: int
    code: int
    places: Mapping[str, int]  #: the column of the sheet for each column of the form
    headings: Mapping[int, str]  #: what stands above each column, outermost first, as it is written
    unknown: Mapping[int, tuple[LaidOutColumn, ...]]  #: columns that are none of the layout, or may be several

    @classmethod
    def find(cls, sheet: Sheet, layout: Layout) -> "FoundTable | None":
        """Return the table of *layout* in *sheet*; None if no column of it is there."""
        rows = _gather_rows(sheet)
        start = next(
            (
                (row, column)
                for row in sorted(rows)
                if row <= HEADING_ROWS_SEARCHED
                for column, cell in sorted(rows[row].items())
                if column <= _NUMBER_WITHIN and read_plain_words(cell) in layout.number
            ),
            None,
        )
        if start is None:
            return None
        end = _find_end_of_headings(rows, start)
        shown = _gather_headings(sheet, rows, start[0], end)
        plain = {column: write_plain_words(text) for column, text in shown.items()}
        name = _find_lead(plain, layout.unit, start[1])
        if not name:
            return None
        code = _find_lead(plain, layout.code, name)
        places: dict[str, int] = {}
        unknown: dict[int, tuple[LaidOutColumn, ...]] = {}
        for column, words in plain.items():
            if column in (start[1], name, code) or begins_with_words(words, layout.ignored):
                continue
            found = layout.find_column(words)
            if len(found) == 1 and found[0].column not in places:
                places[found[0].column] = column
            else:
                unknown[column] = found
        if not places:
            return None
        return cls(sheet, layout, rows, end, start[1], name, code, places, shown, unknown)


def _gather_rows(sheet: Sheet) -> Rows:
    found: dict[int, dict[int, SheetCell]] = {}
    for (row, column), cell in sheet.cells.items():
        if column <= _COLUMNS:
            found.setdefault(row, {})[column] = cell
    return found


def read_plain_words(cell: SheetCell | None) -> str:
    return "" if cell is None else write_plain_words(cell.text[:COMPARED_LENGTH])


def _find_end_of_headings(rows: Rows, start: tuple[int, int]) -> int:
    """Return the first row below the headings that begin at *start*: that of the numbers of columns, of the total, or of the
    first unit.
    """
    top, column = start
    for row in range(top + 1, top + _HEADING_ROWS):
        cells = rows.get(row, {})
        if column in cells and read_plain_words(cells[column]) != read_plain_words(rows[top][column]):
            return row
        if any(is_figure(cell) for cell in cells.values()):
            return row
    return top + _HEADING_ROWS


def is_figure(cell: SheetCell | None) -> bool:
    """Return whether a cell has a number, or a text that stands for one."""
    if cell is None:
        return False
    return cell.kind is CellKind.NUMBER or (
        cell.kind is CellKind.TEXT and WHOLE_NUMBER.fullmatch(trim_cell_text(cell)) is not None
    )


def trim_cell_text(cell: SheetCell) -> str:
    return cell.text[:COMPARED_LENGTH].replace("\xa0", " ").strip()


def _gather_headings(sheet: Sheet, rows: Rows, first: int, end: int) -> Mapping[int, str]:
    """Return the headings above each column, those of merged cells above all that they cover, joined by “ > ”."""
    texts: dict[tuple[int, int], str] = {
        (row, column): " ".join(cell.text[:COMPARED_LENGTH].split())
        for row in range(first, end)
        for column, cell in rows.get(row, {}).items()
        if cell.kind is CellKind.TEXT
    }
    for merged in {(each.first_row, each.first_column): each for each in sheet.merged}.values():
        text = texts.get((merged.first_row, merged.first_column))
        if text is None or merged.last_row >= first + _HEADING_ROWS:
            continue
        for row in range(merged.first_row, min(merged.last_row, end - 1) + 1):
            for column in range(merged.first_column, min(merged.last_column, _COLUMNS) + 1):
                texts[row, column] = text
    found: dict[int, list[str]] = {}
    for (_, column), text in sorted(texts.items()):
        above = found.setdefault(column, [])
        if not above or above[-1] != text:
            above.append(text)
    return {column: " > ".join(above) for column, above in sorted(found.items())}


def _find_lead(plain: Mapping[int, str], wanted: Sequence[str], after: int) -> int:
    """Return the first column behind *after* whose headings are one of *wanted*; 0 if there is none."""
    exact = (column for column, words in plain.items() if column > after and words in wanted)
    begun = (column for column, words in plain.items() if column > after and begins_with_words(words, wanted))
    return next(exact, 0) or next(begun, 0)
