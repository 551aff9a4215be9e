"""A simulated province: a production node, its partners, and what befalls them. Knows how a node is started, stopped and killed.

The node is built by the hub's own builders. Its SQLite file lies in a real folder; what the process had in its hands when it died is
lost, what it had written is not.
"""

import errno
import io
import random
import sqlite3
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest import mock

import attrs
import sqlalchemy as sa
import structlog
from sqlalchemy import event
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from hub.domain.model import Unit, UnitMark
from hub.journal import unit_registry
from hub.journal.queue import partner_state
from hub.node import check, init_province
from hub.node.hub import Hub
from hub.node.init_province import ProvincePorts
from hub.node.surroundings import Surroundings
from hub.runtime.ports import DirectoryLockService
from hub.security import sample_pki
from hub.store import report_worker, transactions
from hub.store.report_pool import BACKGROUND_NICE
from hub.store.report_worker import ANSWERS
from tests.faults import evidence, journal
from tests.faults.evidence import Evidence
from tests.simulation import keys
from tests.simulation.partners import Caller, Fetcher, Receiver, Record, Sender, make_context
from tests.simulation.world import BEGINS as EPOCH
from tests.simulation.world import Died, Reactor, World, drawn_from

#: When every simulated province begins: three days before a month of reports ends, by the rule of the 15th.
BEGINS = datetime(2026, 6, 12, 1, 0, tzinfo=UTC)
SOAP, ADMIN = 24443, 24444
#: Partners that are pushed to: the unit and the port of each; those of the sample province among them.
PUSHED = {
    "vpub": ("H55.1", 24501),
    "vpcp": ("000.00.00.G22", 24502),
    **{f"sim{number}": (f"H55.7{number}", 24502 + number) for number in range(1, 6)},
}
#: Partners that fetch: their units.
FETCHING = {"sotttt": "H55.13", "sim8": "H55.78", "sim9": "H55.79"}
#: Where partners listen that have moved.
_MOVED = 24550
#: Part of the histories in which no process is left for what nobody waits for.
_SHORT = 0.7
_ADDED = [code for code in (*PUSHED, *FETCHING) if code.startswith("sim")]


@attrs.frozen
class Bound:
    """A port that is bound in the world; its descriptor is its number."""

    port: int
    family: int = 2

    def fileno(self) -> int:
        """Return the number of the port."""
        return self.port

    def close(self) -> None:
        """The reactor has it."""


