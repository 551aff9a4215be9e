"""Moves the open dossiers of units that have ended to the units that continue their work.

Knows which dossiers are open in a unit, and how a moved dossier is recorded. Does not know when units are looked at
(`hub.workload.month_end`), nor how facts count.
"""

from collections.abc import Sequence
from datetime import date, datetime

import attrs
import sqlalchemy as sa

from hub.domain.local_time import find_local_day
from hub.journal import events, facts, unit_registry
from hub.journal.sequels import dossier_owners
from hub.journal.sequels.dossier_owners import Move
from hub.services.dossiers.identity import BEGINS, ENDS, read_agency
from hub.services.dossiers.results import NAME
from hub.store import transactions
from hub.store.tables import dossier as table
from hub.store.tables import fact, unit, unit_successor
from hub.store.transactions import Transaction
from hub.units.deeds import Estate
from hub.units.heirs import find_heirs
from hub.units.unit_index import UnitIndex

#: Dossiers that one transaction moves: at most 100 facts and their claims, some ten milliseconds of the only writer.
SOME = 50


@attrs.frozen
class Ended:
    """A unit that has ended, and the units that continue its dossiers: one, or several of which none is the main one."""

    unit: str
    day: date  #: the first day on which it is no more
    heirs: tuple[str, ...]


def list_ended_units(tx: Transaction, today: date, what: Estate = Estate.DOSSIERS) -> tuple[Ended, ...]:
    """Return the units of the province that have ended by *today* and whose *what* others continue, by code."""
    ended = sa.select(unit.c.code, unit.c.until).where(unit.c.until <= today)
    rows = tx.execute(ended.where(unit.c.code.in_(sa.select(unit_successor.c.unit))).order_by(unit.c.code)).all()
    if not rows:
        return ()
    index = UnitIndex.of(unit_registry.list_registry_units(tx, today), today, unit_registry.list_registry_deeds(tx))
    found = [Ended(code, day, find_heirs(index, code, today, what)) for code, day in rows]
    return tuple(each for each in found if each.heirs)


def list_open_dossiers(tx: Transaction, code: str, most: int = SOME) -> list[str]:
    """Return the codes of the dossiers that are open in the unit *code*, at most *most*."""
    ended = fact.alias("ended")
    same = sa.and_(ended.c.unit == fact.c.unit, ended.c.service == fact.c.service, ended.c.key == fact.c.key)
    begun = sa.and_(fact.c.unit == code, fact.c.service == NAME, fact.c.milestone.in_(sorted(BEGINS)))
    is_open = ~sa.exists().where(same, ended.c.milestone.in_(sorted(ENDS)))
    return list(tx.scalars(sa.select(fact.c.key).where(begun, is_open).distinct().order_by(fact.c.key).limit(most)))


def move_dossiers(tx: Transaction, of: Ended, keys: Sequence[str], now: datetime) -> int:
    """Record that the open dossiers *keys* of a unit passed to its heir on the day of its end.

    Of several heirs it is the one that has reported the dossier already, else the first. What the heir had claimed is
    then counted. Idempotent. Returns the number of dossiers that moved.
    """
    many = 0
    transactions.lock_names(tx, [f"dossier {key}" for key in sorted(keys)])
    for key in keys:
        claims = dossier_owners.read_claims(tx, {(heir, key) for heir in of.heirs})
        heir = next((heir for heir in of.heirs if (heir, key) in claims), of.heirs[0])
        national = read_agency(key) is not None
        new_key = key if national or not _is_known(tx, heir, key) else f"{key}@{of.unit}"
        move = Move(unit=of.unit, successor=heir, key=key, new_key=new_key, at=now, day=of.day)
        made = dossier_owners.make_move_facts(tx, move)
        if not made:
            continue
        row = {"dossier": key if national else f"{heir} {new_key}", "unit": heir, "origin": of.unit}
        if national and tx.execute(sa.update(table).where(table.c.dossier == key).values(unit=heir)).rowcount:
            row = {}
        transactions.insert_missing_rows(tx, table, [row] if row else [])
        held = [attrs.evolve(each, at=now) for each in claims.get((heir, key), ()) if each.milestone != "received"]
        _, told = facts.insert_resolved_facts(tx, [*made, *(dossier_owners.join_fact(each, heir) for each in held)])
        events.append_events(tx, *told)
        many += 1
    return many


def move_stock(engine: sa.Engine, now: datetime) -> None:
    """Move the open dossiers of all units that have ended, for commands without a service that does it."""
    with transactions.read_transaction(engine) as tx:
        ended = list_ended_units(tx, find_local_day(now))
    for each in ended:
        while True:
            with transactions.write_transaction(engine) as tx:
                many = move_dossiers(tx, each, list_open_dossiers(tx, each.unit), now)
            if not many:
                break


def _is_known(tx: Transaction, code: str, key: str) -> bool:
    """Return whether a dossier *key* has begun in the unit *code*: another one, if *key* is a code within its unit."""
    mine = sa.and_(fact.c.unit == code, fact.c.service == NAME, fact.c.key == key)
    return (
        tx.execute(sa.select(fact.c.key).where(mine, fact.c.milestone.in_(sorted(BEGINS))).limit(1)).first() is not None
    )
