"""Nodes on two machines that cannot reach each other, or of which one does not reach the database for a while."""

import os
import shutil
import signal
import time
from collections import Counter

import pytest

from hub.demo.postgres import Absent, Server
from tests.conftest import cannot_be_had, not_applicable
from tests.faults import net
from tests.faults.test_matrix import EVERY, account
from tests.faults.town import Town, opened
from tests.running import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("xmlsec1")]
#: Longer than a node is believed alive, or its leases last.
LONG = 16


@pytest.fixture
def town(tmp_path):
    """Two nodes, each in a network namespace of its own; the database and the partners are outside."""
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
            over_the_net = f"postgresql://lienthong@{laid.database}:5432/postgres"
            made = Town.found(tmp_path, server.url(), nodes=2, host=laid.partners, node_database=over_the_net)
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
    except Absent as absent:
        cannot_be_had("PostgreSQL", str(absent))


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
