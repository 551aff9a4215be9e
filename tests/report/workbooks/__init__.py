"""Workbooks as other software makes them. `python -m tests.report.workbooks` makes them anew; LibreOffice is needed."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import openpyxl

from tests.conftest import cannot_be_had
from tests.declaring import saved

HERE = Path(__file__).parent
_FILTERS = {"xls": "xls:MS Excel 97", "xlsx": "xlsx:Calc MS Excel 2007 XML"}


def convert(content: bytes, kind: str) -> bytes:
    """Return the `.xlsx` *content* as LibreOffice saves it: calculated, as `xls` or `xlsx`."""
    program = shutil.which("soffice")
    if program is None:
        cannot_be_had("LibreOffice", "it is not installed (apt install libreoffice-calc-nogui)")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "book.xlsx").write_bytes(content)
        home = f"-env:UserInstallation=file://{folder}/home"
        command = [program, home, "--headless", "--convert-to", _FILTERS[kind], "--outdir", "out", "book.xlsx"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
        return (Path(folder) / "out" / f"book.{kind}").read_bytes()


def make_kinds() -> bytes:
    """Return a workbook with a cell of each kind, two sheets, and a text longer than one record of an `.xls`."""
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = "Các loại ô"
    for row, value in enumerate(KINDS, 1):
        sheet.cell(row, 2).value = value
    for column in range(2, 7):
        sheet.cell(40, column).value = column * 100
    sheet.merge_cells("B42:D43")
    sheet["B42"].value = "Gộp ô"
    second: Any = book.create_sheet("Trang 2")
    second["C3"].value = "=1+1"
    return saved(book)


KINDS: tuple[Any, ...] = (
    *(0, 7, -3, 1.5, 12.34, 1 << 40, 536_870_912, 0.1, 1e300, 999_999_999_999),
    *("Hà Nội", "plain", "=2+3", '=UPPER("ố")', "=1=1", "=1/0", '=""', True, False),
    *("ắ" * 9000, "a" * 9000, *(f"câu số {number} " + "x" * number for number in range(15))),
)
MADE: Mapping[str, Callable[[], bytes]] = {"kinds": make_kinds}
