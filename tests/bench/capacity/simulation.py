"""Simulates one node of the hub, event by event: callers, serving processes, cores, the journal's one writer, its disk. Measures nothing.

A message takes the thread of a serving process, that process's interpreter and a core, to be parsed, verified and judged. With worker
processes, the hub's own process then takes it over. It waits for the writer, which commits what has gathered: CPU of the commit, CPU of each
message in it, a sync of the disk. Then its answer is signed. A delivery is work of the hub's own process, and a settlement in a later commit.
Times are microseconds. What is left out: docs/explanation/capacity.md.
"""

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Generator, Sequence

import attrs

#: hub.store.group_commit: the most steps of a commit.
MOST = 256


@attrs.frozen(kw_only=True)
class Node:
    """What one node has, and what a message costs it. Microseconds of CPU unless said."""

    cores: int = 2
    workers: int = 1  #: processes that serve the SOAP port; 1: the hub's own
    judge: float  #: to parse, verify, judge and sign a message, before the commit
    answer: float  #: to send the answer, after the commit
    holder: float = 0.0  #: of the hub's own process, to take a message over from a worker and give the result back
    wake: float = (
        0.0  #: what the thread of a process adds whenever it was idle: to wake, to poll, to find its caches cold
    )
    fixed: float  #: of a commit
    write: float  #: of a message in a commit
    sync: float  #: that the disk takes for a commit; no CPU
    locked: float = 0.5  #: the part of a write in which no other thread of the process computes, 0 to 1
    large: float = 0.0  #: the part of messages that are large, 0 to 1
    extra: float = 0.0  #: what a large message adds to `judge`
    delivery: float = 0.0  #: to deliver a message, on the thread of the hub's own process
    settle: float = 0.0  #: to settle that delivery, in a commit
    stretch: float = 1.0  #: how much longer CPU takes because other programs use the cores too
    writer_stretch: float = 1.0  #: the same on the writer's thread


@attrs.frozen(kw_only=True)
class Load:
    """How messages come: from *callers* that send again after an answer, or else at *rate* a second, at random (Poisson)."""

    callers: int = 0
    think: float = 0.0  #: mean microseconds between an answer and the caller's next message, exponential
    rate: float = 0.0
    messages: int = 4000  #: that are counted; a tenth as many go before
    exponential: bool = False  #: whether the time to judge is exponential too, instead of fixed
    seed: int = 19


@attrs.frozen(kw_only=True)
class Outcome:
    """What a simulation found. Shares are 0 to 1."""

    rate: float  #: messages a second
    mean: float  #: milliseconds until the answer
    p50: float
    p99: float
    present: float  #: messages that were under way, on average over time
    batch: float  #: messages and settlements in a commit, on average
    cores: float  #: share of the cores that computed
    serving: float  #: share of the time that the thread of the busiest serving process was taken
    own: float  #: the same of the hub's own process
    interpreter: float  #: share of the time that the hub's own process computed Python
    writer: float  #: share of the time that a commit was under way
    disk: float  #: share of the time that the disk synced

    def name_limit(self) -> str:
        """Return what is busiest."""
        if self.cores > 0.95:  # threads that wait for a core count as taken
            return "the cores"
        shares = {
            "the hub's own process": max(self.own, self.interpreter),
            "the serving processes": self.serving,
            "the disk's sync": self.disk,
            "the writer": self.writer - self.disk,
        }
        return max(shares, key=lambda name: shares[name])


