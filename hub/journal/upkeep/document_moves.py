"""Moves the documents that units that have ended leave in work or with a due day to the units that continue their work.

Knows which documents are open in a unit. A document that is neither in work nor due counts in no stock and stays. Does
not know how a moved one is recorded (`hub.journal.sequels.document_holders`), nor when units are looked at
(`hub.workload.month_end`).
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from hub.domain.model import DOCUMENTS
from hub.journal import facts
from hub.journal.sequels import document_holders
from hub.journal.sequels.document_holders import BEGINS, ENDS, WORK
from hub.journal.upkeep.ended_units import Ended
from hub.report.form.form import HANDED_OVER
from hub.store import transactions
from hub.store.tables import fact
from hub.store.transactions import Transaction

#: Documents that one transaction moves: at most 150 facts, some ten milliseconds of the only writer.
SOME = 50


def list_documents_to_move(tx: Transaction, code: str, most: int = SOME) -> list[str]:
    """Return the keys of documents that are in work or due in the unit *code*, and have not ended there, at most *most*."""
    other = fact.alias("other")
    same = sa.and_(other.c.unit == fact.c.unit, other.c.service == fact.c.service, other.c.key == fact.c.key)
    begun = sa.and_(fact.c.unit == code, fact.c.service == DOCUMENTS, fact.c.milestone.in_(BEGINS))
    matters = sa.or_(fact.c.due.is_not(None), sa.exists().where(same, other.c.milestone.in_(WORK)))
    is_open = ~sa.exists().where(same, other.c.milestone.in_(ENDS))
    return list(
        tx.scalars(sa.select(fact.c.key).where(begun, matters, is_open).distinct().order_by(fact.c.key).limit(most))
    )


def move_documents(tx: Transaction, of: Ended, keys: Sequence[str], now: datetime) -> int:
    """Record that the open documents *keys* of a unit passed to its heir: the single one, the main one, else the first.

    Idempotent. Returns the number of documents that moved.
    """
    transactions.lock_names(tx, [f"document {key}" for key in sorted(keys)])
    heir = of.heirs[0]
    stays = document_holders.read_stays(tx, [of.unit, heir], keys)
    made = [
        made
        for key in keys
        for made in document_holders.make_move_facts(
            stays.get((of.unit, key), {}), heir, stays.get((heir, key), {}), now
        )
    ]
    facts.record_facts(tx, made)
    return sum(each.milestone == HANDED_OVER for each in made)
