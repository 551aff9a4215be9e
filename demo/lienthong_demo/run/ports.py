"""Chooses free ports of this machine, for the sample province and its partners to listen on later."""

import errno
import secrets
import socket

#: Below the ephemeral ports of outgoing connections (Linux: from 32768; IANA: from 49152).
_NEVER_GOING_OUT = range(10_000, 32_768)


def find_free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return *count* different ports of *host* that nobody listens on.

    Raises OSError if *host* is no address of this machine.

    The kernel does not choose, because it would choose an ephemeral port: an outgoing connection may occupy that port
    before anyone listens on it.
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
