"""Where large XML is worked on: a few threads beside the reactor's.  Knows the threshold; not what the work is."""

import contextvars
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
    _threads: ThreadPool = attrs.field(factory=lambda: ThreadPool(0, 2, "work"), init=False)

    def startService(self) -> None:
        """Open."""
        Service.startService(self)
        self._threads.start()

    def stopService(self) -> None:
        """Finish what is under way and close."""
        Service.stopService(self)
        self._threads.stop()

    def work(self, size: int, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Do small work at once, large work in a thread; log fields follow."""
        if size < THRESHOLD:
            return maybeDeferred(step, *args, **kwargs)
        context = contextvars.copy_context()
        return threads.deferToThreadPool(self._reactor, self._threads, lambda: context.run(step, *args, **kwargs))
