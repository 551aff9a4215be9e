"""Under pressure a caller is told to come again, and a stranger that he is none of ours, in the SOAP version that each speaks,
before anything is read or kept.
"""

import shutil
from collections.abc import Callable
from functools import partial
from io import BytesIO
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography import x509
from lxml import etree
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from hub.domain.errors import Unready
from hub.domain.model import Problem
from hub.formats.spool import Drawer
from hub.intake.signed_response import SignedResponse
from hub.partner import throttle
from hub.partner.policy import Policy
from hub.partner.throttle import Throttle
from hub.runtime import disk_space
from hub.runtime.disk_space import DiskSpace
from hub.soap import envelope, wsdl
from hub.web import soap_listener
from hub.web.soap_listener import HELD, PAUSE, BoundedSite, ServiceResource
from tests import pki
from tests.web.test_connections import Line

CONTRACT = wsdl.load_contract("documents")
ME = pki.partner("sotttt")
TYPES = {envelope.SOAP11: b"text/xml; charset=utf-8", envelope.SOAP12: b"application/soap+xml; charset=utf-8"}


class Caller(Line):
    """A connection of ours."""

    def getPeerCertificate(self):
        return SimpleNamespace(to_cryptography=lambda: ME.certificate)

    def registerProducer(self, producer, streaming):
        pass

    def unregisterProducer(self):
        pass


class Desk:
    """An intake that answers when the test says so."""

    def __init__(self):
        self.asked: list[Deferred[SignedResponse]] = []
        self.wanted: list[Callable[[], bool]] = []
        self.noted: tuple[str, x509.Certificate] | None = None
        self.broken = False
        self.throttle = Throttle(lambda: 0.0)

    def enter(self, certificate):
        if self.broken:
            raise RuntimeError("the test says so")
        self.throttle.enter("sotttt", Policy())
        return partial(self.throttle.leave, "sotttt")

    def note(self, problem, certificate):
        self.noted = problem.code, certificate

    record_refusal = note

    async def answer(self, body, manner, certificate, drawer, wanted):
        self.wanted.append(wanted)
        waiting: Deferred[SignedResponse] = Deferred()
        self.asked.append(waiting)
        return await waiting


class Port:
    """A SOAP port with a desk behind it."""

    def __init__(self, tmp_path):
        self.desk, root = Desk(), Resource()
        desk: Any = self.desk
        service = ServiceResource(desk, CONTRACT, lambda: "https://hub")
        root.putChild(b"documents", service)
        self.clock = Clock()
        self.site = BoundedSite(root, 8 << 20, CONTRACT.namespace, self.clock, tmp_path)
        self.site.services = {b"/documents": service}

    def call(self, soap=envelope.SOAP11, size=10, body=None, length=b"Content-Length: %d"):
        line = Caller()
        line.protocol = self.site.buildProtocol(None)
        line.protocol.makeConnection(line)
        head = b"POST /documents HTTP/1.1\r\nHost: hub\r\nContent-Type: " + TYPES[soap] + b"\r\n" + length + b"\r\n\r\n"
        line.protocol.dataReceived(head.replace(b"%d", b"%d" % size) + (b"x" * size if body is None else body))
        return line


def assert_postponed(line, soap, code, seconds):
    """The answer is 503, says when to come again, and is a fault of the server in the caller's own version."""
    head, _, body = line.heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: %d" % seconds in head
    assert TYPES[soap].partition(b";")[0] in head
    root = etree.fromstring(body)
    assert root.tag == f"{{{soap}}}Envelope"
    text = etree.tostring(root, encoding="unicode")
    assert code in text
    assert ("Receiver" if soap == envelope.SOAP12 else "Server") in text


