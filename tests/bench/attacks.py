"""What honest partners get while hostile ones attack: `./dev bench attacks [NAME ...] [--seconds 60] [--json]`.

Three honest partners send two signed calls of 8 kB a second each, all the time.  Quiet rounds and attacks alternate, each so many
seconds long; the p99 of an attack is told as a ratio to that of the quiet rounds before and after it.  Exit 1 where an honest call got
no receipt, a delivery did not arrive, or a bound that SECURITY.md states does not hold.  `--paired` measures what a little hostile
traffic of every kind costs the honest (tests/bench/paired.py).
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import paired
from tests.overload import stage
from tests.overload.attacks import ATTACKS
from tests.overload.stage import Round

#: The p99 of an attack, and of the reports, at most so many times that of the quiet rounds around it.
RATIO, REPORTS = 3.0, 1.5
#: Seconds that /healthz may take.
HEALTHZ = 1.0


def faults(name: str, found: Round, ratio: float) -> list[str]:
    """Return which bounds the round *found* broke."""
    said = []
    if found.failed:
        said.append(f"{len(found.failed)} of {found.sent} honest calls got no receipt: {found.failed[0][:300]}")
    most = REPORTS if name == "reports" else RATIO
    if ratio > most:
        said.append(f"p99 is {ratio:.1f} times that of the quiet rounds; at most {most:g}")
    if found.healthz and found.healthz[-1] > HEALTHZ:
        said.append(f"/healthz took {found.healthz[-1]:.2f} s")
    if not found.delivered:
        said.append("no delivery arrived")
    if found.signed_in == 0:
        said.append("nobody honest could sign in")
    return said


def measure(home: Path, names: Sequence[str], seconds: float, facts: int) -> Iterator[dict[str, object]]:
    """Yield a row for each attack, as soon as the quiet round after it is over."""
    with stage.opened(home, facts=facts) as here:
        here.run_round(min(10.0, seconds))  # warm
        before = here.run_round(seconds)
        for name in names:
            found = here.run_round(seconds, name)
            stage.drained(here)
            after = here.run_round(seconds)
            quiet = statistics.mean(each.latency(0.99) for each in (before, after))
            ratio = found.latency(0.99) / quiet
            yield _row(name, found, quiet, ratio, before)
            before = after


def _row(name: str, found: Round, quiet: float, ratio: float, before: Round) -> dict[str, object]:
    return {
        "attack": name,
        "sent": found.sent,
        "receipts": found.sent - len(found.failed),
        "quiet_p99_ms": quiet * 1e3,
        "p50_ms": found.latency(0.5) * 1e3,
        "p99_ms": found.latency(0.99) * 1e3,
        "ratio": ratio,
        "healthz_s": found.healthz[-1] if found.healthz else None,
        "delivered": found.delivered,
        "cpu": found.cpu / found.seconds,
        "quiet_cpu": before.cpu / before.seconds,
        "memory_mb": (found.memory - before.memory) / 1e6,
        "signed_in": found.signed_in,
        "answered": found.attacks[name],
        "faults": faults(name, found, ratio),
    }


def show(arguments: Sequence[str]) -> None:
    """Measure and print; exit 1 where a bound does not hold."""
    if "--paired" in arguments:
        paired.show(arguments)
    parser = argparse.ArgumentParser(prog="./dev bench attacks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *ATTACKS], metavar="NAME", help=", ".join(ATTACKS))
    parser.add_argument("--seconds", type=float, default=60.0, help="of each round")
    parser.add_argument("--facts", type=int, default=450_000, help="of each large unit")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    broken = False
    if not options.json:
        print("attack      receipts     quiet p99    p50     p99   ratio  healthz  pushed  CPU (quiet)  memory")
    with tempfile.TemporaryDirectory() as place:
        for row in measure(Path(place) / "hub", options.names or list(ATTACKS), options.seconds, options.facts):
            broken = broken or bool(row["faults"])
            if options.json:
                print(json.dumps(row), flush=True)
                continue
            print(
                f"{row['attack']:<11} {row['receipts']:>4} of {row['sent']:<4} {row['quiet_p99_ms']:6.0f} ms "
                f"{row['p50_ms']:6.0f} {row['p99_ms']:7.0f} {row['ratio']:7.2f} {row['healthz_s']:7.2f} s "
                f"{row['delivered']:>6} {row['cpu']:6.2f} ({row['quiet_cpu']:.2f}) {row['memory_mb']:+7.0f} MB  {row['answered']}",
                flush=True,
            )
            for fault in row["faults"]:  # type: ignore[attr-defined]
                print(f"            ! {fault}", flush=True)
    sys.exit(broken)
