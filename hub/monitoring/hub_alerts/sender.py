"""Sends what the outbox of the alerts holds, through the channels that `[alerts.operators]` names.

Every node sends; a batch is claimed by one. What could not be sent is tried again, at growing intervals, for three days.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import attrs
import structlog
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from hub.keeping import alert_notices
from hub.keeping.alert_notices import NoticeBatch, NoticeState
from hub.monitoring.hub_alerts.channels import AlertChannel, NotSent
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal

log = structlog.get_logger()

#: Batches of one look. What is left is sent at the next.
_MOST = 20
_SELDOM = timedelta(hours=1)


@attrs.define(eq=False)
class AlertSender(PeriodicService):
    """The sender of one node."""

    every, at_once = 5.0, False
    failure = "notices-wait"

    _journal: Journal  #: holds the outbox
    _channels: Mapping[str, AlertChannel]  #: by the first word of their names
    _clock: IReactorTime  #: the reactor, which times the looks
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _node: str  #: the node's name
    _seldom_at: datetime | None = attrs.field(default=None, init=False)  #: when old notices were deleted last

    async def work(self) -> None:
        """Send what is due."""
        now = self._now()
        if await self._journal.read(alert_notices.has_lost_batches, self._node, now):
            await self._journal.write(alert_notices.release_lost_batches, self._node, now)
        if self._seldom_at is None or now - self._seldom_at >= _SELDOM:
            self._seldom_at = now
            await self._journal.write(alert_notices.delete_old_notices, now)
        for _ in range(_MOST):
            if self.stopping or not await self._journal.read(alert_notices.has_due_notices, self._now()):
                return
            batch = await self._journal.write(alert_notices.claim_batch, self._node, self._now())
            if batch is None:
                return
            await self._send(batch)

    async def _send(self, batch: NoticeBatch) -> None:
        reason, final = "", False
        channel = self._channels.get(batch.channel.partition(" ")[0])
        try:
            if channel is None:
                raise NotSent("no such channel", final=True)  # noqa: TRY301 - both end the batch
            await channel(batch)
        except NotSent as failed:
            reason, final = str(failed) or "failed", failed.final
        except CancelledError:
            raise
        except Exception as error:
            log.exception("notice-broke", channel=batch.channel)
            reason = type(error).__name__
        state = await self._journal.write(alert_notices.end_batch, batch, reason, self._now(), final=final)
        if state is not NoticeState.SENT:
            log.warning("notice-not-sent", channel=batch.channel, state=str(state), reason=reason)
