"""The pages of one unit's report: its numbers, the facts behind one, the unit's declaration, its signing. No HTTP, no SQL.

/reports?form=F&unit=U&period=P              redirects to
/reports/FORM/UNIT/PERIOD[?revision=N]       the report;  PERIOD.xlsx, .html, .csv, .json, .xml: as a file
                         [?rows=unit]        with a row for each unit, or (principal) each principal unit
                         [?open=UNIT]        the units in the row of a principal unit
/reports/FORM/UNIT/PERIOD/COLUMN[?unit=ROW]  the facts behind a number; [?open=UNIT] of the row of a principal unit
/declarations/FORM/UNIT/PERIOD               the unit's declaration beside the count; by POST a new one
/declarations/FORM/UNIT/PERIOD.xlsx          the workbook for a declaration
/signing/FORM/UNIT/PERIOD                    the state of the report; by POST the signed one
/signing/FORM/UNIT/PERIOD.xml                by POST: the file to sign
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

import attrs

from hub.console.page import PageAnswer, PageValues, console_page
from hub.console.request import ConsoleRequest
from hub.console.visit import PageFrame, Visit
from hub.domain.errors import Rejected, describe_problem
from hub.domain.fair_queue import CONSOLE
from hub.domain.model import Problem, ReportState
from hub.domain.sanitize import clean_line
from hub.journal import blobs
from hub.language.catalogues import translate
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.operations.reports import reading, report_files, standing
from hub.operations.reports.signed_uploads import SignedUpload, SignedUploads
from hub.operations.turns import ReadingTurns
from hub.report.counting.declared import place_figures
from hub.report.counting.declaring import split_declaration
from hub.report.form.book import Book
from hub.report.output import schematron
from hub.report.output.body import arrange_body, write_check_findings, write_dimensions
from hub.report.output.closing_lines import write_closing_lines
from hub.report.output.remark_lines import write_remark_lines
from hub.report.output.spike_lines import describe_spike
from hub.report.output.workings import write_workings
from hub.report.signed import sealed, signed_pdf
from hub.report.words import group_columns, write_column_sums
from hub.report.workbooks.declared_workbook import read_declared_workbook
from hub.report.workbooks.mistakes import Misfilled
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.web import layout, signing_tool
from hub.web.answers import ConsoleResponse
from hub.workload import declarations, submission
from hub.workload.report_sources import RowChoice
from hub.workload.revisions import EarlyStep

P = ParamSpec("P")
T = TypeVar("T")

#: Cost estimate: writing one row costs as much as parsing this many octets of XML.
_ROW = 4096
#: Maximum characters of a reason; its form has the same limit.
_REASON = 500
#: Ending of the address of the file to sign.
_GIVEN = ".xml"
#: Steps of a report at which there is something to sign.
_TO_SIGN = frozenset({EarlyStep.READY, ReportState.CLOSED, ReportState.DRAFTED})


@attrs.define(eq=False)
class ReportPages:
    """Makes the pages of one unit's report."""

    _journal: Journal  #: the journal to read and write
    _work: Work  #: runs heavy computations in worker threads
    _live: Live  #: the configuration and the province in force
    _turns: ReadingTurns  #: limits what is read
    _frame: PageFrame

    @console_page("GET", "/reports/{form}/{unit}/{period}", right=Permission.SEE_REPORTS, template="report")
    async def show_report(self, visit: Visit, form: str, unit: str, period: str) -> PageAnswer:
        """Show the report, or return it as a file."""
        text, dot, kind = period.rpartition(".")
        if dot:
            return await self._file(visit, form, unit, text, kind)
        charted = visit.asked.query.get("charts") == "1"
        book = await self._turns.read_closed_book()
        words = (visit.user, book, form, unit, period, visit.now)
        revision = reading.read_revision_number(visit.asked.query.get("revision", ""))
        rows = _read_rows(visit.asked)
        counted, stands = await self._turns.count(
            visit.user.name,
            visit.asked.wanted,
            form,
            standing.count_report_with_standing,
            *words,
            charted=charted,
            revision=revision,
            rows=rows,
        )
        found, language = counted.asked, visit.asked.language
        if found.members[0] != unit:  # an alias: redirect to the report's only address
            return build_page_path("reports", form, found.members[0], period)

        def make() -> bytes:
            report = counted.report
            shown = reading.list_report_choices(visit.now, book, found.form, found.period)
            said = {
                "report": report,
                "asked": found,
                "names": found.names,
                "groups": group_columns(found.form.columns),
                "sums": write_column_sums(found.form),
                "lines": [
                    attrs.evolve(line, opens=line.opens and found.is_newest)
                    for line in arrange_body(report, found.names, language)
                ],
                "closing": write_closing_lines(report, found.names, language),
                "remarks": write_remark_lines(report, found.names, language),
                "rules": schematron.name_rule_files(report.form),
                "heading": write_dimensions(report.by, language),
                "findings": write_check_findings(report, found.names, language),
                "workings": write_workings(report, found.names, language),
                "unusual": [
                    (
                        each,
                        translate(
                            describe_spike(each, found.form, found.names.get(each.unit, each.unit), language), language
                        ),
                    )
                    for each in counted.spikes.named
                ],
                "unnamed": counted.spikes.left_out,
                "charts": layout.render_charts(report, found.names, counted.others, language),
                "forms": shown.forms,
                "periods": shown.periods,
                "kinds": report_files.list_file_kinds(book, found.form, found.period)
                if found.is_newest and rows.opened is None
                else (),
                "rows": rows,
                "has_principals": not found.form.counts_services
                and any(code != principal for code, principal in found.principals.items()),
                "standing": stands,
                "needs_drafter": self._needs_drafter(form),
                "may": visit.user.may(Permission.SIGN),
            }
            return self._frame.draw_page("report", visit, said)

        return ConsoleResponse(content=await self._work(CONSOLE, len(found.members) * _ROW, make))

    async def _file(self, visit: Visit, form: str, unit: str, period: str, kind: str) -> ConsoleResponse:
        if kind not in report_files.KINDS:
            raise refuse_as_absent()
        step = report_files.write_report_file
        rows = _read_rows(visit.asked)
        made = await self._counted_report(visit, step, form, unit, period, kind, visit.asked.language, rows)
        content = made.content
        if not isinstance(content, bytes):
            identity = self._live.config.identity
            content = await self._work(
                CONSOLE, THRESHOLD, sealed.seal_report, content.report, content.names, content.lines, identity
            )
        name = report_files.name_report_file(made.asked, kind)
        return ConsoleResponse(content=content, content_type=report_files.KINDS[kind], filename=name)

    @console_page("GET", "/reports/{form}/{unit}/{period}/{column}", right=Permission.SEE_REPORTS, template="facts")
    async def show_facts(self, visit: Visit, form: str, unit: str, period: str, column: str) -> PageAnswer:
        """Show the facts behind a number."""
        query, user = visit.asked.query, visit.user
        after = reading.FactCursor.parse(query["after"]) if "after" in query else None
        row, divided, opened = query.get("unit"), query.get("row"), query.get("open")
        address = (form, unit, period, column)
        behind = await self._turns.count(
            user.name,
            visit.asked.wanted,
            form,
            reading.read_facts_page,
            user,
            await self._turns.read_book(),
            address,
            (row, divided),
            after,
            visit.now,
            opened,
        )
        found = behind.asked

        def place(cursor: str | None) -> str:
            return build_page_path("reports", *address, unit=row, open=opened, row=divided, after=cursor)

        return {
            "form": found.form,
            "period": found.period,
            "unit": found.members[0],
            "row": row or opened or found.members[0],
            "opened": opened,
            "family": row is None and len(found.members) > 1,
            "divided": behind.row_name,
            "column": found.form.column(column),
            "names": found.names,
            "value": behind.value,
            "count": behind.count,
            "counted": behind.count is not None or behind.value is not None,
            "reached": behind.more.at if behind.more is not None and not behind.facts else None,
            "facts": behind.facts,
            "differences": behind.differences,
            "messages": behind.messages,
            "declared": [
                figure
                for figure in place_figures(found.declared, found.members)
                if (figure.unit, figure.column) == (row or "", column)
            ],
            "first": place(None) if after is not None else None,
            "more": place(behind.more.text()) if behind.more is not None else None,
        }

    @console_page("GET", "/declarations/{form}/{unit}/{period}", right=Permission.SEE_REPORTS, template="declared")
    async def show_declaration(self, visit: Visit, form: str, unit: str, period: str) -> PageAnswer:
        """Show the unit's declaration beside the count, or return the workbook for one."""
        return await self._declared(visit, form, unit, period)

    async def _declared(self, visit: Visit, form: str, unit: str, period: str, wrong: Sequence[str] = ()) -> PageAnswer:
        text, dot, kind = period.rpartition(".")
        user = visit.user
        if dot:
            if kind != "xlsx":
                raise refuse_as_absent()
            asked = await self._counted_report(visit, reading.find_visible_report, form, unit, text)
            made = await self._turns.alone(reading.write_declaration_template, asked, visit.asked.language)
            name = f"khai_{asked.form.id}_{asked.members[0]}_{asked.period.text}.xlsx"
            return ConsoleResponse(content=made, content_type=report_files.KINDS["xlsx"], filename=name)
        asked, compared = await self._counted_report(visit, reading.compare_visible_declaration, form, unit, period)
        if asked.members[0] != unit:
            return build_page_path("declarations", form, asked.members[0], period)
        said = {
            "asked": asked,
            "form": asked.form,
            "period": asked.period,
            "unit": unit,
            "names": asked.names,
            "compared": compared,
            "headings": reading.name_form_columns(asked.form, visit.asked.language),
            "may": user.may(Permission.DECLARE),
            "many": len(asked.members) > 1,
            "wrong": wrong,
        }
        page = await self._work(CONSOLE, len(asked.members) * _ROW, self._frame.draw_page, "declared", visit, said)
        return ConsoleResponse(status=422 if wrong else 200, content=page)

    @console_page("POST", "/declarations/{form}/{unit}/{period}", right=Permission.DECLARE, template="declared")
    async def declare_figures(self, visit: Visit, form: str, unit: str, period: str) -> PageAnswer:
        """Record the declaration in the workbook that was sent."""
        user, language = visit.user, visit.asked.language
        report, names = await self._counted_report(visit, reading.find_declared_report, form, unit, period)
        try:
            said = await self._turns.alone(read_declared_workbook, visit.asked.read_file(), report, names)
        except Misfilled as misfilled:
            wrong = [
                f"{each.cell}: {translate(each.wrong, language)}" if each.cell else translate(each.wrong, language)
                for each in misfilled.wrong
            ]
            return await self._declared(visit, form, unit, period, wrong)
        named = attrs.evolve(said, by=said.by or user.name)
        parts = split_declaration(named, report.form) if visit.asked.form.get("each") == "1" else (named,)
        for start in range(0, len(parts), declarations.TOGETHER):
            some = parts[start : start + declarations.TOGETHER]
            taken = await self._journal.admit(
                CONSOLE, declarations.record_declarations, self._live.province, some, by=user.name, now=visit.now
            )
            if problems := [problem for recorded in taken for problem in recorded.problems]:
                wrong = [describe_problem(each, language) for each in problems]
                return await self._declared(visit, form, unit, period, wrong)
        return build_page_path("declarations", form, said.unit, period)

    @console_page("GET", "/signing/{form}/{unit}/{period}", right=Permission.SEE_REPORTS, template="signing")
    async def show_signing(self, visit: Visit, form: str, unit: str, period: str) -> PageAnswer:
        """Show the state of the report and what a clerk may do next."""
        return await self._signing(visit, form, unit, period)

    async def _signing(
        self, visit: Visit, form: str, unit: str, period: str, problems: Sequence[Problem] = ()
    ) -> PageAnswer:
        """Show the state of the report and what a clerk may do next, or why an action failed."""
        user, language = visit.user, visit.asked.language
        found = await self._counted_report(visit, standing.compare_report_standing, form, unit, period)
        asked = found.asked
        if asked.members[0] != unit and not problems:
            return build_page_path("signing", form, asked.members[0], period)
        scripted = user.may(Permission.SIGN) and found.step in _TO_SIGN
        said = {
            "standing": found,
            "needs_drafter": self._needs_drafter(form),
            "stamped": self._needs_stamp(),
            "pdf": signed_pdf.is_pades_installed() and not self._needs_drafter(form),
            "form": asked.form,
            "period": asked.period,
            "unit": asked.members[0],
            "names": asked.names,
            "may": user.may(Permission.SIGN),
            "scripted": scripted,
            "tool": signing_tool.SIGN_XML,
            "wrong": [(each.code, describe_problem(each, language)) for each in problems],
            "problem": None if found.problem is None else describe_problem(found.problem, language),
        }
        return PageValues(said, 422 if problems else 200, scripted=scripted)

    def _needs_drafter(self, form: str) -> bool:
        officials = self._live.config.officials
        return officials is not None and officials.needs_drafter(form)

    def _needs_stamp(self) -> bool:
        officials = self._live.config.officials
        return officials is not None and officials.needs_stamp

    async def _give_out(self, visit: Visit, form: str, unit: str, period: str) -> PageAnswer:
        """Return the file to sign: the same octets each time, or a new revision if a reason is given."""
        user, said = visit.user, visit.asked.form.get("reason")
        reason = None if said is None else clean_line(said, _REASON)
        if reason == "":
            return await self._signing(visit, form, unit, period, [Problem("reason-missing")])
        try:
            counted = await self._counted_report(visit, standing.count_report_for_release, form, unit, period)
            kept = await self._journal.admit(
                CONSOLE,
                submission.issue_report,
                self._live.province,
                counted,
                reason=reason or "",
                by=user.name,
                now=visit.now,
            )
        except Rejected as rejected:
            return await self._signing(visit, form, unit, period, rejected.problems)
        except submission.Unended:
            return await self._signing(visit, form, unit, period, [Problem("period-not-ended")])
        except submission.Unclosed as unclosed:
            return await self._signing(visit, form, unit, period, [Problem("period-not-closed", str(unclosed))])
        sha256 = (await self._journal.read(submission.read_signing_base, kept)).sha256
        return ConsoleResponse(
            stored=sha256,
            size=await self._journal.read(blobs.read_blob_size, sha256),
            content_type=report_files.KINDS["xml"],
            filename=submission.name_signing_file(kept, sha256),
        )

    @console_page("POST", "/signing/{form}/{unit}/{period}", right=Permission.SIGN, template="signing")
    async def sign_report(self, visit: Visit, form: str, unit: str, period: str) -> PageAnswer:
        """Return the file to sign, or record what an official has signed.

        Of a refused file, the SHA-256 and the reasons are recorded.
        """
        if period.endswith(_GIVEN):
            return await self._give_out(visit, form, unit, period.removesuffix(_GIVEN))
        upload = SignedUpload(
            user=visit.user,
            form=form,
            unit=unit,
            period=period,
            content=visit.asked.read_file(),
            now=visit.now,
            wanted=visit.asked.wanted,
        )
        try:
            code = await SignedUploads(self._journal, self._live, self._turns).take(upload)
        except Rejected as rejected:
            return await self._signing(visit, form, unit, period, rejected.problems)
        return build_page_path("signing", form, code, period)

    async def _counted_report(
        self,
        visit: Visit,
        step: Callable[Concatenate[Transaction, User, Book, str, str, str, datetime, P], T],
        form: str,
        unit: str,
        period: str,
        *more: P.args,
        **named: P.kwargs,
    ) -> T:
        """Read what *step* needs of the report of *unit*, as the user of *visit* may see it now."""
        asked = visit.asked
        return await self._turns.count_for(
            visit.user, asked.wanted, form, step, unit, period, visit.now, *more, **named
        )


def _read_rows(asked: ConsoleRequest) -> RowChoice:
    return reading.read_row_choice(asked.query.get("rows", ""), asked.query.get("open", ""))


@console_page("GET", "/reports", right=Permission.SEE_REPORTS)
def find_report(visit: Visit) -> PageAnswer:
    """Lead to the report that the form of the units chooses."""
    words = [visit.asked.query.get(name, "") for name in ("form", "unit", "period")]
    if not all(words):
        raise refuse_as_absent()
    return build_page_path("reports", *words)
