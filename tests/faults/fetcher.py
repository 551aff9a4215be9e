"""A partner system that fetches: `python -m tests.faults.fetcher ORDERS`.  Fetches, records, confirms; leaves some unconfirmed.

Every seventh document is fetched and not confirmed until its input ends; then all that is there is fetched and confirmed.
"""

import contextlib
import hashlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.faults.caller import Caller, Refused, Unknown
from tests.faults.receiver import told
from tests.faults.record import Record

_LEFT = 7


def run(orders: dict[str, Any]) -> None:
    """Fetch round after round until the input ends and nothing is left."""
    record, over = Record(Path(orders["record"])), threading.Event()

    def listen() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    caller = Caller.load(Path(orders["pki"]), orders["partner"], orders["ports"])
    got: dict[str, int] = {}
    limit: float | None = None
    while limit is None or time.monotonic() < limit:
        ending, left = over.is_set(), -1
        with contextlib.suppress(Unknown):
            left = _round(caller, orders["unit"], got, record, everything=ending)
        if ending:
            limit = limit or time.monotonic() + 60
            if left == 0:
                return
        time.sleep(0.1)


def _round(caller: Caller, unit: str, got: dict[str, int], record: Record, *, everything: bool) -> int:
    waiting = caller.pending(unit)
    for document_id in waiting:
        if document_id in got and got[document_id] % _LEFT == 0 and not everything:
            continue
        try:
            packet = caller.fetch(document_id)
            record.write(
                "arrived",
                document_id=document_id,
                sha256=hashlib.sha256(packet).hexdigest(),
                answer="fetched",
                **told(packet),
            )
            got.setdefault(document_id, len(got) + 1)
            if got[document_id] % _LEFT or everything:
                record.write("confirming", document_id=document_id)
                caller.confirm(document_id, unit)
        except Refused as refused:
            record.write("refused", document_id=document_id, codes=refused.codes)
    return len(waiting)


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
