"""The delivery rows: the queue itself.  Knows how they are made, claimed, settled, fetched, confirmed; not adapters or time.

Each function is one step of one transaction.  Every step that moves a delivery checks the state it leaves, so a step that
comes late (a lease that was lost, an answer after a replay) moves nothing.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

import attrs
import sqlalchemy as sa

from hub import changes, events, ledger, nodes, store
from hub.errors import Rejected
from hub.ids import later, new_id
from hub.lifecycle import Verdict, turn
from hub.model import Delivery, Event, Kind, Problem, State
from hub.routes import Route
from hub.schema import attempt, message, write_instant
from hub.schema import delivery as table
from hub.store import Transaction
from hub.window import replayed


@attrs.frozen(kw_only=True)
class Claim:
    """What one node has taken to send to one partner: one message and the deliveries of it that travel together."""

    attempt: str  #: id of the attempt row
    message: str
    partner: str
    deliveries: tuple[str, ...]
    recipients: tuple[str, ...]
    number: int  #: this is the n-th attempt
    since: datetime
    holder: str


@attrs.frozen(kw_only=True)
class Exchange:
    """What went over the wire in an attempt: hashes of the last request and reply, and the reply's HTTP status."""

    request_sha256: str | None = None
    reply_sha256: str | None = None
    reply_status: int | None = None


def make(
    tx: Transaction,
    message_id: str,
    routes: Iterable[Route],
    now: datetime,
    *,
    lane: str,
    urgency: int = 0,
    hour: datetime | None = None,
) -> list[str]:
    """Make one delivery of the message per route, to go in its *lane*, not before its *hour*.  Returns their ids."""
    routes, due = tuple(routes), max(now, hour or now)
    timed = {"due": write_instant(due)} if due > now else {}
    # In the order of the recipients, and after all that is in the lane: its order must not hang on anyone's clock.
    last = tx.scalar(sa.select(sa.func.max(table.c.id)).where(table.c.lane == lane))
    ids = sorted(new_id(later(last, now) if last else now) for _ in routes)
    for delivery_id, route in zip(ids, routes, strict=True):
        tx.execute(
            sa.insert(table).values(
                id=delivery_id,
                message=message_id,
                recipient=route.recipient,
                via=route.via,
                partner=route.partner,
                state=route.state,
                attempts=0,
                due=due,
                since=due,
                changed_at=now,
                urgency=urgency,
                turn=turn(due, urgency),
                lane=lane,
            )
        )
        body = {"recipient": route.recipient, "partner": route.partner} | timed
        events.append(tx, Event(f"delivery-{route.state}", now, message_id, delivery_id, body))
    if due <= now and any(route.state is State.WAITING for route in routes):
        store.ring(tx)
    return ids


def of_message(tx: Transaction, message_id: str, *, to_move: bool = False) -> list[Delivery]:
    """Return the deliveries of a message, in the order they were made; locked against others when they are *to move*."""
    query = sa.select(table).where(table.c.message == message_id).order_by(table.c.id)
    return [read(row) for row in tx.execute(query.with_for_update() if to_move else query).mappings()]


def read(row: sa.RowMapping) -> Delivery:
    """Return the value of a delivery row."""
    fields = {field.name: row[field.name] for field in attrs.fields(Delivery)}
    return Delivery(**fields | {"state": State(row["state"])})


def due_partners(tx: Transaction, now: datetime) -> list[str]:
    """Return the partners that something is due for."""
    query = sa.select(table.c.partner).where(table.c.state == State.WAITING, table.c.due <= now).distinct()
    return list(tx.scalars(query))


def next_due(tx: Transaction, now: datetime) -> datetime | None:
    """Return when the next delivery that waits becomes due, after *now*; None when none does."""
    later = sa.select(table.c.due).where(table.c.state == State.WAITING, table.c.due > now)
    return tx.scalars(later.order_by(table.c.due).limit(1)).first()


