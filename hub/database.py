"""Runs steps on the journal away from the reactor thread.  Knows threads and group commit; no table.

One thread writes: the steps that gather while it commits share the next commit, each in a savepoint of its own, so that one
that fails never fails its neighbours.  A few threads read.  While a server is away (hub.watch) nobody waits for it.
"""

import contextvars
from collections.abc import Callable
from functools import partial
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast
from weakref import WeakSet

import attrs
import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from twisted.application.service import Service
from twisted.internet import threads
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from hub import store
from hub.errors import Unready
from hub.store import Transaction, reading, writing
from hub.watch import PATIENCE, Reactor, Watch

log = structlog.get_logger()

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


_LATER = object()  #: the result of a step that is to be run alone


def commit(engine: sa.Engine, steps: list[Step]) -> list[object]:
    """Run *steps* in one transaction, each in its own savepoint; return each result, or the `Failure` of its step.

    A lost connection leaves it unknown whether the commit was done.  Running the same steps again reads it back: each knows
    what it wrote by its id (`journal.take`, `claims.settle`) or moves only what is still to move.  A transaction that the
    database made give way (a deadlock) is run again too.  When another failure undoes the commit, each step is tried alone, so
    that the cause hits only its own.  A step that would have to wait for another transaction is run alone, after the others.
    """
    tries = 1
    while True:
        try:
            results = _commit_once(engine, steps, again=tries > 1)
            return [
                commit(engine, [step])[0] if result is _LATER else result
                for step, result in zip(steps, results, strict=True)
            ]
        except store.Unconfirmed as error:
            lost = again = True
            failure = Failure(Unready("journal-unavailable", str(error)))
        except sa.exc.DBAPIError as error:
            lost, failure = store.is_lost(error), Failure(_unready(error))
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
        if len(steps) > 1:
            store.share(tx)
        for step in steps:
            try:
                with tx.begin_nested():
                    results.append(step(tx))
            except sa.exc.DBAPIError as error:
                if not store.is_own_fault(error):
                    raise
                results.append(Failure())
            except store.Occupied:
                results.append(_LATER)
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
    _asked: sa.Engine | None = None  #: without a pool, to ask a server whether it is there; None: it is a file
    _readers: ThreadPool = attrs.field(factory=lambda: ThreadPool(0, 4, "journal-read"), init=False)
    _writer: ThreadPool = attrs.field(factory=lambda: ThreadPool(1, 1, "journal-write"), init=False)
    _waiting: list[_Waiting] = attrs.field(factory=list, init=False)
    _open: set[Deferred[object]] = attrs.field(factory=set, init=False)  #: who waits for a result
    _doubting: dict[Deferred[Any], IDelayedCall] = attrs.field(factory=dict, init=False)  #: by what takes its time
    _admitted: list[_Waiting] = attrs.field(factory=list, init=False)  #: these come after those
    _committing: list[_Waiting] = attrs.field(factory=list, init=False)
    _turn: IDelayedCall | None = attrs.field(default=None, init=False)
    _failed: str = attrs.field(default="", init=False)
    _failed_at: float = attrs.field(default=float("-inf"), init=False)
    _damaged: Unready | None = attrs.field(default=None, init=False)
    _connections: WeakSet[DBAPIConnection] = attrs.field(factory=WeakSet, init=False)
    _watch: Watch | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if self._asked is not None:
            for engine in (self._engine, self._asked):
                event.listen(engine, "connect", self._connected)
            self._watch = Watch(partial(store.ask, self._asked), self._reactor, self._away)

    def _connected(self, raw: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        self._connections.add(raw)

    def startService(self) -> None:
        """Start the threads."""
        Service.startService(self)
        self._readers.start()
        self._writer.start()
        if self._watch is not None:
            self._watch.start()

    def stopService(self) -> Deferred[None]:
        """Finish what waits, then stop the threads and close the connections."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        try:
            if gone := self._gone():
                raise gone
            # steps commit in order, these after all others: when this one has, all before it have
            await self._wait(self._admitted, lambda _tx: None)
        except Unready as unready:
            log.warning("journal-not-finished", error=str(unready))
        if self._watch is not None:
            if self._watch.away:
                store.cut(self._connections)  # else a commit that waits for a standby would keep us from ending
            self._watch.stop()
        self._writer.stop()
        self._readers.stop()
        self._engine.dispose()

    def write(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.write`.  What arrives in one turn of the reactor, or while a commit runs, shares a commit.

        While the server is known to be away it fails at once.  Who was told `Unready` may find later that the step was done.
        """
        return fail(gone) if (gone := self._gone()) else self._wait(self._waiting, step, *args, **kwargs)

    def admit(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.admit`."""
        if gone := self._gone():
            return fail(gone)
        if why := self._pressure():
            return fail(Unready("hub-busy", why))
        return self._wait(self._admitted, step, *args, **kwargs)

    def _gone(self) -> Unready | None:
        """Return why nothing is begun now."""
        if self._watch is not None and self._watch.away:
            return Unready("journal-unavailable", self._watch.away)
        return self._damaged

    def trouble(self) -> str:
        """See `Journal.trouble`."""
        if gone := self._gone():
            return str(gone)
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
        self._open.add(waiting.done)
        if not self._committing and self._turn is None:
            self._turn = self._reactor.callLater(0, self._flush)
        return cast("Deferred[T]", waiting.done)

    def read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.read`."""
        if gone := self._gone():
            return fail(gone)
        context = contextvars.copy_context()

        def run(tx: Transaction) -> T:
            return context.run(step, tx, *args, **kwargs)

        done: Deferred[object] = Deferred()
        self._open.add(done)
        looked = threads.deferToThreadPool(self._reactor, self._readers, look, self._engine, run)
        self._wait_for(looked)
        _ = looked.addBoth(self._tell, done)
        return cast("Deferred[T]", done)

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
        self._wait_for(work)
        _ = work.addErrback(lambda failure: [failure] * len(batch))
        _ = work.addCallback(self._committed, batch)

    def _committed(self, results: list[object], batch: list[_Waiting]) -> None:
        self._flush()  # the next commit runs while these are told
        for waiting, result in zip(batch, results, strict=True):
            self._tell(result, waiting.done)

    def _tell(self, result: object, done: Deferred[object]) -> None:
        if done not in self._open:
            return  # it was told meanwhile that the server is away
        self._open.remove(done)
        if not isinstance(result, Failure):
            done.callback(result)
            return
        self._note(result)
        if self._watch is not None and result.check(Unready):
            self._watch.doubt()
        done.errback(result)

    def _wait_for(self, work: Deferred[Any]) -> None:
        """Doubt the server when *work* takes long, and again as long as it does."""
        if self._watch is None:
            return
        if not work.called:
            self._doubting[work] = self._reactor.callLater(PATIENCE, self._doubt, work)
            _ = work.addBoth(self._over, work)

    def _doubt(self, work: Deferred[Any]) -> None:
        assert self._watch is not None
        self._watch.doubt()
        self._doubting[work] = self._reactor.callLater(PATIENCE, self._doubt, work)

    def _over(self, result: T, work: Deferred[Any]) -> T:
        if (later := self._doubting.pop(work)).active():
            later.cancel()
        return result

    def _away(self, why: str) -> None:
        """The server is away: nobody waits for it any longer, and what was not begun is not done."""
        self._waiting.clear()
        self._admitted.clear()
        left, self._open = self._open, set()
        for done in left:
            done.errback(Failure(Unready("journal-unavailable", why)))


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
