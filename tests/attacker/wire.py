"""Raw HTTP over TLS.

Knows sockets, framing of requests as the attacker wants it, and how to read an answer.  Knows nothing of XML security, and leaves it to
others to say whether an answer is good or bad.
"""

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE = 15.0  # seconds for one answer; the hub has no reason to take even one


@dataclass
class Answer:
    """What came back; status 0 when nothing did, and `lost` says why."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    lost: str = ""
    more: bytes = b""  # octets behind the first answer on the same connection

    @property
    def accepted(self) -> bool:
        return self.status == 200 and re.search(rb"<(?:\w+:)?IsSuccess>\s*(?:true|1)\s*<", self.body) is not None

    @property
    def fault(self) -> bool:
        return re.search(rb"<(?:\w+:)?Fault[\s>]", self.body) is not None

    @property
    def answered(self) -> bool:
        """An operation was carried out: no fault, no refusal."""
        return self.status == 200 and not self.fault and b"IsSuccess>false" not in self.body

    @property
    def code(self) -> str:
        """The first code of the hub's own, else what the transport said."""
        found = re.search(rb"<(?:\w+:)?Code>([a-zA-Z][^<]*)</(?:\w+:)?Code>", self.body)
        if found and self.status:
            return found[1].decode()
        if self.lost:
            return self.lost
        return "accepted" if self.accepted else f"HTTP {self.status}"

    def values(self, name: str) -> list[str]:
        return [
            found.decode()
            for found in re.findall(
                rb"<(?:\w+:)?" + name.encode() + rb">([^<]*)</(?:\w+:)?" + name.encode() + rb">", self.body
            )
        ]


def context(ca: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(ca))
    if certificate is not None:
        made.load_cert_chain(str(certificate), str(key))
    return made


class Line:
    """One connection after another to the same place, as one TLS identity."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        where = urlsplit(url)
        self.host, self.port, self.path = where.hostname or "127.0.0.1", where.port or 443, where.path
        self.tls = tls
        self.socket: ssl.SSLSocket | None = None

    def connect(self, wait: float = PATIENCE) -> ssl.SSLSocket:
        plain = socket.create_connection((self.host, self.port), timeout=wait)
        try:
            return self.tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def head(
        self, length: int | None, headers: dict[str, str], method: str = "POST", target: str | None = None
    ) -> bytes:
        lines = [f"{method} {target or self.path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")

    def post(self, body: bytes, headers: dict[str, str]) -> Answer:
        """One call on the standing connection, which is made anew when the hub has closed it."""
        request = self.head(len(body), headers) + body
        for fresh in (False, True):
            if fresh or self.socket is None:
                self.close()
                try:
                    self.socket = self.connect()
                except (OSError, ssl.SSLError) as error:
                    return Answer(lost=reason(error))
            answer = exchange(self.socket, [request])
            if answer.status == 0 or answer.headers.get("connection", "").lower() == "close":
                self.close()
            if answer.status or answer.lost == "timeout" or fresh:
                return answer
        raise AssertionError("unreachable")

    def raw(self, pieces: Iterable[bytes], *, linger: float = 0.0, patience: float = PATIENCE) -> Answer:
        """Octets on a connection of their own; `linger` seconds to see whether more than one answer comes."""
        try:
            with contextlib.closing(self.connect(patience)) as line:
                return exchange(line, pieces, linger=linger)
        except (OSError, ssl.SSLError) as error:
            return Answer(lost=reason(error))


def reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    return "TLS alert" if isinstance(error, ssl.SSLError) else "closed"


def exchange(line: ssl.SSLSocket, pieces: Iterable[bytes], *, linger: float = 0.0) -> Answer:
    begun = time.monotonic()
    lost, got = "", b""
    try:
        for piece in pieces:
            line.sendall(piece)
    except TimeoutError:
        lost = "timeout"
    except OSError as error:  # the hub may have answered before it closed
        lost = reason(error)
    try:
        while not complete(got):
            piece = line.recv(65536)
            if not piece:
                break
            got += piece
    except TimeoutError:
        lost = "timeout"
    except OSError as error:
        lost = reason(error)
    answer = parse(got)
    answer.seconds = time.monotonic() - begun
    if not answer.status:
        answer.lost = lost or "closed"
    elif linger:
        with contextlib.suppress(OSError):
            line.settimeout(linger)
            while piece := line.recv(65536):
                answer.more += piece
    return answer


def split(got: bytes) -> tuple[bytes, bytes] | None:
    head, gap, rest = got.partition(b"\r\n\r\n")
    return (head, rest) if gap else None


def complete(got: bytes) -> bool:
    parts = split(got)
    if parts is None:
        return False
    head, rest = parts
    if head.startswith(b"HTTP/1.1 100"):
        return complete(rest)
    length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
    if length:
        return len(rest) >= int(length[1])
    if re.search(rb"(?im)^transfer-encoding:\s*chunked", head):
        return rest.endswith(b"0\r\n\r\n")
    return False


def parse(got: bytes) -> Answer:
    parts = split(got)
    if parts is None or not got.startswith(b"HTTP/"):
        return Answer(more=got)
    head, rest = parts
    if head.startswith(b"HTTP/1.1 100"):
        return parse(rest)
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    status = int(lines[0].split(" ")[1])
    if "content-length" in headers:
        length = int(headers["content-length"])
        return Answer(status, headers, rest[:length], more=rest[length:])
    if "chunked" in headers.get("transfer-encoding", ""):
        body = b""
        while True:
            size, _, rest = rest.partition(b"\r\n")
            count = int(size or b"0", 16)
            if not count:
                return Answer(status, headers, body, more=rest.removeprefix(b"\r\n"))
            body, rest = body + rest[:count], rest[count + 2 :]
    return Answer(status, headers, rest)
