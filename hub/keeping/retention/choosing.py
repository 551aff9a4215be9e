"""Reads what the rules of retention must know of the messages of one calendar month, in short steps, and chooses.

Contains the SQL, no rule. A step reads at most `PAGE` messages by their ids, which contain the time of receipt. The parts
that no index leads to (open work, duties, replays) are read once for the month: they hold only what is open.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TypeVar

import attrs
import sqlalchemy as sa

from hub.config.upkeep.retention import FOR_GOOD, REFUSED
from hub.domain.ids import make_first_id
from hub.domain.local_time import find_local_day, find_local_midnight
from hub.domain.model import DeliveryState, MessageState
from hub.journal.event_index import REFUSED_CALL
from hub.journal.queue import delivery_ends
from hub.journal.replays.replay_rules import PlanState
from hub.journal.searching import search_index
from hub.journal.sequels.open_work import following
from hub.keeping.retention.rules import (
    ClosedYear,
    KeptBecause,
    MessageStanding,
    RetentionRules,
    add_months,
    find_counted_day,
    judge_message,
)
from hub.store.tables import (
    closed_row,
    closing,
    closing_draft,
    delivery,
    duty,
    event,
    event_index,
    fact,
    message,
    open_work,
    replay_item,
    replay_plan,
    subscription,
)
from hub.store.transactions import Transaction

T = TypeVar("T")

#: Messages read by one step, and values in one statement. Refused calls that go with one archive file.
PAGE, MOST_CALLS = 500, 100_000
#: Forms of plans that have ended. All others may still need the bytes of their messages.
ENDED = (PlanState.DONE, PlanState.CANCELLED)
_LAST_MONTH = 12


@attrs.frozen
class CalendarMonth:
    """A calendar month in Hà Nội, by the receipt of messages."""

    text: str  #: such as `2026-08`

    @property
    def first(self) -> date:
        """Its first day."""
        return date.fromisoformat(f"{self.text}-01")

    @property
    def next(self) -> "CalendarMonth":
        """The month after it."""
        year, month = divmod(self.first.year * 12 + self.first.month, 12)
        return CalendarMonth(f"{year:04}-{month + 1:02}")

    @property
    def ids(self) -> tuple[str, str]:
        """The first id of the month, and the first one after it."""
        start, end = find_local_midnight(self.first), find_local_midnight(self.next.first)
        return make_first_id(start), make_first_id(end)

    @classmethod
    def of(cls, at: datetime) -> "CalendarMonth":
        """Return the month of the instant *at*."""
        return cls(find_local_day(at).isoformat()[:7])


@attrs.frozen(kw_only=True)
class MonthSurroundings:
    """What is known once for all messages of a month: the open things that name them, and how far readers have come."""

    busy: Mapping[KeptBecause, frozenset[str]]  #: hub ids by the reason that keeps them
    read_upto: int  #: every reader of the chain of events has read the events up to this number
    years: tuple[ClosedYear, ...]


@attrs.frozen(kw_only=True)
class JudgedMessage:
    """A message and why it stays, or None if it may go."""

    id: str
    service: str
    size: int
    why: KeptBecause | None


@attrs.frozen(kw_only=True)
class RetentionSetting:
    """What the journal does not know: the rules, the forms that count, the subscription of the feed."""

    rules: RetentionRules = attrs.field(factory=RetentionRules)
    forms: tuple[str, ...] = ()  #: ids of the forms that count facts and are closed each month
    feed: str | None = None  #: name of the subscription in use


def find_oldest_month(tx: Transaction) -> CalendarMonth | None:
    """Return the month of the oldest message that is whole, or refused call; None if there is none."""
    oldest = sa.select(message.c.received_at).where(message.c.archive.is_(None)).order_by(message.c.id).limit(1)
    call = sa.select(sa.func.min(event_index.c.at, type_=event_index.c.at.type)).where(
        event_index.c.name == REFUSED_CALL
    )
    moments = [each for each in (*tx.scalars(oldest), tx.scalar(call)) if each is not None]
    return CalendarMonth.of(min(moments)) if moments else None


def list_ripe_months(tx: Transaction, setting: RetentionSetting, now: datetime) -> list[CalendarMonth]:
    """Return the months with whole messages of which some may be old enough, oldest first."""
    rules = setting.rules
    least = min((rules.other, *rules.months.values()))
    found = []
    month = find_oldest_month(tx)
    while month is not None and add_months(find_local_midnight(month.next.first), least) <= now:
        first, end = month.ids
        query = sa.select(message.c.id).where(message.c.id >= first, message.c.id < end, message.c.archive.is_(None))
        if tx.execute(query.limit(1)).first() or tx.execute(_select_calls(month).limit(1)).first():
            found.append(month)
        month = month.next
    return found


def _select_calls(month: CalendarMonth) -> sa.Select[tuple[int]]:
    start, end = find_local_midnight(month.first), find_local_midnight(month.next.first)
    named = sa.and_(event_index.c.name == REFUSED_CALL, event_index.c.at >= start, event_index.c.at < end)
    return sa.select(event_index.c.serial).where(named).order_by(event_index.c.at, event_index.c.serial)


def list_old_calls(
    tx: Transaction, month: CalendarMonth, around: "MonthSurroundings", setting: RetentionSetting, now: datetime
) -> list[int]:
    """Return the serials of the events of refused calls in *month* that may go, at most `MOST_CALLS`, in order.

    They are kept as long as messages that were refused.
    """
    months = setting.rules.months.get(REFUSED, setting.rules.other)
    if now < add_months(find_local_midnight(month.next.first), months):
        return []
    read = sa.select(event.c.serial).where(event.c.serial == event_index.c.serial, event.c.number <= around.read_upto)
    return list(tx.scalars(_select_calls(month).where(read.exists()).limit(MOST_CALLS)))


def find_going_states(
    month: CalendarMonth, around: "MonthSurroundings", setting: RetentionSetting, now: datetime
) -> frozenset[MessageState]:
    """Return the states of those messages of *month* of which some may go: all others need not be looked at.

    An accepted one is judged by the year in which it counts, which is not before that of its receipt.
    """
    rules, received = setting.rules, find_local_midnight(month.first)
    found = set()
    if now >= add_months(received, rules.months.get(REFUSED, rules.other)):
        found.add(MessageState.REFUSED)
    kept = min([rules.other, *(many for kind, many in rules.months.items() if kind != REFUSED)])
    year = next((each for each in around.years if month.first <= each.last), None)
    settled = year is not None and not year.returned and now >= add_months(year.settled_at, rules.contest)
    if settled and now >= add_months(received, kept):
        found.add(MessageState.ACCEPTED)
    return frozenset(found)


def count_staying(
    tx: Transaction, month: CalendarMonth, around: "MonthSurroundings", setting: RetentionSetting, now: datetime
) -> dict[KeptBecause, int]:
    """Return how many messages of *month* need not be looked at (`find_going_states`), by the first reason for all of them."""
    first, end = month.ids
    query = sa.select(message.c.state, sa.func.count()).where(message.c.id >= first, message.c.id < end)
    query = query.where(message.c.archive.is_(None)).group_by(message.c.state)
    going, found = find_going_states(month, around, setting, now), Counter[KeptBecause]()
    for state, count in tx.execute(query):
        if state not in going:
            found[_find_reason_for_all(MessageState(state), month, around, setting, now)] += count
    return found


def _find_reason_for_all(
    state: MessageState, month: CalendarMonth, around: "MonthSurroundings", setting: RetentionSetting, now: datetime
) -> KeptBecause:
    """Return why no message of *month* in *state* goes, which is not among those of which some may go."""
    if state != MessageState.ACCEPTED:
        return KeptBecause.YOUNG
    year = next((each for each in around.years if month.first <= each.last), None)
    if year is None:
        return KeptBecause.OPEN_PERIOD
    if year.returned or now < add_months(year.settled_at, setting.rules.contest):
        return KeptBecause.CONTESTABLE
    return KeptBecause.YOUNG


def is_month_being_closed(tx: Transaction) -> bool:
    """Tell whether the closing of a month is being counted, whose evidence is read."""
    return tx.execute(sa.select(closing_draft.c.form).limit(1)).first() is not None


def read_surroundings(tx: Transaction, month: CalendarMonth, setting: RetentionSetting) -> MonthSurroundings:
    """Return what is known once for all messages of *month*."""
    first, end = month.ids

    def list_in_month(*columns: sa.Column[str | None], where: sa.ColumnElement[bool] = sa.true()) -> frozenset[str]:
        found: set[str] = set()
        for column in columns:
            found |= {
                name for name in tx.scalars(sa.select(column).where(where, column >= first, column < end)) if name
            }
        return frozenset(found)

    open_plans = sa.select(replay_plan.c.id).where(replay_plan.c.state.not_in(ENDED))
    is_open = replay_plan.c.state.not_in(ENDED)
    return MonthSurroundings(
        busy={
            KeptBecause.DUTY: list_in_month(duty.c.message),
            KeptBecause.OPEN_WORK: list_in_month(open_work.c.message, open_work.c.told),
            KeptBecause.REPLAY: list_in_month(replay_item.c.message, where=replay_item.c.plan.in_(open_plans))
            | list_in_month(replay_plan.c.corrects, replay_plan.c.corrected, where=is_open),
        },
        read_upto=_read_progress(tx, setting.feed),
        years=read_closed_years(tx, setting.forms),
    )


def _read_progress(tx: Transaction, feed: str | None) -> int:
    """Return the number up to which all readers of the chain have read it, and which is not its last."""
    head = tx.scalar(sa.select(sa.func.max(event.c.number))) or 0
    known = [head - 1, search_index.read_progress(tx), following.read_progress(tx)]
    if feed is not None:
        known.append(tx.scalar(sa.select(subscription.c.number).where(subscription.c.name == feed)) or 0)
    return min(known)


def read_closed_years(tx: Transaction, forms: Collection[str]) -> tuple[ClosedYear, ...]:
    """Return the years of reports that are closed for all *forms*, in order. Without forms none is.

    A form counts from the year of its first closing on; one that was never closed leaves every year open.
    """
    rows = tx.execute(
        sa.select(closing.c.form, closing.c.period, closing.c.last_day, closing.c.closed_at).where(
            closing.c.form.in_(list(forms))
        )
    ).all()
    begun = {form: min(row.period for row in rows if row.form == form)[:4] for form in {row.form for row in rows}}
    if not forms or begun.keys() != set(forms):
        return ()
    returned = _list_returned_years(tx)
    found = []
    for year in sorted({row.period[:4] for row in rows}):
        of_year = [row for row in rows if row.period[:4] == year]
        ends = {row.form for row in of_year if row.period == f"{year}-{_LAST_MONTH}"}
        if ends != {form for form, first in begun.items() if first <= year}:
            break  # the years after it are open, too
        revised = tx.scalar(
            sa.select(sa.func.max(closed_row.c.made_at)).where(
                closed_row.c.period >= f"{year}-01", closed_row.c.period <= f"{year}-{_LAST_MONTH}"
            )
        )
        moments = [row.closed_at for row in of_year] + ([revised] if revised else [])
        last = max(row.last_day for row in of_year)
        found.append(ClosedYear(last=last, settled_at=max(moments), returned=year in returned))
    return tuple(found)


def _list_returned_years(tx: Transaction) -> frozenset[str]:
    """Return the years with a report that was returned, and of which no such or later revision was accepted."""
    query = sa.select(fact.c.unit, fact.c.key, fact.c.milestone)
    rows = tx.execute(query.where(fact.c.service == "reports", fact.c.milestone.in_(("accepted", "returned")))).all()
    newest: dict[tuple[str, str, str], tuple[int, bool]] = {}
    for row in rows:
        form, unit, period, revision = json.loads(row.key)
        name, verdict = (form, unit, period), (revision, row.milestone == "accepted")
        newest[name] = max(newest.get(name, verdict), verdict)
    return frozenset(period[:4] for (_, _, period), (_, accepted) in newest.items() if not accepted)


def judge_page(
    tx: Transaction,
    month: CalendarMonth,
    around: MonthSurroundings,
    setting: RetentionSetting,
    now: datetime,
    after: str = "",
    limit: int = PAGE,
    states: Collection[MessageState] | None = None,
) -> list[JudgedMessage]:
    """Return the next whole messages of *month* behind the hub id *after*, each with why it stays. Empty: no more.

    Only those in *states* are looked at (None: `find_going_states`).
    """
    first, end = month.ids
    query = (
        sa.select(*_COLUMNS)
        .where(message.c.id >= max(first, after), message.c.id < end, message.c.archive.is_(None))
        .where(message.c.id > after)
        .order_by(message.c.id)
        .limit(limit)
    )
    states = find_going_states(month, around, setting, now) if states is None else states
    query = query.where(message.c.state.in_(states))
    return _judge_messages(tx, tx.execute(query).all(), around, setting, now)


_COLUMNS = [message.c[name] for name in ("id", "service", "kind", "state", "received_at", "size")]


def judge_messages(
    tx: Transaction,
    ids: Sequence[str],
    around: MonthSurroundings,
    setting: RetentionSetting,
    now: datetime,
    *,
    lock: bool = False,
) -> list[JudgedMessage]:
    """Return those of the messages *ids* that are whole, each with why it stays.

    With *lock*, their rows and those of their deliveries are locked first, so what is returned stays true in *tx*.
    """
    query = sa.select(*_COLUMNS).where(message.c.id.in_(ids), message.c.archive.is_(None)).order_by(message.c.id)
    if lock:
        locked = sa.select(delivery.c.id).where(delivery.c.message.in_(ids)).order_by(delivery.c.id)
        tx.execute(locked.with_for_update()).all()
        query = query.with_for_update()
    return _judge_messages(tx, tx.execute(query).all(), around, setting, now)


def _judge_messages(
    tx: Transaction,
    rows: Sequence[sa.Row[tuple[object, ...]]],
    around: MonthSurroundings,
    setting: RetentionSetting,
    now: datetime,
) -> list[JudgedMessage]:
    ids = [row.id for row in rows]
    sent = _read_deliveries(tx, ids)
    behind = _list_behind(tx, ids, around.read_upto)
    counted = _read_fact_days(tx, rows)
    busy = around.busy
    found = []
    for row in rows:
        ends = sent.get(row.id, _NONE)
        standing = MessageStanding(
            id=row.id,
            service=row.service,
            kind=row.kind,
            state=row.state,
            received_at=row.received_at,
            settled_at=max(filter(None, (row.received_at, ends.changed_at))),
            counted_on=find_counted_day(row.received_at, ends.changed_at, counted.get(row.id)),
            undelivered=ends.undelivered,
            dead=ends.dead,
            duty=row.id in busy[KeptBecause.DUTY],
            open_work=row.id in busy[KeptBecause.OPEN_WORK],
            replay=row.id in busy[KeptBecause.REPLAY],
            behind=row.id in behind,
        )
        why = judge_message(standing, setting.rules, around.years, now)
        found.append(JudgedMessage(id=row.id, service=row.service, size=row.size, why=why))
    return found


@attrs.frozen
class _Ends:
    """The deliveries of one message."""

    undelivered: bool = False
    dead: bool = False
    changed_at: datetime | None = None


_NONE = _Ends()


def _read_deliveries(tx: Transaction, ids: Sequence[str]) -> Mapping[str, _Ends]:
    query = sa.select(
        *(delivery.c[name] for name in ("message", "state", "stopped", "given_up", "reason", "changed_at"))
    ).where(delivery.c.message.in_(ids))
    found: dict[str, _Ends] = {}
    for row in tx.execute(query):
        before = found.get(row.message, _NONE)
        is_dead = row.state == DeliveryState.DEAD
        found[row.message] = _Ends(
            before.undelivered or (not is_dead and row.state != DeliveryState.DELIVERED),
            before.dead or (is_dead and row.stopped is None and not delivery_ends.is_given_up(row)),
            max(filter(None, (before.changed_at, row.changed_at))),
        )
    return found


def _list_behind(tx: Transaction, ids: Sequence[str], read_upto: int) -> frozenset[str]:
    late = sa.or_(event.c.number.is_(None), event.c.number > read_upto)
    return frozenset(tx.scalars(sa.select(event.c.message).where(event.c.message.in_(ids), late).distinct()))


def _read_fact_days(tx: Transaction, rows: Iterable[sa.Row[tuple[object, ...]]]) -> Mapping[str, date]:
    """Return the last day that facts of each message declare, by message.

    Facts that declare a day are of the time of receipt of their message, by which the index finds them. The other facts of
    a packet are of the time of one of its deliveries.
    """
    counting = [row for row in rows if row.state == MessageState.ACCEPTED and row.service not in FOR_GOOD]
    if not counting:
        return {}
    query = (
        sa.select(fact.c.message, sa.func.max(fact.c.day, type_=fact.c.day.type).label("day"))
        .where(fact.c.at.in_([row.received_at for row in counting]))
        .where(fact.c.message.in_([row.id for row in counting]), fact.c.day.is_not(None))
        .group_by(fact.c.message)
    )
    return {row.message: row.day for row in tx.execute(query)}


def cut_values(values: Sequence[T], many: int = PAGE) -> Iterator[Sequence[T]]:
    """Yield *values* in pieces of at most *many*."""
    for start in range(0, len(values), many):
        yield values[start : start + many]
