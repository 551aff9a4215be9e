"""The operations on messages: search, read, content, packet, attempts, comparison; and on refused calls.

Reads what the pages read (`hub.operations.messages.message_list`, `hub.web.message_views`), with the same bounds and events.
"""

from enum import StrEnum
from typing import Any

import attrs

from hub.api.operation import ApiCall, ApiOperation, ApiParameter, answer_value
from hub.api.problems import ApiProblem, NamedFlaw
from hub.api.values import (
    ApiCallDetails,
    ApiComparison,
    ApiDifference,
    ApiEvent,
    ApiExchange,
    ApiMessageDetails,
    ApiMessageEvents,
    ApiMessageList,
    ApiMessageRow,
    ApiPacket,
    ApiRefusedCalls,
)
from hub.domain.local_time import find_local_day
from hub.domain.model import DeliveryState, MessageState, Problem
from hub.edxml import readable
from hub.journal.searching import message_reading
from hub.language.phrases import phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.messages import message_list
from hub.operations.messages.message_list import ListQuery
from hub.operations.messages.search_request import Direction, SearchPlan, plan_search
from hub.operations.messages.shown_reasons import list_reasons
from hub.operations.messages.visible_messages import ShownCall, ShownMessage
from hub.operations.operation import CURSOR as _CURSOR
from hub.operations.parts import OperationParts
from hub.operations.reports import reading
from hub.web.answers import ConsoleResponse
from hub.web.message_views import MessageViews

OCTETS = "application/octet-stream"

#: The parameters that choose messages, as in the address of the page `/messages`.
CHOOSING = (
    ApiParameter("q", phrase("whatever is at hand: number, subject, agency, partner, id, Tracking, SHA-256")),
    ApiParameter("since", phrase("from this time on: 2026-11-27, 27/11/2026 08:00, or ISO 8601 with an offset")),
    ApiParameter("until", phrase("before this time")),
    ApiParameter("direction", phrase("into the province, out of it, or within it"), kind=Direction),
    ApiParameter("state", phrase("state of the message"), kind=MessageState),
    ApiParameter("delivery", phrase("it has a delivery in this state"), kind=DeliveryState),
    ApiParameter("kind", phrase("service and kind, such as documents/document")),
    ApiParameter("partner", phrase("sending or receiving partner")),
    ApiParameter("sent_to", phrase("receiving partner; with `delivery`: of the delivery in that state")),
    ApiParameter("unit", phrase("sending or receiving agency")),
    ApiParameter("recipient", phrase("receiving agency")),
    ApiParameter("refusal", phrase("code of the hub's refusal")),
    ApiParameter("answer", phrase("code of a partner's answer")),
    ApiParameter("cause", phrase("cause of a failure, as the list of failures names it")),
)
CURSOR = ApiParameter("cursor", _CURSOR)


class ExportFormat(StrEnum):
    """The format of an export."""

    CSV = "csv"
    JSONL = "jsonl"


def parse_search(call: ApiCall, *, calls: bool = False) -> ListQuery:
    """Return what the parameters of *call* ask for. Raises `ApiProblem` for a time that cannot be read."""
    said = {name: call.text(name) for name in message_list.CHOOSING}
    said |= {"before": call.text("cursor"), "after": call.text("after")}
    for name in ("cursor", "after"):
        if call.text(name) and len(call.text(name)) != 36:
            raise ApiProblem("parameter-wrong", flaws=[NamedFlaw(name, phrase("is no cursor of this list"))])
    query = message_list.parse_list_query(said | ({"state": message_list.CALLS} if calls else {}))
    if query.wrong:
        raise ApiProblem("search-unfit", flaws=[NamedFlaw("since, until", each) for each in query.wrong])
    return query


_UNKNOWN = {
    "partner": phrase("There is no such partner"),
    "unit": phrase("There is no such unit, or there are several"),
    "recipient": phrase("There is no such unit, or there are several"),
    "cause": phrase("There is no such cause"),
}


def require_known(plan: SearchPlan) -> None:
    """Raise `ApiProblem` if the search names a partner or a unit that nobody knows."""
    if plan.unknown:
        raise ApiProblem("search-unfit", flaws=[NamedFlaw(each.field, _UNKNOWN[each.field]) for each in plan.unknown])


@attrs.frozen(kw_only=True)
class ApiSearchConditions:
    """Conditions as in the search of messages, in the body of an order."""

    q: str | None = None
    since: str | None = None
    until: str | None = None
    direction: str | None = None
    state: str | None = None
    delivery: str | None = None
    kind: str | None = None
    partner: str | None = None
    sent_to: str | None = None
    unit: str | None = None
    recipient: str | None = None
    refusal: str | None = None
    answer: str | None = None
    cause: str | None = None
    id: tuple[str, ...] = ()

    def conditions(self) -> dict[str, str]:
        """Return the conditions as the form of the page has them."""
        return {name: getattr(self, name) or "" for name in message_list.CHOOSING} | {"id": " ".join(self.id)}


