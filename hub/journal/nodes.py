"""The rows of the nodes that share one journal, with their heartbeats. Does not know what a node does.

A node counts as alive until the end of the lease that its last heartbeat wrote. After that, the live nodes may release
its claims. Clocks of nodes may differ, so on PostgreSQL only the database's clock is used. SQLite has one node, with
its own clock.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import attrs
import sqlalchemy as sa

from hub.domain.model import DeliveryState
from hub.store import transactions
from hub.store.tables import delivery
from hub.store.tables import node as table
from hub.store.transactions import Transaction

#: Lease of a heartbeat: how long a node counts as alive after it.
LIFE = timedelta(seconds=10)
#: How far a time that another transaction wrote a moment ago may lie ahead.
_SLACK = timedelta(seconds=1)
#: The row of a node is deleted when its lease ended this long ago.
_FORGOTTEN = timedelta(days=30)


@attrs.frozen(kw_only=True)
class Node:
    """One process with its own data directory."""

    name: str  #: from `pidfile.name_node`
    host: str
    version: str  #: of the program
    schema: str  #: schema version that the program is written for
    started_at: datetime  #: by its own clock


@attrs.frozen(kw_only=True)
class PendingRestart:
    """The settings of a node that were changed by a reload, and take effect only when the node is restarted."""

    settings: tuple[str, ...] = ()  #: keys of `hub.toml`
    since: datetime | None = None  #: when the first of them was changed; None if there are none


class NodeState(StrEnum):
    """The state of a node, by its last heartbeat."""

    ALIVE = "alive"
    LAPSED = "lapsed"  #: its lease has ended
    STOPPED = "stopped"


@attrs.frozen(kw_only=True)
class SeenNode:
    """A node as recorded in the journal."""

    node: Node
    state: NodeState
    seen_at: datetime  #: time of the last heartbeat
    until: datetime  #: end of the lease
    stopped_at: datetime | None
    holds: int  #: number of deliveries it is sending
    pending: PendingRestart = attrs.field(factory=PendingRestart)  #: what waits for its restart


def read_node_time(tx: Transaction, now: datetime) -> datetime:
    """Return the time for the leases of nodes: the database's, or *now* on SQLite."""
    if tx.dialect.name != "postgresql":
        return now
    found: datetime = tx.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return found


def record_heartbeat(tx: Transaction, node: Node, now: datetime, pending: PendingRestart | None = None) -> None:
    """Extend the lease of *node* by `LIFE` from now, and record what waits for its restart.

    Creates its row if it is missing.
    """
    at = read_node_time(tx, now)
    pending = pending or PendingRestart()
    values = attrs.asdict(node) | {
        "seen_at": at,
        "until": at + LIFE,
        "stopped_at": None,
        "restart_settings": " ".join(pending.settings),
        "restart_since": pending.since,
    }
    if not tx.execute(sa.update(table).where(table.c.name == node.name).values(values)).rowcount:
        transactions.insert_missing_rows(tx, table, [values])
    # After a failover, the clock of the new primary may be behind. Leases in its future would keep dead nodes alive, so
    # they are cut.
    tx.execute(sa.update(table).where(table.c.until > at + LIFE + _SLACK).values(until=at + LIFE))


def record_node_end(tx: Transaction, name: str, now: datetime) -> None:
    """Record the orderly stop of a node. Delete nodes without claims whose lease ended a month ago."""
    at = read_node_time(tx, now)
    ended = {"stopped_at": at, "until": at, "restart_settings": "", "restart_since": None}
    tx.execute(sa.update(table).where(table.c.name == name).values(ended))
    holds = sa.exists().where(delivery.c.state == DeliveryState.SENDING, delivery.c.holder == table.c.name)
    tx.execute(sa.delete(table).where(table.c.until < at - _FORGOTTEN, ~holds))


def select_ended_nodes(at: datetime) -> sa.Select[tuple[str]]:
    """Return the query for the names of nodes whose lease has ended at *at* (a `read_node_time`)."""
    return sa.select(table.c.name).where(table.c.until < at)


def select_node_names() -> sa.Select[tuple[str]]:
    """Return the query for the names of all nodes with a row."""
    return sa.select(table.c.name)


def choose_leading_node(seen: Iterable[SeenNode]) -> str | None:
    """Return the name of the node that does what one node does for all: the live one that started first. None: none lives.

    For work that may be done twice without harm: for a moment two nodes may take themselves for it.
    """
    live = [each.node for each in seen if each.state is NodeState.ALIVE]
    return min(live, key=lambda each: (each.started_at, each.name)).name if live else None


def list_live_nodes(tx: Transaction, now: datetime) -> list[Node]:
    """Return the nodes that count as alive."""
    return [each.node for each in list_nodes(tx, now) if each.state is NodeState.ALIVE]


def read_live_schemas(tx: Transaction, now: datetime) -> dict[str, str]:
    """Return the schema version that the program of each live node knows, by the node's name.

    Reads only columns that the table has had from the beginning: it is asked before an upgrade.
    """
    at = read_node_time(tx, now)
    query = sa.select(table.c.name, table.c.schema).where(table.c.until >= at, table.c.stopped_at.is_(None))
    return {row.name: row.schema for row in tx.execute(query)}


def list_nodes(tx: Transaction, now: datetime) -> list[SeenNode]:
    """Return every node, the last started first."""
    at = read_node_time(tx, now)
    holds = (
        sa.select(sa.func.count())
        .where(delivery.c.state == DeliveryState.SENDING, delivery.c.holder == table.c.name)
        .scalar_subquery()
    )
    rows = tx.execute(
        sa.select(table, holds.label("holds")).order_by(table.c.started_at.desc(), table.c.name)
    ).mappings()
    return [
        SeenNode(
            node=Node(**{field.name: row[field.name] for field in attrs.fields(Node)}),
            state=_judge_node_state(row, at),
            seen_at=row["seen_at"],
            until=row["until"],
            stopped_at=row["stopped_at"],
            holds=row["holds"],
            pending=PendingRestart(settings=tuple(row["restart_settings"].split()), since=row["restart_since"]),
        )
        for row in rows
    ]


def _judge_node_state(row: sa.RowMapping, at: datetime) -> NodeState:
    if row["stopped_at"]:
        return NodeState.STOPPED
    return NodeState.ALIVE if row["until"] >= at else NodeState.LAPSED
