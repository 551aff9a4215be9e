"""Nodes on two machines that cannot reach each other, or of which one does not reach the database for a while."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import psycopg
import pytest

from lienthong_demo.run.postgres import Absent, Server
from tests.conftest import cannot_be_had, not_applicable
from tests.faults import net
from tests.faults.test_matrix import EVERY, account
from tests.faults.town import Town, opened
from tests.running import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("xmlsec1")]
#: Longer than a node is believed alive, or its leases last.
LONG = 16


@pytest.fixture
def machines():
    """Two network namespaces, and a database that both reach."""
    if os.geteuid() != 0:
        not_applicable("only root may make network namespaces")
    if not shutil.which("ip"):
        cannot_be_had("ip", "apt-get install iproute2")
    try:
        with net.laid(2) as laid, Server.open({"listen_addresses": laid.database}) as server:
            with (server.home / "data/pg_hba.conf").open("a") as rules:
                rules.write("host all all 10.0.0.0/8 trust\n")
            assert server._process is not None
            server._process.send_signal(signal.SIGHUP)
            yield laid, server, f"postgresql://lienthong@{laid.database}:5432/postgres"
    except Absent as absent:
        cannot_be_had("PostgreSQL", str(absent))


@pytest.fixture
def town(tmp_path, machines):
    """Two nodes, each in a network namespace of its own; the database and the partners are outside."""
    laid, server, over_the_net = machines
    made = Town.found(tmp_path, server.url(), nodes=2, host=laid.partners, node_database=over_the_net)
    made.prefix = laid.prefix(0)
    for number, node in enumerate(made.nodes, start=1):
        node.prefix = laid.prefix(number)
    with opened(made):
        made.start(wait=False)
        for number, node in enumerate(made.nodes, start=1):
            made.load(seed=f"net-{number}", prefix=node.prefix, nodes=[node], fetches=number == 2)
        made.mode("cham", "slow", 0.7)
        made.mode("hong", "down")
        made.flow(25, "over the net")
        yield made, laid


def rest(town, fault, occupied):
    town.flow(15, "after the fault")
    town.mode("hong", "ok")
    town.end_load()
    town.quiet()
    account(town, fault, "PostgreSQL", occupied)


def test_nodes_that_cannot_reach_each_other_and_one_that_loses_the_database(town):
    town, laid = town
    assert not laid.reaches(1, laid.address(2))
    assert not laid.reaches(2, laid.address(1))
    until(lambda: set(town.states()) == EVERY, "a delivery in every state")
    occupied = Counter(town.states())
    laid.cut(1, laid.database)
    time.sleep(LONG)
    laid.join(1, laid.database)
    rest(town, "nodes apart; one cut off from the database", occupied)


def test_a_node_whose_cable_is_pulled(town):
    town, laid = town
    until(lambda: set(town.states()) == EVERY, "a delivery in every state")
    occupied = Counter(town.states())
    laid.unplug(1)
    time.sleep(LONG)
    laid.plug(1)
    rest(town, "node cut off from everyone", occupied)


#: Takes a lock, waits to be told, and then sends many statements at once.
_WRITER = """
import sys
from hub.store.transactions import open_journal, write_transaction
with write_transaction(open_journal(sys.argv[1], pooled=False)) as tx:
    tx.exec_driver_sql("SELECT pg_advisory_xact_lock(4711)")
    print("locked", flush=True)
    sys.stdin.readline()
    tx.connection.cursor().executemany("SELECT repeat(%s, 2)", [("x" * 100,)] * 10_000)
"""


def test_who_is_cut_off_in_the_middle_of_many_statements_keeps_its_locks_for_seconds(machines):
    laid, server, over_the_net = machines
    psycopg_url = over_the_net.replace("postgresql:", "postgresql+psycopg:")
    words = [*laid.prefix(1), sys.executable, "-c", _WRITER, psycopg_url]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "locked\n"
        laid.cut(1, laid.database)
        writer.stdin.write("\n")
        writer.stdin.flush()
        with psycopg.connect(server.url(), autocommit=True) as other:

            def free() -> bool:
                return other.execute("SELECT pg_try_advisory_lock(4711)").fetchone() == (True,)

            assert not free()
            until(free, "the lock to be free", patience=LONG)
        laid.join(1, laid.database)
        writer.kill()
