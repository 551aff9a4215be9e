"""What a little hostile traffic costs the honest: `./dev bench attacks --paired [KIND …] [--on sqlite postgresql workers] [--rounds 5] [--seconds 3]`.

Three honest partners send fifteen signed calls of 8 kB a second each.  In every second round two hostile partners send calls of one kind
(tests/overload/operations.py), each over one connection at 200 kB a second (some kinds at 44 too), from a process of lower priority.  Each
attack is paired with the quiet round before it.  A kind holds if in the median of its pairs the honest p99 is at most 1.5 times the quiet
one, or at most 15 ms above it, and if no honest call was refused.  Exit 1 where one does not.  All kinds on all three take fifty minutes.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from hub.domain.writer_budget import TURN
from lienthong_demo.run import postgres
from tests.conftest import ROOT
from tests.overload import payloads, stage
from tests.overload.attacks import identity
from tests.overload.operations import CHILDREN, KINDS, KNOWN, Caller, declare, name_document, tell_dossiers
from tests.overload.stage import HONEST, HOSTILE, Stage
from tests.overload.wire import Line

#: An attacked p99 is at most so many times the quiet one, or at most so many seconds above it.
RATIO, ABOVE = 1.5, TURN
#: Calls a second of each honest partner.
RATE = 15.0
PLACES = ("sqlite", "postgresql", "workers")


@attrs.frozen
class Pair:
    """A quiet round and the attack after it."""

    quiet: float  #: the honest p99 in seconds
    attacked: float
    middle: float  #: the honest median of the attack
    refused: Sequence[str]  #: what honest calls were answered that got no receipt

    @property
    def ratio(self) -> float:
        """How many times as long."""
        return self.attacked / self.quiet

    @property
    def above(self) -> float:
        """How many seconds longer."""
        return self.attacked - self.quiet


@attrs.frozen
class Row:
    """What came of one kind on one database."""

    place: str
    kind: str
    pairs: Sequence[Pair]
    answered: Mapping[str, int]  #: calls of the attackers, by what they were answered

    @property
    def faults(self) -> list[str]:
        """Why it does not hold; empty if it does."""
        ratio, above = (statistics.median(values) for values in self._columns())
        found = [
            f"{len(each.refused)} honest calls refused: {each.refused[0][:200]}" for each in self.pairs if each.refused
        ]
        if ratio > RATIO and above > ABOVE:
            found.append(f"p99 is {ratio:.2f} times the quiet one and {above * 1e3:.0f} ms above it")
        if not self.answered.get("sent"):
            found.append("nothing was sent")
        return found

    def _columns(self) -> tuple[list[float], list[float]]:
        return [each.ratio for each in self.pairs], [each.above for each in self.pairs]

    def describe(self) -> str:
        """Return the line of the table."""
        ratios, above = map(sorted, self._columns())
        columns = zip(*((each.quiet, each.attacked, each.middle) for each in self.pairs), strict=True)
        quiet, attacked, middle = (statistics.median(values) * 1e3 for values in columns)
        calls = " ".join(f"{name}:{count}" for name, count in sorted(self.answered.items()))
        return (
            f"{self.place:<10} {self.kind:<22} {quiet:6.0f} {attacked:9.0f} ms ({middle:.0f})"
            f" {statistics.median(ratios):6.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            f" {statistics.median(above) * 1e3:+6.0f} ms ({above[0] * 1e3:+.0f} to {above[-1] * 1e3:+.0f})"
            f"  {'MISSED' if self.faults else 'holds'}  {calls}"
        )


@attrs.define(eq=False)
class Crew:
    """The honest and the hostile, as two processes that live as long as the hub."""

    here: Stage
    honest: subprocess.Popen[str]
    hostile: subprocess.Popen[str]
    callers: Mapping[str, Caller]  #: by hostile partner

    def run(self, seconds: float, kind: str) -> tuple[list[float], list[str], dict[str, int]]:
        """Let them call for so many seconds; no *kind*: nobody attacks. Return the honest latencies, sorted, what was refused, what was answered."""
        orders = self.here.make_orders(seconds) | {"rate": RATE, "kind": kind}
        partners = [each | {"caller": attrs.asdict(self.callers[each["code"]])} for each in self.here.partners(HOSTILE)]
        told = ((self.hostile, partners), (self.honest, self.here.partners(HONEST)))
        for process, each in told:
            _say(process, json.dumps(orders | {"partners": each}))
        for process, _ in told:
            assert _hear(process) == "ready", process.args
        for process, _ in told:
            _say(process, "go")
        found = json.loads(_hear(self.honest))
        answered = json.loads(_hear(self.hostile))
        return sorted(found["seconds"]), found["failed"], answered


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, f"{process.args!r} ended"
    return line


@contextlib.contextmanager
def gathered(here: Stage) -> Iterator[Crew]:
    """Yield the two processes, ready."""
    with contextlib.ExitStack() as around:

        def start(module: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", f"tests.overload.{module}"]
            made = around.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            )
            around.callback(made.kill)
            return made

        yield Crew(here, start("honest"), start("streams"), _prepare(here))


def _prepare(here: Stage) -> dict[str, Caller]:
    """Let each hostile partner send the other one a document, and bring a dossier and a declaration of which it may ask."""
    partners, found = here.partners(HOSTILE), {}
    for sender, receiver in zip(partners, reversed(partners), strict=True):
        number = f"cho-{sender['code']}"
        packet = payloads.document(sender["unit"], receiver["unit"], number, ("a.txt", b"x" * 150_000))
        answer = _bring(here, sender, "documents", payloads.send_document(packet))
        found[receiver["code"]] = caller = Caller(
            unit=receiver["unit"],
            recipient=stage.RECIPIENT,
            period=stage.PERIOD,
            waiting=answer.partition(b"<DocumentId>")[2].partition(b"</DocumentId>")[0].decode(),
            sender=sender["unit"],
            about=name_document(sender["unit"], number),
        )
        for service, make in (("dossiers", tell_dossiers("sync", 0)), ("reports", declare)):
            _bring(here, receiver, service, make(caller, KNOWN))
    return found


def _bring(here: Stage, partner: Mapping[str, str], service: str, content: str) -> bytes:
    with contextlib.closing(Line(partner, here.hub.soap.replace("/documents", f"/{service}"))) as line:
        status, answer = line.call(payloads.signed(content, identity(partner)))
    assert status == 200, answer
    assert b"IsSuccess>true" in answer, answer
    return answer


@contextlib.contextmanager
def opened(place: str, home: Path, facts: int) -> Iterator[Crew]:
    """Yield the crew of a hub on SQLite, on PostgreSQL, or on SQLite with two workers."""
    with contextlib.ExitStack() as around:
        server = around.enter_context(postgres.Server.open()) if place == "postgresql" else None
        database = server.make("attacked") if server else None
        workers = 2 if place == "workers" else 1
        here = around.enter_context(
            stage.opened(home, facts=facts, mails=False, database=database, workers=workers, children=CHILDREN)
        )
        yield around.enter_context(gathered(here))


def measure(place: str, home: Path, names: Sequence[str], rounds: int, seconds: float, facts: int) -> Iterator[Row]:
    """Yield a row for each kind. The rounds are interleaved: a sweep over all kinds, then the next one."""
    pairs: dict[str, list[Pair]] = {name: [] for name in names}
    answered: dict[str, dict[str, int]] = {name: {} for name in names}
    with opened(place, home, facts) as crew:
        crew.run(min(5.0, 2 * seconds), "")  # warm
        for sweep in range(rounds):
            for name in names:
                quiet, refused, _ = crew.run(seconds, "")
                attacked, more, calls = crew.run(seconds, name)
                tails = (stage.quantile(quiet, 0.99), stage.quantile(attacked, 0.99), stage.quantile(attacked, 0.5))
                pairs[name].append(Pair(*tails, [*refused, *more]))
                answered[name] = {
                    key: answered[name].get(key, 0) + calls.get(key, 0) for key in {*answered[name], *calls}
                }
                stage.settled(crew.here)
                if sweep == rounds - 1:
                    yield Row(place, name, pairs[name], answered[name])


def show(arguments: Sequence[str]) -> None:
    """Measure and print; exit 1 where a kind does not hold."""
    parser = argparse.ArgumentParser(prog="./dev bench attacks --paired", description=__doc__)
    parser.add_argument("--paired", action="store_true", help="this measurement")
    parser.add_argument("names", nargs="*", choices=[[], *KINDS], metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--on", nargs="+", choices=PLACES, default=PLACES, help="where; all three if it is not said")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of each kind")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round")
    parser.add_argument("--facts", type=int, default=30_000, help="of each hostile unit")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    names = options.names or list(KINDS)
    takes = len(options.on) * (30 + len(names) * options.rounds * 2 * (options.seconds + 0.7))
    print(
        f"{len(names)} kinds, {options.rounds} pairs each: about {takes / 60:.0f} minutes", file=sys.stderr, flush=True
    )
    if not options.json:
        print(
            "where      kind                    quiet   p99 attacked   (p50)  times (from, to)       above (from, to)"
        )
    rows: list[Row] = []
    for place in options.on:
        with tempfile.TemporaryDirectory() as folder:
            for row in measure(place, Path(folder) / "hub", names, options.rounds, options.seconds, options.facts):
                rows.append(row)
                print(json.dumps(_tell(row)) if options.json else row.describe(), flush=True)
                for fault in [] if options.json else row.faults:
                    print(f"           ! {fault}", flush=True)
    missed = [f"{row.kind} on {row.place}" for row in rows if row.faults]
    verdict = f"missed by {len(missed)} of {len(rows)}: {', '.join(missed)}" if missed else f"all {len(rows)} hold"
    print(
        f"honest p99 at most {RATIO} times the quiet one or {ABOVE * 1e3:.0f} ms above it, none refused: {verdict}",
        file=sys.stderr,
    )
    sys.exit(bool(missed))


def _tell(row: Row) -> dict[str, Any]:
    return attrs.asdict(row) | {"faults": row.faults}
