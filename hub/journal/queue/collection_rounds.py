"""Whose turn it is to be asked for what it has: from which cursor, by which node, and when again.  Knows one row a partner; asks nobody.

One node at a time collects from a partner, under a lease.  Two that did would do no harm but work: what arrives has an id, and a
message is taken once.
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
    """A collection that this node may hold now."""

    partner: str
    holder: str
    cursor: str
    failures: int  #: in a row, before this one
    due: datetime  #: since when


def begin_round(tx: Transaction, partner: str, holder: str, now: datetime, lease: timedelta) -> Round | None:
    """Take the next round of *partner*; None when it is not due, or another node is at it."""
    transactions.put_once(tx, table, [{"partner": partner, "cursor": "", "due": now}])
    free = sa.or_(table.c.holder.is_(None), table.c.holder == holder, table.c.lease_until < now)
    taken = tx.execute(
        sa.update(table)
        .where(table.c.partner == partner, table.c.due <= now, free)
        .values(holder=holder, lease_until=now + lease)
        .returning(table.c.cursor, table.c.failures, table.c.due)
    ).first()
    return None if taken is None else Round(partner, holder, taken.cursor, taken.failures, taken.due)


def end_round(tx: Transaction, round_: Round, cursor: str, due: datetime, now: datetime) -> datetime:
    """Keep how far it came; return when it is asked again: at *due*, or at once if it was hurried meanwhile, perhaps after it had told."""
    found = tx.scalar(sa.select(table.c.due).where(table.c.partner == round_.partner).with_for_update())
    due = due if found == round_.due else now
    values = {"cursor": cursor, "due": due, "failures": 0, "reason": None}
    if _close(tx, round_, values, now) and round_.failures:
        events.append_events(tx, Event("collection-resumed", now, None, None, {"partner": round_.partner}))
    return due


def fail_round(tx: Transaction, round_: Round, reason: str, due: datetime, now: datetime) -> None:
    """Keep that it broke off; what arrived meanwhile is in the journal, and the cursor stays.  The first in a row is an event."""
    values = {"due": due, "failures": round_.failures + 1, "reason": reason}
    if _close(tx, round_, values, now) and not round_.failures:
        events.append_events(
            tx, Event("collection-failed", now, None, None, {"partner": round_.partner, "reason": reason})
        )


def release_round(tx: Transaction, round_: Round, now: datetime) -> None:
    """Let another node go on, or this one after its next start."""
    _close(tx, round_, {"due": now}, now)


def hurry_round(tx: Transaction, partner: str, now: datetime) -> bool:
    """Let *partner* be asked now.  False when it has never been asked."""
    return bool(tx.execute(sa.update(table).where(table.c.partner == partner).values(due=now)).rowcount)


def read_rounds(tx: Transaction) -> list[sa.RowMapping]:
    """Return the rows, by partner: how each collection goes."""
    return list(tx.execute(sa.select(table).order_by(table.c.partner)).mappings())


def _close(tx: Transaction, round_: Round, values: dict[str, object], now: datetime) -> bool:
    ours = sa.and_(table.c.partner == round_.partner, table.c.holder == round_.holder)
    closed = {"holder": None, "lease_until": None, "ended_at": now}
    return bool(tx.execute(sa.update(table).where(ours).values(**values, **closed)).rowcount)
