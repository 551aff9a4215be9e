"""However many connections are open, whoever has business is served."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given as given_body
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from hub.console.edge import Console
from hub.domain.fair_queue import PortShare
from hub.domain.node_counts import Counted
from hub.runtime.descriptors import Shortage
from hub.runtime.disk_space import SpoolReservations
from hub.runtime.trust_sweep import PARTING
from hub.web import connection_limits
from hub.web.answers import ConsoleResponse
from hub.web.chunked_body import ChunkedDecoder, Misframed
from hub.web.connection_limits import GRACE, GREETING, HEADERS, LINGER, LONGEST, PAGES, READING, SLOWEST, Connections
from hub.web.public_pages import Public
from hub.web.soap_listener import DISCARDED, BoundedSite


@pytest.fixture(autouse=True, scope="module", params=["ordinary ones in one step", "all by lines"])
def how_heads_are_read(request):
    """Everything here holds however a head is read."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "all by lines":
            patch.setattr(connection_limits, "read_plain_head", lambda _: None)
        yield


POST = b"POST /page HTTP/1.1\r\nHost: hub\r\n"
CALL = b"GET /page HTTP/1.1\r\nHost: hub\r\n\r\n"


class Page(Resource):
    """Answers at once, or, told to wait, when the test says so."""

    isLeaf = True

    def __init__(self):
        super().__init__()
        self.waiting, self.bodies = [], []
        self.waits = self.probe = False

    def render_GET(self, request):
        if not self.waits:
            return b"page"
        self.waiting.append(request)
        return NOT_DONE_YET

    def render_POST(self, request):
        self.bodies.append(request.content.read(100))
        return b"taken"


class Line:
    """The other end of a connection.  Twisted's own double would load what spoils xmlschema for other tests."""

    disconnecting = gone = paused = False
    protocol: Any

    def __init__(self):
        self.heard = b""

    def write(self, said):
        self.heard += said

    def writeSequence(self, said):
        self.heard += b"".join(said)

    def pauseProducing(self):
        self.paused = True

    def resumeProducing(self):
        self.paused = False

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


def test_who_asks_for_page_after_page_waits_for_its_turn_and_nobody_else_does():
    port = Port(most=100)
    asking = [port.call(CALL) for _ in range(50)]
    for line in asking:
        line.protocol.dataReceived(CALL * 3)
    answered = [line.heard.count(b"200 OK") for line in asking]
    assert sum(answered) <= 52, "at this moment each has one answer, and one has its turn"
    assert port.call(CALL).heard.count(b"200 OK") == 1, "the first request of a connection does not wait"
    port.clock.pump([0.01] * 10)
    answered = [line.heard.count(b"200 OK") for line in asking]
    assert sum(answered) <= 152, (
        "in a tenth of a second a hundred more at most: pages take a third of the thread at most"
    )
    port.clock.pump([1 / PAGES] * 160)
    assert [line.heard.count(b"200 OK") for line in asking] == [4] * 50, "all that was asked is answered, in turn"


def test_a_call_does_not_wait_for_pages():
    port = Port(most=100)
    for _ in range(50):
        port.call(CALL, CALL)
    line = port.call(*[POST + b"Content-Length: 1\r\n\r\nx"] * 20)
    assert line.heard.count(b"taken") == 20


def test_who_waits_for_its_turn_may_leave_and_nobody_waits_for_long(monkeypatch):
    monkeypatch.setattr(connection_limits, "PAGES", 1)
    port = Port(most=100)
    lines = [port.call(CALL, CALL) for _ in range(20)]
    for line in lines[:10]:
        line.loseConnection()
    port.clock.advance(LONGEST)
    assert [line.heard.count(b"200 OK") for line in lines[10:]] == [2] * 10
    assert [line.heard.count(b"200 OK") for line in lines[1:10]] == [1] * 9, "for who has left nothing is read any more"
    assert len(port.site._connections) == 10


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


