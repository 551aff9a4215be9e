"""The delivery rows: the queue itself.  Knows how they are made, claimed, settled, fetched, confirmed; not adapters or time.

Each function is one step of one transaction.  Every step that moves a delivery checks the state it leaves, so a step that
comes late (a lease that was lost, an answer after a replay) moves nothing.
"""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
import sqlalchemy as sa

from hub import breaker, changes, events, lanes, ledger, nodes, partners, store
from hub.breaker import Breaker
from hub.errors import Rejected
from hub.ids import later, new_id
from hub.lifecycle import URGENCIES, Verdict, interrupted, move, turn
from hub.model import Delivery, Event, Kind, Problem, State
from hub.rate import Rate
from hub.routes import Route
from hub.schema import FETCHABLE, FREE, SENDING, UNALARMED, Instant, attempt, message, write_instant
from hub.schema import delivery as table
from hub.store import Transaction
from hub.window import replayed


@attrs.frozen(kw_only=True)
class Claim:
    """What one node has taken to send to one partner: one message and the deliveries of it that travel together."""

    attempt: str  #: id of the attempt row
    message: str
    partner: str
    lane: str
    deliveries: tuple[str, ...]
    recipients: tuple[str, ...]
    number: int  #: this is the n-th attempt
    crashes: int = 0  #: so many attempts before it, in a row, broke with the hub
    since: datetime
    holder: str


@attrs.frozen(kw_only=True)
class Exchange:
    """What went over the wire in an attempt: hashes of the last request and reply, and the reply's HTTP status."""

    request_sha256: str | None = None
    reply_sha256: str | None = None
    reply_status: int | None = None


#: A delivery that is made to wait; it tells whether it is the head of its lane.
_WAITS = sa.insert(table).values(free=lanes.IS_NEW).returning(table.c.free)


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
    lanes.lock(tx, lane, [route.recipient for route in routes if route.state is State.WAITING])
    # In the order of the recipients, and after all that is in the lane: its order must not hang on anyone's clock.
    last = _last(tx, lane, [route.recipient for route in routes])
    ids = sorted(new_id(later(last, now) if last else now) for _ in routes)
    behind, made = [], []
    for delivery_id, route in zip(ids, routes, strict=True):
        waits = route.state is State.WAITING
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
        elif not tx.execute(_WAITS, row | lanes.place(lane, route.recipient)).scalar_one():
            behind.append((lane, route.recipient))
        body = {"recipient": route.recipient, "partner": route.partner} | timed
        made.append(Event(f"delivery-{route.state}", now, message_id, delivery_id, body))
    lanes.put_back(tx, behind)
    events.append(tx, *made)
    if due <= now and any(route.state is State.WAITING for route in routes):
        store.ring(tx)
    return ids


def _last(tx: Transaction, lane: str, recipients: Iterable[str]) -> str | None:
    """Return the greatest id of the lane to any of *recipients*: one look into the index for each and each state, however long it is."""
    if tx.execute(sa.select(table.c.id).where(table.c.lane == lane).limit(1)).first() is None:
        return None
    found: list[str | None] = []
    for recipient in recipients:
        ours = [
            sa.and_(table.c.lane == lane, table.c.recipient == recipient, table.c.state == state) for state in State
        ]
        found += tx.execute(
            sa.select(*(sa.select(sa.func.max(table.c.id)).where(each).scalar_subquery() for each in ours))
        ).one()
    return max((each for each in found if each), default=None)


def of_message(tx: Transaction, message_id: str, *, to_move: bool = False) -> list[Delivery]:
    """Return the deliveries of a message, in the order they were made; locked against others when they are *to move*."""
    query = sa.select(table).where(table.c.message == message_id).order_by(table.c.id)
    return [read(row) for row in tx.execute(query.with_for_update() if to_move else query).mappings()]


def read(row: sa.RowMapping) -> Delivery:
    """Return the value of a delivery row."""
    fields = {field.name: row[field.name] for field in attrs.fields(Delivery)}
    return Delivery(**fields | {"state": State(row["state"])})


@attrs.frozen
class Queue:
    """What waits for one partner: the heads of its lanes."""

    partner: str
    oldest: datetime | None  #: since when something is due; None: nothing is
    next_due: datetime | None  #: when the next is that is not due yet


