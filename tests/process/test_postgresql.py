"""A hub on PostgreSQL: the server goes and comes back under load, and an operator's mistakes are named before the start."""

import json
import time
from datetime import date

import pytest
import sqlalchemy as sa

from hub import store
from hub.client import Unavailable
from hub.config.database import url_of
from hub.demo.packets import document
from hub.demo.postgres import Server
from tests.process.test_kill import Load, assert_counted_once, assert_nothing_lost, waiting
from tests.running import RunningHub, until

pytestmark = pytest.mark.slow
PACKET = document("H55.1", ["H55.13"], number="1", notation="X", subject="x", promulgated=date(2026, 11, 20))


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
        for outage in range(5):
            time.sleep(1.0)
            server.crash()
            status, body = until(lambda: (found := hub.get("/readyz"))[0] == 503 and found, "the hub to say so")
            assert json.loads(body)["reasons"]["database"] != "ok"
            assert status == 503
            with hub.client("vpub") as client, pytest.raises(Unavailable) as caught:
                client.send(PACKET, f"during-{outage}")
            assert "journal-unavailable" in str(caught.value)
            time.sleep(0.3 * outage)
            server.start()
            until(hub.is_ready, "the hub to be ready again, without a restart", 15)
        time.sleep(1)
    assert not load.broken
    until(lambda: load.fetch_all() == 0, "everything to be fetched")
    until(lambda: not waiting(hub), "everything to be delivered", 60)
    assert_nothing_lost(hub, load)
    assert_counted_once(hub, load)


def test_a_server_that_does_not_answer_is_named_by_check_and_twistd_and_by_every_command(server, restless):
    restless.cli("check")
    server.stop()
    said = [line for line in restless.cli("check", "--json", code=78) if "database" in line["path"]]
    assert len(said) == 1
    assert "does not answer" in said[0]["wrong"]
    restless.start(wait=False)
    assert restless.process.wait(20) == 78
    restless.cli("messages", code=69)
    restless.cli("db", "status", code=69)
    server.start()
    (row,) = restless.cli("db", "status", "--json")
    assert row["current"] is True


@pytest.mark.parametrize("setting", ["synchronous_commit", "fsync"])
def test_a_server_that_may_forget_a_commit_is_refused(server, restless, setting):
    engine = store.open_journal(url_of(server.url(), restless.home), pooled=False)
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
