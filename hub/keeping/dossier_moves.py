"""Moves the open dossiers of units that have ended, and of parts of units, to the units that continue their work, and
back if a deed is undone.

Knows which dossiers are open in a unit, and how a moved dossier is recorded. Does not know when units are looked at
(`hub.workload.month_end`), nor how facts count.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.domain.local_time import find_local_day
from hub.journal import events, facts
from hub.journal.sequels import dossier_owners, dossier_shares, handovers
from hub.journal.sequels.dossier_owners import Move
from hub.journal.sequels.dossier_shares import OPENS
from hub.journal.sequels.handovers import Handover
from hub.services.dossiers.identity import (
    ENDS,
    HANDED_OVER,
    PASSED_ON,
    REGISTERED,
    TAKEN_OVER,
    number_key,
    read_agency,
    split_key,
)
from hub.services.dossiers.results import NAME
from hub.store import transactions
from hub.store.tables import dossier as table
from hub.store.tables import fact
from hub.store.transactions import Transaction
from hub.units.deeds import DeedOrder, Estate, Share

#: Dossiers that one transaction moves: at most 100 facts and their claims, some ten milliseconds of the only writer.
SOME = 50
#: Dossiers that a plan reads at once.
_TOGETHER = 2000

#: What closes a dossier in a unit.
_CLOSES = ENDS | {PASSED_ON}
#: By which a unit gives a dossier to another, and which the other has of it.
_GIVES, _FROM_OTHERS = (HANDED_OVER, PASSED_ON), (TAKEN_OVER, REGISTERED)


def list_open_dossiers(tx: Transaction, code: str, most: int = SOME, after: str = "") -> list[str]:
    """Return the keys of the dossiers that are open in the unit *code*, after the key *after*, at most *most*."""
    ended = fact.alias("ended")
    same = sa.and_(ended.c.unit == fact.c.unit, ended.c.service == fact.c.service, ended.c.key == fact.c.key)
    begun = sa.and_(fact.c.unit == code, fact.c.service == NAME, fact.c.milestone.in_(sorted(OPENS)))
    is_open = ~sa.exists().where(same, ended.c.milestone.in_(sorted(_CLOSES)))
    left = sa.select(fact.c.key).where(begun, is_open, fact.c.key > after)
    return list(tx.scalars(left.distinct().order_by(fact.c.key).limit(most)))


def list_heirs(tx: Transaction, of: Handover, shares: Sequence[Share]) -> Iterator[tuple[str, str]]:
    """Yield the dossiers that are open in a unit and would pass to another now by the rules *shares*: the key and the heir."""
    after = ""
    while keys := list_open_dossiers(tx, of.unit, _TOGETHER, after):
        claims = dossier_owners.read_claims(tx, {(heir, key) for heir in of.heirs for key in keys})
        heirs = dossier_shares.choose_heirs(tx, of, {key: {} for key in keys}, claims, shares)
        yield from ((key, heir) for key, heir in heirs.items() if heir != of.unit)
        after = keys[-1]


def list_dossiers_to_move(tx: Transaction, of: Handover, after: str = "") -> tuple[list[str], str]:
    """Return the keys of some of the dossiers that pass by *of*, after the key *after*, and the key after which to go on;
    "": there are no more.
    """
    keys = list_open_dossiers(tx, of.unit, _TOGETHER, after)
    further = keys[-1] if len(keys) == _TOGETHER else ""
    if of.is_part:
        shares = dossier_shares.read_shares(tx, of, [split_key(key)[0] for key in keys])
        heirs = dossier_shares.choose_heirs(tx, of, {key: {} for key in keys}, (), shares)
        keys = [key for key in keys if heirs[key] != of.unit]
    return keys, further


def move_dossiers(tx: Transaction, of: Handover, keys: Sequence[str], now: datetime) -> int:
    """Record that the open dossiers *keys* of a unit passed to its heir on the day of its end, or of the deed for a part.

    Of several heirs it is the one of `dossier_shares.choose_heirs`. What the heir had claimed is then counted. Idempotent.
    Returns the number of dossiers that moved.
    """
    many = 0
    transactions.lock_names(tx, [f"dossier {key}" for key in sorted(keys)])
    claims = dossier_owners.read_claims(tx, {(heir, key) for heir in of.heirs for key in keys})
    shares = dossier_shares.read_shares(tx, of, [split_key(key)[0] for key in keys])
    heirs = dossier_shares.choose_heirs(tx, of, {key: {} for key in keys}, claims, shares)
    for key, heir in heirs.items():
        if heir == of.unit:
            continue
        code, new_key = _name_in(tx, heir, key, of.unit)
        move = Move(unit=of.unit, successor=heir, key=key, new_key=new_key, at=now, day=of.day)
        made = dossier_owners.make_move_facts(tx, move)
        if not made:
            continue
        name = code if read_agency(code) is not None else f"{heir} {code}"
        owned = {"unit": heir, "key": "" if new_key == code else new_key}
        # its receipt counted in a unit before, or is still to come and counts in the heir
        counted = dossier_owners.was_counted(made)
        kept = sa.case((table.c.origin == heir, of.unit), else_=table.c.origin) if counted else heir
        if not tx.execute(sa.update(table).where(table.c.dossier == name).values(**owned, origin=kept)).rowcount:
            row = {"dossier": name, "origin": of.unit if counted else heir, **owned}
            transactions.insert_missing_rows(tx, table, [row])
        held = [attrs.evolve(each, at=now) for each in claims.get((heir, key), ()) if each.milestone != "received"]
        _, told = facts.insert_resolved_facts(tx, [*made, *(dossier_owners.join_fact(each, heir) for each in held)])
        events.append_events(tx, *told)
        many += 1
    return many


def move_all_dossiers(engine: sa.Engine, now: datetime) -> None:
    """Move what passes of all units, for commands without a service that does it (`hub.workload.month_end`)."""
    with transactions.read_transaction(engine) as tx:
        passing = handovers.list_handovers(tx, find_local_day(now), Estate.DOSSIERS)[Estate.DOSSIERS]
    for of in passing:
        after, more = "", True
        while more:
            with transactions.read_transaction(engine) as tx:
                keys, after = list_dossiers_to_move(tx, of, after)
            more = bool(after)
            for first in range(0, len(keys), SOME):
                with transactions.write_transaction(engine) as tx:
                    move_dossiers(tx, of, keys[first : first + SOME], now)


def give_back_dossiers(tx: Transaction, order: DeedOrder, now: datetime) -> int:
    """Record that what nobody has ended of the dossiers that *order* took from its units, which go on, is theirs again.

    Returns the number of dossiers.
    """
    many = 0
    for unit in order.units:
        given: dict[str, list[str]] = {}
        for key in _list_given(tx, unit, order):
            holder, held = _follow_dossier(tx, unit, key)
            given.setdefault(holder, []).append(held)
        for holder in given.keys() - {unit}:
            many += move_dossiers(tx, Handover(holder, find_local_day(now), (unit,)), sorted(given[holder]), now)
    return many


def _list_given(tx: Transaction, unit: str, order: DeedOrder) -> list[str]:
    """Return the keys of the dossiers that *unit* has given to others since the day of *order*; of a part those that the
    rules name.
    """
    gave = sa.and_(fact.c.unit == unit, fact.c.service == NAME, fact.c.milestone.in_(_GIVES), fact.c.day >= order.on)
    keys = list(tx.scalars(sa.select(fact.c.key).where(gave).order_by(fact.c.key)))
    if not order.part:
        return keys
    of = Handover(unit, order.on, (unit, *order.successors), deed="undone")
    heirs = dossier_shares.choose_heirs(tx, of, {key: {} for key in keys}, (), order.shares)
    return [key for key in keys if heirs[key] != unit]


def _follow_dossier(tx: Transaction, unit: str, key: str) -> tuple[str, str]:
    """Return the unit to which the dossier *key* came at last from *unit*, with its key there; *unit* if it came back."""
    at = unit
    while (to := _read_counterpart(tx, at, key, _GIVES)) is not None:
        code, number = split_key(key)
        names = (key, f"{key}@{at}", number_key(code.removesuffix(f"@{to}"), number + 1))
        found = next((name for name in names if _read_counterpart(tx, to, name, _FROM_OTHERS) == at), None)
        if to == unit or found is None:  # it came back, or the other has a dossier of its own with this code
            return unit, key
        at, key = to, found
    return at, key


def _read_counterpart(tx: Transaction, unit: str, key: str, milestones: Collection[str]) -> str | None:
    """Return the other unit that a fact of the dossier *key* in *unit* names; None if there is no such fact."""
    mine = sa.and_(fact.c.unit == unit, fact.c.service == NAME, fact.c.key == key, fact.c.milestone.in_(milestones))
    return tx.scalars(sa.select(fact.c.counterpart).where(mine)).first()


def _name_in(tx: Transaction, heir: str, key: str, unit: str) -> tuple[str, str]:
    """Return how *heir* calls the dossier *key* of *unit*, and the key that it gets there.

    What comes back has the number of the return in its key. A code within its unit that another dossier of *heir* has
    is called `CODE@UNIT`.
    """
    code, number = split_key(key)
    national = read_agency(code) is not None
    home = code.removesuffix(f"@{heir}")
    to = _read_counterpart(tx, heir, number_key(home, number), _GIVES)
    if to is not None and (national or to == unit):
        return home, number_key(home, number + 1)
    if national or not _is_known(tx, heir, code) or _read_counterpart(tx, heir, code, _GIVES) == unit:
        return code, key
    return f"{key}@{unit}", f"{key}@{unit}"


def _is_known(tx: Transaction, code: str, key: str) -> bool:
    """Return whether a dossier *key* was handed in or has begun in the unit *code*: another one, if *key* is a code within
    its unit.
    """
    mine = sa.and_(fact.c.unit == code, fact.c.service == NAME, fact.c.key == key)
    return (
        tx.execute(sa.select(fact.c.key).where(mine, fact.c.milestone.in_(sorted(OPENS))).limit(1)).first() is not None
    )
