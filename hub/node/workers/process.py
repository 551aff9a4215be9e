"""A worker process: serves connections of the SOAP port that the node's own process has accepted, or answers its dear calls.

It verifies, judges and signs, and lets the node's process write. It opens no port, reads no configuration file and
delivers nothing. It ends at once when the node's process ends, and after the calls in progress when it is told to stop.
"""

import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs
import structlog
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLContextFactory, IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import globalLogBeginner
from zope.interface import implementer

from hub.config import revocation_cache
from hub.delivery.partner_adapters import make_adapters
from hub.domain.measures import Measures
from hub.domain.node_counts import Counted, NodeCounts
from hub.domain.sightings import Sightings
from hub.formats.spool import Drawer, name_spool_folder
from hub.intake.dear_calls import ArrivedCall
from hub.intake.duty_service import wait_for_facts
from hub.intake.endpoint import Counted as CountedServices
from hub.intake.endpoint import JournalAccess
from hub.intake.signed_response import SignedResponse
from hub.keeping import integrity
from hub.language.fields import open_words
from hub.node.partner_manager import run_in_reactor_pool
from hub.node.soap_port import IntakeParts, build_intake, check_client, list_soap_peers, make_soap_site, watch_disks
from hub.node.workers.channel import (
    BACKGROUND,
    CHANNEL,
    CONNECTIONS,
    COUNTS,
    Channel,
    CountedWork,
    ForwardedCall,
    InForce,
    NewProvince,
    NewRevocations,
    NewUnits,
    Ping,
    Pong,
    RequestFailure,
    Result,
    SeenKeys,
    Stop,
    Unwanted,
    WorkerStart,
    pack,
)
from hub.node.workers.config_pickle import unpack_config
from hub.node.workers.forwarding import HEAD, Files, send_call, serve_call
from hub.node.workers.remote_journal import RemoteJournal, RemoteQueryRunner, Requests
from hub.runtime import logs
from hub.runtime.descriptors import SHORTAGE, is_reserved
from hub.runtime.garbage import MemoryReturn
from hub.runtime.ports import ACCEPTS, DirectTlsFactory
from hub.runtime.shared_counts import SharedCounts
from hub.runtime.span_export import SpanExport, make_tracer
from hub.runtime.thread_pool import THRESHOLD, WorkScheduler
from hub.runtime.trust_sweep import TrustSweep
from hub.security import tls
from hub.store import transactions
from hub.store.group_commit import Database
from hub.store.journal_file import JournalInodes
from hub.store.report_worker import PickledError
from hub.units.live import Live, Setup
from hub.units.province import Province

log = structlog.get_logger()

#: Seconds within which the calls in progress must end at a stop, and then the octets of their answers must be sent.
FINISH, FLUSH = 10.0, 2.0
_STEP = 0.02
#: Interval at which the node's process is told what was counted, in seconds. Of a worker that is killed, so much is lost.
TOLD = 1.0


class CountingTlsFactory(DirectTlsFactory):
    """Takes each connection that ends out of the count of the worker's open connections."""

    counts: NodeCounts
    name: str  #: number of the worker

    def unregisterProtocol(self, p: Any) -> None:
        """The connection of *p* has ended."""
        super().unregisterProtocol(p)
        self.counts.add(Counted.HANDED, self.name, -1)


@implementer(IReadDescriptor)
@attrs.define(eq=False)
class Inlet:
    """Receives connections that the node's process has accepted, and the files of answers between them."""

    _socket: socket.socket
    #: called with the file descriptor and the address family of each; -1: no more files could be opened
    _serve: Callable[[int, int], None]
    _note: Callable[[bytes, list[int]], None]  #: called with a file that belongs to an answer: see `Files.note`

    def fileno(self) -> int:
        """Return the descriptor to wait for (IFileDescriptor)."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Return a name for logs (ILoggingContext)."""
        return "connections"

    def doRead(self) -> None:
        """Take the next connections (IReadDescriptor). At most `ACCEPTS` a turn, because of their handshakes."""
        for _ in range(ACCEPTS):
            try:
                family, files, _flags, _address = socket.recv_fds(self._socket, 1, 1)
            except BlockingIOError:
                return
            if not family:
                return  # the node's process has ended, which the channel says
            if family == b"\0":
                self._note(self._socket.recv(HEAD - 1), files)
                continue
            self._serve(files[0] if files else -1, family[0])
            for file in files:
                os.close(file)  # the reactor has its own duplicate

    def connectionLost(self, reason: Any) -> None:
        """Do nothing: the channel says when the node's process ends (IFileDescriptor)."""


