"""Marks each commit of a node in the node's row, so that the node can ask for one whose answer was lost.

On PostgreSQL a connection may break while it commits, and a commit may end without its standby: then nobody knows whether
it was done. The row is part of the commit, so it goes wherever the commit goes, also to a standby that takes over. A node
has one writer, so its last mark is that of the commit in question, or of the one before. Does nothing on SQLite, where the
answer to a commit cannot be lost without the process, and for an engine without a node's name.
"""

import secrets

import sqlalchemy as sa

from hub.store.hot_statements import HotStatement
from hub.store.tables import node
from hub.store.transactions import Transaction

_NAMED = node.c.name == sa.bindparam("node")
_LAST = HotStatement(sa.select(node.c.last_commit).where(_NAMED).with_for_update())
#: A transaction that has written nothing has no id, and its commit costs nothing: it is not marked.
_WROTE = sa.func.pg_current_xact_id_if_assigned().is_not(None)
_MARK = HotStatement(sa.update(node).where(_NAMED, _WROTE), keys=("last_commit",))


def mark_commit(tx: Transaction) -> str | None:
    """Mark the commit of *tx*, as its last statement. Return the mark; None: it cannot be asked for."""
    if not (name := _name_node(tx)):
        return None
    mark = secrets.token_hex(12)
    return mark if _MARK.run(tx, {"node": name, "last_commit": mark}) else None


def read_last_mark(tx: Transaction) -> str | None:
    """Return the mark of the node's last commit. Waits for one that is still being done."""
    name = _name_node(tx)
    found = _LAST.first(tx, {"node": name}) if name else None
    return None if found is None else found.last_commit


def _name_node(tx: Transaction) -> str:
    """Return the name of the node that writes; empty where no commit is marked."""
    return str(tx.get_execution_options().get("node", "")) if tx.dialect.name == "postgresql" else ""
