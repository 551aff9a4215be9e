"""Reads every output of a report back, by programs that are not ours.  Knows nothing of how any was written.

Each reader gives the lines as people read them, the total first, as the unit (of a section none: an empty text) and its cells: numbers,
and times to the second, which is what people are shown at most.  Unless told otherwise the report is one of the form `edoc`.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import xmlschema
from lxml import etree, html

from hub.formats import xsd_schemas
from hub.report.counting.declared import DeclaredFigure
from hub.report.form.column import Column, ColumnKind
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form
from tests.pdftags import tree

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
SCHEMA = xmlschema.XMLSchema(str(xsd_schemas.find_schema_root() / "xsd/lienthong/1/report.xsd"))
EDOC = next(form for form in read_form_folder() if form.id == "edoc")
KEYS = [column.key for column in EDOC.columns]
NUMBERS = [key for key in KEYS if key != "last_update"]
R = "{urn:lienthong:report:1}"
FIRST = 10  #: the row of the total in a workbook, as spreadsheets number them

Cell = int | Decimal | datetime | None
Cells = Mapping[str, Cell]
Table = Sequence[tuple[str, Cells]]


def whole(at: datetime | None) -> datetime | None:
    """Return the moment to the second, which is what a person is shown at most."""
    return None if at is None else at.astimezone(UTC).replace(microsecond=0)


def wall(shown: datetime) -> datetime:
    return shown.replace(tzinfo=HANOI).astimezone(UTC)


def number(text: str) -> int | Decimal | None:
    """Return the number that *text* writes bare; a ratio has a point in it, and nothing is none."""
    if not text:
        return None
    return Decimal(text) if "." in text else int(text)


def vietnamese(shown: str) -> int | Decimal | None:
    return number("" if shown == "–" else shown.replace(".", "").replace(",", "."))


def times(form: Form) -> set[str]:
    return {column.key for column in form.columns if column.kind is ColumnKind.TIME}


def to_the_minute(table: Table) -> Table:
    """Return *table* with its times as they are printed."""
    return [
        (unit, {key: each.replace(second=0) if isinstance(each, datetime) else each for key, each in cells.items()})
        for unit, cells in table
    ]


def from_json(text: str, form: Form = EDOC) -> Table:
    said = json.loads(text, parse_float=Decimal)

    def cell(key: str, value: Any) -> Cell:
        return whole(value and datetime.fromisoformat(value)) if key in times(form) else value

    found, rows = {row["unit"]: row for row in said["rows"]}, [{"unit": said["unit"], **said["total"]}]
    for section in said["sections"]:
        rows += [{"unit": "", **section["total"]}, *(found.pop(unit) for unit in section["units"])]
    rows += found.values()
    return [(row["unit"], {key.key: cell(key.key, row[key.key]) for key in form.columns}) for row in rows]


def from_csv(content: bytes, form: Form = EDOC) -> Table:
    _, *rows = csv.reader(StringIO(content.decode("utf-8-sig"), newline=""))

    def cell(column: Column, value: str) -> Cell:
        if column.kind is ColumnKind.GRADE:
            return graded(column, value)
        if column.kind is not ColumnKind.TIME:
            return number(value)
        return wall(datetime.fromisoformat(value)) if value else None

    return [
        (row[4], {column.key: cell(column, value) for column, value in zip(form.columns, row[6:], strict=True)})
        for row in rows
    ]


def from_html(text: str, form: Form = EDOC) -> Table:
    page: Any = html.fromstring(text.replace("\x0b", ""))

    def cell(key: str, shown: Any) -> Cell:
        if key not in times(form):
            if form.column(key).kind is ColumnKind.GRADE:
                return graded(form.column(key), shown.text)
            return vietnamese(shown.text)
        return whole(next((datetime.fromisoformat(time.get("datetime")) for time in shown.iter("time")), None))

    return [
        (row.get("data-unit"), {td.get("data-column"): cell(td.get("data-column"), td) for td in row.xpath("td[@data-column]")})
        for row in page.findall(".//tbody/tr")
    ]  # fmt: skip


def from_pdf(content: bytes, form: Form = EDOC) -> Table:
    """Return the cells of the table as its tags order them; times to the minute, for no more is printed."""
    document = tree(content)
    (table,) = document.all("Table")
    reporting = re.findall("Mã định danh: (.+?)Đơn vị nhận", document.text)

    def cell(column: Column, shown: str) -> Cell:
        if column.kind is ColumnKind.GRADE:
            return graded(column, " ".join(shown.split()))
        if column.kind is not ColumnKind.TIME:
            return vietnamese(shown)
        return None if shown == "–" else wall(datetime.strptime(shown, "%d/%m/%Y %H:%M"))  # noqa: DTZ007

    rows = []
    for number, name, *cells in ([cell.text for cell in row.all("TH", "TD")] for row in [*table.all("TR")][3:]):
        (unit,) = reporting if not number else [name.split(" ")[-1] if number.isdecimal() else ""]
        rows.append(
            (unit, {column.key: cell(column, shown) for column, shown in zip(form.columns, cells, strict=True)})
        )
    return rows


def from_xml(content: bytes) -> Table:
    root: Any = etree.fromstring(content)

    def cell(element: Any) -> Cell:
        if element.tag == f"{R}Number":
            return number(element.text or "")
        return whole(datetime.fromisoformat(element.text) if element.text else None)

    rows = [root.find(f"{R}Total"), *root.find(f"{R}Rows")]
    return [(row.get("unit"), {each.get("column"): cell(each) for each in row if each.get("column")}) for row in rows]


def from_xlsx(content: bytes, form: Form = EDOC, *, recalculated: bool = False) -> Table:
    """Return the cells as they are kept, or, *recalculated*, as the sums in the file give them from the plain cells."""
    sheet = openpyxl.load_workbook(BytesIO(content), data_only=not recalculated).worksheets[0]

    def run(part: str) -> list[Any]:
        return [value(cell.coordinate) for (cell,) in sheet[part]] if ":" in part else [value(part)]

    def value(place: str) -> Any:
        found = sheet[place].value
        if not (isinstance(found, str) and found.startswith("=")):
            return found
        assert sheet[place].data_type == "f"
        if summed := re.fullmatch(r"=(SUM|MAX)\(([A-Z0-9:,]+)\)", found):
            known = [each for part in summed[2].split(",") for each in run(part) if each is not None]
            return sum(known) if summed[1] == "SUM" else max(known)
        assert re.fullmatch(r"=[A-Z]+\d+(\+[A-Z]+\d+)*", found)
        return sum(value(part) for part in found[1:].split("+"))

    def cell(place: str, column: Column) -> Cell:
        found = value(place)
        if column.kind is ColumnKind.GRADE:
            return graded(column, found)
        if isinstance(found, datetime):
            return wall(found)
        return None if found == "–" else Decimal(str(found)) if isinstance(found, float) else found

    table = []
    row = FIRST
    while sheet.cell(row, 2).value:
        cells = {
            column.key: cell(sheet.cell(row, 4 + place).coordinate, column) for place, column in enumerate(form.columns)
        }
        table.append((str(sheet.cell(row, 3).value or ""), cells))
        row += 1
    return table


def declare(form: Form, units: Sequence[str], at: datetime) -> tuple[DeclaredFigure, ...]:
    """Return a figure, declared at *at*, of each of *units* for each declared column, and one of the total."""
    return tuple(
        DeclaredFigure(unit=unit, column=column.key, value=2000 + place, sender="A", by="", at=at, message=f"m{place}")
        for column in form.columns
        if column.kind is ColumnKind.DECLARED
        for place, unit in enumerate(("", *units))
    )


def graded(column: Column, name: str) -> int | None:
    """Return the place of the grade that a page names."""
    return next((place for place, grade in enumerate(column.grades, 1) if grade.heading.vi == name), None)