class _Clock:
    """Runs processes: generators that yield microseconds to pass, a station to take, or a gate to wait for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, _Process]] = []
        self._number = itertools.count()

    def start(self, process: "_Process", after: float = 0.0) -> None:
        heapq.heappush(self._due, (self.now + after, next(self._number), process))

    def run(self) -> None:
        while self._due:
            self.now, _, process = heapq.heappop(self._due)
            for what in process:
                if isinstance(what, float | int):
                    self.start(process, what)
                    break
                if not what.admit(process):
                    break


class _Station:
    """So many places, and a queue in the order of arrival."""

    def __init__(self, clock: _Clock, places: int = 1) -> None:
        self._clock, self._free, self._queue = clock, places, deque[_Process]()
        self._places, self._taken_at, self._busy = places, 0.0, 0.0

    def _account(self) -> None:
        self._busy += (self._places - self._free) * (self._clock.now - self._taken_at)
        self._taken_at = self._clock.now

    def admit(self, process: "_Process") -> bool:
        if not self._free:
            self._queue.append(process)
            return False
        self._account()
        self._free -= 1
        return True

    @property
    def is_idle(self) -> bool:
        return self._free == self._places

    def leave(self) -> None:
        if self._queue:
            self._clock.start(self._queue.popleft())
            return
        self._account()
        self._free += 1

    def read_busy(self) -> float:
        """Return the microseconds that its places were taken so far, together."""
        self._account()
        return self._busy


class _Gate:
    """Opens once, for all that wait at it."""

    def __init__(self, clock: _Clock) -> None:
        self._clock, self._waiting, self._opened = clock, list[_Process](), False

    def admit(self, process: "_Process") -> bool:
        if not self._opened:
            self._waiting.append(process)
        return self._opened

    def open(self) -> None:
        self._opened = True
        for process in self._waiting:
            self._clock.start(process)


_Process = Generator[float | _Station | _Gate, None, None]


class _Run:
    """One simulation."""

    def __init__(self, node: Node, load: Load) -> None:
        self._node, self._load, self._random = node, load, random.Random(load.seed)
        clock = self._clock = _Clock()
        self._cores = _Station(clock, node.cores)
        self._threads = [_Station(clock) for _ in range(node.workers)]
        self._interpreters = [_Station(clock) for _ in range(node.workers)]
        #: of the hub's own process; it is the serving one where there are no workers
        self._own, self._lock = self._threads[0], self._interpreters[0]
        if node.workers > 1:
            self._own, self._lock = _Station(clock), _Station(clock)
        self._disk, self._writer = _Station(clock), _Station(clock)
        self._gathered = deque[tuple[float, _Gate]]()
        self._writing = False
        self._sent = self._ended = self._present = 0
        self._commits = self._committed = 0
        self._changed_at = self._area = 0.0
        self._took = list[float]()
        self._before: Sequence[float] = ()
        self._warm = load.messages // 10
        self._until = 0.0

    def find_outcome(self) -> Outcome:
        if self._load.callers:
            for number in range(self._load.callers):
                self._clock.start(self._call_again(number))
        else:
            self._clock.start(self._call_at_random())
        self._clock.run()
        took = sorted(self._took)
        span, *spent = (now - then for now, then in zip(self._after, self._before, strict=True))
        cores, disk, writer, own, lock, area, commits, committed, *threads = spent
        return Outcome(
            rate=len(took) / span * 1e6,
            mean=math.fsum(took) / len(took) / 1e3,
            p50=took[len(took) // 2] / 1e3,
            p99=took[len(took) * 99 // 100] / 1e3,
            present=area / span,
            batch=committed / commits if commits else 0.0,
            cores=cores / span / self._node.cores,
            serving=max(threads) / span,
            own=own / span,
            interpreter=lock / span,
            writer=writer / span,
            disk=disk / span,
        )

    def _read_counts(self) -> list[float]:
        self._count_present(0)
        stations = (self._cores, self._disk, self._writer, self._own, self._lock)
        counts = [self._clock.now, *(each.read_busy() for each in stations)]
        return [*counts, self._area, self._commits, self._committed, *(each.read_busy() for each in self._threads)]

    def _count_present(self, more: int) -> None:
        self._area += self._present * (self._clock.now - self._changed_at)
        self._changed_at = self._clock.now
        self._present += more

    def _may_send(self) -> bool:
        """Tell whether one more message is sent; count it."""
        self._sent += 1
        return self._sent <= self._warm + self._load.messages

    def _call_again(self, number: int) -> _Process:
        thread = number % self._node.workers
        while True:
            if self._load.think:
                yield self._random.expovariate(1 / self._load.think)
            if not self._may_send():
                return
            yield from self._exchange(thread)

    def _call_at_random(self) -> _Process:
        while self._may_send():
            yield self._random.expovariate(self._load.rate / 1e6)
            self._clock.start(self._exchange(self._sent % self._node.workers))

    def _compute(self, thread: _Station, interpreter: _Station, cost: float) -> _Process:
        if not cost:
            return
        woken = self._node.wake if thread.is_idle else 0.0
        for station in (thread, interpreter, self._cores):
            yield station
        yield (cost + woken) * self._node.stretch
        for station in (self._cores, interpreter, thread):
            station.leave()

    def _exchange(self, number: int) -> _Process:
        node, begun = self._node, self._clock.now
        self._count_present(1)
        thread, interpreter = self._threads[number], self._interpreters[number]
        judge = self._random.expovariate(1 / node.judge) if self._load.exponential else node.judge
        if node.large and self._random.random() < node.large:
            judge += node.extra
        yield from self._compute(thread, interpreter, judge)
        yield from self._compute(self._own, self._lock, node.holder / 2)
        yield self._commit(node.write)
        yield from self._compute(self._own, self._lock, node.holder / 2)
        yield from self._compute(thread, interpreter, node.answer)
        self._end(self._clock.now - begun)
        if node.delivery:
            yield from self._compute(self._own, self._lock, node.delivery)
            yield self._commit(node.settle)

    def _end(self, took: float) -> None:
        self._count_present(-1)
        self._ended += 1
        if self._ended == self._warm:
            self._before = self._read_counts()
        elif self._warm < self._ended <= self._warm + self._load.messages:
            self._took.append(took)
        if self._ended == self._warm + self._load.messages:
            self._after = self._read_counts()

    def _commit(self, cost: float) -> _Gate:
        gate = _Gate(self._clock)
        self._gathered.append((cost, gate))
        if not self._writing:
            self._writing = True
            self._clock.start(self._write())
        return gate

    def _write(self) -> _Process:
        node = self._node
        while self._gathered:
            batch = [self._gathered.popleft() for _ in range(min(MOST, len(self._gathered)))]
            yield self._writer
            for cost in (node.fixed, *(each for each, _ in batch)):
                yield from self._write_one(cost)
            yield self._disk
            yield node.sync
            self._disk.leave()
            self._writer.leave()
            self._commits, self._committed = self._commits + 1, self._committed + len(batch)
            for _, gate in batch:
                gate.open()
        self._writing = False

    def _write_one(self, cost: float) -> _Process:
        if not cost:
            return
        yield self._lock
        yield self._cores
        yield cost * self._node.locked
        self._lock.leave()
        yield cost * (
            self._node.writer_stretch - self._node.locked
        )  # a thread that waits for a core has given the lock back
        self._cores.leave()


def simulate(node: Node, load: Load) -> Outcome:
    """Return what *node* does under *load*. The same seed gives the same outcome."""
    return _Run(node, load).find_outcome()


def wait_md1(rate: float, cost: float) -> float:
    """Return the mean microseconds in an M/D/1 station: arrivals at random, *rate* a second, each served for *cost* microseconds.

    Pollaczek and Khinchine; Kleinrock, Queueing Systems I, 5.6.
    """
    busy = rate * cost / 1e6
    return cost + busy * cost / (2 * (1 - busy))


def count_repaired(machines: int, think: float, cost: float) -> float:
    """Return the services a second of the machine repairman, M/M/1//N: *machines* run for *think* microseconds, a repair takes *cost*.

    Both are means of exponential times. Kleinrock, Queueing Systems I, 3.8.
    """
    ratio, weight, weights = cost / think, 1.0, [1.0]
    for running in range(machines, 0, -1):
        weight *= running * ratio
        weights.append(weight)
    return (1 - weights[0] / math.fsum(weights)) / cost * 1e6
