"""Files of a report that a person may read: which kinds, their names, how they are made."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from hub.domain.errors import Rejected
from hub.journal.searching import message_reading
from hub.language.languages import Language
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.messages import visible_messages
from hub.operations.refusals import refuse_as_absent
from hub.operations.reports.reading import choose_visible_rows, read_visible_sources, refuse_as_tampered
from hub.report.counting.counting import Report
from hub.report.counting.evidence import EvidenceLine, EvidenceLines
from hub.report.counting.marks import require_untampered
from hub.report.form.book import Book
from hub.report.form.form import Form
from hub.report.form.period import Period
from hub.report.output import formats
from hub.report.output.paper_workbook import write_paper_workbook
from hub.store.transactions import Transaction
from hub.workload import facts_behind, given_paper, submission
from hub.workload.quick_count import count_with_summary
from hub.workload.report_sources import ROWS_OF_FORM, ReportSources, RowChoice

#: Downloads: kind -> media type.
KINDS: Mapping[str, str] = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "xml": "application/xml; charset=utf-8",
    "paper": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
#: Kinds that list the evidence.
LISTED = frozenset({"xlsx", "pdf", "xml"})
#: Formats that show the newest revision that was given out.
PAPER = frozenset({"html", "pdf"})


@attrs.frozen
class ReportFile:
    """A report as a file."""

    asked: ReportSources
    content: bytes | submission.CountedReport  #: the content, or a report that the hub's key must still seal


def write_report_file(
    tx: Transaction,
    user: User,
    book: Book,
    form: str,
    unit: str,
    period: str,
    now: datetime,
    kind: str,
    language: Language,
    rows: RowChoice = ROWS_OF_FORM,
) -> ReportFile:
    """Return the report as a file of *kind* for *user*: on paper, the newest revision that was given out, if there is one
    and no other *rows* are asked for. Raises `RequestRefused`.

    A fact of a private service names what it is about, such as a dossier. These facts are listed only for a user with
    the permission `see-private`.
    """
    asked = choose_visible_rows(read_visible_sources(tx, user, book, form, unit, period, now), rows)
    try:
        if kind != "json":  # which says it itself
            require_untampered(asked.marks)
        return _write_file(tx, user, book, asked, now, kind, language, rows)
    except Rejected as rejected:
        raise refuse_as_tampered(rejected) from None


def _write_file(
    tx: Transaction,
    user: User,
    book: Book,
    asked: ReportSources,
    now: datetime,
    kind: str,
    language: Language,
    rows: RowChoice,
) -> ReportFile:
    """Return the report *asked* as a file of *kind*. Raises Rejected with `closing-tampered`."""
    if kind == "paper":
        stands = book.find_layout(asked.form, asked.period)
        if stands is None:
            raise refuse_as_absent()
        made = write_paper_workbook(asked.count(now), asked.names, stands, receiver=asked.receiver)
        return ReportFile(asked.bare, made)
    as_given = kind in PAPER and rows == ROWS_OF_FORM
    given = given_paper.read_given_paper(tx, asked.bare, book.trust) if as_given else None
    if given is not None:
        return ReportFile(asked.bare, given.write(kind, language))
    if kind not in LISTED:
        return ReportFile(asked.bare, _render_report(kind, asked, asked.count(now), (), language))
    if kind == "xml":
        report, summary = count_with_summary(asked, now)
        return ReportFile(asked.bare, submission.CountedReport(report=report, names=dict(asked.names), lines=summary))
    with facts_behind.open_evidence_to_list(asked, now) as found:
        report, listing = found.report, found.lines
        private = kind == "xlsx" and report.form.service in visible_messages.PRIVATE
        hidden = private and not user.may(Permission.SEE_PRIVATE)
        lines = listing.sha256 if hidden else message_reading.NamedLines(tx, listing)
        return ReportFile(asked.bare, _render_report(kind, asked, report, lines, language))


def list_file_kinds(book: Book, form: Form, period: Period) -> tuple[str, ...]:
    """Return the kinds of files that a report can be written as."""
    return tuple(kind for kind in KINDS if kind != "paper" or book.find_layout(form, period) is not None)


def name_report_file(asked: ReportSources, kind: str) -> str:
    """Return the name under which a report is downloaded."""
    ending = "paper.xlsx" if kind == "paper" else kind
    return f"{asked.form.id}_{asked.members[0]}_{asked.period.text}.{ending}"


def _render_report(
    kind: str,
    asked: ReportSources,
    report: Report,
    lines: Sequence[EvidenceLine] | EvidenceLines | str,
    language: Language,
) -> bytes:
    return formats.write_report(kind, report, asked.names, lines, language, None, receiver=asked.receiver)
