"""Makes the API's operations of those of `hub.operations`: address, scopes, body, answer, problems. Knows none of them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from hub.api.operation import ApiCall, ApiOperation, ApiParameter, answer_value, order_once
from hub.api.problems import PROBLEMS, ApiProblem, NamedFlaw
from hub.domain.fair_queue import CONSOLE
from hub.operations.operation import (
    AskedField,
    HubOperation,
    OperationCall,
    OperationRefused,
    RefusalKind,
    Topic,
    list_fields,
)
from hub.operations.parts import OperationParts
from hub.runtime.thread_pool import THRESHOLD
from hub.web.answers import ConsoleResponse


def project_topic(topic: Topic) -> tuple[ApiOperation, ...]:
    """Return the operations of *topic* as the API has them."""
    return tuple(_project_operation(topic, each) for each in topic.operations)


def _project_operation(topic: Topic, operation: HubOperation) -> ApiOperation:
    subject, fields = operation.subject, () if operation.event else _list_fields(operation)
    return ApiOperation(
        name=operation.name,
        method="POST" if operation.event else "GET",
        path=operation.address,
        tag=topic.name,
        about=operation.about,
        scopes=operation.rights,
        whole=operation.whole,
        unlimited=operation.unlimited,
        means={subject.name: subject.about} if subject else {},
        query=tuple(ApiParameter(each.name, each.about, kind=each.kind) for each in fields if each.about),
        takes=operation.takes if operation.event else None,
        answers=operation.answers,
        status=201 if operation.makes else 200,
        run=partial(_run_projected, topic=topic, operation=operation),
    )


def _list_fields(operation: HubOperation) -> Sequence[AskedField]:
    return list_fields(operation.takes) if operation.takes else ()


def _read_query(operation: HubOperation, call: ApiCall) -> Any:
    """Return what the address of an operation that reads asks for."""
    said = {each.name: each.kind(call.text(each.name)) for each in _list_fields(operation) if call.text(each.name)}
    return operation.takes(**said) if operation.takes else None


async def _run_projected(
    parts: OperationParts, call: ApiCall, *, topic: Topic, operation: HubOperation
) -> ConsoleResponse:
    asked = OperationCall(
        subject=call.text(operation.subject.name) if operation.subject else "",
        asked=call.body if operation.event else _read_query(operation, call),
        by=call.token.by,
        maker=call.user,
        now=call.now,
        config=parts.live.config,
    )
    try:
        heavy = operation.heavy
        step = await parts.work(CONSOLE, THRESHOLD, operation.prepare, asked) if heavy else operation.prepare(asked)
        if operation.event:
            return await order_once(
                parts, call, lambda tx: operation.write(step(tx)), status=201 if operation.makes else 200
            )
        return answer_value(operation.write(await parts.turns.look(step)), call)
    except OperationRefused as refused:
        raise make_problem(topic, operation, refused) from None


def make_problem(topic: Topic, operation: HubOperation, refused: OperationRefused) -> ApiProblem:
    """Return the problem that a refused order is. A name in the address that cannot be is that of nothing."""
    refusal = topic.refusals[refused.code]
    if refusal.kind is RefusalKind.ABSENT or (operation.subject and operation.subject.name == refusal.field):
        return ApiProblem("not-found")
    if refused.code in PROBLEMS:
        return ApiProblem(refused.code, refused.why)
    return ApiProblem("order-unfit", flaws=[NamedFlaw(refusal.field, refused.why)])
