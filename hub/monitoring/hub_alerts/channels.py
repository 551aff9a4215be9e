"""The ways in which alerts reach operators. Each sends one batch or raises `NotSent`. Does not know when to send."""

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from hub.config.alerting.operator_alerts import OperatorAlertSettings, SyslogSettings
from hub.domain.model import RevocationRule
from hub.formats import syslog
from hub.journal.sequels.open_work.alerts import AlertState
from hub.keeping.alert_notices import AlertNotice, NoticeBatch
from hub.language.languages import Language
from hub.monitoring.alert_letters import make_mail
from hub.monitoring.hub_alerts import texts
from hub.monitoring.mail_sending import SendRequest, send_mail
from hub.runtime import http_client
from hub.runtime.http_client import HttpClient
from hub.security import tls
from hub.security.anchors import Anchors, Purpose
from hub.units.live import Live

#: Sends a batch. Raises `NotSent`.
AlertChannel = Callable[[NoticeBatch], Awaitable[None]]
#: Seconds within which a webhook or a syslog server must have taken a batch.
PATIENCE = 15.0
_APP = "lienthong"


class NotSent(Exception):
    """The batch may not have arrived, and the reason. *final*: another try would not help."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def make_channels(
    live: Live, send: SendRequest, reactor: Any, now: Callable[[], datetime]
) -> Mapping[str, AlertChannel]:
    """Return the channels by the first word of their names. *send* sends a request to a partner."""
    return {
        "mail": make_mail_channel(live, send, now),
        "webhook": make_webhook_channel(live, reactor, now),
        "syslog": make_syslog_channel(live, reactor, now),
    }


def make_mail_channel(live: Live, send: SendRequest, now: Callable[[], datetime]) -> AlertChannel:
    """Return the channel `mail ADDRESS`, through the mail system of `[alerts] through`.

    The Message-ID is that of the batch: a mail that is sent again, because nobody knows whether it arrived, has the same.
    """

    async def send_batch(batch: NoticeBatch) -> None:
        config = live.config
        address, settings = batch.channel.partition(" ")[2], config.operator_alerts
        partner = config.partners.get(config.alerts.through) if config.alerts else None
        if address not in settings.mail or partner is None:
            raise NotSent("no such channel", final=True)
        subject = texts.write_subject(batch.notices, settings.language)
        lines = texts.write_lines(batch.notices, settings.language)
        mail = make_mail(subject, lines, address, (partner.settings["from"], config.name, batch.id), now())
        state, reason = await send_mail(send, partner, mail, address)
        if state is not AlertState.SENT:
            raise NotSent(reason)

    return send_batch


def make_webhook_channel(live: Live, reactor: Any, now: Callable[[], datetime]) -> AlertChannel:
    """Return the channel `webhook`: a POST of JSON, signed as the Standard Webhooks specification 1.0 says.

    `webhook-id` is the same at each try of a batch, and the signature covers it, the time of sending and the body: a
    receiver can refuse what it has seen, and what is older than five minutes. Any answer but 2xx is a failure, and the
    body of the answer is not read; redirects are not followed.
    """

    async def send_batch(batch: NoticeBatch) -> None:
        config, settings = live.config, live.config.operator_alerts
        if settings.webhook is None:
            raise NotSent("no such channel", final=True)
        body = write_webhook_body(batch, config.name, settings.language)
        headers = sign_webhook(settings.webhook.key, batch.id, now(), body)
        context = tls.make_tls_context(
            None, _make_check(live, http_client.split_http_url(settings.webhook.url)[0].host, now)
        )
        client = HttpClient(reactor, http_client.SharedTlsContext(context), PATIENCE)
        asked = client.exchange("POST", settings.webhook.url, headers, body, None)
        try:
            answer = await Deferred.fromCoroutine(asked).addTimeout(PATIENCE, reactor)
        except CancelledError:
            raise
        except Exception as error:
            raise NotSent(http_client.describe_connection_error(error)[:300]) from error
        if not 200 <= answer.status < 300:
            raise NotSent(f"HTTP {answer.status}")

    return send_batch


def write_webhook_body(batch: NoticeBatch, hub: str, language: Language) -> bytes:
    """Return the body of a webhook: `type`, `timestamp` and `data` with the hub's name and each alert."""
    said = {
        "type": "alerts",
        "timestamp": _write_instant(batch.notices[-1].at),
        "data": {"hub": hub, "alerts": [_write_json(each, language) for each in batch.notices]},
    }
    return json.dumps(said, ensure_ascii=False).encode()


def _write_json(notice: AlertNotice, language: Language) -> dict[str, object]:
    return {
        "id": notice.id,
        "condition": notice.key.kind,
        "about": notice.key.about,
        "node": notice.key.node,
        "transition": notice.transition,
        "severity": str(notice.severity),
        "since": _write_instant(notice.since),
        "at": _write_instant(notice.at),
        "text": texts.write_notice(notice, language),
        "values": dict(notice.values),
    }


