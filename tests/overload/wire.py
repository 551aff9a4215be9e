"""HTTP over mutual TLS, as a partner of the hub speaks it here: blocking, a connection for each caller.  Knows no call and no signature."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
#: What a caller sees when the hub, or the way to it, is gone.
GONE = (OSError, http.client.HTTPException, ssl.SSLError)


@attrs.define(eq=False)
class Line:
    """One kept connection of a partner; opened again when it was closed."""

    files: Mapping[str, str]  #: key, certificate, ca; a caller of the admin port has only ca
    url: str
    timeout: float = 30.0
    source: str = "127.0.0.1"
    cookie: str = ""  #: the last one that an answer set
    _context: ssl.SSLContext | None = None
    _connection: http.client.HTTPSConnection | None = None

    def context(self) -> ssl.SSLContext:
        """Return the TLS side, made once."""
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self.files["ca"])
            if "key" in self.files:
                self._context.load_cert_chain(self.files["certificate"], self.files["key"])
        return self._context

    def socket(self) -> ssl.SSLSocket:
        """Return a connection of its own, to which the caller writes what it likes."""
        place = urlsplit(self.url)
        plain = socket.create_connection((place.hostname, place.port), self.timeout, (self.source, 0))
        return self.context().wrap_socket(plain, server_hostname=place.hostname)

    def call(self, body: bytes | None = None, path: str = "", **headers: str) -> tuple[int, bytes]:
        """Send one request; return the status and the body of the answer.  Raises one of `GONE`."""
        for again in (self._connection is not None, False):
            try:
                connection = self.open()
                method = "GET" if body is None else "POST"
                said = headers or ({} if body is None else HEADERS)
                connection.request(method, path or urlsplit(self.url).path, body, said)
                answer = connection.getresponse()
                self.cookie = (answer.headers.get("Set-Cookie") or self.cookie).partition(";")[0]
                return answer.status, answer.read()
            except GONE as error:
                self.close()
                # A kept connection that the hub had closed meanwhile is opened again, as every HTTP client does.
                if not again or isinstance(error, TimeoutError):
                    raise
        raise AssertionError

    def open(self) -> http.client.HTTPSConnection:
        """Return the connection, opened if there is none.  Raises one of `GONE`."""
        if self._connection is None:
            place = urlsplit(self.url)
            self._connection = http.client.HTTPSConnection(
                place.hostname or "",
                place.port,
                timeout=self.timeout,
                context=self.context(),
                source_address=(self.source, 0),
            )
            self._connection.connect()
        return self._connection

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None