def _queues() -> sa.Select[Any]:
    """Return the look at all queues: of each partner (found one after the other, by the index) and each urgency the least times."""
    first, other, now = table.alias("first"), table.alias("other"), sa.bindparam("now", type_=Instant)
    names = sa.select(sa.select(sa.func.min(first.c.partner)).where(first.c.free).scalar_subquery().label("partner"))
    found = names.cte("found", recursive=True)
    after = sa.select(sa.func.min(other.c.partner)).where(other.c.free, other.c.partner > found.c.partner)
    found = found.union_all(sa.select(after.scalar_subquery()).where(found.c.partner.is_not(None)))
    ours = [sa.and_(table.c.partner == found.c.partner, FREE, table.c.urgency == each) for each in URGENCIES]
    least = [sa.select(sa.func.min(table.c.due)).where(one, table.c.due <= now).scalar_subquery() for one in ours]
    later = [sa.select(sa.func.min(table.c.due)).where(one, table.c.due > now).scalar_subquery() for one in ours]
    return sa.select(found.c.partner, *least, *later).where(found.c.partner.is_not(None))


_QUEUES = _queues()


def queues(tx: Transaction, now: datetime) -> list[Queue]:
    """Return the queue of each partner that anything waits for.  Looks at a few rows of each, however many there are."""
    half = 1 + len(URGENCIES)
    rows = tx.execute(_QUEUES, {"now": now})
    return [Queue(row[0], _least(row[1:half]), _least(row[half:])) for row in rows]


def _least(times: Iterable[datetime | None]) -> datetime | None:
    return min((at for at in times if at is not None), default=None)


def claim(
    tx: Transaction,
    partner: str,
    now: datetime,
    *,
    limit: int,
    holder: str,
    lease: timedelta,
    concurrency: int | None = None,
    rate: Rate | None = None,
) -> list[Claim]:
    """Take up to *limit* due messages for *partner* by their turns; what is due and free of one message travels together.

    Each becomes `sending`, held by *holder* until the lease ends, and counts one attempt before the call goes out.  Nothing is taken
    while the partner is paused, its breaker is open, as many as its *concurrency* are under way from all nodes, its *rate* is used
    up, or another node is just taking.
    """
    before = partners.seize(tx, partner)
    if before is None or before.pause is not None:
        return []
    under_way = partners.under_way(tx).get(partner, 0)
    most = min(limit, breaker.room(before.breaker, now, under_way, concurrency or under_way + limit))
    if rate is not None:
        most = min(most, rate.allows(before.next_at, now))
    rows = _next_to_go(tx, partner, now, most) if most > 0 else {}
    if not rows:
        return []
    taken = [_taken(holder, now, *each) for each in rows.items()]
    tx.execute(
        sa.update(table)
        .where(table.c.id.in_([each for claim in taken for each in claim.deliveries]))
        .values(
            state=move(State.WAITING, "claim"),
            free=False,
            attempts=table.c.attempts + 1,
            holder=holder,
            lease_until=now + lease,
            changed_at=now,
        )
    )
    tx.execute(sa.insert(attempt), [_begun(claim, now) for claim in taken])
    events.append(tx, *(Event("attempt-started", now, claim.message, None, _told(claim)) for claim in taken))
    next_at = rate.after(before.next_at, now, len(taken)) if rate else before.next_at
    partners.keep(tx, partner, before, attrs.evolve(before, breaker=breaker.claimed(before.breaker), next_at=next_at))
    return taken


_Rows = list[sa.Row[tuple[object, ...]]]


def _earliest() -> sa.CompoundSelect[Any]:
    """Return the look at the heads of a partner that are due: of each urgency the index gives the earliest due."""
    partner, most = sa.bindparam("code", type_=sa.Text), sa.bindparam("most", type_=sa.Integer)
    now = sa.bindparam("now", type_=Instant)
    ways = []
    for urgency in URGENCIES:
        ours = sa.and_(table.c.partner == partner, FREE, table.c.urgency == urgency, table.c.due <= now)
        each = sa.select(table.c.due, table.c.message, sa.literal_column(str(urgency)).label("urgency")).where(ours)
        each = each.group_by(table.c.due, table.c.message).order_by(table.c.due, table.c.message).limit(most)
        ways.append(sa.select(each.subquery()))
    return sa.union_all(*ways)


