"""Reads the sheets of an untrusted workbook, `.xlsx` or `.xls`. Knows how a file of either kind begins, whatever it is
called.
"""

from collections.abc import Iterator

from hub.language.phrases import phrase
from hub.report.workbooks import compound_file
from hub.report.workbooks.sheets import LARGEST, Sheet, WorkbookUnreadable
from hub.report.workbooks.xls_reader import read_xls_sheets
from hub.report.workbooks.xlsx_reader import read_sheets

#: How a page begins that a program has saved under the name of a workbook, after blanks and a mark of its encoding.
_MARKUP = b"<"


def read_workbook_sheets(content: bytes) -> Iterator[Sheet]:
    """Yield the sheets of the workbook in order, at most `sheets.SHEETS`. Raises WorkbookUnreadable."""
    if len(content) > LARGEST:
        raise WorkbookUnreadable(phrase("the file is larger than {largest} MB", largest=LARGEST >> 20))
    if content.startswith(compound_file.SIGNATURE):
        return read_xls_sheets(content)
    if content[:64].lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x00").startswith(_MARKUP):
        raise WorkbookUnreadable(
            phrase(
                "this is a web page or XML with the name of a workbook; open it in a spreadsheet program and save it as "
                ".xlsx"
            )
        )
    return read_sheets(content)
