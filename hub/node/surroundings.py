"""What a node takes from its process beside the reactor and the wall clock: threads, and clocks of what they use.

A test gives others, so that a node runs in a world of its own. No setting of `hub.toml` leads here.
"""

import time
from collections.abc import Callable

import attrs
from twisted.python.threadpool import ThreadPool

from hub.runtime.thread_pool import MakePool


@attrs.frozen
class Surroundings:
    """The threads of a node, and its clocks in seconds."""

    make_pool: MakePool = ThreadPool
    steady: Callable[[], float] = time.monotonic  #: the time that has gone by
    used: Callable[[], float] = time.thread_time  #: the CPU time that the calling thread has used


#: Those of every node outside tests.
REAL = Surroundings()
