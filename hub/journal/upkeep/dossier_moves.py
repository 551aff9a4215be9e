"""Moves the open dossiers of units that have ended to the units that continue their work.

Knows which dossiers are open in a unit, and how a moved dossier is recorded. Does not know when units are looked at
(`hub.workload.month_end`), nor how facts count.
"""

from collections.abc import Sequence
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.journal import events, facts
from hub.journal.sequels import dossier_owners
from hub.journal.sequels.dossier_owners import Move
from hub.journal.upkeep.ended_units import Ended
from hub.services.dossiers.identity import BEGINS, ENDS, PASSED_ON, REGISTERED, read_agency
from hub.services.dossiers.results import NAME
from hub.store import transactions
from hub.store.tables import dossier as table
from hub.store.tables import fact
from hub.store.transactions import Transaction

#: Dossiers that one transaction moves: at most 100 facts and their claims, some ten milliseconds of the only writer.
SOME = 50


#: What opens a dossier in a unit, taken on or not yet, and what closes it there.
_OPENS, _CLOSES = BEGINS | {REGISTERED}, ENDS | {PASSED_ON}


def list_open_dossiers(tx: Transaction, code: str, most: int = SOME) -> list[str]:
    """Return the codes of the dossiers that are open in the unit *code*, at most *most*."""
    ended = fact.alias("ended")
    same = sa.and_(ended.c.unit == fact.c.unit, ended.c.service == fact.c.service, ended.c.key == fact.c.key)
    begun = sa.and_(fact.c.unit == code, fact.c.service == NAME, fact.c.milestone.in_(sorted(_OPENS)))
    is_open = ~sa.exists().where(same, ended.c.milestone.in_(sorted(_CLOSES)))
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
        owned: dict[str, str] = {"unit": heir}
        if not dossier_owners.was_counted(made):  # its receipt is still to come, and counts in the heir
            owned["origin"] = heir
        row = {"dossier": key if national else f"{heir} {new_key}", "origin": of.unit, **owned}
        if national and tx.execute(sa.update(table).where(table.c.dossier == key).values(owned)).rowcount:
            row = {}
        transactions.insert_missing_rows(tx, table, [row] if row else [])
        held = [attrs.evolve(each, at=now) for each in claims.get((heir, key), ()) if each.milestone != "received"]
        _, told = facts.insert_resolved_facts(tx, [*made, *(dossier_owners.join_fact(each, heir) for each in held)])
        events.append_events(tx, *told)
        many += 1
    return many


def _is_known(tx: Transaction, code: str, key: str) -> bool:
    """Return whether a dossier *key* was handed in or has begun in the unit *code*: another one, if *key* is a code within
    its unit.
    """
    mine = sa.and_(fact.c.unit == code, fact.c.service == NAME, fact.c.key == key)
    return (
        tx.execute(sa.select(fact.c.key).where(mine, fact.c.milestone.in_(sorted(_OPENS))).limit(1)).first() is not None
    )
