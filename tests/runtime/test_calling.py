"""An answer's head has a bound, as its body has, and a status: whatever a server sends, so much of it is kept and no more."""

import tracemalloc
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock

from hub.delivery.imap_transport import LIMIT, ImapSession
from hub.runtime import http_answer, http_client
from hub.runtime.http_answer import AnswerReader, BodyTooLong, CompleteAnswer
from hub.runtime.http_client import IDLE, HttpClient, HttpConnection, HttpServer, SharedTlsContext, Unreachable
from hub.runtime.lazy_timer import LazyTimer
from hub.runtime.line_protocol import ConnectionBroken, LineConnection
from hub.runtime.trust_sweep import PARTING
from tests.web.test_connections import Line

SERVER = HttpServer(secure=False, host="x", port=80)
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server(Line):
    """The other end, of which nothing is lost before it is told."""

    aborted = False
    producer: Any = None

    def loseConnection(self):
        self.gone = True

    def abortConnection(self):
        self.gone = self.aborted = True

    def registerProducer(self, producer, streaming):
        assert not streaming
        self.producer = producer

    def unregisterProducer(self):
        self.producer = None


@attrs.define
class Call:
    """One request on a new connection, and what became of it."""

    kept: int = 1
    clock: Clock = attrs.field(factory=Clock)
    line: Server = attrs.field(factory=Server)
    ended: list[Any] = attrs.field(factory=list)
    client: HttpClient = attrs.field(init=False)
    connection: HttpConnection = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        context: Any = None
        self.client = HttpClient(self.clock, SharedTlsContext(context), 5.0, kept=self.kept)
        self.connection = HttpConnection(self.client, SERVER, LazyTimer(self.clock.seconds, self.clock.callLater))
        self.line.protocol = self.connection
        self.connection.makeConnection(cast("Any", self.line))

    def ask(self, body: bytes = b"", limit: int = 10, method: str = "POST") -> Deferred[CompleteAnswer]:
        self.client.forget(self.connection, SERVER)  # as the client does when it takes it
        head = http_client.write_request_head(method, "/", "x", (), len(body), lasts=True)
        asked = self.connection.exchange(head, body, AnswerReader(limit, method == "HEAD"))
        _ = asked.addBoth(self.ended.append)
        return asked

    @property
    def failure(self) -> Exception:
        (failure,) = self.ended
        error: Exception = failure.value
        return error

    @property
    def is_kept(self) -> bool:
        return self.client._idle.get(SERVER) == [self.connection]


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: %b\r\n" % (b"a" * 1000)),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n", b" %b\r\n" % (b"a" * 1000)),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"x"),
    ],
    ids=["fields", "one folded field", "answers before the answer", "a status line"],
)
def test_a_head_without_end_is_given_up(begun, more):
    call = Call()
    _ = call.ask()
    call.connection.dataReceived(begun)
    sent, more = 0, more * (1 + 1000 // len(more))
    while not call.ended and sent < 2 * http_answer.HEAD:
        call.connection.dataReceived(more)
        sent += len(more)
    assert (
        http_client.describe_connection_error(call.failure)
        == f"the head of the answer is longer than {http_answer.HEAD} octets"
    )
    assert call.line.gone
    assert not call.is_kept


@pytest.mark.parametrize("status", ["-1", "99", "1000", "3000000000", "9" * 30, "2x0", "200OK", "", " 200"])
def test_an_answer_whose_status_no_journal_keeps_is_none(status):
    call = Call()
    _ = call.ask()
    call.connection.dataReceived(f"HTTP/1.1 {status} OK\r\nContent-Length: 0\r\n\r\n".encode())
    assert http_client.describe_connection_error(call.failure) == "the answer has no valid HTTP status"
    assert call.line.gone


def test_a_connection_to_a_server_that_is_not_trusted_any_more_ends_after_the_answer_in_progress():
    call = Call()
    _ = call.ask()
    call.connection.part()
    assert not call.line.gone
    call.connection.dataReceived(WHOLE)
    assert [each.body for each in call.ended] == [b"ok"]
    assert call.line.gone
    assert not call.is_kept


def test_such_a_connection_ends_at_once_without_a_request_and_soon_without_an_answer():
    idle, slow = Call(), Call()
    idle.connection.part()
    assert idle.line.aborted
    _ = slow.ask()
    slow.connection.part()
    slow.clock.advance(PARTING)
    assert slow.line.aborted


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("octets", "status", "body"),
    [
        (WHOLE, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b""),
        (b"HTTP/1.1 500\r\nContent-Length: 0\r\n\r\n", 500, b""),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: y\r\n\r\n" + WHOLE, 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\ncontent-length : 02\r\n\r\nok", 200, b"ok"),
        (CHUNKS + b"1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n", 200, b"ok"),
        (CHUNKS + b"2\r\nok\r\n0\r\nTrailer: x\r\n\r\n", 200, b"ok"),
    ],
)
def test_an_answer_is_read_whatever_pieces_it_comes_in(octets, status, body):
    for length in (1, 2, 3, 7, len(octets)):
        call = Call()
        _ = call.ask()
        for at in range(0, len(octets), length):
            call.connection.dataReceived(octets[at : at + length])
        assert [(each.status, each.body) for each in call.ended] == [(status, body)], length
        assert call.is_kept
        assert not call.line.gone


