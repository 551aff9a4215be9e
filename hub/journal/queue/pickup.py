"""Deliveries that partners fetch themselves: held until the partner has fetched and confirmed them. Sends nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import sqlalchemy as sa

from hub.domain.errors import Rejected
from hub.domain.lifecycle import DeliveryEvent, move_delivery
from hub.domain.model import DeliveryState, Event, Problem
from hub.journal import events
from hub.journal.queue import outstanding_effects
from hub.journal.queue.deliveries import make_doubled_event
from hub.journal.queue.delivery_ends import record_delivery_ends
from hub.journal.replay_guard import refuse_replayed_call
from hub.store.tables import FETCHABLE, UNALARMED, message
from hub.store.tables import delivery as table
from hub.store.transactions import Transaction

_earlier = table.alias("earlier")
#: Condition: an earlier delivery of the lane to the same recipient has its hour after `now`. It has a set hour, or the
#: clock was set back a moment ago.
_FOLLOWS_HELD = sa.exists().where(
    _earlier.c.lane == table.c.lane,
    _earlier.c.recipient == table.c.recipient,
    _earlier.c.state == sa.literal(DeliveryState.HELD),
    _earlier.c.id < table.c.id,
    _earlier.c.due > sa.bindparam("now", type_=table.c.due.type),
)


def list_pending_messages(
    tx: Transaction, partner: str, unit: str, limit: int, now: datetime, *, also: Sequence[str] = ()
) -> list[str]:
    """Return the messages that *partner* has yet to fetch and confirm for *unit*, oldest first, at most *limit*.

    *also*: the units whose work *unit* continues, and the one that continues its own.

    A message with a set hour appears from that hour on, and what follows it in its lane no earlier. Oldest delivery first
    is also the order within each lane. What a change stops does not appear from its receipt on, even if it is not stopped
    yet.
    """
    theirs = sa.or_(table.c.recipient.in_((unit, *also)), table.c.via == unit)
    which = sa.and_(table.c.partner == partner, FETCHABLE, table.c.due <= now, theirs, ~_FOLLOWS_HELD)
    if stops := outstanding_effects.read_outstanding_effects(tx):
        rows = tx.execute(
            sa.select(table.c.message, table.c.recipient, table.c.state).where(which).order_by(table.c.id), {"now": now}
        )
        left = (row.message for row in rows if row.state != DeliveryState.HELD or row not in stops)
        return list(islice(dict.fromkeys(left), limit))
    query = sa.select(table.c.message).where(which).group_by(table.c.message)
    return list(tx.scalars(query.order_by(sa.func.min(table.c.id)).limit(limit), {"now": now}))


def fetch_message(
    tx: Transaction, partner: str, message_id: str, now: datetime, *, fresh: bool = True
) -> dict[str, Any]:
    """Return the message row for *partner* and mark its held deliveries of that message as `fetched`.

    Raises `Rejected` (`document-not-found`) when *partner* has no live delivery of the message, its hour has not come,
    or it was delivered and its bytes have gone into an archive. Raises `refuse_replayed_call` when the call is not *fresh* and one of the deliveries is still held.
    """
    rows = [row for row in _of_partner(tx, partner, message_id) if row.state != DeliveryState.HELD or row.due <= now]
    if not rows:
        raise Rejected(Problem("document-not-found", message_id))
    if not fresh and any(row.state == DeliveryState.HELD for row in rows):
        raise refuse_replayed_call(message_id)
    if held := [row for row in rows if row.state == DeliveryState.HELD]:
        state = move_delivery(DeliveryState.HELD, DeliveryEvent.FETCH)
        _move_rows(tx, held, {"state": state, "changed_at": now})
        bodies = ({"recipient": row.recipient, "partner": partner} for row in held)
        told = (
            Event("delivery-fetched", now, message_id, row.id, body) for row, body in zip(held, bodies, strict=True)
        )
        events.append_events(tx, *told)
    found = tx.execute(sa.select(message).where(message.c.id == message_id)).mappings().one()
    if found["archive"] is not None:
        raise Rejected(Problem("document-not-found", message_id))
    return {str(name): value for name, value in found.items()}


def confirm_receipt(
    tx: Transaction,
    partner: str,
    message_id: str,
    unit: str | None,
    now: datetime,
    *,
    also: Sequence[str] = (),
    fresh: bool = True,
) -> list[timedelta]:
    """Mark the partner's fetched deliveries of a message as `delivered`: those of *unit*, or all. Repeatable.

    Returns how long each had waited, since it was made or replayed.

    *also*: see `list_pending_messages`.

    Raises `Rejected`: `document-not-found`; `not-fetched` when one of them is still `held`. Raises
    `refuse_replayed_call` when the call is not *fresh* and one of them is fetched but not confirmed.
    """
    rows = [
        row
        for row in _of_partner(tx, partner, message_id)
        if unit in (None, row.recipient, row.via) or row.recipient in also
    ]
    if not rows:
        raise Rejected(Problem("document-not-found", message_id))
    held = [row.recipient for row in rows if row.state not in (DeliveryState.FETCHED, DeliveryState.DELIVERED)]
    if held:
        raise Rejected(Problem("not-fetched", f"{message_id}: {', '.join(held)}"))
    if not fresh and any(row.state == DeliveryState.FETCHED for row in rows):
        raise refuse_replayed_call(message_id)
    fetched = [row for row in rows if row.state == DeliveryState.FETCHED]
    if fetched:
        _move_rows(
            tx, fetched, {"state": move_delivery(DeliveryState.FETCHED, DeliveryEvent.CONFIRM), "changed_at": now}
        )
        # without an answer to an earlier attempt, with whatever partner, this is perhaps the second time
        if doubled := [row for row in fetched if row.unsure is not None]:
            _move_rows(tx, doubled, {"unsure": None, "twice": True})
            events.append_events(tx, *(make_doubled_event(row, now) for row in doubled))
        record_delivery_ends(tx, message_id, fetched, partner, DeliveryState.DELIVERED, now, None)
    return [now - row.since for row in fetched]


def _move_rows(tx: Transaction, rows: Sequence[Any], values: Mapping[str, object]) -> None:
    """Write *values* to all *rows*, which are locked: one statement, because a message may have 2,000 recipients."""
    tx.execute(sa.update(table).where(table.c.id.in_([row.id for row in rows])).values(values))


def _of_partner(tx: Transaction, partner: str, message_id: str) -> Sequence[sa.Row[tuple[object, ...]]]:
    rows = tx.execute(
        sa.select(table)
        .where(table.c.message == message_id, table.c.partner == partner, table.c.state != DeliveryState.DEAD)
        .order_by(table.c.id)
        .with_for_update()
    ).all()
    if stops := outstanding_effects.read_outstanding_effects(tx):
        rows = [row for row in rows if row.state != DeliveryState.HELD or row not in stops]
    if not rows:
        raise Rejected(Problem("document-not-found", message_id))
    return rows


def record_unfetched_alarms(tx: Transaction, now: datetime, after: timedelta, limit: int = 500) -> int:
    """Record an alarm event for each delivery that was not fetched and confirmed within *after*, once per delivery.

    Handles up to *limit* deliveries and returns their number. Their state does not change.
    """
    late = sa.and_(UNALARMED, table.c.since <= now - after)
    rows = tx.execute(sa.select(table).where(late).order_by(table.c.since).limit(limit).with_for_update()).all()
    for row in rows:
        tx.execute(sa.update(table).where(table.c.id == row.id).values(alarmed_at=now))
        body = {"recipient": row.recipient, "partner": row.partner, "state": row.state}
        events.append_events(tx, Event("delivery-overdue-held", now, row.message, row.id, body))
    return len(rows)
