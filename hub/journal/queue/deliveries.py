"""Creates and ends deliveries, and changes them on a person's or a change's order. Does not claim or fetch them.

Each function is one step of one transaction. Each step checks the state that the delivery leaves, so a step that comes
late (an answer after a replay) moves nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.ids import choose_later_time, make_id
from hub.domain.lifecycle import DELIVER, DeliveryEvent, move_delivery
from hub.domain.model import Delivery, DeliveryState, Event
from hub.edxml import changes
from hub.journal import duties, events
from hub.journal.queue import lanes
from hub.journal.queue.delivery_ends import ONE_DELIVERY, Row, lock_deliveries
from hub.store import transactions
from hub.store.hot_statements import HotStatement, SetInsert, SetQuery
from hub.store.tables import UNDELIVERED, Instant, duty, message, write_instant
from hub.store.tables import delivery as table
from hub.store.transactions import Transaction
from hub.units.routing import Route

#: Columns of a planned delivery.
_PLANNED = (
    *("id", "message", "recipient", "via", "partner", "state", "attempts"),
    *("due", "since", "changed_at", "urgency", "lane", "reason", "stopped", "named"),
)
#: Insert of a waiting delivery, which is free if it is the head of its lane, and of any other one.
_WAITS = HotStatement(sa.insert(table).values(free=lanes.IS_NEW), keys=_PLANNED)
_WAITS_NOT = HotStatement(sa.insert(table).values(free=False), keys=_PLANNED)
_SET = SetInsert(table)
#: So many deliveries of one message are created one by one: a set costs two statements more, and less for each.
FEW = 8
#: Most deliveries that are created or settled as one set. A set is not divided by the budget of a commit, so it must be
#: short by itself, about 50 ms; what is beyond is done one by one, within that budget.
MOST_IN_SET = 256
#: A dead or delivered delivery `which`, in the state and with the `since` that it had when it was read.
_REVIVE = HotStatement(
    sa.update(table)
    .where(table.c.id == sa.bindparam("which"), table.c.state == sa.bindparam("was"))
    .where(table.c.since == sa.bindparam("old", type_=Instant), table.c.stopped.is_(None)),
    keys=(
        *("state", "again", "due", "since", "changed_at", "alarmed_at", "crashes", "reason", "cause", "part"),
        *("holder", "lease_until", "given_up"),
    ),
)
_UNMADE = duty.c.kind == sa.literal_column(f"'{duties.DutyKind.DELIVERIES}'", sa.Text)
#: Marks deliveries as stopped. Those with a state of their own end in it.
_STOP = SetQuery(
    """
WITH stop (id, stopped, state, reason, changed_at) AS (VALUES {rows})
UPDATE delivery SET stopped = stop.stopped, cause = NULL, state = COALESCE(stop.state, delivery.state),
    free = delivery.free AND stop.state IS NULL, reason = COALESCE(stop.reason, delivery.reason),
    changed_at = COALESCE(stop.changed_at, delivery.changed_at)
FROM stop WHERE delivery.id = stop.id
""".strip(),
    ("text", "text", "text", "text", "text"),
)
#: The last delivery in a lane, and whether deliveries of any message are still to be made.
_LAST = HotStatement(
    sa.select(sa.func.max(table.c.id).label("last"), sa.exists().where(_UNMADE).label("unmade")).where(
        table.c.lane == sa.bindparam("in")
    )
)
_UNMADE_IN = HotStatement(
    sa.select(duty.c.serial)
    .join(message, message.c.id == duty.c.message)
    .where(_UNMADE, message.c.lane == sa.bindparam("in"))
    .limit(1)
)


@attrs.frozen
class QueuedDelivery:
    """The columns of a delivery that a stop needs."""

    id: str
    message: str
    recipient: str
    partner: str
    lane: str
    state: DeliveryState


@attrs.frozen(kw_only=True)
class PlannedDeliveries:
    """New deliveries of one message: their rows by column, their events, and whether one of them can be sent now."""

    rows: tuple[dict[str, Any], ...]
    events: tuple[Event, ...]
    due: bool


@attrs.frozen(kw_only=True)
class DeliveryStops:
    """The effects of a change on older deliveries. Updates are columns, with the delivery's id as `which`."""

    marked: tuple[dict[str, Any], ...] = ()  #: updates of all stopped deliveries: the reason
    died: tuple[dict[str, Any], ...] = ()  #: updates of those that die: the state
    places: tuple[tuple[str, str], ...] = ()  #: lane and recipient of those that die: the next delivery there is free
    events: tuple[Event, ...] = ()


