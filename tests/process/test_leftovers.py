"""Kill whoever makes a file, at each sync of the disk, twenty times and more: after the next start of the hub nothing is left of it."""

import os
import signal
import subprocess
import sys

import pytest

from hub.security.age_files import make_private_key
from tests.conftest import ROOT
from tests.process.test_restored import send
from tests.running import until

pytestmark = pytest.mark.slow

#: Ends itself at the sync of the disk with the number given.
_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
at, what, config, *words = sys.argv[1:]
left, sync = int(at), os.fsync
def end(handle):
    global left
    left -= 1
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(handle)
os.fsync = end
if what == "command":
    from hub.cli import main
    sys.argv = ["lienthong", "-c", config, *words]
    main()
    sys.exit()
from hub.config import read_config
from hub.config.writing import write_atomically
from hub.journal.upkeep import upgrade
from hub.journal.upkeep.archive.writing import ArchiveChoice, write_archive
from hub.store import transactions
found = read_config(Path(config))
if what == "upgrade":
    upgrade.place_copy(found.database_url, "0042").make()
if what == "configuration":
    write_atomically(found.path, found.path.read_bytes())
if what == "archive":
    found.archive.mkdir(exist_ok=True)
    engine = transactions.open_journal(found.database_url, pooled=False)
    with transactions.read_transaction(engine) as tx:
        chosen = ArchiveChoice(period="2026-11", messages=words)
        write_archive(tx, chosen, found.archive, found.identity, datetime.now(UTC))
"""


def kill(hub, at, what, *words):
    """Run *what*, and return whether it was killed at its sync number *at*; else it ended before."""
    command = [sys.executable, "-c", _KILLED, str(at), what, str(hub.config), *map(str, words)]
    ran = subprocess.run(command, cwd=ROOT, env=os.environ | hub.env, capture_output=True, check=False)
    return ran.returncode == -signal.SIGKILL


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
