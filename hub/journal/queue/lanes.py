"""The heads of the lanes.  Knows which delivery of a lane may be claimed and keeps its flag `free` true; not why a delivery moves.

A delivery is *free* when it waits, nothing of its lane is under way to its recipient, and nothing earlier of the lane waits.
Whoever makes, ends, stops, gives back or replays deliveries says so here, in the same transaction, so that a claim looks at heads
only: its time does not grow with what waits behind them.
"""

import zlib
from collections.abc import Collection, Iterable

import sqlalchemy as sa

from hub.domain.model import DeliveryState
from hub.store import transactions
from hub.store.tables import delivery as table
from hub.store.transactions import Transaction

#: A message with a thousand recipients takes so many locks, not a thousand: they are the database's, and it has a few thousand.
_PARTS = 4


def lock_lanes(tx: Transaction, lane: str, recipients: Iterable[str]) -> None:
    """Let no other transaction look for heads of these lanes until this one ends; before any row of them is locked.

    Else a delivery that is made while the one before it ends would see that one, would not be seen by it, and nobody would be free.
    """
    lock_all(tx, ((lane, recipient) for recipient in recipients))


def lock_all(tx: Transaction, places: Iterable[tuple[str, str]]) -> None:
    """Do the same for each pair of lane and recipient."""
    transactions.one_at_a_time(tx, {_name(*place) for place in places})


def lock_those_at_hand(tx: Transaction, places: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Do the same, and return those of *places* that no other transaction has; for who comes by again anyway and must not wait."""
    at_hand = transactions.those_at_hand(tx, {_name(*place) for place in places})
    return {place for place in places if _name(*place) in at_hand}


def _name(lane: str, recipient: str) -> str:
    return f"lane {zlib.crc32(recipient.encode()) % _PARTS} {lane}"


_lane, _recipient = sa.bindparam("in_lane", type_=sa.Text), sa.bindparam("to_recipient", type_=sa.Text)
_mate, _under_way = table.alias("mate"), table.alias("under_way")
_beside = sa.and_(_mate.c.lane == _lane, _mate.c.recipient == _recipient)
_first = sa.select(_mate.c.id).where(_beside, _mate.c.state == DeliveryState.WAITING).order_by(_mate.c.id).limit(1)
_going = sa.exists().where(
    _under_way.c.lane == _lane, _under_way.c.recipient == _recipient, _under_way.c.state == DeliveryState.SENDING
)

#: Tells whether nothing of the lane `in_lane` waits or is under way `to_recipient`: what is made now is its head.
IS_NEW = ~sa.exists().where(_beside, _mate.c.state.in_([DeliveryState.WAITING, DeliveryState.SENDING]))

_FREE_NEXT = sa.update(table).where(table.c.id == _first.scalar_subquery(), ~table.c.free, ~_going).values(free=True)
_PUT_BACK = (
    sa.update(table)
    .where(table.c.lane == _lane, table.c.recipient == _recipient, table.c.free)
    .where(sa.exists().where(_beside, _mate.c.state == DeliveryState.WAITING, _mate.c.id < table.c.id))
    .values(free=False)
)


def free_next(tx: Transaction, places: Collection[tuple[str, str]]) -> None:
    """Free the first that waits in each place (lane and recipient), unless one is under way there."""
    if places:
        tx.execute(_FREE_NEXT, [lane_parameters(*each) for each in places])


def put_back(tx: Transaction, places: Collection[tuple[str, str]]) -> None:
    """Let go first what has come to wait before the heads of these places: a replay, or a message whose id sorts before theirs."""
    if places:
        tx.execute(_PUT_BACK, [lane_parameters(*each) for each in places])
        free_next(tx, places)


def lane_parameters(lane: str, recipient: str) -> dict[str, str]:
    """Return the parameters that name a place in `IS_NEW`."""
    return {"in_lane": lane, "to_recipient": recipient}
