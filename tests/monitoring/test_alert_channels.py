"""An alert arrives as a mail, as a signed webhook that nobody can replay, and as syslog that every collector reads."""

import base64
import email
import hashlib
import hmac
import json
import socket
import time
from datetime import UTC, datetime, timedelta
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.selectreactor import SelectReactor
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from hub.config.alerting.operator_alerts import OperatorAlertSettings, SyslogSettings, WebhookSettings
from hub.domain.alert_severity import AlertSeverity
from hub.domain.conversations import Reply
from hub.formats import syslog
from hub.keeping.alert_notices import AlertNotice, NoticeBatch
from hub.keeping.hub_alerts import HubAlertKey
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.monitoring.hub_alerts import channels, conditions, texts
from hub.monitoring.hub_alerts.channels import NotSent
from hub.monitoring.hub_alerts.conditions import ConditionKind
from hub.runtime.http_client import Unreachable
from hub.security import tls
from hub.security.anchors import Anchors
from hub.units.live import Live
from tests import pki
from tests.waiting import PATIENCE

AT = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
KEY = b"0123456789abcdef01234567"


def notice(number=1, kind="dead-letters", transition="raised", severity=AlertSeverity.ERROR, **values):
    said = values or {"partner": "vpub", "count": 3}
    return AlertNotice(
        id=f"n{number}",
        channel="webhook",
        transition=transition,
        key=HubAlertKey(kind, "vpub"),
        severity=severity,
        values=said,
        since=AT,
        at=AT,
    )


def batch(*notices, channel="webhook", attempt=1):
    return NoticeBatch(id="b1", channel=channel, attempt=attempt, notices=notices or (notice(),))


def live(**said):
    partner = SimpleNamespace(url="smtp://mail", settings={"from": "truc@tinh.vn", "user": ""}, secrets={})
    settings = OperatorAlertSettings(**said)
    config = SimpleNamespace(
        name="Tỉnh",
        operator_alerts=settings,
        alerts=SimpleNamespace(through="thu"),
        partners={"thu": partner},
        tls=pki.authority().issue("hub"),
        anchors=Anchors((pki.authority().certificate,), (pki.authority().crl(),)),
    )
    return cast("Live", SimpleNamespace(config=config))


# --- mail ---


async def send_mail(answer, one, *, address="an@tinh.vn"):
    sent: list[Any] = []

    async def send(request, _partner):
        sent.append(request)
        if isinstance(answer, Exception):
            raise answer
        return Reply(answer, b"said", {"stage": "content"}, AT)

    channel = channels.make_mail_channel(live(mail=("an@tinh.vn",)), send, lambda: AT)
    await channel(one)
    return sent[0]


def run(coroutine):
    """Return the result of *coroutine*, which waits for nothing."""
    done: list[Any] = []
    _ = Deferred.fromCoroutine(coroutine).addBoth(done.append)
    if isinstance(done[0], Failure):
        done[0].raiseException()
    return done[0]


def test_a_mail_says_what_happened_and_what_to_do():
    request = run(send_mail(250, batch(channel="mail an@tinh.vn")))
    mail: Any = email.message_from_bytes(request.body, policy=default)
    assert dict(request.headers)["Rcpt-To"] == mail["To"] == "an@tinh.vn"
    assert mail["Subject"] == "[Tỉnh] vpub: 3 lượt chuyển lỗi (bắt đầu)"
    text = mail.get_content()
    assert "24/11/2026 08:02 [lỗi] vpub: 3 lượt chuyển lỗi (bắt đầu)" in text
    assert "lienthong failures" in text
    assert mail["Message-ID"] == "<b1@tinh.vn>"


def test_a_mail_about_many_counts_them_and_names_the_gravest():
    disk = notice(2, "disk-low", severity=AlertSeverity.CRITICAL, place="/var/lib", mebibytes=12)
    request = run(send_mail(250, batch(notice(), disk, channel="mail an@tinh.vn")))
    mail: Any = email.message_from_bytes(request.body, policy=default)
    assert mail["Subject"] == "[Tỉnh] 2 cảnh báo, trong đó: /var/lib: còn trống 12 MiB"


