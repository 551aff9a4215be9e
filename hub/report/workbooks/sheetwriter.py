"""Writes texts and formats into the cells of a workbook. Knows Excel's rules for a cell. Does not know the content."""

from typing import Any

import attrs

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase
from hub.report.words import is_formula
from hub.report.workbooks.streamed_sheet import TextFormat

FACE = "Times New Roman"
_TEXT = 32_767  # the maximum characters of a cell


def make_cell_styles() -> dict[str, object]:
    """Return the default format of every cell, as a new dict each time, because a workbook changes the dict that it is
    given.
    """
    return {"font_name": FACE, "font_size": 11}


def make_text_options() -> dict[str, object]:
    """Return the workbook options that keep every text a text, whatever it looks like; a new dict each time."""
    return {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


@attrs.define
class SheetWriter:
    """A workbook that is being written, with its language and its formats, each created once."""

    workbook: Any
    language: Language
    _formats: dict[tuple[tuple[str, object], ...], Any] = attrs.field(factory=dict, init=False)

    def t(self, id: str, /, **arguments: object) -> str:  # noqa: A002 - what gettext calls it
        """Return the phrase of that id in the workbook's language. `./dev words` finds each id by this call."""
        return self.say(Phrase(id, arguments))

    def say(self, text: Phrase | str) -> str:
        """Return *text* in the workbook's language."""
        return translate(text, self.language)

    def format(self, **properties: object) -> Any:
        """Return the format with these *properties*, created once."""
        key = tuple(sorted(properties.items()))
        if key not in self._formats:
            self._formats[key] = self.workbook.add_format({**make_cell_styles(), **properties})
        return self._formats[key]

    def write(self, sheet: Any, row: int, column: int, text: str, **properties: Any) -> None:
        """Write a text that remains a text, even when someone edits the cell."""
        if is_formula(text):
            properties = {**properties, "quote_prefix": True}
        sheet.write_string(row, column, text[:_TEXT], self.format(**properties))

    def text_format(self, **properties: Any) -> TextFormat:
        """Return the format of streamed texts, which remain texts as those of `write` do."""
        return TextFormat(self.format(**properties), self.format(**properties, quote_prefix=True))

    def merge(self, sheet: Any, first: tuple[int, int], last: tuple[int, int], text: str, **properties: Any) -> None:
        """Write a text over several merged cells."""
        if first != last:
            sheet.merge_range(*first, *last, "", self.format(**properties))
        self.write(sheet, *first, text, **properties)
