"""Nodes of a hub that look at its conditions, on a clock that the test moves."""

import json
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import attrs
import sqlalchemy as sa
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hub import config
from hub.config.alerting.operator_alerts import OperatorAlertSettings
from hub.config.upkeep.retention import RetentionSettings
from hub.domain.model import Receive
from hub.domain.writer_budget import WriterBudget
from hub.journal import events, nodes
from hub.journal.nodes import Node
from hub.keeping import hub_alerts
from hub.keeping.alert_notices import AlertNotice, NoticeBatch
from hub.keeping.hub_alerts import HubAlert
from hub.monitoring.hub_alerts.channels import NotSent
from hub.monitoring.hub_alerts.evaluator import AlertEvaluator
from hub.monitoring.hub_alerts.sender import AlertSender
from hub.security.anchors import Anchors
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import event
from hub.units.live import Live
from tests.province import NOW

#: Two looks this far apart end an alert whose condition is over.
SETTLED = timedelta(minutes=3)


@attrs.define(eq=False)
class WatchedHub:
    """A hub of some nodes whose conditions are caused by the test."""

    engine: sa.Engine
    now: datetime = NOW
    config: Any = None
    returned: Any = None  #: what finds returned reports
    budget: WriterBudget = attrs.field(factory=WriterBudget)  #: what is used of each node's writer
    nodes: dict[str, AlertEvaluator] = attrs.field(factory=dict)
    sent: list[NoticeBatch] = attrs.field(factory=list)  #: what a channel took
    broken: set[str] = attrs.field(factory=set)  #: channels that take nothing

    def open(self, **said: Any) -> "WatchedHub":
        """Give the hub a configuration with two partners; *said* replaces what it says."""
        partners = {
            code: config.Partner(code=code, name=code, certificates=(), receive=Receive.PUSH)
            for code in ("sotttt", "vpub")
        }
        values = {"partners": partners, "own": (), "authorities": (), "anchors": Anchors((), ()), "free_disk": 0}
        values |= {"database_url": "postgresql://x", "data": "/", "alerts": None, "name": "Tỉnh"}
        values |= {"operator_alerts": OperatorAlertSettings(), "backup": None, "retention": RetentionSettings()}
        self.config = SimpleNamespace(**values | said)
        self.start("một")
        return self

    def start(self, name: str) -> AlertEvaluator:
        """Start the node *name*, which knows nothing of what was before."""
        live = cast("Live", SimpleNamespace(config=self.config))
        made = AlertEvaluator(
            *(InlineDatabase(self.engine), live, Clock(), lambda: self.now, name, self.returned),
            lambda: self.budget.read(self.now.timestamp()),
        )
        self.nodes[name] = made
        return made

    def beat(self, name: str) -> None:
        """Let the node *name* say that it lives."""
        with transactions.write_transaction(self.engine) as tx:
            one = Node(name=name, host=f"máy {name}", version="1", schema="1", started_at=self.now)
            if not any(each.node.name == name and each.stopped_at is None for each in nodes.list_nodes(tx, self.now)):
                nodes.record_heartbeat(tx, one, self.now)
            else:
                started = next(each.node for each in nodes.list_nodes(tx, self.now) if each.node.name == name)
                nodes.record_heartbeat(tx, started, self.now)

    def look(self, after: timedelta = timedelta()) -> list[str]:
        """Let each node look, *after* some time. Returns what changed: `raised dead-letters vpub` …"""
        self.now += after
        before = self._serial()
        for name in self.nodes:
            self.beat(name)
        for node in self.nodes.values():
            with transactions.write_transaction(self.engine) as tx:
                events.chain_events(tx)
            done: list[object] = []
            _ = Deferred.fromCoroutine(node.run_once()).addBoth(done.append)
            assert done == [None]
        return self._told_since(before)

    def sender(self, name: str = "một") -> AlertSender:
        """Return the sender of the node *name*, which has just started."""

        async def take(batch: NoticeBatch) -> None:
            if batch.channel in self.broken:
                raise NotSent("cáp đứt")
            self.sent.append(batch)

        self.beat(name)
        channels = {"mail": take, "webhook": take, "syslog": take}
        return AlertSender(InlineDatabase(self.engine), channels, Clock(), lambda: self.now, name)

    def deliver(self, *senders: AlertSender, after: timedelta = timedelta()) -> list[list[str]]:
        """Let each sender look, *after* some time. Returns what each batch said: its channel, then the transitions."""
        self.now += after
        self.sent.clear()
        for each in senders:
            done: list[object] = []
            _ = Deferred.fromCoroutine(each.run_once()).addBoth(done.append)
            assert done == [None]
        return [[batch.channel, *(_name(each) for each in batch.notices)] for batch in self.sent]

    def settle(self) -> list[str]:
        """Look now and again after a while: what is over has ended then."""
        return self.look() + self.look(SETTLED)

    def write(self, step: Any, *args: Any, **kwargs: Any) -> Any:
        """Do *step* in a transaction."""
        with transactions.write_transaction(self.engine) as tx:
            return step(tx, *args, **kwargs)

    def raised(self) -> list[HubAlert]:
        """Return the alerts that are raised."""
        with transactions.read_transaction(self.engine) as tx:
            return hub_alerts.read_alerts(tx, ended=False)

    def _serial(self) -> int:

        with transactions.read_transaction(self.engine) as tx:
            return tx.scalar(sa.select(sa.func.max(event.c.serial))) or 0

    def _told_since(self, serial: int) -> list[str]:

        with transactions.read_transaction(self.engine) as tx:
            texts = tx.scalars(sa.select(event.c.text).where(event.c.serial > serial).order_by(event.c.serial))
            told = [json.loads(text) for text in texts]
        return [
            " ".join(filter(None, (each["transition"], each["condition"], each.get("about") or each.get("partner"))))
            for each in told
            if each["event"] == "hub-alert"
        ]


def _name(notice: AlertNotice) -> str:
    return " ".join(filter(None, (notice.transition, notice.key.kind, notice.key.about)))
