"""What the journal remembers of lookups: how often a unit asked today, which answers are kept until when, and whether a partner may be asked.

Knows three tables and no plain text of an answer: what it keeps is sealed before it comes here.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.domain.model import Event, MessageState
from hub.journal import events, messages, replay_guard
from hub.journal.messages import MessageEntry, RecordedMessage
from hub.journal.queue import partner_state
from hub.journal.replay_guard import ReplayMark
from hub.partner import circuit_breaker
from hub.partner.circuit_breaker import Position
from hub.partner.policy import Policy
from hub.store import transactions
from hub.store.tables import lookup_answer, lookup_count, message
from hub.store.transactions import Transaction
from hub.units.routing import Routes

#: A probe that nobody tells of any more is over after so many timeouts of one call.
_PROBE = 2
#: So many answers are taken away in one transaction.
BATCH = 500


@attrs.frozen(kw_only=True)
class KeptAnswer:
    """An answer that is kept."""

    sealed: bytes
    heard_at: datetime
    until: datetime


@attrs.frozen(kw_only=True)
class Spent:
    """One of a unit's questions of a day."""

    unit: str
    operation: str
    day: date


@attrs.frozen(kw_only=True)
class Begun:
    """How a question stands before anybody is asked."""

    id: str  #: the hub's id of it: the same on every repetition
    repeated: bool = False  #: it was answered before: it is not counted again
    reused: bool = False  #: its MessageId was used for another question
    over: bool = False  #: the unit has asked as often today as it may
    spent: Spent | None = None  #: what is given back if nobody answers
    kept: KeptAnswer | None = None


@attrs.frozen(kw_only=True)
class LookupPermit:
    """Whether a partner may be asked now."""

    given: bool
    probe: bool = False  #: its breaker is open, and this question tries whether it is back
    reason: str = ""
    again: datetime | None = None  #: when to ask again


def begin_lookup(
    tx: Transaction,
    entry: MessageEntry,
    question: str,
    spent: Spent,
    quota: int,
    mark: ReplayMark | None,
    *,
    repeatable: bool = False,
) -> Begun:
    """Look whether *entry* was answered before, whether an answer to *question* is kept, and count it otherwise.

    The count goes up before anybody is asked, so that no two nodes give a unit more than its *quota*.  A signed call that
    comes a second time and would count again raises `Rejected`, `replayed`; one that is *repeatable*, as it has an id of its own,
    only if it was refused.
    """

    def step(fresh: bool) -> Begun:
        twin = _twin(tx, entry)
        if twin is not None and twin["sha256"] != entry.sha256:
            return Begun(id=entry.id, reused=True)
        kept = find_kept_answer(tx, question, entry.received_at)
        if twin is not None:
            return Begun(id=twin["id"], repeated=True, kept=kept)
        if not fresh:
            raise replay_guard.refuse_replayed_call(entry.record.kind if entry.record else entry.service)
        if not _count(tx, spent, quota):
            return Begun(id=entry.id, over=True)
        return Begun(id=entry.id, spent=spent, kept=kept)

    if repeatable:
        return step(not replay_guard.is_spent(tx, mark))
    found = replay_guard.run_call_once(tx, mark, entry.received_at, step)
    if isinstance(found, Begun):
        return found
    raise found


def settle_lookup(
    tx: Transaction,
    entry: MessageEntry,
    routes: Routes,
    begun: Begun,
    said: Mapping[str, object],
    back: bool,
    mark: ReplayMark | None = None,
) -> RecordedMessage:
    """Journal *entry* with how it ended, *said*; with *back*, or when it was a repetition after all, its count goes down again.

    A refusal spends the signed call *mark*; not one with *back*, which may be asked again.
    """
    taken = messages.record_message(tx, entry, routes)
    if taken.problems and not back:
        replay_guard.spend_call_mark(tx, mark, entry.received_at)
    if back or taken.id != entry.id:
        give_back(tx, begun)
    events.append_events(tx, Event("lookup-settled", entry.received_at, taken.id, None, said))
    return taken


def give_back(tx: Transaction, begun: Begun) -> None:
    """Count a question no more that could not be asked."""
    if begun.spent is not None:
        _uncount(tx, begun.spent)


