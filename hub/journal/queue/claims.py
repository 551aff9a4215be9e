"""Claims due deliveries, settles them and releases lost claims. Contains no adapter logic and asks no clock.

Each function is one step of one transaction. A claim that was lost, because its node was declared dead or the claim was
released, moves nothing.
"""

import json
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.ids import make_id
from hub.domain.lifecycle import URGENCIES, AttemptVerdict, DeliveryEvent, choose_queue_position, move_delivery
from hub.domain.model import HUB, DeliveryState, Event
from hub.journal import events
from hub.journal.queue import exchanges, lanes, outstanding_effects, partner_state
from hub.journal.queue.deliveries import halt_deliveries, make_doubled_event
from hub.journal.queue.delivery_ends import Rows, record_delivery_ends
from hub.partner import circuit_breaker
from hub.partner.circuit_breaker import Breaker
from hub.partner.kept_exchange import KeptExchange
from hub.partner.rate_limit import Rate
from hub.store.hot_statements import HotStatement
from hub.store.tables import FREE, Instant, attempt
from hub.store.tables import delivery as table
from hub.store.transactions import Transaction

#: The transition of a partner's breaker that an outcome means.
Heard = Callable[[Breaker], Breaker]


@attrs.frozen(kw_only=True)
class Claim:
    """One message that a node has claimed for one partner, with the deliveries that are sent together."""

    attempt: str  #: id of the attempt row
    message: str  #: hub id of the message
    partner: str
    lane: str
    deliveries: tuple[str, ...]  #: ids of the claimed deliveries
    recipients: tuple[str, ...]  #: their recipient units, in the same order
    number: int  #: attempt number, from 1
    crashes: int = 0  #: consecutive attempts before this one that a crash of the hub interrupted
    since: datetime  #: since when the oldest delivery waits
    holder: str  #: name of the node
    again: bool = False  #: a person sends it again to a recipient that had it
    named: tuple[str, ...] = ()  #: the recipients as the packet writes them, in the same order
    at: datetime | None = None  #: when it was claimed
    failed: bool = False  #: one of the deliveries was dead before, and counted as failed
    unsure: datetime | None = None  #: start of the latest attempt that ended without an answer; None: none did
    #: until when a node that was taken for dead may still be sending it, if it is not; None: no other node can be
    busy: datetime | None = None


@attrs.frozen(kw_only=True)
class AttemptExchange:
    """The traffic of an attempt: hashes of the last request and reply, the HTTP status, and what is kept of them."""

    request_sha256: str | None = None
    reply_sha256: str | None = None
    reply_status: int | None = None
    call_ms: int | None = None  #: from the last request to its reply, in milliseconds
    kept: KeptExchange | None = None


@attrs.frozen(eq=False)
class EndedAttempt:
    """How an attempt to send the deliveries of a claim ended: what `settle_claim` writes."""

    claim: Claim
    outcome: DeliveryEvent  #: what the partner, or its silence, means to the deliveries
    verdict: AttemptVerdict  #: what becomes of them
    exchange: AttemptExchange  #: what is kept of the traffic
    now: datetime  #: the end of the attempt
    #: the transition of the partner's breaker (hub.partner.circuit_breaker); None: the outcome shows nothing about it
    heard: Heard | None = None


@attrs.frozen
class PartnerQueue:
    """The waiting heads of the lanes of one partner."""

    partner: str
    oldest: datetime | None  #: due time of the oldest due delivery; None: nothing is due
    next_due: datetime | None  #: earliest due time in the future; None: nothing waits for later


