"""Creates and ends deliveries, and changes them on a person's or a change's order. Does not claim or fetch them.

Each function is one step of one transaction. Each step checks the state that the delivery leaves, so a step that comes
late (an answer after a replay) moves nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.failure_causes import find_cause
from hub.domain.ids import choose_later_time, make_id
from hub.domain.lifecycle import DELIVER, URGENCIES, DeliveryEvent, judge_give_up, move_delivery
from hub.domain.local_time import find_local_day
from hub.domain.model import (
    DOCUMENTS,
    HUB,
    AfterGiveUp,
    Delivery,
    DeliveryState,
    Event,
    LaterFailure,
    PacketKind,
)
from hub.edxml import changes
from hub.journal import duties, events, facts, unit_registry
from hub.journal.queue import lanes, partner_state
from hub.services import list_services
from hub.store import transactions
from hub.store.hot_statements import HotStatement, SetInsert, SetQuery
from hub.store.tables import FREE, UNDELIVERED, Instant, duty, message, write_instant
from hub.store.tables import delivery as table
from hub.store.transactions import Transaction
from hub.units.routing import Route

Row = Any  #: a row of the table, with its columns as attributes
Rows = list[Row]

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
#: How the reason of a delivery begins that a person gave up.
_GIVEN_UP = "given up by "
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
_FAILED = HotStatement(sa.update(table).where(table.c.id == sa.bindparam("which")), keys=("failed",))
_CAUSE = HotStatement(sa.update(table).where(table.c.id == sa.bindparam("which")), keys=("cause",))
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
_ONE = sa.update(table).where(table.c.id == sa.bindparam("which"))
_MESSAGE = HotStatement(sa.select(message).where(message.c.id == sa.bindparam("of")))


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


def record_delivery_ends(
    tx: Transaction,
    message_id: str,
    rows: Sequence[Row],
    partner: str,
    state: DeliveryState,
    now: datetime,
    reason: str | None,
) -> None:
    """Record the end of the deliveries *rows* of one message to *partner*, as `record_delivery_end` does for each.

    Those of a document that arrived for the first time are recorded together: there may be 2,000.
    """
    together: list[Row] = []
    if state is DeliveryState.DELIVERED and len(rows) > 1:
        found = _MESSAGE.first(tx, {"of": message_id})._asdict()
        if found["service"] == DOCUMENTS and found["kind"] != PacketKind.STATUS:
            together = [row for row in rows if not row.again and not row.failed]
            said = {"reason": reason} if reason else {}
            bodies = ({"recipient": row.recipient, "partner": partner} | said for row in together)
            told = (
                Event(f"delivery-{state}", now, message_id, row.id, body)
                for row, body in zip(together, bodies, strict=True)
            )
            events.append_events(tx, *told)
            day = find_local_day(now)
            units = [row.recipient for row in together]
            heirs = {
                each: unit_registry.find_registry_heir(tx, each, day)
                for each in unit_registry.find_ending_units(tx, units)
            }
            facts.record_facts(tx, [facts.make_received_fact(found, heirs.get(unit, unit), now) for unit in units])
    done = {row.id for row in together}
    for row in rows:
        if row.id not in done:
            marks = {"again": row.again, "failed": row.failed}
            record_delivery_end(tx, message_id, row.id, row.recipient, partner, state, now, reason, **marks)


def record_delivery_end(
    tx: Transaction,
    message_id: str,
    delivery_id: str,
    recipient: str,
    partner: str,
    state: DeliveryState,
    now: datetime,
    reason: str | None,
    *,
    again: bool,
    failed: bool = False,
) -> None:
    """Record that a delivery became `delivered`, `suspended`, or `dead` after a failure: its event, cause and fact.

    *failed*: it was dead before, and counted as failed. When it is delivered, the failure of its document is over,
    unless another delivery of it is dead.

    A suspended delivery may still arrive, so it makes no fact.

    What is delivered to a unit that has ended counts as received by the unit that continues its work.

    *again*: it had been delivered before, and a person sent it again. It makes no fact, because the first delivery has
    been counted: a repetition that fails is no failure of the document.
    """
    body = {"recipient": recipient, "partner": partner} | ({"reason": reason} if reason else {})
    events.append_events(tx, Event(f"delivery-{state}", now, message_id, delivery_id, body))
    if state is not DeliveryState.DELIVERED:
        _ = _CAUSE.run(tx, {"which": delivery_id, "cause": find_cause(partner, reason or "").digest})
    if again or state is DeliveryState.SUSPENDED:
        return
    row = _MESSAGE.first(tx, {"of": message_id})._asdict()
    if row["service"] != DOCUMENTS:
        own = list_services().get(row["service"])  # a service that the configuration defines counts no delivery
        milestone = "" if own is None else own.synced
        if milestone and state is DeliveryState.DELIVERED:
            duties.write_facts_or_duty(
                tx, message_id, now, row["service"], facts.make_synced_facts(row, milestone, partner, now)
            )
        return
    if row["kind"] == PacketKind.STATUS:
        return
    if state is DeliveryState.DELIVERED:
        receiver = unit_registry.find_registry_heir(tx, recipient, find_local_day(now))
        facts.record_facts(tx, [facts.make_received_fact(row, receiver, now)])
    if state is DeliveryState.DEAD or failed:
        _count_failure(tx, row, delivery_id, recipient, now, dead=state is DeliveryState.DEAD)


def _count_failure(
    tx: Transaction, row: Mapping[str, Any], delivery_id: str, recipient: str, now: datetime, *, dead: bool
) -> None:
    """Count that the document *row* has failed, or no longer, after one of its deliveries became *dead* or arrived.

    A document is failed from its first dead delivery on until none is dead. One that a change stopped is not.
    """
    tx.execute(sa.select(message.c.id).where(message.c.id == row["id"]).with_for_update())  # one of its ends at a time
    _ = _FAILED.run(tx, {"which": delivery_id, "failed": dead})
    number, lasts = facts.find_failure(tx, row)
    if dead and not lasts:
        facts.record_facts(tx, [facts.make_failure_fact(row, recipient, now, number + 1)])
    if dead or not lasts:
        return
    others = sa.and_(table.c.message == row["id"], table.c.state == DeliveryState.DEAD, table.c.failed)
    if tx.scalar(sa.select(sa.exists().where(others, table.c.stopped.is_(None), table.c.id != delivery_id))):
        return
    failure = facts.make_failure_fact(row, recipient, now, number)
    facts.record_facts(tx, [facts.make_recovery_fact(failure)])


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


def fail_delivered(tx: Transaction, partner: str, failures: Sequence[LaterFailure], now: datetime) -> int:
    """Make dead what *partner* had accepted and the recipient's system could not take. Return how many.

    A delivery that is not delivered now, or has another id since it was sent again, stays as it is.
    """
    told = {(each.id, each.recipient): each.reason for each in failures}
    ids = list({each.id for each in failures})
    rows = lock_deliveries(
        tx,
        sa.and_(table.c.partner == partner, table.c.their_id.in_(ids), table.c.state == DeliveryState.DELIVERED),
    )
    failed = 0
    for row in rows:
        reason = told.get((row.their_id, row.named or row.recipient), told.get((row.their_id, row.recipient)))
        if reason is None:
            continue
        said = f"failed later: {reason}"
        state = move_delivery(DeliveryState.DELIVERED, DeliveryEvent.FAIL)
        tx.execute(_ONE, {"which": row.id, "state": state, "reason": said, "changed_at": now})
        record_delivery_end(tx, row.message, row.id, row.recipient, row.partner, state, now, said, again=row.again)
        failed += 1
    return failed


def give_up_delivery(tx: Transaction, waiting: Delivery, *, reason: str, by: str, now: datetime) -> bool:
    """Make a waiting or suspended delivery dead on a person's order. It counts as failed.

    Return False when it has moved since it was read.
    """
    if (waiting.state, DeliveryEvent.GIVE_UP) not in DELIVER:
        return False
    lanes.lock_lanes(tx, waiting.lane, [waiting.recipient])
    said = f"{_GIVEN_UP}{by}: {reason}"
    moved = tx.execute(
        sa.update(table)
        .where(table.c.id == waiting.id, table.c.state == waiting.state)
        .values(
            state=move_delivery(waiting.state, DeliveryEvent.GIVE_UP),
            free=False,
            reason=said,
            changed_at=now,
            given_up=True,
        )
    ).rowcount
    if moved:
        record_delivery_end(
            tx,
            waiting.message,
            waiting.id,
            waiting.recipient,
            waiting.partner,
            DeliveryState.DEAD,
            now,
            said,
            again=waiting.again,
        )
        lanes.free_next_in_lane(tx, [(waiting.lane, waiting.recipient)])
    return bool(moved)


def is_given_up(row: Row) -> bool:
    """Tell whether a person gave a dead delivery up, by the columns `given_up` and `reason` of its *row*.

    An earlier version of the program does not clear the column when it sends the delivery again.
    """
    return bool(row.given_up) and (row.reason or "").startswith(_GIVEN_UP)


def expire_deliveries(
    tx: Transaction,
    partner: str,
    now: datetime,
    give_up: timedelta,
    reason: str,
    limit: int = 200,
    *,
    then: AfterGiveUp = AfterGiveUp.DEAD,
) -> int:
    """End the waiting of up to *limit* heads that have waited longer than *give_up* for an unavailable partner.

    They become dead or suspended, as *then* says, which may also pause the partner.
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
    verdict = judge_give_up(reason, then)
    what = DeliveryEvent.GIVE_UP if verdict.state is DeliveryState.DEAD else DeliveryEvent.SUSPEND
    for row in rows:
        state = move_delivery(DeliveryState(row.state), what)
        ended = {"state": state, "free": False, "reason": verdict.reason, "changed_at": now}
        tx.execute(sa.update(table).where(table.c.id == row.id).values(ended))
        record_delivery_end(
            tx, row.message, row.id, row.recipient, row.partner, state, now, verdict.reason, again=row.again
        )
    lanes.free_next_in_lane(tx, [(row.lane, row.recipient) for row in rows])
    if rows and verdict.pauses:
        partner_state.pause_partner(tx, partner, reason=verdict.reason or "", by=HUB, now=now)
    return len(rows)


