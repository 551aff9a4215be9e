"""The nodes' clock steps an hour ahead and an hour back, under load; the partners' clocks do not."""

from pathlib import Path

import pytest

from tests.conftest import DATABASES, cannot_be_had
from tests.faults import faults
from tests.faults.faults import Fault
from tests.faults.test_matrix import run
from tests.faults.town import Town, opened

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("xmlsec1")]


@pytest.fixture
def clock(tmp_path):
    """The file that says by how many seconds a clock is off, and the environment that makes a process believe it."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        cannot_be_had("libfaketime", "apt-get install faketime")
    file = tmp_path / "clock"
    faults.set_clock(file, "+0")
    return file, {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # it turns waits on the monotonic clock into loops that wait for nothing
    }


@pytest.mark.parametrize("database", DATABASES)
def test_a_clock_that_steps_by_an_hour(database, clock, tmp_path, request):
    file, env = clock
    url = request.getfixturevalue("fresh") if database == "postgresql" else None
    with opened(Town.found(tmp_path, url, nodes=2 if url else 1)) as town:
        for node in town.nodes:
            node.env = env
        town.start()
        run(town, Fault("clock steps by an hour", faults.step_clock(file)), "PostgreSQL" if url else "SQLite")
