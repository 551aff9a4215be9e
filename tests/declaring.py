"""Declarations for tests: as XML that a unit's system writes, and as a workbook that a clerk fills in."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

import openpyxl
from lxml import etree

from hub.report.counting.declaring import Declaration, DeclaredCell, build_declaration_element

Cells = Mapping[tuple[str, str], Any]  #: (unit, column) -> figure; the empty unit is the total


def told(cells: Cells, **notes: str) -> tuple[DeclaredCell, ...]:
    return tuple(
        DeclaredCell(unit=unit, column=column, figure=figure, **notes) for (unit, column), figure in cells.items()
    )


def declaration(
    cells: Cells, unit: str = "H55.13", form: str = "edoc", period: str = "2026-11", **more: Any
) -> Declaration:
    return Declaration(unit=unit, form=form, period=period, cells=told(cells), **more)


def octets(said: Declaration) -> bytes:
    return etree.tostring(build_declaration_element(said), method="c14n", exclusive=True)


def places(content: bytes) -> tuple[Any, Any, dict[str, int], dict[str, int]]:
    """Return the workbook, its sheet, and where its hidden keys say that columns and rows are."""
    book = openpyxl.load_workbook(BytesIO(content))
    sheet: Any = book.worksheets[0]
    (keys,) = [row for row in range(1, 30) if str(sheet.cell(row, 1).value).startswith("lienthong:declaration")]
    columns = {sheet.cell(keys, at).value: at for at in range(2, sheet.max_column + 1) if sheet.cell(keys, at).value}
    rows = {sheet.cell(at, 1).value: at for at in range(1, sheet.max_row + 1) if sheet.cell(at, 1).value and at != keys}
    return book, sheet, columns, rows


def filled(content: bytes, cells: Cells, words: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the template with *cells* typed in, and *words* (`by:`, `note:`)."""
    book, sheet, columns, rows = places(content)
    for (unit, column), figure in cells.items():
        sheet.cell(rows[f"row:{unit}" if unit else "total:"], columns[column]).value = figure
    for key, text in words:
        sheet.cell(rows[key], columns["text"]).value = text
    return saved(book)


def saved(book: Any) -> bytes:
    written = BytesIO()
    book.save(written)
    return written.getvalue()
