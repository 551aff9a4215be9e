"""Moves the documents that units that have ended leave in work or with a due day to the units that continue their work,
and back if the deed is undone.

Knows which documents are open in a unit. A document that is neither in work nor due counts in no stock and stays. Does
not know how a moved one is recorded (`hub.journal.sequels.document_holders`), nor when units are looked at
(`hub.workload.month_end`).
"""

import json
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from hub.domain.local_time import find_local_day
from hub.domain.model import DOCUMENTS, Fact
from hub.journal import facts, unit_registry
from hub.journal.queue import deliveries
from hub.journal.sequels import document_holders, handovers
from hub.journal.sequels.document_holders import BEGINS, ENDS, WORK, Stay
from hub.journal.sequels.handovers import Handover
from hub.report.form.column import HANDED_OVER, RECEIVED, TAKEN_OVER
from hub.store import transactions
from hub.store.tables import TO_UNIT, delivery, fact
from hub.store.transactions import Transaction
from hub.units.deeds import DeedOrder, Estate
from hub.units.heirs import find_forebears
from hub.units.unit_index import UnitIndex

#: Documents that one transaction moves: at most 150 facts, some ten milliseconds of the only writer.
SOME = 50


def list_documents_to_move(tx: Transaction, code: str, most: int = SOME) -> list[str]:
    """Return the keys of documents that are in work or due in the unit *code*, and have not ended there, at most *most*."""
    return list(tx.scalars(select_documents_to_move(code).order_by(fact.c.key).limit(most)))


def select_documents_to_move(code: str) -> sa.Select[str]:
    """Return the query for the keys of documents that are in work or due in the unit *code*, and have not ended there."""
    other = fact.alias("other")
    same = sa.and_(other.c.unit == fact.c.unit, other.c.service == fact.c.service, other.c.key == fact.c.key)
    begun = sa.and_(fact.c.unit == code, fact.c.service == DOCUMENTS, fact.c.milestone.in_(BEGINS))
    matters = sa.or_(  # a correction states a due day
        fact.c.due.is_not(None),
        sa.exists().where(same, sa.or_(other.c.milestone.in_(WORK), other.c.milestone.like("%-corrected-%"))),
    )
    is_open = ~sa.exists().where(same, other.c.milestone.in_(ENDS))
    return sa.select(fact.c.key).where(begun, matters, is_open).distinct()


def move_documents(tx: Transaction, of: Handover, keys: Sequence[str], now: datetime) -> int:
    """Record that the open documents *keys* of a unit passed to its heir: the single one, the main one, else the first.

    Idempotent. Returns the number of documents that moved.
    """
    transactions.lock_names(tx, [f"document {key}" for key in sorted(keys)])
    heir = of.heirs[0]
    stays = document_holders.read_stays(tx, [of.unit, heir], keys)
    made = []
    for key in keys:
        own, others = stays.get((of.unit, key), {}), stays.get((heir, key), {})
        if HANDED_OVER in others:
            made += _return_document(tx, own, _list_line(tx, heir, now), key, now)
        else:
            made += document_holders.make_move_facts(own, heir, others, now)
    facts.record_facts(tx, made)
    return sum(each.milestone == HANDED_OVER for each in made)


def move_all_documents(engine: sa.Engine, now: datetime) -> None:
    """Move what is open in all units that have ended, for commands without a service that does it
    (`hub.workload.month_end`).
    """
    with transactions.read_transaction(engine) as tx:
        passing = handovers.list_handovers(tx, find_local_day(now), Estate.DOCUMENTS)[Estate.DOCUMENTS]
    for of in passing:
        moved = True
        while moved:
            with transactions.write_transaction(engine) as tx:
                moved = move_documents(tx, of, list_documents_to_move(tx, of.unit), now) > 0


def give_back_documents(tx: Transaction, order: DeedOrder, now: datetime) -> int:
    """Record that what nobody has ended of the documents that *order* took from its units, which go on, is theirs again:
    what they handed over, and what was sent to them and received by a successor. Returns the number of documents.
    """
    made: list[Fact] = []
    for unit in order.units:
        line = _list_line(tx, unit, now)
        passed = {key: document_holders.find_holder(tx, unit, key) for key in _list_handed_over(tx, unit)}
        for key, (holder, stay) in passed.items():
            if holder != unit:
                back = _return_document(tx, stay, line, key, now)
                # who received it, too, has it still
                made += [each for each in back if RECEIVED not in stay or each.unit == unit]
        for successor in order.successors:
            for key in _list_sent(tx, line, successor):
                made += _return_document(tx, document_holders.find_holder(tx, successor, key)[1], line, key, now)
    facts.record_facts(tx, made)
    return sum(each.milestone == TAKEN_OVER for each in made)


def _list_handed_over(tx: Transaction, unit: str) -> list[str]:
    """Return the keys of the documents that *unit* has handed over."""
    mine = sa.and_(fact.c.unit == unit, fact.c.service == DOCUMENTS, fact.c.milestone == HANDED_OVER)
    return list(tx.scalars(sa.select(fact.c.key).where(mine).order_by(fact.c.key)))


def _list_sent(tx: Transaction, line: Sequence[str], successor: str) -> list[str]:
    """Return the keys of the documents that were sent to one of *line*, not to *successor*, and that this received."""
    theirs = sa.and_(fact.c.unit == successor, fact.c.service == DOCUMENTS, fact.c.milestone == RECEIVED)
    sent = sa.select(delivery.c.message).where(delivery.c.recipient.in_(line), TO_UNIT)
    own = sa.exists().where(delivery.c.message == fact.c.message, delivery.c.recipient == successor)
    return list(tx.scalars(sa.select(fact.c.key).where(theirs, fact.c.message.in_(sent), ~own)))


def _list_line(tx: Transaction, unit: str, now: datetime) -> tuple[str, ...]:
    """Return *unit* and the units whose documents it continues."""
    today = find_local_day(now)
    index = UnitIndex.of(unit_registry.list_registry_units(tx, today), today, unit_registry.list_registry_deeds(tx))
    return (unit, *find_forebears(index, unit, today))


def _return_document(tx: Transaction, stay: Stay, line: Sequence[str], key: str, now: datetime) -> list[Fact]:
    """Return the facts by which the document *key* of *stay*, if it is open, comes back to the first of *line*, and note
    it at the deliveries to all of them.
    """
    if not document_holders.is_open(stay):
        return []
    new_key, number = facts.make_return_key(key)
    sender, document = json.loads(key)[:2]
    deliveries.write_returns(tx, sender, document, line, number)
    return document_holders.make_move_facts(stay, line[0], {}, now, new_key)
