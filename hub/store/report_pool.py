"""Runs the reading steps of reports in a small pool of worker processes and shares the pool fairly between owners.

Counting a report in Python holds the interpreter lock. In a thread it would delay the reactor, and four reports would
occupy every reader thread of the journal. Here each report runs in a worker process (`hub.store.report_worker`) with
its own database connection and a lower priority. A report is cancelled when no caller waits for it any more.

Contains processes, pipes and limits. Does not know what a report is.
"""

import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import attrs
import structlog
from twisted.application.service import Service
from twisted.internet import threads
from twisted.internet.defer import CancelledError, Deferred, DeferredList, fail, maybeDeferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

import hub
from hub.domain.errors import Unready
from hub.language.phrases import phrase
from hub.store.report_worker import ANSWERS, HEAD, WorkerAnswer, WorkerSettings

log = structlog.get_logger()

#: Reports read at the same time, and at most one per owner (a partner or a user). Each takes one core and up to some
#: hundred MB.
PROCESSES = 2
#: Waiting reports allowed per owner, and in total. A further request fails with `hub-busy`.
OWN, MOST = 5, 100
#: A report that takes longer is killed, in seconds.
LONGEST = 300.0
#: Priority of a process, as a nice(1) increment, and of one whose work nobody waits for, such as the closing of a month:
#: it gets what the others leave.
NICE, BACKGROUND_NICE = 10, 19
#: Interval of the check whether any caller still waits, in seconds.
_LOOK = 1.0
#: A worker process that is idle for longer is ended, in seconds. That frees 70 MB.
_IDLE = 60.0
#: An answer of at least this many octets is unpickled in a thread: a report of 1,000 units takes tens of milliseconds.
_LARGE = 32 * 1024


def _is_always_wanted() -> bool:
    return True


@attrs.frozen(eq=False)
class ReportReader:
    """The owner of a report request. The pool reads one report at a time for each owner name."""

    name: str  #: a partner's code, or a name that no partner can have
    wanted: Callable[[], bool] = _is_always_wanted  #: returns whether a caller still waits for the report
    longest: float | None = LONGEST  #: the report is killed after this many seconds; None: no limit
    #: nobody waits for the report: it runs at the lowest priority, and is not refused while many reports wait
    background: bool = False


@attrs.define(eq=False)
class _Job:
    """A requested report and the Deferred its caller waits for."""

    reader: ReportReader
    said: bytes  #: the pickled step and its arguments
    done: Deferred[Any] = attrs.field(factory=Deferred)
    until: float | None = None  #: deadline by the reactor's clock; None until the report starts


