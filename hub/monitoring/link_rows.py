"""Reads and writes the rows of the links: the state each node sees now, and the minutes it saw of a day. Does not probe
links.

Each node writes only its own rows. The minutes of a day are merged with those already stored, so a node that restarts
loses none. The transaction that writes a day's message deletes the day's rows.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.domain.model import Event
from hub.journal import events
from hub.services.links import LinkDay
from hub.services.links.probes import Link, LinkStanding, LinkState, Minutes, count_days_left, find_latency_quantile
from hub.store import transactions
from hub.store.tables import link as table
from hub.store.tables import link_day
from hub.store.transactions import Transaction


@attrs.frozen(kw_only=True)
class SeenLink:
    """One link as one node saw it last."""

    name: str
    node: str
    place: str
    state: str  #: up · down · silent: the node has written nothing for too long
    since: datetime
    seen_at: datetime
    p50: float | None  #: in seconds
    p95: float | None
    ends: datetime | None  #: when the certificate that was shown expires
    days_left: int | None
    reason: str


@attrs.frozen(kw_only=True)
class LinkChange:
    """A change of a link's state: it went down or came up."""

    link: Link
    standing: LinkStanding
    reason: str


def read_node_links(tx: Transaction, node: str) -> dict[tuple[str, str], LinkStanding]:
    """Return the state of the links that *node* wrote last, by name and place, so that a restart does not look like a
    change.
    """
    rows = tx.execute(sa.select(table).where(table.c.node == node)).mappings()
    return {
        (row["name"], row["place"]): LinkStanding(
            state=LinkState(row["state"]), since=row["since"], seen_at=row["seen_at"], ends=row["ends"]
        )
        for row in rows
    }


def record_link_standings(
    tx: Transaction,
    node: str,
    standings: Mapping[Link, LinkStanding],
    days: Mapping[tuple[Link, date], Minutes],
    turns: Iterable[LinkChange],
    silent: timedelta,
    now: datetime,
) -> None:
    """Store how *node* sees its links and what it saw of each day, append the events of *turns*, and delete the links
    that are no longer probed.

    *silent*: after this time without another write, a link is shown as silent.
    """
    names = [link.name for link in standings]
    tx.execute(sa.delete(table).where(table.c.node == node, table.c.name.not_in(names)))
    for link, standing in standings.items():
        _put_values(tx, table, {"name": link.name, "node": node}, _make_link_row(link, standing, silent))
    for (link, on), minutes in days.items():
        place = {"name": link.name, "day": on, "node": node}
        same = sa.and_(link_day.c.name == link.name, link_day.c.day == on, link_day.c.node == node)
        held = tx.execute(sa.select(link_day.c.probed, link_day.c.up).where(same)).first()
        together = minutes | (_read_minutes(held.probed, held.up) if held else Minutes())
        bits = {"probed": f"{together.probed:x}", "up": f"{together.up:x}"}
        _put_values(tx, link_day, place, {"place": link.place, "units": json.dumps(link.units), **bits})
    for turn in turns:
        name = "link-up" if turn.standing.state is LinkState.UP else "link-down"
        body = {"link": turn.link.name, "node": node, "place": turn.link.place, "reason": turn.reason}
        said = {key: value for key, value in body.items() if value}
        events.append_events(tx, Event(name, turn.standing.since or now, body=said))


def remove_link_days(tx: Transaction, before: date) -> dict[date, list[LinkDay]]:
    """Delete and return what all nodes saw of the days *before*. A second caller gets nothing."""
    rows = tx.execute(sa.delete(link_day).where(link_day.c.day < before).returning(link_day)).mappings().all()
    found: dict[date, dict[str, LinkDay]] = {}
    for row in rows:
        links = found.setdefault(row["day"], {})
        fresh = LinkDay(name=row["name"], place=row["place"], units=tuple(json.loads(row["units"])), nodes={})
        one = links.get(row["name"], fresh)
        nodes = {**one.nodes, row["node"]: _read_minutes(row["probed"], row["up"])}
        links[row["name"]] = attrs.evolve(one, nodes=nodes, units=tuple(dict.fromkeys((*one.units, *fresh.units))))
    return {on: list(links.values()) for on, links in sorted(found.items())}


def list_seen_links(tx: Transaction, now: datetime) -> list[SeenLink]:
    """Return every link as each node saw it last, by name."""
    rows = tx.execute(sa.select(table).order_by(table.c.name, table.c.node)).mappings()
    return [
        SeenLink(
            state="silent" if row["silent_at"] < now else row["state"],
            days_left=count_days_left(row["ends"], now),
            **{key: row[key] for key in ("name", "node", "place", "since", "seen_at", "p50", "p95", "ends", "reason")},
        )
        for row in rows
    ]


def _make_link_row(link: Link, standing: LinkStanding, silent: timedelta) -> dict[str, object]:
    assert standing.seen_at is not None
    return {
        "place": link.place,
        "state": standing.state,
        "since": standing.since,
        "seen_at": standing.seen_at,
        "silent_at": standing.seen_at + silent,
        "p50": find_latency_quantile(standing.latencies, 0.5),
        "p95": find_latency_quantile(standing.latencies, 0.95),
        "ends": standing.ends,
        "reason": standing.reason,
    }


def _put_values(tx: Transaction, into: sa.Table, key: Mapping[str, object], values: Mapping[str, object]) -> None:
    same = sa.and_(*(into.c[name] == value for name, value in key.items()))
    if not tx.execute(sa.update(into).where(same).values(values)).rowcount:
        transactions.insert_missing_rows(tx, into, [{**key, **values}])


def _read_minutes(probed: str, up: str) -> Minutes:
    return Minutes(int(probed, 16), int(up, 16))
