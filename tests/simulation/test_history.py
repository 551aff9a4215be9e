"""A day in the life of a simulated province, and that its judges find what is wrong.

`./dev soak simulate` lives as many days as it is told, and `--planted` finds each planted fault; here are the small forms of both.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.simulation.history import Verdict, live
from tests.simulation.planted import PLANTED

pytestmark = pytest.mark.slow

#: A seed whose half day has deaths of the node in it.
SEED, DAYS = "3", 0.5
_LIVE = "import json, sys; from pathlib import Path; from tests.simulation.history import live; v = live(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])); print(json.dumps([v.digest, v.violations, v.counts]))"


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> Verdict:
    """Half a day of a province."""
    return live(SEED, tmp_path_factory.mktemp("lived") / "hub", DAYS)


@pytest.mark.usefixtures("xmlsec1")
def test_nothing_is_lost_or_counted_twice_whatever_befalls_a_province(lived):
    assert lived.violations == ()
    assert lived.counts["deaths"] >= 2
    assert lived.counts["receipts"] > 20
    assert lived.counts["arrivals"] > 100


@pytest.mark.usefixtures("xmlsec1")
def test_the_same_seed_gives_the_same_journal_octet_for_octet_in_another_process(lived, tmp_path: Path):
    ran = subprocess.run(
        [sys.executable, "-c", _LIVE, SEED, tmp_path / "hub", str(DAYS)],
        env=os.environ | {"PYTHONHASHSEED": "4711"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    digest, violations, counts = json.loads(ran.stdout)
    assert (digest, tuple(violations), counts) == (lived.digest, lived.violations, lived.counts)


@pytest.mark.usefixtures("xmlsec1")
def test_a_fault_that_is_planted_in_the_hub_is_found(tmp_path):
    found = live("1", tmp_path / "hub", 0.25, plant="fact-written-twice")
    assert any(each.startswith("I3") for each in found.violations)


@pytest.mark.soak
@pytest.mark.parametrize("name", PLANTED)
def test_each_planted_fault_is_found(tmp_path, name: str):
    for number in range(10):
        if live(f"{name}-{number}", tmp_path / "hub", 2.0, plant=name).violations:
            return
    pytest.fail("not found in 20 days")