@attrs.define(eq=False)
class Node:
    """The production node, and the process that it runs in."""

    world: World
    home: Path
    reactor: Reactor | None = None
    hub: Hub | None = None
    strikes: int | None = None  #: it dies at so manieth statement of the journal from now
    strikes_at: str = ""  #: it dies at the next statement of the journal with this word in it
    deaths: int = 0
    fails_until: float = 0.0  #: until then its disk fails, by the world's clock
    fails_by: int = sqlite3.SQLITE_FULL  #: the code of SQLite's error
    ahead: float = 0.0  #: seconds that its wall clock is ahead
    is_short: bool = False  #: no process is left for what nobody waits for
    processes: list[Reactor] = attrs.field(factory=list)  #: all that there were

    def read_wall(self) -> float:
        """Return its wall clock."""
        return BEGINS.timestamp() + self.world.now - EPOCH + self.ahead

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return self.reactor is not None and self.reactor.lives

    def start(self) -> None:
        """Start it, as `twistd` does."""
        reactor = self.reactor = Reactor(self.world, f"hub {self.deaths}")
        self.processes.append(reactor)
        reactor.spawn = _Spawner(reactor, self.is_short)
        with reactor.computing():
            self._build(reactor)

    def _build(self, reactor: Reactor) -> None:
        found = check.check_config(self.home / "hub.toml", datetime.fromtimestamp(self.read_wall(), UTC), starting=True)
        assert not found.mistakes, found.mistakes
        assert found.province is not None
        surroundings = Surroundings(
            make_pool=reactor.make_pool,
            steady=self.world.seconds,
            used=lambda: 0.0,
        )
        ports: Any = {"soap": Bound(SOAP), "admin": Bound(ADMIN)}
        self.hub = Hub(found.province, reactor, self.read_wall, ports, found.heard, surroundings=surroundings)
        engine = self.hub._database.journal._engine
        event.listen(engine, "before_cursor_execute", self._strike)
        event.listen(engine, "commit", self._strike)
        self.hub.startService()

    def _strike(self, _connection: object, _cursor: object = None, statement: str = "COMMIT", *_said: object) -> None:
        """Count a statement of the journal; the process may die before it, and does nothing once it is dead.

        While the disk fails, so does the statement.
        """
        assert self.reactor is not None
        if self.strikes is not None:
            self.strikes -= 1
            self.reactor.lives &= self.strikes > 0
        if self.strikes_at and self.strikes_at in statement:
            self.reactor.lives = False
        if not self.reactor.lives:
            raise Died
        if self.world.now < self.fails_until:
            self._fail(statement)

    def _fail(self, statement: str) -> None:
        """Fail as SQLite does where the disk is full, or does not read."""
        if self.fails_by == sqlite3.SQLITE_FULL and statement.startswith("SELECT"):
            return
        error = sqlite3.OperationalError if self.fails_by == sqlite3.SQLITE_FULL else sqlite3.DatabaseError
        told = error("the disk of this world fails")
        told.sqlite_errorcode = self.fails_by
        kind = sa.exc.OperationalError if self.fails_by == sqlite3.SQLITE_FULL else sa.exc.DatabaseError
        raise kind(statement, None, told)

    def kill(self) -> None:
        """End its process where it stands, and let go what the kernel would."""
        assert self.reactor is not None
        self.reactor.die()
        self.clear()

    def clear(self) -> None:
        """Let go what a dead process held: locks and open files."""
        hub, self.hub, self.strikes, self.strikes_at = self.hub, None, None, ""
        self.deaths += 1
        if hub is None:
            return
        for part in hub:
            if isinstance(part, DirectoryLockService):
                part._locks.close()
        database = hub._database.journal
        database._engine.dispose()
        if database._file is not None:
            database._file.close()

    def begin_stop(self) -> None:
        """Ask it to stop in order; its process ends when it has."""
        reactor, hub = self.reactor, self.hub
        assert reactor is not None
        assert hub is not None

        def end(result: object) -> None:
            if isinstance(result, Failure):
                reactor.failures.append(result)
            reactor.lives = False

        reactor.callLater(0, lambda: maybeDeferred(hub.stopService).addBoth(end))

    def stop(self, patience: float = 600.0) -> None:
        """Stop it in order, and wait for that."""
        self.begin_stop()
        assert self.world.pass_time(patience, lambda: not self.runs), "the hub does not stop"
        self.clear()


@attrs.define(eq=False)
class _Spawner:
    """Starts the processes that a node starts. Its reports are read by the code of the real process, in drawn time."""

    reactor: Reactor
    is_short: (
        bool  #: none is left for what nobody waits for: counting the sheets of a glance takes most of a day's time
    )
    _pids: Iterator[int] = attrs.field(factory=lambda: count(100))

    def __call__(self, protocol: Any, _executable: str, arguments: list[str], **_how: object) -> Any:
        said = " ".join(map(str, arguments))
        if "report_worker" not in said or (self.is_short and f"nice({BACKGROUND_NICE})" in said):
            raise OSError(errno.EAGAIN, "no further process")
        made = _ReportProcess(self.reactor, protocol, next(self._pids))
        protocol.makeConnection(made)
        return made


@attrs.define(eq=False)
class _ReportProcess:
    """The process of a report, as its transport shows it."""

    reactor: Reactor
    protocol: Any
    pid: int
    _settings: bytes = b""
    _questions: bytes = b""
    _ended: bool = False

    def write(self, data: bytes) -> None:
        """Take the settings, and then a question at a time."""
        if not self._settings:
            self._settings = data
        else:
            self.reactor.callLater(self.reactor.world.draw((0.01, 2.0)), self._answer, data)

    def _answer(self, question: bytes) -> None:
        if self._ended:
            return
        answers = io.BytesIO()
        report_worker.serve_questions(io.BytesIO(self._settings + question), answers)
        self.protocol.childDataReceived(ANSWERS, answers.getvalue())

    def closeStdin(self) -> None:
        """Let it end."""
        self._end()

    def signalProcess(self, name: str) -> None:
        """Kill it."""
        del name
        self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self.reactor.callLater(0.01, self.protocol.processEnded, Failure(RuntimeError("ended")))


