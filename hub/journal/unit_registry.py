"""Stores the units of the province, and the agencies outside it that the national list names.

Does not know which partner serves a unit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from hub.domain.model import Unit, UnitMark, find_code_holder
from hub.store import transactions
from hub.store.tables import OWN, succession, unit_alias, unit_successor
from hub.store.tables import unit as table
from hub.store.transactions import Transaction
from hub.units.deeds import Deed, Estate
from hub.units.unit_index import UnitIndex

_BATCH = 5000
#: Stands between aliases. No alias has it.
_BETWEEN = "\x1f"


def list_registry_units(tx: Transaction, *, outside: bool = False) -> list[Unit]:
    """Return every unit of the province, by code. With *outside*, also the agencies of the national list."""
    return list(_units(tx, outside=outside))


def read_unit_names(tx: Transaction) -> dict[str, str]:
    """Return the names of all units of the province, by code, in the order of the codes."""
    rows = tx.execute(sa.select(table.c.code, table.c.name).where(OWN))
    return dict(sorted((row.code, row.name) for row in rows))


def read_unit_index(tx: Transaction, on: date) -> UnitIndex:
    """Return every unit and every agency of the national list, packed for look-ups.

    Aliases are resolved for the day *on*.
    """
    return UnitIndex.of(_units(tx, outside=True), on, list_registry_deeds(tx))


def list_registry_deeds(tx: Transaction) -> list[Deed]:
    """Return every deed of succession, by unit and successor."""
    table = succession.c
    rows = tx.execute(sa.select(table.unit, table.successor, table.estates, table.main))
    return sorted(
        (
            Deed(unit, successor, frozenset(map(Estate, estates.split())), main)
            for unit, successor, estates, main in rows
        ),
        key=lambda deed: (deed.unit, deed.successor),
    )


def resolve_unit_code(tx: Transaction, code: str, on: date) -> str:
    """Return the unit code for *code*, which may be an alias, on the day *on*. An unknown code is returned as is."""
    owners = sa.select(table).join(unit_alias, unit_alias.c.unit == table.c.code).where(unit_alias.c.alias == code)
    found = [Unit(row.code, row.name, row.parent, row.since, row.until) for row in tx.execute(owners)]
    return find_code_holder(found, on).code if found else code


def _units(tx: Transaction, *, outside: bool) -> Iterator[Unit]:
    wanted: sa.Select[Any] = sa.select(table)
    if outside:
        aliases = _collect(tx, sa.select(unit_alias.c.unit, unit_alias.c.alias))
    else:
        wanted, aliases = wanted.where(OWN), _list_own_aliases(tx)
    successors = _collect(tx, sa.select(unit_successor.c.unit, unit_successor.c.successor))
    rows = sorted(
        tx.execute(wanted), key=lambda row: row.code
    )  # in Python: a database may sort by the rules of a language
    for code, name, parent, since, until, mark in rows:
        yield Unit(code, name, parent, since, until, aliases.get(code, ()), mark, successors.get(code, ()))


def _list_own_aliases(tx: Transaction) -> dict[str, tuple[str, ...]]:
    """Return the aliases of the units of the province, by code.

    They are looked up unit by unit: with a join PostgreSQL reads the aliases of the national list, too.
    """
    joined = sa.func.aggregate_strings(unit_alias.c.alias, _BETWEEN)
    owned = sa.select(joined).where(unit_alias.c.unit == table.c.code).scalar_subquery()
    rows = tx.execute(sa.select(table.c.code, owned).where(OWN))
    return {code: tuple(sorted(text.split(_BETWEEN))) for code, text in rows if text is not None}


def _collect(tx: Transaction, pairs: sa.Select[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the second values of *pairs* by the first ones, which are units."""
    found: dict[str, tuple[str, ...]] = {}
    for unit, value in sorted((row[0], row[1]) for row in tx.execute(pairs)):
        found[unit] = (*found.get(unit, ()), value)
    return found


def write_registry_units(
    tx: Transaction, units: Iterable[Unit], progress: Callable[[int], None] = lambda _done: None
) -> None:
    """Write *units*. An existing unit is replaced, with its aliases and successors.

    *progress* is called with the number of units written since its last call. A unit may come before or after its
    successors.
    """
    given = list(units)
    there = set(tx.execute(sa.select(table.c.code)).scalars())
    replaced = [unit.code for unit in given if unit.code in there]
    _delete(tx, unit_alias.c.unit, replaced)
    _delete(tx, unit_successor.c.unit, replaced)
    for start in range(0, len(given), _BATCH):
        some = given[start : start + _BATCH]
        changed = [_row(unit) | {"of": unit.code} for unit in some if unit.code in there]
        added = [_row(unit) for unit in some if unit.code not in there]
        if changed:
            same = table.c.code == sa.bindparam("of")
            tx.execute(sa.update(table).where(same), changed)
        if added:
            tx.execute(sa.insert(table), added)
        progress(len(some))
    aliases = [{"alias": alias, "unit": unit.code} for unit in given for alias in unit.aliases]
    successors = [{"unit": unit.code, "successor": code} for unit in given for code in unit.successors]
    for listed, rows in ((unit_alias, aliases), (unit_successor, successors)):
        if rows:
            tx.execute(sa.insert(listed), rows)


def _row(unit: Unit) -> dict[str, object]:
    return {
        "code": unit.code,
        "name": unit.name,
        "parent": unit.parent,
        "since": unit.since,
        "until": unit.until,
        "mark": unit.mark,
    }


def _delete(tx: Transaction, column: sa.Column[str], values: Sequence[str]) -> None:
    if values:
        tx.execute(sa.delete(column.table).where(column == sa.bindparam("gone")), [{"gone": value} for value in values])


def add_missing_units(tx: Transaction, codes: Iterable[str]) -> list[str]:
    """Add each of *codes* that is neither a unit nor an alias, with its code as name and the mark `added`.

    Return those added.
    """
    held = set(tx.execute(sa.select(table.c.code)).scalars()) | set(tx.execute(sa.select(unit_alias.c.alias)).scalars())
    missing = [code for code in dict.fromkeys(codes) if code not in held]
    transactions.insert_missing_rows(
        tx, table, [{"code": code, "name": code, "mark": UnitMark.ADDED} for code in missing]
    )
    return missing
