"""How long the tests wait for what must come, and how: a machine may be busy."""

import time

#: Seconds that anything may take which a test waits for: what comes soon costs no more for it, and a busy machine fails no test.
PATIENCE = 120.0
#: Seconds that a program may take which computes and then ends by itself, such as a compiler beside other tests: it is no bound of the hub's.
PROGRAM = 600.0
#: Seconds within which the hub does of itself what it would otherwise do when something has been idle for longer: a minute at least.
SOON = 40.0


def until(condition, what, patience=PATIENCE):
    """Wait until *condition* gives something true, and return it; fail, naming *what*, when it never does.

    As long between two looks as one takes, to a second: who asks by a command leaves the hub, and other tests, half of a core.
    """
    limit = time.monotonic() + patience
    while True:
        began = time.monotonic()
        found = condition()
        if found:
            return found
        assert time.monotonic() < limit, f"waited {patience} s for: {what}"
        time.sleep(min(max(0.05, time.monotonic() - began), 1.0))
