"""Reads what a unit declares from a workbook: the hub's own template, or one that other software made.

Knows which of the two a workbook is. Does not know their cells.
"""

import attrs

from hub.domain.unit_match import UnitFinder
from hub.report.counting.declaring import Declaration
from hub.report.form.form import Form
from hub.report.form.layout import Layout
from hub.report.form.period import Period
from hub.report.workbooks.laid_out_workbook import TableSearch
from hub.report.workbooks.mistakes import Misfilled, WorkbookMistake
from hub.report.workbooks.sheets import WorkbookUnreadable
from hub.report.workbooks.template_workbook import find_template_mark, read_template_sheet
from hub.report.workbooks.workbook_reader import read_workbook_sheets


@attrs.frozen
class DeclaredReport:
    """The report for which figures are declared."""

    form: Form
    period: Period
    units: tuple[str, ...]  #: the reporting unit, then those below it
    layouts: tuple[Layout, ...] = ()  #: how workbooks of all forms stand
    divided: bool = False  #: whether it divides the rows of units, such as by field


def read_declared_workbook(content: bytes, report: DeclaredReport, finder: UnitFinder) -> Declaration:
    """Return what the workbook declares for the first of the units of *report*.

    Raises Misfilled with every mistake: a file that is not a safe workbook, or of another form, unit or period; cells
    without a whole number; sums that were not calculated; rows and columns of which it is not known what they are; a
    workbook without any figure.
    """
    search = TableSearch(report.form, report.period, report.units, report.layouts, report.divided)
    try:
        for sheet in read_workbook_sheets(content):
            if row := find_template_mark(sheet):
                return read_template_sheet(sheet, row, report.form, report.period, report.units)
            search.examine(sheet)
    except WorkbookUnreadable as unreadable:
        raise Misfilled([WorkbookMistake("", unreadable.said)]) from None
    return search.read(finder)
