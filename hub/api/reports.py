"""The operations on reports: which there are, one report, the facts behind a number, the report as a file; and the ranking
of the units of a class.

Counts and reads as the pages do (`hub.operations.reports.reading`, `hub.operations.reports.standing`), in processes beside the hub.
"""

import json
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import TypeVar

from hub.api.messages import CURSOR
from hub.api.operation import ApiCall, ApiOperation, ApiParameter, answer_value
from hub.api.problems import refusing_parameter
from hub.api.report_values import ApiReportRound
from hub.api.values import ApiFactList, ApiForm, ApiGlance, ApiPeriod, ApiReport, ApiReportList, ApiReportStanding
from hub.domain.fair_queue import CONSOLE
from hub.language.phrases import phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.messages.visible_messages import PRIVATE
from hub.operations.parts import OperationParts
from hub.operations.reports import reading, report_files, standing
from hub.operations.reports.glance_reading import KINDS as GLANCE_KINDS
from hub.operations.reports.glance_reading import GlanceReader
from hub.operations.reports.visible_round import read_round_search, read_visible_choice
from hub.report.glance import files
from hub.report.glance.view import GlanceView
from hub.report.output import outputs
from hub.report.signed import sealed
from hub.runtime.thread_pool import THRESHOLD
from hub.web.answers import ConsoleResponse
from hub.workload.glance.glance_view import GlanceAsked
from hub.workload.report_sources import RowChoice

T = TypeVar("T")


class ReportFormat(StrEnum):
    """The format of a report as a file."""

    XLSX = "xlsx"
    PDF = "pdf"
    HTML = "html"
    CSV = "csv"
    JSON = "json"
    XML = "xml"
    PAPER = "paper"


class GlanceFormat(StrEnum):
    """The format of a ranking as a file."""

    XLSX = "xlsx"
    PDF = "pdf"
    CSV = "csv"
    JSON = "json"


_REVISION = ApiParameter(
    "revision", phrase("number of an earlier revision of a closed report, from 1; none: the newest")
)
_OPEN = ApiParameter(
    "open", phrase("a unit with a row in the table of the province: only the units in that row; none: all units")
)


def name_report(call: ApiCall) -> tuple[str, str, str]:
    """Return the form, the unit and the period that the path names."""
    return call.text("form"), call.text("unit"), call.text("period")


async def count_report(parts: OperationParts, call: ApiCall, step: Callable[..., T], *rest: object) -> T:
    """Return what *step* reads of the report that the path names: for the caller, by the province's forms."""
    form, unit, period = name_report(call)
    return await parts.turns.count_for(call.user, call.wanted, form, step, unit, period, *rest)


