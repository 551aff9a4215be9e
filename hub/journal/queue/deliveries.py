"""Creates and ends deliveries, and changes them on a person's or a change's order. Does not claim or fetch them.

Each function is one step of one transaction. Each step checks the state that the delivery leaves, so a step that comes
late (an answer after a replay) moves nothing.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.domain.ids import later_than_id, new_id
from hub.domain.lifecycle import URGENCIES, move_delivery
from hub.domain.model import DOCUMENTS, Delivery, DeliveryState, Event, PacketKind
from hub.edxml import changes
from hub.journal import duties, events, facts
from hub.journal.queue import lanes
from hub.services import list_services
from hub.store import transactions
from hub.store.tables import FREE, message, write_instant
from hub.store.tables import delivery as table
from hub.store.transactions import Transaction
from hub.units.routing import Route

Row = sa.Row[tuple[object, ...]]
Rows = list[Row]

#: Insert of a waiting delivery. It returns whether the delivery is the head of its lane.
_WAITS = sa.insert(table).values(free=lanes.IS_NEW).returning(table.c.free)
_LAST = sa.select(sa.func.max(table.c.id)).where(table.c.lane == sa.bindparam("in"))
_ONE = sa.update(table).where(table.c.id == sa.bindparam("which"))


def make_deliveries(
    tx: Transaction,
    message_id: str,
    routes: Iterable[Route],
    now: datetime,
    *,
    lane: str,
    urgency: int = 0,
    hour: datetime | None = None,
) -> list[str]:
    """Create one delivery of the message per route, in *lane*, due at *hour* or now. Return their ids."""
    routes, due = tuple(routes), max(now, hour or now)
    timed = {"due": write_instant(due)} if due > now else {}
    lanes.lock_lanes(tx, lane, [route.recipient for route in routes if route.state is DeliveryState.WAITING])
    # Ids follow the order of the recipients and sort after all ids in the lane, so the order does not depend on any
    # clock.
    last = tx.scalar(_LAST, {"in": lane})
    ids = sorted(new_id(later_than_id(last, now) if last else now) for _ in routes)
    behind, made = [], []
    for delivery_id, route in zip(ids, routes, strict=True):
        waits = route.state is DeliveryState.WAITING
        row = {
            "id": delivery_id,
            "message": message_id,
            "recipient": route.recipient,
            "via": route.via,
            "partner": route.partner,
            "state": route.state,
            "attempts": 0,
            "due": due,
            "since": due,
            "changed_at": now,
            "urgency": urgency,
            "lane": lane,
        }
        if not waits:
            tx.execute(sa.insert(table), row | {"free": False})
        elif not tx.execute(_WAITS, row | lanes.lane_parameters(lane, route.recipient)).scalar_one():
            behind.append((lane, route.recipient))
        body = {"recipient": route.recipient, "partner": route.partner} | timed
        made.append(Event(f"delivery-{route.state}", now, message_id, delivery_id, body))
    lanes.put_back(tx, behind)
    events.append_events(tx, *made)
    if due <= now and any(route.state is DeliveryState.WAITING for route in routes):
        transactions.notify_nodes(tx)
    return ids


def of_message(tx: Transaction, message_id: str, *, to_move: bool = False) -> list[Delivery]:
    """Return the deliveries of a message in the order of creation. With *to_move*, lock them."""
    query = sa.select(table).where(table.c.message == message_id).order_by(table.c.id)
    return [read_delivery_row(row) for row in tx.execute(query.with_for_update() if to_move else query).mappings()]


def read_delivery_row(row: sa.RowMapping) -> Delivery:
    """Return the `Delivery` of a row."""
    fields = {field.name: row[field.name] for field in attrs.fields(Delivery)}
    return Delivery(**fields | {"state": DeliveryState(row["state"])})


def record_delivery_end(
    tx: Transaction,
    message_id: str,
    delivery_id: str,
    recipient: str,
    partner: str,
    state: DeliveryState,
    now: datetime,
    reason: str | None,
) -> None:
    """Record that a delivery became `delivered`, or `dead` after a failure: its event and its fact."""
    body = {"recipient": recipient, "partner": partner} | ({"reason": reason} if reason else {})
    events.append_events(tx, Event(f"delivery-{state}", now, message_id, delivery_id, body))
    row = tx.execute(sa.select(message).where(message.c.id == message_id)).mappings().one()
    if row["service"] != DOCUMENTS:
        milestone = list_services()[row["service"]].synced
        if milestone and state is DeliveryState.DELIVERED:
            duties.write_facts_or_duty(
                tx, message_id, now, row["service"], facts.make_synced_facts(row, milestone, partner, now)
            )
        return
    if row["kind"] == PacketKind.STATUS:
        return
    fact = (
        facts.make_received_fact(row, recipient, now)
        if state is DeliveryState.DELIVERED
        else facts.make_failure_fact(row, recipient, now)
    )
    facts.record_facts(tx, [fact])


def revive_delivery(
    tx: Transaction, dead: Delivery, state: DeliveryState, *, reason: str, by: str, now: datetime
) -> bool:
    """Put a dead delivery back to *state* (`waiting` or `held`) for a person's replay.

    Returns False when it is not dead any more, or a change stopped it.
    """
    waits = state is DeliveryState.WAITING
    if waits:
        lanes.lock_lanes(tx, dead.lane, [dead.recipient])
    fresh = {"due": now, "since": now, "alarmed_at": None, "crashes": 0}
    moved = tx.execute(
        sa.update(table)
        .where(table.c.id == dead.id, table.c.state == DeliveryState.DEAD, table.c.stopped.is_(None))
        .values(
            state=move_delivery(DeliveryState.DEAD, "replay", state),
            changed_at=now,
            reason=None,
            holder=None,
            lease_until=None,
            **fresh,
        )
    ).rowcount
    if moved:
        transactions.notify_nodes(tx)
        if waits:
            lanes.put_back(tx, [(dead.lane, dead.recipient)])
        body = {"recipient": dead.recipient, "partner": dead.partner, "reason": reason, "by": by}
        events.append_events(tx, Event("delivery-replayed", now, dead.message, dead.id, body))
    return bool(moved)


def give_up(tx: Transaction, waiting: Delivery, *, reason: str, by: str, now: datetime) -> bool:
    """Make a waiting delivery dead on a person's order. It counts as failed. Return False when it no longer waits."""
    lanes.lock_lanes(tx, waiting.lane, [waiting.recipient])
    said = f"given up by {by}: {reason}"
    moved = tx.execute(
        sa.update(table)
        .where(table.c.id == waiting.id, table.c.state == DeliveryState.WAITING)
        .values(state=move_delivery(DeliveryState.WAITING, "give up"), free=False, reason=said, changed_at=now)
    ).rowcount
    if moved:
        record_delivery_end(
            tx, waiting.message, waiting.id, waiting.recipient, waiting.partner, DeliveryState.DEAD, now, said
        )
        lanes.free_next(tx, [(waiting.lane, waiting.recipient)])
    return bool(moved)