_EARLIEST = _earliest()
#: The same conditions, but so written that SQLite looks at the messages' deliveries, not at the whole queue again.
_TO_GO = (
    sa.select(table)
    .where(
        table.c.message.in_(sa.bindparam("messages", expanding=True)),
        sa.func.coalesce(table.c.partner, "") == sa.bindparam("code"),
        sa.func.coalesce(table.c.free, sa.false()),
        table.c.due <= sa.bindparam("now", type_=Instant),
    )
    .order_by(table.c.id)
    .with_for_update(skip_locked=True)
)


def _next_to_go(tx: Transaction, partner: str, now: datetime, most: int) -> dict[str, _Rows]:
    """Return the rows of up to *most* messages that are next, locked, by message and in their turns."""
    found = tx.execute(_EARLIEST, {"code": partner, "now": now, "most": 4 * most}).all()
    found = sorted(found, key=lambda row: (turn(row.due, row.urgency), row.message))
    messages = list(dict.fromkeys(row.message for row in found))[:most]
    if not messages:
        return {}
    rows: dict[str, _Rows] = {name: [] for name in messages}
    for row in tx.execute(_TO_GO, {"code": partner, "now": now, "messages": messages}):
        rows[row.message].append(row)
    return {name: locked for name, locked in rows.items() if locked}


def _taken(holder: str, now: datetime, message_id: str, rows: _Rows) -> Claim:
    return Claim(
        attempt=new_id(now),
        message=message_id,
        partner=rows[0].partner,
        lane=rows[0].lane,
        deliveries=tuple(row.id for row in rows),
        recipients=tuple(row.recipient for row in rows),
        number=max(row.attempts for row in rows) + 1,
        crashes=max(row.crashes for row in rows),
        since=min(row.since for row in rows),
        holder=holder,
    )


def _begun(claim: Claim, now: datetime) -> dict[str, object]:
    named = {"message": claim.message, "partner": claim.partner, "number": claim.number}
    return {"id": claim.attempt, **named, "recipients": json.dumps(claim.recipients), "started_at": now}


def _told(claim: Claim) -> dict[str, object]:
    return {"partner": claim.partner, "number": claim.number, "recipients": claim.recipients}


_held_by_us = sa.and_(
    table.c.id.in_(sa.bindparam("ids", expanding=True)),
    table.c.state == State.SENDING,
    table.c.holder == sa.bindparam("node"),
)
_MINE = sa.select(table).where(_held_by_us).order_by(table.c.id).with_for_update()
_STILL_GOING = sa.update(attempt).where(attempt.c.id == sa.bindparam("which"), attempt.c.ended_at.is_(None))


def settle(
    tx: Transaction,
    claim: Claim,
    outcome: str,
    verdict: Verdict,
    exchange: Exchange,
    now: datetime,
    *,
    heard: Callable[[Breaker], Breaker] | None = None,
) -> bool:
    """Write what became of an attempt.  False, and no delivery moves, when the claim was lost meanwhile.

    *heard* is what it says of the partner: a transition of its breaker (hub.breaker); None when it says nothing.
    """
    lanes.lock(tx, claim.lane, claim.recipients)
    mine = {"ids": claim.deliveries, "node": claim.holder}
    held = tx.execute(_MINE, mine).all()
    said = {"ended_at": now, "outcome": outcome, "detail": verdict.reason} | attrs.asdict(exchange)
    still_ours = tx.execute(_STILL_GOING, said | {"which": claim.attempt}).rowcount
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
    state = move(State.SENDING, outcome, verdict.state)
    values = _after(verdict) | {"reason": verdict.reason, "changed_at": now}
    tx.execute(sa.update(table).where(_held_by_us).values(state=state, **values), mine)
    said = {"partner": claim.partner, "number": claim.number, "outcome": outcome, "reason": verdict.reason}
    events.append(tx, Event("attempt-ended", now, claim.message, None, said))
    if state is State.WAITING:
        _halt(tx, rows, now)
    else:
        for row in rows:
            end(tx, claim.message, row.id, row.recipient, row.partner, state, now, verdict.reason)
    lanes.free_next(tx, [(row.lane, row.recipient) for row in rows])
    if heard is not None:
        partners.hear(tx, claim.partner, heard, now)
    return True


