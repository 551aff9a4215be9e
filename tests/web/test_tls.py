"""Every handshake is a whole one, by the versions and certificates that are allowed, and every call judges the certificate again."""

import ssl
from contextlib import suppress
from typing import Any, cast

import pytest
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from hub.runtime.ports import DirectTlsFactory, Port
from hub.security import tls
from tests import pki

CA = pki.authority()
HUB, ME = CA.issue("hub"), pki.partner("sotttt")


def client(tmp_path, identity=None, version=ssl.TLSVersion.TLSv1_3):
    """Return the context of a client that shows *identity* and speaks *version* alone."""
    made = ssl.create_default_context(cadata=pki.pem(CA.certificate).decode())
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE  # its clock is not the hub's
    made.set_ciphers("DEFAULT:@SECLEVEL=0")
    made.minimum_version = made.maximum_version = version
    if identity is not None:
        key, certificate = pki.write(tmp_path, "client", identity)
        made.load_cert_chain(certificate, key)
    return made


def handshake(server, caller, session=None):
    """Let *caller* shake hands with *server* and hear an octet; return its end.  SSLError, SSL.Error when it comes to nothing."""
    there = SSL.Connection(server, None)
    there.set_accept_state()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = caller.wrap_bio(incoming, outgoing, session=session)
    heard = b""
    for _ in range(10):
        with suppress(ssl.SSLWantReadError):
            here.do_handshake()
            heard = here.read(1)
        if sent := outgoing.read():
            there.bio_write(sent)
        with suppress(SSL.WantReadError):
            there.do_handshake()
            if not heard:
                there.send(b"x")
        with suppress(SSL.WantReadError):
            incoming.write(there.bio_read(1 << 16))
        if heard:
            there.shutdown()  # a connection that breaks off takes its session out of the cache
            return here
    raise AssertionError("neither end goes on")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("certificate_asked", [True, False])
def test_no_session_is_resumed_so_every_connection_judges_a_certificate(tmp_path, version, certificate_asked):
    """By ticket or by cache: a resumed session brings no certificate, and one revoked meanwhile would be let in."""
    judged = []
    check = (lambda shown, _above: judged.append(shown)) if certificate_asked else None
    server, caller = tls.make_tls_context(HUB, check), client(tmp_path, ME, version)
    first = handshake(server, caller)
    judged.clear()
    again = handshake(server, caller, first.session)
    assert not again.session_reused
    assert set(judged) == ({ME.certificate} if certificate_asked else set())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_what_is_older_than_tls_1_2_is_not_spoken(tmp_path, version):
    server = tls.make_tls_context(HUB)
    server.set_cipher_list(b"ALL:@SECLEVEL=0")  # the hub's own list has none of theirs anyway
    with pytest.warns(DeprecationWarning, match="TLSVersion"), pytest.raises((ssl.SSLError, SSL.Error)):
        handshake(server, client(tmp_path, version=version))


def test_a_cipher_without_forward_secrecy_or_authentication_is_not_spoken(tmp_path):
    for names in ("AES256-GCM-SHA384", "ECDHE-RSA-AES256-SHA384", "DHE-RSA-AES256-GCM-SHA384", "AECDH-AES256-SHA"):
        caller = client(tmp_path, version=ssl.TLSVersion.TLSv1_2)
        caller.set_ciphers(f"{names}:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, SSL.Error)):
            handshake(tls.make_tls_context(HUB), caller)


def test_who_shows_no_certificate_gets_no_further(tmp_path):
    judged = []
    server = tls.make_tls_context(HUB, lambda shown, _above: judged.append(shown))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with pytest.raises((ssl.SSLError, SSL.Error)):
            handshake(server, client(tmp_path, version=version))
    assert judged == []


def test_a_connection_keeps_the_certificate_that_it_began_with():
    """Else who renegotiates shows another one when the first is judged."""
    server, caller = tls.make_tls_context(HUB, lambda _shown, _above: None), SSL.Context(SSL.TLS_METHOD)
    caller.set_max_proto_version(SSL.TLS1_2_VERSION)
    caller.use_certificate(ME.certificate)
    caller.use_privatekey(ME.key)
    there, here = SSL.Connection(server, None), SSL.Connection(caller, None)
    there.set_accept_state()
    here.set_connect_state()

    def go_on():
        for _ in range(4):
            for one, other in ((here, there), (there, here)):
                with suppress(SSL.WantReadError):
                    one.do_handshake()
                with suppress(SSL.WantReadError):
                    other.bio_write(one.bio_read(1 << 16))
                with suppress(SSL.WantReadError):
                    other.recv(1)

    go_on()
    here.renegotiate()
    with pytest.raises(SSL.Error, match="no renegotiation"):
        go_on()


class Wire:
    """The transport below TLS: keeps what is written."""

    def __init__(self):
        self.sent, self.lost = b"", False

    def write(self, data):
        self.sent += data

    def writeSequence(self, many):
        self.write(b"".join(many))

    def loseConnection(self):
        self.lost = True

    abortConnection = loseConnection

    def registerProducer(self, producer, streaming):
        pass

    def unregisterProducer(self):
        pass


class Heard(Protocol):
    """Keeps what arrives, read by read, and the end."""

    def __init__(self):
        self.pieces, self.ended = [], None

    def dataReceived(self, data):
        self.pieces.append(data)

    def connectionLost(self, reason=connectionDone):
        self.ended = reason


@pytest.fixture
def line(tmp_path):
    """Return a caller's end, its way out, the protocol that hears it, the hub's TLS around that, and the wire below."""
    factory = Factory.forProtocol(Heard)
    context = Port(cast("Any", None), factory, lambda: tls.make_tls_context(HUB), None)
    served: Any = DirectTlsFactory(context, False, factory).buildProtocol(cast("Any", None))
    wire = Wire()
    served.makeConnection(wire)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client(tmp_path).wrap_bio(incoming, outgoing)
    for _ in range(3):
        with suppress(ssl.SSLWantReadError):
            here.do_handshake()
        if sent := outgoing.read():
            served.dataReceived(sent)
        incoming.write(wire.sent)
        wire.sent = b""
    return here, outgoing, served.wrappedProtocol, served, wire


def test_what_one_read_brings_is_passed_on_at_once(line):
    here, outgoing, heard, served, _ = line
    body = bytes(range(250)) * 200
    here.write(body)
    sent = outgoing.read()
    served.dataReceived(sent[:20_000])
    assert [len(each) for each in heard.pieces] == [16_384], "the second record is not whole yet"
    served.dataReceived(sent[20_000:])
    assert (len(heard.pieces), b"".join(heard.pieces)) == (2, body)
    assert heard.ended is None


def test_what_came_before_the_end_is_passed_on_before_it(line):
    here, outgoing, heard, served, wire = line
    here.write(b"x" * 40_000)
    with suppress(ssl.SSLWantReadError):
        here.unwrap()
    served.dataReceived(outgoing.read())
    served.connectionLost(Failure(ConnectionDone()))
    assert (heard.pieces, wire.lost) == ([b"x" * 40_000], True)
    assert heard.ended.check(ConnectionDone)


def test_what_came_before_a_forged_record_is_passed_on_and_nothing_after_it(line):
    here, outgoing, heard, served, wire = line
    here.write(b"x" * 40_000)
    sent = bytearray(outgoing.read())
    sent[-1] ^= 1
    here.write(b"more")
    served.dataReceived(bytes(sent) + outgoing.read())
    served.connectionLost(Failure(ConnectionDone()))
    assert (heard.pieces, wire.lost) == ([b"x" * 32_768], True)
    assert heard.ended.check(SSL.Error)