@pytest.mark.parametrize("soap", TYPES)
def test_one_call_too_many_may_come_again(tmp_path, monkeypatch, soap):
    monkeypatch.setattr(throttle, "ANSWERING", 2)
    port = Port(tmp_path)
    for _ in range(2):
        port.call()
    line = port.call(soap)
    assert line.heard == b"", "who asks at once is not told at once, else it would ask as often as it can"
    port.clock.advance(PAUSE)
    assert_postponed(line, soap, "hub-busy", 5)
    assert len(port.desk.asked) == 2
    port.desk.asked[0].errback(ConnectionError())
    port.call()
    assert len(port.desk.asked) == 3, "when one is answered there is a place"


def test_who_hangs_up_before_it_is_told_to_come_again_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(throttle, "ANSWERING", 1)
    port = Port(tmp_path)
    port.call()
    port.call().protocol.connectionLost(Failure(ConnectionLost()))
    port.clock.advance(PAUSE)
    assert len(port.desk.asked) == 1


def test_the_place_of_who_hung_up_is_free_when_its_call_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(throttle, "ANSWERING", 1)
    port = Port(tmp_path)
    line = port.call()
    assert port.desk.wanted[0]()
    line.protocol.connectionLost(Failure(ConnectionLost()))
    assert not port.desk.wanted[0](), "no work is begun for it any more"
    port.desk.asked[0].errback(CancelledError())
    port.call()
    assert len(port.desk.asked) == 2


@pytest.mark.parametrize("soap", TYPES)
def test_when_a_disk_is_nearly_full_a_large_body_is_not_read(tmp_path, soap):
    port = Port(tmp_path)

    def none():
        raise Unready("disk-low", "data: 1 octets free, 2 needed", 60)

    port.site.room = none
    port.call()
    assert len(port.desk.asked) == 1, "a small one may be a confirmation"
    assert_postponed(port.call(soap, 100_000, body=b""), soap, "disk-low", 60)
    assert list(tmp_path.iterdir()) == []


def test_a_large_body_is_read_no_further_when_the_disk_fills_meanwhile(tmp_path):
    port = Port(tmp_path)
    full: list[bool] = []

    def room():
        if full:
            raise Unready("disk-low", "data: 1 octets free, 2 needed", 60)

    port.site.room = room
    line = port.call(envelope.SOAP11, 2 * HELD, body=b"x" * HELD)
    assert line.heard == b""
    full.append(True)
    line.protocol.dataReceived(b"x" * HELD)
    assert_postponed(line, envelope.SOAP11, "disk-low", 60)
    assert port.desk.asked == []


def test_a_body_of_some_size_stays_in_memory_until_all_such_bodies_are_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(soap_listener, "MOST_HELD", 500_000)
    monkeypatch.setattr(soap_listener, "HELD", 100_000)
    port, make, made = Port(tmp_path), Drawer.file, []

    def file(drawer):
        made.append(drawer)
        return make(drawer)

    monkeypatch.setattr(Drawer, "file", file)
    first, second = (port.call(envelope.SOAP11, 100_000, body=b"x" * 50_000) for _ in range(2))
    assert (made, port.site.held) == ([], 400_000)
    port.call(envelope.SOAP11, 100_000)
    port.call(envelope.SOAP11, 100_001)
    third = port.call(length=b"Transfer-Encoding: chunked", body=b"186a0\r\n" + b"x" * 100_000)
    assert len(made) == 3, "no memory is left, too large, of unknown size"
    third.protocol.connectionLost(Failure(ConnectionLost()))
    first.protocol.connectionLost(Failure(ConnectionLost()))
    second.protocol.dataReceived(b"x" * 50_000)
    assert port.site.held == 200_000, "it is being answered"
    for each in port.desk.asked:
        each.errback(ConnectionError())
    assert port.site.held == 0
    port.call(envelope.SOAP11, 100_000)
    assert len(made) == 3


