"""One simulated world: a clock, chance, processes with a reactor each, threads, and the lines between them.

Everything that happens is a call at a time, and each call is made in the thread of the test. Whatever the world decides (how
long a thread takes, when octets arrive, which line breaks) is drawn from its seed: the same seed gives the same world. Knows
Twisted's interfaces; not what runs in the world.
"""

import heapq
import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import attrs
from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorFromThreads,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

#: Seconds that octets need from one process to another, and a thread for a piece of work: at least, and at most.
LATENCY = (0.0002, 0.02)
THREAD = (0.0001, 0.005)
#: The time of every world at its beginning.
BEGINS = 1_000_000.0
#: Seconds after which a line that leads nowhere is noticed by whoever writes on it, as TCP does.
_SILENCE = 120.0


class Lost(Exception):
    """The world has come to its bound of steps: something goes round and round without time going on."""


@attrs.define(eq=False)
class World:
    """The clock, the calls that are to come, and the listening ports."""

    seed: str
    now: float = BEGINS
    steps: int = 0
    chance: random.Random = attrs.field(init=False)
    listening: dict[int, "Listening"] = attrs.field(factory=dict, init=False)  #: by port
    lines: "list[Line]" = attrs.field(factory=list, init=False)  #: that are open
    latency: tuple[float, float] = LATENCY
    current: "Reactor | None" = None  #: the process that computes
    told: list[str] = attrs.field(factory=list, init=False)  #: what happened, in order
    _calls: list[tuple[float, int, "Reactor", DelayedCall]] = attrs.field(factory=list, init=False)
    _number: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(f"world {self.seed}")

    def seconds(self) -> float:
        """Return the time."""
        return self.now

    def note(self, what: str) -> None:
        """Keep what happened for whoever looks for the cause of a violation."""
        self.told.append(f"{self.now - BEGINS:.3f} {what}")

    def draw(self, between: tuple[float, float]) -> float:
        """Draw a duration: mostly short, at times long."""
        least, most = between
        return least + (most - least) * self.chance.random() ** 4

    def put(self, process: "Reactor", call: DelayedCall) -> None:
        """Take a call that is to be made when its time has come."""
        heapq.heappush(self._calls, (call.getTime(), next(self._number), process, call))

    def step(self, until: float) -> bool:
        """Make the next call, if there is one before *until*."""
        while self._calls:
            when, _, process, call = self._calls[0]
            if call.cancelled or call.called or not process.lives or call.getTime() != when:
                heapq.heappop(self._calls)
                if not (call.cancelled or call.called) and process.lives and call.getTime() > when:
                    self.put(process, call)
                continue
            if when > until:
                break
            heapq.heappop(self._calls)
            self.now, call.called = max(self.now, when), 1
            self.steps += 1
            process.run(call.func, *call.args, **call.kw)
            return True
        self.now = max(self.now, until)
        return False

    def pass_time(self, seconds: float, enough: Callable[[], bool] = lambda: False, most: int = 2_000_000) -> bool:
        """Let so much time go by, or less when *enough*. Returns whether it was. Raises `Lost`."""
        until, last = self.now + seconds, self.steps + most
        while not enough():
            if not self.step(until):
                return enough()
            if self.steps > last:
                raise Lost(f"{most} steps in {seconds} s")
        return True

    def jump(self, seconds: float) -> None:
        """Let the clock jump, as when the whole machine was suspended: what was due meanwhile comes now, late."""
        self.now += seconds

    def count_calls(self) -> int:
        """Return how many calls of living processes are to come."""
        return sum(each[2].lives and not (each[3].cancelled or each[3].called) for each in self._calls)


