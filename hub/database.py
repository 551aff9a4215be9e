"""Runs steps on the journal away from the reactor thread.  Knows threads and group commit; no table.

One thread writes: the steps that gather while it commits share the next commit, each in a savepoint of its own, so that one
that fails never fails its neighbours.  A few threads read.
"""

import contextvars
from collections.abc import Callable
from contextlib import suppress
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast

import attrs
import sqlalchemy as sa
from twisted.application.service import Service
from twisted.internet import threads
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from hub import store
from hub.errors import Unready
from hub.store import Transaction, reading, writing

P = ParamSpec("P")
T = TypeVar("T")
Step = Callable[[Transaction], object]

#: At most so many steps share one commit: more would make the first wait for the last.
_BATCH = 256
#: No step from outside is taken on while so many wait, or while the oldest has waited so long, in seconds.
MOST, OLDEST = 1024, 5.0
#: A journal that was found damaged is not used any more: it may look whole elsewhere, and a write would make it worse.
_DAMAGED = "journal-damaged"
#: A commit that failed is told of for so long, in seconds.
RECENT = 10.0
#: How often a batch is run when the connection breaks or the database makes it give way.
_TRIES = 3


class Reactor(IReactorTime, IReactorFromThreads):
    """What the database needs of a reactor."""


