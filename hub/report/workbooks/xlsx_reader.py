"""Reads the cells of an XLSX workbook from an untrusted sender. Knows the container and its XML. Does not know the
meaning of the cells.

Nothing is executed, followed or fetched. For a formula, the value that was saved with it is used. A workbook with
macros, links to other files or embedded objects is refused, and so is one that would unpack to more than a report can
need. Its XML is parsed by `hub.formats.safe_xml`, as all untrusted XML. No library is used for this, because the
available ones build the whole workbook before a limit can be checked.

The unpacked size and the number of elements are bounded by the size of the file. `hub.formats.xml_cost.WORST` states
the maximum cost of reading.
"""

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from posixpath import normpath

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.formats import safe_xml, zip_reader
from hub.formats.safe_xml import Limits
from hub.language.phrases import phrase
from hub.report.workbooks.sheets import (
    SHEETS,
    CellKind,
    MergedRange,
    Sheet,
    SheetCell,
    WorkbookUnreadable,
    make_sheet_cell,
)

#: The maximum octets that the parts read may unpack to; parts.
UNPACKED, PARTS = 48 << 20, 1000
#: The maximum number of nodes of a part.
NODES = 600_000
#: The maximum number of elements of all parts together, because a few octets may name one part many times.
ELEMENTS = 1_000_000
#: The unpacked size allowed for a file of 0 octets, and the increase per octet of the file; the same for elements. The
#: honest workbook that compresses best, a grid of styled cells with only zeros, has one element per octet and unpacks
#: to 16 times its size.
_FREE, _RATIO = 1 << 20, 25
_FREE_ELEMENTS, _EACH = 15_000, 1
_LIMITS = Limits(size=UNPACKED, depth=32, nodes=NODES)

_FORBIDDEN = (
    (
        re.compile(r"vbaproject|macrosheets/|activex/", re.ASCII),
        phrase("the file has macros; remove them and save it again"),
    ),
    (
        re.compile(r"xl/externallinks/", re.ASCII),
        phrase("the file has links to other files; remove them and save it again"),
    ),
    (
        re.compile(r"xl/embeddings/|xl/connections\.xml|xl/querytables/", re.ASCII),
        phrase("the file has embedded objects; remove them and save it again"),
    ),
)
_ADDRESS = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})", re.ASCII)
_TYPES, _BOOK = "[Content_Types].xml", "xl/workbook.xml"


def read_sheets(content: bytes) -> Iterator[Sheet]:
    """Yield the sheets of the workbook in order, at most `SHEETS`. Raises WorkbookUnreadable."""
    try:
        packed = zip_reader.open_archive(content)
    except zip_reader.Damaged:
        raise _no_workbook() from None
    with packed:
        unpacked, elements = _FREE + _RATIO * len(content), _FREE_ELEMENTS + _EACH * len(content)
        yield from _list_sheets(_Parts(packed, _list_parts(packed), min(UNPACKED, unpacked), min(ELEMENTS, elements)))


def _no_workbook() -> WorkbookUnreadable:
    return WorkbookUnreadable(
        phrase("this is not a readable .xlsx file; save it as “Excel Workbook (.xlsx)”"),
    )


def _list_parts(packed: zipfile.ZipFile) -> Mapping[str, zipfile.ZipInfo]:
    """Return the parts by name, after checking that no name is forbidden or occurs twice."""
    listed = packed.infolist()
    if len(listed) > PARTS:
        raise WorkbookUnreadable(phrase("the file has more than {parts} parts", parts=PARTS))
    found: dict[str, zipfile.ZipInfo] = {}
    for info in listed:
        for forbidden, said in _FORBIDDEN:
            if forbidden.search(info.filename.lower()):
                raise WorkbookUnreadable(said)
        if info.filename in found:
            raise _no_workbook()
        found[info.filename] = info
    if _TYPES not in found:
        raise _no_workbook()
    return found


@attrs.define
class _Parts:
    """The parts of the container, unpacked within limits."""

    packed: zipfile.ZipFile
    listed: Mapping[str, zipfile.ZipInfo]
    left: int  #: the octets that may still be unpacked
    elements: int  #: the elements that may still be read

    def root(self, name: str) -> etree._Element:
        """Return the XML of a part. Raises WorkbookUnreadable."""
        info = self.listed.get(name)
        if info is None:
            raise _no_workbook()
        try:
            content = zip_reader.read_zip_entry(self.packed, info, self.left)
        except zip_reader.Damaged:
            raise _no_workbook() from None
        self.left -= len(content)
        if self.left < 0:
            raise WorkbookUnreadable(
                phrase(
                    "the file unpacks to more than {unpacked} MB, or to too much for its size", unpacked=UNPACKED >> 20
                ),
            )
        self.elements -= content.count(b"<") - content.count(b"</")
        if self.elements < 0:
            raise WorkbookUnreadable(phrase("the file has too many cells"))
        try:
            return safe_xml.parse_safe_xml(content, limits=_LIMITS)
        except Rejected as rejected:
            problem = rejected.problems[0]
            raise WorkbookUnreadable(
                phrase(
                    "the file is damaged or not safe ({code} {detail}); save it again in a spreadsheet program",
                    code=problem.code,
                    detail=problem.detail,
                ),
            ) from None

    def has(self, name: str) -> bool:
        return name in self.listed


