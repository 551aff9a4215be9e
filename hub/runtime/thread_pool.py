"""Runs cheap XML work on the reactor thread and expensive XML work in a few worker threads, by estimated cost.

Each owner has its own queue (hub.domain.fair_queue) for the threads and for the reactor, and the queues are served
round robin, so no owner waits for all the work of another. The callers bound the queue: the listener limits the calls
it answers at a time, the delivery service limits its claims per partner. Knows the order of the work and the time
budget of a reactor turn, not what the work is.
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
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from hub.domain.fair_queue import FairQueue, Owner
from hub.domain.turns import NeedsThread, run_in_turn

P = ParamSpec("P")
T = TypeVar("T")

#: Makes a pool of threads: at least so many, at most so many, and the name.
MakePool = Callable[[int, int, str], ThreadPool]

#: Cost in octets below which a thread costs more than it gains (measured: 4 KB in two threads is slower than in one).
THRESHOLD = 32 * 1024
#: Number of worker threads: one per core that may be used.
THREADS = 2
#: Cost in octets of work that waits for no other: it takes about a tenth of a millisecond.
LEAST = 8 * 1024
#: One turn of the reactor begins no more cheap work after this CPU time, in seconds, so that the reactor reads sockets
#: in between. It is the cost of one ordinary message. With half of it, calls that arrive together are separated and
#: share fewer commits, which costs a fifth more CPU per call.
TURN = 0.01

#: Switch interval of the interpreter, in seconds (Python's default: 5 ms): a computing thread releases the interpreter
#: lock after this time. A call wakes the reactor and the writer about fifty times and waited each time.
SWITCH = 0.0001

#: Blocks of at least this many octets return to the operating system when they are freed (`M_MMAP_THRESHOLD`,
#: mallopt(3)). Each read of a socket needs one of 64 KiB, and a new one from the system would cost 20 page faults.
_GIVEN_BACK = 128 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


class Work(Protocol):
    """Runs a piece of pure work for its owner."""

    def __call__(self, owner: Owner, cost: int, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Return the result of *step*, or its failure. *cost* is an estimate in octets of ordinary XML.

        Fails with CancelledError, without beginning *step*, when no caller wants the result any more.
        """
        ...


