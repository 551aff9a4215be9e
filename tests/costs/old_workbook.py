"""Old workbooks that somebody filled in: records, cells, shared texts, sheets that are the same records, chains of sectors."""

import struct
from collections.abc import Mapping
from functools import lru_cache

from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.report.workbooks import compound_file, sheets, xls_reader
from hub.report.workbooks.sheets import WorkbookUnreadable
from tests import biff

DIMENSIONS: dict[str, int | None] = {
    "cells": xls_reader.CELLS,
    "packed": xls_reader.CELLS,  # cells of one record
    "empty": xls_reader.RECORDS,  # records that are not looked at
    "texts": xls_reader.TEXTS,  # shared ones
    "letters": sheets.LONGEST,  # of one shared text
    "sheets": sheets.SHEETS,  # that are the same records
    "merged": None,
    "streams": compound_file.ENTRIES,
    "noise": None,  # of another stream, sixteen octets each
}
FILLER = "noise"
FORMS = {"kind": ("number", "text", "formula")}
WORST = [
    ({"packed": 299_000}, {"kind": "number"}),
    ({"cells": 100_000}, {"kind": "number"}),
    ({"empty": 19_000, "sheets": 20}, {"kind": "number"}),
    ({"texts": 99_000}, {"kind": "text"}),
]
_MOST = 1 << 19
_CELLS = {"number": biff.number(0, 0, 1.5), "text": biff.shared_text(0, 0, 0), "formula": biff.formula(0, 0, bytes(8))}
_PACKED = 1300  # numbers of one record


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = dict.fromkeys(DIMENSIONS, 0) | dict(counts)
    return _build(tuple((name, min(count, _MOST)) for name, count in have.items()), form["kind"])


@lru_cache(4)
def _build(counted: tuple[tuple[str, int], ...], kind: str) -> bytes:
    have = dict(counted)
    packed = 0x00BD, struct.pack("<HH", 0, 0) + struct.pack("<HI", 0, 2) * _PACKED + b"\0\0"
    merged = 0x00E5, struct.pack("<H", 1000) + struct.pack("<HHHH", 0, 1, 0, 1) * 1000
    cells = [_CELLS[kind]] * max(1, have["cells"])
    cells += [packed] * (have["packed"] // _PACKED) + [(0x0201, b"")] * have["empty"]
    cells += [merged] * min(have["merged"] // 1000, 500)
    texts = biff.shared_texts("a" * (1 + min(have["letters"], 60_000)), *[""] * have["texts"])[1]
    shared = [(0x00FC if not at else 0x003C, texts[at : at + 8220]) for at in range(0, len(texts), 8220)]
    stream = biff.workbook(cells, shared, sheets=max(1, min(have["sheets"], 200)))
    noise = {"Other": bytes(have["noise"] * 16)} if have["noise"] else {}
    return biff.compound({"Workbook": stream, **noise}, ["S"] * min(have["streams"], 4000))


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    return content


def read(content: bytes) -> None:
    try:
        for _ in xls_reader.read_xls_sheets(content):
            pass
    except WorkbookUnreadable as unreadable:
        raise Rejected(Problem("workbook-unreadable", str(unreadable))) from None
