"""What happens to a disk: full, torn at its tail, torn all over.  One node, SQLite."""

import os
import subprocess
import time
from collections import Counter

import pytest

from tests.conftest import not_applicable
from tests.faults import faults, journal
from tests.faults.faults import Fault
from tests.faults.test_matrix import EVERY, account, run
from tests.faults.town import Town, opened
from tests.running import PATIENCE, until
from tests.warm import BIN

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("xmlsec1")]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, in memory."""
    if os.geteuid() != 0:
        not_applicable("only root may mount a small file system to fill")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk(small_disk, tmp_path):
    with opened(Town.found(tmp_path, None, data=small_disk / "data")) as town:
        town.start()
        run(town, Fault("disk full, then space again", faults.fill_disk(small_disk)), "SQLite")


def test_a_write_ahead_log_with_a_torn_tail(tmp_path):
    with opened(Town.found(tmp_path, None)) as town:
        town.start()
        run(town, Fault("torn tail of the WAL", faults.tear_wal), "SQLite", times=2)


def test_a_torn_journal_is_named_and_a_backup_brings_back_what_it_had_and_the_senders_the_rest(tmp_path):
    with opened(Town.found(tmp_path, None)) as town:
        town.start()
        (node,) = town.nodes
        town.load(seed="restore")
        town.mode("cham", "slow", 0.7)
        town.mode("hong", "down")
        town.flow(25, "before the backup")
        faults.back_up(town, tmp_path / "backup.db")
        town.flow(15, "after the backup")
        until(lambda: set(town.states()) == EVERY, "a delivery in every state")
        occupied = Counter(town.states())
        node.kill()
        town.silence()
        faults.tear_journal(town)
        check = [str(BIN / "lienthong"), "-c", str(node.config), "check"]
        assert subprocess.run(check, capture_output=True, check=False).returncode != 0, "a torn journal is named"
        node.start()
        assert node.process.wait(PATIENCE) == 78, node.said()[-2000:]
        faults.restore(town, tmp_path / "backup.db")
        kept = {each.message_id for each in journal.read(town.url).messages}
        town.restored = time.time()
        town.again = frozenset(each.message_id for each in town.sent()) - kept
        adopt = [str(BIN / "lienthong"), "-c", str(node.config), "backup", "adopt", "--reason", "test", "--yes"]
        subprocess.run(adopt, capture_output=True, check=True)
        node.start()
        until(node.listens, "the node to listen again")
        town.send_again()
        town.load(seed="restored", fetches=False)
        town.flow(10, "after the restore")
        town.mode("hong", "ok")
        town.end_load()
        town.quiet()
        assert town.again, "something came after the backup"
        account(town, "torn file, restored from a backup", "SQLite", occupied)
