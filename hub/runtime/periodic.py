"""A service that does the same work at a fixed interval, never twice at a time. Knows the timer, not the work."""

from typing import ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall


class PeriodicService(Service):
    """Calls `run_once` at its start and then every `every` seconds.

    A stop waits for the running call and then calls `finish`.

    `run_once` must not raise, except for a cancellation: an exception would stop the loop for ever.
    """

    every: ClassVar[float]  #: interval in seconds
    at_once: ClassVar[bool] = True  #: whether to call `run_once` at the start
    _clock: IReactorTime  #: a monotonic clock, such as the reactor's
    _loop: LoopingCall
    _running: Deferred[LoopingCall] | None = None
    stopping: bool = False  #: whether the service is being stopped: `run_once` then begins no further step

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
        """Do the work once."""
        raise NotImplementedError

    async def finish(self) -> None:
        """Do the work that follows the last call of `run_once`."""