def hand_over_deliveries(
    tx: Transaction, ways: Mapping[str, Route], late: Collection[str], now: datetime, limit: int = 200
) -> int:
    """Hand over to other partners up to *limit* deliveries that wait or are held. Return their number.

    *ways*: for each unit that has ended, the route of what is addressed to it now: to the unit that continues its work,
    whose partner shall have them. What was fetched stays with the partner that is to confirm it, except for *late* units,
    whose days of grace are over. Deliveries that another transaction has locked are left to the next run.
    """
    if not ways:
        return 0
    units: dict[str, list[str]] = {}
    for unit, way in ways.items():
        units.setdefault(way.partner, []).append(unit)
    elsewhere = [sa.and_(table.c.partner != partner, table.c.recipient.in_(codes)) for partner, codes in units.items()]
    unfetched = table.c.state.in_((DeliveryState.WAITING, DeliveryState.HELD))
    fetched = sa.and_(table.c.state == DeliveryState.FETCHED, table.c.recipient.in_(list(late)))
    which = sa.and_(UNDELIVERED, sa.or_(unfetched, fetched), table.c.stopped.is_(None), sa.or_(*elsewhere))
    ids = list(tx.scalars(sa.select(table.c.id).where(which).order_by(table.c.id).limit(limit)))
    rows = lock_deliveries(tx, sa.and_(table.c.id.in_(ids), which), waits=False) if ids else []
    told = []
    for row in rows:
        way = ways[row.recipient]
        state = move_delivery(DeliveryState(row.state), DeliveryEvent.HAND_OVER, way.state)
        moved = {"partner": way.partner, "via": way.via, "state": state, "free": False, "attempts": 0, "crashes": 0}
        moved |= {"since": max(row.due, now), "changed_at": now, "alarmed_at": None, "reason": None, "cause": None}
        if row.state == DeliveryState.FETCHED:
            moved["unsure"] = row.changed_at  # its former partner got it, and did not say so
        tx.execute(_ONE, {"which": row.id, **moved})
        body = {"recipient": row.recipient, "successor": way.recipient, "partner": way.partner}
        told.append(Event("delivery-handed-over", now, row.message, row.id, body | {"was_partner": row.partner}))
    if rows:
        lanes.correct_lane_heads(tx, {(row.lane, row.recipient): None for row in rows})
        events.append_events(tx, *told)
        transactions.notify_nodes(tx)
    return len(rows)


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


def update_delivery(tx: Transaction, changed: Mapping[str, Any]) -> None:
    """Update one delivery. *changed*: columns, with its id as `which`."""
    tx.execute(_ONE, dict(changed))


def halt_deliveries(
    tx: Transaction, rows: Iterable[Row], now: datetime, state: DeliveryState = DeliveryState.WAITING
) -> None:
    """End deliveries that returned from an attempt, to *state*, and were stopped meanwhile."""
    for row in rows:
        if row.stopped is not None:
            tx.execute(_ONE, _describe_dead(row.id, state, row.stopped, now))
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
        lanes.lock_all_lanes(tx, places)
        return list(tx.execute(query.with_for_update()).all())
    ours = lanes.try_lock_lanes(tx, places)
    rows = tx.execute(query.with_for_update(skip_locked=True)).all()
    return [row for row in rows if (row.lane, row.recipient) in ours]