def claim(tx: Transaction, partner: str, now: datetime, *, limit: int, holder: str, lease: timedelta) -> list[Claim]:
    """Take up to *limit* due messages for *partner* by their turns; what is due and free of one message travels together.

    Each becomes `sending`, held by *holder* until the lease ends, and counts one attempt before the call goes out.
    """
    due = sa.and_(table.c.partner == partner, table.c.state == State.WAITING, table.c.due <= now, _free())
    first = sa.select(table.c.message).where(due).order_by(table.c.turn, table.c.message).limit(limit * 4)
    messages = list(dict.fromkeys(tx.scalars(first.with_for_update(skip_locked=True))))[:limit]
    # The same conditions, but so written that SQLite looks at the message's deliveries, not at the whole queue again.
    ours = [
        sa.func.coalesce(column, "") == value
        for column, value in ((table.c.partner, partner), (table.c.state, "waiting"))
    ]
    ours += [table.c.due <= now, _free()]
    claims = []
    for message_id in messages:
        rows = tx.execute(
            sa.select(table)
            .where(*ours, table.c.message == message_id)
            .order_by(table.c.id)
            .with_for_update(skip_locked=True)
        ).all()
        if not rows:
            continue  # another node was first
        taken = Claim(
            attempt=new_id(now),
            message=message_id,
            partner=partner,
            deliveries=tuple(row.id for row in rows),
            recipients=tuple(row.recipient for row in rows),
            number=max(row.attempts for row in rows) + 1,
            since=min(row.since for row in rows),
            holder=holder,
        )
        tx.execute(
            sa.update(table)
            .where(table.c.id.in_(taken.deliveries))
            .values(
                state=State.SENDING,
                attempts=table.c.attempts + 1,
                holder=holder,
                lease_until=now + lease,
                changed_at=now,
            )
        )
        tx.execute(
            sa.insert(attempt).values(
                id=taken.attempt,
                message=message_id,
                partner=partner,
                number=taken.number,
                recipients=json.dumps(taken.recipients),
                started_at=now,
            )
        )
        body = {"partner": partner, "number": taken.number, "recipients": taken.recipients}
        events.append(tx, Event("attempt-started", now, message_id, None, body))
        claims.append(taken)
    return claims


def _free() -> sa.ColumnElement[bool]:
    """Tell that nothing of the delivery's lane is under way to its recipient, and nothing earlier waits."""
    mate = table.alias("mate")
    ahead = sa.exists().where(mate.c.lane == table.c.lane, mate.c.recipient == table.c.recipient)
    under_way = ahead.where(mate.c.state == State.SENDING)
    earlier = ahead.where(mate.c.state == State.WAITING, mate.c.id < table.c.id)
    return sa.and_(~under_way, ~earlier)


def settle(tx: Transaction, claim: Claim, outcome: str, verdict: Verdict, exchange: Exchange, now: datetime) -> bool:
    """Write what became of an attempt.  False, and no delivery moves, when the claim was lost meanwhile."""
    mine = sa.and_(table.c.id.in_(claim.deliveries), table.c.state == State.SENDING, table.c.holder == claim.holder)
    held = tx.execute(sa.select(table).where(mine).order_by(table.c.id).with_for_update()).all()
    ended = sa.update(attempt).where(attempt.c.id == claim.attempt, attempt.c.ended_at.is_(None))
    still_ours = tx.execute(
        ended.values(ended_at=now, outcome=outcome, detail=verdict.reason, **attrs.asdict(exchange))
    ).rowcount
    rows = held if still_ours else []
    if not rows:
        written = tx.execute(
            sa.select(attempt.c.ended_at, attempt.c.outcome).where(attempt.c.id == claim.attempt)
        ).first()
        if written is not None and tuple(written) == (now, outcome):
            return True  # this very step was committed, and nobody was told
        events.append(
            tx, Event("attempt-stale", now, claim.message, None, {"partner": claim.partner, "outcome": outcome})
        )
        return False
    values: dict[str, object] = {"state": verdict.state, "reason": verdict.reason, "holder": None, "lease_until": None}
    if verdict.due is not None:
        values |= {"due": verdict.due, "turn": turn(verdict.due, rows[0].urgency)}
    if not verdict.counts:
        values["attempts"] = table.c.attempts - 1
    tx.execute(sa.update(table).where(mine).values(changed_at=now, **values))
    said = {"partner": claim.partner, "number": claim.number, "outcome": outcome, "reason": verdict.reason}
    events.append(tx, Event("attempt-ended", now, claim.message, None, said))
    if verdict.state in (State.DELIVERED, State.DEAD):
        for row in rows:
            end(tx, claim.message, row.id, row.recipient, row.partner, verdict.state, now, verdict.reason)
    else:
        _halt(tx, rows, now)
    return True


