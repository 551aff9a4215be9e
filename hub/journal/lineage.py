"""Finds the messages that a message is linked to, both ways: what it answers, changes or repeats, and what does so to it.

Reads ranges of indexes, a bounded number of rows of each. Changes nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Message, PacketKind
from hub.edxml import changes
from hub.store.tables import ACCEPTED, REFUSED, change, replay_plan
from hub.store.tables import message as table
from hub.store.transactions import Transaction

#: Links of each relation that are read.
MOST = 50
#: Events of an answered message that name the answer in `by`.
_ANSWERS = {"status-moved", "status-kept", "change-answered"}


class Relation(StrEnum):
    """What the linked message is to the message."""

    ANSWERS = "answers"  #: this status is about it
    ANSWERS_BY_NUMBER = "answers-by-number"  #: so it seems: the status names nothing but its number and notation
    ANSWERED_BY = "answered-by"  #: it is a status about this document
    ANSWERED_BY_NUMBER = "answered-by-number"  #: so it seems: the status names nothing but its number and notation
    CHANGES = "changes"  #: this recall, update or replacement is about it
    CHANGED_BY = "changed-by"  #: it recalls, updates or replaces this document
    CORRECTS = "corrects"  #: a person corrected that message, and this one went in its place
    CORRECTED_BY = "corrected-by"  #: a person corrected this message, and that one went in its place
    SAME_DOCUMENT = "same-document"  #: it carries the same document of the same unit
    SAME_ID = "same-id"  #: its sender gave it the same message id


@attrs.frozen(kw_only=True)
class MessageLink:
    """A message that is linked to another."""

    relation: Relation
    id: str
    received_at: datetime
    partner: str
    sender: str | None
    service: str
    kind: str
    state: str
    code: str | None
    subject: str | None


def read_message_links(tx: Transaction, found: Message, events: Iterable[Mapping[str, Any]]) -> list[MessageLink]:
    """Return the links of *found*, by relation and then in the order of receipt. *events*: those of the message."""
    of = sa.select(replay_plan.c.corrects).where(replay_plan.c.corrected == found.id)
    by = sa.select(replay_plan.c.corrected).where(
        replay_plan.c.corrects == found.id, replay_plan.c.corrected.is_not(None)
    )
    links = _read_links(tx, Relation.CORRECTS, table.c.id.in_(of)) + _read_links(
        tx, Relation.CORRECTED_BY, table.c.id.in_(by)
    )
    told = list(events)
    if answered := _find_answered(tx, found):
        by_number = any(each["event"] == "matched-by-number" for each in told)
        relation = Relation.ANSWERS_BY_NUMBER if by_number else Relation.ANSWERS
        links += _read_links(tx, relation, table.c.id == answered)
    answers = [each for each in told if each["event"] in _ANSWERS and each.get("by")]
    for relation, by_number in ((Relation.ANSWERED_BY, False), (Relation.ANSWERED_BY_NUMBER, True)):
        those = sorted({str(each["by"]) for each in answers if ("matched" in each) is by_number})[:MOST]
        links += _read_links(tx, relation, table.c.id.in_(those)) if those else []
    if found.kind in changes.CHANGES:
        about = sa.select(change.c.sender, change.c.document_id).where(change.c.message == found.id).distinct()
        for sender, document in tx.execute(about.limit(MOST)).all():
            links += _read_links(
                tx, Relation.CHANGES, _is_document(sender, document), table.c.kind.in_(changes.DOCUMENTS)
            )
    if found.sender and found.document_id and found.kind != PacketKind.STATUS:
        same = sa.and_(change.c.sender == found.sender, change.c.document_id == found.document_id)
        changing = sa.select(change.c.message).where(same, change.c.message != found.id).distinct().limit(MOST)
        named = tx.scalars(changing).all()
        links += _read_links(tx, Relation.CHANGED_BY, table.c.id.in_(named)) if named else []
        others = sa.and_(_is_document(found.sender, found.document_id), table.c.id != found.id)
        links += _read_links(tx, Relation.SAME_DOCUMENT, others, table.c.kind != PacketKind.STATUS)
    if found.message_id:
        named_so = sa.and_(table.c.message_id == found.message_id, table.c.partner == found.partner)
        for state in (ACCEPTED, REFUSED):
            links += _read_links(tx, Relation.SAME_ID, named_so, state, table.c.id != found.id)
    seen: dict[str, MessageLink] = {}
    for link in links:
        if link.id != found.id:
            seen.setdefault(link.id, link)
    return sorted(seen.values(), key=lambda each: (list(Relation).index(each.relation), each.id))


def _find_answered(tx: Transaction, found: Message) -> str | None:
    return tx.scalars(sa.select(table.c.answers).where(table.c.id == found.id)).first()


def _is_document(sender: str, document: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.document_id == document, table.c.sender == sender)


def _read_links(tx: Transaction, relation: Relation, *where: sa.ColumnElement[bool]) -> list[MessageLink]:
    names = [field.name for field in attrs.fields(MessageLink) if field.name != "relation"]
    query = sa.select(*(table.c[name] for name in names)).where(*where).order_by(table.c.id).limit(MOST)
    return [MessageLink(relation=relation, **row) for row in tx.execute(query).mappings()]