def _after(verdict: Verdict) -> dict[str, object]:
    """Return the values of a delivery that nobody holds any more."""
    values: dict[str, object] = {"crashes": verdict.crashes, "holder": None, "lease_until": None}
    if verdict.due is not None:
        values["due"] = verdict.due
    return values if verdict.counts else values | {"attempts": table.c.attempts - 1}


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
    return _give_back(tx, sa.and_(SENDING, lost), now, but=None if alone else holder, waits=False)


def give_back(tx: Transaction, claim: Claim, now: datetime) -> int:
    """Give back what this node had claimed and will not finish.  The attempt does not count.

    What was given back already, and claimed anew, belongs to the new claim.
    """
    going = sa.exists().where(attempt.c.id == claim.attempt, attempt.c.ended_at.is_(None))
    ours = sa.and_(table.c.id.in_(claim.deliveries), table.c.state == State.SENDING, table.c.holder == claim.holder)
    return _give_back(tx, sa.and_(ours, going), now, but=claim.holder)


def _give_back(
    tx: Transaction, which: sa.ColumnElement[bool], now: datetime, *, but: str | None, waits: bool = True
) -> int:
    """Give back *which* deliveries; whoever held them has crashed, *but* this one has not."""
    rows = _locked(tx, which, waits=waits)
    if not rows:
        return 0
    store.ring(tx)
    given: dict[tuple[str, str, bool], set[str]] = {}
    for row in rows:
        given.setdefault((row.message, row.partner, row.holder != but), set()).add(row.recipient)
    for (message_id, partner, crashed), recipients in given.items():
        # Another part of the message may be under way in an attempt of its own, which goes on.
        going = sa.select(attempt.c.id, attempt.c.recipients).where(
            attempt.c.message == message_id, attempt.c.partner == partner, attempt.c.ended_at.is_(None)
        )
        lost = [one.id for one in tx.execute(going).all() if not recipients.isdisjoint(json.loads(one.recipients))]
        tx.execute(sa.update(attempt).where(attempt.c.id.in_(lost)).values(ended_at=now, outcome="interrupted"))
        said = {"partner": partner, "crashed": crashed}
        events.append(tx, Event("attempt-interrupted", now, message_id, None, said))
    back = []
    for row in rows:
        again = Verdict(State.WAITING, None, now, counts=False, crashes=row.crashes)
        verdict = again if row.holder == but else interrupted(now, row.crashes + 1)
        state = move(State.SENDING, "rescue", verdict.state)
        values = _after(verdict) | {"reason": verdict.reason or row.reason, "changed_at": now}
        tx.execute(sa.update(table).where(table.c.id == row.id).values(state=state, **values))
        if state is State.WAITING:
            back.append(row)
        else:
            end(tx, row.message, row.id, row.recipient, row.partner, state, now, verdict.reason)
    _halt(tx, back, now)
    lanes.free_next(tx, [(row.lane, row.recipient) for row in rows])
    return len(rows)


def stop(tx: Transaction, messages: Iterable[str], unit: str, effect: changes.Effect, by: str, now: datetime) -> None:
    """Stop the deliveries of *messages* to *unit* (`EVERY`: to all), by the change *by*: they go no more, nor are replayed.

    What waits or is held dies, and nothing failed, so it is no fact.  What is being sent is marked, and dies if it comes
    back; what is dead is marked.  What was fetched or delivered is beyond recall: only the change itself reaches it.
    """
    which = sa.and_(table.c.message.in_(list(messages)), table.c.stopped.is_(None))
    if unit != changes.EVERY:
        which = sa.and_(which, table.c.recipient == unit)
    reason, ended = changes.reason(effect, by), []
    for row in _locked(tx, which):
        becomes = changes.stop(State(row.state))
        if becomes is None:
            continue
        tx.execute(sa.update(table).where(table.c.id == row.id).values(stopped=reason))
        body = {"recipient": row.recipient, "partner": row.partner, "reason": reason}
        if becomes == row.state:
            events.append(tx, Event("delivery-marked", now, row.message, row.id, body))
        else:
            _die(tx, row, State(row.state), reason, now)
            ended.append((row.lane, row.recipient))
    lanes.free_next(tx, ended)


