"""The operations on replay plans: make, list, read, start, pause, resume, cancel, approve.

An order is read as the page reads its form (`hub.operations.replays.replay_orders`). The plan is the job: making one answers 202
with its address, and the plan tells how far it is.
"""

from typing import Any

import attrs

from hub.api.messages import CURSOR, ApiSearchConditions
from hub.api.operation import ROOT, ApiCall, ApiOperation, ApiParameter, answer_value, order_once
from hub.api.problems import ApiProblem, NamedFlaw
from hub.api.values import ApiPlanItem, ApiPlanItems
from hub.domain.model import DeliveryState
from hub.journal.replays import replay_plans
from hub.language.phrases import phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.page_paths import build_page_path
from hub.operations.parts import OperationParts
from hub.operations.replays import replay_orders
from hub.operations.replays.plan_operations import Plan
from hub.operations.replays.replay_orders import ITEMS, ShownPlan
from hub.store.transactions import Transaction
from hub.web.answers import ConsoleResponse


@attrs.frozen(kw_only=True)
class ApiReplayOrder(ApiSearchConditions):
    """An order to replay deliveries: conditions as in the search of messages, and how to go about it."""

    asked = True
    reason: str
    to: str | None = None
    again: bool = False
    rate: str | None = None
    stop_after: int | None = None
    start: bool = False

    def fields(self) -> dict[str, str]:
        """Return the order as the form of the page has it."""
        said = {name: getattr(self, name) or "" for name in ("to", "reason", "rate")}
        numbers = {"stop_after": "" if self.stop_after is None else str(self.stop_after)}
        return self.conditions() | said | numbers | {"again": "1" if self.again else ""}


async def make_plan(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Record an order to replay deliveries. The hub chooses them from now on; the plan tells how far it is."""
    wanted: ApiReplayOrder = call.body
    order = await replay_orders.read_order(parts.journal, parts.live, call.user, wanted.fields(), call.now)

    def step(tx: Transaction) -> Plan:
        plan = replay_plans.make_plan(
            tx,
            order.choice,
            key=f"{call.token.prefix} {call.key}",
            reason=order.reason,
            by=call.token.by,
            now=call.now,
            goes=wanted.start,
            rate=order.rate,
            stop_after=order.stop_after,
        )
        return Plan.of(plan)

    return await order_once(parts, call, step, status=202, locate=locate_plan)


def locate_plan(plan: Plan) -> str:
    """Return the address of *plan*."""
    return build_page_path(*ROOT, "replays", plan.id)


async def read_plan(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with one plan and what has become of its deliveries."""
    seen = await _read_shown(parts, call, 0, 0)
    return answer_value(Plan.of(seen.plan, seen.results), call)


async def _read_shown(
    parts: OperationParts, call: ApiCall, after: int, limit: int, now: DeliveryState | None = None
) -> ShownPlan:
    words = (call.user, call.text("plan"), after, limit, now)
    try:
        return await parts.turns.look(replay_orders.read_shown_plan, *words)
    except KeyError:
        raise ApiProblem("not-found") from None


async def list_plan_items(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with some deliveries of a plan, each with its state before and now."""
    after = call.text("cursor") or "0"
    if not (after.isascii() and after.isdecimal() and len(after) <= 18):
        raise ApiProblem("parameter-wrong", flaws=[NamedFlaw("cursor", phrase("is no cursor of this list"))])
    now = DeliveryState(call.text("now")) if call.text("now") else None
    found = (await _read_shown(parts, call, int(after), ITEMS + 1, now)).items
    following = str(found[ITEMS - 1].number) if len(found) > ITEMS else None
    said = ApiPlanItems(items=list(map(ApiPlanItem.project, found[:ITEMS])), next=following)
    return answer_value(said, call)


def _plan_operation(
    name: str, path: str, *, scopes: tuple[Permission, ...] = (Permission.SEE_REPLAYS,), **said: Any
) -> ApiOperation:
    return ApiOperation(name=name, path=path, tag="replays", scopes=scopes, **said)


OPERATIONS = (
    _plan_operation(
        "makePlan",
        "/replays",
        method="POST",
        about=phrase(
            "Order to replay deliveries, again or for the first time. The plan is the job: read how far it is."
        ),
        scopes=(Permission.REPLAY,),
        takes=ApiReplayOrder,
        answers=Plan,
        status=202,
        keyed=True,
        run=make_plan,
    ),
    _plan_operation(
        "getPlan",
        "/replays/{plan}",
        about=phrase("Read one plan, and what has become of its deliveries."),
        answers=Plan,
        run=read_plan,
    ),
    _plan_operation(
        "listPlanItems",
        "/replays/{plan}/deliveries",
        about=phrase("List the deliveries of a plan with their state before and now, 100 on a page."),
        query=(CURSOR, ApiParameter("now", phrase("only those now in this state"), kind=DeliveryState)),
        answers=ApiPlanItems,
        run=list_plan_items,
    ),
)
