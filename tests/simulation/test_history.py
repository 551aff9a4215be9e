"""A day in the life of a simulated province, and that its judges find what is wrong.

`./dev soak simulate` lives as many days as it is told, and `--planted` finds each planted fault; here are the small forms of both. Each
history has a process of its own: what a process has learnt from one would change the next.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.simulation.planted import PLANTED

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("xmlsec1")]

#: A seed whose half day has deaths of the node in it.
SEED, DAYS = "3", 0.5
_LIVE = """
import json, sys
from pathlib import Path
from tests.simulation.history import live
seed, folder, days, plant = sys.argv[1:]
lived = live(seed, Path(folder), float(days), plant=plant or None)
print(json.dumps([lived.digest, lived.violations, lived.counts]))
"""


def live(
    seed: str, folder: Path, days: float, *, hashes: str = "0", plant: str = ""
) -> tuple[str, list[str], dict[str, Any]]:
    """Live a history in a process of its own. Return the digest of its journal, what the judges say, and counts."""
    ran = subprocess.run(
        [sys.executable, "-c", _LIVE, seed, folder / "hub", str(days), plant],
        env=os.environ | {"PYTHONHASHSEED": hashes},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    digest, violations, counts = json.loads(ran.stdout)
    return digest, violations, counts


def test_nothing_is_lost_or_counted_twice_and_the_same_seed_gives_the_same_journal_octet_for_octet(tmp_path):
    lived = live(SEED, tmp_path, DAYS)
    _, violations, counts = lived
    assert violations == []
    assert counts["deaths"] >= 2
    assert counts["receipts"] > 20
    assert counts["arrivals"] > 100
    assert live(SEED, tmp_path / "again", DAYS, hashes="4711") == lived


def test_a_fault_that_is_planted_in_the_hub_is_found(tmp_path):
    _, violations, _ = live("1", tmp_path, 0.25, plant="fact-written-twice")
    assert any(each.startswith("I3") for each in violations)


@pytest.mark.soak
@pytest.mark.parametrize("name", PLANTED)
def test_each_planted_fault_is_found(tmp_path, name: str):
    assert any(live(f"{name}-{number}", tmp_path / str(number), 1.0, plant=name)[1] for number in range(50))
