"""Maintains the flag `free` that marks the head of each lane: the only delivery of the lane that may be claimed.

A delivery is *free* when it waits, no delivery of its lane is being sent to its recipient, and no earlier delivery of
the lane waits. Each function that creates, ends, stops, releases or replays deliveries updates the heads here in the
same transaction. So a claim reads only heads, and its time does not grow with the number of deliveries behind them.
This module does not know why a delivery moves.
"""

import zlib
from collections.abc import Collection, Iterable, Sequence

import sqlalchemy as sa

from hub.domain.model import DeliveryState
from hub.store import transactions
from hub.store.hot_statements import HotStatement, SetQuery
from hub.store.tables import delivery as table
from hub.store.transactions import Transaction

#: Number of advisory locks per lane. A message with 1,000 recipients takes at most this many, because the database has
#: only a few thousand.
_PARTS = 4


def lock_lanes(tx: Transaction, lane: str, recipients: Iterable[str]) -> None:
    """Lock *lane* for these *recipients* until the transaction ends. Must come before any lock on a row of them.

    Otherwise a delivery that is created while its predecessor ends would still see the predecessor, the predecessor's
    transaction would not see the new delivery, and neither would make it the head.
    """
    lock_all_lanes(tx, ((lane, recipient) for recipient in recipients))


def lock_all_lanes(tx: Transaction, places: Iterable[tuple[str, str]]) -> None:
    """Lock each lane (pair of lane and recipient) in *places*, as `lock_lanes` does."""
    transactions.lock_names(tx, {_name_lane(*place) for place in places})


def try_lock_lanes(tx: Transaction, places: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Try to lock *places* without waiting. Return the places that were locked.

    For periodic work, which finds the other places in a later run.
    """
    at_hand = transactions.try_lock_names(tx, {_name_lane(*place) for place in places})
    return {place for place in places if _name_lane(*place) in at_hand}


def _name_lane(lane: str, recipient: str) -> str:
    return f"lane {zlib.crc32(recipient.encode()) % _PARTS} {lane}"


_lane, _recipient = sa.bindparam("in_lane", type_=sa.Text), sa.bindparam("to_recipient", type_=sa.Text)
_mate, _under_way = table.alias("mate"), table.alias("under_way")
_beside = sa.and_(_mate.c.lane == _lane, _mate.c.recipient == _recipient)
_first = sa.select(_mate.c.id).where(_beside, _mate.c.state == DeliveryState.WAITING).order_by(_mate.c.id).limit(1)
_going = sa.exists().where(
    _under_way.c.lane == _lane, _under_way.c.recipient == _recipient, _under_way.c.state == DeliveryState.SENDING
)

#: Condition: no delivery in the lane `in_lane` to `to_recipient` waits or is being sent, so a new delivery becomes the
#: head.
IS_NEW = ~sa.exists().where(
    _beside, _mate.c.state.in_([sa.literal(DeliveryState.WAITING), sa.literal(DeliveryState.SENDING)])
)

_FREE_NEXT = HotStatement(
    sa.update(table).where(table.c.id == _first.scalar_subquery(), ~table.c.free, ~_going).values(free=True)
)
_PUT_BACK = HotStatement(
    sa.update(table)
    .where(table.c.lane == _lane, table.c.recipient == _recipient, table.c.free)
    .where(sa.exists().where(_beside, _mate.c.state == DeliveryState.WAITING, _mate.c.id < table.c.id))
    .values(free=False)
)


#: Of the places asked (lane and recipient), those in which a delivery waits or is being sent.
_TAKEN = SetQuery(
    """
WITH asked (lane, recipient) AS (VALUES {rows})
SELECT asked.lane, asked.recipient FROM asked WHERE EXISTS (
    SELECT 1 FROM delivery
    WHERE delivery.lane = asked.lane AND delivery.recipient = asked.recipient
        AND delivery.state IN ('waiting', 'sending')
)
""".strip(),
    ("text", "text"),
)


def read_taken_places(tx: Transaction, places: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of *places* (lane and recipient) in which a delivery waits or is being sent."""
    return {(lane, recipient) for lane, recipient in _TAKEN.read(tx, places)}


def free_next_in_lane(tx: Transaction, places: Collection[tuple[str, str]]) -> None:
    """Mark the first waiting delivery of each place (lane and recipient) as free, unless one is being sent there."""
    if places:
        _FREE_NEXT.run_many(tx, [make_lane_parameters(*each) for each in places])


def correct_lane_heads(tx: Transaction, places: Collection[tuple[str, str]]) -> None:
    """Correct the head of each place after an earlier delivery came to wait (a replay, or one with a smaller id)."""
    if places:
        _PUT_BACK.run_many(tx, [make_lane_parameters(*each) for each in places])
        free_next_in_lane(tx, places)


def make_lane_parameters(lane: str, recipient: str) -> dict[str, str]:
    """Return the parameters of a place for `IS_NEW`."""
    return {"in_lane": lane, "to_recipient": recipient}