def run_at_once(owner: Owner, cost: int, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
    """Run the work at once in the calling thread, for tests."""
    del owner, cost
    return maybeDeferred(step, *args, **kwargs)


class ThreadReactor(IReactorFromThreads, IReactorTime):
    """The reactor interfaces that `WorkScheduler` needs."""


@attrs.define(eq=False)
class _Piece:
    """A piece of work that waits for its turn."""

    owner: Owner
    run: Callable[[], Any]  #: the work, without arguments
    done: Deferred[Any] = attrs.field(factory=Deferred)

    @property
    def dropped(self) -> bool:
        """Tell whether no caller waits for the result any more."""
        return bool(self.done.called) or not self.owner.wanted()


@attrs.define(eq=False)
class WorkScheduler(Service):
    """The worker threads, and the queue of cheap work for the reactor."""

    _reactor: ThreadReactor
    threshold: int = THRESHOLD  #: 0 where even the cheapest work may block, such as for a key in a token
    _used: Callable[[], float] = time.thread_time  #: CPU seconds used by the reactor thread
    _make_pool: MakePool = ThreadPool
    _threads: ThreadPool = attrs.field(init=False)
    _lock: Lock = attrs.field(factory=Lock, init=False)  #: protects `_threaded`, from which the threads take work
    _threaded: FairQueue[_Piece] = attrs.field(factory=FairQueue, init=False)  #: expensive work, for the threads
    _inline: FairQueue[_Piece] = attrs.field(factory=FairQueue, init=False)  #: cheap work, for the reactor's next turns
    #: call for the next turn, if this turn has done work
    _turn: IDelayedCall | None = attrs.field(default=None, init=False)
    _began: float = attrs.field(default=0.0, init=False)  #: `_used` when this turn's first work began
    #: the result of a queued piece is being told, and its caller has asked for no further work yet
    _goes_on: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._threads = self._make_pool(0, THREADS, "work")

    def startService(self) -> None:
        """Start the threads."""
        Service.startService(self)
        sys.setswitchinterval(SWITCH)
        _give_back()
        self._threads.start()

    def stopService(self) -> None:
        """Finish the work in progress and stop the threads."""
        Service.stopService(self)
        self._threads.stop()

    def work(self, owner: Owner, cost: int, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Work`. The context variables, such as log fields, are passed on.

        Expensive work goes to a thread. Cheap work runs at once, unless this turn has used its budget or other work
        waits. The work that follows a queued piece runs with it, whatever waits: a call that is opened and judged in one
        go costs less than one whose octets the processor must fetch again. So does the least work, such as an answer.
        Cheap work that turns out to be dear (`NeedsThread`) is run again in a thread.
        """
        if not owner.wanted():
            return fail(CancelledError())
        cheap = cost < self.threshold
        if cheap and self._runs_at_once(cost):
            try:
                return succeed(run_in_turn(step, *args, **kwargs))
            except NeedsThread:
                cheap = False
            except BaseException:  # noqa: BLE001 - the caller gets it
                return fail()
        piece = _Piece(owner, partial(contextvars.copy_context().run, step, *args, **kwargs))
        if cheap:
            self._inline.put(owner.name, piece)
        else:
            self._put_in_thread(piece)
        return piece.done

    def _put_in_thread(self, piece: _Piece) -> None:
        with self._lock:
            self._threaded.put(piece.owner.name, piece)
        self._threads.callInThread(
            self._work_one
        )  # the thread takes the work that is next in turn, not this very piece

    @property
    def busy(self) -> bool:
        """Tell whether cheap work waits for a turn of the reactor."""
        return bool(self._inline)

    def _runs_at_once(self, cost: int) -> bool:
        """Tell whether cheap work runs at once. Among what is queued, each owner gets its share of every turn."""
        if self._goes_on:
            self._goes_on = False
            return True
        return (cost <= LEAST or not self._inline) and self._has_time()

    def _has_time(self) -> bool:
        """Tell whether this turn may begin another piece. The first piece of a turn begins the turn."""
        if self._turn is None:
            self._turn, self._began = self._reactor.callLater(0, self._begin_turn), self._used()
            return True
        return self._used() - self._began < TURN

    def _begin_turn(self) -> None:
        self._turn = None
        while self._inline and self._has_time():
            piece = self._inline.take()
            assert piece is not None
            result = run_in_turn(_take_result, piece)
            if isinstance(result, Failure) and result.check(NeedsThread):
                self._put_in_thread(piece)
                continue
            self._goes_on = True
            _tell_result(piece, result)
            self._goes_on = False

    def _work_one(self) -> None:
        """Run the next piece in turn. Called in a worker thread."""
        with self._lock:
            piece = self._threaded.take()
        assert piece is not None  # each piece that is queued calls one thread
        self._reactor.callFromThread(_tell_result, piece, _take_result(piece))


def _take_result(piece: _Piece) -> Any:
    if piece.dropped:
        return Failure(CancelledError())
    try:
        return piece.run()
    except BaseException:  # noqa: BLE001 - it is returned, as a Failure, to the caller that waits for it
        return Failure()


def _tell_result(piece: _Piece, result: Any) -> None:
    piece.done.callback(result)  # after a cancellation this second call has no effect


def _give_back() -> None:
    """Make glibc return large blocks to the operating system.

    By default glibc raises its thresholds with every large block, and keeps all memory that a thread ever used: 5 MB
    more for a message of 20 MB, measured. Other C libraries have neither this call nor this behaviour.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _GIVEN_BACK)
        mallopt(_M_TRIM_THRESHOLD, 2 * _GIVEN_BACK)
