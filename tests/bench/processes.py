"""Reads what processes cost from /proc: CPU time and memory of a process and all its descendants. Starts nothing."""

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def find_tree(pid: int) -> list[int]:
    """Return *pid* and all its living descendants."""
    parents: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(place.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def read_tree_cpu(pids: Iterable[int]) -> float:
    """Return the CPU seconds of *pids* and their descendants so far, those that have ended and were waited for included."""
    seconds = 0.0
    for pid in {each for root in pids for each in find_tree(root)}:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            seconds += sum(int(fields[number]) for number in (11, 12, 13, 14)) / TICK
    return seconds


def wait_until_idle(pids: Iterable[int], patience: float = 5.0) -> None:
    """Return once *pids* use less than a tenth of a core, or after *patience* seconds: what a message costs later counts too."""
    roots, limit = tuple(pids), time.monotonic() + patience
    before = read_tree_cpu(roots)
    while time.monotonic() < limit:
        time.sleep(0.3)
        now = read_tree_cpu(roots)
        if now - before < 0.03:
            return
        before = now


def read_memory(pids: Iterable[int], field: str = "VmRSS") -> float:
    """Return the MiB of *pids*, without their descendants: `VmRSS` now, `VmHWM` the most since `forget_peak`.

    Pages that processes share count once for each.
    """
    kibibytes = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(f"{field}:"):
                    kibibytes += int(line.split()[1])
    return kibibytes / 1024


def read_tree_memory(pids: Iterable[int], field: str = "VmRSS") -> float:
    """Return the MiB of *pids* and their descendants, like `read_memory`."""
    return read_memory({each for root in pids for each in find_tree(root)}, field)


def forget_peak(pids: Iterable[int]) -> None:
    """Let VmHWM of *pids* and their descendants begin anew."""
    for pid in {each for root in pids for each in find_tree(root)}:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")
