"""Stores the units of the province with their history, and the agencies outside it that the national list names.

A version of a unit has two times: the day from which it is in force, and the time from which it is known. Rows of
versions are only added, so that what was known earlier stays. Does not know which partner serves a unit.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from hub.domain.model import Event, Unit, UnitChange, UnitMark, find_code_holder
from hub.journal import events
from hub.store import transactions
from hub.store.hot_statements import HotStatement
from hub.store.tables import (
    OWN,
    succession,
    succession_part,
    succession_share,
    unit_alias,
    unit_successor,
    unit_version,
)
from hub.store.tables import unit as table
from hub.store.transactions import Transaction
from hub.units.deeds import Deed, Estate
from hub.units.heirs import find_heir
from hub.units.unit_changes import ChangedValue
from hub.units.unit_index import UnitIndex

_BATCH = 5000
#: Changed values that the event of an import names. The versions of the units have all of them.
_TOLD = 50
_UNTIL = HotStatement(sa.select(table.c.until).where(table.c.code == sa.bindparam("of")))
#: Stands between aliases. No alias has it.
_BETWEEN = "\x1f"


#: The day of a first version among the rows of versions.
_FIRST = date.min


def list_registry_units(tx: Transaction, on: date, *, outside: bool = False) -> list[Unit]:
    """Return every unit of the province as it is on the day *on*, by code. With *outside*, also the agencies of the
    national list. A unit that has ended or has not begun on that day is among them.
    """
    return [unit.at(on) for unit in _read_units_outside(tx, outside=outside)]


def list_unit_histories(tx: Transaction, *, outside: bool = False, known: datetime | None = None) -> list[Unit]:
    """Return every unit of the province with all its versions, by code. With *outside*, also the agencies of the national
    list. *known*: names, parents, levels and kinds as they were known at that time; None: as they are known now.
    """
    return list(_read_units_outside(tx, outside=outside, known=known))


def read_unit_names(tx: Transaction, on: date) -> dict[str, str]:
    """Return the names of all units of the province on the day *on*, by code, in the order of the codes."""
    names = {row.code: row.name for row in tx.execute(sa.select(table.c.code, table.c.name).where(OWN))}
    for code, versions in _read_versions(tx).items():
        if code in names:
            names[code] = Unit(code, names[code], changes=versions).at(on).name
    return dict(sorted(names.items()))


def read_unit_index(tx: Transaction, on: date) -> UnitIndex:
    """Return every unit as it is on the day *on*, and every agency of the national list, packed for look-ups.

    Aliases are resolved for that day.
    """
    return UnitIndex.of(_read_units_outside(tx, outside=True), on, list_registry_deeds(tx))


def find_ending_units(tx: Transaction, codes: Collection[str]) -> set[str]:
    """Return those of the units *codes* that have an end, past or future."""
    return set(tx.scalars(sa.select(table.c.code).where(table.c.code.in_(list(codes)), table.c.until.is_not(None))))


def find_registry_heir(tx: Transaction, code: str, on: date) -> str:
    """Return the unit that continues the documents of the unit *code* on the day *on*, as `Routes.find_actor` does.

    For what happens to a message long after it was judged. Takes one step of an index for a unit without an end.
    """
    row = _UNTIL.first(tx, {"of": code})
    if row is None or row.until is None or on < row.until:
        return code
    return find_heir(read_successions(tx, on), code, on) or code


def read_successions(tx: Transaction, on: date) -> UnitIndex:
    """Return the units that have successors or are such, with their days and deeds only, as they are on the day *on*."""
    following = sa.select(unit_successor.c.unit).union(sa.select(unit_successor.c.successor))
    rows = tx.execute(sa.select(table).where(table.c.code.in_(following))).all()
    successors = _collect_pairs(tx, sa.select(unit_successor.c.unit, unit_successor.c.successor))
    units = [Unit(row.code, "", None, row.since, row.until, successors=successors.get(row.code, ())) for row in rows]
    return UnitIndex.of(units, on, list_registry_deeds(tx))


def list_registry_deeds(tx: Transaction) -> list[Deed]:
    """Return every deed of succession, by unit and successor; then those for parts."""
    table = succession.c
    shared = table.deed.in_(sa.select(succession_share.c.deed))
    rows = tx.execute(sa.select(table.unit, table.successor, table.estates, table.main, shared))
    whole = (
        Deed(unit, successor, frozenset(map(Estate, estates.split())), main, bool(rules))
        for unit, successor, estates, main, rules in rows
    )
    part, rule = succession_part.c, succession_share.c
    parted = sa.select(part.unit, rule.successor, part.since).where(rule.deed == part.deed).distinct()
    parts = (
        Deed(unit, successor, frozenset({Estate.DOSSIERS}), shared=True, since=since)
        for unit, successor, since in tx.execute(parted)
    )
    return [*sorted(whole, key=_list_sides), *sorted(parts, key=lambda deed: (deed.since, *_list_sides(deed)))]


def _list_sides(deed: Deed) -> tuple[str, str]:
    return deed.unit, deed.successor


def resolve_unit_code(tx: Transaction, code: str, on: date) -> str:
    """Return the unit code for *code*, which may be an alias, on the day *on*. An unknown code is returned as is."""
    owners = sa.select(table).join(unit_alias, unit_alias.c.unit == table.c.code).where(unit_alias.c.alias == code)
    found = [Unit(row.code, row.name, row.parent, row.since, row.until) for row in tx.execute(owners)]
    return find_code_holder(found, on).code if found else code


def _read_units_outside(tx: Transaction, *, outside: bool, known: datetime | None = None) -> Iterator[Unit]:
    columns = (
        table.c[name] for name in ("code", "name", "parent", "since", "until", "mark", "level", "kind", "recorded_at")
    )
    wanted: sa.Select[Any] = sa.select(*columns)
    if outside:
        aliases = _collect_pairs(tx, sa.select(unit_alias.c.unit, unit_alias.c.alias))
    else:
        wanted, aliases = wanted.where(OWN), _list_own_aliases(tx)
    successors = _collect_pairs(tx, sa.select(unit_successor.c.unit, unit_successor.c.successor))
    versions = _read_versions(tx, known)
    firsts = {} if known is None else _read_former_firsts(tx, known)
    rows = sorted(
        tx.execute(wanted), key=lambda row: row.code
    )  # in Python: a database may sort by the rules of a language
    for code, name, parent, since, until, mark, level, kind, recorded_at in rows:
        listed = aliases.get(code, ()), mark, successors.get(code, ())
        said = name, parent, level, kind
        if known is not None and recorded_at is not None and recorded_at > known:
            if code not in firsts:
                continue  # not known then
            said = firsts[code]
        yield Unit(code, said[0], said[1], since, until, *listed, said[2], said[3], versions.get(code, ()))


def _read_versions(tx: Transaction, known: datetime | None = None) -> dict[str, tuple[UnitChange, ...]]:
    """Return the later versions of the units that have any, oldest first, as known now or at the time *known*."""
    rows = sa.select(unit_version).where(unit_version.c.since > _FIRST).order_by(unit_version.c.serial)
    newest: dict[str, dict[date, UnitChange | None]] = {}
    for row in tx.execute(rows):
        if known is None or row.recorded_at is None or row.recorded_at <= known:
            change = row.name and UnitChange(row.since, row.name, row.parent, row.level, row.kind)
            newest.setdefault(row.unit, {})[row.since] = change or None
    found = {
        code: tuple(change for _, change in sorted(changes.items(), key=lambda each: each[0]) if change is not None)
        for code, changes in newest.items()
    }
    return {code: changes for code, changes in found.items() if changes}


def _read_former_firsts(tx: Transaction, known: datetime) -> dict[str, tuple[str, str | None, str, str]]:
    """Return name, parent, level and kind of the first versions as they were known at the time *known*, of those that
    were corrected.
    """
    rows = sa.select(unit_version).where(unit_version.c.since == _FIRST).order_by(unit_version.c.serial)
    return {
        row.unit: (row.name, row.parent, row.level, row.kind)
        for row in tx.execute(rows)
        if row.recorded_at is None or row.recorded_at <= known
    }


def _list_own_aliases(tx: Transaction) -> dict[str, tuple[str, ...]]:
    """Return the aliases of the units of the province, by code.

    They are looked up unit by unit: with a join PostgreSQL reads the aliases of the national list, too.
    """
    joined = sa.func.aggregate_strings(unit_alias.c.alias, _BETWEEN)
    owned = sa.select(joined).where(unit_alias.c.unit == table.c.code).scalar_subquery()
    rows = tx.execute(sa.select(table.c.code, owned).where(OWN))
    return {code: tuple(sorted(text.split(_BETWEEN))) for code, text in rows if text is not None}


def _collect_pairs(tx: Transaction, pairs: sa.Select[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the second values of *pairs* by the first ones, which are units."""
    found: dict[str, tuple[str, ...]] = {}
    for unit, value in sorted((row[0], row[1]) for row in tx.execute(pairs)):
        found[unit] = (*found.get(unit, ()), value)
    return found


