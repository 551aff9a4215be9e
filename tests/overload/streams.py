"""Hostile partners as a process: `python -m tests.overload.streams`.  Each sends one kind of call over one connection at a rate of octets.

For each line of orders it makes ready, prints `ready`, waits for a line, sends, and prints how many calls were answered by which status.
"""

import json
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.overload import payloads
from tests.overload.attacks import identity
from tests.overload.operations import KINDS, Caller
from tests.overload.wire import GONE, Line

PATIENCE = 30.0  #: seconds that an attacker waits for an answer


def stream(
    orders: Mapping[str, Any], partner: Mapping[str, Any], counts: "Counter[str]", begin: threading.Event
) -> None:
    """Send the calls of one partner for so many seconds."""
    kind, who = KINDS[orders["kind"]], identity(partner)
    caller = Caller(**partner["caller"])
    line = Line(partner, orders["soap"].replace("/documents", f"/{kind.service}"), PATIENCE)

    def make(number: int) -> bytes:
        return payloads.signed(kind.make(caller, f"{orders['name']}-{partner['code']}-{number}"), who)

    body, number, sent = make(0), 0, 0
    begin.wait()
    begun = time.monotonic()
    until = begun + orders["seconds"]
    while time.monotonic() < until:
        counts["sent"] += 1
        try:
            counts[name_answer(*line.call(body))] += 1
        except GONE as error:
            counts[type(error).__name__] += 1
        sent, number = sent + len(body), number + 1
        body = make(number)
        time.sleep(max(0.0, min(begun + sent / kind.rate, until) - time.monotonic()))
    line.close()


def name_answer(status: int, answer: bytes) -> str:
    """Return the status of an answer, and the first code if the call was refused or faulted."""
    code = re.search(rb"Code>([a-zA-Z][^<]*)</[^>]*Code><[^>]*Desc", answer) or re.search(
        rb"faultstring[^>]*>([^:<]*)", answer
    )
    return f"{status}={code[1].decode()}" if code else str(status)


def run(orders: Mapping[str, Any]) -> dict[str, int]:
    """Do one round once somebody says so; return what was sent and answered."""
    counts: Counter[str] = Counter()
    begin = threading.Event()
    partners = orders["partners"] if orders["kind"] else []
    threads = [threading.Thread(target=stream, args=(orders, each, counts, begin), daemon=True) for each in partners]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.readline()
    begin.set()
    for thread in threads:
        thread.join(orders["seconds"] + PATIENCE)
    return dict(counts)


if __name__ == "__main__":
    os.nice(10)  # the hub and the honest go first
    for asked in sys.stdin:
        print(json.dumps(run(json.loads(asked))), flush=True)