@pytest.mark.parametrize(
    "answer", [452, Unreachable("refused", unsent=True), Unreachable("connection lost")], ids=["full", "away", "lost"]
)
def test_a_mail_that_may_not_have_arrived_is_not_sent(answer):
    with pytest.raises(NotSent):
        run(send_mail(answer, batch(channel="mail an@tinh.vn")))


def test_no_mail_goes_to_an_address_that_is_configured_no_more():
    with pytest.raises(NotSent) as failed:
        run(send_mail(250, batch(channel="mail cu@tinh.vn")))
    assert failed.value.final


# --- webhook ---


class Hook(Resource):
    """A receiver that checks as the Standard Webhooks specification says, and refuses what it has seen."""

    isLeaf = True

    def __init__(self, status=204):
        super().__init__()
        self.status, self.said, self.seen = status, list[Any](), set[str]()

    def render_POST(self, request):
        body = request.content.read()
        name, moment, shown = (request.getHeader(f"webhook-{each}") for each in ("id", "timestamp", "signature"))
        signed = hmac.new(KEY, f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
        fresh = abs(AT - datetime.fromtimestamp(int(moment), UTC)) < timedelta(minutes=5)
        if shown != "v1," + base64.b64encode(signed).decode() or not fresh or name in self.seen:
            request.setResponseCode(403)
            return b""
        if self.status < 300:
            self.seen.add(name)
        self.said.append(json.loads(body))
        request.setResponseCode(self.status)
        return b""


@pytest.fixture
def reactor():
    """A reactor of this test alone, which turns while `spin` waits."""
    made = SelectReactor()
    made.startRunning()
    yield made
    made.disconnectAll()
    made.fireSystemEvent("shutdown")
    made.iterate(0)


def turn_until(reactor, reached):
    """Let *reactor* turn until *reached* gives something true."""
    limit = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < limit
        reactor.iterate(0.01)


def spin(reactor, coroutine):
    """Return the result of *coroutine*, which waits for the reactor."""
    done: list[Any] = []
    _ = Deferred.fromCoroutine(coroutine).addBoth(done.append)
    turn_until(reactor, lambda: done)
    if isinstance(done[0], Failure):
        done[0].raiseException()
    return done[0]


def post(reactor, hook, *batches, key=KEY, at=AT):
    port = reactor.listenTCP(0, Site(hook, reactor=reactor), interface="127.0.0.1")
    url = f"http://127.0.0.1:{port.getHost().port}/hub?x=1"
    settings = WebhookSettings(url=url, key=key, key_file=Path("hook.key"))
    channel = channels.make_webhook_channel(live(webhook=settings), reactor, lambda: at)
    try:
        for each in batches:
            spin(reactor, channel(each))
    finally:
        port.stopListening()


def test_a_webhook_is_signed_and_says_what_happened(reactor):
    hook = Hook()
    post(reactor, hook, batch(notice(1), notice(2, "partner-down", "ended", partner="vpub")))
    (said,) = hook.said
    assert (said["type"], said["timestamp"], said["data"]["hub"]) == ("alerts", "2026-11-24T01:02:03.000Z", "Tỉnh")
    first, second = said["data"]["alerts"]
    assert (first["condition"], first["about"], first["severity"], first["transition"]) == (
        "dead-letters",
        "vpub",
        "error",
        "raised",
    )
    assert first["values"] == {"partner": "vpub", "count": 3}
    assert second["text"].endswith("Không tới được đối tác vpub (đã hết)")


@pytest.mark.parametrize(("key", "at"), [(b"x" * 24, AT), (KEY, AT - timedelta(hours=1))], ids=["another key", "old"])
def test_a_receiver_refuses_what_another_signed_and_what_is_old(reactor, key, at):
    hook = Hook()
    with pytest.raises(NotSent, match="HTTP 403"):
        post(reactor, hook, batch(), key=key, at=at)
    assert hook.said == []


def test_a_receiver_can_tell_a_repetition_by_its_id(reactor):
    hook = Hook()
    with pytest.raises(NotSent, match="HTTP 403"):
        post(reactor, hook, batch(), batch(attempt=2))
    assert len(hook.said) == 1


def test_what_a_receiver_does_not_take_is_not_sent(reactor):
    with pytest.raises(NotSent, match="HTTP 500"):
        post(reactor, Hook(status=500), batch())
    settings = WebhookSettings(url="http://127.0.0.1:1/", key=KEY, key_file=Path("hook.key"))
    with pytest.raises(NotSent, match="connection failed"):
        spin(reactor, channels.make_webhook_channel(live(webhook=settings), reactor, lambda: AT)(batch()))


class Raw(Protocol):
    """A server that answers whatever comes by some octets, and leaves the connection open."""

    def dataReceived(self, data):
        transport: Any = self.transport
        transport.write(self.factory.answer)


@pytest.mark.parametrize("length", ["", "Content-Length: 99999999\r\n"], ids=["none said", "more than comes"])
def test_any_2xx_of_a_receiver_means_that_it_was_taken_whatever_its_body(reactor, length):
    server: Any = Factory.forProtocol(Raw)
    server.answer = f"HTTP/1.0 200 OK\r\nServer: small\r\n{length}\r\nok".encode()
    port = reactor.listenTCP(0, server, interface="127.0.0.1")
    url = f"http://127.0.0.1:{port.getHost().port}/"
    settings = WebhookSettings(url=url, key=KEY, key_file=Path("hook.key"))
    try:
        spin(reactor, channels.make_webhook_channel(live(webhook=settings), reactor, lambda: AT)(batch()))
    finally:
        port.stopListening()


# --- syslog ---


class Collector(Protocol):
    """A collector that reads messages of any framing."""

    def connectionMade(self):
        self.stream = syslog.Stream()

    def dataReceived(self, data):
        self.factory.lines += map(syslog.read_syslog_message, self.stream.feed(data))


def collect(reactor, transport, *, context=None, **said):
    factory: Any = Factory.forProtocol(Collector)
    factory.lines = []
    made = factory if context is None else TLSMemoryBIOFactory(Server(context), False, factory, reactor)
    port = reactor.listenTCP(0, made, interface="127.0.0.1")
    place = SyslogSettings(transport=transport, host="127.0.0.1", port=port.getHost().port)
    channel = channels.make_syslog_channel(live(syslog=place, **said), reactor, lambda: AT)
    try:
        spin(reactor, channel(batch(notice(1), notice(2, transition="ended"), channel="syslog")))
        turn_until(reactor, lambda: len(factory.lines) == 2)
    finally:
        port.stopListening()
    return factory.lines


@implementer(IOpenSSLServerConnectionCreator)
class Server:
    """The TLS side of the collector."""

    def __init__(self, context):
        self.context = context

    def serverConnectionForTLS(self, protocol):
        del protocol
        return SSL.Connection(self.context, None)


def is_told(lines):
    assert [(each.facility, each.severity, each.app, each.kind) for each in lines] == [
        ("daemon", 3, "lienthong", "dead-letters")
    ] * 2
    assert lines[0].at == AT
    assert lines[0].text.startswith("24/11/2026 08:02 [lỗi] vpub: 3 lượt chuyển lỗi (bắt đầu)")
    assert 'transition="ended" about="vpub"' in lines[1].text
    return True


def test_syslog_over_tcp_is_framed_by_octet_counting(reactor):
    assert is_told(collect(reactor, "tcp"))


def test_syslog_over_tls_goes_only_to_a_server_that_the_hub_trusts(reactor):
    own = tls.make_tls_context(pki.authority().issue("collector", names=NAMES))
    assert is_told(collect(reactor, "tls", context=own))
    other = tls.make_tls_context(pki.authority("Another").issue("collector", names=NAMES))
    with pytest.raises(NotSent):
        collect(reactor, "tls", context=other)
    named = (pki.authority("Another").certificate,)
    assert is_told(collect(reactor, "tls", context=other, authorities=named))


class Silent(Protocol):
    """A server that takes the connection, and neither answers nor closes it."""

    def connectionMade(self):
        self.factory.came += 1
        self.factory.open.append(self)

    def connectionLost(self, reason=None):
        self.factory.open.remove(self)


def test_a_collector_that_neither_answers_nor_closes_keeps_no_connection(reactor, monkeypatch):
    monkeypatch.setattr(channels, "PATIENCE", 0.1)
    # to come there takes whatever a busy machine makes it take: the answer alone has so short a time
    monkeypatch.setattr(channels, "HostnameEndpoint", lambda *place, **_timeout: HostnameEndpoint(*place))
    factory: Any = Factory.forProtocol(Silent)
    factory.came, factory.open = 0, []
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    place = SyslogSettings(transport="tls", host="127.0.0.1", port=port.getHost().port)
    with pytest.raises(NotSent):
        spin(reactor, channels.make_syslog_channel(live(syslog=place), reactor, lambda: AT)(batch()))
    assert factory.came == 1
    turn_until(reactor, lambda: not factory.open)
    port.stopListening()


NAMES = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])


