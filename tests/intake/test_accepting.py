"""However many connect at once, each turn of the reactor begins few of them."""

import contextlib
import socket
from types import SimpleNamespace
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet import tcp
from twisted.internet.protocol import Factory, Protocol

from hub.runtime.ports import ACCEPTS, Port, limit_accepts


def test_of_those_who_connect_at_once_a_turn_begins_a_few_and_in_the_end_all():
    begun = []

    class Begun(Protocol):
        def connectionMade(self):
            begun.append(self)

    reactor: Any = SimpleNamespace(addReader=lambda _: None, removeReader=lambda _: None, removeWriter=lambda _: None)
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=50))
        listening.setblocking(False)
        for _ in range(10):
            stack.enter_context(socket.create_connection(listening.getsockname()))
        port = tcp.Port._fromListeningDescriptor(
            reactor, listening.fileno(), listening.family, Factory.forProtocol(Begun)
        )
        cast("Any", port).factory.doStart = lambda: None
        port.startListening()
        stack.callback(port.socket.close)
        limit_accepts(port)
        counts = []
        for _ in range(12):
            cast("Any", port).doRead()
            counts.append(len(begun))
        for each in begun:
            stack.callback(cast("Any", each).transport.socket.close)
    assert counts == [*range(ACCEPTS, 10, ACCEPTS), *[10] * (12 - 9 // ACCEPTS)]
    assert 2 * counts[0] < 5, "a handshake takes 2 ms, and a turn has 5"


def test_a_port_of_the_hub_does_so_from_its_start():
    accepting = socket.socket()
    listening = SimpleNamespace(numberAccepts=100, doRead=lambda: None, fileno=accepting.fileno)
    reactor = SimpleNamespace(adoptStreamPort=lambda *_: listening)
    port = Port(accepting, Factory(), lambda: SSL.Context(SSL.TLS_METHOD), reactor)
    port.startService()
    listening.doRead()
    assert listening.numberAccepts == ACCEPTS