def _make_queue_query() -> sa.Select[Any]:
    """Return the query for all queues: per partner and urgency, the earliest due time up to now and after now.

    The recursive part finds one partner after another in the index.
    """
    first, other, now = table.alias("first"), table.alias("other"), sa.bindparam("now", type_=Instant)
    names = sa.select(sa.select(sa.func.min(first.c.partner)).where(first.c.free).scalar_subquery().label("partner"))
    found = names.cte("found", recursive=True)
    after = sa.select(sa.func.min(other.c.partner)).where(other.c.free, other.c.partner > found.c.partner)
    found = found.union_all(sa.select(after.scalar_subquery()).where(found.c.partner.is_not(None)))
    ours = [sa.and_(table.c.partner == found.c.partner, FREE, table.c.urgency == each) for each in URGENCIES]
    least = [sa.select(sa.func.min(table.c.due)).where(one, table.c.due <= now).scalar_subquery() for one in ours]
    later = [sa.select(sa.func.min(table.c.due)).where(one, table.c.due > now).scalar_subquery() for one in ours]
    return sa.select(found.c.partner, *least, *later).where(found.c.partner.is_not(None))


_QUEUES = HotStatement(_make_queue_query())


def read_partner_queues(tx: Transaction, now: datetime) -> list[PartnerQueue]:
    """Return the queue of each partner with waiting deliveries. Reads a few rows per partner, whatever their number."""
    half = 1 + len(URGENCIES)
    rows = _QUEUES.read(tx, {"now": now})
    return [PartnerQueue(row[0], _find_earliest(row[1:half]), _find_earliest(row[half:])) for row in rows]


def _find_earliest(times: Iterable[datetime | None]) -> datetime | None:
    return min((at for at in times if at is not None), default=None)


