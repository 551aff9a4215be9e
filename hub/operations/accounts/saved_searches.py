"""Keeps the searches that each user of the console saved. Contains one table, no browser.

A search is the query of an address, so it opens like a link. Only its user sees it.
"""

from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.store import transactions
from hub.store.tables import saved_search as table
from hub.store.transactions import Transaction

#: Searches of one user, and characters of a name and of a query.
MOST, NAME, QUERY = 30, 60, 2_000


@attrs.frozen
class SavedSearch:
    """A search under a name."""

    name: str
    query: str  #: such as `q=15%2FSNV-VP&state=refused`


def list_saved_searches(tx: Transaction, user: str) -> list[SavedSearch]:
    """Return the searches of *user*, by name."""
    query = sa.select(table.c.name, table.c.query).where(table.c.user == user)
    return sorted((SavedSearch(*row) for row in tx.execute(query)), key=lambda each: each.name.casefold())


def save_search(tx: Transaction, user: str, search: SavedSearch, now: datetime) -> bool:
    """Save *search* in place of the one with its name. Return False if *user* has too many, or it is too long."""
    if not search.name or len(search.name) > NAME or len(search.query) > QUERY:
        return False
    remove_saved_search(tx, user, search.name)
    if len(list_saved_searches(tx, user)) >= MOST:
        return False
    row = {"user": user, "name": search.name, "query": search.query, "saved_at": now}
    transactions.insert_missing_rows(tx, table, [row])
    return True


def remove_saved_search(tx: Transaction, user: str, name: str) -> None:
    """Remove the search *name* of *user*, if there is one."""
    tx.execute(sa.delete(table).where(table.c.user == user, table.c.name == name))


def remove_all_searches(tx: Transaction, user: str) -> None:
    """Remove all searches of *user*."""
    tx.execute(sa.delete(table).where(table.c.user == user))