def _list_sheets(parts: _Parts) -> Iterator[Sheet]:
    for each in parts.root(_TYPES):
        if "macroenabled" in (each.get("ContentType") or "").lower():
            raise WorkbookUnreadable(
                phrase("the file may contain macros (.xlsm); save it as .xlsx"),
            )
    book = parts.root(_BOOK)
    targets: dict[str, str] = {}
    texts_at = ""
    for relation in parts.root("xl/_rels/workbook.xml.rels"):
        target = relation.get("Target") or ""
        name = target[1:] if target.startswith("/") else normpath(f"xl/{target}")
        if (relation.get("TargetMode") or "Internal") != "Internal":
            continue  # external links are not followed
        targets[relation.get("Id") or ""] = name
        if (relation.get("Type") or "").endswith("/sharedStrings"):
            texts_at = name
    texts = _read_shared_texts(parts.root(texts_at)) if texts_at and parts.has(texts_at) else ()
    named = [each for each in book.iter() if _read_local_name(each) == "sheet"]
    for sheet in named[:SHEETS]:
        where = targets.get(
            next((str(value) for key, value in sheet.attrib.items() if str(key).endswith("}id")), ""), ""
        )
        if "/worksheets/" in where and parts.has(where):
            root = parts.root(where)
            yield Sheet(sheet.get("name") or "", _read_cells(root, texts), _read_merged_ranges(root))


def _read_shared_texts(root: etree._Element) -> Sequence[str]:
    return [_read_text_runs(entry) for entry in root if _read_local_name(entry) == "si"]


def _read_text_runs(element: etree._Element) -> str:
    """Return the text of a shared or inline string, with its runs joined and without phonetic text."""
    found = []
    for child in element:
        if _read_local_name(child) == "t":
            found.append(child.text or "")
        elif _read_local_name(child) == "r":
            found += [part.text or "" for part in child if _read_local_name(part) == "t"]
    return "".join(found)


def _read_cells(root: etree._Element, texts: Sequence[str]) -> Mapping[tuple[int, int], SheetCell]:
    found: dict[tuple[int, int], SheetCell] = {}
    data = next((each for each in root if _read_local_name(each) == "sheetData"), None)
    row = 0
    for line in data if data is not None else ():
        number = line.get("r") or ""
        row = int(number) if number.isascii() and number.isdigit() and len(number) <= 7 else row + 1
        column = 0
        for each in line:
            place = _ADDRESS.fullmatch(each.get("r") or "")
            column = _read_column_index(place[1]) if place else column + 1
            cell = _read_cell(each, texts)
            if cell is not None:
                found[int(place[2]) if place else row, column] = cell
    return found


def _read_merged_ranges(root: etree._Element) -> Sequence[MergedRange]:
    listed = next((each for each in root if _read_local_name(each) == "mergeCells"), ())
    found = []
    for each in listed:
        first, _, last = (each.get("ref") or "").partition(":")
        start, end = _ADDRESS.fullmatch(first), _ADDRESS.fullmatch(last or first)
        if start and end:
            found.append(
                MergedRange(int(start[2]), _read_column_index(start[1]), int(end[2]), _read_column_index(end[1]))
            )
    return found


def _read_cell(element: etree._Element, texts: Sequence[str]) -> SheetCell | None:
    formula, value, inline = False, None, None
    for child in element:
        match _read_local_name(child):
            case "f":
                formula = True
            case "v":
                value = child.text or ""
            case "is":
                inline = _read_text_runs(child)
    match element.get("t") or "n":
        case "inlineStr":
            kind, text = CellKind.TEXT, inline or ""
        case "s":
            at = int(value) if value and value.isascii() and value.isdigit() and len(value) <= 9 else -1
            if not 0 <= at < len(texts):
                raise _no_workbook()
            kind, text = CellKind.TEXT, texts[at]
        case "b":
            kind, text = CellKind.TRUTH, value or ""
        case "e":
            kind, text = CellKind.ERROR, value or ""
        case "n":
            kind, text = CellKind.NUMBER, (value or "").strip()
        case _:  # `str`, the text result of a formula; `d`, a date in ISO 8601
            kind, text = CellKind.TEXT, value or ""
    return make_sheet_cell(kind, text, formula=formula)


def _read_column_index(name: str) -> int:
    index = 0
    for letter in name:
        index = index * 26 + ord(letter) - ord("A") + 1
    return index


def _read_local_name(element: etree._Element) -> str:
    return _local_name(element.tag)


@lru_cache(64)
def _local_name(tag: object) -> str:
    return str(tag).rpartition("}")[2]
