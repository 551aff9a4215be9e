"""What a clock wrote that was ahead of ours.  Knows times in the rows of deliveries and partners; not why a clock was wrong, nor whose it was.

A clock that is set back, or a node whose clock was ahead and died, leaves deliveries that are due, or held under a lease, in a
future that is nobody's: they would wait until the clocks come there.  They are looked for when a node starts, and when its clock was set.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from hub.domain.model import DeliveryState
from hub.store.tables import FETCHABLE, FREE, SENDING, partner_state
from hub.store.tables import delivery as table
from hub.store.transactions import Transaction

#: Clocks of nodes may differ by so much: nothing is done about it.
SLACK = timedelta(seconds=1)


def bring_back(tx: Transaction, now: datetime, limit: int = 500) -> int:
    """Move up to *limit* deliveries that were changed after *now* back to it, with what they wait for.  Returns how many.

    Each waits as long from *now* as it was to wait when it was changed; the hour of a timed document stays what its sender wrote.
    """
    ahead = table.c.id.in_(_on_its_way(now + SLACK))
    rows = tx.execute(sa.select(table).where(ahead).order_by(table.c.id).limit(limit).with_for_update()).all()
    for row in rows:
        by = row.changed_at - now
        timed = row.attempts == 0 and row.due == row.since and row.due > row.changed_at
        due, since = (row.due, row.since) if timed else (min(row.due, row.due - by), min(row.since, now))
        lease = row.lease_until and row.lease_until - by
        moved = {"due": due, "since": since, "lease_until": lease, "changed_at": now}
        tx.execute(sa.update(table).where(table.c.id == row.id).values(moved))
    return len(rows)


def _on_its_way(after: datetime) -> sa.CompoundSelect[tuple[str]]:
    """Return the query for what is on its way and was changed after a time.

    It looks where indexes hold only what is under way, not at all that was ever delivered: at heads of lanes and at what waits
    behind them, at what is being sent, at what is to be fetched.
    """
    found = [sa.select(table.c.id).where(each, table.c.changed_at > after) for each in (FREE, SENDING, FETCHABLE)]
    sent = sa.and_(SENDING, table.c.lease_until.is_not(None))  # names a column that only the index of the sent has
    lanes = sa.union(*(sa.select(table.c.lane, table.c.recipient).where(each) for each in (FREE, sent))).subquery()
    mate = table.alias("mate")
    same = sa.and_(mate.c.lane == lanes.c.lane, mate.c.recipient == lanes.c.recipient)
    behind = sa.and_(same, mate.c.state == DeliveryState.WAITING, mate.c.changed_at > after)
    # An outer join, so that SQLite does not begin with all deliveries; the NULLs it gives are no id.
    found.append(sa.select(mate.c.id).select_from(lanes.outerjoin(mate, behind)))
    return sa.union(*found)


def requeue_future_probes(tx: Transaction, now: datetime, beyond: datetime) -> None:
    """Let the next probe, or message, go now to each partner that is not to get one until after *beyond*."""
    for column in (partner_state.c.until, partner_state.c.next_at):
        tx.execute(sa.update(partner_state).where(column > beyond).values({column: now}))
