"""Finds the unit that has a received document in hand, and makes the facts by which it passes to another one.

A document that passes is `handed-over` in the unit that had it and `taken-over` in the other, with the due day, and
`taken-over-in-work` if it was in work. No fact of the past changes, and no document is received twice.
A unit that gets back what it had handed over has it under another key (`facts.make_return_key`), so that each time in a
unit has a beginning and an end of its own. The delivery of the document says which.

Knows recorded facts. Does not know the registry, or why a document passes.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import attrs

from hub.domain.model import DOCUMENTS, Fact
from hub.journal import facts
from hub.report.form.form import HANDED_OVER, IN_WORK, RECEIVED, RECEIVED_BY, TAKEN_OVER
from hub.store.transactions import Transaction

BEGINS = (RECEIVED, TAKEN_OVER)
WORK = ("status-04", "status-05", IN_WORK)
ENDS = ("status-02", "status-06", HANDED_OVER)

#: The facts of a document in a unit that say whether the unit has it in hand, by milestone.
Stay = Mapping[str, Fact]


@attrs.frozen
class Holding:
    """The unit in which a status counts that answers a document of a unit whose work its own unit continues."""

    unit: str
    received_by: str = ""  #: the other unit that received the document
    moves: Sequence[Fact] = ()  #: the facts by which the document passes to *unit*


def read_stays(
    tx: Transaction, units: Collection[str], keys: Collection[str]
) -> dict[tuple[str, str], dict[str, Fact]]:
    """Return the stays of the documents *keys* in *units*, by unit and key. Those that have not begun are left out."""
    milestones = (*BEGINS, *WORK, *ENDS)
    asked = [(unit, DOCUMENTS, key, name) for unit in units for key in keys for name in milestones]
    found: dict[tuple[str, str], dict[str, Fact]] = {}
    for each in facts.read_facts_by_key(tx, asked).values():
        found.setdefault((each.unit, each.key), {})[each.milestone] = each
    return found


def is_open(stay: Stay) -> bool:
    """Tell whether the unit of *stay* has the document, and has not ended its work on it."""
    return not stay.keys().isdisjoint(BEGINS) and stay.keys().isdisjoint(ENDS)


def find_holder(tx: Transaction, unit: str, key: str) -> tuple[str, Stay]:
    """Return the unit to which the document *key* passed from *unit*, and at last, with its stay there.

    It is *unit* itself if that has not handed it over.
    """
    seen: set[str] = set()
    while True:
        seen.add(unit)
        stay = read_stays(tx, [unit], [key]).get((unit, key), {})
        handed = stay.get(HANDED_OVER)
        if handed is None or handed.counterpart in seen:
            return unit, stay
        unit = handed.counterpart


def make_move_facts(own: Stay, heir: str, others: Stay, now: datetime, key: str | None = None) -> list[Fact]:
    """Return the facts by which the document of the stay *own* passes to *heir*: none if it is not open.

    *others*: its stay in *heir*. If that has received it too, it only ends in the unit. *key*: the key that it has in
    *heir*, if another one.
    """
    begun = own.get(TAKEN_OVER) or own.get(RECEIVED)
    if begun is None or not is_open(own):
        return []
    moved = attrs.evolve(begun, at=now, attributes=())
    made = [attrs.evolve(moved, milestone=HANDED_OVER, counterpart=heir)]
    if others.keys().isdisjoint(BEGINS):
        there = attrs.evolve(moved, unit=heir, key=key or begun.key)
        taken = attrs.evolve(there, counterpart=begun.unit, attributes=((RECEIVED_BY, begun.unit),))
        made.append(attrs.evolve(taken, milestone=TAKEN_OVER))
        if not own.keys().isdisjoint(WORK):
            made.append(attrs.evolve(taken, milestone=IN_WORK))
    return made
