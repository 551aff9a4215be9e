"""How deliveries end: delivered, failed, given up, expired, handed over; not how they begin or are claimed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hub.domain.conversations import LaterFailure
from hub.domain.failure_causes import find_cause
from hub.domain.lifecycle import DELIVER, URGENCIES, DeliveryEvent, judge_give_up, move_delivery
from hub.domain.local_time import find_local_day
from hub.domain.model import DOCUMENTS, HUB, AfterGiveUp, Delivery, DeliveryState, Event, PacketKind
from hub.journal import duties, events, facts, unit_registry
from hub.journal.queue import lanes, partner_state
from hub.services import list_services
from hub.store import transactions
from hub.store.hot_statements import HotStatement
from hub.store.tables import FREE, UNDELIVERED, message
from hub.store.tables import delivery as table
from hub.store.transactions import Transaction
from hub.units.routing import Route

Row = Any  #: a row of the table, with its columns as attributes
Rows = list[Row]
#: How the reason of a delivery begins that a person gave up.
_GIVEN_UP = "given up by "
_FAILED = HotStatement(sa.update(table).where(table.c.id == sa.bindparam("which")), keys=("failed",))
_CAUSE = HotStatement(sa.update(table).where(table.c.id == sa.bindparam("which")), keys=("cause",))
ONE_DELIVERY = sa.update(table).where(table.c.id == sa.bindparam("which"))
_MESSAGE = HotStatement(sa.select(message).where(message.c.id == sa.bindparam("of")))


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
        tx.execute(ONE_DELIVERY, {"which": row.id, "state": state, "reason": said, "changed_at": now})
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
        tx.execute(ONE_DELIVERY, {"which": row.id, **moved})
        body = {"recipient": row.recipient, "successor": way.recipient, "partner": way.partner}
        told.append(Event("delivery-handed-over", now, row.message, row.id, body | {"was_partner": row.partner}))
    if rows:
        lanes.correct_lane_heads(tx, {(row.lane, row.recipient): None for row in rows})
        events.append_events(tx, *told)
        transactions.notify_nodes(tx)
    return len(rows)


def update_delivery(tx: Transaction, changed: Mapping[str, Any]) -> None:
    """Update one delivery. *changed*: columns, with its id as `which`."""
    tx.execute(ONE_DELIVERY, dict(changed))


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
