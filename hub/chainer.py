"""Numbers and chains committed events, at most a second behind.  Knows when; hub.events knows how."""

import attrs
import structlog
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from hub import events
from hub.database import Journal

log = structlog.get_logger()

_BATCH = 2000
_EVERY = 0.5  #: seconds


@attrs.define(eq=False)
class Chainer(Service):
    """One node's chainer; a database lock lets one at a time work."""

    _journal: Journal
    _clock: IReactorTime
    _loop: LoopingCall = attrs.field(init=False)
    _running: Deferred[LoopingCall] | None = attrs.field(default=None, init=False)

    def startService(self) -> None:
        """Begin."""
        Service.startService(self)
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._chain()))
        self._loop.clock = self._clock
        self._running = self._loop.start(_EVERY)

    def stopService(self) -> Deferred[None]:
        """Chain what is there, then stop."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._loop.stop()
        if self._running is not None:
            await self._running
        await self._chain()

    async def _chain(self) -> None:
        try:
            while await self._journal.write(events.chain, _BATCH) == _BATCH:
                pass
        except CancelledError:
            raise
        except Exception:
            log.exception("chaining-failed")  # the next round tries again; a loop that raises would stop for ever
