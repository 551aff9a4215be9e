"""A bulk replay whose command line and hub are killed in the middle: each chosen delivery is queued, and arrives, once more."""

import os
import signal
import time
from collections import Counter
from datetime import date

import pytest

from lienthong_demo.plan.packets import write_document_packet
from tests import warm
from tests.running import PATIENCE, until
from tests.warm import BIN

pytestmark = pytest.mark.slow

MANY = 60


@pytest.mark.parametrize("hub", ["postgresql", pytest.param("sqlite", marks=pytest.mark.soak)], indirect=True)
def test_a_replay_that_is_killed_goes_on_and_replays_each_delivery_once(hub):
    hub.letterbox("vpub")
    hub.start()
    with hub.client("sotttt") as client:
        for number in range(MANY):
            client.send(
                write_document_packet(
                    "H55.13",
                    ["H55.1"],
                    number=str(number),
                    notation="STTTT",
                    subject="x",
                    promulgated=date(2026, 11, 20),
                )
            )
    until(lambda: hub.cli("messages", "--delivery-state", "delivered", "--count", text=True) == f"{MANY}\n", "them all")
    counted = sorted((each["unit"], each["milestone"]) for each in hub.cli("report", "--facts", "--json"))
    hub.kill()

    # the command line is killed while no hub runs: whatever it had done is in the journal, or it is not
    words = ("replay", "--again", "--to", "vpub", "--reason", "sao lưu", "--key", "k", "--yes")
    for wait in (0.15, 0.4):
        command = warm.start(
            [BIN / "lienthong", "-c", hub.config, *words], cwd=hub.home, env=os.environ | {"LANG": "C.UTF-8"}
        )
        time.sleep(wait)
        command.send_signal(signal.SIGKILL)
        command.wait(PATIENCE)
    hub.cli(*words, "--rate", "1200/m", "--json")
    (plan,) = hub.cli("replays", "list", "--json")
    for _ in range(2):
        hub.start()
        time.sleep(0.7)
        hub.kill()
    hub.start()

    def is_done():
        (found,) = hub.cli("replays", "show", plan["id"], "--json")
        return found["state"] == "done" and found["results"] == {"delivered": MANY}

    until(is_done, "the plan to be done")
    items = hub.cli("replays", "show", plan["id"], "--items", "--json")[1:]
    assert len(items) == MANY
    for item in items:
        events = [each["event"] for each in hub.cli("trace", item["id"], "--json")]
        assert Counter(events)["delivery-replayed"] == 1
    # a node that was killed between the push and the settlement may push once more; the partner knows it by its id
    assert len({note["document_id"] for note in hub.received("vpub")}) == MANY
    assert sorted((each["unit"], each["milestone"]) for each in hub.cli("report", "--facts", "--json")) == counted
