"""Ports of this machine for what listens on them later: the sample province and its partners.  Knows nobody who does."""

import errno
import secrets
import socket

#: Below those of connections going out (Linux: from 32768; IANA: from 49152).
_NEVER_GOING_OUT = range(10_000, 32_768)


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return ports of *host* that nobody listens on, no two alike.  OSError: *host* is no address of this machine.

    The kernel is not asked to choose: it chooses among those that it also gives to connections going out, and by the
    time that one is listened on, such a connection may have taken it.
    """
    chosen: set[int] = set()
    while len(chosen) < count:
        port = secrets.choice(_NEVER_GOING_OUT)
        with socket.socket() as listening:
            try:
                listening.bind((host, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                chosen.add(port)
    return list(chosen)