def test_headers_are_given_by_their_names_in_lower_case():
    call = Call()
    _ = call.ask()
    said = b"X-A: 1\r\nx-a:2\r\nB: folded\r\n\t here\r\nConnection: keep-alive\r\nEmpty:\r\nLatin: \xe9\r\n"
    call.connection.dataReceived(WHOLE.replace(b"Content", said + b"Content"))
    assert dict(call.ended[0].headers) == {"x-a": "2", "b": "folded here", "empty": "", "latin": "é"}


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n X: folded onto nothing\r\nContent-Length: 2\r\n\r\nok",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        CHUNKS + b"-1\r\n",
        CHUNKS + b"zz\r\n",
        CHUNKS + b"1\r\nokk",
        CHUNKS + b"1" * 5000,
        CHUNKS + b"0\r\n" + b"X: y\r\n" * 20_000,
    ],
)
def test_what_is_no_answer_or_has_no_certain_end_is_none(octets):
    call = Call()
    _ = call.ask()
    call.connection.dataReceived(octets)
    assert http_client.describe_connection_error(call.failure)
    assert call.line.gone
    assert not call.is_kept


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200", WHOLE[:-1], CHUNKS + b"2\r\nok\r\n"])
def test_an_answer_that_breaks_off_is_none(begun):
    call = Call()
    _ = call.ask()
    call.connection.dataReceived(begun)
    call.connection.connectionLost()
    assert http_client.describe_connection_error(call.failure).startswith("connection broke: ")


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
        CHUNKS + b"6\r\nsix...\r\n6\r\nsix...\r\n",
        CHUNKS + b"b\r\n11 octets..",
    ],
)
def test_a_body_that_is_too_long_is_not_read_to_its_end(octets):
    call = Call()
    _ = call.ask(limit=10)
    call.connection.dataReceived(octets)
    assert isinstance(call.failure, BodyTooLong)
    assert call.line.gone


@pytest.mark.parametrize(
    "octets",
    [
        WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: x, Close\r\n\r\n"),
        WHOLE.replace(b"1.1", b"1.0"),
        WHOLE + b"HTTP/1.1 200 OK",
        CHUNKS.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n") + b"2\r\nok\r\n0\r\n\r\n",
        CHUNKS + b"2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK",
    ],
    ids=["it says so", "HTTP/1.0", "more than the answer", "two lengths", "more than the chunks"],
)
def test_a_connection_is_not_used_again_after_such_an_answer(octets):
    call = Call()
    _ = call.ask()
    call.connection.dataReceived(octets)
    assert call.ended[0].body == b"ok"
    assert call.line.gone
    assert not call.is_kept


def test_what_comes_before_a_request_is_no_answer_to_it():
    call = Call()
    _ = call.ask()
    call.connection.dataReceived(WHOLE)
    call.connection.dataReceived(WHOLE)
    assert call.line.gone
    assert not call.is_kept


def test_an_idle_connection_is_used_again_and_closed_after_a_while():
    call = Call()
    for number in range(3):
        _ = call.ask()
        call.connection.dataReceived(WHOLE)
        call.clock.advance(IDLE - 1)
        assert len(call.ended) == number + 1
        assert call.is_kept
        assert not call.line.gone
    call.clock.advance(1)
    assert call.line.gone
    assert not call.is_kept
    call.connection.connectionLost()
    assert not call.clock.getDelayedCalls()


def test_a_connection_that_the_server_does_not_close_is_ended():
    call = Call(kept=0)
    _ = call.ask()
    call.connection.dataReceived(WHOLE)
    assert not call.line.aborted
    call.clock.advance(IDLE)
    assert call.line.aborted


def test_no_more_connections_are_kept_than_may_be():
    call = Call(kept=0)
    _ = call.ask()
    call.connection.dataReceived(WHOLE)
    assert call.line.gone


def test_a_connection_that_is_closed_while_it_is_idle_is_forgotten():
    call = Call()
    _ = call.ask()
    call.connection.dataReceived(WHOLE)
    call.connection.connectionLost()
    assert not call.is_kept
    assert not call.clock.getDelayedCalls()


def test_after_a_close_nothing_is_kept():
    call = Call()
    _ = call.ask()
    closed = Deferred.fromCoroutine(call.client.close())
    assert closed.called
    call.connection.dataReceived(WHOLE)
    assert call.ended[0].status == 200
    assert call.line.gone
    assert not call.is_kept


