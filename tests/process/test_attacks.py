"""Hostile partners and strangers take the service from nobody: the attacks of `./dev bench attacks`, for some seconds."""

import itertools
from collections.abc import Callable
from contextlib import closing

import attrs
import pytest

from hub.security.certificates import Identity
from tests.effort import read_scale
from tests.overload import payloads, stage
from tests.overload.attacks import ATTACKS, identity
from tests.overload.stage import Stage
from tests.overload.wire import Line

pytestmark = pytest.mark.slow

SECONDS = 2.0
#: Octets that the hub, the processes that count its reports and the one that answers dear calls have at most, whatever comes.
MEMORY = 800_000_000
#: Those that meet do not hide one another: each alone was enough to stop a hub that does not bear it.
TOGETHER = [
    ("calendars", "facts"),
    ("headers", "uploads", "mistakes"),
    ("mails", "sign-in", "readiness", "dripping"),
    ("reports",),
]


@attrs.frozen
class Call:
    """A signed call that was dear, and the CPU that the hub may spend until it is answered, where an RSA-2048 signature costs 0.3 ms."""

    make: Callable[[Identity, str], bytes]
    seconds: float


def carried(packet: Callable[[str, str, str], bytes]) -> Callable[[Identity, str], bytes]:
    names = (f"alone-{number}" for number in itertools.count())

    def make(who: Identity, unit: str) -> bytes:
        name = next(names)
        content = payloads.send_document(packet(unit, stage.RECIPIENT, name), name)
        return payloads.signed(content, who)

    return make


CALLS = {
    "ten calendars of twenty rules": Call(carried(payloads.calendars), 0.25),
    "twenty thousand facts": Call(carried(payloads.fact_flood), 0.25),
    "400 namespaces around 1,100 elements": Call(lambda who, _: payloads.signed_namespaces(who), 0.25),
    "9,000 mistakes": Call(lambda who, _: payloads.full_of_mistakes(who), 0.5),
    "28 References over 390,000 blocks": Call(
        lambda who, _: payloads.header_blocks(who, "<x/>", blocks=390_000, references=28), 2.0
    ),
    "390,000 unsigned elements": Call(lambda _who, _: payloads.empty_elements(390_000), 2.0),
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with stage.opened(tmp_path_factory.mktemp("attacked") / "hub", facts=30_000) as made:
        made.run_round(1.0)
        yield made


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_dear_call_costs_its_sender_no_more_than_is_promised(here: Stage, call: Call) -> None:
    (who, _) = here.partners(stage.HOSTILE)

    def spend() -> float:
        body = call.make(identity(who), who["unit"])
        scale, before = read_scale(), stage.processor_seconds(here.hub.process.pid)
        with closing(Line(who, here.hub.soap)) as line:
            line.call(body)
        return (stage.processor_seconds(here.hub.process.pid) - before) * min(1.0, scale, read_scale())

    # what falls into one call only, such as the hub's own work or memory that others have just used, is not its cost
    assert any(spend() <= call.seconds for _ in range(5))


def test_every_attack_is_tried() -> None:
    assert sorted(name for names in TOGETHER for name in names) == sorted(ATTACKS)


@pytest.mark.parametrize("names", TOGETHER, ids="+".join)
def test_every_honest_call_gets_its_receipt_while_others_attack(here: Stage, names: tuple[str, ...]) -> None:
    found = here.run_round(SECONDS, *names)
    assert found.failed == []
    assert len(found.latencies) == found.sent
    assert found.delivered > 0
    assert all(found.attacks[name].get("sent") for name in names)
    assert found.healthz[-1] < stage.PATIENCE, "/healthz gave no answer"
    assert found.memory < MEMORY
    assert found.signed_in is None or found.signed_in > 0
    assert stage.drained(here)
