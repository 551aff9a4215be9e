"""Hostile partners and strangers take the service from nobody: the attacks of `./dev bench attacks`, for some seconds."""

import pytest

from tests.overload import stage
from tests.overload.attacks import ATTACKS

pytestmark = pytest.mark.slow

SECONDS = 3.0
MB = 1_000_000
#: Octets that an attack may cost the hub above a quiet round: what is read at a time, and what one report counts.
MEMORY = 200 * MB


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with stage.opened(tmp_path_factory.mktemp("attacked") / "hub", facts=30_000) as made:
        made.hold_round(SECONDS)
        yield made


@pytest.fixture(scope="module")
def quiet(here):
    return here.hold_round(SECONDS)


#: Those that meet do not hide one another: each alone is enough to stop a hub that does not bear it.
TOGETHER = [
    ("calendars", "facts"),
    ("headers", "uploads"),
    ("mails", "sign-in", "readiness", "dripping"),
    ("reports",),
]


def test_every_attack_is_tried():
    assert sorted(name for names in TOGETHER for name in names) == sorted(ATTACKS)


@pytest.mark.parametrize("names", TOGETHER, ids="+".join)
def test_every_honest_call_gets_its_receipt_while_others_attack(here, quiet, names):
    found = here.hold_round(SECONDS, *names)
    assert found.failed == []
    assert len(found.latencies) == found.sent == quiet.sent
    assert found.delivered > 0
    assert all(found.attacks[name].get("sent") for name in names)
    assert found.healthz[-1] < stage.PATIENCE, "/healthz gave no answer"
    assert found.memory - quiet.memory < MEMORY
    assert found.signed_in is None or found.signed_in > 0
    assert stage.drained(here)
