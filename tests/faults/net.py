"""Two machines on one: network namespaces, each with a cable to where the database and the partners are.  Root only, `ip` needed.

The nodes have no way to each other, ever; what else a node may reach is cut and joined here.  Where the cables end is a namespace, too: a
browser of another test that saw the addresses of this machine change would give up what it is asking for (ERR_NETWORK_CHANGED).
"""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import attrs

from tests import warm

_CLONE_NEWNET = 0x40000000


@attrs.frozen
class Net:
    """The names and addresses of one test."""

    number: int  #: in 0..127, so that two tests may run on one machine

    @property
    def database(self) -> str:
        """The address of the database."""
        return f"10.{64 + self.number}.8.1"

    @property
    def partners(self) -> str:
        """The address of the partners."""
        return f"10.{64 + self.number}.9.1"

    def address(self, node: int) -> str:
        """The address of a node."""
        return f"10.{64 + self.number}.{node}.2"

    def name(self, node: int) -> str:
        """The namespace of a node, or with 0 that of the database and the partners."""
        return f"lt{self.number}-{node}"

    def prefix(self, node: int) -> tuple[str, ...]:
        """What a command of that node is run by."""
        return ("ip", "netns", "exec", self.name(node))

    def cut(self, node: int, address: str) -> None:
        """Let what *address* says to a node get lost; what the node says still arrives: the worse half of a partition."""
        _ip("rule", "add", "from", address, "to", self.address(node), "blackhole")

    def join(self, node: int, address: str) -> None:
        """Undo `cut`."""
        _ip("rule", "del", "from", address, "to", self.address(node), "blackhole")

    def unplug(self, node: int) -> None:
        """Pull the node's cable: it reaches nobody."""
        _ip("link", "set", self.name(node), "down")

    def plug(self, node: int) -> None:
        """Put it back."""
        _ip("link", "set", self.name(node), "up")

    def reaches(self, node: int, address: str) -> bool:
        """Tell whether a node's packets come to *address*."""
        words = [*self.prefix(node), "python3", "-c", _ASK, address]
        return subprocess.run(words, check=False, capture_output=True).returncode == 0


#: A connection that is refused came there.
_ASK = """
import socket, sys
try: socket.create_connection((sys.argv[1], 9), timeout=2)
except ConnectionRefusedError: pass
"""


@contextlib.contextmanager
def laid(nodes: int) -> Iterator[Net]:
    """Yield a net for nodes 1, 2 …; nothing is left of it afterwards.  This thread is where the database is, with what it starts.

    What `warm` forks is not: it would be in this net for the tests that follow, too.
    """
    warm.ensure_forker()
    net = Net(os.getpid() % 128)
    with contextlib.ExitStack() as stack:
        _ip("netns", "add", net.name(0))
        stack.callback(_ip, "netns", "del", net.name(0))
        stack.enter_context(_inside(net.name(0)))
        _ip("link", "set", "lo", "up")
        for address in (net.database, net.partners):
            _ip("addr", "add", f"{address}/32", "dev", "lo")
        for node in range(1, nodes + 1):
            name, here = net.name(node), f"10.{64 + net.number}.{node}.1"
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            _ip("link", "add", name, "type", "veth", "peer", "name", "out", "netns", name)
            stack.callback(_ip, "link", "del", name)  # now: a namespace that goes takes its end along only later
            _ip("addr", "add", f"{here}/30", "dev", name)
            _ip("link", "set", name, "up")
            for words in (
                ("addr", "add", f"{net.address(node)}/30", "dev", "out"),
                ("link", "set", "out", "up"),
                ("link", "set", "lo", "up"),
                ("route", "add", "default", "via", here),
            ):
                _ip("-n", name, *words)
        yield net


@contextlib.contextmanager
def _inside(name: str) -> Iterator[None]:
    with Path("/proc/thread-self/ns/net").open() as before, Path(f"/run/netns/{name}").open() as there:
        _go(there)
        try:
            yield
        finally:
            _go(before)


def _go(namespace: TextIO) -> None:
    """Let this thread be in that network namespace (setns(2); `os` has it only from Python 3.12 on)."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