@implementer(IOpenSSLContextFactory)
@attrs.define(eq=False)
class Worker:
    """The services of one worker process."""

    _reactor: Any
    _wall: Callable[[], float]  #: seconds since 1970
    _counts_of: Callable[[int], NodeCounts]  #: returns the node's counts, for the column of this process
    _inlet: socket.socket  #: brings connections, or files
    _end: Callable[[int], None]  #: ends the process at once, with an exit code
    channel: Channel = attrs.field(init=False)
    _requests: Requests = attrs.field(init=False)
    _live: Live = attrs.field(init=False)
    _journal: RemoteJournal = attrs.field(init=False)
    _reads: Database = attrs.field(init=False)
    _scheduler: WorkScheduler = attrs.field(init=False)
    _parts: IntakeParts = attrs.field(init=False)
    _factory: CountingTlsFactory = attrs.field(init=False)
    _spans: SpanExport | None = attrs.field(default=None, init=False)
    _measures: Measures = attrs.field(factory=Measures, init=False)  #: not sent to the node's process yet
    _sightings: Sightings = attrs.field(factory=Sightings, init=False)  #: the same
    _sweep: TrustSweep = attrs.field(init=False)
    #: the forwarded calls that are being answered, by number, and whether their answers are wanted
    _answering: dict[int, bool] = attrs.field(factory=dict, init=False)
    _files: Files = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.channel = Channel(self._take, partial(self._end, 1))
        self._requests = Requests(self.channel.send)
        self._files = Files(self._inlet)

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""
        return datetime.fromtimestamp(self._wall(), UTC)

    def getContext(self) -> SSL.Context:
        """Return the TLS context for a new connection (IOpenSSLContextFactory)."""
        return self._live.setup.contexts["soap"]

    def _take(self, message: Any) -> None:
        """Do what *message* of the node's process says. An error ends this process: the node starts another one."""
        try:
            match message:
                case Result() | RequestFailure():
                    self._requests.tell(message)
                case Ping():
                    self.channel.send(Pong(SHORTAGE.describe()))
                case WorkerStart():
                    self._start(message)
                case ForwardedCall():
                    self._answering[message.number] = True
                    _ = Deferred.fromCoroutine(self._answer(message))
                case Unwanted(number) if number in self._answering:
                    self._answering[number] = False
                case NewProvince(version, packed):
                    before = self._live.province
                    self._live.setup = self._set_up(unpack_config(packed))
                    self._put_in_force(version)
                    self._sweep.begin(before)
                case NewUnits(version, units):
                    province = Province.of(self._live.config, units)
                    self._live.setup = attrs.evolve(self._live.setup, province=province)
                    self._put_in_force(version)
                case NewRevocations(heard):
                    revocation_cache.set_revocation_answers(self._live.config, unpack_config(heard))
                    self._sweep.begin()
                case Stop():
                    _ = Deferred.fromCoroutine(self._stop())
        except Exception:
            log.exception("worker-failed")
            self._end(1)

    def _start(self, said: WorkerStart) -> None:
        name = BACKGROUND if said.background else said.worker
        structlog.contextvars.bind_contextvars(worker=name)
        counts, reactor = self._counts_of(said.worker + 1), self._reactor
        live = self._live = Live(self._set_up(unpack_config(said.province)))
        self._reads = _open_reads(live, reactor, said.inodes)
        scheduler = self._scheduler = WorkScheduler(reactor)
        # the steps of a process of low priority do not follow soon
        busy = (lambda: False) if said.background else (lambda: scheduler.busy)
        self._journal = RemoteJournal(self._requests, self._reads, reactor, busy)

        async def wait(services: CountedServices) -> None:
            await wait_for_facts(self._journal, reactor, services)

        named = f"{said.node}/worker-{name}"
        tracer, self._spans = make_tracer(live.config.tracing, self.now, reactor.seconds, named)
        if self._spans is not None:
            self._spans.startService()
        disks = watch_disks(live, reactor)
        access = JournalAccess(
            self._journal,
            self._scheduler.work,
            disks.require_space,
            _do_nothing,
            wait,
            self._measures,
            self._sightings,
            tracer=tracer,
        )
        runner = RemoteQueryRunner(live, self._requests)
        self._parts = build_intake(live, reactor, self.now, access, disks, runner, counts)
        site = make_soap_site(live, reactor, self._parts, said.processes)
        self._sweep = TrustSweep(reactor, (partial(list_soap_peers, site, live, self.now),))
        factory = self._factory = CountingTlsFactory(self, False, site)
        factory.counts, factory.name = counts, str(said.worker)
        factory.doStart()
        self._reads.startService()
        self._scheduler.startService()
        MemoryReturn(reactor, run_in_reactor_pool(reactor)).startService()
        self._put_in_force(said.version)
        if not said.background:
            self._parts.dear.elsewhere = partial(send_call, self._requests, self._files, reactor)
            reactor.addReader(Inlet(self._inlet, self._serve, self._files.note))
        telling = LoopingCall(self._tell_measures)
        telling.clock = reactor
        _ = telling.start(TOLD, now=False)

    async def _answer(self, call: ForwardedCall) -> None:
        """Answer a call that another process has read."""
        number, drawer = call.number, Drawer(name_spool_folder(self._live.config.data))
        try:
            found = await serve_call(call, self._files, drawer, self._find_answer, lambda: self._answering[number])
            self.channel.send(Result(number, pack(found)))
        except Exception as error:  # noqa: BLE001 - the process that has read the call hears it
            self.channel.send(RequestFailure(number, pack(PickledError.from_error(error))))
        finally:
            del self._answering[number]

    async def _find_answer(self, call: ArrivedCall) -> SignedResponse | None:
        """See `hub.intake.dear_calls.AnswerElsewhere`."""
        intake = self._parts.find_intake(call.service, call.certificate)
        if intake is None:
            return None
        return await intake.answer(call.body, call.manner, call.certificate, call.drawer, call.wanted)

    def _tell_measures(self) -> None:
        """Send what was counted since the last time."""
        if increments := self._measures.take():
            self.channel.send(CountedWork(increments))
        if found := self._sightings.take():
            self.channel.send(SeenKeys(found))

    def _set_up(self, province: Province) -> Setup:
        config = province.config

        def check(shown: x509.Certificate, above: Sequence[x509.Certificate]) -> None:
            check_client(self._live, self.now(), shown, above)

        contexts = {"soap": tls.make_tls_context(config.tls, check, config.authorities)}
        return Setup(province, make_adapters(config) if config.lookups is not None else {}, contexts)

    def _put_in_force(self, version: int) -> None:
        self._journal.set_routes(self._live.province.routes, version)
        self._scheduler.threshold = 0 if self._live.config.identity.waits else THRESHOLD
        self.channel.send(InForce(version))

    def _serve(self, file: int, family: int) -> None:
        if file < 0 or is_reserved(file):
            SHORTAGE.note_reserve()
            self._note_unserved(os.strerror(errno.EMFILE))
            return
        try:
            self._reactor.adoptStreamConnection(file, socket.AddressFamily(family), self._factory)
        except OSError as error:  # or the peer has gone already
            self._note_unserved(str(error))
        except Exception:
            log.exception("worker-failed")
            self._end(1)

    def _note_unserved(self, why: str) -> None:
        log.info("connection-not-served", error=why)
        self._factory.counts.add(Counted.HANDED, self._factory.name, -1)

    async def _stop(self) -> None:
        """Finish the calls in progress, send their answers, and end."""
        throttle = self._parts.throttle
        throttle.close()
        await self._wait(lambda: throttle.is_empty and not self._answering, FINISH)
        self._tell_measures()
        for each in list(self._factory.protocols):
            each.loseConnection()
        await deferLater(self._reactor, _STEP)  # the channel writes in a later turn
        await self._wait(lambda: not self._factory.protocols, FLUSH)
        if self._spans is not None:
            self._spans.finish()
        self._end(0)  # no other thread has anything to finish

    async def _wait(self, reached: Callable[[], bool], patience: float) -> None:
        until = self._reactor.seconds() + patience
        while not reached() and self._reactor.seconds() < until:
            await deferLater(self._reactor, _STEP)