async def list_messages(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with one page of the messages that a search finds."""
    query = parse_search(call)
    page = await parts.turns.look(message_list.find_message_page, call.user, query, *parts.names())
    require_known(page.plan)
    said = ApiMessageList(
        items=[ApiMessageRow.of(each, page.summaries.get(each.id, ())) for each in page.messages],
        next=page.older,
        newer=page.newer,
        count=min(page.count, page.most),
        most=page.most,
        behind=page.behind,
    )
    return answer_value(said, call)


async def export_messages(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with all that a search finds as a file, at most `EXPORTED` rows."""
    query, kind = parse_search(call), call.text("format") or ExportFormat.JSONL
    names = parts.names()
    require_known(await parts.journal.read(plan_search, query.asked, call.user.keep_visible(names[0]), *names[1:]))
    found = message_list.iterate_export(parts.journal, call.user, query, *names, kind, call.language)
    name = message_list.name_file(call.now, kind)
    return ConsoleResponse(parts=found, content_type=message_list.FILES[kind], filename=name)


async def list_calls(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with one page of the refused calls, which brought no message."""
    query = parse_search(call, calls=True)
    page = await parts.turns.look(message_list.find_message_page, call.user, query, *parts.names())
    require_known(page.plan)
    return answer_value(ApiRefusedCalls(items=page.calls, next=page.older), call)


async def read_call(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with one refused call."""
    opened, _ = await parts.turns.look(
        reading.open_visible_message,
        call.user,
        call.text("tracking"),
        find_local_day(call.now),
        parts.live.config.archive,
    )
    if not isinstance(opened, ShownCall):
        raise ApiProblem("not-found")
    (reason,) = list_reasons([Problem(opened.call.code, opened.call.detail)])
    return answer_value(ApiCallDetails.of(opened, reason.sentence), call)


async def _open_shown_message(parts: OperationParts, call: ApiCall) -> ShownMessage:
    """Return the message that the call names, if its token may see it. Raises `ApiProblem`."""
    opened, _ = await parts.turns.look(
        reading.open_visible_message,
        call.user,
        call.text("message"),
        find_local_day(call.now),
        parts.live.config.archive,
    )
    if not isinstance(opened, ShownMessage):
        raise ApiProblem("not-found")
    return opened


def _make_message_views(parts: OperationParts) -> MessageViews:
    return MessageViews(parts.journal, parts.live, parts.turns.alone)


async def read_message(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with one message: why it was refused, its deliveries, attempts, links and facts."""
    opened = await _open_shown_message(parts, call)
    said = _make_message_views(parts).show(opened, {}, await parts.turns.read_book())
    return answer_value(ApiMessageDetails.of(opened, list_reasons(opened.reasons), said["cells"]), call)  # type: ignore[arg-type]


async def list_message_events(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the events of one message."""
    opened = await _open_shown_message(parts, call)
    said = ApiMessageEvents(items=[ApiEvent.of(each) for each in opened.happened], more=opened.more)
    return answer_value(said, call)


async def read_receipt(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the receipt that the hub signed."""
    opened = await _open_shown_message(parts, call)
    receipt = (
        await parts.journal.read(message_reading.read_stored_receipt, opened.message.id) if opened.receipt else None
    )
    if receipt is None:
        raise ApiProblem("not-found")
    return ConsoleResponse(content=receipt, content_type=OCTETS, filename=f"{opened.message.id}-receipt.xml")


async def open_content(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the exact octets of a message."""
    return await _make_message_views(parts).download(call.user, await _open_shown_message(parts, call), call.now)


async def open_attachment(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with an attachment, unpacked."""
    opened = await _open_shown_message(parts, call)
    return await _make_message_views(parts).open_attachment(call.user, opened, call.now, call.text("number"))


async def open_packet(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the packet line by line, each finding at its line."""
    packet = (
        await _make_message_views(parts).open_packet(call.user, await _open_shown_message(parts, call), call.now)
    )["packet"]
    if not isinstance(packet, readable.ReadablePacket):
        raise ApiProblem("not-found", phrase("The packet is too large to be shown; open its content"))
    return answer_value(ApiPacket.project(packet), call)


async def open_attempt(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the request and the reply of one attempt."""
    opened = await _open_shown_message(parts, call)
    said = await _make_message_views(parts).open_attempt(call.user, opened, call.now, call.text("attempt"))
    return answer_value(ApiExchange.of(said["attempt"], said["body"]), call)  # type: ignore[arg-type]


async def compare_messages(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with what differs between two packets."""
    opened = await _open_shown_message(parts, call)
    said = await _make_message_views(parts).compare_packet(call.user, opened, call.now, call.text("other"))
    return _answer_comparison(said, call)


async def compare_attempts(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with what differs between the requests and the replies of two attempts."""
    opened, attempts = await _open_shown_message(parts, call), (call.text("attempt"), call.text("other"))
    return _answer_comparison(
        await _make_message_views(parts).compare_attempts(call.user, opened, call.now, *attempts), call
    )


def _answer_comparison(said: dict[str, Any], call: ApiCall) -> ConsoleResponse:
    found = [ApiDifference.project(each, part=part) for part, each in said["parts"] if each is not None]
    if not found:
        raise ApiProblem("not-found", phrase("The packets are too large to be compared"))
    return answer_value(ApiComparison(parts=found), call)


def _declare_message_operation(
    name: str, path: str, *, scope: Permission = Permission.FIND_MESSAGES, **said: Any
) -> ApiOperation:
    return ApiOperation(name=name, path=path, tag="messages", scopes=(scope,), **said)


OPERATIONS = (
    _declare_message_operation(
        "listMessages",
        "/messages",
        about=phrase("Find messages, newest first, 50 on a page."),
        query=(*CHOOSING, CURSOR, ApiParameter("after", phrase("newer of the page before: the newer messages"))),
        answers=ApiMessageList,
        run=list_messages,
    ),
    _declare_message_operation(
        "exportMessages",
        "/messages/export",
        about=phrase("Get all that a search finds as a file, at most 100,000 rows."),
        query=(*CHOOSING, ApiParameter("format", phrase("format of the file"), kind=ExportFormat)),
        media=("application/jsonl", "text/csv"),
        run=export_messages,
    ),
    _declare_message_operation(
        "getMessage",
        "/messages/{message}",
        about=phrase("Read one message: why it was refused, its deliveries, attempts, links and facts."),
        answers=ApiMessageDetails,
        run=read_message,
    ),
    _declare_message_operation(
        "listMessageEvents",
        "/messages/{message}/events",
        about=phrase("Trace one message: its events in order, at most 500."),
        answers=ApiMessageEvents,
        run=list_message_events,
    ),
    _declare_message_operation(
        "getReceipt",
        "/messages/{message}/receipt",
        about=phrase("Get the receipt that the hub signed."),
        media=(OCTETS,),
        run=read_receipt,
    ),
    _declare_message_operation(
        "getContent",
        "/messages/{message}/content",
        about=phrase("Open the exact bytes of a message. The opening is recorded."),
        media=(OCTETS,),
        scope=Permission.SEE_CONTENT,
        run=open_content,
    ),
    _declare_message_operation(
        "getPacket",
        "/messages/{message}/packet",
        about=phrase("Open the packet line by line, each finding at its line. The opening is recorded."),
        answers=ApiPacket,
        scope=Permission.SEE_CONTENT,
        run=open_packet,
    ),
    _declare_message_operation(
        "getAttachment",
        "/messages/{message}/attachments/{number}",
        about=phrase("Open an attachment of the packet. The opening is recorded."),
        media=(OCTETS,),
        scope=Permission.SEE_CONTENT,
        run=open_attachment,
    ),
    _declare_message_operation(
        "compareMessages",
        "/messages/{message}/compare/{other}",
        about=phrase("Compare the packets of two messages. The opening is recorded."),
        answers=ApiComparison,
        scope=Permission.SEE_CONTENT,
        run=compare_messages,
    ),
    _declare_message_operation(
        "getAttempt",
        "/messages/{message}/attempts/{attempt}",
        about=phrase("Open the request and the reply of an attempt. The opening is recorded."),
        answers=ApiExchange,
        scope=Permission.SEE_CONTENT,
        run=open_attempt,
    ),
    _declare_message_operation(
        "compareAttempts",
        "/messages/{message}/attempts/{attempt}/compare/{other}",
        about=phrase("Compare the requests and the replies of two attempts. The opening is recorded."),
        means={"other": phrase("id of the other attempt")},
        answers=ApiComparison,
        scope=Permission.SEE_CONTENT,
        run=compare_attempts,
    ),
    _declare_message_operation(
        "listRefusedCalls",
        "/calls",
        about=phrase("List the refused calls, which brought no message, newest first, 50 on a page."),
        query=(*(each for each in CHOOSING if each.name in {"since", "until", "partner", "refusal"}), CURSOR),
        answers=ApiRefusedCalls,
        scope=Permission.SEE_REFUSED,
        whole=True,
        run=list_calls,
    ),
    _declare_message_operation(
        "getRefusedCall",
        "/calls/{tracking}",
        about=phrase("Read one refused call by its Tracking."),
        answers=ApiCallDetails,
        scope=Permission.SEE_REFUSED,
        whole=True,
        run=read_call,
    ),
)