def write_registry_units(
    tx: Transaction,
    units: Iterable[Unit],
    progress: Callable[[int], None] = lambda _done: None,
    *,
    at: datetime | None = None,
) -> None:
    """Write *units* with all their versions. An existing unit is replaced, with its versions, aliases and successors.

    *at*: the time from which they are known; None: unknown. What was known before stays readable. *progress* is called
    with the number of units written since its last call. A unit may come before or after its successors.
    """
    given = list(units)
    columns = (table.c[name] for name in ("code", "name", "parent", "level", "kind", "recorded_at"))
    there = {row.code: row for row in tx.execute(sa.select(*columns))}
    replaced = [unit.code for unit in given if unit.code in there]
    _delete_values(tx, unit_alias.c.unit, replaced)
    _delete_values(tx, unit_successor.c.unit, replaced)
    versions = _read_versions(tx)
    later: list[dict[str, object]] = []
    for start in range(0, len(given), _BATCH):
        some = given[start : start + _BATCH]
        changed, added = [], []
        for unit in some:
            held = there.get(unit.code)
            row = _make_unit_row(unit) | {"recorded_at": at}
            if held is None:
                added.append(row)
            else:
                if _describe_version(held) == _describe_version(unit):
                    row["recorded_at"] = held.recorded_at
                elif unit.mark != UnitMark.NATIONAL:
                    later.append(_make_version_row(unit.code, _FIRST, held, held.recorded_at))
                changed.append(row | {"of": unit.code})
            later += _changed_versions(unit, versions.get(unit.code, ()), at)
        if changed:
            same = table.c.code == sa.bindparam("of")
            tx.execute(sa.update(table).where(same), changed)
        if added:
            tx.execute(sa.insert(table), added)
        progress(len(some))
    aliases = [{"alias": alias, "unit": unit.code} for unit in given for alias in unit.aliases]
    successors = [{"unit": unit.code, "successor": code} for unit in given for code in unit.successors]
    for listed, rows in ((unit_alias, aliases), (unit_successor, successors), (unit_version, later)):
        if rows:
            tx.execute(sa.insert(listed), rows)