def permit_partner_query(
    tx: Transaction, lookup: str, partner: str, policy: Policy, said: Mapping[str, object], now: datetime
) -> LookupPermit:
    """Return whether *partner* may be asked now; if so it is told of, before anything goes out, by *said*."""
    before = partner_state.read_partner_standing(tx, partner)
    if before.pause is not None:
        return LookupPermit(given=False, reason="paused")
    if policy.rate is not None and not policy.rate.allows(before.next_at, now):
        return LookupPermit(given=False, reason="its rate is used up", again=before.next_at)
    shut = before.breaker.position is not Position.CLOSED
    if shut or policy.rate is not None:
        seized = partner_state.seize_partner(tx, partner)
        if seized is None:
            return LookupPermit(given=False, reason="another node tries it")
        open_until = seized.breaker.until
        if shut and not circuit_breaker.breaker_room(
            attrs.evolve(seized.breaker, position=Position.OPEN), now, _going(tx, partner), 1
        ):
            return LookupPermit(given=False, reason=seized.breaker.reason or "it does not answer", again=open_until)
        after = seized
        if shut:  # nobody else tries before this probe must be over; it stays open until somebody answered
            probing = attrs.evolve(seized.breaker, position=Position.OPEN, until=now + policy.timeout * _PROBE)
            after = attrs.evolve(after, breaker=probing)
        if policy.rate is not None:
            after = attrs.evolve(after, next_at=policy.rate.after(seized.next_at, now, 1))
        partner_state.write_partner_standing(tx, partner, seized, after)
    events.append_events(tx, Event("lookup-asked", now, lookup, None, said))
    return LookupPermit(given=True, probe=shut)


def find_kept_answer(tx: Transaction, question: str, now: datetime) -> KeptAnswer | None:
    """Return the answer to *question* that is kept and not too old."""
    row = tx.execute(sa.select(lookup_answer).where(lookup_answer.c.question == question)).mappings().first()
    if row is None or row["until"] <= now or row["heard_at"] > now + timedelta(minutes=1):
        return None
    return KeptAnswer(sealed=bytes(row["sealed"]), heard_at=row["heard_at"], until=row["until"])


def keep_answer(tx: Transaction, question: str, kept: KeptAnswer) -> None:
    """Keep an answer, in the place of an older one."""
    tx.execute(sa.delete(lookup_answer).where(lookup_answer.c.question == question))
    transactions.put_once(tx, lookup_answer, [{"question": question, **attrs.asdict(kept)}])


def forget_old_answers(tx: Transaction, now: datetime, today: date) -> int:
    """Take away the answers that are too old, and the counts of days gone by.  Returns how many answers; call again while it is `BATCH`."""
    old = sa.select(lookup_answer.c.question).where(lookup_answer.c.until <= now).limit(BATCH)
    names = tx.scalars(old).all()
    if names:
        tx.execute(sa.delete(lookup_answer).where(lookup_answer.c.question.in_(names)))
    tx.execute(sa.delete(lookup_count).where(lookup_count.c.day < today - timedelta(days=1)))
    return len(names)


def next_end(tx: Transaction) -> datetime | None:
    """Return when the next answer will be too old; None when none is kept."""
    query = sa.select(lookup_answer.c.until).order_by(lookup_answer.c.until).limit(1)
    return tx.execute(query).scalars().first()


def count_unit_lookups(tx: Transaction, spent: Spent) -> int:
    """Return how many questions a unit has asked on a day."""
    return tx.scalar(sa.select(lookup_count.c.used).where(_where(spent))) or 0


def _where(spent: Spent) -> sa.ColumnElement[bool]:
    table = lookup_count.c
    return sa.and_(table.unit == spent.unit, table.operation == spent.operation, table.day == spent.day)


def _count(tx: Transaction, spent: Spent, quota: int) -> bool:
    """Count one more, unless that is more than *quota*."""
    transactions.put_once(tx, lookup_count, [{**attrs.asdict(spent), "used": 0}])
    more = (
        sa.update(lookup_count).where(_where(spent), lookup_count.c.used < quota).values(used=lookup_count.c.used + 1)
    )
    return bool(tx.execute(more).rowcount)


def _uncount(tx: Transaction, spent: Spent) -> None:
    less = sa.update(lookup_count).where(_where(spent), lookup_count.c.used > 0).values(used=lookup_count.c.used - 1)
    tx.execute(less)


def _twin(tx: Transaction, entry: MessageEntry) -> sa.RowMapping | None:
    table = message.c
    same = sa.and_(table.partner == entry.partner, table.message_id == entry.message_id)
    query = sa.select(table.id, table.sha256).where(same, table.state == MessageState.ACCEPTED)
    return tx.execute(query).mappings().first()


def _going(tx: Transaction, partner: str) -> int:
    return partner_state.under_way(tx).get(partner, 0)
