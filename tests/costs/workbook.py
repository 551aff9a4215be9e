"""Workbooks that somebody filled in: cells, rows, shared texts and their runs, sheets, parts, and what compresses well."""

import io
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from hashlib import shake_128

from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.report.workbooks import sheets, xlsx_reader
from hub.report.workbooks.sheets import WorkbookUnreadable

DIMENSIONS: dict[str, int | None] = {
    "cells": None,  # of a row
    "rows": None,
    "texts": None,  # shared ones
    "runs": None,  # of one shared text
    "letters": sheets.LONGEST,  # of one shared text
    "sheets": sheets.SHEETS,  # that are the same part
    "parts": xlsx_reader.PARTS,
    "relations": None,
    "attributes": 60,  # of a cell
    "space": None,  # between the rows
    "comments": None,
    "noise": None,  # of a picture, which does not compress, sixteen octets each
}
FILLER = "noise"
FORMS = {"kind": ("s", "n", "inlineStr", "f"), "packing": ("deflated", "deflated", "stored")}
WORST = [
    ({"texts": 70_000}, {"kind": "n", "packing": "deflated"}),
    ({"cells": 36_000}, {"kind": "s", "packing": "deflated"}),
    ({"cells": 120_000}, {"kind": "n", "packing": "deflated"}),
    ({"rows": 2176, "sheets": 20}, {"kind": "n", "packing": "stored"}),
    ({"rows": 30_000}, {"kind": "s", "packing": "deflated"}),
]
_MOST, _CELLS_MOST = 1 << 17, 1 << 19  #: of anything; of cells
_BOOK = '<workbook xmlns:r="r"><sheets>{}</sheets></workbook>'
_RELATIONS = '<Relationships><Relationship Id="1" Target="worksheets/a.xml"/><Relationship Id="2" Target="t.xml" Type="x/sharedStrings"/>{}</Relationships>'
_CELLS = {
    "s": '<c t="s"{}><v>0</v></c>',
    "n": "<c{}><v>1</v></c>",
    "inlineStr": '<c t="inlineStr"{}><is><t>a</t></is></c>',
    "f": "<c{}><f>A1</f><v>2</v></c>",
}


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = dict.fromkeys(DIMENSIONS, 0) | dict(counts)
    return _build(tuple((name, min(count, _MOST)) for name, count in have.items()), tuple(form.items()))


@lru_cache(4)
def _build(counted: tuple[tuple[str, int], ...], formed: tuple[tuple[str, str], ...]) -> bytes:
    have, form = dict(counted), dict(formed)
    cell = _CELLS[form["kind"]].format("".join(f' a{number}=""' for number in range(have["attributes"])))
    row = f"<row>{cell * max(1, min(have['cells'], _CELLS_MOST // max(1, have['rows'])))}</row>"
    text = "<si>" + f"<t>{'a' * have['letters']}</t>" + "<r><t>a</t></r>" * have["runs"] + "</si>"
    parts = {
        "[Content_Types].xml": "<Types/>",
        "xl/workbook.xml": _BOOK.format('<sheet name="a" r:id="1"/>' * max(1, have["sheets"])),
        "xl/_rels/workbook.xml.rels": _RELATIONS.format("<Relationship/>" * have["relations"]),
        "xl/worksheets/a.xml": f"<worksheet><sheetData>{row * max(1, have['rows'])}{' ' * have['space']}{'<!---->' * have['comments']}</sheetData></worksheet>",
        "xl/t.xml": f"<sst>{text}{'<si/>' * have['texts']}</sst>",
    }
    made = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if form["packing"] == "deflated" else zipfile.ZIP_STORED
    with zipfile.ZipFile(made, "w", method, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
        archive.writestr("xl/media/picture.png", shake_128(b"").digest(have["noise"] * 16))
        for number in range(min(have["parts"], 3000)):
            archive.writestr(f"p{number}", "")
    return made.getvalue()


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    return content


def read(content: bytes) -> None:
    try:
        for _ in xlsx_reader.read_sheets(content):
            pass
    except WorkbookUnreadable as unreadable:
        raise Rejected(Problem("workbook-unreadable", str(unreadable))) from None
