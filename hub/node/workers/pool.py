"""The worker processes as the node's own process sees them: starts them, gives them connections, runs their steps.

The node's process accepts each connection of the SOAP port and gives it to the worker that has the fewest, so two
connections are never served by one worker while another is idle. A worker that ends is started again, after a delay
that doubles up to `LONGEST`. A worker that does not answer for `PATIENCE` seconds is killed. Does not know calls.
"""

import os
import socket
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import attrs
import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from zope.interface import implementer

import hub
from hub.config.revocation_cache import RevocationAnswer
from hub.domain.errors import Unready
from hub.domain.fair_queue import Owner
from hub.domain.measures import Measures
from hub.domain.node_counts import Counted
from hub.domain.sightings import Sightings
from hub.formats.spool import Drawer, name_spool_folder
from hub.intake.dear_calls import AnswerElsewhere
from hub.journal.effects import RecordedMessage
from hub.language.phrases import Phrase, phrase
from hub.node.workers import channel
from hub.node.workers.channel import (
    Channel,
    CountedWork,
    ForwardedCall,
    InForce,
    NewProvince,
    NewRevocations,
    NewUnits,
    PartnerQuestion,
    Ping,
    Pong,
    ReportStep,
    RequestFailure,
    Result,
    RoutesAt,
    SeenKeys,
    Stop,
    Unwanted,
    WorkerStart,
    WrittenStep,
    pack,
    unpack,
)
from hub.node.workers.config_pickle import pack_config
from hub.node.workers.forwarding import Files, serve_call
from hub.node.workers.remote_journal import KEPT, Requests, forget_routes
from hub.runtime import logs
from hub.runtime.descriptors import SHORTAGE, is_reserved
from hub.runtime.shared_counts import SharedCounts
from hub.store.batch_commit import Journal
from hub.store.journal_file import JournalInodes
from hub.store.report_pool import ReportReader
from hub.store.report_worker import PickledError
from hub.units.live import Live
from hub.units.routing import Routes
from hub.web.lookups.partner_query import QueryRunner

log = structlog.get_logger()

#: Delay before a worker is started again, in seconds: the first, and the longest. One that has run for `SETTLED`
#: seconds begins with the first again.
FIRST, LONGEST, SETTLED = 0.5, 30.0, 60.0
#: Interval of the question whether a worker still answers, and time after which a worker that does not is killed, in
#: seconds.
EVERY, PATIENCE = 5.0, 60.0
#: Seconds within which the workers must put a new configuration in force. One that does not is killed and started
#: again, with that configuration.
RELOAD = 15.0
#: Seconds within which the workers must end at a stop (`process.FINISH` and `FLUSH`, and a margin).
END = 15.0
#: Connections that are given to workers in one turn of the reactor.
_GIVEN = 16
#: Seconds until the next try where no connection can be accepted or given away.
_LATER = 0.1