@attrs.define(eq=False)
class Province:
    """The world, the node and its ten partners."""

    world: World
    home: Path
    node: Node
    receivers: dict[str, Receiver]
    records: dict[str, Record]
    senders: list[Sender]
    fetchers: list[Fetcher]
    people: Reactor
    chance: random.Random
    paused: set[str] = attrs.field(factory=set)  #: partners whose sending is paused

    @classmethod
    def found(cls, world: World, home: Path, pause: tuple[float, float] = (2.0, 60.0)) -> "Province":
        """Make a province in *home*, as `lienthong init` does, with five partners more."""
        made = count()
        with mock.patch.object(sample_pki, "make_rsa_key", side_effect=lambda: keys.make_key(f"province {next(made)}")):
            ports = ProvincePorts(SOAP, ADMIN, PUSHED["vpub"][1], PUSHED["vpcp"][1])
            init_province.write_province(home, ports, BEGINS)
            for code in _ADDED:
                sample_pki.add_sample_partner(home / "pki", code, BEGINS)
        _write_partners(home)
        people = Reactor(world, "partners")
        node = Node(world, home, is_short=world.chance.random() < _SHORT)
        records = {code: Record(world.seconds) for code in (*PUSHED, *FETCHING)}
        chance = random.Random(f"province {world.seed}")
        receivers = {
            code: Receiver(people, records[code], port, make_context(home / "pki", code), chance)
            for code, (_, port) in PUSHED.items()
        }

        def wall() -> datetime:
            return datetime.fromtimestamp(BEGINS.timestamp() + world.now - EPOCH, UTC)

        def make_caller(code: str) -> Caller:
            return Caller.load(people, home / "pki", code, SOAP, wall)

        everyone = [unit for unit, _ in PUSHED.values()] + list(FETCHING.values())
        senders = []
        for number, (code, unit) in enumerate(
            [("sotttt", "H55.13"), ("vpub", "H55.1"), ("sim1", "H55.71"), ("sim8", "H55.78")]
        ):
            who = {"partner": code, "unit": unit, "recipients": [each for each in everyone if each != unit]}
            senders.append(Sender(make_caller(code), Record(world.seconds), who, number, world.seed, pause))
        fetchers = [Fetcher(make_caller(code), records[code], unit, 20.0) for code, unit in FETCHING.items()]
        return cls(world, home, node, receivers, records, senders, fetchers, people, chance)

    def begin(self) -> None:
        """Start everybody."""
        self.node.start()
        with self.people.computing():
            for receiver in self.receivers.values():
                receiver.open()
            everybody: tuple[Sender | Fetcher, ...] = (*self.senders, *self.fetchers)
            for each in everybody:
                _ = Deferred.fromCoroutine(each.run()).addErrback(self.people.failures.append)

    def pause(self, code: str) -> None:
        """Pause a partner, as an engineer does by `lienthong partners pause`: in a process beside the node."""
        self._order(partial(partner_state.pause_partner, partner=code, reason="simulated", by="tester"))
        self.paused.add(code)

    def resume(self, code: str) -> None:
        """End the pause of a partner."""
        self._order(partial(partner_state.resume_partner, partner=code, reason="simulated", by="tester"))
        self.paused.discard(code)

    def _order(self, step: Callable[..., object]) -> None:
        engine = transactions.open_journal(self.url, pooled=False)
        with transactions.write_transaction(engine) as tx:
            step(tx, now=datetime.fromtimestamp(self.node.read_wall(), UTC))
        engine.dispose()

    def move_partner(self, code: str) -> None:
        """Let a partner listen at its other port, and write that into its file."""
        receiver = self.receivers[code]
        before = receiver.port
        after = before + 50 if before < _MOVED else before - 50
        with self.people.computing():
            receiver.move(after)
        file = self.home / f"partners/{code}.toml"
        file.write_text(file.read_text().replace(f":{before}/", f":{after}/"))

    # --- what is known

    def read_sent(self, sender: Sender) -> list[evidence.Sent]:
        """Return what a partner sent."""
        return evidence.sent(sender.record.lines)

    @property
    def url(self) -> str:
        """The journal's database, as plain SQL takes it."""
        return f"sqlite:///{self.home / 'data/hub.db'}"

    def count_open(self) -> dict[str, int]:
        """Return what is still to come to its end."""
        with closing(sqlite3.connect(f"file:{self.home / 'data/hub.db'}?mode=ro", uri=True)) as read:
            asked = {
                "deliveries": "SELECT count(*) FROM delivery WHERE state NOT IN ('delivered', 'dead')",
                "duties": "SELECT count(*) FROM duty",
                "unnumbered": "SELECT count(*) FROM event WHERE number IS NULL",
            }
            found = {name: read.execute(sql).fetchone()[0] for name, sql in asked.items()}
        return {name: number for name, number in found.items() if number}

    def gather(
        self, counted: dict[str, int], facts: tuple[tuple[str, str, str], ...], unverified: tuple[str, ...]
    ) -> Evidence:
        """Return what both sides saw."""
        return Evidence(
            sent=tuple(each for sender in self.senders for each in evidence.sent(sender.record.lines)),
            arrivals=tuple(
                each for code, record in self.records.items() for each in evidence.list_arrivals(code, record.lines)
            ),
            confirmed=frozenset(
                line["document_id"]
                for record in self.records.values()
                for line in record.lines
                if line["what"] == "confirming"
            ),
            journal=journal.read(self.url),
            counted=counted,
            facts=facts,
            unverified=unverified,
        )


