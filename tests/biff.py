"""Old workbooks written octet by octet, for tests: compound files ([MS-CFB]) and the records of BIFF8 ([MS-XLS]). They can be
wrong in any way, as no spreadsheet program would write them.
"""

import struct
from collections.abc import Iterable

Record = tuple[int, bytes]

FREE, END, TABLE, LIST = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC
_SECTOR = 512


def compound(streams: dict[str, bytes], storages: Iterable[str] = (), *, small: bool = False) -> bytes:
    """Return a compound file with *streams*. Zeros follow one of less than 4,096 octets, which would consist of small
    sectors; with *small* it does, as some programs write it.
    """
    sectors: list[bytes] = []
    following: list[int] = []

    def put(octets: bytes) -> int:
        pieces = [octets[at : at + _SECTOR].ljust(_SECTOR, b"\0") for at in range(0, len(octets), _SECTOR)]
        first = len(sectors)
        sectors.extend(pieces)
        following.extend([*range(first + 1, first + len(pieces)), END])
        return first

    entries = [_entry("Root Entry", 5, END, 0)]
    small_table, first_small = END, 0
    if small:
        ((name, octets),) = streams.items()
        count = -(-len(octets) // 64)
        small_table = put(struct.pack(f"<{count}I", *range(1, count), END).ljust(_SECTOR, b"\xff"))
        first_small = put(octets.ljust(64 * count, b"\0"))
        entries = [_entry("Root Entry", 5, first_small, 64 * count), _entry(name, 2, 0, len(octets))]
        streams = {}
    for name, octets in streams.items():
        whole = octets.ljust(4096, b"\0")
        entries.append(_entry(name, 2, put(whole), len(whole)))
    entries += [_entry(name, 1, 0, 0) for name in storages]
    directory = put(b"".join(entries))
    tables, lists = 1, 0
    while (len(sectors) + tables + lists) * 4 > tables * _SECTOR:
        tables += 1
        lists = max(0, -(-(tables - 109) // 127))
    table = [*following, *[LIST] * lists, *[TABLE] * tables]
    table += [FREE] * (tables * _SECTOR // 4 - len(table))
    listed = [*range(len(sectors) + lists, len(sectors) + lists + tables)]
    more = b""
    for number in range(lists):
        part = listed[109 + 127 * number : 109 + 127 * (number + 1)]
        last = END if number + 1 == lists else len(sectors) + number + 1
        more += struct.pack("<128I", *part, *[FREE] * (127 - len(part)), last)
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(10)
    first = len(sectors) if lists else END
    header += struct.pack("<IIIIIIII", tables, directory, 0, 4096, small_table, int(small), first, lists)
    header += struct.pack("<109I", *listed[:109], *[FREE] * (109 - len(listed[:109])))
    return header + b"".join(sectors) + more + struct.pack(f"<{len(table)}I", *table)


def _entry(name: str, kind: int, start: int, size: int) -> bytes:
    said = name.encode("utf-16-le") + b"\0\0"
    return said.ljust(64, b"\0") + struct.pack("<HBB12x36xIQ", len(said), kind, 1, start, size)


def records(*listed: Record) -> bytes:
    return b"".join(struct.pack("<HH", kind, len(data)) + data for kind, data in listed)


def begin(kind: int = 0x10, version: int = 0x0600) -> Record:
    return 0x0809, struct.pack("<HHHHII", version, kind, 0, 0, 0, 0)


FINISH: Record = (0x000A, b"")


def sheet_entry(name: str, at: int, kind: int = 0) -> Record:
    return 0x0085, struct.pack("<IBBBB", at, 0, kind, len(name), 1) + name.encode("utf-16-le")


def shared_texts(*texts: str) -> Record:
    said = b"".join(struct.pack("<HB", len(text), 1) + text.encode("utf-16-le") for text in texts)
    return 0x00FC, struct.pack("<II", len(texts), len(texts)) + said


def number(row: int, column: int, value: float) -> Record:
    return 0x0203, struct.pack("<HHHd", row, column, 0, value)


def shared_text(row: int, column: int, index: int) -> Record:
    return 0x00FD, struct.pack("<HHHI", row, column, 0, index)


def formula(row: int, column: int, cached: bytes) -> Record:
    return 0x0006, struct.pack("<HHH", row, column, 0) + cached + bytes(8)


def workbook(
    cells: Iterable[Record], before: Iterable[Record] = (), sheets: int = 1, kind: int = 0, version: int = 0x0600
) -> bytes:
    """Return the stream of a workbook whose *sheets* are all the same records. *before*: records before the list of sheets."""
    title = "Biểu"
    entries = [sheet_entry(title, 0, kind)] * sheets
    length = len(records(begin(5, version), *before, *entries, FINISH))
    entries = [sheet_entry(title, length, kind)] * sheets
    return records(begin(5, version), *before, *entries, FINISH) + records(begin(0x10, version), *cells, FINISH)


def xls(cells: Iterable[Record], before: Iterable[Record] = (), **named: int) -> bytes:
    """Return a whole `.xls` file."""
    return compound({"Workbook": workbook(cells, before, **named)})
