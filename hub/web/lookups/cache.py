"""Stores the state of lookups: how often a unit asked today, which answers are kept and until when, and whether a
partner may be asked.

Reads and writes the tables of lookups and the partner's row. Never sees the plain text of an answer: answers are
encrypted before they come here.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.domain.model import Event, MessageState
from hub.journal import events, messages, replay_guard
from hub.journal.effects import MessageEntry, RecordedMessage
from hub.journal.queue import partner_state
from hub.journal.replay_guard import ReplayMark
from hub.partner import circuit_breaker
from hub.partner.circuit_breaker import BreakerPosition
from hub.partner.policy import Policy
from hub.store import transactions
from hub.store.tables import lookup_answer, lookup_count, message
from hub.store.transactions import Transaction
from hub.units.routing import Routes

#: A probe that has not reported its outcome after this many timeouts of one call is considered over.
_PROBE = 2
#: The maximum number of answers deleted in one transaction.
BATCH = 500


@attrs.frozen(kw_only=True)
class KeptAnswer:
    """A cached answer."""

    sealed: bytes  #: the answer, encrypted
    heard_at: datetime  #: when the partner answered
    until: datetime  #: when the answer expires


@attrs.frozen(kw_only=True)
class QuotaUse:
    """One question counted against a unit's quota of a day."""

    unit: str
    operation: str
    day: date


@attrs.frozen(kw_only=True)
class LookupStart:
    """The state of a lookup before any partner is asked."""

    id: str  #: the hub's id of the lookup; a repetition gets the same id
    repeated: bool = False  #: answered before; a repetition is not counted again
    reused: bool = False  #: its MessageId was used for another question
    over: bool = False  #: the unit has used up its quota of the day
    spent: QuotaUse | None = None  #: the count to give back if no partner answers
    kept: KeptAnswer | None = None


@attrs.frozen(kw_only=True)
class LookupPermit:
    """Whether a partner may be asked now."""

    given: bool
    probe: bool = False  #: the partner's breaker is open, and this question is the probe
    reason: str = ""
    again: datetime | None = None  #: when to ask again, if that is known


def begin_lookup(
    tx: Transaction,
    entry: MessageEntry,
    question: str,
    spent: QuotaUse,
    quota: int,
    mark: ReplayMark | None,
    *,
    repeatable: bool = False,
) -> LookupStart:
    """Look up whether *entry* was answered before and whether an answer to *question* is kept; otherwise count the
    question.

    The count goes up before a partner is asked, so that several nodes together never exceed the unit's *quota*. A
    signed call that arrives a second time and would count again raises `Rejected` (`replayed`). A *repeatable* call has
    a MessageId of its own and raises it only if the call was refused before.
    """

    def step(fresh: bool) -> LookupStart:
        twin = _find_twin(tx, entry)
        if twin is not None and twin["sha256"] != entry.sha256:
            return LookupStart(id=entry.id, reused=True)
        kept = find_kept_answer(tx, question, entry.received_at)
        if twin is not None:
            return LookupStart(id=twin["id"], repeated=True, kept=kept)
        if not fresh:
            raise replay_guard.refuse_replayed_call(entry.record.kind if entry.record else entry.service)
        if not _count_spent(tx, spent, quota):
            return LookupStart(id=entry.id, over=True)
        return LookupStart(id=entry.id, spent=spent, kept=kept)

    if repeatable:
        return step(not replay_guard.is_spent(tx, mark))
    found = replay_guard.run_call_once(tx, mark, entry.received_at, step)
    if isinstance(found, LookupStart):
        return found
    raise found


def settle_lookup(
    tx: Transaction,
    entry: MessageEntry,
    routes: Routes,
    begun: LookupStart,
    said: Mapping[str, object],
    back: bool,
    mark: ReplayMark | None = None,
) -> RecordedMessage:
    """Journal *entry* with its outcome *said*, and return the recorded message.

    The count goes down again with *back*, or if the entry turned out to be a repetition. A refusal marks the signed
    call *mark* as used. With *back* the call is not marked, so the caller may ask again.
    """
    taken = messages.record_message(tx, entry, routes)
    if taken.problems and not back:
        replay_guard.spend_call_mark(tx, mark, entry.received_at)
    if back or taken.id != entry.id:
        refund_quota(tx, begun)
    events.append_events(tx, Event("lookup-settled", entry.received_at, taken.id, None, said))
    return taken


def refund_quota(tx: Transaction, begun: LookupStart) -> None:
    """Decrement the count of a question for which no partner could be asked."""
    if begun.spent is not None:
        _uncount_spent(tx, begun.spent)


