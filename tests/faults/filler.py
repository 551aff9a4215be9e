"""Fills a journal without the network: `python -m tests.faults.filler ORDERS`.  Real packets, judged, receipted and taken by the hub.

This one imports the hub: it plays the listener, which a hundred thousand calls would keep busy for an hour.  What it promises
stands in a record like a sender's, and the checker believes neither.
"""

import hashlib
import json
import random
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from hub.domain.ids import make_id
from hub.intake import admission
from hub.journal import messages
from hub.node import check
from hub.soap import documents_requests
from hub.store import transactions
from lienthong_demo.plan.packets import write_document_packet
from tests.faults.record import Record

_BATCH = 100


def run(orders: dict[str, Any]) -> None:
    """Take so many messages, a batch a commit."""
    chance, record = random.Random(orders["seed"]), Record(Path(orders["record"]))
    found = check.check_config(Path(orders["config"]), datetime.now(UTC))
    assert found.province is not None, found.mistakes
    province = found.province
    partner = province.config.partners["sotttt"]
    engine = transactions.open_journal(province.config.database_url, password_file=province.config.password_file)
    lines = _letters(orders, chance)
    left: int = orders["messages"]
    while left:
        batch = [next(lines) for _ in range(min(left, _BATCH))]
        entries = []
        for said, packet in batch:
            record.write("sending", **said)
            now = datetime.now(UTC)
            call = documents_requests.SendDocument(packet, said["message_id"])
            entries.append(admission.judge_message(call, partner, province, "documents", now, make_id(now)))
        with transactions.write_transaction(engine) as tx:
            taken = [messages.record_message(tx, entry, province.routes) for entry in entries]
        for (said, _), one in zip(batch, taken, strict=True):
            assert one.receipt is not None, one.problems
            told = {"message_id": said["message_id"], "sha256": said["sha256"], "document_id": one.id}
            record.write("receipted", **told, receipt=one.receipt.decode())
        left -= len(batch)
    engine.dispose()


def _letters(orders: dict[str, Any], chance: random.Random) -> Any:
    lane = 0
    while True:
        lane += 1
        recipients = sorted(chance.sample(orders["recipients"], chance.choice([1] * 9 + [2])))
        for place in range(chance.choice([1, 1, 2, 3])):
            name = f"{orders['seed']}-{lane}"
            packet = write_document_packet(
                "H55.13",
                recipients,
                number=str(lane),
                notation=str(place),
                subject=f"{name} {place} ",
                promulgated=date(2026, 11, 20),
                document_id=name,
                kind=2 if place else 0,
                about=name if place else None,
            )
            said: dict[str, Any] = {
                "message_id": f"{name}-{place}",
                "sha256": hashlib.sha256(packet).hexdigest(),
                "partner": "sotttt",
            }
            said |= {"unit": "H55.13", "recipients": recipients, "lane": name, "place": place, "poisoned": False}
            yield said, packet


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
