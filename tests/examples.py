"""How many examples a property is shown.  Knows the two parts of a run; not what the properties say."""

import os

#: What a property is shown in the fast part, which is run after each change; the whole run shows more.
FEW = 20
FAST = os.environ.get("FAST") == "1"


def at_most(count: int) -> int:
    """Return *count*, the examples of the whole run; in the fast part never more than a few."""
    return min(count, FEW) if FAST else count
