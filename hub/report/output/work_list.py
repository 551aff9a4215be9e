"""Writes a list of open work as rows: CSV, a workbook, objects. Knows the columns. Does not know where the list comes from.

No subject and no name of a person is in it: documents and dossiers by their numbers, officers by their codes.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from io import StringIO

import attrs
import xlsxwriter

from hub.language import terms
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.report.counting.open_work import ListedWork, WorkState
from hub.report.form.workdays import Workdays
from hub.report.words import quote_formula, write_day, write_moment
from hub.report.workbooks.sheetwriter import SheetWriter, make_text_options

_MARK = b"\xef\xbb\xbf"
#: The columns of a file, in their order.
COLUMNS: Mapping[str, Phrase] = {
    "due": phrase("due day"),
    "days": phrase("working days left"),
    "state": phrase("state"),
    "unit": phrase("unit"),
    "name": phrase("name of the unit"),
    "service": phrase("service"),
    "number": phrase("number or code"),
    "field": phrase("field or kind"),
    "officer": phrase("officer (code)"),
    "from": phrase("from"),
    "since": phrase("received on"),
    "message": phrase("message"),
}
STATES: Mapping[WorkState, Phrase] = {
    WorkState.LATE: phrase("late"),
    WorkState.SOON: phrase("due soon"),
    WorkState.WAITING: phrase("waiting or excused"),
}
_WIDTHS = (11, 10, 16, 14, 36, 14, 24, 24, 14, 14, 12, 38)


@attrs.frozen(kw_only=True)
class WorkListHead:
    """What stands above a list, and what its rows are told by."""

    title: Phrase
    today: date
    made_at: datetime
    names: Mapping[str, str]  #: of the units, by code
    workdays: Workdays = attrs.field(repr=False, eq=False)


def describe_work(each: ListedWork, head: WorkListHead) -> dict[str, object]:
    """Return one thing as an object of JSON. `days`: working days until the due day, below 0 since it."""
    work = each.work
    return {
        "due": work.due.isoformat(),
        "days": head.workdays.between(head.today, work.due),
        "state": str(work.find_state(head.today)),
        "unit": work.unit,
        "name": head.names.get(work.unit, ""),
        "service": work.service,
        "key": work.key,
        "number": each.number,
        "field": work.field,
        "field_name": work.field_name,
        "officer": work.officer,
        "from": work.counterpart,
        "since": work.since.isoformat(),
        "message": work.message,
        "told": work.told,
    }


def make_row(each: ListedWork, head: WorkListHead, language: Language) -> dict[str, str]:
    """Return the texts of a row, by column."""
    work = each.work
    said = describe_work(each, head)
    return {
        **{key: str(said[key]) for key in COLUMNS},
        "due": write_day(work.due),
        "since": write_day(work.since),
        "state": translate(STATES[work.find_state(head.today)], language),
        "service": translate(terms.name_word("service", work.service), language),
        "field": work.field_name or work.field,
    }


def write_work_csv(items: Iterable[ListedWork], head: WorkListHead, language: Language) -> bytes:
    """Return the list as CSV (RFC 4180) in UTF-8 behind a byte order mark. A text that a spreadsheet would run as a
    formula gets an apostrophe before it; a number does not.
    """
    written = StringIO()
    lines = csv.writer(written)
    lines.writerow([translate(heading, language) for heading in COLUMNS.values()])
    for each in items:
        row = make_row(each, head, language)
        lines.writerow(cell if key == "days" else quote_formula(cell) for key, cell in row.items())
    return _MARK + written.getvalue().encode()


def write_work_xlsx(items: Iterable[ListedWork], head: WorkListHead, language: Language) -> bytes:
    """Return the list as a workbook, set up for A4 across, with its headings on each page."""
    octets = io.BytesIO()
    with xlsxwriter.Workbook(octets, make_text_options()) as workbook:
        workbook.set_properties({"created": head.made_at.replace(tzinfo=None)})
        book = SheetWriter(workbook, language)
        sheet = workbook.add_worksheet(book.t("Open work"))
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        book.write(sheet, 0, 0, book.say(head.title), bold=True, font_size=14)
        book.write(sheet, 1, 0, book.t("As of {moment} (Hà Nội)", moment=write_moment(head.made_at)), italic=True)
        framed = {"border": 1, "text_wrap": True, "valign": "top"}
        for number, (heading, width) in enumerate(zip(COLUMNS.values(), _WIDTHS, strict=True)):
            sheet.set_column(number, number, width)
            book.write(sheet, 3, number, book.say(heading), bold=True, align="center", **framed)
        line = 3
        for line, each in enumerate(items, 4):
            for number, (key, cell) in enumerate(make_row(each, head, language).items()):
                if key == "days":
                    sheet.write_number(line, number, int(cell), book.format(**framed))
                else:
                    book.write(sheet, line, number, cell, **framed)
        sheet.autofilter(3, 0, line, len(COLUMNS) - 1)
        sheet.freeze_panes(4, 0)
        sheet.repeat_rows(3)
    return octets.getvalue()
