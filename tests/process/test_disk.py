"""A disk that is full, nearly full, slow or failing: nothing is receipted that is not on it, and the hub goes on by itself."""

import contextlib
import json
import os
import resource
import shutil
import sqlite3
import subprocess
from collections import Counter
from datetime import date

import pytest

from hub.cli.documents_client import HubUnavailable
from hub.config import read_config
from hub.store import transactions
from lienthong_demo.plan.packets import write_document_packet
from tests.conftest import DATABASES, cannot_be_had, not_applicable
from tests.process.test_kill import Load, assert_counted_once, assert_nothing_lost, waiting
from tests.running import until

pytestmark = pytest.mark.slow


def packet(number, *recipients, size=0):
    return write_document_packet(
        "H55.1",
        recipients or ["H55.13"],
        number=str(number),
        notation="VP",
        subject="x",
        promulgated=date(2026, 11, 20),
        attachments=[("x.bin", bytes(range(256)) * (size // 256))] if size else [("x.txt", b"x")],
    )


def reasons(hub):
    """Return what /readyz finds wrong."""
    said = json.loads(hub.get("/readyz")[1])["reasons"]
    return {name: why for name, why in said.items() if why != "ok"}


def attempt(hub, number, *recipients, size=0):
    """Send once; return the receipt, or what it was put off with."""
    try:
        with hub.client("vpub") as client:
            return client.send(packet(number, *recipients, size=size), f"vpub-{number}")
    except HubUnavailable as unavailable:
        return str(unavailable)


def until_put_off(hub, code, numbers):
    """Send large messages until one is put off; return the receipts before, and what was said."""
    receipts: dict[str, tuple[str, str]] = {}
    for number in numbers:
        said = attempt(hub, number, size=200_000)
        if isinstance(said, str):
            assert code in said, said
            return receipts, said
        receipts[f"vpub-{number}"] = (said.document_id, said.sha256)
    raise AssertionError("the disk was never full")


def assert_kept(hub, receipts):
    """What was receipted is there with its bytes, and nothing else was taken in."""
    kept = {row["message_id"]: (row["id"], row["sha256"]) for row in hub.cli("messages", "--json")}
    assert kept == receipts


def set_free_disk(hub, size):
    hub.config.write_text(hub.config.read_text() + f'\n[limits]\nfree-disk = "{size}"\n')


@pytest.fixture
def small(hub):
    """A hub whose data lie on a file system of 24 MB, and the way to take most of it away."""
    if os.geteuid() != 0:
        not_applicable("only root mounts; another account has the test with a limit of its own")
    data, kept = hub.home / "data", hub.home / "kept"
    shutil.copytree(data, kept)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", data], capture_output=True, check=False
    )
    if mounted.returncode:
        cannot_be_had("mount", mounted.stderr.decode())
    try:
        shutil.copytree(kept, data, dirs_exist_ok=True)

        def fill(leave):
            (data / "ballast").unlink(missing_ok=True)
            with (data / "ballast").open("wb") as file, contextlib.suppress(OSError):
                file.write(bytes(max(0, shutil.disk_usage(data).free - leave)))

        yield hub, fill
    finally:
        hub.close()
        subprocess.run(["umount", "-l", data], check=True)


def test_a_full_disk_under_load_loses_nothing_and_the_hub_goes_on_when_there_is_room(small):
    hub, fill = small
    set_free_disk(hub, "1KB")
    for partner in ("vpub", "vpcp"):
        hub.letterbox(partner)
    hub.start()
    with Load(hub) as load:
        until(lambda: len(load.receipts) > 10, "some receipts")
        for _ in range(2):
            fill(leave=0)
            until(lambda: "queue" in reasons(hub) or "disk" in reasons(hub), "the hub to say so")
            until(lambda: "hub-unready" in hub.log.read_text(), "a caller to be put off")
            assert hub.cli("messages", "--count", text=True)
            (hub.home / "data/ballast").unlink()
            before = len(load.receipts)
            until(lambda before=before: len(load.receipts) > before, "receipts again")
        until(lambda: len(load.receipts) > 40, "more receipts")
    assert not load.broken
    until(lambda: load.fetch_all() == 0, "everything to be fetched")
    until(lambda: not waiting(hub), "everything to be delivered")
    assert_nothing_lost(hub, load)
    assert_counted_once(hub, load)
    with contextlib.closing(sqlite3.connect(hub.home / "data/hub.db")) as there:
        assert there.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_on_a_disk_that_is_nearly_full_nothing_is_taken_in_and_what_is_there_is_delivered(small):
    hub, fill = small
    set_free_disk(hub, "8MiB")
    hub.start()
    with hub.client("vpub") as client:
        sent = client.send(packet(1, "H55.13", "000.00.00.G22"), "vpub-1")
    fill(leave=4 << 20)
    until(lambda: "disk" in reasons(hub), "the hub to say so")
    until(lambda: "disk-low" in str(attempt(hub, 9, "000.00.00.G22", size=100_000)), "an attempt to be put off")
    for size in (0, 100_000):
        said = attempt(hub, 2, size=size)
        assert "disk-low" in said
    with hub.client("sotttt") as client:
        assert client.pending("H55.13") == (sent.document_id,)
        client.get(sent.document_id)
        client.confirm(sent.document_id)
    hub.letterbox("vpcp")
    until(lambda: {state for state, _ in hub.states(sent.document_id).values()} == {"delivered"}, "the deliveries")
    fill(leave=20 << 20)
    until(lambda: not isinstance(attempt(hub, 3), str), "the next to be taken in")


def test_a_file_that_may_not_grow_puts_callers_off_and_loses_nothing(hub):
    """As a full disk, for an account that may not mount one."""
    hub.start()
    pid, unlimited = hub.process.pid, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    receipts = {"vpub-0": (attempt(hub, 0).document_id, None)}
    wal = (hub.home / "data/hub.db-wal").stat().st_size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (wal + 1_000_000, hard))
    more, _ = until_put_off(hub, "journal-unavailable", range(1, 40))
    until(lambda: "queue" in reasons(hub), "readyz to say so, which looks once a second")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited if hard == resource.RLIM_INFINITY else (hard, hard))
    again = until(lambda: not isinstance(found := attempt(hub, 50), str) and found, "the next to be taken in")
    receipts["vpub-0"] = (receipts["vpub-0"][0], hub.cli("messages", "--message-id", "vpub-0", "--json")[0]["sha256"])
    assert_kept(hub, receipts | more | {"vpub-50": (again.document_id, again.sha256)})


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """The library that makes a sync or a read of the journal's files fail."""
    if shutil.which("gcc") is None:
        cannot_be_had("gcc", "it is not installed")
    place = tmp_path_factory.mktemp("failing") / "failing_disk.so"
    source = os.path.join(os.path.dirname(__file__), "failing_disk.c")  # noqa: PTH118, PTH120
    subprocess.run(["gcc", "-shared", "-fPIC", "-O", "-o", place, source, "-ldl"], check=True)
    return place