@implementer(IReactorTime, IReactorFromThreads, IReactorTCP, IReactorPluggableNameResolver, IHostnameResolver)
class Reactor:
    """The reactor of one process. When the process has died, none of its calls is made and none of its lines is heard."""

    running = True

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.lives = True  #: whether its kernel still hears it; what it does afterwards is not done
        self.ends_after: int | None = None  #: it dies when so many pieces of work are done in its threads
        self.pools: list[Pool] = []
        self.failures: list[Failure] = []
        self.nameResolver = self
        self.spawn: Callable[..., Any] = _spawn_nothing
        self._own = Pool(self, 0, 10, "reactor")

    def run(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Make a call of this process. What it raises is kept for the judges, as a reactor would log it."""
        with self.computing():
            try:
                function(*args, **kwargs)
            except Died:
                self.lives = False
            except Exception:  # noqa: BLE001 - judged in the end
                self.failures.append(Failure())
        if not self.lives:
            self.die()

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Let this be the process that computes."""
        before, self.world.current = self.world.current, self
        try:
            yield
        finally:
            self.world.current = before

    def die(self) -> None:
        """End the process where it stands: the kernel of its machine closes its lines, after a while."""
        self.lives = False
        for line in [each for each in self.world.lines if self in each.processes]:
            line.lose(self)
        for port, listening in list(self.world.listening.items()):
            if listening.process is self:
                del self.world.listening[port]

    # --- time and threads

    def seconds(self) -> float:
        return self.world.now

    def callLater(self, delay: float, callable: Any, *args: object, **kwargs: object) -> DelayedCall:  # noqa: A002
        assert delay >= 0, delay
        call = DelayedCall(
            self.seconds() + delay,
            callable,
            args,
            kwargs,
            lambda _: None,
            lambda again: self.world.put(self, again),
            self.seconds,
        )
        self.world.put(self, call)
        return call

    def getDelayedCalls(self) -> list[DelayedCall]:
        return [each for _, _, process, each in self.world._calls if process is self and each.active()]

    def callFromThread(self, callable: Any, *args: object, **kwargs: object) -> None:  # noqa: A002
        self.callLater(self.world.draw(THREAD) / 10, callable, *args, **kwargs)

    def callInThread(self, callable: Any, *args: object, **kwargs: object) -> None:  # noqa: A002
        self._own.callInThread(callable, *args, **kwargs)

    def getThreadPool(self) -> "Pool":
        return self._own

    def suggestThreadPoolSize(self, size: int) -> None:
        del size

    def make_pool(self, least: int, most: int, name: str) -> Any:
        """Return a `Pool` of this process, which stands for a pool of threads."""
        return Pool(self, least, most, name)

    def addSystemEventTrigger(self, *args: object, **kwargs: object) -> None:
        del args, kwargs

    def spawnProcess(self, *args: Any, **kwargs: Any) -> Any:
        return self.spawn(*args, **kwargs)

    # --- lines

    def listen(self, port: int, factory: Any) -> "Listening":
        """Listen on a port."""
        found = self.world.listening[port] = Listening(self, port, factory)
        factory.doStart()
        return found

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> "Listening":
        del addressFamily
        return self.listen(fileDescriptor, factory)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        del backlog, interface
        return self.listen(port, factory)

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: object = None) -> Any:
        del bindAddress
        connector = Connector(self, host, port, factory, timeout)
        connector.connect()
        return connector

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: object = None,
        transportSemantics: str = "TCP",
    ) -> "_Resolution":
        del addressTypes, transportSemantics
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        resolutionReceiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution

    def installNameResolver(self, resolver: Any) -> Any:
        raise NotImplementedError


class Died(BaseException):
    """The process that computes dies here. Nothing in it may catch this: no code runs in a process that was killed."""


def _spawn_nothing(*_args: object, **_kwargs: object) -> Any:
    raise OSError("no process can be started in this world")


@implementer(IHostResolution)
@attrs.define
class _Resolution:
    name: str

    def cancel(self) -> None:
        """It has ended already."""


