"""Reads on disks that may not answer, such as a folder of another machine: one reading at a time, and nobody waits for ever.

A system call on such a disk cannot be interrupted. So one thread at most hangs in it, and whoever asks meanwhile is told
that the disk does not answer. Does not know what is read.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

T = TypeVar("T")

#: Seconds in which a disk must answer, and readings that may wait for the one that runs.
PATIENCE, WAITING = 3.0, 10


@attrs.define(eq=False)
class DiskReader:
    """Runs the readings of one node, in a thread, one after another."""

    _run: Callable[..., Deferred[Any]]  #: calls a function in a thread
    _clock: IReactorTime  #: the reactor
    _turn: DeferredSemaphore = attrs.field(factory=lambda: DeferredSemaphore(1), init=False)

    async def read(self, step: Callable[..., T], *words: object) -> T | None:
        """Return what *step* finds; None if the disk does not answer in time, or too many wait. Raises what *step* raises."""
        if len(self._turn.waiting) >= WAITING:
            return None
        told: Deferred[T] = Deferred()

        def tell(result: T | Failure) -> None:
            if not told.called:
                told.callback(result)

        # the reading itself is not cancelled: it keeps its turn until the disk answers
        _ = self._turn.run(self._run, step, *words).addBoth(tell)
        late = self._clock.callLater(PATIENCE, told.cancel) if not told.called else None
        try:
            return await told
        except CancelledError:
            return None
        finally:
            if late is not None and late.active():
                late.cancel()