def start_on_failing_disk(hub, failing, kind):
    """Start the hub on a disk where each *kind* (FSYNC_FAILS or READ_FAILS) fails while the returned file is there."""
    mark = hub.home / "fails"
    hub.env = {"LD_PRELOAD": str(failing), kind: str(mark)}
    hub.start()
    hub.env = {}
    return mark


def test_nothing_is_receipted_after_a_sync_that_failed_and_a_restart_finds_all_that_was(hub, failing):
    mark = start_on_failing_disk(hub, failing, "FSYNC_FAILS")
    receipts: dict[str, tuple[str, str]] = {}
    for number in range(5):
        said = attempt(hub, number)
        receipts[f"vpub-{number}"] = (said.document_id, said.sha256)
    mark.touch()
    for number in range(5, 10):
        said = attempt(hub, number)
        assert "journal-unavailable" in said
        assert "disk I/O error" in hub.log.read_text()
        until(lambda: "queue" in reasons(hub), "readyz to say so, which looks once a second")
    mark.unlink()
    said = attempt(hub, 7)  # sent again
    receipts["vpub-7"] = (said.document_id, said.sha256)
    assert_kept(hub, receipts)
    hub.kill()
    hub.cli("check")
    hub.start()
    assert_kept(hub, receipts)
    facts = Counter((fact["id"], fact["unit"], fact["milestone"]) for fact in hub.cli("report", "--facts", "--json"))
    assert set(facts.values()) == {1}
    assert len(facts) == 6


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_does_not_read_for_a_while_is_not_called_damage_and_the_hub_goes_on_by_itself(
    hub, failing, workers
):
    hub.config.write_text(f"workers = {workers}\n" + hub.config.read_text())
    mark = start_on_failing_disk(hub, failing, "READ_FAILS")
    receipts: dict[str, tuple[str, str]] = {}
    for number in range(5):
        said = attempt(hub, number, size=100_000)
        receipts[f"vpub-{number}"] = (said.document_id, said.sha256)
    mark.touch()
    until(lambda: hub.told("journal-doubted"), "a read to fail")
    until(lambda: "file" in reasons(hub), "readyz to say so, which looks once a second")
    assert "journal-unavailable" in attempt(hub, 5)
    until(lambda: "cannot be read: Input/output error" in hub.log.read_text(), "the hub to know that it is the disk")
    mark.unlink()
    again = until(lambda: not isinstance(found := attempt(hub, 5), str) and found, "the hub to go on")
    until(lambda: not reasons(hub), "readyz to say so")
    assert not hub.told("journal-damaged"), "the file is whole"
    assert_kept(hub, receipts | {"vpub-5": (again.document_id, again.sha256)})
    hub.cli("db", "verify")


@contextlib.contextmanager
def locked(hub):
    """Keep everybody else from writing, as a disk does that has stopped."""
    engine = transactions.open_journal(read_config(hub.config).database_url, pooled=False)
    with transactions.write_transaction(engine) as tx:
        if tx.dialect.name == "postgresql":
            tx.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            tx.exec_driver_sql("LOCK TABLE delivery IN EXCLUSIVE MODE")
        yield
    engine.dispose()


@pytest.mark.parametrize("hub", DATABASES, indirect=True)
def test_while_the_journal_cannot_be_written_callers_are_put_off_soon_and_what_reads_goes_on(hub):
    hub.start()
    sent = attempt(hub, 0)
    with locked(hub):
        until(lambda: "queue" in reasons(hub) and "steps wait" in hub.log.read_text(), "the hub to say so")
        until(lambda: "hub-busy" in attempt(hub, 1), "a caller to be put off at once, not when the commit has failed")
        with hub.client("sotttt") as client:
            assert client.pending("H55.13") == (sent.document_id,)
    until(lambda: not isinstance(attempt(hub, 2), str), "the next to be taken in")
