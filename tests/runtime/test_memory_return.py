"""Memory that was freed goes back to the system."""

import ctypes

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock

from hub.runtime import garbage
from hub.runtime.garbage import MemoryReturn, count_freed_octets, trim_memory


def test_memory_is_given_back_when_much_was_freed_since_the_last_time():
    clock, free, trims = Clock(), [0], list[int]()
    service = MemoryReturn(clock, maybeDeferred, lambda: free[0], lambda: trims.append(free[0]))
    service.startService()
    for octets in (
        garbage._WORTH - 1,
        garbage._WORTH,
        2 * garbage._WORTH - 1,  # glibc still counts what was given back
        0,
        garbage._WORTH,
    ):
        free[0] = octets
        clock.advance(MemoryReturn.every)
    assert trims == [garbage._WORTH, garbage._WORTH]
    _ = service.stopService()


def test_the_c_library_tells_what_is_free_and_gives_it_back():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    kept = [libc.malloc(60_000) for _ in range(1000)]
    before = count_freed_octets()
    for each in kept[:-1]:
        libc.free(each)
    assert count_freed_octets() > before + 30_000_000
    resident = _resident()
    trim_memory()
    assert resident - _resident() > 0
    libc.free(kept[-1])


def _resident():
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
        return int(file.read().split()[1])
