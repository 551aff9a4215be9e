"""Runs limit.c, the least that the checks cost, and bare.py, the same in Python, on the calls of a round. Judges nothing."""

import subprocess
import sys
from pathlib import Path

import attrs

from tests.bench import parts
from tests.bench.rounds import Misbehaved
from tests.bench.servers import DOCUMENTS, PACKETS
from tests.conftest import ROOT


@attrs.frozen
class Limit:
    """The compiled program and the CA that it believes."""

    program: Path
    ca: Path

    @classmethod
    def compiled(cls, place: Path, ca: Path) -> "Limit":
        """Compile it. Raises Missing."""
        return cls(parts.compile_program("limit", place, "libxml-2.0", "libssl", "libcrypto"), ca)

    def judge(self, bodies: Path, *, count: int = -1, key: Path | None = None, passes: int = 1) -> dict[str, float]:
        """Judge the first *count* calls of *bodies*, so many times; with *key*, make the hub's two signatures too."""
        words = [f"bodies={bodies}", f"ca={self.ca}", f"documents={DOCUMENTS}", f"packets={PACKETS}"]
        words += [f"count={count}", f"passes={passes}", *([f"key={key}"] if key else [])]
        return _run("the C limit", [str(self.program), *words])

    def measure(self, bodies: Path, *, count: int = -1, key: Path | None = None, passes: int = 1) -> float:
        """Return the CPU microseconds of a call. Raises Misbehaved unless all are accepted."""
        said = self.judge(bodies, count=count, key=key, passes=passes)
        if said["refused"] or not said["judged"]:
            raise Misbehaved(f"the C limit refused {said['refused']:.0f} of {said['judged']:.0f} calls")
        return said["cpu"] / said["judged"] * 1e6


def judge_in_python(bodies: Path, ca: Path, *, count: int) -> dict[str, float]:
    """Judge the first *count* calls of *bodies* in Python; of what is found, `cpu` is in seconds."""
    words = ["-m", "tests.bench.bare", *map(str, (bodies, ca, DOCUMENTS, PACKETS, count))]
    return _run("the checks in Python", [sys.executable, *words])


def _run(name: str, command: list[str]) -> dict[str, float]:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if ran.returncode:
        raise Misbehaved(f"{name}: {ran.stderr[-1000:]}")
    return {name: float(value) for name, _, value in (word.partition("=") for word in ran.stdout.split())}
