"""Measures servers in interleaved rounds and keeps the figures. Knows /proc and load.c; not which servers there are.

In a round every server is sent calls out of the same file, one server after another, each once. What counts is the median of
the rounds beside their spread: whatever else the machine does hits all.
"""

import statistics
import subprocess
from collections.abc import Callable, Sequence
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
    opened: int  #: accepted before the time began
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
    opening: Callable[[], None] | None = None,
    **more: Any,
) -> Sent:
    """Send the first *count* calls of *bodies*; the rest are options of load.c. Raises Misbehaved if it ends with an error.

    With *opening*, one more call a connection goes before them, and it is called when all connections are open.
    """
    ports, extra = server.ports, connections if opening else 0
    shares = [count // len(ports) + (number < count % len(ports)) for number in range(len(ports))]
    started, first = [], 0
    for port, share in zip(ports, shares, strict=True):
        kept = max(1, connections // len(ports))
        many = share + (kept if opening else 0)
        options: dict[str, object] = {
            "port": port,
            "bodies": bodies,
            "first": first,
            "count": many,
            "connections": kept,
        }
        options |= dict(server.tls) | {"opening": int(opening is not None)} | more
        words = [str(load), *(f"{key}={value}" for key, value in options.items())]
        started.append(
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        first += many
    try:
        if opening:
            for each in started:
                assert each.stdout is not None
                if each.stdout.readline() != "opened\n":
                    raise Misbehaved(f"{server.name}: {each.communicate()[1][-1000:]}")
            opening()
            for each in started:
                assert each.stdin is not None
                each.stdin.write("\n")
                each.stdin.flush()
        said = [each.communicate() for each in started]
    finally:
        for each in started:
            each.kill()
    if any(each.returncode for each in started):
        raise Misbehaved(f"{server.name}: {' '.join(errors[-1000:] for _, errors in said)}")
    found = [_read_said(output, errors) for output, errors in said]
    if opening and sum(each.opened for each in found) != extra:
        raise Misbehaved(f"{server.name}: {' '.join(each.complaint for each in found)}")
    return found[0] if len(found) == 1 else _join(found)


def _read_said(output: str, complaint: str) -> Sent:
    said = {key: float(value) for key, _, value in (word.partition("=") for word in output.split())}
    return Sent(
        seconds=said["seconds"],
        opened=int(said["opened"]),
        accepted=int(said["accepted"]),
        refused=int(said["refused"]),
        failed=int(said["failed"]),
        p50=said["p50_ms"],
        p99=said["p99_ms"],
        cpu=said["cpu"],
        complaint=complaint[-600:],
    )


def _join(found: Sequence[Sent]) -> Sent:
    """Return what several runs at once say together; of quantiles the worst."""
    return Sent(
        seconds=max(each.seconds for each in found),
        opened=sum(each.opened for each in found),
        accepted=sum(each.accepted for each in found),
        refused=sum(each.refused for each in found),
        failed=sum(each.failed for each in found),
        p50=max(each.p50 for each in found),
        p99=max(each.p99 for each in found),
        cpu=sum(each.cpu for each in found),
        complaint=" ".join(each.complaint for each in found),
    )


def measure_round(
    load: Path,
    server: Server,
    bodies: Path,
    count: int,
    connections: int,
    *,
    kept: bool = True,
    idle: float | None = None,
    **more: Any,
) -> Figures:
    """Send *count* calls that are good, over connections that are open already if they are *kept*.

    *idle*: MiB above which memory has grown; None: what the server has before the round. Memory of processes that it starts
    meanwhile, such as the hub's to close a month, has not grown.

    Raises Misbehaved unless each is accepted and in the journal.
    """
    rows, before = server.count_rows(), [0.0, 0.0]
    running = {pid for root in server.roots for pid in processes.find_tree(root)}

    def begin() -> None:
        processes.forget_peak(server.roots)
        before[:] = processes.read_tree_cpu(server.roots), processes.read_memory(running)

    begin()
    said = send(load, server, bodies, count=count, connections=connections, opening=begin if kept else None, **more)
    processes.wait_until_idle(server.roots)
    spent, peak = processes.read_tree_cpu(server.roots) - before[0], processes.read_tree_memory(server.roots, "VmHWM")
    if said.accepted != count:
        raise Misbehaved(f"{server.name}: {said.accepted} of {count} accepted; {said.complaint}")
    if (made := server.count_rows() - rows) != count + said.opened:
        raise Misbehaved(f"{server.name}: {count + said.opened} receipts, {made} rows")
    return Figures(
        sent=count,
        rate=count / said.seconds,
        cpu=spent / count * 1e6,
        p50=said.p50,
        p99=said.p99,
        memory=peak,
        grown=processes.read_memory(running, "VmHWM") - (before[1] if idle is None else idle),
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
