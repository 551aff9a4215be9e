"""Takes chained events out of the journal and leaves one link over each gap, so that the chain can still be verified.

A gap is a range of numbers whose events are in archives. Its link is the hash of its last event: the event after it was
hashed with it. Gaps that touch become one, so there is never more than one between two events that are left. Knows
nothing of messages, nor why events go.
"""

from collections.abc import Iterable, Sequence

import attrs
import sqlalchemy as sa

from hub.store.tables import chain_gap as table
from hub.store.tables import event, event_index
from hub.store.transactions import Transaction

#: Values in one statement.
_MANY = 500


@attrs.frozen(order=True)
class ChainGap:
    """The events *first* to *last* are gone; *hash* is that of the last of them."""

    first: int
    last: int
    hash: str


def merge_gaps(removed: Iterable[tuple[int, str]], near: Iterable[ChainGap] = ()) -> list[ChainGap]:
    """Return the gaps after the events *removed* (number and hash) have gone, and those *near* them, in order.

    Raises ValueError if an event has gone already.
    """
    found: list[ChainGap] = []
    for each in sorted([*near, *(ChainGap(number, number, hashed) for number, hashed in removed)]):
        if found and each.first <= found[-1].last:
            raise ValueError(f"event {each.first} has gone already")
        if found and each.first == found[-1].last + 1:
            found[-1] = ChainGap(found[-1].first, each.last, each.hash)
        else:
            found.append(each)
    return found


def remove_chained_events(tx: Transaction, serials: Sequence[int]) -> int:
    """Delete the events with these *serials*, and write the links over their gaps. Return how many were deleted.

    An event without a number, and the last one of the chain, are left: what comes next is hashed with it.
    """
    head = tx.scalar(sa.select(sa.func.max(event.c.number))) or 0
    rows: list[tuple[int, int, str]] = []
    for some in _cut_values(serials):
        query = sa.select(event.c.serial, event.c.number, event.c.hash).where(event.c.serial.in_(some))
        rows += [(row.serial, row.number, row.hash) for row in tx.execute(query.where(event.c.number < head))]
    if not rows:
        return 0
    numbers = [number for _, number, _ in rows]
    near: set[ChainGap] = set()
    for some in _cut_values(numbers):
        beside = sa.or_(table.c.last.in_([each - 1 for each in some]), table.c.first.in_([each + 1 for each in some]))
        near |= {ChainGap(row.first, row.last, row.hash) for row in tx.execute(sa.select(table).where(beside))}
    merged = merge_gaps([(number, hashed) for _, number, hashed in rows], near)
    for some in _cut_values([each.first for each in sorted(near)]):
        tx.execute(sa.delete(table).where(table.c.first.in_(some)))
    for some in _cut_values([serial for serial, _, _ in rows]):
        tx.execute(sa.delete(event_index).where(event_index.c.serial.in_(some)))
        tx.execute(sa.delete(event).where(event.c.serial.in_(some)))
    tx.execute(sa.insert(table), [attrs.asdict(each) for each in merged])
    return len(rows)


def _cut_values(values: Sequence[int]) -> Iterable[Sequence[int]]:
    return (values[start : start + _MANY] for start in range(0, len(values), _MANY))
