"""Three nodes on one PostgreSQL deliver a crowd of messages to ten partners through many kills: nothing lost, nothing twice, in order.

The full one is `./dev soak` with MESSAGES=100000 and KILLS=50, which are its defaults; `./dev test` runs a short one.
"""

import os
import random
import time
from collections import Counter

import pytest

from tests.faults.test_matrix import account
from tests.faults.town import Child, Town, opened
from tests.running import until

pytestmark = pytest.mark.usefixtures("xmlsec1")
PARTNERS = ("vpcp", "vpub", *(f"d{number}" for number in range(1, 9)))


def wait_for(town, goal, pause):
    """Wait until so many are delivered; look only every *pause* seconds, for a look counts them all."""

    def come():
        time.sleep(pause)
        return town.states()["delivered"] >= goal

    until(come, f"{goal} to be delivered", 3600)


def deliver(tmp_path, url, messages, kills, fillers):
    chance = random.Random(messages)
    occupied: Counter[str] = Counter()
    with opened(Town.found(tmp_path, url, nodes=3, partners=PARTNERS)) as town:
        town.start()
        began = time.monotonic()
        for number in range(fillers):
            orders = {
                "config": str(town.nodes[0].config),
                "recipients": [unit for unit, _ in town.partners.values()],
                "messages": messages // fillers,
                "seed": f"crowd-{number}",
                "record": str(town.record(f"crowd-{number}")),
            }
            town.records.append(town.record(f"crowd-{number}"))
            town.children.append(Child.start(tmp_path, "filler", orders))
        for kill in range(1, kills + 1):
            goal = messages * kill // (kills + 2)
            wait_for(town, goal, messages / 100_000)
            occupied += town.states()
            node = chance.choice(town.nodes)
            node.kill()
            node.start()
            print(f"kill {kill} at {goal} of {messages}, {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
        for child in town.children:
            child.finish(3600)
        wait_for(town, messages, messages / 100_000)
        seconds = time.monotonic() - began
        town.quiet(600)
        print(f"{messages} messages through {kills} kills in {seconds:.0f} s")  # noqa: T201
        account(town, f"{kills} kills, 10 partners, 3 nodes", "PostgreSQL", occupied)


@pytest.mark.slow
def test_a_small_crowd_through_five_kills(fresh, tmp_path):
    deliver(tmp_path, fresh, 1000, 5, 1)


@pytest.mark.soak
def test_a_hundred_thousand_messages_through_fifty_kills(fresh, tmp_path):
    deliver(tmp_path, fresh, int(os.environ.get("MESSAGES", "100000")), int(os.environ.get("KILLS", "50")), 1)
