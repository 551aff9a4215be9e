"""Kill the hub under load: of the time of which its witness says that it has every receipt, it has each that a caller holds."""

import random
import threading
import time
from datetime import UTC, date, datetime, timedelta

import pytest

from hub.cli.documents_client import HubUnavailable
from hub.config import read_config
from hub.keeping.backups.witness import Witness
from lienthong_demo.plan.packets import write_document_packet
from tests.conftest import DATABASES

pytestmark = pytest.mark.slow

KILLS = 2


class Callers:
    """Senders that note when they got each receipt."""

    def __init__(self, hub):
        self.hub, self.over, self.held = hub, threading.Event(), {}
        self.threads = [
            threading.Thread(target=self._send, args=(*who,))
            for who in (("sotttt", "H55.13", ["H55.1"]), ("vpub", "H55.1", ["H55.13"]))
        ]

    def _send(self, partner, sender, recipients):
        number = 0
        while not self.over.is_set():
            number += 1
            packet = write_document_packet(
                sender, recipients, number=str(number), notation=partner, subject="x", promulgated=date(2026, 11, 20)
            )
            while not self.over.is_set():
                try:
                    with self.hub.client(partner) as client:
                        held = client.send(packet, f"{partner}-{number}").document_id
                except HubUnavailable:
                    time.sleep(0.02)
                    continue
                self.held[held] = datetime.now(UTC)
                break

    def __enter__(self):
        for each in self.threads:
            each.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for each in self.threads:
            each.join()


@pytest.mark.parametrize("first", [True, False], ids=["witnessed first", "witnessed after"])
@pytest.mark.parametrize("hub", DATABASES, indirect=True)
def test_no_receipt_that_a_caller_holds_is_missing_from_the_time_that_the_witness_calls_complete(hub, first):
    if first:
        with hub.config.open("a", encoding="utf-8") as file:
            file.write("\n[backup]\nwitness-first = true\n")
    seen = read_config(hub.config).witness_folder
    with Callers(hub) as callers:
        for _ in range(KILLS):
            before = len(callers.held)
            hub.start()
            time.sleep(1.5 + random.random())
            hub.kill()
            time.sleep(0.2)  # a receipt that has left is noted
            assert len(callers.held) > before
            require_whole(Witness(seen), dict(callers.held), everything=first)


def require_whole(witness, held, *, everything):
    """*everything*: each receipt is there, not only those of the time that the witness names."""
    window = witness.find_window(1, 0, None, datetime.now(UTC) + timedelta(seconds=1))
    assert window is not None
    there = {each.id for each in witness.find_missing(1, 0)}
    named = {each for each, at in held.items() if everything or at < window[1]}
    assert named
    assert named <= there
