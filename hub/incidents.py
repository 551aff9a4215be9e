"""How long incidents were open: the opening and the closing of one, brought together.  Knows the facts of the journal; no message."""

from collections.abc import Iterable

import sqlalchemy as sa

from hub.model import Fact
from hub.schema import fact as table
from hub.services.incidents import CLOSED, OPENED, closing
from hub.store import Transaction

_OTHER = {OPENED: CLOSED, CLOSED: OPENED}


def paired(tx: Transaction, facts: Iterable[Fact]) -> list[Fact]:
    """Return *facts*, and of each incident that they open or close, whose other end is known, how long it was open.

    It does not matter which end comes first.
    """
    found = list(facts)
    for fact in list(found):
        if fact.service == "incidents" and fact.milestone in _OTHER:
            other = known(tx, fact.unit, fact.key, _OTHER[fact.milestone])
            here = known(tx, fact.unit, fact.key, fact.milestone) or fact  # the first of a key holds
            if other is not None:
                ends = (here, other) if fact.milestone == OPENED else (other, here)
                found.append(closing(*ends, last=fact))
    return found


def known(tx: Transaction, unit: str, key: str, milestone: str) -> Fact | None:
    """Return the fact of an incident, if there is one."""
    same = sa.and_(
        table.c.unit == unit,
        table.c.service == "incidents",
        table.c.key == key,
        table.c.milestone == milestone,
    )
    row = tx.execute(sa.select(table).where(same)).mappings().first()
    return None if row is None else Fact(**row)