def test_a_connection_that_is_not_trusted_any_more_takes_no_further_request():
    port = Port(most=9)
    resting, half, stubborn = port.call(CALL), port.call(CALL[:-2]), port.call(CALL, line=Stubborn())
    port.page.waits = True
    answered, slow = (port.call(CALL) for _ in range(2))
    lines = (resting, half, stubborn, answered, slow)
    for line in lines:
        line.protocol.part()
    assert gone(*lines) == [True, True, False, False, False]
    stubborn.protocol.dataReceived(CALL)
    assert stubborn.heard.count(b"200 OK") == 1, "it is not served, though it does not close"
    request = port.page.waiting[0]
    request.write(b"late")
    request.finish()
    assert b"late" in answered.heard, "the answer in progress is sent"
    assert gone(*lines) == [True, True, False, True, False]
    port.clock.advance(PARTING)
    assert gone(*lines) == [True] * 5
    assert len(port.site.list_connections()) == 0


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
        return ConsoleResponse(stored="sha256", size=1 << 40)

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


class OwnLine(Line):
    """One whose owner is known."""

    def __init__(self, key):
        super().__init__()
        self.key = key


def owned(most, connections):
    """Return a port where each owner has so many connections."""
    port = Port(most)
    port.site.share_of = lambda channel: PortShare(channel.transport.key, connections)
    return port


def test_of_one_owner_no_more_are_open_than_its_share_and_nobody_else_notices():
    port = owned(100, 3)
    others = [port.call(CALL, line=OwnLine(f"other {number}")) for number in range(20)]
    port.clock.advance(1)
    mine = [port.call(CALL, line=OwnLine("mine")) for _ in range(3)]
    port.clock.advance(1)
    mine[0].protocol.dataReceived(CALL)  # of those at rest, the second has rested longest now
    mine += [port.call(CALL, line=OwnLine("mine")) for _ in range(2)]
    assert gone(*mine) == [False, True, True, False, False]
    assert all(b"200 OK" in line.heard for line in mine)
    assert not any(gone(*others))
    mine[0].abortConnection()
    mine.append(port.call(CALL, line=OwnLine("mine")))
    assert gone(*mine[3:]) == [False] * 3
    for line in (*mine, *others):
        line.abortConnection() if not line.gone else None
    assert port.site._connections._owned == {}


def test_an_owner_whose_connections_are_all_in_use_is_told_to_come_again_and_keeps_them():
    port = owned(100, 2)
    half = port.call(CALL[:-2], line=OwnLine("mine"))
    port.page.waits = True
    asked = port.call(CALL, line=OwnLine("mine"))
    more = port.call(CALL, line=OwnLine("mine"))
    assert more.heard.startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: ")
    assert gone(half, asked, more) == [False, False, True]
    assert len(port.page.waiting) == 1
    assert not port.call(CALL, line=OwnLine("other")).gone


def test_however_few_connections_a_port_has_one_owner_gets_half_of_them():
    port = owned(8, 256)
    mine = [port.call(CALL[:-2], line=OwnLine("mine")) for _ in range(8)]
    assert gone(*mine) == [False] * 4 + [True] * 4


LARGE = 1 << 20  #: octets of a body that goes to a file
UPLOAD = POST + b"Content-Length: %d\r\n\r\n" % LARGE


@pytest.fixture
def spooling():
    """Return a port over a disk with so much left, where the owners have these shares of the spool, else a gibibyte."""
    ports = []

    def made(left, **shares):
        port = Port(1000)
        ports.append(port)
        port.site.body_limit = 40 * LARGE
        port.site.share_of = lambda channel: PortShare(
            channel.transport.key, spool=shares.get(channel.transport.key, 1 << 30)
        )
        port.site.spool_room = SpoolReservations(lambda: left)
        return port

    yield made
    for port in ports:
        for queue in port.site._connections._queues():
            for channel in list(queue):
                channel.abort()


def uploads(port, key, count, said=UPLOAD):
    """Begin so many uploads of *key* that do not end; return the status of each, none where it may come."""
    lines = [port.call(said, line=OwnLine(key)) for _ in range(count)]
    return [line.heard[9:12].decode() for line in lines], lines


def test_unfinished_uploads_take_their_owners_share_and_the_others_bring_theirs(spooling):
    port = spooling(100 * LARGE, mine=10 * LARGE)
    told, lines = uploads(port, "mine", 12)
    assert told == [""] * 10 + ["503"] * 2
    assert b"hub-busy" in lines[10].heard
    assert b"Retry-After: 10\r\n" in lines[10].heard
    for other in range(5):
        (told,), (line,) = uploads(port, f"other {other}", 1)
        line.protocol.dataReceived(b"x" * LARGE)
        assert (told, line.heard[9:12]) == ("", b"200")
    for line in lines:
        if not line.gone:
            line.abortConnection()
    assert port.site.spool_room == SpoolReservations(port.site.spool_room._left), "all of it was given back"
    assert uploads(port, "mine", 1)[0] == [""]


