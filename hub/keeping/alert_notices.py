"""The outbox of the alerts to operators: what is to be told through each channel, and what became of it.

A notice is written in the transaction of its alert's transition, one for each channel. A node claims those of a channel
that are due as one batch, sends them together, and writes how it ended. A batch that was not sent, or whose node ended, is
sent again as the same batch with the same id, by which its receiver can tell a repetition: nothing is lost, and what was
certainly sent is not sent again. Does not know how anything is sent.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import attrs
import sqlalchemy as sa

from hub.domain.alert_severity import AlertSeverity
from hub.domain.ids import make_id
from hub.domain.model import Event
from hub.journal import events, nodes
from hub.keeping.hub_alerts import AlertStep, HubAlertKey
from hub.store import transactions
from hub.store.tables import hub_alert_notice as table
from hub.store.transactions import Transaction

#: Notices that are sent together at most.
MOST = 200
#: Wait after the first failure; it doubles, up to the longest.
_FIRST, _LONGEST = timedelta(minutes=1), timedelta(hours=1)
#: A notice that could not be sent for this time is given up, with an event.
GIVE_UP = timedelta(days=3)
#: Notices are kept for this time after their end.
_KEPT = timedelta(days=30)
_LOCK = ("hub-alert-notices",)
#: The `transition` of a notice by which a person tests a channel.
TEST = "test"


class NoticeState(StrEnum):
    """How far a notice is."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"  #: given up


class NoticeRules(Protocol):
    """To which channels a transition is told, and when."""

    @property
    def channels(self) -> Sequence[str]:
        """The names of the channels."""
        ...

    @property
    def least(self) -> AlertSeverity:
        """Less grave alerts are not told."""
        ...

    def find_due(self, severity: AlertSeverity, now: datetime) -> datetime:
        """Return when an alert of *now* is told."""
        ...


@attrs.frozen(kw_only=True)
class AlertNotice:
    """One transition, to be told through one channel."""

    id: str
    channel: str
    transition: str  #: word of `AlertTransition`, or `TEST`
    key: HubAlertKey
    severity: AlertSeverity
    values: Mapping[str, str | int]
    since: datetime  #: when the condition began
    at: datetime  #: time of the transition


@attrs.frozen(kw_only=True)
class NoticeBatch:
    """Notices that are sent together through one channel."""

    id: str  #: the same at each try
    channel: str
    attempt: int  #: 1 at the first
    notices: Sequence[AlertNotice]  #: the oldest first; not empty


@attrs.frozen(kw_only=True)
class NoticeStanding:
    """What became of one notice."""

    channel: str
    state: NoticeState
    attempts: int
    reason: str


def add_notices(tx: Transaction, steps: Sequence[AlertStep], rules: NoticeRules, now: datetime) -> int:
    """Put what is to be told of *steps* into the outbox, and return how many notices that are.

    The end of an alert, and what follows its beginning, is told wherever the beginning was or would be.
    """
    rows = [
        _make_notice_row(
            make_id(now), channel, str(step.transition), step, rules.find_due(step.alert.severity, now), now
        )
        for step in steps
        if step.transition is not None and step.alert.severity.reaches(rules.least)
        for channel in rules.channels
    ]
    if rows:
        tx.execute(sa.insert(table), rows)
    return len(rows)


def add_test_notices(tx: Transaction, channels: Sequence[str], by: str, now: datetime) -> dict[str, str]:
    """Put a test through each of *channels* into the outbox, whatever the hour. Return the notice's id by channel."""
    ids = {channel: make_id(now) for channel in channels}
    for channel, name in ids.items():
        row: dict[str, object] = {"id": name, "channel": channel, "transition": TEST, "kind": TEST, "about": ""}
        row |= {"alert_node": "", "severity": str(AlertSeverity.WARNING), "values": json.dumps({"by": by})}
        tx.execute(sa.insert(table).values(row | {"since": now, "at": now} | _describe_fresh(now, now)))
    return ids


def _make_notice_row(
    name: str, channel: str, transition: str, step: AlertStep, due: datetime, now: datetime
) -> dict[str, object]:
    alert = step.alert
    values = json.dumps(dict(alert.values), ensure_ascii=False, sort_keys=True)
    told = {"id": name, "channel": channel, "transition": transition, "kind": alert.key.kind, "about": alert.key.about}
    told |= {"alert_node": alert.key.node, "severity": str(alert.severity), "values": values}
    return told | {"since": alert.since, "at": now} | _describe_fresh(due, now)


def _describe_fresh(due: datetime, now: datetime) -> dict[str, object]:
    state = str(NoticeState.WAITING)
    return {"due": due, "state": state, "batch": None, "node": "", "attempts": 0, "reason": "", "changed_at": now}


def has_due_notices(tx: Transaction, now: datetime) -> bool:
    """Tell whether `claim_batch` finds any."""
    return tx.execute(sa.select(table.c.id).where(_is_due(now)).limit(1)).first() is not None


