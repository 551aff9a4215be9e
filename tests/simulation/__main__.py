"""`./dev soak simulate`: lives histories of a simulated province, one after another, each from its seed.

    ./dev soak simulate 20            twenty histories, with the seeds that come next
    ./dev soak simulate --seed 7      the history of one seed, again and again the same
    ./dev soak simulate --planted     finds each fault of tests/simulation/planted.py

What was lived is kept in var/simulation.json, so that a night may be cut into slices. Exit codes: 0 all well, 1 a judge is unhappy.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.simulation.history import SPELLS, Verdict, live
from tests.simulation.planted import PLANTED

_KEPT = Path("var/simulation.json")
#: Lines of what befell a province that are shown with a violation.
_TOLD = 30
#: Days of a history, of one that looks for a planted fault, and of all that look for the same one.
_DAYS, _PLANTED_DAYS, _MOST_DAYS = 5.0, 1.0, 200.0


@attrs.frozen
class Job:
    """One history to live."""

    seed: str
    days: float
    plant: str | None = None


def live_in_a_folder(job: Job) -> tuple[Job, Verdict, float]:
    """Live a history in a folder of its own, in memory where there is room."""
    begun = time.monotonic()
    place = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="simulated-", dir=place))
    try:
        return job, live(job.seed, folder / "hub", job.days, plant=job.plant), time.monotonic() - begun
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def live_apart(job: Job) -> Verdict:
    """Live a history in a process of its own: what a process has learnt from one history would change the next."""
    ((_, verdict, _),) = live_all([job], 1)
    return verdict


def live_all(jobs: list[Job], processes: int) -> Iterator[tuple[Job, Verdict, float]]:
    """Live histories beside each other, each in a process of its own."""
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(live_in_a_folder, jobs)


def shorten(job: Job) -> Verdict:
    """Return the shortest of the histories of that seed which has a violation: half as long, and again, as long as that holds."""
    verdict, days = live_apart(job), job.days
    while days > 1 / SPELLS:
        shorter = live_apart(attrs.evolve(job, days=days / 2))
        if not shorter.violations:
            break
        verdict, days = shorter, days / 2
    return verdict


def tell(console: Console, verdict: Verdict) -> None:
    """Print what the judges say, and what befell the province before."""
    console.print(f"[bold red]seed {verdict.seed}[/], {verdict.days:.2f} days:", highlight=False)
    for each in verdict.violations[:10]:
        console.print(f"  {each[:2000]}", markup=False, highlight=False)
    for each in verdict.log[-_TOLD:]:
        console.print(f"    {each}", markup=False, highlight=False)


def find_planted(console: Console, processes: int) -> int:
    """Look for each planted fault until it is found, in at most so many days. Return the number that is not."""
    missed = 0
    for name in PLANTED:
        lived, found, seed = 0.0, None, 0
        while found is None and lived < _MOST_DAYS:
            jobs = [Job(f"{name}-{seed + number}", _PLANTED_DAYS, name) for number in range(processes)]
            seed += processes
            for job, verdict, _ in live_all(jobs, processes):
                lived += verdict.days
                if verdict.violations and found is None:
                    found = (job, verdict)
        if found is None:
            missed += 1
            console.print(f"{name}: not found in {lived:.0f} days", highlight=False)
            continue
        again = live_apart(found[0])
        same = "the same again" if again == found[1] else "NOT the same again"
        missed += again != found[1]
        console.print(
            f"{name}: seed {found[0].seed}, {lived:.0f} days, {same}: {found[1].violations[0][:160]}",
            markup=False,
            highlight=False,
        )
    return missed


def read_kept() -> dict[str, Any]:
    """Return what was lived in earlier slices."""
    found: dict[str, Any] = {"days": 0.0, "seconds": 0.0, "lived": [], "failed": []}
    return found | (json.loads(_KEPT.read_text()) if _KEPT.exists() else {})


def live_slice(console: Console, jobs: list[Job], processes: int, minutes: float) -> int:
    """Live histories for at most so many minutes, and keep which were lived. Return how many have violations."""
    kept = read_kept()
    bad, begun = 0, time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("histories", total=len(jobs))
        for job, verdict, took in live_all(jobs, processes):
            progress.advance(task)
            kept["days"] += verdict.days
            kept["lived"].append(job.seed)
            counts = " ".join(f"{name}={count}" for name, count in verdict.counts.items())
            console.print(
                f"seed {job.seed}: {verdict.days:.2f} days in {took:.0f} s, {verdict.digest[:12]}, {counts}",
                highlight=False,
            )
            if verdict.violations:
                bad += 1
                kept["failed"].append(job.seed)
                tell(console, verdict)
                tell(console, shorten(job))
            kept["seconds"] += took
            _KEPT.parent.mkdir(exist_ok=True)
            _KEPT.write_text(json.dumps(kept))
            if time.monotonic() - begun > minutes * 60:
                console.print(f"{minutes:g} minutes are over; the next call goes on", highlight=False)
                break
    spent = time.monotonic() - begun
    console.print(
        f"{kept['days']:.0f} days so far in {len(kept['lived'])} histories, {len(kept['failed'])} failed; this slice took {spent:.0f} s",
        highlight=False,
    )
    return bad


def main() -> int:
    """Run the command."""
    said = argparse.ArgumentParser(
        prog="./dev soak simulate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    said.add_argument("histories", nargs="?", type=int, default=10, help="how many histories (default 10)")
    said.add_argument("--seed", help="only the history of this seed")
    said.add_argument("--days", type=float, default=_DAYS, help=f"days of a history (default {_DAYS:g})")
    said.add_argument(
        "--minutes", type=float, default=85.0, help="begin no further history after so many minutes (default 85)"
    )
    said.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="histories at a time (default: one a core)"
    )
    said.add_argument("--planted", action="store_true", help="find each planted fault")
    asked = said.parse_args()
    console = Console(soft_wrap=True)
    if asked.planted:
        return int(find_planted(console, asked.processes) > 0)
    if asked.seed is not None:
        _, verdict, took = live_in_a_folder(Job(asked.seed, asked.days))
        console.print(
            f"seed {asked.seed}: {verdict.days:.2f} days in {took:.0f} s, journal {verdict.digest}", highlight=False
        )
        if verdict.violations:
            tell(console, verdict)
        return int(bool(verdict.violations))
    first = max((int(each) for each in read_kept()["lived"]), default=0) + 1
    jobs = [Job(str(first + number), asked.days) for number in range(asked.histories)]
    return int(live_slice(console, jobs, asked.processes, asked.minutes) > 0)


if __name__ == "__main__":
    sys.exit(main())