async def list_reports(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the forms and periods of which there are reports."""
    book = await parts.turns.read_closed_book()
    shown = await parts.turns.work(CONSOLE, THRESHOLD, reading.list_report_choices, call.now, book)
    said = ApiReportList(
        forms=[ApiForm.project(each, title=each.title.say(call.language)) for each in shown.forms],
        periods=[ApiPeriod.project(each) for _, members in shown.periods for each in members],
    )
    return answer_value(said, call)


async def read_report(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with one report and its state."""
    form, unit, period = name_report(call)
    book = await parts.turns.read_closed_book()
    words = (call.user, book, form, unit, period, call.now)
    with refusing_parameter("revision", phrase("is no number of a revision")):
        revision = reading.read_revision_number(call.text("revision"))
    rows = RowChoice(opened=call.text("open") or None)
    step = standing.count_report_with_standing
    counted, stands = await parts.turns.count(
        call.user.name, call.wanted, form, step, *words, charted=False, revision=revision, rows=rows
    )
    asked = counted.asked
    said = ApiReport(
        form=asked.form.id,
        unit=asked.members[0],
        period=asked.period.text,
        complete=asked.complete,
        revision=asked.revision,
        standing=ApiReportStanding.project(stands),
        report=json.loads(outputs.write_json_report(counted.report, asked.names)),
    )
    return answer_value(said, call)


async def list_facts(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with one page of the facts behind a number."""
    form, unit, period = name_report(call)
    with refusing_parameter():
        after = reading.FactCursor.parse(call.text("cursor")) if call.text("cursor") else None
    address = (form, unit, period, call.text("column"))
    row = (call.text("of") or None, call.text("row") or None)
    words = (call.user, await parts.turns.read_book(), address, row, after, call.now, call.text("open") or None)
    page = await parts.turns.count(call.user.name, call.wanted, form, reading.read_facts_page, *words)
    return answer_value(ApiFactList.of(page, () if call.user.may(Permission.SEE_PRIVATE) else PRIVATE), call)


async def read_file(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the report as a file."""
    kind = call.text("format")
    made = await count_report(parts, call, report_files.write_report_file, call.now, kind, call.language)
    content = made.content
    if not isinstance(content, bytes):
        identity = parts.live.config.identity
        content = await parts.turns.work(
            CONSOLE, THRESHOLD, sealed.seal_report, content.report, content.names, content.lines, identity
        )
    name = report_files.name_report_file(made.asked, kind)
    return ConsoleResponse(content=content, content_type=report_files.KINDS[kind], filename=name)


async def read_round(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with how the reports of the units stand that the caller sees and the parameters choose."""
    form, period = call.text("form"), call.text("period")
    chosen = {name: call.text(name) for name in ("below", "level", "kind", "step", "declared")}
    words = (call.user, await parts.turns.read_book(), form, period, call.now, read_round_search(chosen))
    _, found = await parts.turns.count(call.user.name, call.wanted, form, read_visible_choice, *words)
    return answer_value(ApiReportRound.of(found), call)


async def _read_view(parts: OperationParts, call: ApiCall) -> GlanceView:
    reader = GlanceReader(parts.journal, parts.live, parts.turns)
    asked = GlanceAsked(
        form=call.text("form"),
        period=call.text("period"),
        indicator=call.text("by"),
        of_class=call.text("class"),
        under=call.text("under"),
    )
    return await reader.read_view(call.user, asked, call.now, call.wanted)


async def read_glance(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the ranking."""
    view = await _read_view(parts, call)
    said = ApiGlance(form=view.form.id, period=view.period.text, glance=files.describe_glance(view))
    return answer_value(said, call)


async def read_glance_file(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the ranking as a file."""
    view, kind = await _read_view(parts, call), call.text("format")
    content = await parts.turns.alone(files.write_glance, view, kind, call.language)
    name = f"{view.form.id}_{view.indicator.key}_{view.period.text}.{kind}"
    return ConsoleResponse(content=content, content_type=GLANCE_KINDS[kind], filename=name)


_GLANCE = (
    ApiParameter("by", phrase("key of an indicator or of a column; none: the first indicator")),
    ApiParameter("class", phrase("key of a class of units; none: the first")),
    ApiParameter("under", phrase("code of a unit: the units directly below it are compared, instead of a class")),
)


_reading = partial(ApiOperation, tag="reports", scopes=(Permission.SEE_REPORTS,))
OPERATIONS = (
    _reading(
        name="listReports",
        path="/reports",
        about=phrase("List the forms and periods of which there are reports."),
        answers=ApiReportList,
        run=list_reports,
    ),
    _reading(
        name="getReport",
        path="/reports/{form}/{unit}/{period}",
        about=phrase("Read one report and its state."),
        query=(_REVISION, _OPEN),
        answers=ApiReport,
        run=read_report,
    ),
    _reading(
        name="getReportRound",
        path="/rounds/{form}/{period}",
        about=phrase("Read how the reports of all units stand, for one form and period."),
        query=(
            ApiParameter("below", phrase("only this unit and those below it")),
            ApiParameter("level", phrase("only units of this level")),
            ApiParameter("kind", phrase("only units of this kind")),
            ApiParameter("step", phrase("only units whose report is in this state")),
            ApiParameter("declared", phrase("only units whose declaration stands so")),
        ),
        answers=ApiReportRound,
        run=read_round,
    ),
    _reading(
        name="listReportFacts",
        path="/reports/{form}/{unit}/{period}/cells/{column}",
        about=phrase("List the facts behind a number of a report, 100 on a page."),
        query=(
            _OPEN,
            ApiParameter("of", phrase("the unit of the row; none: the total")),
            ApiParameter(
                "row", phrase("of a divided row: its values, such as a field, joined by |; none: the whole row")
            ),
            CURSOR,
        ),
        answers=ApiFactList,
        run=list_facts,
    ),
    _reading(
        name="getReportFile",
        path="/reports/{form}/{unit}/{period}/file",
        about=phrase("Get a report as a file."),
        query=(ApiParameter("format", phrase("format of the file"), kind=ReportFormat, required=True),),
        media=tuple(each.partition(";")[0] for each in report_files.KINDS.values()),
        run=read_file,
    ),
    _reading(
        name="getGlance",
        path="/glance/{form}/{period}",
        about=phrase("Rank the units of a class by a number of a form, with change, trend and target."),
        query=_GLANCE,
        answers=ApiGlance,
        run=read_glance,
    ),
    _reading(
        name="getGlanceFile",
        path="/glance/{form}/{period}/file",
        about=phrase("Get a ranking as a file."),
        query=(
            *_GLANCE,
            ApiParameter("format", phrase("format of the file"), kind=GlanceFormat, required=True),
        ),
        media=tuple(each.partition(";")[0] for each in GLANCE_KINDS.values()),
        run=read_glance_file,
    ),
)
