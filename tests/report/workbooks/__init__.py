"""Workbooks as other software makes them. `python -m tests.report.workbooks` makes them anew; LibreOffice is needed."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl

from hub.report.form.book import read_shipped_book
from hub.report.form.layout import Layout
from tests.conftest import cannot_be_had
from tests.declaring import saved
from tests.report.laid_out import lay_out
from tests.waiting import PROGRAM

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
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PROGRAM)
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

#: Departments of the sample province as a list of 2024 names them, and one of 2026; the figures are those of `FIGURES`.
NAMES = {
    "2024": {
        "H55.14": "Sở Y tế",
        "H55.13": "Sở TT&TT",
        "H55.10": "Sở Khoa học và Công nghệ",
        "H55.6": "Sở Nông nghiệp & PTNT",
        "H55.9": "Sở Tài nguyên và Môi trường",
        "H55.32.21": "UBND xã Tân Lập",
    },
    "2026": {
        "H55.14": "SỞ Y TẾ",
        "H55.13": "Sở Khoa học và Công nghệ",
        "H55.6": "so nong nghiep va moi truong",
        "H55.32.21": "Tân Lập",
    },
}


def make_figures(layout: Layout, number: int) -> dict[str, int]:
    """Return figures of a row, one for each column: each another number, 0 among them."""
    return {each.column: number * place for place, each in enumerate(layout.columns)}


def make_family(layout: Layout, year: str, **more: Any) -> bytes:
    """Return the workbook of a form for 2026-11 with the names of *year*, its total computed by formulas."""
    rows: list[tuple[Any, str, dict[str, Any]]] = [
        (place, name, make_figures(layout, place)) for place, name in enumerate(NAMES[year].values(), 1)
    ]
    count = len(rows) * (len(rows) + 1) // 2
    total = {each.column: f"={count}*{place}" for place, each in enumerate(layout.columns)}
    top = (layout.paper.number, layout.paper.title, "Từ ngày 15/10/2026 đến ngày 14/11/2026")
    return saved(lay_out(layout, [*rows, ("Tổng cộng", "", total)], top=top, **more))


#: How the workbook of each family stands apart: what 07a/BTP is known for is its empty first column.
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "ii06a": {"unit": "Lĩnh vực/đơn vị"},
    "tthc": {"unit": "Đơn vị thực hiện"},
    "btp07a": {"unit": "Đơn vị giải quyết TTHC", "empty": 1},
}


def find_layout(name: str) -> Layout:
    return next(each for each in read_shipped_book().layouts if each.id == name)


MADE: Mapping[str, Callable[[], bytes]] = {
    "kinds": make_kinds,
    **{
        f"{name}-{year}": partial(lambda name, year: make_family(find_layout(name), year, **FAMILIES[name]), name, year)
        for name in FAMILIES
        for year in NAMES
    },
}
