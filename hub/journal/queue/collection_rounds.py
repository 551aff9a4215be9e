"""Schedules the collections from partners: the cursor, the node that collects, the next due time. One row per partner.

One node at a time collects from a partner, under a lease. Two nodes would only do double work: each document has an id,
and a message is accepted once. This module makes no call to a partner.
"""

from datetime import datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.domain.model import Event
from hub.journal import events
from hub.store import transactions
from hub.store.tables import collection as table
from hub.store.transactions import Transaction


@attrs.frozen
class Round:
    """A collection that this node holds."""

    partner: str
    holder: str  #: name of the node
    cursor: str  #: position after the last successful round, in the adapter's format
    failures: int  #: consecutive failures before this round
    due: datetime  #: due time of this round


def begin_round(tx: Transaction, partner: str, holder: str, now: datetime, lease: timedelta) -> Round | None:
    """Take the next collection from *partner*. Return None when it is not due or another node holds it."""
    transactions.insert_missing_rows(tx, table, [{"partner": partner, "cursor": "", "due": now}])
    free = sa.or_(table.c.holder.is_(None), table.c.holder == holder, table.c.lease_until < now)
    taken = tx.execute(
        sa.update(table)
        .where(table.c.partner == partner, table.c.due <= now, free)
        .values(holder=holder, lease_until=now + lease)
        .returning(table.c.cursor, table.c.failures, table.c.due)
    ).first()
    return None if taken is None else Round(partner, holder, taken.cursor, taken.failures, taken.due)


def end_round(tx: Transaction, round_: Round, cursor: str, due: datetime, now: datetime) -> datetime:
    """Record that the round ended at *cursor*. Return the time of the next round.

    That is *due*, or now if the collection was hurried during this round, because this round may have asked the partner
    before that.
    """
    due = _choose_due(tx, round_, due, now)
    values = {"cursor": cursor, "due": due, "failures": 0, "reason": None}
    if _close_round(tx, round_.partner, round_.holder, values, now) and round_.failures:
        events.append_events(tx, Event("collection-resumed", now, None, None, {"partner": round_.partner}))
    return due


def fail_round(tx: Transaction, round_: Round, reason: str, due: datetime, now: datetime) -> datetime:
    """Record that the round failed. The cursor stays, and what arrived before is in the journal.

    The first failure makes an event. Return the time of the next round: *due*, or now if the collection was hurried
    during this round, because a reload may have corrected what this round failed of.
    """
    due = _choose_due(tx, round_, due, now)
    values = {"due": due, "failures": round_.failures + 1, "reason": reason}
    if _close_round(tx, round_.partner, round_.holder, values, now) and not round_.failures:
        events.append_events(
            tx, Event("collection-failed", now, None, None, {"partner": round_.partner, "reason": reason})
        )
    return due


def release_round(tx: Transaction, partner: str, holder: str, now: datetime) -> None:
    """Release the round of *partner*, if *holder* has it, for another node or for this one after a restart."""
    _close_round(tx, partner, holder, {"due": now}, now)


def hurry_round(tx: Transaction, partner: str, now: datetime) -> bool:
    """Make the collection from *partner* due now. Return False when the partner has never been asked."""
    return bool(tx.execute(sa.update(table).where(table.c.partner == partner).values(due=now)).rowcount)


def read_rounds(tx: Transaction) -> list[sa.RowMapping]:
    """Return the rows by partner, with the state of each collection."""
    return list(tx.execute(sa.select(table).order_by(table.c.partner)).mappings())


def _choose_due(tx: Transaction, round_: Round, due: datetime, now: datetime) -> datetime:
    """Return *due*, or *now* if the collection was hurried during the round. Locks the row."""
    found = tx.scalar(sa.select(table.c.due).where(table.c.partner == round_.partner).with_for_update())
    return due if found == round_.due else now


def _close_round(tx: Transaction, partner: str, holder: str, values: dict[str, object], now: datetime) -> bool:
    ours = sa.and_(table.c.partner == partner, table.c.holder == holder)
    closed = {"holder": None, "lease_until": None, "ended_at": now}
    return bool(tx.execute(sa.update(table).where(ours).values(**values, **closed)).rowcount)