def end(
    tx: Transaction,
    message_id: str,
    delivery_id: str,
    recipient: str,
    partner: str,
    state: State,
    now: datetime,
    reason: str | None,
) -> None:
    """Tell that a delivery came to `delivered`, or to `dead` by failing: its event, and the fact of it."""
    body = {"recipient": recipient, "partner": partner} | ({"reason": reason} if reason else {})
    events.append(tx, Event(f"delivery-{state}", now, message_id, delivery_id, body))
    row = tx.execute(sa.select(message).where(message.c.id == message_id)).mappings().one()
    if row["kind"] == Kind.STATUS:
        return
    fact = ledger.received(row, recipient, now) if state is State.DELIVERED else ledger.failed(row, recipient, now)
    ledger.write(tx, [fact])


def rescue(
    tx: Transaction, now: datetime, *, alone: bool = False, holder: str = "", under_way: Collection[str] = ()
) -> int:
    """Give back what is claimed and will never be settled: by nodes that died, or by *holder*, this node, but not *under_way*.

    What a node holds without knowing it, it held before it died, or it was never told that its claim was committed.  When this
    node is *alone*, every claim is such a one.  A living node keeps its claim however long its conversation takes; only where
    the holder never beat does the end of the lease tell.  An interrupted attempt does not count.  Returns how many deliveries
    wait again; one that another transaction is about to move is left to it.
    """
    ours = sa.and_(table.c.holder == holder, table.c.id.not_in(under_way))
    dead = sa.and_(table.c.holder != holder, table.c.holder.in_(nodes.ended(nodes.moment(tx, now))))
    silent = sa.and_(table.c.holder.not_in(nodes.known()), table.c.lease_until < now)
    lost = sa.true() if alone else sa.or_(ours, dead, silent)
    return _give_back(tx, sa.and_(table.c.state == State.SENDING, lost), now, skip_locked=True)


def give_back(tx: Transaction, claim: Claim, now: datetime) -> int:
    """Give back what this node had claimed and will not finish.  The attempt does not count.

    What was given back already, and claimed anew, belongs to the new claim.
    """
    going = sa.exists().where(attempt.c.id == claim.attempt, attempt.c.ended_at.is_(None))
    ours = sa.and_(table.c.id.in_(claim.deliveries), table.c.state == State.SENDING, table.c.holder == claim.holder)
    return _give_back(tx, sa.and_(ours, going), now)


