"""Honest partners as a process: `python -m tests.overload.honest [ORDERS]`.  Signed calls at fixed times, whatever the answers take.

Each call is due at its own time, and its latency counts from then: a hub that keeps everybody waiting cannot hide it.  Connections are
open before the first one, as those of partners that call all day are.  The last line that it prints is a JSON object: each call's seconds,
and every answer that was no receipt.  Without ORDERS, each line of its input is one.
"""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hub.security.certificates import Identity
from tests.overload import payloads
from tests.overload.wire import GONE, Line

#: Callers of one partner: enough for calls that wait long, so that the next is still sent in time.
CALLERS = 12
OCTETS = 1700  #: of the attachment of each packet: the call has 8.4 kB


def run(orders: Mapping[str, Any]) -> dict[str, Any]:
    """Send each partner's calls; return what came of them."""
    found: dict[str, Any] = {"seconds": [], "failed": [], "calls": 0, "octets": 0}
    lock = threading.Lock()
    calls: list[tuple[float, Mapping[str, Any], bytes]] = []
    for order, partner in enumerate(orders["partners"]):
        identity = Identity.read(Path(partner["key"]), Path(partner["certificate"]))
        for number in range(int(orders["seconds"] * orders["rate"])):
            name = f"{orders['name']}-{partner['code']}-{number}"
            attached = ("a.txt", os.urandom(OCTETS))
            packet = payloads.document(partner["unit"], orders["recipient"], name, attached)
            body = payloads.signed(payloads.send_document(packet, name), identity)
            due = (number + order / len(orders["partners"])) / orders["rate"]
            calls.append((due, partner, body))
    found["calls"], found["octets"] = len(calls), len(calls[0][2])
    begun, opened, go = 0.0, threading.Semaphore(0), threading.Event()

    def work(partner: Mapping[str, Any], mine: list[tuple[float, bytes]], first: threading.Lock) -> None:
        line = Line(partner, orders["soap"], timeout=orders["patience"])
        with contextlib.suppress(*GONE):  # the call tries again
            line.open()
        opened.release()
        go.wait()
        while True:
            with first:
                if not mine:
                    break
                due, body = mine.pop(0)
            time.sleep(max(0.0, begun + due - time.monotonic()))
            try:
                status, answer = line.call(body)
                good = status == 200 and b"<IsSuccess>true" in answer and b"Receipt" in answer
                said = "" if good else f"{status} {answer[:600].decode(errors='replace')}"
            except GONE as error:
                said = f"{type(error).__name__}: {error}"
            took = time.monotonic() - begun - due
            with lock:
                found["seconds"].append(took)
                if said:
                    found["failed"].append(said)
        line.close()

    workers = []
    for partner in orders["partners"]:
        mine = [(due, body) for due, whose, body in calls if whose is partner]
        first = threading.Lock()
        workers += [threading.Thread(target=work, args=(partner, mine, first)) for _ in range(CALLERS)]
    for worker in workers:
        worker.start()
    for _ in workers:
        opened.acquire()
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.monotonic()
    go.set()
    for worker in workers:
        worker.join()
    return found


if __name__ == "__main__":
    for asked in sys.argv[1:] or sys.stdin:
        print(json.dumps(run(json.loads(asked))), flush=True)
