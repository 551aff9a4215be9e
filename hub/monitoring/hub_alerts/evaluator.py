"""Looks at the conditions of the hub all the time, and keeps which alerts are raised.

Each node judges itself, and the leading node what all share. A look reads first, and writes only when there is a step
to write (`hub.keeping.hub_alerts`), so an untroubled hub writes nothing. What the journal itself cannot take is only
logged: a hub whose database is away can keep no alert. Watch `/readyz` or the metrics from outside too.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import attrs
import structlog
from twisted.internet.interfaces import IReactorTime

from hub.config.alerting.operator_alerts import OperatorAlertSettings
from hub.domain.writer_budget import WriterReading
from hub.keeping import alert_notices, hub_alerts
from hub.keeping.hub_alerts import AlertStep, AlertTransition, ConditionRound, TransitionRules
from hub.monitoring.hub_alerts import readings
from hub.monitoring.hub_alerts.readings import ReadReturned
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live

log = structlog.get_logger()

#: Returned reports are read at most so often, and old alerts are deleted.
_SELDOM = timedelta(minutes=10)


@attrs.define(eq=False)
class AlertEvaluator(PeriodicService):
    """The evaluator of one node."""

    every, at_once = 15.0, False
    failure = "conditions-not-judged"

    _journal: Journal  #: where the values stand and the alerts are kept
    _live: Live  #: the configuration in force
    _clock: IReactorTime  #: the reactor, which times the looks
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _node: str  #: the node's name
    _read_returned: ReadReturned | None = None  #: finds returned reports
    _read_writer: Callable[[], WriterReading] = WriterReading  #: tells how busy this node's writer is
    _seldom_at: datetime | None = attrs.field(default=None, init=False)  #: when what is done seldom was done last

    async def work(self) -> None:
        """Look once."""
        now, settings = self._now(), self._live.config.operator_alerts
        rules = TransitionRules(remind=settings.remind)
        seldom = self._seldom_at is None or not timedelta() <= now - self._seldom_at < _SELDOM
        found = await self._journal.read(
            readings.read_round,
            self._live.config,
            self._node,
            settings.limits,
            now,
            self._read_returned,
            self._read_writer(),
            seldom=seldom,
        )
        if seldom:
            self._seldom_at = now
            if found.shared:
                await self._journal.write(hub_alerts.delete_old_alerts, now)
        if not await self._journal.read(hub_alerts.would_step, found, now, rules):
            return
        for step in await self._journal.write(write_round, found, now, rules, settings):
            said = {
                "condition": step.alert.key.kind,
                "about": step.alert.key.about,
                "severity": str(step.alert.severity),
            }
            if step.transition is AlertTransition.ENDED:
                log.info("hub-alert", transition=str(step.transition), **said)
            elif step.transition is not None:
                log.warning("hub-alert", transition=str(step.transition), **said)


def write_round(
    tx: Transaction, found: ConditionRound, now: datetime, rules: TransitionRules, settings: OperatorAlertSettings
) -> list[AlertStep]:
    """Write the steps to what a look *found*, and what is to be told of them, in one transaction. Return the steps."""
    steps = hub_alerts.write_steps(tx, found, now, rules)
    alert_notices.add_notices(tx, steps, settings, now)
    return steps
