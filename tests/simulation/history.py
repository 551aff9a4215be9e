"""Lives a history of a simulated province: what goes wrong is drawn from the seed, and in the end the judges are asked.

Knows what may befall a province, and what must hold of it afterwards; the judges are those of the tests with real processes
(tests/faults/checker.py), and some that only a simulated world can ask.
"""

import hashlib
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from zope.interface import implementer

from tests.faults import checker
from tests.faults.town import unverified
from tests.simulation import facts
from tests.simulation.planted import planted
from tests.simulation.province import Province, simulated
from tests.simulation.world import BEGINS, LATENCY, Reactor, World

DAY = 86400.0
#: A day has so many spells of work, each of so many seconds; between them the whole machine is suspended.
SPELLS, SPELL = 4, 100.0
#: Seconds within which all must come to its end when nothing is broken any more.
LIVENESS = 3600.0
#: What a node may hold at most when nothing happens: calls to come, and lines.
MOST_CALLS, MOST_LINES = 60, 20
#: Words of statements at which a node dies.
_TABLES = ("duty_slice", "duty_slice", "delivery", "attempt", "fact", "event", "COMMIT")
_MODES = ("ok", "ok", "slow", "late", "garbage", "reset", "refuse", "down")


@attrs.frozen
class Verdict:
    """What became of one history."""

    seed: str
    days: float
    violations: tuple[str, ...]
    digest: str  #: SHA-256 of the journal's file
    counts: dict[str, int]
    log: tuple[str, ...]  #: what befell the province, in order


@attrs.define(eq=False)
class Fate:
    """What goes wrong in a province."""

    province: Province
    chance: random.Random
    clock: Reactor
    quiet: bool = False
    counts: Counter[str] = attrs.field(factory=Counter)

    def begin(self) -> None:
        """Let things go wrong from now on."""
        self.clock.callLater(self.chance.expovariate(1 / 25), self._befall)

    def _befall(self) -> None:
        if self.quiet:
            return
        what = self.chance.choice(FATES)
        self.counts[what.__name__.removeprefix("_")] += 1
        self.province.world.note(what.__name__.removeprefix("_"))
        what(self)
        self.begin()

    def _turn(self) -> None:
        code = self.chance.choice(sorted(self.province.receivers))
        mode = self.chance.choice(_MODES)
        self.province.world.note(f"  {code} {mode}")
        with self.province.people.computing():
            self.province.receivers[code].turn(mode, self.chance.uniform(0.5, 8))

    def _lose_line(self) -> None:
        lines = self.province.world.lines
        if lines:
            self.chance.choice(lines).lose(None)

    def _silence_line(self) -> None:
        lines = self.province.world.lines
        if lines:
            self.chance.choice(lines).silent = True

    def _slow_down(self) -> None:
        world = self.province.world
        world.latency = self.chance.choice(((0.0002, 0.02), (0.0002, 0.02), (0.05, 3.0), (0.001, 15.0)))

    def _kill(self) -> None:
        """Kill the node: now, at a statement of its journal, at one of a table, or between a commit and who waits for it."""
        node = self.province.node
        if not node.runs:
            return
        assert node.reactor is not None
        match self.chance.randrange(4):
            case 0:
                node.kill()
            case 1:
                node.strikes = self.chance.randint(1, 60)
            case 2:
                node.strikes_at = self.chance.choice(_TABLES)
            case _:
                node.reactor.ends_after = self.chance.randint(1, 30)

    def _stop(self) -> None:
        if self.province.node.runs:
            self.province.node.begin_stop()

    def _reload(self) -> None:
        node = self.province.node
        if node.runs and node.hub is not None:
            assert node.reactor is not None
            node.reactor.callLater(0, node.hub.reload_configuration)

    def _move_partner(self) -> None:
        """A partner moves to another port; the hub is told so by its file and a reload."""
        code = self.chance.choice(sorted(self.province.receivers))
        self.province.move_partner(code)
        self.province.world.note(f"  {code} moves")
        self._reload()

    def _pause(self) -> None:
        """Pause a partner, or go on with one that is paused."""
        code = self.chance.choice(sorted(self.province.receivers))
        (self.province.resume if code in self.province.paused else self.province.pause)(code)

    def _fail_disk(self) -> None:
        """The journal's disk is full for a while, or does not read."""
        node = self.province.node
        node.fails_by = self.chance.choice((sqlite3.SQLITE_FULL, sqlite3.SQLITE_CORRUPT))
        node.fails_until = self.province.world.now + self.chance.uniform(0.5, 20)

    def _set_clock(self) -> None:
        """Set the hub's wall clock: at most a minute from everybody else's."""
        self.province.node.ahead = self.chance.uniform(-50, 50)

    def look_after(self) -> None:
        """Start a node again that has died: as systemd does, after a while."""
        node = self.province.node
        if not node.runs:
            if node.hub is not None:
                node.clear()
            self.province.world.note("start")
            node.start()
        self.clock.callLater(self.chance.uniform(1, 20), self.look_after)


