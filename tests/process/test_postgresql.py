"""A hub on PostgreSQL: the server goes and comes back under load, and an operator's mistakes are named before the start."""

import contextlib
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from twisted.python.failure import Failure

from hub.cli.documents_client import HubUnavailable
from hub.config.database import parse_database_url
from hub.domain.errors import Unready
from hub.domain.model import Event
from hub.journal import events
from hub.store import transactions
from hub.store.batch_commit import commit_steps
from lienthong_demo.plan.packets import write_document_packet
from lienthong_demo.run.postgres import Server
from tests.process.test_kill import Load, assert_counted_once, assert_nothing_lost, waiting
from tests.running import PATIENCE, RunningHub, until

pytestmark = pytest.mark.slow
PACKET = write_document_packet(
    "H55.1", ["H55.13"], number="1", notation="X", subject="x", promulgated=date(2026, 11, 20)
)


@pytest.fixture
def server(postgresql):
    """A server that the test may crash."""
    del postgresql  # where there is none, the test says so as every other does
    with Server.open() as made:
        yield made


@pytest.fixture
def restless(server, tmp_path):
    """A hub in its database."""
    made = RunningHub(tmp_path / "hub", server.url())
    yield made
    made.close()


def test_a_server_that_crashes_under_load_loses_no_receipted_message_and_the_hub_recovers_by_itself(server, restless):
    hub = restless
    for partner in ("vpub", "vpcp"):
        hub.letterbox(partner)
    hub.start()
    with Load(hub) as load:
        for outage in range(3):
            until(lambda outage=outage: len(load.receipts) >= 9 * (outage + 1), "receipts between the outages")
            server.crash()
            status, body = until(
                lambda: b'"database": "unavailable"' in (found := hub.get("/readyz"))[1] and found, "the hub to say so"
            )
            assert (status, json.loads(body)["ready"]) == (503, False)
            assert b"/" not in body, "no path, no socket, no URL"
            assert "readiness-changed" in hub.log.read_text()
            with hub.client("vpub") as client, pytest.raises(HubUnavailable) as caught:
                client.send(PACKET, f"during-{outage}")
            assert "journal-unavailable" in str(caught.value)
            time.sleep(0.3 * outage)
            server.start()
            until(hub.is_ready, "the hub to be ready again, without a restart")
        until(lambda: len(load.receipts) > 40, "some receipts more")
    assert not load.broken
    until(lambda: load.fetch_all() == 0, "everything to be fetched")
    until(lambda: not waiting(hub), "everything to be delivered")
    assert_nothing_lost(hub, load)
    assert_counted_once(hub, load)


def test_a_server_that_does_not_answer_is_named_by_check_and_twistd_and_by_every_command(server, restless):
    restless.cli("check")
    server.stop()
    said = [line for line in restless.cli("check", "--json", code=78) if "database" in line["path"]]
    assert len(said) == 1
    assert "does not answer" in said[0]["wrong"]
    restless.start(wait=False)
    assert restless.process.wait(PATIENCE) == 78
    restless.cli("messages", code=69)
    restless.cli("db", "status", code=69)
    server.start()
    (row,) = restless.cli("db", "status", "--json")
    assert row["current"] is True


@pytest.mark.parametrize("setting", ["synchronous_commit", "fsync"])
def test_a_server_that_may_forget_a_commit_is_refused(server, restless, setting):
    engine = transactions.open_journal(parse_database_url(server.url(), restless.home), pooled=False)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"alter system set {setting} = off"))
        connection.execute(sa.text("select pg_reload_conf()"))
    until(lambda: restless.cli("check", "--json", code=None)[0].get("kind") != "ok", "the setting to be read")
    (mistake,) = restless.cli("check", "--json", code=78)
    assert mistake["wrong"].startswith(f"{setting} is off")
    engine.dispose()


def test_a_database_that_is_in_use_is_not_written_over_by_init(server, restless, tmp_path):
    restless.cli("init", tmp_path / "second", "--database", server.url(), config=False, code=1)
    assert not (tmp_path / "second").exists()
    (row,) = restless.cli("db", "status", "--json")
    assert row["current"] is True


@pytest.fixture
def started(restless):
    """It runs, and the office takes what is sent to it."""
    restless.letterbox("vpub")
    return restless.start()


def told_to_send_again(hub, name):
    """Send, and see that a fault comes that may be retried; print how long it took."""
    begun = time.monotonic()
    with hub.client("vpub") as client, pytest.raises(HubUnavailable) as caught:
        client.send(PACKET, name)
    assert "journal-unavailable" in str(caught.value)
    print(f"{name}: a fault after {time.monotonic() - begun:.2f} s")  # noqa: T201 - shown by pytest -s


