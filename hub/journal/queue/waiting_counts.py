"""How many deliveries wait, by partner and state, and since when: at the same cost however many they are.

Triggers of the database keep the counts (`hub.store.waiting_triggers`), in the transaction of each change: they are exact after a
crash, and also what an earlier program or the command line moves is counted. On PostgreSQL each statement leaves rows of
its own; `fold_waiting_counts` sums them up. Changes no delivery.
"""

from datetime import datetime, timedelta
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import DeliveryState
from hub.store import transactions
from hub.store.tables import UNDELIVERED, Instant, delivery
from hub.store.tables import waiting_count as table
from hub.store.transactions import Transaction

#: Deliveries among which the oldest of a partner and state is looked for: the first in the order of their messages.
#: Each waits at least since its message was received, so the first is the oldest, unless people have sent more than so
#: many again, whose time begins anew.
FIRST = 100
#: PostgreSQL: rows of the counts from which they are summed up.
MANY = 500


@attrs.frozen(kw_only=True)
class WaitingCount:
    """The deliveries to one partner in one state that did not arrive."""

    partner: str
    state: DeliveryState
    count: int  #: at least 1
    since: datetime  #: since when the oldest waits: it was made then, or replayed
    age: timedelta  #: how long that is; never negative


def _make_count_query() -> sa.Select[Any]:
    first = (
        sa.select(delivery.c.since)
        .where(UNDELIVERED, delivery.c.state == table.c.state, delivery.c.partner == table.c.partner)
        .order_by(delivery.c.message)
        .limit(FIRST)
        .correlate(table)
        .subquery()
    )
    oldest = sa.select(sa.func.min(first.c.since, type_=Instant)).scalar_subquery()
    number = sa.func.sum(table.c.count)
    return (
        sa.select(table.c.partner, table.c.state, sa.cast(number, sa.BigInteger), oldest)
        .group_by(table.c.partner, table.c.state)
        .having(number > 0)
        .order_by(table.c.partner, table.c.state)
    )


_COUNTED = _make_count_query()
_FOLD = sa.text(
    "WITH gone AS (DELETE FROM waiting_count RETURNING partner, state, count) "
    "INSERT INTO waiting_count (partner, state, serial, count) "
    "SELECT partner, state, nextval('waiting_count_serial'), sum(count) FROM gone GROUP BY partner, state "
    "HAVING sum(count) <> 0"
)


def read_waiting(tx: Transaction, now: datetime) -> list[WaitingCount]:
    """Return what waits at *now*, in the order of partner and state; nothing where nothing does.

    Reads a few rows for each partner and state. `since` is exact unless more than `FIRST` deliveries were replayed: then
    it may be that of the replay, though another one waits for longer.
    """
    return [
        WaitingCount(
            partner=partner,
            state=DeliveryState(state),
            count=count,
            since=since,
            age=max(timedelta(), now - since),
        )
        for partner, state, count, since in tx.execute(_COUNTED)
        if since is not None
    ]


def are_many_counts(tx: Transaction) -> bool:
    """Tell whether the counts have so many rows that `fold_waiting_counts` should sum them up. Never on SQLite."""
    some = sa.select(table.c.serial).limit(MANY).subquery()
    number = tx.scalar(sa.select(sa.func.count()).select_from(some)) or 0
    return tx.dialect.name == "postgresql" and number >= MANY


def fold_waiting_counts(tx: Transaction) -> None:
    """Sum up the rows of the counts on PostgreSQL.

    Rows that other transactions have not committed stay. Of two nodes that do it at the same time, each sums up what
    the other has left.
    """
    tx.execute(_FOLD)


def find_wrong_counts(tx: Transaction) -> dict[tuple[str, str], tuple[int, int]]:
    """Count every delivery that did not arrive. Return, by partner and state, what is kept and what there is, where they differ.

    Takes seconds with a million of them.
    """
    return {(row.partner, row.state): (int(row.kept), int(row.there)) for row in tx.execute(_DIFFERENT)}


def mend_wrong_counts(tx: Transaction) -> dict[tuple[str, str], tuple[int, int]]:
    """Write the counts that are wrong anew, and return them, as `find_wrong_counts` does. Others may go on meanwhile."""
    transactions.lock_names(tx, ("waiting-counts",))  # else two would each add what is missing
    wrong = find_wrong_counts(tx)
    for (partner, state), (kept, there) in wrong.items():
        # what others move meanwhile changes both alike, so the difference stays right
        tx.execute(_ADD[tx.dialect.name], {"partner": partner, "state": state, "more": there - kept})
    return wrong


def _make_comparison_query() -> sa.Select[Any]:
    """Return the statement that finds wrong counts: one, so that it sees one moment also where others write."""
    zero, one = sa.literal(0, sa.BigInteger), sa.func.sum(table.c.count)
    kept = sa.select(table.c.partner, table.c.state, one.label("kept"), zero.label("there"))
    there = sa.select(delivery.c.partner, delivery.c.state, zero, sa.func.count()).where(UNDELIVERED)
    both = sa.union_all(
        kept.group_by(table.c.partner, table.c.state), there.group_by(delivery.c.partner, delivery.c.state)
    ).subquery()
    sums = sa.func.sum(both.c.kept), sa.func.sum(both.c.there)
    query = sa.select(both.c.partner, both.c.state, sums[0].label("kept"), sums[1].label("there"))
    pair = both.c.partner, both.c.state
    return query.group_by(*pair).having(sums[0] != sums[1]).order_by(*pair)


_DIFFERENT = _make_comparison_query()
_ADD = {
    "sqlite": sa.text(
        "INSERT INTO waiting_count (partner, state, serial, count) VALUES (:partner, :state, 0, :more) "
        "ON CONFLICT (partner, state, serial) DO UPDATE SET count = count + excluded.count"
    ),
    "postgresql": sa.text(
        "INSERT INTO waiting_count (partner, state, serial, count) "
        "VALUES (:partner, :state, nextval('waiting_count_serial'), :more)"
    ),
}
