"""How soon a connection is closed whose certificate a change distrusts: `./dev bench changes [--rounds 20] [--lines 50]`.

Honest partners call all the time. In each round a partner whose connections are open gets another certificate in place of
theirs, and the hub is told to reload. What is measured, from that signal: when each of the old connections is closed. It is
told beside the calls of the honest in the same time, of which none may fail and none lose its connection. Done when: each is
closed within a second. Exit 1 where that, or a call, fails.
"""

import argparse
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hub.cli.documents_client import DocumentsClient
from tests.packets import document
from tests.process.test_changes_under_load import CLOSED, HONEST, Town, prepare
from tests.running import PATIENCE, RunningHub

PARTNER = "soyte"


def close_lines(town: Town, lines: Sequence[socket.socket]) -> list[float]:
    """Tell the hub to reload; return after how many seconds each of *lines* was closed."""
    closed: list[float] = []
    with selectors.DefaultSelector() as waiting:
        for line in lines:
            waiting.register(line, selectors.EVENT_READ)
        began = time.monotonic()
        os.kill(town.nodes[0].process.pid, signal.SIGHUP)
        while len(closed) < len(lines):
            for key, _ in waiting.select(PATIENCE):
                assert not key.fileobj.recv(1), "nothing is said on it"  # type: ignore[union-attr]
                closed.append(time.monotonic() - began)
                waiting.unregister(key.fileobj)
            assert time.monotonic() < began + PATIENCE, f"{len(lines) - len(closed)} are still open"
    return closed


def agree(hub: RunningHub, name: str) -> None:
    """Issue a certificate *name*, and write that the partner has no other."""
    hub.issue(name)
    hub.cli("partners", "add", PARTNER, "--certificate", hub.files(name)["certificate"], "--unit", "*", "--replace")


def open_lines(town: Town, name: str, count: int) -> list[DocumentsClient]:
    """Agree to the certificate *name*, and call with it over so many connections."""
    hub = town.nodes[0]
    agree(hub, name)
    hub.cli("reload")
    found = [town.connect(hub, name) for _ in range(count)]
    for at, client in enumerate(found):
        client.send(document(to=town.unit), f"{name}-{at}")
    return found


def describe(name: str, seconds: Sequence[float]) -> str:
    """Return one row of the table, in milliseconds."""
    every = sorted(seconds)
    at = [every[min(len(every) - 1, int(len(every) * share))] * 1e3 for share in (0.5, 0.99)]
    return f"{name:<44} {len(every):>6} {at[0]:8.0f} {at[1]:8.0f} {every[-1] * 1e3:8.0f} ms"


def show(words: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./dev bench changes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--lines", type=int, default=50, help="connections that are to be closed")
    options = parser.parse_args(words)
    closed: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        hub = prepare(RunningHub(Path(place) / "hub"))
        town = Town([hub])
        try:
            hub.start()
            town.honest = [town.call(hub, name) for name in HONEST.values()]
            for number in range(options.rounds):
                clients = open_lines(town, f"edition-{number}", options.lines)
                agree(hub, "next")
                closed += close_lines(town, [client._connection.sock for client in clients])
                for client in clients:
                    client.close()
        finally:
            for each in town.honest:
                each.end()
            hub.close()
    calls = [ended - begun for each in town.honest for begun, ended in zip(each.begun, each.ended, strict=False)]
    print(f"{'':<44} {'number':>6} {'median':>8} {'p99':>8} {'longest':>8}")
    print(describe("from the signal until it is closed", closed))
    print(describe("a call of the honest meanwhile", calls))
    failed = [each.failure for each in town.honest if each.failure is not None]
    lost = sum(len(each.lines) - 1 for each in town.honest)
    print(f"calls of the honest that failed: {len(failed)}; connections that they lost: {lost}")
    sys.exit(bool(failed or lost or max(closed) > CLOSED))