def accepted(hub, name):
    """Send until it is accepted."""

    def send():
        try:
            with hub.client("vpub") as client:
                return client.send(PACKET, name)
        except HubUnavailable:
            return None

    return until(send, f"{name} to be accepted")


def sql(server, *statements):
    with psycopg.connect(server.url(), autocommit=True) as connection:
        done = [connection.execute(statement) for statement in statements]
        return [each.fetchall() for each in done if each.description]


def test_a_server_that_says_nothing_makes_nobody_wait_for_it(server, started):
    processes = [server._process.pid]
    os.kill(processes[0], signal.SIGSTOP)
    until(lambda: stands_still(processes[0]), "the server to make no more processes")
    processes += children(processes[0])
    for pid in processes[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        told_to_send_again(started, "frozen")
        told_to_send_again(started, "frozen")
        until(lambda: started.get("/readyz")[0] == 503, "readyz to say so, which looks once a second")
    finally:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    accepted(started, "frozen")
    until(started.is_ready, "it to be ready")


def stands_still(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_connections_that_the_server_ends_are_made_anew_and_nobody_notices(server, started):
    for number in range(5):
        sql(server, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'lienthong'")
        accepted(started, f"ended-{number}")
    until(lambda: len(started.cli("messages", "--json")) == 5, "all to be there")


def lose_the_standby(server):
    """Let every commit wait for a standby that is not there, from when this returns: the server hears of it after it has answered."""
    sql(server, "alter system set synchronous_standby_names = 'ghost'", "select pg_reload_conf()")
    until(lambda: a_commit_waits(server), "a commit to wait")


def a_commit_waits(server):
    """Commit something; tell whether that had to wait, and was told to wait no longer."""
    with psycopg.connect(server.url(), autocommit=True) as one, ThreadPoolExecutor(1) as beside:
        cancel = f"select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep' and pid = {one.info.backend_pid}"
        committing = beside.submit(one.execute, "select pg_logical_emit_message(true, 'lienthong', 'x')")
        found = until(
            lambda: "waits" if sql(server, cancel) != [[]] else committing.done() and "goes on",
            "a commit to end or to wait",
        )
        committing.result(PATIENCE)
        return found == "waits"


def test_nothing_is_receipted_that_the_standby_does_not_have(server, started):
    """The standby is gone: a commit waits for it, and one that is told to wait no longer has not been confirmed."""
    accepted(started, "before")
    try:
        lose_the_standby(server)
        told_to_send_again(started, "alone")
        cancel = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"
        for _ in range(5):
            sql(server, cancel)
            told_to_send_again(started, "alone")
        kept = {row["message_id"] for row in started.cli("messages", "--json")}
        assert kept >= {"before"}
        until(lambda: started.get("/readyz")[0] == 503, "readyz to say so, which looks once a second")
        started.process.terminate()
        started.process.wait(PATIENCE)  # it can end all the same
        started.start(wait=False)
        until(lambda: started.get("/readyz")[0] == 503, "it to run, and not to be ready")
    finally:
        sql(server, "alter system reset synchronous_standby_names", "select pg_reload_conf()")
    assert accepted(started, "alone").document_id
    until(started.is_ready, "it to be ready")
    assert len(started.cli("messages", "--json")) == 2


def test_a_commit_that_was_told_to_wait_no_longer_for_the_standby_is_not_confirmed_and_reading_it_back_waits_too(
    server,
):
    engine = transactions.open_journal(parse_database_url(server.url(), Path()), pooled=False)
    transactions.upgrade_schema(engine)
    found: list[int] = []

    def step(tx):
        found.append(tx.exec_driver_sql("select count(*) from event").scalar())
        if not found[-1]:
            events.append_events(tx, Event("replay", datetime(2026, 11, 24, tzinfo=UTC), None, None, {}))
        return len(found)

    lose_the_standby(server)
    results: list[object] = []
    committing = threading.Thread(target=lambda: results.extend(commit_steps(engine, [step])))
    committing.start()
    cancelled = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"
    for tries in range(3):
        until(lambda tries=tries: len(found) > tries, "it to go on")  # else the wait before might be cancelled twice
        until(lambda: sql(server, cancelled) != [[]], "it to wait for the standby")
    committing.join(PATIENCE)
    (result,) = results
    assert isinstance(result, Failure)
    assert result.check(Unready)
    assert found == [0, 1, 1], "it was there, and not yet safe"
    sql(server, "alter system reset synchronous_standby_names", "select pg_reload_conf()")
    until(lambda: commit_steps(engine, [step]) == [4], "it to be safe")
