"""The operation that corrects a message: its corrected packet goes as a new message.

An order is judged as the page judges it (`hub.delivery.correction_runner`). The plan is the job: it answers 202 with its
address, and the service of a node carries it out.
"""

import hashlib
from typing import Annotated

import attrs

from hub.api.operation import ApiCall, ApiOperation, order_once
from hub.api.problems import ApiProblem, NamedFlaw
from hub.api.replays import locate_plan
from hub.delivery.correction_runner import CorrectionRunner
from hub.domain.errors import Rejected
from hub.domain.fair_queue import CONSOLE
from hub.edxml import editable, readable
from hub.journal import blobs
from hub.journal.replays import corrections
from hub.journal.replays.corrections import CorrectionOrder
from hub.journal.searching import message_reading
from hub.language.phrases import phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.operation import LONG
from hub.operations.parts import OperationParts
from hub.operations.replays.order_fields import read_reason, sees_original
from hub.operations.replays.plan_operations import Plan
from hub.store.transactions import Transaction
from hub.web.answers import ConsoleResponse


@attrs.frozen(kw_only=True)
class ApiCorrection:
    """A corrected packet."""

    asked = True
    reason: str
    packet: Annotated[str, phrase("its XML; [[attachment 1]] stands for the content of the first attachment"), LONG]
    start: bool = False


async def correct_message(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Record an order to send a corrected packet in place of a message."""
    wanted: ApiCorrection = call.body
    message = call.text("message")
    if not await parts.turns.look(sees_original, call.user, message):
        raise ApiProblem("not-found")
    reason = read_reason(wanted.reason)
    octets = await parts.journal.read(_read_packet, message)
    given = await parts.turns.alone(editable.read_edited_text, wanted.packet, octets)
    order = CorrectionOrder(
        original=message,
        given=hashlib.sha256(given).hexdigest(),
        key=f"{call.token.prefix} {call.key}",
        reason=reason,
        by=call.token.by,
    )
    runner = CorrectionRunner(CONSOLE, parts.journal, parts.live, parts.turns.work, parts.now)
    routes = parts.live.province.routes
    try:
        entry = await runner.prepare(order, given)

        def step(tx: Transaction) -> Plan:
            return Plan.of(corrections.plan_correction(tx, order, entry, routes, call.now, goes=wanted.start))

        return await order_once(parts, call, step, status=202, locate=locate_plan)
    except Rejected as rejected:
        raise ApiProblem(
            "order-unfit", flaws=[NamedFlaw(each.code, each.detail) for each in rejected.problems]
        ) from None


def _read_packet(tx: Transaction, message: str) -> bytes:
    """Return the octets of a message; none of one that is too large for its attachments to be put back, or not here."""
    found = message_reading.read_message(tx, message)
    here = found.size <= readable.LARGEST and blobs.read_blob_size(tx, found.sha256) == found.size
    return blobs.read_blob(tx, found.sha256) if here else b""


OPERATIONS = (
    ApiOperation(
        name="correctMessage",
        method="POST",
        path="/messages/{message}/corrections",
        tag="replays",
        about=phrase("Send a corrected packet in place of a message that was refused or has dead deliveries."),
        scopes=(Permission.CORRECT,),
        takes=ApiCorrection,
        answers=Plan,
        status=202,
        keyed=True,
        run=correct_message,
    ),
)
