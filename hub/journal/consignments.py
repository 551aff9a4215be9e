"""Reads the content of claimed messages for their adapters. Moves no delivery."""

import json
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from hub.domain.model import Consignment, Message
from hub.journal import blobs
from hub.journal.queue.claims import Claim
from hub.journal.searching import message_reading
from hub.store.hot_statements import HotStatement
from hub.store.tables import attempt, content, delivery, message
from hub.store.transactions import Transaction

#: Ids of earlier messages of a lane that are read, the latest first.
_MOST_EARLIER = 500

_SMALL = HotStatement(
    sa.select(*message_reading.MESSAGE_COLUMNS, content.c.octets)
    .join(content, sa.and_(content.c.sha256 == message.c.sha256, content.c.part == 0))
    .where(message.c.id.in_(sa.bindparam("ids", expanding=True)), message.c.size <= blobs.PART),
    lists=("ids",),
)


def read_consignment(tx: Transaction, claim: Claim) -> Consignment:
    """Return the content of *claim*. Raises KeyError if the journal has none."""
    found = message_reading.read_message(tx, claim.message)
    return _make_consignment(tx, claim, found, blobs.read_blob(tx, found.sha256))


def read_small_consignments(tx: Transaction, claims: Sequence[Claim]) -> list[Consignment | None]:
    """Return the content of each of *claims*, or None where it is longer than one part (`blobs.PART`)."""
    if not claims:
        return []
    found = {row.id: row._asdict() for row in _SMALL.read(tx, {"ids": [claim.message for claim in claims]})}
    rows = [(claim, found.get(claim.message)) for claim in claims]
    return [
        None
        if row is None
        else _make_consignment(tx, claim, message_reading.read_message_row(row), bytes(row["octets"]))
        for claim, row in rows
    ]


def _make_consignment(tx: Transaction, claim: Claim, found: Message, octets: bytes) -> Consignment:
    return Consignment(
        message=found,
        content=octets,
        recipients=claim.recipients,
        attempt=claim.number,
        again=claim.again,
        named=claim.named,
        unsure=claim.unsure,
        unsure_until=_read_unsure_end(tx, claim),
        earlier=_read_earlier(tx, claim),
    )


def _read_unsure_end(tx: Transaction, claim: Claim) -> datetime | None:
    """Return when the last attempt ended after which the partner may have the message of *claim*.

    Of an attempt of a node that was taken for dead, this is when it ends at the latest.
    """
    if claim.unsure is None:
        return None
    begun = sa.and_(
        attempt.c.message == delivery.c.message,
        attempt.c.partner == delivery.c.partner,
        attempt.c.started_at == delivery.c.unsure,
    )
    ends = sa.select(attempt.c.ended_at).join(delivery, begun)
    found = ends.where(delivery.c.id.in_(claim.deliveries), attempt.c.ended_at.is_not(None))
    ended = tx.scalars(found.order_by(attempt.c.ended_at.desc()).limit(1)).first()
    return max((each for each in (ended, claim.busy) if each is not None), default=None)


def read_progress(tx: Transaction, claim: Claim) -> str | None:
    """Return what an earlier attempt said last that is through of *claim*, since it began to wait; None: none did."""
    same = (attempt.c.message == claim.message, attempt.c.partner == claim.partner)
    to_the_same = attempt.c.recipients == json.dumps(claim.recipients)
    found = sa.select(attempt.c.progress).where(*same, to_the_same, attempt.c.started_at >= claim.since)
    return tx.scalar(found.where(attempt.c.progress.is_not(None)).order_by(attempt.c.id.desc()).limit(1))


def _read_earlier(tx: Transaction, claim: Claim) -> frozenset[str]:
    """Return the partner's ids of what it accepted for these recipients in the lane of *claim*, if it is to be asked."""
    if claim.unsure is None:
        return frozenset()
    same = sa.and_(delivery.c.lane == claim.lane, delivery.c.recipient.in_(claim.recipients))
    found = sa.select(delivery.c.their_id).where(same, delivery.c.their_id.is_not(None))
    return frozenset(tx.scalars(found.order_by(delivery.c.id.desc()).limit(_MOST_EARLIER)))