def test_syslog_by_datagram_is_one_message_each(reactor, tmp_path):
    for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, str(tmp_path / "log"))):
        with socket.socket(family, socket.SOCK_DGRAM) as port:
            port.bind(address)
            port.settimeout(PATIENCE)
            udp = family == socket.AF_INET
            place = SyslogSettings(
                transport="udp" if udp else "unix",
                host="127.0.0.1" if udp else str(tmp_path / "log"),
                port=port.getsockname()[1] if udp else 0,
            )
            channel = channels.make_syslog_channel(live(syslog=place), reactor, lambda: AT)
            spin(reactor, channel(batch(notice(1), notice(2, transition="ended"), channel="syslog")))
            assert is_told([syslog.read_syslog_message(port.recv(65536)) for _ in range(2)])


def test_a_local_log_that_is_away_is_told_of(reactor, tmp_path):
    place = SyslogSettings(transport="unix", host=str(tmp_path / "none"))
    with pytest.raises(NotSent, match="FileNotFoundError"):
        spin(reactor, channels.make_syslog_channel(live(syslog=place), reactor, lambda: AT)(batch()))


def test_no_field_of_a_syslog_header_is_broken_by_what_is_in_it():
    made = syslog.write_syslog_message("a\nb\r\nc\x1b[2J\x00", severity=2, at=AT, host="máy 1", app="x" * 60, kind="")
    read = syslog.read_syslog_message(made)
    assert (read.host, read.app, read.kind, read.text) == ("m_y_1", "x" * 48, "", "a b c\ufffd[2J\ufffd")


