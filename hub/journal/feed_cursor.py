"""How far a subscription was told of the events.  Knows its cursor, the number of the last event that arrived; not who is told, nor how.

A subscription that was never told of anything begins with the first event.  The cursor only follows what was confirmed, so an
event may be told of twice and never not at all; whoever drops old events one day keeps those after the cursors.
"""

import json
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.journal import events
from hub.store import transactions
from hub.store.tables import subscription as table
from hub.store.transactions import Transaction


@attrs.frozen
class Lag:
    """What a subscription was not told of yet: how many events, and when the oldest of them happened."""

    published: int  #: the cursor
    events: int
    oldest: datetime | None


def read_feed_position(tx: Transaction, name: str) -> int:
    """Return the number of the last event that arrived; 0 when none did."""
    return tx.scalar(sa.select(table.c.number).where(table.c.name == name)) or 0


def advance_feed_cursor(tx: Transaction, name: str, number: int) -> None:
    """Note that the events up to *number* arrived.  What another node noted meanwhile is never taken back."""
    if not transactions.put_once(tx, table, [{"name": name, "number": number}]):
        tx.execute(sa.update(table).where(table.c.name == name, table.c.number < number).values(number=number))


def read_feed_lag(tx: Transaction, name: str) -> Lag:
    """Return what *name* was not told of yet, the events that wait for their number included."""
    published = read_feed_position(tx, name)
    unpublished = max(0, events.read_chain_head(tx)[0] - published) + events.count_unchained_events(tx)
    waiting = events.read_chained_events(tx, published, 1)
    oldest = json.loads(waiting[0].text)["at"] if waiting else events.oldest_unchained(tx)
    return Lag(published, unpublished, None if oldest is None else datetime.fromisoformat(oldest))
