"""Where XML is worked on, by what it costs: cheap work on the reactor's thread, dear work in a few threads beside it.  Knows whose work
comes next and when the reactor has had enough; not what the work is.

Nobody's work waits for all of another's: each owner has a queue (hub.domain.fair_queue), for the threads and for the reactor, and they are served
round robin.  What waits is bounded by who brings it: the listener answers so many calls at a time, the delivery service carries so many
claims for a partner.
"""

import contextvars
import ctypes
import sys
import time
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any, ParamSpec, Protocol, TypeVar

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from hub.domain.fair_queue import FairQueue, Owner

P = ParamSpec("P")
T = TypeVar("T")

#: Octets below which a thread costs more than it gives (performance.md: 4 KB in two threads is slower than in one).
THRESHOLD = 32 * 1024
#: Threads: as many as there are cores to use.
THREADS = 2
#: One turn of the reactor begins no more cheap work after so much, in seconds of CPU: between turns it reads what others have sent.  It is what
#: an honest message costs.  With half of it, calls that come together are torn apart and share fewer commits: a fifth more CPU each.
TURN = 0.01

#: A thread that computes gives the interpreter to one that waits for it after so long, in seconds (Python's own: 5 ms).  A call wakes the
#: reactor and the writer some fifty times, and waited each time.
SWITCH = 0.0001

#: Octets of a block of memory that goes back to the system when it is freed (`M_MMAP_THRESHOLD` of mallopt(3)).
_GIVEN_BACK = 64 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


class Work(Protocol):
    """Does a piece of pure work for its owner."""

    def __call__(self, owner: Owner, cost: int, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Return what *step* returns, or its failure; *cost*: about as much as so many octets of ordinary XML.

        Fails with CancelledError, and *step* is never begun, when nobody wants the result any more.
        """
        ...


def at_once(owner: Owner, cost: int, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
    """Do the work here and now: for tests."""
    del owner, cost
    return maybeDeferred(step, *args, **kwargs)


class ThreadReactor(IReactorFromThreads, IReactorTime):
    """What the workroom needs of a reactor."""


@attrs.define(eq=False)
class _Piece:
    """A piece of work that waits for its turn."""

    owner: Owner
    run: Callable[[], Any]
    done: Deferred[Any] = attrs.field(factory=Deferred)

    @property
    def dropped(self) -> bool:
        """Tell whether nobody waits for the result any more."""
        return bool(self.done.called) or not self.owner.wanted()


@attrs.define(eq=False)
class Workroom(Service):
    """The threads, and the reactor's share of the work."""

    _reactor: ThreadReactor
    threshold: int = THRESHOLD  #: 0 where even the cheapest work may wait, such as for a key in a token
    _used: Callable[[], float] = time.thread_time  #: seconds of CPU that the reactor's thread has had
    _threads: ThreadPool = attrs.field(factory=lambda: ThreadPool(0, THREADS, "work"), init=False)
    _lock: Lock = attrs.field(factory=Lock, init=False)  #: of `_dear`, which the threads take from
    _dear: FairQueue[_Piece] = attrs.field(factory=FairQueue, init=False)
    _cheap: FairQueue[_Piece] = attrs.field(factory=FairQueue, init=False)
    _turn: IDelayedCall | None = attrs.field(default=None, init=False)  #: the next turn, where this one has done work
    _began: float = attrs.field(default=0.0, init=False)  #: `_used` when this turn's first work began

    def startService(self) -> None:
        """Open."""
        Service.startService(self)
        sys.setswitchinterval(SWITCH)
        _give_back()
        self._threads.start()

    def stopService(self) -> None:
        """Finish what is under way and close."""
        Service.stopService(self)
        self._threads.stop()

    def work(self, owner: Owner, cost: int, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Work`.  What is dear goes to a thread, what is cheap is done at once, unless this turn has done enough or others wait;
        log fields follow.
        """
        if not owner.wanted():
            return fail(CancelledError())
        if cost < self.threshold and not self._cheap and self._has_time():
            return maybeDeferred(step, *args, **kwargs)
        piece = _Piece(owner, partial(contextvars.copy_context().run, step, *args, **kwargs))
        if cost < self.threshold:
            self._cheap.put(owner.name, piece)
        else:
            with self._lock:
                self._dear.put(owner.name, piece)
            self._threads.callInThread(self._work_one)  # a thread takes whosever turn it is then, not this very piece
        return piece.done

    def _has_time(self) -> bool:
        """Tell whether this turn may begin another piece; the first one of a turn begins it."""
        if self._turn is None:
            self._turn, self._began = self._reactor.callLater(0, self._begin_turn), self._used()
            return True
        return self._used() - self._began < TURN

    def _begin_turn(self) -> None:
        self._turn = None
        while self._cheap and self._has_time():
            piece = self._cheap.take()
            assert piece is not None
            _tell(piece, _result(piece))

    def _work_one(self) -> None:
        """In a thread: do the piece whose owner's turn it is."""
        with self._lock:
            piece = self._dear.take()
        assert piece is not None  # each piece that is put in sends for one thread
        self._reactor.callFromThread(_tell, piece, _result(piece))


def _result(piece: _Piece) -> Any:
    if piece.dropped:
        return Failure(CancelledError())
    try:
        return piece.run()
    except BaseException:  # noqa: BLE001 - it goes back, as a Failure, to whoever waits for it
        return Failure()


def _tell(piece: _Piece, result: Any) -> None:
    piece.done.callback(result)  # a second time, after a cancellation, it says nothing


def _give_back() -> None:
    """Let glibc give large blocks back.  By itself it would raise its thresholds with every large block it sees, and keep what each
    thread ever used: 5 MB more for a message of 20 MB, measured.  Other C libraries have no such call, and no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _GIVEN_BACK)
        mallopt(_M_TRIM_THRESHOLD, 2 * _GIVEN_BACK)
