"""Moves the documents that units that have ended leave in work or with a due day to the units that continue their work.

Knows which documents are open in a unit, and how a moved one is recorded: `handed-over` in the unit that had it,
`taken-over` in the other, with the due day, and `taken-over-in-work` if it was in work. No fact of the past changes, and
no document is received twice. A document that is neither in work nor due counts in no stock and stays. Does not know when
units are looked at (`hub.workload.month_end`), nor how facts count.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.domain.model import DOCUMENTS, Fact
from hub.journal import facts
from hub.journal.upkeep.ended_units import Ended
from hub.report.form.form import HANDED_OVER, IN_WORK, RECEIVED, RECEIVED_BY, TAKEN_OVER
from hub.store import transactions
from hub.store.tables import fact
from hub.store.transactions import Transaction

#: Documents that one transaction moves: at most 150 facts, some ten milliseconds of the only writer.
SOME = 50
_BEGINS = (RECEIVED, TAKEN_OVER)
_WORK = ("status-04", "status-05", IN_WORK)
_ENDS = ("status-02", "status-06", HANDED_OVER)


def list_documents_to_move(tx: Transaction, code: str, most: int = SOME) -> list[str]:
    """Return the keys of documents that are in work or due in the unit *code*, and have not ended there, at most *most*."""
    other = fact.alias("other")
    same = sa.and_(other.c.unit == fact.c.unit, other.c.service == fact.c.service, other.c.key == fact.c.key)
    begun = sa.and_(fact.c.unit == code, fact.c.service == DOCUMENTS, fact.c.milestone.in_(_BEGINS))
    matters = sa.or_(fact.c.due.is_not(None), sa.exists().where(same, other.c.milestone.in_(_WORK)))
    is_open = ~sa.exists().where(same, other.c.milestone.in_(_ENDS))
    return list(
        tx.scalars(sa.select(fact.c.key).where(begun, matters, is_open).distinct().order_by(fact.c.key).limit(most))
    )


def move_documents(tx: Transaction, of: Ended, keys: Sequence[str], now: datetime) -> int:
    """Record that the open documents *keys* of a unit passed to its heir: the single one, the main one, else the first.

    Idempotent. Returns the number of documents that moved.
    """
    transactions.lock_names(tx, [f"document {key}" for key in sorted(keys)])
    heir = of.heirs[0]
    told = facts.read_facts_by_key(
        tx,
        [
            (unit, DOCUMENTS, key, milestone)
            for unit in (of.unit, heir)
            for key in keys
            for milestone in (*_BEGINS, *_WORK, *_ENDS)
        ],
    )
    histories: dict[tuple[str, str], dict[str, Fact]] = {}
    for each in told.values():
        histories.setdefault((each.unit, each.key), {})[each.milestone] = each
    made = [
        made
        for key in keys
        for made in _make_moves(of.unit, heir, histories.get((of.unit, key), {}), histories.get((heir, key), {}), now)
    ]
    facts.record_facts(tx, made)
    return sum(each.milestone == HANDED_OVER for each in made)


def _make_moves(unit: str, heir: str, own: Mapping[str, Fact], others: Mapping[str, Fact], now: datetime) -> list[Fact]:
    """Return the facts by which the document of *own* passes from *unit* to *heir*, which has the facts *others* of it."""
    begun = own.get(TAKEN_OVER) or own.get(RECEIVED)
    if begun is None or not own.keys().isdisjoint(_ENDS):
        return []
    moved = attrs.evolve(begun, at=now, attributes=())
    made = [attrs.evolve(moved, milestone=HANDED_OVER, counterpart=heir)]
    if others.keys().isdisjoint(_BEGINS):  # else it has the document itself: then it only ends in the unit
        taken = attrs.evolve(moved, unit=heir, counterpart=unit, attributes=((RECEIVED_BY, unit),))
        made.append(attrs.evolve(taken, milestone=TAKEN_OVER))
        if not own.keys().isdisjoint(_WORK):
            made.append(attrs.evolve(taken, milestone=IN_WORK))
    return made
