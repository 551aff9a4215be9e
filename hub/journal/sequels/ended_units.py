"""Finds the units that have ended and whose work others continue, and moves what is open in them, some at a time.

Does not know what is moved, nor how a move is recorded.
"""

from collections.abc import Callable, Mapping, Sequence
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
    leads: Mapping[str, str] = attrs.field(factory=dict)  #: the heir to which each successor leads that has ended, too


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
    found = [_find_heirs(index, code, day, today, what) for code, day in rows]
    return tuple(each for each in found if each.heirs)


def read_ended_unit(tx: Transaction, code: str, today: date, what: Estate) -> Ended:
    """Return the unit *code*, which has ended by *today*, with the units that continue its *what*; maybe none."""
    index = unit_registry.read_successions(tx, today)
    unit = index.get(code)
    assert unit is not None
    return _find_heirs(index, code, unit.until or today, today, what)


def _find_heirs(index: UnitIndex, code: str, day: date, today: date, what: Estate) -> Ended:
    leads = {
        deed.successor: heirs[0]
        for deed in index.deeds(code)
        if (heirs := find_heirs(index, deed.successor, today, what)) and heirs[0] != deed.successor
    }
    return Ended(code, day, find_heirs(index, code, today, what), leads)


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
