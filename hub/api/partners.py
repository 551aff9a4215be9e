"""The operations on partners and units: list, read, test, pause, resume. Changes are in `hub.api.partner_changes`."""

from functools import partial

import attrs

from hub.api.messages import CURSOR
from hub.api.operation import ApiCall, ApiOperation, ApiParameter, answer_value, order_once
from hub.api.problems import ApiProblem, NamedFlaw
from hub.api.values import ApiConnectionTest, ApiPartner, ApiPartnerList, ApiPauseResult, ApiUnitList
from hub.config import Partner
from hub.domain.fair_queue import CONSOLE
from hub.domain.local_time import find_local_day
from hub.domain.model import Receive, Unit
from hub.domain.sanitize import clean_line
from hub.journal.queue import partner_state
from hub.journal.queue.deliveries import resume_deliveries
from hub.journal.queue.partner_state import PartnerStanding
from hub.journal.replays.replay import TOGETHER
from hub.language.phrases import phrase
from hub.language.sorting import make_code_sort_key
from hub.operations.accounts.permissions import Permission
from hub.operations.parts import OperationParts
from hub.operations.reports import reading
from hub.store.transactions import Transaction
from hub.web.answers import ConsoleResponse

#: Characters of a reason.
REASON = 500


@attrs.frozen(kw_only=True)
class ApiReasonGiven:
    """Why something is done; it is recorded."""

    asked = True
    reason: str


def clean_reason(text: str) -> str:
    """Return a reason in one line. Raises `ApiProblem` if there is none."""
    reason = clean_line(text, REASON)
    if not reason:
        raise ApiProblem("order-unfit", flaws=[NamedFlaw("reason", phrase("Say why; the reason is recorded."))])
    return reason


def find_partner(parts: OperationParts, call: ApiCall) -> Partner:
    """Return the partner that the call names. Raises `ApiProblem` if there is none, or not for the token."""
    code = call.text("partner")
    partner = parts.live.config.partners.get(code)
    if partner is None or not call.user.sees_partner(code):
        raise ApiProblem("not-found")
    return partner


async def list_partners(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the partners of the token."""
    standings = await parts.turns.look(partner_state.read_partner_standings)
    config = parts.live.config
    said = [
        ApiPartner.of(config.partners[code], standings.get(code, PartnerStanding()), config.upstream)
        for code in sorted(config.partners, key=make_code_sort_key)
        if call.user.sees_partner(code)
    ]
    return answer_value(ApiPartnerList(items=said), call)


async def read_partner(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with one partner."""
    partner = find_partner(parts, call)
    standing = await parts.turns.look(partner_state.read_partner_standing, partner.code)
    return answer_value(ApiPartner.of(partner, standing, parts.live.config.upstream), call)


async def run_connection_test(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Test the connection with a partner, in both directions."""
    steps = await parts.test_partner(find_partner(parts, call).code, call.now)
    return answer_value(ApiConnectionTest(works=not any(each.failed for each in steps), steps=steps), call)


async def pause_partner(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Pause the sending to a partner."""
    return await _change_pause(parts, call, paused=True)


async def resume_partner(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Resume the sending to a partner, and its suspended deliveries."""
    return await _change_pause(parts, call, paused=False)


async def _change_pause(parts: OperationParts, call: ApiCall, *, paused: bool) -> ConsoleResponse:
    partner, reason = find_partner(parts, call), clean_reason(call.body.reason)
    if partner.receive is not Receive.PUSH:
        raise ApiProblem("not-pushed")
    deed = partner_state.pause_partner if paused else partner_state.resume_partner
    resume = partial(resume_deliveries, reason=reason, by=call.token.by, now=call.now)
    resumed = 0

    def step(tx: Transaction) -> ApiPauseResult:
        nonlocal resumed
        changed = deed(tx, partner.code, reason=reason, by=call.token.by, now=call.now)
        if not paused:
            resumed = len(resume(tx, partner.code, TOGETHER))
            changed = changed or bool(resumed)
        return ApiPauseResult(code=partner.code, paused=paused, changed=changed)

    answer = await order_once(parts, call, step)
    while resumed == TOGETHER:  # the others in steps of their own, so that the exchange never waits long
        resumed = len(await parts.journal.admit(CONSOLE, resume, partner.code, TOGETHER))
    return answer


async def list_units(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the units of the token that match a text."""
    on, cursor = find_local_day(call.now), call.text("cursor") or None
    found = await parts.turns.look(reading.find_units, call.user, call.text("q"), on, cursor)
    return answer_value(ApiUnitList(items=found.found, next=found.more, count=found.count), call)


async def read_unit(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with one unit."""
    code = call.text("unit")
    found = await parts.turns.look(reading.find_units, call.user, code, find_local_day(call.now))
    unit: Unit | None = next((each for each in found.found if each.code == code), None)
    if unit is None:
        raise ApiProblem("not-found")
    return answer_value(unit, call)


OPERATIONS = (
    ApiOperation(
        name="listPartners",
        path="/partners",
        tag="partners",
        about=phrase("List the partners, with their certificates, pause and breaker."),
        scopes=(Permission.SEE_PARTNERS,),
        whole=True,
        answers=ApiPartnerList,
        run=list_partners,
    ),
    ApiOperation(
        name="getPartner",
        path="/partners/{partner}",
        tag="partners",
        about=phrase("Read one partner."),
        scopes=(Permission.SEE_PARTNERS,),
        whole=True,
        answers=ApiPartner,
        run=read_partner,
    ),
    ApiOperation(
        name="testPartner",
        method="POST",
        path="/partners/{partner}/test",
        tag="partners",
        about=phrase("Test the connection with a partner in both directions, step by step. It takes some seconds."),
        scopes=(Permission.SEE_PARTNERS,),
        whole=True,
        answers=ApiConnectionTest,
        run=run_connection_test,
    ),
    ApiOperation(
        name="pausePartner",
        method="POST",
        path="/partners/{partner}/pause",
        tag="partners",
        about=phrase("Pause the sending to a partner, on all nodes. Its messages wait."),
        scopes=(Permission.MANAGE_PARTNERS,),
        whole=True,
        takes=ApiReasonGiven,
        answers=ApiPauseResult,
        run=pause_partner,
    ),
    ApiOperation(
        name="resumePartner",
        method="POST",
        path="/partners/{partner}/resume",
        tag="partners",
        about=phrase(
            "Resume the sending to a partner. If its breaker is open, it is tried at once. Suspended deliveries wait for "
            "their turn again."
        ),
        scopes=(Permission.MANAGE_PARTNERS,),
        whole=True,
        takes=ApiReasonGiven,
        answers=ApiPauseResult,
        run=resume_partner,
    ),
)
#: Those on units.
UNIT_OPERATIONS = (
    ApiOperation(
        name="listUnits",
        path="/units",
        tag="units",
        about=phrase("Find units by code or name, 50 on a page."),
        scopes=(Permission.SEE_REPORTS,),
        query=(ApiParameter("q", phrase("code, or part of a name, with or without diacritics")), CURSOR),
        answers=ApiUnitList,
        run=list_units,
    ),
    ApiOperation(
        name="getUnit",
        path="/units/{unit}",
        tag="units",
        about=phrase("Read one unit."),
        scopes=(Permission.SEE_REPORTS,),
        answers=Unit,
        run=read_unit,
    ),
)
