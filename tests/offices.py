"""A partner process, its moods and orders, and a conversation held with it over real HTTP, without a hub between.

Knows processes, their orders and `http.client`; no dialect.  Conversations end here as in the hub: where no reply comes in time, the
adapter hears nothing more and the outcome is `Unavailable`.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from hub.domain.conversations import Arrival, Judged, Reply, Request, Unavailable
from lienthong_demo.protocol.notebook import read_notebook
from tests import warm
from tests.waiting import PATIENCE

ROOT = Path(__file__).parent.parent


def take(_arrival: Arrival) -> Judged:
    """Judge every arrival to be good."""
    return Judged(accepted=True)


@attrs.frozen
class Held:
    """A conversation that is over: how it ended, and what was said and found in it."""

    outcome: Any  #: an Outcome, a Collected, an Answer
    requests: list[Request] = attrs.field(factory=list)
    replies: list[Reply] = attrs.field(factory=list)
    arrivals: list[Arrival] = attrs.field(factory=list)


def hold(conversation: Any, judge: Callable[[Arrival], Judged] = take, *, patience: float = PATIENCE) -> Held:
    """Hold a delivery, a collection or an inquest to its end; an answer may take *patience* seconds."""
    held = Held(None)
    try:
        step = next(conversation)
        while True:
            if isinstance(step, Arrival):
                held.arrivals.append(step)
                step = conversation.send(judge(step))
                continue
            held.requests.append(step)
            try:
                held.replies.append(carry(step, patience))
            except (OSError, HTTPException) as error:
                conversation.close()
                return attrs.evolve(held, outcome=Unavailable(repr(error)))
            step = conversation.send(held.replies[-1])
    except StopIteration as end:
        return attrs.evolve(held, outcome=end.value)


def carry(request: Request, patience: float = PATIENCE) -> Reply:
    """Carry one request over a connection of its own.  OSError or HTTPException when no whole answer comes in time."""
    parts = urlsplit(request.url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=patience)
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request(request.method, target, request.body, dict(request.headers))
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, answer.read(), headers, datetime.now(UTC))
    finally:
        connection.close()


@attrs.define
class Office:
    """A partner process that listens: `lienthong_demo.partners.NAME`."""

    process: Any
    notebook: Path
    port: int

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def order(self, do: str, **more: object) -> Mapping[str, Any]:
        """Give it an order and return what it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()
        return self.heard()

    def mood(self, mood: str, *, times: int | None = None, seconds: float = 0, path: str = "") -> None:
        """Let it be in a mood, for so many calls or until another; only for calls whose path ends with *path*."""
        assert self.order("mood", mood=mood, seconds=seconds, times=times, path=path) == {"mood": mood}

    def noted(self, what: str) -> list[Mapping[str, Any]]:
        """Return the lines of its notebook that tell of *what*."""
        return [line for line in read_notebook(self.notebook) if line["what"] == what]

    def heard(self) -> Mapping[str, Any]:
        """Return the next line it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the partner process ended with {self.process.wait(PATIENCE)}"
        answer: Mapping[str, Any] = json.loads(line)
        return answer


@contextmanager
def opened(name: str, directory: Path, *arguments: str) -> Iterator[Office]:
    """Run `python -m lienthong_demo.partners.NAME --port 0 --notebook FILE` with more *arguments* until the block ends."""
    notebook = directory / f"{name}.jsonl"
    command = [
        sys.executable,
        "-m",
        f"lienthong_demo.partners.{name}",
        "--port",
        "0",
        "--notebook",
        str(notebook),
        *arguments,
    ]
    process: Any = warm.start(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process.stdin, process.stdout:
        office = Office(process, notebook, 0)
        try:
            office.port = office.heard()["port"]
            yield office
            process.stdin.close()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