def record_unit_import(
    tx: Transaction, added: Sequence[Unit], changes: Iterable[ChangedValue], *, source: str, by: str, now: datetime
) -> None:
    """Record that *by* imported the list *source*: the number of units *added*, and the *changes* of others."""
    told = list(changes)
    said = {
        "source": source,
        "by": by,
        "added": len(added),
        "changed": len({each.unit for each in told}),
        "changes": [each.text for each in told[:_TOLD]],
    }
    events.append_events(tx, Event("units-imported", now, None, None, said))


def _changed_versions(unit: Unit, held: Sequence[UnitChange], at: datetime | None) -> Iterator[dict[str, object]]:
    """Yield the rows that turn the later versions *held* into those of *unit*."""
    before = {change.since: change for change in held}
    for change in unit.changes:
        if before.pop(change.since, None) != change:
            yield _make_version_row(unit.code, change.since, change, at)
    for since in before:
        yield _make_version_row(unit.code, since, _WITHDRAWN, at)


#: What a row says of a version that is withdrawn.
_WITHDRAWN = UnitChange(date.min, "")


def _make_version_row(code: str, since: date, said: Any, at: datetime | None) -> dict[str, object]:
    name, parent, level, kind = _describe_version(said)
    row = {"unit": code, "since": since, "recorded_at": at}
    return row | {"name": name or None, "parent": parent, "level": level, "kind": kind}


def _describe_version(version: Any) -> tuple[str, str | None, str, str]:
    return version.name, version.parent, version.level, version.kind


def _make_unit_row(unit: Unit) -> dict[str, object]:
    return {
        "code": unit.code,
        "name": unit.name,
        "parent": unit.parent,
        "since": unit.since,
        "until": unit.until,
        "mark": unit.mark,
        "level": unit.level,
        "kind": unit.kind,
    }


def _delete_values(tx: Transaction, column: sa.Column[str], values: Sequence[str]) -> None:
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
