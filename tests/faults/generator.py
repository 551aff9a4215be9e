"""Partner systems that send, in one process: `python -m tests.faults.generator ORDERS`, ORDERS being a JSON object.

Each thread writes whole lanes: a document, then updates of it, each only when the one before has its receipt.  A call without
an answer is made again with the same id and the same bytes until there is one, and now and then so is one that has its receipt.
The record has every call before it is made and every answer after it came.  The end of its input ends it.
"""

import hashlib
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from lienthong_demo.plan.packets import write_document_packet
from tests.faults.caller import Caller, Refused, Unknown
from tests.faults.record import Record

#: A packet with this in its subject is refused by whoever it is pushed to.
POISON = "TỪ CHỐI"
_LONGEST_LANE = 4
_POISONED, _AGAIN, _CALLS = 0.06, 0.05, 0.25
#: Days of a series that a lane's document may bring: some slices of facts, written after its receipt.
_SERIES = 250


def run(orders: dict[str, Any]) -> None:
    """Send until the input ends; then finish what is begun."""
    record, over = Record(Path(orders["record"])), threading.Event()
    threads = [
        threading.Thread(target=_send, args=(orders, number, who, record, over))
        for number, who in enumerate(orders["senders"])
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()


def _send(orders: dict[str, Any], number: int, who: dict[str, Any], record: Record, over: threading.Event) -> None:
    chance = random.Random(f"{orders['seed']} {number}")
    caller = Caller.load(Path(orders["pki"]), who["partner"], orders["ports"], at=number)
    lane, limit = 0, orders.get("lanes", 10**9)
    while not over.is_set() and lane < limit:
        lane += 1
        for packet, said in draw_lane(chance, who, f"{orders['seed']}-{number}", number, lane):
            if over.is_set() or not _until_answered(caller, packet, said, record, over):
                break
            if chance.random() < _AGAIN:
                _until_answered(caller, packet, said, record, over)
            time.sleep(orders["pause"] * chance.uniform(0.5, 1.5))
    caller.close()


def draw_lane(
    chance: random.Random, who: dict[str, Any], prefix: str, number: int, lane: int, days: int = _SERIES
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield each packet of a lane, and what the record says of it. *days*: of a series that its document may bring."""
    recipients = sorted(chance.sample(who["recipients"], chance.randint(1, len(who["recipients"]))))
    document_id, poisoned = f"{prefix}-{lane}", lane == 1 or chance.random() < _POISONED
    for place in range(chance.choice([1, 1, 2, 3, _LONGEST_LANE])):
        series = days if place == 0 and chance.random() < _CALLS else 0
        packet = write_document_packet(
            who["unit"],
            recipients,
            number=str(lane),
            notation=f"{number}-{place}",
            subject=f"{document_id} {place} {POISON if poisoned else ''}",
            promulgated=date(2026, 11, 20),
            document_id=document_id,
            kind=2 if place else 0,
            about=document_id if place else None,
            attachments=[("lich.ics", _calendar(document_id, series)) if series else ("a.txt", b"Noi dung\n")],
        )
        yield (
            packet,
            {
                "message_id": f"{document_id}-{place}",
                "sha256": hashlib.sha256(packet).hexdigest(),
                "partner": who["partner"],
                "unit": who["unit"],
                "recipients": recipients,
                "lane": document_id,
                "place": place,
                "poisoned": poisoned,
                "series": series,
                "packet": packet.decode(),
            },
        )


def _calendar(uid: str, days: int) -> bytes:
    """Return a series of so many daily meetings that the sender of its packet calls."""
    lines = [
        *("BEGIN:VCALENDAR", "METHOD:REQUEST", "BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20261101T000000Z"),
        *("DTSTART:20261102T010000Z", f"RRULE:FREQ=DAILY;COUNT={days}", "ORGANIZER:mailto:a@b", "SUMMARY:Giao ban"),
        *("END:VEVENT", "END:VCALENDAR", ""),
    ]
    return "\r\n".join(lines).encode()


def _until_answered(
    caller: Caller, packet: bytes, said: dict[str, Any], record: Record, over: threading.Event, patience: float = 60.0
) -> bool:
    """Send until there is an answer, or for *patience* seconds after the end.  True for a receipt."""
    record.write("sending", **said)
    limit: float | None = None
    while True:
        try:
            taken = caller.send(said["message_id"], packet)
        except Unknown as unknown:
            record.write("unknown", message_id=said["message_id"], why=str(unknown)[:200])
            if over.is_set():
                limit = limit or time.monotonic() + patience
                if time.monotonic() > limit:
                    return False
            time.sleep(0.2)
            continue
        except Refused as refused:
            record.write("refused", message_id=said["message_id"], codes=refused.codes)
            return False
        record.write(
            "receipted",
            message_id=said["message_id"],
            sha256=said["sha256"],
            document_id=taken.document_id,
            receipt=taken.receipt.decode(),
        )
        return True


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
