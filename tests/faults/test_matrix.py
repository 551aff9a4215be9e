"""Break one thing at a time under load, with deliveries in every state, and account for every message afterwards."""

import random
from collections import Counter

import pytest

from tests.faults import faults, matrix
from tests.faults.checker import check
from tests.faults.faults import Fault
from tests.faults.town import Town, opened
from tests.running import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("xmlsec1")]
#: What a delivery may stand in; a fault must find each of them.
EVERY = {"waiting", "sending", "held", "fetched", "delivered", "dead"}


def run(town, fault, database, *, times=1, seed="1"):
    """Load the town, strike, let it come to rest, check, and write the row."""
    chance = random.Random(seed)
    occupied: Counter[str] = Counter()
    town.load(seed=f"{fault.name.replace(' ', '-')}-{seed}")
    town.mode("cham", "slow", 0.7)  # there is always something on its way, and something that waits
    town.mode("hong", "down")
    town.flow(25, "before the fault")
    for _ in range(times):
        until(lambda: set(town.states()) == EVERY, "a delivery in every state")
        occupied += town.states()
        fault.strike(town, chance)
        town.flow(10, "after the fault")
    town.mode("hong", "ok")
    town.end_load()
    town.quiet()
    account(town, fault.name, database, occupied)


def account(town, fault, database, occupied):
    found = town.evidence()
    violations = check(found)
    matrix.WRITTEN.append(matrix.Row.of(fault, database, occupied, found, violations))
    assert not violations, "\n".join(f"{each.invariant}: {each.what}" for each in violations[:20])


ANYWHERE = [
    Fault("SIGKILL of a node", faults.kill_node),
    Fault("SIGTERM under load", faults.stop_node),
    Fault("partner accepts, then times out", faults.LATE),
    Fault("partner answers garbage", faults.GARBAGE),
    Fault("slow partner", faults.SLOW),
    Fault("partner resets the connection", faults.RESET),
]


#: What a partner does does not depend on the database: on SQLite it is left to the soak.
ON_SQLITE = [*ANYWHERE[:2], *(pytest.param(fault, marks=pytest.mark.soak) for fault in ANYWHERE[2:])]


@pytest.mark.parametrize("fault", ON_SQLITE, ids=lambda fault: fault.name.replace(" ", "-"))
def test_on_sqlite(fault, tmp_path):
    with opened(Town.found(tmp_path, None)) as town:
        town.start()
        run(town, fault, "SQLite")


@pytest.mark.parametrize("fault", ANYWHERE, ids=lambda fault: fault.name.replace(" ", "-"))
def test_on_two_nodes_and_postgresql(fault, tmp_path, fresh):
    with opened(Town.found(tmp_path, fresh, nodes=2)) as town:
        town.start()
        run(town, fault, "PostgreSQL")
