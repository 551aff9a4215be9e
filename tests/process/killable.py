"""`twistd` that pulls its own plug: KILLABLE_POINT names a place in the hub's code, KILLABLE_PASS which pass through it ends it.

The hub has no hook for this; its functions are wrapped from outside.  A mark is written before the end, so that a test knows
that the end came there.
"""

import os
import signal
import sys
from pathlib import Path

from twisted.scripts.twistd import run

from hub.delivery import http_transport
from hub.journal import blobs, duties, messages
from hub.journal.queue import claims
from hub.soap import documents_responses

#: place -> (where the function lives, its name, whether the end comes before it or after it)
POINTS = {
    "kept-not-named": (blobs, "keep_parts", "after"),
    "inserted-not-committed": (messages, "record_message", "after"),
    "committed-not-receipted": (documents_responses, "write_taken_response", "before"),
    "claimed-not-sent": (http_transport.Sender, "send", "before"),
    "sent-not-settled": (claims, "settle_claim", "before"),
    "settled-not-committed": (claims, "settle_claim", "after"),
    "enclosed-not-committed": (duties, "record_enclosed_facts", "after"),
    "promised-not-written": (duties, "write_next_slice", "before"),
    "written-not-committed": (duties, "write_next_slice", "after"),
    "fetched-not-answered": (documents_responses, "build_document_response", "before"),
    "confirmed-not-answered": (documents_responses, "build_confirmed_response", "before"),
}


def arm(point, passes, mark):
    """Wrap the function of *point* so that its pass number *passes* is the last thing this process does."""
    place, name, when = POINTS[point]
    real = getattr(place, name)
    seen = 0

    def wrapped(*args, **kwargs):
        nonlocal seen
        seen += 1
        if seen < passes:
            return real(*args, **kwargs)
        if when == "after":
            real(*args, **kwargs)
        mark.write_text(point)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("not reached")

    setattr(place, name, wrapped)


if __name__ == "__main__":
    arm(os.environ["KILLABLE_POINT"], int(os.environ["KILLABLE_PASS"]), Path(os.environ["KILLABLE_MARK"]))
    sys.argv[0] = "twistd"
    run()