def test_however_large_a_share_is_it_leaves_half_of_the_disk_to_the_next(spooling):
    port = spooling(100 * LARGE)
    for partner, count in (("one", 50), ("two", 25), ("three", 12)):
        told, _ = uploads(port, partner, 60)
        assert told == [""] * count + ["503"] * (60 - count)
    assert uploads(port, "honest", 1)[0] == [""]


@pytest.mark.parametrize("size", [20, 38])
def test_large_bodies_of_several_partners_at_once_pass_beside_one_who_takes_all_he_can(spooling, size):
    port = spooling(2000 * LARGE)
    said = POST + b"Content-Length: %d\r\n\r\n" % (size * LARGE)
    assert uploads(port, "hostile", 60, said)[0].count("503") > 0
    for partner in "abcde":
        assert uploads(port, partner, 4, said)[0] == [""] * 4


def test_a_body_of_unknown_length_takes_room_as_it_comes_and_is_told_when_there_is_none(spooling):
    port = spooling(100 * LARGE, mine=3 * LARGE)
    chunk = b"%x\r\n" % LARGE + b"x" * LARGE + b"\r\n"
    _, (one, other) = uploads(port, "mine", 2, POST + b"Transfer-Encoding: chunked\r\n\r\n")
    for line in (one, other):
        line.protocol.dataReceived(chunk)
        assert line.heard == b""
    one.protocol.dataReceived(chunk)
    other.protocol.dataReceived(chunk)
    assert (one.heard[9:12], other.heard[9:12]) == (b"", b"503")
    one.protocol.dataReceived(b"0\r\n\r\n")
    assert one.heard[9:12] == b"200"


def test_where_the_disk_has_no_room_for_one_body_that_is_nobodys_fault(spooling):
    _, (line,) = uploads(spooling(LARGE - 1), "mine", 1)
    assert b"disk-low" in line.heard


@pytest.mark.parametrize("way", ["answered", "hung up", "cut", "too large", "misframed"])
def test_room_is_given_back_whatever_becomes_of_the_body(spooling, way):
    port = spooling(100 * LARGE)
    chunked = way in {"too large", "misframed"}
    _, (line,) = uploads(port, "mine", 1, POST + b"Transfer-Encoding: chunked\r\n\r\n" if chunked else UPLOAD)
    assert port.site.spool_room._counts.count(Counted.SPOOLED, "mine") == LARGE
    if way == "answered":
        line.protocol.dataReceived(b"x" * LARGE)
    elif way == "hung up":
        line.abortConnection()
    elif way == "cut":
        port.clock.pump([1] * (GRACE + 20))
    elif way == "too large":
        for _ in range(41):
            line.protocol.dataReceived(b"%x\r\n" % LARGE + b"x" * LARGE + b"\r\n")
    else:
        line.protocol.dataReceived(b"x\n")
    assert line.heard or way == "hung up"
    assert port.site.spool_room == SpoolReservations(port.site.spool_room._left)


def test_a_stranger_has_so_long_to_begin_and_header_fields_so_long_to_come():
    port = Port()
    silent, slow = port.call(), port.call(CALL[:10])
    for _ in range(GREETING):
        port.clock.advance(1)
    assert gone(silent, slow) == [True, True]
    slow = port.call(CALL[:-2])
    for second in range(HEADERS):
        assert not slow.gone, second
        slow.protocol.dataReceived(b"X-%d: y\r\n" % second)
        port.clock.advance(1)
    assert slow.gone
    assert slow.heard.startswith(b"HTTP/1.1 408 ")


def test_who_has_been_served_and_drips_the_next_request_is_cut_as_well():
    port = Port()
    line = port.call(CALL)
    served = line.heard
    for second in range(HEADERS):
        assert not line.gone, second
        line.protocol.dataReceived(b"GET /page?aaaaaaaaaaaaaaaaaaaaaaaaa"[second : second + 1])
        port.clock.advance(1)
    assert line.gone
    assert line.heard[len(served) :].startswith(b"HTTP/1.1 408 ")


