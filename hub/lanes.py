"""The heads of the lanes.  Knows which delivery of a lane may be claimed and keeps its flag `free` true; not why a delivery moves.

A delivery is *free* when it waits, nothing of its lane is under way to its recipient, and nothing earlier of the lane waits.
Whoever makes, ends, stops, gives back or replays deliveries says so here, in the same transaction, so that a claim looks at heads
only: its time does not grow with what waits behind them.
"""

import zlib
from collections.abc import Collection, Iterable

import sqlalchemy as sa

from hub import store
from hub.model import State
from hub.schema import delivery as table
from hub.store import Transaction

#: A message with a thousand recipients takes so many locks, not a thousand: they are the database's, and it has a few thousand.
_PARTS = 4


def lock(tx: Transaction, lane: str, recipients: Iterable[str]) -> None:
    """Let no other transaction look for heads of these lanes until this one ends; before any row of them is locked.

    Else a delivery that is made while the one before it ends would see that one, would not be seen by it, and nobody would be free.
    """
    lock_all(tx, ((lane, recipient) for recipient in recipients))


def lock_all(tx: Transaction, places: Iterable[tuple[str, str]]) -> None:
    """Do the same for each pair of lane and recipient."""
    store.one_at_a_time(tx, {f"lane {zlib.crc32(recipient.encode()) % _PARTS} {lane}" for lane, recipient in places})


def is_new(lane: str, recipient: str) -> sa.ColumnElement[bool]:
    """Tell whether nothing of the lane waits or is under way: what is made now is its head."""
    mate = table.alias("mate")
    mates = sa.exists().where(mate.c.lane == lane, mate.c.recipient == recipient)
    return ~mates.where(mate.c.state.in_([State.WAITING, State.SENDING]))


def free_next(tx: Transaction, places: Collection[tuple[str, str]]) -> None:
    """Free the first that waits in each place (lane and recipient), unless one is under way there."""
    if not places:
        return
    mate, under_way = table.alias("mate"), table.alias("under_way")
    here = [each.c.lane == sa.bindparam("in_lane") for each in (mate, under_way)]
    here = [
        sa.and_(same, each.c.recipient == sa.bindparam("to_recipient"))
        for same, each in zip(here, (mate, under_way), strict=True)
    ]
    first = sa.select(mate.c.id).where(here[0], mate.c.state == State.WAITING).order_by(mate.c.id).limit(1)
    going = sa.exists().where(here[1], under_way.c.state == State.SENDING)
    freed = sa.update(table).where(table.c.id == first.scalar_subquery(), ~table.c.free, ~going).values(free=True)
    tx.execute(freed, [{"in_lane": lane, "to_recipient": recipient} for lane, recipient in places])


def put_back(tx: Transaction, places: Collection[tuple[str, str]]) -> None:
    """Let go first what has come to wait before the heads of these places: a replay, or a message whose id sorts before theirs."""
    if not places:
        return
    mate = table.alias("mate")
    ahead = sa.exists().where(
        mate.c.lane == table.c.lane,
        mate.c.recipient == table.c.recipient,
        mate.c.state == State.WAITING,
        mate.c.id < table.c.id,
    )
    head = sa.and_(
        table.c.lane == sa.bindparam("in_lane"), table.c.recipient == sa.bindparam("to_recipient"), table.c.free
    )
    tx.execute(
        sa.update(table).where(head, ahead).values(free=False),
        [{"in_lane": lane, "to_recipient": recipient} for lane, recipient in places],
    )
    free_next(tx, places)
