"""The worker processes of a node without processes: what they and the node say to each other is pickled all the same."""

import os
import pickle
import socket
from collections.abc import Iterable
from typing import Any

from twisted.internet.task import Clock

from hub.node.workers.channel import CONNECTIONS, RequestFailure, Result, pack
from hub.node.workers.pool import WorkerPool
from hub.node.workers.remote_journal import RemoteJournal, RemoteQueryRunner, Requests
from hub.runtime.shared_counts import SharedCounts
from hub.store.report_worker import PickledError
from hub.units.live import Live


class Pipe:
    """The other end of a channel.  Twisted's own double would load what spoils xmlschema for other tests."""

    def __init__(self) -> None:
        self.heard = b""

    def write(self, said: bytes) -> None:
        self.heard += said

    def writeSequence(self, said: Iterable[bytes]) -> None:
        self.heard += b"".join(said)

    def value(self) -> bytes:
        return self.heard

    def loseConnection(self) -> None:
        """Nothing hears it."""


class Transport:
    """The transport of a process that is not there."""

    def __init__(self) -> None:
        self.signals: list[str] = []

    def signalProcess(self, name: str) -> None:
        self.signals.append(name)


class ProcessReactor(Clock):
    """A clock that keeps the processes that are started."""

    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[Any] = []  #: the protocols of the processes, in order
        self.readers: set[Any] = set()
        self.inlets: list[socket.socket] = []  #: what brings connections to the processes

    def spawnProcess(self, protocol: Any, *_args: Any, childFDs: Any, **_more: Any) -> None:
        protocol.transport = Transport()
        self.inlets.append(socket.socket(fileno=os.dup(childFDs[CONNECTIONS])))
        self.spawned.append(protocol)

    def adoptStreamConnection(self, _file: int, _family: int, factory: Any) -> None:
        factory.buildProtocol(None).makeConnection(Pipe())

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)


def make_pool(live: Any, journal: Any, runner: Any = None, size: int = 1, port: Any = None, wake: Any = None) -> Any:
    """Return a pool whose processes are not there."""
    counts = SharedCounts.create(size + 1)
    return WorkerPool(ProcessReactor(), live, journal, runner, wake or (lambda: None), counts, port, size, "node")


class Wire(Requests):
    """The requests of a worker: each of them, and each result, crosses as octets and arrives at once."""

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        self.told: list[bytes] = []
        super().__init__(lambda message: self.told.append(pickle.dumps(message)))

    def ask(self, make: Any) -> Any:
        done = super().ask(make)
        while self.told:
            self.pool.perform(self, pickle.loads(self.told.pop(0)))  # type: ignore[arg-type]
        return done

    def reply(self, number: int, found: Any) -> None:
        self.tell(Result(number, pack(found)))

    def refuse(self, number: int, failure: Any) -> None:
        self.tell(RequestFailure(number, pack(PickledError.from_error(failure.value))))

    def note_wanted(self, _number: int) -> Any:
        return lambda: True


def connect(live: Live, journal: Any, runner: Any = None) -> tuple[RemoteJournal, RemoteQueryRunner]:
    """Return the journal and the questions of a worker whose node has *journal* and *runner*, and whose setup is *live*."""
    wire = Wire(make_pool(live, journal, runner))
    wire.pool._note_routes()
    remote = RemoteJournal(wire, journal, Clock())
    remote.set_routes(live.province.routes, 1)
    return remote, RemoteQueryRunner(live, wire)
