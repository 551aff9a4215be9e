"""Runs reading and writing steps on the journal outside the reactor thread, with group commit.

One thread writes. Steps that arrive while it commits share the next commit, each in its own savepoint, so that a step
that fails does not fail the others. Steps from outside enter a commit round robin, one step per owner
(hub.domain.fair_queue). A commit begins no further step after `BUDGET` seconds, so no owner waits for all that another
owner has brought. Each step is measured and charged to its owner; an owner that has used too much waits, and nobody
else (hub.domain.writer_budget). At most four threads read. While the database server does not answer
(hub.runtime.server_monitor), steps fail at once. So they do while the file of SQLite is not the one at its path
(hub.store.journal_file), or may be damaged (hub.store.damage_watch). Contains no table.
"""

import contextvars
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, cast
from weakref import WeakSet

import attrs
import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from twisted.application.service import Service
from twisted.internet import threads
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from hub.domain.errors import Unready
from hub.domain.fair_queue import DUTIES, HUB, FairQueue, Owner, is_crowding
from hub.domain.measures import COMMIT_SECONDS, COMMIT_STEPS, COMMITS_FAILED, WRITER_SECONDS, Measures
from hub.domain.model import Detail
from hub.domain.writer_budget import WriterBudget
from hub.language.phrases import Phrase, phrase
from hub.runtime.server_monitor import PATIENCE, MonitorReactor, ServerMonitor
from hub.runtime.thread_pool import MakePool
from hub.store import transactions
from hub.store.batch_commit import NOT_BEGUN, ChargedStep, CommitWitness, P, Step, StepCall, StepTimes, T, commit_steps
from hub.store.damage_watch import DamageFinder, DamageWatch
from hub.store.database_errors import FileDoubted, describe_unready
from hub.store.journal_file import MOVED, JournalFile, JournalInodes
from hub.store.report_pool import ReportPool, ReportReader
from hub.store.transactions import Transaction, run_reading

log = structlog.get_logger()

#: Maximum number of steps in one commit. With more, the first step would wait too long for the last.
_BATCH = 256
#: While more steps are about to come, a commit waits for them: until it has so many, or the first has waited for this
#: time, in seconds. They come from work that this hub has not the time to do at once, so an idle hub never waits. With
#: 64 callers the writer's thread wakes a sixth as often (measured).
ENOUGH, LINGER = 64, 0.05
#: A step of a busy worker process is followed by the next within this time, and how often to look whether the commit
#: can begin, in seconds.
SOON, SHORT = 0.01, 0.001
#: Limits of admission. While `MOST` steps wait, an owner that has its share of them is refused. An owner is also
#: refused while its oldest step has waited for `OLDEST` seconds. Every owner is refused while a commit, or a step of
#: the hub itself, takes that long.
MOST, OLDEST = 1024, 5.0
#: A failed commit is reported as trouble for this time, in seconds.
RECENT = 10.0
#: Codes of a failure of the commit itself, not of a step.
_NOT_COMMITTED = frozenset({"journal-unavailable", MOVED})


@attrs.define(eq=False)
class _Waiting:
    """A step that waits for the next commit, and the Deferred of its caller."""

    step: Step
    since: float  #: start of the wait by the reactor's clock
    owner: str | None = None  #: None: the step comes from the hub itself
    charged: str = HUB.name  #: who is charged with it
    done: Deferred[object] = attrs.field(factory=Deferred)  #: fires with the result of the step
    result: object = None


