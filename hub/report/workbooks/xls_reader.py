"""Reads the cells of an old workbook, `.xls` of Excel 97 to 2003 ([MS-XLS], BIFF8), from an untrusted sender. Knows its
records. Does not know the meaning of the cells.

Nothing is executed, followed or fetched. For a formula, the value that was saved with it is used. A workbook with a
password, macros, links to other files or embedded objects is refused. No library is used for this: none bounds what it
reads (docs/explanation/why.md).

Each record is read once for each sheet that names it, and there may be `RECORDS` of them in all, `CELLS` cells and
`TEXTS` shared texts. `hub.formats.xml_cost.WORST` states the maximum cost of reading.
"""

import struct
from collections.abc import Callable, Iterator
from itertools import islice

import attrs

from hub.language.phrases import Phrase, phrase
from hub.report.workbooks.compound_file import CompoundFile, CompoundFileDamaged
from hub.report.workbooks.sheets import (
    LONGEST,
    SHEETS,
    CellKind,
    MergedRange,
    Sheet,
    SheetCell,
    WorkbookUnreadable,
    make_sheet_cell,
)

#: The maximum number of records of all sheets together, of cells, and of shared texts.
RECORDS, CELLS, TEXTS = 400_000, 300_000, 100_000

_MACROS = phrase("the file has macros; remove them and save it again")
_LINKS = phrase("the file has links to other files; remove them and save it again")
_EMBEDDED = phrase("the file has embedded objects; remove them and save it again")
_PASSWORD = phrase("the file has a password; remove it and save the file again")
_TOO_OLD = phrase("the file is older than Excel 97; open it in a spreadsheet program and save it as .xlsx")
_DAMAGED = phrase("this is not a readable .xls file; open it in a spreadsheet program and save it as .xlsx")
_TOO_MANY = phrase("the file has too many cells")

