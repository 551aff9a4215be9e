"""Ports that `tests/ports.py` gives are given once, though nobody listens on them yet."""

import subprocess
import sys

from tests.conftest import ROOT
from tests.ports import find_free_ports

_ASKED = "from tests import ports; ports.random.randrange = lambda _: 0; print(*ports.find_free_ports(30))"


def test_no_port_is_given_twice_here_or_to_another_process(monkeypatch):
    monkeypatch.setattr("tests.ports.random.randrange", lambda _: 0)
    ours = {*find_free_ports(30), *find_free_ports(30)}
    ran = subprocess.run([sys.executable, "-c", _ASKED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert len(ours) == 60
    assert ours.isdisjoint(map(int, ran.stdout.split()))