@attrs.define(eq=False)
class Database(Service):
    """The journal's database under a running reactor."""

    _engine: sa.Engine  #: the database, with a connection pool
    _reactor: MonitorReactor  #: for threads and timers
    _asked: sa.Engine | None = None  #: an engine without a pool, to probe the server; None on SQLite
    _reports: ReportPool | None = None  #: None: no report is ever read
    #: tells whether more steps are about to come, because the reactor has work left that leads to them
    _more: Callable[[], bool] = lambda: False
    _steady: Callable[[], float] = time.monotonic  #: a monotonic clock in seconds, for `BUDGET`
    _measures: Measures = attrs.field(factory=Measures)  #: what this process counts
    _budget: WriterBudget = attrs.field(factory=WriterBudget)  #: what each owner uses of the writer
    #: finds what is wrong with SQLite's file
    _find_damage: DamageFinder = lambda _tx, _whole, _enough: ()
    #: SQLite's files that another process of the node has open; None: those that this one opens
    _inodes: JournalInodes | None = None
    _witness: CommitWitness | None = None  #: hears of each commit before its callers; None: nobody does
    _make_pool: MakePool = ThreadPool
    _readers: ThreadPool = attrs.field(init=False)
    _writer: ThreadPool = attrs.field(init=False)
    _waiting: list[_Waiting] = attrs.field(factory=list, init=False)  #: steps of the hub itself, in order
    _open: set[Deferred[object]] = attrs.field(factory=set, init=False)  #: callers that wait for a result
    #: timers of operations that take long
    _probing: dict[Deferred[Any], IDelayedCall] = attrs.field(factory=dict, init=False)
    #: steps from outside; normally after those of `_waiting`
    _admitted: FairQueue[_Waiting] = attrs.field(factory=FairQueue, init=False)
    #: the last commit had no time for any of `_admitted`: they come first now
    _passed_over: bool = attrs.field(default=False, init=False)
    _committing: list[_Waiting] = attrs.field(factory=list, init=False)  #: steps of the running commit
    _began: float = attrs.field(default=0.0, init=False)  #: start of the running commit, by the reactor's clock
    #: how long the last commit took, in seconds, and its steps; set by the writer's thread, read when the reactor hears
    #: of its end
    _took: float = attrs.field(default=0.0, init=False)
    _times: StepTimes = attrs.field(factory=StepTimes, init=False)
    #: the last commit passed over a long step from outside: it comes now
    _long_passed: bool = attrs.field(default=False, init=False)
    #: fires for `stopService` after the last commit
    _drained: Deferred[None] | None = attrs.field(default=None, init=False)
    _turn: IDelayedCall | None = attrs.field(default=None, init=False)  #: the flush in the next turn of the reactor
    #: the flush when the first of those that owe too much may go on
    _rest: IDelayedCall | None = attrs.field(default=None, init=False)
    #: since when the next commit waits for more steps, by the reactor's clock
    _gathering: float | None = attrs.field(default=None, init=False)
    #: until when another process is about to bring more steps, by the reactor's clock
    _expected_until: float = attrs.field(default=0.0, init=False)
    _failed: Detail = attrs.field(default="", init=False)  #: detail of the last failure
    #: time of the last failure, by the reactor's clock
    _failed_at: float = attrs.field(default=float("-inf"), init=False)
    _file: JournalFile | None = attrs.field(default=None, init=False)  #: None on PostgreSQL
    _damage: DamageWatch | None = attrs.field(default=None, init=False)  #: the same
    #: open connections to the server, to be cut on a stop
    _connections: WeakSet[DBAPIConnection] = attrs.field(factory=WeakSet, init=False)
    _monitor: ServerMonitor | None = attrs.field(default=None, init=False)  #: monitors the server; None on SQLite

    def __attrs_post_init__(self) -> None:
        self._readers, self._writer = self._make_pool(0, 4, "journal-read"), self._make_pool(1, 1, "journal-write")
        if self._asked is not None:
            for engine in (self._engine, self._asked):
                event.listen(engine, "connect", self._connected)
            self._monitor = ServerMonitor(partial(transactions.probe_commit, self._asked), self._reactor, self._away)
        if self._engine.dialect.name == "sqlite":
            self._file = JournalFile(self._engine, Path(self._engine.url.database or ""), self._inodes)
            run = partial(threads.deferToThreadPool, self._reactor, self._readers)
            self._damage = DamageWatch(self._engine, self._file, self._find_damage, run, self._reactor)

    def _connected(self, raw: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        self._connections.add(raw)

    def startService(self) -> None:
        """Start the threads."""
        Service.startService(self)
        self._readers.start()
        self._writer.start()
        if self._reports is not None:
            self._reports.startService()
        if self._monitor is not None:
            self._monitor.start()

    def stopService(self) -> Deferred[None]:
        """Finish the waiting steps, then stop the threads and close the connections."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        try:
            if gone := self._gone():
                raise gone
            if self._busy:
                self._drained = Deferred()
                self._begin_again()
                await self._drained
        except Unready as unready:
            log.warning("journal-not-finished", error=str(unready))
        self._cancel_rest()
        if self._monitor is not None:
            if self._monitor.away:
                # else a commit that waits for a standby would block the stop
                transactions.cut_connections(self._connections)
            self._monitor.stop()
        if self._damage is not None:
            self._damage.stop()
        if self._reports is not None:
            await self._reports.stopService()
        self._writer.stop()
        self._readers.stop()
        self._engine.dispose()
        if self._file is not None:
            self._file.close()

    def write(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.write`. Steps that arrive in one turn of the reactor, or while a commit runs, share a commit.

        Fails at once while the server is known to be unreachable. A step that failed with `Unready` may still have been
        committed.
        """
        return fail(gone) if (gone := self._gone()) else self._wait(None, step, *args, **kwargs)

    def admit(
        self, owner: Owner, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """See `Journal.admit`."""
        if gone := self._gone():
            return fail(gone)
        if self._witness is not None and not self._witness.begun:
            return fail(Unready("hub-busy", phrase("the witness has not caught up with the journal yet")))
        if why := self._stuck() or self._crowded(owner.name):
            return fail(Unready("hub-busy", why))
        return self._wait(owner.name, step, *args, **kwargs)

    def _gone(self) -> Unready | None:
        """Return why no step is begun now, or None."""
        if self._monitor is not None and self._monitor.away:
            return Unready("journal-unavailable", self._monitor.away)
        if self._file is not None and self._file.moved is not None:
            return self._file.moved
        return None if self._damage is None else self._damage.refusal

    def describe_file_flaw(self) -> Detail:
        """Return why SQLite's file is not used now; empty if it is, and on PostgreSQL."""
        return gone.problem.detail if self._file is not None and (gone := self._gone()) else ""

    @property
    def inodes(self) -> JournalInodes | None:
        """Return which files of SQLite are open; None: none yet, or the journal is on PostgreSQL."""
        return None if self._file is None else self._file.inodes

    def _require_unmoved(self, result: T) -> T:
        """Return *result*, if the journal that it was read from or written to is still the one at its path."""
        if self._file is not None:
            self._file.require_unmoved()
        return result

    def trouble(self) -> Detail:
        """See `Journal.trouble`."""
        if gone := self._gone():
            return phrase("{code}: {detail}", code=gone.problem.code, detail=gone.problem.detail)
        ago = self._reactor.seconds() - self._failed_at
        count = self._count
        full = phrase("{count} steps wait for the journal", count=count) if count >= MOST else ""
        if stuck := self._stuck():
            return stuck
        if full or not 0 <= ago < RECENT:
            return full
        return phrase("not committed {ago} s ago: {failed}", ago=f"{ago:.1f}", failed=self._failed)

    @property
    def _count(self) -> int:
        return len(self._waiting) + len(self._admitted)

    def _stuck(self) -> Phrase | None:
        """Return why no step from outside is admitted, or None.

        The reason is a commit that takes too long, or a step of the hub itself that waits too long.
        """
        own = (waiting.since for waiting in self._committing + self._waiting[:1] if waiting.owner is None)
        since = min(own, default=self._reactor.seconds())
        longest = self._reactor.seconds() - (min(since, self._began) if self._committing else since)
        if longest < OLDEST:
            return None
        return phrase(
            "{count} steps wait for the journal, the oldest for {longest} s",
            count=self._count,
            longest=f"{longest:.1f}",
        )

    def _crowded(self, owner: str) -> Phrase | None:
        """Return why no step of *owner* is admitted, or None.

        The reason is a full queue in which the owner has its share, or an oldest step of the owner that waits too long.
        """
        own, first = self._admitted.count(owner), self._admitted.first(owner)
        longest = self._reactor.seconds() - first.since if first is not None else 0.0
        others = self._admitted.owners + (first is None)
        if longest < OLDEST and not is_crowding(own, self._count, MOST, others):
            return None
        return phrase(
            "{own} of {count} steps that wait for the journal are the caller's own, the oldest for {longest} s",
            own=own,
            count=self._count,
            longest=f"{longest:.1f}",
        )

    def _wait(
        self,
        owner: str | None,
        step: Callable[Concatenate[Transaction, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        call = StepCall(step, args, kwargs)
        charged = step.partner if isinstance(step, ChargedStep) else owner or HUB.name
        waiting = _Waiting(call, self._reactor.seconds(), owner, charged)
        if owner is None:
            self._waiting.append(waiting)
        else:
            self._admitted.put(owner, waiting)
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
        looked = threads.deferToThreadPool(self._reactor, self._readers, self._read, run)
        self._wait_for(looked)
        _ = looked.addBoth(self._tell, done)
        return cast("Deferred[T]", done)

    def _read(self, run: Callable[[Transaction], T]) -> T:
        """Run a reading step in a thread."""
        self._keep_open()
        return self._require_unmoved(run_reading(self._engine, run))

    def _keep_open(self) -> None:
        """Keep SQLite's file open before the first step. Raises `Unready`."""
        if self._file is not None:
            try:
                self._file.open()
            except sa.exc.DBAPIError as error:
                raise describe_unready(error) from error
            except OSError as error:
                raise Unready("journal-unavailable", str(error)) from error

    def read_report(
        self,
        reader: ReportReader,
        step: Callable[Concatenate[Transaction, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """See `Journal.read_report`."""
        if gone := self._gone():
            return fail(gone)
        assert self._reports is not None
        read: Deferred[T] = self._reports.read(reader, step, *args, **kwargs)
        return read.addCallback(self._require_unmoved).addErrback(self._note)

    def _note(self, failure: Failure) -> Failure:
        """Remember the last failure of the journal, and that it may be damaged."""
        if isinstance(failure.value, Unready):
            self._failed, self._failed_at = failure.value.problem.detail, self._reactor.seconds()
            if self._damage is not None and isinstance(failure.value, FileDoubted):
                self._damage.doubt(failure.value.problem.detail)
        return failure

    def _flush(self) -> None:
        self._turn = None
        if self._gathers():
            self._turn = self._reactor.callLater(SHORT, self._flush)
            return
        batch = self._committing = self._take_batch()
        if not batch:
            self._wait_for_rest()
            return
        self._began = self._reactor.seconds()
        steps = [waiting.step for waiting in batch]
        work = threads.deferToThreadPool(self._reactor, self._writer, self._commit, steps)
        self._wait_for(work)
        _ = work.addErrback(lambda failure: [failure] * len(batch))
        _ = work.addCallback(self._committed, batch)

    def _wait_for_rest(self) -> None:
        """Look again when the first of the owners that owe too much, whose steps alone wait, may go on."""
        self._cancel_rest()
        if self._admitted:
            rest = max(SHORT, self._budget.find_rest(self._reactor.seconds()))
            self._rest = self._reactor.callLater(rest, self._begin_again)

    def _cancel_rest(self) -> None:
        if self._rest is not None and self._rest.active():
            self._rest.cancel()
        self._rest = None

    def _begin_again(self) -> None:
        if not self._committing and self._turn is None:
            self._flush()

    def _commit(self, steps: list[Step]) -> list[object]:
        """Run *steps* in the writer's thread."""
        began, self._times = self._steady(), StepTimes(self._steady)
        try:
            self._keep_open()
            done = commit_steps(self._engine, steps, self._steady, self._times, self._witness)
            return self._require_unmoved(done)
        finally:
            self._took = self._steady() - began

    def expect_steps(self) -> None:
        """Note that another process will bring more steps soon: the next commit waits for them `SOON` seconds."""
        self._expected_until = self._reactor.seconds() + SOON

    def _gathers(self) -> bool:
        """Tell whether the next commit still waits for more steps."""
        now = self._reactor.seconds()
        if 0 < self._count < ENOUGH and (self._more() or now < self._expected_until):
            if self._gathering is None:
                self._gathering = now
            if now - self._gathering < LINGER:
                return True
        self._gathering = None
        return False

    def _take_batch(self) -> list[_Waiting]:
        """Remove and return the steps of the next commit. Those of owners that owe too much stay (unless the hub stops).

        A step that is expected to be long, or a slice of what a receipt promised, has a commit of its own, so that no
        other waits for it there: when nothing else waits, and in every second commit.
        """
        now = self._reactor.seconds()
        resting = self._budget.find_resting(now) if self._drained is None else frozenset()
        long = self._budget.find_long(now) - resting | {DUTIES.name}
        passed, self._long_passed = self._long_passed, False
        if passed and (taken := self._take_admitted(1, long.__contains__)):
            return taken
        batch = self._take_short(lambda owner: owner not in long and owner not in resting)
        self._long_passed = bool(batch) and self._admitted.has(long.__contains__)
        return batch or self._take_admitted(1, long.__contains__)

    def _take_short(self, may: Callable[[str], bool]) -> list[_Waiting]:
        """Remove and return the hub's own steps, and then those from outside whose owners *may*.

        The hub's own come last if the last commit had no time for any step from outside.
        """
        if self._passed_over:
            outside = self._take_admitted(_BATCH, may)
            return outside + self._take_waiting(_BATCH - len(outside))
        own = self._take_waiting(_BATCH)
        return own + self._take_admitted(_BATCH - len(own), may)

    def _take_waiting(self, most: int) -> list[_Waiting]:
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        return taken

    def _take_admitted(self, most: int, may: Callable[[str], bool]) -> list[_Waiting]:
        taken = (self._admitted.take(may) for _ in range(min(most, len(self._admitted))))
        return [waiting for waiting in taken if waiting is not None]

    def _put_back(self, left: list[_Waiting]) -> None:
        """Return steps that were not begun to the front of their queue, unless their callers have already failed."""
        for waiting in reversed([each for each in left if each.done in self._open]):
            if waiting.owner is None:
                self._waiting.insert(0, waiting)
            else:
                self._admitted.put_back(waiting.owner, waiting)

    def _measure(self, results: list[object]) -> None:
        """Count the commit that brought *results*."""
        self._measures.observe(COMMIT_SECONDS, self._took)
        self._measures.observe(COMMIT_STEPS, sum(result is not NOT_BEGUN for result in results))
        first = results[0]
        if isinstance(first, Failure) and isinstance(first.value, Unready):
            self._measures.count(COMMITS_FAILED, by=first.value.problem.code in _NOT_COMMITTED)

    def _charge(self, ended: list[tuple[_Waiting, object]]) -> None:
        """Charge the last commit to the owners of its steps, each with its part of the time.

        Nobody is charged with the time that a step waited for a database that did not answer.
        """
        total, now = self._times.total, self._reactor.seconds()
        for waiting, result in ended:
            away = isinstance(result, Failure) and isinstance(result.value, Unready)
            if not away and (step := self._times.read(waiting.step)):
                whole = self._took * step / total
                self._budget.charge(waiting.charged, step, whole, now)
                self._measures.count(WRITER_SECONDS, waiting.charged or "hub", by=whole)

    def _committed(self, results: list[object], batch: list[_Waiting]) -> None:
        ended = list(zip(batch, results, strict=True))
        self._measure(results)
        self._charge(ended)
        self._put_back([waiting for waiting, result in ended if result is NOT_BEGUN])
        begun = any(waiting.owner is not None and result is not NOT_BEGUN for waiting, result in ended)
        self._passed_over = bool(self._admitted) and not begun
        self._flush()  # the next commit runs while the results are returned
        for waiting, result in ended:
            if result is not NOT_BEGUN:
                self._tell(result, waiting.done)
        if self._drained is not None and not self._drained.called and not self._busy:
            self._drained.callback(None)

    @property
    def _busy(self) -> bool:
        return bool(self._committing or self._count)

    def _tell(self, result: object, done: Deferred[object]) -> None:
        if done not in self._open:
            return  # it already failed because the server was unreachable
        self._open.remove(done)
        if not isinstance(result, Failure):
            done.callback(result)
            return
        self._note(result)
        if self._monitor is not None and result.check(Unready):
            self._monitor.probe()
        done.errback(result)

    def _wait_for(self, work: Deferred[Any]) -> None:
        """Ask the monitor to probe the server when *work* takes long, and again for as long as it does."""
        if self._monitor is None:
            return
        if not work.called:
            self._probing[work] = self._reactor.callLater(PATIENCE, self._probe, work)
            _ = work.addBoth(self._over, work)

    def _probe(self, work: Deferred[Any]) -> None:
        assert self._monitor is not None
        self._monitor.probe()
        self._probing[work] = self._reactor.callLater(PATIENCE, self._probe, work)

    def _over(self, result: T, work: Deferred[Any]) -> T:
        if (later := self._probing.pop(work)).active():
            later.cancel()
        return result

    def _away(self, why: str) -> None:
        """Fail every waiting caller because the server is unreachable, and drop the steps that were not begun."""
        self._waiting.clear()
        self._admitted.clear()
        left, self._open = self._open, set()
        for done in left:
            done.errback(Failure(Unready("journal-unavailable", why)))
        if self._drained is not None and not self._drained.called:
            self._drained.errback(Unready("journal-unavailable", why))
