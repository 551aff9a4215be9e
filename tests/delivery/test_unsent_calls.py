"""Whether something of a call may have arrived: only what was written on a connection that was open, and under TLS."""

from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from hub import config
from hub.delivery.http_transport import Sender
from hub.domain.conversations import Reply, Request
from hub.domain.errors import Rejected
from hub.domain.model import Problem, Receive
from hub.partner.policy import PartnerTransport, Policy
from hub.runtime.call_progress import CallProgress
from hub.runtime.http_answer import AnswerReader
from hub.runtime.http_client import HttpConnection, SharedTlsContext, Unreachable, _Connecting
from hub.security import tls
from tests import pki
from tests.pki import NOW
from tests.runtime.test_calling import Call, Server

HUB, OTHER = pki.partner("hub"), pki.partner("vpub")
BODY = b"x" * (1 << 20)


@attrs.define
class Calling:
    """One call of a sender under a clock."""

    clock: Clock = attrs.field(factory=Clock)
    ended: list[Any] = attrs.field(factory=list)
    task: Any = None

    def call(self, carry):
        live: Any = SimpleNamespace()
        sender = Sender(live, cast("Any", self.clock), lambda: NOW, {"smtp": carry})
        policy = Policy(transport=PartnerTransport.PLAIN, timeout=timedelta(seconds=10))
        partner = config.Partner(code="mail", name="", certificates=(), receive=Receive.PUSH, policy=policy)
        self.task = Deferred.fromCoroutine(sender.send(Request("smtp://mail", b""), partner))
        _ = self.task.addBoth(self.ended.append)

    @property
    def failure(self) -> Any:
        (found,) = self.ended
        return found.value


@pytest.fixture
def calling():
    return Calling()


@pytest.mark.parametrize("sent", [False, True, None])
def test_a_call_that_takes_too_long_says_whether_it_was_begun(calling, sent):
    async def carry(request, partner, progress):
        progress.sent = sent
        await Deferred()

    calling.call(carry)
    calling.clock.advance(10.1)
    assert isinstance(calling.failure, Unreachable)
    assert (str(calling.failure), calling.failure.unsent) == ("no answer within 10 s", sent is False)
    assert calling.clock.getDelayedCalls() == []


def test_a_call_that_is_cancelled_is_not_late(calling):
    async def carry(request, partner, progress):
        await Deferred()

    calling.call(carry)
    calling.task.cancel()
    assert isinstance(calling.failure, CancelledError)
    assert calling.clock.getDelayedCalls() == []


def test_a_slow_line_has_the_time_that_its_octets_earn(calling):
    async def carry(request, partner, progress):
        for _ in range(20):
            waiting: Deferred[None] = Deferred()
            calling.clock.callLater(3, waiting.callback, None)
            await waiting
            progress.write(1 << 18)
        return Reply(200, b"")

    calling.call(carry)
    calling.clock.pump([1] * 61)
    assert [each.status for each in calling.ended] == [200]


class TestAConnection:
    """What a connection tells of how far a call comes."""

    def test_without_tls_is_begun_as_soon_as_something_is_written(self):
        call = Call()
        progress = follow(call)
        call.client.forget(call.connection, call.connection._server)
        assert progress.sent is None
        _ = call.connection.exchange(b"POST", BODY, AnswerReader(10), progress)
        assert progress.sent

    def test_tells_of_each_slice_and_of_what_comes(self):
        call = Call()
        progress = follow(call)
        _ = call.connection.exchange(b"POST", BODY, AnswerReader(1000), progress)
        for _ in range(4):
            call.line.producer.resumeProducing()
        assert progress._octets == len(BODY)
        call.connection.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        assert progress._octets > len(BODY)

    @pytest.mark.parametrize("trusted", [True, False])
    def test_under_tls_is_begun_with_the_end_of_the_handshake(self, trusted):
        call = Call()
        progress = follow(call)
        connection = HttpConnection(call.client, call.connection._server, call.connection._timer)
        ends = shake_hands(connection, progress, trusted=trusted)
        assert progress.sent is trusted
        assert bool(ends) is not trusted, "it says that the connection broke"

    def test_under_tls_a_server_that_refuses_our_certificate_has_read_nothing(self):
        """Under TLS 1.3 it says so after our end of the handshake, when the request is on its way already."""
        call = Call()
        progress = follow(call)
        connection = HttpConnection(call.client, call.connection._server, call.connection._timer)
        ends = shake_hands(connection, progress, trusted=True, trusts=False)
        assert ends
        assert progress.sent is False


def follow(call):
    return CallProgress(cast("Any", call.clock), 10.0)


def shake_hands(connection, progress, *, trusted, trusts=True):
    """Let *connection* ask over TLS, of a server that it trusts or not. Return its failure."""

    def check(certificate, chain):
        if not trusted:
            raise Rejected(Problem("certificate-unknown"))

    ours = SharedTlsContext(tls.make_tls_context(HUB, check)).creatorForNetloc(b"127.0.0.1", 443)
    client = TLSMemoryBIOFactory(ours, True, _Connecting(connection)).buildProtocol(None)
    near, ends = Wire(), list[Any]()
    near.protocol = client
    client.makeConnection(cast("Any", near))
    progress.sent = False
    _ = connection.exchange(b"POST", b"", AnswerReader(10), progress).addErrback(ends.append)
    server = SSLEnd(OTHER, trusts=trusts)
    for _ in range(6):
        near.heard, said = b"", near.heard
        answer = server.feed(said)
        if answer and not near.gone:
            client.dataReceived(answer)
    if near.gone:
        client.connectionLost(Failure(ConnectionDone()))
    return ends


class Wire(Server):
    """The other end of a connection that may have TLS on it."""

    def setTcpNoDelay(self, enabled):
        pass


class SSLEnd:
    """The server's end of TLS, without a connection."""

    def __init__(self, identity, *, trusts):
        self._errors = (SSL.WantReadError, SSL.Error)
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate(identity.certificate)
        context.use_privatekey(identity.key)
        if not trusts:
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: False)
        self._line = SSL.Connection(context, None)
        self._line.set_accept_state()

    def feed(self, octets):
        if octets:
            self._line.bio_write(octets)
        with suppress(*self._errors):
            self._line.do_handshake()
        with suppress(*self._errors):
            return self._line.bio_read(1 << 16)
        return b""
