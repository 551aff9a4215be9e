"""Faults at random under load, one after another, drawn from a seed.  SEED=N strikes those of that seed again, in that order.

`./dev test` runs a quarter of a minute of them on PostgreSQL, `./dev soak MINUTES=N` as many as it is told, on both databases. On SQLite
the faults that `./dev test` draws befall a simulated province (tests/simulation).
"""

import os
import random
import secrets
import subprocess
import time
from collections import Counter

import pytest

from tests.faults import faults
from tests.faults.faults import Fault
from tests.faults.test_matrix import account
from tests.faults.town import Town, opened

pytestmark = pytest.mark.usefixtures("xmlsec1")
PARTNERS = [
    Fault("late", faults.LATE),
    Fault("garbage", faults.GARBAGE),
    Fault("slow", faults.SLOW),
    Fault("reset", faults.RESET),
    Fault("down", faults.DOWN),
]
NODES = [Fault("kill", faults.kill_node), Fault("stop", faults.stop_node)]


@pytest.fixture
def on_sqlite(tmp_path):
    """One node, and what may be done to it: a disk is filled only by root, who may mount a small one."""
    place, kinds = tmp_path / "disk", [*NODES * 2, *PARTNERS, Fault("torn WAL", faults.tear_wal)]
    place.mkdir()
    if os.geteuid() == 0:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", place], check=True)
        kinds.append(Fault("full disk", faults.fill_disk(place)))
    with opened(Town.found(tmp_path, None, data=place / "data")) as town:
        yield town, kinds
    if os.geteuid() == 0:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def on_postgresql(tmp_path, victim, fresh):
    """Three nodes, and what may be done to them and their server."""
    kinds = [
        *NODES * 2,
        *PARTNERS,
        Fault("kill PostgreSQL", faults.kill_server(victim)),
        Fault("freeze", faults.freeze_node),
    ]
    with opened(Town.found(tmp_path, fresh, nodes=3)) as town:
        yield town, kinds


def strike(place, database, minutes, seed):
    """Strike until the time is over; then account for everything."""
    town, kinds = place
    seed = os.environ.get("SEED", seed)
    print(f"SEED={seed}")  # noqa: T201 - to strike the same again
    chance = random.Random(seed)
    occupied: Counter[str] = Counter()
    struck: list[str] = []
    over = time.monotonic() + 60 * minutes
    town.start()
    town.load(seed=f"random-{seed}")
    town.flow(10, "before the faults")
    while time.monotonic() < over or not struck:
        fault = chance.choice(kinds)
        struck.append(fault.name)
        print(f"{len(struck)}. {fault.name}", flush=True)  # noqa: T201 - the order, for whoever reads of a failure
        occupied += town.states()
        fault.strike(town, random.Random(f"{seed} {len(struck)}"))
        time.sleep(chance.uniform(0.5, 3))
    town.flow(5, "after the faults")
    town.end_load()
    town.quiet(180)
    account(town, f"{len(struck)} at random, SEED={seed}", database, occupied)


@pytest.mark.slow
def test_a_quarter_of_a_minute_of_faults_on_three_nodes_and_postgresql(on_postgresql):
    strike(on_postgresql, "PostgreSQL", 0.25, "2")


@pytest.mark.soak
def test_faults_until_the_time_is_over_on_sqlite(on_sqlite):
    strike(on_sqlite, "SQLite", float(os.environ.get("MINUTES", "30")) / 2, str(secrets.randbits(32)))


@pytest.mark.soak
def test_faults_until_the_time_is_over_on_three_nodes_and_postgresql(on_postgresql):
    strike(on_postgresql, "PostgreSQL", float(os.environ.get("MINUTES", "30")) / 2, str(secrets.randbits(32)))
