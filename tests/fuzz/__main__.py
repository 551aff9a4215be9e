"""`./dev fuzz [TARGET] [SECONDS]`: fuzz one target, or each in turn, for that long; keep what was learnt, and count the time.

What is found is added to `corpus/TARGET.tar.xz`, where every run of the tests meets it until it is mended; then the exit code is 1.
`hours.toml` holds, for each target, the processor's seconds and the executions of all such runs; only a run that found nothing is added.
"""

import fcntl
import re
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.conftest import ROOT
from tests.fuzz import HERE, TARGETS, archive, keeping, kept, load
from tests.fuzz.keeping import PLACE

HOURS = HERE / "hours.toml"
SECONDS = 300
HANG = 5  #: seconds that one input may take
MEMORY = 1024  #: MB
_STATE = re.compile(r"^#(\d+)\s.*\bcov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_EXECUTED = re.compile(r"^stat::number_of_executed_units: (\d+)$", re.MULTILINE)


@attrs.frozen
class Run:
    """What one run did."""

    seconds: float  #: of a processor: on a busy machine less than those of the clock
    executions: int
    coverage: int  #: lines and branches of the hub, as atheris counts them
    features: int
    findings: tuple[Path, ...]
    said: str


def fuzz(target: str, place: Path, *options: str, wait: float | None = None) -> Run:
    """Fuzz *target* with libFuzzer's *options*, its corpus in *place*, and return what happened."""
    folder, found = place / "corpus", place / "found"
    for each in (folder, found):
        each.mkdir(parents=True, exist_ok=True)
    for content in (*load(target).seeds(), *kept(target).values()):
        (folder / keeping.name(content)).write_bytes(content)
    bounds = (f"-timeout={HANG}", f"-rss_limit_mb={MEMORY}", "-print_final_stats=1", f"-artifact_prefix={found}/")
    # by a shell: a process that is started begins with the greatest memory of the one that starts it, which is bounded, too
    shell = ["sh", "-c", '"$@"; exit $?', "sh"]
    command = [*shell, sys.executable, "-m", "tests.fuzz.run", target, *bounds, *options, str(folder)]
    before = set(found.iterdir())
    began = _spent()
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=wait,
        check=False,
    )
    seconds = _spent() - began
    findings = tuple(sorted(set(found.iterdir()) - before))
    if done.returncode != 0 and not findings:
        raise RuntimeError(f"{target} could not be fuzzed:\n{done.stdout[-4000:]}")
    executed, states = _EXECUTED.findall(done.stdout), _STATE.findall(done.stdout)
    coverage, features = (int(number) for number in states[-1][1:3]) if states else (0, 0)
    return Run(seconds, int(executed[-1]) if executed else 0, coverage, features, findings, done.stdout)


def _spent() -> float:
    """Return the processor's seconds that ended processes of this one have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Let no other process of this machine be in what bears that *name*."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def add(target: str, run: Run) -> dict[str, int]:
    """Count *run* in `hours.toml`; return what *target* has now."""
    with alone("hours"):
        return _added(target, run)


def _added(target: str, run: Run) -> dict[str, int]:
    hours = tomllib.loads(HOURS.read_text("utf-8")) if HOURS.exists() else {}
    counted = hours.setdefault(target, {"seconds": 0, "executions": 0})
    counted["seconds"] += int(run.seconds)
    counted["executions"] += run.executions
    text = "# Written by ./dev fuzz: how long each target has been fuzzed, in all runs that found nothing.  Seconds of a processor.\n"
    for name in sorted(hours):
        text += f"\n[{name}]\nseconds = {hours[name]['seconds']}\nexecutions = {hours[name]['executions']}\n"
    written = PLACE / "hours.toml"
    written.write_text(text, "utf-8")
    written.replace(HOURS)  # whole, whoever reads it meanwhile
    return dict(counted)


def main(arguments: list[str]) -> int:
    targets = [word for word in arguments if not word.isdigit()] or list(TARGETS)
    seconds = next((int(word) for word in arguments if word.isdigit()), SECONDS)
    if unknown := set(targets) - set(TARGETS):
        print(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    worst = 0
    for target in targets:
        run = fuzz(target, PLACE / target, f"-max_total_time={seconds}")
        (PLACE / target / "log").write_text(run.said, "utf-8")
        for finding in run.findings:
            with alone(target):
                called = keeping.keep_finding(target, finding.read_bytes())
            print(
                f"{target}: FOUND after {run.executions} executions: {finding.relative_to(ROOT)},"
                f" kept as {called} in {archive(target).relative_to(ROOT)}\n{run.said[-3000:]}",
                flush=True,
            )
            worst = 1
        if run.findings:
            continue
        counted = add(target, run)
        with alone(target):
            many = keeping.keep(target, [PLACE / target / "corpus"])
        print(
            f"{target}: {run.executions} executions in {run.seconds:.0f} s, coverage {run.coverage}, features {run.features};"
            f" {many} inputs kept; in all {counted['seconds']} s, {counted['executions']} executions",
            flush=True,
        )
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
