"""A sheet of a workbook whose rows are written one after another when the workbook is stored, and kept nowhere.

Knows the XML of a row. XlsxWriter keeps a cell in about 300 octets and writes it in 5 µs; a list of 50,000 facts has
450,000 cells. Its mode of constant memory holds for a whole workbook, whose other sheets are not written row by row.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
from xlsxwriter.worksheet import Worksheet

from hub.report.output.words import FORMULA

_TEXT = 32_767  # the maximum characters of a cell
#: What a text must be changed for: markup, control characters, what Excel reads as an escaped character, outer spaces.
_SPECIAL = re.compile(r"[&<>\x00-\x1f\x7f\ufffe\uffff]|_x[0-9a-fA-F]{4}_|^\s|\s$")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@attrs.frozen
class TextFormat:
    """The formats of a column of texts."""

    plain: Any
    quoted: Any  #: of a text that begins as a formula does: it remains a text, even when someone edits the cell


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
        styles = [
            (each.plain._get_xf_index(), each.quoted._get_xf_index())  # noqa: SLF001
            if isinstance(each, TextFormat)
            else each._get_xf_index()  # noqa: SLF001
            for each in self._formats
        ]
        columns = list(zip(_LETTERS, styles, strict=False))
        for number, row in enumerate(self._streamed, first):
            cells = []
            for (letter, style), value in zip(columns, row, strict=True):
                if isinstance(value, str):
                    index = style[value.lstrip(" ").startswith(FORMULA)]
                    cells.append(f'<c r="{letter}{number}" s="{index}" t="inlineStr"><is>{_write_text(value)}</is></c>')
                else:
                    cells.append(f'<c r="{letter}{number}" s="{style}"><v>{value:.16G}</v></c>')
            yield f'<row r="{number}">{"".join(cells)}</row>'


def _write_text(text: str) -> str:
    text = text[:_TEXT]
    if not _SPECIAL.search(text):
        return f"<t>{text}</t>"
    # XlsxWriter's own rules, so that a streamed text is read back as any other
    escaped = Worksheet._escape_data(None, Worksheet._escape_control_characters(text))  # noqa: SLF001
    preserve = ' xml:space="preserve"' if text[:1].isspace() or text[-1:].isspace() else ""
    return f"<t{preserve}>{escaped}</t>"