class Journal(Protocol):
    """How deeds reach the journal; the threaded database in the daemon, an inline one in tests."""

    def write(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run a writing step; the result comes after the commit.  Fails with `Unready` when nothing could be committed."""
        ...

    def admit(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Write what comes from outside: after all that `write` was given, and not at all under pressure (`Unready`, `hub-busy`)."""
        ...

    def trouble(self) -> str:
        """Return why nothing from outside is written now, or was not a moment ago; "" when all is."""
        ...

    def read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run a reading step.  Fails with `Unready` when the database does not answer."""
        ...


@attrs.define(eq=False)
class _Waiting:
    """A step that waits for the next commit, and who waits for it."""

    step: Step
    since: float  #: by the reactor's clock
    done: Deferred[object] = attrs.field(factory=Deferred)
    result: object = None


def commit(engine: sa.Engine, steps: list[Step]) -> list[object]:
    """Run *steps* in one transaction, each in its own savepoint; return each result, or the `Failure` of its step.

    A lost connection leaves it unknown whether the commit was done.  Running the same steps again reads it back: each knows
    what it wrote by its id (`journal.take`, `deliveries.settle`) or moves only what is still to move.  A transaction that the
    database made give way (a deadlock) is run again too.  When another failure undoes the commit, each step is tried alone, so
    that the cause hits only its own.
    """
    tries = 1
    while True:
        try:
            return _commit_once(engine, steps)
        except sa.exc.DBAPIError as error:
            lost, failure = store.is_lost(error), Failure(_unready(error))
            again = lost or store.is_passing(error)
        if again and tries < _TRIES:
            tries += 1
        elif len(steps) > 1 and not lost:
            return [result for step in steps for result in commit(engine, [step])]
        else:
            return [failure] * len(steps)


def _commit_once(engine: sa.Engine, steps: list[Step]) -> list[object]:
    results: list[object] = []
    with writing(engine) as tx:
        for step in steps:
            try:
                with tx.begin_nested():
                    results.append(step(tx))
            except sa.exc.DBAPIError as error:
                if not store.is_own_fault(error):
                    raise
                results.append(Failure())
            except Exception:  # noqa: BLE001 - it goes back, as a Failure, to whoever waits for this step
                results.append(Failure())
    return results


def look(engine: sa.Engine, step: Callable[[Transaction], T]) -> T:
    """Run a reading *step*; once more when the connection turns out to be lost.  Raises `Unready`."""
    try:
        try:
            with reading(engine) as tx:
                return step(tx)
        except sa.exc.DBAPIError as error:
            if not store.is_lost(error):
                raise
            with reading(engine) as tx:
                return step(tx)
    except sa.exc.DBAPIError as error:
        if store.is_own_fault(error):
            raise
        raise _unready(error) from error


def _unready(error: sa.exc.DBAPIError) -> Unready:
    if store.is_damage(error):
        return Unready(_DAMAGED, str(error.orig), retry_after=600)
    return Unready("journal-unavailable", str(error.orig))


@attrs.define(eq=False)
class Database(Service):
    """The journal's database under a running reactor."""

    _engine: sa.Engine
    _reactor: Reactor
    _readers: ThreadPool = attrs.field(factory=lambda: ThreadPool(0, 4, "journal-read"), init=False)
    _writer: ThreadPool = attrs.field(factory=lambda: ThreadPool(1, 1, "journal-write"), init=False)
    _waiting: list[_Waiting] = attrs.field(factory=list, init=False)
    _admitted: list[_Waiting] = attrs.field(factory=list, init=False)  #: these come after those
    _committing: list[_Waiting] = attrs.field(factory=list, init=False)
    _turn: IDelayedCall | None = attrs.field(default=None, init=False)
    _failed: str = attrs.field(default="", init=False)
    _failed_at: float = attrs.field(default=float("-inf"), init=False)
    _damaged: Unready | None = attrs.field(default=None, init=False)

    def startService(self) -> None:
        """Start the threads."""
        Service.startService(self)
        self._readers.start()
        self._writer.start()

    def stopService(self) -> Deferred[None]:
        """Finish what waits, then stop the threads and close the connections."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        with suppress(Unready):  # of a damaged journal, of which nothing waits
            # steps commit in order, these after all others: when this one has, all before it have
            await self._wait(self._admitted, lambda _tx: None)
        self._writer.stop()
        self._readers.stop()
        self._engine.dispose()

    def write(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.write`.  What arrives in one turn of the reactor, or while a commit runs, shares a commit."""
        return fail(self._damaged) if self._damaged else self._wait(self._waiting, step, *args, **kwargs)

    def admit(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.admit`."""
        if self._damaged is not None:
            return fail(self._damaged)
        if why := self._pressure():
            return fail(Unready("hub-busy", why))
        return self._wait(self._admitted, step, *args, **kwargs)

    def trouble(self) -> str:
        """See `Journal.trouble`."""
        if self._damaged is not None:
            return str(self._damaged)
        ago = self._reactor.seconds() - self._failed_at
        return self._pressure() or (f"not committed {ago:.1f} s ago: {self._failed}" if 0 <= ago < RECENT else "")

    def _pressure(self) -> str:
        waiting = len(self._waiting) + len(self._admitted)
        first = [queue[0].since for queue in (self._committing, self._waiting, self._admitted) if queue]
        longest = self._reactor.seconds() - min(first) if first else 0.0
        if waiting < MOST and longest < OLDEST:
            return ""
        return f"{waiting} steps wait for the journal, the oldest for {longest:.1f} s"

    def _wait(
        self,
        queue: list[_Waiting],
        step: Callable[Concatenate[Transaction, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        context = contextvars.copy_context()
        waiting = _Waiting(lambda tx: context.run(step, tx, *args, **kwargs), self._reactor.seconds())
        queue.append(waiting)
        if not self._committing and self._turn is None:
            self._turn = self._reactor.callLater(0, self._flush)
        return cast("Deferred[T]", waiting.done)

    def read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.read`."""
        if self._damaged is not None:
            return fail(self._damaged)
        context = contextvars.copy_context()

        def run(tx: Transaction) -> T:
            return context.run(step, tx, *args, **kwargs)

        reading = threads.deferToThreadPool(self._reactor, self._readers, look, self._engine, run)
        return reading.addErrback(self._note)

    def _note(self, failure: Failure) -> Failure:
        """Remember what is wrong with the journal."""
        if isinstance(failure.value, Unready):
            self._failed, self._failed_at = failure.value.problem.detail, self._reactor.seconds()
            if failure.value.problem.code == _DAMAGED:
                self._damaged = failure.value
        return failure

    def _flush(self) -> None:
        self._turn = None
        batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
        room = _BATCH - len(batch)
        batch, self._admitted = batch + self._admitted[:room], self._admitted[room:]
        self._committing = batch
        if not batch:
            return
        steps = [waiting.step for waiting in batch]
        work = threads.deferToThreadPool(self._reactor, self._writer, commit, self._engine, steps)
        _ = work.addErrback(lambda failure: [failure] * len(batch))
        _ = work.addCallback(self._committed, batch)

    def _committed(self, results: list[object], batch: list[_Waiting]) -> None:
        self._flush()  # the next commit runs while these are told
        for waiting, result in zip(batch, results, strict=True):
            if isinstance(result, Failure):
                waiting.done.errback(self._note(result))
            else:
                waiting.done.callback(result)


@attrs.define(eq=False)
class InlineDatabase:
    """The same steps on the same SQL without threads: for tests of deeds under a `Clock`."""

    engine: sa.Engine

    def write(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.write`."""

        def run() -> T:
            (result,) = commit(self.engine, [lambda tx: step(tx, *args, **kwargs)])
            if isinstance(result, Failure):
                result.raiseException()
            return cast("T", result)

        return maybeDeferred(run)

    admit = write

    def trouble(self) -> str:
        """See `Journal.trouble`."""
        return ""

    def read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.read`."""
        return maybeDeferred(look, self.engine, lambda tx: step(tx, *args, **kwargs))