def upload(port, speed, *, size, line=None):
    """Begin a body of *size* octets that comes at *speed* octets a second; return after how many seconds it was cut, or had come."""
    port.site.body_limit = size
    line = port.call(POST + b"Content-Length: %d\r\n\r\n" % size, line=line)
    for second in range(2 * READING):
        if b"HTTP/1.1 " in line.heard:
            return second, line
        line.protocol.dataReceived(b"x" * min(speed, size - second * speed))
        port.clock.advance(1)
    raise AssertionError("neither cut nor answered")


def test_a_body_that_drips_is_cut_when_it_has_become_too_slow():
    seconds, line = upload(Port(), 1, size=1000)
    assert GRACE < seconds <= GRACE + 10
    assert line.heard == b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    assert line.gone


def test_who_begins_fast_may_rest_no_longer_than_what_came_is_worth():
    port = Port()
    port.site.body_limit = 10**6
    line = port.call(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * (30 * SLOWEST))
    while not line.gone:
        port.clock.advance(1)
        line.protocol.dataReceived(b"x")
    assert GRACE + 30 < port.clock.seconds() <= GRACE + 30 + 10


@pytest.mark.parametrize(
    ("speed", "size"), [(125_000, 40_000_000), (SLOWEST, 100_000)], ids=["40 MB at 1 Mbit/s", "the slowest"]
)
def test_a_body_that_comes_slowly_enough_for_an_honest_line_is_taken(speed, size):
    seconds, line = upload(Port(), speed, size=size)
    assert (seconds, line.heard[9:12]) == (-(-size // speed), b"200")


def test_a_body_that_comes_fast_enough_but_does_not_end_is_cut():
    port = Port()
    port.site.body_limit = 1 << 40
    seconds, line = upload(port, 2 * SLOWEST, size=1 << 40)
    assert (seconds, line.heard[9:12]) == (READING, b"408")


def test_who_is_cut_and_does_not_hang_up_is_hung_up_on():
    port = Port()
    _, line = upload(port, 1, size=1000, line=Stubborn())
    assert not line.gone
    port.clock.advance(LINGER)
    assert line.gone


def test_what_still_comes_of_a_refused_body_is_read_so_fast_and_no_faster():
    port = Port()
    line = port.call(b"POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 40000000\r\n\r\n")
    assert b"413" in line.heard
    assert not line.paused
    line.protocol.dataReceived(b"x" * 65536)
    assert line.paused
    port.clock.advance(0.9 * 65536 / DISCARDED)
    assert line.paused
    port.clock.advance(0.1 * 65536 / DISCARDED)
    assert not line.paused
    line.protocol.dataReceived(b"x" * 65536)
    line.protocol.connectionLost()
    assert port.clock.getDelayedCalls() == []
    assert DISCARDED * LINGER >= 40_000_000, "who sends all of it and then listens still hears why"


def test_who_was_told_that_his_body_is_too_large_is_told_nothing_more():
    port = Port()
    refused = port.call(POST + b"Content-Length: 1001\r\n\r\n", line=Stubborn())
    said = refused.heard
    assert said[9:12] == b"413"
    for _ in range(READING):
        refused.protocol.dataReceived(b"x")
        port.clock.advance(1)
    assert refused.heard == said


HOST = b"Host: hub\r\n"


@pytest.mark.parametrize(
    "said",
    [
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        b"POST /page HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"X: a\r\n b\r\n\r\n",
        POST + b"X: a\r\n\tb\r\n\r\n",
        POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        b"POST /page HTTP/1.1\r\n " + HOST + b"\r\n",
        b"GET /page HTTP/1.1\r\n\r\n",
        b"GET /page HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET /page HTTP/1.0\r\n" + HOST + HOST + b"\r\n",
        b"GET /page HTTP/1.1\r\nHost: hub, other\r\n\r\n",
        b"GET /page HTTP/1.1\r\nHost: me@hub\r\n\r\n",
        b"GET /page HTTP/1.1\n",
        b"GET /page HTTP/1.1\n" + HOST,
        POST + b"X: y\n",
        POST + b"X: y\nContent-Length: 0\r\n\r\n",
        POST + b"\n",
        POST + b"Content-Length: " + b"0" * 5000 + b"1\r\n\r\nx",
        POST + b"Content-Length: 1, 1\r\n\r\nx",
        POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
        POST + b"Transfer-Encoding: chunked\r\n\r\n80000000\r\nx",
        POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\nx",
        POST + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r1",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 2000,
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 5000,
    ],
    ids=lambda said: repr(said.removeprefix(POST)[:60]),
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "by octets"])
def test_what_can_be_read_in_two_ways_is_refused_as_soon_as_that_is_seen(said, at_once):
    """The refusal does not wait for anything more to come."""
    port = Port()
    line = port.call(*([said] if at_once else [bytes([octet]) for octet in said]))
    assert line.heard == b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    assert line.gone
    assert port.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "said",
    [
        POST + b"Content-Length: 5\r\n\r\nhello",
        POST + b"content-length:5\r\n\r\nhello",
        POST + b"Content-Length: 000005\r\n\r\nhello",
        POST + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding:\tchunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n0003\r\nllo\r\n000\r\n\r\n",
        b"POST /page HTTP/1.1\r\nhost: [2001:db8::1]:8443\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /page HTTP/1.1\r\nHost:\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /page HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /page HTTP/1.0\r\nHost: hub:8443\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=lambda said: repr(said[:60]),
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "by octets"])
def test_what_toolkits_and_old_proxies_send_is_taken(said, at_once):
    port = Port()
    port.site.body_limit = 64  # of a body without a length, too, nothing goes to a file
    line = port.call(*([said] if at_once else [bytes([octet]) for octet in said]))
    assert b"taken" in line.heard
    assert port.page.bodies == [b"hello"]


