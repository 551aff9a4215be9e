"""Counts the reports of the last closed month that partners have returned, shortly before the next month is closed."""

from datetime import datetime, timedelta

from hub.domain.model import ReportState, UnitKind
from hub.report.form.book import Book
from hub.report.output.reminder import ReturnedReports
from hub.store.transactions import Transaction
from hub.workload import closing_plan, revisions, unit_report


def read_returned_reports(tx: Transaction, book: Book, within: timedelta, now: datetime) -> list[ReturnedReports]:
    """Return the returned reports of each form whose next month is closed in less than *within*, or is overdue.

    Reads a few statements for each 200 units, and nothing of a form whose next month closes later.
    """
    book, found = closing_plan.keep_closed_workdays(tx, book), []
    for form in closing_plan.list_counting_forms(book.forms):
        made, following = closing_plan.read_closings(tx, form), closing_plan.find_next_month_to_close(tx, book, form)
        if not made or following is None:
            continue
        last, closes_at = made[-1].period, closing_plan.find_automatic_closing_time(book, following[1])
        if now < closes_at - within:
            continue
        asked = unit_report.resolve_all_units(tx, last.text, form, book, now)
        codes = [code for code, unit in asked.units.items() if unit.kind != UnitKind.DRILL]
        newest = revisions.find_newest_revisions(tx, codes, form, last.text)
        count = sum(each.state is ReportState.RETURNED for each in newest.values())
        found.append(ReturnedReports(form=form, period=last.text, count=count, closes_at=closes_at))
    return found
