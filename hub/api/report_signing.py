"""The operations on the life of a report: where it stands, fix the figures, get the document to sign, hand in the signed one.

An official signs elsewhere. A signed file is taken as from the page (`hub.operations.reports.signed_uploads`).
"""

from functools import partial

from hub.api.declarations import refuse_by_problems
from hub.api.idempotency import OrderedAnswer, find_kept_answer, run_once
from hub.api.operation import FILE_TYPE, ApiCall, ApiOperation, ApiParts, answer_order, answer_value
from hub.api.report_values import ApiClosedReport, ApiClosingOrder, ApiReportLife, ApiReportSignature
from hub.api.reports import ADDRESS, name_report
from hub.api.schemas import write_json
from hub.domain.errors import Rejected, describe_problem
from hub.domain.fair_queue import CONSOLE
from hub.domain.model import Problem
from hub.language.phrases import phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.replays.order_fields import FieldUnfit, read_reason
from hub.operations.reports import standing
from hub.operations.reports.signed_uploads import AcceptStep, SignedUpload, SignedUploads
from hub.report.signed import signed_pdf
from hub.store.transactions import Transaction
from hub.web.answers import ConsoleResponse
from hub.workload import revisions, submission


async def read_life(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the state of a report and its revisions."""
    form, unit, period = name_report(call)
    words = (call.user, await parts.turns.read_book(), form, unit, period, call.now)
    found = await parts.turns.count(call.user.name, call.wanted, form, standing.compare_report_standing, *words)
    officials = parts.live.config.officials
    drafted = officials is not None and officials.needs_drafter(form)
    stamped = officials is not None and officials.needs_stamp
    problem = "" if found.problem is None else describe_problem(found.problem, call.language)
    pdf = signed_pdf.is_pades_installed() and not drafted
    return answer_value(ApiReportLife.of(found, problem, drafted=drafted, pdf=pdf, stamped=stamped), call)


async def close_report(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Fix the figures of a report for signing: the same revision each time, or a new one if a reason is given."""
    kept = await parts.journal.read(find_kept_answer, call.token.prefix, call.key, call.request, call.now)
    if kept is not None:
        return answer_order(kept)
    form, unit, period = name_report(call)
    wanted: ApiClosingOrder = call.body
    try:
        reason = "" if wanted.reason is None else read_reason(wanted.reason)
    except FieldUnfit:
        raise refuse_by_problems([Problem("reason-missing")], call) from None
    words = (call.user, await parts.turns.read_book(), form, unit, period, call.now)

    def step(counted: submission.CountedReport, tx: Transaction) -> OrderedAnswer:
        province, by = parts.live.province, call.token.by
        kept = submission.issue_report(tx, province, counted, reason=reason, by=by, now=call.now)
        said = ApiClosedReport(
            revision=kept.said.revision,
            message=kept.message.id,
            sha256=kept.message.sha256,
            made=kept.fresh,
            behind=kept.behind,
        )
        return OrderedAnswer(status=200, content=write_json(said, call.language))

    try:
        counted = await parts.turns.count(call.user.name, call.wanted, form, standing.count_report_for_release, *words)
        order = (call.token.prefix, call.key, call.request, call.now, partial(step, counted))
        return answer_order(await parts.journal.admit(CONSOLE, run_once, *order))
    except Rejected as rejected:
        raise refuse_by_problems(rejected.problems, call) from None
    except submission.Unended:
        raise refuse_by_problems([Problem("period-not-ended")], call) from None
    except submission.Unclosed as unclosed:
        raise refuse_by_problems([Problem("period-not-closed", str(unclosed))], call) from None


async def read_document(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the document that the next official signs."""
    form, unit, period = name_report(call)
    words = (call.user, await parts.turns.read_book(), form, unit, period)
    found = await parts.turns.count(call.user.name, call.wanted, form, standing.read_given_revision, *words, call.now)
    if found is None:
        raise refuse_by_problems([Problem("report-not-closed")], call)
    name = submission.name_signing_file(found.kept, found.sha256)
    return ConsoleResponse(content=found.octets, content_type=FILE_TYPE, filename=name)


async def hand_in_document(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Accept a document that an official has signed, XML or PDF."""
    kept = await parts.journal.read(find_kept_answer, call.token.prefix, call.key, call.request, call.now)
    if kept is not None:
        return answer_order(kept)
    form, unit, period = name_report(call)
    upload = SignedUpload(
        user=call.user, form=form, unit=unit, period=period, content=call.body, now=call.now, wanted=call.wanted
    )
    made: list[OrderedAnswer] = []

    async def accept(accepting: AcceptStep, code: str) -> None:
        order = (call.token.prefix, call.key, call.request, call.now, partial(step, accepting, code))
        made.append(await parts.journal.admit(CONSOLE, run_once, *order))

    def step(accepting: AcceptStep, code: str, tx: Transaction) -> OrderedAnswer:
        taken = accepting(tx)
        found = revisions.list_revisions(tx, code, form, period)
        signatures = (signature for each in found for signature in (each.drafting, each.signing))
        signature = next(each for each in signatures if each is not None and each.message == taken.message.id)
        return OrderedAnswer(status=200, content=write_json(ApiReportSignature.project(signature), call.language))

    try:
        await SignedUploads(parts.journal, parts.live, parts.turns).take(upload, accept)
    except Rejected as rejected:
        raise refuse_by_problems(rejected.problems, call) from None
    (answer,) = made
    return answer_order(answer)


OPERATIONS = (
    ApiOperation(
        name="getReportLife",
        path="/reports/{form}/{unit}/{period}/life",
        tag="reports",
        about=phrase("Read where a report stands: its revisions, who signed, what was submitted and answered."),
        scopes=(Permission.SEE_REPORTS,),
        parameters=ADDRESS,
        answers=ApiReportLife,
        run=read_life,
    ),
    ApiOperation(
        name="closeReport",
        method="POST",
        path="/reports/{form}/{unit}/{period}/closing",
        tag="reports",
        about=phrase("Fix the figures of a report for signing, as a revision; with a reason as a new one."),
        scopes=(Permission.SIGN,),
        parameters=ADDRESS,
        takes=ApiClosingOrder,
        answers=ApiClosedReport,
        run=close_report,
    ),
    ApiOperation(
        name="getDocumentToSign",
        path="/reports/{form}/{unit}/{period}/document",
        tag="reports",
        about=phrase(
            "Get the XML that the next official signs: the newest revision, with the drafter's signature if any."
        ),
        scopes=(Permission.SIGN,),
        parameters=ADDRESS,
        media=(FILE_TYPE,),
        run=read_document,
    ),
    ApiOperation(
        name="handInDocument",
        method="POST",
        path="/reports/{form}/{unit}/{period}/document",
        tag="reports",
        about=phrase("Hand in the XML or PDF that an official has signed. It is verified; who signed is the answer."),
        scopes=(Permission.SIGN,),
        parameters=ADDRESS,
        takes_file=True,
        answers=ApiReportSignature,
        run=hand_in_document,
    ),
)