def claim_batch(tx: Transaction, by: str, now: datetime) -> NoticeBatch | None:
    """Claim for the node *by* the batch that is due for the longest time; None: none is.

    A batch that failed before is claimed whole. A new one has at most `MOST` of the notices of its channel that are due.
    """
    transactions.lock_names(tx, _LOCK)
    first = (
        tx.execute(sa.select(table).where(_is_due(now)).order_by(table.c.due, table.c.id).limit(1)).mappings().first()
    )
    if first is None:
        return None
    batch, same = first["batch"] or first["id"], table.c.channel == first["channel"]
    if first["batch"]:
        chosen = sa.select(table.c.id).where(_is_unsent, table.c.batch == batch)
    else:
        chosen = sa.select(table.c.id).where(_is_due(now), same, table.c.batch.is_(None))
        chosen = chosen.order_by(table.c.due, table.c.id).limit(MOST)
    ids = list(tx.scalars(chosen))
    claimed = {"state": str(NoticeState.SENDING), "batch": batch, "node": by, "changed_at": now}
    tx.execute(sa.update(table).where(table.c.id.in_(ids)).values(**claimed, attempts=table.c.attempts + 1))
    rows = tx.execute(sa.select(table).where(table.c.id.in_(ids)).order_by(table.c.at, table.c.id)).mappings().all()
    notices = [_read_notice(row) for row in rows]
    return NoticeBatch(id=batch, channel=first["channel"], attempt=rows[0]["attempts"], notices=notices)


def end_batch(tx: Transaction, batch: NoticeBatch, reason: str, now: datetime, *, final: bool = False) -> NoticeState:
    """Write how the sending of *batch* ended, and return its state: sent if there is no *reason*, else it waits to be sent
    again, or has failed: if that is *final*, or its oldest notice has waited for `GIVE_UP`.
    """
    given_up = bool(reason) and (final or now - batch.notices[0].at >= GIVE_UP)
    state = NoticeState.FAILED if given_up else NoticeState.WAITING if reason else NoticeState.SENT
    wait = min(_FIRST * 2 ** min(batch.attempt - 1, 10), _LONGEST)
    values = {"state": str(state), "reason": reason[:300], "due": now + wait if reason else now, "changed_at": now}
    mine = sa.and_(table.c.batch == batch.id, table.c.state == str(NoticeState.SENDING))
    tx.execute(sa.update(table).where(mine).values(values))
    if state is not NoticeState.WAITING:
        body: dict[str, object] = {"channel": batch.channel, "items": len(batch.notices), "sending": str(state)}
        events.append_events(tx, Event("hub-alert-told", now, body=body | ({"reason": reason[:300]} if reason else {})))
    return state


def release_lost_batches(tx: Transaction, by: str, now: datetime) -> int:
    """Let the notices wait again that a node was sending which has ended, and those of the node *by*, which asks.

    It asks between two batches. What it has is from before a crash, or the journal did not answer when the batch was
    claimed or ended. Return how many.
    """
    values = {"state": str(NoticeState.WAITING), "due": now, "changed_at": now}
    return tx.execute(sa.update(table).where(_is_lost(tx, by, now)).values(values)).rowcount


def has_lost_batches(tx: Transaction, by: str, now: datetime) -> bool:
    """Tell whether `release_lost_batches` finds any."""
    return tx.execute(sa.select(table.c.id).where(_is_lost(tx, by, now)).limit(1)).first() is not None


def read_notices(tx: Transaction, ids: Sequence[str]) -> dict[str, NoticeStanding]:
    """Return what became of the notices *ids*, by id."""
    rows = tx.execute(sa.select(table).where(table.c.id.in_(ids))).mappings()
    return {
        row["id"]: NoticeStanding(
            channel=row["channel"], state=NoticeState(row["state"]), attempts=row["attempts"], reason=row["reason"]
        )
        for row in rows
    }


def delete_old_notices(tx: Transaction, now: datetime) -> int:
    """Delete the notices that ended more than 30 days ago, and return how many. Their events stay."""
    ended = table.c.state.in_([str(NoticeState.SENT), str(NoticeState.FAILED)])
    return tx.execute(sa.delete(table).where(ended, table.c.changed_at < now - _KEPT)).rowcount


_is_unsent = table.c.state.in_(
    [sa.literal(str(state), sa.Text, literal_execute=True) for state in (NoticeState.WAITING, NoticeState.SENDING)]
)


def _is_due(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(_is_unsent, table.c.due <= now, table.c.state == str(NoticeState.WAITING))


def _is_lost(tx: Transaction, by: str, now: datetime) -> sa.ColumnElement[bool]:
    others = [each.name for each in nodes.list_live_nodes(tx, now) if each.name != by]
    return sa.and_(_is_unsent, table.c.state == str(NoticeState.SENDING), table.c.node.not_in(others))


def _read_notice(row: sa.RowMapping) -> AlertNotice:
    return AlertNotice(
        id=row["id"],
        channel=row["channel"],
        transition=row["transition"],
        key=HubAlertKey(row["kind"], row["about"], row["alert_node"]),
        severity=AlertSeverity(row["severity"]),
        values=json.loads(row["values"]),
        since=row["since"],
        at=row["at"],
    )
