"""The units of systemd that the project ships are well formed, let a hub do what it needs, and little else."""

import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from tests.conftest import ROOT, cannot_be_had
from tests.waiting import PROGRAM

UNITS = ROOT / "packaging/systemd"


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        cannot_be_had("systemd-analyze", "it is not installed; Debian: apt-get install systemd")
    command = ["systemd-analyze", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PROGRAM)


def read_unit(name: str) -> RawConfigParser:
    found = RawConfigParser(strict=False)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read(UNITS / name, "utf-8")
    return found


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with the programs of this environment, since verify looks whether they are there."""
    for unit in UNITS.glob("lienthong*"):
        here = unit.read_text("utf-8").replace("/opt/lienthong/bin/", f"{Path(sys.executable).parent}/")
        (tmp_path / unit.name).write_text(here, "utf-8")
    return tmp_path


def test_systemd_finds_nothing_wrong_in_the_units(units: Path) -> None:
    found = analyze("verify", *sorted(units.glob("lienthong*")))
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_the_exposure_of_the_service_is_under_two(units: Path) -> None:
    """By systemd's own measure: 0 is the least, 10 the most. `--threshold` counts in tenths."""
    found = analyze("security", "--offline=true", "--threshold=19", units / "lienthong.service")
    assert found.returncode == 0, found.stdout


def test_a_call_that_the_hub_makes_is_not_among_those_that_the_service_may_not() -> None:
    """`os.nice` of the processes that read reports; `@resources` would take it away."""
    told = read_unit("lienthong.service")["Service"]["SystemCallFilter"]
    assert told == "~@privileged"
    assert "setpriority" not in analyze("syscall-filter", "@privileged").stdout.split()


@pytest.mark.parametrize("name", ["soap", "admin"])
def test_a_socket_unit_and_the_configuration_beside_it_agree(name: str) -> None:
    unit = read_unit(f"lienthong-{name}.socket")["Socket"]
    host, _, port = unit["ListenStream"].rpartition(":")
    said = (UNITS / f"lienthong-{name}.socket").read_text("utf-8").splitlines()[1]
    for each in (f"[{name}]", f'host = "{host}"', f"port = {port}", f"name={unit['FileDescriptorName']}"):
        assert each in said
