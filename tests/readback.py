"""Reads every output of a report of the form `edoc` back, by programs that are not ours.  Knows nothing of how any was written.

Each reader gives the rows, the total first, as the unit and its cells: numbers, and times to the second, which is what people are
shown at most.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO, StringIO
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import xmlschema
from lxml import etree, html

from hub import contract
from hub.report.reading import forms

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
SCHEMA = xmlschema.XMLSchema(str(contract.root() / "xsd/lienthong/1/report.xsd"))
KEYS = [column.key for form in forms() if form.id == "edoc" for column in form.columns]
NUMBERS = [key for key in KEYS if key != "last_update"]
R = "{urn:lienthong:report:1}"
FIRST = 10  #: the row of the total in a workbook, as spreadsheets number them

Cells = Mapping[str, int | datetime | None]
Table = Sequence[tuple[str, Cells]]


def whole(at: datetime | None) -> datetime | None:
    """Return the moment to the second, which is what a person is shown at most."""
    return None if at is None else at.astimezone(UTC).replace(microsecond=0)


def wall(shown: datetime) -> datetime:
    return shown.replace(tzinfo=HANOI).astimezone(UTC)


def from_json(text: str) -> Table:
    said = json.loads(text)

    def cell(key: str, value: Any) -> int | datetime | None:
        return value if key in NUMBERS else whole(value and datetime.fromisoformat(value))

    rows = [{"unit": said["unit"], **said["total"]}, *said["rows"]]
    return [(row["unit"], {key: cell(key, row[key]) for key in KEYS}) for row in rows]


def from_csv(content: bytes) -> Table:
    _, *rows = csv.reader(StringIO(content.decode("utf-8-sig"), newline=""))

    def cell(key: str, value: str) -> int | datetime | None:
        if key in NUMBERS:
            return int(value)
        return wall(datetime.fromisoformat(value)) if value else None

    return [(row[4], {key: cell(key, value) for key, value in zip(KEYS, row[6:], strict=True)}) for row in rows]


def from_html(text: str) -> Table:
    page: Any = html.fromstring(text.replace("\x0b", ""))

    def cell(key: str, shown: Any) -> int | datetime | None:
        if key in NUMBERS:
            return int(shown.text.replace(".", ""))
        return whole(next((datetime.fromisoformat(time.get("datetime")) for time in shown.iter("time")), None))

    return [
        (row.get("data-unit"), {td.get("data-column"): cell(td.get("data-column"), td) for td in row.xpath("td[@data-column]")})
        for row in page.findall(".//tbody/tr")
    ]  # fmt: skip


def from_xml(content: bytes) -> Table:
    root: Any = etree.fromstring(content)

    def cell(element: Any) -> int | datetime | None:
        if element.tag == f"{R}Number":
            return int(element.text)
        return whole(datetime.fromisoformat(element.text) if element.text else None)

    rows = [root.find(f"{R}Total"), *root.find(f"{R}Rows")]
    return [(row.get("unit"), {each.get("column"): cell(each) for each in row if each.get("column")}) for row in rows]


def from_xlsx(content: bytes, *, recalculated: bool = False) -> Table:
    """Return the cells as they are kept, or, *recalculated*, as the formulas in the file give them from the plain cells."""
    sheet = openpyxl.load_workbook(BytesIO(content), data_only=not recalculated).worksheets[0]

    def value(place: str) -> Any:
        found = sheet[place].value
        if not (isinstance(found, str) and found.startswith("=")):
            return found
        assert sheet[place].data_type == "f"
        if ranged := re.fullmatch(r"=(SUM|MAX)\(([A-Z]+)(\d+):\2(\d+)\)", found):
            below = [value(f"{ranged[2]}{row}") for row in range(int(ranged[3]), int(ranged[4]) + 1)]
            known = [each for each in below if each is not None]
            return sum(known) if ranged[1] == "SUM" else max(known)
        assert re.fullmatch(r"=[A-Z]+\d+(\+[A-Z]+\d+)*", found)
        return sum(value(part) for part in found[1:].split("+"))

    def cell(place: str) -> int | datetime | None:
        found = value(place)
        return wall(found) if isinstance(found, datetime) else found

    table = []
    row = FIRST
    while sheet.cell(row, 3).value:
        cells = {key: cell(sheet.cell(row, 4 + place).coordinate) for place, key in enumerate(KEYS)}
        table.append((str(sheet.cell(row, 3).value), cells))
        row += 1
    return table