@attrs.define(eq=False)
class Pool:
    """A pool of threads. A piece of work is begun when one is free and done after a while, all at once."""

    reactor: Reactor
    least: int
    most: int
    name: str
    started: bool = False
    joined: bool = False
    waits: int = 0
    _left: list[tuple[Callable[..., Any] | None, Callable[..., Any]]] = attrs.field(factory=list, init=False)
    _busy: int = attrs.field(default=0, init=False)

    def start(self) -> None:
        """Begin what waits."""
        self.started = True
        self._begin()

    def stop(self) -> None:
        """End after what waits is done."""
        self.joined = True
        while self._left:
            self._do(*self._left.pop(0))

    def callInThread(self, func: Any, *args: object, **kw: object) -> None:
        """Let a thread make this call."""
        self.callInThreadWithCallback(None, func, *args, **kw)

    def callInThreadWithCallback(self, onResult: Any, func: Any, *args: object, **kw: object) -> None:
        """Let a thread make this call, and tell its result."""
        if self.joined:
            return
        self._left.append((onResult, lambda: func(*args, **kw)))
        self._begin()

    def _begin(self) -> None:
        while self._busy < min(self.most, len(self._left)) and (self.started or self.name == "reactor"):
            self._busy += 1
            self.reactor.callLater(self.reactor.world.draw(THREAD), self._run)

    def _run(self) -> None:
        self._busy -= 1
        if self._left:
            place = 0 if self.most == 1 else self.reactor.world.chance.randrange(min(len(self._left), self.most))
            self._do(*self._left.pop(place))
        self._begin()

    def _do(self, tell: Callable[..., Any] | None, run: Callable[..., Any]) -> None:
        try:
            result, success = run(), True
        except Exception:  # noqa: BLE001 - it is the result
            result, success = Failure(), False
        if self.reactor.ends_after is not None:
            self.reactor.ends_after -= 1
            if self.reactor.ends_after <= 0:
                raise Died
        if tell is not None:
            tell(success, result)


# --- lines --------------------------------------------------------------------------------------------------------------


@attrs.define(eq=False, slots=False)
class Listening:
    """A listening port."""

    process: Reactor
    port: int
    factory: Any
    numberAccepts: int = 1

    def doRead(self) -> None:
        """Connections are made by the world."""

    def fileno(self) -> int:
        """Return what stands for the descriptor: the port."""
        return self.port

    def getHost(self) -> IPv4Address:
        """Return the address."""
        return IPv4Address("TCP", "127.0.0.1", self.port)

    def stopListening(self) -> None:
        """Take no more connections."""
        if self.process.world.listening.get(self.port) is self:
            del self.process.world.listening[self.port]
            self.factory.doStop()


@attrs.define(eq=False)
class Connector:
    """The way to one connection."""

    process: Reactor
    host: str
    port: int
    factory: Any
    timeout: float
    state: str = "disconnected"
    _limit: Any = None

    def connect(self) -> None:
        """Try."""
        world = self.process.world
        self.state = "connecting"
        self.factory.doStart()
        self.factory.startedConnecting(self)
        if self.timeout:
            self._limit = self.process.callLater(self.timeout, self._fail, error.TimeoutError())
        self.process.callLater(world.draw(world.latency), self._arrive)

    def stopConnecting(self) -> None:
        """Give up."""
        self._fail(error.UserError())

    def disconnect(self) -> None:
        """Give up, or end the connection."""
        if self.state == "connecting":
            self.stopConnecting()

    def getDestination(self) -> IPv4Address:
        """Return where it leads."""
        return IPv4Address("TCP", self.host, self.port)

    def _fail(self, why: Exception) -> None:
        if self.state != "connecting":
            return
        self.state = "disconnected"
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self.factory.clientConnectionFailed(self, Failure(why))
        self.factory.doStop()

    def _arrive(self) -> None:
        if self.state != "connecting":
            return
        world = self.process.world
        there = world.listening.get(self.port)
        if there is None:
            self._fail(error.ConnectionRefusedError())
            return
        self.state = "connected"
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        line = Line(world, self.process, there.process, self.port)
        world.lines.append(line)
        ours = self.factory.buildProtocol(self.getDestination())
        theirs = there.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 40000))
        if ours is None or theirs is None:
            line.lose(None)
            return
        line.ends[1].begin(theirs)
        line.ends[0].begin(ours)


class Line:
    """A connection of TCP between two processes, each with its end."""

    def __init__(self, world: World, caller: Reactor, called: Reactor, port: int) -> None:
        self.world, self.port, self.processes = world, port, (caller, called)
        self.open = True
        self.silent = False  #: half open: nothing arrives any more, and nobody is told
        self.ends = (End(self, caller, port), End(self, called, port))
        self.ends[0].other, self.ends[1].other = self.ends[1], self.ends[0]

    def lose(self, dead: Reactor | None) -> None:
        """Break: octets under way are lost, and who lives is told after a while."""
        if not self.open:
            return
        self.open = False
        self.world.lines.remove(self)
        for end in self.ends:
            if end.process is not dead:
                end.process.callLater(self.world.draw(self.world.latency), end.end, error.ConnectionLost())