@implementer(IReadDescriptor)
@attrs.define(eq=False)
class WorkerPool(Service):
    """The worker processes of one node."""

    _reactor: Any
    _live: Live
    _journal: Journal  #: runs the steps of the workers
    _query_runner: QueryRunner  #: asks partners
    _wake: Callable[[], None]  #: called after each commit that may have created deliveries
    _counts: SharedCounts  #: this process is column 0, and the worker with the number n is column n + 1
    _socket: socket.socket | None  #: the SOAP port, which listens already; None: the workers get no connections
    _size: int  #: number of workers
    _node: str  #: name of the node
    _expect_steps: Callable[[], None] = lambda: None  #: called when a busy worker will send further steps
    #: command that starts a worker, before the number of columns
    _command: Sequence[str] = (sys.executable, "-c", "import tap; tap.run_worker_process()")
    _inodes: Callable[[], JournalInodes | None] = lambda: None  #: returns which files of SQLite this process has open
    #: answers the dear calls that workers have read; None: they answer them
    _elsewhere: AnswerElsewhere | None = None
    measures: Measures = attrs.field(factory=Measures)  #: what this node counts, to which workers add
    sightings: Sightings = attrs.field(factory=Sightings)  #: what this node sees of partners' keys, likewise
    ended: int = attrs.field(default=0, init=False)  #: workers that ended without being told to
    _workers: list["WorkerProcess"] = attrs.field(factory=list, init=False)
    _routes: OrderedDict[int, Routes] = attrs.field(factory=OrderedDict, init=False)  #: the last ones, by version
    _version: int = attrs.field(default=0, init=False)  #: version of the routes in force
    _accepts: bool = attrs.field(default=False, init=False)  #: whether the reactor reads the port
    _first: list[Deferred[None]] = attrs.field(factory=list, init=False)  #: who waits for the first that serves
    _watch: LoopingCall = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._watch = LoopingCall(self._look)
        self._watch.clock = self._reactor

    def startService(self) -> None:
        """Start the workers. The port is served as soon as one of them is ready; until then, connections wait."""
        Service.startService(self)
        self._note_routes()
        self._workers = [WorkerProcess(self, index) for index in range(self._size)]
        for worker in self._workers:
            worker.spawn()
        _ = self._watch.start(EVERY, now=False)

    def stopService(self) -> Deferred[None]:
        """Accept no more connections, let the workers finish their calls, and end them."""
        Service.stopService(self)
        self._accept(wanted=False)
        if self._socket is not None:
            self._socket.close()
        if self._watch.running:
            self._watch.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        ends = [worker.stop() for worker in self._workers]
        late = self._reactor.callLater(END, self._kill_all)
        await DeferredList(ends)
        if late.active():
            late.cancel()

    def _kill_all(self) -> None:
        for worker in self._workers:
            worker.kill()

    def wait_until_ready(self) -> Deferred[None]:
        """Return a Deferred that fires when a worker serves the port: now, or when the first one has become ready."""
        done: Deferred[None] = Deferred()
        if self.ready:
            done.callback(None)
        else:
            self._first.append(done)
        return done

    @property
    def ready(self) -> int:
        """Return the number of workers that serve."""
        return sum(worker.ready for worker in self._workers)

    @property
    def size(self) -> int:
        """Return the number of workers that the configuration demands."""
        return self._size

    def describe_missing_workers(self) -> Phrase | str:
        """Return how many workers serve, or an empty text if all do."""
        ready, size = self.ready, self._size
        return "" if ready == size else phrase("{ready} of {size} worker processes serve", ready=ready, size=size)

    def count_connections(self) -> dict[str, int]:
        """Return the number of open connections of each worker, by its number."""
        return {worker.name: self._counts.count(Counted.HANDED, worker.name) for worker in self._workers}

    def list_processes(self) -> dict[str, int]:
        """Return the process id of each worker that runs, by its number."""
        found = {worker.name: worker.process for worker in self._workers}
        return {name: process for name, process in found.items() if process is not None}

    def send_province(self) -> Deferred[None]:
        """Send the province in force. The Deferred fires when every worker has it, or is being started again."""
        self._note_routes()
        return self._send_setup(NewProvince(self._version, pack_config(self._live.province)))

    def send_units(self) -> Deferred[None]:
        """Send the units in force. See `send_province`."""
        self._note_routes()
        return self._send_setup(NewUnits(self._version, self._live.province.routes.index))

    def send_revocations(self, heard: Sequence[RevocationAnswer]) -> None:
        """Send everything that is known about revocations."""
        message = NewRevocations(pack_config(list(heard)))
        for worker in self._workers:
            worker.send(message)

    def _send_setup(self, message: NewProvince | NewUnits) -> Deferred[None]:
        waits = [worker.put_in_force(message) for worker in self._workers]
        return DeferredList(waits).addCallback(lambda _: None)

    def _note_routes(self) -> None:
        self._version += 1
        self._routes[self._version] = self._live.province.routes
        while len(self._routes) > KEPT:
            self._routes.popitem(last=False)

    def start_message(self, index: int) -> WorkerStart:
        """Return the first message for the worker with this number."""
        province = pack_config(self._live.province)
        return WorkerStart(self._node, index, self._size, self._version, province, self._inodes())

    def perform(
        self, worker: "WorkerProcess", message: WrittenStep | ReportStep | PartnerQuestion | ForwardedCall
    ) -> None:
        """Do what a worker has asked for, and send it the result."""
        done = maybeDeferred(self._begin, worker, message)
        _ = done.addCallbacks(partial(worker.reply, message.number), partial(worker.refuse, message.number))

    def _begin(
        self, worker: "WorkerProcess", message: WrittenStep | ReportStep | PartnerQuestion | ForwardedCall
    ) -> Deferred[Any]:
        if isinstance(message, PartnerQuestion):
            return Deferred.fromCoroutine(self._ask(message))
        if isinstance(message, ForwardedCall):
            if self._elsewhere is None:
                return succeed(None)
            drawer, wanted = Drawer(name_spool_folder(self._live.config.data)), worker.note_wanted(message.number)
            return Deferred.fromCoroutine(serve_call(message, worker.files, drawer, self._elsewhere, wanted))
        step, args, kwargs = unpack(message.packed)
        if isinstance(message, ReportStep):
            reader = ReportReader(message.reader, worker.note_wanted(message.number), message.longest)
            return self._journal.read_report(reader, step, *args, **kwargs)
        words = [self._find_routes(each) if isinstance(each, RoutesAt) else each for each in args]
        if message.busy:
            self._expect_steps()
        if message.owner is None:
            return self._journal.write(step, *words, **kwargs)
        admitted: Deferred[Any] = self._journal.admit(Owner(message.owner), step, *words, **kwargs)
        return admitted.addCallback(self._note_recorded)

    def _note_recorded(self, result: Any) -> Any:
        if isinstance(result, RecordedMessage) and not result.problems:
            self._wake()
        return result

    def _find_routes(self, at: RoutesAt) -> Routes:
        found = self._routes.get(at.version)
        if found is None:
            raise forget_routes()
        return found

    async def _ask(self, asked: PartnerQuestion) -> Any:
        partner = self._live.config.partners.get(asked.partner)
        if partner is None:
            raise forget_routes()  # a reload has removed it meanwhile
        return await self._query_runner.ask(asked.query, partner, asked.said)

    def _look(self) -> None:
        for worker in self._workers:
            worker.look()

    def note_ready(self) -> None:
        """A worker has become ready, or is not ready any more."""
        self._accept(wanted=bool(self.running and self.ready))
        waits, self._first = (self._first, []) if self.ready else ([], self._first)
        for each in waits:
            each.callback(None)

    def note_ended(self, worker: "WorkerProcess") -> None:
        """Take the counts of a process that has ended out of the node's."""
        self._counts.clear_process(worker.index + 1)
        self._counts.add(Counted.HANDED, worker.name, -self._counts.count(Counted.HANDED, worker.name))
        self.note_ready()

    # The reactor reads the port by these four methods (IReadDescriptor).

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        assert self._socket is not None
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Return a name for logs."""
        return "workers"

    def connectionLost(self, reason: Any) -> None:
        """Do nothing: the port is closed at the stop."""

    def doRead(self) -> None:
        """Accept connections and give each to a worker."""
        assert self._socket is not None
        for _ in range(_GIVEN):
            if not self.ready:
                return
            try:
                found, _address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:  # too many open files, or the peer has gone
                SHORTAGE.note_error(error)
                log.warning("connection-not-accepted", error=str(error))
                self._pause()
                return
            with found:
                if is_reserved(found.fileno()):
                    SHORTAGE.note_reserve()
                    continue
                found.setblocking(False)
                if not self._give(found):
                    log.warning("connection-not-given")  # the workers have not taken those given before
                    self._pause()
                    return

    def _give(self, found: socket.socket) -> bool:
        ready = [worker for worker in self._workers if worker.ready]
        for worker in sorted(ready, key=lambda worker: self._counts.count(Counted.HANDED, worker.name)):
            if worker.give(found):
                self._counts.add(Counted.HANDED, worker.name, 1)
                return True
        return False

    def _pause(self) -> None:
        self._accept(wanted=False)
        self._reactor.callLater(_LATER, self.note_ready)

    def _accept(self, *, wanted: bool) -> None:
        if self._socket is not None and wanted != self._accepts:
            self._accepts = wanted
            (self._reactor.addReader if wanted else self._reactor.removeReader)(self)

    def spawn(self, worker: "WorkerProcess") -> socket.socket:
        """Start the process of *worker*. Return the socket by which it gets connections. Raises OSError."""
        with ExitStack() as opened:
            ours, theirs = map(opened.enter_context, socket.socketpair())
            inlet, outlet = map(opened.enter_context, socket.socketpair())
            nothing = opened.enter_context(Path(os.devnull).open("rb"))
            for each in (ours, theirs, inlet, outlet):
                each.setblocking(False)
            self._reactor.adoptStreamConnection(
                ours.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: worker.channel)
            )
            place = str(Path(hub.__file__).parent.parent)
            paths = os.pathsep.join(filter(None, [place, os.environ.get("PYTHONPATH", "")]))
            self._reactor.spawnProcess(
                worker,
                self._command[0],
                [*self._command, str(self._size + 1)],
                env=os.environ | {"PYTHONPATH": paths},
                childFDs={
                    0: nothing.fileno(),
                    1: "r",
                    2: 2,
                    channel.CHANNEL: theirs.fileno(),
                    channel.CONNECTIONS: outlet.fileno(),
                    channel.COUNTS: self._counts.file,
                },
            )
            return socket.socket(fileno=inlet.detach())


class WorkerProcess(ProcessProtocol):
    """One worker: its process, or the wait for the next one."""

    def __init__(self, pool: WorkerPool, index: int, label: int | str | None = None) -> None:
        """*label*: what the log and the metrics call it, if not by its number."""
        self.label = index if label is None else label
        self.index, self.name = index, str(self.label)
        self.ready = False
        self.calls = Requests(self.send)  #: calls that the process answers for this one
        self._alive, self._stopping = False, False
        self._later: IDelayedCall | None = None
        self._pool = pool
        self._reactor: Any = pool._reactor  # noqa: SLF001 - the two are one
        self._delay = FIRST
        self._waits: list[tuple[int, Deferred[None], IDelayedCall]] = []

    @property
    def process(self) -> int | None:
        """Return the id of the process; None if it does not run."""
        return cast("int | None", getattr(self.transport, "pid", None)) if self._alive else None

    @property
    def is_begun(self) -> bool:
        """Tell whether the process runs, or will be started after a delay."""
        return self._alive or self._later is not None

    def spawn(self) -> None:
        """Start the process."""
        self._later = None
        self._stopping = False
        self._alive = True
        self._gone: Deferred[None] = Deferred()
        self._began = self._heard = self._reactor.seconds()
        self._lines = b""
        self._version = 0  #: of the routes that the process has in force
        self._waits = []
        #: reports that are read for the process, and calls that are answered for it, and whether they are wanted
        self._wanted: dict[int, bool] = {}
        self.channel = Channel(self._take, self.kill)
        try:
            self._inlet = self._pool.spawn(self)
            self.files = Files(self._inlet)
        except OSError as error:  # too many processes or open files
            self._lose(str(error))
        else:
            self.channel.send(self._pool.start_message(self.index))

    def send(self, message: tuple[Any, ...]) -> None:
        """Send *message*, unless the process has ended."""
        if self._alive:
            self.channel.send(message)

    def put_in_force(self, message: NewProvince | NewUnits) -> Deferred[None]:
        """Send a new configuration. The Deferred fires when it is in force, or when the process has ended."""
        if not self._alive:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._waits.append((message.version, done, self._reactor.callLater(RELOAD, self._fail_reload)))
        self.channel.send(message)
        return done

    def _fail_reload(self) -> None:
        log.error("worker-not-reloaded", worker=self.label, seconds=RELOAD)
        self.kill()

    def give(self, found: socket.socket) -> bool:
        """Give the process a connection. Return False if it has not taken those given before."""
        try:
            socket.send_fds(self._inlet, [bytes([found.family])], [found.fileno()])
        except OSError:
            return False
        return True

    def reply(self, number: int, found: Any) -> None:
        """Send the result of a request."""
        self._wanted.pop(number, None)
        try:
            self.send(Result(number, pack(found)))
        except Exception:  # noqa: BLE001 - a result that cannot be pickled; the caller hears it
            self.refuse(number, Failure())

    def refuse(self, number: int, failure: Failure) -> None:
        """Send the exception of a request."""
        self._wanted.pop(number, None)
        assert failure.value is not None
        try:
            packed = pack(PickledError.from_error(failure.value))
        except Exception:  # noqa: BLE001 - an error that cannot be pickled
            packed = pack(PickledError.from_error(RuntimeError(repr(failure.value))))
        self.send(RequestFailure(number, packed))

    def note_wanted(self, number: int) -> Callable[[], bool]:
        """Note that a report is read, or a call answered. Return whether it is still wanted."""
        wanted = self._wanted
        wanted[number] = True
        return lambda: wanted.get(number, False)

    def look(self) -> None:
        """Kill the process if it has not answered for `PATIENCE` seconds; else ask whether it still answers."""
        if self._alive and self._reactor.seconds() - self._heard >= PATIENCE:
            log.error("worker-stuck", worker=self.label, seconds=PATIENCE)
            self.kill()
        else:
            self.send(Ping())

    def kill(self) -> None:
        """Kill the process."""
        if self._alive and self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    def stop(self) -> Deferred[None]:
        """Let the process finish its calls and end. The Deferred fires when it has ended."""
        self._stopping = True
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if not self._alive:
            return succeed(None)
        self.send(Stop())
        return self._gone

    def _take(self, message: Any) -> None:
        self._heard = self._reactor.seconds()
        match message:
            case Pong(short):
                if isinstance(short, Phrase):
                    SHORTAGE.note(short)
            case CountedWork(increments):
                self._pool.measures.add(increments)
            case SeenKeys(found):
                self._pool.sightings.add(found)
            case InForce(version):
                self._note_version(version)
            case Result() | RequestFailure():
                self.calls.tell(message)
            case Unwanted(number):
                if number in self._wanted:
                    self._wanted[number] = False
            case _:
                self._pool.perform(self, message)

    def _note_version(self, version: int) -> None:
        self._version = version
        reached = [each for each in self._waits if each[0] <= version]
        self._waits = [each for each in self._waits if each[0] > version]
        if not self.ready:
            log.info("worker-ready", worker=self.label, seconds=round(self._reactor.seconds() - self._began, 1))
            self.ready = True
            self._pool.note_ready()
        for _, done, late in reached:
            late.cancel()
            done.callback(None)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Write the log lines of the process into the log."""
        del childFD
        lines, newline, self._lines = (self._lines + data).rpartition(b"\n")
        if newline:
            logs.write_lines(lines.decode("utf-8", "replace"))

    def processEnded(self, reason: Failure) -> None:
        """The process has ended."""
        if self._lines:
            logs.write_lines(self._lines.decode("utf-8", "replace"))
        self._inlet.close()
        self._lose(reason.getErrorMessage())

    def _lose(self, why: str) -> None:
        """Start the next process after a while, unless the node stops."""
        self.ready = self._alive = False
        self._wanted.clear()
        self.calls.fail(Unready("hub-busy", phrase("the process that answered the call has ended"), retry_after=1))
        self._pool.note_ended(self)
        for _, done, late in self._waits:
            if late.active():
                late.cancel()
            done.callback(None)
        self._waits = []
        if not self._stopping:
            settled = self._reactor.seconds() - self._began >= SETTLED
            self._delay = FIRST if settled else self._delay
            log.error("worker-ended", worker=self.label, reason=why, again=self._delay)
            self._pool.ended += 1
            self._later = self._reactor.callLater(self._delay, self.spawn)
            self._delay = min(LONGEST, 2 * self._delay)
        self._gone.callback(None)
