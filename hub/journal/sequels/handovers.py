"""Finds what passes to other units by deeds of succession: the work of units that have ended, and parts of units that go on.

Does not know what is moved, nor how a move is recorded.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import attrs
import sqlalchemy as sa

from hub.journal import unit_registry
from hub.store.tables import succession_part, succession_share, unit, unit_successor
from hub.store.transactions import Transaction
from hub.units.deeds import Estate
from hub.units.heirs import find_heirs
from hub.units.unit_index import UnitIndex


@attrs.frozen
class Handover:
    """What passes from a unit that has ended to the units that continue its work; or a part of a unit that goes on."""

    unit: str
    day: date  #: the first day on which the unit is no more, or no longer has the part
    heirs: tuple[str, ...]  #: the main one first; of a part it is the unit itself
    leads: Mapping[str, str] = attrs.field(factory=dict)  #: the heir to which each successor leads that has ended, too
    deed: str = ""  #: the deed for the part

    @property
    def is_part(self) -> bool:
        """Whether the unit goes on, and keeps what the rules of the deed do not name."""
        return bool(self.deed)


def list_handovers(tx: Transaction, today: date, *estates: Estate) -> dict[Estate, tuple[Handover, ...]]:
    """Return what passes of each of *estates*: of the units of the province that have ended by *today*, by code; of the
    dossiers then the parts, too.
    """
    ended = sa.select(unit.c.code, unit.c.until).where(unit.c.until <= today)
    rows = tx.execute(ended.where(unit.c.code.in_(sa.select(unit_successor.c.unit))).order_by(unit.c.code)).all()
    parts = tx.execute(_PARTS.where(succession_part.c.since <= today)).all() if Estate.DOSSIERS in estates else ()
    if not rows and not parts:
        return dict.fromkeys(estates, ())
    index = UnitIndex.of(unit_registry.list_registry_units(tx, today), today, unit_registry.list_registry_deeds(tx))
    found: dict[Estate, tuple[Handover, ...]] = {}
    for what in estates:
        whole = [_find_heirs(index, code, day, today, what) for code, day in rows]
        found[what] = tuple(each for each in whole if each.heirs)
        if what is Estate.DOSSIERS:
            found[what] += _find_parts(index, parts, today)
    return found


def read_dossier_handovers(tx: Transaction, code: str, today: date) -> tuple[Handover, ...]:
    """Return how the dossiers of the unit *code* pass on *today*: once if it has ended, else once for each part of it, in
    the order in which their deeds were recorded.
    """
    index = unit_registry.read_successions(tx, today)
    held = index.get(code)
    if held is not None and held.until is not None and held.until <= today:
        return (_find_heirs(index, code, held.until, today, Estate.DOSSIERS),)
    begun = _PARTS.where(succession_part.c.since <= today, succession_part.c.unit == code)
    return _find_parts(index, tx.execute(begun).all(), today)


#: Each deed for a part, with its successors, in order.
_PARTS = (
    sa.select(succession_part.c.deed, succession_part.c.unit, succession_part.c.since, succession_share.c.successor)
    .join(succession_share, succession_share.c.deed == succession_part.c.deed)
    .distinct()
    .order_by(succession_part.c.deed, succession_part.c.unit, succession_share.c.successor)
)


def _find_heirs(index: UnitIndex, code: str, day: date, today: date, what: Estate) -> Handover:
    leads = _find_leads(index, [deed.successor for deed in index.deeds(code)], today, what)
    return Handover(code, day, find_heirs(index, code, today, what), leads)


def _find_parts(index: UnitIndex, rows: Collection[Sequence[Any]], today: date) -> tuple[Handover, ...]:
    """Return the handovers of which *rows* (`_PARTS`) tell and whose unit goes on *today*."""
    grouped: dict[tuple[str, str, date], list[str]] = {}
    for deed, code, since, successor in rows:
        held = index.get(code)
        if held is None or held.until is None or today < held.until:
            grouped.setdefault((deed, code, since), []).append(successor)
    found = []
    for (deed, code, since), successors in grouped.items():
        leads = _find_leads(index, successors, today, Estate.DOSSIERS)
        heirs = dict.fromkeys([code, *(leads.get(successor, successor) for successor in successors)])
        found.append(Handover(code, since, tuple(heirs), leads, deed))
    return tuple(found)


def _find_leads(index: UnitIndex, successors: Sequence[str], today: date, what: Estate) -> dict[str, str]:
    """Return the unit that continues *what* of each of *successors* that has ended."""
    return {
        successor: heirs[0]
        for successor in successors
        if (heirs := find_heirs(index, successor, today, what)) and heirs[0] != successor
    }