def make_deliveries(tx: Transaction, message_id: str, routes: Sequence[Route], now: datetime, *, lane: str) -> None:
    """Create one delivery of the message per route, in *lane*, due now."""
    ids = reserve_delivery_ids(tx, routes, now, lane=lane)
    planned = plan_deliveries(message_id, routes, ids, now, lane=lane)
    insert_deliveries(tx, planned.rows)
    events.append_events(tx, *planned.events)
    if planned.due:
        transactions.notify_nodes(tx)


def reserve_delivery_ids(
    tx: Transaction, routes: Sequence[Route], now: datetime, *, lane: str, most: int | None = None
) -> list[str]:
    """Lock *lane* for the recipients whose deliveries will wait, and return one id per route.

    The ids follow the order of the routes and sort after all ids in the lane, so the order does not depend on any
    clock. With *most*, return no more ids, and none while earlier deliveries of the lane are still to be made.
    """
    if not routes:
        return []
    lanes.lock_lanes(tx, lane, [route.recipient for route in routes if route.state is DeliveryState.WAITING])
    row = _LAST.first(tx, {"in": lane})
    if most is not None and row.unmade and _UNMADE_IN.first(tx, {"in": lane}) is not None:
        return []
    at = choose_later_time(row.last, now) if row.last else now
    return sorted(make_id(at) for _ in routes[:most])


def plan_deliveries(
    message_id: str,
    routes: Sequence[Route],
    ids: Sequence[str],
    now: datetime,
    *,
    lane: str,
    urgency: int = 0,
    hour: datetime | None = None,
) -> PlannedDeliveries:
    """Return one delivery of the message per route, with its id of *ids*, in *lane*, due at *hour* or now."""
    due = max(now, hour or now)
    timed = {"due": write_instant(due)} if due > now else {}
    rows, made = [], []
    for delivery_id, route in zip(ids, routes, strict=True):
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
            "reason": None,
            "stopped": None,
            "named": route.named or None,
        }
        rows.append(row)
        body = {"recipient": route.recipient, "partner": route.partner} | timed
        made.append(Event(f"delivery-{route.state}", now, message_id, delivery_id, body))
    waits = any(route.state is DeliveryState.WAITING for route in routes)
    return PlannedDeliveries(rows=tuple(rows), events=tuple(made), due=waits and due <= now)


def stop_new_deliveries(
    rows: Sequence[Mapping[str, Any]], reasons: Mapping[str, str], now: datetime
) -> tuple[tuple[Mapping[str, Any], ...], tuple[Event, ...]]:
    """Return the planned *rows* and new events; rows to a recipient in *reasons* are dead, with that reason."""
    stopped, told = [], []
    for row in rows:
        reason = reasons.get(row["recipient"])
        if reason is None:
            stopped.append(row)
            continue
        state = move_delivery(row["state"], DeliveryEvent.STOP, DeliveryState.DEAD)
        stopped.append({**row, "state": state, "reason": reason, "stopped": reason})
        body = {"recipient": row["recipient"], "partner": row["partner"], "reason": reason}
        told.append(Event("delivery-dead", now, row["message"], row["id"], body))
    return tuple(stopped), tuple(told)


