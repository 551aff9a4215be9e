"""Repairs times in deliveries and partner states that were written by a clock that was ahead.

After a clock was set back, or a node whose clock was ahead died, deliveries may be due, or leased, at a future time
that has no reason. They would wait until the clocks reach it. The repair runs when a node starts and when its clock was
set. It does not know why a clock was wrong or whose it was.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from hub.domain.model import DeliveryState
from hub.store.tables import FETCHABLE, FREE, SENDING, partner_state
from hub.store.tables import delivery as table
from hub.store.transactions import Transaction

#: Clocks of nodes may differ by this much without a repair.
SLACK = timedelta(seconds=1)


def requeue_future_deliveries(tx: Transaction, now: datetime, limit: int = 500) -> int:
    """Move up to *limit* deliveries that were changed after *now* back to *now*. Return their number.

    Each keeps its remaining wait, counted from *now*. The set hour of a timed document stays as its sender wrote it.
    """
    ahead = table.c.id.in_(_on_its_way(now + SLACK))
    rows = tx.execute(sa.select(table).where(ahead).order_by(table.c.id).limit(limit).with_for_update()).all()
    for row in rows:
        by = row.changed_at - now
        timed = row.attempts == 0 and row.due == row.since and row.due > row.changed_at
        due, since = (row.due, row.since) if timed else (min(row.due, row.due - by), min(row.since, now))
        lease = row.lease_until and row.lease_until - by
        unsure = row.unsure and min(row.unsure, now)
        moved = {"due": due, "since": since, "lease_until": lease, "changed_at": now, "unsure": unsure}
        tx.execute(sa.update(table).where(table.c.id == row.id).values(moved))
    return len(rows)


def _on_its_way(after: datetime) -> sa.CompoundSelect[tuple[str]]:
    """Return the query for undelivered deliveries that were changed after a time.

    It uses the indexes that contain only undelivered rows, not the delivered ones: heads of lanes and what waits behind
    them, deliveries being sent, deliveries to be fetched.
    """
    found = [sa.select(table.c.id).where(each, table.c.changed_at > after) for each in (FREE, SENDING, FETCHABLE)]
    sent = sa.and_(SENDING, table.c.lease_until.is_not(None))  # this column selects the index of deliveries being sent
    lanes = sa.union(*(sa.select(table.c.lane, table.c.recipient).where(each) for each in (FREE, sent))).subquery()
    mate = table.alias("mate")
    same = sa.and_(mate.c.lane == lanes.c.lane, mate.c.recipient == lanes.c.recipient)
    behind = sa.and_(same, mate.c.state == DeliveryState.WAITING, mate.c.changed_at > after)
    # An outer join, so that SQLite does not start with all deliveries. The NULLs match no id.
    found.append(sa.select(mate.c.id).select_from(lanes.outerjoin(mate, behind)))
    return sa.union(*found)


def requeue_future_probes(tx: Transaction, now: datetime, beyond: datetime) -> None:
    """Make the next probe or message due now for each partner whose time lies after *beyond*."""
    for column in (partner_state.c.until, partner_state.c.next_at):
        tx.execute(sa.update(partner_state).where(column > beyond).values({column: now}))
