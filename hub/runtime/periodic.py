"""A service that does the same thing every so often, one at a time.  Knows a clock that only counts; not what is done."""

from typing import ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall


class Regular(Service):
    """Calls `look` at its start and then every so often; a stop waits for the one under way, and calls `end`.

    `look` must not raise but for a cancellation: a loop that raises would stop for ever.
    """

    every: ClassVar[float]  #: seconds
    at_once: ClassVar[bool] = True  #: whether to look at the start
    _clock: IReactorTime
    _loop: LoopingCall
    _running: Deferred[LoopingCall] | None = None

    def startService(self) -> None:
        """Begin."""
        Service.startService(self)
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self.look()))
        self._loop.clock = self._clock
        self._running = self._loop.start(self.every, now=self.at_once)

    def stopService(self) -> Deferred[None]:
        """Look no more."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._loop.stop()
        if self._running is not None:
            await self._running
        await self.end()

    async def look(self) -> None:
        """Do it once."""
        raise NotImplementedError

    async def end(self) -> None:
        """Do what is to be done after the last time."""