# --- what is said ---


@pytest.mark.parametrize("kind", list(ConditionKind))
def test_each_condition_has_its_sentence_and_says_what_to_do(kind):
    at = "2026-11-24T01:02:03Z"
    values: dict[str, str | int] = dict.fromkeys(("oldest", "end", "closes", "seen", "due"), at)
    values |= dict.fromkeys(("partner", "link", "owner", "name", "issuer", "place", "form", "settings"), "x")
    values |= {"count": 2, "used": 5, "budget": 7, "days": 3, "last": at, "mebibytes": 3, "paused": 0}
    values |= dict.fromkeys(("period", "month"), "2026-11")
    for language in Language:
        said = translate(texts.describe_condition(kind, values), language)
        assert said != kind
        assert "{" not in said
        assert translate(texts.describe_remedy(kind), language)
    assert {*conditions.SHARED_CONDITIONS, *conditions.NODE_CONDITIONS} == set(ConditionKind)


def test_numbers_of_alerts_are_written_as_each_language_writes_them():
    values: dict[str, str | int] = {"partner": "vpub", "count": 12_345, "used": 51_200, "budget": 1_048_576, "days": -1}
    said = {language: texts.describe_condition("budget-tight", values) for language in Language}
    assert "51.200 trên 1.048.576 MiB" in translate(said[Language.VI], Language.VI)
    assert "51,200 of 1,048,576 MiB" in translate(said[Language.EN], Language.EN)
    dead = texts.describe_condition("dead-letters", values)
    assert (translate(dead, Language.VI)[:12], translate(dead, Language.EN)[:12]) == ("vpub: 12.345", "vpub: 12,345")


def test_a_condition_of_a_later_program_is_named_by_its_word():
    assert texts.describe_condition("moon-full", {}) == "moon-full"
    assert texts.describe_remedy("moon-full") == ""