def expire_deliveries(
    tx: Transaction, partner: str, now: datetime, give_up: timedelta, reason: str, limit: int = 200
) -> int:
    """Make dead up to *limit* heads that have waited longer than *give_up* for an unavailable partner.

    No attempt was made for them. They share the *reason* of the probes, which got no answer. A delivery that was tried
    lately is left to its own next attempt.
    """
    over = [
        sa.select(table.c.id).where(
            table.c.partner == partner, FREE, table.c.urgency == urgency, table.c.due <= now - give_up
        )
        for urgency in URGENCIES
    ]
    ids = [found for one in over for found in tx.scalars(one.order_by(table.c.due).limit(limit))][:limit]
    rows = lock_deliveries(tx, sa.and_(table.c.id.in_(ids), FREE))
    for row in rows:
        said = f"given up: {reason}"
        dead = {
            "state": move_delivery(DeliveryState(row.state), "give up"),
            "free": False,
            "reason": said,
            "changed_at": now,
        }
        tx.execute(sa.update(table).where(table.c.id == row.id).values(dead))
        record_delivery_end(tx, row.message, row.id, row.recipient, row.partner, DeliveryState.DEAD, now, said)
    lanes.free_next(tx, [(row.lane, row.recipient) for row in rows])
    return len(rows)