def test_a_body_of_one_octet_a_chunk_is_given_on_by_what_comes_at_once():
    given: list[bytes] = []
    behind: list[bytes] = []
    chunks = ChunkedDecoder(given.append, behind.append)
    for _ in range(10):
        chunks.dataReceived(b"1\r\nx\r\n" * 1000)
    chunks.dataReceived(b"0\r\n\r\nGET")
    assert (len(given), b"".join(given), behind) == (10, b"x" * 10_000, [b"GET"])


@given_body(st.binary(max_size=300), st.lists(st.integers(1, 40)), st.lists(st.integers(1, 40)))
def test_however_a_body_is_cut_into_chunks_and_packets_it_is_the_same(body, sizes, packets):
    said, at = b"", 0
    for size in sizes:
        piece, at = body[at : at + size], at + size
        said += b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
    said += (b"%x\r\n%b\r\n" % (len(body[at:]), body[at:]) if body[at:] else b"") + b"0\r\n\r\nbehind"
    given: list[bytes] = []
    behind: list[bytes] = []
    at = 0
    chunks = ChunkedDecoder(given.append, behind.append)
    for size in [*packets, len(said)]:
        if behind:
            break
        chunks.dataReceived(said[at : at + size])
        at += size
    assert b"".join(given) == body
    assert b"behind".startswith(behind[0])


def test_chunks_that_do_not_end_where_they_said_are_no_body():
    with pytest.raises(Misframed):
        ChunkedDecoder(print, print).dataReceived(b"3\r\nhello\r\n0\r\n\r\n")


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
    assert connection_limits.count_allowed_connections() == (3000 - 256 - 64) // 2
    assert asked == [(3000, 3000)]


def test_a_large_body_gets_no_descriptor_of_the_reserve(spooling, monkeypatch):
    monkeypatch.setattr("hub.web.soap_listener.is_reserved", lambda _file, *, lately: lately)
    monkeypatch.setattr("hub.web.soap_listener.SHORTAGE", Shortage())
    _, (line,) = uploads(spooling(100 * LARGE), "mine", 1)
    assert b"503 Service Unavailable" in line.heard
    assert b"hub-busy" in line.heard


def test_where_only_the_reserve_is_left_the_least_useful_connection_goes():
    port = Port()
    known, silent = port.call(CALL), port.call()
    assert port.site.make_room()
    assert gone(known, silent) == [False, True]
    assert port.site.make_room()
    assert not port.site.make_room()


def test_a_call_that_cannot_be_answered_is_ended_at_once():
    port = Port()
    line = port.call()
    line.protocol.end_unanswered()
    assert line.heard.startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n")
    half = port.call()
    half.protocol.requests = [SimpleNamespace(startedWriting=1, connectionLost=lambda _reason: None)]
    half.protocol.end_unanswered()
    assert gone(half) == [True]
