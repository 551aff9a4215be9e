"""Finds what a partner has done for the first time: called, signed, sent, fetched, was refused and corrected itself.

Reads the journal by its indexes, each time at most `LOOKED_AT` rows from either end, so it costs the same in a journal
of any size. A step that a partner took for the first time between thousands of others may therefore be told with a later
time, or not at all. Questions (Get…, List…) leave no
trace in the journal. Does not know how the steps are shown.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs
import sqlalchemy as sa

from hub.config import Config, Partner
from hub.domain.model import DOCUMENTS, DeliveryState, MessageState, PacketKind, Receive
from hub.intake import grants
from hub.journal.event_index import EventFilter, ListedEvent, find_events, find_first_events
from hub.store.tables import SEARCHED, TO_PARTNER, delivery, message
from hub.store.transactions import Transaction

#: Rows that are read from either end of a range.
LOOKED_AT = 200
#: Refusals of a call that are decided before its certificate is known to be good, by the beginning of the code.
_BEFORE_CERTIFICATE = ("certificate-", "revocation-")
#: Refusals of a call whose signature was verified.
_AFTER_SIGNATURE = frozenset(
    {"action-mismatch", "call-not-granted", "document-not-found", "not-fetched", "not-yours", "replayed"}
)


class FirstStep(StrEnum):
    """One step of a new partner, in the order in which they usually come."""

    CALLED = "called"  #: a call came that belongs to the partner by its certificate
    CERTIFICATE = "certificate"  #: its certificate was verified
    SIGNED = "signed"  #: its signature was verified
    DOCUMENT = "document"  #: a document was accepted
    STATUS = "status"  #: a status was accepted
    FETCHED = "fetched"  #: it fetched a message
    CONFIRMED = "confirmed"  #: it confirmed a message that it had fetched
    PUSHED = "pushed"  #: it accepted a message that the hub pushed
    REFUSED = "refused"  #: a message of it was refused
    CORRECTED = "corrected"  #: after a refusal a message was accepted


@attrs.frozen(kw_only=True)
class StepState:
    """Whether a step was taken."""

    step: FirstStep
    at: datetime | None = None  #: when, as far as the rows that were read tell; None: not yet
    message: str | None = None  #: the hub's id of the message that shows it
    code: str = ""  #: of a refusal


@attrs.frozen(kw_only=True)
class _Sign:
    """Something that shows that a step was taken."""

    at: datetime
    message: str | None = None
    code: str = ""


def list_expected_steps(partner: Partner, config: Config) -> list[FirstStep]:
    """Return the steps that *partner* will take, by what its file says."""
    sends = grants.is_granted(partner, config, DOCUMENTS, grants.SEND)
    wanted = {
        FirstStep.DOCUMENT: sends,
        FirstStep.STATUS: sends,
        FirstStep.FETCHED: partner.receive is Receive.FETCH,
        FirstStep.CONFIRMED: partner.receive is Receive.FETCH,
        FirstStep.PUSHED: partner.receive is Receive.PUSH,
    }
    return [step for step in FirstStep if wanted.get(step, True)]


def read_first_steps(tx: Transaction, partner: Partner, config: Config) -> list[StepState]:
    """Return the state of each step of *partner*."""
    accepted = _read_messages(tx, partner.code, MessageState.ACCEPTED)
    refused = _read_messages(tx, partner.code, MessageState.REFUSED)
    given = _read_deliveries(tx, partner.code)
    calls = _read_refused_calls(tx, partner.code)
    own = [_Sign(at=row.received_at, message=row.id) for row in (*accepted, *refused)]
    fetched = [each for each in given if each[0] in {DeliveryState.FETCHED, DeliveryState.DELIVERED}]
    asked = [sign for _, sign in fetched] if partner.receive is Receive.FETCH else []
    told = [
        _Sign(at=datetime.fromisoformat(str(each.fields["at"])), code=str(each.fields.get("code", "")))
        for each in calls
    ]
    signed = [*own, *asked, *(each for each in told if each.code in _AFTER_SIGNATURE)]
    turned_down = [_Sign(at=row.received_at, message=row.id, code=_read_code(row.refusal)) for row in refused]
    documents = [row for row in accepted if row.service == DOCUMENTS]
    first_refusal = min(turned_down, key=lambda each: each.at, default=None)
    signs: dict[FirstStep, Sequence[_Sign]] = {
        FirstStep.CALLED: [*own, *asked, *told],
        FirstStep.CERTIFICATE: [*signed, *(each for each in told if not each.code.startswith(_BEFORE_CERTIFICATE))],
        FirstStep.SIGNED: signed,
        FirstStep.DOCUMENT: [
            _Sign(at=row.received_at, message=row.id) for row in documents if row.kind != PacketKind.STATUS
        ],
        FirstStep.STATUS: [
            _Sign(at=row.received_at, message=row.id) for row in documents if row.kind == PacketKind.STATUS
        ],
        FirstStep.FETCHED: asked,
        FirstStep.CONFIRMED: [sign for state, sign in fetched if state == DeliveryState.DELIVERED],
        FirstStep.PUSHED: [sign for state, sign in fetched if state == DeliveryState.DELIVERED],
        FirstStep.REFUSED: turned_down or told,
        FirstStep.CORRECTED: [] if first_refusal is None else _read_next_accepted(tx, partner.code, first_refusal),
    }
    return [_judge_step(step, signs[step]) for step in list_expected_steps(partner, config)]


def _judge_step(step: FirstStep, signs: Sequence[_Sign]) -> StepState:
    first = min(signs, key=lambda each: each.at, default=None)
    if first is None:
        return StepState(step=step)
    return StepState(step=step, at=first.at, message=first.message, code=first.code)


def _read_messages(tx: Transaction, partner: str, state: MessageState) -> Sequence[sa.Row[Any]]:
    """Return the first and the last messages of *partner* in *state*."""
    columns = (message.c.id, message.c.received_at, message.c.service, message.c.kind, message.c.refusal)
    query = sa.select(*columns).where(message.c.partner == partner, SEARCHED, message.c.state == state.value)
    return list(_read_ends(tx, query, message.c.id))


def _read_next_accepted(tx: Transaction, partner: str, after: _Sign) -> list[_Sign]:
    """Return the first message of *partner* that was accepted behind the message of *after*."""
    query = (
        sa.select(message.c.id, message.c.received_at)
        .where(message.c.partner == partner, SEARCHED, message.c.state == MessageState.ACCEPTED.value)
        .where(message.c.id > after.message)
        .order_by(message.c.id)
        .limit(1)
    )
    return [_Sign(at=row.received_at, message=row.id) for row in tx.execute(query)]


def _read_deliveries(tx: Transaction, partner: str) -> list[tuple[str, _Sign]]:
    """Return the state of the first and of the last deliveries to *partner*."""
    columns = (delivery.c.message, delivery.c.state, delivery.c.changed_at)
    query = sa.select(*columns).where(delivery.c.partner == partner, TO_PARTNER)
    rows = _read_ends(tx, query, delivery.c.message)
    return [(row.state, _Sign(at=row.changed_at, message=row.message)) for row in rows]


def _read_ends(tx: Transaction, query: sa.Select[Any], column: sa.Column[Any]) -> Iterator[sa.Row[Any]]:
    first = tx.execute(query.order_by(column).limit(LOOKED_AT)).all()
    yield from first
    if len(first) == LOOKED_AT:
        yield from tx.execute(query.order_by(column.desc()).limit(LOOKED_AT))


def _read_refused_calls(tx: Transaction, partner: str) -> list[ListedEvent]:
    """Return the refused calls among the first and the last events about *partner*."""
    first = find_first_events(tx, partner, LOOKED_AT)
    found = (
        [*first, *find_events(tx, EventFilter(partner=partner), LOOKED_AT).found] if len(first) == LOOKED_AT else first
    )
    return [each for each in found if each.name == "call-refused"]


def _read_code(refusal: str | None) -> str:
    return (refusal or "").partition(":")[0]