FATES: tuple[Callable[[Fate], None], ...] = (
    *(Fate._turn,) * 5,
    *(Fate._lose_line,) * 2,
    *(Fate._silence_line,) * 2,
    Fate._slow_down,
    *(Fate._kill,) * 3,
    Fate._stop,
    Fate._reload,
    Fate._move_partner,
    *(Fate._pause,) * 2,
    Fate._fail_disk,
    Fate._set_clock,
)


def live(
    seed: str, home: Path, days: float, tell: Callable[[float], None] = lambda _: None, plant: str | None = None
) -> Verdict:
    """Live so many days in the folder *home*, which is made anew, and judge them. *tell* hears of each spell, in days.

    *plant*: the name of a fault that the hub has.
    """
    shutil.rmtree(home, ignore_errors=True)
    unhandled: list[str] = []

    @implementer(ILogObserver)
    def observe(said: dict[str, Any]) -> None:
        if said.get("log_level") is LogLevel.critical:
            failure = said.get("log_failure")
            unhandled.append(failure.getTraceback() if failure is not None else str(said.get("log_format")))

    globalLogPublisher.addObserver(observe)
    try:
        with simulated(seed) as world, planted(plant) if plant else nullcontext():
            province = Province.found(world, home)
            fate = Fate(province, random.Random(f"fate {seed}"), Reactor(world, "fate"))
            province.begin()
            fate.begin()
            fate.look_after()
            _pass_days(world, days, tell)
            _mend(world, province, fate)
            violations = _end(world, province, fate)
            lived = (world.now - BEGINS) / DAY
            counts = dict(fate.counts) | {"deaths": province.node.deaths, "steps": world.steps}
    finally:
        globalLogPublisher.removeObserver(observe)
    violations += [f"unhandled: {each}" for each in unhandled]
    violations += _judge(province, counts)
    digest = hashlib.sha256((home / "data/hub.db").read_bytes()).hexdigest()
    return Verdict(seed, lived, tuple(violations), digest, counts, tuple(world.told))


def _pass_days(world: World, days: float, tell: Callable[[float], None]) -> None:
    for spell in range(max(1, round(days * SPELLS))):
        if spell:
            world.jump(DAY / SPELLS - SPELL)
        world.pass_time(SPELL)
        tell((world.now - BEGINS) / DAY)


def _mend(world: World, province: Province, fate: Fate) -> None:
    """Let nothing be broken from now on, and let the partners finish what they have begun."""
    fate.quiet = True
    world.note("mended")
    world.latency = LATENCY
    node = province.node
    node.ahead, node.strikes, node.strikes_at, node.fails_until = 0.0, None, "", 0.0
    for code in sorted(province.paused):
        province.resume(code)
    if node.reactor is not None:
        node.reactor.ends_after = None
    with province.people.computing():
        for receiver in province.receivers.values():
            receiver.turn("ok", 1.0)
    for line in [each for each in world.lines if each.silent]:
        line.lose(None)
    for sender in province.senders:
        sender.over = True


def _end(world: World, province: Province, fate: Fate) -> list[str]:
    """Wait until all that was begun is at its end, look at what the node then holds, and stop it in order."""
    begun = world.now
    found: list[str] = []
    while not _has_ended(province):
        world.pass_time(5.0)
        if world.now - begun > LIVENESS:
            waits = [f"sender {each.number}" for each in province.senders if not each.ended]
            waits += [f"fetcher {each.unit}" for each in province.fetchers if not each.ended]
            found.append(f"liveness: after {LIVENESS:.0f} s there is still {province.count_open()} {waits}")
            break
    world.pass_time(60.0)
    node = province.node
    if node.reactor is not None and node.runs:
        calls = fate.counts["calls at rest"] = len(node.reactor.getDelayedCalls())
        lines = fate.counts["lines at rest"] = len(world.lines)
        if calls > MOST_CALLS or lines > MOST_LINES:
            found.append(f"growth: at rest the node has {calls} calls to come, and {lines} lines are open")
        node.stop()
    for process in (*node.processes, province.people, fate.clock):
        found += [f"{process.name}: {failure.getTraceback()}" for failure in process.failures]
    return found


def _has_ended(province: Province) -> bool:
    if not all(each.ended for each in province.senders):
        return False
    for fetcher in province.fetchers:
        fetcher.over = True
    return all(each.ended for each in province.fetchers) and not province.count_open()


def _judge(province: Province, counts: dict[str, int]) -> list[str]:
    """Ask the checker of the tests with real processes."""
    told, counted = facts.read_reported(province.home)
    sent = [each for sender in province.senders for each in province.read_sent(sender)]
    bad = unverified(sent[:400], province.home / "pki/hub.crt", province.home)
    found = province.gather(counted, told, bad)
    counts |= {"sent": len(found.sent), "receipts": sum(bool(each.receipts) for each in found.sent)}
    counts |= {"arrivals": len(found.arrivals), "facts": len(found.journal.facts)}
    return [f"{each.invariant}: {each.what}" for each in checker.check(found)]
