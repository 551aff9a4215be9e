"""The primary's machine is lost under load, then a hub: no receipted message with them, and nothing is restarted."""

import subprocess
import time
import tomllib

import pytest

from tests.patroni.machines import PASSWORDS, Machines, block
from tests.ports import find_free_ports
from tests.process.test_kill import Load, assert_counted_once, assert_nothing_lost, waiting
from tests.running import RunningHub, until
from tests.waiting import PROGRAM

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def machines():
    with Machines.open() as made:
        yield made


@pytest.fixture
def ready(machines):
    """A primary and a synchronous standby, and the hub's database."""
    try:
        until(machines.synchronous, "a synchronous standby", 120)
    except AssertionError:
        pytest.fail(machines.logs())
    command = machines.said(block("The database servers", "sh", "CREATE ROLE"))
    made = subprocess.run(
        ["bash", "-eu"], input=command, env={"PGPASSWORD": PASSWORDS["postgres"], "PATH": "/usr/bin:/bin"}, text=True,
        capture_output=True, check=False, timeout=PROGRAM,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return machines


@pytest.fixture
def hubs(ready, tmp_path, monkeypatch):
    """Two nodes in that database behind the load balancer, as the page has it."""
    said = tomllib.loads(ready.said(block("The hubs", "toml", "[database]")))["database"]
    password = tmp_path / "password"
    password.write_text(PASSWORDS["lienthong"] + "\n")
    password.chmod(0o600)
    with monkeypatch.context() as patched:
        patched.setenv("PGPASSWORD", PASSWORDS["lienthong"])  # init knows no file yet
        first = RunningHub(tmp_path / "first", said["url"])
    first.config.write_text(
        first.config.read_text().replace("[database]\n", f'[database]\npassword-file = "{password}"\n')
    )
    second = RunningHub(tmp_path / "second", beside=first)
    for partner in ("vpub", "vpcp"):
        first.letterbox(partner)
    yield first, second
    for each in (first, second):
        each.close()


def place(url):
    return url.split("/")[2]


def test_no_receipted_message_is_lost_with_the_primary_nor_with_a_hub_and_nothing_is_restarted(
    ready, hubs, monkeypatch
):
    first, second = hubs
    for each in hubs:
        each.start()
    balanced = f"127.0.0.1:{find_free_ports(1)[0]}"
    ready.balance(
        balanced,
        {f"hub{n}": (place(hub.soap), place(hub.admin), first.home / "pki/ca.crt") for n, hub in enumerate(hubs, 1)},
    )
    first.soap = f"https://{balanced}/soap/documents"
    until(lambda: len([row for row in second.cli("db", "nodes", "--json") if row["state"] == "alive"]) == 2, "both")
    with Load(first) as load:
        until(lambda: len(load.receipts) > 40, "receipts before")
        lost = ready.primary()
        assert lost is not None
        before = len(load.receipts)
        lost.kill()
        begun = time.monotonic()
        until(lambda: len(load.receipts) > before + 3, "receipts after the failover")
        outage = time.monotonic() - begun
        new = ready.primary()
        assert new is not None
        assert new is not lost
        until(lambda: first.is_ready() and second.is_ready(), "both to be ready, without a restart")
        survivor = second.process.pid
        between = len(load.receipts)
        first.kill()
        until(lambda: len(load.receipts) > between + 20, "receipts through the other hub")
    assert not load.broken, load.broken
    print(f"{len(load.receipts)} receipts, {before} before the loss; {outage:.1f} s without a primary")  # noqa: T201 - pytest -s
    first.soap = second.soap
    until(lambda: load.fetch_all() == 0, "everything to be fetched")
    until(lambda: not waiting(second), "everything to be delivered", 120)
    assert second.process.poll() is None
    assert second.process.pid == survivor
    assert_nothing_lost(Both(first, second), load)
    assert_counted_once(second, load)

    (standby,) = [each for each in ready.machines if each not in (lost, new)]
    monkeypatch.setenv("LIENTHONG_DATABASE_URL", f"postgresql://lienthong@{standby.address}/lienthong")
    said = second.cli("check", "--json", code=78)
    assert [mistake["wrong"] for mistake in said] == ["the server is a standby, which takes no writes"]


class Both:
    """The journal asked through one node, the letterboxes of another."""

    def __init__(self, letters, asked):
        self.received = letters.received
        self.cli, self.config = asked.cli, asked.config
