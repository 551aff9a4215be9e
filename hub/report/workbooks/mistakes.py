"""What is wrong with a workbook, cell by cell."""

from collections.abc import Sequence

import attrs

from hub.language.phrases import Phrase


@attrs.frozen
class WorkbookMistake:
    """One mistake in a workbook: the cell, and what to do."""

    cell: str  #: such as `Báo cáo!E12`; "" for the whole workbook
    wrong: Phrase


class Misfilled(Exception):
    """The workbook cannot be accepted; the exception has every mistake found."""

    def __init__(self, wrong: Sequence[WorkbookMistake]) -> None:
        super().__init__(wrong)
        self.wrong = tuple(wrong)

    def __str__(self) -> str:
        return "; ".join(f"{each.cell}: {each.wrong}" for each in self.wrong)
