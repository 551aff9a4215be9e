"""The benchmark works: it measures, and finds what a server must not do. Its figures are judged by nobody here."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.bench import beside, parts
from tests.bench.run import FLASK, HUB, Plan, Run
from tests.conftest import ROOT, cannot_be_had

SHORT = Plan(rounds=1, busy=0.2, most=100, warm=64, short=True)


@pytest.mark.slow
@pytest.mark.processes
def test_the_short_form_measures_the_hub_beside_a_peer_and_the_limit(tmp_path):
    """Inside, it sees that a changed body is refused by all, that rows equal receipts, and that the hub signed its answers."""
    try:
        load = parts.compile_program("load", tmp_path, "libssl", "libcrypto")
        parts.install_python_peers()
    except parts.Missing as missing:
        cannot_be_had("a part of the benchmark", str(missing))
    said: list[str] = []
    run = Run(tmp_path, SHORT, load, said.append)
    beside.measure(run)
    text = "\n".join(said)
    assert re.search(r"calibration: RSA-2048 signature \d+ us", text)
    assert re.search(rf"{re.escape(HUB)} +\d+ +\d+ to \d+ +\d+", text), text
    assert re.search(rf"{re.escape(FLASK)} +\d+ +\d+ to \d+ +\d+", text), text
    assert re.search(r"one process : Flask \+ signxml +\d+\.\d\d", text), text


def test_the_peers_packages_are_locked_by_their_hashes():
    lock = parts.LOCK.read_text()
    pieces = re.split(r"^(?=[a-z])", lock, flags=re.MULTILINE)[1:]
    assert [piece for piece in pieces if "--hash=sha256:" not in piece] == []
    named = {piece.partition("==")[0] for piece in pieces}
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["bench"]
    assert {re.split(r"[^\w-]", each)[0] for each in wanted} <= named


def test_a_part_that_is_not_here_is_named_with_its_package(monkeypatch):
    monkeypatch.setenv("PATH", str(Path("/nowhere")))
    with pytest.raises(parts.Missing, match="no gcc, pkg-config: install gcc"):
        parts.compile_program("load", Path(), "libssl")