def _give_back(tx: Transaction, which: sa.ColumnElement[bool], now: datetime, *, skip_locked: bool = False) -> int:
    query = sa.select(table).where(which).order_by(table.c.id).with_for_update(skip_locked=skip_locked)
    rows = tx.execute(query).all()
    if not rows:
        return 0
    store.ring(tx)
    for row in rows:
        tx.execute(
            sa.update(table)
            .where(table.c.id == row.id)
            .values(
                state=State.WAITING,
                attempts=table.c.attempts - 1,
                holder=None,
                lease_until=None,
                due=now,
                turn=turn(now, row.urgency),
                changed_at=now,
            )
        )
    given: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        given.setdefault((row.message, row.partner), set()).add(row.recipient)
    for (message_id, partner), recipients in given.items():
        # Another part of the message may be under way in an attempt of its own, which goes on.
        going = sa.select(attempt.c.id, attempt.c.recipients).where(
            attempt.c.message == message_id, attempt.c.partner == partner, attempt.c.ended_at.is_(None)
        )
        lost = [one.id for one in tx.execute(going).all() if not recipients.isdisjoint(json.loads(one.recipients))]
        tx.execute(sa.update(attempt).where(attempt.c.id.in_(lost)).values(ended_at=now, outcome="interrupted"))
        events.append(tx, Event("attempt-interrupted", now, message_id, None, {"partner": partner}))
    _halt(tx, rows, now)
    return len(rows)


def stop(tx: Transaction, messages: Iterable[str], unit: str, effect: changes.Effect, by: str, now: datetime) -> None:
    """Stop the deliveries of *messages* to *unit* (`EVERY`: to all), by the change *by*: they go no more, nor are replayed.

    What waits or is held dies, and nothing failed, so it is no fact.  What is being sent is marked, and dies if it comes
    back; what is dead is marked.  What was fetched or delivered is beyond recall: only the change itself reaches it.
    """
    query = sa.select(table).where(table.c.message.in_(list(messages)), table.c.stopped.is_(None))
    if unit != changes.EVERY:
        query = query.where(table.c.recipient == unit)
    reason = changes.reason(effect, by)
    for row in tx.execute(query.order_by(table.c.id).with_for_update()).all():
        becomes = changes.stop(State(row.state))
        if becomes is None:
            continue
        tx.execute(sa.update(table).where(table.c.id == row.id).values(stopped=reason))
        body = {"recipient": row.recipient, "partner": row.partner, "reason": reason}
        if becomes == row.state:
            events.append(tx, Event("delivery-marked", now, row.message, row.id, body))
        else:
            _die(tx, row, reason, now)


def _halt(tx: Transaction, rows: Iterable[sa.Row[tuple[object, ...]]], now: datetime) -> None:
    """Let die what came back from an attempt to wait, and was stopped meanwhile."""
    for row in rows:
        if row.stopped is not None:
            _die(tx, row, row.stopped, now)


def _die(tx: Transaction, row: sa.Row[tuple[object, ...]], reason: str, now: datetime) -> None:
    tx.execute(sa.update(table).where(table.c.id == row.id).values(state=State.DEAD, reason=reason, changed_at=now))
    body = {"recipient": row.recipient, "partner": row.partner, "reason": reason}
    events.append(tx, Event("delivery-dead", now, row.message, row.id, body))


def alarm(tx: Transaction, now: datetime, after: timedelta, limit: int = 500) -> int:
    """Tell of up to *limit* deliveries that nobody has fetched and confirmed for as long as *after*, once each.

    Their state does not change.  Returns how many were told of.
    """
    late = sa.and_(
        table.c.state.in_([State.HELD, State.FETCHED]), table.c.alarmed_at.is_(None), table.c.since <= now - after
    )
    rows = tx.execute(sa.select(table).where(late).order_by(table.c.since).limit(limit).with_for_update()).all()
    for row in rows:
        tx.execute(sa.update(table).where(table.c.id == row.id).values(alarmed_at=now))
        body = {"recipient": row.recipient, "partner": row.partner, "state": row.state}
        events.append(tx, Event("delivery-overdue-held", now, row.message, row.id, body))
    return len(rows)


def pending(tx: Transaction, partner: str, unit: str, limit: int, now: datetime) -> list[str]:
    """Return the messages that wait for *partner* to fetch and confirm them for *unit*, the oldest first.

    A timed one is among them from its hour.  The oldest delivery first is also the order of their lanes.
    """
    query = (
        sa.select(table.c.message)
        .where(
            table.c.partner == partner,
            table.c.state.in_([State.HELD, State.FETCHED]),
            table.c.due <= now,
            sa.or_(table.c.recipient == unit, table.c.via == unit),
        )
        .group_by(table.c.message)
        .order_by(sa.func.min(table.c.id))
        .limit(limit)
    )
    return list(tx.scalars(query))