def claim_deliveries(
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
    """Claim up to *limit* due messages for *partner* in queue order.

    The due free deliveries of one message are sent together.

    Each delivery becomes `sending`, held by *holder* for as long as that node is alive. The *lease* counts only for a
    holder that never recorded a heartbeat. The attempt is counted before the call is made. Nothing is claimed while the
    partner is paused, its breaker is open, its *concurrency* is reached over all nodes, its *rate* is used up, or
    another node is claiming for the partner.
    """
    before = partner_state.seize_partner(tx, partner)
    if before is None or before.pause is not None:
        return []
    under_way = partner_state.count_attempts_under_way(tx).get(partner, 0)
    most = min(
        limit, circuit_breaker.count_breaker_room(before.breaker, now, under_way, concurrency or under_way + limit)
    )
    if rate is not None:
        most = min(most, rate.allows(before.next_at, now))
    rows = _next_to_go(tx, partner, now, most) if most > 0 else {}
    if not rows:
        return []
    taken = [_make_claim(holder, now, *each) for each in rows.items()]
    claimed = {"which": [each for claim in taken for each in claim.deliveries]}
    _ = _CLAIM.run(tx, {**claimed, "node": holder, "until": now + lease, "now": now})
    _BEGIN.run_many(tx, [_describe_begun(claim, now) for claim in taken])
    events.append_events(
        tx, *(Event("attempt-started", now, claim.message, None, _describe_claim(claim)) for claim in taken)
    )
    next_at = rate.after(before.next_at, now, len(taken)) if rate else before.next_at
    partner_state.write_partner_standing(
        tx,
        partner,
        before,
        attrs.evolve(before, breaker=circuit_breaker.record_breaker_claims(before.breaker), next_at=next_at),
    )
    return taken


_CLAIM = HotStatement(
    sa.update(table)
    .where(table.c.id.in_(sa.bindparam("which", expanding=True)))
    .values(
        state=move_delivery(DeliveryState.WAITING, DeliveryEvent.CLAIM),
        free=False,
        attempts=table.c.attempts + 1,
        holder=sa.bindparam("node"),
        lease_until=sa.bindparam("until", type_=Instant),
        changed_at=sa.bindparam("now", type_=Instant),
    ),
    lists=("which",),
)
_BEGIN = HotStatement(sa.insert(attempt), keys=("id", "message", "partner", "number", "recipients", "started_at"))


def _make_head_query() -> sa.CompoundSelect[Any]:
    """Return the query for the due heads of a partner: for each urgency, the index yields the earliest due."""
    partner, most = sa.bindparam("code", type_=sa.Text), sa.bindparam("most", type_=sa.Integer)
    now = sa.bindparam("now", type_=Instant)
    ways = []
    for urgency in URGENCIES:
        ours = sa.and_(table.c.partner == partner, FREE, table.c.urgency == urgency, table.c.due <= now)
        each = sa.select(table.c.due, table.c.message, sa.literal_column(str(urgency)).label("urgency")).where(ours)
        each = each.group_by(table.c.due, table.c.message).order_by(table.c.due, table.c.message).limit(most)
        ways.append(sa.select(each.subquery()))
    return sa.union_all(*ways)


_EARLIEST = HotStatement(_make_head_query())


#: The same conditions in a form for which SQLite reads the deliveries of these messages, not the whole queue again.
_TO_GO = HotStatement(
    sa.select(table)
    .where(
        table.c.message.in_(sa.bindparam("messages", expanding=True)),
        sa.func.coalesce(table.c.partner, "") == sa.bindparam("code"),
        sa.func.coalesce(table.c.free, sa.false()),
        table.c.due <= sa.bindparam("now", type_=Instant),
    )
    .order_by(table.c.id)
    .with_for_update(skip_locked=True),
    lists=("messages",),
)


def _next_to_go(tx: Transaction, partner: str, now: datetime, most: int) -> dict[str, Rows]:
    """Return the locked rows of up to *most* next messages, by message in queue order."""
    found = _EARLIEST.read(tx, {"code": partner, "now": now, "most": 4 * most})
    found = sorted(found, key=lambda row: (choose_queue_position(row.due, row.urgency), row.message))
    messages = list(dict.fromkeys(row.message for row in found))[:most]
    if not messages:
        return {}
    rows: dict[str, Rows] = {name: [] for name in messages}
    stops = outstanding_effects.read_outstanding_effects(tx)
    for row in _TO_GO.read(tx, {"code": partner, "now": now, "messages": messages}):
        if row not in stops:
            rows[row.message].append(row)
    # recipients that were divided after a refusal are sent to one part after another
    return {name: [row for row in found if row.part == found[0].part] for name, found in rows.items() if found}


def _make_claim(holder: str, now: datetime, message_id: str, rows: Rows) -> Claim:
    return Claim(
        attempt=make_id(now),
        message=message_id,
        partner=rows[0].partner,
        lane=rows[0].lane,
        deliveries=tuple(row.id for row in rows),
        recipients=tuple(row.recipient for row in rows),
        number=max(row.attempts for row in rows) + 1,
        crashes=max(row.crashes for row in rows),
        since=min(row.since for row in rows),
        holder=holder,
        again=any(row.again for row in rows),
        named=tuple(row.named or row.recipient for row in rows),
        at=now,
        failed=any(row.failed for row in rows),
        unsure=min((row.unsure for row in rows if row.unsure is not None), default=None),
        busy=max((row.lease_until for row in rows if row.lease_until is not None), default=None),
    )


def _describe_begun(claim: Claim, now: datetime) -> dict[str, object]:
    named = {"message": claim.message, "partner": claim.partner, "number": claim.number}
    return {"id": claim.attempt, **named, "recipients": json.dumps(claim.recipients), "started_at": now}


def _describe_claim(claim: Claim) -> dict[str, object]:
    return {"partner": claim.partner, "number": claim.number, "recipients": claim.recipients}


_held_by_us = sa.and_(
    table.c.id.in_(sa.bindparam("ids", expanding=True)),
    table.c.state == DeliveryState.SENDING,
    table.c.holder == sa.bindparam("node"),
)


_MINE = HotStatement(sa.select(table).where(_held_by_us).order_by(table.c.id).with_for_update(), lists=("ids",))
_END = HotStatement(
    sa.update(attempt).where(attempt.c.id == sa.bindparam("which"), attempt.c.ended_at.is_(None)),
    keys=("ended_at", "outcome", "detail", "request_sha256", "reply_sha256", "reply_status", "call_ms"),
)
#: In these states a delivery would go on after its attempt. One that was stopped meanwhile dies instead.
_MAY_BE_STOPPED = frozenset({DeliveryState.WAITING, DeliveryState.SUSPENDED})
_KEEP = HotStatement(
    sa.update(attempt).where(attempt.c.id == sa.bindparam("which")), keys=("exchange", "exchange_octets", "varying")
)


def _end_attempt(
    tx: Transaction,
    claim: Claim,
    outcome: DeliveryEvent,
    verdict: AttemptVerdict,
    exchange: AttemptExchange,
    now: datetime,
) -> bool:
    """Write how the attempt of *claim* ended. Return False if it has ended before."""
    told = verdict.reason or verdict.word
    said: dict[str, object] = {"ended_at": now, "outcome": outcome, "detail": told, "call_ms": exchange.call_ms}
    said |= {"request_sha256": exchange.request_sha256, "reply_sha256": exchange.reply_sha256}
    said["reply_status"] = exchange.reply_status
    return bool(_END.run(tx, said | {"which": claim.attempt}))


def _is_settled(tx: Transaction, claim: Claim, outcome: DeliveryEvent, now: datetime) -> bool:
    """Tell whether this very step was committed before, but its result was lost. Else record that the claim was lost."""
    written = tx.execute(sa.select(attempt.c.ended_at, attempt.c.outcome).where(attempt.c.id == claim.attempt)).first()
    if written is not None and tuple(written) == (now, outcome):
        return True
    events.append_events(
        tx, Event("attempt-stale", now, claim.message, None, {"partner": claim.partner, "outcome": outcome})
    )
    return False


def settle_claim(tx: Transaction, ended: EndedAttempt) -> bool:
    """Record the result of an attempt. Return False, and move no delivery, when the claim was lost meanwhile."""
    claim, outcome, verdict, exchange, now = ended.claim, ended.outcome, ended.verdict, ended.exchange, ended.now
    lanes.lock_lanes(tx, claim.lane, claim.recipients)
    mine = {"ids": claim.deliveries, "node": claim.holder}
    held = _MINE.read(tx, mine)
    still_ours = _end_attempt(tx, claim, outcome, verdict, exchange, now)
    rows = held if still_ours else []
    if not rows:
        return _is_settled(tx, claim, outcome, now)
    if exchange.kept is not None:
        keeping = exchanges.keep_attempt_exchange(tx, claim.message, claim.partner, exchange.kept)
        columns = dict(zip(("exchange", "exchange_octets", "varying"), keeping.columns(), strict=True))
        _ = _KEEP.run(tx, columns | {"which": claim.attempt})
    state = move_delivery(DeliveryState.SENDING, outcome, verdict.state)
    values = describe_verdict(verdict) | {"reason": verdict.reason, "changed_at": now, "state": state}
    if state is DeliveryState.WAITING:
        values["lease_until"] = claim.busy
    parts = {name: f"{claim.attempt}.{number}" for number, group in enumerate(verdict.apart) for name in group}
    doubled = _list_doubled(tx, claim, outcome, verdict, rows)
    changes = [
        {
            **values,
            **({"part": parts[row.recipient]} if parts else {}),
            **_describe_doubt(claim, outcome, verdict, row, doubled),
        }
        for row in rows
    ]
    moved = make_move_statement(tuple(changes[0]), uncounted=not verdict.counts)
    moved.run_many(tx, [{"which": row.id, **change} for row, change in zip(rows, changes, strict=True)])
    events.append_events(tx, make_attempt_end(claim, outcome, verdict, now))
    events.append_events(tx, *(make_doubled_event(row, now) for row in rows if row.id in doubled))
    if state in _MAY_BE_STOPPED:
        halt_deliveries(tx, rows, now, state)
    if state is not DeliveryState.WAITING:
        finished = [row for row in rows if row.stopped is None or state not in _MAY_BE_STOPPED]
        record_delivery_ends(tx, claim.message, finished, claim.partner, state, now, verdict.reason)
    lanes.free_next_in_lane(tx, [(row.lane, row.recipient) for row in rows])
    if verdict.pauses:
        partner_state.pause_partner(tx, claim.partner, reason=verdict.reason or "", by=HUB, now=now)
    if ended.heard is not None:
        partner_state.move_breaker(tx, claim.partner, ended.heard, now)
    return True


def _describe_doubt(
    claim: Claim, outcome: DeliveryEvent, verdict: AttemptVerdict, row: Any, doubled: Collection[str]
) -> dict[str, object]:
    """Return what the delivery *row* is to say of what the partner may have; empty if nothing of it can have changed.

    All deliveries of a claim have the same columns.
    """
    if not (verdict.unsure or verdict.twice or verdict.ids or claim.unsure is not None):
        return {}
    if outcome is DeliveryEvent.ACCEPTED:
        return {"unsure": None, "twice": row.twice or row.id in doubled, "their_id": verdict.ids.get(row.recipient)}
    return {"unsure": claim.at if verdict.unsure else row.unsure, "twice": row.twice, "their_id": row.their_id}


def _list_doubled(
    tx: Transaction, claim: Claim, outcome: DeliveryEvent, verdict: AttemptVerdict, rows: Rows
) -> frozenset[str]:
    """Return the ids of the deliveries *rows* that may be there twice now.

    The adapter says so, or the earlier attempt was with another partner, of which this one knows nothing.
    """
    if outcome is not DeliveryEvent.ACCEPTED or (claim.unsure is None and not verdict.twice):
        return frozenset()
    if verdict.twice:
        return frozenset(row.id for row in rows)
    since = {row.unsure for row in rows if row.unsure is not None}
    ours = sa.and_(attempt.c.message == claim.message, attempt.c.partner == claim.partner)
    known = set(tx.scalars(sa.select(attempt.c.started_at).where(ours, attempt.c.started_at.in_(since))))
    return frozenset(row.id for row in rows if row.unsure is not None and row.unsure not in known)


def make_attempt_end(claim: Claim, outcome: DeliveryEvent, verdict: AttemptVerdict, now: datetime) -> Event:
    """Return the event of an attempt that ended."""
    told = {
        "partner": claim.partner,
        "number": claim.number,
        "outcome": outcome,
        "reason": verdict.reason or verdict.word,
    }
    return Event("attempt-ended", now, claim.message, None, told)


@cache
def make_move_statement(columns: tuple[str, ...], *, uncounted: bool) -> HotStatement:
    """Return the statement that ends the sending of the delivery `which`, a locked row, and writes *columns*.

    *uncounted*: the attempt does not count.
    """
    ends = sa.update(table).where(table.c.id == sa.bindparam("which"), table.c.state == DeliveryState.SENDING)
    if not uncounted:
        return HotStatement(ends, keys=columns)
    written = {name: sa.bindparam(name, type_=table.c[name].type) for name in columns}
    return HotStatement(ends.values({**written, "attempts": table.c.attempts - 1}))


def describe_verdict(verdict: AttemptVerdict) -> dict[str, object]:
    """Return the column values of a delivery that is no longer held."""
    values: dict[str, object] = {"crashes": verdict.crashes, "holder": None, "lease_until": None}
    if verdict.due is not None:
        values["due"] = verdict.due
    return values


def note_progress(tx: Transaction, claim: Claim, progress: str) -> None:
    """Write what of a long message is through. It is kept with the attempt, and goes when that goes."""
    if len(progress) > _LONGEST_PROGRESS:
        raise ValueError(f"{len(progress)} characters of progress")
    tx.execute(
        sa.update(attempt).where(attempt.c.id == claim.attempt, attempt.c.ended_at.is_(None)), {"progress": progress}
    )


#: Characters of `Request.progress`.
_LONGEST_PROGRESS = 4000
