"""Workbooks of the three families as other software makes them, for tests: titles, merged headings, numbers of columns, rows."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import openpyxl

from hub.report.form.layout import Layout
from hub.report.workbooks.sheets import CellKind, MergedRange, Sheet, SheetCell
from tests import biff

Rows = Sequence[tuple[Any, str, Mapping[str, Any]]]  #: the number, the name, the figures by column


def lay_out(
    layout: Layout,
    rows: Rows,
    *,
    empty: int = 0,
    top: Sequence[str] = ("Biểu mẫu", "Từ ngày 15/10/2026 đến ngày 14/11/2026"),
    headings: Mapping[str, Sequence[str]] | None = None,
    unit: str = "Đơn vị",
    numbered: bool = True,
    below: Sequence[tuple[int, str]] = ((2, "Người lập biểu"), (8, "Thủ trưởng đơn vị")),
    more: Mapping[str, Sequence[str]] | None = None,
) -> openpyxl.Workbook:
    """Return the workbook of *layout* with *rows*. *empty*: columns before the first; *headings*: other headings of columns;
    *more*: columns that the layout does not have, with their headings.
    """
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = "Biểu"
    first = empty + 1
    for row, text in enumerate(top, 1):
        sheet.cell(row, first).value = text
        sheet.merge_cells(start_row=row, start_column=first, end_row=row, end_column=first + 5)
    start = len(top) + 2
    columns = {each.column: tuple((headings or {}).get(each.column, each.heading)) for each in layout.columns}
    columns |= {key: tuple(path) for key, path in (more or {}).items()}
    depth = max(map(len, columns.values()))
    paths = [("STT",), (unit,), *columns.values()]
    _write_headings(sheet, start, first, depth, paths)
    line = start + depth
    if numbered:
        for place in range(len(paths)):
            sheet.cell(line, first + place).value = f"({place + 1})"
        line += 1
    for number, name, figures in rows:
        sheet.cell(line, first).value = number
        sheet.cell(line, first + 1).value = name
        for place, key in enumerate(columns, first + 2):
            if key in figures:
                sheet.cell(line, place).value = figures[key]
        line += 1
    for column, text in below:
        sheet.cell(line + 2, first + column).value = text
    return book


def _write_headings(sheet: Any, start: int, first: int, depth: int, paths: Sequence[tuple[str, ...]]) -> None:
    """Write each heading once: over the columns that share it, and down to the last row where it is the innermost."""
    for level in range(depth):
        place = 0
        while place < len(paths):
            path, end = paths[place], place + 1
            if level >= len(path):
                place = end
                continue
            while end < len(paths) and level < len(path) - 1 and paths[end][: level + 1] == path[: level + 1]:
                end += 1
            down = depth - 1 if level == len(path) - 1 else level
            sheet.cell(start + level, first + place).value = path[level]
            if end > place + 1 or down > level:
                sheet.merge_cells(
                    start_row=start + level,
                    start_column=first + place,
                    end_row=start + down,
                    end_column=first + end - 1,
                )
            place = end


def as_sheet(book: openpyxl.Workbook) -> Sheet:
    """Return the sheet of *book* as the hub reads it, without a file between."""
    sheet: Any = book.active
    kinds = {bool: CellKind.TRUTH, int: CellKind.NUMBER, float: CellKind.NUMBER}
    cells = {
        (cell.row, cell.column): SheetCell(kinds.get(type(cell.value), CellKind.TEXT), str(cell.value))
        for row in sheet.iter_rows()
        for cell in row
        if cell.value not in {None, ""}
    }
    merged = [MergedRange(each.min_row, each.min_col, each.max_row, each.max_col) for each in sheet.merged_cells.ranges]
    return Sheet(sheet.title, cells, merged)


def as_xls(book: openpyxl.Workbook) -> bytes:
    """Return *book* as an old `.xls`, written record by record."""
    sheet = as_sheet(book)
    records = []
    for (row, column), cell in sheet.cells.items():
        if cell.kind is CellKind.NUMBER:
            records.append(biff.number(row - 1, column - 1, float(cell.text)))
        else:
            said = cell.text.encode("utf-16-le")
            head = struct.pack("<HHHHB", row - 1, column - 1, 0, len(cell.text), 1)
            records.append((0x0204, head + said))
    ranges = b"".join(
        struct.pack("<HHHH", each.first_row - 1, each.last_row - 1, each.first_column - 1, each.last_column - 1)
        for each in sheet.merged
    )
    return biff.xls([*records, (0x00E5, struct.pack("<H", len(sheet.merged)) + ranges)])
