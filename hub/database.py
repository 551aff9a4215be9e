"""Runs steps on the journal away from the reactor thread.  Knows threads and group commit; no table.

One thread writes: the steps that gather while it commits share the next commit, each in a savepoint of its own, so that one
that fails never fails its neighbours.  A few threads read.
"""

import contextvars
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast

import attrs
import sqlalchemy as sa
from twisted.application.service import Service
from twisted.internet import threads
from twisted.internet.defer import Deferred, maybeDeferred
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
#: How often a batch is run when the connection breaks or the database makes it give way.
_TRIES = 3


class Reactor(IReactorTime, IReactorFromThreads):
    """What the database needs of a reactor."""


class Journal(Protocol):
    """How deeds reach the journal; the threaded database in the daemon, an inline one in tests."""

    def write(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run a writing step; the result comes after the commit.  Fails with `Unready` when nothing could be committed."""
        ...

    def read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run a reading step.  Fails with `Unready` when the database does not answer."""
        ...


@attrs.define(eq=False)
class _Waiting:
    """A step that waits for the next commit, and who waits for it."""

    step: Step
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
            return _commit_once(engine, steps, again=tries > 1)
        except store.Unconfirmed as error:
            lost = again = True
            failure = Failure(Unready("journal-unavailable", str(error)))
        except sa.exc.DBAPIError as error:
            lost, failure = store.is_lost(error), Failure(Unready("journal-unavailable", str(error.orig)))
            again = lost or store.is_passing(error)
        if again and tries < _TRIES:
            tries += 1
        elif len(steps) > 1 and not lost:
            return [result for step in steps for result in commit(engine, [step])]
        else:
            return [failure] * len(steps)


def _commit_once(engine: sa.Engine, steps: list[Step], *, again: bool) -> list[object]:
    results: list[object] = []
    with writing(engine) as tx:
        if again:
            store.insist(tx)
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
        raise Unready("journal-unavailable", str(error.orig)) from error


@attrs.define(eq=False)
class Database(Service):
    """The journal's database under a running reactor."""

    _engine: sa.Engine
    _reactor: Reactor
    _readers: ThreadPool = attrs.field(factory=lambda: ThreadPool(0, 4, "journal-read"), init=False)
    _writer: ThreadPool = attrs.field(factory=lambda: ThreadPool(1, 1, "journal-write"), init=False)
    _waiting: list[_Waiting] = attrs.field(factory=list, init=False)
    _committing: bool = attrs.field(default=False, init=False)
    _turn: IDelayedCall | None = attrs.field(default=None, init=False)

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
        await self.write(lambda _tx: None)  # steps commit in order: when this one has, all before it have
        self._writer.stop()
        self._readers.stop()
        self._engine.dispose()

    def write(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.write`.  What arrives in one turn of the reactor, or while a commit runs, shares a commit."""
        context = contextvars.copy_context()
        waiting = _Waiting(lambda tx: context.run(step, tx, *args, **kwargs))
        self._waiting.append(waiting)
        if not self._committing and self._turn is None:
            self._turn = self._reactor.callLater(0, self._flush)
        return cast("Deferred[T]", waiting.done)

    def read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.read`."""
        context = contextvars.copy_context()

        def run(tx: Transaction) -> T:
            return context.run(step, tx, *args, **kwargs)

        return threads.deferToThreadPool(self._reactor, self._readers, look, self._engine, run)

    def _flush(self) -> None:
        self._turn = None
        batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
        if not batch:
            return
        self._committing = True
        steps = [waiting.step for waiting in batch]
        work = threads.deferToThreadPool(self._reactor, self._writer, commit, self._engine, steps)
        _ = work.addErrback(lambda failure: [failure] * len(batch))
        _ = work.addCallback(self._committed, batch)

    def _committed(self, results: list[object], batch: list[_Waiting]) -> None:
        self._committing = False
        self._flush()  # the next commit runs while these are told
        for waiting, result in zip(batch, results, strict=True):
            if isinstance(result, Failure):
                waiting.done.errback(result)
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

    def read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.read`."""
        return maybeDeferred(look, self.engine, lambda tx: step(tx, *args, **kwargs))
