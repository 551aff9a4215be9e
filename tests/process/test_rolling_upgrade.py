"""A program and the one of the next release on one database: side by side between the two parts of an upgrade."""

import os
import shutil
import subprocess
import sys
import tomllib
from datetime import date

import pytest

from hub.store import transactions
from lienthong_demo.plan.packets import write_document_packet
from tests.conftest import ROOT
from tests.running import PATIENCE, RunningHub, until
from tests.sample_migrations import write_migrations

pytestmark = pytest.mark.slow

PACKET = write_document_packet(
    "H55.13", ["H55.1"], number="1", notation="X", subject="x", promulgated=date(2026, 11, 20)
)


@pytest.fixture
def program(tmp_path):
    """The next release: this one, and two migrations more."""
    home = tmp_path / "next"
    home.mkdir()
    for name in ("hub", "adapters", "wsdl", "xsd", "twisted"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tap.py", home)
    write_migrations(home / "hub/store/migrations/versions")
    return home


@pytest.fixture
def upgraded(program):
    """Run a `lienthong` of the next release for a hub's directory: its output, when it exits so."""

    def run(hub, *words, code=0):
        command = [sys.executable, "-m", "hub.cli", "-c", hub.config, *words]
        env = os.environ | {"PYTHONPATH": str(program), "LANG": "en_US.UTF-8"}
        ran = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, env=env, cwd=program, check=False
        )
        assert ran.returncode == code, (words, ran)
        return ran.stdout + ran.stderr

    return run


def deliver(hub, name):
    with hub.client("sotttt") as client:
        sent = client.send(PACKET, name).document_id
    until(lambda: hub.states(sent)["H55.1"][0] == "delivered", f"{name} to be delivered")


@pytest.mark.parametrize("hub", [pytest.param("sqlite", marks=pytest.mark.soak), "postgresql"], indirect=True)
def test_old_and_new_nodes_work_side_by_side_between_the_two_parts(hub, upgraded, program, tmp_path, monkeypatch):
    several = "postgresql" in tomllib.loads(hub.config.read_text())["database"]["url"]
    hub.letterbox("vpub")
    hub.start()
    deliver(hub, "old program, old schema")
    assert "needed 9002" in upgraded(hub, "db", "status", code=1)
    upgraded(hub, "messages", code=78)
    assert "nodes of the old version run" in upgraded(hub, "db", "upgrade", code=1)

    assert "→ 9001" in upgraded(hub, "db", "upgrade", "--before")
    assert "--after" in upgraded(hub, "db", "status")
    assert hub.get("/readyz")[0] == 200
    deliver(hub, "old program, new schema")
    hub.stop()
    hub.start()
    deliver(hub, "old program, started on the new schema")
    (row,) = hub.cli("db", "status", "--json")
    assert (row["version"], row["current"], row["runs"]) == ("9001", False, True)
    new = RunningHub(tmp_path / "second", beside=hub) if several else hub
    if not several:
        hub.stop()
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", str(program))
        new.start()
    deliver(new, "new program")
    if several:
        deliver(hub, "beside it, the old one")
        assert {row["schema"] for row in new.cli("db", "nodes", "--json")} == {
            transactions.read_latest_version(),
            "9002",
        }
        assert "nodes of the old version run" in upgraded(new, "db", "upgrade", "--after", code=1)
        hub.stop()

    assert "9001 → 9002" in upgraded(new, "db", "upgrade", "--after")
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", str(program))
        deliver(new, "new program, all of the new schema")
    if not several:
        hub.stop()
    hub.start(wait=False)
    assert hub.process.wait(PATIENCE) == 78
    (row,) = hub.cli("db", "status", "--json", code=1)
    assert (row["runs"], row["least"]) == (False, "9002")
    new.close()
