"""However many connections are open, whoever has business is served."""

from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from hub import connections
from hub.connections import GREETING, READING, Connections
from hub.console.asked import Answer
from hub.console.edge import Console
from hub.listener import BoundedSite
from hub.public import Public

CALL = b"GET /page HTTP/1.1\r\nHost: hub\r\n\r\n"


class Page(Resource):
    """Answers at once, or, told to wait, when the test says so."""

    isLeaf = True

    def __init__(self):
        super().__init__()
        self.waiting = []
        self.waits = self.probe = False

    def render_GET(self, request):
        if not self.waits:
            return b"page"
        self.waiting.append(request)
        return NOT_DONE_YET


class Line:
    """The other end of a connection.  Twisted's own double would load what spoils xmlschema for other tests."""

    disconnecting = gone = False
    protocol: Any

    def __init__(self):
        self.heard = b""

    def write(self, said):
        self.heard += said

    def writeSequence(self, said):
        self.heard += b"".join(said)

    def getPeer(self):
        return "peer"

    getHost = getPeer

    def abortConnection(self):
        self.gone = True
        self.protocol.connectionLost()

    def loseConnection(self):
        self.abortConnection()


class Stubborn(Line):
    """One that does not close because the hub does."""

    def loseConnection(self):
        self.disconnecting = True


class Port:
    """A site with room for a few."""

    def __init__(self, most=3):
        self.clock, self.page = Clock(), Page()
        self.site = BoundedSite(self.page, 1000, "urn:x", self.clock)
        self.site._connections = Connections(most)

    def call(self, *said, line=None):
        line = line or Line()
        line.protocol = self.site.buildProtocol(None)
        line.protocol.makeConnection(line)
        for each in said:
            line.protocol.dataReceived(each)
        return line


def gone(*lines):
    return [line.gone for line in lines]


def test_the_oldest_that_said_nothing_goes_first():
    port = Port()
    known, silent, later = port.call(CALL), port.call(), port.call()
    newest = port.call()
    assert gone(known, silent, later, newest) == [False, True, False, False]
    assert len(port.site._connections) == 3


def test_among_those_at_rest_the_one_that_has_rested_longest_goes():
    port = Port()
    first, second, third = (port.call(CALL) for _ in range(3))
    first.protocol.dataReceived(CALL)
    newcomer = port.call()
    assert gone(first, second, third, newcomer) == [False, True, False, False]
    assert gone(port.call(), newcomer, first, third) == [False, True, False, False], "strangers go before the known"


def test_half_a_request_goes_when_nobody_rests_and_what_is_being_answered_never():
    port = Port()
    half = port.call(CALL[:-2])
    port.page.waits = True
    asked = [port.call(CALL) for _ in range(2)]
    asked.append(port.call(CALL))
    assert gone(half, *asked) == [True, False, False, False]
    asked.append(port.call(CALL))
    assert gone(*asked) == [False] * 4, "more than may be, since each of them is being answered"
    for request in port.page.waiting:
        request.write(b"late")
        request.finish()
    assert all(b"late" in line.heard for line in asked)


def test_half_requests_that_take_all_the_room_leave_some_for_handshakes():
    port = Port(most=8)
    halves = [port.call(CALL[:-2]) for _ in range(8)]
    newcomers = [port.call() for _ in range(3)]
    assert gone(*newcomers) == [False] * 3
    assert gone(*halves) == [True] * 3 + [False] * 5
    assert gone(port.call(), *newcomers) == [False, True, False, False], (
        "of strangers there are more than a quarter now"
    )
    assert gone(*halves[3:]) == [False] * 5


def test_who_was_refused_and_does_not_hang_up_keeps_no_place():
    port = Port()
    large = b"POST /page HTTP/1.1\r\nHost: hub\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001
    refused = [port.call(large, line=Stubborn()) for _ in range(3)]
    assert [line.heard[9:12] for line in refused] == [b"413"] * 3
    port.call(CALL)
    assert gone(*refused) == [True, False, False]
    port.clock.advance(READING)
    assert gone(*refused) == [True, True, True]


