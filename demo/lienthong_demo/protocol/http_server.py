"""An HTTP server of its own threads, which answers each call as a function says: the one of all stand-ins of partners.

Knows HTTP/1.1 and TLS on loopback. Knows no dialect, no mood and no notebook.
"""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs


@attrs.frozen
class ServerCall:
    """One received call."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  #: names in lower case
    body: bytes
    target: str  #: path and query as they were sent

    def json(self) -> Any:
        """Return the body parsed as JSON. Raises ValueError if it is not JSON."""
        return json.loads(self.body)


@attrs.frozen
class ServerAnswer:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def json(cls, value: object, status: int = 200) -> "ServerAnswer":
        """Return an answer with *value* as JSON."""
        return cls(status, json.dumps(value, ensure_ascii=False).encode())


#: Returns the answer to a call; None: the connection is closed without one.
Answering = Callable[[ServerCall], ServerAnswer | None]


class StandInServer(ThreadingHTTPServer):
    """A server on loopback; each connection has its thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Answering, port: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.answer = answer
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"
        if (
            tls is not None
        ):  # the handshake happens in the connection's own thread, so that a silent client blocks no other
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a caller that closes the connection."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandInServer

    def _take(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        said = self.server.answer(
            ServerCall(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body, self.path)
        )
        if said is None:
            self.close_connection = True
            return
        self.send_response(said.status)
        for name, value in {"Content-Type": said.content_type, **said.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said.body)))
        self.end_headers()
        self.wfile.write(said.body)

    do_GET = do_POST = do_PUT = do_DELETE = _take

    def log_message(self, *_: object) -> None:
        """Log nothing: who answers knows the calls."""


@contextmanager
def serve_calls(answer: Answering, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[StandInServer]:
    """Answer calls on the loopback *port* (0: any) until the block is left."""
    with StandInServer(answer, port, tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
