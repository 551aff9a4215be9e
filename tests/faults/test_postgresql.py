"""What happens to PostgreSQL and to nodes that share it: the server killed, a node frozen for longer than it is believed alive."""

import pytest

from tests.faults import faults
from tests.faults.faults import Fault
from tests.faults.test_matrix import run
from tests.faults.town import Town, opened

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("xmlsec1")]


def test_a_server_that_is_killed(victim, fresh, tmp_path):
    with opened(Town.found(tmp_path, fresh, nodes=2)) as town:
        town.start()
        run(town, Fault("SIGKILL of PostgreSQL", faults.kill_server(victim)), "PostgreSQL", times=2)


def test_a_node_that_is_frozen_for_longer_than_its_leases(fresh, tmp_path):
    with opened(Town.found(tmp_path, fresh, nodes=2)) as town:
        town.start()
        run(town, Fault("SIGSTOP of a node, then SIGCONT", faults.freeze_node), "PostgreSQL")