def _write_partners(home: Path) -> None:
    """Write the settings of all partners, and enter the units of those that the sample lacks."""
    patient = '\n[policy]\nfirst-retry = "5s"\nmax-retry = "5m"\ntimeout = "20s"\n'
    for code, (unit, port) in PUSHED.items():
        file = home / f"partners/{code}.toml"
        if code in _ADDED:
            file.write_text(
                f'name = "{code}"\ncertificates = ["pki/partners/{code}.crt"]\nunits = ["{unit}"]\ncalls = ["documents"]\n'
                f'receive = "push"\nurl = "https://127.0.0.1:{port}/soap/documents"\n{patient}'
            )
        else:
            file.write_text(file.read_text() + patient)
    for code, unit in FETCHING.items():
        if code in _ADDED:
            (home / f"partners/{code}.toml").write_text(
                f'name = "{code}"\ncertificates = ["pki/partners/{code}.crt"]\nunits = ["{unit}"]\ncalls = ["documents"]\n'
                'receive = "fetch"\n'
            )
    added = [unit for code, (unit, _) in PUSHED.items() if code in _ADDED] + [
        FETCHING[code] for code in FETCHING if code in _ADDED
    ]
    units = [
        *init_province.make_sample_units(),
        *(
            Unit(
                each, f"Đơn vị {each}", "H55", aliases=(), mark=UnitMark.SYNTHETIC, level="province", kind="department"
            )
            for each in added
        ),
    ]
    engine = transactions.open_journal(f"sqlite:///{home / 'data/hub.db'}", pooled=False)
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, units)
    engine.dispose()


@contextmanager
def simulated(seed: str) -> Iterator[World]:
    """Let nothing of the real machine reach the world: chance, clocks, its name, the sizes of processes, the log."""
    steady = SimpleNamespace(monotonic=lambda: 0.0)
    world = World(seed)
    before = structlog.get_config()

    def keep(_logger: object, level: str, said: MutableMapping[str, Any]) -> NoReturn:
        if level not in {"debug", "info"}:
            world.note(" ".join(f"{name}={value}" for name, value in said.items()))
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    try:
        with (
            drawn_from(seed),
            mock.patch.object(check, "_port_error", return_value=None),
            mock.patch("socket.gethostname", return_value="simulated"),
            mock.patch("hub.workload.closing.time", steady),
            mock.patch.object(report_worker, "_LARGEST", 1 << 40),
            mock.patch("twisted.protocols.tls._get_default_clock", side_effect=lambda: world.current),
        ):
            yield world
    finally:
        structlog.configure(**before)
