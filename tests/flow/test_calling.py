"""An answer's head has a bound, as its body has: whatever a server sends, so much of it is kept and no more."""

from typing import Any

import pytest
from twisted.web._newclient import Request
from twisted.web.http_headers import Headers

from hub import calling
from tests.flow.test_connections import Line


class Server(Line):
    """The other end, of which nothing is lost before it is told."""

    def loseConnection(self):
        self.gone = True

    abortConnection = loseConnection


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
    pool = calling.pool(None, persistent=False)
    protocol = pool._factory(lambda _: None, "").buildProtocol(None)
    line = Server()
    line.protocol = protocol
    protocol.makeConnection(line)
    asked = protocol.request(Request(b"GET", b"/", Headers({"Host": ["x"]}), None))
    failed: list[Any] = []
    _ = asked.addErrback(failed.append)
    protocol.dataReceived(begun)
    sent = 0
    while not failed and sent < 2 * calling.HEAD:
        protocol.dataReceived(more)
        sent += len(more)
    assert (
        calling.said(failed[0].value)
        == f"connection broke: the head of the answer is longer than {calling.HEAD} octets"
    )
    assert line.gone
