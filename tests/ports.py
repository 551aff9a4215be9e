"""Free ports of this machine for servers of the tests: none is ever given to two of them, in whatever process they run.

A port that is free when it is chosen may be listened on by another test before its own server starts, or while that server is down.  So each
port is locked for the life of the process that chose it, whoever listens on it; the hub's own choice knows nothing of such locks, and chooses
from other ports.
"""

import errno
import fcntl
import functools
import os
import random
import socket
import tempfile

from hub.runtime import free_ports

#: Above the range of outgoing connections (Linux: to 60999), where neither the hub chooses a port nor a browser refuses one.
_OURS = range(61_000, 65_536)
_given: set[int] = set()


def find_free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return *count* ports of *host* on which no process listens, and which no other test gets."""
    found: list[int] = []
    first = random.randrange(len(_OURS))
    for port in (*_OURS[first:], *_OURS[:first]):
        if len(found) == count:
            return found
        if port not in _given and _lock(port) and _is_free(host, port):
            found.append(port)
    return found + free_ports.find_free_ports(count - len(found), host)  # hundreds of hubs later


def _lock(port: int) -> bool:
    """Take the lock of *port*, an octet of a file that the tests of an account share; it goes with this process."""
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    _given.add(port)
    return True


@functools.cache
def _locks() -> int:
    return os.open(f"{tempfile.gettempdir()}/lienthong-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as listening:
        try:
            listening.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True
