"""Measures the database, keeps one size a day, and says for how many days a budget lasts. Deletes nothing."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.domain.local_time import find_local_day
from hub.store.tables import journal_size as table
from hub.store.transactions import Transaction

#: Days from whose sizes the growth is computed, and those for which sizes are kept.
WINDOW, KEPT = 30, 800
#: A warning is given when the budget lasts no longer than this many days, or this part of it is used.
WARN_DAYS, WARN_PART = 60, 0.8
#: SQLite's `auto_vacuum` where free pages may be given back step by step.
_INCREMENTAL = 2


@attrs.frozen
class JournalSize:
    """The size of the database on one day, in octets."""

    day: date
    octets: int
    free: int = 0  #: of these, those that new rows can use

    @property
    def used(self) -> int:
        """The octets that are in use."""
        return self.octets - self.free


@attrs.frozen(kw_only=True)
class BudgetStanding:
    """How a budget is used."""

    budget: int  #: octets; 0: none is set
    octets: int  #: the size of the database
    free: int
    growth: float | None  #: octets a day that more are in use; None: not known yet
    days: int | None  #: until the budget is used up; None: it is not growing, or not known

    @property
    def is_tight(self) -> bool:
        """Whether an operator is to be warned."""
        if not self.budget:
            return False
        used = self.octets - self.free
        return used >= WARN_PART * self.budget or (self.days is not None and self.days <= WARN_DAYS)


def measure_database(tx: Transaction) -> tuple[int, int]:
    """Return the octets of the database, and of them those that new rows can use (SQLite: free pages; else 0)."""
    if tx.dialect.name == "postgresql":
        return int(tx.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0), 0
    page, pages, free = (
        int(tx.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
        for name in ("page_size", "page_count", "freelist_count")
    )
    return page * pages, page * free


def record_size(tx: Transaction, now: datetime) -> JournalSize:
    """Measure the database and keep the size as that of today. Sizes of more than `KEPT` days ago are removed."""
    octets, free = measure_database(tx)
    day = find_local_day(now)
    values = {"octets": octets, "free": free, "measured_at": now}
    if not tx.execute(sa.update(table).where(table.c.day == day).values(values)).rowcount:
        tx.execute(sa.insert(table), [{"day": day, **values}])
    tx.execute(sa.delete(table).where(table.c.day < day - timedelta(days=KEPT)))
    return JournalSize(day, octets, free)


def list_sizes(tx: Transaction, since: date) -> list[JournalSize]:
    """Return the sizes from the day *since* on, oldest first."""
    query = sa.select(table.c.day, table.c.octets, table.c.free).where(table.c.day >= since).order_by(table.c.day)
    return [JournalSize(row.day, row.octets, row.free) for row in tx.execute(query)]


def read_budget(tx: Transaction, budget: int, now: datetime) -> BudgetStanding:
    """Return how *budget* (octets; 0: none) is used, by the sizes of the last `WINDOW` days and the size now."""
    octets, free = measure_database(tx)
    day = find_local_day(now)
    sizes = [each for each in list_sizes(tx, day - timedelta(days=WINDOW)) if each.day < day]
    return judge_budget(budget, [*sizes, JournalSize(day, octets, free)])


def judge_budget(budget: int, sizes: Sequence[JournalSize]) -> BudgetStanding:
    """Return how *budget* is used. *sizes*: oldest first, the last one that of now.

    The growth is that between the first size and the last; a week at least must lie between them.
    """
    last, first = sizes[-1], sizes[0]
    passed = (last.day - first.day).days
    growth = (last.used - first.used) / passed if passed >= 7 else None
    days = None
    if budget and last.used >= budget:
        days = 0
    elif budget and growth is not None and growth > 0:
        days = int((budget - last.used) / growth)
    return BudgetStanding(budget=budget, octets=last.octets, free=last.free, growth=growth, days=days)


def give_back_pages(tx: Transaction, pages: int, spare: float) -> bool:
    """SQLite: give up to *pages* free pages back to the file system. Return whether there are more to give.

    The part *spare* of all pages stays free. Nothing is given back where the file was made without `auto_vacuum`, and
    on PostgreSQL, whose autovacuum makes the room usable again.
    """
    if tx.dialect.name != "sqlite" or int(tx.exec_driver_sql("PRAGMA auto_vacuum").scalar() or 0) != _INCREMENTAL:
        return False
    count, free = (int(tx.exec_driver_sql(f"PRAGMA {name}").scalar() or 0) for name in ("page_count", "freelist_count"))
    more = free - int(spare * count)
    if more > 0:
        connection = tx.connection.driver_connection
        assert connection is not None
        # each row that is fetched gives back one page, and SQLAlchemy would fetch none: the rows have no columns
        connection.execute(f"PRAGMA incremental_vacuum({min(pages, more)})").fetchall()
    return more > pages