def stop_deliveries(
    tx: Transaction, messages: Iterable[str], units: Collection[str], effect: changes.Effect, by: str, now: datetime
) -> None:
    """Stop the deliveries of *messages* to *units* (`EVERY`: to all) because of the change *by*.

    A stopped delivery is neither sent nor replayed. A waiting or held delivery dies. That is no failure, so it makes no
    fact. A delivery that is being sent is marked and dies if it returns. A dead one is marked. A fetched or delivered
    one cannot be stopped: only the change itself reaches the recipient.
    """
    which = sa.and_(table.c.message.in_(list(messages)), table.c.stopped.is_(None))
    if changes.EVERY not in units:
        which = sa.and_(which, table.c.recipient.in_(list(units)))
    reason = changes.stop_reason(effect, by)
    stopped: list[dict[str, object]] = []
    died: list[dict[str, object]] = []
    told: list[Event] = []
    ended: dict[tuple[str, str], None] = {}
    for row in lock_deliveries(tx, which):
        becomes = changes.stop_delivery_state(DeliveryState(row.state))
        if becomes is None:
            continue
        stopped.append({"which": row.id, "stopped": reason})
        if becomes == row.state:
            told.append(Event("delivery-marked", now, row.message, row.id, _said(row, reason)))
        else:
            died.append(_dead(row, DeliveryState(row.state), reason, now))
            ended[row.lane, row.recipient] = None
            told.append(Event("delivery-dead", now, row.message, row.id, _said(row, reason)))
    # One statement for all rows: a change may stop thousands, and every writer waits meanwhile.
    if stopped:
        tx.execute(_ONE, stopped)
    if died:
        tx.execute(_ONE, died)
    events.append_events(tx, *told)
    lanes.free_next(tx, list(ended))


def halt_deliveries(tx: Transaction, rows: Iterable[Row], now: datetime) -> None:
    """End deliveries that returned from an attempt and were stopped meanwhile."""
    for row in rows:
        if row.stopped is not None:
            tx.execute(_ONE, _dead(row, DeliveryState.WAITING, row.stopped, now))
            events.append_events(tx, Event("delivery-dead", now, row.message, row.id, _said(row, row.stopped)))


def _dead(row: Row, state: DeliveryState, reason: str, now: datetime) -> dict[str, object]:
    """Return the values that `_ONE` writes for *row*, which a change stops."""
    dead = {
        "state": move_delivery(state, "stop", DeliveryState.DEAD),
        "free": False,
        "reason": reason,
        "changed_at": now,
    }
    return {"which": row.id, **dead}


def _said(row: Row, reason: str) -> dict[str, object]:
    """Return the body of the event for *row*, which a change stops."""
    return {"recipient": row.recipient, "partner": row.partner, "reason": reason}


def lock_deliveries(tx: Transaction, which: sa.ColumnElement[bool], *, waits: bool = True) -> Rows:
    """Lock the lanes of *which* deliveries and then the deliveries. Return these in the order of creation.

    With *waits* False, deliveries that another transaction has locked are left out.
    """
    found = tx.execute(sa.select(table.c.lane, table.c.recipient).where(which)).all()
    places = {(lane, recipient) for lane, recipient in found}
    if not places:
        return []
    query = sa.select(table).where(which).order_by(table.c.id)
    if waits:
        lanes.lock_all(tx, places)
        return list(tx.execute(query.with_for_update()).all())
    ours = lanes.lock_those_at_hand(tx, places)
    rows = tx.execute(query.with_for_update(skip_locked=True)).all()
    return [row for row in rows if (row.lane, row.recipient) in ours]
