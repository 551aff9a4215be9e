"""The cursor of a subscription: the number of the last event that was published and confirmed. Does not publish.

A new subscription starts with the first event. The cursor only follows confirmations, so an event may be published
twice but is never skipped. A future deletion of old events must keep the events after every cursor.
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
class FeedLag:
    """The events that a subscription has not published yet: their number, and the time of the oldest."""

    published: int  #: the cursor
    events: int  #: number of unpublished events
    oldest: datetime | None  #: time of the oldest unpublished event


def read_feed_position(tx: Transaction, name: str) -> int:
    """Return the number of the last confirmed event, or 0 if there is none."""
    return tx.scalar(sa.select(table.c.number).where(table.c.name == name)) or 0


def advance_feed_cursor(tx: Transaction, name: str, number: int) -> None:
    """Record that the events up to *number* are confirmed. The cursor never moves back, whatever another node did."""
    if not transactions.insert_missing_rows(tx, table, [{"name": name, "number": number}]):
        tx.execute(sa.update(table).where(table.c.name == name, table.c.number < number).values(number=number))


def read_feed_lag(tx: Transaction, name: str) -> FeedLag:
    """Return the lag of the subscription *name*, including events that are not yet numbered."""
    published = read_feed_position(tx, name)
    unpublished = max(0, events.read_chain_head(tx)[0] - published) + events.count_unchained_events(tx)
    waiting = events.read_chained_events(tx, published, 1)
    oldest = json.loads(waiting[0].text)["at"] if waiting else events.read_oldest_unchained(tx)
    return FeedLag(published, unpublished, None if oldest is None else datetime.fromisoformat(oldest))
