"""Keeps which alerts by mail were sent to which unit, so that no unit gets one twice. Does not know what they say.

An alert is written as begun before its mail is sent, and as ended after it. If the node ends or the journal does not answer
between the two, nobody knows whether the mail arrived: then it is not sent again, and an event says so. A mail that the
server has certainly not taken is sent again.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum

import attrs
import sqlalchemy as sa

from hub.domain.model import Event
from hub.journal import events
from hub.store import transactions
from hub.store.tables import alert as table
from hub.store.tables import node
from hub.store.transactions import Transaction


class AlertKind(StrEnum):
    """What an alert lists."""

    DUE = "due"  #: what is due on one of the next days
    OVERDUE = "overdue"  #: what is late, once a week
    REPORT = "report"  #: reports that are not handed in, when a person asks to remind of them


class AlertState(StrEnum):
    """How far an alert is."""

    REQUESTED = "requested"  #: a person has asked for it
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"  #: the server has certainly not taken it
    UNSURE = "unsure"  #: nobody knows whether it arrived; it is not sent again


#: The alerts after which a unit knows what they list, or may know it.
_TOLD = (AlertState.SENT, AlertState.UNSURE)
#: Days for which an alert that a person asked for waits for the mail server.
_KEPT = timedelta(days=2)


@attrs.frozen
class AlertKey:
    """One alert: to a unit, of a kind, of a day. A weekly one is of the Monday of its week."""

    unit: str
    kind: AlertKind
    day: date
    about: str = ""  #: of reports: the form and the period, such as `ii06a 2026-11`

    @property
    def stored_kind(self) -> str:
        """The text of the column `kind`."""
        return f"{self.kind} {self.about}" if self.about else str(self.kind)


@attrs.frozen(kw_only=True)
class AlertEnd:
    """How an alert ended."""

    state: AlertState
    items: int  #: things that it lists, or counts
    upto: datetime  #: what the hub learned until then was considered
    reason: str = ""  #: the server's answer, or why there is none
    next_at: datetime | None = None  #: when it is tried again


def begin_alert(tx: Transaction, key: AlertKey, address: str, by: str, now: datetime) -> bool:
    """Write that the node *by* begins to send *key*. Return False if it was sent, is being sent, or must not be tried yet."""
    row = {"unit": key.unit, "kind": key.stored_kind, "day": key.day, "address": address, "node": by, "changed_at": now}
    row |= {"state": str(AlertState.SENDING), "attempts": 1, "items": 0, "reason": ""}
    if transactions.insert_missing_rows(tx, table, [row]):
        return True
    waits = table.c.state.in_((AlertState.FAILED, AlertState.REQUESTED))
    again = sa.and_(_is_alert(key), waits, table.c.next_at <= now)
    more = {"state": str(AlertState.SENDING), "attempts": table.c.attempts + 1, "node": by, "changed_at": now}
    return bool(tx.execute(sa.update(table).where(again).values(address=address, **more)).rowcount)


def request_alert(tx: Transaction, key: AlertKey, address: str, now: datetime) -> bool:
    """Write that a person asks for the alert *key*, which a node sends soon. Return False if there is one of that day."""
    row = {"unit": key.unit, "kind": key.stored_kind, "day": key.day, "address": address, "node": "", "changed_at": now}
    row |= {"state": str(AlertState.REQUESTED), "attempts": 0, "items": 0, "reason": "", "next_at": now}
    return bool(transactions.insert_missing_rows(tx, table, [row]))


def list_requested(tx: Transaction, today: date, now: datetime) -> list[tuple[AlertKey, str]]:
    """Return the alerts that persons asked for on *today* or in the days before, and that may be sent now, each with its
    address.
    """
    waits = table.c.state.in_((AlertState.FAILED, AlertState.REQUESTED))
    asked = sa.and_(table.c.day >= today - _KEPT, table.c.kind.startswith(f"{AlertKind.REPORT} "))
    query = sa.select(table).where(asked, waits, table.c.next_at <= now).order_by(table.c.day, table.c.unit)
    return [(_read_key(row), row["address"]) for row in tx.execute(query).mappings()]


def end_alert(tx: Transaction, key: AlertKey, end: AlertEnd, now: datetime) -> None:
    """Write how *key* ended, with its event."""
    values = {"items": end.items, "upto": end.upto, "reason": end.reason, "next_at": end.next_at, "changed_at": now}
    tx.execute(sa.update(table).where(_is_alert(key)).values(state=str(end.state), **values))
    events.append_events(tx, _tell_alert(key, end.state, end.items, end.reason, now))


def end_lost_alerts(tx: Transaction, by: str, now: datetime) -> int:
    """Write as unsure what a node was sending that has ended, and what the node *by* was, which asks.

    It asks between two mails. What it has is from before a crash, or the journal did not answer when the mail was begun
    or ended. Return how many.
    """
    rows = tx.execute(sa.select(table).where(_is_lost(by, now))).mappings().all()
    for row in rows:
        key, why = _read_key(row), "interrupted"
        values = {"state": str(AlertState.UNSURE), "upto": row["changed_at"], "changed_at": now}
        tx.execute(sa.update(table).where(_is_alert(key)).values(reason=why, **values))
        events.append_events(tx, _tell_alert(key, AlertState.UNSURE, row["items"], why, now))
    return len(rows)


def has_lost_alerts(tx: Transaction, by: str, now: datetime) -> bool:
    """Tell whether `end_lost_alerts` finds any."""
    return tx.execute(sa.select(table.c.unit).where(_is_lost(by, now)).limit(1)).first() is not None


def list_untouched(tx: Transaction, keys: Collection[AlertKey], now: datetime) -> list[AlertKey]:
    """Return those of *keys* that may be sent now: not begun yet, or failed and to be tried again."""
    days = {key.day for key in keys}
    known = {
        (row.unit, row.kind, row.day): row for row in tx.execute(sa.select(table).where(table.c.day.in_(sorted(days))))
    }
    found = []
    for key in keys:
        row = known.get((key.unit, key.stored_kind, key.day))
        if row is None or (row.state == AlertState.FAILED and row.next_at is not None and row.next_at <= now):
            found.append(key)
    return found


def read_attempts(tx: Transaction, key: AlertKey) -> int:
    """Return how often *key* was tried."""
    return tx.scalar(sa.select(table.c.attempts).where(_is_alert(key))) or 0


def read_told_until(tx: Transaction, units: Sequence[str]) -> Mapping[str, datetime]:
    """Return, by unit, until when what is due soon was told to it. A unit without an alert is left out."""
    query = sa.select(table.c.unit, sa.func.max(table.c.upto).label("upto")).group_by(table.c.unit)
    told = sa.and_(table.c.kind == AlertKind.DUE, table.c.state.in_(_TOLD), table.c.unit.in_(units))
    return {row.unit: row.upto for row in tx.execute(query.where(told))}


def _read_key(row: sa.RowMapping) -> AlertKey:
    kind, _, about = row["kind"].partition(" ")
    return AlertKey(row["unit"], AlertKind(kind), row["day"], about)


def _is_lost(by: str, now: datetime) -> sa.ColumnElement[bool]:
    lives = sa.exists().where(node.c.name == table.c.node, node.c.until > now, node.c.stopped_at.is_(None))
    return sa.and_(table.c.state == AlertState.SENDING, sa.or_(~lives, table.c.node == by))


def _is_alert(key: AlertKey) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.unit == key.unit, table.c.kind == key.stored_kind, table.c.day == key.day)


def _tell_alert(key: AlertKey, state: AlertState, items: int, reason: str, now: datetime) -> Event:
    body = {"unit": key.unit, "alert": str(key.kind), "day": key.day.isoformat(), "sending": str(state), "items": items}
    form, _, period = key.about.partition(" ")
    body |= {"form": form, "period": period} if form else {}
    return Event("alert-ended", now, None, None, body | ({"reason": reason} if reason else {}))