@pytest.mark.parametrize("soap", TYPES)
@pytest.mark.parametrize(
    "said", [(b"Content-Length: %d", b""), (b"Transfer-Encoding: chunked", b"186a0\r\n" + b"x" * 100_000)]
)
def test_a_strangers_large_body_is_not_kept(tmp_path, soap, said):
    port, shown = Port(tmp_path), "0123abcd"
    port.site.note, port.site.stranger = port.desk.note, lambda _: Problem("certificate-unknown", shown)
    port.call(soap)
    assert len(port.desk.asked) == 1, "the desk tells him, and signs it"
    length, body = said
    line = port.call(soap, 100_000, body, length)
    head, _, fault = line.heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 " if soap == envelope.SOAP12 else b"HTTP/1.1 500 ")
    assert b"certificate-unknown" in fault
    assert (b"Sender" if soap == envelope.SOAP12 else b"Client") in fault
    assert port.desk.noted == ("certificate-unknown", ME.certificate)
    assert list(tmp_path.iterdir()) == []
    assert len(port.desk.asked) == 1


def test_a_partners_large_body_is_taken(tmp_path):
    port = Port(tmp_path)
    port.site.stranger = lambda _: None
    port.call(size=100_000)
    (asked,) = port.desk.asked
    asked.errback(ConnectionError())


def test_a_look_at_the_disk_is_believed_for_a_second(tmp_path, monkeypatch):
    free, clock = [5], Clock()
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: SimpleNamespace(free=free[0]))
    config: Any = SimpleNamespace(data=tmp_path, database_url="postgresql+psycopg://x/y", free_disk=10)
    watched = DiskSpace(lambda: disk_space.describe_lacking_space(config), clock.seconds)
    with pytest.raises(Unready) as caught:
        watched.require_space()
    assert (caught.value.problem.code, caught.value.retry_after) == ("disk-low", 60)
    free[0] = 10
    with pytest.raises(Unready):
        watched.require_space()
    clock.advance(1)
    watched.require_space()


def test_both_the_data_and_the_file_of_the_journal_need_room(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1 if place.name == "far" else 100))
    config: Any = SimpleNamespace(data=tmp_path, database_url=f"sqlite:///{tmp_path}/far/hub.db", free_disk=10)
    assert str(disk_space.describe_lacking_space(config)) == f"{tmp_path}/far: 1 octets free, 10 needed"


class Page:
    """The body of an answer."""

    content_type, size = "text/xml", 4

    def read(self):
        return b"<a/>"


@pytest.mark.parametrize(("logged", "lines"), [(True, 0), (False, 1)])
def test_what_has_a_line_in_the_log_has_none_in_the_access_log(tmp_path, logged, lines):
    port, written = Port(tmp_path), BytesIO()
    port.site.logFile = written
    line, body = port.call(), cast("Any", Page())
    port.desk.asked[0].callback(SignedResponse(body, logged=logged))
    assert line.heard.startswith(b"HTTP/1.1 200 OK\r\nServer: ")
    assert line.heard.endswith(b"\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>")
    port.site.logFile.flush()
    assert written.getvalue().count(b'"POST /documents HTTP/1.1" 200 4 ') == lines


def test_a_call_that_cannot_be_read_has_a_line_in_the_access_log(tmp_path):
    port, written = Port(tmp_path), BytesIO()
    port.site.logFile = written
    line = Caller()
    line.protocol = port.site.buildProtocol(None)
    line.protocol.makeConnection(line)
    line.protocol.dataReceived(b"POST /documents HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n\r\n")
    assert line.heard.startswith(b"HTTP/1.1 415 ")
    port.site.logFile.flush()
    assert written.getvalue().count(b" 415 ") == 1
    assert port.desk.noted == ("media-type", ME.certificate)


def test_a_service_that_breaks_answers_so_and_serves_the_next(tmp_path):
    port = Port(tmp_path)
    port.desk.broken = True
    line = port.call()
    assert line.heard.startswith(b"HTTP/1.1 500 ")
    assert not line.gone
    port.desk.broken = False
    port.call()
    assert len(port.desk.asked) == 1
