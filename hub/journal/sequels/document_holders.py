"""Finds the unit that has a received document in hand, and makes the facts by which it passes to another one.

A document that passes is `handed-over` in the unit that had it and `taken-over` in the other, with the due day, and
`taken-over-in-work` if it was in work. If the other has the document too, the earlier of the two due days holds, by a
correction. No fact of the past changes, and no document is received twice.
A unit that gets back what it had handed over has it under another key (`hub.journal.facts.make_return_key`), so that each time in a
unit has a beginning and an end of its own. The delivery of the document says which.

Knows recorded facts. Does not know the registry, or why a document passes.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import attrs

from hub.domain.model import DOCUMENTS, Fact
from hub.journal.fact_reading import fact_pages
from hub.report.counting.corrections import find_beginning, find_due_day, make_due_correction
from hub.report.form.column import HANDED_OVER, IN_WORK, RECEIVED, RECEIVED_BY, TAKEN_OVER
from hub.store.transactions import Transaction

BEGINS = (RECEIVED, TAKEN_OVER)
WORK = ("status-04", "status-05", IN_WORK)
ENDS = ("status-02", "status-06", HANDED_OVER)

#: The facts of a document in a unit, by milestone: they say whether the unit has it in hand, and until when.
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
    """Return the stays of the documents *keys* in *units*, by unit and key. Those without any fact are left out."""
    histories = fact_pages.read_histories(tx, DOCUMENTS, {(unit, key) for unit in units for key in keys})
    return {name: {each.milestone: each for each in history} for name, history in histories.items()}


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

    *others*: its stay in *heir*. If that has the document too, it only ends in the unit, and the earlier of the two due days
    holds. *key*: the key that it has in *heir*, if another one.
    """
    begun = find_beginning(own.values())
    if begun is None or not is_open(own):
        return []
    moved = attrs.evolve(begun, at=now, due=find_due_day([*own.values()]), attributes=())
    handed = attrs.evolve(moved, milestone=HANDED_OVER, counterpart=heir)
    there = attrs.evolve(moved, unit=heir, key=key or begun.key, counterpart=begun.unit)
    taken = attrs.evolve(there, milestone=TAKEN_OVER, attributes=((RECEIVED_BY, begun.unit),))
    if others.keys().isdisjoint(BEGINS):
        in_work = [] if own.keys().isdisjoint(WORK) else [attrs.evolve(taken, milestone=IN_WORK)]
        return [handed, taken, *in_work]
    if not is_open(others):
        return [handed]
    if taken.due and find_due_day([*others.values()]) is None and TAKEN_OVER not in others:
        return [handed, taken]  # the other has the document itself, without a due day
    earlier = make_due_correction([*others.values()], moved, now)
    return [handed, earlier] if earlier else [handed]
