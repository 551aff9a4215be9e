"""Finds the partners of whose messages some may be missing in a month that is being closed.

Knows when messages were received and when partners were asked. Knows neither facts nor counts, and decides nothing: a
partner may have had nothing to tell.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta

import sqlalchemy as sa

from hub.config.reports import Teller
from hub.domain.ids import make_first_id
from hub.domain.local_time import HANOI, find_local_day
from hub.domain.model import MessageState
from hub.journal.queue import collection_rounds
from hub.report.counting.marks import Silence, SilenceKind
from hub.report.form.period import Period
from hub.report.form.workdays import Workdays
from hub.store.tables import SEARCHED, message
from hub.store.transactions import Transaction

#: A partner is unheard if the last of its messages came before the last working days of the month, so many of them.
WORKING_DAYS = 3
#: A partner is missed if it told something on at least so many of this number of days up to its last message: one that
#: tells once a week is not.
HEARD_DAYS, OF_DAYS = 10, 28
#: The maximum number of its last messages by whose services it is known what the partner tells of.
MOST_MESSAGES = 200
_DAY = timedelta(days=1)


def find_silences(
    tx: Transaction, tellers: Iterable[Teller], workdays: Workdays, period: Period
) -> tuple[Silence, ...]:
    """Return the partners of *tellers* that were unheard at the end of the month *period* and until now, or whose
    messages were not collected since its end.

    Reads at most 10 rows and the last `MOST_MESSAGES` messages of each partner, by their index.
    """
    return tuple(_list_unread(tx, tellers, period)) + tuple(_list_unheard(tx, tellers, workdays, period))


def _list_unread(tx: Transaction, tellers: Iterable[Teller], period: Period) -> Iterator[Silence]:
    rounds = {row["partner"]: row for row in collection_rounds.read_rounds(tx)}
    for each in tellers:
        asked = rounds.get(each.code)
        if not each.collected or asked is None:  # nobody has ever asked it: it was never part of the exchange
            continue
        answered = asked["ended_at"] is not None and not asked["failures"]
        if answered and asked["ended_at"] >= period.end:
            continue
        since = asked["ended_at"] if answered else None
        yield _make_silence(period, each, SilenceKind.UNREAD, since, _list_services(tx, each.code) or None)


def _list_unheard(tx: Transaction, tellers: Iterable[Teller], workdays: Workdays, period: Period) -> Iterator[Silence]:
    first = workdays.subtract(period.last + _DAY, WORKING_DAYS)
    for each in tellers:
        days = _list_heard_days(tx, each.code)
        last = next(days, None)
        if last is None or find_local_day(last) >= first:
            continue
        begun = find_local_day(last) - (OF_DAYS - 1) * _DAY
        heard = 1
        while heard < HEARD_DAYS and (earlier := next(days, None)) is not None and find_local_day(earlier) >= begun:
            heard += 1
        if heard == HEARD_DAYS:
            yield _make_silence(period, each, SilenceKind.UNHEARD, last, _list_services(tx, each.code))


def _make_silence(
    period: Period, teller: Teller, kind: SilenceKind, since: datetime | None, services: Sequence[str] | None
) -> Silence:
    return Silence(
        period=period.text,
        partner=teller.code,
        kind=kind,
        since=since,
        units=None if teller.any_unit else teller.units,
        services=None if services is None else tuple(services),
    )


def _list_heard_days(tx: Transaction, partner: str) -> Iterator[datetime]:
    """Yield the time of the newest accepted message of each day on which *partner* sent any, the latest day first."""
    newest = (
        sa.select(message.c.received_at)
        .where(message.c.partner == partner, SEARCHED, message.c.state == MessageState.ACCEPTED.value)
        .order_by(message.c.id.desc())
        .limit(1)
    )
    found = tx.scalar(newest)
    while found is not None:
        yield found
        midnight = datetime.combine(find_local_day(found), time(), HANOI).astimezone(UTC)
        found = tx.scalar(newest.where(message.c.id < make_first_id(midnight)))


def _list_services(tx: Transaction, partner: str) -> list[str]:
    last = (
        sa.select(message.c.service)
        .where(message.c.partner == partner, SEARCHED, message.c.state == MessageState.ACCEPTED.value)
        .order_by(message.c.id.desc())
        .limit(MOST_MESSAGES)
        .subquery()
    )
    return sorted(tx.scalars(sa.select(last.c.service).distinct()))
