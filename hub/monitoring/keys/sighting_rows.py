"""The journal's table of sightings (`hub.domain.sightings`). Contains its SQL; does not know what is concluded from it."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa

from hub.domain.sightings import MOST_VALUES, Sighting, SightingKind
from hub.store import transactions
from hub.store.tables import sighting as table
from hub.store.transactions import Transaction

#: A value that was not seen for this long is forgotten.
KEPT = timedelta(days=400)


def record_sightings(tx: Transaction, found: Iterable[Sighting], now: datetime) -> None:
    """Add *found* to what is known. Of one partner and kind the `MOST_VALUES` that were seen last are kept."""
    grown = set()
    for each in sorted(found, key=lambda each: (each.partner, each.kind, each.value)):
        key = sa.and_(table.c.partner == each.partner, table.c.kind == each.kind, table.c.value == each.value)
        at = sa.literal(each.last_at, table.c.last_at.type)
        last = sa.case((table.c.last_at < at, at), else_=table.c.last_at)
        changed = sa.update(table).where(key).values(last_at=last, number=table.c.number + each.number)
        if tx.execute(changed).rowcount:
            continue
        row = {
            "partner": each.partner,
            "kind": str(each.kind),
            "value": each.value,
            "first_at": each.first_at,
            "last_at": each.last_at,
            "number": each.number,
        }
        transactions.insert_missing_rows(tx, table, [row])
        grown.add((each.partner, each.kind))
    for partner, kind in sorted(grown):
        mine = sa.and_(table.c.partner == partner, table.c.kind == kind)
        newest = sa.select(table.c.value).where(mine).order_by(table.c.last_at.desc(), table.c.value).limit(MOST_VALUES)
        tx.execute(sa.delete(table).where(mine, table.c.value.not_in(newest)))
    if grown:
        tx.execute(sa.delete(table).where(table.c.last_at < now - KEPT))


def read_sightings(tx: Transaction, since: datetime) -> list[Sighting]:
    """Return what was seen since then, the latest first."""
    rows = tx.execute(sa.select(table).where(table.c.last_at >= since).order_by(table.c.last_at.desc())).mappings()
    return [
        Sighting(
            row["partner"], SightingKind(row["kind"]), row["value"], row["first_at"], row["last_at"], row["number"]
        )
        for row in rows
    ]