def test_a_cancelled_call_ends_its_connection():
    call = Call()
    asked = call.ask()
    call.connection.dataReceived(WHOLE[:-1])
    asked.cancel()
    assert isinstance(call.failure, CancelledError)
    assert call.line.gone
    assert not call.is_kept


def test_a_long_body_is_written_as_the_connection_takes_it():
    call, body = Call(), bytes(range(256)) * 4096
    _ = call.ask(body)
    begun = len(call.line.heard)
    assert begun < 200
    while call.line.producer is not None:
        before = len(call.line.heard)
        call.line.producer.resumeProducing()
        assert len(call.line.heard) - before <= 1 << 18
    assert call.line.heard[begun:] == body
    call.connection.dataReceived(WHOLE)
    assert call.is_kept


def test_an_answer_before_the_end_of_the_request_counts_and_ends_the_connection():
    call = Call()
    _ = call.ask(bytes(1 << 20))
    call.line.producer.resumeProducing()
    call.connection.dataReceived(WHOLE)
    assert call.ended[0].status == 200
    assert call.line.gone
    assert not call.is_kept


@pytest.mark.parametrize(
    ("url", "server", "target", "host"),
    [
        ("https://a.example.vn", HttpServer(True, "a.example.vn", 443), "/", "a.example.vn"),
        ("http://A:8080/x/y?z=1#f", HttpServer(False, "a", 8080), "/x/y?z=1", "a:8080"),
        ("https://[::1]:8443/x", HttpServer(True, "::1", 8443), "/x", "[::1]:8443"),
        ("https://h:443?q", HttpServer(True, "h", 443), "/?q", "h"),
    ],
)
def test_a_url_is_a_server_and_a_target(url, server, target, host):
    assert http_client.split_http_url(url) == (server, target, host)


@pytest.mark.parametrize(
    "url", ["ftp://x/", "https:///x", "https://x/a b", "https://x/é", "https://x:y/", "https://x:70000/", ""]
)
def test_what_is_no_url_of_http_is_refused(url):
    with pytest.raises(ValueError):  # noqa: PT011 - the standard library says some of it
        http_client.split_http_url(url)


def test_the_head_of_a_request():
    headers = (("Content-Type", "text/xml"), ("Authorization", "Bearer a\r\nX: injected"))
    assert http_client.write_request_head("POST", "/x", "h:1", headers, 5, lasts=True) == (
        b"POST /x HTTP/1.1\r\nHost: h:1\r\nContent-Length: 5\r\nContent-Type: text/xml\r\n"
        b"Authorization: Bearer a X: injected\r\n\r\n"
    )
    assert http_client.write_request_head("GET", "/", "h", (), 0, lasts=False) == (
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "headers"), [("GET /x", ()), ("get", ()), ("GET", [("X\r\nY", "z")]), ("GET", [("X:", "z")])]
)
def test_a_request_that_http_cannot_express_is_refused(method, headers):
    with pytest.raises(ValueError, match="not a"):
        http_client.write_request_head(method, "/", "h", headers, 0, lasts=True)


@pytest.mark.slow
def test_a_body_in_many_small_chunks_takes_no_more_memory_than_it_has_octets():
    call = Call()
    _ = call.ask(limit=1 << 20)
    call.connection.dataReceived(CHUNKS)
    tracemalloc.start()
    try:
        for _number in range(100):
            call.connection.dataReceived(b"2\r\nab\r\n" * 1000)
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


@pytest.mark.parametrize(
    ("host", "address", "goes"),
    [("cong.example", "10.0.0.5", True), ("cong.example", "127.0.0.1", False), ("cong.example", "169.254.169.254", False),
     ("127.0.0.1", "127.0.0.1", True), ("localhost", "127.0.0.1", True)],
)  # fmt: skip
def test_a_name_that_leads_to_this_machine_is_told_before_anything_is_sent(host: str, address: str, goes: bool) -> None:
    line = Server()
    line.getPeer = lambda: IPv4Address("TCP", address, 80)  # type: ignore[method-assign]

    def open_line(factory: Any) -> Deferred[Any]:
        made = factory.buildProtocol(None)
        made.makeConnection(line)
        return succeed(made)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_client, "HostnameEndpoint", lambda *_, **_more: SimpleNamespace(connect=open_line))
        client = HttpClient(Clock(), SharedTlsContext(cast("Any", None)), 5.0, guarded=True)
        ended: list[Any] = []
        _ = Deferred.fromCoroutine(client.exchange("GET", f"http://{host}/", (), b"", 10)).addErrback(ended.append)
    assert bool(line.heard) is goes
    assert [type(each.value) for each in ended] == ([] if goes else [Unreachable])
    assert line.aborted is not goes
