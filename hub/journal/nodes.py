"""The rows of the nodes that share one journal.  Knows who is alive, by the database's clock; not what a node does.

A node is believed alive until the time it wrote; past it, what it holds belongs to whoever is alive.  Nodes' clocks may differ,
so on PostgreSQL the only clock asked is the database's.  SQLite has one node, and the node's own clock.
"""

from datetime import datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.domain.model import DeliveryState
from hub.store import transactions
from hub.store.tables import delivery
from hub.store.tables import node as table
from hub.store.transactions import Transaction

#: How long a node is believed alive after it was seen.
LIFE = timedelta(seconds=10)
#: How far a time may lie ahead that another transaction wrote a moment ago.
_SLACK = timedelta(seconds=1)
#: A node that has not been seen for so long is forgotten.
_FORGOTTEN = timedelta(days=30)


@attrs.frozen(kw_only=True)
class Node:
    """One process with a data directory of its own."""

    name: str  #: as `pidfile.name_node` makes it
    host: str
    version: str  #: of the program
    schema: str  #: the version of the schema that the program was written for
    started_at: datetime  #: by its own clock


@attrs.frozen(kw_only=True)
class SeenNode:
    """A node as the journal has it."""

    node: Node
    state: str  #: alive · lapsed · stopped
    seen_at: datetime
    until: datetime
    stopped_at: datetime | None
    holds: int  #: deliveries it is sending


def read_node_time(tx: Transaction, now: datetime) -> datetime:
    """Return the time by which nodes are judged: the database's, or *now* where it has no clock."""
    if tx.dialect.name != "postgresql":
        return now
    found: datetime = tx.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return found


def record_heartbeat(tx: Transaction, node: Node, now: datetime) -> None:
    """Write that *node* lives for another `LIFE`; its row is made when it is not there."""
    at = read_node_time(tx, now)
    values = attrs.asdict(node) | {"seen_at": at, "until": at + LIFE, "stopped_at": None}
    if not tx.execute(sa.update(table).where(table.c.name == node.name).values(values)).rowcount:
        transactions.put_once(tx, table, [values])
    # A database whose clock went back, as a standby's may in a failover, would believe the dead alive until it came there again.
    tx.execute(sa.update(table).where(table.c.until > at + LIFE + _SLACK).values(until=at + LIFE))


def record_node_end(tx: Transaction, name: str, now: datetime) -> None:
    """Write that a node stopped in order; nodes that were not seen for a month and hold nothing are forgotten."""
    at = read_node_time(tx, now)
    tx.execute(sa.update(table).where(table.c.name == name).values(stopped_at=at, until=at))
    holds = sa.exists().where(delivery.c.state == DeliveryState.SENDING, delivery.c.holder == table.c.name)
    tx.execute(sa.delete(table).where(table.c.until < at - _FORGOTTEN, ~holds))


def select_ended_nodes(at: datetime) -> sa.Select[tuple[str]]:
    """Return the query for the names of nodes that are not alive at the `read_node_time` *at*."""
    return sa.select(table.c.name).where(table.c.until < at)


def select_node_names() -> sa.Select[tuple[str]]:
    """Return the query for the names of all nodes that ever beat."""
    return sa.select(table.c.name)


def list_live_nodes(tx: Transaction, now: datetime) -> list[Node]:
    """Return the nodes that are believed alive."""
    return [each.node for each in list_nodes(tx, now) if each.state == "alive"]


def list_nodes(tx: Transaction, now: datetime) -> list[SeenNode]:
    """Return every node, the one that started last first."""
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
            state="stopped" if row["stopped_at"] else "alive" if row["until"] >= at else "lapsed",
            seen_at=row["seen_at"],
            until=row["until"],
            stopped_at=row["stopped_at"],
            holds=row["holds"],
        )
        for row in rows
    ]