# the records that are looked at, by their numbers in [MS-XLS] 2.3
_FORMULA, _EOF, _CONTINUE, _SHEET, _MULTIPLE_RK, _SHARED_TEXTS = 0x0006, 0x000A, 0x003C, 0x0085, 0x00BD, 0x00FC
_RICH, _MERGED, _SHARED_TEXT, _NUMBER, _TEXT, _TRUTH_OR_ERROR = 0x00D6, 0x00E5, 0x00FD, 0x0203, 0x0204, 0x0205
_FORMULA_TEXT, _RK, _BEGIN, _PASSWORDED, _PROJECT, _BOOK_LINK = 0x0207, 0x027E, 0x0809, 0x002F, 0x00D3, 0x01AE
_BIFF8, _WORKSHEET, _MACRO_SHEET, _MODULE = 0x0600, 0, 1, 6
_OWN_BOOK, _ADD_INS = 0x0401, 0x3A01  #: links that lead to the workbook itself, or to functions of the program
_ERRORS = {0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A"}
_NO_NUMBER = 0xFFFF  #: at the end of the value of a formula that gave no number
_CACHED_TEXT, _CACHED_TRUTH, _CACHED_ERROR = 0, 1, 2
_WIDE, _EXTENDED, _RICH_RUNS = (
    1,
    4,
    8,
)  #: flags of a text: two octets a character; octets of phonetics, of formats after it


def read_xls_sheets(content: bytes) -> Iterator[Sheet]:
    """Yield the worksheets of the workbook in order, at most `SHEETS`. Raises WorkbookUnreadable."""
    try:
        stream = _open_stream(content)
        yield from _RecordReading(stream).sheets()
    except (CompoundFileDamaged, struct.error, IndexError):
        raise WorkbookUnreadable(_DAMAGED) from None


def _open_stream(content: bytes) -> bytes:
    """Return the stream of records. Raises WorkbookUnreadable for what the directory alone shows to be refused."""
    container = CompoundFile.open(content)
    names = {name.casefold() for name in container.names}
    if "encryptedpackage" in names:  # an .xlsx with a password is such a container
        raise WorkbookUnreadable(_PASSWORD)
    if any(name.startswith(("_vba_project", "vba")) for name in names):
        raise WorkbookUnreadable(_MACROS)
    if any(name.startswith("mbd") or name == "\x01ole10native" for name in names):
        raise WorkbookUnreadable(_EMBEDDED)
    if any(name.startswith("lnk") for name in names):
        raise WorkbookUnreadable(_LINKS)
    stream = container.read_stream("Workbook")
    if stream is None:
        raise WorkbookUnreadable(_TOO_OLD if "book" in names else _DAMAGED)
    return stream


@attrs.define
class _RecordReading:
    """The stream of records of one workbook, and how much of it may still be read."""

    stream: bytes
    records: int = RECORDS
    cells: int = CELLS

    def sheets(self) -> Iterator[Sheet]:
        named: list[tuple[str, int]] = []
        texts: list[str] = []
        for kind, start, end in self._substream(0):
            if kind in _REFUSED:
                raise WorkbookUnreadable(_REFUSED[kind])
            if kind == _BOOK_LINK:
                self._check_link(start, end)
            elif kind == _SHEET:
                named += self._named_sheet(start, end)
            elif kind == _SHARED_TEXTS:
                texts = _read_shared_texts(self._fragments(start, end))
        for title, at in named[:SHEETS]:
            yield self._sheet(title, at, texts)

    def _substream(self, at: int) -> Iterator[tuple[int, int, int]]:
        """Yield the records from *at* to the end of their substream: kind, start and end of the data. Those of charts
        within a sheet are left out.
        """
        stream, depth = self.stream, 0
        while True:
            kind, length = struct.unpack_from("<HH", stream, at)
            start = at + 4
            at = start + length
            self.records -= 1
            if self.records < 0:
                raise WorkbookUnreadable(_TOO_MANY)
            if at > len(stream):
                raise WorkbookUnreadable(_DAMAGED)
            if kind == _BEGIN:
                depth += 1
                if struct.unpack_from("<H", stream, start)[0] != _BIFF8:
                    raise WorkbookUnreadable(_TOO_OLD)
            elif depth == 0:
                raise WorkbookUnreadable(_DAMAGED)
            elif kind == _EOF:
                depth -= 1
                if depth == 0:
                    return
            elif depth == 1:
                yield kind, start, at

    def _check_link(self, start: int, end: int) -> None:
        where = struct.unpack_from("<H", self.stream, start + 2)[0]
        if end - start != 4 or where not in (_OWN_BOOK, _ADD_INS):
            raise WorkbookUnreadable(_LINKS)

    def _named_sheet(self, start: int, end: int) -> Iterator[tuple[str, int]]:
        at, _, kind, length, flags = struct.unpack_from("<IBBBB", self.stream, start)
        if kind in (_MACRO_SHEET, _MODULE):
            raise WorkbookUnreadable(_MACROS)
        if kind == _WORKSHEET:
            yield _decode_text(self.stream[start + 8 : end], length, flags), at

    def _fragments(self, start: int, end: int) -> list[bytes]:
        """Return the data of a record and of those that continue it."""
        found = [self.stream[start:end]]
        while end + 4 <= len(self.stream):
            kind, length = struct.unpack_from("<HH", self.stream, end)
            if kind != _CONTINUE:
                break
            found.append(self.stream[end + 4 : end + 4 + length])
            end += 4 + length
        return found

    def _sheet(self, title: str, at: int, texts: list[str]) -> Sheet:
        reading = _SheetReading(texts, self.cells)
        for kind, start, end in self._substream(at):
            if kind == _FORMULA_TEXT:
                reading.formula_text(self._fragments(start, end))
            elif (read := _READ.get(kind)) is not None:
                read(reading, self.stream[start:end])
        self.cells = reading.left
        return Sheet(title, reading.cells, reading.merged)


@attrs.define
class _SheetReading:
    """The cells of one sheet, as its records tell them. Rows and columns of records are counted from 0."""

    texts: list[str]  #: the shared ones
    left: int  #: cells that may still be read
    cells: dict[tuple[int, int], SheetCell] = attrs.field(factory=dict)
    merged: list[MergedRange] = attrs.field(factory=list)
    awaited: tuple[int, int] | None = None  #: the cell whose formula gave a text, which the next record has

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise WorkbookUnreadable(_TOO_MANY)

    def put(self, row: int, column: int, kind: CellKind, text: str, *, formula: bool = False) -> None:
        self.spend(1)
        cell = make_sheet_cell(kind, text, formula=formula)
        if cell is not None:
            self.cells[row + 1, column + 1] = cell

    def number(self, data: bytes) -> None:
        row, column, value = struct.unpack_from("<HH2xd", data)
        self.put(row, column, CellKind.NUMBER, _write_number(value))

    def packed_number(self, data: bytes) -> None:
        row, column, packed = struct.unpack_from("<HH2xI", data)
        self.put(row, column, CellKind.NUMBER, _write_number(_unpack_rk(packed)))

    def packed_numbers(self, data: bytes) -> None:
        row, column = struct.unpack_from("<HH", data)
        for place, (_, packed) in enumerate(struct.iter_unpack("<HI", data[4 : 4 + (len(data) - 6) // 6 * 6])):
            self.put(row, column + place, CellKind.NUMBER, _write_number(_unpack_rk(packed)))

    def shared_text(self, data: bytes) -> None:
        row, column, number = struct.unpack_from("<HH2xI", data)
        self.put(row, column, CellKind.TEXT, self.texts[number])

    def text(self, data: bytes) -> None:
        row, column, length, flags = struct.unpack_from("<HH2xHB", data)
        self.put(row, column, CellKind.TEXT, _decode_text(data[9:], length, flags))

    def truth_or_error(self, data: bytes) -> None:
        row, column, value, is_error = struct.unpack_from("<HH2xBB", data)
        self.put(row, column, *_read_truth(value, is_error=bool(is_error)))

    def formula(self, data: bytes) -> None:
        row, column, kind, value, mark = struct.unpack_from("<HH2xBxB3xH", data)
        self.awaited = None
        if mark != _NO_NUMBER:
            number = struct.unpack_from("<d", data, 6)[0]
            self.put(row, column, CellKind.NUMBER, _write_number(number), formula=True)
        elif kind == _CACHED_TEXT:
            self.awaited = row, column
        elif kind in (_CACHED_TRUTH, _CACHED_ERROR):
            self.put(row, column, *_read_truth(value, is_error=kind == _CACHED_ERROR), formula=True)
        else:  # a text without characters
            self.put(row, column, CellKind.NOTHING, "", formula=True)

    def formula_text(self, fragments: list[bytes]) -> None:
        if self.awaited is not None:
            reading = _Texts(fragments)
            found = reading.characters(*struct.unpack("<HB", reading.take(3)))
            self.put(*self.awaited, CellKind.TEXT, found, formula=True)
            self.awaited = None

    def merge(self, data: bytes) -> None:
        count = struct.unpack_from("<H", data)[0]
        self.spend(count)
        for first, last, left, right in islice(
            struct.iter_unpack("<HHHH", data[2 : 2 + (len(data) - 2) // 8 * 8]), count
        ):
            self.merged.append(MergedRange(first + 1, left + 1, last + 1, right + 1))


_READ: dict[int, Callable[[_SheetReading, bytes], None]] = {
    _NUMBER: _SheetReading.number,
    _RK: _SheetReading.packed_number,
    _MULTIPLE_RK: _SheetReading.packed_numbers,
    _SHARED_TEXT: _SheetReading.shared_text,
    _TEXT: _SheetReading.text,
    _RICH: _SheetReading.text,
    _TRUTH_OR_ERROR: _SheetReading.truth_or_error,
    _FORMULA: _SheetReading.formula,
    _MERGED: _SheetReading.merge,
}
_REFUSED: dict[int, Phrase] = {_PASSWORDED: _PASSWORD, _PROJECT: _MACROS}


def _write_number(value: float) -> str:
    """Return *value* as `.xlsx` files write numbers."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _unpack_rk(packed: int) -> float:
    """Return the number of an RkNumber ([MS-XLS] 2.5.217): a signed whole number, or the first 30 bits of a double."""
    if packed & 2:
        whole = packed >> 2
        value = float(whole - (1 << 30) if whole >> 29 else whole)
    else:
        value = struct.unpack("<d", struct.pack("<II", 0, packed & 0xFFFFFFFC))[0]
    return value / 100 if packed & 1 else value


def _read_truth(value: int, *, is_error: bool) -> tuple[CellKind, str]:
    return (CellKind.ERROR, _ERRORS.get(value, "#ERROR")) if is_error else (CellKind.TRUTH, str(value))


def _decode_text(octets: bytes, length: int, flags: int) -> str:
    """Return the *length* characters at the beginning of *octets*."""
    if flags & _WIDE:
        return octets[: 2 * length].decode("utf-16-le", "replace")
    return octets[:length].decode("latin-1")


def _read_shared_texts(fragments: list[bytes]) -> list[str]:
    """Return the texts of an SST record ([MS-XLS] 2.4.265) and of those that continue it."""
    reading = _Texts(fragments)
    count = struct.unpack("<4xI", reading.take(8))[0]
    if count > TEXTS:
        raise WorkbookUnreadable(_TOO_MANY)
    return [reading.text() for _ in range(count)]


@attrs.define
class _Texts:
    """Texts that lie in the data of a record and of those that continue it.

    Where a text is continued, its characters begin anew with an octet that says how wide they are.
    """

    fragments: list[bytes]
    number: int = 0
    at: int = 0

    def take(self, length: int) -> bytes:
        """Return the next *length* octets, which no octet of width interrupts."""
        found = self._piece(length)
        while len(found) < length:
            self._next()
            found += self._piece(length - len(found))
        return found

    def text(self) -> str:
        length, flags = struct.unpack("<HB", self.take(3))
        runs = struct.unpack("<H", self.take(2))[0] if flags & _RICH_RUNS else 0
        phonetics = struct.unpack("<I", self.take(4))[0] if flags & _EXTENDED else 0
        found = self.characters(length, flags)
        self.skip(4 * runs + phonetics)
        return found

    def characters(self, length: int, flags: int) -> str:
        if length > LONGEST:
            raise WorkbookUnreadable(phrase("a cell has more than {longest} characters; shorten it", longest=LONGEST))
        found = ""
        while True:
            wide = 1 + (flags & _WIDE)
            octets = self._piece(wide * (length - len(found)))
            found += _decode_text(octets, len(octets) // wide, flags)
            if len(found) >= length:
                return found
            self._next()
            flags = self._piece(1)[0]

    def skip(self, length: int) -> None:
        while True:
            length -= len(self._piece(length))
            if not length:
                return
            self._next()

    def _piece(self, length: int) -> bytes:
        """Return at most *length* octets of the fragment at hand."""
        found = self.fragments[self.number][self.at : self.at + length]
        self.at += len(found)
        return found

    def _next(self) -> None:
        """Go on to the next fragment. Raises IndexError if there is none."""
        self.number, self.at = self.number + 1, 0