def sign_webhook(key: bytes, name: str, at: datetime, body: bytes) -> tuple[tuple[str, str], ...]:
    """Return the headers that sign *body* (Standard Webhooks 1.0, “Signature scheme”, symmetric: v1, HMAC-SHA256)."""
    moment = str(int(at.timestamp()))
    signed = hmac.new(key, f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
    return (
        ("Content-Type", "application/json"),
        ("webhook-id", name),
        ("webhook-timestamp", moment),
        ("webhook-signature", f"v1,{base64.b64encode(signed).decode('ascii')}"),
    )


def make_syslog_channel(live: Live, reactor: Any, now: Callable[[], datetime]) -> AlertChannel:
    """Return the channel `syslog`: a message of RFC 5424 for each notice.

    Over TLS (RFC 5425) and TCP (RFC 6587) it has arrived when the connection closed in order; over UDP (RFC 5426) and a
    local socket nobody knows.
    """

    async def send_batch(batch: NoticeBatch) -> None:
        settings = live.config.operator_alerts
        if settings.syslog is None:
            raise NotSent("no such channel", final=True)
        messages = [write_syslog_line(each, settings.language) for each in batch.notices]
        try:
            if settings.syslog.transport in {"tcp", "tls"}:
                await _send_stream(live, reactor, now, settings.syslog, messages)
            else:
                await _send_datagrams(reactor, settings.syslog, messages)
        except CancelledError:
            raise
        except Exception as error:
            raise NotSent(http_client.describe_connection_error(error)[:300]) from error

    return send_batch


def write_syslog_line(notice: AlertNotice, language: Language) -> bytes:
    """Return the syslog message of *notice*: the sentence, then what a program reads, as `name=value`."""
    told = {"id": notice.id, "transition": notice.transition, "about": notice.key.about, "node": notice.key.node}
    named = " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in told.items() if value)
    return syslog.write_syslog_message(
        f"{texts.write_notice(notice, language)} {named}",
        severity=notice.severity.rank,
        at=notice.at,
        host=socket.gethostname(),
        app=_APP,
        kind=notice.key.kind,
    )


class _Frames(Protocol):
    """Writes octets, closes the connection, and says whether it closed in order."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        #: fires when the connection has closed; cancelling it ends a connection that the other side keeps open
        self.ended: Deferred[None] = Deferred(lambda _: self._abort())

    def connectionMade(self) -> None:
        """See `Protocol`."""
        assert self.transport is not None
        self.transport.write(self._octets)
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See `Protocol`."""
        if self.ended.called:
            return
        if reason.check(ConnectionDone):
            self.ended.callback(None)
        else:
            self.ended.errback(reason)

    def _abort(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()


class _FrameFactory(Factory):
    noisy = False

    def __init__(self, protocol: _Frames) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> _Frames:
        """See `Factory`."""
        del addr
        return self._protocol


async def _send_stream(
    live: Live, reactor: Any, now: Callable[[], datetime], place: SyslogSettings, messages: Sequence[bytes]
) -> None:
    octets = b"".join(map(syslog.frame_syslog_message, messages))
    endpoint: Any = HostnameEndpoint(reactor, place.host, place.port, timeout=PATIENCE)
    if place.transport == "tls":
        context = tls.make_tls_context(live.config.tls, _make_check(live, place.host, now))
        creator = http_client.SharedTlsContext(context).creatorForNetloc(place.host.encode("ascii"), place.port)
        endpoint = wrapClientTLS(creator, endpoint)
    frames = _Frames(octets)
    _ = await endpoint.connect(_FrameFactory(frames))
    await frames.ended.addTimeout(PATIENCE, reactor)


async def _send_datagrams(reactor: Any, place: SyslogSettings, messages: Sequence[bytes]) -> None:
    if place.transport == "unix":
        family, address = socket.AF_UNIX, place.host
    else:
        host = await reactor.resolve(place.host, timeout=(1, 3, 5))
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        address = (host, place.port)  # type: ignore[assignment]  # the address of a family is its own kind
    with socket.socket(family, socket.SOCK_DGRAM) as port:
        port.setblocking(False)
        for message in messages:
            port.sendto(message, address)


def _make_check(
    live: Live, host: str, now: Callable[[], datetime]
) -> Callable[[x509.Certificate, Sequence[x509.Certificate]], None]:
    """Return the check of the certificate that the server *host* shows: by the CAs of the settings, else the anchors."""
    settings: OperatorAlertSettings = live.config.operator_alerts

    def check(shown: x509.Certificate, above: Sequence[x509.Certificate]) -> None:
        trusted = Anchors(settings.authorities, ()) if settings.authorities else live.config.anchors
        trusted.check(shown, now(), above, purpose=Purpose.SERVER, unknown=RevocationRule.ALLOW)
        tls.check_host(shown, host)

    return check


def _write_instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
