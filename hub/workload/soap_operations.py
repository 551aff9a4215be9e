"""Answers the queries of `/soap/reports`: a unit's report, the reconciliation with its declaration, and the list of
periods.

Knows who may ask, and the elements of the responses. Does not count or compare. Declarations themselves arrive as any
other record (`hub.intake.records_endpoint`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from lxml import etree

from hub.config.reports import ReportSettings
from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import xsd_types
from hub.intake.endpoint import Case, JournalAccess
from hub.intake.records_endpoint import QueryCall as Call
from hub.journal import blobs
from hub.report.counting.declaring import NAMESPACE, Figure, write_figure
from hub.report.counting.reconciling import CellVerdict, ReconciledCell, Reconciliation
from hub.report.form.book import Book, read_book
from hub.report.form.form import Form, FormMissing, choose_form
from hub.report.form.period import Cuts, Period, PeriodUnreadable, find_month_containing, parse_period
from hub.report.signed import sealed
from hub.runtime.thread_pool import THRESHOLD
from hub.security.certificates import Signer
from hub.soap.envelope import build_element
from hub.store.report_pool import ReportReader
from hub.store.tables import fact
from hub.store.transactions import Transaction
from hub.workload import closing_plan, declarations, submission, unit_report
from hub.workload.closing_plan import Closing
from hub.workload.declarations import ComparedDeclaration, Undeclared
from hub.workload.quick_count import count_with_summary
from hub.workload.report_sources import ReportSources
from hub.workload.submission import CountedReport

#: Periods that ended longer ago are not listed.
LISTED = timedelta(days=800)
#: The approximate work for one row, in octets of XML. Responses with many rows are written in a worker thread.
_WEIGHT = 400


#: The time of the first fact of each service, the closed months of each form, and the first and last days of months.
_Known = tuple[dict[str, datetime], dict[str, Sequence[Closing]], Cuts]


async def get_workload_report(access: JournalAccess, case: Case) -> etree._Element:
    """Answer GetWorkloadReport with the newest revision that was given out, submitted or published, else with the
    report as counted now.

    Raises CallRefused: `not-yours`, `period-unreadable`, `form-unknown`; Unready: `facts-outstanding`.
    """
    organ, form, text = (_read_call_text(case, name) for name in ("OrganId", "Form", "Period"))
    unit = _find_own_unit(case, organ)
    reports = case.province.config.reports
    await access.wait_for_facts(lambda: read_book(reports).services(form))
    words = (unit, text, form, reports, case.now)
    asked, content = await access.journal.read_report(
        ReportReader(case.partner.code, case.owner.wanted), _find_content, *words
    )
    if isinstance(content, CountedReport):
        size = _WEIGHT * len(content.report.rows)
        content = await access.work(case.owner, size, _seal_counted, content, case.province.config.identity)
    said = {
        "OrganId": asked.members[0],
        "Form": asked.form.id,
        "Period": asked.period.text,
        "Ended": _write_truth(case.now >= asked.period.end),
        "Content": xsd_types.encode_canonical_base64(content),
    }
    return build_element(NAMESPACE, "GetWorkloadReportResponse", said)


async def get_reconciliation(access: JournalAccess, case: Case) -> etree._Element:
    """Answer GetReconciliation. Raises CallRefused as `get_workload_report` does, and `declaration-missing`."""
    organ, form, text = (_read_call_text(case, name) for name in ("OrganId", "Form", "Period"))
    unit = _find_own_unit(case, organ)
    await access.wait_for_facts(lambda: read_book(case.province.config.reports).services(form))
    try:
        words = (unit, text, form, case.province.config.reports, case.now)
        compared = await access.journal.read_report(
            ReportReader(case.partner.code, case.owner.wanted), _compare_declared, *words
        )
    except Undeclared:
        raise CallRefused(Problem("declaration-missing", f"{organ} {form} {text}")) from None
    return await access.work(case.owner, _WEIGHT * len(compared.kept.said.cells), _write_reconciled, compared)


async def list_periods(access: JournalAccess, case: Case) -> etree._Element:
    """Answer ListPeriods. Raises CallRefused: `form-unknown`."""
    asked, book = _read_call_text(case, "Form"), read_book(case.province.config.reports)
    known = book.forms
    if asked and asked not in {form.id for form in known}:
        raise CallRefused(Problem("form-unknown", f"{asked}: {' '.join(sorted({form.id for form in known}))}"))
    reader = ReportReader(case.partner.code, case.owner.wanted)
    found = await access.journal.read_report(reader, _read_known, book)
    return await access.work(case.owner, THRESHOLD, _list_periods, asked, book, found, case.now)


def _list_periods(asked: str, book: Book, found: _Known, now: datetime) -> etree._Element:
    """Return the response of ListPeriods for the form *asked* ("": every form). It has thousands of rows in a hub that
    has counted for years.
    """
    known, (firsts, made, cuts) = book.forms, found
    answer = build_element(NAMESPACE, "ListPeriodsResponse", {})
    for identity in sorted({form.id for form in known if asked in ("", form.id)}):
        versions = [form for form in known if form.id == identity]
        # a derived form: the services of the forms it takes from
        counting = {form.service for form in versions if form.service} or firsts.keys()
        bases = sorted({base for form in versions for base in form.bases} or {identity})
        begun = min((firsts[service] for service in counting if service in firsts), default=now)
        for span in list_begun_periods(begun, now, cuts):
            form = _in_force(versions, identity, span)
            if form is None:
                continue
            due = book.due(form, span)
            said = {
                "Form": identity,
                "Period": span.text,
                "From": span.first.isoformat(),
                "To": span.last.isoformat(),
                "State": _judge_period_state(span, [made[base] for base in bases], now),
                "Due": due.day.isoformat() if due is not None else None,
            }
            answer.append(build_element(NAMESPACE, "Period", said))
    return answer


def list_begun_periods(begun: datetime, now: datetime, cuts: Cuts) -> Iterator[Period]:
    """Yield the periods of every length that have begun by *now*, from the month of *begun* on. Ordered by last day; of
    periods that end on the same day, the shorter comes first.
    """
    first, last = find_month_containing(max(begun, now - LISTED), cuts), find_month_containing(now, cuts)
    texts: dict[str, None] = {}
    for year in range(first.year, last.year + 1):
        months = [f"{year}-{month:02}" for month in range(1, 13)]
        longer = [f"{year}-Q{number}" for number in (1, 2, 3, 4)] + [
            f"{year}-H1",
            f"{year}-9M",
            f"{year}-H2",
            f"{year}",
        ]
        texts |= dict.fromkeys([*months, *longer])
    spans = (parse_period(text, cuts) for text in texts)
    found = [span for span in spans if span.last >= first.first and span.first <= last.last]
    yield from sorted(found, key=lambda span: (span.last, -span.first.toordinal()))


def _in_force(versions: Sequence[Form], identity: str, span: Period) -> Form | None:
    try:
        return choose_form(versions, identity, span)
    except FormMissing:
        return None


def _judge_period_state(span: Period, made: Sequence[Sequence[Closing]], now: datetime) -> str:
    """Return the state of a period. It is closed when all its months are closed.

    *made*: the closed months of each form that its numbers come from.
    """
    if all(each and each[0].period.first <= span.first and span.last <= each[-1].period.last for each in made):
        return "closed"
    return "ended" if now >= span.end else "open"


def _read_known(tx: Transaction, book: Book) -> _Known:
    """Return the time of the first fact of each service, the closed months of each form, and the first and last days of
    months.
    """
    rows = tx.execute(sa.select(fact.c.service, sa.func.min(fact.c.at)).group_by(fact.c.service))
    made: dict[str, Sequence[Closing]] = {form.id: closing_plan.read_closings(tx, form.id) for form in book.forms}
    return {row[0]: row[1] for row in rows}, made, closing_plan.keep_closed_workdays(tx, book).cuts


def _find_own_unit(case: Case, organ: str) -> str:
    """Return the registry's code of the unit *organ*, for which the caller may act. Raises CallRefused `not-yours`."""
    routes = case.province.routes
    if not routes.stands_for(case.partner.code, organ):
        raise CallRefused(Problem("not-yours", organ))
    return routes.canonical(organ)


