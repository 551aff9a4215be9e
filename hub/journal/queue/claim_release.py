"""Claims that are given back: by their owner, or because their node is lost; not how they are settled."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent, judge_interruption, move_delivery
from hub.domain.model import DeliveryState, Event
from hub.journal import events, nodes
from hub.journal.queue import lanes
from hub.journal.queue.claims import Claim, describe_verdict, make_move_statement
from hub.journal.queue.deliveries import halt_deliveries
from hub.journal.queue.delivery_ends import lock_deliveries, record_delivery_end
from hub.store import transactions
from hub.store.tables import SENDING, attempt
from hub.store.tables import delivery as table
from hub.store.transactions import Transaction


def release_lost_claims(
    tx: Transaction,
    now: datetime,
    *,
    alone: bool = False,
    first: bool = False,
    holder: str = "",
    under_way: Collection[str] = (),
) -> int:
    """Release claims that will never be settled, and return the number of deliveries released.

    These are claims of nodes that are dead, and claims of *holder*, this node, except the deliveries *under_way*. This
    node holds such a claim from before a crash, or because it never learned that the claim was committed. When this
    node is *alone*, every claim is lost. A live node keeps its claim however long the conversation takes. The lease
    decides only for a holder that never recorded a heartbeat.

    An interrupted attempt does not count. A delivery that another transaction is about to move is left to it, or to the
    next run. *first* is the first run since this node started: what the node holds then is from a process that crashed,
    because an orderly stop releases everything.
    """
    ours = sa.and_(table.c.holder == holder, table.c.id.not_in(under_way))
    dead = table.c.holder.in_(nodes.select_ended_nodes(nodes.read_node_time(tx, now)))
    silent = sa.and_(table.c.holder.not_in(nodes.select_node_names()), table.c.lease_until < now)
    others = sa.and_(table.c.holder != holder, sa.or_(dead, silent))
    lost = sa.true() if alone else sa.or_(ours, others)
    but, over = None if alone or first else holder, None if alone else holder
    return _give_back(tx, sa.and_(SENDING, lost), now, but=but, over=over, waits=False)


def release_claim(tx: Transaction, claim: Claim, now: datetime, *, begun: bool = True) -> int:
    """Release a claim of this node that it will not finish. The attempt does not count.

    If it was *begun*, the partner may have the message.
    Deliveries that were already released and claimed again belong to the new claim and are left alone.
    """
    going = sa.exists().where(attempt.c.id == claim.attempt, attempt.c.ended_at.is_(None))
    ours = sa.and_(
        table.c.id.in_(claim.deliveries), table.c.state == DeliveryState.SENDING, table.c.holder == claim.holder
    )
    busy = None if begun else claim.busy
    return _give_back(tx, sa.and_(ours, going), now, but=claim.holder, over=claim.holder, busy=busy, begun=begun)


def _interrupt_attempts(
    tx: Transaction, rows: Sequence[sa.Row[Any]], now: datetime, but: str | None
) -> dict[tuple[str, str, str], datetime]:
    """End the attempts of the deliveries *rows*. Return when each began, by message, partner and recipient.

    Their holders have crashed, except the holder *but*.
    """
    given: dict[tuple[str, str, bool], set[str]] = {}
    since: dict[tuple[str, str, str], datetime] = {}
    for row in rows:
        given.setdefault((row.message, row.partner, row.holder != but), set()).add(row.recipient)
    for (message_id, partner, crashed), recipients in given.items():
        # Other deliveries of the message may be part of a separate attempt, which continues.
        going = sa.select(attempt.c.id, attempt.c.recipients, attempt.c.started_at).where(
            attempt.c.message == message_id, attempt.c.partner == partner, attempt.c.ended_at.is_(None)
        )
        lost = []
        for one in tx.execute(going).all():
            if mine := recipients.intersection(json.loads(one.recipients)):
                lost.append(one.id)
                since |= {(message_id, partner, each): one.started_at for each in mine}
        tx.execute(sa.update(attempt).where(attempt.c.id.in_(lost)).values(ended_at=now, outcome="interrupted"))
        said = {"partner": partner, "crashed": crashed}
        events.append_events(tx, Event("attempt-interrupted", now, message_id, None, said))
    return since


def _give_back(
    tx: Transaction,
    which: sa.ColumnElement[bool],
    now: datetime,
    *,
    but: str | None,
    over: str | None,
    busy: datetime | None = None,
    waits: bool = True,
    begun: bool = True,
) -> int:
    """Release the deliveries *which*. Their holders have crashed, except the holder *but*.

    If their attempts may have *begun*, their partners may have them. What *over* (None: anyone) was sending is certainly
    over, for it is the holder itself that knows this. Another holder may live and be cut off from the journal only:
    then its calls go on, as long as a conversation may take. *busy*: see `Claim.busy`.
    """
    rows = lock_deliveries(tx, which, waits=waits)
    if not rows:
        return 0
    transactions.notify_nodes(tx)
    since = _interrupt_attempts(tx, rows, now, but)
    back = []
    for row in rows:
        again = AttemptVerdict(DeliveryState.WAITING, None, now, counts=False, crashes=row.crashes)
        verdict = again if row.holder == but else judge_interruption(now, row.crashes + 1)
        state = move_delivery(DeliveryState.SENDING, DeliveryEvent.RESCUE, verdict.state)
        values = describe_verdict(verdict) | {
            "reason": verdict.reason or row.reason,
            "changed_at": now,
            "state": state,
        }
        values["lease_until"] = row.lease_until if over is not None and row.holder != over else busy
        if begun:
            # not the time of the last change: a status may have come before the answer
            values["unsure"] = since.get((row.message, row.partner, row.recipient), row.changed_at)
        moved = make_move_statement(tuple(values), uncounted=not verdict.counts)
        _ = moved.run(tx, {"which": row.id, **values})
        if state is DeliveryState.WAITING:
            back.append(row)
        else:
            record_delivery_end(
                tx, row.message, row.id, row.recipient, row.partner, state, now, verdict.reason, again=row.again
            )
    halt_deliveries(tx, back, now)
    lanes.free_next_in_lane(tx, [(row.lane, row.recipient) for row in rows])
    return len(rows)
