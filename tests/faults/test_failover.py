"""PostgreSQL's primary is lost with its machine, with deliveries in every state: the synchronous standby takes over, the nodes run on."""

import random
import subprocess
import tomllib

import pytest

from tests.faults.faults import Fault
from tests.faults.test_matrix import run
from tests.faults.town import Town, opened
from tests.patroni.machines import PASSWORDS, Machines, block
from tests.running import until
from tests.waiting import PROGRAM

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("xmlsec1")]


@pytest.fixture
def machines():
    """Three servers under Patroni, a primary and a synchronous standby among them, and the hub's database."""
    with Machines.open() as made:
        try:
            until(made.synchronous, "a synchronous standby", 120)
        except AssertionError:
            pytest.fail(made.logs())
        command = made.said(block("The database servers", "sh", "CREATE ROLE"))
        environment = {"PGPASSWORD": PASSWORDS["postgres"], "PATH": "/usr/bin:/bin"}
        subprocess.run(["bash", "-eu"], input=command, env=environment, text=True, check=True, timeout=PROGRAM)
        yield made


def lose_primary(machines):
    def strike(town: Town, chance: random.Random) -> None:
        lost = machines.primary()
        lost.kill()
        until(lambda: machines.primary() not in {None, lost}, "another primary", 90)

    return strike


def test_a_failover_to_the_synchronous_standby(machines, tmp_path, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORDS["lienthong"])
    url = tomllib.loads(machines.said(block("The hubs", "toml", "[database]")))["database"]["url"]
    town = Town.found(tmp_path, url, nodes=2)
    hosts = ",".join(f"{machine.address}:5432" for machine in machines.machines)
    town.url = f"postgresql://lienthong@{hosts}/lienthong?target_session_attrs=read-write"
    with opened(town):
        town.start()
        run(town, Fault("failover to the synchronous standby", lose_primary(machines)), "PostgreSQL")
