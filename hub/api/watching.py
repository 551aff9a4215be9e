"""The operations that watch the exchange: overview, readiness, events; and the token of the request.

Reads what the pages read (`hub.console.exchange.events_page`, `hub.monitoring.overview`).
"""

from functools import partial

from hub.api.messages import CURSOR
from hub.api.operation import ApiCall, ApiOperation, ApiParameter, answer_value, order_once
from hub.api.problems import ApiProblem, NamedFlaw, refusing_parameter
from hub.api.values import (
    ApiAcknowledged,
    ApiAcknowledgement,
    ApiAlert,
    ApiAlertList,
    ApiCheck,
    ApiEventList,
    ApiFailureList,
    ApiLate,
    ApiReadiness,
    ApiStatus,
    ApiTokenInfo,
)
from hub.keeping.hub_alerts import HubAlertKey
from hub.language.phrases import phrase
from hub.monitoring import overview
from hub.monitoring.failures import FailureKind
from hub.operations.accounts.permissions import Permission
from hub.operations.parts import OperationParts
from hub.operations.watching import (
    limited_overview,
    visible_alerts,
    visible_events,
    visible_failures,
    visible_late_work,
)
from hub.report.counting.open_work import WorkState
from hub.store.transactions import Transaction
from hub.web.answers import ConsoleResponse


