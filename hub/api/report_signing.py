"""The operations on the life of a report: where it stands, fix the figures, get the document to sign, hand in the signed one.

An official signs elsewhere. A signed file is taken as from the page (`hub.operations.reports.signed_uploads`).
"""

from functools import partial

from hub.api.declarations import refuse_by_problems
from hub.api.operation import FILE_TYPE, ApiCall, ApiOperation, answer_value, find_answer, order_once
from hub.api.report_values import ApiClosedReport, ApiClosingOrder, ApiReportLife, ApiReportSignature
from hub.api.reports import count_report, name_report
from hub.domain.errors import Rejected, describe_problem
from hub.domain.model import Problem
from hub.language.phrases import phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.parts import OperationParts
from hub.operations.replays.order_fields import FieldUnfit, read_reason
from hub.operations.reports import standing
from hub.operations.reports.signed_uploads import AcceptStep, SignedUpload, SignedUploads
from hub.report.signed import signed_pdf
from hub.store.transactions import Transaction
from hub.web.answers import ConsoleResponse
from hub.workload import revisions, submission


async def read_life(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the state of a report and its revisions."""
    found = await count_report(parts, call, standing.compare_report_standing, call.now)
    officials = parts.live.config.officials
    drafted = officials is not None and officials.needs_drafter(call.text("form"))
    stamped = officials is not None and officials.needs_stamp
    problem = "" if found.problem is None else describe_problem(found.problem, call.language)
    pdf = signed_pdf.is_pades_installed() and not drafted
    return answer_value(ApiReportLife.of(found, problem, drafted=drafted, pdf=pdf, stamped=stamped), call)


async def close_report(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Fix the figures of a report for signing: the same revision each time, or a new one if a reason is given."""
    if kept := await find_answer(parts, call):
        return kept
    wanted: ApiClosingOrder = call.body
    try:
        reason = "" if wanted.reason is None else read_reason(wanted.reason)
    except FieldUnfit:
        raise refuse_by_problems([Problem("reason-missing")], call) from None

    def step(counted: submission.CountedReport, tx: Transaction) -> ApiClosedReport:
        province, by = parts.live.province, call.token.by
        kept = submission.issue_report(tx, province, counted, reason=reason, by=by, now=call.now)
        return ApiClosedReport(
            revision=kept.said.revision,
            message=kept.message.id,
            sha256=kept.message.sha256,
            made=kept.fresh,
            behind=kept.behind,
        )

    try:
        counted = await count_report(parts, call, standing.count_report_for_release, call.now)
        return await order_once(parts, call, partial(step, counted))
    except Rejected as rejected:
        raise refuse_by_problems(rejected.problems, call) from None
    except submission.Unended:
        raise refuse_by_problems([Problem("period-not-ended")], call) from None
    except submission.Unclosed as unclosed:
        raise refuse_by_problems([Problem("period-not-closed", str(unclosed))], call) from None


async def read_document(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the document that the next official signs."""
    found = await count_report(parts, call, standing.read_given_revision, call.now)
    if found is None:
        raise refuse_by_problems([Problem("report-not-closed")], call)
    name = submission.name_signing_file(found.kept, found.sha256)
    return ConsoleResponse(content=found.octets, content_type=FILE_TYPE, filename=name)


async def hand_in_document(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Accept a document that an official has signed, XML or PDF."""
    if kept := await find_answer(parts, call):
        return kept
    form, unit, period = name_report(call)
    upload = SignedUpload(
        user=call.user, form=form, unit=unit, period=period, content=call.body, now=call.now, wanted=call.wanted
    )
    made: list[ConsoleResponse] = []

    async def accept(accepting: AcceptStep, code: str) -> None:
        made.append(await order_once(parts, call, partial(step, accepting, code)))

    def step(accepting: AcceptStep, code: str, tx: Transaction) -> ApiReportSignature:
        taken = accepting(tx)
        found = revisions.list_revisions(tx, code, form, period)
        signatures = (signature for each in found for signature in (each.drafting, each.signing))
        signature = next(each for each in signatures if each is not None and each.message == taken.message.id)
        return ApiReportSignature.project(signature)

    try:
        await SignedUploads(parts.journal, parts.live, parts.turns).take(upload, accept)
    except Rejected as rejected:
        raise refuse_by_problems(rejected.problems, call) from None
    (answer,) = made
    return answer


_signing = partial(ApiOperation, method="POST", tag="reports", scopes=(Permission.SIGN,))
OPERATIONS = (
    ApiOperation(
        name="getReportLife",
        path="/reports/{form}/{unit}/{period}/life",
        tag="reports",
        about=phrase("Read where a report stands: its revisions, who signed, what was submitted and answered."),
        scopes=(Permission.SEE_REPORTS,),
        answers=ApiReportLife,
        run=read_life,
    ),
    _signing(
        name="closeReport",
        path="/reports/{form}/{unit}/{period}/closing",
        about=phrase("Fix the figures of a report for signing, as a revision; with a reason as a new one."),
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
        media=(FILE_TYPE,),
        run=read_document,
    ),
    _signing(
        name="handInDocument",
        path="/reports/{form}/{unit}/{period}/document",
        about=phrase("Hand in the XML or PDF that an official has signed. It is verified; who signed is the answer."),
        takes_file=True,
        answers=ApiReportSignature,
        run=hand_in_document,
    ),
)
