"""The units of the province in the database.  Knows how they are kept; not who serves them."""

from collections.abc import Iterable

import sqlalchemy as sa

from hub import store
from hub.model import Unit
from hub.schema import unit as table
from hub.schema import unit_alias
from hub.store import Transaction


def units(tx: Transaction) -> list[Unit]:
    """Return every unit, by code."""
    aliases: dict[str, list[str]] = {}
    for row in tx.execute(sa.select(unit_alias).order_by(unit_alias.c.alias)):
        aliases.setdefault(row.unit, []).append(row.alias)
    return [
        Unit(row.code, row.name, row.parent, row.since, row.until, tuple(aliases.get(row.code, ())), row.mark)
        for row in tx.execute(sa.select(table).order_by(table.c.code))
    ]


def put(tx: Transaction, units: Iterable[Unit]) -> None:
    """Write *units*; one that is there is replaced, aliases included."""
    for unit in units:
        row = {"name": unit.name, "parent": unit.parent, "since": unit.since, "until": unit.until, "mark": unit.mark}
        if not tx.execute(sa.update(table).where(table.c.code == unit.code).values(row)).rowcount:
            tx.execute(sa.insert(table).values(code=unit.code, **row))
        tx.execute(sa.delete(unit_alias).where((unit_alias.c.unit == unit.code) | unit_alias.c.alias.in_(unit.aliases)))
        if unit.aliases:
            tx.execute(sa.insert(unit_alias), [{"alias": alias, "unit": unit.code} for alias in unit.aliases])


def add_missing(tx: Transaction, codes: Iterable[str]) -> list[str]:
    """Add each of *codes* that is neither a unit nor an alias, named by its code and marked `added`.  Returns those added."""
    held = {unit.code for unit in units(tx)} | {alias for unit in units(tx) for alias in unit.aliases}
    missing = [code for code in dict.fromkeys(codes) if code not in held]
    store.put_once(tx, table, [{"code": code, "name": code, "mark": "added"} for code in missing])
    return missing
