"""The senders after a backup was restored: `python -m tests.faults.resender ORDERS` sends again, in its order, all that was not refused.

The same ids and the same bytes: what the journal has gets its old receipt, what it lost gets a new one, and so does what was never
answered.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.faults.caller import Caller, Unknown
from tests.faults.record import Record, read


def run(orders: dict[str, Any]) -> None:
    """Send each until it is answered.  Refused."""
    path = Path(orders["record"])
    lines = list(read(path))
    done = {line["message_id"] for line in lines if line["what"] == "refused"}
    record, callers = Record(path), {}
    for line in lines:
        if line["what"] != "sending" or line["message_id"] in done:
            continue
        done.add(line["message_id"])
        partner = line["partner"]
        if partner not in callers:
            callers[partner] = Caller.load(Path(orders["pki"]), partner, orders["ports"])
        while True:
            try:
                taken = callers[partner].send(line["message_id"], line["packet"].encode())
            except Unknown:
                time.sleep(0.2)
                continue
            break
        said = {"message_id": line["message_id"], "sha256": line["sha256"], "document_id": taken.document_id}
        record.write("receipted", **said, receipt=taken.receipt.decode())


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
