"""A service that does the same work at a fixed interval, never twice at a time.

Knows the timer, and what becomes of a run that fails. Does not know the work.
"""

from typing import ClassVar

import structlog
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from hub.domain.errors import ConfigurationFault, Unready

log = structlog.get_logger()


class PeriodicService(Service):
    """Calls `work` at its start and then every `every` seconds.

    A run that fails is logged, unless the run before failed with the same words, and the next one tries again. A stop
    waits for the running call and then calls `finish`.
    """

    every: ClassVar[float]  #: interval in seconds
    at_once: ClassVar[bool] = True  #: whether to call `work` at the start
    failure: ClassVar[str]  #: name of the line that is logged when a run fails
    _clock: IReactorTime  #: a monotonic clock, such as the reactor's
    _loop: LoopingCall
    _running: Deferred[LoopingCall] | None = None
    _last_failure: str = ""  #: how the last run failed, as it was logged; empty: it did not
    stopping: bool = False  #: whether the service is being stopped: `work` then begins no further step

    def startService(self) -> None:
        """Start the loop."""
        self.stopping = False
        Service.startService(self)
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self.run_once()))
        self._loop.clock = self._clock
        self._running = self._loop.start(self.every, now=self.at_once)

    def stopService(self) -> Deferred[None]:
        """Stop the loop, wait for the running call, and call `finish`."""
        self.stopping = True
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._loop.stop()
        if self._running is not None:
            await self._running
        await self.finish()

    async def run_once(self) -> None:
        """Do the work once. Raises nothing but a cancellation: any other exception would end the loop for ever."""
        before, self._last_failure = self._last_failure, ""
        try:
            await self.work()
        except CancelledError:
            if not self.stopping:
                raise
        except (Unready, ConfigurationFault) as fault:
            self._last_failure = str(fault)
            if self._last_failure != before:
                log.warning(self.failure, error=self._last_failure)
        except Exception as error:
            self._last_failure = repr(error)
            if self._last_failure != before:
                log.exception(self.failure)

    async def work(self) -> None:
        """Do the work once. May raise: what is not done is done by the next run."""
        raise NotImplementedError

    async def finish(self) -> None:
        """Do the work that follows the last run."""
