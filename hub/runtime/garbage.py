"""Keeps Python's garbage collector from stopping the reactor's thread, and gives freed memory back to the system.

A full collection looks at every object that can be part of a reference cycle. What a hub has loaded when it starts
(modules, schemas, configuration, services: some 240,000 objects) takes a tenth of a second, in which no call
is answered, and none of it is garbage. Knows no object.

Small blocks that were freed between others that stay are not given back by glibc by itself: after thousands of idle
connections a process kept all their memory.
"""

import ctypes
import gc
from collections.abc import Callable
from functools import cache
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from hub.runtime.periodic import PeriodicService

#: Octets that were freed and not given back, from which they are.
_WORTH = 32 << 20


class _MallInfo(ctypes.Structure):
    """What glibc's `mallinfo2` returns (mallinfo(3))."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", *"bcdefgh", "free", "keepcost")]


def exempt_lasting_objects() -> None:
    """Collect the garbage of the start, and let no later collection look at what is there now.

    What is replaced later, such as the configuration by a reload, is freed as before, unless it is part of a cycle.
    """
    gc.collect()
    gc.freeze()


def count_freed_octets() -> int:
    """Return how many octets are freed, but not given back to the system; 0 where the C library cannot tell."""
    mallinfo = _find_symbol("mallinfo2")
    if mallinfo is None:
        return 0
    mallinfo.restype = _MallInfo
    return int(mallinfo().free)


def trim_memory() -> None:
    """Give all pages back to the system that hold nothing any more (malloc_trim(3)). Other threads go on meanwhile."""
    if (trim := _find_symbol("malloc_trim")) is not None:
        trim(0)


@cache
def _find_symbol(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None)


@attrs.define(eq=False)
class MemoryReturn(PeriodicService):
    """Gives memory back to the system within half a minute after much of it was freed."""

    every = 20.0
    failure = "memory-not-returned"

    _clock: IReactorTime
    _run: Callable[..., Deferred[Any]]  #: runs a function in a thread
    _free: Callable[[], int] = count_freed_octets
    _trim: Callable[[], object] = trim_memory

    #: octets that were free after the last time: glibc goes on counting what it has given back
    _kept: int = attrs.field(default=0, init=False)

    async def work(self) -> None:
        """Give memory back, if it is worth it."""
        self._kept = min(self._kept, free := self._free())
        if free - self._kept >= _WORTH:
            gc.collect()  # connections are parts of cycles; 20,000 objects of 5,000 take 56 ms
            await self._run(self._trim)
            self._kept = self._free()