def test_where_so_many_are_being_answered_one_more_may_come_again_and_a_probe_is_answered():
    port = Port()
    port.site.answering, port.page.waits = 2, True
    answered, more = [port.call(CALL) for _ in range(2)], port.call(CALL)
    assert more.heard.startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: ")
    assert gone(*answered, more) == [False, False, True]
    port.page.waits, port.page.probe = False, True
    assert b"page" in port.call(CALL).heard


class Message:
    """A console, and the journal beside it, that hold one message of endless length, for a caller who stops reading."""

    def __init__(self):
        self.line = Line()

    def knows(self, _word):
        return False

    async def answer(self, _asked):
        return Answer(stored="sha256", size=1 << 40)

    def read(self, _step, _sha256, _number):
        self.line.protocol.pauseProducing()
        return succeed(b"x" * 1000)


def test_who_does_not_read_what_the_journal_holds_loses_the_connection():
    port, message = Port(), Message()
    port.site.resource = Console(cast("Any", message), cast("Any", message))
    port.call(CALL, line=message.line)
    assert message.line.heard.endswith(b"x" * 1000)
    for seconds, lost in ((READING - 1, False), (1, True)):
        port.clock.advance(seconds)
        assert message.line.gone is lost
    assert port.clock.getDelayedCalls() == []


class Slow:
    """Published pages that are long in the making."""

    def __init__(self):
        self.asked: list[str] = []
        self.made: Deferred[None] = Deferred()

    async def page(self, path):
        self.asked.append(path)
        await self.made


def test_what_a_caller_who_hung_up_asked_for_is_not_made():
    port, pages = Port(), Slow()
    port.site.resource = Public(cast("Any", pages))
    _first, second, third = (port.call(CALL) for _ in range(3))
    second.abortConnection()
    pages.made.callback(None)
    assert pages.asked == ["page", "page"]
    assert third.heard.startswith(b"HTTP/1.1 404 ")


def test_a_body_of_unknown_length_takes_no_file_where_only_a_small_one_may_come():
    port = Port()
    chunked = port.call(b"POST /page HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n")
    (request,) = chunked.protocol.requests
    assert request._drawer._files == []
    chunked.protocol.dataReceived(b"3e9\r\n" + b"x" * 1001)
    assert b" 413 " in chunked.heard


@pytest.mark.parametrize("last", ["hang up", "wait"])
def test_however_many_waited_for_a_page_the_next_one_is_answered(last):
    """Each is let go by the one before it, and all at once where none has to be waited for."""
    port, pages = Port(), Slow()
    port.site._connections.most = 1000
    port.site.resource = Public(cast("Any", pages))
    waiting = [port.call(CALL) for _ in range(300)]
    if last == "hang up":
        for line in waiting[1:]:
            line.abortConnection()
    pages.made.callback(None)
    assert port.call(CALL).heard.startswith(b"HTTP/1.1 404 ")
    assert {line.heard[9:12] for line in waiting if not line.gone} <= {b"404", b"503"}


def test_a_stranger_has_so_long_to_begin_and_a_request_so_long_to_come():
    port = Port()
    silent, slow = port.call(), port.call(CALL[:10])
    for _ in range(GREETING):
        port.clock.advance(1)
    assert gone(silent, slow) == [True, True]
    slow = port.call(CALL[:-2])
    for second in range(READING):
        assert not slow.gone, second
        port.clock.advance(1)
        if not slow.gone:
            slow.protocol.dataReceived(b"X-%d: y\r\n" % second)
    assert slow.gone


def test_a_connection_that_serves_stays_open():
    port = Port()
    line = port.call(CALL)
    for _ in range(20):
        port.clock.advance(30)
        line.protocol.dataReceived(CALL)
    assert not line.gone
    assert line.heard.count(b"200 OK") == 21


def test_the_process_takes_the_files_it_may_have(monkeypatch):
    asked = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 3000))
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: asked.append(limits))
    assert connections.allowed() == (3000 - 256) // 2
    assert asked == [(3000, 3000)]