def permit_partner_query(
    tx: Transaction, lookup: str, partner: str, policy: Policy, said: Mapping[str, object], now: datetime
) -> LookupPermit:
    """Decide whether *partner* may be asked now, and return a permit.

    If it may, write the event `lookup-asked` with the fields *said* before any request is sent. Checks the partner's
    pause, rate limit and breaker.
    """
    before = partner_state.read_partner_standing(tx, partner)
    if before.pause is not None:
        return LookupPermit(given=False, reason="paused")
    if policy.rate is not None and not policy.rate.allows(before.next_at, now):
        return LookupPermit(given=False, reason="its rate limit is reached", again=before.next_at)
    shut = before.breaker.position is not BreakerPosition.CLOSED
    if shut or policy.rate is not None:
        seized = partner_state.seize_partner(tx, partner)
        if seized is None:
            return LookupPermit(given=False, reason="another node is probing it")
        open_until = seized.breaker.until
        if shut and not circuit_breaker.count_breaker_room(
            attrs.evolve(seized.breaker, position=BreakerPosition.OPEN), now, _count_going(tx, partner), 1
        ):
            return LookupPermit(given=False, reason=seized.breaker.reason or "it does not answer", again=open_until)
        after = seized
        if shut:  # keep the breaker open until the probe must be over, so that no other question probes meanwhile
            probing = attrs.evolve(seized.breaker, position=BreakerPosition.OPEN, until=now + policy.timeout * _PROBE)
            after = attrs.evolve(after, breaker=probing)
        if policy.rate is not None:
            after = attrs.evolve(after, next_at=policy.rate.after(seized.next_at, now, 1))
        partner_state.write_partner_standing(tx, partner, seized, after)
    events.append_events(tx, Event("lookup-asked", now, lookup, None, said))
    return LookupPermit(given=True, probe=shut)


def find_kept_answer(tx: Transaction, question: str, now: datetime) -> KeptAnswer | None:
    """Return the cached answer to *question*, unless it has expired."""
    row = tx.execute(sa.select(lookup_answer).where(lookup_answer.c.question == question)).mappings().first()
    if row is None or row["until"] <= now or row["heard_at"] > now + timedelta(minutes=1):
        return None
    return KeptAnswer(sealed=bytes(row["sealed"]), heard_at=row["heard_at"], until=row["until"])


def keep_answer(tx: Transaction, question: str, kept: KeptAnswer) -> None:
    """Store an answer; replace an older one to the same question."""
    tx.execute(sa.delete(lookup_answer).where(lookup_answer.c.question == question))
    transactions.insert_missing_rows(tx, lookup_answer, [{"question": question, **attrs.asdict(kept)}])


def forget_old_answers(tx: Transaction, now: datetime, today: date) -> int:
    """Delete expired answers and the counts of days before yesterday. Return the number of answers deleted; call again
    while it equals `BATCH`.
    """
    old = sa.select(lookup_answer.c.question).where(lookup_answer.c.until <= now).limit(BATCH)
    names = tx.scalars(old).all()
    if names:
        tx.execute(sa.delete(lookup_answer).where(lookup_answer.c.question.in_(names)))
    tx.execute(sa.delete(lookup_count).where(lookup_count.c.day < today - timedelta(days=1)))
    return len(names)


def read_next_expiry(tx: Transaction) -> datetime | None:
    """Return when the next answer expires; None if none is kept."""
    query = sa.select(lookup_answer.c.until).order_by(lookup_answer.c.until).limit(1)
    return tx.execute(query).scalars().first()


def count_unit_lookups(tx: Transaction, spent: QuotaUse) -> int:
    """Return how many questions a unit has asked on a day."""
    return tx.scalar(sa.select(lookup_count.c.used).where(_is_spent_quota(spent))) or 0


def _is_spent_quota(spent: QuotaUse) -> sa.ColumnElement[bool]:
    table = lookup_count.c
    return sa.and_(table.unit == spent.unit, table.operation == spent.operation, table.day == spent.day)


def _count_spent(tx: Transaction, spent: QuotaUse, quota: int) -> bool:
    """Increment the count unless it has reached *quota*. Return whether it was incremented."""
    transactions.insert_missing_rows(tx, lookup_count, [{**attrs.asdict(spent), "used": 0}])
    more = (
        sa.update(lookup_count)
        .where(_is_spent_quota(spent), lookup_count.c.used < quota)
        .values(used=lookup_count.c.used + 1)
    )
    return bool(tx.execute(more).rowcount)


def _uncount_spent(tx: Transaction, spent: QuotaUse) -> None:
    less = (
        sa.update(lookup_count)
        .where(_is_spent_quota(spent), lookup_count.c.used > 0)
        .values(used=lookup_count.c.used - 1)
    )
    tx.execute(less)


def _find_twin(tx: Transaction, entry: MessageEntry) -> sa.RowMapping | None:
    table = message.c
    same = sa.and_(table.partner == entry.partner, table.message_id == entry.message_id)
    query = sa.select(table.id, table.sha256).where(same, table.state == MessageState.ACCEPTED)
    return tx.execute(query).mappings().first()


def _count_going(tx: Transaction, partner: str) -> int:
    return partner_state.count_attempts_under_way(tx).get(partner, 0)