@implementer(ITCPTransport)
class End:
    """One end of a line: the transport of a protocol."""

    def __init__(self, line: Line, process: Reactor, port: int) -> None:
        self.line, self.process, self.port = line, process, port
        self.other: End
        self.protocol: Any = None
        self.connected, self.disconnecting, self.disconnected = True, False, False
        self.producer: Any = None
        self._paused = False
        self._held: list[bytes | None] = []
        self._last = 0.0

    def begin(self, protocol: Any) -> None:
        """Give this end its protocol."""
        self.protocol = protocol
        self.process.run(protocol.makeConnection, self)

    # --- what the protocol calls

    def write(self, data: bytes) -> None:
        if not data or self.disconnecting or self.disconnected:
            return
        pieces = [bytes(data)]
        if len(data) > 1 and self.line.world.chance.random() < 0.05:
            cut = self.line.world.chance.randrange(1, len(data))
            pieces = [pieces[0][:cut], pieces[0][cut:]]
        for piece in pieces:
            self._send(piece)

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def _send(self, piece: bytes | None) -> None:
        """Send octets, or the end of them: they arrive in order."""
        world = self.line.world
        if not self.process.lives:
            return
        if self.line.silent:
            if not self.disconnected:
                self.process.callLater(_SILENCE, self.end, error.ConnectionLost())
            return
        self._last = max(self._last, world.now + world.draw(world.latency))
        self.other.process.callLater(self._last - world.now, self.other.arrive, piece)

    def loseConnection(self) -> None:
        if self.disconnecting or self.disconnected:
            return
        if self.producer is not None:
            self._closing = True
            return
        self.disconnecting = True
        self._send(None)
        self.process.callLater(0, self.end, error.ConnectionDone())

    _closing = False

    def loseWriteConnection(self) -> None:
        self.loseConnection()

    def abortConnection(self) -> None:
        if self.disconnected:
            return
        self.disconnecting = True
        line = self.line
        if line.open:
            line.open = False
            line.world.lines.remove(line)
            if not line.silent:
                self.other.process.callLater(
                    line.world.draw(line.world.latency), self.other.end, error.ConnectionLost()
                )
        self.process.callLater(0, self.end, error.ConnectionAborted())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer = producer
        if not streaming:
            self.process.callLater(0, self._pull)

    def _pull(self) -> None:
        if self.producer is not None and not self.disconnected:
            self.producer.resumeProducing()
            self.process.callLater(0.0001, self._pull)

    def unregisterProducer(self) -> None:
        self.producer = None
        if self._closing:
            self._closing = False
            self.loseConnection()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        if self._paused:
            self._paused = False
            self.process.callLater(0, self._go_on)

    def stopProducing(self) -> None:
        self.loseConnection()

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", self.port)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", self.port)

    def getHandle(self) -> None:
        return None

    def setTcpNoDelay(self, enabled: bool) -> None:
        del enabled

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        del enabled

    def getTcpKeepAlive(self) -> bool:
        return True

    # --- what the world calls

    def arrive(self, piece: bytes | None) -> None:
        """Take what the other end sent, unless the line broke meanwhile."""
        if self.disconnected or not self.line.open or self.line.silent:
            return
        self._held.append(piece)
        if not self._paused:
            self._go_on()

    def _go_on(self) -> None:
        while self._held and not self._paused and not self.disconnected:
            piece = self._held.pop(0)
            if piece is None:
                self.end(error.ConnectionDone())
            else:
                self.protocol.dataReceived(piece)

    def end(self, why: Exception) -> None:
        """Tell the protocol that the connection has ended."""
        if self.disconnected:
            return
        self.disconnected, self.connected = True, False
        if self.line.open and self.other.disconnected:
            self.line.open = False
            self.line.world.lines.remove(self.line)
        if self.producer is not None:
            producer, self.producer = self.producer, None
            producer.stopProducing()
        self.protocol.connectionLost(Failure(why))


# --- chance -------------------------------------------------------------------------------------------------------------


@contextmanager
def drawn_from(seed: str) -> Iterator[None]:
    """Let all chance of this process come from a seed: ids, salts, keys and waits.

    It puts a function in the place of the operating system's. No setting of a hub can do that.
    """
    chance = random.Random(f"chance {seed}")
    with mock.patch("os.urandom", chance.randbytes), mock.patch("random._urandom", chance.randbytes):
        assert os.urandom is not None
        yield