def _find_sources(
    tx: Transaction, unit: str, text: str, form: str, reports: ReportSettings, now: datetime
) -> ReportSources:
    try:
        found = unit_report.resolve_report_sources(tx, unit, text, form, read_book(reports), now=now)
    except PeriodUnreadable:
        raise CallRefused(Problem("period-unreadable", text[:50])) from None
    except FormMissing as missing:
        raise CallRefused(Problem("form-unknown", missing.detail[:400])) from None
    # When the period ended, the code belonged to another unit, whose report the caller may not read
    if found.members[0] != unit:
        raise CallRefused(Problem("not-yours", f"{unit}: {found.members[0]}"))
    return found


def _find_content(
    tx: Transaction, unit: str, text: str, form: str, reports: ReportSettings, now: datetime
) -> tuple[ReportSources, bytes | CountedReport]:
    """Return what is asked for, and its content: the sealed report that is kept, else the counted report that must be
    sealed.
    """
    asked = _find_sources(tx, unit, text, form, reports, now)
    kept = submission.read_newest_revision(tx, asked.members[0], asked.form.id, asked.period.text)
    if kept is not None:
        submission.require_own_seal(tx, kept, reports.trust)
        return asked.bare, blobs.read_blob(tx, kept.message.sha256)
    report, summary = count_with_summary(asked, now)
    return asked.bare, CountedReport(report=report, names=dict(asked.names), lines=summary)


