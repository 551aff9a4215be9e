"""Keeps the alerts to operators: which are raised, since when, and who has acknowledged them.

What a condition is, is decided elsewhere (`hub.monitoring.hub_alerts`): this module compares the conditions that were
found with the alerts that are kept, writes each transition with its event, and puts what is to be told of it into the
outbox (`hub.keeping.alert_notices`), all in one transaction. So neither a restart nor another node tells a transition
again, and none is lost.

| alert | condition | transition |
|---|---|---|
| none, or ended | met | `raised` |
| raised | met, of a higher severity | `worse` |
| raised and acknowledged | met, and something was added since | `more` |
| raised, neither acknowledged nor reminded of, for the time of a reminder | met | `reminder` |
| raised | not met for the time of `Rules.settle` | `ended` |
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.alert_severity import AlertSeverity
from hub.domain.model import Event
from hub.journal import events
from hub.store import transactions
from hub.store.tables import hub_alert as table
from hub.store.transactions import Transaction

#: Alerts that have ended are kept for this time.
KEPT = timedelta(days=90)
#: What an alert says is written anew at most so often while nothing else changes.
_FRESH = timedelta(minutes=5)
#: The lock of the transitions, on PostgreSQL.
_LOCK = ("hub-alerts",)


class AlertTransition(StrEnum):
    """A transition of an alert."""

    RAISED = "raised"
    WORSE = "worse"  #: of a higher severity than before
    MORE = "more"  #: something was added after the acknowledgement
    ENDED = "ended"
    REMINDER = "reminder"  #: nobody has acknowledged it; told once


@attrs.frozen(order=True)
class HubAlertKey:
    """What tells one alert from the others."""

    kind: str  #: a word of `hub.monitoring.hub_alerts.conditions.ConditionKind`
    about: str = ""  #: a partner, a certificate, a form …; "": the hub
    node: str = ""  #: the node that has the condition; "": all


@attrs.frozen(kw_only=True)
class MetCondition:
    """A condition that is met."""

    key: HubAlertKey
    severity: AlertSeverity
    values: Mapping[str, str | int] = attrs.field(factory=dict)  #: what its sentence says: codes, numbers and times
    mark: str = ""  #: sorts higher when something of the same kind is added


@attrs.frozen(kw_only=True)
class HubAlert:
    """One alert as it is kept."""

    key: HubAlertKey
    severity: AlertSeverity  #: the gravest since it began
    values: Mapping[str, str | int]
    mark: str
    since: datetime
    absent_since: datetime | None = None
    ended_at: datetime | None = None
    reminded_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    acknowledged_note: str = ""
    changed_at: datetime

    @property
    def raised(self) -> bool:
        """Tell whether it has not ended."""
        return self.ended_at is None


@attrs.frozen(kw_only=True)
class TransitionRules:
    """The times that transitions depend on."""

    remind: timedelta = timedelta(hours=24)  #: an alert that nobody acknowledged is told again once after this time
    settle: timedelta = timedelta(minutes=2)  #: an alert ends when its condition has not been met for this time


@attrs.frozen
class AlertStep:
    """An alert after a step, and the transition that is told; None: nothing is told."""

    alert: HubAlert
    transition: AlertTransition | None = None


@attrs.frozen(kw_only=True)
class ConditionRound:
    """What one look found."""

    met: Sequence[MetCondition]
    judged: Collection[str]  #: the kinds that could be judged; alerts of others stay as they are
    node: str  #: alerts of this node are judged …
    shared: bool  #: … and, if this node leads, those of all
    gone: Collection[str] = ()  #: nodes that do not live: their alerts end, unless they come back in time


def decide_steps(
    kept: Iterable[HubAlert], found: ConditionRound, now: datetime, rules: TransitionRules
) -> list[AlertStep]:
    """Return the steps that lead from the alerts *kept* to what a look *found*. An alert that stays as it is has none."""
    known = {each.key: each for each in kept}
    met = {each.key: each for each in found.met}
    steps = [_meet_condition(known.get(key), each, now, rules) for key, each in sorted(met.items())]
    for key, alert in sorted(known.items()):
        if alert.raised and key not in met and _is_judged(key, found):
            steps.append(_miss_condition(alert, now, rules))
    return [step for step in steps if step is not None]


def _is_judged(key: HubAlertKey, found: ConditionRound) -> bool:
    if key.node in found.gone:
        return found.shared
    return key.kind in found.judged and (key.node == found.node if key.node else found.shared)


def _meet_condition(
    alert: HubAlert | None, met: MetCondition, now: datetime, rules: TransitionRules
) -> AlertStep | None:
    if alert is None or not alert.raised:
        new = HubAlert(key=met.key, severity=met.severity, values=met.values, mark=met.mark, since=now, changed_at=now)
        return AlertStep(new, AlertTransition.RAISED)
    gravest = min(met.severity, alert.severity, key=lambda each: each.rank)  # so its end is told wherever it was told
    changed = (alert.severity, alert.mark, alert.absent_since) != (gravest, met.mark, None)
    renewed = attrs.evolve(alert, severity=gravest, values=met.values, mark=met.mark, absent_since=None, changed_at=now)
    if met.severity.rank < alert.severity.rank:
        return AlertStep(_forget_acknowledgement(renewed), AlertTransition.WORSE)
    if alert.acknowledged_at is not None and met.mark > alert.mark:
        return AlertStep(_forget_acknowledgement(renewed), AlertTransition.MORE)
    if alert.acknowledged_at is None and alert.reminded_at is None and now - alert.since >= rules.remind:
        return AlertStep(attrs.evolve(renewed, reminded_at=now), AlertTransition.REMINDER)
    if changed or (dict(met.values) != dict(alert.values) and now - alert.changed_at >= _FRESH):
        return AlertStep(renewed)
    return None


def _forget_acknowledgement(alert: HubAlert) -> HubAlert:
    return attrs.evolve(alert, acknowledged_at=None, acknowledged_by="", acknowledged_note="", reminded_at=None)


def _miss_condition(alert: HubAlert, now: datetime, rules: TransitionRules) -> AlertStep | None:
    since = alert.absent_since or now
    if now - since >= rules.settle:
        ended = attrs.evolve(alert, absent_since=since, ended_at=now, changed_at=now)
        return AlertStep(ended, AlertTransition.ENDED)
    return None if alert.absent_since else AlertStep(attrs.evolve(alert, absent_since=now))


def read_alerts(tx: Transaction, *, ended: bool = True) -> list[HubAlert]:
    """Return the alerts, the graver first, then the newer; without *ended*, only those that are raised."""
    query = sa.select(table) if ended else sa.select(table).where(table.c.ended_at.is_(None))
    found = [_read_alert(row) for row in tx.execute(query).mappings()]
    found.sort(key=lambda each: each.since, reverse=True)
    return sorted(found, key=lambda each: (not each.raised, each.severity.rank))


def write_steps(tx: Transaction, found: ConditionRound, now: datetime, rules: TransitionRules) -> list[AlertStep]:
    """Compare what a look *found* with the alerts that are kept, write the steps with their events, and return them.

    A second look that found the same, of this node or of another, has no steps.
    """
    transactions.lock_names(tx, _LOCK)
    steps = decide_steps(read_alerts(tx), found, now, rules)
    for step in steps:
        _write_alert(tx, step.alert)
    told = [step for step in steps if step.transition is not None]
    if told:
        events.append_events(tx, *(_tell_alert_step(step, now) for step in told))
    return steps


def would_step(tx: Transaction, found: ConditionRound, now: datetime, rules: TransitionRules) -> bool:
    """Tell whether `write_steps` would write anything."""
    return bool(decide_steps(read_alerts(tx), found, now, rules))


def acknowledge_alerts(
    tx: Transaction, keys: Collection[HubAlertKey] | None, *, by: str, note: str, now: datetime
) -> list[HubAlert]:
    """Write that *by* knows of the raised alerts *keys* (None: of all), and return those that were not acknowledged."""
    transactions.lock_names(tx, _LOCK)
    open_ones = [each for each in read_alerts(tx, ended=False) if each.acknowledged_at is None]
    chosen = [each for each in open_ones if keys is None or each.key in keys]
    done = [attrs.evolve(each, acknowledged_at=now, acknowledged_by=by, acknowledged_note=note) for each in chosen]
    for each in done:
        _write_alert(tx, each)
        body = _name_alert(each) | {"by": by}
        body |= {"reason": note} if note else {}
        events.append_events(tx, Event("hub-alert-acknowledged", now, body=body))
    return done


def delete_old_alerts(tx: Transaction, now: datetime) -> int:
    """Delete the alerts that ended more than `KEPT` ago, and return how many. Their events stay."""
    return tx.execute(sa.delete(table).where(table.c.ended_at < now - KEPT)).rowcount


def _write_alert(tx: Transaction, alert: HubAlert) -> None:
    row = _make_alert_row(alert)
    same = [table.c[name] == row[name] for name in ("kind", "about", "node")]
    if not tx.execute(sa.update(table).where(*same).values(row)).rowcount:
        transactions.insert_missing_rows(tx, table, [row])


def _make_alert_row(alert: HubAlert) -> dict[str, Any]:
    row = attrs.asdict(alert, recurse=False)
    key = row.pop("key")
    values = json.dumps(dict(alert.values), ensure_ascii=False, sort_keys=True)
    return row | attrs.asdict(key) | {"severity": str(alert.severity), "values": values}


def _read_alert(row: sa.RowMapping) -> HubAlert:
    found = dict(row)
    key = HubAlertKey(found.pop("kind"), found.pop("about"), found.pop("node"))
    severity, values = AlertSeverity(found.pop("severity")), json.loads(found.pop("values"))
    return HubAlert(key=key, severity=severity, values=values, **found)


def _name_alert(alert: HubAlert) -> dict[str, object]:
    """Return what an event says of the alert it is about."""
    key, partner = alert.key, alert.values.get("partner")
    about: dict[str, object] = {"partner": partner} if partner else {"about": key.about} if key.about else {}
    return {"condition": key.kind} | about | ({"node": key.node} if key.node else {})


def _tell_alert_step(step: AlertStep, now: datetime) -> Event:
    alert = step.alert
    body = _name_alert(alert) | {"transition": str(step.transition), "severity": str(alert.severity)}
    return Event("hub-alert", now, body=body)
