"""Keeps the eras of a journal: which history it is, and what it lacks since it was put back to an earlier moment.

A journal that was restored from a backup looks like the one it was copied from: same numbers, same hashes. It goes on
otherwise. So each restore begins an *era*, with a number and a random id. Receipts that were given in the era before and
that the journal lacks are kept as *lost receipts*, as far as a witness outside the journal knows them
(`hub.keeping.backups.witness`): their senders believe that they arrived, and must be asked to send them again.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import islice
from uuid import uuid4

import attrs
import sqlalchemy as sa

from hub.domain.model import Event, MessageState
from hub.journal import events
from hub.store import transactions
from hub.store.hot_statements import HotStatement
from hub.store.tables import era as table
from hub.store.tables import event, lost_receipt, message
from hub.store.transactions import Transaction

#: Beginning of the text of the event of an accepted message; its time has 27 characters.
_ACCEPTED = f'{{"at":"{"_" * 27}","event":"message-accepted"%'
#: Rows that are written with one statement.
_AT_ONCE = 500
#: These are read each second for the witness of the node.
_ERAS = HotStatement(sa.select(table).order_by(table.c.number))
_HASH = HotStatement(sa.select(event.c.hash).where(event.c.number == sa.bindparam("number_")))
_AFTER = event.c.number > sa.bindparam("after")
_SOME = (
    sa.select(event.c.number)
    .where(_AFTER)
    .order_by(event.c.number)
    .limit(sa.bindparam("most", type_=sa.Integer))
    .subquery()
)
_NEWEST = HotStatement(
    sa.select(event.c.number, event.c.hash).where(
        event.c.number == sa.select(sa.func.max(_SOME.c.number)).scalar_subquery()
    )
)
_RECEIPTS = (
    sa.select(message.c.id, message.c.partner, message.c.message_id, message.c.sha256, message.c.received_at)
    .join_from(event, message, message.c.id == event.c.message)
    .where(event.c.text.like(_ACCEPTED))
)
_GIVEN = HotStatement(_RECEIPTS.where(_AFTER, event.c.number <= sa.bindparam("newest")).order_by(event.c.number))
#: When the oldest of the events was that have no number yet; its place in their text is that of `_ACCEPTED`.
_UNNUMBERED = HotStatement(
    sa.select(sa.func.min(sa.func.substr(event.c.text, 8, 27)).label("at")).where(event.c.number.is_(None))
)
#: These are read in each commit where receipts are witnessed before they leave.
_LATEST = HotStatement(sa.select(sa.func.max(event.c.serial).label("serial")))
_COMMITTED = HotStatement(_RECEIPTS.where(event.c.serial > sa.bindparam("after")).order_by(event.c.serial))


class EraBeginning(StrEnum):
    """Why an era began."""

    MADE = "made"  #: the journal was made, or is from before eras were counted
    RESTORED = "restored"  #: from a backup
    ADOPTED = "adopted"  #: a person said so of a journal that other tools had put back


@attrs.frozen(kw_only=True)
class Era:
    """An era of a journal."""

    number: int  #: from 1
    id: str
    began_at: datetime
    because: EraBeginning
    reason: str
    by: str
    backup: str  #: name of the file that was restored
    event: int  #: number and hash of the last numbered event at its beginning
    hash: str
    since: datetime | None  #: time of the last event at its beginning: what came later is missing
    #: whether a witness told of every receipt since then that it is missing
    complete: bool
    #: from when to when a witness had seen every receipt that was given; None: no witness did
    complete_from: datetime | None
    complete_until: datetime | None


@attrs.frozen
class KnownReceipt:
    """A receipt that the hub gave."""

    id: str  #: the hub's id of the message
    partner: str
    message_id: str
    sha256: str
    received_at: datetime


@attrs.frozen
class LostReceipt:
    """A receipt that the journal lacks, and the message under whose id it came again."""

    receipt: KnownReceipt
    era: int  #: that began without it
    again: str | None  #: the hub's id of the message that came again; None: not yet


@attrs.frozen
class WitnessedEvents:
    """A part of the chain, for a witness outside of the journal."""

    number: int  #: of its last event
    hash: str
    receipts: Sequence[KnownReceipt]  #: given in it


def list_eras(tx: Transaction) -> list[Era]:
    """Return the eras of the journal, the present one last. Empty before a node of this version has run."""
    rows = _ERAS.read(tx, {})
    return [Era(**{**row._asdict(), "because": EraBeginning(row.because)}) for row in rows]


def list_restored_eras(tx: Transaction) -> list[Era]:
    """Return the eras that began because the journal was put back, the last one last."""
    return [each for each in list_eras(tx) if each.because is not EraBeginning.MADE]


def ensure_era(tx: Transaction, now: datetime) -> Era:
    """Return the present era; begin the first if there is none."""
    found = list_eras(tx)
    if not found:
        _insert_era(tx, now, 1, EraBeginning.MADE)
        found = list_eras(tx)
    return found[-1]


def note_era(tx: Transaction, now: datetime, number: int, id_: str) -> None:
    """Write down that there was an era of this *number*, unless the journal knows one."""
    _insert_era(tx, now, number, EraBeginning.MADE, id_=id_)


def begin_era(
    tx: Transaction,
    now: datetime,
    *,
    because: EraBeginning,
    reason: str,
    by: str,
    backup: str = "",
    after: int = 0,
    witnessed: tuple[datetime, datetime] | None = None,
) -> Era:
    """Begin a new era, whose number is above *after*, too, with its event. Return it.

    *witnessed*: from when to when a witness has seen every receipt.
    """
    before = ensure_era(tx, now)
    number = max(before.number, after) + 1
    _insert_era(tx, now, number, because, reason, by, backup, witnessed=witnessed)
    begun = list_eras(tx)[-1]
    since = begun.since.isoformat() if begun.since else None
    body = {"era": number, "because": str(because), "reason": reason, "by": by, "backup": backup, "since": since}
    events.append_events(tx, Event("era-begun", now, body=body))
    return begun


def _insert_era(
    tx: Transaction,
    now: datetime,
    number: int,
    because: EraBeginning,
    reason: str = "",
    by: str = "",
    backup: str = "",
    *,
    witnessed: tuple[datetime, datetime] | None = None,
    id_: str | None = None,
) -> None:
    since = read_last_event(tx)
    first, last = witnessed or (None, None)
    head, digest = events.read_chain_head(tx)
    row = {
        "number": number,
        "id": id_ or str(uuid4()),
        "began_at": now,
        "because": because,
        "reason": reason,
        "by": by,
        "backup": backup,
        "event": head,
        "hash": digest,
        "since": since,
        "complete": because is EraBeginning.MADE
        or (first is not None and last == now and (since is None or first <= since)),
        "complete_from": first,
        "complete_until": last,
    }
    transactions.insert_missing_rows(tx, table, [row])


def add_lost_receipts(tx: Transaction, era: int, receipts: Iterable[KnownReceipt]) -> int:
    """Record those of *receipts* whose messages the journal does not have as accepted. Return how many are new."""
    added, rest = 0, iter(receipts)
    while some := list(islice(rest, _AT_ONCE)):
        kept = sa.select(message.c.partner, message.c.message_id).where(
            message.c.state == MessageState.ACCEPTED, message.c.message_id.in_({each.message_id for each in some})
        )
        there = {tuple(row) for row in tx.execute(kept)}
        missing = [each for each in some if (each.partner, each.message_id) not in there]
        rows = {each.id: attrs.asdict(each) | {"era": era} for each in missing}
        added += transactions.insert_missing_rows(tx, lost_receipt, list(rows.values()))
    return added


def list_lost_receipts(tx: Transaction, *, partner: str | None = None, limit: int | None = None) -> list[LostReceipt]:
    """Return the lost receipts in the order of their giving, at most *limit*, those of *partner* only if given."""
    again = sa.and_(
        message.c.partner == lost_receipt.c.partner,
        message.c.message_id == lost_receipt.c.message_id,
        message.c.state == MessageState.ACCEPTED,
    )
    query = sa.select(lost_receipt, message.c.id.label("again")).select_from(lost_receipt.outerjoin(message, again))
    if partner is not None:
        query = query.where(lost_receipt.c.partner == partner)
    return [
        LostReceipt(KnownReceipt(row.id, row.partner, row.message_id, row.sha256, row.received_at), row.era, row.again)
        for row in tx.execute(query.order_by(lost_receipt.c.id).limit(limit))
    ]


def count_awaited_receipts(tx: Transaction, most: int) -> int:
    """Return how many lost receipts have not come again, at most *most*."""
    come = (
        sa.select(message.c.id)
        .where(
            message.c.partner == lost_receipt.c.partner,
            message.c.message_id == lost_receipt.c.message_id,
            message.c.state == MessageState.ACCEPTED,
        )
        .exists()
    )
    some = sa.select(lost_receipt.c.id).where(~come).limit(most).subquery()
    return tx.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()


def read_last_event(tx: Transaction) -> datetime | None:
    """Return the time of the last event; None if there is none."""
    last = events.read_last_event_time(tx)
    return None if last is None else datetime.fromisoformat(last)


def find_settled_moment(tx: Transaction, now: datetime) -> datetime:
    """Return until when every event that was committed has a number. *now*: a moment before *tx* began to read.

    An event that is not numbered yet was committed after its own time.
    """
    oldest = _UNNUMBERED.first(tx, {}).at
    return now if oldest is None else min(now, datetime.fromisoformat(oldest))


def read_event_serial(tx: Transaction, number: int) -> int:
    """Return the place in the table of the event *number*; of the last event if there is none of this number."""
    found = tx.scalar(sa.select(event.c.serial).where(event.c.number == number))
    return found if found is not None else read_latest_serial(tx)


def read_latest_serial(tx: Transaction) -> int:
    """Return the place in the table of the last event; 0: there is none."""
    return _LATEST.first(tx, {}).serial or 0


def read_committed_receipts(tx: Transaction, after: int) -> list[KnownReceipt]:
    """Return the receipts given in the events behind the place *after*, numbered or not."""
    return [KnownReceipt(*row) for row in _COMMITTED.read(tx, {"after": after})]


def read_witnessed_events(tx: Transaction, after: int, limit: int) -> WitnessedEvents | None:
    """Return the numbered events after *after*, at most *limit*, with the receipts given in them; None if there are none.

    However many numbers are missing between them, because their events were let go.
    """
    last = _NEWEST.first(tx, {"after": after, "most": limit})
    if last is None:
        return None
    given = _GIVEN.read(tx, {"after": after, "newest": last.number})
    return WitnessedEvents(last.number, last.hash, [KnownReceipt(*row) for row in given])


def read_event_hash(tx: Transaction, number: int) -> str | None:
    """Return the hash of the event *number*; None if the journal has no such event, or not any more."""
    row = _HASH.first(tx, {"number_": number})
    return None if row is None else str(row.hash)
