"""Measures servers in interleaved rounds and keeps the figures. Knows /proc and load.c; not which servers there are.

In a round every server is sent calls out of the same file, one server after another, each once. What counts is the median of
the rounds beside their spread: whatever else the machine does hits all.
"""

import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from tests.bench import calls, processes
from tests.bench.servers import Server

#: Seconds that a server is busy in a round; it gets as many calls as it takes in that time.
BUSY = 3.0


class Misbehaved(Exception):
    """A server lost, refused or accepted what it must not."""


@attrs.frozen(kw_only=True)
class Figures:
    """What one round of one server gave."""

    sent: int
    rate: float  #: messages a second
    cpu: float  #: microseconds of the server's processes a message
    p50: float  #: milliseconds
    p99: float  #: milliseconds
    memory: float  #: MiB, the most in the round
    grown: float  #: MiB, the most in the round above what it had before
    client: float  #: microseconds of the load's own CPU a message


@attrs.define
class Series:
    """All rounds of one server."""

    name: str
    rounds: list[Figures] = attrs.field(factory=list)

    def median(self, key: str) -> float:
        """Return the median of a figure."""
        return float(statistics.median(getattr(each, key) for each in self.rounds))

    def spread(self, key: str) -> tuple[float, float]:
        """Return the least and the greatest of a figure."""
        values = [getattr(each, key) for each in self.rounds]
        return min(values), max(values)


@attrs.frozen(kw_only=True)
class Sent:
    """What load.c says about one run of it."""

    seconds: float
    accepted: int
    refused: int
    failed: int
    p50: float  #: milliseconds
    p99: float  #: milliseconds
    cpu: float  #: seconds of its own CPU
    complaint: str  #: the first answer that was no acceptance


def send(
    load: Path,
    server: Server,
    bodies: Path,
    *,
    count: int,
    connections: int,
    answers: Path | None = None,
    **more: Any,
) -> Sent:
    """Send the first *count* calls of *bodies*; the rest are options of load.c. Raises Misbehaved if it ends with an error."""
    options: dict[str, object] = {"port": server.port, "bodies": bodies, "count": count, "connections": connections}
    options |= dict(server.tls) | more
    if answers is not None:
        options["answers"] = answers
    words = [str(load), *(f"{key}={value}" for key, value in options.items())]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Misbehaved(f"{server.name}: {ran.stderr[-1000:]}")
    said = {key: float(value) for key, _, value in (word.partition("=") for word in ran.stdout.split())}
    return Sent(
        seconds=said["seconds"],
        accepted=int(said["accepted"]),
        refused=int(said["refused"]),
        failed=int(said["failed"]),
        p50=said["p50_ms"],
        p99=said["p99_ms"],
        cpu=said["cpu"],
        complaint=ran.stderr[-600:],
    )


def measure_round(load: Path, server: Server, bodies: Path, count: int, connections: int, **more: Any) -> Figures:
    """Send *count* calls that are good. Raises Misbehaved unless each is accepted and kept."""
    rows = server.count_rows()
    processes.forget_peak(server.roots)
    before, memory = processes.read_tree_cpu(server.roots), processes.read_tree_memory(server.roots)
    said = send(load, server, bodies, count=count, connections=connections, **more)
    processes.wait_until_idle(server.roots)
    spent, peak = processes.read_tree_cpu(server.roots) - before, processes.read_tree_memory(server.roots, "VmHWM")
    if said.accepted != count:
        raise Misbehaved(f"{server.name}: {said.accepted} of {count} accepted; {said.complaint}")
    kept = server.count_rows() - rows
    if kept != count:
        raise Misbehaved(f"{server.name}: {count} receipts, {kept} rows")
    return Figures(
        sent=count,
        rate=count / said.seconds,
        cpu=spent / count * 1e6,
        p50=said.p50,
        p99=said.p99,
        memory=peak,
        grown=peak - memory,
        client=said.cpu / count * 1e6,
    )


def see_refusal(load: Path, server: Server, call: bytes, place: Path) -> None:
    """Send *call* with a changed body. Raises Misbehaved unless it is refused and not kept."""
    rows, path = server.count_rows(), place / "changed.bin"
    calls.write_calls(path, [calls.change_body(call)])
    said = send(load, server, path, count=1, connections=1)
    if said.refused != 1 or server.count_rows() != rows:
        raise Misbehaved(f"{server.name}: took a call whose body was changed")


def choose_count(rate: float, most: int, busy: float = BUSY, least: int = 20) -> int:
    """Return how many calls a server that takes *rate* a second gets in a round."""
    return max(min(least, most), min(most, int(rate * busy)))


def interleave(
    load: Path,
    servers: Iterable[Server],
    files: Sequence[Path],
    counts: Mapping[str, int],
    connections: int,
    **more: Any,
) -> dict[str, Series]:
    """Send a prefix of each of *files* to every one of *servers*: one round a file."""
    found = {server.name: Series(server.name) for server in servers}
    for number, file in enumerate(files):
        order = list(servers) if number % 2 == 0 else list(servers)[::-1]
        for server in order:
            figures = measure_round(load, server, file, counts[server.name], connections, **more)
            found[server.name].rounds.append(figures)
    return found