def fetch(tx: Transaction, partner: str, message_id: str, now: datetime, *, fresh: bool = True) -> sa.RowMapping:
    """Return the message row for *partner*, whose held deliveries of it become `fetched`.

    Raises `Rejected` (`document-not-found`) when no living delivery of it is the partner's, or its hour has not come;
    `replayed` when the call is not *fresh* and one of them is held.
    """
    rows = [row for row in _of_partner(tx, partner, message_id) if row.state != State.HELD or row.due <= now]
    if not rows:
        raise Rejected(Problem("document-not-found", message_id))
    if not fresh and any(row.state == State.HELD for row in rows):
        raise replayed(message_id)
    for row in rows:
        if row.state == State.HELD:
            tx.execute(sa.update(table).where(table.c.id == row.id).values(state=State.FETCHED, changed_at=now))
            body = {"recipient": row.recipient, "partner": partner}
            events.append(tx, Event("delivery-fetched", now, message_id, row.id, body))
    return tx.execute(sa.select(message).where(message.c.id == message_id)).mappings().one()


def confirm(
    tx: Transaction, partner: str, message_id: str, unit: str | None, now: datetime, *, fresh: bool = True
) -> None:
    """Make the partner's fetched deliveries of a message `delivered`: those of *unit*, or all.  Repeating it changes nothing.

    Raises `Rejected`: `document-not-found`; `not-fetched` when one of them is still `held`; `replayed` when the call is not
    *fresh* and one of them is fetched.
    """
    rows = [row for row in _of_partner(tx, partner, message_id) if unit in (None, row.recipient, row.via)]
    if not rows:
        raise Rejected(Problem("document-not-found", message_id))
    held = [row.recipient for row in rows if row.state not in (State.FETCHED, State.DELIVERED)]
    if held:
        raise Rejected(Problem("not-fetched", f"{message_id}: {', '.join(held)}"))
    if not fresh and any(row.state == State.FETCHED for row in rows):
        raise replayed(message_id)
    for row in rows:
        if row.state == State.FETCHED:
            tx.execute(sa.update(table).where(table.c.id == row.id).values(state=State.DELIVERED, changed_at=now))
            end(tx, message_id, row.id, row.recipient, partner, State.DELIVERED, now, None)


def _of_partner(tx: Transaction, partner: str, message_id: str) -> Sequence[sa.Row[tuple[object, ...]]]:
    rows = tx.execute(
        sa.select(table)
        .where(table.c.message == message_id, table.c.partner == partner, table.c.state != State.DEAD)
        .order_by(table.c.id)
        .with_for_update()
    ).all()
    if not rows:
        raise Rejected(Problem("document-not-found", message_id))
    return rows


def revive(tx: Transaction, dead: Delivery, state: State, *, reason: str, by: str, now: datetime) -> bool:
    """Put a dead delivery back to *state* (`waiting`, or `held`) by a person's replay.

    False when it is not dead any more, or stopped by a change.
    """
    fresh = {"due": now, "since": now, "turn": turn(now, dead.urgency), "alarmed_at": None}
    moved = tx.execute(
        sa.update(table)
        .where(table.c.id == dead.id, table.c.state == State.DEAD, table.c.stopped.is_(None))
        .values(state=state, changed_at=now, reason=None, holder=None, lease_until=None, **fresh)
    ).rowcount
    if moved:
        store.ring(tx)
        body = {"recipient": dead.recipient, "partner": dead.partner, "reason": reason, "by": by}
        events.append(tx, Event("delivery-replayed", now, dead.message, dead.id, body))
    return bool(moved)
