"""Finds the units that have ended and whose work others continue, and moves what is open in them, some at a time.

Does not know what is moved, nor how a move is recorded.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime

import attrs
import sqlalchemy as sa

from hub.domain.local_time import find_local_day
from hub.journal import unit_registry
from hub.store import transactions
from hub.store.tables import unit, unit_successor
from hub.store.transactions import Transaction
from hub.units.deeds import Estate
from hub.units.heirs import find_heirs
from hub.units.unit_index import UnitIndex


@attrs.frozen
class Ended:
    """A unit that has ended, and the units that continue its work."""

    unit: str
    day: date  #: the first day on which it is no more
    heirs: tuple[str, ...]  #: the main one first


#: Returns the keys of some things that are open in a unit.
ListOpen = Callable[[Transaction, str], list[str]]
#: Records that things passed to the heir of a unit. Returns the number of those that moved.
Move = Callable[[Transaction, Ended, Sequence[str], datetime], int]


def list_ended_units(tx: Transaction, today: date, what: Estate) -> tuple[Ended, ...]:
    """Return the units of the province that have ended by *today* and whose *what* others continue, by code."""
    ended = sa.select(unit.c.code, unit.c.until).where(unit.c.until <= today)
    rows = tx.execute(ended.where(unit.c.code.in_(sa.select(unit_successor.c.unit))).order_by(unit.c.code)).all()
    if not rows:
        return ()
    index = UnitIndex.of(unit_registry.list_registry_units(tx, today), today, unit_registry.list_registry_deeds(tx))
    found = [Ended(code, day, find_heirs(index, code, today, what)) for code, day in rows]
    return tuple(each for each in found if each.heirs)


def move_stock(engine: sa.Engine, now: datetime, what: Estate, list_open: ListOpen, move: Move) -> None:
    """Move what is open in all units that have ended, for commands without a service that does it."""
    with transactions.read_transaction(engine) as tx:
        ended = list_ended_units(tx, find_local_day(now), what)
    for each in ended:
        while True:
            with transactions.write_transaction(engine) as tx:
                many = move(tx, each, list_open(tx, each.unit), now)
            if not many:
                break
