"""Keeps Python's garbage collector from stopping the reactor's thread for objects that stay as long as the process.

A full collection looks at every object that can be part of a reference cycle. What a hub has loaded when it starts
(modules, schemas, configuration, services: some 240,000 objects) takes a tenth of a second, in which no call
is answered, and none of it is garbage. Knows no object.
"""

import gc


def exempt_lasting_objects() -> None:
    """Collect the garbage of the start, and let no later collection look at what is there now.

    What is replaced later, such as the configuration by a reload, is freed as before, unless it is part of a cycle.
    """
    gc.collect()
    gc.freeze()
