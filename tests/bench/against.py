"""Whether honest intake costs more than at another commit: `./dev bench against COMMIT [--rounds 5] [--messages N] [--json]`;
with `--commands`, whether the commands of the command line do.

Two hubs run side by side on journals of their own, that commit and this tree, in the same environment; rounds of the same pre-signed
calls go to one and then to the other, every second time the other way round.  What counts are the medians beside the spread of the rounds,
and the median of what the two of a round differ by, on which other work of the machine tells least.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hatch_build import compile_catalogues
from tests.bench.load import over_soap, signed_calls
from tests.conftest import ROOT
from tests.running import RunningHub
from tests.warm import BIN

KEYS = ("per_second", "hub_cpu_us", "p99_ms")
#: Commands that people and completion wait for: of the program, of a group, of one command, and of a journal with little in it.
COMMANDS = (
    "--help",
    "partners --help",
    "partners add --help",
    "messages --count",
    "partners list",
    "status",
    "units list",
)


def export_commit(commit: str, place: Path) -> Path:
    """Write the tree of *commit* into *place*.  Raises CalledProcessError for a commit that the repository does not have."""
    made = place / "then"
    made.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", made], input=archive, check=True)
    compile_catalogues(made)
    return made


def measure(commit: str, rounds: int, messages: int, connections: int) -> dict[str, dict[str, list[float]]]:
    """Return of each of `KEYS` what each round gave, of the hub `then` and `now`."""
    found: dict[str, dict[str, list[float]]] = {key: {"then": [], "now": []} for key in KEYS}
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        trees = {"then": export_commit(commit, place), "now": ROOT}
        hubs = {}
        try:
            for name, tree in trees.items():
                hubs[name] = RunningHub(place / f"hub-{name}", env={"PYTHONPATH": os.fspath(tree)})
                # as an operator does: one forked from the tests has imported all, and shares its memory
                hubs[name].start(sys.executable, BIN / "twistd")
                over_soap(hubs[name], [signed_calls(hubs[name], "warm", 50, 1700)])
            for number in range(rounds):
                for name, hub in list(hubs.items())[:: -1 if number % 2 else 1]:
                    batches = [
                        signed_calls(hub, f"r{number}c{each}", messages // connections, 1700)
                        for each in range(connections)
                    ]
                    said = over_soap(hub, batches)
                    for key in KEYS:
                        found[key][name].append(said[key])
        finally:
            for hub in hubs.values():
                hub.close()
    return found


def measure_commands(commit: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return of each of `COMMANDS` its milliseconds of user CPU, `then` and `now`, in pairs."""
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        trees = {"then": export_commit(commit, place), "now": ROOT}

        def run(name: str, *words: str) -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            subprocess.run(
                [sys.executable, "-m", "hub.cli", "-c", "hub/hub.toml", *words],
                cwd=place,
                env={**os.environ, "PYTHONPATH": os.fspath(trees[name])},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            return 1000 * (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)

        run("then", "init", "hub", "--soap-port", "0", "--admin-port", "0")
        for words in COMMANDS:
            found[words] = {"then": [], "now": []}
            for number in range(-1, rounds):  # the first pair compiles
                for name in ("then", "now") if number % 2 else ("now", "then"):
                    took = run(name, *words.split())
                    if number >= 0:
                        found[words][name].append(took)
    return found


def show(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./dev bench against", description=__doc__)
    parser.add_argument("commit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=1000, help="a round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--commands", action="store_true", help="the commands of the command line instead")
    options = parser.parse_args(arguments)
    found = (
        measure_commands(options.commit, options.rounds)
        if options.commands
        else measure(options.commit, options.rounds, options.messages, options.connections)
    )
    if options.json:
        print(json.dumps(found))
        return
    for key, sides in found.items():
        for name, rows in sides.items():
            values = sorted(rows)
            print(
                f"{key:<20} {name:<5} median {statistics.median(values):9.1f}   {values[0]:9.1f} to {values[-1]:9.1f}"
            )
        then, now = (statistics.median(sides[name]) for name in ("then", "now"))
        paired = statistics.median(b / a for a, b in zip(sides["then"], sides["now"], strict=True))
        print(f"{key:<20} now / then {now / then:.3f}   by rounds {paired:.3f}")
