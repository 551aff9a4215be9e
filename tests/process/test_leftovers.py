"""Kill whoever makes a file, at each sync of the disk, twenty times and more: after the next start of the hub nothing is left of it."""

import os
import signal
import sys

import pytest

from hub.security.age_files import make_private_key
from tests.conftest import ROOT
from tests.process.test_restored import send
from tests.running import until
from tests.warm import run

pytestmark = pytest.mark.slow


def kill(hub, at, what, *words):
    """Run *what*, and return whether it was killed at its sync number *at*; else it ended before."""
    command = [sys.executable, "-m", "tests.process.killed_at_sync", at, what, hub.config, *words]
    return run(command, cwd=ROOT, env=os.environ | hub.env).returncode == -signal.SIGKILL


def unfinished(*folders):
    """Return what does not belong to the hub's files, nor to their whole copies."""
    found = (each for folder in folders for each in folder.rglob("*"))
    return sorted(str(each) for each in found if each.name.startswith(".") or each.name == "backup.work")


def test_twenty_kills_later_nothing_is_left_over(hub, tmp_path):
    hub.start()
    (first, _) = send(hub, 1, size=20_000)["vpub-1"]
    key, kept = make_private_key(), tmp_path / "kept"
    with hub.config.open("a", encoding="utf-8") as file:
        file.write(f'\n[backup]\nfolder = "{kept}"\nrecipients = ["{key.recipient.text}"]\nevery = "never"\n')
    (tmp_path / "key.txt").write_text(f"{key.text}\n")
    until(lambda: b'"last":null' not in hub.get("/readyz")[1], "the first event to be numbered")
    hub.stop()
    (made,) = hub.cli("backup", "run", "--json")
    before = unfinished(hub.home, kept)
    ways = [
        ("archive", first),
        ("upgrade",),
        ("configuration",),
        ("command", "backup", "run"),
        ("command", "backup", "restore", made["file"], "--identity", tmp_path / "key.txt"),
        ("command", "db", "backup", hub.home / "copy.db"),
    ]
    kills = [way[0] for at in (1, 1, 1, 2, 3) for way in ways if kill(hub, at, *way)]
    assert len(kills) >= 20, kills
    assert len(unfinished(hub.home, kept)) > len(before), "each left something"
    hub.cli("backup", "adopt", "--reason", "x", "--yes", code=None)
    hub.start()
    until(lambda: unfinished(hub.home, kept) == before, "what was left to be gone")
