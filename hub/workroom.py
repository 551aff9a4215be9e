"""Where large XML is worked on: a few threads beside the reactor's.  Knows the threshold; not what the work is.

What waits for a thread is bounded by who brings it: the listener answers so many calls at a time, the delivery service carries so many
claims for a partner.
"""

import contextvars
import ctypes
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

import attrs
from twisted.application.service import Service
from twisted.internet import threads
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.threadpool import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")

#: Octets below which a thread costs more than it gives (performance.md: 4 KB in two threads is slower than in one).
THRESHOLD = 32 * 1024

#: Octets of a block of memory that goes back to the system when it is freed (`M_MMAP_THRESHOLD` of mallopt(3)).
_GIVEN_BACK = 64 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


class Work(Protocol):
    """Does a piece of pure work on so many octets."""

    def __call__(self, size: int, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Return what *step* returns, or its failure."""
        ...


def at_once(size: int, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
    """Do the work here and now: for tests."""
    del size
    return maybeDeferred(step, *args, **kwargs)


@attrs.define(eq=False)
class Workroom(Service):
    """The threads, as many as there are cores to use."""

    _reactor: IReactorFromThreads
    threshold: int = THRESHOLD  #: 0 where even the smallest work may wait, such as for a key in a token
    _threads: ThreadPool = attrs.field(factory=lambda: ThreadPool(0, 2, "work"), init=False)

    def startService(self) -> None:
        """Open."""
        Service.startService(self)
        _give_back()
        self._threads.start()

    def stopService(self) -> None:
        """Finish what is under way and close."""
        Service.stopService(self)
        self._threads.stop()

    def work(self, size: int, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Do small work at once, large work in a thread; log fields follow."""
        if size < self.threshold:
            return maybeDeferred(step, *args, **kwargs)
        context = contextvars.copy_context()
        return threads.deferToThreadPool(self._reactor, self._threads, lambda: context.run(step, *args, **kwargs))


def _give_back() -> None:
    """Let glibc give large blocks back.  By itself it would raise its thresholds with every large block it sees, and keep what each
    thread ever used: 5 MB more for a message of 20 MB, measured.  Other C libraries have no such call, and no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _GIVEN_BACK)
        mallopt(_M_TRIM_THRESHOLD, 2 * _GIVEN_BACK)
