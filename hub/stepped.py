"""What a clock wrote that was ahead of ours.  Knows times in delivery rows; not why a clock was wrong, nor whose it was.

A clock that is set back, or a node whose clock was ahead and died, leaves deliveries that are due, or held under a lease, in a
future that is nobody's: they would wait until the clocks come there.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from hub.model import State
from hub.schema import delivery as table
from hub.schema import partner_state
from hub.store import Transaction

#: Clocks of nodes may differ by so much: nothing is done about it.
SLACK = timedelta(seconds=1)
_ON_ITS_WAY = (State.WAITING, State.SENDING, State.HELD, State.FETCHED)


def bring_back(tx: Transaction, now: datetime, limit: int = 500) -> int:
    """Move up to *limit* deliveries that were changed after *now* back to it, with what they wait for.  Returns how many.

    Each waits as long from *now* as it was to wait when it was changed; the hour of a timed document stays what its sender wrote.
    """
    ahead = sa.and_(table.c.state.in_(_ON_ITS_WAY), table.c.changed_at > now + SLACK)
    rows = tx.execute(sa.select(table).where(ahead).order_by(table.c.id).limit(limit).with_for_update()).all()
    for row in rows:
        by = row.changed_at - now
        timed = row.attempts == 0 and row.due == row.since and row.due > row.changed_at
        due, since = (row.due, row.since) if timed else (min(row.due, row.due - by), min(row.since, now))
        lease = row.lease_until and row.lease_until - by
        moved = {"due": due, "since": since, "lease_until": lease, "changed_at": now}
        tx.execute(sa.update(table).where(table.c.id == row.id).values(moved))
    return len(rows)


def hurry(tx: Transaction, now: datetime, beyond: datetime) -> None:
    """Let the next probe, or message, go now to each partner that is not to get one until after *beyond*."""
    for column in (partner_state.c.until, partner_state.c.next_at):
        tx.execute(sa.update(partner_state).where(column > beyond).values({column: now}))