@attrs.define(eq=False)
class ReportPool(Service):
    """The pool of worker processes. A process is started when a report needs it."""

    _reactor: Any  #: for processes and timers
    _settings: WorkerSettings  #: sent to each worker process
    _waiting: list[_Job] = attrs.field(factory=list, init=False)  #: jobs that have not started, in order of arrival
    _workers: list["_Worker"] = attrs.field(factory=list, init=False)  #: running processes, idle ones too
    #: owners with a waiting or running report: the number of their last turn
    _served: dict[str, int] = attrs.field(factory=dict, init=False)
    _turn: int = attrs.field(default=0, init=False)  #: number of jobs started so far
    _looking: LoopingCall = attrs.field(init=False)  #: checks callers and time limits while any job exists

    def __attrs_post_init__(self) -> None:
        self._looking = LoopingCall(self._look)
        self._looking.clock = self._reactor

    def read(
        self,
        reader: ReportReader,
        step: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Deferred[Any]:
        """Run the reading *step* in a worker process.

        *step* must be a function of a module. Its arguments and its result are pickled. The Deferred fails with the
        exception that *step* raises, with `Unready` (`hub-busy`) when too many reports wait or the report takes too
        long, or with CancelledError when it is not wanted any more.
        """
        own = sum(job.reader.name == reader.name for job in self._waiting)
        if own >= OWN or (len(self._waiting) >= MOST and not reader.background):
            return fail(
                Unready(
                    "hub-busy",
                    phrase("{own} of {count} waiting reports are the caller's own", own=own, count=len(self._waiting)),
                )
            )
        job = _Job(reader, pickle.dumps((step, args, kwargs)))
        self._waiting.append(job)
        if not self._looking.running:
            _ = self._looking.start(_LOOK, now=False)
        self._begin()
        return job.done

    def stopService(self) -> Deferred[Any]:
        """Fail all waiting and running reports and end the processes."""
        Service.stopService(self)
        if self._looking.running:
            self._looking.stop()
        waiting, self._waiting = self._waiting, []
        for job in waiting:
            job.done.errback(Unready("journal-unavailable", phrase("the hub stops")))
        return DeferredList([worker.stop() for worker in list(self._workers)])

    def _begin(self) -> None:
        """Start reports while fewer than `PROCESSES` run. The owner whose last turn is oldest comes first."""
        while len(running := [worker for worker in self._workers if worker.job is not None]) < PROCESSES:
            busy = {worker.job.reader.name for worker in running if worker.job is not None}
            first: dict[str, _Job] = {}
            for job in self._waiting:
                if job.reader.name not in busy:
                    first.setdefault(job.reader.name, job)
            if not first:
                return
            job = min(first.values(), key=lambda job: self._served.get(job.reader.name, 0))
            self._waiting.remove(job)
            known = {job.reader.name, *busy, *(each.reader.name for each in self._waiting)}
            self._turn += 1
            self._served = {owner: turn for owner, turn in self._served.items() if owner in known} | {
                job.reader.name: self._turn
            }
            try:
                worker = self._find_worker(background=job.reader.background)
            except OSError as error:  # no process, no descriptor or no memory is left
                log.warning("report-process-not-started", owner=job.reader.name, error=str(error))
                job.done.errback(Unready("hub-busy", phrase("the report process cannot be started")))
                continue
            if job.reader.longest is not None:
                job.until = self._reactor.seconds() + job.reader.longest
            worker.begin(job)

    def _find_worker(self, *, background: bool) -> "_Worker":
        """Return an idle process of that priority, or a new one, which takes the place of an idle one of the other
        priority: a process cannot raise its own.
        """
        idle = [worker for worker in self._workers if worker.is_idle]
        for worker in idle:
            if worker.background is background:
                return worker
        if idle and len(self._workers) >= PROCESSES:
            idle[0].end()
        return self._new_worker(background=background)

    def _new_worker(self, *, background: bool) -> "_Worker":
        worker = _Worker(self._reactor, self._settings, self._ended, background=background)
        worker.spawn()
        self._workers.append(worker)
        return worker

    def _ended(self, worker: "_Worker", *, gone: bool) -> None:
        """A worker process has finished its report, or has ended (*gone*)."""
        if gone:
            self._workers.remove(worker)
        if self.running:
            self._begin()

    def _look(self) -> None:
        now = self._reactor.seconds()
        for left in [job for job in self._waiting if not job.reader.wanted()]:
            self._waiting.remove(left)
            left.done.errback(CancelledError())
        for worker in list(self._workers):
            job = worker.job
            if job is not None and not job.reader.wanted():
                log.info("report-cancelled", owner=job.reader.name)
                worker.kill(CancelledError())
            elif job is not None and job.until is not None and now >= job.until:
                log.warning("report-given-up", owner=job.reader.name, seconds=job.reader.longest)
                worker.kill(
                    Unready(
                        "hub-busy",
                        phrase("the report takes longer than {longest} s", longest=f"{job.reader.longest:g}"),
                    )
                )
        if not self._waiting and all(worker.job is None for worker in self._workers):
            self._looking.stop()


class _Worker(ProcessProtocol):
    """One worker process."""

    def __init__(self, reactor: Any, settings: WorkerSettings, ended: Callable[..., None], *, background: bool) -> None:
        self.job: _Job | None = None
        self.background = background
        self._reactor = reactor
        self._settings = settings
        self._tell = ended
        self._buffer = bytearray()
        self._last = False  #: it takes no further report
        self._idle: IDelayedCall | None = None
        self._gone: Deferred[None] = Deferred()

    @property
    def _process(self) -> IProcessTransport:
        assert self.transport is not None
        return self.transport

    @property
    def is_idle(self) -> bool:
        """Whether the worker can start another report."""
        return self.job is None and not self._last

    def spawn(self) -> None:
        """Start the process. It has its low priority before it imports anything, which takes a second of CPU."""
        nice = BACKGROUND_NICE if self.background else NICE
        place = str(Path(hub.__file__).parent.parent)
        paths = os.pathsep.join(filter(None, [place, os.environ.get("PYTHONPATH", "")]))
        self._reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, "-c", f"import os; os.nice({nice}); from hub.store.report_worker import main; main()"],
            env=os.environ | {"PYTHONPATH": paths},
            childFDs={0: "w", 1: 2, 2: 2, ANSWERS: "r"},
        )

    def begin(self, job: _Job) -> None:
        """Send the process the report of *job*."""
        self.job = job
        self._still()
        self._write(job.said)

    def kill(self, why: Exception) -> None:
        """Kill the process. The waiting caller's Deferred fails with *why*."""
        self._last = True
        self._done(Failure(why))
        with suppress(ProcessExitedAlready):
            self._process.signalProcess("KILL")

    def stop(self) -> Deferred[None]:
        """Kill the process because the hub stops. The Deferred fires when the process has ended."""
        self._still()
        self.kill(Unready("journal-unavailable", phrase("the hub stops")))
        return self._gone

    def _write(self, said: bytes) -> None:
        self._process.write(HEAD.pack(len(said)) + said)

    def connectionMade(self) -> None:
        """Send the process the settings of the journal."""
        self._write(pickle.dumps(self._settings))

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Collect a part of an answer."""
        del childFD
        self._buffer += data
        if len(self._buffer) >= HEAD.size:
            (size,) = HEAD.unpack_from(self._buffer)
            if len(self._buffer) == HEAD.size + size:
                content = bytes(memoryview(self._buffer)[HEAD.size :])
                self._buffer = bytearray()
                self._take(content)

    def _take(self, content: bytes) -> None:
        read: Deferred[WorkerAnswer]  # from a process of our own, by a pipe of ours
        if len(content) < _LARGE:
            read = maybeDeferred(pickle.loads, content)
        else:
            read = threads.deferToThreadPool(self._reactor, self._reactor.getThreadPool(), pickle.loads, content)
        _ = read.addCallback(self._answered, self.job).addErrback(self._unread)

    def _unread(self, failure: Failure) -> None:
        log.error("report-answer-unread", error=failure.getErrorMessage(), traceback=failure.getTraceback())
        self.kill(Unready("hub-busy", phrase("the answer of the report process cannot be read")))

    def _answered(self, said: WorkerAnswer, job: _Job | None) -> None:
        if job is None or job is not self.job:
            return  # it was given up meanwhile
        self._last = self._last or said.last
        self._done(said.result if said.error is None else Failure(said.error.rebuild()))
        if self._last:
            self._process.closeStdin()
        elif self.job is None:
            self._idle = self._reactor.callLater(_IDLE, self.end)

    def end(self) -> None:
        """End the idle process."""
        self._still()
        self._last = True
        self._process.closeStdin()

    def _still(self) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self._idle = None

    def _done(self, result: Any) -> None:
        job, self.job = self.job, None
        self._tell(self, gone=False)
        if job is not None:
            (job.done.errback if isinstance(result, Failure) else job.done.callback)(result)

    def processEnded(self, reason: Failure) -> None:
        """The process has ended: it was killed, it ended by itself, or it crashed."""
        self._last = True
        self._still()
        if self.job is not None:
            log.error("report-process-broke", owner=self.job.reader.name, error=reason.getErrorMessage())
            self._done(Failure(Unready("hub-busy", phrase("the report process ended unexpectedly"))))
        self._tell(self, gone=True)
        cast("Deferred[Any]", self._gone).callback(None)