def _open_reads(live: Live, reactor: Any, inodes: JournalInodes | None) -> Database:
    config = live.config
    url, file = config.database_url, config.password_file
    engine = transactions.open_journal(url, password_file=file, read_only=True)
    alone = url.startswith("sqlite")
    probe = None if alone else transactions.open_journal(url, password_file=file, pooled=False)
    return Database(engine, reactor, probe, find_damage=integrity.find_damage_until, inodes=inodes)


def _do_nothing() -> None:
    """Do nothing after a commit: the node's process has made it, and wakes its own delivery."""


def run_worker(reactor: Any, wall: Callable[[], float], columns: int) -> None:
    """Run a worker process under *reactor*, with the descriptors that `channel` names.

    *wall* is the wall clock in seconds since 1970, *columns* the number of processes of the node.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the node's process decides, also when the signal is sent to all
    globalLogBeginner.beginLoggingTo([logs.observer(sys.stdout)], redirectStandardIO=False)
    open_words()
    counts, inlet = partial(SharedCounts, COUNTS, columns=columns), socket.socket(fileno=CONNECTIONS)
    worker = Worker(reactor, wall, counts, inlet, os._exit)
    reactor.adoptStreamConnection(CHANNEL, socket.AF_UNIX, Factory.forProtocol(lambda: worker.channel))
    os.close(CHANNEL)  # the reactor has its own duplicate
    reactor.run(installSignalHandlers=False)
