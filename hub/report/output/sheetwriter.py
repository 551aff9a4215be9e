"""How texts and looks get into the cells of a workbook.  Knows Excel's rules for a cell; not what stands in it."""

from collections.abc import Callable
from typing import Any

import attrs

from hub.report.output.words import FORMULA

FACE = "Times New Roman"
_TEXT = 32_767  # characters that a cell holds


def make_cell_styles() -> dict[str, object]:
    """Return how every cell looks, anew each time: a workbook writes into what it is given."""
    return {"font_name": FACE, "font_size": 11}


def text_cell_options() -> dict[str, object]:
    """Return the options by which every text is a text, whatever it looks like; anew each time."""
    return {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


@attrs.define
class SheetWriter:
    """A workbook in the making, the language of its words, and its formats, each made once."""

    workbook: Any
    language: str
    _formats: dict[tuple[tuple[str, object], ...], Any] = attrs.field(factory=dict, init=False)

    def t(self, vi: str, en: str) -> str:
        """Return the words in the workbook's language."""
        return en if self.language == "en" else vi

    def format(self, **properties: object) -> Any:
        """Return the format with these *properties*."""
        key = tuple(sorted(properties.items()))
        if key not in self._formats:
            self._formats[key] = self.workbook.add_format({**make_cell_styles(), **properties})
        return self._formats[key]

    def write(self, sheet: Any, row: int, column: int, text: str, **properties: Any) -> None:
        """Write a text that stays one, also when someone edits the cell."""
        if text.lstrip(" ").startswith(FORMULA):
            properties = {**properties, "quote_prefix": True}
        sheet.write_string(row, column, text[:_TEXT], self.format(**properties))

    def writer(self, sheet: Any, **properties: Any) -> Callable[[int, int, str], None]:
        """Return what writes many texts that look alike, as `write` does."""
        plain, quoted = self.format(**properties), self.format(**properties, quote_prefix=True)

        def write(row: int, column: int, text: str) -> None:
            form = quoted if text.lstrip(" ").startswith(FORMULA) else plain
            sheet.write_string(row, column, text[:_TEXT], form)

        return write

    def merge(self, sheet: Any, first: tuple[int, int], last: tuple[int, int], text: str, **properties: Any) -> None:
        """Write a text over several cells."""
        if first != last:
            sheet.merge_range(*first, *last, "", self.format(**properties))
        self.write(sheet, *first, text, **properties)