def insert_deliveries(tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert planned *rows*. Their lane is locked (`reserve_delivery_ids`).

    A waiting delivery is free if no delivery of its lane to the same recipient waits or is being sent.
    """
    rows = list(rows)
    if len(rows) > FEW:
        places = [(row["lane"], row["recipient"]) for row in rows if row["state"] is DeliveryState.WAITING]
        insert_delivery_set(tx, rows, lanes.read_taken_places(tx, places))
        return
    waiting: list[dict[str, Any]] = []
    others: list[Mapping[str, Any]] = []
    for row in rows:
        if row["state"] is DeliveryState.WAITING:
            waiting.append({**row, **lanes.make_lane_parameters(row["lane"], row["recipient"])})
        else:
            others.append(row)
    if waiting:
        _WAITS.run_many(tx, waiting)
    if others:
        _WAITS_NOT.run_many(tx, others)


def insert_delivery_set(tx: Transaction, rows: Iterable[Mapping[str, Any]], taken: Collection[tuple[str, str]]) -> None:
    """Insert many planned *rows*, no two of them in one lane to one recipient.

    *taken*: the places (lane and recipient) in which another delivery waits or is being sent.
    """

    def is_free(row: Mapping[str, Any]) -> bool:
        return row["state"] is DeliveryState.WAITING and (row["lane"], row["recipient"]) not in taken

    _ = _SET.run(tx, [{**row, "free": is_free(row)} for row in rows])


def read_message_deliveries(tx: Transaction, message_id: str, *, to_move: bool = False) -> list[Delivery]:
    """Return the deliveries of a message in the order of creation. With *to_move*, lock them."""
    query = sa.select(table).where(table.c.message == message_id).order_by(table.c.id)
    return [read_delivery_row(row) for row in tx.execute(query.with_for_update() if to_move else query).mappings()]


def read_deliveries_of(tx: Transaction, messages: Collection[str]) -> list[Delivery]:
    """Return the deliveries of *messages*, by message and in the order of creation."""
    query = sa.select(table).where(table.c.message.in_(list(messages))).order_by(table.c.message, table.c.id)
    return [read_delivery_row(row) for row in tx.execute(query).mappings()]


def read_delivery_row(row: sa.RowMapping | Mapping[str, Any]) -> Delivery:
    """Return the `Delivery` of a row."""
    fields = {field.name: row[field.name] for field in attrs.fields(Delivery)}
    return Delivery(**fields | {"state": DeliveryState(row["state"])})


def revive_deliveries(
    tx: Transaction,
    ended: Iterable[tuple[Delivery, DeliveryState]],
    *,
    reason: str,
    by: str,
    now: datetime,
    plan: str | None = None,
    what: DeliveryEvent = DeliveryEvent.REPLAY,
) -> list[Delivery]:
    """Put deliveries that ended, or are suspended, back to a state (`waiting` or `held`) on a person's order *what*.

    Return those that moved. One that has moved since it was read, or that a change stopped, stays as it is.
    """
    asked = list(ended)
    name = "delivery-resumed" if what is DeliveryEvent.RESUME else "delivery-replayed"
    lanes.lock_all_lanes(tx, {(each.lane, each.recipient) for each, state in asked if state is DeliveryState.WAITING})
    fresh = {"due": now, "since": now, "changed_at": now, "alarmed_at": None, "crashes": 0, "reason": None}
    fresh |= {"cause": None, "part": None, "holder": None, "lease_until": None, "given_up": False}
    moved: list[Delivery] = []
    places: dict[tuple[str, str], None] = {}
    told = []
    for each, state in asked:
        again = each.state is DeliveryState.DELIVERED
        if (each.state, what) not in DELIVER:
            continue
        becomes = {
            "state": move_delivery(each.state, what, state),
            "again": again or each.again,
        }
        if not _REVIVE.run(tx, {**fresh, **becomes, "which": each.id, "was": each.state, "old": each.since}):
            continue
        moved.append(each)
        if state is DeliveryState.WAITING:
            places[each.lane, each.recipient] = None
        body = {"recipient": each.recipient, "partner": each.partner, "reason": reason, "by": by}
        body |= ({"plan": plan} if plan else {}) | ({"was": str(each.state)} if again else {})
        told.append(Event(name, now, each.message, each.id, body))
    if moved:
        transactions.notify_nodes(tx)
        lanes.correct_lane_heads(tx, places)
        events.append_events(tx, *told)
    return moved


def resume_deliveries(
    tx: Transaction, partner: str, limit: int, *, reason: str, by: str, now: datetime
) -> list[Delivery]:
    """Put the first *limit* suspended deliveries to *partner*, which is pushed to, back to waiting. Return those."""
    query = sa.select(table).where(
        UNDELIVERED, table.c.state == DeliveryState.SUSPENDED, table.c.partner == partner, table.c.stopped.is_(None)
    )
    rows = tx.execute(query.order_by(table.c.message).limit(limit)).mappings()
    ended = [(read_delivery_row(row), DeliveryState.WAITING) for row in rows]
    return revive_deliveries(tx, ended, reason=reason, by=by, now=now, what=DeliveryEvent.RESUME)


def write_returns(tx: Transaction, sender: str, document_id: str, recipients: Collection[str], number: int) -> None:
    """Note at the deliveries of a document to *recipients* that a unit has it again, under the key with this *number*."""
    carriers = sa.select(message.c.id).where(message.c.sender == sender, message.c.document_id == document_id)
    theirs = sa.and_(table.c.message.in_(carriers), table.c.recipient.in_(recipients))
    tx.execute(sa.update(table).where(theirs).values(returns=number))


def make_doubled_event(row: Row, now: datetime) -> Event:
    """Return the event of a delivery *row* that may have arrived twice."""
    return Event(
        "delivery-possibly-twice", now, row.message, row.id, {"recipient": row.recipient, "partner": row.partner}
    )


def lock_stoppable_deliveries(
    tx: Transaction, messages: Collection[str], units: Collection[str]
) -> tuple[QueuedDelivery, ...]:
    """Lock and return the deliveries of *messages* to *units* (`EVERY`: to all) that are not stopped yet."""
    if not messages:
        return ()
    which = sa.and_(table.c.message.in_(list(messages)), table.c.stopped.is_(None))
    if changes.EVERY not in units:
        which = sa.and_(which, table.c.recipient.in_(list(units)))
    return tuple(map(_make_queued, lock_deliveries(tx, which)))


def lock_unstopped_deliveries(tx: Transaction, places: Mapping[str, tuple[str, str]]) -> tuple[QueuedDelivery, ...]:
    """Lock and return those deliveries that are not stopped yet. *places*: by their ids, lane and recipient."""
    lanes.lock_all_lanes(tx, places.values())
    which = sa.and_(table.c.id.in_(list(places)), table.c.stopped.is_(None))
    return tuple(map(_make_queued, tx.execute(sa.select(table).where(which).order_by(table.c.id).with_for_update())))


def _make_queued(row: Row) -> QueuedDelivery:
    return QueuedDelivery(row.id, row.message, row.recipient, row.partner, row.lane, DeliveryState(row.state))


def plan_stops(
    groups: Iterable[tuple[changes.Effect, Iterable[QueuedDelivery]]], by: str, now: datetime
) -> DeliveryStops:
    """Return how the change *by* stops the deliveries of each effect.

    A stopped delivery is neither sent nor replayed. A waiting or held delivery dies. That is no failure, so it makes no
    fact. A delivery that is being sent is marked and dies if it returns. A dead one is marked. A fetched or delivered
    one cannot be stopped: only the change itself reaches the recipient.
    """
    marked: dict[str, dict[str, Any]] = {}
    died, told = [], []
    places: dict[tuple[str, str], None] = {}
    for effect, rows in groups:
        reason = changes.write_stop_reason(effect, by)
        for row in rows:
            becomes = changes.stop_delivery_state(row.state)
            if becomes is None or row.id in marked:
                continue
            marked[row.id] = {"which": row.id, "stopped": reason, "cause": None}
            ends = becomes != row.state
            if ends:
                died.append(_describe_dead(row.id, row.state, reason, now))
                places[row.lane, row.recipient] = None
            body = {"recipient": row.recipient, "partner": row.partner, "reason": reason}
            name = "delivery-dead" if ends else "delivery-marked"
            told.append(Event(name, now, row.message, row.id, body))
    return DeliveryStops(marked=tuple(marked.values()), died=tuple(died), places=tuple(places), events=tuple(told))


def write_stops(tx: Transaction, stops: DeliveryStops) -> None:
    """Write *stops* without their events. The rows and their lanes are locked."""
    ended = {each["which"]: each for each in stops.died}
    rows = []
    for mark in stops.marked:
        dead = ended.get(mark["which"], {})
        changed_at = write_instant(dead["changed_at"]) if dead else None
        reason = dead.get("reason") or mark.get("reason")
        rows.append((mark["which"], mark["stopped"], dead.get("state"), reason, changed_at))
    _STOP.run(tx, rows)
    lanes.free_next_in_lane(tx, stops.places)


def halt_deliveries(
    tx: Transaction, rows: Iterable[Row], now: datetime, state: DeliveryState = DeliveryState.WAITING
) -> None:
    """End deliveries that returned from an attempt, to *state*, and were stopped meanwhile."""
    for row in rows:
        if row.stopped is not None:
            tx.execute(ONE_DELIVERY, _describe_dead(row.id, state, row.stopped, now))
            body = {"recipient": row.recipient, "partner": row.partner, "reason": row.stopped}
            events.append_events(tx, Event("delivery-dead", now, row.message, row.id, body))


def _describe_dead(delivery_id: str, state: DeliveryState, reason: str, now: datetime) -> dict[str, Any]:
    """Return what `_ONE` is to write of a delivery in *state* that a change stops."""
    dead = {
        "state": move_delivery(state, DeliveryEvent.STOP, DeliveryState.DEAD),
        "free": False,
        "reason": reason,
        "changed_at": now,
    }
    return {"which": delivery_id, **dead}
