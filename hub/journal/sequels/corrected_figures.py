"""Records a figure that corrects a recorded one as the difference to it.

Knows recorded facts. Does not know messages or forms.

A unit that declares a month again corrects it. A recorded fact never changes, so the difference is recorded as another
fact, whose key is the month, `#` and the id of the message: both count, and their sum is the corrected figure. So what a
closed month said stays as it was, and the difference counts as the form counts late facts.
"""

from collections.abc import Sequence

import attrs
import sqlalchemy as sa

from hub.domain.model import Event, Fact
from hub.services.dossiers.results import NAME
from hub.services.dossiers.statistic import DECLARED
from hub.store import transactions
from hub.store.tables import fact as table
from hub.store.transactions import Transaction

_DECLARED = frozenset(DECLARED.values())
_CORRECTED = "#"  #: between the month and the message in the key of a correction


def place_corrections(tx: Transaction, facts: Sequence[Fact]) -> tuple[Sequence[Fact], list[Event]]:
    """Return *facts* with corrected figures as differences to what is recorded, and an event for each difference.

    A figure that is declared again unchanged is left out. Facts of other kinds cost nothing.
    """
    if not any(_is_figure(fact) for fact in facts):
        return facts, []
    found: list[Fact] = []
    told: list[Event] = []
    for name in sorted({f"statistic {fact.unit} {fact.key}" for fact in facts if _is_figure(fact)}):
        transactions.lock_names(tx, [name])
    for fact in facts:
        held = _read_figure(tx, fact) if _is_figure(fact) else None
        if held is None:
            found.append(fact)
        elif held != fact.amount:
            key = f"{fact.key}{_CORRECTED}{fact.message}"
            found.append(attrs.evolve(fact, key=key, amount=fact.amount - held))
            named = {"unit": fact.unit, "service": fact.service, "key": fact.key, "milestone": fact.milestone}
            body = {**named, "amount": fact.amount, "held": held}
            told.append(Event("figure-corrected", fact.at, fact.message, None, body))
    return found, told


def _is_figure(fact: Fact) -> bool:
    return fact.service == NAME and fact.milestone in _DECLARED


def _read_figure(tx: Transaction, fact: Fact) -> int | None:
    """Return the figure as recorded, corrections included; None if the unit has declared none for the month."""
    mine = sa.and_(table.c.service == fact.service, table.c.unit == fact.unit, table.c.day == fact.day)
    corrections = table.c.key.startswith(f"{fact.key}{_CORRECTED}", autoescape=True)
    of_month = sa.or_(table.c.key == fact.key, corrections)
    query = sa.select(sa.func.sum(table.c.amount)).where(mine, table.c.milestone == fact.milestone, of_month)
    found: int | None = tx.scalar(query)
    return None if found is None else int(found)
