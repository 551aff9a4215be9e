"""A sheet of a workbook whose rows are written one after another when the workbook is stored, and kept nowhere.

Knows the XML of a row. XlsxWriter keeps a cell in about 300 octets and writes it in 5 µs; a list of 50,000 facts has
450,000 cells. Its mode of constant memory holds for a whole workbook, whose other sheets are not written row by row.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import attrs
from xlsxwriter.worksheet import Worksheet

from hub.report.words import is_formula

_TEXT = 32_767  # the maximum characters of a cell
#: What a text must be changed for: markup, control characters, what Excel reads as an escaped character, outer spaces.
_SPECIAL = re.compile(r"[&<>\x00-\x1f\x7f\ufffe\uffff]|_x[0-9a-fA-F]{4}_|^\s|\s$")
#: Cells of a column whose XML is kept, where most texts stand in many rows.
_KEPT = 2_000
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@attrs.frozen
class TextFormat:
    """The formats of a column of texts."""

    plain: Any
    quoted: Any  #: of a text that begins as a formula does: it remains a text, even when someone edits the cell
    often: bool = False  #: most texts stand in many rows


class StreamedSheet(Worksheet):  # type: ignore[misc]  # XlsxWriter is untyped
    """A sheet with a table that is streamed below the rows that were written to it."""

    _streamed: Iterable[Sequence[float | str]] = ()
    _formats: Sequence[Any] = ()
    _below: int = 0

    def stream_rows(self, formats: Sequence[Any], rows: Iterable[Sequence[float | str]], count: int) -> None:
        """Write *count* *rows* below the rows written so far, when the workbook is stored. Each cell is a number or a
        text. *formats*: one for each column, a `TextFormat` for texts.
        """
        self._streamed, self._formats, self._below = rows, formats, count

    def _write_dimension(self) -> None:
        self.dim_rowmax: int = self.dim_rowmax + self._below
        super()._write_dimension()
        self.dim_rowmax -= self._below

    def _write_rows(self) -> None:
        super()._write_rows()
        for row in self._write_streamed(self.dim_rowmax + 2):
            self.fh.write(row)

    def _write_streamed(self, first: int) -> Iterator[str]:
        columns = [
            (f'<c r="{letter}', _make_writer(each)) for letter, each in zip(_LETTERS, self._formats, strict=False)
        ]
        for number, row in enumerate(self._streamed, first):
            cells = [f"{begin}{number}{write(value)}" for (begin, write), value in zip(columns, row, strict=True)]
            yield f'<row r="{number}">{"".join(cells)}</row>'


def _make_writer(format: Any) -> Callable[[Any], str]:  # noqa: A002 - as XlsxWriter calls it
    """Return what writes a cell of a column behind the cell's number."""
    if not isinstance(format, TextFormat):
        style = format._get_xf_index()  # noqa: SLF001
        return lambda value: f'" s="{style}"><v>{value:.16G}</v></c>'
    plain, quoted = format.plain._get_xf_index(), format.quoted._get_xf_index()  # noqa: SLF001

    def write(text: str) -> str:
        index = quoted if is_formula(text) else plain
        return f'" s="{index}" t="inlineStr"><is>{_write_text(text)}</is></c>'

    return lru_cache(_KEPT)(write) if format.often else write


def _write_text(text: str) -> str:
    text = text[:_TEXT]
    if not _SPECIAL.search(text):
        return f"<t>{text}</t>"
    # XlsxWriter's own rules, so that a streamed text is read back as any other
    escaped = Worksheet._escape_data(None, Worksheet._escape_control_characters(text))  # noqa: SLF001
    preserve = ' xml:space="preserve"' if text[:1].isspace() or text[-1:].isspace() else ""
    return f"<t{preserve}>{escaped}</t>"
