"""An answer's head has a bound, as its body has, and a status: whatever a server sends, so much of it is kept and no more."""

import tracemalloc
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.web._newclient import Request
from twisted.web.http_headers import Headers

from hub.delivery import http_transport
from hub.delivery.imap_transport import LIMIT, ImapSession
from hub.runtime import http_client
from hub.runtime.http_client import Unreachable
from hub.runtime.line_protocol import ConnectionBroken, LineConnection
from tests.pki import NOW
from tests.web.test_connections import Line

REQUEST = Request(b"GET", b"/", Headers({"Host": ["x"]}), None)


class Server(Line):
    """The other end, of which nothing is lost before it is told."""

    def loseConnection(self):
        self.gone = True

    abortConnection = loseConnection


def connected() -> tuple[Any, Server]:
    """Return the protocol of a new connection, and its transport."""
    protocol: Any = (
        http_client.make_connection_pool(None, persistent=False)._factory(lambda _: None, "").buildProtocol(None)
    )
    line = Server()
    line.protocol = protocol
    protocol.makeConnection(line)
    return protocol, line


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: %b\r\n" % (b"a" * 1000)),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n", b" %b\r\n" % (b"a" * 1000)),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["fields", "one folded field", "answers before the answer"],
)
def test_a_head_without_end_is_given_up(begun, more):
    protocol, line = connected()
    asked = protocol.request(REQUEST)
    failed: list[Any] = []
    _ = asked.addErrback(failed.append)
    protocol.dataReceived(begun)
    sent = 0
    while not failed and sent < 2 * http_client.HEAD:
        protocol.dataReceived(more)
        sent += len(more)
    assert (
        http_client.describe_connection_error(failed[0].value)
        == f"connection broke: the head of the answer is longer than {http_client.HEAD} octets"
    )
    assert line.gone


@pytest.mark.parametrize("status", ["-1", "99", "1000", "3000000000", "9" * 30])
def test_an_answer_whose_status_no_journal_keeps_is_none(status):
    protocol, _ = connected()
    replied = Deferred.fromCoroutine(http_transport._reply(protocol.request(REQUEST), lambda: NOW, 10))
    failed: list[Any] = []
    _ = replied.addErrback(failed.append)
    protocol.dataReceived(f"HTTP/1.1 {status} OK\r\nContent-Length: 0\r\n\r\n".encode())
    assert isinstance(failed[0].value, Unreachable)


@pytest.mark.slow
def test_a_body_in_many_small_chunks_takes_no_more_memory_than_it_has_octets():
    protocol, _ = connected()
    _ = Deferred.fromCoroutine(http_transport._reply(protocol.request(REQUEST), lambda: NOW, 1 << 20)).addErrback(
        lambda _: None
    )
    protocol.dataReceived(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    tracemalloc.start()
    try:
        for _number in range(100):
            protocol.dataReceived(b"2\r\nab\r\n" * 1000)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000, "200,000 octets"
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_a_mailbox_may_say_only_so_many_lines_however_short_they_are():
    line = LineConnection()
    line.makeConnection(Server())
    failed: list[Any] = []
    _ = Deferred.fromCoroutine(ImapSession(line).command(b"NOOP")).addErrback(failed.append)
    said = 0
    while not failed and said < LIMIT // 20:
        line.dataReceived(b"* \n" * 20_000)
        said += 60_000
    assert isinstance(failed[0].value, ConnectionBroken)