def expire(tx: Transaction, partner: str, now: datetime, give_up: timedelta, reason: str, limit: int = 200) -> int:
    """Let die what has waited longer than *give_up* for a partner that is unavailable, though nobody tries it: up to *limit* heads.

    They have what the probes have: no answer, by *reason*.  What was tried lately is left to its own next try.
    """
    over = [
        sa.select(table.c.id).where(
            table.c.partner == partner, FREE, table.c.urgency == urgency, table.c.due <= now - give_up
        )
        for urgency in URGENCIES
    ]
    ids = [found for one in over for found in tx.scalars(one.order_by(table.c.due).limit(limit))][:limit]
    rows = _locked(tx, sa.and_(table.c.id.in_(ids), FREE))
    for row in rows:
        said = f"given up: {reason}"
        dead = {"state": move(State(row.state), "give up"), "free": False, "reason": said, "changed_at": now}
        tx.execute(sa.update(table).where(table.c.id == row.id).values(dead))
        end(tx, row.message, row.id, row.recipient, row.partner, State.DEAD, now, said)
    lanes.free_next(tx, [(row.lane, row.recipient) for row in rows])
    return len(rows)


def _locked(tx: Transaction, which: sa.ColumnElement[bool], *, waits: bool = True) -> _Rows:
    """Return *which* deliveries in the order they were made, their lanes and then they locked against others.

    Unless it *waits*, those that another transaction has are left out.
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


def _halt(tx: Transaction, rows: Iterable[sa.Row[tuple[object, ...]]], now: datetime) -> None:
    """Let die what came back from an attempt to wait, and was stopped meanwhile."""
    for row in rows:
        if row.stopped is not None:
            _die(tx, row, State.WAITING, row.stopped, now)


def _die(tx: Transaction, row: sa.Row[tuple[object, ...]], state: State, reason: str, now: datetime) -> None:
    dead = {"state": move(state, "stop", State.DEAD), "free": False, "reason": reason, "changed_at": now}
    tx.execute(sa.update(table).where(table.c.id == row.id).values(dead))
    body = {"recipient": row.recipient, "partner": row.partner, "reason": reason}
    events.append(tx, Event("delivery-dead", now, row.message, row.id, body))


def alarm(tx: Transaction, now: datetime, after: timedelta, limit: int = 500) -> int:
    """Tell of up to *limit* deliveries that nobody has fetched and confirmed for as long as *after*, once each.

    Their state does not change.  Returns how many were told of.
    """
    late = sa.and_(UNALARMED, table.c.since <= now - after)
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
            FETCHABLE,
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
            tx.execute(
                sa.update(table).where(table.c.id == row.id).values(state=move(State.HELD, "fetch"), changed_at=now)
            )
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
            tx.execute(
                sa.update(table)
                .where(table.c.id == row.id)
                .values(state=move(State.FETCHED, "confirm"), changed_at=now)
            )
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
    waits = state is State.WAITING
    if waits:
        lanes.lock(tx, dead.lane, [dead.recipient])
    fresh = {"due": now, "since": now, "alarmed_at": None, "crashes": 0}
    moved = tx.execute(
        sa.update(table)
        .where(table.c.id == dead.id, table.c.state == State.DEAD, table.c.stopped.is_(None))
        .values(
            state=move(State.DEAD, "replay", state), changed_at=now, reason=None, holder=None, lease_until=None, **fresh
        )
    ).rowcount
    if moved:
        store.ring(tx)
        if waits:
            lanes.put_back(tx, [(dead.lane, dead.recipient)])
        body = {"recipient": dead.recipient, "partner": dead.partner, "reason": reason, "by": by}
        events.append(tx, Event("delivery-replayed", now, dead.message, dead.id, body))
    return bool(moved)


def give_up(tx: Transaction, waiting: Delivery, *, reason: str, by: str, now: datetime) -> bool:
    """Let a waiting delivery die by a person's word; it failed, as when its time is over.  False when it does not wait any more."""
    lanes.lock(tx, waiting.lane, [waiting.recipient])
    said = f"given up by {by}: {reason}"
    moved = tx.execute(
        sa.update(table)
        .where(table.c.id == waiting.id, table.c.state == State.WAITING)
        .values(state=move(State.WAITING, "give up"), free=False, reason=said, changed_at=now)
    ).rowcount
    if moved:
        end(tx, waiting.message, waiting.id, waiting.recipient, waiting.partner, State.DEAD, now, said)
        lanes.free_next(tx, [(waiting.lane, waiting.recipient)])
    return bool(moved)
