"""`twistd` that pulls its own plug: KILLABLE_POINT names a place in the hub's code, KILLABLE_PASS which pass through it ends it.

The hub has no hook for this; its functions are wrapped from outside.  A mark is written before the end, so that a test knows
that the end came there.
"""

import os
import signal
import sys
from pathlib import Path
from types import ModuleType

from twisted.scripts.twistd import run

from hub.delivery import http_transport, push_service
from hub.intake import endpoint
from hub.journal import blobs, duties
from hub.soap import documents_responses

#: What one message alone and what many messages of one commit go through.
RECORDS = ((endpoint.record_message_once, "one"), (endpoint.record_message_once, "many"))
SETTLES = ((push_service._SETTLE, "one"), (push_service._SETTLE, "many"))
#: place -> (where its functions live and their names, whether the end comes before them or after them)
POINTS = {
    "kept-not-named": (((blobs, "keep_parts"),), "after"),
    "inserted-not-committed": (RECORDS, "after"),
    "committed-not-receipted": (((documents_responses, "write_taken_response"),), "before"),
    "claimed-not-sent": (((http_transport.Sender, "send"),), "before"),
    "sent-not-settled": (SETTLES, "before"),
    "settled-not-committed": (SETTLES, "after"),
    "enclosed-not-committed": (((duties, "record_enclosed_facts"),), "after"),
    "promised-not-written": (((duties, "write_next_slice"),), "before"),
    "written-not-committed": (((duties, "write_next_slice"),), "after"),
    "fetched-not-answered": (((documents_responses, "build_document_response"),), "before"),
    "confirmed-not-answered": (((documents_responses, "build_confirmed_response"),), "before"),
}


def arm(point, passes, mark):
    """Wrap the functions of *point* so that pass number *passes* through them is the last thing this process does."""
    places, when = POINTS[point]
    seen = 0

    def wrap(real):
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

        return wrapped

    for place, name in places:
        write = setattr if isinstance(place, ModuleType | type) else object.__setattr__  # a step for sets is frozen
        write(place, name, wrap(getattr(place, name)))


if __name__ == "__main__":
    arm(os.environ["KILLABLE_POINT"], int(os.environ["KILLABLE_PASS"]), Path(os.environ["KILLABLE_MARK"]))
    sys.argv[0] = "twistd"
    run()