def _compare_declared(
    tx: Transaction, unit: str, text: str, form: str, reports: ReportSettings, now: datetime
) -> ComparedDeclaration:
    return declarations.compare_declaration(tx, _find_sources(tx, unit, text, form, reports, now), now)


def _seal_counted(counted: CountedReport, identity: Signer) -> bytes:
    return sealed.seal_report(counted.report, counted.names, counted.lines, identity)


def _write_reconciled(compared: ComparedDeclaration) -> etree._Element:
    asked, kept, found = compared.asked, compared.kept, compared.found
    answer = build_element(
        NAMESPACE,
        "GetReconciliationResponse",
        {"OrganId": asked.members[0], "Form": asked.form.id, "Period": asked.period.text},
    )
    message = kept.message
    said = {
        "DocumentId": message.id,
        "MessageId": message.message_id,
        "Partner": message.partner,
        "Time": xsd_types.write_xs_datetime(message.received_at),
        "DeclaredBy": kept.said.by or None,
        "Note": kept.said.note or None,
        "Earlier": str(kept.earlier),
    }
    answer.append(build_element(NAMESPACE, "Declaration", said))
    counts = {
        "CountedAt": xsd_types.write_xs_datetime(found.report.made_at),
        "Ended": _write_truth(found.report.ended),
        "Differing": str(len(found.differing)),
        "Undeclared": str(found.undeclared),
    }
    answer.extend(list(build_element(NAMESPACE, "x", counts)))
    answer.extend(_write_cells(found))
    for line in found.manual:
        told = {
            "OrganId": line.unit or None,
            "Line": line.column,
            "Declared": _write_cell_figure(line.figure),
            "Note": line.note or None,
        }
        answer.append(build_element(NAMESPACE, "Manual", told))
    return answer


def _write_cells(found: Reconciliation) -> Iterator[etree._Element]:
    for cell in found.cells:
        said = {
            "OrganId": cell.unit or None,
            "Column": cell.column,
            "Declared": _write_cell_figure(cell.declared),
            "Counted": _write_cell_figure(cell.counted),
            "Difference": _write_cell_figure(cell.difference),
            "Verdict": cell.verdict.value,
            "Note": cell.note or None,
        }
        element = build_element(NAMESPACE, "Cell", said)
        if cell.verdict is not CellVerdict.EQUAL:
            element.append(_write_behind(cell))
        yield element


def _write_behind(cell: ReconciledCell) -> etree._Element:
    behind = cell.behind
    said = {
        "Facts": str(behind.facts),
        "Messages": str(behind.messages),
        "Complete": _write_truth(len(behind.first) == behind.messages),
    }
    element = build_element(NAMESPACE, "Behind", said)
    for message in behind.first:
        etree.SubElement(element, f"{{{NAMESPACE}}}DocumentId").text = message
    return element


def _write_cell_figure(figure: Figure) -> str | None:
    return None if figure is None else write_figure(figure)


def _write_truth(value: bool) -> str:
    return "true" if value else "false"


def _read_call_text(case: Case, name: str) -> str:
    call = case.opened.call
    assert isinstance(call, Call)
    found = call.child.find(f"{{{NAMESPACE}}}{name}")
    return "" if found is None else xsd_types.read_xs_token(found)