async def read_status(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the overview of the exchange."""
    config = parts.live.config
    found = await parts.turns.look(overview.measure_overview, config.partners, call.now)
    return answer_value(ApiStatus.of(config.name, limited_overview.limit_overview(found, call.user)), call)


async def read_readiness(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the checks of `/readyz`, with details."""
    checks = await parts.checks()
    said = [ApiCheck(name=name, code=code, detail=detail) for name, (code, detail) in checks.items()]
    return answer_value(ApiReadiness(items=said), call)


async def list_events(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with one page of the events that no message leads to."""
    asked = {name: call.text(name) for name in visible_events.FIELDS}
    if call.text("cursor"):
        asked["before"] = call.text("cursor")
    with refusing_parameter():
        search = visible_events.read_event_search(asked)
    found = await parts.turns.look(visible_events.read_events_page, search, parts.live.config.partners, call.user)
    if found.wrong:
        raise ApiProblem("search-unfit", flaws=[NamedFlaw("", each) for each in found.wrong])
    page = found.page
    more = None if page.more is None else page.more.text()
    return answer_value(ApiEventList.of(page.found, more, page.reached), call)


async def list_failures(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the failures by cause."""
    search = visible_failures.read_failure_search({name: call.text(name) for name in visible_failures.FIELDS}, call.now)
    found = await parts.turns.look(visible_failures.read_failures_page, call.user, search, parts.live.config.partners)
    if found.wrong:
        raise ApiProblem("search-unfit", flaws=[NamedFlaw("", each) for each in found.wrong])
    said = ApiFailureList(items=found.list.groups, others=found.list.others, unread=found.list.unread)
    return answer_value(said, call)


async def list_open_work(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with who is late today."""
    asked = {name: call.text(name) for name in visible_late_work.FIELDS} | {"after": call.text("cursor")}
    with refusing_parameter():
        search = visible_late_work.read_late_search(asked)
    if search.wrong:
        raise ApiProblem("search-unfit", flaws=[NamedFlaw("", each) for each in search.wrong])
    workdays = (await parts.turns.read_book()).workdays
    view = await parts.turns.look(visible_late_work.read_late_page, call.user, search.asked, workdays, call.now)
    if view is None:
        flaw = NamedFlaw("unit", phrase("there is none that the token sees"))
        raise ApiProblem("search-unfit", flaws=[flaw])
    following = visible_late_work.write_place(view.items[-1].place) if view.more else None
    return answer_value(ApiLate.of(view, following), call)


async def read_token(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with what the token of the request may see and do."""
    return answer_value(ApiTokenInfo.project(call.token), call)


async def list_raised_alerts(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the alerts to operators."""
    found = await parts.turns.look(visible_alerts.read_visible_alerts, call.user)
    return answer_value(ApiAlertList.project(found), call)


async def acknowledge_alerts(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Acknowledge alerts."""
    keys = [HubAlertKey(each.condition, each.about, each.node) for each in call.body.alerts]
    acknowledge = partial(
        visible_alerts.acknowledge_visible_alerts,
        by=call.token.by,
        note=visible_alerts.clean_note(call.body.note),
        now=call.now,
    )

    def step(tx: Transaction) -> ApiAcknowledged:
        done = map(visible_alerts.show_alert, acknowledge(tx, call.user, keys))
        return ApiAcknowledged(items=list(map(ApiAlert.project, done)))

    try:
        return await order_once(parts, call, step)
    except KeyError:
        raise ApiProblem("not-found") from None


OPERATIONS = (
    ApiOperation(
        name="getToken",
        path="/token",
        tag="token",
        about=phrase("Read what the token of the request may see and do."),
        scopes=(),
        answers=ApiTokenInfo,
        run=read_token,
    ),
    ApiOperation(
        name="getStatus",
        path="/status",
        tag="status",
        about=phrase("Read the overview: each partner's deliveries, refusals, breaker, pause, link and certificate."),
        scopes=(Permission.SEE_OVERVIEW,),
        whole=True,
        answers=ApiStatus,
        run=read_status,
    ),
    ApiOperation(
        name="getReadiness",
        path="/readiness",
        tag="status",
        about=phrase("Read the checks of the readiness, with details."),
        scopes=(Permission.SEE_READINESS,),
        answers=ApiReadiness,
        run=read_readiness,
    ),
    ApiOperation(
        name="listAlerts",
        path="/alerts",
        tag="alerts",
        about=phrase("List the alerts to operators that are raised, and those that have ended lately."),
        scopes=(Permission.SEE_READINESS,),
        whole=True,
        answers=ApiAlertList,
        run=list_raised_alerts,
    ),
    ApiOperation(
        name="acknowledgeAlerts",
        method="POST",
        path="/alerts/acknowledge",
        tag="alerts",
        about=phrase("Acknowledge alerts that are raised. If one of them is not, nothing is acknowledged."),
        scopes=(Permission.ACKNOWLEDGE,),
        whole=True,
        takes=ApiAcknowledgement,
        answers=ApiAcknowledged,
        run=acknowledge_alerts,
    ),
    ApiOperation(
        name="listEvents",
        path="/events",
        tag="events",
        about=phrase("Find the events that no message leads to, newest first, 50 on a page."),
        scopes=(Permission.SEE_EVENTS,),
        whole=True,
        query=(
            ApiParameter("q", phrase("Tracking, or words that stand in the event")),
            ApiParameter("kind", phrase("name of the event, such as user-signed-in")),
            ApiParameter("partner", phrase("partner or link that it is about; -: about none")),
            ApiParameter("user", phrase("account or person")),
            ApiParameter(
                "since", phrase("from this time on: 2026-11-27, 27/11/2026 08:00, or ISO 8601 with an offset")
            ),
            ApiParameter("until", phrase("before this time")),
            ApiParameter("cause", phrase("cause of a failure, as the list of failures names it")),
            CURSOR,
        ),
        answers=ApiEventList,
        run=list_events,
    ),
    ApiOperation(
        name="listFailures",
        path="/failures",
        tag="failures",
        about=phrase("List dead deliveries, refused messages and refused calls by cause, at most 100 groups."),
        scopes=(Permission.SEE_REFUSED,),
        whole=True,
        query=(
            ApiParameter("partner", phrase("partner of the cause; -: the callers are no partners")),
            ApiParameter("state", phrase("what failed"), kind=FailureKind),
            ApiParameter("since", phrase("with a failure from this time on; without it, of 30 days")),
            ApiParameter("until", phrase("with a failure before this time")),
        ),
        answers=ApiFailureList,
        run=list_failures,
    ),
    ApiOperation(
        name="listOpenWork",
        path="/late",
        tag="late",
        about=phrase("Read who is late today: numbers by unit and field, and the things by due day, 100 on a page."),
        scopes=(Permission.SEE_REPORTS,),
        query=(
            ApiParameter("unit", phrase("this unit and those below it")),
            ApiParameter("service", phrase("documents, dossiers or work")),
            ApiParameter("state", phrase("of the things; the numbers are of every state"), kind=WorkState),
            ApiParameter("field", phrase("code of the field of procedures, or of the kind of work")),
            ApiParameter("officer", phrase("code of the officer who has it")),
            ApiParameter("days", phrase("due within so many working days is due soon; 3, at most 60")),
            CURSOR,
        ),
        answers=ApiLate,
        run=list_open_work,
    ),
)
