"""What serves a partner that the hub calls: its moods, its notebook, its orders.

Knows no dialect, and leaves HTTP to `http_server`.

A partner process makes a `PartnerServer` with its answers and calls `serve`. The conductor writes one JSON order a line
to its standard input.
`{"do": "mood", "mood": "slow", "seconds": 2, "times": 3}` sets the mood, for `times` calls or until the next one; with
`"path": "/sendEdoc"` only for calls of which the path ends so. `{"do": "lose", "share": 0.3, "seed": 1}` lets it
execute every call and close the connection without an answer at that share of them. Every other order goes to the
partner's own `obey`. Each order is answered by one line. When the input ends, the partner ends.
"""

import json
import random
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall, serve_calls
from lienthong_demo.protocol.notebook import Notebook

#: The moods of an office: normal; 503; answering after `seconds`; executing the call and closing the connection without
#: an answer; answering garbage; refusing the caller's credentials. `refuse` is left to the dialect.
MOODS = ("normal", "refuse", "unavailable", "slow", "mute", "garbage", "denied")


@attrs.define
class PartnerServer:
    """The state that the threads of one partner share.

    `answer(call, refuse)` is the dialect; with *refuse* it must refuse the call.
    """

    notebook: Notebook
    answer: Callable[[ServerCall, bool], ServerAnswer]
    obey: Callable[[Mapping[str, Any]], Mapping[str, object]] = lambda order: {"error": f"no such order: {order}"}
    #: the answer in the mood `denied`
    denial: ServerAnswer = attrs.field(factory=lambda: ServerAnswer.json({"error": "invalid credentials"}, 401))
    _mood: str = attrs.field(default="normal", init=False)
    _seconds: float = attrs.field(default=0.0, init=False)
    _times: int | None = attrs.field(default=None, init=False)
    _path: str = attrs.field(default="", init=False)  #: the end of the paths that the mood is for
    _lost: float = attrs.field(default=0.0, init=False)  #: share of the calls that are executed and not answered
    _chance: random.Random = attrs.field(factory=lambda: random.Random(0), init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def note(self, what: str, **body: object) -> None:
        """Write a line to the partner's notebook. It is on disk before anyone is answered."""
        self.notebook.write(what, datetime.now(UTC), **body)

    def serve(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen on the loopback *port* (0: any) and execute orders until they end."""
        with serve_calls(self._answer, port, tls) as server:
            self._say({"ready": True, "port": server.server_port})
            for line in sys.stdin:
                order = json.loads(line)
                orders = {"mood": self._set, "lose": self._lose}
                self._say(orders.get(order.get("do"), self.obey)(order))
        self.notebook.close()

    def _answer(self, call: ServerCall) -> ServerAnswer | None:
        mood, seconds = self.mood(call.path)
        if mood == "slow":
            time.sleep(seconds)
        match mood:
            case "unavailable":
                return ServerAnswer(503, b"down for maintenance", "text/plain")
            case "garbage":
                return ServerAnswer(200, b"<html>\xff not what you asked for", "text/html")
            case "denied":
                return self.denial
        said = self.answer(call, mood == "refuse")
        return None if mood == "mute" else said

    def _set(self, order: Mapping[str, Any]) -> Mapping[str, object]:
        if order["mood"] not in MOODS:
            return {"error": f"no such mood: {order['mood']}"}
        with self._lock:
            self._mood, self._seconds = order["mood"], float(order.get("seconds", 0))
            self._times, self._path = order.get("times"), order.get("path", "")
        return {"mood": order["mood"]}

    def _lose(self, order: Mapping[str, Any]) -> Mapping[str, object]:
        with self._lock:
            self._lost, self._chance = float(order["share"]), random.Random(order["seed"])
        return {"lose": self._lost}

    def mood(self, path: str) -> tuple[str, float]:
        """Return the mood of a call to *path*, and its delay in seconds."""
        with self._lock:
            meant = path.endswith(self._path)
            mood, seconds = (self._mood, self._seconds) if meant else ("normal", 0.0)
            if mood == "normal" and self._chance.random() < self._lost:
                return "mute", 0.0
            if meant and self._times is not None:
                self._times -= 1
                if self._times <= 0:
                    self._mood, self._times = "normal", None
        return mood, seconds

    @staticmethod
    def _say(answer: Mapping[str, object]) -> None:
        print(json.dumps(answer, ensure_ascii=False), flush=True)
