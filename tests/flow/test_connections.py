"""However many connections are open, whoever has business is served."""

from typing import Any

from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from hub import connections
from hub.connections import GREETING, READING, Connections
from hub.listener import BoundedSite

CALL = b"GET /page HTTP/1.1\r\nHost: hub\r\n\r\n"


class Page(Resource):
    """Answers at once, or, told to wait, when the test says so."""

    isLeaf = True

    def __init__(self):
        super().__init__()
        self.waiting = []
        self.waits = False

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


class Port:
    """A site with room for a few."""

    def __init__(self, most=3):
        self.clock, self.page = Clock(), Page()
        self.site = BoundedSite(self.page, 1000, "urn:x", self.clock)
        self.site._connections = Connections(most)

    def call(self, *said):
        line = Line()
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
